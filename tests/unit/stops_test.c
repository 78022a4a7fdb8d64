/* stops_test.c - where a text ends, however it is cut, and what is given out before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/heap.h"
#include "weir.h"

enum { TEXT_MAX = 24, SEEDS = 20000, STRING_MAX = 3 };

static weir_stops *make_stops(const char *const *strings, size_t count)
{
    struct weir_err err = {0};
    weir_stops *stops = NULL;
    if (weir_stops_create(&stops, strings, count, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return stops;
}

static bool ends_with(const char *text, size_t length, const char *string, size_t string_length)
{
    return length >= string_length &&
           memcmp(text + length - string_length, string, string_length) == 0;
}

/* Length of what may be given out of the text so far, and whether it ended, by looking at every
 * place anew. */
static size_t judge(const char *text, size_t length, const char *const *strings, size_t count,
                    size_t *found)
{
    size_t held = 0;
    *found = SIZE_MAX;
    for (size_t end = 1; end <= length; end++) {
        size_t longest = 0;
        for (size_t index = 0; index < count; index++)
            if (ends_with(text, end, strings[index], strlen(strings[index])) &&
                strlen(strings[index]) > longest) {
                longest = strlen(strings[index]);
                *found = index;
            }
        if (longest > 0)
            return end - longest;
    }
    for (size_t index = 0; index < count; index++)
        for (size_t part = 1; part < strlen(strings[index]); part++)
            if (part > held && ends_with(text, length, strings[index], part))
                held = part;
    return length - held;
}

static void make_string(char *out, size_t length, uint64_t *random_state)
{
    for (size_t at = 0; at < length; at++)
        out[at] = "ab"[weir_random_next(random_state) % 2];
    out[length] = '\0';
}

static void a_text_ends_at_the_first_whole_string_however_it_is_cut(void **state)
{
    uint64_t random_state = 1;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        char text[TEXT_MAX + 1], shown[TEXT_MAX + 1], out[WEIR_STOP_BYTES_MAX + TEXT_MAX];
        char spelled[STRING_MAX][8];
        const char *strings[STRING_MAX];
        const size_t count = weir_random_next(&random_state) % (STRING_MAX + 1);
        for (size_t index = 0; index < count; index++) {
            make_string(spelled[index], 1 + weir_random_next(&random_state) % 7, &random_state);
            strings[index] = spelled[index];
        }
        make_string(text, TEXT_MAX, &random_state);
        weir_stops *stops = make_stops(strings, count);
        size_t at = 0, shown_count = 0, found = SIZE_MAX;
        while (at < TEXT_MAX) {
            const size_t part = weir_min(weir_random_next(&random_state) % 6, TEXT_MAX - at);
            const size_t more = weir_stops_push(stops, text + at, part, out);
            memcpy(shown + shown_count, out, more);
            shown_count += more;
            at += part;
            assert_int_equal(shown_count, judge(text, at, strings, count, &found));
            assert_true(weir_stops_found(stops) == found);
        }
        if (found == SIZE_MAX) {
            const size_t more = weir_stops_flush(stops, out);
            memcpy(shown + shown_count, out, more);
            shown_count += more;
            assert_int_equal(shown_count, TEXT_MAX);
        } else {
            assert_int_equal(weir_stops_flush(stops, out), 0);
        }
        assert_memory_equal(shown, text, shown_count);
        weir_stops_destroy(&stops);
    }
}

static void limits_are_held_and_named(void **state)
{
    static char longest[WEIR_STOP_BYTES_MAX + 2];
    static char out[2 * WEIR_STOP_BYTES_MAX + 2];
    const char *strings[WEIR_STOP_MAX + 1];
    struct weir_err err = {0};
    weir_stops *stops = NULL;
    (void)state;
    memset(longest, 'x', WEIR_STOP_BYTES_MAX);
    for (int index = 0; index <= WEIR_STOP_MAX; index++)
        strings[index] = longest;
    stops = make_stops(strings, WEIR_STOP_MAX);
    assert_int_equal(weir_stops_push(stops, longest, WEIR_STOP_BYTES_MAX - 1, out), 0);
    assert_int_equal(weir_stops_push(stops, "yz", 2, out), WEIR_STOP_BYTES_MAX + 1);
    assert_int_equal(weir_stops_push(stops, longest, WEIR_STOP_BYTES_MAX, out), 0);
    assert_int_equal(weir_stops_found(stops), 0);
    weir_stops_destroy(&stops);
    assert_int_equal(weir_stops_create(&stops, strings, WEIR_STOP_MAX + 1, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "wanted at most 64, found 65"));
    longest[WEIR_STOP_BYTES_MAX] = 'x';
    err = (struct weir_err){0};
    strings[0] = "a";
    assert_int_equal(weir_stops_create(&stops, strings, 2, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "stop string 2: wanted 1 to 1024 bytes, found 1025"));
    strings[1] = "";
    err = (struct weir_err){0};
    assert_int_equal(weir_stops_create(&stops, strings, 2, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "found 0"));
    assert_null(stops);
}

static void failed_allocations_leave_nothing(void **state)
{
    const char *const strings[] = {"one", "two"};
    const uint64_t bytes = weir_heap_bytes();
    weir_stops *stops = NULL;
    (void)state;
    for (uint64_t call = 1; call <= 5; call++) {
        weir_heap_fail_at(call);
        assert_int_equal(weir_stops_create(&stops, strings, 2, NULL), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        assert_null(stops);
        assert_true(weir_heap_bytes() == bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_ends_at_the_first_whole_string_however_it_is_cut),
        cmocka_unit_test(limits_are_held_and_named),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
