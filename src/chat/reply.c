/* reply.c - a model's words as they come: its reasoning, its answer, and where calls begin.
 *
 * Reasoning is what a reply begins with, between two marks; the first one may be the prompt's last
 * words. Some families put a heading before each part instead, which names its channel. A mark may
 * be a control token, a token or several, so marks are looked for in the text, in which the names
 * of control tokens are told apart from words.
 *
 * I1  What is held is no longer than white space, a mark and a heading.
 * I2  Characters come in one by one, so that what is told does not depend on how they were cut. */
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/reply_parts.h"

enum { HEADING_MAX = 256 };

/* Channels of answers; all others are reasoning. */
static const char answer_channel[] = "final";
static const char recipient[] = "to=";

/* ---- telling ------------------------------------------------------------------------------- */

static void tell_out(struct weir_reply *reply, size_t length)
{
    const struct weir_reply_event event = {
        .kind = reply->out_kind, .call = reply->call_number, .bytes = reply->out, .length = length};
    if (length > 0 && reply->tell != NULL)
        reply->tell(reply->user, &event);
    reply->out_length -= length;
    memmove(reply->out, reply->out + length, reply->out_length);
}

void weir_reply_put(struct weir_reply *reply, enum weir_reply_kind kind, const char *bytes,
                    size_t length)
{
    if (kind != reply->out_kind)
        tell_out(reply, reply->out_length);
    reply->out_kind = kind;
    while (length > 0) {
        const size_t count = weir_min(length, sizeof(reply->out) - reply->out_length);
        memcpy(reply->out + reply->out_length, bytes, count);
        reply->out_length += count;
        bytes += count;
        length -= count;
        if (reply->out_length == sizeof(reply->out))
            tell_out(reply,
                     reply->out_length - weir_utf8_unfinished(reply->out, reply->out_length));
    }
}

void weir_reply_tell(struct weir_reply *reply, enum weir_reply_kind kind, const char *bytes,
                     size_t length)
{
    const struct weir_reply_event event = {.kind = kind,
                                           .call = reply->call_number,
                                           .bytes = bytes,
                                           .length = length,
                                           .id = kind == WEIR_REPLY_CALL ? reply->call.id : NULL};
    tell_out(reply, reply->out_length);
    if (reply->tell != NULL)
        reply->tell(reply->user, &event);
}

/* ---- what is held -------------------------------------------------------------------------- */

void weir_reply_drop(struct weir_reply *reply, size_t count)
{
    reply->length -= count;
    memmove(reply->held, reply->held + count, reply->length);
    memmove(reply->is_control, reply->is_control + count, reply->length);
}

static size_t count_space(const struct weir_reply *reply, size_t from)
{
    size_t at = from;
    while (at < reply->length && weir_mark_is_space(reply->held[at]))
        at++;
    return at - from;
}

/* The first count bytes are certain: words are told, control tokens are not. */
static void tell_held(struct weir_reply *reply, size_t count)
{
    const bool is_reasoning = reply->part == WEIR_PART_REASONING;
    for (size_t at = 0; at < count; at++) {
        const bool is_space = weir_mark_is_space(reply->held[at]);
        if (reply->is_control[at] || (reply->drops_space && is_space))
            continue;
        reply->drops_space = false;
        reply->has_answer = reply->has_answer || (!is_reasoning && !is_space);
        weir_reply_put(reply, is_reasoning ? WEIR_REPLY_REASONING : WEIR_REPLY_ANSWER,
                       reply->held + at, 1);
    }
    weir_reply_drop(reply, count);
}

/* A mark in what is held, at a byte. */
static enum weir_mark_match find_at(const struct weir_reply *reply, size_t at, const char *mark,
                                    char tail, size_t *used)
{
    const enum weir_mark_match match =
        weir_mark_find(reply->held + at, reply->length - at, mark, tail, used);
    return match == WEIR_MARK_BEGUN && reply->ends ? WEIR_MARK_NONE : match;
}

