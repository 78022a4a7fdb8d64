/* report.c - what was measured, as the contract's JSON object and as a few lines for people. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plan.h"

/* ---- files that are written ----------------------------------------------------------------- */

static bool write_timeline(struct weir_cli_rig *rig)
{
    if (rig->timeline.file == NULL)
        return true;
    errno = 0;
    const uint64_t dropped = weir_engine_timeline_write(rig->engine, rig->timeline.file);
    if (!weir_cli_out_finish(&rig->timeline))
        return false;
    if (dropped > 0)
        weir_cli_say("%s lacks the last %llu events (--trace-events asks for more room)",
                     rig->timeline.path, (unsigned long long)dropped);
    return true;
}

bool weir_cli_report_write(json_t *object, const struct weir_cli_options *options,
                           struct weir_cli_rig *rig)
{
    bool ok = write_timeline(rig);
    if (rig->stats.file != NULL) {
        const bool printed =
            weir_cli_json_print(json_incref(object), rig->stats.file, rig->stats.path);
        if (!printed)
            weir_cli_out_discard(&rig->stats);
        ok = printed && weir_cli_out_finish(&rig->stats) && ok;
    }
    if (options->json)
        ok = weir_cli_json_print(json_incref(object), stdout, "standard output") && ok;
    json_decref(object);
    return ok;
}

/* ---- numbers ------------------------------------------------------------------------------- */

static double divide(double above, double below)
{
    return below > 0.0 ? above / below : WEIR_CLI_NONE;
}

static bool has_experts(const struct weir_cli_report *report)
{
    return weir_engine_plan(report->engine)->n_expert_total > 0;
}

double weir_cli_report_token_bytes(const struct weir_cli_report *report)
{
    if (!has_experts(report))
        return WEIR_CLI_NONE;
    return divide((double)(report->whole.read_bytes - report->prefill.read_bytes),
                  (double)report->decode_evals);
}

double weir_cli_report_hit_rate(const struct weir_cli_report *report)
{
    if (report->decode_evals == 0)
        return divide((double)report->whole.expert_hits, (double)report->whole.expert_uses);
    return divide((double)(report->whole.expert_hits - report->prefill.expert_hits),
                  (double)(report->whole.expert_uses - report->prefill.expert_uses));
}

/* What gives other numbers than the model's own would. */
static json_t *describe_losses(const struct weir_mode *mode)
{
    char kv[32];
    json_t *losses = json_array();
    snprintf(kv, sizeof(kv), "kv %s", mode->kv);
    if (mode->kv_is_lossy)
        json_array_append_new(losses, json_string(kv));
    if (mode->lossy_skip > 0.0)
        json_array_append_new(losses, json_sprintf("skip %g", mode->lossy_skip));
    if (mode->lossy_resident > 0.0)
        json_array_append_new(losses, json_sprintf("resident %g", mode->lossy_resident));
    if (mode->lossy_copies > 0.0)
        json_array_append_new(losses, json_sprintf("copies %g", mode->lossy_copies));
    return losses;
}

static json_t *describe_mode(const struct weir_cli_report *report)
{
    const struct weir_mode *mode = weir_engine_mode(report->engine);
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    json_t *object = json_object();
    weir_cli_json_text(object, "io", mode->io, strlen(mode->io));
    json_object_set_new(object, "direct", json_boolean(mode->direct));
    weir_cli_json_text(object, "isa", mode->isa, strlen(mode->isa));
    weir_cli_json_count(object, "slots", has_experts(report) ? plan->n_slot : UINT64_MAX);
    json_object_set_new(object, "policy", mode->policy ? json_string(mode->policy) : json_null());
    json_object_set_new(object, "pool", mode->policy ? json_boolean(mode->pool) : json_null());
    json_object_set_new(object, "gpu", weir_cli_gpu_json(&plan->gpu));
    json_object_set_new(object, "kv", json_string(mode->kv));
    json_object_set_new(object, "lossy", describe_losses(mode));
    json_object_set_new(object, "calibration", weir_cli_calibration_note(report->calibration));
    const bool is_advised = report->advice != NULL && report->advice[0] != '\0';
    json_object_set_new(object, "advice", is_advised ? json_string(report->advice) : json_null());
    if (mode->why[0] == '\0')
        json_object_set_new(object, "why", json_null());
    else
        weir_cli_json_text(object, "why", mode->why, strlen(mode->why));
    return object;
}

