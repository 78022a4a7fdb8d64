/* device_test.c - layers and experts on a device, the simulated one: the CPU's logits, and the same
 * bits for the same placement whatever else differs. */
#include "changed_model.h"
#include "device_run.h"
#include "gpu/gpu_sim.h"
#include "pace.h"

/* The largest distance over the largest logit of its position. */
static double distance(const struct model_run *one, const struct model_run *other)
{
    const size_t width = one->row_bytes / sizeof(float);
    double worst = 0.0;
    assert_int_equal(one->bytes, other->bytes);
    for (size_t first = 0; first < one->bytes / sizeof(float); first += width) {
        double far = 0.0;
        double most = 0.0;
        for (size_t id = first; id < first + width; id++) {
            far = fmax(far, fabs((double)one->logits[id] - (double)other->logits[id]));
            most = fmax(most, fabs((double)other->logits[id]));
        }
        worst = fmax(worst, far / most);
    }
    return worst;
}

/* `most` is how far the logits may be from the CPU's. */
static void check_golden(const struct golden *golden, double most)
{
    const struct variant plain = {.n_thread = 2};
    const struct placing placings[] = {
        all, {0, UINT32_MAX, 0, false, 2}, {1, 1, UINT32_MAX, true, 0}, {0, 2, 2, false, 1}};
    const struct weir_config config = {
        .model_path = golden->model_path, .gpu = WEIR_ENGINE_GPU_OFF, .n_thread = 2};
    const uint32_t count = golden->id_count < SOME ? golden->id_count : SOME;
    struct model_run here = model_run_open(&config, golden->ids, count);
    assert_int_equal(here.status, WEIR_OK);
    printf("%-24s", golden->name);
    for (size_t index = 0; index < WEIR_COUNT(placings); index += pace_step(2)) {
        const struct weir_plan plan = plan_of(golden, &placings[index], &plain);
        assert_true(index > 0 || plan.gpu.why[0] == '\0'); /* all of it is there */
        struct model_run there = run_there(golden, &placings[index], &plain);
        const double far = distance(&there, &here);
        printf("  %u layers, %u experts%s: %.1e", plan.gpu.n_layer, plan.gpu.n_expert,
               plan.gpu.has_output ? ", output" : "", far);
        assert_true(far <= most);
        model_run_close(&there);
    }
    printf("\n");
    model_run_close(&here);
}

static void logits_are_those_of_the_cpu(void **state)
{
    (void)state;
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    assert_true(count > 0 && count + 4 <= GOLDEN_FOLDERS_MAX);
    /* Codes, and their scales beside them. */
    static const char *const directories[] = {"directories/gpt-oss", "directories/qwen3moe-fp8",
                                              "directories/qwen3moe-int4",
                                              "directories/qwen3moe-nvfp4"};
    for (size_t index = 0; index < WEIR_COUNT(directories); index++)
        snprintf(names[count + index], sizeof(names[0]), "%s", directories[index]);
    for (size_t index = 0; index < count + WEIR_COUNT(directories); index += pace_step(5)) {
        struct golden golden;
        golden_of(&golden, names[index]);
        /* The CPU rounds what codes are multiplied with to 8 bits, a prompt's rows there to f16. */
        check_golden(&golden, index < count ? 1e-3 : 3e-3);
        golden_close(&golden);
    }
}

