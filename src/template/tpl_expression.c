/* tpl_expression.c - tokens into the tree of an expression, by Jinja's grammar and precedence. */
#include <string.h>

#include "template/template.h"
#include "template/tpl_evaluate.h"
#include "template/tpl_syntax.h"

static struct tpl_node *parse_choice(struct tpl_parser *parser, bool with_choice);
static struct tpl_node *parse_unary(struct tpl_parser *parser, bool with_filters);
static struct tpl_node *parse_primary(struct tpl_parser *parser, bool with_namespace);
static struct tpl_node *parse_postfix(struct tpl_parser *parser, struct tpl_node *node);

/* Append to the chain whose first node is *first. */
struct chain {
    struct tpl_node *first, *last;
};

static void append(struct chain *chain, struct tpl_node *node)
{
    if (chain->last == NULL)
        chain->first = node;
    else
        chain->last->next = node;
    chain->last = node;
}

static struct tpl_node *make(struct tpl_parser *parser, enum tpl_node_kind kind, struct tpl_node *a,
                             struct tpl_node *b)
{
    struct tpl_node *node = weir_tpl_node(parser, kind);
    if (a != NULL)
        node->line = a->line;
    node->a = a;
    node->b = b;
    return node;
}

/* ---- calls --------------------------------------------------------------------------------- */

static struct tpl_node *parse_arguments(struct tpl_parser *parser)
{
    struct chain chain = {NULL, NULL};
    bool has_keyword = false;
    weir_tpl_expect_op(parser, TPL_OP1('('));
    while (!weir_tpl_at_op(parser, TPL_OP1(')'))) {
        if (chain.first != NULL) {
            weir_tpl_expect_op(parser, TPL_OP1(','));
            if (weir_tpl_at_op(parser, TPL_OP1(')')))
                break;
        }
        if (weir_tpl_at_op(parser, TPL_OP1('*')) || weir_tpl_at_op(parser, TPL_OP('*', '*')))
            weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "arguments with '*' are not built in");
        struct tpl_node *argument = weir_tpl_node(parser, TPL_NODE_ARGUMENT);
        const struct tpl_token *behind = parser->at + (parser->at->kind != TPL_TOKEN_END);
        if (parser->at->kind == TPL_TOKEN_NAME && behind->kind == TPL_TOKEN_OPERATOR &&
            behind->op == TPL_OP1('=')) {
            argument->value = parser->at->value;
            parser->at += 2;
            has_keyword = true;
        } else if (has_keyword) {
            weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "an argument without a name behind one");
        }
        argument->a = weir_tpl_parse_expression(parser, true);
        append(&chain, argument);
    }
    weir_tpl_expect_op(parser, TPL_OP1(')'));
    return chain.first;
}

/* A name of a filter or a test, which may have dots in it. */
static struct tpl_value parse_dotted(struct tpl_parser *parser, const char *what)
{
    const struct tpl_value name = weir_tpl_expect_name(parser, what);
    if (weir_tpl_at_op(parser, TPL_OP1('.')))
        weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "%s '%.*s.' is not built in", what,
                      (int)name.length, name.text);
    return name;
}

struct tpl_node *weir_tpl_parse_filters(struct tpl_parser *parser, struct tpl_node *base,
                                        bool starts_inline)
{
    while (starts_inline || weir_tpl_skip_op(parser, TPL_OP1('|'))) {
        starts_inline = false;
        struct tpl_node *filter = weir_tpl_node(parser, TPL_NODE_FILTER);
        filter->value = parse_dotted(parser, "the filter");
        filter->row = weir_tpl_find_filter(filter->value);
        if (filter->row == NULL && parser->if_count == 0)
            weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "the filter '%.*s' is not built in",
                          (int)filter->value.length, filter->value.text);
        if (weir_tpl_at_op(parser, TPL_OP1('(')))
            filter->items = parse_arguments(parser);
        filter->a = base;
        base = filter;
    }
    return base;
}

static bool starts_test_argument(const struct tpl_parser *parser)
{
    if (weir_tpl_at_word(parser, "else") || weir_tpl_at_word(parser, "or") ||
        weir_tpl_at_word(parser, "and"))
        return false;
    return parser->at->kind == TPL_TOKEN_NAME || parser->at->kind == TPL_TOKEN_CONST ||
           weir_tpl_at_op(parser, TPL_OP1('[')) || weir_tpl_at_op(parser, TPL_OP1('{'));
}

