/* gguf.c - the head of a GGUF file, byte by byte, trusting none of them (docs/formats/gguf.md).
 *
 * I1  Nothing is read before weir_gguf_source_need() has said that it is there.
 * I2  No count is believed before the file is known to be long enough to hold that many.
 * I3  Places are kept as offsets while parsing: the buffer moves when it grows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

enum {
    MAGIC = 0x46554747, /* "GGUF" */
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 1 << 20,
    KEY_BYTES_MIN = 8 + 1 + 4 + 1,
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8,
};

struct parser {
    struct weir_manifest *manifest;
    struct gguf_source *source;
    uint64_t at;
    struct weir_err *err;
};

size_t weir_gguf_type_bytes(enum gguf_type type)
{
    static const uint8_t bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[type];
}

const char *weir_gguf_type_name(enum gguf_type type)
{
    static const char *const names[GGUF_TYPE_COUNT] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};
    return names[type];
}

/* bytes more from where the parser stands; keeps I1. */
static enum weir_status need(struct parser *parser, uint64_t bytes, const char *what)
{
    uint64_t end = 0;
    if (!weir_checked_add(parser->at, bytes, &end))
        end = UINT64_MAX;
    return weir_gguf_source_need(parser->source, end, what, parser->err);
}

static enum weir_status read_u32(struct parser *parser, const char *what, uint32_t *value)
{
    WEIR_TRY(need(parser, sizeof(*value), what));
    memcpy(value, parser->source->bytes + parser->at, sizeof(*value));
    parser->at += sizeof(*value);
    return WEIR_OK;
}

static enum weir_status read_u64(struct parser *parser, const char *what, uint64_t *value)
{
    WEIR_TRY(need(parser, sizeof(*value), what));
    memcpy(value, parser->source->bytes + parser->at, sizeof(*value));
    parser->at += sizeof(*value);
    return WEIR_OK;
}

/* A string's bytes; the parser stands behind them afterwards. */
static enum weir_status read_string(struct parser *parser, const char *what, uint64_t *start,
                                    uint64_t *length)
{
    WEIR_TRY(read_u64(parser, what, length));
    WEIR_TRY(need(parser, *length, what));
    *start = parser->at;
    parser->at += *length;
    return WEIR_OK;
}

/* End a string by NUL: it moves one byte down, over the last byte of its own length field, which
 * has been read. *start moves with it. */
static void end_string(struct parser *parser, uint64_t *start, uint64_t length)
{
    uint8_t *bytes = parser->source->bytes;
    memmove(bytes + *start - 1, bytes + *start, length);
    *start -= 1;
    bytes[*start + length] = '\0';
}

/* A name: 1 to WEIR_NAME_MAX bytes, none a control character, ended by NUL. Names reach terminals
 * and logs, where an escape sequence would do as its writer pleases. */
static enum weir_status read_name(struct parser *parser, const char *what, uint32_t index,
                                  uint64_t *start)
{
    uint64_t length = 0;
    const uint64_t from = parser->at;
    WEIR_TRY(read_string(parser, what, start, &length));
    if (length == 0 || length > WEIR_NAME_MAX)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: %s %u at byte %llu: wanted 1 to %d bytes, found %llu",
                         parser->source->name, what, index, (unsigned long long)from, WEIR_NAME_MAX,
                         (unsigned long long)length);
    for (uint64_t at = *start; at < *start + length; at++) {
        const uint8_t byte = parser->source->bytes[at];
        if (byte < 0x20 || byte == 0x7f)
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                             "%s: %s %u at byte %llu: wanted no control character, found 0x%02x",
                             parser->source->name, what, index, (unsigned long long)from, byte);
    }
    end_string(parser, start, length);
    return WEIR_OK;
}

static enum weir_status check_bools(struct parser *parser, const char *name, uint64_t at,
                                    uint64_t count)
{
    for (uint64_t index = 0; index < count; index++)
        if (parser->source->bytes[at + index] > 1)
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                             "%s: key %s: a bool must be 0 or 1, found %u", parser->source->name,
                             name, parser->source->bytes[at + index]);
    return WEIR_OK;
}

