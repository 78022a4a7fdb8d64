/* model_internal.h - what the files of room model share. */
#ifndef WEIR_MODEL_INTERNAL_H
#define WEIR_MODEL_INTERNAL_H

#include "model/model.h"

/* The shape that the keys give; expert widths come from the tensors (bind.c). */
enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err);
/* The width that keys give one layer's dense network; 0: none. shape has the widest of all. */
enum weir_status weir_shape_read_ffn(const weir_manifest *manifest,
                                     const struct weir_family *family,
                                     const struct weir_shape *shape, uint32_t layer,
                                     uint32_t *d_ffn, struct weir_err *err);
/* What keys say about experts, against the tensors that were found. */
enum weir_status weir_shape_check(const struct weir_model *model, struct weir_err *err);
/* Find, check and note every tensor of the family; refuses tensors that nothing would use. */
enum weir_status weir_model_bind(struct weir_model *model, struct weir_err *err);

/* Calls visit for each weight and vector of the trunk that this model has, in the file's roles'
 * order: layout and load walk the same way. */
struct weir_trunk_visitor {
    void (*weight)(struct weir_trunk_visitor *self, struct weir_weight *weight);
    void (*vector)(struct weir_trunk_visitor *self, struct weir_vector *vector);
};
void weir_model_visit_trunk(struct weir_model *model, struct weir_trunk_visitor *visitor);

/* cos and sin of every position and pair: [n_ctx][n_rot / 2][2] (arXiv:2104.09864 eq. 15).
 * factors (may be NULL) divides each pair's frequency (arXiv:2407.21783, rope scaling). */
void weir_rope_fill(float *table, const struct weir_shape *shape, const float *factors,
                    uint32_t n_ctx);

/* Activations of one set of rows in every format that somebody asked for. */
struct weir_act_rows {
    size_t cols;
    const float *f32;
    uint8_t *rows[WEIR_ACT_COUNT]; /* [n][row_bytes], where allocated */
    size_t row_bytes[WEIR_ACT_COUNT];
};

/* What is thought of the next layer with experts. */
struct weir_lookahead {
    uint32_t m;          /* experts of a token that are told to the store; 0: off */
    uint32_t layer;      /* the guess is about; WEIR_LAYER_NONE: there is none */
    float *scores;       /* [n_expert] */
    uint32_t *ranked;    /* [n_expert], the likeliest first */
    uint32_t count;      /* of ranked */
    uint32_t *control;   /* [n_expert]: as ranked, by the layer's own router; scratch elsewhere */
    uint32_t *before;    /* path: [n_chunk][n_expert_used], what the layer before chose */
    uint16_t *followers; /* path: [n_layer][n_expert][n_expert], how often one followed the other */
    uint8_t *computed;   /* residual: [n_expert], of the running layer */
    float *state, *normed;    /* residual: [d_model] */
    struct weir_act_rows act; /* residual: one row of normed */
    bool is_settled;          /* residual: guessed since the running layer's step began ... */
    bool is_further;          /* ... about the layer after the next one, too */
    uint64_t used_count, found_count; /* experts of tokens that were guessed about; found in m */
    weir_forward_guess_fn *watch;
    void *watch_user;
};

/* Everything one step needs; scratch lives in weir_mem use SCRATCH. */
struct weir_forward {
    struct weir_forward_config config;
    const struct weir_shape *shape;
    const struct weir_kernels *kernels;
    float *rope_table;

    /* the step that runs */
    struct weir_kv *kv;
    const struct weir_layer *layer;
    uint32_t layer_index;
    uint32_t n_token, position;
    _Atomic bool is_damaged; /* a norm met a row of residual that is not finite; any thread sets */

    uint8_t *row_staging; /* where embedding rows come to from the disk; NULL: they do not */

