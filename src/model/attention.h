/* attention.h - what grouped-query attention may have: the data of a layer, and what a family's
 * files do not say; the widths of latent attention. */
#ifndef WEIR_MODEL_ATTENTION_H
#define WEIR_MODEL_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

/* How positions turn the pairs of a head, and how that is stretched to longer texts. */
struct weir_rope {
    uint32_t n_rot; /* values of a head that turn; 0: no layer has it */
    float base;
    float scale;         /* positions are multiplied by it; 1 is none */
    float extrapolation; /* YaRN: how much of what turns often is kept unscaled; 0: nothing */
    float beta_fast, beta_slow; /* turns that are often, and that are not */
    bool is_exact;              /* the pairs between them are not rounded to whole ones */
    uint32_t n_ctx_original;    /* within which turns are counted */
    float magnitude;            /* of cos and sin */
    bool has_factors;           /* the model's tensors divide its frequencies, where it has them */
    bool needs_factors;         /* those of short and of long texts must be there */
};

/* The ropes of a model: of layers that see all, and of those that see a window. */
enum weir_rope_kind {
    WEIR_ROPE_FULL,
    WEIR_ROPE_WINDOW,
    WEIR_ROPE_COUNT,
    WEIR_ROPE_NONE = WEIR_ROPE_COUNT,
};

/* Which layers turn their heads. */
enum weir_rope_layers {
    WEIR_ROPE_EVERYWHERE,
    WEIR_ROPE_IN_WINDOWS,
    WEIR_ROPE_IN_WINDOWS_AND_LEAD, /* also in the dense layers that come first */
    WEIR_ROPE_NOT_EVERY_FOURTH,    /* not where (layer + 1) % 4 is 0 */
};

/* q is multiplied by 1 + scale * ln(floor((position + offset) / length) + 1): scores of long texts
 * get steeper. scale 0: never. */
struct weir_temperature {
    float scale, length, offset;
};

enum weir_output_gate {
    WEIR_GATE_NONE,
    WEIR_GATE_SIGMOID,
    WEIR_GATE_SOFTPLUS,
};

/* As a period of windows: the key must be there. */
#define WEIR_WINDOWS_BY_KEY UINT32_MAX

/* Of a family, what no key of its files says, or what holds where a key is absent. */
struct weir_family_attention {
    uint32_t window; /* positions that a layer with a window sees; 0: by the key, or none */
    /* Of layers i, those have a window for which i % period is below period - 1, or is not 0 when
     * the full one is first; 0: all have one. */
    uint32_t window_period;
    bool is_full_first;
    bool has_windows;  /* else a key that asks for a window shorter than the context is refused */
    bool is_in_chunks; /* a window begins at a multiple of its length */
    enum weir_rope_layers rope_layers;
    float window_rope_base;     /* 0: as the full layers' */
    bool window_rope_is_plain;  /* neither scaled nor divided by factors */
    bool full_rope_is_half;     /* full layers turn half of rope.dimension_count */
    bool rope_is_divided;       /* full layers need the factors that divide frequencies */
    bool rope_is_exact;         /* as in struct weir_rope */
    float scale;                /* of scores; 0: 1 / sqrt(d_head) ... */
    uint32_t wide_scale_layers; /* ... but 1 / sqrt(d_model / n_head) in the model of so many */
    struct weir_temperature temperature; /* of layers that do not turn their heads */
    bool norms_late;                     /* q and k are normed after they are turned */
    bool norms_bare;                     /* by no weights, in layers that turn their heads ... */
    uint32_t not_bare_experts;           /* ... but not in the model of so many experts */
    bool norms_values;                   /* v is normed, by no weights */
    enum weir_output_gate output_gate;
    bool gate_is_in_q; /* q has the rows of a head, then those of its gate */
};

/* What latent attention is made of: the widths of its vectors. A head's query is d_plain values and
 * d_turned that turn; a position is remembered as d_latent values, from which every head's plain
 * keys and its values would follow, and d_turned that turn and are the same for all heads. */
struct weir_latent_shape {
    uint32_t d_latent; /* 0: the model has no such attention */
    uint32_t d_plain, d_turned, d_value;
    uint32_t d_query; /* what queries are made from; 0: from the layer's input */
    bool is_joint;    /* keys and values of the heads come from one matrix, as older files have */
};

#endif
