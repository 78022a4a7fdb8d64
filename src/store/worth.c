/* worth.c - which records of a guess are worth a read.
 *
 * A wrong guess costs what a right one saves: the device's time, and the slot of another record.
 * Most records that are guessed rightly have a slot already, so how often a whole guess is right
 * says little. Counted are only records that would have to be read, whether they are read or not:
 * how many of them the layer's next step used. A guess has parts, the likeliest records first, and
 * each part has its own counts. A guess about the layer after the next is less often
 * right than one about the next, and is counted apart. */
#include "store/store_internal.h"

enum {
    TRUSTED = 4,      /* a part begins as if so many of its records had been used */
    REMEMBERED = 256, /* of the last records of a part; texts change */
};

/* Whether the record would have to be read: it has no slot but what look-ahead gave it. */
static bool is_missing(const struct weir_store *store, uint32_t layer, uint32_t record)
{
    const uint32_t slot = weir_cache_find(&store->cache, layer, record);
    return slot == WEIR_NO_SLOT || store->slots[slot].is_ahead;
}

static bool is_worth_it(const struct weir_guess *guess, uint32_t part)
{
    return 2.0f * (guess->used[part] + TRUSTED) >= guess->seen[part] + TRUSTED;
}

/* The record is wanted by the step that has begun. */
static bool is_wanted(const struct weir_store *store, uint32_t record)
{
    const struct weir_step *step = &store->step;
    for (uint32_t index = 0; index < step->count; index++)
        if (step->records[index] == record)
            return true;
    return false;
}

uint32_t weir_worth_cut(struct weir_store *store, uint32_t layer, const uint32_t *records,
                        uint32_t count)
{
    struct weir_worth *worth = &store->worth;
    const bool is_next = worth->next.layer == WEIR_LAYER_ANY || worth->next.layer == layer;
    struct weir_guess *guess = is_next ? &worth->next : &worth->further;
    uint32_t kept = count;
    guess->layer = layer;
    guess->count = 0;
    for (uint32_t index = count; index > 0; index--) {
        const uint32_t part = (index - 1) * WEIR_GUESS_PARTS / count;
        if (!is_worth_it(guess, part))
            kept = index - 1;
        if (!is_missing(store, layer, records[index - 1]))
            continue;
        guess->missing[guess->count] = records[index - 1];
        guess->part[guess->count++] = (uint8_t)part;
    }
    return kept;
}

static void learn_from(const struct weir_store *store, struct weir_guess *guess)
{
    if (guess->layer != store->step.layer)
        return;
    guess->layer = WEIR_LAYER_ANY;
    for (uint32_t index = 0; index < guess->count; index++) {
        const uint32_t part = guess->part[index];
        guess->seen[part] += 1.0f;
        guess->used[part] += (float)is_wanted(store, guess->missing[index]);
        if (guess->seen[part] > REMEMBERED) {
            guess->seen[part] /= 2.0f;
            guess->used[part] /= 2.0f;
        }
    }
}

void weir_worth_learn(struct weir_store *store)
{
    learn_from(store, &store->worth.next);
    learn_from(store, &store->worth.further);
}
