/* served.c - the model that is served: how far its load is, and what there is once it is here.
 *
 * The server listens before it has a model. Until then nothing is made of requests but the answer
 * that says so: the desk, the scheduler and all that needs an engine come with it. */
#include <stdio.h>

#include "serve/server.h"
#include "serve/tools.h"

enum { RETRY_S_MAX = 60 };

/* Acquire: with release in weir_serve_begin(), whoever sees it sees all that came before. */
bool weir_serve_is_served(const struct weir_serve *serve)
{
    return atomic_load_explicit(&serve->is_served, memory_order_acquire);
}

void weir_serve_progress(weir_serve *serve, double share)
{
    const double most = share > 1.0 ? 1.0 : share < 0.0 ? 0.0 : share;
    atomic_store_explicit(&serve->loaded_permille, (unsigned)(most * 1000.0), memory_order_relaxed);
    weir_serve_tick(serve);
}

static unsigned read_permille(const struct weir_serve *serve)
{
    return atomic_load_explicit(&serve->loaded_permille, memory_order_relaxed);
}

/* The rest takes as long as its part of what has been loaded took. */
static uint32_t guess_rest_s(const struct weir_serve *serve)
{
    const uint64_t begin_ns = atomic_load_explicit(&serve->load_begin_ns, memory_order_relaxed);
    const double passed_s = (double)(weir_now_ns() - begin_ns) * 1e-9;
    const unsigned permille = read_permille(serve);
    const double rest_s = permille == 0 ? 1.0 : passed_s * (1000 - permille) / permille + 1.0;
    return rest_s < RETRY_S_MAX ? (uint32_t)rest_s : RETRY_S_MAX;
}

void weir_serve_problem_loading(struct weir_serve *serve, struct weir_exchange *exchange)
{
    exchange->retry_s = guess_rest_s(serve);
    weir_problem_set(&exchange->problem, 503, "server_error", "loading", NULL,
                     "the model is being loaded, %.1f %% are there: try again in %u s",
                     read_permille(serve) / 10.0, exchange->retry_s);
}

bool weir_serve_write_health(struct weir_serve *serve, struct weir_writer *writer)
{
    const bool is_draining = atomic_load(&serve->is_draining);
    const bool is_served = weir_serve_is_served(serve);
    if (is_draining)
        weir_writer_text(writer, "{\"status\":\"draining\"}");
    else if (is_served)
        weir_writer_text(writer, "{\"status\":\"ok\"}");
    else
        weir_writer_format(writer, "{\"status\":\"loading\",\"progress\":%.3f}",
                           read_permille(serve) / 1000.0);
    return is_served && !is_draining;
}

enum weir_status weir_serve_begin(weir_serve *serve, weir_engine *engine, const weir_chat *chat,
                                  struct weir_err *err)
{
    const struct weir_scheduler_config scheduler = {
        .engine = engine, .parallel = serve->limits.parallel, .gap_ms = serve->limits.gap_ms};
    WEIR_ASSERT(!weir_serve_is_served(serve));
    serve->config.engine = engine;
    serve->config.chat = chat;
    serve->tokenizer = weir_engine_tokenizer(engine);
    serve->takes_text = weir_tools_take_text(chat);
    WEIR_TRY(weir_scheduler_create(&serve->scheduler, &scheduler, err));
    serve->limits.parallel = weir_scheduler_parallel(serve->scheduler);
    serve->grammars = weir_grammars_create(serve->tokenizer, serve->limits.grammar_max);
    if (serve->grammars == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
    WEIR_TRY(weir_desk_create(&serve->desk, serve, err));
    weir_pace_tick(serve); /* what comes from now on has something to be compared with */
    atomic_store_explicit(&serve->is_served, true, memory_order_release);
    return WEIR_OK;
}

bool weir_serve_is_alive(weir_serve *serve)
{
    bool is_idle = false;
    if (!weir_serve_is_served(serve))
        return true;
    const uint64_t beats = weir_scheduler_beats(serve->scheduler, &is_idle);
    const bool has_come_round = beats != serve->beats_seen;
    serve->beats_seen = beats;
    return is_idle || has_come_round;
}

void weir_serve_status(weir_serve *serve, char *out, size_t capacity)
{
    struct weir_scheduler_stats stats;
    if (!weir_serve_is_served(serve)) {
        snprintf(out, capacity, "loading, %u %%", read_permille(serve) / 10);
        return;
    }
    weir_scheduler_stats_get(serve->scheduler, &stats);
    snprintf(
        out, capacity, "%u texts are written, %u wait; %llu requests so far", stats.running,
        stats.waiting,
        (unsigned long long)atomic_load_explicit(&serve->counts.requests, memory_order_relaxed));
}
