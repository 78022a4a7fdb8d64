/* hf_shards.c - the safetensors files of a directory: which there are, and what each holds.
 *
 * One file, model.safetensors, or several that model.safetensors.index.json lists:
 * {"metadata": {"total_size": BYTES}, "weight_map": {"TENSOR": "FILE", ...}}.
 *
 * I1  A tensor is in the file that the index says, and in no other; the index names all of them. */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

#define ONE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"

enum { FILE_NAME_MAX = 200 };

/* The files by name, while they are being found. */
struct shards {
    struct weir_manifest *manifest;
    const struct weir_hf_folder *folder;
    char (*names)[FILE_NAME_MAX]; /* [WEIR_FILE_MAX] */
    uint32_t count;
    struct name_index index;
    struct weir_err *err;
};

static const char *shard_name(const void *owner, uint32_t index)
{
    return ((const struct shards *)owner)->names[index];
}

/* A plain name of a file beside the index: what leads elsewhere is refused. */
static bool is_plain_name(const char *name, size_t length)
{
    return length > 0 && length < FILE_NAME_MAX && strlen(name) == length && name[0] != '.' &&
           strchr(name, '/') == NULL;
}

/* The number of the file called value, which is new or known. */
static enum weir_status find_shard(struct shards *shards, struct weir_json value, uint32_t *file)
{
    char name[FILE_NAME_MAX] = "";
    const size_t length = weir_json_text(value, name, sizeof(name) - 1);
    if (!is_plain_name(name, length))
        return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                         "%s/" INDEX_FILE ": weight_map: wanted a file's name of 1 to %d bytes "
                         "without a folder, found %.*s",
                         shards->folder->path, FILE_NAME_MAX - 1,
                         (int)weir_min(60, (uint64_t)(value.end - value.start)), value.start);
    *file = weir_names_find(&shards->index, name);
    if (*file != UINT32_MAX)
        return WEIR_OK;
    if (shards->count == WEIR_FILE_MAX)
        return WEIR_FAIL(shards->err, WEIR_ERR_UNSUPPORTED,
                         "%s/" INDEX_FILE ": wanted at most %d files, found more",
                         shards->folder->path, WEIR_FILE_MAX);
    *file = shards->count++;
    memcpy(shards->names[*file], name, sizeof(name));
    weir_names_put(&shards->index, *file);
    return WEIR_OK;
}

static enum weir_status list_shards(struct shards *shards, struct weir_json weight_map)
{
    uint32_t file = 0;
    const uint64_t count = weir_json_count(weight_map);
    if (count > WEIR_TENSOR_MAX)
        return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                         "%s/" INDEX_FILE ": weight_map: wanted at most %d tensors, found %llu",
                         shards->folder->path, WEIR_TENSOR_MAX, (unsigned long long)count);
    if (weir_json_kind(weight_map) != WEIR_JSON_OBJECT || count == 0)
        return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                         "%s/" INDEX_FILE ": weight_map: wanted an object of tensors and their "
                         "files, found %s",
                         shards->folder->path, weir_json_kind_name(weir_json_kind(weight_map)));
    for (struct weir_json_walk walk = weir_json_walk(weight_map); weir_json_next(&walk);)
        WEIR_TRY(find_shard(shards, walk.value, &file));
    return WEIR_OK;
}

enum weir_status weir_safetensors_need(struct gguf_source *source, uint64_t *length,
                                       struct weir_err *err)
{
    WEIR_TRY(weir_gguf_source_need(source, sizeof(*length), "the header's length", err));
    memcpy(length, source->bytes, sizeof(*length));
    if (*length > WEIR_SAFETENSORS_HEAD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: the header's length: wanted at most %d bytes, found %llu",
                         source->name, WEIR_SAFETENSORS_HEAD_MAX, (unsigned long long)*length);
    return weir_gguf_source_need(source, sizeof(*length) + *length, "the header", err);
}

