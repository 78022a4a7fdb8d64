/* call.c - one call of a tool as it comes: its name, its arguments, its end.
 *
 * I1  What is held ends before its first byte that is not decided; all before it is in raw.
 * I2  A call is told (has_begun) only once its tool is known, and then either ends or breaks. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/reply_parts.h"

/* ---- what is told -------------------------------------------------------------------------- */

/* A sentence, whatever a model's words in it are. */
void weir_call_note(struct weir_reply *reply, enum weir_reply_kind kind, const char *note)
{
    char shown[WEIR_REPLY_OUT_MAX];
    weir_reply_tell(reply, kind, shown, weir_printable(note, strlen(note), shown, sizeof(shown)));
}

void weir_call_put(void *user, const char *bytes, size_t length)
{
    struct weir_reply *reply = user;
    if (reply->call.has_begun)
        weir_reply_put(reply, WEIR_REPLY_ARGUMENTS, bytes, length);
    else
        weir_chat_put(&reply->call.arguments, bytes, length);
}

static void begin_telling(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    call->has_begun = true;
    weir_reply_tell(reply, WEIR_REPLY_CALL, call->name, call->name_length);
    weir_reply_put(reply, WEIR_REPLY_ARGUMENTS, call->arguments.bytes, call->arguments.length);
    call->arguments.length = 0;
}

static void forget(struct weir_call *call)
{
    call->raw.length = 0;
    call->arguments.length = 0;
    call->text.length = 0;
    call->raw.failed = call->arguments.failed = call->text.failed = false;
    call->has_begun = call->has_name = call->has_arguments = false;
    call->name_length = call->id_length = call->key_length = 0;
    call->nest = 0;
}

void weir_call_take(struct weir_reply *reply, size_t count)
{
    weir_chat_put(&reply->call.raw, reply->held, count);
    weir_reply_drop(reply, count);
}

void weir_call_fail(struct weir_reply *reply, const char *why, ...)
{
    struct weir_call *call = &reply->call;
    char sentence[512];
    va_list arguments;
    va_start(arguments, why);
    vsnprintf(sentence, sizeof(sentence), why, arguments);
    va_end(arguments);
    weir_call_note(reply, call->has_begun ? WEIR_REPLY_CALL_BROKEN : WEIR_REPLY_NOTE, sentence);
    reply->call_number += call->has_begun;
    reply->part = WEIR_PART_ANSWER;
    reply->drops_space = false;
    reply->has_answer = true;
    weir_reply_put(reply, WEIR_REPLY_ANSWER, call->raw.bytes, call->raw.length);
    forget(call);
}

/* What the family has behind the calls. */
static void leave(struct weir_reply *reply)
{
    const bool has_channels = reply->call.format->shape == WEIR_CALL_CHANNEL;
    reply->part = has_channels ? WEIR_PART_HEADING : WEIR_PART_ANSWER;
    reply->drops_space = !has_channels;
    forget(&reply->call);
}

void weir_call_finish(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    if (call->raw.failed || call->arguments.failed || call->text.failed) {
        weir_call_fail(reply, "no memory for a call of %zu bytes", call->raw.length);
        return;
    }
    if (!call->has_begun)
        begin_telling(reply);
    weir_reply_tell(reply, WEIR_REPLY_CALL_END, "", 0);
    reply->call_number++;
    reply->call_count++;
    forget(call);
    call->state = WEIR_CALL_AT_CLOSE;
}

/* ---- names --------------------------------------------------------------------------------- */

static bool is_nine(const char *id, size_t length)
{
    for (size_t at = 0; at < length; at++)
        if (!((id[at] >= '0' && id[at] <= '9') || (id[at] >= 'a' && id[at] <= 'z') ||
              (id[at] >= 'A' && id[at] <= 'Z')))
            return false;
    return length == 9;
}

static void make_id(struct weir_reply *reply)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct weir_call *call = &reply->call;
    const enum weir_call_ids ids = reply->format->ids;
    if ((ids == WEIR_CALL_IDS_NAME && call->id_length > 0) ||
        (ids == WEIR_CALL_IDS_NINE && is_nine(call->id, call->id_length)))
        return;
    if (ids == WEIR_CALL_IDS_NAME) {
        snprintf(call->id, sizeof(call->id), "functions.%s:%u", call->name, reply->call_number);
        return;
    }
    size_t at = ids == WEIR_CALL_IDS_NINE ? 0 : (size_t)snprintf(call->id, 8, "call_");
    const size_t end = ids == WEIR_CALL_IDS_NINE ? 9 : at + 24;
    while (at < end)
        call->id[at++] = letters[weir_random_next(&reply->id_state) % (sizeof(letters) - 1)];
    call->id[at] = '\0';
}

