/* watch.c - where experts are, for a caller that shows it. */
#include "engine/engine_internal.h"

_Static_assert((int)WEIR_EXPERT_RESIDENT == (int)WEIR_RECORD_WHOLE &&
                   (int)WEIR_EXPERT_READING == (int)WEIR_RECORD_READING &&
                   (int)WEIR_EXPERT_USED == (int)WEIR_RECORD_USED &&
                   (int)WEIR_EXPERT_ABSENT == (int)WEIR_RECORD_ABSENT,
               "a caller sees the store's marks");

bool weir_engine_experts_look(weir_engine *engine, uint8_t *marks, size_t count)
{
    if (engine == NULL || marks == NULL || engine->store == NULL)
        return false;
    const struct weir_model_info *info = weir_engine_model(engine);
    if (count != (size_t)info->n_layer * info->n_expert ||
        weir_engine_enter(engine, NULL) != WEIR_OK)
        return false;
    for (uint32_t layer = 0; layer < info->n_layer; layer++)
        weir_store_marks_get(engine->store, layer, marks + (size_t)layer * info->n_expert,
                             info->n_expert);
    weir_engine_leave(engine);
    return true;
}
