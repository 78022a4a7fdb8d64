/* prefix_scan.c - what a file has when it is opened: its head, and the heads of its records.
 *
 * A record may have lost units to a newer one and still have its head, when the write of the newer
 * one was cut short. So each unit goes to the record with the highest serial that names it, and a
 * record that misses one of its units is none. What is torn elsewhere is seen when it is read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "prefix/prefix_internal.h"

struct found {
    uint64_t serial;
    uint32_t record;
};

struct scan {
    uint32_t *owner;                          /* [unit_count] record that has it; WEIR_NO_UNIT */
    struct found *found;                      /* [unit_count] */
    uint32_t units[WEIR_PREFIX_TRANSFER_MAX]; /* that a head is read of */
    uint32_t torn, foreign, unreadable;
    int os_errno;
};

/* ---- the file's head ------------------------------------------------------------------------- */

/* One request, waited for. 0 or an errno; ENODATA: the file ends before. */
static int carry_head(weir_prefix *prefix, uint8_t *bytes, bool is_write)
{
    struct weir_io_done done;
    const struct weir_read read = {.dst = bytes,
                                   .bytes = WEIR_PREFIX_FILE_HEAD_BYTES,
                                   .min_bytes = WEIR_PREFIX_FILE_HEAD_BYTES,
                                   .file = prefix->file};
    const struct weir_write write = {
        .src = bytes, .bytes = WEIR_PREFIX_FILE_HEAD_BYTES, .file = prefix->file};
    if (is_write)
        (void)weir_io_queue_write(prefix->io, &write);
    else
        (void)weir_io_queue(prefix->io, &read);
    weir_io_flush(prefix->io);
    (void)weir_io_reap(prefix->io, &done, 1, -1);
    if (done.status == WEIR_OK)
        return 0;
    return done.status == WEIR_ERR_IO ? done.os_errno : ENODATA;
}

static uint64_t file_bytes_of(const weir_prefix *prefix, uint64_t unit_count)
{
    return WEIR_PREFIX_FILE_HEAD_BYTES + unit_count * prefix->unit_bytes;
}

/* Units that lie in the file as it is, the last one too if it is cut. */
static uint32_t unit_count_of(const weir_prefix *prefix)
{
    const uint64_t bytes = weir_io_file_bytes(prefix->io, prefix->file);
    return (uint32_t)weir_min(prefix->limits.unit_count,
                              (bytes - WEIR_PREFIX_FILE_HEAD_BYTES + prefix->unit_bytes - 1) /
                                  prefix->unit_bytes);
}

bool weir_prefix_reach(weir_prefix *prefix, uint32_t unit)
{
    enum { GROW_UNITS = 32 };
    const uint64_t count =
        weir_min(prefix->limits.unit_count, (uint64_t)unit / GROW_UNITS * GROW_UNITS + GROW_UNITS);
    return file_bytes_of(prefix, unit + 1ull) <= weir_io_file_bytes(prefix->io, prefix->file) ||
           (weir_prefix_folder_make_room(prefix, file_bytes_of(prefix, count)) &&
            weir_io_resize(prefix->io, prefix->file, file_bytes_of(prefix, count), NULL) ==
                WEIR_OK);
}

static enum weir_status begin_anew(weir_prefix *prefix, const struct weir_prefix_file_head *own,
                                   uint8_t *bytes, struct weir_err *err)
{
    struct weir_prefix_file_head head = *own;
    if (getentropy(head.key, sizeof(head.key)) != 0)
        return WEIR_FAIL_OS(err, errno, "get %zu random bytes", sizeof(head.key));
    memcpy(prefix->key, head.key, sizeof(prefix->key));
    WEIR_TRY(weir_io_resize(prefix->io, prefix->file, 0, err));
    WEIR_TRY(weir_io_resize(prefix->io, prefix->file, file_bytes_of(prefix, 0), err));
    weir_prefix_file_head_write(bytes, &head);
    const int os_errno = carry_head(prefix, bytes, true);
    return os_errno == 0 ? WEIR_OK
                         : WEIR_FAIL_OS(err, os_errno, "texts on disk: write %s", prefix->path);
}

