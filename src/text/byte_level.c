/* byte_level.c - GPT-2's byte-level BPE: every byte is a letter of an alphabet of 256. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

/* GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100 upwards in
 * their order. */
void weir_text_alphabet_init(struct weir_text_alphabet *alphabet)
{
    memset(alphabet->decoded, 0xff, sizeof(alphabet->decoded));
    uint32_t next_other = 0x100;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool is_itself =
            (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        const uint32_t character = is_itself ? byte : next_other++;
        char encoded[4];
        alphabet->encoded_length[byte] = (uint8_t)weir_utf8_encode(character, encoded);
        memcpy(alphabet->encoded[byte], encoded, alphabet->encoded_length[byte]);
        alphabet->decoded[character] = (int16_t)byte;
    }
}

/* A normal token of more than one byte, which only a merge can make; WEIR_TOKEN_NONE: there is
 * none. */
static uint32_t find_merged(const weir_text *text)
{
    for (uint32_t id = 0; id < text->vocab.n_vocab; id++)
        if (weir_text_type(text, id) == WEIR_TOKEN_NORMAL &&
            weir_text_byte_level_decode(&text->alphabet, text->vocab.tokens[id], NULL) > 1)
            return id;
    return WEIR_TOKEN_NONE;
}

enum weir_status weir_text_byte_level_init(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err)
{
    const struct weir_text_alphabet *alphabet = &text->alphabet;
    for (uint32_t byte = 0; byte < 256; byte++)
        text->byte_ids[byte] =
            weir_text_map_find(&text->map, alphabet->encoded[byte], alphabet->encoded_length[byte]);
    const uint32_t merged = text->vocab.n_merge == 0 ? find_merged(text) : WEIR_TOKEN_NONE;
    if (merged != WEIR_TOKEN_NONE)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key tokenizer.ggml.merges: wanted the merges of this vocabulary, found "
                         "none (token %u has more than one byte)",
                         merged);
    return weir_text_ranks_init(text, warnings, err);
}

/* Never a special token: those are found before a text is split, or not wanted. */
uint32_t weir_text_byte_level_whole(weir_text *text, const char *bytes, size_t length)
{
    if (length > text->map.longest)
        return WEIR_TOKEN_NONE;
    size_t filled = 0;
    for (size_t index = 0; index < length; index++) {
        const uint8_t byte = (uint8_t)bytes[index];
        if (filled + 2 > sizeof(text->piece))
            return WEIR_TOKEN_NONE;
        memcpy(text->piece + filled, text->alphabet.encoded[byte],
               text->alphabet.encoded_length[byte]);
        filled += text->alphabet.encoded_length[byte];
    }
    const uint32_t id = weir_text_map_find(&text->map, text->piece, filled);
    if (id == WEIR_TOKEN_NONE || weir_text_type(text, id) != WEIR_TOKEN_NORMAL)
        return WEIR_TOKEN_NONE;
    return id;
}

enum weir_status weir_text_byte_level_cut(weir_text *text, const char *bytes, size_t length,
                                          struct weir_err *err)
{
    WEIR_TRY(weir_text_array_reserve(&text->merger.symbols, length, sizeof(struct weir_text_symbol),
                                     err));
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    text->merger.bytes = bytes;
    text->merger.length = length;
    for (size_t index = 0; index < length; index++) {
        const uint8_t byte = (uint8_t)bytes[index];
        uint32_t id = text->byte_ids[byte];
        if (id == WEIR_TOKEN_NONE)
            id = text->vocab.unk_id;
        if (id == WEIR_TOKEN_NONE)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "byte 0x%02x of the text: the vocabulary has no token for it, and "
                             "no unknown token",
                             byte);
        symbols[index].id = id;
        symbols[index].previous = index == 0 ? WEIR_TOKEN_NONE : (uint32_t)index - 1;
        symbols[index].next = index + 1 == length ? WEIR_TOKEN_NONE : (uint32_t)index + 1;
    }
    return length > 1 ? weir_text_merger_run(text, weir_text_pair_by_rank, err) : WEIR_OK;
}

size_t weir_text_byte_level_decode(const struct weir_text_alphabet *alphabet,
                                   struct weir_bytes token, char *out)
{
    size_t filled = 0;
    for (size_t offset = 0; offset < token.length;) {
        const size_t step = weir_utf8_char(token.start + offset, token.length - offset);
        const uint32_t character = step == 0 ? UINT32_MAX : weir_utf8_decode(token.start + offset);
        if (character >= WEIR_COUNT(alphabet->decoded) || alphabet->decoded[character] < 0) {
            /* Not written in the alphabet: an added token, which stands for its own bytes. */
            if (out != NULL)
                memcpy(out, token.start, token.length);
            return token.length;
        }
        if (out != NULL)
            out[filled] = (char)alphabet->decoded[character];
        filled++;
        offset += step;
    }
    return filled;
}
