/* grammars.c - grammars in use: each is made ready once, and shared. */
#include "serve/grammars.h"

#include <stdatomic.h>
#include <string.h>

#include "base/heap.h"
#include "serve/writer.h"

struct weir_shared_grammar {
    weir_grammar *grammar;  /* NULL: the place is empty */
    struct weir_writer key; /* two wishes with one key have one grammar */
    uint64_t used;
    atomic_uint users;
};

struct weir_grammars {
    weir_tokenizer *tokenizer;
    uint64_t clock;
    uint32_t count;
    struct weir_shared_grammar places[];
};

struct weir_grammars *weir_grammars_create(weir_tokenizer *tokenizer, uint32_t count)
{
    struct weir_grammars *grammars =
        weir_heap_alloc(sizeof(*grammars) + count * sizeof(grammars->places[0]));
    if (grammars == NULL)
        return NULL;
    grammars->tokenizer = tokenizer;
    grammars->count = count;
    for (uint32_t index = 0; index < count; index++)
        atomic_init(&grammars->places[index].users, 0);
    return grammars;
}

static void empty(struct weir_shared_grammar *place)
{
    weir_grammar_destroy(&place->grammar);
    weir_writer_free(&place->key);
}

void weir_grammars_destroy(struct weir_grammars **grammars)
{
    for (uint32_t index = 0; *grammars != NULL && index < (*grammars)->count; index++)
        empty(&(*grammars)->places[index]);
    weir_heap_free(*grammars);
    *grammars = NULL;
}

static bool is_free(struct weir_shared_grammar *place)
{
    /* Acquire pairs with the release of whoever used it last. */
    return atomic_load_explicit(&place->users, memory_order_acquire) == 0;
}

static void put_part(struct weir_writer *key, const char *bytes, size_t length)
{
    weir_writer_format(key, "%c%zu:", bytes == NULL ? '-' : '+', length);
    weir_writer_put(key, bytes, length);
}

/* All that a grammar depends on: of a prompt that is only the mark with which it ends. */
static void write_key(const struct weir_grammars *grammars, const struct weir_grammar_wish *wish,
                      struct weir_writer *key)
{
    const struct weir_reply_rules *rules = wish->rules;
    put_part(key, wish->text, wish->length);
    if (wish->text != NULL)
        return;
    const char *mark = weir_reply_mark_before(grammars->tokenizer, rules->ids, rules->id_count);
    weir_writer_text(key, rules->one_call ? "1" : "n");
    put_part(key, rules->tools, rules->tools_length);
    put_part(key, rules->tool, rules->tool == NULL ? 0 : strlen(rules->tool));
    put_part(key, rules->schema, rules->schema_length);
    put_part(key, mark, mark == NULL ? 0 : strlen(mark));
}

static bool is_of(const struct weir_shared_grammar *place, const struct weir_writer *key)
{
    return place->grammar != NULL && place->key.length == key->length &&
           memcmp(place->key.bytes, key->bytes, key->length) == 0;
}

/* A grammar of which no text can begin is told to whoever wished for it, before the text waits. */
static enum weir_status try_out(const struct weir_grammars *grammars, const weir_grammar *grammar,
                                struct weir_err *err)
{
    const struct weir_sampler_config config = {.grammar = grammar};
    weir_sampler *sampler = NULL;
    const enum weir_status status = weir_sampler_create(
        &sampler, &config, weir_tokenizer_vocab_count(grammars->tokenizer), err);
    weir_sampler_destroy(&sampler);
    return status;
}

static enum weir_status fill(struct weir_grammars *grammars, struct weir_shared_grammar *place,
                             const struct weir_grammar_wish *wish, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_grammar *grammar = NULL;
    if (wish->text != NULL)
        WEIR_TRY(weir_grammar_create(&grammar, grammars->tokenizer, wish->text, wish->length,
                                     "grammar", err));
    else
        WEIR_TRY(weir_grammar_of_reply(&grammar, grammars->tokenizer, wish->rules, err));
    WEIR_TRY_GOTO(try_out(grammars, grammar, err));
    place->grammar = grammar;
    return WEIR_OK;

fail:
    weir_grammar_destroy(&grammar);
    return status;
}

/* The place with that key, or else the one that was free for the longest time; NULL: none is. */
static struct weir_shared_grammar *choose(struct weir_grammars *grammars,
                                          const struct weir_writer *key)
{
    struct weir_shared_grammar *place = NULL;
    for (uint32_t index = 0; index < grammars->count; index++) {
        struct weir_shared_grammar *other = &grammars->places[index];
        if (is_of(other, key))
            return other;
        if (is_free(other) && (place == NULL || other->used < place->used))
            place = other;
    }
    return place;
}

enum weir_status weir_grammars_find(struct weir_grammars *grammars,
                                    const struct weir_grammar_wish *wish,
                                    struct weir_shared_grammar **out, struct weir_err *err)
{
    struct weir_writer key = {0};
    enum weir_status status = WEIR_OK;
    write_key(grammars, wish, &key);
    if (key.failed) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a grammar");
        goto fail;
    }
    struct weir_shared_grammar *place = choose(grammars, &key);
    if (grammars->count == 0) {
        status = WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                           "this server takes no schemas or grammars: wanted --grammars, and room "
                           "for them under --mem");
        goto fail;
    }
    if (place == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM,
                           "%u schemas or grammars are in use, as many as this server holds "
                           "(--grammars)",
                           grammars->count);
        goto fail;
    }
    if (!is_of(place, &key)) {
        empty(place);
        WEIR_TRY_GOTO(fill(grammars, place, wish, err));
        place->key = key;
        key = (struct weir_writer){0};
    }
    place->used = ++grammars->clock;
    atomic_fetch_add_explicit(&place->users, 1, memory_order_relaxed);
    *out = place;
fail:
    weir_writer_free(&key);
    return status;
}

void weir_grammars_give_back(struct weir_shared_grammar *grammar)
{
    if (grammar != NULL)
        atomic_fetch_sub_explicit(&grammar->users, 1, memory_order_release);
}

const weir_grammar *weir_shared_grammar(const struct weir_shared_grammar *grammar)
{
    return grammar == NULL ? NULL : grammar->grammar;
}
