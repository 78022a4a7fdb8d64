/* manifest.c - open, close, and what is asked of a manifest. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "formats/hf.h"
#include "formats/tokenizer_json.h"

const char *weir_gguf_key_name(const void *owner, uint32_t index)
{
    const struct weir_manifest *manifest = owner;
    return (const char *)manifest->head + manifest->keys[index].name_at;
}

const char *weir_gguf_tensor_name(const void *owner, uint32_t index)
{
    const struct weir_manifest *manifest = owner;
    return manifest->tensors[index].name;
}

/* Parse what the source has; on success the manifest owns its buffer, cut to what is needed. */
static enum weir_status parse_source(weir_manifest **out, struct gguf_source *source,
                                     struct weir_err *err)
{
    weir_manifest *manifest = weir_heap_alloc(sizeof(*manifest));
    if (manifest == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest");
    manifest->warnings = weir_heap_alloc(sizeof(*manifest->warnings));
    manifest->files = weir_heap_alloc(sizeof(*manifest->files));
    manifest->file_count = manifest->files != NULL;
    if (manifest->files != NULL) {
        manifest->files[0].bytes = source->file_bytes;
        manifest->files[0].path = weir_heap_text(source->name);
    }
    const bool has_memory =
        manifest->warnings != NULL && manifest->files != NULL && manifest->files[0].path != NULL;
    enum weir_status status = !has_memory
                                  ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest")
                                  : weir_gguf_parse(manifest, source, err);
    if (status != WEIR_OK) {
        weir_manifest_close(&manifest);
        return status;
    }
    manifest->files[0].head = source->bytes;
    source->bytes = NULL;
    *out = manifest;
    return WEIR_OK;
}

enum weir_status weir_manifest_open_one(weir_manifest **out, const char *path, struct weir_err *err)
{
    struct gguf_source source = {.fd = -1, .name = path};
    enum weir_status status = weir_gguf_source_open(&source, err);
    if (status == WEIR_OK)
        status = parse_source(out, &source, err);
    weir_gguf_source_close(&source);
    return status;
}

static bool is_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

enum weir_status weir_manifest_open(weir_manifest **out, const char *path, struct weir_err *err)
{
    weir_manifest *manifest = NULL;
    if (is_folder(path))
        return weir_hf_open(out, path, err);
    WEIR_TRY(weir_manifest_open_one(&manifest, path, err));
    enum weir_status status = weir_parts_join(manifest, err);
    if (status == WEIR_OK)
        status = weir_stacks_join(manifest, err);
    if (status != WEIR_OK) {
        weir_manifest_close(&manifest);
        return status;
    }
    *out = manifest;
    return WEIR_OK;
}

/* Whether a file begins as a JSON object does. */
static enum weir_status find_object(const char *path, bool *is_object, struct weir_err *err)
{
    enum { LOOK_BYTES = 64 };
    struct gguf_source source = {.fd = -1, .name = path};
    enum weir_status status = weir_gguf_source_open(&source, err);
    const uint64_t length = weir_min(source.file_bytes, LOOK_BYTES);
    uint64_t at = 0;
    if (status == WEIR_OK)
        status = weir_gguf_source_need(&source, length, "its first bytes", err);
    while (status == WEIR_OK && at < length && strchr(" \t\r\n", source.bytes[at]) != NULL)
        at++;
    *is_object = status == WEIR_OK && at < length && source.bytes[at] == '{';
    weir_gguf_source_close(&source);
    return status;
}

enum weir_status weir_manifest_open_vocab(weir_manifest **out, const char *path,
                                          struct weir_err *err)
{
    bool is_object = false;
    if (is_folder(path))
        return weir_hf_vocab_open(out, path, true, err);
    WEIR_TRY(find_object(path, &is_object, err));
    return is_object ? weir_hf_vocab_open(out, path, false, err)
                     : weir_manifest_open(out, path, err);
}

static bool is_safetensors(const char *path)
{
    static const char end[] = ".safetensors";
    const size_t length = strlen(path);
    return length >= sizeof(end) - 1 && strcmp(path + length - (sizeof(end) - 1), end) == 0;
}

enum weir_status weir_manifest_head_check(const char *path, uint64_t there_bytes,
                                          uint64_t *wanted_bytes, struct weir_err *err)
{
    struct gguf_source source = {.fd = -1, .name = path, .there_bytes = there_bytes};
    struct weir_err why = {0};
    weir_manifest *manifest = NULL;
    uint64_t length = 0;
    enum weir_status status = weir_gguf_source_open(&source, &why);
    if (status == WEIR_OK)
        status = is_safetensors(path) ? weir_safetensors_need(&source, &length, &why)
                                      : parse_source(&manifest, &source, &why);
    const uint64_t wanted = source.wanted_bytes;
    weir_gguf_source_close(&source);
    weir_manifest_close(&manifest);
    if (status != WEIR_OK && wanted == 0)
        return WEIR_FAIL(err, status, "%s", why.text);
    *wanted_bytes = wanted;
    return WEIR_OK;
}

static enum weir_status refuse_part(const weir_manifest *manifest, struct weir_err *err)
{
    uint64_t count = 0;
    WEIR_TRY(weir_parts_count(manifest, &count, err));
    return count == 1 ? WEIR_OK
                      : WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                                  "%s is one of %llu parts of a split model, which only files can "
                                  "be",
                                  weir_manifest_path(manifest), (unsigned long long)count);
}

