/* grammar_check.c - refuses rules that begin with themselves, and rules that cannot end. */
#include <string.h>

#include "base/heap.h"
#include "grammar/grammar_tree.h"

enum { WORK_MAX = 1 << 25 /* nodes looked at; half a second at most */ };

struct checker {
    const struct weir_tree *tree;
    uint8_t *marks; /* [rules] */
    uint32_t chain; /* nodes that are being looked at, each the beginning of the one before */
    uint32_t rule;  /* the one it began with */
    uint32_t work;
};

enum mark { UNSEEN, OPEN, NOT_EMPTY, MAY_BE_EMPTY };

static enum weir_status refuse_rule(const struct weir_tree *tree, uint32_t rule, const char *why)
{
    const struct weir_place_in_text place =
        weir_tree_place(tree, weir_tree_rule(tree, rule)->offset);
    return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT, "%s: line %u, column %u: rule %s %s", tree->what,
                     place.line, place.column, weir_tree_name(tree, rule), why);
}

/* ---- beginnings ---------------------------------------------------------------------------- */

static enum weir_status look_at(struct checker *checker, uint32_t node, bool *may_be_empty);
static enum weir_status look_at_rule(struct checker *checker, uint32_t rule, bool *may_be_empty);

static enum weir_status look_at_children(struct checker *checker,
                                         const struct weir_tree_node *found, bool *may_be_empty)
{
    const bool is_sequence = found->kind == WEIR_TREE_SEQUENCE;
    bool is_empty = true;
    *may_be_empty = is_sequence;
    for (uint32_t child = found->child; child != 0 && !(is_sequence && !is_empty);
         child = weir_tree_node(checker->tree, child)->next) {
        WEIR_TRY(look_at(checker, child, &is_empty));
        *may_be_empty = is_sequence ? is_empty : *may_be_empty || is_empty;
    }
    return WEIR_OK;
}

/* Whether a node may be no text at all. All that it may begin with is looked at on the way, and no
 * more: what is open then and is met again begins with itself. */
static enum weir_status look_at(struct checker *checker, uint32_t node, bool *may_be_empty)
{
    const struct weir_tree_node *found = weir_tree_node(checker->tree, node);
    enum weir_status status = WEIR_OK;
    *may_be_empty = false;
    if (checker->chain == WEIR_GRAMMAR_CHAIN_MAX)
        return refuse_rule(checker->tree, checker->rule,
                           "is too far away from its first character");
    checker->chain++;
    switch (found->kind) {
    case WEIR_TREE_CHARS:
        break;
    case WEIR_TREE_LITERAL:
        *may_be_empty = found->count == 0;
        break;
    case WEIR_TREE_CALL:
        status = look_at_rule(checker, found->from, may_be_empty);
        break;
    case WEIR_TREE_SEQUENCE:
    case WEIR_TREE_CHOICE:
        status = look_at_children(checker, found, may_be_empty);
        break;
    case WEIR_TREE_REPEAT:
        if (found->count > 0)
            status = look_at(checker, found->child, may_be_empty);
        *may_be_empty |= found->from == 0;
        break;
    }
    checker->chain--;
    return status;
}

static enum weir_status look_at_rule(struct checker *checker, uint32_t rule, bool *may_be_empty)
{
    uint8_t *mark = &checker->marks[rule];
    if (*mark == OPEN)
        return refuse_rule(checker->tree, rule, "begins with itself (left recursion)");
    if (*mark == UNSEEN) {
        *mark = OPEN;
        WEIR_TRY(look_at(checker, weir_tree_rule(checker->tree, rule)->node, may_be_empty));
        *mark = *may_be_empty ? MAY_BE_EMPTY : NOT_EMPTY;
    }
    *may_be_empty = *mark == MAY_BE_EMPTY;
    return WEIR_OK;
}

static enum weir_status check_beginnings(struct checker *checker)
{
    bool may_be_empty = false;
    for (uint32_t rule = 0; rule < checker->tree->rules.count; rule++) {
        checker->rule = rule;
        WEIR_TRY(look_at_rule(checker, rule, &may_be_empty));
    }
    return WEIR_OK;
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Whether a node has a text that ends, by the rules that are known to. */
static bool can_end(struct checker *checker, uint32_t node)
{
    const struct weir_tree_node *found = weir_tree_node(checker->tree, node);
    checker->work++;
    switch (found->kind) {
    case WEIR_TREE_CHARS:
    case WEIR_TREE_LITERAL:
        return true;
    case WEIR_TREE_CALL:
        return checker->marks[found->from] != 0;
    case WEIR_TREE_REPEAT:
        return found->from == 0 || can_end(checker, found->child);
    case WEIR_TREE_SEQUENCE:
    case WEIR_TREE_CHOICE:
        break;
    }
    const bool wanted = found->kind == WEIR_TREE_CHOICE;
    for (uint32_t child = found->child; child != 0;
         child = weir_tree_node(checker->tree, child)->next)
        if (can_end(checker, child) == wanted)
            return wanted;
    return !wanted;
}

/* The least fixed point: a rule can end when all that some choice of it needs can. Rules are mostly
 * defined after those that use them, so the last come first. */
static enum weir_status check_ends(struct checker *checker)
{
    const uint32_t count = checker->tree->rules.count;
    uint32_t left = count, before = count + 1;
    memset(checker->marks, 0, count);
    while (left > 0 && left < before) {
        before = left;
        for (uint32_t rule = count; rule-- > 0 && checker->work < WORK_MAX;)
            if (checker->marks[rule] == 0 &&
                can_end(checker, weir_tree_rule(checker->tree, rule)->node)) {
                checker->marks[rule] = 1;
                left--;
            }
    }
    for (uint32_t rule = 0; rule < count; rule++)
        if (checker->marks[rule] == 0)
            return refuse_rule(checker->tree, rule,
                               checker->work < WORK_MAX
                                   ? "can never end: each of its texts has another one in it"
                                   : "waits for too many others to be known to end");
    return WEIR_OK;
}

enum weir_status weir_tree_check(struct weir_tree *tree)
{
    struct checker checker = {.tree = tree};
    checker.marks = weir_heap_array(tree->rules.count, sizeof(*checker.marks));
    if (checker.marks == NULL)
        return WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", tree->what);
    enum weir_status status = check_beginnings(&checker);
    if (status == WEIR_OK)
        status = check_ends(&checker);
    weir_heap_free(checker.marks);
    return status;
}
