/* state_test.c - pages and blocks of sequences: laid out, shared, found again, rewound. */
#include "state_toy.h"

/* Inputs 00 01 02 ..., key 00 .. 0f: vectors_sip128 of the authors' reference implementation. */
static void hashes_are_those_of_the_published_vectors(void **state)
{
    static const struct {
        size_t n_word;
        uint8_t hash[16];
    } vectors[] = {
        {0,
         {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
          0x93}},
        {1,
         {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97,
          0xb4}},
        {2,
         {0x6e, 0xe2, 0xa4, 0xca, 0x67, 0xb0, 0x54, 0xbb, 0xfd, 0x33, 0x15, 0xbf, 0x85, 0x23, 0x05,
          0x77}},
    };
    uint8_t bytes[16];
    uint64_t words[2];
    (void)state;
    for (uint8_t at = 0; at < sizeof(bytes); at++)
        bytes[at] = at;
    memcpy(words, bytes, sizeof(words));
    for (size_t vector = 0; vector < WEIR_COUNT(vectors); vector++) {
        const struct weir_hash hash = weir_hash_words(bytes, words, vectors[vector].n_word);
        assert_memory_equal(&hash, vectors[vector].hash, sizeof(hash));
    }
}

/* Every id of a page counts, and every one before it, and the key. */
static void every_id_changes_the_hash_of_its_page(void **state)
{
    static uint32_t ids[512];
    (void)state;
    for (uint32_t length = 8; length <= WEIR_COUNT(ids); length *= 2) {
        struct weir_state of = {.page_length = length};
        const struct weir_hash none = {{0, 0}};
        const struct weir_hash one = {{0, 1}};
        const struct weir_hash first = weir_hash_page(&of, &none, ids);
        for (uint32_t at = 0; at < length; at++) {
            ids[at]++;
            const struct weir_hash other = weir_hash_page(&of, &none, ids);
            assert_memory_not_equal(&first, &other, sizeof(first));
            ids[at]--;
        }
        const struct weir_hash later = weir_hash_page(&of, &one, ids);
        assert_memory_not_equal(&first, &later, sizeof(first));
        of.hash_key[15] = 1;
        const struct weir_hash keyed = weir_hash_page(&of, &none, ids);
        assert_memory_not_equal(&first, &keyed, sizeof(first));
    }
}

static void a_page_has_1_to_4_mib(void **state)
{
    (void)state;
#ifndef WEIR_HOSTILE
    for (uint64_t bytes = 1; bytes <= 256 * KIB; bytes = bytes * 3 / 2 + 1)
        for (uint64_t n_ctx = 1; n_ctx <= UINT32_MAX; n_ctx = n_ctx * 5 / 2 + 1) {
            const struct weir_state_layer layer = {WEIR_STATE_POSITIONS, 0, bytes, false};
            const struct weir_state_config config = {
                .layer_count = 1, .layers = &layer, .n_ctx = (uint32_t)n_ctx};
            const uint64_t length = weir_state_page_length(&config);
            const uint64_t page_bytes = length * weir_max(bytes, sizeof(uint32_t));
            assert_true((length & (length - 1)) == 0 && length >= WEIR_STATE_PAGE_LENGTH_MIN);
            assert_true(page_bytes <= 4 << 20);
            assert_true(page_bytes >= 1 << 20 || length >= n_ctx);
            assert_true(length == WEIR_STATE_PAGE_LENGTH_MIN || length < 2 * n_ctx);
            /* The ids, and what is left of a page of memory. */
            assert_in_range(weir_state_page_bytes(&config), length * bytes,
                            length * (bytes + sizeof(uint32_t)) + 2 * 4096);
        }
    /* The longer the context, the longer its pages. */
    struct weir_state_layer layer = {WEIR_STATE_POSITIONS, 0, 16 * KIB, false};
    struct weir_state_config config = {.layer_count = 1, .layers = &layer, .n_ctx = 1024};
    assert_int_equal(weir_state_page_length(&config), 64);
    config.n_ctx = 4096;
    assert_int_equal(weir_state_page_length(&config), 128);
    config.n_ctx = 1 << 20;
    assert_int_equal(weir_state_page_length(&config), 256);
    /* So few positions have more than 4 MiB. */
    layer.bytes = 1 << 20;
    assert_int_equal(weir_state_page_length(&config), WEIR_STATE_PAGE_LENGTH_MIN);
#endif
}

