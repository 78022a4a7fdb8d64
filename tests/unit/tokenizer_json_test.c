/* tokenizer_json_test.c - tokenizer.json: the ids that Hugging Face tokenizers gave
 * (tests/golden/tokenizers), and what is refused. */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>

#include "formats/tokenizer_json.h"
#include "golden.h"
#include "text_toy.h"

static const char folder[] = "tests/golden/tokenizers";

struct opened {
    weir_tokenizer_json *tokenizer;
    weir_text *text;
};

static struct opened open_golden(const char *name)
{
    struct opened opened = {0};
    struct weir_err err = {0};
    size_t length = 0;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    char *bytes = golden_read(path, &length);
    assert_non_null(bytes);
    if (weir_tokenizer_json_parse(&opened.tokenizer, bytes, length, path, NULL, &err) != WEIR_OK ||
        weir_text_create(&opened.text, weir_tokenizer_json_vocab(opened.tokenizer), NULL, &err) !=
            WEIR_OK)
        fail_msg("%s: %s", path, err.text);
    free(bytes);
    return opened;
}

static void close_golden(struct opened *opened)
{
    weir_text_destroy(&opened->text);
    weir_tokenizer_json_close(&opened->tokenizer);
}

/* The ids of a text that comes in parts of so many bytes; 0: at once. */
static size_t encode(weir_text *text, const char *bytes, size_t length, size_t part, unsigned flags,
                     uint32_t *ids, size_t capacity)
{
    weir_text_encoder *encoder = NULL;
    size_t filled = 0;
    assert_int_equal(weir_text_encoder_create(&encoder, text, flags, NULL), WEIR_OK);
    for (size_t at = 0, step; at == 0 || at < length; at += step) {
        const uint32_t *found = NULL;
        size_t count = 0;
        struct weir_err err = {0};
        step = part == 0 ? length : weir_min(part, length - at);
        if (weir_text_encoder_push(encoder, bytes + at, step, at + step == length, &found, &count,
                                   &err) != WEIR_OK)
            fail_msg("%s", err.text);
        assert_true(filled + count <= capacity);
        if (count > 0)
            memcpy(ids + filled, found, count * sizeof(*found));
        filled += count;
        if (length == 0)
            break;
    }
    weir_text_encoder_destroy(&encoder);
    return filled;
}

static bool compare(weir_text *text, const char *bytes, size_t length, unsigned flags,
                    const json_t *wanted)
{
    static uint32_t ids[8192];
    if (wanted == NULL)
        return true;
    for (size_t part = 0; part < 4; part++) {
        const size_t count = encode(text, bytes, length, part, flags, ids, WEIR_COUNT(ids));
        bool same = count == json_array_size(wanted);
        for (size_t at = 0; same && at < count; at++)
            same = ids[at] == json_integer_value(json_array_get(wanted, at));
        if (same)
            continue;
        char *shown = json_dumps(wanted, JSON_COMPACT);
        print_error("parts of %zu: \"%.*s\": wanted %s, found", part, (int)length, bytes, shown);
        for (size_t at = 0; at < count; at++)
            print_error(" %u", ids[at]);
        print_error("\n");
        free(shown);
        return false;
    }
    return true;
}

static bool is_plain(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length; at++)
        if (bytes[at] < ' ' || bytes[at] == 0x7f)
            return false;
    return true;
}

/* plain_only: only texts of ASCII without control characters. */
static size_t compare_lines(const char *name, weir_text *text, bool plain_only, size_t *wrong)
{
    char path[512], *line = NULL;
    size_t capacity = 0, checked = 0;
    snprintf(path, sizeof(path), "%s/%s.jsonl", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0) {
        json_t *root = json_loads(line, JSON_ALLOW_NUL, NULL);
        const json_t *given = json_object_get(root, "text");
        const char *bytes = json_string_value(given);
        const size_t length = json_string_length(given);
        if (given != NULL && (!plain_only || is_plain(bytes, length))) {
            const unsigned parse = WEIR_TOKENIZE_PARSE_SPECIAL;
            const bool good = compare(text, bytes, length, parse, json_object_get(root, "ids")) &&
                              compare(text, bytes, length, parse | WEIR_TOKENIZE_ADD_SPECIAL,
                                      json_object_get(root, "bos_ids"));
            *wrong += !good;
            checked++;
        }
        json_decref(root);
    }
    free(line);
    fclose(file);
    return checked;
}

static void ids_equal_the_outside_judge(void **state)
{
    (void)state;
    DIR *files = opendir(folder);
    assert_non_null(files);
    size_t tokenizers = 0, checked = 0, wrong = 0;
    for (const struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files)) {
        char name[256];
        const size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(length - 5), entry->d_name);
        struct opened opened = open_golden(name);
        const size_t before = wrong;
        checked += compare_lines(name, opened.text, false, &wrong);
        tokenizers++;
        if (wrong > before)
            print_error("%s: %zu differ\n", name, wrong - before);
        close_golden(&opened);
    }
    closedir(files);
    printf("%zu texts of %zu tokenizers compared\n", checked, tokenizers);
    assert_int_equal(wrong, 0);
    assert_true(tokenizers >= 15 && checked > 800);
}

