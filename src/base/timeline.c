/* timeline.c - events in a buffer that threads share without a lock, and the JSON made of them.
 *
 * I1  A place in the buffer is given out once, by adding one to next_index; only who got it writes
 *     there.
 * I2  An event's name is stored last (release) and read first (acquire): where it is not NULL the
 *     rest is complete. Planned memory begins as zeros. */
#include "base/timeline.h"

#include <inttypes.h>
#include <stdatomic.h>

enum { EVENT_ALIGN = 64 };

struct stored_event {
    _Atomic(const char *) name;
    uint64_t begin_ns, end_ns;
    uint32_t arg[WEIR_EVENT_ARG_MAX];
    uint16_t track;
    uint8_t kind;
};

struct weir_timeline {
    uint64_t start_ns;
    uint64_t capacity;
    _Atomic uint64_t next_index; /* above capacity: events that found no room */
    struct stored_event events[];
};

/* Its category, and what its numbers mean. A read's category is its name. */
static const struct {
    const char *category;
    const char *arg[WEIR_EVENT_ARG_MAX];
} kinds[WEIR_EVENT_KIND_COUNT] = {
    [WEIR_EVENT_LOAD] = {.category = "load"},
    [WEIR_EVENT_STEP] = {.category = "step", .arg = {"tokens", "position"}},
    [WEIR_EVENT_LAYER] = {.category = "layer", .arg = {"layer"}},
    [WEIR_EVENT_JOB] = {.category = "job"},
    [WEIR_EVENT_WAIT] = {.category = "wait"},
    [WEIR_EVENT_CALL] = {.category = "call", .arg = {"bytes"}},
    [WEIR_EVENT_READ] = {.arg = {"bytes", "layer", "record", "slice"}},
};

weir_timeline *weir_timeline_layout(struct weir_mem *mem, uint32_t event_count)
{
    if (event_count == 0)
        return NULL;
    weir_timeline *timeline = weir_mem_alloc(
        mem, WEIR_MEM_TIMELINE,
        sizeof(*timeline) + event_count * (uint64_t)sizeof(timeline->events[0]), EVENT_ALIGN);
    if (timeline == NULL)
        return NULL;
    timeline->start_ns = weir_now_ns();
    timeline->capacity = event_count;
    return timeline;
}

void weir_timeline_record(weir_timeline *timeline, const struct weir_event *event)
{
    WEIR_ASSERT(event->track < WEIR_TRACK_COUNT && event->name != NULL);
    /* Relaxed: the number alone matters; keeps I1. */
    const uint64_t index =
        atomic_fetch_add_explicit(&timeline->next_index, 1, memory_order_relaxed);
    if (index >= timeline->capacity)
        return;
    struct stored_event *at = &timeline->events[index];
    at->begin_ns = event->begin_ns;
    at->end_ns = weir_now_ns();
    for (int arg = 0; arg < WEIR_EVENT_ARG_MAX; arg++)
        at->arg[arg] = event->arg[arg];
    at->track = (uint16_t)event->track;
    at->kind = (uint8_t)event->kind;
    atomic_store_explicit(&at->name, event->name, memory_order_release); /* keeps I2 */
}

/* ---- JSON (RFC 8259) ----------------------------------------------------------------------- */

/* What threads and the device are to a viewer: two processes. */
enum { PROCESS_THREADS = 1, PROCESS_DEVICE = 2 };

static void put_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20)
            fprintf(file, "\\u%04x", (unsigned)*at);
        else
            fprintf(file, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    }
    fputc('"', file);
}

/* Numbers of a thread begin at 1: viewers take 0 for the idle thread. */
static void put_place(FILE *file, int process, uint32_t track)
{
    fprintf(file, ",\"pid\":%d,\"tid\":%" PRIu32, process, track + 1);
}

