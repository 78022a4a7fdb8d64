/* text_fuzz.c - libFuzzer: any bytes through a small vocabulary and back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/text.h"

/* The same text in parts whose length its first byte says has the same ids. */
static void check_parts(weir_text *text, const char *bytes, size_t length, const uint32_t *ids,
                        size_t count)
{
    weir_text_encoder *encoder = NULL;
    const size_t part = length == 0 ? 1 : 1 + (uint8_t)bytes[0] % 64;
    size_t filled = 0;
    if (weir_text_encoder_create(&encoder, text, WEIR_TOKENIZE_PARSE_SPECIAL, NULL) != WEIR_OK)
        abort();
    for (size_t at = 0; at == 0 || at < length; at += part) {
        const uint32_t *found = NULL;
        size_t found_count = 0;
        const size_t step = weir_min(part, length - at);
        if (weir_text_encoder_push(encoder, bytes + at, step, at + step == length, &found,
                                   &found_count, NULL) != WEIR_OK)
            abort();
        if (filled + found_count > count ||
            (found_count > 0 && memcmp(ids + filled, found, found_count * sizeof(*ids)) != 0))
            abort();
        filled += found_count;
    }
    if (filled != count)
        abort();
    weir_text_encoder_destroy(&encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKEN_MAX = 300, VOCAB_COUNT = 128 };

/* A weir_text borrows its vocabulary, so each has its own. */
struct toy {
    struct weir_bytes tokens[TOKEN_MAX];
    uint8_t types[TOKEN_MAX];
    float scores[TOKEN_MAX];
    char names[256][8];
};
static struct toy toys[VOCAB_COUNT];

static const struct weir_bytes merges[] = {{"a a", 3}, {"aa aa", 5}, {"b c", 3}};

static uint32_t add_token(struct toy *toy, uint32_t at, const char *name, enum weir_token_type type,
                          float score)
{
    toy->tokens[at] = (struct weir_bytes){name, strlen(name)};
    toy->types[at] = (uint8_t)type;
    toy->scores[at] = score;
    return at + 1;
}

/* The byte-level alphabet, or byte tokens. */
static uint32_t add_bytes(struct toy *toy, bool sentencepiece)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned other = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        const bool itself = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        const unsigned character = itself ? byte : other++;
        char *name = toy->names[byte];
        if (sentencepiece) {
            memcpy(name, "<0x00>", 7);
            name[3] = digits[byte >> 4];
            name[4] = digits[byte & 15];
        } else if (character < 0x80) {
            name[0] = (char)character;
        } else {
            name[0] = (char)(0xc0 | character >> 6);
            name[1] = (char)(0x80 | (character & 0x3f));
        }
        add_token(toy, byte, name, sentencepiece ? WEIR_TOKEN_BYTE : WEIR_TOKEN_NORMAL, 0);
    }
    return 256;
}

static weir_text *open_text(uint8_t choice)
{
    struct toy *toy = &toys[choice];
    static const char *const pres[] = {"gpt-2",          "qwen2",       "llama-bpe", "deepseek-llm",
                                       "deepseek-coder", "deepseek-v3", "smollm",    "default"};
    static const char *const others[] = {"gpt-4o",       "kimi-k2", "exaone-moe", "cohere2moe",
                                         "deepseek-llm", "jais-2",  "superbpe",   "chameleon"};
    /* The second half has the models of characters beside SentencePiece's, and other patterns. */
    static const char *const models[] = {"gemma4", "t5", "bert", "gemma4"};
    const bool sentencepiece = (choice & 8) != 0, is_other = (choice & 64) != 0;
    const char *pre = is_other ? others[choice & 7] : pres[choice & 7];
    const char *model = !sentencepiece ? "gpt2" : is_other ? models[choice & 3] : "llama";
    struct weir_vocab vocab = {
        .model = {model, strlen(model)},
        .pre = {pre, sentencepiece ? 0 : strlen(pre)},
        .tokens = toy->tokens,
        .types = toy->types,
        .scores = toy->scores,
        .merges = merges,
        .bos_id = WEIR_TOKEN_NONE,
        .eos_id = WEIR_TOKEN_NONE,
        .unk_id = WEIR_TOKEN_NONE,
        .add_space_prefix = (choice & 16) != 0,
    };
    uint32_t at = add_bytes(toy, sentencepiece);
    at = add_token(toy, at, "<|a|>", WEIR_TOKEN_CONTROL, 0);
    at = add_token(toy, at, "<a", WEIR_TOKEN_USER_DEFINED, 0);
    at = add_token(toy, at, "aa", WEIR_TOKEN_NORMAL, -1);
    at = add_token(toy, at, "aaaa", WEIR_TOKEN_NORMAL, -2);
    at = add_token(toy, at, "bc", WEIR_TOKEN_NORMAL, -1);
    if (sentencepiece) {
        at = add_token(toy, at, "\xe2\x96\x81", WEIR_TOKEN_NORMAL, -3);
        if (choice & 32)
            at = add_token(toy, at,
                           "a\xe2\x96\x81"
                           "a",
                           WEIR_TOKEN_NORMAL, -1);
    }
    vocab.n_vocab = at;
    vocab.n_merge = sentencepiece && !is_other ? 0 : 3;
    vocab.unk_id = is_other ? at - 1 : WEIR_TOKEN_NONE;
    vocab.squeeze_spaces = vocab.lowercase = vocab.strip_accents = (choice & 4) != 0;
    weir_text *text = NULL;
    if (weir_text_create(&text, &vocab, NULL, NULL) != WEIR_OK)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static weir_text *texts[VOCAB_COUNT];
    if (size == 0 || size > 4096)
        return 0;
    const uint8_t choice = data[0] % VOCAB_COUNT;
    if (texts[choice] == NULL)
        texts[choice] = open_text(choice);
    const char *bytes = (const char *)data + 1;
    const size_t length = size - 1;
    uint32_t *ids = NULL;
    size_t count = 0;
    if (weir_text_tokenize(texts[choice], bytes, length, WEIR_TOKENIZE_PARSE_SPECIAL, &ids, &count,
                           NULL) != WEIR_OK)
        abort();
    check_parts(texts[choice], bytes, length, ids, count);
    static char out[1 << 16];
    size_t filled = 0;
    struct weir_detokenizer stream;
    weir_detokenizer_init(&stream, texts[choice], true);
    for (size_t index = 0; index < count; index++)
        filled += weir_detokenizer_push(&stream, ids[index], out + filled, WEIR_PIECE_MAX);
    filled += weir_detokenizer_flush(&stream, out + filled, WEIR_PIECE_MAX);
    weir_heap_free(ids);
    /* Some ways lose bytes on purpose: qwen2's NFC, a written U+2581 becoming a space, words. */
    if ((choice & 72) == 72)
        return 0;
    const bool is_exact =
        choice & 8 ? memmem(bytes, length, "\xe2\x96\x81", 3) == NULL : (choice & 71) != 1;
    if (is_exact && (filled != length || memcmp(out, bytes, length) != 0))
        abort();
    return 0;
}
