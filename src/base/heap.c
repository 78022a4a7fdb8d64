/* heap.c - counted allocation with a fault plan. */
#include "base/heap.h"

#include "base/base.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MMAP_THRESHOLD = 128 * 1024 };

/* Process-wide counters; relaxed because nothing is published through them. */
static _Atomic uint64_t live_bytes;
static _Atomic uint64_t call_count;
static _Atomic uint64_t fail_countdown;

/* Large blocks go back to the system when freed, so that what is planned later finds the room. */
static void fix_thresholds(void)
{
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mallopt(M_ARENA_MAX, 1);
}

bool weir_heap_may_succeed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fix_thresholds);
    atomic_fetch_add_explicit(&call_count, 1, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    do {
        if (left == 0)
            return true;
    } while (!atomic_compare_exchange_weak_explicit(&fail_countdown, &left, left - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return left != 1;
}

/* The hostile build fills what nobody may rely on, so that relying on it fails a test. */
static void spoil(void *memory, size_t begin, size_t end)
{
#ifdef WEIR_HOSTILE
    if (begin < end)
        memset((char *)memory + begin, 0xa5, end - begin);
#else
    (void)memory;
    (void)begin;
    (void)end;
#endif
}

/* In front of every block. The size asked for is kept, rather than what malloc_usable_size says,
 * because that depends on what was freed before, and a plan must not. */
struct block {
    _Alignas(16) size_t bytes;
};

/* What glibc takes from the system for a block: its own header and rounding, whole pages when the
 * block has a mapping of its own. */
static uint64_t cost_of(const struct block *block)
{
    const uint64_t bytes = sizeof(*block) + block->bytes;
    if (bytes >= MMAP_THRESHOLD)
        return weir_align_up(bytes + 16, 4096);
    return weir_max(32, weir_align_up(bytes + 8, 16));
}

static void *count_in(struct block *block, size_t bytes)
{
    block->bytes = bytes;
    atomic_fetch_add_explicit(&live_bytes, cost_of(block), memory_order_relaxed);
    return block + 1;
}

static struct block *count_out(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    atomic_fetch_sub_explicit(&live_bytes, cost_of(block), memory_order_relaxed);
    return block;
}

void *weir_heap_alloc(size_t bytes)
{
    return weir_heap_array(1, bytes);
}

void *weir_heap_array(size_t count, size_t each)
{
    size_t bytes;
    /* Checked here: calloc does too, but the sanitizers' stops the process instead of saying no. */
    if (!weir_heap_may_succeed() || __builtin_mul_overflow(count, each, &bytes) ||
        bytes > PTRDIFF_MAX - sizeof(struct block))
        return NULL;
    struct block *block = calloc(1, sizeof(*block) + bytes);
    return block == NULL ? NULL : count_in(block, bytes);
}

void *weir_heap_grow(void *old, size_t bytes)
{
    if (old == NULL)
        return weir_heap_array(1, bytes);
    if (!weir_heap_may_succeed() || bytes > PTRDIFF_MAX - sizeof(struct block))
        return NULL;
    struct block *block = count_out(old);
    const size_t old_bytes = block->bytes;
    struct block *grown = realloc(block, sizeof(*block) + bytes);
    if (grown == NULL) {
        count_in(block, old_bytes);
        return NULL;
    }
    spoil(grown + 1, old_bytes, bytes);
    return count_in(grown, bytes);
}

void weir_heap_free(void *memory)
{
    if (memory == NULL)
        return;
    struct block *block = count_out(memory);
    spoil(memory, 0, block->bytes);
    free(block);
}

char *weir_heap_text(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = weir_heap_alloc(bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

uint64_t weir_heap_bytes(void)
{
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}

uint64_t weir_heap_calls(void)
{
    return atomic_load_explicit(&call_count, memory_order_relaxed);
}

void weir_heap_fail_at(uint64_t call_index)
{
    atomic_store_explicit(&fail_countdown, call_index, memory_order_relaxed);
}
