/* plain.c - a text between two special tokens: its normal form, and its pieces. */
#include "text/text_parts.h"

/* Valid UTF-8, in its normal form and cut into pieces. */
static enum weir_status feed_valid(struct weir_text_plain *plain, const char *bytes, size_t length,
                                   bool ends, struct weir_err *err)
{
    struct weir_bytes part;
    WEIR_TRY(weir_text_normal_feed(&plain->normal, &plain->text->rules, bytes, length, ends, &part,
                                   err));
    plain->in_text = !ends;
    if (plain->split == NULL)
        return weir_text_pieces_feed(&plain->pieces, part.start, part.length, ends, err);
    return weir_text_split_feed(plain->split, part.start, part.length, ends, err);
}

/* A run of bytes that are no UTF-8 is a piece. */
static enum weir_status feed_raw(struct weir_text_plain *plain, const char *bytes, size_t length,
                                 bool ends, struct weir_err *err)
{
    plain->in_raw = !ends;
    return weir_text_pieces_feed(&plain->pieces, bytes, length, ends, err);
}

enum weir_status weir_text_plain_feed(struct weir_text_plain *plain, const char *bytes,
                                      size_t length, bool ends, struct weir_err *err)
{
    for (size_t offset = 0; offset < length;) {
        const size_t valid = weir_utf8_valid(bytes + offset, length - offset);
        if (valid > 0) {
            if (plain->in_raw)
                WEIR_TRY(feed_raw(plain, NULL, 0, true, err));
            const bool is_last = ends && offset + valid == length;
            WEIR_TRY(feed_valid(plain, bytes + offset, valid, is_last, err));
        }
        offset += valid;
        size_t raw = 0;
        while (offset + raw < length &&
               weir_utf8_char(bytes + offset + raw, length - offset - raw) == 0)
            raw++;
        if (raw > 0) {
            if (plain->in_text)
                WEIR_TRY(feed_valid(plain, NULL, 0, true, err));
            WEIR_TRY(feed_raw(plain, bytes + offset, raw, false, err));
        }
        offset += raw;
    }
    if (ends && plain->in_text)
        WEIR_TRY(feed_valid(plain, NULL, 0, true, err));
    if (ends && plain->in_raw)
        WEIR_TRY(feed_raw(plain, NULL, 0, true, err));
    return WEIR_OK;
}
