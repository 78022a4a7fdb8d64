/* schema_test.c - JSON Schema as a grammar: what it allows, what it refuses and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "grammar/grammar.h"

#include "pace.h"

static weir_matcher *open_matcher(const char *schema, struct weir_program **program)
{
    struct weir_err err = {0};
    weir_matcher *matcher = NULL;
    if (weir_schema_compile(program, schema, strlen(schema), "s", &err) != WEIR_OK ||
        weir_matcher_create(&matcher, *program, NULL, &err) != WEIR_OK)
        fail_msg("%s: %s", schema, err.text);
    return matcher;
}

static bool matches(weir_matcher *matcher, const char *text)
{
    weir_matcher_reset(matcher);
    return weir_matcher_push(matcher, text, strlen(text), NULL) == WEIR_OK &&
           weir_matcher_may_end(matcher);
}

/* A text that is valid, and one that is not. */
static const char tree[] =
    "{\"$ref\":\"#/$defs/n~1o~0de\",\"$defs\":{\"n/o~de\":{\"properties\":{\"l\":{\"$ref\":"
    "\"#/$defs/n~1o~0de\"},\"v\":{\"type\":\"null\"}},\"required\":[\"v\"]}}}";
static const char kinds[] = "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"a\"}},"
                            "\"required\":[\"k\"],\"type\":\"object\"},"
                            "{\"properties\":{\"k\":{\"enum\":[\"b\",\"c\"]}},\"required\":["
                            "\"k\"],\"type\":\"object\"}]}";
static const struct {
    const char *schema, *yes, *no;
} texts[] = {
    {"true", "{\"a\": [1, null]}", "{a: 1}"},
    {"{}", "\"\\u00e4\\n\"", "\"\\ud800\""},
    {"{\"type\":\"string\"}", "\"a b\"", "\"a\nb\""},
    {"{\"type\":\"null\"}", "null", "false"},
    {"{\"type\":\"boolean\"}", "false", "0"},
    {"{\"type\":[\"integer\",\"null\"]}", "-12", "1.5"},
    {"{\"type\":\"number\"}", "-0.5e-7", "01"},
    {"{\"type\":\"object\"}", "{\"a\":1,\"b\":{}}", "[]"},
    {"{\"type\":\"array\"}", "[1, \"a\", []]", "[1 2]"},
    {"{\"enum\":[\"a\\\"\",{\"x\": [1,  2]},3]}", "{\"x\":[1,2]}", "4"},
    {"{\"enum\":[\"a\\\"\",3]}", "\"a\\\"\"", "\"a\""},
    {"{\"enum\":[\"a\",3],\"type\":\"string\"}", "\"a\"", "3"},
    {"{\"const\":\"a b\"}", "\"a b\"", "\"ab\""},
    {"{\"anyOf\":[{\"const\":1},{\"type\":\"string\"}]}", "1", "2"},
    {"{\"allOf\":[{\"const\":1}]}", "1", "2"},
    {kinds, "{\"k\":\"c\"}", "{\"k\":\"d\"}"},
    {tree, "{\"l\":{\"v\":null},\"v\":null}", "{\"l\":{}, \"v\":null}"},
    {"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"required\":[\"b\"]}", "{\"b\":1,\"c\":2}",
     "{\"a\":1}"},
    {"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"required\":[\"b\"]}", "{ \"a\": 1, \"b\": 2}",
     "{\"b\":1,}"},
    {"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}}}", "{}", "{,\"a\":1}"},
    {"{\"properties\":{\"a\":{},\"b\":{},\"c\":{}}}", "{\"a\":1,\"c\":1}", "{\"c\":1,\"a\":1}"},
    {"{\"properties\":{\"a\":false,\"b\":{}}}", "{\"b\":1}", "{\"a\":1}"},
    {"{\"properties\":{\"a\":{}},\"required\":[\"z\"]}", "{\"a\":1,\"z\":2}", "{\"a\":1}"},
    {"{\"additionalProperties\":{\"type\":\"null\"}}", "{\"x\":null}", "{\"x\":1}"},
    {"{\"additionalProperties\":false}", "{}", "{\"x\":1}"},
    {"{\"items\":{\"const\":1},\"minItems\":2,\"maxItems\":3}", "[1,1,1]", "[1]"},
    {"{\"items\":{\"const\":1},\"minItems\":2,\"maxItems\":3}", "[1,1]", "[1,1,1,1]"},
    {"{\"items\":{\"const\":1},\"maxItems\":1}", "[]", "[1,1]"},
    {"{\"items\":{\"const\":1},\"maxItems\":0}", "[]", "[1]"},
    {"{\"items\":false}", "[]", "[1]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3}}", "[1,2,3,3]", "[2]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}", "[1]", "[1,2,3]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"minItems\":1}", "[1]", "[]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"minItems\":3}", "[1,2,{}]", "[1,2]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"maxItems\":1}", "[1]", "[1,2]"},
    {"{\"minLength\":2,\"maxLength\":3}", "\"a\xc3\xa4\\n\"", "\"a\""},
    {"{\"minLength\":2,\"maxLength\":3}", "\"aa\"", "\"aaaa\""},
    {"{\"pattern\":\"^a+$\"}", "\"aa\"", "\"ab\""},
    {"{\"pattern\":\"b\"}", "\"abc\"", "\"ac\""},
    {"{\"pattern\":\"^[^a\\\"]$\"}", "\"b\"", "\"a\""},
    {"{\"pattern\":\"^[\\\"\\\\\\\\]{2}$\"}", "\"\\\"\\\\\"", "\"a\\\"\""},
    {"{\"pattern\":\"^(?:ab|c){2}\\\\$$\"}", "\"abc$\"", "\"abc\""},
    {"{\"pattern\":\"^\\\\D\\\\W\\\\S$\"}", "\"a.b\"", "\"1.b\""},
    {"{\"format\":\"date\"}", "\"2026-11-28\"", "\"2026-13-01\""},
    {"{\"format\":\"ipv4\"}", "\"255.0.19.249\"", "\"256.0.0.1\""},
    {"{\"format\":\"uuid\"}", "\"01234567-89ab-cdef-0123-456789abcdef\"", "\"0\""},
    {"{\"format\":\"whatever\"}", "\"0\"", "0"},
    {"{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":2}", "-0.75", "-1.75"},
    {"{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":2}", "1.999999", "2.000001"},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0}", "1.5", "0"},
    {"{\"type\":\"integer\",\"minimum\":3}", "123456789", "2"},
};

