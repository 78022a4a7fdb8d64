/* constraint.c - the public door to room grammar: grammars over the tokens of a vocabulary. */
#include "engine/constraint.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "chat/call_parts.h"
#include "engine/engine_internal.h"

_Static_assert((int)WEIR_GRAMMAR_BYTES_MAX == (int)WEIR_GRAMMAR_TEXT_MAX, "one limit, two names");

struct weir_grammar {
    const struct weir_tokenizer *tokenizer; /* borrowed */
    struct weir_program *program;
    struct weir_trie *trie;
};

/* As a text that goes on has them. Special tokens are no text: they have a mark, by which a grammar
 * names them, and whose first byte is in no other token. Where a special token makes the next one
 * lose its space, those of the user are none either: what comes out would not be what the grammar
 * has seen. */
static struct weir_bytes token_bytes(const struct weir_tokenizer *tokenizer, uint32_t id,
                                     char mark[WEIR_GRAMMAR_MARK_BYTES])
{
    const struct weir_vocab *vocab = tokenizer->vocab;
    const bool is_lossy = vocab->add_space_prefix && vocab->types != NULL &&
                          vocab->types[id] == WEIR_TOKEN_USER_DEFINED;
    if (is_lossy || weir_text_is_end(tokenizer->text, id))
        return (struct weir_bytes){0};
    const struct weir_bytes piece = weir_text_piece(tokenizer->text, id, false);
    if (!weir_text_is_control(tokenizer->text, id) || id > WEIR_GRAMMAR_ID_MAX)
        return piece.length > 0 && memchr(piece.start, 0xff, piece.length) != NULL
                   ? (struct weir_bytes){0}
                   : piece;
    weir_grammar_mark(id, mark);
    return (struct weir_bytes){mark, WEIR_GRAMMAR_MARK_BYTES};
}

/* Copies each token's bytes. *bytes_used with bytes NULL: how many there are. */
static void collect_tokens(const struct weir_tokenizer *tokenizer, struct weir_trie_token *tokens,
                           char *bytes, size_t *bytes_used)
{
    const struct weir_vocab *vocab = tokenizer->vocab;
    *bytes_used = 0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        char mark[WEIR_GRAMMAR_MARK_BYTES];
        const bool is_end = weir_text_is_end(tokenizer->text, id);
        const struct weir_bytes piece = token_bytes(tokenizer, id, mark);
        const size_t length = piece.length;
        if (bytes != NULL && length > 0)
            memcpy(bytes + *bytes_used, piece.start, length);
        if (tokens != NULL)
            tokens[id] = (struct weir_trie_token){
                .bytes = bytes + *bytes_used, .length = (uint16_t)length, .is_end = is_end};
        *bytes_used += length;
    }
}

static enum weir_status make_trie(struct weir_trie **out, const struct weir_tokenizer *tokenizer,
                                  struct weir_err *err)
{
    const uint32_t n_vocab = tokenizer->vocab->n_vocab;
    size_t byte_count = 0;
    collect_tokens(tokenizer, NULL, NULL, &byte_count);
    struct weir_trie_token *tokens = weir_heap_array(n_vocab, sizeof(*tokens));
    char *bytes = weir_heap_alloc(byte_count);
    enum weir_status status = WEIR_OK;
    if (tokens == NULL || bytes == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the bytes of %u tokens", n_vocab);
    } else {
        collect_tokens(tokenizer, tokens, bytes, &byte_count);
        status = weir_trie_create(out, tokens, n_vocab, err);
    }
    weir_heap_free(tokens);
    weir_heap_free(bytes);
    return status;
}

/* What a reply's grammar is made of. */
struct reply_wish {
    weir_text *text;
    const struct weir_reply_rules *rules;
};

typedef enum weir_status compile_fn(struct weir_program **out, const char *text, size_t length,
                                    const char *what, struct weir_err *err);

