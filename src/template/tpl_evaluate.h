/* tpl_evaluate.h - a template's tree as it runs. */
#ifndef WEIR_TPL_EVALUATE_H
#define WEIR_TPL_EVALUATE_H

#include "template/tpl_syntax.h"

/* ---- names --------------------------------------------------------------------------------- */

struct tpl_binding {
    struct tpl_binding *next;
    struct tpl_value name, value;
};

/* What was set in one body; each turn of a loop has its own. */
struct tpl_scope {
    struct tpl_scope *parent;
    struct tpl_binding *bindings;
};

/* Begin one inside parent and make it the run's. Its caller puts the old one back. */
void weir_tpl_open_scope(struct tpl_run *run, struct tpl_scope *parent);
void weir_tpl_bind(struct tpl_run *run, struct tpl_value name, struct tpl_value value);
struct tpl_value weir_tpl_look_up(struct tpl_run *run, struct tpl_value name);

/* ---- arguments ----------------------------------------------------------------------------- */

struct tpl_argument {
    struct tpl_value keyword; /* a text, or undefined */
    struct tpl_value value;
    bool is_used;
};

struct tpl_arguments {
    struct tpl_argument *items; /* those with keywords are last */
    uint32_t count;
    /* For messages: "the filter", "join". */
    const char *what;
    struct tpl_value name;
};

/* The argument at that place (counted from 0) or of that name; NULL where it was not given. */
const struct tpl_value *weir_tpl_take(struct tpl_arguments *arguments, uint32_t place,
                                      const char *keyword);
/* The same, as what it must be; fallback where it was not given (or is None). */
struct tpl_value weir_tpl_take_or(struct tpl_arguments *arguments, uint32_t place,
                                  const char *keyword, struct tpl_value fallback);
struct tpl_value weir_tpl_take_text(struct tpl_run *run, struct tpl_arguments *arguments,
                                    uint32_t place, const char *keyword, const char *fallback);
int64_t weir_tpl_take_integer(struct tpl_run *run, struct tpl_arguments *arguments, uint32_t place,
                              const char *keyword, int64_t fallback);
bool weir_tpl_take_flag(struct tpl_arguments *arguments, uint32_t place, const char *keyword,
                        bool fallback);
/* Fails where one was given that nobody took. */
void weir_tpl_end_arguments(struct tpl_run *run, const struct tpl_arguments *arguments);
/* Without the first skipped ones that have no keyword. */
struct tpl_arguments weir_tpl_rest(struct tpl_arguments arguments, uint32_t skipped);
_Noreturn void weir_tpl_argument_missing(struct tpl_run *run, const struct tpl_arguments *arguments,
                                         const char *keyword);

/* ---- filters, tests, methods, functions: rows of tables ------------------------------------- */

struct tpl_filter_row {
    const char *name;
    struct tpl_value (*apply)(struct tpl_run *run, struct tpl_value value,
                              struct tpl_arguments *arguments);
};
struct tpl_test_row {
    const char *name;
    bool (*holds)(struct tpl_run *run, struct tpl_value value, struct tpl_arguments *arguments);
};
struct tpl_method_row {
    enum tpl_kind kind; /* of what has it */
    const char *name;
    /* NULL: Python has it and templates do not. */
    struct tpl_value (*call)(struct tpl_run *run, struct tpl_value self,
                             struct tpl_arguments *arguments);
};

/* NULL: not built in. */
const struct tpl_filter_row *weir_tpl_find_filter(struct tpl_value name);
const struct tpl_filter_row *weir_tpl_find_list_filter(struct tpl_value name);
const struct tpl_test_row *weir_tpl_find_test(struct tpl_value name);
const struct tpl_method_row *weir_tpl_find_method(enum tpl_kind kind, struct tpl_value name);
/* False: there is no such function. */
bool weir_tpl_find_function(struct tpl_value name, struct tpl_value *function);

/* Apply it; row may be NULL, which fails. */
struct tpl_value weir_tpl_filter(struct tpl_run *run, const struct tpl_filter_row *row,
                                 struct tpl_value value, struct tpl_arguments *arguments);
bool weir_tpl_test(struct tpl_run *run, const struct tpl_test_row *row, struct tpl_value value,
                   struct tpl_arguments *arguments);
struct tpl_value weir_tpl_call(struct tpl_run *run, struct tpl_value callee,
                               struct tpl_arguments *arguments);
struct tpl_value weir_tpl_call_function(struct tpl_run *run, struct tpl_value function,
                                        struct tpl_arguments *arguments);
struct tpl_value weir_tpl_call_macro(struct tpl_run *run, const struct tpl_macro *macro,
                                     struct tpl_arguments *arguments);

/* ---- parts of values: tpl_member.c ---------------------------------------------------------- */

/* value.name */
struct tpl_value weir_tpl_member(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_value name);
/* value[key] */
struct tpl_value weir_tpl_item(struct tpl_run *run, struct tpl_value value, struct tpl_value key);
/* value[from:to:step]; NULL: not given. */
struct tpl_value weir_tpl_slice(struct tpl_run *run, struct tpl_value value,
                                const struct tpl_value parts[3]);
/* Fails for what is undefined, which is only text, a condition, or without items. */
void weir_tpl_must_be_defined(struct tpl_run *run, struct tpl_value value);

/* ---- the tree ------------------------------------------------------------------------------- */

enum tpl_flow { TPL_GOES_ON, TPL_BREAKS, TPL_CONTINUES };

struct tpl_value weir_tpl_evaluate(struct tpl_run *run, const struct tpl_node *node);
struct tpl_value weir_tpl_arithmetic(struct tpl_run *run, uint32_t op, struct tpl_value a,
                                     struct tpl_value b);
struct tpl_value weir_tpl_evaluate_filter(struct tpl_run *run, const struct tpl_node *node,
                                          struct tpl_value text);
struct tpl_arguments weir_tpl_evaluate_arguments(struct tpl_run *run, const struct tpl_node *node,
                                                 const char *what, uint32_t spare);
enum tpl_flow weir_tpl_execute(struct tpl_run *run, const struct tpl_node *chain);

#endif
