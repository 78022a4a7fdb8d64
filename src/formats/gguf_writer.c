/* gguf_writer.c - a GGUF file from front to back. */
#include "formats/gguf_writer.h"

#include <string.h>

#include "base/heap.h"
#include "formats/whole_file.h"

enum {
    MAGIC = 0x46554747, /* "GGUF" */
    VERSION = 3,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 1 << 20,
};
_Static_assert((int)WEIR_WHOLE_BYTES <= (int)WEIR_GGUF_WRITER_BYTES, "what is promised");

enum phase { IN_KEYS, IN_TENSORS, IN_DATA };

struct weir_gguf_writer {
    struct weir_whole_file file; /* its failure is the writer's */
    uint64_t stamp;              /* 0: it cannot be gone on with */
    enum phase phase;
    uint64_t hash; /* of the stamp and of the head so far */
    uint64_t alignment;
    uint64_t array_left; /* elements of the array that is being put */
    enum gguf_type array_type;
    uint32_t key_count, tensor_count;
    uint64_t *tensor_bytes; /* [tensor_count] */
    uint32_t tensor_capacity;
    uint64_t tensors_end; /* offset behind the last tensor, within the data */
    uint64_t data_at, file_bytes;
    uint32_t tensor;    /* the one whose bytes come next, and how many of them there are */
    uint64_t tensor_at; /* within it */
};

/* FNV-1a, by which a head is known again. */
static uint64_t add_hash(uint64_t hash, const void *bytes, uint64_t length)
{
    const uint8_t *at = bytes;
    for (uint64_t index = 0; index < length; index++)
        hash = (hash ^ at[index]) * UINT64_C(0x100000001b3);
    return hash;
}

static void put_head(struct weir_gguf_writer *writer, const void *bytes, uint64_t length)
{
    writer->hash = add_hash(writer->hash, bytes, length);
    weir_whole_put(&writer->file, bytes, length);
}

static void put_u32(struct weir_gguf_writer *writer, uint32_t value)
{
    put_head(writer, &value, sizeof(value));
}

static void put_u64(struct weir_gguf_writer *writer, uint64_t value)
{
    put_head(writer, &value, sizeof(value));
}

static void put_counted(struct weir_gguf_writer *writer, const void *bytes, uint64_t length)
{
    put_u64(writer, length);
    put_head(writer, bytes, length);
}

enum weir_status weir_gguf_writer_open(weir_gguf_writer **out, const char *path, uint64_t stamp,
                                       struct weir_err *err)
{
    struct weir_gguf_writer *writer = weir_heap_alloc(sizeof(*writer));
    if (writer == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to write %s",
                         path == NULL ? "a file" : path);
    const enum weir_status status = weir_whole_open(&writer->file, path, stamp != 0, err);
    if (status != WEIR_OK) {
        weir_heap_free(writer);
        return status;
    }
    writer->stamp = stamp;
    writer->alignment = ALIGNMENT_DEFAULT;
    writer->hash = add_hash(UINT64_C(0xcbf29ce484222325), &stamp, sizeof(stamp));
    *out = writer;
    return WEIR_OK;
}

void weir_gguf_writer_close(weir_gguf_writer **writer)
{
    struct weir_gguf_writer *closing = *writer;
    if (closing == NULL)
        return;
    /* Whoever goes on with it has all tensors that are whole. */
    if (closing->stamp != 0 && closing->phase == IN_DATA && closing->tensor > 0)
        weir_whole_mark(&closing->file, closing->tensor, closing->hash);
    weir_whole_close(&closing->file);
    weir_heap_free(closing->tensor_bytes);
    weir_heap_free(closing);
    *writer = NULL;
}

const char *weir_gguf_writer_path(const weir_gguf_writer *writer)
{
    return writer->file.unfinished;
}

