/* mem_test.c - what planning counts is what opening maps, hands out and seals, to the byte. */
#include "base/mem_internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"

#include "pace.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct layout {
    uint8_t *weights;
    uint8_t *bias;
    uint8_t *slots;
};

enum {
    HUGE_PAGE_BYTES = 2 << 20,
    WEIGHT_BYTES = 5000,
    BIAS_BYTES = 100,
    SLOT_BYTES = 5 << 20,
    LARGE_BYTES = 80 << 20
};

/* The one layout, as rooms write it: run in both phases. */
static void lay_out(struct weir_mem *mem, struct layout *layout)
{
    layout->weights = weir_mem_alloc(mem, WEIR_MEM_TRUNK, WEIGHT_BYTES, 64);
    layout->bias = weir_mem_alloc(mem, WEIR_MEM_TRUNK, BIAS_BYTES, 4096);
    layout->slots = weir_mem_alloc(mem, WEIR_MEM_SLOTS, SLOT_BYTES, 2 << 20);
}

static void plan(struct weir_mem *mem, struct layout *layout)
{
    weir_mem_init(mem);
    lay_out(mem, layout);
}

static void open_planned(struct weir_mem *mem, struct layout *layout)
{
    plan(mem, layout);
    assert_int_equal(weir_mem_open(mem, NULL), WEIR_OK);
    lay_out(mem, layout);
}

static void mem_planning_counts_and_maps_nothing(void **state)
{
    (void)state;
    struct weir_mem mem;
    struct layout layout;
    plan(&mem, &layout);
    assert_null(layout.weights);
    assert_null(layout.slots);
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_TRUNK), 12288);
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_SLOTS), SLOT_BYTES);
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_KV), 0);
    assert_int_equal(weir_mem_bytes(&mem), 12288 + SLOT_BYTES);
    weir_mem_close(&mem);
}

/* How many pages of the range are in memory now. */
static size_t count_resident(uint8_t *start, size_t bytes)
{
    static unsigned char pages[LARGE_BYTES / 4096];
    size_t count = 0;
    assert_true(bytes <= LARGE_BYTES);
    if (mincore(start, bytes, pages) != 0)
        return 0;
    for (size_t page = 0; page < bytes / 4096; page++)
        count += pages[page] & 1;
    return count;
}

static bool is_resident(uint8_t *start, size_t bytes)
{
    return count_resident(start, bytes) == bytes / 4096;
}

static void mem_opening_hands_out_aligned_zeroed_resident_memory(void **state)
{
    (void)state;
    struct weir_mem mem;
    struct layout layout;
    plan(&mem, &layout);
    const uint64_t planned_bytes = weir_mem_bytes(&mem);
    assert_int_equal(weir_mem_open(&mem, NULL), WEIR_OK);
    lay_out(&mem, &layout);
    assert_int_equal((uintptr_t)layout.bias % 4096, 0);
    assert_int_equal((uintptr_t)layout.slots % (2 << 20), 0);
    assert_true(layout.bias >= layout.weights + WEIGHT_BYTES);
    for (size_t byte = 0; byte < WEIGHT_BYTES; byte++)
        assert_int_equal(layout.weights[byte], 0);
    assert_true(is_resident(layout.slots, SLOT_BYTES));
    memset(layout.slots, 0xff, SLOT_BYTES);
    weir_mem_seal(&mem);
    assert_int_equal(mem.phase, WEIR_MEM_SEALED);
    assert_int_equal(weir_mem_bytes(&mem), planned_bytes);
    weir_mem_drop(&mem, WEIR_MEM_SLOTS);
    layout.weights[0] = 1; /* the other use lives on */
    weir_mem_close(&mem);
    assert_int_equal(mem.phase, WEIR_MEM_PLANNING);
}

