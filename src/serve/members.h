/* members.h - what the bodies of requests may have, each member with a JSON Schema of its values:
 * one table for reading and for /openapi.json. */
#ifndef WEIR_SERVE_MEMBERS_H
#define WEIR_SERVE_MEMBERS_H

#include "serve/fields.h"

/* How tokens are chosen: of all that write a text. */
extern const struct weir_member weir_sampling_members[];
/* Of chats and completions, with those; and what each has beside them. */
extern const struct weir_member weir_shared_members[];
extern const struct weir_member weir_chat_members[];
extern const struct weir_member weir_completion_members[];
/* Of messages and of counting their tokens; and what messages have beside them. */
extern const struct weir_member weir_count_members[];
extern const struct weir_member weir_message_members[];
/* Beside those that choose tokens. */
extern const struct weir_member weir_responses_members[];
extern const struct weir_member weir_embeddings_members[];
extern const struct weir_member weir_control_members[];
extern const struct weir_member weir_tokenize_members[];
extern const struct weir_member weir_detokenize_members[];

#endif
