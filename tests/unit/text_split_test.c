/* text_split_test.c - pre-tokenization: cases by hand, properties, and what Hugging Face's
 * tokenizers gave (tests/golden/text). */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>

#include "text/text_parts.h"
#include "text_toy.h"

enum { PIECES_MAX = 1 << 16, BYTES_MAX = 1 << 17 };

/* One name for each way to cut. */
enum { NAMES_MAX = 64 };
static const char *names[NAMES_MAX];
static size_t name_count;

/* The pieces, each in a copy. */
struct pieces {
    struct weir_bytes at[PIECES_MAX];
    size_t count;
    char bytes[BYTES_MAX];
    size_t filled;
    bool is_open;
};

static enum weir_status take_piece(void *context, const char *bytes, size_t length, bool ends,
                                   struct weir_err *err)
{
    (void)err;
    struct pieces *pieces = context;
    assert_true(pieces->count < PIECES_MAX && pieces->filled + length <= BYTES_MAX);
    if (!pieces->is_open)
        pieces->at[pieces->count++] = (struct weir_bytes){pieces->bytes + pieces->filled, 0};
    if (length > 0)
        memcpy(pieces->bytes + pieces->filled, bytes, length);
    pieces->filled += length;
    pieces->at[pieces->count - 1].length += length;
    pieces->is_open = !ends;
    assert_true(!ends || pieces->at[pieces->count - 1].length > 0);
    return WEIR_OK;
}

/* One at a time: it borrows its rules. */
static weir_text_splitter *open_splitter(const char *name)
{
    static struct weir_text_rules rules;
    weir_text_splitter *splitter = NULL;
    struct weir_err err = {0};
    bool is_raw = false;
    if (weir_text_find_rules(toy_bytes(name), &rules, &is_raw, &err) != WEIR_OK ||
        weir_text_splitter_create(&splitter, &rules, &err) != WEIR_OK)
        fail_msg("%s: %s", name, err.text);
    return splitter;
}

/* Every name compiles; those that cut alike are tested once. */
static int find_names(void **state)
{
    (void)state;
    struct weir_text_rules rules, previous = {0};
    uint32_t index = 0;
    for (const char *name; (name = weir_text_pre_at(index)) != NULL; index++) {
        bool is_raw = false;
        weir_text_splitter *splitter = open_splitter(name);
        weir_text_splitter_destroy(&splitter);
        assert_int_equal(weir_text_find_rules(toy_bytes(name), &rules, &is_raw, NULL), WEIR_OK);
        if (memcmp(rules.splits, previous.splits, sizeof(rules.splits)) == 0)
            continue;
        previous = rules;
        assert_true(name_count < NAMES_MAX);
        names[name_count++] = name;
    }
    printf("%u names, %zu ways to cut\n", index, name_count);
    return 0;
}

/* A text in parts of at most part_max characters (0: at once). Returns the most that was held. */
static size_t split(weir_text_splitter *splitter, const char *bytes, size_t length,
                    uint64_t part_max, uint64_t *random, struct pieces *pieces)
{
    weir_text_split_stream *stream = NULL;
    size_t held = 0;
    pieces->count = pieces->filled = 0;
    pieces->is_open = false;
    assert_int_equal(weir_text_split_stream_create(&stream, splitter, take_piece, pieces, NULL),
                     WEIR_OK);
    for (size_t offset = 0, end; offset < length || length == 0; offset = end) {
        end = length;
        if (part_max > 0) {
            size_t count = 1 + weir_random_next(random) % part_max;
            for (end = offset; end < length && count > 0; count--)
                end += weir_utf8_char(bytes + end, length - end);
        }
        assert_int_equal(
            weir_text_split_feed(stream, bytes + offset, end - offset, end == length, NULL),
            WEIR_OK);
        held = weir_max(held, weir_text_split_held(stream));
        if (length == 0)
            break;
    }
    assert_false(pieces->is_open);
    assert_int_equal(weir_text_split_held(stream), 0);
    weir_text_split_stream_destroy(&stream);
    return held;
}

