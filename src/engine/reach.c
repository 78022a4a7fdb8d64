/* reach.c - the KV cache grows with the text, and slots make room for it.
 *
 * I1  planned_bytes + bytes of K and V that came later - bytes of slots that were given back never
 *     passes the ceiling: room is made before it is used. */
#include "engine/engine_internal.h"

/* Bytes below the ceiling: what the plan left, and what slots gave back, less what K and V took. */
static uint64_t room_bytes(const struct weir_engine *engine)
{
    struct weir_store_stats store;
    const uint64_t reached_bytes = weir_mem_reached_bytes(&engine->mem, WEIR_MEM_KV);
    const uint64_t whole_bytes = weir_mem_use_bytes(&engine->mem, WEIR_MEM_KV);
    const uint64_t first_bytes = whole_bytes - engine->plan.kv_later_bytes;
    weir_store_stats_get(engine->store, &store);
    return engine->plan.budget_bytes - engine->plan.planned_bytes + store.retired_bytes -
           (reached_bytes - first_bytes);
}

enum weir_status weir_engine_reach(struct weir_engine *engine, uint32_t n_position,
                                   struct weir_err *err)
{
    const uint64_t kv_bytes = weir_kv_bytes(&engine->kv, n_position);
    const uint64_t more_bytes = weir_mem_reach_bytes(&engine->mem, WEIR_MEM_KV, kv_bytes) -
                                weir_mem_reached_bytes(&engine->mem, WEIR_MEM_KV);
    if (more_bytes == 0)
        return WEIR_OK;
    uint64_t room = room_bytes(engine);
    if (room < more_bytes)
        room += weir_store_shrink(engine->store, more_bytes - room);
    if (room < more_bytes) { /* keeps I1 */
        char size[32];
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "the KV cache of %u positions needs %s more, and no expert slot can be "
                         "given back: the kernel does not take their memory (is it locked?)",
                         n_position, weir_format_size(more_bytes, size, sizeof(size)));
    }
    return weir_mem_reach(&engine->mem, WEIR_MEM_KV, kv_bytes, err);
}
