/* tpl_call.c - arguments, and the functions that every template has. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "template/tpl_evaluate.h"

/* ---- arguments ----------------------------------------------------------------------------- */

const struct tpl_value *weir_tpl_take(struct tpl_arguments *arguments, uint32_t place,
                                      const char *keyword)
{
    for (uint32_t index = 0; index < arguments->count; index++) {
        struct tpl_argument *argument = &arguments->items[index];
        const bool is_named = argument->keyword.kind == TPL_TEXT;
        if (is_named ? keyword != NULL && weir_tpl_is(argument->keyword, keyword)
                     : index == place) {
            argument->is_used = true;
            return &argument->value;
        }
    }
    return NULL;
}

struct tpl_value weir_tpl_take_or(struct tpl_arguments *arguments, uint32_t place,
                                  const char *keyword, struct tpl_value fallback)
{
    const struct tpl_value *given = weir_tpl_take(arguments, place, keyword);
    return given == NULL ? fallback : *given;
}

_Noreturn void weir_tpl_argument_missing(struct tpl_run *run, const struct tpl_arguments *arguments,
                                         const char *keyword)
{
    weir_tpl_fail(run, WEIR_ERR_FORMAT, "%s '%.*s' wants an argument '%s'", arguments->what,
                  (int)weir_min(arguments->name.length, 60), arguments->name.text, keyword);
}

static _Noreturn void refuse_kind(struct tpl_run *run, const struct tpl_arguments *arguments,
                                  const char *wanted, const char *keyword, struct tpl_value found)
{
    weir_tpl_fail(run, WEIR_ERR_FORMAT, "%s '%.*s' wants %s as '%s', found a %s", arguments->what,
                  (int)weir_min(arguments->name.length, 60), arguments->name.text, wanted, keyword,
                  weir_tpl_type(found));
}

struct tpl_value weir_tpl_take_text(struct tpl_run *run, struct tpl_arguments *arguments,
                                    uint32_t place, const char *keyword, const char *fallback)
{
    const struct tpl_value *given = weir_tpl_take(arguments, place, keyword);
    if (given == NULL && fallback != NULL)
        return weir_tpl_text(fallback, strlen(fallback));
    if (given == NULL)
        weir_tpl_argument_missing(run, arguments, keyword);
    if (given->kind != TPL_TEXT)
        refuse_kind(run, arguments, "a str", keyword, *given);
    return *given;
}

int64_t weir_tpl_take_integer(struct tpl_run *run, struct tpl_arguments *arguments, uint32_t place,
                              const char *keyword, int64_t fallback)
{
    const struct tpl_value *given = weir_tpl_take(arguments, place, keyword);
    if (given == NULL)
        return fallback;
    if (!weir_tpl_is_whole(*given))
        refuse_kind(run, arguments, "an int", keyword, *given);
    return given->integer;
}

bool weir_tpl_take_flag(struct tpl_arguments *arguments, uint32_t place, const char *keyword,
                        bool fallback)
{
    return weir_tpl_truth(weir_tpl_take_or(arguments, place, keyword, weir_tpl_bool(fallback)));
}

void weir_tpl_end_arguments(struct tpl_run *run, const struct tpl_arguments *arguments)
{
    for (uint32_t index = 0; index < arguments->count; index++) {
        const struct tpl_argument *argument = &arguments->items[index];
        const int length = (int)weir_min(arguments->name.length, 60);
        const char *name = arguments->name.kind == TPL_TEXT ? arguments->name.text : "";
        if (argument->is_used)
            continue;
        if (argument->keyword.kind == TPL_TEXT)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "%s '%.*s' takes no argument '%.*s'",
                          arguments->what, length, name,
                          (int)weir_min(argument->keyword.length, 60), argument->keyword.text);
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "%s '%.*s' takes no argument %u", arguments->what,
                      length, name, index + 1);
    }
}

struct tpl_arguments weir_tpl_rest(struct tpl_arguments arguments, uint32_t skipped)
{
    while (skipped > 0 && arguments.count > 0 && arguments.items[0].keyword.kind != TPL_TEXT) {
        arguments.items++;
        arguments.count--;
        skipped--;
    }
    return arguments;
}

/* ---- functions ----------------------------------------------------------------------------- */

enum { RANGE_MAX = 100000 /* as Jinja's sandbox */ };

static struct tpl_value call_range(struct tpl_run *run, struct tpl_arguments *arguments)
{
    int64_t from = weir_tpl_take_integer(run, arguments, 0, NULL, INT64_MIN);
    int64_t to = weir_tpl_take_integer(run, arguments, 1, NULL, INT64_MIN);
    const int64_t step = weir_tpl_take_integer(run, arguments, 2, NULL, 1);
    if (arguments->count == 0)
        weir_tpl_argument_missing(run, arguments, "stop");
    if (arguments->count == 1) {
        to = from;
        from = 0;
    }
    if (step == 0)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "a range wants a step that is no zero");
    struct tpl_value range = weir_tpl_list(run, TPL_RANGE, 0);
    for (int64_t at = from; step > 0 ? at < to : at > to;) {
        if (range.list->count == RANGE_MAX)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "a range of more than %d items", RANGE_MAX);
        weir_tpl_list_push(run, range, weir_tpl_integer(at));
        if (__builtin_add_overflow(at, step, &at))
            break;
    }
    return range;
}

