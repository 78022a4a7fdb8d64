/* sequence.c - one text's table of pages: it grows, is rewound, forked, found again. */
#include <string.h>

#include "base/heap.h"
#include "state/state_internal.h"

uint64_t weir_sequence_bytes(const weir_state *state)
{
    return sizeof(struct weir_sequence) + state->table_length * sizeof(uint32_t);
}

static enum weir_status take_block(weir_sequence *sequence, struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    while (state->free_block == WEIR_NO_BLOCK && weir_block_forget_oldest(state))
        continue;
    if (state->sequence_count == WEIR_STATE_BLOCK_MAX || state->free_block == WEIR_NO_BLOCK)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "a text more with recurrent state is wanted, and %u are the most%s; end "
                         "another text first",
                         state->sequence_count,
                         state->copy_block == NULL ? "" : " that the GPU has room for (--gpu-mem)");
    sequence->block = weir_block_take(state);
    if (sequence->block == WEIR_NO_BLOCK)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "the kernel has no memory for the %llu bytes of a text's recurrent state",
                         (unsigned long long)state->block_bytes);
    return WEIR_OK;
}

enum weir_status weir_sequence_create(weir_sequence **out, weir_state *state, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_sequence *sequence = weir_heap_alloc(sizeof(*sequence));
    uint32_t *pages = weir_heap_array(state->table_length, sizeof(*pages));
    if (sequence == NULL || pages == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the table of a text's %u pages",
                           state->table_length);
        goto fail;
    }
    *sequence = (struct weir_sequence){.state = state, .pages = pages, .block = WEIR_NO_BLOCK};
    if (state->block_bytes > 0)
        WEIR_TRY_GOTO(take_block(sequence, err));
    state->sequence_count++;
    WEIR_SEQUENCE_CHECK(sequence);
    *out = sequence;
    return WEIR_OK;

fail:
    weir_heap_free(sequence);
    weir_heap_free(pages);
    return status;
}

/* Let go of the pages from `first` on. */
static void cut_table(weir_sequence *sequence, uint32_t first)
{
    while (sequence->page_count > first) {
        const uint32_t place = --sequence->page_count;
        weir_page_let_go(sequence->state, sequence->pages[place], sequence->first_kept, place);
    }
}

void weir_sequence_destroy(weir_sequence **sequence)
{
    weir_sequence *ending = *sequence;
    if (ending == NULL)
        return;
    cut_table(ending, 0);
    if (ending->block != WEIR_NO_BLOCK)
        weir_block_give(ending->state, ending->block);
    ending->state->sequence_count--;
    WEIR_STATE_CHECK(ending->state);
    weir_heap_free(ending->pages);
    weir_heap_free(ending);
    *sequence = NULL;
}

enum weir_status weir_sequence_fork(weir_sequence **out, const weir_sequence *sequence,
                                    struct weir_err *err)
{
    weir_sequence *twin = NULL;
    struct weir_state *state = sequence->state;
    WEIR_TRY(weir_sequence_create(&twin, state, err));
    twin->length = sequence->length;
    twin->is_ahead = sequence->is_ahead;
    memcpy(twin->first_kept, sequence->first_kept, sizeof(twin->first_kept));
    /* What the first one has reserved beyond its length stays its own. */
    twin->page_count = weir_page_count(state, sequence->length);
    for (uint32_t place = 0; place < twin->page_count; place++) {
        const uint32_t page = sequence->pages[place];
        twin->pages[place] = page;
        weir_page_share(state, page);
        for (uint32_t class = 0; class < state->class_count; class ++)
            state->pages[page].users[class] -= place < twin->first_kept[class];
    }
    if (twin->block != WEIR_NO_BLOCK)
        weir_block_copy(state, twin->block, sequence->block);
    WEIR_SEQUENCE_CHECK(sequence);
    WEIR_SEQUENCE_CHECK(twin);
    *out = twin;
    return WEIR_OK;
}

uint32_t weir_sequence_length(const weir_sequence *sequence)
{
    return sequence->length;
}

const uint32_t *weir_sequence_pages(const weir_sequence *sequence)
{
    return sequence->pages;
}

