/* prefix_sum.c - XXH64, the checksum of what is kept: fast enough to go with a disk's speed.
 *
 * Source: the xxHash fast digest algorithm, version 0.1.1 (Yann Collet), sections on XXH64. */
#include <string.h>

#include "prefix/prefix.h"

#define PRIME_1 0x9e3779b185ebca87ull
#define PRIME_2 0xc2b2ae3d27d4eb4full
#define PRIME_3 0x165667b19e3779f9ull
#define PRIME_4 0x85ebca77c2b2ae63ull
#define PRIME_5 0x27d4eb2f165667c5ull

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static uint64_t round_of(uint64_t lane, uint64_t word)
{
    return rotate(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge(uint64_t sum, uint64_t lane)
{
    return (sum ^ round_of(0, lane)) * PRIME_1 + PRIME_4;
}

/* Stripes of 32 bytes, a lane for each word; *at is behind them then. */
static uint64_t take_stripes(const uint8_t **at, const uint8_t *end)
{
    uint64_t lanes[4] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1};
    for (; end - *at >= 32; *at += 32)
        for (int lane = 0; lane < 4; lane++)
            lanes[lane] = round_of(lanes[lane], word_at(*at + 8 * lane));
    uint64_t sum =
        rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (int lane = 0; lane < 4; lane++)
        sum = merge(sum, lanes[lane]);
    return sum;
}

uint64_t weir_prefix_sum(const void *bytes, uint64_t length)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + length;
    uint64_t sum = length >= 32 ? take_stripes(&at, end) : PRIME_5;
    sum += length;
    for (; end - at >= 8; at += 8)
        sum = rotate(sum ^ round_of(0, word_at(at)), 27) * PRIME_1 + PRIME_4;
    if (end - at >= 4) {
        uint32_t half;
        memcpy(&half, at, sizeof(half));
        sum = rotate(sum ^ half * PRIME_1, 23) * PRIME_2 + PRIME_3;
        at += 4;
    }
    for (; at < end; at++)
        sum = rotate(sum ^ *at * PRIME_5, 11) * PRIME_1;
    sum = (sum ^ sum >> 33) * PRIME_2;
    sum = (sum ^ sum >> 29) * PRIME_3;
    return sum ^ sum >> 32;
}
