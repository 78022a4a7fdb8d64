/* engine_room_test.c - slots, pages and sessions share a ceiling: what a text takes comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_internal.h"

#define DEMO "models/demo/weir-demo.gguf"

#ifdef WEIR_RELEASE
enum { N_CTX = 1024, SHORT = 160, MOST = 4096 };
#else
enum { N_CTX = 512, SHORT = 24, MOST = 24 }; /* every call checks all slots and pages */
#endif

static weir_engine *open_engine(void)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    weir_engine *engine = NULL;
    struct weir_config config = {.model_path = DEMO, .n_thread = 2, .n_ctx = N_CTX};
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
    config.mem_bytes = plan.min_bytes + (plan.resident_bytes - plan.min_bytes) / 4;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return engine;
}

static void evaluate(weir_session *session, uint32_t seed, uint32_t count, uint32_t step)
{
    struct weir_err err = {0};
    const uint32_t n_vocab = weir_engine_model(session->engine)->n_vocab;
    uint64_t random_state = seed;
    uint32_t ids[N_CTX];
    for (uint32_t at = 0; at < count; at++)
        ids[at] = (uint32_t)(weir_random_next(&random_state) % n_vocab);
    for (uint32_t at = 0; at < count; at += step)
        if (weir_session_eval(session, ids + at, weir_min(step, count - at), NULL, NULL, &err) !=
            WEIR_OK)
            fail_msg("%s", err.text);
}

/* Hit rate of a short text, after one that warms the cache. */
static double short_hit_rate(weir_engine *engine)
{
    struct weir_stats stats;
    weir_session *session = NULL;
    assert_int_equal(weir_session_create(&session, engine, NULL), WEIR_OK);
    evaluate(session, 5, SHORT, 1);
    assert_int_equal(weir_session_rewind(session, 0), WEIR_OK);
    weir_engine_stats_reset(engine);
    evaluate(session, 6, SHORT, 1);
    weir_engine_stats_get(engine, &stats);
    weir_session_destroy(&session);
    return (double)stats.expert_hits / (double)stats.expert_uses;
}

static uint64_t live_slots(const weir_engine *engine)
{
    struct weir_store_stats stats;
    weir_store_stats_get(engine->store, &stats);
    return engine->plan.n_slot_total - stats.retired_slots;
}

static void slots_come_back_when_a_long_text_ends(void **state)
{
    (void)state;
    weir_engine *fresh = open_engine();
    const double fresh_rate = short_hit_rate(fresh);
    assert_int_equal(weir_engine_close(&fresh), WEIR_OK);

    weir_engine *engine = open_engine();
    const uint64_t all = live_slots(engine);
    weir_session *session = NULL;
    assert_int_equal(weir_session_create(&session, engine, NULL), WEIR_OK);
    evaluate(session, 1, N_CTX, 256);
    const uint64_t left = live_slots(engine);
    /* The bookkeeping of slots that are away stays: it may cost one more. */
    assert_true(left + 1 >= engine->plan.n_slot_last);
#ifndef WEIR_HOSTILE /* which has no slot to give */
    assert_true(left < all);
#endif
    weir_session_destroy(&session);
    assert_int_equal(live_slots(engine), all);
    assert_true(weir_state_populated_bytes(engine->state) <= engine->plan_state_bytes);
    const double rate = short_hit_rate(engine);
    printf(
        "hit rate of a short text: fresh %.4f, after a long one %.4f, %d of %d slots were lent\n",
        fresh_rate, rate, (int)(all - left), (int)all);
    assert_true(rate >= fresh_rate - 0.02);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* Sessions with a short text each, until there is no room for one more, or `most`. Returns how many
 * there are, and why there is no other. */
static uint32_t fill(weir_engine *engine, weir_session **sessions, uint32_t most,
                     struct weir_err *err)
{
    uint32_t count = 0;
    while (count < most && weir_session_create(&sessions[count], engine, err) == WEIR_OK)
        evaluate(sessions[count++], 3, 2, 2);
    weir_state_check(engine->state);
    return count;
}

static void empty(weir_session **sessions, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++)
        weir_session_destroy(&sessions[index]);
}

/* Sessions are made until the ceiling is full; each one that ends makes room for another; and the
 * ceiling that is named has room for one more. */
static void the_ceiling_bounds_sessions_and_says_so(void **state)
{
    struct weir_err err = {0};
    static weir_session *sessions[MOST + 1];
    (void)state;
    weir_engine *engine = open_engine();
    const uint64_t all = live_slots(engine);
    const uint32_t count = fill(engine, sessions, MOST, &err);
    printf("%d short sessions fit\n", (int)count);
    assert_true(count > N_CTX / 128); /* a longer context leaves more to share */
    empty(sessions, count);
    assert_int_equal(live_slots(engine), all);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    if (count == MOST)
        return;
    assert_int_equal(err.status, WEIR_ERR_NOMEM);
    const char *named = strstr(err.text, "--mem ");
    assert_non_null(named);
    struct weir_config config = {.model_path = DEMO,
                                 .n_thread = 2,
                                 .n_ctx = N_CTX,
                                 .mem_bytes = strtoull(named + strlen("--mem "), NULL, 10)};
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_OK);
    const uint32_t more = fill(engine, sessions, count + 1, &err);
    assert_int_equal(more, count + 1);
    empty(sessions, more);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* What a text is let in by is what it will have: whole pages, as they are populated. */
static void a_text_takes_whole_pages(void **state)
{
    struct weir_state_config config;
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    weir_engine *engine = open_engine();
    (void)state;
    weir_choice_state(&engine->blueprint, &engine->choice, layers, &config);
    const uint32_t length = weir_state_page_length(&config);
    const uint64_t page_bytes = weir_state_page_bytes(&config);
    assert_true(2 * length < N_CTX && page_bytes > 0);
    const uint64_t one = weir_engine_text_bytes(engine, 1);
    assert_true(one > page_bytes);
    assert_int_equal(weir_engine_text_bytes(engine, length), one);
    assert_int_equal(weir_engine_text_bytes(engine, length + 1), one + page_bytes);
    assert_int_equal(weir_engine_text_bytes(engine, 2 * length + 1), one + 2 * page_bytes);
    assert_int_equal(weir_engine_text_bytes(NULL, 1), 0);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_come_back_when_a_long_text_ends),
        cmocka_unit_test(the_ceiling_bounds_sessions_and_says_so),
        cmocka_unit_test(a_text_takes_whole_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
