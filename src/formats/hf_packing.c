/* hf_packing.c - weights that are stored as codes and scales, each a tensor of its own.
 *
 * quantization_config says how; a tensor's name says what it is of which weight. Sources: Hugging
 * Face transformers 5 (fp8, mxfp4), compressed-tensors 0.20 (its compressors, and its converter of
 * modelopt's files). */
#include "formats/hf_packing.h"

#include <stdio.h>
#include <string.h>

#define WEIGHT ".weight"

static const struct hf_packing packings[] = {
    {.method = "fp8",
     .type = WEIR_TYPE_F8_E4M3,
     .weight = WEIGHT,
     .pieces = {{.suffix = ".weight_scale_inv", .kind = HF_SCALES}}},
    {.method = "mxfp4",
     .type = WEIR_TYPE_F4_E2M1,
     .weight = "_blocks",
     .group_cols = 32,
     .pieces = {{.suffix = "_blocks",
                 .kind = HF_CODES,
                 .dtype = "U8",
                 .code_count = 2,
                 .is_in_groups = true},
                {.suffix = "_scales", .kind = HF_SCALES, .dtype = "U8"}}},
    {.method = "compressed-tensors",
     .format = "float-quantized",
     .type = WEIR_TYPE_F8_E4M3,
     .weight = WEIGHT,
     .number = "float",
     .bits = 8,
     .pieces = {{.suffix = ".weight_scale", .kind = HF_SCALES},
                {.suffix = ".input_scale", .kind = HF_NOTE},
                {.suffix = ".k_scale", .kind = HF_NOTE}, /* of kept keys and values */
                {.suffix = ".v_scale", .kind = HF_NOTE}}},
    {.method = "compressed-tensors",
     .format = "pack-quantized",
     .type = WEIR_TYPE_I4,
     .weight = WEIGHT,
     .number = "int",
     .bits = 4,
     .pieces = {{.suffix = ".weight_packed", .kind = HF_CODES, .dtype = "I32", .code_count = 8},
                {.suffix = ".weight_scale", .kind = HF_SCALES},
                {.suffix = ".weight_shape", .kind = HF_NOTE}, /* the codes' own shape says it */
                {.suffix = ".weight_zero_point", .kind = HF_ZEROS, .dtype = "I32"},
                {.suffix = ".weight_g_idx",
                 .kind = HF_REFUSED,
                 .what = "columns in another order (actorder)"}}},
    {.method = "compressed-tensors",
     .format = "nvfp4-pack-quantized",
     .type = WEIR_TYPE_F4_E2M1,
     .weight = WEIGHT,
     .group_cols = 16,
     .number = "float",
     .bits = 4,
     .pieces = {{.suffix = ".weight_packed", .kind = HF_CODES, .dtype = "U8", .code_count = 2},
                {.suffix = ".weight_scale", .kind = HF_SCALES, .dtype = "F8_E4M3"},
                {.suffix = ".weight_global_scale", .kind = HF_DIVISOR},
                {.suffix = ".input_global_scale", .kind = HF_NOTE},
                {.suffix = ".k_scale", .kind = HF_NOTE}, /* of kept keys and values */
                {.suffix = ".v_scale", .kind = HF_NOTE}}},
    {.method = "compressed-tensors",
     .format = "mxfp4-pack-quantized",
     .type = WEIR_TYPE_F4_E2M1,
     .weight = WEIGHT,
     .group_cols = 32,
     .number = "float",
     .bits = 4,
     .pieces = {{.suffix = ".weight_packed", .kind = HF_CODES, .dtype = "U8", .code_count = 2},
                {.suffix = ".weight_scale", .kind = HF_SCALES, .dtype = "U8"}}},
    {.method = "modelopt",
     .format = "NVFP4",
     .type = WEIR_TYPE_F4_E2M1,
     .weight = WEIGHT,
     .group_cols = 16,
     .pieces = {{.suffix = WEIGHT, .kind = HF_CODES, .dtype = "U8", .code_count = 2},
                {.suffix = ".weight_scale", .kind = HF_SCALES, .dtype = "F8_E4M3"},
                {.suffix = ".weight_scale_2", .kind = HF_FACTOR},
                {.suffix = ".input_scale", .kind = HF_NOTE},
                {.suffix = ".k_scale", .kind = HF_NOTE}, /* of kept keys and values */
                {.suffix = ".v_scale", .kind = HF_NOTE}}},
};

/* ---- quantization_config --------------------------------------------------------------------- */

/* A text of config.json for messages, or that there is none. */
static int show_length(struct weir_json value)
{
    return value.start == NULL ? 4 : (int)weir_min(40, (uint64_t)(value.end - value.start));
}

