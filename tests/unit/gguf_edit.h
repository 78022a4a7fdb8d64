/* gguf_edit.h - models with a key or a shape changed. Files are golden ones, so reading them trusts
 * them. */
#ifndef WEIR_TESTS_GGUF_EDIT_H
#define WEIR_TESTS_GGUF_EDIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"

enum { EDIT_KEYS_MAX = 128, EDIT_TENSORS_MAX = 1024, EDIT_ALIGNMENT = 32 };
enum {
    EDIT_U16 = 2,
    EDIT_U32 = 4,
    EDIT_I32 = 5,
    EDIT_F32 = 6,
    EDIT_BOOL = 7,
    EDIT_STRING = 8,
    EDIT_ARRAY = 9,
    EDIT_U64 = 10,
    EDIT_I64 = 11,
    EDIT_F64 = 12
};

/* Places are offsets in the file. */
struct edit_key {
    char name[128];
    uint32_t type;
    size_t at, value_at, end; /* value_at: behind the type */
};

struct edit_tensor {
    char name[128];
    uint32_t n_dim;
    uint64_t offset, bytes; /* in the data, up to the next tensor */
    size_t at, dims_at, offset_at, end;
};

struct edit_model {
    uint8_t *bytes;
    size_t length;
    uint64_t key_count, tensor_count;
    struct edit_key keys[EDIT_KEYS_MAX];
    struct edit_tensor tensors[EDIT_TENSORS_MAX];
    size_t keys_end, data_at;
};

struct edit_file {
    uint8_t *bytes;
    size_t length, capacity;
};

static inline uint64_t edit_number(const struct edit_model *model, size_t at, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, model->bytes + at, bytes);
    return value;
}

static inline size_t edit_read_name(const struct edit_model *model, size_t at, char name[128])
{
    const size_t length = edit_number(model, at, 8);
    snprintf(name, 128, "%.*s", (int)length, (const char *)model->bytes + at + 8);
    return at + 8 + length;
}

static inline size_t edit_value_end(const struct edit_model *model, uint32_t type, size_t at)
{
    static const size_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == EDIT_STRING)
        return at + 8 + edit_number(model, at, 8);
    if (type != EDIT_ARRAY)
        return at + widths[type];
    const uint32_t each = (uint32_t)edit_number(model, at, 4);
    const uint64_t count = edit_number(model, at + 4, 8);
    at += 12;
    for (uint64_t index = 0; index < count; index++)
        at = edit_value_end(model, each, at);
    return at;
}

static inline void edit_measure_tensors(struct edit_model *model)
{
    for (uint64_t index = 0; index < model->tensor_count; index++) {
        struct edit_tensor *tensor = &model->tensors[index];
        uint64_t next = model->length - model->data_at;
        for (uint64_t other = 0; other < model->tensor_count; other++)
            if (model->tensors[other].offset > tensor->offset &&
                model->tensors[other].offset < next)
                next = model->tensors[other].offset;
        tensor->bytes = next - tensor->offset;
    }
}

static inline void edit_open(struct edit_model *model, const char *path)
{
    memset(model, 0, sizeof(*model));
    model->bytes = golden_read(path, &model->length);
    if (model->bytes == NULL)
        fail_msg("%s cannot be read", path);
    model->tensor_count = edit_number(model, 8, 8);
    model->key_count = edit_number(model, 16, 8);
    assert_true(model->key_count <= EDIT_KEYS_MAX && model->tensor_count <= EDIT_TENSORS_MAX);
    size_t at = 24;
    for (uint64_t index = 0; index < model->key_count; index++) {
        struct edit_key *key = &model->keys[index];
        key->at = at;
        at = edit_read_name(model, at, key->name);
        key->type = (uint32_t)edit_number(model, at, 4);
        key->value_at = at + 4;
        at = key->end = edit_value_end(model, key->type, key->value_at);
    }
    model->keys_end = at;
    for (uint64_t index = 0; index < model->tensor_count; index++) {
        struct edit_tensor *tensor = &model->tensors[index];
        tensor->at = at;
        at = edit_read_name(model, at, tensor->name);
        tensor->n_dim = (uint32_t)edit_number(model, at, 4);
        tensor->dims_at = at + 4;
        tensor->offset_at = tensor->dims_at + 8 * tensor->n_dim + 4;
        tensor->offset = edit_number(model, tensor->offset_at, 8);
        at = tensor->end = tensor->offset_at + 8;
    }
    model->data_at = (at + EDIT_ALIGNMENT - 1) / EDIT_ALIGNMENT * EDIT_ALIGNMENT;
    edit_measure_tensors(model);
}

