/* pieces.c - merges a piece that comes in parts, in scratch that does not grow with it.
 *
 * Merging by (key, leftmost) has two properties, whatever the merges are. (a) The tokens between
 * two boundaries of a result are the result of the bytes between them: no merge crossed either
 * boundary, so that the others happened as if the rest were not there. (b) Two results may be put
 * together if the last token of one and the first of the other, merged from their bytes alone,
 * stay two: the first merge that crossed would do so there as well.
 *
 * No token is longer than `longest` bytes, so that the result of a whole piece has a boundary at
 * one of the last `longest` places of what is known. By (a) the tokens before it are those of the
 * known bytes up to it. Where they all, for each such place, hold the same boundary with the same
 * token behind it, that boundary is one of the whole piece, whatever follows, and by (b) the tokens
 * before it are certain.
 */
#include <string.h>

#include "text/text_parts.h"

/* The tokens of what was merged up to end, which is a boundary. */
static enum weir_status emit(struct weir_text_pieces *pieces, size_t end, struct weir_err *err)
{
    weir_text *text = pieces->text;
    const struct weir_text_symbol *symbols = text->merger.symbols.at;
    for (size_t at = 0; at < end;) {
        const uint32_t next = symbols[at].next;
        const size_t stop = next == WEIR_TOKEN_NONE ? text->merger.length : next;
        if (symbols[at].id == WEIR_TOKEN_NONE) {
            WEIR_TRY(weir_text_single(text, text->merger.bytes + at, stop - at, pieces->ids,
                                      &pieces->was_unknown, err));
        } else {
            pieces->was_unknown = false;
            WEIR_TRY(weir_text_ids_push(pieces->ids, symbols[at].id, err));
        }
        at = stop;
    }
    return WEIR_OK;
}

/* The token that a piece is as it stands, where the rules look for that first. */
static uint32_t find_whole(weir_text *text, const char *bytes, size_t length)
{
    if (text->rules.whole_first == WEIR_WHOLE_NEVER ||
        (text->rules.whole_first == WEIR_WHOLE_BREAKS && bytes[0] != '\n'))
        return WEIR_TOKEN_NONE;
    if (text->model->has_alphabet)
        return weir_text_byte_level_whole(text, bytes, length);
    const uint32_t id = weir_text_map_find(&text->map, bytes, length);
    /* Special tokens are found before a text is cut, or not wanted. */
    return weir_text_type(text, id) == WEIR_TOKEN_NORMAL ? id : WEIR_TOKEN_NONE;
}

/* The whole piece, or what is left of it. */
static enum weir_status encode(struct weir_text_pieces *pieces, const char *bytes, size_t length,
                               struct weir_err *err)
{
    weir_text *text = pieces->text;
    if (length == 0)
        return WEIR_OK;
    const uint32_t whole = pieces->is_begun ? WEIR_TOKEN_NONE : find_whole(text, bytes, length);
    if (whole != WEIR_TOKEN_NONE) {
        pieces->was_unknown = false;
        return weir_text_ids_push(pieces->ids, whole, err);
    }
    WEIR_TRY(text->model->cut(text, bytes, length, err));
    return emit(pieces, length, err);
}

/* ---- a word that is unknown when it is long ------------------------------------------------ */

static enum weir_status feed_word(struct weir_text_pieces *pieces, const char *bytes, size_t length,
                                  bool ends, struct weir_err *err)
{
    /* One byte more than so many characters have shows that there are more. */
    const size_t word_max = pieces->text->model->word_max, most = 4 * word_max + 1;
    const size_t room = weir_min(length, most - pieces->length);
    size_t characters = 0;
    WEIR_TRY(weir_text_array_reserve(&pieces->held, most, 1, err));
    char *held = pieces->held.at;
    if (room > 0)
        memcpy(held + pieces->length, bytes, room);
    pieces->length += room;
    if (!ends)
        return WEIR_OK;
    for (size_t at = 0; at < pieces->length; characters++)
        at += weir_max(1, weir_utf8_char(held + at, pieces->length - at));
    const size_t word = pieces->length;
    pieces->length = 0;
    return characters > word_max ? weir_text_ids_push(pieces->ids, pieces->text->vocab.unk_id, err)
                                 : encode(pieces, held, word, err);
}

/* ---- a long piece -------------------------------------------------------------------------- */

/* The first token of bytes; its length, and its id. */
static enum weir_status find_first(weir_text *text, const char *bytes, size_t length,
                                   size_t *first_length, uint32_t *first_id, struct weir_err *err)
{
    WEIR_TRY(text->model->cut(text, bytes, length, err));
    const struct weir_text_symbol *symbols = text->merger.symbols.at;
    *first_length = symbols[0].next == WEIR_TOKEN_NONE ? length : symbols[0].next;
    *first_id = symbols[0].id;
    return WEIR_OK;
}

