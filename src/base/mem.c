/* mem.c - planned memory: one pre-faulted mapping per use.
 *
 * I1  While PLANNING nothing is mapped and weir_mem_alloc() only counts.
 * I2  In OPENING used_bytes never passes total_bytes: what was planned is what there is.
 * I3  After seal used_bytes equals what planning counted, use by use.
 * I4  Memory without pages is advised against huge pages, memory with pages is advised for them: so
 *     no huge page reaches over memory that was not asked for.
 */
#include "base/mem_internal.h"

#include "base/heap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

const char *weir_mem_use_name(enum weir_mem_use use)
{
    static const char *const names[WEIR_MEM_USE_COUNT] = {
        [WEIR_MEM_TRUNK] = "weights every token needs",
        [WEIR_MEM_KV] = "KV cache",
        [WEIR_MEM_SCRATCH] = "activations and logits",
        [WEIR_MEM_IO] = "staging for reads",
        [WEIR_MEM_SLOTS] = "expert slots",
        [WEIR_MEM_TIMELINE] = "timeline",
        [WEIR_MEM_SUMS] = "importance of columns",
    };
    return names[use];
}

void weir_mem_init(struct weir_mem *mem)
{
    memset(mem, 0, sizeof(*mem));
}

void *weir_mem_alloc(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes, uint64_t align)
{
    struct weir_mem_region *region = &mem->region[use];
    WEIR_ASSERT(mem->phase != WEIR_MEM_SEALED);
    WEIR_ASSERT(align > 0 && align <= HUGE_BYTES && (align & (align - 1)) == 0);
    const uint64_t start = weir_align_up(region->used_bytes, align);
    region->used_bytes = start + bytes;
    if (mem->phase == WEIR_MEM_PLANNING) {
        region->total_bytes = weir_align_up(region->used_bytes, PAGE_BYTES);
        return NULL;
    }
    WEIR_ASSERT(region->used_bytes <= region->total_bytes); /* keeps I2 */
    return region->start + start;
}

uint64_t weir_mem_use_bytes(const struct weir_mem *mem, enum weir_mem_use use)
{
    return mem->region[use].total_bytes;
}

uint64_t weir_mem_bytes(const struct weir_mem *mem)
{
    uint64_t total_bytes = 0;
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        total_bytes += mem->region[use].total_bytes;
    return total_bytes;
}

uint64_t weir_mem_reached_bytes(const struct weir_mem *mem, enum weir_mem_use use)
{
    return mem->region[use].total_bytes - mem->region[use].absent_bytes;
}

uint64_t weir_mem_reach_bytes(const struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes)
{
    const uint64_t wanted_bytes =
        weir_min(weir_align_up(bytes, HUGE_BYTES), mem->region[use].total_bytes);
    return weir_max(wanted_bytes, weir_mem_reached_bytes(mem, use));
}

void weir_mem_begin_with(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes)
{
    struct weir_mem_region *region = &mem->region[use];
    WEIR_ASSERT(mem->phase == WEIR_MEM_PLANNING);
    region->absent_bytes = region->total_bytes;
    region->absent_bytes -= weir_mem_reach_bytes(mem, use, bytes);
}

/* Addresses without pages. Where the process locks all that it maps (mlockall), this would have
 * them at once, and none of them could be given back: so it comes without access, which nothing is
 * faulted in for, and is unlocked first. */
static uint8_t *map_bare(uint64_t bytes)
{
    uint8_t *base =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    (void)munlock(base, bytes);
    if (mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0)
        return base;
    munmap(base, bytes);
    return NULL;
}

