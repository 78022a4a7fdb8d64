/* delta_scratch.h - what delta.c keeps during a step, and what it offers. */
#ifndef WEIR_MODEL_DELTA_SCRATCH_H
#define WEIR_MODEL_DELTA_SCRATCH_H

#include "model/activations.h"

/* delta.c's own. */
struct weir_delta_scratch {
    float *mixed;  /* [n_chunk][q, k and v]: before the convolution, and after it */
    float *gated;  /* [n_chunk][n_value_head * d_value]: the gate, then what it gates */
    float *packed; /* [n_chunk][both of them], where a layer has them in one */
    float *beta;   /* [n_chunk][n_value_head, or twice as many] */
    float *alpha;  /* [n_chunk][n_value_head] */
    struct weir_delta_gate *gates; /* [n_chunk][n_value_head] */
    float *q_length, *k_length;    /* [d_key] that make vectors as long as they must be */
    struct weir_act_rows gated_act;
};

void weir_delta_layout(struct weir_forward *forward, struct weir_mem *mem);
void weir_delta_run(struct weir_forward *forward);
void weir_delta_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer);
void weir_delta_state(const struct weir_mixer *mixer, enum weir_kv kv,
                      struct weir_state_layer *out);

#endif
