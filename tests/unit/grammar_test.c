/* grammar_test.c - GBNF: what it allows, what it refuses and where, and the tokens it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "grammar/grammar.h"

#include "pace.h"

static struct weir_program *compile(const char *text)
{
    struct weir_program *program = NULL;
    struct weir_err err = {0};
    if (weir_gbnf_compile(&program, text, strlen(text), "g", &err) != WEIR_OK)
        fail_msg("%s: %s", text, err.text);
    return program;
}

/* Whether the whole of text is of the grammar. */
static bool matches(const char *grammar, const char *text)
{
    struct weir_program *program = compile(grammar);
    weir_matcher *matcher = NULL;
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    const bool is_whole = weir_matcher_push(matcher, text, strlen(text), NULL) == WEIR_OK &&
                          weir_matcher_may_end(matcher);
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
    return is_whole;
}

static void texts_of_a_grammar_are_allowed_and_others_are_not(void **state)
{
    static const char arithmetic[] = "# the example of many\n"
                                     "root ::= (expr \"=\" ws term \"\\n\")+\n"
                                     "expr ::= term ([-+*/] term)*\n"
                                     "term ::= ident | num | \"(\" ws expr \")\" ws\n"
                                     "ident ::= [a-z] [a-z0-9_]* ws\n"
                                     "num ::= [0-9]+ ws\n"
                                     "ws ::= [ \\t\\n]*\n";
    static const struct {
        const char *grammar, *yes, *no;
    } rows[] = {
        {"root ::= \"ab\"", "ab", "a"},
        {"root ::= \"ab\"", "ab", "abc"},
        {"root ::= \"a\" | \"b\" |\n \"c\"\n", "c", "d"},
        {"root ::= ( \"a\"\n | # or\n \"b\" ) \"c\"", "bc", "c"},
        {"root ::= [a-cx]", "x", "d"},
        {"root ::= [^a-cx]", "d", "x"},
        {"root ::= [^a]", "\xf0\x9f\x98\x80", "\xf0\x9f\x98"},
        {"root ::= [\\u00e4-\\u00fc]", "\xc3\xb6", "\xc3\xbf"},
        {"root ::= .", "\xef\xbf\xbf", "\xed\xa0\x80"}, /* a surrogate is no character */
        {"root ::= [-a]", "-", "b"},
        {"root ::= [a-]", "-", "b"},
        {"root ::= [\\]\\\\]", "]", "["},
        {"root ::= \"\\x41\\u0042\\U00000043\\\"\\\\\\n\"", "ABC\"\\\n", "ABC"},
        {"root ::= \"a\"*", "aaaa", "aab"},
        {"root ::= \"a\"+", "a", ""},
        {"root ::= \"a\"?", "", "aa"},
        {"root ::= \"a\"{3}", "aaa", "aa"},
        {"root ::= \"a\"{3}", "aaa", "aaaa"},
        {"root ::= \"a\"{2,}", "aaaa", "a"},
        {"root ::= \"a\"{2,4}", "aaaa", "aaaaa"},
        {"root ::= \"a\"{0,2}", "", "aaa"},
        {"root ::= (\"ab\" | \"c\"){2} \"d\"", "abcd", "abd"},
        {"root ::= x-1 y_2\nx-1 ::= \"x\"\ny_2 ::= \"y\"", "xy", "x"},
        {"root ::= \"(\" root \")\" | \"\"", "((()))", "((())"},
        {"root ::= \"a\" root \"b\" | \"c\"", "aacbb", "aacb"},
        {"root ::= \"a\" root | \"b\"", "aaaaaaab", "aaa"},
        {"root ::= (\"\" | \"a\")* \"b\"", "aaab", "aac"},
        {"root ::= e e* \"x\"\ne ::= \"y\"?", "yyx", "yy"},
        {"root ::= [a] [a]? [a]? \"a\"", "aaa", "a"},
        {arithmetic, "x=1\n", "x=1"},
        {arithmetic, "(a1 +b) *22 = c\n(1)=2\n", "(a = 1\n"},
        {"root ::= \"a\"\r\nb ::= \"c\"\r\n", "a", "c"},
        {"b ::= \"c\"\nroot ::= b b", "cc", "c"},
    };
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        if (!matches(rows[row].grammar, rows[row].yes))
            fail_msg("%s refuses \"%s\"", rows[row].grammar, rows[row].yes);
        if (matches(rows[row].grammar, rows[row].no))
            fail_msg("%s allows \"%s\"", rows[row].grammar, rows[row].no);
    }
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *grammar, *words;
    } rows[] = {
        {"", "g: wanted a rule called root, found none"},
        {"rot ::= \"a\"", "g: wanted a rule called root, found none"},
        {"root = \"a\"", "g: line 1, column 6: wanted ::=, found \"=\""},
        {"root ::= \"a",
         "line 1, column 12: wanted the end of a text or of a class, found the end"},
        {"root ::= \"a\n\"", "line 1, column 12: wanted the end of a text or of a class"},
        {"root ::= [a", "line 1, column 12: wanted the end"},
        {"root ::= []", "line 1, column 11: wanted a class with characters in it"},
        {"root ::= [z-a]", "line 1, column 11: wanted a range that goes up, found \"z\""},
        {"root ::= (\"a\"", "line 1, column 14: wanted an item, | or ), found the end"},
        {"root ::= \"a\" )",
         "line 1, column 14: wanted an item, | or the end of the line, found \")\""},
        {"root ::= \"a\"\n\n x ::= %",
         "line 3, column 8: wanted an item, | or the end of the line"},
        {"root ::= \"\\q\"", "line 1, column 11: wanted one of \\n"},
        {"root ::= \"\\xg1\"", "line 1, column 13: wanted a hexadecimal digit, found \"g\""},
        {"root ::= <think>", "line 1, column 11: wanted a token's id in brackets, as <[7]>"},
        {"root ::= <[]>", "line 1, column 12: wanted a token's id"},
        {"root ::= <[16777216]>", "line 1, column 11: wanted an id up to 16777215"},
        {"root ::= <[7]", "line 1, column 14: wanted ]>, found the end"},
        {"root ::= \"\\ud800\"", "line 1, column 11: wanted a character of Unicode"},
        {"root ::= \"\\U00110000\"", "line 1, column 11: wanted a character of Unicode"},
        {"root ::= \"\xff\"", "line 1, column 11: wanted UTF-8"},
        {"root ::= \"a\"{x}", "line 1, column 14: wanted a number of times, found \"x\""},
        {"root ::= \"a\"{2,1}", "line 1, column 13: wanted a most that is not below the least"},
        {"root ::= \"a\"{65537}", "line 1, column 14: wanted a number of times up to 65536"},
        {"root ::= \"a\"{1", "wanted a }"},
        {"root ::= \"a\"**", "line 1, column 14: wanted an item, | or the end of the line"},
        {"root ::= *", "line 1, column 10: wanted an item"},
        {"root ::= x\n", "line 1, column 10: rule x is used and not defined"},
        {"root ::= \"a\"\nroot ::= \"b\"",
         "line 2, column 1: wanted a rule that is not defined yet"},
        {"root ::= root \"a\" | \"b\"", "line 1, column 1: rule root begins with itself"},
        {"root ::= \"x\" y\ny ::= z?\nz ::= w* y \"a\"\nw ::= \"\"",
         "line 2, column 1: rule y begins with"},
        {"root ::= \"x\" | (y | root)\ny ::= \"y\"", "rule root begins with itself"},
        {"root ::= \"a\" root", "line 1, column 1: rule root can never end"},
        {"root ::= \"a\" | b\nb ::= \"x\" c\nc ::= \"y\" b", "rule b can never end"},
        {"root ::= ((((\"a\"{999}){999}){999}){999}){999}",
         "rule root: wanted a grammar of at most"},
        {"root ::= ((((\"\"{999}){999}){999}){999}){999}",
         "rule root: wanted a grammar of at most"},
    };
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct weir_program *program = NULL;
        struct weir_err err = {0};
        assert_int_equal(
            weir_gbnf_compile(&program, rows[row].grammar, strlen(rows[row].grammar), "g", &err),
            WEIR_ERR_FORMAT);
        assert_null(program);
        if (strstr(err.text, rows[row].words) == NULL)
            fail_msg("%s\n\"%s\" does not say \"%s\"", rows[row].grammar, err.text,
                     rows[row].words);
    }
}

