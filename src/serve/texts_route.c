/* texts_route.c - /slots: how far each text is, and those that wait. Nothing of what they say. */
#include "serve/server.h"

static const char *const phases[] = {"waiting", "aside", "reading", "writing"};

void weir_texts_tell(struct weir_exchange *exchange)
{
    struct weir_serve *serve = exchange->serve;
    struct weir_writer *writer = &exchange->answer;
    struct weir_text_state states[WEIR_TEXT_STATES];
    struct weir_scheduler_stats stats;
    const uint64_t now_ns = weir_now_ns();
    if (weir_serve_refuse_absent(exchange))
        return;
    weir_scheduler_stats_get(serve->scheduler, &stats);
    const uint32_t count = weir_scheduler_texts_get(serve->scheduler, states);
    weir_writer_reserve(writer, weir_serve_watch_bytes(&serve->limits));
    weir_writer_format(writer, "{\"running\":%u,\"waiting\":%u,\"texts\":[", stats.running,
                       stats.waiting);
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_text_state *state = &states[index];
        const uint64_t ago_ns = now_ns - weir_min(now_ns, state->came_ns);
        weir_writer_format(writer,
                           "%s{\"state\":\"%s\",\"prompt_tokens\":%u,\"computed_tokens\":%u,"
                           "\"written_tokens\":%u,\"seconds\":%.1f}",
                           index == 0 ? "" : ",", phases[state->phase], state->prompt_tokens,
                           state->computed_tokens, state->written_tokens, (double)ago_ns * 1e-9);
    }
    weir_writer_text(writer, "]}");
    weir_exchange_reply(exchange, 200, "application/json");
}
