/* tpl_statement.c - tokens into the tree of a template's statements. */
#include <string.h>

#include "template/template.h"
#include "template/tpl_syntax.h"

/* ---- tokens -------------------------------------------------------------------------------- */

struct tpl_node *weir_tpl_node(struct tpl_parser *parser, enum tpl_node_kind kind)
{
    struct tpl_node *node = weir_tpl_alloc(parser->run, 1, sizeof(*node));
    node->kind = kind;
    node->line = parser->run->line = parser->at->line;
    return node;
}

bool weir_tpl_at_op(const struct tpl_parser *parser, uint32_t op)
{
    return parser->at->kind == TPL_TOKEN_OPERATOR && parser->at->op == op;
}

bool weir_tpl_at_word(const struct tpl_parser *parser, const char *word)
{
    return parser->at->kind == TPL_TOKEN_NAME && weir_tpl_is(parser->at->value, word);
}

bool weir_tpl_skip_op(struct tpl_parser *parser, uint32_t op)
{
    const bool is_here = weir_tpl_at_op(parser, op);
    parser->at += is_here;
    return is_here;
}

bool weir_tpl_skip_word(struct tpl_parser *parser, const char *word)
{
    const bool is_here = weir_tpl_at_word(parser, word);
    parser->at += is_here;
    return is_here;
}

_Noreturn void weir_tpl_unexpected(struct tpl_parser *parser, const char *wanted)
{
    static const char *const names[] = {[TPL_TOKEN_END] = "the end of the template",
                                        [TPL_TOKEN_DATA] = "text",
                                        [TPL_TOKEN_PRINT_BEGIN] = "'{{'",
                                        [TPL_TOKEN_PRINT_END] = "'}}'",
                                        [TPL_TOKEN_BLOCK_BEGIN] = "'{%'",
                                        [TPL_TOKEN_BLOCK_END] = "'%}'"};
    const struct tpl_token *token = parser->at;
    parser->run->line = token->line;
    if (token->kind < TPL_TOKEN_NAME)
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "wanted %s, found %s", wanted,
                      names[token->kind]);
    struct tpl_buffer found = {0};
    weir_tpl_write_repr(parser->run, &found, token->value);
    weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "wanted %s, found %.*s", wanted,
                  (int)weir_min(found.length, 60), found.bytes);
}

void weir_tpl_expect_op(struct tpl_parser *parser, uint32_t op)
{
    const char wanted[] = {'\'', (char)(op & 0xff), '\'', 0};
    if (!weir_tpl_skip_op(parser, op))
        weir_tpl_unexpected(parser, wanted);
}

void weir_tpl_expect_word(struct tpl_parser *parser, const char *word)
{
    if (!weir_tpl_skip_word(parser, word))
        weir_tpl_unexpected(parser, word);
}

struct tpl_value weir_tpl_expect_name(struct tpl_parser *parser, const char *what)
{
    if (parser->at->kind != TPL_TOKEN_NAME)
        weir_tpl_unexpected(parser, what);
    return parser->at++->value;
}

void weir_tpl_nest(struct tpl_parser *parser)
{
    if (++parser->nesting > WEIR_TEMPLATE_NESTING_MAX)
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT,
                      "more than %d blocks and parentheses in each other",
                      WEIR_TEMPLATE_NESTING_MAX);
}

static void expect(struct tpl_parser *parser, enum tpl_token_kind kind, const char *wanted)
{
    if (parser->at->kind != kind)
        weir_tpl_unexpected(parser, wanted);
    parser->at++;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static struct tpl_node *parse_statement(struct tpl_parser *parser);

static bool at_one_of(const struct tpl_parser *parser, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++)
        if (weir_tpl_at_word(parser, *words))
            return true;
    return false;
}

/* Statements up to a tag that begins with one of the words, which is then the next token; to the
 * end of the template where there are none. */
