/* prefix_recall.c - texts that come back: found, read, checked.
 *
 * I1  A record that a text comes back from has readers: nobody writes in its units meanwhile.
 * I2  What arrives has the checksums of its head, and its head is what the index says. */
#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "prefix/prefix_internal.h"

/* ---- finding --------------------------------------------------------------------------------- */

/* Of the records behind `before`: the one that goes on the longest with these ids, so that a text
 * can go on after it; and one that is a whole page of them. */
struct choice {
    uint32_t end, end_length;
    uint32_t whole;
};

static struct choice choose(const weir_prefix *prefix, const struct weir_hash *before,
                            const uint32_t *ids, uint32_t count)
{
    struct choice choice = {.end = WEIR_NO_UNIT, .whole = WEIR_NO_UNIT};
    const bool needs_block = prefix->shape.block_bytes > 0;
    for (uint32_t record = weir_prefix_bucket_first(prefix, before); record != WEIR_NO_UNIT;
         record = prefix->records[record].next) {
        const struct weir_record *at = &prefix->records[record];
        const uint32_t equal = weir_prefix_record_match(prefix, record, before, ids, count);
        if (equal > choice.end_length && (!needs_block || (at->has_block && equal == at->length))) {
            choice.end = record;
            choice.end_length = equal;
        }
        if (equal == prefix->shape.page_length &&
            (choice.whole == WEIR_NO_UNIT || prefix->records[choice.whole].serial < at->serial))
            choice.whole = record;
    }
    return choice;
}

/* Whether windows find what they see after `length` positions, the last of them in record `end`. */
static bool has_windows(const weir_prefix *prefix, const uint32_t *records, uint32_t place,
                        uint32_t end, uint32_t length)
{
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++) {
        const uint32_t window = prefix->shape.windows[class];
        const uint32_t first = window == 0 || length < window
                                   ? 0
                                   : (length - (window - 1)) / prefix->shape.page_length;
        for (uint32_t at = first; at <= place; at++) {
            const uint32_t record = at == place ? end : records[at];
            if ((prefix->records[record].classes >> class & 1) == 0)
                return false;
        }
    }
    return true;
}

/* The longest beginning: its records go into `records`. */
static uint32_t find_path(const weir_prefix *prefix, const uint32_t *ids, uint32_t count,
                          uint32_t *records)
{
    const uint32_t page_length = prefix->shape.page_length;
    struct weir_hash before = {{0, 0}};
    uint32_t found = 0, last = WEIR_NO_UNIT;
    for (uint32_t place = 0; place < prefix->shape.table_length; place++) {
        const uint32_t begin = place * page_length;
        if (begin + 1 >= count)
            break;
        const uint32_t most = (uint32_t)weir_min(page_length, count - 1 - begin);
        const struct choice choice = choose(prefix, &before, ids + begin, most);
        if (choice.end != WEIR_NO_UNIT &&
            has_windows(prefix, records, place, choice.end, begin + choice.end_length)) {
            found = begin + choice.end_length;
            last = choice.end;
        }
        if (choice.whole == WEIR_NO_UNIT)
            break;
        records[place] = choice.whole;
        before = prefix->records[choice.whole].after;
    }
    if (found > 0)
        records[(found - 1) / page_length] = last;
    return found;
}

uint32_t weir_prefix_find(weir_prefix *prefix, const uint32_t *ids, uint32_t count)
{
    if (prefix->is_given_up || prefix->load_count == WEIR_PREFIX_LOAD_MAX)
        return 0;
    return find_path(prefix, ids, count, prefix->path_records);
}

