/* model_internal.h - what the files of room model share. */
#ifndef WEIR_MODEL_INTERNAL_H
#define WEIR_MODEL_INTERNAL_H

#include "model/aside.h"
#include "model/delta_scratch.h"
#include "model/latent.h"
#include "model/lossy.h"

/* The shape that the keys give; expert widths come from the tensors (bind.c). */
enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err);
/* What layers may differ in, as keys have it for one of them. */
struct weir_layer_shape {
    enum weir_mixer_kind mixer; /* ATTENTION also where the heads are latent */
    uint32_t n_head, n_kv_head;
    uint32_t d_ffn; /* of a dense network; 0: the tensors say it */
};
/* How many experts a token uses in a layer that has some. */
enum weir_status weir_shape_read_used(const struct weir_model *model, uint32_t layer,
                                      uint32_t *n_used, struct weir_err *err);
enum weir_status weir_shape_read_layer(const struct weir_model *model, uint32_t layer,
                                       struct weir_layer_shape *out, struct weir_mixer *mixer,
                                       struct weir_err *err);
/* The units of a layer's networks: the family's, with the limits that keys give. */
enum weir_status weir_shape_read_units(const struct weir_model *model, uint32_t layer,
                                       struct weir_network *network, struct weir_err *err);
/* What keys say about experts, against the tensors that were found. */
enum weir_status weir_shape_check(const struct weir_model *model, struct weir_err *err);
/* Find, check and note every tensor of the family; refuses tensors that nothing would use. */
enum weir_status weir_model_bind(struct weir_model *model, struct weir_err *err);

/* Which slice of an expert's record has which of its matrices. */
void weir_slices_number(struct weir_network *network);

/* Calls visit for each weight and vector of the trunk that this model has, in the file's roles'
 * order: layout and load walk the same way. */
struct weir_trunk_visitor {
    void (*weight)(struct weir_trunk_visitor *self, struct weir_weight *weight);
    void (*vector)(struct weir_trunk_visitor *self, struct weir_vector *vector);
};
void weir_model_visit_trunk(struct weir_model *model, struct weir_trunk_visitor *visitor);

/* ---- the step -------------------------------------------------------------------------------- */

/* A row of the running step. */
struct weir_row {
    uint32_t id;
    uint32_t run;
    uint32_t position;
};

/* What runs: set by weir_forward_step(), read by all. */
struct weir_step_view {
    const struct weir_run *runs;
    uint32_t n_run;
    struct weir_row *rows; /* [n_chunk], of all runs in their order */
    uint32_t n_row;
    bool has_prompt;
    uint32_t layer_index;
    const struct weir_layer *layer;
};

/* The residual stream, and what mixers and networks take and give: written by whoever runs. */
struct weir_stream {
    float *residual;  /* [n_chunk][d_model] */
    float *normed;    /* [n_chunk][d_model]: input of the mixer or the network */
    float *projected; /* [n_chunk][d_model]: output that is not added yet */
    float *branch;    /* [n_chunk][d_model]: what a network gives, where more is done to that */
    float *sum;       /* what networks add to: residual, or branch */
    const struct weir_vector *norm;  /* of the running job (norm.c) */
    struct weir_act_rows normed_act; /* normed, as kernels want it */
};

/* rope.c's own, of one rope. */
struct weir_angles {
    double *frequency; /* [n_rot / 2] */
    float *rows;       /* [n_chunk][n_rot] cosines, then sines, of the step's rows */
};

/* attention.c's and heads.c's own. */
struct weir_attention_scratch {
    float *q;        /* [n_chunk][widest n_head * d_head, with what lies between heads] */
    float *k, *v;    /* [n_chunk][widest n_kv_head * d_head, or d_value] */
    float *gate;     /* [n_chunk][most rows of a gate] */
    float *attended; /* [n_chunk][widest n_head * d_value] */
    float *ones;     /* [widest head] for norms that have no weights */
    struct weir_act_rows attended_act;
};

/* network.c's own: hidden rows of the networks that are computed together. */
struct weir_hidden {
    uint32_t row_count;
    float *gate, *up; /* [row_count][widest feed-forward] */
    struct weir_act_rows act;
};

