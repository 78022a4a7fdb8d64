/* recast.c - all tensors of a list: one thread reads and writes, the others encode.
 *
 *   slot:  EMPTY --carrier reads--> FILLED --pool encodes--> DONE --carrier writes--> EMPTY
 *
 * I1  Piece n is in slot n modulo slot_count; pieces are read, encoded and written in order.
 * I2  A slot's memory belongs to whoever its state says: the carrier (EMPTY, DONE) or the caller's
 *     thread and its pool (FILLED). States change under the lock.
 * I3  All memory is laid out by one function, which first only counts. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/thread.h"
#include "encode/encode.h"
#include "recast/packed.h"
#include "recast/recast_internal.h"
#include "sys/sys.h"

enum {
    SLOT_MAX = 3,
    TARGET_BYTES_MAX = 4 << 20,
    TARGET_BYTES_MIN = 64 << 10,
    STAGING_BYTES_MAX = 16 << 20,
    STAGING_BYTES_MIN = 128 << 10,
    CARRIER_STACK_BYTES = 256 << 10,
    RUN_VALUES = 1 << 16, /* that a thread encodes before it asks for more */
};

enum slot_state { EMPTY, FILLED, DONE };

struct slot {
    enum slot_state state;
    struct recast_piece piece;
    uint8_t *in, *out;
    float *weights;
};

/* How much is read and kept at a time. */
struct shape {
    uint64_t target_bytes, staging_bytes;
    uint32_t slot_count;
    /* The most of any piece; of all pieces. */
    uint64_t in_bytes, out_bytes, weight_count, part_count, total_bytes;
    uint64_t cols, room; /* floats of a row, and beside it */
};

struct recast {
    const struct weir_recast_job *job;
    struct shape shape;
    struct weir_mem mem;
    struct slot slots[SLOT_MAX];
    uint8_t *staging;
    struct weir_io_part *parts;
    float *rows; /* [n_thread][cols + room] */
    weir_pool *pool;
    weir_gguf_writer *writer;
    struct weir_recast_done done; /* the carrier's until it has ended */
    pthread_mutex_t lock;         /* of slots' states, stopping and err */
    pthread_cond_t changed;
    atomic_bool stops; /* relaxed: everything else is under the lock */
    struct weir_err err;
};

/* ---- how much -------------------------------------------------------------------------------- */

static struct recast_cutter begin_cut(const struct weir_recast_job *job, uint64_t target_bytes)
{
    return (struct recast_cutter){
        .list = job->list, .target_bytes = target_bytes, .tensor = job->first_tensor};
}

static void measure_pieces(const struct weir_recast_job *job, struct shape *shape)
{
    struct recast_cutter cutter = begin_cut(job, shape->target_bytes);
    struct recast_piece piece;
    while (weir_recast_cut(&cutter, &piece)) {
        const struct weir_recast_tensor *tensor = &job->list->tensors[piece.tensor];
        shape->in_bytes = weir_max(shape->in_bytes, piece.in_bytes);
        shape->out_bytes = weir_max(shape->out_bytes, piece.out_bytes);
        shape->total_bytes += piece.in_bytes;
        shape->cols = weir_max(shape->cols, tensor->dims[0]);
        shape->room =
            weir_max(shape->room, tensor->source->values == NULL ? weir_recast_room(tensor) : 0);
        if (tensor->has_weights)
            shape->weight_count = weir_max(shape->weight_count, tensor->dims[0]);
        for (int kind = 0; kind < RECAST_PART_COUNT; kind++)
            shape->part_count += piece.parts[kind].bytes > 0;
    }
}

/* Keeps I3. */
static void lay_out(struct recast *recast)
{
    enum { LINE = 64 };
    const struct shape *shape = &recast->shape;
    struct weir_mem *mem = &recast->mem;
    recast->staging = weir_mem_alloc(mem, WEIR_MEM_IO, shape->staging_bytes, WEIR_IO_ALIGN);
    recast->parts = weir_mem_alloc(mem, WEIR_MEM_IO,
                                   weir_max(1, shape->part_count) * sizeof(*recast->parts), LINE);
    for (uint32_t index = 0; index < shape->slot_count; index++) {
        struct slot *slot = &recast->slots[index];
        slot->in = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, weir_max(1, shape->in_bytes), LINE);
        slot->out = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, weir_max(1, shape->out_bytes), LINE);
        slot->weights = weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                                       weir_max(1, shape->weight_count) * sizeof(float), LINE);
    }
    recast->rows =
        weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                       recast->job->n_thread * (shape->cols + shape->room) * sizeof(float), LINE);
}

