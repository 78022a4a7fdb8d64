/* grammars.h - schemas and grammars in use: each is made ready once, and shared.
 *
 * Threads   find: the desk's. Giving back: any.
 */
#ifndef WEIR_SERVE_GRAMMARS_H
#define WEIR_SERVE_GRAMMARS_H

#include "base/base.h"
#include "weir.h"

enum weir_grammar_kind { WEIR_GRAMMAR_SCHEMA, WEIR_GRAMMAR_TEXT };

struct weir_shared_grammar;
struct weir_grammars;

/* Room for count of them; NULL: no memory. */
struct weir_grammars *weir_grammars_create(weir_tokenizer *tokenizer, uint32_t count);
void weir_grammars_destroy(struct weir_grammars **grammars);
/* The grammar of that text, held until it is given back. Errors: those of weir_grammar_create() and
 * weir_grammar_from_schema(); ARG: all places are in use. */
enum weir_status weir_grammars_find(struct weir_grammars *grammars, enum weir_grammar_kind kind,
                                    const char *text, size_t length,
                                    struct weir_shared_grammar **out, struct weir_err *err);
void weir_grammars_give_back(struct weir_shared_grammar *grammar);
const weir_grammar *weir_shared_grammar(const struct weir_shared_grammar *grammar);

#endif
