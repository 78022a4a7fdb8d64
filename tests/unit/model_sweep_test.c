/* model_sweep_test.c - odd numbers in every key and odd shapes of every tensor.
 *
 * Each is refused in words, or run as the number says: never an abort, a hang, a huge allocation or
 * silence. */
#include <math.h>

#include "base/base.h"

#include "changed_model.h"
#include "gguf_edit.h"
#include "model_run.h"
#include "sweep.h"

/* One of so many cases of each sort is tried in a short run, of every model but those of which all
 * keys and shapes are. */
static const char *const whole[] = {"olmoe", "gpt-oss", "deepseek2", "qwen3next"};
enum { KEY_TURN = 13, MISSING_KEY_TURN = 5, SHAPE_TURN = 19, MISSING_TENSOR_TURN = 5 };

static struct edit_model model;
static struct golden golden;

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

/* How often a case of this model has a turn. */
static uint64_t turn_of(uint64_t usual)
{
    for (size_t row = 0; row < WEIR_COUNT(whole); row++)
        if (strcmp(golden.name, whole[row]) == 0)
            return 1;
    return usual;
}

static struct model_run run(const char *path)
{
    const struct weir_config config = {
        .model_path = path, .n_thread = 1, .io = WEIR_ENGINE_IO_THREADS, .buffered = true};
    /* Past windows and what else begins at a position. */
    enum { ID_COUNT = 40 };
    const uint32_t count = golden.id_count < ID_COUNT ? golden.id_count : ID_COUNT;
    return model_run_open(&config, golden.ids, count);
}

static struct model_run run_changed(struct edit_file file)
{
    edit_write(&file, changed_path);
    free(file.bytes);
    sweep_start();
    struct model_run after = run(changed_path);
    sweep_stop();
    return after;
}

/* Keys that no number of the model comes from: notes, and what pictures want. */
static bool is_note(const char *key)
{
    return strncmp(key, "general.", 8) == 0 || strncmp(key, "tokenizer.", 10) == 0 ||
           strstr(key, ".vocab_size") != NULL || strstr(key, ".n_deepstack_layers") != NULL;
}

static bool has_experts(void)
{
    for (uint64_t tensor = 0; tensor < model.tensor_count; tensor++)
        if (strstr(model.tensors[tensor].name, "_exps.") != NULL)
            return true;
    return false;
}

/* The number of a key that is a u32; 0 where the model has none. */
static uint64_t count_of(const char *suffix)
{
    for (uint64_t key = 0; key < model.key_count; key++)
        if (strstr(model.keys[key].name, suffix) != NULL)
            return edit_number(&model, model.keys[key].value_at, 4);
    return 0;
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
    if (strstr(key, "expert_group_") != NULL &&
        (odd->bits <= 1 || count_of(".expert_group_count") <= 1))
        return true; /* nor are there groups */
    if (strstr(key, ".yarn_beta_") != NULL || strstr(key, ".attention.sliding_window") != NULL ||
        strstr(key, ".temperature_") != NULL || strstr(key, "scaling.original_context") != NULL)
        return true; /* beyond the text, or the head, or what float has digits for */
    if (strstr(key, "expert_shared_count") != NULL && odd->bits == 1)
        return true; /* the key of the width may count them already */
    if (strstr(key, "leading_dense") != NULL && odd->bits < count_of("interleave_moe_layer_step"))
        return true; /* layers before the first step are dense anyway */
    if (!has_experts() && (strstr(key, ".expert_") != NULL || strstr(key, "leading_dense") != NULL))
        return true;
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
        sweep_complain(after->err.text[0] == 0 ? "refused without words" : after->err.text);
}

/* Each golden model, open, with what it gives as it is. */
static void with_each_model(void (*deed)(const struct model_run *before))
{
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    assert_true(count > 0);
    for (size_t index = 0; index < count; index++) {
        assert_true(golden_open(&golden, names[index]));
        edit_open(&model, golden.model_path);
        struct model_run before = run(golden.model_path);
        assert_int_equal(before.status, WEIR_OK);
        deed(&before);
        model_run_close(&before);
        edit_close(&model);
        golden_close(&golden);
    }
    sweep_end();
}

