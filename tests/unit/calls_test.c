/* calls_test.c - calls of tools as each family writes them, however the text is cut. */
#include "chat/reply_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/utf8.h"

static const char tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"wx\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"city\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},"
    "\"at\":{\"type\":\"object\"},\"list\":{\"type\":\"array\"},\"on\":{\"type\":\"boolean\"},"
    "\"maybe\":{\"type\":[\"string\",\"null\"]},\"ref\":{\"$ref\":\"#/$defs/word\"},"
    "\"unit\":{\"enum\":[\"C\",\"F\"]}},\"$defs\":{\"word\":{\"type\":\"string\"}}}}},"
    "{\"name\":\"ns.now-2\",\"input_schema\":{\"type\":\"object\"}}]";

/* What is told, as one text: A answer, R reasoning, C call and its arguments, its end '.' or '!',
 * '?' a note. */
struct heard {
    char text[1 << 15];
    size_t length;
    int last;
    char id[WEIR_CALL_ID_MAX + 1];
    uint32_t last_call;
};

static void say(struct heard *heard, const char *bytes, size_t length)
{
    assert_true(heard->length + length < sizeof(heard->text));
    memcpy(heard->text + heard->length, bytes, length);
    heard->length += length;
    heard->text[heard->length] = '\0';
}

static void hear(void *user, const struct weir_reply_event *event)
{
    static const char letters[] = "ARC ...";
    struct heard *heard = user;
    const bool goes_on = heard->last == (int)event->kind && event->kind != WEIR_REPLY_CALL;
    assert_int_equal(weir_utf8_valid(event->bytes, event->length), event->length);
    heard->last = (int)event->kind;
    switch (event->kind) {
    case WEIR_REPLY_ANSWER:
    case WEIR_REPLY_REASONING:
    case WEIR_REPLY_CALL:
        if (!goes_on)
            say(heard, &letters[event->kind], 1);
        break;
    case WEIR_REPLY_ARGUMENTS:
        if (!goes_on)
            say(heard, " ", 1);
        break;
    default:
        say(heard,
            event->kind == WEIR_REPLY_CALL_END ? "."
            : event->kind == WEIR_REPLY_NOTE   ? "?"
                                               : "!",
            1);
        assert_true(event->kind == WEIR_REPLY_CALL_END || event->length > 0);
        return;
    }
    if (event->kind == WEIR_REPLY_CALL) {
        snprintf(heard->id, sizeof(heard->id), "%s", event->id);
        heard->last_call = event->call;
    }
    say(heard, event->bytes, event->length);
}

struct options {
    uint32_t call_max, call_bytes_max;
    bool whole_calls;
};

static weir_reply *open_reply(const char *format, struct options options)
{
    struct weir_err err = {0};
    weir_reply *reply = NULL;
    const struct weir_reply_config config = {.format = format,
                                             .tools = tools,
                                             .tools_length = strlen(tools),
                                             .id_seed = 7,
                                             .call_max = options.call_max,
                                             .call_bytes_max = options.call_bytes_max,
                                             .whole_calls = options.whole_calls};
    assert_int_equal(weir_reply_create_by(&reply, NULL, &config, &err), WEIR_OK);
    return reply;
}

/* In two pieces; step > 0: in pieces of so many bytes. */
static void read_cut(struct heard *heard, const char *format, const char *words, size_t length,
                     size_t cut, size_t step, struct options options)
{
    weir_reply *reply = open_reply(format, options);
    heard->length = 0;
    heard->last = -1;
    heard->text[0] = '\0';
    for (size_t at = 0; at < length;) {
        const size_t count = step > 0 ? weir_min(step, length - at) : at < cut ? cut : length - at;
        weir_reply_push_text(reply, words + at, count, hear, heard);
        at += count;
    }
    weir_reply_end(reply, hear, heard);
    weir_reply_destroy(&reply);
}

static struct heard whole, cut;

