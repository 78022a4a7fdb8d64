/* model.h - what a model is, and one step through its layers.
 *
 * Job       Family table, shapes, binding tensors to roles, KV state, the forward pass.
 * Not here  Parsing (formats/), which experts are resident (store/), plans and sessions (engine/).
 * Shapes    n_layer n_head n_kv_head n_expert n_expert_used d_model d_head d_ffn n_vocab n_ctx, as
 *           in struct weir_shape and with no other meaning anywhere. Activations are
 *           [n_token][width] f32; a weight is [rows][cols], y = W x.
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
 *           arXiv:2302.13971 and arXiv:2407.21783 (rope scaling); YaRN arXiv:2309.00071.
 */
#ifndef WEIR_MODEL_H
#define WEIR_MODEL_H

#include <stdatomic.h>

#include "base/mem.h"
#include "formats/formats.h"
#include "io/io.h"
#include "kernels/kernels.h"
#include "quant/quant.h"
#include "store/store.h"
#include "sys/sys.h"

enum {
    WEIR_LAYER_MAX = 512,
    WEIR_TOP_K_MAX = 64,
    WEIR_LOGIT_ROWS_MAX = 8, /* positions whose logits exist at once */
};

/* What a family is made of: bits of a row in the family table. */
enum weir_part {
    WEIR_PART_DENSE = 1 << 0,       /* layers with one feed-forward network         */
    WEIR_PART_EXPERTS = 1 << 1,     /* layers with a router and experts             */
    WEIR_PART_SHARED = 1 << 2,      /* a shared expert behind a sigmoid gate        */
    WEIR_PART_HEAD_NORM = 1 << 3,   /* RMSNorm of each q and k head                 */
    WEIR_PART_WIDE_NORM = 1 << 4,   /* RMSNorm of q and k over all heads            */
    WEIR_PART_QKV_BIAS = 1 << 5,    /* biases on q, k and v                         */
    WEIR_PART_INTERLEAVED = 1 << 6, /* rope pairs (2i, 2i+1); else NEOX pairs       */
    WEIR_PART_RENORMALIZE = 1 << 7, /* the chosen experts' weights are made to sum 1 */
};

struct weir_family {
    const char *name; /* general.architecture */
    unsigned parts;   /* enum weir_part */
};

/* NULL when there is no such family. */
const struct weir_family *weir_family_find(const char *name);
/* "llama, olmoe, ..." for error messages. */
const char *weir_family_list(char *out, size_t capacity);

/* How positions turn the pairs of a head, and how that is stretched to longer texts. */
struct weir_rope {
    float base;
    float scale;         /* positions are multiplied by it; 1 is none */
    float extrapolation; /* YaRN: how much of what turns often is kept unscaled; 0: nothing */
    float beta_fast, beta_slow; /* turns that are often, and that are not */
    uint32_t n_ctx_original;    /* within which turns are counted */
    float magnitude;            /* of cos and sin */
};

struct weir_shape {
    uint32_t n_layer, n_head, n_kv_head, n_expert, n_expert_used;
    uint32_t d_model, d_head, d_ffn,
        d_ffn_expert; /* d_ffn as the key has it, 0 without; d_ffn_expert the widest */
    uint32_t n_vocab, n_ctx_train, n_rot;
    float norm_epsilon;
    struct weir_rope rope;
    float attention_scale; /* of scores; usually 1 / sqrt(d_head) */
    float expert_scale;    /* of the chosen experts' weights; usually 1 */
    bool renormalizes;     /* those weights are made to sum 1 first */
};

/* A matrix, or a stack of them (experts). */
struct weir_weight {
    const struct weir_tensor *tensor;
    enum weir_type type;
    uint32_t file;
    uint64_t cols, rows; /* of one matrix */
    uint64_t row_bytes;
    uint64_t matrix_bytes; /* rows * row_bytes */
    uint64_t count;        /* matrices in the stack; 1, or n_expert */
    uint64_t offset;       /* of the first, in its file */
    const uint8_t *data;   /* set by load; NULL for experts, which live in the store */
};

/* A vector as f32, whatever the file holds. */
struct weir_vector {
    const struct weir_tensor *tensor; /* NULL: this model has none */
    float *data;
};

enum weir_mixer_kind { WEIR_MIXER_ATTENTION };

/* What lets a position see the others: grouped-query attention. */
struct weir_mixer {
    enum weir_mixer_kind kind;
    uint32_t n_head, n_kv_head, d_head, n_rot;
    float scale;             /* of scores */
    bool is_interleaved;     /* rope turns pairs (2i, 2i + 1); else (i, i + n_rot / 2) */
    struct weir_vector norm; /* before it */
    struct weir_vector q_norm, k_norm, q_bias, k_bias, v_bias;
    struct weir_weight q, k, v, out;
};

enum weir_network_kind { WEIR_NETWORK_DENSE, WEIR_NETWORK_EXPERTS };

/* What each position goes through by itself: a feed-forward network, or routed experts and perhaps
 * one that all positions share. */
struct weir_network {
    enum weir_network_kind kind;
    uint32_t d_ffn, d_ffn_expert, d_ffn_shared; /* hidden widths; 0: there is none */
    bool renormalizes;       /* the weights of the chosen experts are made to sum 1 ... */
    float expert_scale;      /* ... and then multiplied by this */
    struct weir_vector norm; /* before it */
    struct weir_weight gate, up, down;
    struct weir_weight router, expert_gate, expert_up, expert_down;
    struct weir_weight shared_gate, shared_up, shared_down;
    struct weir_vector shared_router;
};

