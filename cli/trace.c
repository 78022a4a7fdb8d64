/* trace.c - weir trace replay and weir trace show: what each policy would make of a routing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

enum { SHARE_MAX = 16, POLICY_MAX = 64 };

/* Columns are shares of all experts, or the one number of slots a layer. */
struct replay {
    struct weir_cli_trace trace;
    bool pool;
    uint32_t n_slot; /* 0: by share */
    uint32_t n_together;
    double shares[SHARE_MAX];
    uint32_t share_count;
    const char *policies[POLICY_MAX];
    uint32_t policy_count;
    struct weir_replay_result results[POLICY_MAX][SHARE_MAX];
};

/* Experts that a token reads, in all layers. */
static double find_reads(const struct weir_replay_result *result)
{
    return result->tokens == 0 ? WEIR_CLI_NONE
                               : (double)(result->uses - result->hits) / (double)result->tokens;
}

static double find_rate(const struct weir_replay_result *result)
{
    return result->uses == 0 ? WEIR_CLI_NONE : (double)result->hits / (double)result->uses;
}

/* Numbers apart by commas. */
static bool read_shares(struct replay *replay, const char *text, const char *command)
{
    const char *at = text;
    for (;;) {
        char *end = NULL;
        const double share = strtod(at, &end);
        if (end == at || (*end != ',' && *end != '\0') || !(share >= 0.0001) || !(share <= 1.0)) {
            weir_cli_misuse(command,
                            "--fraction: wanted numbers from 0.0001 to 1 apart by commas, "
                            "found \"%.*s\"",
                            (int)weir_min(strcspn(at, ","), 20), at);
            return false;
        }
        if (replay->share_count == SHARE_MAX) {
            weir_cli_misuse(command, "--fraction: wanted at most %d numbers, found more",
                            SHARE_MAX);
            return false;
        }
        replay->shares[replay->share_count++] = share;
        if (*end == '\0')
            return true;
        at = end + 1;
    }
}

/* The policy of that name, or all of them; with --pool those that can share slots. */
static bool read_policies(struct replay *replay, const char *name, const char *command)
{
    struct weir_err err = {0};
    if (strcmp(name, "all") != 0) {
        replay->policies[replay->policy_count++] = name;
        if (weir_policy_check(name, replay->pool, false, &err) == WEIR_OK)
            return true;
        weir_cli_misuse(command, "--policy: %s", err.text);
        return false;
    }
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
        if (!replay->pool || weir_policy_can_pool(index)) {
            WEIR_ASSERT(replay->policy_count < POLICY_MAX);
            replay->policies[replay->policy_count++] = weir_policy_name(index);
        }
    return true;
}

static bool replay_all(struct replay *replay)
{
    const uint64_t start_ns = weir_now_ns();
    for (uint32_t policy = 0; policy < replay->policy_count; policy++)
        for (uint32_t share = 0; share < replay->share_count; share++) {
            const struct weir_replay_config config = {
                .policy = replay->policies[policy],
                .pool = replay->pool,
                .n_slot = replay->n_slot,
                .expert_share = replay->shares[share],
                .warm_share = WEIR_CLI_WARM_SHARE,
                .n_together = replay->n_together,
            };
            struct weir_err err = {0};
            if (weir_now_ns() - start_ns > 500000000ull)
                weir_cli_status_line("replaying %s, %u of %u", config.policy,
                                     policy * replay->share_count + share + 1,
                                     replay->policy_count * replay->share_count);
            if (weir_trace_replay(&replay->trace.trace, &config, &replay->results[policy][share],
                                  NULL, NULL, &err) != WEIR_OK ||
                weir_cli_stop_asked()) {
                weir_cli_fail(&err);
                return false;
            }
        }
    weir_cli_status_clear();
    return true;
}

