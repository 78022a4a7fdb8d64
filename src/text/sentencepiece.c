/* sentencepiece.c - BPE over characters, in the order of the tokens' scores. */
#include <string.h>

#include "text/text_parts.h"

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 stands for a space */
enum { SPACE_MARK_LENGTH = 3 };

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

/* The byte that a token "<0x0A>" stands for, or -1. */
static int read_byte_token(struct weir_bytes token)
{
    if (token.length != 6 || memcmp(token.start, "<0x", 3) != 0 || token.start[5] != '>')
        return -1;
    const int high = hex_digit(token.start[3]), low = hex_digit(token.start[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool starts_with_mark(const char *start, size_t length)
{
    return length >= SPACE_MARK_LENGTH && memcmp(start, space_mark, SPACE_MARK_LENGTH) == 0;
}

/* True when a space mark stands behind another character: such a token can join two words. */
static bool joins_words(struct weir_bytes token)
{
    bool after_mark = true;
    for (size_t offset = 0; offset < token.length;) {
        const bool is_mark = starts_with_mark(token.start + offset, token.length - offset);
        if (is_mark && !after_mark)
            return true;
        after_mark = is_mark;
        offset += is_mark ? SPACE_MARK_LENGTH : 1;
    }
    return false;
}

enum weir_status weir_text_sentencepiece_init(weir_text *text, struct weir_err *err)
{
    const struct weir_vocab *vocab = &text->vocab;
    if (vocab->scores == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tokenizer model \"llama\": wanted a score for each token, found none");
    for (uint32_t byte = 0; byte < 256; byte++)
        text->byte_ids[byte] = WEIR_TOKEN_NONE;
    text->words_apart = true;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        const enum weir_token_type type = weir_text_type(text, id);
        const int byte = read_byte_token(vocab->tokens[id]);
        if (byte >= 0 && (type == WEIR_TOKEN_BYTE || vocab->types == NULL))
            text->byte_ids[byte] = (uint32_t)weir_min(text->byte_ids[byte], id);
        else if (type == WEIR_TOKEN_BYTE)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "token %u is a byte: wanted a text like <0x0A>, found \"%.*s\"", id,
                             (int)weir_min(vocab->tokens[id].length, 40), vocab->tokens[id].start);
        else if (type != WEIR_TOKEN_CONTROL && joins_words(vocab->tokens[id]))
            text->words_apart = false;
    }
    text->has_all_bytes = true;
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (text->byte_ids[byte] != WEIR_TOKEN_NONE)
            continue;
        text->has_all_bytes = false;
        if (vocab->unk_id == WEIR_TOKEN_NONE)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "vocabulary: wanted an unknown token or all 256 byte tokens, found no "
                             "<0x%02X>",
                             byte);
    }
    return WEIR_OK;
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

enum weir_status weir_text_sentencepiece_single(weir_text *text, const char *start, size_t length,
                                                struct weir_text_ids *ids, bool *was_unknown,
                                                struct weir_err *err)
{
    const uint32_t id = weir_text_map_find(&text->map, start, length);
    if (id != WEIR_TOKEN_NONE) {
        *was_unknown = false;
        return weir_text_ids_push(ids, id, err);
    }
    for (size_t index = 0; index < length; index++) {
        const uint32_t byte_id = text->byte_ids[(uint8_t)start[index]];
        if (byte_id != WEIR_TOKEN_NONE) {
            WEIR_TRY(weir_text_ids_push(ids, byte_id, err));
        } else if (!*was_unknown) {
            WEIR_TRY(weir_text_ids_push(ids, text->vocab.unk_id, err));
        }
        /* SentencePiece gives one unknown token for a run of unknown characters. */
        *was_unknown = byte_id == WEIR_TOKEN_NONE;
    }
    return WEIR_OK;
}

enum weir_status weir_text_sentencepiece_merge(weir_text *text, const char *bytes, size_t length,
                                               struct weir_err *err)
{
    struct weir_text_merger *merger = &text->merger;
    WEIR_TRY(
        weir_text_array_reserve(&merger->symbols, length, sizeof(struct weir_text_symbol), err));
    merger->bytes = bytes;
    merger->length = length;
    struct weir_text_symbol *symbols = merger->symbols.at;
    uint32_t previous = WEIR_TOKEN_NONE;
    for (size_t offset = 0; offset < length;) {
        const size_t step = weir_utf8_char(bytes + offset, length - offset);
        symbols[offset].id = WEIR_TOKEN_NONE;
        symbols[offset].previous = previous;
        if (previous != WEIR_TOKEN_NONE)
            symbols[previous].next = (uint32_t)offset;
        previous = (uint32_t)offset;
        offset += step == 0 ? 1 : step;
    }
    symbols[previous].next = WEIR_TOKEN_NONE;
    return weir_text_merger_run(text, pair_by_score, err);
}

static enum weir_status feed_mark(struct weir_text_plain *plain, struct weir_err *err)
{
    if (!plain->after_mark && plain->text->words_apart)
        WEIR_TRY(weir_text_pieces_feed(&plain->pieces, NULL, 0, true, err));
    plain->after_mark = true;
    return weir_text_pieces_feed(&plain->pieces, space_mark, SPACE_MARK_LENGTH, false, err);
}

/* Bytes up to the next space, or what is written as one. */
static size_t measure_word(const char *bytes, size_t length)
{
    size_t count = 0;
    while (count < length && bytes[count] != ' ' &&
           !starts_with_mark(bytes + count, length - count))
        count++;
    return count;
}

enum weir_status weir_text_sentencepiece_feed(struct weir_text_plain *plain, const char *bytes,
                                              size_t length, bool ends, struct weir_err *err)
{
    for (size_t offset = 0; offset < length;) {
        const size_t word = measure_word(bytes + offset, length - offset);
        if (word == 0) {
            offset += bytes[offset] == ' ' ? 1 : SPACE_MARK_LENGTH;
            WEIR_TRY(feed_mark(plain, err));
            continue;
        }
        plain->after_mark = false;
        WEIR_TRY(weir_text_pieces_feed(&plain->pieces, bytes + offset, word, false, err));
        offset += word;
    }
    return ends ? weir_text_pieces_feed(&plain->pieces, NULL, 0, true, err) : WEIR_OK;
}

size_t weir_text_sentencepiece_decode(struct weir_bytes token, char *out)
{
    size_t filled = 0;
    for (size_t offset = 0; offset < token.length;) {
        if (starts_with_mark(token.start + offset, token.length - offset)) {
            out[filled++] = ' ';
            offset += SPACE_MARK_LENGTH;
            continue;
        }
        out[filled++] = token.start[offset++];
    }
    return filled;
}

int weir_text_sentencepiece_byte(const weir_text *text, uint32_t id)
{
    const bool may_be = text->vocab.types == NULL || text->vocab.types[id] == WEIR_TOKEN_BYTE;
    return may_be ? read_byte_token(text->vocab.tokens[id]) : -1;
}
