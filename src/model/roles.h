/* roles.h - what each tensor of a file is for: rows of data. */
#ifndef WEIR_MODEL_ROLES_H
#define WEIR_MODEL_ROLES_H

#include <stddef.h>

#include "model/model_internal.h"

enum weir_role_kind {
    WEIR_ROLE_WEIGHT,  /* a matrix of the trunk */
    WEIR_ROLE_VECTOR,  /* a vector of the trunk */
    WEIR_ROLE_HEADS,   /* a stack of matrices of the trunk, one for each head */
    WEIR_ROLE_EXPERTS, /* a stack of matrices, one for each expert */
};

/* What a dimension must be. The widths of networks are learned from the first tensor that has them.
 */
enum weir_dim {
    WEIR_DIM_NONE,
    WEIR_DIM_MODEL,
    WEIR_DIM_HEAD,
    WEIR_DIM_HEADS,
    WEIR_DIM_Q,
    WEIR_DIM_K,
    WEIR_DIM_V,
    WEIR_DIM_ATTENDED,
    WEIR_DIM_LOW_QUERY,
    WEIR_DIM_PLAIN,
    WEIR_DIM_VALUE,
    WEIR_DIM_LATENT,
    WEIR_DIM_LATENT_ROW,
    WEIR_DIM_JOINT,
    WEIR_DIM_DELTA_KEY_VALUE,
    WEIR_DIM_DELTA_VALUE,
    WEIR_DIM_DELTA_PACKED,
    WEIR_DIM_DELTA_HEADS,
    WEIR_DIM_DELTA_HEADS_TWICE,
    WEIR_DIM_DELTA_HEAD,
    WEIR_DIM_DELTA_TAPS,
    WEIR_DIM_FFN,
    WEIR_DIM_FFN_EXPERT,
    WEIR_DIM_FFN_SHARED,
    WEIR_DIM_EXPERTS,
    WEIR_DIM_VOCAB,
    WEIR_DIM_ROT_HALF,
    WEIR_DIM_LAYER_INPUT,
    WEIR_DIM_LAYER_INPUTS, /* of all layers */
};

/* A matrix X.weight may have X.bias and X.scale beside it (struct weir_weight): without a role. */
struct weir_role {
    const char *name; /* within the model, or within "blk.N." */
    enum weir_role_kind kind;
    weir_parts parts; /* needed when the layer has all of these parts */
    bool optional;    /* used when it is there */
    unsigned input;   /* enum weir_input, of a matrix */
    enum weir_dim cols, rows;
    size_t place; /* offsetof in struct weir_model or struct weir_layer */
};

enum { WEIR_ALIAS_MEMBERS_MAX = 3 };

/* Another name of a layer's role; or one tensor that has several of them: rows of matrices, values
 * of vectors, one after the other. */
struct weir_alias {
    weir_parts parts; /* only in layers that have all of these */
    const char *name;
    const char *members[WEIR_ALIAS_MEMBERS_MAX]; /* names of roles of one kind */
};

extern const struct weir_role weir_model_roles[];
extern const size_t weir_model_role_count;
extern const struct weir_role weir_layer_roles[];
extern const size_t weir_layer_role_count;
/* A matrix whose bias a layer with the part needs. */
struct weir_biased {
    weir_parts part;
    const char *name;
};

/* A tensor that a layer with the part may go without. */
struct weir_waived {
    weir_parts part;
    const char *name;
};

extern const struct weir_alias weir_aliases[];
extern const size_t weir_alias_count;
extern const struct weir_biased weir_biased[];
extern const size_t weir_biased_count;
extern const struct weir_waived weir_waived[];
extern const size_t weir_waived_count;

/* Whether something that has these parts needs the role. */
static inline bool weir_role_is_needed(const struct weir_role *role, weir_parts parts)
{
    return (role->parts & parts) == role->parts;
}

/* role->place says where: a struct weir_vector, or a struct weir_weight, by the role's kind. */
typedef void weir_role_fn(void *user, const struct weir_role *role);
/* Call fn for every weight and vector that the layer has, or the model itself, once each. */
void weir_roles_visit_layer(const struct weir_layer *layer, weir_role_fn *fn, void *user);
void weir_roles_visit_model(const struct weir_model *model, weir_role_fn *fn, void *user);

#endif