/* The demo model's logits after tokens one by one, by the plain kernels. */
static void write_demo(const struct weir_config *asked, float *logits, uint32_t n_vocab)
{
    struct weir_err err = {0};
    struct weir_config config = *asked;
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    config.model_path = "models/demo/weir-demo.gguf";
    config.isa = "ref";
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK ||
        weir_session_create(&session, engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_engine_plan(engine)->gpu.why[0], '\0');
    for (uint32_t at = 0; at < SOME; at++) {
        const uint32_t id = at * 37 % 1000;
        assert_int_equal(weir_session_eval(session, &id, 1, NULL, NULL, &err), WEIR_OK);
    }
    memcpy(logits, weir_session_logits(session), n_vocab * sizeof(*logits));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* Keys and values in fewer bits there are those of the CPU, rounded to f16 once more: what that
 * changes is little beside what 8-bit activations make of any change. */
static void fewer_bits_are_those_of_the_cpu(void **state)
{
    static const char *const kinds[] = {"f16", "q8_0", "q4_0"};
    static const double bounds[] = {0.0, 2e-2, 8e-2};
    struct weir_model_info info;
    (void)state;
    assert_int_equal(weir_model_info_get(&info, "models/demo/weir-demo.gguf", NULL), WEIR_OK);
    for (size_t kind = 0; kind < WEIR_COUNT(kinds); kind++) {
        float *logits = malloc(3 * info.n_vocab * sizeof(*logits));
        double far = 0.0;
        double most = 0.0;
        write_demo(&(struct weir_config){.gpu = WEIR_ENGINE_GPU_OFF, .kv = kinds[kind]}, logits,
                   info.n_vocab);
        for (uint32_t run = 1; run < 3; run++)
            write_demo(&(struct weir_config){.gpu = WEIR_ENGINE_GPU_SIM,
                                             .kv = kinds[kind],
                                             .n_thread = run,
                                             .n_chunk = 64 / run},
                       logits + run * info.n_vocab, info.n_vocab);
        for (uint32_t id = 0; id < info.n_vocab; id++) {
            far = fmax(far, fabs((double)logits[id] - (double)logits[info.n_vocab + id]));
            most = fmax(most, fabs((double)logits[id]));
        }
        printf("%s: %.1e\n", kinds[kind], far / most);
        assert_true(far / most <= bounds[kind]);
        assert_true(kind == 0 || far > 0.0);
        assert_memory_equal(logits + info.n_vocab, logits + 2 * info.n_vocab,
                            info.n_vocab * sizeof(*logits));
        free(logits);
    }
}

/* The families that are to be there as a whole. */
static void known_families_are_there_as_a_whole(void **state)
{
    (void)state;
    static const char *const names[] = {
        "olmoe",           "qwen3moe",     "qwen2moe",   "llama-mixtral",
        "gpt-oss",         "qwen3",        "gemma4",     "granitemoe-shared",
        "glm4moe",         "ernie4_5-moe", "qwen3next",  "qwen3next-packed",
        "qwen35",          "qwen35moe",    "deepseek2",  "deepseek2-glm",
        "deepseek2-joint", "gemma4-e2b",   "gemma4-e4b", "mistral4",
        "llama4",          "afmoe",        "step35"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        golden_of(&golden, names[index]);
        const struct weir_plan plan = plan_of(&golden, &all, &(struct variant){.n_thread = 1});
        if (plan.gpu.why[0] != '\0' || !plan.gpu.has_output || plan.n_expert_total != 0)
            fail_msg("%s: %s", names[index], plan.gpu.why);
        golden_close(&golden);
    }
}

static void same_placement_same_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3moe",
                                        "gpt-oss",
                                        "gemma4",
                                        "llama-mixtral",
                                        "qwen35moe",
                                        "deepseek2-glm",
                                        "directories/qwen3moe-int4"};
    static const struct placing placings[] = {{0, UINT32_MAX, 3, true, 1},
                                              {1, 2, UINT32_MAX, false, 0},
                                              {0, UINT32_MAX, 2, true, 2},
                                              {0, UINT32_MAX, UINT32_MAX, true, 0}};
    static const struct variant variants[] = {
        {.n_thread = 1, .n_chunk = 1, .seed = 1},
        {.n_thread = 2, .n_chunk = 5, .seed = 2, .n_slot = 5},
        {.n_thread = 3, .seed = 3, .delay_us_max = 30},
        {.n_thread = 2, .n_chunk = 7, .seed = 4, .delay_us_max = 5, .n_slot = 4}};
    for (size_t name = 0; name < WEIR_COUNT(names); name++)
        for (size_t at = 0; at < WEIR_COUNT(placings); at++) {
            struct golden golden;
            golden_of(&golden, names[name]);
            struct model_run first =
                run_there(&golden, &placings[at], &(struct variant){.n_thread = 1});
            for (size_t index = at % pace_step(2); index < WEIR_COUNT(variants);
                 index += pace_step(2)) {
                struct model_run run = run_there(&golden, &placings[at], &variants[index]);
                if (!model_run_same(&run, &first))
                    fail_msg("%s: other bits in placing %zu, variant %zu", names[name], at, index);
                model_run_close(&run);
            }
            model_run_close(&first);
            golden_close(&golden);
        }
}

