/* model_guess_test.c - files with blocks that guess further tokens, and files of them alone. */
#include <unistd.h>

#include "base/base.h"

#include "gguf_edit.h"
#include "model_run.h"
#include "scratch.h"

enum { LAYERS = 3 }; /* of the golden model glm4moe; block 3 guesses */

static char changed_path[64];
static struct edit_model model;
static struct golden golden;

static bool is_guess(const struct edit_tensor *tensor)
{
    unsigned block = 0;
    return sscanf(tensor->name, "blk.%u.", &block) == 1 && block >= LAYERS;
}

static bool is_layer(const struct edit_tensor *tensor)
{
    return strncmp(tensor->name, "blk.", 4) == 0 && !is_guess(tensor);
}

/* The model without the tensors that are dropped. */
static struct model_run run_without(bool (*is_dropped)(const struct edit_tensor *tensor))
{
    const struct weir_config config = {.model_path = changed_path, .n_thread = 1};
    struct edit_file file = {0};
    uint64_t count = 0;
    uint64_t offset = 0;
    for (uint64_t index = 0; index < model.tensor_count; index++)
        count += !is_dropped(&model.tensors[index]);
    edit_put_header(&file, count, model.key_count);
    edit_put(&file, model.bytes + 24, model.keys_end - 24);
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct edit_tensor *tensor = &model.tensors[index];
        if (is_dropped(tensor))
            continue;
        edit_put(&file, model.bytes + tensor->at, tensor->offset_at - tensor->at);
        edit_put_number(&file, offset, 8);
        offset += tensor->bytes;
    }
    edit_align(&file);
    for (uint64_t index = 0; index < model.tensor_count; index++)
        if (!is_dropped(&model.tensors[index]))
            edit_put(&file, model.bytes + model.data_at + model.tensors[index].offset,
                     model.tensors[index].bytes);
    edit_write(&file, changed_path);
    free(file.bytes);
    return model_run_open(&config, golden.ids, golden.id_count);
}

static void blocks_that_guess_may_be_left_out(void **state)
{
    (void)state;
    const struct weir_config config = {.model_path = golden.model_path, .n_thread = 1};
    struct model_run whole = model_run_open(&config, golden.ids, golden.id_count);
    struct model_run without = run_without(is_guess);
    if (!model_run_same(&whole, &without))
        fail_msg("%s", without.err.text);
    model_run_close(&whole);
    model_run_close(&without);
}

static void a_file_of_such_blocks_alone_is_refused_in_words(void **state)
{
    (void)state;
    struct model_run alone = run_without(is_layer);
    assert_int_equal(alone.status, WEIR_ERR_UNSUPPORTED);
    assert_non_null(strstr(alone.err.text, "only blocks that guess further tokens"));
    assert_non_null(strstr(alone.err.text, "the model's 3 layers"));
    model_run_close(&alone);
}

static int set_up(void **state)
{
    (void)state;
    if (!scratch_file(changed_path, sizeof(changed_path), "guess") ||
        !golden_open(&golden, "glm4moe"))
        return 1;
    edit_open(&model, golden.model_path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    edit_close(&model);
    golden_close(&golden);
    return unlink(changed_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_guess_may_be_left_out),
        cmocka_unit_test(a_file_of_such_blocks_alone_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
