/* ranking.c - the filters and the draw of sampling, over candidates that are sorted as needed. */
#include "engine/ranking.h"

#include <math.h>

/* Logits this far below the best are put apart: the draw hardly ever gets to them, for all of a
 * large vocabulary have a few of the best one's shares then. */
static const float near_logits = 10.0f;

static float logit_of(struct weir_candidate candidate)
{
    return isnan(candidate.logit) ? -INFINITY : candidate.logit;
}

bool weir_candidate_before(struct weir_candidate left, struct weir_candidate right)
{
    const float left_logit = logit_of(left);
    const float right_logit = logit_of(right);
    return left_logit != right_logit ? left_logit > right_logit : left.id < right.id;
}

/* ---- the order ----------------------------------------------------------------------------- */

static void swap(struct weir_candidate *left, struct weir_candidate *right)
{
    const struct weir_candidate moved = *left;
    *left = *right;
    *right = moved;
}

static void sift_down(struct weir_candidate *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t best = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (weir_candidate_before(heap[child], heap[best]))
                best = child;
        if (best == at)
            return;
        swap(&heap[at], &heap[best]);
        at = best;
    }
}

/* A heap of the slots from begin up to the ranks that are known. */
static void make_heap(struct weir_ranking *ranking, uint32_t begin)
{
    const uint32_t count = ranking->n_vocab - ranking->known - begin;
    ranking->begin = begin;
    for (uint32_t at = count / 2; at > 0; at--)
        sift_down(ranking->slots + begin, count, at - 1);
}

void weir_ranking_init(struct weir_ranking *ranking, struct weir_candidate *slots, uint32_t n_vocab)
{
    float best = -INFINITY;
    uint32_t begin = n_vocab;
    *ranking = (struct weir_ranking){.slots = slots, .n_vocab = n_vocab, .count = n_vocab};
    for (uint32_t at = 0; at < n_vocab; at++)
        best = slots[at].logit > best ? slots[at].logit : best;
    for (uint32_t at = 0; at < begin;)
        if (logit_of(slots[at]) >= best - near_logits)
            swap(&slots[at], &slots[--begin]);
        else
            at++;
    make_heap(ranking, begin);
}

struct weir_candidate weir_ranking_at(struct weir_ranking *ranking, uint32_t rank)
{
    WEIR_DASSERT(rank < ranking->n_vocab);
    while (ranking->known <= rank) {
        if (ranking->n_vocab - ranking->known == ranking->begin)
            make_heap(ranking, 0);
        struct weir_candidate *heap = ranking->slots + ranking->begin;
        const uint32_t last = ranking->n_vocab - ++ranking->known - ranking->begin;
        swap(&heap[0], &heap[last]);
        sift_down(heap, last, 0);
    }
    return ranking->slots[ranking->n_vocab - 1 - rank];
}

/* Only the ranks from first to first + count stay. The last of them becomes known, so that those
 * that stay lie together in slots. */
static void keep(struct weir_ranking *ranking, uint32_t first, uint32_t count)
{
    weir_ranking_at(ranking, first + count - 1);
    ranking->first = first;
    ranking->count = count;
}

/* ---- shares -------------------------------------------------------------------------------- */

static double best_logit(struct weir_ranking *ranking)
{
    return (double)weir_ranking_at(ranking, ranking->first).logit;
}

/* The share of a logit in units of the best one's. */
static double weight(double logit, double best, double temperature)
{
    if (isnan(logit))
        return 0.0;
    return logit == best ? 1.0 : exp((logit - best) / temperature);
}

static double weight_at(struct weir_ranking *ranking, uint32_t rank, double best)
{
    return weight((double)weir_ranking_at(ranking, rank).logit, best, 1.0);
}

/* What stays lies together, sorted or not. */
static const struct weir_candidate *kept_slots(const struct weir_ranking *ranking)
{
    return ranking->slots + ranking->n_vocab - ranking->first - ranking->count;
}

static double sum_weights(const struct weir_ranking *ranking, double best, double temperature)
{
    const struct weir_candidate *kept = kept_slots(ranking);
    double total = 0.0;
    for (uint32_t at = 0; at < ranking->count; at++)
        total += weight((double)kept[at].logit, best, temperature);
    return total;
}

