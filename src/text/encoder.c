/* encoder.c - a text that comes in parts, to ids that are those of the whole text. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

struct weir_text_encoder {
    weir_text *text;
    unsigned flags; /* enum weir_tokenize_flags */
    struct weir_text_plain plain;
    struct weir_text_ids ids;       /* since the last push */
    struct weir_text_array pending; /* char: a special token may begin there */
    size_t pending_count;
    struct weir_text_array guards; /* size_t: places in pending that no control token goes across */
    size_t guard_count;
    bool is_begun;
    bool skips_space; /* behind a special token that takes it away */
};

enum weir_status weir_text_encoder_create(weir_text_encoder **out, weir_text *text, unsigned flags,
                                          struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    if (text->no_encoding.status != WEIR_OK)
        return WEIR_FAIL(err, text->no_encoding.status, "%s", text->no_encoding.text);
    weir_text_encoder *encoder = weir_heap_alloc(sizeof(*encoder));
    if (encoder == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no room for an encoder");
    encoder->text = text;
    encoder->flags = flags;
    encoder->plain.text = text;
    encoder->plain.pieces.text = text;
    encoder->plain.pieces.ids = &encoder->ids;
    if (text->splitter != NULL)
        WEIR_TRY_GOTO(weir_text_split_stream_create(&encoder->plain.split, text->splitter,
                                                    weir_text_pieces_feed, &encoder->plain.pieces,
                                                    err));
    *out = encoder;
    return WEIR_OK;

fail:
    weir_text_encoder_destroy(&encoder);
    return status;
}

void weir_text_encoder_destroy(weir_text_encoder **encoder)
{
    weir_text_encoder *old = *encoder;
    if (old == NULL)
        return;
    weir_text_split_stream_destroy(&old->plain.split);
    weir_text_normal_deinit(&old->plain.normal);
    weir_text_pieces_deinit(&old->plain.pieces);
    weir_text_array_trim(&old->ids.array, sizeof(uint32_t), 0);
    weir_text_array_trim(&old->pending, 1, 0);
    weir_text_array_trim(&old->guards, sizeof(size_t), 0);
    weir_text_trim_scratch(old->text, WEIR_TEXT_SCRATCH_KEEP_BYTES);
    weir_heap_free(old);
    *encoder = NULL;
}

/* ---- between two special tokens ------------------------------------------------------------ */

static enum weir_status feed_model(struct weir_text_plain *plain, const char *bytes, size_t length,
                                   bool ends, struct weir_err *err)
{
    return plain->text->model->feed(plain, bytes, length, ends, err);
}

static enum weir_status begin_plain(struct weir_text_plain *plain, struct weir_err *err)
{
    plain->is_begun = true;
    plain->after_mark = true;
    plain->pieces.was_unknown = false;
    weir_text_normal_begin(&plain->normal, !plain->is_behind);
    plain->is_behind = true;
    if (plain->text->model->feed == weir_text_sentencepiece_feed &&
        plain->text->vocab.add_space_prefix)
        return weir_text_sentencepiece_feed(plain, " ", 1, false, err);
    return WEIR_OK;
}

/* The tail of the part before, with as many bytes as make its character whole or show that it is
 * none. */
static enum weir_status feed_tail(struct weir_text_plain *plain, const char **bytes, size_t *length,
                                  struct weir_err *err)
{
    while (plain->tail_count > 0 && *length > 0) {
        plain->tail[plain->tail_count++] = *(*bytes)++;
        (*length)--;
        const size_t unfinished = weir_utf8_unfinished(plain->tail, plain->tail_count);
        const size_t known = plain->tail_count - unfinished;
        if (known > 0)
            WEIR_TRY(feed_model(plain, plain->tail, known, false, err));
        memmove(plain->tail, plain->tail + known, unfinished);
        plain->tail_count = unfinished;
    }
    return WEIR_OK;
}

static enum weir_status feed_plain(struct weir_text_plain *plain, const char *bytes, size_t length,
                                   bool ends, struct weir_err *err)
{
    if (length == 0 && !(ends && plain->is_begun))
        return WEIR_OK;
    if (!plain->is_begun)
        WEIR_TRY(begin_plain(plain, err));
    WEIR_TRY(feed_tail(plain, &bytes, &length, err));
    const size_t unfinished = ends ? 0 : weir_utf8_unfinished(bytes, length);
    if (ends && plain->tail_count > 0) { /* then nothing is left of bytes */
        WEIR_TRY(feed_model(plain, plain->tail, plain->tail_count, true, err));
        plain->tail_count = 0;
    } else if (ends || length > unfinished) {
        WEIR_TRY(feed_model(plain, bytes, length - unfinished, ends, err));
    }
    if (unfinished > 0) {
        memcpy(plain->tail, bytes + length - unfinished, unfinished);
        plain->tail_count = unfinished;
    }
    plain->is_begun = !ends;
    return WEIR_OK;
}

/* ---- the text ------------------------------------------------------------------------------ */

/* Moves *offset behind white space; false when more of it may follow what is known. */
static bool skip_space(const char *bytes, size_t length, bool ends, size_t *offset)
{
    enum { CHARACTER_MAX = 4 };
    while (*offset < length) {
        if (!ends && length - *offset < CHARACTER_MAX)
            return false;
        const size_t step = weir_utf8_char(bytes + *offset, length - *offset);
        if (step == 0 || !weir_text_is_space(weir_utf8_decode(bytes + *offset)))
            return true;
        *offset += step;
    }
    return ends;
}

enum weir_status weir_text_encoder_guard(weir_text_encoder *encoder, struct weir_err *err)
{
    size_t *guards = encoder->guards.at;
    const size_t count = encoder->guard_count;
    if (encoder->pending_count == 0 || (count > 0 && guards[count - 1] == encoder->pending_count))
        return WEIR_OK;
    WEIR_TRY(weir_text_array_reserve(&encoder->guards, count + 1, sizeof(*guards), err));
    guards = encoder->guards.at;
    guards[count] = encoder->pending_count;
    encoder->guard_count = count + 1;
    return WEIR_OK;
}

static bool crosses_guard(const weir_text_encoder *encoder, size_t begin, size_t end)
{
    const size_t *guards = encoder->guards.at;
    for (size_t index = 0; index < encoder->guard_count; index++)
        if (guards[index] > begin && guards[index] < end)
            return true;
    return false;
}

/* Pending bytes have gone, and the guards in them. */
static void drop_guards(weir_text_encoder *encoder, size_t used)
{
    size_t *guards = encoder->guards.at;
    size_t kept = 0;
    for (size_t index = 0; index < encoder->guard_count; index++)
        if (guards[index] > used)
            guards[kept++] = guards[index] - used;
    encoder->guard_count = kept;
}

/* The special token that the bytes at offset begin with, or WEIR_TOKEN_NONE. */
static uint32_t match_special(const weir_text_encoder *encoder, const char *bytes, size_t length,
                              size_t offset)
{
    const weir_text *text = encoder->text;
    const bool with_control = (encoder->flags & WEIR_TOKENIZE_PARSE_SPECIAL) != 0;
    const uint32_t id = weir_text_prefixes_match(&text->specials, &text->vocab, bytes + offset,
                                                 length - offset, with_control);
    if (id == WEIR_TOKEN_NONE || encoder->guard_count == 0 || !weir_text_is_control(text, id) ||
        !crosses_guard(encoder, offset, offset + text->vocab.tokens[id].length))
        return id;
    return weir_text_prefixes_match(&text->specials, &text->vocab, bytes + offset, length - offset,
                                    false);
}

/* Special tokens are looked for where the longest of them is there in full. */
static enum weir_status cut_specials(weir_text_encoder *encoder, const char *bytes, size_t length,
                                     bool ends, size_t *used, struct weir_err *err)
{
    const struct weir_text_prefixes *specials = &encoder->text->specials;
    const struct weir_vocab *vocab = &encoder->text->vocab;
    size_t offset = 0, plain_from = 0;
    while (offset < length && (ends || length - offset >= specials->longest)) {
        if (encoder->skips_space && !skip_space(bytes, length, ends, &offset))
            break;
        if (encoder->skips_space) {
            encoder->skips_space = false;
            plain_from = offset;
            continue;
        }
        const uint32_t id = match_special(encoder, bytes, length, offset);
        if (id == WEIR_TOKEN_NONE) {
            offset++;
            continue;
        }
        WEIR_TRY(feed_plain(&encoder->plain, bytes + plain_from, offset - plain_from, true, err));
        WEIR_TRY(weir_text_ids_push(&encoder->ids, id, err));
        encoder->plain.is_behind = true;
        offset += vocab->tokens[id].length;
        plain_from = offset;
        encoder->skips_space = vocab->strips != NULL && vocab->strips[id] != 0;
    }
    if (encoder->skips_space) /* it may go on in the next part */
        plain_from = offset;
    if (ends)
        encoder->skips_space = false;
    *used = offset;
    return feed_plain(&encoder->plain, bytes + plain_from, offset - plain_from, ends, err);
}

static enum weir_status feed_slice(weir_text_encoder *encoder, const char *bytes, size_t length,
                                   bool ends, struct weir_err *err)
{
    size_t used = 0;
    if (encoder->text->specials.longest == 0)
        return feed_plain(&encoder->plain, bytes, length, ends, err);
    if (encoder->pending_count == 0 && ends)
        return cut_specials(encoder, bytes, length, ends, &used, err);
    WEIR_TRY(weir_text_array_reserve(&encoder->pending, encoder->pending_count + length, 1, err));
    char *pending = encoder->pending.at;
    if (length > 0)
        memcpy(pending + encoder->pending_count, bytes, length);
    encoder->pending_count += length;
    WEIR_TRY(cut_specials(encoder, pending, encoder->pending_count, ends, &used, err));
    encoder->pending_count -= used;
    drop_guards(encoder, used);
    if (used > 0)
        memmove(pending, pending + used, encoder->pending_count);
    return WEIR_OK;
}

enum weir_status weir_text_encoder_push(weir_text_encoder *encoder, const char *bytes,
                                        size_t length, bool ends, const uint32_t **ids,
                                        size_t *count, struct weir_err *err)
{
    const struct weir_vocab *vocab = &encoder->text->vocab;
    const bool add_special = (encoder->flags & WEIR_TOKENIZE_ADD_SPECIAL) != 0;
    encoder->ids.count = 0;
    if (length == 0)
        bytes = ""; /* the caller may have none */
    if (!encoder->is_begun && add_special && vocab->add_bos && vocab->bos_id != WEIR_TOKEN_NONE)
        WEIR_TRY(weir_text_ids_push(&encoder->ids, vocab->bos_id, err));
    if (!encoder->is_begun)
        encoder->plain.is_behind = false;
    encoder->is_begun = !ends;
    size_t offset = 0;
    do {
        const size_t slice = weir_min(length - offset, encoder->text->slice_bytes);
        const bool is_last = offset + slice == length;
        WEIR_TRY(feed_slice(encoder, bytes + offset, slice, ends && is_last, err));
        offset += slice;
    } while (offset < length);
    if (ends && add_special && vocab->add_eos && vocab->eos_id != WEIR_TOKEN_NONE)
        WEIR_TRY(weir_text_ids_push(&encoder->ids, vocab->eos_id, err));
    *ids = encoder->ids.array.at;
    *count = encoder->ids.count;
    return WEIR_OK;
}

size_t weir_text_encoder_least(const weir_text_encoder *encoder)
{
    const weir_text *text = encoder->text;
    const struct weir_text_plain *plain = &encoder->plain;
    /* A run of unknown characters is one token. */
    if (!text->model->has_alphabet && !text->has_all_bytes)
        return 0;
    for (uint32_t index = 0; index < text->rules.split_count; index++)
        if (text->rules.splits[index].keep != WEIR_KEEP_ALL)
            return 0;
    /* Joining characters makes them shorter, to a third at most. */
    enum { JOINED_MAX = 3 };
    size_t held =
        plain->pieces.length + weir_text_normal_held(&plain->normal, &text->rules) / JOINED_MAX;
    if (plain->split != NULL)
        held += weir_text_split_held(plain->split);
    return (held + text->longest_bytes - 1) / text->longest_bytes;
}

enum weir_status weir_text_tokenize(weir_text *text, const char *bytes, size_t length,
                                    unsigned flags, uint32_t **ids, size_t *count,
                                    struct weir_err *err)
{
    weir_text_encoder *encoder = NULL;
    const uint32_t *found = NULL;
    if (length > WEIR_TEXT_LENGTH_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "text: wanted at most %d bytes, found %zu",
                         WEIR_TEXT_LENGTH_MAX, length);
    WEIR_TRY(weir_text_encoder_create(&encoder, text, flags, err));
    size_t found_count = 0;
    enum weir_status status =
        weir_text_encoder_push(encoder, bytes, length, true, &found, &found_count, err);
    if (status == WEIR_OK) /* the caller frees something even where there is none */
        status = weir_text_array_reserve(&encoder->ids.array, 1, sizeof(uint32_t), err);
    if (status == WEIR_OK) {
        *ids = encoder->ids.array.at;
        *count = found_count;
        encoder->ids.array = (struct weir_text_array){0};
    }
    weir_text_encoder_destroy(&encoder);
    return status;
}
