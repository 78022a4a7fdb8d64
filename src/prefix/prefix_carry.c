/* prefix_carry.c - records on their way to and from the device, in pieces.
 *
 * I1  A piece's memory is nobody's while it is in flight: pages of a write are held, those of a
 *     read belong to a sequence that has not arrived.
 * I2  Reads begin before writes: somebody waits for them.
 * I3  What the file has of the page cache, read or not yet on the disk, is at most
 *     WEIR_PREFIX_CACHED_BYTES, or one piece. */
#include <errno.h>
#include <string.h>

#include "prefix/prefix_internal.h"

enum {
    PIECE_BYTES_DEFAULT = 4 << 20,
    PIECE_BYTES_CACHED = WEIR_PREFIX_CACHED_BYTES / 2, /* through the page cache */
    INDEX_BITS = 8,                                    /* of a tag: which transfer */
};

struct piece {
    uint64_t offset;
    uint8_t *memory;
    uint32_t bytes;
};

static uint64_t unit_offset(const weir_prefix *prefix, uint32_t unit)
{
    return WEIR_PREFIX_FILE_HEAD_BYTES + unit * prefix->unit_bytes;
}

/* Where a class lies in its record, which has room for all of them. */
static uint64_t class_offset(const weir_prefix *prefix, uint32_t class)
{
    uint64_t offset = prefix->limits.head_bytes;
    for (uint32_t before = 0; before < class; before++)
        offset += prefix->shape.class_bytes[before];
    return offset;
}

/* The part that the transfer is at: its place in the file and in memory, and its bytes; 0: it does
 * not go. */
static uint64_t part_of(const weir_prefix *prefix, const struct weir_transfer *transfer,
                        uint64_t *offset, uint8_t **memory)
{
    const uint32_t class_count = prefix->shape.class_count;
    const uint32_t part = transfer->part;
    *offset = unit_offset(prefix, transfer->record);
    *memory = transfer->head;
    if (part == 0)
        return prefix->limits.head_bytes;
    if (part <= class_count) {
        *offset += class_offset(prefix, part - 1);
        *memory = transfer->memory[part - 1];
        return (transfer->classes >> (part - 1) & 1) != 0 ? prefix->shape.class_bytes[part - 1] : 0;
    }
    const uint64_t before_bytes = (part - class_count - 1) * prefix->unit_bytes;
    if (before_bytes >= prefix->shape.block_bytes)
        return 0;
    *offset = unit_offset(prefix, transfer->unit);
    *memory = transfer->block + before_bytes;
    return weir_min(prefix->unit_bytes, prefix->shape.block_bytes - before_bytes);
}

/* Parts of the record that may go. */
static uint32_t part_count(const weir_prefix *prefix, const struct weir_transfer *transfer)
{
    return 1 + prefix->shape.class_count +
           (transfer->block != NULL ? prefix->limits.extra_count : 0);
}

/* Reads and writes go through the page cache, of which the plan has little. */
static bool is_cached(const weir_prefix *prefix)
{
    return !weir_io_mode_get(prefix->io)->direct;
}

/* The next piece, without going on to it; false: there is none. */
static bool next_piece(const weir_prefix *prefix, struct weir_transfer *transfer,
                       struct piece *piece)
{
    uint32_t most = is_cached(prefix) ? PIECE_BYTES_CACHED : PIECE_BYTES_DEFAULT;
    if (prefix->config.piece_bytes > 0)
        most = (uint32_t)weir_min(most, prefix->config.piece_bytes);
    for (; transfer->part < part_count(prefix, transfer); transfer->part++) {
        uint64_t offset;
        uint8_t *memory;
        const uint64_t bytes = part_of(prefix, transfer, &offset, &memory);
        if (transfer->at_bytes < bytes) {
            *piece = (struct piece){
                .offset = offset + transfer->at_bytes,
                .memory = memory + transfer->at_bytes,
                .bytes = (uint32_t)weir_min(most, bytes - transfer->at_bytes),
            };
            return true;
        }
        transfer->at_bytes = 0;
        if (transfer->part > prefix->shape.class_count)
            transfer->unit = prefix->next_unit[transfer->unit];
    }
    return false;
}

