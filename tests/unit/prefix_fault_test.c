/* prefix_fault_test.c - a file of texts that is torn, foreign, short or in use; a disk that is full
 * or fails; a process that is killed: what comes back is right or does not come, and it is told. */
#include "io/io_internal.h"
#include "prefix_toy.h"

#include <signal.h>
#include <sys/wait.h>

enum { LENGTH = 100, TRIES = IS_SANITIZED ? 6 : 30 };

static uint32_t ids[CTX];

/* Write the text with a store as config has it; returns its counts. */
static struct weir_prefix_counts write_text(const struct layout *layout,
                                            const struct weir_prefix_config *config)
{
    struct toy toy;
    open_toy(&toy, layout);
    weir_prefix *prefix = open_store(&toy, config);
    struct text text = begin_text(&toy);
    feed(&toy, &text, ids, LENGTH, 13);
    weir_prefix_save(prefix, text.sequence);
    weir_prefix_settle(prefix, text.sequence);
    end_text(&toy, &text);
    wait_for_all(prefix);
    const struct weir_prefix_counts counts = counts_of(prefix);
    assert_int_equal(stats_of(&toy).used_pages, 0);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    return counts;
}

/* What comes back of it, which is right; the text goes on then. */
static uint32_t read_text(const struct layout *layout, const struct weir_prefix_config *config,
                          struct told *told)
{
    struct toy toy;
    uint32_t wanted = 0;
    open_toy(&toy, layout);
    weir_prefix *prefix = open_store(&toy, config);
    struct text text = begin_text(&toy);
    recall_text(&toy, prefix, told, &text, ids, LENGTH + 1, &wanted);
    const uint32_t length = text.length;
    feed(&toy, &text, ids + length, LENGTH + 10 - length, 20);
    end_text(&toy, &text);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    return length;
}

/* ---- damage ---------------------------------------------------------------------------------- */

static uint64_t random_state = 11;

static void spoil(const char *path)
{
    struct stat facts;
    const int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    /* Where something is written: the file has holes. */
    for (int count = 0; count < 3;) {
        const off_t at = (off_t)(weir_random_next(&random_state) % (uint64_t)facts.st_size);
        const off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 || pread(fd, &byte, 1, data + at % 4096) != 1)
            continue;
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, data + at % 4096), 1);
        count++;
    }
    close(fd);
}

static void a_torn_page_does_not_come_back(void **state)
{
    uint32_t lost = 0;
    (void)state;
    for (int round = 0; round < TRIES; round++) {
        const struct layout *layout = layouts[(size_t)round % WEIR_COUNT(layouts)];
        struct told told;
        make_folder();
        const struct weir_prefix_config config = config_of(&told);
        (void)write_text(layout, &config);
        visit_files(spoil);
        const uint32_t length = read_text(layout, &config, &told);
        lost += length < LENGTH;
        assert_true(length == LENGTH || told.count > 0);
        remove_folder();
    }
    assert_true(lost > 0);
}

static void cut(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(
        truncate(path, (off_t)(weir_random_next(&random_state) % (uint64_t)(facts.st_size / 16))),
        0);
}

static void a_short_file_is_read_as_far_as_it_goes(void **state)
{
    (void)state;
    for (int round = 0; round < TRIES; round++) {
        const struct layout *layout = layouts[(size_t)round % WEIR_COUNT(layouts)];
        struct told told;
        make_folder();
        const struct weir_prefix_config config = config_of(&told);
        (void)write_text(layout, &config);
        visit_files(cut);
        (void)read_text(layout, &config, &told);
        remove_folder();
    }
}

static char only_path[512];

static void take_path(const char *path)
{
    snprintf(only_path, sizeof(only_path), "%s", path);
}

static void a_file_of_another_model_is_named_and_ignored(void **state)
{
    struct told told;
    char other_path[512];
    (void)state;
    for (int which = 0; which < 2; which++) {
        make_folder();
        const struct weir_prefix_config config = config_of(&told);
        struct weir_prefix_config other = config;
        if (which == 0)
            other.identity.model[15] ^= 1; /* the name shows the first eight */
        else
            other.identity.layout[15] ^= 1;
        (void)write_text(&positions_only, &config);
        assert_int_equal(read_text(&positions_only, &other, &told), 0);
        assert_non_null(strstr(told.last, "another model"));
        visit_files(take_path);
        assert_non_null(strstr(told.last, only_path));
        /* One of another name is not looked at, nor touched. */
        other.identity.model[0] ^= 1;
        told.count = 0;
        snprintf(other_path, sizeof(other_path), "%s", only_path);
        assert_int_equal(read_text(&positions_only, &other, &told), 0);
        assert_int_equal(told.count, 0);
        assert_int_equal(access(other_path, F_OK), 0);
        remove_folder();
    }
}

