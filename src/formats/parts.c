/* parts.c - a model in several files, NAME-00001-of-00003.gguf and so on, as one manifest.
 *
 * The first part has the keys, each part tensors of its own and three keys that say which part it
 * is: split.no (from 0), split.count, split.tensors.count (of all parts together).
 *
 * I1  A part's name and its keys say the same; so no part can be taken for another.
 * I2  Offsets of tensors stay those of their own file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

/* "-00001-of-00003.gguf": a part's number, from 1, and the number of parts. */
enum { DIGITS = 5, SUFFIX_BYTES = sizeof("-00001-of-00003.gguf") - 1 };

struct part_name {
    int stem_length; /* of the path before the suffix */
    uint64_t number, count;
};

static bool read_digits(const char *text, uint64_t *value)
{
    *value = 0;
    for (int digit = 0; digit < DIGITS; digit++) {
        if (text[digit] < '0' || text[digit] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(text[digit] - '0');
    }
    return true;
}

static bool read_name(const char *path, struct part_name *name)
{
    const size_t length = strlen(path);
    if (length < SUFFIX_BYTES)
        return false;
    const char *suffix = path + length - SUFFIX_BYTES;
    name->stem_length = (int)(length - SUFFIX_BYTES);
    return suffix[0] == '-' && read_digits(suffix + 1, &name->number) &&
           strncmp(suffix + 1 + DIGITS, "-of-", 4) == 0 &&
           read_digits(suffix + 5 + DIGITS, &name->count) &&
           strcmp(suffix + 5 + 2 * DIGITS, ".gguf") == 0;
}

/* The path of another part, from 1; the caller frees it. NULL: no memory. */
static char *make_name(const char *path, const struct part_name *name, uint64_t number)
{
    char *made = weir_heap_text(path);
    if (made != NULL)
        snprintf(made + name->stem_length, SUFFIX_BYTES + 1, "-%05u-of-%05u.gguf", (unsigned)number,
                 (unsigned)name->count);
    return made;
}

/* A key of the split; *value is 0 when it is absent. */
static enum weir_status read_split_key(const struct weir_manifest *manifest, const char *key,
                                       uint64_t *value, struct weir_err *err)
{
    *value = 0;
    if (weir_manifest_u64(manifest, key, value) || weir_gguf_find_key(manifest, key) == NULL)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "%s: key %s: wanted a whole number, found something else",
                     weir_manifest_path(manifest), key);
}

enum weir_status weir_parts_count(const struct weir_manifest *manifest, uint64_t *count,
                                  struct weir_err *err)
{
    WEIR_TRY(read_split_key(manifest, "split.count", count, err));
    *count = weir_max(*count, 1);
    return WEIR_OK;
}

/* Keeps I1. */
static enum weir_status check_part(const struct weir_manifest *part, const struct part_name *name,
                                   uint64_t number, struct weir_err *err)
{
    const char *path = weir_manifest_path(part);
    uint64_t count = 0;
    uint64_t index = 0;
    WEIR_TRY(read_split_key(part, "split.count", &count, err));
    WEIR_TRY(read_split_key(part, "split.no", &index, err));
    if (count != name->count)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: key split.count: the name says %llu parts, found %llu", path,
                         (unsigned long long)name->count, (unsigned long long)count);
    if (index + 1 != number)
        return WEIR_FAIL(
            err, WEIR_ERR_FORMAT,
            "%s: key split.no: the name says part %llu, so %llu is wanted, found %llu: "
            "another part has this name",
            path, (unsigned long long)number, (unsigned long long)(number - 1),
            (unsigned long long)index);
    return WEIR_OK;
}

/* The file that was opened is the first part, and has a name from which the others' follow. */
static enum weir_status check_first(const struct weir_manifest *first, uint64_t count,
                                    struct part_name *name, struct weir_err *err)
{
    const char *path = weir_manifest_path(first);
    if (!read_name(path, name))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is one of %llu parts of a split model: wanted a name that ends in "
                         "-00001-of-%05llu.gguf, by which the others are found beside it",
                         path, (unsigned long long)count, (unsigned long long)count);
    WEIR_TRY(check_part(first, name, name->number, err));
    if (name->number != 1)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is part %llu of %llu: open the first one, %.*s-00001-of-%05llu.gguf",
                         path, (unsigned long long)name->number, (unsigned long long)name->count,
                         name->stem_length, path, (unsigned long long)name->count);
    if (count > WEIR_FILE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: wanted at most %d parts, found %llu", path,
                         WEIR_FILE_MAX, (unsigned long long)count);
    return WEIR_OK;
}

/* Whether a part may have a key of this name whatever the first part says. */
static bool is_own_key(const char *key)
{
    return strcmp(key, "split.no") == 0 || strcmp(key, "general.alignment") == 0;
}

/* Every other key of a part is one of the first part's, with the same value: a part of another
 * model shows here, and no key is left that nobody would read. */
static enum weir_status check_keys(const struct weir_manifest *first,
                                   const struct weir_manifest *part, struct weir_err *err)
{
    for (uint32_t index = 0; index < part->key_count; index++) {
        const char *key = weir_gguf_key_name(part, index);
        const struct gguf_key *wanted = weir_gguf_find_key(first, key);
        if (is_own_key(key))
            continue;
        if (wanted == NULL)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: key %s is not in the first part, %s",
                             weir_manifest_path(part), key, weir_manifest_path(first));
        if (weir_gguf_same_value(first, wanted, part, &part->keys[index]))
            continue;
        char wanted_text[64];
        char found_text[64];
        weir_manifest_key_at(first, (uint32_t)(wanted - first->keys), wanted_text,
                             sizeof(wanted_text));
        weir_manifest_key_at(part, index, found_text, sizeof(found_text));
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is not a part of the model in %s: key %s: wanted %s, found %s",
                         weir_manifest_path(part), weir_manifest_path(first), key, wanted_text,
                         found_text);
    }
    return WEIR_OK;
}

