/* precision_test.c - weir_quantize() under a budget: the file fits, more bytes lose less, and
 * what was measured is not measured again. */
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
#define TEXT                                                                                       \
    "It was a bright morning, and the old man had been at work in the garden since the sun rose. " \
    "He looked up when the gate opened, and put down his spade. \"You are late,\" he said, \"but " \
    "there is bread on the table, and the water is hot.\" She laughed and went into the house."

static char folder[64], out[128], slopes[128];
static uint32_t *ids;
static size_t id_count;

static int begin(void **state)
{
    weir_tokenizer *tokenizer = NULL;
    (void)state;
    snprintf(folder, sizeof(folder),
             "%s/weir-precision-XXXXXX", /* where nothing waits for a disk */
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL || weir_tokenizer_open(&tokenizer, DEMO, NULL) != WEIR_OK ||
        weir_tokenizer_encode(tokenizer, TEXT, strlen(TEXT), WEIR_TEXT_ADD_SPECIAL, &ids, &id_count,
                              NULL) != WEIR_OK)
        return -1;
    weir_tokenizer_close(&tokenizer);
    snprintf(out, sizeof(out), "%s/out.gguf", folder);
    snprintf(slopes, sizeof(slopes), "%s/slopes", folder);
    return 0;
}

/* Nothing but the two files may be there: what was tried is removed. */
static int end(void **state)
{
    (void)state;
    weir_ids_free(&ids);
    unlink(out);
    unlink(slopes);
    return rmdir(folder);
}

static struct weir_quantize_budget budget_of(double bits)
{
    return (struct weir_quantize_budget){.bits = bits,
                                         .ids = ids,
                                         .id_count = (uint32_t)id_count,
                                         .chunk_tokens = 64,
                                         .slopes_path = slopes,
                                         .probe_max = 7};
}

static struct weir_quantize_config config_of(const struct weir_quantize_budget *budget)
{
    return (struct weir_quantize_config){
        .input_path = DEMO, .output_path = out, .budget = budget, .n_thread = 2};
}

static bool never_again(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)user, (void)done_bytes, (void)total_bytes;
    return strcmp(what, "measure") != 0 || total_bytes < 60000000;
}

static void a_budget_is_kept(void **state)
{
    struct weir_quantize_result few, more;
    struct weir_err err = {0};
    struct weir_quantize_budget budget = budget_of(3.6);
    struct weir_quantize_config config = config_of(&budget);
    (void)state;
    if (weir_quantize(&few, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_true(few.bits_after <= 3.6 && few.bits_after > 3.5);
    assert_true(few.probe_count >= 7 && few.probe_count <= 20);
    assert_true(few.after_count >= 3); /* formats, one of them F32 */
    assert_true(few.divergence > 0.0 && few.divergence_expected > 0.0);
    assert_true(few.divergence < 5.0 * few.divergence_expected);
    assert_string_equal(few.type, "budget");
    /* The file is a model that opens, and has the bytes that were said. */
    struct weir_model_info info;
    assert_int_equal(weir_model_info_get(&info, out, NULL), WEIR_OK);
    assert_int_equal(info.status, WEIR_OK);
    assert_true(info.file_bytes == few.file_bytes);
    /* More bytes lose less; what was measured is there, and is not measured again. */
    budget = budget_of(0.0);
    budget.file_bytes = few.file_bytes + few.file_bytes / 5;
    config.progress = never_again;
    if (weir_quantize(&more, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(more.probe_count, 0);
    assert_true(more.file_bytes <= budget.file_bytes && more.file_bytes > few.file_bytes);
    assert_true(more.divergence < few.divergence);
    assert_true(more.divergence_expected < few.divergence_expected);
}

static bool not_at_all(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)user, (void)done_bytes, (void)total_bytes;
    fail_msg("%s: before it was refused", what);
    return false;
}

static void expect_refused(const struct weir_quantize_config *config, enum weir_status status,
                           const char *wanted)
{
    struct weir_err err = {0};
    assert_int_equal(weir_quantize(NULL, config, &err), status);
    if (strstr(err.text, wanted) == NULL)
        fail_msg("%s", err.text);
}

static void wrong_budgets_are_refused(void **state)
{
    struct weir_quantize_budget budget = budget_of(4.0);
    struct weir_quantize_config config = config_of(&budget);
    (void)state;
    config.output_path = NULL;
    config.is_dry = true;
    expect_refused(&config, WEIR_ERR_ARG, "output_path");
    config = config_of(&budget);
    config.type = "Q4_K_M";
    expect_refused(&config, WEIR_ERR_ARG, "either type or a budget");
    config = config_of(&budget);
    budget.file_bytes = 1 << 20;
    expect_refused(&config, WEIR_ERR_ARG, "one of both");
    budget = budget_of(4.0);
    budget.id_count = 1;
    expect_refused(&config, WEIR_ERR_ARG, "a text");
    budget = budget_of(0.5);
    expect_refused(&config, WEIR_ERR_ARG, "the budget is too small: wanted at least");
    config.progress = not_at_all;
    expect_refused(&config, WEIR_ERR_ARG, "the budget is too small: wanted at least");
}

/* Cut the file behind so many lines. */
static void keep_lines(const char *path, int count)
{
    char text[4096];
    FILE *file = fopen(path, "r");
    size_t length = fread(text, 1, sizeof(text), file);
    fclose(file);
    for (size_t at = 0; at < length; at++)
        if (text[at] == '\n' && --count == 0)
            length = at + 1;
    file = fopen(path, "w");
    fwrite(text, 1, length, file);
    fclose(file);
}

static void slopes_of_another_run_are_refused(void **state)
{
    struct weir_quantize_budget budget = budget_of(4.0);
    struct weir_quantize_config config = config_of(&budget);
    (void)state;
    config.progress = not_at_all;
    budget.id_count--;
    expect_refused(&config, WEIR_ERR_FORMAT, "wanted '# text: ");
    budget = budget_of(4.0);
    budget.chunk_tokens = 32;
    expect_refused(&config, WEIR_ERR_FORMAT, "in pieces of 32', found '# text: ");
    budget = budget_of(4.0);
    keep_lines(slopes, 6);
    expect_refused(&config, WEIR_ERR_FORMAT, "wanted a line with a slope");
    keep_lines(slopes, 1);
    expect_refused(&config, WEIR_ERR_FORMAT, "wanted '# model: ");
}

static void rules_come_first(void **state)
{
    struct weir_quantize_result result;
    struct weir_err err = {0};
    const struct weir_quantize_rule rule = {"*ffn_down*", "Q8_0"};
    struct weir_quantize_budget budget = budget_of(5.0);
    struct weir_quantize_config config = config_of(&budget);
    bool is_there = false;
    (void)state;
    config.rules = &rule;
    config.rule_count = 1;
    config.is_dry = true;
    if (weir_quantize(&result, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    for (uint32_t at = 0; at < result.after_count; at++)
        is_there = is_there || (strcmp(result.after[at].type, "Q8_0") == 0 &&
                                result.after[at].tensor_count >= 12);
    assert_true(is_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_is_kept),
        cmocka_unit_test(rules_come_first),
        cmocka_unit_test(wrong_budgets_are_refused),
        cmocka_unit_test(slopes_of_another_run_are_refused),
    };
    if (access(DEMO, R_OK) != 0) {
        printf("skipped: %s is not there\n", DEMO);
        return 77;
    }
    return cmocka_run_group_tests(tests, begin, end);
}
