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

static inline size_t weir_kv_value_bytes(const struct weir_forward *forward)
{
    return forward->config.kv_f32 ? sizeof(float) : sizeof(uint16_t);
}

/* What q is multiplied by at a position: scalable softmax in steps (Llama 4, "iRoPE";
 * arXiv:2501.19399 has the idea). */
float weir_heat(const struct weir_temperature *temperature, uint32_t position);

/* The running layer's K or V of a head: row 0 of page 0. */
uint8_t *weir_attention_rows(const struct weir_forward *forward, bool is_v, uint32_t kv_head);

/* Jobs over the rows of a step. Bias, norm, rope and temperature of q and k; K and V into the
 * pages. */
weir_pool_fn weir_heads_place;
/* Gates of what attention gave, and its forms for the next matrix. */
weir_pool_fn weir_heads_finish;

#endif
