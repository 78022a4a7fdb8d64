/* base_test.c - error records, checked numbers, sizes as text, the seeded generator, promises. */
#include "base/base.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static enum weir_status fail_twice(struct weir_err *err)
{
    WEIR_FAIL(err, WEIR_ERR_FORMAT, "layer %d: wanted %d, found %d", 37, 8, 9);
    return WEIR_FAIL(err, WEIR_ERR_ARG, "an echo");
}

static void err_keeps_the_first_failure_and_its_place(void **state)
{
    (void)state;
    struct weir_err err = {0};
    assert_int_equal(fail_twice(&err), WEIR_ERR_ARG);
    assert_int_equal(err.status, WEIR_ERR_FORMAT);
    assert_string_equal(err.text, "layer 37: wanted 8, found 9");
    assert_int_equal(err.os_errno, 0);
    assert_non_null(strstr(err.file, "base_test.c"));
    assert_true(err.line > 0);
    assert_int_equal(fail_twice(NULL), WEIR_ERR_ARG);
}

static void err_appends_what_the_system_says(void **state)
{
    (void)state;
    struct weir_err err = {0};
    assert_int_equal(WEIR_FAIL_OS(&err, ENOENT, "open %s", "a.gguf"), WEIR_ERR_IO);
    assert_string_equal(err.text, "open a.gguf: No such file or directory");
    assert_int_equal(err.os_errno, ENOENT);
}

static void err_text_is_cut_rather_than_grown(void **state)
{
    (void)state;
    struct weir_err err = {0};
    char path[sizeof(err.text) + 1];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    WEIR_FAIL_OS(&err, EIO, "read %s", path);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_memory_equal(err.text, "read xxx", 8);
}

static enum weir_status forward(enum weir_status inner)
{
    WEIR_TRY(inner);
    return WEIR_OK;
}

static enum weir_status forward_to_label(enum weir_status inner, bool *cleaned)
{
    enum weir_status status;
    WEIR_TRY_GOTO(inner);
    return WEIR_OK;
fail:
    *cleaned = true;
    return status;
}

static void try_forwards_a_failure_unchanged(void **state)
{
    (void)state;
    bool cleaned = false;
    assert_int_equal(forward(WEIR_ERR_NOMEM), WEIR_ERR_NOMEM);
    assert_int_equal(forward(WEIR_OK), WEIR_OK);
    assert_int_equal(forward_to_label(WEIR_OK, &cleaned), WEIR_OK);
    assert_false(cleaned);
    assert_int_equal(forward_to_label(WEIR_ERR_IO, &cleaned), WEIR_ERR_IO);
    assert_true(cleaned);
}

static void checked_numbers_refuse_what_does_not_fit(void **state)
{
    (void)state;
    uint64_t out = 7;
    assert_true(weir_checked_mul(1ull << 32, (1ull << 32) - 1, &out));
    assert_int_equal(out, 0xffffffff00000000u);
    assert_false(weir_checked_mul(1ull << 32, 1ull << 32, &out));
    assert_int_equal(out, 0xffffffff00000000u);
    assert_true(weir_checked_add(UINT64_MAX - 1, 1, &out));
    assert_int_equal(out, UINT64_MAX);
    assert_false(weir_checked_add(UINT64_MAX, 1, &out));
    assert_int_equal(out, UINT64_MAX);
}

static void align_goes_to_the_next_or_previous_multiple(void **state)
{
    (void)state;
    assert_int_equal(weir_align_up(0, 4096), 0);
    assert_int_equal(weir_align_up(1, 4096), 4096);
    assert_int_equal(weir_align_up(4096, 4096), 4096);
    assert_int_equal(weir_align_down(8191, 4096), 4096);
    assert_int_equal(weir_align_up(10, 3), 12);
    assert_int_equal(weir_min(2, 3), 2);
    assert_int_equal(weir_max(2, 3), 3);
}

/* The first outputs of the published generator for two seeds. */
static void random_follows_splitmix64(void **state)
{
    (void)state;
    uint64_t generator = 0;
    assert_int_equal(weir_random_next(&generator), 0xe220a8397b1dcdafu);
    generator = 1234567;
    assert_int_equal(weir_random_next(&generator), 6457827717110365317u);
    assert_int_equal(weir_random_next(&generator), 3203168211198807973u);
    double sum = 0.0;
    for (int draw = 0; draw < 10000; draw++) {
        const double unit = weir_random_unit(&generator);
        assert_true(unit >= 0.0 && unit < 1.0);
        sum += unit;
    }
    assert_true(sum > 4800.0 && sum < 5200.0);
}

static void reals_are_sorted_ascending(void **state)
{
    double values[] = {2.5, -1.0, 2.5, 1e300, 0.0, -0.5};
    const double sorted[] = {-1.0, -0.5, 0.0, 2.5, 2.5, 1e300};
    (void)state;
    weir_sort_reals(values, WEIR_COUNT(values));
    assert_memory_equal(values, sorted, sizeof(sorted));
}

static void size_reads_units_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"3G", 3ull << 30},
        {"512M", 512ull << 20},
        {"64k", 64u << 10},
        {"1.5G", 3ull << 29},
        {"2T", 2ull << 40},
        {"10MiB", 10u << 20},
        {"10mb", 10u << 20},
        {"4611686018427387904", 1ull << 62},
    };
    for (size_t row = 0; row < WEIR_COUNT(good); row++) {
        uint64_t bytes = 1;
        assert_true(weir_parse_size(good[row].text, &bytes));
        assert_int_equal(bytes, good[row].bytes);
    }
}

