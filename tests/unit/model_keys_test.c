/* model_keys_test.c - each key of an architecture is obeyed, of no effect, refused or warned of. */
#include <math.h>

#include "base/base.h"

#include "changed_model.h"
#include "gguf_edit.h"
#include "model_run.h"

static struct edit_model model;
static struct golden golden;
static struct model_run unchanged; /* of the golden model that is open */

static struct model_run run(const char *path)
{
    const struct weir_config config = {.model_path = path, .n_thread = 1, .kv = "f32"};
    return model_run_open(&config, golden.ids, golden.id_count);
}

/* Of the edited file, which is freed. */
static struct model_run run_changed(struct edit_file file)
{
    edit_write(&file, changed_path);
    free(file.bytes);
    return run(changed_path);
}

static void open_model(const char *name)
{
    assert_true(golden_open(&golden, name));
    edit_open(&model, golden.model_path);
    unchanged = run(golden.model_path);
    assert_int_equal(unchanged.status, WEIR_OK);
}

static void close_model(void)
{
    model_run_close(&unchanged);
    edit_close(&model);
    golden_close(&golden);
}

/* A key's value, in the type that files have it in. */
struct value {
    uint32_t type;
    uint8_t bytes[128];
    size_t length;
};

static struct value of_count(uint32_t number)
{
    struct value value = {.type = EDIT_U32, .length = sizeof(number)};
    memcpy(value.bytes, &number, sizeof(number));
    return value;
}

static struct value of_real(float number)
{
    struct value value = {.type = EDIT_F32, .length = sizeof(number)};
    memcpy(value.bytes, &number, sizeof(number));
    return value;
}

static struct value of_bool(bool truth)
{
    return (struct value){.type = EDIT_BOOL, .length = 1, .bytes = {truth}};
}

static struct value of_text(const char *text)
{
    struct value value = {.type = EDIT_STRING, .length = 8 + strlen(text)};
    value.bytes[0] = (uint8_t)strlen(text);
    memcpy(value.bytes + 8, text, strlen(text));
    return value;
}

static struct value of_array(const uint32_t *entries, uint64_t count)
{
    struct value value = {.type = EDIT_ARRAY, .length = 12 + 4 * count};
    value.bytes[0] = EDIT_U32;
    value.bytes[4] = (uint8_t)count;
    memcpy(value.bytes + 12, entries, 4 * count);
    return value;
}

static struct edit_file with(const char *key, struct value value)
{
    return edit_with_key(&model, key, value.type, value.bytes, value.length);
}

/* Two keys at once: the first is changed in a file that becomes the model. */
static void keep(const char *key, struct value value)
{
    struct edit_file file = with(key, value);
    edit_write(&file, changed_path);
    free(file.bytes);
    edit_close(&model);
    edit_open(&model, changed_path);
}

enum outcome { SAME, OTHER, REFUSED };

/* words: what a refusal says, or NULL; a run that is not refused has no warning. */
static void expect(const char *key, struct value value, enum outcome outcome, const char *words)
{
    struct model_run after = run_changed(with(key, value));
    if ((after.status != WEIR_OK) != (outcome == REFUSED))
        fail_msg("%s: %s: %s", golden.name, key,
                 after.status == WEIR_OK ? "is not refused" : after.err.text);
    if (outcome == REFUSED) {
        if (strstr(after.err.text, key) == NULL ||
            (words != NULL && strstr(after.err.text, words) == NULL))
            fail_msg("\"%s\" does not say \"%s\" and \"%s\"", after.err.text, key, words);
    } else {
        assert_int_equal(after.warnings.count, 0);
        if (model_run_same(&unchanged, &after) != (outcome == SAME))
            fail_msg("%s: %s: wanted %s logits", golden.name, key,
                     outcome == SAME ? "the same" : "other");
    }
    model_run_close(&after);
}

