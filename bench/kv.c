/* kv.c - decode behind a long text with keys and values in each format, in turns.
 *
 *   build/release/bench/kv MODEL.gguf POSITIONS [ROUNDS [KV...]]
 *   prints a line for each format: {"kv":NAME,"tokens_per_s":T,"ratio":R,"text_bytes":B,"less":L}
 *
 * Each format has an engine, all experts in memory, and a text of POSITIONS tokens: its pages are
 * there and all zero, for how fast they are read does not depend on what they hold. In a round each
 * of them writes TOKENS tokens and takes them back. tokens_per_s is the median of the rounds, ratio
 * the median of its quotients by the first format's in the same round; text_bytes is what such a
 * text takes, less how many times less than the first format's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "engine/engine_internal.h"

enum { KV_MAX = 8, TOKENS = 8, ROUNDS = 9, ROUNDS_MAX = 99, SEED = 1, PIECE = 512 };

static const char *const usual[] = {"f16", "q8_0", "q4_0", "kivi4", "kivi2"};

struct way {
    const char *kv;
    weir_engine *engine;
    weir_session *session;
    double tokens_per_s[ROUNDS_MAX];
};

struct rig {
    const char *path;
    uint32_t n_position, n_round, n_way, n_vocab;
    struct way ways[KV_MAX];
};

/* Positions that nobody computes. */
static enum weir_status skip(struct way *way, uint32_t n_position, struct weir_err *err)
{
    static const uint32_t ids[PIECE];
    weir_sequence *sequence = way->session->sequence;
    for (uint32_t length = 0; length < n_position; length = weir_sequence_length(sequence)) {
        const uint32_t n = (uint32_t)weir_min(n_position - length, PIECE);
        WEIR_TRY(
            weir_engine_room_for_pages(way->engine, weir_sequence_lack(sequence, length + n), err));
        WEIR_TRY(weir_sequence_reserve(sequence, length + n, err));
        weir_sequence_commit(sequence, ids, n);
    }
    return WEIR_OK;
}

/* An engine with a long text. */
static enum weir_status prepare(struct rig *rig, struct way *way, struct weir_err *err)
{
    const struct weir_config config = {
        .model_path = rig->path, .n_ctx = rig->n_position + TOKENS, .kv = way->kv};
    WEIR_TRY(weir_engine_open(&way->engine, &config, err));
    WEIR_TRY(weir_session_create(&way->session, way->engine, err));
    rig->n_vocab = weir_engine_model(way->engine)->n_vocab;
    return skip(way, rig->n_position, err);
}

static enum weir_status measure(const struct rig *rig, struct way *way, uint32_t round,
                                struct weir_err *err)
{
    uint64_t random_state = SEED + 1 + round;
    const uint64_t begin_ns = weir_now_ns();
    for (uint32_t token = 0; token < TOKENS; token++) {
        const uint32_t id = (uint32_t)(weir_random_next(&random_state) % rig->n_vocab);
        WEIR_TRY(weir_session_eval(way->session, &id, 1, NULL, NULL, err));
    }
    way->tokens_per_s[round] = TOKENS / ((double)(weir_now_ns() - begin_ns) * 1e-9);
    weir_session_rewind(way->session, rig->n_position);
    return WEIR_OK;
}

static double median(const double *values, uint32_t count)
{
    double sorted[ROUNDS_MAX];
    for (uint32_t at = 0; at < count; at++)
        sorted[at] = values[at];
    weir_sort_reals(sorted, count);
    return sorted[count / 2];
}

static void print_way(const struct rig *rig, const struct way *way)
{
    const struct way *first = &rig->ways[0];
    const double bytes = (double)weir_engine_text_bytes(way->engine, rig->n_position);
    double ratios[ROUNDS_MAX];
    for (uint32_t round = 0; round < rig->n_round; round++)
        ratios[round] = way->tokens_per_s[round] / first->tokens_per_s[round];
    printf("{\"kv\": \"%s\", \"tokens_per_s\": %.2f, \"ratio\": %.2f, \"text_bytes\": %.0f, "
           "\"less\": %.2f}\n",
           way->kv, median(way->tokens_per_s, rig->n_round), median(ratios, rig->n_round), bytes,
           (double)weir_engine_text_bytes(first->engine, rig->n_position) / bytes);
}

static enum weir_status run(struct rig *rig, struct weir_err *err)
{
    for (uint32_t way = 0; way < rig->n_way; way++)
        WEIR_TRY(prepare(rig, &rig->ways[way], err));
    for (uint32_t way = 0; way < rig->n_way; way++) /* whatever comes first is slow */
        WEIR_TRY(measure(rig, &rig->ways[way], 0, err));
    for (uint32_t round = 0; round < rig->n_round; round++)
        for (uint32_t way = 0; way < rig->n_way; way++)
            WEIR_TRY(measure(rig, &rig->ways[way], round, err));
    for (uint32_t way = 0; way < rig->n_way; way++)
        print_way(rig, &rig->ways[way]);
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    struct rig rig = {.n_round = ROUNDS};
    struct weir_err err = {0};
    if (argc < 3 || argc > 4 + KV_MAX) {
        fprintf(stderr, "usage: kv MODEL.gguf POSITIONS [ROUNDS [KV...]]\n");
        return 2;
    }
    rig.path = argv[1];
    rig.n_position = (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        rig.n_round = (uint32_t)weir_min(weir_max(strtoul(argv[3], NULL, 10), 1), ROUNDS_MAX);
    rig.n_way = argc > 4 ? (uint32_t)argc - 4 : (uint32_t)WEIR_COUNT(usual);
    for (uint32_t way = 0; way < rig.n_way; way++)
        rig.ways[way].kv = argc > 4 ? argv[4 + way] : usual[way];
    const enum weir_status status = run(&rig, &err);
    if (status != WEIR_OK)
        fprintf(stderr, "kv: %s\n", err.text);
    for (uint32_t way = 0; way < rig.n_way; way++) {
        weir_session_destroy(&rig.ways[way].session);
        weir_engine_close(&rig.ways[way].engine);
    }
    return status == WEIR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
