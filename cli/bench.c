/* bench.c - weir bench: speed with seeded random tokens, or those of a file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "source.h"
#include "trace.h"

/* One round; a phase that was not asked for is WEIR_CLI_NONE. */
struct round {
    double prefill_s, decode_s;
    double prefill_tps, decode_tps;
    double hit_rate, token_bytes;
};

struct bench {
    const struct weir_cli_options *options;
    struct weir_cli_rig rig;
    uint32_t *ids;           /* [batch][prompt and gen] of one round */
    weir_session **sessions; /* [batch], the first one the rig's */
    struct weir_eval *evals; /* [batch] */
    struct round *rounds;
    size_t round_count; /* done; of the last one, when it was stopped, what there is */
    uint64_t random_state;
    struct weir_cli_report report;                     /* sums of all rounds; see add_round */
    struct weir_cli_trace routing;                     /* without experts: routers choose */
    struct weir_gpu_moves prefill_moves, decode_moves; /* the same */
    uint64_t logits_hash; /* of the last round's last logits of the first text; 0: there are none */
};

struct spread {
    double median, least, most;
};

static int compare_reals(const void *left, const void *right)
{
    double a = 0.0;
    double b = 0.0;
    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return (a > b) - (a < b);
}

/* Of one member of every round. values has room for one number a round. */
static struct spread find_spread(const struct bench *bench, size_t offset, double *values)
{
    size_t count = 0;
    for (size_t index = 0; index < bench->round_count; index++) {
        memcpy(&values[count], (const char *)&bench->rounds[index] + offset, sizeof(double));
        count += !isnan(values[count]);
    }
    if (count == 0)
        return (struct spread){WEIR_CLI_NONE, WEIR_CLI_NONE, WEIR_CLI_NONE};
    qsort(values, count, sizeof(*values), compare_reals);
    return (struct spread){(values[(count - 1) / 2] + values[count / 2]) / 2.0, values[0],
                           values[count - 1]};
}

/* Sum the counters of a phase: each is measured between two resets. */
static void add_stats(struct weir_stats *sum, const struct weir_stats *phase)
{
    sum->expert_uses += phase->expert_uses;
    sum->expert_hits += phase->expert_hits;
    sum->expert_reads += phase->expert_reads;
    sum->expert_bytes += phase->expert_bytes;
    sum->read_bytes += phase->read_bytes;
    sum->io_wait_s += phase->io_wait_s;
    sum->device_busy_s += phase->device_busy_s;
    sum->pending_s += phase->pending_s;
    sum->pending_bytes += phase->pending_bytes;
    sum->ahead_reads += phase->ahead_reads;
    sum->ahead_hits += phase->ahead_hits;
    sum->ahead_late += phase->ahead_late;
    sum->ahead_wasted_bytes += phase->ahead_wasted_bytes;
    sum->guessed += phase->guessed;
    sum->guessed_right += phase->guessed_right;
    sum->io_short_count += phase->io_short_count;
    sum->io_retry_count += phase->io_retry_count;
    sum->reads_per_expert_max = weir_max(sum->reads_per_expert_max, phase->reads_per_expert_max);
}

static void add_moves(const struct bench *bench, struct weir_gpu_moves *sum)
{
    struct weir_gpu_moves phase;
    weir_engine_gpu_moves_get(bench->rig.engine, &phase);
    sum->copied += phase.copied;
    sum->copied_bytes += phase.copied_bytes;
    sum->ahead += phase.ahead;
    sum->ahead_used += phase.ahead_used;
    sum->wanted += phase.wanted;
    sum->hits += phase.hits;
    sum->late += phase.late;
    sum->wait_s += phase.wait_s;
    sum->uses += phase.uses;
    sum->uses_there += phase.uses_there;
}

