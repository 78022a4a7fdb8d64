/* name_index.c - names to indices by open addressing. */
#include <string.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

/* FNV-1a, 32 bits. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

enum weir_status weir_names_init(struct name_index *index, uint32_t count, const void *owner,
                                 name_index_get_fn *get)
{
    uint32_t capacity = 8;
    while (capacity < count * 2)
        capacity *= 2;
    *index = (struct name_index){.mask = capacity - 1, .owner = owner, .get = get};
    index->places = weir_heap_array(capacity, sizeof(*index->places));
    return index->places == NULL ? WEIR_ERR_NOMEM : WEIR_OK;
}

/* The place that has name, or the free one where it would be. */
static uint32_t find_place(const struct name_index *index, const char *name)
{
    uint32_t at = hash_name(name) & index->mask;
    while (index->places[at] != 0 &&
           strcmp(index->get(index->owner, index->places[at] - 1), name) != 0)
        at = (at + 1) & index->mask;
    return at;
}

uint32_t weir_names_put(struct name_index *index, uint32_t value)
{
    const uint32_t at = find_place(index, index->get(index->owner, value));
    if (index->places[at] != 0)
        return index->places[at] - 1;
    index->places[at] = value + 1;
    return UINT32_MAX;
}

uint32_t weir_names_find(const struct name_index *index, const char *name)
{
    return index->places == NULL ? UINT32_MAX : index->places[find_place(index, name)] - 1;
}
