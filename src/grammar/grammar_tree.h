/* grammar_tree.h - a grammar as it is written: what the parser makes and the compiler reads. */
#ifndef WEIR_GRAMMAR_TREE_H
#define WEIR_GRAMMAR_TREE_H

#include "grammar/grammar.h"

enum { WEIR_TREE_NONE = 0, WEIR_REPEAT_FOREVER = UINT32_MAX };

enum weir_tree_kind {
    WEIR_TREE_CHARS,   /* one character of ranges [from, from + count) */
    WEIR_TREE_LITERAL, /* bytes [from, from + count) */
    WEIR_TREE_CALL,    /* rule number from */
    WEIR_TREE_SEQUENCE,
    WEIR_TREE_CHOICE,
    WEIR_TREE_REPEAT, /* its one child, from least to most times */
};

struct weir_tree_node {
    enum weir_tree_kind kind;
    uint32_t child, next; /* the first of its children, and its own next sibling; 0: none */
    uint32_t from, count; /* of a repeat: least and most */
};

struct weir_tree_range {
    uint32_t low, high; /* characters */
};

struct weir_tree_rule {
    uint32_t name_at;
    uint32_t node; /* 0: it is called and not defined */
    size_t offset; /* where it is defined, or else first called */
};

/* An array that grows. */
struct weir_tree_array {
    void *items;
    uint32_t count, capacity;
};

/* Node 0 is none. */
struct weir_tree {
    const char *what, *text;
    size_t length;
    struct weir_err *err;
    struct weir_tree_array nodes, ranges, bytes, rules, names;
};

struct weir_place_in_text {
    uint32_t line, column;
};

/* What fails here sets tree->err. */
enum weir_status weir_tree_grow(struct weir_tree *tree, struct weir_tree_array *array,
                                uint32_t count, size_t each);
static inline struct weir_tree_node *weir_tree_node(const struct weir_tree *tree, uint32_t node)
{
    return (struct weir_tree_node *)tree->nodes.items + node;
}
static inline struct weir_tree_rule *weir_tree_rule(const struct weir_tree *tree, uint32_t rule)
{
    return (struct weir_tree_rule *)tree->rules.items + rule;
}
static inline const char *weir_tree_name(const struct weir_tree *tree, uint32_t rule)
{
    return (const char *)tree->names.items + weir_tree_rule(tree, rule)->name_at;
}
struct weir_place_in_text weir_tree_place(const struct weir_tree *tree, size_t offset);
void weir_tree_deinit(struct weir_tree *tree);

/* gbnf.c: text to tree. */
enum weir_status weir_gbnf_parse(struct weir_tree *tree);
/* grammar_check.c: no rule begins with itself, each can end. */
enum weir_status weir_tree_check(struct weir_tree *tree);
/* emit.c: the tree's program; rule `root` is the text. */
enum weir_status weir_tree_emit(const struct weir_tree *tree, uint32_t root,
                                struct weir_program **out);
/* least.c: fills program->least. False: it would take too long. */
bool weir_program_find_least(struct weir_program *program);

/* utf8_ranges.c: the characters from low to high as sequences of byte ranges, each told to visit in
 * order; false from it ends the walk. Surrogates are left out. */
struct weir_byte_range {
    uint8_t low, high;
};
typedef bool weir_utf8_visit_fn(void *user, const struct weir_byte_range *bytes, uint32_t count);
bool weir_utf8_ranges(uint32_t low, uint32_t high, weir_utf8_visit_fn *visit, void *user);

#endif