static void a_rope_factor_without_a_type_or_by_its_older_name_is_linear(void **state)
{
    (void)state;
    open_model("llama-rope-linear");
    struct model_run after = run_changed(edit_without_key(&model, "llama.rope.scaling.type"));
    assert_true(model_run_same(&unchanged, &after));
    model_run_close(&after);
    struct edit_file file = edit_without_key(&model, "llama.rope.scaling.factor");
    edit_write(&file, changed_path);
    free(file.bytes);
    edit_close(&model);
    edit_open(&model, changed_path);
    after = run_changed(with("llama.rope.scale_linear", of_real(4.0f)));
    assert_true(model_run_same(&unchanged, &after));
    model_run_close(&after);
    after = run(changed_path);
    model_run_close(&after);
    close_model();
    open_model("llama-rope-linear");
    expect("llama.rope.scale_linear", of_real(4.0f), SAME, NULL);
    expect("llama.rope.scale_linear", of_real(2.0f), REFUSED, "found 4 and 2");
    expect("llama.rope.scaling.type", of_text("none"), OTHER, NULL);
    expect("llama.rope.scaling.type", of_text("longrope"), REFUSED,
           "rope_factors_long.weight is missing");
    expect("llama.rope.scaling.type", of_text("su"), REFUSED, "found \"su\"");
    expect("llama.rope.scaling.type", of_count(1), REFUSED, "wanted a text");
    expect("llama.rope.scaling.factor", of_real(-1.0f), REFUSED, "found -1");
    expect("llama.rope.scaling.factor", of_real(NAN), REFUSED, "finite");
    expect("llama.rope.scaling.finetuned", of_bool(true), SAME, NULL);
    close_model();
}

static void yarns_keys_are_obeyed(void **state)
{
    (void)state;
    open_model("qwen3moe");
    expect("qwen3moe.rope.scaling.type", of_text("yarn"), SAME, NULL); /* no factor: nothing */
    expect("qwen3moe.rope.scaling.attn_factor", of_real(1.25f), OTHER, NULL);
    expect("qwen3moe.rope.scaling.attn_factor", of_real(1.0f), SAME, NULL);
    expect("qwen3moe.rope.scaling.attn_factor", of_real(-1.0f), REFUSED, "found -1");
    expect("qwen3moe.rope.scaling.yarn_attn_factor", of_real(2.0f), REFUSED, "wanted 1");
    keep("qwen3moe.rope.scaling.type", of_text("yarn"));
    keep("qwen3moe.rope.scaling.factor", of_real(4.0f));
    keep("qwen3moe.rope.scaling.original_context_length", of_count(64));
    static const struct {
        const char *key;
        float usual, other;
    } rows[] = {
        {"qwen3moe.rope.scaling.yarn_ext_factor", -1.0f, 0.5f},
        {"qwen3moe.rope.scaling.yarn_ext_factor", 1.0f, 0.0f},
        {"qwen3moe.rope.scaling.yarn_beta_fast", 32.0f, 0.5f},
        {"qwen3moe.rope.scaling.yarn_beta_slow", 1.0f, 0.1f},
        {"qwen3moe.rope.scaling.yarn_log_multiplier", 0.0f, 0.5f},
        {"qwen3moe.rope.scaling.yarn_attn_factor", 1.0f, 1.0f},
    };
    struct edit_file file = with("qwen3moe.rope.scaling.finetuned", of_bool(true));
    struct model_run yarn = run_changed(file);
    assert_false(model_run_same(&unchanged, &yarn));
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct model_run usual = run_changed(with(rows[row].key, of_real(rows[row].usual)));
        struct model_run other = run_changed(with(rows[row].key, of_real(rows[row].other)));
        if (!model_run_same(&yarn, &usual))
            fail_msg("%s: %g changes something: %s", rows[row].key, (double)rows[row].usual,
                     usual.err.text);
        if (rows[row].usual != rows[row].other &&
            (other.status != WEIR_OK || model_run_same(&yarn, &other)))
            fail_msg("%s: %g changes nothing: %s", rows[row].key, (double)rows[row].other,
                     other.err.text);
        model_run_close(&usual);
        model_run_close(&other);
    }
    model_run_close(&yarn);
    close_model();
}

