/* console.h - what the commands say: messages, the line that tells what goes on, and signals.
 *
 * Job       Everything on standard error, and texts on terminals; signals.
 * Not here  What is said: that is in the commands. The streams themselves: streams.h.
 * Owns      The line at the bottom of a terminal, and the process's signal handlers.
 * Threads   One. A signal only sets a flag and cancels the watched session.
 * Errors    What cannot be written to standard error is lost.
 */
#ifndef WEIR_CLI_CONSOLE_H
#define WEIR_CLI_CONSOLE_H

#include <stdio.h>

#include "base/base.h"
#include "weir.h"

/* ---- console (console.c) ------------------------------------------------------------------- */

/* A text from a file or from the command line as a terminal may have it, for the arguments of a
 * printf: valid until WEIR_CLI_SHOWN_COUNT more are. Everything such that is printed and is no
 * message goes through here; messages do so by themselves. */
enum { WEIR_CLI_SHOWN_COUNT = 4 };
const char *weir_cli_shown(const char *text);

/* "weir: " and the sentence, on stderr. */
void weir_cli_say(const char *format, ...) WEIR_PRINTF(1, 2);
/* Where messages have this text, they are told without it: a folder that means nothing to people.
 * NULL: none. */
void weir_cli_message_cut(const char *text);
/* The same for a mistake in the command line, with where to read more. Returns WEIR_CLI_USAGE. */
int weir_cli_misuse(const char *command, const char *format, ...) WEIR_PRINTF(2, 3);
/* Say why it failed; a stop that was asked for is only called "stopped". Returns FAILURE. */
int weir_cli_fail(const struct weir_err *err);

/* From here on only results, warnings and errors are told. */
void weir_cli_quiet_set(bool quiet);
bool weir_cli_is_quiet(void);
/* Whether the file shows colours: a terminal, and NO_COLOR is not set. */
bool weir_cli_has_colour(FILE *file);
/* Columns of the terminal that the file is; 80 when it is none or does not say. */
size_t weir_cli_columns(FILE *file);

/* From here on SIGINT and SIGTERM ask for a stop (a second one kills), and a closed pipe is an
 * error of write. */
void weir_cli_signals_catch(void);
bool weir_cli_stop_asked(void);
/* The exit status: of a command that a signal ended, the shell's 128 and its number. */
int weir_cli_exit_code(int code);
/* The session a signal cancels; NULL for none. */
void weir_cli_signals_watch(weir_session *session);

/* From here on SIGINT does not end the program: it cancels what the watched session computes, and
 * is seen until it is taken. */
void weir_cli_interrupts_catch(void);
bool weir_cli_interrupt_seen(void);
bool weir_cli_interrupt_take(void);

/* A bar on stderr when that is a terminal and the load takes longer than a moment. */
struct weir_cli_progress {
    uint64_t start_ns, shown_ns;
    const char *what;
};
bool weir_cli_progress_tell(void *user, const char *what, uint64_t done_bytes,
                            uint64_t total_bytes);
/* Bytes that a model wrote to standard output at once: as they are, but on a terminal what it would
 * obey is shown. False when they could not be written. */
bool weir_cli_text_write(const char *bytes, size_t length);
/* The same of what stands beside the text, such as reasoning: on standard error, dim on a terminal
 * unless NO_COLOR is set. */
void weir_cli_aside_write(const char *bytes, size_t length);
/* The text that the model goes on with, dim, on a terminal only. */
void weir_cli_prompt_show(const char *bytes, size_t length);
/* What the engine did on its own, or finds odd about the file, as a line of its own. */
void weir_cli_notice_tell(void *user, const char *text);
/* The same for all that is odd about a file. */
void weir_cli_warnings_tell(const struct weir_warnings *warnings);
/* Why no text can be cut into tokens, unless the warnings, which were told, say so already, and
 * what to do instead. Returns FAILURE. */
int weir_cli_no_text(const struct weir_warnings *told, const char *why, const char *advice);
/* One line that overwrites the last one, on a terminal only; NULL clears it. */
void weir_cli_status_line(const char *format, ...) WEIR_PRINTF(1, 2);
void weir_cli_status_clear(void);

/* ---- prompts (progress.c) ------------------------------------------------------------------- */

/* How far the rig's session is with a prompt: a bar on stderr when that is a terminal. Takes the
 * place of who watches the session's routing. Models without experts show none. */
struct weir_cli_rig;
struct weir_cli_prompt_progress {
    weir_session *session;
    uint64_t start_ns, shown_ns;
    uint32_t first, total; /* the position of its first token, and how many it has */
    uint32_t n_layer;
    uint32_t piece;  /* tokens to compute at a time, so that there is something to tell */
    char before[32]; /* what the line begins with */
};
void weir_cli_prompt_progress_begin(struct weir_cli_prompt_progress *progress,
                                    const struct weir_cli_rig *rig, size_t count);
/* So many tokens of it are computed. */
void weir_cli_prompt_progress_tell(struct weir_cli_prompt_progress *progress, double done);
void weir_cli_prompt_progress_end(struct weir_cli_prompt_progress *progress);

#endif