/* Ids [begin, end) of every text, together. */
static enum weir_status evaluate(struct bench *bench, uint64_t begin, uint64_t end,
                                 struct weir_err *err)
{
    const struct weir_cli_options *options = bench->options;
    const uint64_t total = options->bench_prompt + options->bench_gen;
    for (uint64_t text = 0; text < options->bench_batch; text++)
        bench->evals[text] = (struct weir_eval){.session = bench->sessions[text],
                                                .ids = bench->ids + text * total + begin,
                                                .count = end - begin};
    return weir_engine_eval(bench->rig.engine, bench->evals, options->bench_batch, err);
}

static enum weir_status evaluate_prompt(struct bench *bench, struct weir_err *err)
{
    struct weir_cli_prompt_progress progress = {0};
    snprintf(progress.before, sizeof(progress.before), "round %zu of %llu, ",
             bench->round_count + 1, (unsigned long long)bench->options->bench_repeat);
    weir_cli_prompt_progress_begin(&progress, &bench->rig, bench->options->bench_prompt);
    const enum weir_status status = evaluate(bench, 0, bench->options->bench_prompt, err);
    weir_cli_prompt_progress_end(&progress);
    return status;
}

/* FNV-1a of the first text's logits: whether two runs have the same bits. */
static uint64_t hash_logits(const struct bench *bench)
{
    const float *logits = weir_session_logits(bench->sessions[0]);
    const uint8_t *bytes = (const uint8_t *)logits;
    const size_t count = weir_engine_model(bench->rig.engine)->n_vocab * sizeof(*logits);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < count && logits != NULL; at++)
        hash = (hash ^ bytes[at]) * UINT64_C(0x100000001b3);
    return logits == NULL ? 0 : hash;
}

/* What the round's phases were, and its share of the sums. */
static void add_round(struct bench *bench, struct round *round, const struct weir_stats *prefill,
                      const struct weir_stats *decode, uint64_t generated)
{
    const struct weir_cli_options *options = bench->options;
    struct weir_cli_report *report = &bench->report;
    const uint64_t prefill_count = options->bench_batch * options->bench_prompt;
    const uint64_t decode_count = options->bench_batch * generated;
    const struct weir_stats *told = generated == 0 ? prefill : decode;
    round->prefill_tps =
        prefill_count == 0 ? WEIR_CLI_NONE : (double)prefill_count / round->prefill_s;
    round->decode_tps = decode_count == 0 ? WEIR_CLI_NONE : (double)decode_count / round->decode_s;
    round->hit_rate = told->expert_uses == 0
                          ? WEIR_CLI_NONE
                          : (double)told->expert_hits / (double)told->expert_uses;
    round->token_bytes = decode_count == 0 || decode->expert_uses == 0
                             ? WEIR_CLI_NONE
                             : (double)decode->read_bytes / (double)decode_count;
    add_stats(&report->prefill, prefill);
    add_stats(&report->whole, prefill);
    add_stats(&report->whole, decode);
    report->prefill_s += round->prefill_s;
    report->decode_s += round->decode_s;
    report->prefill_evals += prefill_count;
    report->decode_evals += decode_count;
    bench->round_count++;
}