static const char *name_of(const struct parser *parser, const struct gguf_key *key)
{
    return (const char *)parser->source->bytes + key->name_at;
}

/* count values of fixed size, which stay where they are. */
static enum weir_status read_fixed(struct parser *parser, struct gguf_key *key)
{
    uint64_t bytes = 0;
    if (!weir_checked_mul(key->count, weir_gguf_type_bytes(key->type), &bytes))
        bytes = UINT64_MAX;
    WEIR_TRY(need(parser, bytes, "values of a key"));
    key->value_at = parser->at;
    parser->at += bytes;
    return key->type == GGUF_BOOL
               ? check_bools(parser, name_of(parser, key), key->value_at, key->count)
               : WEIR_OK;
}

/* A key whose value is a string: ended by NUL where it can be, so that it can be handed out. */
static enum weir_status read_text(struct parser *parser, struct gguf_key *key)
{
    uint64_t length = 0;
    WEIR_TRY(read_string(parser, "text of a key", &key->value_at, &length));
    if (memchr(parser->source->bytes + key->value_at, '\0', length) != NULL)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT, "%s: key %s: the text has a NUL inside",
                         parser->source->name, name_of(parser, key));
    end_string(parser, &key->value_at, length);
    return WEIR_OK;
}

static enum weir_status read_array(struct parser *parser, struct gguf_key *key)
{
    uint32_t type = 0;
    WEIR_TRY(read_u32(parser, "type of an array", &type));
    WEIR_TRY(read_u64(parser, "length of an array", &key->count));
    if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: key %s: an array of type %u is not known%s", parser->source->name,
                         name_of(parser, key), type,
                         type == GGUF_ARRAY ? " (arrays of arrays are not read)" : "");
    key->type = (enum gguf_type)type;
    key->is_array = true;
    if (key->type != GGUF_STRING)
        return read_fixed(parser, key);
    key->value_at = parser->at;
    for (uint64_t index = 0; index < key->count; index++) {
        uint64_t start = 0;
        uint64_t length = 0;
        WEIR_TRY(read_string(parser, "text in an array", &start, &length));
    }
    return WEIR_OK;
}

static enum weir_status read_key(struct parser *parser, uint32_t index)
{
    struct gguf_key *key = &parser->manifest->keys[index];
    uint32_t type = 0;
    WEIR_TRY(read_name(parser, "name of key", index, &key->name_at));
    WEIR_TRY(read_u32(parser, "type of a key", &type));
    if (type >= GGUF_TYPE_COUNT)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT, "%s: key %s: type %u is not known",
                         parser->source->name, name_of(parser, key), type);
    key->type = (enum gguf_type)type;
    key->count = 1;
    if (key->type == GGUF_ARRAY)
        WEIR_TRY(read_array(parser, key));
    else if (key->type == GGUF_STRING)
        WEIR_TRY(read_text(parser, key));
    else
        WEIR_TRY(read_fixed(parser, key));
    key->value_bytes = parser->at - key->value_at;
    return WEIR_OK;
}

/* The tensor's name is kept as an offset until the buffer stands still; keeps I3. */
static enum weir_status read_tensor(struct parser *parser, uint32_t index, uint64_t *name_at)
{
    struct weir_tensor *tensor = &parser->manifest->tensors[index];
    WEIR_TRY(read_name(parser, "name of tensor", index, name_at));
    WEIR_TRY(read_u32(parser, "dimensions of a tensor", &tensor->n_dim));
    if (tensor->n_dim == 0 || tensor->n_dim > 4)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted 1 to 4 dimensions, found %u", parser->source->name,
                         (const char *)parser->source->bytes + *name_at, tensor->n_dim);
    for (uint32_t dim = 0; dim < 4; dim++)
        tensor->dims[dim] = 1;
    for (uint32_t dim = 0; dim < tensor->n_dim; dim++)
        WEIR_TRY(read_u64(parser, "shape of a tensor", &tensor->dims[dim]));
    WEIR_TRY(read_u32(parser, "type of a tensor", &tensor->ggml_type));
    return read_u64(parser, "place of a tensor", &tensor->offset);
}

