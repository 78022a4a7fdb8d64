/* prefix_save.c - pages of a text on their way into the file.
 *
 * I1  A page is held from when it is queued until its write has ended.
 * I2  A record is listed when all of it is written; before that its units are nobody's. */
#include <errno.h>
#include <string.h>

#include "prefix/prefix_internal.h"

/* After a write that failed, this long nothing is tried, and after one that found no room, this
 * long no more room is asked for: a full disk stays full for a while. */
#define OFF_NS UINT64_C(10000000000)

/* Whether the file has all of a page: these ids, in all classes of the page, and its block. */
static bool is_there(const weir_prefix *prefix, uint32_t record, const struct weir_leaving *leaving,
                     const uint32_t *ids, uint8_t classes)
{
    const struct weir_record *at = &prefix->records[record];
    if (weir_prefix_record_match(prefix, record, &leaving->before, ids, leaving->length) <
            leaving->length ||
        (at->classes & classes) != classes)
        return false;
    return !leaving->has_block || (at->has_block && at->length == leaving->length);
}

static uint32_t find_there(const weir_prefix *prefix, const struct weir_leaving *leaving,
                           const uint32_t *ids, uint8_t classes)
{
    uint32_t record = weir_prefix_bucket_first(prefix, &leaving->before);
    while (record != WEIR_NO_UNIT && !is_there(prefix, record, leaving, ids, classes))
        record = prefix->records[record].next;
    return record;
}

/* The same of a page that is on its way there already. */
static bool is_leaving(const weir_prefix *prefix, const struct weir_leaving *one)
{
    for (uint32_t index = 0; index < prefix->queue_count; index++) {
        const struct weir_leaving *other =
            &prefix->queue[(prefix->queue_first + index) % WEIR_PREFIX_QUEUE_MAX];
        if (other->page == one->page && other->length == one->length &&
            other->has_block >= one->has_block)
            return true;
    }
    for (uint32_t index = 0; index < WEIR_PREFIX_TRANSFER_MAX; index++) {
        const struct weir_transfer *transfer = &prefix->transfers[index];
        if (transfer->kind == WEIR_TRANSFER_WRITE && transfer->leaving.page == one->page &&
            transfer->leaving.length == one->length &&
            transfer->leaving.has_block >= one->has_block)
            return true;
    }
    return false;
}

static void enqueue(weir_prefix *prefix, struct weir_leaving *leaving)
{
    if (prefix->queue_count == WEIR_PREFIX_QUEUE_MAX) {
        prefix->stats.dropped_writes++;
        return;
    }
    leaving->classes = weir_state_hold(prefix->state, leaving->page); /* keeps I1 */
    prefix->queue[(prefix->queue_first + prefix->queue_count++) % WEIR_PREFIX_QUEUE_MAX] = *leaving;
}

static bool may_write(const weir_prefix *prefix)
{
    return !prefix->is_given_up && weir_now_ns() >= prefix->writes_off_ns;
}

/* What a page of the sequence is to become. */
static struct weir_leaving leaving_of(const weir_prefix *prefix, const weir_sequence *sequence,
                                      uint32_t place, const struct weir_hash *before)
{
    const uint32_t page_length = prefix->shape.page_length;
    const uint32_t length = weir_sequence_length(sequence);
    const uint32_t page = weir_sequence_pages(sequence)[place];
    const uint32_t begin = place * page_length;
    struct weir_leaving leaving = {
        .page = page, .length = (uint32_t)weir_min(page_length, length - begin), .before = *before};
    leaving.after = weir_hash_ids(prefix->key, before, weir_state_page_ids(prefix->state, page),
                                  leaving.length);
    if (prefix->shape.block_bytes == 0)
        return leaving;
    leaving.has_block =
        leaving.length == page_length && weir_state_page_block(prefix->state, page) != NULL;
    if (!leaving.has_block && begin + leaving.length == length) {
        leaving.has_block = true;
        leaving.sequence = sequence;
    }
    return leaving;
}

/* Page `place` of the sequence: on its way, or there already, which *there then says. Returns the
 * hash of all ids up to its end. */
