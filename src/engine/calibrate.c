/* calibrate.c - how fast a file is read at the model's own slices, and how fast its bytes are
 * multiplied: what a forecast needs, and how many bytes should be in flight.
 *
 * Cloud disks swing by a factor of three within seconds (burst credits), so everything but the
 * search for the budget is measured in short pieces that take turns over the whole time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/forecast.h"
#include "engine/probe.h"

enum {
    MEBIBYTE = 1 << 20,
    CELL_COUNT = 7, /* 1, 2, 4 ... 64 MiB in flight */
    CELL_ROUNDS = 3,
    ROUNDS = 20,
    ROUNDS_QUICK = 6,
    BURST_READS = 8,    /* where no model says how many */
    PROMPT_TOKENS = 32, /* what one expert gets of a prompt's chunk */
    PLACE_MAX = 1 << 16,
};
/* Each of the cells, and each piece of a round. */
#define CELL_NS 60000000ull
#define READ_NS 60000000ull
#define BURST_NS 35000000ull
#define DRAM_NS 10000000ull
#define BOTH_NS 25000000ull
#define KERNEL_NS 15000000ull
#define ROUND_NS (READ_NS + BURST_NS + DRAM_NS + BOTH_NS + 2 * KERNEL_NS)

#define BUDGET_SHARE 0.95

_Static_assert((int)CELL_COUNT <= (int)WEIR_CALIBRATION_CELL_MAX, "room for all cells");

enum quantity { READ, BURST, DRAM, BOTH_READ, BOTH_DRAM, DECODE, PREFILL, QUANTITY_COUNT };

struct calibrating {
    const struct weir_calibrate_config *config;
    struct weir_calibration *out;
    weir_manifest *manifest;
    struct weir_model *model; /* NULL: the file is no model */
    struct weir_kernels kernels;
    struct weir_probe_matrix matrix; /* of the model */
    struct weir_disk_probe disk;
    struct weir_memory_probe memory;
    uint32_t burst_reads, rounds;
    double samples[QUANTITY_COUNT][ROUNDS];
    uint64_t start_ns, planned_ns;
    weir_calibrate_fn *progress;
    void *user;
};

