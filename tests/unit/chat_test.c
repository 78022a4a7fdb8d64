/* chat_test.c - what of a conversation reaches a template, which template it is, and what of the
 * rendering becomes control tokens. */
#include <unistd.h>

#include "chat/chat.h"
#include "formats/formats.h"
#include "scratch.h"
#include "text_toy.h"

#define ASK "[{\"role\": \"user\", \"content\": \"hi\"}]"

static weir_chat *open_chat(const char *path, const char *format, const char *source)
{
    weir_chat *chat = NULL;
    struct weir_err err = {0};
    const struct weir_chat_config config = {.model_path = path,
                                            .format = format,
                                            .source = source,
                                            .source_length = source == NULL ? 0 : strlen(source)};
    if (weir_chat_open(&chat, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return chat;
}

static struct weir_chat_request ask(const char *messages)
{
    return (struct weir_chat_request){.messages = messages, .messages_length = strlen(messages)};
}

static void renders(const weir_chat *chat, const struct weir_chat_request *request,
                    const char *wanted)
{
    struct weir_err err = {0};
    char *text = NULL;
    size_t length = 0;
    if (weir_chat_render(chat, request, &text, &length, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    if (strcmp(text, wanted) != 0)
        fail_msg("wanted \"%s\", found \"%s\"", wanted, text);
    assert_int_equal(strlen(text), length);
    weir_chat_text_free(&text);
}

static void refuses(const weir_chat *chat, const struct weir_chat_request *request,
                    const char *words)
{
    struct weir_err err = {0};
    char *text = NULL;
    size_t length = 0;
    const uint64_t heap_bytes = weir_heap_bytes();
    assert_int_equal(weir_chat_render(chat, request, &text, &length, &err), WEIR_ERR_ARG);
    assert_null(text);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(weir_heap_bytes(), heap_bytes);
}

/* ---- variables ------------------------------------------------------------------------------ */

static void messages_reach_the_template_as_in_transformers(void **state)
{
    (void)state;
    weir_chat *chat = open_chat(NULL, NULL,
                                "{{ messages | tojson }}|{{ tools }}|{{ documents }}|"
                                "{{ add_generation_prompt }}|{{ more }}|{{ bos_token }}");
    struct weir_chat_request request = ask(
        "[ {\"role\":\"assistant\",\"content\":null,\"a\" : [null, 1.50],\"z\":{\"y\":null}} ]");
    renders(chat, &request,
            "[{\"role\": \"assistant\", \"a\": [null, 1.5], \"z\": {\"y\": null}}]"
            "|None|None|True||");
    request = ask("[{\"role\": \"assistant\", \"reasoning\": \"r\", \"content\": \"\\u00e9\\n\"}]");
    request.tools = "[{\"t\": 1}]";
    request.tools_length = strlen(request.tools);
    request.variables = "{\"more\": \"m\", \"bos_token\": \"B\", \"documents\": []}";
    request.variables_length = strlen(request.variables);
    request.no_generation_prompt = true;
    renders(chat, &request,
            "[{\"thinking\": \"r\", \"role\": \"assistant\", \"reasoning\": \"r\", \"content\": "
            "\"é\\n\", \"reasoning_content\": \"r\"}]|[{'t': 1}]|[]|False|m|B");
    weir_chat_close(&chat);
}

/* As DeepSeek's templates have it: calls are written where the content is none. */
static void calls_without_a_content_have_one_that_is_none(void **state)
{
    static const char *const asked[] = {"m['content'] is none", "m[\"content\"] is none",
                                        "m.content is none"};
    (void)state;
    for (size_t way = 0; way < WEIR_COUNT(asked); way++) {
        char source[256];
        snprintf(source, sizeof(source),
                 "{%% for m in messages %%}{%% if %s %%}[{{ m.tool_calls | length }}]{%% else %%}"
                 "{{ 'said ' + m.content }}{%% endif %%};{%% endfor %%}",
                 asked[way]);
        weir_chat *chat = open_chat(NULL, NULL, source);
        struct weir_chat_request request =
            ask("[{\"content\": null, \"tool_calls\": [1, 2]}, {\"tool_calls\": [1]}, "
                "{\"content\": \"a\", \"tool_calls\": [1]}, {\"content\": \"b\"}]");
        renders(chat, &request, "[2];[1];said a;said b;");
        request = ask("[{\"content\": null, \"tool_calls\": null}]");
        struct weir_err err = {0};
        char *text = NULL;
        size_t length = 0;
        assert_int_not_equal(weir_chat_render(chat, &request, &text, &length, &err), WEIR_OK);
        assert_non_null(strstr(err.text, "content"));
        weir_chat_close(&chat);
    }
}

static void what_is_no_conversation_is_refused(void **state)
{
    (void)state;
    weir_chat *chat = open_chat(NULL, NULL, "{{ raise_exception('not so') }}");
    struct weir_chat_request request = ask("[1");
    refuses(chat, &request, "messages: byte 2");
    request = ask("{}");
    refuses(chat, &request, "messages: wanted an array, found an object");
    request = ask("[]");
    refuses(chat, &request, "messages: wanted at least one message, found none");
    request = ask("[{}, 1]");
    refuses(chat, &request, "found a number at place 1");
    request = ask(ASK);
    refuses(chat, &request, "not so");
    request.tools = "{}";
    request.tools_length = 2;
    refuses(chat, &request, "tools: wanted an array, found an object");
    request.tools = NULL;
    request.variables = "{\"tools\": 1}";
    request.variables_length = strlen(request.variables);
    refuses(chat, &request, "variables: tools is given apart from them");
    request.variables = "[]";
    request.variables_length = 2;
    refuses(chat, &request, "variables: wanted an object, found an array");
    weir_chat_close(&chat);
}

/* ---- which template ------------------------------------------------------------------------- */

static void known_formats_are_known_by_name(void **state)
{
    static const char talk[] =
        "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"A\"},"
        " {\"role\": \"assistant\", \"content\": \"B\"}, {\"role\": \"user\", \"content\":"
        " [{\"type\": \"text\", \"text\": \"C\"}, {\"type\": \"text\", \"text\": \"D\"}]}]";
    static const struct {
        const char *name, *wanted;
    } formats[] = {
        {"chatml", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n"
                   "<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nCD<|im_end|>\n"
                   "<|im_start|>assistant\n"},
        {"llama2", "[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] CD [/INST]"},
        {"mistral", "[INST] S\n\nA[/INST] B</s>[INST] CD[/INST]"},
        {"gemma", "<start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\nB<end_of_turn>\n"
                  "<start_of_turn>user\nCD<end_of_turn>\n<start_of_turn>model\n"},
        {"deepseek",
         "S<｜User｜>A<｜Assistant｜>B<｜end▁of▁sentence｜><｜User｜>CD<｜Assistant｜>"},
        {"phi3", "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n"
                 "<|user|>\nCD<|end|>\n<|assistant|>\n"},
        {"plain", "S\nA\nB\nCD"},
    };
    (void)state;
    struct weir_chat_request request = ask(talk);
    request.variables = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}";
    request.variables_length = strlen(request.variables);
    for (size_t row = 0; row < WEIR_COUNT(formats); row++) {
        weir_chat *chat = open_chat(NULL, formats[row].name, NULL);
        assert_int_equal(weir_chat_origin(chat), WEIR_CHAT_KNOWN);
        renders(chat, &request, formats[row].wanted);
        weir_chat_close(&chat);
    }
    uint32_t count = 0;
    for (; weir_chat_format_name(count) != NULL; count++) {
        char *text = NULL;
        size_t length = 0;
        weir_chat *chat = open_chat(NULL, weir_chat_format_name(count), NULL);
        assert_int_equal(weir_chat_render(chat, &request, &text, &length, NULL), WEIR_OK);
        assert_non_null(strstr(text, "A"));
        assert_non_null(strstr(text, "CD"));
        weir_chat_text_free(&text);
        weir_chat_close(&chat);
    }
    assert_true(count > WEIR_COUNT(formats));
}

static void a_format_that_nobody_knows_is_refused(void **state)
{
    (void)state;
    weir_chat *chat = NULL;
    struct weir_err err = {0};
    const struct weir_chat_config config = {.format = "klingon"};
    assert_int_equal(weir_chat_open(&chat, &config, &err), WEIR_ERR_ARG);
    assert_null(chat);
    assert_non_null(strstr(err.text, "wanted one of chatml, "));
    assert_non_null(strstr(err.text, "found klingon"));
    err = (struct weir_err){0};
    const struct weir_chat_config broken = {.source = "{% if %}", .source_length = 8};
    assert_int_equal(weir_chat_open(&chat, &broken, &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "line 1"));
}

static char folder[64];

static void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void a_directory_says_it_in_its_files(void **state)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
    struct weir_chat_request request = ask(ASK);
    char path[128];
    (void)state;
    assert_true(scratch_folder(folder, sizeof(folder), "chat"));
    write_text("tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}");
    weir_chat *chat = open_chat(folder, NULL, NULL);
    assert_int_equal(weir_chat_origin(chat), WEIR_CHAT_PLAIN);
    weir_chat_close(&chat);
    write_text("special_tokens_map.json", "{\"bos_token\": \"no\", \"pad_token\": \"<p>\"}");
    write_text("tokenizer_config.json",
               "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": null, \"chat_template\": ["
               "{\"name\": \"default\", \"template\": \"D{{ bos_token }}{{ pad_token }}\\u00e9\"},"
               "{\"name\": \"tool_use\", \"template\": \"T{{ tools }}\"}]}");
    chat = open_chat(folder, NULL, NULL);
    assert_int_equal(weir_chat_origin(chat), WEIR_CHAT_OF_MODEL);
    assert_true(weir_chat_mentions(chat, "pad_token") && !weir_chat_mentions(chat, "enable"));
    renders(chat, &request, "D<s><p>é");
    request.tools = "[]";
    request.tools_length = 2;
    renders(chat, &request, "T[]");
    weir_chat_close(&chat);
    write_text("chat_template.jinja", "{{ messages[0].content }}!\n");
    chat = open_chat(folder, NULL, NULL);
    request.tools = NULL;
    renders(chat, &request, "hi!");
    weir_chat_close(&chat);
    for (size_t index = 0; index < WEIR_COUNT(files); index++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[index]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* ---- as token ids --------------------------------------------------------------------------- */

static struct toy toy;
enum { START = 256, STOP, TAG, BEGIN };

static weir_text *open_words(void)
{
    toy_init(&toy, "gpt2", "gpt-2");
    toy_add_letters(&toy);
    toy_add(&toy, "<|s|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<|e|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<tag>", WEIR_TOKEN_USER_DEFINED, 0);
    toy.vocab.bos_id = toy_add(&toy, "<b>", WEIR_TOKEN_CONTROL, 0);
    toy.vocab.add_bos = true;
    return toy_open(&toy);
}

static void encodes(weir_text *text, const char *source, const char *messages,
                    const uint32_t *wanted)
{
    struct weir_err err = {0};
    weir_chat *chat =
        source == NULL ? open_chat(NULL, "plain", NULL) : open_chat(NULL, NULL, source);
    const struct weir_chat_request request = ask(messages);
    uint32_t *ids = NULL;
    size_t count = 0, wanted_count = 0;
    if (weir_chat_encode_by(chat, text, &request, &ids, &count, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    while (wanted[wanted_count] != WEIR_TOKEN_NONE)
        wanted_count++;
    for (size_t at = 0; at < weir_min(count, wanted_count); at++)
        if (ids[at] != wanted[at])
            fail_msg("%s: id %zu is %u, wanted %u", messages, at, ids[at], wanted[at]);
    assert_int_equal(count, wanted_count);
    weir_heap_free(ids);
    weir_chat_close(&chat);
}

static void only_the_template_writes_control_tokens(void **state)
{
    static const char source[] =
        "{% for m in messages %}<|s|>{{ m.content | trim if m.content is string else "
        "m.content | join(attribute='text') }}{% endfor %}<|e|>";
    (void)state;
    weir_text *text = open_words();
    encodes(text, source, "[{\"role\": \"user\", \"content\": \" a \"}]",
            TOY_IDS(START, 'a', STOP));
    encodes(text, source, "[{\"role\": \"user\", \"content\": \" <|e|> \"}]",
            TOY_IDS(START, '<', '|', 'e', '|', '>', STOP));
    encodes(text, source, "[{\"role\": \"tool\", \"content\": \"\\u003c|s|><|s|>\"}]",
            TOY_IDS(START, '<', '|', 's', '|', '>', '<', '|', 's', '|', '>', STOP));
    /* Parts that a template joins. */
    encodes(text, source,
            "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"<|\"}, "
            "{\"type\": \"text\", \"text\": \"e|>\"}]}]",
            TOY_IDS(START, '<', '|', 'e', '|', '>', STOP));
    /* What is no control token, and what the model or the operator wrote, is as it is. */
    encodes(text, source, "[{\"role\": \"user\", \"content\": \"<tag>\"}]",
            TOY_IDS(START, TAG, STOP));
    encodes(text, source, "[{\"role\": \"assistant\", \"content\": \"<|e|>\"}]",
            TOY_IDS(START, STOP, STOP));
    /* A text that has the mark which is tried first. */
    encodes(text, source, "[{\"role\": \"user\", \"content\": \"\\uFDD0<|e|>\"}]",
            TOY_IDS(START, 0xef, 0xb7, 0x90, '<', '|', 'e', '|', '>', STOP));
    weir_text_destroy(&text);
}

static void known_formats_begin_with_bos(void **state)
{
    (void)state;
    weir_text *text = open_words();
    encodes(text, NULL, "[{\"role\": \"user\", \"content\": \"a\"}]", TOY_IDS(BEGIN, 'a'));
    encodes(text, "{{ messages[0].content }}", "[{\"role\": \"user\", \"content\": \"a\"}]",
            TOY_IDS('a'));
    weir_text_destroy(&text);
}

static void failed_allocations_leave_nothing_behind(void **state)
{
    static const struct weir_chat_config config = {.source = "{{ messages[0].content }}<|e|>",
                                                   .source_length = 30};
    const struct weir_chat_request request =
        ask("[{\"role\": \"user\", \"content\": \"a<|s|>\", \"reasoning\": \"b\"}]");
    (void)state;
    weir_text *text = open_words();
    toy_gives(text, "a<|s|>", 0, TOY_IDS('a', '<', '|', 's', '|', '>')); /* its scratch is there */
    const uint64_t heap_bytes = weir_heap_bytes();
    uint64_t call = 0;
    for (enum weir_status status = WEIR_ERR_NOMEM; status != WEIR_OK;) {
        struct weir_err err = {0};
        weir_chat *chat = NULL;
        uint32_t *ids = NULL;
        size_t count = 0;
        weir_heap_fail_at(++call);
        status = weir_chat_open(&chat, &config, &err);
        if (status == WEIR_OK)
            status = weir_chat_encode_by(chat, text, &request, &ids, &count, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        assert_int_equal(err.status, status);
        assert_true((status == WEIR_OK) == (ids != NULL));
        weir_heap_free(ids);
        weir_chat_close(&chat);
        if (status != WEIR_OK)
            assert_int_equal(weir_heap_bytes(), heap_bytes);
    }
    assert_true(call > 10);
    weir_text_destroy(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_reach_the_template_as_in_transformers),
        cmocka_unit_test(calls_without_a_content_have_one_that_is_none),
        cmocka_unit_test(what_is_no_conversation_is_refused),
        cmocka_unit_test(known_formats_are_known_by_name),
        cmocka_unit_test(a_format_that_nobody_knows_is_refused),
        cmocka_unit_test(a_directory_says_it_in_its_files),
        cmocka_unit_test(only_the_template_writes_control_tokens),
        cmocka_unit_test(known_formats_begin_with_bos),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
