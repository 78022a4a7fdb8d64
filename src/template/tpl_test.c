/* tpl_test.c - what may stand behind `is`. */
#include <string.h>

#include "base/utf8.h"
#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"
#include "text/text.h"

/* Tests that ask nothing but the value. */
#define TEST_OF_VALUE(name, holds)                                                                 \
    static bool name(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments) \
    {                                                                                              \
        (void)run;                                                                                 \
        (void)arguments;                                                                           \
        return (holds);                                                                            \
    }

TEST_OF_VALUE(is_defined, value.kind != TPL_UNDEFINED)
TEST_OF_VALUE(is_undefined, value.kind == TPL_UNDEFINED)
TEST_OF_VALUE(is_none, value.kind == TPL_NONE)
TEST_OF_VALUE(is_string, value.kind == TPL_TEXT)
TEST_OF_VALUE(is_number, weir_tpl_is_number(value))
TEST_OF_VALUE(is_integer, value.kind == TPL_INTEGER)
TEST_OF_VALUE(is_float, value.kind == TPL_REAL)
TEST_OF_VALUE(is_boolean, value.kind == TPL_BOOL)
TEST_OF_VALUE(is_true, value.kind == TPL_BOOL && value.integer != 0)
TEST_OF_VALUE(is_false, value.kind == TPL_BOOL && value.integer == 0)
TEST_OF_VALUE(is_mapping, value.kind == TPL_DICT)
/* Python asks whether it has a length and items: a dictionary has, and so has what is undefined. */
TEST_OF_VALUE(is_sequence, value.kind == TPL_UNDEFINED || value.kind == TPL_TEXT ||
                               value.kind == TPL_DICT ||
                               (value.kind == TPL_LIST && value.list->kind != TPL_VIEW &&
                                value.list->kind != TPL_GENERATOR))
TEST_OF_VALUE(is_iterable, value.kind == TPL_UNDEFINED || value.kind == TPL_TEXT ||
                               value.kind == TPL_DICT || value.kind == TPL_LIST)
TEST_OF_VALUE(is_callable, value.kind == TPL_UNDEFINED || value.kind == TPL_MACRO ||
                               value.kind == TPL_METHOD || value.kind == TPL_FUNCTION)
TEST_OF_VALUE(is_escaped, value.kind == TPL_TEXT && value.is_safe)

static struct tpl_value take_other(struct tpl_run *run, struct tpl_arguments *arguments)
{
    const struct tpl_value *other = weir_tpl_take(arguments, 0, NULL);
    if (other == NULL)
        weir_tpl_argument_missing(run, arguments, "other");
    return *other;
}

static bool is_equal(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return weir_tpl_equal(run, value, take_other(run, arguments));
}

static bool is_unequal(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return !weir_tpl_equal(run, value, take_other(run, arguments));
}

static bool is_same(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    const struct tpl_value other = take_other(run, arguments);
    if (value.kind == TPL_LIST || value.kind == TPL_DICT)
        return value.kind == other.kind && value.list == other.list;
    return value.kind == other.kind && weir_tpl_equal(run, value, other);
}

static bool is_in(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return weir_tpl_contains(run, take_other(run, arguments), value);
}

static int order(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    const struct tpl_value other = take_other(run, arguments);
    weir_tpl_must_be_defined(run, value);
    weir_tpl_must_be_defined(run, other);
    return weir_tpl_compare(run, value, other, "<");
}

static bool is_less(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return order(run, value, arguments) < 0;
}

static bool is_at_most(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return order(run, value, arguments) <= 0;
}

static bool is_greater(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    return order(run, value, arguments) > 0;
}

static bool is_at_least(struct tpl_run *run, struct tpl_value value,
                        struct tpl_arguments *arguments)
{
    return order(run, value, arguments) >= 0;
}

static bool leaves(struct tpl_run *run, struct tpl_value value, struct tpl_value divisor,
                   int64_t rest)
{
    return weir_tpl_equal(run, weir_tpl_arithmetic(run, TPL_OP1('%'), value, divisor),
                          weir_tpl_integer(rest));
}

static bool is_even(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    return leaves(run, value, weir_tpl_integer(2), 0);
}

static bool is_odd(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    return leaves(run, value, weir_tpl_integer(2), 1);
}

static bool is_divisible(struct tpl_run *run, struct tpl_value value,
                         struct tpl_arguments *arguments)
{
    return leaves(run, value, take_other(run, arguments), 0);
}

static bool has_case(struct tpl_run *run, struct tpl_value value, enum tpl_case how)
{
    const struct tpl_value text = weir_tpl_to_text(run, value);
    bool is_cased = false;
    for (size_t at = 0; at < text.length && !is_cased;) {
        is_cased = weir_text_is_cased(weir_utf8_decode(text.text + at));
        at += weir_utf8_char(text.text + at, text.length - at);
    }
    return is_cased && weir_tpl_equal(run, text, weir_tpl_change_case(run, text, how));
}

static bool is_lower(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    return has_case(run, value, TPL_LOWER);
}

static bool is_upper(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    return has_case(run, value, TPL_UPPER);
}

static bool is_filter(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    (void)run;
    return value.kind == TPL_TEXT && weir_tpl_find_filter(value) != NULL;
}

static bool is_test(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments)
{
    (void)arguments;
    (void)run;
    return value.kind == TPL_TEXT && weir_tpl_find_test(value) != NULL;
}

static const struct tpl_test_row rows[] = {
    {"defined", is_defined},
    {"undefined", is_undefined},
    {"none", is_none},
    {"string", is_string},
    {"number", is_number},
    {"integer", is_integer},
    {"float", is_float},
    {"boolean", is_boolean},
    {"true", is_true},
    {"false", is_false},
    {"mapping", is_mapping},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"callable", is_callable},
    {"escaped", is_escaped},
    {"equalto", is_equal},
    {"eq", is_equal},
    {"==", is_equal},
    {"ne", is_unequal},
    {"!=", is_unequal},
    {"sameas", is_same},
    {"in", is_in},
    {"lt", is_less},
    {"lessthan", is_less},
    {"<", is_less},
    {"le", is_at_most},
    {"<=", is_at_most},
    {"gt", is_greater},
    {"greaterthan", is_greater},
    {">", is_greater},
    {"ge", is_at_least},
    {">=", is_at_least},
    {"even", is_even},
    {"odd", is_odd},
    {"divisibleby", is_divisible},
    {"lower", is_lower},
    {"upper", is_upper},
    {"filter", is_filter},
    {"test", is_test},
};

const struct tpl_test_row *weir_tpl_find_test(struct tpl_value name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (weir_tpl_is(name, rows[row].name))
            return &rows[row];
    return NULL;
}

bool weir_tpl_test(struct tpl_run *run, const struct tpl_test_row *row, struct tpl_value value,
                   struct tpl_arguments *arguments)
{
    if (row == NULL)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the test '%.*s' is not built in",
                      (int)weir_min(arguments->name.length, 60), arguments->name.text);
    const bool holds = row->holds(run, value, arguments);
    weir_tpl_end_arguments(run, arguments);
    return holds;
}
