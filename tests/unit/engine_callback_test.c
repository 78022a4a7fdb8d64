/* engine_callback_test.c - what watches an eval from inside its layers may end the watching, and
 * may not change what is computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"

#define DEMO "models/demo/weir-demo.gguf"

enum { PROMPT = 5, DECODED = 3 };

struct watched {
    weir_session *session;
    uint32_t routings, guesses;
};

static void meddle(struct watched *watched)
{
    weir_session *session = watched->session;
    weir_session *twin = NULL;
    assert_int_equal(weir_session_rewind(session, 0), WEIR_ERR_ARG);
    assert_int_equal(weir_session_fork(&twin, session, NULL), WEIR_ERR_ARG);
    weir_session_destroy(&session);
    assert_ptr_equal(session, watched->session);
}

static void end_routing(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                        uint32_t n_expert_used, const uint32_t *experts)
{
    struct watched *watched = user;
    (void)layer, (void)position, (void)n_token, (void)n_expert_used, (void)experts;
    watched->routings++;
    meddle(watched);
    weir_session_watch_routing(watched->session, NULL, NULL);
}

static void end_guesses(void *user, uint32_t layer, const uint32_t *ranked, const uint32_t *control,
                        uint32_t n_expert, uint32_t n_expert_used, const uint32_t *experts)
{
    struct watched *watched = user;
    (void)layer, (void)ranked, (void)control, (void)n_expert, (void)n_expert_used, (void)experts;
    watched->guesses++;
    meddle(watched);
    weir_session_watch_guesses(watched->session, NULL, NULL);
}

static void watching_may_end_in_the_middle_of_a_step(void **state)
{
    (void)state;
    static const uint32_t ids[PROMPT + DECODED] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct weir_config config = {.model_path = DEMO, .n_thread = 2, .expert_share = 0.3};
    struct watched watched = {0};
    weir_engine *engine = NULL;
    assert_int_equal(weir_engine_open(&engine, &config, NULL), WEIR_OK);
    assert_int_equal(weir_session_create(&watched.session, engine, NULL), WEIR_OK);
    weir_session_watch_routing(watched.session, end_routing, &watched);
    weir_session_watch_guesses(watched.session, end_guesses, &watched);
    assert_int_equal(weir_session_eval(watched.session, ids, PROMPT, NULL, NULL, NULL), WEIR_OK);
    for (uint32_t at = PROMPT; at < PROMPT + DECODED; at++)
        assert_int_equal(weir_session_eval(watched.session, ids + at, 1, NULL, NULL, NULL),
                         WEIR_OK);
    assert_int_equal(watched.routings, 1);
    assert_int_equal(watched.guesses, 1);
    assert_int_equal(weir_session_position(watched.session), PROMPT + DECODED);
    weir_session_destroy(&watched.session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watching_may_end_in_the_middle_of_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
