/* hf_golden_test.c - Hugging Face directories against Hugging Face transformers, and against the
 * GGUF files of the same weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "model_run.h"
#include "pace.h"
#include "scratch.h"

#define FOLDER "tests/golden/directories"

/* ids and logits: the directory's own, or those of the GGUF file of its name. */
static void open_directory(struct golden *golden, const char *name)
{
    char own[64];
    snprintf(own, sizeof(own), "directories/%.40s", name);
    if (!golden_open(golden, own))
        assert_true(golden_open(golden, name));
    snprintf(golden->model_path, sizeof(golden->model_path), FOLDER "/%.63s", name);
}

static size_t list_directories(char names[GOLDEN_FOLDERS_MAX][64])
{
    size_t count = 0;
    DIR *folder = opendir(FOLDER);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (entry->d_name[0] != '.' && count < GOLDEN_FOLDERS_MAX)
            snprintf(names[count++], 64, "%.63s", entry->d_name);
    closedir(folder);
    return count;
}

static double farthest(const float *one, const float *other, size_t count)
{
    double worst = 0.0;
    for (size_t index = 0; index < count; index++) {
        const double difference = fabs((double)one[index] - (double)other[index]);
        if (!(difference <= worst))
            worst = difference;
    }
    return worst;
}

static struct model_run run_path(const char *path, const struct golden *golden, const char *isa,
                                 uint32_t n_slot)
{
    const struct weir_config config = {
        .model_path = path, .n_thread = 2, .isa = isa, .kv = "f32", .n_slot = n_slot};
    struct model_run run = model_run_open(&config, golden->ids, golden->id_count);
    if (run.status != WEIR_OK)
        fail_msg("%s: %s", path, run.err.text);
    return run;
}

static void logits_equal_transformers(void **state)
{
    (void)state;
    static const char *const levels[] = {"ref", NULL};
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = list_directories(names);
    assert_true(count >= 58);
    for (size_t index = 0; index < count; index += pace_step(3)) {
        struct golden golden;
        open_directory(&golden, names[index]);
        for (size_t level = 0; level < sizeof(levels) / sizeof(levels[0]); level++) {
            struct model_run run = run_path(golden.model_path, &golden, levels[level], 0);
            assert_int_equal(run.bytes, golden.logit_count * sizeof(float));
            assert_int_equal(run.warnings.count, 0);
            const double worst = farthest(run.logits, golden.logits, golden.logit_count);
            printf("%-24s worst difference %.2e\n", names[index], worst);
            assert_true(worst <= 1e-4);
            model_run_close(&run);
        }
        golden_close(&golden);
    }
}

/* Directories whose weights are those of the GGUF file of the same name. */
static const struct {
    const char *name;
    bool is_close; /* and no more: heads lie in another order, or an exponential is rounded */
} twins[] = {
    {"qwen3moe-narrow", false},
    {"qwen2moe", false},
    {"olmoe", false},
    {"glm4moe", false},
    {"minimax-m2", false},
    {"qwen2", false},
    {"qwen3", false},
    {"gemma2", false},
    {"gemma3", false},
    {"gemma4", false},
    {"gemma4-dense", false},
    {"gemma4-e2b", false},
    {"gemma4-e4b", false},
    {"deepseek2-lite", false},
    {"deepseek2-groups", false},
    {"deepseek2", false},
    {"deepseek2-dense", false},
    {"deepseek2-glm", false},
    {"mistral4", false},
    {"phi3", false},
    {"phi3-short", false},
    {"ernie4_5-moe", false},
    {"dots1", false},
    {"hunyuan-moe", false},
    {"exaone-moe", false},
    {"bailingmoe2", false},
    {"afmoe", false},
    {"cohere2moe", false},
    {"step35", false},
    {"qwen3vlmoe", false},
    {"llama-rope-llama3", true},
    {"qwen35moe", true},
    {"qwen35", true},
    {"qwen3next", true},
    {"qwen3next-packed", true},
    {"granitemoe", true},
    {"granitemoe-shared", true},
    {"granite", true},
    {"mistral3", true},
    {"smollm3", true},
    {"llama4", true},
    {"deepseek", true},
    {"bailingmoe", true},
};