bool weir_call_name(struct weir_reply *reply, const char *name, size_t length)
{
    struct weir_call *call = &reply->call;
    if (!weir_tools_find(&reply->tools, name, length, &call->schema)) {
        weir_call_fail(reply, "a call stays text: wanted the name of a tool, found \"%.*s\"",
                       (int)weir_min(length, WEIR_CALL_NAME_MAX), name);
        return false;
    }
    if (reply->call_number >= reply->call_max) {
        weir_call_fail(reply, "a call of %.*s stays text: wanted at most %u calls, found one more",
                       (int)length, name, reply->call_max);
        return false;
    }
    memmove(call->name, name, length);
    call->name[length] = '\0';
    call->name_length = length;
    call->has_name = true;
    make_id(reply);
    if (!reply->whole_calls)
        begin_telling(reply);
    return true;
}

/* "functions.NAME:3" and "NAME.call". */
static bool use_name(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const struct weir_call_format *format = call->format;
    const char *name = call->name;
    size_t length = call->name_length;
    call->name[length] = '\0';
    if (format->ids == WEIR_CALL_IDS_NAME) {
        memcpy(call->id, name, length + 1);
        call->id_length = length;
        const char *colon = memrchr(name, ':', length);
        if (colon != NULL)
            length = (size_t)(colon - name);
    }
    const size_t prefix = format->prefix == NULL ? 0 : strlen(format->prefix);
    if (prefix > 0 && length > prefix && memcmp(name, format->prefix, prefix) == 0) {
        name += prefix;
        length -= prefix;
    }
    if (format->shape == WEIR_CALL_PYTHON && length > 5 &&
        memcmp(name + length - 5, ".call", 5) == 0)
        length -= 5;
    call->id[call->id_length] = '\0';
    return weir_call_name(reply, name, length);
}

static bool is_of_name(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte & 0x80) != 0 ||
           (byte != '\0' && strchr("_-.:/", byte) != NULL);
}

static size_t count_space(const struct weir_reply *reply)
{
    size_t count = 0;
    while (count < reply->length && weir_mark_is_space(reply->held[count]))
        count++;
    return count;
}

static bool go_on_name(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    size_t count = 0;
    if (call->name_length == 0)
        weir_call_take(reply, count_space(reply));
    while (count < reply->length && is_of_name(reply->held[count]) &&
           call->name_length + count < WEIR_CALL_NAME_MAX)
        count++;
    memcpy(call->name + call->name_length, reply->held, count);
    call->name_length += count;
    weir_call_take(reply, count);
    if (reply->length == 0)
        return false;
    if (call->name_length == 0)
        weir_call_fail(reply, "a call stays text: wanted the name of a tool, found none");
    else
        call->state = WEIR_CALL_AT_NAME_END;
    return true;
}

static void begin_arguments(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    if (use_name(reply))
        call->state =
            call->format->shape == WEIR_CALL_TAGS ? WEIR_CALL_AT_ARGUMENT : WEIR_CALL_AT_ARGUMENTS;
}

/* The mark, behind white space: takes it. */
enum weir_mark_match weir_call_take_mark(struct weir_reply *reply, const char *mark)
{
    const size_t space = count_space(reply);
    size_t used = 0;
    if (mark == NULL || *mark == '\0')
        return WEIR_MARK_NONE;
    enum weir_mark_match match =
        weir_mark_find(reply->held + space, reply->length - space, mark, '\0', &used);
    if (match == WEIR_MARK_WHOLE && used > 0)
        weir_call_take(reply, space + used);
    else if (match == WEIR_MARK_BEGUN && (reply->ends || space > WEIR_MARK_SPACE_MAX))
        match = WEIR_MARK_NONE;
    return match;
}

