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

enum weir_status weir_names_init(struct name_index *index, uint32_t count)
{
    uint32_t capacity = 8;
    while (capacity < count * 2)
        capacity *= 2;
    index->places = weir_heap_array(capacity, sizeof(*index->places));
    index->mask = capacity - 1;
    return index->places == NULL ? WEIR_ERR_NOMEM : WEIR_OK;
}

uint32_t weir_names_put(struct name_index *index, const struct weir_manifest *manifest,
                        name_index_get_fn *get, uint32_t value)
{
    const char *name = get(manifest, value);
    uint32_t at = hash_name(name) & index->mask;
    for (; index->places[at] != 0; at = (at + 1) & index->mask)
        if (strcmp(get(manifest, index->places[at] - 1), name) == 0)
            return index->places[at] - 1;
    index->places[at] = value + 1;
    return UINT32_MAX;
}

uint32_t weir_names_find(const struct name_index *index, const struct weir_manifest *manifest,
                         name_index_get_fn *get, const char *name)
{
    if (index->places == NULL)
        return UINT32_MAX;
    for (uint32_t at = hash_name(name) & index->mask; index->places[at] != 0;
         at = (at + 1) & index->mask)
        if (strcmp(get(manifest, index->places[at] - 1), name) == 0)
            return index->places[at] - 1;
    return UINT32_MAX;
}
