/* text_split_test.c - pre-tokenization: cases by hand, properties, and what Hugging Face's
 * tokenizers gave (tests/golden/text). */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>

#include "text/split.h"
#include "text_toy.h"

enum { PIECES_MAX = 4096 };

static const char *const names[] = {
    "gpt-2",        "olmo",           "smollm",           "qwen2",
    "llama-bpe",    "llama3",         "deepseek-r1-qwen", "dbrx",
    "deepseek-llm", "deepseek-coder", "deepseek-v3",      "default"};

struct pieces {
    struct weir_bytes at[PIECES_MAX];
    size_t count;
};

static enum weir_status take_piece(void *context, const char *start, size_t length,
                                   struct weir_err *err)
{
    (void)err;
    struct pieces *pieces = context;
    assert_true(pieces->count < PIECES_MAX);
    assert_true(length > 0);
    pieces->at[pieces->count++] = (struct weir_bytes){start, length};
    return WEIR_OK;
}

static weir_text_splitter *open_splitter(const char *name)
{
    weir_text_splitter *splitter = NULL;
    struct weir_err err = {0};
    if (weir_text_splitter_create(&splitter, toy_bytes(name), &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return splitter;
}

static void split_into(const char *name, const char *bytes, size_t length, struct pieces *pieces)
{
    weir_text_splitter *splitter = open_splitter(name);
    pieces->count = 0;
    assert_int_equal(weir_text_split(splitter, bytes, length, take_piece, pieces, NULL), WEIR_OK);
    weir_text_splitter_destroy(&splitter);
}

static void texts_split_as_published(void **state)
{
    (void)state;
    /* "|" stands between the pieces. */
    static const struct {
        const char *name, *pieces;
    } cases[] = {
        {"gpt-2", "I|'m| 1234|?|  | x|'|RE"},
        {"gpt-2", "Hello|'s|  | y|\n\n"},
        {"smollm", "I| |1|2|3|,| a"},
        {"qwen2", "I|'M| |1|2|.x| y|'s|  \n\n| z"},
        {"llama-bpe", "I|'M| |123|4|.x| y|!!\n\n|z"},
        {"deepseek-llm", "a|\n|\n| b|  |1|2|,| c|\xe4\xbd\xa0\xe5\xa5\xbd"},
        {"deepseek-coder", "x| = |1|2|;|\n"},
        {"deepseek-v3", "ab| |123|4|.x|,| y|\xe4\xbd\xa0\xe5\xa5\xbd|!!\n"},
        {"default", "a|=|b| |123|4"},
        /* U+180E is no space in Unicode; U+0085 and U+3000 are. */
        {"gpt-2", "a|\xe1\xa0\x8e\xe1\xa0\x8e|b|\xc2\x85\xe3\x80\x80|\xe3\x80\x80|c"},
    };
    static struct pieces pieces;
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        char text[128], found[128];
        size_t length = 0, filled = 0;
        for (const char *at = cases[row].pieces; *at != 0; at++)
            if (*at != '|')
                text[length++] = *at;
        split_into(cases[row].name, text, length, &pieces);
        for (size_t index = 0; index < pieces.count; index++) {
            if (index > 0)
                found[filled++] = '|';
            memcpy(found + filled, pieces.at[index].start, pieces.at[index].length);
            filled += pieces.at[index].length;
        }
        found[filled] = 0;
        if (strcmp(found, cases[row].pieces) != 0)
            fail_msg("%s: wanted \"%s\", found \"%s\"", cases[row].name, cases[row].pieces, found);
    }
}

static void pieces_put_together_are_the_text(void **state)
{
    (void)state;
    static const char *const scraps[] = {"a",
                                         "Z",
                                         "9",
                                         " ",
                                         "\n",
                                         "\t",
                                         "\r",
                                         "'s",
                                         "'",
                                         ".",
                                         "\xc3\xa9",
                                         "\xcc\x81",
                                         "\xe4\xbd\xa0",
                                         "\xe3\x80\x80",
                                         "\xf0\x9f\x98\x80",
                                         "\xd9\xa3",
                                         "\xc2\xbd",
                                         "\xef\xbc\x81"};
    static struct pieces pieces;
    static char text[1024];
    uint64_t random = 5;
    for (size_t row = 0; row < WEIR_COUNT(names); row++) {
        weir_text_splitter *splitter = open_splitter(names[row]);
        for (int turn = 0; turn < 500; turn++) {
            size_t length = 0;
            const size_t wanted = weir_random_next(&random) % (sizeof(text) - 8);
            while (length < wanted) {
                const char *scrap = scraps[weir_random_next(&random) % WEIR_COUNT(scraps)];
                memcpy(text + length, scrap, strlen(scrap));
                length += strlen(scrap);
            }
            pieces.count = 0;
            assert_int_equal(weir_text_split(splitter, text, length, take_piece, &pieces, NULL),
                             WEIR_OK);
            const char *expected = text;
            for (size_t index = 0; index < pieces.count; index++) {
                assert_ptr_equal(pieces.at[index].start, expected);
                expected += pieces.at[index].length;
            }
            assert_ptr_equal(expected, text + length);
        }
        weir_text_splitter_destroy(&splitter);
    }
}

static enum weir_status count_piece(void *context, const char *start, size_t length,
                                    struct weir_err *err)
{
    (void)start;
    (void)err;
    *(size_t *)context += length;
    return WEIR_OK;
}

static void long_runs_do_not_take_the_square_of_their_length(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20 };
    char *text = weir_heap_alloc(LENGTH);
    for (size_t row = 0; row < WEIR_COUNT(names); row++) {
        weir_text_splitter *splitter = open_splitter(names[row]);
        for (size_t run = 0; run < 6; run++) {
            size_t length = 0;
            memset(text, "a .\n1'"[run], LENGTH);
            text[LENGTH - 1] = run == 1 ? '1' : text[0];
            assert_int_equal(weir_text_split(splitter, text, LENGTH, count_piece, &length, NULL),
                             WEIR_OK);
            assert_int_equal(length, LENGTH);
        }
        weir_text_splitter_destroy(&splitter);
    }
    weir_heap_free(text);
}