static const char *show(struct weir_json value)
{
    return value.start == NULL ? "none" : value.start;
}

static enum weir_status refuse(const struct hf_config *config, enum weir_status status,
                               const char *name, const char *wanted, struct weir_json found)
{
    return WEIR_FAIL(config->err, status, "%s: quantization_config: %s: wanted %s, found %.*s",
                     config->path, name, wanted, show_length(found), show(found));
}

/* How many rows by how many columns share a scale; neither where the shapes say it. */
static enum weir_status read_block(struct hf_config *config, struct weir_json owner,
                                   const char *name)
{
    const struct weir_json block = weir_json_member(owner, name);
    uint64_t sides[2] = {0, 0};
    bool is_pair = weir_json_kind(block) == WEIR_JSON_ARRAY && weir_json_count(block) == 2;
    if (weir_json_kind(block) <= WEIR_JSON_NULL)
        return WEIR_OK;
    for (struct weir_json_walk walk = weir_json_walk(block); is_pair && weir_json_next(&walk);)
        is_pair = weir_json_u64(walk.value, &sides[walk.index]) && sides[walk.index] > 0 &&
                  sides[walk.index] <= UINT32_MAX;
    if (!is_pair)
        return refuse(config, WEIR_ERR_FORMAT, name, "rows and columns", block);
    config->group_rows = (uint32_t)sides[0];
    config->group_cols = (uint32_t)sides[1];
    return WEIR_OK;
}

/* Of a scale: whole bytes of codes, as many in each group of layers. */
static enum weir_status read_group_size(struct hf_config *config, struct weir_json weights)
{
    const struct weir_json value = weir_json_member(weights, "group_size");
    const uint32_t block = weir_quant_info(config->packing->type)->block_len;
    char wanted[64];
    uint64_t size = 0;
    double number = 0.0;
    if (weir_json_kind(value) <= WEIR_JSON_NULL)
        return WEIR_OK;
    if (weir_json_f64(value, &number) && number == -1.0)
        return WEIR_OK; /* a row */
    snprintf(wanted, sizeof(wanted), "a multiple of %u", block);
    if (!weir_json_u64(value, &size) || size == 0 || size > UINT32_MAX || size % block != 0)
        return refuse(config, WEIR_ERR_FORMAT, "group_size", wanted, value);
    snprintf(wanted, sizeof(wanted), "%u as before it, or as the format has it",
             config->group_cols);
    if (config->group_cols != 0 && config->group_cols != size)
        return refuse(config, WEIR_ERR_UNSUPPORTED, "group_size", wanted, value);
    config->group_rows = 1;
    config->group_cols = (uint32_t)size;
    return WEIR_OK;
}

static bool packs_zeros(const struct hf_packing *packing)
{
    for (size_t row = 0; row < HF_PIECE_MAX; row++)
        if (packing->pieces[row].suffix != NULL && packing->pieces[row].kind == HF_ZEROS)
            return true;
    return false;
}

/* One of config_groups: what is said about weights. */
static enum weir_status read_group(struct hf_config *config, struct weir_json group)
{
    const struct hf_packing *packing = config->packing;
    const struct weir_json weights = weir_json_member(group, "weights");
    const struct weir_json format = weir_json_member(group, "format");
    const struct weir_json bits = weir_json_member(weights, "num_bits");
    const struct weir_json number = weir_json_member(weights, "type");
    const struct weir_json symmetric = weir_json_member(weights, "symmetric");
    const struct weir_json order = weir_json_member(weights, "actorder");
    const enum weir_status unsupported = WEIR_ERR_UNSUPPORTED;
    char wanted[16];
    uint64_t count = 0;
    bool flag = true;
    snprintf(wanted, sizeof(wanted), "%u", packing->bits);
    if (weir_json_kind(format) > WEIR_JSON_NULL && !weir_json_is(format, packing->format))
        return refuse(config, unsupported, "format of a group", packing->format, format);
    if (weir_json_kind(bits) > WEIR_JSON_NULL &&
        (!weir_json_u64(bits, &count) || count != packing->bits))
        return refuse(config, unsupported, "num_bits", wanted, bits);
    if (weir_json_kind(number) > WEIR_JSON_NULL && !weir_json_is(number, packing->number))
        return refuse(config, unsupported, "type", packing->number, number);
    if (weir_json_kind(symmetric) > WEIR_JSON_NULL && !weir_json_bool(symmetric, &flag))
        return refuse(config, WEIR_ERR_FORMAT, "symmetric", "true or false", symmetric);
    if (!flag && !packs_zeros(packing))
        return refuse(config, unsupported, "symmetric", "true (floats have no zero points)",
                      symmetric);
    config->has_zeros = config->has_zeros && !flag;
    if (weir_json_is(order, "group") || weir_json_is(order, "dynamic"))
        return refuse(config, unsupported, "actorder", "columns in their order", order);
    WEIR_TRY(read_block(config, weights, "block_structure"));
    return read_group_size(config, weights);
}