/* A mapping that begins at a huge-page boundary, so that huge pages fill it without excess. */
static uint8_t *map_aligned(uint64_t bytes)
{
    const uint64_t spare_bytes = bytes >= HUGE_BYTES ? HUGE_BYTES : 0;
    uint8_t *base = map_bare(bytes + spare_bytes);
    if (base == NULL)
        return NULL;
    if (spare_bytes == 0)
        return base;
    uint8_t *start = base + (HUGE_BYTES - (uintptr_t)base % HUGE_BYTES) % HUGE_BYTES;
    if (start > base)
        munmap(base, (size_t)(start - base));
    const uint64_t tail_bytes = (uint64_t)(base + spare_bytes - start);
    if (tail_bytes > 0)
        munmap(start + bytes, tail_bytes);
    madvise(start, bytes, MADV_HUGEPAGE);
    return start;
}

enum weir_status weir_mem_refuse(const struct weir_mem *mem, enum weir_mem_use use, int os_errno,
                                 struct weir_err *err)
{
    char size[32];
    return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %s (%s): %s", weir_mem_use_name(use),
                     weir_format_size(mem->region[use].total_bytes, size, sizeof(size)),
                     strerror(os_errno));
}

/* Map every region; use says which one failed. 0 or an errno. */
static int map_regions(struct weir_mem *mem, enum weir_mem_use *use)
{
    for (*use = 0; *use < WEIR_MEM_USE_COUNT; ++*use) {
        struct weir_mem_region *region = &mem->region[*use];
        region->used_bytes = 0;
        if (region->total_bytes == 0)
            continue;
        errno = ENOMEM;
        region->start = weir_heap_may_succeed() ? map_aligned(region->total_bytes) : NULL;
        if (region->start == NULL)
            return errno;
        madvise(region->start + region->total_bytes - region->absent_bytes, region->absent_bytes,
                MADV_NOHUGEPAGE); /* keeps I4 */
    }
    *use = WEIR_MEM_IO;
    const struct weir_mem_region *staging = &mem->region[WEIR_MEM_IO];
    return staging->start == NULL ? 0 : weir_mem_touch_range(staging->start, staging->total_bytes);
}

enum weir_status weir_mem_open_map(struct weir_mem *mem, struct weir_err *err)
{
    enum weir_mem_use use;
    WEIR_ASSERT(mem->phase == WEIR_MEM_PLANNING);
    mem->phase = WEIR_MEM_OPENING;
    const int os_errno = map_regions(mem, &use);
    if (os_errno == 0)
        return WEIR_OK;
    const enum weir_status status = weir_mem_refuse(mem, use, os_errno, err);
    weir_mem_close(mem);
    return status;
}

enum weir_status weir_mem_open_fill(struct weir_mem *mem, struct weir_err *err)
{
    WEIR_ASSERT(mem->phase == WEIR_MEM_OPENING);
    return weir_mem_touch_begin(mem, err);
}

enum weir_status weir_mem_open_begin(struct weir_mem *mem, struct weir_err *err)
{
    WEIR_TRY(weir_mem_open_map(mem, err));
    const enum weir_status status = weir_mem_open_fill(mem, err);
    if (status != WEIR_OK)
        weir_mem_close(mem);
    return status;
}

enum weir_status weir_mem_open(struct weir_mem *mem, struct weir_err *err)
{
    WEIR_TRY(weir_mem_open_begin(mem, err));
    enum weir_status status = weir_mem_open_end(mem, NULL, NULL, err);
    if (status == WEIR_OK)
        status = weir_mem_touch_all(mem, err);
    if (status != WEIR_OK)
        weir_mem_close(mem);
    return status;
}

void weir_mem_seal(struct weir_mem *mem)
{
    WEIR_ASSERT(mem->phase == WEIR_MEM_OPENING);
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++) /* keeps I3 */
        WEIR_ASSERT(weir_align_up(mem->region[use].used_bytes, PAGE_BYTES) ==
                        mem->region[use].total_bytes ||
                    mem->region[use].start == NULL);
    mem->phase = WEIR_MEM_SEALED;
}

void weir_mem_drop(struct weir_mem *mem, enum weir_mem_use use)
{
    struct weir_mem_region *region = &mem->region[use];
    if (region->start != NULL)
        munmap(region->start, region->total_bytes);
    region->start = NULL;
}

