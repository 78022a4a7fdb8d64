/* rows.cuh - which rows a block of threads computes, and with whose weights. */
#ifndef WEIR_CUDA_ROWS_CUH
#define WEIR_CUDA_ROWS_CUH

#include "gpu/cuda/formats/blocks.cuh"
#include "gpu/cuda/matmul_args.h"

extern __shared__ uint4 shared[];

/* The matrix of an expert, or the only one. data 0: it is not on the device. */
DEVICE struct weir_cuda_place place_of(const struct weir_cuda_weights &w, uint32_t expert)
{
    if (w.table == 0)
        return w.one;
    if (expert >= w.n_expert)
        return {0, 0, 0};
    return ((const struct weir_cuda_place *)w.table)[expert];
}

/* Rows of y that one block of a matvec kernel computes together. */
struct members {
    uint32_t expert, count;
    uint32_t first;       /* without a list: they follow each other from here on */
    const uint32_t *list; /* or NULL */
};

/* The rows that chose the same expert as `first`; none when one before it did: that one's block
 * computes them. By the whole block; list has n_row + 1 entries. */
DEVICE uint32_t find_alike(uint32_t *list, const uint32_t *chosen, uint32_t n_row, uint32_t first)
{
    if (threadIdx.x < 32) {
        const uint32_t expert = chosen[first];
        uint32_t count = 0;
        bool is_first = true;
        for (uint32_t base = 0; base < n_row; base += 32) {
            const uint32_t row = base + threadIdx.x;
            const bool is_alike = row < n_row && chosen[row] == expert;
            const uint32_t alike = __ballot_sync(~0u, is_alike);
            if (is_alike)
                list[count + __popc(alike & ((1u << threadIdx.x) - 1))] = row;
            is_first &= !__any_sync(~0u, is_alike && row < first);
            count += __popc(alike);
        }
        if (threadIdx.x == 0)
            list[n_row] = is_first ? count : 0;
    }
    __syncthreads();
    return list[n_row];
}

/* blockIdx.y is a row where rows have experts, else a number of a.each rows. */
template <int N> DEVICE struct members members_of(const struct weir_matvec_args &a, uint32_t *list)
{
    const uint32_t *chosen = (const uint32_t *)a.rows.chosen;
    const uint32_t first = a.each * blockIdx.y;
    if (chosen == NULL)
        return {0, min(a.each, a.rows.n_row - first), first, NULL};
    if (N == 1)
        return {chosen[blockIdx.y], 1, blockIdx.y, NULL};
    return {chosen[blockIdx.y], find_alike(list, chosen, a.rows.n_row, blockIdx.y), 0, list};
}

/* Which matrix of a list this block has a part of, and which part of how many. */
struct portion {
    uint32_t matrix, part, parts;
};

DEVICE struct portion portion_of(const struct weir_matvec_list &all)
{
    uint32_t matrix = 0;
    uint32_t begin = 0;
    while (blockIdx.x >= all.end[matrix])
        begin = all.end[matrix++];
    return {matrix, blockIdx.x - begin, all.end[matrix] - begin};
}

DEVICE uint32_t member_at(const struct members &members, uint32_t i)
{
    return members.list == NULL ? members.first + i : members.list[i];
}

DEVICE const float *x_row(const struct weir_cuda_rows &rows, uint32_t row)
{
    return (const float *)rows.x + (uint64_t)(row / rows.x_per) * rows.x_stride;
}

/* y of a row of x and a row of W, from their product. */
DEVICE void put_y(const struct weir_cuda_weights &w, const struct weir_cuda_rows &rows,
                  uint32_t expert, uint32_t row, uint32_t w_row, float product)
{
    float *y = (float *)rows.y + (uint64_t)row * rows.y_stride + w_row;
    float value =
        __fmul_rn(product, w.scale_of != 0 ? ((const float *)w.scale_of)[expert] : w.scale);
    if (w.bias != 0)
        value = __fadd_rn(value, ((const float *)w.bias)[(uint64_t)expert * w.rows + w_row]);
    *y = rows.adds ? __fadd_rn(*y, value) : value;
}

#endif
