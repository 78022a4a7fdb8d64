/* prefix_head.c - the heads of a file of prefixes and of its records, as bytes
 * (docs/formats/prefixes.md). Whoever made the file is not trusted. */
#include <string.h>

#include "prefix/prefix.h"

const char weir_prefix_magic[8] = {'w', 'e', 'i', 'r', 'p', 'r', 'e', 'f'};
static const char record_magic[8] = {'w', 'e', 'i', 'r', 'p', 'a', 'g', 'e'};

/* As they lie in the file: little-endian words, no gaps. The sum is of all bytes of the head, with
 * itself as zero. */
struct file_bytes {
    char magic[8];
    uint64_t sum;
    uint32_t version, page_length;
    uint64_t unit_bytes;
    uint8_t model[16], layout[16], key[16];
};

struct record_bytes {
    char magic[8];
    uint64_t sum;
    uint64_t serial;
    uint64_t before[2];
    uint64_t class_sums[WEIR_STATE_CLASS_MAX], block_sum;
    uint32_t version, length, classes, extra_count;
};

_Static_assert(sizeof(struct file_bytes) == 80, "no gaps");
_Static_assert(sizeof(struct record_bytes) == 96, "no gaps");

static bool is_empty(const uint8_t *bytes, uint64_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* The head's sum lies behind its magic. */
static uint64_t sum_of(const uint8_t *bytes, uint64_t length)
{
    const uint64_t parts[2] = {weir_prefix_sum(bytes, 8), weir_prefix_sum(bytes + 16, length - 16)};
    return weir_prefix_sum(parts, sizeof(parts));
}

void weir_prefix_file_head_write(uint8_t bytes[WEIR_PREFIX_FILE_HEAD_BYTES],
                                 const struct weir_prefix_file_head *head)
{
    struct file_bytes out = {.version = WEIR_PREFIX_VERSION,
                             .page_length = head->page_length,
                             .unit_bytes = head->unit_bytes};
    memset(bytes, 0, WEIR_PREFIX_FILE_HEAD_BYTES);
    memcpy(out.magic, weir_prefix_magic, sizeof(out.magic));
    memcpy(out.model, head->identity.model, sizeof(out.model));
    memcpy(out.layout, head->identity.layout, sizeof(out.layout));
    memcpy(out.key, head->key, sizeof(out.key));
    memcpy(bytes, &out, sizeof(out));
    out.sum = sum_of(bytes, WEIR_PREFIX_FILE_HEAD_BYTES);
    memcpy(bytes, &out, sizeof(out));
}

enum weir_prefix_verdict weir_prefix_file_head_read(const uint8_t *bytes,
                                                    const struct weir_prefix_file_head *expected,
                                                    struct weir_prefix_file_head *head)
{
    struct file_bytes in;
    memcpy(&in, bytes, sizeof(in));
    if (is_empty(bytes, WEIR_PREFIX_FILE_HEAD_BYTES))
        return WEIR_PREFIX_EMPTY;
    if (memcmp(in.magic, weir_prefix_magic, sizeof(in.magic)) != 0)
        return WEIR_PREFIX_FOREIGN;
    if (in.sum != sum_of(bytes, WEIR_PREFIX_FILE_HEAD_BYTES))
        return WEIR_PREFIX_TORN;
    head->page_length = in.page_length;
    head->unit_bytes = in.unit_bytes;
    memcpy(head->identity.model, in.model, sizeof(in.model));
    memcpy(head->identity.layout, in.layout, sizeof(in.layout));
    memcpy(head->key, in.key, sizeof(in.key));
    return in.version == WEIR_PREFIX_VERSION && head->page_length == expected->page_length &&
                   head->unit_bytes == expected->unit_bytes &&
                   memcmp(&head->identity, &expected->identity, sizeof(head->identity)) == 0
               ? WEIR_PREFIX_GOOD
               : WEIR_PREFIX_OTHER;
}

uint64_t weir_prefix_head_bytes(uint32_t page_length, uint32_t extra_count)
{
    return weir_align_up(sizeof(struct record_bytes) +
                             ((uint64_t)page_length + extra_count) * sizeof(uint32_t),
                         WEIR_IO_ALIGN);
}

void weir_prefix_head_write(uint8_t *bytes, const struct weir_prefix_limits *limits,
                            const struct weir_prefix_head *head, const uint32_t *extra,
                            const uint32_t *ids)
{
    struct record_bytes out = {.serial = head->serial,
                               .before = {head->before.word[0], head->before.word[1]},
                               .block_sum = head->block_sum,
                               .version = WEIR_PREFIX_VERSION,
                               .length = head->length,
                               .classes = head->classes,
                               .extra_count = head->extra_count};
    uint8_t *lists = bytes + sizeof(out);
    const size_t extra_bytes = head->extra_count * sizeof(*extra);
    memset(bytes, 0, limits->head_bytes);
    memcpy(out.magic, record_magic, sizeof(out.magic));
    memcpy(out.class_sums, head->class_sums, sizeof(out.class_sums));
    if (extra_bytes > 0)
        memcpy(lists, extra, extra_bytes);
    memcpy(lists + extra_bytes, ids, head->length * sizeof(*ids));
    memcpy(bytes, &out, sizeof(out));
    out.sum = sum_of(bytes, limits->head_bytes);
    memcpy(bytes, &out, sizeof(out));
}

/* Whether the numbers of a head whose sum is right are such as this file can have. */
static bool is_possible(const struct record_bytes *in, const struct weir_prefix_limits *limits,
                        const uint32_t *extra)
{
    if (in->version != WEIR_PREFIX_VERSION || in->length == 0 || in->length > limits->page_length ||
        in->classes >> limits->class_count != 0 ||
        (in->extra_count != 0 && in->extra_count != limits->extra_count))
        return false;
    for (uint32_t index = 0; index < in->extra_count; index++)
        if (extra[index] >= limits->unit_count)
            return false;
    return true;
}

enum weir_prefix_verdict weir_prefix_head_read(const uint8_t *bytes,
                                               const struct weir_prefix_limits *limits,
                                               struct weir_prefix_head *head, uint32_t *extra,
                                               uint32_t *ids)
{
    struct record_bytes in;
    const uint8_t *lists = bytes + sizeof(in);
    memcpy(&in, bytes, sizeof(in));
    if (is_empty(bytes, limits->head_bytes))
        return WEIR_PREFIX_EMPTY;
    if (memcmp(in.magic, record_magic, sizeof(in.magic)) != 0)
        return WEIR_PREFIX_FOREIGN;
    if (in.sum != sum_of(bytes, limits->head_bytes))
        return WEIR_PREFIX_TORN;
    if (limits->extra_count > 0)
        memcpy(extra, lists, limits->extra_count * sizeof(*extra));
    if (!is_possible(&in, limits, extra))
        return WEIR_PREFIX_FOREIGN;
    memcpy(ids, lists + in.extra_count * sizeof(*extra), in.length * sizeof(*ids));
    *head = (struct weir_prefix_head){.serial = in.serial,
                                      .before = {{in.before[0], in.before[1]}},
                                      .length = in.length,
                                      .classes = in.classes,
                                      .extra_count = in.extra_count,
                                      .block_sum = in.block_sum};
    memcpy(head->class_sums, in.class_sums, sizeof(in.class_sums));
    return WEIR_PREFIX_GOOD;
}