/* No two layers share a byte, in a page or in a block. */
static void layers_lie_beside_each_other(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++) {
        struct toy toy;
        uint32_t ids[CTX];
        open_toy(&toy, layouts[layout]);
        struct text text = begin_text(&toy);
        tell_story(ids, 1);
        feed(&toy, &text, ids, CTX, CTX);
        end_text(&toy, &text);
        close_toy(&toy);
    }
}

static void kinds_of_window_are_counted(void **state)
{
    struct weir_mem mem;
    struct weir_err err = {0};
    weir_state *none = NULL;
    struct weir_state_layer layers[LAYERS_MAX] = {
        {WEIR_STATE_WINDOW, 10, 64, false}, {WEIR_STATE_POSITIONS, 0, 64, false},
        {WEIR_STATE_WINDOW, 11, 64, false}, {WEIR_STATE_WINDOW, 12, 64, false},
        {WEIR_STATE_WINDOW, 10, 64, false}, {WEIR_STATE_WINDOW, 13, 64, false}};
    struct weir_state_config config = {.layer_count = 5, .layers = layers, .n_ctx = 100};
    (void)state;
    weir_mem_init(&mem);
    assert_int_equal(weir_state_create(&none, &config, &mem, &err), WEIR_OK);
    assert_true(weir_state_page_bytes(&config) > 0);
    config.layer_count = 6;
    weir_mem_init(&mem);
    assert_int_equal(weir_state_create(&none, &config, &mem, &err), WEIR_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "layer 5 has a window of 13 positions"));
    assert_non_null(strstr(err.text, "3 others"));
    assert_int_equal(weir_state_page_bytes(&config), 0);
    assert_null(none);
}

/* The longest context that there is asks for no more addresses than one of 2^20 / 8 pages. */
static void addresses_are_for_so_many_pages_at_most(void **state)
{
    const struct weir_state_layer layer = {WEIR_STATE_POSITIONS, 0, 256 * KIB, false};
    struct weir_state_config config = {.layer_count = 1, .layers = &layer};
    uint64_t bytes[2];
    (void)state;
    config.n_ctx = 1;
    const uint32_t page_length = weir_state_page_length(&config);
    for (int longest = 0; longest < 2; longest++) {
        struct weir_mem mem;
        weir_state *none = NULL;
        config.n_ctx = longest ? UINT32_MAX : page_length * (WEIR_STATE_PAGE_MAX / 8);
        assert_int_equal(weir_state_page_length(&config), page_length);
        weir_mem_init(&mem);
        assert_int_equal(weir_state_create(&none, &config, &mem, NULL), WEIR_OK);
        assert_null(none);
        assert_int_equal(weir_mem_reached_bytes(&mem, WEIR_MEM_KV), 0);
        bytes[longest] = weir_mem_bytes(&mem);
    }
    assert_true(bytes[0] >= (uint64_t)WEIR_STATE_PAGE_MAX * page_length * layer.bytes);
    assert_int_equal(bytes[0], bytes[1]);
}

static void any_chunks_leave_the_same(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++)
        for (uint32_t chunk = 1; chunk < 50; chunk += 11) {
            struct toy toy;
            uint32_t ids[CTX];
            open_toy(&toy, layouts[layout]);
            struct text text = begin_text(&toy);
            tell_story(ids, 1);
            feed(&toy, &text, ids, 100, chunk);
            /* Reserved far ahead, committed bit by bit. */
            reserve(&toy, &text, CTX);
            for (uint32_t done = 100; done < CTX;)
                done += step(&toy, &text, ids + done, (uint32_t)weir_min(chunk, CTX - done));
            check_text(&toy, &text);
            weir_sequence_commit(text.sequence, NULL, 0);
            check_text(&toy, &text);
            end_text(&toy, &text);
            close_toy(&toy);
        }
}

/* ---- fork ----------------------------------------------------------------------------------- */

static void forks_write_beside_each_other(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++)
        for (uint32_t length = 0; length < 60; length += 13) {
            struct toy toy;
            uint32_t ids[3][CTX];
            open_toy(&toy, layouts[layout]);
            for (uint32_t story = 0; story < 3; story++)
                tell_story(ids[story], story);
            struct text first = begin_text(&toy);
            feed(&toy, &first, ids[0], length, 9);
            reserve(&toy, &first, length + 40); /* is the first one's own */
            rewind_text(&toy, &first, length);
            struct text second = fork_text(&toy, &first);
            struct text third = fork_text(&toy, &second);
            feed(&toy, &second, ids[1], 50, 10);
            feed(&toy, &first, ids[0], 50, 7);
            check_text(&toy, &second);
            end_text(&toy, &second);
            feed(&toy, &third, ids[2], 50, 16);
            check_text(&toy, &first);
            end_text(&toy, &first);
            feed(&toy, &third, ids[2], 50, 50);
            end_text(&toy, &third);
            close_toy(&toy);
        }
}