/* experts.c's and route.c's own. An assignment is (row, rank). */
struct weir_routing {
    float *router;           /* [n_chunk][n_expert]: outputs, then what experts would weigh */
    float *selection;        /* the same: what they are chosen by; may be router */
    uint32_t *chosen;        /* [n_chunk][n_expert_used], ids ascending within a row */
    float *chosen_weight;    /* [n_chunk][n_expert_used] */
    float *shared_weight;    /* [n_chunk] of the shared expert, where a layer has a router for it */
    uint32_t *assignment_at; /* [n_chunk][n_expert_used]: row of expert_out */
    uint32_t *token_at;      /* [n_chunk * n_expert_used]: the step's row of that row */
    float *input_weight;     /* of that row, where inputs are weighed and chosen_weight is 1 */
    uint32_t *expert_first;  /* [n_expert + 1]: first row of each expert */
    uint32_t *distinct;      /* [n_expert]: experts this step uses, ascending */
    uint32_t *distinct_rows; /* [n_expert]: how many rows use each of them */
    uint32_t n_distinct;
    const bool *skips;   /* of assignments: computed elsewhere, not grouped; NULL: none is */
    bool is_pending;     /* experts are being computed, and not yet added to the residual stream */
    bool *is_computed;   /* [n_expert]: its rows of expert_out are there */
    uint32_t n_computed; /* of them */
    float *expert_out;   /* [n_chunk * n_expert_used][d_model] */
    struct weir_act_rows gathered_act;
};

/* lookahead.c's own. */
struct weir_lookahead;

struct weir_forward {
    struct weir_forward_config config;
    const struct weir_shape *shape;
    const struct weir_kernels *kernels;
    struct weir_step_view step;
    _Atomic bool is_damaged; /* a norm met a row that is not finite; any thread sets it */
    struct weir_stream stream;
    uint8_t *row_staging; /* embedding.c: where rows come to from the disk; NULL: they do not */
    struct weir_aside_scratch aside;
    struct weir_angles angles[WEIR_ROPE_COUNT];
    struct weir_attention_scratch attention;
    struct weir_latent_scratch latent;
    struct weir_delta_scratch delta;
    struct weir_hidden hidden;
    struct weir_routing routing;
    struct weir_lossy lossy;
    struct weir_lookahead *lookahead; /* NULL: the model has no experts, or nothing guesses */
};

/* What a matmul of this weight wants as x. */
static inline enum weir_act weir_forward_act(const struct weir_forward *forward,
                                             const struct weir_weight *weight)
{
    return forward->kernels->act[weight->type];
}

/* A part of the running layer ended, for the timeline. */
void weir_forward_tell(const struct weir_forward *forward, const char *name, uint64_t begin_ns);
/* Quantize rows [begin, end) of f32 into every format that act has room for. */
void weir_act_fill(const struct weir_forward *forward, struct weir_act_rows *act, const float *f32,
                   size_t begin, size_t end);

/* ---- the parts of a step - */

/* Why the residual stream is not finite after the mixer or the network of the layer that ran last
 * of each: WEIR_ERR_FORMAT names the damaged tensor, or says that values overflow. Reads experts
 * again. */
enum weir_status weir_damage_name(struct weir_forward *forward, uint32_t layer_index,
                                  bool is_network, struct weir_err *err);
/* WEIR_ERR_FORMAT names the token whose embedding is not finite. */
enum weir_status weir_damage_check_embedding(const struct weir_forward *forward,
                                             struct weir_err *err);
/* The same of the layers' inputs: the token, or the tensor that all have them from. */
enum weir_status weir_damage_check_inputs(const struct weir_forward *forward, struct weir_err *err);
/* The largest magnitude of count values. */
float weir_most_of(const float *x, size_t count);
/* WEIR_ERR_FORMAT names the vector, which may be none, when a value of it is not finite. */
enum weir_status weir_damage_check_vector(const struct weir_vector *vector, struct weir_err *err);
/* The same, and that none is 0. */
enum weir_status weir_damage_check_divisors(const struct weir_vector *vector, struct weir_err *err);

