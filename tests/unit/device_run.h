/* device_run.h - a golden model with layers on the simulated device. */
#ifndef WEIR_TESTS_DEVICE_RUN_H
#define WEIR_TESTS_DEVICE_RUN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "model_run.h"

enum { SOME = 12 }; /* ids of a golden text, where all would take long */

/* What is on the device. */
struct placing {
    uint32_t first, count, experts;
    bool output;
    unsigned copies; /* of other experts, for prompts: 1 always, 2 never */
};
static const struct placing all = {0, UINT32_MAX, UINT32_MAX, true, 0};

/* Everything else that a run has. */
struct variant {
    uint32_t n_slot, n_thread, n_chunk;
    uint64_t seed;
    uint32_t delay_us_max;
    const char *kv; /* NULL: f16 */
};

static inline struct weir_bench_config bench_of(const struct placing *placing,
                                                const struct variant *variant)
{
    return (struct weir_bench_config){.gpu_is_placed = true,
                                      .gpu_has_output = placing->output,
                                      .gpu_first_layer = placing->first,
                                      .gpu_layer_count = placing->count,
                                      .gpu_expert_count = placing->experts,
                                      .gpu_copies = placing->copies,
                                      .gpu_seed = variant->seed,
                                      .gpu_delay_us_max = variant->delay_us_max};
}

static inline struct weir_config config_of(const char *path, const struct variant *variant,
                                           const struct weir_bench_config *bench)
{
    return (struct weir_config){.model_path = path,
                                .gpu = WEIR_ENGINE_GPU_SIM,
                                .n_thread = variant->n_thread,
                                .n_slot = variant->n_slot,
                                .n_chunk = variant->n_chunk,
                                .kv = variant->kv,
                                .bench = bench};
}

static inline struct model_run run_there(const struct golden *golden, const struct placing *placing,
                                         const struct variant *variant)
{
    const struct weir_bench_config bench = bench_of(placing, variant);
    const struct weir_config config = config_of(golden->model_path, variant, &bench);
    const uint32_t count = golden->id_count < SOME ? golden->id_count : SOME;
    struct model_run run = model_run_open(&config, golden->ids, count);
    if (run.status != WEIR_OK)
        fail_msg("%s: %s", golden->name, run.err.text);
    return run;
}

static inline struct weir_plan plan_of(const struct golden *golden, const struct placing *placing,
                                       const struct variant *variant)
{
    const struct weir_bench_config bench = bench_of(placing, variant);
    const struct weir_config config = config_of(golden->model_path, variant, &bench);
    struct weir_plan plan;
    struct weir_err err = {0};
    if (weir_plan_make(&plan, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    return plan;
}

static inline void golden_of(struct golden *golden, const char *name)
{
    assert_true(golden_open(golden, name));
}

static inline weir_engine *open_there(const struct golden *golden,
                                      const struct weir_bench_config *bench, struct weir_err *err)
{
    const struct weir_config config =
        config_of(golden->model_path, &(struct variant){.n_thread = 2}, bench);
    weir_engine *engine = NULL;
    (void)weir_engine_open(&engine, &config, err);
    return engine;
}

#endif
