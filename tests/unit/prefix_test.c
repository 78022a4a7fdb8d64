/* prefix_test.c - texts kept in a file come back bit by bit, also after a restart; nothing is
 * written twice, and a budget holds. */
#include "prefix_toy.h"

enum { LENGTH = 100, COMMON = 70, ROUNDS = IS_SANITIZED ? 12 : 40 };

/* Two stories that begin alike. */
static void tell_two(uint32_t one[CTX], uint32_t other[CTX])
{
    tell_story(one, 1);
    memcpy(other, one, CTX * sizeof(*one));
    for (uint32_t at = COMMON; at < CTX; at++)
        other[at] += 500;
}

static void write_two(struct toy *toy, weir_prefix *prefix, const uint32_t *one,
                      const uint32_t *other)
{
    struct text text = begin_text(toy);
    feed(toy, &text, one, LENGTH, 13);
    weir_prefix_save(prefix, text.sequence);
    wait_for_all(prefix);
    end_text(toy, &text);
    text = begin_text(toy);
    feed(toy, &text, other, LENGTH, 30);
    weir_prefix_save(prefix, text.sequence);
    weir_prefix_settle(prefix, text.sequence);
    end_text(toy, &text);
    wait_for_all(prefix);
}

static void what_was_saved_comes_back_after_a_restart(void **state)
{
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(layouts); index++) {
        struct told told;
        struct toy toy;
        uint32_t one[CTX], other[CTX], wanted = 0;
        make_folder();
        tell_two(one, other);
        const struct weir_prefix_config config = config_of(&told);
        open_toy(&toy, layouts[index]);
        weir_prefix *prefix = open_store(&toy, &config);
        write_two(&toy, prefix, one, other);
        const struct weir_prefix_counts written = counts_of(prefix);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);

        open_toy(&toy, layouts[index]);
        prefix = open_store(&toy, &config);
        assert_int_equal(counts_of(prefix).records, written.records);
        assert_int_equal(counts_of(prefix).disk_bytes, written.disk_bytes);
        struct text text = begin_text(&toy);
        recall_text(&toy, prefix, &told, &text, one, LENGTH + 1, &wanted);
        assert_int_equal(wanted, LENGTH);
        assert_int_equal(text.length, LENGTH);
        feed(&toy, &text, one + LENGTH, 20, 7); /* it goes on as any text does */
        struct text twin = begin_text(&toy);
        recall_text(&toy, prefix, &told, &twin, other, LENGTH + 20, &wanted);
        assert_int_equal(twin.length, LENGTH);
        feed(&toy, &twin, other + LENGTH, 20, 30);
        check_text(&toy, &text);
        end_text(&toy, &text);
        end_text(&toy, &twin);
        assert_int_equal(told.count, 0);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        remove_folder();
    }
}

static void a_beginning_that_texts_share_is_written_once(void **state)
{
    struct told told;
    struct toy toy;
    uint32_t one[CTX], other[CTX];
    (void)state;
    make_folder();
    tell_two(one, other);
    const struct weir_prefix_config config = config_of(&told);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    write_two(&toy, prefix, one, other);
    const uint32_t pages = (LENGTH + toy.page_length - 1) / toy.page_length;
    const uint32_t common_pages = COMMON / toy.page_length;
    struct weir_prefix_counts counts = counts_of(prefix);
    assert_int_equal(counts.records, 2 * pages - common_pages);
    assert_int_equal(counts.reused_records, common_pages);
    /* The same text again: nothing is written. It goes on: its last page is written anew, and the
     * shorter one goes. */
    struct text text = begin_text(&toy);
    feed(&toy, &text, one, LENGTH, 50);
    weir_prefix_save(prefix, text.sequence);
    wait_for_all(prefix);
    assert_int_equal(counts_of(prefix).written_records, counts.written_records);
    feed(&toy, &text, one + LENGTH, 3, 3);
    weir_prefix_save(prefix, text.sequence);
    wait_for_all(prefix);
    counts = counts_of(prefix);
    assert_int_equal(counts.written_records, 2 * pages - common_pages + 1);
    assert_int_equal(counts.records, 2 * pages - common_pages);
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

/* Every position of the text in the file can be the end of what comes back; a recurrence goes on
 * from where it was saved only. */
static void a_text_comes_back_as_far_as_it_is_the_same(void **state)
{
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(layouts); index++) {
        struct told told;
        struct toy toy;
        uint32_t one[CTX], other[CTX], wanted = 0;
        const bool is_recurrent = weir_state_block_bytes(&layouts[index]->config) > 0;
        make_folder();
        tell_two(one, other);
        const struct weir_prefix_config config = config_of(&told);
        open_toy(&toy, layouts[index]);
        weir_prefix *prefix = open_store(&toy, &config);
        struct text text = begin_text(&toy);
        feed(&toy, &text, one, LENGTH, 13);
        weir_prefix_save(prefix, text.sequence);
        wait_for_all(prefix);
        end_text(&toy, &text);
        weir_state_trim(toy.state, 0); /* memory has nothing of it */
        for (uint32_t count = 1; count <= LENGTH; count += IS_SANITIZED ? 9 : 1) {
            text = begin_text(&toy);
            recall_text(&toy, prefix, &told, &text, one, count, &wanted);
            if (!is_recurrent && weir_state_page_bytes(&toy.config) > 0 &&
                layouts[index] == &positions_only)
                assert_int_equal(text.length, count - 1);
            feed(&toy, &text, one + text.length, count - text.length, 11);
            end_text(&toy, &text);
            weir_state_trim(toy.state, 0);
        }
        text = begin_text(&toy);
        recall_text(&toy, prefix, &told, &text, other, LENGTH, &wanted);
        assert_true(text.length <= COMMON);
        if (layouts[index] == &positions_only)
            assert_int_equal(text.length, COMMON);
        end_text(&toy, &text);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        remove_folder();
    }
}

