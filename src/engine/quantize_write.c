/* quantize_write.c - the file of a quantization: memory, keys, tensors, and a look at all of it. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "engine/quantize.h"
#include "sys/sys.h"

enum {
    PROGRAM_BYTES = 8 << 20,  /* the program, its libraries, and the kernel's share */
    QUANTIZATION_VERSION = 2, /* of ggml's block formats */
};

/* ---- memory ---------------------------------------------------------------------------------- */

/* What is held beside the work: descriptions, once more of the file that is looked at in the end,
 * and the writer. */
static uint64_t base_bytes(const struct weir_quantizing *quantizing)
{
    (void)quantizing;
    return PROGRAM_BYTES + 2 * weir_heap_bytes() + WEIR_GGUF_WRITER_BYTES;
}

enum weir_status weir_quantizing_memory(struct weir_quantizing *quantizing,
                                        struct weir_recast_job *job, struct weir_err *err)
{
    const uint64_t base = base_bytes(quantizing);
    uint64_t ceiling = quantizing->config->mem_bytes;
    uint64_t least = 0;
    uint64_t useful = 0;
    char wanted[32], found[32];
    weir_recast_measure(job, &least, &useful);
    if (ceiling == 0)
        ceiling = weir_max(base + least, weir_min(base + useful, weir_sys_free_bytes()));
    if (ceiling < base + least)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "the ceiling is too low: wanted at least %s (%llu bytes), found %s",
                         weir_format_size(base + least, wanted, sizeof(wanted)),
                         (unsigned long long)(base + least),
                         weir_format_size(ceiling, found, sizeof(found)));
    job->mem_bytes = ceiling - base;
    quantizing->result->budget_bytes = weir_min(ceiling, base + useful);
    return WEIR_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Keys that are said anew, or mean nothing in one file. */
static bool is_left_out(void *user, const char *key)
{
    static const char *const names[] = {"general.file_type", "general.quantization_version",
                                        "split.no", "split.count", "split.tensors.count"};
    (void)user;
    for (size_t row = 0; row < WEIR_COUNT(names); row++)
        if (strcmp(key, names[row]) == 0)
            return true;
    return strncmp(key, "quantize.imatrix.", strlen("quantize.imatrix.")) == 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void put_keys(weir_gguf_writer *writer, const struct weir_quantizing *quantizing)
{
    const weir_imatrix *imatrix = quantizing->imatrix;
    uint64_t chunk_count = 0;
    uint64_t chunk_tokens = 0;
    weir_gguf_put_manifest_keys(writer, quantizing->manifest, is_left_out, NULL);
    weir_gguf_put_u32(writer, "general.quantization_version", QUANTIZATION_VERSION);
    if (quantizing->mixture->file_type != UINT32_MAX)
        weir_gguf_put_u32(writer, "general.file_type", quantizing->mixture->file_type);
    if (imatrix == NULL)
        return;
    weir_gguf_put_text(writer, "quantize.imatrix.file",
                       last_part(quantizing->config->imatrix_path));
    weir_gguf_put_u32(writer, "quantize.imatrix.entries_count", weir_imatrix_entry_count(imatrix));
    weir_imatrix_chunks(imatrix, &chunk_count, &chunk_tokens);
    if (chunk_count > 0)
        weir_gguf_put_u32(writer, "quantize.imatrix.chunks_count",
                          (uint32_t)weir_min(chunk_count, UINT32_MAX));
}

/* The keys of the input are there as they were, but for those that are left out. */
static enum weir_status check_keys(const struct weir_quantizing *quantizing,
                                   const weir_manifest *written, const char *path,
                                   struct weir_err *err)
{
    const weir_manifest *manifest = quantizing->manifest;
    uint32_t found_at = 0;
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        struct weir_gguf_raw_key wanted, found;
        weir_gguf_raw_key(manifest, index, &wanted);
        if (is_left_out(NULL, wanted.name))
            continue;
        if (found_at < weir_manifest_key_count(written))
            weir_gguf_raw_key(written, found_at++, &found);
        else
            found = (struct weir_gguf_raw_key){.name = ""};
        if (strcmp(wanted.name, found.name) != 0 || !weir_gguf_raw_same(&wanted, &found))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s, read back: wanted key %s as it was, found %s", path, wanted.name,
                             found.name);
    }
    return WEIR_OK;
}

