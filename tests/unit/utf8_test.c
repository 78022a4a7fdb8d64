/* utf8_test.c - what a terminal would obey is shown; the rest of a text is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void shows(const char *bytes, size_t length, const char *wanted)
{
    char out[256];
    assert_int_equal(weir_printable(bytes, length, out, sizeof(out)), strlen(wanted));
    assert_string_equal(out, wanted);
    char again[256];
    weir_printable(out, strlen(out), again, sizeof(again));
    assert_string_equal(again, wanted);
}
#define SHOWS(bytes, wanted) shows(bytes, sizeof(bytes) - 1, wanted)

static void what_a_terminal_obeys_is_shown(void **state)
{
    (void)state;
    SHOWS("\x1b[2J\x1b]0;title\a", "\\x1b[2J\\x1b]0;title\\x07");
    SHOWS("a\nb\tc\rd", "a\\nb\\tc\\rd");
    SHOWS("a\0b\x7f", "a\\x00b\\x7f");
    SHOWS("\x9b"
          "2J",
          "\\x9b2J"); /* C1 as one byte, which is no UTF-8 */
    SHOWS("\xc2\x9b"
          "2J\xc2\x85",
          "\\u009b2J\\u0085"); /* and as a character */
    SHOWS("\xe2\x80\xae"
          "fdp\xe2\x81\xa6\xd8\x9c",
          "\\u202efdp\\u2066\\u061c"); /* writing that turns round */
    SHOWS("\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf", "\\u2028\\u2029\\ufeff");
    SHOWS("\xf3\xa0\x81\x81", "\\U000e0041"); /* a tag */
    SHOWS("\xc3(\xed\xa0\x80\xf5\xe2\x82", "\\xc3(\\xed\\xa0\\x80\\xf5\\xe2\\x82");
}

static void other_characters_are_left_alone(void **state)
{
    (void)state;
    SHOWS("", "");
    SHOWS("C:\\x1b \"%s\"", "C:\\x1b \"%s\"");
    SHOWS("G\xc3\xb6"
          "del, \xe4\xbd\xa0, \xf0\x9f\x98\x80, \xd7\x90\xc2\xa0",
          "G\xc3\xb6"
          "del, \xe4\xbd\xa0, \xf0\x9f\x98\x80, \xd7\x90\xc2\xa0");
}

static void a_text_is_cut_between_what_it_shows(void **state)
{
    (void)state;
    char out[8];
    memset(out, 'x', sizeof(out));
    assert_int_equal(weir_printable("abc\x1b", 4, out, 8), 7);
    assert_string_equal(out, "abc\\x1b");
    assert_int_equal(weir_printable("abc\x1b", 4, out, 7), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(weir_printable("ab\xc3\xa9", 4, out, 4), 2);
    assert_int_equal(weir_printable("abc", 3, out, 1), 0);
    assert_string_equal(out, "");
}

static void errors_and_warnings_are_printable(void **state)
{
    (void)state;
    struct weir_err err = {0};
    struct weir_warnings warnings = {0};
    WEIR_FAIL(&err, WEIR_ERR_ARG, "open %s", "a\x1b[2J\nb");
    assert_string_equal(err.text, "open a\\x1b[2J\\nb");
    err.status = WEIR_OK;
    WEIR_FAIL_OS(&err, 2, "open %s", "\xc2\x9b");
    assert_string_equal(err.text, "open \\u009b: No such file or directory");
    weir_warn(&warnings, "key %s", "\xe2\x80\xae");
    assert_string_equal(warnings.text[0], "key \\u202e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_obeys_is_shown),
        cmocka_unit_test(other_characters_are_left_alone),
        cmocka_unit_test(a_text_is_cut_between_what_it_shows),
        cmocka_unit_test(errors_and_warnings_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
