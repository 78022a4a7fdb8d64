/* embedding.c - the rows of tables that a step begins with: the embedding's, and the layers' own.
 *
 * A token needs one row of a table as large as the output matrix. Where slots are short it stays on
 * the disk: a row is a read of a page or two, while nothing else is known to read.
 *
 * I1  No read is in flight when weir_table_read() returns, also after an error. */
#include "model/embedding.h"
#include "model/model_internal.h"

#ifdef WEIR_HOSTILE
enum { ROWS_AT_ONCE = 3 };
#else
enum { ROWS_AT_ONCE = 32 };
#endif

/* A table that stays on the disk, while rows of it are read. */
struct reading {
    struct weir_forward *forward;
    const struct weir_weight *weight;
    uint32_t file; /* row_io's */
    weir_table_row_fn *take;
};

static bool is_on_disk(const struct weir_model *model, int table)
{
    return (model->tables_on_disk & 1u << table) != 0;
}

/* Room for a row's aligned superset, wherever the row begins. */
static uint64_t room_bytes(const struct weir_weight *weight)
{
    return weir_align_up(weight->row_bytes, WEIR_IO_ALIGN) + WEIR_IO_ALIGN;
}

void weir_embedding_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_model *model = forward->config.model;
    uint64_t most_bytes = 0;
    for (int table = 0; table < WEIR_TABLE_COUNT; table++)
        if (is_on_disk(model, table))
            most_bytes =
                weir_max(most_bytes, room_bytes(weir_model_table(model, (enum weir_table)table)));
    if (most_bytes > 0)
        forward->row_staging =
            weir_mem_alloc(mem, WEIR_MEM_SCRATCH, ROWS_AT_ONCE * most_bytes, WEIR_IO_ALIGN);
}

static uint64_t row_offset(const struct weir_weight *weight, uint32_t id)
{
    return weight->offset + id * weight->row_bytes;
}

static struct weir_superset row_superset(const struct weir_weight *weight, uint32_t id)
{
    return weir_io_superset(row_offset(weight, id), weight->row_bytes);
}

static uint8_t *staging_of(const struct reading *reading, uint32_t place)
{
    return reading->forward->row_staging + place * room_bytes(reading->weight);
}

/* False: the device is asked for as much as it takes at a time. */
static bool ask_row(const struct reading *reading, uint32_t id, uint32_t place)
{
    const struct weir_superset superset = row_superset(reading->weight, id);
    const struct weir_read read = {
        .offset = superset.offset,
        .tag = place,
        .dst = staging_of(reading, place),
        .bytes = superset.bytes,
        .min_bytes = superset.lead_bytes + (uint32_t)reading->weight->row_bytes,
        .file = reading->file,
        .label = {.class = "embedding",
                  .layer = WEIR_EVENT_ARG_NONE,
                  .record = id,
                  .slice = WEIR_EVENT_ARG_NONE},
    };
    return weir_io_queue(reading->forward->config.row_io, &read);
}

static enum weir_status explain(const struct reading *reading, const struct weir_io_done *done,
                                uint32_t id, struct weir_err *err)
{
    const char *path = weir_io_file_path(reading->forward->config.row_io, reading->file);
    const char *name = reading->weight->tensor->name;
    const unsigned long long offset = row_offset(reading->weight, id);
    if (done->status == WEIR_ERR_FORMAT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s ends early: token %u's row of %s is at %llu",
                         path, id, name, offset);
    return WEIR_FAIL_OS(err, done->os_errno, "read token %u's row of %s, in %s at %llu", id, name,
                        path, offset);
}

/* Tokens [first, first + count), at most ROWS_AT_ONCE, from the disk. */
static enum weir_status read_rows(const struct reading *reading, uint32_t first, uint32_t count,
                                  struct weir_err *err)
{
    const struct weir_row *rows = reading->forward->step.rows + first;
    weir_io *io = reading->forward->config.row_io;
    enum weir_status status = WEIR_OK;
    uint32_t asked = 0;
    for (uint32_t come = 0; come < count;) { /* keeps I1 */
        struct weir_io_done done[ROWS_AT_ONCE];
        while (asked < count && ask_row(reading, rows[asked].id, asked))
            asked++;
        weir_io_flush(io);
        const uint32_t n_done = weir_io_reap(io, done, ROWS_AT_ONCE, -1);
        for (uint32_t index = 0; index < n_done; index++) {
            const uint32_t place = (uint32_t)done[index].tag;
            const uint32_t id = rows[place].id;
            if (done[index].status == WEIR_OK)
                reading->take(reading->forward, first + place,
                              staging_of(reading, place) +
                                  row_superset(reading->weight, id).lead_bytes);
            else if (status == WEIR_OK)
                status = explain(reading, &done[index], id, err);
        }
        come += n_done;
    }
    return status;
}

enum weir_status weir_table_read(struct weir_forward *forward, enum weir_table table,
                                 weir_table_row_fn *take, struct weir_err *err)
{
    const struct weir_model *model = forward->config.model;
    struct reading reading = {
        .forward = forward, .weight = weir_model_table(model, table), .take = take};
    if (!is_on_disk(model, (int)table)) {
        for (uint32_t row = 0; row < forward->step.n_row; row++)
            take(forward, row,
                 reading.weight->data + forward->step.rows[row].id * reading.weight->row_bytes);
        return WEIR_OK;
    }
    for (int before = 0; before < (int)table; before++)
        reading.file += is_on_disk(model, before);
    for (uint32_t first = 0; first < forward->step.n_row; first += ROWS_AT_ONCE)
        WEIR_TRY(read_rows(&reading, first,
                           (uint32_t)weir_min(ROWS_AT_ONCE, forward->step.n_row - first), err));
    return WEIR_OK;
}

static void take_embedding(struct weir_forward *forward, uint32_t token, const uint8_t *row)
{
    const size_t d_model = forward->shape->d_model;
    float *residual = forward->stream.residual + token * d_model;
    weir_quant_decode_row(forward->config.model->token_embedding.type, row, residual, d_model);
    for (size_t index = 0; index < d_model && forward->shape->embedding_scale != 1.0f; index++)
        residual[index] *= forward->shape->embedding_scale;
}

enum weir_status weir_embed(struct weir_forward *forward, struct weir_err *err)
{
    WEIR_TRY(weir_table_read(forward, WEIR_TABLE_TOKENS, take_embedding, err));
    return weir_damage_check_embedding(forward, err);
}
