/* past.h - how fast earlier runs of a model were, and what that makes of a forecast.
 *
 * Job       Keep the speed of each run for people, and narrow the forecast of the next one by it.
 * Not here  The forecast itself: weir_plan_expect(). What is kept of experts: kept.h.
 * Owns      Nothing: a past is its holder's, on the stack; at most WEIR_CLI_PAST_MAX runs.
 * Threads   The main thread.
 * Errors    A file that is not there, or makes no sense, is an empty past: it is only a habit. One
 *           that cannot be written is told.
 */
#ifndef WEIR_CLI_PAST_H
#define WEIR_CLI_PAST_H

#include "cli.h"

enum { WEIR_CLI_PAST_MAX = 16 };

struct weir_cli_past_run {
    uint32_t n_slot; /* of experts, all layers together */
    uint32_t n_thread;
    char isa[16];
    double decode_tps;
};

struct weir_cli_past {
    struct weir_cli_past_run runs[WEIR_CLI_PAST_MAX]; /* [count] */
    uint32_t count;
};

/* A speed, and by what factor it is likely to be more or less. */
struct weir_cli_guess {
    double tps, factor; /* not a number: no forecast */
    uint32_t run_count; /* that narrowed it */
};

/* What the report tells of, if it says anything about the next run. */
void weir_cli_past_save(const struct weir_cli_report *report,
                        const struct weir_cli_options *options);
void weir_cli_past_load(struct weir_cli_past *past, const char *model_path);
/* The middle of the forecast, moved by what runs with as many threads were beside theirs: the more
 * the nearer their slots are. hit_rate: as of weir_plan_expect(). */
struct weir_cli_guess weir_cli_past_guess(const struct weir_cli_past *past,
                                          const struct weir_plan *plan,
                                          const struct weir_calibration *calibration,
                                          double hit_rate);
json_t *weir_cli_guess_json(const struct weir_cli_guess *guess);
/* One number for a band: as far from its ends, as a factor. */
double weir_cli_middle(struct weir_band band);

#endif