static void mem_discard_gives_back_these_pages_and_no_others(void **state)
{
    (void)state;
    struct weir_mem mem;
    struct layout layout;
    open_planned(&mem, &layout);
    memset(layout.slots, 0x5a, SLOT_BYTES);
    weir_mem_seal(&mem);
    /* Across a huge page's boundary, and neither at its start nor its end. */
    enum { FROM = (1 << 20) + 4096, TO = (3 << 20) + 8192 };
    assert_true(weir_mem_discard(&mem, WEIR_MEM_SLOTS, layout.slots + FROM, TO - FROM));
    /* Nor does the kernel make the huge pages whole again, even when asked to. */
    madvise(layout.slots, 2 * HUGE_PAGE_BYTES, MADV_COLLAPSE);
    for (size_t at = FROM; at < TO; at += 4096)
        assert_false(is_resident(layout.slots + at, 4096));
    assert_true(is_resident(layout.slots, FROM));
    assert_true(is_resident(layout.slots + TO, SLOT_BYTES - TO));
    for (size_t at = 0; at < SLOT_BYTES; at = at == FROM - 1 ? TO : at + 1)
        assert_int_equal(layout.slots[at], 0x5a);
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_SLOTS), SLOT_BYTES);
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_SLOTS), SLOT_BYTES - (TO - FROM));
    assert_true(weir_mem_discard(&mem, WEIR_MEM_SLOTS, layout.slots, FROM));
    assert_true(weir_mem_discard(&mem, WEIR_MEM_SLOTS, layout.slots + TO, SLOT_BYTES - TO));
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_SLOTS), 0);
    /* Pages that are locked stay. */
    if (syscall(SYS_mlock, layout.bias, 4096) == 0) /* the sanitizers' mlock does nothing */
        assert_false(weir_mem_discard(&mem, WEIR_MEM_TRUNK, layout.bias, 4096));
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_TRUNK), 12288);
    weir_mem_close(&mem);
}

/* A region of which nothing has pages when it is opened. */
static uint8_t *open_addresses(struct weir_mem *mem, uint64_t bytes)
{
    weir_mem_init(mem);
    weir_mem_alloc(mem, WEIR_MEM_KV, bytes, 64);
    weir_mem_begin_with(mem, WEIR_MEM_KV, 0);
    assert_int_equal(weir_mem_reached_bytes(mem, WEIR_MEM_KV), 0);
    assert_int_equal(weir_mem_open(mem, NULL), WEIR_OK);
    uint8_t *start = weir_mem_alloc(mem, WEIR_MEM_KV, bytes, 64);
    weir_mem_seal(mem);
    assert_int_equal(count_resident(start, bytes), 0);
    return start;
}

/* In any order, at any page: the others stay without pages, also within the same huge page, and
 * the kernel does not fill them when it makes huge pages. */
static void mem_restore_faults_in_these_pages_and_no_others(void **state)
{
    (void)state;
    enum { BYTES = 16 << 20, PART_BYTES = (1 << 20) + 4096, PARTS = BYTES / PART_BYTES };
    struct weir_mem mem;
    bool is_there[PARTS] = {false};
    uint64_t seed = 3;
    uint64_t there_count = 0;
    uint8_t *start = open_addresses(&mem, BYTES);
    for (int round = 0; round < 200; round++) {
        const uint64_t part = weir_random_next(&seed) % PARTS;
        uint8_t *at = start + part * PART_BYTES;
        if (is_there[part]) {
            assert_int_equal(at[0], part + 1);
            assert_int_equal(at[PART_BYTES - 1], part + 1);
            assert_true(weir_mem_discard(&mem, WEIR_MEM_KV, at, PART_BYTES));
        } else {
            assert_true(weir_mem_restore(&mem, WEIR_MEM_KV, at, PART_BYTES));
            assert_true(is_resident(at, PART_BYTES));
            for (size_t byte = 0; byte < PART_BYTES; byte++)
                assert_int_equal(at[byte], 0);
            memset(at, (int)part + 1, PART_BYTES);
        }
        is_there[part] = !is_there[part];
        there_count += is_there[part] ? 1 : UINT64_MAX;
        for (size_t huge = 0; round % 8 == 0 && huge < BYTES; huge += HUGE_PAGE_BYTES)
            madvise(start + huge, HUGE_PAGE_BYTES, MADV_COLLAPSE);
        assert_int_equal(count_resident(start, BYTES), there_count * PART_BYTES / 4096);
        assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), there_count * PART_BYTES);
    }
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_KV), BYTES);
    weir_mem_close(&mem);
}

