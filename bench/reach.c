/* reach.c - how near decode comes to the disk's speed when experts are streamed.
 *
 *   build/release/bench/reach MODEL.gguf CEILING_GIB [TOKENS [THREADS]]
 *   prints {"tokens":N,"tokens_per_s":R,"disk_bytes_per_s":D,"missed_bytes":M,"read_bytes":B,
 *           "over_missed":X,"over_read":Y}
 *
 * A token, then as many bytes of the model's own slices read as the token missed, with as much in
 * flight, then the next token: a virtual disk's speed changes by a third within seconds, and
 * neighbours have the same. over_missed is the median over tokens of a token's time over the time
 * to read what it missed; over_read counts what was read for a wrong guess, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/probe.h"

enum { TOKENS = 128, WARM_TOKENS = 64, SEED = 1, ONE_BURST_NS = 5000000 };
#define GIB 1073741824.0

struct token {
    double s;
    double disk_bytes_per_s; /* right after it */
    double read_bytes, missed_bytes;
};

struct reach {
    const char *path;
    uint64_t mem_bytes;
    uint32_t n_thread;
    uint32_t n_token;
    uint64_t in_flight_bytes;
    weir_engine *engine;
    weir_session *session;
    struct weir_disk_probe disk;
    struct token *tokens; /* [n_token] */
};

static enum weir_status open_all(struct reach *reach, struct weir_err *err)
{
    struct weir_calibration found;
    struct weir_probe_places places;
    const struct weir_calibrate_config calibrate = {
        .path = reach->path, .n_thread = reach->n_thread, .quick = true};
    struct weir_config config = {
        .model_path = reach->path, .mem_bytes = reach->mem_bytes, .n_thread = reach->n_thread};
    WEIR_TRY(weir_calibrate(&found, &calibrate, NULL, NULL, err));
    config.io_budget_bytes = reach->in_flight_bytes = found.io_budget_bytes;
    WEIR_TRY(weir_engine_open(&reach->engine, &config, err));
    const struct weir_plan *plan = weir_engine_plan(reach->engine);
    if (plan->n_slot_total >= plan->n_expert_total)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: all %u experts fit in memory: nothing is read",
                         reach->path, plan->n_expert_total);
    WEIR_TRY(weir_session_create(&reach->session, reach->engine, err));
    WEIR_TRY(weir_probe_places_slices(&places, reach->engine->blueprint.model, err));
    return weir_disk_probe_open(&reach->disk, reach->path, WEIR_IO_AUTO, &places,
                                reach->in_flight_bytes, err);
}

static void close_all(struct reach *reach)
{
    weir_disk_probe_close(&reach->disk);
    weir_session_destroy(&reach->session);
    weir_engine_close(&reach->engine);
}

static enum weir_status measure_token(struct reach *reach, uint32_t id, struct token *token,
                                      struct weir_err *err)
{
    const uint64_t place_bytes = reach->disk.places.total_bytes / reach->disk.places.count;
    struct weir_store_stats before, after;
    weir_store_stats_get(reach->engine->store, &before);
    const uint64_t begin_ns = weir_now_ns();
    WEIR_TRY(weir_session_eval(reach->session, &id, 1, NULL, NULL, err));
    token->s = (double)(weir_now_ns() - begin_ns) * 1e-9;
    weir_store_stats_get(reach->engine->store, &after);
    token->read_bytes = (double)(after.read_bytes - before.read_bytes);
    /* Wasted becomes less when a guess that was given up is used after all. */
    token->missed_bytes =
        token->read_bytes + (double)before.ahead_wasted_bytes - (double)after.ahead_wasted_bytes;
    const double read_count = weir_max(1.0, token->missed_bytes / (double)place_bytes);
    return weir_disk_probe_burst(&reach->disk, reach->in_flight_bytes, (uint32_t)read_count,
                                 ONE_BURST_NS, &token->disk_bytes_per_s, err);
}

static enum weir_status measure(struct reach *reach, struct weir_err *err)
{
    uint64_t random_state = SEED;
    struct token warm;
    for (uint32_t token = 0; token < WARM_TOKENS + reach->n_token; token++) {
        const uint32_t id =
            (uint32_t)(weir_random_next(&random_state) % weir_engine_model(reach->engine)->n_vocab);
        WEIR_TRY(measure_token(
            reach, id, token < WARM_TOKENS ? &warm : &reach->tokens[token - WARM_TOKENS], err));
    }
    return WEIR_OK;
}

static double pick_s(const struct token *token)
{
    return token->s;
}

static double pick_disk(const struct token *token)
{
    return token->disk_bytes_per_s;
}

static double pick_read(const struct token *token)
{
    return token->read_bytes;
}

static double pick_missed(const struct token *token)
{
    return token->missed_bytes;
}

static double pick_over_missed(const struct token *token)
{
    return token->s * token->disk_bytes_per_s / weir_max(pick_missed(token), 1.0);
}

static double pick_over_read(const struct token *token)
{
    return token->s * token->disk_bytes_per_s / weir_max(pick_read(token), 1.0);
}

static double median(const struct reach *reach, double *values,
                     double (*pick)(const struct token *))
{
    for (uint32_t token = 0; token < reach->n_token; token++)
        values[token] = pick(&reach->tokens[token]);
    weir_sort_reals(values, reach->n_token);
    return values[reach->n_token / 2];
}

static enum weir_status run(struct reach *reach, struct weir_err *err)
{
    double *values = weir_heap_array(reach->n_token, sizeof(*values));
    reach->tokens = weir_heap_array(reach->n_token, sizeof(*reach->tokens));
    enum weir_status status = WEIR_OK;
    if (values == NULL || reach->tokens == NULL)
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u tokens", reach->n_token);
    if (status == WEIR_OK)
        status = open_all(reach, err);
    if (status == WEIR_OK)
        status = measure(reach, err);
    if (status == WEIR_OK)
        printf("{\"tokens\": %u, \"tokens_per_s\": %.2f, \"disk_bytes_per_s\": %.0f, "
               "\"missed_bytes\": %.0f, \"read_bytes\": %.0f, \"over_missed\": %.3f, "
               "\"over_read\": %.3f}\n",
               reach->n_token, 1.0 / median(reach, values, pick_s),
               median(reach, values, pick_disk), median(reach, values, pick_missed),
               median(reach, values, pick_read), median(reach, values, pick_over_missed),
               median(reach, values, pick_over_read));
    weir_heap_free(values);
    weir_heap_free(reach->tokens);
    close_all(reach);
    return status;
}

int main(int argc, char **argv)
{
    struct reach reach = {
        .path = argc > 1 ? argv[1] : NULL,
        .mem_bytes = argc > 2 ? (uint64_t)(strtod(argv[2], NULL) * GIB) : 0,
        .n_token = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : TOKENS,
        .n_thread = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0,
    };
    struct weir_err err = {0};
    if (argc < 3 || argc > 5 || reach.mem_bytes == 0 || reach.n_token < 1) {
        fprintf(stderr, "usage: reach MODEL.gguf CEILING_GIB [TOKENS [THREADS]]\n");
        return 2;
    }
    if (run(&reach, &err) == WEIR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "reach: %s\n", err.text);
    return EXIT_FAILURE;
}
