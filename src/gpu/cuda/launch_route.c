/* launch_route.c - calls of the choice of experts. */
#include "gpu/cuda/cuda_internal.h"
#include "gpu/cuda/route_args.h"

void weir_cuda_route(weir_gpu *gpu, const struct weir_gpu_route *job)
{
    static const uint32_t block[3] = {WEIR_ROUTE_THREADS, 1, 1};
    const struct weir_route_args args = {
        .router = job->router,
        .bias = job->bias,
        .chosen = job->chosen,
        .weights = job->weights,
        .kind = job->kind,
        .steepness = job->steepness,
        .scale = job->scale,
        .renormalizes = job->renormalizes,
        .n_group = job->n_group,
        .n_group_used = job->n_group_used,
        .n_group_best = job->n_group_best,
        .n_row = job->n_row,
        .n_expert = job->n_expert,
        .n_used = job->n_used,
    };
    const uint32_t grid[3] = {job->n_row, 1, 1};
    WEIR_ASSERT(job->n_used <= WEIR_ROUTE_USED_MAX && job->n_used <= job->n_expert &&
                job->n_expert <= WEIR_GPU_EXPERT_MAX && job->n_group <= WEIR_ROUTE_GROUP_MAX);
    weir_cuda_launch_early(gpu,
                           job->n_expert <= 4 * 32    ? "weir_route_4"
                           : job->n_expert <= 16 * 32 ? "weir_route_16"
                                                      : "weir_route_32",
                           grid, block, 0, &args, sizeof(args));
}