static void only_the_last_page_is_copied(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &positions_only);
    const uint32_t length = 3 * toy.page_length;
    tell_story(ids, 1);
    struct text first = begin_text(&toy);
    feed(&toy, &first, ids, length + 3, CTX);
    struct text second = fork_text(&toy, &first);
    assert_int_equal(stats_of(&toy).used_pages, 4);
    assert_int_equal(weir_sequence_lack(second.sequence, second.length), 0);
    assert_int_equal(weir_sequence_lack(second.sequence, second.length + 1), 1);
    assert_int_equal(weir_sequence_lack(second.sequence, 4 * toy.page_length + 1), 2);
    assert_int_equal(weir_sequence_reserve(second.sequence, second.length, NULL), WEIR_OK);
    assert_int_equal(stats_of(&toy).copied_pages, 0);
    feed(&toy, &second, ids, 1, 1);
    feed(&toy, &first, ids, 1, 1); /* is alone there now */
    assert_int_equal(stats_of(&toy).copied_pages, 1);
    assert_int_equal(stats_of(&toy).used_pages, 5);
    end_text(&toy, &second);
    /* At the end of a page there is nothing to copy. */
    rewind_text(&toy, &first, length);
    second = fork_text(&toy, &first);
    feed(&toy, &second, ids, 1, 1);
    feed(&toy, &first, ids, 1, 1);
    assert_int_equal(stats_of(&toy).copied_pages, 1);
    end_text(&toy, &first);
    end_text(&toy, &second);
    assert_int_equal(stats_of(&toy).used_pages, 0);
    close_toy(&toy);
}

/* ---- adopt ---------------------------------------------------------------------------------- */

static void known_pages_are_found_again(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    uint32_t other[CTX];
    (void)state;
    open_toy(&toy, &positions_only); /* with a hash key of zeros */
    const uint32_t page = toy.page_length;
    tell_story(ids, 1);
    struct text first = begin_text(&toy);
    struct text second = begin_text(&toy);
    assert_int_equal(adopt_text(&toy, &second, ids, CTX), 0);
    feed(&toy, &first, ids, 5 * page + 3, 10);
    /* While it lives; never all of what is asked for. */
    assert_int_equal(adopt_text(&toy, &second, ids, CTX), 5 * page);
    assert_int_equal(weir_sequence_pages(second.sequence)[4],
                     weir_sequence_pages(first.sequence)[4]);
    for (uint32_t count = 0; count <= 3 * page; count++) {
        rewind_text(&toy, &second, 0);
        assert_int_equal(adopt_text(&toy, &second, ids, count),
                         count == 0 ? 0 : (count - 1) / page * page);
    }
    /* After it ended. */
    rewind_text(&toy, &second, 0);
    end_text(&toy, &first);
    assert_int_equal(stats_of(&toy).kept_pages, 5);
    assert_int_equal(stats_of(&toy).used_pages, 0);
    reserve(&toy, &second, 2 * page); /* what was reserved goes */
    assert_int_equal(adopt_text(&toy, &second, ids, 3 * page), 2 * page);
    assert_int_equal(stats_of(&toy).kept_pages, 3);
    assert_int_equal(stats_of(&toy).used_pages, 2);
    feed(&toy, &second, ids + 2 * page, 20, 20);
    /* One id differs. */
    for (uint32_t at = 0; at < 5 * page; at++) {
        rewind_text(&toy, &second, 0);
        memcpy(other, ids, sizeof(other));
        other[at] ^= 1;
        assert_int_equal(adopt_text(&toy, &second, other, CTX), at / page * page);
    }
    end_text(&toy, &second);
    close_toy(&toy);
}

/* Ids are compared: an equal hash is not enough. */
static void pages_with_an_equal_hash_are_told_apart(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &positions_only);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, CTX, CTX);
    const uint32_t page = weir_sequence_pages(text.sequence)[0];
    const struct weir_hash hash = toy.state->pages[page].hash;
    assert_int_equal(weir_index_find(toy.state, &hash, ids), page);
    ids[0]++;
    assert_int_equal(weir_index_find(toy.state, &hash, ids), WEIR_STATE_NO_PAGE);
    end_text(&toy, &text);
    close_toy(&toy);
}

/* ---- rewind --------------------------------------------------------------------------------- */

