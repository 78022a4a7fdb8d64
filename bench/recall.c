/* recall.c - how often the experts that a layer uses were guessed a layer before.
 *
 *   build/release/bench/recall MODEL.gguf TEXT [TOKENS [EXTRA]]
 *
 * The text's tokens one at a time, everything in memory, once for each predictor: by the gate
 * (Fate), by the residual stream (here before the layer's experts are computed, for nothing is
 * waited for), by the path. Recall is the share of the k experts that a token uses which are among
 * the first k, or k + EXTRA, guessed. Beside them what costs nothing: the experts of the token
 * before in the same layer, and those that the layer has used most so far. The control ranks by the
 * layer's own router: other than 1 it says that this program is wrong, and ends it with status 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/heap.h"
#include "weir_bench.h"

enum { TOKENS = 512, EXTRA = 2, LAYER_MAX = 512, EXPERT_MAX = 4096, TEXT_BYTES = 1 << 20 };

/* Of one way to guess, in one layer. */
struct found {
    uint64_t of_k, of_more; /* experts found */
    uint64_t used;          /* of so many */
};

enum way { BY_GATE, BY_RESIDUAL, BY_PATH, BY_TOKEN_BEFORE, BY_HABIT, BY_CONTROL, WAY_COUNT };

static const char *const way_names[WAY_COUNT] = {
    [BY_GATE] = "gate",           [BY_RESIDUAL] = "residual", [BY_PATH] = "path",
    [BY_TOKEN_BEFORE] = "before", [BY_HABIT] = "habit",       [BY_CONTROL] = "control",
};

struct recall {
    enum way way; /* of the running pass */
    uint32_t n_layer, n_expert, k, more;
    struct found found[WAY_COUNT][LAYER_MAX];
    uint32_t before[LAYER_MAX][EXPERT_MAX]; /* 1: the last token used it */
    uint32_t uses[LAYER_MAX][EXPERT_MAX];
    bool has_before[LAYER_MAX];
};

static bool is_among(const uint32_t *experts, uint32_t count, uint32_t expert)
{
    for (uint32_t index = 0; index < count; index++)
        if (experts[index] == expert)
            return true;
    return false;
}

static void count_found(const struct recall *recall, struct found *found, const uint32_t *ranked,
                        uint32_t k, const uint32_t *experts)
{
    found->used += k;
    for (uint32_t index = 0; index < k; index++) {
        found->of_k += is_among(ranked, k, experts[index]);
        found->of_more += is_among(ranked, recall->more, experts[index]);
    }
}

/* Which of two experts goes first: one of the token before, then the one used more. */
static bool goes_first(const uint32_t *before, const uint32_t *uses, uint32_t a, uint32_t b)
{
    if (before != NULL && before[a] != before[b])
        return before[a] > before[b];
    return uses[a] > uses[b];
}

/* As many experts as are looked at; before may be NULL. */
static void rank_uses(const struct recall *recall, const uint32_t *before, const uint32_t *uses,
                      uint32_t *ranked)
{
    for (uint32_t rank = 0; rank < recall->more; rank++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t expert = 0; expert < recall->n_expert; expert++)
            if (!is_among(ranked, rank, expert) &&
                (best == UINT32_MAX || goes_first(before, uses, expert, best)))
                best = expert;
        ranked[rank] = best;
    }
}

static void see_guess(void *user, uint32_t layer, const uint32_t *ranked, const uint32_t *control,
                      uint32_t n_expert, uint32_t k, const uint32_t *experts)
{
    struct recall *recall = user;
    WEIR_ASSERT(n_expert == recall->n_expert);
    count_found(recall, &recall->found[recall->way][layer], ranked, k, experts);
    count_found(recall, &recall->found[BY_CONTROL][layer], control, k, experts);
}

static void see_routing(void *user, uint32_t layer, uint32_t position, uint32_t n_token, uint32_t k,
                        const uint32_t *experts)
{
    struct recall *recall = user;
    uint32_t ranked[EXPERT_MAX];
    (void)position;
    WEIR_ASSERT(n_token == 1);
    if (recall->has_before[layer]) {
        rank_uses(recall, recall->before[layer], recall->uses[layer], ranked);
        count_found(recall, &recall->found[BY_TOKEN_BEFORE][layer], ranked, k, experts);
        rank_uses(recall, NULL, recall->uses[layer], ranked);
        count_found(recall, &recall->found[BY_HABIT][layer], ranked, k, experts);
    }
    memset(recall->before[layer], 0, sizeof(recall->before[layer]));
    for (uint32_t index = 0; index < k; index++) {
        recall->before[layer][experts[index]] = 1;
        recall->uses[layer][experts[index]]++;
    }
    recall->has_before[layer] = true;
}

static enum weir_status check_shape(struct recall *recall, const weir_engine *engine,
                                    uint32_t extra, struct weir_err *err)
{
    const struct weir_model_info *info = weir_engine_model(engine);
    if (info->n_moe_layer == 0 || info->n_moe_layer > LAYER_MAX || info->n_expert > EXPERT_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "wanted 1 to %d layers of up to %d experts, found %u of %u", LAYER_MAX,
                         EXPERT_MAX, info->n_moe_layer, info->n_expert);
    recall->n_layer = info->n_moe_layer;
    recall->n_expert = info->n_expert;
    recall->k = info->n_expert_used;
    recall->more = (uint32_t)weir_min(recall->k + extra, recall->n_expert);
    return WEIR_OK;
}