/* The same shape always; members are null when nothing looked ahead. */
static json_t *describe_lookahead(const struct weir_cli_report *report)
{
    const struct weir_stats *whole = &report->whole;
    const struct weir_mode *mode = weir_engine_mode(report->engine);
    const bool looked = mode->lookahead || whole->ahead_reads > 0;
    json_t *object = json_object();
    json_object_set_new(object, "on", json_boolean(mode->lookahead));
    weir_cli_json_real(object, "time_ratio",
                       mode->lookahead_ratio > 0.0 ? mode->lookahead_ratio : WEIR_CLI_NONE);
    weir_cli_json_real(object, "recall",
                       looked ? divide((double)whole->guessed_right, (double)whole->guessed)
                              : WEIR_CLI_NONE);
    weir_cli_json_count(object, "reads", looked ? whole->ahead_reads : UINT64_MAX);
    weir_cli_json_count(object, "useful",
                        looked ? whole->ahead_hits + whole->ahead_late : UINT64_MAX);
    weir_cli_json_count(object, "late", looked ? whole->ahead_late : UINT64_MAX);
    weir_cli_json_count(object, "wasted_bytes", looked ? whole->ahead_wasted_bytes : UINT64_MAX);
    return object;
}

/* The same shape always; a model without experts has nothing to give back and is not watched. */
static json_t *describe_guard(const struct weir_cli_report *report)
{
    const bool moe = has_experts(report);
    struct weir_guard_stats guard;
    json_t *object = json_object();
    weir_engine_guard_get(report->engine, &guard);
    weir_cli_json_count(object, "samples", moe ? guard.samples : UINT64_MAX);
    weir_cli_json_count(object, "shrinks", moe ? guard.shrinks : UINT64_MAX);
    weir_cli_json_count(object, "retired_slots", moe ? guard.retired_slots : UINT64_MAX);
    weir_cli_json_count(object, "shrunk_bytes", moe ? guard.shrunk_bytes : UINT64_MAX);
    if (guard.reason[0] == '\0')
        json_object_set_new(object, "reason", json_null());
    else
        weir_cli_json_text(object, "reason", guard.reason, strlen(guard.reason));
    return object;
}

/* What the device did in one phase; members are null when there was no such phase. */
static json_t *describe_phase(const struct weir_cli_report *report, bool is_prefill, double seconds)
{
    const struct weir_stats *whole = &report->whole;
    const struct weir_stats *prefill = &report->prefill;
    const struct weir_stats none = {0};
    const struct weir_stats *from = is_prefill ? prefill : whole;
    const struct weir_stats *less = is_prefill ? &none : prefill;
    const bool there = has_experts(report) && isfinite(seconds) && seconds > 0.0;
    json_t *object = json_object();
    weir_cli_json_real(object, "seconds", there ? seconds : WEIR_CLI_NONE);
    weir_cli_json_real(object, "busy_s",
                       there ? from->device_busy_s - less->device_busy_s : WEIR_CLI_NONE);
    weir_cli_json_real(object, "wait_s", there ? from->io_wait_s - less->io_wait_s : WEIR_CLI_NONE);
    weir_cli_json_real(object, "pending_s",
                       there ? from->pending_s - less->pending_s : WEIR_CLI_NONE);
    weir_cli_json_count(object, "pending_bytes",
                        there ? from->pending_bytes - less->pending_bytes : UINT64_MAX);
    weir_cli_json_count(object, "read_bytes",
                        there ? from->read_bytes - less->read_bytes : UINT64_MAX);
    return object;
}

/* Of all rounds together. */
static json_t *describe_device(const struct weir_cli_report *report)
{
    json_t *object = json_object();
    json_object_set_new(object, "prefill", describe_phase(report, true, report->prefill_s));
    json_object_set_new(
        object, "decode",
        describe_phase(report, false,
                       report->decode_evals == 0 ? WEIR_CLI_NONE : report->decode_s));
    return object;
}

/* Joules a token; members are null where the kernel does not tell, or there was no such phase. */
static json_t *describe_energy(const struct weir_cli_report *report)
{
    json_t *object = json_object();
    weir_cli_json_real(object, "prefill_j",
                       report->prefill_evals > 0 ? report->prefill_j : WEIR_CLI_NONE);
    weir_cli_json_real(object, "decode_j",
                       report->decode_evals > 0 ? report->decode_j : WEIR_CLI_NONE);
    weir_cli_json_real(object, "prefill_j_per_token",
                       divide(report->prefill_j, (double)report->prefill_evals));
    weir_cli_json_real(object, "decode_j_per_token",
                       divide(report->decode_j, (double)report->decode_evals));
    return object;
}

