/* kept.h - the experts that a run used most, for the next run of the same model.
 *
 * Job       Read the list before a model is opened, and write it before it is closed.
 * Not here  Which experts those are: weir_engine_kept_experts().
 * Owns      A list is its holder's until weir_cli_kept_free(); at most 16384 experts.
 * Threads   The main thread.
 * Errors    A list that is not there, or makes no sense, is empty: it is only a habit. One that
 *           cannot be written is told.
 */
#ifndef WEIR_CLI_KEPT_H
#define WEIR_CLI_KEPT_H

#include "weir.h"

struct weir_cli_kept {
    char path[4096];             /* empty: nothing is kept */
    struct weir_expert *experts; /* [count], on the heap */
    uint32_t count;
    uint64_t due_ns, wait_s; /* when it is to be written next, and how long after that again */
};

/* Where weir keeps what it has learned of models and machines. False when the environment names no
 * folder. The XDG base directory specification: a path that is not absolute is ignored. */
bool weir_cli_cache_folder(char *folder, size_t capacity);
/* The file there that has what is known of a model; one that was written anew is another model.
 * False: there is no folder, or no such model. */
bool weir_cli_kept_name(char *path, size_t capacity, const char *what, const char *model_path);
/* False: nothing is known. */
bool weir_cli_kept_load(struct weir_cli_kept *kept, const char *model_path);
/* Where the experts do not all fit; else nothing is written. */
void weir_cli_kept_save(struct weir_cli_kept *kept, weir_engine *engine);
/* The same of a list that was told. */
void weir_cli_kept_write(struct weir_cli_kept *kept, const struct weir_expert *experts,
                         uint32_t count);
/* Whether it is time to write it, so that a program that is killed loses little: a second after it
 * was opened, and then twice as long each time, up to a minute. */
bool weir_cli_kept_is_due(const struct weir_cli_kept *kept);
void weir_cli_kept_free(struct weir_cli_kept *kept);

#endif
