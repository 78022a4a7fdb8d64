/* tokenizer_json_fuzz.c - libFuzzer: any bytes as a tokenizer.json, and behind a NUL as a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 256 };

/* The ids of a text in parts of so many bytes; fewer than count when it fails. */
static size_t encode(weir_text *text, const char *bytes, size_t length, size_t part, uint32_t *ids,
                     size_t capacity, enum weir_status *status)
{
    weir_text_encoder *encoder = NULL;
    size_t filled = 0;
    *status = weir_text_encoder_create(&encoder, text, WEIR_TOKENIZE_PARSE_SPECIAL, NULL);
    for (size_t at = 0, step; *status == WEIR_OK && (at == 0 || at < length); at += step) {
        const uint32_t *found = NULL;
        size_t count = 0;
        step = weir_min(part, length - at);
        *status = weir_text_encoder_push(encoder, bytes + at, step, at + step == length, &found,
                                         &count, NULL);
        if (*status != WEIR_OK)
            break;
        if (filled + count > capacity)
            abort();
        if (count > 0)
            memcpy(ids + filled, found, count * sizeof(*found));
        filled += count;
        if (length == 0)
            break;
    }
    weir_text_encoder_destroy(&encoder);
    return filled;
}

static void use(weir_text *text, const char *bytes, size_t length)
{
    /* A map of characters may make a long text of each. */
    static uint32_t whole[1 << 20], parts[1 << 20];
    static char out[WEIR_PIECE_MAX];
    enum weir_status status = WEIR_OK, status_in_parts = WEIR_OK;
    const size_t count = encode(text, bytes, length, TEXT_MAX, whole, WEIR_COUNT(whole), &status);
    const size_t again = encode(text, bytes, length, 1, parts, WEIR_COUNT(parts), &status_in_parts);
    if (status != WEIR_OK || status_in_parts != WEIR_OK)
        return; /* a pattern that takes too long, or a byte without a token */
    if (count != again || memcmp(whole, parts, count * sizeof(*whole)) != 0)
        abort();
    struct weir_detokenizer stream;
    weir_detokenizer_init(&stream, text, true);
    for (size_t index = 0; index < count; index++)
        weir_detokenizer_push(&stream, whole[index], out, sizeof(out));
    weir_detokenizer_flush(&stream, out, sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_tokenizer_json *tokenizer = NULL;
    weir_text *text = NULL;
    struct weir_warnings warnings = {0};
    struct weir_err err = {0};
    const char *bytes = (const char *)data;
    const size_t length = size == 0 ? 0 : strnlen(bytes, size);
    const uint64_t before = weir_heap_bytes();
    if (weir_tokenizer_json_parse(&tokenizer, bytes, length, "fuzz", &warnings, &err) != WEIR_OK) {
        if (err.text[0] == 0 || tokenizer != NULL || weir_heap_bytes() != before)
            abort();
        return 0;
    }
    /* What a file costs is bounded by what it is. */
    if (weir_heap_bytes() - before > (1 << 22) + 64 * length)
        abort();
    if (weir_text_create(&text, weir_tokenizer_json_vocab(tokenizer), &warnings, NULL) == WEIR_OK &&
        length < size)
        use(text, bytes + length + 1, weir_min(TEXT_MAX, size - length - 1));
    weir_text_destroy(&text);
    weir_tokenizer_json_close(&tokenizer);
    if (weir_heap_bytes() != before)
        abort();
    return 0;
}