static void texts_are_valid_or_not_allowed(void **state)
{
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(texts); row++) {
        struct weir_program *program = NULL;
        weir_matcher *matcher = open_matcher(texts[row].schema, &program);
        if (!matches(matcher, texts[row].yes))
            fail_msg("%s refuses %s", texts[row].schema, texts[row].yes);
        if (matches(matcher, texts[row].no))
            fail_msg("%s allows %s", texts[row].schema, texts[row].no);
        weir_matcher_destroy(&matcher);
        weir_program_destroy(&program);
    }
}

/* Every number near the bounds, and others; of all lengths and signs. */
static void whole_numbers_are_exactly_those_between_the_bounds(void **state)
{
    uint64_t random_state = 1;
    (void)state;
    for (int turn = 0; turn < (IS_SANITIZED ? 60 : 300); turn++) {
        char schema[128], text[32];
        struct weir_program *program = NULL;
        int64_t ends[2];
        for (int end = 0; end < 2; end++) {
            const uint64_t digits = weir_random_next(&random_state) % 15;
            int64_t most = 10;
            for (uint64_t digit = 0; digit < digits; digit++)
                most *= 10;
            ends[end] = (int64_t)(weir_random_next(&random_state) % (2 * (uint64_t)most)) - most;
        }
        const int64_t low = ends[0] < ends[1] ? ends[0] : ends[1];
        const int64_t high = ends[0] < ends[1] ? ends[1] : ends[0];
        snprintf(schema, sizeof(schema), "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld}",
                 (long long)low, (long long)high);
        weir_matcher *matcher = open_matcher(schema, &program);
        for (int look = 0; look < 400; look++) {
            int64_t number = look % 2 == 0 ? low : high;
            number += look < 200
                          ? look / 2 - 50
                          : (int64_t)(weir_random_next(&random_state) % (1ull << (look % 60)));
            snprintf(text, sizeof(text), "%lld", (long long)number);
            if (matches(matcher, text) != (number >= low && number <= high))
                fail_msg("%s: %s is wrong", schema, text);
        }
        weir_matcher_destroy(&matcher);
        weir_program_destroy(&program);
    }
}

