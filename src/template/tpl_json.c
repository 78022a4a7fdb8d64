/* tpl_json.c - values as JSON, as Python's json.dumps() writes them, and JSON as values. */
#include <string.h>

#include "base/utf8.h"
#include "formats/json.h"
#include "template/tpl_value.h"

static void write_json_letter(struct tpl_run *run, struct tpl_buffer *out, uint32_t letter)
{
    static const char short_names[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (size_t at = 0; at + 1 < sizeof(short_names); at += 2) {
        if (letter == (uint8_t)short_names[at]) {
            weir_tpl_push_char(run, out, '\\');
            weir_tpl_push_char(run, out, short_names[at + 1]);
            return;
        }
    }
    if (letter >= 0x10000) {
        weir_tpl_push_code(run, out, "\\u%04x", 0xd800 + ((letter - 0x10000) >> 10));
        letter = 0xdc00 + (letter & 0x3ff);
    }
    weir_tpl_push_code(run, out, "\\u%04x", letter);
}

static void write_json_text(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value text,
                            bool only_ascii)
{
    weir_tpl_push_char(run, out, '"');
    size_t plain = 0;
    weir_tpl_step(run, text.length / 8);
    for (size_t at = 0; at < text.length;) {
        const uint32_t letter = weir_utf8_decode(text.text + at);
        const size_t step = weir_utf8_char(text.text + at, text.length - at);
        if (letter < 0x20 || letter == '"' || letter == '\\' || (only_ascii && letter >= 0x7f)) {
            weir_tpl_push(run, out, text.text + plain, at - plain);
            write_json_letter(run, out, letter);
            plain = at + step;
        }
        at += step;
    }
    weir_tpl_push(run, out, text.text + plain, text.length - plain);
    weir_tpl_push_char(run, out, '"');
}

struct json_writer {
    struct tpl_run *run;
    struct tpl_buffer *out;
    const struct tpl_json_style *style;
    uint32_t depth;
};

static void begin_line(const struct json_writer *writer)
{
    if (!writer->style->has_lines)
        return;
    weir_tpl_push_char(writer->run, writer->out, '\n');
    for (uint32_t level = 0; level < writer->depth; level++)
        weir_tpl_push(writer->run, writer->out, writer->style->indent.text,
                      writer->style->indent.length);
}

static void begin_item(const struct json_writer *writer, bool is_first)
{
    if (!is_first)
        weir_tpl_push(writer->run, writer->out, writer->style->item_separator.text,
                      writer->style->item_separator.length);
    begin_line(writer);
}

static void write_json(struct json_writer *writer, struct tpl_value value);

static void write_json_key(const struct json_writer *writer, struct tpl_value key)
{
    struct tpl_buffer spelled = {0};
    if (key.kind == TPL_NONE || key.kind == TPL_BOOL) {
        key = key.kind == TPL_NONE ? TPL_WORD("null")
              : key.integer        ? TPL_WORD("true")
                                   : TPL_WORD("false");
    } else if (weir_tpl_is_number(key)) {
        weir_tpl_write_number(writer->run, &spelled, key, true);
        key = weir_tpl_buffer_text(&spelled);
    } else if (key.kind != TPL_TEXT) {
        weir_tpl_fail(writer->run, WEIR_ERR_FORMAT, "tojson: a %s is no key of JSON",
                      weir_tpl_type(key));
    }
    write_json_text(writer->run, writer->out, key, writer->style->only_ascii);
    weir_tpl_push(writer->run, writer->out, writer->style->key_separator.text,
                  writer->style->key_separator.length);
}

static void write_json_dict(struct json_writer *writer, const struct tpl_dict *dict)
{
    struct tpl_entry *entries = dict->entries;
    if (writer->style->sorts && dict->count > 1) {
        entries = weir_tpl_alloc(writer->run, dict->count, sizeof(*entries));
        memcpy(entries, dict->entries, dict->count * sizeof(*entries));
        weir_tpl_sort(writer->run, entries, dict->count, false);
    }
    writer->depth++;
    weir_tpl_push_char(writer->run, writer->out, '{');
    for (uint32_t index = 0; index < dict->count; index++) {
        begin_item(writer, index == 0);
        write_json_key(writer, entries[index].key);
        write_json(writer, entries[index].value);
    }
    writer->depth--;
    if (dict->count > 0)
        begin_line(writer);
    weir_tpl_push_char(writer->run, writer->out, '}');
}

static void write_json_list(struct json_writer *writer, const struct tpl_list *list)
{
    writer->depth++;
    weir_tpl_push_char(writer->run, writer->out, '[');
    for (uint32_t index = 0; index < list->count; index++) {
        begin_item(writer, index == 0);
        write_json(writer, list->items[index]);
    }
    writer->depth--;
    if (list->count > 0)
        begin_line(writer);
    weir_tpl_push_char(writer->run, writer->out, ']');
}

static void write_json(struct json_writer *writer, struct tpl_value value)
{
    struct tpl_run *run = writer->run;
    weir_tpl_enter(run);
    if (value.kind == TPL_NONE)
        weir_tpl_push_word(run, writer->out, "null");
    else if (value.kind == TPL_BOOL)
        weir_tpl_push_word(run, writer->out, value.integer ? "true" : "false");
    else if (weir_tpl_is_number(value))
        weir_tpl_write_number(run, writer->out, value, true);
    else if (value.kind == TPL_TEXT)
        write_json_text(run, writer->out, value, writer->style->only_ascii);
    else if (value.kind == TPL_DICT)
        write_json_dict(writer, value.dict);
    else if (value.kind == TPL_LIST && value.list->kind <= TPL_TUPLE)
        write_json_list(writer, value.list);
    else
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "tojson: a %s is nothing that JSON has",
                      weir_tpl_type(value));
    weir_tpl_exit(run);
}