json_t *weir_cli_report_json(const struct weir_cli_report *report)
{
    const struct weir_model_info *info = weir_engine_model(report->engine);
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    const struct weir_stats *whole = &report->whole;
    const bool moe = has_experts(report);
    json_t *object = json_object();
    weir_cli_json_text(object, "model", report->model_path, strlen(report->model_path));
    weir_cli_json_text(object, "family", info->family, strlen(info->family));
    weir_cli_json_count(object, "threads", plan->n_thread);
    json_object_set_new(object, "mode", describe_mode(report));
    weir_cli_json_count(object, "prompt_tokens", report->prompt_tokens);
    json_object_set_new(object, "tokens", json_null());
    json_object_set_new(object, "ids", json_null());
    json_object_set_new(object, "text", json_null());
    weir_cli_json_real(object, "load_s", report->load_s);
    weir_cli_json_real(object, "first_token_s", report->first_token_s);
    weir_cli_json_real(object, "prefill_s", report->prefill_s);
    weir_cli_json_real(object, "prefill_tps",
                       divide((double)report->prefill_evals, report->prefill_s));
    weir_cli_json_real(object, "decode_s", report->decode_s);
    weir_cli_json_real(object, "decode_tps",
                       report->decode_evals == 0
                           ? WEIR_CLI_NONE
                           : divide((double)report->decode_evals, report->decode_s));
    weir_cli_json_real(object, "hit_rate", weir_cli_report_hit_rate(report));
    weir_cli_json_count(object, "expert_reads", moe ? whole->expert_reads : UINT64_MAX);
    weir_cli_json_count(object, "warm_up_reads", moe ? whole->warm_up_reads : UINT64_MAX);
    weir_cli_json_count(object, "bytes_read", moe ? whole->read_bytes : UINT64_MAX);
    weir_cli_json_real(object, "bytes_per_token", weir_cli_report_token_bytes(report));
    weir_cli_json_real(object, "io_wait_s", moe ? whole->io_wait_s : WEIR_CLI_NONE);
    const double run_s = report->prefill_s + (isfinite(report->decode_s) ? report->decode_s : 0.0);
    weir_cli_json_real(object, "device_busy",
                       moe ? divide(whole->device_busy_s, run_s) : WEIR_CLI_NONE);
    json_object_set_new(object, "device", describe_device(report));
    json_object_set_new(object, "energy", describe_energy(report));
    json_object_set_new(object, "lookahead", describe_lookahead(report));
    json_object_set_new(object, "expected", weir_cli_outcome_json(report));
    json_object_set_new(object, "guard", describe_guard(report));
    weir_cli_json_count(object, "budget_bytes", plan->budget_bytes);
    weir_cli_json_count(object, "peak_bytes", weir_peak_bytes());
    weir_cli_json_count(object, "planned_bytes", plan->planned_bytes);
    weir_cli_json_count(object, "n_ctx", plan->n_ctx);
    weir_cli_json_count(object, "chunk", plan->n_chunk);
    return object;
}

void weir_cli_report_add_model(json_t *object, const struct weir_model_info *info)
{
    const double bits = 8.0 * (double)(info->expert_bytes + info->trunk_bytes);
    weir_cli_json_count(object, "file_bytes", info->file_bytes);
    weir_cli_json_real(object, "bits_per_weight", divide(bits, (double)info->parameter_count));
}

/* ---- for people ---------------------------------------------------------------------------- */

/* A line that is put together of parts. */
struct line {
    char text[1024];
    size_t length;
};

static void WEIR_PRINTF(2, 3) add(struct line *line, const char *format, ...)
{
    va_list arguments;
    const size_t left = sizeof(line->text) - line->length;
    va_start(arguments, format);
    const int length = vsnprintf(line->text + line->length, left, format, arguments);
    va_end(arguments);
    line->length += length < 0 ? 0 : weir_min((size_t)length, left - 1);
}

void weir_cli_report_line(const char *head, const char *text)
{
    enum { HEAD = 9 };
    fprintf(stderr, "%-*s ", HEAD - 1, head);
    if (isatty(STDERR_FILENO))
        weir_cli_print_wrapped(stderr, HEAD, HEAD, text);
    else
        fprintf(stderr, "%s\n", text);
}