/* Who goes on while its pages are written changes nothing of what is written. */
static void a_text_goes_on_while_it_is_written(void **state)
{
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(layouts); index++) {
        struct told told;
        struct toy toy;
        uint32_t one[CTX], wanted = 0;
        make_folder();
        tell_story(one, 3);
        struct weir_prefix_config config = config_of(&told);
        config.io.kind = WEIR_IO_FAKE;
        config.io.fake = (struct weir_io_fake){.seed = 5, .latency_ns_max = 100000};
        open_toy(&toy, layouts[index]);
        weir_prefix *prefix = open_store(&toy, &config);
        struct text text = begin_text(&toy);
        for (uint32_t at = 0; at < LENGTH; at += 10) {
            weir_prefix_settle(prefix, text.sequence); /* a block is written where it lies */
            feed(&toy, &text, one + at, 10, 10);
            weir_prefix_save(prefix, text.sequence);
        }
        weir_prefix_settle(prefix, text.sequence);
        (void)rewind_text(&toy, &text, 55);
        end_text(&toy, &text);
        wait_for_all(prefix);
        weir_state_trim(toy.state, 0);
        assert_int_equal(stats_of(&toy).used_pages, 0);
        text = begin_text(&toy);
        recall_text(&toy, prefix, &told, &text, one, LENGTH + 1, &wanted);
        assert_int_equal(text.length, LENGTH);
        end_text(&toy, &text);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        remove_folder();
    }
}

