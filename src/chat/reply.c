/* reply.c - a model's words as they come: its reasoning, and its answer.
 *
 * Reasoning is what a reply begins with, between two marks; the first one may be the prompt's last
 * words. Some families put a heading before each part instead, which names its channel. A mark may
 * be a control token, a token or several, so marks are looked for in the text, in which the names
 * of control tokens are told apart from words.
 *
 * I1  What is held is no longer than a mark, a heading or some white space, and one token. */
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/chat.h"

enum { HELD_MAX = 512, TAIL_TOKENS = 32, TAIL_BYTES = 1024, SPACE_MAX = 64 };

/* A family's marks. */
struct marks {
    const char *begin, *end;
    /* What follows `begin` up to here names the channel; NULL: there is none. Behind `end` another
     * heading comes. */
    const char *heading_end;
};

static const struct marks families[] = {
    {"<think>", "</think>", NULL},
    {"<|channel|>", "<|end|>", "<|message|>"}, /* gpt-oss */
    {"<|channel>thought", "<channel|>", NULL}, /* gemma 4 */
    {"[THINK]", "[/THINK]", NULL},             /* mistral */
    {"<seed:think>", "</seed:think>", NULL},
    {"<mm:think>", "</mm:think>", NULL},
    {"<think:opensource>", "</think:opensource>", NULL},
    {"<|START_THINKING|>", "<|END_THINKING|>", NULL},
    {"<thinking>", "</thinking>", NULL},
    {"<reasoning>", "</reasoning>", NULL},
};
/* Channels of answers; all others are reasoning. */
static const char answer_channel[] = "final";

enum part { PART_START, PART_HEADING, PART_REASONING, PART_ANSWER };

struct weir_reply {
    weir_text *text;
    struct weir_detokenizer words;
    enum part part;
    const struct marks *marks; /* of the part that runs, or ran */
    bool drops_space;          /* white space is left out until there is something else */
    size_t length;
    char held[HELD_MAX + WEIR_PIECE_MAX];
    bool is_control[HELD_MAX + WEIR_PIECE_MAX]; /* the byte is of a control token's name */
    char piece[WEIR_PIECE_MAX];
    weir_reply_fn *tell;
    void *user;
};

/* ---- what is held -------------------------------------------------------------------------- */

