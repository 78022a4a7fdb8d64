/* manifest_internal.h - a parsed file head: one buffer, and places in it. */
#ifndef WEIR_MANIFEST_INTERNAL_H
#define WEIR_MANIFEST_INTERNAL_H

#include "formats/formats.h"
#include "formats/gguf_types.h"

struct gguf_key {
    uint64_t name_at;  /* of the name's first byte; ended by NUL once parsed */
    uint64_t value_at; /* of the value, of a string's first byte, or of an array's first element */
    uint64_t value_bytes; /* to the end of the value */
    uint64_t count;       /* elements of an array; 1 */
    enum gguf_type type;  /* of the value, or of the array's elements */
    bool is_array;
};

/* The name of an index; owner is whose names they are. */
typedef const char *name_index_get_fn(const void *owner, uint32_t index);

/* Names to indices: open addressing, twice as many places as names at least. */
struct name_index {
    uint32_t *places; /* index + 1; 0 is free */
    uint32_t mask;
    const void *owner; /* borrowed */
    name_index_get_fn *get;
};

/* One of the files that a model is in. */
struct manifest_file {
    char *path;
    uint64_t bytes;
    uint8_t *head; /* keys, and what comes before the tensor data; names end with NUL */
};

struct weir_manifest {
    struct manifest_file *files; /* [file_count]; the first one has the keys */
    uint32_t file_count;
    uint32_t version;    /* of GGUF; 0: a directory of safetensors */
    const uint8_t *head; /* of the first file */
    uint64_t head_bytes;
    struct gguf_key *keys;
    struct weir_tensor *tensors;
    uint32_t key_count, tensor_count;
    struct name_index key_index, tensor_index;
    struct weir_warnings *warnings;

    /* What tensors point at that no head of a file has. */
    char *names;
    struct weir_place *places;
    float *values;

    char *folder;                          /* the path of a directory; NULL: it is none */
    char *tokenizer_path;                  /* of a tokenizer.json that is all there is; NULL */
    struct weir_tokenizer_json *tokenizer; /* of a directory */

    /* the vocabulary, built at the first call */
    struct weir_vocab vocab;
    struct weir_bytes *tokens, *merges;
    uint8_t *token_types, *token_strips;
    float *scores;
    uint32_t *end_ids;
    bool has_vocab;
};

/* Where bytes come from while parsing: a file, read further as the parser asks, or memory. */
struct gguf_source {
    int fd; /* -1: all there is, is in the buffer */
    uint8_t *bytes;
    uint64_t length, capacity;
    uint64_t file_bytes;
    const char *name;      /* for messages */
    uint64_t there_bytes;  /* so many of the file are there yet; 0: all */
    uint64_t wanted_bytes; /* of what is not there yet; 0: nothing was */
};

/* Open the file called source->name; its size is then known. Errors: IO, FORMAT (it is empty). */
enum weir_status weir_gguf_source_open(struct gguf_source *source, struct weir_err *err);
/* Whatever is open, and the buffer unless somebody took it (bytes NULL). Leaves nothing in the page
 * cache that would count against the ceiling. */
void weir_gguf_source_close(struct gguf_source *source);
/* Make [0, end) of the file available. WEIR_ERR_FORMAT when the file is shorter. */
enum weir_status weir_gguf_source_need(struct gguf_source *source, uint64_t end, const char *what,
                                       struct weir_err *err);
/* What a file that begins so is, being none of ours, and what to do about it: half a sentence. */
const char *weir_strange_text(const uint8_t *bytes, uint64_t length);
/* Parse everything before the tensor data into manifest, which takes the source's buffer. */
enum weir_status weir_gguf_parse(struct weir_manifest *manifest, struct gguf_source *source,
                                 struct weir_err *err);

/* How many parts the model is in, as the keys of one of them say; 1: it is whole. */
enum weir_status weir_parts_count(const struct weir_manifest *manifest, uint64_t *count,
                                  struct weir_err *err);
/* Take in the other parts of a model whose first file the manifest is; nothing when it is whole. */
enum weir_status weir_parts_join(struct weir_manifest *manifest, struct weir_err *err);
/* The names of the manifest's tensors anew. FORMAT names one that is there twice. */
enum weir_status weir_tensors_index(struct weir_manifest *manifest, struct weir_err *err);
/* Experts that are a tensor each become stacks; nothing where there are none. FORMAT names the
 * tensor that is missing or is not like the others. */
enum weir_status weir_stacks_join(struct weir_manifest *manifest, struct weir_err *err);
/* A single file, whatever part of a model it is. */
enum weir_status weir_manifest_open_one(weir_manifest **out, const char *path,
                                        struct weir_err *err);

const char *weir_gguf_type_name(enum gguf_type type);
/* Whether two keys, each of its own manifest, have the same type and value. */
bool weir_gguf_same_value(const struct weir_manifest *one, const struct gguf_key *of_one,
                          const struct weir_manifest *other, const struct gguf_key *of_other);
/* NULL when there is no such key. */
const struct gguf_key *weir_gguf_find_key(const struct weir_manifest *manifest, const char *name);
/* An element as a number; false for strings. */
bool weir_gguf_element(const struct weir_manifest *manifest, const struct gguf_key *key,
                       uint64_t index, bool *is_integer, int64_t *integer, double *real);

/* For at most count names. Errors: NOMEM. */
enum weir_status weir_names_init(struct name_index *index, uint32_t count, const void *owner,
                                 name_index_get_fn *get);
/* The index under which value's name was put before, or UINT32_MAX after putting it in. */
uint32_t weir_names_put(struct name_index *index, uint32_t value);
/* UINT32_MAX when there is none. */
uint32_t weir_names_find(const struct name_index *index, const char *name);
/* Of a struct weir_manifest. */
name_index_get_fn weir_gguf_key_name;
name_index_get_fn weir_gguf_tensor_name;

#endif
