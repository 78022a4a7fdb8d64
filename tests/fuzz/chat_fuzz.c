/* chat_fuzz.c - libFuzzer: any bytes as a conversation, rendered and, with a small vocabulary, as
 * ids; and the ids as what a model answers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "chat/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 14, LETTERS = 256 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Every byte is a token, and a few names are special. */
static weir_text *open_words(void)
{
    static const char *const names[] = {"<|s|>",       "<|e|>",       "<think>", "</think>",
                                        "<|channel|>", "<|message|>", "<|end|>", "<"};
    static struct weir_bytes tokens[LETTERS + WEIR_COUNT(names)];
    static uint8_t types[WEIR_COUNT(tokens)];
    static char letters[LETTERS][8];
    struct weir_vocab vocab = {.model = {"llama", 5},
                               .n_vocab = WEIR_COUNT(tokens),
                               .tokens = tokens,
                               .types = types,
                               .bos_id = LETTERS,
                               .eos_id = WEIR_TOKEN_NONE,
                               .unk_id = WEIR_TOKEN_NONE,
                               .add_bos = true};
    static float scores[WEIR_COUNT(tokens)];
    weir_text *text = NULL;
    vocab.scores = scores;
    for (unsigned byte = 0; byte < LETTERS; byte++) {
        snprintf(letters[byte], sizeof(letters[byte]), "<0x%02X>", byte);
        tokens[byte] = (struct weir_bytes){letters[byte], strlen(letters[byte])};
        types[byte] = WEIR_TOKEN_BYTE;
    }
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        tokens[LETTERS + index] = (struct weir_bytes){names[index], strlen(names[index])};
        types[LETTERS + index] = index == 2 || index == 3 ? WEIR_TOKEN_USER_DEFINED
                                 : index == 7             ? WEIR_TOKEN_NORMAL
                                                          : WEIR_TOKEN_CONTROL;
    }
    must(weir_text_create(&text, &vocab, NULL, NULL) == WEIR_OK);
    return text;
}

static void hear(void *user, const struct weir_reply_event *event)
{
    size_t *heard = user;
    must(event->length > 0 && event->bytes != NULL);
    *heard += event->length;
}

static void answer(weir_text *text, const uint32_t *ids, size_t count)
{
    weir_reply *reply = NULL;
    size_t heard = 0;
    const struct weir_reply_config config = {.ids = ids, .id_count = count};
    must(weir_reply_create_by(&reply, text, &config, NULL) == WEIR_OK);
    for (size_t index = 0; index < count; index++)
        weir_reply_push(reply, ids[index], hear, &heard);
    weir_reply_end(reply, hear, &heard);
    must(heard <= 16 * count);
    weir_reply_destroy(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char source[] =
        "{% for m in messages %}<|s|>{{ m.role }}{{ m.content | trim if m.content is string else "
        "m | tojson }}<|e|>{% endfor %}{{ tools }}<think>";
    static weir_text *text;
    static weir_chat *chat;
    const struct weir_chat_config config = {
        .source = source, .source_length = sizeof(source) - 1, .memory_max = 4 << 20};
    const struct weir_chat_request request = {.messages = (const char *)data,
                                              .messages_length = size};
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    if (size == 0 || size > INPUT_BYTES_MAX)
        return 0;
    if (text == NULL) {
        text = open_words();
        must(weir_chat_open(&chat, &config, NULL) == WEIR_OK);
    }
    const enum weir_status status = weir_chat_encode_by(chat, text, &request, &ids, &count, &err);
    must(err.status == status && (status == WEIR_OK) == (err.text[0] == 0));
    must((status == WEIR_OK) == (ids != NULL));
    if (status == WEIR_OK)
        answer(text, ids, count);
    weir_heap_free(ids);
    return 0;
}
