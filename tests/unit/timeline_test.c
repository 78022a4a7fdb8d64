/* timeline_test.c - events are whole whoever adds them, the file is JSON, what is lost is told. */
#include "base/timeline.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "sys/sys.h"

static struct weir_mem mem;

static weir_timeline *open_timeline(uint32_t event_count)
{
    weir_mem_init(&mem);
    assert_null(weir_timeline_layout(&mem, event_count));
    assert_int_equal(weir_mem_open(&mem, NULL), WEIR_OK);
    weir_timeline *timeline = weir_timeline_layout(&mem, event_count);
    weir_mem_seal(&mem);
    return timeline;
}

/* The file, parsed; *dropped is what write returned. */
static json_t *write_and_parse(const weir_timeline *timeline, uint64_t *dropped)
{
    json_error_t error;
    FILE *file = tmpfile();
    assert_non_null(file);
    *dropped = weir_timeline_write(timeline, file);
    assert_int_equal(ferror(file), 0);
    rewind(file);
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (root == NULL)
        fail_msg("line %d: %s", error.line, error.text);
    const json_t *other = json_object_get(root, "otherData");
    assert_int_equal(json_integer_value(json_object_get(other, "dropped_events")), *dropped);
    return root;
}

/* The index-th event of a phase; NULL past the last. */
static const json_t *find_event(const json_t *root, const char *phase, size_t index)
{
    const json_t *events = json_object_get(root, "traceEvents");
    for (size_t at = 0; at < json_array_size(events); at++) {
        const json_t *event = json_array_get(events, at);
        if (strcmp(json_string_value(json_object_get(event, "ph")), phase) == 0 && index-- == 0)
            return event;
    }
    return NULL;
}

static const char *text_of(const json_t *event, const char *key)
{
    return json_string_value(json_object_get(event, key));
}

static double number_of(const json_t *event, const char *key)
{
    assert_true(json_is_number(json_object_get(event, key)));
    return json_number_value(json_object_get(event, key));
}

static int64_t arg_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(json_object_get(event, "args"), key);
    return value == NULL ? -1 : json_integer_value(value);
}

static void timeline_of_nothing_is_a_file_without_events(void **state)
{
    (void)state;
    uint64_t dropped = 1;
    weir_mem_init(&mem);
    assert_null(weir_timeline_layout(&mem, 0));
    assert_int_equal(weir_mem_bytes(&mem), 0);
    weir_timeline_add(NULL, (struct weir_event){.name = "nobody"});
    assert_int_equal(weir_timeline_now(NULL), 0);
    json_t *root = write_and_parse(NULL, &dropped);
    assert_int_equal(dropped, 0);
    assert_null(find_event(root, "X", 0));
    json_decref(root);
}

static void timeline_counts_what_finds_no_room(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    enum { ROOM = 4 };
    uint64_t dropped = 0;
    weir_timeline *timeline = open_timeline(ROOM);
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        weir_timeline_add(timeline, (struct weir_event){.name = names[index],
                                                        .kind = WEIR_EVENT_WAIT,
                                                        .begin_ns = weir_timeline_now(timeline)});
        json_t *root = write_and_parse(timeline, &dropped);
        assert_int_equal(dropped, index < ROOM ? 0 : index + 1 - ROOM);
        for (size_t kept = 0; kept < weir_min(index + 1, ROOM); kept++)
            assert_string_equal(text_of(find_event(root, "X", kept), "name"), names[kept]);
        assert_null(find_event(root, "X", weir_min(index + 1, ROOM)));
        json_decref(root);
    }
    weir_mem_close(&mem);
}

static void timeline_escapes_what_json_wants_escaped(void **state)
{
    (void)state;
    static const char name[] = "a \"quoted\\name\"\n\t\x01 of \xc3\xa9";
    uint64_t dropped = 0;
    weir_timeline *timeline = open_timeline(2);
    const uint64_t begin_ns = weir_timeline_now(timeline);
    weir_timeline_add(
        timeline, (struct weir_event){.name = name, .kind = WEIR_EVENT_LOAD, .begin_ns = begin_ns});
    weir_timeline_add(
        timeline, (struct weir_event){.name = name, .kind = WEIR_EVENT_READ, .begin_ns = begin_ns});
    json_t *root = write_and_parse(timeline, &dropped);
    assert_string_equal(text_of(find_event(root, "X", 0), "name"), name);
    assert_string_equal(text_of(find_event(root, "b", 0), "cat"), name);
    json_decref(root);
    weir_mem_close(&mem);
}

