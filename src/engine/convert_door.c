/* convert_door.c - weir_convert: a directory as a GGUF file, from its manifest to its last name. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "convert/convert.h"
#include "engine/engine_internal.h"
#include "engine/quantize.h"
#include "recast/recast.h"
#include "sys/sys.h"
#include "weir_files.h"

enum {
    LAYOUT_VERSION = 1,      /* another one: what was begun before is begun anew */
    PROGRAM_BYTES = 8 << 20, /* the program, its libraries, and the kernel's share */
    CHECK_TIMES = 2,         /* reading a file back takes so many times what describes it */
};

struct conversion {
    const struct weir_convert_config *config;
    weir_manifest *manifest;
    struct weir_layout layout;
    struct weir_convert_text text;
    uint32_t file_type;
    weir_gguf_writer *writer;
    struct weir_err *err;
};

static void tell(const struct weir_convert_config *config, const char *text)
{
    if (config->notice != NULL)
        config->notice(config->notice_user, text);
}

static void tell_all(const struct weir_convert_config *config, const struct weir_warnings *warnings)
{
    for (uint32_t index = 0; index < warnings->count; index++)
        tell(config, warnings->text[index]);
}

/* ---- what is to be written ------------------------------------------------------------------- */

/* That it runs here is what makes a directory a model. */
static enum weir_status check_model(const char *path, struct weir_err *err)
{
    struct weir_model_info info;
    WEIR_TRY(weir_model_info_get(&info, path, err));
    if (info.status != WEIR_OK)
        return WEIR_FAIL(err, info.status, "%s", info.missing[0]);
    return WEIR_OK;
}

/* Only a GGUF file, or one without a byte, may be replaced: so none that the directory is read from
 * is lost, by whatever name it is called. What is no ordinary file the writer refuses. */
static enum weir_status check_output(const char *path, struct weir_err *err)
{
    struct weir_sys_identity found;
    char magic[4] = "";
    weir_sys_identity_get(path, &found);
    if (!found.is_there || !found.is_file)
        return WEIR_OK;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "look at %s, which would be replaced", path);
    const size_t length = fread(magic, 1, sizeof(magic), file);
    const bool may_go = (length == 0 && feof(file) != 0) ||
                        (length == sizeof(magic) && memcmp(magic, "GGUF", sizeof(magic)) == 0);
    fclose(file);
    return may_go ? WEIR_OK
                  : WEIR_FAIL(err, WEIR_ERR_ARG,
                              "%s is there and is no GGUF file: wanted a new name to write to, or "
                              "a GGUF file to replace",
                              path);
}

/* The type that most bytes have. */
static enum weir_type find_usual(const struct weir_recast_list *list)
{
    uint64_t bytes[WEIR_TYPE_COUNT] = {0};
    enum weir_type usual = WEIR_TYPE_F32;
    for (uint32_t index = 0; index < list->count; index++)
        bytes[list->tensors[index].type] += weir_recast_tensor_bytes(&list->tensors[index]);
    for (int type = 0; type < WEIR_TYPE_COUNT; type++)
        if (bytes[type] > bytes[usual])
            usual = (enum weir_type)type;
    return usual;
}

static enum weir_status apply_type(struct conversion *conversion)
{
    const char *name = conversion->config->type;
    struct weir_recast_list *list = &conversion->layout.list;
    struct weir_mixture_facts facts;
    if (name == NULL)
        name = weir_quant_info(find_usual(list))->name;
    const struct weir_mixture *mixture = weir_mixture_find(name);
    conversion->file_type = mixture == NULL ? UINT32_MAX : mixture->file_type;
    if (conversion->config->type == NULL)
        return WEIR_OK;
    if (mixture == NULL)
        return WEIR_FAIL(conversion->err, WEIR_ERR_ARG,
                         "type %s is none that is built in: wanted a format such as Q8_0, or a "
                         "mixture such as Q4_K_M",
                         name);
    weir_mixture_facts_get(&facts, conversion->manifest);
    WEIR_TRY(weir_mixture_apply(mixture, &facts, NULL, NULL, list, conversion->err));
    for (uint32_t index = 0; index < list->count; index++)
        if (weir_mixture_needs_weights(mixture, &list->tensors[index]))
            return WEIR_FAIL(conversion->err, WEIR_ERR_ARG,
                             "type %s: tensor %s would be of no use without importance: convert to "
                             "another type, and quantize that with an importance matrix",
                             name, list->tensors[index].name);
    return WEIR_OK;
}

