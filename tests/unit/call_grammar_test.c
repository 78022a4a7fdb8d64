/* call_grammar_test.c - replies that are held to calls: what the grammars allow is what is read. */
#include "chat/reply_parts.h"
#include "engine/engine_internal.h"
#include "grammar/grammar.h"
#include "pace.h"
#include "text_toy.h"

static const char tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"wx\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"city\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},"
    "\"unit\":{\"enum\":[\"C\",\"F<\"]},\"at\":{\"$ref\":\"#/$defs/place\"}},"
    "\"required\":[\"city\"],\"$defs\":{\"place\":{\"type\":\"object\",\"properties\":"
    "{\"x\":{\"type\":\"boolean\"}},\"required\":[\"x\"]}}}}},"
    "{\"name\":\"now\",\"parameters\":{\"type\":\"object\",\"properties\":{\"z\":{\"type\":"
    "\"boolean\"},"
    "\"y\":{\"type\":\"number\"}}}},{\"name\":\"any\"}]";

static struct weir_program *compile(const struct weir_reply_rules *rules, enum weir_status wanted,
                                    struct weir_err *err)
{
    struct weir_program *program = NULL;
    const enum weir_status status = weir_reply_program(&program, NULL, rules, err);
    if (status != wanted)
        print_error("%s\n", err->text);
    assert_int_equal(status, wanted);
    return program;
}

static bool allows(const struct weir_reply_rules *rules, const char *words)
{
    struct weir_err err = {0};
    weir_matcher *matcher = NULL;
    struct weir_program *program = compile(rules, WEIR_OK, &err);
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    const bool is_allowed = weir_matcher_push(matcher, words, strlen(words), NULL) == WEIR_OK &&
                            weir_matcher_may_end(matcher);
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
    return is_allowed;
}

static struct weir_reply_rules rules_of(const char *format)
{
    return (struct weir_reply_rules){
        .format = format, .tools = tools, .tools_length = strlen(tools)};
}

static void each_format_has_its_own(void **state)
{
    (void)state;
    struct weir_reply_rules rules = rules_of("hermes");
    assert_true(allows(&rules, "<tool_call>\n{\"name\": \"wx\", \"arguments\": {\"city\":\"Bern\","
                               "\"at\":{\"x\":true}}}\n</tool_call>"));
    assert_true(allows(&rules,
                       "<tool_call>\n{\"name\": \"any\", \"arguments\": {}}\n</tool_call>\n"
                       "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
    assert_false(
        allows(&rules, "<tool_call>\n{\"name\": \"wx\", \"arguments\": {}}\n</tool_call>"));
    assert_false(
        allows(&rules, "<tool_call>\n{\"name\": \"zz\", \"arguments\": {}}\n</tool_call>"));
    assert_false(allows(&rules, "Hello"));
    rules = rules_of("qwen3-coder");
    assert_true(allows(&rules,
                       "<tool_call>\n<function=wx>\n<parameter=city>\na<b</x\n</parameter>\n"
                       "<parameter=unit>\nF<\n</parameter>\n</function>\n</tool_call>"));
    assert_false(allows(&rules, "<tool_call>\n<function=wx>\n<parameter=city>\na\n</parameter>\n"
                                "<parameter=unit>\nK\n</parameter>\n</function>\n</tool_call>"));
    assert_false(allows(&rules, "<tool_call>\n<function=wx>\n<parameter=n>\n3\n</parameter>\n"
                                "</function>\n</tool_call>"));
    rules = rules_of("gemma4");
    assert_true(allows(&rules, "<|tool_call>call:wx{city:<|\"|>B<|\"|>,n:3}<tool_call|>"));
    rules = rules_of("lfm2");
    assert_true(allows(&rules, "<|tool_call_start|>[now(y=1.5), any()]<|tool_call_end|>"));
    rules = rules_of("gpt-oss");
    assert_true(allows(&rules,
                       "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>"
                       "commentary to=functions.now <|constrain|>json<|message|>{}<|call|>"));
}

static void one_tool_and_one_call(void **state)
{
    static const char two[] = "[TOOL_CALLS]any[ARGS]{}[TOOL_CALLS]any[ARGS]{}";
    struct weir_err err = {0};
    (void)state;
    struct weir_reply_rules rules = rules_of("mistral");
    assert_true(allows(&rules, two));
    rules.one_call = true;
    assert_false(allows(&rules, two));
    assert_true(allows(&rules, "[TOOL_CALLS]now[ARGS]{}"));
    rules.tool = "any";
    assert_true(allows(&rules, "[TOOL_CALLS]any[ARGS]{\"q\":[1]}"));
    assert_false(allows(&rules, "[TOOL_CALLS]now[ARGS]{}"));
    rules.tool = "zz";
    compile(&rules, WEIR_ERR_ARG, &err);
}

static void answers_by_a_schema(void **state)
{
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}}}";
    struct weir_err err = {0};
    (void)state;
    struct weir_reply_rules rules = {
        .format = "hermes", .schema = schema, .schema_length = strlen(schema)};
    assert_true(allows(&rules, "{\"a\":1}"));
    assert_false(allows(&rules, "{\"a\":2}"));
    rules.tools = tools;
    rules.tools_length = strlen(tools);
    assert_true(allows(&rules, "{\"a\":1}"));
    assert_true(
        allows(&rules, "<tool_call>\n{\"name\": \"any\", \"arguments\": {}}\n</tool_call>"));
    rules = (struct weir_reply_rules){
        .format = "gpt-oss", .schema = schema, .schema_length = strlen(schema)};
    assert_true(allows(&rules, "<|channel|>final<|message|>{\"a\":1}"));
    rules = (struct weir_reply_rules){0};
    compile(&rules, WEIR_ERR_ARG, &err);
    rules = (struct weir_reply_rules){.tools = tools, .tools_length = strlen(tools)};
    compile(&rules, WEIR_ERR_UNSUPPORTED, &err);
}