/* *model stays NULL when the file is none that can be run. */
static enum weir_status describe_file(const char *path, weir_manifest **manifest,
                                      struct weir_model **model, struct weir_err *err)
{
    struct weir_err reason = {0};
    *manifest = NULL;
    *model = NULL;
    const enum weir_status status = weir_manifest_open(manifest, path, &reason);
    if (status == WEIR_ERR_IO || status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", reason.text);
    if (status == WEIR_OK && weir_model_describe(model, *manifest, &reason) == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s", reason.text);
    return WEIR_OK;
}

static enum weir_status find_device(const char *path, struct weir_sys_filesystem *filesystem,
                                    struct weir_err *err)
{
    if (!weir_sys_filesystem_get(path, filesystem))
        return WEIR_FAIL(err, WEIR_ERR_IO, "%s: its file system cannot be examined", path);
    return WEIR_OK;
}

enum weir_status weir_calibration_key_get(const char *path, uint64_t *device_id,
                                          uint32_t *slice_bytes, struct weir_err *err)
{
    struct weir_sys_filesystem filesystem;
    weir_manifest *manifest = NULL;
    struct weir_model *model = NULL;
    WEIR_NEED(path, err);
    WEIR_NEED(device_id, err);
    WEIR_NEED(slice_bytes, err);
    WEIR_TRY(find_device(path, &filesystem, err));
    const enum weir_status status = describe_file(path, &manifest, &model, err);
    if (status == WEIR_OK) {
        *device_id = filesystem.device_id;
        *slice_bytes = model == NULL ? 0 : weir_slice_bytes_max(model);
    }
    weir_model_destroy(&model);
    weir_manifest_close(&manifest);
    return status;
}

/* ---- what is read -------------------------------------------------------------------------- */

/* The aligned superset of one expert's slice. */
static struct weir_probe_place find_place(const struct weir_slice *slice, uint32_t expert)
{
    const struct weir_superset superset = weir_store_superset(slice, expert);
    return (struct weir_probe_place){
        .offset = superset.offset,
        .file = weir_store_place(slice, expert).file,
        .bytes = superset.bytes,
        .min_bytes = superset.lead_bytes + slice->bytes,
    };
}

/* Slices of all experts; *most: of one expert. */
static uint64_t count_slices(const struct weir_model *model, uint32_t *most)
{
    uint64_t count = 0;
    *most = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        struct weir_store_layer at;
        weir_model_store_layer(model, layer, &at);
        count += (uint64_t)at.record_count * at.slice_count;
        *most = (uint32_t)weir_max(*most, at.slice_count);
    }
    return count;
}

enum weir_status weir_probe_places_slices(struct weir_probe_places *places,
                                          const struct weir_model *model, struct weir_err *err)
{
    uint32_t of_one = 0;
    const uint64_t all = count_slices(model, &of_one);
    const uint64_t step = all / PLACE_MAX + 1;
    uint64_t index = 0;
    *places = (struct weir_probe_places){.manifest = model->manifest};
    places->list = weir_heap_array(all / step + 1, sizeof(*places->list));
    if (places->list == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %llu slices", (unsigned long long)all);
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        struct weir_store_layer at;
        weir_model_store_layer(model, layer, &at);
        for (uint32_t expert = 0; expert < at.record_count; expert++)
            for (uint32_t slice = 0; slice < at.slice_count; slice++) {
                if (index++ % step != 0)
                    continue;
                const struct weir_probe_place place = find_place(&at.slice[slice], expert);
                places->list[places->count++] = place;
                places->bytes_max = (uint32_t)weir_max(places->bytes_max, place.bytes);
                places->total_bytes += place.bytes;
            }
    }
    return WEIR_OK;
}

/* The file to cut in pieces: the largest of a model, or the one that is no model. */
static enum weir_status choose_file(const struct calibrating *calibrating, uint32_t *file,
                                    uint64_t *file_bytes, struct weir_err *err)
{
    const struct weir_io_config io_config = {.kind = WEIR_IO_THREADS, .depth = 1, .n_thread = 1};
    const weir_manifest *manifest = calibrating->manifest;
    weir_io *io = NULL;
    *file = 0;
    *file_bytes = 0;
    if (manifest != NULL) {
        for (uint32_t index = 0; index < weir_manifest_file_count(manifest); index++)
            if (weir_manifest_file_bytes(manifest, index) > *file_bytes) {
                *file = index;
                *file_bytes = weir_manifest_file_bytes(manifest, index);
            }
        return WEIR_OK;
    }
    WEIR_TRY(weir_io_create(&io, &io_config, err));
    const enum weir_status status = weir_io_open(io, calibrating->config->path, file, err);
    if (status == WEIR_OK)
        *file_bytes = weir_io_file_bytes(io, *file);
    weir_io_destroy(&io);
    return status;
}

static enum weir_status list_places(struct calibrating *calibrating,
                                    struct weir_probe_places *places, struct weir_err *err)
{
    enum { READS_MIN = 16 };
    const struct weir_calibrate_config *config = calibrating->config;
    const struct weir_model *model = calibrating->model;
    uint32_t file = 0;
    uint64_t file_bytes = 0;
    if (config->slice_bytes == 0 && model != NULL && model->shape.n_expert > 0)
        return weir_probe_places_slices(places, model, err);
    const uint32_t read_bytes =
        (uint32_t)weir_align_up(calibrating->out->slice_bytes, WEIR_IO_ALIGN);
    WEIR_TRY(choose_file(calibrating, &file, &file_bytes, err));
    if (file_bytes / read_bytes < READS_MIN)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "%s: wanted at least %llu bytes to read pieces of %u from, found %llu",
                         config->path, (unsigned long long)READS_MIN * read_bytes, read_bytes,
                         (unsigned long long)file_bytes);
    WEIR_TRY(weir_probe_places_cut(places, file_bytes, read_bytes, err));
    places->manifest = calibrating->manifest;
    for (uint32_t index = 0; index < places->count; index++)
        places->list[index].file = file;
    return WEIR_OK;
}

