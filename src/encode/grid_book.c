/* grid_book.c - codebooks as halves, and lists of what is near. */
#include "encode/grid_book.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "quant/grids.h"

/* Where a book comes from. */
struct origin {
    enum weir_type type;
    int entry_count, width, level_count;
    const uint64_t *eights; /* or */
    const uint32_t *fours;
    int offset; /* which its bytes are too large by */
    int8_t levels[WEIR_BOOK_LEVELS];
};

static const struct origin origins[] = {
    {WEIR_TYPE_IQ1_S, 2048, 8, 3, weir_iq1_grid, NULL, 8, {-8, 0, 8}},
    {WEIR_TYPE_IQ2_XXS, 256, 8, 3, weir_iq2_xxs_grid, NULL, 0, {8, 25, 43}},
    {WEIR_TYPE_IQ2_XS, 512, 8, 3, weir_iq2_xs_grid, NULL, 0, {8, 25, 43}},
    {WEIR_TYPE_IQ2_S, 1024, 8, 3, weir_iq2_s_grid, NULL, 0, {8, 25, 43}},
    {WEIR_TYPE_IQ3_XXS, 256, 4, 8, NULL, weir_iq3_xxs_grid, 0, {4, 12, 20, 28, 36, 44, 52, 62}},
    {WEIR_TYPE_IQ3_S, 512, 4, 8, NULL, weir_iq3_s_grid, 0, {1, 3, 5, 7, 9, 11, 13, 15}},
};

static struct weir_book books[WEIR_COUNT(origins)];
/* Set with release after the book is made; who reads it with acquire sees the book. */
static atomic_bool made[WEIR_COUNT(origins)];
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static int entry_step(const struct origin *origin, int entry, int place)
{
    const uint64_t steps =
        origin->eights != NULL ? origin->eights[entry] : (uint64_t)origin->fours[entry];
    return (int)(steps >> 8 * place & 255) - origin->offset;
}

static int digit_of(const struct origin *origin, int step)
{
    int digit = 0;
    while (digit + 1 < origin->level_count && origin->levels[digit] != step)
        digit++;
    return digit;
}

static void split_entries(const struct origin *origin, struct weir_book *book)
{
    const int half = origin->width / 2;
    for (int entry = 0; entry < origin->entry_count; entry++) {
        for (int place = 0; place < origin->width; place++)
            book->steps[entry][place] = (int8_t)entry_step(origin, entry, place);
        for (int side = 0; side < 2; side++) {
            int digits = 0;
            for (int place = half - 1; place >= 0; place--)
                digits = digits * origin->level_count +
                         digit_of(origin, entry_step(origin, entry, side * half + place));
            book->halves[entry][side] = (uint8_t)digits;
        }
    }
}

/* Squares of the distances between two halves' steps. */
static void measure_halves(const struct weir_book *book,
                           int32_t apart[WEIR_BOOK_HALVES][WEIR_BOOK_HALVES])
{
    for (int a = 0; a < book->half_count; a++)
        for (int b = 0; b < book->half_count; b++) {
            int left_a = a;
            int left_b = b;
            apart[a][b] = 0;
            for (int place = 0; place < book->width / 2; place++) {
                const int miss = book->levels[left_a % book->level_count] -
                                 book->levels[left_b % book->level_count];
                apart[a][b] += miss * miss;
                left_a /= book->level_count;
                left_b /= book->level_count;
            }
        }
}

/* The nearest entries, of those alike the first. */
static void list_near(const struct weir_book *book, const int32_t *first, const int32_t *second,
                      uint16_t near[WEIR_BOOK_NEAR])
{
    int32_t apart[WEIR_BOOK_NEAR];
    int count = 0;
    for (int entry = 0; entry < book->entry_count; entry++) {
        const int32_t found = first[book->halves[entry][0]] + second[book->halves[entry][1]];
        if (count == WEIR_BOOK_NEAR && found >= apart[count - 1])
            continue;
        int at = count < WEIR_BOOK_NEAR ? count++ : count - 1;
        for (; at > 0 && apart[at - 1] > found; at--) {
            apart[at] = apart[at - 1];
            near[at] = near[at - 1];
        }
        apart[at] = found;
        near[at] = (uint16_t)entry;
    }
}

static void make_book(const struct origin *origin, struct weir_book *book)
{
    int32_t apart[WEIR_BOOK_HALVES][WEIR_BOOK_HALVES];
    book->entry_count = origin->entry_count;
    book->width = origin->width;
    book->level_count = origin->level_count;
    book->half_count = origin->level_count == 3 ? 81 : 64;
    for (int level = 0; level < origin->level_count; level++)
        book->levels[level] = origin->levels[level];
    split_entries(origin, book);
    measure_halves(book, apart);
    for (int first = 0; first < book->half_count; first++)
        for (int second = 0; second < book->half_count; second++)
            list_near(book, apart[first], apart[second],
                      book->near[first + second * book->half_count]);
}

const struct weir_book *weir_book_of(enum weir_type type)
{
    const enum weir_type named = type == WEIR_TYPE_IQ1_M ? WEIR_TYPE_IQ1_S : type;
    size_t at = 0;
    while (at < WEIR_COUNT(origins) && origins[at].type != named)
        at++;
    WEIR_ASSERT(at < WEIR_COUNT(origins)); /* a type without a codebook */
    if (!atomic_load_explicit(&made[at], memory_order_acquire)) {
        pthread_mutex_lock(&making);
        if (!atomic_load_explicit(&made[at], memory_order_relaxed)) {
            make_book(&origins[at], &books[at]);
            atomic_store_explicit(&made[at], true, memory_order_release);
        }
        pthread_mutex_unlock(&making);
    }
    return &books[at];
}
