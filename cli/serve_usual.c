/* serve_usual.c - what requests mean that do not say, as the options of weir serve have it. */
#include "serve_usual.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const struct {
    enum weir_cli_option_id id;
    enum weir_advice advice;
} rows[] = {
    {WEIR_CLI_OPTION_usual_temperature, WEIR_ADVICE_TEMPERATURE},
    {WEIR_CLI_OPTION_usual_top_k, WEIR_ADVICE_TOP_K},
    {WEIR_CLI_OPTION_usual_top_p, WEIR_ADVICE_TOP_P},
    {WEIR_CLI_OPTION_usual_min_p, WEIR_ADVICE_MIN_P},
    {WEIR_CLI_OPTION_usual_repeat_penalty, WEIR_ADVICE_REPEAT_PENALTY},
    {WEIR_CLI_OPTION_usual_repeat_last, WEIR_ADVICE_REPEAT_LAST},
};

static bool is_given(const struct weir_cli_options *options, enum weir_cli_option_id id)
{
    return weir_cli_option_given(options, id);
}

static bool are_stops(const struct weir_cli_list *list)
{
    struct weir_err err = {0};
    weir_stops *stops = NULL;
    const bool ok = weir_stops_create(&stops, list->words, list->count, &err) == WEIR_OK;
    weir_stops_destroy(&stops);
    if (!ok)
        weir_cli_misuse("serve", "--stop: %s", err.text);
    return ok;
}

bool weir_cli_serve_usual_read(struct weir_serve_usual *usual,
                               const struct weir_cli_options *options)
{
    *usual = (struct weir_serve_usual){
        .typical_p =
            is_given(options, WEIR_CLI_OPTION_usual_typical_p)
                ? fmax(options->usual_typical_p, (double)FLT_MIN) /* the likeliest has it alone */
                : 0.0,
        .frequency_penalty = options->usual_frequency_penalty,
        .presence_penalty = options->usual_presence_penalty,
        .token_max = (uint32_t)options->usual_tokens,
        .reasoning_max = is_given(options, WEIR_CLI_OPTION_usual_budget)
                             ? (uint32_t)options->usual_budget
                             : UINT32_MAX,
        .effort = strcmp(options->usual_effort, "model") == 0 ? NULL : options->usual_effort,
        .has_seed = is_given(options, WEIR_CLI_OPTION_usual_seed),
        .seed = options->usual_seed,
        .stops = options->usual_stops.words,
        .stop_count = options->usual_stops.count,
    };
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        const struct weir_cli_option_row *option = &weir_cli_option_rows[rows[row].id];
        const void *field = (const char *)options + option->offset;
        if (!is_given(options, rows[row].id))
            continue;
        usual->sampling.said |= 1u << rows[row].advice;
        usual->sampling.values[rows[row].advice] = option->type == WEIR_CLI_REAL
                                                       ? *(const double *)field
                                                       : (double)*(const uint64_t *)field;
    }
    if (!are_stops(&options->usual_stops))
        return false;
    if (options->answer_tokens == 0 || options->usual_tokens <= options->answer_tokens)
        return true;
    weir_cli_misuse("serve", "--default-tokens: wanted at most the %llu of -n, found %llu",
                    (unsigned long long)options->answer_tokens,
                    (unsigned long long)options->usual_tokens);
    return false;
}

void weir_cli_serve_usual_tell(const struct weir_serve_usual *usual, const char *model,
                               const weir_chat *chat)
{
    if (usual->effort != NULL && !weir_chat_mentions(chat, "reasoning_effort") &&
        !weir_chat_mentions(chat, "enable_thinking"))
        weir_cli_say("--reasoning-effort: the chat template of %s has no way to ask for it: its "
                     "chats reason as it has it",
                     model);
}