static void sweep_key(const struct edit_key *key, const struct model_run *before)
{
    for (size_t row = 0; row < WEIR_COUNT(odds); row++) {
        const struct odd *odd = &odds[row];
        if (!sweep_has_turn(turn_of(KEY_TURN), 1))
            continue;
        snprintf(sweep_current, sizeof(sweep_current), "%s: key %s: %s", golden.name, key->name,
                 odd->name);
        struct model_run after =
            run_changed(edit_with_key(&model, key->name, odd->type, &odd->bits, odd->bytes));
        if (after.status != WEIR_OK)
            check_refusal(&after);
        else if (strcmp(odd->name, "1e30") == 0 && !is_note(key->name))
            sweep_complain("is not refused");
        else if (model_run_same(before, &after) && !may_be_silent(key->name, odd) &&
                 after.warnings.count == 0 && !is_as_before(key, odd))
            sweep_complain("has no effect, in silence");
        model_run_close(&after);
    }
}

static void sweep_keys(const struct model_run *before)
{
    for (uint64_t key = 0; key < model.key_count; key++)
        if (is_number(&model.keys[key]))
            sweep_key(&model.keys[key], before);
}

static void odd_numbers_in_every_key_are_refused_or_obeyed(void **state)
{
    (void)state;
    with_each_model(sweep_keys);
}

/* Without a key a model is refused, or what its absence means is what comes out. */
static void sweep_missing_keys(const struct model_run *before)
{
    (void)before;
    for (uint64_t key = 0; key < model.key_count; key++) {
        if (!sweep_has_turn(MISSING_KEY_TURN, 1))
            continue;
        snprintf(sweep_current, sizeof(sweep_current), "%s: no key %s", golden.name,
                 model.keys[key].name);
        struct model_run after = run_changed(edit_without_key(&model, model.keys[key].name));
        if (after.status != WEIR_OK)
            check_refusal(&after);
        model_run_close(&after);
    }
}

static void a_missing_key_is_named_or_has_a_meaning(void **state)
{
    (void)state;
    with_each_model(sweep_missing_keys);
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
            snprintf(sweep_current, sizeof(sweep_current), "key %s: %s", key, odd->name);
            struct model_run after =
                run_changed(edit_with_key(&model, key, odd->type, &odd->bits, odd->bytes));
            if (after.status != WEIR_OK)
                check_refusal(&after);
            for (size_t at = 0; after.status == WEIR_OK && at < after.bytes / sizeof(float); at++)
                if (!isfinite(after.logits[at]))
                    fail_msg("%s: logits are no numbers", sweep_current);
            model_run_close(&after);
        }
    edit_close(&model);
    golden_close(&golden);
}

/* Of what is not run: a block that guesses further tokens, keys and values of a layer that borrows
 * them. */
static bool is_not_run(const char *name)
{
    unsigned layer = 0;
    const uint64_t n_block = count_of(".block_count");
    const uint64_t n_guess = count_of(".nextn_predict_layers");
    const uint64_t n_borrow = count_of(".shared_kv_layers");
    const bool is_own = strstr(name, "attn_k") != NULL || strstr(name, "attn_v") != NULL;
    return sscanf(name, "blk.%u.", &layer) == 1 &&
           (layer >= n_block - n_guess || (is_own && layer >= n_block - n_borrow));
}

/* A name without "blk.N.". */
static const char *suffix_of(const char *name)
{
    int length = 0;
    sscanf(name, "blk.%*u.%n", &length);
    return name + length;
}

/* Whether one layer's tensors are all in another one. */
static bool is_within(unsigned one, unsigned other)
{
    for (uint64_t tensor = 0; tensor < model.tensor_count; tensor++) {
        unsigned layer = 0;
        bool is_there = false;
        const char *name = model.tensors[tensor].name;
        if (sscanf(name, "blk.%u.", &layer) != 1 || layer != one)
            continue;
        for (uint64_t twin = 0; twin < model.tensor_count && !is_there; twin++)
            is_there = sscanf(model.tensors[twin].name, "blk.%u.", &layer) == 1 && layer == other &&
                       strcmp(suffix_of(model.tensors[twin].name), suffix_of(name)) == 0;
        if (!is_there)
            return false;
    }
    return true;
}

