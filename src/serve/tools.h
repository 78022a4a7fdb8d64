/* tools.h - tools in a chat: what may be called, and calls in what was said before. */
#ifndef WEIR_SERVE_TOOLS_H
#define WEIR_SERVE_TOOLS_H

#include "serve/request.h"

/* tools, tool_choice, parallel_tool_calls. */
void weir_tools_read(struct weir_request *request, const struct weir_fields *fields);
/* The calls of a message: arguments become what the template takes, a text or an object. */
void weir_tools_check_calls(json_t *message, bool wants_text, struct weir_problem *problem);
/* Whether a chat's template writes arguments that are a text as they are. */
bool weir_tools_take_text(const weir_chat *chat);
/* What a reply tells of calls goes to the choice. */
void weir_tools_hear(struct weir_choice_text *choice, const struct weir_reply_event *event);
/* Tools of other types go, if the server leaves such out; one without a type stays. */
void weir_tools_drop_others(const struct weir_serve *serve, json_t *root, const char *type);

#endif
