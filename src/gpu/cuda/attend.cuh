/* attend.cuh - what the kernels of attention share: tensor cores, pages, what a row sees.
 *
 * Scores are kept times log2(e), so that the softmax needs powers of 2 alone. */
#ifndef WEIR_CUDA_ATTEND_CUH
#define WEIR_CUDA_ATTEND_CUH

#include "gpu/cuda/attention_args.h"

static constexpr float MINUS_INFINITY = -__builtin_huge_valf();

struct fragment_a {
    uint32_t at[4];
};

/* d += a b, 16 x 16 by 16 x 8, f16 with sums of f32. */
static __device__ __forceinline__ void multiply(float (&d)[4], const fragment_a &a, uint32_t b0,
                                                uint32_t b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a.at[0]), "r"(a.at[1]), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a.at[2]), "r"(a.at[3]), "r"(b1));
#endif
}

/* 2 to the x; 0 for minus infinity. */
static __device__ __forceinline__ float power(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Two floats as halves, rounded to nearest even. */
static __device__ __forceinline__ uint32_t halves_of(float low, float high)
{
    uint32_t halves;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(high), "f"(low));
#else
    asm("{.reg .f16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}"
        : "=r"(halves)
        : "f"(low), "f"(high));
#endif
    return halves;
}

static __device__ __forceinline__ float float_of(uint16_t half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

/* What rounding to halves left away, as halves: both together hold 22 bits. */
static __device__ __forceinline__ uint32_t rest_of(float low, float high, uint32_t halves)
{
    float one, other;
    asm("{.reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}"
        : "=f"(one), "=f"(other)
        : "r"(halves));
    return halves_of(low - one, high - other);
}

/* A score that a position has: what is not finite is made what is not a number, which no maximum
 * and no power hides. */
static __device__ __forceinline__ float noticed(float score)
{
    return fmaf(0.0f, score, score);
}

/* The first position that a position sees. */
static __device__ __forceinline__ uint32_t first_seen(const weir_attention_args &a,
                                                      uint32_t position)
{
    if (a.window == 0)
        return 0;
    if (a.is_in_chunks)
        return position / a.window * a.window;
    return position < a.window ? 0 : position + 1 - a.window;
}

/* K or V of one KV head of one sequence. */
struct keys {
    const uint16_t *base;
    const uint32_t *pages;
    uint64_t page_stride;
    uint32_t shift, row;

    __device__ __forceinline__ const uint16_t *page_at(uint32_t position) const
    {
        return base + pages[position >> shift] * page_stride;
    }
    __device__ __forceinline__ const uint16_t *at(uint32_t position) const
    {
        return page_at(position) + (position & ((1u << shift) - 1)) * row;
    }
};

static __device__ __forceinline__ keys keys_of(const weir_attention_args &a, bool is_v,
                                               uint32_t kv_head, uint32_t table_at)
{
    const uint32_t width = is_v ? a.d_value : a.d_head;
    const uint64_t head = (static_cast<uint64_t>(kv_head) << a.page_shift) * width;
    return {reinterpret_cast<const uint16_t *>(is_v ? a.v : a.k) + head,
            reinterpret_cast<const uint32_t *>(a.pages) + table_at, a.page_stride, a.page_shift,
            is_v ? a.v_row : a.k_row};
}

#endif