static struct weir_hash save_page(weir_prefix *prefix, const weir_sequence *sequence,
                                  uint32_t place, const struct weir_hash *before, uint32_t *there)
{
    struct weir_leaving leaving = leaving_of(prefix, sequence, place, before);
    const uint8_t classes = weir_state_page_classes(prefix->state, leaving.page);
    *there =
        find_there(prefix, &leaving, weir_state_page_ids(prefix->state, leaving.page), classes);
    if (prefix->config.writes_again)
        *there = WEIR_NO_UNIT;
    if (*there == WEIR_NO_UNIT && !is_leaving(prefix, &leaving))
        enqueue(prefix, &leaving);
    return leaving.after;
}

void weir_prefix_save(weir_prefix *prefix, weir_sequence *sequence)
{
    const uint32_t page_length = prefix->shape.page_length;
    const uint32_t length = weir_sequence_length(sequence);
    const uint32_t count = (uint32_t)(((uint64_t)length + page_length - 1) / page_length);
    struct weir_hash before = {{0, 0}};
    if (!may_write(prefix)) {
        prefix->stats.dropped_writes += count;
        return;
    }
    for (uint32_t place = 0; place < count; place++)
        before = save_page(prefix, sequence, place, &before, &prefix->path_records[place]);
    for (uint32_t place = count; place > 0; place--) { /* the first ones become the newest */
        if (prefix->path_records[place - 1] == WEIR_NO_UNIT)
            continue;
        weir_prefix_record_touch(prefix, prefix->path_records[place - 1]);
        prefix->stats.reused_records++;
    }
    weir_prefix_pump(prefix);
    while (prefix->config.waits && prefix->queue_count + prefix->writing > 0)
        (void)weir_prefix_wait(prefix, -1);
}

/* ---- one record ------------------------------------------------------------------------------ */

static void tell_no_room(weir_prefix *prefix, int os_errno, const char *why)
{
    prefix->no_room_ns = weir_now_ns() + OFF_NS;
    prefix->no_room_errno = os_errno;
    weir_prefix_say(prefix,
                    "%s: %s: for the next 10 s new texts take the places of the oldest ones",
                    prefix->path, why);
}

/* A unit that lies in the file. */
static uint32_t take_unit(weir_prefix *prefix)
{
    const uint32_t unit = weir_prefix_unit_take(prefix);
    if (unit == WEIR_NO_UNIT || weir_prefix_reach(prefix, unit))
        return unit;
    weir_prefix_unit_give(prefix, unit);
    tell_no_room(prefix, EFBIG,
                 "the file may not grow (ulimit -f, or files of other models that are in "
                 "use have the bytes of --prefix-bytes)");
    return weir_prefix_unit_take(prefix);
}

/* Units for the record and its block; false: there are none, since all that is there is read, or
 * the file may not grow. */
static bool take_units(weir_prefix *prefix, const struct weir_leaving *leaving, uint32_t *record,
                       uint32_t *extra)
{
    const uint32_t extra_count = leaving->has_block ? prefix->limits.extra_count : 0;
    *extra = WEIR_NO_UNIT;
    *record = take_unit(prefix);
    for (uint32_t index = 0; *record != WEIR_NO_UNIT && index < extra_count; index++) {
        const uint32_t unit = take_unit(prefix);
        if (unit == WEIR_NO_UNIT)
            return false;
        prefix->next_unit[unit] = *extra;
        *extra = unit;
    }
    return *record != WEIR_NO_UNIT;
}

static void give_units(weir_prefix *prefix, uint32_t record, uint32_t extra)
{
    while (extra != WEIR_NO_UNIT) {
        const uint32_t next = prefix->next_unit[extra];
        weir_prefix_unit_give(prefix, extra);
        extra = next;
    }
    if (record != WEIR_NO_UNIT)
        weir_prefix_unit_give(prefix, record);
}