static void mem_restore_that_fails_leaves_nothing(void **state)
{
    (void)state;
    enum { BYTES = 6 << 20 };
    struct weir_mem mem;
    uint8_t *start = open_addresses(&mem, BYTES);
    weir_heap_fail_at(1);
    assert_false(weir_mem_restore(&mem, WEIR_MEM_KV, start, BYTES));
    weir_heap_fail_at(0);
    assert_int_equal(count_resident(start, BYTES), 0);
    /* The kernel gives all but the last page: there a file ends. */
    const int file = memfd_create("empty", 0);
    assert_true(file >= 0);
    assert_ptr_equal(
        mmap(start + BYTES - 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0),
        start + BYTES - 4096);
    if (madvise(start, 4096, MADV_POPULATE_WRITE) == 0) { /* or the kernel does not know it */
        assert_int_equal(count_resident(start, BYTES), 1);
        assert_false(weir_mem_restore(&mem, WEIR_MEM_KV, start, BYTES));
        assert_int_equal(count_resident(start, BYTES), 0);
        assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), 0);
    }
    assert_ptr_equal(mmap(start + BYTES - 4096, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     start + BYTES - 4096);
    close(file);
    assert_true(weir_mem_restore(&mem, WEIR_MEM_KV, start, BYTES));
    assert_true(is_resident(start, BYTES));
    weir_mem_close(&mem);
}

/* The first bytes are there when it is opened, in whole huge pages; the rest as it is reached. */
static void mem_is_reached_bit_by_bit(void **state)
{
    (void)state;
    enum { BYTES = (7 << 20) + 4096, FIRST = 3 << 20, HUGE = HUGE_PAGE_BYTES };
    struct weir_err err = {0};
    struct weir_mem mem;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_KV, BYTES, 64);
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), BYTES);
    weir_mem_begin_with(&mem, WEIR_MEM_KV, FIRST);
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), 2 * HUGE);
    assert_int_equal(weir_mem_use_bytes(&mem, WEIR_MEM_KV), BYTES);
    assert_int_equal(weir_mem_open(&mem, NULL), WEIR_OK);
    uint8_t *kv = weir_mem_alloc(&mem, WEIR_MEM_KV, BYTES, 64);
    weir_mem_seal(&mem);
    assert_true(is_resident(kv, 2 * HUGE));
    for (size_t at = 2 * HUGE; at < BYTES; at += 4096)
        assert_false(is_resident(kv + at, 4096));
    assert_int_equal(weir_mem_reach(&mem, WEIR_MEM_KV, FIRST, &err), WEIR_OK);
    assert_false(is_resident(kv + 2 * HUGE, 4096));
    assert_int_equal(weir_mem_reach_bytes(&mem, WEIR_MEM_KV, 2 * HUGE + 1), 3 * HUGE);
    weir_heap_fail_at(1);
    assert_int_equal(weir_mem_reach(&mem, WEIR_MEM_KV, 2 * HUGE + 1, &err), WEIR_ERR_NOMEM);
    weir_heap_fail_at(0);
    assert_non_null(strstr(err.text, "KV cache"));
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), 2 * HUGE);
    assert_int_equal(weir_mem_reach(&mem, WEIR_MEM_KV, 2 * HUGE + 1, &err), WEIR_OK);
    assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), 3 * HUGE);
    assert_true(is_resident(kv, 3 * HUGE));
    assert_false(is_resident(kv + 3 * HUGE, 4096));
    assert_int_equal(weir_mem_reach(&mem, WEIR_MEM_KV, BYTES, &err), WEIR_OK);
    assert_true(is_resident(kv, BYTES));
    weir_mem_close(&mem);
}

