/* sampler.c - choose the next token. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/heap.h"
#include "engine/constraint.h"
#include "engine/engine_internal.h"
#include "engine/ranking.h"
#include "engine/repeats.h"

struct weir_sampler {
    struct weir_sampler_config config; /* its arrays are not kept here */
    uint32_t n_vocab;
    uint64_t random_state;
    struct weir_candidate *candidates; /* [n_vocab] */
    struct weir_logit_bias *biases;    /* [config.bias_count] */
    struct weir_repeats repeats;
    struct weir_constraint constraint;
};

static const float xtc_threshold_default = 0.1f;

struct range {
    const char *what;
    size_t offset;
    float low, high;
};

#define RANGE(what, field, low, high)                                                              \
    {                                                                                              \
        what, offsetof(struct weir_sampler_config, field), low, high                               \
    }
static const struct range ranges[] = {
    RANGE("temperature", temperature, 0, WEIR_TEMPERATURE_MAX),
    RANGE("top-p", top_p, 0, 1),
    RANGE("min-p", min_p, 0, 1),
    RANGE("typical share", typical_p, 0, 1),
    RANGE("XTC probability", xtc_probability, 0, 1),
    RANGE("XTC threshold", xtc_threshold, 0, 0.5f),
    RANGE("repetition penalty", repeat_penalty, 0, WEIR_REPEAT_PENALTY_MAX),
    RANGE("frequency penalty", frequency_penalty, -WEIR_PENALTY_MAX, WEIR_PENALTY_MAX),
    RANGE("presence penalty", presence_penalty, -WEIR_PENALTY_MAX, WEIR_PENALTY_MAX),
    RANGE("DRY multiplier", dry_multiplier, 0, WEIR_PENALTY_MAX),
};
#undef RANGE

static enum weir_status check_ranges(const struct weir_sampler_config *config, struct weir_err *err)
{
    for (size_t row = 0; row < WEIR_COUNT(ranges); row++) {
        const struct range *range = &ranges[row];
        float found = 0.0f;
        memcpy(&found, (const char *)config + range->offset, sizeof(found));
        if (!(found >= range->low && found <= range->high))
            return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted %g to %g, found %g", range->what,
                             (double)range->low, (double)range->high, (double)found);
    }
    if (config->dry_base != 0.0f &&
        !(config->dry_base >= 1.0f && config->dry_base <= WEIR_PENALTY_MAX))
        return WEIR_FAIL(err, WEIR_ERR_ARG, "DRY base: wanted 1 to %d, found %g", WEIR_PENALTY_MAX,
                         (double)config->dry_base);
    return WEIR_OK;
}

static enum weir_status check_count(const char *what, uint32_t found, struct weir_err *err)
{
    if (found <= WEIR_REPEAT_LAST_MAX)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted at most %d ids, found %u", what,
                     WEIR_REPEAT_LAST_MAX, found);
}

static enum weir_status check_arrays(const struct weir_sampler_config *config, uint32_t n_vocab,
                                     struct weir_err *err)
{
    if (config->bias_count > 0)
        WEIR_NEED(config->biases, err);
    if (config->dry_breaker_count > 0)
        WEIR_NEED(config->dry_breakers, err);
    for (size_t index = 0; index < config->bias_count; index++) {
        const struct weir_logit_bias *bias = &config->biases[index];
        if (bias->id >= n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "logit bias %zu: wanted an id below %u, found %u",
                             index + 1, n_vocab, bias->id);
        if (!isfinite(bias->bias) && bias->bias != -INFINITY)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "logit bias %zu: wanted a finite number or -inf, found %g", index + 1,
                             (double)bias->bias);
    }
    for (size_t index = 0; index < config->dry_breaker_count; index++)
        if (config->dry_breakers[index] >= n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "DRY breaker %zu: wanted an id below %u, found %u",
                             index + 1, n_vocab, config->dry_breakers[index]);
    return WEIR_OK;
}

static enum weir_status check_config(const struct weir_sampler_config *config, uint32_t n_vocab,
                                     struct weir_err *err)
{
    WEIR_TRY(check_ranges(config, err));
    WEIR_TRY(check_count("repetition window", config->repeat_last, err));
    WEIR_TRY(check_count("DRY window", config->dry_last, err));
    WEIR_TRY(check_count("DRY allowed length", config->dry_allowed, err));
    if (n_vocab == 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "vocabulary: wanted at least 1 id to choose, found 0");
    return check_arrays(config, n_vocab, err);
}

