/* hf_rows_test.c - what single families' rows make of config.json, and what they refuse. */
#include "hf_toy.h"
#include "model/model.h"

#include <math.h>

/* config.json, and a file with one tensor. */
static void make_config(const char *text)
{
    toy_begin();
    toy_text("config.json", text);
    toy_tensors("model.safetensors",
                "{\"lm_head.weight\": {\"dtype\": \"F32\", \"shape\": [3, 8], "
                "\"data_offsets\": [0, 96]}}",
                96);
}

static void is_config_refused(const char *text, enum weir_status status, const char *const *words)
{
    make_config(text);
    toy_is_refused(status, words);
}

static double real_of(const weir_manifest *manifest, const char *key)
{
    double real = -1.0;
    weir_manifest_f64(manifest, key, &real);
    return real;
}

static double element_of(const weir_manifest *manifest, const char *key, uint64_t index)
{
    double real = -1.0;
    weir_manifest_element(manifest, key, index, &real);
    return real;
}

static void the_part_about_text_says_the_family(void **state)
{
    (void)state;
    make_config("{\"model_type\": \"mistral3\", \"text_config\": {\"model_type\": \"mistral\"}}");
    weir_manifest *manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "llama");
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"mistral3\", \"text_config\": {\"model_type\": \"mistral4\"}}");
    manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "mistral4");
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"mistral3\", \"text_config\": {}}");
    manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "mistral3");
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"ministral3\"}");
    manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "mistral3");
    weir_manifest_close(&manifest);
    is_config_refused("{\"model_type\": \"qwen3_5\", \"text_config\": {\"model_type\": \"llama\"}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("model_type \"llama\""));
    is_config_refused("{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"llama\"}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("model_type \"llava\""));
    is_config_refused("{\"model_type\": \"kimi_k25\", \"text_config\": {}}", WEIR_ERR_FORMAT,
                      WORDS("text_config.model_type", "nothing"));
}

static void architectures_tell_two_generations_apart(void **state)
{
    (void)state;
    make_config("{\"model_type\": \"bailing_moe\", \"architectures\": "
                "[\"BailingMoeV2ForCausalLM\"]}");
    weir_manifest *manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "bailingmoe2");
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"bailing_moe\", \"architectures\": "
                "[\"BailingMoeForCausalLM\"]}");
    manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "bailingmoe");
    weir_manifest_close(&manifest);
    is_config_refused("{\"model_type\": \"bailing_moe\", \"architectures\": [\"Other\"]}",
                      WEIR_ERR_UNSUPPORTED, WORDS("\"bailing_moe\""));
}

static void a_model_that_is_not_built_in_is_refused_in_words(void **state)
{
    (void)state;
    is_config_refused("{\"model_type\": \"llama4_text\", \"attn_scale\": 0.2}",
                      WEIR_ERR_UNSUPPORTED, WORDS("attn_scale", "wanted 0.1, found 0.2"));
    is_config_refused("{\"model_type\": \"llama4_text\", \"num_local_experts\": 16, "
                      "\"use_qk_norm\": false}",
                      WEIR_ERR_UNSUPPORTED, WORDS("use_qk_norm", "wanted true"));
    is_config_refused("{\"model_type\": \"llama4_text\", \"num_local_experts\": 128, "
                      "\"use_qk_norm\": true}",
                      WEIR_ERR_UNSUPPORTED, WORDS("use_qk_norm", "wanted false"));
    is_config_refused("{\"model_type\": \"qwen3_vl_moe\", \"text_config\": {\"model_type\": "
                      "\"qwen3_vl_moe_text\", \"norm_topk_prob\": false}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("norm_topk_prob", "wanted true"));
    is_config_refused("{\"model_type\": \"nemotron_h\"}", WEIR_ERR_UNSUPPORTED, WORDS("Mamba-2"));
    is_config_refused("{\"model_type\": \"none\"}", WEIR_ERR_UNSUPPORTED,
                      WORDS("\"none\"", "the nearest name that is: ", "docs/FAMILIES.md has all"));
}

static void what_a_file_leaves_out_is_as_the_family_has_it(void **state)
{
    (void)state;
    make_config("{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"gemma3_text\", "
                "\"num_hidden_layers\": 34, \"hidden_size\": 2560, \"sliding_window\": 1024, "
                "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}}, "
                "\"tie_word_embeddings\": true}");
    weir_manifest *manifest = toy_accepted();
    assert_true(real_of(manifest, "gemma3.attention.head_count") == 8.0);
    assert_true(real_of(manifest, "gemma3.attention.head_count_kv") == 4.0);
    assert_true(real_of(manifest, "gemma3.attention.value_length") == 256.0);
    assert_true(real_of(manifest, "gemma3.attention.scale") == 0.0625);
    assert_true(real_of(manifest, "gemma3.attention.sliding_window") == 1024.0);
    assert_true(real_of(manifest, "gemma3.rope.freq_base") == 1e6);
    assert_true(real_of(manifest, "gemma3.rope.scaling.factor") == 8.0);
    assert_true(real_of(manifest, "gemma3.attention.layer_norm_rms_epsilon") == (double)1e-6f);
    assert_int_equal(weir_manifest_warnings(manifest)->count, 0);
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"gemma2\", \"attn_logit_softcapping\": null}");
    manifest = toy_accepted();
    assert_false(weir_manifest_has(manifest, "gemma2.attn_logit_softcapping"));
    assert_true(real_of(manifest, "gemma2.final_logit_softcapping") == 30.0);
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"deepseek_v3\"}");
    manifest = toy_accepted();
    assert_true(real_of(manifest, "deepseek2.expert_gating_func") == 2.0);
    weir_manifest_close(&manifest);
}

