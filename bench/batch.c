/* batch.c - texts that decode together beside the same texts one after the other, and in turns.
 *
 *   build/release/bench/batch MODEL.gguf GIB [TEXTS [TOKENS [ROUNDS]]]
 *   prints {"texts":N,"in_a_row":{WAY},"in_turns":{WAY},"together":{WAY},"ratio":R,
 *           "ratio_to_turns":R,"replay":{...}}
 *     WAY: {"tokens_per_s":T,"token_bytes":B,"wrong_bytes":W,"hit_rate":H}
 *
 * In a round each text decodes TOKENS tokens alone; then the texts take turns, a token each; then
 * all decode the next TOKENS tokens in one step per token. Speeds are tokens per second of all
 * texts, bytes are read from the device per token, wrong ones of them for experts that were guessed
 * and not used; medians of the rounds. GIB 0: everything in memory.
 *
 * "replay" says what the experts of the last way would have cost with as many slots, in bytes per
 * token: in a row and together, by the policy that decides and by one that knows the future.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/heap.h"
#include "weir.h"
#include "weir_bench.h"

enum { TEXTS_MAX = 64, TEXTS = 8, TOKENS = 16, ROUNDS = 9, ROUNDS_MAX = 99, SEED = 1 };
enum { IN_A_ROW, IN_TURNS, TOGETHER, WAYS };

static const char *const names[WAYS] = {"in_a_row", "in_turns", "together"};

struct rig;

struct text {
    struct rig *rig;
    weir_session *session;
    uint32_t kept; /* its tokens in the trace */
};

struct rig {
    weir_engine *engine;
    struct text texts[TEXTS_MAX];
    uint32_t n_text, n_token, n_round, n_vocab;
    uint64_t random_state;
    struct weir_trace trace; /* [text][token] of the last way */
    uint16_t *experts;
    bool is_kept;
};

/* What a token took, in a round or the median of them. */
struct cost {
    double tokens_per_s, token_bytes, wrong_bytes, hit_rate;
};

static uint32_t next_id(struct rig *rig)
{
    return (uint32_t)(weir_random_next(&rig->random_state) % rig->n_vocab);
}

static enum weir_status run_alone(struct rig *rig, uint32_t text, struct weir_err *err)
{
    const uint32_t id = next_id(rig);
    return weir_session_eval(rig->texts[text].session, &id, 1, NULL, NULL, err);
}

static enum weir_status run_in_a_row(struct rig *rig, struct weir_err *err)
{
    for (uint32_t text = 0; text < rig->n_text; text++)
        for (uint32_t token = 0; token < rig->n_token; token++)
            WEIR_TRY(run_alone(rig, text, err));
    return WEIR_OK;
}

static enum weir_status run_in_turns(struct rig *rig, struct weir_err *err)
{
    for (uint32_t token = 0; token < rig->n_token; token++)
        for (uint32_t text = 0; text < rig->n_text; text++)
            WEIR_TRY(run_alone(rig, text, err));
    return WEIR_OK;
}

static enum weir_status run_together(struct rig *rig, struct weir_err *err)
{
    for (uint32_t token = 0; token < rig->n_token; token++) {
        uint32_t ids[TEXTS_MAX];
        struct weir_eval evals[TEXTS_MAX];
        for (uint32_t text = 0; text < rig->n_text; text++) {
            ids[text] = next_id(rig);
            evals[text] = (struct weir_eval){
                .session = rig->texts[text].session, .ids = &ids[text], .count = 1};
        }
        WEIR_TRY(weir_engine_eval(rig->engine, evals, rig->n_text, err));
        for (uint32_t text = 0; text < rig->n_text && rig->is_kept; text++)
            rig->texts[text].kept++;
    }
    return WEIR_OK;
}

