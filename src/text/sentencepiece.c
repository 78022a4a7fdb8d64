/* sentencepiece.c - BPE over characters, in the order of the tokens' scores. */
#include <string.h>

#include "text/text_parts.h"

/* True when a space mark stands behind another character: such a token can join two words. */
static bool joins_words(struct weir_bytes token)
{
    bool after_mark = true;
    for (size_t offset = 0; offset < token.length;) {
        const bool is_mark =
            weir_text_starts_with_mark(token.start + offset, token.length - offset);
        if (is_mark && !after_mark)
            return true;
        after_mark = is_mark;
        offset += is_mark ? WEIR_TEXT_MARK_LENGTH : 1;
    }
    return false;
}

enum weir_status weir_text_sentencepiece_init(weir_text *text, struct weir_warnings *warnings,
                                              struct weir_err *err)
{
    (void)warnings;
    const struct weir_vocab *vocab = &text->vocab;
    if (vocab->scores == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tokenizer model \"llama\": wanted a score for each token, found none");
    text->words_apart = true;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        const enum weir_token_type type = weir_text_type(text, id);
        if (type != WEIR_TOKEN_CONTROL && type != WEIR_TOKEN_BYTE && joins_words(vocab->tokens[id]))
            text->words_apart = false;
    }
    return weir_text_find_byte_tokens(text, err);
}

/* Higher scores first: the bits of a float, made to count downwards. */
static uint32_t score_key(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof(bits));
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint32_t)weir_min(~ascending, UINT32_MAX - 1);
}

static bool pair_by_score(const weir_text *text, uint32_t left, uint32_t right)
{
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    const size_t end =
        symbols[right].next == WEIR_TOKEN_NONE ? text->merger.length : symbols[right].next;
    const uint32_t id = weir_text_map_find(&text->map, text->merger.bytes + left, end - left);
    if (id == WEIR_TOKEN_NONE)
        return false;
    symbols[left].key = score_key(text->vocab.scores[id]);
    symbols[left].joined = id;
    return true;
}

enum weir_status weir_text_sentencepiece_cut(weir_text *text, const char *bytes, size_t length,
                                             struct weir_err *err)
{
    WEIR_TRY(weir_text_link_characters(text, bytes, length, err));
    return weir_text_merger_run(text, pair_by_score, err);
}

static enum weir_status feed_mark(struct weir_text_plain *plain, struct weir_err *err)
{
    if (!plain->after_mark && plain->text->words_apart)
        WEIR_TRY(weir_text_pieces_feed(&plain->pieces, NULL, 0, true, err));
    plain->after_mark = true;
    return weir_text_pieces_feed(&plain->pieces, WEIR_TEXT_MARK, WEIR_TEXT_MARK_LENGTH, false, err);
}

/* Bytes up to the next space, or what is written as one. */
static size_t measure_word(const char *bytes, size_t length)
{
    size_t count = 0;
    while (count < length && bytes[count] != ' ' &&
           !weir_text_starts_with_mark(bytes + count, length - count))
        count++;
    return count;
}

enum weir_status weir_text_sentencepiece_feed(struct weir_text_plain *plain, const char *bytes,
                                              size_t length, bool ends, struct weir_err *err)
{
    for (size_t offset = 0; offset < length;) {
        const size_t word = measure_word(bytes + offset, length - offset);
        if (word == 0) {
            offset += bytes[offset] == ' ' ? 1 : WEIR_TEXT_MARK_LENGTH;
            WEIR_TRY(feed_mark(plain, err));
            continue;
        }
        plain->after_mark = false;
        WEIR_TRY(weir_text_pieces_feed(&plain->pieces, bytes + offset, word, false, err));
        offset += word;
    }
    return ends ? weir_text_pieces_feed(&plain->pieces, NULL, 0, true, err) : WEIR_OK;
}