static void check_range(const struct weir_mem *mem, enum weir_mem_use use, const void *start,
                        uint64_t bytes)
{
    const struct weir_mem_region *region = &mem->region[use];
    const uint64_t offset = (uint64_t)((const uint8_t *)start - region->start);
    WEIR_ASSERT(mem->phase == WEIR_MEM_SEALED && offset % PAGE_BYTES == 0);
    WEIR_ASSERT(bytes % PAGE_BYTES == 0 && offset <= region->total_bytes &&
                bytes <= region->total_bytes - offset);
}

/* Leave no page in the range. False when the kernel does not take them. */
static bool give_back(uint8_t *start, uint64_t bytes)
{
    /* A huge page with a hole in it is not to be made whole again behind our back (khugepaged);
     * kernels without huge pages refuse this advice, and need none. */
    madvise(start, bytes, MADV_NOHUGEPAGE); /* keeps I4 */
    /* MADV_DONTNEED only unmaps a part of a huge page, which stays charged whole until the kernel
     * gets round to splitting it; MADV_FREE splits it at once. */
    if (madvise(start, bytes, MADV_FREE) == 0 && madvise(start, bytes, MADV_DONTNEED) == 0)
        return true;
    madvise(start, bytes, MADV_HUGEPAGE);
    return false;
}

/* Fault the range in, or nothing of it. 0 or an errno. */
static int fault_in(struct weir_mem_region *region, uint8_t *start, uint64_t bytes)
{
    WEIR_ASSERT(bytes <= region->absent_bytes);
    if (!weir_heap_may_succeed())
        return ENOMEM;
    madvise(start, bytes, MADV_HUGEPAGE);
    const int os_errno = weir_mem_touch_range(start, bytes);
    if (os_errno == 0) {
        region->absent_bytes -= bytes;
        return 0;
    }
    madvise(start, bytes, MADV_NOHUGEPAGE); /* keeps I4 */
    madvise(start, bytes, MADV_DONTNEED);   /* no huge page reaches over the range's ends */
    return os_errno;
}

bool weir_mem_discard(struct weir_mem *mem, enum weir_mem_use use, void *start, uint64_t bytes)
{
    struct weir_mem_region *region = &mem->region[use];
    check_range(mem, use, start, bytes);
    WEIR_ASSERT(bytes <= region->total_bytes - region->absent_bytes);
    weir_mem_touch_stop(mem); /* or its threads would bring the pages back */
    if (!give_back(start, bytes))
        return false;
    region->absent_bytes += bytes;
    return true;
}

bool weir_mem_restore(struct weir_mem *mem, enum weir_mem_use use, void *start, uint64_t bytes)
{
    check_range(mem, use, start, bytes);
    return fault_in(&mem->region[use], start, bytes) == 0;
}

enum weir_status weir_mem_reach(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes,
                                struct weir_err *err)
{
    struct weir_mem_region *region = &mem->region[use];
    const uint64_t from_bytes = weir_mem_reached_bytes(mem, use);
    const uint64_t to_bytes = weir_mem_reach_bytes(mem, use, bytes);
    WEIR_ASSERT(mem->phase == WEIR_MEM_SEALED);
    if (to_bytes == from_bytes)
        return WEIR_OK;
    const int os_errno = fault_in(region, region->start + from_bytes, to_bytes - from_bytes);
    return os_errno == 0 ? WEIR_OK : weir_mem_refuse(mem, use, os_errno, err);
}

void weir_mem_close(struct weir_mem *mem)
{
    weir_mem_touch_stop(mem);
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        weir_mem_drop(mem, (enum weir_mem_use)use);
    weir_mem_init(mem);
}

void weir_mem_leave(struct weir_mem *mem)
{
    weir_mem_touch_stop(mem);
    weir_mem_init(mem);
}