/* Methods that people meet, of which no packing can be read in place: why, and what to take. */
static enum weir_status refuse_other(const struct hf_config *config, struct weir_json method)
{
    static const struct {
        const char *method, *why;
    } others[] = {
        {"awq", "a word has eight rows' codes of one column, in an order of its own (gemm)"},
        {"gptq", "codes lie column by column, and columns may be in another order (g_idx)"},
        {"bitsandbytes", "codes lie apart from the shapes of their matrices"},
    };
    for (size_t row = 0; row < WEIR_COUNT(others); row++)
        if (weir_json_is(method, others[row].method))
            return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                             "%s: quantization_config: quant_method %s is not built in: %s, and "
                             "weights are read where they lie. Take a GGUF file of the model "
                             "(Q4_K_M is about as large), or one in 4 bits by compressed-tensors "
                             "(pack-quantized, which llm-compressor writes for AWQ and GPTQ too)",
                             config->path, others[row].method, others[row].why);
    return WEIR_OK;
}

enum weir_status weir_hf_packing_read(struct hf_config *config)
{
    struct weir_json quantized = weir_hf_member(config, "quantization_config");
    /* As mlx-lm writes it, alone or beside a copy under the usual name. */
    const struct weir_json mlx = weir_json_member(config->root, "quantization");
    if (weir_json_kind(weir_json_member(mlx, "group_size")) != WEIR_JSON_NONE &&
        weir_json_kind(weir_json_member(mlx, "bits")) != WEIR_JSON_NONE)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: quantization: its weights are packed for MLX, which is not built "
                         "in; get a GGUF file of the model, or its directory as first published",
                         config->path);
    if (weir_json_kind(quantized) == WEIR_JSON_NONE)
        quantized = weir_json_member(config->root, "quantization_config");
    if (weir_json_kind(quantized) <= WEIR_JSON_NULL)
        return WEIR_OK;
    const struct weir_json method = weir_json_member(quantized, "quant_method");
    struct weir_json format = weir_json_member(quantized, "format");
    if (weir_json_kind(format) == WEIR_JSON_NONE)
        format = weir_json_member(quantized, "quant_algo");
    for (size_t row = 0; row < WEIR_COUNT(packings) && config->packing == NULL; row++)
        if (weir_json_is(method, packings[row].method) &&
            (packings[row].format == NULL || weir_json_is(format, packings[row].format)))
            config->packing = &packings[row];
    if (config->packing == NULL)
        WEIR_TRY(refuse_other(config, method));
    if (config->packing == NULL)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: quantization_config: wanted quant_method fp8, mxfp4, modelopt with "
                         "NVFP4, or compressed-tensors with format float-quantized, "
                         "pack-quantized, nvfp4-pack-quantized or mxfp4-pack-quantized, found %.*s "
                         "with format %.*s; a GGUF file of the model, or its directory as first "
                         "published, may run",
                         config->path, show_length(method), show(method), show_length(format),
                         show(format));
    config->group_cols = config->packing->group_cols;
    config->group_rows = config->group_cols != 0 ? 1 : 0;
    WEIR_TRY(read_block(config, quantized, "weight_block_size"));
    struct weir_json_walk walk = weir_json_walk(weir_json_member(quantized, "config_groups"));
    config->has_zeros = packs_zeros(config->packing);
    uint32_t group_count = 0;
    for (; config->packing->number != NULL && weir_json_next(&walk); group_count++)
        WEIR_TRY(read_group(config, walk.value));
    config->has_zeros = config->has_zeros && group_count > 0;
    return WEIR_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
    const size_t length = strlen(name);
    return length > strlen(suffix) && strcmp(name + length - strlen(suffix), suffix) == 0;
}