#define KINDS "\"layer_types\": [\"sliding_attention\", \"full_attention\"]"
#define GEMMA4                                                                                     \
    "{\"model_type\": \"gemma4_text\", \"head_dim\": 8, \"num_key_value_heads\": 4, " KINDS

static void layers_differ_as_their_words_say(void **state)
{
    (void)state;
    make_config(GEMMA4 ", \"global_head_dim\": 16, \"num_global_key_value_heads\": 1, "
                       "\"attention_k_eq_v\": true}");
    weir_manifest *manifest = toy_accepted();
    static const char windows[] = "gemma4.attention.sliding_window_pattern";
    assert_true(element_of(manifest, windows, 0) == 1.0 && element_of(manifest, windows, 1) == 0.0);
    assert_true(real_of(manifest, "gemma4.attention.key_length") == 16.0);
    assert_true(real_of(manifest, "gemma4.attention.key_length_swa") == 8.0);
    assert_true(element_of(manifest, "gemma4.attention.head_count_kv", 0) == 4.0);
    assert_true(element_of(manifest, "gemma4.attention.head_count_kv", 1) == 1.0);
    weir_manifest_close(&manifest);
    /* Said without values that are the keys, it does not count. */
    make_config(GEMMA4 ", \"global_head_dim\": 16, \"num_global_key_value_heads\": 1}");
    manifest = toy_accepted();
    assert_true(real_of(manifest, "gemma4.attention.head_count_kv") == 4.0);
    weir_manifest_close(&manifest);
    make_config(GEMMA4 ", \"per_layer_config\": {\"1\": {\"head_dim\": 32, "
                       "\"num_key_value_heads\": 2}}}");
    manifest = toy_accepted();
    assert_true(real_of(manifest, "gemma4.attention.value_length") == 32.0);
    assert_true(element_of(manifest, "gemma4.attention.head_count_kv", 1) == 2.0);
    weir_manifest_close(&manifest);
    is_config_refused(GEMMA4 ", \"per_layer_config\": {\"0\": {\"head_dim\": 32}}}",
                      WEIR_ERR_UNSUPPORTED,
                      WORDS("per_layer_config", "head_dim of layer 0", "wanted 8, found 32"));
    is_config_refused(GEMMA4 ", \"per_layer_config\": {\"1\": {\"intermediate_size\": 32}}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("per_layer_config", "intermediate_size"));
    is_config_refused(GEMMA4 ", \"per_layer_config\": {\"1\": {\"head_dim\": \"x\"}}}",
                      WEIR_ERR_FORMAT, WORDS("per_layer_config", "\"x\""));
    is_config_refused(GEMMA4 ", \"per_layer_config\": {\"2\": {\"head_dim\": 8}}}", WEIR_ERR_FORMAT,
                      WORDS("per_layer_config", "layer_types", "\"2\""));
    is_config_refused("{\"model_type\": \"gemma4_text\"}", WEIR_ERR_FORMAT,
                      WORDS("head_dim", "nothing"));
    is_config_refused("{\"model_type\": \"gemma2\", \"layer_types\": [\"chunked_attention\"]}",
                      WEIR_ERR_UNSUPPORTED,
                      WORDS("layer_types", "\"sliding_attention\" or \"full_attention\"",
                            "\"chunked_attention\""));
    is_config_refused("{\"model_type\": \"gemma2\", \"layer_types\": []}", WEIR_ERR_FORMAT,
                      WORDS("layer_types", "an array of words"));
}

static void a_row_wants_what_its_family_computes(void **state)
{
    (void)state;
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    is_config_refused("{\"model_type\": \"smollm3\", \"no_rope_layers\": [1, 0]}", unsupported,
                      WORDS("no_rope_layers", "4 divides"));
    is_config_refused("{\"model_type\": \"smollm3\", \"no_rope_layer_interval\": 5}", unsupported,
                      WORDS("no_rope_layer_interval", "wanted 4", "found 5"));
    is_config_refused("{\"model_type\": \"qwen3_5\", \"attn_output_gate\": false}", unsupported,
                      WORDS("attn_output_gate", "wanted true", "found false"));
    is_config_refused("{\"model_type\": \"gemma4\", \"head_dim\": 8, \"num_key_value_heads\": 1, "
                      "\"use_double_wide_mlp\": true, \"intermediate_size\": 6, "
                      "\"num_hidden_layers\": 2, \"num_kv_shared_layers\": 3}",
                      WEIR_ERR_FORMAT, WORDS("intermediate_size", "found 6 in the last 3 of 2"));
    is_config_refused("{\"model_type\": \"gemma2\", \"use_bidirectional_attention\": true}",
                      unsupported, WORDS("use_bidirectional_attention"));
    is_config_refused("{\"model_type\": \"deepseek_v3\", \"scoring_func\": \"tanh\"}", unsupported,
                      WORDS("scoring_func", "softmax|sigmoid", "\"tanh\""));
    is_config_refused("{\"model_type\": \"deepseek_v2\", \"norm_topk_prob\": true}", unsupported,
                      WORDS("norm_topk_prob"));
    is_config_refused("{\"model_type\": \"deepseek_v3\", \"qk_nope_head_dim\": 8}", WEIR_ERR_FORMAT,
                      WORDS("qk_rope_head_dim", "nothing"));
    is_config_refused("{\"model_type\": \"gemma2\", \"query_pre_attn_scalar\": 0}", WEIR_ERR_FORMAT,
                      WORDS("query_pre_attn_scalar", "above 0"));
    is_config_refused("{\"model_type\": \"exaone_moe\", \"sliding_window_pattern\": \"LG\"}",
                      unsupported, WORDS("sliding_window_pattern", "\"LLLG\"", "\"LG\""));
    is_config_refused("{\"model_type\": \"hunyuan_v1_moe\", \"moe_topk\": [8, -1]}",
                      WEIR_ERR_FORMAT, WORDS("moe_topk", "whole numbers"));
    make_config("{\"model_type\": \"exaone_moe\", \"sliding_window_pattern\": \"LG\", " KINDS "}");
    weir_manifest *manifest = toy_accepted();
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"deepseek_v2\", \"topk_method\": \"greedy\", \"n_group\": 8}");
    manifest = toy_accepted();
    assert_false(weir_manifest_has(manifest, "deepseek2.expert_group_count"));
    weir_manifest_close(&manifest);
    make_config("{\"model_type\": \"hunyuan_v1_moe\", \"moe_topk\": [8, 8], "
                "\"moe_intermediate_size\": [3, 4]}");
    manifest = toy_accepted();
    assert_true(real_of(manifest, "hunyuan-moe.expert_used_count") == 8.0);
    assert_true(element_of(manifest, "hunyuan-moe.expert_feed_forward_length", 1) == 4.0);
    weir_manifest_close(&manifest);
}

