/* heap.h - the one door to malloc: counted, and able to fail on request.
 *
 * Job       Allocation while opening: descriptions, vocabularies, handles. Large, planned memory
 *           (weights, slots, KV, scratch) comes from mem.h instead.
 * Owns      Nothing; the caller owns what it is given.
 * Threads   Any thread.
 * Errors    NULL when the system, or the test's fault plan, says no.
 */
#ifndef WEIR_HEAP_H
#define WEIR_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed. bytes 0 gives a unique pointer. NULL on failure. */
void *weir_heap_alloc(size_t bytes);
/* count * each, checked for overflow. Zeroed. NULL on failure. */
void *weir_heap_array(size_t count, size_t each);
/* realloc; new bytes are not zeroed. On failure old stays valid. */
void *weir_heap_grow(void *old, size_t bytes);
void weir_heap_free(void *memory);
/* Copy of text, ended by NUL. NULL on failure. */
char *weir_heap_text(const char *text);

/* Bytes in use now, with what the allocator adds; a function of the sizes asked for alone. */
uint64_t weir_heap_bytes(void);
/* The same of this thread alone: what it took, less what it gave back, whoever took that. Two of
 * these tell what a piece of code has left behind, whatever other threads do meanwhile. */
int64_t weir_heap_own_bytes(void);
/* Calls to alloc, array, grow and text, and regions mapped by mem.h, since the process began. */
uint64_t weir_heap_calls(void);
/* For tests: the call_index-th call from now (1 is the next one) fails; 0 turns it off. */
void weir_heap_fail_at(uint64_t call_index);
/* Count a call made elsewhere (mem.h) under the same plan; false when it is to fail. */
bool weir_heap_may_succeed(void);

#endif
