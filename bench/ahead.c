/* ahead.c - what look-ahead brings to decode: tokens with it and without it, in turns.
 *
 *   build/release/bench/ahead MODEL.gguf CEILING_GIB [PAIRS [THREADS]]
 *   prints {"pairs":N,"on_tokens_per_s":A,"off_tokens_per_s":B,"ratio":R,"error":E,
 *           "on_bytes":X,"off_bytes":Y}
 *
 * A pair is GROUP tokens with look-ahead and GROUP without, the first of which is not counted: it
 * finds what the other side has read. Which side comes first changes from pair to pair. ratio is
 * the median over pairs of the speed with over the speed without, error the standard error of the
 * pairs' mean; bytes are read for a token.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/heap.h"
#include "engine/engine_internal.h"

enum { PAIRS = 16, GROUP = 8, WARM_TOKENS = 48, SEED = 1 };
#define GIB 1073741824.0

struct side {
    double s;
    uint64_t bytes;
    uint32_t count;
};

struct ahead {
    weir_engine *engine;
    weir_session *session;
    uint64_t random_state;
    struct side sides[2]; /* without, with */
};

static enum weir_status run_token(struct ahead *ahead, double *s, uint64_t *bytes,
                                  struct weir_err *err)
{
    const uint32_t n_vocab = weir_engine_model(ahead->engine)->n_vocab;
    const uint32_t id = (uint32_t)(weir_random_next(&ahead->random_state) % n_vocab);
    struct weir_store_stats before, after;
    weir_store_stats_get(ahead->engine->store, &before);
    const uint64_t begin_ns = weir_now_ns();
    WEIR_TRY(weir_session_eval(ahead->session, &id, 1, NULL, NULL, err));
    *s = (double)(weir_now_ns() - begin_ns) * 1e-9;
    weir_store_stats_get(ahead->engine->store, &after);
    *bytes = after.read_bytes - before.read_bytes;
    return WEIR_OK;
}

/* GROUP tokens of one side; *s: of those that count. */
static enum weir_status run_group(struct ahead *ahead, bool is_on, double *s, struct weir_err *err)
{
    struct side *side = &ahead->sides[is_on];
    ahead->engine->lookahead = is_on ? WEIR_LOOKAHEAD_ON : WEIR_LOOKAHEAD_OFF;
    *s = 0.0;
    for (uint32_t token = 0; token < GROUP; token++) {
        double token_s;
        uint64_t bytes;
        WEIR_TRY(run_token(ahead, &token_s, &bytes, err));
        if (token == 0)
            continue;
        *s += token_s;
        side->s += token_s;
        side->bytes += bytes;
        side->count++;
    }
    return WEIR_OK;
}

static enum weir_status run_pairs(struct ahead *ahead, double *ratios, uint32_t n_pair,
                                  struct weir_err *err)
{
    for (uint32_t token = 0; token < WARM_TOKENS; token++) {
        double s;
        uint64_t bytes;
        WEIR_TRY(run_token(ahead, &s, &bytes, err));
    }
    for (uint32_t pair = 0; pair < n_pair; pair++) {
        double s[2];
        const bool first = pair % 2 == 1;
        WEIR_TRY(run_group(ahead, first, &s[first], err));
        WEIR_TRY(run_group(ahead, !first, &s[!first], err));
        ratios[pair] = s[false] / s[true];
    }
    return WEIR_OK;
}

static void print(const struct ahead *ahead, double *ratios, uint32_t n_pair)
{
    const struct side *off = &ahead->sides[false];
    const struct side *on = &ahead->sides[true];
    double mean = 0.0;
    double squares = 0.0;
    for (uint32_t pair = 0; pair < n_pair; pair++)
        mean += ratios[pair] / n_pair;
    for (uint32_t pair = 0; pair < n_pair; pair++)
        squares += (ratios[pair] - mean) * (ratios[pair] - mean);
    weir_sort_reals(ratios, n_pair);
    printf("{\"pairs\": %u, \"on_tokens_per_s\": %.2f, \"off_tokens_per_s\": %.2f, "
           "\"ratio\": %.3f, \"error\": %.3f, \"on_bytes\": %.0f, \"off_bytes\": %.0f}\n",
           n_pair, on->count / on->s, off->count / off->s, ratios[n_pair / 2],
           sqrt(squares / (n_pair - 1.0) / n_pair), (double)on->bytes / on->count,
           (double)off->bytes / off->count);
}

static enum weir_status run(struct ahead *ahead, const struct weir_config *config, uint32_t n_pair,
                            struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    double *ratios = weir_heap_array(n_pair, sizeof(*ratios));
    if (ratios == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u pairs", n_pair);
    WEIR_TRY_GOTO(weir_engine_open(&ahead->engine, config, err));
    const struct weir_plan *plan = weir_engine_plan(ahead->engine);
    if (plan->n_slot_total >= plan->n_expert_total) {
        status = WEIR_FAIL(err, WEIR_ERR_ARG, "%s: all %u experts fit in memory: nothing is read",
                           config->model_path, plan->n_expert_total);
        goto fail;
    }
    WEIR_TRY_GOTO(weir_session_create(&ahead->session, ahead->engine, err));
    WEIR_TRY_GOTO(run_pairs(ahead, ratios, n_pair, err));
    print(ahead, ratios, n_pair);
fail:
    weir_session_destroy(&ahead->session);
    weir_engine_close(&ahead->engine);
    weir_heap_free(ratios);
    return status;
}

int main(int argc, char **argv)
{
    struct ahead ahead = {.random_state = SEED};
    const uint32_t n_pair = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : PAIRS;
    const struct weir_config config = {
        .model_path = argc > 1 ? argv[1] : NULL,
        .mem_bytes = argc > 2 ? (uint64_t)(strtod(argv[2], NULL) * GIB) : 0,
        .n_thread = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0,
        .n_ctx = WARM_TOKENS + 2 * GROUP * n_pair,
    };
    struct weir_err err = {0};
    if (argc < 3 || argc > 5 || config.mem_bytes == 0 || n_pair < 2) {
        fprintf(stderr, "usage: ahead MODEL.gguf CEILING_GIB [PAIRS [THREADS]]\n");
        return 2;
    }
    if (run(&ahead, &config, n_pair, &err) == WEIR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "ahead: %s\n", err.text);
    return EXIT_FAILURE;
}
