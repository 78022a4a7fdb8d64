/* metrics.c - /metrics: the server's numbers in Prometheus's text format. */
#include "serve/server.h"
#include "serve/shelf.h"

static void put(struct weir_writer *writer, const char *name, const char *type, const char *help,
                double value)
{
    weir_writer_format(writer, "# HELP weir_%s %s\n# TYPE weir_%s %s\nweir_%s %.17g\n", name, help,
                       name, type, name, value);
}

static void put_texts(struct weir_writer *writer, const struct weir_scheduler_stats *stats)
{
    put(writer, "texts_running", "gauge", "Texts that are being written.", stats->running);
    put(writer, "texts_waiting", "gauge", "Texts that wait for their turn.", stats->waiting);
    put(writer, "prompt_tokens_total", "counter", "Tokens of prompts.",
        (double)stats->prompt_tokens);
    put(writer, "cached_tokens_total", "counter", "Of them, those that were computed before.",
        (double)stats->cached_tokens);
    put(writer, "written_tokens_total", "counter", "Tokens that were written.",
        (double)stats->written_tokens);
    put(writer, "steps_total", "counter", "Steps of the engine.", (double)stats->steps);
    put(writer, "preempted_total", "counter", "Texts that had to make room and begin again.",
        (double)stats->preempted);
    put(writer, "set_aside_total", "counter", "Times that a text waited for those of others.",
        (double)stats->set_aside);
    put(writer, "state_bytes", "gauge", "What running texts may come to remember.",
        (double)stats->state_bytes);
    put(writer, "state_bytes_max", "gauge", "Of which others are let in.",
        (double)stats->state_bytes_max);
    put(writer, "lent_bytes", "gauge", "Of the ceiling, for the weights of the next model.",
        (double)stats->lent_bytes);
}

static void put_engine(struct weir_writer *writer, const struct weir_scheduler_stats *stats)
{
    put(writer, "expert_uses_total", "counter", "Experts that tokens wanted.",
        (double)stats->engine.expert_uses);
    put(writer, "expert_hits_total", "counter", "Of them, those that were in memory.",
        (double)stats->engine.expert_hits);
    put(writer, "warm_up_reads_total", "counter", "Experts that were read as the last run's.",
        (double)stats->engine.warm_up_reads);
    put(writer, "read_bytes_total", "counter", "Bytes read from the device.",
        (double)stats->engine.read_bytes);
    put(writer, "io_wait_seconds_total", "counter", "Time in which the engine waited for reads.",
        stats->engine.io_wait_s);
    put(writer, "peak_bytes", "gauge", "Most memory that the process has had.",
        (double)stats->peak_bytes);
}

static void put_saved(struct weir_writer *writer, const struct weir_saved_stats *saved)
{
    put(writer, "saved_bytes", "gauge", "Texts on the disk.", (double)saved->disk_bytes);
    put(writer, "saved_bytes_max", "gauge", "What they may have.", (double)saved->disk_bytes_max);
    put(writer, "saved_pages", "gauge", "Their pages.", (double)saved->pages);
    put(writer, "saved_pages_on_their_way", "gauge", "Pages that are being written.",
        saved->writing);
    put(writer, "saved_texts_on_their_way", "gauge", "Texts that are being read.", saved->reading);
    put(writer, "saved_written_bytes_total", "counter", "Written to them.",
        (double)saved->written_bytes);
    put(writer, "saved_read_bytes_total", "counter", "Read from them.", (double)saved->read_bytes);
    put(writer, "saved_reused_pages_total", "counter", "Pages that were there already.",
        (double)saved->reused_pages);
    put(writer, "saved_evicted_pages_total", "counter", "Pages that gave way to others.",
        (double)saved->evicted_pages);
    put(writer, "saved_torn_pages_total", "counter", "Pages with a wrong checksum.",
        (double)saved->torn_pages);
    put(writer, "saved_failed_total", "counter", "Pages that could not be read or written.",
        (double)(saved->failed_reads + saved->failed_writes));
    put(writer, "saved_dropped_pages_total", "counter", "Pages that were not written.",
        (double)saved->dropped_pages);
    put(writer, "recalled_texts_total", "counter", "Texts that came back from the disk.",
        (double)saved->recalled_texts);
    put(writer, "recalled_tokens_total", "counter", "Their tokens, which were not computed again.",
        (double)saved->recalled_tokens);
    put(writer, "computed_texts_total", "counter",
        "Texts on the disk that were computed again, since that is quicker.",
        (double)saved->computed_texts);
    put(writer, "saved_read_bytes_per_second", "gauge", "How fast they are read.",
        saved->read_bytes_per_s);
}

static double read_count(atomic_uint_least64_t *count)
{
    return (double)atomic_load_explicit(count, memory_order_relaxed);
}

void weir_metrics_tell(struct weir_exchange *exchange)
{
    struct weir_serve *serve = exchange->serve;
    struct weir_writer *writer = &exchange->answer;
    struct weir_scheduler_stats stats;
    uint32_t stored_count = 0;
    uint64_t stored_bytes = 0;
    put(writer, "requests_total", "counter", "Requests.", read_count(&serve->counts.requests));
    put(writer, "requests_refused_total", "counter", "Of them, those that were wrong or too many.",
        read_count(&serve->counts.refused));
    put(writer, "requests_failed_total", "counter", "Of them, those that the server failed.",
        read_count(&serve->counts.failed));
    put(writer, "requests_left_total", "counter", "Of them, those that their clients left.",
        read_count(&serve->counts.left));
    put(writer, "connections", "gauge", "Connections that are open.",
        (double)atomic_load_explicit(&serve->counts.connections, memory_order_relaxed));
    put(writer, "memory_bytes", "gauge", "Memory that the process has.",
        (double)weir_memory_bytes());
    put(writer, "requests_in_lobby", "gauge", "Requests that wait for another model.",
        atomic_load_explicit(&serve->lobby_count, memory_order_relaxed));
    weir_shelf_count(serve->shelf, &stored_count, &stored_bytes);
    put(writer, "stored_responses", "gauge", "Responses that can be asked for again.",
        stored_count);
    put(writer, "stored_bytes", "gauge", "What they take.", (double)stored_bytes);
    put(writer, "next_model_begun", "gauge", "1: the weights of the next model are here.",
        atomic_load_explicit(&serve->begun, memory_order_relaxed) != SIZE_MAX);
    put(writer, "model_loaded", "gauge", "1: a model is loaded, whose numbers follow.",
        weir_serve_is_served(serve));
    if (weir_serve_is_served(serve)) {
        put(writer, "memory_bytes_max", "gauge", "The ceiling.",
            (double)weir_engine_plan(serve->config.engine)->budget_bytes);
        weir_scheduler_stats_get(serve->scheduler, &stats);
        put_texts(writer, &stats);
        put_engine(writer, &stats);
        if (stats.saved.disk_bytes_max > 0)
            put_saved(writer, &stats.saved);
    }
    weir_exchange_reply(exchange, 200, "text/plain; version=0.0.4");
}
