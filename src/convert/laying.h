/* laying.h - what the files that lay a file's tensors out share. */
#ifndef WEIR_CONVERT_LAYING_H
#define WEIR_CONVERT_LAYING_H

#include "convert/layout.h"

/* Where row (or column) number `at` of the file's tensor is in the directory's: `at` is written in
 * digits, of which the last one counts to inner and the one before it to middle, and each has a
 * step of its own. */
struct weir_order {
    uint64_t first, inner, middle;
    uint64_t outer_step, middle_step, inner_step;
};

/* As they lie, from first on. */
static inline struct weir_order weir_order_plain(uint64_t first)
{
    return (struct weir_order){.first = first, .inner = UINT64_MAX, .middle = 1, .inner_step = 1};
}

/* Rows that follow one order. */
struct weir_run {
    uint64_t count;
    struct weir_order order;
};

struct weir_layout_order {
    uint32_t *at;
    uint64_t count;
};

struct weir_maker {
    const weir_manifest *manifest;
    const char *family;
    struct weir_layout *layout;
    uint32_t capacity;
    struct weir_err *err;
    /* Of the tensor that is looked at. */
    const struct weir_tensor *source;
    uint32_t layer;
    const char *word; /* of its name, behind the layer */
};

bool weir_is_codes(const struct weir_tensor *tensor);
bool weir_ends_with(const char *name, const char *suffix);
/* One more tensor of the file, called as word says, with so many rows in each of its matrices: all
 * of the source's, as they lie. *laid is valid until the next one. Errors: as
 * weir_recast_tensor_make(). */
enum weir_status weir_laid_add(struct weir_maker *maker, const char *word, uint64_t rows,
                               struct weir_recast_tensor **laid);
/* Its rows, or its columns, in the order of the runs, one behind the other. Errors: NOMEM. */
enum weir_status weir_laid_rows(struct weir_maker *maker, struct weir_recast_tensor *laid,
                                const struct weir_run *runs, uint32_t count);
enum weir_status weir_laid_cols(struct weir_maker *maker, struct weir_recast_tensor *laid,
                                const struct weir_run *runs, uint32_t count);
/* Its type, once its orders are known. */
enum weir_status weir_laid_finish(struct weir_maker *maker, struct weir_recast_tensor *laid);

/* Factors of codes, one for each of count matrices, as a vector of the layout's. Errors: FORMAT,
 * IO, NOMEM. */
enum weir_status weir_factors_read(struct weir_maker *maker, const struct weir_tensor *factor,
                                   uint64_t count, const struct weir_tensor **out);
void weir_factors_free(struct weir_layout *layout);

#endif
