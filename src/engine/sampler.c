/* sampler.c - choose the next token. */
#include "engine/engine_internal.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"

enum { REPEAT_LAST_DEFAULT = 64 };

struct candidate {
    float logit;
    uint32_t id;
};

struct weir_sampler {
    struct weir_sampler_config config;
    uint32_t n_vocab;
    uint64_t random_state;
    struct candidate *candidates; /* [n_vocab] */
    uint32_t *recent;             /* [repeat_last], a ring */
    uint32_t recent_count, recent_next;
};

static enum weir_status check_range(const char *what, float found, float most, struct weir_err *err)
{
    if (found >= 0.0f && found <= most)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted 0 to %g, found %g", what, (double)most,
                     (double)found);
}

static enum weir_status check_config(const struct weir_sampler_config *config, uint32_t n_vocab,
                                     struct weir_err *err)
{
    WEIR_TRY(check_range("temperature", config->temperature, WEIR_TEMPERATURE_MAX, err));
    WEIR_TRY(check_range("top-p", config->top_p, 1.0f, err));
    WEIR_TRY(check_range("min-p", config->min_p, 1.0f, err));
    WEIR_TRY(
        check_range("repetition penalty", config->repeat_penalty, WEIR_REPEAT_PENALTY_MAX, err));
    if (config->repeat_last > WEIR_REPEAT_LAST_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "repetition window: wanted at most %d ids, found %u",
                         WEIR_REPEAT_LAST_MAX, config->repeat_last);
    if (n_vocab == 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "vocabulary: wanted at least 1 id to choose, found 0");
    return WEIR_OK;
}

enum weir_status weir_sampler_create(weir_sampler **out, const struct weir_sampler_config *config,
                                     uint32_t n_vocab, struct weir_err *err)
{
    WEIR_NEED(out, err);
    WEIR_NEED(config, err);
    WEIR_TRY(check_config(config, n_vocab, err));
    weir_sampler *sampler = weir_heap_alloc(sizeof(*sampler));
    if (sampler == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a sampler");
    sampler->config = *config;
    if (sampler->config.repeat_last == 0)
        sampler->config.repeat_last = REPEAT_LAST_DEFAULT;
    if (sampler->config.top_p == 0.0f)
        sampler->config.top_p = 1.0f;
    if (sampler->config.repeat_penalty == 0.0f)
        sampler->config.repeat_penalty = 1.0f;
    sampler->n_vocab = n_vocab;
    sampler->random_state = config->seed;
    sampler->candidates = weir_heap_array(n_vocab, sizeof(*sampler->candidates));
    sampler->recent = weir_heap_array(sampler->config.repeat_last, sizeof(*sampler->recent));
    if (sampler->candidates == NULL || sampler->recent == NULL) {
        weir_sampler_destroy(&sampler);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u candidates", n_vocab);
    }
    *out = sampler;
    return WEIR_OK;
}

void weir_sampler_destroy(weir_sampler **sampler)
{
    if (sampler == NULL || *sampler == NULL)
        return;
    weir_heap_free((*sampler)->candidates);
    weir_heap_free((*sampler)->recent);
    weir_heap_free(*sampler);
    *sampler = NULL;
}

void weir_sampler_accept(weir_sampler *sampler, uint32_t id)
{
    if (sampler == NULL)
        return;
    sampler->recent[sampler->recent_next] = id;
    sampler->recent_next = (sampler->recent_next + 1) % sampler->config.repeat_last;
    if (sampler->recent_count < sampler->config.repeat_last)
        sampler->recent_count++;
}

/* Repetition penalty (CTRL, arXiv:1909.05858 section 4.1), once for each distinct recent id: one
 * whose logit differs from the model's has had it. */
static void penalize(weir_sampler *sampler, const float *logits)
{
    const float penalty = sampler->config.repeat_penalty;
    if (penalty == 1.0f)
        return;
    for (uint32_t at = 0; at < sampler->recent_count; at++) {
        const uint32_t id = sampler->recent[at];
        if (id >= sampler->n_vocab || sampler->candidates[id].logit != logits[id])
            continue;
        sampler->candidates[id].logit =
            logits[id] > 0.0f ? logits[id] / penalty : logits[id] * penalty;
    }
}

/* Larger logit first, then smaller id; not-a-number comes last. */
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    const float logit_a = isnan(a->logit) ? -INFINITY : a->logit;
    const float logit_b = isnan(b->logit) ? -INFINITY : b->logit;
    if (logit_a != logit_b)
        return logit_a > logit_b ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static uint32_t pick_greedy(const weir_sampler *sampler)
{
    struct candidate best = sampler->candidates[0];
    for (uint32_t id = 1; id < sampler->n_vocab; id++)
        if (compare_candidates(&sampler->candidates[id], &best) < 0)
            best = sampler->candidates[id];
    return best.id;
}

/* The candidates are kept as a binary heap, best on top: popping the few that matter costs far less
 * than sorting a vocabulary, and needs no memory. */
static void sift_down(struct candidate *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t best = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (compare_candidates(&heap[child], &heap[best]) < 0)
                best = child;
        if (best == at)
            return;
        const struct candidate moved = heap[at];
        heap[at] = heap[best];
        heap[best] = moved;
        at = best;
    }
}

