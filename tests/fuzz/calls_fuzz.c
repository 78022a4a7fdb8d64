/* calls_fuzz.c - libFuzzer: any bytes as what a model answers to any tools, in one piece and byte
 * by byte; and grammars of replies for any tools. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/reply_parts.h"
#include "grammar/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 13, CALL_BYTES_MAX = 1 << 12 };

static const char usual[] =
    "[{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":"
    "\"number\"},\"c\":{\"type\":[\"array\",\"null\"]}}}},{\"name\":\"g\"}]";

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* All that was told, and the arguments of the call that runs. */
struct heard {
    struct weir_chat_buffer told, arguments;
    int last;
    bool is_open;
};

static void hear(void *user, const struct weir_reply_event *event)
{
    struct heard *heard = user;
    struct weir_json root = {0};
    const char kind = (char)('0' + (int)event->kind);
    must(weir_utf8_valid(event->bytes, event->length) == event->length);
    if ((int)event->kind != heard->last || event->kind == WEIR_REPLY_CALL)
        weir_chat_put(&heard->told, &kind, 1);
    heard->last = (int)event->kind;
    weir_chat_put(&heard->told, event->bytes, event->length);
    switch (event->kind) {
    case WEIR_REPLY_CALL:
        must(!heard->is_open && event->length > 0 && event->id[0] != '\0');
        heard->is_open = true;
        heard->arguments.length = 0;
        break;
    case WEIR_REPLY_ARGUMENTS:
        must(heard->is_open && event->length > 0);
        weir_chat_put(&heard->arguments, event->bytes, event->length);
        break;
    case WEIR_REPLY_CALL_END:
        must(heard->is_open);
        must(weir_json_parse(&root, heard->arguments.bytes, heard->arguments.length, "arguments",
                             NULL) == WEIR_OK);
        must(weir_json_kind(root) == WEIR_JSON_OBJECT);
        heard->is_open = false;
        break;
    case WEIR_REPLY_CALL_BROKEN:
        must(heard->is_open);
        heard->is_open = false;
        break;
    case WEIR_REPLY_ANSWER:
    case WEIR_REPLY_REASONING:
        must(!heard->is_open);
        break;
    case WEIR_REPLY_NOTE:
        break;
    }
}

static void answer(struct heard *heard, const struct weir_reply_config *config, const char *words,
                   size_t length, size_t step)
{
    weir_reply *reply = NULL;
    heard->last = -1;
    if (weir_reply_create_by(&reply, NULL, config, NULL) != WEIR_OK)
        return;
    for (size_t at = 0; at < length; at += step)
        weir_reply_push_text(reply, words + at, weir_min(step, length - at), hear, heard);
    weir_reply_end(reply, hear, heard);
    must(!heard->is_open);
    weir_reply_destroy(&reply);
}

/* The first byte is the format; the second whether the tools come first, up to a byte of zero. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    uint32_t format_count = 0;
    while (weir_call_format_name(format_count) != NULL)
        format_count++;
    const char *words = (const char *)data + 2;
    size_t length = size - 2;
    struct weir_reply_config config = {.format = weir_call_format_name(data[0] % format_count),
                                       .tools = usual,
                                       .tools_length = sizeof(usual) - 1,
                                       .call_max = 8,
                                       .call_bytes_max = CALL_BYTES_MAX,
                                       .whole_calls = (data[1] & 2) != 0};
    const char *zero = (data[1] & 1) != 0 ? memchr(words, '\0', length) : NULL;
    if (zero != NULL) {
        config.tools = words;
        config.tools_length = (size_t)(zero - words);
        length -= config.tools_length + 1;
        words = zero + 1;
        struct weir_program *program = NULL;
        const struct weir_reply_rules rules = {
            .format = config.format, .tools = config.tools, .tools_length = config.tools_length};
        if (weir_reply_program(&program, NULL, &rules, NULL) == WEIR_OK)
            weir_program_destroy(&program);
    }
    struct heard whole = {0}, cut = {0};
    answer(&whole, &config, words, length, length + 1);
    answer(&cut, &config, words, length, 1);
    must(whole.told.length == cut.told.length &&
         (cut.told.length == 0 || memcmp(whole.told.bytes, cut.told.bytes, cut.told.length) == 0));
    weir_heap_free(whole.told.bytes);
    weir_heap_free(whole.arguments.bytes);
    weir_heap_free(cut.told.bytes);
    weir_heap_free(cut.arguments.bytes);
    return 0;
}