static void reads(const char *format, const char *words, const char *told)
{
    const struct options options = {0};
    const size_t length = strlen(words);
    read_cut(&whole, format, words, length, length, 0, options);
    if (strcmp(whole.text, told) != 0)
        print_error("%s: %s\n", format, words);
    assert_string_equal(whole.text, told);
    for (size_t at = 1; at < length; at++) {
        read_cut(&cut, format, words, length, at, 0, options);
        assert_string_equal(cut.text, whole.text);
    }
    read_cut(&cut, format, words, length, 0, 1, options);
    assert_string_equal(cut.text, whole.text);
    assert_string_equal(cut.id, whole.id);
}

static void json_in_marks(void **state)
{
    (void)state;
    reads("hermes",
          "<tool_call>\n{\"name\":\"wx\",\"arguments\":{\"city\":\"Bern\"}}\n</tool_call>",
          "Cwx {\"city\":\"Bern\"}.");
    reads("hermes",
          "<think>\nHm\n</think>\n\nI look.\n<tool_call>\n{\"arguments\": {\"city\": \"Zürich "
          "\\u00fc\\n\"}, \"id\": 3, \"name\": \"wx\"}\n</tool_call>\n<tool_call>{\"name\": "
          "\"ns.now-2\"}</tool_call>\nDone.\n",
          "RHm\nAI look.Cwx {\"city\": \"Zürich \\u00fc\\n\"}.Cns.now-2 {}.ADone.\n");
    reads("hermes",
          "<tool_call>[{\"name\":\"wx\",\"arguments\":\"{\\\"n\\\": 3}\"}, "
          "{\"name\":\"wx\",\"arguments\":null}]</tool_call>",
          "Cwx {\"n\": 3}.Cwx {}.");
    reads("hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":[1,-2.5e3,true]}}",
          "Cwx {\"n\":[1,-2.5e3,true]}.");
    reads("hermes",
          "<tool_call>\n<function=wx>\n<parameter=n>\n3\n</parameter>\n</function>\n"
          "</tool_call>",
          "Cwx {\"n\":3}.");
    reads("granite", "<|tool_call|>[{\"name\": \"wx\", \"arguments\": {\"n\": 1}}]",
          "Cwx {\"n\": 1}.");
    reads("nemotron-v2",
          "<TOOLCALL>[{\"name\": \"wx\", \"arguments\": {}}, {\"name\": \"wx\", "
          "\"arguments\": {}}]</TOOLCALL>",
          "Cwx {}.Cwx {}.");
    reads("hunyuan",
          "<tool_calls>\n{\"name\":\"wx\",\"arguments\":{}}\n{\"name\":\"wx\"}\n"
          "</tool_calls>x",
          "Cwx {}.Cwx {}.Ax");
    reads("functools", " functools[{\"name\": \"wx\", \"arguments\": {}}]", "Cwx {}.");
    reads("gigachat", "Ok<|function_call|>{\"name\": \"wx\", \"arguments\": {}}", "AOkCwx {}.");
    reads("internlm",
          "<|action_start|><|plugin|>\n{\"name\": \"wx\", \"parameters\": {}}"
          "<|action_end|>",
          "Cwx {}.");
    reads("ernie", "<response>\nHi\n</response>\n<tool_call>\n{\"name\":\"wx\"}\n</tool_call>\n",
          "AHiCwx {}.");
    reads("command",
          "<|START_THINKING|>Plan<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
          "\"tool_name\": \"wx\", \"parameters\": {\"city\": \"Bern\"}}\n]<|END_ACTION|>",
          "RPlanCwx {\"city\": \"Bern\"}.");
    reads("command", "<|START_RESPONSE|>Hi<|END_RESPONSE|>", "AHi");
}