static enum weir_status refuse_piece(void *context, const char *start, size_t length,
                                     struct weir_err *err)
{
    (void)start;
    (void)length;
    *(int *)context += 1;
    return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "enough");
}

static void the_first_refusal_ends_the_split(void **state)
{
    (void)state;
    int calls = 0;
    weir_text_splitter *splitter = open_splitter("deepseek-llm");
    assert_int_equal(weir_text_split(splitter, "a b c", 5, refuse_piece, &calls, NULL),
                     WEIR_ERR_CANCELLED);
    assert_int_equal(calls, 1);
    weir_text_splitter_destroy(&splitter);
    assert_null(splitter);
}

/* Returns false when the pieces of one line differ, and says where. */
static bool check_line(const char *path, size_t number, const char *line)
{
    static struct pieces pieces;
    json_t *root = json_loads(line, JSON_ALLOW_NUL, NULL);
    const char *pre = json_string_value(json_object_get(root, "pre"));
    const json_t *text = json_object_get(root, "text");
    const json_t *wanted = json_object_get(root, "pieces");
    if (pre == NULL || !json_is_string(text) || !json_is_array(wanted)) {
        print_error("%s:%zu: wanted {\"pre\",\"text\",\"pieces\"}\n", path, number);
        json_decref(root);
        return false;
    }
    split_into(pre, json_string_value(text), json_string_length(text), &pieces);
    bool same = pieces.count == json_array_size(wanted);
    size_t index;
    const json_t *piece;
    json_array_foreach(wanted, index, piece)
    {
        same =
            same && json_string_length(piece) == pieces.at[index].length &&
            memcmp(json_string_value(piece), pieces.at[index].start, pieces.at[index].length) == 0;
        if (!same) {
            print_error("%s:%zu: %s: piece %zu differs: wanted \"%s\"\n", path, number, pre, index,
                        json_string_value(piece));
            break;
        }
    }
    json_decref(root);
    return same;
}

static void pieces_equal_the_outside_judge(void **state)
{
    (void)state;
    static const char folder[] = "tests/golden/text";
    DIR *files = opendir(folder);
    if (files == NULL) {
        printf("skipped: no folder %s\n", folder);
        skip();
    }
    size_t checked = 0, wrong = 0;
    for (const struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files)) {
        char path[512];
        const size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 6, ".jsonl") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        char *line = NULL;
        size_t capacity = 0, number = 0;
        while (getline(&line, &capacity, file) > 0) {
            number++;
            if (strstr(line, "\"pieces\"") == NULL)
                continue; /* a line about the file itself */
            checked++;
            wrong += !check_line(path, number, line);
        }
        free(line);
        fclose(file);
    }
    closedir(files);
    printf("%zu splits compared\n", checked);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_split_as_published),
        cmocka_unit_test(pieces_put_together_are_the_text),
        cmocka_unit_test(long_runs_do_not_take_the_square_of_their_length),
        cmocka_unit_test(the_first_refusal_ends_the_split),
        cmocka_unit_test(pieces_equal_the_outside_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
