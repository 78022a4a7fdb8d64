/* mem_touch.c - the pages of planned memory faulted in, by threads of their own.
 *
 * The kernel zeroes a page when it is first touched: a gigabyte takes a core a good part of a
 * second, and much longer where a hypervisor finds the page only then. So there are two crews. The
 * first faults in what the load fills and every token needs, and is waited for. The second faults
 * in the slots of experts and then the scratch of the longest chunk, of which the first tokens use
 * little: its threads run only while nothing else wants their processor. Nobody waits for them:
 * what is used earlier is faulted in by its user.
 *
 * I1  next counts chunks that somebody has taken, each once; a chunk's pages keep what is in them.
 * I2  The first failure stays: os_errno goes from 0 to something once, after failed_use.
 * I3  A crew's ranges are those of its beginning; pages that come later are not its business.
 */
#include "base/mem_internal.h"

#include "base/heap.h"
#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    PAGE_BYTES = 4096,
    CHUNK_BYTES = 32 << 20,
    LATER_CHUNK_BYTES = 2 << 20, /* a thread of lowest priority holds the map's lock no longer */
    THREAD_MAX = 8,
    STACK_BYTES = 64 << 10,
};

struct range {
    enum weir_mem_use use;
    uint8_t *start;
    uint64_t bytes;
};

struct crew {
    struct range ranges[WEIR_MEM_USE_COUNT]; /* in the order of their turns */
    uint32_t range_count;
    uint64_t chunk_bytes, chunk_count;
    bool is_idle; /* runs only where nothing else does */
    pthread_t threads[THREAD_MAX];
    uint32_t thread_count;
    _Atomic unsigned named_count; /* threads that have begun */
    _Atomic uint64_t next;
    _Atomic int os_errno;
    _Atomic int failed_use;
};

struct weir_mem_touch {
    struct crew first, later;
};

