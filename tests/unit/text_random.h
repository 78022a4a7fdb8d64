/* text_random.h - random texts, and whether they come back. */
#ifndef WEIR_TEXT_RANDOM_H
#define WEIR_TEXT_RANDOM_H

#include "text_toy.h"

static inline bool toy_is_utf8(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        const unsigned lead = (unsigned char)bytes[at];
        const size_t more = lead < 0x80   ? 0
                            : lead < 0xc2 ? 9
                            : lead < 0xe0 ? 1
                            : lead < 0xf0 ? 2
                                          : 3;
        if (more > 3 || at + more >= length)
            return false;
        if (lead == 0xed && (unsigned char)bytes[at + 1] >= 0xa0)
            return false; /* a surrogate */
        for (size_t index = 1; index <= more; index++)
            if (((unsigned char)bytes[at + index] & 0xc0) != 0x80)
                return false;
        at += more + 1;
    }
    return true;
}

/* Text to ids to bytes, through the detokenizer. True when the bytes are the same; asserts that
 * valid text never comes out in the middle of a character. */
static inline bool toy_round_trip(weir_text *text, const char *bytes, size_t length)
{
    static char out[1 << 16];
    uint32_t *ids = NULL;
    size_t count = 0, filled = 0;
    assert_true(length * 4 + WEIR_PIECE_MAX < sizeof(out));
    assert_int_equal(
        weir_text_tokenize(text, bytes, length, WEIR_TOKENIZE_PARSE_SPECIAL, &ids, &count, NULL),
        WEIR_OK);
    const bool is_utf8 = toy_is_utf8(bytes, length);
    struct weir_detokenizer detokenizer;
    weir_detokenizer_init(&detokenizer, text, true);
    for (size_t index = 0; index < count; index++) {
        const size_t wrote =
            weir_detokenizer_push(&detokenizer, ids[index], out + filled, WEIR_PIECE_MAX);
        if (is_utf8)
            assert_true(toy_is_utf8(out + filled, wrote));
        filled += wrote;
    }
    filled += weir_detokenizer_flush(&detokenizer, out + filled, WEIR_PIECE_MAX);
    weir_heap_free(ids);
    return filled == length && memcmp(out, bytes, length) == 0;
}

/* Random bytes of four kinds: anything; ASCII letters and spaces; pieces of UTF-8; written
 * special tokens in between. */
static inline size_t toy_random(uint64_t *state, char *out, size_t capacity)
{
    static const char *const scraps[] = {"\xc3\xa9",  "\xe4\xbd\xa0", "\xf0\x9f\x98\x80",
                                         "e\xcc\x81", "\xed\xa0\x80", "<|end|>",
                                         "<think>",   "  ",           "\n\n",
                                         "'s",        "12",           "\xe2\x96",
                                         "\xf0\x9f"};
    const size_t wanted = weir_random_next(state) % capacity;
    const unsigned kind = (unsigned)(weir_random_next(state) % 3);
    size_t filled = 0;
    while (filled < wanted) {
        const uint64_t dice = weir_random_next(state);
        const char *scrap = scraps[dice % WEIR_COUNT(scraps)];
        if (kind == 2 && filled + strlen(scrap) <= wanted) {
            memcpy(out + filled, scrap, strlen(scrap));
            filled += strlen(scrap);
        } else {
            out[filled++] = kind == 0 ? (char)dice : "abc hello \n"[dice % 11];
        }
    }
    return filled;
}

#endif
