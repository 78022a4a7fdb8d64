/* hf_vocab_test.c - which files of a directory say what a vocabulary is, and what ends a text. */
#include "hf_toy.h"

#include <errno.h>
#include <unistd.h>

#include "scratch.h"

#define TOKENIZER                                                                                  \
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"<end>\": 3, "    \
    "\"<turn>\": 4}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "        \
    "\"add_prefix_space\": false, \"use_regex\": true}, \"decoder\": {\"type\": \"ByteLevel\"}, "  \
    "\"added_tokens\": [{\"id\": 3, \"content\": \"<end>\", \"special\": true}, "                  \
    "{\"id\": 4, \"content\": \"<turn>\", \"special\": true}]}"

static char folder[64];

static void write_file(const char *name, const void *bytes, size_t length)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_true(remove(path) == 0 || errno == ENOENT);
}

static int make_folder(void **state)
{
    static const char header[] = "{\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [1], "
                                 "\"data_offsets\": [0, 4]}}";
    const uint64_t length = sizeof(header) - 1;
    uint8_t model[256];
    (void)state;
    assert_true(scratch_folder(folder, sizeof(folder), "hf"));
    memcpy(model, &length, sizeof(length));
    memcpy(model + sizeof(length), header, length);
    memset(model + sizeof(length) + length, 0, 4);
    write_file("model.safetensors", model, sizeof(length) + length + 4);
    write_text("config.json", "{\"model_type\": \"qwen3\", \"tie_word_embeddings\": true}");
    write_text("tokenizer.json", TOKENIZER);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "config.json", "tokenizer.json",
                                        "tokenizer_config.json", "generation_config.json"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        remove_file(names[index]);
    return rmdir(folder);
}

