/* text_byte_level_test.c - byte-level BPE on a vocabulary made by hand. */
#include "text_random.h"

enum { MIB = 1 << 20 };

/* Tokens behind the 256 letters; the order of adding is the order of this list. */
enum { AB = 256, BC, AA, AAAA, HE, LL, HELL, HELLO, SPACE_A, THINK, END, END_LONG, END_TEXT, XYZ };

static void make_toy(struct toy *toy, const char *pre)
{
    static const char *const normal[] = {"ab",
                                         "bc",
                                         "aa",
                                         "aaaa",
                                         "he",
                                         "ll",
                                         "hell",
                                         "hello",
                                         ("\xc4\xa0"
                                          "a")};
    toy_init(toy, "gpt2", pre);
    toy_add_letters(toy);
    for (size_t index = 0; index < WEIR_COUNT(normal); index++)
        toy_add(toy, normal[index], WEIR_TOKEN_NORMAL, 0);
    assert_int_equal(toy_add(toy, "<think>", WEIR_TOKEN_USER_DEFINED, 0), THINK);
    assert_int_equal(toy_add(toy, "<|end|>", WEIR_TOKEN_CONTROL, 0), END);
    assert_int_equal(toy_add(toy, "<|end|><|end|>", WEIR_TOKEN_CONTROL, 0), END_LONG);
    assert_int_equal(toy_add(toy, "<|endoftext|>", WEIR_TOKEN_CONTROL, 0), END_TEXT);
    assert_int_equal(toy_add(toy, "xyz", WEIR_TOKEN_NORMAL, 0), XYZ);
    static const char *const merges[] = {"b c", "a b",   "a a",    "aa aa",     "l l",
                                         "h e", "he ll", "hell o", "\xc4\xa0 a"};
    for (size_t index = 0; index < WEIR_COUNT(merges); index++)
        toy_merge(toy, merges[index]);
}

static void merges_follow_their_rank(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    toy_gives(text, "abc", 0, TOY_IDS('a', BC));
    toy_gives(text, "abb", 0, TOY_IDS(AB, 'b'));
    toy_gives(text, "hello", 0, TOY_IDS(HELLO));
    toy_gives(text, "hell", 0, TOY_IDS(HELL));
    toy_gives(text, "b a c", 0, TOY_IDS('b', SPACE_A, ' ', 'c'));
    toy_gives(text, "", 0, TOY_IDS(WEIR_TOKEN_NONE));
    weir_text_destroy(&text);
}

static void equal_ranks_merge_from_the_left(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    toy_gives(text, "aaa", 0, TOY_IDS(AA, 'a'));
    toy_gives(text, "aaaaaaa", 0, TOY_IDS(AAAA, AA, 'a'));
    weir_text_destroy(&text);
}

static void a_megabyte_without_a_space_takes_no_square_of_time(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    const uint64_t heap_bytes = weir_heap_bytes();
    char *long_text = weir_heap_alloc(MIB);
    uint32_t *ids = NULL;
    size_t count = 0;
    memset(long_text, 'a', MIB);
    const uint64_t start_ns = weir_now_ns();
    assert_int_equal(weir_text_tokenize(text, long_text, MIB, 0, &ids, &count, NULL), WEIR_OK);
    printf("1 MiB of a: %.0f ms\n", (double)(weir_now_ns() - start_ns) / 1e6);
    assert_int_equal(count, MIB / 4);
    for (size_t index = 0; index < count; index++)
        assert_int_equal(ids[index], AAAA);
    weir_heap_free(ids);
    weir_heap_free(long_text);
    /* The scratch of an unusual text does not stay. */
    assert_true(weir_heap_bytes() <= heap_bytes + (1 << 19));
    weir_text_destroy(&text);
}

