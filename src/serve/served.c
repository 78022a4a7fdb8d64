/* served.c - the model that is here: how far its load is, how it comes and goes, and who asks for
 * another one.
 *
 * The thread that opened the server brings models and takes them away. The desk's thread uses the
 * model while it reads, so it is paused meanwhile; the HTTP thread looks at it between hold and let
 * go; the scheduler's thread is there only with a model.
 *
 *     field of struct weir_serve   says                                    written by
 *     is_open                      requests are heard, from then on        the opener
 *     is_served                    a model is here                         the opener
 *     served, model_id             which one that is, or was               the opener
 *     generation                   how many have come                      the opener
 *     absent_until_ns              of each: until then it cannot be had    the opener
 *     wanted                       which one has to come                   the desk
 *     begun                        whose weights are here besides          the opener
 *
 * The opener is the thread that opened the server. All are atomic but model_id, which others read
 * only while they hold the model.
 *
 * I1  Whatever of a model somebody has is counted: in readers, in request_count, or by the
 *     scheduler as a job. It goes when all three are zero. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "serve/reasoning.h"
#include "serve/server.h"
#include "serve/tools.h"

enum {
    RETRY_S_MAX = 60,
    ABSENT_S = 10, /* for which a model that could not be loaded is not tried again */
};

/* Whoever sees it sees all that weir_serve_begin() did before; and see weir_serve_hold_model(). */
bool weir_serve_is_served(const struct weir_serve *serve)
{
    return atomic_load(&serve->is_served);
}

bool weir_serve_is_open(const struct weir_serve *serve)
{
    return atomic_load_explicit(&serve->is_open, memory_order_acquire);
}

/* ---- its load ------------------------------------------------------------------------------ */

void weir_serve_load(weir_serve *serve)
{
    atomic_store_explicit(&serve->load_begin_ns, weir_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&serve->loaded_permille, 0, memory_order_relaxed);
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
    const bool is_open = weir_serve_is_open(serve);
    if (is_draining)
        weir_writer_text(writer, "{\"status\":\"draining\"}");
    else if (is_open)
        weir_writer_text(writer, "{\"status\":\"ok\"}");
    else
        weir_writer_format(writer, "{\"status\":\"loading\",\"progress\":%.3f}",
                           read_permille(serve) / 1000.0);
    return is_open && !is_draining;
}

/* ---- it comes and goes --------------------------------------------------------------------- */

/* What is advised, but for what the server's own options say. */
static struct weir_advice_values choose_advice(const weir_serve *serve, weir_engine *engine)
{
    const struct weir_advice_values *ours = &serve->config.usual.sampling;
    struct weir_advice_values advice = {0};
    if (!serve->config.plain_sampling)
        advice = weir_engine_model(engine)->advice;
    for (uint32_t row = 0; row < WEIR_ADVICE_COUNT; row++)
        if ((ours->said >> row & 1) != 0)
            advice.values[row] = ours->values[row];
    advice.said |= ours->said;
    return advice;
}

/* What is said of the model's sizes is this one's from now on. */
static void set_model(weir_serve *serve, size_t model, weir_engine *engine, const weir_chat *chat)
{
    const struct weir_serve_model *row = &serve->models[model];
    serve->model_id = row->id;
    serve->config.engine = engine;
    serve->config.chat = chat;
    serve->tokenizer = weir_engine_tokenizer(engine);
    serve->takes_text = weir_tools_take_text(chat);
    serve->advice = choose_advice(serve, engine);
    serve->limits.n_ctx = row->n_ctx;
    serve->limits.n_vocab = row->n_vocab;
    serve->limits.d_model = row->d_model;
    serve->limits.n_layer = row->n_layer;
    serve->limits.n_expert = row->n_expert;
    atomic_store(&serve->served, model);
}

static enum weir_status make_parts(weir_serve *serve, struct weir_err *err)
{
    const struct weir_scheduler_config scheduler = {.engine = serve->config.engine,
                                                    .parallel = serve->config.limits.parallel,
                                                    .gap_ms = serve->limits.gap_ms};
    WEIR_TRY(weir_closings_create(&serve->closings, serve->tokenizer, err));
    WEIR_TRY(weir_scheduler_create(&serve->scheduler, &scheduler, err));
    atomic_store_explicit(&serve->parallel, weir_scheduler_parallel(serve->scheduler),
                          memory_order_relaxed);
    serve->grammars = weir_grammars_create(serve->tokenizer, serve->limits.grammar_max);
    if (serve->grammars == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
    return WEIR_OK;
}

static void destroy_parts(weir_serve *serve)
{
    weir_scheduler_destroy(&serve->scheduler);
    weir_grammars_destroy(&serve->grammars);
    weir_closings_destroy(&serve->closings);
}

enum weir_status weir_serve_begin(weir_serve *serve, size_t model, weir_engine *engine,
                                  const weir_chat *chat, struct weir_err *err)
{
    WEIR_ASSERT(!weir_serve_is_served(serve) && model < serve->model_count);
    weir_desk_pause(serve->desk);
    set_model(serve, model, engine, chat);
    const enum weir_status status = make_parts(serve, err);
    if (status == WEIR_OK) {
        weir_pace_begin(serve);
        serve->beats_seen = 0; /* another scheduler's */
        atomic_store_explicit(&serve->absent_until_ns[model], 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&serve->generation, 1, memory_order_release);
        atomic_store(&serve->is_served, true);
        atomic_store_explicit(&serve->is_open, true, memory_order_release);
    } else {
        destroy_parts(serve);
    }
    weir_desk_resume(serve->desk);
    return status;
}

bool weir_serve_is_idle(weir_serve *serve)
{
    return weir_serve_is_served(serve) && weir_scheduler_is_idle(serve->scheduler) &&
           atomic_load(&serve->request_count) == 0;
}

void weir_serve_hide_model(struct weir_serve *serve)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    atomic_store(&serve->is_served, false);
    while (atomic_load(&serve->readers) > 0) /* keeps I1; nobody looks for long */
        nanosleep(&moment, NULL);
}