static void keys_of_routing_and_scores_are_obeyed(void **state)
{
    (void)state;
    open_model("qwen3moe");
    expect("qwen3moe.expert_weights_scale", of_real(0.0f), SAME, NULL);
    expect("qwen3moe.expert_weights_scale", of_real(1.0f), SAME, NULL);
    expect("qwen3moe.expert_weights_scale", of_real(2.0f), OTHER, NULL);
    expect("qwen3moe.expert_weights_scale", of_real(-2.0f), REFUSED, "found -2");
    expect("qwen3moe.expert_weights_norm", of_bool(true), SAME, NULL);
    expect("qwen3moe.expert_weights_norm", of_bool(false), OTHER, NULL);
    expect("qwen3moe.expert_weights_norm", of_count(1), REFUSED, "true or false");
    expect("qwen3moe.expert_gating_func", of_count(1), SAME, NULL);
    expect("qwen3moe.expert_gating_func", of_count(2), OTHER, NULL);
    expect("qwen3moe.expert_gating_func", of_count(4), OTHER, NULL);
    expect("qwen3moe.expert_gating_func", of_count(5), REFUSED, "found 5");
    expect("qwen3moe.expert_group_count", of_count(0), SAME, NULL);
    expect("qwen3moe.expert_group_count", of_count(1), SAME, NULL);
    expect("qwen3moe.expert_group_count", of_count(3), REFUSED,
           "equal groups of 8 experts, found 3");
    expect("qwen3moe.expert_group_used_count", of_count(2), SAME, NULL); /* of no groups */
    expect("qwen3moe.expert_shared_count", of_count(0), SAME, NULL);
    expect("qwen3moe.expert_shared_count", of_count(1), REFUSED, "wanted 1 of 12, found 0");
    expect("qwen3moe.interleave_moe_layer_step", of_count(1), SAME, NULL);
    expect("qwen3moe.interleave_moe_layer_step", of_count(0), REFUSED, "layer 0 has experts");
    expect("qwen3moe.interleave_moe_layer_step", of_count(2), REFUSED, "layer 0 has experts");
    expect("qwen3moe.swiglu_clamp_exp", of_array((uint32_t[]){0, 0, 0}, 3), SAME, NULL);
    expect("qwen3moe.swiglu_clamp_exp", of_array((uint32_t[]){0, 0, 1}, 3), REFUSED, "found 1");
    expect("qwen3moe.swiglu_clamp_exp", of_array((uint32_t[]){0, 0}, 2), REFUSED, "3 layers");
    expect("qwen3moe.attention.scale", of_real(0.0f), SAME, NULL);
    expect("qwen3moe.attention.scale", of_real(0.1f), OTHER, NULL);
    expect("qwen3moe.attention.scale", of_real(-0.1f), REFUSED, "found -0.1");
    expect("qwen3moe.expert_feed_forward_length", of_count(11), REFUSED, "width 12, found 11");
    expect("qwen3moe.expert_used_count", of_count(2), OTHER, NULL);
    expect("qwen3moe.leading_dense_block_count", of_count(0), SAME, NULL);
    expect("qwen3moe.leading_dense_block_count", of_count(1), REFUSED, "wanted at most 0");
    expect("qwen3moe.feed_forward_length", of_count(6144), SAME, NULL); /* no layer is dense */
    close_model();
    open_model("olmoe");
    expect("olmoe.expert_weights_norm", of_bool(true), OTHER, NULL);
    expect("olmoe.expert_gating_func", of_count(3), OTHER, NULL);
    close_model();
    open_model("qwen2moe");
    expect("qwen2moe.expert_shared_feed_forward_length", of_count(21), REFUSED, "width 22");
    expect("qwen2moe.expert_shared_count", of_count(1), SAME, NULL);
    close_model();
}

static void scales_caps_and_temperature_are_obeyed(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        float off, on, bad;
    } rows[] = {
        {"attn_logit_softcapping", 0, 0.5f, -1},
        {"final_logit_softcapping", 0, 30, -1},
        {"logit_scale", 1, 0.0625f, -1},
        {"logit_scale", 0, 16, -1},
        {"residual_scale", 1, 0.22f, -1},
        {"embedding_scale", 1, 12, -1},
        {"attention.temperature_scale", 0, 0.1f, -1},
    };
    static const char *const families[] = {"qwen3moe", "llama"};
    for (size_t family = 0; family < WEIR_COUNT(families); family++) {
        char key[128];
        open_model(families[family]);
        snprintf(key, sizeof(key), "%s.attention.temperature_length", families[family]);
        keep(key, of_count(16));
        for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
            snprintf(key, sizeof(key), "%s.%s", families[family], rows[row].key);
            expect(key, of_real(rows[row].off), SAME, NULL);
            expect(key, of_real(rows[row].on), OTHER, NULL);
            expect(key, of_real(rows[row].bad), REFUSED, "found -1");
            expect(key, of_text("on"), REFUSED, "wanted a number");
        }
        close_model();
    }
}

