/* calibrate.c - weir calibrate: how fast this machine reads a file, kept for plans and runs. */
#include <string.h>

#include "cli.h"

enum { SIZE_COUNT = 2 };

/* Read at a time from a file that is no model. */
static const uint32_t plain_sizes[SIZE_COUNT] = {128 << 10, 1 << 20};

bool weir_cli_calibrate_tell(void *user, double share)
{
    static const char full[] = "########################";
    static const char empty[] = "........................";
    const int width = (int)sizeof(full) - 1;
    const int marks = (int)(share * width);
    weir_cli_status_line("measuring %s [%.*s%.*s]", (const char *)user, marks, full, width - marks,
                         empty);
    return !weir_cli_stop_asked();
}

static void print_speed(const char *what, struct weir_band speed, const char *how)
{
    printf("  %-16s %6.2f to %.2f GB/s  %s\n", what, speed.low * 1e-9, speed.high * 1e-9, how);
}

static void print_memory(const struct weir_calibration *found)
{
    printf("  %-16s %6.1f GB/s read by %u thread%s\n", "memory", found->dram_bytes_per_s * 1e-9,
           found->n_thread, found->n_thread == 1 ? "" : "s");
    printf("  %-16s %6.1f GB/s of memory beside %.2f GB/s of disk\n", "both at once",
           found->both_dram_bytes_per_s * 1e-9, found->both_read_bytes_per_s * 1e-9);
    if (found->decode_bytes_per_s <= 0.0)
        return;
    printf("  %-16s %6.1f GB/s of %s weights for one token, %.0f %% of the memory's (%s)\n",
           "kernels", found->decode_bytes_per_s * 1e-9, found->type,
           100.0 * found->decode_bytes_per_s / found->dram_bytes_per_s, found->isa);
    printf("  %-16s %6.1f billion operations a second in a prompt\n", "",
           found->prefill_ops_per_s * 1e-9);
}

static void print_calibration(const struct weir_cli_calibration *kept, bool is_kept)
{
    const struct weir_calibration *found = &kept->found;
    char how[96];
    char size[32];
    printf("Reads of %s, %s %s on %s (device %llx), %.1f s\n",
           weir_format_size(found->slice_bytes, size, sizeof(size)), found->io,
           found->direct ? "direct" : "through the page cache", found->filesystem,
           (unsigned long long)found->device_id, found->measured_s);
    printf("  %-16s\n", "in flight");
    for (uint32_t cell = 0; cell < found->cell_count; cell++)
        printf("  %-16s %6.2f GB/s%s\n",
               weir_format_size(found->cells[cell].in_flight_bytes, size, sizeof(size)),
               found->cells[cell].bytes_per_s * 1e-9,
               found->cells[cell].in_flight_bytes == found->io_budget_bytes
                   ? "  kept: room for a burst of reads, at 95 % of the best speed"
                   : "");
    snprintf(how, sizeof(how), "with %s in flight all the time",
             weir_format_size(found->io_budget_bytes, size, sizeof(size)));
    print_speed("steady", found->read, how);
    snprintf(how, sizeof(how), "in bursts of %s, while they are pending",
             weir_format_size(found->burst_bytes, size, sizeof(size)));
    print_speed("bursts", found->burst, how);
    print_memory(found);
    if (is_kept)
        printf("  %-16s %s\n", "kept in", weir_cli_shown(kept->path));
}

