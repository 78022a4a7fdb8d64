/* call_object.c - a call as one JSON object, whose members come in any order.
 *
 * Read are the names that families have for the three members, whichever it is that writes. */
#include <string.h>

#include "base/heap.h"
#include "chat/reply_parts.h"

enum member { AT_LIST, AT_OPEN, AT_KEY, IN_KEY, AT_COLON, AT_VALUE, IN_VALUE, AT_NEXT };
enum role { ROLE_NONE, ROLE_NAME, ROLE_ARGUMENTS, ROLE_ID, ROLE_FUNCTION };
enum step { STEP_TAKE, STEP_FINISH, STEP_FAIL, STEP_FAILED };

static const struct {
    const char *key;
    enum role role;
} keys[] = {
    {"name", ROLE_NAME},
    {"tool_name", ROLE_NAME},
    {"arguments", ROLE_ARGUMENTS},
    {"parameters", ROLE_ARGUMENTS},
    {"id", ROLE_ID},
    {"tool_call_id", ROLE_ID},
    {"function", ROLE_FUNCTION},
    {"type", ROLE_NONE},
};

void weir_object_begin(struct weir_reply *reply, bool is_list)
{
    reply->call.member = is_list ? AT_LIST : AT_OPEN;
    reply->call.nest = 0;
}

static enum role find_role(const char *key, bool *is_known)
{
    *is_known = false;
    for (size_t row = 0; row < WEIR_COUNT(keys); row++)
        if (strcmp(keys[row].key, key) == 0) {
            *is_known = true;
            return keys[row].role;
        }
    return ROLE_NONE;
}

static enum role role_of(const struct weir_call *call)
{
    bool is_known = false;
    return find_role(call->key, &is_known);
}

static void keep_text(void *user, const char *bytes, size_t length)
{
    weir_chat_put(user, bytes, length);
}

static void drop_text(void *user, const char *bytes, size_t length)
{
    (void)user;
    (void)bytes;
    (void)length;
}

/* ---- members ------------------------------------------------------------------------------- */

/* Arguments that were written as a text. */
static enum step use_arguments_text(struct weir_reply *reply, const char *bytes, size_t length)
{
    struct weir_value value;
    enum weir_value_step step = WEIR_VALUE_MORE;
    size_t at = 0;
    while (at < length && weir_mark_is_space(bytes[at]))
        at++;
    if (at == length)
        return STEP_TAKE;
    if (bytes[at] != '{')
        return STEP_FAIL;
    reply->call.has_arguments = true;
    weir_value_init(&value, WEIR_DIALECT_JSON, weir_call_put, reply);
    while (at < length && step == WEIR_VALUE_MORE)
        step = weir_value_push(&value, bytes[at++]);
    while (at < length && weir_mark_is_space(bytes[at]))
        at++;
    return step == WEIR_VALUE_DONE && at == length ? STEP_TAKE : STEP_FAIL;
}

/* A member whose value was kept as JSON. */
static enum step use_member(struct weir_reply *reply, enum role role)
{
    struct weir_call *call = &reply->call;
    const struct weir_json value = {call->text.bytes, call->text.bytes + call->text.length};
    enum step step = STEP_TAKE;
    if (call->text.failed || call->text.length == 0)
        return STEP_FAIL;
    const enum weir_json_kind kind = weir_json_kind(value);
    const size_t length = weir_json_text(value, NULL, 0);
    char *bytes = weir_heap_alloc(length + 1);
    if (bytes == NULL)
        return STEP_FAIL;
    weir_json_text(value, bytes, length);
    if (role == ROLE_ARGUMENTS && kind == WEIR_JSON_TEXT)
        step = use_arguments_text(reply, bytes, length);
    else if (role == ROLE_ARGUMENTS)
        step = kind == WEIR_JSON_NULL ? STEP_TAKE : STEP_FAIL;
    else if (role == ROLE_ID && length < WEIR_CALL_ID_MAX) {
        memcpy(call->id, bytes, length + 1);
        call->id_length = length;
    } else if (role == ROLE_NAME || (role == ROLE_FUNCTION && kind == WEIR_JSON_TEXT)) {
        if (kind != WEIR_JSON_TEXT || call->has_name)
            step = STEP_FAIL;
        else if (!weir_call_name(reply, bytes, length))
            step = STEP_FAILED;
    }
    weir_heap_free(bytes);
    return step;
}

