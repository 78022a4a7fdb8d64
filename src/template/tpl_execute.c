/* tpl_execute.c - what statements do: output, names and macros. */
#include <string.h>

#include "template/tpl_evaluate.h"

/* ---- names --------------------------------------------------------------------------------- */

void weir_tpl_open_scope(struct tpl_run *run, struct tpl_scope *parent)
{
    run->scope = weir_tpl_alloc(run, 1, sizeof(*run->scope));
    run->scope->parent = parent;
}

static struct tpl_binding *find_binding(struct tpl_run *run, const struct tpl_scope *scope,
                                        struct tpl_value name)
{
    uint64_t walked = 0;
    struct tpl_binding *binding = scope->bindings;
    while (binding != NULL && (binding->name.length != name.length ||
                               memcmp(binding->name.text, name.text, name.length) != 0)) {
        binding = binding->next;
        walked++;
    }
    weir_tpl_step(run, walked / 8 + name.length / 64);
    return binding;
}

void weir_tpl_bind(struct tpl_run *run, struct tpl_value name, struct tpl_value value)
{
    struct tpl_binding *binding = find_binding(run, run->scope, name);
    if (binding == NULL) {
        binding = weir_tpl_alloc(run, 1, sizeof(*binding));
        binding->name = name;
        binding->next = run->scope->bindings;
        run->scope->bindings = binding;
    }
    binding->value = value;
}

struct tpl_value weir_tpl_look_up(struct tpl_run *run, struct tpl_value name)
{
    struct tpl_value function;
    for (const struct tpl_scope *scope = run->scope; scope != NULL; scope = scope->parent) {
        const struct tpl_binding *binding = find_binding(run, scope, name);
        weir_tpl_step(run, 1);
        if (binding != NULL)
            return binding->value;
    }
    const struct tpl_value *variable = weir_tpl_dict_find(run, run->variables, name);
    if (variable != NULL)
        return *variable;
    if (weir_tpl_find_function(name, &function))
        return function;
    return weir_tpl_undefined(name.text, name.length);
}

static void assign(struct tpl_run *run, const struct tpl_node *target, struct tpl_value value)
{
    if (target->kind == TPL_NODE_NAME) {
        weir_tpl_bind(run, target->value, value);
    } else if (target->kind == TPL_NODE_MEMBER) {
        const struct tpl_value space = weir_tpl_look_up(run, target->a->value);
        if (space.kind != TPL_SPACE)
            weir_tpl_fail(
                run, WEIR_ERR_FORMAT, "'%.*s' is a %s; attributes are set of namespaces only",
                (int)target->a->value.length, target->a->value.text, weir_tpl_type(space));
        if (target->value.text[0] == '_')
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "a namespace takes no name that begins with _");
        weir_tpl_dict_set(run, space.dict, target->value, value);
    } else {
        const struct tpl_list parts = weir_tpl_iterate(run, value);
        uint32_t count = 0;
        for (const struct tpl_node *part = target->items; part != NULL; part = part->next) {
            if (count < parts.count)
                assign(run, part, parts.items[count]);
            count++;
        }
        if (count != parts.count)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "%u values for %u names", parts.count, count);
    }
}

/* ---- blocks -------------------------------------------------------------------------------- */

/* What the body writes, in a scope of its own inside parent. */
static enum tpl_flow capture(struct tpl_run *run, const struct tpl_node *body,
                             struct tpl_scope *parent, struct tpl_value *text)
{
    struct tpl_buffer inner = {0}, *const outer = run->out;
    struct tpl_scope *const scope = run->scope;
    run->out = &inner;
    weir_tpl_open_scope(run, parent);
    const enum tpl_flow flow = weir_tpl_execute(run, body);
    run->scope = scope;
    run->out = outer;
    *text = weir_tpl_buffer_text(&inner);
    return flow;
}

static enum tpl_flow execute_in_scope(struct tpl_run *run, const struct tpl_node *body)
{
    struct tpl_scope *const scope = run->scope;
    weir_tpl_open_scope(run, scope);
    const enum tpl_flow flow = weir_tpl_execute(run, body);
    run->scope = scope;
    return flow;
}

static enum tpl_flow execute_if(struct tpl_run *run, const struct tpl_node *node)
{
    for (;;) {
        run->line = node->line;
        if (weir_tpl_truth(weir_tpl_evaluate(run, node->a)))
            return weir_tpl_execute(run, node->body);
        if (!node->flag)
            return weir_tpl_execute(run, node->other);
        node = node->other;
    }
}

