/* tpl_filter_list.c - filters that go over the items of a value. */
#include <string.h>

#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"

/* ---- the attribute of an item -------------------------------------------------------------- */

/* "a.b.0": parts of parts, as items. */
static struct tpl_value find_attribute(struct tpl_run *run, struct tpl_value item,
                                       struct tpl_value attribute)
{
    if (attribute.kind == TPL_INTEGER)
        return weir_tpl_item(run, item, attribute);
    if (attribute.kind != TPL_TEXT)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "an attribute is a str or an int, found a %s",
                      weir_tpl_type(attribute));
    for (size_t from = 0; from <= attribute.length;) {
        const char *dot = memchr(attribute.text + from, '.', attribute.length - from);
        const size_t to = dot == NULL ? attribute.length : (size_t)(dot - attribute.text);
        struct tpl_value part = weir_tpl_part(attribute, from, to);
        int64_t index = 0;
        bool is_index = part.length > 0 && part.length < 10;
        for (uint32_t at = 0; at < part.length && is_index; at++) {
            is_index = part.text[at] >= '0' && part.text[at] <= '9';
            index = index * 10 + (part.text[at] - '0');
        }
        item = weir_tpl_item(run, item, is_index ? weir_tpl_integer(index) : part);
        from = to + 1;
    }
    return item;
}

/* What min, max, sort, unique and dictsort compare. */
static struct tpl_value fold_case(struct tpl_run *run, struct tpl_value value, bool case_sensitive)
{
    return value.kind == TPL_TEXT && !case_sensitive ? weir_tpl_change_case(run, value, TPL_LOWER)
                                                     : value;
}

/* The items of value, each with what stands for it. */
static struct tpl_list find_keys(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_value attribute, bool case_sensitive,
                                 struct tpl_entry **entries)
{
    const struct tpl_list items = weir_tpl_iterate(run, value);
    *entries = weir_tpl_alloc(run, (size_t)items.count + 1, sizeof(**entries));
    for (uint32_t index = 0; index < items.count; index++) {
        const struct tpl_value item = items.items[index];
        const struct tpl_value key =
            attribute.kind == TPL_NONE ? item : find_attribute(run, item, attribute);
        (*entries)[index] = (struct tpl_entry){fold_case(run, key, case_sensitive), item};
    }
    return items;
}

/* ---- one item ------------------------------------------------------------------------------ */

static struct tpl_value first_of(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_arguments *arguments)
{
    (void)arguments;
    const struct tpl_list items = weir_tpl_iterate(run, value);
    static const char name[] = "the first of no items";
    return items.count == 0 ? weir_tpl_undefined(name, sizeof(name) - 1) : items.items[0];
}

static struct tpl_value last_of(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments)
{
    (void)arguments;
    if (weir_tpl_is_list(value, TPL_GENERATOR))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'last' of a generator");
    const struct tpl_list items = weir_tpl_iterate(run, value);
    static const char name[] = "the last of no items";
    return items.count == 0 ? weir_tpl_undefined(name, sizeof(name) - 1)
                            : items.items[items.count - 1];
}

static struct tpl_value extreme(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments, bool largest)
{
    const bool case_sensitive = weir_tpl_take_flag(arguments, 0, "case_sensitive", false);
    const struct tpl_value attribute = weir_tpl_take_or(arguments, 1, "attribute", weir_tpl_none());
    struct tpl_entry *entries;
    const struct tpl_list items = find_keys(run, value, attribute, case_sensitive, &entries);
    static const char name[] = "the extreme of no items";
    uint32_t best = 0;
    for (uint32_t index = 1; index < items.count; index++) {
        const int order = weir_tpl_compare(run, entries[index].key, entries[best].key, "<");
        if (largest ? order > 0 : order < 0)
            best = index;
    }
    return items.count == 0 ? weir_tpl_undefined(name, sizeof(name) - 1) : entries[best].value;
}

static struct tpl_value min_of(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    return extreme(run, value, arguments, false);
}

static struct tpl_value max_of(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    return extreme(run, value, arguments, true);
}

static struct tpl_value sum_of(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    const struct tpl_value attribute = weir_tpl_take_or(arguments, 0, "attribute", weir_tpl_none());
    struct tpl_value sum = weir_tpl_take_or(arguments, 1, "start", weir_tpl_integer(0));
    const struct tpl_list items = weir_tpl_iterate(run, value);
    for (uint32_t index = 0; index < items.count; index++)
        sum = weir_tpl_arithmetic(run, TPL_OP1('+'), sum,
                                  attribute.kind == TPL_NONE
                                      ? items.items[index]
                                      : find_attribute(run, items.items[index], attribute));
    return sum;
}

static struct tpl_value join(struct tpl_run *run, struct tpl_value value,
                             struct tpl_arguments *arguments)
{
    const struct tpl_value between =
        weir_tpl_to_text(run, weir_tpl_take_or(arguments, 0, "d", TPL_WORD("")));
    const struct tpl_value attribute = weir_tpl_take_or(arguments, 1, "attribute", weir_tpl_none());
    const struct tpl_list items = weir_tpl_iterate(run, value);
    struct tpl_buffer out = {0};
    for (uint32_t index = 0; index < items.count; index++) {
        weir_tpl_push(run, &out, between.text, index == 0 ? 0 : between.length);
        weir_tpl_write(run, &out,
                       attribute.kind == TPL_NONE
                           ? items.items[index]
                           : find_attribute(run, items.items[index], attribute));
    }
    return weir_tpl_buffer_text(&out);
}

