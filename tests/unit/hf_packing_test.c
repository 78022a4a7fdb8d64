/* hf_packing_test.c - weights that are several tensors each: the golden directories' own headers,
 * whole and with something changed. */
#include "hf_toy.h"
#include "model/model.h"

#define FOLDER "tests/golden/directories/"
#define CODES "model.layers.0.self_attn.q_proj.weight_packed"
#define SCALES "model.layers.0.self_attn.q_proj.weight_scale"
#define K_PROJ "model.layers.0.self_attn.k_proj."
#define EXPERT "model.layers.0.mlp.experts.1.gate_proj.weight_scale"

static char text[TOY_BYTES_MAX];

static size_t read_bytes(const char *folder, const char *name, void *out, size_t most,
                         uint64_t *file_bytes)
{
    char path[256];
    snprintf(path, sizeof(path), FOLDER "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is missing", path);
    const size_t count = fread(out, 1, most, file);
    fseek(file, 0, SEEK_END);
    *file_bytes = (uint64_t)ftell(file);
    fclose(file);
    return count;
}

/* config.json and the header of the one file that a golden directory has. */
static void load(const char *folder)
{
    uint64_t file_bytes = 0;
    uint64_t length = 0;
    toy_begin();
    text[read_bytes(folder, "config.json", text, sizeof(text) - 1, &file_bytes)] = '\0';
    toy_text("config.json", text);
    read_bytes(folder, "model.safetensors", text, sizeof(text) - 1, &file_bytes);
    memcpy(&length, text, sizeof(length));
    assert_true(length < sizeof(text) - sizeof(length));
    text[sizeof(length) + length] = '\0';
    toy_tensors("model.safetensors", text + sizeof(length), file_bytes - sizeof(length) - length);
}

/* In the text that begins at word, the first `from` is `to` from now on. */
static void change(char *whole, const char *word, const char *from, const char *to)
{
    char *at = strstr(whole, word);
    if (at == NULL || (at = strstr(at, from)) == NULL)
        fail_msg("no %s behind %s", from, word);
    memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    memcpy(at, to, strlen(to));
}

static void change_config(const char *from, const char *to)
{
    memcpy(text, toy.files[0].bytes, toy.files[0].length);
    text[toy.files[0].length] = '\0';
    change(text, from, from, to);
    toy_text("config.json", text);
}

static void change_header(const char *tensor, const char *from, const char *to)
{
    const struct weir_hf_file *file = &toy.files[1];
    const uint64_t data_bytes = file->file_bytes - file->length;
    char name[128];
    snprintf(name, sizeof(name), "\"%s\"", tensor);
    memcpy(text, (const char *)file->bytes + sizeof(uint64_t), file->length - sizeof(uint64_t));
    text[file->length - sizeof(uint64_t)] = '\0';
    change(text, name, from, to);
    toy_tensors("model.safetensors", text, data_bytes);
}

static enum weir_status describe(weir_manifest **manifest, struct weir_model **model,
                                 struct weir_err *err)
{
    *manifest = NULL;
    *model = NULL;
    const enum weir_status status = toy_parse(manifest, err);
    return status != WEIR_OK ? status : weir_model_describe(model, *manifest, err);
}

static void is_refused(enum weir_status wanted, const char *const *words)
{
    struct weir_model *model;
    weir_manifest *manifest;
    struct weir_err err;
    const enum weir_status status = describe(&manifest, &model, &err);
    weir_model_destroy(&model);
    weir_manifest_close(&manifest);
    assert_int_equal(status, wanted);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("wanted \"%s\" in: %s", *words, err.text);
}

static void is_config_refused(const char *from, const char *to, enum weir_status status,
                              const char *const *words)
{
    load("qwen3moe-int4-rows");
    change_config(from, to);
    is_refused(status, words);
}

static void is_header_refused(const char *folder, const char *tensor, const char *from,
                              const char *to, enum weir_status status, const char *const *words)
{
    load(folder);
    change_header(tensor, from, to);
    is_refused(status, words);
}

static void are_dims(const weir_manifest *manifest, const char *name, uint64_t cols, uint64_t rows,
                     uint64_t count)
{
    const struct weir_tensor *tensor = weir_manifest_tensor(manifest, name);
    if (tensor == NULL)
        fail_msg("%s is missing", name);
    assert_int_equal(tensor->dims[0], cols);
    assert_int_equal(tensor->dims[1], rows);
    assert_int_equal(tensor->dims[2], count);
}

