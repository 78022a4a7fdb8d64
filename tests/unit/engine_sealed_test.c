/* engine_sealed_test.c - between the first token and the last nothing is allocated. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/heap.h"
#include "weir.h"

enum { TOKENS = 12 };

static void compute_tokens(uint32_t timeline_events)
{
    const struct weir_config config = {.model_path = "models/demo/weir-demo.gguf",
                                       .n_thread = 3,
                                       .n_ctx = 64,
                                       .n_chunk = 8,
                                       .expert_share = 0.3,
                                       .timeline_events = timeline_events};
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    weir_sampler *sampler = NULL;
    static const uint32_t prompt[] = {17, 900, 3, 42, 4000, 7, 8, 9, 10, 11, 12};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    const struct weir_sampler_config sampling = {
        .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .repeat_penalty = 1.1f, .seed = 1};
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    assert_int_equal(weir_sampler_create(&sampler, &sampling, n_vocab, &err), WEIR_OK);
    const uint64_t calls = weir_heap_calls();
    const size_t in_use_bytes = mallinfo2().uordblks;
    assert_int_equal(weir_session_eval(session, prompt, 11, NULL, NULL, &err), WEIR_OK);
    for (int token = 0; token < TOKENS; token++) {
        const uint32_t id = weir_sampler_pick(sampler, weir_session_logits(session));
        assert_int_equal(weir_session_eval(session, &id, 1, NULL, NULL, &err), WEIR_OK);
    }
#ifdef WEIR_HOSTILE /* whose pages are so short that the text needs more of them */
    assert_true(weir_heap_calls() <= calls + (11 + TOKENS) / 8);
#else
    assert_int_equal(weir_heap_calls(), calls);
#endif
    assert_int_equal(mallinfo2().uordblks, in_use_bytes);
    weir_sampler_destroy(&sampler);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
}

static void tokens_are_computed_without_allocating(void **state)
{
    (void)state;
    compute_tokens(0);
    compute_tokens(20000); /* recording them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tokens_are_computed_without_allocating)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