static bool queue_piece(weir_prefix *prefix, const struct weir_transfer *transfer,
                        const struct piece *piece)
{
    const uint64_t tag =
        (uint64_t)piece->bytes << INDEX_BITS | (uint64_t)(transfer - prefix->transfers);
    if (transfer->kind == WEIR_TRANSFER_WRITE) {
        const struct weir_write write = {.offset = piece->offset,
                                         .tag = tag,
                                         .src = piece->memory,
                                         .bytes = piece->bytes,
                                         .file = prefix->file};
        return weir_io_queue_write(prefix->io, &write);
    }
    const struct weir_read read = {
        .offset = piece->offset,
        .tag = tag,
        .dst = piece->memory,
        .bytes = piece->bytes,
        .min_bytes = piece->bytes,
        .file = prefix->file,
        .label = {.class = "text", WEIR_EVENT_ARG_NONE, WEIR_EVENT_ARG_NONE, WEIR_EVENT_ARG_NONE}};
    return weir_io_queue(prefix->io, &read);
}

/* Whether the page cache may have it too; keeps I3. */
static bool has_room(const weir_prefix *prefix, uint32_t bytes)
{
    const uint64_t cached_bytes =
        prefix->reading_bytes + prefix->dirty_bytes + prefix->settling_bytes;
    return !is_cached(prefix) || cached_bytes == 0 ||
           cached_bytes + bytes <= WEIR_PREFIX_CACHED_BYTES;
}

/* False: the device, or the page cache, takes no more now. */
static bool send_pieces(weir_prefix *prefix, struct weir_transfer *transfer)
{
    struct piece piece;
    while (!transfer->has_failed && next_piece(prefix, transfer, &piece)) {
        if (!has_room(prefix, piece.bytes) || !queue_piece(prefix, transfer, &piece))
            return false;
        if (transfer->kind == WEIR_TRANSFER_WRITE)
            prefix->dirty_bytes += piece.bytes;
        else
            prefix->reading_bytes += piece.bytes;
        transfer->at_bytes += piece.bytes;
        transfer->bytes += piece.bytes;
        transfer->in_flight++;
        if (transfer->kind == WEIR_TRANSFER_WRITE)
            prefix->stats.write_calls++;
        else
            prefix->stats.read_calls++;
    }
    return true;
}

struct weir_transfer *weir_prefix_transfer_idle(weir_prefix *prefix)
{
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++)
        if (prefix->transfers[index].kind == WEIR_TRANSFER_NONE)
            return &prefix->transfers[index];
    return NULL;
}

void weir_prefix_transfer_begin(weir_prefix *prefix, struct weir_transfer *transfer)
{
    transfer->part = 0;
    transfer->at_bytes = transfer->bytes = 0;
    transfer->unit = prefix->records[transfer->record].extra;
    transfer->in_flight = 0;
    transfer->has_failed = transfer->is_given_up = false;
    transfer->os_errno = 0;
    transfer->begin_ns = weir_now_ns();
}

/* Records that wait go into idle transfers: those that are read first; keeps I2. */
static void start_more(weir_prefix *prefix)
{
    struct weir_transfer *idle = weir_prefix_transfer_idle(prefix);
    while (idle != NULL && weir_prefix_read_start(prefix, idle))
        idle = weir_prefix_transfer_idle(prefix);
    while (idle != NULL && prefix->writing < WEIR_PREFIX_WRITE_MAX &&
           weir_prefix_write_start(prefix, idle))
        idle = weir_prefix_transfer_idle(prefix);
}

/* Written pages of the cache are given back once they are on the disk: a barrier says when. */
static void settle_dirty(weir_prefix *prefix)
{
    if (!is_cached(prefix)) {
        prefix->dirty_bytes = 0;
        return;
    }
    if (prefix->dirty_bytes > 0 && prefix->settling_bytes == 0 &&
        weir_io_queue_barrier(prefix->io, prefix->file, WEIR_PREFIX_TRANSFER_MAX)) {
        prefix->settling_bytes = prefix->dirty_bytes;
        prefix->dirty_bytes = 0;
    }
}

void weir_prefix_pump(weir_prefix *prefix)
{
    bool takes_more = true;
    start_more(prefix);
    for (int kind = WEIR_TRANSFER_READ; kind >= WEIR_TRANSFER_WRITE && takes_more; kind--)
        for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX && takes_more; index++)
            if ((int)prefix->transfers[index].kind == kind)
                takes_more = send_pieces(prefix, &prefix->transfers[index]);
    if (!takes_more || prefix->writing == 0)
        settle_dirty(prefix);
    weir_io_flush(prefix->io);
}