static void random_bytes_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2",        "smollm",         "llama-bpe",
                                        "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                        "dbrx",         "default",        ""};
    static char bytes[700];
    uint64_t random = 3;
    struct toy toy;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        make_toy(&toy, names[index]);
        weir_text *text = toy_open(&toy);
        for (int turn = 0; turn < 300; turn++)
            assert_true(toy_round_trip(text, bytes, toy_random(&random, bytes, sizeof(bytes))));
        weir_text_destroy(&text);
    }
}

static void special_tokens_are_found_in_the_text(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    const unsigned parse = WEIR_TOKENIZE_PARSE_SPECIAL;
    toy_gives(text, "a<|end|>b", parse, TOY_IDS('a', END, 'b'));
    toy_gives(text, "<|end|><|end|><|end|>", parse, TOY_IDS(END_LONG, END));
    toy_gives(text, "<|end|", parse, TOY_IDS('<', '|', 'e', 'n', 'd', '|'));
    /* Unasked, a control token in a text is only text; a user's token is always one. */
    toy_gives(text, "<|end|>", 0, TOY_IDS('<', '|', 'e', 'n', 'd', '|', '>'));
    toy_gives(text, "a<think>a", 0, TOY_IDS('a', THINK, 'a'));
    weir_text_destroy(&text);
}

static void special_tokens_have_a_text_only_on_request(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    assert_int_equal(weir_text_piece(text, END, false).length, 0);
    assert_int_equal(weir_text_piece(text, END, true).length, strlen("<|end|>"));
    assert_int_equal(weir_text_piece(text, THINK, false).length, strlen("<think>"));
    const struct weir_bytes piece = weir_text_piece(text, SPACE_A, false);
    assert_int_equal(piece.length, 2);
    assert_memory_equal(piece.start, " a", 2);
    weir_text_destroy(&text);
}

static void bos_and_eos_stand_around_the_text(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    toy.vocab.bos_id = END;
    toy.vocab.eos_id = THINK;
    toy.vocab.add_bos = true;
    weir_text *text = toy_open(&toy);
    toy_gives(text, "a", WEIR_TOKENIZE_ADD_SPECIAL, TOY_IDS(END, 'a'));
    toy_gives(text, "a", 0, TOY_IDS('a'));
    weir_text_destroy(&text);
    toy.vocab.add_eos = true;
    text = toy_open(&toy);
    toy_gives(text, "", WEIR_TOKENIZE_ADD_SPECIAL, TOY_IDS(END, THINK));
    assert_true(weir_text_is_end(text, THINK));
    weir_text_destroy(&text);
}

static void end_tokens_are_known_by_text(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    assert_true(weir_text_is_end(text, END_TEXT));
    assert_false(weir_text_is_end(text, END_LONG));
    assert_false(weir_text_is_end(text, 'a'));
    assert_false(weir_text_is_end(text, THINK));
    weir_text_destroy(&text);
}

static void a_whole_piece_beats_the_merges_in_llama3(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "llama-bpe");
    weir_text *text = toy_open(&toy);
    toy_gives(text, "xyz", 0, TOY_IDS(XYZ));
    toy_gives(text, "xyzz", 0, TOY_IDS('x', 'y', 'z', 'z'));
    weir_text_destroy(&text);
    make_toy(&toy, "gpt-2");
    text = toy_open(&toy);
    toy_gives(text, "xyz", 0, TOY_IDS('x', 'y', 'z'));
    weir_text_destroy(&text);
}

static void a_byte_without_a_token_is_unknown_or_refused(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    toy.tokens[0xff] = toy_bytes("");
    weir_text *text = toy_open(&toy);
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(weir_text_tokenize(text, "a\xff", 2, 0, &ids, &count, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "0xff"));
    assert_null(ids);
    weir_text_destroy(&text);
    toy.vocab.unk_id = XYZ;
    text = toy_open(&toy);
    toy_gives(text, "a\xff", 0, TOY_IDS('a', XYZ));
    weir_text_destroy(&text);
}

