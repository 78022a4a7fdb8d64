/* k_neon.c - super-blocks of 256 values on 128-bit registers with dot product: four rows are the
 * lanes.
 *
 * A super-block is read in groups: bytes whose low and high nibbles are one unit each, the steps
 * of a sub-block. Q4_K has 4 groups of 32 bytes, Q6_K 8 groups of 16.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^28. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum), then
 *     sum = fma(-float(minimums), dmin * activation scale, sum),
 *     whatever the number of rows and tokens. */
#include "kernels/arm/rows4_neon.h"
#include "quant/q4_k.h"
#include "quant/q6_k.h"

enum { PANEL_BLOCKS = 2, STEPS = 64, SUB_BLOCKS_MAX = 16 };

/* What a super-block of 4 rows has beside its steps. */
struct head {
    float32x4_t scale;
    int32x4_t scales[SUB_BLOCKS_MAX];
    float32x4_t minimum_scale; /* Q4_K only, as are minimums */
    int16x4_t minimums[8];
};

struct panel {
    struct head head;
    int8x16_t steps[STEPS];
};

typedef const struct weir_act_q8_256 *act_blocks;
typedef struct panel panel_block;
enum { BLOCK_VALUES = 256 };

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K ? sizeof(struct weir_q4_k) : sizeof(struct weir_q6_k);
}

WEIR_INLINE int group_count(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K ? 4 : 8;
}

/* Registers of steps of a unit, each with 4 of each row. */
WEIR_INLINE int unit_words(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K ? 8 : 4;
}

/* The sub-block that a unit of a group is. Nibbles of the same byte are 32 values apart in Q4_K, 64
 * in Q6_K, whose sub-blocks have 16: those between come from other bytes. */
WEIR_INLINE int unit_at(int group, int which, const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K ? 2 * group + which : group / 4 * 8 + which * 4 + group % 4;
}

/* Byte j of each lane. */
WEIR_INLINE int32x4_t byte_of(uint8x16_t words, int j)
{
    const uint32x4_t shifted = vshlq_u32(vreinterpretq_u32_u8(words), vdupq_n_s32(-8 * j));
    return vreinterpretq_s32_u32(vandq_u32(shifted, vdupq_n_u32(255)));
}

WEIR_INLINE int32x4_t signed_byte_of(uint8x16_t words, int j)
{
    const int32x4_t shifted = vshlq_s32(vreinterpretq_s32_u8(words), vdupq_n_s32(24 - 8 * j));
    return vshrq_n_s32(shifted, 24);
}

/* The first 16 bytes of Q4_K; q4_k.h draws where the bits of the 6-bit numbers lie. */
WEIR_INLINE void load_head_q4_k(const struct rows4 *rows, struct head *head)
{
    const uint8x16_t six = vdupq_n_u8(63);
    const uint8x16_t two = vdupq_n_u8(0x30);
    uint8x16_t words[4];
    rows4_words(rows, 0, words);
    const uint32x4_t halves = vreinterpretq_u32_u8(words[0]);
    head->scale = vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(halves)));
    head->minimum_scale = vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(halves, 16)));
    const uint8x16_t scales[2] = {
        vandq_u8(words[1], six),
        vorrq_u8(vandq_u8(words[3], vdupq_n_u8(15)), vandq_u8(vshrq_n_u8(words[1], 2), two))};
    const uint8x16_t minimums[2] = {
        vandq_u8(words[2], six),
        vorrq_u8(vshrq_n_u8(words[3], 4), vandq_u8(vshrq_n_u8(words[2], 2), two))};
    for (int s = 0; s < 8; s++) {
        head->scales[s] = byte_of(scales[s / 4], s % 4);
        head->minimums[s] = vmovn_s32(byte_of(minimums[s / 4], s % 4));
    }
}

