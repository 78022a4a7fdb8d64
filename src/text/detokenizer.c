/* detokenizer.c - ids back to bytes, one at a time. */
#include <string.h>

#include "text/text_parts.h"

/* A thread's own, so that one may give ids their text while another encodes. */
static _Thread_local char scratch[WEIR_PIECE_MAX];

struct weir_bytes weir_text_piece(weir_text *text, uint32_t id, bool with_special)
{
    if (id >= text->vocab.n_vocab)
        return (struct weir_bytes){"", 0};
    const struct weir_bytes token = text->vocab.tokens[id];
    switch (weir_text_type(text, id)) {
    case WEIR_TOKEN_CONTROL:
    case WEIR_TOKEN_UNKNOWN:
        return with_special ? token : (struct weir_bytes){token.start, 0};
    case WEIR_TOKEN_USER_DEFINED:
        return token;
    default:
        break;
    }
    if (text->model->has_alphabet)
        return (struct weir_bytes){scratch,
                                   weir_text_byte_level_decode(&text->alphabet, token, scratch)};
    const int byte = weir_text_token_byte(text, id);
    if (byte >= 0) {
        scratch[0] = (char)byte;
        return (struct weir_bytes){scratch, 1};
    }
    return (struct weir_bytes){scratch, weir_text_decode_marks(token, scratch)};
}

void weir_detokenizer_init(struct weir_detokenizer *detokenizer, weir_text *text, bool with_special)
{
    *detokenizer =
        (struct weir_detokenizer){.text = text, .at_start = true, .with_special = with_special};
}

size_t weir_detokenizer_push(struct weir_detokenizer *detokenizer, uint32_t id, char *out,
                             size_t capacity)
{
    WEIR_ASSERT(capacity >= WEIR_PIECE_MAX);
    weir_text *text = detokenizer->text;
    struct weir_bytes piece = weir_text_piece(text, id, detokenizer->with_special);

    const enum weir_token_type type = weir_text_type(text, id);
    const bool is_special = type == WEIR_TOKEN_CONTROL || type == WEIR_TOKEN_USER_DEFINED;
    if (is_special) {
        /* The tokenizer put a space behind it, as at the start of the text. */
        detokenizer->at_start = true;
    } else if (piece.length > 0) {
        if (detokenizer->at_start && !text->model->has_alphabet && text->vocab.add_space_prefix &&
            piece.start[0] == ' ') {
            piece.start++;
            piece.length--;
        }
        detokenizer->at_start = false;
    }

    const size_t held = detokenizer->held_count;
    memcpy(out, detokenizer->held, held);
    if (piece.length > 0)
        memcpy(out + held, piece.start, piece.length);
    const size_t length = held + piece.length;
    const size_t unfinished = weir_utf8_unfinished(out, length);
    memcpy(detokenizer->held, out + length - unfinished, unfinished);
    detokenizer->held_count = (uint32_t)unfinished;
    return length - unfinished;
}

size_t weir_detokenizer_flush(struct weir_detokenizer *detokenizer, char *out, size_t capacity)
{
    const size_t held = detokenizer->held_count;
    WEIR_ASSERT(capacity >= held);
    memcpy(out, detokenizer->held, held);
    detokenizer->held_count = 0;
    return held;
}
