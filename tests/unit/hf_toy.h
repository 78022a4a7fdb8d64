/* hf_toy.h - Hugging Face directories in memory, whole or broken. */
#ifndef WEIR_TESTS_HF_TOY_H
#define WEIR_TESTS_HF_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "formats/hf.h"

enum { TOY_FILE_MAX = 8, TOY_BYTES_MAX = 1 << 20 };

/* One for all tests of a program: each begins it anew. */
static struct toy {
    struct weir_hf_file files[TOY_FILE_MAX];
    char bytes[TOY_FILE_MAX][TOY_BYTES_MAX];
    uint32_t count;
} toy;

#define TOY_CONFIG                                                                                 \
    "{\"model_type\": \"qwen3_moe\", \"num_hidden_layers\": 1, \"hidden_size\": 8, "               \
    "\"max_position_embeddings\": 64, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "    \
    "\"head_dim\": 4, \"intermediate_size\": 8, \"rms_norm_eps\": 1e-6, \"rope_theta\": 1e4, "     \
    "\"num_experts\": 2, \"num_experts_per_tok\": 1, \"moe_intermediate_size\": 4, "               \
    "\"norm_topk_prob\": true"

/* A file of text; of those that are there twice, the first is replaced. */
static inline void toy_text(const char *name, const char *text)
{
    uint32_t at = 0;
    while (at < toy.count && strcmp(toy.files[at].name, name) != 0)
        at++;
    assert_true(at < TOY_FILE_MAX && strlen(text) < TOY_BYTES_MAX);
    if (at == toy.count)
        toy.count++;
    memcpy(toy.bytes[at], text, strlen(text));
    toy.files[at] = (struct weir_hf_file){name, toy.bytes[at], strlen(text), strlen(text)};
}

/* A safetensors file: its header, and as many bytes of data as it claims to have. */
static inline void toy_tensors(const char *name, const char *header, uint64_t data_bytes)
{
    const uint64_t length = strlen(header);
    toy_text(name, "");
    for (uint32_t at = 0; at < toy.count; at++)
        if (strcmp(toy.files[at].name, name) == 0) {
            assert_true(sizeof(length) + length < TOY_BYTES_MAX);
            memcpy(toy.bytes[at], &length, sizeof(length));
            memcpy(toy.bytes[at] + sizeof(length), header, length);
            toy.files[at].length = sizeof(length) + length;
            toy.files[at].file_bytes = sizeof(length) + length + data_bytes;
        }
}

static inline void toy_begin(void)
{
    toy.count = 0;
}

static inline enum weir_status toy_parse(weir_manifest **manifest, struct weir_err *err)
{
    memset(err, 0, sizeof(*err));
    return weir_hf_parse(manifest, toy.files, toy.count, err);
}

static inline weir_manifest *toy_accepted(void)
{
    weir_manifest *manifest = NULL;
    struct weir_err err;
    if (toy_parse(&manifest, &err) != WEIR_OK)
        fail_msg("refused: %s", err.text);
    return manifest;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Refused, with these words in the message; nothing is handed out, nothing stays. */
static inline void toy_is_refused(enum weir_status status, const char *const *words)
{
    weir_manifest *manifest = NULL;
    struct weir_err err;
    const uint64_t heap_bytes = weir_heap_bytes();
    if (toy_parse(&manifest, &err) != status)
        fail_msg("wanted status %d, found %d: %s", status, err.status, err.text);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("wanted \"%s\" in: %s", *words, err.text);
    assert_null(manifest);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

#endif
