/* expert_list.c - the experts that are worth the most, as told by the only thread that may look. */
#include "serve/expert_list.h"

#include "base/heap.h"

enum { STATE_OURS, STATE_ASKED, STATE_TOLD };
enum { EXPERTS_MAX = 16384 };

uint64_t weir_expert_list_bytes(uint64_t expert_count)
{
    return weir_min(expert_count, EXPERTS_MAX) * sizeof(struct weir_expert);
}

bool weir_expert_list_init(struct weir_expert_list *list, const weir_engine *engine)
{
    const struct weir_plan *plan = weir_engine_plan(engine);
    if (plan->n_slot_total < plan->n_expert_total)
        list->most = (uint32_t)weir_min(plan->n_expert_total, EXPERTS_MAX);
    list->experts = weir_heap_array(list->most, sizeof(*list->experts));
    return list->experts != NULL || list->most == 0;
}

void weir_expert_list_deinit(struct weir_expert_list *list)
{
    weir_heap_free(list->experts);
}

void weir_expert_list_take(struct weir_expert_list *list, weir_engine *engine)
{
    if (atomic_load_explicit(&list->state, memory_order_acquire) != STATE_ASKED)
        return;
    list->count = weir_engine_kept_experts(engine, list->experts, list->most);
    atomic_store_explicit(&list->state, STATE_TOLD, memory_order_release);
}

uint32_t weir_expert_list_get(struct weir_expert_list *list, const struct weir_expert **experts,
                              bool *asks)
{
    const unsigned state = atomic_load_explicit(&list->state, memory_order_acquire);
    *asks = state == STATE_OURS && list->most > 0;
    if (*asks)
        atomic_store_explicit(&list->state, STATE_ASKED, memory_order_release);
    if (state != STATE_TOLD)
        return 0;
    atomic_store_explicit(&list->state, STATE_OURS, memory_order_relaxed); /* until it asks again */
    *experts = list->experts;
    return list->count;
}