WEIR_INLINE void load_head(const struct rows4 *rows, struct head *head, const enum weir_type type)
{
    if (type == WEIR_TYPE_Q4_K) {
        load_head_q4_k(rows, head);
        return;
    }
    uint8x16_t words[4];
    rows4_words(rows, offsetof(struct weir_q6_k, scales), words);
    head->scale = rows4_halves(rows, offsetof(struct weir_q6_k, d));
    for (int s = 0; s < 16; s++)
        head->scales[s] = signed_byte_of(words[s / 4], s % 4);
}

/* The upper two bits of a half of Q6_K. */
WEIR_INLINE void load_high(const struct rows4 *rows, int half, uint8x16_t high[8],
                           const enum weir_type type)
{
    if (type != WEIR_TYPE_Q6_K)
        return;
    const size_t at = offsetof(struct weir_q6_k, qh) + (size_t)half * 32;
    rows4_words(rows, at, high);
    rows4_words(rows, at + 16, high + 4);
}

/* Bits `from` and `from` + 1 of each byte, put above a nibble. */
WEIR_INLINE uint8x16_t above_nibble(uint8x16_t bytes, int from)
{
    return vandq_u8(vshlq_u8(bytes, vdupq_n_s8((int8_t)(4 - from))), vdupq_n_u8(0x30));
}

/* The steps of a group's two units; Q6_K's are left 32 too large. */
WEIR_INLINE void load_group(const struct rows4 *rows, int group, const uint8x16_t high[8],
                            int8x16_t *steps, const enum weir_type type)
{
    const int words = unit_words(type);
    const size_t steps_at =
        type == WEIR_TYPE_Q4_K ? offsetof(struct weir_q4_k, qs) : offsetof(struct weir_q6_k, ql);
    uint8x16_t bytes[8];
    for (int i = 0; i < words; i += 4)
        rows4_words(rows, steps_at + (size_t)(group * words + i) * 4, bytes + i);
    for (int i = 0; i < words; i++) {
        uint8x16_t low_unit = vandq_u8(bytes[i], vdupq_n_u8(15));
        uint8x16_t high_unit = vshrq_n_u8(bytes[i], 4);
        if (type == WEIR_TYPE_Q6_K) {
            const uint8x16_t bits = high[group % 2 * 4 + i];
            const int from = group % 4 / 2 * 2;
            low_unit = vorrq_u8(low_unit, above_nibble(bits, from));
            high_unit = vorrq_u8(high_unit, above_nibble(bits, from + 4));
        }
        steps[i] = vreinterpretq_s8_u8(low_unit);
        steps[words + i] = vreinterpretq_s8_u8(high_unit);
    }
}

/* totals[t] += one unit times token t's, t in [0, n). */
WEIR_INLINE void add_unit(const int8x16_t *steps, int32x4_t scale, int sub_block,
                          const act_blocks *x, size_t at, int32x4_t *totals, const int n,
                          const enum weir_type type)
{
    int32x4_t dots[WEIR_TOKEN_TILE];
    const int words = unit_words(type);
    for (int t = 0; t < n; t++)
        dots[t] = vdupq_n_s32(type == WEIR_TYPE_Q6_K ? x[t][at].offsets[sub_block] : 0);
    for (int i = 0; i < words; i += 4)
        for (int t = 0; t < n; t++)
            dots[t] =
                dot_16(dots[t], steps + i, vld1q_s8(x[t][at].q + 4 * (sub_block * words + i)));
    for (int t = 0; t < n; t++)
        totals[t] = vmlaq_s32(totals[t], dots[t], scale);
}

/* The sum over sub-blocks of a minimum of each row times a sum of activations. */
WEIR_INLINE int32x4_t dot_minimums(const int16x4_t minimums[8], int16x8_t sums)
{
    int32x4_t below = vmull_laneq_s16(minimums[0], sums, 0);
    below = vmlal_laneq_s16(below, minimums[1], sums, 1);
    below = vmlal_laneq_s16(below, minimums[2], sums, 2);
    below = vmlal_laneq_s16(below, minimums[3], sums, 3);
    below = vmlal_laneq_s16(below, minimums[4], sums, 4);
    below = vmlal_laneq_s16(below, minimums[5], sums, 5);
    below = vmlal_laneq_s16(below, minimums[6], sums, 6);
    return vmlal_laneq_s16(below, minimums[7], sums, 7);
}

