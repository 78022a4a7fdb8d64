/* policy_learned.c - how likely each record is to be used by the next token, learned while running.
 *
 * One logistic regression for the whole model. Features of a record after its layer's step: 1; for
 * decays d = 0.5, 0.8, 0.9, 0.95, 0.99 the log of its decayed use count over that of a record which
 * is always used; the share of the step's rows that use it; log of the steps since its last use;
 * log of how often it came in the next step after those used now. Label: the share of the rows of
 * the layer's next step that use it. A use counts as that share too, so what is learned from one
 * text holds for many that decode together, and the other way round. AdaGrad (Duchi, Hazan, Singer,
 * JMLR 12, 2011) on the layer's mean gradient.
 *
 * Of two records that are as likely, the one whose layer comes later goes first: it would keep its
 * slot for longer before it is of any use. */
#include <math.h>

#include "store/cache.h"

enum { DECAYS = 5, USED_NOW = DECAYS + 1, AGE, FOLLOWS, FEATURES, AGE_MAX = 64 };

static const float decays[DECAYS] = {0.5f, 0.8f, 0.9f, 0.95f, 0.99f};
static const double start[FEATURES] = {-2.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0};
static const double step_size = 0.1;
static const double first_square = 1e-3;
/* A record's own share of uses counts as much as so many steps of what followed others. */
static const float own_share_weight = 32.0f;
/* What a record's score loses for the layers until its turn, times their log. */
static const float wait_weight = 0.05f;
/* What an earlier run counted weighs as much as so many rows of this one. */
enum { RECALLED_ROWS = 512 };

struct record_state {
    float counts[DECAYS];
    float features[FEATURES];
    uint32_t age;  /* steps of its layer since the last use */
    uint32_t uses; /* rows of its layer's steps that used it */
    uint32_t seen; /* of its uses, those whose next step is counted in its followers */
};

struct layer_state {
    float totals[DECAYS]; /* counts of a record that every row uses */
    uint32_t rows;        /* of all steps */
    bool was_alone;       /* the last step had one row */
};

struct learned {
    double weights[FEATURES];
    double squares[FEATURES];
    bool is_begun;
};

static struct learned *model_of(const struct weir_cache *cache)
{
    return cache->state;
}

static struct layer_state *layers_of(const struct weir_cache *cache)
{
    return (struct layer_state *)(model_of(cache) + 1);
}

static struct record_state *records_of(const struct weir_cache *cache)
{
    return (struct record_state *)(layers_of(cache) + cache->layer_count);
}

/* [record_count], side by side: who looks for a victim reads all of them. */
static float *scores_of(const struct weir_cache *cache)
{
    return (float *)(records_of(cache) + cache->record_count);
}

/* [layer_count] of the score of a record whose layer comes so many layers after the next one. */
static float *waits_of(const struct weir_cache *cache)
{
    return scores_of(cache) + cache->record_count;
}

/* [record_max] of each record: how often those of its layer were used in the step after it. */
static uint16_t *followers_of(const struct weir_cache *cache, uint32_t record)
{
    uint16_t *all = (uint16_t *)(waits_of(cache) + cache->layer_count);
    return all + (uint64_t)record * cache->record_max;
}

static uint64_t state_bytes(const struct weir_cache *cache)
{
    const uint64_t pair_count = (uint64_t)cache->record_count * cache->record_max;
    return sizeof(struct learned) + cache->layer_count * sizeof(struct layer_state) +
           cache->record_count * (sizeof(struct record_state) + sizeof(float)) +
           cache->layer_count * sizeof(float) + pair_count * sizeof(uint16_t);
}

/* Of the step's rows, those that use the record. */
static float share_of(const struct weir_cache *cache, uint32_t record)
{
    return (float)weir_cache_rows(cache, record) / (float)cache->step_rows;
}