static uint32_t page_count(const weir_prefix *prefix, uint32_t length)
{
    return (uint32_t)(((uint64_t)length + prefix->shape.page_length - 1) /
                      prefix->shape.page_length);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The load of a sequence; of NULL one that is idle. */
static struct weir_load *find_load(weir_prefix *prefix, const weir_sequence *sequence)
{
    uint32_t load = 0;
    while (load < WEIR_PREFIX_LOAD_MAX && prefix->loads[load].sequence != sequence)
        load++;
    WEIR_ASSERT(load < WEIR_PREFIX_LOAD_MAX);
    return &prefix->loads[load];
}

static void give_records(weir_prefix *prefix, const struct weir_load *load)
{
    for (uint32_t place = 0; place < load->place_count; place++) {
        struct weir_record *at = &prefix->records[load->records[place]];
        if (--at->readers == 0 && at->is_bad)
            weir_prefix_record_drop(prefix, load->records[place]);
    }
}

static void free_load(weir_prefix *prefix, struct weir_load *load)
{
    give_records(prefix, load);
    weir_heap_free(load->records);
    weir_heap_free(load->classes);
    *load = (struct weir_load){.sequence = NULL};
    prefix->load_count--;
}

/* Those at the end first, so that those before them are newer. */
static void take_records(weir_prefix *prefix, struct weir_load *load)
{
    memcpy(load->records, prefix->path_records, load->place_count * sizeof(*load->records));
    for (uint32_t place = load->place_count; place > 0; place--) {
        weir_prefix_record_touch(prefix, load->records[place - 1]);
        prefix->records[load->records[place - 1]].readers++; /* keeps I1 */
    }
}

enum weir_status weir_prefix_recall_begin(weir_prefix *prefix, weir_sequence *sequence,
                                          const uint32_t *ids, uint32_t count,
                                          struct weir_prefix_find *found, struct weir_err *err)
{
    *found = (struct weir_prefix_find){.length = weir_prefix_find(prefix, ids, count)};
    if (found->length == 0)
        return WEIR_OK;
    struct weir_load *load = find_load(prefix, NULL);
    const uint32_t places = page_count(prefix, found->length);
    uint32_t *records = weir_heap_array(places, sizeof(*records));
    uint8_t *classes = weir_heap_array(places, sizeof(*classes));
    if (records == NULL || classes == NULL) {
        weir_heap_free(records);
        weir_heap_free(classes);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a list of %u pages", places);
    }
    *load = (struct weir_load){.sequence = sequence,
                               .length = found->length,
                               .place_count = places,
                               .records = records,
                               .classes = classes};
    prefix->load_count++;
    take_records(prefix, load);
    load->lead = weir_sequence_lead(sequence, ids, found->length);
    found->lack = places - load->lead;
    found->bytes = found->lack * prefix->unit_bytes + prefix->shape.block_bytes;
    return WEIR_OK;
}

void weir_prefix_recall_drop(weir_prefix *prefix, weir_sequence *sequence)
{
    struct weir_load *load = find_load(prefix, sequence);
    WEIR_ASSERT(!load->is_started);
    free_load(prefix, load);
    (void)weir_sequence_rewind(sequence, 0);
}

enum weir_status weir_prefix_recall_go(weir_prefix *prefix, weir_sequence *sequence,
                                       const uint32_t *ids, void *user, struct weir_err *err)
{
    struct weir_load *load = find_load(prefix, sequence);
    WEIR_TRY(weir_sequence_expect(sequence, load->length, err));
    const uint32_t *pages = weir_sequence_pages(sequence);
    for (uint32_t place = 0; place < load->lead; place++)
        load->classes[place] = weir_state_page_classes(prefix->state, pages[place]);
    load->ids = ids;
    load->user = user;
    load->next_place = load->lead;
    load->is_started = true;
    weir_prefix_pump(prefix);
    while (prefix->config.waits && load->sequence == sequence)
        (void)weir_prefix_wait(prefix, -1);
    return WEIR_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The classes of a record that the text looks at. */
static uint8_t wanted_classes(const weir_prefix *prefix, const struct weir_load *load,
                              uint32_t place)
{
    uint8_t wanted = 0;
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++) {
        const uint32_t window = prefix->shape.windows[class];
        /* Twice the window, so that a short step back finds what it sees. */
        const uint32_t seen = (uint32_t)weir_min(2 * (uint64_t)window, load->length);
        if (window == 0 || (place + 1) * (uint64_t)prefix->shape.page_length + seen > load->length)
            wanted |= (uint8_t)(1u << class);
    }
    return wanted;
}

bool weir_prefix_read_start(weir_prefix *prefix, struct weir_transfer *transfer)
{
    uint32_t index = 0;
    while (index < WEIR_PREFIX_LOAD_MAX &&
           (!prefix->loads[index].is_started ||
            prefix->loads[index].next_place == prefix->loads[index].place_count))
        index++;
    if (index == WEIR_PREFIX_LOAD_MAX)
        return false;
    struct weir_load *load = &prefix->loads[index];
    const uint32_t place = load->next_place++;
    const struct weir_record *at = &prefix->records[load->records[place]];
    const uint32_t page = weir_sequence_pages(load->sequence)[place];
    transfer->kind = WEIR_TRANSFER_READ;
    transfer->record = load->records[place];
    transfer->load = index;
    transfer->place = place;
    transfer->classes = wanted_classes(prefix, load, place) & at->classes;
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++)
        transfer->memory[class] = weir_state_page_memory(prefix->state, page, class);
    transfer->block = place + 1 == load->place_count && at->has_block
                          ? weir_sequence_own_block(load->sequence)
                          : NULL;
    load->in_flight++;
    weir_prefix_transfer_begin(prefix, transfer);
    return true;
}

