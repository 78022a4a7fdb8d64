/* call_tags.c - arguments of a call that stand one by one between marks, typed by their schemas.
 *
 * A text goes out as it comes. What is no text, or may be something else, is kept until its end. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "chat/reply_parts.h"

static void put_word(struct weir_reply *reply, const char *word)
{
    weir_call_put(reply, word, strlen(word));
}

static bool go_on_argument(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const enum weir_mark_match over = weir_call_take_mark(reply, call->format->close);
    if (over == WEIR_MARK_WHOLE) {
        put_word(reply, call->has_arguments ? "}" : "{}");
        weir_call_finish(reply);
        call->state = WEIR_CALL_AT_NEXT;
        return true;
    }
    if (over == WEIR_MARK_BEGUN)
        return false;
    const enum weir_mark_match match = weir_call_take_mark(reply, call->format->argument);
    if (match == WEIR_MARK_WHOLE) {
        call->key_length = 0;
        call->state = WEIR_CALL_IN_KEY;
    } else if (match == WEIR_MARK_NONE) {
        weir_call_fail(reply, "a call of %s stays text: wanted \"%s\" or \"%s\"", call->name,
                       call->format->argument, call->format->close);
    } else {
        return false;
    }
    return true;
}

static void begin_text(struct weir_reply *reply, uint32_t kinds)
{
    struct weir_call *call = &reply->call;
    put_word(reply, call->has_arguments ? ",\"" : "{\"");
    weir_value_escape(weir_call_put, reply, call->key, call->key_length);
    put_word(reply, "\":");
    call->has_arguments = true;
    call->kinds = kinds;
    call->is_text = kinds == 1u << WEIR_JSON_TEXT;
    call->is_at_first = true;
    call->has_break = false;
    call->text.length = 0;
    call->state = WEIR_CALL_IN_TEXT;
    if (call->is_text)
        put_word(reply, "\"");
}

static bool go_on_key(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    bool is_over = false;
    if (weir_call_collect(reply, call->format->key_end, call->key, WEIR_CALL_NAME_MAX,
                          &call->key_length, &is_over)) {
        call->text.length = 0;
        call->key[call->key_length] = '\0';
        if (call->key_length == 0 || strlen(call->key) < call->key_length)
            weir_call_fail(reply, "a call of %s stays text: wanted the name of an argument",
                           call->name);
        else if (call->format->type_end != NULL)
            call->state = WEIR_CALL_IN_TYPE;
        else
            begin_text(reply, weir_tool_kinds(call->schema, call->key, call->key_length));
    }
    return is_over;
}

static bool go_on_type(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    char type[32];
    size_t length = 0;
    bool is_over = false;
    enum weir_mark_match match = WEIR_MARK_NONE;
    size_t used = 0;
    /* Short, so it stays held until it is whole. */
    if (weir_call_count_before(reply, call->format->type_end, &match, &used) <= sizeof(type) &&
        match != WEIR_MARK_WHOLE && !reply->ends)
        return false;
    if (weir_call_collect(reply, call->format->type_end, type, sizeof(type), &length, &is_over)) {
        const bool is_text = length == strlen(call->format->type_text) &&
                             memcmp(type, call->format->type_text, length) == 0;
        begin_text(reply,
                   is_text ? 1u << WEIR_JSON_TEXT : WEIR_KINDS_ALL & ~(1u << WEIR_JSON_TEXT));
    }
    return is_over;
}

static void keep_text(void *user, const char *bytes, size_t length)
{
    weir_chat_put(user, bytes, length);
}

