/* sequence.c - one text's table of pages: it grows, is rewound, forked, found again. */
#include <string.h>

#include "base/heap.h"
#include "state/state_internal.h"

uint64_t weir_sequence_bytes(const weir_state *state)
{
    return sizeof(struct weir_sequence) + state->table_length * sizeof(uint32_t) +
           state->block_bytes;
}

enum weir_status weir_sequence_create(weir_sequence **out, weir_state *state, struct weir_err *err)
{
    weir_sequence *sequence = weir_heap_alloc(sizeof(*sequence));
    uint32_t *pages = weir_heap_array(state->table_length, sizeof(*pages));
    if (sequence == NULL || pages == NULL) {
        weir_heap_free(sequence);
        weir_heap_free(pages);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the table of a sequence's pages");
    }
    *sequence = (struct weir_sequence){.state = state, .pages = pages, .block = WEIR_NO_BLOCK};
    if (state->block_bytes > 0) {
        sequence->block = weir_block_take(state);
        if (sequence->block == WEIR_NO_BLOCK) {
            weir_heap_free(sequence);
            weir_heap_free(pages);
            return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                             "no memory for the %llu bytes of a sequence's recurrent state",
                             (unsigned long long)state->block_bytes);
        }
    }
    state->sequence_count++;
    *out = sequence;
    return WEIR_OK;
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
    twin->hash = sequence->hash;
    memcpy(twin->first_kept, sequence->first_kept, sizeof(twin->first_kept));
    /* What the first one has reserved beyond its length stays its own. */
    twin->page_count = (sequence->length + state->page_length - 1) / state->page_length;
    for (uint32_t place = 0; place < twin->page_count; place++) {
        const uint32_t page = sequence->pages[place];
        twin->pages[place] = page;
        weir_page_share(state, page);
        for (uint32_t class = 0; class < state->class_count; class ++)
            state->pages[page].users[class] -= place < twin->first_kept[class];
    }
    if (twin->block != WEIR_NO_BLOCK)
        weir_block_copy(state, twin->block, sequence->block);
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
    WEIR_ASSERT(state->places[layer].kind == WEIR_STATE_RECURRENT);
    return state->block_base + sequence->block * state->block_stride_bytes +
           state->places[layer].at_bytes;
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
    const uint32_t page_length = sequence->state->page_length;
    const uint32_t wanted = (n_position + page_length - 1) / page_length;
    const bool writes = n_position > sequence->length;
    return (wanted > sequence->page_count ? wanted - sequence->page_count : 0) +
           (writes && must_copy(sequence));
}

uint32_t weir_sequence_step_max(const weir_sequence *sequence, uint32_t count)
{
    const struct weir_state *state = sequence->state;
    if (state->block_bytes == 0)
        return count;
    return (uint32_t)weir_min(count, state->page_length - sequence->length % state->page_length);
}

static void copy_page(struct weir_state *state, uint32_t to, uint32_t from)
{
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const struct weir_state_class *at = &state->classes[class];
        if ((state->pages[from].populated >> class & 1) != 0)
            memcpy(at->base + to * at->stride_bytes, at->base + from * at->stride_bytes,
                   at->page_bytes);
    }
    state->stats.copied_pages++;
}

static enum weir_status explain(const weir_sequence *sequence, uint32_t n_position,
                                struct weir_err *err)
{
    struct weir_state_stats stats;
    weir_state_stats_get(sequence->state, &stats);
    return WEIR_FAIL(
        err, WEIR_ERR_NOMEM,
        "no page is left for positions %u to %u: %u of %u pages of %u positions are in "
        "use",
        sequence->length, n_position, stats.used_pages, stats.page_max,
        sequence->state->page_length);
}

