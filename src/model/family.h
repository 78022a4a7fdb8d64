/* family.h - what a family of models is: a row of data over known parts. */
#ifndef WEIR_MODEL_FAMILY_H
#define WEIR_MODEL_FAMILY_H

#include <stddef.h>

#include "model/attention.h"
#include "model/delta.h"
#include "model/gating.h"

/* What a family is made of: bits of a row in the family table. Parts are what tensors are for; what
 * has none is a field of the row. */
enum weir_part {
    WEIR_PART_DENSE = 1 << 0,          /* layers with one feed-forward network        */
    WEIR_PART_EXPERTS = 1 << 1,        /* layers with a router and experts            */
    WEIR_PART_SHARED = 1 << 2,         /* an expert that all tokens share             */
    WEIR_PART_HEAD_NORM = 1 << 3,      /* RMSNorm of each q and k head                */
    WEIR_PART_WIDE_NORM = 1 << 4,      /* RMSNorm of q and k over all heads           */
    WEIR_PART_QKV_BIAS = 1 << 5,       /* biases on q, k and v                        */
    WEIR_PART_INTERLEAVED = 1 << 6,    /* rope pairs (2i, 2i+1); else NEOX pairs      */
    WEIR_PART_SHARED_GATE = 1 << 7,    /* a sigmoid gate before the shared expert     */
    WEIR_PART_SELECTION_BIAS = 1 << 8, /* a bias that chooses experts and weighs none */
    WEIR_PART_LATE_NORM = 1 << 9,      /* the network's norm is called post_attention_norm */
    WEIR_PART_GUESSES = 1 << 10,       /* blocks at the end that guess further tokens: not run */
    WEIR_PART_UNTIED = 1 << 11,        /* an output matrix of its own                 */
    WEIR_PART_SINKS = 1 << 24,         /* a score of each head that has no position    */
    WEIR_PART_POST_NORM = 1 << 25,     /* RMSNorm of what mixers and networks give     */
    WEIR_PART_HEAD_GATE = 1 << 26,     /* a gate on what each head gives               */
    WEIR_PART_VALUE_GATE = 1 << 27,    /* a gate on each value that attention gives    */
    WEIR_PART_PARALLEL = 1 << 18, /* networks have the mixer's input, and no norm of their own */
    WEIR_PART_KEYS_AS_VALUES = 1 << 19, /* values are what keys were, where v has no tensor */
    WEIR_PART_FULL_BIAS = 1 << 28,      /* biases on attention's output, router and experts */
    WEIR_PART_FUSED_UP = 1 << 29,       /* gate and up of a network in one tensor, ffn_up */
    WEIR_PART_BESIDE = INT32_MIN, /* bit 31: experts beside a dense network, with norms each */
    WEIR_PART_LATENT = 1 << 12,   /* mixers are latent attention                  */
    /* What a layer has, as keys and tensors say: */
    WEIR_PART_ATTENTION = 1 << 13,       /* a mixer of keys and values                   */
    WEIR_PART_PLAIN_QUERY = 1 << 14,     /* latent: queries by one matrix ...            */
    WEIR_PART_LOW_QUERY = 1 << 15,       /* ... or by two, with few values between them  */
    WEIR_PART_SPLIT_HEADS = 1 << 16,     /* latent: a stack for keys and one for values ... */
    WEIR_PART_JOINT_HEADS = 1 << 17,     /* ... or one matrix for both, as older files have */
    WEIR_PART_DELTA = 1 << 20,           /* a mixer that is a gated delta net, with ...  */
    WEIR_PART_DELTA_PLAIN = 1 << 21,     /* ... q, k and v apart from their gate ...     */
    WEIR_PART_DELTA_PACKED = 1 << 22,    /* ... or both in one matrix, as older files have; */
    WEIR_PART_DELTA_TWO_GATES = 1 << 23, /* ... beta and alpha by two matrices ...       */
    WEIR_PART_DELTA_ONE_GATE = 1 << 30,  /* ... or by one                                */
};

struct weir_family {
    const char *name;   /* general.architecture */
    const char *models; /* for docs/FAMILIES.md: what people call those that have it */
    unsigned parts;     /* enum weir_part: its layers have them */
    unsigned may;       /* a layer has them where one of their tensors is in the file */
    /* What no key says: */
    enum weir_gating_kind gating;
    bool renormalizes, weighs_input; /* as in struct weir_gating */
    bool sigmoid_with_bias; /* that is the gating where experts are chosen with a bias, as files
                             * without a key mean it */
    bool judges_by_best;    /* of softmax: a group counts as much as its best expert */
    struct weir_unit unit;
    enum weir_glu limited; /* what keys that give limits turn the unit into; SILU: there are none */
    struct weir_family_attention attention;
    enum weir_delta_heads delta;
    bool roots_embedding;  /* embeddings are multiplied by the root of d_model */
    bool divides_logits;   /* by logit_scale, which else multiplies */
    bool roots_router;     /* what routers give is divided by the root of d_model */
    bool averages_shared;  /* of routed experts and shared one it is the mean that counts */
    bool may_center_norms; /* LayerNorm, where the file has only its epsilon */
};

/* NULL when there is no such family. */
const struct weir_family *weir_family_find(const char *name);
/* The rows of the table, by name; NULL past the last. */
const struct weir_family *weir_family_at(size_t row);
/* "llama, olmoe, ..." for error messages. */
const char *weir_family_list(char *out, size_t capacity);

#endif
