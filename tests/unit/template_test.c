/* template_test.c - chat templates: what each construct gives, what is refused, and the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/heap.h"
#include "pace.h"
#include "template/template.h"

/* A second, and much more where sanitizers check each access. */
enum { WORK_SECONDS_MAX = 20 };

static const char variables[] =
    "{\"text\": \"Gr\\u00fc\\u00dfe\", \"n\": 7, \"real\": 2.5, \"yes\": true, \"nothing\": null,"
    " \"list\": [3, 1, 2], \"dict\": {\"b\": 1, \"A\": [1, {\"x\": null}]}, \"html\": \"<a>\","
    " \"people\": [{\"name\": \"Ann\", \"age\": 30}, {\"name\": \"bob\", \"age\": 25}]}";

static enum weir_status render(const char *source, size_t length,
                               const struct weir_template_limits *limits, char **text,
                               struct weir_err *err)
{
    weir_template *tmpl = NULL;
    size_t text_length = 0;
    *text = NULL;
    enum weir_status status = weir_template_parse(&tmpl, source, length, err);
    if (status == WEIR_OK)
        status = weir_template_render(tmpl, variables, sizeof(variables) - 1, limits, text,
                                      &text_length, err);
    weir_template_destroy(&tmpl);
    assert_int_equal(status, err->status);
    assert_true((status == WEIR_OK) == (*text != NULL));
    if (*text != NULL)
        assert_int_equal(strlen(*text), text_length);
    return status;
}

static void expect(const char *source, const char *wanted)
{
    struct weir_err err = {0};
    char *text;
    if (render(source, strlen(source), NULL, &text, &err) != WEIR_OK)
        fail_msg("%s: %s", source, err.text);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s: wanted \"%s\", found \"%s\"", source, wanted, text);
    weir_template_text_free(&text);
}

