/* tpl_value.c - making values and asking them. */
#include "template/tpl_value.h"

#include <string.h>

#include "base/utf8.h"
#include "template/tpl_text.h"

enum { LIST_CAPACITY = 8, COUNT_MAX = 1 << 30 };

/* Room for one more of count. */
static void *grow(struct tpl_run *run, void *old, uint32_t count, uint32_t *capacity, size_t each)
{
    if (count < *capacity)
        return old;
    if (count >= COUNT_MAX)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "more than %d items", COUNT_MAX);
    const uint32_t larger = *capacity == 0 ? LIST_CAPACITY : 2 * *capacity;
    void *place = weir_tpl_alloc(run, larger, each);
    if (count > 0)
        memcpy(place, old, count * each);
    *capacity = larger;
    return place;
}

struct tpl_value weir_tpl_list(struct tpl_run *run, enum tpl_list_kind kind, size_t capacity)
{
    struct tpl_list *list = weir_tpl_alloc(run, 1, sizeof(*list));
    list->kind = kind;
    if (capacity > 0)
        list->items = weir_tpl_alloc(run, capacity, sizeof(*list->items));
    list->capacity = (uint32_t)capacity;
    return (struct tpl_value){.kind = TPL_LIST, .list = list};
}

void weir_tpl_list_push(struct tpl_run *run, struct tpl_value value, struct tpl_value item)
{
    struct tpl_list *list = value.list;
    weir_tpl_step(run, 1);
    list->items = grow(run, list->items, list->count, &list->capacity, sizeof(*list->items));
    list->items[list->count++] = item;
}

struct tpl_value weir_tpl_pair(struct tpl_run *run, struct tpl_value first, struct tpl_value second)
{
    struct tpl_value pair = weir_tpl_list(run, TPL_TUPLE, 2);
    weir_tpl_list_push(run, pair, first);
    weir_tpl_list_push(run, pair, second);
    return pair;
}

struct tpl_value weir_tpl_dict(struct tpl_run *run, enum tpl_kind kind)
{
    return (struct tpl_value){.kind = (uint8_t)kind,
                              .dict = weir_tpl_alloc(run, 1, sizeof(struct tpl_dict))};
}

static struct tpl_entry *find_entry(struct tpl_run *run, const struct tpl_dict *dict,
                                    struct tpl_value key)
{
    weir_tpl_step(run, 1 + dict->count / 8);
    for (uint32_t index = 0; index < dict->count; index++)
        if (weir_tpl_equal(run, dict->entries[index].key, key))
            return &dict->entries[index];
    return NULL;
}

void weir_tpl_dict_set(struct tpl_run *run, struct tpl_dict *dict, struct tpl_value key,
                       struct tpl_value value)
{
    weir_tpl_must_be_key(run, key);
    struct tpl_entry *entry = find_entry(run, dict, key);
    if (entry == NULL) {
        dict->entries =
            grow(run, dict->entries, dict->count, &dict->capacity, sizeof(*dict->entries));
        entry = &dict->entries[dict->count++];
        entry->key = key;
    }
    entry->value = value;
}

const struct tpl_value *weir_tpl_dict_find(struct tpl_run *run, const struct tpl_dict *dict,
                                           struct tpl_value key)
{
    const struct tpl_entry *entry = find_entry(run, dict, key);
    return entry == NULL ? NULL : &entry->value;
}

const struct tpl_value *weir_tpl_dict_find_word(struct tpl_run *run, const struct tpl_dict *dict,
                                                const char *word)
{
    return weir_tpl_dict_find(run, dict, weir_tpl_text(word, strlen(word)));
}

/* Of two neighbouring runs, the second goes first only where it is strictly before the first. */
static void merge(struct tpl_run *run, struct tpl_entry *to, const struct tpl_entry *from,
                  size_t left_count, size_t count, bool reverse)
{
    size_t left = 0, right = left_count;
    for (size_t at = 0; at < count; at++) {
        bool takes_right = left == left_count;
        if (left < left_count && right < count) {
            const int order = weir_tpl_compare(run, from[right].key, from[left].key, "<");
            takes_right = reverse ? order > 0 : order < 0;
        }
        to[at] = from[takes_right ? right++ : left++];
    }
}

void weir_tpl_sort(struct tpl_run *run, struct tpl_entry *entries, size_t count, bool reverse)
{
    if (count < 2)
        return;
    struct tpl_entry *from = entries, *to = weir_tpl_alloc(run, count, sizeof(*entries));
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width)
            merge(run, to + at, from + at, weir_min(width, count - at),
                  weir_min(2 * width, count - at), reverse);
        struct tpl_entry *const other = from;
        from = to;
        to = other;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof(*entries));
}

