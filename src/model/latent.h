/* latent.h - latent attention: its scratch, and what its files share. */
#ifndef WEIR_MODEL_LATENT_H
#define WEIR_MODEL_LATENT_H

#include "model/activations.h"

/* latent.c's and latent_heads.c's own. */
struct weir_latent_scratch {
    float *low_query; /* [n_chunk][d_query] */
    struct weir_act_rows low_query_act;
    float *q;        /* [n_chunk][n_head * d_head] */
    float *latent;   /* [n_chunk][d_latent + d_turned] */
    float *attended; /* [n_chunk][n_head * d_value] */
    struct weir_act_rows attended_act;
    /* Of each thread, for the queries that it computes together: */
    float *absorbed; /* [n_thread][WEIR_LATENT_QUERIES][d_latent + d_turned] */
    float *mixed;    /* [n_thread][WEIR_LATENT_QUERIES][d_latent] */
    struct weir_act_rows plain_act, mixed_act;
};
enum { WEIR_LATENT_QUERIES = 64 };

void weir_latent_layout(struct weir_forward *forward, struct weir_mem *mem);
void weir_latent_run(struct weir_forward *forward);
void weir_latent_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer);
void weir_latent_state(const struct weir_mixer *mixer, enum weir_kv kv,
                       struct weir_state_layer *out);
const char *weir_latent_kv_refusal(const struct weir_mixer *mixer, enum weir_kv kv);
/* attended = what each head makes of the positions that the rows see: of all rows of the step. */
void weir_latent_attend(struct weir_forward *forward);
/* Places for what is made from older files' matrices; then, once they are read, made from them. */
void weir_latent_heads_layout(struct weir_model *model, struct weir_mem *mem);
void weir_latent_heads_load(struct weir_model *model);

#endif