/* All of it has gone, or no more of it will. */
static bool is_over(const weir_prefix *prefix, struct weir_transfer *transfer)
{
    struct piece piece;
    return transfer->in_flight == 0 &&
           (transfer->has_failed || !next_piece(prefix, transfer, &piece));
}

static void end_transfer(weir_prefix *prefix, struct weir_transfer *transfer)
{
    if (transfer->kind == WEIR_TRANSFER_WRITE)
        weir_prefix_write_end(prefix, transfer);
    else
        weir_prefix_read_end(prefix, transfer);
    transfer->kind = WEIR_TRANSFER_NONE;
}

static void take_done(weir_prefix *prefix, const struct weir_io_done *done)
{
    const uint64_t index = done->tag & ((1u << INDEX_BITS) - 1);
    if (index == WEIR_PREFIX_TRANSFER_MAX) { /* a barrier's */
        prefix->settling_bytes = 0;
        if (done->status != WEIR_OK && !prefix->has_write_failed) /* else that has been told */
            weir_prefix_write_failed(prefix, done->os_errno);
        prefix->has_write_failed = false;
        return;
    }
    struct weir_transfer *transfer = &prefix->transfers[index];
    transfer->in_flight--;
    if (transfer->kind == WEIR_TRANSFER_READ)
        prefix->reading_bytes -= done->tag >> INDEX_BITS;
    if (done->status == WEIR_OK)
        return;
    transfer->has_failed = true;
    prefix->has_write_failed |= transfer->kind == WEIR_TRANSFER_WRITE;
    transfer->os_errno = done->os_errno;
    transfer->is_given_up |= done->os_errno == ETIMEDOUT;
    prefix->is_given_up |= transfer->is_given_up;
}

static bool is_anything_on_its_way(const weir_prefix *prefix)
{
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++)
        if (prefix->transfers[index].kind != WEIR_TRANSFER_NONE)
            return true;
    return prefix->queue_count > 0 || prefix->load_count > 0;
}

bool weir_prefix_wait(weir_prefix *prefix, int64_t wait_ns)
{
    struct weir_io_done done[WEIR_PREFIX_TRANSFER_MAX * 8];
    const uint64_t begin_ns = wait_ns == 0 ? 0 : weir_now_ns();
    weir_prefix_pump(prefix);
    const uint32_t count = weir_io_reap(prefix->io, done, WEIR_COUNT(done), wait_ns);
    for (uint32_t index = 0; index < count; index++)
        take_done(prefix, &done[index]);
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++) {
        struct weir_transfer *transfer = &prefix->transfers[index];
        if (transfer->kind != WEIR_TRANSFER_NONE && is_over(prefix, transfer))
            end_transfer(prefix, transfer);
    }
    weir_prefix_loads_end(prefix);
    weir_prefix_pump(prefix);
    if (wait_ns != 0)
        prefix->stats.wait_ns += weir_now_ns() - begin_ns;
    return is_anything_on_its_way(prefix);
}

bool weir_prefix_poll(weir_prefix *prefix)
{
    return weir_prefix_wait(prefix, 0);
}

bool weir_prefix_wait_for_page(weir_prefix *prefix)
{
    const uint32_t before = prefix->queue_count + prefix->writing;
    while (before > 0 && prefix->queue_count + prefix->writing == before)
        (void)weir_prefix_wait(prefix, -1);
    return before > 0;
}

/* Whether something that is on its way is this sequence's. */
static bool is_in_use(const weir_prefix *prefix, const weir_sequence *sequence)
{
    for (uint32_t load = 0; load < WEIR_PREFIX_LOAD_MAX; load++)
        if (prefix->loads[load].sequence == sequence && prefix->loads[load].is_started)
            return true;
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++)
        if (prefix->transfers[index].kind == WEIR_TRANSFER_WRITE &&
            prefix->transfers[index].leaving.sequence == sequence)
            return true;
    for (uint32_t index = 0; index < prefix->queue_count; index++)
        if (prefix->queue[(prefix->queue_first + index) % WEIR_PREFIX_QUEUE_MAX].sequence ==
            sequence)
            return true;
    return false;
}

void weir_prefix_settle(weir_prefix *prefix, const weir_sequence *sequence)
{
    while (is_in_use(prefix, sequence))
        (void)weir_prefix_wait(prefix, -1);
}
