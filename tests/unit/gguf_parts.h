/* gguf_parts.h - models cut into parts, as files. */
#ifndef WEIR_TESTS_GGUF_PARTS_H
#define WEIR_TESTS_GGUF_PARTS_H

#include "gguf_edit.h"

static inline void edit_put_split_keys(struct edit_file *file, uint32_t index, uint32_t count,
                                       uint64_t tensors)
{
    edit_put_name(file, "split.no", EDIT_U16);
    edit_put_number(file, index, 2);
    edit_put_name(file, "split.count", EDIT_U16);
    edit_put_number(file, count, 2);
    edit_put_name(file, "split.tensors.count", EDIT_I32);
    edit_put_number(file, tensors, 4);
}

/* One part with tensors [begin, end) of the model; the first has the model's keys. */
static inline struct edit_file edit_part(const struct edit_model *model, uint32_t index,
                                         uint32_t count, uint64_t begin, uint64_t end)
{
    struct edit_file file = {0};
    uint64_t offset = 0;
    edit_put_header(&file, end - begin, 3 + (index == 0 ? model->key_count : 0));
    if (index == 0)
        edit_put(&file, model->bytes + 24, model->keys_end - 24);
    edit_put_split_keys(&file, index, count, model->tensor_count);
    for (uint64_t at = begin; at < end; at++) {
        const struct edit_tensor *tensor = &model->tensors[at];
        edit_put(&file, model->bytes + tensor->at, tensor->offset_at - tensor->at);
        edit_put_number(&file, offset, 8);
        offset += (tensor->bytes + EDIT_ALIGNMENT - 1) / EDIT_ALIGNMENT * EDIT_ALIGNMENT;
    }
    edit_align(&file);
    for (uint64_t at = begin; at < end; at++) {
        const struct edit_tensor *tensor = &model->tensors[at];
        edit_put(&file, model->bytes + model->data_at + tensor->offset, tensor->bytes);
        edit_align(&file);
    }
    return file;
}

static inline const char *edit_part_path(const char *stem, uint32_t number, uint32_t count)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s-%05u-of-%05u.gguf", stem, number, count);
    return path;
}

/* Parts of nearly as many tensors each; with bare_first the first one has none. */
static inline void edit_split(const struct edit_model *model, const char *stem, uint32_t count,
                              bool bare_first)
{
    const uint32_t bearers = count - bare_first;
    for (uint32_t index = 0; index < count; index++) {
        const uint64_t part = index - (index > 0 && bare_first);
        const uint64_t begin = model->tensor_count * part / bearers;
        const uint64_t end =
            index == 0 && bare_first ? 0 : model->tensor_count * (part + 1) / bearers;
        struct edit_file file = edit_part(model, index, count, begin, end);
        edit_write(&file, edit_part_path(stem, index + 1, count));
        free(file.bytes);
    }
}

static inline void edit_remove_parts(const char *stem, uint32_t count)
{
    for (uint32_t number = 1; number <= count; number++)
        remove(edit_part_path(stem, number, count));
}

#endif
