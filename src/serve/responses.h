/* responses.h - a request of OpenAI's Responses API as a chat of its older one. */
#ifndef WEIR_SERVE_RESPONSES_H
#define WEIR_SERVE_RESPONSES_H

#include "serve/request.h"

/* The chat of these items, which the caller owns; its values are shared with root and items.
 * Members that all chats have are called as the dialect says. NULL: the exchange has a problem. */
json_t *weir_responses_chat(struct weir_exchange *exchange, json_t *root, const json_t *items);
/* What the answer has again of such a request, which has been looked at. */
void weir_responses_echo(struct weir_request *request, json_t *root);

#endif
