/* chat_variables.c - what a template may ask for, as one JSON object.
 *
 * As transformers does it: members of messages that are null are left out, reasoning goes by its
 * older names too, tools and documents are null where there are none, and what the caller names
 * goes before the special tokens of the model. But for one: DeepSeek's templates write calls where
 * a message's content is none, and would refuse a message that has no content. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/chat.h"

/* ---- writing ------------------------------------------------------------------------------- */

void weir_chat_put(struct weir_chat_buffer *buffer, const char *bytes, size_t length)
{
    if (buffer->failed || length == 0)
        return;
    if (buffer->capacity - buffer->length < length) {
        const size_t capacity =
            weir_max(buffer->length + length, buffer->capacity + buffer->capacity / 2);
        char *grown = weir_heap_grow(buffer->bytes, capacity);
        buffer->failed = grown == NULL;
        if (grown == NULL)
            return;
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

static void put_word(struct weir_chat_buffer *buffer, const char *word)
{
    weir_chat_put(buffer, word, strlen(word));
}

void weir_chat_put_text(struct weir_chat_buffer *buffer, const char *bytes, size_t length)
{
    size_t plain = 0;
    put_word(buffer, "\"");
    for (size_t at = 0; at < length; at++) {
        const unsigned char byte = (unsigned char)bytes[at];
        char escaped[8];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        weir_chat_put(buffer, bytes + plain, at - plain);
        snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
        put_word(buffer, escaped);
        plain = at + 1;
    }
    weir_chat_put(buffer, bytes + plain, length - plain);
    put_word(buffer, "\"");
}

/* As the file has it. */
static void put_raw(struct weir_chat_buffer *buffer, struct weir_json value)
{
    weir_chat_put(buffer, value.start, (size_t)(value.end - value.start));
}

/* ---- what users wrote ---------------------------------------------------------------------- */

struct variables {
    struct weir_chat_buffer *buffer;
    struct weir_chat_guard *guard; /* NULL: nothing is guarded */
    bool has_none;                 /* the template knows calls by a content that is none */
    struct weir_err *err;
};

static enum weir_status put_guarded_text(struct variables *variables, struct weir_json value)
{
    struct weir_chat_guard *guard = variables->guard;
    struct weir_chat_buffer marked = {0};
    const size_t length = weir_json_text(value, NULL, 0);
    char *bytes = weir_heap_alloc(length + 1);
    if (bytes == NULL)
        return WEIR_FAIL(variables->err, WEIR_ERR_NOMEM, "no memory for a text of %zu bytes",
                         length);
    weir_json_text(value, bytes, length);
    size_t plain = 0;
    size_t at = weir_text_find_control(guard->text, bytes, length, 0);
    while (at < length) {
        at += weir_max(1, weir_utf8_char(bytes + at, length - at));
        weir_chat_put(&marked, bytes + plain, at - plain);
        put_word(&marked, guard->mark);
        guard->mark_count++;
        plain = at;
        at = weir_text_find_control(guard->text, bytes, length, at);
    }
    weir_chat_put(&marked, bytes + plain, length - plain);
    weir_chat_put_text(variables->buffer, marked.length > 0 ? marked.bytes : "", marked.length);
    variables->buffer->failed = variables->buffer->failed || marked.failed;
    weir_heap_free(marked.bytes);
    weir_heap_free(bytes);
    return WEIR_OK;
}

/* What templates look at and do not write. */
static bool is_kind(struct weir_json key)
{
    return weir_json_is(key, "role") || weir_json_is(key, "type");
}

static enum weir_status put_guarded(struct variables *variables, struct weir_json value)
{
    const enum weir_json_kind kind = weir_json_kind(value);
    if (kind == WEIR_JSON_TEXT)
        return put_guarded_text(variables, value);
    if (kind != WEIR_JSON_ARRAY && kind != WEIR_JSON_OBJECT) {
        put_raw(variables->buffer, value);
        return WEIR_OK;
    }
    put_word(variables->buffer, kind == WEIR_JSON_ARRAY ? "[" : "{");
    struct weir_json_walk walk = weir_json_walk(value);
    for (bool is_first = true; weir_json_next(&walk); is_first = false) {
        if (!is_first)
            put_word(variables->buffer, ",");
        if (walk.is_object) {
            put_raw(variables->buffer, walk.key);
            put_word(variables->buffer, ":");
        }
        if (walk.is_object && is_kind(walk.key))
            put_raw(variables->buffer, walk.value);
        else
            WEIR_TRY(put_guarded(variables, walk.value));
    }
    put_word(variables->buffer, kind == WEIR_JSON_ARRAY ? "]" : "}");
    return WEIR_OK;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* The message's reasoning, under the first of the names that it goes by. */
static struct weir_json find_reasoning(struct weir_json message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        const struct weir_json found = weir_json_member(message, names[index]);
        if (weir_json_kind(found) > WEIR_JSON_NULL)
            return found;
    }
    return (struct weir_json){0};
}

/* A message of which the template wants to see that it has calls and no content. */
static bool lacks_content(const struct variables *variables, struct weir_json message)
{
    return variables->has_none &&
           weir_json_kind(weir_json_member(message, "content")) <= WEIR_JSON_NULL &&
           weir_json_kind(weir_json_member(message, "tool_calls")) > WEIR_JSON_NULL;
}

/* Who writes the templates writes these too. */
static bool is_trusted(struct weir_json role)
{
    return weir_json_is(role, "system") || weir_json_is(role, "developer") ||
           weir_json_is(role, "assistant");
}

static enum weir_status put_message(struct variables *variables, struct weir_json message)
{
    struct weir_chat_buffer *buffer = variables->buffer;
    const struct weir_json reasoning = find_reasoning(message);
    const bool has_reasoning = weir_json_kind(reasoning) != WEIR_JSON_NONE;
    const bool has_thinking =
        weir_json_kind(weir_json_member(message, "thinking")) > WEIR_JSON_NULL;
    const bool is_guarded =
        variables->guard != NULL && !is_trusted(weir_json_member(message, "role"));
    struct weir_json_walk walk = weir_json_walk(message);
    bool is_first = true, has_content = false;
    put_word(buffer, "{");
    if (has_reasoning && !has_thinking) {
        put_word(buffer, "\"thinking\":");
        put_raw(buffer, reasoning);
        is_first = false;
    }
    while (weir_json_next(&walk)) {
        if (weir_json_kind(walk.value) == WEIR_JSON_NULL)
            continue;
        put_word(buffer, is_first ? "" : ",");
        is_first = false;
        put_raw(buffer, walk.key);
        put_word(buffer, ":");
        if (is_guarded && !is_kind(walk.key))
            WEIR_TRY(put_guarded(variables, walk.value));
        else
            put_raw(buffer, walk.value);
        has_content = has_content || weir_json_is(walk.key, "reasoning_content");
    }
    if (has_reasoning && !has_content) {
        put_word(buffer, is_first ? "\"reasoning_content\":" : ",\"reasoning_content\":");
        put_raw(buffer, reasoning);
        is_first = false;
    }
    if (lacks_content(variables, message))
        put_word(buffer, is_first ? "\"content\":null" : ",\"content\":null");
    put_word(buffer, "}");
    return WEIR_OK;
}

static enum weir_status put_messages(struct variables *variables, struct weir_json messages)
{
    struct weir_json_walk walk = weir_json_walk(messages);
    if (weir_json_count(messages) == 0)
        return WEIR_FAIL(variables->err, WEIR_ERR_ARG,
                         "messages: wanted at least one message, found none");
    put_word(variables->buffer, "\"messages\":[");
    while (weir_json_next(&walk)) {
        if (weir_json_kind(walk.value) != WEIR_JSON_OBJECT)
            return WEIR_FAIL(variables->err, WEIR_ERR_ARG,
                             "messages: wanted objects with role and content, found %s at place "
                             "%llu",
                             weir_json_kind_name(weir_json_kind(walk.value)),
                             (unsigned long long)walk.index);
        if (walk.index > 0)
            put_word(variables->buffer, ",");
        WEIR_TRY(put_message(variables, walk.value));
    }
    put_word(variables->buffer, "],");
    return WEIR_OK;
}

/* ---- the object ---------------------------------------------------------------------------- */

static enum weir_status parse(struct weir_json *root, const char *bytes, size_t length,
                              enum weir_json_kind wanted, const char *what, struct weir_err *err)
{
    if (length > WEIR_CHAT_JSON_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted at most %d bytes, found %zu", what,
                         WEIR_CHAT_JSON_MAX, length);
    struct weir_err reason = {0};
    const enum weir_status status = weir_json_parse(root, bytes, length, what, &reason);
    if (status != WEIR_OK)
        return WEIR_FAIL(err, status == WEIR_ERR_FORMAT ? WEIR_ERR_ARG : status, "%s", reason.text);
    if (weir_json_kind(*root) != wanted)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted %s, found %s", what,
                         weir_json_kind_name(wanted), weir_json_kind_name(weir_json_kind(*root)));
    return WEIR_OK;
}

static enum weir_status put_callers(struct variables *variables,
                                    const struct weir_chat_request *request, bool *has_documents)
{
    static const char *const taken[] = {"messages", "tools", "add_generation_prompt"};
    struct weir_json root = {0};
    WEIR_TRY(parse(&root, request->variables, request->variables_length, WEIR_JSON_OBJECT,
                   "variables", variables->err));
    struct weir_json_walk walk = weir_json_walk(root);
    while (weir_json_next(&walk)) {
        for (size_t index = 0; index < WEIR_COUNT(taken); index++)
            if (weir_json_is(walk.key, taken[index]))
                return WEIR_FAIL(variables->err, WEIR_ERR_ARG,
                                 "variables: %s is given apart from them", taken[index]);
        *has_documents = *has_documents || weir_json_is(walk.key, "documents");
        put_raw(variables->buffer, walk.key);
        put_word(variables->buffer, ":");
        put_raw(variables->buffer, walk.value);
        put_word(variables->buffer, ",");
    }
    return WEIR_OK;
}

enum weir_status weir_chat_variables(struct weir_chat_buffer *buffer, const weir_chat *chat,
                                     const struct weir_chat_request *request,
                                     struct weir_chat_guard *guard, struct weir_err *err)
{
    struct variables variables = {.buffer = buffer,
                                  .guard = guard,
                                  .has_none = weir_chat_mentions(chat, "content'] is none") ||
                                              weir_chat_mentions(chat, "content\"] is none") ||
                                              weir_chat_mentions(chat, "content is none"),
                                  .err = err};
    struct weir_json messages = {0}, tools = {0};
    bool has_documents = false;
    WEIR_TRY(parse(&messages, request->messages, request->messages_length, WEIR_JSON_ARRAY,
                   "messages", err));
    if (request->tools != NULL)
        WEIR_TRY(
            parse(&tools, request->tools, request->tools_length, WEIR_JSON_ARRAY, "tools", err));
    put_word(buffer, "{");
    put_word(buffer, chat->specials);
    if (request->variables != NULL)
        WEIR_TRY(put_callers(&variables, request, &has_documents));
    WEIR_TRY(put_messages(&variables, messages));
    put_word(buffer, "\"tools\":");
    if (request->tools != NULL)
        put_raw(buffer, tools);
    else
        put_word(buffer, "null");
    put_word(buffer, has_documents ? "," : ",\"documents\":null,");
    put_word(buffer, "\"add_generation_prompt\":");
    put_word(buffer, request->no_generation_prompt ? "false}" : "true}");
    if (buffer->failed)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for messages of %zu bytes",
                         request->messages_length);
    return WEIR_OK;
}
