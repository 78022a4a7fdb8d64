/* network.h - feed-forward networks that are computed together. */
#ifndef WEIR_MODEL_NETWORK_H
#define WEIR_MODEL_NETWORK_H

#include "model/linear.h"

/* Three matrices and the rows of activations they are applied to. */
struct weir_feed_forward {
    struct weir_matrix gate, up, down;
    const float *input_weight; /* [n_row]: what inputs are multiplied by; NULL: by nothing */
    uint32_t n_row;
    uint32_t input_first;  /* first row of the input activations */
    uint32_t hidden_first; /* first row of hidden.gate, hidden.up, hidden.act */
    float *out;            /* [n_row][d_model] */
};

/* Adds outputs to values [begin, end) of each row's residual stream. */
typedef void weir_add_fn(struct weir_forward *forward, uint64_t begin, uint64_t end);

enum { WEIR_TOGETHER_MAX = WEIR_TOP_K_MAX };

/* Networks that one sequence of fork-joins computes together; all have the same widths. */
struct weir_together {
    struct weir_forward *forward;
    const struct weir_act_rows *input;
    struct weir_unit unit;
    weir_add_fn *add;                   /* NULL: outputs are kept for later ones to add */
    struct weir_feed_forward *networks; /* [count], of at most WEIR_TOGETHER_MAX */
    uint32_t count;
    uint32_t row_count;             /* hidden rows in use */
    uint32_t down_first, down_last; /* networks whose down matrix is there */
    struct weir_deal rows;          /* of the running job */
};
/* Gate, up and the activation of all networks; then down of [down_first, down_last). */
void weir_together_hidden(struct weir_together *together);
void weir_together_down(struct weir_together *together);
/* One network of the trunk over all rows of the step, into projected and from there added. */
void weir_network_whole(struct weir_forward *forward, const struct weir_weight *gate,
                        const struct weir_weight *up, const struct weir_weight *down,
                        weir_add_fn *add);
/* What is read after this layer: attention of the next one, or the output matrix. */
void weir_prefetch_next_layer(const struct weir_forward *forward);
/* expert_out of what is grouped, from normed_act; and with `sums` the sum too, else it is somebody
 * else's. */
enum weir_status weir_experts_compute(struct weir_forward *forward, bool sums,
                                      struct weir_err *err);
/* The runs' watchers are told which experts their rows use. */
void weir_routing_tell(const struct weir_forward *forward);

#endif
