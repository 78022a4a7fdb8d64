/* hf_test.c - Hugging Face directories: what is read, and what is refused by name. */
#include "hf_toy.h"
#include "model/model.h"

#define L "model.layers.0."

/* A header in the making, and how many bytes of data its tensors have. */
static struct {
    char text[8192];
    uint64_t data_bytes;
} header;

static void begin_header(void)
{
    snprintf(header.text, sizeof(header.text), "{");
    header.data_bytes = 0;
}

static void add_at(const char *name, const char *dtype, const char *shape, const char *begin,
                   const char *end)
{
    const size_t length = strlen(header.text);
    snprintf(header.text + length, sizeof(header.text) - length,
             "%s\"%s\": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%s, %s]}",
             length == 1 ? "" : ", ", name, dtype, shape, begin, end);
}

/* Behind the tensor before it. */
static void add(const char *name, const char *dtype, const char *shape, uint64_t bytes)
{
    char ends[2][24];
    snprintf(ends[0], sizeof(ends[0]), "%llu", (unsigned long long)header.data_bytes);
    header.data_bytes += bytes;
    snprintf(ends[1], sizeof(ends[1]), "%llu", (unsigned long long)header.data_bytes);
    add_at(name, dtype, shape, ends[0], ends[1]);
}

static void end_header(const char *file)
{
    strcat(header.text, "}");
    toy_tensors(file, header.text, header.data_bytes);
}

/* One layer and two experts: 8 wide, 2 heads of 4. */
static void add_trunk(void)
{
    begin_header();
    add("model.embed_tokens.weight", "F32", "[3, 8]", 96);
    add("model.norm.weight", "BF16", "[8]", 16);
    add("lm_head.weight", "F32", "[3, 8]", 96);
    add(L "input_layernorm.weight", "F32", "[8]", 32);
    add(L "post_attention_layernorm.weight", "F32", "[8]", 32);
    add(L "self_attn.q_proj.weight", "F32", "[8, 8]", 256);
    add(L "self_attn.k_proj.weight", "F32", "[4, 8]", 128);
    add(L "self_attn.v_proj.weight", "F32", "[4, 8]", 128);
    add(L "self_attn.o_proj.weight", "F32", "[8, 8]", 256);
    add(L "self_attn.q_norm.weight", "F32", "[4]", 16);
    add(L "self_attn.k_norm.weight", "F32", "[4]", 16);
    add(L "mlp.gate.weight", "F32", "[2, 8]", 64);
}

/* All but expert 1's gate. */
static void add_most_experts(void)
{
    add(L "mlp.experts.1.down_proj.weight", "F16", "[8, 4]", 64);
    add(L "mlp.experts.0.gate_proj.weight", "F16", "[4, 8]", 64);
    add(L "mlp.experts.0.up_proj.weight", "F16", "[4, 8]", 64);
    add(L "mlp.experts.0.down_proj.weight", "F16", "[8, 4]", 64);
    add(L "mlp.experts.1.up_proj.weight", "F16", "[4, 8]", 64);
}

static void add_all(void)
{
    add_trunk();
    add_most_experts();
    add(L "mlp.experts.1.gate_proj.weight", "F16", "[4, 8]", 64);
}

enum { ALL_BYTES = 1520 };

static void make_whole(void)
{
    toy_begin();
    toy_text("config.json", TOY_CONFIG "}");
    add_all();
    end_header("model.safetensors");
}

/* The whole model, with these members after the others of config.json. */
static void make_config(const char *more)
{
    char text[2048];
    make_whole();
    snprintf(text, sizeof(text), "%s%s}", TOY_CONFIG, more);
    toy_text("config.json", text);
}

/* The whole model, with this header in place of its own. */
static void is_text_refused(const char *text, uint64_t data_bytes, enum weir_status status,
                            const char *const *words)
{
    make_whole();
    toy_tensors("model.safetensors", text, data_bytes);
    toy_is_refused(status, words);
}

/* The same with the header that was made. */
static void is_header_refused(enum weir_status status, const char *const *words)
{
    toy_begin();
    toy_text("config.json", TOY_CONFIG "}");
    end_header("model.safetensors");
    toy_is_refused(status, words);
}

