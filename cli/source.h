/* source.h - texts and token ids that are read as they are wanted, and JSON written so: neither is
 * in memory as a whole. */
#ifndef WEIR_CLI_SOURCE_H
#define WEIR_CLI_SOURCE_H

#include "cli.h"

enum { WEIR_CLI_PART_BYTES = 1 << 14 };

/* The ids of a file, of standard input or of a text at hand. The caller sets the first four. */
struct weir_cli_source {
    bool drops_newline;           /* one at the very end is no part of the text */
    uint32_t n_vocab;             /* ids from there on are refused; 0: none is */
    uint64_t id_limit;            /* with an encoder: read no text that has more; 0: any */
    struct weir_cli_buffer *copy; /* gets every byte that is read; NULL: nobody wants them */
    weir_encoder *encoder;        /* NULL: ids are written down; else owned */
    uint64_t seen;                /* ids that what was read has at least */
    const char *name;             /* for messages */
    int fd;                       /* -1: the text at hand */
    const char *text;
    size_t text_left;
    char bytes[1 + WEIR_CLI_PART_BYTES]; /* the last part, behind a line break that was held back */
    size_t at, length;
    uint64_t read_bytes;
    bool has_newline; /* held back: it may be the last */
    bool has_ended;
    const uint32_t *ids; /* the encoder's, for the last part */
    size_t id_count, id_at;
    uint64_t given; /* before those */
    size_t number;  /* of ids that were written down */
};

/* "-" is standard input. False when it cannot be opened: it has been said. */
bool weir_cli_source_open(struct weir_cli_source *source, const char *path);
void weir_cli_source_text(struct weir_cli_source *source, const char *name, const char *text);
/* Cut a text into tokens; flags are enum weir_text_flags. False, and err, which is not said yet. */
bool weir_cli_source_encode(struct weir_cli_source *source, weir_tokenizer *tokenizer,
                            unsigned flags, struct weir_err *err);
/* The same for an engine, in chunks: *bos takes the place of each one's first id, where the
 * vocabulary wants that. False: it has been said. */
bool weir_cli_source_encode_chunks(struct weir_cli_source *source, weir_engine *engine,
                                   uint32_t *bos);
/* The next ids, at most `most`; fewer only at the end. False: it has been said, but for a text with
 * more than id_limit ids, of which `seen` are certain. */
bool weir_cli_source_next(struct weir_cli_source *source, uint32_t *ids, size_t most,
                          size_t *count);
/* Bytes that the file has; UINT64_MAX when it does not say. */
uint64_t weir_cli_source_bytes(const struct weir_cli_source *source);
/* Ids that it can have at most. */
uint32_t weir_cli_source_ids_max(const struct weir_cli_source *source);
/* Of its bytes, how many were read. */
uint64_t weir_cli_source_read_bytes(const struct weir_cli_source *source);
bool weir_cli_source_is_over(const struct weir_cli_source *source);
void weir_cli_source_close(struct weir_cli_source *source);

/* A string in ASCII; bytes that are not UTF-8 become U+FFFD. The caller writes its quotes. */
struct weir_cli_json_part {
    FILE *file;
    char held[4]; /* of a character that is not whole yet */
    size_t held_count;
};
/* ends: a character that is not whole is none. */
void weir_cli_json_part(struct weir_cli_json_part *part, const char *bytes, size_t length,
                        bool ends);

#endif