static void write_letter(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int line = 0; line < 1000; line++)
        fputs("Dear friend, this is no file of texts.\n", file);
    fclose(file);
}

static void a_file_that_is_not_ours_stays_as_it_is(void **state)
{
    struct told told;
    struct toy toy;
    struct stat before, after;
    struct weir_err err = {0};
    weir_prefix *prefix = NULL;
    (void)state;
    make_folder();
    const struct weir_prefix_config config = config_of(&told);
    (void)write_text(&positions_only, &config);
    visit_files(take_path);
    write_letter(only_path);
    assert_int_equal(stat(only_path, &before), 0);
    open_toy(&toy, &positions_only);
    assert_int_equal(try_store(&prefix, &toy, &config, &err), WEIR_ERR_FORMAT);
    assert_null(prefix);
    assert_non_null(strstr(err.text, only_path));
    assert_int_equal(stat(only_path, &after), 0);
    assert_true(before.st_size == after.st_size);
    assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    close_toy(&toy);
    remove_folder();
}

static void open_refuses_what_cannot_be(void **state)
{
    struct told told;
    struct toy toy;
    struct weir_err err = {0};
    weir_prefix *prefix = NULL, *second = NULL;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    open_toy(&toy, &positions_only);
    config.disk_bytes = 100000;
    assert_int_equal(try_store(&prefix, &toy, &config, &err), WEIR_ERR_ARG);
    struct weir_state_shape shape;
    weir_state_shape_get(toy.state, &shape);
    assert_int_equal(weir_prefix_memory_bytes(&shape, config.disk_bytes), 0);
    config = config_of(&told);
    assert_true(weir_prefix_memory_bytes(&shape, config.disk_bytes) > 0);
    config.folder = "build/no such folder";
    err = (struct weir_err){0};
    assert_int_equal(try_store(&prefix, &toy, &config, &err), WEIR_ERR_IO);
    assert_non_null(strstr(err.text, config.folder));
    if (access("/dev/shm", W_OK) == 0) {
        config.folder = "/dev/shm";
        err = (struct weir_err){0};
        assert_int_equal(try_store(&prefix, &toy, &config, &err), WEIR_ERR_ARG);
        assert_non_null(strstr(err.text, "in memory"));
    }
    config.folder = folder;
    prefix = open_store(&toy, &config);
    err = (struct weir_err){0};
    assert_int_equal(try_store(&second, &toy, &config, &err), WEIR_ERR_IO);
    assert_non_null(strstr(err.text, "another weir"));
    assert_true(weir_prefix_close(&prefix));
    for (uint64_t at = 1; at < 30; at++) { /* no memory for this or that */
        weir_heap_fail_at(at);
        const enum weir_status status = try_store(&prefix, &toy, &config, NULL);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        if (status == WEIR_OK)
            assert_true(weir_prefix_close(&prefix));
    }
    close_toy(&toy);
    remove_folder();
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void a_full_disk_is_told_and_nothing_is_lost(void **state)
{
    struct told told;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    (void)write_text(&positions_only, &config); /* the file itself is there */
    visit_files(remove_file);
    config.io.kind = WEIR_IO_FAKE;
    struct toy toy;
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    assert_true(weir_prefix_close(&prefix));
    close_toy(&toy);
    config.io.fake = (struct weir_io_fake){.seed = 3, .full_rate = 1.0};
    const struct weir_prefix_counts counts = write_text(&positions_only, &config);
    assert_true(counts.failed_writes > 0);
    assert_int_equal(counts.written_records, 0);
    assert_int_equal(counts.records, 0);
    assert_non_null(strstr(told.last, "No space left"));
    config.io.fake.full_rate = 0.0;
    assert_int_equal(read_text(&positions_only, &config, &told), 0);
    remove_folder();
}

static void a_disk_that_fails_costs_time_only(void **state)
{
    static const struct weir_io_fake fakes[] = {
        {.short_rate = 0.3, .retry_rate = 0.3},
        {.error_rate = 0.3},
        {.error_rate = 1.0},
        {.error_rate = 0.05, .short_rate = 0.2, .latency_ns_max = 50000},
    };
    (void)state;
    for (int round = 0; round < TRIES; round++) {
        const struct layout *layout = layouts[(size_t)round % WEIR_COUNT(layouts)];
        struct told told;
        make_folder();
        struct weir_prefix_config config = config_of(&told);
        (void)write_text(layout, &config);
        /* What is there already cannot be made new: the head is read when it is opened. */
        config.io.kind = WEIR_IO_FAKE;
        config.io.fake = fakes[(size_t)round % WEIR_COUNT(fakes)];
        config.io.fake.seed = (uint64_t)round + 1;
        struct toy toy;
        struct weir_err err = {0};
        weir_prefix *prefix = NULL;
        open_toy(&toy, layout);
        if (try_store(&prefix, &toy, &config, &err) == WEIR_OK) {
            struct text text = begin_text(&toy);
            uint32_t wanted = 0;
            recall_text(&toy, prefix, &told, &text, ids, LENGTH + 1, &wanted);
            if (config.io.fake.error_rate == 0.0)
                assert_int_equal(text.length, LENGTH);
            feed(&toy, &text, ids + text.length, LENGTH + 10 - text.length, 20);
            weir_prefix_save(prefix, text.sequence);
            weir_prefix_settle(prefix, text.sequence);
            end_text(&toy, &text);
            assert_true(weir_prefix_close(&prefix));
            assert_int_equal(stats_of(&toy).used_pages, 0);
        } else {
            assert_int_equal(err.status, WEIR_ERR_IO);
            assert_true(config.io.fake.error_rate > 0.0);
        }
        close_toy(&toy);
        config.io.kind = WEIR_IO_AUTO;
        (void)read_text(layout, &config, &told);
        remove_folder();
    }
}

/* What the device may still write stays nobody's, and the text is computed. */
static void a_disk_that_does_not_answer_is_given_up(void **state)
{
    struct told told;
    struct toy toy;
    uint32_t wanted = 0;
    (void)state;
    make_folder();
    struct weir_prefix_config config = config_of(&told);
    (void)write_text(&positions_only, &config);
    config.io.kind = WEIR_IO_FAKE;
    config.io.stall_ns = 50000000;
    config.io.fake = (struct weir_io_fake){.seed = 1};
    open_toy(&toy, &positions_only);
    weir_prefix *prefix = open_store(&toy, &config);
    prefix->io->config.fake.lost_rate = 1.0;
    struct text text = begin_text(&toy);
    recall_text(&toy, prefix, &told, &text, ids, LENGTH + 1, &wanted);
    assert_int_equal(wanted, LENGTH);
    assert_int_equal(text.length, 0);
    feed(&toy, &text, ids, LENGTH, 20);
    weir_prefix_save(prefix, text.sequence);
    assert_int_equal(weir_prefix_find(prefix, ids, LENGTH), 0);
    assert_true(counts_of(prefix).failed_reads > 0);
    end_text(&toy, &text);
    assert_true(stats_of(&toy).used_pages > 0);
    assert_false(weir_prefix_close(&prefix));
    weir_state_destroy(&toy.state);
    weir_mem_leave(&toy.mem);
    remove_folder();
}

/* ---- killed while it writes ------------------------------------------------------------------ */

static void write_until_killed(const struct layout *layout, const struct weir_prefix_config *config,
                               int ready)
{
    struct toy toy;
    open_toy(&toy, layout);
    weir_prefix *prefix = open_store(&toy, config);
    for (uint32_t round = 0;; round++) {
        uint32_t story[CTX];
        struct text text = begin_text(&toy);
        tell_story(story, 1 + round % 3);
        feed(&toy, &text, story, LENGTH, 13);
        weir_prefix_save(prefix, text.sequence);
        weir_prefix_settle(prefix, text.sequence);
        end_text(&toy, &text);
        while (stats_of(&toy).used_pages > stats_of(&toy).page_max / 2)
            (void)weir_prefix_wait(prefix, -1); /* a busy disk is slower than this */
        if (round == 2)
            (void)!write(ready, "", 1);
    }
}

static void who_is_killed_while_it_writes_leaves_what_is_right(void **state)
{
    (void)state;
    for (int round = 0; round < TRIES / 3; round++) {
        const struct layout *layout = layouts[(size_t)round % WEIR_COUNT(layouts)];
        struct told told;
        int ready[2], status;
        char byte;
        make_folder();
        struct weir_prefix_config config = config_of(&told);
        config.writes_again = true;
        config.piece_bytes = 64 << 10;
        assert_int_equal(pipe(ready), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(DEADLINE_S);
            write_until_killed(layout, &config, ready[1]);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        usleep((useconds_t)(weir_random_next(&random_state) % 20000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(ready[0]);
        (void)read_text(layout, &config, &told);
        remove_folder();
    }
}

static int set_up(void **state)
{
    (void)state;
    tell_story(ids, 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_page_does_not_come_back),
        cmocka_unit_test(a_short_file_is_read_as_far_as_it_goes),
        cmocka_unit_test(a_file_of_another_model_is_named_and_ignored),
        cmocka_unit_test(a_file_that_is_not_ours_stays_as_it_is),
        cmocka_unit_test(open_refuses_what_cannot_be),
        cmocka_unit_test(a_full_disk_is_told_and_nothing_is_lost),
        cmocka_unit_test(a_disk_that_fails_costs_time_only),
        cmocka_unit_test(a_disk_that_does_not_answer_is_given_up),
        cmocka_unit_test(who_is_killed_while_it_writes_leaves_what_is_right),
    };
    alarm(3 * DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
