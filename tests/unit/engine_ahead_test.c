/* engine_ahead_test.c - one ceiling for a model that answers and the next one: what is lent, what a
 * begun engine has, and that neither changes a bit; and what an engine tells the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "engine_toy.h"

#define DEMO "models/demo/weir-demo.gguf"

enum { N_CTX = 128, LENGTH = 24 };

static struct weir_config config_of(uint32_t parts)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    struct weir_config config = {.model_path = DEMO, .n_thread = 2, .n_ctx = N_CTX};
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
    config.mem_bytes = plan.min_bytes + (plan.resident_bytes - plan.min_bytes) * parts / 4;
    return config;
}

/* Ids one after the other; the logits after the last. */
static void evaluate(weir_session *session, uint32_t first, uint32_t count, float *logits)
{
    struct weir_err err = {0};
    const uint32_t n_vocab = weir_engine_model(session->engine)->n_vocab;
    for (uint32_t at = first; at < first + count; at++) {
        const uint32_t id = (at * 37 + 11) % n_vocab;
        if (weir_session_eval(session, &id, 1, NULL, NULL, &err) != WEIR_OK)
            fail_msg("%s", err.text);
    }
    memcpy(logits, weir_session_logits(session), n_vocab * sizeof(*logits));
}

static uint64_t retired_bytes(const weir_engine *engine)
{
    struct weir_store_stats stats;
    weir_store_stats_get(engine->store, &stats);
    return stats.retired_bytes;
}

static float wanted[1 << 16], found[1 << 16];

