/* talk.h - weir chat: a conversation on the terminal, or a script of its lines.
 *
 * Job       Lines in; commands that begin with a slash; turns that keep what the last one computed.
 * Not here  How messages become a prompt (chat.h), how tokens are chosen (sampling.h).
 * Owns      A talk owns its rig, its messages and its line reader.
 * Threads   One. SIGINT cancels the turn that runs; chat_line.c takes it while a line is typed.
 * Errors    Printed where they are found; a turn that fails leaves the conversation as it was.
 * Limits    A line, and all texts of the context, have weir_cli_chat_text_max() bytes; messages
 *           that have left the context are kept up to as many again.
 */
#ifndef WEIR_CLI_TALK_H
#define WEIR_CLI_TALK_H

#include "advice.h"
#include "chat.h"
#include "sampling.h"

/* ---- lines (chat_line.c) -------------------------------------------------------------------- */

typedef struct weir_cli_lines weir_cli_lines;

enum weir_cli_line { WEIR_CLI_LINE, WEIR_CLI_LINE_END, WEIR_CLI_LINE_INTERRUPT };

/* most: bytes of a line. NULL: it has been said. */
weir_cli_lines *weir_cli_lines_open(size_t most);
void weir_cli_lines_close(weir_cli_lines **lines);
/* Somebody types them at a terminal. */
bool weir_cli_lines_typed(const weir_cli_lines *lines);
/* The next line without its end, as one text where a backslash ends it; a paste is one line. */
enum weir_cli_line weir_cli_lines_read(weir_cli_lines *lines, struct weir_cli_buffer *line);

/* ---- the conversation ----------------------------------------------------------------------- */

struct weir_cli_talk {
    struct weir_cli_options options;  /* a copy, which /set changes */
    char advice[WEIR_CLI_ADVICE_MAX]; /* of the model's file, that is followed */
    struct weir_cli_rig rig;
    weir_tokenizer *tokenizer; /* borrowed */
    struct weir_cli_chat chat;
    struct weir_cli_sampling sampling; /* what of it is read once: the grammar */
    weir_cli_lines *lines;
    json_t *messages; /* an array; the first may be the system's */
    size_t first;     /* of the others, the first that is still in the context */
    uint32_t *ids;    /* [n_ctx] what the session holds */
    size_t id_count;
    uint32_t n_ctx;
    uint64_t text_max;             /* bytes of a message */
    uint64_t turn_count;           /* answers begun, each with a seed of its own */
    struct weir_cli_report report; /* of the last turn */
    bool has_report;
};

bool weir_cli_talk_has_system(const struct weir_cli_talk *talk);
/* All messages are in the context again, as far as they fit. */
void weir_cli_talk_open_window(struct weir_cli_talk *talk);

/* ---- turns (chat_turn.c) -------------------------------------------------------------------- */

enum weir_cli_turn {
    WEIR_CLI_TURN_DONE,
    WEIR_CLI_TURN_FAILED, /* there is no answer; why has been said */
    WEIR_CLI_TURN_OVER,   /* the program is to end */
};

/* Answer the last message, and add the answer to the conversation. */
enum weir_cli_turn weir_cli_talk_answer(struct weir_cli_talk *talk);

/* ---- commands (chat_words.c) ---------------------------------------------------------------- */

/* A line that begins with a slash. FAILED: it was wrong, which has been said. */
enum weir_cli_turn weir_cli_talk_command(struct weir_cli_talk *talk, const char *line);

#endif
