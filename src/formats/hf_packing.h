/* hf_packing.h - weights of Hugging Face directories that are several tensors each. */
#ifndef WEIR_HF_PACKING_H
#define WEIR_HF_PACKING_H

#include "formats/hf.h"

/* What a tensor is of the weight that it belongs to. */
enum hf_piece_kind {
    HF_CODES,
    HF_SCALES,
    HF_ZEROS,   /* zero points of codes */
    HF_FACTOR,  /* one value: the weight is multiplied by it */
    HF_DIVISOR, /* one value: it is divided by it */
    HF_NOTE,    /* of no use here */
    HF_REFUSED, /* what it does is not built in */
};

struct hf_piece {
    const char *suffix; /* of its name */
    enum hf_piece_kind kind;
    const char *dtype;   /* that it must have; NULL: any that says what its values are */
    uint32_t code_count; /* codes in one value of that dtype */
    bool is_in_groups;   /* the codes of a scale are a dimension of their own */
    const char *what;    /* that is not built in */
};

enum { HF_PIECE_MAX = 6 };

/* A way to store weights as codes and scales. */
struct hf_packing {
    const char *method, *format; /* in quantization_config; format NULL: any */
    enum weir_type type;         /* of codes */
    const char *weight;          /* what a whole weight's name ends with, in place of a suffix */
    uint32_t group_cols;         /* that a scale is for; 0: quantization_config, or the shapes */
    const char *number;          /* config_groups must say: "int" or "float" ... */
    uint32_t bits;               /* ... of so many bits */
    struct hf_piece pieces[HF_PIECE_MAX];
};

/* The row of a tensor that is a piece of a weight, and what the weight would be called if it were
 * whole; NULL, and its own name: it is whole. */
const struct hf_piece *weir_hf_piece_find(const struct hf_config *config,
                                          const struct weir_raw_tensor *raw,
                                          char weight[WEIR_NAME_MAX + 1]);
/* Type, shape and name of the manifest's tensor, which has those of the weight. path: of its file.
 * Errors: FORMAT, UNSUPPORTED. */
enum weir_status weir_hf_piece_apply(const struct hf_config *config, const struct hf_piece *piece,
                                     const struct weir_raw_tensor *raw, const char *path,
                                     struct weir_tensor *tensor, char *name, size_t capacity);

#endif
