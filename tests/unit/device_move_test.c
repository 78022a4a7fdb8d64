/* device_move_test.c - experts that come to a device, the simulated one, and go: the bits of a
 * model that is there as a whole, who is there when, and what is lost when the device is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "engine/moving.h"
#include "model_run.h"
#include "pace.h"
#include "store/shown.h"

enum { SOME = 12 }; /* ids of a golden text */

static struct weir_bench_config moving(uint32_t experts)
{
    return (struct weir_bench_config){.gpu_is_placed = true,
                                      .gpu_has_output = true,
                                      .gpu_layer_count = UINT32_MAX,
                                      .gpu_expert_count = experts,
                                      .gpu_experts = WEIR_GPU_EXPERTS_DEMAND};
}

static struct weir_config config_of(const struct golden *golden,
                                    const struct weir_bench_config *bench)
{
    return (struct weir_config){.model_path = golden->model_path,
                                .gpu = WEIR_ENGINE_GPU_SIM,
                                .n_thread = 2,
                                .bench = bench};
}

static void golden_of(struct golden *golden, const char *name)
{
    assert_true(golden_open(golden, name));
}

/* Logits of a text: a prompt of `prompt` ids, then one at a time. */
static float *run_text(weir_engine *engine, const struct golden *golden, uint32_t prompt,
                       struct weir_err *err)
{
    const size_t n_vocab = weir_engine_model(engine)->n_vocab;
    float *logits = calloc(SOME, n_vocab * sizeof(*logits));
    weir_session *session = NULL;
    enum weir_status status = weir_session_create(&session, engine, err);
    for (uint32_t at = 0; at < SOME && status == WEIR_OK; at += at == 0 ? prompt : 1) {
        status =
            weir_session_eval(session, golden->ids + at, at == 0 ? prompt : 1, NULL, NULL, err);
        if (status == WEIR_OK)
            memcpy(logits + at * n_vocab, weir_session_logits(session), n_vocab * sizeof(*logits));
    }
    weir_session_destroy(&session);
    if (status == WEIR_OK)
        return logits;
    free(logits);
    return NULL;
}

/* share: of the experts that have a slot here. */
static weir_engine *open_engine(const struct golden *golden, const struct weir_bench_config *bench,
                                double share)
{
    struct weir_err err = {0};
    struct weir_config config = config_of(golden, bench);
    config.expert_share = share;
    weir_engine *engine = NULL;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    return engine;
}

/* As of a fresh engine; and what moved. */
static float *run(const struct golden *golden, const struct weir_bench_config *bench, double share,
                  struct weir_gpu_moves *moves, size_t *bytes)
{
    struct weir_err err = {0};
    weir_engine *engine = open_engine(golden, bench, share);
    float *logits = run_text(engine, golden, 4, &err);
    if (logits == NULL)
        fail_msg("%s: %s", golden->name, err.text);
    weir_engine_gpu_moves_get(engine, moves);
    *bytes = SOME * weir_engine_model(engine)->n_vocab * sizeof(*logits);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    return logits;
}

static const char *const names[] = {"qwen3moe", "gpt-oss", "gemma4", "directories/qwen3moe-int4"};

/* Whatever is there, and whatever comes ahead: what is computed there has the same bits. */
static void bits_are_those_of_all_there(void **state)
{
    (void)state;
    static const char *const policies[] = {"lru", "arc", "fate", "learned"};
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        struct golden golden;
        struct weir_gpu_moves moves;
        size_t bytes = 0;
        golden_of(&golden, names[name]);
        const struct weir_bench_config all = moving(UINT32_MAX);
        float *wanted = run(&golden, &all, 1.0, &moves, &bytes);
        assert_int_equal(moves.copied + moves.wanted, 0);
        for (uint32_t index = (uint32_t)name % pace_step(3); index < 12; index += pace_step(3)) {
            struct weir_bench_config bench = moving(index % 4);
            bench.gpu_policy = policies[index % WEIR_COUNT(policies)];
            bench.gpu_ahead = (enum weir_gpu_ahead)(index / 4);
            bench.gpu_seed = index;
            bench.gpu_delay_us_max = index % 5 == 3 ? 20 : 0;
            bench.ablation = index % 6 == 1 ? WEIR_ABLATE_GPU_OVERLAP : 0;
            float *found = run(&golden, &bench, index % 2 == 0 ? 1.0 : 0.5, &moves, &bytes);
            if (memcmp(found, wanted, bytes) != 0)
                fail_msg("%s: other bits in variant %u", names[name], index);
            assert_true(moves.copied > 0 && moves.copied_bytes > 0);
            assert_true(moves.wanted > moves.hits);
            assert_int_equal(moves.uses, moves.uses_there);
            free(found);
        }
        free(wanted);
        golden_close(&golden);
    }
}

