/* grammars.h - grammars in use: each is made ready once, and shared.
 *
 * Threads   find: the desk's. Giving back: any.
 */
#ifndef WEIR_SERVE_GRAMMARS_H
#define WEIR_SERVE_GRAMMARS_H

#include "base/base.h"
#include "weir.h"

/* What a text is to be: of a grammar, or a reply by rules of the one chat that is served. */
struct weir_grammar_wish {
    const char *text; /* [length] in GBNF; NULL: */
    size_t length;
    const struct weir_reply_rules *rules;
};

struct weir_shared_grammar;
struct weir_grammars;

/* Room for count of them; NULL: no memory. */
struct weir_grammars *weir_grammars_create(weir_tokenizer *tokenizer, uint32_t count);
void weir_grammars_destroy(struct weir_grammars **grammars);
/* The grammar of that wish, held until it is given back. Errors: those of weir_grammar_create() and
 * weir_grammar_of_reply(); NOMEM also: all places are in use. */
enum weir_status weir_grammars_find(struct weir_grammars *grammars,
                                    const struct weir_grammar_wish *wish,
                                    struct weir_shared_grammar **out, struct weir_err *err);
void weir_grammars_give_back(struct weir_shared_grammar *grammar);
const weir_grammar *weir_shared_grammar(const struct weir_shared_grammar *grammar);

#endif
