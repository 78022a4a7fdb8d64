/* manifest_vocab_test.c - the tokenizer part of a GGUF file, right and wrong. */
#include "manifest_toy.h"

#define KEY(name) "tokenizer.ggml." name

enum { TOKEN_BYTES_MAX = 4092, MERGE_BYTES_MAX = 8193 };

/* A vocabulary of three tokens, and extra_count keys more that the caller puts. */
static void begin_vocab(const char *model, uint64_t extra_count)
{
    begin(3, 0, 2 + extra_count);
    put_text_key(KEY("model"), model);
    put_array_key(KEY("tokens"), GGUF_STRING, 3);
    put_text("a");
    put_text("b");
    put_text("ab");
}

static void vocab_is_refused(const char *const *words)
{
    weir_manifest *manifest = accepted();
    const struct weir_vocab *const unset = (const struct weir_vocab *)(const void *)&image;
    const struct weir_vocab *vocab = unset;
    const uint64_t heap_bytes = weir_heap_bytes();
    for (int time = 0; time < 2; time++) { /* nothing half-built answers the second time */
        struct weir_err err = {0};
        assert_int_equal(weir_manifest_vocab(manifest, &vocab, &err), WEIR_ERR_FORMAT);
        says(&err, WEIR_ERR_FORMAT, words);
        assert_ptr_equal(vocab, unset);
        assert_int_equal(weir_heap_bytes(), heap_bytes);
    }
    weir_manifest_close(&manifest);
}

static void put_false(const char *name)
{
    put_key(name, GGUF_BOOL);
    put(0, 1);
}

/* The image's vocabulary; *manifest is the caller's to close. */
static const struct weir_vocab *vocab_of(weir_manifest **manifest)
{
    const struct weir_vocab *vocab = NULL;
    struct weir_err err = {0};
    *manifest = accepted();
    if (weir_manifest_vocab(*manifest, &vocab, &err) != WEIR_OK)
        fail_msg("refused: %s", err.text);
    return vocab;
}

static void vocab_is_accepted(void)
{
    weir_manifest *manifest = NULL;
    vocab_of(&manifest);
    weir_manifest_close(&manifest);
}

static void a_vocabulary_is_read_once(void **state)
{
    (void)state;
    make_small(3);
    weir_manifest *manifest = NULL;
    const struct weir_vocab *again = NULL;
    const struct weir_vocab *vocab = vocab_of(&manifest);
    assert_int_equal(vocab->n_vocab, 3);
    assert_int_equal(vocab->tokens[2].length, 2);
    assert_memory_equal(vocab->tokens[2].start, "ab", 2);
    assert_int_equal(vocab->types[2], WEIR_TOKEN_CONTROL);
    assert_null(vocab->scores);
    assert_int_equal(vocab->n_merge, 1);
    assert_memory_equal(vocab->merges[0].start, "a b", 3);
    assert_int_equal(vocab->eos_id, 2);
    const uint64_t calls = weir_heap_calls();
    assert_int_equal(weir_manifest_vocab(manifest, &again, NULL), WEIR_OK);
    assert_ptr_equal(again, vocab);
    assert_int_equal(weir_heap_calls(), calls);
    weir_manifest_close(&manifest);
}