/* What the tensors' bytes depend on beside the head of the file. */
static uint64_t make_stamp(const weir_manifest *manifest)
{
    uint64_t stamp = LAYOUT_VERSION;
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++) {
        struct weir_sys_stamp facts = {0};
        weir_sys_file_stamp(weir_manifest_file_path(manifest, file), &facts);
        const uint64_t parts[] = {facts.bytes, facts.written_ns, facts.number};
        for (size_t part = 0; part < WEIR_COUNT(parts); part++)
            stamp = (stamp ^ parts[part]) * UINT64_C(0x100000001b3);
    }
    return stamp == 0 ? 1 : stamp;
}

static enum weir_status prepare(struct conversion *conversion)
{
    const struct weir_convert_config *config = conversion->config;
    WEIR_TRY(check_output(config->output_path, conversion->err));
    WEIR_TRY(check_model(config->input_path, conversion->err));
    WEIR_TRY(weir_manifest_open(&conversion->manifest, config->input_path, conversion->err));
    struct weir_warnings *warnings = weir_manifest_warnings(conversion->manifest);
    if (weir_manifest_version(conversion->manifest) != 0)
        return WEIR_FAIL(conversion->err, WEIR_ERR_ARG,
                         "%s is a GGUF file already: wanted a directory of a Hugging Face model "
                         "(quantize gives it other types)",
                         config->input_path);
    WEIR_TRY(weir_layout_make(&conversion->layout, conversion->manifest, conversion->err));
    WEIR_TRY(apply_type(conversion));
    if (!config->without_vocab)
        WEIR_TRY(weir_convert_text_make(&conversion->text, conversion->manifest, warnings,
                                        conversion->err));
    return WEIR_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What is held beside the run: the program, the writer, what describes both files; and what reading
 * the new one back takes, when the run has given its memory back. */
static uint64_t measure_rest(void)
{
    return PROGRAM_BYTES + weir_heap_bytes() +
           weir_max(WEIR_GGUF_WRITER_BYTES, CHECK_TIMES * weir_heap_bytes());
}

static enum weir_status find_budget(const struct conversion *conversion,
                                    struct weir_recast_job *job, uint64_t *budget_bytes)
{
    struct weir_sys_free free_memory;
    const struct weir_convert_config *config = conversion->config;
    const uint64_t rest_bytes = measure_rest();
    uint64_t least_bytes = 0;
    uint64_t useful_bytes = 0;
    char wanted[32];
    char found[32];
    weir_recast_measure(job, &least_bytes, &useful_bytes);
    weir_sys_free_get(&free_memory);
    *budget_bytes = config->mem_bytes > 0 ? config->mem_bytes : rest_bytes + useful_bytes;
    if (config->mem_bytes == 0 && free_memory.bytes > 0)
        *budget_bytes = weir_min(*budget_bytes, free_memory.bytes + weir_sys_rss_bytes());
    if (*budget_bytes < rest_bytes + least_bytes)
        return WEIR_FAIL(conversion->err, WEIR_ERR_NOMEM,
                         "a ceiling of %s is too low to convert %s: wanted at least %s",
                         weir_format_size(*budget_bytes, found, sizeof(found)), config->input_path,
                         weir_format_size(rest_bytes + least_bytes, wanted, sizeof(wanted)));
    job->mem_bytes = weir_min(*budget_bytes - rest_bytes, useful_bytes);
    return WEIR_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool tell_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct weir_convert_config *config = user;
    return config->progress == NULL ||
           config->progress(config->progress_user, "converting", done_bytes, total_bytes);
}

static enum weir_status check_file(void *user, const char *path, struct weir_err *err)
{
    const struct conversion *conversion = user;
    WEIR_TRY(weir_convert_check(conversion->manifest, &conversion->layout,
                                !conversion->config->without_vocab, path, err));
    return conversion->config->without_vocab ? WEIR_OK : check_model(path, err);
}

static enum weir_status write_file(struct conversion *conversion,
                                   struct weir_convert_result *result)
{
    const struct weir_convert_config *config = conversion->config;
    struct weir_recast_list *list = &conversion->layout.list;
    struct weir_recast_job job = {.manifest = conversion->manifest,
                                  .list = list,
                                  .n_thread = config->n_thread > 0 ? config->n_thread
                                                                   : weir_sys_cpu_count(),
                                  .buffered = config->buffered,
                                  .progress = tell_progress,
                                  .progress_user = (void *)(uintptr_t)config};
    struct weir_recast_done done = {0};
    WEIR_TRY(find_budget(conversion, &job, &result->budget_bytes));
    WEIR_TRY(weir_gguf_writer_open(&conversion->writer, config->output_path,
                                   make_stamp(conversion->manifest), conversion->err));
    WEIR_TRY(weir_convert_put_keys(conversion->writer, conversion->manifest, &conversion->layout,
                                   conversion->file_type,
                                   weir_manifest_warnings(conversion->manifest), conversion->err));
    if (!config->without_vocab)
        weir_convert_text_put(conversion->writer, &conversion->text);
    weir_recast_put_table(conversion->writer, list);
    WEIR_TRY(weir_gguf_writer_begin(conversion->writer, &job.first_tensor, conversion->err));
    tell_all(config, weir_manifest_warnings(conversion->manifest));
    if (job.first_tensor > 0) {
        char text[128];
        snprintf(text, sizeof(text), "%u of %u tensors are there from before: going on behind them",
                 job.first_tensor, list->count);
        tell(config, text);
    }
    WEIR_TRY(weir_recast_run(&job, conversion->writer, &done, conversion->err));
    WEIR_TRY(weir_gguf_writer_finish(conversion->writer, check_file, conversion, conversion->err));
    result->tensor_count = list->count;
    result->done_count = job.first_tensor;
    result->exact_count = conversion->layout.kept_count;
    result->near_count = conversion->layout.near_count;
    for (uint32_t index = 0; index < list->count; index++)
        if (list->tensors[index].fell_back)
            weir_fallback_add(result->fallbacks, &result->fallback_count, &list->tensors[index]);
    result->bytes_before = weir_manifest_bytes(conversion->manifest);
    result->bytes_after = weir_gguf_writer_file_bytes(conversion->writer);
    result->read_bytes = done.read_bytes;
    snprintf(result->io, sizeof(result->io), "%s", done.io);
    return WEIR_OK;
}

enum weir_status weir_convert(struct weir_convert_result *result,
                              const struct weir_convert_config *config, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct conversion conversion = {.config = config, .err = err};
    struct weir_convert_result found = {0};
    const uint64_t start_ns = weir_now_ns();
    if (config == NULL || config->input_path == NULL || config->output_path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "weir_convert: wanted a directory and a file");
    if (config->n_thread > WEIR_THREAD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "n_thread: wanted at most %d, found %u",
                         WEIR_THREAD_MAX, config->n_thread);
    WEIR_TRY_GOTO(prepare(&conversion));
    WEIR_TRY_GOTO(write_file(&conversion, &found));
    found.seconds = (double)(weir_now_ns() - start_ns) * 1e-9;
    found.peak_bytes = weir_sys_peak_rss_bytes();
    if (result != NULL)
        *result = found;

fail:
    weir_gguf_writer_close(&conversion.writer);
    weir_convert_text_free(&conversion.text);
    weir_layout_free(&conversion.layout);
    weir_manifest_close(&conversion.manifest);
    return status;
}