static enum weir_status open_part(struct weir_manifest **part, const char *path,
                                  const struct part_name *name, uint64_t number,
                                  struct weir_err *err)
{
    struct weir_err reason = {0};
    const enum weir_status status = weir_manifest_open_one(part, path, &reason);
    if (status == WEIR_ERR_IO && reason.os_errno == ENOENT)
        return WEIR_FAIL_OS(err, ENOENT, "part %llu of %llu is missing: wanted %s",
                            (unsigned long long)number, (unsigned long long)name->count, path);
    if (status == WEIR_ERR_IO)
        return WEIR_FAIL_OS(err, reason.os_errno, "part %llu of %llu cannot be read: %s",
                            (unsigned long long)number, (unsigned long long)name->count, path);
    return status == WEIR_OK
               ? status
               : WEIR_FAIL(err, status, "part %llu of %llu: %s", (unsigned long long)number,
                           (unsigned long long)name->count, reason.text);
}

/* The part's tensors and file become the model's; keeps I2. The part is left without them. */
static enum weir_status take_part(struct weir_manifest *manifest, struct weir_manifest *part,
                                  struct weir_err *err)
{
    const uint64_t count = (uint64_t)manifest->tensor_count + part->tensor_count;
    if (count > WEIR_TENSOR_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted at most %d tensors, found %llu so far",
                         weir_manifest_path(part), WEIR_TENSOR_MAX, (unsigned long long)count);
    struct weir_tensor *tensors =
        weir_heap_grow(manifest->tensors, weir_max(count, 1) * sizeof(*tensors));
    if (tensors == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %llu tensors",
                         (unsigned long long)count);
    manifest->tensors = tensors;
    for (uint32_t index = 0; index < part->tensor_count; index++) {
        tensors[manifest->tensor_count] = part->tensors[index];
        tensors[manifest->tensor_count++].file = manifest->file_count;
    }
    manifest->files[manifest->file_count++] = part->files[0];
    part->file_count = 0;
    return WEIR_OK;
}

static enum weir_status join_part(struct weir_manifest *manifest, const struct part_name *name,
                                  uint64_t number, struct weir_err *err)
{
    struct weir_manifest *part = NULL;
    char *path = make_name(weir_manifest_path(manifest), name, number);
    enum weir_status status = path == NULL
                                  ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a part's name")
                                  : open_part(&part, path, name, number, err);
    if (status == WEIR_OK)
        status = check_part(part, name, number, err);
    if (status == WEIR_OK)
        status = check_keys(manifest, part, err);
    if (status == WEIR_OK)
        status = take_part(manifest, part, err);
    weir_manifest_close(&part);
    weir_heap_free(path);
    return status;
}

/* A part that is there twice shows here at the latest. */
enum weir_status weir_tensors_index(struct weir_manifest *manifest, struct weir_err *err)
{
    struct name_index *names = &manifest->tensor_index;
    weir_heap_free(names->places);
    names->places = NULL;
    if (weir_names_init(names, manifest->tensor_count, manifest, weir_gguf_tensor_name) != WEIR_OK)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the names of %u tensors",
                         manifest->tensor_count);
    for (uint32_t index = 0; index < manifest->tensor_count; index++) {
        const uint32_t before = weir_names_put(names, index);
        if (before != UINT32_MAX)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s is there twice: in %s and in %s",
                             manifest->tensors[index].name,
                             manifest->files[manifest->tensors[before].file].path,
                             manifest->files[manifest->tensors[index].file].path);
    }
    return WEIR_OK;
}

/* Tools that split anew are known to leave the old number: what is missing shows elsewhere. */
static enum weir_status check_total(struct weir_manifest *manifest, struct weir_err *err)
{
    uint64_t total = 0;
    WEIR_TRY(read_split_key(manifest, "split.tensors.count", &total, err));
    if (!weir_manifest_has(manifest, "split.tensors.count"))
        weir_warn(manifest->warnings,
                  "key split.tensors.count is missing: nothing says how many tensors all parts "
                  "have, they have %u",
                  manifest->tensor_count);
    else if (total != manifest->tensor_count)
        weir_warn(manifest->warnings,
                  "key split.tensors.count says %llu tensors in all parts, they have %u",
                  (unsigned long long)total, manifest->tensor_count);
    return WEIR_OK;
}

enum weir_status weir_parts_join(struct weir_manifest *manifest, struct weir_err *err)
{
    struct part_name name = {0};
    uint64_t count = 0;
    WEIR_TRY(weir_parts_count(manifest, &count, err));
    if (count == 1)
        return WEIR_OK;
    WEIR_TRY(check_first(manifest, count, &name, err));
    struct manifest_file *files =
        weir_heap_grow(manifest->files, (size_t)count * sizeof(*manifest->files));
    if (files == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %llu parts",
                         (unsigned long long)count);
    manifest->files = files;
    for (uint64_t number = 2; number <= count; number++)
        WEIR_TRY(join_part(manifest, &name, number, err));
    WEIR_TRY(check_total(manifest, err));
    return weir_tensors_index(manifest, err);
}
