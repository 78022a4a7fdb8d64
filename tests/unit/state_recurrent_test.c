/* state_recurrent_test.c - blocks of recurrent layers: kept at ends of pages, gone back to. */
#include "state_toy.h"

static void steps_end_with_their_page(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &recurrent);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    for (uint32_t length = 0; length < 2 * toy.page_length; length++) {
        const uint32_t left = toy.page_length - length % toy.page_length;
        assert_int_equal(weir_sequence_step_max(text.sequence, 1), 1);
        assert_int_equal(weir_sequence_step_max(text.sequence, left), left);
        assert_int_equal(weir_sequence_step_max(text.sequence, UINT32_MAX), left);
        feed(&toy, &text, ids + length, 1, 1);
    }
    end_text(&toy, &text);
    close_toy(&toy);
    open_toy(&toy, &one_window);
    text = begin_text(&toy);
    assert_int_equal(weir_sequence_step_max(text.sequence, UINT32_MAX), UINT32_MAX);
    end_text(&toy, &text);
    close_toy(&toy);
}

static void a_block_is_that_of_the_nearest_snapshot(void **state)
{
    (void)state;
    for (uint32_t to = 0; to < 60; to++) {
        struct toy toy;
        uint32_t ids[CTX];
        open_toy(&toy, &recurrent);
        tell_story(ids, 1);
        struct text text = begin_text(&toy);
        feed(&toy, &text, ids, 60, 7);
        const uint32_t gone = (uint32_t)weir_max(60 / toy.page_length, 6) - 6;
        const uint32_t page = to / toy.page_length;
        const uint32_t nearest = page > gone ? page * toy.page_length : 0;
        assert_int_equal(rewind_text(&toy, &text, to), nearest);
        assert_int_equal(rewind_text(&toy, &text, nearest), nearest); /* there it is */
        feed(&toy, &text, ids + nearest, 60, 10);
        end_text(&toy, &text);
        close_toy(&toy);
    }
}

/* The newest of a text are kept; those of texts that ended make way first. */
static void the_newest_snapshots_are_kept(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &recurrent);
    const uint32_t page = toy.page_length;
    for (uint32_t story = 0; story < 3; story++) {
        tell_story(ids, story);
        struct text text = begin_text(&toy);
        feed(&toy, &text, ids, 8 * page, CTX);
        assert_int_equal(toy.state->snapshot_count, 6);
        assert_int_equal(rewind_text(&toy, &text, 8 * page - 1), 7 * page);
        feed(&toy, &text, ids + 7 * page, page, CTX);
        assert_int_equal(rewind_text(&toy, &text, 3 * page + 1), 3 * page);
        assert_int_equal(rewind_text(&toy, &text, 3 * page - 1), 0);
        end_text(&toy, &text);
        text = begin_text(&toy);
        assert_int_equal(adopt_text(&toy, &text, ids, CTX), 8 * page);
        end_text(&toy, &text);
    }
    close_toy(&toy);
}

/* So that copies of a large block are seldom, and steps long. */
static void snapshots_may_be_pages_apart(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &seldom_snapshots);
    const uint32_t apart = toy.state->snapshot_length;
    assert_int_equal(apart % toy.page_length, 0);
    assert_in_range(apart, 24, 32);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    assert_int_equal(weir_sequence_step_max(text.sequence, CTX), apart);
    feed(&toy, &text, ids, 2 * apart + 7, CTX);
    assert_int_equal(toy.state->snapshot_count, 2);
    assert_int_equal(weir_sequence_step_max(text.sequence, CTX), apart - 7);
    assert_int_equal(weir_sequence_reach(text.sequence, 2 * apart + 7), 2 * apart + 7);
    assert_int_equal(weir_sequence_reach(text.sequence, 2 * apart + 6), 2 * apart);
    assert_int_equal(rewind_text(&toy, &text, 2 * apart + 6), 2 * apart);
    feed(&toy, &text, ids + 2 * apart, 7, CTX);
    end_text(&toy, &text);
    text = begin_text(&toy);
    assert_int_equal(adopt_text(&toy, &text, ids, CTX), 2 * apart);
    end_text(&toy, &text);
    close_toy(&toy);
}

static void a_text_computed_again_can_be_rewound(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &recurrent);
    const uint32_t page = toy.page_length;
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    for (int round = 0; round < 3; round++) {
        rewind_text(&toy, &text, 0);
        feed(&toy, &text, ids, 3 * page, 7);
        assert_int_equal(rewind_text(&toy, &text, 3 * page - 1), 2 * page);
        feed(&toy, &text, ids + 2 * page, page, 7);
    }
    /* Beside another that has equal pages. */
    struct text equal = begin_text(&toy);
    feed(&toy, &equal, ids, 3 * page, 7);
    assert_int_equal(rewind_text(&toy, &equal, 3 * page - 1), 2 * page);
    end_text(&toy, &text);
    end_text(&toy, &equal);
    weir_state_trim(toy.state, 0);
    assert_int_equal(weir_state_populated_bytes(toy.state), 0);
    close_toy(&toy);
}

