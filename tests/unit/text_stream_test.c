/* text_stream_test.c - a text that comes in parts has the ids of the whole, in little memory. */
#include "text/text_parts.h"
#include "text_toy.h"

enum { TEXT_MAX = 1 << 16, MADE_MAX = 64 };

/* Pieces of texts on which the parts of the room disagree when they are cut at the wrong place. */
static const char *const scraps[] = {"a",
                                     "b",
                                     "c",
                                     " ",
                                     "  ",
                                     "\n",
                                     "'s",
                                     "'",
                                     "7",
                                     ".",
                                     "\xff",
                                     "\xc3",
                                     "\xe2\x96",
                                     "\xc3\xa9",
                                     "e\xcc\x81",
                                     "\xcc\x81",
                                     "\xcc\xa7",
                                     "\xe4\xbd\xa0",
                                     "\xe1\x84\x80",
                                     "\xe1\x85\xa1",
                                     "\xe1\x86\xa8",
                                     "\xea\xb0\x80",
                                     "\xf0\x9f\x98\x80",
                                     "\xe2\x96\x81",
                                     "<|end|>",
                                     "<|end|><|end|>",
                                     "<|en",
                                     "<think>",
                                     "\xe0\xa6\xbe",
                                     "\xcd\x84"};

static size_t make_text(uint64_t *random, char *text)
{
    const size_t wanted = weir_random_next(random) % 600;
    const uint64_t kind = weir_random_next(random) % 4;
    size_t length = 0;
    while (length < wanted) {
        const uint64_t dice = weir_random_next(random);
        /* some texts are of three letters, so that merges go far; some have long runs */
        const char *scrap = scraps[kind == 0 ? dice % 3 : dice % WEIR_COUNT(scraps)];
        size_t count = kind == 1 && dice >> 32 & 7 ? 1 : kind == 1 ? 200 : 1;
        for (; count > 0; count--) {
            memcpy(text + length, scrap, strlen(scrap));
            length += strlen(scrap);
        }
    }
    return length;
}

/* ---- vocabularies -------------------------------------------------------------------------- */

