/* swap.c - conversations of five turns whose priorities change: texts go to the disk and come back
 * while another one is written, in groups and by blocks.
 *
 *   build/release/bench/swap MODEL.gguf FOLDER [CONVERSATIONS [ROUNDS [TURN_TOKENS]]]
 *   prints {"conversations":N,"rounds":R,"groups":{WAY},"blocks":{WAY},
 *           "first_p99_ratio":X,"between_p99_ratio":X}
 *     WAY: {"written_bytes":B,"read_bytes":B,"calls":N,"stall_s":S,"reused_pages":N,
 *           "first_s":{P},"between_s":{P}}
 *     P: {"p50":S,"p95":S,"p99":S,"p99.9":S}
 *
 * In a round every conversation has five turns; whose turn it is changes with each, at random, and
 * at the smallest ceiling nothing of a text stays in memory. One text is written all the time: the
 * time between its tokens is "between". "first" is from when a turn begins until its first token is
 * there: its text comes back, TURN_TOKENS of a prompt are computed, and then some are written.
 * "groups" is what weir does. "blocks" moves 16 positions of one layer at a time, the whole text
 * each time, while nothing is computed: as paged engines do it (FastSwitch, arXiv:2411.18424,
 * section 2). Both ways take turns, a round each, with ids of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/heap.h"
#include "weir.h"
#include "weir_bench.h"

enum {
    CONVERSATIONS = 6,
    ROUNDS = 3,
    TURNS = 5,
    TURN_TOKENS = 40,
    WRITTEN = 6, /* tokens of an answer */
    BLOCK_POSITIONS = 16,
    BESIDE_MAX = 64, /* positions of the text that is written all the time */
    N_CTX = 512,
    SAMPLES_MAX = 1 << 20,
    TEXTS_MAX = 64,
};
enum { GROUPS, BLOCKS, WAYS };

struct samples {
    double *seconds;
    size_t count;
};

struct way {
    const char *name;
    struct weir_bench_config bench;
    struct weir_saved_stats total;
    struct samples first, between;
};

struct text {
    uint32_t ids[N_CTX];
    uint32_t count, turns;
};

struct replay {
    struct weir_config config;
    weir_engine *engine;
    weir_session *beside;
    struct text texts[TEXTS_MAX];
    uint32_t n_text, turn_tokens, n_vocab;
    uint64_t random_state, token_ns; /* token_ns: when the last token beside was there */
};

static void add(struct samples *samples, double seconds)
{
    if (samples->count < SAMPLES_MAX)
        samples->seconds[samples->count++] = seconds;
}

static uint32_t draw(struct replay *replay, uint32_t most)
{
    return (uint32_t)(weir_random_next(&replay->random_state) % most);
}

/* A step: the next token of the text beside, and what the turn has to compute, if anything. */
static enum weir_status step(struct replay *replay, struct way *way, weir_session *session,
                             const uint32_t *ids, size_t count, struct weir_err *err)
{
    const uint32_t id = draw(replay, replay->n_vocab);
    struct weir_eval evals[2] = {
        {.session = replay->beside, .ids = &id, .count = 1, .phase = WEIR_PHASE_DECODE},
        {.session = session, .ids = ids, .count = count}};
    if (weir_session_position(replay->beside) == BESIDE_MAX)
        WEIR_TRY(weir_session_rewind(replay->beside, 0));
    WEIR_TRY(weir_engine_eval(replay->engine, evals, session == NULL ? 1 : 2, err));
    const uint64_t now_ns = weir_now_ns();
    if (replay->token_ns > 0)
        add(&way->between, (double)(now_ns - replay->token_ns) * 1e-9);
    replay->token_ns = now_ns;
    return WEIR_OK;
}

static enum weir_status play_turn(struct replay *replay, struct way *way, struct text *text,
                                  struct weir_err *err)
{
    weir_session *session = NULL;
    uint32_t recalled = 0;
    const uint64_t begin_ns = weir_now_ns();
    for (uint32_t at = 0; at < replay->turn_tokens; at++)
        text->ids[text->count++] = draw(replay, replay->n_vocab);
    WEIR_TRY(weir_session_create(&session, replay->engine, err));
    WEIR_TRY(weir_session_recall(session, text->ids, text->count, &recalled, err));
    while (weir_session_is_coming(session))
        WEIR_TRY(step(replay, way, NULL, NULL, 0, err));
    WEIR_TRY(step(replay, way, session, text->ids + recalled, text->count - recalled, err));
    add(&way->first, (double)(weir_now_ns() - begin_ns) * 1e-9);
    for (uint32_t at = 0; at < WRITTEN; at++) {
        text->ids[text->count++] = draw(replay, replay->n_vocab);
        WEIR_TRY(step(replay, way, session, text->ids + text->count - 1, 1, err));
    }
    WEIR_TRY(weir_session_save(session, err));
    weir_session_destroy(&session);
    text->turns++;
    return WEIR_OK;
}

static struct text *choose(struct replay *replay)
{
    for (;;) {
        struct text *text = &replay->texts[draw(replay, replay->n_text)];
        if (text->turns < TURNS)
            return text;
    }
}

static void add_stats(struct weir_saved_stats *total, const struct weir_saved_stats *more)
{
    total->written_bytes += more->written_bytes;
    total->read_bytes += more->read_bytes;
    total->write_calls += more->write_calls;
    total->read_calls += more->read_calls;
    total->wait_s += more->wait_s;
    total->reused_pages += more->reused_pages;
}

