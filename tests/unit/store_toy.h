/* store_toy.h - a store of small random layers, and the simulation that it must agree with. */
#ifndef WEIR_STORE_TOY_H
#define WEIR_STORE_TOY_H

#include "store/cache.h"
#include "store/store.h"

#include "io_toy.h"

enum { LAYERS = 3, RECORDS_MAX = 24, SLICE_BYTES = 9000 };

/* What a store should do, without slots and reads: sets, counts and times. */
struct reference {
    bool is_resident[RECORDS_MAX];
    double counts[RECORDS_MAX];
    uint64_t last_steps[RECORDS_MAX];
    uint32_t resident_count;
};

struct toy {
    weir_io *io;
    weir_store *store;
    struct weir_mem mem;
    struct weir_store_layer layers[LAYERS];
    struct weir_store_config config;
    struct weir_place places[LAYERS][WEIR_SLICE_MAX][RECORDS_MAX];
    struct reference references[LAYERS];
    struct weir_store_stats expected; /* without wait_ns */
    uint64_t step_number;
    uint64_t random_state;
};

static inline uint32_t draw(struct toy *toy, uint32_t least, uint32_t most)
{
    return least + (uint32_t)(weir_random_next(&toy->random_state) % (most - least + 1));
}

/* The places of a slice's records in a table: any, in any order, in either file. */
static inline void scatter(struct toy *toy, struct weir_slice *slice, struct weir_place *table)
{
    for (uint32_t record = 0; record < RECORDS_MAX; record++)
        table[record] = (struct weir_place){.offset = draw(toy, 0, FILE_BYTES - slice->bytes),
                                            .file = draw(toy, 0, 1)};
    *slice = (struct weir_slice){.bytes = slice->bytes, .places = table};
}

/* 1 to 4 slices of any size at any offset, in two files that are the same; every other one is a
 * stack. */
static inline void shape_layers(struct toy *toy, uint32_t slots_min, uint32_t slots_max)
{
    toy->config = (struct weir_store_config){.layer_count = LAYERS,
                                             .layers = toy->layers,
                                             .policy = &weir_policy_decayed,
                                             .step_max = slots_min};
    for (uint32_t index = 0; index < LAYERS; index++) {
        struct weir_store_layer *layer = &toy->layers[index];
        layer->record_count = draw(toy, slots_max, RECORDS_MAX);
        layer->slice_count = draw(toy, 1, WEIR_SLICE_MAX);
        layer->slot_count = draw(toy, slots_min, slots_max);
        for (uint32_t slice = 0; slice < layer->slice_count; slice++) {
            const uint32_t bytes = draw(toy, 1, SLICE_BYTES);
            const uint32_t stride_bytes = bytes + draw(toy, 0, 3000);
            const uint32_t span_bytes = stride_bytes * layer->record_count;
            layer->slice[slice] = (struct weir_slice){
                .offset = draw(toy, 0, FILE_BYTES - span_bytes),
                .stride_bytes = stride_bytes,
                .bytes = bytes,
                .file = draw(toy, 0, 1),
            };
            if (draw(toy, 0, 1) == 0)
                scatter(toy, &layer->slice[slice], toy->places[index][slice]);
        }
    }
}

