/* recast.h - a model's tensors in other types, from its files to a new one, in bounded memory.
 *
 * Job       Lists of tensors that are to be written; read, decode, encode and write each, piece by
 *           piece; which type a mixture gives a tensor.
 * Not here  What bytes mean (quant/), how values become them (encode/), the file (formats/).
 * Shapes    A tensor is dims[2] * dims[3] matrices of dims[1] rows of dims[0] values.
 * Units     *_bytes in bytes.
 * Owns      A list owns its tensors; what they point to is the manifest's, or the caller's. A run
 *           owns its memory, its threads and the files that it reads, until it returns.
 * Threads   weir_recast_run: the caller's thread, those of a pool, and one that reads and writes.
 *           Callbacks come on the caller's thread, but for weights, on the one that reads.
 * Errors    ARG, NOMEM (the ceiling is too low: names the least one), IO, FORMAT (a file ends
 *           early, a tensor contradicts itself, a value that is not finite), UNSUPPORTED (a type
 *           that is not built in), CANCELLED.
 * Limits    Those of formats.h.
 * Source    llama.cpp's quantize, of which tensor of a mixture has which type (mixture.c).
 *
 * The bytes that come out depend on the input and the list alone: not on threads or ceiling.
 */
#ifndef WEIR_RECAST_H
#define WEIR_RECAST_H

#include "base/base.h"
#include "formats/formats.h"
#include "formats/gguf_writer.h"

/* ---- what is written ------------------------------------------------------------------------- */

/* Value (matrix, row, col) of what is written is a value of the source, as its file has it:
 *
 *   row' = first_row + row * row_step,  or first_row + row_order[row]
 *   col' = first_col + col,             or first_col + col_order[col]
 *
 *   of source row  matrix * stride_rows + row', at col';     is_turned: of source row
 *   matrix * stride_rows + col', at row'
 *
 * A source that is turned itself (struct weir_tensor) counts as it lies in its file. */
struct weir_recast_tensor {
    const char *name; /* borrowed */
    uint32_t n_dim;
    uint64_t dims[4];    /* unused ones are 1 */
    enum weir_type type; /* that is written */
    const struct weir_tensor *source;
    /* What the source's codes are multiplied by, and are above; one value, or one for each matrix,
     * that all of it is multiplied by. NULL: it has none. */
    const struct weir_tensor *scales, *zeros, *factor;
    uint64_t first_row, row_step, first_col, stride_rows;
    const uint32_t *row_order, *col_order; /* [dims[1]], [dims[0]]; NULL: in order */
    bool is_turned;
    bool has_weights; /* the encoder is given weights */
    bool fell_back;   /* the type that was meant has blocks that rows of this length do not fill */
    enum weir_type meant;
};

struct weir_recast_list {
    struct weir_recast_tensor *tensors;
    uint32_t count;
};

/* All tensors of a manifest, in its order, under their names there. Types are kept where GGUF has
 * them: codes become BF16, without their scales; vectors whose values become others, F32.
 * UNSUPPORTED: a tensor of a type that is not built in. FORMAT: codes and scales that do not go
 * with each other. */
enum weir_status weir_recast_list_make(struct weir_recast_list *list, const weir_manifest *manifest,
                                       struct weir_err *err);
void weir_recast_list_free(struct weir_recast_list *list);
/* A tensor of the source as it is: for lists that are made otherwise. */
enum weir_status weir_recast_tensor_make(struct weir_recast_tensor *tensor,
                                         const weir_manifest *manifest,
                                         const struct weir_tensor *source, struct weir_err *err);
/* Whether nothing is to be written for it: it is scales or zero points of another one, or the
 * factor of codes. */
bool weir_recast_is_beside(const weir_manifest *manifest, const struct weir_tensor *source);
uint64_t weir_recast_tensor_bytes(const struct weir_recast_tensor *tensor);
/* Whether the bytes are the source's own. */
bool weir_recast_is_copy(const struct weir_recast_tensor *tensor);
/* The tensors' names, shapes and types, into the file. */
void weir_recast_put_table(weir_gguf_writer *writer, const struct weir_recast_list *list);

/* ---- which type (mixture.c) ------------------------------------------------------------------ */