#define STEP                                                                                       \
    "{\"model_type\": \"step3p5\", \"head_dim\": 8, \"num_attention_heads\": 4, "                  \
    "\"num_hidden_layers\": 2, \"num_nextn_predict_layers\": 1, \"layer_types\": "                 \
    "[\"sliding_attention\", \"full_attention\", \"full_attention\"], "

/* Arrays have entries for the layers that guess too, which are not run. */
static void what_layers_differ_in_may_be_said_for_each(void **state)
{
    (void)state;
    make_config(STEP "\"rope_theta\": [1e4, 5e6, 5e6], \"partial_rotary_factors\": [1, 0.5, 0.5], "
                     "\"attention_other_setting\": {\"num_attention_heads\": 6}, "
                     "\"swiglu_limits\": [null, 7.5, 3]}");
    weir_manifest *manifest = toy_accepted();
    uint64_t count = 0;
    assert_true(weir_manifest_array_count(manifest, "step35.attention.head_count", &count));
    assert_int_equal(count, 2);
    assert_true(element_of(manifest, "step35.attention.head_count", 0) == 6.0);
    assert_true(element_of(manifest, "step35.attention.head_count", 1) == 4.0);
    assert_true(weir_manifest_array_count(manifest, "step35.swiglu_clamp_exp", &count));
    assert_int_equal(count, 2);
    assert_true(element_of(manifest, "step35.swiglu_clamp_exp", 0) == 0.0);
    assert_true(element_of(manifest, "step35.swiglu_clamp_exp", 1) == 7.5);
    assert_true(real_of(manifest, "step35.rope.freq_base") == 5e6);
    assert_true(real_of(manifest, "step35.rope.freq_base_swa") == 1e4);
    assert_false(weir_manifest_has(manifest, "step35.rope.dimension_count"));
    weir_manifest_close(&manifest);
    is_config_refused(STEP "\"rope_theta\": [1e4, 5e6, 6e6]}", WEIR_ERR_UNSUPPORTED,
                      WORDS("rope_theta", "wanted 5e+06, found 6e+06 in layer 2"));
    is_config_refused(STEP "\"rope_theta\": [1e4, \"5e6\"]}", WEIR_ERR_FORMAT,
                      WORDS("rope_theta", "numbers"));
    is_config_refused(STEP "\"partial_rotary_factors\": [1, 0.25, 0.25]}", WEIR_ERR_UNSUPPORTED,
                      WORDS("partial_rotary_factors", "wanted 0.5", "found 0.25"));
    is_config_refused(STEP "\"partial_rotary_factors\": [0.5, 0.5, 0.5]}", WEIR_ERR_UNSUPPORTED,
                      WORDS("partial_rotary_factor", "wanted 1, found 0.5"));
    is_config_refused(STEP "\"swiglu_limits\": [1, true, 3]}", WEIR_ERR_FORMAT,
                      WORDS("swiglu_limits", "an array of numbers or null"));
    is_config_refused(STEP "\"swiglu_limits\": 7}", WEIR_ERR_FORMAT,
                      WORDS("swiglu_limits", "an array of numbers"));
    is_config_refused(STEP "\"attention_other_setting\": {\"num_attention_heads\": -1}}",
                      WEIR_ERR_FORMAT, WORDS("attention_other_setting.num_attention_heads"));
    is_config_refused(STEP "\"attention_other_setting\": {\"head_dim\": 8, \"true_head_dim\": 4}}",
                      WEIR_ERR_FORMAT, WORDS("key_length_swa"));
}

