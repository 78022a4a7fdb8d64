/* engine_invariance_test.c - streamed equals resident, bit for bit: slots, threads, I/O, chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden.h"
#include "pace.h"
#include "weir_bench.h"

/* All logits of a run, byte for byte. */
struct record {
    float *logits;
    size_t n_vocab;
    size_t position_count;
};

static bool keep_row(void *user, uint32_t position, const float *logits)
{
    struct record *record = user;
    assert_int_equal(position, record->position_count);
    memcpy(record->logits + position * record->n_vocab, logits, record->n_vocab * sizeof(*logits));
    record->position_count++;
    return true;
}

struct variant {
    uint32_t n_slot, n_thread, n_chunk;
    const char *policy; /* NULL: the default */
    bool pool;
    unsigned lookahead; /* enum weir_lookahead, 3 on by path */
    int io; /* 0 uring or what the kernel has, 1 threads, 2 fake, 3 fake with faults, 4 buffered */
    const char *isa;
};

static const char *const io_names[] = {"auto", "threads", "fake", "fake with faults", "buffered"};

static void run_variant(const struct golden *golden, const struct variant *variant,
                        struct record *record)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    const struct weir_bench_config bench = {
        .policy = variant->policy,
        .pool = variant->pool,
        .guess_by = variant->lookahead == 3   ? WEIR_GUESS_BY_PATH
                    : variant->lookahead == 1 ? WEIR_GUESS_BY_GATE
                                              : WEIR_GUESS_BY_RESIDUAL,
        .fake_io_seed = variant->io == 2 || variant->io == 3 ? 7 + variant->n_chunk : 0,
        .fake_io_fault = variant->io == 3 ? 1 : 0,
    };
    const struct weir_config config = {
        .model_path = golden->model_path,
        .n_thread = variant->n_thread,
        .n_chunk = variant->n_chunk,
        .n_slot = variant->n_slot,
        .lookahead = variant->lookahead == 3 ? WEIR_LOOKAHEAD_ON : variant->lookahead,
        .io = variant->io == 1 ? WEIR_ENGINE_IO_THREADS : WEIR_ENGINE_IO_AUTO,
        .buffered = variant->io == 4,
        .isa = variant->isa,
        .bench = &bench,
    };
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    record->n_vocab = weir_engine_model(engine)->n_vocab;
    record->position_count = 0;
    if (record->logits == NULL)
        record->logits = malloc(golden->id_count * record->n_vocab * sizeof(float));
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    if (weir_session_eval(session, golden->ids, golden->id_count, keep_row, record, &err) !=
        WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    struct weir_stats stats;
    weir_engine_stats_get(engine, &stats);
    assert_true(stats.reads_per_expert_max <= 1);
    /* Each use was resident, on its way, or read on demand. */
    assert_int_equal(stats.expert_uses, stats.expert_hits + stats.ahead_late +
                                            (stats.expert_reads - stats.ahead_reads));
    weir_session_destroy(&session);
    weir_engine_close(&engine);
}

static void compare(const struct golden *golden, const struct record *resident,
                    const struct variant *variant, struct record *streamed)
{
    run_variant(golden, variant, streamed);
    assert_int_equal(streamed->position_count, resident->position_count);
    if (memcmp(streamed->logits, resident->logits,
               resident->position_count * resident->n_vocab * sizeof(float)) != 0)
        fail_msg("%s: other bits with %u slots, %u threads, chunk %u, io %s, %s, look-ahead %u",
                 golden->name, variant->n_slot, variant->n_thread, variant->n_chunk,
                 io_names[variant->io], variant->policy, variant->lookahead);
}

/* How far apart the variants are that are tried: with `./run-tests long` near, otherwise far, and
 * farther under a sanitizer, where each takes longer. No stride divides a count of choices, and
 * each model begins elsewhere, so over the models each pair of choices still meets. */
enum { STRIDE_LONG = IS_SANITIZED ? 47 : 3, STRIDE = IS_SANITIZED ? 211 : 59 };

static unsigned stride(void)
{
    return pace_is_long() ? STRIDE_LONG : STRIDE;
}

static unsigned compare_all(const struct golden *golden, uint32_t n_used, uint32_t n_expert,
                            unsigned first, const char *isa)
{
    static const uint32_t threads[] = {1, 2, 3, 8};
    static const uint32_t chunks[] = {1, 7, 64, 512};
    const uint32_t slots[] = {n_used, n_used + 1 < n_expert ? n_used + 1 : n_expert,
                              (n_used + n_expert) / 2, n_expert};
    static const char *const policies[] = {"decayed", "learned", "lru", "arc",
                                           "fate",    "edgemoe", "lru"};
    struct record resident = {0};
    struct record streamed = {0};
    unsigned index = first;
    unsigned tried = 0;
    run_variant(golden, &(struct variant){.n_thread = 1, .n_chunk = 512, .isa = isa}, &resident);
    for (size_t slot = 0; slot < (n_expert == 0 ? 1 : 4); slot++)
        for (size_t thread = 0; thread < 4; thread++)
            for (size_t chunk = 0; chunk < 4; chunk++)
                for (int io = 0; io < 5; io++) {
                    const struct variant variant = {.n_slot = n_expert == 0 ? 0 : slots[slot],
                                                    .n_thread = threads[thread],
                                                    .n_chunk = chunks[chunk],
                                                    .policy = policies[index % 7],
                                                    .pool = index % 7 == 6,
                                                    .lookahead = index % 4,
                                                    .io = io,
                                                    .isa = isa};
                    if (index++ % stride() != 0)
                        continue;
                    compare(golden, &resident, &variant, &streamed);
                    tried++;
                }
    free(resident.logits);
    free(streamed.logits);
    return tried;
}

static void streamed_equals_resident_bit_for_bit(void **state)
{
    (void)state;
    char names[GOLDEN_FOLDERS_MAX][64];
    /* Codes and scales are slices of their own, and matrices may share them. */
    static const char *const directories[] = {"directories/gpt-oss", "directories/qwen3moe-fp8",
                                              "directories/qwen3moe-int4",
                                              "directories/qwen3moe-nvfp4"};
    size_t count = golden_list(names);
    assert_true(count > 0);
    for (size_t index = 0; index < sizeof(directories) / sizeof(directories[0]); index++)
        snprintf(names[count++], sizeof(names[0]), "%s", directories[index]);
    for (size_t index = 0; index < count; index++) {
        struct golden golden;
        struct weir_model_info info;
        struct weir_err err = {0};
        assert_true(golden_open(&golden, names[index]));
        if (weir_model_info_get(&info, golden.model_path, &err) != WEIR_OK)
            fail_msg("%s: %s", golden.name, err.text);
        /* A sanitizer may watch the reference's accesses only. */
        const char *isa = IS_SANITIZED && index % 2 == 1 ? "ref" : NULL;
        printf("%-24s %u variants equal\n", golden.name,
               compare_all(&golden, info.n_expert_used, info.n_expert, 7 * (unsigned)index, isa));
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streamed_equals_resident_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
