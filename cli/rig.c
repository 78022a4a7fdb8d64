/* rig.c - from options to an open engine with one session. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

/* SEED[:FAULT], for tests. */
static bool read_fake_io(struct weir_bench_config *bench, const char *text)
{
    char *end = NULL;
    errno = 0;
    if (*text < '1' || *text > '9')
        return false;
    bench->fake_io_seed = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (*end == '\0')
        return true;
    if (end[0] != ':' || end[1] < '0' || end[1] > '5' || end[2] != '\0')
        return false;
    bench->fake_io_fault = (uint32_t)(end[1] - '0');
    return true;
}

/* Names of enum weir_ablation, apart by commas. */
static bool read_without(struct weir_bench_config *bench, const char *text)
{
    static const char *const names[] = {"cache", "hits-first", "gate-up-first", "gpu-overlap"};
    while (text != NULL && *text != '\0') {
        const size_t length = strcspn(text, ",");
        size_t index = 0;
        while (index < WEIR_COUNT(names) &&
               (strlen(names[index]) != length || strncmp(names[index], text, length) != 0))
            index++;
        if (index == WEIR_COUNT(names))
            return false;
        bench->ablation |= 1u << index;
        text += length + (text[length] == ',');
    }
    return true;
}

/* skip=S, resident=M and copies=S, apart by commas; all copies may count. */
static bool read_lossy(struct weir_config *config, const char *text)
{
    double *const values[] = {&config->lossy_copies, &config->lossy_skip, &config->lossy_resident};
    static const char *const names[] = {"copies=", "skip=", "resident="};
    for (const char *at = text; at != NULL;) {
        char *end = NULL;
        size_t index = 0;
        while (index < WEIR_COUNT(names) && strncmp(names[index], at, strlen(names[index])) != 0)
            index++;
        if (index == WEIR_COUNT(names) || *values[index] != 0.0)
            return false;
        at += strlen(names[index]);
        *values[index] = strtod(at, &end);
        if (end == at || !(*values[index] > 0.0) || !(*values[index] <= 1.0) ||
            (*values[index] == 1.0 && index > 0) || (*end != ',' && *end != '\0'))
            return false;
        at = *end == ',' ? end + 1 : NULL;
    }
    return true;
}

/* Routing that loses something is the CPU's alone: without a word about a GPU none is taken. */
static bool choose_lossy(struct weir_config *config, const struct weir_cli_options *options,
                         const char *command)
{
    if (options->copies != NULL && *options->copies == '\0') {
        weir_cli_misuse(command, "--copies: wanted a GGUF file, found nothing");
        return false;
    }
    if (options->lossy == NULL)
        return true;
    if (!weir_cli_option_given(options, WEIR_CLI_OPTION_gpu))
        config->gpu = WEIR_ENGINE_GPU_OFF;
    if (read_lossy(config, options->lossy))
        return true;
    weir_cli_misuse(command,
                    "--lossy: wanted skip=S, resident=M, copies=S or several apart by commas, S "
                    "and M between 0 and 1, found \"%s\"",
                    options->lossy);
    return false;
}

bool weir_cli_config_fill(struct weir_config *config, struct weir_bench_config *bench,
                          const struct weir_cli_options *options, const char *command)
{
    *bench = (struct weir_bench_config){
        .policy = options->policy,
        .pool = options->pool,
        .lookahead_m = (uint32_t)options->lookahead_count,
        .guess_by = strcmp(options->lookahead_by, "path") == 0   ? WEIR_GUESS_BY_PATH
                    : strcmp(options->lookahead_by, "gate") == 0 ? WEIR_GUESS_BY_GATE
                                                                 : WEIR_GUESS_BY_RESIDUAL,
    };
    *config = (struct weir_config){
        .model_path = options->argument,
        .mem_bytes = options->mem,
        .n_thread = (uint32_t)options->threads,
        .n_ctx = (uint32_t)options->ctx,
        .n_chunk = (uint32_t)options->chunk,
        .n_slot = (uint32_t)options->slots,
        .expert_share = options->expert_share,
        .lookahead = strcmp(options->lookahead, "on") == 0    ? WEIR_LOOKAHEAD_ON
                     : strcmp(options->lookahead, "off") == 0 ? WEIR_LOOKAHEAD_OFF
                                                              : WEIR_LOOKAHEAD_AUTO,
        .gpu = strcmp(options->gpu, "off") == 0   ? WEIR_ENGINE_GPU_OFF
               : strcmp(options->gpu, "sim") == 0 ? WEIR_ENGINE_GPU_SIM
                                                  : WEIR_ENGINE_GPU_AUTO,
        .gpu_bytes = options->gpu_mem,
        .gpu_moves = options->gpu_moves,
        .kv = options->kv,
        .copies_path = options->copies,
        .timeline_events = options->timeline == NULL ? 0 : (uint32_t)options->timeline_events,
        .buffered = options->buffered,
        .text_folder = options->prefix_cache,
        .text_bytes = options->prefix_bytes,
        .io_depth = (uint32_t)options->io_depth,
        .isa = strcmp(options->isa, "auto") == 0 ? NULL : options->isa,
        .io = strcmp(options->io, "uring") == 0     ? WEIR_ENGINE_IO_URING
              : strcmp(options->io, "threads") == 0 ? WEIR_ENGINE_IO_THREADS
                                                    : WEIR_ENGINE_IO_AUTO,
        .bench = bench,
        .notice = weir_cli_notice_tell,
    };
    struct weir_err err = {0};
    if (weir_policy_check(bench->policy, bench->pool, true, &err) != WEIR_OK) {
        weir_cli_misuse(command, "--policy: %s", err.text);
        return false;
    }
    if (!weir_cli_gpu_experts_read(bench, options->gpu_experts, command))
        return false;
    if (!read_without(bench, options->without)) {
        weir_cli_misuse(command,
                        "--without: wanted cache, hits-first, gate-up-first or gpu-overlap, found "
                        "\"%s\"",
                        options->without);
        return false;
    }
    if (!choose_lossy(config, options, command))
        return false;
    if (options->fake_io != NULL && !read_fake_io(bench, options->fake_io)) {
        weir_cli_misuse(command, "--fake-io: wanted SEED or SEED:FAULT (0 to 5), found \"%s\"",
                        options->fake_io);
        return false;
    }
    return true;
}