/* What a run holds beside what it lays out: threads, rings, page tables. */
static uint64_t fixed_bytes(const struct weir_recast_job *job, uint64_t laid_bytes)
{
    enum { THREAD_BYTES = 128 << 10, RING_BYTES = 1 << 20 };
    return (uint64_t)(job->n_thread + 5) * THREAD_BYTES + RING_BYTES + laid_bytes / 512;
}

/* Smaller and smaller ones; false past the last. */
static bool find_shape(const struct weir_recast_job *job, uint32_t step, struct recast *recast)
{
    uint64_t target = TARGET_BYTES_MAX;
    uint32_t slots = SLOT_MAX;
    for (; step > 0 && (slots > 1 || target > TARGET_BYTES_MIN); step--) {
        if (target > TARGET_BYTES_MIN)
            target /= 2;
        else
            slots--;
    }
    *recast = (struct recast){.job = job};
    recast->shape = (struct shape){
        .target_bytes = target,
        .slot_count = slots,
        .staging_bytes = weir_max(STAGING_BYTES_MIN, weir_min(STAGING_BYTES_MAX, 4 * target))};
    measure_pieces(job, &recast->shape);
    weir_mem_init(&recast->mem);
    lay_out(recast);
    return step == 0;
}

static uint64_t held_bytes(const struct recast *recast)
{
    const uint64_t laid = weir_mem_bytes(&recast->mem);
    return laid + fixed_bytes(recast->job, laid);
}

void weir_recast_measure(const struct weir_recast_job *job, uint64_t *least_bytes,
                         uint64_t *useful_bytes)
{
    struct recast recast;
    find_shape(job, 0, &recast);
    *useful_bytes = held_bytes(&recast);
    find_shape(job, UINT32_MAX, &recast);
    *least_bytes = weir_min(*useful_bytes, held_bytes(&recast));
}

static enum weir_status choose_shape(const struct weir_recast_job *job, struct recast *recast,
                                     struct weir_err *err)
{
    uint32_t step = 0;
    while (find_shape(job, step, recast))
        if (held_bytes(recast) <= job->mem_bytes)
            return WEIR_OK;
        else
            step++;
    return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                     "wanted %llu bytes for pieces of tensors and threads, %llu are left",
                     (unsigned long long)held_bytes(recast), (unsigned long long)job->mem_bytes);
}

/* ---- the carrier: reads and writes ----------------------------------------------------------- */

static bool is_stopping(void *user)
{
    return atomic_load_explicit(&((struct recast *)user)->stops, memory_order_relaxed);
}

static void fail(struct recast *recast, const struct weir_err *err)
{
    pthread_mutex_lock(&recast->lock);
    if (recast->err.status == WEIR_OK)
        recast->err = *err;
    atomic_store_explicit(&recast->stops, true, memory_order_relaxed);
    pthread_cond_broadcast(&recast->changed);
    pthread_mutex_unlock(&recast->lock);
}

static void set_state(struct recast *recast, struct slot *slot, enum slot_state state)
{
    pthread_mutex_lock(&recast->lock);
    slot->state = state;
    pthread_cond_broadcast(&recast->changed);
    pthread_mutex_unlock(&recast->lock);
}

static struct slot *slot_of(struct recast *recast, uint64_t piece)
{
    return &recast->slots[piece % recast->shape.slot_count]; /* keeps I1 */
}

static enum weir_status read_piece(struct recast *recast, struct weir_io_stream *stream,
                                   struct slot *slot, struct weir_err *err)
{
    const struct weir_recast_job *job = recast->job;
    const struct weir_recast_tensor *tensor = &job->list->tensors[slot->piece.tensor];
    uint64_t at = 0;
    for (int kind = 0; kind < RECAST_PART_COUNT; kind++) {
        const uint64_t bytes = slot->piece.parts[kind].bytes;
        WEIR_TRY(weir_io_stream_take(stream, slot->in + at, bytes, err));
        at += bytes;
    }
    return tensor->has_weights
               ? job->weights(job->weights_user, tensor, slot->piece.matrix, slot->weights, err)
               : WEIR_OK;
}

/* Waits until there is something to do: a slot to write before one to fill. NULL: the end. */
static struct slot *wait_for_slot(struct recast *recast, uint64_t written, uint64_t read,
                                  bool has_more)
{
    struct slot *found = NULL;
    struct slot *oldest = slot_of(recast, written);
    struct slot *next = slot_of(recast, read);
    pthread_mutex_lock(&recast->lock);
    while (!is_stopping(recast) && (written < read || has_more)) {
        if (written < read && oldest->state == DONE)
            found = oldest;
        else if (has_more && next->state == EMPTY)
            found = next;
        if (found != NULL)
            break;
        pthread_cond_wait(&recast->changed, &recast->lock);
    }
    pthread_mutex_unlock(&recast->lock);
    return found;
}