/* ---- the filters --------------------------------------------------------------------------- */

void weir_ranking_top_k(struct weir_ranking *ranking, uint32_t k)
{
    if (k > 0 && k < ranking->count)
        keep(ranking, ranking->first, k);
}

/* log(total) minus the mean of log(weight): the mean surprise, in nats. */
static double entropy(const struct weir_ranking *ranking, double best, double total)
{
    const struct weir_candidate *kept = kept_slots(ranking);
    double sum = 0.0;
    for (uint32_t at = 0; at < ranking->count; at++) {
        const double share = weight((double)kept[at].logit, best, 1.0);
        if (share > 0.0 && share < 1.0)
            sum += share * ((double)kept[at].logit - best);
    }
    return log(total) - sum / total;
}

/* Surprise grows with the rank, so the ids whose surprise is nearest to the mean lie on both sides
 * of one rank: the range grows from there to the nearer side. */
void weir_ranking_typical(struct weir_ranking *ranking, double p)
{
    if (p <= 0.0 || p >= 1.0)
        return;
    const double best = best_logit(ranking);
    const double total = sum_weights(ranking, best, 1.0);
    const double mean = entropy(ranking, best, total);
    const uint32_t end = ranking->first + ranking->count;
    uint32_t left = ranking->first;
    while (left < end && log(total / weight_at(ranking, left, best)) < mean)
        left++;
    uint32_t right = left;
    double sum = 0.0;
    while (right == left || (sum < p * total && right - left < ranking->count)) {
        double above = (double)INFINITY, below = (double)INFINITY;
        if (left > ranking->first)
            above = mean - log(total / weight_at(ranking, left - 1, best));
        if (right < end)
            below = log(total / weight_at(ranking, right, best)) - mean;
        const uint32_t taken = right == end || above <= below ? --left : right++;
        sum += weight_at(ranking, taken, best);
    }
    keep(ranking, left, right - left);
}

void weir_ranking_top_p(struct weir_ranking *ranking, double p)
{
    if (p <= 0.0 || p >= 1.0)
        return;
    const double best = best_logit(ranking);
    const double wanted = p * sum_weights(ranking, best, 1.0);
    double sum = 0.0;
    uint32_t kept = 0;
    while (kept < ranking->count && (kept == 0 || sum < wanted))
        sum += weight_at(ranking, ranking->first + kept++, best);
    keep(ranking, ranking->first, kept);
}

void weir_ranking_min_p(struct weir_ranking *ranking, double p)
{
    if (p <= 0.0)
        return;
    const double best = best_logit(ranking);
    uint32_t kept = 1;
    while (kept < ranking->count && weight_at(ranking, ranking->first + kept, best) >= p)
        kept++;
    keep(ranking, ranking->first, kept);
}

void weir_ranking_xtc(struct weir_ranking *ranking, double threshold)
{
    const double best = best_logit(ranking);
    const double wanted = threshold * sum_weights(ranking, best, 1.0);
    uint32_t dropped = 0;
    while (dropped + 1 < ranking->count &&
           weight_at(ranking, ranking->first + dropped + 1, best) >= wanted)
        dropped++;
    ranking->first += dropped;
    ranking->count -= dropped;
}

/* ---- the draw ------------------------------------------------------------------------------ */

uint32_t weir_ranking_draw(struct weir_ranking *ranking, double temperature, double unit)
{
    struct weir_candidate drawn = weir_ranking_at(ranking, ranking->first);
    if (temperature == 0.0)
        return drawn.id;
    const double best = (double)drawn.logit;
    double target = unit * sum_weights(ranking, best, temperature);
    for (uint32_t at = 0; at < ranking->count; at++) {
        const struct weir_candidate next = weir_ranking_at(ranking, ranking->first + at);
        const double share = weight((double)next.logit, best, temperature);
        if (share == 0.0) /* rounding has left some of the target */
            break;
        drawn = next;
        target -= share;
        if (target < 0.0)
            break;
    }
    return drawn.id;
}