static enum weir_status read_shard(struct shards *shards, struct weir_raw_list *list, uint32_t file)
{
    struct weir_manifest *manifest = shards->manifest;
    struct gguf_source source = {.fd = -1};
    uint64_t length = 0;
    char *path = weir_hf_path(shards->folder, shards->names[file]);
    if (path == NULL)
        return WEIR_FAIL(shards->err, WEIR_ERR_NOMEM, "no memory for a file's name");
    manifest->files[file] = (struct manifest_file){.path = path};
    manifest->file_count = file + 1;
    enum weir_status status = weir_hf_file_open(&source, shards->folder, path, shards->err);
    if (status == WEIR_OK)
        status = weir_safetensors_need(&source, &length, shards->err);
    if (status == WEIR_OK) {
        manifest->files[file].bytes = source.file_bytes;
        status = weir_safetensors_read(list, path, (const char *)source.bytes + sizeof(uint64_t),
                                       length, source.file_bytes, shards->err);
    }
    weir_gguf_source_close(&source);
    return status;
}

static enum weir_status read_shards(struct shards *shards, struct weir_raw_list *list)
{
    struct weir_manifest *manifest = shards->manifest;
    manifest->files = weir_heap_array(shards->count, sizeof(*manifest->files));
    if (manifest->files == NULL)
        return WEIR_FAIL(shards->err, WEIR_ERR_NOMEM, "no memory for %u files", shards->count);
    for (uint32_t file = 0; file < shards->count; file++)
        WEIR_TRY(read_shard(shards, list, file));
    return WEIR_OK;
}

static const char *raw_name(const void *owner, uint32_t index)
{
    return ((const struct weir_raw_list *)owner)->tensors[index].name;
}

static enum weir_status index_names(struct shards *shards, const struct weir_raw_list *list,
                                    struct name_index *index)
{
    const struct manifest_file *files = shards->manifest->files;
    if (weir_names_init(index, list->count, list, raw_name) != WEIR_OK)
        return WEIR_FAIL(shards->err, WEIR_ERR_NOMEM, "no memory for the names of %u tensors",
                         list->count);
    for (uint32_t at = 0; at < list->count; at++) {
        const uint32_t before = weir_names_put(index, at);
        if (before != UINT32_MAX)
            return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                             "tensor %s is there twice: in %s and in %s", list->tensors[at].name,
                             files[list->tensors[before].file].path,
                             files[list->tensors[at].file].path);
    }
    return WEIR_OK;
}

/* One line of the index, against what the files hold; keeps I1. */
static enum weir_status check_line(struct shards *shards, const struct weir_raw_list *list,
                                   const struct name_index *index,
                                   const struct weir_json_walk *line, bool *is_listed)
{
    char name[WEIR_NAME_MAX + 1] = "";
    uint32_t file = 0;
    const size_t length = weir_json_text(line->key, name, sizeof(name) - 1);
    name[weir_min(length, WEIR_NAME_MAX)] = '\0';
    WEIR_TRY(find_shard(shards, line->value, &file));
    const uint32_t at = weir_names_find(index, name);
    if (at == UINT32_MAX || list->tensors[at].file != file)
        return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                         "%s/" INDEX_FILE " and the files disagree: tensor %s: wanted in %s, found "
                         "%s",
                         shards->folder->path, name, shards->names[file],
                         at == UINT32_MAX ? "nowhere" : shards->names[list->tensors[at].file]);
    if (is_listed[at])
        return WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                         "%s/" INDEX_FILE ": tensor %s is there twice", shards->folder->path, name);
    is_listed[at] = true;
    return WEIR_OK;
}

static enum weir_status check_index(struct shards *shards, const struct weir_raw_list *list,
                                    struct weir_json weight_map)
{
    struct name_index index = {0};
    enum weir_status status = WEIR_OK;
    bool *is_listed = weir_heap_array(list->count, sizeof(*is_listed));
    if (is_listed == NULL) {
        status =
            WEIR_FAIL(shards->err, WEIR_ERR_NOMEM, "no memory to look for %u tensors", list->count);
        goto fail;
    }
    WEIR_TRY_GOTO(index_names(shards, list, &index));
    for (struct weir_json_walk walk = weir_json_walk(weight_map); weir_json_next(&walk);)
        WEIR_TRY_GOTO(check_line(shards, list, &index, &walk, is_listed));
    for (uint32_t at = 0; at < list->count; at++)
        if (!is_listed[at] && weir_json_kind(weight_map) != WEIR_JSON_NONE) {
            status = WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                               "%s/" INDEX_FILE " does not name tensor %s, which is in %s",
                               shards->folder->path, list->tensors[at].name,
                               shards->names[list->tensors[at].file]);
            goto fail;
        }

