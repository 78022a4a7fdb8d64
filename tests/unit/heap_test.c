/* heap_test.c - zeroed, counted, and failing exactly where the fault plan says. */
#include "base/heap.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static void heap_gives_zeroed_memory_even_after_reuse(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        unsigned char *memory = weir_heap_alloc(3000);
        assert_non_null(memory);
        for (size_t byte = 0; byte < 3000; byte++)
            assert_int_equal(memory[byte], 0);
        memset(memory, 0x5a, 3000);
        weir_heap_free(memory);
    }
}

static void heap_gives_a_unique_pointer_for_no_bytes(void **state)
{
    (void)state;
    void *one = weir_heap_alloc(0);
    void *two = weir_heap_array(0, 8);
    assert_non_null(one);
    assert_non_null(two);
    assert_ptr_not_equal(one, two);
    weir_heap_free(one);
    weir_heap_free(two);
    weir_heap_free(NULL);
}

static void heap_counts_what_lives(void **state)
{
    (void)state;
    const uint64_t before_bytes = weir_heap_bytes();
    const uint64_t before_calls = weir_heap_calls();
    void *memory = weir_heap_array(100, 10);
    assert_in_range(weir_heap_bytes() - before_bytes, 1000, 1100);
    memory = weir_heap_grow(memory, 50000);
    assert_in_range(weir_heap_bytes() - before_bytes, 50000, 60000);
    char *text = weir_heap_text("a reservoir");
    assert_string_equal(text, "a reservoir");
    assert_int_equal(weir_heap_calls() - before_calls, 3);
    weir_heap_free(text);
    weir_heap_free(memory);
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

#ifndef WEIR_ASAN /* which keeps for a while what is freed */
/* So that what is planned later finds the room, whatever the process's allocator would keep. */
static void large_blocks_go_back_to_the_system_when_freed(void **state)
{
    (void)state;
    unsigned char in_memory[64];
    for (int round = 0; round < 3; round++) {
        char *memory = weir_heap_array(40, 5000);
        void *page = (void *)((uintptr_t)memory & ~(uintptr_t)4095);
        assert_int_equal(mincore(page, 200000, in_memory), 0);
        weir_heap_free(memory);
        assert_int_equal(mincore(page, 200000, in_memory), -1);
        assert_int_equal(errno, ENOMEM);
    }
}
#endif

static void a_block_keeps_its_bytes_as_it_grows_and_shrinks(void **state)
{
    static const size_t sizes[] = {10,     5000,   131055, 131056,  131057, 200000,
                                   900000, 300000, 131057, 1000000, 4000,   10};
    (void)state;
    const uint64_t before_bytes = weir_heap_bytes();
    unsigned char *memory = weir_heap_alloc(4);
    memcpy(memory, "weir", 4);
    for (size_t index = 0; index < sizeof(sizes) / sizeof(sizes[0]); index++) {
        memory = weir_heap_grow(memory, sizes[index]);
        assert_non_null(memory);
        assert_memory_equal(memory, "weir", 4);
        memory[sizes[index] - 1] = 'x';
        assert_in_range(weir_heap_bytes() - before_bytes, sizes[index], sizes[index] + 4200);
        unsigned char *other = weir_heap_alloc(sizes[index]);
        for (size_t byte = 0; byte < sizes[index]; byte++)
            assert_int_equal(other[byte], 0);
        memset(other, 1, sizes[index]);
        weir_heap_free(other);
    }
    weir_heap_free(memory);
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

static void heap_refuses_an_array_that_overflows(void **state)
{
    (void)state;
    const uint64_t before_bytes = weir_heap_bytes();
    /* Behind volatile, because the compiler would otherwise see and refuse it. */
    volatile size_t half = SIZE_MAX / 2;
    assert_null(weir_heap_array(half, 4));
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

static void heap_keeps_the_old_block_when_growing_fails(void **state)
{
    (void)state;
    char *memory = weir_heap_text("kept");
    const uint64_t before_bytes = weir_heap_bytes();
    weir_heap_fail_at(1);
    assert_null(weir_heap_grow(memory, 1 << 20));
    assert_string_equal(memory, "kept");
    assert_int_equal(weir_heap_bytes(), before_bytes);
    weir_heap_free(memory);
}

static void heap_fails_at_the_chosen_call_and_only_there(void **state)
{
    (void)state;
    weir_heap_fail_at(3);
    void *first = weir_heap_alloc(1);
    void *second = weir_heap_array(2, 2);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(weir_heap_text("third"));
    void *fourth = weir_heap_alloc(1);
    assert_non_null(fourth);
    weir_heap_free(first);
    weir_heap_free(second);
    weir_heap_free(fourth);
    weir_heap_fail_at(1);
    weir_heap_fail_at(0);
    void *later = weir_heap_alloc(1);
    assert_non_null(later);
    weir_heap_free(later);
}

enum { CALLS_PER_THREAD = 5000 };

static void *allocate_often(void *failures)
{
    for (int call = 0; call < CALLS_PER_THREAD; call++) {
        void *memory = weir_heap_alloc(64);
        if (memory == NULL)
            ++*(uint32_t *)failures;
        weir_heap_free(memory);
    }
    return NULL;
}

static void heap_counts_and_fails_once_among_threads(void **state)
{
    (void)state;
    const uint64_t before_bytes = weir_heap_bytes();
    const uint64_t before_calls = weir_heap_calls();
    uint32_t failures[2] = {0};
    pthread_t threads[2];
    weir_heap_fail_at(CALLS_PER_THREAD);
    for (int thread = 0; thread < 2; thread++)
        assert_int_equal(pthread_create(&threads[thread], NULL, allocate_often, &failures[thread]),
                         0);
    for (int thread = 0; thread < 2; thread++)
        assert_int_equal(pthread_join(threads[thread], NULL), 0);
    assert_int_equal(failures[0] + failures[1], 1);
    assert_int_equal(weir_heap_calls() - before_calls, 2 * CALLS_PER_THREAD);
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

static void *take_some(void *argument)
{
    void **taken = argument;
    *taken = weir_heap_alloc(70000);
    return NULL;
}

/* A model is described while other threads of a server take memory and give it back. */
static void a_thread_counts_what_is_its_own(void **state)
{
    pthread_t thread;
    void *others = NULL;
    (void)state;
    const int64_t before_bytes = weir_heap_own_bytes();
    void *own = weir_heap_alloc(1000);
    assert_int_equal(pthread_create(&thread, NULL, take_some, &others), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(others);
    assert_in_range(weir_heap_own_bytes() - before_bytes, 1000, 1100);
    own = weir_heap_grow(own, 3000);
    assert_in_range(weir_heap_own_bytes() - before_bytes, 3000, 3100);
    weir_heap_free(own);
    assert_int_equal(weir_heap_own_bytes(), before_bytes);
    weir_heap_free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_gives_zeroed_memory_even_after_reuse),
        cmocka_unit_test(heap_gives_a_unique_pointer_for_no_bytes),
        cmocka_unit_test(heap_counts_what_lives),
#ifndef WEIR_ASAN
        cmocka_unit_test(large_blocks_go_back_to_the_system_when_freed),
#endif
        cmocka_unit_test(a_block_keeps_its_bytes_as_it_grows_and_shrinks),
        cmocka_unit_test(heap_refuses_an_array_that_overflows),
        cmocka_unit_test(heap_keeps_the_old_block_when_growing_fails),
        cmocka_unit_test(heap_fails_at_the_chosen_call_and_only_there),
        cmocka_unit_test(heap_counts_and_fails_once_among_threads),
        cmocka_unit_test(a_thread_counts_what_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