static void what_a_file_does_not_say_follows_from_its_model(void **state)
{
    (void)state;
    weir_manifest *manifest = NULL;
    begin_vocab("gpt2", 0);
    const struct weir_vocab *vocab = vocab_of(&manifest);
    assert_true(vocab->bos_id == WEIR_TOKEN_NONE && vocab->eos_id == WEIR_TOKEN_NONE);
    assert_false(vocab->add_bos || vocab->add_eos || vocab->add_space_prefix);
    assert_null(vocab->types);
    assert_int_equal(vocab->pre.length, 0);
    weir_manifest_close(&manifest);
    begin_vocab("llama", 0);
    vocab = vocab_of(&manifest);
    assert_true(vocab->bos_id == 1 && vocab->eos_id == 2 && vocab->unk_id == 0);
    assert_true(vocab->add_bos && vocab->add_space_prefix && !vocab->add_eos);
    weir_manifest_close(&manifest);
    begin_vocab("gpt2", 1);
    put_text_key(KEY("pre"), "llama-bpe");
    vocab = vocab_of(&manifest);
    assert_true(vocab->add_bos && vocab->bos_id == WEIR_TOKEN_NONE);
    weir_manifest_close(&manifest);
    begin_vocab("gpt2", 2);
    put_text_key(KEY("pre"), "tekken");
    put_false(KEY("add_bos_token"));
    vocab = vocab_of(&manifest);
    assert_false(vocab->add_bos);
    weir_manifest_close(&manifest);
    begin_vocab("gemma4", 1); /* files say that it is not added, and it must be */
    put_false(KEY("add_bos_token"));
    vocab = vocab_of(&manifest);
    assert_true(vocab->add_bos && !vocab->add_space_prefix);
    weir_manifest_close(&manifest);
    begin_vocab("t5", 0);
    vocab = vocab_of(&manifest);
    assert_true(vocab->eos_id == 1 && vocab->unk_id == 2 && vocab->bos_id == WEIR_TOKEN_NONE);
    assert_true(vocab->add_eos && !vocab->add_bos && vocab->squeeze_spaces);
    assert_int_equal(vocab->charsmap.length, 0);
    weir_manifest_close(&manifest);
    begin_vocab("bert", 3);
    put_u32_key(KEY("cls_token_id"), 1);
    put_u32_key(KEY("seperator_token_id"), 2);
    put_false(KEY("normalizer.lowercase"));
    vocab = vocab_of(&manifest);
    assert_true(vocab->bos_id == 1 && vocab->eos_id == 2 && vocab->add_bos && vocab->add_eos);
    assert_true(vocab->strip_accents && !vocab->lowercase);
    weir_manifest_close(&manifest);
    begin(3, 0, 2); /* one token: the usual BOS and EOS are not there */
    put_text_key(KEY("model"), "llama");
    put_array_key(KEY("tokens"), GGUF_STRING, 1);
    put_text("a");
    vocab = vocab_of(&manifest);
    assert_true(vocab->bos_id == WEIR_TOKEN_NONE && vocab->eos_id == WEIR_TOKEN_NONE);
    assert_int_equal(vocab->unk_id, 0);
    weir_manifest_close(&manifest);
}

static void special_tokens_of_phi3_take_the_space_behind_them(void **state)
{
    (void)state;
    static const char *const families[] = {"phi3", "llama"};
    static const char *const tokens[] = {"<|end|>", "a", "<s>"};
    static const uint32_t types[] = {WEIR_TOKEN_CONTROL, WEIR_TOKEN_NORMAL, WEIR_TOKEN_CONTROL};
    for (size_t row = 0; row < WEIR_COUNT(families); row++) {
        weir_manifest *manifest = NULL;
        begin(3, 0, 4);
        put_text_key("general.architecture", families[row]);
        put_text_key(KEY("model"), "llama");
        put_array_key(KEY("tokens"), GGUF_STRING, 3);
        for (size_t id = 0; id < 3; id++)
            put_text(tokens[id]);
        put_array_key(KEY("token_type"), GGUF_U32, 3);
        for (size_t id = 0; id < 3; id++)
            put(types[id], 4);
        const struct weir_vocab *vocab = vocab_of(&manifest);
        assert_true((vocab->strips != NULL) == (row == 0));
        if (row == 0)
            assert_true(vocab->strips[0] == 1 && vocab->strips[1] == 0 && vocab->strips[2] == 0);
        weir_manifest_close(&manifest);
    }
}

static void a_map_of_characters_is_an_array_of_bytes(void **state)
{
    (void)state;
    static const uint32_t types[] = {GGUF_U8, GGUF_I8};
    for (size_t row = 0; row < WEIR_COUNT(types); row++) {
        weir_manifest *manifest = NULL;
        begin_vocab("t5", 1);
        put_array_key(KEY("precompiled_charsmap"), types[row], 3);
        put_bytes("\x01\xff", 3);
        const struct weir_vocab *vocab = vocab_of(&manifest);
        assert_int_equal(vocab->charsmap.length, 3);
        assert_memory_equal(vocab->charsmap.start, "\x01\xff", 3);
        weir_manifest_close(&manifest);
    }
    begin_vocab("t5", 1);
    put_text_key(KEY("precompiled_charsmap"), "abc");
    vocab_is_refused(WORDS(KEY("precompiled_charsmap"), "not an array of bytes"));
}