static enum step close_object(struct weir_reply *reply)
{
    struct weir_call *call = &reply->call;
    if (call->nest > 0) {
        call->nest--;
        call->member = AT_NEXT;
        return STEP_TAKE;
    }
    if (!call->has_name)
        return STEP_FAIL;
    if (!call->has_arguments)
        weir_call_put(reply, "{}", 2);
    return STEP_FINISH;
}

static enum step go_on_next(struct weir_reply *reply, char byte)
{
    if (byte == '}')
        return close_object(reply);
    reply->call.member = AT_KEY;
    return byte == ',' ? STEP_TAKE : STEP_FAIL;
}

static enum step go_on_value(struct weir_reply *reply, char byte)
{
    struct weir_call *call = &reply->call;
    const enum weir_value_step value = weir_value_push(&call->value, byte);
    enum step step = STEP_TAKE;
    if (value == WEIR_VALUE_FAIL)
        return STEP_FAIL;
    if (value == WEIR_VALUE_MORE)
        return STEP_TAKE;
    call->member = AT_NEXT;
    if (call->is_text)
        step = use_member(reply, role_of(call));
    if (value == WEIR_VALUE_DONE || step != STEP_TAKE)
        return step;
    return weir_mark_is_space(byte) ? STEP_TAKE : go_on_next(reply, byte);
}

static enum step begin_value(struct weir_reply *reply, char byte)
{
    struct weir_call *call = &reply->call;
    const enum role role = role_of(call);
    if (role == ROLE_FUNCTION && byte == '{') {
        call->nest++;
        call->member = AT_KEY;
        return STEP_TAKE;
    }
    if (role == ROLE_ARGUMENTS && call->has_arguments)
        return STEP_FAIL;
    const bool is_streamed = role == ROLE_ARGUMENTS && byte == '{';
    call->is_text = !is_streamed && role != ROLE_NONE; /* it is kept */
    call->text.length = 0;
    call->has_arguments = call->has_arguments || is_streamed;
    weir_value_init(&call->value, WEIR_DIALECT_JSON,
                    is_streamed     ? weir_call_put
                    : call->is_text ? keep_text
                                    : drop_text,
                    is_streamed ? (void *)reply : &call->text);
    call->member = IN_VALUE;
    return go_on_value(reply, byte);
}

static enum step go_on_key(struct weir_reply *reply, char byte)
{
    struct weir_call *call = &reply->call;
    bool is_known = false;
    if (byte == '\\' || call->key_length == WEIR_CALL_NAME_MAX)
        return STEP_FAIL;
    if (byte != '"') {
        call->key[call->key_length++] = byte;
        return STEP_TAKE;
    }
    call->key[call->key_length] = '\0';
    find_role(call->key, &is_known);
    call->member = AT_COLON;
    /* An answer that is JSON itself and begins as a call would. */
    return call->format->at_start && !is_known ? STEP_FAIL : STEP_TAKE;
}

static enum step go_on(struct weir_reply *reply, char byte)
{
    struct weir_call *call = &reply->call;
    if (call->member != IN_KEY && call->member != IN_VALUE && weir_mark_is_space(byte))
        return STEP_TAKE;
    switch ((enum member)call->member) {
    case AT_LIST:
        call->member = AT_OPEN;
        return byte == '[' ? STEP_TAKE : STEP_FAIL;
    case AT_OPEN:
        call->member = AT_KEY;
        return byte == '{' ? STEP_TAKE : STEP_FAIL;
    case AT_KEY:
        if (byte == '}')
            return close_object(reply);
        call->member = IN_KEY;
        call->key_length = 0;
        return byte == '"' ? STEP_TAKE : STEP_FAIL;
    case IN_KEY:
        return go_on_key(reply, byte);
    case AT_COLON:
        call->member = AT_VALUE;
        return byte == ':' ? STEP_TAKE : STEP_FAIL;
    case AT_VALUE:
        return begin_value(reply, byte);
    case IN_VALUE:
        return go_on_value(reply, byte);
    case AT_NEXT:
        return go_on_next(reply, byte);
    }
    return STEP_FAIL;
}

bool weir_object_go_on(struct weir_reply *reply)
{
    if (reply->length == 0)
        return false;
    switch (go_on(reply, reply->held[0])) {
    case STEP_TAKE:
        weir_call_take(reply, 1);
        break;
    case STEP_FINISH:
        weir_call_take(reply, 1);
        weir_call_finish(reply);
        break;
    case STEP_FAIL:
        weir_call_fail(reply, "a call stays text: wanted a JSON object with name and arguments");
        break;
    case STEP_FAILED:
        break;
    }
    return true;
}