/* The head, with the sums of all that follows it. */
static void write_head(weir_prefix *prefix, struct weir_transfer *transfer, const uint32_t *ids)
{
    const struct weir_record *at = &prefix->records[transfer->record];
    struct weir_prefix_head head = {
        .serial = at->serial, .before = at->before, .length = at->length, .classes = at->classes};
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++)
        if ((at->classes >> class & 1) != 0)
            head.class_sums[class] =
                weir_prefix_sum(transfer->memory[class], prefix->shape.class_bytes[class]);
    if (at->has_block) {
        head.block_sum = weir_prefix_sum(transfer->block, prefix->shape.block_bytes);
        for (uint32_t unit = at->extra; unit != WEIR_NO_UNIT; unit = prefix->next_unit[unit])
            prefix->extra[head.extra_count++] = unit;
    }
    weir_prefix_head_write(transfer->head, &prefix->limits, &head, prefix->extra, ids);
}

/* Where the bytes are, which may have come from a device for this. False: it is lost. */
static bool find_bytes(const weir_prefix *prefix, struct weir_transfer *transfer)
{
    const struct weir_leaving *leaving = &transfer->leaving;
    transfer->block = NULL;
    for (uint32_t class = 0; class < prefix->shape.class_count; class ++)
        transfer->memory[class] = (leaving->classes >> class & 1) == 0
                                      ? NULL
                                      : weir_state_page_memory(prefix->state, leaving->page, class);
    if (leaving->has_block && leaving->sequence != NULL)
        transfer->block = weir_sequence_own_block(leaving->sequence);
    else if (leaving->has_block) /* it is only read */
        transfer->block = (uint8_t *)(uintptr_t)weir_state_page_block(prefix->state, leaving->page);
    return weir_state_carry_page(prefix->state, leaving->page, leaving->classes, true) &&
           (transfer->block == NULL ||
            weir_state_carry_block(prefix->state, transfer->block, true));
}

static void fill_write(weir_prefix *prefix, struct weir_transfer *transfer, uint32_t record,
                       uint32_t extra)
{
    const struct weir_leaving *leaving = &transfer->leaving;
    const uint32_t *ids = weir_state_page_ids(prefix->state, leaving->page);
    transfer->kind = WEIR_TRANSFER_WRITE;
    transfer->record = record;
    transfer->classes = leaving->classes;
    prefix->records[record] = (struct weir_record){.serial = ++prefix->serial,
                                                   .before = leaving->before,
                                                   .after = leaving->after,
                                                   .length = leaving->length,
                                                   .extra = extra,
                                                   .classes = leaving->classes,
                                                   .has_block = leaving->has_block};
    memcpy(weir_prefix_ids_of(prefix, record), ids, leaving->length * sizeof(*ids));
    write_head(prefix, transfer, ids);
    weir_prefix_transfer_begin(prefix, transfer);
    prefix->writing++;
}

static struct weir_leaving pop_queue(weir_prefix *prefix)
{
    const struct weir_leaving first = prefix->queue[prefix->queue_first];
    prefix->queue_first = (prefix->queue_first + 1) % WEIR_PREFIX_QUEUE_MAX;
    prefix->queue_count--;
    return first;
}

void weir_prefix_writes_drop(weir_prefix *prefix)
{
    while (prefix->queue_count > 0) {
        const struct weir_leaving leaving = pop_queue(prefix);
        prefix->stats.dropped_writes++;
        weir_state_release(prefix->state, leaving.page, leaving.classes);
    }
}

static void turn_off(weir_prefix *prefix, const char *what, int os_errno)
{
    prefix->writes_off_ns = weir_now_ns() + OFF_NS;
    weir_prefix_say(prefix, "%s: %s (%s): texts are kept in memory only for the next 10 s",
                    prefix->path, what, strerror(os_errno));
}

bool weir_prefix_write_start(weir_prefix *prefix, struct weir_transfer *transfer)
{
    uint32_t record, extra;
    if (!may_write(prefix))
        weir_prefix_writes_drop(prefix);
    if (prefix->queue_count == 0)
        return false;
    transfer->leaving = pop_queue(prefix);
    if (!take_units(prefix, &transfer->leaving, &record, &extra) || !find_bytes(prefix, transfer)) {
        give_units(prefix, record, extra);
        prefix->stats.dropped_writes++;
        if (weir_now_ns() < prefix->no_room_ns)
            turn_off(prefix, "there is no place for a page", prefix->no_room_errno);
        weir_state_release(prefix->state, transfer->leaving.page, transfer->leaving.classes);
        return true;
    }
    fill_write(prefix, transfer, record, extra);
    return true;
}

