/* split_stream.c - cuts a text that comes in parts: one stage for each pattern, each fed by the one
 * before.
 *
 * I1 A match that is found while more may follow has looked at no end of the text (PCRE2's hard
 *    partial matching), so that nothing that follows changes it.
 * I2 Nothing looks back further than the one character that is kept before `scan`.
 * I3 A match of WEIR_MATCH_LOOP longer than LONG_BYTES is a loop over one class of characters,
 *    behind at most two others. When it ends with two characters that are no white space it can
 *    only get longer (white space may be given back to what follows it), and going on from those
 *    two finds the same end: two signs begin no contraction and no word with a sign before it. Of a
 *    run of one white character only the last may be given back, so that going on from the last two
 *    does as well, unless the pattern wants the end of the text behind it.
 * I4 One of WEIR_MATCH_WORDS may also be a loop over capitals and then one over small letters, with
 *    letters that have no case in both, or words with single spaces between. Going on from its last
 *    two characters finds the same end when both are small, both are capitals, or both have no case
 *    and no small letter stands before them: each says which loop the match is in. A slash may
 *    belong to the line ends behind signs as well, so that nothing is said of it.
 * I5 Of other matches nothing is known: they are held whole.
 */
#include <string.h>
#include <utf8proc.h>

#include "base/heap.h"
#include "text/text_parts.h"

enum { LONG_BYTES = 2048 };

enum open { OPEN_NOTHING, OPEN_GAP, OPEN_MATCH };

struct stage {
    struct weir_text_array bytes; /* char */
    size_t length;
    size_t scan;    /* what stands before it is decided, and kept only to look back at */
    size_t passed;  /* from there on: bytes that the open match has been given already */
    size_t wait;    /* undecided bytes to have before it is worth looking again */
    enum open open; /* the piece that the next stage has the beginning of */
};

struct weir_text_split_stream {
    weir_text_splitter *splitter;
    weir_text_piece_fn *piece;
    void *context;
    uint32_t stage_count;
    struct stage stages[WEIR_SPLIT_MAX];
};