static inline void open_store(struct toy *toy)
{
    struct weir_err err = {0};
    weir_mem_init(&toy->mem);
    weir_store_plan(&toy->mem, &toy->config);
    const uint64_t planned_bytes = toy->mem.region[WEIR_MEM_SLOTS].used_bytes;
    if (weir_mem_open(&toy->mem, &err) != WEIR_OK ||
        weir_store_create(&toy->store, &toy->mem, toy->io, &toy->config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(toy->mem.region[WEIR_MEM_SLOTS].used_bytes, planned_bytes);
    assert_int_equal(weir_mem_bytes(&toy->mem), weir_align_up(planned_bytes, PAGE));
    weir_mem_seal(&toy->mem);
}

/* Both files of the toy are the test's file. */
static inline void open_toy(struct toy *toy, const struct weir_io_config *config, uint64_t seed,
                            uint32_t slots_min, uint32_t slots_max)
{
    uint32_t file;
    *toy = (struct toy){.random_state = seed};
    shape_layers(toy, slots_min, slots_max);
    toy->io = open_variant(*config, draw(toy, 1, 40), &file);
    assert_int_equal(weir_io_open(toy->io, path, &file, NULL), WEIR_OK);
    open_store(toy);
}

static inline void close_toy(struct toy *toy)
{
    weir_store_destroy(&toy->store);
    assert_null(toy->store);
    weir_mem_close(&toy->mem);
    weir_io_destroy(&toy->io);
}

static inline void check_lease(const struct toy *toy, uint32_t layer,
                               const struct weir_lease *lease)
{
    const struct weir_store_layer *config = &toy->layers[layer];
    for (uint32_t slice = 0; slice < config->slice_count; slice++) {
        const struct weir_slice *at = &config->slice[slice];
        assert_memory_equal(lease->slice[slice],
                            content + weir_store_place(at, lease->record).offset, at->bytes);
    }
}

/* count distinct records in random order. */
static inline void draw_records(struct toy *toy, uint32_t layer, uint32_t *records, uint32_t count)
{
    uint32_t all[RECORDS_MAX];
    const uint32_t record_count = toy->layers[layer].record_count;
    for (uint32_t record = 0; record < record_count; record++)
        all[record] = record;
    for (uint32_t index = 0; index < count; index++) {
        /* Small indices are drawn more often, so that there are favourites to keep. */
        const uint32_t most = draw(toy, index, record_count - 1);
        const uint32_t other = draw(toy, index, most);
        records[index] = all[other];
        all[other] = all[index];
    }
}

/* A step of one row. */
static inline void begin_step(struct toy *toy, uint32_t layer, const uint32_t *records,
                              uint32_t count)
{
    weir_store_begin(toy->store, layer, &(struct weir_uses){.records = records, .count = count});
}

/* Of one or of several, of a prompt or not. */
static inline void begin_rows(struct toy *toy, uint32_t layer, const uint32_t *records,
                              uint32_t count)
{
    uint32_t row_counts[RECORDS_MAX];
    const uint32_t n_row = draw(toy, 1, 3);
    for (uint32_t index = 0; index < count; index++)
        row_counts[index] = draw(toy, 1, n_row);
    weir_store_begin(toy->store, layer,
                     &(struct weir_uses){.records = records,
                                         .row_counts = row_counts,
                                         .count = count,
                                         .n_row = n_row,
                                         .is_prompt = draw(toy, 0, 1) == 0});
}

static inline bool is_among(const uint32_t *records, uint32_t count, uint32_t record)
{
    for (uint32_t index = 0; index < count; index++)
        if (records[index] == record)
            return true;
    return false;
}

/* The smallest count, then the least recent use, then the smallest index; none of the step's. */
static inline uint32_t reference_victim(const struct reference *reference, const uint32_t *records,
                                        uint32_t count)
{
    uint32_t best = RECORDS_MAX;
    for (uint32_t record = 0; record < RECORDS_MAX; record++) {
        if (!reference->is_resident[record] || is_among(records, count, record))
            continue;
        if (best == RECORDS_MAX || reference->counts[record] < reference->counts[best] ||
            (reference->counts[record] == reference->counts[best] &&
             reference->last_steps[record] < reference->last_steps[best]))
            best = record;
    }
    return best;
}

/* A step of at most as many records as there are slots; fills hits with the resident ones. */
static inline uint32_t reference_step(struct toy *toy, uint32_t layer, const uint32_t *records,
                                      uint32_t count, uint32_t *hits)
{
    struct reference *reference = &toy->references[layer];
    uint32_t hit_count = 0;
    for (uint32_t index = 0; index < count; index++)
        if (reference->is_resident[records[index]])
            hits[hit_count++] = records[index];
    for (uint32_t index = 0; index < count; index++) {
        if (reference->is_resident[records[index]])
            continue;
        if (reference->resident_count == toy->layers[layer].slot_count)
            reference->is_resident[reference_victim(reference, records, count)] = false;
        else
            reference->resident_count++;
        reference->is_resident[records[index]] = true;
    }
    toy->step_number++;
    for (uint32_t record = 0; record < RECORDS_MAX; record++) {
        reference->counts[record] *= 0.95;
        if (is_among(records, count, record)) {
            reference->counts[record] += 1.0;
            reference->last_steps[record] = toy->step_number;
        }
    }
    return hit_count;
}

/* What reading these records adds to the counters. */
static inline void expect_reads(struct toy *toy, uint32_t layer, const uint32_t *records,
                                uint32_t count)
{
    for (uint32_t index = 0; index < count; index++)
        for (uint32_t slice = 0; slice < toy->layers[layer].slice_count; slice++) {
            const struct weir_slice *at = &toy->layers[layer].slice[slice];
            const uint64_t begin = weir_store_place(at, records[index]).offset;
            toy->expected.slice_bytes += at->bytes;
            toy->expected.read_bytes +=
                weir_align_up(begin + at->bytes, PAGE) - weir_align_down(begin, PAGE);
        }
    toy->expected.reads += count;
}

static inline void check_stats(const struct toy *toy)
{
    struct weir_store_stats stats;
    weir_store_stats_get(toy->store, &stats);
    assert_int_equal(stats.uses, toy->expected.uses);
    assert_int_equal(stats.hits, toy->expected.hits);
    assert_int_equal(stats.reads, toy->expected.reads);
    assert_int_equal(stats.slice_bytes, toy->expected.slice_bytes);
    assert_int_equal(stats.read_bytes, toy->expected.read_bytes);
    assert_int_equal(stats.step_reads_max, stats.reads > 0 ? 1 : 0);
}

#endif