static struct tpl_node *parse_test(struct tpl_parser *parser, struct tpl_node *base)
{
    const bool negated = weir_tpl_skip_word(parser, "not");
    struct tpl_node *test = weir_tpl_node(parser, TPL_NODE_TEST);
    test->value = parse_dotted(parser, "the test");
    test->row = weir_tpl_find_test(test->value);
    test->a = base;
    if (test->row == NULL && parser->if_count == 0)
        weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "the test '%.*s' is not built in",
                      (int)test->value.length, test->value.text);
    if (weir_tpl_at_op(parser, TPL_OP1('('))) {
        test->items = parse_arguments(parser);
    } else if (starts_test_argument(parser)) {
        if (weir_tpl_at_word(parser, "is"))
            weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "'is' behind 'is'");
        test->items = weir_tpl_node(parser, TPL_NODE_ARGUMENT);
        test->items->a = parse_postfix(parser, parse_primary(parser, false));
    }
    return negated ? make(parser, TPL_NODE_NOT, test, NULL) : test;
}

/* ---- what has brackets --------------------------------------------------------------------- */

static struct tpl_node *parse_subscript_part(struct tpl_parser *parser)
{
    struct tpl_node *first = NULL;
    if (!weir_tpl_at_op(parser, TPL_OP1(':'))) {
        first = weir_tpl_parse_expression(parser, true);
        if (!weir_tpl_at_op(parser, TPL_OP1(':')))
            return first;
    }
    struct tpl_node *slice = weir_tpl_node(parser, TPL_NODE_SLICE);
    slice->a = first;
    struct tpl_node **const rest[] = {&slice->b, &slice->c};
    for (size_t part = 0; part < 2 && weir_tpl_skip_op(parser, TPL_OP1(':')); part++)
        if (!weir_tpl_at_op(parser, TPL_OP1(':')) && !weir_tpl_at_op(parser, TPL_OP1(']')) &&
            !weir_tpl_at_op(parser, TPL_OP1(',')))
            *rest[part] = weir_tpl_parse_expression(parser, true);
    return slice;
}

static struct tpl_node *parse_subscript(struct tpl_parser *parser, struct tpl_node *base)
{
    if (weir_tpl_skip_op(parser, TPL_OP1('.'))) {
        const bool is_index =
            parser->at->kind == TPL_TOKEN_CONST && parser->at->value.kind == TPL_INTEGER;
        struct tpl_node *member = weir_tpl_node(parser, is_index ? TPL_NODE_ITEM : TPL_NODE_MEMBER);
        member->a = base;
        if (is_index) {
            member->b = weir_tpl_node(parser, TPL_NODE_CONST);
            member->b->value = parser->at++->value;
        } else {
            member->value = weir_tpl_expect_name(parser, "an attribute");
        }
        return member;
    }
    struct tpl_node *item = weir_tpl_node(parser, TPL_NODE_ITEM);
    weir_tpl_expect_op(parser, TPL_OP1('['));
    item->a = base;
    item->b = parse_subscript_part(parser);
    if (weir_tpl_at_op(parser, TPL_OP1(',')))
        weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED,
                      "several subscripts with ',' are not built in");
    weir_tpl_expect_op(parser, TPL_OP1(']'));
    return item;
}

static struct tpl_node *parse_postfix(struct tpl_parser *parser, struct tpl_node *node)
{
    for (;;) {
        if (weir_tpl_at_op(parser, TPL_OP1('.')) || weir_tpl_at_op(parser, TPL_OP1('['))) {
            node = parse_subscript(parser, node);
        } else if (weir_tpl_at_op(parser, TPL_OP1('('))) {
            node = make(parser, TPL_NODE_CALL, node, NULL);
            node->items = parse_arguments(parser);
        } else {
            return node;
        }
    }
}

static struct tpl_node *parse_list(struct tpl_parser *parser)
{
    struct tpl_node *list = weir_tpl_node(parser, TPL_NODE_SEQUENCE);
    struct chain chain = {NULL, NULL};
    weir_tpl_expect_op(parser, TPL_OP1('['));
    while (!weir_tpl_at_op(parser, TPL_OP1(']'))) {
        append(&chain, weir_tpl_parse_expression(parser, true));
        if (!weir_tpl_skip_op(parser, TPL_OP1(',')))
            break;
    }
    weir_tpl_expect_op(parser, TPL_OP1(']'));
    list->items = chain.first;
    return list;
}