/* ---- characters ---------------------------------------------------------------------------- */

static void a_range_of_characters_is_exactly_its_bytes(void **state)
{
    static const uint32_t edges[] = {0,      1,      0x7f,   0x80,   0x7ff,   0x800,   0xfff,
                                     0x1000, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    uint64_t random_state = 1;
    (void)state;
    for (int turn = 0; turn < 60; turn++) {
        char grammar[64];
        uint32_t ends[2];
        for (int end = 0; end < 2; end++)
            do {
                ends[end] = weir_random_next(&random_state) % 2 == 0
                                ? edges[weir_random_next(&random_state) % WEIR_COUNT(edges)]
                                : (uint32_t)(weir_random_next(&random_state) % 0x110000);
            } while (ends[end] >= 0xd800 && ends[end] <= 0xdfff);
        const uint32_t low = (uint32_t)weir_min(ends[0], ends[1]);
        const uint32_t high = (uint32_t)weir_max(ends[0], ends[1]);
        snprintf(grammar, sizeof(grammar), "root ::= [\\U%08x-\\U%08x]", low, high);
        struct weir_program *program = compile(grammar);
        weir_matcher *matcher = NULL;
        assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
        for (int look = 0; look < 3000; look++) {
            const uint32_t near[] = {low - 1, low, low + 1, high - 1, high, high + 1};
            const uint32_t character =
                look < 6 ? near[look] : (uint32_t)(weir_random_next(&random_state) % 0x110000);
            char spelled[4];
            if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
                continue;
            const size_t length = weir_utf8_encode(character, spelled);
            weir_matcher_reset(matcher);
            const bool is_in = weir_matcher_push(matcher, spelled, length, NULL) == WEIR_OK &&
                               weir_matcher_may_end(matcher);
            if (is_in != (character >= low && character <= high))
                fail_msg("%s: U+%04X is %s", grammar, character, is_in ? "in" : "not in");
        }
        weir_matcher_destroy(&matcher);
        weir_program_destroy(&program);
    }
}

/* ---- tokens -------------------------------------------------------------------------------- */

enum { N_VOCAB = 300, END_ID = 7 };

struct vocabulary {
    char bytes[N_VOCAB][8];
    struct weir_trie_token tokens[N_VOCAB];
    struct weir_trie *trie;
};

/* Short texts of a few bytes, some of them twice, some without bytes; one ends texts. */
static void make_vocabulary(struct vocabulary *vocabulary, uint64_t *random_state)
{
    static const char letters[] = "ab(),\"{}x\xc3\xa4\xb6";
    for (uint32_t id = 0; id < N_VOCAB; id++) {
        struct weir_trie_token *token = &vocabulary->tokens[id];
        token->bytes = vocabulary->bytes[id];
        token->length = (uint16_t)(weir_random_next(random_state) % 5);
        token->is_end = id == END_ID;
        for (uint16_t at = 0; at < token->length; at++)
            vocabulary->bytes[id][at] =
                letters[weir_random_next(random_state) % (sizeof(letters) - 1)];
    }
    assert_int_equal(weir_trie_create(&vocabulary->trie, vocabulary->tokens, N_VOCAB, NULL),
                     WEIR_OK);
}

/* Whether the text may go on with a token, tried with bytes alone in a matcher that has no trie. */
static bool may_follow(weir_matcher *judge, const char *text, size_t length,
                       const struct weir_trie_token *token)
{
    weir_matcher_reset(judge);
    assert_int_equal(weir_matcher_push(judge, text, length, NULL), WEIR_OK);
    if (token->is_end)
        return weir_matcher_may_end(judge);
    return token->length > 0 &&
           weir_matcher_push(judge, token->bytes, token->length, NULL) == WEIR_OK;
}

static bool is_set(const uint32_t *mask, uint32_t id)
{
    return (mask[id / 32] >> id % 32 & 1) != 0;
}

static void a_mask_has_the_tokens_that_may_follow_and_no_others(void **state)
{
    static const char *const grammars[] = {
        "root ::= [a-z]*",
        "root ::= \"(\" root* \")\" | [ab]",
        "root ::= [\\u00c0-\\u00ff]{2,3} (\",\" [a\\u00e4]+)*",
        "root ::= \"{\" (pair (\",\" pair)*)? \"}\"\npair ::= text [ab]\ntext ::= [\"] [^\"]* [\"]",
        "root ::= \"a\" root \"b\" | \"a\" root \"b\" \"x\" | \"\"",
    };
    static struct vocabulary vocabulary;
    uint64_t random_state = 2;
    (void)state;
    make_vocabulary(&vocabulary, &random_state);
    for (size_t row = 0; row < WEIR_COUNT(grammars); row++) {
        struct weir_program *program = compile(grammars[row]);
        weir_matcher *matcher = NULL, *judge = NULL;
        char text[256];
        size_t length = 0;
        assert_int_equal(weir_matcher_create(&matcher, program, vocabulary.trie, NULL), WEIR_OK);
        assert_int_equal(weir_matcher_create(&judge, program, NULL, NULL), WEIR_OK);
        for (int step = 0; step < 60; step++) {
            const uint32_t *mask = NULL;
            uint32_t allowed[N_VOCAB], count = 0;
            assert_int_equal(weir_matcher_mask(matcher, &mask, NULL), WEIR_OK);
            for (uint32_t id = 0; id < N_VOCAB; id++) {
                const struct weir_trie_token *token = &vocabulary.tokens[id];
                if (is_set(mask, id) != may_follow(judge, text, length, token))
                    fail_msg("%s: after \"%.*s\" token %u \"%.*s\" is wrong", grammars[row],
                             (int)length, text, id, token->length, token->bytes);
                if (is_set(mask, id) && id != END_ID)
                    allowed[count++] = id;
            }
            if (count == 0 || length > sizeof(text) - 8) {
                weir_matcher_reset(matcher);
                length = 0;
                continue;
            }
            const struct weir_trie_token *taken =
                &vocabulary.tokens[allowed[weir_random_next(&random_state) % count]];
            assert_int_equal(weir_matcher_push(matcher, taken->bytes, taken->length, NULL),
                             WEIR_OK);
            memcpy(text + length, taken->bytes, taken->length);
            length += taken->length;
        }
        weir_matcher_destroy(&judge);
        weir_matcher_destroy(&matcher);
        weir_program_destroy(&program);
    }
    weir_trie_destroy(&vocabulary.trie);
}

/* ---- limits -------------------------------------------------------------------------------- */

/* More states than there is room for: the old ones are forgotten, and nothing is allocated. */
static void what_is_forgotten_is_made_again(void **state)
{
    enum { LENGTH = 40000 };
    static struct vocabulary vocabulary;
    uint64_t random_state = 3;
    (void)state;
    make_vocabulary(&vocabulary, &random_state);
    struct weir_program *program = compile("root ::= ([ab] | \"(\" [ab] \")\"){40000}");
    weir_matcher *matcher = NULL;
    assert_int_equal(weir_matcher_create(&matcher, program, vocabulary.trie, NULL), WEIR_OK);
    const uint64_t calls = weir_heap_calls();
    for (int at = 0; at < LENGTH; at++) {
        const uint32_t *mask = NULL;
        assert_false(weir_matcher_may_end(matcher));
        if (at % 16 == 0)
            assert_int_equal(weir_matcher_mask(matcher, &mask, NULL), WEIR_OK);
        assert_int_equal(
            weir_matcher_push(matcher, at % 3 == 0 ? "(a)" : "b", at % 3 == 0 ? 3 : 1, NULL),
            WEIR_OK);
    }
    assert_true(weir_matcher_may_end(matcher) && !weir_matcher_may_go_on(matcher));
    assert_int_equal(weir_heap_calls(), calls);
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
    weir_trie_destroy(&vocabulary.trie);
}

static void a_text_that_is_too_deep_names_the_rule_and_stays(void **state)
{
    struct weir_err err = {0};
    struct weir_program *program = compile("root ::= \"x\" | nest\nnest ::= \"(\" root \")\"");
    weir_matcher *matcher = NULL;
    uint32_t depth = 0;
    (void)state;
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    while (weir_matcher_push(matcher, "(", 1, &err) == WEIR_OK)
        depth++;
    assert_int_equal(err.status, WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "rule nest of the grammar"));
    assert_true(depth >= WEIR_GRAMMAR_STACK_MAX - 2);
    assert_int_equal(weir_matcher_push(matcher, "x", 1, NULL), WEIR_OK);
    for (uint32_t level = 0; level < depth; level++) {
        assert_false(weir_matcher_may_end(matcher));
        assert_int_equal(weir_matcher_push(matcher, ")", 1, NULL), WEIR_OK);
    }
    assert_true(weir_matcher_may_end(matcher) && !weir_matcher_may_go_on(matcher));
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
}

