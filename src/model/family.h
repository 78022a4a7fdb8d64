/* family.h - what a family of models is: a row of data over known parts. */
#ifndef WEIR_MODEL_FAMILY_H
#define WEIR_MODEL_FAMILY_H

#include <stddef.h>

#include "model/attention.h"
#include "model/delta.h"
#include "model/gating.h"
#include "model/parts.h"

struct weir_family {
    const char *name;   /* general.architecture */
    const char *models; /* for docs/FAMILIES.md: what people call those that have it */
    weir_parts parts;   /* its layers have them */
    weir_parts may;     /* a layer has them where one of their tensors is in the file */
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
/* The one whose name is most like it, for messages. */
const struct weir_family *weir_family_nearest(const char *name);

#endif