static void add_trace(json_t *object, const struct weir_cli_trace *trace)
{
    weir_cli_json_text(object, "trace", trace->path, strlen(trace->path));
    weir_cli_json_text(object, "format", trace->format, strlen(trace->format));
    weir_cli_json_count(object, "n_layer", trace->trace.n_layer);
    weir_cli_json_count(object, "n_expert", trace->trace.n_expert);
    weir_cli_json_count(object, "n_expert_used", trace->trace.n_expert_used);
    weir_cli_json_count(object, "tokens", trace->trace.n_token);
    weir_cli_json_count(object, "prompt_tokens", trace->trace.n_prompt_token);
    weir_cli_json_real(object, "warm_share", WEIR_CLI_WARM_SHARE);
}

/* share 0: slots were given, and say which fraction of all experts they are. */
static void add_result(json_t *object, const char *policy, double share, uint32_t n_expert,
                       const struct weir_replay_result *result)
{
    weir_cli_json_text(object, "policy", policy, strlen(policy));
    json_object_set_new(object, "pool", json_boolean(result->pooled));
    weir_cli_json_count(object, "slots", result->n_slot);
    weir_cli_json_count(object, "slots_total", result->n_slot_total);
    weir_cli_json_real(object, "fraction",
                       share > 0.0 ? share : (double)result->n_slot / (double)n_expert);
    weir_cli_json_count(object, "accesses", result->uses);
    weir_cli_json_count(object, "hits", result->hits);
    weir_cli_json_real(object, "hit_rate", find_rate(result));
    weir_cli_json_real(object, "reads_per_token", find_reads(result));
}

static bool print_json(const struct replay *replay)
{
    json_t *object = json_object();
    json_t *results = json_array();
    const uint32_t n_expert = replay->trace.trace.n_expert;
    add_trace(object, &replay->trace);
    for (uint32_t policy = 0; policy < replay->policy_count; policy++)
        for (uint32_t share = 0; share < replay->share_count; share++) {
            json_t *result = json_object();
            add_result(result, replay->policies[policy], replay->shares[share], n_expert,
                       &replay->results[policy][share]);
            json_array_append_new(results, result);
        }
    if (replay->policy_count == 1 && replay->share_count == 1)
        json_object_update(object, json_array_get(results, 0));
    json_object_set_new(object, "results", results);
    return weir_cli_json_print(object, stdout, "standard output");
}

/* A row for each policy. */
static void print_rows(const struct replay *replay,
                       double (*figure)(const struct weir_replay_result *result), double factor)
{
    for (uint32_t policy = 0; policy < replay->policy_count; policy++) {
        printf("  %-16s", replay->policies[policy]);
        for (uint32_t share = 0; share < replay->share_count; share++) {
            const struct weir_replay_result *result = &replay->results[policy][share];
            if (result->uses == 0)
                printf(" %7s", "-");
            else
                printf(" %7.1f", factor * figure(result));
        }
        putchar('\n');
    }
}

static void print_table(const struct replay *replay)
{
    const struct weir_trace *trace = &replay->trace.trace;
    const struct weir_replay_result *first = replay->results[0];
    printf("%s: %u layers, %u of %u experts a token%s\n", weir_cli_shown(replay->trace.path),
           trace->n_layer, trace->n_expert_used, trace->n_expert,
           replay->trace.guessed_experts ? " (by the largest that is used)" : "");
    printf("%u tokens of prompt, %u after it", trace->n_prompt_token,
           trace->n_token - trace->n_prompt_token);
    if (replay->n_together > 1)
        printf(", cut into %u texts that decode together", replay->n_together);
    printf("; %llu uses are counted\n\n", (unsigned long long)first->uses);
    printf("  %-16s", "share of experts");
    for (uint32_t share = 0; share < replay->share_count; share++)
        printf(" %7.3g", replay->n_slot > 0 ? (double)replay->n_slot / trace->n_expert
                                            : replay->shares[share]);
    printf("\n  %-16s", "slots a layer");
    for (uint32_t share = 0; share < replay->share_count; share++)
        printf(" %7u", first[share].n_slot);
    printf("\n\nHit rate in per cent%s\n", replay->pool ? ", layers share their slots" : "");
    print_rows(replay, find_rate, 100.0);
    printf("\nExperts that a token reads, in all layers\n");
    print_rows(replay, find_reads, 1.0);
}