int weir_mem_touch_range(uint8_t *start, uint64_t bytes)
{
    if (madvise(start, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return errno;
    /* Kernels before 5.14 do not know the advice: change each page ourselves, by nothing. */
    for (uint64_t offset = 0; offset < bytes; offset += PAGE_BYTES)
        atomic_fetch_or_explicit((_Atomic uint8_t *)(start + offset), 0, memory_order_relaxed);
    return 0;
}

static uint64_t count_chunks(const struct crew *crew, const struct range *range)
{
    return weir_align_up(range->bytes, crew->chunk_bytes) / crew->chunk_bytes;
}

/* Where chunk `index` of all ranges is, one after the other; NULL behind the last. */
static const struct range *find_chunk(const struct crew *crew, uint64_t index, uint64_t *offset)
{
    for (uint32_t at = 0; at < crew->range_count; at++) {
        const uint64_t count = count_chunks(crew, &crew->ranges[at]);
        *offset = index * crew->chunk_bytes;
        if (index < count)
            return &crew->ranges[at];
        index -= count;
    }
    return NULL;
}

static void fail(struct crew *crew, enum weir_mem_use use, int os_errno)
{
    int none = -1;
    if (atomic_compare_exchange_strong(&crew->failed_use, &none, (int)use)) /* keeps I2 */
        atomic_store(&crew->os_errno, os_errno);
}

/* False: nothing is left to do. */
static bool touch_chunk(struct crew *crew)
{
    uint64_t offset;
    if (atomic_load(&crew->os_errno) != 0)
        return false;
    const struct range *range =
        find_chunk(crew, atomic_fetch_add(&crew->next, 1), &offset); /* keeps I1 */
    if (range == NULL)
        return false;
    const int os_errno = weir_mem_touch_range(range->start + offset,
                                              weir_min(range->bytes - offset, crew->chunk_bytes));
    if (os_errno != 0)
        fail(crew, range->use, os_errno);
    return true;
}

static void *serve_chunks(void *argument)
{
    struct crew *crew = argument;
    const struct sched_param none = {0};
    weir_thread_name(crew->is_idle ? "slots" : "touch", atomic_fetch_add(&crew->named_count, 1));
    if (crew->is_idle)
        (void)sched_setscheduler(0, SCHED_IDLE, &none); /* where refused: only slower for others */
    while (touch_chunk(crew))
        ;
    return NULL;
}

/* Whatever threads cannot be started, whoever waits for the crew does the work, or who uses it. */
static void start(struct crew *crew)
{
    const long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t wanted = weir_min((uint64_t)weir_max(cpu_count, 1), THREAD_MAX);
    wanted = weir_min(wanted, crew->chunk_count);
    while (crew->thread_count < wanted && weir_thread_start(&crew->threads[crew->thread_count],
                                                            STACK_BYTES, serve_chunks, crew) == 0)
        crew->thread_count++;
}

static void join(struct crew *crew)
{
    for (uint32_t thread = 0; thread < crew->thread_count; thread++)
        pthread_join(crew->threads[thread], NULL);
    crew->thread_count = 0;
}

static void add_range(struct crew *crew, const struct weir_mem *mem, enum weir_mem_use use)
{
    struct range *range = &crew->ranges[crew->range_count++];
    *range = (struct range){
        .use = use, .start = mem->region[use].start, .bytes = weir_mem_reached_bytes(mem, use)};
    crew->chunk_count += count_chunks(crew, range);
}

enum weir_status weir_mem_touch_begin(struct weir_mem *mem, struct weir_err *err)
{
    /* The staging is touched when it is mapped, and gone before the others perhaps. */
    static const enum weir_mem_use first[] = {WEIR_MEM_TRUNK, WEIR_MEM_KV, WEIR_MEM_TIMELINE,
                                              WEIR_MEM_SUMS};
    static const enum weir_mem_use later[] = {WEIR_MEM_SLOTS, WEIR_MEM_SCRATCH};
    struct weir_mem_touch *touch = weir_heap_alloc(sizeof(*touch));
    if (touch == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to prepare memory");
    *touch = (struct weir_mem_touch){
        .first = {.chunk_bytes = CHUNK_BYTES, .failed_use = -1},
        .later = {.chunk_bytes = LATER_CHUNK_BYTES, .failed_use = -1, .is_idle = true},
    };
    for (size_t at = 0; at < WEIR_COUNT(first); at++)
        add_range(&touch->first, mem, first[at]);
    for (size_t at = 0; at < WEIR_COUNT(later); at++)
        add_range(&touch->later, mem, later[at]);
    mem->touch = touch;
    start(&touch->first);
    start(&touch->later);
    return WEIR_OK;
}

static enum weir_status judge(const struct weir_mem *mem, struct crew *crew, struct weir_err *err)
{
    const int os_errno = atomic_load(&crew->os_errno);
    if (os_errno == 0)
        return WEIR_OK;
    return weir_mem_refuse(mem, (enum weir_mem_use)atomic_load(&crew->failed_use), os_errno, err);
}

enum weir_status weir_mem_open_end(struct weir_mem *mem, weir_mem_progress_fn *progress, void *user,
                                   struct weir_err *err)
{
    if (mem->touch == NULL)
        return WEIR_OK;
    struct crew *crew = &mem->touch->first;
    const uint64_t begin = weir_min(atomic_load(&crew->next), crew->chunk_count);
    bool is_wanted = true;
    while (is_wanted && touch_chunk(crew)) {
        const uint64_t done = weir_min(atomic_load(&crew->next), crew->chunk_count);
        is_wanted = progress == NULL || progress(user, (done - begin) * crew->chunk_bytes,
                                                 (crew->chunk_count - begin) * crew->chunk_bytes);
    }
    if (!is_wanted)
        fail(crew, WEIR_MEM_TRUNK, ECANCELED);
    join(crew);
    return is_wanted ? judge(mem, crew, err)
                     : WEIR_FAIL(err, WEIR_ERR_CANCELLED, "the load was stopped");
}

enum weir_status weir_mem_check(const struct weir_mem *mem, struct weir_err *err)
{
    return mem->touch == NULL ? WEIR_OK : judge(mem, &mem->touch->later, err);
}

enum weir_status weir_mem_touch_all(struct weir_mem *mem, struct weir_err *err)
{
    if (mem->touch == NULL)
        return WEIR_OK;
    while (touch_chunk(&mem->touch->later))
        ;
    join(&mem->touch->later);
    return weir_mem_check(mem, err);
}

void weir_mem_touch_stop(struct weir_mem *mem)
{
    if (mem->touch == NULL)
        return;
    fail(&mem->touch->first, WEIR_MEM_TRUNK, ECANCELED);
    fail(&mem->touch->later, WEIR_MEM_SLOTS, ECANCELED);
    join(&mem->touch->first);
    join(&mem->touch->later);
    weir_heap_free(mem->touch);
    mem->touch = NULL;
}
