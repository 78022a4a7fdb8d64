/* state_toy.h - a state of small layers, texts in it, and what each of them must find there.
 *
 * What a position leaves in a layer is made of all ids up to it, so that bytes of another text, or
 * of another place in it, are never right by chance. */
#ifndef WEIR_STATE_TOY_H
#define WEIR_STATE_TOY_H

#include "state_open.h"

/* ---- what positions leave ------------------------------------------------------------------- */

/* Of all ids so far: as one more is added to what those before it made. */
static inline uint64_t add_id(uint64_t before, uint32_t id)
{
    return (before ^ id) * 0x9e3779b97f4a7c15ull + 1;
}

static inline uint8_t *position_at(const struct toy *toy, const struct text *text, uint32_t layer,
                                   uint32_t position)
{
    const struct weir_state_view view = weir_state_view_get(toy->state, layer);
    const uint32_t page = weir_sequence_pages(text->sequence)[position / view.page_length];
    assert_int_equal(view.page_length, toy->page_length);
    return view.base + page * view.stride_bytes + view.at_bytes +
           position % view.page_length * toy->layers[layer].bytes;
}

/* A value at both ends of a place: in the first and the last bytes. */
static inline void put(uint8_t *place, uint64_t bytes, uint64_t value)
{
    memcpy(place, &value, 8);
    memcpy(place + bytes - 8, &value, 8);
}

static inline void expect(const uint8_t *place, uint64_t bytes, uint64_t value, uint32_t layer,
                          uint32_t position)
{
    if (memcmp(place, &value, 8) != 0 || memcmp(place + bytes - 8, &value, 8) != 0)
        fail_msg("layer %u, position %u: other bytes than were written", layer, position);
}

/* A recurrence that a device has. */
static inline bool is_elsewhere(const struct weir_state_layer *layer)
{
    return layer->kind == WEIR_STATE_BLOCK_ELSEWHERE || layer->is_carried;
}

/* What the mixers of all layers do for one position, whose ids so far make `value`. */
static inline void compute(struct toy *toy, const struct text *text, uint32_t position,
                           uint64_t value)
{
    for (uint32_t layer = 0; layer < toy->config.layer_count; layer++) {
        const struct weir_state_layer *at = &toy->layers[layer];
        if (is_elsewhere(at)) {
            uint64_t *there = &toy->elsewhere[weir_sequence_block_number(text->sequence)][layer];
            *there = add_id(*there + layer, text->ids[position]);
        } else if (at->kind == WEIR_STATE_RECURRENT) {
            uint8_t *block = weir_sequence_block(text->sequence, layer);
            uint64_t before;
            memcpy(&before, block, sizeof(before));
            put(block, at->bytes, add_id(before + layer, text->ids[position]));
        } else if (at->kind != WEIR_STATE_NONE) {
            put(position_at(toy, text, layer, position), at->bytes, value + layer);
        }
    }
}

/* All that the next position may look at is there. */
static inline void check_text(const struct toy *toy, const struct text *text)
{
    uint64_t value = 0;
    uint64_t blocks[LAYERS_MAX] = {0};
    weir_sequence_check(text->sequence);
    assert_int_equal(weir_sequence_length(text->sequence), text->length);
    for (uint32_t position = 0; position < text->length; position++) {
        assert_int_equal(weir_sequence_id(text->sequence, position), text->ids[position]);
        value = add_id(value, text->ids[position]);
        for (uint32_t layer = 0; layer < toy->config.layer_count; layer++) {
            const struct weir_state_layer *at = &toy->layers[layer];
            if (at->kind == WEIR_STATE_RECURRENT || at->kind == WEIR_STATE_BLOCK_ELSEWHERE)
                blocks[layer] = add_id(blocks[layer] + layer, text->ids[position]);
            else if (at->kind == WEIR_STATE_POSITIONS ||
                     (at->kind == WEIR_STATE_WINDOW && position + at->window > text->length))
                expect(position_at(toy, text, layer, position), at->bytes, value + layer, layer,
                       position);
        }
    }
    for (uint32_t layer = 0; layer < toy->config.layer_count; layer++)
        if (is_elsewhere(&toy->layers[layer]))
            assert_int_equal(toy->elsewhere[weir_sequence_block_number(text->sequence)][layer],
                             blocks[layer]);
        else if (toy->layers[layer].kind == WEIR_STATE_RECURRENT)
            expect(weir_sequence_block(text->sequence, layer), toy->layers[layer].bytes,
                   blocks[layer], layer, text->length);
}