static void learn(struct weir_cache *cache, uint32_t layer)
{
    struct learned *model = model_of(cache);
    const uint32_t first = cache->first[layer];
    const uint32_t count = cache->layers[layer].record_count;
    double gradient[FEATURES] = {0};
    for (uint32_t record = first; record < first + count; record++) {
        const struct record_state *at = &records_of(cache)[record];
        const double label = (double)share_of(cache, record);
        double logit = 0.0;
        for (int feature = 0; feature < FEATURES; feature++)
            logit += model->weights[feature] * (double)at->features[feature];
        const double error = 1.0 / (1.0 + exp(-logit)) - label;
        for (int feature = 0; feature < FEATURES; feature++)
            gradient[feature] += error * (double)at->features[feature];
    }
    for (int feature = 0; feature < FEATURES; feature++) {
        const double mean = gradient[feature] / count;
        model->squares[feature] += mean * mean;
        model->weights[feature] -= step_size * mean / sqrt(model->squares[feature]);
    }
}

/* By its counts, its age, and whether the last step used it. */
static void set_features(const struct layer_state *totals, struct record_state *at, float used)
{
    at->features[0] = 1.0f;
    for (int decay = 0; decay < DECAYS; decay++)
        at->features[1 + decay] =
            logf((at->counts[decay] + 0.03f) / (totals->totals[decay] + 0.06f));
    at->features[USED_NOW] = used;
    at->features[AGE] = logf(1.0f + (float)at->age);
}

static void count_uses(struct weir_cache *cache, uint32_t layer)
{
    struct layer_state *totals = &layers_of(cache)[layer];
    const uint32_t first = cache->first[layer];
    for (int decay = 0; decay < DECAYS; decay++)
        totals->totals[decay] = totals->totals[decay] * decays[decay] + 1.0f;
    for (uint32_t record = first; record < first + cache->layers[layer].record_count; record++) {
        struct record_state *at = &records_of(cache)[record];
        const float used = share_of(cache, record);
        const bool was_never = at->features[0] == 0.0f;
        at->age = used > 0.0f ? 0 : was_never ? AGE_MAX : (uint32_t)weir_min(at->age + 1, AGE_MAX);
        for (int decay = 0; decay < DECAYS; decay++)
            at->counts[decay] = at->counts[decay] * decays[decay] + used;
        set_features(totals, at, used);
        at->uses += weir_cache_rows(cache, record);
    }
    totals->rows += cache->step_rows;
    totals->was_alone = cache->step_rows == 1;
}

/* The step's records follow those of the layer's last one, whose USED_NOW is still set. Where
 * either has several rows nobody knows which followed which. */
static void count_followers(struct weir_cache *cache, uint32_t layer)
{
    if (cache->step_rows > 1 || !layers_of(cache)[layer].was_alone)
        return;
    const uint32_t first = cache->first[layer];
    const uint32_t count = cache->layers[layer].record_count;
    for (uint32_t before = first; before < first + count; before++) {
        struct record_state *at = &records_of(cache)[before];
        uint16_t *followers = followers_of(cache, before);
        if (at->features[USED_NOW] == 0.0f)
            continue;
        if (at->seen == UINT16_MAX) {
            at->seen /= 2;
            for (uint32_t index = 0; index < count; index++)
                followers[index] /= 2;
        }
        at->seen++;
        for (uint32_t index = 0; index < count; index++)
            followers[index] += weir_cache_is_used(cache, first + index);
    }
}

/* Share of the steps after those that used one of the step's records in which a record was used;
 * where few such steps were seen, closer to its share of all rows. */
static void rate_followers(struct weir_cache *cache, uint32_t layer)
{
    const uint32_t first = cache->first[layer];
    const uint32_t count = cache->layers[layer].record_count;
    const float rows = (float)layers_of(cache)[layer].rows;
    struct record_state *records = records_of(cache) + first;
    float seen = own_share_weight;
    for (uint32_t index = 0; index < count; index++)
        records[index].features[FOLLOWS] =
            own_share_weight * ((float)records[index].uses + 0.06f) / (rows + 1.0f);
    for (uint32_t now = 0; now < count; now++) {
        const uint16_t *followers = followers_of(cache, first + now);
        const float weight = (float)weir_cache_rows(cache, first + now);
        if (weight == 0.0f)
            continue;
        seen += weight * (float)records[now].seen;
        for (uint32_t index = 0; index < count; index++)
            records[index].features[FOLLOWS] += weight * (float)followers[index];
    }
    for (uint32_t index = 0; index < count; index++)
        records[index].features[FOLLOWS] = logf(records[index].features[FOLLOWS] / seen);
}

