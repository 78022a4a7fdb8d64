/* repeats.c - the penalties on ids that were there lately, and DRY. */
#include "engine/repeats.h"

#include <math.h>

#include "base/heap.h"

enum { REPEAT_LAST_DEFAULT = 64, DRY_LAST_DEFAULT = 4096, DRY_ALLOWED_DEFAULT = 2 };

static const float dry_base_default = 1.75f;

static enum weir_status alloc_dry(struct weir_repeats *repeats,
                                  const struct weir_sampler_config *config)
{
    repeats->matches = weir_heap_array(repeats->dry_last, sizeof(*repeats->matches));
    repeats->longest = weir_heap_array(repeats->n_vocab, sizeof(*repeats->longest));
    repeats->is_breaker = weir_heap_array(repeats->n_vocab, sizeof(*repeats->is_breaker));
    if (repeats->matches == NULL || repeats->longest == NULL || repeats->is_breaker == NULL)
        return WEIR_ERR_NOMEM;
    for (size_t index = 0; index < config->dry_breaker_count; index++)
        repeats->is_breaker[config->dry_breakers[index]] = 1;
    return WEIR_OK;
}

enum weir_status weir_repeats_init(struct weir_repeats *repeats,
                                   const struct weir_sampler_config *config, uint32_t n_vocab,
                                   struct weir_err *err)
{
    *repeats = (struct weir_repeats){
        .n_vocab = n_vocab,
        .repeat_penalty = config->repeat_penalty == 0.0f ? 1.0f : config->repeat_penalty,
        .frequency_penalty = config->frequency_penalty,
        .presence_penalty = config->presence_penalty,
        .repeat_last = config->repeat_last == 0 ? REPEAT_LAST_DEFAULT : config->repeat_last,
        .dry_multiplier = config->dry_multiplier,
        .dry_base = config->dry_base == 0.0f ? dry_base_default : config->dry_base,
        .dry_allowed = config->dry_allowed == 0 ? DRY_ALLOWED_DEFAULT : config->dry_allowed,
    };
    if (config->dry_multiplier > 0.0f)
        repeats->dry_last = config->dry_last == 0 ? DRY_LAST_DEFAULT : config->dry_last;
    repeats->capacity = (uint32_t)weir_max(repeats->repeat_last, repeats->dry_last);
    repeats->recent = weir_heap_array(repeats->capacity, sizeof(*repeats->recent));
    repeats->times = weir_heap_array(n_vocab, sizeof(*repeats->times));
    if (repeats->recent == NULL || repeats->times == NULL ||
        (repeats->dry_last > 0 && alloc_dry(repeats, config) != WEIR_OK))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to remember the last %u of %u ids",
                         repeats->capacity, n_vocab);
    return WEIR_OK;
}

void weir_repeats_deinit(struct weir_repeats *repeats)
{
    weir_heap_free(repeats->recent);
    weir_heap_free(repeats->times);
    weir_heap_free(repeats->matches);
    weir_heap_free(repeats->longest);
    weir_heap_free(repeats->is_breaker);
    *repeats = (struct weir_repeats){0};
}

/* The id so many places before the last one, which must be there. */
static uint32_t id_back(const struct weir_repeats *repeats, uint32_t back)
{
    return repeats->recent[(repeats->next + repeats->capacity - 1 - back) % repeats->capacity];
}

void weir_repeats_accept(struct weir_repeats *repeats, uint32_t id)
{
    if (repeats->count >= repeats->repeat_last) {
        const uint32_t leaving = id_back(repeats, repeats->repeat_last - 1);
        if (leaving < repeats->n_vocab)
            repeats->times[leaving]--;
    }
    if (id < repeats->n_vocab)
        repeats->times[id]++;
    repeats->recent[repeats->next] = id;
    repeats->next = (repeats->next + 1) % repeats->capacity;
    if (repeats->count < repeats->capacity)
        repeats->count++;
}

static bool has_penalties(const struct weir_repeats *repeats)
{
    return repeats->repeat_penalty != 1.0f || repeats->frequency_penalty != 0.0f ||
           repeats->presence_penalty != 0.0f;
}

bool weir_repeats_is_idle(const struct weir_repeats *repeats)
{
    return !has_penalties(repeats) && repeats->dry_last == 0;
}

static void penalize(const struct weir_repeats *repeats, struct weir_candidate *candidates)
{
    const float penalty = repeats->repeat_penalty;
    if (!has_penalties(repeats))
        return;
    for (uint32_t id = 0; id < repeats->n_vocab; id++) {
        if (repeats->times[id] == 0)
            continue;
        float *logit = &candidates[id].logit;
        *logit = *logit > 0.0f ? *logit / penalty : *logit * penalty;
        *logit -= (float)repeats->times[id] * repeats->frequency_penalty;
        *logit -= repeats->presence_penalty;
    }
}

/* matches[back] is how many ids the text that ends `back` places before its end has in common with
 * the whole text, counted from their ends. It is the Z function (Gusfield 1997, section 1.4) of the
 * text read backwards: linear in its length, however much of it repeats. */
static void count_matches(struct weir_repeats *repeats, uint32_t length)
{
    uint32_t *matches = repeats->matches;
    uint32_t from = 0, to = 0; /* the match that reaches furthest back */
    for (uint32_t back = 1; back < length; back++) {
        uint32_t match = back < to ? (uint32_t)weir_min(to - back, matches[back - from]) : 0;
        while (back + match < length && id_back(repeats, match) == id_back(repeats, back + match))
            match++;
        matches[back] = match;
        if (back + match > to) {
            from = back;
            to = back + match;
        }
    }
}

static bool breaks(const struct weir_repeats *repeats, uint32_t id)
{
    return id >= repeats->n_vocab || repeats->is_breaker[id] != 0;
}

/* What came after an earlier copy of the text's end would prolong the repetition. */
static void apply_dry(struct weir_repeats *repeats, struct weir_candidate *candidates)
{
    const uint32_t length = (uint32_t)weir_min(repeats->count, repeats->dry_last);
    uint32_t unbroken = 0; /* ids at the end that a repetition may consist of */
    while (unbroken < length && !breaks(repeats, id_back(repeats, unbroken)))
        unbroken++;
    if (unbroken < repeats->dry_allowed)
        return;
    count_matches(repeats, length);
    for (uint32_t back = 1; back < length; back++) {
        const uint32_t id = id_back(repeats, back - 1);
        const uint32_t match = (uint32_t)weir_min(repeats->matches[back], unbroken);
        if (match >= repeats->dry_allowed && !breaks(repeats, id))
            repeats->longest[id] = (uint32_t)weir_max(repeats->longest[id], match);
    }
    for (uint32_t back = 1; back < length; back++) {
        const uint32_t id = id_back(repeats, back - 1);
        if (id >= repeats->n_vocab || repeats->longest[id] == 0)
            continue;
        const double power =
            pow((double)repeats->dry_base, repeats->longest[id] - repeats->dry_allowed);
        candidates[id].logit =
            (float)((double)candidates[id].logit - (double)repeats->dry_multiplier * power);
        repeats->longest[id] = 0;
    }
}

void weir_repeats_apply(struct weir_repeats *repeats, struct weir_candidate *candidates)
{
    penalize(repeats, candidates);
    if (repeats->dry_last > 0)
        apply_dry(repeats, candidates);
}
