/* reply.c - an assistant's turn, as a chat template writes it, read back: what tests compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "chat/reply_parts.h"
#include "read_file.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static const char variables[] = "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"functions\":\"\","
                                "\"datetime\":\"now\",\"enable_thinking\":true}";

struct heard {
    struct weir_chat_buffer answer, reasoning, calls;
    uint32_t note_count;
    struct weir_chat_buffer arguments;
};

static void put_word(struct weir_chat_buffer *buffer, const char *word)
{
    weir_chat_put(buffer, word, strlen(word));
}

static void hear(void *user, const struct weir_reply_event *event)
{
    struct heard *heard = user;
    switch (event->kind) {
    case WEIR_REPLY_ANSWER:
        weir_chat_put(&heard->answer, event->bytes, event->length);
        break;
    case WEIR_REPLY_REASONING:
        weir_chat_put(&heard->reasoning, event->bytes, event->length);
        break;
    case WEIR_REPLY_CALL:
        put_word(&heard->calls, event->call > 0 ? ",{\"name\":" : "{\"name\":");
        weir_chat_put_text(&heard->calls, event->bytes, event->length);
        put_word(&heard->calls, ",\"id\":");
        weir_chat_put_text(&heard->calls, event->id, strlen(event->id));
        put_word(&heard->calls, ",\"arguments\":");
        break;
    case WEIR_REPLY_ARGUMENTS:
        weir_chat_put(&heard->arguments, event->bytes, event->length);
        break;
    case WEIR_REPLY_CALL_END:
    case WEIR_REPLY_CALL_BROKEN:
        weir_chat_put_text(&heard->calls, heard->arguments.bytes, heard->arguments.length);
        put_word(&heard->calls, event->kind == WEIR_REPLY_CALL_END ? "}" : ",\"broken\":true}");
        heard->arguments.length = 0;
        break;
    case WEIR_REPLY_NOTE:
        fprintf(stderr, "note: %.*s\n", (int)event->length, event->bytes);
        heard->note_count++;
        break;
    }
}

static void write_text(const char *key, const char *bytes, size_t length)
{
    struct weir_chat_buffer text = {0};
    weir_chat_put_text(&text, bytes, length);
    printf("\"%s\":%.*s,", key, (int)text.length, text.bytes);
    weir_heap_free(text.bytes);
}

/* The turn without its prompt, byte by byte. */
static void read_turn(const weir_chat *chat, const struct weir_chat_request *request,
                      const char *turn, size_t length, const char *prompt, size_t prompt_length)
{
    struct heard heard = {0};
    struct weir_err err = {0};
    weir_reply *reply = NULL;
    const struct weir_reply_config config = {.chat = chat,
                                             .tools = request->tools,
                                             .tools_length = request->tools_length,
                                             .prompt = prompt,
                                             .prompt_length = prompt_length};
    write_text("turn", turn, length);
    if (weir_reply_create(&reply, NULL, &config, &err) != WEIR_OK) {
        write_text("error", err.text, strlen(err.text));
        return;
    }
    for (size_t at = 0; at < length; at++)
        weir_reply_push_text(reply, turn + at, 1, hear, &heard);
    weir_reply_end(reply, hear, &heard);
    weir_reply_destroy(&reply);
    write_text("answer", heard.answer.bytes, heard.answer.length);
    write_text("reasoning", heard.reasoning.bytes, heard.reasoning.length);
    printf("\"notes\":%u,\"calls\":[%.*s],", heard.note_count, (int)heard.calls.length,
           heard.calls.length > 0 ? heard.calls.bytes : "");
    weir_heap_free(heard.answer.bytes);
    weir_heap_free(heard.reasoning.bytes);
    weir_heap_free(heard.calls.bytes);
    weir_heap_free(heard.arguments.bytes);
}

/* A prompt that ends with the beginning of reasoning, of which the turn has the end only. */
static bool opens_reasoning(const char *prompt, size_t length, const char *turn)
{
    const struct weir_reasoning_marks *marks = weir_reasoning_open(prompt, length);
    return marks != NULL && strstr(turn, marks->end) != NULL && strstr(turn, marks->begin) == NULL;
}

/* All messages but the last, and the last one's turn. */
static void read_chat(const weir_chat *chat, struct weir_chat_request request)
{
    struct weir_json root = {0}, last = {0};
    struct weir_err err = {0};
    char *prompt = NULL, *text = NULL;
    size_t prompt_length = 0, length = 0, common = 0;
    weir_json_parse(&root, request.messages, request.messages_length, "chat", NULL);
    struct weir_json_walk walk = weir_json_walk(root);
    while (weir_json_next(&walk))
        last = walk.value;
    struct weir_chat_buffer before = {0};
    weir_chat_put(&before, root.start, (size_t)(last.start - root.start));
    while (before.length > 0 && before.bytes[before.length - 1] != ',')
        before.length--;
    before.length -= before.length > 0;
    put_word(&before, "]");
    request.no_generation_prompt = true;
    enum weir_status status = weir_chat_render(chat, &request, &text, &length, &err);
    request.no_generation_prompt = false;
    request.messages = before.bytes;
    request.messages_length = before.length;
    if (status == WEIR_OK)
        status = weir_chat_render(chat, &request, &prompt, &prompt_length, &err);
    printf("{");
    if (status != WEIR_OK) {
        write_text("error", err.text, strlen(err.text));
    } else {
        while (common < prompt_length && common < length && prompt[common] == text[common])
            common++;
        common -= common > 0 && text[common - 1] == '<'; /* both go on with a mark */
        const bool is_inside = opens_reasoning(prompt, prompt_length, text + common);
        read_turn(chat, &request, text + common, length - common, is_inside ? prompt : text,
                  is_inside ? prompt_length : common);
    }
    printf("\"format\":\"%s\"}\n", weir_chat_calls(chat) == NULL ? "" : weir_chat_calls(chat));
    weir_heap_free(before.bytes);
    weir_chat_text_free(&text);
    weir_chat_text_free(&prompt);
}

int main(int argc, char **argv)
{
    struct weir_err err = {0};
    struct weir_chat_request request = {.variables = variables,
                                        .variables_length = strlen(variables)};
    weir_chat *chat = NULL;
    if (argc < 4) {
        fputs("usage: reply TEMPLATE TOOLS.json MESSAGES.json ...\n\n"
              "Renders each list of messages with its last one and without it, reads the "
              "difference as a model's reply,\nand prints what it says as an object of JSON.\n",
              stderr);
        return 2;
    }
    struct weir_chat_config config = {0};
    char *source = read_file("reply", argv[1], FILE_BYTES_MAX, &config.source_length);
    char *tools = read_file("reply", argv[2], FILE_BYTES_MAX, &request.tools_length);
    config.source = source;
    request.tools = tools;
    if (weir_chat_open(&chat, &config, &err) != WEIR_OK)
        give_up("reply", argv[1], err.text);
    for (int index = 3; index < argc; index++) {
        char *messages = read_file("reply", argv[index], FILE_BYTES_MAX, &request.messages_length);
        request.messages = messages;
        read_chat(chat, request);
        weir_heap_free(messages);
    }
    weir_chat_close(&chat);
    weir_heap_free(source);
    weir_heap_free(tools);
    return 0;
}
