/* model_stacks_test.c - experts that are one tensor each give the bits of those in stacks. */
#include <unistd.h>

#include "base/base.h"

#include "changed_model.h"
#include "gguf_parts.h"
#include "model_run.h"

static struct edit_model model;

/* What the file without stacks is to be like. */
struct change {
    bool backwards;      /* later experts come first */
    const char *without; /* a tensor that is left out */
    const char *turned;  /* a tensor with its dimensions swapped */
    const char *other;   /* a tensor that says another type */
    uint64_t n_more;     /* tensors of experts beyond the last */
};

struct piece {
    char name[128];
    const struct edit_tensor *stack; /* the tensor itself, where it is none */
    uint64_t matrix, count;          /* of the stack */
};

static struct piece pieces[256];
static uint64_t piece_count;

static bool is(const char *name, const char *other)
{
    return other != NULL && strcmp(name, other) == 0;
}

static bool is_stack(const struct edit_tensor *tensor)
{
    return strstr(tensor->name, "_exps.weight") != NULL;
}

static void add_piece(const struct change *change, const struct edit_tensor *tensor,
                      uint64_t expert, uint64_t count)
{
    struct piece *piece = &pieces[piece_count];
    assert_true(piece_count < WEIR_COUNT(pieces));
    *piece = (struct piece){.stack = tensor, .matrix = expert % count, .count = count};
    if (is_stack(tensor))
        snprintf(piece->name, sizeof(piece->name), "%.*s.%u.weight",
                 (int)(strstr(tensor->name, "_exps") - tensor->name), tensor->name,
                 (unsigned)expert);
    else
        snprintf(piece->name, sizeof(piece->name), "%s", tensor->name);
    piece_count += !is(piece->name, change->without);
}

static void list_pieces(const struct change *change)
{
    piece_count = 0;
    for (uint64_t index = 0; index < model.tensor_count; index++) {
        const struct edit_tensor *tensor = &model.tensors[index];
        const uint64_t count = is_stack(tensor) ? edit_number(&model, tensor->dims_at + 16, 8) : 1;
        const uint64_t total = count + (is_stack(tensor) ? change->n_more : 0);
        for (uint64_t at = 0; at < total; at++)
            add_piece(change, tensor, change->backwards ? total - 1 - at : at, count);
    }
}

/* Every tensor of a golden file is f32, so its dimensions say how long it is. */
static size_t piece_bytes(const struct piece *piece)
{
    uint64_t values = 1;
    for (uint32_t dim = 0; dim < piece->stack->n_dim; dim++)
        values *= edit_number(&model, piece->stack->dims_at + 8 * dim, 8);
    return values * sizeof(float) / piece->count;
}

static void put_info(struct edit_file *file, const struct change *change, const struct piece *piece,
                     uint64_t offset)
{
    const struct edit_tensor *stack = piece->stack;
    const uint32_t n_dim = is_stack(stack) ? 2 : stack->n_dim;
    const uint64_t first = edit_number(&model, stack->dims_at, 8);
    edit_put_name(file, piece->name, n_dim);
    if (is(piece->name, change->turned)) {
        edit_put_number(file, edit_number(&model, stack->dims_at + 8, 8), 8);
        edit_put_number(file, first, 8);
    } else {
        edit_put(file, model.bytes + stack->dims_at, 8 * n_dim);
    }
    edit_put_number(file, is(piece->name, change->other) ? 1 : 0, 4); /* f16, f32 */
    edit_put_number(file, offset, 8);
}

static struct edit_file unstack(const struct change *change)
{
    struct edit_file file = {0};
    uint64_t offset = 0;
    list_pieces(change);
    edit_put_header(&file, piece_count, model.key_count);
    edit_put(&file, model.bytes + 24, model.keys_end - 24);
    for (uint64_t index = 0; index < piece_count; index++) {
        put_info(&file, change, &pieces[index], offset);
        offset += weir_align_up(piece_bytes(&pieces[index]), EDIT_ALIGNMENT);
    }
    edit_align(&file);
    for (uint64_t index = 0; index < piece_count; index++) {
        const struct piece *piece = &pieces[index];
        edit_put(&file,
                 model.bytes + model.data_at + piece->stack->offset +
                     piece->matrix * piece_bytes(piece),
                 piece_bytes(piece));
        edit_align(&file);
    }
    return file;
}