static enum weir_status create(weir_grammar **out, weir_tokenizer *tokenizer, compile_fn *compile,
                               const char *text, size_t length, const char *name,
                               struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(out, err);
    WEIR_NEED(tokenizer, err);
    WEIR_NEED(name, err);
    weir_grammar *grammar = weir_heap_alloc(sizeof(*grammar));
    if (grammar == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", name);
    grammar->tokenizer = tokenizer;
    WEIR_TRY_GOTO(compile(&grammar->program, text, length, name, err));
    WEIR_TRY_GOTO(make_trie(&grammar->trie, tokenizer, err));
    *out = grammar;
    return WEIR_OK;

fail:
    weir_grammar_destroy(&grammar);
    return status;
}

enum weir_status weir_grammar_create(weir_grammar **out, weir_tokenizer *tokenizer,
                                     const char *text, size_t length, const char *name,
                                     struct weir_err *err)
{
    WEIR_NEED(text, err);
    return create(out, tokenizer, weir_gbnf_compile, text, length, name, err);
}

static enum weir_status compile_reply(struct weir_program **out, const char *text, size_t length,
                                      const char *what, struct weir_err *err)
{
    const struct reply_wish *wish = (const void *)text;
    (void)length;
    (void)what;
    return weir_reply_program(out, wish->text, wish->rules, err);
}

enum weir_status weir_grammar_from_schema(weir_grammar **out, weir_tokenizer *tokenizer,
                                          const char *schema, size_t length, const char *name,
                                          struct weir_err *err)
{
    WEIR_NEED(schema, err);
    return create(out, tokenizer, weir_schema_compile, schema, length, name, err);
}

enum weir_status weir_grammar_check(const char *text, size_t length, bool is_schema,
                                    const char *name, struct weir_err *err)
{
    struct weir_program *program = NULL;
    WEIR_NEED(text, err);
    WEIR_NEED(name, err);
    const enum weir_status status = is_schema
                                        ? weir_schema_compile(&program, text, length, name, err)
                                        : weir_gbnf_compile(&program, text, length, name, err);
    weir_program_destroy(&program);
    return status;
}

enum weir_status weir_grammar_of_reply(weir_grammar **out, weir_tokenizer *tokenizer,
                                       const struct weir_reply_rules *rules, struct weir_err *err)
{
    WEIR_NEED(tokenizer, err);
    WEIR_NEED(rules, err);
    if (rules->id_count > 0)
        WEIR_NEED(rules->ids, err);
    const struct reply_wish wish = {tokenizer->text, rules};
    return create(out, tokenizer, compile_reply, (const char *)&wish, sizeof(wish), "reply", err);
}

void weir_grammar_destroy(weir_grammar **grammar)
{
    if (grammar == NULL || *grammar == NULL)
        return;
    weir_program_destroy(&(*grammar)->program);
    weir_trie_destroy(&(*grammar)->trie);
    weir_heap_free(*grammar);
    *grammar = NULL;
}

/* ---- a sampler's text ---------------------------------------------------------------------- */

enum weir_status weir_constraint_init(struct weir_constraint *constraint,
                                      const weir_grammar *grammar, uint32_t whole_within,
                                      struct weir_err *err)
{
    *constraint = (struct weir_constraint){
        .grammar = grammar, .ends_in_time = whole_within > 0, .picks_left = whole_within};
    if (grammar == NULL)
        return WEIR_OK;
    return weir_matcher_create(&constraint->matcher, grammar->program, grammar->trie, err);
}

void weir_constraint_deinit(struct weir_constraint *constraint)
{
    weir_matcher_destroy(&constraint->matcher);
}

static bool is_allowed(const struct weir_constraint *constraint, uint32_t id)
{
    return id < constraint->grammar->trie->n_vocab &&
           (constraint->mask[id / 32] >> id % 32 & 1) != 0;
}

/* What may come with so many picks behind it. A token has a byte at least, and most vocabularies
 * have each byte as a token: a text that needs no more bytes than there are picks comes to its end.
 * False: as in weir_constraint_apply(). */
static bool find_mask(struct weir_constraint *constraint, uint32_t picks_left)
{
    const uint32_t bytes = constraint->ends_in_time ? picks_left : UINT32_MAX;
    constraint->why = (struct weir_err){0};
    return !constraint->has_ended &&
           weir_matcher_mask_within(constraint->matcher, bytes, &constraint->mask,
                                    &constraint->why) == WEIR_OK;
}

bool weir_constraint_apply(struct weir_constraint *constraint, struct weir_candidate *candidates,
                           uint32_t n_vocab)
{
    if (constraint->grammar == NULL)
        return true;
    constraint->picks_left -= constraint->picks_left > 0;
    if (!find_mask(constraint, constraint->picks_left))
        return false;
    for (uint32_t id = 0; id < n_vocab; id++)
        if (!is_allowed(constraint, id))
            candidates[id].logit = -INFINITY;
    return true;
}

bool weir_constraint_accept(struct weir_constraint *constraint, uint32_t id)
{
    if (constraint->grammar == NULL)
        return true;
    const struct weir_trie *trie = constraint->grammar->trie;
    /* Nothing was left but what it does not allow. */
    if (!is_allowed(constraint, id)) {
        constraint->has_ended =
            weir_matcher_may_end(constraint->matcher) &&
            (constraint->ends_in_time || !weir_matcher_may_go_on(constraint->matcher));
        if (!constraint->has_ended)
            WEIR_FAIL(&constraint->why, WEIR_ERR_ARG,
                      "the grammar allows no token here that has a share: the vocabulary lacks it, "
                      "or a bias forbids it");
        return false;
    }
    for (uint32_t index = 0; index < trie->end_count; index++)
        if (trie->end_ids[index] == id) {
            constraint->has_ended = true;
            return true;
        }
    char mark[WEIR_GRAMMAR_MARK_BYTES];
    const struct weir_bytes piece = token_bytes(constraint->grammar->tokenizer, id, mark);
    return weir_matcher_push(constraint->matcher, piece.start, piece.length, &constraint->why) ==
           WEIR_OK;
}

bool weir_constraint_take(struct weir_constraint *constraint, uint32_t id)
{
    const uint32_t picks_left = constraint->picks_left - (constraint->picks_left > 0);
    if (constraint->grammar == NULL)
        return true;
    if (!find_mask(constraint, picks_left) || !is_allowed(constraint, id))
        return false;
    constraint->picks_left = picks_left;
    return weir_constraint_accept(constraint, id);
}

uint32_t weir_constraint_bytes_left(const struct weir_constraint *constraint)
{
    return constraint->grammar == NULL ? 0 : weir_matcher_least(constraint->matcher);
}