static bool go_on_name_end(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const struct weir_call_format *format = call->format;
    const bool has_mark = format->name_end != NULL && strcmp(format->name_end, "\n") != 0;
    const enum weir_mark_match by_id = weir_call_take_mark(reply, format->id_begin);
    if (by_id == WEIR_MARK_WHOLE) {
        call->state = WEIR_CALL_IN_ID;
        return true;
    }
    const enum weir_mark_match match =
        has_mark ? weir_call_take_mark(reply, format->name_end) : WEIR_MARK_WHOLE;
    if (match == WEIR_MARK_WHOLE)
        begin_arguments(reply);
    else if (match == WEIR_MARK_NONE && by_id == WEIR_MARK_NONE)
        weir_call_fail(reply, "a call of %.*s stays text: wanted \"%s\" behind the name",
                       (int)call->name_length, call->name, format->name_end);
    else
        return false;
    return true;
}

/* ---- what stands before a mark ------------------------------------------------------------- */

/* How many bytes held are certainly before the mark. *match: whether it comes then. */
size_t weir_call_count_before(const struct weir_reply *reply, const char *mark,
                              enum weir_mark_match *match, size_t *used)
{
    size_t at = 0;
    for (; at < reply->length; at++) {
        *match = weir_mark_find(reply->held + at, reply->length - at, mark, '\0', used);
        if (*match == WEIR_MARK_BEGUN && reply->ends)
            *match = WEIR_MARK_NONE;
        if (*match != WEIR_MARK_NONE)
            return at;
    }
    *match = WEIR_MARK_NONE;
    return at;
}

/* Collects what is before the mark. False: wait, or it has failed. */
bool weir_call_collect(struct weir_reply *reply, const char *mark, char *out, size_t capacity,
                       size_t *length, bool *is_over)
{
    enum weir_mark_match match = WEIR_MARK_NONE;
    size_t used = 0;
    const size_t count = weir_call_count_before(reply, mark, &match, &used);
    *is_over = true;
    if (*length + count > capacity) {
        weir_call_fail(reply, "a call stays text: wanted \"%s\" within %zu bytes, found none", mark,
                       capacity);
        return false;
    }
    memcpy(out + *length, reply->held, count);
    *length += count;
    weir_call_take(reply, count);
    *is_over = match == WEIR_MARK_WHOLE;
    if (*is_over)
        weir_call_take(reply, used);
    return *is_over;
}

static bool go_on_id(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    bool is_over = false;
    if (weir_call_collect(reply, call->format->name_end, call->id, WEIR_CALL_ID_MAX - 1,
                          &call->id_length, &is_over))
        begin_arguments(reply);
    return is_over;
}

/* ---- arguments of one piece ---------------------------------------------------------------- */

static bool go_on_arguments(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const enum weir_call_shape shape = call->format->shape;
    if (call->state == WEIR_CALL_AT_ARGUMENTS) {
        weir_call_take(reply, count_space(reply));
        if (reply->length == 0)
            return false;
        if (reply->held[0] != (shape == WEIR_CALL_PYTHON ? '(' : '{')) {
            weir_call_fail(reply, "a call of %s stays text: wanted an object of arguments",
                           call->name);
            return true;
        }
        weir_value_init(&call->value,
                        shape == WEIR_CALL_PYTHON ? WEIR_DIALECT_PYTHON
                        : shape == WEIR_CALL_BARE ? WEIR_DIALECT_BARE
                                                  : WEIR_DIALECT_JSON,
                        weir_call_put, reply);
        call->state = WEIR_CALL_IN_ARGUMENTS;
    }
    for (size_t at = 0; at < reply->length; at++) {
        const enum weir_value_step step = weir_value_push(&call->value, reply->held[at]);
        if (step == WEIR_VALUE_MORE)
            continue;
        weir_call_take(reply, step == WEIR_VALUE_DONE ? at + 1 : at);
        if (step == WEIR_VALUE_DONE)
            weir_call_finish(reply);
        else
            weir_call_fail(reply, "a call of %s stays text: its arguments are no valid object",
                           call->name);
        return true;
    }
    weir_call_take(reply, reply->length);
    return false;
}

/* ---- behind a call ------------------------------------------------------------------------- */