static enum weir_status eval_text(struct recall *recall, weir_engine *engine, const char *text,
                                  uint32_t n_token, struct weir_err *err)
{
    weir_session *session = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    WEIR_TRY(weir_tokenizer_encode(weir_engine_tokenizer(engine), text, strlen(text), 0, &ids,
                                   &count, err));
    enum weir_status status = weir_session_create(&session, engine, err);
    if (status == WEIR_OK) {
        weir_session_watch_guesses(session, see_guess, recall);
        if (recall->way == BY_GATE)
            weir_session_watch_routing(session, see_routing, recall);
    }
    for (size_t at = 0; at < weir_min(count, n_token) && status == WEIR_OK; at++)
        status = weir_session_eval(session, &ids[at], 1, NULL, NULL, err);
    weir_session_destroy(&session);
    weir_ids_free(&ids);
    return status;
}

static enum weir_status run_way(struct recall *recall, enum way way, const char *path,
                                const char *text, uint32_t n_token, uint32_t extra,
                                struct weir_err *err)
{
    static const enum weir_guess_by guess_by[] = {[BY_GATE] = WEIR_GUESS_BY_GATE,
                                                  [BY_RESIDUAL] = WEIR_GUESS_BY_RESIDUAL,
                                                  [BY_PATH] = WEIR_GUESS_BY_PATH};
    const struct weir_bench_config bench = {.guess_by = guess_by[way]};
    const struct weir_config config = {
        .model_path = path, .n_ctx = n_token, .lookahead = WEIR_LOOKAHEAD_ON, .bench = &bench};
    weir_engine *engine = NULL;
    WEIR_TRY(weir_engine_open(&engine, &config, err));
    recall->way = way;
    enum weir_status status = check_shape(recall, engine, extra, err);
    if (status == WEIR_OK)
        status = eval_text(recall, engine, text, n_token, err);
    weir_engine_close(&engine);
    return status;
}

static void print_share(uint64_t found, uint64_t used)
{
    if (used == 0)
        printf("%8s", "-");
    else
        printf("%8.3f", (double)found / (double)used);
}

static void print_line(const struct recall *recall, const char *name, uint32_t first, uint32_t last)
{
    printf("%-6s", name);
    for (int way = 0; way < WAY_COUNT; way++) {
        struct found sum = {0};
        for (uint32_t layer = first; layer < last; layer++) {
            sum.of_k += recall->found[way][layer].of_k;
            sum.of_more += recall->found[way][layer].of_more;
            sum.used += recall->found[way][layer].used;
        }
        print_share(sum.of_k, sum.used);
        print_share(sum.of_more, sum.used);
    }
    printf("\n");
}

static void print_table(const struct recall *recall)
{
    char name[16];
    printf("recall of the first %u and %u of %u experts guessed\n%-6s", recall->k, recall->more,
           recall->n_expert, "layer");
    for (int way = 0; way < WAY_COUNT; way++)
        printf("%8s%8s", way_names[way], "");
    printf("\n");
    for (uint32_t layer = 0; layer < recall->n_layer; layer++) {
        snprintf(name, sizeof(name), "%u", layer);
        print_line(recall, name, layer, layer + 1);
    }
    print_line(recall, "all", 0, recall->n_layer);
}

/* The first bytes of a file as a text. */
static enum weir_status read_text(const char *path, char *text, struct weir_err *err)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "open %s", path);
    const size_t bytes = fread(text, 1, TEXT_BYTES, file);
    text[bytes] = '\0';
    fclose(file);
    return bytes > 0 ? WEIR_OK : WEIR_FAIL(err, WEIR_ERR_ARG, "%s: no text", path);
}

static bool is_control_right(const struct recall *recall)
{
    for (uint32_t layer = 0; layer < recall->n_layer; layer++)
        if (recall->found[BY_CONTROL][layer].of_k != recall->found[BY_CONTROL][layer].used)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct recall recall;
    static char text[TEXT_BYTES + 1];
    struct weir_err err = {0};
    const uint32_t n_token = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : TOKENS;
    const uint32_t extra = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : EXTRA;
    if (argc < 3 || argc > 5 || n_token < 2) {
        fprintf(stderr, "usage: recall MODEL.gguf TEXT [TOKENS [EXTRA]]\n");
        return 2;
    }
    enum weir_status status = read_text(argv[2], text, &err);
    for (int way = BY_GATE; way <= BY_PATH && status == WEIR_OK; way++)
        status = run_way(&recall, (enum way)way, argv[1], text, n_token, extra, &err);
    if (status != WEIR_OK) {
        fprintf(stderr, "recall: %s\n", err.text);
        return EXIT_FAILURE;
    }
    print_table(&recall);
    if (is_control_right(&recall))
        return EXIT_SUCCESS;
    fprintf(stderr, "recall: the control is not 1\n");
    return EXIT_FAILURE;
}
