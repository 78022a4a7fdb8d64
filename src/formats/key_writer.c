/* key_writer.c - keys that come from no GGUF file, put down as if they did.
 *
 * I1  Places are offsets: the buffer moves when it grows. */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { KEY_NAME_MAX = WEIR_NAME_MAX + 1 };

/* Room for so many bytes more; keeps I1. */
static enum weir_status make_room(struct hf_key_writer *writer, size_t bytes)
{
    if (writer->capacity - writer->length >= bytes)
        return WEIR_OK;
    const uint64_t capacity = writer->capacity + writer->capacity / 2 + bytes + 1024;
    uint8_t *grown = weir_heap_grow(writer->bytes, capacity);
    if (grown == NULL)
        return WEIR_FAIL(writer->err, WEIR_ERR_NOMEM, "no memory for %llu bytes of keys",
                         (unsigned long long)capacity);
    writer->bytes = grown;
    writer->capacity = capacity;
    return WEIR_OK;
}

static enum weir_status make_row(struct hf_key_writer *writer)
{
    struct weir_manifest *manifest = writer->manifest;
    if (manifest->key_count < writer->key_capacity)
        return WEIR_OK;
    const uint32_t capacity = 2 * writer->key_capacity + 32;
    struct gguf_key *keys = weir_heap_grow(manifest->keys, capacity * sizeof(*keys));
    if (keys == NULL)
        return WEIR_FAIL(writer->err, WEIR_ERR_NOMEM, "no memory for %u keys", capacity);
    manifest->keys = keys;
    writer->key_capacity = capacity;
    return WEIR_OK;
}

static const char *name_of(const struct hf_key_writer *writer, const char *suffix,
                           char out[KEY_NAME_MAX])
{
    if (suffix[0] == '.')
        snprintf(out, KEY_NAME_MAX, "%s", suffix + 1);
    else
        snprintf(out, KEY_NAME_MAX, "%s.%s", writer->family, suffix);
    return out;
}

static const struct gguf_key *find_key(const struct hf_key_writer *writer, const char *name)
{
    for (uint32_t index = 0; index < writer->manifest->key_count; index++) {
        const struct gguf_key *key = &writer->manifest->keys[index];
        if (strcmp((const char *)writer->bytes + key->name_at, name) == 0)
            return key;
    }
    return NULL;
}

uint32_t weir_hf_key_count(const struct hf_key_writer *writer, const char *suffix)
{
    char name[KEY_NAME_MAX];
    uint32_t count = 0;
    const struct gguf_key *key = find_key(writer, name_of(writer, suffix, name));
    if (key != NULL && key->type == GGUF_U32 && !key->is_array)
        memcpy(&count, writer->bytes + key->value_at, sizeof(count));
    return count;
}

/* bytes at value: one value of the type, or count of them where it is an array. */
static enum weir_status put_values(struct hf_key_writer *writer, const char *suffix,
                                   enum gguf_type type, const void *value, size_t bytes,
                                   bool is_array, uint64_t count)
{
    char name[KEY_NAME_MAX];
    name_of(writer, suffix, name);
    const size_t name_bytes = strlen(name) + 1;
    const struct gguf_key *before = find_key(writer, name);
    if (before != NULL) {
        if (before->type == type && before->is_array == is_array && before->value_bytes == bytes &&
            memcmp(writer->bytes + before->value_at, value, bytes) == 0)
            return WEIR_OK;
        return WEIR_FAIL(writer->err, WEIR_ERR_FORMAT,
                         "config.json: what becomes key %s is there twice, with two values", name);
    }
    WEIR_TRY(make_row(writer));
    WEIR_TRY(make_room(writer, name_bytes + bytes + 1));
    struct gguf_key *key = &writer->manifest->keys[writer->manifest->key_count++];
    *key = (struct gguf_key){.name_at = writer->length,
                             .value_at = writer->length + name_bytes,
                             .value_bytes = bytes,
                             .count = count,
                             .type = type,
                             .is_array = is_array};
    memcpy(writer->bytes + key->name_at, name, name_bytes);
    memcpy(writer->bytes + key->value_at, value, bytes);
    writer->bytes[key->value_at + bytes] = '\0'; /* of a text */
    writer->length = key->value_at + bytes + 1;
    return WEIR_OK;
}

static enum weir_status put(struct hf_key_writer *writer, const char *suffix, enum gguf_type type,
                            const void *value, size_t bytes)
{
    return put_values(writer, suffix, type, value, bytes, false, 1);
}

enum weir_status weir_hf_put_counts(struct hf_key_writer *writer, const char *suffix,
                                    const uint32_t *values, uint64_t count)
{
    return put_values(writer, suffix, GGUF_U32, values, count * sizeof(*values), true, count);
}

enum weir_status weir_hf_put_flags(struct hf_key_writer *writer, const char *suffix,
                                   const uint8_t *values, uint64_t count)
{
    return put_values(writer, suffix, GGUF_BOOL, values, count, true, count);
}

enum weir_status weir_hf_put_reals(struct hf_key_writer *writer, const char *suffix,
                                   const float *values, uint64_t count)
{
    return put_values(writer, suffix, GGUF_F32, values, count * sizeof(*values), true, count);
}

enum weir_status weir_hf_put_count(struct hf_key_writer *writer, const char *suffix, uint64_t value)
{
    const uint32_t narrow = (uint32_t)value;
    return narrow == value ? put(writer, suffix, GGUF_U32, &narrow, sizeof(narrow))
                           : put(writer, suffix, GGUF_U64, &value, sizeof(value));
}

enum weir_status weir_hf_put_real(struct hf_key_writer *writer, const char *suffix, double value)
{
    const float narrow = (float)value;
    return put(writer, suffix, GGUF_F32, &narrow, sizeof(narrow));
}

enum weir_status weir_hf_put_flag(struct hf_key_writer *writer, const char *suffix, bool value)
{
    const uint8_t byte = value;
    return put(writer, suffix, GGUF_BOOL, &byte, sizeof(byte));
}

enum weir_status weir_hf_put_text(struct hf_key_writer *writer, const char *suffix,
                                  const char *value)
{
    return put(writer, suffix, GGUF_STRING, value, strlen(value));
}

enum weir_status weir_hf_keys_finish(struct hf_key_writer *writer)
{
    struct weir_manifest *manifest = writer->manifest;
    manifest->head = writer->bytes;
    manifest->head_bytes = writer->length;
    manifest->files[0].head = writer->bytes;
    writer->bytes = NULL;
    if (weir_names_init(&manifest->key_index, manifest->key_count, manifest, weir_gguf_key_name) !=
        WEIR_OK)
        return WEIR_FAIL(writer->err, WEIR_ERR_NOMEM, "no memory for the names of %u keys",
                         manifest->key_count);
    for (uint32_t index = 0; index < manifest->key_count; index++)
        weir_names_put(&manifest->key_index, index);
    return WEIR_OK;
}

void weir_hf_keys_free(struct hf_key_writer *writer)
{
    weir_heap_free(writer->bytes);
    writer->bytes = NULL;
}