/* *is_new: there are no records. */
static enum weir_status open_head(weir_prefix *prefix, bool *is_new, struct weir_err *err)
{
    const struct weir_prefix_file_head own = {.identity = prefix->config.identity,
                                              .unit_bytes = prefix->unit_bytes,
                                              .page_length = prefix->limits.page_length};
    struct weir_prefix_file_head head = {.unit_bytes = 0};
    uint8_t *bytes = prefix->transfers[0].head;
    const uint64_t found_bytes = weir_io_file_bytes(prefix->io, prefix->file);
    enum weir_prefix_verdict verdict = WEIR_PREFIX_EMPTY;
    if (found_bytes > 0) {
        memset(bytes, 0, WEIR_PREFIX_FILE_HEAD_BYTES);
        const int os_errno = carry_head(prefix, bytes, false);
        if (os_errno != 0 && os_errno != ENODATA)
            return WEIR_FAIL_OS(err, os_errno, "texts on disk: read %s", prefix->path);
        verdict = weir_prefix_file_head_read(bytes, &own, &head);
    }
    if (verdict == WEIR_PREFIX_FOREIGN)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "texts on disk: %s is no file of texts: move it away, or name another "
                         "folder",
                         prefix->path);
    *is_new = verdict != WEIR_PREFIX_GOOD;
    if (verdict == WEIR_PREFIX_TORN || verdict == WEIR_PREFIX_OTHER)
        weir_prefix_say(prefix, "%s: %s: it begins anew", prefix->path,
                        verdict == WEIR_PREFIX_TORN ? "its head is torn (wrong checksum)"
                                                    : "it is of another model, layout or version");
    if (*is_new)
        return begin_anew(prefix, &own, bytes, err);
    memcpy(prefix->key, head.key, sizeof(prefix->key));
    /* Whole units: what is new of the last one is zero, and a larger budget was another one's. */
    return weir_io_resize(prefix->io, prefix->file, file_bytes_of(prefix, unit_count_of(prefix)),
                          err);
}

/* ---- heads of records ------------------------------------------------------------------------ */

static void disown(weir_prefix *prefix, struct scan *scan, uint32_t record)
{
    for (uint32_t unit = 0; unit < prefix->limits.unit_count; unit++)
        if (scan->owner[unit] == record)
            scan->owner[unit] = WEIR_NO_UNIT;
}

/* A unit that a record names: false when a newer one has it. */
static bool own_unit(weir_prefix *prefix, struct scan *scan, uint32_t unit, uint32_t record,
                     uint64_t serial)
{
    const uint32_t owner = scan->owner[unit];
    if (owner == record || (owner != WEIR_NO_UNIT && prefix->records[owner].serial >= serial))
        return false;
    if (owner != WEIR_NO_UNIT)
        disown(prefix, scan, owner);
    scan->owner[unit] = record;
    return true;
}

static void take_head(weir_prefix *prefix, struct scan *scan, const uint8_t *bytes, uint32_t record)
{
    struct weir_prefix_head head;
    uint32_t *ids = weir_prefix_ids_of(prefix, record);
    switch (weir_prefix_head_read(bytes, &prefix->limits, &head, prefix->extra, ids)) {
    case WEIR_PREFIX_EMPTY:
        return;
    case WEIR_PREFIX_TORN:
        scan->torn++;
        return;
    case WEIR_PREFIX_FOREIGN: /* or a unit of a block */
    case WEIR_PREFIX_OTHER:
        scan->foreign++;
        return;
    case WEIR_PREFIX_GOOD:
        break;
    }
    bool has_all = own_unit(prefix, scan, record, record, head.serial);
    for (uint32_t index = 0; index < head.extra_count && has_all; index++)
        has_all = own_unit(prefix, scan, prefix->extra[index], record, head.serial);
    if (!has_all) {
        disown(prefix, scan, record);
        return;
    }
    uint32_t extra = WEIR_NO_UNIT;
    for (uint32_t index = head.extra_count; index > 0; index--) {
        prefix->next_unit[prefix->extra[index - 1]] = extra;
        extra = prefix->extra[index - 1];
    }
    prefix->records[record] = (struct weir_record){
        .serial = head.serial,
        .before = head.before,
        .after = weir_hash_ids(prefix->key, &head.before, ids, head.length),
        .length = head.length,
        .extra = extra,
        .classes = (uint8_t)head.classes,
        .has_block = head.extra_count > 0,
    };
    prefix->serial = weir_max(prefix->serial, head.serial);
}

static bool ask_head(weir_prefix *prefix, struct scan *scan, uint32_t buffer, uint32_t unit)
{
    scan->units[buffer] = unit;
    const struct weir_read read = {.offset =
                                       WEIR_PREFIX_FILE_HEAD_BYTES + unit * prefix->unit_bytes,
                                   .tag = buffer,
                                   .dst = prefix->transfers[buffer].head,
                                   .bytes = (uint32_t)prefix->limits.head_bytes,
                                   .min_bytes = (uint32_t)prefix->limits.head_bytes,
                                   .file = prefix->file};
    return weir_io_queue(prefix->io, &read);
}

