/* overlay.c - tensors of another file in the place of a model's own, to try them. */
#include <string.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

/* The tensor of the model that another one takes the place of. */
static enum weir_status find_place(const weir_manifest *manifest, const struct weir_tensor *other,
                                   uint32_t *index, struct weir_err *err)
{
    *index = weir_names_find(&manifest->tensor_index, other->name);
    if (*index == UINT32_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: %s has none of that name", other->name,
                         weir_manifest_path(manifest));
    const struct weir_tensor *own = &manifest->tensors[*index];
    if (!other->known || memcmp(own->dims, other->dims, sizeof(own->dims)) != 0)
        return WEIR_FAIL(
            err, WEIR_ERR_FORMAT,
            "tensor %s: wanted the shape that it has in %s (%llu x %llu x %llu), found "
            "%llu x %llu x %llu of %s",
            other->name, weir_manifest_path(manifest), (unsigned long long)own->dims[0],
            (unsigned long long)own->dims[1], (unsigned long long)own->dims[2],
            (unsigned long long)other->dims[0], (unsigned long long)other->dims[1],
            (unsigned long long)other->dims[2], other->type_name);
    return WEIR_OK;
}

static enum weir_status take_tensors(weir_manifest *manifest, const weir_manifest *others,
                                     struct weir_err *err)
{
    const uint32_t file = manifest->file_count;
    for (uint32_t at = 0; at < others->tensor_count; at++) {
        const struct weir_tensor *other = &others->tensors[at];
        uint32_t index = 0;
        WEIR_TRY(find_place(manifest, other, &index, err));
        struct weir_tensor *own = &manifest->tensors[index];
        own->ggml_type = other->ggml_type;
        own->type_name = other->type_name;
        own->type = other->type;
        own->known = true;
        own->offset = other->offset;
        own->bytes = other->bytes;
        own->file = file;
        own->places = NULL;
    }
    return WEIR_OK;
}

static enum weir_status lay_over(weir_manifest *manifest, weir_manifest *others,
                                 struct weir_err *err)
{
    const uint32_t count = manifest->file_count;
    if (manifest->version == 0 || count == WEIR_FILE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s: wanted GGUF files, fewer than %d, to try other tensors in",
                         weir_manifest_path(manifest), WEIR_FILE_MAX);
    struct manifest_file *files =
        weir_heap_grow(manifest->files, ((size_t)count + 1) * sizeof(*files));
    if (files == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u files", count + 1);
    manifest->files = files;
    WEIR_TRY(take_tensors(manifest, others, err));
    files[count] =
        (struct manifest_file){.path = others->files[0].path, .bytes = others->files[0].bytes};
    others->files[0].path = NULL;
    manifest->file_count++;
    return WEIR_OK;
}

enum weir_status weir_manifest_overlay(weir_manifest *manifest, const char *path,
                                       struct weir_err *err)
{
    weir_manifest *others = NULL;
    WEIR_TRY(weir_manifest_open_one(&others, path, err));
    const enum weir_status status = lay_over(manifest, others, err);
    weir_manifest_close(&others);
    return status;
}