/* ---- other lists --------------------------------------------------------------------------- */

static struct tpl_value to_list(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments)
{
    (void)arguments;
    const struct tpl_list items = weir_tpl_iterate(run, value);
    struct tpl_value list = weir_tpl_list(run, TPL_ITEMS, items.count);
    for (uint32_t index = 0; index < items.count; index++)
        weir_tpl_list_push(run, list, items.items[index]);
    return list;
}

static struct tpl_value items_of(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_arguments *arguments)
{
    (void)arguments;
    struct tpl_value items = weir_tpl_list(run, TPL_GENERATOR, 0);
    if (value.kind == TPL_UNDEFINED)
        return items;
    if (value.kind != TPL_DICT)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'items' wants a dict, found a %s",
                      weir_tpl_type(value));
    for (uint32_t index = 0; index < value.dict->count; index++)
        weir_tpl_list_push(
            run, items,
            weir_tpl_pair(run, value.dict->entries[index].key, value.dict->entries[index].value));
    return items;
}

static struct tpl_value reverse(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments)
{
    (void)arguments;
    const struct tpl_value parts[3] = {weir_tpl_none(), weir_tpl_none(), weir_tpl_integer(-1)};
    if (value.kind == TPL_TEXT)
        return weir_tpl_slice(run, value, parts);
    const struct tpl_list items = weir_tpl_iterate(run, value);
    struct tpl_value list = weir_tpl_list(run, TPL_GENERATOR, items.count);
    for (uint32_t index = items.count; index > 0; index--)
        weir_tpl_list_push(run, list, items.items[index - 1]);
    return list;
}

static struct tpl_value sort(struct tpl_run *run, struct tpl_value value,
                             struct tpl_arguments *arguments)
{
    const bool backwards = weir_tpl_take_flag(arguments, 0, "reverse", false);
    const bool case_sensitive = weir_tpl_take_flag(arguments, 1, "case_sensitive", false);
    const struct tpl_value attribute = weir_tpl_take_or(arguments, 2, "attribute", weir_tpl_none());
    struct tpl_entry *entries;
    if (attribute.kind == TPL_TEXT && memchr(attribute.text, ',', attribute.length) != NULL)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the filter 'sort' by several attributes");
    const struct tpl_list items = find_keys(run, value, attribute, case_sensitive, &entries);
    weir_tpl_sort(run, entries, items.count, backwards);
    struct tpl_value list = weir_tpl_list(run, TPL_ITEMS, items.count);
    for (uint32_t index = 0; index < items.count; index++)
        weir_tpl_list_push(run, list, entries[index].value);
    return list;
}

static struct tpl_value sort_dict(struct tpl_run *run, struct tpl_value value,
                                  struct tpl_arguments *arguments)
{
    const bool case_sensitive = weir_tpl_take_flag(arguments, 0, "case_sensitive", false);
    const struct tpl_value by = weir_tpl_take_text(run, arguments, 1, "by", "key");
    const bool backwards = weir_tpl_take_flag(arguments, 2, "reverse", false);
    const bool by_value = weir_tpl_is(by, "value");
    if (!by_value && !weir_tpl_is(by, "key"))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'dictsort' sorts by 'key' or 'value'");
    weir_tpl_must_be_defined(run, value);
    if (value.kind != TPL_DICT)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'dictsort' wants a dict, found a %s",
                      weir_tpl_type(value));
    const uint32_t count = value.dict->count;
    struct tpl_entry *entries = weir_tpl_alloc(run, (size_t)count + 1, sizeof(*entries));
    for (uint32_t index = 0; index < count; index++) {
        const struct tpl_entry entry = value.dict->entries[index];
        entries[index].key = fold_case(run, by_value ? entry.value : entry.key, case_sensitive);
        entries[index].value = weir_tpl_pair(run, entry.key, entry.value);
    }
    weir_tpl_sort(run, entries, count, backwards);
    struct tpl_value list = weir_tpl_list(run, TPL_ITEMS, count);
    for (uint32_t index = 0; index < count; index++)
        weir_tpl_list_push(run, list, entries[index].value);
    return list;
}

static struct tpl_value unique(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    const bool case_sensitive = weir_tpl_take_flag(arguments, 0, "case_sensitive", false);
    const struct tpl_value attribute = weir_tpl_take_or(arguments, 1, "attribute", weir_tpl_none());
    struct tpl_value seen = weir_tpl_dict(run, TPL_DICT);
    struct tpl_value list = weir_tpl_list(run, TPL_GENERATOR, 0);
    struct tpl_entry *entries;
    const struct tpl_list items = find_keys(run, value, attribute, case_sensitive, &entries);
    for (uint32_t index = 0; index < items.count; index++) {
        if (weir_tpl_contains(run, seen, entries[index].key))
            continue;
        weir_tpl_dict_set(run, seen.dict, entries[index].key, weir_tpl_none());
        weir_tpl_list_push(run, list, entries[index].value);
    }
    return list;
}

