/* errors.c - what tensors would lose in other types, by encoding some of their rows. */
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "encode/encode.h"
#include "recast/recast_internal.h"
#include "sys/sys.h"

enum {
    ROWS_MIN = 64,   /* of a tensor that are looked at, or all */
    ROWS_EACH = 2,   /* of each matrix of a stack */
    ROWS_MAX = 1024, /* of a stack of many */
    BATCH_ROWS = 64, /* read and encoded together */
    STAGING_BYTES = 256 << 10,
};

/* Rows that are looked at together. */
struct batch {
    const struct weir_recast_tensor *tensor;
    const enum weir_type *types;
    uint32_t type_count, row_count;
    uint64_t cols;
    float *values;  /* [row_count][cols] */
    float *weights; /* [row_count][cols]; NULL: all count alike */
    double *lost;   /* [row_count][type_count] */
    double *kept;   /* [row_count]: weighted squares */
    float *room;    /* [n_thread][cols], decoded */
    uint8_t *coded; /* [n_thread][coded_bytes] */
    uint64_t coded_bytes;
};

struct looking {
    const struct weir_recast_job *job;
    weir_io *io;
    weir_pool *pool;
    uint8_t *staging, *bytes;
    struct batch batch;
    struct weir_io_part parts[BATCH_ROWS];
    uint64_t matrices[BATCH_ROWS];
};

static uint64_t most_cols(const struct weir_recast_job *job)
{
    uint64_t cols = 0;
    for (uint32_t index = 0; index < job->list->count; index++)
        cols = weir_max(cols, job->list->tensors[index].dims[0]);
    return cols;
}

uint64_t weir_recast_errors_bytes(const struct weir_recast_job *job)
{
    const uint64_t row = most_cols(job) * sizeof(float);
    return STAGING_BYTES + 3 * BATCH_ROWS * row + 2 * job->n_thread * row +
           BATCH_ROWS * (WEIR_TYPE_COUNT + 1) * sizeof(double);
}

static double weighted_square(const float *values, const float *weights, uint64_t cols)
{
    double sum = 0.0;
    for (uint64_t col = 0; col < cols; col++)
        sum += (double)values[col] * (double)values[col] *
               (weights == NULL ? 1.0 : (double)weights[col]);
    return sum;
}

/* Each row by itself: sums do not depend on threads. */
static void try_rows(void *user, uint32_t part, uint32_t n_part)
{
    const struct batch *batch = user;
    const uint64_t cols = batch->cols;
    float *decoded = batch->room + part * cols;
    uint8_t *coded = batch->coded + part * batch->coded_bytes;
    for (uint32_t row = part; row < batch->row_count; row += n_part) {
        const float *values = batch->values + row * cols;
        const float *weights = batch->weights == NULL ? NULL : batch->weights + row * cols;
        batch->kept[row] = weighted_square(values, weights, cols);
        for (uint32_t at = 0; at < batch->type_count; at++) {
            double *lost = &batch->lost[row * batch->type_count + at];
            const enum weir_type type = batch->types[at];
            *lost = (double)NAN;
            if (cols % weir_quant_info(type)->block_len != 0)
                continue;
            weir_encode_row(type, values, weights, coded, cols);
            weir_quant_decode_row(type, coded, decoded, cols);
            for (uint64_t col = 0; col < cols; col++)
                decoded[col] -= values[col];
            *lost = weighted_square(decoded, weights, cols);
        }
    }
}

/* Where a row lies; weir_quantize() has only tensors that lie as they are written. */
static struct weir_io_part place_row(const struct weir_recast_tensor *tensor, uint64_t matrix,
                                     uint64_t row)
{
    const struct weir_tensor *source = tensor->source;
    const uint64_t row_bytes = weir_recast_source(tensor).row_bytes;
    if (source->places != NULL)
        return (struct weir_io_part){.offset = source->places[matrix].offset + row * row_bytes,
                                     .bytes = row_bytes,
                                     .file = source->places[matrix].file};
    return (struct weir_io_part){.offset =
                                     source->offset + (matrix * tensor->dims[1] + row) * row_bytes,
                                 .bytes = row_bytes,
                                 .file = source->file};
}

static enum weir_status read_rows(struct looking *looking, struct weir_err *err)
{
    struct batch *batch = &looking->batch;
    const struct weir_recast_job *job = looking->job;
    struct weir_io_stream stream;
    enum weir_status status = WEIR_OK;
    weir_io_stream_begin(&stream, looking->io, looking->parts, batch->row_count, looking->staging,
                         STAGING_BYTES);
    for (uint32_t row = 0; status == WEIR_OK && row < batch->row_count; row++) {
        status = weir_io_stream_take(&stream, looking->bytes, looking->parts[row].bytes, err);
        if (status == WEIR_OK)
            weir_quant_decode_row(batch->tensor->source->type, looking->bytes,
                                  batch->values + row * batch->cols, (size_t)batch->cols);
        if (status == WEIR_OK && batch->weights != NULL)
            status = job->weights(job->weights_user, batch->tensor, looking->matrices[row],
                                  batch->weights + row * batch->cols, err);
    }
    weir_io_stream_end(&stream);
    return status;
}