/* Without them a file says another thing: the output is the embedding, rope is plain; and what only
 * some models have cannot be missed in the only layer of a kind. */
static bool may_be_absent(const char *name)
{
    unsigned layer = 0;
    bool has_twin = false;
    if (strncmp(name, "output.", 7) == 0 || strcmp(name, "rope_freqs.weight") == 0)
        return true;
    if (sscanf(name, "blk.%u.", &layer) != 1)
        return false;
    if (strcmp(suffix_of(name), "attn_v.weight") == 0 && count_of(".shared_kv_layers") > 0)
        return true; /* the others of its kind have none that counts */
    for (unsigned other = 0; other < 16; other++)
        has_twin |= other != layer && is_within(layer, other) && is_within(other, layer);
    return !has_twin;
}

/* What is missed with them is called otherwise: one of two matrices for one, a router by what has
 * no use without it. */
static bool has_other_words(const char *name)
{
    static const char *const names[] = {"ssm_ba.weight", "ssm_in.weight", "ffn_gate_inp.weight",
                                        "output.weight"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        if (strcmp(suffix_of(name), names[index]) == 0)
            return true;
    return false;
}

static void sweep_missing_tensors(const struct model_run *before)
{
    (void)before;
    for (uint64_t tensor = 0; tensor < model.tensor_count; tensor++) {
        const char *name = model.tensors[tensor].name;
        if (!sweep_has_turn(MISSING_TENSOR_TURN, 1))
            continue;
        snprintf(sweep_current, sizeof(sweep_current), "%s: no tensor %s", golden.name, name);
        struct model_run after = run_changed(
            edit_cut(&model, model.tensors[tensor].at, model.tensors[tensor].end, 1, 0));
        if (after.status != WEIR_OK)
            check_refusal(&after);
        if (after.status == WEIR_OK && !may_be_absent(name) && !is_not_run(name))
            sweep_complain("is not missed");
        if (after.status != WEIR_OK && strstr(after.err.text, suffix_of(name)) == NULL &&
            !has_other_words(name))
            sweep_complain(after.err.text);
        model_run_close(&after);
    }
}

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    with_each_model(sweep_missing_tensors);
}

/* One scale does for all experts, and scales of inputs are of no account. Where the output is the
 * embedding, its rows say how many tokens there are. */
static bool may_have_shape(const char *name, uint64_t dim)
{
    return strcmp(name, "token_embd.weight") == 0 || strstr(name, ".input_scale") != NULL ||
           (strstr(name, ".scale") != NULL && dim == 1);
}

static void sweep_shapes(const struct model_run *before)
{
    (void)before;
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
        for (size_t way = 0; way < WEIR_COUNT(ways); way++) {
            if (ways[way].value == edit_number(&model, at->dims_at + 8 * ways[way].dim, 8) ||
                !sweep_has_turn(turn_of(SHAPE_TURN), 1))
                continue;
            snprintf(sweep_current, sizeof(sweep_current), "%s: tensor %s: dimension %u is %llu",
                     golden.name, at->name, ways[way].dim, (unsigned long long)ways[way].value);
            struct model_run after =
                run_changed(edit_with_dim(&model, tensor, ways[way].dim, ways[way].value));
            if (after.status != WEIR_OK)
                check_refusal(&after);
            else if (!may_have_shape(at->name, ways[way].value) && !is_not_run(at->name))
                sweep_complain("is not refused");
            model_run_close(&after);
        }
    }
}

static void odd_shapes_of_every_tensor_are_refused(void **state)
{
    (void)state;
    with_each_model(sweep_shapes);
}

static int set_up(void **state)
{
    sweep_set_up();
    return changed_model_set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_numbers_in_every_key_are_refused_or_obeyed),
        cmocka_unit_test(a_missing_key_is_named_or_has_a_meaning),
        cmocka_unit_test(odd_numbers_in_added_keys_are_refused_or_obeyed),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(odd_shapes_of_every_tensor_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, changed_model_tear_down);
}