/* One tensor, and so many bytes of data. */
static void is_tensor_refused(const char *name, const char *dtype, const char *shape,
                              const char *begin, const char *end, enum weir_status status,
                              const char *const *words)
{
    begin_header();
    add_at(name, dtype, shape, begin, end);
    header.data_bytes = 8;
    is_header_refused(status, words);
}

static void keys_and_tensors_are_those_of_a_gguf_file(void **state)
{
    (void)state;
    uint64_t number = 0;
    double real = 0.0;
    bool flag = false;
    make_whole();
    weir_manifest *manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "general.architecture"), "qwen3moe");
    assert_true(weir_manifest_u64(manifest, "qwen3moe.attention.head_count_kv", &number));
    assert_int_equal(number, 1);
    assert_true(weir_manifest_u64(manifest, "qwen3moe.attention.value_length", &number));
    assert_int_equal(number, 4);
    assert_true(weir_manifest_f64(manifest, "qwen3moe.rope.freq_base", &real));
    assert_true(real == 10000.0);
    assert_true(weir_manifest_f64(manifest, "qwen3moe.attention.layer_norm_rms_epsilon", &real));
    assert_true(real == (double)1e-6f);
    assert_true(weir_manifest_bool(manifest, "qwen3moe.expert_weights_norm", &flag) && flag);
    assert_false(weir_manifest_has(manifest, "qwen3moe.rope.interleaved"));
    assert_int_equal(weir_manifest_version(manifest), 0);
    assert_int_equal(weir_manifest_tensor_count(manifest), 15);
    const uint64_t data_at = weir_manifest_file_bytes(manifest, 0) - ALL_BYTES;
    const struct weir_tensor *norm = weir_manifest_tensor(manifest, "output_norm.weight");
    assert_true(norm->type == WEIR_TYPE_BF16 && norm->dims[0] == 8 && norm->n_dim == 1);
    assert_int_equal(norm->offset, data_at + 96);
    const struct weir_tensor *k = weir_manifest_tensor(manifest, "blk.0.attn_k.weight");
    assert_true(k->dims[0] == 8 && k->dims[1] == 4 && k->places == NULL);
    const struct weir_tensor *down = weir_manifest_tensor(manifest, "blk.0.ffn_down_exps.weight");
    assert_true(down->type == WEIR_TYPE_F16 && down->dims[0] == 4 && down->dims[1] == 8);
    assert_true(down->dims[2] == 2 && down->bytes == 128);
    assert_int_equal(down->places[0].offset, data_at + 1328);
    assert_int_equal(down->places[1].offset, data_at + 1136);
    assert_int_equal(weir_manifest_warnings(manifest)->count, 0);
    weir_manifest_close(&manifest);
}

