/* think_budget.h - --think-budget: reasoning ends behind so many tokens, and the answer goes on. */
#ifndef WEIR_CLI_THINK_BUDGET_H
#define WEIR_CLI_THINK_BUDGET_H

#include "cli.h"

/* Of one answer; zeroed with its options to begin. */
struct weir_cli_thinking {
    const struct weir_cli_options *options;
    uint64_t token_count; /* of reasoning */
    bool was_closed;
    uint32_t *ids; /* [id_count] that end it; NULL: nothing has to */
    size_t id_count, at;
};

/* The next id, as weir_sampler_pick(), or one that ends reasoning. */
uint32_t weir_cli_thinking_pick(struct weir_cli_thinking *thinking, weir_tokenizer *tokenizer,
                                const weir_reply *reply, weir_sampler *sampler,
                                const float *logits);
void weir_cli_thinking_free(struct weir_cli_thinking *thinking);

#endif