uint64_t weir_gguf_writer_file_bytes(const weir_gguf_writer *writer)
{
    return writer->file_bytes;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void put_name(struct weir_gguf_writer *writer, const char *what, const char *name)
{
    const size_t length = strlen(name);
    if (length == 0 || length > WEIR_NAME_MAX)
        WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG,
                  "%s: name of a %s: wanted 1 to %d bytes, found %zu", writer->file.path, what,
                  WEIR_NAME_MAX, length);
    put_counted(writer, name, length);
}

static void put_key(struct weir_gguf_writer *writer, const char *key, enum gguf_type type)
{
    WEIR_ASSERT(writer->phase == IN_KEYS && writer->array_left == 0);
    if (writer->key_count == WEIR_KEY_MAX)
        WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG, "%s: more than %d keys", writer->file.path,
                  WEIR_KEY_MAX);
    writer->key_count++;
    put_name(writer, "key", key);
    put_u32(writer, type);
}

static void set_alignment(struct weir_gguf_writer *writer, const char *key, uint64_t value)
{
    if (strcmp(key, "general.alignment") != 0)
        return;
    if (value == 0 || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
        WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG,
                  "%s: key general.alignment: wanted a power of two up to %d, found %llu",
                  writer->file.path, ALIGNMENT_MAX, (unsigned long long)value);
    else
        writer->alignment = value;
}

void weir_gguf_put_u32(weir_gguf_writer *writer, const char *key, uint32_t value)
{
    put_key(writer, key, GGUF_U32);
    put_u32(writer, value);
    set_alignment(writer, key, value);
}

void weir_gguf_put_u64(weir_gguf_writer *writer, const char *key, uint64_t value)
{
    put_key(writer, key, GGUF_U64);
    put_u64(writer, value);
    set_alignment(writer, key, value);
}

void weir_gguf_put_i32(weir_gguf_writer *writer, const char *key, int32_t value)
{
    put_key(writer, key, GGUF_I32);
    put_head(writer, &value, sizeof(value));
}

void weir_gguf_put_f32(weir_gguf_writer *writer, const char *key, float value)
{
    put_key(writer, key, GGUF_F32);
    put_head(writer, &value, sizeof(value));
}

void weir_gguf_put_bool(weir_gguf_writer *writer, const char *key, bool value)
{
    const uint8_t byte = value;
    put_key(writer, key, GGUF_BOOL);
    put_head(writer, &byte, sizeof(byte));
}

void weir_gguf_put_text(weir_gguf_writer *writer, const char *key, const char *text)
{
    put_key(writer, key, GGUF_STRING);
    put_counted(writer, text, strlen(text));
}

void weir_gguf_put_array(weir_gguf_writer *writer, const char *key, enum gguf_type type,
                         uint64_t count)
{
    WEIR_ASSERT(type != GGUF_ARRAY && type < GGUF_TYPE_COUNT);
    put_key(writer, key, GGUF_ARRAY);
    put_u32(writer, type);
    put_u64(writer, count);
    writer->array_type = type;
    writer->array_left = count;
}

void weir_gguf_put_string(weir_gguf_writer *writer, const void *bytes, uint64_t length)
{
    WEIR_ASSERT(writer->array_left > 0 && writer->array_type == GGUF_STRING);
    writer->array_left--;
    put_counted(writer, bytes, length);
}

void weir_gguf_put_values(weir_gguf_writer *writer, const void *values, uint64_t count)
{
    WEIR_ASSERT(count <= writer->array_left && writer->array_type != GGUF_STRING);
    writer->array_left -= count;
    put_head(writer, values, count * weir_gguf_type_bytes(writer->array_type));
}