struct weir_mixture {
    const char *name;    /* as llama.cpp's quantize has it, or a format's own */
    uint32_t file_type;  /* general.file_type; UINT32_MAX: files have no number for it */
    enum weir_type type; /* of all tensors that no rule gives another */
    const char *about;
};

/* In the order for help; NULL past the last. */
const struct weir_mixture *weir_mixture_at(uint32_t index);
/* "Q4_K_M", any case, or a name that llama.cpp's users know it by. NULL: there is none. */
const struct weir_mixture *weir_mixture_find(const char *name);

/* What the choice goes by, of the keys. */
struct weir_mixture_facts {
    const char *family;
    uint64_t n_layer, n_expert, n_head, n_kv_head;
    bool has_weights; /* importance is at hand */
    bool is_pure;     /* all tensors have mixture->type */
};
void weir_mixture_facts_get(struct weir_mixture_facts *facts, const weir_manifest *manifest);
/* Whether the user says this tensor's type, whatever the mixture. */
typedef bool weir_mixture_own_fn(void *user, const struct weir_recast_tensor *tensor,
                                 enum weir_type *type);
/* The type of each tensor of the list that may have another one than its source, by name, shape and
 * layer; rows that no block fills fall back. own may be NULL. NOMEM. */
enum weir_status weir_mixture_apply(const struct weir_mixture *mixture,
                                    const struct weir_mixture_facts *facts,
                                    weir_mixture_own_fn *own, void *user,
                                    struct weir_recast_list *list, struct weir_err *err);
/* Norms, routers, vectors and other small tensors keep the type they have. */
bool weir_mixture_may_change(const struct weir_recast_tensor *tensor,
                             const struct weir_mixture_facts *facts);
/* tensor->type, or what rows of its length can be stored as. */
void weir_mixture_set(struct weir_recast_tensor *tensor, enum weir_type type);
/* Without weights the result would be of no use. */
bool weir_mixture_needs_weights(const struct weir_mixture *mixture,
                                const struct weir_recast_tensor *tensor);

/* ---- the work -------------------------------------------------------------------------------- */

/* Of one matrix of a tensor, into values [dims[0]]. Only for tensors that have weights. */
typedef enum weir_status weir_recast_weights_fn(void *user, const struct weir_recast_tensor *tensor,
                                                uint64_t matrix, float *values,
                                                struct weir_err *err);
/* False: stop. */
typedef bool weir_recast_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);

struct weir_recast_job {
    const weir_manifest *manifest;
    const struct weir_recast_list *list;
    uint32_t first_tensor;           /* those before are written already */
    uint32_t n_thread;               /* 1 to WEIR_THREAD_MAX */
    uint64_t mem_bytes;              /* that a run may hold, beside what is there before it */
    bool buffered;                   /* ask for reads through the page cache */
    weir_recast_weights_fn *weights; /* NULL: no tensor has any */
    void *weights_user;
    weir_recast_progress_fn *progress; /* of bytes read; NULL: nobody asks */
    void *progress_user;
};

struct weir_recast_done {
    uint64_t read_bytes, written_bytes; /* asked of the device; of tensors */
    uint64_t held_bytes;                /* of mem_bytes */
    char io[240];                       /* the engine, and whether reads are direct */
};

/* The least mem_bytes that a run can do with, and as much as is of use. */
void weir_recast_measure(const struct weir_recast_job *job, uint64_t *least_bytes,
                         uint64_t *useful_bytes);
/* The data of all tensors into the writer, which has begun. done may be NULL. */
enum weir_status weir_recast_run(const struct weir_recast_job *job, weir_gguf_writer *writer,
                                 struct weir_recast_done *done, struct weir_err *err);

/* ---- what would be lost (errors.c) ----------------------------------------------------------- */

/* For each tensor of the list and each type: what its values lose, as a share of their own weighted
 * squares, measured on some rows of every matrix; NAN where rows do not fill whole blocks. Into
 * errors [list->count][type_count]; tensors that is_wanted [list->count] leaves out are not looked
 * at. */
enum weir_status weir_recast_errors(const struct weir_recast_job *job, const bool *is_wanted,
                                    const enum weir_type *types, uint32_t type_count,
                                    double *errors, struct weir_err *err);
/* What it holds meanwhile. */
uint64_t weir_recast_errors_bytes(const struct weir_recast_job *job);

#endif