static void add_specials(struct toy *toy)
{
    toy_add(toy, "<|end|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(toy, "<|end|><|end|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(toy, "<think>", WEIR_TOKEN_USER_DEFINED, 0);
}

/* Merges of any two tokens, in any order. */
static void make_byte_level(struct toy *toy, const char *pre, uint64_t *random)
{
    static char names[MADE_MAX][2 * MADE_MAX], merges[MADE_MAX][4 * MADE_MAX];
    const char *parts[3 + MADE_MAX] = {"a", "b", "c"};
    size_t part_count = 3;
    toy_init(toy, "gpt2", pre);
    toy_add_letters(toy);
    for (size_t turn = 0; turn < MADE_MAX / 2; turn++) {
        const char *left = parts[weir_random_next(random) % part_count];
        const char *right = parts[weir_random_next(random) % part_count];
        if (strlen(left) + strlen(right) > 9)
            continue;
        snprintf(names[turn], sizeof(names[turn]), "%s%s", left, right);
        snprintf(merges[turn], sizeof(merges[turn]), "%s %s", left, right);
        toy_add(toy, names[turn], WEIR_TOKEN_NORMAL, 0);
        toy_merge(toy, merges[turn]);
        parts[part_count++] = names[turn];
    }
    add_specials(toy);
}

/* Tokens with few different scores; some join words. */
static void make_sentencepiece(struct toy *toy, bool has_bytes, bool joins, uint64_t *random)
{
    static char names[MADE_MAX][MADE_MAX];
    static const char *const letters[] = {"a", "b", "\xe2\x96\x81", "\xc3\xa9"};
    toy_init(toy, "llama", "");
    toy_add_byte_tokens(toy);
    for (unsigned byte = 0; byte < 256 && !has_bytes; byte++)
        toy->types[byte] = WEIR_TOKEN_UNUSED;
    toy->vocab.unk_id = toy_add(toy, "<unk>", WEIR_TOKEN_UNKNOWN, 0);
    toy->vocab.add_space_prefix = true;
    for (size_t letter = 0; letter < WEIR_COUNT(letters); letter++)
        toy_add(toy, letters[letter], WEIR_TOKEN_NORMAL, -9.0f);
    for (size_t turn = 0; turn < MADE_MAX / 2; turn++) {
        size_t length = 0;
        const size_t count = 2 + weir_random_next(random) % 4;
        for (size_t at = 0; at < count; at++) {
            const size_t letter = weir_random_next(random) % WEIR_COUNT(letters);
            if (letter == 2 && at > 0 && !joins)
                continue;
            strcpy(names[turn] + length, letters[letter]);
            length += strlen(letters[letter]);
        }
        toy_add(toy, names[turn], WEIR_TOKEN_NORMAL, -(float)(weir_random_next(random) % 4));
    }
    add_specials(toy);
}

/* ---- the comparison ------------------------------------------------------------------------ */

static size_t encode(weir_text *text, const char *bytes, size_t length, unsigned flags,
                     uint64_t part_max, uint64_t *random, uint32_t *ids)
{
    weir_text_encoder *encoder = NULL;
    size_t filled = 0;
    assert_int_equal(weir_text_encoder_create(&encoder, text, flags, NULL), WEIR_OK);
    for (size_t offset = 0, end; end = length, true; offset = end) {
        const uint32_t *found = NULL;
        size_t count = 0;
        struct weir_err err = {0};
        if (part_max > 0)
            end = weir_min(length, offset + weir_random_next(random) % (part_max + 1));
        const size_t least = weir_text_encoder_least(encoder);
        const size_t before = filled;
        if (weir_text_encoder_push(encoder, bytes + offset, end - offset, end == length, &found,
                                   &count, &err) != WEIR_OK)
            fail_msg("%s", err.text);
        if (count > 0)
            memcpy(ids + filled, found, count * sizeof(*ids));
        filled += count;
        if (end == length) {
            assert_true(filled - before >= least);
            break;
        }
    }
    weir_text_encoder_destroy(&encoder);
    return filled;
}

static void parts_have_the_ids_of_the_whole(weir_text *text, const char *name, int turns,
                                            uint64_t *random)
{
    static char bytes[TEXT_MAX];
    static uint32_t whole[TEXT_MAX], parts[TEXT_MAX];
    for (int turn = 0; turn < turns; turn++) {
        const size_t length = make_text(random, bytes);
        const unsigned flags = (unsigned)(weir_random_next(random) % 4);
        text->slice_bytes = text->window_bytes = SIZE_MAX; /* everything at once */
        const size_t count = encode(text, bytes, length, flags, 0, NULL, whole);
        for (uint64_t part_max = 1; part_max < 1000; part_max *= 6) {
            text->slice_bytes = 1 + weir_random_next(random) % 64;
            text->window_bytes = 2 * text->longest_bytes + weir_random_next(random) % 64;
            const size_t found = encode(text, bytes, length, flags, part_max, random, parts);
            if (found != count || memcmp(whole, parts, count * sizeof(*parts)) != 0)
                fail_msg("%s: turn %d, parts of %u: other ids", name, turn, (unsigned)part_max);
        }
    }
}

static void byte_level_ids_do_not_depend_on_the_parts(void **state)
{
    (void)state;
    static const char *const names[] = {
        "gpt-2",        "olmo",           "smollm",      "qwen2",   "llama-bpe", "dbrx",
        "deepseek-llm", "deepseek-coder", "deepseek-v3", "default", "gpt-4o",    "kimi-k2",
        "exaone-moe",   "cohere2moe",     "qwen35",      "bloom"};
    uint64_t random = 11;
    for (size_t row = 0; row < WEIR_COUNT(names); row++)
        for (int vocabulary = 0; vocabulary < 4; vocabulary++) {
            struct toy toy;
            make_byte_level(&toy, names[row], &random);
            toy.vocab.bos_id = 'B';
            toy.vocab.eos_id = 'E';
            toy.vocab.add_bos = toy.vocab.add_eos = vocabulary % 2 == 0;
            weir_text *text = toy_open(&toy);
            parts_have_the_ids_of_the_whole(text, names[row], 40, &random);
            weir_text_destroy(&text);
        }
}

static void sentencepiece_ids_do_not_depend_on_the_parts(void **state)
{
    (void)state;
    uint64_t random = 12;
    for (int vocabulary = 0; vocabulary < 24; vocabulary++) {
        struct toy toy;
        make_sentencepiece(&toy, vocabulary % 2 == 0, vocabulary % 4 >= 2, &random);
        weir_text *text = toy_open(&toy);
        parts_have_the_ids_of_the_whole(text, "llama", 60, &random);
        weir_text_destroy(&text);
    }
}

/* The same tokens for the other models of characters: by rank with merges of any two, by
 * likelihood, and the longest of a word. */
static void ids_of_other_models_do_not_depend_on_the_parts(void **state)
{
    (void)state;
    static char merges[TOY_MERGE_MAX][8];
    static const char *const models[] = {"gemma4", "t5", "bert"};
    uint64_t random = 13;
    for (int vocabulary = 0; vocabulary < 36; vocabulary++) {
        struct toy toy;
        const char *model = models[vocabulary % 3];
        make_sentencepiece(&toy, vocabulary % 2 == 0, vocabulary % 4 >= 2, &random);
        toy.vocab.model = toy_bytes(model);
        toy.vocab.add_space_prefix = vocabulary % 3 == 1;
        toy.vocab.squeeze_spaces = vocabulary % 5 == 0;
        toy.vocab.lowercase = vocabulary % 7 == 0;
        toy.vocab.strip_accents = vocabulary % 2 == 0;
        for (size_t turn = 0; turn < TOY_MERGE_MAX; turn++) {
            /* the four letters are the tokens behind the bytes and the unknown one */
            const struct weir_bytes left = toy.tokens[257 + weir_random_next(&random) % 4];
            const struct weir_bytes right = toy.tokens[257 + weir_random_next(&random) % 4];
            snprintf(merges[turn], sizeof(merges[turn]), "%.*s %.*s", (int)left.length, left.start,
                     (int)right.length, right.start);
            toy_merge(&toy, merges[turn]);
        }
        weir_text *text = toy_open(&toy);
        parts_have_the_ids_of_the_whole(text, model, 60, &random);
        weir_text_destroy(&text);
    }
}

/* Merges of neighbours in the alphabet, the last ones first: where a run ends decides which letters
 * pair up from its beginning on. */
static void tokens_that_depend_on_what_is_far_behind_wait_for_it(void **state)
{
    (void)state;
    enum { LETTERS = 24 };
    static char names[LETTERS][3], merges[LETTERS][4];
    struct toy toy;
    static char bytes[8000]; /* more than the pre-tokenizer holds */
    static uint32_t whole[8000], parts[8000];
    uint64_t random = 15;
    toy_init(&toy, "gpt2", "gpt-2");
    toy_add_letters(&toy);
    for (int letter = LETTERS - 2; letter >= 0; letter--) {
        snprintf(names[letter], sizeof(names[letter]), "%c%c", 'a' + letter, 'b' + letter);
        snprintf(merges[letter], sizeof(merges[letter]), "%c %c", 'a' + letter, 'b' + letter);
        toy_add(&toy, names[letter], WEIR_TOKEN_NORMAL, 0);
        toy_merge(&toy, merges[letter]);
    }
    weir_text *text = toy_open(&toy);
    for (int turn = 0; turn < 50; turn++) {
        size_t length = 0;
        while (length + LETTERS < sizeof(bytes)) {
            const int run = LETTERS - (int)(weir_random_next(&random) % 4);
            for (int letter = 0; letter < run; letter++)
                bytes[length++] = (char)('a' + letter);
        }
        text->slice_bytes = text->window_bytes = SIZE_MAX;
        const size_t count = encode(text, bytes, length, 0, 0, NULL, whole);
        text->slice_bytes = 1 + weir_random_next(&random) % 8;
        text->window_bytes = 2 * text->longest_bytes + weir_random_next(&random) % 16;
        assert_int_equal(encode(text, bytes, length, 0, 30, &random, parts), count);
        assert_memory_equal(whole, parts, count * sizeof(*parts));
    }
    weir_text_destroy(&text);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* The most that the heap held while a text of length bytes went through; what is repeated is a part
 * of it. */
static uint64_t measure_peak(weir_text *text, const char *repeated, size_t length)
{
    char part[4096];
    size_t filled = 0;
    while (filled + strlen(repeated) <= sizeof(part)) {
        memcpy(part + filled, repeated, strlen(repeated));
        filled += strlen(repeated);
    }
    weir_text_encoder *encoder = NULL;
    const uint64_t before = weir_heap_bytes();
    uint64_t peak = 0;
    assert_int_equal(weir_text_encoder_create(&encoder, text, 3, NULL), WEIR_OK);
    for (size_t at = 0; at < length; at += filled) {
        const uint32_t *ids = NULL;
        size_t count = 0;
        assert_int_equal(weir_text_encoder_push(encoder, part, filled, at + filled >= length, &ids,
                                                &count, NULL),
                         WEIR_OK);
        peak = weir_max(peak, weir_heap_bytes() - before);
    }
    weir_text_encoder_destroy(&encoder);
    return peak;
}

static void memory_does_not_grow_with_the_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"\n", "a",   "abc ", "abcab", "\xe4\xbd\xa0", "\xff",
                                        "7",  "...", "a\n",  "<|en",  "\xe2\x96\x81", "\xc3\xa9"};
    /* Not the likeliest tokens: where equally likely ones of a run stand depends on its end. */
    static const char *const names[] = {"qwen2", "deepseek-llm", "gpt-4o",
                                        "llama", "gemma4",       "bert"};
    enum { BYTE_LEVEL_COUNT = 3 };
    uint64_t random = 13;
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        struct toy toy;
        if (name < BYTE_LEVEL_COUNT) {
            make_byte_level(&toy, names[name], &random);
        } else {
            make_sentencepiece(&toy, true, true, &random);
            toy.vocab.model = toy_bytes(names[name]);
            toy_merge(&toy, "a b");
        }
        weir_text *text = toy_open(&toy);
        for (size_t row = 0; row < WEIR_COUNT(texts); row++) {
            const uint64_t peak = measure_peak(text, texts[row], 1 << 20);
            if (peak > 1 << 20)
                fail_msg("%s: a text of \"%s\": %llu bytes", names[name], texts[row],
                         (unsigned long long)peak);
        }
        weir_text_destroy(&text);
    }
}

