/* heads.h - what attention.c and heads.c share. */
#ifndef WEIR_MODEL_HEADS_H
#define WEIR_MODEL_HEADS_H

#include "model/linear.h"

/* Values from one head of q to the next: some have their gate between them. */
static inline uint32_t weir_attention_q_stride(const struct weir_mixer *mixer)
{
    return mixer->gate_is_in_q ? mixer->d_head + mixer->d_value : mixer->d_head;
}

static inline bool weir_attention_has_gate(const struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    return mixer->gate_is_in_q || mixer->gate.cols != 0;
}

/* A row of x where it is kept. */
static inline void weir_kv_store(const struct weir_forward *forward, enum weir_kv kv,
                                 const float *x, uint8_t *place, size_t width)
{
    if (weir_kv_rows(kv) == WEIR_KV_F16)
        forward->kernels->to_f16(x, (uint16_t *)(void *)place, width);
    else
        weir_kv_store_row(kv, x, place, width);
}

/* Why rows of these widths cannot be kept so; NULL: they can. */
const char *weir_kv_width_refusal(enum weir_kv kv, uint64_t k_width, uint64_t v_width);

/* Where the running layer's K and V lie: what heads have is side by side, first of K, then of V. */
struct weir_kept {
    struct weir_state_view view;
    enum weir_kv kv; /* of rows or, of tiles, packed */
};
/* Rows; of a packed layer, those of the latest positions. */
struct weir_kept weir_attention_rows(const struct weir_forward *forward);
/* Tiles, of a packed layer. */
struct weir_kept weir_attention_tiles(const struct weir_forward *forward);
/* A head's K or V: row or tile 0 of page 0. */
uint8_t *weir_kept_head(const struct weir_forward *forward, const struct weir_kept *kept, bool is_v,
                        uint32_t kv_head);
/* Whether positions that are not the latest are packed in the layer whose keys the running one
 * reads. */
bool weir_attention_is_packed(const struct weir_forward *forward);

/* What q is multiplied by at a position: scalable softmax in steps (Llama 4, "iRoPE";
 * arXiv:2501.19399 has the idea). */
float weir_heat(const struct weir_temperature *temperature, uint32_t position);

/* Jobs over the rows of a step. Bias, norm, rope and temperature of q and k; K and V into the
 * pages. */
weir_pool_fn weir_heads_place;
/* The step's rows complete so many tiles; and a job that packs them. */
uint64_t weir_heads_tile_count(const struct weir_forward *forward);
weir_pool_fn weir_heads_pack;
/* Gates of what attention gave, and its forms for the next matrix. */
weir_pool_fn weir_heads_finish;

#endif
