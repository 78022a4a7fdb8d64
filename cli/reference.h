/* reference.h - files of a reference run: its ids, and log-probabilities at each scored position.
 *
 * Job       Read such files, weir's own and those of llama-perplexity --kl-divergence-base; write
 *           weir's own.
 * Not here  What is made of the rows: likelihood.h.
 * Shapes    Chunks of n_ctx ids; of each, row_count rows of n_vocab codes.
 * Owns      A reference owns its file and one row; an output its file and one row.
 * Threads   One.
 * Errors    parse, ids and row: FORMAT, IO, NOMEM, not said yet. What has a path says it itself.
 * Limits    WEIR_CLI_REFERENCE_VOCAB_MAX ids of a vocabulary, one row in memory.
 * Source    docs/formats/reference.md
 */
#ifndef WEIR_CLI_REFERENCE_H
#define WEIR_CLI_REFERENCE_H

#include "cli.h"
#include "likelihood.h"

enum {
    WEIR_CLI_REFERENCE_VOCAB_MAX = 1 << 24,
    WEIR_CLI_REFERENCE_CTX_MAX = 1 << 24,
    WEIR_CLI_REFERENCE_NAME_MAX = 128,
    WEIR_CLI_REFERENCE_SUM_BYTES = 32,
};

/* What a file says of the run. */
struct weir_cli_reference_head {
    uint32_t n_vocab, n_ctx;
    uint32_t scored_from; /* the first position of a chunk that has a row; the last has none */
    uint32_t chunk_count;
    uint32_t bos;         /* what took the place of each chunk's first id; WEIR_ID_NONE: nothing */
    uint64_t model_bytes; /* of the model's file; 0: not known, as the two below */
    uint8_t model_sum[WEIR_CLI_REFERENCE_SUM_BYTES];
    char model_name[WEIR_CLI_REFERENCE_NAME_MAX]; /* ended by NUL */
};

struct weir_cli_reference {
    FILE *file; /* NULL: none */
    const char *path;
    bool is_peers; /* llama.cpp's: no bos, no names, and a row does not say its likeliest id */
    struct weir_cli_reference_head head;
    uint32_t row_count;       /* of a chunk */
    uint64_t ids_at, rows_at; /* of chunk 0 */
    uint64_t ids_step, rows_step, row_bytes;
    struct weir_cli_row row; /* the one read last */
    uint8_t *bytes;          /* [row_bytes] */
};

/* What one row takes, in file and memory alike: for the plan. */
uint64_t weir_cli_reference_row_bytes(uint32_t n_vocab);
/* Read the head. file is borrowed until close; on failure nothing is held. */
enum weir_status weir_cli_reference_parse(struct weir_cli_reference *reference, FILE *file,
                                          struct weir_err *err);
/* The same of a path. False: it has been said. */
bool weir_cli_reference_open(struct weir_cli_reference *reference, const char *path);
/* The ids of a chunk, before bos took its place. chunk < chunk_count. */
enum weir_status weir_cli_reference_ids(struct weir_cli_reference *reference, uint32_t chunk,
                                        uint32_t *ids, struct weir_err *err);
/* The row of a position: scored_from to n_ctx - 2. next_id is what came after it. */
enum weir_status weir_cli_reference_row(struct weir_cli_reference *reference, uint32_t chunk,
                                        uint32_t position, uint32_t next_id, struct weir_err *err);
void weir_cli_reference_close(struct weir_cli_reference *reference);

/* ---- writing (reference_out.c) ------------------------------------------------------------- */

struct weir_cli_reference_out {
    struct weir_cli_out out; /* its file is NULL when none is written */
    struct weir_cli_reference_head head;
    struct weir_cli_row row;
    uint8_t *bytes;
};

/* Open the file. False: it has been said. */
bool weir_cli_reference_out_open(struct weir_cli_reference_out *out, const char *path);
/* The model's length and checksum: SHA-256 of the length, the first MiB and the last MiB of its
 * file. Nothing is known of a directory. False: it cannot be read, which has been said. */
bool weir_cli_reference_out_model(struct weir_cli_reference_out *out, const char *model_path);
/* Once head is filled, but for chunk_count. False: it has been said, as in the two below. */
bool weir_cli_reference_out_begin(struct weir_cli_reference_out *out);
bool weir_cli_reference_out_chunk(struct weir_cli_reference_out *out, const uint32_t *ids);
bool weir_cli_reference_out_row(struct weir_cli_reference_out *out, const float *logits,
                                const struct weir_cli_softmax *softmax, uint32_t next_id);
bool weir_cli_reference_out_finish(struct weir_cli_reference_out *out);
/* The file is removed if it is not finished. */
void weir_cli_reference_out_close(struct weir_cli_reference_out *out);

#endif