static bool convert(struct weir_reply *reply, enum weir_dialect dialect)
{
    struct weir_call *call = &reply->call;
    struct weir_chat_buffer out = {0};
    struct weir_value value;
    size_t at = 0;
    enum weir_value_step step = WEIR_VALUE_MORE;
    weir_value_init(&value, dialect, keep_text, &out);
    for (; at < call->text.length && step == WEIR_VALUE_MORE; at++)
        step = weir_value_push(&value, call->text.bytes[at]);
    at -= step == WEIR_VALUE_PAST;
    while (at < call->text.length && weir_mark_is_space(call->text.bytes[at]))
        at++;
    bool is_whole = step == WEIR_VALUE_MORE ? weir_value_end(&value) : step != WEIR_VALUE_FAIL;
    is_whole = is_whole && at == call->text.length && out.length > 0 && !out.failed;
    const struct weir_json made = {out.bytes, is_whole ? out.bytes + out.length : NULL};
    if (is_whole && (call->kinds >> weir_json_kind(made) & 1) != 0)
        weir_call_put(reply, out.bytes, out.length);
    else
        is_whole = false;
    call->raw.failed = call->raw.failed || out.failed;
    weir_heap_free(out.bytes);
    return is_whole;
}

/* An argument that is no text, or may be something else: as its schema says. */
static void end_text(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    call->state = WEIR_CALL_AT_ARGUMENT;
    if (call->is_text) {
        put_word(reply, "\"");
        return;
    }
    if (convert(reply, WEIR_DIALECT_JSON) || convert(reply, WEIR_DIALECT_PYTHON))
        return;
    if ((call->kinds & 1u << WEIR_JSON_TEXT) == 0) {
        char note[WEIR_CALL_NAME_MAX * 2 + 100];
        snprintf(note, sizeof(note),
                 "argument %s of %s is no value of its type: it is told as text", call->key,
                 call->name);
        weir_call_note(reply, WEIR_REPLY_NOTE, note);
    }
    put_word(reply, "\"");
    weir_value_escape(weir_call_put, reply, call->text.bytes, call->text.length);
    put_word(reply, "\"");
}

/* The line breaks around an argument are the format's, one at each end. */
static void put_text(struct weir_reply *reply, const char *bytes, size_t length)
{
    struct weir_call *call = &reply->call;
    const char *key_end = call->format->key_end;
    const bool has_breaks = key_end[strlen(key_end) - 1] == '\n';
    for (size_t at = 0; at < length; at++) {
        const bool is_break = has_breaks && bytes[at] == '\n';
        const bool is_first = call->is_at_first;
        call->is_at_first = false;
        if (is_break && is_first)
            continue;
        for (int part = 0; part < 2; part++) {
            const char *byte = part == 0 ? "\n" : bytes + at;
            if (part == 0 ? !call->has_break : is_break)
                continue;
            if (call->is_text)
                weir_value_escape(weir_call_put, reply, byte, 1);
            else
                weir_chat_put(&call->text, byte, 1);
        }
        call->has_break = is_break;
    }
}

static bool go_on_text(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const char *pattern = call->format->argument_end;
    const char *percent = strchr(pattern, '%');
    char mark[WEIR_CALL_NAME_MAX + 64];
    enum weir_mark_match match = WEIR_MARK_NONE;
    size_t used = 0;
    if (percent != NULL)
        snprintf(mark, sizeof(mark), "%.*s%s%s", (int)(percent - pattern), pattern, call->key,
                 percent + 1);
    const size_t count =
        weir_call_count_before(reply, percent != NULL ? mark : pattern, &match, &used);
    put_text(reply, reply->held, count);
    weir_call_take(reply, count);
    if (match != WEIR_MARK_WHOLE)
        return false;
    weir_call_take(reply, used);
    end_text(reply);
    return true;
}

bool weir_tags_go_on(struct weir_reply *reply)
{
    switch (reply->call.state) {
    case WEIR_CALL_IN_KEY:
        return go_on_key(reply);
    case WEIR_CALL_IN_TYPE:
        return go_on_type(reply);
    case WEIR_CALL_IN_TEXT:
        return go_on_text(reply);
    default:
        return go_on_argument(reply);
    }
}