/* One measurement with reads of slice_bytes (0: the model's slices), kept and told. */
static int calibrate(const struct weir_cli_options *options, uint32_t slice_bytes, json_t *results)
{
    struct weir_cli_calibration kept = {0};
    struct weir_err err = {0};
    const struct weir_calibrate_config config = {
        .path = options->argument,
        .slice_bytes = slice_bytes,
        .n_thread = (uint32_t)options->threads,
        .isa = strcmp(options->isa, "auto") == 0 ? NULL : options->isa,
    };
    char name[] = "disk and memory";
    const enum weir_status status =
        weir_calibrate(&kept.found, &config, weir_cli_calibrate_tell, name, &err);
    weir_cli_status_clear();
    if (status != WEIR_OK)
        return weir_cli_fail(&err);
    const bool is_kept = weir_cli_calibration_keep(&kept);
    if (!options->json)
        print_calibration(&kept, is_kept);
    json_t *object = weir_cli_calibration_json(&kept.found);
    weir_cli_json_text(object, "date", kept.date, strlen(kept.date));
    if (is_kept)
        weir_cli_json_text(object, "kept", kept.path, strlen(kept.path));
    else
        json_object_set_new(object, "kept", json_null());
    json_array_append_new(results, object);
    return is_kept ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

static json_t *gpu_json(const struct weir_gpu_speeds *speeds)
{
    json_t *object = json_object();
    json_t *copies = json_array();
    json_t *formats = json_array();
    weir_cli_json_text(object, "name", speeds->name, strlen(speeds->name));
    weir_cli_json_text(object, "driver", speeds->driver, strlen(speeds->driver));
    json_object_set_new(object, "pinned", json_boolean(speeds->is_pinned));
    for (uint32_t index = 0; index < speeds->copy_count; index++) {
        const struct weir_gpu_copy_speed *speed = &speeds->copies[index];
        json_t *copy = json_object();
        weir_cli_json_count(copy, "bytes", speed->bytes);
        weir_cli_json_real(copy, "pinned_in_bytes_per_s", speed->pinned_in_bytes_per_s);
        weir_cli_json_real(copy, "pinned_out_bytes_per_s", speed->pinned_out_bytes_per_s);
        weir_cli_json_real(copy, "pageable_in_bytes_per_s", speed->pageable_in_bytes_per_s);
        weir_cli_json_real(copy, "pageable_out_bytes_per_s", speed->pageable_out_bytes_per_s);
        json_array_append_new(copies, copy);
    }
    json_object_set_new(object, "copies", copies);
    weir_cli_json_real(object, "both_bytes_per_s", speeds->both_bytes_per_s);
    weir_cli_json_real(object, "memory_bytes_per_s", speeds->memory_bytes_per_s);
    for (uint32_t index = 0; index < speeds->format_count; index++) {
        const struct weir_gpu_format_speed *speed = &speeds->formats[index];
        json_t *format = json_object();
        weir_cli_json_text(format, "type", speed->type, strlen(speed->type));
        weir_cli_json_real(format, "decode_bytes_per_s", speed->decode_bytes_per_s);
        weir_cli_json_real(format, "prompt_ops_per_s", speed->prompt_ops_per_s);
        json_array_append_new(formats, format);
    }
    json_object_set_new(object, "formats", formats);
    return object;
}

static void print_gpu(const struct weir_gpu_speeds *speeds)
{
    char size[32];
    printf("%s, driver %s\n", weir_cli_shown(speeds->name), speeds->driver);
    printf("  %-16s %8s %8s %8s %8s  GB/s: pinned in, out; pageable in, out%s\n", "copies of", "in",
           "out", "in", "out", speeds->is_pinned ? "" : " (the driver pins no memory)");
    for (uint32_t index = 0; index < speeds->copy_count; index++) {
        const struct weir_gpu_copy_speed *speed = &speeds->copies[index];
        printf("  %-16s %8.2f %8.2f %8.2f %8.2f\n",
               weir_format_size(speed->bytes, size, sizeof(size)),
               speed->pinned_in_bytes_per_s * 1e-9, speed->pinned_out_bytes_per_s * 1e-9,
               speed->pageable_in_bytes_per_s * 1e-9, speed->pageable_out_bytes_per_s * 1e-9);
    }
    printf("  %-16s %8.2f GB/s in, and as much out\n", "both at once",
           speeds->both_bytes_per_s * 1e-9);
    printf("  %-16s %8.1f GB/s read and written\n", "its memory",
           speeds->memory_bytes_per_s * 1e-9);
    printf("  %-16s %8s %8s\n", "products", "GB/s", "Top/s");
    for (uint32_t index = 0; index < speeds->format_count; index++)
        printf("  %-16s %8.1f %8.2f\n", speeds->formats[index].type,
               speeds->formats[index].decode_bytes_per_s * 1e-9,
               speeds->formats[index].prompt_ops_per_s * 1e-12);
}

/* The GPU's speeds, kept and told; without one, why there is none. */
static int calibrate_gpu(const struct weir_cli_options *options, json_t **result)
{
    struct weir_gpu_speeds speeds = {0};
    struct weir_err err = {0};
    char name[] = "the GPU";
    const enum weir_status status =
        weir_gpu_calibrate(&speeds, weir_cli_calibrate_tell, name, &err);
    weir_cli_status_clear();
    *result = json_object();
    weir_cli_json_text(*result, "why", err.text, strlen(err.text));
    if (status == WEIR_ERR_UNSUPPORTED) {
        if (!options->json)
            printf("No GPU: %s\n", weir_cli_shown(err.text));
        return WEIR_CLI_OK;
    }
    if (status != WEIR_OK)
        return weir_cli_fail(&err);
    json_decref(*result);
    *result = gpu_json(&speeds);
    if (!options->json)
        print_gpu(&speeds);
    return weir_cli_calibration_keep_gpu(*result) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

int weir_cli_calibrate(const struct weir_cli_options *options)
{
    uint64_t device_id;
    uint32_t slice_bytes;
    struct weir_err err = {0};
    int code = WEIR_CLI_OK;
    if (weir_calibration_key_get(options->argument, &device_id, &slice_bytes, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    json_t *results = json_array();
    json_t *gpu = NULL;
    if (slice_bytes > 0)
        code = calibrate(options, 0, results);
    for (int size = 0; size < SIZE_COUNT && slice_bytes == 0 && !weir_cli_stop_asked(); size++) {
        const int size_code = calibrate(options, plain_sizes[size], results);
        code = size_code > code ? size_code : code;
    }
    if (code == WEIR_CLI_OK && !weir_cli_stop_asked())
        code = calibrate_gpu(options, &gpu);
    if (!options->json || json_array_size(results) == 0) {
        json_decref(results);
        json_decref(gpu);
        return code;
    }
    json_t *object = json_object();
    weir_cli_json_text(object, "path", options->argument, strlen(options->argument));
    json_object_set_new(object, "results", results);
    json_object_set_new(object, "gpu", gpu == NULL ? json_null() : gpu);
    return weir_cli_json_print(object, stdout, "standard output") ? code : WEIR_CLI_FAILURE;
}