/* ---- measuring ----------------------------------------------------------------------------- */

static enum weir_status tell(const struct calibrating *calibrating, struct weir_err *err)
{
    const double share =
        (double)(weir_now_ns() - calibrating->start_ns) / (double)calibrating->planned_ns;
    if (calibrating->progress != NULL &&
        !calibrating->progress(calibrating->user, share < 1.0 ? share : 1.0))
        return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "the calibration was stopped");
    return WEIR_OK;
}

/* The smallest value that is at least as large as a share of them; values are sorted by it. */
static double find_quantile(double *values, uint32_t count, double share)
{
    weir_sort_reals(values, count);
    const double rank = share * count;
    const uint32_t whole = (uint32_t)rank;
    const uint32_t index = (double)whole < rank ? whole : whole - (whole > 0);
    return values[index];
}

/* The first cell in which a whole burst is in flight: the engine computes between two looks at the
 * device, which must not run dry while a read that is needed waits for room; else the last. */
static uint32_t first_cell(const struct weir_calibration *found)
{
    uint32_t cell = 0;
    while (cell + 1 < found->cell_count && found->cells[cell].in_flight_bytes < found->burst_bytes)
        cell++;
    return cell;
}

/* The least in flight that holds a burst and is nearly as fast as the best that does; cells take
 * turns. */
static enum weir_status find_budget(struct calibrating *calibrating, struct weir_err *err)
{
    struct weir_calibration *out = calibrating->out;
    double rates[CELL_COUNT][CELL_ROUNDS];
    double best = 0.0;
    for (uint64_t bytes = MEBIBYTE; out->cell_count < CELL_COUNT; bytes *= 2) {
        /* More than there is to read would be the same slices over and over. */
        if (out->cell_count > 0 && bytes > calibrating->disk.places.total_bytes)
            break;
        out->cells[out->cell_count++].in_flight_bytes = bytes;
    }
    for (int round = 0; round < CELL_ROUNDS; round++)
        for (uint32_t cell = 0; cell < out->cell_count; cell++) {
            WEIR_TRY(weir_disk_probe_read(&calibrating->disk, out->cells[cell].in_flight_bytes,
                                          CELL_NS, &rates[cell][round], err));
            WEIR_TRY(tell(calibrating, err));
        }
    for (uint32_t cell = 0; cell < out->cell_count; cell++)
        out->cells[cell].bytes_per_s = find_quantile(rates[cell], CELL_ROUNDS, 0.5);
    const uint32_t first = first_cell(out);
    for (uint32_t cell = first; cell < out->cell_count; cell++)
        best = fmax(best, out->cells[cell].bytes_per_s);
    for (uint32_t cell = out->cell_count; cell-- > first;)
        if (out->cells[cell].bytes_per_s >= BUDGET_SHARE * best)
            out->io_budget_bytes = out->cells[cell].in_flight_bytes;
    return WEIR_OK;
}

