/* tpl_evaluate.c - the values of expressions. */
#include "template/tpl_evaluate.h"

#include <string.h>

#include "template/tpl_text.h"

struct tpl_arguments weir_tpl_evaluate_arguments(struct tpl_run *run, const struct tpl_node *node,
                                                 const char *what, uint32_t spare)
{
    struct tpl_arguments arguments = {.what = what, .name = node->value};
    uint32_t count = spare;
    for (const struct tpl_node *item = node->items; item != NULL; item = item->next)
        count++;
    if (count > 0)
        arguments.items = weir_tpl_alloc(run, count, sizeof(*arguments.items));
    for (const struct tpl_node *item = node->items; item != NULL; item = item->next)
        arguments.items[arguments.count++] =
            (struct tpl_argument){.keyword = item->value, .value = weir_tpl_evaluate(run, item->a)};
    run->line = node->line;
    return arguments;
}

struct tpl_value weir_tpl_evaluate_filter(struct tpl_run *run, const struct tpl_node *node,
                                          struct tpl_value text)
{
    struct tpl_value value = text;
    weir_tpl_enter(run);
    if (node->a != NULL && node->a->kind == TPL_NODE_FILTER)
        value = weir_tpl_evaluate_filter(run, node->a, text);
    else if (node->a != NULL)
        value = weir_tpl_evaluate(run, node->a);
    struct tpl_arguments arguments = weir_tpl_evaluate_arguments(run, node, "the filter", 0);
    value = weir_tpl_filter(run, node->row, value, &arguments);
    weir_tpl_exit(run);
    return value;
}

static bool evaluate_test(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value value = weir_tpl_evaluate(run, node->a);
    struct tpl_arguments arguments = weir_tpl_evaluate_arguments(run, node, "the test", 0);
    return weir_tpl_test(run, node->row, value, &arguments);
}

static struct tpl_value evaluate_call(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value callee = weir_tpl_evaluate(run, node->a);
    struct tpl_arguments arguments = weir_tpl_evaluate_arguments(run, node, "the call of", 0);
    arguments.name = node->a->value;
    return weir_tpl_call(run, callee, &arguments);
}

static struct tpl_value evaluate_sequence(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_value list = weir_tpl_list(run, node->flag ? TPL_TUPLE : TPL_ITEMS, 0);
    for (const struct tpl_node *item = node->items; item != NULL; item = item->next)
        weir_tpl_list_push(run, list, weir_tpl_evaluate(run, item));
    return list;
}

static struct tpl_value evaluate_mapping(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_value dict = weir_tpl_dict(run, TPL_DICT);
    for (const struct tpl_node *pair = node->items; pair != NULL; pair = pair->next) {
        const struct tpl_value key = weir_tpl_evaluate(run, pair->a);
        weir_tpl_dict_set(run, dict.dict, key, weir_tpl_evaluate(run, pair->b));
    }
    return dict;
}

static struct tpl_value evaluate_item(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value value = weir_tpl_evaluate(run, node->a);
    if (node->b->kind != TPL_NODE_SLICE) {
        const struct tpl_value key = weir_tpl_evaluate(run, node->b);
        run->line = node->line;
        return weir_tpl_item(run, value, key);
    }
    const struct tpl_node *const sides[3] = {node->b->a, node->b->b, node->b->c};
    struct tpl_value parts[3];
    for (size_t part = 0; part < 3; part++)
        parts[part] = sides[part] == NULL ? weir_tpl_none() : weir_tpl_evaluate(run, sides[part]);
    run->line = node->line;
    return weir_tpl_slice(run, value, parts);
}

static struct tpl_value evaluate_sign(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value value = weir_tpl_evaluate(run, node->a);
    weir_tpl_must_be_defined(run, value);
    if (!weir_tpl_is_number(value))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%c' before a %s", (char)node->op,
                      weir_tpl_type(value));
    if (value.kind == TPL_REAL)
        return weir_tpl_real(node->op == '-' ? -value.real : value.real);
    return weir_tpl_arithmetic(run, node->op, weir_tpl_integer(0), value);
}

static struct tpl_value evaluate_join(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_buffer out = {0};
    for (const struct tpl_node *item = node->items; item != NULL; item = item->next)
        weir_tpl_write(run, &out, weir_tpl_evaluate(run, item));
    return weir_tpl_buffer_text(&out);
}