uint32_t weir_sequence_id(const weir_sequence *sequence, uint32_t position)
{
    const struct weir_state *state = sequence->state;
    WEIR_ASSERT(position < sequence->length);
    return weir_page_ids(
        state, sequence->pages[position / state->page_length])[position % state->page_length];
}

void *weir_sequence_block(const weir_sequence *sequence, uint32_t layer)
{
    const struct weir_state *state = sequence->state;
    WEIR_ASSERT(layer < state->layer_count && state->places[layer].kind == WEIR_STATE_RECURRENT);
    return state->block_base + sequence->block * state->block_stride_bytes +
           state->places[layer].at_bytes;
}

uint32_t weir_sequence_block_number(const weir_sequence *sequence)
{
    return sequence->block;
}

/* The last page is partly filled, and another table has it too. */
static bool must_copy(const weir_sequence *sequence)
{
    const struct weir_state *state = sequence->state;
    const uint32_t place = sequence->length / state->page_length;
    return place < sequence->page_count && state->pages[sequence->pages[place]].refs > 1;
}

uint32_t weir_sequence_lack(const weir_sequence *sequence, uint32_t n_position)
{
    const uint32_t wanted = weir_page_count(sequence->state, n_position);
    const bool writes = n_position > sequence->length;
    return (wanted > sequence->page_count ? wanted - sequence->page_count : 0) +
           (writes && must_copy(sequence));
}

uint32_t weir_sequence_step_max(const weir_sequence *sequence, uint32_t count)
{
    const struct weir_state *state = sequence->state;
    if (state->block_bytes == 0)
        return count;
    const uint32_t length = state->snapshot_length;
    return (uint32_t)weir_min(count, length - sequence->length % length);
}

static void copy_page(struct weir_state *state, uint32_t to, uint32_t from)
{
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const struct weir_state_class *at = &state->classes[class];
        if ((state->pages[from].populated >> class & 1) != 0)
            memcpy(at->base + to * at->stride_bytes, at->base + from * at->stride_bytes,
                   at->page_bytes);
    }
    if (state->copy_elsewhere != NULL)
        state->copy_elsewhere(state->copy_user, to, from);
    state->stats.copied_pages++;
}

/* A page of its own where the next position lies in one that another table has too. */
static enum weir_status copy_last(weir_sequence *sequence, struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    const uint32_t place = sequence->length / state->page_length;
    const uint32_t shared = sequence->pages[place];
    const uint32_t page = weir_page_take(state);
    if (page == WEIR_STATE_NO_PAGE)
        return weir_page_refuse(state, err);
    copy_page(state, page, shared);
    weir_page_let_go(state, shared, sequence->first_kept, place);
    sequence->pages[place] = page;
    return WEIR_OK;
}

/* Pages for so many positions, those that it has included. */
static enum weir_status take_pages(weir_sequence *sequence, uint32_t n_position,
                                   struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    while (sequence->page_count < weir_page_count(state, n_position)) {
        const uint32_t page = weir_page_take(state);
        if (page == WEIR_STATE_NO_PAGE)
            return weir_page_refuse(state, err);
        sequence->pages[sequence->page_count++] = page;
    }
    sequence->is_ahead = true;
    WEIR_SEQUENCE_CHECK(sequence);
    return WEIR_OK;
}

enum weir_status weir_sequence_reserve(weir_sequence *sequence, uint32_t n_position,
                                       struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    const uint32_t place = sequence->length / state->page_length;
    WEIR_ASSERT(n_position <= state->n_ctx);
    if (n_position <= sequence->length)
        return WEIR_OK;
    if (must_copy(sequence))
        WEIR_TRY(copy_last(sequence, err));
    if (place < sequence->page_count)
        weir_page_reopen(state, sequence->pages[place]); /* keeps I4 */
    return take_pages(sequence, n_position, err);
}

/* Pages may be written: no other table has them, and nobody finds them. */
static void check_own(const weir_sequence *sequence, uint32_t first, uint32_t count)
{
    for (uint32_t place = first; place < count; place++) {
        const struct weir_page *at = &sequence->state->pages[sequence->pages[place]];
        WEIR_ASSERT(at->refs == 1 && !at->is_indexed); /* keeps I4 */
    }
}

