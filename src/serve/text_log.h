/* text_log.h - what is asked and answered, in the log, for who wants that (--log-text).
 *
 * A text is told in parts, each a line that a pipe takes at once: the parts of one have the same
 * name and number, and follow each other. What a terminal would obey is made visible. */
#ifndef WEIR_SERVE_TEXT_LOG_H
#define WEIR_SERVE_TEXT_LOG_H

#include "base/base.h"
#include "weir.h"

struct weir_serve;

/* A text that comes token by token; zeros: nothing has come. */
struct weir_text_log {
    size_t length;
    char bytes[1024]; /* that are not told yet */
};

/* A token more of the text; what: "prompt" or "answer". */
void weir_text_log_put(struct weir_text_log *log, struct weir_serve *serve, const char *name,
                       uint32_t number, const char *what, uint32_t id);
void weir_text_log_end(struct weir_text_log *log, struct weir_serve *serve, const char *name,
                       uint32_t number, const char *what);
/* A whole one. */
void weir_text_log_ids(struct weir_serve *serve, const char *name, uint32_t number,
                       const char *what, const uint32_t *ids, size_t count);

#endif