static enum weir_status measure(struct rig *rig, int way, struct cost *cost, struct weir_err *err)
{
    static enum weir_status (*const runs[WAYS])(struct rig *, struct weir_err *) = {
        run_in_a_row, run_in_turns, run_together};
    const double count = (double)rig->n_text * rig->n_token;
    struct weir_stats stats;
    weir_engine_stats_reset(rig->engine);
    rig->is_kept = way == TOGETHER && rig->trace.experts != NULL;
    const uint64_t begin_ns = weir_now_ns();
    WEIR_TRY(runs[way](rig, err));
    cost->tokens_per_s = count / ((double)(weir_now_ns() - begin_ns) * 1e-9);
    weir_engine_stats_get(rig->engine, &stats);
    cost->token_bytes = (double)stats.read_bytes / count;
    cost->wrong_bytes = (double)stats.ahead_wasted_bytes / count;
    cost->hit_rate = (double)stats.expert_hits / (double)weir_max(stats.expert_uses, 1);
    return WEIR_OK;
}

/* A weir_routing_fn: one token of a text. */
static void keep_experts(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                         uint32_t n_expert_used, const uint32_t *experts)
{
    const struct text *text = user;
    struct rig *rig = text->rig;
    const uint32_t n_used = rig->trace.n_expert_used;
    const size_t length = (size_t)rig->n_round * rig->n_token;
    const size_t token = (size_t)(text - rig->texts) * length + text->kept;
    (void)position;
    WEIR_ASSERT(n_token == 1);
    for (uint32_t rank = 0; rank < n_used && rig->is_kept; rank++)
        rig->experts[(token * rig->trace.n_layer + layer) * n_used + rank] =
            rank < n_expert_used ? (uint16_t)experts[rank] : WEIR_EXPERT_NONE;
}

