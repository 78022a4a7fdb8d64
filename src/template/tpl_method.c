/* tpl_method.c - the methods of Python's str, dict and list that a sandbox lets be called. */
#include <string.h>

#include "base/utf8.h"
#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"

/* ---- str ----------------------------------------------------------------------------------- */

static struct tpl_value strip_sides(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments, unsigned sides)
{
    return weir_tpl_strip(run, self, weir_tpl_take_or(arguments, 0, NULL, weir_tpl_none()), sides);
}

static struct tpl_value call_strip(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    return strip_sides(run, self, arguments, TPL_LEFT | TPL_RIGHT);
}

static struct tpl_value call_lstrip(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments)
{
    return strip_sides(run, self, arguments, TPL_LEFT);
}

static struct tpl_value call_rstrip(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments)
{
    return strip_sides(run, self, arguments, TPL_RIGHT);
}

static struct tpl_value split(struct tpl_run *run, struct tpl_value self,
                              struct tpl_arguments *arguments, bool from_right)
{
    const struct tpl_value at = weir_tpl_take_or(arguments, 0, "sep", weir_tpl_none());
    const int64_t limit = weir_tpl_take_integer(run, arguments, 1, "maxsplit", -1);
    return weir_tpl_split(run, self, at, limit, from_right);
}

static struct tpl_value call_split(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    return split(run, self, arguments, false);
}

static struct tpl_value call_rsplit(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments)
{
    return split(run, self, arguments, true);
}

static struct tpl_value call_splitlines(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    return weir_tpl_split_lines(run, self, weir_tpl_take_flag(arguments, 0, "keepends", false));
}

static struct tpl_value partition(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments, bool from_right)
{
    const struct tpl_value at = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    if (at.length == 0)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "partition wants a str that is not empty");
    const size_t found = from_right ? weir_tpl_find_last(run, self, at, self.length)
                                    : weir_tpl_find(run, self, at, 0);
    const struct tpl_value empty = weir_tpl_part(self, 0, 0);
    struct tpl_value parts = weir_tpl_list(run, TPL_TUPLE, 3);
    if (found == SIZE_MAX) {
        weir_tpl_list_push(run, parts, from_right ? empty : self);
        weir_tpl_list_push(run, parts, empty);
        weir_tpl_list_push(run, parts, from_right ? self : empty);
        return parts;
    }
    weir_tpl_list_push(run, parts, weir_tpl_part(self, 0, found));
    weir_tpl_list_push(run, parts, at);
    weir_tpl_list_push(run, parts, weir_tpl_part(self, found + at.length, self.length));
    return parts;
}

static struct tpl_value call_partition(struct tpl_run *run, struct tpl_value self,
                                       struct tpl_arguments *arguments)
{
    return partition(run, self, arguments, false);
}

static struct tpl_value call_rpartition(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    return partition(run, self, arguments, true);
}

static bool has_affix(struct tpl_run *run, struct tpl_value self, struct tpl_value affix,
                      bool at_end)
{
    weir_tpl_step(run, affix.length / 64);
    return affix.length <= self.length &&
           memcmp(self.text + (at_end ? self.length - affix.length : 0), affix.text,
                  affix.length) == 0;
}

/* startswith and endswith take one text or a tuple of them. */
static struct tpl_value ask_affix(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments, bool at_end)
{
    const struct tpl_value affix = weir_tpl_take_or(arguments, 0, NULL, weir_tpl_none());
    if (affix.kind == TPL_TEXT)
        return weir_tpl_bool(has_affix(run, self, affix, at_end));
    if (!weir_tpl_is_list(affix, TPL_TUPLE))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%.*s' wants a str or a tuple of them, found a %s",
                      (int)weir_min(arguments->name.length, 60), arguments->name.text,
                      weir_tpl_type(affix));
    for (uint32_t index = 0; index < affix.list->count; index++)
        if (affix.list->items[index].kind == TPL_TEXT &&
            has_affix(run, self, affix.list->items[index], at_end))
            return weir_tpl_bool(true);
    return weir_tpl_bool(false);
}

static struct tpl_value call_startswith(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    return ask_affix(run, self, arguments, false);
}

static struct tpl_value call_endswith(struct tpl_run *run, struct tpl_value self,
                                      struct tpl_arguments *arguments)
{
    return ask_affix(run, self, arguments, true);
}

static struct tpl_value call_removeprefix(struct tpl_run *run, struct tpl_value self,
                                          struct tpl_arguments *arguments)
{
    const struct tpl_value affix = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    return has_affix(run, self, affix, false) ? weir_tpl_part(self, affix.length, self.length)
                                              : self;
}

