/* characters.c - BPE over characters by the rank of merges, and what models of characters share. */
#include <string.h>

#include "text/text_parts.h"

bool weir_text_starts_with_mark(const char *start, size_t length)
{
    return length >= WEIR_TEXT_MARK_LENGTH &&
           memcmp(start, WEIR_TEXT_MARK, WEIR_TEXT_MARK_LENGTH) == 0;
}

size_t weir_text_decode_marks(struct weir_bytes token, char *out)
{
    size_t filled = 0;
    for (size_t offset = 0; offset < token.length;) {
        if (weir_text_starts_with_mark(token.start + offset, token.length - offset)) {
            out[filled++] = ' ';
            offset += WEIR_TEXT_MARK_LENGTH;
            continue;
        }
        out[filled++] = token.start[offset++];
    }
    return filled;
}

/* ---- bytes --------------------------------------------------------------------------------- */

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

int weir_text_token_byte(const weir_text *text, uint32_t id)
{
    const bool may_be = text->vocab.types == NULL || text->vocab.types[id] == WEIR_TOKEN_BYTE;
    return may_be ? read_byte_token(text->vocab.tokens[id]) : -1;
}

enum weir_status weir_text_find_byte_tokens(weir_text *text, struct weir_err *err)
{
    const struct weir_vocab *vocab = &text->vocab;
    for (uint32_t byte = 0; byte < 256; byte++)
        text->byte_ids[byte] = WEIR_TOKEN_NONE;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        const int byte = weir_text_token_byte(text, id);
        if (byte >= 0)
            text->byte_ids[byte] = (uint32_t)weir_min(text->byte_ids[byte], id);
        else if (weir_text_type(text, id) == WEIR_TOKEN_BYTE)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "token %u is a byte: wanted a text like <0x0A>, found \"%.*s\"", id,
                             (int)weir_min(vocab->tokens[id].length, 40), vocab->tokens[id].start);
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

/* ---- characters ---------------------------------------------------------------------------- */

enum weir_status weir_text_link_characters(weir_text *text, const char *bytes, size_t length,
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
    return WEIR_OK;
}

enum weir_status weir_text_single(weir_text *text, const char *start, size_t length,
                                  struct weir_text_ids *ids, bool *was_unknown,
                                  struct weir_err *err)
{
    const uint32_t id = weir_text_map_find(&text->map, start, length);
    if (id != WEIR_TOKEN_NONE) {
        *was_unknown = false;
        return weir_text_ids_push(ids, id, err);
    }
    const bool fuses = text->model->fuses_unknown || text->rules.fuse_unknown;
    bool is_known = true;
    for (size_t index = 0; index < length; index++)
        is_known = is_known && text->byte_ids[(uint8_t)start[index]] != WEIR_TOKEN_NONE;
    for (size_t index = 0; is_known && index < length; index++)
        WEIR_TRY(weir_text_ids_push(ids, text->byte_ids[(uint8_t)start[index]], err));
    if (!is_known && !(fuses && *was_unknown))
        WEIR_TRY(weir_text_ids_push(ids, text->vocab.unk_id, err));
    *was_unknown = !is_known;
    return WEIR_OK;
}

enum weir_status weir_text_characters_init(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err)
{
    WEIR_TRY(weir_text_find_byte_tokens(text, err));
    if (text->vocab.n_merge == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "vocabulary: wanted the merges of its tokens, found none");
    return weir_text_ranks_init(text, warnings, err);
}

enum weir_status weir_text_characters_cut(weir_text *text, const char *bytes, size_t length,
                                          struct weir_err *err)
{
    WEIR_TRY(weir_text_link_characters(text, bytes, length, err));
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    for (uint32_t at = 0; at != WEIR_TOKEN_NONE; at = symbols[at].next) {
        const size_t end = symbols[at].next == WEIR_TOKEN_NONE ? length : symbols[at].next;
        symbols[at].id = weir_text_map_find(&text->map, bytes + at, end - at);
    }
    return weir_text_merger_run(text, weir_text_pair_by_rank, err);
}