/* Microseconds with every nanosecond kept: no rounding makes a span leave the one around it. */
static void put_time(FILE *file, const char *key, uint64_t ns)
{
    fprintf(file, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

static void put_args(FILE *file, const struct stored_event *event)
{
    bool has_some = false;
    for (int arg = 0; arg < WEIR_EVENT_ARG_MAX; arg++) {
        const char *name = kinds[event->kind].arg[arg];
        if (name == NULL || event->arg[arg] == WEIR_EVENT_ARG_NONE)
            continue;
        fprintf(file, "%s\"%s\":%" PRIu32, has_some ? "," : ",\"args\":{", name, event->arg[arg]);
        has_some = true;
    }
    if (has_some)
        fputc('}', file);
}

static void put_head(FILE *file, char phase, const char *name, const char *category)
{
    fprintf(file, ",\n{\"ph\":\"%c\",\"name\":", phase);
    put_text(file, name);
    fputs(",\"cat\":", file);
    put_text(file, category);
}

/* A span: phase X. */
static void put_span(FILE *file, const struct stored_event *event, const char *name, uint64_t ns)
{
    put_head(file, 'X', name, kinds[event->kind].category);
    put_place(file, PROCESS_THREADS, event->track);
    put_time(file, "ts", ns);
    put_time(file, "dur", event->end_ns - event->begin_ns);
    put_args(file, event);
    fputc('}', file);
}

/* Reads overlap, so each is a pair of its own, held together by an id. */
static void put_read(FILE *file, const struct stored_event *event, const char *name, uint64_t ns,
                     uint64_t id)
{
    for (int end = 0; end < 2; end++) {
        put_head(file, end ? 'e' : 'b', name, name);
        fprintf(file, ",\"id\":%" PRIu64, id);
        put_place(file, PROCESS_DEVICE, 0);
        put_time(file, "ts", end ? ns + (event->end_ns - event->begin_ns) : ns);
        if (!end)
            put_args(file, event);
        fputc('}', file);
    }
}

static void put_track_name(FILE *file, uint32_t track)
{
    fputs(",\n{\"ph\":\"M\",\"name\":\"thread_name\"", file);
    put_place(file, PROCESS_THREADS, track);
    fputs(",\"args\":{\"name\":\"", file);
    if (track == WEIR_TRACK_ENGINE)
        fputs("engine", file);
    else if (track < WEIR_TRACK_READER)
        fprintf(file, "weir-cpu-%" PRIu32, track);
    else
        fprintf(file, "weir-io-%" PRIu32, track - WEIR_TRACK_READER);
    fputs("\"}}", file);
}

/* Returns how many events are in the file. */
static uint64_t put_events(const weir_timeline *timeline, FILE *file, uint64_t event_count)
{
    bool has_events[WEIR_TRACK_COUNT] = {false};
    uint64_t written = 0;
    for (uint64_t index = 0; index < weir_min(event_count, timeline->capacity); index++) {
        const struct stored_event *event = &timeline->events[index];
        const char *name = atomic_load_explicit(&event->name, memory_order_acquire);
        if (name == NULL) /* I2: another thread is at it */
            continue;
        const uint64_t ns = event->begin_ns - timeline->start_ns;
        if (event->kind == WEIR_EVENT_READ) {
            put_read(file, event, name, ns, index);
        } else {
            put_span(file, event, name, ns);
            has_events[event->track] = true;
        }
        written++;
    }
    for (uint32_t track = 0; track < WEIR_TRACK_COUNT; track++)
        if (has_events[track])
            put_track_name(file, track);
    return written;
}

uint64_t weir_timeline_write(const weir_timeline *timeline, FILE *file)
{
    const uint64_t event_count =
        timeline == NULL ? 0 : atomic_load_explicit(&timeline->next_index, memory_order_relaxed);
    fprintf(file,
            "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
            "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"weir\"}},\n"
            "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"device\"}}",
            PROCESS_THREADS, PROCESS_DEVICE);
    const uint64_t written = timeline == NULL ? 0 : put_events(timeline, file, event_count);
    const uint64_t dropped = event_count - written;
    fprintf(file, "\n],\"otherData\":{\"events\":%" PRIu64 ",\"dropped_events\":%" PRIu64 "}}\n",
            written, dropped);
    return dropped;
}