static void a_vocabulary_has_a_model_and_tokens(void **state)
{
    (void)state;
    begin(3, 0, 0);
    vocab_is_refused(WORDS(KEY("model") " is missing", "(memory)"));
    begin(3, 0, 1);
    put_u32_key(KEY("model"), 1);
    vocab_is_refused(WORDS(KEY("model") " is missing"));
    begin(3, 0, 1);
    put_text_key(KEY("model"), "gpt2");
    vocab_is_refused(WORDS(KEY("tokens") " is missing"));
    static const uint32_t types[] = {GGUF_STRING, GGUF_U8};
    static const char *const found[] = {"0 tokens", "not an array of strings"};
    for (size_t row = 0; row < WEIR_COUNT(types); row++) {
        begin(3, 0, 2);
        put_text_key(KEY("model"), "gpt2");
        put_array_key(KEY("tokens"), types[row], 0);
        vocab_is_refused(WORDS(KEY("tokens"), found[row]));
    }
    begin(3, 0, 2);
    put_text_key(KEY("model"), "gpt2");
    put_text_key(KEY("tokens"), "a");
    vocab_is_refused(WORDS(KEY("tokens"), "not an array of strings"));
}

static void make_token(size_t length)
{
    begin(3, 0, 2);
    put_text_key(KEY("model"), "gpt2");
    put_array_key(KEY("tokens"), GGUF_STRING, 2);
    put_text("a");
    put(length, 8);
    put_fill('t', length);
}

static void tokens_and_merges_have_a_longest_length(void **state)
{
    (void)state;
    make_token(TOKEN_BYTES_MAX);
    vocab_is_accepted();
    make_token(TOKEN_BYTES_MAX + 1);
    vocab_is_refused(WORDS(KEY("tokens"), "string 1", "at most 4092 bytes", "found 4093"));
    for (size_t past = 0; past < 2; past++) {
        begin_vocab("gpt2", 1);
        put_array_key(KEY("merges"), GGUF_STRING, 2);
        put_text("a b");
        put(MERGE_BYTES_MAX + past, 8);
        put_fill('m', MERGE_BYTES_MAX + past);
        if (past == 0)
            vocab_is_accepted();
        else
            vocab_is_refused(WORDS(KEY("merges"), "string 1", "at most 8193", "found 8194"));
    }
    begin_vocab("gpt2", 1);
    put_array_key(KEY("merges"), GGUF_U8, 1);
    put(1, 1);
    vocab_is_refused(WORDS(KEY("merges"), "not an array of strings"));
}

static void every_token_has_one_type_and_one_score(void **state)
{
    (void)state;
    static const char *const names[] = {KEY("token_type"), KEY("scores")};
    for (size_t row = 0; row < WEIR_COUNT(names); row++) {
        for (uint64_t count = 2; count <= 4; count++) {
            begin_vocab("llama", 1);
            put_array_key(names[row], GGUF_U8, count);
            put_fill(1, (size_t)count);
            if (count == 3)
                vocab_is_accepted();
            else
                vocab_is_refused(
                    WORDS(names[row], "wanted 3 entries", count == 2 ? "found 2" : "found 4"));
        }
        begin_vocab("llama", 1);
        put_array_key(names[row], GGUF_STRING, 3);
        put_fill(0, 24);
        vocab_is_refused(WORDS(names[row], "not an array of numbers"));
        begin_vocab("llama", 1);
        put_text_key(names[row], "1");
        vocab_is_refused(WORDS(names[row], "not an array of numbers"));
    }
}