/* Whether bytes begin with the same token wherever in their last longest_bytes they are cut. */
static enum weir_status is_certain(struct weir_text_pieces *pieces, const char *bytes,
                                   size_t length, bool *certain, struct weir_err *err)
{
    weir_text *text = pieces->text;
    size_t wanted_length = 0, found_length = 0;
    uint32_t wanted_id = 0, found_id = 0;
    WEIR_TRY(find_first(text, bytes, length, &wanted_length, &wanted_id, err));
    *certain = true;
    for (size_t end = 0; end < length && *certain;) {
        const size_t step = weir_utf8_char(bytes + end, length - end);
        end += !text->model->has_alphabet && step > 0 ? step : 1;
        if (end + text->longest_bytes <= length)
            continue;
        WEIR_TRY(find_first(text, bytes, end, &found_length, &found_id, err));
        *certain = found_length == wanted_length && found_id == wanted_id;
    }
    return WEIR_OK;
}

/* The last boundary at or before limit of what was merged. */
static size_t find_boundary(const weir_text *text, size_t limit)
{
    const struct weir_text_symbol *symbols = text->merger.symbols.at;
    size_t found = 0;
    for (uint32_t at = 0; at != WEIR_TOKEN_NONE && at <= limit; at = symbols[at].next)
        found = at;
    return found;
}

/* How much of what is held has certain tokens, with all of it merged; 0: none. */
static enum weir_status find_certain(struct weir_text_pieces *pieces, size_t *end,
                                     struct weir_err *err)
{
    weir_text *text = pieces->text;
    const char *bytes = pieces->held.at;
    enum weir_status status = WEIR_OK;
    bool certain = false;
    *end = 0;
    for (size_t reach = 2 * text->longest_bytes; !certain && reach < pieces->length; reach *= 2) {
        const size_t at = find_boundary(text, pieces->length - reach);
        if (at == 0)
            break;
        /* The result for all that is held stays, and is used when it is over. */
        const struct weir_text_merger whole = text->merger;
        text->merger = pieces->spare;
        status = is_certain(pieces, bytes + at, pieces->length - at, &certain, err);
        pieces->spare = text->merger;
        text->merger = whole;
        if (status != WEIR_OK)
            return status;
        *end = certain ? at : 0;
    }
    return WEIR_OK;
}

static enum weir_status emit_certain(struct weir_text_pieces *pieces, struct weir_err *err)
{
    char *bytes = pieces->held.at;
    size_t end = 0;
    WEIR_TRY(pieces->text->model->cut(pieces->text, bytes, pieces->length, err));
    WEIR_TRY(find_certain(pieces, &end, err));
    if (end == 0) { /* rare: tokens that depend on something far behind them */
        pieces->window = pieces->length * 2;
        return WEIR_OK;
    }
    WEIR_TRY(emit(pieces, end, err));
    memmove(bytes, bytes + end, pieces->length - end);
    pieces->length -= end;
    pieces->is_begun = true;
    pieces->window = pieces->text->window_bytes;
    return WEIR_OK;
}

/* How much more to merge at once: as much as is held at most, and no character is cut. */
static size_t measure_step(const struct weir_text_pieces *pieces, const char *bytes, size_t length)
{
    if (length <= pieces->window)
        return length;
    const size_t unfinished = weir_utf8_unfinished(bytes, pieces->window);
    return pieces->window - (unfinished < pieces->window ? unfinished : 0);
}

enum weir_status weir_text_pieces_feed(void *context, const char *bytes, size_t length, bool ends,
                                       struct weir_err *err)
{
    struct weir_text_pieces *pieces = context;
    if (pieces->text->model->word_max > 0)
        return feed_word(pieces, bytes, length, ends, err);
    if (pieces->window == 0)
        pieces->window = pieces->text->window_bytes;
    if (pieces->length == 0 && ends && length < pieces->window) {
        WEIR_TRY(encode(pieces, bytes, length, err));
        pieces->is_begun = false;
        return WEIR_OK;
    }
    while (length > 0) {
        const size_t step = measure_step(pieces, bytes, length);
        WEIR_TRY(weir_text_array_reserve(&pieces->held, pieces->length + step, 1, err));
        memcpy((char *)pieces->held.at + pieces->length, bytes, step);
        pieces->length += step;
        bytes += step;
        length -= step;
        if (pieces->length >= pieces->window)
            WEIR_TRY(emit_certain(pieces, err));
    }
    if (!ends)
        return WEIR_OK;
    WEIR_TRY(encode(pieces, pieces->held.at, pieces->length, err));
    pieces->length = 0;
    pieces->is_begun = false;
    pieces->window = pieces->text->window_bytes;
    return WEIR_OK;
}

void weir_text_pieces_deinit(struct weir_text_pieces *pieces)
{
    weir_text_array_trim(&pieces->held, 1, 0);
    weir_text_array_trim(&pieces->spare.symbols, sizeof(struct weir_text_symbol), 0);
    weir_text_array_trim(&pieces->spare.heap, sizeof(uint64_t), 0);
}