/* Values that are not finite have no error that means anything. */
static enum weir_status check_rows(const struct batch *batch, struct weir_err *err)
{
    for (uint32_t row = 0; row < batch->row_count; row++)
        for (uint64_t col = 0; col < batch->cols; col++)
            if (!isfinite(batch->values[row * batch->cols + col]))
                return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s has a value that is not finite",
                                 batch->tensor->name);
    return WEIR_OK;
}

/* Rows of all matrices, evenly, into errors [type_count]. */
static enum weir_status look_at(struct looking *looking, const struct weir_recast_tensor *tensor,
                                float *weights, double *errors, struct weir_err *err)
{
    struct batch *batch = &looking->batch;
    const uint64_t matrices = tensor->dims[2] * tensor->dims[3];
    const uint64_t all = matrices * tensor->dims[1];
    const uint64_t wanted =
        weir_min(all, weir_min(ROWS_MAX, weir_max(ROWS_MIN, ROWS_EACH * matrices)));
    double kept = 0.0;
    batch->tensor = tensor;
    batch->cols = tensor->dims[0];
    batch->weights = tensor->has_weights ? weights : NULL;
    memset(errors, 0, batch->type_count * sizeof(*errors));
    for (uint64_t first = 0; first < wanted; first += BATCH_ROWS) {
        batch->row_count = (uint32_t)weir_min(BATCH_ROWS, wanted - first);
        for (uint32_t at = 0; at < batch->row_count; at++) {
            const uint64_t row = (first + at) * all / wanted;
            looking->matrices[at] = row / tensor->dims[1];
            looking->parts[at] = place_row(tensor, looking->matrices[at], row % tensor->dims[1]);
        }
        WEIR_TRY(read_rows(looking, err));
        WEIR_TRY(check_rows(batch, err));
        weir_pool_run(looking->pool, "errors", try_rows, batch);
        for (uint32_t row = 0; row < batch->row_count; row++) {
            kept += batch->kept[row];
            for (uint32_t at = 0; at < batch->type_count; at++)
                errors[at] += batch->lost[row * batch->type_count + at];
        }
    }
    for (uint32_t at = 0; at < batch->type_count; at++)
        errors[at] = kept > 0.0 || isnan(errors[at]) ? errors[at] / kept : 0.0;
    return WEIR_OK;
}

static enum weir_status open_files(struct looking *looking, struct weir_err *err)
{
    const weir_manifest *manifest = looking->job->manifest;
    const struct weir_io_config config = {.buffered = looking->job->buffered,
                                          .depth = WEIR_IO_PIECE_MAX};
    WEIR_TRY(weir_io_create(&looking->io, &config, err));
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++) {
        uint32_t opened = 0;
        WEIR_TRY(weir_io_open(looking->io, weir_manifest_file_path(manifest, file), &opened, err));
    }
    return weir_pool_create(&looking->pool, looking->job->n_thread, err);
}

/* Everything behind one allocation, the staging first. */
static float *take_floats(uint8_t **at, uint64_t count)
{
    float *floats = (float *)(void *)*at;
    *at += count * sizeof(float);
    return floats;
}

static bool lay_out(struct looking *looking, uint8_t *block, float **weights)
{
    struct batch *batch = &looking->batch;
    const uint64_t cols = most_cols(looking->job);
    uint8_t *at = (uint8_t *)(uintptr_t)weir_align_up((uintptr_t)block, WEIR_IO_ALIGN);
    looking->staging = at;
    at += STAGING_BYTES;
    batch->lost = (double *)(void *)at;
    at += BATCH_ROWS * WEIR_TYPE_COUNT * sizeof(double);
    batch->kept = (double *)(void *)at;
    at += BATCH_ROWS * sizeof(double);
    batch->values = take_floats(&at, BATCH_ROWS * cols);
    *weights = take_floats(&at, BATCH_ROWS * cols);
    batch->room = take_floats(&at, looking->job->n_thread * cols);
    batch->coded = (uint8_t *)take_floats(&at, looking->job->n_thread * cols);
    batch->coded_bytes = cols * sizeof(float);
    looking->bytes = (uint8_t *)take_floats(&at, cols);
    return block != NULL;
}

enum weir_status weir_recast_errors(const struct weir_recast_job *job, const bool *is_wanted,
                                    const enum weir_type *types, uint32_t type_count,
                                    double *errors, struct weir_err *err)
{
    struct looking looking = {.job = job};
    enum weir_status status = WEIR_OK;
    float *weights = NULL;
    uint8_t *block = weir_heap_alloc(weir_recast_errors_bytes(job) + WEIR_IO_ALIGN);
    WEIR_ASSERT(type_count <= WEIR_TYPE_COUNT);
    looking.batch.types = types;
    looking.batch.type_count = type_count;
    if (!lay_out(&looking, block, &weights))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to look at rows");
    status = open_files(&looking, err);
    for (uint32_t index = 0; status == WEIR_OK && index < job->list->count; index++)
        if (is_wanted[index])
            status = look_at(&looking, &job->list->tensors[index], weights,
                             errors + (size_t)index * type_count, err);
    if (looking.pool != NULL)
        weir_pool_destroy(&looking.pool);
    if (looking.io == NULL || weir_io_destroy(&looking.io))
        weir_heap_free(block); /* else a read may still write to it */
    return status;
}