enum weir_status weir_sequence_reserve(weir_sequence *sequence, uint32_t n_position,
                                       struct weir_err *err)
{
    struct weir_state *state = sequence->state;
    const uint32_t page_length = state->page_length;
    const uint32_t place = sequence->length / page_length;
    WEIR_ASSERT(n_position <= state->n_ctx);
    if (n_position > sequence->length && must_copy(sequence)) {
        const uint32_t shared = sequence->pages[place];
        const uint32_t page = weir_page_take(state);
        if (page == WEIR_STATE_NO_PAGE)
            return explain(sequence, n_position, err);
        copy_page(state, page, shared);
        weir_page_let_go(state, shared, sequence->first_kept, place);
        sequence->pages[place] = page;
    }
    if (n_position > sequence->length && place < sequence->page_count)
        weir_page_reopen(state, sequence->pages[place]);
    while ((uint64_t)sequence->page_count * page_length < n_position) {
        const uint32_t page = weir_page_take(state);
        if (page == WEIR_STATE_NO_PAGE)
            return explain(sequence, n_position, err);
        sequence->pages[sequence->page_count++] = page;
    }
    return WEIR_OK;
}

/* A page of the table is full: known by the hash of all ids up to its end, unless an equal one is
 * known already; then others find that one. */
static void finish_page(weir_sequence *sequence, uint32_t place)
{
    struct weir_state *state = sequence->state;
    const uint32_t page = sequence->pages[place];
    const uint32_t *ids = weir_page_ids(state, page);
    sequence->hash = weir_hash_page(state, &sequence->hash, ids);
    if (state->pages[page].is_indexed ||
        weir_index_find(state, &sequence->hash, ids) != WEIR_STATE_NO_PAGE)
        return;
    weir_index_put(state, page, &sequence->hash);
    if (sequence->block == WEIR_NO_BLOCK || state->snapshot_left == 0)
        return;
    const uint32_t snapshot = weir_block_take(state);
    if (snapshot == WEIR_NO_BLOCK)
        return;
    weir_block_copy(state, snapshot, sequence->block);
    state->pages[page].snapshot = snapshot;
    state->snapshot_left--;
}

/* Pages that lie wholly before a window are reached no more. */
static void pass_windows(weir_sequence *sequence)
{
    struct weir_state *state = sequence->state;
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint32_t window = state->classes[class].window;
        if (window == 0 || sequence->length < window)
            continue;
        /* The next position sees the window's last window - 1 positions and itself. */
        const uint32_t first = (sequence->length - (window - 1)) / state->page_length;
        for (; sequence->first_kept[class] < first; sequence->first_kept[class]++)
            weir_page_pass(state, sequence->pages[sequence->first_kept[class]], class);
    }
}

void weir_sequence_commit(weir_sequence *sequence, const uint32_t *ids, uint32_t count)
{
    struct weir_state *state = sequence->state;
    const uint32_t page_length = state->page_length;
    WEIR_ASSERT((uint64_t)sequence->length + count <= (uint64_t)sequence->page_count * page_length);
    WEIR_ASSERT(count <= weir_sequence_step_max(sequence, count));
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t place = sequence->length / page_length;
        weir_page_ids(state, sequence->pages[place])[sequence->length % page_length] = ids[index];
        sequence->length++;
        if (sequence->length % page_length == 0)
            finish_page(sequence, place);
    }
    pass_windows(sequence);
}

/* Whether a window has let go of what the next position would see. */
static bool is_out_of_reach(const weir_sequence *sequence, uint32_t position)
{
    const struct weir_state *state = sequence->state;
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint32_t window = state->classes[class].window;
        const uint32_t seen = position < window ? position : window - 1;
        if (window > 0 && seen > 0 &&
            (position - seen) / state->page_length < sequence->first_kept[class])
            return true;
    }
    return false;
}

