/* expected.c - the forecast: as JSON, as lines for people, and beside what happened. */
#include <string.h>

#include "cli.h"

/* Fewer tokens than this are mostly the first uses of an empty cache. */
enum { HELD_TOKENS_MIN = 32 };

void weir_cli_json_band(json_t *object, const char *key, struct weir_band band)
{
    json_t *pair = json_null();
    if (isfinite(band.low) && isfinite(band.high))
        pair = json_pack("[f,f]", band.low, band.high);
    json_object_set_new(object, key, pair);
}

json_t *weir_cli_expected_json(const struct weir_expected *expected)
{
    json_t *object = json_object();
    weir_cli_json_real(object, "hit_rate", expected->hit_rate);
    weir_cli_json_band(object, "hit_rate_band", expected->hit_rate_band);
    weir_cli_json_band(object, "decode_tps", expected->decode_tps);
    weir_cli_json_band(object, "prefill_tps", expected->prefill_tps);
    weir_cli_json_band(object, "decode_bytes_per_token", expected->decode_read_bytes);
    weir_cli_json_band(object, "decode_compute_s", expected->decode_compute_s);
    return object;
}

json_t *weir_cli_calibration_note(const struct weir_cli_calibration *kept)
{
    if (kept == NULL)
        return json_null();
    json_t *object = json_object();
    if (kept->path[0] == '\0') {
        json_object_set_new(object, "path", json_null());
        json_object_set_new(object, "date", json_null());
    } else {
        weir_cli_json_text(object, "path", kept->path, strlen(kept->path));
        weir_cli_json_text(object, "date", kept->date, strlen(kept->date));
    }
    weir_cli_json_count(object, "io_budget_bytes", kept->found.io_budget_bytes);
    return object;
}

/* ---- lines for people ---------------------------------------------------------------------- */

/* The middle of a band: its ends are in --json. */
static double middle(struct weir_band band)
{
    return (band.low + band.high) / 2.0;
}

static void print_decode(const struct weir_expected *expected, double tps,
                         const struct weir_calibration *calibration)
{
    char size[32];
    printf("decode    about %.*f tokens/s  (", tps < 3.0 ? 1 : 0, tps);
    if (expected->decode_read_bytes.high > 0.0)
        printf("a token reads about %s at about %.2f GB/s",
               weir_format_size((uint64_t)middle(expected->decode_read_bytes), size, sizeof(size)),
               middle(calibration->burst) * 1e-9);
    else
        printf("reads nothing");
    printf("; computes for about %.1f ms)\n", middle(expected->decode_compute_s) * 1e3);
}

void weir_cli_expected_print(const struct weir_expected *expected, double decode_tps,
                             const struct weir_plan *plan,
                             const struct weir_calibration *calibration)
{
    const struct weir_band hits = expected->hit_rate_band;
    const double prefill_tps = sqrt(expected->prefill_tps.low * expected->prefill_tps.high);
    if (isfinite(hits.low))
        printf("hit rate  %s%.0f %%\n", hits.low < hits.high ? "about " : "",
               100.0 * expected->hit_rate);
    if (!isfinite(expected->decode_tps.low))
        return;
    print_decode(expected, decode_tps, calibration);
    printf("prefill   about %.*f tokens/s  (%u tokens together, %.0f billion operations a "
           "second)\n",
           prefill_tps < 3.0 ? 1 : 0, prefill_tps, plan->n_chunk,
           calibration->prefill_ops_per_s * 1e-9);
}

/* ---- beside what happened ------------------------------------------------------------------ */

enum held { HELD_UNKNOWN, HELD_NO, HELD_YES };

/* One figure of the forecast and what it was. */
struct outcome {
    const char *key, *name;
    struct weir_band band;
    double found;
    double scale; /* for people */
    const char *unit;
};

enum { OUTCOME_COUNT = 3 };

static void list_outcomes(const struct weir_cli_report *report, struct weir_expected *expected,
                          struct outcome outcomes[OUTCOME_COUNT])
{
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    const struct weir_cli_calibration *kept = report->calibration;
    const bool decoded = report->decode_evals >= HELD_TOKENS_MIN;
    const bool prefilled = report->is_prompt && report->prompt_tokens >= HELD_TOKENS_MIN;
    weir_plan_expect(expected, plan, kept == NULL ? NULL : &kept->found,
                     report->is_prompt ? report->prompt_tokens : 0, WEIR_CLI_NONE);
    outcomes[0] = (struct outcome){"hit_rate",
                                   "hit rate",
                                   expected->hit_rate_band,
                                   decoded ? weir_cli_report_hit_rate(report) : WEIR_CLI_NONE,
                                   100.0,
                                   "%"};
    outcomes[1] =
        (struct outcome){"decode_tps",
                         "decode",
                         expected->decode_tps,
                         decoded ? (double)report->decode_evals / report->decode_s : WEIR_CLI_NONE,
                         1.0,
                         "tokens/s"};
    outcomes[2] = (struct outcome){"prefill_tps",
                                   "prefill",
                                   expected->prefill_tps,
                                   prefilled ? (double)report->prefill_evals / report->prefill_s
                                             : WEIR_CLI_NONE,
                                   1.0,
                                   "tokens/s"};
}

static enum held find_held(const struct outcome *outcome)
{
    if (!isfinite(outcome->found) || !isfinite(outcome->band.low))
        return HELD_UNKNOWN;
    return outcome->found >= outcome->band.low && outcome->found <= outcome->band.high ? HELD_YES
                                                                                       : HELD_NO;
}

json_t *weir_cli_outcome_json(const struct weir_cli_report *report)
{
    struct weir_expected expected;
    struct outcome outcomes[OUTCOME_COUNT];
    list_outcomes(report, &expected, outcomes);
    json_t *object = weir_cli_expected_json(&expected);
    json_t *held = json_object();
    for (int index = 0; index < OUTCOME_COUNT; index++) {
        const enum held is_held = find_held(&outcomes[index]);
        json_object_set_new(held, outcomes[index].key,
                            is_held == HELD_UNKNOWN ? json_null()
                                                    : json_boolean(is_held == HELD_YES));
    }
    json_object_set_new(object, "held", held);
    return object;
}

void weir_cli_outcome_print(const struct weir_cli_report *report)
{
    struct weir_expected expected;
    struct outcome outcomes[OUTCOME_COUNT];
    char line[1024] = "";
    size_t length = 0;
    list_outcomes(report, &expected, outcomes);
    for (int index = 0; index < OUTCOME_COUNT; index++) {
        const struct outcome *at = &outcomes[index];
        if (find_held(at) != HELD_NO)
            continue;
        if (length < sizeof(line))
            length += (size_t)snprintf(line + length, sizeof(line) - length,
                                       "%s%s was to be %.1f to %.1f %s, and was %.1f",
                                       length == 0 ? "" : "; ", at->name, at->scale * at->band.low,
                                       at->scale * at->band.high, at->unit, at->scale * at->found);
    }
    if (length > 0)
        weir_cli_report_line("forecast", line);
}