static void types_and_scores_are_in_range(void **state)
{
    (void)state;
    static const uint8_t types[] = {0, 6, 7, 0xff};
    static const char *const found[] = {NULL, NULL, "found 7", "found -1"};
    for (size_t row = 0; row < WEIR_COUNT(types); row++) {
        begin_vocab("gpt2", 1);
        put_array_key(KEY("token_type"), GGUF_I8, 3);
        put(0x0101, 2);
        put(types[row], 1);
        if (found[row] == NULL)
            vocab_is_accepted();
        else
            vocab_is_refused(WORDS(KEY("token_type"), "token 2", "wanted 0 to 6", found[row]));
    }
    weir_manifest *manifest = NULL;
    begin_vocab("llama", 1);
    put_array_key(KEY("scores"), GGUF_F32, 3);
    put(0x3f000000, 4);
    put(0xff800000, 4);
    put(0, 4);
    const struct weir_vocab *vocab = vocab_of(&manifest);
    assert_true(vocab->scores[0] == 0.5f && vocab->scores[1] < -3e38f);
    weir_manifest_close(&manifest);
    image.bytes[image.length - 1] = 0x7f;
    image.bytes[image.length - 2] = 0xc0;
    vocab_is_refused(WORDS(KEY("scores"), "token 2", "wanted a number", "nan"));
}

static void special_tokens_are_tokens(void **state)
{
    (void)state;
    static const char *const names[] = {KEY("bos_token_id"), KEY("eos_token_id"),
                                        KEY("unknown_token_id")};
    for (size_t row = 0; row < WEIR_COUNT(names); row++) {
        begin_vocab("gpt2", 1);
        put_u32_key(names[row], 2);
        vocab_is_accepted();
        begin_vocab("gpt2", 1);
        put_text_key(names[row], "2");
        vocab_is_refused(WORDS(names[row], "wanted a token's number"));
    }
}

static void special_tokens_out_of_range_are_ignored_with_a_word(void **state)
{
    (void)state;
    static const struct {
        enum gguf_type type;
        uint32_t bits;
        const char *number;
    } cases[] = {{GGUF_U32, 3, "token 3 of a vocabulary of 3"},
                 {GGUF_U32, UINT32_MAX, "token 4294967295"},
                 {GGUF_I32, UINT32_MAX, "token -1"},
                 {GGUF_F32, 0x3f000000, "token 0.5"}};
    static const char *const names[] = {KEY("bos_token_id"), KEY("eos_token_id"),
                                        KEY("unknown_token_id")};
    for (size_t row = 0; row < WEIR_COUNT(names); row++)
        for (size_t at = 0; at < WEIR_COUNT(cases); at++) {
            weir_manifest *manifest = NULL;
            begin_vocab("gpt2", 1);
            put_key(names[row], cases[at].type);
            put(cases[at].bits, 4);
            const struct weir_vocab *vocab = vocab_of(&manifest);
            assert_true(vocab->bos_id == WEIR_TOKEN_NONE && vocab->eos_id == WEIR_TOKEN_NONE &&
                        vocab->unk_id == WEIR_TOKEN_NONE);
            const struct weir_warnings *warnings = weir_manifest_warnings(manifest);
            assert_int_equal(warnings->count, 1);
            assert_non_null(strstr(warnings->text[0], names[row]));
            assert_non_null(strstr(warnings->text[0], cases[at].number));
            weir_manifest_close(&manifest);
        }
}

static void ends_are_gathered_from_every_key_that_names_one(void **state)
{
    (void)state;
    weir_manifest *manifest = NULL;
    begin_vocab("gpt2", 4);
    put_u32_key(KEY("eot_token_id"), 1);
    put_u32_key(KEY("eom_token_id"), 2);
    put_array_key(KEY("eos_token_ids"), GGUF_I32, 3);
    put(0, 4);
    put(UINT32_MAX, 4);
    put(2, 4);
    put_u32_key(KEY("padding_token_id"), 9);
    const struct weir_vocab *vocab = vocab_of(&manifest);
    assert_int_equal(vocab->eos_id, 0);
    assert_int_equal(vocab->n_end, 4);
    assert_memory_equal(vocab->end_ids, ((uint32_t[]){0, 2, 1, 2}), 4 * sizeof(uint32_t));
    const struct weir_warnings *warnings = weir_manifest_warnings(manifest);
    assert_int_equal(warnings->count, 2);
    assert_non_null(strstr(warnings->text[0], KEY("eos_token_ids") ": token -1"));
    assert_non_null(strstr(warnings->text[1], KEY("padding_token_id") ": token 9"));
    weir_manifest_close(&manifest);
    begin_vocab("gpt2", 1);
    put_text_key(KEY("eot_token_id"), "1");
    vocab_is_refused(WORDS(KEY("eot_token_id"), "wanted a token's number"));
}

