/* read_exact.c - any range of a file, waited for: pieces through a staging buffer. */
#include <string.h>

#include "io/io_internal.h"

enum { PIECE_COUNT_MAX = 8, PIECE_BYTES_MAX = 1 << 30 };

struct exact {
    weir_io *io;
    uint32_t file;
    uint64_t begin, end; /* wanted, in the file */
    uint64_t next;       /* the next piece to ask for; aligned */
    uint8_t *dst;
    uint8_t *staging;
    uint64_t piece_bytes;
    uint32_t piece_count;
    uint64_t offset[PIECE_COUNT_MAX]; /* of the piece in each place of staging */
};

static void ask(struct exact *exact, uint32_t place)
{
    const uint64_t left = exact->end - exact->next;
    const uint64_t wanted = weir_min(exact->piece_bytes, left);
    const struct weir_read read = {
        .offset = exact->next,
        .tag = place,
        .dst = exact->staging + place * exact->piece_bytes,
        .bytes = (uint32_t)weir_align_up(wanted, WEIR_IO_ALIGN),
        .min_bytes = (uint32_t)wanted,
        .file = exact->file,
        .label = {.class = "trunk",
                  .layer = WEIR_EVENT_ARG_NONE,
                  .record = WEIR_EVENT_ARG_NONE,
                  .slice = WEIR_EVENT_ARG_NONE},
    };
    exact->offset[place] = exact->next;
    exact->next += wanted;
    const uint32_t taken = weir_io_submit(exact->io, &read, 1);
    WEIR_ASSERT(taken == 1);
}

/* The wanted part of a piece goes to its place. */
static void deliver(struct exact *exact, uint32_t place)
{
    const uint64_t from = weir_max(exact->offset[place], exact->begin);
    const uint64_t to = weir_min(exact->offset[place] + exact->piece_bytes, exact->end);
    memcpy(exact->dst + (from - exact->begin),
           exact->staging + place * exact->piece_bytes + (from - exact->offset[place]), to - from);
}

static enum weir_status explain(const struct exact *exact, const struct weir_io_done *done,
                                struct weir_err *err)
{
    const struct weir_io_file *file = &exact->io->files[exact->file];
    const unsigned long long offset = exact->offset[done->tag];
    if (done->status == WEIR_ERR_FORMAT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s ends early: wanted bytes up to %llu, a read at %llu found %u",
                         file->path, (unsigned long long)exact->end, offset, done->bytes);
    return WEIR_FAIL_OS(err, done->os_errno, "read %s at %llu", file->path, offset);
}

enum weir_status weir_io_read_exact(weir_io *io, uint32_t file, uint64_t offset, uint64_t bytes,
                                    void *dst, void *staging, uint64_t staging_bytes,
                                    struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct exact exact = {
        .io = io,
        .file = file,
        .begin = offset,
        .end = offset + bytes,
        .next = weir_align_down(offset, WEIR_IO_ALIGN),
        .dst = dst,
        .staging = staging,
    };
    WEIR_ASSERT(staging_bytes >= 2 * WEIR_IO_ALIGN && io->stats.in_flight == 0);
    exact.piece_count = (uint32_t)weir_min(weir_min(PIECE_COUNT_MAX, io->config.depth),
                                           staging_bytes / WEIR_IO_ALIGN);
    exact.piece_bytes = weir_align_down(
        weir_min(staging_bytes / exact.piece_count, PIECE_BYTES_MAX), WEIR_IO_ALIGN);
    if (bytes == 0)
        return WEIR_OK;
    for (uint32_t place = 0; place < exact.piece_count && exact.next < exact.end; place++)
        ask(&exact, place);
    /* After a failure the reads in flight are still collected: staging is not ours before. */
    struct weir_io_done done;
    while (weir_io_reap(io, &done, 1, -1) == 1) {
        const uint32_t place = (uint32_t)done.tag;
        if (done.status != WEIR_OK && status == WEIR_OK)
            status = explain(&exact, &done, err);
        if (status != WEIR_OK)
            continue;
        deliver(&exact, place);
        if (exact.next < exact.end)
            ask(&exact, place);
    }
    return status;
}
