/* text_toy.h - a vocabulary of a few hundred tokens, made by hand, and what tests do with it. */
#ifndef WEIR_TESTS_TEXT_TOY_H
#define WEIR_TESTS_TEXT_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "text/text.h"

enum { TOY_TOKEN_MAX = 320, TOY_MERGE_MAX = 32 };

struct toy {
    struct weir_vocab vocab;
    struct weir_bytes tokens[TOY_TOKEN_MAX];
    uint8_t types[TOY_TOKEN_MAX];
    float scores[TOY_TOKEN_MAX];
    struct weir_bytes merges[TOY_MERGE_MAX];
    char letters[256][8];
};

static inline struct weir_bytes toy_bytes(const char *text)
{
    return (struct weir_bytes){text, strlen(text)};
}

static inline uint32_t toy_add(struct toy *toy, const char *token, enum weir_token_type type,
                               float score)
{
    const uint32_t id = toy->vocab.n_vocab++;
    assert_true(id < TOY_TOKEN_MAX);
    toy->tokens[id] = toy_bytes(token);
    toy->types[id] = (uint8_t)type;
    toy->scores[id] = score;
    return id;
}

static inline void toy_merge(struct toy *toy, const char *merge)
{
    assert_true(toy->vocab.n_merge < TOY_MERGE_MAX);
    toy->merges[toy->vocab.n_merge++] = toy_bytes(merge);
}

static inline void toy_init(struct toy *toy, const char *model, const char *pre)
{
    memset(toy, 0, sizeof(*toy));
    toy->vocab.model = toy_bytes(model);
    toy->vocab.pre = toy_bytes(pre);
    toy->vocab.tokens = toy->tokens;
    toy->vocab.types = toy->types;
    toy->vocab.scores = toy->scores;
    toy->vocab.merges = toy->merges;
    toy->vocab.bos_id = toy->vocab.eos_id = toy->vocab.unk_id = WEIR_TOKEN_NONE;
}

/* Ids 0 to 255 are the bytes, written in GPT-2's alphabet. */
static inline void toy_add_letters(struct toy *toy)
{
    unsigned other = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        const unsigned character = printable ? byte : other++;
        char *letter = toy->letters[byte];
        if (character < 0x80) {
            letter[0] = (char)character;
        } else {
            letter[0] = (char)(0xc0 | character >> 6);
            letter[1] = (char)(0x80 | (character & 0x3f));
        }
        assert_int_equal(toy_add(toy, letter, WEIR_TOKEN_NORMAL, 0), byte);
    }
}

/* Ids 0 to 255 are the byte tokens of a SentencePiece vocabulary. */
static inline void toy_add_byte_tokens(struct toy *toy)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(toy->letters[byte], sizeof(toy->letters[byte]), "<0x%02X>", byte);
        assert_int_equal(toy_add(toy, toy->letters[byte], WEIR_TOKEN_BYTE, 0), byte);
    }
}

static inline weir_text *toy_open(const struct toy *toy)
{
    weir_text *text = NULL;
    struct weir_err err = {0};
    if (weir_text_create(&text, &toy->vocab, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return text;
}

/* What must be refused, and what the message must name. */
static inline void toy_refuses(const struct toy *toy, enum weir_status wanted, const char *names)
{
    weir_text *text = NULL;
    struct weir_err err = {0};
    assert_int_equal(weir_text_create(&text, &toy->vocab, NULL, &err), wanted);
    assert_null(text);
    if (strstr(err.text, names) == NULL)
        fail_msg("\"%s\" does not name \"%s\"", err.text, names);
}

/* What gives ids their text and cannot cut texts: a warning says so at open, an error later. */
static inline void toy_only_decodes(const struct toy *toy, enum weir_status wanted,
                                    const char *names)
{
    weir_text *text = NULL;
    struct weir_err err = {0};
    struct weir_warnings warnings = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(weir_text_create(&text, &toy->vocab, &warnings, &err), WEIR_OK);
    assert_int_equal(weir_text_tokenize(text, "a", 1, 0, &ids, &count, &err), wanted);
    assert_null(ids);
    const bool is_told = strstr(warnings.text[warnings.count - 1], names) != NULL;
    if (!is_told || strstr(err.text, names) == NULL)
        fail_msg("\"%s\" does not name \"%s\"", err.text, names);
    weir_text_destroy(&text);
}

/* Asserts the ids of a text; they end with WEIR_TOKEN_NONE. */
static inline void toy_gives(weir_text *text, const char *bytes, unsigned flags,
                             const uint32_t *wanted)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    struct weir_err err = {0};
    if (weir_text_tokenize(text, bytes, strlen(bytes), flags, &ids, &count, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    size_t wanted_count = 0;
    while (wanted[wanted_count] != WEIR_TOKEN_NONE)
        wanted_count++;
    assert_int_equal(count, wanted_count);
    assert_memory_equal(ids, wanted, count * sizeof(*ids));
    weir_heap_free(ids);
}
#define TOY_IDS(...) ((const uint32_t[]){__VA_ARGS__, WEIR_TOKEN_NONE})

static inline enum weir_status toy_make_and_use(const struct toy *toy, const char *bytes,
                                                size_t length, uint64_t *ids_hash,
                                                struct weir_err *err)
{
    weir_text *text = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    enum weir_status status = weir_text_create(&text, &toy->vocab, NULL, err);
    if (status == WEIR_OK)
        status = weir_text_tokenize(text, bytes, length, 0, &ids, &count, err);
    *ids_hash = 0;
    for (size_t index = 0; index < count; index++)
        *ids_hash = (*ids_hash + ids[index] + 1) * 0x9e3779b97f4a7c15u;
    weir_heap_free(ids);
    weir_text_destroy(&text);
    return status;
}

/* Each allocation in turn fails: an error that says so, and nothing left behind. Only machine code
 * for the patterns may be done without, and then the ids are the same. */
static inline void toy_survives_failures(const struct toy *toy, const char *bytes, size_t length)
{
    uint64_t right = 0, found = 0, failed = 0;
    const uint64_t bytes_before = weir_heap_bytes(), calls_before = weir_heap_calls();
    assert_int_equal(toy_make_and_use(toy, bytes, length, &right, NULL), WEIR_OK);
    const uint64_t calls = weir_heap_calls() - calls_before;
    for (uint64_t call = 1; call <= calls; call++) {
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        const enum weir_status status = toy_make_and_use(toy, bytes, length, &found, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        assert_int_equal(err.status, status);
        assert_int_equal(found, status == WEIR_OK ? right : 0);
        assert_int_equal(weir_heap_bytes(), bytes_before);
        failed += status != WEIR_OK;
    }
    printf("%u allocations, %u of them needed\n", (unsigned)calls, (unsigned)failed);
    assert_true(failed > 10);
}

#endif
