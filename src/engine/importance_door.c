/* importance_door.c - what an engine has measured of its weights' inputs, told and written. */
#include "model/importance.h"

#include "base/heap.h"
#include "engine/engine_internal.h"

/* The sums of every tensor, on the heap; NULL: no memory. */
static struct weir_imatrix_sums *list_sums(struct weir_engine *engine, uint32_t *count)
{
    struct weir_model *model = engine->blueprint.model;
    const uint32_t most = weir_importance_list(model, NULL, 0);
    struct weir_imatrix_sums *list = weir_heap_array(most, sizeof(*list));
    if (list != NULL)
        *count = weir_importance_list(model, list, most);
    return list;
}

static bool is_measuring(const struct weir_engine *engine)
{
    return engine != NULL && engine->choice.measures_inputs;
}

/* Layers' experts are counted by what their down matrices saw: all three see the same rows. */
static void count_experts(const struct weir_model *model, struct weir_importance *importance)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_weight *down = &model->layers[layer].network.expert_down;
        if (!weir_layer_has_experts(&model->layers[layer]))
            continue;
        importance->n_expert_total += (uint32_t)down->count;
        for (uint64_t expert = 0; expert < down->count; expert++)
            importance->n_expert_unreached += down->inputs.counts[expert] == 0;
    }
}

bool weir_engine_importance_get(weir_engine *engine, struct weir_importance *importance)
{
    uint32_t count = 0;
    if (!is_measuring(engine) || importance == NULL || weir_engine_enter(engine, NULL) != WEIR_OK)
        return false;
    struct weir_imatrix_sums *list = list_sums(engine, &count);
    *importance = (struct weir_importance){
        .tensor_count = count, .token_count = engine->blueprint.model->output.inputs.counts[0]};
    count_experts(engine->blueprint.model, importance);
    weir_heap_free(list);
    weir_engine_leave(engine);
    return list != NULL;
}

static enum weir_status write_sums(struct weir_engine *engine,
                                   const struct weir_importance_file *facts, FILE *file,
                                   struct weir_err *err)
{
    struct weir_imatrix_facts whole = {.text_name =
                                           facts->text_name == NULL ? "" : facts->text_name,
                                       .chunk_count = facts->chunk_count,
                                       .chunk_tokens = facts->chunk_tokens};
    struct weir_imatrix_sums *list = list_sums(engine, &whole.sums_count);
    if (list == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a list of sums");
    whole.sums = list;
    const enum weir_status status = weir_imatrix_write(&whole, facts->is_old, file, err);
    weir_heap_free(list);
    return status;
}

enum weir_status weir_engine_importance_write(weir_engine *engine,
                                              const struct weir_importance_file *facts, FILE *file,
                                              struct weir_err *err)
{
    WEIR_NEED(engine, err);
    WEIR_NEED(facts, err);
    WEIR_NEED(file, err);
    if (!is_measuring(engine))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "the engine does not measure: config.measures_inputs was not set");
    WEIR_TRY(weir_engine_enter(engine, err));
    const enum weir_status status = write_sums(engine, facts, file, err);
    weir_engine_leave(engine);
    return status;
}