void weir_tpl_must_be_key(struct tpl_run *run, struct tpl_value key)
{
    bool is_key = key.kind != TPL_DICT && key.kind != TPL_LIST;
    if (weir_tpl_is_list(key, TPL_TUPLE)) {
        is_key = true;
        weir_tpl_enter(run);
        for (uint32_t index = 0; index < key.list->count; index++)
            weir_tpl_must_be_key(run, key.list->items[index]);
        weir_tpl_exit(run);
    }
    if (!is_key)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "a %s cannot be a key", weir_tpl_type(key));
}

/* ---- asking -------------------------------------------------------------------------------- */

bool weir_tpl_is(struct tpl_value text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.text, word, text.length) == 0;
}

const char *weir_tpl_type(struct tpl_value value)
{
    static const char *const names[] = {
        [TPL_UNDEFINED] = "undefined value",
        [TPL_NONE] = "NoneType",
        [TPL_BOOL] = "bool",
        [TPL_INTEGER] = "int",
        [TPL_REAL] = "float",
        [TPL_TEXT] = "str",
        [TPL_DICT] = "dict",
        [TPL_SPACE] = "namespace",
        [TPL_LOOP] = "loop",
        [TPL_MACRO] = "macro",
        [TPL_METHOD] = "method",
        [TPL_FUNCTION] = "function",
    };
    static const char *const lists[] = {[TPL_ITEMS] = "list",
                                        [TPL_TUPLE] = "tuple",
                                        [TPL_RANGE] = "range",
                                        [TPL_GENERATOR] = "generator"};
    if (value.kind != TPL_LIST)
        return names[value.kind];
    return value.list->kind == TPL_VIEW ? value.list->name : lists[value.list->kind];
}

bool weir_tpl_truth(struct tpl_value value)
{
    switch ((enum tpl_kind)value.kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        return false;
    case TPL_BOOL:
    case TPL_INTEGER:
        return value.integer != 0;
    case TPL_REAL:
        return value.real < 0.0 || value.real > 0.0 || value.real != value.real;
    case TPL_TEXT:
        return value.length > 0;
    case TPL_LIST:
        return value.list->kind == TPL_GENERATOR || value.list->count > 0;
    case TPL_DICT:
        return value.dict->count > 0;
    default:
        return true;
    }
}

static bool same_items(struct tpl_run *run, const struct tpl_list *a, const struct tpl_list *b)
{
    if (a->count != b->count || a->kind != b->kind)
        return false;
    weir_tpl_step(run, a->count);
    for (uint32_t index = 0; index < a->count; index++)
        if (!weir_tpl_equal(run, a->items[index], b->items[index]))
            return false;
    return true;
}

static bool same_entries(struct tpl_run *run, const struct tpl_dict *a, const struct tpl_dict *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t index = 0; index < a->count; index++) {
        const struct tpl_value *other = weir_tpl_dict_find(run, b, a->entries[index].key);
        if (other == NULL || !weir_tpl_equal(run, a->entries[index].value, *other))
            return false;
    }
    return true;
}

bool weir_tpl_equal(struct tpl_run *run, struct tpl_value a, struct tpl_value b)
{
    if (weir_tpl_is_whole(a) && weir_tpl_is_whole(b))
        return a.integer == b.integer;
    if (weir_tpl_is_number(a) && weir_tpl_is_number(b)) {
        const double left = weir_tpl_as_real(a), right = weir_tpl_as_real(b);
        return left <= right && left >= right;
    }
    if (a.kind != b.kind)
        return false;
    bool same = false;
    switch ((enum tpl_kind)a.kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        return true;
    case TPL_TEXT:
        weir_tpl_step(run, a.length == b.length ? a.length / 64 : 0);
        return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
    case TPL_LIST:
    case TPL_DICT:
        if (a.list == b.list)
            return true;
        weir_tpl_enter(run);
        same = a.kind == TPL_LIST ? same_items(run, a.list, b.list)
                                  : same_entries(run, a.dict, b.dict);
        weir_tpl_exit(run);
        return same;
    case TPL_METHOD:
        return a.method->row == b.method->row &&
               weir_tpl_equal(run, a.method->self, b.method->self);
    default:
        return a.integer == b.integer;
    }
}

