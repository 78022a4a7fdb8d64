/* engine_importance_test.c - what an engine measures of its weights' inputs: every matrix of every
 * golden model, the same bytes however it is computed, and the sums that the definition gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "formats/imatrix.h"
#include "golden.h"
#include "pace.h"
#include "weir.h"

struct variant {
    uint32_t n_slot, n_thread, n_chunk;
};

/* The sum of squares of each value of the states behind the final norm. */
struct states {
    double *sums;
    uint32_t d_model;
};

static bool add_state(void *user, uint32_t position, const float *state)
{
    struct states *states = user;
    (void)position;
    for (uint32_t col = 0; col < states->d_model; col++)
        states->sums[col] += (double)state[col] * (double)state[col];
    return true;
}

/* The file of an engine that has computed the model's ids; and its facts. */
static char *measure(const struct golden *golden, const struct variant *variant, bool wants_states,
                     struct states *states, struct weir_importance *importance, size_t *length)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    char *bytes = NULL;
    const struct weir_config config = {.model_path = golden->model_path,
                                       .n_slot = variant->n_slot,
                                       .n_thread = variant->n_thread,
                                       .n_chunk = variant->n_chunk,
                                       .gpu = WEIR_ENGINE_GPU_OFF,
                                       .measures_inputs = true};
    const struct weir_importance_file facts = {
        .text_name = "ids", .chunk_count = 1, .chunk_tokens = golden->id_count};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    if (states != NULL) {
        states->d_model = weir_engine_model(engine)->d_model;
        states->sums = calloc(states->d_model, sizeof(double));
    }
    struct weir_eval eval = {.session = session,
                             .ids = golden->ids,
                             .count = golden->id_count,
                             .state = wants_states ? add_state : NULL,
                             .user = states};
    if (weir_engine_eval(engine, &eval, 1, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    assert_true(weir_engine_importance_get(engine, importance));
    FILE *file = open_memstream(&bytes, length);
    if (weir_engine_importance_write(engine, &facts, file, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    fclose(file);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    return bytes;
}

/* What the output matrix is applied to is told by the engine too. */
static void check_output(const weir_imatrix *imatrix, const struct golden *golden,
                         const struct states *states)
{
    static const char *const names[] = {"output.weight", "token_embd.weight"};
    const char *name = names[weir_imatrix_has(imatrix, names[0]) ? 0 : 1];
    float *values = calloc(states->d_model, sizeof(*values));
    double count = 0.0;
    assert_int_equal(weir_imatrix_read(imatrix, name, states->d_model, 1, 0, values, &count, NULL),
                     WEIR_OK);
    assert_true(count == (double)golden->id_count);
    for (uint32_t col = 0; col < states->d_model; col++)
        assert_true(fabs((double)values[col] * count - states->sums[col]) <=
                    1e-6 * (states->sums[col] + 1e-30));
    free(values);
}

/* Every matrix that is multiplied has sums: of each row of each layer, of each expert's rows. */
static void check_entries(const weir_imatrix *imatrix, const struct golden *golden)
{
    for (uint32_t index = 0; index < weir_imatrix_entry_count(imatrix); index++) {
        const struct weir_imatrix_entry *entry = weir_imatrix_entry_at(imatrix, index);
        const uint64_t cols = entry->value_count / entry->count_count;
        float *values = calloc(cols, sizeof(*values));
        double all = 0.0;
        for (uint64_t matrix = 0; matrix < entry->count_count; matrix++) {
            double count = 0.0;
            double sum = 0.0;
            assert_int_equal(weir_imatrix_read(imatrix, entry->name, cols, entry->count_count,
                                               matrix, values, &count, NULL),
                             WEIR_OK);
            for (uint64_t col = 0; col < cols; col++)
                sum += (double)values[col];
            assert_true(sum > 0.0);
            all += count;
        }
        const bool is_experts = strstr(entry->name, "_exps.") != NULL;
        if (is_experts ? all < golden->id_count : all != golden->id_count)
            fail_msg("%s: %s has %g rows", golden->name, entry->name, all);
        free(values);
    }
}

static void every_model_is_measured(void **state)
{
    static const struct variant variants[] = {{0, 1, 0}, {0, 3, 5}, {0, 2, 1}};
    static char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    (void)state;
    for (size_t index = 0; index < count; index++) {
        struct golden golden;
        struct states states;
        struct weir_importance first;
        size_t first_length = 0;
        weir_imatrix *imatrix = NULL;
        if (!golden_open(&golden, names[index]))
            continue;
        char *one = measure(&golden, &variants[0], true, &states, &first, &first_length);
        assert_int_equal(weir_imatrix_parse(&imatrix, one, first_length, NULL), WEIR_OK);
        assert_int_equal(first.tensor_count, weir_imatrix_entry_count(imatrix));
        assert_int_equal(first.token_count, golden.id_count);
        assert_true(first.n_expert_unreached <= first.n_expert_total);
        check_output(imatrix, &golden, &states);
        check_entries(imatrix, &golden);
        weir_imatrix_close(&imatrix);
        for (size_t at = 1; at < WEIR_COUNT(variants); at++) {
            struct weir_importance again;
            size_t length = 0;
            char *other = measure(&golden, &variants[at], false, NULL, &again, &length);
            if (length != first_length || memcmp(one, other, length) != 0)
                fail_msg("%s: other sums with %u threads and steps of %u rows", golden.name,
                         variants[at].n_thread, variants[at].n_chunk);
            assert_memory_equal(&first, &again, sizeof(first));
            free(other);
        }
        free(one);
        free(states.sums);
        golden_close(&golden);
    }
}

/* Fewer slots than experts: the store's order of arrival does not reach the sums. */
static void streamed_is_resident(void **state)
{
    static const char *const names[] = {"qwen3moe", "qwen2moe", "llama4", "deepseek2"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        struct weir_importance importance;
        size_t lengths[2] = {0};
        if (!golden_open(&golden, names[index]))
            continue;
        struct weir_plan plan;
        const struct weir_config config = {.model_path = golden.model_path};
        assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
        const struct variant variants[] = {{0, 2, 0}, {plan.cost.n_expert_used, 2, 0}};
        char *one = measure(&golden, &variants[0], false, NULL, &importance, &lengths[0]);
        char *other = measure(&golden, &variants[1], false, NULL, &importance, &lengths[1]);
        assert_int_equal(lengths[0], lengths[1]);
        assert_memory_equal(one, other, lengths[0]);
        free(one);
        free(other);
        golden_close(&golden);
    }
}

static void the_plan_has_the_sums(void **state)
{
    struct weir_plan with;
    struct weir_plan without;
    struct weir_err err = {0};
    struct weir_config config = {.model_path = "tests/golden/qwen3moe/model.gguf",
                                 .gpu = WEIR_ENGINE_GPU_OFF};
    bool is_line = false;
    (void)state;
    assert_int_equal(weir_plan_make(&without, &config, NULL), WEIR_OK);
    config.measures_inputs = true;
    assert_int_equal(weir_plan_make(&with, &config, NULL), WEIR_OK);
    assert_true(with.min_bytes > without.min_bytes);
    for (uint32_t line = 0; line < with.line_count; line++)
        is_line = is_line || strcmp(with.lines[line].what, "importance of columns") == 0;
    assert_true(is_line);
    config.gpu = WEIR_ENGINE_GPU_SIM;
    assert_int_equal(weir_plan_make(&with, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "--gpu off"));
}

static void who_does_not_measure_is_told(void **state)
{
    const struct weir_config config = {.model_path = "tests/golden/qwen3moe/model.gguf"};
    const struct weir_importance_file facts = {.text_name = "none"};
    struct weir_importance importance;
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    (void)state;
    assert_int_equal(weir_engine_open(&engine, &config, NULL), WEIR_OK);
    assert_false(weir_engine_importance_get(engine, &importance));
    assert_int_equal(weir_engine_importance_write(engine, &facts, stderr, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "measures_inputs"));
    assert_int_equal(weir_engine_importance_write(engine, NULL, stderr, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_engine_importance_write(NULL, &facts, stderr, NULL), WEIR_ERR_ARG);
    weir_engine_close(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_measured),
        cmocka_unit_test(streamed_is_resident),
        cmocka_unit_test(the_plan_has_the_sums),
        cmocka_unit_test(who_does_not_measure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