static void begin_part(struct weir_reply *reply, enum weir_reply_part part)
{
    reply->part = part;
    reply->drops_space = part != WEIR_PART_HEADING;
}

/* ---- the beginning ------------------------------------------------------------------------- */

/* Behind white space a mark, or words. Each of the next returns whether there is more to do. */
static bool go_on_start(struct weir_reply *reply)
{
    const size_t space = count_space(reply, 0);
    const bool has_channels = reply->format != NULL && reply->format->shape == WEIR_CALL_CHANNEL;
    bool may_be = space == reply->length && space <= WEIR_MARK_SPACE_MAX && !reply->ends;
    const struct weir_reasoning_marks *marks = NULL;
    size_t used = 0;
    for (size_t row = 0; space < reply->length && (marks = weir_reasoning_at(row)) != NULL; row++) {
        const enum weir_mark_match match = find_at(reply, space, marks->begin, '\0', &used);
        may_be = may_be || match == WEIR_MARK_BEGUN;
        if (match != WEIR_MARK_WHOLE)
            continue;
        reply->marks = marks;
        weir_reply_drop(reply, space + used);
        begin_part(reply, marks->heading_end != NULL ? WEIR_PART_HEADING : WEIR_PART_REASONING);
        return true;
    }
    /* The prompt's last words began a heading, which goes on with whom it is for. */
    const enum weir_mark_match match =
        has_channels ? find_at(reply, space, recipient, '\0', &used) : WEIR_MARK_NONE;
    if (match == WEIR_MARK_WHOLE) {
        reply->marks = weir_reasoning_at(1);
        begin_part(reply, WEIR_PART_HEADING);
        return true;
    }
    if (may_be || match == WEIR_MARK_BEGUN)
        return false;
    reply->part = WEIR_PART_ANSWER;
    return true;
}

/* ---- headings ------------------------------------------------------------------------------ */

/* The tool that a heading of `length` bytes is for; false: nobody's. */
static bool find_recipient(const struct weir_reply *reply, size_t length, const char **name,
                           size_t *name_length)
{
    const char *at = memmem(reply->held, length, recipient, sizeof(recipient) - 1);
    const char *prefix = reply->format == NULL ? NULL : reply->format->prefix;
    if (at == NULL || prefix == NULL || reply->tools.bytes == NULL)
        return false;
    at += sizeof(recipient) - 1;
    if ((size_t)(reply->held + length - at) > strlen(prefix) &&
        memcmp(at, prefix, strlen(prefix)) == 0)
        at += strlen(prefix);
    *name = at;
    while (at < reply->held + length && !weir_mark_is_space(*at) && *at != '<')
        at++;
    *name_length = (size_t)(at - *name);
    return true;
}

static bool go_on_heading(struct weir_reply *reply)
{
    const char *heading_end = reply->marks->heading_end, *name = NULL;
    enum weir_mark_match match = WEIR_MARK_NONE;
    size_t end = 0, used = 0, name_length = 0;
    while (end < reply->length && match == WEIR_MARK_NONE) {
        match = find_at(reply, end, heading_end, '\0', &used);
        end += match == WEIR_MARK_NONE;
    }
    if (match != WEIR_MARK_WHOLE && reply->length <= HEADING_MAX)
        return false;
    if (match == WEIR_MARK_WHOLE && find_recipient(reply, end, &name, &name_length)) {
        if (weir_call_open_channel(reply, end + used, name, name_length))
            return true;
        weir_reply_drop(reply, end + used);
        begin_part(reply, WEIR_PART_ANSWER);
        return true;
    }
    const bool is_answer = match != WEIR_MARK_WHOLE || memmem(reply->held, end, answer_channel,
                                                              sizeof(answer_channel) - 1) != NULL;
    weir_reply_drop(reply, match == WEIR_MARK_WHOLE ? end + used : 0);
    begin_part(reply, is_answer ? WEIR_PART_ANSWER : WEIR_PART_REASONING);
    return true;
}

