/* chat.h - conversations on the command line: what template, run --chat and chat share. */
#ifndef WEIR_CLI_CHAT_H
#define WEIR_CLI_CHAT_H

#include "cli.h"

/* How a conversation becomes a prompt, as the options ask. */
struct weir_cli_chat {
    weir_chat *chat;
    const char *variables; /* JSON for --think; NULL: the template's own choice */
    uint64_t heap_bytes;   /* that chat holds */
};

/* memory_max as in struct weir_chat_config. False: it has been said. */
bool weir_cli_chat_open(struct weir_cli_chat *chat, const struct weir_cli_options *options,
                        uint64_t memory_max);
void weir_cli_chat_close(struct weir_cli_chat *chat);
/* --think once more, when it was changed. False: it cannot be had, which has been said. */
bool weir_cli_chat_think(struct weir_cli_chat *chat, const struct weir_cli_options *options);
/* The messages, a JSON array, as a prompt's ids. False: err says why. */
bool weir_cli_chat_encode(const struct weir_cli_chat *chat, weir_tokenizer *tokenizer,
                          const json_t *messages, uint32_t **ids, size_t *count,
                          struct weir_err *err);

/* ---- memory -------------------------------------------------------------------------------- */

/* Bytes that the texts of a conversation may have in a context of n_ctx positions (0: as the
 * engine chooses), and that a rendering of them may take. */
uint64_t weir_cli_chat_text_max(uint32_t n_ctx);
uint64_t weir_cli_chat_render_max(uint32_t n_ctx);
/* What all of it may take, for weir_config.caller_bytes. */
uint64_t weir_cli_chat_bytes(const struct weir_cli_chat *chat, uint32_t n_ctx);

/* ---- messages ------------------------------------------------------------------------------ */

/* Add {role, content}; bytes that are not UTF-8 become U+FFFD. False: no memory, which has been
 * said. */
bool weir_cli_message_add(json_t *messages, const char *role, const char *bytes, size_t length);

#endif
