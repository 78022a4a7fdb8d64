/* lookahead.h - what lookahead.c and the rivals that it is measured against share. */
#ifndef WEIR_MODEL_LOOKAHEAD_H
#define WEIR_MODEL_LOOKAHEAD_H

#include "model/model_internal.h"

/* What the store was told since the last layer routed. */
enum weir_lookahead_stage {
    WEIR_UNTOLD,
    WEIR_TOLD_EARLY,   /* about the next layer, before any expert of this one was computed */
    WEIR_TOLD,         /* about the next layer */
    WEIR_TOLD_FURTHER, /* about the layer after it, too */
};

struct weir_lookahead {
    uint32_t m;      /* experts of a row that are told to the store; 0: off */
    uint32_t routed; /* the step's last layer that has routed; WEIR_LAYER_NONE: none has */
    enum weir_lookahead_stage stage;
    uint32_t guessed;         /* the layer that `ranked` is about; WEIR_LAYER_NONE: none */
    float *scores;            /* [n_expert] */
    uint32_t *ranked;         /* [n_expert], the likeliest first */
    uint32_t count;           /* of ranked */
    uint32_t *control;        /* [n_expert]: as ranked, by the layer's own router; else scratch */
    uint32_t row_max;         /* rows of a step that are asked about */
    float *state, *normed;    /* [row_max][d_model]: the residual stream as far as it is known */
    struct weir_act_rows act; /* normed, as routers want it */
    uint32_t *before;         /* path: [n_chunk][n_before], what the layer before chose */
    uint32_t n_before;        /* of a row */
    uint16_t *followers;      /* path: [n_layer][n_expert][n_expert], how often one followed */
    uint64_t used_count, found_count; /* experts of rows that were guessed about; found in m */
};

/* The next layer with experts from `layer` on; WEIR_LAYER_NONE. */
uint32_t weir_find_expert_layer(const struct weir_forward *forward, uint32_t layer);
/* scores: how many rows want an expert, and how much, by the layer's router on n_row rows of act.
 */
void weir_lookahead_score(struct weir_forward *forward, uint32_t layer,
                          const struct weir_act_rows *act, uint32_t n_row);

/* The rival that goes by the path (lookahead_path.c). Nothing, where another predictor runs. */
void weir_path_layout(struct weir_forward *forward, struct weir_mem *mem);
/* Score the layer's experts after the running layer has routed. */
void weir_path_score(struct weir_forward *forward, uint32_t layer);
/* The layer that was guessed about has routed: count what followed what. */
void weir_path_learn(struct weir_forward *forward);

#endif
