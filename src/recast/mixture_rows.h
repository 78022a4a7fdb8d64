/* mixture_rows.h - what mixtures are, and which of a model's tensors have another type in them. */
#ifndef WEIR_MIXTURE_ROWS_H
#define WEIR_MIXTURE_ROWS_H

#include "recast/recast.h"

/* In the order of the table of mixtures. */
enum mixture_id {
    MIX_Q4_K_M,
    MIX_Q4_K_S,
    MIX_Q5_K_M,
    MIX_Q5_K_S,
    MIX_Q6_K,
    MIX_Q8_0,
    MIX_Q3_K_L,
    MIX_Q3_K_M,
    MIX_Q3_K_S,
    MIX_Q2_K,
    MIX_Q2_K_S,
    MIX_Q4_0,
    MIX_Q4_1,
    MIX_Q5_0,
    MIX_Q5_1,
    MIX_IQ4_XS,
    MIX_IQ4_NL,
    MIX_IQ3_M,
    MIX_IQ3_S,
    MIX_IQ3_XS,
    MIX_IQ3_XXS,
    MIX_IQ2_M,
    MIX_IQ2_S,
    MIX_IQ2_XS,
    MIX_IQ2_XXS,
    MIX_IQ1_M,
    MIX_IQ1_S,
    MIX_MXFP4_MOE,
    MIX_TQ2_0,
    MIX_TQ1_0,
    MIX_Q2_0,
    MIX_Q1_0,
    MIX_MXFP4,
    MIX_NVFP4,
    MIX_BF16,
    MIX_F16,
    MIX_F32,
    MIX_COUNT
};

/* What a tensor is, by its name. */
enum mixture_place {
    AT_OUTPUT, /* the output matrix, or the embedding that is used as one */
    AT_EMBEDDING,
    AT_VALUES, /* attention's values, alone or with others */
    AT_KEYS,
    AT_QUERIES,
    AT_ATTENDED, /* attention's output */
    AT_DOWN,
    AT_GATE,
    AT_UP,
    AT_OTHER,
};

/* What must hold for a row, all of its bits. i is the layer or the how-manieth such tensor, n the
 * number of layers. */
enum mixture_condition {
    IF_GROUPS_OF_4 = 1, /* at least four heads of queries for each of keys */
    IF_NOT_GROUPS_OF_4 = 2,
    IF_4_EXPERTS = 4, /* or more */
    IF_8_EXPERTS = 8, /* exactly */
    IF_NOT_8_EXPERTS = 16,
    IF_FIRST_8TH = 32,  /* i < n / 8 */
    IF_FIRST_16TH = 64, /* i < n / 16 */
    IF_MORE_BITS = 128, /* the first and last eighths, and each third layer between */
    IF_MIDDLE = 256,    /* neither the first nor the last eighth */
    IF_FIRST_2 = 512,   /* i < 2 */
    IF_FIRST_4 = 1024,  /* i < 4 */
    IF_WEIGHTS = 2048,  /* importance is at hand */
    IF_NO_WEIGHTS = 4096,
    IF_FALCON = 8192, /* the family */
    IF_NOT_FALCON = 16384,
    IF_UNEVEN = 32768,      /* rows that are no whole blocks of the mixture's type */
    IF_COUNTED_8TH = 65536, /* as FIRST_8TH, but i is always the how-manieth */
};

struct mixture_row {
    uint64_t mixtures; /* one bit each */
    enum mixture_place place;
    unsigned conditions;
    enum weir_type type;
};

extern const struct weir_mixture weir_mixture_table[MIX_COUNT];
/* Those of less than three bits. */
extern const uint64_t weir_mixture_low;
/* The first row that holds decides. */
extern const struct mixture_row weir_mixture_rows[];
extern const size_t weir_mixture_row_count;

/* Parts of names of matrices that keep their type; family NULL: of any. */
struct mixture_kept {
    const char *family, *part;
};
extern const struct mixture_kept weir_mixture_kept[];
extern const size_t weir_mixture_kept_count;

#endif
