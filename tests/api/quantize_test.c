/* quantize_test.c - what a program that has only weir_files.h can rely on, with the demo model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir_files.h"

#define DEMO "models/demo/weir-demo.gguf"
#define LLAMA "tests/golden/llama/model.gguf"

static char folder[64], out[128], second[128];

static int begin_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s/weir-quantize-XXXXXX", /* where nothing waits for a disk */
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(out, sizeof(out), "%s/out.gguf", folder);
    snprintf(second, sizeof(second), "%s/second.gguf", folder);
    return 0;
}

/* Nothing but the two files may be there. */
static int end_folder(void **state)
{
    (void)state;
    unlink(out);
    unlink(second);
    return rmdir(folder);
}

static struct weir_quantize_config config_of(const char *input, const char *output,
                                             const char *type)
{
    return (struct weir_quantize_config){
        .input_path = input, .output_path = output, .type = type, .n_thread = 2};
}

static void quantize(struct weir_quantize_result *result, const struct weir_quantize_config *config)
{
    struct weir_err err = {0};
    if (weir_quantize(result, config, &err) != WEIR_OK)
        fail_msg("%s to %s: %s", config->input_path, config->type, err.text);
}

static void is_refused(const struct weir_quantize_config *config, enum weir_status status,
                       const char *word)
{
    struct weir_err err = {0};
    struct weir_quantize_result result = {.tensor_count = 77};
    assert_int_equal(weir_quantize(&result, config, &err), status);
    if (strstr(err.text, word) == NULL)
        fail_msg("wanted \"%s\" in: %s", word, err.text);
    assert_int_equal(result.tensor_count, 77);
    assert_int_not_equal(access(out, F_OK), 0);
}

static void is_same_file(const char *one, const char *other)
{
    FILE *left = fopen(one, "rb");
    FILE *right = fopen(other, "rb");
    static char a[65536], b[65536];
    size_t count;
    assert_true(left != NULL && right != NULL);
    do {
        count = fread(a, 1, sizeof(a), left);
        assert_int_equal(fread(b, 1, sizeof(b), right), count);
        assert_memory_equal(a, b, count);
    } while (count > 0);
    fclose(left);
    fclose(right);
}

static const struct weir_quantize_use *find_use(const struct weir_quantize_result *result,
                                                const char *type)
{
    for (uint32_t index = 0; index < result->after_count; index++)
        if (strcmp(result->after[index].type, type) == 0)
            return &result->after[index];
    return NULL;
}

/* It runs, and says what the original says where that has as many bits. */
static void runs(const char *path, const char *like)
{
    struct weir_err err = {0};
    const uint32_t ids[] = {1, 17, 30, 42, 8, 9};
    uint32_t best[2] = {0};
    const char *paths[] = {path, like};
    for (int turn = 0; turn < 2 && paths[turn] != NULL; turn++) {
        struct weir_config config = {.model_path = paths[turn], .n_thread = 2, .n_ctx = 64};
        weir_engine *engine = NULL;
        weir_session *session = NULL;
        if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
            fail_msg("%s: %s", paths[turn], err.text);
        assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
        assert_int_equal(weir_session_eval(session, ids, 6, NULL, NULL, &err), WEIR_OK);
        const float *logits = weir_session_logits(session);
        for (uint32_t id = 1; id < weir_engine_model(engine)->n_vocab; id++)
            if (logits[id] > logits[best[turn]])
                best[turn] = id;
        weir_session_destroy(&session);
        weir_engine_close(&engine);
    }
    if (like != NULL)
        assert_int_equal(best[0], best[1]);
}

static void more_bits_lose_nothing(void **state)
{
    (void)state;
    struct weir_quantize_result result;
    struct weir_quantize_config config = config_of(DEMO, out, "F32");
    quantize(&result, &config);
    assert_int_equal(result.tensor_count, 146);
    assert_true(result.bits_after == 32.0 && result.after_count == 1);
    assert_string_equal(result.requantized_from, "Q8_0, Q4_0");
    runs(out, DEMO);
    struct weir_quantize_config back = config_of(out, second, "Q8_0");
    quantize(&result, &back);
    assert_int_equal(result.requantized_count, 0);
    assert_true(result.bits_after > 8.5 && result.bits_after < 8.7);
    assert_true(find_use(&result, "F32") != NULL && find_use(&result, "Q8_0") != NULL);
    runs(second, DEMO);
}

