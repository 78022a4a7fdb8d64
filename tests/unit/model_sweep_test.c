/* model_sweep_test.c - odd numbers in every key and odd shapes of every tensor.
 *
 * Each is refused in words, or run as the number says: never an abort, a hang, a huge allocation or
 * silence. */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"

#include "changed_model.h"
#include "gguf_edit.h"
#include "model_run.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DEADLINE_S = 40, STRIDE = 5 }; /* it is the release that must be fast */
#else
enum { DEADLINE_S = 2, STRIDE = 1 };
#endif

static const char *const names[] = {"qwen3moe",          "olmoe",         "qwen2moe",
                                    "llama-rope-linear", "llama-mixtral", "glm4moe-groups",
                                    "deepseek2",         "qwen35moe"};

static struct edit_model model;
static struct golden golden;
static char current[256]; /* what is tried, for whoever reads of a hang */

static const struct odd {
    const char *name;
    uint32_t type;
    uint64_t bits;
    size_t bytes;
} odds[] = {
    {"0", EDIT_U32, 0, 4},
    {"1", EDIT_U32, 1, 4},
    {"2^31", EDIT_U32, 1u << 31, 4},
    {"2^32 - 1", EDIT_U32, UINT32_MAX, 4},
    {"2^63", EDIT_U64, 1ull << 63, 8},
    {"-1", EDIT_I32, UINT32_MAX, 4},
    {"NaN", EDIT_F32, 0x7fc00000, 4},
    {"infinity", EDIT_F32, 0x7f800000, 4},
    {"0.5", EDIT_F32, 0x3f000000, 4},
    {"1e300", EDIT_F64, 0x7e37e43c8800759c, 8},
    {"1e30", EDIT_F32, 0x7149f2ca, 4},
    {"1e-30", EDIT_F32, 0x0da24260, 4},
};

static void tell_hang(int signal)
{
    (void)signal;
    static const char text[] = "\nhangs: ";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDERR_FILENO, current, strlen(current)) < 0)
        _exit(2);
    _exit(1);
}

static struct model_run run(const char *path)
{
    const struct weir_config config = {
        .model_path = path, .n_thread = 1, .io = WEIR_ENGINE_IO_THREADS};
    return model_run_open(&config, golden.ids, 8);
}

static struct model_run run_changed(struct edit_file file)
{
    edit_write(&file, changed_path);
    free(file.bytes);
    alarm(DEADLINE_S);
    struct model_run after = run(changed_path);
    alarm(0);
    return after;
}

/* Keys that no number of the model comes from. */
static bool is_note(const char *key)
{
    return strncmp(key, "general.", 8) == 0 || strncmp(key, "tokenizer.", 10) == 0 ||
           strstr(key, ".vocab_size") != NULL;
}

/* Keys without which the same logits come out: notes about the file, text to ids, and widths of
 * networks, which tensors have too: of those that no layer has, or 0, which says nothing. */
static bool may_be_silent(const char *key, const struct odd *odd)
{
    if (odd->bits == 0 &&
        (strstr(key, "feed_forward_length") != NULL || strstr(key, "expert_gating_func") != NULL))
        return true; /* nothing is said */
    if (odd->bits <= 1 && strstr(key, "expert_weights_scale") != NULL)
        return true; /* 0 and 1 are no scale */
    if (strstr(key, "yarn_beta_") != NULL)
        return true; /* a number of pairs, made whole: near ones mean the same */
    return is_note(key) || strstr(key, ".context_length") != NULL ||
           (strstr(key, ".feed_forward_length") != NULL && strstr(key, ".expert_") == NULL);
}

static double number_of(uint32_t type, uint64_t bits)
{
    float real;
    double wide;
    memcpy(&real, &bits, sizeof(real));
    memcpy(&wide, &bits, sizeof(wide));
    return type == EDIT_F32   ? (double)real
           : type == EDIT_F64 ? wide
           : type == EDIT_I32 ? (double)(int32_t)bits
                              : (double)bits;
}

/* Whether the key says the same number already. */
static bool is_as_before(const struct edit_key *key, const struct odd *odd)
{
    const uint64_t bits = edit_number(&model, key->value_at, key->end - key->value_at);
    return number_of(key->type, bits) == number_of(odd->type, odd->bits);
}

static bool is_number(const struct edit_key *key)
{
    return key->type != EDIT_STRING && key->type != EDIT_ARRAY;
}

/* A refusal is a sentence, and not that memory is short: nothing was asked for. */
static void check_refusal(const struct model_run *after)
{
    if (after->status == WEIR_ERR_NOMEM || after->status == WEIR_ERR_IO || after->err.text[0] == 0)
        fail_msg("%s: %d, \"%s\"", current, after->status, after->err.text);
}

static void sweep_key(const struct edit_key *key, const struct model_run *before)
{
    for (size_t row = 0; row < WEIR_COUNT(odds); row++) {
        const struct odd *odd = &odds[row];
        snprintf(current, sizeof(current), "%s: key %s: %s", golden.name, key->name, odd->name);
        struct model_run after =
            run_changed(edit_with_key(&model, key->name, odd->type, &odd->bits, odd->bytes));
        if (after.status != WEIR_OK)
            check_refusal(&after);
        else if (strcmp(odd->name, "1e30") == 0 && !is_note(key->name))
            fail_msg("%s: is not refused", current);
        else if (model_run_same(before, &after) && !may_be_silent(key->name, odd) &&
                 after.warnings.count == 0 && !is_as_before(key, odd))
            fail_msg("%s: has no effect, in silence", current);
        model_run_close(&after);
    }
}

