/* plain.cuh - formats whose blocks have one scale for a unit: Q4_0 to Q8_0, IQ4_NL, MXFP4, NVFP4,
 * Q1_0, Q2_0. quant/ draws their bytes. */
#ifndef WEIR_CUDA_PLAIN_CUH
#define WEIR_CUDA_PLAIN_CUH

#include "gpu/cuda/formats/blocks.cuh"

struct q8_0 : plain {
    enum { LEN = 32, BYTES = 34, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        load_bytes<16, 2>(out.steps, block + 2 + 16 * run);
        out.scale = half_at(load_u16(block));
    }
};

struct q4_0 : plain {
    enum { LEN = 32, BYTES = 18, OFFSET = 8 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        uint32_t qs[4];
        load_bytes<16, 2>(qs, block + 2);
        for (int i = 0; i < 4; i++)
            out.steps[i] = nibbles(qs[i], run);
        out.scale = half_at(load_u16(block));
    }
};

struct q4_1 : plain {
    enum { LEN = 32, BYTES = 20, HAS_MINIMUM = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        uint32_t words[5];
        load_bytes<20, 4>(words, block);
        for (int i = 0; i < 4; i++)
            out.steps[i] = nibbles(words[1 + i], run);
        out.scale = half_at(words[0]);
        out.minimum = -half_high(words[0]);
    }
};

/* The nibbles of a run with their fifth bits. */
DEVICE void five_bits(uint32_t steps[4], const uint32_t qs[4], uint32_t qh, int run)
{
    for (int i = 0; i < 4; i++)
        steps[i] = nibbles(qs[i], run) | spread_bits(qh >> (16 * run + 4 * i)) << 4;
}

struct q5_0 : plain {
    enum { LEN = 32, BYTES = 22, OFFSET = 16 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        uint32_t words[5];
        load_bytes<20, 2>(words, block + 2);
        five_bits(out.steps, words + 1, words[0], run);
        out.scale = half_at(load_u16(block));
    }
};

struct q5_1 : plain {
    enum { LEN = 32, BYTES = 24, HAS_MINIMUM = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        uint32_t words[6];
        load_bytes<24, 8>(words, block);
        five_bits(out.steps, words + 2, words[1], run);
        out.scale = half_at(words[0]);
        out.minimum = -half_high(words[0]);
    }
};

struct iq4_nl : plain {
    enum { LEN = 32, BYTES = 18, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        const uint32_t table[4] = IQ4_STEPS;
        uint32_t qs[4];
        load_bytes<16, 2>(qs, block + 2);
        for (int i = 0; i < 4; i++)
            out.steps[i] = look_up(table, qs[i], run);
        out.scale = half_at(load_u16(block));
    }
};

struct mxfp4 : plain {
    enum { LEN = 32, BYTES = 17, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int, int run)
    {
        const uint32_t table[4] = FP4_STEPS;
        uint32_t qs[4];
        load_bytes<16, 1>(qs, block + 1);
        for (int i = 0; i < 4; i++)
            out.steps[i] = look_up(table, qs[i], run);
        out.scale = half_of_e8m0(block[0]);
    }
};

/* A run has a scale of its own here, and 8 bytes: four words of low nibbles, then high ones. */
struct nvfp4 : plain {
    enum { LEN = 64, BYTES = 36, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t table[4] = FP4_STEPS;
        uint32_t qs[2];
        load_bytes<8, 4>(qs, block + 4 + 16 * part + 8 * run);
        for (int i = 0; i < 2; i++) {
            out.steps[i] = look_up(table, qs[i], 0);
            out.steps[2 + i] = look_up(table, qs[i], 1);
        }
        out.scale = e4m3_magnitude(block[2 * part + run], 0x1p119f);
    }
};

struct q1_0 : plain {
    enum { LEN = 128, BYTES = 18, OFFSET = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t bits = load_u16(block + 2 + 4 * part + 2 * run);
        for (int i = 0; i < 4; i++)
            out.steps[i] = spread_bits(bits >> 4 * i) << 1;
        out.scale = half_at(load_u16(block));
    }
};

struct q2_0 : plain {
    enum { LEN = 64, BYTES = 18, OFFSET = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        uint32_t bits;
        load_bytes<4, 2>(&bits, block + 2 + 8 * part + 4 * run);
        for (int i = 0; i < 4; i++) {
            const uint32_t byte = bits >> 8 * i & 255;
            const uint32_t pairs = (byte | byte << 12) & 0x000f000f;
            out.steps[i] = (pairs | pairs << 6) & 0x03030303;
        }
        out.scale = half_at(load_u16(block));
    }
};

#endif
