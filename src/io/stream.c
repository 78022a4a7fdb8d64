/* stream.c - parts of files one after the other, through a staging buffer.
 *
 * The device has as many pieces to read as staging has places, whatever the parts are and however
 * few bytes are taken at a time: it never waits for whoever takes them.
 *
 * I1  Places [taken, asked), modulo piece_count, are in flight or landed, in the stream's order.
 * I2  Once a read has failed nothing is asked for any more, and nothing is taken. */
#include <string.h>

#include "io/io_internal.h"

enum { PIECE_BYTES_MAX = 1 << 30 };

static struct weir_io_piece *piece_at(struct weir_io_stream *stream, uint64_t number)
{
    return &stream->pieces[number % stream->piece_count];
}

static uint8_t *staging_of(const struct weir_io_stream *stream, uint64_t number)
{
    return stream->staging + number % stream->piece_count * stream->piece_bytes;
}

/* Asks for the next piece, if there is one and a place for it. */
static bool ask(struct weir_io_stream *stream)
{
    while (stream->part < stream->part_count && stream->parts[stream->part].bytes == stream->done)
        stream->part++, stream->done = 0;
    if (stream->part == stream->part_count || stream->asked - stream->taken == stream->piece_count)
        return false;
    const struct weir_io_part *part = &stream->parts[stream->part];
    const uint64_t begin = part->offset + stream->done;
    const uint64_t from = weir_align_down(begin, WEIR_IO_ALIGN);
    const uint64_t to = weir_min(from + stream->piece_bytes, part->offset + part->bytes);
    const struct weir_read read = {
        .offset = from,
        .tag = stream->asked,
        .dst = staging_of(stream, stream->asked),
        .bytes = (uint32_t)weir_align_up(to - from, WEIR_IO_ALIGN),
        .min_bytes = (uint32_t)(to - from),
        .file = part->file,
        .label = {.class = "trunk",
                  .layer = WEIR_EVENT_ARG_NONE,
                  .record = WEIR_EVENT_ARG_NONE,
                  .slice = WEIR_EVENT_ARG_NONE},
    };
    *piece_at(stream, stream->asked++) = (struct weir_io_piece){
        .part = stream->part, .offset = from, .at = begin - from, .end = to - from};
    stream->done += to - begin;
    const bool is_taken = weir_io_queue(stream->io, &read);
    WEIR_ASSERT(is_taken);
    return true;
}

static void ask_all(struct weir_io_stream *stream)
{
    bool is_new = false;
    while (stream->failure.status == WEIR_OK && ask(stream))
        is_new = true;
    if (is_new)
        weir_io_flush(stream->io);
}

static void keep_failure(struct weir_io_stream *stream, const struct weir_io_done *done)
{
    const struct weir_io_piece *piece = piece_at(stream, done->tag);
    const struct weir_io_part *part = &stream->parts[piece->part];
    const char *path = weir_io_file_path(stream->io, part->file);
    if (done->status == WEIR_ERR_FORMAT)
        WEIR_FAIL(&stream->failure, WEIR_ERR_FORMAT,
                  "%s ends early: wanted bytes up to %llu, a read at %llu found %u", path,
                  (unsigned long long)(part->offset + part->bytes),
                  (unsigned long long)piece->offset, done->bytes);
    else
        WEIR_FAIL_OS(&stream->failure, done->os_errno, "read %s at %llu", path,
                     (unsigned long long)piece->offset);
}

/* False: nothing is in flight. */
static bool collect(struct weir_io_stream *stream)
{
    struct weir_io_done done;
    if (weir_io_reap(stream->io, &done, 1, -1) == 0)
        return false;
    piece_at(stream, done.tag)->has_landed = true;
    if (done.status != WEIR_OK)
        keep_failure(stream, &done);
    return true;
}

void weir_io_stream_begin(struct weir_io_stream *stream, weir_io *io,
                          const struct weir_io_part *parts, uint32_t part_count, void *staging,
                          uint64_t staging_bytes)
{
    WEIR_ASSERT(staging_bytes >= 2 * WEIR_IO_ALIGN && io->stats.in_flight == 0);
    *stream = (struct weir_io_stream){
        .io = io, .parts = parts, .part_count = part_count, .staging = staging};
    stream->piece_count = (uint32_t)weir_min(weir_min(WEIR_IO_PIECE_MAX, io->config.depth),
                                             staging_bytes / WEIR_IO_ALIGN);
    stream->piece_bytes = weir_align_down(
        weir_min(staging_bytes / stream->piece_count, PIECE_BYTES_MAX), WEIR_IO_ALIGN);
    ask_all(stream);
}

enum weir_status weir_io_stream_take(struct weir_io_stream *stream, void *dst, uint64_t bytes,
                                     struct weir_err *err)
{
    uint8_t *to = dst;
    while (bytes > 0) {
        WEIR_ASSERT(stream->taken < stream->asked); /* or more is taken than there are parts */
        struct weir_io_piece *piece = piece_at(stream, stream->taken);
        while (stream->failure.status == WEIR_OK && !piece->has_landed && collect(stream))
            ;
        if (stream->failure.status != WEIR_OK) {
            if (err != NULL && err->status == WEIR_OK)
                *err = stream->failure;
            return stream->failure.status;
        }
        WEIR_ASSERT(piece->has_landed);
        const uint64_t step = weir_min(bytes, piece->end - piece->at);
        memcpy(to, staging_of(stream, stream->taken) + piece->at, step);
        to += step;
        bytes -= step;
        piece->at += step;
        stream->taken += piece->at == piece->end;
        ask_all(stream);
    }
    return WEIR_OK;
}

void weir_io_stream_end(struct weir_io_stream *stream)
{
    /* The rest is still collected: staging is not the caller's before. */
    while (collect(stream))
        ;
}

enum weir_status weir_io_read_exact(weir_io *io, uint32_t file, uint64_t offset, uint64_t bytes,
                                    void *dst, void *staging, uint64_t staging_bytes,
                                    struct weir_err *err)
{
    const struct weir_io_part part = {.file = file, .offset = offset, .bytes = bytes};
    struct weir_io_stream stream;
    weir_io_stream_begin(&stream, io, &part, 1, staging, staging_bytes);
    const enum weir_status status = weir_io_stream_take(&stream, dst, bytes, err);
    weir_io_stream_end(&stream);
    return status;
}