/* A text for people begins with the experts that the last one used. What is measured does not. */
static bool has_habits(const struct weir_cli_options *options)
{
    return !options->no_warm_up &&
           (strcmp(options->command, "run") == 0 || strcmp(options->command, "chat") == 0 ||
            strcmp(options->command, "serve") == 0);
}

/* The folder of --prefix-cache, and those that it is in. */
static void make_text_folder(const char *folder)
{
    char path[WEIR_CLI_PATH_MAX];
    if (folder != NULL && snprintf(path, sizeof(path), "%s/", folder) < (int)sizeof(path))
        weir_cli_folders_make(path);
}

static void print_plan(const struct weir_plan *plan)
{
    weir_cli_plan_print(stderr, plan);
    weir_cli_gpu_print(stderr, &plan->gpu);
}

typedef enum weir_status open_fn(weir_engine **out, const struct weir_config *config,
                                 struct weir_err *err);

static int fail(struct weir_cli_rig *rig, const struct weir_err *err)
{
    if (err->status != WEIR_ERR_CANCELLED || weir_cli_stop_asked())
        weir_cli_fail(err);
    weir_cli_rig_close(rig);
    return WEIR_CLI_FAILURE;
}

static int open_engine(struct weir_cli_rig *rig, const struct weir_config *config,
                       const struct weir_cli_options *options, open_fn *open_it)
{
    struct weir_err err = {0};
    struct weir_config watched = *config;
    *rig = (struct weir_cli_rig){.start_ns = weir_now_ns()};
    make_text_folder(config->text_folder);
    rig->is_calibrated = weir_cli_calibration_load(&rig->calibration, config->model_path);
    if (rig->is_calibrated && watched.io_budget_bytes == 0)
        watched.io_budget_bytes = rig->calibration.found.io_budget_bytes;
    if (has_habits(options) && weir_cli_kept_load(&rig->kept, config->model_path)) {
        watched.warm_up = rig->kept.experts;
        watched.warm_up_count = rig->kept.count;
    }
    if ((options->stats != NULL && !weir_cli_out_open(&rig->stats, options->stats)) ||
        (options->timeline != NULL && !weir_cli_out_open(&rig->timeline, options->timeline))) {
        weir_cli_rig_close(rig);
        return WEIR_CLI_FAILURE;
    }
    return open_it(&rig->engine, &watched, &err) == WEIR_OK ? WEIR_CLI_OK : fail(rig, &err);
}

static int create_session(struct weir_cli_rig *rig, const struct weir_cli_options *options)
{
    struct weir_err err = {0};
    if (weir_session_create(&rig->session, rig->engine, &err) != WEIR_OK)
        return fail(rig, &err);
    weir_cli_status_clear();
    rig->load_s = (double)(weir_now_ns() - rig->start_ns) * 1e-9;
    weir_cli_energy_begin(&rig->energy, WEIR_CLI_ENERGY_ROOT);
    weir_cli_signals_watch(rig->session);
    if (options->lossy != NULL)
        weir_cli_say("--lossy %s: the text is not what the model would say", options->lossy);
    if (options->verbose)
        print_plan(weir_engine_plan(rig->engine));
    return WEIR_CLI_OK;
}

int weir_cli_rig_open(struct weir_cli_rig *rig, const struct weir_config *config,
                      const struct weir_cli_options *options)
{
    struct weir_cli_progress progress = {0};
    struct weir_config watched = *config;
    if (watched.progress == NULL) {
        watched.progress = weir_cli_progress_tell;
        watched.progress_user = &progress;
    }
    const int code = open_engine(rig, &watched, options, weir_engine_open);
    return code == WEIR_CLI_OK ? create_session(rig, options) : code;
}

int weir_cli_rig_begin(struct weir_cli_rig *rig, const struct weir_config *config,
                       const struct weir_cli_options *options)
{
    return open_engine(rig, config, options, weir_engine_begin);
}

int weir_cli_rig_finish(struct weir_cli_rig *rig, const struct weir_cli_options *options)
{
    struct weir_err err = {0};
    return weir_engine_finish(rig->engine, &err) == WEIR_OK ? create_session(rig, options)
                                                            : fail(rig, &err);
}

const char *weir_cli_context_advice(const weir_engine *engine)
{
    return weir_engine_plan(engine)->n_ctx < weir_engine_model(engine)->n_ctx_train
               ? "--ctx asks for more"
               : "the model was trained for no more";
}

const struct weir_cli_calibration *weir_cli_rig_calibration(const struct weir_cli_rig *rig)
{
    return rig->is_calibrated ? &rig->calibration : NULL;
}

void weir_cli_rig_close(struct weir_cli_rig *rig)
{
    weir_cli_signals_watch(NULL);
    weir_cli_out_discard(&rig->stats);
    weir_cli_out_discard(&rig->timeline);
    weir_session_destroy(&rig->session);
    if (rig->engine != NULL)
        weir_cli_kept_save(&rig->kept, rig->engine);
    weir_cli_kept_free(&rig->kept);
    weir_engine_close(&rig->engine);
}
