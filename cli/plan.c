/* plan.c - weir plan: the memory a run would use, line by line, the three ceilings, and how fast it
 * would be. */
#include <stdio.h>
#include <string.h>

#include "net.h"
#include "plan.h"
#include "trace.h"

struct forecast {
    struct weir_cli_calibration calibration;
    bool is_calibrated;
    double hit_rate; /* of --routing */
    struct weir_expected expected;
    struct weir_cli_foretold told;
};

/* ---- the forecast -------------------------------------------------------------------------- */

/* The hit rate of the trace with the planned slots. */
static bool replay_routing(double *hit_rate, const struct weir_cli_options *options,
                           const struct weir_plan *plan)
{
    struct weir_cli_trace trace;
    struct weir_replay_result result = {0};
    struct weir_err err = {0};
    if (!weir_cli_trace_read(&trace, options->routing))
        return false;
    bool ok = weir_cli_trace_fit(&trace, &plan->cost);
    /* Half a slot more, so that the share gives the planned number when it is rounded down. */
    const double share = (plan->n_slot_total + 0.5) / plan->n_expert_total;
    const struct weir_replay_config config = {
        .expert_share = share < 1.0 ? share : 1.0,
        .warm_share = WEIR_CLI_WARM_SHARE,
    };
    if (ok && weir_trace_replay(&trace.trace, &config, &result, NULL, NULL, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        ok = false;
    }
    if (ok && result.uses == 0) {
        weir_cli_say("%s: wanted tokens after the prompt, found none that count", trace.path);
        ok = false;
    }
    if (ok)
        *hit_rate = (double)result.hits / (double)result.uses;
    weir_cli_trace_free(&trace);
    return ok;
}

/* Of a model that is elsewhere the disk has nothing to read: a file where the model would be tells
 * how fast it is. */
static bool measure_disk(struct weir_calibration *found, const struct weir_calibrate_config *quick,
                         uint32_t slice_bytes, struct weir_err *err)
{
    enum { SCRATCH_BYTES = 64 << 20, SLICES_MIN = 32 };
    char path[WEIR_CLI_PATH_MAX];
    char name[] = "disk";
    struct weir_calibration disk = {0};
    struct weir_calibrate_config config = *quick;
    config.path = path;
    config.slice_bytes = slice_bytes;
    if (!weir_cli_heads_scratch(path,
                                weir_max(SCRATCH_BYTES, (uint64_t)SLICES_MIN * slice_bytes))) {
        snprintf(err->text, sizeof(err->text), "no file to measure the disk with can be written");
        return false;
    }
    if (weir_calibrate(&disk, &config, weir_cli_calibrate_tell, name, err) != WEIR_OK)
        return false;
    found->read = disk.read;
    found->burst = disk.burst;
    found->both_read_bytes_per_s = disk.both_read_bytes_per_s;
    found->both_dram_bytes_per_s = disk.both_dram_bytes_per_s;
    return true;
}

/* Speeds of this plan's weights, threads and instructions: as weir calibrate kept them, or else a
 * second of measuring, which is too short to be kept. */
static void find_speeds(struct forecast *forecast, const struct weir_cli_options *options,
                        const struct weir_config *config, const struct weir_plan *plan)
{
    struct weir_err err = {0};
    struct weir_cli_calibration *kept = &forecast->calibration;
    const struct weir_calibrate_config quick = {
        .path = config->model_path, .n_thread = plan->n_thread, .isa = config->isa, .quick = true};
    char name[] = "disk and memory";
    if (forecast->is_calibrated && weir_calibration_fits(&kept->found, plan))
        return;
    *kept = (struct weir_cli_calibration){0};
    forecast->is_calibrated =
        weir_calibrate(&kept->found, &quick, weir_cli_calibrate_tell, name, &err) == WEIR_OK &&
        (options->remote == NULL ||
         measure_disk(&kept->found, &quick, plan->cost.slice_bytes, &err));
    weir_cli_status_clear();
    if (!forecast->is_calibrated)
        weir_cli_say("no speeds are forecast: %s", err.text);
}

static bool make_forecast(struct forecast *forecast, const struct weir_cli_options *options,
                          const struct weir_config *config, const struct weir_plan *plan)
{
    forecast->hit_rate = WEIR_CLI_NONE;
    if (options->routing != NULL && plan->n_expert_total == 0) {
        weir_cli_say("--routing: %s has no experts", options->argument);
        return false;
    }
    if (options->routing != NULL && !replay_routing(&forecast->hit_rate, options, plan))
        return false;
    find_speeds(forecast, options, config, plan);
    weir_plan_expect(&forecast->expected, plan,
                     forecast->is_calibrated ? &forecast->calibration.found : NULL, 0,
                     forecast->hit_rate);
    struct weir_cli_foretold *told = &forecast->told;
    told->config = config;
    told->calibration = forecast->is_calibrated ? &forecast->calibration.found : NULL;
    /* A text whose hit rate is known is not like those of earlier runs. */
    if (options->routing == NULL)
        weir_cli_past_load(&told->past, options->argument);
    told->guess = weir_cli_past_guess(&told->past, plan, told->calibration, forecast->hit_rate);
    return !weir_cli_stop_asked();
}

/* ---- telling ------------------------------------------------------------------------------- */

static json_t *describe_forecast(const struct forecast *forecast)
{
    const struct weir_band none = {WEIR_CLI_NONE, WEIR_CLI_NONE};
    const struct weir_expected nothing = {WEIR_CLI_NONE, none, none, none, none, none};
    const struct weir_cli_guess unknown = {WEIR_CLI_NONE, WEIR_CLI_NONE, 0};
    json_t *object = weir_cli_expected_json(forecast == NULL ? &nothing : &forecast->expected);
    json_object_set_new(object, "decode_likely",
                        weir_cli_guess_json(forecast == NULL ? &unknown : &forecast->told.guess));
    return object;
}

/* What a text leaves in memory, by kind. */
static json_t *describe_states(const struct weir_token_cost *cost)
{
    json_t *array = json_array();
    for (uint32_t index = 0; index < cost->state_count; index++) {
        const struct weir_state_cost *state = &cost->states[index];
        const bool is_fixed = state->position_bytes == 0;
        json_t *object = json_object();
        weir_cli_json_text(object, "what", state->what, strlen(state->what));
        weir_cli_json_count(object, "layers", state->n_layer);
        weir_cli_json_count(object, "window", state->window > 0 ? state->window : UINT64_MAX);
        weir_cli_json_count(object, "position_bytes",
                            is_fixed ? UINT64_MAX : state->position_bytes);
        weir_cli_json_count(object, "fixed_bytes", is_fixed ? state->fixed_bytes : UINT64_MAX);
        json_array_append_new(array, object);
    }
    return array;
}

static void print_states(const struct weir_token_cost *cost)
{
    printf("\nWhat a text leaves in memory\n");
    for (uint32_t index = 0; index < cost->state_count; index++) {
        const struct weir_state_cost *state = &cost->states[index];
        printf("  %-16s %4u layers %12llu bytes", state->what, state->n_layer,
               (unsigned long long)(state->position_bytes + state->fixed_bytes));
        if (state->position_bytes == 0)
            printf(", however long it is\n");
        else if (state->window > 0)
            printf(" a position, of the last %u\n", state->window);
        else
            printf(" a position\n");
    }
}

/* forecast: NULL when the ceiling holds nothing. */
static json_t *describe_plan(const struct weir_cli_options *options, const struct weir_plan *plan,
                             const struct forecast *forecast)
{
    const bool fits = forecast != NULL;
    json_t *object = json_object();
    json_t *lines = json_array();
    const uint64_t none = UINT64_MAX;
    const bool moe = plan->n_expert_total > 0;
    for (uint32_t line = 0; line < plan->line_count; line++) {
        json_t *entry = json_object();
        weir_cli_json_text(entry, "what", plan->lines[line].what, strlen(plan->lines[line].what));
        weir_cli_json_count(entry, "bytes", plan->lines[line].bytes);
        json_array_append_new(lines, entry);
    }
    const char *model = options->remote != NULL ? options->remote : options->argument;
    weir_cli_json_text(object, "model", model, strlen(model));
    json_object_set_new(object, "fits", json_boolean(fits));
    weir_cli_json_count(object, "min_bytes", plan->min_bytes);
    weir_cli_json_count(object, "useful_bytes", plan->useful_bytes);
    weir_cli_json_count(object, "resident_bytes", plan->resident_bytes);
    weir_cli_json_count(object, "budget_bytes", plan->budget_bytes);
    weir_cli_json_count(object, "planned_bytes", fits ? plan->planned_bytes : none);
    weir_cli_json_count(object, "slots", fits && moe ? plan->n_slot : none);
    weir_cli_json_count(object, "slots_total", fits && moe ? plan->n_slot_total : none);
    weir_cli_json_count(object, "slots_last", fits && moe ? plan->n_slot_last : none);
    weir_cli_json_count(object, "kv_later_bytes", fits ? plan->kv_later_bytes : none);
    weir_cli_json_count(object, "embedding_on_disk_bytes",
                        fits ? plan->embedding_on_disk_bytes : none);
    weir_cli_json_count(object, "layer_inputs_on_disk_bytes",
                        fits ? plan->layer_inputs_on_disk_bytes : none);
    weir_cli_json_count(object, "experts_total", moe ? plan->n_expert_total : none);
    weir_cli_json_count(object, "token_bytes", moe ? plan->token_bytes : none);
    weir_cli_json_count(object, "io_budget_bytes", plan->io_budget_bytes);
    weir_cli_json_count(object, "n_ctx", fits ? plan->n_ctx : none);
    weir_cli_json_count(object, "chunk", fits ? plan->n_chunk : none);
    weir_cli_json_count(object, "threads", fits ? plan->n_thread : none);
    weir_cli_json_count(object, "snapshots", fits ? plan->n_snapshot : none);
    json_object_set_new(object, "lines", lines);
    json_object_set_new(object, "gpu", weir_cli_gpu_json(&plan->gpu));
    json_object_set_new(object, "state", describe_states(&plan->cost));
    json_object_set_new(
        object, "calibration",
        weir_cli_calibration_note(fits && forecast->is_calibrated ? &forecast->calibration : NULL));
    json_object_set_new(object, "expected", describe_forecast(forecast));
    return object;
}

static void print_ceiling(const char *name, uint64_t bytes, const char *meaning)
{
    char size[32];
    printf("  %-9s %16llu  %10s  %s\n", name, (unsigned long long)bytes,
           weir_cli_typed_size(bytes, size, sizeof(size)), meaning);
}

static void print_ceilings(const struct weir_plan *plan)
{
    printf("Ceilings in bytes (--mem)\n");
    print_ceiling("smallest", plan->min_bytes, "below this weir refuses");
    if (plan->n_expert_total > 0 && plan->useful_bytes > plan->min_bytes &&
        plan->useful_bytes < plan->resident_bytes)
        print_ceiling("useful", plan->useful_bytes, "the experts of one token stay in memory");
    print_ceiling("resident", plan->resident_bytes, "everything in memory");
}

static void print_forecast(const struct forecast *forecast, const struct weir_plan *plan)
{
    const struct weir_cli_calibration *kept = &forecast->calibration;
    if (!forecast->is_calibrated)
        printf("\nForecast with a warm cache; no speeds without a measurement\n");
    else if (kept->path[0] == '\0')
        printf(
            "\nForecast with a warm cache, from %.1f s of measuring (weir calibrate takes longer, "
            "and keeps it)\n",
            kept->found.measured_s);
    else
        printf("\nForecast with a warm cache, as weir calibrate measured on %.10s\n", kept->date);
    weir_cli_expected_print(&forecast->expected, forecast->told.guess.tps, plan,
                            forecast->is_calibrated ? &kept->found : NULL);
}

static void print_plan(const struct weir_plan *plan, const struct forecast *forecast)
{
    char size[32];
    char other[32];
    weir_cli_plan_words(plan, &forecast->told);
    printf("Memory in bytes\n");
    weir_cli_plan_print(stdout, plan);
    printf("\n");
    if (plan->gpu.name[0] != '\0') {
        weir_cli_gpu_print(stdout, &plan->gpu);
        printf("\n");
    }
    print_ceilings(plan);
    if (plan->n_expert_total > 0)
        printf("\n%u expert slots for %u experts (%.1f %%), %u a layer; one token works with %s of "
               "experts and %s of other weights\n",
               plan->n_slot_total, plan->n_expert_total,
               100.0 * plan->n_slot_total / plan->n_expert_total, plan->n_slot,
               weir_format_size(plan->token_bytes, size, sizeof(size)),
               weir_format_size(plan->cost.trunk_bytes, other, sizeof(other)));
    if (plan->kv_later_bytes > 0)
        printf(
            "The KV cache grows with the text, by %s until the context is full; slots make room, "
            "%u are left then\n",
            weir_format_size(plan->kv_later_bytes, size, sizeof(size)), plan->n_slot_last);
    if (plan->embedding_on_disk_bytes > 0)
        printf("The embedding table, %s, stays on the disk: a token reads its row\n",
               weir_format_size(plan->embedding_on_disk_bytes, size, sizeof(size)));
    if (plan->layer_inputs_on_disk_bytes > 0)
        printf("The table of layers' own inputs (per_layer_token_embd), %s, stays on the disk: a "
               "token reads its row\n",
               weir_format_size(plan->layer_inputs_on_disk_bytes, size, sizeof(size)));
    printf("%u positions of context, prompts in chunks of %u, %u thread%s\n", plan->n_ctx,
           plan->n_chunk, plan->n_thread, plan->n_thread == 1 ? "" : "s");
    print_states(&plan->cost);
    if (plan->n_snapshot > 0)
        printf("  and %u snapshots of recurrent state, from which a text is rewound\n",
               plan->n_snapshot);
    print_forecast(forecast, plan);
}

int weir_cli_plan(const struct weir_cli_options *options)
{
    struct weir_plan plan = {0};
    struct forecast forecast = {0};
    struct weir_config config;
    struct weir_bench_config bench_config;
    struct weir_err err = {0};
    if (!weir_cli_config_fill(&config, &bench_config, options, "plan"))
        return WEIR_CLI_USAGE;
    forecast.is_calibrated = weir_cli_calibration_load(&forecast.calibration, options->argument);
    if (forecast.is_calibrated && config.io_budget_bytes == 0)
        config.io_budget_bytes = forecast.calibration.found.io_budget_bytes;
    const enum weir_status status = weir_plan_make(&plan, &config, &err);
    const bool fits = status == WEIR_OK;
    /* A ceiling that is too small still has an answer: the one that would do. */
    if (!fits && (status != WEIR_ERR_NOMEM || plan.min_bytes == 0))
        return weir_cli_fail(&err);
    if (fits && !make_forecast(&forecast, options, &config, &plan))
        return WEIR_CLI_FAILURE;
    if (options->json) {
        if (!weir_cli_json_print(describe_plan(options, &plan, fits ? &forecast : NULL), stdout,
                                 "standard output"))
            return WEIR_CLI_FAILURE;
    } else if (fits) {
        print_plan(&plan, &forecast);
    } else {
        print_ceilings(&plan);
    }
    return fits ? WEIR_CLI_OK : weir_cli_fail(&err);
}