const struct hf_piece *weir_hf_piece_find(const struct hf_config *config,
                                          const struct weir_raw_tensor *raw,
                                          char weight[WEIR_NAME_MAX + 1])
{
    const struct hf_packing *packing = config->packing;
    snprintf(weight, WEIR_NAME_MAX + 1, "%s", raw->name);
    for (size_t row = 0; packing != NULL && row < HF_PIECE_MAX; row++) {
        const struct hf_piece *piece = &packing->pieces[row];
        if (piece->suffix == NULL || !ends_with(raw->name, piece->suffix))
            continue;
        /* Codes under the name of a whole weight are known by what they are stored as. */
        if (strcmp(piece->suffix, WEIGHT) == 0 && strcmp(raw->dtype->name, piece->dtype) != 0)
            continue;
        snprintf(weight, WEIR_NAME_MAX + 1, "%.*s%s",
                 (int)(strlen(raw->name) - strlen(piece->suffix)), raw->name, packing->weight);
        return piece;
    }
    return NULL;
}

/* Dimensions count codes, and those of a row are one dimension. */
static enum weir_status shape_codes(const struct hf_config *config, const struct hf_piece *piece,
                                    const struct weir_raw_tensor *raw, const char *path,
                                    struct weir_tensor *tensor)
{
    uint64_t *dims = tensor->dims;
    const uint64_t group_bytes = config->group_cols / piece->code_count;
    if (piece->is_in_groups) {
        if (raw->n_dim != 4 || dims[0] != group_bytes)
            return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: wanted 4 dimensions, the last of %llu, found %u, the "
                             "last of %llu",
                             path, raw->name, (unsigned long long)group_bytes, raw->n_dim,
                             (unsigned long long)dims[0]);
        dims[0] *= dims[1];
        dims[1] = dims[2];
        dims[2] = dims[3];
        dims[3] = 1;
        tensor->n_dim = 3;
    }
    if (!weir_checked_mul(dims[0], piece->code_count, &dims[0]))
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: %llu times %u codes in a row", path, raw->name,
                         (unsigned long long)dims[0], piece->code_count);
    return WEIR_OK;
}

/* False: no scales are stored as this. Bytes are powers of two where the packing wants bytes. */
static bool find_scale_type(const struct hf_piece *piece, const char *dtype,
                            enum weir_scale_type *type)
{
    static const char *const names[WEIR_SCALE_COUNT] = {
        [WEIR_SCALE_F32] = "F32",         [WEIR_SCALE_F16] = "F16",      [WEIR_SCALE_BF16] = "BF16",
        [WEIR_SCALE_F8_E4M3] = "F8_E4M3", [WEIR_SCALE_E8M0] = "F8_E8M0",
    };
    if (piece->dtype != NULL && strcmp(piece->dtype, "U8") == 0)
        dtype = names[WEIR_SCALE_E8M0];
    for (int row = 0; row < WEIR_SCALE_COUNT; row++)
        if (strcmp(dtype, names[row]) == 0) {
            *type = (enum weir_scale_type)row;
            return true;
        }
    return false;
}

enum weir_status weir_hf_piece_apply(const struct hf_config *config, const struct hf_piece *piece,
                                     const struct weir_raw_tensor *raw, const char *path,
                                     struct weir_tensor *tensor, char *name, size_t capacity)
{
    static const char *const words[] = {[HF_CODES] = ".weight",
                                        [HF_SCALES] = ".scales",
                                        [HF_ZEROS] = ".zeros",
                                        [HF_FACTOR] = ".scale",
                                        [HF_DIVISOR] = ".scale"};
    const enum weir_type type = config->packing->type;
    char *word = strrchr(name, '.');
    if (piece->dtype != NULL && strcmp(raw->dtype->name, piece->dtype) != 0)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: tensor %s: wanted %s stored as %s, found %s", path, raw->name,
                         piece->kind == HF_CODES   ? "codes"
                         : piece->kind == HF_ZEROS ? "zero points"
                                                   : "scales",
                         piece->dtype, raw->dtype->name);
    if (word != NULL)
        snprintf(word, capacity - (size_t)(word - name), "%s", words[piece->kind]);
    if (piece->kind == HF_DIVISOR)
        tensor->change = WEIR_CHANGE_INVERSE;
    if (piece->kind == HF_FACTOR || piece->kind == HF_DIVISOR)
        return WEIR_OK;
    tensor->type = type;
    tensor->known = true;
    if (piece->kind == HF_CODES) {
        tensor->type_name = weir_quant_info(type)->name;
        tensor->has_zeros = config->has_zeros;
        return shape_codes(config, piece, raw, path, tensor);
    }
    tensor->is_scales = piece->kind == HF_SCALES;
    tensor->is_zeros = piece->kind == HF_ZEROS;
    if (tensor->is_zeros)
        return WEIR_OK;
    tensor->known = find_scale_type(piece, raw->dtype->name, &tensor->scale_type);
    tensor->group_rows = config->group_rows;
    tensor->group_cols = config->group_cols;
    return WEIR_OK;
}
