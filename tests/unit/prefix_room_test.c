/* prefix_room_test.c - how much files of texts take: of a folder that they share, of a disk that is
 * full, and of the page cache. */
#include "io/io_internal.h"
#include "prefix_toy.h"

#include <sys/resource.h>

enum { LENGTH = 100, STORIES = 6 };

static uint32_t stories[STORIES][CTX];
static uint32_t page_count; /* of a story */
static uint64_t page_bytes; /* in a file */

static void save_story(struct toy *toy, weir_prefix *prefix, const uint32_t *story)
{
    struct text text = begin_text(toy);
    feed(toy, &text, story, LENGTH, 13);
    weir_prefix_save(prefix, text.sequence);
    weir_prefix_settle(prefix, text.sequence);
    end_text(toy, &text);
    wait_for_all(prefix);
}

/* How much of it comes back. */
static uint32_t recall_story(struct toy *toy, weir_prefix *prefix, struct told *told,
                             const uint32_t *story)
{
    uint32_t wanted = 0;
    struct text text = begin_text(toy);
    recall_text(toy, prefix, told, &text, story, LENGTH + 1, &wanted);
    const uint32_t length = text.length;
    end_text(toy, &text);
    return length;
}

/* ---- a folder ----------------------------------------------------------------------------- */

/* Files of models 1, 2, ... each with one story, and written one after the other. */
static char paths[STORIES][512];
static uint64_t sum_bytes;

static void add_bytes(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    sum_bytes += (uint64_t)facts.st_blocks * 512;
}

static uint64_t folder_bytes(void)
{
    sum_bytes = 0;
    visit_files(add_bytes);
    return sum_bytes;
}

static struct weir_prefix_config config_of_model(struct told *told, uint8_t model)
{
    struct weir_prefix_config config = config_of(told);
    config.identity.model[0] = model;
    config.disk_bytes = (32 + 2 * page_count + page_count / 2) * page_bytes;
    return config;
}

/* What another model's file is to look like that was written at that time. */
static void write_model(struct told *told, uint8_t model)
{
    const struct timespec times[2] = {{.tv_sec = 1000 + model}, {.tv_sec = 1000 + model}};
    struct toy toy;
    const struct weir_prefix_config config = config_of_model(told, model);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    save_story(&toy, prefix, stories[0]);
    snprintf(paths[model], sizeof(paths[model]), "%s", prefix->path);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    assert_int_equal(utimensat(AT_FDCWD, paths[model], times, 0), 0);
}

static uint32_t read_model(struct told *told, uint8_t model)
{
    struct toy toy;
    const struct weir_prefix_config config = config_of_model(told, model);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    const uint32_t length = recall_story(&toy, prefix, told, stories[0]);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    return length;
}

static void all_files_of_a_folder_have_one_budget(void **state)
{
    struct told told;
    (void)state;
    make_folder();
    /* Each takes a story's pages, and is 32 long: the fourth has no room beside the others. */
    for (uint8_t model = 1; model <= 3; model++)
        write_model(&told, model);
    const uint64_t three_bytes = folder_bytes();
    assert_true(three_bytes >= 3 * page_count * page_bytes);
    write_model(&told, 4);
    assert_non_null(strstr(told.last, paths[1]));
    assert_non_null(strstr(told.last, "becomes shorter"));
    assert_true(folder_bytes() < three_bytes + (page_count - 2) * page_bytes);
    assert_int_equal(read_model(&told, 2), LENGTH);
    assert_int_equal(read_model(&told, 3), LENGTH);
    assert_int_equal(read_model(&told, 4), LENGTH);
    assert_in_range(read_model(&told, 1), 0, LENGTH - 1);
    remove_folder();
}

static void what_is_not_ours_or_is_in_use_stays(void **state)
{
    struct told told, other_told;
    struct toy toy;
    struct stat facts;
    char letter[512];
    (void)state;
    make_folder();
    snprintf(letter, sizeof(letter), "%s/weir-%032x.prefixes", folder, 0x77);
    FILE *file = fopen(letter, "w");
    assert_true(file != NULL && fputs("Dear friend, this is no file of texts.\n", file) > 0);
    assert_int_equal(fclose(file), 0);
    for (uint8_t model = 1; model <= 3; model++)
        write_model(&told, model);
    const struct weir_prefix_config config = config_of_model(&told, 1);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config); /* the oldest one is in use */
    write_model(&other_told, 4);
    assert_non_null(strstr(other_told.last, paths[2]));
    assert_int_equal(recall_story(&toy, prefix, &told, stories[0]), LENGTH);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    assert_int_equal(stat(letter, &facts), 0);
    assert_int_equal(facts.st_size, 39);
    remove_folder();
}

/* ---- a disk that is full ------------------------------------------------------------------ */

