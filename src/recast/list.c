/* list.c - the tensors of a manifest as a GGUF file has them. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "quant/i4.h"
#include "recast/recast_internal.h"

/* "X.word" of "X.weight"; NULL: there is none. */
static const struct weir_tensor *find_beside(const weir_manifest *manifest,
                                             const struct weir_tensor *source, const char *word)
{
    static const char weight[] = ".weight";
    const size_t length = strlen(source->name);
    const size_t end = sizeof(weight) - 1;
    char name[WEIR_NAME_MAX + 16];
    if (length <= end || strcmp(source->name + length - end, weight) != 0)
        return NULL;
    snprintf(name, sizeof(name), "%.*s.%s", (int)(length - end), source->name, word);
    return weir_manifest_tensor(manifest, name);
}

/* The weight "X.weight" of "X.scale". */
static const struct weir_tensor *find_weight(const weir_manifest *manifest, const char *name)
{
    const char *dot = strrchr(name, '.');
    char weight[WEIR_NAME_MAX + 16];
    if (dot == NULL)
        return NULL;
    snprintf(weight, sizeof(weight), "%.*s.weight", (int)(dot - name), name);
    return weir_manifest_tensor(manifest, weight);
}

static bool is_codes(const struct weir_tensor *tensor)
{
    return tensor != NULL && tensor->known && tensor->type >= WEIR_TYPE_BLOCK_COUNT;
}

bool weir_recast_is_beside(const weir_manifest *manifest, const struct weir_tensor *source)
{
    const size_t length = strlen(source->name);
    if (source->is_scales || source->is_zeros)
        return true;
    return length > 6 && strcmp(source->name + length - 6, ".scale") == 0 &&
           is_codes(find_weight(manifest, source->name));
}

uint64_t weir_recast_tensor_bytes(const struct weir_recast_tensor *tensor)
{
    return weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0]) * tensor->dims[1] *
           tensor->dims[2] * tensor->dims[3];
}

bool weir_recast_is_copy(const struct weir_recast_tensor *tensor)
{
    const struct weir_tensor *source = tensor->source;
    return tensor->type == source->type && source->values == NULL &&
           source->change == WEIR_CHANGE_NONE && tensor->scales == NULL && tensor->zeros == NULL &&
           tensor->factor == NULL && !tensor->is_turned && tensor->row_order == NULL &&
           tensor->row_step == 1 && tensor->col_order == NULL && tensor->first_col == 0 &&
           tensor->dims[0] == weir_recast_source(tensor).cols;
}

void weir_recast_put_table(weir_gguf_writer *writer, const struct weir_recast_list *list)
{
    for (uint32_t index = 0; index < list->count; index++) {
        const struct weir_recast_tensor *tensor = &list->tensors[index];
        weir_gguf_put_tensor(writer, tensor->name, tensor->n_dim, tensor->dims, tensor->type);
    }
}

static enum weir_status refuse_beside(const struct weir_tensor *source,
                                      const struct weir_tensor *beside, struct weir_err *err)
{
    return WEIR_FAIL(
        err, WEIR_ERR_FORMAT,
        "tensor %s: %llu x %llu x %llu of %s do not go with %llu x %llu x %llu of "
        "tensor %s",
        beside->name, (unsigned long long)beside->dims[0], (unsigned long long)beside->dims[1],
        (unsigned long long)beside->dims[2], beside->type_name, (unsigned long long)source->dims[0],
        (unsigned long long)source->dims[1], (unsigned long long)source->dims[2], source->name);
}