/* Rules that end with themselves are no deeper the longer the text gets. */
static void a_long_list_is_not_deep(void **state)
{
    struct weir_program *program = compile(
        "root ::= item (\",\" root | \"\")\nitem ::= [ab]+ | list\nlist ::= \"(\" root \")\"");
    weir_matcher *matcher = NULL;
    (void)state;
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    for (int turn = 0; turn < 3 * WEIR_GRAMMAR_STACK_MAX; turn++)
        assert_int_equal(weir_matcher_push(matcher, "ab,", 3, NULL), WEIR_OK);
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
}

static void a_text_with_too_many_readings_names_the_rule_in_time(void **state)
{
    struct weir_err err = {0};
    struct weir_program *program = compile("root ::= \"x\" root root | \"x\" root | \"x\"");
    weir_matcher *matcher = NULL;
    const double start_s = pace_worked_s();
    (void)state;
    assert_int_equal(weir_matcher_create(&matcher, program, NULL, NULL), WEIR_OK);
    while (weir_matcher_push(matcher, "x", 1, &err) == WEIR_OK)
        assert_true(pace_worked_s() - start_s < PACE_WORK_S_MAX);
    assert_int_equal(err.status, WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "rule root of the grammar"));
    weir_matcher_destroy(&matcher);
    weir_program_destroy(&program);
}