/* A tensor of the model in use, one dimension of it another. */
static struct edit_file with_dim(const char *name, uint32_t dim, uint64_t value)
{
    uint64_t tensor = 0;
    while (strcmp(model.tensors[tensor].name, name) != 0)
        assert_true(++tensor < model.tensor_count);
    return edit_with_dim(&model, tensor, dim, value);
}

static void refuse(struct edit_file file, const char *words)
{
    struct model_run after = run_changed(file);
    assert_int_equal(after.status, WEIR_ERR_FORMAT);
    if (strstr(after.err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", after.err.text, words);
    model_run_close(&after);
}

static void what_a_family_cannot_go_without_is_named(void **state)
{
    (void)state;
    open_model("gemma4");
    refuse(edit_without_key(&model, "gemma4.attention.sliding_window"),
           "sliding_window is missing");
    refuse(edit_without_key(&model, "gemma4.attention.sliding_window_pattern"),
           "sliding_window_pattern is missing");
    refuse(with("gemma4.embedding_length_per_layer_input", of_count(8)),
           "tensor per_layer_token_embd.weight is missing; a gemma4 model needs it");
    expect("gemma4.attention.shared_kv_layers", of_count(2), OTHER, NULL);
    expect("gemma4.attention.shared_kv_layers", of_count(3), REFUSED,
           "layer 2 sees all positions: wanted one among the first 2 layers that does too");
    expect("gemma4.attention.shared_kv_layers", of_count(5), REFUSED, "wanted 0 to 4, found 5");
    /* Layer 2 is the first whose values are its keys. */
    keep("gemma4.attention.value_length", of_count(8));
    refuse(with_dim("blk.2.attn_output.weight", 0, 32),
           "blk.2.attn_v.weight is missing, and its values cannot be the keys: wanted heads of 16, "
           "found 8");
    close_model();
}

static void windows_are_obeyed_where_a_family_has_them(void **state)
{
    (void)state;
    open_model("gemma3");
    expect("gemma3.attention.sliding_window", of_count(10), OTHER, NULL);
    expect("gemma3.attention.sliding_window", of_count(0), OTHER, NULL);
    expect("gemma3.attention.sliding_window_pattern", of_count(6), SAME, NULL);
    expect("gemma3.attention.sliding_window_pattern", of_count(3), OTHER, NULL);
    expect("gemma3.attention.sliding_window_pattern",
           of_array((uint32_t[]){1, 1, 1, 1, 1, 0, 1}, 7), SAME, NULL);
    expect("gemma3.attention.sliding_window_pattern",
           of_array((uint32_t[]){1, 1, 1, 1, 1, 1, 1}, 7), OTHER, NULL);
    expect("gemma3.attention.sliding_window_pattern", of_array((uint32_t[]){1, 0}, 2), REFUSED,
           "each of 7 layers, found 2");
    expect("gemma3.rope.freq_base_swa", of_real(10000.0f), SAME, NULL);
    expect("gemma3.rope.freq_base_swa", of_real(500.0f), OTHER, NULL);
    expect("gemma3.rope.freq_base_swa", of_real(-1.0f), REFUSED, "found -1");
    expect("gemma3.rope.dimension_count_swa", of_count(10), SAME, NULL);
    expect("gemma3.rope.dimension_count_swa", of_count(4), OTHER, NULL);
    expect("gemma3.rope.dimension_count_swa", of_count(3), REFUSED, "an even number");
    expect("gemma3.rope.dimension_count_swa", of_count(12), REFUSED, "up to the head's 10");
    expect("gemma3.attention.key_length_swa", of_count(10), SAME, NULL);
    close_model();
}

static void groups_have_room_for_the_experts_of_a_token(void **state)
{
    (void)state;
    open_model("qwen3moe"); /* 3 of 8 */
    keep("qwen3moe.expert_group_count", of_count(4));
    struct model_run none = run(changed_path);
    assert_int_equal(none.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(none.err.text, "qwen3moe.expert_group_used_count"));
    model_run_close(&none);
    for (uint32_t used = 0; used <= 5; used++) {
        struct model_run after =
            run_changed(with("qwen3moe.expert_group_used_count", of_count(used)));
        const bool fits = used >= 2 && used <= 4;
        if ((after.status == WEIR_OK) != fits)
            fail_msg("%u groups: %s", used, after.err.text);
        if (fits)
            assert_int_equal(model_run_same(&unchanged, &after), used == 4);
        else
            assert_non_null(strstr(after.err.text, "room for the 3 of a token"));
        model_run_close(&after);
    }
    close_model();
}

static void a_model_whose_experts_are_not_there_is_refused(void **state)
{
    (void)state;
    open_model("llama");
    keep("llama.expert_count", of_count(8));
    struct model_run after = run_changed(with("llama.expert_used_count", of_count(2)));
    assert_int_equal(after.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(after.err.text, "llama.expert_count: no layer has experts"));
    model_run_close(&after);
    close_model();
    open_model("llama-mixtral");
    struct model_run dense = run_changed(edit_without_key(&model, "llama.expert_count"));
    assert_int_equal(dense.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(dense.err.text, "blk.0.ffn_gate.weight is missing"));
    model_run_close(&dense);
    close_model();
}

static void blocks_that_guess_further_tokens_are_known_by_their_tensors(void **state)
{
    (void)state;
    open_model("glm4moe"); /* 3 layers and one that guesses */
    expect("glm4moe.nextn_predict_layers", of_count(2), REFUSED, "blk.2.nextn.eh_proj.weight");
    expect("glm4moe.nextn_predict_layers", of_count(4), REFUSED, "wanted 0 to 3");
    struct model_run after = run_changed(with("glm4moe.nextn_predict_layers", of_count(0)));
    assert_int_equal(after.status,
                     WEIR_ERR_UNSUPPORTED); /* a fourth layer, with tensors of no use */
    assert_non_null(strstr(after.err.text, "blk.3.nextn"));
    model_run_close(&after);
    close_model();
}

static void what_would_be_computed_otherwise_is_refused_unless_it_is_off(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        float off, on;
    } rows[] = {
        {"router_logit_softcapping", 0, 30},
        {"attention.clamp_kqv", 0, 8},
        {"attention.max_alibi_bias", 0, 8},
        {"attention.output_scale", 1, 0.5f},
        {"attention.sliding_window", 0, 16},
        {"attention.sliding_window", 256, 255}, /* the context is 256 */
        {"attention.kv_lora_rank", 0, 512},
        {"attention.causal", 1, 0},
        {"nextn_predict_layers", 0, 1},
        {"moe_every_n_layers", 0, 2},
        {"swiglu_clamp_exp", 0, 7},
        {"ssm.state_size", 0, 128},
        {"use_parallel_residual", 0, 1},
        {"rope.scaling.alpha", 1, 1000},
    };
    static const char *const families[] = {"qwen3moe", "olmoe", "qwen2moe", "llama", "qwen3"};
    for (size_t family = 0; family < WEIR_COUNT(families); family++) {
        open_model(families[family]);
        for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
            char key[128];
            snprintf(key, sizeof(key), "%s.%s", families[family], rows[row].key);
            expect(key, of_real(rows[row].off), SAME, NULL);
            expect(key, of_real(rows[row].on), REFUSED, "found");
            expect(key, of_text("on"), REFUSED, "found");
        }
        close_model();
    }
}