static void print_mode(const struct weir_cli_report *report)
{
    const struct weir_mode *mode = weir_engine_mode(report->engine);
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    struct line line = {0};
    add(&line, "%s %s, %s, %u thread%s", mode->io, mode->direct ? "direct" : "buffered", mode->isa,
        plan->n_thread, plan->n_thread == 1 ? "" : "s");
    if (has_experts(report))
        add(&line, ", %u of %u expert slots", plan->n_slot_total, plan->n_expert_total);
    if (plan->embedding_on_disk_bytes > 0)
        add(&line, ", embedding on disk");
    if (mode->gpu != NULL)
        add(&line, ", %u layers and %u experts on the GPU%s", plan->gpu.n_layer, plan->gpu.n_expert,
            plan->gpu.moves_by_time ? " that come and go: bits go by time, too"
            : plan->gpu.moves       ? " that come and go"
                                    : "");
    if (mode->lossy_skip > 0.0)
        add(&line, ", LOSSY: experts below %g of the weight left out", mode->lossy_skip);
    if (mode->lossy_resident > 0.0)
        add(&line, ", LOSSY: experts in memory preferred within %g", mode->lossy_resident);
    if (mode->lossy_copies > 0.0)
        add(&line, ", LOSSY: experts below %g of the weight read as copies", mode->lossy_copies);
    if (strcmp(mode->kv, "f16") != 0)
        add(&line, ", keys and values in %s", mode->kv);
    if (plan->layer_inputs_on_disk_bytes > 0)
        add(&line, ", layers' own inputs on disk");
    if (report->advice != NULL && report->advice[0] != '\0')
        add(&line, ", sampling as the file advises: %s", report->advice);
    if (report->calibration != NULL)
        add(&line, ", calibrated %.10s", report->calibration->date);
    weir_cli_report_line("mode", line.text);
    if (mode->why[0] != '\0')
        weir_cli_report_line("", weir_cli_shown(mode->why));
}

static void print_phase(const char *name, uint64_t evals, double seconds)
{
    struct line line = {0};
    add(&line, "%llu token%s in %.2f s, %.1f a second", (unsigned long long)evals,
        evals == 1 ? "" : "s", seconds, divide((double)evals, seconds));
    if (evals > 0)
        weir_cli_report_line(name, line.text);
}

static void print_load(const struct weir_cli_report *report)
{
    struct line line = {0};
    add(&line, "%.2f s", report->load_s);
    if (isfinite(report->first_token_s))
        add(&line, ", first token after %.2f s", report->first_token_s);
    weir_cli_report_line("load", line.text);
}

/* Of the whole machine's processors. */
static void print_energy(const struct weir_cli_report *report)
{
    const double read_j = divide(report->prefill_j, (double)report->prefill_evals);
    const double written_j = divide(report->decode_j, (double)report->decode_evals);
    struct line line = {0};
    if (isfinite(read_j))
        add(&line, "%.3g J a token of prefill, ", read_j);
    if (isfinite(written_j))
        add(&line, "%.3g J a token of decode, ", written_j);
    if (line.length == 0)
        return;
    add(&line, "all processors");
    weir_cli_report_line("energy", line.text);
}

static void print_experts(const struct weir_cli_report *report)
{
    const double hit_rate = weir_cli_report_hit_rate(report);
    const double token_bytes = weir_cli_report_token_bytes(report);
    struct line line = {0};
    char size[32];
    if (!isfinite(hit_rate))
        return;
    add(&line, "hit rate %.1f %%", 100.0 * hit_rate);
    if (isfinite(token_bytes))
        add(&line, ", %s read a token",
            weir_format_size((uint64_t)token_bytes, size, sizeof(size)));
    add(&line, ", %s in all, %.2f s waited",
        weir_format_size(report->whole.read_bytes, size, sizeof(size)), report->whole.io_wait_s);
    weir_cli_report_line("experts", line.text);
}

void weir_cli_report_print(const struct weir_cli_report *report)
{
    const struct weir_plan *plan = weir_engine_plan(report->engine);
    struct line memory = {0};
    char peak[32], ceiling[32];
    weir_cli_status_clear();
    if (weir_cli_is_quiet())
        return;
    print_mode(report);
    print_load(report);
    print_phase("prefill", report->prefill_evals, report->prefill_s);
    print_phase("decode", report->decode_evals, report->decode_s);
    print_energy(report);
    print_experts(report);
    add(&memory, "peak %s of %s", weir_format_size(weir_peak_bytes(), peak, sizeof(peak)),
        weir_format_size(plan->budget_bytes, ceiling, sizeof(ceiling)));
    weir_cli_report_line("memory", memory.text);
    weir_cli_outcome_print(report);
}

void weir_cli_plan_print(FILE *file, const struct weir_plan *plan)
{
    char size[32];
    for (uint32_t line = 0; line < plan->line_count; line++)
        fprintf(file, "  %-40s %16llu  %10s\n", plan->lines[line].what,
                (unsigned long long)plan->lines[line].bytes,
                weir_format_size(plan->lines[line].bytes, size, sizeof(size)));
    fprintf(file, "  %-40s %16llu  %10s\n", "planned", (unsigned long long)plan->planned_bytes,
            weir_format_size(plan->planned_bytes, size, sizeof(size)));
    fprintf(file, "  %-40s %16llu  %10s\n", "ceiling", (unsigned long long)plan->budget_bytes,
            weir_format_size(plan->budget_bytes, size, sizeof(size)));
}
