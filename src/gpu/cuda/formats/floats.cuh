/* floats.cuh - formats whose values stand for themselves: F32, F16, BF16, and codes whose scales
 * are another tensor's (F8_E4M3, F4_E2M1, I4). quant/ and struct weir_scales say how they lie. */
#ifndef WEIR_CUDA_FLOATS_CUH
#define WEIR_CUDA_FLOATS_CUH

#include "gpu/cuda/formats/blocks.cuh"
#include "gpu/cuda/matmul_args.h"
#include "quant/quant.h"

/* get() gives eight values from a column on that is a multiple of 8, codes less their scale; ALIGN:
 * what the row's address is a multiple of. */
struct f32 {
    enum { BITS = 32, HAS_SCALES = 0 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t)
    {
        uint32_t words[8];
        load_bytes<32, ALIGN>(words, from);
        for (int i = 0; i < 8; i++)
            out[i] = __uint_as_float(words[i]);
    }
};

struct f16 {
    enum { BITS = 16, HAS_SCALES = 0 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t)
    {
        uint32_t words[4];
        load_bytes<16, ALIGN>(words, from);
        for (int i = 0; i < 4; i++) {
            out[2 * i] = half_at(words[i]);
            out[2 * i + 1] = half_high(words[i]);
        }
    }
};

struct bf16 {
    enum { BITS = 16, HAS_SCALES = 0 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t)
    {
        uint32_t words[4];
        load_bytes<16, ALIGN>(words, from);
        for (int i = 0; i < 4; i++) {
            out[2 * i] = __uint_as_float(words[i] << 16);
            out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000);
        }
    }
};

struct f8_e4m3 {
    enum { BITS = 8, HAS_SCALES = 1 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t)
    {
        uint32_t words[2];
        load_bytes<8, ALIGN>(words, from);
        for (int i = 0; i < 8; i++) {
            const uint32_t code = words[i / 4] >> 8 * (i % 4);
            out[i] = e4m3_magnitude(code, (code & 0x80) != 0 ? -0x1p120f : 0x1p120f);
        }
    }
};

struct f4_e2m1 {
    enum { BITS = 4, HAS_SCALES = 1 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t)
    {
        const uint32_t table[4] = FP4_STEPS;
        uint32_t word;
        load_bytes<4, ALIGN>(&word, from);
        for (int i = 0; i < 2; i++) {
            const uint32_t steps = look_up_four(table, word >> 16 * i);
            for (int j = 0; j < 4; j++)
                out[4 * i + j] = 0.5f * (float)(int8_t)(steps >> 8 * j);
        }
    }
};

struct i4 {
    enum { BITS = 4, HAS_SCALES = 1 };
    template <int ALIGN> DEVICE void get(float out[8], const uint8_t *from, uint32_t zero)
    {
        uint32_t word;
        load_bytes<4, ALIGN>(&word, from);
        for (int i = 0; i < 8; i++)
            out[i] = (float)((int)(word >> 4 * i & 15) - (int)zero);
    }
};

/* The scales of a row of codes; scales of a struct weir_cuda_place, or none. */
struct scale_row {
    const uint8_t *scales, *zeros; /* NULL: there are none */
    uint32_t group_cols, type, zero_shift;
};

DEVICE struct scale_row scale_row_of(const struct weir_cuda_scales &form,
                                     const struct weir_cuda_place &place, uint32_t row)
{
    struct scale_row out = {NULL, NULL, form.group_cols, form.type, row % 2 * 4};
    if (place.scales != 0)
        out.scales = (const uint8_t *)place.scales + row / form.group_rows * form.row_bytes;
    if (place.zeros != 0) /* quant/i4.h */
        out.zeros = (const uint8_t *)place.zeros + row / 8 * form.zero_row_bytes + row % 8 / 2;
    return out;
}

DEVICE uint32_t zero_at(const struct scale_row &row, uint32_t group)
{
    return row.zeros == NULL ? 8 : row.zeros[4 * group] >> row.zero_shift & 15;
}

DEVICE float scale_at(const struct scale_row &row, uint32_t group)
{
    uint32_t word;
    if (row.scales == NULL)
        return 1.0f;
    switch (row.type) {
    case WEIR_SCALE_F32:
        load_bytes<4, 1>(&word, row.scales + 4 * group);
        return __uint_as_float(word);
    case WEIR_SCALE_F16:
        load_bytes<2, 1>(&word, row.scales + 2 * group);
        return half_at(word);
    case WEIR_SCALE_BF16:
        load_bytes<2, 1>(&word, row.scales + 2 * group);
        return __uint_as_float(word << 16);
    case WEIR_SCALE_F8_E4M3:
        word = row.scales[group];
        return e4m3_magnitude(word, (word & 0x80) != 0 ? -0x1p120f : 0x1p120f);
    default:
        return 2.0f * half_of_e8m0(row.scales[group]);
    }
}

#endif
