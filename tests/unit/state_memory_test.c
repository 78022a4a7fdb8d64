/* state_memory_test.c - memory of pages: windows give it back, it is trimmed, or there is none. */
#include "state_toy.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- windows -------------------------------------------------------------------------------- */

static void windows_give_memory_back(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &one_window);
    const struct weir_state_class *window = &toy.state->classes[1];
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    while (text.length < CTX) {
        feed(&toy, &text, ids + text.length, 5, 5);
        const uint32_t passed = text.length < 20 ? 0 : (text.length - 19) / toy.page_length;
        assert_int_equal(weir_state_populated_bytes(toy.state),
                         weir_page_count(toy.state, text.length) * toy.state->page_bytes -
                             passed * window->page_bytes);
    }
    /* As far as the window still reaches, and to nothing where it does not. */
    const uint32_t kept_from = (CTX - 19) / toy.page_length * toy.page_length;
    assert_int_equal(rewind_text(&toy, &text, kept_from + 19), kept_from + 19);
    feed(&toy, &text, ids + text.length, CTX - text.length, 50);
    assert_int_equal(rewind_text(&toy, &text, kept_from + 18), 0);
    feed(&toy, &text, ids, CTX, 50);
    end_text(&toy, &text);
    close_toy(&toy);
}

/* Rewinding by a little is free; what it costs is what was asked for. */
static void windows_keep_what_a_short_rewind_sees(void **state)
{
    enum { BACK = 21 };
    static const struct layout layout = {
        .name = "a window that keeps more",
        .config = {.rewind_length = BACK},
        .layers = {{WEIR_STATE_WINDOW, 20, 32 * KIB}, {WEIR_STATE_POSITIONS, 0, 32 * KIB}}};
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &layout);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    while (text.length < CTX) {
        feed(&toy, &text, ids + text.length, (uint32_t)weir_min(3, CTX - text.length), 3);
        const uint32_t back = (uint32_t)weir_min(BACK, text.length);
        const uint32_t to = text.length - back;
        for (uint32_t position = to; position <= text.length; position++)
            assert_int_equal(weir_sequence_reach(text.sequence, position), position);
        if (text.length % 5 == 0) {
            const uint32_t length = text.length;
            assert_int_equal(rewind_text(&toy, &text, to), to);
            feed(&toy, &text, ids + to, back, 4);
            assert_int_equal(text.length, length);
        }
    }
    assert_true(text.sequence->first_kept[1] > 0);
    end_text(&toy, &text);
    close_toy(&toy);
}

/* What a plan goes by: never too little, and too much by a page a window at most. */
static void a_text_has_the_bytes_that_were_said(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++)
        for (uint32_t chunk = 1; chunk <= 81; chunk += 20) {
            struct toy toy;
            uint32_t ids[CTX];
            uint64_t most_bytes = 0;
            open_toy(&toy, layouts[layout]);
            tell_story(ids, 1);
            struct text text = begin_text(&toy);
            while (text.length < CTX) {
                const uint32_t n_row = weir_sequence_step_max(
                    text.sequence, (uint32_t)weir_min(chunk, CTX - text.length));
                reserve(&toy, &text, text.length + n_row);
                const uint64_t bytes = weir_state_populated_bytes(toy.state) +
                                       weir_state_snapshot_room_bytes(toy.state);
                most_bytes = weir_max(most_bytes, bytes);
                if (bytes > weir_state_bytes(&toy.config, text.length + n_row, chunk))
                    fail_msg("%s: %u positions in steps of %u", layouts[layout]->name,
                             text.length + n_row, chunk);
                step(&toy, &text, ids + text.length, n_row);
            }
            assert_true(weir_state_bytes(&toy.config, CTX, chunk) <=
                        most_bytes + 2 * toy.state->page_bytes);
            end_text(&toy, &text);
            close_toy(&toy);
        }
}