/* Grammars that are small and would be large, deep, or slow to look at. */
static void hostile_grammars_end_in_time(void **state)
{
    enum { RULES = 16000 };
    static char text[WEIR_GRAMMAR_TEXT_MAX];
    struct weir_program *program = NULL;
    struct weir_err err = {0};
    const double start_s = pace_worked_s();
    size_t length = 0;
    (void)state;
    /* A chain of beginnings as long as there are rules. */
    for (int rule = 0; rule < RULES; rule++)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "r%d ::= r%d\n", rule, rule + 1);
    length +=
        (size_t)snprintf(text + length, sizeof(text) - length, "r%d ::= \"x\"\nroot ::= r0", RULES);
    assert_int_equal(weir_gbnf_compile(&program, text, length, "g", &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "rule r0 is too far away from its first character"));
    /* Each waits for the one before to be known to end. */
    length = (size_t)snprintf(text, sizeof(text), "r0 ::= \"x\"\n");
    for (int rule = 1; rule < RULES; rule++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "r%d ::= \"x\" r%d\n",
                                   rule, rule - 1);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "root ::= r%d", RULES - 1);
    err = (struct weir_err){0};
    if (weir_gbnf_compile(&program, text, length, "g", &err) == WEIR_OK)
        weir_program_destroy(&program);
    else
        assert_non_null(strstr(err.text, "waits for too many others"));
    /* One rule too many, and parentheses without end. */
    length = 0;
    for (int rule = 0; rule <= WEIR_GRAMMAR_RULE_MAX; rule++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "r%d::=\"\"\n", rule);
    err = (struct weir_err){0};
    assert_int_equal(weir_gbnf_compile(&program, text, length, "g", &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "wanted at most 16384 rules"));
    memset(text, '(', sizeof(text));
    memcpy(text, "root ::= ", 9);
    err = (struct weir_err){0};
    assert_int_equal(weir_gbnf_compile(&program, text, sizeof(text), "g", &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "at most 128 parentheses"));
    /* As many parts as there may be, and one more; the rule has two of its own. */
    for (int more = 0; more < 2; more++) {
        length = 9;
        for (int part = 2; part < WEIR_GRAMMAR_PART_MAX + more; part++, length += 3)
            memcpy(text + length, "[a]", 3);
        err = (struct weir_err){0};
        const enum weir_status status = weir_gbnf_compile(&program, text, length, "g", &err);
        assert_int_equal(status, more == 0 ? WEIR_OK : WEIR_ERR_FORMAT);
        weir_program_destroy(&program);
    }
    assert_non_null(strstr(err.text, "wanted a grammar of at most 131072 parts, found the end"));
    err = (struct weir_err){0};
    assert_int_equal(weir_gbnf_compile(&program, text, sizeof(text) + 1, "g", &err),
                     WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "wanted at most 1048576 bytes, found 1048577"));
    assert_true(pace_worked_s() - start_s < PACE_WORK_S_MAX);
}