static struct tpl_node *parse_until(struct tpl_parser *parser, const char *const *words)
{
    struct tpl_node *first = NULL, **last = &first;
    const uint32_t line = parser->at->line;
    while (parser->at->kind != TPL_TOKEN_END) {
        struct tpl_node *node = NULL;
        if (parser->at->kind == TPL_TOKEN_DATA) {
            node = weir_tpl_node(parser, TPL_NODE_DATA);
            node->value = parser->at++->value;
        } else if (parser->at->kind == TPL_TOKEN_PRINT_BEGIN) {
            node = weir_tpl_node(parser, TPL_NODE_PRINT);
            parser->at++;
            node->a = weir_tpl_parse_tuple(parser, true, NULL, false);
            expect(parser, TPL_TOKEN_PRINT_END, "'}}'");
        } else {
            expect(parser, TPL_TOKEN_BLOCK_BEGIN, "a tag");
            if (at_one_of(parser, words))
                return first;
            node = parse_statement(parser);
            expect(parser, TPL_TOKEN_BLOCK_END, "'%}'");
        }
        *last = node;
        last = &node->next;
    }
    if (words != NULL) {
        parser->run->line = line;
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "the block that begins here has no '%s'",
                      words[0]);
    }
    return first;
}

/* The rest of a tag, and what follows it up to one of the words. */
static struct tpl_node *parse_body(struct tpl_parser *parser, const char *const *words)
{
    weir_tpl_skip_op(parser, TPL_OP1(':'));
    expect(parser, TPL_TOKEN_BLOCK_END, "'%}'");
    weir_tpl_nest(parser);
    struct tpl_node *body = parse_until(parser, words);
    parser->nesting--;
    return body;
}

static struct tpl_node *parse_body_to(struct tpl_parser *parser, const char *word)
{
    const char *const words[] = {word, NULL};
    struct tpl_node *body = parse_body(parser, words);
    parser->at++;
    return body;
}

/* ---- statements ---------------------------------------------------------------------------- */

static struct tpl_node *parse_if(struct tpl_parser *parser)
{
    static const char *const words[] = {"endif", "elif", "else", NULL};
    struct tpl_node *first = NULL, **place = &first;
    parser->if_count++;
    do {
        struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_IF);
        node->a = weir_tpl_parse_tuple(parser, false, NULL, false);
        node->body = parse_body(parser, words);
        node->flag = weir_tpl_at_word(parser, "elif");
        *place = node;
        place = &node->other;
    } while (weir_tpl_skip_word(parser, "elif"));
    if (weir_tpl_skip_word(parser, "else"))
        *place = parse_body_to(parser, "endif");
    else
        weir_tpl_expect_word(parser, "endif");
    parser->if_count--;
    return first;
}

static struct tpl_node *parse_for(struct tpl_parser *parser)
{
    static const char *const words[] = {"endfor", "else", NULL};
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_FOR);
    node->a = weir_tpl_parse_target(parser, false, "in");
    weir_tpl_expect_word(parser, "in");
    node->b = weir_tpl_parse_tuple(parser, false, "recursive", false);
    if (weir_tpl_skip_word(parser, "if"))
        node->c = weir_tpl_parse_expression(parser, true);
    if (weir_tpl_at_word(parser, "recursive"))
        weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "'for ... recursive' is not built in");
    parser->loop_count++;
    node->body = parse_body(parser, words);
    parser->loop_count--;
    if (weir_tpl_skip_word(parser, "else"))
        node->other = parse_body_to(parser, "endfor");
    else
        weir_tpl_expect_word(parser, "endfor");
    return node;
}

static struct tpl_node *parse_set(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_SET);
    node->a = weir_tpl_parse_target(parser, true, NULL);
    if (weir_tpl_skip_op(parser, TPL_OP1('='))) {
        node->b = weir_tpl_parse_tuple(parser, true, NULL, false);
        return node;
    }
    node->kind = TPL_NODE_SET_BLOCK;
    node->b = weir_tpl_parse_filters(parser, NULL, false);
    node->body = parse_body_to(parser, "endset");
    return node;
}

static struct tpl_node *parse_parameters(struct tpl_parser *parser)
{
    struct tpl_node *first = NULL, **last = &first;
    bool has_default = false;
    weir_tpl_expect_op(parser, TPL_OP1('('));
    while (!weir_tpl_at_op(parser, TPL_OP1(')'))) {
        if (first != NULL)
            weir_tpl_expect_op(parser, TPL_OP1(','));
        struct tpl_node *parameter = weir_tpl_node(parser, TPL_NODE_PARAMETER);
        parameter->value = weir_tpl_expect_name(parser, "a parameter");
        if (weir_tpl_skip_op(parser, TPL_OP1('='))) {
            parameter->a = weir_tpl_parse_expression(parser, true);
            has_default = true;
        } else if (has_default) {
            weir_tpl_fail(parser->run, WEIR_ERR_FORMAT,
                          "a parameter without a default behind one that has one");
        }
        *last = parameter;
        last = &parameter->next;
    }
    weir_tpl_expect_op(parser, TPL_OP1(')'));
    return first;
}

