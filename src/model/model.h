/* model.h - what a model is.
 *
 * Job       Family table, shapes, binding tensors to roles, load; forward.h has the pass over a
 *           batch.
 * Not here  Parsing (formats/), which experts are resident (store/), where keys and values are kept
 *           (state/), plans and sessions (engine/).
 * Shapes    n_layer n_head n_kv_head n_expert n_expert_used d_model d_head d_ffn n_vocab n_ctx, as
 *           in struct weir_shape and with no other meaning anywhere. Activations are [n_row][width]
 *           f32; a weight is [rows][cols], y = W x.
 * Units     *_bytes in bytes.
 * Owns      weir_model owns its description (heap). Weights, KV and scratch are borrowed from the
 *           engine's weir_mem.
 * Threads   The engine thread calls; work is split over the engine's pool.
 * Errors    describe: WEIR_ERR_UNSUPPORTED (architecture, tensor type, rope scaling: named),
 *           WEIR_ERR_FORMAT (a missing key or tensor, a wrong shape: named, wanted and found).
 *           load, forward: what io and store report; WEIR_ERR_CANCELLED; WEIR_ERR_FORMAT when
 *           weights, or values computed from them, are not finite numbers (damage.c).
 * Limits    WEIR_LAYER_MAX layers, n_expert <= WEIR_RECORD_MAX, n_expert_used <= WEIR_TOP_K_MAX.
 * Source    Qwen3 arXiv:2505.09388; OLMoE arXiv:2409.02060; Qwen2-MoE arXiv:2407.10671; Llama
 *           arXiv:2302.13971 and arXiv:2407.21783 (rope scaling); YaRN arXiv:2309.00071; latent
 *           attention DeepSeek-V2, arXiv:2405.04434 section 2.1; gated delta nets arXiv:2412.06464.
 */
#ifndef WEIR_MODEL_H
#define WEIR_MODEL_H

#include "base/mem.h"
#include "formats/formats.h"
#include "io/io.h"
#include "kernels/kv.h"
#include "model/family.h"
#include "quant/quant.h"
#include "state/state.h"
#include "store/store.h"
#include "sys/sys.h"

enum {
    WEIR_LAYER_MAX = 512,
    WEIR_STATE_PARTS = 2, /* of what a layer's mixer remembers */
    WEIR_STATE_LAYER_MAX = WEIR_STATE_PARTS * WEIR_LAYER_MAX,
    WEIR_TOP_K_MAX = 64,
};

struct weir_shape {
    uint32_t n_layer, n_expert;
    uint32_t n_expert_used;     /* the most that a layer's token uses */
    uint32_t n_layer_lead;      /* dense layers before the first with experts, by the key */
    uint32_t n_layer_own;       /* those after so many read keys and values of ones before */
    uint32_t n_block;           /* n_layer, and those after it that are not run; arrays have all */
    uint32_t n_head, n_kv_head; /* the most that a layer has */
    uint32_t d_model, d_head;
    uint32_t d_ffn;         /* the widest dense network's, by the key; 0: tensors say */
    uint32_t d_ffn_expert;  /* the widest */
    uint32_t d_layer_input; /* values that each layer gets of the token itself; 0: none */
    uint32_t n_vocab, n_ctx_train;
    float norm_epsilon;
    bool norms_are_centered; /* the mean is taken off first: LayerNorm */
    uint32_t n_rot;          /* the most of both ropes */
    struct weir_rope rope[WEIR_ROPE_COUNT];
    struct weir_latent_shape latent;
    struct weir_delta_shape delta;
    uint32_t window;       /* positions that a layer with a window sees; 0: all */
    float attention_scale; /* of scores where the file or the family say it; else 0 */
    float score_softcap;   /* scores end at it; 0: nowhere */
    struct weir_temperature temperature;
    float embedding_scale; /* of what a token begins with */
    float branch_scale;    /* of what mixers and networks add */
    float logit_scale;     /* of logits ... */
    float logit_softcap;   /* ... which end at it; 0: nowhere */
    struct weir_gating gating;
};