static void json_alone(void **state)
{
    (void)state;
    reads("llama3", "{\"name\": \"wx\", \"parameters\": {\"city\": \"Bern\"}}",
          "Cwx {\"city\": \"Bern\"}.");
    reads("llama3",
          "{\"type\": \"function\", \"function\": {\"name\": \"wx\", \"parameters\": {}}}",
          "Cwx {}.");
    reads("llama3", "<|python_tag|>{\"type\":\"function\",\"function\":\"wx\",\"parameters\":{}}",
          "Cwx {}.");
    reads("llama3", "<|python_tag|>wx.call(city=\"Bern\", n=3)",
          "Cwx {\"city\":\"Bern\",\"n\":3}.");
    reads("llama3", "{\"city\": \"Bern\"}", "?A{\"city\": \"Bern\"}");
    reads("llama3", "{\"name\": \"Bern\", \"size\": 3}", "?A{\"name\": \"Bern\", \"size\": 3}");
    reads("llama3", "So {\"name\": \"wx\", \"parameters\": {}}",
          "ASo {\"name\": \"wx\", \"parameters\": {}}");
    reads("llama4", "[wx(city='Bern'), ns.now-2()]", "Cwx {\"city\":\"Bern\"}.Cns.now-2 {}.");
    reads("llama4", "[1, 2]", "?A[1, 2]");
}

static void names_before_json(void **state)
{
    (void)state;
    reads("mistral", "Ok[TOOL_CALLS]wx[ARGS]{\"city\":\"Bern\"}[TOOL_CALLS]wx[ARGS]{}",
          "AOkCwx {\"city\":\"Bern\"}.Cwx {}.");
    reads("mistral-ids", "[TOOL_CALLS]wx[CALL_ID]a1b2c3d4e[ARGS]{\"n\":1}", "Cwx {\"n\":1}.");
    assert_string_equal(whole.id, "a1b2c3d4e");
    reads("mistral-list",
          "[TOOL_CALLS] [{\"name\": \"wx\", \"arguments\": {\"n\": 1}, \"id\": "
          "\"a1b2c3d4e\"}]",
          "Cwx {\"n\": 1}.");
    reads("deepseek-v3.1",
          "Ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>wx<｜tool▁sep｜>{\"city\":\"B\"}"
          "<｜tool▁call▁end｜><｜tool▁call▁begin｜>wx<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
          "<｜tool▁calls▁end｜>",
          "AOkCwx {\"city\":\"B\"}.Cwx {}.");
    reads("deepseek-v3.1",
          "<think>Hm<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>wx\n"
          "```json\n{\"city\":\"B\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function"
          "<｜tool▁sep｜>wx\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
          "RHmCwx {\"city\":\"B\"}.Cwx {}.");
    reads(
        "kimi-k2",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.wx:4<|tool_call_argument_begin|>"
        "{\"city\":\"B\"}<|tool_call_end|><|tool_call_begin|>functions.wx:5"
        "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
        "Cwx {\"city\":\"B\"}.Cwx {}.");
    assert_string_equal(whole.id, "functions.wx:5");
    reads("functionary", "<function=wx>{\"city\": \"Bern\"}</function><function=wx>{}</function>",
          "Cwx {\"city\": \"Bern\"}.Cwx {}.");
}

static void channels(void **state)
{
    (void)state;
    reads("gpt-oss",
          "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant to=functions.wx<|channel|>"
          "commentary json<|message|>{\"city\":\"B\"}<|call|>",
          "RHmCwx {\"city\":\"B\"}.");
    reads("gpt-oss",
          "<|channel|>commentary to=functions.wx <|constrain|>json<|message|>{\"n\":1}<|call|>",
          "Cwx {\"n\":1}.");
    reads("gpt-oss", " to=functions.wx<|channel|>commentary json<|message|>{}", "Cwx {}.");
    reads("gpt-oss", "<|channel|>final<|message|>Hi<|return|>", "AHi");
    reads("gpt-oss", "<|channel|>commentary to=functions.zz<|message|>{}<|call|>", "?A{}<|call|>");
}

