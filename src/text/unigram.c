/* unigram.c - the likeliest tokens of a piece by a unigram language model (arXiv:1804.10959).
 *
 * best(end) = max over tokens that end there of best(begin) + score(token): the Viterbi algorithm,
 * in double precision. Of equal sums the one found first stays: the longer last token. A character
 * that no token of its own stands for may also be unknown, at the price of the worst score - 10.
 */
#include <float.h>
#include <math.h>

#include "text/text_parts.h"

static const double unknown_penalty = 10.0;

/* The best way to where a character begins, or the piece ends. */
struct node {
    double score;
    uint32_t from, id; /* of the last token on it */
    bool is_reached;
};
_Static_assert(sizeof(struct node) == WEIR_TEXT_NODE_BYTES, "the size of a node");

enum weir_status weir_text_unigram_init(weir_text *text, struct weir_warnings *warnings,
                                        struct weir_err *err)
{
    (void)warnings;
    const struct weir_vocab *vocab = &text->vocab;
    const uint32_t types =
        1u << WEIR_TOKEN_NORMAL | 1u << WEIR_TOKEN_USER_DEFINED | 1u << WEIR_TOKEN_UNUSED;
    if (vocab->scores == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tokenizer model \"t5\": wanted a score for each token, found none");
    double worst = 0.0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        if (isinf(vocab->scores[id]))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "token %u: wanted a finite score, found %g", id,
                             (double)vocab->scores[id]);
        if (weir_text_type(text, id) == WEIR_TOKEN_NORMAL && (double)vocab->scores[id] < worst)
            worst = (double)vocab->scores[id];
    }
    text->unknown_score = worst - unknown_penalty;
    WEIR_TRY(weir_text_find_byte_tokens(text, err));
    return weir_text_prefixes_init(&text->words, vocab, types, err);
}

static void offer(struct node *nodes, uint32_t from, size_t end, uint32_t id, double score)
{
    struct node *node = &nodes[end];
    const double sum = nodes[from].score + score;
    if (!node->is_reached || sum > node->score)
        *node = (struct node){sum, from, id, true};
}

/* All tokens that begin at from, and the unknown one where none has just the first character. */
static void offer_tokens(weir_text *text, const char *bytes, size_t length, uint32_t from,
                         size_t character)
{
    const struct weir_vocab *vocab = &text->vocab;
    struct node *nodes = text->lattice.at;
    struct weir_text_prefix prefix = {0};
    bool has_single = false;
    for (size_t end = from; end < length;) {
        if (!weir_text_prefixes_narrow(&text->words, vocab, &prefix, bytes[end++]))
            break;
        const uint32_t id = weir_text_prefixes_whole(&text->words, vocab, &prefix);
        /* A token may end inside a character; nothing could go on from there. */
        if (id == WEIR_TOKEN_NONE || (end < length && ((uint8_t)bytes[end] & 0xc0) == 0x80))
            continue;
        const bool is_users = weir_text_type(text, id) == WEIR_TOKEN_USER_DEFINED;
        offer(nodes, from, end, id, is_users ? 0.0 : (double)vocab->scores[id]);
        has_single = has_single || end == from + character;
    }
    if (!has_single)
        offer(nodes, from, from + character, WEIR_TOKEN_NONE, text->unknown_score);
}

enum weir_status weir_text_unigram_cut(weir_text *text, const char *bytes, size_t length,
                                       struct weir_err *err)
{
    struct weir_text_merger *merger = &text->merger;
    WEIR_TRY(
        weir_text_array_reserve(&merger->symbols, length, sizeof(struct weir_text_symbol), err));
    WEIR_TRY(weir_text_array_reserve(&text->lattice, length + 1, sizeof(struct node), err));
    struct node *nodes = text->lattice.at;
    for (size_t at = 0; at <= length; at++)
        nodes[at] = (struct node){.is_reached = at == 0};
    for (size_t at = 0; at < length;) {
        const size_t step = weir_max(1, weir_utf8_char(bytes + at, length - at));
        offer_tokens(text, bytes, length, (uint32_t)at, step);
        at += step;
    }
    merger->bytes = bytes;
    merger->length = length;
    struct weir_text_symbol *symbols = merger->symbols.at;
    uint32_t next = WEIR_TOKEN_NONE;
    for (size_t at = length; at > 0;) {
        const struct node node = nodes[at];
        symbols[node.from] = (struct weir_text_symbol){.id = node.id, .next = next};
        next = node.from;
        at = node.from;
    }
    return WEIR_OK;
}
