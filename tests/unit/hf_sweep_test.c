/* hf_sweep_test.c - odd values in every place of the JSON of directories and of tokenizers.
 *
 * Each is refused in words that name the file, or obeyed: never an abort, a hang, a huge allocation
 * or memory that stays. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/heap.h"
#include "formats/json.h"
#include "text/text.h"

#include "model_run.h"
#include "scratch.h"
#include "sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DIRECTORIES "tests/golden/directories"
#define TOKENIZERS "tests/golden/tokenizers"

enum { EVERY_LONG = 3 };
enum { PLACE_MAX = 4096, FILE_MAX = 16, PATH_BYTES = 512, EACH_MAX = 4, PEAK_KIB_MAX = 1 << 18 };

static const char *const odds[] = {
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "0.5",
    "1e300",
    "-1e-300",
    "NaN",
    "4294967295",
    "9223372036854775808",
    "18446744073709551616",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"..\"",
    "[]",
    "{}",
    "[[]]",
    "[0, 0]",
    "{\"x\": [1, {\"y\": null}]}",
};

/* A file of the folder that is tried: what is before its JSON, the JSON, and what is behind it. */
struct text {
    char name[128];
    char *bytes;
    size_t length, json_at, json_length;
};

struct place {
    struct weir_json key, value; /* key: of a member */
};

static char folder[64];
static struct text texts[FILE_MAX];
static size_t text_count;
static struct place places[PLACE_MAX];
static size_t place_count;

static const char *path_of(const char *name, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%.127s", folder, name);
    return out;
}

static void write_parts(const char *name, const struct weir_bytes *parts, size_t count)
{
    char path[PATH_BYTES];
    FILE *file = fopen(path_of(name, path), "wb");
    assert_non_null(file);
    for (size_t part = 0; part < count; part++)
        assert_int_equal(fwrite(parts[part].start, 1, parts[part].length, file),
                         parts[part].length);
    assert_int_equal(fclose(file), 0);
}

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* A copy of the file into the folder; its JSON is the file, or the header behind its length. */
static void take_file(const char *from, const char *name)
{
    char path[PATH_BYTES];
    struct text *text = &texts[text_count++];
    assert_true(text_count <= FILE_MAX);
    memset(text, 0, sizeof(*text));
    snprintf(text->name, sizeof(text->name), "%s", name);
    snprintf(path, sizeof(path), "%s/%s", from, name);
    text->bytes = golden_read(path, &text->length);
    assert_non_null(text->bytes);
    text->json_length = text->length;
    if (ends_with(name, ".safetensors")) {
        uint64_t length = 0;
        memcpy(&length, text->bytes, sizeof(length));
        text->json_at = sizeof(length);
        text->json_length = length;
    }
    write_parts(name, &(struct weir_bytes){text->bytes, text->length}, 1);
}

static void take_folder(const char *from)
{
    DIR *directory = opendir(from);
    assert_non_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if ((ends_with(entry->d_name, ".json") && strcmp(entry->d_name, "provenance.json") != 0) ||
            ends_with(entry->d_name, ".safetensors"))
            take_file(from, entry->d_name);
    closedir(directory);
}

static void drop_folder(void)
{
    char path[PATH_BYTES];
    for (size_t index = 0; index < text_count; index++) {
        free(texts[index].bytes);
        assert_int_equal(remove(path_of(texts[index].name, path)), 0);
    }
    text_count = 0;
}

/* Every value below this one; of long tables the first ones and the last. */
static void list_places(struct weir_json key, struct weir_json value)
{
    const uint64_t count = weir_json_count(value);
    assert_true(place_count < PLACE_MAX);
    places[place_count++] = (struct place){key, value};
    for (struct weir_json_walk walk = weir_json_walk(value); weir_json_next(&walk);)
        if (count < 64 || walk.index < EACH_MAX || walk.index + 1 == count)
            list_places(walk.key, walk.value);
}

/* The file with other bytes in place of some; its header's length follows. */
static void write_changed(const struct text *text, const char *from, const char *to,
                          const char *instead)
{
    const char *json = text->bytes + text->json_at;
    const uint64_t length = text->json_length - (uint64_t)(to - from) + strlen(instead);
    const struct weir_bytes parts[] = {
        {(const char *)&length, text->json_at},
        {json, (size_t)(from - json)},
        {instead, strlen(instead)},
        {to, (size_t)(text->bytes + text->length - to)},
    };
    write_parts(text->name, parts, WEIR_COUNT(parts));
}

static enum weir_status try_model(struct weir_err *err)
{
    static const uint32_t ids[] = {1, 2, 3};
    const struct weir_config config = {
        .model_path = folder, .n_thread = 1, .io = WEIR_ENGINE_IO_THREADS, .buffered = true};
    struct model_run run = model_run_open(&config, ids, WEIR_COUNT(ids));
    const enum weir_status status = run.status;
    *err = run.err;
    model_run_close(&run);
    return status;
}

static enum weir_status try_tokenizer(struct weir_err *err)
{
    static const char text[] = "Hello, w\xc3\xb6rld! 123 \xe2\x96\x81 <s>\n  x\xff\xf0\x9f\x98\x80";
    weir_tokenizer *tokenizer = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    enum weir_status status = weir_tokenizer_open(&tokenizer, folder, err);
    if (status == WEIR_OK)
        status = weir_tokenizer_encode(tokenizer, text, strlen(text), WEIR_TEXT_ADD_SPECIAL, &ids,
                                       &count, err);
    weir_ids_free(&ids);
    weir_tokenizer_close(&tokenizer);
    return status;
}

typedef enum weir_status try_fn(struct weir_err *err);