/* What the next position is written in must have memory, also where it sees nothing else. */
static void a_window_of_one_is_rewound_to_where_it_can_be_written(void **state)
{
    static const struct layout layout = {
        .name = "a window of one",
        .layers = {{WEIR_STATE_WINDOW, 1, 32 * KIB}, {WEIR_STATE_POSITIONS, 0, 32 * KIB}}};
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &layout);
    const uint32_t page = toy.page_length;
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, 5 * page + 5, 7);
    assert_int_equal(rewind_text(&toy, &text, 5 * page + 2), 5 * page + 2);
    assert_int_equal(rewind_text(&toy, &text, 3 * page + 2), 3 * page);
    feed(&toy, &text, ids + 3 * page, 2 * page, 7);
    assert_int_equal(rewind_text(&toy, &text, 2 * page), 2 * page);
    feed(&toy, &text, ids + 2 * page, 1, 1);
    end_text(&toy, &text);
    weir_state_trim(toy.state, 0);
    assert_int_equal(weir_state_populated_bytes(toy.state), 0);
    close_toy(&toy);
}

/* Where one text's window has passed and the other text ends, nobody reaches the memory. */
static void a_shared_window_goes_with_the_last_who_reaches_it(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &one_window);
    tell_story(ids, 1);
    struct text first = begin_text(&toy);
    feed(&toy, &first, ids, 3 * toy.page_length, CTX);
    struct text second = fork_text(&toy, &first);
    feed(&toy, &first, ids + first.length, CTX - first.length, CTX);
    const uint64_t alone_bytes = CTX / toy.page_length * toy.state->page_bytes -
                                 first.sequence->first_kept[1] * toy.state->classes[1].page_bytes;
    assert_true(weir_state_populated_bytes(toy.state) > alone_bytes);
    end_text(&toy, &second);
    assert_int_equal(weir_state_populated_bytes(toy.state), alone_bytes);
    check_text(&toy, &first);
    end_text(&toy, &first);
    close_toy(&toy);
}

static void pages_without_their_windows_are_not_adopted(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &one_window);
    const uint32_t page = toy.page_length;
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, 8 * page, CTX);
    end_text(&toy, &text);
    text = begin_text(&toy);
    assert_int_equal(adopt_text(&toy, &text, ids, 8 * page + 1), 8 * page);
    feed(&toy, &text, ids + 8 * page, page, 7);
    rewind_text(&toy, &text, 0);
    assert_int_equal(adopt_text(&toy, &text, ids, 5 * page), 0); /* the window has passed there */
    /* Computed again they have all, and are found. */
    feed(&toy, &text, ids, 4 * page, 7);
    rewind_text(&toy, &text, 0);
    assert_int_equal(adopt_text(&toy, &text, ids, 5 * page), 4 * page);
    end_text(&toy, &text);
    close_toy(&toy);
}

/* ---- trim and forget ------------------------------------------------------------------------ */

static void the_oldest_kept_page_is_forgotten_first(void **state)
{
    struct toy toy;
    uint32_t ids[3][CTX];
    uint32_t pages[6];
    (void)state;
    open_toy(&toy, &positions_only);
    assert_false(weir_state_forget_oldest(toy.state));
    for (uint32_t story = 0; story < 3; story++) {
        tell_story(ids[story], story);
        struct text text = begin_text(&toy);
        feed(&toy, &text, ids[story], 2 * toy.page_length, CTX);
        pages[2 * story] = weir_sequence_pages(text.sequence)[1];
        pages[2 * story + 1] = weir_sequence_pages(text.sequence)[0];
        end_text(&toy, &text);
    }
    /* Used again, the first story is the newest. */
    struct text again = begin_text(&toy);
    assert_int_equal(adopt_text(&toy, &again, ids[0], CTX), 2 * toy.page_length);
    end_text(&toy, &again);
    for (uint32_t index = 0; index < 6; index++) {
        assert_int_equal(toy.state->kept.oldest, pages[(index + 2) % 6]);
        assert_true(weir_state_forget_oldest(toy.state));
        weir_state_check(toy.state);
        assert_int_equal(stats_of(&toy).forgotten_pages, index + 1);
    }
    assert_false(weir_state_forget_oldest(toy.state));
    assert_int_equal(weir_state_lack_bytes(toy.state, 6), 0); /* free, with their memory */
    assert_int_equal(weir_state_lack_bytes(toy.state, 8), 2 * toy.state->page_bytes);
    close_toy(&toy);
}

