/* cli.h - what the commands share: the console, files, an open engine, reports.
 *
 * Job       Turn words on a command line into calls of weir.h and its answers into text or JSON.
 * Not here  Anything that computes: a command does what a stranger could do with weir.h.
 * Owns      A rig owns its engine and session; a buffer owns its bytes; files are closed by
 *           whoever opened them.
 * Threads   One. A signal only sets a flag and cancels the watched session.
 * Errors    Printed once, where they are found; commands return an enum weir_cli_exit.
 */
#ifndef WEIR_CLI_H
#define WEIR_CLI_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "console.h"
#include "energy.h"
#include "kept.h"
#include "options.h"
#include "streams.h"
#include "weir.h"
#include "weir_bench.h"

enum weir_cli_exit { WEIR_CLI_OK = 0, WEIR_CLI_FAILURE = 1, WEIR_CLI_USAGE = 2 };

/* ---- commands ------------------------------------------------------------------------------ */

int weir_cli_run(const struct weir_cli_options *options);
int weir_cli_chat(const struct weir_cli_options *options);
int weir_cli_serve(const struct weir_cli_options *options);
int weir_cli_info(const struct weir_cli_options *options);
int weir_cli_plan(const struct weir_cli_options *options);
int weir_cli_calibrate(const struct weir_cli_options *options);
int weir_cli_eval(const struct weir_cli_options *options);
int weir_cli_eval_compare(const struct weir_cli_options *options);
int weir_cli_imatrix(const struct weir_cli_options *options);
int weir_cli_bench(const struct weir_cli_options *options);
int weir_cli_convert(const struct weir_cli_options *options);
int weir_cli_quantize(const struct weir_cli_options *options);
int weir_cli_pull(const struct weir_cli_options *options);
int weir_cli_models(const struct weir_cli_options *options);
int weir_cli_tokenize(const struct weir_cli_options *options);
int weir_cli_template(const struct weir_cli_options *options);
int weir_cli_doctor(const struct weir_cli_options *options);
int weir_cli_trace_record(const struct weir_cli_options *options);
int weir_cli_trace_replay(const struct weir_cli_options *options);
int weir_cli_trace_show(const struct weir_cli_options *options);

/* ---- bytes in and out (files.c) ------------------------------------------------------------ */

struct weir_cli_buffer {
    char *bytes; /* length bytes and a NUL */
    size_t length, capacity;
};

bool weir_cli_buffer_append(struct weir_cli_buffer *buffer, const char *bytes, size_t length);
void weir_cli_buffer_free(struct weir_cli_buffer *buffer);
/* All of a file, which "-" is standard input, but no more than most bytes. False: it has been said;
 * option is its name for messages. */
bool weir_cli_file_read(struct weir_cli_buffer *buffer, const char *option, const char *path,
                        size_t most);
/* Token ids apart by white space or commas. what names the source in the message. */
bool weir_cli_ids_parse(const char *what, const char *text, uint32_t **ids, size_t *count);
/* Of a model that can run. False: it cannot, and why has been said. */
bool weir_cli_model_info(struct weir_model_info *info, const char *model_path);
/* Whether the model's vocabulary has all of them, found out before the model is loaded. */
bool weir_cli_ids_check(const char *what, const char *model_path, const uint32_t *ids,
                        size_t count);

/* ---- files out (outputs.c) ----------------------------------------------------------------- */

enum { WEIR_CLI_PATH_MAX = 4096 };

/* A file being written. What has its name is replaced when it is finished whole, and not before. */
struct weir_cli_out {
    FILE *file; /* NULL: none */
    const char *path;
    char target[WEIR_CLI_PATH_MAX];    /* the path behind links */
    char temporary[WEIR_CLI_PATH_MAX]; /* what is written until then; empty: path itself */
};
/* Whether each output is a file that is neither an input nor another output, and standard input is
 * read once; argument names what the command reads. False: it has been said. */
bool weir_cli_outputs_check(const struct weir_cli_options *options, const char *argument);
bool weir_cli_out_open(struct weir_cli_out *out, const char *path);
/* Every folder of the path, for its owner alone; those that are there already do no harm. */
void weir_cli_folders_make(const char *path);
/* False when not all of it could be written: it has been said, and nothing is replaced. */
bool weir_cli_out_finish(struct weir_cli_out *out);
void weir_cli_out_discard(struct weir_cli_out *out);

/* ---- calibrations (calibration.c, calibrate.c) --------------------------------------------- */

struct weir_cli_calibration {
    struct weir_calibration found;
    char date[32];                /* UTC, ISO 8601 */
    char path[WEIR_CLI_PATH_MAX]; /* of the file that keeps it; empty when none does */
};

/* What weir calibrate kept for this file. False when there is none, or none that can be used: then
 * it has been said, with the file's name. */
bool weir_cli_calibration_load(struct weir_cli_calibration *kept, const char *model_path);
/* Write it to the cache folder; fills date and path. False when it cannot: it has been said. */
bool weir_cli_calibration_keep(struct weir_cli_calibration *kept);
/* The speeds of a GPU, beside them. */
bool weir_cli_calibration_keep_gpu(const json_t *speeds);
json_t *weir_cli_calibration_json(const struct weir_calibration *calibration);
/* A bar on stderr for weir_calibrate(); user is what is measured, a text. */
bool weir_cli_calibrate_tell(void *user, double share);

/* ---- an open engine (rig.c) ---------------------------------------------------------------- */

