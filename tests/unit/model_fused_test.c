/* model_fused_test.c - gate and up of experts in one tensor give the bits of two. */
#include <unistd.h>

#include "base/base.h"

#include "gguf_edit.h"
#include "model_run.h"
#include "scratch.h"

static char fused_path[64];
static struct edit_model model;

/* The tensor of the same layer whose name has another word at its end; NULL: there is none. */
static const struct edit_tensor *twin_of(const struct edit_tensor *tensor, const char *word,
                                         const char *other)
{
    char name[128];
    const char *at = strstr(tensor->name, word);
    if (at == NULL)
        return NULL;
    snprintf(name, sizeof(name), "%.*s%s%s", (int)(at - tensor->name), tensor->name, other,
             at + strlen(word));
    for (uint64_t index = 0; index < model.tensor_count; index++)
        if (strcmp(model.tensors[index].name, name) == 0)
            return &model.tensors[index];
    return NULL;
}

static void put_info(struct edit_file *file, const struct edit_tensor *tensor, uint64_t offset)
{
    edit_put(file, model.bytes + tensor->at, tensor->offset_at - tensor->at);
    edit_put_number(file, offset, 8);
}

/* Gate's description with another name and rows for both. */
static void put_fused_info(struct edit_file *file, const struct edit_tensor *gate, uint64_t rows,
                           uint64_t offset)
{
    char name[128];
    const char *rest = strstr(gate->name, "gate_exps") + strlen("gate_exps");
    snprintf(name, sizeof(name), "%.*sgate_up_exps%s",
             (int)(rest - strlen("gate_exps") - gate->name), gate->name, rest);
    edit_put_name(file, name, gate->n_dim);
    edit_put(file, model.bytes + gate->dims_at, 8);
    edit_put_number(file, rows, 8);
    edit_put(file, model.bytes + gate->dims_at + 16, 12);
    edit_put_number(file, offset, 8);
}

static const uint8_t *data_of(const struct edit_tensor *tensor)
{
    return model.bytes + model.data_at + tensor->offset;
}

/* Of each expert first gate's rows, then up's. */
static void put_fused_data(struct edit_file *file, const struct edit_tensor *gate,
                           const struct edit_tensor *up)
{
    const uint64_t cols = edit_number(&model, gate->dims_at, 8);
    const uint64_t rows = edit_number(&model, gate->dims_at + 8, 8);
    const uint64_t n_expert = edit_number(&model, gate->dims_at + 16, 8);
    const size_t bytes = cols * rows * sizeof(float);
    for (uint64_t expert = 0; expert < n_expert; expert++) {
        edit_put(file, data_of(gate) + expert * bytes, bytes);
        edit_put(file, data_of(up) + expert * bytes, bytes);
    }
    edit_align(file);
}

/* keeps_up: the tensor is in the file by itself as well. fewer: rows than both have. */
static struct edit_file fuse(bool keeps_up, uint64_t fewer)
{
    struct edit_file file = {0};
    uint64_t count = 0;
    uint64_t offset = 0;
    for (uint64_t index = 0; index < model.tensor_count; index++)
        count += keeps_up || twin_of(&model.tensors[index], "up_exps", "gate_exps") == NULL;
    edit_put_header(&file, count, model.key_count);
    edit_put(&file, model.bytes + 24, model.keys_end - 24);
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct edit_tensor *tensor = &model.tensors[index];
        const struct edit_tensor *up = twin_of(tensor, "gate_exps", "up_exps");
        if (!keeps_up && twin_of(tensor, "up_exps", "gate_exps") != NULL)
            continue;
        if (up != NULL)
            put_fused_info(&file, tensor, 2 * edit_number(&model, tensor->dims_at + 8, 8) - fewer,
                           offset);
        else
            put_info(&file, tensor, offset);
        offset += tensor->bytes + (up != NULL ? up->bytes : 0);
    }
    edit_align(&file);
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct edit_tensor *tensor = &model.tensors[index];
        const struct edit_tensor *up = twin_of(tensor, "gate_exps", "up_exps");
        if (!keeps_up && twin_of(tensor, "up_exps", "gate_exps") != NULL)
            continue;
        if (up != NULL)
            put_fused_data(&file, tensor, up);
        else
            edit_put(&file, data_of(tensor), tensor->bytes);
    }
    return file;
}

static void one_tensor_for_gate_and_up_gives_the_bits_of_two(void **state)
{
    static const char *const names[] = {"qwen3moe", "olmoe", "qwen2moe", "qwen3moe-many"};
    static const struct weir_config configs[] = {
        {.n_thread = 2}, {.n_thread = 1, .n_slot = 8}, {.n_thread = 2, .n_slot = 8, .n_chunk = 3}};
    (void)state;
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        struct golden golden;
        struct weir_model_info info;
        assert_true(golden_open(&golden, names[name]));
        assert_int_equal(weir_model_info_get(&info, golden.model_path, NULL), WEIR_OK);
        edit_open(&model, golden.model_path);
        struct edit_file file = fuse(false, 0);
        edit_write(&file, fused_path);
        free(file.bytes);
        for (size_t row = 0; row < WEIR_COUNT(configs); row++) {
            struct weir_config config = configs[row];
            config.n_slot = config.n_slot > 0 ? info.n_expert_used : 0;
            config.model_path = golden.model_path;
            struct model_run two = model_run_open(&config, golden.ids, golden.id_count);
            config.model_path = fused_path;
            struct model_run one = model_run_open(&config, golden.ids, golden.id_count);
            if (!model_run_same(&two, &one))
                fail_msg("%s: other bits, or %s", names[name], one.err.text);
            model_run_close(&two);
            model_run_close(&one);
        }
        const uint64_t expert_bytes = info.expert_bytes;
        assert_int_equal(weir_model_info_get(&info, fused_path, NULL), WEIR_OK);
        assert_int_equal(info.expert_bytes, expert_bytes);
        edit_close(&model);
        golden_close(&golden);
    }
}

static void is_refused(struct edit_file file, const char *words)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    const struct weir_config config = {.model_path = fused_path};
    edit_write(&file, fused_path);
    free(file.bytes);
    assert_true(weir_plan_make(&plan, &config, &err) != WEIR_OK);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void a_tensor_that_is_not_both_is_refused(void **state)
{
    (void)state;
    edit_open(&model, "tests/golden/qwen3moe/model.gguf");
    is_refused(fuse(false, 1), "ffn_gate_up_exps.weight: dimension 1 must be 22, found 23");
    is_refused(fuse(false, 2), "ffn_down_exps.weight: dimension 0 must be 11, found 12");
    is_refused(fuse(true, 0), "running without");
    edit_close(&model);
}

static int set_up(void **state)
{
    (void)state;
    return !scratch_file(fused_path, sizeof(fused_path), "fused");
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(fused_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_tensor_for_gate_and_up_gives_the_bits_of_two),
        cmocka_unit_test(a_tensor_that_is_not_both_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
