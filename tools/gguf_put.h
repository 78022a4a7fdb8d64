/* gguf_put.h - the pieces a GGUF file is written from: numbers, texts, keys, made-up words. */
#ifndef WEIR_TOOLS_GGUF_PUT_H
#define WEIR_TOOLS_GGUF_PUT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

static void put(FILE *file, const void *bytes, size_t count)
{
    fwrite(bytes, 1, count, file); /* errors stick to the file and are looked at once, at its end */
}

static void put_u32(FILE *file, uint32_t value)
{
    put(file, &value, sizeof(value));
}

static void put_u64(FILE *file, uint64_t value)
{
    put(file, &value, sizeof(value));
}

static void put_text(FILE *file, const char *text)
{
    put_u64(file, strlen(text));
    put(file, text, strlen(text));
}

static uint32_t key_count;

static void put_key(FILE *file, const char *name, uint32_t type)
{
    key_count++;
    put_text(file, name);
    put_u32(file, type);
}

static void put_key_text(FILE *file, const char *name, const char *text)
{
    put_key(file, name, GGUF_STRING);
    put_text(file, text);
}

/* The printable character that byte-level vocabularies write for a byte, in UTF-8. */
static void byte_character(int byte, char out[4])
{
    int code = byte;
    if (byte < 33)
        code = 256 + byte;
    else if (byte >= 127 && byte <= 160)
        code = 256 + 33 + byte - 127;
    else if (byte == 173)
        code = 256 + 33 + 34;
    if (code < 128) {
        snprintf(out, 4, "%c", code);
        return;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    out[2] = '\0';
}

/* The word of an ordinary token after the 256 bytes: aa .. zz, then aaa .. zzz, then four letters.
 * Each is a merge of the word before its last letter and that letter. */
static void word_of(uint32_t index, char out[8])
{
    uint32_t length = 2;
    uint32_t count = 26 * 26;
    while (index >= count) {
        index -= count;
        count *= 26;
        length++;
    }
    out[length] = '\0';
    for (uint32_t at = length; at-- > 0; index /= 26)
        out[at] = (char)('a' + index % 26);
}

#endif
