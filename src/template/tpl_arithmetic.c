/* tpl_arithmetic.c - what + - * / // % ** are between two values. */
#include <math.h>

#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"

static const char *spell(uint32_t op)
{
    switch (op) {
    case TPL_OP1('+'):
        return "+";
    case TPL_OP1('-'):
        return "-";
    case TPL_OP1('*'):
        return "*";
    case TPL_OP1('/'):
        return "/";
    case TPL_OP1('%'):
        return "%";
    default:
        return op == TPL_OP('*', '*') ? "**" : "//";
    }
}

static _Noreturn void refuse(struct tpl_run *run, uint32_t op, struct tpl_value a,
                             struct tpl_value b)
{
    weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%s' between a %s and a %s", spell(op), weir_tpl_type(a),
                  weir_tpl_type(b));
}

static _Noreturn void refuse_zero(struct tpl_run *run, uint32_t op)
{
    weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%s' by zero", spell(op));
}

static struct tpl_value real_arithmetic(struct tpl_run *run, uint32_t op, double a, double b)
{
    const bool by_zero = b <= 0.0 && b >= 0.0;
    switch (op) {
    case TPL_OP1('+'):
        return weir_tpl_real(a + b);
    case TPL_OP1('-'):
        return weir_tpl_real(a - b);
    case TPL_OP1('*'):
        return weir_tpl_real(a * b);
    case TPL_OP('*', '*'):
        if (by_zero || a > 0.0 || floor(b) >= b)
            return weir_tpl_real(pow(a, b));
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "complex numbers are not built in");
    default:
        break;
    }
    if (by_zero)
        refuse_zero(run, op);
    if (op == TPL_OP1('/'))
        return weir_tpl_real(a / b);
    /* As Python: the rest has the sign of b, and the quotient goes with it. */
    double rest = fmod(a, b);
    if (rest < 0.0 || rest > 0.0)
        rest += (rest < 0.0) != (b < 0.0) ? b : 0.0;
    else
        rest = copysign(0.0, b);
    return weir_tpl_real(op == TPL_OP1('%') ? rest : floor((a - rest) / b + 0.5));
}

static int64_t integer_power(struct tpl_run *run, int64_t a, int64_t b)
{
    int64_t power = 1;
    bool too_large = false;
    if (a >= -1 && a <= 1) /* however large b is */
        b = a == -1 ? b % 2 : b > 0;
    for (; b > 0 && !too_large; b--)
        too_large = __builtin_mul_overflow(power, a, &power);
    if (too_large)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    return power;
}

static struct tpl_value integer_arithmetic(struct tpl_run *run, uint32_t op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool too_large = false;
    switch (op) {
    case TPL_OP1('+'):
        too_large = __builtin_add_overflow(a, b, &out);
        break;
    case TPL_OP1('-'):
        too_large = __builtin_sub_overflow(a, b, &out);
        break;
    case TPL_OP1('*'):
        too_large = __builtin_mul_overflow(a, b, &out);
        break;
    case TPL_OP('*', '*'):
        if (b < 0)
            return real_arithmetic(run, op, (double)a, (double)b);
        return weir_tpl_integer(integer_power(run, a, b));
    default:
        if (b == 0)
            refuse_zero(run, op);
        if (op == TPL_OP1('/'))
            return weir_tpl_real((double)a / (double)b);
        too_large = b == -1 && a == INT64_MIN;
        if (too_large)
            break;
        const int64_t rest = a % b, below = rest != 0 && (rest < 0) != (b < 0);
        out = op == TPL_OP1('%') ? rest + below * b : a / b - below;
    }
    if (too_large)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    return weir_tpl_integer(out);
}

static struct tpl_value repeat(struct tpl_run *run, struct tpl_value value, int64_t times)
{
    if (value.kind == TPL_TEXT) {
        struct tpl_buffer out = {0};
        for (int64_t time = 0; time < times && value.length > 0; time++) {
            weir_tpl_step(run, 1);
            weir_tpl_push(run, &out, value.text, value.length);
        }
        struct tpl_value text = weir_tpl_buffer_text(&out);
        text.is_safe = value.is_safe;
        return text;
    }
    struct tpl_value list = weir_tpl_list(run, value.list->kind, 0);
    for (int64_t time = 0; time < times && value.list->count > 0; time++)
        for (uint32_t index = 0; index < value.list->count; index++)
            weir_tpl_list_push(run, list, value.list->items[index]);
    return list;
}

static struct tpl_value add_lists(struct tpl_run *run, const struct tpl_list *a,
                                  const struct tpl_list *b)
{
    struct tpl_value sum = weir_tpl_list(run, a->kind, (size_t)a->count + b->count);
    for (uint32_t index = 0; index < a->count; index++)
        weir_tpl_list_push(run, sum, a->items[index]);
    for (uint32_t index = 0; index < b->count; index++)
        weir_tpl_list_push(run, sum, b->items[index]);
    return sum;
}

static bool repeats(struct tpl_value value)
{
    return value.kind == TPL_TEXT || (value.kind == TPL_LIST && value.list->kind <= TPL_TUPLE);
}

struct tpl_value weir_tpl_arithmetic(struct tpl_run *run, uint32_t op, struct tpl_value a,
                                     struct tpl_value b)
{
    weir_tpl_must_be_defined(run, a);
    if (op == TPL_OP1('%') && a.kind == TPL_TEXT)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "'%%' of a str is not built in");
    weir_tpl_must_be_defined(run, b);
    if (weir_tpl_is_whole(a) && weir_tpl_is_whole(b))
        return integer_arithmetic(run, op, a.integer, b.integer);
    if (weir_tpl_is_number(a) && weir_tpl_is_number(b))
        return real_arithmetic(run, op, weir_tpl_as_real(a), weir_tpl_as_real(b));
    if (op == TPL_OP1('*') && repeats(a) && weir_tpl_is_whole(b))
        return repeat(run, a, b.integer);
    if (op == TPL_OP1('*') && repeats(b) && weir_tpl_is_whole(a))
        return repeat(run, b, a.integer);
    if (op == TPL_OP1('+') && a.kind == TPL_TEXT && b.kind == TPL_TEXT)
        return weir_tpl_add_texts(run, a, b);
    if (op == TPL_OP1('+') && a.kind == TPL_LIST && b.kind == TPL_LIST && repeats(a) &&
        a.list->kind == b.list->kind)
        return add_lists(run, a.list, b.list);
    refuse(run, op, a, b);
}
