/* gguf_writer.h - a GGUF file, written from front to back; at its path only when it is whole.
 *
 * Job       Keys, the table of tensors, their alignment and their bytes, as GGUF version 3.
 * Not here  What is in them (recast/); reading (formats.h).
 * Shapes    dims[0] is the fastest, as in struct weir_tensor.
 * Units     *_bytes in bytes.
 * Owns      The writer owns a buffer and the file PATH.unfinished, which is no GGUF file until it
 *           is whole. It is removed when the writer closes, unless it can be gone on with.
 * Threads   One at a time.
 * Errors    The first failure stays with the writer. What returns nothing does nothing after it,
 *           and the next call that returns a status says it. WEIR_ERR_IO: the file cannot be
 *           written, the disk is full (before the data is begun, where the file system can tell),
 *           somebody else writes it, PATH is no ordinary file. WEIR_ERR_NOMEM. WEIR_ERR_ARG: a
 *           name, a count or a shape is past the limits of formats.h.
 *           That keys, tensors and bytes come in order and in full is the caller's promise
 *           (asserts).
 * Limits    Those of formats.h.
 * Source    GGUF specification, version 3.
 *
 *   open -> keys -> tensors -> begin -> data of each tensor -> finish -> close
 */
#ifndef WEIR_GGUF_WRITER_H
#define WEIR_GGUF_WRITER_H

#include "base/base.h"
#include "formats/formats.h"
#include "formats/gguf_types.h"

/* What a writer holds beside 8 bytes for each tensor: its buffer, and pages of the file that are on
 * their way to the disk and count against a ceiling. */
enum { WEIR_GGUF_WRITER_BYTES = 14 << 20 };

typedef struct weir_gguf_writer weir_gguf_writer;

/* What is at path stays as it was until finish; path NULL: nothing is written, and the writer is
 * closed after begin, when it knows its bytes. stamp: 0, a file that was not finished is begun
 * anew and removed at close. Else it stays at close, and a later writer goes on behind its whole
 * tensors, if its stamp, keys and table of tensors are the same: so stamp says whatever else the
 * bytes of the tensors depend on (the input and when it was written, ...). On failure *out stays
 * unset. */
enum weir_status weir_gguf_writer_open(weir_gguf_writer **out, const char *path, uint64_t stamp,
                                       struct weir_err *err);
/* Removes what is not finished, unless it has a stamp. NULL inside is allowed. */
void weir_gguf_writer_close(weir_gguf_writer **writer);
/* The file that is being written; borrowed. */
const char *weir_gguf_writer_path(const weir_gguf_writer *writer);

/* ---- keys ------------------------------------------------------------------------------------ */

/* general.alignment, where there is one, is a power of two; it decides where tensors begin. */
void weir_gguf_put_u32(weir_gguf_writer *writer, const char *key, uint32_t value);
void weir_gguf_put_u64(weir_gguf_writer *writer, const char *key, uint64_t value);
void weir_gguf_put_i32(weir_gguf_writer *writer, const char *key, int32_t value);
void weir_gguf_put_f32(weir_gguf_writer *writer, const char *key, float value);
void weir_gguf_put_bool(weir_gguf_writer *writer, const char *key, bool value);
void weir_gguf_put_text(weir_gguf_writer *writer, const char *key, const char *text);
/* An array of count elements, any type but GGUF_ARRAY, which follow: strings one at a time, others
 * as many at a time as the caller likes. Nothing is kept of them. */
void weir_gguf_put_array(weir_gguf_writer *writer, const char *key, enum gguf_type type,
                         uint64_t count);
void weir_gguf_put_string(weir_gguf_writer *writer, const void *bytes, uint64_t length);
void weir_gguf_put_values(weir_gguf_writer *writer, const void *values, uint64_t count);
/* Whether a key is left out. */
typedef bool weir_gguf_skip_fn(void *user, const char *key);
/* The manifest's keys, in its order, to the bit; skip NULL: all. */
void weir_gguf_put_manifest_keys(weir_gguf_writer *writer, const weir_manifest *manifest,
                                 weir_gguf_skip_fn *skip, void *user);

/* ---- tensors --------------------------------------------------------------------------------- */

/* dims[0] is a multiple of the type's block; n_dim is 1 to 4. */
void weir_gguf_put_tensor(weir_gguf_writer *writer, const char *name, uint32_t n_dim,
                          const uint64_t *dims, enum weir_type type);
/* The head is complete. The whole file's bytes are reserved on the disk, where the file system can.
 * *done_count: so many tensors are there already, from a writer with the same stamp; data goes on
 * with the next one. */
enum weir_status weir_gguf_writer_begin(weir_gguf_writer *writer, uint32_t *done_count,
                                        struct weir_err *err);
/* The next bytes of the tensors, in the order in which they were put; what aligns them is put
 * between them by the writer. At most as many as are left of one tensor. */
enum weir_status weir_gguf_put_data(weir_gguf_writer *writer, const void *bytes, uint64_t length,
                                    struct weir_err *err);
/* Bytes of the whole file; known after begin. */
uint64_t weir_gguf_writer_file_bytes(const weir_gguf_writer *writer);

/* Looks at the whole file under its present path, before it has its last one. */
typedef enum weir_status weir_gguf_check_fn(void *user, const char *path, struct weir_err *err);
/* All bytes are there: they are made durable, checked (check may be NULL), and renamed. */
enum weir_status weir_gguf_writer_finish(weir_gguf_writer *writer, weir_gguf_check_fn *check,
                                         void *user, struct weir_err *err);

#endif
