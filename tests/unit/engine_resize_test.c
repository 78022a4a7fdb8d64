/* engine_resize_test.c - the same bits when slots go and come back while a text is computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "golden.h"
#include "pace.h"

/* By these policies, threads, chunks and faults are chosen: 12 meet each of them. */
enum { SEEDS = IS_SANITIZED ? 12 : 24 };

enum when { NEVER, IN_LAYERS, AFTER_CHUNKS, BETWEEN_TOKENS };

/* Slots. */
struct moved {
    uint64_t shrunk, grown;
};

struct run {
    weir_engine *engine;
    weir_session *session;
    enum when when;
    uint64_t random_state;
    float *logits; /* [position_count][n_vocab] */
    size_t n_vocab, position_count;
};

/* A few times in a run; a slot or several, now and then all that may go, or some that were away. */
static void resize_by_chance(struct run *run)
{
    const uint64_t draw = weir_random_next(&run->random_state) >> 32;
    if (draw % 7 == 0)
        weir_store_shrink(run->engine->store, draw % 3 == 0 ? 100000 : 1);
    if (draw % 97 == 0)
        weir_store_shrink(run->engine->store, UINT64_MAX);
    if (draw % 5 == 0)
        weir_store_grow(run->engine->store, draw % 3 == 0 ? UINT64_MAX : 100000);
}

static void between_routing_and_experts(void *user, uint32_t layer, uint32_t position,
                                        uint32_t n_token, uint32_t n_expert_used,
                                        const uint32_t *experts)
{
    (void)layer, (void)position, (void)n_token, (void)n_expert_used, (void)experts;
    resize_by_chance(user);
}

static bool keep_row(void *user, uint32_t position, const float *logits)
{
    struct run *run = user;
    assert_int_equal(position, run->position_count);
    memcpy(run->logits + position * run->n_vocab, logits, run->n_vocab * sizeof(*logits));
    run->position_count++;
    if (run->when == AFTER_CHUNKS)
        resize_by_chance(run);
    return true;
}

/* Returns how many slots were given back, and how many came back. */
static struct moved run_text(const struct golden *golden, const struct weir_config *config,
                             struct run *run)
{
    struct weir_err err = {0};
    struct weir_store_stats stats;
    run->position_count = 0;
    if (weir_engine_open(&run->engine, config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    assert_int_equal(weir_session_create(&run->session, run->engine, &err), WEIR_OK);
    run->n_vocab = weir_engine_model(run->engine)->n_vocab;
    if (run->logits == NULL)
        run->logits = malloc(golden->id_count * run->n_vocab * sizeof(float));
    if (run->when == IN_LAYERS)
        weir_session_watch_routing(run->session, between_routing_and_experts, run);
    const size_t step = run->when == BETWEEN_TOKENS ? 1 : golden->id_count;
    for (size_t at = 0; at < golden->id_count; at += step) {
        if (weir_session_eval(run->session, golden->ids + at, step, keep_row, run, &err) != WEIR_OK)
            fail_msg("%s: %s", golden->name, err.text);
        if (run->when == BETWEEN_TOKENS)
            resize_by_chance(run);
    }
    weir_store_stats_get(run->engine->store, &stats);
    assert_true(stats.step_reads_max <= 1);
    weir_session_destroy(&run->session);
    weir_engine_close(&run->engine);
    return (struct moved){.shrunk = stats.shrunk_slots, .grown = stats.grown_slots};
}

static struct moved compare(const struct golden *golden, struct run *resident, struct run *shrunk,
                            uint64_t seed)
{
    const struct weir_bench_config bench = {
        .policy = weir_policy_name((uint32_t)(seed % 6)),
        .pool = weir_policy_can_pool((uint32_t)(seed % 6)) && seed % 4 == 0,
        .fake_io_seed = seed % 3 == 0 ? seed : 0,
        .fake_io_fault = 1,
    };
    const struct weir_config config = {
        .model_path = golden->model_path,
        .n_thread = 1 + (uint32_t)(seed % 3),
        .n_chunk = seed % 2 == 0 ? 5 : 64,
        /* From all experts in memory, the resident run, or from some. */
        .n_slot = seed % 5 == 0 ? 0 : 3 + (uint32_t)(seed % 4),
        .bench = &bench,
    };
    shrunk->when = (enum when)(IN_LAYERS + seed % 3);
    shrunk->random_state = seed;
    const struct moved moved = run_text(golden, &config, shrunk);
    assert_int_equal(shrunk->position_count, resident->position_count);
    if (memcmp(shrunk->logits, resident->logits,
               resident->position_count * resident->n_vocab * sizeof(float)) != 0)
        fail_msg("%s: other bits after slots went and came, seed %d", golden->name, (int)seed);
    return moved;
}

static void slots_that_go_and_come_at_any_step_change_no_bit(void **state)
{
    static const char *const names[] = {"qwen3moe", "olmoe", "qwen2moe", "gemma4"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        struct run resident = {.when = NEVER};
        struct run shrunk = {.when = NEVER};
        struct moved all = {0};
        assert_true(golden_open(&golden, names[index]));
        const struct weir_config config = {.model_path = golden.model_path, .n_thread = 1};
        assert_int_equal(run_text(&golden, &config, &resident).shrunk, 0);
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            const struct moved moved = compare(&golden, &resident, &shrunk, seed);
            all.shrunk += moved.shrunk;
            all.grown += moved.grown;
        }
        printf("%-12s %d runs equal, %d slots given back, %d came back\n", names[index], SEEDS,
               (int)all.shrunk, (int)all.grown);
        assert_true(all.shrunk > SEEDS && all.grown > SEEDS);
        free(resident.logits);
        free(shrunk.logits);
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_go_and_come_at_any_step_change_no_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
