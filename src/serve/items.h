/* items.h - the items of a conversation of the Responses API: those that a kept response has, and
 * those that come with a request; and how they are kept. */
#ifndef WEIR_SERVE_ITEMS_H
#define WEIR_SERVE_ITEMS_H

#include "serve/exchange.h"

/* All of them, an array that the caller owns: those of previous_response_id, what it answered, and
 * the input. NULL: the exchange has a problem. */
json_t *weir_items_gather(struct weir_exchange *exchange, json_t *root);
/* Each as a line, with an id, a type and a content of parts. */
void weir_items_write(struct weir_serve *serve, const json_t *items, struct weir_writer *lines);
/* An item's id, in its line, and how long it is. */
const char *weir_item_id(const char *line, size_t length, size_t *id_length);

#endif