/* The hash of the ids in all pages before this one of the table. */
static struct weir_hash hash_before(const weir_sequence *sequence, uint32_t place)
{
    return place == 0 ? (struct weir_hash){{0, 0}}
                      : sequence->state->pages[sequence->pages[place - 1]].hash;
}

/* The first page that a position sees or is written in, for layers of a class. */
static uint32_t first_seen(const struct weir_state *state, uint32_t class, uint32_t position)
{
    const uint32_t window = state->classes[class].window; /* with the position itself */
    return window == 0 || position < window ? 0 : (position - (window - 1)) / state->page_length;
}

/* The first page that a window keeps: what it sees after a short rewind, too. */
static uint32_t first_wanted(const weir_sequence *sequence, uint32_t class)
{
    const struct weir_state *state = sequence->state;
    const uint32_t back = (uint32_t)weir_min(state->rewind_length, sequence->length);
    return first_seen(state, class, sequence->length - back);
}

/* Pages before `first` are reached no more. */
static void pass_window(weir_sequence *sequence, uint32_t class, uint32_t first)
{
    uint32_t *first_kept = &sequence->first_kept[class];
    for (; *first_kept < first; ++*first_kept)
        weir_page_pass(sequence->state, sequence->pages[*first_kept], class);
}

void weir_sequence_commit(weir_sequence *sequence, const uint32_t *ids, uint32_t count)
{
    struct weir_state *state = sequence->state;
    const uint32_t page_length = state->page_length;
    if (count == 0)
        return;
    WEIR_ASSERT((uint64_t)sequence->length + count <= (uint64_t)sequence->page_count * page_length);
    WEIR_ASSERT(count <= weir_sequence_step_max(sequence, count));
    check_own(sequence, sequence->length / page_length,
              weir_page_count(state, sequence->length + count));
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t place = sequence->length / page_length;
        const uint32_t page = sequence->pages[place];
        weir_page_ids(state, page)[sequence->length % page_length] = ids[index];
        sequence->length++;
        if (sequence->length % page_length > 0)
            continue;
        const struct weir_hash before = hash_before(sequence, place);
        weir_page_finish(state, page, &before);
        if (sequence->block != WEIR_NO_BLOCK && sequence->length % state->snapshot_length == 0)
            weir_page_snapshot(state, page, sequence->block, sequence->pages, place);
    }
    sequence->is_ahead = false;
    for (uint32_t class = 0; class < state->class_count; class ++)
        pass_window(sequence, class, first_wanted(sequence, class));
    WEIR_SEQUENCE_CHECK(sequence);
}

/* Whether there is all that the next position needs, were the sequence only as long as this. */
static bool can_go_on(const weir_sequence *sequence, uint32_t length)
{
    const struct weir_state *state = sequence->state;
    const uint32_t count = weir_page_count(state, length);
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint32_t first = first_seen(state, class, length);
        if (first < sequence->first_kept[class] && first < count)
            return false;
    }
    if (sequence->block == WEIR_NO_BLOCK || length == 0 ||
        (length == sequence->length && !sequence->is_ahead))
        return true;
    return length % state->page_length == 0 &&
           state->pages[sequence->pages[count - 1]].snapshot != WEIR_NO_BLOCK;
}

/* The longest length, at most this, from which it can go on. */
uint32_t weir_sequence_reach(const weir_sequence *sequence, uint32_t position)
{
    const uint32_t page_length = sequence->state->page_length;
    WEIR_ASSERT(position <= sequence->length);
    if (can_go_on(sequence, position))
        return position;
    uint32_t length = position / page_length * page_length;
    while (!can_go_on(sequence, length))
        length -= page_length;
    return length;
}

/* The block as it was after `length` positions, of which there is a snapshot. */
static void restore_block(weir_sequence *sequence, uint32_t length)
{
    struct weir_state *state = sequence->state;
    const uint32_t count = length / state->page_length;
    if (length == 0)
        weir_block_clear(state, sequence->block);
    else
        weir_block_copy(state, sequence->block, state->pages[sequence->pages[count - 1]].snapshot);
}

