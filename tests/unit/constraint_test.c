/* constraint_test.c - a sampler held to a grammar over the demo model's vocabulary. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "grammar/grammar.h"
#include "pace.h"
#include "weir.h"

static const char json[] =
    "root ::= object\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" (string \":\" value (\",\" string \":\" value){0,2})? \"}\"\n"
    "array ::= \"[\" (value (\",\" value){0,2})? \"]\"\n"
    "string ::= \"\\\"\" [^\"\\\\\\x00-\\x1f]{0,30} \"\\\"\"\n"
    "number ::= \"-\"? [0-9]{1,5} (\".\" [0-9]{1,3})?\n";

enum { TEXTS = IS_SANITIZED ? 15 : 60, TOKENS_MAX = 400, TEXT_MAX = 1 << 16 };

static weir_tokenizer *tokenizer;
static uint32_t n_vocab;
static float *logits;

static int open_tokenizer(void **state)
{
    (void)state;
    if (weir_tokenizer_open(&tokenizer, "models/demo/weir-demo.gguf", NULL) != WEIR_OK)
        return 1;
    n_vocab = weir_tokenizer_vocab_count(tokenizer);
    logits = weir_heap_array(n_vocab, sizeof(*logits));
    return logits == NULL;
}

static int close_tokenizer(void **state)
{
    (void)state;
    weir_heap_free(logits);
    weir_tokenizer_close(&tokenizer);
    return 0;
}

static void shuffle_logits(uint64_t *random_state)
{
    for (uint32_t id = 0; id < n_vocab; id++)
        logits[id] = (float)(weir_random_unit(random_state) * 10.0);
}

static weir_grammar *make_grammar(const char *text)
{
    struct weir_err err = {0};
    weir_grammar *grammar = NULL;
    if (weir_grammar_create(&grammar, tokenizer, text, strlen(text), "g", &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return grammar;
}

static weir_sampler *make_sampler(const weir_grammar *grammar, uint64_t seed)
{
    const struct weir_sampler_config config = {
        .temperature = 1.0f, .top_k = 200, .grammar = grammar, .seed = seed};
    weir_sampler *sampler = NULL;
    assert_int_equal(weir_sampler_create(&sampler, &config, n_vocab, NULL), WEIR_OK);
    return sampler;
}

/* Random tokens, far from what a model would choose: each text is one of the grammar up to where it
 * is cut, and ends only where the grammar does; picking allocates nothing. */
static void all_that_is_picked_is_of_the_grammar(void **state)
{
    static char text[TEXT_MAX];
    char piece[WEIR_TOKEN_BYTES_MAX];
    weir_grammar *grammar = make_grammar(json);
    struct weir_program *program = NULL;
    weir_matcher *judge = NULL;
    uint64_t random_state = 1;
    int ended = 0;
    (void)state;
    assert_int_equal(weir_gbnf_compile(&program, json, strlen(json), "g", NULL), WEIR_OK);
    assert_int_equal(weir_matcher_create(&judge, program, NULL, NULL), WEIR_OK);
    for (uint64_t seed = 0; seed < TEXTS; seed++) {
        weir_sampler *sampler = make_sampler(grammar, seed);
        const uint64_t calls = weir_heap_calls();
        size_t length = 0;
        bool has_ended = false;
        for (int turn = 0; turn < TOKENS_MAX && !has_ended && length < TEXT_MAX / 2; turn++) {
            shuffle_logits(&random_state);
            const uint32_t id = weir_sampler_pick(sampler, logits);
            assert_true(id < n_vocab);
            has_ended = weir_tokenizer_is_end(tokenizer, id);
            if (!has_ended) {
                const size_t more = weir_tokenizer_piece(tokenizer, id, piece);
                memcpy(text + length, piece, more);
                length += more;
            }
        }
        assert_int_equal(weir_heap_calls(), calls);
        weir_matcher_reset(judge);
        assert_int_equal(weir_matcher_push(judge, text, length, NULL), WEIR_OK);
        assert_true(!has_ended || weir_matcher_may_end(judge));
        if (has_ended) {
            assert_int_equal(weir_sampler_pick(sampler, logits), WEIR_ID_NONE);
            assert_null(weir_sampler_why(sampler));
        }
        ended += has_ended;
        weir_sampler_destroy(&sampler);
    }
    assert_true(ended > TEXTS / 4);
    weir_matcher_destroy(&judge);
    weir_program_destroy(&program);
    weir_grammar_destroy(&grammar);
}

/* Random tokens again, with as many picks as the shortest text has bytes, and more: each text comes
 * to an end in time, though it would go on for hundreds. With fewer picks than that it goes the
 * shortest way as far as it comes. */
