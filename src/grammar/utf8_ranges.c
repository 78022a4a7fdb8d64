/* utf8_ranges.c - ranges of characters as ranges of bytes. */
#include "base/utf8.h"
#include "grammar/grammar_tree.h"

enum { SURROGATE_FIRST = 0xd800, SURROGATE_LAST = 0xdfff };

/* Characters of one length whose low bits, from the first byte that differs on, are all zeros in
 * low and all ones in high: then every byte's range stands for itself. Others are cut there. */
static bool visit_length(uint32_t low, uint32_t high, uint32_t length, weir_utf8_visit_fn *visit,
                         void *user)
{
    for (uint32_t tail = 1; tail < length; tail++) {
        const uint32_t mask = (1u << 6 * tail) - 1;
        if ((low & ~mask) == (high & ~mask))
            continue;
        if ((low & mask) != 0)
            return visit_length(low, low | mask, length, visit, user) &&
                   visit_length((low | mask) + 1, high, length, visit, user);
        if ((high & mask) != mask)
            return visit_length(low, (high & ~mask) - 1, length, visit, user) &&
                   visit_length(high & ~mask, high, length, visit, user);
    }
    char first[4], last[4];
    struct weir_byte_range bytes[4];
    weir_utf8_encode(low, first);
    weir_utf8_encode(high, last);
    for (uint32_t at = 0; at < length; at++)
        bytes[at] = (struct weir_byte_range){(uint8_t)first[at], (uint8_t)last[at]};
    return visit(user, bytes, length);
}

bool weir_utf8_ranges(uint32_t low, uint32_t high, weir_utf8_visit_fn *visit, void *user)
{
    static const uint32_t lasts[] = {0x7f, 0x7ff, SURROGATE_FIRST - 1, 0xffff, 0x10ffff};
    static const uint32_t lengths[] = {1, 2, 3, 3, 4};
    uint32_t first = 0;
    for (uint32_t part = 0; part < WEIR_COUNT(lasts); part++) {
        const uint32_t from = (uint32_t)weir_max(low, first);
        const uint32_t to = (uint32_t)weir_min(high, lasts[part]);
        if (from <= to && !visit_length(from, to, lengths[part], visit, user))
            return false;
        first = lasts[part] == SURROGATE_FIRST - 1 ? SURROGATE_LAST + 1 : lasts[part] + 1;
    }
    return true;
}