static weir_manifest *open_folder(void)
{
    weir_manifest *manifest = NULL;
    struct weir_err err = {0};
    if (weir_manifest_open(&manifest, folder, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return manifest;
}

/* The tokens that end a text, in this order, behind which ids has nothing. */
static void ends_are(const uint32_t *ids, uint32_t count, uint32_t warning_count)
{
    const struct weir_vocab *vocab = NULL;
    struct weir_err err = {0};
    weir_manifest *manifest = open_folder();
    if (weir_manifest_vocab(manifest, &vocab, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(vocab->n_vocab, 5);
    assert_int_equal(vocab->n_end, count);
    for (uint32_t index = 0; index < count; index++)
        assert_int_equal(vocab->end_ids[index], ids[index]);
    assert_int_equal(vocab->eos_id, count == 0 ? WEIR_TOKEN_NONE : ids[0]);
    assert_int_equal(weir_manifest_warnings(manifest)->count, warning_count);
    weir_manifest_close(&manifest);
}

#define IDS(...) ((const uint32_t[]){__VA_ARGS__})

static void each_file_may_say_what_ends_a_text(void **state)
{
    (void)state;
    ends_are(NULL, 0, 0);
    write_text("config.json",
               "{\"model_type\": \"qwen3\", \"tie_word_embeddings\": true, \"eos_token_id\": 3}");
    ends_are(IDS(3), 1, 0);
    write_text("generation_config.json", "{\"eos_token_id\": [4, 3]}");
    ends_are(IDS(4, 3), 2, 0);
    write_text("generation_config.json", "{\"eos_token_id\": [5, -1, \"x\", 4]}");
    ends_are(IDS(4, 3), 2, 3);
    write_text("generation_config.json", "{\"eos_token_id\": null}");
    write_text("tokenizer_config.json", "{\"eos_token\": {\"content\": \"<turn>\"}}");
    ends_are(IDS(4, 3), 2, 0);
    write_text("tokenizer_config.json", "{\"eos_token\": \"<end>\"}");
    ends_are(IDS(3), 1, 0);
    write_text("tokenizer_config.json", "{\"eos_token\": \"<other>\"}");
    ends_are(IDS(3), 1, 1);
}

/* A key of the directory's is that number, or there is none. */
static void advice_is(const char *key, double wanted, uint32_t warning_count)
{
    double found = -1.0;
    weir_manifest *manifest = open_folder();
    assert_int_equal(weir_manifest_f64(manifest, key, &found), wanted >= 0.0);
    assert_float_equal(found, wanted, 1e-6);
    assert_int_equal(weir_manifest_warnings(manifest)->count, warning_count);
    weir_manifest_close(&manifest);
}

static void generation_config_advises_how_to_choose_tokens(void **state)
{
    (void)state;
    write_text("generation_config.json", "{\"temperature\": 0.6, \"top_k\": 20, \"top_p\": null}");
    advice_is("general.sampling.temp", 0.6, 0);
    advice_is("general.sampling.top_k", 20.0, 0);
    advice_is("general.sampling.top_p", -1.0, 0);
    write_text("generation_config.json",
               "{\"do_sample\": false, \"temperature\": 0.6, \"repetition_penalty\": 1.1}");
    advice_is("general.sampling.temp", -1.0, 0);
    advice_is("general.sampling.penalty_repeat", 1.1, 0);
    write_text("generation_config.json", "{\"temperature\": \"hot\", \"top_k\": 1.5}");
    advice_is("general.sampling.top_k", -1.0, 2);
    write_text("generation_config.json", "{\"temperature\":");
    advice_is("general.sampling.temp", -1.0, 0);
    remove_file("generation_config.json");
}

static void is_refused(enum weir_status status, const char *const *words)
{
    const struct weir_vocab *vocab = NULL;
    struct weir_err err = {0};
    weir_manifest *manifest = open_folder();
    assert_int_equal(weir_manifest_vocab(manifest, &vocab, &err), status);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("wanted \"%s\" in: %s", *words, err.text);
    assert_null(vocab);
    weir_manifest_close(&manifest);
}

static void what_is_missing_or_broken_is_named(void **state)
{
    (void)state;
    const uint64_t heap_bytes = weir_heap_bytes();
    write_text("tokenizer_config.json", "{");
    is_refused(WEIR_ERR_FORMAT, WORDS("tokenizer_config.json", "byte 1"));
    remove_file("tokenizer_config.json");
    write_text("tokenizer.json", "{}");
    is_refused(WEIR_ERR_FORMAT, WORDS("tokenizer.json"));
    remove_file("tokenizer.json");
    is_refused(WEIR_ERR_FORMAT, WORDS("tokenizer.json is missing", "no vocabulary"));
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

static weir_manifest *open_vocab(const char *path, enum weir_status status, const char *words)
{
    weir_manifest *manifest = NULL;
    const struct weir_vocab *vocab = NULL;
    struct weir_err err = {0};
    enum weir_status found = weir_manifest_open_vocab(&manifest, path, &err);
    if (found == WEIR_OK)
        found = weir_manifest_vocab(manifest, &vocab, &err);
    if (found != status || (words != NULL && strstr(err.text, words) == NULL))
        fail_msg("%s: wanted status %d and \"%s\", found %d: %s", path, status,
                 words == NULL ? "" : words, found, err.text);
    if (status == WEIR_OK)
        assert_int_equal(vocab->n_vocab, 5);
    return manifest;
}

/* By itself its tokens end no text; beside a configuration they may, without any weights. */
static void a_tokenizer_without_a_model_is_a_vocabulary(void **state)
{
    (void)state;
    const uint64_t heap_bytes = weir_heap_bytes();
    char path[128];
    remove_file("model.safetensors");
    write_text("config.json", "{\"eos_token_id\": 3}");
    write_text("tokenizer.json", "\n  " TOKENIZER);
    snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    weir_manifest *manifest = open_vocab(path, WEIR_OK, NULL);
    const struct weir_vocab *vocab = NULL;
    assert_int_equal(weir_manifest_vocab(manifest, &vocab, NULL), WEIR_OK);
    assert_int_equal(vocab->n_end, 0);
    assert_string_equal(weir_manifest_path(manifest), path);
    weir_manifest_close(&manifest);
    manifest = open_vocab(folder, WEIR_OK, NULL);
    assert_int_equal(weir_manifest_vocab(manifest, &vocab, NULL), WEIR_OK);
    assert_int_equal(vocab->n_end, 1);
    weir_manifest_close(&manifest);
    uint64_t call = 1;
    for (bool is_whole = false; !is_whole; call++) {
        weir_heap_fail_at(call);
        is_whole = weir_manifest_open_vocab(&manifest, path, NULL) == WEIR_OK &&
                   weir_manifest_vocab(manifest, &vocab, NULL) == WEIR_OK;
        weir_heap_fail_at(0);
        weir_manifest_close(&manifest);
    }
    assert_true(call > 8); /* the file, the manifest, and what a tokenizer consists of */
    write_text("tokenizer.json", "{\"model\": 1}");
    manifest = open_vocab(path, WEIR_ERR_FORMAT, path);
    weir_manifest_close(&manifest);
    write_text("tokenizer.json", "[]");
    assert_null(open_vocab(path, WEIR_ERR_FORMAT, path));
    remove_file("tokenizer.json");
    assert_null(open_vocab(path, WEIR_ERR_IO, path));
    manifest = open_vocab(folder, WEIR_ERR_FORMAT, "tokenizer.json is missing");
    weir_manifest_close(&manifest);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file_may_say_what_ends_a_text),
        cmocka_unit_test(generation_config_advises_how_to_choose_tokens),
        cmocka_unit_test(what_is_missing_or_broken_is_named),
        cmocka_unit_test(a_tokenizer_without_a_model_is_a_vocabulary),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