static void qwen2_is_normalised_and_gpt2_is_not(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "qwen2");
    weir_text *text = toy_open(&toy);
    toy_gives(text, "ae\xcc\x81z", 0, TOY_IDS('a', 0xc3, 0xa9, 'z'));
    toy_gives(text, "\xc3\xa9\xff\xc3\xa9", 0, TOY_IDS(0xc3, 0xa9, 0xff, 0xc3, 0xa9));
    /* U+1100 U+1161 U+11A8 is the syllable U+AC01; the Angstrom sign is U+00C5. */
    toy_gives(text, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", 0, TOY_IDS(0xea, 0xb0, 0x81));
    toy_gives(text, "\xe2\x84\xab.", 0, TOY_IDS(0xc3, 0x85, '.'));
    /* Marks are put in the order of their classes: U+0316 (220) before U+0301 (230). */
    toy_gives(text, "q\xcc\x81\xcc\x96", 0, TOY_IDS('q', 0xcc, 0x96, 0xcc, 0x81));
    /* A special token is not text: what follows it does not join it. */
    toy_gives(text, "<think>\xcc\x81", 0, TOY_IDS(THINK, 0xcc, 0x81));
    weir_text_destroy(&text);
    make_toy(&toy, "gpt-2");
    text = toy_open(&toy);
    toy_gives(text, "e\xcc\x81", 0, TOY_IDS('e', 0xcc, 0x81));
    weir_text_destroy(&text);
}

static void a_megabyte_of_marks_is_sorted_in_linear_time(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "qwen2");
    weir_text *text = toy_open(&toy);
    char *marks = weir_heap_alloc(MIB);
    uint32_t *ids = NULL;
    size_t count = 0;
    for (size_t index = 0; index < MIB; index += 2)
        memcpy(marks + index, index % 4 == 0 ? "\xcc\x81" : "\xcc\x96", 2);
    assert_int_equal(weir_text_tokenize(text, marks, MIB, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(count, MIB);
    assert_int_equal(ids[1], 0x96);
    assert_int_equal(ids[MIB - 1], 0x81);
    weir_heap_free(ids);
    weir_heap_free(marks);
    weir_text_destroy(&text);
}

static void the_stream_never_splits_a_character(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    static char out[WEIR_PIECE_MAX];
    struct weir_detokenizer stream;
    weir_detokenizer_init(&stream, text, false);
    static const struct {
        uint32_t id;
        const char *shown;
    } steps[] = {
        {0xf0, ""},
        {0x9f, ""},
        {0x98, ""},
        {0x80, "\xf0\x9f\x98\x80"},
        {'a', "a"},
        {0xc3, ""},
        {END, ""},
        {0xa9, "\xc3\xa9"},
        /* What cannot become a character comes out once that is known. */
        {0xe4, ""},
        {0xbd, ""},
        {'b', "\xe4\xbd"
              "b"},
        {0xed, ""},
        {0xa0, "\xed\xa0"},
        {0x80, "\x80"},
        {0xff, "\xff"},
        {0xe4, ""},
        {0xe4, "\xe4"},
    };
    for (size_t index = 0; index < WEIR_COUNT(steps); index++) {
        const size_t wrote = weir_detokenizer_push(&stream, steps[index].id, out, sizeof(out));
        assert_int_equal(wrote, strlen(steps[index].shown));
        assert_memory_equal(out, steps[index].shown, wrote);
    }
    assert_int_equal(weir_detokenizer_flush(&stream, out, sizeof(out)), 1);
    assert_int_equal(out[0], (char)0xe4);
    assert_int_equal(weir_detokenizer_flush(&stream, out, sizeof(out)), 0);
    weir_text_destroy(&text);
}

static void tokens_outside_the_alphabet_stand_for_themselves(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    const uint32_t id = toy_add(&toy, "a b\xe4\xbd\xa0", WEIR_TOKEN_NORMAL, 0);
    weir_text *text = toy_open(&toy);
    const struct weir_bytes piece = weir_text_piece(text, id, false);
    assert_int_equal(piece.length, 6);
    assert_memory_equal(piece.start, "a b\xe4\xbd\xa0", 6);
    weir_text_destroy(&text);
}

static void a_wrong_vocabulary_is_named(void **state)
{
    (void)state;
    static char long_token[WEIR_PIECE_MAX];
    struct toy toy;
    make_toy(&toy, "klingon");
    toy_only_decodes(&toy, WEIR_ERR_UNSUPPORTED, "klingon");
    make_toy(&toy, "gpt-2");
    toy.vocab.model = toy_bytes("rwkv");
    toy_refuses(&toy, WEIR_ERR_UNSUPPORTED, "rwkv");

    make_toy(&toy, "gpt-2");
    toy_merge(&toy, "hello");
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "with a space between");
    make_toy(&toy, "gpt-2");
    toy_merge(&toy, "a ");
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "with a space between");

    make_toy(&toy, "gpt-2");
    toy.vocab.bos_id = toy.vocab.n_vocab;
    toy_refuses(&toy, WEIR_ERR_FORMAT, "special token id");
    make_toy(&toy, "gpt-2");
    toy.types[7] = 200;
    toy_refuses(&toy, WEIR_ERR_FORMAT, "token 7");
    make_toy(&toy, "gpt-2");
    toy.vocab.n_vocab = 0;
    toy_refuses(&toy, WEIR_ERR_FORMAT, "found 0");
    make_toy(&toy, "gpt-2");
    memset(long_token, 'a', sizeof(long_token));
    toy.tokens[XYZ] = (struct weir_bytes){long_token, WEIR_PIECE_MAX - 4};
    weir_text *text = toy_open(&toy);
    weir_text_destroy(&text);
    toy.tokens[XYZ].length++;
    toy_refuses(&toy, WEIR_ERR_FORMAT, "token 269");
}

