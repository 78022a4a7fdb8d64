/* json_test.c - JSON texts: what is taken, what is refused, and what is found in them. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "formats/json.h"

static struct weir_json parse(const char *text)
{
    struct weir_json root = {0};
    struct weir_err err = {0};
    if (weir_json_parse(&root, text, strlen(text), "a.json", &err) != WEIR_OK)
        fail_msg("%s: %s", text, err.text);
    return root;
}

static void values_are_found_by_name_and_in_order(void **state)
{
    (void)state;
    const struct weir_json root = parse(
        " {\"a\" : [1, \"b\", {}, [ ], null], \"c\":{\"d\":true,\"e\":-0.5e1} , \"a2\":false,\n"
        "\"f\":\"x\\\"]}\"}\t");
    static const enum weir_json_kind kinds[] = {WEIR_JSON_NUMBER, WEIR_JSON_TEXT, WEIR_JSON_OBJECT,
                                                WEIR_JSON_ARRAY, WEIR_JSON_NULL};
    const struct weir_json list = weir_json_member(root, "a");
    bool flag = false;
    double number = 0;
    assert_int_equal(weir_json_count(root), 4);
    assert_int_equal(weir_json_count(list), WEIR_COUNT(kinds));
    for (struct weir_json_walk walk = weir_json_walk(list); weir_json_next(&walk);) {
        assert_int_equal(weir_json_kind(walk.value), kinds[walk.index]);
        assert_null(walk.key.start);
    }
    const struct weir_json inner = weir_json_member(root, "c");
    assert_true(weir_json_bool(weir_json_member(inner, "d"), &flag) && flag);
    assert_true(weir_json_bool(weir_json_member(root, "a2"), &flag) && !flag);
    assert_true(weir_json_f64(weir_json_member(inner, "e"), &number) && number == -5.0);
    assert_true(weir_json_is(weir_json_member(root, "f"), "x\"]}"));
    /* What is not there has nothing in it. */
    const struct weir_json none = weir_json_member(weir_json_member(root, "z"), "d");
    assert_int_equal(weir_json_kind(none), WEIR_JSON_NONE);
    assert_int_equal(weir_json_count(none) + weir_json_count(weir_json_member(root, "f")), 0);
    assert_false(weir_json_bool(none, &flag) || weir_json_f64(none, &number) ||
                 weir_json_is(none, "") || weir_json_text(none, NULL, 0) > 0);
    /* As in Python, the last of several. */
    assert_true(weir_json_is(weir_json_member(parse("{\"a\":\"1\",\"a\":\"2\"}"), "a"), "2"));
    assert_int_equal(weir_json_count(parse("{}")) + weir_json_count(parse("[]")), 0);
}

static void texts_are_decoded(void **state)
{
    (void)state;
    static const char wanted[] = "\"\\/\b\f\n\r\t\xe4\xb8\xad\xf0\x9f\x98\x80\0.\xc3\xa9";
    const struct weir_json text =
        parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u4e2d\\ud83d\\ude00\\u0000.\xc3\xa9\"");
    char out[64];
    assert_int_equal(weir_json_text(text, out, sizeof(out)), sizeof(wanted) - 1);
    assert_memory_equal(out, wanted, sizeof(wanted) - 1);
    assert_int_equal(weir_json_text(text, out, 3), sizeof(wanted) - 1);
    assert_false(weir_json_is(text, "\"\\/"));
    assert_true(weir_json_is(parse("\"\\u0061b\""), "ab"));
    assert_false(weir_json_is(parse("\"ab\""), "abc"));
    assert_false(weir_json_is(parse("\"abc\""), "ab"));
}

