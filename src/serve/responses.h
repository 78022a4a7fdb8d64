/* responses.h - a request of OpenAI's Responses API as a chat of its older one. */
#ifndef WEIR_SERVE_RESPONSES_H
#define WEIR_SERVE_RESPONSES_H

#include "serve/exchange.h"

/* The chat, which the caller owns; its values are shared with root. Members that all chats have are
 * called as the dialect says. NULL: the exchange has a problem. */
json_t *weir_responses_chat(struct weir_exchange *exchange, json_t *root);

#endif