    float *residual;  /* [n_chunk][d_model] */
    float *normed;    /* [n_chunk][d_model] */
    float *q;         /* [n_chunk][n_head * d_head] */
    float *k, *v;     /* [n_chunk][n_kv_head * d_head] */
    float *attended;  /* [n_chunk][n_head * d_head] */
    float *projected; /* [n_chunk][d_model]: attention's or a dense network's output */
    float *hidden_gate, *hidden_up; /* [hidden_rows][widest feed-forward] */
    float *logits;                  /* [logit_rows][n_vocab] */
    uint32_t hidden_rows, logit_rows;
    struct weir_act_rows normed_act, attended_act, hidden_act, gathered_act;

    /* routing of the step's layer; an assignment is (token, rank) */
    float *router;           /* [n_chunk][n_expert] */
    uint32_t *chosen;        /* [n_chunk][n_expert_used], ids ascending within a token */
    float *chosen_weight;    /* [n_chunk][n_expert_used] */
    float *shared_weight;    /* [n_chunk] of the shared expert, where a layer has a router for it */
    uint32_t *assignment_at; /* [n_chunk][n_expert_used]: row of expert_out */
    uint32_t *token_at;      /* [n_chunk * n_expert_used]: token of that row */
    uint32_t *expert_first;  /* [n_expert + 1]: first row of each expert */
    uint32_t *distinct;      /* [n_expert]: experts this step uses, ascending */
    weir_forward_watch_fn *watch;
    void *watch_user;
    uint32_t n_distinct;
    float *expert_out; /* [n_chunk * n_expert_used][d_model] */
    struct weir_lookahead lookahead;
};

/* What a matmul of this weight wants as x. */
enum weir_act weir_forward_act(const struct weir_forward *forward,
                               const struct weir_weight *weight);
/* Part `part` of n_part of count things: [begin, end). */
void weir_part_range(uint64_t count, uint32_t part, uint32_t n_part, uint64_t *begin,
                     uint64_t *end);
/* Run fn over the pool; with one token, on the caller alone: hand-off would cost more. */
void weir_forward_by_token(struct weir_forward *forward, const char *name, weir_pool_fn *fn);
/* A part of the running layer ended, for the timeline. */
void weir_forward_tell(const struct weir_forward *forward, const char *name, uint64_t begin_ns);
/* Quantize rows [begin, end) of f32 into every format that act has room for. */
void weir_act_fill(const struct weir_forward *forward, struct weir_act_rows *act, const float *f32,
                   size_t begin, size_t end);

/* Rows that the threads of a job take piece by piece, until none is left: large pieces first, so
 * that all threads end at nearly the same time whatever slows one of them (guided self-scheduling,
 * Polychronopoulos and Kuck, IEEE Transactions on Computers C-36, 1987). Each part's first piece is
 * known before the job, so that it can be asked for. */
struct weir_deal {
    uint64_t count;
    uint64_t least; /* rows of a piece */
    double share;   /* of a part's share of what is left: a piece */
    uint32_t n_part;
    uint64_t first; /* rows of each part's first piece, part after part from row 0 on */
    _Atomic uint64_t next;
};
/* Before the job: count rows of weights that n_token tokens pass, in n_part parts; uneven ones have
 * tokens of their own. */
void weir_deal_start(struct weir_deal *deal, uint64_t count, uint32_t n_token, uint32_t n_part,
                     bool is_uneven);
/* Rows [begin, end) of a deal; empty: none is left. */
struct weir_piece {
    uint64_t begin, end;
};
/* A part's first piece, and each one after it. */
struct weir_piece weir_piece_first(const struct weir_deal *deal, uint32_t part);
struct weir_piece weir_piece_next(struct weir_deal *deal);
/* What the piece has of the count rows that begin at first, numbered from there; false: nothing. */
bool weir_piece_overlap(const struct weir_piece *piece, uint64_t first, uint64_t count,
                        uint64_t *begin, uint64_t *end);