static void a_merge_of_what_is_no_token_never_applies(void **state)
{
    (void)state;
    static const char *const merges[] = {"z z", "hello nobody", "nobody hello"};
    for (size_t row = 0; row < WEIR_COUNT(merges); row++) {
        struct toy toy;
        struct weir_warnings warnings = {0};
        weir_text *text = NULL;
        make_toy(&toy, "gpt-2");
        toy_merge(&toy, merges[row]);
        assert_int_equal(weir_text_create(&text, &toy.vocab, &warnings, NULL), WEIR_OK);
        assert_int_equal(warnings.count, 1);
        assert_non_null(strstr(warnings.text[0], merges[row]));
        assert_non_null(strstr(warnings.text[0], "1 of "));
        toy_gives(text, "zz", 0, TOY_IDS('z', 'z'));
        toy_gives(text, "hello", 0, TOY_IDS(HELLO));
        weir_text_destroy(&text);
    }
}

static void tokens_of_several_bytes_want_merges(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    toy.vocab.n_merge = 0;
    toy_only_decodes(&toy, WEIR_ERR_FORMAT, "tokenizer.ggml.merges");
    toy_init(&toy, "gpt2", "gpt-2");
    toy_add_letters(&toy);
    weir_text *text = toy_open(&toy); /* bytes need none */
    toy_gives(text, "ab", 0, TOY_IDS('a', 'b'));
    weir_text_destroy(&text);
}

static void an_id_without_a_token_has_no_text(void **state)
{
    (void)state;
    struct toy toy;
    char out[WEIR_PIECE_MAX];
    struct weir_detokenizer detokenizer;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    const uint32_t ids[] = {toy.vocab.n_vocab, toy.vocab.n_vocab + 1, UINT32_MAX};
    weir_detokenizer_init(&detokenizer, text, true);
    for (size_t index = 0; index < WEIR_COUNT(ids); index++) {
        assert_int_equal(weir_text_piece(text, ids[index], true).length, 0);
        assert_int_equal(weir_detokenizer_push(&detokenizer, ids[index], out, sizeof(out)), 0);
        assert_false(weir_text_is_end(text, ids[index]));
    }
    weir_text_destroy(&text);
}

