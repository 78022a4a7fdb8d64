/* route.cu - which experts each row uses, and what they weigh: a warp for each row.
 *
 * What is chosen by becomes whole numbers of the same order, of which the largest is found again
 * and again; 0 is one that was taken.
 *
 * The kinds are those of enum weir_gating_kind; sources of the formulas are named there. */
#include "gpu/cuda/route_args.h"

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

/* Softmax over count values in shared memory, by the whole warp. */
static __device__ void soften(float *values, uint32_t count)
{
    const uint32_t lane = threadIdx.x;
    float most = -FLT_MAX;
    float sum = 0.0f;
    for (uint32_t id = lane; id < count; id += 32)
        most = fmaxf(most, values[id]);
    most = most_of(most);
    for (uint32_t id = lane; id < count; id += 32) {
        const float value = values[id];
        values[id] = expf(value - most) + 0.0f * value;
        sum += values[id];
    }
    const float inverse = 1.0f / sum_of(sum);
    for (uint32_t id = lane; id < count; id += 32)
        values[id] *= inverse;
    __syncwarp();
}

/* What each expert would weigh, in place. */
static __device__ void weigh_all(const weir_route_args &a, float *weights)
{
    if (a.kind == WEIR_GATING_SOFTMAX)
        soften(weights, a.n_expert);
    for (uint32_t id = threadIdx.x; id < a.n_expert; id += 32) {
        if (a.kind == WEIR_GATING_SIGMOID)
            weights[id] = sigmoid(weights[id]);
        if (a.kind == WEIR_GATING_SQRT_SOFTPLUS)
            weights[id] = sqrt_softplus(weights[id]);
    }
    __syncwarp();
}

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

/* A lane's largest, and its id; 0: all are taken. */
struct best {
    uint32_t order, id;
};

static __device__ __forceinline__ best own_best(const uint32_t *orders, uint32_t n_expert)
{
    best found = {0, 0};
#pragma unroll 8
    for (uint32_t id = threadIdx.x; id < n_expert; id += 32)
        if (orders[id] > found.order)
            found = {orders[id], id};
    return found;
}

/* ids: the n_used largest, the largest first. Of orders each lane reads and takes its own. */
static __device__ void choose(const weir_route_args &a, uint32_t *orders, uint32_t *ids)
{
    best own = own_best(orders, a.n_expert);
    for (uint32_t rank = 0; rank < a.n_used; rank++) {
        const uint32_t most = most_of(own.order);
        /* The largest of the turned ids is the smallest id. */
        const uint32_t id = ~most_of(own.order == most ? ~own.id : 0);
        if (own.id != id || own.order != most)
            continue;
        ids[rank] = id;
        orders[id] = 0;
        own = own_best(orders, a.n_expert);
    }
    __syncwarp();
}

/* Weights of the chosen ones, then both in the order of ids. */
static __device__ void weigh_chosen(const weir_route_args &a, const float *router,
                                    const uint32_t *ids, float poison)
{
    /* The least sum that is divided by, where all weights may be near 0. */
    static const float least_total = 6.103515625e-5f;
    __shared__ float weights[WEIR_ROUTE_USED_MAX];
    for (uint32_t rank = threadIdx.x; rank < a.n_used; rank += 32) {
        const float weight = router[ids[rank]];
        weights[rank] = a.kind == WEIR_GATING_SIGMOID_OF_CHOSEN ? sigmoid(weight) : weight;
    }
    __syncwarp();
    if (a.kind == WEIR_GATING_SOFTMAX_OF_CHOSEN)
        soften(weights, a.n_used);
    float total = 0.0f;
    for (uint32_t rank = 0; rank < a.n_used; rank++)
        total += weights[rank];
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

extern "C" __global__ void __launch_bounds__(WEIR_ROUTE_THREADS)
    weir_route(const __grid_constant__ struct weir_route_args a)
{
    extern __shared__ float shared[];
    __shared__ uint32_t ids[WEIR_ROUTE_USED_MAX];
    float *weights = shared;
    float *selection = shared + a.n_expert;
    const float *router =
        reinterpret_cast<const float *>(a.router) + static_cast<uint64_t>(blockIdx.x) * a.n_expert;
    const float *bias = reinterpret_cast<const float *>(a.bias);
    bool has_bad = false;
    for (uint32_t id = threadIdx.x; id < a.n_expert; id += 32)
        weights[id] = router[id] * a.steepness;
    __syncwarp();
    weigh_all(a, weights);
    for (uint32_t id = threadIdx.x; id < a.n_expert; id += 32) {
        selection[id] = weights[id] + (a.bias == 0 ? 0.0f : bias[id]);
        has_bad = has_bad || !is_finite(selection[id]);
    }
    /* An expert that is not chosen for what is not a number must not hide it. */
    has_bad = __any_sync(~0u, has_bad);
    if (a.n_group > 0 && !has_bad)
        drop_groups(a, selection);
    uint32_t *orders = reinterpret_cast<uint32_t *>(selection);
    for (uint32_t id = threadIdx.x; id < a.n_expert; id += 32)
        orders[id] = order_of(selection[id]);
    choose(a, orders, ids);
    weigh_chosen(a, weights, ids, has_bad ? NAN : 0.0f);
}
