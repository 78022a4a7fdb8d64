/* hf.c - a Hugging Face directory as a manifest: config.json, and the headers of its safetensors.
 *
 * Nothing is converted and nothing copied: the manifest says where in the directory's files each
 * tensor lies. */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

char *weir_hf_path(const struct weir_hf_folder *folder, const char *name)
{
    const size_t bytes = strlen(folder->path) + strlen(name) + 2;
    char *path = weir_heap_alloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/%s", folder->path, name);
    return path;
}

static const struct weir_hf_file *find_file(const struct weir_hf_folder *folder, const char *name)
{
    for (uint32_t index = 0; index < folder->file_count; index++)
        if (strcmp(folder->files[index].name, name) == 0)
            return &folder->files[index];
    return NULL;
}

bool weir_hf_file_exists(const struct weir_hf_folder *folder, const char *name)
{
    if (folder->files != NULL)
        return find_file(folder, name) != NULL;
    char *path = weir_hf_path(folder, name);
    const bool exists = path != NULL && access(path, F_OK) == 0;
    weir_heap_free(path);
    return exists;
}

/* A copy of a file in memory. */
static enum weir_status copy_file(struct gguf_source *source, const struct weir_hf_folder *folder,
                                  struct weir_err *err)
{
    const struct weir_hf_file *file = find_file(folder, source->name + strlen(folder->path) + 1);
    if (file == NULL)
        return WEIR_FAIL(err, WEIR_ERR_IO, "open %s: there is none", source->name);
    source->bytes = weir_heap_alloc(file->length);
    if (source->bytes == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %zu bytes", file->length);
    if (file->length > 0)
        memcpy(source->bytes, file->bytes, file->length);
    source->length = source->capacity = file->length;
    source->file_bytes = file->file_bytes;
    return WEIR_OK;
}

enum weir_status weir_hf_file_open(struct gguf_source *source, const struct weir_hf_folder *folder,
                                   const char *path, struct weir_err *err)
{
    *source = (struct gguf_source){.fd = -1, .name = path};
    return folder->files != NULL ? copy_file(source, folder, err)
                                 : weir_gguf_source_open(source, err);
}

enum weir_status weir_hf_file_read(struct gguf_source *source, const struct weir_hf_folder *folder,
                                   const char *path, const char *what, uint64_t most_bytes,
                                   struct weir_err *err)
{
    WEIR_TRY(weir_hf_file_open(source, folder, path, err));
    if (source->file_bytes > most_bytes)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted at most %llu bytes, found %llu", path,
                         (unsigned long long)most_bytes, (unsigned long long)source->file_bytes);
    return weir_gguf_source_need(source, source->file_bytes, what, err);
}

enum weir_status weir_hf_json_open(struct weir_json *root, struct gguf_source *source,
                                   const struct weir_hf_folder *folder, const char *path,
                                   uint64_t most_bytes, struct weir_err *err)
{
    WEIR_TRY(weir_hf_file_read(source, folder, path, "its JSON", most_bytes, err));
    return weir_json_parse(root, (const char *)source->bytes, (size_t)source->file_bytes, path,
                           err);
}

/* The last part of the directory's path, for people. */
static enum weir_status put_name(struct hf_key_writer *writer, const char *path)
{
    char name[128];
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    snprintf(name, sizeof(name), "%.*s", (int)weir_min(end - begin, sizeof(name) - 1),
             path + begin);
    return weir_hf_put_text(writer, ".general.name", name);
}

static enum weir_status read_folder(struct weir_manifest *manifest,
                                    const struct weir_hf_folder *folder, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct hf_key_writer writer = {.manifest = manifest, .err = err};
    struct hf_config config = {.err = err};
    struct weir_raw_list list = {0};
    struct gguf_source source = {.fd = -1};
    char *path = weir_hf_path(folder, "config.json");
    if (path == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a file's name");
        goto fail;
    }
    config.path = path;
    if (!weir_hf_file_exists(folder, "config.json")) {
        status = WEIR_FAIL(err, WEIR_ERR_FORMAT,
                           "%s is a directory without config.json: wanted a GGUF file (name the "
                           "file, not its directory), or a directory of a Hugging Face model",
                           folder->path);
        goto fail;
    }
    WEIR_TRY_GOTO(weir_hf_json_open(&config.root, &source, folder, path, CONFIG_BYTES_MAX, err));
    WEIR_TRY_GOTO(weir_hf_config_read(&config, &writer));
    WEIR_TRY_GOTO(put_name(&writer, folder->path));
    WEIR_TRY_GOTO(weir_hf_sampling_put(&writer, folder));
    WEIR_TRY_GOTO(weir_hf_shards_read(manifest, &list, folder, err));
    WEIR_TRY_GOTO(weir_hf_keys_finish(&writer));
    WEIR_TRY_GOTO(weir_hf_tensors_bind(manifest, &list, &config));

fail:
    manifest->values = config.rope_factors;
    weir_gguf_source_close(&source);
    weir_hf_keys_free(&writer);
    weir_raw_list_free(&list);
    weir_heap_free(path);
    return status;
}

static enum weir_status open_folder(weir_manifest **out, const struct weir_hf_folder *folder,
                                    struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_manifest *manifest = weir_heap_alloc(sizeof(*manifest));
    if (manifest == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest");
    manifest->warnings = weir_heap_alloc(sizeof(*manifest->warnings));
    manifest->folder = weir_heap_text(folder->path);
    if (manifest->warnings == NULL || manifest->folder == NULL)
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest");
    else
        status = read_folder(manifest, folder, err);
    if (status == WEIR_OK)
        *out = manifest;
    else
        weir_manifest_close(&manifest);
    return status;
}

enum weir_status weir_hf_open(weir_manifest **out, const char *path, struct weir_err *err)
{
    const struct weir_hf_folder folder = {.path = path};
    return open_folder(out, &folder, err);
}

enum weir_status weir_hf_parse(weir_manifest **out, const struct weir_hf_file *files,
                               uint32_t file_count, struct weir_err *err)
{
    const struct weir_hf_folder folder = {
        .path = "(memory)", .files = files, .file_count = file_count};
    return open_folder(out, &folder, err);
}