/* A round that is stopped behind its prompt counts with the tokens that it has. */
static enum weir_status run_round(struct bench *bench, struct round *round, struct weir_err *err)
{
    const struct weir_cli_options *options = bench->options;
    weir_engine *engine = bench->rig.engine;
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    const uint64_t total = options->bench_prompt + options->bench_gen;
    struct weir_stats prefill = {0};
    struct weir_stats decode = {0};
    enum weir_status status = WEIR_OK;
    for (uint64_t index = 0; index < total * options->bench_batch && options->tokens == NULL;
         index++)
        bench->ids[index] = (uint32_t)(weir_random_next(&bench->random_state) % n_vocab);
    for (uint64_t text = 0; text < options->bench_batch; text++)
        weir_session_rewind(bench->sessions[text], 0);
    weir_engine_stats_reset(engine);
    uint64_t start_ns = weir_now_ns();
    weir_cli_energy_take(&bench->rig.energy, NULL);
    if (options->bench_prompt > 0)
        WEIR_TRY(evaluate_prompt(bench, err));
    round->prefill_s = (double)(weir_now_ns() - start_ns) * 1e-9;
    weir_cli_energy_take(&bench->rig.energy, &bench->report.prefill_j);
    weir_engine_stats_get(engine, &prefill);
    add_moves(bench, &bench->prefill_moves);
    weir_engine_stats_reset(engine);
    start_ns = weir_now_ns();
    uint64_t index = options->bench_prompt;
    while (index < total && !weir_cli_stop_asked()) {
        const uint64_t before_ns = weir_now_ns();
        status = evaluate(bench, index, index + 1, err);
        if (status != WEIR_OK) {
            start_ns += weir_now_ns() - before_ns; /* the token that is not there took no time */
            break;
        }
        index++;
        weir_cli_energy_look(&bench->rig.energy);
    }
    weir_cli_energy_take(&bench->rig.energy, &bench->report.decode_j);
    if (status != WEIR_OK && !weir_cli_stop_asked())
        return status;
    round->decode_s = (double)(weir_now_ns() - start_ns) * 1e-9;
    weir_engine_stats_get(engine, &decode);
    add_moves(bench, &bench->decode_moves);
    bench->logits_hash = hash_logits(bench);
    if (options->bench_prompt > 0 || index > 0)
        add_round(bench, round, &prefill, &decode, index - options->bench_prompt);
    return WEIR_OK;
}

static json_t *describe_spread(struct spread spread)
{
    json_t *object = json_object();
    weir_cli_json_real(object, "median", spread.median);
    weir_cli_json_real(object, "min", spread.least);
    weir_cli_json_real(object, "max", spread.most);
    return object;
}

static json_t *describe_rounds(const struct bench *bench)
{
    json_t *array = json_array();
    for (size_t index = 0; index < bench->round_count; index++) {
        const struct round *round = &bench->rounds[index];
        json_t *object = json_object();
        weir_cli_json_real(object, "prefill_tps", round->prefill_tps);
        weir_cli_json_real(object, "decode_tps", round->decode_tps);
        weir_cli_json_real(object, "hit_rate", round->hit_rate);
        weir_cli_json_real(object, "bytes_per_token", round->token_bytes);
        json_array_append_new(array, object);
    }
    return array;
}

static void print_spread(const char *name, struct spread spread)
{
    if (isfinite(spread.median))
        printf("%-8s %10.2f tokens/s   least %10.2f   most %10.2f\n", name, spread.median,
               spread.least, spread.most);
}

/* ---- routing of a trace ---------------------------------------------------------------------- */

/* How often the trace's tokens were used, all rounds and texts together. */
static double count_passes(const struct bench *bench)
{
    const struct weir_cli_options *options = bench->options;
    const uint64_t total = options->bench_prompt + options->bench_gen;
    return (double)(bench->round_count * options->bench_batch * total) /
           bench->routing.trace.n_token;
}

static json_t *describe_routing(const struct bench *bench)
{
    const double recall = bench->options->routing_recall;
    json_t *object = json_object();
    if (bench->routing.experts == NULL) {
        json_decref(object);
        return json_null();
    }
    weir_cli_json_text(object, "trace", bench->routing.path, strlen(bench->routing.path));
    weir_cli_json_count(object, "tokens", bench->routing.trace.n_token);
    weir_cli_json_real(object, "passes", count_passes(bench));
    weir_cli_json_real(object, "lookahead_recall", recall > 0.0 ? recall : WEIR_CLI_NONE);
    return object;
}

static void print_routing(const struct bench *bench)
{
    const double passes = count_passes(bench);
    if (bench->routing.experts == NULL)
        return;
    printf("experts of %s (%u tokens) in place of the router's, ",
           weir_cli_shown(bench->routing.path), bench->routing.trace.n_token);
    if (bench->options->routing_recall > 0.0)
        printf("look-ahead is told %.0f %% of them\n", 100.0 * bench->options->routing_recall);
    else
        printf("look-ahead off: this router knows nothing of them\n");
    if (passes > 1.0)
        printf("the trace was used %.1f times over: a text that comes again finds more in memory "
               "than a new one\n",
               passes);
}