int weir_cli_trace_replay(const struct weir_cli_options *options)
{
    struct replay replay = {.pool = options->pool,
                            .n_slot = (uint32_t)options->trace_slots,
                            .n_together = (uint32_t)options->together};
    if (replay.n_slot > 0)
        replay.share_count = 1;
    else if (!read_shares(&replay, options->shares, options->command))
        return WEIR_CLI_USAGE;
    if (!read_policies(&replay, options->policies, options->command))
        return WEIR_CLI_USAGE;
    if (!weir_cli_trace_read(&replay.trace, options->argument))
        return WEIR_CLI_FAILURE;
    bool ok = replay_all(&replay);
    if (ok && options->json)
        ok = print_json(&replay);
    else if (ok)
        print_table(&replay);
    weir_cli_trace_free(&replay.trace);
    return ok ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

/* ---- show ---------------------------------------------------------------------------------- */

static bool fill_picture(struct weir_cli_picture *picture)
{
    const struct weir_trace *trace = &picture->source->trace;
    const struct weir_replay_config config = {
        .policy = picture->policy,
        .pool = picture->pool,
        .n_slot = picture->n_slot,
        .expert_share = picture->fraction,
        .warm_share = WEIR_CLI_WARM_SHARE,
    };
    struct weir_err err = {0};
    if (weir_cli_picture_open(picture, &err) == WEIR_OK &&
        weir_trace_replay(trace, &config, &picture->result, weir_cli_picture_take, picture, &err) ==
            WEIR_OK &&
        !weir_cli_stop_asked())
        return true;
    weir_cli_fail(&err);
    return false;
}

static bool report_picture(const struct weir_cli_picture *picture,
                           const struct weir_cli_options *options)
{
    if (!options->json) {
        printf("%s: %s with %u slots a layer, hit rate %.1f %%\n", weir_cli_shown(options->output),
               picture->policy, picture->result.n_slot, 100.0 * find_rate(&picture->result));
        return true;
    }
    json_t *object = json_object();
    add_trace(object, picture->source);
    add_result(object, picture->policy, picture->fraction, picture->source->trace.n_expert,
               &picture->result);
    weir_cli_json_text(object, "picture", options->output, strlen(options->output));
    return weir_cli_json_print(object, stdout, "standard output");
}

int weir_cli_trace_show(const struct weir_cli_options *options)
{
    struct replay replay = {.pool = options->pool}; /* for the policy's name */
    struct weir_cli_trace trace;
    struct weir_cli_out out = {0};
    if (options->output == NULL)
        return weir_cli_misuse(options->command, "wanted -o FILE for the picture, found none");
    const char *name = options->policy == NULL ? "learned" : options->policy;
    if (strcmp(name, "all") == 0)
        return weir_cli_misuse(options->command, "--policy: wanted one policy, found all");
    if (!read_policies(&replay, name, options->command))
        return WEIR_CLI_USAGE;
    if (!weir_cli_trace_read(&trace, options->argument))
        return WEIR_CLI_FAILURE;
    struct weir_cli_picture picture = {
        .source = &trace,
        .policy = replay.policies[0],
        .pool = options->pool,
        .n_slot = (uint32_t)options->trace_slots,
        .fraction = options->trace_slots > 0 ? 0.0 : options->show_share,
    };
    bool ok = fill_picture(&picture) && weir_cli_out_open(&out, options->output);
    if (ok)
        weir_cli_picture_draw(&picture, out.file);
    ok = ok && weir_cli_out_finish(&out);
    ok = ok && report_picture(&picture, options);
    weir_cli_out_discard(&out);
    weir_cli_picture_close(&picture);
    weir_cli_trace_free(&trace);
    return ok ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}