static void what_is_written_anew_is_not_found_as_it_was(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    uint32_t other[CTX];
    (void)state;
    open_toy(&toy, &positions_only);
    const uint32_t page = toy.page_length;
    tell_story(ids, 1);
    tell_story(other, 1);
    other[page + 3] = 99;
    struct text text = begin_text(&toy);
    struct text reader = begin_text(&toy);
    feed(&toy, &text, ids, 4 * page, 10);
    assert_int_equal(rewind_text(&toy, &text, page + 3), page + 3); /* within a full page */
    assert_int_equal(stats_of(&toy).kept_pages, 2);
    feed(&toy, &text, other + page + 3, 2, 1);
    assert_int_equal(adopt_text(&toy, &reader, ids, CTX), page); /* the second is forgotten */
    rewind_text(&toy, &reader, 0);
    feed(&toy, &text, other + page + 5, 2 * page, 10);
    assert_int_equal(adopt_text(&toy, &reader, other, CTX), 3 * page);
    rewind_text(&toy, &reader, 0);
    assert_int_equal(rewind_text(&toy, &text, 2 * page), 2 * page); /* to the end of a page */
    assert_int_equal(rewind_text(&toy, &text, 2 * page), 2 * page);
    feed(&toy, &text, ids, 10, 10);
    assert_int_equal(rewind_text(&toy, &text, 0), 0);
    assert_int_equal(stats_of(&toy).used_pages, 0);
    feed(&toy, &text, ids, 4 * page, 10);
    assert_int_equal(adopt_text(&toy, &reader, ids, CTX), 4 * page);
    end_text(&toy, &text);
    end_text(&toy, &reader);
    close_toy(&toy);
}

static void a_shared_page_stays_as_it_is_when_one_rewinds(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++) {
        struct toy toy;
        uint32_t ids[CTX];
        uint32_t other[CTX];
        open_toy(&toy, layouts[layout]);
        tell_story(ids, 1);
        tell_story(other, 2);
        struct text first = begin_text(&toy);
        feed(&toy, &first, ids, 70, 9);
        struct text second = fork_text(&toy, &first);
        rewind_text(&toy, &second, 66);
        feed(&toy, &second, other, 30, 30);
        rewind_text(&toy, &first, 61);
        check_text(&toy, &second);
        feed(&toy, &first, ids, 30, 30);
        check_text(&toy, &second);
        rewind_text(&toy, &second, 3);
        feed(&toy, &second, other, 30, 30);
        check_text(&toy, &first);
        end_text(&toy, &first);
        check_text(&toy, &second);
        end_text(&toy, &second);
        close_toy(&toy);
    }
}

/* A page computed again takes the place of the kept one: nothing is there twice. */
static void a_kept_page_makes_way_for_its_equal(void **state)
{
    struct toy toy;
    uint32_t ids[CTX];
    (void)state;
    open_toy(&toy, &positions_only);
    tell_story(ids, 1);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, 3 * toy.page_length, CTX);
    struct text equal = begin_text(&toy);
    feed(&toy, &equal, ids, 3 * toy.page_length, CTX); /* both are in use: the first are found */
    assert_int_equal(stats_of(&toy).used_pages, 6);
    end_text(&toy, &equal);
    assert_int_equal(stats_of(&toy).kept_pages, 0);
    end_text(&toy, &text);
    assert_int_equal(stats_of(&toy).kept_pages, 3);
    text = begin_text(&toy);
    feed(&toy, &text, ids, 3 * toy.page_length, CTX);
    assert_int_equal(stats_of(&toy).kept_pages, 0);
    end_text(&toy, &text);
    assert_int_equal(stats_of(&toy).kept_pages, 3);
    close_toy(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_published_vectors),
        cmocka_unit_test(every_id_changes_the_hash_of_its_page),
        cmocka_unit_test(a_page_has_1_to_4_mib),
        cmocka_unit_test(layers_lie_beside_each_other),
        cmocka_unit_test(kinds_of_window_are_counted),
        cmocka_unit_test(addresses_are_for_so_many_pages_at_most),
        cmocka_unit_test(any_chunks_leave_the_same),
        cmocka_unit_test(forks_write_beside_each_other),
        cmocka_unit_test(only_the_last_page_is_copied),
        cmocka_unit_test(known_pages_are_found_again),
        cmocka_unit_test(pages_with_an_equal_hash_are_told_apart),
        cmocka_unit_test(what_is_written_anew_is_not_found_as_it_was),
        cmocka_unit_test(a_shared_page_stays_as_it_is_when_one_rewinds),
        cmocka_unit_test(a_kept_page_makes_way_for_its_equal),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