enum weir_status weir_text_split_stream_create(weir_text_split_stream **out,
                                               weir_text_splitter *splitter,
                                               weir_text_piece_fn *piece, void *context,
                                               struct weir_err *err)
{
    weir_text_split_stream *stream = weir_heap_alloc(sizeof(*stream));
    if (stream == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for a stream");
    stream->splitter = splitter;
    stream->piece = piece;
    stream->context = context;
    stream->stage_count = weir_text_splitter_rules(splitter)->split_count;
    *out = stream;
    return WEIR_OK;
}

void weir_text_split_stream_destroy(weir_text_split_stream **stream)
{
    weir_text_split_stream *old = *stream;
    if (old == NULL)
        return;
    for (uint32_t index = 0; index < WEIR_SPLIT_MAX; index++)
        weir_text_array_trim(&old->stages[index].bytes, 1, 0);
    weir_heap_free(old);
    *stream = NULL;
}

size_t weir_text_split_held(const weir_text_split_stream *stream)
{
    size_t held = 0;
    for (uint32_t index = 0; index < stream->stage_count; index++) {
        const struct stage *stage = &stream->stages[index];
        held += stage->length - stage->scan - stage->passed;
    }
    return held;
}

/* ---- what the end of the known part decides ------------------------------------------------ */

bool weir_text_is_space(uint32_t character)
{
    return (character >= 0x09 && character <= 0x0d) || character == 0x20 || character == 0x85 ||
           character == 0xa0 || character == 0x1680 ||
           (character >= 0x2000 && character <= 0x200a) || character == 0x2028 ||
           character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

static size_t step_back(const char *bytes, size_t at)
{
    do
        at--;
    while (((uint8_t)bytes[at] & 0xc0) == 0x80);
    return at;
}

/* What I4 tells apart; others, marks and digits among them, are OTHER. */
enum letter { SMALL, CAPITAL, CASELESS, SIGN, OTHER };

static enum letter classify(uint32_t character)
{
    switch (utf8proc_category((utf8proc_int32_t)character)) {
    case UTF8PROC_CATEGORY_LL:
        return SMALL;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return CAPITAL;
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_LM:
        return CASELESS;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return OTHER;
    default: /* white space is told before */
        return character == '/' ? OTHER : SIGN;
    }
}

/* Whether the loop that a match of words is in can be told from its last two characters: I4. */
static bool is_plain_loop(const char *bytes, size_t begin, size_t tail, size_t last, size_t length)
{
    const enum letter wanted = classify(weir_utf8_decode(bytes + last));
    if (wanted == OTHER || classify(weir_utf8_decode(bytes + tail)) != wanted)
        return false;
    if (wanted != CASELESS)
        return true;
    /* The first character may be a sign before the word. */
    for (size_t at = begin + weir_utf8_char(bytes + begin, length - begin); at < tail;) {
        const enum letter letter = classify(weir_utf8_decode(bytes + at));
        if (letter != CAPITAL && letter != CASELESS)
            return false;
        at += weir_utf8_char(bytes + at, length - at);
    }
    return classify(weir_utf8_decode(bytes + begin)) != SMALL;
}

/* What of a long match is certain, and where to go on from: keeps I3 and I4. False: nothing is. */
static bool find_tail(const char *bytes, size_t begin, size_t length, bool has_words,
                      bool may_be_white, size_t *certain, size_t *tail)
{
    const size_t last = step_back(bytes, length);
    *tail = step_back(bytes, last);
    const uint32_t white = weir_utf8_decode(bytes + last);
    if (!weir_text_is_space(white) && !weir_text_is_space(weir_utf8_decode(bytes + *tail))) {
        *certain = length;
        return !has_words || is_plain_loop(bytes, begin, *tail, last, length);
    }
    *certain = *tail;
    const size_t step = length - last;
    for (size_t at = begin; may_be_white && at < last; at += step)
        may_be_white = at + step <= last && memcmp(bytes + at, bytes + last, step) == 0;
    return may_be_white && weir_text_is_space(white);
}

/* ---- a stage ------------------------------------------------------------------------------- */

static enum weir_status feed_stage(weir_text_split_stream *stream, uint32_t level,
                                   const char *bytes, size_t length, bool ends,
                                   struct weir_err *err);

/* Bytes that go on with the piece that stage level has found, to whoever comes next. */
static enum weir_status pass(weir_text_split_stream *stream, uint32_t level, const char *bytes,
                             size_t length, bool ends, struct weir_err *err)
{
    if (length == 0 && !ends)
        return WEIR_OK;
    if (level + 1 == stream->stage_count)
        return stream->piece(stream->context, bytes, length, ends, err);
    return feed_stage(stream, level + 1, bytes, length, ends, err);
}

static const struct weir_split_step *step_of(const weir_text_split_stream *stream, uint32_t level)
{
    return &weir_text_splitter_rules(stream->splitter)->splits[level];
}

/* A match, or the part of it that is certain. */
static enum weir_status pass_match(weir_text_split_stream *stream, uint32_t level,
                                   const char *bytes, size_t length, bool ends,
                                   struct weir_err *err)
{
    const struct weir_split_step *step = step_of(stream, level);
    if (step->keep == WEIR_KEEP_GAPS)
        return WEIR_OK;
    size_t characters = 0;
    for (size_t at = 0; step->in_threes && at < length; characters++)
        at += weir_utf8_char(bytes + at, length - at);
    while (characters > 3) { /* such a match comes whole (I5) */
        size_t count = characters % 3 == 0 ? 3 : characters % 3, used = 0;
        for (characters -= count; count > 0; count--)
            used += weir_utf8_char(bytes + used, length - used);
        WEIR_TRY(pass(stream, level, bytes, used, true, err));
        bytes += used;
        length -= used;
    }
    return pass(stream, level, bytes, length, ends, err);
}

static enum weir_status pass_gap(weir_text_split_stream *stream, uint32_t level, const char *bytes,
                                 size_t end, bool ends, struct weir_err *err)
{
    struct stage *stage = &stream->stages[level];
    WEIR_ASSERT(stage->open != OPEN_MATCH);
    const size_t count = end - stage->scan;
    if (step_of(stream, level)->keep == WEIR_KEEP_MATCHES) {
        stage->scan = end;
        return WEIR_OK;
    }
    if (count > 0 || stage->open == OPEN_GAP)
        WEIR_TRY(pass(stream, level, bytes + stage->scan, count, ends, err));
    if (count > 0 || ends)
        stage->open = ends ? OPEN_NOTHING : OPEN_GAP;
    stage->scan = end;
    return WEIR_OK;
}

/* What may still change stays; a long match gives what cannot (keeps I3). */
static enum weir_status keep_undecided(weir_text_split_stream *stream, uint32_t level,
                                       const char *bytes, size_t length, struct weir_err *err)
{
    struct stage *stage = &stream->stages[level];
    const size_t count = length - stage->scan;
    stage->wait = count + count / 4;
    if (count < LONG_BYTES)
        return WEIR_OK;
    enum weir_text_found found;
    size_t begin = 0, end = 0, certain = 0, tail = 0;
    const struct weir_split_step *step = step_of(stream, level);
    if (step->match == WEIR_MATCH_ANY ||
        !find_tail(bytes, stage->scan, length, step->match == WEIR_MATCH_WORDS,
                   !weir_text_splitter_wants_end(stream->splitter, level), &certain, &tail))
        return WEIR_OK;
    WEIR_TRY(weir_text_splitter_match(stream->splitter, level, bytes, length, stage->scan, false,
                                      &found, &begin, &end, err));
    if (found != WEIR_TEXT_FOUND_MATCH || begin != stage->scan || end != length)
        return WEIR_OK;
    if (stage->open == OPEN_GAP)
        WEIR_TRY(pass(stream, level, NULL, 0, true, err));
    const size_t from = stage->scan + stage->passed;
    WEIR_TRY(pass_match(stream, level, bytes + from, certain - from, false, err));
    stage->open = OPEN_MATCH;
    stage->scan = tail;
    stage->passed = certain - tail;
    stage->wait = 0;
    return WEIR_OK;
}

static enum weir_status scan(weir_text_split_stream *stream, uint32_t level, const char *bytes,
                             size_t length, bool ends, struct weir_err *err)
{
    struct stage *stage = &stream->stages[level];
    stage->wait = 0;
    while (stage->scan < length) {
        enum weir_text_found found;
        size_t begin = 0, end = 0;
        WEIR_TRY(weir_text_splitter_match(stream->splitter, level, bytes, length, stage->scan,
                                          !ends, &found, &begin, &end, err));
        if (found == WEIR_TEXT_FOUND_NOTHING)
            return pass_gap(stream, level, bytes, length, ends, err);
        if (found == WEIR_TEXT_FOUND_PERHAPS) {
            if (begin > stage->scan)
                WEIR_TRY(pass_gap(stream, level, bytes, begin, false, err));
            return keep_undecided(stream, level, bytes, length, err);
        }
        if (stage->open != OPEN_MATCH)
            WEIR_TRY(pass_gap(stream, level, bytes, begin, true, err));
        WEIR_ASSERT(begin == stage->scan && end >= begin + stage->passed);
        const size_t from = begin + stage->passed;
        stage->open = OPEN_NOTHING;
        stage->passed = 0;
        stage->scan = end;
        WEIR_TRY(pass_match(stream, level, bytes + from, end - from, true, err));
    }
    if (ends && stage->open == OPEN_GAP)
        return pass(stream, level, NULL, 0, true, err);
    return ends && stage->open == OPEN_MATCH ? pass_match(stream, level, NULL, 0, true, err)
                                             : WEIR_OK;
}

/* Forget what is decided, but for one character (keeps I2). */
static void forget_decided(struct stage *stage)
{
    if (stage->scan == 0)
        return;
    char *bytes = stage->bytes.at;
    const size_t from = step_back(bytes, stage->scan);
    memmove(bytes, bytes + from, stage->length - from);
    stage->length -= from;
    stage->scan -= from;
}

static enum weir_status feed_stage(weir_text_split_stream *stream, uint32_t level,
                                   const char *bytes, size_t length, bool ends,
                                   struct weir_err *err)
{
    struct stage *stage = &stream->stages[level];
    if (stage->length == 0 && ends) { /* all of it at once: no need to keep it */
        WEIR_TRY(scan(stream, level, bytes, length, true, err));
    } else {
        WEIR_TRY(weir_text_array_reserve(&stage->bytes, stage->length + length, 1, err));
        if (length > 0)
            memcpy((char *)stage->bytes.at + stage->length, bytes, length);
        stage->length += length;
        if (!ends && stage->length - stage->scan < stage->wait)
            return WEIR_OK;
        WEIR_TRY(scan(stream, level, stage->bytes.at, stage->length, ends, err));
        if (!ends) {
            forget_decided(stage);
            return WEIR_OK;
        }
    }
    stage->length = stage->scan = stage->passed = stage->wait = 0;
    stage->open = OPEN_NOTHING;
    weir_text_array_trim(&stage->bytes, 1, WEIR_TEXT_SCRATCH_KEEP_BYTES);
    return WEIR_OK;
}

enum weir_status weir_text_split_feed(weir_text_split_stream *stream, const char *bytes,
                                      size_t length, bool ends, struct weir_err *err)
{
    return feed_stage(stream, 0, bytes, length, ends, err);
}