static enum weir_status run_round(struct calibrating *calibrating, uint32_t round,
                                  struct weir_err *err)
{
    const uint64_t budget_bytes = calibrating->out->io_budget_bytes;
    double(*samples)[ROUNDS] = calibrating->samples;
    struct weir_probe_both both;
    WEIR_TRY(weir_disk_probe_read(&calibrating->disk, budget_bytes, READ_NS, &samples[READ][round],
                                  err));
    WEIR_TRY(weir_disk_probe_burst(&calibrating->disk, budget_bytes, calibrating->burst_reads,
                                   BURST_NS, &samples[BURST][round], err));
    samples[DRAM][round] = weir_memory_probe_read(&calibrating->memory, DRAM_NS);
    /* From an empty queue: long enough for what is in flight to come back twice. */
    const double filled_ns = 1e9 * (double)budget_bytes / samples[READ][round];
    WEIR_TRY(weir_probe_both(&calibrating->disk, &calibrating->memory, budget_bytes,
                             weir_max(BOTH_NS, (uint64_t)(2.0 * filled_ns)), &both, err));
    samples[BOTH_READ][round] = both.disk_bytes_per_s;
    samples[BOTH_DRAM][round] = both.memory_bytes_per_s;
    if (calibrating->model != NULL) {
        samples[DECODE][round] =
            weir_memory_probe_matmul(&calibrating->memory, &calibrating->matrix, 1, KERNEL_NS);
        samples[PREFILL][round] = weir_memory_probe_matmul(
            &calibrating->memory, &calibrating->matrix, PROMPT_TOKENS, KERNEL_NS);
    }
    return tell(calibrating, err);
}

static struct weir_band find_band(struct calibrating *calibrating, enum quantity quantity)
{
    double *samples = calibrating->samples[quantity];
    return (struct weir_band){.low = find_quantile(samples, calibrating->rounds, 0.1),
                              .high = find_quantile(samples, calibrating->rounds, 0.9)};
}

/* Of memory and kernels the fast pieces count: whatever disturbs a piece makes it slower. */
static double find_fast(struct calibrating *calibrating, enum quantity quantity)
{
    return find_quantile(calibrating->samples[quantity], calibrating->rounds, 0.9);
}

