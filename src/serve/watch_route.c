/* watch_route.c - /v1/watch: what the machine does now, for a page that shows it.
 *
 * Speeds are those of the last seconds: counters are looked at once a second, and the oldest look
 * that is kept is what the newest is compared with. */
#include <string.h>

#include "serve/server.h"

enum { SAMPLE_NS = 1000000000 };

static struct weir_pace_sample look(struct weir_serve *serve, struct weir_scheduler_stats *stats)
{
    weir_scheduler_stats_get(serve->scheduler, stats);
    return (struct weir_pace_sample){
        .at_ns = weir_now_ns(),
        .written_tokens = stats->written_tokens,
        .prompt_tokens = stats->prompt_tokens - stats->cached_tokens,
        .expert_uses = stats->engine.expert_uses,
        .expert_hits = stats->engine.expert_hits,
        .read_bytes = stats->engine.read_bytes,
    };
}

void weir_pace_tick(struct weir_serve *serve)
{
    struct weir_serve_pace *pace = &serve->pace;
    struct weir_scheduler_stats stats;
    pthread_mutex_lock(&pace->lock);
    const uint32_t count = pace->sample_count;
    const uint64_t last_ns = count == 0 ? 0 : pace->samples[(count - 1) % WEIR_PACE_SAMPLES].at_ns;
    pthread_mutex_unlock(&pace->lock);
    if (weir_now_ns() - last_ns < SAMPLE_NS)
        return;
    const struct weir_pace_sample sample = look(serve, &stats);
    pthread_mutex_lock(&pace->lock);
    pace->samples[pace->sample_count++ % WEIR_PACE_SAMPLES] = sample;
    pthread_mutex_unlock(&pace->lock);
}

void weir_pace_begin(struct weir_serve *serve)
{
    pthread_mutex_lock(&serve->pace.lock);
    serve->pace.sample_count = 0;
    pthread_mutex_unlock(&serve->pace.lock);
    weir_pace_tick(serve); /* what comes from now on has something to be compared with */
}

void weir_pace_add(struct weir_serve_pace *pace, double first_s)
{
    pthread_mutex_lock(&pace->lock);
    pace->first_s[pace->answer_count++ % WEIR_PACE_ANSWERS] = first_s;
    pthread_mutex_unlock(&pace->lock);
}

static void put_speeds(struct weir_writer *writer, const struct weir_pace_sample *from,
                       const struct weir_pace_sample *to)
{
    const double seconds = (double)(to->at_ns - from->at_ns) * 1e-9;
    const double per_s = seconds > 0.0 ? 1.0 / seconds : 0.0;
    const uint64_t uses = to->expert_uses - from->expert_uses;
    weir_writer_format(writer,
                       "\"seconds\":%.3f,\"tokens_per_s\":%.3f,\"prompt_tokens_per_s\":%.3f,"
                       "\"read_mb_per_s\":%.3f,",
                       seconds, (double)(to->written_tokens - from->written_tokens) * per_s,
                       (double)(to->prompt_tokens - from->prompt_tokens) * per_s,
                       (double)(to->read_bytes - from->read_bytes) * 1e-6 * per_s);
    if (uses == 0)
        weir_writer_text(writer, "\"hit_rate\":null");
    else
        weir_writer_format(writer, "\"hit_rate\":%.4f",
                           (double)(to->expert_hits - from->expert_hits) / (double)uses);
}

/* The oldest first. */
static void put_firsts(struct weir_writer *writer, const struct weir_serve_pace *pace)
{
    const uint32_t count = (uint32_t)weir_min(pace->answer_count, WEIR_PACE_ANSWERS);
    weir_writer_text(writer, ",\"first_token_s\":[");
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t at = (pace->answer_count - count + index) % WEIR_PACE_ANSWERS;
        weir_writer_format(writer, "%s%.3f", index == 0 ? "" : ",", pace->first_s[at]);
    }
    weir_writer_text(writer, "]");
}

static void put_pace(struct weir_serve *serve, struct weir_writer *writer,
                     struct weir_scheduler_stats *stats)
{
    struct weir_serve_pace *pace = &serve->pace;
    const struct weir_pace_sample now = look(serve, stats);
    pthread_mutex_lock(&pace->lock);
    const uint32_t count = pace->sample_count;
    const struct weir_pace_sample *oldest =
        &pace->samples[count < WEIR_PACE_SAMPLES ? 0 : count % WEIR_PACE_SAMPLES];
    put_speeds(writer, count == 0 ? &now : oldest, &now);
    put_firsts(writer, pace);
    pthread_mutex_unlock(&pace->lock);
}

/* A row of each layer that has experts, with a digit for each: the sum of its marks. */
static void put_map(struct weir_serve *serve, struct weir_writer *writer)
{
    const struct weir_model_info *model = weir_engine_model(serve->config.engine);
    const char *separator = "";
    if (model->n_expert > 0)
        weir_scheduler_map_get(serve->scheduler, serve->marks);
    weir_writer_format(writer, ",\"n_expert\":%u,\"experts\":[", model->n_expert);
    for (uint32_t layer = 0; layer < model->n_layer && model->n_expert > 0; layer++) {
        uint8_t *marks = serve->marks + (size_t)layer * model->n_expert;
        uint32_t count = 0;
        while (count < model->n_expert && (marks[count] & WEIR_EXPERT_ABSENT) == 0)
            marks[count++] += '0';
        weir_writer_text(writer, separator);
        weir_writer_string(writer, (const char *)marks, count);
        separator = ",";
    }
    weir_writer_text(writer, "]}");
}

void weir_watch_tell(struct weir_exchange *exchange)
{
    struct weir_serve *serve = exchange->serve;
    struct weir_writer *writer = &exchange->answer;
    if (weir_serve_refuse_absent(exchange))
        return;
    const struct weir_plan *plan = weir_engine_plan(serve->config.engine);
    const uint64_t memory_bytes = weir_memory_bytes();
    struct weir_scheduler_stats stats;
    weir_writer_reserve(writer, weir_serve_watch_bytes(&serve->limits));
    weir_writer_text(writer, "{");
    put_pace(serve, writer, &stats);
    weir_writer_format(writer, ",\"running\":%u,\"waiting\":%u,\"steps\":%llu", stats.running,
                       stats.waiting, (unsigned long long)stats.steps);
    weir_writer_format(
        writer, ",\"written_tokens\":%llu,\"prompt_tokens\":%llu,\"cached_tokens\":%llu",
        (unsigned long long)stats.written_tokens, (unsigned long long)stats.prompt_tokens,
        (unsigned long long)stats.cached_tokens);
    weir_writer_format(writer, ",\"expert_uses\":%llu,\"expert_hits\":%llu,\"read_bytes\":%llu",
                       (unsigned long long)stats.engine.expert_uses,
                       (unsigned long long)stats.engine.expert_hits,
                       (unsigned long long)stats.engine.read_bytes);
    weir_writer_format(writer,
                       ",\"memory_bytes\":%llu,\"memory_bytes_peak\":%llu,"
                       "\"memory_bytes_max\":%llu,\"slots\":%u",
                       (unsigned long long)memory_bytes,
                       (unsigned long long)weir_max(weir_peak_bytes(), memory_bytes),
                       (unsigned long long)plan->budget_bytes, plan->n_slot_total);
    put_map(serve, writer);
    weir_exchange_reply(exchange, 200, "application/json");
}
