/* layout.h - the tensors of a GGUF file, and where a directory has their rows. */
#ifndef WEIR_CONVERT_LAYOUT_H
#define WEIR_CONVERT_LAYOUT_H

#include "recast/recast.h"

/* What tensors of a file are made of, and what they point to. */
struct weir_layout {
    struct weir_recast_list list;
    char *names;                      /* those of the list, each of WEIR_LAYOUT_NAME_BYTES */
    struct weir_layout_order *orders; /* [order_count]; tensors of several layers share them */
    uint32_t order_count, order_capacity;
    struct weir_layout_factors *factors;
    uint32_t near_count; /* tensors of codes that no type of GGUF has to the bit */
    uint32_t kept_count; /* those that become blocks with the same values */
};

enum { WEIR_LAYOUT_NAME_BYTES = 64 };

/* All tensors of a file of the manifest, which is a directory's, with the types that have its
 * values or are nearest to them. The caller frees the layout, also after an error. Errors: FORMAT,
 * UNSUPPORTED, which name the tensor or the key; NOMEM. */
enum weir_status weir_layout_make(struct weir_layout *layout, const weir_manifest *manifest,
                                  struct weir_err *err);
void weir_layout_free(struct weir_layout *layout);

#endif
