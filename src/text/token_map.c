/* token_map.c - the text of a token to its id. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

struct weir_text_map_slot {
    uint32_t id_plus_one; /* 0: empty */
    uint32_t hash;
};

/* FNV-1a with a last mix, so that the low bits depend on all of the text. */
static uint64_t hash_bytes(const char *start, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t index = 0; index < length; index++)
        hash = (hash ^ (uint8_t)start[index]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* The slot that holds the text, or the empty one where it would go. */
static struct weir_text_map_slot *find_slot(const struct weir_text_map *map, const char *start,
                                            size_t length, uint64_t hash)
{
    for (uint32_t index = (uint32_t)hash & map->mask;; index = (index + 1) & map->mask) {
        struct weir_text_map_slot *slot = &map->slots[index];
        if (slot->id_plus_one == 0)
            return slot;
        if (slot->hash != (uint32_t)(hash >> 32))
            continue;
        const struct weir_bytes *token = &map->tokens[slot->id_plus_one - 1];
        if (token->length == length && memcmp(token->start, start, length) == 0)
            return slot;
    }
}

enum weir_status weir_text_map_init(struct weir_text_map *map, const struct weir_vocab *vocab,
                                    uint32_t skip_types, struct weir_err *err)
{
    uint64_t capacity = 16;
    while (capacity * 2 < (uint64_t)vocab->n_vocab * 3)
        capacity *= 2;
    map->slots = weir_heap_array(capacity, sizeof(*map->slots));
    if (map->slots == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room for a map of %u tokens",
                         vocab->n_vocab);
    map->mask = (uint32_t)(capacity - 1);
    map->tokens = vocab->tokens;
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        const struct weir_bytes token = vocab->tokens[id];
        if (token.length == 0 || (vocab->types != NULL && (skip_types >> vocab->types[id] & 1)))
            continue;
        const uint64_t hash = hash_bytes(token.start, token.length);
        struct weir_text_map_slot *slot = find_slot(map, token.start, token.length, hash);
        if (slot->id_plus_one != 0)
            continue;
        *slot = (struct weir_text_map_slot){id + 1, (uint32_t)(hash >> 32)};
        map->longest = weir_max(map->longest, token.length);
    }
    return WEIR_OK;
}

void weir_text_map_deinit(struct weir_text_map *map)
{
    weir_heap_free(map->slots);
    map->slots = NULL;
}

uint32_t weir_text_map_find(const struct weir_text_map *map, const char *start, size_t length)
{
    if (length > map->longest)
        return WEIR_TOKEN_NONE;
    const struct weir_text_map_slot *slot =
        find_slot(map, start, length, hash_bytes(start, length));
    return slot->id_plus_one == 0 ? WEIR_TOKEN_NONE : slot->id_plus_one - 1;
}