/* One fork-join over the rows of up to three weights that share x. */
struct weir_linear {
    const char *name; /* of the job */
    struct weir_forward *forward;
    const struct weir_act_rows *act;
    const struct weir_weight *weight[3];
    float *y[3];
    uint32_t count;
    uint32_t n_token;
    bool counts_uses;      /* beside it one thread lets the store count the last layer's uses */
    struct weir_deal rows; /* set by the run */
};
void weir_linear_run(struct weir_linear *linear);
/* The job after the next one reads these: threads that wait between the two ask for what each will
 * read first. Of one token only, whose limit memory is. */
void weir_linear_expect(const struct weir_forward *forward,
                        const struct weir_weight *const *weights, uint32_t count);
/* Rows [begin, end) of y = W x for n_token rows of act from first on; matrix of a stack. next is
 * where the thread reads weights after these, or NULL. */
void weir_matmul_rows(const struct weir_forward *forward, const struct weir_weight *weight,
                      const uint8_t *matrix, const struct weir_act_rows *act, size_t first,
                      uint32_t n_token, float *y, uint64_t begin, uint64_t end,
                      const uint8_t *next);

/* Why the residual stream is not finite after the mixer or the network of the layer that ran last
 * of each: WEIR_ERR_FORMAT names the damaged tensor, or says that values overflow. Reads experts
 * again. */
enum weir_status weir_damage_name(struct weir_forward *forward, uint32_t layer_index,
                                  bool is_network, struct weir_err *err);
/* WEIR_ERR_FORMAT names the token whose embedding is not finite. */
enum weir_status weir_damage_check_embedding(const struct weir_forward *forward,
                                             const uint32_t *ids, struct weir_err *err);
/* WEIR_ERR_FORMAT names the vector, which may be none, when a value of it is not finite. */
enum weir_status weir_damage_check_vector(const struct weir_vector *vector, struct weir_err *err);

void weir_embedding_layout(struct weir_forward *forward, struct weir_mem *mem);
/* residual = the embedding of the step's tokens, all finite. Errors: IO, FORMAT. */
enum weir_status weir_embed(struct weir_forward *forward, const uint32_t *ids,
                            struct weir_err *err);

static inline size_t weir_kv_value_bytes(const struct weir_kv *kv)
{
    return kv->is_f32 ? sizeof(float) : sizeof(uint16_t);
}
/* residual += attention(norm(residual)) for the step's tokens. */
void weir_attention_layer(struct weir_forward *forward);
/* residual += network(normed); normed and normed_act hold the layer's normed input. */
void weir_dense_layer(struct weir_forward *forward);
enum weir_status weir_expert_layer(struct weir_forward *forward, struct weir_err *err);
/* chosen, chosen_weight of tokens [begin, end) from router logits. */
void weir_route_tokens(struct weir_forward *forward, uint64_t begin, uint64_t end);
/* The ids of the largest of n values, at most `most`, largest first; ties go to the smaller id.
 * Returns how many. */
uint32_t weir_rank(const float *values, uint32_t n, uint32_t *ids, uint32_t most);
/* Group assignments by expert: expert_first, token_at, assignment_at, distinct. */
void weir_route_group(struct weir_forward *forward);

#define WEIR_LAYER_NONE UINT32_MAX
void weir_lookahead_layout(struct weir_forward *forward, struct weir_mem *mem);
/* Guess about the next layer with experts from `first` on, from normed and chosen, and tell the
 * store. router is overwritten. */
void weir_lookahead_from(struct weir_forward *forward, uint32_t first);
/* A moment between two jobs: the device gets more of what was guessed, and when all of that is
 * asked for, what the layer after the next one may want. */
void weir_lookahead_poll(struct weir_forward *forward);
/* An expert's output of the running layer is there. */
void weir_lookahead_computed(struct weir_forward *forward, uint32_t expert);
/* A moment for a guess by the residual stream, made once a layer: between experts when the device
 * is about to run out of work, or else when the layer is over. */
void weir_lookahead_again(struct weir_forward *forward, bool is_layer_over);
/* The layer has routed: was the guess about it right? */
void weir_lookahead_judge(struct weir_forward *forward);

#endif
