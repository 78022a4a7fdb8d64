/* mem_touch.c - the pages of planned memory faulted in, by threads of their own.
 *
 * The kernel zeroes a page when it is first touched: a gigabyte takes a core a good part of a
 * second, and much longer where a hypervisor finds the page only then. So there are two crews. The
 * first faults in what the load fills and every token needs, and is waited for. The second faults
 * in the slots of experts, of which the first tokens use few: its threads run only while nothing
 * else wants their processor. Nobody waits for them: a slot that is used earlier is faulted in by
 * its user.
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
    SLOT_CHUNK_BYTES = 2 << 20, /* a thread of lowest priority holds the map's lock no longer */
    THREAD_MAX = 8,
    STACK_BYTES = 64 << 10,
};

struct range {
    uint8_t *start;
    uint64_t bytes;
};

struct crew {
    struct range ranges[WEIR_MEM_USE_COUNT]; /* by use; of 0 bytes where it is another crew's */
    uint64_t chunk_bytes;
    bool is_idle; /* runs only where nothing else does */
    pthread_t threads[THREAD_MAX];
    uint32_t thread_count;
    _Atomic unsigned named_count; /* threads that have begun */
    _Atomic uint64_t next;
    _Atomic int os_errno;
    _Atomic int failed_use;
};

struct weir_mem_touch {
    struct crew first;
    struct crew slots;
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

static uint64_t count_chunks(const struct crew *crew, int use)
{
    return weir_align_up(crew->ranges[use].bytes, crew->chunk_bytes) / crew->chunk_bytes;
}

/* Chunk `index` of all ranges, one after the other; false behind the last. */
static bool find_chunk(const struct crew *crew, uint64_t index, int *use, uint64_t *offset)
{
    for (*use = 0; *use < WEIR_MEM_USE_COUNT; ++*use) {
        const uint64_t count = count_chunks(crew, *use);
        *offset = index * crew->chunk_bytes;
        if (index < count)
            return true;
        index -= count;
    }
    return false;
}

static void fail(struct crew *crew, int use, int os_errno)
{
    int none = -1;
    if (atomic_compare_exchange_strong(&crew->failed_use, &none, use)) /* keeps I2 */
        atomic_store(&crew->os_errno, os_errno);
}

static void touch_chunks(struct crew *crew)
{
    int use;
    uint64_t offset;
    while (atomic_load(&crew->os_errno) == 0 &&
           find_chunk(crew, atomic_fetch_add(&crew->next, 1), &use, &offset)) { /* keeps I1 */
        const struct range *range = &crew->ranges[use];
        const int os_errno = weir_mem_touch_range(
            range->start + offset, weir_min(range->bytes - offset, crew->chunk_bytes));
        if (os_errno != 0)
            fail(crew, use, os_errno);
    }
}

static void *serve_chunks(void *argument)
{
    struct crew *crew = argument;
    const struct sched_param none = {0};
    weir_thread_name(crew->is_idle ? "slots" : "touch", atomic_fetch_add(&crew->named_count, 1));
    if (crew->is_idle)
        (void)sched_setscheduler(0, SCHED_IDLE, &none); /* where refused: only slower for others */
    touch_chunks(crew);
    return NULL;
}

/* Whatever threads cannot be started, whoever waits for the crew does the work, or who uses it. */
static void start(struct crew *crew)
{
    const long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t wanted = weir_min((uint64_t)weir_max(cpu_count, 1), THREAD_MAX);
    uint64_t chunk_count = 0;
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        chunk_count += count_chunks(crew, use);
    wanted = weir_min(wanted, chunk_count);
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

enum weir_status weir_mem_touch_begin(struct weir_mem *mem, struct weir_err *err)
{
    struct weir_mem_touch *touch = weir_heap_alloc(sizeof(*touch));
    if (touch == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to prepare memory");
    *touch = (struct weir_mem_touch){
        .first = {.chunk_bytes = CHUNK_BYTES, .failed_use = -1},
        .slots = {.chunk_bytes = SLOT_CHUNK_BYTES, .failed_use = -1, .is_idle = true},
    };
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++) {
        struct crew *crew = use == WEIR_MEM_SLOTS ? &touch->slots : &touch->first;
        const uint64_t bytes = weir_mem_reached_bytes(mem, (enum weir_mem_use)use);
        if (use != WEIR_MEM_IO) /* touched when it was mapped, and gone before the others perhaps */
            crew->ranges[use] = (struct range){mem->region[use].start, bytes};
    }
    mem->touch = touch;
    start(&touch->first);
    start(&touch->slots);
    return WEIR_OK;
}

static enum weir_status judge(const struct weir_mem *mem, struct crew *crew, struct weir_err *err)
{
    const int os_errno = atomic_load(&crew->os_errno);
    if (os_errno == 0)
        return WEIR_OK;
    return weir_mem_refuse(mem, (enum weir_mem_use)atomic_load(&crew->failed_use), os_errno, err);
}

enum weir_status weir_mem_open_end(struct weir_mem *mem, struct weir_err *err)
{
    if (mem->touch == NULL)
        return WEIR_OK;
    touch_chunks(&mem->touch->first);
    join(&mem->touch->first);
    return judge(mem, &mem->touch->first, err);
}

enum weir_status weir_mem_check(const struct weir_mem *mem, struct weir_err *err)
{
    return mem->touch == NULL ? WEIR_OK : judge(mem, &mem->touch->slots, err);
}

enum weir_status weir_mem_touch_all(struct weir_mem *mem, struct weir_err *err)
{
    if (mem->touch == NULL)
        return WEIR_OK;
    touch_chunks(&mem->touch->slots);
    join(&mem->touch->slots);
    return weir_mem_check(mem, err);
}

void weir_mem_touch_stop(struct weir_mem *mem)
{
    if (mem->touch == NULL)
        return;
    fail(&mem->touch->first, 0, ECANCELED);
    fail(&mem->touch->slots, 0, ECANCELED);
    join(&mem->touch->first);
    join(&mem->touch->slots);
    weir_heap_free(mem->touch);
    mem->touch = NULL;
}
