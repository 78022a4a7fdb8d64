/* blocks.cuh - what the decoding of every format stands on: bytes, and runs of steps.
 *
 * A format is a struct. Its blocks have LEN values in BYTES bytes, and are taken apart by units of
 * 32 values, each of two runs of 16 values: those whose bits lie in the same bytes. GAP is the way
 * from one run of a unit to the other, so units of a row lie
 *
 *   GAP 16   run 0 of unit u at column 32 u
 *       32   64 (u / 2) + 16 (u % 2)
 *       64   128 (u / 4) + 16 (u % 4)
 *
 * and get() gives run `run`, 0 or 1, of unit `part` of a block, which lies as if block 0 of its row
 * were at a multiple of 16 bytes:
 *
 *   x[i] = scale * (step[i] - OFFSET) - minimum
 */
#ifndef WEIR_CUDA_BLOCKS_CUH
#define WEIR_CUDA_BLOCKS_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#define DEVICE static __device__ __forceinline__

/* 16 steps, four in a word as signed bytes, the first lowest. */
struct run {
    uint32_t steps[4];
    float scale, minimum;
};

/* What most formats are like; a format's struct says what is otherwise. HAS_MINUS: steps are bytes
 * with a sign, else none is beyond 127. */
struct plain {
    enum { GAP = 16, OFFSET = 0, HAS_MINIMUM = 0, HAS_MINUS = 0 };
};

DEVICE uint32_t unit_column(uint32_t unit, uint32_t gap)
{
    const uint32_t units = gap / 16;
    return unit / units * (2 * gap) + unit % units * 16;
}

/* BYTES bytes as words. ALIGN: what their address is a multiple of. Nothing is read but aligned
 * words that have one of these bytes. */
template <int BYTES, int ALIGN> DEVICE void load_bytes(uint32_t *out, const uint8_t *from)
{
    enum { WORDS = (BYTES + 3) / 4 };
    if constexpr (ALIGN >= 16 && BYTES % 16 == 0) {
        for (int i = 0; i < WORDS / 4; i++) {
            const uint4 four = ((const uint4 *)from)[i];
            out[4 * i] = four.x;
            out[4 * i + 1] = four.y;
            out[4 * i + 2] = four.z;
            out[4 * i + 3] = four.w;
        }
    } else if constexpr (ALIGN >= 8 && BYTES % 8 == 0) {
        for (int i = 0; i < WORDS / 2; i++) {
            const uint2 two = ((const uint2 *)from)[i];
            out[2 * i] = two.x;
            out[2 * i + 1] = two.y;
        }
    } else if constexpr (ALIGN >= 4) {
        for (int i = 0; i < WORDS; i++)
            out[i] = ((const uint32_t *)from)[i];
    } else {
        const uint32_t skip = (uint32_t)(uintptr_t)from & 3;
        const uint32_t *words = (const uint32_t *)(from - skip);
        const uint32_t last = (skip + BYTES - 1) / 4;
        uint32_t low = words[0];
#pragma unroll
        for (uint32_t i = 0; i < WORDS; i++) {
            const uint32_t high = words[i + 1 <= (BYTES - 1) / 4 ? i + 1 : min(i + 1, last)];
            out[i] = __funnelshift_r(low, high, 8 * skip);
            low = high;
        }
    }
}

/* At an even address. */
DEVICE uint32_t load_u16(const uint8_t *from)
{
    return *(const uint16_t *)from;
}

/* The f16 in the low bits. */
DEVICE float half_at(uint32_t bits)
{
    return __half2float(__ushort_as_half((unsigned short)bits));
}

DEVICE float half_high(uint32_t bits)
{
    return half_at(bits >> 16);
}

/* Low or high nibbles of four bytes. */
DEVICE uint32_t nibbles(uint32_t word, int is_high)
{
    return word >> 4 * is_high & 0x0f0f0f0f;
}

/* Four bits, the lowest of each byte of a word. */
DEVICE uint32_t spread_bits(uint32_t bits)
{
    return (bits & 15) * 0x00204081 & 0x01010101;
}

/* What the four nibbles in the low bits of `codes` stand for in a table of 16 bytes. */
DEVICE uint32_t look_up_four(const uint32_t table[4], uint32_t codes)
{
    const uint32_t low = __byte_perm(table[0], table[1], codes & 0x7777);
    const uint32_t high = __byte_perm(table[2], table[3], codes & 0x7777);
    return __byte_perm(low, high, 0x3210 | (codes & 0x8888) >> 1);
}

/* What the low or high nibbles of a word's bytes stand for. */
DEVICE uint32_t look_up(const uint32_t table[4], uint32_t word, int is_high)
{
    const uint32_t a = look_up_four(table, word);
    const uint32_t b = look_up_four(table, word >> 16);
    return __byte_perm(a, b, is_high ? 0x7531 : 0x6420);
}

/* weir_iq4_nl_steps and weir_mxfp4_steps (quant/), the first lowest. */
#define IQ4_STEPS                                                                                  \
    {                                                                                              \
        0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535                                             \
    }
#define FP4_STEPS                                                                                  \
    {                                                                                              \
        0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc                                             \
    }

/* The float whose bits are those of an 8-bit one of four bits of exponent, without its sign, is
 * 2^-120 of its value. */
DEVICE float e4m3_magnitude(uint32_t code, float scale)
{
    return (code & 0x7f) == 0x7f ? __uint_as_float(0x7fc00000)
                                 : __uint_as_float((code & 0x7f) << 20) * scale;
}

/* 2^(e - 128); the two least are subnormal, and 255 is not a number. */
DEVICE float half_of_e8m0(uint32_t e)
{
    return __uint_as_float(e == 255 ? 0x7fc00000 : e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

#endif