static void codes_scales_and_factors_are_told_apart(void **state)
{
    (void)state;
    struct weir_model *model;
    weir_manifest *manifest;
    struct weir_err err;
    struct weir_store_layer layer;
    load("qwen3moe-modelopt");
    if (describe(&manifest, &model, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    are_dims(manifest, "blk.0.ffn_gate_exps.weight", 32, 16, 5);
    are_dims(manifest, "blk.0.ffn_gate_exps.scales", 2, 16, 5);
    are_dims(manifest, "blk.0.ffn_gate_exps.scale", 1, 1, 5);
    const struct weir_weight *down = &model->layers[0].network.expert_down;
    assert_int_equal(down->type, WEIR_TYPE_F4_E2M1);
    assert_int_equal(down->matrix_bytes, 32 * 16 / 2);
    assert_int_equal(down->scales.type, WEIR_SCALE_F8_E4M3);
    assert_int_equal(down->scales.matrix_bytes, 32);
    assert_int_equal(down->scale.tensor->change, WEIR_CHANGE_NONE);
    /* Codes and scales of gate and up, then of down. */
    weir_model_store_layer(model, 0, &layer);
    assert_int_equal(layer.slice_count, 6);
    assert_int_equal(layer.head_count, 4);
    assert_int_equal(layer.slice[5].bytes, 32);
    assert_int_equal(
        layer.slice[5].places[3].offset,
        weir_manifest_tensor(manifest, "blk.0.ffn_down_exps.scales")->places[3].offset);
    weir_model_destroy(&model);
    weir_manifest_close(&manifest);
}

/* Row r of gate is row 2 r of what both share, row r of up the one behind it. */
static void rows_that_take_turns_are_one_slice(void **state)
{
    (void)state;
    struct weir_model *model;
    weir_manifest *manifest;
    struct weir_err err;
    struct weir_store_layer layer;
    load("gpt-oss");
    if (describe(&manifest, &model, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    are_dims(manifest, "blk.0.ffn_gate_up_exps.weight", 32, 128, 3);
    are_dims(manifest, "blk.0.ffn_gate_up_exps.scales", 1, 128, 3);
    const struct weir_weight *gate = &model->layers[0].network.expert_gate;
    const struct weir_weight *up = &model->layers[0].network.expert_up;
    assert_true(gate->rows == 64 && gate->row_bytes == 32 && gate->matrix_bytes == 2048);
    assert_true(gate->lead_bytes == 0 && up->lead_bytes == 16 && up->offset == gate->offset);
    assert_true(gate->scales.lead_bytes == 0 && up->scales.lead_bytes == 1);
    assert_true(up->scales.row_bytes == 2 && up->scales.type == WEIR_SCALE_E8M0);
    assert_true(up->bias.first == 1 && up->bias.step == 2 && up->bias.cols == 64);
    weir_model_store_layer(model, 0, &layer);
    assert_int_equal(layer.slice_count, 4);
    assert_int_equal(layer.head_count, 2);
    uint64_t bytes = 0;
    for (uint32_t slice = 0; slice < layer.slice_count; slice++)
        bytes += layer.slice[slice].bytes;
    assert_int_equal(model->expert_bytes, 2 * 3 * bytes); /* each counted once */
    weir_model_destroy(&model);
    weir_manifest_close(&manifest);
}

static void what_gpt_oss_may_not_have_is_named(void **state)
{
    (void)state;
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    const char *const up = "model.layers.0.mlp.experts.gate_up_proj_blocks";
    const char *const scales = "model.layers.0.mlp.experts.gate_up_proj_scales";
    is_header_refused("gpt-oss", up, "[3,128,1,16]", "[3,128,2,8]", WEIR_ERR_FORMAT,
                      WORDS("gate_up_proj_blocks", "the last of 16", "the last of 8"));
    is_header_refused("gpt-oss", up, "[3,128,1,16]", "[3,128,16]", WEIR_ERR_FORMAT,
                      WORDS("gate_up_proj_blocks", "wanted 4 dimensions", "found 3"));
    is_header_refused("gpt-oss", scales, "[3,128,1]", "[3,64,2]", WEIR_ERR_FORMAT,
                      WORDS("blk.0.ffn_gate_up_exps.scales", "dimension 0 must be 1, found 2"));
    is_header_refused("gpt-oss", up, "_blocks", "", unsupported,
                      WORDS("gate_up_proj", "column by column, found U8", "take a GGUF file"));
    load("gpt-oss");
    change_config("\"truncate\": false", "\"truncate\": true");
    is_refused(unsupported, WORDS("truncate", "wanted false, found true"));
    load("gpt-oss");
    change_config("\"truncate\": false", "\"beta_slow\": 1.0");
    is_refused(unsupported, WORDS("truncate", "wanted false, found none"));
    load("gpt-oss");
    change_config("\"swiglu_alpha\": 1.702", "\"swiglu_alpha\": 1.5");
    is_refused(unsupported, WORDS("swiglu_alpha", "1.702", "1.5"));
}

static void shapes_that_disagree_are_named(void **state)
{
    (void)state;
    const enum weir_status format = WEIR_ERR_FORMAT;
    is_header_refused("qwen3moe-mxfp4", SCALES, "[32,1]", "[16,2]", format,
                      WORDS("blk.0.attn_q.scales", "dimension 0 must be 1, found 2"));
    is_header_refused("qwen3moe-mxfp4", CODES, "[32,16]", "[16,32]", format,
                      WORDS("blk.0.attn_q.weight", "dimension 0 must be 32, found 64"));
    is_header_refused("qwen3moe-int4-rows", EXPERT, "[16,1]", "[8,2]", format,
                      WORDS("experts.1.gate_proj.weight_scale", "wanted 16 x 1", "found 8 x 2"));
    is_header_refused("qwen3moe-mxfp4", SCALES, ".weight_scale", ".weight_scala",
                      WEIR_ERR_UNSUPPORTED, WORDS("q_proj.weight_scala", "no use"));
    is_header_refused(
        "qwen3moe-modelopt", SCALES, ".weight_scale", ".k_scale", format,
        WORDS("blk.0.attn_q.weight", "codes (F4_E2M1)", "without a tensor of scales"));
    is_header_refused("qwen3moe-modelopt", EXPERT, ".weight_scale", ".k_scale", format,
                      WORDS("expert 1 of", "blk.0.ffn_gate_exps.scales is missing"));
}

/* A tensor of zero points for all codes, or for none. */
static void zero_points_are_beside_their_codes(void **state)
{
    (void)state;
    const enum weir_status format = WEIR_ERR_FORMAT;
    struct weir_model *model;
    weir_manifest *manifest;
    struct weir_err err;
    load("qwen3moe-int4-zeros");
    assert_int_equal(describe(&manifest, &model, &err), WEIR_OK);
    are_dims(manifest, "blk.0.attn_k.zeros", 4, 2, 1);
    are_dims(manifest, "blk.1.ffn_down_exps.zeros", 2, 4, 5);
    assert_int_equal(model->layers[0].network.expert_down.zeros.slice, 8);
    weir_model_destroy(&model);
    weir_manifest_close(&manifest);
    is_header_refused("qwen3moe-int4-zeros", K_PROJ "weight_zero_point", "weight_zero_point",
                      "weight_shape_of_it", WEIR_ERR_UNSUPPORTED, WORDS("no use"));
    is_config_refused("\"symmetric\": true", "\"symmetric\": false", format,
                      WORDS("blk.0.ffn_gate_exps.weight", "no tensor of them"));
    load("qwen3moe-mxfp4");
    change_config("\"symmetric\": true", "\"symmetric\": false");
    is_refused(WEIR_ERR_UNSUPPORTED, WORDS("symmetric", "floats have no zero points"));
    is_header_refused("qwen3moe-int4-zeros", K_PROJ "weight_zero_point", "[2,4]", "[4,2]", format,
                      WORDS("blk.0.attn_k.zeros", "dimension 0 must be 4, found 2"));
    is_header_refused("qwen3moe-int4-zeros", K_PROJ "weight_zero_point", "[2,4]", "[1,8]", format,
                      WORDS("blk.0.attn_k.zeros", "dimension 0 must be 4, found 8"));
}

static void types_that_are_not_the_packings_are_named(void **state)
{
    (void)state;
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    is_header_refused("qwen3moe-mxfp4", CODES, "\"U8\"", "\"I8\"", unsupported,
                      WORDS("q_proj.weight_packed", "codes stored as U8", "found I8"));
    is_header_refused("qwen3moe-modelopt", SCALES, "F8_E4M3", "F8_E5M2", unsupported,
                      WORDS("q_proj.weight_scale", "scales stored as F8_E4M3", "found F8_E5M2"));
    is_header_refused("qwen3moe-int4-rows", EXPERT, "\"BF16\"", "\"I16\"", WEIR_ERR_FORMAT,
                      WORDS("experts.1.gate_proj.weight_scale", "I16"));
    is_header_refused("qwen3moe-int4-rows", "model.layers.0.mlp.experts.1.gate_proj.weight_shape",
                      "weight_shape", "weight_zero_point", unsupported,
                      WORDS("gate_proj.weight_zero_point", "zero points stored as I32", "I64"));
    is_header_refused("qwen3moe-int4-rows", "model.layers.0.mlp.experts.1.gate_proj.weight_shape",
                      "weight_shape", "weight_g_idx", unsupported,
                      WORDS("gate_proj.weight_g_idx", "another order"));
}

/* Those of the hub's most usual files: why, and what runs in their place. */
static void methods_that_cannot_be_read_in_place_say_what_to_take(void **state)
{
    (void)state;
    static const char *const methods[] = {"awq", "gptq", "bitsandbytes"};
    for (size_t index = 0; index < WEIR_COUNT(methods); index++) {
        char changed[64];
        snprintf(changed, sizeof(changed), "\"%s\"", methods[index]);
        is_config_refused("\"compressed-tensors\"", changed, WEIR_ERR_UNSUPPORTED,
                          WORDS(methods[index], "GGUF file", "pack-quantized"));
    }
}

static void what_quantization_config_says_is_read_or_refused(void **state)
{
    (void)state;
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    is_config_refused("\"num_bits\": 4", "\"num_bits\": 8", unsupported,
                      WORDS("num_bits", "wanted 4, found 8"));
    is_config_refused("\"type\": \"int\"", "\"type\": \"float\"", unsupported,
                      WORDS("type", "wanted int, found \"float\""));
    is_config_refused("\"symmetric\": true", "\"symmetric\": 1", WEIR_ERR_FORMAT,
                      WORDS("symmetric", "wanted true or false"));
    is_config_refused("\"dynamic\": false", "\"actorder\": \"group\"", unsupported,
                      WORDS("actorder", "\"group\""));
    is_config_refused("\"group_size\": null", "\"group_size\": 7", WEIR_ERR_FORMAT,
                      WORDS("group_size", "wanted a multiple of 2, found 7"));
    is_config_refused("\"group_size\": null", "\"group_size\": 8", WEIR_ERR_FORMAT,
                      WORDS("blk.0.ffn_gate_exps.scales", "dimension 0 must be 4, found 1"));
    is_config_refused("\"group_0\": {", "\"group_1\": {\"format\": \"dense\"}, \"group_0\": {",
                      unsupported, WORDS("format of a group", "pack-quantized", "\"dense\""));
    is_config_refused("\"group_0\": {",
                      "\"group_1\": {\"weights\": {\"group_size\": 4}}, \"group_2\": {\"weights\": "
                      "{\"group_size\": 8}}, \"group_0\": {",
                      unsupported, WORDS("group_size", "wanted 4", "found 8"));
    is_config_refused("\"pack-quantized\"", "\"marlin-24\"", unsupported,
                      WORDS("nvfp4-pack-quantized", "\"marlin-24\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_scales_and_factors_are_told_apart),
        cmocka_unit_test(rows_that_take_turns_are_one_slice),
        cmocka_unit_test(what_gpt_oss_may_not_have_is_named),
        cmocka_unit_test(shapes_that_disagree_are_named),
        cmocka_unit_test(zero_points_are_beside_their_codes),
        cmocka_unit_test(types_that_are_not_the_packings_are_named),
        cmocka_unit_test(methods_that_cannot_be_read_in_place_say_what_to_take),
        cmocka_unit_test(what_quantization_config_says_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
