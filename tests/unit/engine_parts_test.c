/* engine_parts_test.c - a model in several files gives the bits of the whole one; a part that is
 * missing or wrong is named. */
#include <unistd.h>

#include "base/base.h"
#include "base/heap.h"

#include "gguf_parts.h"
#include "pace.h"
#include "scratch.h"
#include "weir.h"
#include "weir_bench.h"

static char folder[64];
static struct edit_model model;

struct record {
    float *logits;
    size_t bytes;
};

static bool keep_row(void *user, uint32_t position, const float *logits)
{
    struct record *record = user;
    memcpy((char *)record->logits + position * record->bytes, logits, record->bytes);
    return true;
}

static void run(const struct golden *golden, const struct weir_config *config,
                struct record *record)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    if (weir_engine_open(&engine, config, &err) != WEIR_OK)
        fail_msg("%s: %s", config->model_path, err.text);
    record->bytes = weir_engine_model(engine)->n_vocab * sizeof(float);
    record->logits = calloc(golden->id_count, record->bytes);
    assert_non_null(record->logits);
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    if (weir_session_eval(session, golden->ids, golden->id_count, keep_row, record, &err) !=
        WEIR_OK)
        fail_msg("%s: %s", config->model_path, err.text);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
}

static void compare(const struct golden *golden, const struct record *whole,
                    const struct weir_config *config)
{
    struct record parts = {0};
    run(golden, config, &parts);
    if (memcmp(whole->logits, parts.logits, golden->id_count * whole->bytes) != 0)
        fail_msg("%s: other bits than %s", config->model_path, golden->model_path);
    free(parts.logits);
}

static const char *stem_of(const char *name)
{
    static char stem[128];
    snprintf(stem, sizeof(stem), "%s/%s", folder, name);
    return stem;
}

static void a_split_model_gives_the_bits_of_the_whole_one(void **state)
{
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    (void)state;
    assert_true(count > 0);
    for (size_t index = 0; index < count; index += pace_step(5)) {
        struct golden golden;
        struct weir_model_info info;
        struct weir_model_info whole;
        const uint32_t part_count = 3 + (uint32_t)index % 5;
        assert_true(golden_open(&golden, names[index]));
        edit_open(&model, golden.model_path);
        edit_split(&model, stem_of(names[index]), part_count, index % 2 == 0);
        const char *first = edit_part_path(stem_of(names[index]), 1, part_count);
        assert_int_equal(weir_model_info_get(&whole, golden.model_path, NULL), WEIR_OK);
        assert_int_equal(weir_model_info_get(&info, first, NULL), WEIR_OK);
        assert_int_equal(info.file_count, part_count);
        assert_int_equal(info.tensor_count, whole.tensor_count);
        assert_int_equal(info.expert_bytes, whole.expert_bytes);
        assert_int_equal(info.trunk_bytes, whole.trunk_bytes);
        assert_true(info.file_bytes > whole.expert_bytes + whole.trunk_bytes);
        const struct weir_bench_config bench = {.fake_io_seed = index + 1, .fake_io_fault = 1};
        const struct weir_config ways[] = {
            {.model_path = first, .n_thread = 2},
            {.model_path = first, .n_thread = 1, .n_slot = info.n_expert_used},
            {.model_path = first, .n_slot = info.n_expert_used, .buffered = true, .n_chunk = 3},
            {.model_path = first, .n_slot = info.n_expert_used, .n_thread = 2, .bench = &bench},
        };
        struct record record = {0};
        run(&golden, &(struct weir_config){.model_path = golden.model_path, .n_thread = 2},
            &record);
        for (size_t turn = 0; turn < 2; turn++) /* each way meets every other family */
            compare(&golden, &record, &ways[(index + turn) % WEIR_COUNT(ways)]);
        free(record.logits);
        edit_remove_parts(stem_of(names[index]), part_count);
        edit_close(&model);
        golden_close(&golden);
    }
}

/* Three parts of a model whose second and third have tensors. */
static const char *make_parts(const char *name)
{
    edit_open(&model, "tests/golden/qwen3moe/model.gguf");
    edit_split(&model, stem_of(name), 3, true);
    edit_close(&model);
    return stem_of(name);
}