/* The body of a macro or of a call block: no loop outside it is seen from within. */
static void parse_macro_body(struct tpl_parser *parser, struct tpl_node *macro, const char *word)
{
    const uint32_t needs = parser->needs, loop_count = parser->loop_count;
    parser->needs = parser->loop_count = 0;
    macro->body = parse_body_to(parser, word);
    macro->op = parser->needs;
    parser->needs = needs;
    parser->loop_count = loop_count;
}

static struct tpl_node *parse_macro(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_MACRO);
    node->value = weir_tpl_expect_name(parser, "the macro's name");
    node->items = parse_parameters(parser);
    parse_macro_body(parser, node, "endmacro");
    return node;
}

static struct tpl_node *parse_call_block(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_CALL_BLOCK);
    node->b = weir_tpl_node(parser, TPL_NODE_MACRO);
    node->b->value = TPL_WORD("caller");
    if (weir_tpl_at_op(parser, TPL_OP1('(')))
        node->b->items = parse_parameters(parser);
    node->a = weir_tpl_parse_expression(parser, true);
    if (node->a->kind != TPL_NODE_CALL)
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "'call' wants the call of a macro");
    parse_macro_body(parser, node->b, "endcall");
    return node;
}

static struct tpl_node *parse_filter_block(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_FILTER_BLOCK);
    node->b = weir_tpl_parse_filters(parser, NULL, true);
    node->body = parse_body_to(parser, "endfilter");
    return node;
}

static struct tpl_node *parse_with(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_WITH), **last = &node->items;
    while (parser->at->kind != TPL_TOKEN_BLOCK_END) {
        if (node->items != NULL)
            weir_tpl_expect_op(parser, TPL_OP1(','));
        struct tpl_node *set = weir_tpl_node(parser, TPL_NODE_SET);
        set->a = weir_tpl_node(parser, TPL_NODE_NAME);
        set->a->value = weir_tpl_expect_name(parser, "a name");
        weir_tpl_expect_op(parser, TPL_OP1('='));
        set->b = weir_tpl_parse_expression(parser, true);
        *last = set;
        last = &set->next;
    }
    node->body = parse_body_to(parser, "endwith");
    return node;
}

/* What the assistant wrote; nobody asks here which part that is. */
static struct tpl_node *parse_generation(struct tpl_parser *parser)
{
    struct tpl_node *node = weir_tpl_node(parser, TPL_NODE_SCOPE);
    node->body = parse_body_to(parser, "endgeneration");
    return node;
}

static struct tpl_node *parse_jump(struct tpl_parser *parser)
{
    const bool is_break = weir_tpl_is(parser->at[-1].value, "break");
    if (parser->loop_count == 0)
        weir_tpl_fail(parser->run, WEIR_ERR_FORMAT, "'%s' outside of a loop",
                      is_break ? "break" : "continue");
    return weir_tpl_node(parser, is_break ? TPL_NODE_BREAK : TPL_NODE_CONTINUE);
}

static struct tpl_node *parse_statement(struct tpl_parser *parser)
{
    static const struct {
        const char *word;
        struct tpl_node *(*parse)(struct tpl_parser *parser);
    } rows[] = {{"if", parse_if},           {"for", parse_for},
                {"set", parse_set},         {"macro", parse_macro},
                {"call", parse_call_block}, {"filter", parse_filter_block},
                {"with", parse_with},       {"generation", parse_generation},
                {"break", parse_jump},      {"continue", parse_jump}};
    parser->run->line = parser->at->line;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (weir_tpl_skip_word(parser, rows[row].word))
            return rows[row].parse(parser);
    if (parser->at->kind != TPL_TOKEN_NAME)
        weir_tpl_unexpected(parser, "the name of a tag");
    weir_tpl_fail(parser->run, WEIR_ERR_UNSUPPORTED, "the tag '%.*s' is not built in",
                  (int)weir_min(parser->at->value.length, 60), parser->at->value.text);
}

struct tpl_node *weir_tpl_parse(struct tpl_run *run, const char *source, size_t length)
{
    struct tpl_parser parser = {.run = run};
    parser.at = weir_tpl_cut(run, source, length);
    return parse_until(&parser, NULL);
}