static void what_is_wrong_or_not_built_is_said_with_its_place(void **state)
{
    static const struct {
        const char *schema, *words;
    } rows[] = {
        {"", "s: byte 0: wanted"},
        {"{\"type\":", "s: byte 8: wanted a value"},
        {"3", "s: line 1, column 1: wanted a schema (an object, true or false), found a number"},
        {"false", "line 1, column 1: wanted a schema that something is valid by, found false"},
        {"{\n \"not\": {}}", "s: line 2, column 2: \"not\" is not built"},
        {"{\"patternProperties\": {}}", "\"patternProperties\" is not built"},
        {"{\"x-mine\": 1}", "\"x-mine\" is not built"},
        {"{\"type\": \"int\"}", "line 1, column 10: type: wanted null, boolean"},
        {"{\"type\": []}", "type: wanted at least one type"},
        {"{\"anyOf\": []}", "wanted an array of schemas, at least one"},
        {"{\"anyOf\": [{}], \"type\": \"null\"}", "type beside anyOf is not built"},
        {"{\"const\": 1, \"minimum\": 0}", "minimum beside const is not built"},
        {"{\"allOf\": [{}, {}]}", "allOf of more than one schema is not built"},
        {"{\"oneOf\": [{\"type\":\"integer\"}, {\"type\":\"number\"}]}",
         "line 1, column 32: oneOf: wanted schemas that exclude"},
        {"{\"enum\": []}", "wanted a value of the type among those of enum or const"},
        {"{\"enum\": [1], \"type\": \"string\"}",
         "wanted a value of the type among those of enum or const"},
        {"{\"enum\": [NaN]}", "found NaN or Infinity"},
        {"{\"$ref\": \"http://a/b\"}", "$ref: wanted # or #/ and a path in this schema"},
        {"{\"$ref\": \"#/$defs/a\"}", "$ref: there is no such place"},
        {"{\"$ref\": \"#\"}", "line 1, column 1: rule root begins with itself"},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", "can never end"},
        {"{\"properties\": []}", "properties: wanted an object, found an array"},
        {"{\"required\": [1]}", "required: wanted names, found a number"},
        {"{\"properties\":{\"a\":false},\"required\":[\"a\"]}",
         "line 1, column 20: wanted a schema that something"},
        {"{\"minProperties\": 1}", "minProperties above the number of required ones is not built"},
        {"{\"properties\":{\"a\":{}},\"maxProperties\":0}", "maxProperties below"},
        {"{\"items\": [{}]}", "items as an array is not built (prefixItems is)"},
        {"{\"items\": {}, \"uniqueItems\": true}", "uniqueItems is not built"},
        {"{\"minItems\": 3, \"maxItems\": 2}", "minItems: wanted at most 2 elements, found 3"},
        {"{\"maxItems\": -1}", "wanted a whole number that is not negative"},
        {"{\"minLength\": 3, \"maxLength\": 2}", "minLength: wanted at most maxLength"},
        {"{\"pattern\": \"a\", \"maxLength\": 2}", "more than one of pattern, format and"},
        {"{\"pattern\": \"(?=a)\"}", "pattern, byte 1: of (?...) only (?:...) is built"},
        {"{\"pattern\": \"(a)\\\\1\"}", "this escape is not built"},
        {"{\"pattern\": \"[a\"}", "wanted the end of a class"},
        {"{\"pattern\": \"a$b\"}", "^ and $ are built only at the ends"},
        {"{\"pattern\": \"(a\"}", "wanted a )"},
        {"{\"pattern\": \"a)\"}", "wanted no ) that nothing opens"},
        {"{\"pattern\": \"a**\"}", "a repetition of a repetition is not built"},
        {"{\"pattern\": \"*\"}", "wanted something to match"},
        {"{\"type\":\"integer\",\"minimum\":0.2,\"maximum\":0.8}",
         "wanted bounds of a number with a whole number"},
        {"{\"minimum\":\"0\"}", "wanted a number, found a text"},
    };
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct weir_program *program = NULL;
        struct weir_err err = {0};
        if (weir_schema_compile(&program, rows[row].schema, strlen(rows[row].schema), "s", &err) ==
            WEIR_OK)
            fail_msg("%s is allowed", rows[row].schema);
        assert_null(program);
        if (strstr(err.text, rows[row].words) == NULL)
            fail_msg("%s\n\"%s\" does not say \"%s\"", rows[row].schema, err.text, rows[row].words);
    }
}

static void failed_allocations_leave_nothing(void **state)
{
    static const char schema[] =
        "{\"properties\":{\"a\":{\"items\":{\"pattern\":\"x\"}},\"b\":{\"enum\":[1]}}}";
    const uint64_t bytes = weir_heap_bytes();
    bool is_made = false;
    (void)state;
    for (uint64_t call = 1; !is_made; call++) {
        struct weir_program *program = NULL;
        struct weir_err err = {0};
        weir_heap_fail_at(call);
        is_made = weir_schema_compile(&program, schema, strlen(schema), "s", &err) == WEIR_OK;
        weir_heap_fail_at(0);
        assert_true(is_made || err.status == WEIR_ERR_NOMEM);
        weir_program_destroy(&program);
        assert_true(weir_heap_bytes() == bytes);
    }
}

