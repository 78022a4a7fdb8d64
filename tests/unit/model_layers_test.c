/* model_layers_test.c - layers of one model may differ in their heads. */
#include <math.h>

#include "base/base.h"

#include "changed_model.h"
#include "gguf_edit.h"
#include "model_run.h"

/* What the golden model qwen3moe has, and which of its layers is changed. */
enum { D_MODEL = 24, D_HEAD = 10, HEADS = 4, KV_HEADS = 2, LAYERS = 3, CHANGED = 1 };

static struct edit_model model;
static struct golden golden;

static const float *data_of(const struct edit_tensor *tensor)
{
    return (const float *)(const void *)(model.bytes + model.data_at + tensor->offset);
}

/* A tensor of the changed layer, made anew: cols, rows, values. */
struct made {
    const char *name;
    uint64_t cols, rows;
    float values[8 * D_HEAD * D_MODEL];
};

static const struct made *find_made(const struct edit_tensor *tensor, const struct made *made,
                                    size_t count)
{
    for (size_t index = 0; index < count; index++)
        if (strcmp(tensor->name, made[index].name) == 0)
            return &made[index];
    return NULL;
}

static void write_with(const struct made *made, size_t count)
{
    struct edit_file file = {0};
    uint64_t offset = 0;
    edit_put(&file, model.bytes, model.keys_end);
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct edit_tensor *tensor = &model.tensors[index];
        const struct made *found = find_made(tensor, made, count);
        edit_put(&file, model.bytes + tensor->at, tensor->dims_at - tensor->at);
        if (found != NULL) {
            edit_put_number(&file, found->cols, 8);
            edit_put_number(&file, found->rows, 8);
            edit_put(&file, model.bytes + tensor->dims_at + 16, 4);
        } else {
            edit_put(&file, model.bytes + tensor->dims_at, tensor->offset_at - tensor->dims_at);
        }
        edit_put_number(&file, offset, 8);
        offset += found != NULL ? found->cols * found->rows * sizeof(float) : tensor->bytes;
        offset = (offset + EDIT_ALIGNMENT - 1) / EDIT_ALIGNMENT * EDIT_ALIGNMENT;
    }
    edit_align(&file);
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct made *found = find_made(&model.tensors[index], made, count);
        if (found != NULL)
            edit_put(&file, found->values, found->cols * found->rows * sizeof(float));
        else
            edit_put(&file, data_of(&model.tensors[index]), model.tensors[index].bytes);
        edit_align(&file);
    }
    edit_write(&file, changed_path);
    free(file.bytes);
}

static const float *values_of(const char *name)
{
    for (uint64_t index = 0; index < model.tensor_count; index++)
        if (strcmp(model.tensors[index].name, name) == 0)
            return data_of(&model.tensors[index]);
    fail_msg("no tensor %s", name);
    return NULL;
}

/* The file with a key that has a number for each layer becomes the model. */
static void keep_array(const char *key, uint32_t usual, uint32_t changed)
{
    const uint32_t value[] = {EDIT_U32, LAYERS, 0, usual, changed, usual};
    _Static_assert(CHANGED == 1, "its place in the array");
    struct edit_file file = edit_with_key(&model, key, EDIT_ARRAY, value, sizeof(value));
    edit_write(&file, changed_path);
    free(file.bytes);
    edit_close(&model);
    edit_open(&model, changed_path);
}

static struct model_run run(const char *path, uint32_t n_slot, uint32_t n_chunk)
{
    const struct weir_config config = {
        .model_path = path, .n_thread = 2, .n_slot = n_slot, .n_chunk = n_chunk};
    return model_run_open(&config, golden.ids, golden.id_count);
}

static void open_model(void)
{
    assert_true(golden_open(&golden, "qwen3moe"));
    edit_open(&model, golden.model_path);
}

static void close_model(void)
{
    edit_close(&model);
    golden_close(&golden);
}