static void drop_held(weir_reply *reply, size_t count)
{
    reply->length -= count;
    memmove(reply->held, reply->held + count, reply->length);
    memmove(reply->is_control, reply->is_control + count, reply->length);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static size_t count_space(const weir_reply *reply)
{
    size_t count = 0;
    while (count < reply->length && is_space(reply->held[count]))
        count++;
    return count;
}

/* The first count bytes are certain: words are told, control tokens are not. */
static void tell_held(weir_reply *reply, size_t count)
{
    for (size_t at = 0; at < count;) {
        size_t end = at + 1;
        while (end < count && reply->is_control[end] == reply->is_control[at])
            end++;
        size_t from = at;
        while (!reply->is_control[at] && reply->drops_space && from < end &&
               is_space(reply->held[from]))
            from++;
        if (!reply->is_control[at] && from < end) {
            reply->drops_space = false;
            if (reply->tell != NULL)
                reply->tell(reply->user, reply->part == PART_REASONING, reply->held + from,
                            end - from);
        }
        at = end;
    }
    drop_held(reply, count);
}

/* How much of the mark is at the beginning of bytes: all of it, or what there is of them. */
static bool begins_mark(const char *bytes, size_t length, const char *mark, bool *is_whole)
{
    const size_t mark_length = strlen(mark);
    *is_whole = length >= mark_length;
    return memcmp(bytes, mark, weir_min(length, mark_length)) == 0;
}

/* Where the mark begins, or may begin at the end; length: nowhere. */
static size_t find_mark(const weir_reply *reply, const char *mark, bool *is_whole)
{
    for (size_t at = 0; at < reply->length; at++)
        if (begins_mark(reply->held + at, reply->length - at, mark, is_whole))
            return at;
    *is_whole = false;
    return reply->length;
}

/* ---- parts --------------------------------------------------------------------------------- */

static void begin_part(weir_reply *reply, enum part part)
{
    reply->part = part;
    reply->drops_space = part != PART_HEADING;
}

/* Behind white space a mark, or words. Each of the next returns whether there is more to do. */
static bool go_on_start(weir_reply *reply)
{
    const size_t space = count_space(reply);
    bool may_be = space == reply->length && space <= SPACE_MAX;
    for (size_t row = 0; row < WEIR_COUNT(families) && space < reply->length; row++) {
        const struct marks *marks = &families[row];
        bool is_whole = false;
        if (!begins_mark(reply->held + space, reply->length - space, marks->begin, &is_whole))
            continue;
        may_be = true;
        if (!is_whole)
            continue;
        reply->marks = marks;
        drop_held(reply, space + strlen(marks->begin));
        begin_part(reply, marks->heading_end != NULL ? PART_HEADING : PART_REASONING);
        return true;
    }
    if (may_be)
        return false;
    reply->part = PART_ANSWER;
    return true;
}

static bool go_on_heading(weir_reply *reply)
{
    bool is_whole = false;
    const size_t end = find_mark(reply, reply->marks->heading_end, &is_whole);
    if (!is_whole && reply->length <= HELD_MAX / 2)
        return false;
    const bool is_answer =
        !is_whole || memmem(reply->held, end, answer_channel, sizeof(answer_channel) - 1) != NULL;
    drop_held(reply, is_whole ? end + strlen(reply->marks->heading_end) : 0);
    begin_part(reply, is_answer ? PART_ANSWER : PART_REASONING);
    return true;
}

static bool go_on_reasoning(weir_reply *reply)
{
    bool is_whole = false;
    const size_t end = find_mark(reply, reply->marks->end, &is_whole);
    tell_held(reply, end);
    if (!is_whole)
        return false;
    drop_held(reply, strlen(reply->marks->end));
    begin_part(reply, reply->marks->heading_end != NULL ? PART_HEADING : PART_ANSWER);
    return true;
}

static void go_on(weir_reply *reply)
{
    bool has_more = true;
    while (has_more)
        switch (reply->part) {
        case PART_START:
            has_more = go_on_start(reply);
            break;
        case PART_HEADING:
            has_more = go_on_heading(reply);
            break;
        case PART_REASONING:
            has_more = go_on_reasoning(reply);
            break;
        case PART_ANSWER:
            tell_held(reply, reply->length);
            has_more = false;
            break;
        }
}

static void take(weir_reply *reply, const char *bytes, size_t length, bool is_control)
{
    WEIR_ASSERT(reply->length + length <= sizeof(reply->held)); /* keeps I1 */
    memcpy(reply->held + reply->length, bytes, length);
    memset(reply->is_control + reply->length, is_control, length);
    reply->length += length;
    go_on(reply);
}

/* ---- the door ------------------------------------------------------------------------------ */

/* Whether the prompt ends inside reasoning. */
static void look_at_prompt(weir_reply *reply, const uint32_t *ids, size_t count)
{
    char tail[TAIL_BYTES];
    size_t length = 0;
    for (size_t at = count - weir_min(count, TAIL_TOKENS); at < count; at++) {
        const struct weir_bytes piece = weir_text_piece(reply->text, ids[at], true);
        const size_t kept = weir_min(piece.length, sizeof(tail));
        const size_t dropped = length + kept - weir_min(length + kept, sizeof(tail));
        memmove(tail, tail + dropped, length - dropped);
        memcpy(tail + length - dropped, piece.start + piece.length - kept, kept);
        length += kept - dropped;
    }
    while (length > 0 && is_space(tail[length - 1]))
        length--;
    for (size_t row = 0; row < WEIR_COUNT(families); row++) {
        const size_t mark = strlen(families[row].begin);
        if (families[row].heading_end != NULL || length < mark ||
            memcmp(tail + length - mark, families[row].begin, mark) != 0)
            continue;
        reply->marks = &families[row];
        begin_part(reply, PART_REASONING);
    }
}

enum weir_status weir_reply_create_by(weir_reply **out, weir_text *text, const uint32_t *ids,
                                      size_t count, struct weir_err *err)
{
    weir_reply *reply = weir_heap_alloc(sizeof(*reply));
    if (reply == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a reply");
    reply->text = text;
    weir_detokenizer_init(&reply->words, text, false);
    reply->words.at_start = false;
    look_at_prompt(reply, ids, count);
    *out = reply;
    return WEIR_OK;
}

void weir_reply_destroy(weir_reply **reply)
{
    if (reply == NULL)
        return;
    weir_heap_free(*reply);
    *reply = NULL;
}

void weir_reply_push(weir_reply *reply, uint32_t id, weir_reply_fn *tell, void *user)
{
    if (reply == NULL)
        return;
    reply->tell = tell;
    reply->user = user;
    if (weir_text_is_control(reply->text, id)) {
        const struct weir_bytes name = weir_text_piece(reply->text, id, true);
        const size_t length = weir_min(name.length, sizeof(reply->piece));
        memcpy(reply->piece, name.start, length);
        take(reply, reply->piece, length, true);
        return;
    }
    take(reply, reply->piece,
         weir_detokenizer_push(&reply->words, id, reply->piece, sizeof(reply->piece)), false);
}

void weir_reply_end(weir_reply *reply, weir_reply_fn *tell, void *user)
{
    if (reply == NULL)
        return;
    reply->tell = tell;
    reply->user = user;
    take(reply, reply->piece,
         weir_detokenizer_flush(&reply->words, reply->piece, sizeof(reply->piece)), false);
    if (reply->part == PART_HEADING)
        reply->length = 0;
    if (reply->part == PART_START)
        reply->part = PART_ANSWER;
    tell_held(reply, reply->length);
}
