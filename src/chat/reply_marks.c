/* reply_marks.c - marks in what a model writes, and how the families mark their reasoning. */
#include <string.h>

#include "chat/reply_parts.h"

static const struct weir_reasoning_marks families[] = {
    {"<think>", "</think>", NULL, NULL},
    {"<|channel|>", "<|end|>", "<|message|>", /* gpt-oss */
     "<|end|><|start|>assistant<|channel|>final<|message|>"},
    {"<|channel>thought", "<channel|>", NULL, NULL}, /* gemma 4 */
    {"[THINK]", "[/THINK]", NULL, NULL},             /* mistral */
    {"<seed:think>", "</seed:think>", NULL, NULL},
    {"<mm:think>", "</mm:think>", NULL, NULL},
    {"<think:opensource>", "</think:opensource>", NULL, NULL},
    {"<|START_THINKING|>", "<|END_THINKING|>", NULL, NULL},
    {"<|open|>think<|sep|>", "<|close|>think<|sep|>", NULL, NULL}, /* kimi k3 */
    {"<thinking>", "</thinking>", NULL, NULL},
    {"<reasoning>", "</reasoning>", NULL, NULL},
    {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", NULL, NULL}, /* apriel */
};

const struct weir_reasoning_marks *weir_reasoning_at(size_t row)
{
    return row < WEIR_COUNT(families) ? &families[row] : NULL;
}

const char *weir_reasoning_end(uint32_t index)
{
    const struct weir_reasoning_marks *marks = weir_reasoning_at(index);
    if (marks == NULL)
        return NULL;
    return marks->close == NULL ? marks->end : marks->close;
}

bool weir_mark_is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

const struct weir_reasoning_marks *weir_reasoning_open(const char *text, size_t length)
{
    while (length > 0 && weir_mark_is_space(text[length - 1]))
        length--;
    for (size_t row = 0; row < WEIR_COUNT(families); row++) {
        const size_t mark = strlen(families[row].begin);
        if (families[row].heading_end == NULL && length >= mark &&
            memcmp(text + length - mark, families[row].begin, mark) == 0)
            return &families[row];
    }
    return NULL;
}

size_t weir_prompt_tail(weir_text *text, const uint32_t *ids, size_t count, char *tail)
{
    enum { TAIL_TOKENS = 32 };
    size_t length = 0;
    for (size_t at = count - weir_min(count, TAIL_TOKENS); at < count; at++) {
        const struct weir_bytes piece = weir_text_piece(text, ids[at], true);
        const size_t kept = weir_min(piece.length, WEIR_PROMPT_TAIL_MAX);
        const size_t dropped = length + kept - weir_min(length + kept, WEIR_PROMPT_TAIL_MAX);
        memmove(tail, tail + dropped, length - dropped);
        memcpy(tail + length - dropped, piece.start + piece.length - kept, kept);
        length += kept - dropped;
    }
    return length;
}

/* Up to the limit. */
static size_t skip_space(const char *bytes, size_t length, size_t at)
{
    const size_t end = weir_min(length, at + WEIR_MARK_SPACE_MAX);
    while (at < end && weir_mark_is_space(bytes[at]))
        at++;
    return at;
}

enum weir_mark_match weir_mark_find(const char *bytes, size_t length, const char *mark, char tail,
                                    size_t *used)
{
    const char *end = mark + strlen(mark);
    size_t at = 0;
    mark += *mark == '\n';
    end -= end > mark && end[-1] == '\n';
    for (; mark < end; mark++) {
        if (*mark == '\n') {
            at = skip_space(bytes, length, at);
            continue;
        }
        if (at == length)
            return WEIR_MARK_BEGUN;
        if (bytes[at++] != *mark)
            return WEIR_MARK_NONE;
    }
    *used = at;
    if (tail == '\0')
        return WEIR_MARK_WHOLE;
    at = skip_space(bytes, length, at);
    if (at == length)
        return WEIR_MARK_BEGUN;
    return bytes[at] == tail ? WEIR_MARK_WHOLE : WEIR_MARK_NONE;
}