static void expect_failure(const char *source, enum weir_status status, const char *words)
{
    struct weir_err err = {0};
    char *text;
    const uint64_t heap_bytes = weir_heap_bytes();
    if (render(source, strlen(source), NULL, &text, &err) == WEIR_OK)
        fail_msg("%s: is taken, and gives \"%s\"", source, text);
    if (err.status != status || strstr(err.text, words) == NULL)
        fail_msg("%s: wanted %d with \"%s\", found %d: %s", source, status, words, err.status,
                 err.text);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

static void expressions_are_as_in_python(void **state)
{
    (void)state;
    expect("{{ 1 + 2 * 3 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }}",
           "7 3.5 -4 2 1024");
    expect("{{ 1 < 2 < 3 }} {{ 'b' in dict }} {{ 5 not in list }}", "True True True");
    expect("{{ nothing or 'x' }} {{ yes and 0 }} {{ not yes }}", "x 0 False");
    expect("{{ 'a' if n > 5 else 'b' }}{{ 'a' if n < 5 }}", "a");
    expect("{{ text ~ 1 ~ none ~ nosuch }}", "Gr\xc3\xbc\xc3\x9f"
                                             "e1None");
    expect("{{ list[-1] }}{{ list[1:] }}{{ list[::-1] }}{{ text[2:4] }}{{ text[::-1] }}",
           "2[1, 2][2, 1, 3]\xc3\xbc\xc3\x9f"
           "e\xc3\x9f\xc3\xbcrG");
    expect("{{ dict }} {{ (1,) }} {{ [1.0, 1e16, 1e-5, true] }}",
           "{'b': 1, 'A': [1, {'x': None}]} (1,) [1.0, 1e+16, 1e-05, True]");
    expect("{{ \"a\\n\\x41\\u00e9\\q\" }}", "a\nA\xc3\xa9\\q");
    expect("{{ dict.A[1].x }} {{ people.0.name }} {{ {}['items'] is defined }}", "None Ann True");
}

static void statements_are_as_in_jinja(void **state)
{
    (void)state;
    expect("{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% "
           "endfor %}",
           "1/2False 2/2True ");
    expect("{% for x in [] %}{% else %}none{% endfor %}", "none");
    expect("{% for x in range(9) %}{% if x == 1 %}{% continue %}{% elif x == 3 %}{% break %}"
           "{% endif %}{{ x }}{% endfor %}",
           "02");
    expect("{% set v = 1 %}{% for x in list %}{{ v }}{% set v = x %}{{ v }}{% endfor %}{{ v }}",
           "1311121");
    expect("{% set ns = namespace(a=0) %}{% for x in list %}{% set ns.a = ns.a + x %}{% endfor %}"
           "{{ ns.a }}",
           "6");
    expect("{% macro m(a, b=2) %}[{{ a }}{{ b }}{{ caller() if caller }}]{% endmacro %}"
           "{{ m(1) }}{{ m(b=3, a=4) }}{% call m(5) %}!{% endcall %}",
           "[12][43][52!]");
    expect("{% set t | upper %}a{{ n }}{% endset %}{{ t }}{% filter trim %} b {% endfilter %}",
           "A7b");
    expect("{% with a = 1 %}{{ a }}{% endwith %}{% generation %}g{% endgeneration %}", "1g");
    expect("{% raw %}{{ x }}{% endraw %}{# c #}|", "{{ x }}|");
    expect("{% for k, v in dict | dictsort %}{{ k }}{{ v }}{% endfor %}", "A[1, {'x': None}]b1");
}

static void white_space_is_trimmed_as_transformers_does(void **state)
{
    (void)state;
    expect("  {% if yes %}\n    x\n  {% endif %}\ny\n", "    x\ny");
    expect(" a {{- 1 -}} b {%- if yes -%} c {% endif %}\n\nd", " a1bc \nd");
    expect(" {%+ if yes %} c\n {%+ endif +%}\n d", "  c\n \n d");
    expect("a\r\nb\rc\n\n", "a\nb\nc\n");
}

static void filters_tests_and_methods_are_there(void **state)
{
    (void)state;
    expect("{{ dict | tojson }}", "{\"b\": 1, \"A\": [1, {\"x\": null}]}");
    expect("{{ [1, {}] | tojson(indent=2) }}", "[\n  1,\n  {}\n]");
    expect("{{ text | tojson(ensure_ascii=true) }}", "\"Gr\\u00fc\\u00dfe\"");
    expect("{{ people | selectattr('age', 'gt', 26) | map(attribute='name') | join(',') }}", "Ann");
    expect("{{ nosuch | default('d') }}{{ ' x ' | trim }}{{ text | length }}{{ text | upper }}",
           "dx5GR\xc3\x9cSSE");
    expect("{{ list | sort }}{{ list | sum }}{{ list | map('string') | list }}",
           "[1, 2, 3]6['3', '1', '2']");
    expect("{{ '<'|safe + html }}{{ html | e }}", "<&lt;a&gt;&lt;a&gt;");
    expect("{{ 'a,b'.split(',') }}{{ 'xax'.strip('x') }}{{ dict.get('z', 5) }}"
           "{{ '{}-{k}'.format(1, k=2) }}",
           "['a', 'b']a51-2");
    expect("{{ n is number }}{{ yes is boolean }}{{ text is string }}{{ dict is mapping }}"
           "{{ nosuch is defined }}{{ nothing is none }}",
           "TrueTrueTrueTrueFalseTrue");
    expect("{% set g = list | map('string') %}{{ g | join }}{{ g | join }}", "312");
}

static void what_is_not_built_in_is_named_with_its_line(void **state)
{
    (void)state;
    expect_failure("a\n\n{{ 1 | bogus }}", WEIR_ERR_UNSUPPORTED, "line 3: the filter 'bogus'");
    expect_failure("\n{{ 1 is bogus }}", WEIR_ERR_UNSUPPORTED, "line 2: the test 'bogus'");
    expect_failure("{% include 'x' %}", WEIR_ERR_UNSUPPORTED, "the tag 'include'");
    expect_failure("{% for x in [] recursive %}{% endfor %}", WEIR_ERR_UNSUPPORTED, "recursive");
    expect_failure("{{ list.append(1) }}", WEIR_ERR_UNSUPPORTED, "the method 'append' of a list");
    expect_failure("{{ 'a'.zfill(3) }}", WEIR_ERR_UNSUPPORTED, "the method 'zfill'");
    expect_failure("{{ list | join(bogus=1) }}", WEIR_ERR_UNSUPPORTED, "no argument 'bogus'");
    expect_failure("{{ lipsum() }}", WEIR_ERR_UNSUPPORTED, "the function 'lipsum'");
    expect("{% if not yes %}{{ 1 | bogus }}{% endif %}", "");
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    expect_failure("{{ nosuch.x }}", WEIR_ERR_FORMAT, "'nosuch' is undefined");
    expect_failure("{{ raise_exception('no ' ~ n) }}", WEIR_ERR_ARG, "it says: no 7");
    expect_failure("{% if yes %}\n", WEIR_ERR_FORMAT, "no 'endif'");
    expect_failure("{{ 1", WEIR_ERR_FORMAT, "the tag '{{' has no end");
    expect_failure("{{ 1 + 'a' }}", WEIR_ERR_FORMAT, "'+' between a int and a str");
    expect_failure("{{ 1 // 0 }}", WEIR_ERR_FORMAT, "by zero");
    expect_failure("{{ 9223372036854775807 + 1 }}", WEIR_ERR_UNSUPPORTED, "64 bits");
    expect_failure("{% break %}", WEIR_ERR_FORMAT, "outside of a loop");
    expect_failure("\xff", WEIR_ERR_FORMAT, "byte 0 is no UTF-8");
    weir_template *tmpl = NULL;
    char *text = NULL;
    size_t length = 0;
    struct weir_err err = {0};
    assert_int_equal(weir_template_parse(&tmpl, "a", 1, NULL), WEIR_OK);
    assert_int_equal(weir_template_render(tmpl, "[]", 2, NULL, &text, &length, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "wanted an object"));
    weir_template_destroy(&tmpl);
}

static void hostile_templates_end_soon(void **state)
{
    (void)state;
    expect_failure("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                   WEIR_ERR_FORMAT, "more than");
    expect_failure("{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}", WEIR_ERR_FORMAT,
                   "in each other");
    expect_failure("{{ 'xxxxxxxxxxxxxxxx' * 100000000 }}", WEIR_ERR_FORMAT, "more than");
    expect_failure("{% set s = 'x' * 1000 %}{% for a in range(99999) %}{{ s }}{% endfor %}",
                   WEIR_ERR_FORMAT, "more than 16777216 bytes");
    expect_failure("{% set ns = namespace(s='x') %}{% for a in range(99) %}"
                   "{% set ns.s = ns.s + ns.s %}{% endfor %}",
                   WEIR_ERR_FORMAT, "more than");
    expect_failure("{% set ns = namespace(s=[]) %}{% for a in range(99999) %}"
                   "{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
                   WEIR_ERR_FORMAT, "in each other");
    expect_failure("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", WEIR_ERR_FORMAT,
                   "in each other");
    expect_failure("{{ [1] * 1000000000 }}", WEIR_ERR_FORMAT, "more than");
    expect_failure("{{ range(100001) }}", WEIR_ERR_FORMAT, "more than 100000 items");
    static char deep[100000];
    memset(deep, '(', sizeof(deep) - 1);
    memcpy(deep, "{{ ", 3);
    expect_failure(deep, WEIR_ERR_FORMAT, "in each other");
    size_t at = 3;
    for (; at + 10 < sizeof(deep); at += 4)
        memcpy(deep + at, "not ", 4);
    memcpy(deep + at, "1 }}", 5);
    expect_failure(deep, WEIR_ERR_FORMAT, "in each other");
}

/* Work that no output or memory bounds: each is repeated until the steps are used up. */
static void work_on_long_texts_is_counted(void **state)
{
    (void)state;
    static const char *const works[] = {"x | length",
                                        "x.strip('ab ')",
                                        "x == y",
                                        "x < y",
                                        "'aab' in x",
                                        "x.rfind('zz')",
                                        "x | upper",
                                        "x | e",
                                        "x[0]",
                                        "x.isalpha()",
                                        "x.startswith(y)",
                                        "items | join",
                                        "items == items2",
                                        "items | sum(start='')",
                                        "x.split()",
                                        "x | int",
                                        "z | trim"};
    for (size_t work = 0; work < sizeof(works) / sizeof(works[0]); work += pace_step(4)) {
        char source[512];
        snprintf(
            source, sizeof(source),
            "{%% set x = 'aaaaaaaa' * 100000 %%}{%% set y = x ~ '' %%}{%% set z = ' ' * 800000 %%}"
            "{%% set items = [''] * 100000 %%}{%% set items2 = [''] * 100000 %%}"
            "{%% for a in range(99999) %%}{%% if %s %%}{%% endif %%}{%% endfor %%}",
            works[work]);
        const clock_t begin = clock();
        expect_failure(source, WEIR_ERR_FORMAT, "it takes more than");
        const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (seconds > WORK_SECONDS_MAX)
            fail_msg("%s: %.1f s", works[work], seconds);
    }
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    const char *source = "{{ 'x' * 100 }}";
    struct weir_template_limits limits = {.output_max = 100};
    struct weir_err err = {0};
    char *text;
    assert_int_equal(render(source, strlen(source), &limits, &text, &err), WEIR_OK);
    weir_template_text_free(&text);
    limits.output_max = 99;
    assert_int_equal(render(source, strlen(source), &limits, &text, &err), WEIR_ERR_FORMAT);
    limits = (struct weir_template_limits){.step_max = 3};
    err = (struct weir_err){0};
    assert_int_equal(render(source, strlen(source), &limits, &text, &err), WEIR_ERR_FORMAT);
    limits = (struct weir_template_limits){.memory_max = 1000};
    err = (struct weir_err){0};
    assert_int_equal(render(source, strlen(source), &limits, &text, &err), WEIR_ERR_FORMAT);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    const char *source = "{% for x in range(3000) %}{{ x }}{% endfor %}";
    const uint64_t heap_bytes = weir_heap_bytes();
    for (uint64_t call = 1; call < 100; call++) {
        struct weir_err err = {0};
        char *text;
        weir_heap_fail_at(call);
        const enum weir_status status = render(source, strlen(source), NULL, &text, &err);
        weir_heap_fail_at(0);
        weir_template_text_free(&text);
        assert_int_equal(weir_heap_bytes(), heap_bytes);
        if (status == WEIR_OK) {
            assert_true(call > 4);
            return;
        }
        assert_int_equal(status, WEIR_ERR_NOMEM);
    }
    fail_msg("more than 100 allocations");
}

static void the_time_is_the_callers(void **state)
{
    (void)state;
    const char *source = "{{ strftime_now('%Y %B') }}";
    const struct weir_template_limits limits = {.now_s = 1780000000};
    struct weir_err err = {0};
    char *text;
    assert_int_equal(render(source, strlen(source), &limits, &text, &err), WEIR_OK);
    assert_string_equal(text, "2026 May");
    weir_template_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_as_in_python),
        cmocka_unit_test(statements_are_as_in_jinja),
        cmocka_unit_test(white_space_is_trimmed_as_transformers_does),
        cmocka_unit_test(filters_tests_and_methods_are_there),
        cmocka_unit_test(what_is_not_built_in_is_named_with_its_line),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(hostile_templates_end_soon),
        cmocka_unit_test(work_on_long_texts_is_counted),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(failed_allocations_leave_nothing),
        cmocka_unit_test(the_time_is_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
