/* share.c - how much of the memory's speed decode reaches with everything in memory.
 *
 *   build/release/bench/share MODEL.gguf [TOKENS [THREADS]]
 *   prints {"tokens":N,"threads":T,"token_bytes":B,"tokens_per_s":R,"dram_bytes_per_s":D,"share":S}
 *
 * A token, then as many bytes as it touched (weights, and K and V of the positions so far) read
 * from the model's memory as bench/dram reads them, then the next token. Neighbours have the same
 * machine, whatever others do to its memory from one second to the next, and the same places in it:
 * another buffer may lie better or worse. The share is the median over tokens of the time to read a
 * token's bytes over the time to compute it; token_bytes are the weights'.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/heap.h"
#include "engine/engine_internal.h"

enum { TOKENS = 128, WARM_TOKENS = 4, PAGE_BYTES = 4096, SEED = 1 };

struct share {
    weir_engine *engine;
    weir_session *session;
    weir_pool *pool;
    const uint8_t *weights; /* most of them; borrowed */
    uint64_t weights_bytes;
    uint64_t token_bytes; /* of weights */
    struct weir_token_cost cost;
    uint32_t n_vocab;
    uint32_t n_token;
};

/* The part of the engine's memory that holds most weights. */
static void find_weights(struct share *share)
{
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++) {
        const struct weir_mem_region *region = &share->engine->mem.region[use];
        if ((use == WEIR_MEM_TRUNK || use == WEIR_MEM_SLOTS) &&
            region->total_bytes > share->weights_bytes) {
            share->weights = region->start;
            share->weights_bytes = region->total_bytes;
        }
    }
}

static enum weir_status open_all(struct share *share, const char *path, uint32_t n_thread,
                                 struct weir_err *err)
{
    const struct weir_config config = {.model_path = path, .n_thread = n_thread};
    WEIR_TRY(weir_engine_open(&share->engine, &config, err));
    const struct weir_plan *plan = weir_engine_plan(share->engine);
    if (plan->n_slot_total < plan->n_expert_total)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: %u of %u experts fit in memory, wanted all",
                         path, plan->n_slot_total, plan->n_expert_total);
    find_weights(share);
    share->token_bytes = weir_min(plan->cost.trunk_bytes + plan->token_bytes, share->weights_bytes);
    share->cost = plan->cost;
    share->n_vocab = weir_engine_model(share->engine)->n_vocab;
    WEIR_TRY(weir_session_create(&share->session, share->engine, err));
    return weir_pool_create(&share->pool, plan->n_thread, err);
}

static void close_all(struct share *share)
{
    weir_pool_destroy(&share->pool);
    weir_session_destroy(&share->session);
    weir_engine_close(&share->engine);
}

/* What is remembered of the positions up to this one is read too. */
static uint64_t touched_bytes(const struct share *share, uint64_t position)
{
    const uint64_t bytes =
        share->token_bytes + weir_token_cost_state(&share->cost, (uint32_t)position + 1);
    return weir_min(bytes, share->weights_bytes);
}

/* Other bytes than last time, so that no cache holds them. */
static uint64_t read_ns(const struct share *share, uint64_t round)
{
    const uint64_t bytes = touched_bytes(share, round);
    const uint64_t at =
        weir_align_down(round * bytes % (share->weights_bytes - bytes + 1), PAGE_BYTES);
    return weir_sys_dram_read_ns(share->pool, share->weights + at, bytes);
}

static double median(double *values, uint32_t count)
{
    weir_sort_reals(values, count);
    return values[count / 2];
}

/* Seconds of each token, and of reading its bytes, from WARM_TOKENS on. */
static enum weir_status measure(struct share *share, double *compute_s, double *read_s,
                                struct weir_err *err)
{
    uint64_t random_state = SEED;
    for (uint32_t token = 0; token < WARM_TOKENS + share->n_token; token++) {
        const uint32_t id = (uint32_t)(weir_random_next(&random_state) % share->n_vocab);
        const uint64_t begin_ns = weir_now_ns();
        WEIR_TRY(weir_session_eval(share->session, &id, 1, NULL, NULL, err));
        const uint64_t compute_ns = weir_now_ns() - begin_ns;
        const uint64_t dram_ns = read_ns(share, token);
        if (token < WARM_TOKENS)
            continue;
        compute_s[token - WARM_TOKENS] = (double)compute_ns * 1e-9;
        read_s[token - WARM_TOKENS] = (double)dram_ns * 1e-9;
    }
    return WEIR_OK;
}

static void print_result(const struct share *share, double *compute_s, double *read_s,
                         double *shares)
{
    for (uint32_t token = 0; token < share->n_token; token++)
        shares[token] = read_s[token] / compute_s[token];
    printf("{\"tokens\": %u, \"threads\": %u, \"token_bytes\": %llu, \"tokens_per_s\": %.2f, "
           "\"dram_bytes_per_s\": %.0f, \"share\": %.3f}\n",
           share->n_token, weir_engine_plan(share->engine)->n_thread,
           (unsigned long long)share->token_bytes, 1.0 / median(compute_s, share->n_token),
           (double)touched_bytes(share, WARM_TOKENS + share->n_token / 2) /
               median(read_s, share->n_token),
           median(shares, share->n_token));
}

static enum weir_status run(struct share *share, const char *path, uint32_t n_thread,
                            struct weir_err *err)
{
    double *times = weir_heap_array(share->n_token, 3 * sizeof(*times));
    if (times == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u times", share->n_token);
    double *read_s = times + share->n_token;
    enum weir_status status = open_all(share, path, n_thread, err);
    if (status == WEIR_OK)
        status = measure(share, times, read_s, err);
    if (status == WEIR_OK)
        print_result(share, times, read_s, read_s + share->n_token);
    weir_heap_free(times);
    close_all(share);
    return status;
}

int main(int argc, char **argv)
{
    struct share share = {.n_token = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : TOKENS};
    const uint32_t n_thread = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    struct weir_err err = {0};
    if (argc < 2 || argc > 4 || share.n_token < 1) {
        fprintf(stderr, "usage: share MODEL.gguf [TOKENS [THREADS]]\n");
        return 2;
    }
    if (run(&share, argv[1], n_thread, &err) == WEIR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "share: %s\n", err.text);
    return EXIT_FAILURE;
}