/* sums[t] += the super-block whose units have been added up. */
WEIR_INLINE void add_totals(const struct head *head, const act_blocks *x, size_t at,
                            const int32x4_t *totals, float32x4_t *sums, const int n,
                            const enum weir_type type)
{
    for (int t = 0; t < n; t++) {
        const float scale = x[t][at].scale;
        sums[t] = vfmaq_f32(sums[t], vcvtq_f32_s32(totals[t]), vmulq_n_f32(head->scale, scale));
        if (type != WEIR_TYPE_Q4_K)
            continue;
        const int32x4_t below = dot_minimums(head->minimums, vld1q_s16(x[t][at].sums));
        sums[t] = vfmsq_f32(sums[t], vcvtq_f32_s32(below), vmulq_n_f32(head->minimum_scale, scale));
    }
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct panel *panel, size_t count, const uint8_t *x,
                           size_t x_row_bytes, float32x4_t *sums, const int n,
                           const enum weir_type type)
{
    act_blocks rows[WEIR_TOKEN_TILE];
    for (int t = 0; t < n; t++)
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
    for (size_t at = 0; at < count; at++) {
        int32x4_t totals[WEIR_TOKEN_TILE];
        for (int t = 0; t < n; t++)
            totals[t] = vdupq_n_s32(0);
        const int8x16_t *steps = panel[at].steps;
        for (int unit = 0; unit < 2 * group_count(type); unit++, steps += unit_words(type)) {
            const int sub_block = unit_at(unit / 2, unit % 2, type);
            add_unit(steps, panel[at].head.scales[sub_block], sub_block, rows, at, totals, n, type);
        }
        add_totals(&panel[at].head, rows, at, totals, sums, n, type);
    }
}

WEIR_INLINE void load_panel(const struct rows4 *rows, struct panel *panel,
                            const enum weir_type type)
{
    uint8x16_t high[8];
    load_head(rows, &panel->head, type);
    for (int group = 0; group < group_count(type); group++) {
        if (group % 4 == 0)
            load_high(rows, group / 4, high, type);
        load_group(rows, group, high, panel->steps + group * 2 * unit_words(type), type);
    }
}

#include "kernels/arm/panels4_neon.h"

/* One token: steps go from memory through registers into the sum. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows4 rows, float *y,
                         const enum weir_type type)
{
    const act_blocks x = job->x;
    float32x4_t sum = vdupq_n_f32(0.0f);
    for (size_t at = 0; at < job->cols / 256; at++) {
        struct head head;
        uint8x16_t high[8];
        int32x4_t total = vdupq_n_s32(0);
        load_head(&rows, &head, type);
        for (int group = 0; group < group_count(type); group++) {
            int8x16_t steps[16];
            if (group % 4 == 0)
                load_high(&rows, group / 4, high, type);
            load_group(&rows, group, high, steps, type);
            for (int which = 0; which < 2; which++) {
                const int sub_block = unit_at(group, which, type);
                add_unit(steps + which * unit_words(type), head.scales[sub_block], sub_block, &x,
                         at, &total, 1, type);
            }
        }
        add_totals(&head, &x, at, &total, &sum, 1, type);
        rows4_advance(&rows, block_bytes(type));
    }
    rows4_store(&rows, y, sum);
}

WEIR_ROWS4_MATMUL(q4_k, WEIR_TYPE_Q4_K)
WEIR_ROWS4_MATMUL(q6_k, WEIR_TYPE_Q6_K)

void weir_k_init_neon(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_Q4_K] = matmul_q4_k;
    kernels->matmul[WEIR_TYPE_Q6_K] = matmul_q6_k;
}