static void a_text_ends_in_time(void **state)
{
    static const char shortest[] = "[[[[\"a\",\"b\"],0,true]]]";
    static const char nested[] =
        "root ::= \"[[[[\" s \",\" s (\",\" s)* \"],\" [0-9]+ \",true]]]\"\n"
        "s ::= \"\\\"\" [a-z ]{1,} \"\\\"\"\n";
    weir_grammar *grammar = make_grammar(nested);
    struct weir_sampler_config config = {.temperature = 1.0f, .grammar = grammar};
    uint64_t random_state = 5;
    char piece[WEIR_TOKEN_BYTES_MAX];
    (void)state;
    for (uint32_t picks = 1; picks < 90; picks++) {
        weir_sampler *sampler = NULL;
        config.whole_within = picks;
        config.seed = picks;
        assert_int_equal(weir_sampler_create(&sampler, &config, n_vocab, NULL), WEIR_OK);
        assert_int_equal(weir_sampler_bytes_left(sampler), strlen(shortest));
        bool has_ended = false;
        for (uint32_t pick = 0; pick < picks && !has_ended; pick++) {
            const uint32_t before = weir_sampler_bytes_left(sampler);
            shuffle_logits(&random_state);
            const uint32_t id = weir_sampler_pick(sampler, logits);
            assert_true(id < n_vocab);
            has_ended = weir_tokenizer_is_end(tokenizer, id);
            if (!has_ended && picks < strlen(shortest) / 2)
                assert_int_equal(weir_sampler_bytes_left(sampler),
                                 before - weir_tokenizer_piece(tokenizer, id, piece));
        }
        if (picks >= strlen(shortest))
            assert_int_equal(weir_sampler_bytes_left(sampler), 0);
        weir_sampler_destroy(&sampler);
    }
    weir_grammar_destroy(&grammar);
}

static void a_prompt_is_no_part_of_the_text(void **state)
{
    weir_grammar *grammar = make_grammar("root ::= \"a\"");
    weir_sampler *sampler = make_sampler(grammar, 1);
    uint64_t random_state = 2;
    char piece[WEIR_TOKEN_BYTES_MAX];
    (void)state;
    shuffle_logits(&random_state);
    weir_sampler_accept(sampler, 300);
    const uint32_t id = weir_sampler_pick(sampler, logits);
    assert_int_equal(weir_tokenizer_piece(tokenizer, id, piece), 1);
    assert_int_equal(piece[0], 'a');
    assert_true(weir_tokenizer_is_end(tokenizer, weir_sampler_pick(sampler, logits)));
    weir_sampler_destroy(&sampler);
    weir_grammar_destroy(&grammar);
}