/* What dict() and namespace() are given: a dictionary, and names. */
static struct tpl_value gather(struct tpl_run *run, struct tpl_arguments *arguments,
                               enum tpl_kind kind)
{
    struct tpl_value made = weir_tpl_dict(run, kind);
    const struct tpl_value *base = weir_tpl_take(arguments, 0, NULL);
    if (base != NULL && base->kind != TPL_DICT)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "'%.*s' of a %s is not built in",
                      (int)weir_min(arguments->name.length, 60), arguments->name.text,
                      weir_tpl_type(*base));
    for (uint32_t index = 0; base != NULL && index < base->dict->count; index++)
        weir_tpl_dict_set(run, made.dict, base->dict->entries[index].key,
                          base->dict->entries[index].value);
    for (uint32_t index = 0; index < arguments->count; index++) {
        struct tpl_argument *argument = &arguments->items[index];
        if (argument->keyword.kind != TPL_TEXT)
            continue;
        if (kind == TPL_SPACE && argument->keyword.text[0] == '_')
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "a namespace takes no name that begins with _");
        argument->is_used = true;
        weir_tpl_dict_set(run, made.dict, argument->keyword, argument->value);
    }
    return made;
}

static struct tpl_value call_dict(struct tpl_run *run, struct tpl_arguments *arguments)
{
    return gather(run, arguments, TPL_DICT);
}

static struct tpl_value call_namespace(struct tpl_run *run, struct tpl_arguments *arguments)
{
    return gather(run, arguments, TPL_SPACE);
}

static struct tpl_value call_raise(struct tpl_run *run, struct tpl_arguments *arguments)
{
    const struct tpl_value *message = weir_tpl_take(arguments, 0, "message");
    if (message == NULL)
        weir_tpl_argument_missing(run, arguments, "message");
    const struct tpl_value text = weir_tpl_to_text(run, *message);
    weir_tpl_fail(run, WEIR_ERR_ARG, "it says: %.*s", (int)weir_min(text.length, 500), text.text);
}

/* In the words of the C locale, whatever the process speaks. */
static struct tpl_value call_strftime_now(struct tpl_run *run, struct tpl_arguments *arguments)
{
    const struct tpl_value format = weir_tpl_take_text(run, arguments, 0, "format", NULL);
    const time_t now = (time_t)run->now_s;
    struct tm parts = {0};
    char *spelled = weir_tpl_alloc(run, (size_t)format.length + 1, 1);
    memcpy(spelled, format.text, format.length);
    if (memchr(format.text, 0, format.length) != NULL || format.length > 200)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "strftime_now: a format of %u bytes",
                      format.length);
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0 || localtime_r(&now, &parts) == NULL) {
        if (plain != (locale_t)0)
            freelocale(plain);
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "strftime_now: no time is known");
    }
    char text[4096];
    const size_t length = strftime_l(text, sizeof(text), spelled, &parts, plain);
    freelocale(plain);
    struct tpl_buffer out = {0};
    if (weir_utf8_valid(text, length) == length)
        weir_tpl_push(run, &out, text, length);
    return weir_tpl_buffer_text(&out);
}

static const struct {
    const char *name;
    struct tpl_value (*call)(struct tpl_run *run, struct tpl_arguments *arguments);
} functions[] = {
    {"range", call_range},
    {"dict", call_dict},
    {"namespace", call_namespace},
    {"raise_exception", call_raise},
    {"lipsum", NULL},
    {"strftime_now", call_strftime_now},
    {"cycler", NULL},
    {"joiner", NULL},
};

bool weir_tpl_find_function(struct tpl_value name, struct tpl_value *function)
{
    for (size_t index = 0; index < WEIR_COUNT(functions); index++) {
        if (!weir_tpl_is(name, functions[index].name))
            continue;
        *function = (struct tpl_value){.kind = TPL_FUNCTION, .integer = (int64_t)index};
        return true;
    }
    return false;
}

struct tpl_value weir_tpl_call(struct tpl_run *run, struct tpl_value callee,
                               struct tpl_arguments *arguments)
{
    struct tpl_value value;
    weir_tpl_enter(run);
    if (callee.kind == TPL_MACRO) {
        value = weir_tpl_call_macro(run, callee.macro, arguments);
    } else if (callee.kind == TPL_METHOD) {
        const struct tpl_method_row *row = callee.method->row;
        arguments->what = "the method";
        if (row->call == NULL)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the method '%.*s' of a %s is not built in",
                          (int)weir_min(arguments->name.length, 60), arguments->name.text,
                          weir_tpl_type(callee.method->self));
        value = row->call(run, callee.method->self, arguments);
        weir_tpl_end_arguments(run, arguments);
    } else if (callee.kind == TPL_FUNCTION) {
        arguments->what = "the function";
        if (functions[callee.integer].call == NULL)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the function '%s' is not built in",
                          functions[callee.integer].name);
        value = functions[callee.integer].call(run, arguments);
        weir_tpl_end_arguments(run, arguments);
    } else {
        weir_tpl_must_be_defined(run, callee);
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "a %s cannot be called", weir_tpl_type(callee));
    }
    weir_tpl_exit(run);
    return value;
}
