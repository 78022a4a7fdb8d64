/* safetensors.h - the tensors that the headers of safetensors files name (docs/formats/hf.md). */
#ifndef WEIR_SAFETENSORS_H
#define WEIR_SAFETENSORS_H

#include "formats/json.h"
#include "formats/manifest_internal.h"

enum {
    /* The reference reader's limit (huggingface/safetensors, "Format"). */
    WEIR_SAFETENSORS_HEAD_MAX = 100000000,
    WEIR_SAFETENSORS_DIM_MAX = 6,
};

/* What a value is stored as. */
struct weir_dtype {
    const char *name; /* as headers spell it */
    uint32_t bytes;   /* of a value */
    bool is_weight; /* type is what weights of it are; else they are none, or codes of a packing */
    enum weir_type type;
};

struct weir_raw_tensor {
    const char *name; /* ended by NUL; the list's */
    const struct weir_dtype *dtype;
    uint32_t n_dim; /* 0: a single value */
    uint32_t file;
    uint64_t dims[WEIR_SAFETENSORS_DIM_MAX]; /* as written, the last is the fastest; unused: 1 */
    uint64_t offset;                         /* absolute in its file */
    uint64_t bytes;
};

/* The tensors of several files. */
struct weir_raw_list {
    struct weir_raw_tensor *tensors;
    uint32_t count;
    char **names; /* [file_count]: those of each file, one after the other */
    uint32_t file_count;
};

/* Take in the header of one more file: json is what follows the first 8 bytes of a file of
 * file_bytes; name is for messages. Every number is checked against the file: no tensor reaches
 * past its end, no two share a byte, no byte is without a tensor. Errors: FORMAT, UNSUPPORTED,
 * NOMEM; the list is then only to be freed. */
enum weir_status weir_safetensors_read(struct weir_raw_list *list, const char *name,
                                       const char *json, size_t json_length, uint64_t file_bytes,
                                       struct weir_err *err);
/* Make the header available: *length bytes of JSON behind the first 8 of the file. Errors: IO,
 * FORMAT, NOMEM. */
enum weir_status weir_safetensors_need(struct gguf_source *source, uint64_t *length,
                                       struct weir_err *err);
void weir_raw_list_free(struct weir_raw_list *list);

#endif