static enum weir_status carry_pieces(struct recast *recast, struct weir_io_stream *stream,
                                     struct weir_err *err)
{
    const struct weir_recast_job *job = recast->job;
    struct recast_cutter cutter = begin_cut(job, recast->shape.target_bytes);
    struct recast_piece piece;
    uint64_t read = 0;
    uint64_t written = 0;
    bool has_more = weir_recast_cut(&cutter, &piece);
    struct slot *slot;
    while ((slot = wait_for_slot(recast, written, read, has_more)) != NULL) {
        if (slot->state == DONE) {
            const bool is_copy = weir_recast_is_copy(&job->list->tensors[slot->piece.tensor]);
            WEIR_TRY(weir_gguf_put_data(recast->writer, is_copy ? slot->in : slot->out,
                                        slot->piece.out_bytes, err));
            recast->done.written_bytes += slot->piece.out_bytes;
            written++;
            set_state(recast, slot, EMPTY);
        } else {
            slot->piece = piece;
            WEIR_TRY(read_piece(recast, stream, slot, err));
            has_more = weir_recast_cut(&cutter, &piece);
            read++;
            set_state(recast, slot, FILLED);
        }
    }
    return WEIR_OK;
}

static void list_parts(struct recast *recast)
{
    struct recast_cutter cutter = begin_cut(recast->job, recast->shape.target_bytes);
    struct recast_piece piece;
    uint64_t count = 0;
    while (weir_recast_cut(&cutter, &piece))
        for (int kind = 0; kind < RECAST_PART_COUNT; kind++)
            if (piece.parts[kind].bytes > 0)
                recast->parts[count++] = piece.parts[kind];
    WEIR_ASSERT(count == recast->shape.part_count);
}

static enum weir_status open_files(struct recast *recast, weir_io **io, struct weir_err *err)
{
    const struct weir_manifest *manifest = recast->job->manifest;
    const struct weir_io_config config = {.buffered = recast->job->buffered,
                                          .depth = WEIR_IO_PIECE_MAX,
                                          .stop = is_stopping,
                                          .stop_user = recast};
    WEIR_TRY(weir_io_create(io, &config, err));
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++) {
        uint32_t opened = 0;
        const char *path = weir_manifest_file_path(manifest, file);
        WEIR_TRY(weir_io_open(*io, path, &opened, err));
        WEIR_ASSERT(opened == file);
        if (weir_io_file_bytes(*io, file) != weir_manifest_file_bytes(manifest, file))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s changed while it was opened", path);
    }
    return WEIR_OK;
}

static void keep_facts(struct recast *recast, weir_io *io)
{
    struct weir_io_stats stats;
    const struct weir_io_mode *mode = weir_io_mode_get(io);
    weir_io_stats_get(io, &stats);
    recast->done.read_bytes = stats.read_bytes;
    snprintf(recast->done.io, sizeof(recast->done.io), "%s, %s%s%s", mode->engine,
             mode->direct ? "direct" : "buffered", mode->why[0] == '\0' ? "" : ": ", mode->why);
}

static void *carry(void *user)
{
    struct recast *recast = user;
    struct weir_io_stream stream;
    struct weir_err err = {0};
    weir_io *io = NULL;
    weir_thread_name("weir-carry", 0);
    enum weir_status status = open_files(recast, &io, &err);
    if (status == WEIR_OK) {
        list_parts(recast);
        weir_io_stream_begin(&stream, io, recast->parts, (uint32_t)recast->shape.part_count,
                             recast->staging, recast->shape.staging_bytes);
        status = carry_pieces(recast, &stream, &err);
        weir_io_stream_end(&stream);
        keep_facts(recast, io);
    }
    if (status != WEIR_OK)
        fail(recast, &err);
    if (io != NULL && !weir_io_destroy(&io))
        weir_mem_leave(&recast->mem);
    return NULL;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct encoding {
    struct recast *recast;
    const struct slot *slot;
    const struct weir_recast_tensor *tensor;
    uint64_t row_bytes;
    atomic_ullong next_row; /* relaxed: what rows hold is handed over by the pool */
    atomic_ullong bad_row;  /* the first one with a value that cannot be held; ULLONG_MAX: none */
    bool is_copy;           /* its rows are only looked at */
    uint32_t end;           /* from these bits on a magnitude cannot be held */
};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits & 0x7fffffff;
}

