/* heap.c - counted allocation with a fault plan.
 *
 * Invariants:
 * I1  A large block has a mapping of its own, so that its bytes go back to the system when it is
 *     freed and what is planned later finds the room. The allocator could be told to do so
 *     (mallopt), but it belongs to the whole process, which may not be ours.
 */
#include "base/heap.h"

#include "base/base.h"

#include <sys/mman.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The address sanitizer watches the ends of what malloc gives, and no mapping. */
#ifdef WEIR_ASAN
#define MAPPED_BYTES_MIN SIZE_MAX
#else
#define MAPPED_BYTES_MIN ((size_t)LARGE_BYTES)
#endif
enum { LARGE_BYTES = 128 * 1024, PAGE_BYTES = 4096 };

/* So that header and rounding do not overflow. */
#define BYTES_MAX ((size_t)PTRDIFF_MAX - LARGE_BYTES)

/* Process-wide counters; relaxed because nothing is published through them. */
static _Atomic uint64_t live_bytes;
static _Atomic uint64_t call_count;
static _Atomic uint64_t fail_countdown;
static _Thread_local int64_t own_bytes;

bool weir_heap_may_succeed(void)
{
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

/* All of it, with the header; whole pages when it has a mapping of its own. */
static size_t size_of(size_t bytes)
{
    const size_t total = sizeof(struct block) + bytes;
    return total < LARGE_BYTES ? total : weir_align_up(total, PAGE_BYTES);
}

static bool is_mapped(size_t bytes)
{
    return size_of(bytes) >= MAPPED_BYTES_MIN;
}

/* What the system gives for a block: whole pages, or glibc's own header and rounding. */
static uint64_t cost_of(const struct block *block)
{
    const uint64_t bytes = size_of(block->bytes);
    return bytes >= LARGE_BYTES ? bytes : weir_max(32, weir_align_up(bytes + 8, 16));
}

static void *count_in(struct block *block, size_t bytes)
{
    block->bytes = bytes;
    atomic_fetch_add_explicit(&live_bytes, cost_of(block), memory_order_relaxed);
    own_bytes += (int64_t)cost_of(block);
    return block + 1;
}

static struct block *count_out(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    atomic_fetch_sub_explicit(&live_bytes, cost_of(block), memory_order_relaxed);
    own_bytes -= (int64_t)cost_of(block);
    return block;
}

/* Zeroed. */
static struct block *take(size_t bytes)
{
    if (!is_mapped(bytes))
        return calloc(1, sizeof(struct block) + bytes);
    void *memory =
        mmap(NULL, size_of(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void give(struct block *block)
{
    if (is_mapped(block->bytes))
        munmap(block, size_of(block->bytes));
    else
        free(block);
}

/* As realloc: on failure the block stays as it is. */
static struct block *resize(struct block *block, size_t bytes)
{
    if (is_mapped(block->bytes) != is_mapped(bytes)) {
        struct block *moved = take(bytes);
        if (moved != NULL) {
            memcpy(moved + 1, block + 1, weir_min(block->bytes, bytes));
            give(block);
        }
        return moved;
    }
    if (!is_mapped(bytes))
        return realloc(block, sizeof(*block) + bytes);
    void *memory = mremap(block, size_of(block->bytes), size_of(bytes), MREMAP_MAYMOVE);
    return memory == MAP_FAILED ? NULL : memory;
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
        bytes > BYTES_MAX)
        return NULL;
    struct block *block = take(bytes);
    return block == NULL ? NULL : count_in(block, bytes);
}

void *weir_heap_grow(void *old, size_t bytes)
{
    if (old == NULL)
        return weir_heap_array(1, bytes);
    if (!weir_heap_may_succeed() || bytes > BYTES_MAX)
        return NULL;
    struct block *block = count_out(old);
    const size_t old_bytes = block->bytes;
    struct block *grown = resize(block, bytes);
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
    give(block);
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

int64_t weir_heap_own_bytes(void)
{
    return own_bytes;
}

uint64_t weir_heap_calls(void)
{
    return atomic_load_explicit(&call_count, memory_order_relaxed);
}

void weir_heap_fail_at(uint64_t call_index)
{
    atomic_store_explicit(&fail_countdown, call_index, memory_order_relaxed);
}