static void free_pages_are_trimmed_before_kept_ones(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &positions_only);
    const uint64_t page_bytes = toy.state->page_bytes;
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    struct text live = begin_text(&toy);
    feed(&toy, &text, ids, 5 * toy.page_length, CTX);
    feed(&toy, &live, ids + 1, 1, 1);
    end_text(&toy, &text);
    assert_int_equal(weir_state_populate(toy.state, 4, NULL), WEIR_OK);
    assert_int_equal(weir_state_populated_bytes(toy.state), 10 * page_bytes);
    assert_int_equal(weir_state_trim(toy.state, 10 * page_bytes), 0);
    assert_int_equal(weir_state_trim(toy.state, 7 * page_bytes), 3 * page_bytes);
    assert_int_equal(stats_of(&toy).kept_pages, 5);
    assert_int_equal(weir_state_trim(toy.state, 4 * page_bytes + 1), 3 * page_bytes);
    assert_int_equal(stats_of(&toy).kept_pages, 3);
    text = begin_text(&toy);
    assert_int_equal(adopt_text(&toy, &text, ids, CTX), 3 * toy.page_length);
    end_text(&toy, &text);
    assert_int_equal(weir_state_trim(toy.state, 0), 3 * page_bytes); /* what is used stays */
    check_text(&toy, &live);
    end_text(&toy, &live);
    assert_int_equal(weir_state_trim(toy.state, 0), page_bytes);
    close_toy(&toy);
}

/* ---- no memory ------------------------------------------------------------------------------ */

static void a_kernel_without_memory_is_told(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &mixed_windows);
    tell_story(ids, 1);
    for (uint32_t call = 1; call <= 3 * toy.state->class_count; call++) {
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        assert_int_equal(weir_state_populate(toy.state, 3, &err), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        assert_non_null(strstr(err.text, "the kernel has no memory"));
        weir_state_check(toy.state);
        /* Whole pages have memory, none has a part of it. */
        assert_int_equal(weir_state_populated_bytes(toy.state),
                         (call - 1) / toy.state->class_count * toy.state->page_bytes);
        weir_state_trim(toy.state, 0);
        assert_int_equal(weir_state_populated_bytes(toy.state), 0);
    }
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, CTX, 7);
    end_text(&toy, &text);
    close_toy(&toy);
}

static void a_heap_without_memory_is_told(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &recurrent);
    struct text text = begin_text(&toy);
    for (uint32_t call = 1; call <= 3; call++) { /* the sequence, its table, its block */
        struct weir_err err = {0};
        weir_sequence *none = NULL;
        weir_heap_fail_at(call);
        assert_int_equal(weir_sequence_create(&none, toy.state, &err), WEIR_ERR_NOMEM);
        weir_state_check(toy.state);
        weir_heap_fail_at(call);
        assert_int_equal(weir_sequence_fork(&none, text.sequence, &err), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        assert_null(none);
        weir_state_check(toy.state);
    }
    end_text(&toy, &text);
    close_toy(&toy);
}

/* A kernel that does not take memory (here that of some classes is locked) costs no page, and
 * nothing is forgotten for nothing. */