/* The largest magnitude that blocks have, which is what becomes of one that is too large: beside
 * others as large, and beside nothing, for a block may have a minimum. */
static float find_reach(enum weir_type type)
{
    enum { BLOCK_MAX = 256 };
    float values[BLOCK_MAX];
    uint8_t block[BLOCK_MAX * sizeof(float)];
    const struct weir_type_info *info = weir_quant_info(type);
    float reach = 0.0f;
    WEIR_ASSERT(info->block_len <= BLOCK_MAX && info->block_bytes <= sizeof(block));
    for (int low = -1; low <= 1; low++) {
        for (uint32_t at = 0; at < info->block_len; at++)
            values[at] = at % 2 == 0 ? FLT_MAX : (float)low * FLT_MAX;
        weir_encode_row(type, values, NULL, block, info->block_len);
        weir_quant_decode_row(type, block, values, info->block_len);
        for (uint32_t at = 0; at < info->block_len; at++)
            reach = fmaxf(reach, fabsf(values[at]));
    }
    return reach;
}

/* From these bits on a float becomes another one: an infinity, or as much as blocks reach. */
static uint32_t find_end(const struct weir_recast_tensor *tensor, bool is_copy)
{
    enum { INFINITE = 0x7f800000 };
    if (tensor->type == WEIR_TYPE_F32 || is_copy || weir_packed_is_kept(tensor))
        return INFINITE;
    if (tensor->type == WEIR_TYPE_F16)
        return 0x477ff000;
    if (tensor->type == WEIR_TYPE_BF16)
        return 0x7f7f8000;
    return (uint32_t)weir_min(INFINITE, bits_of(find_reach(tensor->type)) + 1);
}

static bool can_hold(uint32_t end, const float *values, uint64_t count)
{
    uint32_t most = 0;
    for (uint64_t at = 0; at < count; at++) {
        const uint32_t bits = bits_of(values[at]);
        most = bits > most ? bits : most;
    }
    return most < end;
}

static void note_bad(struct encoding *encoding, uint64_t row)
{
    unsigned long long before = atomic_load(&encoding->bad_row);
    while (row < before && !atomic_compare_exchange_weak(&encoding->bad_row, &before, row))
        ;
}

static void encode_rows(void *user, uint32_t part, uint32_t part_count)
{
    struct encoding *encoding = user;
    const struct slot *slot = encoding->slot;
    const struct weir_recast_tensor *tensor = encoding->tensor;
    const struct shape *shape = &encoding->recast->shape;
    const uint64_t cols = tensor->dims[0];
    const uint64_t step = weir_max(1, RUN_VALUES / cols);
    float *values = encoding->recast->rows + part * (shape->cols + shape->room);
    (void)part_count;
    for (;;) {
        const uint64_t first =
            atomic_fetch_add_explicit(&encoding->next_row, step, memory_order_relaxed);
        if (first >= slot->piece.row_count)
            return;
        const uint64_t end = weir_min(first + step, slot->piece.row_count);
        for (uint64_t row = first; row < end; row++) {
            uint8_t *out = slot->out + row * encoding->row_bytes;
            if (weir_packed_is_kept(tensor)) {
                weir_recast_keep(tensor, &slot->piece, slot->in, row, out);
                continue;
            }
            weir_recast_decode(tensor, &slot->piece, slot->in, row, values, values + shape->cols);
            if (!can_hold(encoding->end, values, cols))
                note_bad(encoding, row);
            else if (!encoding->is_copy)
                weir_encode_row(tensor->type, values, tensor->has_weights ? slot->weights : NULL,
                                out, (size_t)cols);
        }
    }
}

/* Which value of the row it is, and what. */
static enum weir_status refuse_value(struct encoding *encoding, uint64_t row, struct weir_err *err)
{
    const struct weir_recast_tensor *tensor = encoding->tensor;
    const struct recast *recast = encoding->recast;
    const struct slot *slot = encoding->slot;
    const uint64_t row_at = slot->piece.row + row;
    float *values = recast->rows;
    uint64_t col = 0;
    weir_recast_decode(tensor, &slot->piece, slot->in, row, values, values + recast->shape.cols);
    while (bits_of(values[col]) < encoding->end)
        col++;
    const double value = (double)values[col];
    if (!isfinite(value))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s: row %llu of matrix %llu has %g in column %llu: wanted finite "
                         "values; the file is damaged, or was made so",
                         tensor->source->name, (unsigned long long)row_at,
                         (unsigned long long)slot->piece.matrix, value, (unsigned long long)col);
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "tensor %s: row %llu of matrix %llu has %g in column %llu, which is too large "
                     "for %s: wanted a format of more range, such as BF16",
                     tensor->source->name, (unsigned long long)row_at,
                     (unsigned long long)slot->piece.matrix, value, (unsigned long long)col,
                     weir_quant_info(tensor->type)->name);
}