void weir_gguf_put_manifest_keys(weir_gguf_writer *writer, const weir_manifest *manifest,
                                 weir_gguf_skip_fn *skip, void *user)
{
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        struct weir_gguf_raw_key key;
        uint64_t alignment = 0;
        weir_gguf_raw_key(manifest, index, &key);
        if (skip != NULL && skip(user, key.name))
            continue;
        if (strcmp(key.name, "general.alignment") == 0 &&
            weir_manifest_u64(manifest, key.name, &alignment))
            set_alignment(writer, key.name, alignment);
        put_key(writer, key.name, key.is_array ? GGUF_ARRAY : key.type);
        if (key.is_array) {
            put_u32(writer, key.type);
            put_u64(writer, key.count);
        }
        if (key.is_text)
            put_u64(writer, key.bytes);
        put_head(writer, key.value, key.bytes);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

static enum weir_status measure(struct weir_gguf_writer *writer, const char *name, uint32_t n_dim,
                                const uint64_t *dims, enum weir_type type, uint64_t *bytes)
{
    const struct weir_type_info *info = weir_quant_info(type);
    bool fits = n_dim >= 1 && n_dim <= 4 && info->ggml_id != WEIR_GGML_NONE && dims[0] > 0 &&
                dims[0] % info->block_len == 0 &&
                weir_checked_mul(dims[0] / info->block_len, info->block_bytes, bytes);
    for (uint32_t dim = 1; fits && dim < n_dim; dim++)
        fits = dims[dim] > 0 && weir_checked_mul(*bytes, dims[dim], bytes);
    return fits
               ? WEIR_OK
               : WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG,
                           "%s: tensor %s: rows of %llu values in %u dimensions cannot be "
                           "stored as %s",
                           writer->file.path, name, (unsigned long long)dims[0], n_dim, info->name);
}

static enum weir_status keep_bytes(struct weir_gguf_writer *writer, uint64_t bytes)
{
    if (writer->tensor_count == WEIR_TENSOR_MAX)
        return WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG, "%s: more than %d tensors",
                         writer->file.path, WEIR_TENSOR_MAX);
    if (writer->tensor_count == writer->tensor_capacity) {
        const uint32_t capacity = 2 * writer->tensor_capacity + 256;
        uint64_t *grown = weir_heap_grow(writer->tensor_bytes, capacity * sizeof(*grown));
        if (grown == NULL)
            return WEIR_FAIL(&writer->file.failure, WEIR_ERR_NOMEM, "no memory for %u tensors",
                             capacity);
        writer->tensor_bytes = grown;
        writer->tensor_capacity = capacity;
    }
    writer->tensor_bytes[writer->tensor_count++] = bytes;
    return WEIR_OK;
}

void weir_gguf_put_tensor(weir_gguf_writer *writer, const char *name, uint32_t n_dim,
                          const uint64_t *dims, enum weir_type type)
{
    uint64_t bytes = 0;
    WEIR_ASSERT(writer->phase <= IN_TENSORS && writer->array_left == 0);
    writer->phase = IN_TENSORS;
    if (writer->file.failure.status != WEIR_OK ||
        measure(writer, name, n_dim, dims, type, &bytes) != WEIR_OK ||
        keep_bytes(writer, bytes) != WEIR_OK)
        return;
    writer->tensors_end = weir_align_up(writer->tensors_end, writer->alignment);
    put_name(writer, "tensor", name);
    put_u32(writer, n_dim);
    put_head(writer, dims, n_dim * sizeof(*dims));
    put_u32(writer, weir_quant_info(type)->ggml_id);
    put_u64(writer, writer->tensors_end);
    if (!weir_checked_add(writer->tensors_end, bytes, &writer->tensors_end) ||
        writer->tensors_end > INT64_MAX / 2)
        WEIR_FAIL(&writer->file.failure, WEIR_ERR_ARG,
                  "%s: its tensors have more bytes than a file can", writer->file.path);
}

static enum weir_status tell(const struct weir_gguf_writer *writer, struct weir_err *err)
{
    if (writer->file.failure.status != WEIR_OK && err != NULL && err->status == WEIR_OK)
        *err = writer->file.failure;
    return writer->file.failure.status;
}