enum weir_mixer_kind { WEIR_MIXER_ATTENTION, WEIR_MIXER_LATENT, WEIR_MIXER_DELTA };

/* What latent attention has beside a mixer's q, out and norm: down to few values, and from there up
 * to those of all heads. */
struct weir_latent {
    struct weir_latent_shape shape;
    struct weir_weight q_down, q_up;   /* in place of q */
    struct weir_vector q_norm;         /* between the two */
    struct weir_weight down;           /* to d_latent + d_turned values */
    struct weir_vector norm;           /* of the first d_latent */
    struct weir_weight k_up;           /* a stack: [n_head][d_latent][d_plain], for queries */
    struct weir_weight v_up;           /* a stack: [n_head][d_value][d_latent] */
    struct weir_weight kv_up;          /* [n_head][d_plain and then d_value][d_latent] */
    struct weir_weight absorb, expand; /* k_up and v_up, or what stands for them in kv_up */
};

/* What lets a position see the others: grouped-query attention, latent attention or a gated delta
 * net. */
struct weir_mixer {
    enum weir_mixer_kind kind;
    uint32_t n_head, n_kv_head;
    uint32_t d_head, d_value; /* of q and k, of v */
    float scale;              /* of scores */
    float softcap;            /* of scores; 0: none */
    uint32_t window;          /* positions that one sees, itself included; 0: all before it */
    bool borrows;             /* keys and values are those of another layer: */
    uint32_t keys_layer;      /* the one that has them, else the layer itself */
    bool is_in_chunks;        /* the window begins at a multiple of its length */
    enum weir_rope_kind rope;
    bool is_interleaved; /* rope turns pairs (2i, 2i + 1); else (i, i + n_rot / 2) */
    struct weir_temperature temperature;
    bool norms_late;               /* q and k are normed after they are turned */
    bool norms_bare, norms_values; /* q and k, or v, by no weights */
    enum weir_output_gate output_gate;
    bool gate_is_in_q;            /* q has the rows of a head, then those of its gate */
    struct weir_vector norm;      /* before it */
    struct weir_vector post_norm; /* after it; there may be none */
    struct weir_vector sinks;     /* a score of each head beside its positions' */
    struct weir_vector q_norm, k_norm;
    struct weir_weight q, k, v, out; /* without v: the values are what k gives */
    struct weir_weight gate;         /* a row of each head, or of each value of each head */
    struct weir_latent latent;
    struct weir_delta_net delta;
};

enum weir_network_kind { WEIR_NETWORK_DENSE, WEIR_NETWORK_EXPERTS };

/* What each position goes through by itself: a feed-forward network, or routed experts and perhaps
 * one that all positions share. */
struct weir_network {
    enum weir_network_kind kind;
    uint32_t d_ffn, d_ffn_expert, d_ffn_shared; /* hidden widths; 0: there is none */
    uint32_t n_expert_used;                     /* of a token; 0: there are none */
    struct weir_gating gating;
    struct weir_unit unit, expert_unit; /* of the dense or shared network, of routed experts */
    struct weir_vector norm;            /* before it, or before its router alone: */
    struct weir_vector expert_norm, shared_norm; /* before the experts, or the shared one */
    struct weir_vector post_norm; /* after it; after the experts, or the shared one; or none */
    struct weir_vector expert_post_norm, shared_post_norm;
    struct weir_weight gate, up, down;
    struct weir_weight router, expert_gate, expert_up, expert_down;
    struct weir_vector selection_bias; /* of experts while they are chosen */
    struct weir_weight shared_gate, shared_up, shared_down;
    struct weir_vector shared_router; /* none: the shared expert counts as it is */
};

/* What a layer makes of its input of the token: in the place of a third branch. */
struct weir_aside {
    struct weir_weight gate, out; /* gate: none, the layer has no such input */
    struct weir_vector norm;      /* of what out gives */
};

struct weir_layer {
    struct weir_mixer mixer;
    struct weir_network network;
    struct weir_aside aside;
    struct weir_vector output_scale; /* one value: of the residual stream after the layer */
};

