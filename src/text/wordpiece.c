/* wordpiece.c - the longest tokens of a word, one after the other (arXiv:1810.04805).
 *
 * As GGUF has them, tokens that begin a word begin with U+2581, and those that go on with one have
 * no mark. A word of which any part has no token is the unknown token.
 */
#include <string.h>

#include "text/text_parts.h"

enum weir_status weir_text_wordpiece_init(weir_text *text, struct weir_warnings *warnings,
                                          struct weir_err *err)
{
    (void)warnings;
    const struct weir_vocab *vocab = &text->vocab;
    if (vocab->unk_id == WEIR_TOKEN_NONE)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tokenizer model \"bert\": wanted an unknown token, found none");
    for (uint32_t byte = 0; byte < 256; byte++)
        text->byte_ids[byte] = WEIR_TOKEN_NONE;
    return weir_text_prefixes_init(&text->words, vocab, 1u << WEIR_TOKEN_NORMAL, err);
}

/* The longest token of [at, length) that ends a character; 0: there is none. The mark comes before
 * the word's first bytes. */
static size_t find_longest(weir_text *text, const char *bytes, size_t length, size_t at,
                           uint32_t *id)
{
    const struct weir_vocab *vocab = &text->vocab;
    struct weir_text_prefix prefix = {0};
    size_t found = 0;
    /* A mark that the text itself has begins no word. */
    if (at > 0 && weir_text_starts_with_mark(bytes + at, length - at))
        return 0;
    for (size_t index = 0; at == 0 && index < WEIR_TEXT_MARK_LENGTH; index++)
        if (!weir_text_prefixes_narrow(&text->words, vocab, &prefix, WEIR_TEXT_MARK[index]))
            return 0;
    for (size_t end = at; end < length;) {
        if (!weir_text_prefixes_narrow(&text->words, vocab, &prefix, bytes[end++]))
            break;
        const uint32_t whole = weir_text_prefixes_whole(&text->words, vocab, &prefix);
        if (whole == WEIR_TOKEN_NONE || (end < length && ((uint8_t)bytes[end] & 0xc0) == 0x80))
            continue;
        *id = whole;
        found = end - at;
    }
    return found;
}

enum weir_status weir_text_wordpiece_cut(weir_text *text, const char *bytes, size_t length,
                                         struct weir_err *err)
{
    struct weir_text_merger *merger = &text->merger;
    WEIR_TRY(
        weir_text_array_reserve(&merger->symbols, length, sizeof(struct weir_text_symbol), err));
    merger->bytes = bytes;
    merger->length = length;
    struct weir_text_symbol *symbols = merger->symbols.at;
    for (size_t at = 0; at < length;) {
        uint32_t id = WEIR_TOKEN_NONE;
        const size_t step = find_longest(text, bytes, length, at, &id);
        if (step == 0) {
            symbols[0] =
                (struct weir_text_symbol){.id = text->vocab.unk_id, .next = WEIR_TOKEN_NONE};
            return WEIR_OK;
        }
        symbols[at].id = id;
        symbols[at].next = at + step == length ? WEIR_TOKEN_NONE : (uint32_t)(at + step);
        at += step;
    }
    return WEIR_OK;
}