static void timeline_reads_are_pairs_with_their_numbers(void **state)
{
    (void)state;
    uint64_t dropped = 0;
    weir_timeline *timeline = open_timeline(8);
    const uint64_t begin_ns = weir_timeline_now(timeline);
    for (uint32_t slice = 0; slice < 2; slice++)
        weir_timeline_add(timeline, (struct weir_event){.name = "demand",
                                                        .kind = WEIR_EVENT_READ,
                                                        .begin_ns = begin_ns,
                                                        .arg = {4096, 7, 31, slice}});
    weir_timeline_add(timeline,
                      (struct weir_event){.name = "trunk",
                                          .kind = WEIR_EVENT_READ,
                                          .begin_ns = begin_ns,
                                          .arg = {512, WEIR_EVENT_ARG_NONE, WEIR_EVENT_ARG_NONE,
                                                  WEIR_EVENT_ARG_NONE}});
    json_t *root = write_and_parse(timeline, &dropped);
    for (size_t index = 0; index < 3; index++) {
        const json_t *begin = find_event(root, "b", index);
        const json_t *end = find_event(root, "e", index);
        assert_string_equal(text_of(begin, "cat"), index < 2 ? "demand" : "trunk");
        assert_string_equal(text_of(begin, "cat"), text_of(end, "cat"));
        assert_true(number_of(begin, "id") == number_of(end, "id"));
        assert_true(number_of(begin, "ts") <= number_of(end, "ts"));
        assert_int_equal(arg_of(begin, "bytes"), index < 2 ? 4096 : 512);
        assert_int_equal(arg_of(begin, "layer"), index < 2 ? 7 : -1);
        assert_int_equal(arg_of(begin, "slice"), index < 2 ? (int)index : -1);
    }
    assert_true(number_of(find_event(root, "b", 0), "id") !=
                number_of(find_event(root, "b", 1), "id"));
    assert_null(find_event(root, "b", 3));
    json_decref(root);
    weir_mem_close(&mem);
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { ADDERS = 4, ADDS = 20000, ADDERS_ROOM = 60000 };

struct adder {
    weir_timeline *timeline;
    uint32_t track;
    _Atomic bool *go;
};

static void *add_many(void *user)
{
    const struct adder *adder = user;
    while (!atomic_load(adder->go))
        ;
    for (uint32_t index = 1; index <= ADDS; index++)
        weir_timeline_add(adder->timeline,
                          (struct weir_event){.name = "step",
                                              .kind = WEIR_EVENT_STEP,
                                              .track = adder->track,
                                              .begin_ns = weir_timeline_now(adder->timeline),
                                              .arg = {index, index * 10 + adder->track}});
    return NULL;
}

/* Each event is one thread's, each thread's come in its own order. Returns how many. */
static size_t check_whole(const json_t *root)
{
    uint32_t last[ADDERS + 1] = {0};
    size_t count = 0;
    const json_t *events = json_object_get(root, "traceEvents");
    for (size_t at = 0; at < json_array_size(events); at++) {
        const json_t *event = json_array_get(events, at);
        if (strcmp(text_of(event, "ph"), "X") != 0)
            continue;
        const uint32_t track = (uint32_t)number_of(event, "tid") - 1;
        const uint32_t index = (uint32_t)arg_of(event, "tokens");
        assert_in_range(track, 1, ADDERS);
        assert_int_equal(arg_of(event, "position"), index * 10 + track);
        assert_true(index > last[track] && number_of(event, "ts") > 0);
        last[track] = index;
        count++;
    }
    return count;
}

static void timeline_events_of_many_threads_are_whole(void **state)
{
    (void)state;
    pthread_t threads[ADDERS];
    struct adder adders[ADDERS];
    _Atomic bool go = false;
    uint64_t dropped = 0;
    weir_timeline *timeline = open_timeline(ADDERS_ROOM);
    for (uint32_t index = 0; index < ADDERS; index++) {
        adders[index] = (struct adder){timeline, index + 1, &go};
        assert_int_equal(pthread_create(&threads[index], NULL, add_many, &adders[index]), 0);
    }
    atomic_store(&go, true);
    size_t seen = 0;
    while (seen == 0) { /* beside the writers */
        json_t *root = write_and_parse(timeline, &dropped);
        seen = check_whole(root);
        json_decref(root);
    }
    for (uint32_t index = 0; index < ADDERS; index++)
        pthread_join(threads[index], NULL);
    json_t *root = write_and_parse(timeline, &dropped);
    assert_int_equal(check_whole(root), ADDERS_ROOM);
    assert_int_equal(dropped, ADDERS * ADDS - ADDERS_ROOM);
    json_decref(root);
    weir_mem_close(&mem);
}

/* ---- jobs of a pool ------------------------------------------------------------------------ */

/* Nobody goes on before all are there, so that each thread has one part of each job. */
static void meet(void *job, uint32_t part, uint32_t n_part)
{
    _Atomic uint32_t *arrived = job;
    (void)part;
    const uint32_t last = (atomic_fetch_add(arrived, 1) / n_part + 1) * n_part;
    while (atomic_load(arrived) < last)
        sched_yield();
}

static void run_jobs(uint32_t n_thread)
{
    enum { JOBS = 20 };
    weir_pool *pool = NULL;
    uint64_t dropped = 0;
    _Atomic uint32_t arrived = 0;
    uint32_t count[3] = {0};
    weir_timeline *timeline = open_timeline(200);
    assert_int_equal(weir_pool_create(&pool, n_thread, NULL), WEIR_OK);
    weir_pool_run(pool, "before", meet, &arrived);
    weir_pool_set_timeline(pool, timeline);
    const uint64_t begin_ns = weir_timeline_now(timeline);
    for (uint32_t job = 0; job < JOBS; job++)
        weir_pool_run(pool, "work", meet, &arrived);
    weir_timeline_add(
        timeline,
        (struct weir_event){.name = "layer", .kind = WEIR_EVENT_LAYER, .begin_ns = begin_ns});
    weir_pool_set_timeline(pool, NULL);
    weir_pool_run(pool, "after", meet, &arrived);
    json_t *root = write_and_parse(timeline, &dropped);
    assert_int_equal(dropped, 0);
    /* The span around the jobs ends last, and holds them all. */
    const json_t *around = find_event(root, "X", JOBS * n_thread);
    assert_string_equal(text_of(around, "name"), "layer");
    assert_null(find_event(root, "X", JOBS * n_thread + 1));
    for (size_t at = 0; at < JOBS * n_thread; at++) {
        const json_t *event = find_event(root, "X", at);
        assert_string_equal(text_of(event, "name"), "work");
        assert_string_equal(text_of(event, "cat"), "job");
        assert_true(number_of(event, "ts") >= number_of(around, "ts"));
        assert_true(number_of(event, "ts") + number_of(event, "dur") <=
                    number_of(around, "ts") + number_of(around, "dur") + 1e-3);
        count[(uint32_t)number_of(event, "tid") - 1]++;
    }
    for (uint32_t part = 0; part < n_thread; part++)
        assert_int_equal(count[part], JOBS);
    json_decref(root);
    weir_pool_destroy(&pool);
    weir_mem_close(&mem);
}

static void timeline_has_each_thread_s_part_of_each_job(void **state)
{
    (void)state;
    run_jobs(1);
    run_jobs(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeline_of_nothing_is_a_file_without_events),
        cmocka_unit_test(timeline_counts_what_finds_no_room),
        cmocka_unit_test(timeline_escapes_what_json_wants_escaped),
        cmocka_unit_test(timeline_reads_are_pairs_with_their_numbers),
        cmocka_unit_test(timeline_events_of_many_threads_are_whole),
        cmocka_unit_test(timeline_has_each_thread_s_part_of_each_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