/* What was written is read back before it gets its name. */
static enum weir_status check_written(void *user, const char *path, struct weir_err *err)
{
    const struct weir_quantizing *quantizing = user;
    const struct weir_recast_list *list = &quantizing->list;
    weir_manifest *written = NULL;
    WEIR_TRY(weir_manifest_open(&written, path, err));
    enum weir_status status = check_keys(quantizing, written, path, err);
    if (status == WEIR_OK && weir_manifest_tensor_count(written) != list->count)
        status = WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s, read back: wanted %u tensors, found %u", path,
                           list->count, weir_manifest_tensor_count(written));
    for (uint32_t index = 0; status == WEIR_OK && index < list->count; index++) {
        const struct weir_recast_tensor *wanted = &list->tensors[index];
        const struct weir_tensor *found = weir_manifest_tensor_at(written, index);
        if (strcmp(wanted->name, found->name) != 0 || wanted->type != found->type ||
            memcmp(wanted->dims, found->dims, sizeof(wanted->dims)) != 0)
            status = WEIR_FAIL(err, WEIR_ERR_FORMAT,
                               "%s, read back: wanted tensor %s of type %s, found %s of type %s",
                               path, wanted->name, weir_quant_info(wanted->type)->name, found->name,
                               found->type_name);
    }
    quantizing->result->key_count = weir_manifest_key_count(written);
    weir_manifest_close(&written);
    return status;
}

/* The input is read while the output is written, and what reads it must find it afterwards. */
static enum weir_status check_output(const struct weir_quantizing *quantizing, struct weir_err *err)
{
    const char *path = quantizing->config->output_path;
    const weir_manifest *manifest = quantizing->manifest;
    struct weir_sys_identity output, input;
    weir_sys_identity_get(path, &output);
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++) {
        weir_sys_identity_get(weir_manifest_file_path(manifest, file), &input);
        if (output.is_there && input.is_there && output.device_id == input.device_id &&
            output.number == input.number)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "%s is the input: wanted another file to write",
                             path);
    }
    return WEIR_OK;
}

static bool tell_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct weir_quantize_config *config = ((struct weir_quantizing *)user)->config;
    return config->progress(config->progress_user, "quantize", done_bytes, total_bytes);
}

enum weir_status weir_quantizing_measure(struct weir_quantizing *quantizing, struct weir_err *err)
{
    weir_gguf_writer *writer = NULL;
    enum weir_status status = WEIR_OK;
    uint32_t done_count = 0;
    WEIR_TRY(weir_gguf_writer_open(&writer, NULL, 0, err));
    put_keys(writer, quantizing);
    weir_recast_put_table(writer, &quantizing->list);
    status = weir_gguf_writer_begin(writer, &done_count, err);
    quantizing->result->file_bytes = weir_gguf_writer_file_bytes(writer);
    weir_gguf_writer_close(&writer);
    return status;
}

enum weir_status weir_quantizing_write(struct weir_quantizing *quantizing,
                                       struct weir_recast_job *job, struct weir_err *err)
{
    struct weir_quantize_result *result = quantizing->result;
    struct weir_recast_done done = {0};
    weir_gguf_writer *writer = NULL;
    enum weir_status status = WEIR_OK;
    uint32_t done_count = 0;
    if (quantizing->config->progress != NULL) {
        job->progress = tell_progress;
        job->progress_user = quantizing;
    }
    WEIR_TRY(check_output(quantizing, err));
    WEIR_TRY(weir_quantizing_memory(quantizing, job, err));
    WEIR_TRY(weir_gguf_writer_open(&writer, quantizing->config->output_path, 0, err));
    put_keys(writer, quantizing);
    weir_recast_put_table(writer, job->list);
    WEIR_TRY_GOTO(weir_gguf_writer_begin(writer, &done_count, err));
    WEIR_TRY_GOTO(weir_recast_run(job, writer, &done, err));
    WEIR_TRY_GOTO(weir_gguf_writer_finish(writer, check_written, quantizing, err));
    result->file_bytes = weir_gguf_writer_file_bytes(writer);
    result->read_bytes = done.read_bytes;
    result->written_bytes = result->file_bytes;
    snprintf(result->io, sizeof(result->io), "%s", done.io);

fail:
    weir_gguf_writer_close(&writer);
    return status;
}