static void a_key_that_nobody_knows_is_a_warning(void **state)
{
    (void)state;
    open_model("qwen3moe");
    struct model_run after = run_changed(with("qwen3moe.attention.twist", of_real(3.5f)));
    assert_true(model_run_same(&unchanged, &after));
    assert_int_equal(after.warnings.count, 1);
    assert_non_null(strstr(after.warnings.text[0], "qwen3moe.attention.twist"));
    assert_non_null(strstr(after.warnings.text[0], "3.5"));
    model_run_close(&after);
    after = run_changed(with("llama.attention.twist", of_real(3.5f))); /* of no concern here */
    assert_int_equal(after.warnings.count, 0);
    model_run_close(&after);
    close_model();
}

static void a_number_for_each_layer_is_read_where_layers_may_differ(void **state)
{
    (void)state;
    open_model("qwen3moe");
    expect("qwen3moe.attention.head_count", of_array((uint32_t[]){4, 4, 4}, 3), SAME, NULL);
    expect("qwen3moe.attention.head_count_kv", of_array((uint32_t[]){2, 2, 2}, 3), SAME, NULL);
    expect("qwen3moe.feed_forward_length", of_array((uint32_t[]){36, 40, 0}, 3), SAME, NULL);
    expect("qwen3moe.expert_feed_forward_length", of_array((uint32_t[]){12, 12, 12}, 3), SAME,
           NULL);
    expect("qwen3moe.expert_feed_forward_length", of_array((uint32_t[]){12, 12, 13}, 3), REFUSED,
           "layer 2");
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){3, 3, 3}, 3), SAME, NULL);
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){3, 8, 1}, 3), OTHER, NULL);
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){3, 9, 1}, 3), REFUSED,
           "9 experts of a token are wanted from 8");
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){3, 0, 1}, 3), REFUSED,
           "layer 1 has experts: wanted 1 to 8 of a token, found 0");
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){0, 0, 0}, 3), REFUSED,
           "wanted 1 to 64, found 0");
    expect("qwen3moe.expert_used_count", of_array((uint32_t[]){3, 3}, 2), REFUSED,
           "each of 3 layers, found 2");
    expect("qwen3moe.attention.head_count_kv", of_array((uint32_t[]){2, 2}, 2), REFUSED,
           "each of 3 layers, found 2");
    expect("qwen3moe.attention.key_length", of_array((uint32_t[]){10, 10, 10}, 3), REFUSED,
           "wanted one number");
    close_model();
    open_model("llama");
    expect("llama.feed_forward_length", of_array((uint32_t[]){44, 44}, 2), SAME, NULL);
    struct model_run wrong =
        run_changed(with("llama.feed_forward_length", of_array((uint32_t[]){44, 45}, 2)));
    assert_int_equal(wrong.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(wrong.err.text, "blk.1.ffn_gate.weight"));
    assert_non_null(strstr(wrong.err.text, "must be 45, found 44"));
    model_run_close(&wrong);
    close_model();
}

