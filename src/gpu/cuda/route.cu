/* route.cu - which experts each row uses, and what they weigh: a warp for each row.
 *
 * What is chosen by becomes whole numbers of the same order, of which the largest is found again
 * and again; 0 is one that was taken.
 *
 * The kinds are those of enum weir_gating_kind; sources of the formulas are named there. */
#include "gpu/cuda/route_args.h"

#include "gpu/cuda/grid.cuh"

#include <float.h>
#include <stdint.h>

#include "kernels/choose.h"

static __device__ __forceinline__ bool is_finite(float x)
{
    return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x)) + 0.0f * x;
}

static __device__ __forceinline__ float sqrt_softplus(float x)
{
    return sqrtf(fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)))) + 0.0f * x;
}

static __device__ __forceinline__ float sum_of(float value)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_xor_sync(~0u, value, distance);
    return value;
}

static __device__ __forceinline__ float most_of(float value)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
    return value;
}

static __device__ __forceinline__ uint32_t most_of(uint32_t value)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(~0u, value);
#else
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value = max(value, __shfl_xor_sync(~0u, value, distance));
    return value;
#endif
}

/* A whole number of the same order, above 0; what is not a number is below all others. */
static __device__ __forceinline__ uint32_t order_of(float value)
{
    const uint32_t bits = __float_as_uint(value + 0.0f); /* one zero */
    return value != value ? 1 : bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

/* Experts of a lane: those with the numbers lane, lane + 32 and so on. All of a row's values are in
 * registers; past the last expert they are minus infinity, and 0 as an order. */
template <int OWN> struct row_of_experts {
    const weir_route_args &a;
    uint32_t lane;
    float value[OWN];
    uint32_t order[OWN];

    __device__ __forceinline__ bool is_there(int own) const
    {
        return lane + 32 * own < a.n_expert;
    }

    __device__ __forceinline__ void soften()
    {
        float most = -FLT_MAX;
        float sum = 0.0f;
#pragma unroll
        for (int own = 0; own < OWN; own++)
            most = fmaxf(most, value[own]);
        most = most_of(most);
#pragma unroll
        for (int own = 0; own < OWN; own++)
            if (is_there(own)) {
                value[own] = expf(value[own] - most) + 0.0f * value[own];
                sum += value[own];
            }
        const float inverse = 1.0f / sum_of(sum);
#pragma unroll
        for (int own = 0; own < OWN; own++)
            value[own] *= inverse;
    }

    /* What each expert would weigh. */
    __device__ __forceinline__ void weigh(const float *router)
    {
#pragma unroll
        for (int own = 0; own < OWN; own++)
            value[own] = is_there(own) ? router[lane + 32 * own] * a.steepness : -INFINITY;
        if (a.kind == WEIR_GATING_SOFTMAX)
            soften();
        if (a.kind == WEIR_GATING_SIGMOID)
#pragma unroll
            for (int own = 0; own < OWN; own++)
                value[own] = sigmoid(value[own]);
        if (a.kind == WEIR_GATING_SQRT_SOFTPLUS)
#pragma unroll
            for (int own = 0; own < OWN; own++)
                value[own] = sqrt_softplus(value[own]);
    }

    /* What each is chosen by; true when one is not finite. */
    __device__ __forceinline__ bool select(float *selection)
    {
        bool has_bad = false;
#pragma unroll
        for (int own = 0; own < OWN; own++)
            if (is_there(own)) {
                const uint32_t id = lane + 32 * own;
                selection[id] =
                    value[own] + (a.bias == 0 ? 0.0f : reinterpret_cast<const float *>(a.bias)[id]);
                has_bad = has_bad || !is_finite(selection[id]);
            }
        __syncwarp();
        return __any_sync(~0u, has_bad);
    }

    /* The lane's largest order; 0: none is left. */
    __device__ __forceinline__ void find_best(uint32_t &best, uint32_t &id) const
    {
        best = 0;
        id = 0;
#pragma unroll
        for (int own = 0; own < OWN; own++)
            if (order[own] > best) {
                best = order[own];
                id = lane + 32 * own;
            }
    }

    /* ids: the n_used largest, the largest first, and their weights. */
    __device__ __forceinline__ void choose(const float *selection, uint32_t *ids, float *weights)
    {
        uint32_t best, id;
#pragma unroll
        for (int own = 0; own < OWN; own++)
            order[own] = is_there(own) ? order_of(selection[lane + 32 * own]) : 0;
        find_best(best, id);
        for (uint32_t rank = 0; rank < a.n_used; rank++) {
            const uint32_t most = most_of(best);
            /* The largest of the turned ids is the smallest id. */
            const uint32_t chosen = ~most_of(best == most ? ~id : 0);
            if (best != most || id != chosen)
                continue;
            ids[rank] = id;
#pragma unroll
            for (int own = 0; own < OWN; own++)
                if (lane + 32 * own == id) {
                    order[own] = 0;
                    weights[rank] = value[own];
                }
            find_best(best, id);
        }
        __syncwarp();
    }
};

/* Experts of all groups but the best are below any that may be chosen. A lane has every 32nd
 * group. */
static __device__ void drop_groups(const weir_route_args &a, float *selection)
{
    __shared__ uint32_t orders[WEIR_ROUTE_GROUP_MAX];
    const uint32_t width = a.n_expert / a.n_group;
    for (uint32_t group = threadIdx.x; group < a.n_group; group += 32) {
        float best = -INFINITY;
        float second = -INFINITY;
        for (uint32_t at = 0; at < width; at++) {
            const float value = selection[group * width + at];
            second = fmaxf(second, fminf(best, value));
            best = fmaxf(best, value);
        }
        orders[group] = order_of(a.n_group_best > 1 && width > 1 ? best + second : best);
    }
    __syncwarp();
    for (uint32_t group = threadIdx.x; group < a.n_group; group += 32) {
        uint32_t above = 0;
        for (uint32_t other = 0; other < a.n_group; other++)
            above +=
                orders[other] > orders[group] || (orders[other] == orders[group] && other < group);
        for (uint32_t at = 0; above >= a.n_group_used && at < width; at++)
            selection[group * width + at] = -FLT_MAX;
    }
    __syncwarp();
}

/* The chosen ones' weights, a lane's every 32nd, as they are then. */
static __device__ void weigh_chosen(const weir_route_args &a, float *weights)
{
    float most = -FLT_MAX;
    float sum = 0.0f;
    for (uint32_t rank = threadIdx.x; rank < a.n_used; rank += 32)
        most = fmaxf(most, weights[rank]);
    most = most_of(most);
    for (uint32_t rank = threadIdx.x; rank < a.n_used; rank += 32) {
        const float weight = weights[rank];
        weights[rank] = a.kind == WEIR_GATING_SIGMOID_OF_CHOSEN
                            ? sigmoid(weight)
                            : expf(weight - most) + 0.0f * weight;
        sum += weights[rank];
    }
    sum = sum_of(sum);
    for (uint32_t rank = threadIdx.x; a.kind == WEIR_GATING_SOFTMAX_OF_CHOSEN && rank < a.n_used;
         rank += 32)
        weights[rank] /= sum;
}

/* Ids and weights in the order of ids. */
static __device__ void store(const weir_route_args &a, const uint32_t *ids, const float *weights,
                             float poison)
{
    /* The least sum that is divided by, where all weights may be near 0. */
    static const float least_total = 6.103515625e-5f;
    float total = 0.0f;
    for (uint32_t rank = threadIdx.x; rank < a.n_used; rank += 32)
        total += weights[rank];
    total = sum_of(total);
    const float divisor = a.renormalizes ? fmaxf(total, least_total) : 1.0f;
    const uint64_t row = static_cast<uint64_t>(blockIdx.x) * a.n_used;
    for (uint32_t rank = threadIdx.x; rank < a.n_used; rank += 32) {
        uint32_t place = 0;
        for (uint32_t other = 0; other < a.n_used; other++)
            place += ids[other] < ids[rank];
        reinterpret_cast<uint32_t *>(a.chosen)[row + place] = ids[rank];
        reinterpret_cast<float *>(a.weights)[row + place] =
            weights[rank] / divisor * a.scale + poison;
    }
}

/* Blocks are [row]. */
template <int OWN> static __device__ __forceinline__ void route(const weir_route_args &a)
{
    __shared__ float selection[32 * OWN];
    __shared__ uint32_t ids[WEIR_ROUTE_USED_MAX];
    __shared__ float weights[WEIR_ROUTE_USED_MAX];
    row_of_experts<OWN> row = {a, threadIdx.x};
    row.weigh(reinterpret_cast<const float *>(a.router) +
              static_cast<uint64_t>(blockIdx.x) * a.n_expert);
    /* An expert that is not chosen for what is not a number must not hide it. */
    const bool has_bad = row.select(selection);
    if (a.n_group > 0 && !has_bad)
        drop_groups(a, selection);
    row.choose(selection, ids, weights);
    if (a.kind == WEIR_GATING_SOFTMAX_OF_CHOSEN || a.kind == WEIR_GATING_SIGMOID_OF_CHOSEN)
        weigh_chosen(a, weights);
    store(a, ids, weights, has_bad ? NAN : 0.0f);
}

#define ROUTE(OWN)                                                                                 \
    extern "C" __global__ void __launch_bounds__(WEIR_ROUTE_THREADS)                               \
        weir_route_##OWN(const __grid_constant__ struct weir_route_args a)                         \
    {                                                                                              \
        begin_grid();                                                                              \
        route<OWN>(a);                                                                             \
    }
ROUTE(4)
ROUTE(16)
ROUTE(32)
