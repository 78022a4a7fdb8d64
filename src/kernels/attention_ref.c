/* attention_ref.c - a block's part of attention in C, over K and V of every format. */
#include <math.h>

#include "kernels/attend.h"
#include "kernels/kernels_internal.h"
#include "quant/q4_0.h"
#include "quant/q8_0.h"

WEIR_INLINE float value_of(const uint8_t *row, size_t at, const enum weir_kv kv)
{
    const uint16_t *halves = (const uint16_t *)(const void *)row;
    if (kv == WEIR_KV_F32)
        return ((const float *)(const void *)row)[at];
    if (kv == WEIR_KV_BF16)
        return weir_bf16_to_f32(halves[at]);
    if (kv == WEIR_KV_Q8_0) {
        const struct weir_q8_0 *block = (const struct weir_q8_0 *)(const void *)row + at / 32;
        return weir_f16_to_f32(block->d) * (float)block->qs[at % 32];
    }
    if (kv == WEIR_KV_Q4_0) {
        const struct weir_q4_0 *block = (const struct weir_q4_0 *)(const void *)row + at / 32;
        const int step = block->qs[at % 16] >> (at % 32 < 16 ? 0 : 4) & 15;
        return weir_f16_to_f32(block->d) * (float)(step - 8);
    }
    return weir_f16_to_f32(halves[at]);
}

WEIR_INLINE void fill_scores(const struct weir_attend_range *range, weir_attend_scores *scores,
                             const enum weir_kv kv)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        for (size_t position = range->begin; position < range->end; position++) {
            const uint8_t *row =
                (const uint8_t *)job->k + weir_attend_row(range, job->k_row_bytes, position);
            float dot = 0.0f;
            for (size_t i = 0; i < job->d_head; i++)
                dot += job->q[i] * value_of(row, i, kv);
            scores[j][position - range->block] = dot * job->scale;
        }
    }
}

static float soften(float *scores, size_t count, float *most)
{
    float sum = 0.0f;
    for (size_t i = 0; i < count; i++)
        *most = scores[i] > *most ? scores[i] : *most;
    for (size_t i = 0; i < count; i++) {
        /* Times 0 a finite score is nothing, and minus infinity what is not a number. */
        scores[i] = expf(scores[i] - *most) + 0.0f * scores[i];
        sum += scores[i];
    }
    return sum;
}

WEIR_INLINE void add_values(const struct weir_attend_range *range, const weir_attend_scores *scores,
                            const enum weir_kv kv)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        for (size_t position = range->begin; position < range->end; position++) {
            const uint8_t *row =
                (const uint8_t *)job->v + weir_attend_row(range, job->v_row_bytes, position);
            for (size_t i = 0; i < job->d_value; i++)
                job->out[i] += scores[j][position - range->block] * value_of(row, i, kv);
        }
    }
}

WEIR_INLINE void fill_tile(const struct weir_attend_range *range, weir_attend_scores *scores,
                           const enum weir_kv kv)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        const size_t tile_bytes = WEIR_TILE * weir_kv_row_bytes(kv, job->d_head);
        const uint8_t *tile =
            (const uint8_t *)job->packed_k + weir_attend_tile(job, tile_bytes, range->begin);
        for (size_t lane = 0; lane < WEIR_TILE; lane++) {
            float dot = 0.0f;
            for (size_t i = 0; i < job->d_head; i++)
                dot += job->q[i] * weir_tile_value(kv, tile, job->d_head, lane, i);
            scores[j][range->begin - range->block + lane] = dot * job->scale;
        }
    }
}

WEIR_INLINE void add_tile(const struct weir_attend_range *range, const weir_attend_scores *scores,
                          const enum weir_kv kv)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        const size_t tile_bytes = WEIR_TILE * weir_kv_row_bytes(kv, WEIR_TILE);
        const uint8_t *tiles =
            (const uint8_t *)job->packed_v +
            weir_attend_tile(job, job->d_value / WEIR_TILE * tile_bytes, range->begin);
        for (size_t i = 0; i < job->d_value; i++) {
            float sum = 0.0f;
            for (size_t at = 0; at < WEIR_TILE; at++)
                if (range->begin + at >= job->first)
                    sum += scores[j][range->begin - range->block + at] *
                           weir_tile_value(kv, tiles + i / WEIR_TILE * tile_bytes, WEIR_TILE,
                                           i % WEIR_TILE, at);
            job->out[i] += sum;
        }
    }
}

WEIR_ATTEND_ROWS_OF(f16, WEIR_KV_F16, weir_softcap_ref)
WEIR_ATTEND_ROWS_OF(f32, WEIR_KV_F32, weir_softcap_ref)
WEIR_ATTEND_ROWS_OF(bf16, WEIR_KV_BF16, weir_softcap_ref)
WEIR_ATTEND_ROWS_OF(q8_0, WEIR_KV_Q8_0, weir_softcap_ref)
WEIR_ATTEND_ROWS_OF(q4_0, WEIR_KV_Q4_0, weir_softcap_ref)

/* The same of a format's tiles, and attention over them and rows of f16. */
#define TILES_OF(name, kv)                                                                         \
    static void fill_##name(const struct weir_attend_range *range, weir_attend_scores *scores)     \
    {                                                                                              \
        fill_tile(range, scores, kv);                                                              \
    }                                                                                              \
    static void add_##name(const struct weir_attend_range *range,                                  \
                           const weir_attend_scores *scores)                                       \
    {                                                                                              \
        add_tile(range, scores, kv);                                                               \
    }                                                                                              \
    static void attend_##name(const struct weir_attention *jobs, size_t count)                     \
    {                                                                                              \
        static const struct weir_attend_level level = {fill_f16, weir_softcap_ref, soften,         \
                                                       add_f16,  fill_##name,      add_##name};    \
        weir_attend(&level, jobs, count);                                                          \
    }
TILES_OF(kivi4, WEIR_KV_KIVI4)
TILES_OF(kivi2, WEIR_KV_KIVI2)

void weir_attention_init_ref(struct weir_kernels *kernels)
{
    kernels->attention[WEIR_KV_F16] = attend_f16;
    kernels->attention[WEIR_KV_F32] = attend_f32;
    kernels->attention[WEIR_KV_BF16] = attend_bf16;
    kernels->attention[WEIR_KV_Q8_0] = attend_q8_0;
    kernels->attention[WEIR_KV_Q4_0] = attend_q4_0;
    kernels->attention[WEIR_KV_KIVI4] = attend_kivi4;
    kernels->attention[WEIR_KV_KIVI2] = attend_kivi2;
}