/* ---- words --------------------------------------------------------------------------------- */

enum meaning { MEANS_NOTHING, MEANS_END, MEANS_CALL, MEANS_WRAPPER };

/* What the bytes at a place may mean, where `space` of them are white space. */
struct found {
    enum meaning meaning;
    bool may_be;
    size_t at, space, used;
    const struct weir_call_opener *opener;
};

/* The longest mark counts; one that may still come is waited for. */
static void look(const struct weir_reply *reply, struct found *found, enum meaning meaning,
                 const char *mark, const struct weir_call_opener *opener)
{
    size_t used = 0;
    const char tail = opener == NULL ? '\0' : opener->tail;
    const enum weir_mark_match match = find_at(reply, found->at + found->space, mark, tail, &used);
    found->may_be = found->may_be || match == WEIR_MARK_BEGUN;
    if (match != WEIR_MARK_WHOLE ||
        (found->meaning != MEANS_NOTHING && used + (tail != '\0') <= found->used))
        return;
    found->meaning = meaning;
    found->opener = opener;
    found->used = used + (tail != '\0');
}

static void look_for_calls(const struct weir_reply *reply, struct found *found)
{
    for (uint32_t index = 0; index < reply->opener_count; index++) {
        const struct weir_call_opener *opener = &reply->openers[index];
        if (!opener->format->at_start || !reply->has_answer)
            look(reply, found, MEANS_CALL, opener->mark, opener);
    }
}

static void look_in_answer(const struct weir_reply *reply, struct found *found)
{
    const struct weir_call_format *format = reply->format;
    const bool has_channels = reply->marks != NULL && reply->marks->heading_end != NULL;
    found->space = count_space(reply, found->at);
    if (format == NULL && !has_channels)
        return;
    if (found->space > WEIR_MARK_SPACE_MAX)
        return;
    if (found->at + found->space == reply->length) {
        found->may_be = !reply->ends;
        return;
    }
    look_for_calls(reply, found);
    for (size_t row = 0; format != NULL && row < WEIR_COUNT(format->wrappers); row++)
        if (format->wrappers[row] != NULL)
            look(reply, found, MEANS_WRAPPER, format->wrappers[row], NULL);
    if (has_channels)
        look(reply, found, MEANS_END, reply->marks->end, NULL);
}

static void look_in_reasoning(const struct weir_reply *reply, struct found *found)
{
    look(reply, found, MEANS_END, reply->marks->end, NULL);
    if (reply->format != NULL && reply->format->ends_reasoning)
        look_for_calls(reply, found);
}

static bool go_on_words(struct weir_reply *reply)
{
    const bool is_answer = reply->part == WEIR_PART_ANSWER;
    struct found found = {0};
    for (size_t at = 0; at < reply->length; at++) {
        found = (struct found){.at = at};
        if (is_answer)
            look_in_answer(reply, &found);
        else
            look_in_reasoning(reply, &found);
        if (found.may_be || found.meaning != MEANS_NOTHING)
            break;
        found.at = at + 1;
    }
    tell_held(reply, found.at);
    if (found.may_be || found.meaning == MEANS_NOTHING)
        return false;
    const struct weir_call_opener *opener = found.opener;
    const size_t count = found.space + found.used;
    if (opener != NULL) {
        weir_call_open(reply, opener->format, count - (opener->tail != '\0'), opener->tail);
        return true;
    }
    weir_reply_drop(reply, count);
    const bool has_channels = reply->marks != NULL && reply->marks->heading_end != NULL;
    begin_part(reply,
               found.meaning == MEANS_END && has_channels ? WEIR_PART_HEADING : WEIR_PART_ANSWER);
    return true;
}