static struct tpl_value call_removesuffix(struct tpl_run *run, struct tpl_value self,
                                          struct tpl_arguments *arguments)
{
    const struct tpl_value affix = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    return has_affix(run, self, affix, true) ? weir_tpl_part(self, 0, self.length - affix.length)
                                             : self;
}

static struct tpl_value call_replace(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    struct tpl_value old = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    struct tpl_value new = weir_tpl_take_text(run, arguments, 1, NULL, NULL);
    const int64_t limit = weir_tpl_take_integer(run, arguments, 2, "count", -1);
    if (self.is_safe) {
        old = weir_tpl_escape(run, old);
        new = weir_tpl_escape(run, new);
    }
    return weir_tpl_replace(run, self, old, new, limit);
}

static struct tpl_value find(struct tpl_run *run, struct tpl_value self,
                             struct tpl_arguments *arguments, bool from_right)
{
    const struct tpl_value part = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    const size_t found = from_right ? weir_tpl_find_last(run, self, part, self.length)
                                    : weir_tpl_find(run, self, part, 0);
    if (found == SIZE_MAX)
        return weir_tpl_integer(-1);
    return weir_tpl_integer((int64_t)weir_tpl_count_chars(weir_tpl_part(self, 0, found)));
}

static struct tpl_value call_find(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments)
{
    return find(run, self, arguments, false);
}

static struct tpl_value call_rfind(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    return find(run, self, arguments, true);
}

static struct tpl_value call_count(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    const struct tpl_value part = weir_tpl_take_text(run, arguments, 0, NULL, NULL);
    int64_t count = 0;
    if (part.length == 0)
        return weir_tpl_integer((int64_t)weir_tpl_count_chars(self) + 1);
    for (size_t at = weir_tpl_find(run, self, part, 0); at != SIZE_MAX;
         at = weir_tpl_find(run, self, part, at + part.length))
        count++;
    return weir_tpl_integer(count);
}

static struct tpl_value call_upper(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, self, TPL_UPPER);
}

static struct tpl_value call_lower(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, self, TPL_LOWER);
}

static struct tpl_value call_capitalize(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, self, TPL_CAPITALIZE);
}

static struct tpl_value call_title(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, self, TPL_TITLE);
}

static struct tpl_value call_join(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments)
{
    const struct tpl_list items =
        weir_tpl_iterate(run, weir_tpl_take_or(arguments, 0, NULL, weir_tpl_none()));
    struct tpl_buffer out = {0};
    for (uint32_t index = 0; index < items.count; index++) {
        if (items.items[index].kind != TPL_TEXT)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "the method 'join' wants str items, found a %s",
                          weir_tpl_type(items.items[index]));
        if (self.is_safe || items.items[index].is_safe)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the method 'join' of safe texts");
        weir_tpl_push(run, &out, self.text, index == 0 ? 0 : self.length);
        weir_tpl_push(run, &out, items.items[index].text, items.items[index].length);
    }
    return weir_tpl_buffer_text(&out);
}

/* isdigit and its like, of ASCII. */
static struct tpl_value ask_letters(struct tpl_run *run, struct tpl_value self, bool digits,
                                    bool letters)
{
    weir_tpl_step(run, self.length / 4);
    for (uint32_t at = 0; at < self.length; at++) {
        const char byte = self.text[at], lower = (char)(byte | 0x20);
        if ((uint8_t)byte >= 0x80)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED,
                          "what kind of letters a text beyond ASCII has is not built in");
        if (!(digits && byte >= '0' && byte <= '9') && !(letters && lower >= 'a' && lower <= 'z'))
            return weir_tpl_bool(false);
    }
    return weir_tpl_bool(self.length > 0);
}

static struct tpl_value call_isdigit(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    (void)arguments;
    return ask_letters(run, self, true, false);
}

static struct tpl_value call_isalpha(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    (void)arguments;
    return ask_letters(run, self, false, true);
}

static struct tpl_value call_isalnum(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    (void)arguments;
    return ask_letters(run, self, true, true);
}

static struct tpl_value call_isspace(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    (void)arguments;
    weir_tpl_step(run, self.length / 4);
    return weir_tpl_bool(self.length > 0 &&
                         weir_tpl_space_before(self.text, self.length) == self.length);
}