/* Prescribed experts of one layer after the other, so that what is there is known. */
enum { TOKENS = 8, LAYERS = 3, USED = 3 };

static uint32_t first_of(uint32_t token)
{
    return token < 4 ? 5 : 2;
}

/* With as many places as a token wants, a token that wants what the one before wanted finds it. */
static void what_was_wanted_is_there(void **state)
{
    (void)state;
    uint16_t experts[TOKENS][LAYERS][USED];
    struct golden golden;
    struct weir_err err = {0};
    golden_of(&golden, "qwen3moe");
    for (uint32_t token = 0; token < TOKENS; token++)
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            for (uint32_t rank = 0; rank < USED; rank++)
                experts[token][layer][rank] = (uint16_t)(first_of(token) + rank);
    struct weir_bench_config bench = moving(USED);
    bench.gpu_policy = "lru";
    weir_engine *engine = open_engine(&golden, &bench, 1.0);
    const struct weir_model_info *info = weir_engine_model(engine);
    if (info->n_layer != LAYERS || info->n_expert_used != USED)
        fail_msg("the golden model has %u layers and uses %u experts", info->n_layer,
                 info->n_expert_used);
    const struct weir_trace trace = {.n_layer = LAYERS,
                                     .n_expert = info->n_expert,
                                     .n_expert_used = USED,
                                     .n_token = TOKENS,
                                     .experts = &experts[0][0][0]};
    weir_session *session = NULL;
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    assert_int_equal(weir_session_prescribe(session, &trace, 0, 0.0, &err), WEIR_OK);
    for (uint32_t token = 0; token < TOKENS; token++) {
        struct weir_gpu_moves moves;
        weir_engine_stats_reset(engine);
        assert_int_equal(weir_session_eval(session, golden.ids + token, 1, NULL, NULL, &err),
                         WEIR_OK);
        weir_engine_gpu_moves_get(engine, &moves);
        const bool is_news = token % 4 == 0;
        assert_int_equal(moves.wanted, LAYERS * USED);
        assert_int_equal(moves.copied, is_news ? LAYERS * USED : 0);
        assert_int_equal(moves.hits, is_news ? 0 : LAYERS * USED);
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            for (uint32_t expert = 0; expert < info->n_expert; expert++)
                assert_int_equal(weir_device_holds(engine->device, layer, expert),
                                 expert >= first_of(token) && expert < first_of(token) + USED);
    }
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

/* A guess that is always right: what it names is on its way when it is wanted. */
static void what_is_guessed_comes_ahead(void **state)
{
    (void)state;
    uint16_t experts[TOKENS][LAYERS][USED];
    struct golden golden;
    struct weir_err err = {0};
    struct weir_gpu_moves moves;
    golden_of(&golden, "qwen3moe");
    for (uint32_t token = 0; token < TOKENS; token++)
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            for (uint32_t rank = 0; rank < USED; rank++)
                experts[token][layer][rank] = (uint16_t)((3 * token + rank) % 8);
    struct weir_bench_config bench = moving(USED);
    bench.gpu_policy = "lru";
    bench.gpu_ahead = WEIR_GPU_AHEAD_BY_GATE;
    bench.gpu_seed = 7; /* work waits for whoever waits for it, so there is time */
    bench.gpu_delay_us_max = 200;
    weir_engine *engine = open_engine(&golden, &bench, 1.0);
    const struct weir_trace trace = {.n_layer = LAYERS,
                                     .n_expert = weir_engine_model(engine)->n_expert,
                                     .n_expert_used = USED,
                                     .n_token = TOKENS,
                                     .experts = &experts[0][0][0]};
    weir_session *session = NULL;
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    assert_int_equal(weir_session_prescribe(session, &trace, 0, 1.0, &err), WEIR_OK);
    for (uint32_t token = 0; token < TOKENS; token++)
        assert_int_equal(weir_session_eval(session, golden.ids + token, 1, NULL, NULL, &err),
                         WEIR_OK);
    weir_engine_gpu_moves_get(engine, &moves);
    print_message("%u ahead, %u used, %u hits, %u late of %u\n", (unsigned)moves.ahead,
                  (unsigned)moves.ahead_used, (unsigned)moves.hits, (unsigned)moves.late,
                  (unsigned)moves.wanted);
    assert_true(moves.ahead > 0);
    assert_int_equal(moves.ahead_used, moves.ahead);
    assert_int_equal(moves.copied + moves.ahead + moves.hits + moves.late,
                     moves.wanted + moves.ahead_used);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

/* Where it is sooner: near the CPU's logits, whatever moved. */
static void the_cheapest_is_near(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 4; seed += pace_step(2)) {
        struct golden golden;
        struct weir_err err = {0};
        struct weir_gpu_moves moves;
        size_t bytes = 0;
        golden_of(&golden, names[seed % 2]);
        struct weir_bench_config bench = moving(3);
        bench.gpu_experts = WEIR_GPU_EXPERTS_CHEAPEST;
        bench.gpu_seed = seed;
        float *found = run(&golden, &bench, seed < 2 ? 1.0 : 0.5, &moves, &bytes);
        const struct weir_config plain = {
            .model_path = golden.model_path, .gpu = WEIR_ENGINE_GPU_OFF, .n_thread = 2};
        weir_engine *engine = NULL;
        assert_int_equal(weir_engine_open(&engine, &plain, &err), WEIR_OK);
        float *wanted = run_text(engine, &golden, 4, &err);
        assert_non_null(wanted);
        double far = 0.0;
        double most = 0.0;
        for (size_t at = 0; at < bytes / sizeof(float); at++) {
            const double off = (double)found[at] - (double)wanted[at];
            far = off < -far ? -off : off > far ? off : far;
            most = (double)wanted[at] > most ? (double)wanted[at] : most;
        }
        assert_true(far <= 1e-3 * most);
        assert_true(moves.uses_there < moves.uses || moves.copied + moves.ahead > 0);
        free(wanted);
        free(found);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        golden_close(&golden);
    }
}

/* What a text uses again and again is there in the end, wherever it was computed until then. */
static void what_is_used_comes_to_stay(void **state)
{
    (void)state;
    enum { PATIENCE_TOKENS = 400 };
    uint16_t experts[LAYERS][USED];
    struct golden golden;
    struct weir_err err = {0};
    struct weir_gpu_moves moves = {0};
    golden_of(&golden, "qwen3moe");
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        for (uint32_t rank = 0; rank < USED; rank++)
            experts[layer][rank] = (uint16_t)(5 + rank);
    struct weir_bench_config bench = moving(USED);
    bench.gpu_experts = WEIR_GPU_EXPERTS_CHEAPEST;
    bench.gpu_seed = 5;
    weir_engine *engine = open_engine(&golden, &bench, 1.0);
    const struct weir_trace trace = {.n_layer = LAYERS,
                                     .n_expert = weir_engine_model(engine)->n_expert,
                                     .n_expert_used = USED,
                                     .n_token = 1,
                                     .experts = &experts[0][0]};
    uint32_t token = 0;
    for (; token < PATIENCE_TOKENS && (token == 0 || moves.hits < moves.wanted); token++) {
        weir_session *session = NULL;
        assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
        assert_int_equal(weir_session_prescribe(session, &trace, 0, 0.0, &err), WEIR_OK);
        weir_engine_stats_reset(engine);
        assert_int_equal(weir_session_eval(session, golden.ids, 1, NULL, NULL, &err), WEIR_OK);
        weir_engine_gpu_moves_get(engine, &moves);
        weir_session_destroy(&session);
    }
    print_message("all there at token %u\n", token);
    assert_true(token < PATIENCE_TOKENS);
    assert_int_equal(moves.uses_there, moves.uses);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

/* What crosses from slots is gathered first once slots may go. */
static void slots_that_are_given_back_are_left_alone(void **state)
{
    (void)state;
    struct golden golden;
    struct weir_err err = {0};
    golden_of(&golden, "qwen3moe");
    struct weir_bench_config bench = moving(2);
    bench.gpu_policy = "lru";
    bench.gpu_ahead = WEIR_GPU_AHEAD_BY_GATE;
    bench.gpu_seed = 3;
    weir_engine *engine = open_engine(&golden, &bench, 1.0);
    const size_t bytes = SOME * weir_engine_model(engine)->n_vocab * sizeof(float);
    assert_true(weir_store_is_exposed(engine->store));
    float *before = run_text(engine, &golden, 4, &err);
    assert_true(weir_store_shrink(engine->store, 1) > 0);
    assert_false(weir_store_is_exposed(engine->store));
    float *after = run_text(engine, &golden, 4, &err);
    if (before == NULL || after == NULL)
        fail_msg("%s", err.text);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

static void a_lost_device_ends_what_moves(void **state)
{
    (void)state;
    struct golden golden;
    uint32_t in_text = 0;
    golden_of(&golden, "qwen3moe");
    for (uint64_t work = 1;; work += work / 8 + pace_step(40)) {
        struct weir_err err = {0};
        struct weir_bench_config bench = moving(2);
        bench.gpu_ahead = WEIR_GPU_AHEAD_BY_GATE;
        bench.gpu_seed = work % 3;
        bench.gpu_fails_at_work = work;
        const struct weir_config config = config_of(&golden, &bench);
        weir_engine *engine = NULL;
        if (weir_engine_open(&engine, &config, &err) != WEIR_OK) {
            assert_int_equal(err.status, WEIR_ERR_IO);
            continue;
        }
        float *logits = run_text(engine, &golden, 6, &err);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        if (logits != NULL) {
            free(logits);
            break;
        }
        assert_int_equal(err.status, WEIR_ERR_IO);
        assert_non_null(strstr(err.text, "lost"));
        in_text++;
    }
    assert_true(in_text > 2);
    golden_close(&golden);
}

/* What does not fit is said; what a ceiling leaves is never more than that. */
static void moving_needs_room_to_cross(void **state)
{
    (void)state;
    struct golden golden;
    uint32_t refused = 0;
    uint32_t moving_count = 0;
    golden_of(&golden, "qwen3moe");
    for (uint64_t bytes = 1 << 14; bytes <= UINT64_C(16) << 20; bytes += bytes / 100) {
        struct weir_bench_config bench = {.gpu_experts = WEIR_GPU_EXPERTS_DEMAND,
                                          .gpu_policy = moving_count % 2 == 0 ? "fate" : "arc"};
        struct weir_config config = config_of(&golden, &bench);
        config.gpu_bytes = bytes;
        struct weir_plan plan;
        struct weir_err err = {0};
        const enum weir_status status = weir_plan_make(&plan, &config, &err);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_ERR_NOMEM);
            assert_non_null(strstr(err.text, "--gpu-mem"));
            refused++;
            continue;
        }
        assert_true(plan.gpu.planned_bytes <= bytes);
        if (plan.gpu.name[0] == '\0' || plan.gpu.n_expert == 0 || plan.n_expert_total == 0)
            continue;
        if (moving_count++ % 16 >= 2)
            continue;
        struct model_run run = model_run_open(&config, golden.ids, 6);
        if (run.status != WEIR_OK)
            fail_msg("%llu bytes: %s", (unsigned long long)bytes, run.err.text);
        model_run_close(&run);
    }
    print_message("%u refused, %u with experts that move\n", refused, moving_count);
    assert_true(refused > 0 && moving_count > 0);
    golden_close(&golden);
}

/* What is left of a plan that has all layers there, and some of the experts. */
static struct weir_plan plan_of(const struct weir_config *config)
{
    struct weir_plan plan;
    struct weir_err err = {0};
    if (weir_plan_make(&plan, config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_true(plan.gpu.planned_bytes <= config->gpu_bytes);
    return plan;
}

static uint64_t find_ceiling(const struct golden *golden)
{
    const struct weir_bench_config bench = {.gpu_experts = WEIR_GPU_EXPERTS_DEMAND};
    struct weir_config config = config_of(golden, &bench);
    for (config.gpu_bytes = 1 << 16; config.gpu_bytes <= 16 << 20;
         config.gpu_bytes += config.gpu_bytes / 16) {
        struct weir_plan plan;
        if (weir_plan_make(&plan, &config, NULL) == WEIR_OK && plan.gpu.moves &&
            plan.gpu.n_expert > 0)
            return config.gpu_bytes;
    }
    fail_msg("no ceiling has room for some experts that move");
    return 0;
}

static float *run_config(const struct weir_config *config, const struct golden *golden)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    if (weir_engine_open(&engine, config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    float *logits = run_text(engine, golden, 4, &err);
    assert_non_null(logits);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    return logits;
}

/* Unasked: experts move where the link is fast beside the CPU, and the bits are those of demand;
 * else they stay. */
static void what_is_measured_says_whether_experts_move(void **state)
{
    (void)state;
    struct golden golden;
    struct weir_bench_config bench = {.gpu_host_speed = 1e9};
    golden_of(&golden, "qwen3moe");
    struct weir_config config = config_of(&golden, &bench);
    config.gpu_bytes = find_ceiling(&golden);
    bench.gpu_link_speed = 1e8;
    struct weir_plan plan = plan_of(&config);
    assert_false(plan.gpu.moves);
    assert_non_null(strstr(plan.gpu.moves_why, "experts stay"));
    assert_non_null(strstr(plan.gpu.moves_why, "0.1 GB/s"));
    config.gpu_moves = true; /* who asks is not told otherwise */
    plan = plan_of(&config);
    assert_true(plan.gpu.moves && plan.gpu.moves_by_time && plan.gpu.moves_why[0] == '\0');
    config.gpu_moves = false;
    bench.gpu_link_speed = 1e11;
    plan = plan_of(&config);
    assert_true(plan.gpu.moves && !plan.gpu.moves_by_time);
    assert_non_null(strstr(plan.gpu.moves_why, "experts come and go"));
    float *unasked = run_config(&config, &golden);
    bench.gpu_experts = WEIR_GPU_EXPERTS_DEMAND;
    float *demand = run_config(&config, &golden);
    assert_memory_equal(unasked, demand,
                        SOME * golden.logit_count / golden.id_count * sizeof(*demand));
    bench.gpu_experts = WEIR_GPU_EXPERTS_STAY;
    assert_false(plan_of(&config).gpu.moves);
    bench.gpu_experts = WEIR_GPU_EXPERTS_AUTO;
    config.mem_bytes = 256 << 20; /* not enough to hold experts in, beside what measures */
    plan = plan_of(&config);
    assert_false(plan.gpu.moves);
    assert_non_null(strstr(plan.gpu.moves_why, "in memory"));
    config.mem_bytes = 0;
    bench.gpu_link_speed = 0.0;
    plan = plan_of(&config);
    assert_false(plan.gpu.moves);
    assert_non_null(strstr(plan.gpu.moves_why, "simulated"));
    free(unasked);
    free(demand);
    golden_close(&golden);
}

static void opening_measures_link_and_processors(void **state)
{
    (void)state;
    struct golden golden;
    struct weir_blueprint blueprint;
    struct weir_moving_speeds speeds = {0};
    golden_of(&golden, "qwen3moe");
    const struct weir_config config = config_of(&golden, NULL);
    assert_int_equal(weir_blueprint_open(&blueprint, &config, NULL), WEIR_OK);
    assert_int_equal(weir_moving_measure(&speeds, &blueprint, WEIR_GPU_SIM, 2, NULL), WEIR_OK);
    assert_true(speeds.link > 0.0 && speeds.host > 0.0);
    weir_blueprint_close(&blueprint);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_those_of_all_there),
        cmocka_unit_test(what_was_wanted_is_there),
        cmocka_unit_test(what_is_guessed_comes_ahead),
        cmocka_unit_test(the_cheapest_is_near),
        cmocka_unit_test(what_is_used_comes_to_stay),
        cmocka_unit_test(slots_that_are_given_back_are_left_alone),
        cmocka_unit_test(a_lost_device_ends_what_moves),
        cmocka_unit_test(moving_needs_room_to_cross),
        cmocka_unit_test(opening_measures_link_and_processors),
        cmocka_unit_test(what_is_measured_says_whether_experts_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
