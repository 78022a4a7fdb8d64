/* delta.h - what a gated delta net has: the data of a layer, and of a family. */
#ifndef WEIR_MODEL_DELTA_H
#define WEIR_MODEL_DELTA_H

#include "model/weight.h"

/* How value heads of a gated delta net share key heads. */
enum weir_delta_heads {
    WEIR_DELTA_NONE,    /* the family has no such net */
    WEIR_DELTA_GROUPED, /* neighbours share one */
    WEIR_DELTA_TILED,   /* value head i has key head i modulo their number */
};

/* The heads of gated delta nets. */
struct weir_delta_shape {
    uint32_t n_key_head, n_value_head; /* 0: the model has no such net */
    uint32_t d_key, d_value;           /* of a head */
    uint32_t n_tap;                    /* positions that the convolution sees */
    bool is_tiled;                     /* as WEIR_DELTA_TILED */
};

/* A gated delta net: for each value head a state that every position decays, corrects and reads. */
struct weir_delta_net {
    struct weir_delta_shape shape;
    struct weir_weight mixed;          /* to q, k and v of all heads */
    struct weir_weight gate;           /* to what gates the output */
    struct weir_weight packed;         /* to both, key head by key head: then neither is there */
    struct weir_weight beta;           /* to how much is corrected, of each value head; ... */
    struct weir_weight alpha;          /* ... and decayed; without it beta has both, by key head */
    struct weir_vector taps;           /* [n_tap][q, k and v] of the convolution */
    struct weir_vector decay, dt_bias; /* of each value head; decay is below 0 */
    struct weir_vector norm;           /* [d_value] of what a head gives */
    struct weir_weight out;
};

#endif