static void reasoning_may_come_first(void **state)
{
    static const char source[] = "<tool_call> <think>";
    const struct weir_chat_config config = {.source = source, .source_length = strlen(source)};
    struct weir_reply_rules rules = {.tools = tools, .tools_length = strlen(tools)};
    weir_chat *chat = NULL;
    (void)state;
    assert_int_equal(weir_chat_open(&chat, &config, NULL), WEIR_OK);
    rules.chat = chat;
    assert_true(allows(&rules, "<think>\na < b <<x</th\n</think>\n\n<tool_call>\n{\"name\": "
                               "\"any\", \"arguments\": {}}\n</tool_call>"));
    assert_true(
        allows(&rules, "<tool_call>\n{\"name\": \"any\", \"arguments\": {}}\n</tool_call>"));
    assert_false(allows(&rules, "<think>a</think>b"));
    weir_chat_close(&chat);
}

static void what_is_not_built_is_named(void **state)
{
    static const char wrong[] =
        "[{\"name\":\"a\",\"parameters\":{\"type\":\"object\",\"properties\":"
        "{\"b\":{\"type\":\"string\",\"pattern\":\"x\"}}}}]";
    static const char worse[] =
        "[{\"name\":\"a\",\"parameters\":{\"type\":\"object\",\"properties\":"
        "{\"b\":{\"not\":{}}}}}]";
    struct weir_err err = {0};
    (void)state;
    struct weir_reply_rules rules = {
        .format = "seed-oss", .tools = wrong, .tools_length = strlen(wrong)};
    compile(&rules, WEIR_ERR_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "pattern"));
    err = (struct weir_err){0};
    rules = (struct weir_reply_rules){
        .format = "hermes", .tools = worse, .tools_length = strlen(worse)};
    compile(&rules, WEIR_ERR_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "tools: line 1"));
}

/* ---- what a grammar allows is read --------------------------------------------------------- */

struct counts {
    uint32_t calls, ends, others;
    struct weir_chat_buffer arguments;
};

static void count(void *user, const struct weir_reply_event *event)
{
    struct counts *counts = user;
    struct weir_json root = {0};
    switch (event->kind) {
    case WEIR_REPLY_CALL:
        counts->calls++;
        counts->arguments.length = 0;
        break;
    case WEIR_REPLY_ARGUMENTS:
        weir_chat_put(&counts->arguments, event->bytes, event->length);
        break;
    case WEIR_REPLY_CALL_END:
        counts->ends++;
        assert_int_equal(weir_json_parse(&root, counts->arguments.bytes, counts->arguments.length,
                                         "arguments", NULL),
                         WEIR_OK);
        assert_int_equal(weir_json_kind(root), WEIR_JSON_OBJECT);
        break;
    case WEIR_REPLY_REASONING:
        break;
    default:
        counts->others++;
    }
}

/* A random text of the grammar; 0: it has not come to its end. */
static size_t write_random(const struct weir_program *program, uint64_t *seed, char *words,
                           size_t capacity)
{
    static const char likely[] = "\"}])</>|\n]";
    weir_matcher *matcher = NULL;
    size_t length = 0;
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    while (length < capacity && weir_matcher_may_go_on(matcher)) {
        const bool is_late = length > capacity / 8;
        if (weir_matcher_may_end(matcher) && (is_late || weir_random_next(seed) % 4 == 0))
            break;
        const uint64_t start = weir_random_next(seed);
        bool is_taken = false;
        for (size_t tried = 0; is_late && tried < sizeof(likely) - 1 && !is_taken; tried++) {
            words[length] = likely[(start + tried) % (sizeof(likely) - 1)];
            is_taken = weir_random_next(seed) % 2 == 0 &&
                       weir_matcher_push(matcher, words + length, 1, NULL) == WEIR_OK;
        }
        for (size_t tried = 0; tried < 256 && !is_taken; tried++) {
            const uint64_t near = start % 2 == 0 ? start + tried : start - tried;
            words[length] = (char)(tried < 128 ? near % 128 : tried);
            is_taken = weir_matcher_push(matcher, words + length, 1, NULL) == WEIR_OK;
        }
        assert_true(is_taken);
        length++;
    }
    const bool is_whole = weir_matcher_may_end(matcher);
    weir_matcher_destroy(&matcher);
    return is_whole ? length : 0;
}

