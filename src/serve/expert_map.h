/* expert_map.h - where experts are, as last seen by the only thread that may look.
 *
 * Threads   take: the scheduler's. get: any, but one at a time. What they share is guarded by the
 *           lock.
 */
#ifndef WEIR_SERVE_EXPERT_MAP_H
#define WEIR_SERVE_EXPERT_MAP_H

#include <pthread.h>

#include "base/base.h"
#include "weir.h"

struct weir_expert_map {
    uint32_t n_layer, n_expert; /* n_expert 0: a model without experts */
    uint8_t *next;              /* [n_layer][n_expert] enum weir_expert_mark; of take() */
    pthread_mutex_t lock;       /* guards what follows */
    uint8_t *marks;             /* the same, as it was seen last */
    bool is_wanted;
};

/* False: no memory; deinit takes what is there. */
bool weir_expert_map_init(struct weir_expert_map *map, const weir_engine *engine);
void weir_expert_map_deinit(struct weir_expert_map *map);
/* Look, where somebody has asked since the last look. */
void weir_expert_map_take(struct weir_expert_map *map, weir_engine *engine);
/* Copy what was seen, and ask for another look; marks [n_layer * n_expert]. */
void weir_expert_map_get(struct weir_expert_map *map, uint8_t *marks);

#endif