/* Of what an earlier run found worth a slot, as much is there as fits. */
static void experts_that_are_wanted_are_there(void **state)
{
    (void)state;
    static const struct weir_expert wanted[] = {{.layer = 0, .expert = 7},
                                                {.layer = 0, .expert = 900},
                                                {.layer = 1, .expert = 5},
                                                {.layer = 0, .expert = 7},
                                                {.layer = 0, .expert = 4}};
    struct golden golden;
    struct weir_err err = {0};
    golden_of(&golden, "qwen3moe");
    const struct weir_bench_config bench =
        bench_of(&(struct placing){0, UINT32_MAX, 3, true, 2}, &(struct variant){0});
    struct weir_config config =
        config_of(golden.model_path, &(struct variant){.n_thread = 1}, &bench);
    config.warm_up = wanted;
    config.warm_up_count = WEIR_COUNT(wanted);
    weir_engine *engine = NULL;
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_OK);
    for (uint32_t expert = 0; expert < 8; expert++) {
        assert_int_equal(weir_device_holds(engine->device, 0, expert),
                         expert == 0 || expert == 4 || expert == 7);
        assert_int_equal(weir_device_holds(engine->device, 1, expert), expert < 2 || expert == 5);
    }
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    struct model_run there = model_run_open(&config, golden.ids, SOME);
    const struct weir_config plain = {
        .model_path = golden.model_path, .gpu = WEIR_ENGINE_GPU_OFF, .n_thread = 1};
    struct model_run here = model_run_open(&plain, golden.ids, SOME);
    assert_true(distance(&there, &here) <= 1e-3);
    model_run_close(&there);
    model_run_close(&here);
    golden_close(&golden);
}

/* All of a text in pieces: a prompt, then tokens. */
static enum weir_status run_text(weir_engine *engine, const struct golden *golden,
                                 struct weir_err *err)
{
    weir_session *session = NULL;
    enum weir_status status = weir_session_create(&session, engine, err);
    if (status == WEIR_OK)
        status = weir_session_eval(session, golden->ids, 6, NULL, NULL, err);
    for (uint32_t at = 6; at < 9 && status == WEIR_OK; at++)
        status = weir_session_eval(session, &golden->ids[at], 1, NULL, NULL, err);
    weir_session_destroy(&session);
    return status;
}

/* Whatever it was doing: the load, a prompt, a token. */
/* Pieces of work of a layer, and of all else, when one token is decoded. Each is a launch, or a
 * copy: a token of a large model is as fast as these are few. */
static void a_decoded_token_is_few_pieces_of_work(void **state)
{
    (void)state;
    static const struct {
        struct placing placing;
        uint32_t of_layer, beside;
    } wanted[] = {{{0, UINT32_MAX, UINT32_MAX, true, 0}, 11, 9},
                  {{0, UINT32_MAX, 3, true, 2}, 17, 9}};
    struct golden golden;
    golden_of(&golden, "qwen3moe");
    for (size_t at = 0; at < WEIR_COUNT(wanted); at++) {
        struct weir_err err = {0};
        weir_session *session = NULL;
        const struct weir_bench_config bench =
            bench_of(&wanted[at].placing, &(struct variant){.seed = 0});
        weir_engine *engine = open_there(&golden, &bench, &err);
        assert_non_null(engine);
        assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
        assert_int_equal(weir_session_eval(session, golden.ids, 6, NULL, NULL, &err), WEIR_OK);
        assert_int_equal(weir_session_eval(session, &golden.ids[6], 1, NULL, NULL, &err), WEIR_OK);
        const uint64_t before = weir_gpu_sim_work(engine->gpu);
        assert_int_equal(weir_session_eval(session, &golden.ids[7], 1, NULL, NULL, &err), WEIR_OK);
        const uint64_t work = weir_gpu_sim_work(engine->gpu) - before;
        const uint32_t n_layer = weir_engine_model(engine)->n_layer;
        if (work > wanted[at].beside + (uint64_t)n_layer * wanted[at].of_layer)
            fail_msg("%llu pieces of work for %u layers", (unsigned long long)work, n_layer);
        weir_session_destroy(&session);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    }
    golden_close(&golden);
}