/* Bytes of a tensor of a known type. False when its shape is impossible. */
static bool measure_tensor(struct weir_tensor *tensor)
{
    const struct weir_type_info *info = weir_quant_info(tensor->type);
    uint64_t rows = 1;
    for (uint32_t dim = 1; dim < 4; dim++)
        if (!weir_checked_mul(rows, tensor->dims[dim], &rows))
            return false;
    return tensor->dims[0] % info->block_len == 0 &&
           weir_checked_mul(tensor->dims[0] / info->block_len, info->block_bytes, &tensor->bytes) &&
           weir_checked_mul(tensor->bytes, rows, &tensor->bytes);
}

static enum weir_status check_tensor(struct parser *parser, struct weir_tensor *tensor,
                                     uint64_t data_at, uint64_t alignment)
{
    const char *file = parser->source->name;
    uint64_t count = 1;
    uint64_t end = 0;
    for (uint32_t dim = 0; dim < 4; dim++)
        if (tensor->dims[dim] == 0 || !weir_checked_mul(count, tensor->dims[dim], &count))
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: a shape of %llu x %llu x %llu x %llu is not possible",
                             file, tensor->name, (unsigned long long)tensor->dims[0],
                             (unsigned long long)tensor->dims[1],
                             (unsigned long long)tensor->dims[2],
                             (unsigned long long)tensor->dims[3]);
    tensor->known = weir_quant_from_ggml(tensor->ggml_type, &tensor->type);
    tensor->type_name = weir_quant_ggml_name(tensor->ggml_type);
    if (tensor->type_name == NULL)
        tensor->type_name = "unknown";
    if (tensor->known && !measure_tensor(tensor))
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: rows of %llu values cannot be stored as %s", file,
                         tensor->name, (unsigned long long)tensor->dims[0],
                         weir_quant_info(tensor->type)->name);
    if (tensor->offset % alignment != 0)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s lies at %llu, not a multiple of the alignment %llu", file,
                         tensor->name, (unsigned long long)tensor->offset,
                         (unsigned long long)alignment);
    if (!weir_checked_add(data_at, tensor->offset, &tensor->offset) ||
        !weir_checked_add(tensor->offset, tensor->bytes, &end) || end > parser->source->file_bytes)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted %llu bytes at %llu, the file ends at %llu", file,
                         tensor->name, (unsigned long long)tensor->bytes,
                         (unsigned long long)tensor->offset,
                         (unsigned long long)parser->source->file_bytes);
    return WEIR_OK;
}

/* The first bytes are shown as letters where they are some. */
static enum weir_status refuse_magic(const struct parser *parser)
{
    const uint8_t *bytes = parser->source->bytes;
    char found[16];
    bool is_text = true;
    for (size_t at = 0; at < sizeof(uint32_t); at++)
        is_text = is_text && bytes[at] > ' ' && bytes[at] < 0x7f;
    snprintf(found, sizeof(found), is_text ? "\"%c%c%c%c\"" : "%02x %02x %02x %02x", bytes[0],
             bytes[1], bytes[2], bytes[3]);
    return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                     "%s is not a GGUF file: wanted \"GGUF\" at its start, found %s; %s",
                     parser->source->name, found, weir_strange_text(bytes, parser->source->length));
}

static enum weir_status read_header(struct parser *parser, uint64_t *tensor_count,
                                    uint64_t *key_count)
{
    uint32_t magic = 0;
    uint32_t version = 0;
    const char *file = parser->source->name;
    WEIR_TRY(read_u32(parser, "the magic number", &magic));
    if (magic != MAGIC)
        return refuse_magic(parser);
    WEIR_TRY(read_u32(parser, "the version", &version));
    if (version == __builtin_bswap32(2) || version == __builtin_bswap32(3))
        return WEIR_FAIL(parser->err, WEIR_ERR_UNSUPPORTED,
                         "%s is a big-endian GGUF file; only little-endian ones are read", file);
    if (version < 2 || version > 3)
        return WEIR_FAIL(parser->err, WEIR_ERR_UNSUPPORTED,
                         "%s: GGUF version: wanted 2 or 3, found %u", file, version);
    parser->manifest->version = version;
    WEIR_TRY(read_u64(parser, "the number of tensors", tensor_count));
    WEIR_TRY(read_u64(parser, "the number of keys", key_count));
    const uint64_t left = parser->source->file_bytes - parser->at;
    if (*key_count > WEIR_KEY_MAX || *key_count > left / KEY_BYTES_MIN) /* keeps I2 */
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: %llu keys are more than %d or than the file can hold", file,
                         (unsigned long long)*key_count, WEIR_KEY_MAX);
    if (*tensor_count > WEIR_TENSOR_MAX || *tensor_count > left / TENSOR_BYTES_MIN)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: %llu tensors are more than %d or than the file can hold", file,
                         (unsigned long long)*tensor_count, WEIR_TENSOR_MAX);
    return WEIR_OK;
}