uint32_t weir_sequence_rewind(weir_sequence *sequence, uint32_t position)
{
    const struct weir_state *state = sequence->state;
    const uint32_t to = weir_sequence_reach(sequence, position);
    if (sequence->block != WEIR_NO_BLOCK && (to < sequence->length || sequence->is_ahead))
        restore_block(sequence, to);
    cut_table(sequence, weir_page_count(state, to));
    for (uint32_t class = 0; class < state->class_count; class ++)
        sequence->first_kept[class] =
            (uint32_t)weir_min(sequence->first_kept[class], sequence->page_count);
    sequence->length = to;
    sequence->is_ahead = false;
    WEIR_SEQUENCE_CHECK(sequence);
    return to;
}

/* Whether a sequence can go on after these pages: they have what each window would see. */
static bool is_usable(const struct weir_state *state, const uint32_t *found, uint32_t count)
{
    for (uint32_t class = 0; class < state->class_count; class ++)
        for (uint32_t place = first_seen(state, class, count * state->page_length); place < count;
             place++)
            if ((state->pages[found[place]].populated >> class & 1) == 0)
                return false;
    return state->block_bytes == 0 || state->pages[found[count - 1]].snapshot != WEIR_NO_BLOCK;
}

/* The first page that a window may keep: from there on all have its memory. */
static uint32_t first_with_memory(const weir_sequence *sequence, uint32_t class)
{
    const struct weir_state *state = sequence->state;
    const uint32_t wanted = first_wanted(sequence, class);
    uint32_t first =
        (uint32_t)weir_min(first_seen(state, class, sequence->length), sequence->page_count);
    while (first > wanted && (state->pages[sequence->pages[first - 1]].populated >> class & 1) != 0)
        first--;
    return first;
}

uint32_t weir_sequence_adopt(weir_sequence *sequence, const uint32_t *ids, uint32_t count)
{
    struct weir_state *state = sequence->state;
    struct weir_hash hash = {{0, 0}};
    uint32_t found = 0;
    uint32_t usable = 0;
    WEIR_ASSERT(sequence->length == 0);
    weir_sequence_rewind(sequence, 0); /* nothing is reserved any more */
    while (found < state->table_length && (found + 1) * (uint64_t)state->page_length < count) {
        const uint32_t *page_ids = ids + (size_t)found * state->page_length;
        hash = weir_hash_page(state, &hash, page_ids);
        const uint32_t page = weir_index_find(state, &hash, page_ids);
        if (page == WEIR_STATE_NO_PAGE)
            break;
        sequence->pages[found++] = page;
        if (is_usable(state, sequence->pages, found))
            usable = found;
    }
    for (uint32_t place = 0; place < usable; place++)
        weir_page_share(state, sequence->pages[place]);
    sequence->page_count = usable;
    sequence->length = usable * state->page_length;
    if (usable > 0 && sequence->block != WEIR_NO_BLOCK)
        restore_block(sequence, sequence->length);
    state->stats.adopted_pages += usable;
    for (uint32_t class = 0; class < state->class_count; class ++)
        pass_window(sequence, class, first_with_memory(sequence, class));
    WEIR_SEQUENCE_CHECK(sequence);
    return sequence->length;
}

/* ---- what comes from elsewhere -------------------------------------------------------------- */

/* Whether page `place` has all that a text of so many positions looks at. */
static bool is_wanted_whole(const struct weir_state *state, uint8_t classes, uint32_t place,
                            uint32_t length)
{
    for (uint32_t class = 0; class < state->class_count; class ++)
        if (place >= first_seen(state, class, length) && (classes >> class & 1) == 0)
            return false;
    return true;
}

/* Windows let go of all pages before the last run of those that have their class. */
static void pass_lacking(weir_sequence *sequence, uint32_t class, const uint8_t *classes)
{
    const struct weir_state *state = sequence->state;
    uint32_t first = sequence->page_count;
    while (first > 0 && (classes[first - 1] >> class & 1) != 0)
        first--;
    if (state->classes[class].window > 0)
        first = (uint32_t)weir_max(first,
                                   weir_min(first_wanted(sequence, class), sequence->page_count));
    pass_window(sequence, class, first);
}

