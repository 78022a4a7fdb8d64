/* embedding.c - the rows of the embedding table that a step begins with.
 *
 * A token needs one row of a table as large as the output matrix. Where slots are short it stays on
 * the disk: a row is a read of a page or two, while nothing else is known to read.
 *
 * I1  No read is in flight when weir_embed() returns, also after an error. */
#include "model/model_internal.h"

#ifdef WEIR_HOSTILE
enum { ROWS_AT_ONCE = 3 };
#else
enum { ROWS_AT_ONCE = 32 };
#endif

/* Room for a row's aligned superset, wherever the row begins. */
static uint64_t room_bytes(const struct weir_weight *table)
{
    return weir_align_up(table->row_bytes, WEIR_IO_ALIGN) + WEIR_IO_ALIGN;
}

void weir_embedding_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_model *model = forward->config.model;
    if (model->embedding_on_disk)
        forward->row_staging =
            weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                           ROWS_AT_ONCE * room_bytes(&model->token_embedding), WEIR_IO_ALIGN);
}

static void decode_row(struct weir_forward *forward, uint32_t token, const uint8_t *row)
{
    const struct weir_weight *table = &forward->config.model->token_embedding;
    const size_t d_model = forward->shape->d_model;
    float *residual = forward->stream.residual + token * d_model;
    weir_quant_decode_row(table->type, row, residual, d_model);
    for (size_t index = 0; index < d_model && forward->shape->embedding_scale != 1.0f; index++)
        residual[index] *= forward->shape->embedding_scale;
}

static struct weir_superset row_superset(const struct weir_weight *table, uint32_t id)
{
    return weir_io_superset(table->offset + id * table->row_bytes, table->row_bytes);
}

static void ask_row(const struct weir_forward *forward, uint32_t id, uint32_t place)
{
    const struct weir_weight *table = &forward->config.model->token_embedding;
    const struct weir_superset superset = row_superset(table, id);
    const struct weir_read read = {
        .offset = superset.offset,
        .tag = place,
        .dst = forward->row_staging + place * room_bytes(table),
        .bytes = superset.bytes,
        .min_bytes = superset.lead_bytes + (uint32_t)table->row_bytes,
        .file = 0, /* the only one that row_io has */
        .label = {.class = "embedding",
                  .layer = WEIR_EVENT_ARG_NONE,
                  .record = id,
                  .slice = WEIR_EVENT_ARG_NONE},
    };
    const bool taken = weir_io_queue(forward->config.row_io, &read);
    WEIR_ASSERT(taken);
}

static enum weir_status explain(const struct weir_forward *forward, const struct weir_io_done *done,
                                uint32_t id, struct weir_err *err)
{
    const struct weir_weight *table = &forward->config.model->token_embedding;
    const char *path = weir_io_file_path(forward->config.row_io, 0);
    const unsigned long long offset = table->offset + id * table->row_bytes;
    if (done->status == WEIR_ERR_FORMAT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s ends early: token %u's embedding is at %llu",
                         path, id, offset);
    return WEIR_FAIL_OS(err, done->os_errno, "read token %u's embedding of %s at %llu", id, path,
                        offset);
}

/* Tokens [first, first + count), at most ROWS_AT_ONCE, from the disk. */
static enum weir_status read_rows(struct weir_forward *forward, uint32_t first, uint32_t count,
                                  struct weir_err *err)
{
    const struct weir_row *rows = forward->step.rows + first;
    const struct weir_weight *table = &forward->config.model->token_embedding;
    enum weir_status status = WEIR_OK;
    for (uint32_t place = 0; place < count; place++)
        ask_row(forward, rows[place].id, place);
    weir_io_flush(forward->config.row_io);
    for (uint32_t come = 0; come < count;) { /* keeps I1 */
        struct weir_io_done done[ROWS_AT_ONCE];
        const uint32_t n_done = weir_io_reap(forward->config.row_io, done, ROWS_AT_ONCE, -1);
        for (uint32_t index = 0; index < n_done; index++) {
            const uint32_t place = (uint32_t)done[index].tag;
            const uint32_t id = rows[place].id;
            if (done[index].status == WEIR_OK)
                decode_row(forward, first + place,
                           forward->row_staging + place * room_bytes(table) +
                               row_superset(table, id).lead_bytes);
            else if (status == WEIR_OK)
                status = explain(forward, &done[index], id, err);
        }
        come += n_done;
    }
    return status;
}

enum weir_status weir_embed(struct weir_forward *forward, struct weir_err *err)
{
    const struct weir_model *model = forward->config.model;
    const struct weir_weight *table = &model->token_embedding;
    if (!model->embedding_on_disk) {
        for (uint32_t row = 0; row < forward->step.n_row; row++)
            decode_row(forward, row, table->data + forward->step.rows[row].id * table->row_bytes);
        return weir_damage_check_embedding(forward, err);
    }
    for (uint32_t first = 0; first < forward->step.n_row; first += ROWS_AT_ONCE)
        WEIR_TRY(read_rows(forward, first,
                           (uint32_t)weir_min(ROWS_AT_ONCE, forward->step.n_row - first), err));
    return weir_damage_check_embedding(forward, err);
}
