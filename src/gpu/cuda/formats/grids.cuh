/* grids.cuh - formats of codebooks: IQ1_S to IQ3_S. quant/ draws their bytes. */
#ifndef WEIR_CUDA_GRIDS_CUH
#define WEIR_CUDA_GRIDS_CUH

#include "gpu/cuda/formats/blocks.cuh"
#include "quant/grids.c" /* the codebooks, as memory of the device */

/* Steps of an entry's sizes, minus where one of four signs is set. No size is 0, so nothing is
 * carried from one byte to the next. */
DEVICE uint32_t with_signs(uint32_t sizes, uint32_t signs)
{
    const uint32_t minus = spread_bits(signs);
    return (sizes ^ minus * 255) + minus;
}

/* Eight steps: an entry of eight sizes. */
DEVICE void put_signed(uint32_t steps[2], uint64_t sizes, uint32_t signs)
{
    steps[0] = with_signs((uint32_t)sizes, signs);
    steps[1] = with_signs((uint32_t)(sizes >> 32), signs >> 4);
}

/* Eight steps of IQ1's codebook, which has them in eighths and 8 too large, with a delta of an
 * eighth more or less: 9 too large. */
DEVICE void put_ternary(uint32_t steps[2], uint64_t entry, bool is_less)
{
    const uint32_t delta = is_less ? 0 : 0x02020202;
    steps[0] = (uint32_t)entry + delta;
    steps[1] = (uint32_t)(entry >> 32) + delta;
}

DEVICE uint32_t even_signs(uint32_t seven)
{
    return seven | (__popc(seven) & 1) << 7;
}

/* d / divisor times the odd number that a few bits stand for. */
DEVICE float odd_scale(uint32_t d, float part, uint32_t bits)
{
    return half_at(d) * part * (float)(2 * bits + 1);
}

struct iq1_s : plain {
    enum { LEN = 256, BYTES = 50, OFFSET = 9 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t high = load_u16(block + 34 + 2 * part);
        const uint32_t low = load_u16(block + 2 + 4 * part + 2 * run);
        for (int g = 0; g < 2; g++)
            put_ternary(out.steps + 2 * g,
                        weir_iq1_grid[(low >> 8 * g & 255) | (high >> 3 * (2 * run + g) & 7) << 8],
                        (high & 0x8000) != 0);
        out.scale = odd_scale(load_u16(block), 0.125f, high >> 12 & 7);
    }
};

struct iq1_m : plain {
    enum { LEN = 256, BYTES = 56, OFFSET = 9 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const int s = 2 * part + run;
        const uint32_t low = load_u16(block + 2 * s);
        const uint32_t high = block[32 + s];
        uint32_t scales[2];
        load_bytes<8, 8>(scales, block + 48);
        const uint32_t d = (scales[0] >> 12 & 0x000f) | (scales[0] >> 24 & 0x00f0) |
                           (scales[1] >> 4 & 0x0f00) | (scales[1] >> 16 & 0xf000);
        for (int g = 0; g < 2; g++)
            put_ternary(out.steps + 2 * g,
                        weir_iq1_grid[(low >> 8 * g & 255) | (high >> 4 * g & 7) << 8],
                        (high >> 4 * g & 8) != 0);
        out.scale = odd_scale(d, 0.125f, load_u16(block + 48 + s / 4 * 2) >> 3 * (s % 4) & 7);
    }
};

struct iq2_xxs : plain {
    enum { LEN = 256, BYTES = 66, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        uint32_t words[2];
        load_bytes<8, 2>(words, block + 2 + 8 * part);
        for (int g = 0; g < 2; g++)
            put_signed(out.steps + 2 * g, weir_iq2_xxs_grid[words[0] >> 8 * (2 * run + g) & 255],
                       even_signs(words[1] >> 7 * (2 * run + g) & 127));
        out.scale = odd_scale(load_u16(block), 0.125f, words[1] >> 28);
    }
};

struct iq2_xs : plain {
    enum { LEN = 256, BYTES = 74, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        uint32_t qs;
        load_bytes<4, 2>(&qs, block + 2 + 8 * part + 4 * run);
        for (int g = 0; g < 2; g++)
            put_signed(out.steps + 2 * g, weir_iq2_xs_grid[qs >> 16 * g & 511],
                       even_signs(qs >> (16 * g + 9) & 127));
        out.scale = odd_scale(load_u16(block), 0.125f, block[66 + part] >> 4 * run & 15);
    }
};

struct iq2_s : plain {
    enum { LEN = 256, BYTES = 82, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t qs = load_u16(block + 2 + 4 * part + 2 * run);
        const uint32_t signs = load_u16(block + 34 + 4 * part + 2 * run);
        const uint32_t high = block[66 + part] >> 4 * run;
        for (int g = 0; g < 2; g++)
            put_signed(out.steps + 2 * g,
                       weir_iq2_s_grid[(qs >> 8 * g & 255) | (high >> 2 * g & 3) << 8],
                       signs >> 8 * g & 255);
        out.scale = odd_scale(load_u16(block), 0.125f, block[74 + part] >> 4 * run & 15);
    }
};

struct iq3_xxs : plain {
    enum { LEN = 256, BYTES = 98, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        uint32_t qs;
        uint32_t word;
        load_bytes<4, 2>(&qs, block + 2 + 8 * part + 4 * run);
        load_bytes<4, 2>(&word, block + 66 + 4 * part);
        for (int g = 0; g < 4; g++)
            out.steps[g] =
                with_signs(weir_iq3_xxs_grid[qs >> 8 * g & 255],
                           even_signs(word >> 7 * (2 * run + g / 2) & 127) >> 4 * (g % 2));
        out.scale = odd_scale(load_u16(block), 0.25f, word >> 28);
    }
};

struct iq3_s : plain {
    enum { LEN = 256, BYTES = 110, HAS_MINUS = 1 };
    DEVICE void get(struct run &out, const uint8_t *block, int part, int run)
    {
        const uint32_t high = block[66 + part] >> 4 * run;
        const uint32_t signs = load_u16(block + 74 + 4 * part + 2 * run);
        uint32_t qs;
        load_bytes<4, 2>(&qs, block + 2 + 8 * part + 4 * run);
        for (int g = 0; g < 4; g++)
            out.steps[g] = with_signs(weir_iq3_s_grid[(qs >> 8 * g & 255) | (high >> g & 1) << 8],
                                      signs >> 4 * g);
        out.scale = odd_scale(load_u16(block), 1.0f, block[106 + part / 2] >> 4 * (part % 2) & 15);
    }
};

#endif
