/* draft.h - a chat of OpenAI's that is put together of a request of another API.
 *
 * What goes wrong is the problem's; afterwards the draft only has to be dropped.
 */
#ifndef WEIR_SERVE_DRAFT_H
#define WEIR_SERVE_DRAFT_H

#include "serve/fields.h"
#include "serve/server.h"
#include "serve/writer.h"

struct weir_draft {
    const struct weir_serve *serve;
    struct weir_problem *problem;
    json_t *messages;
};

/* Take over the value. */
void weir_draft_set(struct weir_draft *draft, json_t *object, const char *name, json_t *value);
void weir_draft_append(struct weir_draft *draft, json_t *array, json_t *value);
/* Borrows the value; NULL: the object has no such member. */
void weir_draft_share(struct weir_draft *draft, json_t *object, const char *name, json_t *value);
/* A string; NULL: no memory. */
json_t *weir_draft_text(const struct weir_writer *text);
/* A message of that role, whose text is taken out of the writer; borrowed. NULL: a problem. */
json_t *weir_draft_message(struct weir_draft *draft, const char *role, struct weir_writer *text);
/* A function that may be called, of an object with that name for its schema; and one that was. */
void weir_draft_tool(struct weir_draft *draft, json_t *tools, json_t *given,
                     const char *schema_name);
void weir_draft_call(struct weir_draft *draft, json_t *calls, json_t *id, json_t *name,
                     const char *arguments);
/* A tool_choice that is a function of that name. */
void weir_draft_choice(struct weir_draft *draft, json_t *chat, json_t *name);
bool weir_draft_is_word(const json_t *value, const char *word);

#endif