/* The same weights in the same order of additions: the same bits. */
static void logits_equal_the_gguf_file(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof(twins) / sizeof(twins[0]); index += pace_step(3)) {
        struct golden golden;
        char path[256];
        assert_true(golden_open(&golden, twins[index].name));
        snprintf(path, sizeof(path), FOLDER "/%s", twins[index].name);
        struct model_run file = run_path(golden.model_path, &golden, NULL, 0);
        struct model_run directory = run_path(path, &golden, NULL, 0);
        if (twins[index].is_close)
            assert_true(farthest(file.logits, directory.logits, golden.logit_count) <= 2e-5);
        else
            assert_true(model_run_same(&file, &directory));
        model_run_close(&file);
        model_run_close(&directory);
        golden_close(&golden);
    }
}

/* Products of codes and scales, rounded to F16. */
static void logits_are_near_those_of_a_gguf_file_of_the_same_values(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3moe-int4",       "qwen3moe-int4-rows",
                                        "qwen3moe-int4-zeros", "qwen3moe-nvfp4",
                                        "qwen3moe-modelopt",   "gpt-oss"};
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        struct golden golden;
        char path[256];
        open_directory(&golden, names[index]);
        snprintf(path, sizeof(path), FOLDER "/%s/twin.gguf", names[index]);
        struct model_run file = run_path(path, &golden, NULL, 0);
        struct model_run directory = run_path(golden.model_path, &golden, NULL, 0);
        const double worst = farthest(file.logits, directory.logits, golden.logit_count);
        printf("%-24s %.2e from its GGUF file\n", names[index], worst);
        assert_true(worst <= 5e-3);
        model_run_close(&file);
        model_run_close(&directory);
        golden_close(&golden);
    }
}

static void streamed_equals_resident(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3moe-narrow",
                                        "olmoe",
                                        "qwen3moe-bf16",
                                        "qwen3moe-fp8",
                                        "qwen35moe",
                                        "gemma4",
                                        "granitemoe-shared",
                                        "deepseek2",
                                        "qwen3moe-int4",
                                        "qwen3moe-nvfp4",
                                        "qwen3moe-mxfp4",
                                        "qwen3moe-modelopt",
                                        "qwen3moe-int4-rows",
                                        "qwen3moe-int4-zeros",
                                        "gpt-oss",
                                        "gpt-oss-bf16",
                                        "llama4",
                                        "qwen3vlmoe-f16"};
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        struct golden golden;
        open_directory(&golden, names[index]);
        struct model_run resident = run_path(golden.model_path, &golden, NULL, 0);
        struct model_run streamed = run_path(golden.model_path, &golden, NULL, 3);
        assert_true(model_run_same(&resident, &streamed));
        model_run_close(&resident);
        model_run_close(&streamed);
        golden_close(&golden);
    }
}

/* A copy of a directory in which the first value of a tensor (F32) is another. */
static void copy_with_value(const char *name, const char *tensor, float value, char folder[64])
{
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    uint64_t header_bytes = 0;
    size_t bytes = 0;
    unsigned long long at = 0;
    char path[512];
    assert_true(scratch_folder(folder, 64, "directory"));
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
        snprintf(path, sizeof(path), FOLDER "/%s/%s", name, files[index]);
        char *content = golden_read(path, &bytes);
        assert_non_null(content);
        if (strcmp(files[index], "model.safetensors") == 0) {
            memcpy(&header_bytes, content, sizeof(header_bytes));
            const char *entry = memmem(content, bytes, tensor, strlen(tensor));
            const char *offsets = entry == NULL ? NULL : strstr(entry, "\"data_offsets\":[");
            assert_true(offsets != NULL && sscanf(strchr(offsets, '['), "[%llu", &at) == 1);
            memcpy(content + sizeof(header_bytes) + header_bytes + at, &value, sizeof(value));
        }
        snprintf(path, sizeof(path), "%s/%s", folder, files[index]);
        FILE *file = fopen(path, "wb");
        assert_true(file != NULL && fwrite(content, 1, bytes, file) == bytes);
        assert_int_equal(fclose(file), 0);
        free(content);
    }
}

