/* hf_packing.c - weights that are stored as codes and scales, each a tensor of its own.
 *
 * quantization_config says how; the scales of a weight are a tensor whose name ends as the rows
 * below have it. Sources: Hugging Face transformers (fp8), compressed-tensors. */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

static const struct hf_packing packings[] = {
    {.method = "fp8", .suffix = ".weight_scale_inv"},
    {.method = "compressed-tensors",
     .format = "float-quantized",
     .suffix = ".weight_scale",
     .unused = ".input_scale"},
};

/* A text of config.json for messages, or that there is none. */
static int show_length(struct weir_json value)
{
    return value.start == NULL ? 4 : (int)weir_min(40, (uint64_t)(value.end - value.start));
}

static const char *show(struct weir_json value)
{
    return value.start == NULL ? "none" : value.start;
}

/* How many rows by how many columns share a scale; neither where the shapes say it. */
static enum weir_status read_block(struct hf_config *config, struct weir_json quantized)
{
    const struct weir_json block = weir_json_member(quantized, "weight_block_size");
    uint64_t sides[2] = {0, 0};
    bool is_pair = weir_json_kind(block) == WEIR_JSON_ARRAY && weir_json_count(block) == 2;
    if (weir_json_kind(block) <= WEIR_JSON_NULL)
        return WEIR_OK;
    for (struct weir_json_walk walk = weir_json_walk(block); is_pair && weir_json_next(&walk);)
        is_pair = weir_json_u64(walk.value, &sides[walk.index]) && sides[walk.index] > 0 &&
                  sides[walk.index] <= UINT32_MAX;
    if (!is_pair)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: weight_block_size: wanted rows and columns, found %.*s", config->path,
                         show_length(block), show(block));
    config->group_rows = (uint32_t)sides[0];
    config->group_cols = (uint32_t)sides[1];
    return WEIR_OK;
}

enum weir_status weir_hf_packing_read(struct hf_config *config)
{
    struct weir_json quantized = weir_hf_member(config, "quantization_config");
    if (weir_json_kind(quantized) == WEIR_JSON_NONE)
        quantized = weir_json_member(config->root, "quantization_config");
    if (weir_json_kind(quantized) <= WEIR_JSON_NULL)
        return WEIR_OK;
    const struct weir_json method = weir_json_member(quantized, "quant_method");
    struct weir_json format = weir_json_member(quantized, "format");
    if (weir_json_kind(format) == WEIR_JSON_NONE)
        format = weir_json_member(quantized, "quant_algo");
    for (size_t row = 0; row < WEIR_COUNT(packings); row++) {
        const struct hf_packing *packing = &packings[row];
        if (!weir_json_is(method, packing->method) ||
            (packing->format != NULL && !weir_json_is(format, packing->format)))
            continue;
        config->packing = packing;
        return read_block(config, quantized);
    }
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: quantization_config: wanted quant_method fp8, or compressed-tensors with "
                     "format float-quantized, found %.*s with format %.*s",
                     config->path, show_length(method), show(method), show_length(format),
                     show(format));
}

static bool ends_with(const char *name, const char *suffix)
{
    const size_t length = strlen(name);
    return suffix != NULL && length > strlen(suffix) &&
           strcmp(name + length - strlen(suffix), suffix) == 0;
}

bool weir_hf_is_unused_piece(const struct hf_packing *packing, const char *name)
{
    return packing != NULL && ends_with(name, packing->unused);
}

bool weir_hf_is_scales(const struct hf_packing *packing, const char *name,
                       char weight[WEIR_NAME_MAX + 1])
{
    if (packing == NULL || !ends_with(name, packing->suffix))
        return false;
    snprintf(weight, WEIR_NAME_MAX + 1, "%.*s.weight",
             (int)(strlen(name) - strlen(packing->suffix)), name);
    return true;
}
