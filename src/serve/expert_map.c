/* expert_map.c - where experts are, as last seen by the only thread that may look. */
#include "serve/expert_map.h"

#include <string.h>

#include "base/heap.h"

static size_t size(const struct weir_expert_map *map)
{
    return (size_t)map->n_layer * map->n_expert;
}

bool weir_expert_map_init(struct weir_expert_map *map, const weir_engine *engine)
{
    const struct weir_model_info *info = weir_engine_model(engine);
    *map = (struct weir_expert_map){
        .n_layer = info->n_layer, .n_expert = info->n_expert, .is_wanted = true};
    pthread_mutex_init(&map->lock, NULL);
    map->next = weir_heap_alloc(size(map) + 1);
    map->marks = weir_heap_alloc(size(map) + 1);
    if (map->next == NULL || map->marks == NULL)
        return false;
    memset(map->marks, WEIR_EXPERT_ABSENT, size(map));
    return true;
}

void weir_expert_map_deinit(struct weir_expert_map *map)
{
    pthread_mutex_destroy(&map->lock);
    weir_heap_free(map->next);
    weir_heap_free(map->marks);
    map->next = map->marks = NULL;
}

void weir_expert_map_take(struct weir_expert_map *map, weir_engine *engine)
{
    pthread_mutex_lock(&map->lock);
    const bool is_wanted = map->is_wanted;
    map->is_wanted = false;
    pthread_mutex_unlock(&map->lock);
    if (!is_wanted || !weir_engine_experts_look(engine, map->next, size(map)))
        return;
    pthread_mutex_lock(&map->lock);
    memcpy(map->marks, map->next, size(map));
    pthread_mutex_unlock(&map->lock);
}

void weir_expert_map_get(struct weir_expert_map *map, uint8_t *marks)
{
    pthread_mutex_lock(&map->lock);
    memcpy(marks, map->marks, size(map));
    map->is_wanted = true;
    pthread_mutex_unlock(&map->lock);
}