static void remove_copy(const char *folder)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char path[512];
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[index]);
        unlink(path);
    }
    rmdir(folder);
}

/* -exp(x) of minus infinity is 0, and would hide it. */
static void damage_is_found_where_a_directory_has_other_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *tensor;
        float value;
        const char *word;
    } cases[] = {
        {"qwen35moe", "layers.0.linear_attn.A_log", -INFINITY, "blk.0.ssm_a"},
        {"qwen35moe", "layers.1.linear_attn.A_log", INFINITY, "blk.1.ssm_a"},
        {"qwen35moe", "layers.0.input_layernorm.weight", NAN, "blk.0.attn_norm.weight"},
        {"llama4", "layers.1.feed_forward.experts.down_proj", NAN,
         "blk.1.ffn_down_exps.weight, expert 0: value 0 of row 0"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct golden golden;
        char folder[64];
        open_directory(&golden, cases[index].name);
        copy_with_value(cases[index].name, cases[index].tensor, cases[index].value, folder);
        const struct weir_config config = {.model_path = folder, .n_thread = 2};
        struct model_run run = model_run_open(&config, golden.ids, golden.id_count);
        remove_copy(folder);
        assert_int_equal(run.status, WEIR_ERR_FORMAT);
        if (strstr(run.err.text, cases[index].word) == NULL)
            fail_msg("wanted %s in: %s", cases[index].word, run.err.text);
        model_run_close(&run);
        golden_close(&golden);
    }
}

/* Ids of a text that has words, special tokens and other scripts. */
static uint32_t *encode(weir_tokenizer *tokenizer, unsigned flags, size_t *count)
{
    static const char text[] = "The weir holds back <|im_end|><|eot_id|> the w\u00e9ir; 12345\n\t "
                               "\u6c34\u529b  <|endoftext|>{x: [7]}";
    uint32_t *ids = NULL;
    struct weir_err err = {0};
    if (weir_tokenizer_encode(tokenizer, text, sizeof(text) - 1, flags, &ids, count, &err) !=
        WEIR_OK)
        fail_msg("%s", err.text);
    return ids;
}

static void texts_have_the_ids_of_the_gguf_file(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3moe-narrow", "olmoe", "llama-rope-llama3"};
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        char paths[2][256];
        weir_tokenizer *both[2] = {NULL, NULL};
        struct weir_err err = {0};
        snprintf(paths[0], sizeof(paths[0]), "tests/golden/%s/model.gguf", names[index]);
        snprintf(paths[1], sizeof(paths[1]), FOLDER "/%s", names[index]);
        for (int which = 0; which < 2; which++)
            if (weir_tokenizer_open(&both[which], paths[which], &err) != WEIR_OK)
                fail_msg("%s: %s", paths[which], err.text);
        for (unsigned flags = 0; flags < 4; flags++) {
            size_t count[2] = {0, 0};
            uint32_t *file = encode(both[0], flags, &count[0]);
            uint32_t *directory = encode(both[1], flags, &count[1]);
            assert_int_equal(count[0], count[1]);
            assert_memory_equal(file, directory, count[0] * sizeof(*file));
            weir_ids_free(&file);
            weir_ids_free(&directory);
        }
        assert_int_equal(weir_tokenizer_adds_bos(both[0]), weir_tokenizer_adds_bos(both[1]));
        for (uint32_t id = 0; id < weir_tokenizer_vocab_count(both[1]); id++)
            assert_int_equal(weir_tokenizer_is_end(both[0], id),
                             weir_tokenizer_is_end(both[1], id));
        weir_tokenizer_close(&both[0]);
        weir_tokenizer_close(&both[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_transformers),
        cmocka_unit_test(logits_equal_the_gguf_file),
        cmocka_unit_test(logits_are_near_those_of_a_gguf_file_of_the_same_values),
        cmocka_unit_test(streamed_equals_resident),
        cmocka_unit_test(damage_is_found_where_a_directory_has_other_values),
        cmocka_unit_test(texts_have_the_ids_of_the_gguf_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