static struct tpl_node *parse_mapping(struct tpl_parser *parser)
{
    struct tpl_node *mapping = weir_tpl_node(parser, TPL_NODE_MAPPING);
    struct chain chain = {NULL, NULL};
    weir_tpl_expect_op(parser, TPL_OP1('{'));
    while (!weir_tpl_at_op(parser, TPL_OP1('}'))) {
        struct tpl_node *pair = weir_tpl_node(parser, TPL_NODE_PAIR);
        pair->a = weir_tpl_parse_expression(parser, true);
        weir_tpl_expect_op(parser, TPL_OP1(':'));
        pair->b = weir_tpl_parse_expression(parser, true);
        append(&chain, pair);
        if (!weir_tpl_skip_op(parser, TPL_OP1(',')))
            break;
    }
    weir_tpl_expect_op(parser, TPL_OP1('}'));
    mapping->items = chain.first;
    return mapping;
}

static struct tpl_node *parse_name(struct tpl_parser *parser, bool with_namespace)
{
    static const struct {
        const char *word;
        enum tpl_kind kind;
        int64_t integer;
    } words[] = {{"true", TPL_BOOL, 1},  {"True", TPL_BOOL, 1}, {"false", TPL_BOOL, 0},
                 {"False", TPL_BOOL, 0}, {"none", TPL_NONE, 0}, {"None", TPL_NONE, 0}};
    static const char *const needs[] = {"caller", "varargs", "kwargs"};
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_NAME);
    node->value = weir_tpl_expect_name(parser, "an expression");
    for (size_t index = 0; index < WEIR_COUNT(words); index++) {
        if (!weir_tpl_is(node->value, words[index].word))
            continue;
        node->kind = TPL_NODE_CONST;
        node->value =
            (struct tpl_value){.kind = (uint8_t)words[index].kind, .integer = words[index].integer};
        return node;
    }
    for (size_t index = 0; index < WEIR_COUNT(needs); index++)
        if (weir_tpl_is(node->value, needs[index]))
            parser->needs |= 1u << index;
    if (with_namespace && weir_tpl_skip_op(parser, TPL_OP1('.'))) {
        struct tpl_node *member = make(parser, TPL_NODE_MEMBER, node, NULL);
        member->value = weir_tpl_expect_name(parser, "an attribute");
        return member;
    }
    return node;
}

static struct tpl_node *parse_primary(struct tpl_parser *parser, bool with_namespace)
{
    if (parser->at->kind == TPL_TOKEN_NAME)
        return parse_name(parser, with_namespace);
    if (parser->at->kind == TPL_TOKEN_CONST) {
        struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_CONST);
        node->value = parser->at++->value;
        /* Texts beside each other are one. */
        while (node->value.kind == TPL_TEXT && parser->at->kind == TPL_TOKEN_CONST &&
               parser->at->value.kind == TPL_TEXT) {
            struct tpl_buffer both = {0};
            weir_tpl_push(parser->run, &both, node->value.text, node->value.length);
            weir_tpl_push(parser->run, &both, parser->at->value.text, parser->at->value.length);
            node->value = weir_tpl_buffer_text(&both);
            parser->at++;
        }
        return node;
    }
    if (weir_tpl_skip_op(parser, TPL_OP1('('))) {
        struct tpl_node *node = weir_tpl_parse_tuple(parser, true, NULL, true);
        weir_tpl_expect_op(parser, TPL_OP1(')'));
        return node;
    }
    if (weir_tpl_at_op(parser, TPL_OP1('[')))
        return parse_list(parser);
    if (weir_tpl_at_op(parser, TPL_OP1('{')))
        return parse_mapping(parser);
    weir_tpl_unexpected(parser, "an expression");
}

/* ---- operators, from those that bind most ---------------------------------------------------- */

