/* manifest_toy.h - GGUF files made byte by byte, whole or broken, and what tests expect of them. */
#ifndef WEIR_TESTS_MANIFEST_TOY_H
#define WEIR_TESTS_MANIFEST_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

enum { IMAGE_BYTES_MAX = 4 << 20, TYPE_F32 = 0, TYPE_Q8_0 = 8, TYPE_UNKNOWN = 99 };

#define MAGIC_TEXT "GGUF"

struct image {
    size_t length;
    uint8_t bytes[IMAGE_BYTES_MAX];
};

/* One for all tests of a program: each begins it anew. */
static struct image image;

/* The low byte_count bytes of value, the lowest first. */
static inline void put(uint64_t value, size_t byte_count)
{
    assert_true(image.length + byte_count <= IMAGE_BYTES_MAX);
    for (size_t byte = 0; byte < byte_count; byte++)
        image.bytes[image.length++] = (uint8_t)(value >> 8 * byte);
}

static inline void put_bytes(const void *bytes, size_t length)
{
    assert_true(image.length + length <= IMAGE_BYTES_MAX);
    memcpy(image.bytes + image.length, bytes, length);
    image.length += length;
}

static inline void put_text(const char *text)
{
    put(strlen(text), 8);
    put_bytes(text, strlen(text));
}

static inline void put_fill(char letter, size_t length)
{
    assert_true(image.length + length <= IMAGE_BYTES_MAX);
    memset(image.bytes + image.length, letter, length);
    image.length += length;
}

static inline void begin(uint32_t version, uint64_t tensor_count, uint64_t key_count)
{
    image.length = 0;
    put_bytes(MAGIC_TEXT, 4);
    put(version, 4);
    put(tensor_count, 8);
    put(key_count, 8);
}

/* A key's name and type; the value is the caller's to put. */
static inline void put_key(const char *name, uint32_t type)
{
    put_text(name);
    put(type, 4);
}

static inline void put_u32_key(const char *name, uint32_t value)
{
    put_key(name, GGUF_U32);
    put(value, 4);
}

static inline void put_text_key(const char *name, const char *text)
{
    put_key(name, GGUF_STRING);
    put_text(text);
}

static inline void put_array_key(const char *name, uint32_t type, uint64_t count)
{
    put_key(name, GGUF_ARRAY);
    put(type, 4);
    put(count, 8);
}

static inline void put_tensor(const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                              uint64_t offset)
{
    put_text(name);
    put(2, 4);
    put(cols, 8);
    put(rows, 8);
    put(type, 4);
    put(offset, 8);
}

/* Up to the tensor data, and byte_count bytes of it. */
static inline void put_data(size_t alignment, size_t byte_count)
{
    put_fill(0, (alignment - image.length % alignment) % alignment + byte_count);
}

static inline enum weir_status parse(weir_manifest **manifest, struct weir_err *err)
{
    memset(err, 0, sizeof(*err));
    return weir_manifest_parse(manifest, image.bytes, image.length, image.length, err);
}

static inline weir_manifest *accepted(void)
{
    weir_manifest *manifest = NULL;
    struct weir_err err;
    if (parse(&manifest, &err) != WEIR_OK)
        fail_msg("refused: %s", err.text);
    return manifest;
}

static inline void is_accepted(void)
{
    weir_manifest *manifest = accepted();
    weir_manifest_close(&manifest);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void says(const struct weir_err *err, enum weir_status status,
                        const char *const *words)
{
    if (err->status != status)
        fail_msg("wanted status %d, found %d: %s", status, err->status, err->text);
    for (; *words != NULL; words++)
        if (strstr(err->text, *words) == NULL)
            fail_msg("wanted \"%s\" in: %s", *words, err->text);
}

/* The image is refused as a file that claims file_bytes; nothing is handed out, nothing stays. */
static inline void is_refused_at(uint64_t file_bytes, enum weir_status status,
                                 const char *const *words)
{
    weir_manifest *const unset = (weir_manifest *)(void *)&image;
    weir_manifest *manifest = unset;
    struct weir_err err = {0};
    const uint64_t heap_bytes = weir_heap_bytes();
    assert_int_equal(weir_manifest_parse(&manifest, image.bytes, image.length, file_bytes, &err),
                     status);
    says(&err, status, words);
    assert_ptr_equal(manifest, unset);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

static inline void is_refused(enum weir_status status, const char *const *words)
{
    is_refused_at(image.length, status, words);
}

/* Keys of several kinds, a vocabulary of three tokens, three tensors; ends with its last byte. */
static inline void make_small(uint32_t version)
{
    begin(version, 3, 9);
    put_text_key("general.architecture", "llama");
    put_u32_key("llama.block_count", 7);
    put_key("a.flag", GGUF_BOOL);
    put(1, 1);
    put_array_key("a.list", GGUF_U16, 3);
    put(0x000300020001, 6);
    put_text_key("tokenizer.ggml.model", "gpt2");
    put_array_key("tokenizer.ggml.tokens", GGUF_STRING, 3);
    put_text("a");
    put_text("b");
    put_text("ab");
    put_array_key("tokenizer.ggml.token_type", GGUF_I32, 3);
    put(1, 4);
    put(1, 4);
    put(3, 4);
    put_array_key("tokenizer.ggml.merges", GGUF_STRING, 1);
    put_text("a b");
    put_u32_key("tokenizer.ggml.eos_token_id", 2);
    put_tensor("unknown", 256, 1, TYPE_UNKNOWN, 0);
    put_tensor("first", 3, 2, TYPE_F32, 0);
    put_tensor("second", 32, 1, TYPE_Q8_0, 32);
    put_data(32, 32 + 34);
}

/* Everything that can be asked of a manifest, once. */
static inline void walk(weir_manifest *manifest)
{
    char line[64];
    uint64_t number = 0;
    double real = 0.0;
    bool flag = false;
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        const char *name = weir_manifest_key_at(manifest, index, line, sizeof(line));
        uint64_t count = 0;
        weir_manifest_u64(manifest, name, &number);
        weir_manifest_f64(manifest, name, &real);
        weir_manifest_bool(manifest, name, &flag);
        weir_manifest_text(manifest, name);
        if (weir_manifest_array_count(manifest, name, &count) && count > 0)
            weir_manifest_array_u64(manifest, name, count - 1, &number);
    }
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        assert_ptr_equal(weir_manifest_tensor(manifest, tensor->name), tensor);
        assert_true(tensor->offset + tensor->bytes <=
                    weir_manifest_file_bytes(manifest, tensor->file));
    }
    const struct weir_vocab *vocab = NULL;
    if (weir_manifest_vocab(manifest, &vocab, NULL) == WEIR_OK)
        for (uint32_t id = 0; id < vocab->n_vocab; id++)
            assert_true(vocab->tokens[id].length <= WEIR_PIECE_MAX - 4);
}

#endif