/* The items for which the loop's condition holds; it sees the loop's names, and no loop. */
static struct tpl_list select_items(struct tpl_run *run, const struct tpl_node *node,
                                    struct tpl_list items)
{
    struct tpl_scope *const scope = run->scope;
    struct tpl_value selected = weir_tpl_list(run, TPL_ITEMS, 0);
    for (uint32_t index = 0; index < items.count; index++) {
        weir_tpl_open_scope(run, scope);
        assign(run, node->a, items.items[index]);
        if (weir_tpl_truth(weir_tpl_evaluate(run, node->c)))
            weir_tpl_list_push(run, selected, items.items[index]);
    }
    run->scope = scope;
    return *selected.list;
}

static void execute_for(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_scope *const scope = run->scope;
    struct tpl_list items = weir_tpl_iterate(run, weir_tpl_evaluate(run, node->b));
    if (node->c != NULL)
        items = select_items(run, node, items);
    if (items.count == 0) {
        execute_in_scope(run, node->other);
        return;
    }
    struct tpl_loop *loop = weir_tpl_alloc(run, 1, sizeof(*loop));
    loop->items = items.items;
    loop->count = items.count;
    for (; loop->index < loop->count; loop->index++) {
        weir_tpl_step(run, 1);
        weir_tpl_open_scope(run, scope);
        run->line = node->line;
        weir_tpl_bind(run, TPL_WORD("loop"), (struct tpl_value){.kind = TPL_LOOP, .loop = loop});
        assign(run, node->a, items.items[loop->index]);
        if (weir_tpl_execute(run, node->body) == TPL_BREAKS)
            break;
    }
    run->scope = scope;
}

static enum tpl_flow execute_set_block(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_value text;
    const enum tpl_flow flow = capture(run, node->body, run->scope, &text);
    if (flow != TPL_GOES_ON)
        return flow;
    if (node->b != NULL)
        text = weir_tpl_evaluate_filter(run, node->b, text);
    assign(run, node->a, text);
    return flow;
}

static enum tpl_flow execute_filter_block(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_value text;
    const enum tpl_flow flow = capture(run, node->body, run->scope, &text);
    if (flow == TPL_GOES_ON)
        weir_tpl_write(run, run->out, weir_tpl_evaluate_filter(run, node->b, text));
    return flow;
}

static enum tpl_flow execute_with(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_scope *const scope = run->scope;
    struct tpl_value values = weir_tpl_list(run, TPL_ITEMS, 0);
    for (const struct tpl_node *set = node->items; set != NULL; set = set->next)
        weir_tpl_list_push(run, values, weir_tpl_evaluate(run, set->b));
    weir_tpl_open_scope(run, scope);
    uint32_t index = 0;
    for (const struct tpl_node *set = node->items; set != NULL; set = set->next)
        assign(run, set->a, values.list->items[index++]);
    const enum tpl_flow flow = weir_tpl_execute(run, node->body);
    run->scope = scope;
    return flow;
}

/* ---- macros -------------------------------------------------------------------------------- */

static struct tpl_value make_macro(struct tpl_run *run, const struct tpl_node *node)
{
    struct tpl_macro *macro = weir_tpl_alloc(run, 1, sizeof(*macro));
    *macro = (struct tpl_macro){node, run->scope};
    return (struct tpl_value){.kind = TPL_MACRO, .macro = macro};
}

static void execute_call_block(struct tpl_run *run, const struct tpl_node *node)
{
    const struct tpl_value callee = weir_tpl_evaluate(run, node->a->a);
    struct tpl_arguments arguments = weir_tpl_evaluate_arguments(run, node->a, "the call of", 1);
    arguments.name = node->a->a->value;
    arguments.items[arguments.count++] =
        (struct tpl_argument){.keyword = TPL_WORD("caller"), .value = make_macro(run, node->b)};
    weir_tpl_write(run, run->out, weir_tpl_call(run, callee, &arguments));
}

