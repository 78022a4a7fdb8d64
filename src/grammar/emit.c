/* emit.c - a grammar's tree as a program (Thompson 1968, with calls). */
#include <string.h>

#include "base/heap.h"
#include "grammar/grammar_tree.h"

struct emitter {
    const struct weir_tree *tree;
    struct weir_program *program;
    uint32_t capacity;
    uint32_t rule;           /* whose code is written */
    uint32_t work;           /* nodes written; some write nothing */
    enum weir_status status; /* the first thing that failed; nothing is written after it */
};

static struct weir_instr *instr_at(const struct emitter *emitter, uint32_t pc)
{
    return &emitter->program->code[pc];
}

static void refuse_size(struct emitter *emitter)
{
    const struct weir_tree *tree = emitter->tree;
    const struct weir_place_in_text place =
        weir_tree_place(tree, weir_tree_rule(tree, emitter->rule)->offset);
    if (emitter->status == WEIR_OK)
        emitter->status = WEIR_FAIL(
            tree->err, WEIR_ERR_FORMAT,
            "%s: line %u, column %u: rule %s: wanted a grammar of at most %d steps, found more "
            "(numbers of times multiply)",
            tree->what, place.line, place.column, weir_tree_name(tree, emitter->rule),
            WEIR_GRAMMAR_CODE_MAX);
}

/* Its place, or 0 once something has failed. */
static uint32_t write_instr(struct emitter *emitter, struct weir_instr instr)
{
    struct weir_program *program = emitter->program;
    const struct weir_tree *tree = emitter->tree;
    if (program->code_count == WEIR_GRAMMAR_CODE_MAX)
        refuse_size(emitter);
    if (emitter->status != WEIR_OK)
        return 0;
    if (program->code_count == emitter->capacity) {
        const uint32_t capacity = emitter->capacity + emitter->capacity / 2 + 256;
        struct weir_instr *code = weir_heap_grow(program->code, capacity * sizeof(*code));
        if (code == NULL) {
            emitter->status =
                WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", tree->what);
            return 0;
        }
        program->code = code;
        emitter->capacity = capacity;
    }
    program->code[program->code_count] = instr;
    return program->code_count++;
}

static uint32_t write_jump(struct emitter *emitter, uint32_t to)
{
    return write_instr(emitter, (struct weir_instr){.op = WEIR_INSTR_JUMP, .to = to});
}

/* Tries the next instruction first; `other` is set later. */
static uint32_t write_split(struct emitter *emitter)
{
    return write_instr(emitter, (struct weir_instr){.op = WEIR_INSTR_SPLIT,
                                                    .to = emitter->program->code_count + 1});
}

static void split_here(struct emitter *emitter, uint32_t split)
{
    if (emitter->status == WEIR_OK)
        instr_at(emitter, split)->other = emitter->program->code_count;
}

/* Jumps to one end are a list through `other` until the end is known. */
static void jump_to_end(struct emitter *emitter, uint32_t *list)
{
    const uint32_t jump = write_jump(emitter, 0);
    if (emitter->status == WEIR_OK) {
        instr_at(emitter, jump)->other = *list;
        *list = jump + 1;
    }
}

static void end_here(struct emitter *emitter, uint32_t list)
{
    while (emitter->status == WEIR_OK && list != 0) {
        struct weir_instr *jump = instr_at(emitter, list - 1);
        jump->to = emitter->program->code_count;
        list = jump->other;
        jump->other = 0;
    }
}

struct chars {
    struct emitter *emitter;
    uint32_t left; /* sequences of bytes that still come */
    uint32_t ends;
};

static bool count_sequence(void *user, const struct weir_byte_range *bytes, uint32_t count)
{
    (void)bytes;
    (void)count;
    ((struct chars *)user)->left++;
    return true;
}

static bool write_sequence(void *user, const struct weir_byte_range *bytes, uint32_t count)
{
    struct chars *chars = user;
    struct emitter *emitter = chars->emitter;
    const bool is_last = --chars->left == 0;
    const uint32_t split = is_last ? 0 : write_split(emitter);
    for (uint32_t at = 0; at < count; at++)
        write_instr(emitter, (struct weir_instr){.op = WEIR_INSTR_BYTE,
                                                 .low = bytes[at].low,
                                                 .high = bytes[at].high});
    if (!is_last) {
        jump_to_end(emitter, &chars->ends);
        split_here(emitter, split);
    }
    return emitter->status == WEIR_OK;
}

static void write_chars(struct emitter *emitter, const struct weir_tree_node *node)
{
    const struct weir_tree_range *ranges = emitter->tree->ranges.items;
    struct chars chars = {.emitter = emitter};
    for (uint32_t at = node->from; at < node->from + node->count; at++)
        weir_utf8_ranges(ranges[at].low, ranges[at].high, count_sequence, &chars);
    for (uint32_t at = node->from; at < node->from + node->count; at++)
        weir_utf8_ranges(ranges[at].low, ranges[at].high, write_sequence, &chars);
    end_here(emitter, chars.ends);
}

static void write_node(struct emitter *emitter, uint32_t number);

static void write_choice(struct emitter *emitter, uint32_t child)
{
    uint32_t ends = 0;
    while (child != 0) {
        const uint32_t next = weir_tree_node(emitter->tree, child)->next;
        const uint32_t split = next == 0 ? 0 : write_split(emitter);
        write_node(emitter, child);
        if (next != 0) {
            jump_to_end(emitter, &ends);
            split_here(emitter, split);
        }
        child = next;
    }
    end_here(emitter, ends);
}