static void every_type_makes_a_model_that_runs(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    enum { STEP = 5 };
#else
    enum { STEP = 1 };
#endif
    for (uint32_t index = 0; weir_quantize_type_name(index) != NULL; index += STEP) {
        struct weir_quantize_result result;
        struct weir_quantize_config config = config_of(LLAMA, out, weir_quantize_type_name(index));
        config.allow_unweighted = true;
        quantize(&result, &config);
        assert_string_equal(result.type, weir_quantize_type_name(index));
        assert_true(strlen(weir_quantize_type_about(index)) > 3);
        runs(out, NULL);
    }
    assert_null(weir_quantize_type_about(1000));
}

/* Neither threads, nor the ceiling, nor the way to read decide a bit. */
static void bits_are_the_same_however_it_is_done(void **state)
{
    (void)state;
    struct weir_quantize_result result;
    struct weir_err err = {0};
    struct weir_quantize_config config = config_of(DEMO, out, "Q4_0");
    config.n_thread = 1;
    quantize(&result, &config);
    struct weir_quantize_config little = config_of(DEMO, second, "Q4_0");
    little.n_thread = 3;
    little.buffered = true;
    little.mem_bytes = 1;
    assert_int_equal(weir_quantize(NULL, &little, &err), WEIR_ERR_NOMEM);
    const char *number = strstr(err.text, "(");
    assert_non_null(number);
    little.mem_bytes = strtoull(number + 1, NULL, 10);
    assert_true(little.mem_bytes > 1 << 20 && little.mem_bytes < 64 << 20);
    err = (struct weir_err){0};
    little.mem_bytes--;
    assert_int_equal(weir_quantize(NULL, &little, &err), WEIR_ERR_NOMEM);
    little.mem_bytes++;
    quantize(&result, &little);
    assert_true(result.budget_bytes <= little.mem_bytes);
    is_same_file(out, second);
}

static void rules_come_first(void **state)
{
    (void)state;
    const struct weir_quantize_rule rules[] = {
        {"blk.0.ffn_down_exps.weight", "F16"}, {"*ffn_down*", "q5_1"}, {"blk.?.attn_v.*", "Q8_0"}};
    struct weir_quantize_result result;
    struct weir_quantize_config config = config_of(DEMO, out, "Q4_0");
    config.rules = rules;
    config.rule_count = 3;
    quantize(&result, &config);
    assert_int_equal(find_use(&result, "F16")->tensor_count, 1);
    assert_int_equal(find_use(&result, "Q5_1")->tensor_count, 11);
    assert_int_equal(find_use(&result, "Q8_0")->tensor_count, 10);
    assert_int_equal(result.fallback_count, 0);
}

/* Experts of the demo model are 96 wide: no block of 256 fits. */
static void rows_that_no_block_fills_fall_back(void **state)
{
    (void)state;
    struct weir_quantize_result result;
    struct weir_quantize_config config = config_of(DEMO, NULL, "Q4_K_S");
    config.is_dry = true;
    quantize(&result, &config);
    uint32_t count = 0;
    for (uint32_t index = 0; index < result.fallback_count; index++)
        count += result.fallbacks[index].tensor_count;
    assert_int_equal(count, 12);
    assert_string_equal(result.fallbacks[0].meant, "Q5_K"); /* of the first layers */
    assert_string_equal(result.fallbacks[0].type, "Q5_1");
    assert_int_not_equal(access(out, F_OK), 0);
}

struct watch {
    uint32_t calls, stop_at;
    uint64_t last;
};