static void more_keys_than_any_memory_holds_are_refused(void **state)
{
    (void)state;
    open_model("qwen3moe");
    keep("qwen3moe.attention.head_count", of_count(16));
    keep("qwen3moe.attention.head_count_kv", of_count(16));
    keep("qwen3moe.attention.key_length", of_count(1 << 20));
    keep("qwen3moe.attention.value_length", of_count(1 << 20));
    keep("qwen3moe.block_count", of_count(512));
    struct model_run after = run_changed(with("qwen3moe.context_length", of_count(UINT32_MAX)));
    assert_int_equal(after.status, WEIR_ERR_FORMAT);
    assert_non_null(strstr(after.err.text, "qwen3moe.context_length"));
    assert_non_null(strstr(after.err.text, "2^56"));
    model_run_close(&after);
    close_model();
}

/* No model is near these, and what comes of them would be text, or numbers that overflow. */
static void a_number_that_no_model_has_is_refused(void **state)
{
    static const struct {
        const char *key;
        float number;
        const char *words;
    } rows[] = {
        {"rope.scaling.factor", 0.0f, "wanted a number from 0.001 to 1e+06, found 0"},
        {"rope.scaling.factor", 1e30f, "to 1e+06, found 1e+30"},
        {"rope.scale_linear", 0.0f, "wanted a number from 0.001 to 1e+06, found 0"},
        {"rope.scaling.attn_factor", 1e30f, "wanted a number from 0.001 to 1000, found 1e+30"},
        {"rope.scaling.yarn_log_multiplier", 1e30f, "found 1e+30"},
        {"rope.scaling.yarn_log_multiplier", -1.0f, "found -1"},
        {"rope.scaling.yarn_ext_factor", 2.0f, "wanted a number from -1 to 1, found 2"},
        {"rope.scaling.yarn_ext_factor", -1e30f, "wanted a number from -1 to 1, found -1e+30"},
        {"rope.scaling.yarn_beta_fast", 1e30f, "found 1e+30"},
        {"rope.scaling.yarn_beta_slow", 0.0f, "found 0"},
        {"rope.freq_base", 1e30f, "wanted a number from 1 to 1e+15, found 1e+30"},
        {"rope.freq_base", 0.5f, "wanted a number from 1 to 1e+15, found 0.5"},
        {"attention.layer_norm_rms_epsilon", 0.0f, "found 0"},
        {"attention.layer_norm_rms_epsilon", 1e30f, "to 1, found 1e+30"},
        {"attention.scale", 1e30f, "wanted 0, or a number from 0.0001 to 100, found 1e+30"},
        {"attention.scale", 1e-30f, "wanted 0, or a number from 0.0001 to 100, found 1e-30"},
        {"attention.temperature_scale", 1e30f, "found 1e+30"},
        {"attn_logit_softcapping", 1e30f, "found 1e+30"},
        {"final_logit_softcapping", 1e-30f, "found 1e-30"},
        {"logit_scale", 1e30f, "wanted 0, or a number from 1e-06 to 1e+06, found 1e+30"},
        {"logit_scale", 1e-30f, "found 1e-30"},
        {"residual_scale", 1e30f, "found 1e+30"},
        {"embedding_scale", -1e30f, "found -1e+30"},
        {"expert_weights_scale", 1e30f, "wanted 0, or a number from 0.001 to 10000, found 1e+30"},
        {"expert_weights_scale", -1.0f, "found -1"},
    };
    static const char *const families[] = {"qwen3moe", "deepseek2", "qwen35moe"};
    (void)state;
    for (size_t family = 0; family < WEIR_COUNT(families); family++) {
        open_model(families[family]);
        for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
            char key[128];
            snprintf(key, sizeof(key), "%s.%s", families[family], rows[row].key);
            expect(key, of_real(rows[row].number), REFUSED, rows[row].words);
        }
        close_model();
    }
    open_model("step35");
    expect("step35.swiglu_clamp_exp", of_real(1e30f), REFUSED, "found 1e+30");
    expect("step35.swiglu_clamp_exp", of_real(-1.0f), REFUSED, "found -1");
    expect("step35.rope.freq_base_swa", of_real(1e30f), REFUSED, "found 1e+30");
    close_model();
}

