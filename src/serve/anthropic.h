/* anthropic.h - a request of Anthropic's API as a chat of OpenAI's. */
#ifndef WEIR_SERVE_ANTHROPIC_H
#define WEIR_SERVE_ANTHROPIC_H

#include "serve/exchange.h"

/* The chat, which the caller owns; its values are shared with root. Members that all chats have are
 * called as the dialect says. NULL: the exchange has a problem. only_count: what says how an answer
 * is written is not there. */
json_t *weir_anthropic_chat(struct weir_exchange *exchange, json_t *root, bool only_count);

#endif
