/* hash.c - SipHash-2-4 with 128 bits: of a page's ids and the hash of those before them. */
#include <string.h>

#include "state/state_internal.h"

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(struct sip *sip, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        sip->a += sip->b;
        sip->b = rotate(sip->b, 13) ^ sip->a;
        sip->a = rotate(sip->a, 32);
        sip->c += sip->d;
        sip->d = rotate(sip->d, 16) ^ sip->c;
        sip->a += sip->d;
        sip->d = rotate(sip->d, 21) ^ sip->a;
        sip->c += sip->b;
        sip->b = rotate(sip->b, 17) ^ sip->c;
        sip->c = rotate(sip->c, 32);
    }
}

static void take_word(struct sip *sip, uint64_t word)
{
    sip->d ^= word;
    mix(sip, 2);
    sip->a ^= word;
}

struct weir_hash weir_hash_words(const uint8_t key[16], const uint64_t *words, size_t count)
{
    uint64_t k[2];
    memcpy(k, key, sizeof(k));
    struct sip sip = {k[0] ^ 0x736f6d6570736575ull, k[1] ^ 0x646f72616e646f6dull ^ 0xee,
                      k[0] ^ 0x6c7967656e657261ull, k[1] ^ 0x7465646279746573ull};
    struct weir_hash hash;
    for (size_t index = 0; index < count; index++)
        take_word(&sip, words[index]);
    take_word(&sip, (uint64_t)(count * sizeof(*words)) << 56);
    sip.c ^= 0xee;
    mix(&sip, 4);
    hash.word[0] = sip.a ^ sip.b ^ sip.c ^ sip.d;
    sip.b ^= 0xdd;
    mix(&sip, 4);
    hash.word[1] = sip.a ^ sip.b ^ sip.c ^ sip.d;
    return hash;
}

struct weir_hash weir_hash_ids(const uint8_t key[16], const struct weir_hash *before,
                               const uint32_t *ids, uint32_t count)
{
    enum { PIECE_WORDS = 32 };
    struct weir_hash hash = *before;
    /* In pieces, each over the hash so far, so that a page of any length needs no buffer. */
    for (uint32_t at = 0; at < count; at += 2 * PIECE_WORDS) {
        const uint32_t length = (uint32_t)weir_min(count - at, 2 * PIECE_WORDS);
        uint64_t words[2 + PIECE_WORDS] = {hash.word[0], hash.word[1]};
        memcpy(words + 2, ids + at, length * sizeof(*ids));
        hash = weir_hash_words(key, words, 2 + (length + 1) / 2);
    }
    return hash;
}

struct weir_hash weir_hash_page(const struct weir_state *state, const struct weir_hash *before,
                                const uint32_t *ids)
{
    return weir_hash_ids(state->hash_key, before, ids, state->page_length);
}