enum weir_status weir_sampler_create(weir_sampler **out, const struct weir_sampler_config *config,
                                     uint32_t n_vocab, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(out, err);
    WEIR_NEED(config, err);
    WEIR_TRY(check_config(config, n_vocab, err));
    weir_sampler *sampler = weir_heap_alloc(sizeof(*sampler));
    if (sampler == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a sampler");
    sampler->config = *config;
    if (sampler->config.xtc_threshold == 0.0f)
        sampler->config.xtc_threshold = xtc_threshold_default;
    sampler->n_vocab = n_vocab;
    sampler->random_state = config->seed;
    sampler->candidates = weir_heap_array(n_vocab, sizeof(*sampler->candidates));
    sampler->biases = weir_heap_array(config->bias_count, sizeof(*sampler->biases));
    if (sampler->candidates == NULL || sampler->biases == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u candidates", n_vocab);
        goto fail;
    }
    if (config->bias_count > 0)
        memcpy(sampler->biases, config->biases, config->bias_count * sizeof(*sampler->biases));
    sampler->config.biases = NULL;
    sampler->config.dry_breakers = NULL;
    WEIR_TRY_GOTO(weir_repeats_init(&sampler->repeats, config, n_vocab, err));
    WEIR_TRY_GOTO(
        weir_constraint_init(&sampler->constraint, config->grammar, config->whole_within, err));
    *out = sampler;
    return WEIR_OK;

fail:
    weir_sampler_destroy(&sampler);
    return status;
}

void weir_sampler_destroy(weir_sampler **sampler)
{
    if (sampler == NULL || *sampler == NULL)
        return;
    weir_constraint_deinit(&(*sampler)->constraint);
    weir_repeats_deinit(&(*sampler)->repeats);
    weir_heap_free((*sampler)->biases);
    weir_heap_free((*sampler)->candidates);
    weir_heap_free(*sampler);
    *sampler = NULL;
}

void weir_sampler_accept(weir_sampler *sampler, uint32_t id)
{
    if (sampler != NULL)
        weir_repeats_accept(&sampler->repeats, id);
}

/* Steps 1 to 3 of weir.h: the logits as they are ranked. */
static void weigh(weir_sampler *sampler, const float *logits)
{
    struct weir_candidate *candidates = sampler->candidates;
    for (uint32_t id = 0; id < sampler->n_vocab; id++)
        candidates[id] = (struct weir_candidate){.logit = logits[id], .id = id};
    for (size_t index = 0; index < sampler->config.bias_count; index++)
        candidates[sampler->biases[index].id].logit += sampler->biases[index].bias;
    weir_repeats_apply(&sampler->repeats, candidates);
}

/* Steps 4 to 8. The random numbers of XTC are drawn also where it then does nothing. */
static void narrow(weir_sampler *sampler, struct weir_ranking *ranking)
{
    const struct weir_sampler_config *config = &sampler->config;
    weir_ranking_init(ranking, sampler->candidates, sampler->n_vocab);
    weir_ranking_top_k(ranking, config->top_k);
    weir_ranking_typical(ranking, (double)config->typical_p);
    weir_ranking_top_p(ranking, (double)config->top_p);
    weir_ranking_min_p(ranking, (double)config->min_p);
    if (config->xtc_probability > 0.0f &&
        weir_random_unit(&sampler->random_state) < (double)config->xtc_probability)
        weir_ranking_xtc(ranking, (double)config->xtc_threshold);
}

/* Whether logits are ranked as they come. */
static bool leaves_logits(const weir_sampler *sampler)
{
    return sampler->config.bias_count == 0 && sampler->constraint.grammar == NULL &&
           weir_repeats_is_idle(&sampler->repeats);
}

/* Only typical and XTC ever drop the best. */
static bool takes_best(const struct weir_sampler_config *config)
{
    const bool has_typical = config->typical_p > 0.0f && config->typical_p < 1.0f;
    return config->temperature == 0.0f && !has_typical && config->xtc_probability == 0.0f;
}

/* As weir_candidate_before() has it. */
static uint32_t find_best_logit(const float *logits, uint32_t n_vocab)
{
    float best = -INFINITY;
    uint32_t best_id = 0;
    for (uint32_t id = 0; id < n_vocab; id++)
        if (logits[id] > best) {
            best = logits[id];
            best_id = id;
        }
    return best_id;
}

static uint32_t find_best(const weir_sampler *sampler)
{
    struct weir_candidate best = sampler->candidates[0];
    for (uint32_t id = 1; id < sampler->n_vocab; id++)
        if (weir_candidate_before(sampler->candidates[id], best))
            best = sampler->candidates[id];
    return best.id;
}

uint32_t weir_sampler_pick(weir_sampler *sampler, const float *logits)
{
    if (sampler == NULL || logits == NULL)
        return WEIR_ID_NONE;
    const struct weir_sampler_config *config = &sampler->config;
    uint32_t id = 0;
    if (takes_best(config) && leaves_logits(sampler)) {
        id = find_best_logit(logits, sampler->n_vocab);
        weir_sampler_accept(sampler, id);
        return id;
    }
    weigh(sampler, logits);
    if (!weir_constraint_apply(&sampler->constraint, sampler->candidates, sampler->n_vocab))
        return WEIR_ID_NONE;
    if (takes_best(config)) {
        id = find_best(sampler);
    } else {
        const bool is_greedy = config->temperature == 0.0f;
        struct weir_ranking ranking;
        narrow(sampler, &ranking);
        id = weir_ranking_draw(&ranking, (double)config->temperature,
                               is_greedy ? 0.0 : weir_random_unit(&sampler->random_state));
    }
    if (!weir_constraint_accept(&sampler->constraint, id))
        return WEIR_ID_NONE;
    weir_sampler_accept(sampler, id);
    return id;
}

bool weir_sampler_force(weir_sampler *sampler, uint32_t id)
{
    if (sampler == NULL || id >= sampler->n_vocab ||
        !weir_constraint_take(&sampler->constraint, id))
        return false;
    weir_sampler_accept(sampler, id);
    return true;
}

uint32_t weir_sampler_bytes_left(const weir_sampler *sampler)
{
    return sampler == NULL ? 0 : weir_constraint_bytes_left(&sampler->constraint);
}

const char *weir_sampler_why(const weir_sampler *sampler)
{
    if (sampler == NULL || sampler->constraint.why.status == WEIR_OK)
        return NULL;
    return sampler->constraint.why.text;
}
