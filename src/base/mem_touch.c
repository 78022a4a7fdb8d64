/* mem_touch.c - the pages of planned memory faulted in, by threads of their own while the caller
 * reads the model into what is there already.
 *
 * The kernel zeroes a page when it is first touched: a gigabyte takes a core a good part of a
 * second, and much longer where a hypervisor finds the page only then.
 *
 * I1  next counts chunks that somebody has taken, each once; a chunk's pages keep what is in them.
 * I2  The first failure stays: os_errno goes from 0 to something once, after failed_use.
 */
#include "base/mem_internal.h"

#include "base/heap.h"
#include "base/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    PAGE_BYTES = 4096,
    CHUNK_BYTES = 32 << 20,
    THREAD_MAX = 8,
    STACK_BYTES = 64 << 10,
};

struct weir_mem_touch {
    const struct weir_mem *mem; /* regions do not move while it lives */
    pthread_t threads[THREAD_MAX];
    uint32_t thread_count;
    _Atomic unsigned named_count; /* threads that have begun */
    _Atomic uint64_t next;
    _Atomic int os_errno;
    _Atomic int failed_use;
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

/* Chunk `index` of all regions, one region after another; false behind the last. */
static bool find_chunk(const struct weir_mem *mem, uint64_t index, int *use, uint64_t *offset)
{
    for (*use = 0; *use < WEIR_MEM_USE_COUNT; ++*use) {
        const enum weir_mem_use at = (enum weir_mem_use)(*use);
        const uint64_t bytes = weir_mem_reached_bytes(mem, at);
        const uint64_t count = weir_align_up(bytes, CHUNK_BYTES) / CHUNK_BYTES;
        if (at == WEIR_MEM_IO)
            continue; /* touched when it was mapped, and gone before the others perhaps */
        *offset = index * CHUNK_BYTES;
        if (index < count)
            return true;
        index -= count;
    }
    return false;
}

static void fail(struct weir_mem_touch *touch, int use, int os_errno)
{
    int none = -1;
    if (atomic_compare_exchange_strong(&touch->failed_use, &none, use)) /* keeps I2 */
        atomic_store(&touch->os_errno, os_errno);
}

static void touch_chunks(struct weir_mem_touch *touch)
{
    int use;
    uint64_t offset;
    while (
        atomic_load(&touch->os_errno) == 0 &&
        find_chunk(touch->mem, atomic_fetch_add(&touch->next, 1), &use, &offset)) { /* keeps I1 */
        const uint64_t left = weir_mem_reached_bytes(touch->mem, (enum weir_mem_use)use) - offset;
        const int os_errno = weir_mem_touch_range(touch->mem->region[use].start + offset,
                                                  weir_min(left, CHUNK_BYTES));
        if (os_errno != 0)
            fail(touch, use, os_errno);
    }
}

static void *serve_chunks(void *argument)
{
    struct weir_mem_touch *touch = argument;
    weir_thread_name("touch", atomic_fetch_add(&touch->named_count, 1));
    touch_chunks(touch);
    return NULL;
}

static uint32_t choose_thread_count(const struct weir_mem *mem)
{
    const long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t chunk_count = weir_mem_bytes(mem) / CHUNK_BYTES;
    return (uint32_t)weir_min(chunk_count, weir_min((uint64_t)weir_max(cpu_count, 1), THREAD_MAX));
}

enum weir_status weir_mem_touch_begin(struct weir_mem *mem, struct weir_err *err)
{
    struct weir_mem_touch *touch = weir_heap_alloc(sizeof(*touch));
    if (touch == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to prepare memory");
    *touch = (struct weir_mem_touch){.mem = mem, .failed_use = -1};
    const uint32_t wanted = choose_thread_count(mem);
    /* Whatever threads do not do, weir_mem_open_end() does. */
    while (touch->thread_count < wanted && weir_thread_start(&touch->threads[touch->thread_count],
                                                             STACK_BYTES, serve_chunks, touch) == 0)
        touch->thread_count++;
    mem->touch = touch;
    return WEIR_OK;
}

enum weir_status weir_mem_open_end(struct weir_mem *mem, struct weir_err *err)
{
    struct weir_mem_touch *touch = mem->touch;
    if (touch == NULL)
        return WEIR_OK;
    touch_chunks(touch);
    for (uint32_t thread = 0; thread < touch->thread_count; thread++)
        pthread_join(touch->threads[thread], NULL);
    const int os_errno = atomic_load(&touch->os_errno);
    const int use = atomic_load(&touch->failed_use);
    weir_heap_free(touch);
    mem->touch = NULL;
    return os_errno == 0 ? WEIR_OK : weir_mem_refuse(mem, (enum weir_mem_use)use, os_errno, err);
}

void weir_mem_touch_stop(struct weir_mem *mem)
{
    if (mem->touch == NULL)
        return;
    fail(mem->touch, 0, ECANCELED);
    weir_mem_open_end(mem, NULL);
}