/* The argument that a field "{}", "{0}" or "{name}" stands for. */
static struct tpl_value take_field(struct tpl_run *run, struct tpl_arguments *arguments,
                                   struct tpl_value field, uint32_t *next)
{
    char keyword[64];
    uint32_t place = field.length == 0 ? (*next)++ : 0;
    if (field.length >= sizeof(keyword) || memchr(field.text, 0, field.length) != NULL)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "format: a field of %u bytes", field.length);
    memcpy(keyword, field.text, field.length);
    keyword[field.length] = 0;
    if (strpbrk(keyword, ".[:!{") != NULL)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "format: the field '{%s}' is not built in",
                      keyword);
    const bool is_number = field.length > 0 && strspn(keyword, "0123456789") == field.length;
    for (uint32_t at = 0; is_number && at < field.length && place < 1000; at++)
        place = place * 10 + (uint32_t)(keyword[at] - '0');
    const struct tpl_value *found =
        weir_tpl_take(arguments, field.length == 0 || is_number ? place : UINT32_MAX, keyword);
    if (found == NULL)
        weir_tpl_argument_missing(run, arguments, keyword);
    return *found;
}

static struct tpl_value call_format(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments)
{
    struct tpl_buffer out = {0};
    uint32_t next = 0;
    if (self.is_safe)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the method 'format' of a safe text");
    weir_tpl_step(run, self.length / 4);
    for (uint32_t at = 0; at < self.length; at++) {
        const char byte = self.text[at];
        if (byte != '{' && byte != '}') {
            weir_tpl_push_char(run, &out, byte);
            continue;
        }
        if (at + 1 < self.length && self.text[at + 1] == byte) {
            weir_tpl_push_char(run, &out, byte);
            at++;
            continue;
        }
        const char *end = memchr(self.text + at, '}', self.length - at);
        if (byte == '}' || end == NULL)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "format: a single '%c'", byte);
        const size_t field_end = (size_t)(end - self.text);
        weir_tpl_write(run, &out,
                       take_field(run, arguments, weir_tpl_part(self, at + 1, field_end), &next));
        at = (uint32_t)field_end;
    }
    /* Python lets arguments be unused here. */
    for (uint32_t index = 0; index < arguments->count; index++)
        arguments->items[index].is_used = true;
    return weir_tpl_buffer_text(&out);
}

/* ---- dict and list ------------------------------------------------------------------------- */

static struct tpl_value call_get(struct tpl_run *run, struct tpl_value self,
                                 struct tpl_arguments *arguments)
{
    const struct tpl_value *key = weir_tpl_take(arguments, 0, NULL);
    const struct tpl_value fallback = weir_tpl_take_or(arguments, 1, NULL, weir_tpl_none());
    if (key == NULL)
        weir_tpl_argument_missing(run, arguments, "key");
    weir_tpl_must_be_key(run, *key);
    const struct tpl_value *found = weir_tpl_dict_find(run, self.dict, *key);
    return found == NULL ? fallback : *found;
}

static struct tpl_value view(struct tpl_run *run, struct tpl_value self, const char *name,
                             bool with_keys, bool with_values)
{
    struct tpl_value made = weir_tpl_list(run, TPL_VIEW, self.dict->count);
    made.list->name = name;
    for (uint32_t index = 0; index < self.dict->count; index++) {
        const struct tpl_entry entry = self.dict->entries[index];
        weir_tpl_list_push(run, made,
                           with_keys && with_values ? weir_tpl_pair(run, entry.key, entry.value)
                           : with_keys              ? entry.key
                                                    : entry.value);
    }
    return made;
}

static struct tpl_value call_items(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    (void)arguments;
    return view(run, self, "dict_items", true, true);
}

static struct tpl_value call_keys(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments)
{
    (void)arguments;
    return view(run, self, "dict_keys", true, false);
}

static struct tpl_value call_values(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments)
{
    (void)arguments;
    return view(run, self, "dict_values", false, true);
}

/* Nothing changes, so a copy is the thing itself. */
static struct tpl_value call_copy(struct tpl_run *run, struct tpl_value self,
                                  struct tpl_arguments *arguments)
{
    (void)run;
    (void)arguments;
    return self;
}

static struct tpl_value count_items(struct tpl_run *run, struct tpl_value self,
                                    struct tpl_arguments *arguments, bool first_only)
{
    const struct tpl_value *item = weir_tpl_take(arguments, 0, NULL);
    int64_t count = 0;
    if (item == NULL)
        weir_tpl_argument_missing(run, arguments, "value");
    for (uint32_t index = 0; index < self.list->count; index++) {
        weir_tpl_step(run, 1);
        if (!weir_tpl_equal(run, self.list->items[index], *item))
            continue;
        if (first_only)
            return weir_tpl_integer(index);
        count++;
    }
    if (first_only)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the method 'index' finds no such item");
    return weir_tpl_integer(count);
}

static struct tpl_value call_list_count(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    return count_items(run, self, arguments, false);
}

static struct tpl_value call_list_index(struct tpl_run *run, struct tpl_value self,
                                        struct tpl_arguments *arguments)
{
    return count_items(run, self, arguments, true);
}

