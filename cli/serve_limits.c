/* serve_limits.c - how much a server may hold beside the model: as the options say, else as much as
 * the ceiling affords. */
#include "serve_limits.h"

#include "chat.h"

enum { SHARE = 4 /* of the ceiling a server takes no more than this part for itself */ };

/* What is usual, and with less and less memory. */
static const struct {
    uint32_t queue, connections, grammars, stored_kib;
} levels[] = {{32, 128, 2, 4096}, {16, 64, 1, 1024}, {8, 32, 1, 256}, {4, 16, 0, 0}};

static void set_level(struct weir_serve_limits *limits, size_t level,
                      const struct weir_cli_options *options)
{
    limits->queue_max =
        options->given[WEIR_CLI_OPTION_queue] ? (uint32_t)options->queue : levels[level].queue;
    limits->connection_max = options->given[WEIR_CLI_OPTION_connections]
                                 ? (uint32_t)options->connections
                                 : levels[level].connections;
    limits->grammar_max = options->given[WEIR_CLI_OPTION_grammars] ? (uint32_t)options->grammars
                                                                   : levels[level].grammars;
    limits->stored_bytes = options->given[WEIR_CLI_OPTION_stored_bytes]
                               ? options->stored_bytes
                               : (uint64_t)levels[level].stored_kib << 10;
}

/* The first level that is no more than its share; the last one only where no other leaves the model
 * what it needs. */
static void choose_level(struct weir_cli_serve_limits *chosen, uint64_t budget_bytes,
                         uint64_t room_bytes, const struct weir_cli_options *options)
{
    const size_t last = WEIR_COUNT(levels) - 1;
    size_t level = 0;
    for (; level < last; level++) {
        set_level(&chosen->limits, level, options);
        const uint64_t bytes = weir_serve_bytes(&chosen->limits);
        if (bytes <= room_bytes && (bytes <= budget_bytes / SHARE || level + 1 == last))
            break;
    }
    struct weir_serve_limits least = chosen->limits;
    least.queue_max = levels[last].queue;
    least.connection_max = levels[last].connections;
    least.grammar_max = levels[last].grammars;
    least.stored_bytes = (uint64_t)levels[last].stored_kib << 10;
    chosen->least_bytes = weir_serve_bytes(&least);
    set_level(&chosen->limits, level, options);
    chosen->is_cut =
        level > 0 &&
        !(options->given[WEIR_CLI_OPTION_queue] && options->given[WEIR_CLI_OPTION_connections] &&
          options->given[WEIR_CLI_OPTION_grammars] && options->given[WEIR_CLI_OPTION_stored_bytes]);
    chosen->is_too_much = weir_serve_bytes(&chosen->limits) > room_bytes;
}

bool weir_cli_serve_limits_choose(struct weir_cli_serve_limits *chosen,
                                  const struct weir_config *config,
                                  const struct weir_model_info *info, uint64_t own_bytes,
                                  const struct weir_cli_options *options)
{
    struct weir_plan plan = {0};
    struct weir_err err = {0};
    struct weir_config alone = *config;
    *chosen = (struct weir_cli_serve_limits){
        .limits = {
            .parallel = (uint32_t)options->parallel,
            .token_max = (uint32_t)options->answer_tokens,
            .request_s = (uint32_t)options->request_time,
            .answer_s = (uint32_t)options->answer_time,
            .gap_ms = (uint32_t)options->gap,
            .beat_s = (uint32_t)options->beat_time,
            .body_bytes = options->body_bytes,
            .log_text = options->log_text,
            .n_ctx = config->n_ctx,
            .d_model = info->d_model,
            .n_vocab = info->n_vocab,
            .n_layer = info->n_layer,
            .n_expert = info->n_expert,
            .render_bytes_max = weir_cli_chat_render_max(config->n_ctx),
        }};
    weir_serve_limits_fill(&chosen->limits);
    alone.caller_bytes += own_bytes;
    alone.notice = NULL; /* who opens the model hears them */
    const enum weir_status status = weir_plan_make(&plan, &alone, &err);
    if (status != WEIR_OK && status != WEIR_ERR_NOMEM) {
        weir_cli_fail(&err);
        return false;
    }
    const uint64_t room_bytes = plan.budget_bytes - weir_min(plan.budget_bytes, plan.min_bytes);
    choose_level(chosen, plan.budget_bytes, room_bytes, options);
    chosen->begun_bytes = plan.begun_bytes;
    return true;
}

void weir_cli_serve_limits_words(const struct weir_cli_serve_limits *chosen, char *out,
                                 size_t capacity)
{
    const struct weir_serve_limits *limits = &chosen->limits;
    char stored[32];
    out[0] = '\0';
    if (chosen->is_cut)
        snprintf(out, capacity,
                 "; under this ceiling %u texts may wait (--queue), %u connections be open "
                 "(--connections), %u schemas be in use (--grammars), %s of responses be kept "
                 "(--stored-bytes)",
                 limits->queue_max, limits->connection_max, limits->grammar_max,
                 weir_format_size(limits->stored_bytes, stored, sizeof(stored)));
}

void weir_cli_serve_limits_advise(const struct weir_cli_serve_limits *chosen)
{
    const size_t last = WEIR_COUNT(levels) - 1;
    char bytes[32], least[32];
    const uint64_t now = weir_serve_bytes(&chosen->limits);
    weir_format_size(now, bytes, sizeof(bytes));
    weir_format_size(chosen->least_bytes, least, sizeof(least));
    if (now > chosen->least_bytes)
        weir_cli_say("%s of that are the server's own, beside the model; with --queue %u "
                     "--connections %u --grammars %u --stored-bytes 0 they are %s",
                     bytes, levels[last].queue, levels[last].connections, levels[last].grammars,
                     least);
    else
        weir_cli_say("%s of that are the server's own, beside the model; a smaller --ctx makes "
                     "that less, and --parallel",
                     bytes);
}
