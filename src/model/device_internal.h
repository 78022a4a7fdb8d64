/* device_internal.h - what the files of a model's part on a device share. */
#ifndef WEIR_MODEL_DEVICE_INTERNAL_H
#define WEIR_MODEL_DEVICE_INTERNAL_H

#include "gpu/gpu_kept.h"
#include "model/device.h"
#include "model/device_cache.h"
#include "model/device_mixers.h"
#include "model/model_internal.h"

enum { WEIR_DEVICE_GATE, WEIR_DEVICE_UP, WEIR_DEVICE_DOWN, WEIR_DEVICE_STACKS };

#define WEIR_DEVICE_NO_SLOT UINT32_MAX

/* A layer that is there. Addresses of 0: it has no such thing. */
struct weir_device_layer {
    struct weir_gpu_matrix q, k, v, gate, out;
    weir_gpu_address norm, post_norm, q_norm, k_norm, sinks;
    struct weir_gpu_pages pages;
    struct weir_gpu_kept kept; /* what is remembered, where pages are only what attention reads */
    struct weir_device_latent latent;
    struct weir_device_delta delta;
    struct weir_gpu_matrix aside_gate, aside_out;
    weir_gpu_address aside_norm;
    weir_gpu_address network_norm, expert_norm, shared_norm;
    weir_gpu_address network_post_norm, expert_post_norm, shared_post_norm;
    struct weir_gpu_matrix dense[WEIR_DEVICE_STACKS], shared[WEIR_DEVICE_STACKS];
    struct weir_gpu_matrix router, shared_router;
    weir_gpu_address selection_bias;
    struct weir_device_stack experts[WEIR_DEVICE_STACKS];
    uint32_t expert_count;             /* there, to begin with */
    bool moves;                        /* its experts come and go */
    uint32_t *slot_of;                 /* [n_expert]: of those that are there, else NO_SLOT */
    weir_gpu_address slots;            /* [expert_count]; where experts move, those of its set */
    uint64_t slot_bytes;               /* of one */
    uint64_t slice_at[WEIR_SLICE_MAX]; /* in a slot */
};

/* Values of the step's rows; sizes as those of struct weir_forward. */
struct weir_device_scratch {
    weir_gpu_address residual, normed, projected, branch;
    weir_gpu_address q, k, v, gate, attended;
    struct weir_device_mixer_scratch mixers;
    weir_gpu_address hidden_gate, hidden_up; /* rows of assignments, or of the step */
    weir_gpu_address router, chosen, weights, shared_logit, expert_out, scattered_at, arrived;
    weir_gpu_address guess;  /* [n_chunk][n_expert]: outputs of the next layer's router */
    weir_gpu_address logits; /* [WEIR_LOGIT_ROWS_MAX][n_vocab] */
    weir_gpu_address damage; /* uint32_t [2 n_layer]: of each mixer's norm, then of its network's */
};

/* What goes to the device with a step, in one copy: parts of it, as bytes from its start. */
struct weir_device_parcel {
    uint8_t *here;
    weir_gpu_address there;
    uint64_t most_bytes;
    uint64_t positions, table_at, heat, angles[WEIR_ROPE_COUNT], pages;
    uint64_t run_first, run_states; /* struct weir_gpu_runs */
};

/* What crosses by itself: memory here, SCRATCH as all that crosses is. */
struct weir_device_returns {
    uint32_t *damage; /* [2 n_layer] */
    uint32_t *at;     /* [n_chunk * n_expert_used]: whose place a row of expert_out has */
    float *logits;    /* [WEIR_LOGIT_ROWS_MAX][n_vocab] */
    float *guess;     /* [n_chunk][n_expert] */
    uint8_t *slot;    /* of one expert: on its way there at the load, back for damage */
};

/* Experts that cross for a prompt (device_transit.c): two halves, tables first, then slots. */
struct weir_device_transit {
    uint8_t *here[2];
    weir_gpu_address there[2];
    uint64_t slot_bytes, table_bytes;
    uint32_t *records, *row_counts; /* [n_expert] */
};