static size_t repeat(char *to, size_t at, const char *first, const char *format, int count)
{
    at += (size_t)sprintf(to + at, "%s", first);
    for (int part = 0; part < count; part++)
        at += (size_t)sprintf(to + at, format, part == 0 ? ' ' : ',', part);
    return at;
}

/* Lists that would be looked through once for each of their elements. */
static void lists_that_multiply_are_refused(void **state)
{
    static char text[WEIR_GRAMMAR_TEXT_MAX + 4096];
    (void)state;
    for (int row = 0; row < 4; row++) {
        struct weir_program *program = NULL;
        struct weir_err err = {0};
        size_t length = 0;
        if (row == 0) {
            length = repeat(text, 0, "{\"properties\":{", "%c\"p%d\":false", 50000);
            length = repeat(text, length, "},\"required\":[", "%c\"%x\"", 30000);
            length += (size_t)sprintf(text + length, "]}");
        } else if (row == 1) {
            length = repeat(text, 0, "{\"required\":[", "%c\"%x\"", 90000);
            length += (size_t)sprintf(text + length, "]}");
        } else if (row == 2) {
            length = repeat(text, 0, "{\"oneOf\":[{\"enum\":[", "%c\"a%x\"", 40000);
            length = repeat(text, length, "]},{\"enum\":[", "%c\"b%x\"", 40000);
            length += (size_t)sprintf(text + length, "]}]}");
        } else {
            length = repeat(text, 0, "{\"examples\":[", "%c%d", 100000);
            length = repeat(text, length, "],\"anyOf\":[", "%c{\"$ref\":\"#/examples/%d\"}", 9000);
            length += (size_t)sprintf(text + length, "]}");
        }
        const double start_s = pace_worked_s();
        assert_int_equal(weir_schema_compile(&program, text, length, "s", &err), WEIR_ERR_FORMAT);
        if (strstr(err.text, "too much to look through") == NULL && row != 3)
            fail_msg("row %d: %s", row, err.text);
        assert_true(pace_worked_s() - start_s < PACE_WORK_S_MAX);
    }
}

/* Many parts, many references to far away, and a chain of references that comes back. */
static void hostile_schemas_end_in_time(void **state)
{
    static char text[WEIR_GRAMMAR_TEXT_MAX];
    struct weir_program *program = NULL;
    struct weir_err err = {0};
    const double start_s = pace_worked_s();
    size_t length = (size_t)snprintf(text, sizeof(text), "{\"anyOf\":[");
    (void)state;
    for (int part = 0; part < 30000; part++)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s{\"$ref\":\"#/anyOf/%d\"}",
                             part == 0 ? "" : ",", (part + 1) % 30000);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "]}");
    assert_true(weir_schema_compile(&program, text, length, "s", &err) != WEIR_OK);
    assert_non_null(strstr(err.text, "s: line 1, column"));
    length = (size_t)snprintf(text, sizeof(text), "{\"properties\":{");
    for (int part = 0; part < 5000; part++)
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "%s\"p%d\":{\"type\":\"null\"}", part == 0 ? "" : ",", part);
    length += (size_t)snprintf(text + length, sizeof(text) - length, "}}");
    err = (struct weir_err){0};
    assert_true(weir_schema_compile(&program, text, length, "s", &err) != WEIR_OK);
    err = (struct weir_err){0};
    length = (size_t)snprintf(text, sizeof(text),
                              "{\"prefixItems\":[{\"maxLength\":60000},{\"maxLength\":60001}]}");
    assert_true(weir_schema_compile(&program, text, length, "s", &err) != WEIR_OK);
    assert_non_null(strstr(err.text, "wanted a grammar of at most 262144 steps"));
    assert_true(pace_worked_s() - start_s < PACE_WORK_S_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_valid_or_not_allowed),
        cmocka_unit_test(whole_numbers_are_exactly_those_between_the_bounds),
        cmocka_unit_test(what_is_wrong_or_not_built_is_said_with_its_place),
        cmocka_unit_test(failed_allocations_leave_nothing),
        cmocka_unit_test(lists_that_multiply_are_refused),
        cmocka_unit_test(hostile_schemas_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
