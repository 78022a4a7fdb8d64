/* k.cuh - formats of 256 values with scales of sub-blocks: Q2_K to Q6_K, IQ4_XS, TQ1_0, TQ2_0.
 * quant/ draws their bytes. */
#ifndef WEIR_CUDA_K_CUH
#define WEIR_CUDA_K_CUH

#include "gpu/cuda/formats/blocks.cuh"

/* Scale and minimum of a run of Q4_K and Q5_K, as weir_k_scale() (quant/q4_k.h) has them. */
DEVICE void k_scale(struct run &out, const uint32_t header[4], int part, int run)
{
    const bool is_late = part >= 4;
    const uint32_t scales =
        is_late ? (header[3] & 0x0f0f0f0f) | (header[1] >> 2 & 0x30303030) : header[1] & 0x3f3f3f3f;
    const uint32_t minimums = is_late
                                  ? (header[3] >> 4 & 0x0f0f0f0f) | (header[2] >> 2 & 0x30303030)
                                  : header[2] & 0x3f3f3f3f;
    const int shift = 8 * ((part & 2) + run);
    out.scale = half_at(header[0]) * (float)(scales >> shift & 255);
    out.minimum = half_high(header[0]) * (float)(minimums >> shift & 255);
}

struct q4_k : plain {
    enum { LEN = 256, BYTES = 144, GAP = 32, HAS_MINIMUM = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        uint32_t header[4];
        uint32_t qs[4];
        load_bytes<16, 16>(header, block);
        load_bytes<16, 16>(qs, block + 16 + 16 * part);
        for (int i = 0; i < 4; i++)
            out.steps[i] = nibbles(qs[i], run);
        k_scale(out, header, part, run);
    }
};

struct q5_k : plain {
    enum { LEN = 256, BYTES = 176, GAP = 32, HAS_MINIMUM = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const int s = (part & ~1) + run;
        uint32_t header[4];
        uint32_t qh[4];
        uint32_t qs[4];
        load_bytes<16, 16>(header, block);
        load_bytes<16, 16>(qh, block + 16 + 16 * (part & 1));
        load_bytes<16, 16>(qs, block + 48 + 16 * part);
        for (int i = 0; i < 4; i++)
            out.steps[i] = nibbles(qs[i], run) | (qh[i] >> s & 0x01010101) << 4;
        k_scale(out, header, part, run);
    }
};

struct q6_k : plain {
    enum { LEN = 256, BYTES = 210, GAP = 64, OFFSET = 32 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const int half = part / 4;
        const int k = part % 4;
        const int shift = 4 * run + 2 * (k / 2);
        uint32_t ql[4];
        uint32_t qh[4];
        load_bytes<16, 2>(ql, block + 64 * half + 16 * k);
        load_bytes<16, 2>(qh, block + 128 + 32 * half + 16 * (k & 1));
        for (int i = 0; i < 4; i++)
            out.steps[i] = nibbles(ql[i], run) | (qh[i] >> shift & 0x03030303) << 4;
        out.scale =
            half_at(load_u16(block + 208)) * (float)(int8_t)block[192 + 8 * half + k + 4 * run];
    }
};

/* Where units of steps of two bits are: 16 bytes of them have four runs. */
struct two_bits {
    int from, shift, s; /* the first byte, the place of the bits, the sub-block of 16 values */
};
DEVICE struct two_bits two_bits_of(int part, int run)
{
    const int half = part / 4;
    const int pair = part / 2 % 2;
    const int low = part % 2;
    return {32 * half + 16 * low, 4 * pair + 2 * run, 8 * half + 4 * pair + low + 2 * run};
}

struct q2_k : plain {
    enum { LEN = 256, BYTES = 84, GAP = 32, HAS_MINIMUM = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const struct two_bits at = two_bits_of(part, run);
        uint32_t qs[4];
        uint32_t d;
        load_bytes<16, 4>(qs, block + 16 + at.from);
        load_bytes<4, 4>(&d, block + 80);
        for (int i = 0; i < 4; i++)
            out.steps[i] = qs[i] >> at.shift & 0x03030303;
        out.scale = half_at(d) * (float)(block[at.s] & 15);
        out.minimum = half_high(d) * (float)(block[at.s] >> 4);
    }
};

struct q3_k : plain {
    enum { LEN = 256, BYTES = 110, GAP = 32, OFFSET = 4 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const struct two_bits at = two_bits_of(part, run);
        const int low = block[96 + at.s % 8] >> 4 * (at.s / 8) & 15;
        const int high = block[104 + at.s % 4] >> 2 * (at.s / 4) & 3;
        uint32_t mask[4];
        uint32_t qs[4];
        load_bytes<16, 2>(mask, block + 16 * (part & 1));
        load_bytes<16, 2>(qs, block + 32 + at.from);
        for (int i = 0; i < 4; i++)
            out.steps[i] = (qs[i] >> at.shift & 0x03030303) |
                           (mask[i] >> ((part & ~1) + run) & 0x01010101) << 2;
        out.scale = half_at(load_u16(block + 108)) * (float)(low + 16 * high - 32);
    }
};

struct tq2_0 : plain {
    enum { LEN = 256, BYTES = 66, GAP = 32, OFFSET = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const struct two_bits at = two_bits_of(part, run);
        uint32_t qs[4];
        load_bytes<16, 2>(qs, block + at.from);
        for (int i = 0; i < 4; i++)
            out.steps[i] = qs[i] >> at.shift & 0x03030303;
        out.scale = half_at(load_u16(block + 64));
    }
};

struct iq4_xs : plain {
    enum { LEN = 256, BYTES = 136, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t table[4] = IQ4_STEPS;
        uint32_t header[2];
        uint32_t qs[4];
        load_bytes<8, 8>(header, block);
        load_bytes<16, 8>(qs, block + 8 + 16 * part);
        for (int i = 0; i < 4; i++)
            out.steps[i] = look_up(table, qs[i], run);
        const int low = header[1] >> 4 * part & 15;
        const int high = header[0] >> (16 + 2 * part) & 3;
        out.scale = half_at(header[0]) * (float)(low + 16 * high - 32);
    }
};

/* The digit of each byte of a word that is left when `power` of them have been multiplied out
 * (quant/tq1_0.h): products are taken in lanes of 16 bits. */
DEVICE uint32_t digits(uint32_t bytes, uint32_t power)
{
    const uint32_t even = (bytes & 0x00ff00ff) * power & 0x00ff00ff;
    const uint32_t odd = (bytes >> 8 & 0x00ff00ff) * power & 0x00ff00ff;
    return (even * 3 >> 8 & 0x00ff00ff) | (odd * 3 & 0xff00ff00);
}

DEVICE uint32_t power_of_three(int n)
{
    return n == 0 ? 1 : n == 1 ? 3 : n == 2 ? 9 : n == 3 ? 27 : 81;
}

struct tq1_0 : plain {
    enum { LEN = 256, BYTES = 54, OFFSET = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const bool is_last = part == 7 && run == 1;
        const int n = part < 5 ? part : 2 * (part - 5) + run;
        uint32_t words[4];
        load_bytes<16, 2>(words, block + (part < 5 ? 16 * run : 32));
        if (is_last)
            load_bytes<4, 2>(words, block + 48);
        for (int i = 0; i < 4; i++)
            out.steps[i] =
                is_last ? digits(words[0], power_of_three(i)) : digits(words[i], power_of_three(n));
        out.scale = half_at(load_u16(block + 52));
    }
};

#endif