static void tags(void **state)
{
    (void)state;
    reads(
        "qwen3-coder",
        "Ok\n<tool_call>\n<function=wx>\n<parameter=city>\n\"Bern\"\n</parameter>\n<parameter=n>\n"
        "3\n</parameter>\n<parameter=at>\n{\"x\": 1}\n</parameter>\n</function>\n</tool_call>",
        "AOkCwx {\"city\":\"\\\"Bern\\\"\",\"n\":3,\"at\":{\"x\": 1}}.");
    reads("qwen3-coder",
          "<tool_call>\n<function=wx>\n<parameter=city>\n\n a<b\n</par\n\n</parameter>\n"
          "<parameter=maybe>\nnull\n</parameter>\n<parameter=ref>\n1\n</parameter>\n</function>\n"
          "</tool_call>",
          "Cwx {\"city\":\"\\n a<b\\n</par\\n\",\"maybe\":null,\"ref\":\"1\"}.");
    reads("qwen3-coder",
          "<tool_call>\n<function=ns.now-2>\n</function>\n</tool_call>\n<tool_call>\n"
          "<function=ns.now-2>\n<parameter=a>\n3\n</parameter>\n<parameter=b>\nx y\n</parameter>\n"
          "</function>\n</tool_call>",
          "Cns.now-2 {}.Cns.now-2 {\"a\":3,\"b\":\"x y\"}.");
    reads("qwen3-coder", "<tool_call>\n{\"name\": \"wx\", \"arguments\": {}}\n</tool_call>",
          "Cwx {}.");
    reads("seed-oss",
          "<seed:think>H</seed:think><seed:tool_call>\n<function=wx>\n<parameter=list>['a', True, "
          "None]</parameter>\n<parameter=on>True</parameter>\n<parameter=n>many</parameter>\n"
          "</function>\n</seed:tool_call>",
          "RHCwx {\"list\":[\"a\",true,null],\"on\":true,\"n\":? \"many\"}.");
    reads(
        "glm-4.5",
        "<tool_call>wx\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n<arg_key>n</arg_key>"
        "\n<arg_value>3</arg_value>\n</tool_call>",
        "Cwx {\"city\":\"Bern\",\"n\":3}.");
    reads("glm-4.7",
          "<tool_call>wx<arg_key>unit</arg_key><arg_value>C</arg_value></tool_call><tool_call>wx"
          "</tool_call>",
          "Cwx {\"unit\":\"C\"}.Cwx {}.");
    reads(
        "hy3",
        "<tool_calls:opensource>\n<tool_call:opensource>wx<tool_sep:opensource>\n<arg_key:"
        "opensource>city</arg_key:opensource>\n<arg_value:opensource>Bern</arg_value:opensource>\n"
        "</tool_call:opensource>\n</tool_calls:opensource>",
        "Cwx {\"city\":\"Bern\"}.");
    reads("minimax-m2",
          "<minimax:tool_call>\n<invoke name=\"wx\">\n<parameter name=\"city\">Bern</parameter>\n"
          "</invoke>\n<invoke name=\"wx\">\n</invoke>\n</minimax:tool_call>",
          "Cwx {\"city\":\"Bern\"}.Cwx {}.");
    reads("minimax-m3",
          "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"wx\">]<]minimax[>[<city>Bern"
          "]<]minimax[>[</city>]<]minimax[>[<n>3]<]minimax[>[</n>]<]minimax[>[</invoke>\n"
          "]<]minimax[>[</tool_call>",
          "Cwx {\"city\":\"Bern\",\"n\":3}.");
    reads("deepseek-v3.2",
          "Ok\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"wx\">\n<｜DSML｜parameter "
          "name=\"city\" string=\"true\">3</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" "
          "string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
          "AOkCwx {\"city\":\"3\",\"n\":3}.");
    reads("deepseek-v4",
          "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"wx\">\n</｜DSML｜invoke>\n"
          "</｜DSML｜tool_calls>",
          "Cwx {}.");
    reads("kimi-k3",
          "<|open|>think<|sep|>Hm<|close|>think<|sep|><|open|>response<|sep|>Ok<|close|>response"
          "<|sep|><|open|>tools<|sep|><|open|>call tool=\"wx\" index=\"1\"<|sep|><|open|>argument "
          "key=\"city\" type=\"string\"<|sep|>Bern<|close|>argument<|sep|><|open|>argument "
          "key=\"n\" type=\"number\"<|sep|>3<|close|>argument<|sep|><|close|>call<|sep|><|close|>"
          "tools<|sep|><|close|>message<|sep|>",
          "RHmAOkCwx {\"city\":\"Bern\",\"n\":3}.");
}

