/* probe_disk.c - how fast a file's pieces can be read, by bytes in flight. */
#include <time.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/probe.h"

enum { REAP_MAX = 64, IDLE_NS = 1000000 };

enum weir_status weir_probe_places_cut(struct weir_probe_places *places, uint64_t file_bytes,
                                       uint32_t read_bytes, struct weir_err *err)
{
    enum { PLACE_MAX = 1 << 16 };
    const uint64_t piece_count = file_bytes / read_bytes;
    const uint32_t count = (uint32_t)weir_min(piece_count, PLACE_MAX);
    *places = (struct weir_probe_places){.bytes_max = read_bytes};
    places->list = weir_heap_array(count, sizeof(*places->list));
    if (places->list == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u places to read", count);
    for (; places->count < count; places->count++)
        places->list[places->count] = (struct weir_probe_place){
            .offset = piece_count * places->count / count * read_bytes,
            .bytes = read_bytes,
            .min_bytes = read_bytes,
        };
    places->total_bytes = (uint64_t)count * read_bytes;
    return WEIR_OK;
}

void weir_probe_places_free(struct weir_probe_places *places)
{
    weir_heap_free(places->list);
    *places = (struct weir_probe_places){0};
}

/* Fisher and Yates, seeded by the clock: what the last probe read first must not come first again,
 * or a cache of the device or its host might answer. */
static void shuffle(struct weir_probe_places *places)
{
    uint64_t state = weir_now_ns();
    for (uint32_t left = places->count; left > 1; left--) {
        const uint32_t chosen = (uint32_t)(weir_random_next(&state) % left);
        const struct weir_probe_place last = places->list[left - 1];
        places->list[left - 1] = places->list[chosen];
        places->list[chosen] = last;
    }
}

static enum weir_status take_memory(struct weir_disk_probe *probe, struct weir_err *err)
{
    const uint64_t bytes = (uint64_t)probe->slot_count * probe->places.bytes_max;
    weir_mem_alloc(&probe->mem, WEIR_MEM_IO, bytes, WEIR_IO_ALIGN);
    WEIR_TRY(weir_mem_open(&probe->mem, err));
    probe->buffer = weir_mem_alloc(&probe->mem, WEIR_MEM_IO, bytes, WEIR_IO_ALIGN);
    probe->free_slots = weir_heap_array(probe->slot_count, sizeof(*probe->free_slots));
    probe->slot_places = weir_heap_array(probe->slot_count, sizeof(*probe->slot_places));
    if (probe->free_slots == NULL || probe->slot_places == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u reads", probe->slot_count);
    for (; probe->free_count < probe->slot_count; probe->free_count++)
        probe->free_slots[probe->free_count] = probe->free_count;
    return WEIR_OK;
}

enum weir_status weir_disk_probe_open(struct weir_disk_probe *probe, const char *path,
                                      enum weir_io_kind kind, struct weir_probe_places *places,
                                      uint64_t in_flight_max_bytes, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    *probe = (struct weir_disk_probe){.places = *places};
    *places = (struct weir_probe_places){0};
    weir_mem_init(&probe->mem);
    if (probe->places.count == 0) {
        status = WEIR_FAIL(err, WEIR_ERR_ARG, "%s: nothing in it to read", path);
        goto fail;
    }
    const uint64_t wanted = in_flight_max_bytes / probe->places.bytes_max;
    probe->slot_count = (uint32_t)weir_max(1, weir_min(wanted, WEIR_IO_DEPTH_MAX));
    const struct weir_io_config config = {.kind = kind, .depth = probe->slot_count};
    WEIR_TRY_GOTO(weir_io_create(&probe->io, &config, err));
    if (probe->places.manifest != NULL)
        WEIR_TRY_GOTO(weir_files_open(probe->io, probe->places.manifest, err));
    else
        WEIR_TRY_GOTO(weir_io_open(probe->io, path, &(uint32_t){0}, err));
    WEIR_TRY_GOTO(take_memory(probe, err));
    shuffle(&probe->places);
    return WEIR_OK;

fail:
    weir_disk_probe_close(probe);
    return status;
}

void weir_disk_probe_close(struct weir_disk_probe *probe)
{
    if (weir_io_destroy(&probe->io)) /* waits for reads, so before their memory goes */
        weir_mem_close(&probe->mem);
    else
        weir_mem_leave(&probe->mem);
    weir_heap_free(probe->free_slots);
    weir_heap_free(probe->slot_places);
    weir_probe_places_free(&probe->places);
    *probe = (struct weir_disk_probe){0};
}

/* Submit at most read_count places, as many as in_flight_bytes allow but one if none is in flight;
 * returns how many. */
static uint32_t submit(struct weir_disk_probe *probe, uint64_t in_flight_bytes, uint32_t read_count)
{
    uint32_t count = 0;
    while (count < read_count && probe->free_count > 0) {
        const struct weir_probe_place *place = &probe->places.list[probe->next_place];
        const uint32_t slot = probe->free_slots[probe->free_count - 1];
        const struct weir_read read = {
            .offset = place->offset,
            .tag = slot,
            .dst = probe->buffer + (uint64_t)slot * probe->places.bytes_max,
            .bytes = place->bytes,
            .min_bytes = place->min_bytes,
            .file = place->file,
        };
        if (probe->in_flight_bytes > 0 && probe->in_flight_bytes + read.bytes > in_flight_bytes)
            break;
        if (weir_io_submit(probe->io, &read, 1) == 0)
            break;
        probe->free_count--;
        probe->slot_places[slot] = probe->next_place;
        probe->in_flight_bytes += read.bytes;
        probe->next_place = (probe->next_place + 1) % probe->places.count;
        count++;
    }
    return count;
}

/* Collect what has arrived; wait for the first when wait_ns says so. */
static enum weir_status reap(struct weir_disk_probe *probe, int64_t wait_ns, struct weir_err *err)
{
    struct weir_io_done done[REAP_MAX];
    const uint32_t count = weir_io_reap(probe->io, done, REAP_MAX, wait_ns);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t slot = (uint32_t)done[index].tag;
        const struct weir_probe_place *place = &probe->places.list[probe->slot_places[slot]];
        const char *path = weir_io_file_path(probe->io, place->file);
        probe->free_slots[probe->free_count++] = slot;
        probe->in_flight_bytes -= place->bytes;
        probe->done_bytes += done[index].bytes;
        if (done[index].status == WEIR_ERR_IO)
            return WEIR_FAIL_OS(err, done[index].os_errno, "read %s", path);
        if (done[index].status != WEIR_OK)
            return WEIR_FAIL(err, done[index].status, "%s shrank while it was measured", path);
    }
    return WEIR_OK;
}

static enum weir_status drain(struct weir_disk_probe *probe, struct weir_err *err)
{
    while (probe->in_flight_bytes > 0)
        WEIR_TRY(reap(probe, -1, err));
    return WEIR_OK;
}

static double rate(uint64_t bytes, uint64_t ns)
{
    return (double)bytes / ((double)weir_max(ns, 1) * 1e-9);
}

enum weir_status weir_disk_probe_read(struct weir_disk_probe *probe, uint64_t in_flight_bytes,
                                      uint64_t duration_ns, double *bytes_per_s,
                                      struct weir_err *err)
{
    const uint64_t start_ns = weir_now_ns();
    probe->done_bytes = 0;
    do { /* at least once: a busy machine may take longer to come here */
        submit(probe, in_flight_bytes, UINT32_MAX);
        WEIR_TRY(reap(probe, -1, err));
    } while (weir_now_ns() - start_ns < duration_ns);
    WEIR_TRY(drain(probe, err));
    *bytes_per_s = rate(probe->done_bytes, weir_now_ns() - start_ns);
    return WEIR_OK;
}

enum weir_status weir_disk_probe_burst(struct weir_disk_probe *probe, uint64_t in_flight_bytes,
                                       uint32_t read_count, uint64_t duration_ns,
                                       double *bytes_per_s, struct weir_err *err)
{
    const uint64_t start_ns = weir_now_ns();
    uint64_t pending_ns = 0;
    probe->done_bytes = 0;
    do {
        const uint64_t burst_ns = weir_now_ns();
        uint32_t left = read_count;
        while (left > 0 || probe->in_flight_bytes > 0) {
            left -= submit(probe, in_flight_bytes, left);
            WEIR_TRY(reap(probe, -1, err));
        }
        pending_ns += weir_now_ns() - burst_ns;
        nanosleep(&(struct timespec){.tv_nsec = IDLE_NS}, NULL);
    } while (weir_now_ns() - start_ns < duration_ns);
    *bytes_per_s = rate(probe->done_bytes, pending_ns);
    return WEIR_OK;
}

enum weir_status weir_probe_both(struct weir_disk_probe *disk, struct weir_memory_probe *memory,
                                 uint64_t in_flight_bytes, uint64_t duration_ns,
                                 struct weir_probe_both *both, struct weir_err *err)
{
    enum { STEP_NS = 1000000 }; /* between two looks at the device, as between an engine's leases */
    const uint64_t start_ns = weir_now_ns();
    double memory_sum = 0.0;
    double step_count = 0.0;
    disk->done_bytes = 0;
    do {
        submit(disk, in_flight_bytes, UINT32_MAX);
        memory_sum += weir_memory_probe_read(memory, STEP_NS);
        step_count += 1.0;
        WEIR_TRY(reap(disk, 0, err));
    } while (weir_now_ns() - start_ns < duration_ns);
    both->disk_bytes_per_s = rate(disk->done_bytes, weir_now_ns() - start_ns);
    both->memory_bytes_per_s = memory_sum / step_count;
    return drain(disk, err);
}