static bool are_same(const struct pieces *one, const struct pieces *other)
{
    bool same = one->count == other->count && one->filled == other->filled &&
                memcmp(one->bytes, other->bytes, one->filled) == 0;
    for (size_t index = 0; same && index < one->count; index++)
        same = one->at[index].length == other->at[index].length;
    return same;
}

static void split_into(const char *name, const char *bytes, size_t length, struct pieces *pieces)
{
    weir_text_splitter *splitter = open_splitter(name);
    split(splitter, bytes, length, 0, NULL, pieces);
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
        {"gpt-4o", "Weir|Runs| HTTPS| x's| |123|4|!!//"},
        {"tekken", "Weir|Runs|'s| |1|2"},
        {"kimi-k2", "ab|\xe4\xbd\xa0\xe5\xa5\xbd|Cd| |123|4"},
        {"tiny_aya", "x| |1|234|567|,|12|;"},
        {"tiny_aya", "123|4|a| |12"},
        {"superbpe", "a b |1|234|567| c d"},
        {"exaone-moe", "Water flows down|.| It holds"},
        {"glm4", " |123|4| a"},
        {"jais-2", "a|  | b"},
        {"bloom", "a| b|,|c|.| d"},
        {"viking", "a| |1|2|,|c"},
        {"chameleon", "x|<|sentinel|:|1|2|>| y| |3|IMGIMGABZ"},
        {"gemma4", "a b|\n\n|c"},
        {"laguna", "a| b|\n| c"},
        {"whitespace", "ab| |c"},
        {"qwen35", "ka\xcc\x81k|'s| |1"},
        {"seed-coder", "a|!!|\n|b"},
        {"spark2_5", "a|!|\n|\n|b"},
        {"minicpm5", "123|4| a"},
        /* U+180E is no space in Unicode; U+0085 and U+3000 are. */
        {"gpt-2", "a|\xe1\xa0\x8e\xe1\xa0\x8e|b|\xc2\x85\xe3\x80\x80|\xe3\x80\x80|c"},
    };
    static struct pieces pieces;
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        char text[128], found[128];
        size_t length = 0, filled = 0;
        const char *wanted = cases[row].pieces;
        for (const char *at = wanted; *at != 0; at++)
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
        if (strcmp(found, wanted) != 0)
            fail_msg("%s: wanted \"%s\", found \"%s\"", cases[row].name, wanted, found);
    }
}

static void pieces_put_together_are_the_text_however_it_is_cut(void **state)
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
                                         "\xef\xbc\x81",
                                         "/",
                                         "\xec\x9e\x90",
                                         "\xe3\x81\x8b",
                                         "\xce\xa9",
                                         "\xe2\x96\x81"};
    static struct pieces whole, parts;
    static char text[BYTES_MAX];
    uint64_t random = 5;
    for (size_t row = 0; row < name_count; row++) {
        weir_text_splitter *splitter = open_splitter(names[row]);
        for (int turn = 0; turn < 100; turn++) {
            size_t length = 0;
            const size_t wanted = weir_random_next(&random) % 1000;
            /* now and then a run that is longer than what is looked at together */
            const bool has_runs = turn % 8 == 0;
            while (length < wanted) {
                const char *scrap = scraps[weir_random_next(&random) % WEIR_COUNT(scraps)];
                size_t count = has_runs && weir_random_next(&random) % 8 == 0 ? 3000 : 1;
                for (; count > 0; count--) {
                    memcpy(text + length, scrap, strlen(scrap));
                    length += strlen(scrap);
                }
            }
            split(splitter, text, length, 0, NULL, &whole);
            assert_int_equal(whole.filled, length);
            assert_memory_equal(whole.bytes, text, length);
            for (uint64_t part_max = 1; part_max < 10000; part_max *= 20) {
                split(splitter, text, length, part_max, &random, &parts);
                if (!are_same(&whole, &parts))
                    fail_msg("%s: parts of %u: other pieces of \"%.*s\"", names[row],
                             (unsigned)part_max, (int)weir_min(length, 2000), text);
            }
        }
        weir_text_splitter_destroy(&splitter);
    }
}