static int compare_items(struct tpl_run *run, const struct tpl_list *a, const struct tpl_list *b,
                         const char *sign)
{
    const uint32_t both = a->count < b->count ? a->count : b->count;
    weir_tpl_step(run, both);
    for (uint32_t index = 0; index < both; index++)
        if (!weir_tpl_equal(run, a->items[index], b->items[index]))
            return weir_tpl_compare(run, a->items[index], b->items[index], sign);
    return (a->count > b->count) - (a->count < b->count);
}

/* UTF-8 is in the order of its characters. */
static int compare_texts(struct tpl_value a, struct tpl_value b)
{
    const int order = memcmp(a.text, b.text, weir_min(a.length, b.length));
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int weir_tpl_compare(struct tpl_run *run, struct tpl_value a, struct tpl_value b, const char *sign)
{
    weir_tpl_step(run, 1);
    if (weir_tpl_is_whole(a) && weir_tpl_is_whole(b))
        return (a.integer > b.integer) - (a.integer < b.integer);
    if (weir_tpl_is_number(a) && weir_tpl_is_number(b)) {
        const double left = weir_tpl_as_real(a), right = weir_tpl_as_real(b);
        return (left > right) - (left < right);
    }
    if (a.kind == TPL_TEXT && b.kind == TPL_TEXT) {
        weir_tpl_step(run, weir_min(a.length, b.length) / 64);
        return compare_texts(a, b);
    }
    if (a.kind == TPL_LIST && b.kind == TPL_LIST && a.list->kind == b.list->kind &&
        a.list->kind <= TPL_TUPLE) {
        weir_tpl_enter(run);
        const int order = compare_items(run, a.list, b.list, sign);
        weir_tpl_exit(run);
        return order;
    }
    weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%s' does not order a %s and a %s", sign, weir_tpl_type(a),
                  weir_tpl_type(b));
}

bool weir_tpl_contains(struct tpl_run *run, struct tpl_value holder, struct tpl_value item)
{
    if (holder.kind == TPL_DICT) {
        weir_tpl_must_be_key(run, item);
        return weir_tpl_dict_find(run, holder.dict, item) != NULL;
    }
    if (holder.kind == TPL_TEXT) {
        if (item.kind != TPL_TEXT)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "'in' a str wants a str, found a %s",
                          weir_tpl_type(item));
        return weir_tpl_find(run, holder, item, 0) != SIZE_MAX;
    }
    const struct tpl_list list = weir_tpl_iterate(run, holder);
    for (uint32_t index = 0; index < list.count; index++) {
        weir_tpl_step(run, 1);
        if (weir_tpl_equal(run, list.items[index], item))
            return true;
    }
    return false;
}

bool weir_tpl_length(struct tpl_run *run, struct tpl_value value, int64_t *length)
{
    *length = 0;
    weir_tpl_step(run, value.kind == TPL_TEXT ? value.length / 64 : 0);
    if (value.kind == TPL_UNDEFINED)
        return true;
    if (value.kind == TPL_TEXT)
        *length = (int64_t)weir_tpl_count_chars(value);
    else if (value.kind == TPL_LIST && value.list->kind != TPL_GENERATOR)
        *length = value.list->count;
    else if (value.kind == TPL_DICT)
        *length = value.dict->count;
    else if (value.kind == TPL_LOOP)
        *length = value.loop->count;
    else
        return false;
    return true;
}

struct tpl_list weir_tpl_iterate(struct tpl_run *run, struct tpl_value value)
{
    if (value.kind == TPL_UNDEFINED)
        return (struct tpl_list){0};
    if (value.kind == TPL_LIST) {
        const struct tpl_list list = *value.list;
        weir_tpl_step(run, list.count);
        if (list.kind == TPL_GENERATOR)
            value.list->count = 0;
        return list;
    }
    struct tpl_value made;
    if (value.kind == TPL_DICT) {
        made = weir_tpl_list(run, TPL_ITEMS, value.dict->count);
        for (uint32_t index = 0; index < value.dict->count; index++)
            weir_tpl_list_push(run, made, value.dict->entries[index].key);
    } else if (value.kind == TPL_TEXT) {
        made = weir_tpl_list(run, TPL_ITEMS, weir_tpl_count_chars(value));
        for (size_t at = 0; at < value.length;) {
            const size_t step = weir_utf8_char(value.text + at, value.length - at);
            struct tpl_value letter = weir_tpl_text(value.text + at, step);
            letter.is_safe = value.is_safe;
            weir_tpl_list_push(run, made, letter);
            at += step;
        }
    } else {
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "a %s has no items", weir_tpl_type(value));
    }
    return *made.list;
}
