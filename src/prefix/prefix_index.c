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
    prefix->oldest = prefix->newest = prefix->free_unit = WEIR_NO_UNIT;
    prefix->free_count = 0;
}

void weir_prefix_unit_give(weir_prefix *prefix, uint32_t unit)
{
    prefix->next_unit[unit] = prefix->free_unit;
    prefix->free_unit = unit;
    prefix->free_count++;
}

/* ---- by use ---------------------------------------------------------------------------------- */

static void unlink_use(weir_prefix *prefix, uint32_t record)
{
    struct weir_record *at = &prefix->records[record];
    if (at->older == WEIR_NO_UNIT)
        prefix->oldest = at->newer;
    else
        prefix->records[at->older].newer = at->newer;
    if (at->newer == WEIR_NO_UNIT)
        prefix->newest = at->older;
    else
        prefix->records[at->newer].older = at->older;
}

static void link_newest(weir_prefix *prefix, uint32_t record)
{
    struct weir_record *at = &prefix->records[record];
    at->older = prefix->newest;
    at->newer = WEIR_NO_UNIT;
    if (prefix->newest == WEIR_NO_UNIT)
        prefix->oldest = record;
    else
        prefix->records[prefix->newest].newer = record;
    prefix->newest = record;
}

/* The same place, but for one that is newer than it. */
static void link_older_than(weir_prefix *prefix, uint32_t record, uint32_t than)
{
    struct weir_record *at = &prefix->records[record];
    at->newer = than;
    at->older = prefix->records[than].older;
    if (at->older == WEIR_NO_UNIT)
        prefix->oldest = record;
    else
        prefix->records[at->older].newer = record;
    prefix->records[than].older = record;
}

void weir_prefix_record_touch(weir_prefix *prefix, uint32_t record)
{
    unlink_use(prefix, record);
    link_newest(prefix, record);
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
        link_newest(prefix, record);
    else
        link_older_than(prefix, record, parent); /* keeps I3 */
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
    unlink_use(prefix, record);
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

uint32_t weir_prefix_unit_take(weir_prefix *prefix)
{
    uint32_t record = prefix->oldest;
    while (prefix->free_unit == WEIR_NO_UNIT && record != WEIR_NO_UNIT) {
        const uint32_t newer = prefix->records[record].newer;
        if (prefix->records[record].readers == 0) {
            weir_prefix_record_drop(prefix, record);
            prefix->stats.evicted_records++;
        }
        record = newer;
    }
    const uint32_t unit = prefix->free_unit;
    if (unit == WEIR_NO_UNIT)
        return WEIR_NO_UNIT;
    prefix->free_unit = prefix->next_unit[unit];
    prefix->free_count--;
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