/* What a macro's body may read beside its parameters. */
static void bind_extras(struct tpl_run *run, const struct tpl_node *node,
                        struct tpl_arguments *arguments)
{
    struct tpl_value varargs = weir_tpl_list(run, TPL_TUPLE, 0);
    struct tpl_value kwargs = weir_tpl_dict(run, TPL_DICT);
    if (node->op & TPL_NEEDS_CALLER) {
        const struct tpl_value *caller = weir_tpl_take(arguments, UINT32_MAX, "caller");
        static const char name[] = "caller";
        weir_tpl_bind(run, TPL_WORD("caller"),
                      caller != NULL ? *caller : weir_tpl_undefined(name, sizeof(name) - 1));
    }
    for (uint32_t index = 0; index < arguments->count; index++) {
        struct tpl_argument *argument = &arguments->items[index];
        const bool is_named = argument->keyword.kind == TPL_TEXT;
        if (argument->is_used || !(node->op & (is_named ? TPL_NEEDS_KWARGS : TPL_NEEDS_VARARGS)))
            continue;
        argument->is_used = true;
        if (is_named)
            weir_tpl_dict_set(run, kwargs.dict, argument->keyword, argument->value);
        else
            weir_tpl_list_push(run, varargs, argument->value);
    }
    if (node->op & TPL_NEEDS_VARARGS)
        weir_tpl_bind(run, TPL_WORD("varargs"), varargs);
    if (node->op & TPL_NEEDS_KWARGS)
        weir_tpl_bind(run, TPL_WORD("kwargs"), kwargs);
}

static const struct tpl_value *take_parameter(struct tpl_arguments *arguments, uint32_t place,
                                              struct tpl_value name)
{
    for (uint32_t index = 0; index < arguments->count; index++) {
        struct tpl_argument *argument = &arguments->items[index];
        const bool is_named = argument->keyword.kind == TPL_TEXT;
        if (is_named ? argument->keyword.length == name.length &&
                           memcmp(argument->keyword.text, name.text, name.length) == 0
                     : index == place) {
            argument->is_used = true;
            return &argument->value;
        }
    }
    return NULL;
}

struct tpl_value weir_tpl_call_macro(struct tpl_run *run, const struct tpl_macro *macro,
                                     struct tpl_arguments *arguments)
{
    struct tpl_scope *const scope = run->scope;
    struct tpl_value text;
    uint32_t place = 0;
    weir_tpl_open_scope(run, macro->scope);
    for (const struct tpl_node *parameter = macro->node->items; parameter != NULL;
         parameter = parameter->next) {
        const struct tpl_value *given = take_parameter(arguments, place++, parameter->value);
        struct tpl_value value = weir_tpl_undefined(parameter->value.text, parameter->value.length);
        if (given != NULL)
            value = *given;
        else if (parameter->a != NULL)
            value = weir_tpl_evaluate(run, parameter->a);
        weir_tpl_bind(run, parameter->value, value);
    }
    bind_extras(run, macro->node, arguments);
    weir_tpl_end_arguments(run, arguments);
    capture(run, macro->node->body, run->scope, &text);
    run->scope = scope;
    return text;
}

/* ---- all of them --------------------------------------------------------------------------- */

static enum tpl_flow execute_one(struct tpl_run *run, const struct tpl_node *node)
{
    switch (node->kind) {
    case TPL_NODE_DATA:
        weir_tpl_push(run, run->out, node->value.text, node->value.length);
        return TPL_GOES_ON;
    case TPL_NODE_PRINT:
        weir_tpl_write(run, run->out, weir_tpl_evaluate(run, node->a));
        return TPL_GOES_ON;
    case TPL_NODE_IF:
        return execute_if(run, node);
    case TPL_NODE_FOR:
        execute_for(run, node);
        return TPL_GOES_ON;
    case TPL_NODE_SET:
        assign(run, node->a, weir_tpl_evaluate(run, node->b));
        return TPL_GOES_ON;
    case TPL_NODE_SET_BLOCK:
        return execute_set_block(run, node);
    case TPL_NODE_MACRO:
        weir_tpl_bind(run, node->value, make_macro(run, node));
        return TPL_GOES_ON;
    case TPL_NODE_CALL_BLOCK:
        execute_call_block(run, node);
        return TPL_GOES_ON;
    case TPL_NODE_FILTER_BLOCK:
        return execute_filter_block(run, node);
    case TPL_NODE_WITH:
        return execute_with(run, node);
    case TPL_NODE_SCOPE:
        return execute_in_scope(run, node->body);
    case TPL_NODE_BREAK:
        return TPL_BREAKS;
    case TPL_NODE_CONTINUE:
        return TPL_CONTINUES;
    default:
        break;
    }
    WEIR_ASSERT(false); /* the parser makes no other statement */
    return TPL_GOES_ON;
}

enum tpl_flow weir_tpl_execute(struct tpl_run *run, const struct tpl_node *chain)
{
    enum tpl_flow flow = TPL_GOES_ON;
    weir_tpl_enter(run);
    for (const struct tpl_node *node = chain; node != NULL && flow == TPL_GOES_ON;
         node = node->next) {
        weir_tpl_step(run, 1);
        run->line = node->line;
        flow = execute_one(run, node);
    }
    weir_tpl_exit(run);
    return flow;
}