struct weir_layer {
    struct weir_mixer mixer;
    struct weir_network network;
};

static inline bool weir_layer_has_experts(const struct weir_layer *layer)
{
    return layer->network.kind == WEIR_NETWORK_EXPERTS;
}

struct weir_model {
    const struct weir_family *family;
    const weir_manifest *manifest; /* borrowed */
    struct weir_shape shape;
    struct weir_weight token_embedding, output; /* output.data == token_embedding.data when tied */
    bool tied;
    bool embedding_on_disk; /* token_embedding.data stays NULL: rows are read as tokens come */
    struct weir_vector output_norm, rope_factors;
    struct weir_layer *layers; /* [n_layer] */
    uint64_t trunk_bytes;      /* of the file that load reads */
    uint64_t expert_bytes;     /* of the file that the store reads */
};

/* Family, shape and every tensor's place, checked; no data is read. manifest must outlive it. */
enum weir_status weir_model_describe(struct weir_model **out, const weir_manifest *manifest,
                                     struct weir_err *err);
void weir_model_destroy(struct weir_model **model);
/* Ask mem for the trunk (use TRUNK): counts while PLANNING, places weights while OPENING; without
 * the embedding table when that stays on the disk. */
void weir_model_layout(struct weir_model *model, bool embedding_on_disk, struct weir_mem *mem);
typedef bool weir_model_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);
/* Read the trunk into its place through staging (WEIR_IO_ALIGN aligned). */
enum weir_status weir_model_load(struct weir_model *model, weir_io *io, void *staging,
                                 uint64_t staging_bytes, weir_model_progress_fn *progress,
                                 void *user, struct weir_err *err);
/* The store's view of one layer: slices gate, up, down; slot_count stays the caller's. */
void weir_model_store_layer(const struct weir_model *model, uint32_t layer,
                            struct weir_store_layer *out);
/* Weights of one token's path, all experts counted: for reports. */
void weir_model_parameters(const struct weir_model *model, uint64_t *all, uint64_t *active);

/* Keys and values of one sequence, f16 or f32, in pages of positions:
 * [page][layer][K, V][kv head][position of the page][d_head]. So the first positions are the first
 * bytes, and the memory of a page is not needed before the sequence reaches it. */
struct weir_kv {
    void *values;
    uint32_t page_length; /* positions */
    size_t page_stride;   /* values */
    bool is_f32;
};

void weir_kv_layout(struct weir_kv *kv, const struct weir_shape *shape, uint32_t n_ctx, bool is_f32,
                    struct weir_mem *mem);
/* Bytes of the pages that hold the first n_position positions. */
uint64_t weir_kv_bytes(const struct weir_kv *kv, uint32_t n_position);

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
    weir_io *row_io;   /* of the embedding's file, for rows on the disk; NULL while planning */
    weir_timeline *timeline; /* NULL: nothing is recorded */
    uint32_t n_chunk, n_ctx;
    enum weir_predictor predictor; /* what weir_forward_look_ahead() goes by; its room is planned */
    weir_forward_layer_fn *before_layer; /* may be NULL */
    void *before_layer_user;
};

/* Ask mem for scratch (use SCRATCH), in the same order whether planning or opening. With mem
 * PLANNING *out stays NULL. */
enum weir_status weir_forward_create(weir_forward **out, const struct weir_forward_config *config,
                                     struct weir_mem *mem, struct weir_err *err);
void weir_forward_destroy(weir_forward **forward);
/* Compute n_token <= n_chunk ids at positions [position, position + n_token) and write their K and
 * V. The residual stream of all of them is kept for weir_forward_logits(). cancel may be NULL. */
enum weir_status weir_forward_step(weir_forward *forward, struct weir_kv *kv, const uint32_t *ids,
                                   uint32_t n_token, uint32_t position, _Atomic bool *cancel,
                                   struct weir_err *err);
/* Tell watch which experts each token of a layer uses, ascending, [n_token][n_expert_used]; NULL
 * ends it. */
typedef void weir_forward_watch_fn(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                                   const uint32_t *experts);
void weir_forward_watch(weir_forward *forward, weir_forward_watch_fn *watch, void *user);
/* Tell the store the m likeliest experts of the next layer with experts while a layer runs, so that
 * it may read them ahead; 0 ends it. Never changes what is computed. */
void weir_forward_look_ahead(weir_forward *forward, uint32_t m);
/* Experts of single tokens that were guessed about so far, and how many were among the m. */
void weir_forward_recall_get(const weir_forward *forward, uint64_t *used, uint64_t *found);
/* Tell watch each guess about a single token once the truth is known: all experts, the likeliest
 * first; the same by the layer's own router (control); the n_expert_used that were chosen. */
typedef void weir_forward_guess_fn(void *user, uint32_t layer, const uint32_t *ranked,
                                   const uint32_t *control, uint32_t n_expert,
                                   const uint32_t *chosen);
void weir_forward_watch_guesses(weir_forward *forward, weir_forward_guess_fn *watch, void *user);
/* Logits [count][n_vocab] of tokens [first, first + count) of the last step; count is at most
 * WEIR_LOGIT_ROWS_MAX and n_chunk. Borrowed until the next call. */
const float *weir_forward_logits(weir_forward *forward, uint32_t first, uint32_t count);
/* Whether the logits [n_vocab] of a position are finite numbers. WEIR_ERR_FORMAT when not: damaged
 * weights, or ones that are too large, must not become words. */
enum weir_status weir_logits_check(const struct weir_model *model, const float *logits,
                                   uint32_t position, struct weir_err *err);

#endif