static void is_refused(const char *path, enum weir_status status, const char *const *words)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    assert_int_equal(weir_plan_make(&plan, &(struct weir_config){.model_path = path}, &err),
                     status);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, *words);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void copy(const char *from, const char *to)
{
    struct edit_file file = {0};
    file.bytes = golden_read(from, &file.length);
    assert_non_null(file.bytes);
    edit_write(&file, to);
    free(file.bytes);
}

/* Part number of the stem's three, in a place of its own. */
static char *part_of(const char *stem, uint32_t number)
{
    static char paths[4][512];
    snprintf(paths[number], sizeof(paths[number]), "%s", edit_part_path(stem, number, 3));
    return paths[number];
}

static void a_missing_part_is_named(void **state)
{
    (void)state;
    for (uint32_t number = 2; number <= 3; number++) {
        const char *stem = make_parts("missing");
        unlink(part_of(stem, number));
        is_refused(
            part_of(stem, 1), WEIR_ERR_IO,
            WORDS(part_of(stem, number), number == 2 ? "part 2 of 3" : "part 3 of 3", "missing"));
        edit_remove_parts(stem, 3);
    }
}

static void a_part_under_anothers_name_is_named(void **state)
{
    (void)state;
    const char *stem = make_parts("swapped");
    char spare[512];
    snprintf(spare, sizeof(spare), "%s.spare", stem);
    rename(part_of(stem, 2), spare);
    rename(part_of(stem, 3), part_of(stem, 2));
    rename(spare, part_of(stem, 3));
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "split.no", "part 2", "1 is wanted", "found 2"));
    copy(part_of(stem, 3), part_of(stem, 2)); /* now the second twice */
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 3), "split.no", "2 is wanted", "found 1"));
    copy(part_of(stem, 2), part_of(stem, 1));
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 1), "split.no", "0 is wanted", "found 1"));
    edit_remove_parts(stem, 3);
}

static void a_part_that_is_cut_off_is_named(void **state)
{
    (void)state;
    static const long lengths[] = {0, 3, 40, 200, 5000};
    for (size_t row = 0; row < WEIR_COUNT(lengths); row++) {
        const char *stem = make_parts("short");
        assert_int_equal(truncate(part_of(stem, 3), lengths[row]), 0);
        is_refused(part_of(stem, 1), WEIR_ERR_FORMAT, WORDS(part_of(stem, 3), "part 3 of 3"));
        edit_remove_parts(stem, 3);
    }
}

static void a_part_of_another_model_is_named(void **state)
{
    (void)state;
    const char *stem = make_parts("foreign");
    edit_open(&model, "tests/golden/olmoe/model.gguf");
    struct edit_file file = edit_part(&model, 1, 3, 0, 3); /* other tensors in all */
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "is not a part of the model", "split.tensors.count",
                     "wanted", "found"));
    edit_close(&model);
    edit_open(&model, "tests/golden/qwen3moe/model.gguf");
    file = edit_part(&model, 1, 4, 0, 3); /* of a split in four */
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "split.count", "says 3", "found 4"));
    file = edit_part(&model, 1, 3, 0, model.tensor_count); /* tensors of the third part, too */
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), part_of(stem, 3), "is there twice"));
    copy("tests/golden/qwen3moe/model.gguf", part_of(stem, 2)); /* no part at all */
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "split.count", "says 3", "found 0"));
    edit_close(&model);
    edit_remove_parts(stem, 3);
}

static void a_part_that_is_not_the_first_names_the_one_to_open(void **state)
{
    (void)state;
    const char *stem = make_parts("second");
    char bare[512];
    snprintf(bare, sizeof(bare), "%s.gguf", stem);
    is_refused(part_of(stem, 2), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "part 2 of 3", "open the first", part_of(stem, 1)));
    copy(part_of(stem, 1), bare);
    is_refused(bare, WEIR_ERR_FORMAT, WORDS(bare, "3 parts", "-00001-of-00003.gguf"));
    unlink(bare);
    edit_remove_parts(stem, 3);
}

