/* model_golden_test.c - every family's logits against Hugging Face transformers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden.h"
#include "pace.h"
#include "weir.h"

struct comparison {
    const struct golden *golden;
    uint32_t n_vocab;
    uint32_t position_count;
    double worst;
    uint32_t worst_position;
};

static bool compare_row(void *user, uint32_t position, const float *logits)
{
    struct comparison *comparison = user;
    const float *wanted = comparison->golden->logits + (size_t)position * comparison->n_vocab;
    for (uint32_t id = 0; id < comparison->n_vocab; id++) {
        const double difference = fabs((double)logits[id] - (double)wanted[id]);
        if (!(difference <= comparison->worst)) {
            comparison->worst = difference;
            comparison->worst_position = position;
        }
    }
    comparison->position_count++;
    return true;
}

static void check_model(const struct golden *golden, const char *isa)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    const struct weir_config config = {
        .model_path = golden->model_path, .n_thread = 2, .isa = isa, .kv = "f32"};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK) {
        if (err.status == WEIR_ERR_UNSUPPORTED && strstr(err.text, "this CPU") != NULL) {
            printf("skipped level %s: %s\n", isa, err.text);
            return;
        }
        fail_msg("%s: %s", golden->name, err.text);
    }
    struct comparison comparison = {.golden = golden,
                                    .n_vocab = weir_engine_model(engine)->n_vocab};
    assert_int_equal(golden->logit_count, (size_t)golden->id_count * comparison.n_vocab);
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    if (weir_session_eval(session, golden->ids, golden->id_count, compare_row, &comparison, &err) !=
        WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    assert_int_equal(comparison.position_count, golden->id_count);
    printf("%-24s %-12s %u positions, worst difference %.2e at position %u\n", golden->name, isa,
           comparison.position_count, comparison.worst, comparison.worst_position);
    assert_true(comparison.worst <= 1e-4);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
}

static void logits_equal_transformers_on_every_level(void **state)
{
    (void)state;
    static const char *const levels[] = {"ref", "avx2", "avx512", "avx512-vnni", "neon-dotprod"};
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    assert_true(count >= 5); /* one for each family at least */
    for (size_t index = 0; index < count; index++) {
        struct golden golden;
        assert_true(golden_open(&golden, names[index]));
        /* A sanitizer watches the reference, and one of the others is enough to be fed by it. */
        for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++)
            if (level == 0 || (index + level) % pace_step(4) == 0)
                check_model(&golden, levels[level]);
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_transformers_on_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
