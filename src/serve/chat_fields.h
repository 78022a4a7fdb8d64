/* chat_fields.h - what a chat asks for, as OpenAI's API writes it. */
#ifndef WEIR_SERVE_CHAT_FIELDS_H
#define WEIR_SERVE_CHAT_FIELDS_H

#include "serve/request.h"

/* All members: the request is ready to start, or there is a problem. Whoever calls has looked at
 * their names (weir_request_check()). */
void weir_chat_read(struct weir_request *request, const struct weir_fields *fields);
/* The same of one that is not started: only what it would be asked. weir_ids_free() frees the ids;
 * none: there is a problem. */
void weir_chat_prompt(struct weir_request *request, const struct weir_fields *fields,
                      uint32_t **ids, size_t *count);
/* Only how tokens are chosen, and when the answer ends. */
void weir_chat_choices_read(struct weir_request *request, const struct weir_fields *fields);
/* An array of the efforts of reasoning that the template tells apart; empty: it cannot be asked. */
void weir_chat_write_efforts(const weir_chat *chat, struct weir_writer *writer);
/* Only how many tokens its prompt has. */
size_t weir_chat_count(struct weir_request *request, const struct weir_fields *fields);

#endif
