/* judge.h - what eval makes of the logits: surprise, bytes, and how far from a reference run.
 *
 * Job       Judge each scored position of a chunk; keep sums; compare with a reference, write one.
 * Not here  Evaluating: eval.c.
 * Owns      The reference, the file that is written, and all sums. The tokenizer is borrowed.
 * Threads   One.
 * Errors    Said where they are found; functions then return false.
 */
#ifndef WEIR_CLI_JUDGE_H
#define WEIR_CLI_JUDGE_H

#include "chunks.h"
#include "reference.h"

struct weir_cli_judge {
    weir_tokenizer *tokenizer; /* NULL: bytes are not known */
    uint32_t n_vocab;
    struct weir_cli_reference reference; /* its file is NULL when there is none */
    struct weir_cli_reference_out save;
    struct weir_cli_distance distance;
    struct weir_cli_chunks chunks;
    struct weir_cli_chunk chunk; /* the running one */
    uint32_t chunk_index;
    double nll, nll_square; /* sums */
    uint64_t count, bytes;
};

/* Open the files of --reference and --save-reference. */
bool weir_cli_judge_open(struct weir_cli_judge *judge, const struct weir_cli_options *options);
/* Whether the reference is of such a model; adds to caller_bytes what will be held, for a text of
 * about text_chunks chunks of which at most chunk_max are taken. */
bool weir_cli_judge_fit(struct weir_cli_judge *judge, const struct weir_model_info *info,
                        uint64_t text_chunks, uint64_t chunk_max, uint64_t *caller_bytes);
/* Before the first chunk; n_ctx, scored_from and bos are those of all chunks. */
bool weir_cli_judge_begin(struct weir_cli_judge *judge, const struct weir_cli_options *options,
                          const struct weir_model_info *info, uint32_t n_ctx, uint32_t scored_from,
                          uint32_t bos);
/* A chunk begins; ids [n_ctx] are those of the text, before bos takes the first one's place. */
bool weir_cli_judge_chunk(struct weir_cli_judge *judge, const uint32_t *ids, uint32_t n_ctx);
/* A scored position. */
bool weir_cli_judge_take(struct weir_cli_judge *judge, uint32_t position, const float *logits,
                         uint32_t next_id);
/* The chunk is whole. */
bool weir_cli_judge_chunk_end(struct weir_cli_judge *judge);
/* The members that eval's object has of it, and the lines for people on standard output. */
void weir_cli_judge_json(struct weir_cli_judge *judge, json_t *object);
void weir_cli_judge_print(struct weir_cli_judge *judge);
void weir_cli_judge_close(struct weir_cli_judge *judge);

#endif
