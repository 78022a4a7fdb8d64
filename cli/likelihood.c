/* likelihood.c - softmax, rows of log-probabilities in 16 bits, and the divergence between two. */
#include "likelihood.h"

#include <math.h>

#include "base/base.h"
#include "base/heap.h"

enum { CODE_MAX = 65535, HALF = 256 };

void weir_cli_softmax_take(struct weir_cli_softmax *softmax, const float *logits, uint32_t n_vocab)
{
    uint32_t top = 0;
    for (uint32_t id = 1; id < n_vocab; id++)
        top = logits[id] > logits[top] ? id : top;
    double sum = 0.0;
    for (uint32_t id = 0; id < n_vocab; id++)
        sum += exp((double)(logits[id] - logits[top]));
    *softmax = (struct weir_cli_softmax){.top = top, .most = logits[top], .sum = log(sum)};
}

double weir_cli_surprise(const struct weir_cli_softmax *softmax, const float *logits, uint32_t id)
{
    return softmax->sum - (double)(logits[id] - softmax->most);
}

void weir_cli_row_encode(struct weir_cli_row *row, const float *logits, uint32_t n_vocab,
                         const struct weir_cli_softmax *softmax, uint32_t next_id)
{
    float lowest = softmax->most;
    for (uint32_t id = 0; id < n_vocab; id++)
        lowest = logits[id] < lowest ? logits[id] : lowest;
    const double range = fmin((double)softmax->most - (double)lowest, WEIR_CLI_ROW_RANGE);
    row->scale = (float)(range / CODE_MAX);
    row->least = (float)(-range - softmax->sum);
    row->target = (float)-weir_cli_surprise(softmax, logits, next_id);
    row->top = softmax->top;
    const double factor = range > 0.0 ? CODE_MAX / range : 0.0;
    for (uint32_t id = 0; id < n_vocab; id++) {
        const double above = range - ((double)softmax->most - (double)logits[id]);
        row->codes[id] = above > 0.0 ? (uint16_t)lround(above * factor) : 0;
    }
}

double weir_cli_row_divergence(const struct weir_cli_row *row, const float *logits,
                               uint32_t n_vocab, const struct weir_cli_softmax *softmax)
{
    /* exp(least + scale * code) is the product of two numbers of these tables. */
    double high[HALF], low[HALF];
    const double scale = (double)row->scale;
    const double least = (double)row->least;
    for (int part = 0; part < HALF; part++) {
        high[part] = exp(least + scale * HALF * part);
        low[part] = exp(scale * part);
    }
    double total = 0.0;
    double sum = 0.0;
    for (uint32_t id = 0; id < n_vocab; id++) {
        const unsigned code = row->codes[id];
        const double share = high[code / HALF] * low[code % HALF];
        total += share;
        sum += share * (least + scale * code + weir_cli_surprise(softmax, logits, id));
    }
    return sum / total - log(total);
}

/* ---- many positions ------------------------------------------------------------------------ */

bool weir_cli_distance_init(struct weir_cli_distance *distance, uint64_t capacity)
{
    *distance = (struct weir_cli_distance){.capacity = capacity};
    distance->each = weir_heap_array(capacity, sizeof(*distance->each));
    return distance->each != NULL;
}

void weir_cli_distance_deinit(struct weir_cli_distance *distance)
{
    weir_heap_free(distance->each);
    distance->each = NULL;
}

void weir_cli_distance_add(struct weir_cli_distance *distance, double kl, bool same_top,
                           double here, double there)
{
    const double share = exp(-here) - exp(-there);
    WEIR_ASSERT(distance->count < distance->capacity);
    distance->each[distance->count++] = kl;
    distance->same_top += same_top;
    distance->kl += kl;
    distance->kl_square += kl * kl;
    distance->here += here;
    distance->here_square += here * here;
    distance->there += there;
    distance->there_square += there * there;
    distance->product += here * there;
    distance->share_square += share * share;
}

double weir_cli_quantile(const double *sorted, uint64_t count, double share)
{
    if (count == 0)
        return (double)NAN;
    const double at = share * (double)(count - 1);
    const uint64_t before = (uint64_t)at;
    const uint64_t after = weir_min(before + 1, count - 1);
    return sorted[before] + (at - (double)before) * (sorted[after] - sorted[before]);
}

/* The standard error of a mean, from sums. */
static double find_error(double sum, double square_sum, double count)
{
    const double mean = sum / count;
    return count > 1.0 ? sqrt(fmax(square_sum / count - mean * mean, 0.0) / (count - 1.0))
                       : (double)NAN;
}

void weir_cli_distance_tell(struct weir_cli_distance *distance,
                            struct weir_cli_distance_facts *facts)
{
    const double count = (double)distance->count;
    const double *each = distance->each;
    const double difference = distance->here - distance->there;
    const double square = distance->here_square - 2.0 * distance->product + distance->there_square;
    const double here = distance->here_square - distance->here * distance->here / count;
    const double there = distance->there_square - distance->there * distance->there / count;
    weir_sort_reals(distance->each, distance->count);
    *facts = (struct weir_cli_distance_facts){
        .kl = distance->kl / count,
        .kl_err = find_error(distance->kl, distance->kl_square, count),
        .kl_median = weir_cli_quantile(each, distance->count, 0.5),
        .kl_p90 = weir_cli_quantile(each, distance->count, 0.9),
        .kl_p99 = weir_cli_quantile(each, distance->count, 0.99),
        .kl_p999 = weir_cli_quantile(each, distance->count, 0.999),
        .kl_max = weir_cli_quantile(each, distance->count, 1.0),
        .top1 = (double)distance->same_top / count,
        .share_rms = sqrt(distance->share_square / count),
        .ppl = exp(distance->here / count),
        .reference_ppl = exp(distance->there / count),
        .ppl_ratio = exp(difference / count),
        .correlation =
            (distance->product - distance->here * distance->there / count) / sqrt(here * there),
    };
    facts->top1_err =
        count > 1.0 ? sqrt(facts->top1 * (1.0 - facts->top1) / (count - 1.0)) : (double)NAN;
    facts->ppl_ratio_err = facts->ppl_ratio * find_error(difference, square, count);
}