static void compare(const struct golden *golden, const char *path)
{
    static const struct weir_config configs[] = {
        {.n_thread = 2}, {.n_thread = 1, .n_slot = 2}, {.n_thread = 2, .n_slot = 2, .n_chunk = 3}};
    for (size_t row = 0; row < WEIR_COUNT(configs); row++) {
        struct weir_config config = configs[row];
        config.model_path = golden->model_path;
        struct model_run stacked = model_run_open(&config, golden->ids, golden->id_count);
        config.model_path = path;
        struct model_run apart = model_run_open(&config, golden->ids, golden->id_count);
        if (!model_run_same(&stacked, &apart))
            fail_msg("%s: other bits, or %s", path, apart.err.text);
        model_run_close(&stacked);
        model_run_close(&apart);
    }
}

static void a_tensor_for_each_expert_gives_the_bits_of_stacks(void **state)
{
    static const struct change changes[] = {{0}, {.backwards = true}};
    struct golden golden;
    struct weir_model_info stacked;
    (void)state;
    assert_true(golden_open(&golden, "llama-mixtral"));
    assert_int_equal(weir_model_info_get(&stacked, golden.model_path, NULL), WEIR_OK);
    edit_open(&model, golden.model_path);
    for (size_t row = 0; row < WEIR_COUNT(changes); row++) {
        struct weir_model_info apart;
        struct edit_file file = unstack(&changes[row]);
        edit_write(&file, changed_path);
        free(file.bytes);
        assert_true(piece_count > model.tensor_count);
        compare(&golden, changed_path);
        assert_int_equal(weir_model_info_get(&apart, changed_path, NULL), WEIR_OK);
        assert_int_equal(apart.expert_bytes, stacked.expert_bytes);
    }
    edit_close(&model);
    golden_close(&golden);
}

/* The tensors of one stack may be in several files. */
static void experts_may_be_in_several_files(void **state)
{
    struct golden golden;
    struct edit_model apart;
    (void)state;
    assert_true(golden_open(&golden, "llama-mixtral"));
    edit_open(&model, golden.model_path);
    struct edit_file file = unstack(&(struct change){0});
    edit_write(&file, changed_path);
    free(file.bytes);
    edit_open(&apart, changed_path);
    edit_split(&apart, changed_path, 3, false);
    compare(&golden, edit_part_path(changed_path, 1, 3));
    edit_remove_parts(changed_path, 3);
    edit_close(&apart);
    edit_close(&model);
    golden_close(&golden);
}

static void an_expert_that_is_missing_or_unlike_the_others_is_named(void **state)
{
    static const struct {
        struct change change;
        const char *words;
    } rows[] = {
        {{.without = "blk.0.ffn_gate.0.weight"},
         "tensor blk.0.ffn_gate.0.weight is missing: this file has a tensor for each expert, and 6 "
         "experts by its keys"},
        {{.without = "blk.0.ffn_gate.0.weight", .backwards = true},
         "tensor blk.0.ffn_gate.0.weight is missing"},
        {{.without = "blk.1.ffn_up.3.weight"}, "tensor blk.1.ffn_up.3.weight is missing"},
        {{.without = "blk.1.ffn_down.5.weight"}, "tensor blk.1.ffn_down.5.weight is missing"},
        {{.turned = "blk.1.ffn_up.3.weight"},
         "tensor blk.1.ffn_up.3.weight: wanted a matrix of 14 x 24 F32 like blk.1.ffn_up.0.weight, "
         "found 1 x 1 x 24 x 14 F32"},
        {{.other = "blk.0.ffn_down.2.weight"},
         "tensor blk.0.ffn_down.2.weight: wanted a matrix of 24 x 14 F32 like "
         "blk.0.ffn_down.0.weight, found 1 x 1 x 24 x 14 F16"},
        {{.n_more = 1}, "tensor blk.0.ffn_gate.6.weight has no use in family llama"},
    };
    (void)state;
    edit_open(&model, "tests/golden/llama-mixtral/model.gguf");
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct weir_err err = {0};
        struct weir_plan plan;
        struct edit_file file = unstack(&rows[row].change);
        edit_write(&file, changed_path);
        free(file.bytes);
        const struct weir_config config = {.model_path = changed_path};
        assert_true(weir_plan_make(&plan, &config, &err) != WEIR_OK);
        if (strstr(err.text, rows[row].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, rows[row].words);
    }
    edit_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_for_each_expert_gives_the_bits_of_stacks),
        cmocka_unit_test(experts_may_be_in_several_files),
        cmocka_unit_test(an_expert_that_is_missing_or_unlike_the_others_is_named),
    };
    return cmocka_run_group_tests(tests, changed_model_set_up, changed_model_tear_down);
}
