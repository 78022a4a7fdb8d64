/* chunks.h - what eval sums up chunk by chunk, for comparing two files on the same text.
 *
 * Job       Keep sums of each chunk, or of neighbouring ones together when there are many; write
 *           them as JSON, and read them back.
 * Not here  Comparing: compare.c.
 * Owns      A list owns its entries.
 * Threads   One.
 * Errors    add: false when there is no memory. read: FORMAT, NOMEM, not said yet.
 * Limits    WEIR_CLI_CHUNKS_MAX entries: when they are full each takes twice as many chunks.
 */
#ifndef WEIR_CLI_CHUNKS_H
#define WEIR_CLI_CHUNKS_H

#include "cli.h"

enum { WEIR_CLI_CHUNKS_MAX = 4096 };
/* What one entry takes, with its numbers in JSON: for the plan. */
enum { WEIR_CLI_CHUNK_BYTES = 640 };

struct weir_cli_chunk {
    uint64_t ids;   /* hash of all ids from the text's beginning to the end of this entry */
    uint64_t count; /* scored tokens; of multiple choice: questions, one an entry */
    uint64_t bytes; /* of text that they stand for; 0: not known */
    double nll;     /* nats; of multiple choice: not used */
    double kl;      /* nats; NAN: there was no reference */
    uint64_t same_top;
    uint64_t right, right_by_length; /* of multiple choice */
};

struct weir_cli_chunks {
    struct weir_cli_chunk *list;
    size_t count, capacity;
    uint64_t each; /* chunks of an entry */
    uint64_t open; /* chunks in the last one */
    uint64_t ids;  /* hash so far */
};

/* Goes on with the hash of ids. */
void weir_cli_chunks_hash(struct weir_cli_chunks *chunks, const uint32_t *ids, size_t count);
/* One more chunk; its ids are those that were hashed until now. */
bool weir_cli_chunks_add(struct weir_cli_chunks *chunks, const struct weir_cli_chunk *chunk);
/* "per_chunk": an object of arrays. */
json_t *weir_cli_chunks_json(const struct weir_cli_chunks *chunks, bool is_choice);
/* The same back. chunks is empty before; on failure it is to be freed all the same. */
enum weir_status weir_cli_chunks_read(struct weir_cli_chunks *chunks, const json_t *object,
                                      struct weir_err *err);
void weir_cli_chunks_free(struct weir_cli_chunks *chunks);

#endif