/* The same vocabularies as a GGUF file names them, whose rules follow from the names. */
static void ids_are_those_of_the_same_vocabulary_in_a_gguf_file(void **state)
{
    (void)state;
    static const struct {
        const char *name, *model;
        bool add_space_prefix, plain_only;
        size_t texts;
    } cases[] = {
        {"lines", "gemma4", false, false, 60},
        {"bert", "bert", true, false, 60},
        /* A file has a map of characters for what is not plain. */
        {"t5", "t5", true, true, 15},
    };
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        struct opened opened = open_golden(cases[row].name);
        struct weir_vocab vocab = *weir_tokenizer_json_vocab(opened.tokenizer);
        weir_text *text = NULL;
        size_t wrong = 0;
        vocab.rules = NULL;
        vocab.model = toy_bytes(cases[row].model);
        vocab.add_space_prefix = cases[row].add_space_prefix;
        vocab.lowercase = vocab.strip_accents = vocab.squeeze_spaces = true;
        assert_int_equal(weir_text_create(&text, &vocab, NULL, NULL), WEIR_OK);
        assert_true(compare_lines(cases[row].name, text, cases[row].plain_only, &wrong) >=
                    cases[row].texts);
        if (wrong > 0)
            fail_msg("%s: %zu differ", cases[row].name, wrong);
        weir_text_destroy(&text);
        close_golden(&opened);
    }
}

static enum weir_status parse(const char *text, struct weir_warnings *warnings,
                              struct weir_err *err)
{
    weir_tokenizer_json *tokenizer = NULL;
    const enum weir_status status =
        weir_tokenizer_json_parse(&tokenizer, text, strlen(text), "t.json", warnings, err);
    assert_true((tokenizer == NULL) == (status != WEIR_OK));
    weir_tokenizer_json_close(&tokenizer);
    return status;
}

#define MODEL(more) "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]" more "}"

static void what_is_not_built_in_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
        enum weir_status status;
    } cases[] = {
        {"[]", "the file: wanted an object, found an array", WEIR_ERR_FORMAT},
        {"{}", "wanted an object \"model\", found nothing", WEIR_ERR_FORMAT},
        {"{\"modell\":{}}", "modell", WEIR_ERR_UNSUPPORTED},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "WordLevel", WEIR_ERR_UNSUPPORTED},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "wanted an object",
         WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "wanted tokens",
         WEIR_ERR_FORMAT},
        {"{" MODEL(",\"dropout\":0.1") "}", "dropout", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL(",\"end_of_word_suffix\":\"</w>\"") "}", "end_of_word", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL(",\"cache\":1") "}", "cache", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL(",\"unk_token\":\"u\"") "}", "\"u\" is no token", WEIR_ERR_FORMAT},
        {"{" MODEL("") ",\"normalizer\":{\"type\":\"Nmt\"}}", "Nmt", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"normalizer\":{\"type\":\"NFC\",\"x\":1}}", "x", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},"
                       "\"content\":\"\"}}",
         "a+", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}", "UnicodeScripts",
         WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},"
                       "\"behavior\":\"MergedWithNext\",\"invert\":false}}",
         "MergedWithNext", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"decoder\":{\"type\":\"CTC\"}}", "CTC", WEIR_ERR_UNSUPPORTED},
        {"{" MODEL("") ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
                       "\"SpecialToken\":{\"id\":\"q\",\"type_id\":0}}],\"special_tokens\":{}}}",
         "\"q\"", WEIR_ERR_UNSUPPORTED},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
         "two tokens have the number 0", WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "wanted its number",
         WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}}", "4000000000",
         WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
         "wanted two tokens", WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]],\"unk_id\":0}}",
         "a text and a score", WEIR_ERR_FORMAT},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1}}", "unk_id",
         WEIR_ERR_FORMAT},
        {"{" MODEL("") ",\"added_tokens\":[{\"content\":\"c\"}]}", "has no id", WEIR_ERR_FORMAT},
        {"{" MODEL("") ",\"added_tokens\":[{\"id\":2,\"content\":\"c\",\"special\":1}]}",
         "true or false", WEIR_ERR_FORMAT},
    };
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        struct weir_err err = {0};
        assert_int_equal(parse(cases[row].text, NULL, &err), cases[row].status);
        if (strstr(err.text, cases[row].names) == NULL || strstr(err.text, "t.json") == NULL)
            fail_msg("%s: \"%s\" does not name \"%s\"", cases[row].text, err.text,
                     cases[row].names);
    }
}

