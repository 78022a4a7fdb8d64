/* model_fuzz.c - libFuzzer: any bytes as the head of a model file, described, bound and planned;
 * and, where the model is small, opened, and some tokens computed by it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/forecast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of a model that is computed: its weights, which follow the input, and what it may take. */
enum { INPUT_BYTES_MAX = 1 << 16, DATA_BYTES = 1 << 20, RUN_BYTES_MAX = 1 << 26 };

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

/* A file of the input, and then the input's last byte again and again as weights. */
static int make_file(const uint8_t *data, size_t size, char path[64])
{
    const int file = memfd_create("model", MFD_CLOEXEC);
    must(file >= 0 && ftruncate(file, (off_t)size + DATA_BYTES) == 0);
    uint8_t *bytes = mmap(NULL, size + DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    must(bytes != MAP_FAILED);
    memcpy(bytes, data, size);
    memset(bytes + size, data[size - 1], DATA_BYTES);
    munmap(bytes, size + DATA_BYTES);
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

static void must_be_told(enum weir_status status, const struct weir_err *err)
{
    must(status == WEIR_OK || (status == err->status && err->text[0] != '\0'));
}

/* A prompt and a token. What comes out is finite, or an error. */
static void compute(weir_engine *engine, const uint8_t *data, size_t size)
{
    enum { ID_COUNT = 4 };
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    const uint32_t n_ctx = weir_engine_plan(engine)->n_ctx;
    uint32_t ids[ID_COUNT];
    struct weir_err err = {0};
    weir_session *session = NULL;
    for (size_t at = 0; at < ID_COUNT; at++)
        ids[at] = data[size - 1 - at % size] % n_vocab;
    enum weir_status status = weir_session_create(&session, engine, &err);
    if (status == WEIR_OK)
        status =
            weir_session_eval(session, ids, n_ctx < ID_COUNT ? 1 : ID_COUNT - 1, NULL, NULL, &err);
    if (status == WEIR_OK && n_ctx >= ID_COUNT)
        status = weir_session_eval(session, ids + ID_COUNT - 1, 1, NULL, NULL, &err);
    must_be_told(status, &err);
    for (uint32_t id = 0; status == WEIR_OK && id < n_vocab; id++)
        must(weir_session_logits(session)[id] - weir_session_logits(session)[id] == 0.0f);
    weir_session_destroy(&session);
}

static void run(const uint8_t *data, size_t size)
{
    char path[64];
    struct weir_err err = {0};
    weir_manifest *manifest = NULL;
    weir_engine *engine = NULL;
    const uint64_t heap_bytes = weir_heap_bytes();
    const bool is_head =
        size > 0 && weir_manifest_parse(&manifest, data, size, size + DATA_BYTES, NULL) == WEIR_OK;
    weir_manifest_close(&manifest);
    if (!is_head)
        return;
    const int file = make_file(data, size, path);
    const struct weir_config config = {.model_path = path,
                                       .n_thread = 1,
                                       .mem_bytes = RUN_BYTES_MAX,
                                       .io = WEIR_ENGINE_IO_THREADS,
                                       .buffered = true};
    const enum weir_status status = weir_engine_open(&engine, &config, &err);
    must_be_told(status, &err);
    if (status == WEIR_OK)
        compute(engine, data, size);
    must(weir_engine_close(&engine) == WEIR_OK);
    close(file);
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
    run(data, size);
    return 0;
}