static void of_a_family_that_nobody_knows_the_nearest_is_named(void **state)
{
    static const struct {
        const char *name, *nearest;
    } rows[] = {{"qwen3_moe", "qwen3moe"}, {"gpt_oss", "gpt-oss"}, {"deepseek32", "deepseek2"}};
    (void)state;
    open_model("qwen3moe");
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct model_run after = run_changed(with("general.architecture", of_text(rows[row].name)));
        char words[WEIR_ERR_TEXT_MAX];
        snprintf(words, sizeof(words),
                 "architecture \"%s\" is not built in; the nearest name that is: %s "
                 "(docs/FAMILIES.md has all)",
                 rows[row].name, rows[row].nearest);
        assert_int_equal(after.status, WEIR_ERR_UNSUPPORTED);
        assert_string_equal(after.err.text, words);
        model_run_close(&after);
    }
    close_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rope_factor_without_a_type_or_by_its_older_name_is_linear),
        cmocka_unit_test(yarns_keys_are_obeyed),
        cmocka_unit_test(keys_of_routing_and_scores_are_obeyed),
        cmocka_unit_test(scales_caps_and_temperature_are_obeyed),
        cmocka_unit_test(what_a_family_cannot_go_without_is_named),
        cmocka_unit_test(windows_are_obeyed_where_a_family_has_them),
        cmocka_unit_test(groups_have_room_for_the_experts_of_a_token),
        cmocka_unit_test(a_model_whose_experts_are_not_there_is_refused),
        cmocka_unit_test(blocks_that_guess_further_tokens_are_known_by_their_tensors),
        cmocka_unit_test(what_would_be_computed_otherwise_is_refused_unless_it_is_off),
        cmocka_unit_test(a_key_that_nobody_knows_is_a_warning),
        cmocka_unit_test(of_a_family_that_nobody_knows_the_nearest_is_named),
        cmocka_unit_test(a_number_that_no_model_has_is_refused),
        cmocka_unit_test(more_keys_than_any_memory_holds_are_refused),
        cmocka_unit_test(a_number_for_each_layer_is_read_where_layers_may_differ),
    };
    return cmocka_run_group_tests(tests, changed_model_set_up, changed_model_tear_down);
}
