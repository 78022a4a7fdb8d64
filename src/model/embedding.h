/* embedding.h - the rows of tables that a step begins with. */
#ifndef WEIR_MODEL_EMBEDDING_H
#define WEIR_MODEL_EMBEDDING_H

#include "model/forward.h"

/* What is done with a token's row of a table, which is as the file has it. */
typedef void weir_table_row_fn(struct weir_forward *forward, uint32_t token, const uint8_t *row);
void weir_embedding_layout(struct weir_forward *forward, struct weir_mem *mem);
/* Calls take for each row of the step, in any order. Errors: IO, FORMAT. */
enum weir_status weir_table_read(struct weir_forward *forward, enum weir_table table,
                                 weir_table_row_fn *take, struct weir_err *err);
/* residual = the embedding of the step's rows. Errors: IO, FORMAT. */
enum weir_status weir_embed(struct weir_forward *forward, struct weir_err *err);

#endif
