/* carry.c - pages and blocks as whoever carries them elsewhere sees them. */
#include "state/state_internal.h"

uint8_t weir_state_page_classes(const weir_state *state, uint32_t page)
{
    return state->pages[page].populated;
}

void *weir_state_page_memory(const weir_state *state, uint32_t page, uint32_t class)
{
    WEIR_ASSERT((state->pages[page].populated >> class & 1) != 0);
    return state->classes[class].base + page * state->classes[class].stride_bytes;
}

const uint32_t *weir_state_page_ids(const weir_state *state, uint32_t page)
{
    return weir_page_ids(state, page);
}

const void *weir_state_page_block(const weir_state *state, uint32_t page)
{
    const uint32_t block = state->pages[page].snapshot;
    return block == WEIR_NO_BLOCK ? NULL : weir_block_memory(state, block);
}

void *weir_sequence_own_block(const weir_sequence *sequence)
{
    return sequence->block == WEIR_NO_BLOCK ? NULL
                                            : weir_block_memory(sequence->state, sequence->block);
}

void weir_sequence_leave_block(weir_sequence *sequence)
{
    const uint32_t block =
        sequence->block == WEIR_NO_BLOCK ? WEIR_NO_BLOCK : weir_block_take(sequence->state);
    if (block == WEIR_NO_BLOCK)
        return;
    sequence->block = block;
    sequence->state->lost_blocks++;
    WEIR_SEQUENCE_CHECK(sequence);
}

bool weir_state_carry_page(const weir_state *state, uint32_t page, uint8_t classes, bool comes)
{
    for (uint32_t layer = 0; layer < state->layer_count && state->carry != NULL; layer++) {
        const struct weir_state_place *place = &state->places[layer];
        const bool is_paged =
            place->kind == WEIR_STATE_POSITIONS || place->kind == WEIR_STATE_WINDOW;
        if (place->is_carried && is_paged && (classes >> place->class & 1) != 0)
            state->carry(state->copy_user, layer, page,
                         (uint8_t *)weir_state_page_memory(state, page, place->class) +
                             place->at_bytes,
                         comes);
    }
    return state->carry == NULL || state->carried(state->copy_user);
}

bool weir_state_carry_block(const weir_state *state, void *block, bool comes)
{
    const uint64_t at_bytes = (uint64_t)((uint8_t *)block - state->block_base);
    const uint32_t number = (uint32_t)(at_bytes / state->block_stride_bytes);
    for (uint32_t layer = 0; layer < state->layer_count && state->carry != NULL; layer++) {
        const struct weir_state_place *place = &state->places[layer];
        if (place->is_carried && place->kind == WEIR_STATE_RECURRENT)
            state->carry(state->copy_user, layer, number, (uint8_t *)block + place->at_bytes,
                         comes);
    }
    return state->carry == NULL || state->carried(state->copy_user);
}

uint8_t weir_state_hold(weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    WEIR_ASSERT(at->refs > 0);
    at->refs++; /* keeps I9 */
    at->holds++;
    for (uint32_t class = 0; class < state->class_count; class ++)
        at->users[class] += at->populated >> class & 1;
    WEIR_STATE_CHECK(state);
    return at->populated;
}

void weir_state_release(weir_state *state, uint32_t page, uint8_t classes)
{
    uint32_t first_kept[WEIR_STATE_CLASS_MAX] = {0};
    for (uint32_t class = 0; class < state->class_count; class ++)
        first_kept[class] = (classes >> class & 1) == 0;
    state->pages[page].holds--;
    weir_page_let_go(state, page, first_kept, 0);
    WEIR_STATE_CHECK(state);
}