void weir_tpl_write_json(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value,
                         const struct tpl_json_style *style)
{
    struct json_writer writer = {run, out, style, 0};
    write_json(&writer, value);
}

/* ---- from JSON ----------------------------------------------------------------------------- */

static struct tpl_value read_number(struct tpl_run *run, struct weir_json value)
{
    const size_t length = (size_t)(value.end - value.start);
    const bool is_negative = *value.start == '-';
    uint64_t sum = 0;
    double real = 0.0;
    for (const char *at = value.start + is_negative; at < value.end; at++) {
        if (*at < '0' || *at > '9') {
            weir_json_f64(value, &real);
            return weir_tpl_real(real);
        }
        if (!weir_checked_mul(sum, 10, &sum) ||
            !weir_checked_add(sum, (uint64_t)(*at - '0'), &sum) || sum > INT64_MAX)
            weir_tpl_fail(run, WEIR_ERR_ARG,
                          "the integer %.*s of the variables has more than 64 bits", (int)length,
                          value.start);
    }
    return weir_tpl_integer(is_negative ? -(int64_t)sum : (int64_t)sum);
}

static struct tpl_value read_text(struct tpl_run *run, struct weir_json value)
{
    const size_t length = weir_json_text(value, NULL, 0);
    char *bytes = weir_tpl_alloc(run, length + 1, 1);
    weir_json_text(value, bytes, length);
    if (weir_utf8_valid(bytes, length) != length)
        weir_tpl_fail(run, WEIR_ERR_ARG, "a text of the variables is no UTF-8");
    return weir_tpl_text(bytes, length);
}

static struct tpl_value read_value(struct tpl_run *run, struct weir_json value)
{
    struct tpl_value made = weir_tpl_none();
    bool flag = false;
    switch (weir_json_kind(value)) {
    case WEIR_JSON_BOOL:
        weir_json_bool(value, &flag);
        return weir_tpl_bool(flag);
    case WEIR_JSON_NUMBER:
        return read_number(run, value);
    case WEIR_JSON_TEXT:
        return read_text(run, value);
    case WEIR_JSON_ARRAY:
        made = weir_tpl_list(run, TPL_ITEMS, 0);
        for (struct weir_json_walk walk = weir_json_walk(value); weir_json_next(&walk);)
            weir_tpl_list_push(run, made, read_value(run, walk.value));
        return made;
    case WEIR_JSON_OBJECT:
        made = weir_tpl_dict(run, TPL_DICT);
        for (struct weir_json_walk walk = weir_json_walk(value); weir_json_next(&walk);)
            weir_tpl_dict_set(run, made.dict, read_text(run, walk.key),
                              read_value(run, walk.value));
        return made;
    default:
        return made;
    }
}

struct tpl_value weir_tpl_from_json(struct tpl_run *run, const char *bytes, size_t length)
{
    struct weir_json root = {0};
    struct weir_err err = {0};
    if (weir_json_parse(&root, bytes, length, "the variables", &err) != WEIR_OK)
        weir_tpl_fail(run, WEIR_ERR_ARG, "%s", err.text);
    if (weir_json_kind(root) != WEIR_JSON_OBJECT)
        weir_tpl_fail(run, WEIR_ERR_ARG, "the variables are %s, wanted an object",
                      weir_json_kind_name(weir_json_kind(root)));
    return read_value(run, root);
}