/* The least as often as that; then a loop, or as many that may be left out with all after them. */
static void write_repeat(struct emitter *emitter, const struct weir_tree_node *node)
{
    uint32_t ends = 0;
    for (uint32_t time = 0; time < node->from && emitter->status == WEIR_OK; time++)
        write_node(emitter, node->child);
    if (node->count == WEIR_REPEAT_FOREVER) {
        const uint32_t split = write_split(emitter);
        write_node(emitter, node->child);
        write_jump(emitter, split);
        split_here(emitter, split);
        return;
    }
    for (uint32_t time = node->from; time < node->count && emitter->status == WEIR_OK; time++) {
        const uint32_t split = write_split(emitter);
        jump_to_end(emitter, &ends);
        if (emitter->status == WEIR_OK) {
            instr_at(emitter, split)->other = split + 1;
            instr_at(emitter, split)->to = split + 2;
        }
        write_node(emitter, node->child);
    }
    end_here(emitter, ends);
}

static void write_node(struct emitter *emitter, uint32_t number)
{
    const struct weir_tree_node *node = weir_tree_node(emitter->tree, number);
    const uint8_t *bytes = emitter->tree->bytes.items;
    if (++emitter->work > 4 * WEIR_GRAMMAR_CODE_MAX)
        refuse_size(emitter);
    if (emitter->status != WEIR_OK)
        return;
    switch (node->kind) {
    case WEIR_TREE_CHARS:
        write_chars(emitter, node);
        return;
    case WEIR_TREE_LITERAL:
        for (uint32_t at = node->from; at < node->from + node->count; at++)
            write_instr(emitter, (struct weir_instr){
                                     .op = WEIR_INSTR_BYTE, .low = bytes[at], .high = bytes[at]});
        return;
    case WEIR_TREE_CALL: /* the entry is known when all rules are written */
        write_instr(emitter, (struct weir_instr){.op = WEIR_INSTR_CALL, .to = node->from});
        return;
    case WEIR_TREE_SEQUENCE:
        for (uint32_t child = node->child; child != 0 && emitter->status == WEIR_OK;
             child = weir_tree_node(emitter->tree, child)->next)
            write_node(emitter, child);
        return;
    case WEIR_TREE_CHOICE:
        write_choice(emitter, node->child);
        return;
    case WEIR_TREE_REPEAT:
        write_repeat(emitter, node);
        return;
    }
}

static enum weir_status write_rules(struct emitter *emitter, uint32_t root)
{
    const struct weir_tree *tree = emitter->tree;
    struct weir_program *program = emitter->program;
    for (uint32_t rule = 0; rule < program->rule_count && emitter->status == WEIR_OK; rule++) {
        const struct weir_tree_rule *written = weir_tree_rule(tree, rule);
        program->rules[rule] = (struct weir_program_rule){
            .entry = program->code_count,
            .name_at = written->name_at,
        };
        emitter->rule = rule;
        write_node(emitter, written->node);
        write_instr(emitter, (struct weir_instr){.op = WEIR_INSTR_RETURN});
    }
    if (emitter->status != WEIR_OK)
        return emitter->status;
    for (uint32_t pc = 0; pc < program->code_count; pc++)
        if (program->code[pc].op == WEIR_INSTR_CALL)
            program->code[pc].to = program->rules[program->code[pc].to].entry;
    program->entry = program->rules[root].entry;
    program->least = weir_heap_array(program->code_count, sizeof(*program->least));
    if (program->least == NULL)
        return WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", tree->what);
    if (!weir_program_find_least(program))
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT,
                         "%s: the rules wait for each other too often to find the shortest text; "
                         "define them behind those that use them",
                         tree->what);
    return WEIR_OK;
}

enum weir_status weir_tree_emit(const struct weir_tree *tree, uint32_t root,
                                struct weir_program **out)
{
    struct emitter emitter = {.tree = tree};
    enum weir_status status = WEIR_ERR_NOMEM;
    struct weir_program *program = weir_heap_alloc(sizeof(*program));
    emitter.program = program;
    if (program != NULL) {
        program->rule_count = tree->rules.count;
        program->rules = weir_heap_array(program->rule_count, sizeof(*program->rules));
        program->names = weir_heap_array(tree->names.count, 1);
    }
    if (program == NULL || program->rules == NULL || program->names == NULL) {
        WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", tree->what);
    } else {
        memcpy(program->names, tree->names.items, tree->names.count);
        status = write_rules(&emitter, root);
    }
    if (status == WEIR_OK)
        *out = program;
    else
        weir_program_destroy(&program);
    return status;
}

void weir_program_destroy(struct weir_program **program)
{
    if (program == NULL || *program == NULL)
        return;
    weir_heap_free((*program)->code);
    weir_heap_free((*program)->least);
    weir_heap_free((*program)->rules);
    weir_heap_free((*program)->names);
    weir_heap_free(*program);
    *program = NULL;
}

const char *weir_program_rule_name(const struct weir_program *program, uint32_t pc)
{
    uint32_t low = 0, high = program->rule_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (program->rules[middle].entry <= pc)
            low = middle;
        else
            high = middle;
    }
    return program->names + program->rules[low].name_at;
}