static void what_is_not_done_is_told(void **state)
{
    (void)state;
    struct weir_warnings warnings = {0};
    struct weir_err err = {0};
    assert_int_equal(parse("{" MODEL("") ",\"added_tokens\":[{\"id\":2,\"content\":\"<m>\","
                                         "\"lstrip\":true}]}",
                           &warnings, &err),
                     WEIR_OK);
    assert_int_equal(warnings.count, 1);
    assert_non_null(strstr(warnings.text[0], "lstrip"));
}

/* A pattern may be anything: what PCRE2 does not know or looks back too far is refused, what takes
 * too long is an error. */
static void patterns_of_a_file_are_not_trusted(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *names;
    } cases[] = {{"(a", "does not compile"},
                 {"(?<=aaa)b", "at most one character"},
                 {"[a&&b]", "&&"},
                 {"\\\\h", "\\h"},
                 {"\\\\p{N}{1,3}+", "\"+\" at offset 10"},
                 {"a{,3}b", "{,"},
                 {"[[:alpha:]]+", "\"[\" at offset 1"},
                 {"[^]a[]+", "\"[\" at offset 4"},
                 {"(?i-m:a.b)", "(?i-m"},
                 {"\\\\ba", "\\b"},
                 {"[^\\\\W]", "\\W"},
                 {"\\\\v", "\\v"},
                 {"\\\\pL", "\\p"},
                 {"\\\\Qa.\\\\E", "\\Q"},
                 {"[^\\\\S]", "\\S"},
                 {"a{2}?", "\"?\" at offset 4"},
                 {"(?=a)", "match nothing"},
                 {"(a+)+(b|c)", "too long"}};
    for (size_t row = 0; row < WEIR_COUNT(cases); row++) {
        char text[512];
        weir_tokenizer_json *tokenizer = NULL;
        weir_text *made = NULL;
        uint32_t *ids = NULL;
        size_t count = 0;
        struct weir_err err = {0};
        snprintf(text, sizeof(text),
                 "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"],"
                 "\"unk_token\":\"a\"},\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{"
                 "\"Regex\":\"%s\"},\"behavior\":\"Isolated\",\"invert\":false}}",
                 cases[row].pattern);
        assert_int_equal(
            weir_tokenizer_json_parse(&tokenizer, text, strlen(text), "t.json", NULL, &err),
            WEIR_OK);
        assert_int_equal(weir_text_create(&made, weir_tokenizer_json_vocab(tokenizer), NULL, &err),
                         WEIR_OK);
        static const char letters[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_int_not_equal(
            weir_text_tokenize(made, letters, strlen(letters), 0, &ids, &count, &err), WEIR_OK);
        if (strstr(err.text, cases[row].names) == NULL)
            fail_msg("\"%s\" does not name \"%s\"", err.text, cases[row].names);
        weir_text_destroy(&made);
        weir_tokenizer_json_close(&tokenizer);
    }
}

/* Each step makes a text a thousand times longer: the fourth would fill a terabyte. */
static void texts_do_not_grow_without_end(void **state)
{
    (void)state;
    static char step[1200], text[8192];
    weir_tokenizer_json *tokenizer = NULL;
    weir_text *made = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    struct weir_err err = {0};
    memset(text, 'a', 1000);
    snprintf(step, sizeof(step),
             "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%.1000s\"}", text);
    snprintf(text, sizeof(text),
             "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"],"
             "\"unk_token\":\"a\"},\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s,%s,%s,"
             "%s]}}",
             step, step, step, step);
    assert_int_equal(
        weir_tokenizer_json_parse(&tokenizer, text, strlen(text), "t.json", NULL, &err), WEIR_OK);
    assert_int_equal(weir_text_create(&made, weir_tokenizer_json_vocab(tokenizer), NULL, &err),
                     WEIR_OK);
    assert_int_equal(weir_text_tokenize(made, "a", 1, 0, &ids, &count, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "normalizer"));
    weir_text_destroy(&made);
    weir_tokenizer_json_close(&tokenizer);
}

static void failed_allocations_are_errors(void **state)
{
    (void)state;
    size_t length = 0;
    char *bytes = golden_read("tests/golden/tokenizers/bert.json", &length);
    const uint64_t before = weir_heap_bytes();
    uint64_t failed = 0;
    for (uint64_t call = 1; call < 16; call++) {
        weir_tokenizer_json *tokenizer = NULL;
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        const enum weir_status status =
            weir_tokenizer_json_parse(&tokenizer, bytes, length, "bert.json", NULL, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        failed += status != WEIR_OK;
        weir_tokenizer_json_close(&tokenizer);
        assert_int_equal(weir_heap_bytes(), before);
    }
    assert_int_equal(failed, 7);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_the_outside_judge),
        cmocka_unit_test(ids_are_those_of_the_same_vocabulary_in_a_gguf_file),
        cmocka_unit_test(what_is_not_built_in_is_named),
        cmocka_unit_test(what_is_not_done_is_told),
        cmocka_unit_test(patterns_of_a_file_are_not_trusted),
        cmocka_unit_test(texts_do_not_grow_without_end),
        cmocka_unit_test(failed_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