static void shards_are_found_by_their_index(void **state)
{
    (void)state;
    char index[4096] = "{\"metadata\": {\"total_size\": 1520}, \"weight_map\": {";
    static const char *const names[] = {
        "model.embed_tokens.weight",
        "model.norm.weight",
        "lm_head.weight",
        L "input_layernorm.weight",
        L "post_attention_layernorm.weight",
        L "self_attn.q_proj.weight",
        L "self_attn.k_proj.weight",
        L "self_attn.v_proj.weight",
        L "self_attn.o_proj.weight",
        L "self_attn.q_norm.weight",
        L "self_attn.k_norm.weight",
        L "mlp.gate.weight",
        L "mlp.experts.0.gate_proj.weight",
        L "mlp.experts.0.up_proj.weight",
        L "mlp.experts.0.down_proj.weight",
        L "mlp.experts.1.gate_proj.weight",
        L "mlp.experts.1.up_proj.weight",
        L "mlp.experts.1.down_proj.weight",
    };
    for (size_t at = 0; at < WEIR_COUNT(names); at++)
        snprintf(index + strlen(index), sizeof(index) - strlen(index), "%s\"%s\": \"%s\"",
                 at == 0 ? "" : ", ", names[at], at < 12 ? "a.safetensors" : "b.safetensors");
    strcat(index, "}}");
    toy_begin();
    toy_text("config.json", TOY_CONFIG "}");
    toy_text("model.safetensors.index.json", index);
    add_trunk();
    end_header("a.safetensors");
    begin_header();
    add_most_experts();
    add(L "mlp.experts.1.gate_proj.weight", "F16", "[4, 8]", 64);
    end_header("b.safetensors");
    weir_manifest *manifest = toy_accepted();
    assert_int_equal(weir_manifest_file_count(manifest), 2);
    assert_int_equal(weir_manifest_warnings(manifest)->count, 0);
    assert_int_equal(weir_manifest_tensor(manifest, "blk.0.ffn_up_exps.weight")->places[1].file, 1);
    weir_manifest_close(&manifest);

    char *at = strstr(index, "1.up_proj.weight\": \"b");
    at[strlen("1.up_proj.weight\": \"")] = 'a';
    toy_text("model.safetensors.index.json", index);
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("disagree", "experts.1.up_proj.weight",
                                          "wanted in a.safetensors, found b.safetensors"));
    at[strlen("1.up_proj.weight\": \"")] = 'b';
    at[0] = '7';
    toy_text("model.safetensors.index.json", index);
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("experts.7.up_proj.weight", "found nowhere"));
    at[0] = '0';
    toy_text("model.safetensors.index.json", index);
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("experts.0.up_proj.weight", "there twice"));
    toy_text("model.safetensors.index.json",
             "{\"weight_map\": {\"model.norm.weight\": \"a.safetensors\"}}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("does not name tensor model.embed_tokens.weight"));
    toy_text("model.safetensors.index.json",
             "{\"weight_map\": {\"model.norm.weight\": \"../a.safetensors\"}}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("without a folder", "../a.safetensors"));
    toy_text("model.safetensors.index.json",
             "{\"weight_map\": {\"model.norm.weight\": \"c.safetensors\"}}");
    toy_is_refused(WEIR_ERR_IO, WORDS("c.safetensors"));
    toy_text("model.safetensors.index.json", "{\"weight_map\": {}}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("weight_map", "wanted an object of tensors"));
    toy_text("model.safetensors.index.json", "[");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("model.safetensors.index.json", "byte 1"));
}

static void a_header_that_the_file_cannot_have_is_refused(void **state)
{
    (void)state;
    make_whole();
    uint64_t claimed = UINT64_C(1) << 30;
    memcpy(toy.bytes[1], &claimed, sizeof(claimed));
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("header's length", "at most 100000000", "1073741824"));
    claimed = 90000000;
    memcpy(toy.bytes[1], &claimed, sizeof(claimed));
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("cut off in the header", "90000008"));
    toy.files[1].length = toy.files[1].file_bytes = 7;
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("cut off in the header's length"));
    is_text_refused("[]", 0, WEIR_ERR_FORMAT, WORDS("wanted an object, found an array"));
    is_text_refused("{", 0, WEIR_ERR_FORMAT, WORDS("model.safetensors", "byte 1"));
    is_text_refused("{}", 4, WEIR_ERR_FORMAT, WORDS("belong to no tensor"));
    is_text_refused("{\"a\": 1}", 0, WEIR_ERR_FORMAT, WORDS("tensor a", "dtype"));
}

static void json_ten_thousand_deep_is_refused(void **state)
{
    (void)state;
    static char deep[20001];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    make_whole();
    toy_text("config.json", deep);
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("config.json", "64 deep"));
    is_text_refused(deep, 0, WEIR_ERR_FORMAT, WORDS("model.safetensors", "64 deep"));
    memset(deep, '{', 10000);
    make_whole();
    toy_text("config.json", deep);
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("config.json"));
}

static void two_ranges(const char *begin, const char *end, uint64_t data_bytes)
{
    begin_header();
    add("a", "F32", "[2]", 8);
    add_at("b", "F32", "[2]", begin, end);
    header.data_bytes = data_bytes;
}

static void ranges_that_overlap_or_leave_bytes_out_are_refused(void **state)
{
    (void)state;
    const enum weir_status format = WEIR_ERR_FORMAT;
    two_ranges("4", "12", 12);
    is_header_refused(format, WORDS("tensors a and b overlap", "byte 8", "found 4"));
    two_ranges("0", "8", 8);
    is_header_refused(format, WORDS("overlap"));
    two_ranges("12", "20", 20);
    is_header_refused(format, WORDS("bytes from 8", "belong to no tensor"));
    two_ranges("8", "16", 17);
    is_header_refused(format, WORDS("bytes from 16", "belong to no tensor", "has 17"));
    is_tensor_refused("a", "F32", "[4]", "0", "16", format, WORDS("tensor a", "0 to 16", "has 8"));
    is_tensor_refused("a", "F32", "[3]", "0", "8", format, WORDS("wants 12 bytes", "8 apart"));
    is_tensor_refused("a", "F32", "[4294967296, 4294967296, 4]", "0", "8", format,
                      WORDS("tensor a", "8 apart"));
    is_tensor_refused("a", "F32", "[2]", "8", "0", format, WORDS("data_offsets"));
    is_tensor_refused("a", "F32", "[2]", "-8", "0", format, WORDS("data_offsets", "-8"));
    is_tensor_refused("a", "F32", "[2]", "0", "8.5", format, WORDS("data_offsets", "8.5"));
}