static enum weir_status keep_trace(struct rig *rig, struct weir_err *err)
{
    const struct weir_model_info *model = weir_engine_model(rig->engine);
    rig->trace = (struct weir_trace){.n_layer = model->n_moe_layer,
                                     .n_expert = model->n_expert,
                                     .n_expert_used = model->n_expert_used,
                                     .n_token = rig->n_text * rig->n_round * rig->n_token};
    const size_t count = (size_t)rig->trace.n_token * rig->trace.n_layer * rig->trace.n_expert_used;
    rig->experts = weir_heap_array(count, sizeof(*rig->experts));
    if (rig->experts == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a trace of %zu experts", count);
    rig->trace.experts = rig->experts;
    for (uint32_t text = 0; text < rig->n_text; text++)
        weir_session_watch_routing(rig->texts[text].session, keep_experts, &rig->texts[text]);
    return WEIR_OK;
}

static enum weir_status replay(struct rig *rig, const char *policy, uint32_t n_together,
                               double *token_bytes, struct weir_err *err)
{
    const struct weir_plan *plan = weir_engine_plan(rig->engine);
    const struct weir_replay_config config = {
        .policy = policy,
        .pool = true,
        .expert_share = (double)plan->n_slot_total / plan->n_expert_total,
        .warm_share = 1.0 / 3.0,
        .n_together = n_together,
    };
    struct weir_replay_result result = {0};
    WEIR_TRY(weir_trace_replay(&rig->trace, &config, &result, NULL, NULL, err));
    *token_bytes = (double)(result.uses - result.hits) / (double)result.tokens *
                   (double)plan->token_bytes /
                   ((double)rig->trace.n_layer * rig->trace.n_expert_used);
    return WEIR_OK;
}

static enum weir_status print_replays(struct rig *rig, struct weir_err *err)
{
    double row[2], all[2];
    for (int index = 0; index < 2; index++) {
        const char *policy = index == 0 ? "learned" : "belady";
        WEIR_TRY(replay(rig, policy, 1, &row[index], err));
        WEIR_TRY(replay(rig, policy, rig->n_text, &all[index], err));
    }
    printf(", \"replay\": {\"in_a_row\": {\"learned\": %.0f, \"belady\": %.0f}, "
           "\"together\": {\"learned\": %.0f, \"belady\": %.0f}}",
           row[0], row[1], all[0], all[1]);
    return WEIR_OK;
}

static double median(double *values, uint32_t count)
{
    weir_sort_reals(values, count);
    return values[count / 2];
}

static struct cost median_cost(const struct cost *costs, uint32_t count)
{
    double values[4][ROUNDS_MAX];
    for (uint32_t round = 0; round < count; round++) {
        values[0][round] = costs[round].tokens_per_s;
        values[1][round] = costs[round].token_bytes;
        values[2][round] = costs[round].wrong_bytes;
        values[3][round] = costs[round].hit_rate;
    }
    return (struct cost){.tokens_per_s = median(values[0], count),
                         .token_bytes = median(values[1], count),
                         .wrong_bytes = median(values[2], count),
                         .hit_rate = median(values[3], count)};
}

static enum weir_status compare(struct rig *rig, struct weir_err *err)
{
    static struct cost costs[WAYS][ROUNDS_MAX];
    static double ratios[TOGETHER][ROUNDS_MAX];
    WEIR_TRY(measure(rig, TOGETHER, &costs[TOGETHER][0], err)); /* warm */
    if (rig->trace.n_layer == 0 && weir_engine_model(rig->engine)->n_moe_layer > 0)
        WEIR_TRY(keep_trace(rig, err));
    for (uint32_t round = 0; round < rig->n_round; round++) {
        for (int way = 0; way < WAYS; way++)
            WEIR_TRY(measure(rig, way, &costs[way][round], err));
        for (int way = 0; way < TOGETHER; way++)
            ratios[way][round] =
                costs[TOGETHER][round].tokens_per_s / costs[way][round].tokens_per_s;
    }
    printf("{\"texts\": %u", rig->n_text);
    for (int way = 0; way < WAYS; way++) {
        const struct cost cost = median_cost(costs[way], rig->n_round);
        printf(", \"%s\": {\"tokens_per_s\": %.2f, \"token_bytes\": %.0f, \"wrong_bytes\": %.0f, "
               "\"hit_rate\": %.3f}",
               names[way], cost.tokens_per_s, cost.token_bytes, cost.wrong_bytes, cost.hit_rate);
    }
    printf(", \"ratio\": %.3f, \"ratio_to_turns\": %.3f", median(ratios[IN_A_ROW], rig->n_round),
           median(ratios[IN_TURNS], rig->n_round));
    if (rig->experts != NULL)
        WEIR_TRY(print_replays(rig, err));
    printf("}\n");
    return WEIR_OK;
}

static enum weir_status run(struct rig *rig, const char *path, double gib, struct weir_err *err)
{
    struct weir_config config = {.model_path = path,
                                 .mem_bytes = (uint64_t)(gib * (double)(1u << 30)),
                                 .n_ctx = (WAYS * rig->n_round + 1) * rig->n_token + 1};
    WEIR_TRY(weir_engine_open(&rig->engine, &config, err));
    rig->n_vocab = weir_engine_model(rig->engine)->n_vocab;
    for (uint32_t text = 0; text < rig->n_text; text++) {
        rig->texts[text].rig = rig;
        WEIR_TRY(weir_session_create(&rig->texts[text].session, rig->engine, err));
    }
    return compare(rig, err);
}

int main(int argc, char **argv)
{
    struct weir_err err = {0};
    struct rig rig = {.random_state = SEED};
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf GIB [TEXTS [TOKENS [ROUNDS]]]\n", argv[0]);
        return 2;
    }
    rig.n_text = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : TEXTS;
    rig.n_token = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : TOKENS;
    rig.n_round = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : ROUNDS;
    if (rig.n_text < 1 || rig.n_text > TEXTS_MAX || rig.n_token < 1 || rig.n_round < 1 ||
        rig.n_round > ROUNDS_MAX) {
        fprintf(stderr, "%s: wanted 1 to %d texts, tokens and 1 to %d rounds\n", argv[0], TEXTS_MAX,
                ROUNDS_MAX);
        return 2;
    }
    const enum weir_status status = run(&rig, argv[1], strtod(argv[2], NULL), &err);
    if (status != WEIR_OK)
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
    for (uint32_t text = 0; text < rig.n_text; text++)
        weir_session_destroy(&rig.texts[text].session);
    weir_engine_close(&rig.engine);
    weir_heap_free(rig.experts);
    return status == WEIR_OK ? 0 : 1;
}