/* Of the network's input, and so of its router's. */
static inline const struct weir_vector *weir_network_norm(const struct weir_layer *layer)
{
    return layer->network.norm.tensor != NULL ? &layer->network.norm : &layer->mixer.norm;
}

static inline bool weir_layer_has_experts(const struct weir_layer *layer)
{
    return layer->network.kind == WEIR_NETWORK_EXPERTS;
}

/* The tables of which a token needs a row. */
enum weir_table { WEIR_TABLE_TOKENS, WEIR_TABLE_LAYERS, WEIR_TABLE_COUNT };

struct weir_model {
    const struct weir_family *family;
    const weir_manifest *manifest; /* borrowed */
    struct weir_shape shape;
    struct weir_weight token_embedding, output; /* output.data == token_embedding.data when tied */
    bool tied;
    struct weir_weight layer_embedding;  /* where layers have inputs of their own: a token's ... */
    struct weir_weight layer_projection; /* ... and what is made of its embedding */
    struct weir_vector layer_projection_norm;
    unsigned tables_on_disk; /* bits of enum weir_table: data stays NULL, rows are read as tokens
                              * come */
    struct weir_vector output_norm;
    struct weir_vector rope_factors; /* divide frequencies, whatever the context */
    struct weir_vector rope_long,
        rope_short;            /* the same, for contexts beyond the original or not */
    struct weir_layer *layers; /* [n_layer] */
    /* The same experts in fewer bits, of another file; borrowed, NULL: there are none (copies.h) */
    const struct weir_model *copies;
    uint64_t trunk_bytes;  /* of the file that load reads */
    uint64_t expert_bytes; /* of the file that the store reads */
};

/* Family, shape and every tensor's place, checked; no data is read. manifest must outlive it. */
enum weir_status weir_model_describe(struct weir_model **out, const weir_manifest *manifest,
                                     struct weir_err *err);
void weir_model_destroy(struct weir_model **model);
/* Ask mem for the trunk (use TRUNK): counts while PLANNING, places weights while OPENING; without
 * the tables that stay on the disk. */
void weir_model_layout(struct weir_model *model, unsigned tables_on_disk, struct weir_mem *mem);
/* cols is 0 where the model has no such table. */
const struct weir_weight *weir_model_table(const struct weir_model *model, enum weir_table table);
/* Bytes of those that stay on the disk. */
uint64_t weir_model_on_disk_bytes(const struct weir_model *model, unsigned tables_on_disk);
typedef bool weir_model_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);
/* Read the trunk into its place through staging (WEIR_IO_ALIGN aligned). */
enum weir_status weir_model_load(struct weir_model *model, weir_io *io, void *staging,
                                 uint64_t staging_bytes, weir_model_progress_fn *progress,
                                 void *user, struct weir_err *err);
/* The store's view of one layer: slices of gate, up, down; slot_count stays the caller's. */
void weir_model_store_layer(const struct weir_model *model, uint32_t layer,
                            struct weir_store_layer *out);
/* The experts that a token uses in all layers. */
uint64_t weir_model_use_count(const struct weir_model *model);
/* All weights, and those of one token's path: for reports. */
void weir_model_parameters(const struct weir_model *model, uint64_t *all, uint64_t *active);

/* What a layer's mixer remembers, its keys and values kept as kv: what every position leaves, and
 * where that is packed, the latest positions as rows. */
void weir_model_state_layer(const struct weir_model *model, uint32_t layer, enum weir_kv kv,
                            struct weir_state_layer out[WEIR_STATE_PARTS]);
/* What that is: "keys and values", ... */
const char *weir_model_state_name(const struct weir_model *model, uint32_t layer);
/* The same of each layer, for a state, part by part: out[WEIR_STATE_LAYER_MAX]; part p of layer l
 * is its layer p * n_layer + l. Returns how many it has. */
uint32_t weir_model_state_layers(const struct weir_model *model, enum weir_kv kv,
                                 struct weir_state_layer *out);
/* Whether a model's keys, values and latents can be kept so. Errors: UNSUPPORTED, with the layer
 * and the reason. */
enum weir_status weir_model_kv_check(const struct weir_model *model, enum weir_kv kv,
                                     struct weir_err *err);

#endif