fail:
    weir_heap_free(index.places);
    weir_heap_free(is_listed);
    return status;
}

/* What the index says all tensors have together; known to be wrong in published models. */
static void check_total(const struct shards *shards, const struct weir_raw_list *list,
                        struct weir_json root)
{
    uint64_t wanted = 0;
    uint64_t found = 0;
    for (uint32_t at = 0; at < list->count; at++)
        found += list->tensors[at].bytes;
    if (weir_json_u64(weir_json_member(weir_json_member(root, "metadata"), "total_size"),
                      &wanted) &&
        wanted != found)
        weir_warn(shards->manifest->warnings,
                  INDEX_FILE ": total_size says %llu bytes, the tensors have %llu",
                  (unsigned long long)wanted, (unsigned long long)found);
}

static bool has_pickles(const struct weir_hf_folder *folder)
{
    return weir_hf_file_exists(folder, "pytorch_model.bin") ||
           weir_hf_file_exists(folder, "pytorch_model.bin.index.json") ||
           weir_hf_file_exists(folder, "consolidated.00.pth");
}

static enum weir_status read_all(struct shards *shards, struct weir_raw_list *list)
{
    struct gguf_source source = {.fd = -1};
    struct weir_json root = {0};
    struct weir_json weight_map = {0};
    enum weir_status status = WEIR_OK;
    char *path = NULL;
    if (weir_hf_file_exists(shards->folder, ONE_FILE)) {
        snprintf(shards->names[shards->count++], FILE_NAME_MAX, ONE_FILE);
    } else if (weir_hf_file_exists(shards->folder, INDEX_FILE)) {
        path = weir_hf_path(shards->folder, INDEX_FILE);
        status = path == NULL ? WEIR_FAIL(shards->err, WEIR_ERR_NOMEM, "no memory for a name")
                              : weir_hf_json_open(&root, &source, shards->folder, path,
                                                  WEIR_SAFETENSORS_HEAD_MAX, shards->err);
        weight_map = weir_json_member(root, "weight_map");
        if (status == WEIR_OK)
            status = list_shards(shards, weight_map);
    } else {
        status = WEIR_FAIL(shards->err, WEIR_ERR_FORMAT,
                           "%s: wanted " ONE_FILE " or " INDEX_FILE ", found neither%s",
                           shards->folder->path,
                           has_pickles(shards->folder)
                               ? ": its weights are pickles of PyTorch, which weir does not read; "
                                 "get the model's safetensors, or a GGUF file of it"
                               : "");
    }
    if (status == WEIR_OK)
        status = read_shards(shards, list);
    if (status == WEIR_OK)
        status = check_index(shards, list, weight_map);
    if (status == WEIR_OK)
        check_total(shards, list, root);
    weir_gguf_source_close(&source);
    weir_heap_free(path);
    return status;
}

enum weir_status weir_hf_shards_read(struct weir_manifest *manifest, struct weir_raw_list *list,
                                     const struct weir_hf_folder *folder, struct weir_err *err)
{
    struct shards shards = {.manifest = manifest, .folder = folder, .err = err};
    enum weir_status status = WEIR_OK;
    shards.names = weir_heap_array(WEIR_FILE_MAX, sizeof(*shards.names));
    if (shards.names == NULL ||
        weir_names_init(&shards.index, WEIR_FILE_MAX, &shards, shard_name) != WEIR_OK)
        status =
            WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the names of %d files", WEIR_FILE_MAX);
    else
        status = read_all(&shards, list);
    weir_heap_free(shards.index.places);
    weir_heap_free(shards.names);
    return status;
}