static inline void edit_close(struct edit_model *model)
{
    free(model->bytes);
    model->bytes = NULL;
}

/* UINT64_MAX when there is none. */
static inline uint64_t edit_find_key(const struct edit_model *model, const char *name)
{
    for (uint64_t index = 0; index < model->key_count; index++)
        if (strcmp(model->keys[index].name, name) == 0)
            return index;
    return UINT64_MAX;
}

static inline void edit_put(struct edit_file *file, const void *bytes, size_t count)
{
    if (file->length + count > file->capacity) {
        file->capacity = 2 * file->capacity + count;
        file->bytes = realloc(file->bytes, file->capacity);
        assert_non_null(file->bytes);
    }
    if (count > 0)
        memcpy(file->bytes + file->length, bytes, count);
    file->length += count;
}

static inline void edit_put_number(struct edit_file *file, uint64_t value, size_t bytes)
{
    edit_put(file, &value, bytes);
}

static inline void edit_put_name(struct edit_file *file, const char *name, uint32_t type)
{
    edit_put_number(file, strlen(name), 8);
    edit_put(file, name, strlen(name));
    edit_put_number(file, type, 4);
}

static inline void edit_align(struct edit_file *file)
{
    static const uint8_t zeros[EDIT_ALIGNMENT];
    edit_put(file, zeros, (EDIT_ALIGNMENT - file->length % EDIT_ALIGNMENT) % EDIT_ALIGNMENT);
}

static inline void edit_put_header(struct edit_file *file, uint64_t tensors, uint64_t keys)
{
    edit_put(file, "GGUF", 4);
    edit_put_number(file, 3, 4);
    edit_put_number(file, tensors, 8);
    edit_put_number(file, keys, 8);
}

/* The model with a key's type and value replaced, or the key added where it has none. The caller
 * frees bytes; an array or a string is given as it lies in the file. */
static inline struct edit_file edit_with_key(const struct edit_model *model, const char *name,
                                             uint32_t type, const void *value, size_t value_bytes)
{
    struct edit_file file = {0};
    const uint64_t index = edit_find_key(model, name);
    const bool is_new = index == UINT64_MAX;
    const size_t at = is_new ? model->keys_end : model->keys[index].at;
    const size_t end = is_new ? model->keys_end : model->keys[index].end;
    edit_put_header(&file, model->tensor_count, model->key_count + is_new);
    edit_put(&file, model->bytes + 24, at - 24);
    edit_put_name(&file, name, type);
    edit_put(&file, value, value_bytes);
    const size_t head_end = model->tensors[model->tensor_count - 1].end;
    edit_put(&file, model->bytes + end, head_end - end);
    edit_align(&file);
    edit_put(&file, model->bytes + model->data_at, model->length - model->data_at);
    return file;
}

/* The model without the bytes of its head from at to end, and so many tensors and keys fewer. */
static inline struct edit_file edit_cut(const struct edit_model *model, size_t at, size_t end,
                                        uint64_t tensors, uint64_t keys)
{
    struct edit_file file = {0};
    edit_put_header(&file, model->tensor_count - tensors, model->key_count - keys);
    edit_put(&file, model->bytes + 24, at - 24);
    edit_put(&file, model->bytes + end, model->tensors[model->tensor_count - 1].end - end);
    edit_align(&file);
    edit_put(&file, model->bytes + model->data_at, model->length - model->data_at);
    return file;
}

/* The model without a key that it has. */
static inline struct edit_file edit_without_key(const struct edit_model *model, const char *name)
{
    const uint64_t index = edit_find_key(model, name);
    assert_true(index != UINT64_MAX);
    return edit_cut(model, model->keys[index].at, model->keys[index].end, 0, 1);
}

/* The model with one dimension of a tensor replaced. */
static inline struct edit_file edit_with_dim(const struct edit_model *model, uint64_t tensor,
                                             uint32_t dim, uint64_t value)
{
    struct edit_file file = {0};
    edit_put(&file, model->bytes, model->length);
    memcpy(file.bytes + model->tensors[tensor].dims_at + 8 * dim, &value, sizeof(value));
    return file;
}

static inline void edit_write(const struct edit_file *file, const char *path)
{
    FILE *out = fopen(path, "wb");
    if (out == NULL || fwrite(file->bytes, 1, file->length, out) != file->length ||
        fclose(out) != 0)
        fail_msg("%s cannot be written", path);
}

#endif