static void make_heap(struct candidate *heap, uint32_t count)
{
    for (uint32_t at = count / 2; at > 0; at--)
        sift_down(heap, count, at - 1);
}

/* Move the best of the first count to place count - 1. */
static struct candidate pop_best(struct candidate *heap, uint32_t count)
{
    const struct candidate best = heap[0];
    heap[0] = heap[count - 1];
    heap[count - 1] = best;
    sift_down(heap, count - 1, 0);
    return best;
}

/* The sum of exp(logit - best) over what top-k leaves, at temperature 1. */
static double sum_weights(const struct candidate *heap, uint32_t count, float best_logit)
{
    double total = 0.0;
    for (uint32_t at = 0; at < count; at++)
        if (!isnan(heap[at].logit))
            total += exp((double)heap[at].logit - (double)best_logit);
    return total;
}

/* Top-k, then top-p (arXiv:1904.09751), then min-p (arXiv:2407.01082), each on the distribution at
 * temperature 1. Returns how many stay, at least one; the best lies at the array's end, the others
 * before it in falling order. */
static uint32_t keep_candidates(struct weir_sampler *sampler)
{
    const struct weir_sampler_config *config = &sampler->config;
    struct candidate *heap = sampler->candidates;
    const uint32_t n_vocab = sampler->n_vocab;
    uint32_t limit = n_vocab;
    uint32_t popped = 0;
    make_heap(heap, n_vocab);
    const float best_logit = heap[0].logit;
    double total = 0.0;
    if (config->top_k > 0 && config->top_k < n_vocab) {
        limit = config->top_k;
        for (; popped < limit; popped++)
            pop_best(heap, n_vocab - popped);
        total = sum_weights(heap + n_vocab - limit, limit, best_logit);
    } else {
        total = sum_weights(heap, n_vocab, best_logit);
    }
    double sum = 0.0;
    for (uint32_t kept = 0; kept < limit; kept++) {
        if (kept == popped)
            pop_best(heap, n_vocab - popped++);
        const double weight = exp((double)heap[n_vocab - 1 - kept].logit - (double)best_logit);
        const bool enough = config->top_p < 1.0f && sum >= (double)config->top_p * total;
        if (kept > 0 && (enough || !(weight >= (double)config->min_p)))
            return kept;
        sum += weight;
    }
    return limit;
}

static uint32_t pick_random(weir_sampler *sampler)
{
    const uint32_t kept = keep_candidates(sampler);
    const struct candidate *best = &sampler->candidates[sampler->n_vocab - 1];
    const double inverse = 1.0 / (double)sampler->config.temperature;
    double total = 0.0;
    for (uint32_t at = 0; at < kept; at++)
        total += exp(((double)best[-(ptrdiff_t)at].logit - (double)best->logit) * inverse);
    double target = weir_random_unit(&sampler->random_state) * total;
    for (uint32_t at = 0; at + 1 < kept; at++) {
        const struct candidate *candidate = &best[-(ptrdiff_t)at];
        target -= exp(((double)candidate->logit - (double)best->logit) * inverse);
        if (target < 0.0)
            return candidate->id;
    }
    return best[-(ptrdiff_t)(kept - 1)].id;
}

uint32_t weir_sampler_pick(weir_sampler *sampler, const float *logits)
{
    if (sampler == NULL || logits == NULL)
        return WEIR_ID_NONE;
    for (uint32_t id = 0; id < sampler->n_vocab; id++)
        sampler->candidates[id] = (struct candidate){.logit = logits[id], .id = id};
    penalize(sampler, logits);
    const uint32_t id =
        sampler->config.temperature == 0.0f ? pick_greedy(sampler) : pick_random(sampler);
    weir_sampler_accept(sampler, id);
    return id;
}
