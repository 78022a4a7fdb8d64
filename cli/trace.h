/* trace.h - routing traces on the command line: reading, recording, replaying, drawing.
 *
 * Job       Which experts a text used, in a file: write it while a text is generated, read it back
 *           from three formats, tell what each policy would have made of it.
 * Not here  The policies: weir_trace_replay() runs the engine's own code.
 * Shapes    experts[n_token][n_layer][n_expert_used], only layers that have experts.
 * Owns      A trace that was read owns its experts; a tap owns its file and the ids of one chunk.
 * Threads   One.
 * Errors    Printed where they are found, with the file, the line, the wanted and the found.
 * Limits    A line has at most 1 MiB, the ids of a trace at most 256 MiB.
 * Source    docs/formats/trace.md
 */
#ifndef WEIR_CLI_TRACE_H
#define WEIR_CLI_TRACE_H

#include "cli.h"

/* The share of the generated tokens that only warm the cache; the others are counted. */
#define WEIR_CLI_WARM_SHARE (1.0 / 3.0)

/* ---- reading (trace_read.c) ---------------------------------------------------------------- */

struct weir_cli_trace {
    struct weir_trace trace; /* its experts are the ones below */
    uint16_t *experts;
    const char *path;
    const char *format;   /* "weir", "jsonl" or "csv" */
    bool guessed_experts; /* the file does not say n_expert: the largest id and one */
};

/* Read a file of any of the three formats to its end. On failure trace is empty, and *line_number
 * is the line that is wrong. Errors: FORMAT, IO, NOMEM, CANCELLED. */
enum weir_status weir_cli_trace_parse(struct weir_cli_trace *trace, FILE *file,
                                      uint64_t *line_number, struct weir_err *err);
/* The same of a path; "-" is standard input. False when it cannot: it has been said, and trace is
 * empty. */
bool weir_cli_trace_read(struct weir_cli_trace *trace, const char *path);
void weir_cli_trace_free(struct weir_cli_trace *trace);
/* Whether it is of a model with these experts; another's says nothing about this one. False: it has
 * been said. An n_expert that was guessed becomes the model's. */
bool weir_cli_trace_fit(struct weir_cli_trace *trace, const struct weir_token_cost *cost);

/* ---- recording (trace_tap.c) --------------------------------------------------------------- */

struct weir_cli_tap {
    struct weir_cli_out out; /* its file is NULL when nothing is recorded */
    weir_session *session;   /* the one watched */
    uint32_t n_layer, n_expert_used;
    uint32_t chunk_max; /* tokens that experts has room for */
    uint16_t *experts;  /* [chunk_max][n_layer][n_expert_used] of the running chunk */
    uint32_t chunk_position, chunk_count;
    uint64_t token_count; /* lines written */
    bool failed;          /* said when the file is finished */
};

/* Open the file and say in config what the tap will hold beside the engine. False: it has been
 * said. */
bool weir_cli_tap_open(struct weir_cli_tap *tap, const char *path, struct weir_config *config);
/* Write the first line and watch the session; no effect when no file is open. */
bool weir_cli_tap_begin(struct weir_cli_tap *tap, const struct weir_cli_rig *rig,
                        const char *model_path, size_t prompt_count);
/* Finish the file; it is removed when it lacks a part of the prompt. */
bool weir_cli_tap_finish(struct weir_cli_tap *tap, size_t prompt_count);
/* The file is removed if it is not finished. */
void weir_cli_tap_close(struct weir_cli_tap *tap);

/* ---- drawing (trace_draw.c) ---------------------------------------------------------------- */

/* A picture's cells: of row_step layers and col_step experts each. */
struct weir_cli_grid {
    uint32_t row_step, col_step, row_count, col_count;
};

/* What a replay told, token by token and cell by cell. */
struct weir_cli_picture {
    const struct weir_cli_trace *source;
    const char *policy;
    bool pool;
    double fraction; /* of all experts that have slots; 0: n_slot a layer */
    uint32_t n_slot;
    struct weir_replay_result result;
    struct weir_cli_grid grid;
    uint64_t *uses, *misses; /* [row_count][col_count] of the counted tokens */
    uint32_t *token_misses;  /* [n_token] of all tokens */
    uint32_t counted_from;   /* the first token that counts; n_token when none does */
};

/* Memory for what a replay of the picture's source will tell; NOMEM. */
enum weir_status weir_cli_picture_open(struct weir_cli_picture *picture, struct weir_err *err);
/* A weir_replay_fn whose user is a picture. */
void weir_cli_picture_take(void *user, uint32_t token, uint32_t layer, const uint32_t *experts,
                           const bool *hits, uint32_t count, bool is_counted);
/* One SVG that needs nothing beside it. Errors of file stay in file. */
void weir_cli_picture_draw(const struct weir_cli_picture *picture, FILE *file);
void weir_cli_picture_close(struct weir_cli_picture *picture);

#endif