static enum weir_status encode_piece(struct recast *recast, struct slot *slot, struct weir_err *err)
{
    const struct weir_recast_tensor *tensor = &recast->job->list->tensors[slot->piece.tensor];
    struct encoding encoding = {.recast = recast,
                                .slot = slot,
                                .tensor = tensor,
                                .is_copy = weir_recast_is_copy(tensor),
                                .row_bytes =
                                    weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0])};
    encoding.end = find_end(tensor, encoding.is_copy);
    atomic_init(&encoding.next_row, 0);
    atomic_init(&encoding.bad_row, UINT64_MAX);
    weir_pool_run(recast->pool, "encode", encode_rows, &encoding);
    const uint64_t bad = atomic_load(&encoding.bad_row);
    return bad == UINT64_MAX ? WEIR_OK : refuse_value(&encoding, bad, err);
}

/* False: the end was asked for, or something failed. */
static bool wait_for_piece(struct recast *recast, const struct slot *slot)
{
    pthread_mutex_lock(&recast->lock);
    while (!is_stopping(recast) && slot->state != FILLED)
        pthread_cond_wait(&recast->changed, &recast->lock);
    pthread_mutex_unlock(&recast->lock);
    return !is_stopping(recast);
}

static void encode_pieces(struct recast *recast)
{
    const struct weir_recast_job *job = recast->job;
    struct recast_cutter cutter = begin_cut(job, recast->shape.target_bytes);
    struct recast_piece piece;
    struct weir_err err = {0};
    uint64_t done_bytes = 0;
    for (uint64_t number = 0; weir_recast_cut(&cutter, &piece); number++) {
        struct slot *slot = slot_of(recast, number);
        if (!wait_for_piece(recast, slot))
            return;
        if (encode_piece(recast, slot, &err) != WEIR_OK) {
            fail(recast, &err);
            return;
        }
        set_state(recast, slot, DONE);
        done_bytes += piece.in_bytes;
        if (job->progress != NULL &&
            !job->progress(job->progress_user, done_bytes, recast->shape.total_bytes)) {
            WEIR_FAIL(&err, WEIR_ERR_CANCELLED, "stopped");
            fail(recast, &err);
            return;
        }
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum weir_status run_threads(struct recast *recast, struct weir_err *err)
{
    pthread_t carrier;
    pthread_mutex_init(&recast->lock, NULL);
    pthread_cond_init(&recast->changed, NULL);
    const int os_errno = weir_thread_start(&carrier, CARRIER_STACK_BYTES, carry, recast);
    if (os_errno == 0) {
        encode_pieces(recast);
        pthread_join(carrier, NULL);
    } else {
        WEIR_FAIL_OS(&recast->err, os_errno, "start a thread that reads and writes");
    }
    pthread_cond_destroy(&recast->changed);
    pthread_mutex_destroy(&recast->lock);
    if (recast->err.status != WEIR_OK && err != NULL && err->status == WEIR_OK)
        *err = recast->err;
    return recast->err.status;
}

enum weir_status weir_recast_run(const struct weir_recast_job *job, weir_gguf_writer *writer,
                                 struct weir_recast_done *done, struct weir_err *err)
{
    struct recast *recast = weir_heap_alloc(sizeof(*recast));
    if (recast == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to quantize");
    enum weir_status status = choose_shape(job, recast, err);
    const uint64_t held = held_bytes(recast);
    recast->writer = writer;
    atomic_init(&recast->stops, false);
    WEIR_TRY_GOTO(status);
    WEIR_TRY_GOTO(weir_pool_create(&recast->pool, job->n_thread, err));
    WEIR_TRY_GOTO(weir_mem_open(&recast->mem, err));
    lay_out(recast);
    weir_mem_seal(&recast->mem);
    WEIR_TRY_GOTO(run_threads(recast, err));
    recast->done.held_bytes = held;
    if (done != NULL)
        *done = recast->done;

fail:
    weir_pool_destroy(&recast->pool);
    weir_mem_close(&recast->mem);
    weir_heap_free(recast);
    return status;
}