static void keep_memory_of(uint32_t class_count)
{
    struct toy toy;
    uint32_t ids[CTX];
    bool is_locked = true;
    open_toy(&toy, &one_window);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, 4 * toy.page_length, CTX);
    end_text(&toy, &text);
    const uint64_t before_bytes = weir_state_populated_bytes(toy.state);
    for (uint32_t class = 0; class < class_count; class ++) {
        const struct weir_state_class *at = &toy.state->classes[class];
        /* the sanitizers' mlock does nothing */
        is_locked &= syscall(SYS_mlock, at->base, 4 * at->stride_bytes) == 0;
    }
    if (is_locked && class_count == toy.state->class_count) {
        assert_int_equal(weir_state_trim(toy.state, 0), 0);
        assert_int_equal(stats_of(&toy).kept_pages, 3);
        assert_int_equal(weir_state_populated_bytes(toy.state), before_bytes);
    }
    for (uint32_t round = 0; round < 3; round++) {
        weir_state_trim(toy.state, 0);
        text = begin_text(&toy);
        feed(&toy, &text, ids + round, 4 * toy.page_length, 7);
        end_text(&toy, &text);
    }
    for (uint32_t class = 0; class < class_count && is_locked; class ++) {
        const struct weir_state_class *at = &toy.state->classes[class];
        assert_int_equal(syscall(SYS_munlock, at->base, 4 * at->stride_bytes), 0);
    }
    text = begin_text(&toy);
    feed(&toy, &text, ids, CTX, 7);
    end_text(&toy, &text);
    close_toy(&toy);
}

static void memory_that_stays_is_used_again(void **state)
{
    (void)state;
    keep_memory_of(1);
    keep_memory_of(2);
}

/* Texts until all pages are in use. Returns how many; the last one has fewer than it wants. */
static uint32_t use_all_pages(struct toy *toy, struct text *texts, struct weir_err *err)
{
    for (uint32_t count = 0;; count++) {
        texts[count] = begin_text(toy);
        for (uint32_t length = toy->page_length; length <= CTX + toy->page_length - 1;
             length += toy->page_length) {
            const uint32_t n_position = (uint32_t)weir_min(length, CTX);
            if (weir_state_populate(toy->state,
                                    weir_sequence_lack(texts[count].sequence, n_position),
                                    err) != WEIR_OK)
                return count + 1;
            assert_int_equal(weir_sequence_reserve(texts[count].sequence, n_position, NULL),
                             WEIR_OK);
        }
    }
}

static void no_page_left_is_told_with_both_counts(void **state)
{
    static struct text texts[300];
    struct toy toy;
    struct weir_err err = {0};
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &nothing); /* pages of a few bytes */
    tell_story(ids, 1);
    /* Without memory there is none either. */
    struct text text = begin_text(&toy);
    assert_int_equal(weir_sequence_reserve(text.sequence, 1, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "0 of 256 pages"));
    /* Kept ones are taken, the oldest first. */
    feed(&toy, &text, ids, CTX / toy.page_length * toy.page_length, CTX);
    end_text(&toy, &text);
    err = (struct weir_err){0};
    const uint32_t count = use_all_pages(&toy, texts, &err);
    assert_non_null(strstr(err.text, "256 of 256 pages"));
    err = (struct weir_err){0};
    struct text *last = &texts[count - 1];
    const uint32_t page_count = last->sequence->page_count;
    assert_int_equal(weir_sequence_reserve(last->sequence, CTX, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "256 of 256 pages"));
    assert_int_equal(last->sequence->page_count, page_count);
    check_text(&toy, last);
    assert_int_equal(stats_of(&toy).kept_pages, 0);
    end_text(&toy, &texts[0]);
    feed(&toy, last, ids, CTX, 9);
    for (uint32_t index = 1; index < count; index++)
        end_text(&toy, &texts[index]);
    close_toy(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_give_memory_back),
        cmocka_unit_test(windows_keep_what_a_short_rewind_sees),
        cmocka_unit_test(a_text_has_the_bytes_that_were_said),
        cmocka_unit_test(a_window_of_one_is_rewound_to_where_it_can_be_written),
        cmocka_unit_test(a_shared_window_goes_with_the_last_who_reaches_it),
        cmocka_unit_test(pages_without_their_windows_are_not_adopted),
        cmocka_unit_test(the_oldest_kept_page_is_forgotten_first),
        cmocka_unit_test(free_pages_are_trimmed_before_kept_ones),
        cmocka_unit_test(a_kernel_without_memory_is_told),
        cmocka_unit_test(a_heap_without_memory_is_told),
        cmocka_unit_test(memory_that_stays_is_used_again),
        cmocka_unit_test(no_page_left_is_told_with_both_counts),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
