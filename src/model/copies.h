/* copies.h - the same experts in fewer bits, of another file: read in the place of those that are
 * not in memory and weigh little. What is computed then goes by what was in memory. */
#ifndef WEIR_MODEL_COPIES_H
#define WEIR_MODEL_COPIES_H

#include "model/model.h"

struct weir_forward;

/* Lend a model the experts of another, whose manifest's files follow the model's own in the engine
 * that reads them. Errors: FORMAT: it is another model, or its experts have no fewer bytes;
 * UNSUPPORTED: they lie in a way that is not built in, or there are too many layers. */
enum weir_status weir_copies_lend(struct weir_model *model, struct weir_model *copies,
                                  struct weir_err *err);
/* After both were laid out: biases and scales of experts are the model's own. */
void weir_copies_attach(const struct weir_model *model, struct weir_model *copies);
/* The store's layers: those of the model, then as many of copies. */
uint32_t weir_copies_store_layers(const struct weir_model *model);

/* Before rows are grouped: which experts matter to a row of the running layer. One that weighs less
 * than copy_share of all that the row uses does not, but the row's best always does. */
void weir_copies_mark(struct weir_forward *forward);
/* Afterwards: those that are not in memory and matter to no row become the last of distinct.
 * Returns how many. */
uint32_t weir_copies_split(struct weir_forward *forward);
/* Of the running layer. */
const struct weir_network *weir_copies_network(const struct weir_forward *forward);
uint32_t weir_copies_store_layer(const struct weir_forward *forward);

#endif