/* The nearest position at or before this one that can be gone on from. */
static uint32_t find_resumable(const weir_sequence *sequence, uint32_t position)
{
    const struct weir_state *state = sequence->state;
    if (is_out_of_reach(sequence, position))
        return 0;
    if (sequence->block == WEIR_NO_BLOCK || position == sequence->length)
        return position;
    for (uint32_t place = position / state->page_length; place > 0; place--)
        if (state->pages[sequence->pages[place - 1]].snapshot != WEIR_NO_BLOCK &&
            !is_out_of_reach(sequence, place * state->page_length))
            return place * state->page_length;
    return 0;
}

/* The hash of the ids in the first `count` pages. */
static struct weir_hash hash_pages(const weir_sequence *sequence, uint32_t count)
{
    struct weir_hash hash = {{0, 0}};
    for (uint32_t place = 0; place < count; place++)
        hash = weir_hash_page(sequence->state, &hash,
                              weir_page_ids(sequence->state, sequence->pages[place]));
    return hash;
}

uint32_t weir_sequence_rewind(weir_sequence *sequence, uint32_t position)
{
    struct weir_state *state = sequence->state;
    WEIR_ASSERT(position <= sequence->length);
    const uint32_t to = find_resumable(sequence, position);
    const uint32_t whole = to / state->page_length;
    const bool is_shorter = to < sequence->length;
    if (is_shorter && sequence->block != WEIR_NO_BLOCK) {
        const uint32_t snapshot =
            whole == 0 ? WEIR_NO_BLOCK : state->pages[sequence->pages[whole - 1]].snapshot;
        if (snapshot == WEIR_NO_BLOCK)
            memset(state->block_base + sequence->block * state->block_stride_bytes, 0,
                   state->block_bytes);
        else
            weir_block_copy(state, sequence->block, snapshot);
    }
    cut_table(sequence, (to + state->page_length - 1) / state->page_length);
    if (is_shorter) {
        sequence->hash = hash_pages(sequence, whole);
        sequence->length = to;
    }
    if (to == 0)
        memset(sequence->first_kept, 0, sizeof(sequence->first_kept));
    return to;
}

/* A page that others may take over: with what each class's window would see after it. */
static bool is_usable(const struct weir_state *state, const uint32_t *found, uint32_t count)
{
    const uint32_t end = count * state->page_length;
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint32_t window = state->classes[class].window;
        const uint32_t seen = window == 0 || window > end ? end : window - 1;
        for (uint32_t place = (end - seen) / state->page_length; place < count; place++)
            if ((state->pages[found[place]].populated >> class & 1) == 0)
                return false;
    }
    return state->block_bytes == 0 || state->pages[found[count - 1]].snapshot != WEIR_NO_BLOCK;
}

uint32_t weir_sequence_adopt(weir_sequence *sequence, const uint32_t *ids, uint32_t count)
{
    struct weir_state *state = sequence->state;
    struct weir_hash hash = {{0, 0}};
    struct weir_hash usable_hash = hash;
    uint32_t found = 0;
    uint32_t usable = 0;
    WEIR_ASSERT(sequence->length == 0);
    cut_table(sequence, 0);
    while (found < state->table_length && (found + 1) * (uint64_t)state->page_length < count) {
        const uint32_t *page_ids = ids + (size_t)found * state->page_length;
        hash = weir_hash_page(state, &hash, page_ids);
        const uint32_t page = weir_index_find(state, &hash, page_ids);
        if (page == WEIR_STATE_NO_PAGE)
            break;
        sequence->pages[found++] = page;
        if (is_usable(state, sequence->pages, found)) {
            usable = found;
            usable_hash = hash;
        }
    }
    for (uint32_t place = 0; place < usable; place++)
        weir_page_share(state, sequence->pages[place]);
    sequence->page_count = usable;
    sequence->length = usable * state->page_length;
    sequence->hash = usable_hash;
    if (usable > 0 && sequence->block != WEIR_NO_BLOCK)
        weir_block_copy(state, sequence->block, state->pages[sequence->pages[usable - 1]].snapshot);
    state->stats.adopted_pages += usable;
    pass_windows(sequence);
    return sequence->length;
}