/* Nobody may look again for as long as a step of others takes. */
static void all_of_a_texts_reads_begin_at_once(void **state)
{
    enum { PAGES = 10 };
    struct told told;
    struct toy toy;
    uint32_t story[CTX], wanted = 0;
    struct weir_prefix_find found;
    struct weir_err err = {0};
    (void)state;
    make_folder();
    tell_story(story, 1);
    const struct weir_prefix_config config = config_of(&told);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    struct text text = begin_text(&toy);
    feed(&toy, &text, story, PAGES * toy.page_length - 1, 30);
    weir_prefix_save(prefix, text.sequence);
    wait_for_all(prefix);
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);

    open_toy(&toy, &positions_only);
    prefix = open_store(&toy, &config);
    text = begin_text(&toy);
    wanted = PAGES * toy.page_length;
    if (weir_prefix_recall_begin(prefix, text.sequence, story, wanted, &found, &err) != WEIR_OK ||
        weir_state_populate(toy.state, found.lack, &err) != WEIR_OK ||
        weir_prefix_recall_go(prefix, text.sequence, story, &told, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(found.lack, PAGES);
#ifndef WEIR_HOSTILE                          /* which reads one at a time */
    if (weir_io_mode_get(prefix->io)->direct) /* else the page cache has room for few */
        assert_int_equal(counts_of(prefix).read_calls, 2 * PAGES); /* a head, and positions */
#endif
    weir_prefix_settle(prefix, text.sequence);
    assert_int_equal(told.length, wanted - 1);
    text.length = told.length;
    memcpy(text.ids, story, text.length * sizeof(*story));
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

static void a_budget_holds_and_the_last_texts_are_there(void **state)
{
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(layouts); index++) {
        struct told told;
        struct toy toy;
        struct weir_state_shape shape;
        uint32_t ids[CTX], wanted = 0, story = 0;
        make_folder();
        struct weir_prefix_config config = config_of(&told);
        open_toy(&toy, layouts[index]);
        weir_state_shape_get(toy.state, &shape);
        uint64_t bytes = 4096 + shape.block_bytes;
        for (uint32_t class = 0; class < shape.class_count; class ++)
            bytes += shape.class_bytes[class];
        config.disk_bytes = 24 * weir_max(bytes, shape.block_bytes > 0 ? MEBIBYTE : 0) + 8192;
        weir_prefix *prefix = open_store(&toy, &config);
        for (; story < ROUNDS; story++) {
            tell_story(ids, story);
            struct text text = begin_text(&toy);
            feed(&toy, &text, ids, 40 + story % 30, 40);
            weir_prefix_save(prefix, text.sequence);
            wait_for_all(prefix);
            end_text(&toy, &text);
            const struct weir_prefix_counts counts = counts_of(prefix);
            assert_true(counts.disk_bytes <= counts.disk_bytes_max);
            assert_true(counts.disk_bytes_max <= config.disk_bytes);
            assert_true(counts.records > 0);
        }
        if (toy.page_length <= 16)
            assert_true(counts_of(prefix).evicted_records > 0);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        open_toy(&toy, layouts[index]);
        prefix = open_store(&toy, &config);
        struct text text = begin_text(&toy);
        recall_text(&toy, prefix, &told, &text, ids, CTX, &wanted);
        assert_int_equal(text.length, 40 + (story - 1) % 30);
        end_text(&toy, &text);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        remove_folder();
    }
}

/* All pages are in memory still: the last one comes from the file with its block. */
static void a_block_comes_though_its_pages_are_here(void **state)
{
    static const struct layout *const with_blocks[] = {&recurrent, &recurrent_windows,
                                                       &seldom_snapshots, &recurrent_only};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(with_blocks); index++) {
        struct told told;
        struct toy toy;
        uint32_t ids[CTX], wanted = 0;
        make_folder();
        tell_story(ids, 2);
        const struct weir_prefix_config config = config_of(&told);
        open_toy(&toy, with_blocks[index]);
        weir_prefix *prefix = open_store(&toy, &config);
        const uint32_t length = (uint32_t)weir_min(3 * toy.page_length,
                                                   CTX / 2); /* whole pages, where they are short */
        struct text text = begin_text(&toy);
        feed(&toy, &text, ids, length, 13);
        weir_prefix_save(prefix, text.sequence);
        wait_for_all(prefix);
        struct text twin = begin_text(&toy);
        recall_text(&toy, prefix, &told, &twin, ids, length + 1, &wanted);
        assert_int_equal(twin.length, length);
        feed(&toy, &twin, ids + length, 10, 10);
        end_text(&toy, &twin);
        end_text(&toy, &text);
        assert_true(weir_prefix_close(&prefix));
        close_toy(&toy);
        remove_folder();
    }
}

/* FastSwitch's ideas taken away, and pieces of any size: the same bytes. */
static void ablations_change_how_not_what(void **state)
{
    struct told told;
    struct toy toy;
    uint32_t one[CTX], other[CTX], wanted = 0;
    (void)state;
    make_folder();
    tell_two(one, other);
    struct weir_prefix_config config = config_of(&told);
    config.piece_bytes = 16 << 10;
    config.writes_again = config.waits = true;
    open_toy(&toy, &recurrent_windows);
    weir_prefix *prefix = open_store(&toy, &config);
    write_two(&toy, prefix, one, other);
    const struct weir_prefix_counts counts = counts_of(prefix);
    assert_int_equal(counts.reused_records, 0);
    assert_true(counts.write_calls > 8 * counts.written_records);
    weir_state_trim(toy.state, 0);
    struct text text = begin_text(&toy);
    recall_text(&toy, prefix, &told, &text, one, LENGTH + 1, &wanted);
    assert_int_equal(text.length, LENGTH);
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

static void a_checksum_is_xxh64(void **state)
{
    static const char text[] = "Nobody inspects the spammish repetition";
    (void)state;
    assert_true(weir_prefix_sum("", 0) == 0xef46db3751d8e999ull);
    assert_true(weir_prefix_sum("a", 1) == 0xd24ec4f1a98c6e5bull);
    assert_true(weir_prefix_sum("abc", 3) == 0x44bc2cf5ad770999ull);
    assert_true(weir_prefix_sum(text, sizeof(text) - 1) == 0xfbcea83c8a378bf1ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checksum_is_xxh64),
        cmocka_unit_test(what_was_saved_comes_back_after_a_restart),
        cmocka_unit_test(a_beginning_that_texts_share_is_written_once),
        cmocka_unit_test(a_text_comes_back_as_far_as_it_is_the_same),
        cmocka_unit_test(a_text_goes_on_while_it_is_written),
        cmocka_unit_test(all_of_a_texts_reads_begin_at_once),
        cmocka_unit_test(a_budget_holds_and_the_last_texts_are_there),
        cmocka_unit_test(a_block_comes_though_its_pages_are_here),
        cmocka_unit_test(ablations_change_how_not_what),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
