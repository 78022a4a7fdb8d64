/* prefix.c - opening the file and closing it; how much it may hold, and what that takes. */
#include "prefix/prefix.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "prefix/prefix_internal.h"
#include "sys/sys.h"

enum {
    IO_DEPTH = 64,
    LOCK_WAIT_MS = 3000,
    LOCK_LOOK_MS = 20,
    IO_BYTES = 512 << 10, /* of an I/O engine: its rings, or its threads' stacks */
};

void weir_prefix_say(weir_prefix *prefix, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (prefix->config.say == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    prefix->config.say(prefix->config.user, text);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* What follows from a page's shape and the budget. */
struct sizes {
    struct weir_prefix_limits limits;
    uint64_t unit_bytes;
};

static struct sizes sizes_of(const struct weir_state_shape *shape, uint64_t disk_bytes)
{
    struct sizes sizes = {
        .limits = {.page_length = shape->page_length, .class_count = shape->class_count}};
    uint64_t class_bytes = 0;
    for (uint32_t class = 0; class < shape->class_count; class ++)
        class_bytes += shape->class_bytes[class];
    sizes.limits.head_bytes = weir_prefix_head_bytes(shape->page_length, 0);
    sizes.unit_bytes = sizes.limits.head_bytes + class_bytes;
    if (shape->block_bytes > 0) {
        /* The head lists the block's units: it may be longer than it needs to be. */
        sizes.unit_bytes = weir_max(sizes.unit_bytes, (uint64_t)WEIR_PREFIX_UNIT_BYTES_MIN);
        sizes.limits.extra_count =
            (uint32_t)((shape->block_bytes + sizes.unit_bytes - 1) / sizes.unit_bytes);
        sizes.limits.head_bytes =
            weir_prefix_head_bytes(shape->page_length, sizes.limits.extra_count);
        sizes.unit_bytes = weir_max(sizes.unit_bytes, sizes.limits.head_bytes + class_bytes);
    }
    if (disk_bytes > WEIR_PREFIX_FILE_HEAD_BYTES)
        sizes.limits.unit_count = (uint32_t)weir_min(
            (disk_bytes - WEIR_PREFIX_FILE_HEAD_BYTES) / sizes.unit_bytes, WEIR_PREFIX_UNIT_MAX);
    return sizes;
}

static uint32_t power_of_two_above(uint32_t least)
{
    uint32_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

uint64_t weir_prefix_memory_bytes(const struct weir_state_shape *shape, uint64_t disk_bytes)
{
    const struct sizes sizes = sizes_of(shape, disk_bytes);
    const uint64_t unit_count = sizes.limits.unit_count;
    const uint64_t each_bytes = sizeof(struct weir_record) +
                                (shape->page_length + 4ull) * sizeof(uint32_t) + sizeof(uint8_t) +
                                2 * sizeof(uint64_t); /* the scan's list */
    if (unit_count < 1 + sizes.limits.extra_count)
        return 0;
    return sizeof(struct weir_prefix) + unit_count * each_bytes +
           2ull * power_of_two_above((uint32_t)unit_count) * sizeof(uint32_t) +
           (WEIR_PREFIX_TRANSFER_MAX + 1) * sizes.limits.head_bytes +
           WEIR_PREFIX_QUEUE_MAX * sizeof(struct weir_leaving) +
           (WEIR_PREFIX_LOAD_MAX + 1ull) * shape->table_length * (sizeof(uint32_t) + 1) + IO_BYTES +
           WEIR_PREFIX_CACHED_BYTES;
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum weir_status check_config(const weir_prefix *prefix, struct weir_err *err)
{
    struct weir_sys_filesystem filesystem;
    char wanted[32], found[32];
    const struct weir_prefix_config *config = &prefix->config;
    const uint64_t least_bytes =
        WEIR_PREFIX_FILE_HEAD_BYTES + (1 + prefix->limits.extra_count) * prefix->unit_bytes;
    if (prefix->limits.unit_count < 1 + prefix->limits.extra_count)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "texts on disk: a page of this model takes %s of a file, and %s are "
                         "allowed: give them more",
                         weir_format_size(least_bytes, wanted, sizeof(wanted)),
                         weir_format_size(config->disk_bytes, found, sizeof(found)));
    if (!weir_sys_filesystem_get(config->folder, &filesystem))
        return WEIR_FAIL_OS(err, errno, "texts on disk: look at the folder %s", config->folder);
    if (strcmp(filesystem.type, "tmpfs") == 0 || strcmp(filesystem.type, "ramfs") == 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "texts on disk: the folder %s is in memory (%s), where they would break "
                         "the ceiling: name one on a disk",
                         config->folder, filesystem.type);
    return WEIR_OK;
}

static enum weir_status name_file(weir_prefix *prefix, struct weir_err *err)
{
    const struct weir_prefix_identity *identity = &prefix->config.identity;
    char name[2 * 16 + 1];
    for (int at = 0; at < 8; at++)
        snprintf(name + 2 * at, 3, "%02x", identity->model[at]);
    for (int at = 0; at < 8; at++)
        snprintf(name + 16 + 2 * at, 3, "%02x", identity->layout[at]);
    const int length = snprintf(prefix->path, sizeof(prefix->path), "%s/weir-%s.prefixes",
                                prefix->config.folder, name);
    if (length < 0 || (size_t)length >= sizeof(prefix->path))
        return WEIR_FAIL(err, WEIR_ERR_ARG, "texts on disk: the folder's name is too long: %s",
                         prefix->config.folder);
    return WEIR_OK;
}

static enum weir_status allocate(weir_prefix *prefix, struct weir_err *err)
{
    const uint32_t unit_count = prefix->limits.unit_count;
    const uint64_t head_bytes = prefix->limits.head_bytes;
    prefix->bucket_count = power_of_two_above(unit_count);
    prefix->records = weir_heap_array(unit_count, sizeof(*prefix->records));
    prefix->ids = weir_heap_array(unit_count, prefix->shape.page_length * sizeof(uint32_t));
    prefix->next_unit = weir_heap_array(unit_count, sizeof(uint32_t));
    prefix->was_written = weir_heap_array(unit_count, sizeof(uint8_t));
    prefix->buckets = weir_heap_array(prefix->bucket_count, sizeof(uint32_t));
    prefix->after_buckets = weir_heap_array(prefix->bucket_count, sizeof(uint32_t));
    prefix->queue = weir_heap_array(WEIR_PREFIX_QUEUE_MAX, sizeof(*prefix->queue));
    prefix->extra = weir_heap_array(prefix->limits.extra_count + 1, sizeof(uint32_t));
    prefix->scratch_ids = weir_heap_array(prefix->shape.page_length, sizeof(uint32_t));
    prefix->path_records = weir_heap_array(prefix->shape.table_length, sizeof(uint32_t));
    prefix->heads = weir_heap_array(WEIR_PREFIX_TRANSFER_MAX + 1, head_bytes);
    if (prefix->records == NULL || prefix->ids == NULL || prefix->next_unit == NULL ||
        prefix->was_written == NULL || prefix->buckets == NULL || prefix->after_buckets == NULL ||
        prefix->queue == NULL || prefix->extra == NULL || prefix->scratch_ids == NULL ||
        prefix->path_records == NULL || prefix->heads == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an index of %u pages on disk",
                         unit_count);
    uint8_t *first = (uint8_t *)(uintptr_t)weir_align_up((uintptr_t)prefix->heads, WEIR_IO_ALIGN);
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++)
        prefix->transfers[index].head = first + index * head_bytes;
    return WEIR_OK;
}

static bool is_in_use(const struct weir_err *reason)
{
    return reason->os_errno == EAGAIN;
}

/* The kernel keeps the lock of a process that was killed until its last write has ended. */
static enum weir_status open_patiently(weir_prefix *prefix, struct weir_err *reason)
{
    const struct timespec pause = {.tv_nsec = LOCK_LOOK_MS * 1000000};
    enum weir_status status = WEIR_ERR_IO;
    for (int waited_ms = 0; waited_ms <= LOCK_WAIT_MS; waited_ms += LOCK_LOOK_MS) {
        *reason = (struct weir_err){0};
        status = weir_io_open_kept(prefix->io, prefix->path, &prefix->file, reason);
        if (status == WEIR_OK || !is_in_use(reason))
            break;
        nanosleep(&pause, NULL);
    }
    return status;
}

static enum weir_status open_file(weir_prefix *prefix, struct weir_err *err)
{
    struct weir_err reason = {0};
    struct weir_io_config io = prefix->config.io;
    io.depth = IO_DEPTH;
    io.n_thread = 2;
    WEIR_TRY(name_file(prefix, err));
    WEIR_TRY(weir_io_create(&prefix->io, &io, err));
    const enum weir_status status = open_patiently(prefix, &reason);
    if (status != WEIR_OK && is_in_use(&reason))
        return WEIR_FAIL_OS(err, reason.os_errno,
                            "texts on disk: %s cannot be had (does another weir use it?)",
                            prefix->path);
    return status == WEIR_OK ? WEIR_OK : WEIR_FAIL(err, status, "%s", reason.text);
}

enum weir_status weir_prefix_open(weir_prefix **out, const struct weir_state_shape *shape,
                                  const struct weir_prefix_config *config, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_prefix *prefix = weir_heap_alloc(sizeof(*prefix));
    if (prefix == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for texts on disk");
    prefix->config = *config;
    prefix->shape = *shape;
    const struct sizes sizes = sizes_of(&prefix->shape, config->disk_bytes);
    prefix->limits = sizes.limits;
    prefix->unit_bytes = sizes.unit_bytes;
    prefix->stats.disk_bytes_max = sizes.limits.unit_count * sizes.unit_bytes;
    WEIR_TRY_GOTO(check_config(prefix, err));
    WEIR_TRY_GOTO(allocate(prefix, err));
    WEIR_TRY_GOTO(open_file(prefix, err));
    WEIR_TRY_GOTO(weir_prefix_scan(prefix, err));
    *out = prefix;
    return WEIR_OK;

fail:
    (void)weir_prefix_close(&prefix);
    return status;
}

void weir_prefix_bind(weir_prefix *prefix, weir_state *state)
{
    struct weir_state_shape shape;
    weir_state_shape_get(state, &shape);
    WEIR_ASSERT(shape.page_length == prefix->shape.page_length &&
                shape.class_count == prefix->shape.class_count &&
                shape.block_bytes == prefix->shape.block_bytes);
    prefix->state = state;
}

/* The device may still write in its heads. It is kept in sight, so that nobody calls it lost. */
static void leave(weir_prefix *prefix)
{
    static _Atomic(weir_prefix *) last;
    prefix->left_before = atomic_exchange(&last, prefix);
}

bool weir_prefix_close(weir_prefix **prefix)
{
    weir_prefix *closing = *prefix;
    *prefix = NULL;
    if (closing == NULL)
        return true;
    WEIR_ASSERT(closing->load_count == 0);
    while (closing->io != NULL && weir_prefix_wait(closing, -1))
        ;
    const bool is_quiet = weir_io_destroy(&closing->io);
    weir_heap_free(closing->records);
    weir_heap_free(closing->ids);
    weir_heap_free(closing->next_unit);
    weir_heap_free(closing->was_written);
    weir_heap_free(closing->buckets);
    weir_heap_free(closing->after_buckets);
    weir_heap_free(closing->queue);
    weir_heap_free(closing->extra);
    weir_heap_free(closing->scratch_ids);
    weir_heap_free(closing->path_records);
    if (is_quiet) {
        weir_heap_free(closing->heads);
        weir_heap_free(closing);
    } else {
        leave(closing);
    }
    return is_quiet;
}

void weir_prefix_counts_get(const weir_prefix *prefix, struct weir_prefix_counts *stats)
{
    *stats = prefix->stats;
    stats->writing = prefix->queue_count + prefix->writing;
    stats->reading = prefix->load_count;
}