static enum weir_status allocate(struct parser *parser, uint64_t tensor_count, uint64_t key_count)
{
    struct weir_manifest *manifest = parser->manifest;
    manifest->keys = weir_heap_array(key_count, sizeof(*manifest->keys));
    manifest->tensors = weir_heap_array(tensor_count, sizeof(*manifest->tensors));
    if (manifest->keys == NULL || manifest->tensors == NULL ||
        weir_names_init(&manifest->key_index, (uint32_t)key_count, manifest, weir_gguf_key_name) !=
            WEIR_OK ||
        weir_names_init(&manifest->tensor_index, (uint32_t)tensor_count, manifest,
                        weir_gguf_tensor_name) != WEIR_OK)
        return WEIR_FAIL(parser->err, WEIR_ERR_NOMEM, "%s: no memory for %llu keys, %llu tensors",
                         parser->source->name, (unsigned long long)key_count,
                         (unsigned long long)tensor_count);
    return WEIR_OK;
}

static enum weir_status index_keys(struct parser *parser, uint32_t key_count)
{
    struct weir_manifest *manifest = parser->manifest;
    for (uint32_t index = 0; index < key_count; index++)
        if (weir_names_put(&manifest->key_index, index) != UINT32_MAX)
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT, "%s: key %s is there twice",
                             parser->source->name, weir_gguf_key_name(manifest, index));
    manifest->key_count = key_count;
    return WEIR_OK;
}

/* A key that changes how the rest is read; *value stays when it is absent. */
static enum weir_status read_layout_key(struct parser *parser, const char *name, uint64_t *value)
{
    if (weir_manifest_u64(parser->manifest, name, value) ||
        weir_gguf_find_key(parser->manifest, name) == NULL)
        return WEIR_OK;
    return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                     "%s: key %s: wanted a whole number, found something else",
                     parser->source->name, name);
}

static enum weir_status read_alignment(struct parser *parser, uint64_t *alignment)
{
    *alignment = ALIGNMENT_DEFAULT;
    WEIR_TRY(read_layout_key(parser, "general.alignment", alignment));
    if (*alignment == 0 || *alignment > ALIGNMENT_MAX || (*alignment & (*alignment - 1)) != 0)
        return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                         "%s: key general.alignment: wanted a power of two up to %d, found %llu",
                         parser->source->name, ALIGNMENT_MAX, (unsigned long long)*alignment);
    return WEIR_OK;
}

static enum weir_status read_tensors(struct parser *parser, uint32_t tensor_count, uint64_t *names)
{
    for (uint32_t index = 0; index < tensor_count; index++)
        WEIR_TRY(read_tensor(parser, index, &names[index]));
    return WEIR_OK;
}

struct extent {
    uint64_t offset, bytes;
    const char *name;
};

static int compare_extents(const void *left, const void *right)
{
    const struct extent *one = left;
    const struct extent *other = right;
    return (one->offset > other->offset) - (one->offset < other->offset);
}

static enum weir_status refuse_overlap(struct parser *parser, struct extent *extents, size_t count)
{
    qsort(extents, count, sizeof(*extents), compare_extents);
    for (size_t at = 1; at < count; at++) {
        const struct extent *one = &extents[at - 1];
        const struct extent *other = &extents[at];
        if (other->offset - one->offset < one->bytes)
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT,
                             "%s: tensors %s and %s overlap: wanted %llu bytes at %llu, the second "
                             "begins at %llu",
                             parser->source->name, one->name, other->name,
                             (unsigned long long)one->bytes, (unsigned long long)one->offset,
                             (unsigned long long)other->offset);
    }
    return WEIR_OK;
}

