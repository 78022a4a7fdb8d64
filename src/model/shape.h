/* shape.h - the files that read a shape from keys. */
#ifndef WEIR_MODEL_SHAPE_H
#define WEIR_MODEL_SHAPE_H

#include "model/key_reader.h"
#include "model/model_internal.h"

/* The largest value a shape may have: far above any model, far below overflow. */
enum { WEIR_SHAPE_MAX = 1 << 24 };

/* n_rot and rope. Needs d_head and n_ctx_train. */
enum weir_status weir_shape_read_rope(const struct weir_key_reader *reader,
                                      struct weir_shape *shape);
/* How the router's logits become the weights of the chosen experts. */
enum weir_status weir_shape_read_routing(const struct weir_key_reader *reader, unsigned parts,
                                         struct weir_shape *shape);

#endif
