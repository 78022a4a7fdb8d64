/* questions_test.c - lines of --mc: what they may be, what is said of others; shares' intervals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/questions.h"

static void lines_are_read(void **state)
{
    (void)state;
    struct weir_cli_question question;
    struct weir_err err = {0};
    static const struct {
        const char *line;
        uint32_t count, answer;
    } good[] = {
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer\":1}", 2, 1},
        {"{\"question\":\"p\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":\"A\",\"id\":3}", 3, 0},
        {"{\"question\":\"p\",\"choices\":[\"a\",\"b\",\"c\"],\"answer\":\"c\"}", 3, 2},
    };
    for (size_t index = 0; index < sizeof(good) / sizeof(good[0]); index++) {
        const char *line = good[index].line;
        assert_int_equal(weir_cli_question_read(&question, line, strlen(line), &err), WEIR_OK);
        assert_string_equal(question.prompt, "p");
        assert_int_equal(question.choice_count, good[index].count);
        assert_int_equal(question.answer, good[index].answer);
        weir_cli_question_free(&question);
    }
}

static void other_lines_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "object"},
        {"{", "JSON"},
        {"{\"choices\":[\"a\",\"b\"],\"answer\":1}", "found none"},
        {"{\"prompt\":\"p\",\"question\":\"p\",\"choices\":[\"a\",\"b\"],\"answer\":1}", "both"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\"],\"answer\":0}", "found 1"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"\"],\"answer\":0}", "number 1"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer\":2}", "0 to 1"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer\":\"C\"}", "A to B"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"]}", "answer"},
        {"{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer\":0,\"ctx\":\"x\"}", "found ctx"},
    };
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        struct weir_cli_question question;
        struct weir_err err = {0};
        assert_int_equal(
            weir_cli_question_read(&question, bad[index][0], strlen(bad[index][0]), &err),
            WEIR_ERR_FORMAT);
        assert_true(question.object == NULL && strstr(err.text, bad[index][1]) != NULL);
    }
}

/* Values of Wilson's interval from R's prop.test(correct = FALSE). */
static void shares_have_intervals(void **state)
{
    (void)state;
    double low, high;
    weir_cli_share_interval(8, 10, &low, &high);
    assert_true(fabs(low - 0.4901625) < 1e-6 && fabs(high - 0.9433178) < 1e-6);
    weir_cli_share_interval(0, 20, &low, &high);
    assert_true(fabs(low) < 1e-12 && fabs(high - 0.1611252) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(other_lines_are_refused),
        cmocka_unit_test(shares_have_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
