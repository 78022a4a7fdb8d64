/* batch.c - texts that decode together beside the same texts one after the other.
 *
 *   build/release/bench/batch MODEL.gguf GIB [TEXTS [TOKENS [ROUNDS]]]
 *   prints {"texts":N,"in_a_row":R,"together":T,"ratio":T/R,"bytes_in_a_row":B,
 *           "bytes_together":C}
 *
 * In a round each text decodes TOKENS tokens alone, then all texts the next TOKENS tokens in one
 * step per token. Speeds are tokens per second of all texts, bytes are read from the device per
 * token; medians of the rounds. GIB 0: everything in memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "weir.h"

enum { TEXTS_MAX = 64, TEXTS = 8, TOKENS = 16, ROUNDS = 9, ROUNDS_MAX = 99, WARM = 8, SEED = 1 };

struct rig {
    weir_engine *engine;
    weir_session *sessions[TEXTS_MAX];
    uint32_t n_text, n_token, n_round, n_vocab;
    uint64_t random_state;
};

/* What a token took: of all texts, in a round. */
struct cost {
    double tokens_per_s, token_bytes;
};

static uint32_t next_id(struct rig *rig)
{
    return (uint32_t)(weir_random_next(&rig->random_state) % rig->n_vocab);
}

static enum weir_status run_in_a_row(struct rig *rig, struct weir_err *err)
{
    for (uint32_t text = 0; text < rig->n_text; text++)
        for (uint32_t token = 0; token < rig->n_token; token++) {
            const uint32_t id = next_id(rig);
            WEIR_TRY(weir_session_eval(rig->sessions[text], &id, 1, NULL, NULL, err));
        }
    return WEIR_OK;
}

static enum weir_status run_together(struct rig *rig, struct weir_err *err)
{
    for (uint32_t token = 0; token < rig->n_token; token++) {
        uint32_t ids[TEXTS_MAX];
        struct weir_eval evals[TEXTS_MAX];
        for (uint32_t text = 0; text < rig->n_text; text++) {
            ids[text] = next_id(rig);
            evals[text] =
                (struct weir_eval){.session = rig->sessions[text], .ids = &ids[text], .count = 1};
        }
        WEIR_TRY(weir_engine_eval(rig->engine, evals, rig->n_text, err));
    }
    return WEIR_OK;
}

static enum weir_status measure(struct rig *rig,
                                enum weir_status (*run)(struct rig *, struct weir_err *),
                                struct cost *cost, struct weir_err *err)
{
    const double count = (double)rig->n_text * rig->n_token;
    struct weir_stats stats;
    weir_engine_stats_reset(rig->engine);
    const uint64_t begin_ns = weir_now_ns();
    WEIR_TRY(run(rig, err));
    cost->tokens_per_s = count / ((double)(weir_now_ns() - begin_ns) * 1e-9);
    weir_engine_stats_get(rig->engine, &stats);
    cost->token_bytes = (double)stats.read_bytes / count;
    return WEIR_OK;
}

static double median(double *values, uint32_t count)
{
    weir_sort_reals(values, count);
    return values[count / 2];
}

static enum weir_status compare(struct rig *rig, struct weir_err *err)
{
    static double row[ROUNDS_MAX], all[ROUNDS_MAX], ratios[ROUNDS_MAX];
    static double row_bytes[ROUNDS_MAX], all_bytes[ROUNDS_MAX];
    struct cost alone = {0};
    struct cost together = {0};
    WEIR_TRY(measure(rig, run_together, &together, err)); /* warm */
    for (uint32_t round = 0; round < rig->n_round; round++) {
        WEIR_TRY(measure(rig, run_in_a_row, &alone, err));
        WEIR_TRY(measure(rig, run_together, &together, err));
        row[round] = alone.tokens_per_s;
        all[round] = together.tokens_per_s;
        ratios[round] = together.tokens_per_s / alone.tokens_per_s;
        row_bytes[round] = alone.token_bytes;
        all_bytes[round] = together.token_bytes;
    }
    printf("{\"texts\": %u, \"in_a_row\": %.2f, \"together\": %.2f, \"ratio\": %.3f, "
           "\"bytes_in_a_row\": %.0f, \"bytes_together\": %.0f}\n",
           rig->n_text, median(row, rig->n_round), median(all, rig->n_round),
           median(ratios, rig->n_round), median(row_bytes, rig->n_round),
           median(all_bytes, rig->n_round));
    return WEIR_OK;
}

static enum weir_status run(struct rig *rig, const char *path, double gib, struct weir_err *err)
{
    struct weir_config config = {.model_path = path,
                                 .mem_bytes = (uint64_t)(gib * (double)(1u << 30)),
                                 .n_ctx = (2 * rig->n_round + 1) * rig->n_token + 1};
    WEIR_TRY(weir_engine_open(&rig->engine, &config, err));
    rig->n_vocab = weir_engine_model(rig->engine)->n_vocab;
    for (uint32_t text = 0; text < rig->n_text; text++)
        WEIR_TRY(weir_session_create(&rig->sessions[text], rig->engine, err));
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
        weir_session_destroy(&rig.sessions[text]);
    weir_engine_close(&rig.engine);
    return status == WEIR_OK ? 0 : 1;
}