static void what_is_lent_comes_from_slots_and_goes_back(void **state)
{
    const struct weir_config config = config_of(3);
    (void)state;
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    evaluate(session, 0, LENGTH, wanted);
    weir_session_destroy(&session);
    session = begin(engine);
    evaluate(session, 0, LENGTH / 2, found);
    const uint64_t before_bytes = retired_bytes(engine);
    struct weir_err err = {0};
#ifndef WEIR_HOSTILE /* which has no slot to give */
    const uint64_t bytes = engine->plan.begun_bytes;
    assert_int_equal(weir_engine_lend(engine, bytes, &err), WEIR_OK);
    assert_true(retired_bytes(engine) + (engine->plan.budget_bytes - engine->plan.planned_bytes) >=
                bytes);
    assert_true(retired_bytes(engine) > before_bytes);
#endif
    evaluate(session, LENGTH / 2, LENGTH / 2, found);
    assert_memory_equal(found, wanted, engine->info.n_vocab * sizeof(float));
    /* More than there is: nothing changes. */
    const uint64_t lent_bytes = engine->lent_bytes, now_bytes = retired_bytes(engine);
    assert_int_equal(weir_engine_lend(engine, engine->plan.budget_bytes, &err), WEIR_ERR_NOMEM);
    assert_int_equal(engine->lent_bytes, lent_bytes);
    assert_int_equal(retired_bytes(engine), now_bytes);
    assert_int_equal(weir_engine_lend(engine, 0, NULL), WEIR_OK);
    assert_int_equal(retired_bytes(engine), before_bytes);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

static void a_begun_engine_is_finished_when_the_other_has_gone(void **state)
{
    const struct weir_config config = config_of(2);
    struct weir_err err = {0};
    struct weir_stats stats;
    weir_session *session = NULL, *refused = NULL;
    weir_engine *next = NULL;
    (void)state;
    weir_engine *engine = open_engine(&config);
    session = begin(engine);
    evaluate(session, 0, LENGTH, wanted);
    if (weir_engine_begin(&next, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_true(weir_engine_plan(next)->begun_bytes > 0);
    /* It can be looked at, and does nothing. */
    assert_int_equal(weir_engine_model(next)->n_vocab, weir_engine_model(engine)->n_vocab);
    assert_int_equal(weir_session_create(&refused, next, &err), WEIR_ERR_ARG);
    assert_int_equal(weir_engine_lend(next, 1, NULL), WEIR_ERR_ARG);
    weir_engine_stats_reset(next);
    weir_engine_stats_get(next, &stats);
    assert_int_equal(stats.expert_uses, 0);
    assert_int_equal(weir_engine_finish(engine, NULL), WEIR_ERR_ARG);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    if (weir_engine_finish(next, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_engine_finish(next, NULL), WEIR_ERR_ARG);
    session = begin(next);
    evaluate(session, 0, LENGTH, found);
    assert_memory_equal(found, wanted, next->info.n_vocab * sizeof(float));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&next), WEIR_OK);
    /* One that is not wanted any more. */
    assert_int_equal(weir_engine_begin(&next, &config, NULL), WEIR_OK);
    assert_int_equal(weir_engine_close(&next), WEIR_OK);
    assert_int_equal(weir_engine_begin(NULL, &config, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_engine_finish(NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_engine_lend(NULL, 0, NULL), WEIR_ERR_ARG);
}

static uint32_t told_count;

static bool count_progress(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)user, (void)what, (void)done_bytes, (void)total_bytes;
    told_count++;
    return true;
}

static void a_folder_for_texts_that_cannot_be_had_is_refused_before_the_load(void **state)
{
    struct weir_config config = config_of(4);
    weir_engine *engine = NULL;
    struct weir_err err = {0};
    (void)state;
    config.mem_bytes += 64 << 20;
    config.text_folder = "build/no such folder";
    config.progress = count_progress;
    told_count = 0;
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_ERR_IO);
    assert_non_null(strstr(err.text, config.text_folder));
    assert_int_equal(told_count, 0);
    config.text_folder = NULL;
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_OK);
    assert_true(told_count > 0);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

#ifndef WEIR_HOSTILE /* which has no slot that could be warmed up */
enum { KEPT = 4096 };

/* Moves those that were used to the front: a wrong guess has a slot, and no share. How many. */
static uint32_t used_of(struct weir_expert *experts, uint32_t count)
{
    uint32_t used = 0;
    for (uint32_t index = 0; index < count; index++)
        if (experts[index].share > 0.0f)
            experts[used++] = experts[index];
    return used;
}

/* Opened and closed without a text, an engine tells the next one what it was told. */
static void what_was_counted_is_handed_on(void **state)
{
    static struct weir_expert first[KEPT], second[KEPT];
    struct weir_config config = config_of(1);
    double sum = 0.0;
    (void)state;
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    evaluate(session, 0, LENGTH, wanted);
    weir_session_destroy(&session);
    const uint32_t count = used_of(first, weir_engine_kept_experts(engine, first, KEPT));
    const struct weir_model_info info = *weir_engine_model(engine);
    for (uint32_t index = 0; index < count; index++)
        sum += (double)first[index].share;
    /* Each token uses so many experts of each layer, as far as slots' policies see. */
    assert_true(sum > 0.99 * (double)info.expert_uses && sum < 1.01 * (double)info.expert_uses);
    assert_true(count > engine->plan.n_slot_total); /* also those that have no slot now */
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    config.warm_up = first;
    config.warm_up_count = count;
    engine = open_engine(&config);
    assert_int_equal(weir_engine_kept_experts(engine, second, KEPT), count);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t slots = engine->plan.n_slot_total;
        assert_true(second[index].share > 0.0f);
        /* The ones that are worth the most are those that were used the most. */
        if (index > 0 && index < slots)
            assert_true(second[index].share <= second[0].share + 1e-3f);
    }
    session = begin(engine);
    evaluate(session, 0, LENGTH, found);
    assert_memory_equal(found, wanted, info.n_vocab * sizeof(float));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_lent_comes_from_slots_and_goes_back),
        cmocka_unit_test(a_begun_engine_is_finished_when_the_other_has_gone),
        cmocka_unit_test(a_folder_for_texts_that_cannot_be_had_is_refused_before_the_load),
#ifndef WEIR_HOSTILE
        cmocka_unit_test(what_was_counted_is_handed_on),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