uint32_t weir_sequence_lead(weir_sequence *sequence, const uint32_t *ids, uint32_t length)
{
    struct weir_state *state = sequence->state;
    struct weir_hash hash = {{0, 0}};
    /* The block of the last page comes with it, from where it is. */
    const uint32_t most = state->block_bytes > 0 && length > 0 ? length - 1 : length;
    WEIR_ASSERT(sequence->length == 0 && length <= state->n_ctx);
    weir_sequence_rewind(sequence, 0); /* nothing is reserved any more */
    while ((sequence->page_count + 1) * (uint64_t)state->page_length <= most) {
        const uint32_t place = sequence->page_count;
        const uint32_t *page_ids = ids + (size_t)place * state->page_length;
        hash = weir_hash_page(state, &hash, page_ids);
        const uint32_t page = weir_index_find(state, &hash, page_ids);
        if (page == WEIR_STATE_NO_PAGE ||
            !is_wanted_whole(state, state->pages[page].populated, place, length))
            break;
        weir_page_share(state, page);
        sequence->pages[sequence->page_count++] = page;
    }
    for (uint32_t class = 0; class < state->class_count; class ++) {
        uint32_t first = sequence->page_count;
        while (first > 0 && (state->pages[sequence->pages[first - 1]].populated >> class & 1) != 0)
            first--;
        pass_window(sequence, class, first);
    }
    sequence->is_ahead = true;
    WEIR_SEQUENCE_CHECK(sequence);
    return sequence->page_count;
}

enum weir_status weir_sequence_expect(weir_sequence *sequence, uint32_t length,
                                      struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    WEIR_ASSERT(sequence->length == 0 && length <= state->n_ctx);
    return take_pages(sequence, length, err);
}

/* Whether a text of so many positions can go on from pages that have these classes. */
static bool can_begin(const struct weir_state *state, uint32_t length, const uint8_t *classes)
{
    for (uint32_t place = 0; place < weir_page_count(state, length); place++)
        if (!is_wanted_whole(state, classes[place], place, length))
            return false;
    return true;
}

/* A page that came has these ids; when it is full others find it. */
static void name_page(weir_sequence *sequence, uint32_t place, const uint32_t *ids, uint32_t count)
{
    struct weir_state *state = sequence->state;
    const uint32_t page = sequence->pages[place];
    if (state->pages[page].is_indexed) /* it was here */
        return;
    memcpy(weir_page_ids(state, page), ids, count * sizeof(*ids));
    if (count < state->page_length)
        return;
    const struct weir_hash before = hash_before(sequence, place);
    weir_page_finish(state, page, &before);
}

uint32_t weir_sequence_arrive(weir_sequence *sequence, const uint32_t *ids, uint32_t length,
                              const uint8_t *classes, bool has_block)
{
    struct weir_state *state = sequence->state;
    const uint32_t page_length = state->page_length;
    const uint32_t wanted = length;
    WEIR_ASSERT(sequence->length == 0 && weir_page_count(state, length) <= sequence->page_count);
    while (length > 0 && !can_begin(state, length, classes))
        length = (length - 1) / page_length * page_length;
    if (sequence->block != WEIR_NO_BLOCK && (length < wanted || !has_block))
        length = 0;
    if (sequence->block != WEIR_NO_BLOCK && length == 0)
        weir_block_clear(state, sequence->block);
    cut_table(sequence, weir_page_count(state, length));
    for (uint32_t place = 0; place < sequence->page_count; place++)
        name_page(sequence, place, ids + (size_t)place * page_length,
                  (uint32_t)weir_min(page_length, length - place * page_length));
    sequence->length = length;
    sequence->is_ahead = false;
    for (uint32_t class = 0; class < state->class_count; class ++) {
        sequence->first_kept[class] =
            (uint32_t)weir_min(sequence->first_kept[class], sequence->page_count);
        pass_lacking(sequence, class, classes);
    }
    WEIR_SEQUENCE_CHECK(sequence);
    return length;
}
