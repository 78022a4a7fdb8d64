/* prefixes.c - finds tokens written in a text. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

static bool is_control(const struct weir_vocab *vocab, uint32_t id)
{
    return vocab->types != NULL &&
           (vocab->types[id] == WEIR_TOKEN_CONTROL || vocab->types[id] == WEIR_TOKEN_UNKNOWN);
}

static bool is_wanted(const struct weir_vocab *vocab, uint32_t id, uint32_t types)
{
    const uint32_t type = vocab->types == NULL ? WEIR_TOKEN_NORMAL : vocab->types[id];
    return vocab->tokens[id].length > 0 && (types >> type & 1) != 0;
}

static int compare_tokens(const void *left, const void *right, void *tokens)
{
    const uint32_t left_id = *(const uint32_t *)left, right_id = *(const uint32_t *)right;
    const struct weir_bytes a = ((const struct weir_bytes *)tokens)[left_id];
    const struct weir_bytes b = ((const struct weir_bytes *)tokens)[right_id];
    const int order = memcmp(a.start, b.start, weir_min(a.length, b.length));
    if (order != 0)
        return order;
    if (a.length != b.length)
        return a.length < b.length ? -1 : 1;
    return left_id < right_id ? -1 : left_id > right_id;
}

enum weir_status weir_text_prefixes_init(struct weir_text_prefixes *prefixes,
                                         const struct weir_vocab *vocab, uint32_t types,
                                         struct weir_err *err)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++)
        count += is_wanted(vocab, id, types);
    prefixes->ids = weir_heap_array(count, sizeof(uint32_t));
    if (prefixes->ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room for %u tokens in order", count);
    if (count == 0)
        return WEIR_OK;
    uint32_t filled = 0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        if (!is_wanted(vocab, id, types))
            continue;
        prefixes->ids[filled++] = id;
        prefixes->first_of[(uint8_t)vocab->tokens[id].start[0] + 1]++;
        prefixes->longest = weir_max(prefixes->longest, vocab->tokens[id].length);
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        prefixes->first_of[byte + 1] += prefixes->first_of[byte];
    /* qsort_r wants a pointer that is not const and hands it back to compare_tokens, which only
     * reads through it. */
    void *tokens;
    memcpy(&tokens, &vocab->tokens, sizeof(tokens));
    qsort_r(prefixes->ids, count, sizeof(uint32_t), compare_tokens, tokens);
    return WEIR_OK;
}

void weir_text_prefixes_deinit(struct weir_text_prefixes *prefixes)
{
    weir_heap_free(prefixes->ids);
    prefixes->ids = NULL;
}

/* Of the tokens in [first, end), which all reach beyond depth, the first with a byte there that is
 * at least wanted. */
static uint32_t find_byte(const struct weir_text_prefixes *prefixes, const struct weir_vocab *vocab,
                          uint32_t first, uint32_t end, size_t depth, unsigned wanted)
{
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        if ((uint8_t)vocab->tokens[prefixes->ids[middle]].start[depth] < wanted)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

bool weir_text_prefixes_narrow(const struct weir_text_prefixes *prefixes,
                               const struct weir_vocab *vocab, struct weir_text_prefix *prefix,
                               char byte)
{
    const unsigned wanted = (uint8_t)byte;
    if (prefix->depth == 0) {
        prefix->first = prefixes->first_of[wanted];
        prefix->end = prefixes->first_of[wanted + 1];
    } else {
        const size_t depth = prefix->depth;
        while (prefix->first < prefix->end &&
               vocab->tokens[prefixes->ids[prefix->first]].length == depth)
            prefix->first++;
        prefix->first = find_byte(prefixes, vocab, prefix->first, prefix->end, depth, wanted);
        prefix->end = find_byte(prefixes, vocab, prefix->first, prefix->end, depth, wanted + 1);
    }
    prefix->depth++;
    return prefix->first < prefix->end;
}

uint32_t weir_text_prefixes_whole(const struct weir_text_prefixes *prefixes,
                                  const struct weir_vocab *vocab,
                                  const struct weir_text_prefix *prefix)
{
    if (prefix->first == prefix->end)
        return WEIR_TOKEN_NONE;
    const uint32_t id = prefixes->ids[prefix->first];
    return vocab->tokens[id].length == prefix->depth ? id : WEIR_TOKEN_NONE;
}

uint32_t weir_text_prefixes_match(const struct weir_text_prefixes *prefixes,
                                  const struct weir_vocab *vocab, const char *start, size_t length,
                                  bool with_control)
{
    uint32_t best = WEIR_TOKEN_NONE;
    struct weir_text_prefix prefix = {0};
    for (size_t at = 0; at < length; at++) {
        if (!weir_text_prefixes_narrow(prefixes, vocab, &prefix, start[at]))
            break;
        /* Of those with the same text the first that may be taken. */
        for (uint32_t index = prefix.first; index < prefix.end; index++) {
            const uint32_t id = prefixes->ids[index];
            if (vocab->tokens[id].length != prefix.depth)
                break;
            if (!with_control && is_control(vocab, id))
                continue;
            best = id;
            break;
        }
    }
    return best;
}

bool weir_text_prefixes_has_control(const struct weir_text_prefixes *prefixes,
                                    const struct weir_vocab *vocab,
                                    const struct weir_text_prefix *prefix)
{
    for (uint32_t index = prefix->first; index < prefix->end; index++)
        if (is_control(vocab, prefixes->ids[index]))
            return true;
    return false;
}

/* Whether a text's end is how a control token begins. */
static bool begins_control(const weir_text *text, const char *bytes, size_t length)
{
    struct weir_text_prefix prefix = {0};
    if (length >= text->specials.longest)
        return false;
    for (size_t at = 0; at < length; at++)
        if (!weir_text_prefixes_narrow(&text->specials, &text->vocab, &prefix, bytes[at]))
            return false;
    return weir_text_prefixes_has_control(&text->specials, &text->vocab, &prefix);
}

bool weir_text_is_control(const weir_text *text, uint32_t id)
{
    return id < text->vocab.n_vocab && is_control(&text->vocab, id);
}

size_t weir_text_find_control(const weir_text *text, const char *bytes, size_t length, size_t from)
{
    for (size_t at = from; at < length; at++) {
        const size_t step = weir_utf8_char(bytes + at, length - at);
        if (step > 0 && weir_text_is_space(weir_utf8_decode(bytes + at)))
            continue;
        const uint32_t id =
            weir_text_prefixes_match(&text->specials, &text->vocab, bytes + at, length - at, true);
        if ((id != WEIR_TOKEN_NONE && is_control(&text->vocab, id)) ||
            begins_control(text, bytes + at, length - at))
            return at;
    }
    return length;
}