static bool compare(struct tpl_run *run, uint32_t op, struct tpl_value a, struct tpl_value b)
{
    const char sign[] = {(char)(op & 0xff), (char)(op >> 8), 0};
    if (op == TPL_OP('=', '='))
        return weir_tpl_equal(run, a, b);
    if (op == TPL_OP('!', '='))
        return !weir_tpl_equal(run, a, b);
    if (op == TPL_OP_IN || op == TPL_OP_NOT_IN)
        return weir_tpl_contains(run, b, a) == (op == TPL_OP_IN);
    weir_tpl_must_be_defined(run, a);
    weir_tpl_must_be_defined(run, b);
    /* A number that is none is neither below nor above another, nor equal to it. */
    if ((a.kind == TPL_REAL && a.real != a.real) || (b.kind == TPL_REAL && b.real != b.real))
        return false;
    const int order = weir_tpl_compare(run, a, b, sign);
    if (order == 0)
        return sign[1] == '=';
    return (order < 0) == (sign[0] == '<');
}

static bool evaluate_compare(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_value left = weir_tpl_evaluate(run, node->a);
    for (const struct tpl_node *operand = node->items; operand != NULL; operand = operand->next) {
        const struct tpl_value right = weir_tpl_evaluate(run, operand->a);
        run->line = node->line;
        if (!compare(run, operand->op, left, right))
            return false;
        left = right;
    }
    return true;
}

static struct tpl_value evaluate_arithmetic(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value a = weir_tpl_evaluate(run, node->a);
    const struct tpl_value b = weir_tpl_evaluate(run, node->b);
    run->line = node->line;
    return weir_tpl_arithmetic(run, node->op, a, b);
}

/* a or b, a and b: the side that decides, itself. */
static struct tpl_value evaluate_logic(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value left = weir_tpl_evaluate(run, node->a);
    if (weir_tpl_truth(left) == (node->kind == TPL_NODE_OR))
        return left;
    return weir_tpl_evaluate(run, node->b);
}

static struct tpl_value evaluate_choice(struct tpl_run *run, const struct tpl_node *node)
{
    if (weir_tpl_truth(weir_tpl_evaluate(run, node->c)))
        return weir_tpl_evaluate(run, node->a);
    static const char name[] = "an inline if without else";
    return node->b == NULL ? weir_tpl_undefined(name, sizeof(name) - 1)
                           : weir_tpl_evaluate(run, node->b);
}

static struct tpl_value evaluate_member(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value value = weir_tpl_evaluate(run, node->a);
    run->line = node->line;
    return weir_tpl_member(run, value, node->value);
}

static struct tpl_value evaluate_kind(struct tpl_run *run, const struct tpl_node *node)
{
    switch (node->kind) {
    case TPL_NODE_CONST:
        return node->value;
    case TPL_NODE_NAME:
        return weir_tpl_look_up(run, node->value);
    case TPL_NODE_SEQUENCE:
        return evaluate_sequence(run, node);
    case TPL_NODE_MAPPING:
        return evaluate_mapping(run, node);
    case TPL_NODE_NOT:
        return weir_tpl_bool(!weir_tpl_truth(weir_tpl_evaluate(run, node->a)));
    case TPL_NODE_SIGN:
        return evaluate_sign(run, node);
    case TPL_NODE_AND:
    case TPL_NODE_OR:
        return evaluate_logic(run, node);
    case TPL_NODE_ARITHMETIC:
        return evaluate_arithmetic(run, node);
    case TPL_NODE_COMPARE:
        return weir_tpl_bool(evaluate_compare(run, node));
    case TPL_NODE_JOIN:
        return evaluate_join(run, node);
    case TPL_NODE_CHOICE:
        return evaluate_choice(run, node);
    case TPL_NODE_MEMBER:
        return evaluate_member(run, node);
    case TPL_NODE_ITEM:
        return evaluate_item(run, node);
    case TPL_NODE_CALL:
        return evaluate_call(run, node);
    case TPL_NODE_FILTER:
        return weir_tpl_evaluate_filter(run, node, weir_tpl_none());
    case TPL_NODE_TEST:
        return weir_tpl_bool(evaluate_test(run, node));
    default:
        break;
    }
    /* The parser lets a slice stand alone nowhere, and nothing else is left. */
    WEIR_ASSERT(false);
    return weir_tpl_none();
}

struct tpl_value weir_tpl_evaluate(struct tpl_run *run, const struct tpl_node *node)
{
    weir_tpl_enter(run);
    run->line = node->line;
    const struct tpl_value value = evaluate_kind(run, node);
    weir_tpl_exit(run);
    return value;
}