enum weir_status weir_manifest_parse(weir_manifest **out, const void *bytes, size_t length,
                                     uint64_t file_bytes, struct weir_err *err)
{
    struct gguf_source source = {
        .fd = -1, .name = "(memory)", .length = length, .file_bytes = file_bytes};
    WEIR_ASSERT(file_bytes >= length);
    source.bytes = weir_heap_alloc(length);
    if (source.bytes == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %zu bytes", length);
    if (length > 0) /* bytes may then be NULL */
        memcpy(source.bytes, bytes, length);
    weir_manifest *manifest = NULL;
    enum weir_status status = parse_source(&manifest, &source, err);
    weir_heap_free(source.bytes);
    if (status == WEIR_OK)
        status = refuse_part(manifest, err);
    if (status == WEIR_OK)
        status = weir_stacks_join(manifest, err);
    if (status == WEIR_OK)
        *out = manifest;
    else
        weir_manifest_close(&manifest);
    return status;
}

void weir_manifest_close(weir_manifest **manifest)
{
    weir_manifest *closing = *manifest;
    if (closing == NULL)
        return;
    for (uint32_t file = 0; file < closing->file_count; file++) {
        weir_heap_free(closing->files[file].path);
        weir_heap_free(closing->files[file].head);
    }
    weir_heap_free(closing->files);
    weir_heap_free(closing->warnings);
    weir_heap_free(closing->keys);
    weir_heap_free(closing->tensors);
    weir_heap_free(closing->key_index.places);
    weir_heap_free(closing->tensor_index.places);
    weir_heap_free(closing->tokens);
    weir_heap_free(closing->merges);
    weir_heap_free(closing->token_types);
    weir_heap_free(closing->token_strips);
    weir_heap_free(closing->scores);
    weir_heap_free(closing->end_ids);
    weir_tokenizer_json_close(&closing->tokenizer);
    weir_heap_free(closing->folder);
    weir_heap_free(closing->tokenizer_path);
    weir_heap_free(closing->names);
    weir_heap_free(closing->places);
    weir_heap_free(closing->values);
    weir_heap_free(closing);
    *manifest = NULL;
}

struct weir_warnings *weir_manifest_warnings(const weir_manifest *manifest)
{
    return manifest->warnings;
}

const char *weir_manifest_path(const weir_manifest *manifest)
{
    if (manifest->tokenizer_path != NULL)
        return manifest->tokenizer_path;
    return manifest->folder != NULL ? manifest->folder : manifest->files[0].path;
}

uint32_t weir_manifest_file_count(const weir_manifest *manifest)
{
    return manifest->file_count;
}

const char *weir_manifest_file_path(const weir_manifest *manifest, uint32_t file)
{
    WEIR_ASSERT(file < manifest->file_count);
    return manifest->files[file].path;
}

uint64_t weir_manifest_file_bytes(const weir_manifest *manifest, uint32_t file)
{
    WEIR_ASSERT(file < manifest->file_count);
    return manifest->files[file].bytes;
}

uint64_t weir_manifest_bytes(const weir_manifest *manifest)
{
    uint64_t bytes = 0;
    for (uint32_t file = 0; file < manifest->file_count; file++)
        bytes += manifest->files[file].bytes;
    return bytes;
}

uint32_t weir_manifest_version(const weir_manifest *manifest)
{
    return manifest->version;
}

uint32_t weir_manifest_tensor_count(const weir_manifest *manifest)
{
    return manifest->tensor_count;
}

const struct weir_tensor *weir_manifest_tensor_at(const weir_manifest *manifest, uint32_t index)
{
    WEIR_ASSERT(index < manifest->tensor_count);
    return &manifest->tensors[index];
}

const struct weir_tensor *weir_manifest_tensor(const weir_manifest *manifest, const char *name)
{
    const uint32_t index = weir_names_find(&manifest->tensor_index, name);
    return index == UINT32_MAX ? NULL : &manifest->tensors[index];
}

const struct gguf_key *weir_gguf_find_key(const struct weir_manifest *manifest, const char *name)
{
    const uint32_t index = weir_names_find(&manifest->key_index, name);
    return index == UINT32_MAX ? NULL : &manifest->keys[index];
}

bool weir_gguf_same_value(const struct weir_manifest *one, const struct gguf_key *of_one,
                          const struct weir_manifest *other, const struct gguf_key *of_other)
{
    return of_one->type == of_other->type && of_one->is_array == of_other->is_array &&
           of_one->count == of_other->count && of_one->value_bytes == of_other->value_bytes &&
           memcmp(one->head + of_one->value_at, other->head + of_other->value_at,
                  of_one->value_bytes) == 0;
}

/* Little-endian bytes as an unsigned number. */
static uint64_t load_bytes(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    memcpy(&value, bytes, count);
    return value;
}

bool weir_gguf_element(const struct weir_manifest *manifest, const struct gguf_key *key,
                       uint64_t index, bool *is_integer, int64_t *integer, double *real)
{
    const size_t each = weir_gguf_type_bytes(key->type);
    const uint8_t *bytes = manifest->head + key->value_at + index * each;
    float single;
    *is_integer = key->type != GGUF_F32 && key->type != GGUF_F64;
    switch (key->type) {
    case GGUF_F32:
        memcpy(&single, bytes, sizeof(single));
        *real = (double)single;
        return true;
    case GGUF_F64:
        memcpy(real, bytes, sizeof(*real));
        return true;
    case GGUF_I8:
        *integer = (bytes[0] ^ 0x80) - 0x80; /* the sign, extended */
        break;
    case GGUF_I16:
        *integer = (int16_t)load_bytes(bytes, each);
        break;
    case GGUF_I32:
        *integer = (int32_t)load_bytes(bytes, each);
        break;
    case GGUF_STRING:
    case GGUF_ARRAY:
    case GGUF_TYPE_COUNT:
        return false;
    default:
        *integer = (int64_t)load_bytes(bytes, each);
        break;
    }
    *real = key->type == GGUF_U64 ? (double)(uint64_t)*integer : (double)*integer;
    return true;
}

/* An element as an unsigned number, when it is one without loss. */
static bool element_u64(const weir_manifest *manifest, const struct gguf_key *key, uint64_t index,
                        uint64_t *value)
{
    bool is_integer = false;
    int64_t integer = 0;
    double real = 0.0;
    if (!weir_gguf_element(manifest, key, index, &is_integer, &integer, &real))
        return false;
    if (is_integer && (integer >= 0 || key->type == GGUF_U64)) {
        *value = (uint64_t)integer;
        return true;
    }
    if (is_integer || !(real >= 0.0 && real < 0x1p64) || real != floor(real))
        return false;
    *value = (uint64_t)real;
    return true;
}

static const struct gguf_key *find_scalar(const weir_manifest *manifest, const char *name)
{
    const struct gguf_key *key = weir_gguf_find_key(manifest, name);
    return key == NULL || key->is_array ? NULL : key;
}

bool weir_manifest_u64(const weir_manifest *manifest, const char *key, uint64_t *value)
{
    const struct gguf_key *found = find_scalar(manifest, key);
    return found != NULL && found->type != GGUF_BOOL && element_u64(manifest, found, 0, value);
}

bool weir_manifest_f64(const weir_manifest *manifest, const char *key, double *value)
{
    const struct gguf_key *found = find_scalar(manifest, key);
    bool is_integer = false;
    int64_t integer = 0;
    return found != NULL && found->type != GGUF_BOOL &&
           weir_gguf_element(manifest, found, 0, &is_integer, &integer, value);
}

bool weir_manifest_bool(const weir_manifest *manifest, const char *key, bool *value)
{
    const struct gguf_key *found = find_scalar(manifest, key);
    if (found == NULL || found->type != GGUF_BOOL)
        return false;
    *value = manifest->head[found->value_at] != 0;
    return true;
}

const char *weir_manifest_text(const weir_manifest *manifest, const char *key)
{
    const struct gguf_key *found = find_scalar(manifest, key);
    return found == NULL || found->type != GGUF_STRING
               ? NULL
               : (const char *)manifest->head + found->value_at;
}

bool weir_manifest_array_count(const weir_manifest *manifest, const char *key, uint64_t *count)
{
    const struct gguf_key *found = weir_gguf_find_key(manifest, key);
    if (found == NULL || !found->is_array)
        return false;
    *count = found->count;
    return true;
}

bool weir_manifest_array_u64(const weir_manifest *manifest, const char *key, uint64_t index,
                             uint64_t *value)
{
    const struct gguf_key *found = weir_gguf_find_key(manifest, key);
    return found != NULL && found->is_array && index < found->count &&
           element_u64(manifest, found, index, value);
}

bool weir_manifest_element(const weir_manifest *manifest, const char *key, uint64_t index,
                           double *value)
{
    const struct gguf_key *found = weir_gguf_find_key(manifest, key);
    bool is_integer = false;
    int64_t integer = 0;
    return found != NULL && index < found->count &&
           weir_gguf_element(manifest, found, index, &is_integer, &integer, value);
}

bool weir_manifest_has(const weir_manifest *manifest, const char *key)
{
    return weir_gguf_find_key(manifest, key) != NULL;
}

uint32_t weir_manifest_key_count(const weir_manifest *manifest)
{
    return manifest->key_count;
}

const char *weir_manifest_key_at(const weir_manifest *manifest, uint32_t index, char *out,
                                 size_t capacity)
{
    WEIR_ASSERT(index < manifest->key_count && capacity > 0);
    const struct gguf_key *key = &manifest->keys[index];
    bool is_integer = false;
    int64_t integer = 0;
    double real = 0.0;
    if (key->is_array)
        snprintf(out, capacity, "array of %llu %s", (unsigned long long)key->count,
                 weir_gguf_type_name(key->type));
    else if (key->type == GGUF_STRING)
        weir_printable((const char *)manifest->head + key->value_at,
                       strlen((const char *)manifest->head + key->value_at), out, capacity);
    else if (key->type == GGUF_BOOL)
        snprintf(out, capacity, "%s", manifest->head[key->value_at] != 0 ? "true" : "false");
    else if (weir_gguf_element(manifest, key, 0, &is_integer, &integer, &real) && is_integer)
        snprintf(out, capacity, key->type == GGUF_U64 ? "%llu" : "%lld", (long long)integer);
    else
        snprintf(out, capacity, "%.9g", real);
    return weir_gguf_key_name(manifest, index);
}

void weir_gguf_raw_key(const weir_manifest *manifest, uint32_t index, struct weir_gguf_raw_key *key)
{
    WEIR_ASSERT(index < manifest->key_count);
    const struct gguf_key *found = &manifest->keys[index];
    const uint8_t *value = manifest->head + found->value_at;
    *key = (struct weir_gguf_raw_key){.name = weir_gguf_key_name(manifest, index),
                                      .type = found->type,
                                      .is_array = found->is_array,
                                      .is_text = !found->is_array && found->type == GGUF_STRING,
                                      .count = found->count,
                                      .value = value,
                                      .bytes = found->value_bytes};
    if (key->is_text)
        key->bytes = strlen((const char *)value);
}

bool weir_gguf_raw_same(const struct weir_gguf_raw_key *one, const struct weir_gguf_raw_key *other)
{
    return one->type == other->type && one->is_array == other->is_array &&
           one->count == other->count && one->bytes == other->bytes &&
           memcmp(one->value, other->value, one->bytes) == 0;
}
