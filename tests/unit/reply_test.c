/* reply_test.c - reasoning apart from the answer, however it is marked and cut into tokens. */
#include "chat/reply_parts.h"
#include "text_toy.h"

static struct toy toy;
enum { THINK = 256, THINK_END, CHANNEL, MESSAGE, END, START, SEP };

static weir_text *open_words(void)
{
    toy_init(&toy, "gpt2", "gpt-2");
    toy_add_letters(&toy);
    toy_add(&toy, "<think>", WEIR_TOKEN_USER_DEFINED, 0);
    toy_add(&toy, "</think>", WEIR_TOKEN_USER_DEFINED, 0);
    toy_add(&toy, "<|channel|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<|message|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<|end|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<|start|>", WEIR_TOKEN_CONTROL, 0);
    toy_add(&toy, "<|sep|>", WEIR_TOKEN_CONTROL, 0);
    return toy_open(&toy);
}

struct heard {
    char texts[2][512]; /* the answer, reasoning */
};

static void hear(void *user, const struct weir_reply_event *event)
{
    char *text = ((struct heard *)user)->texts[event->kind == WEIR_REPLY_REASONING];
    const size_t before = strlen(text);
    assert_true(event->kind <= WEIR_REPLY_REASONING && event->length > 0);
    assert_true(before + event->length < sizeof(((struct heard *)user)->texts[0]));
    memcpy(text + before, event->bytes, event->length);
}

/* The words, in which the names of special tokens are these, after a prompt. */
static void says(const char *prompt, const char *words, const char *reasoning, const char *answer)
{
    weir_text *text = open_words();
    weir_reply *reply = NULL;
    struct heard heard = {0};
    struct weir_err err = {0};
    uint32_t *prompt_ids = NULL, *ids = NULL;
    size_t prompt_count = 0, count = 0;
    assert_int_equal(weir_text_tokenize(text, prompt, strlen(prompt), WEIR_TOKENIZE_PARSE_SPECIAL,
                                        &prompt_ids, &prompt_count, &err),
                     WEIR_OK);
    assert_int_equal(weir_text_tokenize(text, words, strlen(words), WEIR_TOKENIZE_PARSE_SPECIAL,
                                        &ids, &count, &err),
                     WEIR_OK);
    const struct weir_reply_config config = {.ids = prompt_ids, .id_count = prompt_count};
    assert_int_equal(weir_reply_create_by(&reply, text, &config, &err), WEIR_OK);
    for (size_t index = 0; index < count; index++)
        weir_reply_push(reply, ids[index], hear, &heard);
    weir_reply_end(reply, hear, &heard);
    assert_string_equal(heard.texts[1], reasoning);
    assert_string_equal(heard.texts[0], answer);
    weir_reply_destroy(&reply);
    weir_heap_free(prompt_ids);
    weir_heap_free(ids);
    weir_text_destroy(&text);
}

static void reasoning_is_what_a_reply_begins_with(void **state)
{
    (void)state;
    says("", "It rains.", "", "It rains.");
    says("", " It\n <think> rains.", "", " It\n <think> rains.");
    says("", "<think>\nHm <b>\n</think>\n\nIt rains.", "Hm <b>\n", "It rains.");
    says("", "\n<think></think>\n\nIt.", "", "It.");
    says("", "[THINK]é日[/THINK]ü", "é日", "ü");
    says("", "<think>cut off </thi", "cut off </thi", "");
    says("", "<thin", "", "<thin");
    says("", "<|sep|>a<|sep|>", "", "a");
}

static void a_prompt_may_begin_it(void **state)
{
    (void)state;
    says("ask<think>\n", "Hm</think>\nIt.", "Hm", "It.");
    says("<think>\n\n</think>\n\n", "It.", "", "It.");
    says("[THINK]", "a[/THINK]b", "a", "b");
}

static void channels_have_headings(void **state)
{
    (void)state;
    says("<|start|>assistant",
         "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>It.",
         "Hm.", "It.");
    says("", "<|channel|>final<|message|>It.", "", "It.");
    says("",
         "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary"
         "<|message|>B<|end|><|start|>assistant<|channel|>final<|message|>C",
         "AB", "C");
    says("", "<|channel|>analysis", "", "");
}

/* Longer than what a reply holds back. */
static void long_words_pass(void **state)
{
    char words[600];
    (void)state;
    memset(words, ' ', 300);
    memset(words + 300, 'x', 100);
    words[400] = '\0';
    says("", words, "", words);
    snprintf(words, sizeof(words), "<|channel|>%0300d", 7);
    says("", words, "", words + strlen("<|channel|>"));
}

/* Whatever a family's marks are, reasoning that goes on knows how it would end. */
static void reasoning_knows_what_would_end_it(void **state)
{
    const struct weir_reply_config config = {0};
    const struct weir_reasoning_marks *marks = NULL;
    (void)state;
    for (uint32_t row = 0; (marks = weir_reasoning_at(row)) != NULL; row++) {
        weir_reply *reply = NULL;
        struct heard heard = {0};
        assert_int_equal(weir_reply_create_by(&reply, NULL, &config, NULL), WEIR_OK);
        assert_null(weir_reply_reasoning_end(reply));
        weir_reply_push_text(reply, marks->begin, strlen(marks->begin), hear, &heard);
        if (marks->heading_end != NULL) {
            weir_reply_push_text(reply, "analysis", 8, hear, &heard);
            assert_null(weir_reply_reasoning_end(reply));
            weir_reply_push_text(reply, marks->heading_end, strlen(marks->heading_end), hear,
                                 &heard);
        }
        weir_reply_push_text(reply, "Hm", 2, hear, &heard);
        const char *end = weir_reply_reasoning_end(reply);
        assert_non_null(end);
        assert_string_equal(end, weir_reasoning_end(row));
        weir_reply_push_text(reply, end, strlen(end), hear, &heard);
        weir_reply_push_text(reply, "It", 2, hear, &heard);
        assert_null(weir_reply_reasoning_end(reply));
        weir_reply_end(reply, hear, &heard);
        assert_string_equal(heard.texts[1], "Hm");
        assert_string_equal(heard.texts[0], "It");
        weir_reply_destroy(&reply);
    }
    assert_null(weir_reply_reasoning_end(NULL));
    assert_null(weir_reasoning_end(1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasoning_is_what_a_reply_begins_with),
        cmocka_unit_test(a_prompt_may_begin_it),
        cmocka_unit_test(channels_have_headings),
        cmocka_unit_test(long_words_pass),
        cmocka_unit_test(reasoning_knows_what_would_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
