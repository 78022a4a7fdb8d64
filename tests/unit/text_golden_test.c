/* text_golden_test.c - two real vocabularies against the ids that llama.cpp's own test files hold.
 *
 * The files are not in this repository: $WEIR_SHARED_DATA/vocab, else ../shared/data/vocab. */
#include <stdlib.h>
#include <unistd.h>

#include "formats/formats.h"
#include "golden.h"
#include "text_random.h"

enum { CASES = 47 };
static const char marker[] = "\n__ggml_vocab_test__\n";

static void make_path(char *path, size_t capacity, const char *name, const char *ending)
{
    const char *folder = getenv("WEIR_SHARED_DATA");
    snprintf(path, capacity, "%s/vocab/ggml-vocab-%s.gguf%s",
             folder == NULL ? "../shared/data" : folder, name, ending);
}

static char *read_text(const char *name, const char *ending, size_t *length)
{
    char path[512];
    make_path(path, sizeof(path), name, ending);
    char *text = golden_read(path, length);
    if (text == NULL)
        fail_msg("cannot read %s", path);
    return text;
}

/* One line of ids; *line moves behind it. */
static size_t read_ids(char **line, uint32_t *ids, size_t capacity)
{
    size_t count = 0;
    char *at = *line;
    while (*at != '\n' && *at != 0) {
        char *end;
        const unsigned long id = strtoul(at, &end, 10);
        if (end == at)
            break;
        assert_true(count < capacity);
        ids[count++] = (uint32_t)id;
        at = end;
    }
    *line = *at == 0 ? at : at + 1;
    return count;
}

static bool check_case(weir_text *text, const char *bytes, size_t length, const uint32_t *wanted,
                       size_t wanted_count)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(weir_text_tokenize(text, bytes, length, 0, &ids, &count, NULL), WEIR_OK);
    const bool same = count == wanted_count && memcmp(ids, wanted, count * sizeof(*ids)) == 0;
    if (!same)
        print_error("\"%.*s\": wanted %zu ids, found %zu, or others\n", (int)length, bytes,
                    wanted_count, count);
    weir_heap_free(ids);
    if (!toy_round_trip(text, bytes, length)) {
        print_error("\"%.*s\": does not come back\n", (int)length, bytes);
        return false;
    }
    return same;
}

static void check_vocabulary(const char *name)
{
    char path[512];
    struct weir_err err = {0};
    weir_manifest *manifest = NULL;
    const struct weir_vocab *vocab = NULL;
    weir_text *text = NULL;
    make_path(path, sizeof(path), name, "");
    if (weir_manifest_open(&manifest, path, &err) != WEIR_OK ||
        weir_manifest_vocab(manifest, &vocab, &err) != WEIR_OK ||
        weir_text_create(&text, vocab, NULL, &err) != WEIR_OK)
        fail_msg("%s: %s", path, err.text);

    size_t length, ignored, good = 0;
    char *texts = read_text(name, ".inp", &length), *lines = read_text(name, ".out", &ignored);
    char *at = texts, *line = lines;
    size_t cases = 0;
    for (; at != NULL; cases++) {
        static uint32_t wanted[4096];
        char *end = memmem(at, (size_t)(texts + length - at), marker, strlen(marker));
        const size_t wanted_count = read_ids(&line, wanted, WEIR_COUNT(wanted));
        const size_t case_length = (size_t)((end == NULL ? texts + length : end) - at);
        good += check_case(text, at, case_length, wanted, wanted_count);
        at = end == NULL ? NULL : end + strlen(marker);
    }
    printf("%s: %zu of %zu\n", name, good, cases);
    assert_int_equal(cases, CASES);
    assert_int_equal(good, CASES);
    free(texts);
    free(lines);
    weir_text_destroy(&text);
    weir_manifest_close(&manifest);
}

static void gpt2_gives_the_golden_ids(void **state)
{
    (void)state;
    check_vocabulary("gpt-2");
}

static void llama_sentencepiece_gives_the_golden_ids(void **state)
{
    (void)state;
    check_vocabulary("llama-spm");
}

int main(void)
{
    char path[512];
    make_path(path, sizeof(path), "gpt-2", "");
    if (access(path, R_OK) != 0) {
        printf("skipped: no %s (set WEIR_SHARED_DATA)\n", path);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_gives_the_golden_ids),
        cmocka_unit_test(llama_sentencepiece_gives_the_golden_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