static void ends_go_by_name_and_by_what_the_file_says(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    /* whatever its type */
    const uint32_t im_end = toy_add(&toy, "<|im_end|>", WEIR_TOKEN_NORMAL, 0);
    const uint32_t call = toy_add(&toy, "<|call|>", WEIR_TOKEN_USER_DEFINED, 0);
    const uint32_t inner = END;
    const uint32_t named[] = {'q', 'r'};
    toy.vocab.end_ids = named;
    toy.vocab.n_end = 2;
    weir_text *text = toy_open(&toy);
    assert_true(weir_text_is_end(text, im_end));
    assert_true(weir_text_is_end(text, call));
    assert_true(weir_text_is_end(text, inner));
    assert_true(weir_text_is_end(text, 'q') && weir_text_is_end(text, 'r'));
    weir_text_destroy(&text);
    /* gpt-oss: <|end|> ends a message, not the turn */
    const uint32_t back = toy_add(&toy, "<|return|>", WEIR_TOKEN_CONTROL, 0);
    text = toy_open(&toy);
    assert_true(weir_text_is_end(text, back));
    assert_false(weir_text_is_end(text, inner));
    weir_text_destroy(&text);
    /* but not against the file */
    toy.vocab.eos_id = inner;
    text = toy_open(&toy);
    assert_true(weir_text_is_end(text, inner));
    weir_text_destroy(&text);
}

static void a_text_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct toy toy;
    make_toy(&toy, "gpt-2");
    weir_text *text = toy_open(&toy);
    uint32_t *ids = NULL;
    size_t count = 0;
    struct weir_err err = {0};
    assert_int_equal(weir_text_tokenize(text, "a", ((size_t)1 << 30) + 1, 0, &ids, &count, &err),
                     WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "1073741825"));
    weir_text_destroy(&text);
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static char bytes[3000];
    struct toy toy;
    uint64_t random = 9;
    for (size_t filled = 0; filled < sizeof(bytes);)
        filled += toy_random(&random, bytes + filled, sizeof(bytes) - filled + 1);
    make_toy(&toy, "qwen2");
    toy_survives_failures(&toy, bytes, sizeof(bytes));
    make_toy(&toy, "deepseek-llm");
    toy_survives_failures(&toy, bytes, sizeof(bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_follow_their_rank),
        cmocka_unit_test(equal_ranks_merge_from_the_left),
        cmocka_unit_test(a_megabyte_without_a_space_takes_no_square_of_time),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(special_tokens_are_found_in_the_text),
        cmocka_unit_test(special_tokens_have_a_text_only_on_request),
        cmocka_unit_test(bos_and_eos_stand_around_the_text),
        cmocka_unit_test(end_tokens_are_known_by_text),
        cmocka_unit_test(a_whole_piece_beats_the_merges_in_llama3),
        cmocka_unit_test(a_byte_without_a_token_is_unknown_or_refused),
        cmocka_unit_test(qwen2_is_normalised_and_gpt2_is_not),
        cmocka_unit_test(a_megabyte_of_marks_is_sorted_in_linear_time),
        cmocka_unit_test(the_stream_never_splits_a_character),
        cmocka_unit_test(tokens_outside_the_alphabet_stand_for_themselves),
        cmocka_unit_test(a_wrong_vocabulary_is_named),
        cmocka_unit_test(a_merge_of_what_is_no_token_never_applies),
        cmocka_unit_test(tokens_of_several_bytes_want_merges),
        cmocka_unit_test(an_id_without_a_token_has_no_text),
        cmocka_unit_test(ends_go_by_name_and_by_what_the_file_says),
        cmocka_unit_test(a_text_over_the_limit_is_refused),
        cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
