/* convert_scores.c - merges as scores: SentencePiece's BPE, which GGUF files of model "llama" have.
 *
 * A tokenizer.json has merges by rank; a file has a score for each token, and two neighbours are
 * joined where the joined one is a token, the best score first. Both do the same where each join
 * that the tokens allow is a merge, and all merges that make one token have ranks side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "convert/scores.h"

struct scorer {
    const struct weir_vocab *vocab;
    uint32_t *places; /* ids + 1 by the hash of their text; 0 is free */
    uint32_t mask;
    uint64_t *pairs; /* of ids that are merged, ascending */
    struct weir_err *err;
};

/* FNV-1a, 32 bits. */
static uint32_t hash_of(struct weir_bytes text)
{
    uint32_t hash = 2166136261u;
    for (size_t at = 0; at < text.length; at++)
        hash = (hash ^ (uint8_t)text.start[at]) * 16777619u;
    return hash;
}

static uint32_t find_place(const struct scorer *scorer, struct weir_bytes text)
{
    uint32_t at = hash_of(text) & scorer->mask;
    for (; scorer->places[at] != 0; at = (at + 1) & scorer->mask) {
        const struct weir_bytes token = scorer->vocab->tokens[scorer->places[at] - 1];
        if (token.length == text.length && memcmp(token.start, text.start, text.length) == 0)
            break;
    }
    return at;
}

static uint32_t find_token(const struct scorer *scorer, const char *start, size_t length)
{
    const uint32_t found = scorer->places[find_place(scorer, (struct weir_bytes){start, length})];
    return found == 0 ? WEIR_TOKEN_NONE : found - 1;
}

/* Only these are ever made by joining. */
static bool is_normal(const struct weir_vocab *vocab, uint32_t id)
{
    return vocab->types == NULL || vocab->types[id] == WEIR_TOKEN_NORMAL;
}

static enum weir_status map_tokens(struct scorer *scorer)
{
    const struct weir_vocab *vocab = scorer->vocab;
    uint32_t capacity = 8;
    while (capacity < vocab->n_vocab * 2)
        capacity *= 2;
    scorer->mask = capacity - 1;
    scorer->places = weir_heap_array(capacity, sizeof(*scorer->places));
    if (scorer->places == NULL)
        return WEIR_FAIL(scorer->err, WEIR_ERR_NOMEM, "no memory for %u tokens", vocab->n_vocab);
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        if (vocab->tokens[id].length == 0 || !is_normal(vocab, id))
            continue;
        const uint32_t place = find_place(scorer, vocab->tokens[id]);
        if (scorer->places[place] == 0)
            scorer->places[place] = id + 1;
    }
    return WEIR_OK;
}

static int compare_pairs(const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *)one;
    const uint64_t b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

/* The score of what each merge makes: the less, the later its first rank. */
static enum weir_status score_merges(struct scorer *scorer, float *scores)
{
    const struct weir_vocab *vocab = scorer->vocab;
    uint32_t before = WEIR_TOKEN_NONE;
    scorer->pairs = weir_heap_array(vocab->n_merge, sizeof(*scorer->pairs));
    if (scorer->pairs == NULL)
        return WEIR_FAIL(scorer->err, WEIR_ERR_NOMEM, "no memory for %u merges", vocab->n_merge);
    for (uint32_t rank = 0; rank < vocab->n_merge; rank++) {
        const struct weir_bytes text = vocab->merges[rank];
        const size_t length = vocab->merge_lefts[rank];
        char joined[2 * WEIR_PIECE_MAX];
        const size_t right = text.length - length - 1;
        uint32_t made = WEIR_TOKEN_NONE;
        if (length + right <= sizeof(joined)) {
            memcpy(joined, text.start, length);
            memcpy(joined + length, text.start + length + 1, right);
            made = find_token(scorer, joined, length + right);
        }
        const uint32_t one = find_token(scorer, text.start, length);
        const uint32_t other = find_token(scorer, text.start + length + 1, right);
        if (made == WEIR_TOKEN_NONE || one == WEIR_TOKEN_NONE || other == WEIR_TOKEN_NONE)
            return WEIR_FAIL(scorer->err, WEIR_ERR_UNSUPPORTED,
                             "tokenizer.json: merge %u (%.*s) is not of tokens", rank,
                             (int)weir_min(text.length, 60), text.start);
        scorer->pairs[rank] = pair_of(one, other);
        if (made != before && scores[made] != 0.0f)
            return WEIR_FAIL(scorer->err, WEIR_ERR_UNSUPPORTED,
                             "tokenizer.json: merges of other tokens are between those that make "
                             "\"%.*s\" (rank %u): scores, which GGUF files have, cannot say that",
                             (int)weir_min(vocab->tokens[made].length, 60),
                             vocab->tokens[made].start, rank);
        if (made != before)
            scores[made] = -1.0f - (float)rank;
        before = made;
    }
    qsort(scorer->pairs, vocab->n_merge, sizeof(*scorer->pairs), compare_pairs);
    return WEIR_OK;
}

/* Bytes of the character at a place; of what is none, one. */
static size_t step_of(struct weir_bytes token, size_t at)
{
    return weir_max(weir_utf8_char(token.start + at, token.length - at), 1);
}

/* Each way to make the token of two others is a merge. */
static enum weir_status check_token(const struct scorer *scorer, uint32_t id)
{
    const struct weir_bytes token = scorer->vocab->tokens[id];
    for (size_t cut = step_of(token, 0); cut < token.length; cut += step_of(token, cut)) {
        const uint32_t one = find_token(scorer, token.start, cut);
        const uint32_t other = find_token(scorer, token.start + cut, token.length - cut);
        const uint64_t pair = pair_of(one, other);
        if (one == WEIR_TOKEN_NONE || other == WEIR_TOKEN_NONE ||
            bsearch(&pair, scorer->pairs, scorer->vocab->n_merge, sizeof(pair), compare_pairs) !=
                NULL)
            continue;
        return WEIR_FAIL(scorer->err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer.json: no merge makes token \"%.*s\" of its first %zu bytes and "
                         "the others: scores, which GGUF files have, would",
                         (int)weir_min(token.length, 60), token.start, cut);
    }
    return WEIR_OK;
}

enum weir_status weir_scores_make(float **scores, const struct weir_vocab *vocab,
                                  struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct scorer scorer = {.vocab = vocab, .err = err};
    float *made = weir_heap_array(vocab->n_vocab, sizeof(*made));
    if (made == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u scores", vocab->n_vocab);
    WEIR_TRY_GOTO(map_tokens(&scorer));
    WEIR_TRY_GOTO(score_merges(&scorer, made));
    for (uint32_t id = 0; id < vocab->n_vocab; id++)
        if (is_normal(vocab, id))
            WEIR_TRY_GOTO(check_token(&scorer, id));
    *scores = made;
    made = NULL;

fail:
    weir_heap_free(made);
    weir_heap_free(scorer.places);
    weir_heap_free(scorer.pairs);
    return status;
}