static void mem_open_names_the_use_that_did_not_fit(void **state)
{
    (void)state;
    struct weir_mem mem;
    struct weir_err err = {0};
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_TRUNK, 4096, 64);
    weir_mem_alloc(&mem, WEIR_MEM_KV, 1ull << 62, 64);
    assert_int_equal(weir_mem_open(&mem, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "KV cache"));
    assert_non_null(strstr(err.text, "PiB"));
    assert_int_equal(weir_mem_bytes(&mem), 0);
}

/* What is read while threads fault pages in stays, and in the end every page is there. */
static void mem_can_be_used_while_it_is_touched(void **state)
{
    (void)state;
    enum { BYTES = LARGE_BYTES, STEP = 1 << 12 };
    static const enum weir_mem_use uses[] = {WEIR_MEM_TRUNK, WEIR_MEM_SLOTS};
    for (size_t i = 0; i < WEIR_COUNT(uses); i++) {
        struct weir_mem mem;
        weir_mem_init(&mem);
        weir_mem_alloc(&mem, uses[i], BYTES, 64);
        assert_int_equal(weir_mem_open_begin(&mem, NULL), WEIR_OK);
        uint8_t *memory = weir_mem_alloc(&mem, uses[i], BYTES, 64);
        for (size_t at = 0; at < BYTES; at += 8 * STEP)
            memory[at] = (uint8_t)(at / STEP + 1);
        assert_int_equal(weir_mem_open_end(&mem, NULL, NULL, NULL), WEIR_OK);
        assert_true(uses[i] == WEIR_MEM_SLOTS || is_resident(memory, BYTES));
        assert_int_equal(weir_mem_touch_all(&mem, NULL), WEIR_OK);
        for (size_t at = 0; at < BYTES; at += 8 * STEP)
            assert_int_equal(memory[at], (uint8_t)(at / STEP + 1));
        assert_true(is_resident(memory, BYTES));
        weir_mem_close(&mem);
    }
}

/* Slots get their pages after the opening, without anybody who asks. */
static void mem_slots_get_their_pages_later(void **state)
{
    (void)state;
    enum { BYTES = LARGE_BYTES };
    struct weir_mem mem;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
    assert_int_equal(weir_mem_open_begin(&mem, NULL), WEIR_OK);
    uint8_t *slots = weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
    assert_int_equal(weir_mem_open_end(&mem, NULL, NULL, NULL), WEIR_OK);
    for (int wait = 0; wait < PACE_PATIENCE_S * 100 && !is_resident(slots, BYTES); wait++)
        usleep(10000);
    assert_true(is_resident(slots, BYTES));
    assert_int_equal(weir_mem_check(&mem, NULL), WEIR_OK);
    weir_mem_close(&mem);
}

/* What is given back while threads still fault pages in stays away. */
static void mem_given_back_early_stays_away(void **state)
{
    (void)state;
    enum { BYTES = LARGE_BYTES };
    struct weir_mem mem;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
    assert_int_equal(weir_mem_open_begin(&mem, NULL), WEIR_OK);
    uint8_t *slots = weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
    assert_int_equal(weir_mem_open_end(&mem, NULL, NULL, NULL), WEIR_OK);
    weir_mem_seal(&mem);
    assert_true(weir_mem_discard(&mem, WEIR_MEM_SLOTS, slots, BYTES));
    usleep(50000);
    assert_int_equal(count_resident(slots, BYTES), 0);
    assert_true(weir_mem_restore(&mem, WEIR_MEM_SLOTS, slots, BYTES));
    assert_true(is_resident(slots, BYTES));
    weir_mem_close(&mem);
}

/* Pages that the kernel does not give are an error that names what they were for: of slots when
 * they are asked about, of all else at the end of opening. */
