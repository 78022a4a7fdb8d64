/* logprobs.h - how likely a token was, and which ids were the likeliest. */
#ifndef WEIR_SERVE_LOGPROBS_H
#define WEIR_SERVE_LOGPROBS_H

#include "serve/request.h"

struct weir_logprob {
    uint32_t id;
    double logprob;
};
/* The id's own first, then the count best; logits [n_vocab]. */
void weir_logprobs_find(const float *logits, uint32_t n_vocab, uint32_t id,
                        struct weir_logprob *own, struct weir_logprob *best, uint32_t count);
/* The token behind those in the choice's logprobs, as a chat of OpenAI's has it, and its newer API:
 * {"token", "logprob", "bytes", "top_logprobs"}. */
void weir_logprobs_write(struct weir_choice_text *choice, uint32_t id, const float *logits);

#endif
