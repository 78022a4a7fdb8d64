/* files.c - the files of a model, opened for reads. */
#include <errno.h>
#include <string.h>

#include "engine/engine_internal.h"

enum weir_status weir_file_open(weir_io *io, const weir_manifest *manifest, uint32_t file,
                                struct weir_err *err)
{
    uint32_t opened = 0;
    struct weir_err reason = {0};
    const char *path = weir_manifest_file_path(manifest, file);
    const uint64_t wanted_bytes = weir_manifest_file_bytes(manifest, file);
    const enum weir_status status = weir_io_open(io, path, &opened, &reason);
    if (status == WEIR_ERR_IO && reason.os_errno == EMFILE)
        return WEIR_FAIL_OS(err, EMFILE,
                            "open %s, file %u of the model's %u: allow more open files (ulimit -n)",
                            path, file + 1, weir_manifest_file_count(manifest));
    if (status != WEIR_OK) {
        if (err != NULL && err->status == WEIR_OK)
            *err = reason;
        return status;
    }
    const uint64_t found_bytes = weir_io_file_bytes(io, opened);
    if (found_bytes != wanted_bytes)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s changed while it was opened: %llu bytes, then %llu", path,
                         (unsigned long long)wanted_bytes, (unsigned long long)found_bytes);
    return WEIR_OK;
}

enum weir_status weir_files_open(weir_io *io, const weir_manifest *manifest, struct weir_err *err)
{
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++)
        WEIR_TRY(weir_file_open(io, manifest, file, err));
    return WEIR_OK;
}