static void odd_numbers_in_every_key_are_refused_or_obeyed(void **state)
{
    (void)state;
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        assert_true(golden_open(&golden, names[name]));
        edit_open(&model, golden.model_path);
        struct model_run before = run(golden.model_path);
        assert_int_equal(before.status, WEIR_OK);
        for (uint64_t key = 0; key < model.key_count; key++)
            if (is_number(&model.keys[key]))
                sweep_key(&model.keys[key], &before);
        model_run_close(&before);
        edit_close(&model);
        golden_close(&golden);
    }
}

/* Keys that these models lack, in one that is stretched by YaRN, so that all of them matter. What
 * comes out is a refusal, or numbers. */
static void odd_numbers_in_added_keys_are_refused_or_obeyed(void **state)
{
    static const char *const added[] = {
        "rope.scale_linear",
        "rope.scaling.factor",
        "rope.scaling.original_context_length",
        "rope.scaling.attn_factor",
        "rope.scaling.yarn_log_multiplier",
        "rope.scaling.yarn_ext_factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "rope.dimension_count",
        "attention.scale",
        "attention.sliding_window",
        "attention.clamp_kqv",
        "expert_weights_scale",
        "expert_weights_norm",
        "expert_gating_func",
        "expert_group_count",
        "leading_dense_block_count",
        "nextn_predict_layers",
        "logit_scale",
    };
    (void)state;
    assert_true(golden_open(&golden, "qwen3moe"));
    edit_open(&model, golden.model_path);
    static const uint8_t yarn[] = {4, 0, 0, 0, 0, 0, 0, 0, 'y', 'a', 'r', 'n'};
    struct edit_file file =
        edit_with_key(&model, "qwen3moe.rope.scaling.type", EDIT_STRING, yarn, sizeof(yarn));
    edit_write(&file, changed_path);
    free(file.bytes);
    edit_close(&model);
    edit_open(&model, changed_path);
    for (size_t row = 0; row < WEIR_COUNT(added); row++)
        for (size_t column = 0; column < WEIR_COUNT(odds); column++) {
            const struct odd *odd = &odds[column];
            char key[128];
            snprintf(key, sizeof(key), "qwen3moe.%s", added[row]);
            snprintf(current, sizeof(current), "key %s: %s", key, odd->name);
            struct model_run after =
                run_changed(edit_with_key(&model, key, odd->type, &odd->bits, odd->bytes));
            if (after.status != WEIR_OK)
                check_refusal(&after);
            for (size_t at = 0; after.status == WEIR_OK && at < after.bytes / sizeof(float); at++)
                if (!isfinite(after.logits[at]))
                    fail_msg("%s: logits are no numbers", current);
            model_run_close(&after);
        }
    edit_close(&model);
    golden_close(&golden);
}

/* One scale does for all experts, and scales of inputs are of no account. */
static bool may_have_shape(const char *name, uint64_t dim)
{
    return strstr(name, ".input_scale") != NULL || (strstr(name, ".scale") != NULL && dim == 1);
}

static void odd_shapes_of_every_tensor_are_refused(void **state)
{
    (void)state;
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        assert_true(golden_open(&golden, names[name]));
        edit_open(&model, golden.model_path);
        for (uint64_t tensor = 0; tensor < model.tensor_count; tensor++) {
            const struct edit_tensor *at = &model.tensors[tensor];
            const uint32_t last = at->n_dim - 1;
            const uint64_t first_dim = edit_number(&model, at->dims_at, 8);
            const uint64_t last_dim = edit_number(&model, at->dims_at + 8 * last, 8);
            const struct {
                uint32_t dim;
                uint64_t value;
            } ways[] = {{0, first_dim / 2}, {last, last_dim - 1},
                        {0, first_dim * 2}, {last, 1ull << 62},
                        {last, 0},          {0, 1}};
            for (size_t way = tensor % STRIDE; way < WEIR_COUNT(ways); way += STRIDE) {
                snprintf(current, sizeof(current), "%s: tensor %s: dimension %u is %llu",
                         golden.name, at->name, ways[way].dim, (unsigned long long)ways[way].value);
                struct model_run after =
                    run_changed(edit_with_dim(&model, tensor, ways[way].dim, ways[way].value));
                if (after.status != WEIR_OK)
                    check_refusal(&after);
                else if (!may_have_shape(at->name, ways[way].value))
                    fail_msg("%s: is not refused", current);
                model_run_close(&after);
            }
        }
        edit_close(&model);
        golden_close(&golden);
    }
}

static int set_up(void **state)
{
    signal(SIGALRM, tell_hang);
    return changed_model_set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_numbers_in_every_key_are_refused_or_obeyed),
        cmocka_unit_test(odd_numbers_in_added_keys_are_refused_or_obeyed),
        cmocka_unit_test(odd_shapes_of_every_tensor_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, changed_model_tear_down);
}
