/* device_mixers.h - what a layer on a device has whose mixer is latent attention or a gated delta
 * net: its weights, its scratch, and the blocks of its state. */
#ifndef WEIR_MODEL_DEVICE_MIXERS_H
#define WEIR_MODEL_DEVICE_MIXERS_H

#include "gpu/gpu_ops.h"
#include "model/forward.h"

struct weir_device;
struct weir_device_layer;
struct weir_device_rows;

/* A matrix of each expert, or of each head. */
struct weir_device_stack {
    struct weir_gpu_form form;
    weir_gpu_address table; /* struct weir_gpu_place [n_expert] */
    weir_gpu_address bias, scale;
};

/* Beside q or q_up, which is in q's place, and out. */
struct weir_device_latent {
    struct weir_gpu_matrix q_down, down;
    weir_gpu_address norm;
    struct weir_device_stack absorb, expand; /* of heads */
};

/* Beside out and gate. */
struct weir_device_delta {
    struct weir_gpu_matrix mixed, packed, beta, alpha;
    weir_gpu_address taps, decay, dt_bias, norm;
    uint64_t state_at;    /* values of a block before the layer's */
    uint64_t state_bytes; /* of the layer's */
};

/* Values of the step's rows, beside those of attention. */
struct weir_device_mixer_scratch {
    weir_gpu_address low_query, latent; /* [n_chunk][d_query], [n_chunk][d_latent + d_turned] */
    /* Of so many rows at a time: [..][n_head][d_latent + d_turned], [..][n_head][d_latent]. */
    weir_gpu_address absorbed, mixed;
    weir_gpu_address head_ids;  /* uint32_t [of as many rows][n_head] */
    weir_gpu_address convolved; /* [n_chunk][q, k and v of all heads] */
    weir_gpu_address packed, beta, alpha;
    weir_gpu_address inputs; /* [n_chunk][n_layer][d_layer_input], of the tokens themselves */
};

/* Blocks of recurrent state, of all layers that are there: the state's numbers (state.h). */
struct weir_device_blocks {
    weir_gpu_address base;
    uint64_t bytes; /* of one; 0: no layer there is recurrent */
};

/* Rows of a prompt, or that are decoded, whose heads go through latent attention together. */
uint32_t weir_device_latent_rows(const struct weir_shape *shape, uint32_t n_chunk);

void weir_device_blocks_layout(struct weir_device *device, struct weir_gpu_mem *mem);
void weir_device_mixers_layout(struct weir_device *device, struct weir_gpu_mem *mem);
/* What attention and products of heads take of the workspace. */
uint64_t weir_device_mixers_workspace(const struct weir_device *device);
/* Once: what the scratch begins with. Errors: IO. */
enum weir_status weir_device_mixers_fill(struct weir_device *device, struct weir_err *err);

/* Where these rows are; q *= what a position makes of it (temperature). */
struct weir_gpu_rows weir_device_rows_of(const struct weir_device *device,
                                         const struct weir_device_rows *rows);
void weir_device_heat(const struct weir_forward *forward, weir_gpu_address q, uint32_t width);
/* residual += W x of a mixer's output matrix. */
void weir_device_mix(struct weir_forward *forward, const struct weir_device_layer *layer,
                     weir_gpu_address x);
/* The step's rows of keys and values, at their positions; values of 0: they lie inside keys. Then
 * what another layer remembered, where it was kept in fewer bits. */
void weir_device_remember(const struct weir_forward *forward, const struct weir_device_layer *layer,
                          weir_gpu_address k, uint32_t k_stride, weir_gpu_address v,
                          uint32_t v_stride);
void weir_device_expand(const struct weir_forward *forward, const struct weir_device_layer *layer);
/* residual += mixer(normed). */
void weir_device_run_latent(struct weir_forward *forward, const struct weir_device_layer *layer);
/* residual += what a layer makes of its input of the token; the inputs go there with the step. */
void weir_device_run_aside(struct weir_forward *forward, const struct weir_device_layer *layer);
void weir_device_send_inputs(const struct weir_forward *forward);
void weir_device_run_delta(struct weir_forward *forward, const struct weir_device_layer *layer);

#endif
