/* embeddings.h - a request for embeddings: its texts, one after the other.
 *
 * Threads   The desk makes it; from then on it is the scheduler's.
 */
#ifndef WEIR_SERVE_EMBEDDINGS_H
#define WEIR_SERVE_EMBEDDINGS_H

#include "serve/exchange.h"

void weir_embeddings_read(struct weir_exchange *exchange, json_t *root);
void weir_embedding_destroy(struct weir_embedding **embedding);

#endif
