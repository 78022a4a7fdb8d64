/* grid_book.h - the codebooks of the IQ formats, ready for a search.
 *
 * A place of an entry has one of a few levels, its digit. The digits of an entry's first half are a
 * number, those of its second half another; both together are its pattern. Values rounded to levels
 * place by place have a pattern too, which need not be an entry's: for each pattern the nearest
 * entries are listed, nearest first. A search looks at the first ones of a list. */
#ifndef WEIR_ENCODE_GRID_BOOK_H
#define WEIR_ENCODE_GRID_BOOK_H

#include <stdint.h>

#include "quant/quant.h"

enum {
    WEIR_BOOK_ENTRIES = 2048,
    WEIR_BOOK_PATTERNS = 6561, /* 3^8; 8^4 are fewer */
    WEIR_BOOK_HALVES = 81,
    WEIR_BOOK_LEVELS = 8,
    WEIR_BOOK_NEAR = 32,
};

struct weir_book {
    int entry_count;
    int width;       /* places of an entry: 8 or 4 */
    int level_count; /* 3 or 8 */
    int half_count;  /* patterns of half an entry: 81 or 64 */
    int8_t levels[WEIR_BOOK_LEVELS];
    int8_t steps[WEIR_BOOK_ENTRIES][8];
    uint8_t halves[WEIR_BOOK_ENTRIES][2];
    uint16_t near[WEIR_BOOK_PATTERNS][WEIR_BOOK_NEAR];
};

/* The book of an IQ1, IQ2 or IQ3 format, made by the first who asks. Those of IQ1 have eighths,
 * without the delta. */
const struct weir_book *weir_book_of(enum weir_type type);

#endif