static void other_languages(void **state)
{
    (void)state;
    reads(
        "gemma4",
        "<|channel>thought\nHm<channel|><|tool_call>call:wx{city:<|\"|>a \"<|b\\<|\"|>,n:3,"
        "at:{x:[1,<|\"|>y<|\"|>],z:None}}<tool_call|><|tool_call>call:wx{}<tool_call|>",
        "RHmCwx {\"city\":\"a \\\"<|b\\\\\",\"n\":3,\"at\":{\"x\":[1,\"y\"],\"z\":null}}.Cwx {}.");
    reads("lfm2",
          "<|tool_call_start|>[wx(city='Be\\'rn', n=3, at={'x': (1, 2.5,)}), wx()]"
          "<|tool_call_end|>Look",
          "Cwx {\"city\":\"Be'rn\",\"n\":3,\"at\":{\"x\":[1,2.5]}}.Cwx {}.ALook");
    reads("lfm2", "<|tool_call_start|>[wx(city=\"a\\x41\\u00e9\\U0001f600\\q\")]<|tool_call_end|>",
          "Cwx {\"city\":\"a\\u0041\\u00e9\xf0\x9f\x98\x80\\\\q\"}.");
}

/* ---- what is none -------------------------------------------------------------------------- */

static void what_is_none_stays_text(void **state)
{
    (void)state;
    reads("hermes", "a <tool_ca", "Aa <tool_ca");
    reads("hermes", "a <tool_call> is a mark ", "Aa <tool_call> is a mark ");
    reads("hermes", "x \n\n<tool_call>{\"name\":\"zz\",\"arguments\":{}}</tool_call>",
          "Ax?A \n\n<tool_call>{\"name\":\"zz\",\"arguments\":{}}</tool_call>");
    reads("hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":<tool_call>{\"name\":\"wx\"}",
          "Cwx {\"n\":!A<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":Cwx {}.");
    reads("hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":{\"city\":\"Be",
          "Cwx {\"city\":\"Be!A<tool_call>{\"name\":\"wx\",\"arguments\":{\"city\":\"Be");
    reads("hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":3}</tool_call>",
          "Cwx!A<tool_call>{\"name\":\"wx\",\"arguments\":3}</tool_call>");
    reads("hermes", "<tool_call>{\"arguments\":{}}</tool_call>",
          "?A<tool_call>{\"arguments\":{}}</tool_call>");
    reads("qwen3-coder", "<tool_call>\n<function=wx>\nBern",
          "Cwx!A<tool_call>\n<function=wx>\nBern");
    reads("gemma4", "<|tool_call>call:wx(3)", "Cwx!A<|tool_call>call:wx(3)");
    reads("mistral", "[TOOL_CALLS]wx{}", "?A[TOOL_CALLS]wx{}");
    reads("hermes", "ü\xff\xe2\x82 z\xe2", "Aü\xef\xbf\xbd\xef\xbf\xbd z\xef\xbf\xbd");
    reads("hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":{\"city\":\"\\ud83d\\ude00\\d\n\"}}",
          "Cwx {\"city\":\"\\ud83d\\ude00\\\\d\\n\"}.");
    reads(
        "hermes", "<tool_call>{\"name\":\"wx\",\"arguments\":{\"city\":\"\\ud83dx\"}}",
        "Cwx "
        "{\"city\":\"\\ud83d!A<tool_call>{\"name\":\"wx\",\"arguments\":{\"city\":\"\\ud83dx\"}}");
}

static void whole_calls_are_told_at_once(void **state)
{
    static const char words[] = "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":1}}</tool_call>"
                                "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":x";
    (void)state;
    read_cut(&whole, "hermes", words, strlen(words), 0, 1, (struct options){.whole_calls = true});
    assert_string_equal(whole.text,
                        "Cwx {\"n\":1}.?A<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":x");
}

/* ---- limits -------------------------------------------------------------------------------- */

static void calls_are_counted(void **state)
{
    static const char words[] = "<tool_call>{\"name\":\"wx\"}</tool_call>"
                                "<tool_call>{\"name\":\"wx\"}</tool_call>"
                                "<tool_call>{\"name\":\"wx\"}</tool_call>";
    (void)state;
    read_cut(&whole, "hermes", words, strlen(words), 0, 1, (struct options){.call_max = 2});
    assert_string_equal(whole.text, "Cwx {}.Cwx {}.?A<tool_call>{\"name\":\"wx\"}</tool_call>");
    assert_int_equal(whole.last_call, 1);
    read_cut(&whole, "hermes", words, strlen(words), 0, 1, (struct options){.call_max = 3});
    assert_string_equal(whole.text, "Cwx {}.Cwx {}.Cwx {}.");
}

static void the_length_of_a_call_has_a_limit(void **state)
{
    static const char words[] = "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":1234567}}";
    const uint32_t length = (uint32_t)strlen(words);
    (void)state;
    for (size_t step = 1; step < 90; step += 88) {
        read_cut(&whole, "hermes", words, length, 0, step,
                 (struct options){.call_bytes_max = length});
        assert_string_equal(whole.text, "Cwx {\"n\":1234567}.");
        read_cut(&whole, "hermes", words, length, 0, step,
                 (struct options){.call_bytes_max = length - 2});
        assert_string_equal(
            whole.text,
            "Cwx {\"n\":1234567}!A<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":1234567}}");
    }
}