static void a_lost_device_ends_what_runs(void **state)
{
    (void)state;
    struct golden golden;
    uint32_t in_load = 0;
    uint32_t in_text = 0;
    golden_of(&golden, "qwen3moe");
    const struct placing half = {0, UINT32_MAX, 3, true, 1};
    for (uint64_t work = 1;; work += work / 8 + pace_step(40)) {
        struct weir_err err = {0};
        struct weir_bench_config bench = bench_of(&half, &(struct variant){.seed = work % 3});
        bench.gpu_fails_at_work = work;
        weir_engine *engine = open_there(&golden, &bench, &err);
        if (engine == NULL) {
            assert_int_equal(err.status, WEIR_ERR_IO);
            in_load++;
            continue;
        }
        const enum weir_status status = run_text(engine, &golden, &err);
        if (status == WEIR_OK) {
            assert_int_equal(weir_engine_close(&engine), WEIR_OK);
            break;
        }
        assert_int_equal(status, WEIR_ERR_IO);
        assert_non_null(strstr(err.text, "lost"));
        /* It stays so, and everything closes. */
        assert_int_equal(run_text(engine, &golden, &(struct weir_err){0}), WEIR_ERR_IO);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        in_text++;
    }
    assert_true(in_load > 0 && in_text > 2);
    golden_close(&golden);
}

/* The model with all values of a tensor changed to what is not a number. */
static void write_damaged(const char *path, const char *name)
{
    size_t file_bytes = 0;
    struct weir_err err = {0};
    weir_manifest *manifest = NULL;
    assert_int_equal(weir_manifest_open(&manifest, path, &err), WEIR_OK);
    const struct weir_tensor *tensor = weir_manifest_tensor(manifest, name);
    assert_non_null(tensor);
    char *bytes = golden_read(path, &file_bytes);
    FILE *file = fopen(changed_path, "wb");
    assert_true(bytes != NULL && file != NULL);
    memset(bytes + tensor->offset, 0xff, tensor->bytes);
    assert_int_equal(fwrite(bytes, 1, file_bytes, file), file_bytes);
    assert_int_equal(fclose(file), 0);
    free(bytes);
    weir_manifest_close(&manifest);
}

static void damage_there_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"blk.1.attn_q.weight", "blk.1.ffn_gate_inp.weight",
                                        "blk.0.ffn_down_exps.weight", "output.weight"};
    struct golden golden;
    golden_of(&golden, "qwen3moe");
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct weir_err err = {0};
        write_damaged(golden.model_path, names[index]);
        struct golden changed = golden;
        snprintf(changed.model_path, sizeof(changed.model_path), "%s", changed_path);
        for (uint32_t experts = 0; experts < 3; experts++) {
            const struct placing placing = {0, UINT32_MAX, experts == 2 ? UINT32_MAX : experts,
                                            true, experts};
            const struct weir_bench_config bench = bench_of(&placing, &(struct variant){0});
            weir_engine *engine = open_there(&changed, &bench, &err);
            assert_non_null(engine);
            const enum weir_status status = run_text(engine, &changed, &err);
            assert_int_equal(status, WEIR_ERR_FORMAT);
            if (strstr(err.text, names[index]) == NULL)
                fail_msg("%s: %s", names[index], err.text);
            err = (struct weir_err){0};
            assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        }
    }
    golden_close(&golden);
}

