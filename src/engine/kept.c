/* kept.c - what an engine kept, for the next engine of the same model to begin with. */
#include "base/heap.h"
#include "engine/engine_internal.h"

/* How often each was used. */
static enum weir_status recall_shares(struct weir_engine *engine, const struct weir_config *config,
                                      struct weir_err *err)
{
    float *shares = weir_heap_array(config->warm_up_count, sizeof(*shares));
    if (shares == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the shares of %u experts",
                         config->warm_up_count);
    for (uint32_t index = 0; index < config->warm_up_count; index++) {
        const float share = config->warm_up[index].share;
        shares[index] = share >= 0.0f && share <= 1.0f ? share : 0.0f;
    }
    const enum weir_status status =
        weir_store_recall(engine->store, engine->warm_up, shares, config->warm_up_count, err);
    weir_heap_free(shares);
    return status;
}

enum weir_status weir_engine_begin_warm_up(struct weir_engine *engine,
                                           const struct weir_config *config, struct weir_err *err)
{
    const uint32_t count = config->warm_up_count;
    if (count == 0 || engine->store == NULL)
        return WEIR_OK;
    WEIR_NEED(config->warm_up, err);
    engine->warm_up = weir_heap_array(count, sizeof(*engine->warm_up));
    if (engine->warm_up == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a list of %u experts", count);
    for (uint32_t index = 0; index < count; index++)
        engine->warm_up[index] =
            (struct weir_record_name){config->warm_up[index].layer, config->warm_up[index].expert};
    WEIR_TRY(recall_shares(engine, config, err));
    weir_store_warm_up(engine->store, engine->warm_up, count);
    return WEIR_OK;
}

uint32_t weir_engine_kept_experts(weir_engine *engine, struct weir_expert *experts, uint32_t count)
{
    if (engine == NULL || experts == NULL || engine->store == NULL ||
        weir_engine_enter(engine, NULL) != WEIR_OK)
        return 0;
    struct weir_record_name *names = weir_heap_array(count, sizeof(*names));
    const uint32_t kept = names == NULL ? 0 : weir_store_kept(engine->store, names, count);
    uint32_t found = 0;
    for (uint32_t index = 0; index < kept; index++)
        if (names[index].layer < engine->blueprint.model->shape.n_layer) /* no copy */
            experts[found++] = (struct weir_expert){names[index].layer, names[index].record,
                                                    weir_store_share(engine->store, names[index])};
    weir_heap_free(names);
    weir_engine_leave(engine);
    return found;
}