/* All heads, as many at a time as there are buffers. False: the device was given up. */
static bool read_heads(weir_prefix *prefix, struct scan *scan)
{
    uint32_t free_buffers[WEIR_PREFIX_TRANSFER_MAX];
    uint32_t free_count = WEIR_PREFIX_TRANSFER_MAX, next = 0, in_flight = 0;
    uint32_t unit_count = unit_count_of(prefix);
    struct weir_io_done done;
    for (uint32_t buffer = 0; buffer < WEIR_PREFIX_TRANSFER_MAX; buffer++)
        free_buffers[buffer] = buffer;
    while (next < unit_count || in_flight > 0) {
        while (next < unit_count && free_count > 0 &&
               ask_head(prefix, scan, free_buffers[free_count - 1], next)) {
            free_count--;
            in_flight++;
            next++;
        }
        weir_io_flush(prefix->io);
        if (weir_io_reap(prefix->io, &done, 1, -1) == 0)
            continue;
        const uint32_t buffer = (uint32_t)done.tag;
        if (done.status == WEIR_OK) {
            take_head(prefix, scan, prefix->transfers[buffer].head, scan->units[buffer]);
        } else {
            scan->unreadable++;
            scan->os_errno = done.os_errno;
            if (done.os_errno == ETIMEDOUT)
                next = unit_count = 0;
        }
        free_buffers[free_count++] = buffer;
        in_flight--;
    }
    return scan->os_errno != ETIMEDOUT;
}

static int compare_found(const void *one, const void *other)
{
    const struct found *a = one;
    const struct found *b = other;
    return (a->serial > b->serial) - (a->serial < b->serial);
}

/* Records in the order in which they were written, the units that are left free. */
static void list_all(weir_prefix *prefix, struct scan *scan)
{
    uint32_t count = 0;
    weir_prefix_index_clear(prefix);
    for (uint32_t unit = prefix->limits.unit_count; unit > 0; unit--) { /* so that 0 is first */
        const uint32_t at = unit - 1;
        prefix->was_written[at] = scan->owner[at] != WEIR_NO_UNIT;
        if (scan->owner[at] == WEIR_NO_UNIT)
            weir_prefix_unit_give(prefix, at);
        else if (scan->owner[at] == at)
            scan->found[count++] = (struct found){prefix->records[at].serial, at};
    }
    qsort(scan->found, count, sizeof(*scan->found), compare_found);
    for (uint32_t index = 0; index < count; index++)
        weir_prefix_record_add(prefix, scan->found[index].record);
}

static void tell(weir_prefix *prefix, const struct scan *scan)
{
    if (scan->torn > 0)
        weir_prefix_say(prefix, "%s: %u pages are torn (wrong checksum): they are ignored",
                        prefix->path, scan->torn);
    if (scan->foreign > 0 && prefix->shape.block_bytes == 0) /* else they are units of blocks */
        weir_prefix_say(prefix, "%s: %u places hold no page of this version: they are ignored",
                        prefix->path, scan->foreign);
    if (scan->unreadable > 0)
        weir_prefix_say(prefix, "%s: %u pages cannot be read (%s): they are ignored", prefix->path,
                        scan->unreadable, strerror(scan->os_errno));
}

enum weir_status weir_prefix_scan(weir_prefix *prefix, struct weir_err *err)
{
    const uint32_t unit_count = prefix->limits.unit_count;
    bool is_new = false;
    WEIR_TRY(open_head(prefix, &is_new, err));
    struct scan scan = {.owner = weir_heap_array(unit_count, sizeof(uint32_t)),
                        .found = weir_heap_array(unit_count, sizeof(struct found))};
    bool is_there = scan.owner != NULL && scan.found != NULL;
    if (is_there) {
        for (uint32_t unit = 0; unit < unit_count; unit++)
            scan.owner[unit] = WEIR_NO_UNIT;
        if (!is_new)
            prefix->is_given_up = !read_heads(prefix, &scan);
        list_all(prefix, &scan);
        tell(prefix, &scan);
        (void)weir_prefix_folder_make_room(prefix, weir_io_file_bytes(prefix->io, prefix->file));
        prefix->stats.torn_records = scan.torn;
    }
    weir_heap_free(scan.owner);
    weir_heap_free(scan.found);
    return is_there ? WEIR_OK
                    : WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to look at %u pages", unit_count);
}