static void fill_result(struct calibrating *calibrating)
{
    struct weir_calibration *out = calibrating->out;
    const struct weir_probe_matrix *matrix = &calibrating->matrix;
    const uint32_t rounds = calibrating->rounds;
    out->read = find_band(calibrating, READ);
    out->burst = find_band(calibrating, BURST);
    out->dram_bytes_per_s = find_fast(calibrating, DRAM);
    out->both_read_bytes_per_s = find_quantile(calibrating->samples[BOTH_READ], rounds, 0.5);
    out->both_dram_bytes_per_s = find_quantile(calibrating->samples[BOTH_DRAM], rounds, 0.5);
    if (calibrating->model != NULL) {
        const double weight_bytes =
            (double)weir_quant_row_bytes(matrix->type, matrix->cols) / (double)matrix->cols;
        out->decode_bytes_per_s = find_fast(calibrating, DECODE);
        out->prefill_ops_per_s =
            find_fast(calibrating, PREFILL) / weight_bytes * 2.0 * PROMPT_TOKENS;
    }
    out->measured_s = (double)(weir_now_ns() - calibrating->start_ns) * 1e-9;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void describe_model(struct calibrating *calibrating)
{
    const struct weir_model *model = calibrating->model;
    struct weir_calibration *out = calibrating->out;
    uint32_t slice_count = 0;
    calibrating->matrix = weir_probe_matrix_of(model, &calibrating->kernels, PROMPT_TOKENS);
    snprintf(out->type, sizeof(out->type), "%s", weir_quant_info(calibrating->matrix.type)->name);
    /* Half of a token's experts are missing: the middle of what ceilings give. */
    (void)count_slices(model, &slice_count);
    if (model->shape.n_expert > 0)
        calibrating->burst_reads =
            (uint32_t)weir_max(1, model->shape.n_expert_used / 2) * slice_count;
}

static enum weir_status open_probes(struct calibrating *calibrating, struct weir_err *err)
{
    const struct weir_calibrate_config *config = calibrating->config;
    struct weir_calibration *out = calibrating->out;
    struct weir_probe_places places = {0};
    const uint64_t in_flight_bytes =
        config->quick ? WEIR_STORE_BUDGET_BYTES : (uint64_t)MEBIBYTE << (CELL_COUNT - 1);
    const enum weir_status status = list_places(calibrating, &places, err);
    if (status != WEIR_OK) {
        weir_probe_places_free(&places);
        return status;
    }
    WEIR_TRY(weir_disk_probe_open(&calibrating->disk, config->path, WEIR_IO_AUTO, &places,
                                  in_flight_bytes, err));
    const struct weir_io_mode *mode = weir_io_mode_get(calibrating->disk.io);
    snprintf(out->io, sizeof(out->io), "%s", mode->engine);
    out->direct = mode->direct;
    out->burst_bytes = calibrating->disk.places.total_bytes / calibrating->disk.places.count *
                       calibrating->burst_reads;
    return weir_memory_probe_open(&calibrating->memory, out->n_thread,
                                  calibrating->model == NULL ? NULL : &calibrating->matrix, err);
}

static enum weir_status measure(struct calibrating *calibrating, struct weir_err *err)
{
    struct weir_calibration *out = calibrating->out;
    const bool is_quick = calibrating->config->quick;
    calibrating->rounds = is_quick ? ROUNDS_QUICK : ROUNDS;
    calibrating->planned_ns =
        calibrating->rounds * ROUND_NS + (is_quick ? 0 : CELL_COUNT * CELL_ROUNDS * CELL_NS);
    calibrating->start_ns = weir_now_ns();
    out->quick = is_quick;
    out->io_budget_bytes = WEIR_STORE_BUDGET_BYTES;
    if (!is_quick)
        WEIR_TRY(find_budget(calibrating, err));
    for (uint32_t round = 0; round < calibrating->rounds; round++)
        WEIR_TRY(run_round(calibrating, round, err));
    fill_result(calibrating);
    return WEIR_OK;
}

static enum weir_status calibrate(struct calibrating *calibrating, struct weir_err *err)
{
    const struct weir_calibrate_config *config = calibrating->config;
    struct weir_calibration *out = calibrating->out;
    struct weir_sys_filesystem filesystem;
    WEIR_TRY(find_device(config->path, &filesystem, err));
    WEIR_TRY(weir_kernels_choose(&calibrating->kernels, config->isa, err));
    WEIR_TRY(describe_file(config->path, &calibrating->manifest, &calibrating->model, err));
    out->device_id = filesystem.device_id;
    snprintf(out->filesystem, sizeof(out->filesystem), "%s", filesystem.type);
    snprintf(out->isa, sizeof(out->isa), "%s", calibrating->kernels.isa);
    out->n_thread = config->n_thread > 0 ? config->n_thread : weir_sys_cpu_count();
    out->slice_bytes = WEIR_SLICE_BYTES_DEFAULT;
    if (config->slice_bytes > 0)
        out->slice_bytes = config->slice_bytes;
    else if (calibrating->model != NULL)
        out->slice_bytes = weir_slice_bytes_max(calibrating->model);
    calibrating->burst_reads = BURST_READS;
    if (calibrating->model != NULL)
        describe_model(calibrating);
    WEIR_TRY(open_probes(calibrating, err));
    return measure(calibrating, err);
}

enum weir_status weir_calibrate(struct weir_calibration *calibration,
                                const struct weir_calibrate_config *config,
                                weir_calibrate_fn *progress, void *user, struct weir_err *err)
{
    struct weir_calibration found = {0};
    struct calibrating calibrating = {
        .config = config, .out = &found, .progress = progress, .user = user};
    WEIR_NEED(calibration, err);
    WEIR_NEED(config, err);
    WEIR_NEED(config->path, err);
    if (config->slice_bytes > WEIR_SLICE_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "bytes of a read: wanted at most %d, found %u",
                         WEIR_SLICE_BYTES_MAX, config->slice_bytes);
    const enum weir_status status = calibrate(&calibrating, err);
    weir_memory_probe_close(&calibrating.memory);
    weir_disk_probe_close(&calibrating.disk);
    weir_model_destroy(&calibrating.model);
    weir_manifest_close(&calibrating.manifest);
    if (status == WEIR_OK)
        *calibration = found;
    return status;
}