/* Each KV head twice, so that each query head has one of its own: nothing changes. */
static void a_layer_with_more_kv_heads_that_are_copies_gives_the_same_bits(void **state)
{
    static struct made made[] = {
        {.name = "blk.1.attn_k.weight", .cols = D_MODEL, .rows = 2 * KV_HEADS * D_HEAD},
        {.name = "blk.1.attn_v.weight", .cols = D_MODEL, .rows = 2 * KV_HEADS * D_HEAD},
    };
    (void)state;
    open_model();
    for (size_t index = 0; index < WEIR_COUNT(made); index++)
        for (size_t head = 0; head < 2 * KV_HEADS; head++)
            memcpy(made[index].values + head * D_HEAD * D_MODEL,
                   values_of(made[index].name) + head / 2 * D_HEAD * D_MODEL,
                   D_HEAD * D_MODEL * sizeof(float));
    keep_array("qwen3moe.attention.head_count_kv", KV_HEADS, 2 * KV_HEADS);
    write_with(made, WEIR_COUNT(made));
    struct model_run before = run(golden.model_path, 0, 0);
    struct model_run after = run(changed_path, 0, 0);
    if (!model_run_same(&before, &after))
        fail_msg("other bits, or %s", after.err.text);
    model_run_close(&after);
    after = run(changed_path, 3, 5);
    assert_true(model_run_same(&before, &after));
    model_run_close(&before);
    model_run_close(&after);
    close_model();
}

/* Query heads that the output matrix takes nothing of: sums are as long again, but the same. */
static void a_layer_with_more_query_heads_that_count_for_nothing_gives_the_same(void **state)
{
    static struct made made[] = {
        {.name = "blk.1.attn_q.weight", .cols = D_MODEL, .rows = 2 * HEADS * D_HEAD},
        {.name = "blk.1.attn_output.weight", .cols = 2 * HEADS * D_HEAD, .rows = D_MODEL},
    };
    (void)state;
    open_model();
    const float *q = values_of(made[0].name);
    const float *out = values_of(made[1].name);
    for (size_t head = 0; head < 2 * HEADS; head++) {
        /* Four heads share a KV head now: the first two of them are those that did before. */
        const size_t from = head / 4 * 2 + head % 2;
        const float share = head % 4 < 2 ? 1.0f : 0.0f;
        memcpy(made[0].values + head * D_HEAD * D_MODEL, q + from * D_HEAD * D_MODEL,
               D_HEAD * D_MODEL * sizeof(float));
        for (size_t row = 0; row < D_MODEL; row++)
            for (size_t at = 0; at < D_HEAD; at++)
                made[1].values[(row * 2 * HEADS + head) * D_HEAD + at] =
                    share * out[(row * HEADS + from) * D_HEAD + at];
    }
    keep_array("qwen3moe.attention.head_count", HEADS, 2 * HEADS);
    write_with(made, WEIR_COUNT(made));
    struct model_run before = run(golden.model_path, 0, 0);
    struct model_run after = run(changed_path, 3, 5);
    if (after.status != WEIR_OK)
        fail_msg("%s", after.err.text);
    assert_int_equal(before.bytes, after.bytes);
    for (size_t at = 0; at < before.bytes / sizeof(float); at++)
        if (!(fabsf(before.logits[at] - after.logits[at]) < 1e-4f))
            fail_msg("logit %zu: %g, then %g", at, (double)before.logits[at],
                     (double)after.logits[at]);
    model_run_close(&before);
    model_run_close(&after);
    close_model();
}

static void heads_that_do_not_fit_their_layer_are_refused(void **state)
{
    (void)state;
    open_model();
    keep_array("qwen3moe.attention.head_count_kv", KV_HEADS, 3);
    struct model_run after = run(changed_path, 0, 0);
    assert_int_equal(after.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(after.err.text, "layer 1: 4 heads cannot share 3"));
    close_model();
    open_model();
    keep_array("qwen3moe.attention.head_count_kv", KV_HEADS, 1);
    after = run(changed_path, 0, 0);
    assert_int_equal(after.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(after.err.text, "blk.1.attn_k.weight"));
    assert_non_null(strstr(after.err.text, "must be 10, found 20"));
    close_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_with_more_kv_heads_that_are_copies_gives_the_same_bits),
        cmocka_unit_test(a_layer_with_more_query_heads_that_count_for_nothing_gives_the_same),
        cmocka_unit_test(heads_that_do_not_fit_their_layer_are_refused),
    };
    return cmocka_run_group_tests(tests, changed_model_set_up, changed_model_tear_down);
}
