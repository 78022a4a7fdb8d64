/* normal.c - steps that bring a text that comes in parts into the form its pieces are cut from. */
#include <string.h>
#include <utf8proc.h>

#include "text/text_parts.h"

/* What one call of a step works on. */
struct call {
    const struct weir_normal_step *step;
    struct weir_text_normal_state *state;
    const char *bytes;
    size_t length;
    bool ends, is_first;
    struct weir_err *err;
};

static enum weir_status append(const struct call *call, const char *bytes, size_t length)
{
    /* Far more than any language needs of a part of a text; steps of a file that each make a text
     * longer would else fill the memory. */
    enum { OUT_BYTES_MAX = 1 << 24 };
    struct weir_text_normal_state *state = call->state;
    if (length == 0)
        return WEIR_OK;
    if (state->out_count + length > OUT_BYTES_MAX)
        return WEIR_FAIL(call->err, WEIR_ERR_ARG,
                         "normalizer: wanted at most %d bytes of a part of a text, found more",
                         OUT_BYTES_MAX);
    WEIR_TRY(weir_text_array_reserve(&state->out, state->out_count + length, 1, call->err));
    memcpy((char *)state->out.at + state->out_count, bytes, length);
    state->out_count += length;
    return WEIR_OK;
}

/* ---- one character at a time --------------------------------------------------------------- */

enum { MAPPED_MAX = 3 };
typedef size_t map_fn(uint32_t character, uint32_t out[MAPPED_MAX]);

static size_t map_lowercase(uint32_t character, uint32_t out[MAPPED_MAX])
{
    if (character == 0x130) { /* the only one whose small letter is two characters */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)character);
    return 1;
}

static size_t map_no_marks(uint32_t character, uint32_t out[MAPPED_MAX])
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)character);
    out[0] = character;
    return category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC &&
           category != UTF8PROC_CATEGORY_ME;
}

static size_t map_no_accents(uint32_t character, uint32_t out[MAPPED_MAX])
{
    out[0] = character;
    return utf8proc_category((utf8proc_int32_t)character) != UTF8PROC_CATEGORY_MN;
}