static void numbers_are_exact_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_whole;
        uint64_t whole;
        double real;
    } cases[] = {
        {"0", true, 0, 0},
        {"18446744073709551615", true, UINT64_MAX, 18446744073709551615.0},
        {"18446744073709551616", false, 0, 18446744073709551616.0},
        {"32.0", true, 32, 32},
        {"3e1", true, 30, 30},
        {"-1", false, 0, -1},
        {"0.5", false, 0, 0.5},
        {"1e300", false, 0, 1e300},
        {"-2.0794415416798357", false, 0, -2.0794415416798357},
    };
    uint64_t whole = 7;
    double real = 0;
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        const struct weir_json value = parse(cases[row].text);
        whole = 7;
        assert_int_equal(weir_json_u64(value, &whole), cases[row].is_whole);
        assert_int_equal(whole, cases[row].is_whole ? cases[row].whole : 7);
        assert_true(weir_json_f64(value, &real) && real == cases[row].real);
    }
    /* As Python writes them. */
    assert_true(weir_json_f64(parse("NaN"), &real) && isnan(real));
    assert_true(weir_json_f64(parse("-Infinity"), &real) && isinf(real) && real < 0);
    assert_false(weir_json_u64(parse("Infinity"), &whole) || weir_json_u64(parse("NaN"), &whole));
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL)
        assert_true(weir_json_f64(parse("0.5"), &real) && real == 0.5);
    setlocale(LC_NUMERIC, "C");
}

static void what_is_no_json_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
    } cases[] = {
        {"", "byte 0: wanted a value, found the end"},
        {"{", "a text in quotes"},
        {"{\"a\"}", "a colon"},
        {"{\"a\":}", "byte 5: wanted a value, found \"}\""},
        {"{\"a\":1,}", "a text in quotes"},
        {"[1,]", "a value"},
        {"[1 2]", "a comma or ]"},
        {"{\"a\":1 \"b\":2}", "a comma or }"},
        {"[1", "a comma or ], found the end"},
        {"nul", "a value"},
        {"01", "wanted the end"},
        {"1.", "a digit"},
        {"1e", "a digit"},
        {"-", "a value"},
        {"+1", "a value"},
        {"1 1", "wanted the end"},
        {"\"a", "the end of a text"},
        {"\"a\n\"", "an escaped control character"},
        {"\"\\x\"", "one of"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\ud83d\"", "both halves"},
        {"\"\\ude00\"", "both halves"},
        {"\"\\ud83d\\u0041\"", "both halves"},
        {"\"\xff\"", "UTF-8"},
        {"\"\xed\xa0\x80\"", "UTF-8"},
        {"'a'", "a value"},
        {"\xef\xbb\xbf{}", "a value"},
        {"0.0000000000000000000000000000000000000000000000000000000000000001", "at most 63 bytes"},
    };
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        struct weir_json root = {0};
        struct weir_err err = {0};
        assert_int_equal(
            weir_json_parse(&root, cases[row].text, strlen(cases[row].text), "a.json", &err),
            WEIR_ERR_FORMAT);
        assert_null(root.start);
        if (strstr(err.text, cases[row].names) == NULL || strstr(err.text, "a.json") == NULL)
            fail_msg("%s: \"%s\" does not name \"%s\"", cases[row].text, err.text,
                     cases[row].names);
    }
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    enum { DEEP = 10000 };
    static char text[2 * DEEP];
    struct weir_json root = {0};
    struct weir_err err = {0};
    for (size_t depth = WEIR_JSON_DEPTH_MAX; depth <= WEIR_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(weir_json_parse(&root, text, 2 * depth, "a.json", NULL),
                         depth <= WEIR_JSON_DEPTH_MAX ? WEIR_OK : WEIR_ERR_FORMAT);
    }
    memset(text, '[', sizeof(text));
    assert_int_equal(weir_json_parse(&root, text, sizeof(text), "a.json", &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "at most 64 deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_name_and_in_order),
        cmocka_unit_test(texts_are_decoded),
        cmocka_unit_test(numbers_are_exact_or_none),
        cmocka_unit_test(what_is_no_json_is_named),
        cmocka_unit_test(depth_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
