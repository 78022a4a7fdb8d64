/* activations.h - rows of activations in the formats that kernels want. */
#ifndef WEIR_MODEL_ACTIVATIONS_H
#define WEIR_MODEL_ACTIVATIONS_H

#include "model/forward.h"

/* Activations of one set of rows in every format that somebody asked for. */
struct weir_act_rows {
    size_t cols;
    const float *f32;
    uint8_t *rows[WEIR_ACT_COUNT]; /* [n][row_bytes], where allocated */
    size_t row_bytes[WEIR_ACT_COUNT];
};

float *weir_take_floats(struct weir_mem *mem, uint64_t count);
uint32_t *weir_take_indices(struct weir_mem *mem, uint64_t count);
/* What a matrix is applied to: bits, for one may be applied to several. */
enum weir_input {
    WEIR_INPUT_NORMED = 1 << 0,    /* weir_stream.normed */
    WEIR_INPUT_ATTENDED = 1 << 1,  /* weir_attention_scratch.attended */
    WEIR_INPUT_HIDDEN = 1 << 2,    /* weir_hidden.gate */
    WEIR_INPUT_GATHERED = 1 << 3,  /* weir_routing.gathered_act */
    WEIR_INPUT_ROUTER = 1 << 4,    /* what look-ahead guesses from */
    WEIR_INPUT_LOW_QUERY = 1 << 5, /* weir_latent_scratch.low_query */
    WEIR_INPUT_PLAIN = 1 << 6,     /* the plain part of a head's query */
    WEIR_INPUT_MIXED = 1 << 7,     /* weir_latent_scratch.mixed */
    WEIR_INPUT_DELTA = 1 << 8,     /* weir_delta_scratch.gated */
    WEIR_INPUT_ASIDE = 1 << 9,     /* weir_aside.gate */
};
/* The activation formats that the model's matrices want this input in, as a mask. */
unsigned weir_input_formats(const struct weir_model *model, const struct weir_kernels *kernels,
                            enum weir_input input);
/* Room for row_count rows of width cols in every 8-bit format of the mask; F32 too when the rows
 * are copies rather than a view of floats that exist anyway. */
void weir_take_act(struct weir_act_rows *act, struct weir_mem *mem, unsigned formats,
                   uint64_t row_count, size_t cols, bool copies_f32);
/* The rows have another width from now on: as many of them fit as before, none is wider. */
void weir_act_narrow(struct weir_act_rows *act, size_t cols);

#endif
