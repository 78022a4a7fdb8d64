/* imatrix.h - how much each column of a weight matters: llama.cpp's importance matrices.
 *
 * Job       Read and write files that have, for the matrices of a model, the sums of squares of
 *           what each column was multiplied by on a text, and how many rows those were.
 * Not here  Measuring it (model/importance.h), using it (encode/).
 * Shapes    Values are [matrix][cols]; a stack of experts or heads has several matrices, and a
 *           count for each, or one for all.
 * Owns      weir_imatrix owns its index and the open file; values stay in the file until they are
 *           read. Of a writer's facts everything is borrowed.
 * Threads   open: one thread. After that read-only: any thread.
 * Errors    WEIR_ERR_IO; WEIR_ERR_FORMAT: the file contradicts itself, or does not fit the tensor:
 *           names the thing, the wanted and the found; WEIR_ERR_NOMEM.
 * Limits    WEIR_IMATRIX_ENTRY_MAX matrices and stacks, WEIR_NAME_MAX bytes of a name.
 * Source    llama.cpp, tools/imatrix: the GGUF form of 2025, and the older one (.dat).
 */
#ifndef WEIR_IMATRIX_H
#define WEIR_IMATRIX_H

#include <stdio.h>

#include "formats/formats.h"

enum { WEIR_IMATRIX_ENTRY_MAX = 1 << 19 };

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct weir_imatrix weir_imatrix;

/* Either form, told by its first bytes. On failure *out stays unset. */
enum weir_status weir_imatrix_open(weir_imatrix **out, const char *path, struct weir_err *err);
/* A whole file in memory, which is copied. For the fuzz target and tests. */
enum weir_status weir_imatrix_parse(weir_imatrix **out, const void *bytes, size_t length,
                                    struct weir_err *err);
void weir_imatrix_close(weir_imatrix **imatrix);

/* One tensor's values as the file has them. */
struct weir_imatrix_entry {
    const char *name;
    uint64_t value_count; /* of all its matrices */
    uint64_t count_count; /* of counts: 1 for all matrices, or one for each */
};
uint32_t weir_imatrix_entry_count(const weir_imatrix *imatrix);
const struct weir_imatrix_entry *weir_imatrix_entry_at(const weir_imatrix *imatrix, uint32_t index);
bool weir_imatrix_has(const weir_imatrix *imatrix, const char *name);
/* Of how many pieces of the text, and of how many tokens each; 0: the file does not say. */
void weir_imatrix_chunks(const weir_imatrix *imatrix, uint64_t *count, uint64_t *tokens);

/* The mean square of what each column of one matrix was multiplied by, into values [cols]: the
 * weights of a weighted error. `tensor` has matrix_count matrices. *count, which may be NULL, is of
 * how many rows, or of how many pieces of text in an old file; 0: it was never reached, and the
 * values are 1. Errors: FORMAT (none of that name, another size, not a finite number or below 0),
 * IO. */
enum weir_status weir_imatrix_read(const weir_imatrix *imatrix, const char *tensor, uint64_t cols,
                                   uint64_t matrix_count, uint64_t matrix, float *values,
                                   double *count, struct weir_err *err);

/* ---- writing ------------------------------------------------------------------------------- */

/* The sums of one tensor; several may have the same ones. */
struct weir_imatrix_sums {
    const char *name;
    uint64_t cols, matrix_count;
    uint64_t count_count;   /* 1, or matrix_count */
    const double *sums;     /* [matrix_count][cols] */
    const uint64_t *counts; /* [count_count] rows; 0: never reached */
};

struct weir_imatrix_facts {
    const char *text_name;              /* the text that was measured, as its reader called it */
    uint32_t chunk_count, chunk_tokens; /* pieces of text, and tokens of each */
    uint32_t sums_count;
    const struct weir_imatrix_sums *sums; /* sorted by name */
};

/* Write a whole file in the GGUF form, or the older one, in which what was never reached has the
 * values 1. Errors: IO (of the first write that failed). */
enum weir_status weir_imatrix_write(const struct weir_imatrix_facts *facts, bool is_old, FILE *file,
                                    struct weir_err *err);

#endif