static void what_is_allowed_is_read(void **state)
{
    static char words[4096];
    enum { ROUNDS = 20 };
    const uint32_t wanted = IS_SANITIZED && !pace_is_long() ? 2 : ROUNDS;
    const char *name = NULL;
    uint64_t seed = 5;
    (void)state;
    for (uint32_t row = 0; (name = weir_call_format_name(row)) != NULL; row++) {
        struct weir_err err = {0};
        const struct weir_reply_rules rules = rules_of(name);
        struct weir_program *program = compile(&rules, WEIR_OK, &err);
        uint32_t whole = 0;
        for (uint64_t round = 0; round < ROUNDS && whole < wanted; round++) {
            const size_t length = write_random(program, &seed, words, sizeof(words));
            const struct weir_reply_config config = {
                .format = name, .tools = tools, .tools_length = strlen(tools)};
            struct counts counts = {0};
            weir_reply *reply = NULL;
            if (length == 0)
                continue;
            whole++;
            assert_int_equal(weir_reply_create_by(&reply, NULL, &config, NULL), WEIR_OK);
            weir_reply_push_text(reply, words, length, count, &counts);
            weir_reply_end(reply, count, &counts);
            if (counts.calls == 0 || counts.calls != counts.ends || counts.others > 0)
                print_error("%s: %.*s\n", name, (int)length, words);
            assert_true(counts.calls > 0);
            assert_int_equal(counts.calls, counts.ends);
            assert_int_equal(counts.others, 0);
            weir_reply_destroy(&reply);
            weir_heap_free(counts.arguments.bytes);
        }
        if (whole == 0)
            print_error("%s: no text came to its end\n", name);
        assert_true(whole > 0);
        weir_program_destroy(&program);
    }
}

/* Marks that are control tokens come as these, and in no argument. */
static void control_tokens_stand_where_the_format_has_them(void **state)
{
    static const char one[] = "[{\"name\":\"wx\",\"parameters\":{\"type\":\"object\","
                              "\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":3}}}}]";
    static struct toy toy;
    static float logits[TOY_TOKEN_MAX];
    const struct weir_reply_rules rules = {
        .format = "mistral", .tools = one, .tools_length = strlen(one), .one_call = true};
    const struct weir_reply_config config = {
        .format = "mistral", .tools = one, .tools_length = strlen(one)};
    uint64_t seed = 9;
    weir_grammar *grammar = NULL;
    (void)state;
    toy_init(&toy, "gpt2", "gpt-2");
    toy_add_letters(&toy);
    const uint32_t calls = toy_add(&toy, "[TOOL_CALLS]", WEIR_TOKEN_CONTROL, 0);
    const uint32_t arguments = toy_add(&toy, "[ARGS]", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "</s>", WEIR_TOKEN_CONTROL, 0);
    weir_text *text = toy_open(&toy);
    struct weir_tokenizer tokenizer = {.text = text, .vocab = &toy.vocab};
    assert_int_equal(weir_grammar_of_reply(&grammar, &tokenizer, &rules, NULL), WEIR_OK);
    for (int round = 0; round < 20; round++) {
        weir_sampler *sampler = NULL;
        weir_reply *reply = NULL;
        uint32_t place = 0, id = 0;
        const struct weir_sampler_config sampling = {
            .temperature = 1.0f, .grammar = grammar, .seed = (uint64_t)round};
        assert_int_equal(weir_sampler_create(&sampler, &sampling, toy.vocab.n_vocab, NULL),
                         WEIR_OK);
        assert_int_equal(weir_reply_create(&reply, &tokenizer, &config, NULL), WEIR_OK);
        for (; place < 100; place++) {
            for (uint32_t other = 0; other < toy.vocab.n_vocab; other++)
                logits[other] = (float)weir_random_unit(&seed);
            id = weir_sampler_pick(sampler, logits);
            if (id == WEIR_ID_NONE || weir_text_is_end(text, id))
                break;
            assert_int_equal(id == calls, place == 0);
            assert_int_equal(id == arguments, place == 3);
            weir_reply_push(reply, id, NULL, NULL);
        }
        assert_true(place >= 6 && place < 100);
        weir_reply_end(reply, NULL, NULL);
        assert_int_equal(weir_reply_call_count(reply), 1);
        weir_reply_destroy(&reply);
        weir_sampler_destroy(&sampler);
    }
    weir_grammar_destroy(&grammar);
    weir_text_destroy(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_has_its_own),
        cmocka_unit_test(one_tool_and_one_call),
        cmocka_unit_test(answers_by_a_schema),
        cmocka_unit_test(reasoning_may_come_first),
        cmocka_unit_test(what_is_not_built_is_named),
        cmocka_unit_test(what_is_allowed_is_read),
        cmocka_unit_test(control_tokens_stand_where_the_format_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
