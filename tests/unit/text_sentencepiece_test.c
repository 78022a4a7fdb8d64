/* text_sentencepiece_test.c - SentencePiece-style BPE on a vocabulary made by hand. */
#include "text_random.h"

#define MARK "\xe2\x96\x81"

enum { UNKNOWN = 256, BOS, END, USER, SPACE, A, B, C, AB, BC, SPACE_A, ACUTE_E, TWO_SPACES };

static void make_toy(struct toy *toy)
{
    toy_init(toy, "llama", "default");
    toy_add_byte_tokens(toy);
    assert_int_equal(toy_add(toy, "<unk>", WEIR_TOKEN_UNKNOWN, 0), UNKNOWN);
    assert_int_equal(toy_add(toy, "<s>", WEIR_TOKEN_CONTROL, 0), BOS);
    assert_int_equal(toy_add(toy, "<|end|>", WEIR_TOKEN_CONTROL, 0), END);
    assert_int_equal(toy_add(toy, "<think>", WEIR_TOKEN_USER_DEFINED, 0), USER);
    assert_int_equal(toy_add(toy, MARK, WEIR_TOKEN_NORMAL, -1), SPACE);
    assert_int_equal(toy_add(toy, "a", WEIR_TOKEN_NORMAL, -9), A);
    assert_int_equal(toy_add(toy, "b", WEIR_TOKEN_NORMAL, -9), B);
    assert_int_equal(toy_add(toy, "c", WEIR_TOKEN_NORMAL, -9), C);
    assert_int_equal(toy_add(toy, "ab", WEIR_TOKEN_NORMAL, -3), AB);
    assert_int_equal(toy_add(toy, "bc", WEIR_TOKEN_NORMAL, -2), BC);
    assert_int_equal(toy_add(toy, MARK "a", WEIR_TOKEN_NORMAL, -5), SPACE_A);
    assert_int_equal(toy_add(toy, "\xc3\xa9", WEIR_TOKEN_NORMAL, -6), ACUTE_E);
    assert_int_equal(toy_add(toy, MARK MARK, WEIR_TOKEN_NORMAL, -7), TWO_SPACES);
    toy->vocab.unk_id = UNKNOWN;
    toy->vocab.bos_id = BOS;
    toy->vocab.add_bos = true;
    toy->vocab.add_space_prefix = true;
}

static void merges_follow_the_scores(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    weir_text *text = toy_open(&toy);
    toy_gives(text, "abc", 0, TOY_IDS(SPACE_A, BC));
    toy_gives(text, "bab", 0, TOY_IDS(SPACE, B, AB));
    toy_gives(text, "b a", 0, TOY_IDS(SPACE, B, SPACE_A));
    toy_gives(text, "  b", 0, TOY_IDS(TWO_SPACES, SPACE, B));
    toy_gives(text, "", WEIR_TOKENIZE_ADD_SPECIAL, TOY_IDS(BOS));
    toy_gives(text, "b", WEIR_TOKENIZE_ADD_SPECIAL, TOY_IDS(BOS, SPACE, B));
    weir_text_destroy(&text);
    toy.vocab.add_space_prefix = false;
    text = toy_open(&toy);
    toy_gives(text, "b a", 0, TOY_IDS(B, SPACE_A));
    weir_text_destroy(&text);
}

static void characters_without_a_token_become_bytes(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    weir_text *text = toy_open(&toy);
    toy_gives(text, "b\xc3\xa9\xc3\xa8\xff", 0, TOY_IDS(SPACE, B, ACUTE_E, 0xc3, 0xa8, 0xff));
    /* A byte token or an end token written out is text. */
    toy_gives(text, "<0", 0, TOY_IDS(SPACE, '<', '0'));
    toy_gives(text, "<s>", 0, TOY_IDS(SPACE, '<', 's', '>'));
    weir_text_destroy(&text);
}

static void a_run_of_unknown_characters_is_one_token(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    for (unsigned byte = 0; byte < 256; byte++)
        toy.types[byte] = WEIR_TOKEN_UNUSED;
    weir_text *text = toy_open(&toy);
    toy_gives(text, "bxyzb\xff", 0, TOY_IDS(SPACE, B, UNKNOWN, B, UNKNOWN));
    weir_text_destroy(&text);
    toy.vocab.unk_id = WEIR_TOKEN_NONE;
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "<0x00>");
}

