/* prefix_fuzz.c - libFuzzer: any bytes as the head of a file of texts, and as that of a page. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "prefix/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE_LENGTH = 48, UNITS = 1000, EXTRA = 5 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* What is good is the same when it is written again. */
static void read_page(const uint8_t *bytes, uint32_t extra_count)
{
    const struct weir_prefix_limits limits = {
        .head_bytes = weir_prefix_head_bytes(PAGE_LENGTH, extra_count),
        .page_length = PAGE_LENGTH,
        .class_count = 3,
        .unit_count = UNITS,
        .extra_count = extra_count,
    };
    struct weir_prefix_head head;
    uint32_t extra[EXTRA + 1], ids[PAGE_LENGTH];
    must(limits.head_bytes == WEIR_PREFIX_FILE_HEAD_BYTES);
    if (weir_prefix_head_read(bytes, &limits, &head, extra, ids) != WEIR_PREFIX_GOOD)
        return;
    must(head.length > 0 && head.length <= PAGE_LENGTH && head.classes < 8);
    must(head.extra_count == 0 || head.extra_count == extra_count);
    for (uint32_t index = 0; index < head.extra_count; index++)
        must(extra[index] < UNITS);
    uint8_t again[WEIR_PREFIX_FILE_HEAD_BYTES];
    struct weir_prefix_head second;
    uint32_t second_extra[EXTRA + 1], second_ids[PAGE_LENGTH];
    weir_prefix_head_write(again, &limits, &head, extra, ids);
    must(weir_prefix_head_read(again, &limits, &second, second_extra, second_ids) ==
         WEIR_PREFIX_GOOD);
    must(memcmp(ids, second_ids, head.length * sizeof(*ids)) == 0);
}

/* The fuzzer does not find checksums: it is given right ones. */
static void mend_sum(uint8_t *bytes)
{
    const uint64_t parts[2] = {weir_prefix_sum(bytes, 8),
                               weir_prefix_sum(bytes + 16, WEIR_PREFIX_FILE_HEAD_BYTES - 16)};
    const uint64_t sum = weir_prefix_sum(parts, sizeof(parts));
    memcpy(bytes + 8, &sum, sizeof(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct weir_prefix_file_head expected = {.unit_bytes = 1 << 20,
                                                   .page_length = PAGE_LENGTH};
    struct weir_prefix_file_head head;
    uint8_t *bytes = weir_heap_alloc(WEIR_PREFIX_FILE_HEAD_BYTES);
    if (size == 0 || bytes == NULL) {
        weir_heap_free(bytes);
        return 0;
    }
    const size_t copied =
        size - 1 < WEIR_PREFIX_FILE_HEAD_BYTES ? size - 1 : WEIR_PREFIX_FILE_HEAD_BYTES;
    memcpy(bytes, data + 1, copied);
    if ((data[0] & 1) != 0)
        memcpy(bytes, (data[0] & 2) != 0 ? "weirpage" : "weirpref", 8);
    if ((data[0] & 4) != 0)
        mend_sum(bytes);
    (void)weir_prefix_file_head_read(bytes, &expected, &head);
    read_page(bytes, 0);
    read_page(bytes, EXTRA);
    weir_heap_free(bytes);
    return 0;
}