static void depth_has_a_limit(void **state)
{
    char words[400];
    (void)state;
    for (int deeper = 0; deeper < 2; deeper++) {
        const int depth = WEIR_JSON_DEPTH_MAX - 1 + deeper;
        int length = snprintf(words, sizeof(words), "[TOOL_CALLS]wx[ARGS]{\"n\":");
        memset(words + length, '[', (size_t)depth);
        memset(words + length + depth, ']', (size_t)depth);
        words[length + 2 * depth] = '}';
        read_cut(&whole, "mistral", words, (size_t)(length + 2 * depth + 1), 0, 1,
                 (struct options){0});
        assert_int_equal(strchr(whole.text, '!') != NULL, deeper);
        assert_int_equal(whole.text[whole.length - 1] == '.', !deeper);
    }
}

static void long_names_are_none(void **state)
{
    char words[600];
    (void)state;
    const int length =
        snprintf(words, sizeof(words), "[TOOL_CALLS]%0*d[ARGS]{}", WEIR_CALL_NAME_MAX + 1, 7);
    read_cut(&whole, "mistral", words, (size_t)length, 0, 1, (struct options){0});
    assert_memory_equal(whole.text, "?A[TOOL_CALLS]0000", 18);
    assert_int_equal(whole.length, length + 2);
}

/* ---- ids, tools, formats ------------------------------------------------------------------- */

static void ids_are_made(void **state)
{
    (void)state;
    reads("hermes", "<tool_call>{\"name\":\"wx\"}</tool_call>", "Cwx {}.");
    assert_int_equal(strlen(whole.id), 29);
    assert_memory_equal(whole.id, "call_", 5);
    reads("mistral", "[TOOL_CALLS]wx[CALL_ID]no[ARGS]{}", "Cwx {}.");
    assert_int_equal(strlen(whole.id), 9);
    reads("kimi-k2", "<|tool_call_begin|>wx<|tool_call_argument_begin|>{}", "Cwx {}.");
    assert_string_equal(whole.id, "wx");
}

