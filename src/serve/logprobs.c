/* logprobs.c - how likely a token was, and which ids were the likeliest. */
#include "serve/logprobs.h"

#include <math.h>

void weir_logprobs_find(const float *logits, uint32_t n_vocab, uint32_t id,
                        struct weir_logprob *own, struct weir_logprob *best, uint32_t count)
{
    float most = logits[0];
    double sum = 0.0;
    uint32_t filled = 0;
    for (uint32_t at = 1; at < n_vocab; at++)
        most = fmaxf(most, logits[at]);
    for (uint32_t at = 0; at < n_vocab; at++)
        sum += exp((double)logits[at] - (double)most);
    const double base = (double)most + log(sum);
    *own = (struct weir_logprob){id, (double)logits[id] - base};
    for (uint32_t at = 0; at < n_vocab && count > 0; at++) {
        const double logprob = (double)logits[at] - base;
        if (filled == count && logprob <= best[filled - 1].logprob)
            continue;
        uint32_t place = filled < count ? filled++ : filled - 1;
        for (; place > 0 && best[place - 1].logprob < logprob; place--)
            best[place] = best[place - 1];
        best[place] = (struct weir_logprob){at, logprob};
    }
}

static void write_token(struct weir_writer *writer, weir_tokenizer *tokenizer,
                        struct weir_logprob found)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    const size_t length = weir_tokenizer_piece(tokenizer, found.id, piece);
    weir_writer_text(writer, "{\"token\":");
    weir_writer_string(writer, piece, length);
    weir_writer_format(writer, ",\"logprob\":%.9g,\"bytes\":[", found.logprob);
    for (size_t at = 0; at < length; at++)
        weir_writer_format(writer, "%s%u", at > 0 ? "," : "", (unsigned)(unsigned char)piece[at]);
    weir_writer_text(writer, "]");
}

void weir_logprobs_write(struct weir_choice_text *choice, uint32_t id, const float *logits)
{
    const struct weir_request *request = choice->request;
    struct weir_writer *writer = &choice->logprobs;
    weir_tokenizer *tokenizer = weir_request_tokenizer(request);
    struct weir_logprob own, best[WEIR_TOP_LOGPROBS_MAX];
    weir_logprobs_find(logits, weir_request_n_vocab(request), id, &own, best,
                       request->top_logprobs);
    weir_writer_text(writer, writer->length > 0 ? "," : "");
    write_token(writer, tokenizer, own);
    weir_writer_text(writer, ",\"top_logprobs\":[");
    for (uint32_t index = 0; index < request->top_logprobs; index++) {
        weir_writer_text(writer, index > 0 ? "," : "");
        write_token(writer, tokenizer, best[index]);
        weir_writer_text(writer, "}");
    }
    weir_writer_text(writer, "]}");
}