#define TURNED                                                                                     \
    "{\"model_type\": \"phi3\", \"hidden_size\": 16, \"num_attention_heads\": 2, "                 \
    "\"max_position_embeddings\": 256, \"original_max_position_embeddings\": 32, "

static void rope_by_factors_of_the_file(void **state)
{
    (void)state;
    make_config(TURNED "\"rope_scaling\": {\"type\": \"su\", \"long_factor\": [2, 3, 4, 5], "
                       "\"short_factor\": [1, 1, 1, 1.5]}}");
    weir_manifest *manifest = toy_accepted();
    const struct weir_tensor *far = weir_manifest_tensor(manifest, "rope_factors_long.weight");
    const struct weir_tensor *near = weir_manifest_tensor(manifest, "rope_factors_short.weight");
    assert_true(far->dims[0] == 4 && far->values[3] == 5.0f && near->values[3] == 1.5f);
    assert_true(fabs(real_of(manifest, "phi3.rope.scaling.attn_factor") - sqrt(1.6)) < 1e-6);
    assert_true(real_of(manifest, "phi3.rope.scaling.original_context_length") == 32.0);
    weir_manifest_close(&manifest);
    is_config_refused(TURNED "\"rope_scaling\": {\"type\": \"su\", \"long_factor\": [2, 3, 4, 5]}}",
                      WEIR_ERR_FORMAT, WORDS("short_factor", "wanted 4 numbers", "nothing"));
    is_config_refused(TURNED "\"rope_scaling\": {\"type\": \"su\", \"long_factor\": [2, 0, 4, 5]}}",
                      WEIR_ERR_FORMAT, WORDS("long_factor", "above 0"));
    make_config("{\"model_type\": \"hunyuan_v1_moe\", \"head_dim\": 128, \"rope_theta\": 10000, "
                "\"rope_scaling\": {\"type\": \"dynamic\", \"alpha\": 1000.0, \"factor\": 1.0}}");
    manifest = toy_accepted();
    assert_true(fabs(real_of(manifest, "hunyuan-moe.rope.freq_base") - 11158840.0) < 2.0);
    weir_manifest_close(&manifest);
    make_config(GEMMA4 ", \"global_head_dim\": 16, \"rope_parameters\": {\"full_attention\": "
                       "{\"rope_type\": \"proportional\", \"partial_rotary_factor\": 0.25, "
                       "\"rope_theta\": 1e6}, \"sliding_attention\": {\"rope_theta\": 1e4}}}");
    manifest = toy_accepted();
    const struct weir_tensor *factors = weir_manifest_tensor(manifest, "rope_freqs.weight");
    assert_true(factors->dims[0] == 8 && factors->values[1] == 1.0f && factors->values[2] > 1e29f);
    assert_true(real_of(manifest, "gemma4.rope.freq_base_swa") == 1e4);
    assert_true(real_of(manifest, "gemma4.rope.dimension_count_swa") == 8.0);
    assert_false(weir_manifest_has(manifest, "gemma4.rope.dimension_count"));
    weir_manifest_close(&manifest);
    is_config_refused(GEMMA4 ", \"rope_parameters\": {\"full_attention\": {}, "
                             "\"sliding_attention\": {\"rope_type\": \"yarn\", \"factor\": 2}}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("sliding_attention", "\"yarn\""));
    is_config_refused(GEMMA4 ", \"rope_parameters\": {\"full_attention\": {}, \"other\": {}}}",
                      WEIR_ERR_UNSUPPORTED, WORDS("rope_parameters", "other"));
}

