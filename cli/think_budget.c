/* think_budget.c - --think-budget: reasoning is ended behind so many tokens. */
#include "think_budget.h"

#include <string.h>

/* No memory for a few ids: then the reasoning goes on, which is said. */
static void close_reasoning(struct weir_cli_thinking *thinking, weir_tokenizer *tokenizer,
                            const char *end)
{
    struct weir_err err = {0};
    thinking->was_closed = true;
    if (weir_tokenizer_encode(tokenizer, end, strlen(end), WEIR_TEXT_PARSE_SPECIAL, &thinking->ids,
                              &thinking->id_count, &err) != WEIR_OK)
        weir_cli_notice_tell(NULL, err.text);
}

uint32_t weir_cli_thinking_pick(struct weir_cli_thinking *thinking, weir_tokenizer *tokenizer,
                                const weir_reply *reply, weir_sampler *sampler, const float *logits)
{
    const char *end = weir_reply_reasoning_end(reply);
    const bool is_enough = weir_cli_option_given(thinking->options, WEIR_CLI_OPTION_think_budget) &&
                           thinking->token_count >= thinking->options->think_budget;
    if (end != NULL && is_enough && !thinking->was_closed)
        close_reasoning(thinking, tokenizer, end);
    thinking->token_count += end != NULL;
    if (thinking->at < thinking->id_count &&
        weir_sampler_force(sampler, thinking->ids[thinking->at]))
        return thinking->ids[thinking->at++];
    return weir_sampler_pick(sampler, logits);
}

void weir_cli_thinking_free(struct weir_cli_thinking *thinking)
{
    weir_ids_free(&thinking->ids);
}