static void tools_are_checked(void **state)
{
    static const char *const wrong[] = {"{}", "[", "[3]", "[{\"name\":\"\"}]",
                                        "[{\"function\":{\"name\":3}}]"};
    weir_reply *reply = NULL;
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(wrong); index++) {
        const struct weir_reply_config config = {
            .format = "hermes", .tools = wrong[index], .tools_length = strlen(wrong[index])};
        struct weir_err err = {0};
        assert_int_equal(weir_reply_create_by(&reply, NULL, &config, &err), WEIR_ERR_ARG);
        assert_non_null(strstr(err.text, "tools"));
    }
    const struct weir_reply_config nowhere = {.tools = "[]", .tools_length = 2};
    assert_int_equal(weir_reply_create_by(&reply, NULL, &nowhere, NULL), WEIR_ERR_UNSUPPORTED);
    const struct weir_reply_config unknown = {.format = "zz"};
    struct weir_err err = {0};
    assert_int_equal(weir_reply_create_by(&reply, NULL, &unknown, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "hermes"));
    for (uint64_t call = 1; call < 4; call++) {
        const struct weir_reply_config config = {
            .format = "hermes", .tools = tools, .tools_length = strlen(tools)};
        weir_heap_fail_at(call);
        const enum weir_status status = weir_reply_create_by(&reply, NULL, &config, NULL);
        weir_heap_fail_at(0);
        assert_int_equal(status, call < 3 ? WEIR_ERR_NOMEM : WEIR_OK);
        if (status == WEIR_OK)
            weir_reply_destroy(&reply);
    }
}

static void without_memory_a_call_is_none(void **state)
{
    static const char words[] = "<tool_call>{\"name\":\"wx\",\"arguments\":{\"n\":1}}</tool_call>";
    (void)state;
    for (uint64_t call = 1; call < 20; call++) {
        weir_reply *reply = open_reply("hermes", (struct options){.whole_calls = true});
        struct heard *heard = &whole;
        heard->length = 0;
        heard->last = -1;
        weir_heap_fail_at(call);
        weir_reply_push_text(reply, words, strlen(words), hear, heard);
        weir_reply_end(reply, hear, heard);
        weir_heap_fail_at(0);
        weir_reply_destroy(&reply);
        assert_true(strchr(heard->text, '?') != NULL || strcmp(heard->text, "Cwx {\"n\":1}.") == 0);
    }
}

static void rows_are_whole(void **state)
{
    const char *name = NULL;
    (void)state;
    for (uint32_t row = 0; (name = weir_call_format_name(row)) != NULL; row++) {
        const struct weir_call_format *format = weir_call_format_find(name);
        assert_non_null(format->words[0]);
        assert_non_null(format->open);
        for (size_t index = 0; index < WEIR_COUNT(format->also); index++)
            assert_true(format->also[index] == NULL ||
                        weir_call_format_find(format->also[index]) != NULL);
        weir_reply *reply = open_reply(name, (struct options){0});
        weir_reply_destroy(&reply);
        if (format->shape == WEIR_CALL_TAGS)
            assert_true(format->argument && format->key_end && format->argument_end &&
                        format->close && (!format->type_end || format->type_text));
        if (format->shape == WEIR_CALL_OBJECTS)
            assert_true(format->name_key && format->arguments_key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_in_marks),
        cmocka_unit_test(json_alone),
        cmocka_unit_test(names_before_json),
        cmocka_unit_test(channels),
        cmocka_unit_test(tags),
        cmocka_unit_test(other_languages),
        cmocka_unit_test(what_is_none_stays_text),
        cmocka_unit_test(whole_calls_are_told_at_once),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(the_length_of_a_call_has_a_limit),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(long_names_are_none),
        cmocka_unit_test(ids_are_made),
        cmocka_unit_test(tools_are_checked),
        cmocka_unit_test(without_memory_a_call_is_none),
        cmocka_unit_test(rows_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
