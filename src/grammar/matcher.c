/* matcher.c - a text in a grammar, and the tokens that may come next. */
#include "grammar/matcher.h"

#include <string.h>

#include "base/heap.h"

enum { MASK_BYTES = 2 << 20, MASK_MAX = 4096 };

/* Bytes that a text needs to be whole behind the tokens of a mask, or where it ends. */
struct span {
    uint32_t least, most;
};

struct weir_matcher {
    struct weir_states states;
    const struct weir_trie *trie;
    uint32_t state; /* of the text so far */
    uint32_t word_count;
    uint32_t *masks;       /* [mask_max + 1][word_count]; the last is of mask_within */
    uint32_t *mask_states; /* [mask_max] whose each is; DEAD: nobody's */
    struct span *spans;    /* [mask_max] */
    uint32_t mask_max, mask_next;
    uint32_t by_depth[WEIR_GRAMMAR_TOKEN_MAX + 1]; /* states along a path of the trie */
};

static void forget_masks(weir_matcher *matcher)
{
    for (uint32_t slot = 0; slot < matcher->mask_max; slot++)
        matcher->mask_states[slot] = WEIR_STATE_DEAD;
}

static enum weir_status alloc_masks(weir_matcher *matcher, const struct weir_trie *trie,
                                    struct weir_err *err)
{
    matcher->trie = trie;
    matcher->word_count = (trie->n_vocab + 31) / 32;
    const uint64_t each = weir_max(1, matcher->word_count) * sizeof(uint32_t);
    matcher->mask_max = (uint32_t)weir_min(MASK_MAX, weir_max(2, MASK_BYTES / each));
    matcher->masks = weir_heap_array(matcher->mask_max + 1, each);
    matcher->spans = weir_heap_array(matcher->mask_max, sizeof(*matcher->spans));
    matcher->mask_states = weir_heap_array(matcher->mask_max, sizeof(*matcher->mask_states));
    if (matcher->masks == NULL || matcher->mask_states == NULL || matcher->spans == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the masks of %u tokens",
                         trie->n_vocab);
    forget_masks(matcher);
    return WEIR_OK;
}

static enum weir_status say_full(const weir_matcher *matcher, enum weir_status status,
                                 struct weir_err *err)
{
    return WEIR_FAIL(
        err, status,
        "rule %s of the grammar: there are too many ways to read the text, too many open rules, or "
        "too many steps to the next token (at most %d, %d and %d)",
        matcher->states.culprit == NULL ? "root" : matcher->states.culprit, WEIR_GRAMMAR_WAY_MAX,
        WEIR_GRAMMAR_STACK_MAX, WEIR_GRAMMAR_WORK_MAX);
}

enum weir_status weir_matcher_create(weir_matcher **out, const struct weir_program *program,
                                     const struct weir_trie *trie, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_matcher *matcher = weir_heap_alloc(sizeof(*matcher));
    if (matcher == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a text of a grammar");
    WEIR_TRY_GOTO(weir_states_init(&matcher->states, program, err));
    if (trie != NULL)
        WEIR_TRY_GOTO(alloc_masks(matcher, trie, err));
    matcher->state = weir_states_first(&matcher->states);
    if (matcher->state == WEIR_STATE_FULL) {
        status = say_full(matcher, WEIR_ERR_ARG, err);
        goto fail;
    }
    *out = matcher;
    return WEIR_OK;

fail:
    weir_matcher_destroy(&matcher);
    return status;
}

void weir_matcher_destroy(weir_matcher **matcher)
{
    if (matcher == NULL || *matcher == NULL)
        return;
    weir_states_deinit(&(*matcher)->states);
    weir_heap_free((*matcher)->masks);
    weir_heap_free((*matcher)->mask_states);
    weir_heap_free((*matcher)->spans);
    weir_heap_free(*matcher);
    *matcher = NULL;
}

/* All but the state that the text is in can be computed again. */
static void forget(weir_matcher *matcher)
{
    matcher->state = weir_states_forget(&matcher->states, matcher->state);
    if (matcher->trie != NULL)
        forget_masks(matcher);
}

void weir_matcher_reset(weir_matcher *matcher)
{
    matcher->states.work = 0;
    uint32_t first = weir_states_first(&matcher->states);
    if (first == WEIR_STATE_FULL) {
        forget(matcher);
        first = weir_states_first(&matcher->states);
    }
    matcher->state = first;
}

bool weir_matcher_may_end(const weir_matcher *matcher)
{
    return matcher->states.states[matcher->state].may_end;
}

uint32_t weir_matcher_least(const weir_matcher *matcher)
{
    return matcher->states.states[matcher->state].least;
}

bool weir_matcher_may_go_on(const weir_matcher *matcher)
{
    return matcher->states.states[matcher->state].way_count > 0;
}

enum weir_status weir_matcher_push(weir_matcher *matcher, const char *bytes, size_t length,
                                   struct weir_err *err)
{
    matcher->states.work = 0;
    for (int turn = 0; turn < 2; turn++) {
        uint32_t state = matcher->state;
        size_t at = 0;
        while (at < length && state != WEIR_STATE_DEAD && state != WEIR_STATE_FULL)
            state = weir_states_next(&matcher->states, state, (uint8_t)bytes[at++]);
        if (state == WEIR_STATE_DEAD)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "the grammar does not allow byte 0x%02x as number %zu of what follows",
                             (uint8_t)bytes[at - 1], at);
        if (state != WEIR_STATE_FULL) {
            matcher->state = state;
            return WEIR_OK;
        }
        forget(matcher);
    }
    return say_full(matcher, WEIR_ERR_NOMEM, err);
}

