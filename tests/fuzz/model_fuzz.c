/* model_fuzz.c - libFuzzer: any bytes as the head of a model file, described, bound and planned. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/forecast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* A failure says something, and never that memory is short: nothing that a file asks for is
 * allocated before it is known to be in the file. */
static void check_failure(enum weir_status status, const struct weir_err *err)
{
    must(status == err->status && err->text[0] != '\0');
    must(status == WEIR_ERR_FORMAT || status == WEIR_ERR_UNSUPPORTED || status == WEIR_ERR_ARG);
}

static void plan(const struct weir_blueprint *blueprint, const struct weir_config *config)
{
    struct weir_choice choice;
    struct weir_plan plan;
    struct weir_err err = {0};
    const enum weir_status status = weir_blueprint_plan(blueprint, config, &choice, &plan, &err);
    if (status == WEIR_ERR_NOMEM) {
        must(strstr(err.text, "cannot hold") != NULL); /* the ceiling, not our heap */
        return;
    }
    if (status != WEIR_OK) {
        check_failure(status, &err);
        return;
    }
    must(plan.planned_bytes <= plan.budget_bytes &&
         (config->n_slot > 0 || plan.min_bytes <= plan.useful_bytes));
    must(plan.n_ctx >= 1 && plan.n_chunk >= 1 && plan.n_chunk <= plan.n_ctx);
}

static void plan_all(const struct weir_blueprint *blueprint)
{
    const struct weir_config configs[] = {
        {.model_path = "(memory)", .n_thread = 2, .mem_bytes = UINT64_MAX / 4},
        {.model_path = "(memory)", .n_thread = 1, .mem_bytes = 1 << 28},
        {.model_path = "(memory)",
         .n_thread = 3,
         .mem_bytes = UINT64_MAX,
         .n_slot = 3,
         .kv = "f32"},
        {.model_path = "(memory)", .n_thread = 3, .mem_bytes = UINT64_MAX, .n_ctx = UINT32_MAX},
    };
    for (size_t row = 0; row < WEIR_COUNT(configs); row++)
        plan(blueprint, &configs[row]);
}

static void ask(const uint8_t *data, size_t size, uint64_t file_bytes)
{
    struct weir_blueprint blueprint = {0};
    struct weir_model_info info;
    struct weir_err err = {0};
    const uint64_t heap_bytes = weir_heap_bytes();
    weir_kernels_init(&blueprint.kernels, 0);
    if (weir_manifest_parse(&blueprint.manifest, data, size, file_bytes, &err) == WEIR_OK) {
        const enum weir_status status =
            weir_model_describe(&blueprint.model, blueprint.manifest, &err);
        if (status == WEIR_OK) {
            weir_model_info_fill(&info, &blueprint);
            plan_all(&blueprint);
        } else {
            check_failure(status, &err);
        }
    }
    weir_blueprint_close(&blueprint);
    must(weir_heap_bytes() == heap_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t counts[2] = {0};
    if (size > INPUT_BYTES_MAX)
        return 0;
    if (size >= 24)
        memcpy(counts, data + 8, sizeof(counts));
    if (counts[0] > size || counts[1] > size) /* as manifest_fuzz.c: time is better spent */
        return 0;
    ask(data, size, size + (UINT64_C(1) << 60)); /* as much tensor data as shapes can ask for */
    ask(data, size, size);
    return 0;
}