static bool tell(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    struct watch *watch = user;
    assert_string_equal(what, "quantize");
    assert_true(done_bytes >= watch->last && done_bytes <= total_bytes);
    watch->last = done_bytes;
    return ++watch->calls != watch->stop_at;
}

static void a_stop_leaves_nothing(void **state)
{
    (void)state;
    struct watch watch = {.stop_at = 3};
    struct weir_quantize_config config = config_of(DEMO, out, "F16");
    config.progress = tell;
    config.progress_user = &watch;
    is_refused(&config, WEIR_ERR_CANCELLED, "stopped");
    assert_int_equal(watch.calls, 3);
    watch = (struct watch){0};
    quantize(NULL, &config);
    assert_true(watch.calls > 100 && watch.last > 20 << 20);
}

static void visit(void *user, const struct weir_quantize_tensor *tensor)
{
    uint64_t *bytes = user;
    bytes[0] += tensor->bytes_before;
    bytes[1] += tensor->bytes_after;
    if (strstr(tensor->name, "norm") != NULL || strstr(tensor->name, "gate_inp") != NULL)
        assert_string_equal(tensor->from, tensor->to);
}

static void each_tensor_is_told(void **state)
{
    (void)state;
    uint64_t bytes[2] = {0};
    struct weir_quantize_result result;
    struct weir_quantize_config config = config_of(DEMO, NULL, "Q6_K");
    config.is_dry = true;
    config.visit = visit;
    config.visit_user = bytes;
    quantize(&result, &config);
    assert_true(bytes[0] == result.bytes_before && bytes[1] == result.bytes_after);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct weir_quantize_config config = config_of(DEMO, out, "Q4_K_XL");
    is_refused(&config, WEIR_ERR_ARG, "Q4_K_M");
    config = config_of(NULL, out, "Q4_0");
    is_refused(&config, WEIR_ERR_ARG, "NULL");
    config = config_of(DEMO, DEMO, "Q4_0");
    is_refused(&config, WEIR_ERR_ARG, "is the input");
    config = config_of("tests/golden/directories/gpt-oss", out, "Q4_0");
    is_refused(&config, WEIR_ERR_UNSUPPORTED, "weir convert");
    config = config_of("models/demo/MODEL_CARD.md", out, "Q4_0");
    is_refused(&config, WEIR_ERR_FORMAT, "GGUF");
    config = config_of(DEMO, "/no/such/folder/out.gguf", "Q4_0");
    is_refused(&config, WEIR_ERR_IO, "/no/such/folder");
    config = config_of(DEMO, out, "IQ2_XXS");
    is_refused(&config, WEIR_ERR_ARG, "weir imatrix");
    config.imatrix_path = "models/demo/heldout.txt";
    is_refused(&config, WEIR_ERR_FORMAT, "heldout.txt");
    struct weir_quantize_rule rule = {"*ffn_down*", "Q4_K_M"};
    config = config_of(DEMO, out, "Q4_0");
    config.rules = &rule;
    config.rule_count = 1;
    is_refused(&config, WEIR_ERR_ARG, "number format");
    rule = (struct weir_quantize_rule){"*ffn_down*", "F8_E4M3"};
    is_refused(&config, WEIR_ERR_ARG, "number format");
    rule = (struct weir_quantize_rule){"ffn_down", "Q8_0"};
    is_refused(&config, WEIR_ERR_ARG, "matches no tensor");
    rule = (struct weir_quantize_rule){"*_norm.weight", "Q8_0"};
    is_refused(&config, WEIR_ERR_ARG, "only norms");
    assert_int_equal(weir_quantize(NULL, NULL, NULL), WEIR_ERR_ARG);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin_folder, end_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(more_bits_lose_nothing),
        IN_FOLDER(every_type_makes_a_model_that_runs),
        IN_FOLDER(bits_are_the_same_however_it_is_done),
        IN_FOLDER(rules_come_first),
        IN_FOLDER(rows_that_no_block_fills_fall_back),
        IN_FOLDER(a_stop_leaves_nothing),
        IN_FOLDER(each_tensor_is_told),
        IN_FOLDER(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