/* Behind the whole tensors that are there already. */
static void skip_old(struct weir_gguf_writer *writer)
{
    struct weir_whole_file *file = &writer->file;
    uint64_t at = writer->data_at;
    if (writer->stamp == 0 || file->old_stamp != writer->hash ||
        file->old_done > writer->tensor_count)
        return;
    for (uint32_t tensor = 0; tensor < file->old_done; tensor++)
        at = writer->data_at + weir_align_up(at - writer->data_at, writer->alignment) +
             writer->tensor_bytes[tensor];
    if (at > file->old_bytes)
        return;
    writer->tensor = (uint32_t)file->old_done;
    weir_whole_skip(file, weir_max(at, file->at));
    weir_whole_mark(file, writer->tensor, writer->hash);
}

enum weir_status weir_gguf_writer_begin(weir_gguf_writer *writer, uint32_t *done_count,
                                        struct weir_err *err)
{
    struct weir_whole_file *file = &writer->file;
    WEIR_ASSERT(writer->phase <= IN_TENSORS && writer->array_left == 0);
    const uint64_t head_bytes = weir_whole_at(file);
    if (head_bytes > WEIR_METADATA_BYTES_MAX)
        WEIR_FAIL(&file->failure, WEIR_ERR_ARG, "%s: %llu bytes before the tensors, more than %d",
                  file->path, (unsigned long long)head_bytes, WEIR_METADATA_BYTES_MAX);
    writer->phase = IN_DATA;
    writer->data_at = weir_align_up(head_bytes, writer->alignment);
    writer->file_bytes = writer->data_at + weir_align_up(writer->tensors_end, writer->alignment);
    weir_whole_put_zeros(file, writer->data_at - head_bytes);
    weir_whole_flush(file);
    if (file->failure.status == WEIR_OK)
        weir_whole_reserve(file, writer->file_bytes);
    if (file->failure.status == WEIR_OK)
        skip_old(writer);
    *done_count = writer->tensor;
    return tell(writer, err);
}

enum weir_status weir_gguf_put_data(weir_gguf_writer *writer, const void *bytes, uint64_t length,
                                    struct weir_err *err)
{
    struct weir_whole_file *file = &writer->file;
    WEIR_ASSERT(writer->phase == IN_DATA && (length == 0 || writer->tensor < writer->tensor_count));
    if (length == 0 || file->failure.status != WEIR_OK)
        return tell(writer, err);
    const uint64_t left = writer->tensor_bytes[writer->tensor] - writer->tensor_at;
    WEIR_ASSERT(length <= left);
    if (writer->tensor_at == 0) {
        const uint64_t at = weir_whole_at(file) - writer->data_at;
        weir_whole_put_zeros(file, weir_align_up(at, writer->alignment) - at);
    }
    weir_whole_put(file, bytes, length);
    writer->tensor_at += length;
    if (length == left) {
        writer->tensor++;
        writer->tensor_at = 0;
        if (weir_whole_wants_mark(file))
            weir_whole_mark(file, writer->tensor, writer->hash);
    }
    return tell(writer, err);
}

enum weir_status weir_gguf_writer_finish(weir_gguf_writer *writer, weir_gguf_check_fn *check,
                                         void *user, struct weir_err *err)
{
    const struct {
        uint32_t magic, version;
        uint64_t tensor_count, key_count;
    } header = {MAGIC, VERSION, writer->tensor_count, writer->key_count};
    _Static_assert(sizeof(header) == WEIR_WHOLE_HEADER_BYTES, "the header");
    WEIR_ASSERT(writer->phase == IN_DATA);
    WEIR_TRY(tell(writer, err));
    WEIR_ASSERT(writer->tensor == writer->tensor_count);
    weir_whole_seal(&writer->file, &header, writer->file_bytes);
    writer->stamp = 0;
    WEIR_TRY(tell(writer, err));
    if (check != NULL)
        WEIR_TRY(check(user, writer->file.unfinished, err));
    return weir_whole_name(&writer->file, err);
}
