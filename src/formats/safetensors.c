/* safetensors.c - the header of a safetensors file, trusting none of it.
 *
 * A file is a u64 (the header's length), the header, and the data. The header is one JSON object:
 * {"NAME": {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [begin, end]}, ...} with
 * offsets within the data, and perhaps "__metadata__" (huggingface/safetensors, "Format"). */
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

#define METADATA "__metadata__"

static const struct weir_dtype dtypes[] = {
    {"F32", 4, true, WEIR_TYPE_F32},   {"F16", 2, true, WEIR_TYPE_F16},
    {"BF16", 2, true, WEIR_TYPE_BF16}, {"F8_E4M3", 1, true, WEIR_TYPE_F8_E4M3},
    {.name = "F64", .bytes = 8},       {.name = "I8", .bytes = 1},
    {.name = "I16", .bytes = 2},       {.name = "I32", .bytes = 4},
    {.name = "I64", .bytes = 8},       {.name = "U8", .bytes = 1},
    {.name = "U16", .bytes = 2},       {.name = "U32", .bytes = 4},
    {.name = "U64", .bytes = 8},       {.name = "BOOL", .bytes = 1},
    {.name = "F8_E5M2", .bytes = 1},   {.name = "F8_E8M0", .bytes = 1},
};

struct header {
    struct weir_raw_list *list;
    const char *file; /* for messages */
    uint64_t data_at, file_bytes;
    struct weir_err *err;
};

static enum weir_status read_dtype(const struct header *header, struct weir_json value,
                                   struct weir_raw_tensor *tensor)
{
    char found[32] = "";
    for (size_t row = 0; row < WEIR_COUNT(dtypes); row++)
        if (weir_json_is(value, dtypes[row].name)) {
            tensor->dtype = &dtypes[row];
            return WEIR_OK;
        }
    const size_t length = weir_json_text(value, found, sizeof(found) - 1);
    if (length == 0 || length >= sizeof(found))
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: dtype: wanted a type's name, found %s", header->file,
                         tensor->name, weir_json_kind_name(weir_json_kind(value)));
    return WEIR_FAIL(header->err, WEIR_ERR_UNSUPPORTED,
                     "%s: tensor %s: dtype %s is not known (F32, F16, BF16 and others are)",
                     header->file, tensor->name, found);
}

static enum weir_status read_shape(const struct header *header, struct weir_json value,
                                   struct weir_raw_tensor *tensor)
{
    if (weir_json_kind(value) != WEIR_JSON_ARRAY)
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: shape: wanted an array, found %s", header->file,
                         tensor->name, weir_json_kind_name(weir_json_kind(value)));
    for (size_t dim = 0; dim < WEIR_SAFETENSORS_DIM_MAX; dim++)
        tensor->dims[dim] = 1;
    for (struct weir_json_walk walk = weir_json_walk(value); weir_json_next(&walk);) {
        if (walk.index == WEIR_SAFETENSORS_DIM_MAX)
            return WEIR_FAIL(header->err, WEIR_ERR_UNSUPPORTED,
                             "%s: tensor %s: shape: wanted at most %d dimensions, found more",
                             header->file, tensor->name, WEIR_SAFETENSORS_DIM_MAX);
        if (!weir_json_u64(walk.value, &tensor->dims[walk.index]))
            return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: shape: wanted whole numbers, found %.*s", header->file,
                             tensor->name,
                             (int)weir_min(40, (uint64_t)(walk.value.end - walk.value.start)),
                             walk.value.start);
        tensor->n_dim++;
    }
    return WEIR_OK;
}