static void what_has_no_ids_yet_is_counted(void **state)
{
    (void)state;
    struct toy toy;
    uint64_t random = 14;
    char spaces[1000];
    const uint32_t *ids = NULL;
    size_t count = 0;
    weir_text_encoder *encoder = NULL;
    make_byte_level(&toy, "gpt-2", &random);
    weir_text *text = toy_open(&toy);
    memset(spaces, ' ', sizeof(spaces));
    assert_int_equal(weir_text_encoder_create(&encoder, text, 0, NULL), WEIR_OK);
    assert_int_equal(weir_text_encoder_least(encoder), 0);
    for (int turn = 0; turn < 4; turn++)
        assert_int_equal(
            weir_text_encoder_push(encoder, spaces, sizeof(spaces), false, &ids, &count, NULL),
            WEIR_OK);
    assert_int_equal(count, 0);
    assert_in_range(weir_text_encoder_least(encoder), 4000 / text->longest_bytes - 64,
                    4000 / text->longest_bytes + 1);
    assert_int_equal(weir_text_encoder_push(encoder, NULL, 0, true, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(count, 4000);
    assert_int_equal(weir_text_encoder_least(encoder), 0);
    weir_text_encoder_destroy(&encoder);
    weir_text_destroy(&text);
}

/* ---- normalisation ------------------------------------------------------------------------- */

static bool is_surrogate(uint32_t character)
{
    return character >= 0xd800 && character < 0xe000;
}

/* Unicode's own data, by another way: a character that is the last of a decomposition of several,
 * or of Hangul's vowels and finals, may be joined with what stands before it. */
static void what_starts_afresh_never_joins_what_is_before_it(void **state)
{
    (void)state;
    enum { CHARACTER_COUNT = 0x110000 };
    int32_t parts[WEIR_TEXT_DECOMPOSED_MAX];
    bool *joins = weir_heap_alloc(CHARACTER_COUNT);
    size_t afresh_count = 0;
    for (uint32_t character = 0; character < CHARACTER_COUNT; character++) {
        if (is_surrogate(character))
            continue;
        const size_t count = weir_text_nfc_decompose(WEIR_NORMAL_NFC, (int32_t)character, parts);
        if (count > 1)
            joins[parts[count - 1]] = true;
        if (weir_text_nfc_is_mark((int32_t)character))
            joins[character] = true;
    }
    for (uint32_t character = 0; character < CHARACTER_COUNT; character++) {
        if (is_surrogate(character) || !weir_text_nfc_starts_afresh(WEIR_NORMAL_NFC, character))
            continue;
        afresh_count++;
        weir_text_nfc_decompose(WEIR_NORMAL_NFC, (int32_t)character, parts);
        if (joins[character] || joins[parts[0]])
            fail_msg("U+%04X may be joined with what stands before it", character);
    }
    assert_true(afresh_count > 100000);
    weir_heap_free(joins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_ids_do_not_depend_on_the_parts),
        cmocka_unit_test(sentencepiece_ids_do_not_depend_on_the_parts),
        cmocka_unit_test(ids_of_other_models_do_not_depend_on_the_parts),
        cmocka_unit_test(tokens_that_depend_on_what_is_far_behind_wait_for_it),
        cmocka_unit_test(memory_does_not_grow_with_the_text),
        cmocka_unit_test(what_has_no_ids_yet_is_counted),
        cmocka_unit_test(what_starts_afresh_never_joins_what_is_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
