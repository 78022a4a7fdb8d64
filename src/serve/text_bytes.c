/* text_bytes.c - how much texts may come to remember, for letting them in. */
#include "serve/text_bytes.h"

/* One full context, what the plan leaves, and half of what slots have beyond one token's experts:
 * the other half is what makes them fast. */
uint64_t weir_text_bytes_max(const weir_engine *engine)
{
    const struct weir_plan *plan = weir_engine_plan(engine);
    const uint64_t floor = (uint64_t)plan->cost.n_expert_used * plan->cost.n_moe_layer;
    const uint64_t more = plan->n_slot_total - weir_min(plan->n_slot_total, floor);
    return weir_engine_text_bytes(engine, plan->n_ctx) +
           (plan->budget_bytes - plan->planned_bytes) + more / 2 * plan->cost.record_bytes;
}