static void special_tokens_stand_between_texts(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    weir_text *text = toy_open(&toy);
    toy_gives(text, "b<think>a<s>b", WEIR_TOKENIZE_PARSE_SPECIAL,
              TOY_IDS(SPACE, B, USER, SPACE_A, BOS, SPACE, B));
    toy_gives(text, "<think>", 0, TOY_IDS(USER));
    weir_text_destroy(&text);
}

/* A vocabulary with a token across two words must not be cut between words. */
static void a_token_may_join_two_words(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    const uint32_t joined = toy_add(&toy, "ab" MARK "a", WEIR_TOKEN_NORMAL, -1);
    weir_text *text = toy_open(&toy);
    toy_gives(text, "cab ab", 0, TOY_IDS(SPACE, C, AB, SPACE, AB));
    toy_gives(text, "cab ac", 0, TOY_IDS(SPACE, C, joined, C));
    weir_text_destroy(&text);
}

static void random_bytes_come_back(void **state)
{
    (void)state;
    static char bytes[700];
    uint64_t random = 4;
    struct toy toy;
    for (int prefix = 0; prefix < 2; prefix++) {
        make_toy(&toy);
        toy.vocab.add_space_prefix = prefix != 0;
        weir_text *text = toy_open(&toy);
        for (int turn = 0; turn < 2000; turn++)
            assert_true(toy_round_trip(text, bytes, toy_random(&random, bytes, sizeof(bytes))));
        weir_text_destroy(&text);
    }
}

static void only_the_first_space_is_dropped(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    weir_text *text = toy_open(&toy);
    static char out[WEIR_PIECE_MAX];
    struct weir_detokenizer stream;
    weir_detokenizer_init(&stream, text, false);
    assert_int_equal(weir_detokenizer_push(&stream, BOS, out, sizeof(out)), 0);
    assert_int_equal(weir_detokenizer_push(&stream, SPACE_A, out, sizeof(out)), 1);
    assert_int_equal(out[0], 'a');
    assert_int_equal(weir_detokenizer_push(&stream, SPACE_A, out, sizeof(out)), 2);
    assert_memory_equal(out, " a", 2);
    assert_int_equal(weir_detokenizer_push(&stream, '\n', out, sizeof(out)), 1);
    assert_int_equal(out[0], '\n');
    /* In the middle of a text, for a continuation. */
    weir_detokenizer_init(&stream, text, false);
    stream.at_start = false;
    assert_int_equal(weir_detokenizer_push(&stream, SPACE_A, out, sizeof(out)), 2);
    weir_text_destroy(&text);
}

static void a_megabyte_is_merged_in_seconds(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20 };
    struct toy toy;
    make_toy(&toy);
    weir_text *text = toy_open(&toy);
    char *bytes = weir_heap_alloc(LENGTH);
    uint32_t *ids = NULL;
    size_t count = 0;
    for (size_t index = 0; index < LENGTH; index++)
        bytes[index] = "bc"[index % 2];
    assert_int_equal(weir_text_tokenize(text, bytes, LENGTH, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(count, LENGTH / 2 + 1);
    weir_heap_free(ids);
    weir_heap_free(bytes);
    weir_text_destroy(&text);
}

static void a_wrong_vocabulary_is_named(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    toy.vocab.scores = NULL;
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "score");
    make_toy(&toy);
    toy.tokens[17] = toy_bytes("<17>");
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "<17>");
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy);
    static char bytes[2000];
    memset(bytes, 'a', sizeof(bytes));
    toy_survives_failures(&toy, bytes, sizeof(bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_follow_the_scores),
        cmocka_unit_test(characters_without_a_token_become_bytes),
        cmocka_unit_test(a_run_of_unknown_characters_is_one_token),
        cmocka_unit_test(special_tokens_stand_between_texts),
        cmocka_unit_test(a_token_may_join_two_words),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(only_the_first_space_is_dropped),
        cmocka_unit_test(a_megabyte_is_merged_in_seconds),
        cmocka_unit_test(a_wrong_vocabulary_is_named),
        cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