static void scores_are_scaled_where_the_family_says_so(void **state)
{
    (void)state;
    static const char yarn[] =
        "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 40, \"mscale\": 1.0, "
        "\"mscale_all_dim\": 1.0, \"original_max_position_embeddings\": 4096}}";
    char text[512];
    snprintf(text, sizeof(text), "{\"model_type\": \"kimi_k2\", %s", yarn);
    make_config(text);
    weir_manifest *manifest = toy_accepted();
    assert_true(real_of(manifest, "deepseek2.rope.scaling.yarn_log_multiplier") == (double)0.1f);
    assert_false(weir_manifest_has(manifest, "deepseek2.rope.scaling.attn_factor"));
    weir_manifest_close(&manifest);
    snprintf(text, sizeof(text), "{\"model_type\": \"llama\", %s", yarn);
    make_config(text);
    manifest = toy_accepted();
    assert_false(weir_manifest_has(manifest, "llama.rope.scaling.yarn_log_multiplier"));
    assert_true(fabs(real_of(manifest, "llama.rope.scaling.attn_factor") * 1.3688879454 - 1.0) <
                1e-6);
    weir_manifest_close(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_part_about_text_says_the_family),
        cmocka_unit_test(architectures_tell_two_generations_apart),
        cmocka_unit_test(a_model_that_is_not_built_in_is_refused_in_words),
        cmocka_unit_test(what_a_file_leaves_out_is_as_the_family_has_it),
        cmocka_unit_test(layers_differ_as_their_words_say),
        cmocka_unit_test(what_layers_differ_in_may_be_said_for_each),
        cmocka_unit_test(a_row_wants_what_its_family_computes),
        cmocka_unit_test(rope_by_factors_of_the_file),
        cmocka_unit_test(scores_are_scaled_where_the_family_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
