/* past.c - how fast earlier runs of a model were on this machine: a small text file for each model
 * in the user's cache folder, and what it makes of a forecast. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "past.h"

#define FIRST_LINE "weir runs, version 1: slots, threads, isa, tokens per second\n"

enum { TOKENS_MIN = 32 }; /* fewer are mostly the first uses of an empty cache */

/* How much one run differs from the next by itself, as a logarithm. */
#define RUN_NOISE 0.15
/* A run with twice the slots, or half, says a fourth of what one with as many says. */
#define WEIGHT_FALL 2.0

/* The newest runs, the oldest first; 0 when there is no such file or it makes no sense. */
static uint32_t read_file(const char *path, struct weir_cli_past_run runs[WEIR_CLI_PAST_MAX])
{
    char line[128];
    uint32_t count = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    bool ok = fgets(line, sizeof(line), file) != NULL && strcmp(line, FIRST_LINE) == 0;
    while (ok && count < WEIR_CLI_PAST_MAX && fgets(line, sizeof(line), file) != NULL) {
        struct weir_cli_past_run *run = &runs[count];
        ok = sscanf(line, "%" SCNu32 " %" SCNu32 " %15s %lf", &run->n_slot, &run->n_thread,
                    run->isa, &run->decode_tps) == 4 &&
             run->decode_tps > 1e-6 && run->decode_tps < 1e6;
        count += ok;
    }
    fclose(file);
    return count;
}

static void write_file(const char *path, const struct weir_cli_past_run *runs, uint32_t count)
{
    struct weir_cli_out out = {0};
    if (!weir_cli_out_open(&out, path))
        return;
    fputs(FIRST_LINE, out.file);
    for (uint32_t index = 0; index < count; index++)
        fprintf(out.file, "%" PRIu32 " %" PRIu32 " %s %.3f\n", runs[index].n_slot,
                runs[index].n_thread, runs[index].isa, runs[index].decode_tps);
    if (!weir_cli_out_finish(&out))
        weir_cli_out_discard(&out);
}

/* What only measures the engine is no habit of the user. */
static bool is_usual(const struct weir_cli_options *options)
{
    return !options->buffered && options->fake_io == NULL && strcmp(options->io, "auto") == 0 &&
           strcmp(options->lookahead, "auto") == 0;
}

void weir_cli_past_save(const struct weir_cli_report *report,
                        const struct weir_cli_options *options)
{
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    struct weir_guard_stats guard;
    struct weir_cli_past_run runs[WEIR_CLI_PAST_MAX];
    char path[WEIR_CLI_PATH_MAX];
    char folder[WEIR_CLI_PATH_MAX];
    weir_engine_guard_get(report->engine, &guard);
    if (report->decode_evals < TOKENS_MIN || !(report->decode_s > 0.0) || guard.retired_slots > 0 ||
        weir_engine_mode(report->engine)->gpu != NULL || /* nothing is forecast from it */
        !is_usual(options) || !weir_cli_kept_name(path, sizeof(path), "runs", report->model_path))
        return;
    weir_cli_folders_make(path);
    if (!weir_cli_cache_folder(folder, sizeof(folder)) || access(folder, W_OK) != 0)
        return; /* as of the experts: a user without such a folder has no habits to keep */
    uint32_t count = read_file(path, runs);
    if (count == WEIR_CLI_PAST_MAX)
        memmove(&runs[0], &runs[1], --count * sizeof(runs[0]));
    runs[count] = (struct weir_cli_past_run){
        .n_slot = plan->n_slot_total,
        .n_thread = plan->n_thread,
        .decode_tps = (double)report->decode_evals / report->decode_s,
    };
    snprintf(runs[count].isa, sizeof(runs[count].isa), "%s", plan->cost.isa);
    write_file(path, runs, count + 1);
}

void weir_cli_past_load(struct weir_cli_past *past, const char *model_path)
{
    char path[WEIR_CLI_PATH_MAX];
    past->count = weir_cli_kept_name(path, sizeof(path), "runs", model_path)
                      ? read_file(path, past->runs)
                      : 0;
}

/* ---- what it makes of a forecast ------------------------------------------------------------- */

double weir_cli_middle(struct weir_band band)
{
    return sqrt(band.low * band.high);
}

/* How much faster the run was than the middle of its own forecast, as a logarithm. */
static double find_excess(const struct weir_cli_past_run *run, const struct weir_plan *plan,
                          const struct weir_calibration *calibration)
{
    struct weir_plan then = *plan;
    struct weir_expected expected;
    /* As many of them go to the text as here. */
    if (plan->n_slot_total > 0)
        then.n_slot_last =
            (uint32_t)((uint64_t)plan->n_slot_last * run->n_slot / plan->n_slot_total);
    then.n_slot_total = run->n_slot;
    weir_plan_expect(&expected, &then, calibration, 0, WEIR_CLI_NONE);
    return log(run->decode_tps / weir_cli_middle(expected.decode_tps));
}

struct weir_cli_guess weir_cli_past_guess(const struct weir_cli_past *past,
                                          const struct weir_plan *plan,
                                          const struct weir_calibration *calibration,
                                          double hit_rate)
{
    struct weir_expected expected;
    weir_plan_expect(&expected, plan, calibration, 0, hit_rate);
    const struct weir_band band = expected.decode_tps;
    struct weir_cli_guess guess = {weir_cli_middle(band), sqrt(band.high / band.low), 0};
    double weights = 0.0, sum = 0.0, squares = 0.0;
    for (uint32_t index = 0; index < past->count; index++) {
        const struct weir_cli_past_run *run = &past->runs[index];
        if (run->n_thread != plan->n_thread || strcmp(run->isa, plan->cost.isa) != 0 ||
            run->n_slot > plan->n_expert_total)
            continue;
        const double excess = find_excess(run, plan, calibration);
        const double far = fabs(log2((run->n_slot + 1.0) / (plan->n_slot_total + 1.0)));
        const double weight = isfinite(excess) ? exp2(-WEIGHT_FALL * far) : 0.0;
        weights += weight;
        sum += weight * excess;
        squares += weight * excess * excess;
        guess.run_count += weight > 0.0;
    }
    if (!(weights > 0.0) || !isfinite(guess.tps))
        return guess;
    const double mean = sum / weights;
    const double spread = fmax(squares / weights - mean * mean, 0.0);
    const double error = sqrt(spread + RUN_NOISE * RUN_NOISE / weights);
    if (exp(error) >= guess.factor) { /* too far from here to tell more than the forecast */
        guess.run_count = 0;
        return guess;
    }
    guess.tps *= exp(mean);
    guess.factor = exp(error);
    return guess;
}

json_t *weir_cli_guess_json(const struct weir_cli_guess *guess)
{
    json_t *object = json_object();
    weir_cli_json_real(object, "tps", guess->tps);
    weir_cli_json_band(object, "band",
                       (struct weir_band){guess->tps / guess->factor, guess->tps * guess->factor});
    weir_cli_json_count(object, "runs", guess->run_count);
    return object;
}
