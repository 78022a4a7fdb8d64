/* text_fields.h - a member that is a text, token ids, or an array of either. */
#ifndef WEIR_SERVE_TEXT_FIELDS_H
#define WEIR_SERVE_TEXT_FIELDS_H

#include "serve/exchange.h"

/* Told the ids of each; borrowed during the call. */
typedef void weir_text_field_fn(void *user, const uint32_t *ids, size_t count);

/* An id of the vocabulary, out of a member's array; false: it is none, and there is a problem. */
bool weir_text_field_id(const struct weir_serve *serve, const struct weir_fields *fields,
                        const char *name, const json_t *array, size_t index, uint32_t *id);
/* How many texts the member has; 0: there is a problem. */
size_t weir_text_field_count(const struct weir_fields *fields, const char *name);
/* Each of them in turn, until there is a problem; flags: those of weir_tokenizer_encode(). */
void weir_text_field_read(const struct weir_serve *serve, const struct weir_fields *fields,
                          const char *name, unsigned flags, weir_text_field_fn *take, void *user);

#endif