/* y = norm(x) of [d_model], by these weights; y may be x. Returns what x, or its distance from its
 * mean, was multiplied with: 0 or not a number when a value of x is not finite, else above 0. */
float weir_norm_row(const struct weir_forward *forward, const float *weights, const float *x,
                    float *y);

void weir_rope_layout(struct weir_forward *forward, struct weir_mem *mem);
/* Once, after the load. */
void weir_rope_open(struct weir_forward *forward);
/* Angles of the step's rows; then those of one of them, as weir_rope() wants them. */
void weir_rope_begin(struct weir_forward *forward);
const float *weir_rope_angles(const struct weir_forward *forward, enum weir_rope_kind kind,
                              uint64_t row);

/* Scratch of all kinds of mixer that the model has. */
void weir_mixer_layout(struct weir_forward *forward, struct weir_mem *mem);
/* projected = mixer(normed) for the step's rows. */
void weir_mixer_run(struct weir_forward *forward);
/* The layer's first matrices will be read soon. */
void weir_mixer_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer);

void weir_attention_layout(struct weir_forward *forward, struct weir_mem *mem);
void weir_attention_run(struct weir_forward *forward);
void weir_attention_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer);
void weir_attention_state(const struct weir_mixer *mixer, enum weir_kv kv,
                          struct weir_state_layer *out);
const char *weir_attention_kv_refusal(const struct weir_mixer *mixer, enum weir_kv kv);

/* The network's first matrix will be read after the mixer's last. */
void weir_prefetch_network(const struct weir_forward *forward);
/* Of all kinds: the largest magnitude among what the step's rows have left to be remembered in few
 * bits; 0: nothing is. */
float weir_mixer_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer);
float weir_attention_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer);
float weir_latent_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer);
/* "attention", for messages. */
const char *weir_mixer_name(const struct weir_mixer *mixer);
void weir_network_layout(struct weir_forward *forward, struct weir_mem *mem);
/* sum += network(normed). */
void weir_dense_run(struct weir_forward *forward);
enum weir_status weir_experts_run(struct weir_forward *forward, struct weir_err *err);

void weir_routing_layout(struct weir_forward *forward, struct weir_mem *mem);
/* weir_choose_select() by a layer's gating: look-ahead's too, between layers. */
void weir_route_select(const struct weir_network *network, uint32_t n_expert, float *router,
                       float *selection);
/* chosen, chosen_weight of rows [begin, end) from router outputs. */
void weir_route_rows(struct weir_forward *forward, uint64_t begin, uint64_t end);
/* Where a recorded text says which experts a row of the running layer uses (prescribe.c): they take
 * the place of the n_expert_used in ids, which are the router's best. */
void weir_prescribe_row(const struct weir_forward *forward, uint64_t row, uint32_t *ids);
/* Scores of a layer's experts as a guess that is right as often as prescriptions want it. False,
 * and scores as they were, where no row has one. */
bool weir_prescribe_scores(const struct weir_forward *forward, uint32_t layer, uint32_t n_row,
                           float *scores);
/* Group assignments by expert: expert_first, token_at, assignment_at, distinct. */
void weir_route_group(struct weir_forward *forward);

/* ---- look-ahead - */

#define WEIR_LAYER_NONE UINT32_MAX
/* Errors: NOMEM. */
enum weir_status weir_lookahead_create(struct weir_forward *forward, struct weir_mem *mem,
                                       struct weir_err *err);
void weir_lookahead_destroy(struct weir_forward *forward);
/* The step begins: what its first layer with experts may want, by the embeddings. */
void weir_lookahead_begin(struct weir_forward *forward);
/* A pause in the running layer: between two jobs, after some experts, at its end. The store gets on
 * with its reads; when they run short, or the layer is over, it is told what the next layers may
 * want. */
void weir_lookahead_pause(struct weir_forward *forward, bool is_layer_over);
/* The layer has routed: was the guess about it right? */
void weir_lookahead_judge(struct weir_forward *forward);
/* Whether guesses are made: experts are then computed a few at a time, with pauses. */
bool weir_lookahead_is_on(const struct weir_forward *forward);

#endif