/* A call that is whole stays one, whatever comes. */
static bool go_on_close(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const bool is_objects = call->format->shape == WEIR_CALL_OBJECTS;
    const char *mark = call->format->close;
    if (is_objects && call->is_list) {
        call->state = WEIR_CALL_AT_NEXT;
        return true;
    }
    if (is_objects && (mark == NULL || *mark == '\0'))
        mark = call->format->end;
    const enum weir_mark_match match = weir_call_take_mark(reply, mark);
    if (match == WEIR_MARK_BEGUN)
        return false;
    if (match == WEIR_MARK_WHOLE)
        call->raw.length = 0;
    if (is_objects && match == WEIR_MARK_NONE) { /* several without a list */
        const size_t space = count_space(reply);
        if (space == reply->length && !reply->ends && space <= WEIR_MARK_SPACE_MAX)
            return false;
        if (space < reply->length && reply->held[space] == '{') {
            weir_object_begin(reply, false);
            call->state = WEIR_CALL_IN_OBJECT;
            return true;
        }
    }
    if (is_objects || call->format->shape == WEIR_CALL_CHANNEL)
        leave(reply);
    else
        call->state = WEIR_CALL_AT_NEXT;
    return true;
}

static bool go_on_next(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    const bool is_objects = call->format->shape == WEIR_CALL_OBJECTS;
    const enum weir_mark_match next =
        weir_call_take_mark(reply, is_objects ? "," : call->format->next);
    if (next == WEIR_MARK_WHOLE) {
        if (is_objects)
            weir_object_begin(reply, false);
        call->state = is_objects ? WEIR_CALL_IN_OBJECT : WEIR_CALL_IN_NAME;
        return true;
    }
    const enum weir_mark_match end =
        weir_call_take_mark(reply, is_objects ? "]" : call->format->end);
    if (end == WEIR_MARK_WHOLE && is_objects) {
        call->is_list = false;
        call->state = WEIR_CALL_AT_CLOSE;
        return true;
    }
    if (end == WEIR_MARK_BEGUN || (next == WEIR_MARK_BEGUN && end == WEIR_MARK_NONE))
        return false;
    leave(reply);
    return true;
}

/* ---- the door ------------------------------------------------------------------------------ */

void weir_call_open(struct weir_reply *reply, const struct weir_call_format *format, size_t count,
                    char tail)
{
    struct weir_call *call = &reply->call;
    reply->part = WEIR_PART_CALL;
    forget(call);
    call->format = format;
    call->is_list = tail == '[';
    call->state = format->shape == WEIR_CALL_OBJECTS ? WEIR_CALL_IN_OBJECT : WEIR_CALL_IN_NAME;
    if (format->shape == WEIR_CALL_OBJECTS)
        weir_object_begin(reply, call->is_list);
    weir_call_take(reply, count);
}

bool weir_call_open_channel(struct weir_reply *reply, size_t count, const char *name, size_t length)
{
    struct weir_json schema = {0};
    char note[WEIR_CALL_NAME_MAX + 100];
    if (!weir_tools_find(&reply->tools, name, length, &schema)) {
        snprintf(note, sizeof(note), "a call stays text: wanted the name of a tool, found \"%.*s\"",
                 (int)weir_min(length, WEIR_CALL_NAME_MAX), name);
        weir_call_note(reply, WEIR_REPLY_NOTE, note);
        return false;
    }
    forget(&reply->call);
    reply->part = WEIR_PART_CALL;
    reply->call.format = reply->format;
    memcpy(reply->call.name, name, length);
    reply->call.name_length = length;
    weir_call_take(reply, count);
    begin_arguments(reply);
    return true;
}

bool weir_call_go_on(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    if (call->raw.length > reply->call_bytes_max) {
        weir_call_fail(reply, "a call stays text: wanted at most %u bytes of it, found more",
                       reply->call_bytes_max);
        return true;
    }
    switch (call->state) {
    case WEIR_CALL_IN_NAME:
        return go_on_name(reply);
    case WEIR_CALL_AT_NAME_END:
        return go_on_name_end(reply);
    case WEIR_CALL_IN_ID:
        return go_on_id(reply);
    case WEIR_CALL_AT_ARGUMENTS:
    case WEIR_CALL_IN_ARGUMENTS:
        return go_on_arguments(reply);
    case WEIR_CALL_AT_ARGUMENT:
    case WEIR_CALL_IN_KEY:
    case WEIR_CALL_IN_TYPE:
    case WEIR_CALL_IN_TEXT:
        return weir_tags_go_on(reply);
    case WEIR_CALL_AT_CLOSE:
        return go_on_close(reply);
    case WEIR_CALL_AT_NEXT:
        return go_on_next(reply);
    case WEIR_CALL_IN_OBJECT:
        return weir_object_go_on(reply);
    }
    return false;
}