struct weir_cli_rig {
    weir_engine *engine;
    weir_session *session;
    struct weir_cli_out stats;    /* where --stats goes */
    struct weir_cli_out timeline; /* where --trace goes */
    struct weir_cli_calibration calibration;
    bool is_calibrated;
    struct weir_cli_kept kept;
    struct weir_cli_energy energy; /* counted from the end of the load */
    uint64_t start_ns;             /* when the load began */
    double load_s;
};

/* The configuration the options ask for; config borrows bench. False when an option contradicts: it
 * has been said. */
bool weir_cli_config_fill(struct weir_config *config, struct weir_bench_config *bench,
                          const struct weir_cli_options *options, const char *command);
/* Words of --gpu-experts, which may be NULL. False: the user has been told. */
bool weir_cli_gpu_experts_read(struct weir_bench_config *bench, const char *text,
                               const char *command);
/* Open --stats, --trace, the engine and a session; progress is shown, unless config has a function
 * for it. On failure it has been said and rig is closed; returns an enum weir_cli_exit. */
int weir_cli_rig_open(struct weir_cli_rig *rig, const struct weir_config *config,
                      const struct weir_cli_options *options);
/* The same in two halves, as weir_engine_begin() and weir_engine_finish(); what config points to
 * lives until the second. When config's progress has asked for the end, nothing is said. */
int weir_cli_rig_begin(struct weir_cli_rig *rig, const struct weir_config *config,
                       const struct weir_cli_options *options);
int weir_cli_rig_finish(struct weir_cli_rig *rig, const struct weir_cli_options *options);
/* NULL when none was kept that fits. */
const struct weir_cli_calibration *weir_cli_rig_calibration(const struct weir_cli_rig *rig);
/* What can be done about a context that is full. */
const char *weir_cli_context_advice(const weir_engine *engine);
void weir_cli_rig_close(struct weir_cli_rig *rig);

/* ---- reports (report.c) -------------------------------------------------------------------- */

/* A number that does not apply: null in JSON, left out in text. */
#define WEIR_CLI_NONE ((double)NAN)

/* What run, eval and bench measured. WEIR_CLI_NONE and UINT64_MAX mean "does not apply". */
struct weir_cli_report {
    const weir_engine *engine;
    const struct weir_cli_calibration *calibration; /* NULL: none fits */
    const char *model_path;
    const char *advice; /* which advice of the model's file is followed; NULL or empty: none */
    double load_s, first_token_s; /* the latter from the beginning of the load */
    bool is_prompt; /* prefill computed prompts of prompt_tokens each, and nothing else */
    uint64_t prompt_tokens;
    double prefill_s, decode_s;
    double prefill_j, decode_j;           /* joules of the processors; NAN: not known */
    uint64_t prefill_evals, decode_evals; /* tokens computed in each phase */
    struct weir_stats prefill, whole;     /* counters after prefill, and at the end */
};

/* Bytes read from the device per decoded token, and the hit rate of decode (of everything when
 * nothing was decoded); WEIR_CLI_NONE when there is no such number. */
double weir_cli_report_token_bytes(const struct weir_cli_report *report);
double weir_cli_report_hit_rate(const struct weir_cli_report *report);
/* The object of the contract, with null for what only some commands know. NULL: no memory. */
json_t *weir_cli_report_json(const struct weir_cli_report *report);
/* The members that weir eval compare sets the quality against. */
void weir_cli_report_add_model(json_t *object, const struct weir_model_info *info);
/* A line for people on stderr, what it is about and the rest: on a terminal it folds at words. */
void weir_cli_report_line(const char *head, const char *text);
/* A few lines for people, on stderr. */
void weir_cli_report_print(const struct weir_cli_report *report);
/* The plan's lines as a table that adds up. */
void weir_cli_plan_print(FILE *file, const struct weir_plan *plan);

/* ---- forecasts (expected.c) ---------------------------------------------------------------- */

json_t *weir_cli_expected_json(const struct weir_expected *expected);
/* Where the speeds come from; null for NULL. */
json_t *weir_cli_calibration_note(const struct weir_cli_calibration *kept);
/* On standard output, a line a figure, and one number each; calibration is the one behind expected,
 * or NULL. */
void weir_cli_expected_print(const struct weir_expected *expected, double decode_tps,
                             const struct weir_plan *plan,
                             const struct weir_calibration *calibration);
/* The forecast for what the report tells of, and which of its figures held. */
json_t *weir_cli_outcome_json(const struct weir_cli_report *report);
/* One line on stderr about the figures that did not hold, if any. */
void weir_cli_outcome_print(const struct weir_cli_report *report);

/* ---- JSON (json_members.c) ----------------------------------------------------------------- */

/* Set a member; a number that is not finite or UINT64_MAX becomes null, bytes that are not UTF-8
 * U+FFFD.
 */
void weir_cli_json_real(json_t *object, const char *key, double value);
/* [low, high]; null when either is not finite. */
void weir_cli_json_band(json_t *object, const char *key, struct weir_band band);
void weir_cli_json_count(json_t *object, const char *key, uint64_t value);
void weir_cli_json_text(json_t *object, const char *key, const char *bytes, size_t length);
void weir_cli_json_ids(json_t *object, const char *key, const uint32_t *ids, size_t count);
json_t *weir_cli_json_string(const char *bytes, size_t length);
/* Print the object and free it. False when it could not be written: it has been said. */
bool weir_cli_json_print(json_t *object, FILE *file, const char *where);
/* After a measured command: the timeline goes to --trace, the object to --json and --stats. Frees
 * it. */
bool weir_cli_report_write(json_t *object, const struct weir_cli_options *options,
                           struct weir_cli_rig *rig);

#endif