/* A step that was stopped has changed the block, though the text is no longer for it. */
static void a_step_that_is_not_committed_leaves_nothing(void **state)
{
    (void)state;
    for (uint32_t length = 0; length < 50; length += 5) {
        struct toy toy;
        uint32_t ids[CTX];
        open_toy(&toy, &recurrent);
        tell_story(ids, 1);
        struct text text = begin_text(&toy);
        feed(&toy, &text, ids, length, 7);
        memcpy(text.ids, ids, sizeof(ids));
        reserve(&toy, &text, length + 3);
        for (uint32_t position = length; position < length + 3; position++)
            compute(&toy, &text, position, 0);
        if (length == 0) {
            assert_int_equal(adopt_text(&toy, &text, ids, 1), 0);
        } else {
            const uint32_t nearest = length / toy.page_length * toy.page_length;
            assert_int_equal(rewind_text(&toy, &text, length), nearest);
        }
        feed(&toy, &text, ids + text.length, 50, 7);
        end_text(&toy, &text);
        close_toy(&toy);
    }
}

/* A step that the kernel has no memory to keep a snapshot of is not lost. */
static void a_snapshot_may_fail(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &recurrent);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, toy.page_length, CTX);
    reserve(&toy, &text, 2 * toy.page_length);
    weir_heap_fail_at(1);
    step(&toy, &text, ids + text.length, toy.page_length);
    weir_heap_fail_at(0);
    check_text(&toy, &text);
    assert_int_equal(toy.state->snapshot_count, 1);
    feed(&toy, &text, ids + text.length, 2 * toy.page_length, CTX);
    assert_int_equal(rewind_text(&toy, &text, 3 * toy.page_length - 1), toy.page_length);
    end_text(&toy, &text);
    close_toy(&toy);
}

static void so_many_texts_have_blocks(void **state)
{
    static struct text texts[WEIR_STATE_BLOCK_MAX];
    struct toy toy;
    struct weir_err err = {0};
    weir_sequence *none = NULL;
    (void)state;
    open_toy(&toy, &recurrent_windows); /* blocks of a page of memory */
    for (uint32_t index = 0; index < WEIR_STATE_BLOCK_MAX; index++)
        texts[index] = begin_text(&toy);
    assert_int_equal(weir_sequence_create(&none, toy.state, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "1024 are the most"));
    assert_null(none);
    for (uint32_t index = 0; index < WEIR_STATE_BLOCK_MAX; index++)
        end_text(&toy, &texts[index]);
    assert_int_equal(weir_state_populated_bytes(toy.state), 0);
    close_toy(&toy);
}

/* A device has fewer blocks: snapshots of texts that ended give theirs, then there are no more. */
static void a_device_has_so_many_blocks(void **state)
{
    struct text texts[BLOCKS_ELSEWHERE];
    struct toy toy;
    uint32_t ids[CTX];
    struct weir_err err = {0};
    weir_sequence *none = NULL;
    (void)state;
    open_toy(&toy, &elsewhere);
    tell_story(ids, 1);
    texts[0] = begin_text(&toy);
    feed(&toy, &texts[0], ids, 4 * toy.page_length, CTX);
    end_text(&toy, &texts[0]);
    for (uint32_t index = 0; index < BLOCKS_ELSEWHERE; index++)
        texts[index] = begin_text(&toy);
    assert_int_equal(weir_sequence_create(&none, toy.state, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "40 are the most that the GPU has room for"));
    assert_null(none);
    feed(&toy, &texts[0], ids, 4 * toy.page_length, CTX); /* without snapshots */
    assert_int_equal(rewind_text(&toy, &texts[0], toy.page_length), 0);
    for (uint32_t index = 0; index < BLOCKS_ELSEWHERE; index++)
        end_text(&toy, &texts[index]);
    close_toy(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_end_with_their_page),
        cmocka_unit_test(a_block_is_that_of_the_nearest_snapshot),
        cmocka_unit_test(the_newest_snapshots_are_kept),
        cmocka_unit_test(snapshots_may_be_pages_apart),
        cmocka_unit_test(a_text_computed_again_can_be_rewound),
        cmocka_unit_test(a_step_that_is_not_committed_leaves_nothing),
        cmocka_unit_test(a_snapshot_may_fail),
        cmocka_unit_test(so_many_texts_have_blocks),
        cmocka_unit_test(a_device_has_so_many_blocks),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