static enum weir_status read_offsets(const struct header *header, struct weir_json value,
                                     struct weir_raw_tensor *tensor)
{
    uint64_t ends[2] = {0, 0};
    bool is_pair = weir_json_kind(value) == WEIR_JSON_ARRAY && weir_json_count(value) == 2;
    for (struct weir_json_walk walk = weir_json_walk(value); is_pair && weir_json_next(&walk);)
        is_pair = weir_json_u64(walk.value, &ends[walk.index]);
    if (!is_pair || ends[1] < ends[0])
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: data_offsets: wanted where it begins and where it ends, "
                         "found %.*s",
                         header->file, tensor->name,
                         (int)weir_min(60, (uint64_t)(value.end - value.start)),
                         value.start == NULL ? "" : value.start);
    if (ends[1] > header->file_bytes - header->data_at)
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted bytes %llu to %llu of the data, the file has %llu "
                         "of them",
                         header->file, tensor->name, (unsigned long long)ends[0],
                         (unsigned long long)ends[1],
                         (unsigned long long)(header->file_bytes - header->data_at));
    tensor->offset = header->data_at + ends[0];
    tensor->bytes = ends[1] - ends[0];
    return WEIR_OK;
}

static enum weir_status check_size(const struct header *header,
                                   const struct weir_raw_tensor *tensor)
{
    uint64_t wanted = tensor->dtype->bytes;
    for (uint32_t dim = 0; dim < tensor->n_dim; dim++)
        if (!weir_checked_mul(wanted, tensor->dims[dim], &wanted))
            wanted = UINT64_MAX;
    if (wanted == tensor->bytes)
        return WEIR_OK;
    return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                     "%s: tensor %s: its shape in %s wants %llu bytes, its data_offsets are %llu "
                     "apart",
                     header->file, tensor->name, tensor->dtype->name, (unsigned long long)wanted,
                     (unsigned long long)tensor->bytes);
}

/* Whether a name, ended by NUL, can be printed and is no longer than names are. */
static enum weir_status check_name(const struct header *header, const char *name, size_t length)
{
    if (length == 0 || length > WEIR_NAME_MAX)
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: a tensor's name: wanted 1 to %d bytes, found %zu", header->file,
                         WEIR_NAME_MAX, length);
    for (size_t at = 0; at < length; at++)
        if ((uint8_t)name[at] < 0x20 || name[at] == 0x7f)
            return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                             "%s: a tensor's name: wanted no control character, found 0x%02x",
                             header->file, (uint8_t)name[at]);
    return WEIR_OK;
}

static enum weir_status read_tensor(const struct header *header, struct weir_json value,
                                    struct weir_raw_tensor *tensor)
{
    struct weir_json dtype = {0};
    struct weir_json shape = {0};
    struct weir_json offsets = {0};
    for (struct weir_json_walk walk = weir_json_walk(value); weir_json_next(&walk);) {
        if (weir_json_is(walk.key, "dtype"))
            dtype = walk.value;
        else if (weir_json_is(walk.key, "shape"))
            shape = walk.value;
        else if (weir_json_is(walk.key, "data_offsets"))
            offsets = walk.value;
        else
            return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: wanted dtype, shape and data_offsets, found %.*s",
                             header->file, tensor->name,
                             (int)weir_min(40, (uint64_t)(walk.key.end - walk.key.start)),
                             walk.key.start);
    }
    WEIR_TRY(read_dtype(header, dtype, tensor));
    WEIR_TRY(read_shape(header, shape, tensor));
    WEIR_TRY(read_offsets(header, offsets, tensor));
    return check_size(header, tensor);
}

static int compare_offsets(const void *left, const void *right)
{
    const struct weir_raw_tensor *one = left;
    const struct weir_raw_tensor *other = right;
    if (one->offset != other->offset)
        return one->offset > other->offset ? 1 : -1;
    return (one->bytes > other->bytes) - (one->bytes < other->bytes);
}

/* Each tensor begins where the one before it ends, and the last one ends with the file. The tensors
 * are left in the order of the file. */
