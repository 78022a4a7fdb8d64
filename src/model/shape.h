/* shape.h - the files that read a shape from keys. */
#ifndef WEIR_MODEL_SHAPE_H
#define WEIR_MODEL_SHAPE_H

#include "model/key_reader.h"
#include "model/model_internal.h"

/* The largest value a shape may have: far above any model, far below overflow. */
enum { WEIR_SHAPE_MAX = 1 << 24 };

/* What all layers' attention has in common. Needs n_layer, n_head, d_model and n_ctx_train. */
enum weir_status weir_shape_read_attention(const struct weir_key_reader *reader,
                                           const struct weir_family_attention *family,
                                           struct weir_shape *shape);
/* What a layer's attention has. Needs the whole shape, and the mixer's n_head. */
enum weir_status weir_shape_read_mixer(const struct weir_key_reader *reader,
                                       const struct weir_family *family,
                                       const struct weir_shape *shape, uint32_t layer,
                                       struct weir_mixer *mixer);
/* n_rot and both ropes. Needs d_head, n_ctx_train and window. */
enum weir_status weir_shape_read_rope(const struct weir_key_reader *reader,
                                      const struct weir_family_attention *family,
                                      struct weir_shape *shape);
/* What YaRN multiplies cos and sin by beside its own, and what a family keeps from that. */
enum weir_status weir_shape_read_attn_factor(const struct weir_key_reader *reader, float *factor);
enum weir_status weir_shape_read_yarn_multiplier(const struct weir_key_reader *reader,
                                                 float *multiplier);
/* What latent attention has in place of heads with keys and values. Needs the attention. */
enum weir_status weir_shape_read_latent(const struct weir_key_reader *reader,
                                        struct weir_shape *shape);
/* The same in a layer's mixer. */
void weir_shape_fill_latent(const struct weir_shape *shape, struct weir_mixer *mixer);
/* The heads of gated delta nets, and which layers have one. */
enum weir_status weir_shape_read_delta(const struct weir_key_reader *reader,
                                       const struct weir_family *family, struct weir_shape *shape);
enum weir_status weir_shape_read_mixer_kind(const struct weir_key_reader *reader,
                                            const struct weir_family *family, uint32_t n_layer,
                                            uint32_t layer, enum weir_mixer_kind *kind);
/* How the router's logits become the weights of the chosen experts. */
enum weir_status weir_shape_read_routing(const struct weir_key_reader *reader,
                                         const struct weir_family *family,
                                         struct weir_shape *shape);

#endif