static void go_on(struct weir_reply *reply)
{
    bool has_more = true;
    while (has_more)
        switch (reply->part) {
        case WEIR_PART_START:
            has_more = go_on_start(reply);
            break;
        case WEIR_PART_HEADING:
            has_more = go_on_heading(reply);
            break;
        case WEIR_PART_REASONING:
        case WEIR_PART_ANSWER:
            has_more = go_on_words(reply);
            break;
        case WEIR_PART_CALL:
            has_more = weir_call_go_on(reply);
            break;
        }
}

/* ---- what comes ---------------------------------------------------------------------------- */

static void take_character(struct weir_reply *reply, const char *bytes, size_t length,
                           bool is_control)
{
    WEIR_ASSERT(reply->length + length <= sizeof(reply->held)); /* keeps I1 */
    memcpy(reply->held + reply->length, bytes, length);
    memset(reply->is_control + reply->length, is_control, length);
    reply->length += length;
    go_on(reply);
}

/* Whole characters, one by one; what is none is U+FFFD. */
static void take(struct weir_reply *reply, const char *bytes, size_t length, bool is_control)
{
    static const char none[] = "\xef\xbf\xbd";
    char *character = reply->unfinished;
    for (size_t at = 0; at < length;) {
        character[reply->unfinished_count++] = bytes[at++];
        const uint32_t count = reply->unfinished_count;
        if (weir_utf8_char(character, count) == count) {
            take_character(reply, character, count, is_control);
            reply->unfinished_count = 0;
        } else if (weir_utf8_unfinished(character, count) < count) {
            take_character(reply, none, sizeof(none) - 1, is_control);
            reply->unfinished_count = 0;
            at -= count > 1; /* it may begin another one */
        }
    }
}

static void take_tokens_text(struct weir_reply *reply, uint32_t id)
{
    if (weir_text_is_control(reply->text, id)) {
        const struct weir_bytes name = weir_text_piece(reply->text, id, true);
        take(reply, name.start, name.length, true);
        return;
    }
    take(reply, reply->piece,
         weir_detokenizer_push(&reply->words, id, reply->piece, sizeof(reply->piece)), false);
}

/* ---- the door ------------------------------------------------------------------------------ */

/* Whether the prompt ends inside reasoning. */
static void look_at_text(struct weir_reply *reply, const char *prompt, size_t length)
{
    const struct weir_reasoning_marks *marks = weir_reasoning_open(prompt, length);
    if (marks == NULL)
        return;
    reply->marks = marks;
    begin_part(reply, WEIR_PART_REASONING);
}

static void look_at_prompt(struct weir_reply *reply, const uint32_t *ids, size_t count)
{
    char tail[WEIR_PROMPT_TAIL_MAX];
    look_at_text(reply, tail, weir_prompt_tail(reply->text, ids, count, tail));
}

static void add_opener(struct weir_reply *reply, const struct weir_call_format *format,
                       const char *mark, char tail)
{
    WEIR_ASSERT(reply->opener_count < WEIR_CALL_OPENER_MAX);
    reply->openers[reply->opener_count++] = (struct weir_call_opener){format, mark, tail};
}

static void add_openers(struct weir_reply *reply, const struct weir_call_format *format)
{
    if (format->shape == WEIR_CALL_CHANNEL)
        return;
    const bool is_objects = format->shape == WEIR_CALL_OBJECTS;
    add_opener(reply, format, format->open, is_objects ? '{' : '\0');
    if (is_objects && !format->at_start)
        add_opener(reply, format, format->open, '[');
    if (format->next != NULL && format->shape != WEIR_CALL_PYTHON)
        add_opener(reply, format, format->next, '\0');
}

