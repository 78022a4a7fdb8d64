/* matmul_args.h - what the kernels of matrix products, experts and embeddings are given. */
#ifndef WEIR_MATMUL_ARGS_H
#define WEIR_MATMUL_ARGS_H

#include <stdint.h>

/* As struct weir_gpu_place. */
struct weir_cuda_place {
    uint64_t data, scales, zeros;
};

/* struct weir_scales without its addresses, group_cols at most the columns of the matrix. */
struct weir_cuda_scales {
    uint64_t row_bytes, zero_row_bytes;
    uint32_t group_rows, group_cols;
    uint32_t type;
};

/* The matrices of a product: one, or those of a table. y = scale * W x + bias. */
struct weir_cuda_weights {
    uint32_t type, cols, rows;
    uint64_t row_bytes;
    struct weir_cuda_scales scales;
    struct weir_cuda_place one; /* where table is 0 */
    uint64_t table;             /* struct weir_cuda_place [n_expert] */
    uint64_t bias;              /* [rows] of each, or 0 */
    uint64_t scale_of;          /* of a table: [n_expert], or 0 */
    float scale;                /* of one */
    uint32_t n_expert;
};

/* Rows of x and y. A row is that of an assignment, or of a product of one matrix. */
struct weir_cuda_rows {
    uint64_t x, y;
    uint64_t chosen; /* uint32_t [n_row]: the expert of each row of y; or 0 */
    uint32_t x_stride, y_stride;
    uint32_t x_per; /* so many rows of y one after the other have the same row of x */
    uint32_t n_row; /* of y */
    uint32_t adds;
};

/* matvec.cuh and matvec_float.cu: a few rows. */
struct weir_matvec_args {
    struct weir_cuda_weights w;
    struct weir_cuda_rows rows;
    uint32_t act_block;           /* values of x that have one scale: 32 or 256 */
    uint32_t list_bytes, x_bytes; /* of shared memory: for members, for a row of x */
    uint32_t each;                /* rows that are computed together, at most */
};

/* What a launch computes: matrices of one x, whose parts follow each other in grid.x. A kernel for
 * one format, or for the K formats. */
enum { WEIR_MATVEC_MANY = 4 };
struct weir_matvec_list {
    struct weir_matvec_args of[WEIR_MATVEC_MANY];
    uint32_t end[WEIR_MATVEC_MANY]; /* behind its parts */
    /* struct weir_gpu_glu, whose gate is x; up 0: none */
    uint64_t up, input_weight;
    uint32_t glu;
    float limit;
};

/* Shared memory of matvec.cuh: a ring of chunks of 1024 values of WEIR_MATVEC_ROWS rows for each
 * warp, about 40 KiB in all. bytes_32: of 32 values. */
enum { WEIR_MATVEC_WARPS = 8, WEIR_MATVEC_ROWS = 2, WEIR_MATVEC_RARE_BYTES = 34 };
/* For `bytes` from any on, in pieces of 16. */
#define WEIR_SLOT_BYTES(bytes) (((bytes) + 30) / 16 * 16)
#define WEIR_MATVEC_SLOTS(bytes_32)                                                                \
    (WEIR_MATVEC_WARPS * WEIR_MATVEC_ROWS * WEIR_SLOT_BYTES(32 * (bytes_32)))
#define WEIR_MATVEC_STAGES(bytes_32)                                                               \
    (4 * WEIR_MATVEC_SLOTS(bytes_32) <= 40960   ? 4                                                \
     : 3 * WEIR_MATVEC_SLOTS(bytes_32) <= 43008 ? 3                                                \
                                                : 2)
#define WEIR_MATVEC_RING(bytes_32) (WEIR_MATVEC_STAGES(bytes_32) * WEIR_MATVEC_SLOTS(bytes_32))

/* prepare.cu: rows of x as f16. */
struct weir_to_f16_args {
    uint64_t x, out; /* out: [n_row][cols_out], 0 behind the columns of x */
    uint64_t scale;  /* f32 [n_row]: what a row's f16 are to be multiplied by */
    uint32_t x_stride, cols, cols_out, n_row;
};

/* Where a tile of rows begins in the order of rows, how many it has, and whose matrix it takes;
 * 0 rows: none. */
struct weir_cuda_tile {
    uint32_t expert, begin, count, unused;
};

/* prepare.cu: assignments in the order of their experts, cut into tiles. */
struct weir_group_args {
    uint64_t chosen, table;
    uint64_t order; /* uint32_t [n_row] */
    uint64_t tiles; /* struct weir_cuda_tile [n_row / tile_rows + n_expert] */
    uint32_t n_row, n_expert, tile_rows;
};

/* tiles.cuh: many rows. */
struct weir_tiles_args {
    struct weir_cuda_weights w;
    struct weir_cuda_rows rows;
    uint64_t x16, x16_scale; /* cols_out is x16_stride */
    uint32_t x16_stride;
    uint64_t order, tiles; /* of a group; 0: one matrix, rows as they are */
    uint32_t slot_bytes;   /* of shared memory, for what is staged of a row of W */
};

/* Shared memory of tiles.cuh: the numbers of its rows of x, two halves of them, a ring of two
 * stages for each warp's rows of W. */
enum { WEIR_TILE_WARPS = 4, WEIR_TILE_WARP_ROWS = 32, WEIR_TILE_ROWS = 128 };
#define WEIR_TILES_SHARED(slot_bytes, tokens)                                                      \
    ((tokens) * (4 + 256) + WEIR_TILE_WARPS * WEIR_TILE_WARP_ROWS * 2 * (slot_bytes))

/* any.cu: rows of a table. */
struct weir_embed_args {
    struct weir_cuda_weights w;
    uint64_t ids, y;
    uint32_t y_stride, n_row;
    uint32_t value_bits; /* of what stands for itself, and codes; 0: blocks */
    float scale;
};

#endif