/* What a ceiling leaves room for: more with each byte, and never above it. */
static void a_ceiling_of_the_device_holds(void **state)
{
    (void)state;
    struct golden golden;
    struct weir_plan before = {0};
    golden_of(&golden, "qwen3moe");
    for (uint64_t bytes = 1 << 16; bytes <= UINT64_C(64) << 20; bytes += bytes / 4) {
        const struct weir_config config = {.model_path = golden.model_path,
                                           .gpu = WEIR_ENGINE_GPU_SIM,
                                           .gpu_bytes = bytes,
                                           .n_thread = 1};
        struct weir_plan plan;
        struct weir_err err = {0};
        assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
        assert_true(plan.gpu.planned_bytes <= bytes);
        assert_int_equal(plan.gpu.planned_bytes, plan.gpu.weight_bytes + plan.gpu.kv_bytes +
                                                     plan.gpu.scratch_bytes +
                                                     plan.gpu.expert_bytes);
        assert_true(plan.gpu.n_layer >= before.gpu.n_layer);
        if (plan.gpu.n_layer == before.gpu.n_layer && plan.n_chunk == before.n_chunk)
            assert_true(plan.gpu.n_expert >= before.gpu.n_expert);
        const bool is_news = plan.gpu.n_layer != before.gpu.n_layer || before.budget_bytes == 0 ||
                             (plan.gpu.n_expert > 0) != (before.gpu.n_expert > 0);
        before = plan;
        if (!is_news)
            continue;
        struct model_run run = model_run_open(&config, golden.ids, 4);
        if (run.status != WEIR_OK)
            fail_msg("%s", run.err.text);
        model_run_close(&run);
    }
    assert_int_equal(before.n_expert_total, 0); /* all of it is there in the end */
    assert_true(before.gpu.has_output && before.gpu.why[0] == '\0');
    golden_close(&golden);
}

/* What kernels were not made for is never begun: whatever a file says, nothing there asserts. */
static void shapes_beyond_the_kernels_stay_here(void **state)
{
    (void)state;
    struct weir_err err = {0};
    const struct weir_config config = {.model_path = "models/demo/weir-demo.gguf",
                                       .gpu = WEIR_ENGINE_GPU_OFF};
    weir_engine *engine = NULL;
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_OK);
    struct weir_model *model = engine->blueprint.model;
    struct weir_layer *layer = &model->layers[1];
    const struct weir_layer layer_before = *layer;
    const struct weir_model before = *model;
    assert_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    assert_null(weir_device_output_refusal(model, WEIR_GPU_CUDA));
    layer->mixer.d_head = 577;
    assert_non_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    *layer = layer_before;
    layer->mixer.d_value = 513;
    assert_non_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    *layer = layer_before;
    layer->network.expert_down.cols = 12;
    assert_non_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    layer->network.expert_down.cols = 32768 + 8;
    assert_non_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    *layer = layer_before;
    model->shape.n_expert = 1025;
    assert_non_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    model->shape.n_expert = before.shape.n_expert;
    assert_null(weir_device_refusal(model, 1, WEIR_GPU_CUDA, false));
    model->output.cols = 12;
    assert_non_null(weir_device_output_refusal(model, WEIR_GPU_CUDA));
    *model = before;
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_cpu),
        cmocka_unit_test(fewer_bits_are_those_of_the_cpu),
        cmocka_unit_test(known_families_are_there_as_a_whole),
        cmocka_unit_test(same_placement_same_bits),
        cmocka_unit_test(experts_that_are_wanted_are_there),
        cmocka_unit_test(a_decoded_token_is_few_pieces_of_work),
        cmocka_unit_test(a_lost_device_ends_what_runs),
        cmocka_unit_test(damage_there_is_named),
        cmocka_unit_test(a_ceiling_of_the_device_holds),
        cmocka_unit_test(shapes_beyond_the_kernels_stay_here),
    };
    return cmocka_run_group_tests(tests, changed_model_set_up, changed_model_tear_down);
}