/* Each text begins at another place of the trace. */
static int prescribe_routing(struct bench *bench)
{
    const struct weir_cli_options *options = bench->options;
    const struct weir_trace *trace = &bench->routing.trace;
    struct weir_err err = {0};
    if (bench->routing.experts == NULL)
        return WEIR_CLI_OK;
    if (!weir_cli_trace_fit(&bench->routing, &weir_engine_plan(bench->rig.engine)->cost))
        return WEIR_CLI_FAILURE;
    for (uint64_t text = 0; text < options->bench_batch; text++)
        if (weir_session_prescribe(bench->sessions[text], trace,
                                   (uint32_t)(text * trace->n_token / options->bench_batch),
                                   options->routing_recall, &err) != WEIR_OK)
            return weir_cli_fail(&err);
    return WEIR_CLI_OK;
}

/* Read before the engine is opened: it is the caller's memory. */
static int read_routing(struct bench *bench, struct weir_config *config)
{
    const struct weir_cli_options *options = bench->options;
    const struct weir_trace *trace = &bench->routing.trace;
    if (options->routing == NULL)
        return options->routing_recall > 0.0
                   ? weir_cli_misuse("bench", "--routing-recall: wanted --routing with it")
                   : WEIR_CLI_OK;
    if (weir_cli_option_given(options, WEIR_CLI_OPTION_lookahead_by))
        return weir_cli_misuse("bench", "--lookahead-by: with --routing nothing is guessed, see "
                                        "--routing-recall");
    if (options->routing_recall > 0.0 && strcmp(options->lookahead, "off") == 0)
        return weir_cli_misuse("bench", "--routing-recall: wanted look-ahead, found --lookahead "
                                        "off");
    if (!weir_cli_trace_read(&bench->routing, options->routing))
        return WEIR_CLI_FAILURE;
    config->caller_bytes +=
        (uint64_t)trace->n_token * trace->n_layer * trace->n_expert_used * sizeof(*trace->experts);
    return WEIR_CLI_OK;
}

/* ---- experts that went to a GPU -------------------------------------------------------------- */

static json_t *describe_moves(const struct weir_gpu_moves *moves)
{
    json_t *object = json_object();
    weir_cli_json_count(object, "copied", moves->copied);
    weir_cli_json_count(object, "copied_bytes", moves->copied_bytes);
    weir_cli_json_count(object, "ahead", moves->ahead);
    weir_cli_json_count(object, "ahead_used", moves->ahead_used);
    weir_cli_json_count(object, "wanted", moves->wanted);
    weir_cli_json_count(object, "hits", moves->hits);
    weir_cli_json_count(object, "late", moves->late);
    weir_cli_json_real(object, "wait_s", moves->wait_s);
    weir_cli_json_count(object, "uses", moves->uses);
    weir_cli_json_count(object, "uses_there", moves->uses_there);
    return object;
}

static json_t *describe_gpu(const struct bench *bench)
{
    if (weir_engine_mode(bench->rig.engine)->gpu == NULL)
        return json_null();
    json_t *object = json_object();
    json_object_set_new(object, "prefill", describe_moves(&bench->prefill_moves));
    json_object_set_new(object, "decode", describe_moves(&bench->decode_moves));
    return object;
}

static void print_moves(const char *name, const struct weir_gpu_moves *moves)
{
    if (moves->wanted > 0)
        printf("%-8s of the experts wanted on the GPU %.3f were there, %.3f on their way; %.2f GB "
               "crossed\n",
               name, (double)moves->hits / (double)moves->wanted,
               (double)moves->late / (double)moves->wanted, 1e-9 * (double)moves->copied_bytes);
}

/* ---- the result ------------------------------------------------------------------------------ */