struct weir_device {
    struct weir_device_config config;
    struct weir_device_plan plan;
    weir_gpu *gpu; /* NULL: planning */
    const struct weir_shape *shape;
    struct weir_device_layer *layers; /* [n_layer]; NULL while planning */
    uint32_t *slots_of;               /* [n_layer][n_expert] */
    weir_gpu_address output_norm;
    struct weir_gpu_matrix output;
    struct weir_device_scratch scratch;
    struct weir_device_parcel parcel;
    struct weir_device_blocks blocks;
    struct weir_temperature temperature; /* of all layers that have one */
    struct weir_device_returns returns;
    struct weir_device_transit transit;
    struct weir_device_cache cache;
    bool *skips;          /* [n_chunk * n_expert_used]: assignments that are not computed here */
    uint32_t reach;       /* of attention's positions at least, in work that is repeated; else 0 */
    uint32_t logit_count; /* rows of returns.logits that are those of the step's first rows */
    bool is_recorded[WEIR_GPU_GRAPH_MAX];
    bool is_whole;     /* all layers, all their experts and the output are there */
    bool has_residual; /* the running step's residual stream is on the device, not here */
    struct weir_device_stats stats;
};

/* One that the engine thread waits for at once; of each half in transit; and of each place of a
 * half, when what moves has left it. */
enum {
    WEIR_DEVICE_EVENT,
    WEIR_DEVICE_CAME,
    WEIR_DEVICE_COMPUTED = WEIR_DEVICE_CAME + 2,
    WEIR_DEVICE_MOVED = WEIR_DEVICE_COMPUTED + 2,
};

/* Rows of the running step that are computed one way. */
struct weir_device_rows {
    uint32_t first, count;
    enum weir_gpu_way way;
    uint32_t position_max;
};
/* The next ones after *rows, which begins as zeros. False: there are none. */
bool weir_device_rows_next(const struct weir_forward *forward, struct weir_device_rows *rows);

static inline weir_gpu_address weir_device_at(weir_gpu_address base, uint64_t values)
{
    return base + values * sizeof(float);
}

/* The running step's row is a prompt's; the layer has the expert there. */
static inline bool weir_device_is_prompt(const struct weir_forward *forward, uint32_t row)
{
    return forward->step.runs[forward->step.rows[row].run].phase == WEIR_PROMPT;
}
static inline bool weir_device_has_expert(const struct weir_device_layer *layer, uint32_t expert)
{
    return layer->slot_of[expert] != WEIR_DEVICE_NO_SLOT;
}
static inline weir_gpu_address weir_device_slot(const struct weir_device_layer *layer,
                                                uint32_t expert)
{
    return layer->slots + layer->slot_of[expert] * layer->slot_bytes;
}
const struct weir_weight *weir_device_expert_weight(const struct weir_network *network, int stack);
/* Bytes of a layer's expert there, and where its slices are among them. */
uint64_t weir_device_slot_bytes(const struct weir_model *model, uint32_t layer, uint64_t *slice_at);
/* Bytes of one matrix's table of experts. */
static inline uint64_t weir_device_table_bytes(const struct weir_shape *shape)
{
    return weir_align_up(shape->n_expert * sizeof(struct weir_gpu_place), WEIR_GPU_ALIGN);
}
/* Where a matrix is of an expert in this slot. */
struct weir_gpu_place weir_device_place(const struct weir_device_layer *layer,
                                        const struct weir_weight *weight, weir_gpu_address slot);
/* expert_out of the experts in these tables, one of each matrix; of prompts' rows, or of all. */
void weir_device_compute(const struct weir_forward *forward, const struct weir_device_layer *layer,
                         const weir_gpu_address *tables, bool prompts_only);

void weir_transit_layout(struct weir_device *device, struct weir_gpu_mem *gpu_mem,
                         struct weir_mem *mem, uint64_t slot_bytes);
/* Where a place's expert is in its half, from the half's start. */
uint64_t weir_transit_slot_at(const struct weir_device_transit *transit, uint32_t place);
/* Whether the step's prompts come to their experts that way; then do that for a layer. Of one whose
 * experts move it may be all rows, and what finds a place there stays. What is on its way is waited
 * for, and computed with. Errors: IO, and the store's. */
bool weir_device_copies(const struct weir_forward *forward);
enum weir_status weir_device_run_transit(struct weir_forward *forward,
                                         struct weir_device_layer *layer, bool prompts_only,
                                         struct weir_err *err);
/* Only the latter. */
void weir_device_compute_late(struct weir_forward *forward, struct weir_device_layer *layer);

/* The parcel's parts for a step of so many rows. */
void weir_device_cut(struct weir_device *device, uint32_t n_row);
/* What a layer has, from the trunk in memory or while planning; then its experts. */
void weir_device_place_layer(struct weir_device *device, struct weir_gpu_mem *mem, uint32_t layer,
                             struct weir_device_layer *to);