static void size_refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "G",   "-1",   "+1",     " 1",
                                      "1X",        "1GG", "1.5",  "1 G",    "0x10",
                                      "1e3",       "nan", "inf",  "1.2.3G", "9223372036854775808",
                                      "99999999T", "1Gi", "1KiBs"};
    for (size_t row = 0; row < WEIR_COUNT(bad); row++) {
        uint64_t bytes = 42;
        if (weir_parse_size(bad[row], &bytes))
            fail_msg("\"%s\" was read as a size", bad[row]);
        assert_int_equal(bytes, 42);
    }
    uint64_t bytes = 0;
    assert_false(weir_parse_size(NULL, &bytes));
}

static void size_is_written_for_people(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(weir_format_size(0, text, sizeof(text)), "0 B");
    assert_string_equal(weir_format_size(1023, text, sizeof(text)), "1023 B");
    assert_string_equal(weir_format_size(1536, text, sizeof(text)), "1.50 KiB");
    assert_string_equal(weir_format_size(20u << 20, text, sizeof(text)), "20.0 MiB");
    assert_string_equal(weir_format_size(UINT64_MAX, text, sizeof(text)), "16384.0 PiB");
}

static void clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before_ns = weir_now_ns();
    for (int look = 0; look < 1000; look++) {
        const uint64_t now_ns = weir_now_ns();
        assert_true(now_ns >= before_ns);
        before_ns = now_ns;
    }
}

/* What a child that breaks a promise prints on stderr; its end must be SIGABRT. */
static void read_broken_promise(char *out, size_t capacity)
{
    int ends[2];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        WEIR_ASSERT(2 + 2 == 5);
        _exit(0);
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], out, capacity - 1);
    close(ends[0]);
    out[got < 0 ? 0 : got] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void assert_names_the_broken_promise_and_aborts(void **state)
{
    (void)state;
    char text[256];
    WEIR_ASSERT(2 + 2 == 4);
    WEIR_DASSERT(2 + 2 == 4);
    read_broken_promise(text, sizeof(text));
    assert_non_null(strstr(text, "base_test.c"));
    assert_non_null(strstr(text, "broken promise: 2 + 2 == 5"));
}

static void a_warning_is_listed_once_and_the_list_is_bounded(void **state)
{
    (void)state;
    struct weir_warnings warnings = {0};
    weir_warn(NULL, "nobody listens");
    for (int again = 0; again < 2; again++)
        weir_warn(&warnings, "key %s is ignored", "a");
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.text[0], "key a is ignored");
    for (int number = 1; number < WEIR_WARNING_MAX; number++)
        weir_warn(&warnings, "%0420d", number);
    assert_int_equal(warnings.count, 2); /* cut where they are still the same */
    for (int number = 2; number < WEIR_WARNING_MAX; number++)
        weir_warn(&warnings, "number %d", number);
    assert_int_equal(warnings.count, WEIR_WARNING_MAX);
    assert_int_equal(warnings.more, 0);
    weir_warn(&warnings, "one more");
    assert_int_equal(warnings.count, WEIR_WARNING_MAX);
    assert_int_equal(warnings.more, 1);
}

static void edits_are_counted(void **state)
{
    char one[200];
    char other[200];
    (void)state;
    assert_int_equal(weir_edit_distance("", ""), 0);
    assert_int_equal(weir_edit_distance("weir", "weir"), 0);
    assert_int_equal(weir_edit_distance("", "weir"), 4);
    assert_int_equal(weir_edit_distance("weir", ""), 4);
    assert_int_equal(weir_edit_distance("kitten", "sitting"), 5);
    assert_int_equal(weir_edit_distance("sitting", "kitten"), 5);
    assert_int_equal(weir_edit_distance("qwen3_moe", "qwen3moe"), 1);
    memset(one, 'a', sizeof(one));
    memset(other, 'b', sizeof(other));
    one[sizeof(one) - 1] = other[sizeof(other) - 1] = '\0';
    assert_int_equal(weir_edit_distance(one, other), 128);
    other[64] = '\0';
    assert_int_equal(weir_edit_distance(one, other), 128);
    other[63] = '\0';
    assert_int_equal(weir_edit_distance(one, other), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_keeps_the_first_failure_and_its_place),
        cmocka_unit_test(err_appends_what_the_system_says),
        cmocka_unit_test(err_text_is_cut_rather_than_grown),
        cmocka_unit_test(a_warning_is_listed_once_and_the_list_is_bounded),
        cmocka_unit_test(try_forwards_a_failure_unchanged),
        cmocka_unit_test(checked_numbers_refuse_what_does_not_fit),
        cmocka_unit_test(align_goes_to_the_next_or_previous_multiple),
        cmocka_unit_test(random_follows_splitmix64),
        cmocka_unit_test(reals_are_sorted_ascending),
        cmocka_unit_test(size_reads_units_of_1024),
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(size_refuses_what_is_none),
        cmocka_unit_test(size_is_written_for_people),
        cmocka_unit_test(clock_does_not_go_back),
        cmocka_unit_test(assert_names_the_broken_promise_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
