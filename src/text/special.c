/* special.c - finds special tokens written in a text. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

static bool is_control(const struct weir_vocab *vocab, uint32_t id)
{
    return vocab->types[id] == WEIR_TOKEN_CONTROL || vocab->types[id] == WEIR_TOKEN_UNKNOWN;
}

static bool is_special(const struct weir_vocab *vocab, uint32_t id)
{
    return vocab->tokens[id].length > 0 &&
           (is_control(vocab, id) || vocab->types[id] == WEIR_TOKEN_USER_DEFINED);
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

enum weir_status weir_text_specials_init(struct weir_text_specials *specials,
                                         const struct weir_vocab *vocab, struct weir_err *err)
{
    uint32_t count = 0;
    for (uint32_t id = 0; vocab->types != NULL && id < vocab->n_vocab; id++)
        count += is_special(vocab, id);
    specials->ids = weir_heap_array(count, sizeof(uint32_t));
    if (specials->ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room for %u special tokens", count);
    if (count == 0)
        return WEIR_OK;
    uint32_t filled = 0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        if (!is_special(vocab, id))
            continue;
        specials->ids[filled++] = id;
        specials->first_of[(uint8_t)vocab->tokens[id].start[0] + 1]++;
        specials->longest = weir_max(specials->longest, vocab->tokens[id].length);
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        specials->first_of[byte + 1] += specials->first_of[byte];
    /* qsort_r wants a pointer that is not const and hands it back to compare_tokens, which only
     * reads through it. */
    void *tokens;
    memcpy(&tokens, &vocab->tokens, sizeof(tokens));
    qsort_r(specials->ids, count, sizeof(uint32_t), compare_tokens, tokens);
    return WEIR_OK;
}

void weir_text_specials_deinit(struct weir_text_specials *specials)
{
    weir_heap_free(specials->ids);
    specials->ids = NULL;
}

/* Of the tokens in [first, end), which all reach beyond depth, the first with a byte there that is
 * at least wanted. */
static uint32_t find_byte(const struct weir_text_specials *specials, const struct weir_vocab *vocab,
                          uint32_t first, uint32_t end, size_t depth, unsigned wanted)
{
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        if ((uint8_t)vocab->tokens[specials->ids[middle]].start[depth] < wanted)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

uint32_t weir_text_specials_match(const struct weir_text_specials *specials,
                                  const struct weir_vocab *vocab, const char *start, size_t length,
                                  bool with_control)
{
    uint32_t best = WEIR_TOKEN_NONE;
    uint32_t first = specials->first_of[(uint8_t)start[0]];
    uint32_t end = specials->first_of[(uint8_t)start[0] + 1];
    for (size_t depth = 1; first < end; depth++) {
        bool found_here = false;
        while (first < end && vocab->tokens[specials->ids[first]].length == depth) {
            const uint32_t id = specials->ids[first++];
            if (!found_here && (with_control || !is_control(vocab, id))) {
                best = id;
                found_here = true;
            }
        }
        if (depth == length)
            break;
        const unsigned wanted = (uint8_t)start[depth];
        first = find_byte(specials, vocab, first, end, depth, wanted);
        end = find_byte(specials, vocab, first, end, depth, wanted + 1);
    }
    return best;
}