/* No two tensors share a byte: sums of their sizes are then never larger than the file. Tensors of
 * a type that is not built in have no size here and are left out. */
static enum weir_status check_overlap(struct parser *parser)
{
    const struct weir_manifest *manifest = parser->manifest;
    size_t count = 0;
    struct extent *extents = weir_heap_array(manifest->tensor_count, sizeof(*extents));
    if (extents == NULL)
        return WEIR_FAIL(parser->err, WEIR_ERR_NOMEM, "%s: no memory to sort %u tensors",
                         parser->source->name, manifest->tensor_count);
    for (uint32_t index = 0; index < manifest->tensor_count; index++) {
        const struct weir_tensor *tensor = &manifest->tensors[index];
        if (tensor->known)
            extents[count++] = (struct extent){tensor->offset, tensor->bytes, tensor->name};
    }
    const enum weir_status status = refuse_overlap(parser, extents, count);
    weir_heap_free(extents);
    return status;
}

/* The buffer stands still from here on: names become pointers, offsets absolute. */
static enum weir_status place_tensors(struct parser *parser, uint32_t tensor_count,
                                      const uint64_t *names)
{
    struct weir_manifest *manifest = parser->manifest;
    uint64_t alignment = 0;
    WEIR_TRY(read_alignment(parser, &alignment));
    const uint64_t data_at = weir_align_up(parser->at, alignment);
    for (uint32_t index = 0; index < tensor_count; index++) {
        struct weir_tensor *tensor = &manifest->tensors[index];
        tensor->name = (const char *)manifest->head + names[index];
        WEIR_TRY(check_tensor(parser, tensor, data_at, alignment));
        if (weir_names_put(&manifest->tensor_index, index) != UINT32_MAX)
            return WEIR_FAIL(parser->err, WEIR_ERR_FORMAT, "%s: tensor %s is there twice",
                             parser->source->name, tensor->name);
    }
    manifest->tensor_count = tensor_count;
    return check_overlap(parser);
}

/* Give back what was read past the head: it counts against the user's ceiling. */
static void cut_buffer(struct parser *parser)
{
    struct gguf_source *source = parser->source;
    uint8_t *bytes = weir_heap_grow(source->bytes, parser->at);
    if (bytes == NULL) /* shrinking failed: the old, longer buffer is as good */
        return;
    source->bytes = bytes;
    source->length = source->capacity = parser->at;
}

/* The manifest looks into the buffer as it is now. */
static void lend_buffer(struct parser *parser)
{
    parser->manifest->head = parser->source->bytes;
    parser->manifest->head_bytes = parser->at;
}

enum weir_status weir_gguf_parse(struct weir_manifest *manifest, struct gguf_source *source,
                                 struct weir_err *err)
{
    struct parser parser = {.manifest = manifest, .source = source, .err = err};
    uint64_t tensor_count = 0;
    uint64_t key_count = 0;
    uint64_t *names = NULL;
    enum weir_status status = WEIR_OK;
    WEIR_TRY_GOTO(read_header(&parser, &tensor_count, &key_count));
    WEIR_TRY_GOTO(allocate(&parser, tensor_count, key_count));
    for (uint32_t index = 0; index < key_count; index++)
        WEIR_TRY_GOTO(read_key(&parser, index));
    lend_buffer(&parser);
    WEIR_TRY_GOTO(index_keys(&parser, (uint32_t)key_count));
    names = weir_heap_array(tensor_count, sizeof(*names));
    if (names == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: no memory for %llu names", source->name,
                           (unsigned long long)tensor_count);
        goto fail;
    }
    WEIR_TRY_GOTO(read_tensors(&parser, (uint32_t)tensor_count, names));
    cut_buffer(&parser);
    lend_buffer(&parser);
    WEIR_TRY_GOTO(place_tensors(&parser, (uint32_t)tensor_count, names));

fail:
    /* The source keeps its buffer until the caller takes it: a failed parse borrows nothing. */
    weir_heap_free(names);
    if (status != WEIR_OK)
        manifest->head = NULL;
    return status;
}