/* Records whose text this one has and more: it does for them. Blocks do not: each is of its own
 * length. */
static void drop_shorter(weir_prefix *prefix, uint32_t record)
{
    const struct weir_record *at = &prefix->records[record];
    uint32_t other = weir_prefix_bucket_first(prefix, &at->before);
    while (other != WEIR_NO_UNIT) {
        const struct weir_record *shorter = &prefix->records[other];
        const uint32_t next = shorter->next;
        if (other != record && shorter->readers == 0 && shorter->length <= at->length &&
            (!shorter->has_block || (at->has_block && shorter->length == at->length)) &&
            (shorter->classes & ~at->classes) == 0 &&
            weir_prefix_record_match(prefix, record, &shorter->before,
                                     weir_prefix_ids_of(prefix, other),
                                     shorter->length) == shorter->length)
            weir_prefix_record_drop(prefix, other);
        other = next;
    }
}

/* Whether all of a transfer's units had their room on the disk before. */
static bool had_room(const weir_prefix *prefix, const struct weir_transfer *transfer)
{
    bool had = prefix->was_written[transfer->record] != 0;
    for (uint32_t unit = prefix->records[transfer->record].extra; unit != WEIR_NO_UNIT;
         unit = prefix->next_unit[unit])
        had = had && prefix->was_written[unit] != 0;
    return had;
}

static void mark_written(weir_prefix *prefix, const struct weir_transfer *transfer)
{
    prefix->was_written[transfer->record] = 1;
    for (uint32_t unit = prefix->records[transfer->record].extra; unit != WEIR_NO_UNIT;
         unit = prefix->next_unit[unit])
        prefix->was_written[unit] = 1;
}

/* Nothing was wrong but that the disk is full, and the page can take an older one's place: it is
 * the next that is written. */
static bool write_again(weir_prefix *prefix, const struct weir_transfer *transfer)
{
    const int why = transfer->os_errno;
    if ((why != ENOSPC && why != EDQUOT && why != EFBIG) || had_room(prefix, transfer) ||
        prefix->queue_count == WEIR_PREFIX_QUEUE_MAX)
        return false;
    if (weir_now_ns() >= prefix->no_room_ns)
        tell_no_room(prefix, why, strerror(why));
    prefix->queue_first = (prefix->queue_first + WEIR_PREFIX_QUEUE_MAX - 1) % WEIR_PREFIX_QUEUE_MAX;
    prefix->queue[prefix->queue_first] = transfer->leaving; /* keeps I1 */
    prefix->queue_count++;
    return true;
}

void weir_prefix_write_failed(weir_prefix *prefix, int os_errno)
{
    prefix->stats.failed_writes++;
    if (weir_now_ns() >= prefix->writes_off_ns)
        turn_off(prefix, "a page could not be written", os_errno);
}

void weir_prefix_write_end(weir_prefix *prefix, struct weir_transfer *transfer)
{
    const struct weir_record *at = &prefix->records[transfer->record];
    prefix->writing--;
    if (transfer->has_failed) {
        const bool is_next = write_again(prefix, transfer);
        give_units(prefix, transfer->record, at->extra);
        if (is_next) {
            prefix->stats.failed_writes++;
            return;
        }
        weir_prefix_write_failed(prefix, transfer->os_errno);
    } else {
        mark_written(prefix, transfer);
        weir_prefix_record_add(prefix, transfer->record); /* keeps I2 */
        drop_shorter(prefix, transfer->record);
        prefix->stats.written_records++;
        prefix->stats.written_bytes += transfer->bytes;
    }
    /* What was given up may still be read by the device, which does no harm. */
    weir_state_release(prefix->state, transfer->leaving.page, transfer->leaving.classes);
}