/* The first stories fill what there is of the file; then no file may be longer. */
static void a_file_that_may_not_grow_takes_its_oldest_places(void **state)
{
    struct told told;
    struct toy toy;
    struct stat facts;
    struct rlimit before, limit;
    (void)state;
    make_folder();
    const struct weir_prefix_config config = config_of(&told);
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    save_story(&toy, prefix, stories[0]);
    assert_int_equal(stat(prefix->path, &facts), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)facts.st_size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int story = 1; story < STORIES; story++)
        save_story(&toy, prefix, stories[story]);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(strstr(told.last, "may not grow"));
    assert_int_equal(counts_of(prefix).dropped_writes, 0);
    assert_true(counts_of(prefix).evicted_records > 0);
    assert_int_equal(recall_story(&toy, prefix, &told, stories[STORIES - 1]), LENGTH);
    assert_true(recall_story(&toy, prefix, &told, stories[0]) < LENGTH);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

static weir_prefix *full; /* that has no room until it has said so */

static void hear_it_is_full(void *user, const char *text)
{
    say(user, text);
    full->io->config.fake.full_rate = 0.0;
}

static void a_page_that_found_no_room_takes_an_older_ones(void **state)
{
    struct told told;
    struct toy toy;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    config.say = hear_it_is_full;
    open_toy(&toy, &positions_only);
    config.io.kind = WEIR_IO_FAKE;
    config.io.fake = (struct weir_io_fake){.seed = 5};
    full = open_store(&toy, &config);
    save_story(&toy, full, stories[0]);
    full->io->config.fake.full_rate = 1.0;
    save_story(&toy, full, stories[1]);
    assert_non_null(strstr(told.last, "No space left"));
    assert_true(counts_of(full).failed_writes > 0);
    assert_true(counts_of(full).evicted_records > 0);
    assert_int_equal(counts_of(full).dropped_writes, 0);
    assert_int_equal(recall_story(&toy, full, &told, stories[1]), LENGTH);
    assert_true(weir_prefix_close(&full));
    close_toy(&toy);
    remove_folder();
}

/* ---- the page cache ----------------------------------------------------------------------- */

static uint64_t cached_bytes(const weir_prefix *prefix)
{
    return prefix->reading_bytes + prefix->dirty_bytes + prefix->settling_bytes;
}

static void what_goes_through_the_page_cache_is_little_at_a_time(void **state)
{
    struct told told;
    struct toy toy;
    uint64_t most_bytes = 0;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    config.io.buffered = true;
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    struct text text = begin_text(&toy);
    feed(&toy, &text, stories[0], LENGTH, 13);
    weir_prefix_save(prefix, text.sequence);
    do
        most_bytes = weir_max(most_bytes, cached_bytes(prefix));
    while (weir_prefix_wait(prefix, 1000000));
    end_text(&toy, &text);
    while (cached_bytes(prefix) > 0) /* the last barrier */
        (void)weir_prefix_wait(prefix, -1);
    assert_int_equal(counts_of(prefix).written_records, page_count);
    assert_in_range(most_bytes, 1, WEIR_PREFIX_CACHED_BYTES);
    assert_int_equal(recall_story(&toy, prefix, &told, stories[0]), LENGTH);
    assert_int_equal(cached_bytes(prefix), 0);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

static void what_did_not_reach_the_disk_is_told(void **state)
{
    struct told told;
    struct toy toy;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    config.io.buffered = true;
    config.io.kind = WEIR_IO_FAKE;
    config.io.fake = (struct weir_io_fake){.seed = 9};
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    struct text text = begin_text(&toy);
    feed(&toy, &text, stories[0], 8, 8); /* a page at most */
    weir_prefix_save(prefix, text.sequence);
    while (weir_prefix_wait(prefix, -1))
        ;
    assert_int_equal(counts_of(prefix).written_records, 1);
    assert_int_equal(told.count, 0);
    prefix->io->config.fake.error_rate = 1.0; /* before it has answered the barrier */
    while (cached_bytes(prefix) > 0)
        (void)weir_prefix_wait(prefix, -1);
    assert_non_null(strstr(told.last, "could not be written (Input/output error)"));
    assert_int_equal(counts_of(prefix).failed_writes, 1);
    prefix->io->config.fake.error_rate = 0.0;
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    remove_folder();
}

static int set_up(void **state)
{
    struct weir_state_shape shape;
    struct toy toy;
    (void)state;
    for (uint32_t story = 0; story < STORIES; story++)
        tell_story(stories[story], story + 1);
    open_toy(&toy, &positions_only);
    weir_state_shape_get(toy.state, &shape);
    page_count = (LENGTH + shape.page_length - 1) / shape.page_length;
    page_bytes = weir_prefix_head_bytes(shape.page_length, 0) + shape.class_bytes[0];
    close_toy(&toy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_files_of_a_folder_have_one_budget),
        cmocka_unit_test(what_is_not_ours_or_is_in_use_stays),
        cmocka_unit_test(a_file_that_may_not_grow_takes_its_oldest_places),
        cmocka_unit_test(a_page_that_found_no_room_takes_an_older_ones),
        cmocka_unit_test(what_goes_through_the_page_cache_is_little_at_a_time),
        cmocka_unit_test(what_did_not_reach_the_disk_is_told),
    };
    alarm(3 * DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