/* Whether all that came is what was written; keeps I2. */
static bool is_whole(const weir_prefix *prefix, const struct weir_transfer *transfer, uint32_t *ids)
{
    const struct weir_record *at = &prefix->records[transfer->record];
    struct weir_prefix_head head;
    if (weir_prefix_head_read(transfer->head, &prefix->limits, &head, prefix->extra, ids) !=
            WEIR_PREFIX_GOOD ||
        head.serial != at->serial || head.length != at->length || head.classes != at->classes ||
        memcmp(&head.before, &at->before, sizeof(head.before)) != 0 ||
        memcmp(ids, weir_prefix_ids_of(prefix, transfer->record), at->length * sizeof(*ids)) != 0)
        return false;
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++)
        if ((transfer->classes >> class & 1) != 0 &&
            weir_prefix_sum(transfer->memory[class], prefix->shape.class_bytes[class]) !=
                head.class_sums[class])
            return false;
    return transfer->block == NULL ||
           weir_prefix_sum(transfer->block, prefix->shape.block_bytes) == head.block_sum;
}

static void tell_loss(weir_prefix *prefix, const struct weir_transfer *transfer)
{
    const unsigned long long offset =
        WEIR_PREFIX_FILE_HEAD_BYTES + transfer->record * prefix->unit_bytes;
    if (transfer->has_failed)
        prefix->stats.failed_reads++;
    else
        prefix->stats.torn_records++;
    weir_prefix_say(prefix, "%s: the page at byte %llu %s (%s): its text is computed again",
                    prefix->path, offset, transfer->has_failed ? "cannot be read" : "is torn",
                    transfer->has_failed ? strerror(transfer->os_errno) : "wrong checksum");
}

/* The best that one record did, which fades: others on their way, and steps between two looks, only
 * make it seem slower. */
static void take_time(weir_prefix *prefix, const struct weir_transfer *transfer)
{
    const double took_s = (double)(weir_now_ns() - transfer->begin_ns + 1) * 1e-9;
    const double speed = (double)transfer->bytes / took_s;
    const double faded = 0.95 * prefix->stats.read_bytes_per_s;
    prefix->stats.read_bytes_per_s = speed > faded ? speed : faded;
}

void weir_prefix_read_end(weir_prefix *prefix, struct weir_transfer *transfer)
{
    struct weir_load *load = &prefix->loads[transfer->load];
    load->in_flight--;
    load->is_given_up |= transfer->is_given_up;
    if (transfer->has_failed || !is_whole(prefix, transfer, prefix->scratch_ids)) {
        tell_loss(prefix, transfer);
        load->next_place = load->place_count; /* what follows is of no use */
        prefix->records[transfer->record].is_bad = true;
        return;
    }
    load->classes[transfer->place] = transfer->classes;
    load->has_block |= transfer->block != NULL;
    prefix->stats.read_records++;
    prefix->stats.read_bytes += transfer->bytes;
    take_time(prefix, transfer);
}

/* ---- arriving -------------------------------------------------------------------------------- */

/* Pages, and the block, that a device which was given up may still write stay nobody's. */
static void abandon(weir_prefix *prefix, const struct weir_load *load)
{
    const uint32_t *pages = weir_sequence_pages(load->sequence);
    for (uint32_t place = load->lead; place < load->place_count; place++)
        (void)weir_state_hold(prefix->state, pages[place]);
    weir_sequence_leave_block(load->sequence);
}

/* Where a device works with pages, it gets those that came. One that is lost gets none. */
static void hand_over(const weir_prefix *prefix, struct weir_load *load)
{
    const uint32_t *pages = weir_sequence_pages(load->sequence);
    bool is_there = true;
    for (uint32_t place = load->lead; place < load->place_count; place++)
        is_there = is_there &&
                   weir_state_carry_page(prefix->state, pages[place], load->classes[place], false);
    if (load->has_block)
        is_there = is_there && weir_state_carry_block(
                                   prefix->state, weir_sequence_own_block(load->sequence), false);
    for (uint32_t place = load->lead; place < load->place_count && !is_there; place++)
        load->classes[place] = 0;
}

static void end_load(weir_prefix *prefix, struct weir_load *load)
{
    void *user = load->user;
    if (load->is_given_up)
        abandon(prefix, load);
    else
        hand_over(prefix, load);
    const uint32_t length = weir_sequence_arrive(load->sequence, load->ids, load->length,
                                                 load->classes, load->has_block);
    free_load(prefix, load);
    prefix->stats.found_tokens += length;
    prefix->config.arrived(user, length);
}

void weir_prefix_loads_end(weir_prefix *prefix)
{
    for (uint32_t index = 0; index < WEIR_PREFIX_LOAD_MAX && prefix->load_count > 0; index++) {
        struct weir_load *load = &prefix->loads[index];
        if (load->is_started && load->in_flight == 0 && load->next_place == load->place_count)
            end_load(prefix, load);
    }
}