static size_t map_no_controls(uint32_t character, uint32_t out[MAPPED_MAX])
{
    out[0] = weir_text_is_space(character) ? ' ' : character;
    if (character == '\t' || character == '\n' || character == '\r')
        return 1;
    switch (utf8proc_category((utf8proc_int32_t)character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
        return 0;
    default:
        return character != 0xfffd;
    }
}

static size_t map_plain_spaces(uint32_t character, uint32_t out[MAPPED_MAX])
{
    out[0] = weir_text_is_space(character) ? ' ' : character;
    return 1;
}

static size_t map_chinese_apart(uint32_t character, uint32_t out[MAPPED_MAX])
{
    static const uint32_t ranges[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                         {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                         {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t row = 0; row < WEIR_COUNT(ranges); row++) {
        if (character < ranges[row][0] || character > ranges[row][1])
            continue;
        out[0] = out[2] = ' ';
        out[1] = character;
        return 3;
    }
    out[0] = character;
    return 1;
}

static map_fn *const maps[WEIR_NORMAL_COUNT] = {
    [WEIR_NORMAL_LOWERCASE] = map_lowercase,       [WEIR_NORMAL_NO_MARKS] = map_no_marks,
    [WEIR_NORMAL_NO_ACCENTS] = map_no_accents,     [WEIR_NORMAL_NO_CONTROLS] = map_no_controls,
    [WEIR_NORMAL_PLAIN_SPACES] = map_plain_spaces, [WEIR_NORMAL_CHINESE_APART] = map_chinese_apart,
};

static enum weir_status map_characters(const struct call *call)
{
    for (size_t at = 0; at < call->length;) {
        uint32_t mapped[MAPPED_MAX];
        const size_t count = maps[call->step->kind](weir_utf8_decode(call->bytes + at), mapped);
        at += weir_utf8_char(call->bytes + at, call->length - at);
        for (size_t index = 0; index < count; index++) {
            char encoded[4];
            const size_t length = weir_utf8_encode(mapped[index], encoded);
            WEIR_TRY(append(call, encoded, length));
        }
    }
    return WEIR_OK;
}

/* ---- white space at the ends --------------------------------------------------------------- */

/* White space waits in held until something follows it, and goes where nothing does. */
static enum weir_status hold_space(const struct call *call, const char *bytes, size_t length)
{
    struct weir_text_normal_state *state = call->state;
    WEIR_TRY(weir_text_array_reserve(&state->held, state->held_count + length, 1, call->err));
    memcpy((char *)state->held.at + state->held_count, bytes, length);
    state->held_count += length;
    return WEIR_OK;
}

static enum weir_status strip(const struct call *call)
{
    struct weir_text_normal_state *state = call->state;
    const bool left = call->step->kind != WEIR_NORMAL_STRIP_RIGHT;
    const bool right = call->step->kind != WEIR_NORMAL_STRIP_LEFT;
    const bool squeeze = call->step->kind == WEIR_NORMAL_SQUEEZE;
    for (size_t at = 0; at < call->length;) {
        const char *character = call->bytes + at;
        const size_t step = weir_utf8_char(character, call->length - at);
        const bool is_space =
            squeeze ? *character == ' ' : weir_text_is_space(weir_utf8_decode(character));
        at += step;
        if (is_space && left && !state->is_begun)
            continue;
        if (is_space && right) {
            if (!squeeze || state->held_count == 0)
                WEIR_TRY(hold_space(call, character, step));
            continue;
        }
        WEIR_TRY(append(call, state->held.at, state->held_count));
        state->held_count = 0;
        state->is_begun = true;
        WEIR_TRY(append(call, character, step));
    }
    if (call->ends)
        state->held_count = 0;
    return WEIR_OK;
}

/* ---- texts for texts ----------------------------------------------------------------------- */

/* Bytes at the end of a text that begin `from` and may become it. */
static size_t count_begun(const char *bytes, size_t length, struct weir_bytes from)
{
    size_t count = weir_min(length, from.length - 1);
    while (count > 0 && memcmp(bytes + length - count, from.start, count) != 0)
        count--;
    return count;
}

static enum weir_status replace(const struct call *call)
{
    struct weir_text_normal_state *state = call->state;
    const struct weir_bytes from = call->step->from, to = call->step->to;
    const char *bytes = call->bytes;
    size_t length = call->length;
    if (state->held_count > 0) { /* what begins in the part before is looked at with this one */
        WEIR_TRY(hold_space(call, bytes, length));
        bytes = state->held.at;
        length = state->held_count;
    }
    size_t offset = 0;
    while (offset < length) {
        const char *found = memmem(bytes + offset, length - offset, from.start, from.length);
        if (found == NULL)
            break;
        WEIR_TRY(append(call, bytes + offset, (size_t)(found - bytes) - offset));
        WEIR_TRY(append(call, to.start, to.length));
        offset = (size_t)(found - bytes) + from.length;
    }
    const size_t begun = call->ends ? 0 : count_begun(bytes + offset, length - offset, from);
    WEIR_TRY(append(call, bytes + offset, length - offset - begun));
    const char *rest = bytes + length - begun;
    if (state->held_count > 0)
        memmove(state->held.at, rest, begun);
    else if (begun > 0)
        return hold_space(call, rest, begun);
    state->held_count = begun;
    return WEIR_OK;
}

static enum weir_status prepend(const struct call *call)
{
    struct weir_text_normal_state *state = call->state;
    const struct weir_bytes to = call->step->to;
    const enum weir_normal_kind kind = call->step->kind;
    if (!state->is_begun && call->length > 0) {
        const bool is_there = kind != WEIR_NORMAL_PREPEND && call->length >= to.length &&
                              memcmp(call->bytes, to.start, to.length) == 0;
        state->is_begun = true;
        if (!is_there && (call->is_first || kind != WEIR_NORMAL_PREPEND_FIRST))
            WEIR_TRY(append(call, to.start, to.length));
    }
    return append(call, call->bytes, call->length);
}

static enum weir_status map_chars(const struct call *call)
{
    struct weir_text_normal_state *state = call->state;
    const char *bytes = call->bytes;
    size_t length = call->length, offset = 0;
    const bool was_held = state->held_count > 0;
    if (was_held) {
        WEIR_TRY(hold_space(call, bytes, length));
        bytes = state->held.at;
        length = state->held_count;
    }
    while (offset < length) {
        struct weir_bytes to;
        bool may_go_on = false;
        const size_t used = weir_text_charsmap_match(call->step->from, bytes + offset,
                                                     length - offset, &to, &may_go_on);
        if (may_go_on && !call->ends)
            break;
        const size_t step = used > 0 ? used : weir_utf8_char(bytes + offset, length - offset);
        WEIR_TRY(append(call, used > 0 ? to.start : bytes + offset, used > 0 ? to.length : step));
        offset += step;
    }
    const size_t rest = length - offset;
    if (!was_held && rest > 0)
        return hold_space(call, bytes + offset, rest);
    if (was_held)
        memmove(state->held.at, bytes + offset, rest);
    state->held_count = rest;
    return WEIR_OK;
}

/* ---- the chain ----------------------------------------------------------------------------- */

static enum weir_status compose(const struct call *call, struct weir_bytes *out)
{
    struct weir_text_nfc *nfc = &call->state->nfc;
    nfc->form = call->step->kind;
    return weir_text_nfc_feed(nfc, call->bytes, call->length, call->ends, out, call->err);
}

static enum weir_status run_step(const struct call *call, struct weir_bytes *out)
{
    if (call->step->kind <= WEIR_NORMAL_NFKD)
        return compose(call, out);
    call->state->out_count = 0;
    switch (call->step->kind) {
    case WEIR_NORMAL_STRIP_LEFT:
    case WEIR_NORMAL_STRIP_RIGHT:
    case WEIR_NORMAL_SQUEEZE:
        WEIR_TRY(strip(call));
        break;
    case WEIR_NORMAL_REPLACE:
        WEIR_TRY(replace(call));
        break;
    case WEIR_NORMAL_PREPEND:
    case WEIR_NORMAL_PREPEND_NEW:
    case WEIR_NORMAL_PREPEND_FIRST:
        WEIR_TRY(prepend(call));
        break;
    case WEIR_NORMAL_CHARSMAP:
        WEIR_TRY(map_chars(call));
        break;
    default:
        WEIR_TRY(map_characters(call));
        break;
    }
    *out = (struct weir_bytes){call->state->out.at, call->state->out_count};
    return WEIR_OK;
}

void weir_text_normal_begin(struct weir_text_normal *normal, bool is_first)
{
    normal->is_first = is_first;
    for (size_t index = 0; index < WEIR_NORMAL_MAX; index++)
        normal->states[index].is_begun = false;
}

enum weir_status weir_text_normal_feed(struct weir_text_normal *normal,
                                       const struct weir_text_rules *rules, const char *bytes,
                                       size_t length, bool ends, struct weir_bytes *out,
                                       struct weir_err *err)
{
    *out = (struct weir_bytes){bytes, length};
    for (uint32_t index = 0; index < rules->normal_count; index++) {
        if (out->length == 0) /* nothing may stand nowhere */
            out->start = "";
        const struct call call = {.step = &rules->normal[index],
                                  .state = &normal->states[index],
                                  .bytes = out->start,
                                  .length = out->length,
                                  .ends = ends,
                                  .is_first = normal->is_first,
                                  .err = err};
        WEIR_TRY(run_step(&call, out));
    }
    return WEIR_OK;
}

size_t weir_text_normal_held(const struct weir_text_normal *normal,
                             const struct weir_text_rules *rules)
{
    if (rules->normal_count == 0)
        return 0;
    const struct weir_text_nfc *nfc = &normal->states[rules->normal_count - 1].nfc;
    return nfc->held_count - nfc->given_count;
}

void weir_text_normal_deinit(struct weir_text_normal *normal)
{
    for (size_t index = 0; index < WEIR_NORMAL_MAX; index++) {
        weir_text_nfc_deinit(&normal->states[index].nfc);
        weir_text_array_trim(&normal->states[index].out, 1, 0);
        weir_text_array_trim(&normal->states[index].held, 1, 0);
    }
}
