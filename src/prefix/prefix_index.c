/* prefix_index.c - which records there are, which follow which text, and who gives up its room.
 *
 * I1  A unit is free, the first of a record, one of a record's block, or of a write in flight.
 * I2  A listed record is in one bucket, and in the list by use.
 * I3  Who uses a record makes those before it newer than it: the oldest one is behind nobody. */
#include <string.h>

#include "prefix/prefix_internal.h"

uint32_t *weir_prefix_ids_of(const weir_prefix *prefix, uint32_t record)
{
    return prefix->ids + (size_t)record * prefix->shape.page_length;
}

static uint32_t *bucket_of(const weir_prefix *prefix, const struct weir_hash *before)
{
    return &prefix->buckets[before->word[0] & (prefix->bucket_count - 1)];
}

uint32_t weir_prefix_bucket_first(const weir_prefix *prefix, const struct weir_hash *before)
{
    return *bucket_of(prefix, before);
}

/* No records; which units are free is the caller's to say. */
void weir_prefix_index_clear(weir_prefix *prefix)
{
    for (uint32_t bucket = 0; bucket < prefix->bucket_count; bucket++)
        prefix->buckets[bucket] = prefix->after_buckets[bucket] = WEIR_NO_UNIT;
    prefix->order = weir_order_of(&prefix->records[0].order, sizeof(prefix->records[0]));
    prefix->free_unit = prefix->free_room = WEIR_NO_UNIT;
}

void weir_prefix_unit_give(weir_prefix *prefix, uint32_t unit)
{
    uint32_t *first = prefix->was_written[unit] ? &prefix->free_room : &prefix->free_unit;
    prefix->next_unit[unit] = *first;
    *first = unit;
}

/* ---- by use ---------------------------------------------------------------------------------- */

void weir_prefix_record_touch(weir_prefix *prefix, uint32_t record)
{
    weir_order_take_out(&prefix->order, record);
    weir_order_put_newest(&prefix->order, record);
}

/* ---- records --------------------------------------------------------------------------------- */

static uint32_t unit_count_of(const weir_prefix *prefix, const struct weir_record *at)
{
    return 1 + (at->has_block ? prefix->limits.extra_count : 0);
}

static uint32_t *after_bucket_of(const weir_prefix *prefix, const struct weir_record *at)
{
    return &prefix->after_buckets[at->after.word[0] & (prefix->bucket_count - 1)];
}

/* The record that this one goes on behind; WEIR_NO_UNIT. */
static uint32_t find_parent(const weir_prefix *prefix, const struct weir_record *at)
{
    uint32_t other = prefix->after_buckets[at->before.word[0] & (prefix->bucket_count - 1)];
    while (other != WEIR_NO_UNIT &&
           memcmp(&prefix->records[other].after, &at->before, sizeof(at->before)) != 0)
        other = prefix->records[other].next_after;
    return other;
}

void weir_prefix_record_add(weir_prefix *prefix, uint32_t record)
{
    struct weir_record *at = &prefix->records[record];
    uint32_t *bucket = bucket_of(prefix, &at->before);
    uint32_t *after_bucket = after_bucket_of(prefix, at);
    const uint32_t parent = find_parent(prefix, at);
    at->is_listed = true; /* keeps I2 */
    at->next = *bucket;
    *bucket = record;
    at->next_after = *after_bucket;
    *after_bucket = record;
    if (parent == WEIR_NO_UNIT)
        weir_order_put_newest(&prefix->order, record);
    else
        weir_order_put_before(&prefix->order, record, parent); /* keeps I3 */
    prefix->stats.records++;
    prefix->stats.disk_bytes += unit_count_of(prefix, at) * prefix->unit_bytes;
}

void weir_prefix_record_drop(weir_prefix *prefix, uint32_t record)
{
    struct weir_record *at = &prefix->records[record];
    uint32_t *place = bucket_of(prefix, &at->before);
    WEIR_ASSERT(at->is_listed && at->readers == 0);
    while (*place != record)
        place = &prefix->records[*place].next;
    *place = at->next;
    for (place = after_bucket_of(prefix, at); *place != record;)
        place = &prefix->records[*place].next_after;
    *place = at->next_after;
    weir_order_take_out(&prefix->order, record);
    at->is_listed = false;
    prefix->stats.records--;
    prefix->stats.disk_bytes -= unit_count_of(prefix, at) * prefix->unit_bytes;
    for (uint32_t unit = at->has_block ? at->extra : WEIR_NO_UNIT; unit != WEIR_NO_UNIT;) {
        const uint32_t next = prefix->next_unit[unit];
        weir_prefix_unit_give(prefix, unit);
        unit = next;
    }
    weir_prefix_unit_give(prefix, record);
}

/* The list from which the next unit comes: what has its room already makes the file no larger. */
static uint32_t *find_free(weir_prefix *prefix)
{
    const bool may_grow = weir_now_ns() >= prefix->no_room_ns;
    return prefix->free_room == WEIR_NO_UNIT && may_grow ? &prefix->free_unit : &prefix->free_room;
}

uint32_t weir_prefix_unit_take(weir_prefix *prefix)
{
    uint32_t record = prefix->order.oldest;
    while (*find_free(prefix) == WEIR_NO_UNIT && record != WEIR_NO_UNIT) {
        const uint32_t newer = weir_order_newer(&prefix->order, record);
        if (prefix->records[record].readers == 0) {
            weir_prefix_record_drop(prefix, record);
            prefix->stats.evicted_records++;
        }
        record = newer;
    }
    uint32_t *first = find_free(prefix);
    const uint32_t unit = *first;
    if (unit != WEIR_NO_UNIT)
        *first = prefix->next_unit[unit];
    return unit;
}

uint32_t weir_prefix_record_match(const weir_prefix *prefix, uint32_t record,
                                  const struct weir_hash *before, const uint32_t *ids,
                                  uint32_t count)
{
    const struct weir_record *at = &prefix->records[record];
    const uint32_t *own = weir_prefix_ids_of(prefix, record);
    const uint32_t most = (uint32_t)weir_min(count, at->length);
    uint32_t equal = 0;
    if (at->is_bad || memcmp(&at->before, before, sizeof(*before)) != 0)
        return 0;
    while (equal < most && own[equal] == ids[equal])
        equal++;
    return equal;
}