/* ---- what texts do -------------------------------------------------------------------------- */

static inline struct text begin_text(struct toy *toy)
{
    struct text text = {0};
    assert_int_equal(weir_sequence_create(&text.sequence, toy->state, NULL), WEIR_OK);
    check_text(toy, &text);
    return text;
}

static inline void end_text(struct toy *toy, struct text *text)
{
    weir_sequence_destroy(&text->sequence);
    assert_null(text->sequence);
    weir_state_check(toy->state);
}

static inline struct text fork_text(const struct toy *toy, const struct text *text)
{
    struct text twin = *text;
    assert_int_equal(weir_sequence_fork(&twin.sequence, text->sequence, NULL), WEIR_OK);
    check_text(toy, &twin);
    check_text(toy, text);
    return twin;
}

static inline void reserve(struct toy *toy, struct text *text, uint32_t n_position)
{
    struct weir_err err = {0};
    const uint32_t lack = weir_sequence_lack(text->sequence, n_position);
    if (weir_state_populate(toy->state, lack, &err) != WEIR_OK ||
        weir_sequence_reserve(text->sequence, n_position, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_sequence_lack(text->sequence, n_position), 0);
    weir_sequence_check(text->sequence);
}

/* One step of what was reserved: as many positions as may be computed in one. */
static inline uint32_t step(struct toy *toy, struct text *text, const uint32_t *ids, uint32_t count)
{
    uint64_t value = 0;
    count = weir_sequence_step_max(text->sequence, count);
    for (uint32_t position = 0; position < text->length; position++)
        value = add_id(value, text->ids[position]);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t position = text->length + index;
        text->ids[position] = ids[index];
        value = add_id(value, ids[index]);
        compute(toy, text, position, value);
    }
    weir_sequence_commit(text->sequence, ids, count);
    text->length += count;
    return count;
}

/* Go on with these ids, chunk by chunk. */
static inline void feed(struct toy *toy, struct text *text, const uint32_t *ids, uint32_t count,
                        uint32_t chunk)
{
    for (uint32_t done = 0; done < count;) {
        const uint32_t n_row = (uint32_t)weir_min(chunk, count - done);
        reserve(toy, text, text->length + n_row);
        done += step(toy, text, ids + done, n_row);
    }
    check_text(toy, text);
}

/* Returns the new length. */
static inline uint32_t rewind_text(const struct toy *toy, struct text *text, uint32_t position)
{
    text->length = weir_sequence_rewind(text->sequence, position);
    assert_true(text->length <= position);
    check_text(toy, text);
    return text->length;
}

static inline uint32_t adopt_text(const struct toy *toy, struct text *text, const uint32_t *ids,
                                  uint32_t count)
{
    text->length = weir_sequence_adopt(text->sequence, ids, count);
    assert_true(text->length == 0 || text->length < count);
    assert_int_equal(text->length % toy->page_length, 0);
    memcpy(text->ids, ids, text->length * sizeof(*ids));
    check_text(toy, text);
    return text->length;
}

/* Ids of the story with this number: stories differ from their first id on. */
static inline void tell_story(uint32_t ids[CTX], uint32_t story)
{
    for (uint32_t position = 0; position < CTX; position++)
        ids[position] = story * 1000 + position % 7;
}

#endif