/* Codes mean nothing without their scales, and all three have matrices and groups alike. */
static enum weir_status check_codes(const struct weir_recast_tensor *tensor, struct weir_err *err)
{
    const struct weir_tensor *source = tensor->source;
    const struct weir_tensor *scales = tensor->scales;
    const struct weir_tensor *zeros = tensor->zeros;
    if (scales == NULL || !scales->is_scales)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s has codes (%s) without a tensor of scales", source->name,
                         source->type_name);
    const uint64_t rows = weir_recast_group_rows(tensor);
    const uint64_t cols = weir_recast_group_cols(tensor);
    if (!scales->known || scales->dims[0] != (source->dims[0] + cols - 1) / cols ||
        scales->dims[1] != (source->dims[1] + rows - 1) / rows ||
        scales->dims[2] != source->dims[2])
        return refuse_beside(source, scales, err);
    if (zeros == NULL && source->has_zeros)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s has codes with zero points, and no tensor of them",
                         source->name);
    if (zeros != NULL &&
        (!zeros->is_zeros || source->type != WEIR_TYPE_I4 || rows != 1 ||
         zeros->dims[0] != scales->dims[0] || zeros->dims[2] != source->dims[2] ||
         zeros->dims[1] != (source->dims[1] + WEIR_I4_ZERO_ROWS - 1) / WEIR_I4_ZERO_ROWS))
        return refuse_beside(source, zeros, err);
    return WEIR_OK;
}

static enum weir_status check_factor(const struct weir_recast_tensor *tensor, struct weir_err *err)
{
    const struct weir_tensor *factor = tensor->factor;
    const uint64_t count = tensor->source->dims[2];
    const uint64_t found = factor->dims[0] * factor->dims[1] * factor->dims[2];
    const bool is_float = factor->known && weir_quant_info(factor->type)->block_len == 1;
    return is_float && (found == 1 || (found == count && factor->dims[1] == 1))
               ? WEIR_OK
               : refuse_beside(tensor->source, factor, err);
}

enum weir_status weir_recast_tensor_make(struct weir_recast_tensor *tensor,
                                         const weir_manifest *manifest,
                                         const struct weir_tensor *source, struct weir_err *err)
{
    if (!source->known)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s has type %s (ggml %u), which is not built in", source->name,
                         source->type_name, source->ggml_type);
    *tensor = (struct weir_recast_tensor){.name = source->name,
                                          .n_dim = source->n_dim,
                                          .type = source->type,
                                          .source = source,
                                          .row_step = 1,
                                          .is_turned = source->is_turned};
    memcpy(tensor->dims, source->dims, sizeof(tensor->dims));
    if (source->values == NULL)
        tensor->stride_rows = weir_recast_source(tensor).rows;
    if (is_codes(source)) {
        tensor->scales = find_beside(manifest, source, "scales");
        tensor->zeros = find_beside(manifest, source, "zeros");
        tensor->factor = find_beside(manifest, source, "scale");
        tensor->type = WEIR_TYPE_BF16;
        WEIR_TRY(check_codes(tensor, err));
    }
    if (tensor->factor != NULL)
        WEIR_TRY(check_factor(tensor, err));
    /* A vector whose values become others is as exact as it can be. */
    if (source->change != WEIR_CHANGE_NONE)
        tensor->type = WEIR_TYPE_F32;
    tensor->meant = tensor->type;
    return WEIR_OK;
}

enum weir_status weir_recast_list_make(struct weir_recast_list *list, const weir_manifest *manifest,
                                       struct weir_err *err)
{
    const uint32_t count = weir_manifest_tensor_count(manifest);
    enum weir_status status = WEIR_OK;
    *list = (struct weir_recast_list){0};
    list->tensors = weir_heap_array(count, sizeof(*list->tensors));
    if (list->tensors == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a list of %u tensors", count);
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_tensor *source = weir_manifest_tensor_at(manifest, index);
        if (weir_recast_is_beside(manifest, source))
            continue;
        WEIR_TRY_GOTO(
            weir_recast_tensor_make(&list->tensors[list->count++], manifest, source, err));
    }
    return WEIR_OK;

fail:
    weir_recast_list_free(list);
    return status;
}

void weir_recast_list_free(struct weir_recast_list *list)
{
    weir_heap_free(list->tensors);
    *list = (struct weir_recast_list){0};
}