/* The tokens that the text's state allows and behind which it needs at most so many bytes. False:
 * there was no room. */
static bool walk(weir_matcher *matcher, uint32_t bytes, uint32_t *mask, struct span *span)
{
    const struct weir_trie *trie = matcher->trie;
    const bool may_end = weir_matcher_may_end(matcher);
    matcher->by_depth[0] = matcher->state;
    memset(mask, 0, matcher->word_count * sizeof(*mask));
    *span = (struct span){may_end ? 0 : WEIR_LEAST_MAX, 0};
    for (uint32_t at = 0; at < trie->node_count;) {
        const struct weir_trie_node *node = &trie->nodes[at];
        const uint32_t state =
            weir_states_next(&matcher->states, matcher->by_depth[node->depth], node->byte);
        if (state == WEIR_STATE_FULL)
            return false;
        if (state == WEIR_STATE_DEAD) {
            at = node->skip;
            continue;
        }
        at++;
        matcher->by_depth[node->depth + 1] = state;
        const uint32_t least = matcher->states.states[state].least;
        if (node->first_id == node[1].first_id || least > bytes)
            continue;
        span->least = (uint32_t)weir_min(span->least, least);
        span->most = (uint32_t)weir_max(span->most, least);
        for (uint32_t index = node->first_id; index < node[1].first_id; index++)
            mask[trie->ids[index] / 32] |= 1u << trie->ids[index] % 32;
    }
    for (uint32_t index = 0; may_end && index < trie->end_count; index++)
        mask[trie->end_ids[index] / 32] |= 1u << trie->end_ids[index] % 32;
    return true;
}

/* The slot of the mask of the text's state; UINT32_MAX: there was no room. */
static uint32_t find_mask(weir_matcher *matcher)
{
    for (int turn = 0; turn < 2; turn++) {
        const uint32_t known = matcher->states.states[matcher->state].mask;
        if (known != UINT32_MAX && matcher->mask_states[known] == matcher->state)
            return known;
        const uint32_t slot = matcher->mask_next;
        matcher->mask_states[slot] = WEIR_STATE_DEAD;
        if (!walk(matcher, WEIR_LEAST_MAX, matcher->masks + (size_t)slot * matcher->word_count,
                  &matcher->spans[slot])) {
            forget(matcher);
            continue;
        }
        matcher->mask_next = (slot + 1) % matcher->mask_max;
        matcher->mask_states[slot] = matcher->state;
        matcher->states.states[matcher->state].mask = slot;
        return slot;
    }
    return UINT32_MAX;
}

enum weir_status weir_matcher_mask_within(weir_matcher *matcher, uint32_t bytes,
                                          const uint32_t **mask, struct weir_err *err)
{
    matcher->states.work = 0;
    const uint32_t slot = find_mask(matcher);
    if (slot == UINT32_MAX)
        return say_full(matcher, WEIR_ERR_NOMEM, err);
    *mask = matcher->masks + (size_t)slot * matcher->word_count;
    if (matcher->spans[slot].most <= bytes)
        return WEIR_OK;
    struct span span;
    uint32_t *made = matcher->masks + (size_t)matcher->mask_max * matcher->word_count;
    if (!walk(matcher, (uint32_t)weir_max(bytes, matcher->spans[slot].least), made, &span))
        return say_full(matcher, WEIR_ERR_NOMEM, err);
    *mask = made;
    return WEIR_OK;
}

enum weir_status weir_matcher_mask(weir_matcher *matcher, const uint32_t **mask,
                                   struct weir_err *err)
{
    return weir_matcher_mask_within(matcher, WEIR_LEAST_MAX, mask, err);
}