static struct tpl_node *parse_unary(struct tpl_parser *parser, bool with_filters)
{
    struct tpl_node *node;
    weir_tpl_nest(parser);
    if (weir_tpl_at_op(parser, TPL_OP1('-')) || weir_tpl_at_op(parser, TPL_OP1('+'))) {
        const uint32_t op = parser->at++->op;
        node = make(parser, TPL_NODE_SIGN, parse_unary(parser, false), NULL);
        node->op = op;
    } else {
        node = parse_primary(parser, false);
    }
    node = parse_postfix(parser, node);
    while (with_filters) {
        if (weir_tpl_at_op(parser, TPL_OP1('|'))) {
            node = weir_tpl_parse_filters(parser, node, false);
        } else if (weir_tpl_skip_word(parser, "is")) {
            node = parse_test(parser, node);
        } else if (weir_tpl_at_op(parser, TPL_OP1('('))) {
            node = make(parser, TPL_NODE_CALL, node, NULL);
            node->items = parse_arguments(parser);
        } else {
            break;
        }
    }
    parser->nesting--;
    return node;
}

/* Left to right: a chain of operators of one level; ops ends with 0. */
static struct tpl_node *fold(struct tpl_parser *parser, struct tpl_node *left,
                             struct tpl_node *(*parse_side)(struct tpl_parser *),
                             const uint32_t *ops)
{
    for (;;) {
        const uint32_t *op = ops;
        while (*op != 0 && !weir_tpl_at_op(parser, *op))
            op++;
        if (*op == 0)
            return left;
        parser->at++;
        left = make(parser, TPL_NODE_ARITHMETIC, left, parse_side(parser));
        left->op = *op;
    }
}

static struct tpl_node *parse_unary_side(struct tpl_parser *parser)
{
    return parse_unary(parser, true);
}

static struct tpl_node *parse_power(struct tpl_parser *parser)
{
    static const uint32_t ops[] = {TPL_OP('*', '*'), 0};
    return fold(parser, parse_unary(parser, true), parse_unary_side, ops);
}

static struct tpl_node *parse_product(struct tpl_parser *parser)
{
    static const uint32_t ops[] = {TPL_OP1('*'), TPL_OP1('/'), TPL_OP('/', '/'), TPL_OP1('%'), 0};
    return fold(parser, parse_power(parser), parse_power, ops);
}

static struct tpl_node *parse_join(struct tpl_parser *parser)
{
    struct tpl_node *first = parse_product(parser);
    if (!weir_tpl_at_op(parser, TPL_OP1('~')))
        return first;
    struct tpl_node *join = weir_tpl_node(parser, TPL_NODE_JOIN);
    struct chain chain = {first, first};
    while (weir_tpl_skip_op(parser, TPL_OP1('~')))
        append(&chain, parse_product(parser));
    join->items = chain.first;
    return join;
}

static struct tpl_node *parse_sum(struct tpl_parser *parser)
{
    static const uint32_t ops[] = {TPL_OP1('+'), TPL_OP1('-'), 0};
    return fold(parser, parse_join(parser), parse_join, ops);
}

static uint32_t skip_comparison(struct tpl_parser *parser)
{
    static const uint32_t ops[] = {TPL_OP('=', '='), TPL_OP('!', '='), TPL_OP('<', '='),
                                   TPL_OP('>', '='), TPL_OP1('<'),     TPL_OP1('>')};
    for (size_t index = 0; index < WEIR_COUNT(ops); index++)
        if (weir_tpl_skip_op(parser, ops[index]))
            return ops[index];
    if (weir_tpl_skip_word(parser, "in"))
        return TPL_OP_IN;
    if (weir_tpl_at_word(parser, "not") && parser->at[1].kind == TPL_TOKEN_NAME &&
        weir_tpl_is(parser->at[1].value, "in")) {
        parser->at += 2;
        return TPL_OP_NOT_IN;
    }
    return 0;
}

static struct tpl_node *parse_comparison(struct tpl_parser *parser)
{
    struct tpl_node *first = parse_sum(parser);
    uint32_t op = skip_comparison(parser);
    if (op == 0)
        return first;
    struct tpl_node *compare = make(parser, TPL_NODE_COMPARE, first, NULL);
    struct chain chain = {NULL, NULL};
    for (; op != 0; op = skip_comparison(parser)) {
        struct tpl_node *operand = make(parser, TPL_NODE_OPERAND, parse_sum(parser), NULL);
        operand->op = op;
        append(&chain, operand);
    }
    compare->items = chain.first;
    return compare;
}

