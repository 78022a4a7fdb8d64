/* distance.c - how far apart two words are, for "the nearest is". */
#include "base/base.h"

enum { WORD_MAX = 64 };

static size_t length_of(const char *word)
{
    size_t length = 0;
    while (length < WORD_MAX && word[length] != '\0')
        length++;
    return length;
}

/* The distance of Wagner and Fischer (Journal of the ACM 21, 1974), a row at a time. A byte that is
 * changed is one left out and one put in: a letter too many is nearer than another letter. */
uint32_t weir_edit_distance(const char *one, const char *other)
{
    uint32_t row[WORD_MAX + 1];
    const size_t width = length_of(other);
    for (size_t at = 0; at <= width; at++)
        row[at] = (uint32_t)at;
    for (size_t index = 0; index < length_of(one); index++) {
        uint32_t corner = row[0]; /* the row before, one to the left */
        row[0] = (uint32_t)index + 1;
        for (size_t at = 0; at < width; at++) {
            const uint32_t changed = corner + (one[index] != other[at] ? 2 : 0);
            corner = row[at + 1];
            row[at + 1] = (uint32_t)weir_min(changed, weir_min(row[at], corner) + 1);
        }
    }
    return row[width];
}