/* ---- loop ---------------------------------------------------------------------------------- */

static struct tpl_value call_cycle(struct tpl_run *run, struct tpl_value self,
                                   struct tpl_arguments *arguments)
{
    if (arguments->count == 0)
        weir_tpl_argument_missing(run, arguments, "items");
    for (uint32_t index = 0; index < arguments->count; index++)
        weir_tpl_take(arguments, index, NULL);
    return arguments->items[self.loop->index % arguments->count].value;
}

static struct tpl_value call_changed(struct tpl_run *run, struct tpl_value self,
                                     struct tpl_arguments *arguments)
{
    struct tpl_value seen = weir_tpl_list(run, TPL_TUPLE, arguments->count);
    for (uint32_t index = 0; index < arguments->count; index++)
        weir_tpl_list_push(run, seen, *weir_tpl_take(arguments, index, NULL));
    const bool has_changed = !weir_tpl_equal(run, self.loop->changed, seen);
    self.loop->changed = seen;
    return weir_tpl_bool(has_changed);
}

static const struct tpl_method_row rows[] = {
    {TPL_TEXT, "strip", call_strip},
    {TPL_TEXT, "lstrip", call_lstrip},
    {TPL_TEXT, "rstrip", call_rstrip},
    {TPL_TEXT, "split", call_split},
    {TPL_TEXT, "rsplit", call_rsplit},
    {TPL_TEXT, "splitlines", call_splitlines},
    {TPL_TEXT, "partition", call_partition},
    {TPL_TEXT, "rpartition", call_rpartition},
    {TPL_TEXT, "startswith", call_startswith},
    {TPL_TEXT, "endswith", call_endswith},
    {TPL_TEXT, "removeprefix", call_removeprefix},
    {TPL_TEXT, "removesuffix", call_removesuffix},
    {TPL_TEXT, "replace", call_replace},
    {TPL_TEXT, "find", call_find},
    {TPL_TEXT, "rfind", call_rfind},
    {TPL_TEXT, "count", call_count},
    {TPL_TEXT, "upper", call_upper},
    {TPL_TEXT, "lower", call_lower},
    {TPL_TEXT, "capitalize", call_capitalize},
    {TPL_TEXT, "title", call_title},
    {TPL_TEXT, "join", call_join},
    {TPL_TEXT, "isdigit", call_isdigit},
    {TPL_TEXT, "isalpha", call_isalpha},
    {TPL_TEXT, "isalnum", call_isalnum},
    {TPL_TEXT, "isspace", call_isspace},
    {TPL_TEXT, "format", call_format},
    {TPL_DICT, "get", call_get},
    {TPL_DICT, "items", call_items},
    {TPL_DICT, "keys", call_keys},
    {TPL_DICT, "values", call_values},
    {TPL_DICT, "copy", call_copy},
    {TPL_LIST, "copy", call_copy},
    {TPL_LIST, "count", call_list_count},
    {TPL_LIST, "index", call_list_index},
    {TPL_LOOP, "cycle", call_cycle},
    {TPL_LOOP, "changed", call_changed},
};

/* The rest of what Python has: these names are no keys of a dictionary, nor undefined. */
static const struct {
    enum tpl_kind kind;
    const char *names;
} others[] = {
    {TPL_TEXT, " casefold center encode expandtabs format_map index isascii isdecimal isidentifier "
               "islower isnumeric isprintable istitle isupper ljust maketrans rindex rjust "
               "swapcase translate zfill "},
    {TPL_DICT, " clear fromkeys pop popitem setdefault update "},
    {TPL_LIST, " append clear extend insert pop remove reverse sort "},
};

static const struct tpl_method_row *find_other(enum tpl_kind kind, struct tpl_value name)
{
    static const struct tpl_method_row refused[] = {{TPL_TEXT, "of Python", NULL},
                                                    {TPL_DICT, "of Python", NULL},
                                                    {TPL_LIST, "of Python", NULL}};
    char word[32];
    if (name.length > sizeof(word) - 3 || memchr(name.text, ' ', name.length) != NULL)
        return NULL;
    word[0] = word[name.length + 1] = ' ';
    memcpy(word + 1, name.text, name.length);
    word[name.length + 2] = 0;
    for (size_t index = 0; index < WEIR_COUNT(others); index++)
        if (others[index].kind == kind && strstr(others[index].names, word) != NULL)
            return &refused[index];
    return NULL;
}

const struct tpl_method_row *weir_tpl_find_method(enum tpl_kind kind, struct tpl_value name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (rows[row].kind == kind && weir_tpl_is(name, rows[row].name))
            return &rows[row];
    return find_other(kind, name);
}
