/* grammars.c - schemas and grammars in use: each is made ready once, and shared. */
#include "serve/grammars.h"

#include <stdatomic.h>
#include <string.h>

#include "base/heap.h"

struct weir_shared_grammar {
    weir_grammar *grammar; /* NULL: the place is empty */
    enum weir_grammar_kind kind;
    char *text; /* [length] */
    size_t length;
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
    weir_heap_free(place->text);
    place->text = NULL;
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

static enum weir_status fill(struct weir_grammars *grammars, struct weir_shared_grammar *place,
                             enum weir_grammar_kind kind, const char *text, size_t length,
                             struct weir_err *err)
{
    empty(place);
    place->text = weir_heap_alloc(length);
    if (place->text == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a schema of %zu bytes", length);
    memcpy(place->text, text, length);
    place->length = length;
    place->kind = kind;
    return kind == WEIR_GRAMMAR_SCHEMA
               ? weir_grammar_from_schema(&place->grammar, grammars->tokenizer, text, length,
                                          "schema", err)
               : weir_grammar_create(&place->grammar, grammars->tokenizer, text, length, "grammar",
                                     err);
}

enum weir_status weir_grammars_find(struct weir_grammars *grammars, enum weir_grammar_kind kind,
                                    const char *text, size_t length,
                                    struct weir_shared_grammar **out, struct weir_err *err)
{
    struct weir_shared_grammar *place = NULL;
    for (uint32_t index = 0; index < grammars->count; index++) {
        struct weir_shared_grammar *other = &grammars->places[index];
        if (other->grammar != NULL && other->kind == kind && other->length == length &&
            memcmp(other->text, text, length) == 0) {
            place = other;
            break;
        }
        if (is_free(other) && (place == NULL || other->used < place->used))
            place = other;
    }
    if (place == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "%u schemas or grammars are in use, as many as this server holds "
                         "(--grammars)",
                         grammars->count);
    const bool is_there = place->grammar != NULL && place->kind == kind &&
                          place->length == length && memcmp(place->text, text, length) == 0;
    if (!is_there)
        WEIR_TRY(fill(grammars, place, kind, text, length, err));
    place->used = ++grammars->clock;
    atomic_fetch_add_explicit(&place->users, 1, memory_order_relaxed);
    *out = place;
    return WEIR_OK;
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