static void a_tensor_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    const enum weir_status format = WEIR_ERR_FORMAT;
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    is_tensor_refused("a", "F9", "[2]", "0", "8", unsupported, WORDS("tensor a", "dtype F9"));
    is_tensor_refused("a", "F32", "[1, 1, 1, 1, 1, 1, 2]", "0", "8", unsupported,
                      WORDS("tensor a", "at most 6 dimensions"));
    is_tensor_refused("a", "F32", "2", "0", "8", format, WORDS("shape: wanted an array"));
    is_tensor_refused("a", "F32", "[\"2\"]", "0", "8", format, WORDS("whole numbers", "\"2\""));
    is_tensor_refused("", "F32", "[2]", "0", "8", format, WORDS("1 to 255 bytes, found 0"));
    is_tensor_refused("a\\u001b[2J", "F32", "[2]", "0", "8", format,
                      WORDS("control character", "0x1b"));
    is_text_refused("{\"a\": {\"dtype\": \"F32\", \"colour\": 1}}", 0, format,
                    WORDS("tensor a", "colour"));
    begin_header();
    add("model.norm.weight", "F32", "[0]", 0);
    is_header_refused(format, WORDS("model.norm.weight", "no values"));
    add_all();
    add("model.extra", "F32", "[2]", 8);
    is_header_refused(unsupported, WORDS("model.extra", "no use in family qwen3_moe"));
    add_all();
    add("model.norm.weight", "F32", "[2]", 8);
    is_header_refused(format, WORDS("model.norm.weight", "twice"));
}

static void a_last_expert_is_refused(const char *name, const char *dtype, const char *shape,
                                     uint64_t bytes, const char *const *words)
{
    add_trunk();
    add_most_experts();
    add(name, dtype, shape, bytes);
    is_header_refused(strstr(name, ".01.") == NULL ? WEIR_ERR_FORMAT : WEIR_ERR_UNSUPPORTED, words);
}

static void an_expert_that_is_missing_or_unlike_the_others_is_named(void **state)
{
    (void)state;
    const char *const gate = L "mlp.experts.1.gate_proj.weight";
    add_trunk();
    add_most_experts();
    is_header_refused(WEIR_ERR_FORMAT,
                      WORDS("expert 1 of", "blk.0.ffn_gate_exps.weight is missing"));
    a_last_expert_is_refused(L "mlp.experts.2.gate_proj.weight", "F16", "[4, 8]", 64,
                             WORDS("experts.2.gate_proj", "one of 2 experts"));
    a_last_expert_is_refused(L "mlp.experts.01.gate_proj.weight", "F16", "[4, 8]", 64,
                             WORDS("experts.01.gate_proj", "no use"));
    a_last_expert_is_refused(gate, "F16", "[8, 4]", 64,
                             WORDS("experts.1.gate_proj", "wanted 4 x 8", "found 8 x 4"));
    a_last_expert_is_refused(gate, "F16", "[32]", 64, WORDS("experts.1.gate_proj", "found 1 x 32"));
    a_last_expert_is_refused(gate, "F32", "[4, 8]", 128,
                             WORDS("experts.1.gate_proj", "type F16", "of F32"));
    make_whole();
    toy_text("config.json",
             "{\"model_type\": \"qwen3_moe\", \"num_experts\": 4294967295, \"head_dim\": 4}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("wanted 4294967295 experts, found fewer"));
}

static void layers_that_guess_further_tokens_are_left_out(void **state)
{
    (void)state;
    static const char guess[] = "model.layers.1.eh_proj.weight";
    add_all();
    add(guess, "F32", "[2]", 8);
    is_header_refused(WEIR_ERR_UNSUPPORTED, WORDS(guess, "no use"));
    toy_text("config.json", TOY_CONFIG ", \"num_nextn_predict_layers\": 1}");
    weir_manifest *manifest = toy_accepted();
    assert_int_equal(weir_manifest_tensor_count(manifest), 15);
    weir_manifest_close(&manifest);
}

static void the_output_is_tied_where_config_json_says_so(void **state)
{
    (void)state;
    make_config(", \"tie_word_embeddings\": true");
    weir_manifest *manifest = toy_accepted();
    assert_null(weir_manifest_tensor(manifest, "output.weight"));
    weir_manifest_close(&manifest);
    make_config(", \"tie_word_embeddings\": 3");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("tie_word_embeddings", "found 3"));
    begin_header();
    add("model.norm.weight", "F32", "[8]", 32);
    is_header_refused(WEIR_ERR_FORMAT, WORDS("lm_head.weight is missing", "tie_word_embeddings"));
}