static void begin(struct weir_cache *cache)
{
    struct learned *model = model_of(cache);
    if (model->is_begun)
        return;
    for (int feature = 0; feature < FEATURES; feature++) {
        model->weights[feature] = start[feature];
        model->squares[feature] = first_square;
    }
    for (uint32_t wait = 0; wait < cache->layer_count; wait++)
        waits_of(cache)[wait] = wait_weight * logf(1.0f + (float)wait);
    model->is_begun = true;
}

static void score(struct weir_cache *cache, uint32_t layer)
{
    const struct learned *model = model_of(cache);
    const uint32_t first = cache->first[layer];
    for (uint32_t record = first; record < first + cache->layers[layer].record_count; record++) {
        const struct record_state *at = &records_of(cache)[record];
        double sum = 0.0;
        for (int feature = 0; feature < FEATURES; feature++)
            sum += model->weights[feature] * (double)at->features[feature];
        scores_of(cache)[record] = (float)sum;
    }
}

static void end(struct weir_cache *cache, uint32_t layer)
{
    begin(cache);
    if (layers_of(cache)[layer].totals[0] > 0.0f)
        learn(cache, layer);
    count_followers(cache, layer);
    count_uses(cache, layer);
    rate_followers(cache, layer);
    score(cache, layer);
}

static double share(const struct weir_cache *cache, uint32_t record)
{
    const uint32_t rows = layers_of(cache)[cache->layer_of[record]].rows;
    return rows == 0 ? 0.0 : (double)records_of(cache)[record].uses / rows;
}

/* A layer of which something is told: each record was used in its share of many steps, evenly. */
static void recall_layer(struct weir_cache *cache, uint32_t layer)
{
    struct layer_state *totals = &layers_of(cache)[layer];
    const uint32_t first = cache->first[layer];
    totals->rows = RECALLED_ROWS;
    for (int decay = 0; decay < DECAYS; decay++)
        totals->totals[decay] = 1.0f / (1.0f - decays[decay]);
    for (uint32_t record = first; record < first + cache->layers[layer].record_count; record++) {
        struct record_state *at = &records_of(cache)[record];
        for (int decay = 0; decay < DECAYS; decay++)
            at->counts[decay] = totals->totals[decay] * (float)at->uses / RECALLED_ROWS;
        at->age = (uint32_t)weir_min(RECALLED_ROWS / weir_max(at->uses, 1), AGE_MAX);
        set_features(totals, at, 0.0f);
    }
    rate_followers(cache, layer);
    score(cache, layer);
}

static void recall(struct weir_cache *cache, const struct weir_cache_share *shares, uint32_t count)
{
    begin(cache);
    for (uint32_t index = 0; index < count; index++)
        records_of(cache)[shares[index].record].uses =
            (uint32_t)(shares[index].share * RECALLED_ROWS + 0.5f);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t layer = cache->layer_of[shares[index].record];
        if (layers_of(cache)[layer].rows == 0)
            recall_layer(cache, layer);
    }
}

static double value(const struct weir_cache *cache, uint32_t record)
{
    const uint32_t wait = weir_cache_distance(cache, record) - 1;
    return (double)(scores_of(cache)[record] - waits_of(cache)[wait]);
}

const struct weir_policy weir_policy_learned = {
    .name = "learned",
    .about = "the least likely next goes, learned on line, over slots that all layers share",
    .is_pooled = true,
    .state_bytes = state_bytes,
    .end = end,
    .share = share,
    .recall = recall,
    .value = value,
};