void weir_device_place_output(struct weir_device *device, struct weir_gpu_mem *mem);
enum weir_status weir_device_fill(struct weir_device *device, struct weir_err *err);
/* A layer's expert as a lease of what the device has; borrowed until the next. Errors: IO. */
enum weir_status weir_device_lend(struct weir_device *device, uint32_t layer, uint32_t expert,
                                  struct weir_lease *lease, struct weir_err *err);

/* Bytes of the parcel, filled for the step's rows. */
uint64_t weir_device_pack(struct weir_forward *forward);
/* All that a step begins with, once it is packed, and what comes back of the residual stream. */
void weir_device_send(const struct weir_forward *forward, uint64_t bytes);
void weir_device_bring(const struct weir_forward *forward);
/* They have come: what norms there have met. Errors: IO, FORMAT. */
enum weir_status weir_device_await(struct weir_forward *forward, struct weir_err *err);
/* Logits of `count` rows of scratch.projected, on their way to returns.logits. */
void weir_device_multiply_output(const struct weir_forward *forward, uint32_t count);
/* y = W x of the step's rows, or y += of it. */
struct weir_device_product {
    const struct weir_gpu_matrix *w;
    weir_gpu_address x, y;
    uint32_t x_stride, y_stride;
    bool adds;
};
void weir_device_multiply(struct weir_forward *forward, const struct weir_device_product *product);
/* Several of one x. */
void weir_device_multiply_all(struct weir_forward *forward,
                              const struct weir_device_product *products, uint32_t count);
/* normed = norm(residual), damage noticed at this flag. */
void weir_device_norm(struct weir_forward *forward, weir_gpu_address weights, uint32_t flag);
/* x = norm(x) of n_row rows of d_model, where there are weights. */
void weir_device_norm_own(struct weir_forward *forward, weir_gpu_address weights,
                          weir_gpu_address x);
/* y += scale * x of [n_row][d_model]. */
void weir_device_add(struct weir_forward *forward, weir_gpu_address x, weir_gpu_address y,
                     float scale);

/* residual += mixer(normed). */
void weir_device_attend(struct weir_forward *forward, const struct weir_device_layer *layer);
/* sum += experts(normed), and the shared one's; sum is residual or branch. Errors: IO, and the
 * store's. */
enum weir_status weir_device_experts(struct weir_forward *forward, struct weir_device_layer *layer,
                                     weir_gpu_address sum, struct weir_err *err);
/* y = down(unit(gate x, up x)): a network of all rows. */
void weir_device_network(struct weir_forward *forward, const struct weir_gpu_matrix *network,
                         const struct weir_unit *unit);

/* ---- for forward.c --------------------------------------------------------------------------- */

static inline bool weir_device_has_layer(const struct weir_device *device, uint32_t layer)
{
    return device != NULL && device->plan.layers[layer].is_there;
}
static inline bool weir_device_has_output(const struct weir_device *device)
{
    return device != NULL && device->plan.has_output;
}
/* How the device sees the weight. */
struct weir_gpu_form weir_device_form(const struct weir_weight *weight);
/* A step begins: its rows, angles and embeddings may be asked for. */
void weir_device_begin(struct weir_forward *forward);
/* Here is all of it, in one piece that the device repeats: a step that only decodes, with nothing
 * left to the CPU. Then run it instead of its layers. Errors: as of fetch. */
bool weir_device_can_repeat(const struct weir_forward *forward);
enum weir_status weir_device_repeat(struct weir_forward *forward, struct weir_err *err);
/* The running layer. The residual stream goes there if it is here. Errors: IO, and the store's. */
enum weir_status weir_device_run_layer(struct weir_forward *forward, struct weir_err *err);
/* The residual stream comes here, if it is there: a layer of the CPU is next, or the step is over.
 * Errors: IO; FORMAT names the damage that norms there have met. */
enum weir_status weir_device_fetch(struct weir_forward *forward, struct weir_err *err);
/* A step has failed: nothing of it is under way any more. */
void weir_device_settle(struct weir_forward *forward);
/* Logits of rows of the last step. Errors: IO. */
enum weir_status weir_device_logits(struct weir_forward *forward, const uint32_t *rows,
                                    uint32_t count, float *out, struct weir_err *err);

#endif