uint64_t weir_serve_use_count(weir_serve *serve)
{
    return atomic_load_explicit(&serve->use_count, memory_order_relaxed);
}

uint32_t weir_serve_kept_experts(weir_serve *serve, const struct weir_expert **experts)
{
    return weir_serve_is_served(serve) ? weir_scheduler_kept_get(serve->scheduler, experts) : 0;
}

bool weir_serve_end(weir_serve *serve)
{
    weir_desk_pause(serve->desk); /* so that nothing comes between looking and taking it away */
    const bool goes = weir_serve_is_idle(serve);
    if (goes) {
        weir_serve_hide_model(serve);
        destroy_parts(serve);
        serve->tokenizer = NULL;
        serve->config.engine = NULL;
        serve->config.chat = NULL;
        weir_serve_load(serve); /* the next one's is nowhere yet */
    }
    weir_desk_resume(serve->desk);
    return goes;
}

void weir_serve_wait_for_requests(weir_serve *serve)
{
    atomic_store_explicit(&serve->is_open, true, memory_order_release);
}

/* What the desk saw is perhaps a while ago. */
size_t weir_serve_next(weir_serve *serve)
{
    const size_t wanted = atomic_load(&serve->wanted);
    const bool is_vain = atomic_load(&serve->is_draining) ||
                         (wanted != SIZE_MAX && weir_serve_is_absent(serve, wanted));
    const bool is_here = weir_serve_is_served(serve) && atomic_load(&serve->served) == wanted;
    return is_vain || is_here ? SIZE_MAX : wanted;
}

size_t weir_serve_wanted(weir_serve *serve)
{
    const bool is_busy = weir_serve_is_served(serve) && !weir_serve_is_idle(serve);
    return is_busy ? SIZE_MAX : weir_serve_next(serve);
}

bool weir_serve_lend(weir_serve *serve, uint64_t bytes)
{
    bool is_missed = false;
    if (!weir_serve_is_served(serve))
        return false;
    weir_scheduler_lend(serve->scheduler, bytes);
    return weir_scheduler_lent(serve->scheduler, &is_missed) == bytes && !is_missed;
}

void weir_serve_tell_begun(weir_serve *serve, size_t model)
{
    atomic_store_explicit(&serve->begun, model, memory_order_relaxed);
}

void weir_serve_give_up(weir_serve *serve, size_t model)
{
    weir_serve_load(serve); /* what was loaded is gone */
    atomic_store_explicit(&serve->absent_until_ns[model], weir_now_ns() + ABSENT_S * 1000000000ull,
                          memory_order_relaxed);
}

bool weir_serve_is_absent(const struct weir_serve *serve, size_t model)
{
    return weir_now_ns() <
           atomic_load_explicit(&serve->absent_until_ns[model], memory_order_relaxed);
}

void weir_serve_problem_absent(const struct weir_serve *serve, struct weir_exchange *exchange,
                               size_t model)
{
    exchange->retry_s = ABSENT_S;
    weir_problem_set(&exchange->problem, 503, "server_error", "model_not_loaded", NULL,
                     "%.200s cannot be loaded: the server's log says why", serve->models[model].id);
}

void weir_serve_problem_unknown(const struct weir_serve *serve, struct weir_problem *problem)
{
    char names[256];
    weir_serve_write_names(serve, names, sizeof(names));
    weir_problem_set(problem, 404, "invalid_request_error", "model_not_found", "model",
                     "\"model\": this server has %s and no other; --any-model lets any name mean "
                     "the one that is here",
                     names);
}

/* ---- who looks at it ----------------------------------------------------------------------- */

/* In one order with weir_serve_end(): it sees the reader, or the reader sees that it is gone. */
bool weir_serve_hold_model(struct weir_serve *serve)
{
    atomic_fetch_add(&serve->readers, 1);
    return atomic_load(&serve->is_served);
}

void weir_serve_let_go(struct weir_serve *serve)
{
    atomic_fetch_sub(&serve->readers, 1);
}

bool weir_serve_refuse_absent(struct weir_exchange *exchange)
{
    if (weir_serve_is_served(exchange->serve))
        return false;
    exchange->retry_s = guess_rest_s(exchange->serve);
    weir_problem_set(&exchange->problem, 503, "server_error", "model_not_loaded", NULL,
                     "no model is loaded now: the next request for a text brings one");
    weir_exchange_refuse(exchange);
    return true;
}

void weir_serve_wake(struct weir_serve *serve)
{
    if (weir_serve_hold_model(serve))
        weir_scheduler_wake(serve->scheduler);
    weir_serve_let_go(serve);
}

void weir_serve_write_names(const struct weir_serve *serve, char *out, size_t capacity)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t index = 0; index < serve->model_count && length < capacity; index++)
        length += (size_t)snprintf(out + length, capacity - length, "%s\"%s\"",
                                   index > 0 ? ", " : "", serve->models[index].id);
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
        const unsigned permille = read_permille(serve);
        if (weir_serve_is_open(serve) && permille == 0)
            snprintf(out, capacity, "no model is loaded until one is asked for");
        else
            snprintf(out, capacity, "loading, %u %%", permille / 10);
        return;
    }
    weir_scheduler_stats_get(serve->scheduler, &stats);
    snprintf(
        out, capacity, "%s: %u texts are written, %u wait; %llu requests so far", serve->model_id,
        stats.running, stats.waiting,
        (unsigned long long)atomic_load_explicit(&serve->counts.requests, memory_order_relaxed));
}