static struct tpl_node *parse_not(struct tpl_parser *parser)
{
    if (!weir_tpl_skip_word(parser, "not"))
        return parse_comparison(parser);
    weir_tpl_nest(parser);
    struct tpl_node *node = make(parser, TPL_NODE_NOT, parse_not(parser), NULL);
    parser->nesting--;
    return node;
}

static struct tpl_node *parse_and(struct tpl_parser *parser)
{
    struct tpl_node *left = parse_not(parser);
    while (weir_tpl_skip_word(parser, "and"))
        left = make(parser, TPL_NODE_AND, left, parse_not(parser));
    return left;
}

static struct tpl_node *parse_or(struct tpl_parser *parser)
{
    struct tpl_node *left = parse_and(parser);
    while (weir_tpl_skip_word(parser, "or"))
        left = make(parser, TPL_NODE_OR, left, parse_and(parser));
    return left;
}

static struct tpl_node *parse_choice(struct tpl_parser *parser, bool with_choice)
{
    weir_tpl_nest(parser);
    struct tpl_node *node = parse_or(parser);
    while (with_choice && weir_tpl_skip_word(parser, "if")) {
        node = make(parser, TPL_NODE_CHOICE, node, NULL);
        node->c = parse_or(parser);
        if (weir_tpl_skip_word(parser, "else"))
            node->b = parse_choice(parser, true);
    }
    parser->nesting--;
    return node;
}

struct tpl_node *weir_tpl_parse_expression(struct tpl_parser *parser, bool with_choice)
{
    return parse_choice(parser, with_choice);
}

/* ---- tuples and targets -------------------------------------------------------------------- */

static bool ends_tuple(const struct tpl_parser *parser, const char *stop)
{
    return parser->at->kind == TPL_TOKEN_PRINT_END || parser->at->kind == TPL_TOKEN_BLOCK_END ||
           weir_tpl_at_op(parser, TPL_OP1(')')) || (stop != NULL && weir_tpl_at_word(parser, stop));
}

enum part { PART_EXPRESSION, PART_CONDITION, PART_TARGET, PART_TARGET_OR_MEMBER };

static struct tpl_node *parse_several(struct tpl_parser *parser, enum part part, const char *stop,
                                      bool may_be_empty)
{
    struct chain chain = {NULL, NULL};
    struct tpl_node *tuple = weir_tpl_node(parser, TPL_NODE_SEQUENCE);
    bool is_tuple = false;
    while (!ends_tuple(parser, stop)) {
        append(&chain, part <= PART_CONDITION
                           ? weir_tpl_parse_expression(parser, part == PART_EXPRESSION)
                           : parse_primary(parser, part == PART_TARGET_OR_MEMBER));
        if (!weir_tpl_skip_op(parser, TPL_OP1(',')))
            break;
        is_tuple = true;
    }
    if (chain.first == NULL && !may_be_empty)
        weir_tpl_unexpected(parser, "an expression");
    if (chain.first != NULL && !is_tuple)
        return chain.first;
    tuple->flag = true;
    tuple->items = chain.first;
    return tuple;
}

struct tpl_node *weir_tpl_parse_tuple(struct tpl_parser *parser, bool with_choice, const char *stop,
                                      bool may_be_empty)
{
    return parse_several(parser, with_choice ? PART_EXPRESSION : PART_CONDITION, stop,
                         may_be_empty);
}

static void must_be_target(struct tpl_parser *parser, const struct tpl_node *target)
{
    if (target->kind == TPL_NODE_SEQUENCE && target->flag) {
        for (const struct tpl_node *item = target->items; item != NULL; item = item->next)
            must_be_target(parser, item);
        return;
    }
    if (target->kind != TPL_NODE_NAME && target->kind != TPL_NODE_MEMBER) {
        parser->run->line = target->line;
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "this is nothing to assign to");
    }
}

struct tpl_node *weir_tpl_parse_target(struct tpl_parser *parser, bool with_namespace,
                                       const char *stop)
{
    struct tpl_node *target =
        parse_several(parser, with_namespace ? PART_TARGET_OR_MEMBER : PART_TARGET, stop, false);
    must_be_target(parser, target);
    return target;
}