static enum weir_status use_tools(struct weir_reply *reply, const struct weir_reply_config *config,
                                  struct weir_err *err)
{
    WEIR_TRY(weir_call_format_choose(&reply->format, config->chat, config->format, err));
    if (config->tools == NULL)
        return WEIR_OK;
    if (reply->format == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tools: the chat template has no known way to call them (a way can be "
                         "named)");
    WEIR_TRY(weir_tools_init(&reply->tools, config->tools, config->tools_length, err));
    add_openers(reply, reply->format);
    for (size_t row = 0; row < WEIR_COUNT(reply->format->also); row++)
        if (reply->format->also[row] != NULL)
            add_openers(reply, weir_call_format_find(reply->format->also[row]));
    return WEIR_OK;
}

enum weir_status weir_reply_create_by(weir_reply **out, weir_text *text,
                                      const struct weir_reply_config *config, struct weir_err *err)
{
    weir_reply *reply = weir_heap_alloc(sizeof(*reply));
    if (reply == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a reply");
    reply->text = text;
    reply->call_max = config->call_max > 0 ? config->call_max : WEIR_CALL_MAX;
    reply->call_bytes_max =
        config->call_bytes_max > 0 ? config->call_bytes_max : WEIR_CALL_BYTES_MAX;
    reply->whole_calls = config->whole_calls;
    reply->id_state = config->id_seed;
    const enum weir_status status = use_tools(reply, config, err);
    if (status != WEIR_OK) {
        weir_reply_destroy(&reply);
        return status;
    }
    if (text != NULL) {
        weir_detokenizer_init(&reply->words, text, false);
        reply->words.at_start = false;
        look_at_prompt(reply, config->ids, config->id_count);
    } else if (config->prompt != NULL) {
        look_at_text(reply, config->prompt, config->prompt_length);
    }
    *out = reply;
    return WEIR_OK;
}

void weir_reply_destroy(weir_reply **reply)
{
    if (reply == NULL || *reply == NULL)
        return;
    weir_tools_deinit(&(*reply)->tools);
    weir_heap_free((*reply)->call.raw.bytes);
    weir_heap_free((*reply)->call.arguments.bytes);
    weir_heap_free((*reply)->call.text.bytes);
    weir_heap_free(*reply);
    *reply = NULL;
}

static void set_listener(struct weir_reply *reply, weir_reply_fn *tell, void *user)
{
    reply->tell = tell;
    reply->user = user;
}

const char *weir_reply_reasoning_end(const weir_reply *reply)
{
    uint32_t row = 0;
    if (reply == NULL || reply->part != WEIR_PART_REASONING)
        return NULL;
    while (weir_reasoning_at(row) != reply->marks)
        row++;
    return weir_reasoning_end(row);
}

void weir_reply_push(weir_reply *reply, uint32_t id, weir_reply_fn *tell, void *user)
{
    if (reply == NULL || reply->text == NULL)
        return;
    set_listener(reply, tell, user);
    take_tokens_text(reply, id);
    tell_out(reply, reply->out_length);
}

void weir_reply_push_text(weir_reply *reply, const char *bytes, size_t length, weir_reply_fn *tell,
                          void *user)
{
    if (reply == NULL || bytes == NULL)
        return;
    set_listener(reply, tell, user);
    take(reply, bytes, length, false);
    tell_out(reply, reply->out_length);
}

void weir_reply_end(weir_reply *reply, weir_reply_fn *tell, void *user)
{
    static const char none[] = "\xef\xbf\xbd";
    if (reply == NULL)
        return;
    set_listener(reply, tell, user);
    if (reply->text != NULL)
        take(reply, reply->piece,
             weir_detokenizer_flush(&reply->words, reply->piece, sizeof(reply->piece)), false);
    if (reply->unfinished_count > 0)
        take_character(reply, none, sizeof(none) - 1, false);
    reply->unfinished_count = 0;
    reply->ends = true;
    go_on(reply);
    while (reply->part == WEIR_PART_CALL) {
        weir_call_fail(reply, "a call stays text: the reply ends within it");
        go_on(reply);
    }
    if (reply->part == WEIR_PART_HEADING)
        reply->length = 0;
    tell_held(reply, reply->length);
    tell_out(reply, reply->out_length);
}

uint32_t weir_reply_call_count(const weir_reply *reply)
{
    return reply == NULL ? 0 : reply->call_count;
}
