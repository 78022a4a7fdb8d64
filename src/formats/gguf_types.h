/* gguf_types.h - values in GGUF files: their types, as numbered there, and keys as they lie. */
#ifndef WEIR_GGUF_TYPES_H
#define WEIR_GGUF_TYPES_H

#include "formats/formats.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

size_t weir_gguf_type_bytes(enum gguf_type type); /* 0 for strings and arrays */

/* A key of a manifest, to the bit. */
struct weir_gguf_raw_key {
    const char *name;
    enum gguf_type type; /* of the value, or of the array's elements */
    bool is_array;
    bool is_text;      /* one string: bytes of it, without its length */
    uint64_t count;    /* elements of an array; 1 */
    const void *value; /* as files have it; strings of an array with their lengths */
    uint64_t bytes;
};

void weir_gguf_raw_key(const weir_manifest *manifest, uint32_t index,
                       struct weir_gguf_raw_key *key);
/* Whether both have the same type and value. */
bool weir_gguf_raw_same(const struct weir_gguf_raw_key *one, const struct weir_gguf_raw_key *other);

#endif
