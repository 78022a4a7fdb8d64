/* bind.h - where in a file the tensors of a role are. */
#ifndef WEIR_MODEL_BIND_H
#define WEIR_MODEL_BIND_H

#include "model/roles.h"

enum { WEIR_TENSOR_SUFFIX_MAX = 72, WEIR_TENSOR_NAME_MAX = 96 };

/* What tensors are being found for: the model itself, or one of its layers. */
struct weir_binding {
    struct weir_model *model;
    struct weir_layer *layer; /* NULL: the model itself */
    uint32_t layer_index;
    weir_parts parts;     /* that it has */
    uint32_t bound_count; /* tensors that have a use */
};

/* The tensor that has what a role needs, and where in it. */
struct weir_found {
    const struct weir_tensor *tensor; /* NULL: there is none of that name */
    const struct weir_alias *alias;   /* it is in a tensor of this name; NULL: of its own */
    uint64_t first, extent;           /* rows of a matrix, values of a vector: the role's */
    uint32_t step;                    /* from one of them to the next */
    uint64_t total;                   /* those that the tensor must have */
    bool is_first;                    /* of the roles that the tensor has: so it is counted once */
};

/* "blk.N.suffix", or the suffix for the model itself, into out of WEIR_TENSOR_NAME_MAX bytes. */
const char *weir_tensor_name(const struct weir_binding *binding, const char *suffix, char *out);
/* NULL: the file has none. */
const struct weir_tensor *weir_tensor_find(const struct weir_binding *binding, const char *suffix);
const struct weir_role *weir_role_find(const struct weir_binding *binding, const char *name);
/* Learns the widths that the keys do not say. Errors: FORMAT, UNSUPPORTED. */
enum weir_status weir_found_check(const struct weir_binding *binding, const struct weir_role *role,
                                  const struct weir_found *found, struct weir_err *err);
/* Whether the file has the role's tensor, by whatever name. */
bool weir_role_is_there(const struct weir_binding *binding, const struct weir_role *role);
struct weir_found weir_role_locate(const struct weir_binding *binding,
                                   const struct weir_role *role);

/* Count what is read of the role's tensor, by the store or into the trunk; what several roles have
 * together counts once. Errors: UNSUPPORTED: an expert's part is too large. */
enum weir_status weir_bind_bytes(struct weir_binding *binding, const struct weir_role *role,
                                 const struct weir_found *found, uint64_t count,
                                 uint64_t matrix_bytes, struct weir_err *err);
/* X.scales, X.zeros, X.bias and X.scale of the role's matrix X.weight, which was found. */
enum weir_status weir_bind_companions(struct weir_binding *binding, const struct weir_role *role,
                                      const struct weir_found *found, struct weir_weight *weight,
                                      struct weir_err *err);
/* That no layer lacks a tensor which another one of its kind has. Every tensor of the file has a
 * use. Errors: FORMAT. */
enum weir_status weir_model_check_alike(const struct weir_model *model, struct weir_err *err);
/* Whether a tensor is known and not used: of a block that guesses further tokens, which is not run,
 * or of keys and values where a layer borrows them. */
bool weir_model_skips(const struct weir_model *model, const char *name);
/* Whether the name is one of a role of something that has these parts, or of what may go with it.
 * suffix: without "blk.N."; is_layer: it had that. */
bool weir_is_bound_name(const char *suffix, bool is_layer, weir_parts parts);

#endif