static void failed_allocations_leave_nothing(void **state)
{
    static const char grammar[] =
        "root ::= \"a\" [b-d]* ( x | \"y\" ){2,3}\nx ::= \"(\" root \")\"";
    static struct vocabulary vocabulary;
    uint64_t random_state = 4;
    bool is_made = false;
    (void)state;
    make_vocabulary(&vocabulary, &random_state);
    weir_trie_destroy(&vocabulary.trie);
    const uint64_t bytes = weir_heap_bytes();
    for (uint64_t call = 1; !is_made; call++) {
        struct weir_program *program = NULL;
        struct weir_trie *trie = NULL;
        weir_matcher *matcher = NULL;
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        is_made = weir_gbnf_compile(&program, grammar, strlen(grammar), "g", &err) == WEIR_OK &&
                  weir_trie_create(&trie, vocabulary.tokens, N_VOCAB, &err) == WEIR_OK &&
                  weir_matcher_create(&matcher, program, trie, &err) == WEIR_OK;
        weir_heap_fail_at(0);
        assert_true(is_made || err.status == WEIR_ERR_NOMEM);
        weir_matcher_destroy(&matcher);
        weir_trie_destroy(&trie);
        weir_program_destroy(&program);
        assert_true(weir_heap_bytes() == bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_a_grammar_are_allowed_and_others_are_not),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(a_range_of_characters_is_exactly_its_bytes),
        cmocka_unit_test(a_mask_has_the_tokens_that_may_follow_and_no_others),
        cmocka_unit_test(what_is_forgotten_is_made_again),
        cmocka_unit_test(a_text_that_is_too_deep_names_the_rule_and_stays),
        cmocka_unit_test(a_long_list_is_not_deep),
        cmocka_unit_test(a_text_with_too_many_readings_names_the_rule_in_time),
        cmocka_unit_test(hostile_grammars_end_in_time),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