static void mem_says_what_could_not_be_touched(void **state)
{
    (void)state;
    static const enum weir_mem_use uses[] = {WEIR_MEM_KV, WEIR_MEM_SLOTS};
    static const char *const texts[] = {"no memory for KV cache (5.00 MiB): ",
                                        "no memory for expert slots (5.00 MiB): "};
    for (size_t i = 0; i < WEIR_COUNT(uses); i++) {
        struct weir_err err = {0};
        struct weir_mem mem;
        weir_mem_init(&mem);
        weir_mem_alloc(&mem, uses[i], SLOT_BYTES, 64);
        void *gone = mmap(NULL, SLOT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(gone, MAP_FAILED);
        assert_int_equal(munmap(gone, SLOT_BYTES), 0);
        mem.region[uses[i]].start = gone;
        assert_int_equal(weir_mem_touch_begin(&mem, &err), WEIR_OK);
        enum weir_status status = weir_mem_open_end(&mem, NULL, NULL, &err);
        for (int wait = 0; wait < PACE_PATIENCE_S * 100 && status == WEIR_OK; wait++) {
            usleep(10000);
            status = weir_mem_check(&mem, &err);
        }
        assert_int_equal(status, WEIR_ERR_NOMEM);
        assert_non_null(strstr(err.text, texts[i]));
        weir_mem_close(&mem);
    }
}

struct told {
    uint64_t done_bytes, total_bytes;
    uint32_t count, most;
};

static bool hear(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    struct told *told = user;
    assert_true(done_bytes >= told->done_bytes && done_bytes <= total_bytes);
    assert_true(told->count == 0 || total_bytes == told->total_bytes);
    told->done_bytes = done_bytes;
    told->total_bytes = total_bytes;
    return ++told->count < told->most;
}

/* Whoever waits for pages is told how many there are, and may end it. The crew may have them all
 * before anybody waits: then there is nothing to tell. */
static void mem_tells_how_much_is_touched(void **state)
{
    enum { BYTES = 2 * LARGE_BYTES };
    bool was_ended = false;
    (void)state;
    for (uint32_t most = 2; most-- > 0;)
        for (int turn = 0; turn < (most == 0 ? 1 : 100) && !(most == 1 && was_ended); turn++) {
            struct told told = {.most = most == 0 ? UINT32_MAX : 1};
            struct weir_err err = {0};
            struct weir_mem mem;
            weir_mem_init(&mem);
            weir_mem_alloc(&mem, WEIR_MEM_TRUNK, BYTES, 64);
            assert_int_equal(weir_mem_open_begin(&mem, NULL), WEIR_OK);
            uint8_t *memory = weir_mem_alloc(&mem, WEIR_MEM_TRUNK, BYTES, 64);
            const enum weir_status status = weir_mem_open_end(&mem, hear, &told, &err);
            was_ended = was_ended || status == WEIR_ERR_CANCELLED;
            assert_int_equal(status, most == 1 && told.count > 0 ? WEIR_ERR_CANCELLED : WEIR_OK);
            assert_true(status != WEIR_OK || is_resident(memory, LARGE_BYTES));
            weir_mem_close(&mem);
        }
}

static void mem_open_survives_each_failed_mapping(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "no memory for weights every token needs (12.0 KiB): Cannot allocate memory",
        "no memory for expert slots (5.00 MiB): Cannot allocate memory",
        "no memory to prepare memory",
    };
    struct weir_mem mem;
    struct layout layout;
    enum weir_status status = WEIR_ERR_NOMEM;
    uint64_t call = 0;
    while (status != WEIR_OK) {
        struct weir_err err = {0};
        plan(&mem, &layout);
        weir_heap_fail_at(++call);
        status = weir_mem_open(&mem, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || call <= WEIR_COUNT(texts));
        if (status != WEIR_OK)
            assert_string_equal(err.text, texts[call - 1]);
    }
    assert_int_equal(call, WEIR_COUNT(texts) + 1);
    weir_mem_close(&mem);
}

/* Does the deed in a child abort? */
static bool breaks_a_promise(void (*deed)(void))
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) != NULL)
            deed();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void ask_for_more_than_planned(void)
{
    struct weir_mem mem;
    struct layout layout;
    open_planned(&mem, &layout);
    weir_mem_alloc(&mem, WEIR_MEM_TRUNK, 8192, 64);
}