/* The file, or what became of what it says. */
static bool names_thing(const struct text *text, const char *words)
{
    const char *const things[] = {text->name,     folder,         "key ",     "tensor ",
                                  "merge ",       "pattern ",     "token ",   "heads ",
                                  "normalizer: ", "vocabulary: ", "positions"};
    for (size_t index = 0; index < WEIR_COUNT(things); index++)
        if (strstr(words, things[index]) != NULL)
            return true;
    return false;
}

/* A refusal is a sentence about the file, and not that memory is short: nothing was asked for. */
static void try_changed(const struct text *text, try_fn *attempt)
{
    struct weir_err err = {0};
    const uint64_t heap_bytes = weir_heap_bytes();
    sweep_start();
    const enum weir_status status = attempt(&err);
    sweep_stop();
    if (weir_heap_bytes() != heap_bytes)
        sweep_complain("memory stays");
    if (status == WEIR_OK)
        return;
    if (status == WEIR_ERR_NOMEM || !names_thing(text, err.text))
        sweep_complain(err.text[0] == 0 ? "refused without words" : err.text);
}

/* Places are many and alike, above all in headers and indexes: a long run, too, tries some. */
static bool has_turn(const struct text *text, uint64_t every)
{
    const bool is_table =
        ends_with(text->name, ".safetensors") || ends_with(text->name, ".index.json");
    return sweep_has_turn(every, is_table ? 4 * EVERY_LONG : EVERY_LONG);
}

static void sweep_place(const struct text *text, const struct place *place, try_fn *attempt,
                        uint64_t every)
{
    const int key_length = (int)weir_min(60, (uint64_t)(place->key.end - place->key.start));
    const int length = (int)weir_min(60, (uint64_t)(place->value.end - place->value.start));
    for (size_t odd = 0; odd < WEIR_COUNT(odds); odd++) {
        if (!has_turn(text, every))
            continue;
        snprintf(sweep_current, sizeof(sweep_current), "%.127s: %.*s: %.*s becomes %s", text->name,
                 key_length, place->key.start, length, place->value.start, odds[odd]);
        write_changed(text, place->value.start, place->value.end, odds[odd]);
        try_changed(text, attempt);
    }
    if (place->key.start == NULL || !has_turn(text, every))
        return;
    snprintf(sweep_current, sizeof(sweep_current), "%.127s: %.*s has another name", text->name,
             key_length, place->key.start);
    write_changed(text, place->key.start, place->key.end, "\"another\"");
    try_changed(text, attempt);
}

static void sweep_text(const struct text *text, try_fn *attempt, uint64_t every)
{
    struct weir_json root;
    place_count = 0;
    assert_int_equal(
        weir_json_parse(&root, text->bytes + text->json_at, text->json_length, text->name, NULL),
        WEIR_OK);
    list_places((struct weir_json){0}, root);
    for (size_t index = 0; index < place_count; index++)
        sweep_place(text, &places[index], attempt, every);
    write_parts(text->name, &(struct weir_bytes){text->bytes, text->length}, 1);
}

static void odd_values_in_a_directory_are_refused_or_obeyed(void **state)
{
    (void)state;
    DIR *directories = opendir(DIRECTORIES);
    assert_non_null(directories);
    for (struct dirent *entry = readdir(directories); entry != NULL; entry = readdir(directories)) {
        char from[PATH_BYTES];
        struct weir_err err = {0};
        if (entry->d_name[0] == '.')
            continue;
        snprintf(from, sizeof(from), DIRECTORIES "/%s", entry->d_name);
        take_folder(from);
        assert_int_equal(try_model(&err), WEIR_OK);
        for (size_t index = 0; index < text_count; index++)
            if (strcmp(texts[index].name, "tokenizer.json") != 0)
                sweep_text(&texts[index], try_model, 331);
        drop_folder();
    }
    closedir(directories);
    sweep_end();
}

static void odd_values_in_a_tokenizer_are_refused_or_obeyed(void **state)
{
    (void)state;
    DIR *tokenizers = opendir(TOKENIZERS);
    assert_non_null(tokenizers);
    for (struct dirent *entry = readdir(tokenizers); entry != NULL; entry = readdir(tokenizers)) {
        char path[PATH_BYTES];
        struct weir_err err = {0};
        if (!ends_with(entry->d_name, ".json"))
            continue;
        take_file(TOKENIZERS, entry->d_name);
        snprintf(texts[0].name, sizeof(texts[0].name), "tokenizer.json");
        assert_int_equal(remove(path_of(entry->d_name, path)), 0);
        write_parts(texts[0].name, &(struct weir_bytes){texts[0].bytes, texts[0].length}, 1);
        if (try_tokenizer(&err) != WEIR_OK)
            fail_msg("%s: %s", entry->d_name, err.text);
        sweep_text(&texts[0], try_tokenizer, 13);
        drop_folder();
    }
    closedir(tokenizers);
    sweep_end();
}

static int set_up(void **state)
{
    (void)state;
    sweep_set_up();
    return !scratch_folder(folder, sizeof(folder), "sweep");
}

static int tear_down(void **state)
{
    struct rusage used;
    (void)state;
    getrusage(RUSAGE_SELF, &used);
    printf("a peak of %ld KiB\n", used.ru_maxrss);
    if (SWEEP_SLOWER == 1 && used.ru_maxrss > PEAK_KIB_MAX) {
        printf("wanted at most %d\n", PEAK_KIB_MAX);
        return 1;
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_values_in_a_directory_are_refused_or_obeyed),
        cmocka_unit_test(odd_values_in_a_tokenizer_are_refused_or_obeyed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
