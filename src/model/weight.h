/* weight.h - the weights of a model: where they are in a file, and in memory. */
#ifndef WEIR_MODEL_WEIGHT_H
#define WEIR_MODEL_WEIGHT_H

#include "formats/formats.h"
#include "quant/quant.h"

/* Values as f32, whatever the file holds: a tensor, or a part of each of its rows. */
struct weir_vector {
    const struct weir_tensor *tensor; /* NULL: this model has none */
    uint64_t cols, rows;              /* one row, but where experts have one each */
    uint64_t first, stride;           /* in the tensor: row 0, and from one row to the next */
    uint32_t step;                    /* from one value to the next, where several take turns; 0 */
    bool is_turned;                   /* column by column: data is [cols][rows] */
    float *data;                      /* [rows][cols], set by load */
};

/* What the codes of a weight are multiplied by, in its tensor's own format: [count][rows][cols]. */
struct weir_scale_stack {
    const struct weir_tensor *tensor; /* NULL: the weight is no codes */
    enum weir_scale_type type;
    uint32_t group_rows, group_cols; /* of codes that one is for */
    uint32_t file;
    uint32_t slice; /* the rest is as in struct weir_weight */
    uint64_t cols, rows;
    uint64_t row_bytes, matrix_bytes, stride_bytes, offset, lead_bytes;
    const struct weir_place *places;
    const uint8_t *data;
};

/* What the columns of a weight's matrices were multiplied by, where that is measured
 * (importance.h). */
struct weir_input_sums {
    double *sums;     /* [count][cols] of squares; NULL: it is not */
    uint64_t *counts; /* [count]: of how many rows */
};

/* A matrix, or a stack of them, of experts or heads: y = scale * W x + bias. */
struct weir_weight {
    const struct weir_tensor *tensor;
    enum weir_type type;
    uint32_t file;
    uint64_t cols, rows;   /* of one matrix */
    uint64_t row_bytes;    /* from one row to the next */
    uint64_t col_bytes;    /* of floats that lie column by column: from one to the next; else 0 */
    uint64_t matrix_bytes; /* read for one: its rows, and those of others that lie between them */
    uint64_t lead_bytes;   /* of those, before row 0 */
    uint64_t stride_bytes; /* from one matrix of a stack to the next */
    uint64_t count;        /* matrices in the stack: 1, n_expert or n_head */
    uint64_t offset;       /* of the first, in its file */
    uint32_t slice;        /* of an expert's record (slices.c) */
    /* [count], the manifest's: where each begins when they are no stack; offset, stride_bytes and
     * file then say nothing. NULL: they are. */
    const struct weir_place *places;
    const uint8_t *data;      /* set by load; NULL for experts, which live in the store */
    struct weir_vector bias;  /* [count][rows], where there is one */
    struct weir_vector scale; /* one value, or one for each of a stack, where there is one */
    struct weir_scale_stack scales;
    /* Of I4, where there are any: rows of words, group_rows rows of codes in each. */
    struct weir_scale_stack zeros;
    struct weir_input_sums inputs;
};

#endif