static int tell(struct bench *bench, double *values)
{
    const struct weir_cli_options *options = bench->options;
    struct weir_cli_report report = bench->report;
    char hash_text[17];
    const struct spread prefill = find_spread(bench, offsetof(struct round, prefill_tps), values);
    const struct spread decode = find_spread(bench, offsetof(struct round, decode_tps), values);
    const double prefill_s = find_spread(bench, offsetof(struct round, prefill_s), values).median;
    const double decode_s = find_spread(bench, offsetof(struct round, decode_s), values).median;
    if (!options->json) {
        if (options->bench_batch > 1)
            printf("%llu texts together, each of ", (unsigned long long)options->bench_batch);
        printf("%llu prompt tokens, %llu generated, %zu round%s, ",
               (unsigned long long)options->bench_prompt, (unsigned long long)options->bench_gen,
               bench->round_count, bench->round_count == 1 ? "" : "s");
        if (options->tokens == NULL)
            printf("seed %llu\n", (unsigned long long)options->bench_seed);
        else
            printf("the ids of %s\n", weir_cli_shown(options->tokens));
        print_routing(bench);
        print_spread("prefill", prefill);
        print_spread("decode", decode);
        print_moves("prefill", &bench->prefill_moves);
        print_moves("decode", &bench->decode_moves);
        weir_cli_report_print(&report);
    }
    json_t *object = weir_cli_report_json(&report);
    weir_cli_json_count(object, "tokens", options->bench_gen);
    weir_cli_json_real(object, "prefill_s", options->bench_prompt == 0 ? WEIR_CLI_NONE : prefill_s);
    weir_cli_json_real(object, "decode_s", options->bench_gen == 0 ? WEIR_CLI_NONE : decode_s);
    weir_cli_json_real(object, "prefill_tps", prefill.median);
    weir_cli_json_real(object, "decode_tps", decode.median);
    weir_cli_json_count(object, "seed", options->tokens == NULL ? options->bench_seed : UINT64_MAX);
    weir_cli_json_count(object, "repeat", bench->round_count);
    json_object_set_new(object, "stopped", json_boolean(weir_cli_stop_asked()));
    weir_cli_json_count(object, "batch", options->bench_batch);
    json_object_set_new(object, "prefill", describe_spread(prefill));
    json_object_set_new(object, "decode", describe_spread(decode));
    json_object_set_new(object, "rounds", describe_rounds(bench));
    json_object_set_new(object, "routing", describe_routing(bench));
    json_object_set_new(object, "gpu_moves", describe_gpu(bench));
    snprintf(hash_text, sizeof(hash_text), "%016llx", (unsigned long long)bench->logits_hash);
    weir_cli_json_text(object, "logits_hash", hash_text, strlen(hash_text));
    weir_cli_json_count(object, "reads_per_expert_max",
                        weir_engine_plan(bench->rig.engine)->n_expert_total == 0
                            ? UINT64_MAX
                            : report.whole.reads_per_expert_max);
    if (weir_cli_stop_asked())
        weir_cli_say("stopped: these are the rounds until then, the last one not whole");
    return weir_cli_report_write(object, options, &bench->rig) && !weir_cli_stop_asked()
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

static int run_rounds(struct bench *bench)
{
    const struct weir_cli_options *options = bench->options;
    bench->report = (struct weir_cli_report){
        .engine = bench->rig.engine,
        .calibration = weir_cli_rig_calibration(&bench->rig),
        .is_prompt = true,
        .model_path = options->argument,
        .prompt_tokens = options->bench_prompt,
        .load_s = bench->rig.load_s,
        .first_token_s = WEIR_CLI_NONE,
    };
    bench->random_state = options->bench_seed;
    for (size_t index = 0; index < options->bench_repeat && !weir_cli_stop_asked(); index++) {
        struct weir_err err = {0};
        weir_cli_status_line("round %zu of %llu", index + 1,
                             (unsigned long long)options->bench_repeat);
        if (run_round(bench, &bench->rounds[index], &err) == WEIR_OK)
            continue;
        if (!weir_cli_stop_asked() || bench->round_count == 0)
            return weir_cli_fail(&err);
    }
    weir_cli_status_clear();
    if (bench->round_count > 0)
        return WEIR_CLI_OK;
    weir_cli_say("stopped before anything was measured");
    return WEIR_CLI_FAILURE;
}

/* The ids of --tokens, at least those of one round; random ones come later, in each round. */
static int take_ids(struct bench *bench, uint64_t total)
{
    const struct weir_cli_options *options = bench->options;
    struct weir_cli_source source = {.fd = -1};
    size_t count = 0;
    bench->ids = weir_heap_array(total, sizeof(*bench->ids));
    if (bench->ids == NULL) {
        weir_cli_say("no memory for %llu token ids", (unsigned long long)total);
        return WEIR_CLI_FAILURE;
    }
    if (options->tokens == NULL)
        return WEIR_CLI_OK;
    const bool ok = weir_cli_source_open(&source, options->tokens) &&
                    weir_cli_source_next(&source, bench->ids, total, &count);
    weir_cli_source_close(&source);
    if (ok && count < total)
        weir_cli_say("%s: wanted %llu ids for --prompt, --gen and --batch, found %zu",
                     options->tokens, (unsigned long long)total, count);
    if (!ok || count < total)
        return WEIR_CLI_FAILURE;
    return weir_cli_ids_check(options->tokens, options->argument, bench->ids, total)
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

static int open_sessions(struct bench *bench)
{
    struct weir_err err = {0};
    bench->sessions[0] = bench->rig.session;
    for (uint64_t text = 1; text < bench->options->bench_batch; text++)
        if (weir_session_create(&bench->sessions[text], bench->rig.engine, &err) != WEIR_OK)
            return weir_cli_fail(&err);
    return WEIR_CLI_OK;
}

int weir_cli_bench(const struct weir_cli_options *options)
{
    struct bench bench = {.options = options};
    struct weir_config config;
    struct weir_bench_config bench_config;
    const uint64_t total = options->bench_prompt + options->bench_gen;
    if (!weir_cli_config_fill(&config, &bench_config, options, "bench"))
        return WEIR_CLI_USAGE;
    if (total == 0)
        return weir_cli_misuse("bench", "--prompt and --gen: wanted one above 0, found both 0");
    if (config.n_ctx == 0)
        config.n_ctx = (uint32_t)total;
    const uint64_t batch = options->bench_batch;
    if (config.n_ctx < total)
        return weir_cli_misuse("bench",
                               "--ctx: wanted at least %llu for --prompt and --gen, found %u",
                               (unsigned long long)total, config.n_ctx);
    int code = read_routing(&bench, &config);
    if (code == WEIR_CLI_OK)
        code = take_ids(&bench, batch * total);
    if (code != WEIR_CLI_OK) {
        weir_cli_trace_free(&bench.routing);
        weir_ids_free(&bench.ids);
        return code;
    }
    bench.rounds = weir_heap_array(options->bench_repeat, sizeof(*bench.rounds));
    double *values = weir_heap_array(options->bench_repeat, sizeof(*values));
    bench.sessions = weir_heap_array(batch, sizeof(*bench.sessions));
    bench.evals = weir_heap_array(batch, sizeof(*bench.evals));
    if (bench.rounds == NULL || values == NULL || bench.sessions == NULL || bench.evals == NULL) {
        weir_cli_say("no memory for %llu rounds", (unsigned long long)options->bench_repeat);
        code = WEIR_CLI_FAILURE;
    }
    if (code == WEIR_CLI_OK)
        code = weir_cli_rig_open(&bench.rig, &config, options);
    if (code == WEIR_CLI_OK)
        code = open_sessions(&bench);
    if (code == WEIR_CLI_OK)
        code = prescribe_routing(&bench);
    if (code == WEIR_CLI_OK)
        code = run_rounds(&bench);
    if (code == WEIR_CLI_OK)
        code = tell(&bench, values);
    for (uint64_t text = 1; text < batch && bench.sessions != NULL; text++)
        weir_session_destroy(&bench.sessions[text]);
    weir_cli_rig_close(&bench.rig);
    weir_cli_trace_free(&bench.routing);
    weir_ids_free(&bench.ids);
    weir_heap_free(bench.sessions);
    weir_heap_free(bench.evals);
    weir_heap_free(bench.rounds);
    weir_heap_free(values);
    return code;
}
