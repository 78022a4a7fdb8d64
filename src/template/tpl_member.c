/* tpl_member.c - attributes, items and slices, as Jinja's sandbox looks for them. */
#include <string.h>

#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"

void weir_tpl_must_be_defined(struct tpl_run *run, struct tpl_value value)
{
    if (value.kind == TPL_UNDEFINED)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%.*s' is undefined", (int)weir_min(value.length, 100),
                      value.text);
}

static struct tpl_value undefined_name(struct tpl_value name)
{
    return name.kind == TPL_TEXT ? weir_tpl_undefined(name.text, name.length)
                                 : weir_tpl_undefined("an item", sizeof("an item") - 1);
}

static struct tpl_value loop_neighbour(const struct tpl_loop *loop, int64_t index,
                                       struct tpl_value name)
{
    return index < 0 || index >= loop->count ? undefined_name(name) : loop->items[index];
}

static struct tpl_value find_loop_member(struct tpl_run *run, struct tpl_value value,
                                         struct tpl_value name)
{
    const struct tpl_loop *loop = value.loop;
    const int64_t index = loop->index, count = loop->count;
    const struct {
        const char *name;
        struct tpl_value value;
    } members[] = {
        {"index", weir_tpl_integer(index + 1)},
        {"index0", weir_tpl_integer(index)},
        {"revindex", weir_tpl_integer(count - index)},
        {"revindex0", weir_tpl_integer(count - index - 1)},
        {"first", weir_tpl_bool(index == 0)},
        {"last", weir_tpl_bool(index == count - 1)},
        {"length", weir_tpl_integer(count)},
        {"depth", weir_tpl_integer(1)},
        {"depth0", weir_tpl_integer(0)},
        {"previtem", loop_neighbour(loop, index - 1, name)},
        {"nextitem", loop_neighbour(loop, index + 1, name)},
    };
    for (size_t member = 0; member < WEIR_COUNT(members); member++)
        if (weir_tpl_is(name, members[member].name))
            return members[member].value;
    const struct tpl_method_row *row = weir_tpl_find_method(TPL_LOOP, name);
    if (row == NULL)
        return undefined_name(name);
    struct tpl_method *method = weir_tpl_alloc(run, 1, sizeof(*method));
    *method = (struct tpl_method){value, row};
    return (struct tpl_value){.kind = TPL_METHOD, .method = method};
}

/* A method of value; false: it has none of that name. */
static bool find_method(struct tpl_run *run, struct tpl_value value, struct tpl_value name,
                        struct tpl_value *found)
{
    const struct tpl_method_row *row = weir_tpl_find_method(value.kind, name);
    if (row == NULL)
        return false;
    struct tpl_method *method = weir_tpl_alloc(run, 1, sizeof(*method));
    *method = (struct tpl_method){value, row};
    *found = (struct tpl_value){.kind = TPL_METHOD, .method = method};
    return true;
}

struct tpl_value weir_tpl_member(struct tpl_run *run, struct tpl_value value, struct tpl_value name)
{
    struct tpl_value found;
    const struct tpl_value *member = NULL;
    if (value.kind == TPL_UNDEFINED)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%.*s' is undefined, so it has no '%.*s'",
                      (int)weir_min(value.length, 100), value.text, (int)weir_min(name.length, 100),
                      name.text);
    if (value.kind == TPL_LOOP)
        return find_loop_member(run, value, name);
    if (value.kind == TPL_MACRO && weir_tpl_is(name, "name"))
        return value.macro->node->value;
    if (value.kind != TPL_SPACE && find_method(run, value, name, &found))
        return found;
    if (value.kind == TPL_DICT || value.kind == TPL_SPACE)
        member = weir_tpl_dict_find(run, value.dict, name);
    return member == NULL ? undefined_name(name) : *member;
}

/* items[index], or nothing. */
static bool clamp_index(int64_t count, struct tpl_value key, int64_t *index)
{
    if (!weir_tpl_is_whole(key))
        return false;
    *index = key.integer < 0 ? key.integer + count : key.integer;
    return *index >= 0 && *index < count;
}

struct tpl_value weir_tpl_item(struct tpl_run *run, struct tpl_value value, struct tpl_value key)
{
    int64_t count = 0, index = 0;
    if (value.kind == TPL_UNDEFINED)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%.*s' is undefined, so it has no items",
                      (int)weir_min(value.length, 100), value.text);
    if (value.kind == TPL_DICT && key.kind != TPL_DICT && key.kind != TPL_LIST) {
        const struct tpl_value *found = weir_tpl_dict_find(run, value.dict, key);
        if (found != NULL)
            return *found;
    }
    if (value.kind == TPL_LIST && value.list->kind != TPL_VIEW &&
        value.list->kind != TPL_GENERATOR && clamp_index(value.list->count, key, &index))
        return value.list->items[index];
    if (value.kind == TPL_TEXT && weir_tpl_length(run, value, &count) &&
        clamp_index(count, key, &index))
        return weir_tpl_slice_text(run, value, index, 1, 1);
    /* Jinja then looks for an attribute of that name. */
    return key.kind == TPL_TEXT ? weir_tpl_member(run, value, key) : undefined_name(key);
}

/* ---- slices -------------------------------------------------------------------------------- */

/* One end of a slice, as PySlice_AdjustIndices() has it. */
static int64_t clamp_end(struct tpl_run *run, struct tpl_value part, int64_t count, int64_t step,
                         int64_t fallback)
{
    if (part.kind == TPL_NONE)
        return fallback;
    if (!weir_tpl_is_whole(part))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "a slice wants integers, found a %s",
                      weir_tpl_type(part));
    int64_t at = part.integer;
    if (at < 0) {
        at += count;
        return at < 0 ? (step < 0 ? -1 : 0) : at;
    }
    return at >= count ? (step < 0 ? count - 1 : count) : at;
}

struct tpl_value weir_tpl_slice(struct tpl_run *run, struct tpl_value value,
                                const struct tpl_value parts[3])
{
    int64_t count = 0, step = 1;
    weir_tpl_must_be_defined(run, value);
    const bool is_list =
        value.kind == TPL_LIST && value.list->kind != TPL_VIEW && value.list->kind != TPL_GENERATOR;
    if (!is_list && value.kind != TPL_TEXT)
        return weir_tpl_undefined("a slice", sizeof("a slice") - 1);
    weir_tpl_length(run, value, &count);
    if (parts[2].kind != TPL_NONE) {
        if (!weir_tpl_is_whole(parts[2]) || parts[2].integer == 0)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "a slice wants a step that is no zero");
        /* A larger step is no other. */
        step = parts[2].integer > count + 1    ? count + 1
               : parts[2].integer < -count - 1 ? -count - 1
                                               : parts[2].integer;
    }
    const int64_t from = clamp_end(run, parts[0], count, step, step < 0 ? count - 1 : 0);
    const int64_t to = clamp_end(run, parts[1], count, step, step < 0 ? -1 : count);
    int64_t taken = 0;
    if (step > 0 && to > from)
        taken = (to - from - 1) / step + 1;
    if (step < 0 && to < from)
        taken = (from - to - 1) / -step + 1;
    if (value.kind == TPL_TEXT)
        return weir_tpl_slice_text(run, value, from, taken, step);
    struct tpl_value slice = weir_tpl_list(run, value.list->kind, (size_t)taken);
    for (int64_t index = 0; index < taken; index++)
        weir_tpl_list_push(run, slice, value.list->items[from + index * step]);
    return slice;
}
