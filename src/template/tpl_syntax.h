/* tpl_syntax.h - a template as tokens and as a tree. */
#ifndef WEIR_TPL_SYNTAX_H
#define WEIR_TPL_SYNTAX_H

#include "template/tpl_value.h"

enum tpl_token_kind {
    TPL_TOKEN_END,
    TPL_TOKEN_DATA,
    TPL_TOKEN_PRINT_BEGIN,
    TPL_TOKEN_PRINT_END,
    TPL_TOKEN_BLOCK_BEGIN,
    TPL_TOKEN_BLOCK_END,
    TPL_TOKEN_NAME,
    TPL_TOKEN_CONST,    /* a text or a number */
    TPL_TOKEN_OPERATOR, /* value: its characters, as text */
};

struct tpl_token {
    enum tpl_token_kind kind;
    uint32_t line;
    uint32_t op; /* TPL_OP() of an operator */
    struct tpl_value value;
};

/* An operator as a number, so that it can be switched on. */
#define TPL_OP(first, second) ((uint32_t)(first) | (uint32_t)(second) << 8)
#define TPL_OP1(first) TPL_OP(first, 0)
/* Operators that are words. */
#define TPL_OP_IN TPL_OP('i', 'n')
#define TPL_OP_NOT_IN TPL_OP('n', 'i')

/* source: its line ends as Jinja makes them, "\n", none at the very end. TPL_TOKEN_END is last. */
struct tpl_token *weir_tpl_cut(struct tpl_run *run, const char *source, size_t length);

enum tpl_node_kind {
    /* expressions */
    TPL_NODE_CONST,      /* value */
    TPL_NODE_NAME,       /* value */
    TPL_NODE_SEQUENCE,   /* items; flag: a tuple */
    TPL_NODE_MAPPING,    /* items: pairs */
    TPL_NODE_PAIR,       /* a: b */
    TPL_NODE_NOT,        /* a */
    TPL_NODE_SIGN,       /* op, a */
    TPL_NODE_AND,        /* a, b */
    TPL_NODE_OR,         /* a, b */
    TPL_NODE_ARITHMETIC, /* a op b */
    TPL_NODE_COMPARE,    /* a, items: operands */
    TPL_NODE_OPERAND,    /* op, a */
    TPL_NODE_JOIN,       /* items */
    TPL_NODE_CHOICE,     /* a if c else b, which may be NULL */
    TPL_NODE_MEMBER,     /* a.value */
    TPL_NODE_ITEM,       /* a[b] */
    TPL_NODE_SLICE,      /* [a:b:c], each may be NULL */
    TPL_NODE_CALL,       /* a, items: arguments */
    TPL_NODE_ARGUMENT,   /* a; value: its keyword, or undefined */
    TPL_NODE_FILTER,     /* a (NULL: the text of the block around it) | value, items: arguments */
    TPL_NODE_TEST,       /* a is value, items: arguments */
    /* statements */
    TPL_NODE_DATA,         /* value */
    TPL_NODE_PRINT,        /* a */
    TPL_NODE_IF,           /* a, body; other: the elif (flag) or what else stands for */
    TPL_NODE_FOR,          /* for a in b if c, body; other: else */
    TPL_NODE_SET,          /* a = b */
    TPL_NODE_SET_BLOCK,    /* a, b: filters or NULL, body */
    TPL_NODE_MACRO,        /* value, items: parameters, body; op: enum tpl_macro_needs */
    TPL_NODE_PARAMETER,    /* value; a: default or NULL */
    TPL_NODE_CALL_BLOCK,   /* a: the call, b: the macro that is its caller */
    TPL_NODE_FILTER_BLOCK, /* b: filters, body */
    TPL_NODE_WITH,         /* items: sets, body */
    TPL_NODE_SCOPE,        /* body */
    TPL_NODE_BREAK,
    TPL_NODE_CONTINUE,
};

/* Names that a macro's body reads and nobody gives it by name. */
enum tpl_macro_needs { TPL_NEEDS_CALLER = 1, TPL_NEEDS_VARARGS = 2, TPL_NEEDS_KWARGS = 4 };

struct tpl_node {
    enum tpl_node_kind kind;
    uint32_t op;
    uint32_t line;
    bool flag;
    struct tpl_value value;
    struct tpl_node *a, *b, *c;
    struct tpl_node *items, *body, *other; /* chains */
    struct tpl_node *next;                 /* in its chain */
    const void *row;                       /* of a filter or a test; NULL: there is none */
};

/* The statements of a whole template. */
struct tpl_node *weir_tpl_parse(struct tpl_run *run, const char *source, size_t length);

/* ---- between the two files of the parser --------------------------------------------------- */

struct tpl_parser {
    struct tpl_run *run;
    const struct tpl_token *at;
    uint32_t nesting;
    uint32_t if_count;   /* conditions around: what nobody knows may be there unreached */
    uint32_t loop_count; /* loops around, in this macro */
    uint32_t needs;      /* enum tpl_macro_needs of this macro */
};

struct tpl_node *weir_tpl_node(struct tpl_parser *parser, enum tpl_node_kind kind);
bool weir_tpl_at_op(const struct tpl_parser *parser, uint32_t op);
bool weir_tpl_at_word(const struct tpl_parser *parser, const char *word);
bool weir_tpl_skip_op(struct tpl_parser *parser, uint32_t op);
bool weir_tpl_skip_word(struct tpl_parser *parser, const char *word);
void weir_tpl_expect_op(struct tpl_parser *parser, uint32_t op);
void weir_tpl_expect_word(struct tpl_parser *parser, const char *word);
/* The name here; what says what it is for. */
struct tpl_value weir_tpl_expect_name(struct tpl_parser *parser, const char *what);
_Noreturn void weir_tpl_unexpected(struct tpl_parser *parser, const char *wanted);
void weir_tpl_nest(struct tpl_parser *parser);

struct tpl_node *weir_tpl_parse_expression(struct tpl_parser *parser, bool with_choice);
/* Several with commas are a tuple; ends before the word stop (NULL: none). */
struct tpl_node *weir_tpl_parse_tuple(struct tpl_parser *parser, bool with_choice, const char *stop,
                                      bool may_be_empty);
/* What set and for assign to. */
struct tpl_node *weir_tpl_parse_target(struct tpl_parser *parser, bool with_namespace,
                                       const char *stop);
/* | filters of base, or with starts_inline the first without its bar. */
struct tpl_node *weir_tpl_parse_filters(struct tpl_parser *parser, struct tpl_node *base,
                                        bool starts_inline);

#endif