static void what_config_json_asks_for_is_read_or_refused(void **state)
{
    (void)state;
    make_config(", \"use_sliding_window\": true");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("config.json", "use_sliding_window", "found true"));
    make_config(", \"use_sliding_window\": false, \"sliding_window\": 4096");
    weir_manifest *manifest = toy_accepted();
    assert_false(weir_manifest_has(manifest, "qwen3moe.attention.sliding_window"));
    weir_manifest_close(&manifest);
    make_config(", \"hidden_act\": \"gelu\"");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("hidden_act", "wanted \"silu\"", "found \"gelu\""));
    make_config(", \"layer_types\": [\"full_attention\", \"sliding_attention\"]");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("layer_types", "\"sliding_attention\""));
    make_config(", \"num_local_experts\": 3");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("qwen3moe.expert_count", "twice"));
    make_config(", \"vocab_size\": \"many\"");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("vocab_size", "a whole number", "\"many\""));
    make_config(", \"vocab_size\": null, \"a_new_thing\": {\"x\": 1}");
    manifest = toy_accepted();
    assert_int_equal(weir_manifest_warnings(manifest)->count, 1);
    assert_non_null(strstr(weir_manifest_warnings(manifest)->text[0], "a_new_thing"));
    weir_manifest_close(&manifest);
    toy_text("config.json", "{\"model_type\": \"qwen3moe\"}");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("model_type \"qwen3moe\"", "is: qwen3_moe"));
    toy_text("config.json", "{}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("model_type", "found nothing"));
    toy_text("config.json", "3");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("wanted an object, found a number"));
    toy_begin();
    toy_text("model.gguf", "");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("a directory without config.json"));
    toy_text("config.json", TOY_CONFIG "}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("model.safetensors", "found neither"));
}

static double real_of(const weir_manifest *manifest, const char *key)
{
    double real = -1.0;
    weir_manifest_f64(manifest, key, &real);
    return real;
}

static void rope_is_scaled_as_config_json_says(void **state)
{
    (void)state;
    make_config(", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, "
                "\"original_max_position_embeddings\": 32}");
    weir_manifest *manifest = toy_accepted();
    assert_string_equal(weir_manifest_text(manifest, "qwen3moe.rope.scaling.type"), "yarn");
    assert_true(real_of(manifest, "qwen3moe.rope.scaling.factor") == 4.0);
    assert_true(real_of(manifest, "qwen3moe.rope.scaling.original_context_length") == 32.0);
    assert_false(weir_manifest_has(manifest, "qwen3moe.rope.scaling.attn_factor"));
    weir_manifest_close(&manifest);
    /* The judge multiplies by attention_factor alone, a GGUF file's reader by YaRN's too. */
    make_config(", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
                "\"attention_factor\": 1.0, \"original_max_position_embeddings\": 32}");
    manifest = toy_accepted();
    const double wanted = 1.0 / 1.1386294361119891;
    assert_true(real_of(manifest, "qwen3moe.rope.scaling.attn_factor") == (double)(float)wanted);
    weir_manifest_close(&manifest);
    make_config(", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 5}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("qwen3moe.rope.freq_base", "twice"));
    make_config(", \"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 4.0}");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("rope_scaling", "\"dynamic\""));
    make_config(", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": \"4\"}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("rope_scaling.factor", "a number", "\"4\""));
    make_config(", \"rope_scaling\": {\"rope_type\": \"linear\", \"twist\": 4}");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("rope_scaling", "twist", "linear"));
    make_config(", \"rope_scaling\": 4");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("rope_scaling", "an object"));
    make_config(", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("rope_scaling.low_freq_factor", "above 0"));
    make_config(", \"partial_rotary_factor\": 0.5");
    manifest = toy_accepted();
    assert_true(real_of(manifest, "qwen3moe.rope.dimension_count") == 2.0);
    weir_manifest_close(&manifest);
}