/* All turns of all conversations, in an engine of their own. */
static enum weir_status play_round(struct replay *replay, struct way *way, uint64_t seed,
                                   struct weir_err *err)
{
    struct weir_saved_stats stats;
    replay->config.bench = &way->bench;
    replay->random_state = seed;
    replay->token_ns = 0;
    memset(replay->texts, 0, sizeof(replay->texts));
    WEIR_TRY(weir_engine_open(&replay->engine, &replay->config, err));
    replay->n_vocab = weir_engine_model(replay->engine)->n_vocab;
    WEIR_TRY(weir_session_create(&replay->beside, replay->engine, err));
    for (uint32_t turn = 0; turn < TURNS * replay->n_text; turn++)
        WEIR_TRY(play_turn(replay, way, choose(replay), err));
    while (weir_engine_disk_wait(replay->engine, 1.0))
        ;
    (void)weir_engine_saved_get(replay->engine, &stats);
    add_stats(&way->total, &stats);
    weir_session_destroy(&replay->beside);
    return weir_engine_close(&replay->engine);
}

static double percentile(const struct samples *samples, double share)
{
    const size_t at = (size_t)(share * (double)samples->count);
    return samples->count == 0 ? 0.0 : samples->seconds[at < samples->count ? at : at - 1];
}

static void print_samples(const char *name, struct samples *samples)
{
    weir_sort_reals(samples->seconds, samples->count);
    printf("\"%s\":{\"p50\":%.6f,\"p95\":%.6f,\"p99\":%.6f,\"p99.9\":%.6f}", name,
           percentile(samples, 0.5), percentile(samples, 0.95), percentile(samples, 0.99),
           percentile(samples, 0.999));
}

static void print_way(struct way *way)
{
    const struct weir_saved_stats *total = &way->total;
    printf("\"%s\":{\"written_bytes\":%llu,\"read_bytes\":%llu,\"calls\":%llu,\"stall_s\":%.3f,"
           "\"reused_pages\":%llu,",
           way->name, (unsigned long long)total->written_bytes,
           (unsigned long long)total->read_bytes,
           (unsigned long long)(total->write_calls + total->read_calls), total->wait_s,
           (unsigned long long)total->reused_pages);
    print_samples("first_s", &way->first);
    printf(",");
    print_samples("between_s", &way->between);
    printf("},");
}

/* Each round with ids of its own, so that nothing is in the file from the one before. */
static enum weir_status play(struct replay *replay, struct way ways[WAYS], uint32_t n_round,
                             struct weir_err *err)
{
    struct weir_plan plan;
    WEIR_TRY(weir_plan_make(&plan, &replay->config, err));
    replay->config.mem_bytes = plan.min_bytes;
    const uint64_t position_bytes = weir_token_cost_state(&plan.cost, 1);
    const uint64_t block_bytes = position_bytes / plan.cost.n_layer * BLOCK_POSITIONS;
    ways[BLOCKS].bench.swap_piece_bytes = (uint32_t)weir_align_up(block_bytes, 4096);
    for (uint32_t round = 0; round < n_round; round++)
        for (int way = 0; way < WAYS; way++)
            WEIR_TRY(play_round(replay, &ways[way], 1000 * round + 7 * (uint64_t)way + 1, err));
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    struct weir_err err = {0};
    static struct replay replay;
    static struct way ways[WAYS] = {
        {.name = "groups"},
        {.name = "blocks",
         .bench = {.swap_ablation = WEIR_ABLATE_SWAP_REUSE | WEIR_ABLATE_SWAP_ASYNC}}};
    if (argc < 3) {
        fprintf(stderr, "usage: swap MODEL.gguf FOLDER [CONVERSATIONS [ROUNDS [TURN_TOKENS]]]\n");
        return 2;
    }
    replay.n_text = argc > 3 ? (uint32_t)atoi(argv[3]) : CONVERSATIONS;
    const uint32_t n_round = argc > 4 ? (uint32_t)atoi(argv[4]) : ROUNDS;
    replay.turn_tokens = argc > 5 ? (uint32_t)atoi(argv[5]) : TURN_TOKENS;
    if (replay.n_text < 1 || replay.n_text > TEXTS_MAX || replay.turn_tokens < 1 ||
        TURNS * (replay.turn_tokens + WRITTEN) > N_CTX) {
        fprintf(stderr, "swap: wanted 1 to %d conversations of at most %d tokens\n", TEXTS_MAX,
                N_CTX);
        return 2;
    }
    (void)mkdir(argv[2], 0700);
    replay.config = (struct weir_config){
        .model_path = argv[1], .n_ctx = N_CTX, .text_folder = argv[2], .text_bytes = 1ull << 30};
    for (int way = 0; way < WAYS; way++) {
        ways[way].first.seconds = weir_heap_array(SAMPLES_MAX, sizeof(double));
        ways[way].between.seconds = weir_heap_array(SAMPLES_MAX, sizeof(double));
        if (ways[way].first.seconds == NULL || ways[way].between.seconds == NULL)
            return 1;
    }
    if (play(&replay, ways, n_round, &err) != WEIR_OK) {
        fprintf(stderr, "swap: %s\n", err.text);
        return 1;
    }
    printf("{\"conversations\":%u,\"rounds\":%u,", replay.n_text, n_round);
    for (int way = 0; way < WAYS; way++)
        print_way(&ways[way]);
    printf("\"first_p99_ratio\":%.3f,\"between_p99_ratio\":%.3f}\n",
           percentile(&ways[BLOCKS].first, 0.99) / percentile(&ways[GROUPS].first, 0.99),
           percentile(&ways[BLOCKS].between, 0.99) / percentile(&ways[GROUPS].between, 0.99));
    return 0;
}