static void a_file_may_say_that_it_has_no_vocabulary(void **state)
{
    (void)state;
    static const char *const models[] = {"none", "no_vocab"};
    for (size_t row = 0; row < WEIR_COUNT(models); row++) {
        begin(3, 0, 1);
        put_text_key(KEY("model"), models[row]);
        vocab_is_refused(WORDS(KEY("model"), models[row], "has no vocabulary"));
    }
}

static void flags_are_bools(void **state)
{
    (void)state;
    static const char *const names[] = {KEY("add_bos_token"), KEY("add_eos_token"),
                                        KEY("add_space_prefix")};
    for (size_t row = 0; row < WEIR_COUNT(names); row++) {
        weir_manifest *manifest = NULL;
        begin_vocab("gpt2", 1);
        put_key(names[row], GGUF_BOOL);
        put(1, 1);
        const struct weir_vocab *vocab = vocab_of(&manifest);
        assert_int_equal(vocab->add_bos, row == 0);
        assert_int_equal(vocab->add_eos, row == 1);
        assert_int_equal(vocab->add_space_prefix, row == 2);
        weir_manifest_close(&manifest);
        begin_vocab("gpt2", 1);
        put_u32_key(names[row], 1);
        vocab_is_refused(WORDS(names[row], "wanted a bool"));
    }
}

static void failed_allocations_leave_no_vocabulary(void **state)
{
    (void)state;
    begin_vocab("llama", 3);
    put_array_key(KEY("token_type"), GGUF_U8, 3);
    put_fill(1, 3);
    put_array_key(KEY("scores"), GGUF_F32, 3);
    put_fill(0, 12);
    put_array_key(KEY("merges"), GGUF_STRING, 1);
    put_text("a b");
    const uint64_t empty_bytes = weir_heap_bytes();
    weir_manifest *manifest = accepted();
    const struct weir_vocab *vocab = NULL;
    const uint64_t heap_bytes = weir_heap_bytes();
    for (uint64_t call = 1; call <= 5; call++) {
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        assert_int_equal(weir_manifest_vocab(manifest, &vocab, &err), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        says(&err, WEIR_ERR_NOMEM, WORDS("no memory"));
        assert_null(vocab);
        assert_int_equal(weir_heap_bytes(), heap_bytes);
    }
    weir_heap_fail_at(6);
    assert_int_equal(weir_manifest_vocab(manifest, &vocab, NULL), WEIR_OK);
    weir_heap_fail_at(0);
    weir_manifest_close(&manifest);
    assert_int_equal(weir_heap_bytes(), empty_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vocabulary_is_read_once),
        cmocka_unit_test(what_a_file_does_not_say_follows_from_its_model),
        cmocka_unit_test(special_tokens_of_phi3_take_the_space_behind_them),
        cmocka_unit_test(a_map_of_characters_is_an_array_of_bytes),
        cmocka_unit_test(a_vocabulary_has_a_model_and_tokens),
        cmocka_unit_test(tokens_and_merges_have_a_longest_length),
        cmocka_unit_test(every_token_has_one_type_and_one_score),
        cmocka_unit_test(types_and_scores_are_in_range),
        cmocka_unit_test(special_tokens_are_tokens),
        cmocka_unit_test(special_tokens_out_of_range_are_ignored_with_a_word),
        cmocka_unit_test(ends_are_gathered_from_every_key_that_names_one),
        cmocka_unit_test(a_file_may_say_that_it_has_no_vocabulary),
        cmocka_unit_test(flags_are_bools),
        cmocka_unit_test(failed_allocations_leave_no_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
