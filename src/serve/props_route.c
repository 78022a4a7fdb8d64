/* props_route.c - /props: limits, context, ceiling, and what a request means that does not say. */
#include <string.h>

#include "serve/chat_fields.h"
#include "serve/server.h"
#include "serve/shelf.h"

/* By the names that requests have for them; what has no end is null. */
static void write_usual(const struct weir_serve *serve, struct weir_writer *writer)
{
    const struct weir_serve_usual *usual = &serve->config.usual;
    const uint32_t token_max = usual->token_max > 0 ? usual->token_max : serve->limits.token_max;
    struct weir_sampler_config sampling;
    weir_sampling_usual(serve, &sampling);
    weir_writer_format(writer,
                       ",\"defaults\":{\"temperature\":%g,\"top_k\":%u,\"top_p\":%g,\"min_p\":%g,"
                       "\"typical_p\":%g,\"repeat_penalty\":%g,\"frequency_penalty\":%g,"
                       "\"presence_penalty\":%g",
                       (double)sampling.temperature, sampling.top_k, (double)sampling.top_p,
                       (double)sampling.min_p, (double)sampling.typical_p,
                       (double)sampling.repeat_penalty, (double)sampling.frequency_penalty,
                       (double)sampling.presence_penalty);
    if (token_max > 0)
        weir_writer_format(writer, ",\"max_tokens\":%u", token_max);
    else
        weir_writer_text(writer, ",\"max_tokens\":null");
    if (usual->reasoning_max != UINT32_MAX)
        weir_writer_format(writer, ",\"reasoning_budget_tokens\":%u", usual->reasoning_max);
    else
        weir_writer_text(writer, ",\"reasoning_budget_tokens\":null");
    weir_writer_format(writer,
                       usual->effort == NULL ? ",\"reasoning_effort\":null"
                                             : ",\"reasoning_effort\":\"%s\"",
                       usual->effort);
    weir_writer_format(writer, usual->has_seed ? ",\"seed\":%llu" : ",\"seed\":null",
                       (unsigned long long)usual->seed);
    weir_writer_text(writer, ",\"stop\":[");
    for (size_t index = 0; index < usual->stop_count; index++) {
        weir_writer_text(writer, index > 0 ? "," : "");
        weir_writer_string(writer, usual->stops[index], strlen(usual->stops[index]));
    }
    weir_writer_text(writer, "]}");
}

void weir_props_tell(struct weir_exchange *exchange)
{
    const struct weir_serve *serve = exchange->serve;
    const struct weir_serve_limits *limits = &serve->limits;
    if (weir_serve_refuse_absent(exchange))
        return;
    const struct weir_model_info *model = weir_engine_model(serve->config.engine);
    const struct weir_plan *plan = weir_engine_plan(serve->config.engine);
    struct weir_writer *writer = &exchange->answer;
    weir_writer_text(writer, "{\"model\":");
    weir_writer_string(writer, serve->model_id, strlen(serve->model_id));
    weir_writer_text(writer, ",\"family\":");
    weir_writer_string(writer, model->family, strlen(model->family));
    weir_writer_text(writer, ",\"version\":\"" WEIR_VERSION "\"");
    weir_writer_format(writer, ",\"n_ctx\":%u,\"n_vocab\":%u,\"parallel\":%u,\"queue\":%u",
                       limits->n_ctx, limits->n_vocab, weir_serve_parallel(serve),
                       limits->queue_max);
    weir_writer_format(writer,
                       ",\"connections\":%u,\"body_bytes\":%llu,\"token_max\":%u,"
                       "\"stored_bytes\":%llu,\"stored_max\":%d",
                       limits->connection_max, (unsigned long long)limits->body_bytes,
                       limits->token_max, (unsigned long long)limits->stored_bytes,
                       WEIR_SHELF_RESPONSES_MAX);
    weir_writer_format(writer, ",\"budget_bytes\":%llu,\"planned_bytes\":%llu,\"slots\":%u",
                       (unsigned long long)plan->budget_bytes,
                       (unsigned long long)plan->planned_bytes, plan->n_slot_total);
    weir_writer_text(writer, ",\"reasoning_efforts\":");
    weir_chat_write_efforts(serve->config.chat, writer);
    write_usual(serve, writer);
    weir_writer_text(writer, "}");
    weir_exchange_reply(exchange, 200, "application/json");
}
