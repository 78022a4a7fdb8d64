/* forward.h - one step of a model: rows of several sequences through all layers.
 *
 * Job       Compute a batch of rows and the logits of those that are asked for; let look-ahead tell
 *           the store what the next layers may want.
 * Not here  Who is in a batch, and when (engine/).
 * Shapes    Rows are numbered over all runs, in their order.
 * Owns      weir_forward owns its scratch (weir_mem use SCRATCH); all else is borrowed.
 * Threads   The engine thread calls; work is split over the engine's pool.
 * Errors    What io and store report; WEIR_ERR_CANCELLED; WEIR_ERR_FORMAT when weights, or values
 *           computed from them, are not finite numbers (damage.c).
 */
#ifndef WEIR_MODEL_FORWARD_H
#define WEIR_MODEL_FORWARD_H

#include <stdatomic.h>

#include "kernels/kernels.h"
#include "model/model.h"

enum { WEIR_LOGIT_ROWS_MAX = 8 }; /* rows whose logits are computed at once */

typedef struct weir_forward weir_forward;

/* How the next layer's experts are guessed (model/lookahead.c). */
enum weir_predictor {
    WEIR_PREDICT_NONE,
    WEIR_PREDICT_RESIDUAL,
    WEIR_PREDICT_GATE,
    WEIR_PREDICT_PATH,
};

/* Called before each layer of a step, on its thread; no step of the store runs. */
typedef void weir_forward_layer_fn(void *user);

struct weir_forward_config {
    const struct weir_model *model;
    const struct weir_kernels *kernels;
    weir_pool *pool;   /* may be NULL while planning */
    weir_store *store; /* NULL when the model has no experts, or while planning */
    weir_io *row_io;   /* the files of the tables that stay on the disk; NULL while planning */
    weir_timeline *timeline;    /* NULL: nothing is recorded */
    struct weir_device *device; /* NULL: all layers are the CPU's, and while planning */
    const weir_state *state;    /* where sequences keep theirs; NULL while planning */
    enum weir_kv kv;            /* as in weir_model_state_layers() */
    uint32_t n_chunk;           /* the most rows of a step */
    uint32_t n_ctx;
    uint32_t n_thread;                 /* of the pool */
    float skip_share, resident_margin; /* lossy.h; 0: off */
    float copy_share;                  /* copies.h; 0: off, else the model has copies */
    enum weir_predictor predictor; /* what weir_forward_look_ahead() goes by; its room is planned */
    weir_forward_layer_fn *before_layer; /* may be NULL */
    void *before_layer_user;
};

/* Ask mem for scratch (use SCRATCH), in the same order whether planning or opening. With mem
 * PLANNING *out stays NULL. */
enum weir_status weir_forward_create(weir_forward **out, const struct weir_forward_config *config,
                                     struct weir_mem *mem, struct weir_err *err);
void weir_forward_destroy(weir_forward **forward);

/* Told which experts each row of a run uses in a layer, ascending, [n_row][n_expert_used], as many
 * as that layer uses; position is the first row's. */
typedef void weir_forward_watch_fn(void *user, uint32_t layer, uint32_t position, uint32_t n_row,
                                   uint32_t n_expert_used, const uint32_t *experts);
/* Told each guess about a row that is a step's only one, once the truth is known: all experts, the
 * likeliest first; the same by the layer's own router (control); the n_expert_used chosen ones. */
typedef void weir_forward_guess_fn(void *user, uint32_t layer, const uint32_t *ranked,
                                   const uint32_t *control, uint32_t n_expert,
                                   uint32_t n_expert_used, const uint32_t *chosen);

enum weir_phase {
    WEIR_DECODE, /* tokens as they are chosen: the user waits for each */
    WEIR_PROMPT, /* a text that is known */
};

/* Experts of a recorded text, in place of those that routers choose (prescribe.c). */
struct weir_prescription {
    const uint16_t *experts; /* [n_token][layers with experts][n_expert_used], the shape's */
    uint32_t n_token;        /* after the last one the first comes again */
    uint32_t first;          /* the token of position 0 */
    double recall; /* look-ahead is told each expert with this chance, else one that is not used */
};
#define WEIR_NOT_PRESCRIBED UINT16_MAX /* left to the router */

/* The rows of one sequence in a step: tokens that follow each other. Everything is borrowed during
 * the step. */
struct weir_run {
    weir_sequence
        *sequence;       /* with pages reserved for the rows, which are committed by the caller */
    const uint32_t *ids; /* [n_row] */
    uint32_t n_row;
    uint32_t position; /* of the first row: the sequence's length */
    enum weir_phase phase;
    const _Atomic bool *cancel;                   /* NULL: never */
    const struct weir_prescription *prescription; /* NULL: routers choose */
    weir_forward_watch_fn *watch;                 /* NULL: nobody */
    weir_forward_guess_fn *watch_guess;
    void *watch_user, *watch_guess_user;
};

/* Compute the rows of all runs, at most n_chunk; each run is another sequence's. Each distinct
 * expert of a layer is read once for all rows. A row's bits do not depend on the other rows. The
 * residual stream is kept for weir_forward_logits(). Errors: what io and store report; CANCELLED at
 * the next layer once every run is cancelled. */
enum weir_status weir_forward_step(weir_forward *forward, const struct weir_run *runs,
                                   uint32_t n_run, struct weir_err *err);
/* Logits of count rows of the last step, numbered over all runs, into out[count][n_vocab]. count is
 * at most WEIR_LOGIT_ROWS_MAX and n_chunk. Errors: IO, of a device. */
enum weir_status weir_forward_logits(weir_forward *forward, const uint32_t *rows, uint32_t count,
                                     float *out, struct weir_err *err);
/* What those logits are made of: a row's residual stream behind the final norm, [d_model]. Borrowed
 * until the next call. */
const float *weir_forward_state(weir_forward *forward, uint32_t row);
/* Whether the logits [n_vocab] of a position are finite numbers. WEIR_ERR_FORMAT when not: damaged
 * weights, or ones that are too large, must not become words. */
enum weir_status weir_logits_check(const struct weir_model *model, const float *logits,
                                   uint32_t position, struct weir_err *err);
/* Tell the store the m likeliest experts of the next layers while a layer runs, so that it may read
 * them ahead; 0 ends it. Never changes what is computed. */
void weir_forward_look_ahead(weir_forward *forward, uint32_t m);
/* Experts of single rows that were guessed about so far, and how many were among the m. */
void weir_forward_recall_get(const weir_forward *forward, uint64_t *used, uint64_t *found);

#endif