static void ask_after_the_seal(void)
{
    struct weir_mem mem;
    struct layout layout;
    open_planned(&mem, &layout);
    weir_mem_seal(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_TRUNK, 1, 1);
}

static void seal_before_all_is_handed_out(void)
{
    struct weir_mem mem;
    struct layout layout;
    plan(&mem, &layout);
    weir_mem_open(&mem, NULL);
    weir_mem_seal(&mem);
}

static void ask_for_an_odd_alignment(void)
{
    struct weir_mem mem;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_KV, 64, 48);
}

static void discard_past_the_end(void)
{
    struct weir_mem mem;
    struct layout layout;
    open_planned(&mem, &layout);
    weir_mem_seal(&mem);
    weir_mem_discard(&mem, WEIR_MEM_SLOTS, layout.slots + 4096, SLOT_BYTES);
}

static void restore_what_is_there(void)
{
    struct weir_mem mem;
    struct layout layout;
    open_planned(&mem, &layout);
    weir_mem_seal(&mem);
    weir_mem_restore(&mem, WEIR_MEM_SLOTS, layout.slots, 4096);
}

static void mem_asserts_when_plan_and_use_disagree(void **state)
{
    (void)state;
    assert_true(breaks_a_promise(ask_for_more_than_planned));
    assert_true(breaks_a_promise(ask_after_the_seal));
    assert_true(breaks_a_promise(seal_before_all_is_handed_out));
    assert_true(breaks_a_promise(ask_for_an_odd_alignment));
    assert_true(breaks_a_promise(discard_past_the_end));
    assert_true(breaks_a_promise(restore_what_is_there));
}

/* A process that locks all that it maps: memory has pages when they are asked for all the same, and
 * gives them back. In a process of its own, which ends with 77 where nobody may lock so much. */
static void open_locked(void)
{
    struct weir_mem mem;
    struct layout layout;
    unsigned char resident = 1;
    alarm(300);
    if (IS_SANITIZED || mlockall(MCL_FUTURE) != 0) /* a sanitizer maps terabytes */
        _exit(77);
    plan(&mem, &layout);
    weir_mem_begin_with(&mem, WEIR_MEM_SLOTS, 1);
    if (weir_mem_open(&mem, NULL) != WEIR_OK)
        _exit(1);
    lay_out(&mem, &layout);
    weir_mem_seal(&mem);
    if (mincore(layout.slots + SLOT_BYTES - 4096, 4096, &resident) != 0 || (resident & 1) != 0)
        _exit(2);
    _exit(weir_mem_discard(&mem, WEIR_MEM_SLOTS, layout.slots, 4096) ? 0 : 3);
}

static void mem_of_a_process_that_is_locked_is_not(void **state)
{
    int status = 0;
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        open_locked();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        printf("this process may not lock its memory: not tried\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void mem_uses_have_names(void **state)
{
    (void)state;
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        assert_true(strlen(weir_mem_use_name((enum weir_mem_use)use)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_planning_counts_and_maps_nothing),
        cmocka_unit_test(mem_opening_hands_out_aligned_zeroed_resident_memory),
        cmocka_unit_test(mem_discard_gives_back_these_pages_and_no_others),
        cmocka_unit_test(mem_restore_faults_in_these_pages_and_no_others),
        cmocka_unit_test(mem_restore_that_fails_leaves_nothing),
        cmocka_unit_test(mem_is_reached_bit_by_bit),
        cmocka_unit_test(mem_open_names_the_use_that_did_not_fit),
        cmocka_unit_test(mem_can_be_used_while_it_is_touched),
        cmocka_unit_test(mem_slots_get_their_pages_later),
        cmocka_unit_test(mem_given_back_early_stays_away),
        cmocka_unit_test(mem_says_what_could_not_be_touched),
        cmocka_unit_test(mem_tells_how_much_is_touched),
        cmocka_unit_test(mem_open_survives_each_failed_mapping),
        cmocka_unit_test(mem_asserts_when_plan_and_use_disagree),
        cmocka_unit_test(mem_of_a_process_that_is_locked_is_not),
        cmocka_unit_test(mem_uses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