static void keys_of_a_later_part_agree_with_the_first(void **state)
{
    (void)state;
    const char *stem = make_parts("keys");
    static struct edit_model part;
    edit_open(&part, part_of(stem, 2));
    struct edit_file file = edit_with_key(&part, "general.alignment", EDIT_U32,
                                          &(uint32_t){EDIT_ALIGNMENT}, sizeof(uint32_t));
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    assert_int_equal(weir_model_info_get(&(struct weir_model_info){0}, part_of(stem, 1), NULL),
                     WEIR_OK);
    file = edit_with_key(&part, "qwen3moe.block_count", EDIT_U32, &(uint32_t){9}, sizeof(uint32_t));
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "qwen3moe.block_count", "found 9"));
    file = edit_with_key(&part, "qwen3moe.oddity", EDIT_U32, &(uint32_t){9}, sizeof(uint32_t));
    edit_write(&file, part_of(stem, 2));
    free(file.bytes);
    is_refused(part_of(stem, 1), WEIR_ERR_FORMAT,
               WORDS(part_of(stem, 2), "qwen3moe.oddity", "not in the first part"));
    edit_close(&part);
    edit_remove_parts(stem, 3);
}

/* What is said of parts whose key of that name has a number that is wrong. */
static void warn_of_total(const char *key, const char *words)
{
    static const char usual[] = "split.tensors.count";
    const char *stem = stem_of("stale");
    struct weir_model_info info;
    edit_open(&model, "tests/golden/qwen3moe/model.gguf");
    const uint64_t count = model.tensor_count;
    for (uint32_t index = 0; index < 3; index++) {
        model.tensor_count = count + 2; /* what the key says */
        struct edit_file file =
            edit_part(&model, index, 3, count * index / 3, count * (index + 1) / 3);
        memcpy(memmem(file.bytes, file.length, usual, strlen(usual)), key, strlen(usual));
        edit_write(&file, part_of(stem, index + 1));
        free(file.bytes);
    }
    assert_int_equal(weir_model_info_get(&info, part_of(stem, 1), NULL), WEIR_OK);
    assert_int_equal(info.warnings.count, 1);
    if (strstr(info.warnings.text[0], words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", info.warnings.text[0], words);
    edit_close(&model);
    edit_remove_parts(stem, 3);
}

static void a_wrong_number_of_tensors_or_none_is_a_warning(void **state)
{
    (void)state;
    warn_of_total("split.tensors.count", "key split.tensors.count says");
    warn_of_total("split.tensors.other", "key split.tensors.count is missing");
}

static void every_failed_allocation_leaves_nothing(void **state)
{
    (void)state;
    const char *first = part_of(make_parts("memory"), 1);
    const uint64_t before_bytes = weir_heap_bytes();
    enum weir_status status = WEIR_ERR_NOMEM;
    for (uint64_t call = 1; status != WEIR_OK; call++) {
        struct weir_err err = {0};
        struct weir_model_info info;
        weir_heap_fail_at(call);
        status = weir_model_info_get(&info, first, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        assert_true(status == WEIR_OK || strstr(err.text, "no memory") != NULL);
        assert_int_equal(weir_heap_bytes(), before_bytes);
    }
    edit_remove_parts(stem_of("memory"), 3);
}

static int set_up(void **state)
{
    (void)state;
    return !scratch_folder(folder, sizeof(folder), "parts");
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_model_gives_the_bits_of_the_whole_one),
        cmocka_unit_test(a_missing_part_is_named),
        cmocka_unit_test(a_part_under_anothers_name_is_named),
        cmocka_unit_test(a_part_that_is_cut_off_is_named),
        cmocka_unit_test(a_part_of_another_model_is_named),
        cmocka_unit_test(a_part_that_is_not_the_first_names_the_one_to_open),
        cmocka_unit_test(keys_of_a_later_part_agree_with_the_first),
        cmocka_unit_test(a_wrong_number_of_tensors_or_none_is_a_warning),
        cmocka_unit_test(every_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