/* An id that the caller chooses: only where the grammar has it, and then as if it was picked. */
static void an_id_can_be_forced(void **state)
{
    weir_grammar *grammar = make_grammar("root ::= [a-y]{3} \"\\x01\"");
    weir_sampler *sampler = make_sampler(grammar, 1);
    uint64_t random_state = 4;
    char piece[WEIR_TOKEN_BYTES_MAX];
    uint32_t *ids = NULL;
    size_t count = 0, length = 0;
    (void)state;
    assert_int_equal(weir_tokenizer_encode(tokenizer, "\x01", 1, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(count, 1);
    while (!weir_sampler_force(sampler, ids[0])) {
        shuffle_logits(&random_state);
        const uint32_t id = weir_sampler_pick(sampler, logits);
        assert_true(id < n_vocab);
        length += weir_tokenizer_piece(tokenizer, id, piece);
        assert_true(length <= 3);
    }
    assert_int_equal(length, 3);
    assert_int_equal(weir_sampler_bytes_left(sampler), 0);
    assert_false(weir_sampler_force(sampler, n_vocab));
    assert_false(weir_sampler_force(NULL, 0));
    weir_sampler_destroy(&sampler);
    sampler = make_sampler(NULL, 1);
    assert_true(weir_sampler_force(sampler, ids[0]));
    weir_sampler_destroy(&sampler);
    weir_ids_free(&ids);
    weir_grammar_destroy(&grammar);
}

/* Ids that are refused change nothing, least of all how many picks are left to come to an end. */
static void an_id_that_is_refused_leaves_no_trace(void **state)
{
    enum { PICKS = 40 };
    weir_grammar *grammar = make_grammar("root ::= \"[\" [a-y ]{1,} \"]\"");
    const struct weir_sampler_config config = {
        .temperature = 1.0f, .grammar = grammar, .whole_within = PICKS, .seed = 3};
    weir_sampler *plain = NULL, *refused = NULL;
    uint64_t random_state = 6;
    uint32_t *ids = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(weir_tokenizer_encode(tokenizer, "\x01", 1, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(weir_sampler_create(&plain, &config, n_vocab, NULL), WEIR_OK);
    assert_int_equal(weir_sampler_create(&refused, &config, n_vocab, NULL), WEIR_OK);
    for (int pick = 0; pick < PICKS; pick++) {
        shuffle_logits(&random_state);
        assert_false(weir_sampler_force(refused, ids[0]));
        assert_int_equal(weir_sampler_pick(refused, logits), weir_sampler_pick(plain, logits));
    }
    weir_sampler_destroy(&plain);
    weir_sampler_destroy(&refused);
    weir_ids_free(&ids);
    weir_grammar_destroy(&grammar);
}

static void where_nothing_is_left_it_is_said(void **state)
{
    weir_grammar *grammar = make_grammar("root ::= \"\\x01\" \"b\"");
    uint64_t random_state = 3;
    uint32_t *ids = NULL;
    size_t count = 0;
    (void)state;
    assert_int_equal(weir_tokenizer_encode(tokenizer, "\x01", 1, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(count, 1);
    const struct weir_logit_bias bias = {ids[0], -INFINITY};
    const struct weir_sampler_config config = {
        .grammar = grammar, .biases = &bias, .bias_count = 1};
    weir_sampler *sampler = NULL;
    assert_int_equal(weir_sampler_create(&sampler, &config, n_vocab, NULL), WEIR_OK);
    shuffle_logits(&random_state);
    assert_int_equal(weir_sampler_pick(sampler, logits), WEIR_ID_NONE);
    assert_non_null(strstr(weir_sampler_why(sampler), "a bias forbids it"));
    weir_sampler_destroy(&sampler);
    weir_ids_free(&ids);
    weir_grammar_destroy(&grammar);
}

/* What the tokens say is a call. */
static void replies_are_held_to_calls(void **state)
{
    static const char tools[] = "[{\"name\":\"wx\",\"parameters\":{\"type\":\"object\","
                                "\"properties\":{\"on\":{\"type\":\"boolean\"}}}}]";
    const struct weir_reply_config config = {
        .format = "hermes", .tools = tools, .tools_length = sizeof(tools) - 1};
    const struct weir_reply_rules rules = {
        .format = "hermes", .tools = tools, .tools_length = sizeof(tools) - 1, .one_call = true};
    uint64_t random_state = 4;
    weir_grammar *grammar = NULL;
    struct weir_err err = {0};
    (void)state;
    assert_int_equal(weir_grammar_of_reply(&grammar, NULL, &rules, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_grammar_of_reply(&grammar, tokenizer, &rules, &err), WEIR_OK);
    for (uint64_t seed = 0; seed < TEXTS / 3; seed++) {
        weir_sampler *sampler = make_sampler(grammar, seed);
        weir_reply *reply = NULL;
        assert_int_equal(weir_reply_create(&reply, tokenizer, &config, NULL), WEIR_OK);
        for (uint32_t turn = 0; turn < TOKENS_MAX; turn++) {
            shuffle_logits(&random_state);
            const uint32_t id = weir_sampler_pick(sampler, logits);
            if (id == WEIR_ID_NONE)
                break;
            weir_reply_push(reply, id, NULL, NULL);
        }
        weir_reply_end(reply, NULL, NULL);
        assert_int_equal(weir_reply_call_count(reply), 1);
        weir_reply_destroy(&reply);
        weir_sampler_destroy(&sampler);
    }
    weir_grammar_destroy(&grammar);
}

static void a_prompt_may_end_with_a_mark(void **state)
{
    static const struct {
        const char *prompt, *mark;
    } rows[] = {{"so <think>\n", "<think>"}, {"<think> so", NULL}, {"so [THINK]", "[THINK]"}};
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        uint32_t *ids = NULL;
        size_t count = 0;
        assert_int_equal(weir_tokenizer_encode(tokenizer, rows[row].prompt,
                                               strlen(rows[row].prompt), 0, &ids, &count, NULL),
                         WEIR_OK);
        const char *mark = weir_reply_mark_before(tokenizer, ids, count);
        assert_true((mark == NULL) == (rows[row].mark == NULL));
        assert_true(mark == NULL || strcmp(mark, rows[row].mark) == 0);
        weir_ids_free(&ids);
    }
    assert_null(weir_reply_mark_before(tokenizer, NULL, 0));
}

static void grammars_and_schemas_that_are_wrong_are_refused(void **state)
{
    weir_grammar *grammar = NULL;
    struct weir_err err = {0};
    const uint64_t bytes = weir_heap_bytes();
    (void)state;
    assert_int_equal(weir_grammar_create(&grammar, tokenizer, "root ::= x", 10, "g", &err),
                     WEIR_ERR_FORMAT);
    err = (struct weir_err){0};
    assert_int_equal(weir_grammar_from_schema(&grammar, tokenizer, "{\"not\":1}", 9, "s", &err),
                     WEIR_ERR_UNSUPPORTED);
    assert_null(grammar);
    assert_int_equal(weir_grammar_from_schema(&grammar, tokenizer, "true", 4, "s", &err), WEIR_OK);
    weir_grammar_destroy(&grammar);
    assert_true(weir_heap_bytes() == bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_picked_is_of_the_grammar),
        cmocka_unit_test(a_text_ends_in_time),
        cmocka_unit_test(a_prompt_is_no_part_of_the_text),
        cmocka_unit_test(an_id_can_be_forced),
        cmocka_unit_test(an_id_that_is_refused_leaves_no_trace),
        cmocka_unit_test(where_nothing_is_left_it_is_said),
        cmocka_unit_test(replies_are_held_to_calls),
        cmocka_unit_test(a_prompt_may_end_with_a_mark),
        cmocka_unit_test(grammars_and_schemas_that_are_wrong_are_refused),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
