/* reasoning.h - how long a model may reason: a budget of tokens, or until somebody says that it is
 * enough. Then the marks that end it are written for the model, which goes on with its answer.
 *
 * Threads   Closings are made when the server is opened, and constant from then on. What has a
 *           choice: the scheduler's thread. Running requests: any.
 */
#ifndef WEIR_SERVE_REASONING_H
#define WEIR_SERVE_REASONING_H

#include "serve/request.h"

struct weir_closings;

/* The ids with which the families end reasoning. Errors: NOMEM, and those of encoding. */
enum weir_status weir_closings_create(struct weir_closings **out, weir_tokenizer *tokenizer,
                                      struct weir_err *err);
void weir_closings_destroy(struct weir_closings **closings);

/* Before a token is told to the choice's reply: it counts where reasoning goes on. */
void weir_reasoning_count(struct weir_choice_text *choice);
/* Behind it: where it is enough, the ids that end it are the job's next ones. */
void weir_reasoning_watch(struct weir_choice_text *choice);

/* Requests that run can be found by their names. */
void weir_running_add(struct weir_request *request);
void weir_running_remove(struct weir_request *request);
/* Streams in which nothing has come for so long get a sign of life. One thread at a time. */
void weir_running_beat(struct weir_serve *serve);
void weir_control_read(struct weir_exchange *exchange, json_t *root);

#endif