/* ---- with other filters and tests ---------------------------------------------------------- */

static void use_up(struct tpl_arguments *arguments)
{
    for (uint32_t index = 0; index < arguments->count; index++)
        arguments->items[index].is_used = true;
}

static void forget_uses(struct tpl_arguments *arguments)
{
    for (uint32_t index = 0; index < arguments->count; index++)
        arguments->items[index].is_used = false;
}

/* None, 0 and their like have no items here, as in Jinja. */
static struct tpl_list iterate_unless_false(struct tpl_run *run, struct tpl_value value)
{
    return weir_tpl_truth(value) ? weir_tpl_iterate(run, value) : (struct tpl_list){0};
}

static struct tpl_value map(struct tpl_run *run, struct tpl_value value,
                            struct tpl_arguments *arguments)
{
    const struct tpl_value *attribute = weir_tpl_take(arguments, UINT32_MAX, "attribute");
    const struct tpl_value *fallback =
        attribute == NULL ? NULL : weir_tpl_take(arguments, UINT32_MAX, "default");
    const struct tpl_filter_row *row = NULL;
    struct tpl_arguments rest = weir_tpl_rest(*arguments, 1);
    if (attribute == NULL) {
        rest.name = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
        row = weir_tpl_find_filter(rest.name);
    }
    struct tpl_value list = weir_tpl_list(run, TPL_GENERATOR, 0);
    const struct tpl_list items = iterate_unless_false(run, value);
    for (uint32_t index = 0; index < items.count; index++) {
        struct tpl_value item = items.items[index];
        if (attribute == NULL) {
            forget_uses(&rest);
            item = weir_tpl_filter(run, row, item, &rest);
        } else {
            item = find_attribute(run, item, *attribute);
        }
        if (item.kind == TPL_UNDEFINED && fallback != NULL)
            item = *fallback;
        weir_tpl_list_push(run, list, item);
    }
    if (attribute == NULL)
        use_up(arguments);
    return list;
}

/* select, reject, selectattr, rejectattr. */
static struct tpl_value choose(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments, bool by_attribute, bool wanted)
{
    struct tpl_value attribute = weir_tpl_none();
    if (by_attribute) {
        const struct tpl_value *given = weir_tpl_take(arguments, 0, NULL);
        if (given == NULL)
            weir_tpl_argument_missing(run, arguments, "attribute");
        attribute = *given;
    }
    struct tpl_arguments rest = weir_tpl_rest(*arguments, by_attribute);
    const struct tpl_test_row *row = NULL;
    const bool has_test = rest.count > 0;
    if (has_test) {
        rest.name = weir_tpl_take_text(run, &rest, 0, NULL, NULL);
        rest.what = "the test";
        row = weir_tpl_find_test(rest.name);
        rest = weir_tpl_rest(rest, 1);
    }
    struct tpl_value list = weir_tpl_list(run, TPL_GENERATOR, 0);
    const struct tpl_list items = iterate_unless_false(run, value);
    for (uint32_t index = 0; index < items.count; index++) {
        const struct tpl_value item = items.items[index];
        const struct tpl_value asked = by_attribute ? find_attribute(run, item, attribute) : item;
        forget_uses(&rest);
        if ((has_test ? weir_tpl_test(run, row, asked, &rest) : weir_tpl_truth(asked)) == wanted)
            weir_tpl_list_push(run, list, item);
    }
    use_up(arguments);
    return list;
}

static struct tpl_value select_items(struct tpl_run *run, struct tpl_value value,
                                     struct tpl_arguments *arguments)
{
    return choose(run, value, arguments, false, true);
}

static struct tpl_value reject_items(struct tpl_run *run, struct tpl_value value,
                                     struct tpl_arguments *arguments)
{
    return choose(run, value, arguments, false, false);
}

static struct tpl_value select_by(struct tpl_run *run, struct tpl_value value,
                                  struct tpl_arguments *arguments)
{
    return choose(run, value, arguments, true, true);
}

static struct tpl_value reject_by(struct tpl_run *run, struct tpl_value value,
                                  struct tpl_arguments *arguments)
{
    return choose(run, value, arguments, true, false);
}

static const struct tpl_filter_row rows[] = {
    {"first", first_of},
    {"last", last_of},
    {"min", min_of},
    {"max", max_of},
    {"sum", sum_of},
    {"join", join},
    {"list", to_list},
    {"items", items_of},
    {"reverse", reverse},
    {"sort", sort},
    {"dictsort", sort_dict},
    {"unique", unique},
    {"map", map},
    {"select", select_items},
    {"reject", reject_items},
    {"selectattr", select_by},
    {"rejectattr", reject_by},
};

const struct tpl_filter_row *weir_tpl_find_list_filter(struct tpl_value name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (weir_tpl_is(name, rows[row].name))
            return &rows[row];
    return NULL;
}