static enum weir_status check_ranges(const struct header *header, struct weir_raw_tensor *tensors,
                                     uint32_t count)
{
    uint64_t at = header->data_at;
    qsort(tensors, count, sizeof(*tensors), compare_offsets);
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_raw_tensor *tensor = &tensors[index];
        if (tensor->offset < at)
            return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                             "%s: tensors %s and %s overlap: wanted the second from byte %llu of "
                             "the data on, found %llu",
                             header->file, tensors[index - 1].name, tensor->name,
                             (unsigned long long)(at - header->data_at),
                             (unsigned long long)(tensor->offset - header->data_at));
        if (tensor->offset > at)
            break;
        at += tensor->bytes;
    }
    if (at == header->file_bytes)
        return WEIR_OK;
    return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                     "%s: bytes from %llu of the data on belong to no tensor (the data has %llu)",
                     header->file, (unsigned long long)(at - header->data_at),
                     (unsigned long long)(header->file_bytes - header->data_at));
}

/* Room for the tensors of one more file; *names is room for their names. */
static enum weir_status make_room(const struct header *header, struct weir_json root, char **names)
{
    struct weir_raw_list *list = header->list;
    uint64_t count = list->count;
    uint64_t name_bytes = 0;
    for (struct weir_json_walk walk = weir_json_walk(root); weir_json_next(&walk);) {
        name_bytes += weir_json_text(walk.key, NULL, 0) + 1;
        count++;
    }
    if (count > WEIR_TENSOR_MAX)
        return WEIR_FAIL(header->err, WEIR_ERR_FORMAT,
                         "%s: wanted at most %d tensors, found %llu so far", header->file,
                         WEIR_TENSOR_MAX, (unsigned long long)count);
    char **blocks =
        weir_heap_grow(list->names, (size_t)(list->file_count + 1) * sizeof(*list->names));
    if (blocks != NULL)
        list->names = blocks;
    struct weir_raw_tensor *tensors =
        weir_heap_grow(list->tensors, weir_max(count, 1) * sizeof(*tensors));
    if (tensors != NULL)
        list->tensors = tensors;
    *names = weir_heap_alloc(name_bytes);
    if (blocks == NULL || tensors == NULL || *names == NULL) {
        weir_heap_free(*names);
        return WEIR_FAIL(header->err, WEIR_ERR_NOMEM, "%s: no memory for %llu tensors",
                         header->file, (unsigned long long)count);
    }
    list->names[list->file_count++] = *names;
    return WEIR_OK;
}

enum weir_status weir_safetensors_read(struct weir_raw_list *list, const char *name,
                                       const char *json, size_t json_length, uint64_t file_bytes,
                                       struct weir_err *err)
{
    const struct header header = {.list = list,
                                  .file = name,
                                  .data_at = sizeof(uint64_t) + json_length,
                                  .file_bytes = file_bytes,
                                  .err = err};
    const uint32_t first = list->count;
    struct weir_json root = {0};
    char *names = NULL;
    WEIR_ASSERT(header.data_at <= file_bytes);
    WEIR_TRY(weir_json_parse(&root, json, json_length, name, err));
    if (weir_json_kind(root) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: the header: wanted an object, found %s", name,
                         weir_json_kind_name(weir_json_kind(root)));
    WEIR_TRY(make_room(&header, root, &names));
    for (struct weir_json_walk walk = weir_json_walk(root); weir_json_next(&walk);) {
        if (weir_json_is(walk.key, METADATA))
            continue;
        struct weir_raw_tensor *tensor = &list->tensors[list->count];
        const size_t length = weir_json_text(walk.key, NULL, 0);
        *tensor = (struct weir_raw_tensor){.name = names, .file = list->file_count - 1};
        weir_json_text(walk.key, names, length);
        names[length] = '\0';
        WEIR_TRY(check_name(&header, names, length));
        WEIR_TRY(read_tensor(&header, walk.value, tensor));
        names += length + 1;
        list->count++;
    }
    return check_ranges(&header, list->tensors + first, list->count - first);
}

void weir_raw_list_free(struct weir_raw_list *list)
{
    for (uint32_t file = 0; file < list->file_count; file++)
        weir_heap_free(list->names[file]);
    weir_heap_free(list->names);
    weir_heap_free(list->tensors);
    *list = (struct weir_raw_list){0};
}
