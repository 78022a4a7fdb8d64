/* text_golden_test.c - real vocabularies against the ids that llama.cpp's own test files hold.
 *
 * The files are not in this repository: $WEIR_SHARED_DATA/vocab, else ../shared/data/vocab, and
 * tests/oracle/vocabularies.py brings more. Their makers took the ids from Hugging Face. */
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "formats/formats.h"
#include "golden.h"
#include "text_random.h"

enum { CASES_MIN = 46 };
/* Of qwen35 three are of text that its published tokenizer brings to normal form C first, which
 * llama.cpp does not (docs/decisions/0003-nfc.md). */
static const char normalises[] = "qwen35";
enum { NOT_NORMAL = 3 };
static size_t wrong; /* vocabularies */
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
    if (!same) {
        size_t at = 0;
        while (at < count && at < wanted_count && ids[at] == wanted[at])
            at++;
        print_error("\"%.*s\": wanted %zu ids, found %zu; id %zu differs, or is not there\n",
                    (int)weir_min(length, 80), bytes, wanted_count, count, at);
    }
    weir_heap_free(ids);
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
    const size_t left_out = strcmp(name, normalises) == 0 ? NOT_NORMAL : 0;
    wrong += cases < CASES_MIN || good + left_out != cases;
    free(texts);
    free(lines);
    weir_text_destroy(&text);
    weir_manifest_close(&manifest);
}

static void vocabularies_give_the_golden_ids(void **state)
{
    (void)state;
    char pattern[512];
    glob_t found;
    make_path(pattern, sizeof(pattern), "*", ".inp");
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t index = 0; index < found.gl_pathc; index++) {
        static const char before[] = "ggml-vocab-";
        char name[128];
        const char *start = strstr(found.gl_pathv[index], before) + strlen(before);
        const size_t length = strlen(start) - strlen(".gguf.inp");
        assert_true(length < sizeof(name));
        snprintf(name, sizeof(name), "%.*s", (int)length, start);
        check_vocabulary(name);
    }
    globfree(&found);
    assert_int_equal(wrong, 0);
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
        cmocka_unit_test(vocabularies_give_the_golden_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