static enum weir_status count_piece(void *context, const char *start, size_t length, bool ends,
                                    struct weir_err *err)
{
    (void)start;
    (void)ends;
    (void)err;
    *(size_t *)context += length;
    return WEIR_OK;
}

/* Whether where a run is cut depends on where it ends. */
static bool waits_for_the_end(const char *name, char letter)
{
    static const char *const spaces[] = {"deepseek-llm", "jais-2"};
    static const char *const digits[] = {"tiny_aya", "superbpe", "afmoe"};
    for (size_t index = 0; letter == ' ' && index < WEIR_COUNT(spaces); index++)
        if (strcmp(name, spaces[index]) == 0)
            return true;
    for (size_t index = 0; letter == '1' && index < WEIR_COUNT(digits); index++)
        if (strcmp(name, digits[index]) == 0)
            return true;
    return false;
}

static void long_runs_take_neither_the_square_of_their_length_nor_memory(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 18, PART = 4096 };
    static const char runs[] = "a .\n1'";
    char *text = weir_heap_alloc(LENGTH);
    for (size_t row = 0; row < name_count; row++) {
        weir_text_splitter *splitter = open_splitter(names[row]);
        for (size_t run = 0; run < 2 * strlen(runs); run++) {
            size_t length = 0, held = 0;
            const char letter = runs[run / 2];
            const size_t part = run % 2 == 0 ? LENGTH : PART;
            weir_text_split_stream *stream = NULL;
            assert_int_equal(
                weir_text_split_stream_create(&stream, splitter, count_piece, &length, NULL),
                WEIR_OK);
            memset(text, letter, LENGTH);
            text[LENGTH - 1] = letter == ' ' ? '1' : letter;
            for (size_t at = 0; at < LENGTH; at += part) {
                assert_int_equal(
                    weir_text_split_feed(stream, text + at, part, at + part == LENGTH, NULL),
                    WEIR_OK);
                held = weir_max(held, weir_text_split_held(stream));
            }
            assert_int_equal(length, LENGTH);
            if (held > 2 * PART && !waits_for_the_end(names[row], letter))
                fail_msg("%s: %zu bytes held of a run of '%c'", names[row], held, letter);
            weir_text_split_stream_destroy(&stream);
        }
        weir_text_splitter_destroy(&splitter);
    }
    weir_heap_free(text);
}

static enum weir_status refuse_piece(void *context, const char *start, size_t length, bool ends,
                                     struct weir_err *err)
{
    (void)start;
    (void)length;
    (void)ends;
    ++*(int *)context;
    return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "enough");
}

static void the_first_refusal_ends_the_split(void **state)
{
    (void)state;
    int calls = 0;
    weir_text_splitter *splitter = open_splitter("deepseek-llm");
    weir_text_split_stream *stream = NULL;
    assert_int_equal(weir_text_split_stream_create(&stream, splitter, refuse_piece, &calls, NULL),
                     WEIR_OK);
    assert_int_equal(weir_text_split_feed(stream, "a b c", 5, true, NULL), WEIR_ERR_CANCELLED);
    assert_int_equal(calls, 1);
    weir_text_split_stream_destroy(&stream);
    assert_null(stream);
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
    static struct pieces parts;
    uint64_t random = number;
    weir_text_splitter *splitter = open_splitter(pre);
    for (uint64_t part_max = 1; same && part_max < 1000; part_max *= 7) {
        split(splitter, json_string_value(text), json_string_length(text), part_max, &random,
              &parts);
        same = are_same(&pieces, &parts);
        if (!same)
            print_error("%s:%zu: %s: other pieces when it is cut\n", path, number, pre);
    }
    weir_text_splitter_destroy(&splitter);
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
        cmocka_unit_test(pieces_put_together_are_the_text_however_it_is_cut),
        cmocka_unit_test(long_runs_take_neither_the_square_of_their_length_nor_memory),
        cmocka_unit_test(the_first_refusal_ends_the_split),
        cmocka_unit_test(pieces_equal_the_outside_judge),
    };
    return cmocka_run_group_tests(tests, find_names, NULL);
}
