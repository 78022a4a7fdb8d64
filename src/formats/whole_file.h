/* whole_file.h - a file that is written from front to back, and at its path only when it is whole.
 *
 * Its first WEIR_WHOLE_HEADER_BYTES come last: until then PATH.unfinished has a mark there, so that
 * no reader takes a part of it for all, and what is not ours is not written over. */
#ifndef WEIR_WHOLE_FILE_H
#define WEIR_WHOLE_FILE_H

#include "base/base.h"

enum {
    WEIR_WHOLE_HEADER_BYTES = 24,
    WEIR_WHOLE_PATH_BYTES = 4096,
    /* What it holds: a buffer, and pages on their way to the disk. */
    WEIR_WHOLE_BYTES = (1 << 20) + (12 << 20),
};

struct weir_whole_file {
    char path[WEIR_WHOLE_PATH_BYTES], unfinished[WEIR_WHOLE_PATH_BYTES + 16];
    int fd;
    bool is_kept;            /* at close, though it is not finished: it can be gone on with */
    struct weir_err failure; /* the first one; nothing is written after it */
    uint8_t *buffer;
    uint64_t held;      /* bytes in it */
    uint64_t at;        /* of the file, behind what is held */
    uint64_t synced_at; /* up to there no page is in the cache */
    uint64_t marked_at; /* of the file, at the last mark */
    uint64_t old_bytes; /* of what was there before us, and what its mark said */
    uint64_t old_done, old_stamp;
};

/* On failure there is nothing to close. path NULL: bytes are counted, and go nowhere. Errors: IO,
 * NOMEM. */
enum weir_status weir_whole_open(struct weir_whole_file *file, const char *path, bool is_kept,
                                 struct weir_err *err);
/* Removes what is not finished, unless it is kept. Also of one that is zeroed or closed. */
void weir_whole_close(struct weir_whole_file *file);
/* What cannot be written stays in file->failure. */
void weir_whole_put(struct weir_whole_file *file, const void *bytes, uint64_t length);
void weir_whole_put_zeros(struct weir_whole_file *file, uint64_t count);
void weir_whole_flush(struct weir_whole_file *file);
/* How many bytes there are, the header's too. */
uint64_t weir_whole_at(const struct weir_whole_file *file);
/* Go on at a later place, what is before it being there; nothing is held. */
void weir_whole_skip(struct weir_whole_file *file, uint64_t at);
/* A full disk is said before hours of work and not behind them. */
void weir_whole_reserve(struct weir_whole_file *file, uint64_t file_bytes);
/* Whether the file is kept, and much has come since the last mark. */
bool weir_whole_wants_mark(const struct weir_whole_file *file);
/* Make what there is durable, and put down that so much is done of what stamp says. */
void weir_whole_mark(struct weir_whole_file *file, uint64_t done, uint64_t stamp);
/* All is there: make it so long and durable, with its header. */
void weir_whole_seal(struct weir_whole_file *file, const void *header, uint64_t file_bytes);
/* Its last name. IO. */
enum weir_status weir_whole_name(struct weir_whole_file *file, struct weir_err *err);

#endif
