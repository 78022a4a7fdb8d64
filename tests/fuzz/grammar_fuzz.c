/* grammar_fuzz.c - libFuzzer: any bytes as a grammar, or as a schema where they begin with {, and
 * behind a NUL as a text of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "grammar/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_VOCAB = 260, END_ID = 258 };

/* Every byte, some pairs, and an end. */
static struct weir_trie *make_trie(void)
{
    static char bytes[N_VOCAB][2];
    static struct weir_trie_token tokens[N_VOCAB];
    struct weir_trie *trie = NULL;
    for (int id = 0; id < N_VOCAB; id++) {
        bytes[id][0] = id < 256 ? (char)id : '"';
        bytes[id][1] = (char)('a' + id % 26);
        tokens[id] = (struct weir_trie_token){bytes[id], id < 256 ? 1 : 2, id == END_ID};
    }
    if (weir_trie_create(&trie, tokens, N_VOCAB, NULL) != WEIR_OK)
        abort();
    return trie;
}

/* The nearest end can be come nearer to by a byte, and is where the text may end. */
static void check_least(weir_matcher *matcher)
{
    const uint32_t least = weir_matcher_least(matcher);
    const uint32_t *mask = NULL;
    uint32_t any = 0;
    if ((least == 0) != weir_matcher_may_end(matcher))
        abort();
    if (least == 0 || weir_matcher_mask_within(matcher, least - 1, &mask, NULL) != WEIR_OK)
        return;
    for (uint32_t word = 0; word < (N_VOCAB + 31) / 32; word++)
        any |= mask[word];
    if (any == 0)
        abort();
}

/* A byte follows exactly when its token is in the mask, and a text can always go on or end. */
static void use(const struct weir_program *program, const char *text, size_t length)
{
    struct weir_trie *trie = make_trie();
    weir_matcher *matcher = NULL;
    struct weir_err err = {0};
    if (weir_matcher_create(&matcher, program, trie, &err) != WEIR_OK && err.text[0] == '\0')
        abort();
    for (size_t at = 0; matcher != NULL && at < length; at++) {
        const uint32_t *mask = NULL;
        const uint8_t byte = (uint8_t)text[at];
        err = (struct weir_err){0};
        check_least(matcher);
        if (weir_matcher_mask(matcher, &mask, &err) != WEIR_OK)
            break;
        const bool is_allowed = (mask[byte / 32] >> byte % 32 & 1) != 0;
        if (((mask[END_ID / 32] >> END_ID % 32 & 1) != 0) != weir_matcher_may_end(matcher) ||
            !(weir_matcher_may_end(matcher) || weir_matcher_may_go_on(matcher)))
            abort();
        const enum weir_status status = weir_matcher_push(matcher, text + at, 1, &err);
        if (status == WEIR_ERR_NOMEM)
            break;
        if ((status == WEIR_OK) != is_allowed)
            abort();
    }
    weir_matcher_destroy(&matcher);
    weir_trie_destroy(&trie);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_program *program = NULL;
    struct weir_err err = {0};
    const char *bytes = (const char *)data;
    const size_t length = size == 0 ? 0 : strnlen(bytes, size);
    const uint64_t before = weir_heap_bytes();
    const enum weir_status status = length > 0 && bytes[0] == '{'
                                        ? weir_schema_compile(&program, bytes, length, "fuzz", &err)
                                        : weir_gbnf_compile(&program, bytes, length, "fuzz", &err);
    if ((status == WEIR_OK) != (program != NULL) || (status != WEIR_OK && err.text[0] == '\0'))
        abort();
    if (status == WEIR_OK && length < size)
        use(program, bytes + length + 1, weir_min(64, size - length - 1));
    weir_program_destroy(&program);
    if (weir_heap_bytes() != before)
        abort();
    return 0;
}
