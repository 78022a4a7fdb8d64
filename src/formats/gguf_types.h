/* gguf_types.h - the types of values in GGUF files, as numbered there. */
#ifndef WEIR_GGUF_TYPES_H
#define WEIR_GGUF_TYPES_H

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

#endif