/* The whole model, its q as FP8, with so many bytes of scales. */
static void make_codes(const char *scale_shape, uint64_t scale_bytes)
{
    toy_begin();
    toy_text("config.json", TOY_CONFIG ", \"quantization_config\": {\"quant_method\": \"fp8\", "
                                       "\"weight_block_size\": [128, 6]}}");
    add_trunk();
    char *const q = strstr(header.text, "\"" L "self_attn.q_proj");
    assert_non_null(q);
    *q = '\0'; /* and what follows it, anew */
    header.data_bytes = 272;
    q[-2] = '\0';
    add(L "self_attn.q_proj.weight", "F8_E4M3", "[8, 8]", 64);
    if (scale_bytes > 0)
        add(L "self_attn.q_proj.weight_scale_inv", "F32", scale_shape, scale_bytes);
    end_header("model.safetensors");
}

static void is_not_described(enum weir_status status, const char *const *words)
{
    struct weir_model *model = NULL;
    struct weir_err err = {0};
    weir_manifest *manifest = toy_accepted();
    assert_int_equal(weir_model_describe(&model, manifest, &err), status);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("wanted \"%s\" in: %s", *words, err.text);
    weir_manifest_close(&manifest);
}

static void codes_without_their_scales_are_refused(void **state)
{
    (void)state;
    make_codes("", 0);
    is_not_described(WEIR_ERR_FORMAT, WORDS("blk.0.attn_q.weight", "without a tensor of scales"));
    make_codes("[1, 3]", 12);
    is_not_described(WEIR_ERR_FORMAT, WORDS("blk.0.attn_q.scales", "dimension 0 must be 2"));
    make_codes("[2, 2]", 16);
    is_not_described(WEIR_ERR_FORMAT, WORDS("blk.0.attn_q.scales", "dimension 1 must be 1"));
    make_codes("[1, 2]", 8); /* then what is missing is the next tensor */
    is_not_described(WEIR_ERR_FORMAT, WORDS("blk.0.attn_k.weight is missing"));
    make_config(", \"quantization_config\": {\"quant_method\": \"hqq\"}");
    toy_is_refused(WEIR_ERR_UNSUPPORTED, WORDS("quantization_config", "\"hqq\"", "format none"));
    make_config(", \"quantization_config\": {\"quant_method\": \"fp8\", "
                "\"weight_block_size\": [128, 0]}");
    toy_is_refused(WEIR_ERR_FORMAT, WORDS("weight_block_size", "[128, 0]"));
}

static void memory_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    const uint64_t heap_bytes = weir_heap_bytes();
    make_whole();
    for (uint64_t call = 1;; call++) {
        weir_manifest *manifest = NULL;
        struct weir_err err;
        weir_heap_fail_at(call);
        const enum weir_status status = toy_parse(&manifest, &err);
        weir_heap_fail_at(0);
        weir_manifest_close(&manifest);
        assert_int_equal(weir_heap_bytes(), heap_bytes);
        if (status == WEIR_OK)
            break;
        assert_int_equal(status, WEIR_ERR_NOMEM);
        assert_true(call < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_tensors_are_those_of_a_gguf_file),
        cmocka_unit_test(shards_are_found_by_their_index),
        cmocka_unit_test(a_header_that_the_file_cannot_have_is_refused),
        cmocka_unit_test(json_ten_thousand_deep_is_refused),
        cmocka_unit_test(ranges_that_overlap_or_leave_bytes_out_are_refused),
        cmocka_unit_test(a_tensor_that_cannot_be_read_is_refused),
        cmocka_unit_test(an_expert_that_is_missing_or_unlike_the_others_is_named),
        cmocka_unit_test(layers_that_guess_further_tokens_are_left_out),
        cmocka_unit_test(the_output_is_tied_where_config_json_says_so),
        cmocka_unit_test(what_config_json_asks_for_is_read_or_refused),
        cmocka_unit_test(rope_is_scaled_as_config_json_says),
        cmocka_unit_test(codes_without_their_scales_are_refused),
        cmocka_unit_test(memory_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
