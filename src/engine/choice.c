/* choice.c - what a choice makes of slots, state and memory: the same planning and opening. */
#include "base/heap.h"
#include "engine/placement.h"
#include "model/copies.h"
#include "model/importance.h"

/* Windows keep so many positions more than they see, of a short context a CONTEXT_PARTS-th: how far
 * back a text is rewound without computing much again. */
#ifdef WEIR_HOSTILE
enum { REWIND_LENGTH = 0 };
#else
enum { REWIND_LENGTH = 256 };
#endif
enum { CONTEXT_PARTS = 8 };

static bool has_records(const struct weir_model *model, const struct weir_choice *choice,
                        uint32_t layer)
{
    return weir_layer_has_experts(&model->layers[layer]) &&
           choice->device.layers[layer].expert_count < model->shape.n_expert;
}

uint32_t weir_choice_moe_layer_count(const struct weir_blueprint *blueprint,
                                     const struct weir_choice *choice)
{
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < blueprint->model->shape.n_layer; layer++)
        count += has_records(blueprint->model, choice, layer);
    return count;
}

void weir_choice_layer(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                       uint32_t layer, struct weir_store_layer *out)
{
    const struct weir_model *model = blueprint->model;
    if (layer >= model->shape.n_layer) {
        weir_model_store_layer(model->copies, layer - model->shape.n_layer, out);
        out->slot_count = (uint32_t)weir_min(model->shape.n_expert_used, out->record_count);
        return;
    }
    weir_model_store_layer(model, layer, out);
    if (!has_records(model, choice, layer)) {
        *out = (struct weir_store_layer){0};
        return;
    }
    uint32_t moe_index = 0;
    for (uint32_t before = 0; before < layer; before++)
        moe_index += has_records(model, choice, before);
    const uint32_t n_moe_layer = weir_choice_moe_layer_count(blueprint, choice);
    out->slot_count = weir_cache_deal(&choice->policy, choice->slot_total, n_moe_layer, moe_index,
                                      model->shape.n_expert_used, model->shape.n_expert);
}

void weir_choice_state(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                       struct weir_state_layer *layers, struct weir_state_config *config)
{
    const uint32_t layer_count = weir_model_state_layers(blueprint->model, choice->kv, layers);
    bool has_blocks = false; /* elsewhere */
    for (uint32_t layer = 0; layer < blueprint->model->shape.n_layer; layer++) {
        const bool is_block = layers[layer].kind == WEIR_STATE_RECURRENT;
        if (!choice->device.layers[layer].is_there)
            continue;
        has_blocks |= is_block;
        layers[layer].is_carried = choice->text_bytes > 0;
        if (layers[layer].is_carried) /* texts are written from memory */
            continue;
        layers[layer] = (struct weir_state_layer){.kind = is_block ? WEIR_STATE_BLOCK_ELSEWHERE
                                                                   : WEIR_STATE_ELSEWHERE,
                                                  .bytes = layers[layer].bytes};
    }
    *config = (struct weir_state_config){
        .layer_count = layer_count,
        .layers = layers,
        .group_length = weir_kv_info(choice->kv)->bits > 0 ? WEIR_TILE : 1,
        .n_ctx = choice->n_ctx,
        .snapshot_count = choice->n_snapshot,
        .snapshot_length = WEIR_SNAPSHOT_LENGTH,
        .rewind_length = (uint32_t)weir_min(REWIND_LENGTH, choice->n_ctx / CONTEXT_PARTS),
        .page_max = choice->device.n_layer > 0 ? choice->device.page_max : 0,
        .block_max = has_blocks ? choice->device.block_max : 0,
    };
}

uint64_t weir_choice_state_bytes(const struct weir_blueprint *blueprint,
                                 const struct weir_choice *choice, uint32_t n_position)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    weir_choice_state(blueprint, choice, layers, &config);
    return weir_state_bytes(&config, n_position, choice->n_chunk);
}

uint64_t weir_choice_text_bytes(const struct weir_blueprint *blueprint,
                                const struct weir_choice *choice, uint32_t n_position)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    weir_choice_state(blueprint, choice, layers, &config);
    return weir_state_bytes(&config, n_position, choice->n_chunk) -
           config.snapshot_count * weir_state_block_bytes(&config);
}

static enum weir_status layout_store(const struct weir_blueprint *blueprint,
                                     const struct weir_choice *choice, struct weir_mem *mem,
                                     struct weir_err *err)
{
    const uint32_t n_layer = weir_copies_store_layers(blueprint->model);
    struct weir_store_layer *layers = weir_heap_array(n_layer, sizeof(*layers));
    if (layers == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to plan %u layers", n_layer);
    for (uint32_t layer = 0; layer < n_layer; layer++)
        weir_choice_layer(blueprint, choice, layer, &layers[layer]);
    const struct weir_store_config config = {
        .layer_count = n_layer,
        .turn_count = blueprint->model->shape.n_layer,
        .layers = layers,
        .policy = &choice->policy,
        .step_max = blueprint->model->shape.n_expert_used,
    };
    weir_store_plan(mem, &config);
    weir_heap_free(layers);
    return WEIR_OK;
}

enum weir_status weir_choice_layout(const struct weir_blueprint *blueprint,
                                    const struct weir_choice *choice, struct weir_mem *mem,
                                    struct weir_gpu_mem *gpu_mem, struct weir_err *err)
{
    const struct weir_device_config device_config = {
        .model = blueprint->model, .plan = &choice->device, .n_chunk = choice->n_chunk};
    const struct weir_forward_config forward_config = {
        .model = blueprint->model,
        .kernels = &blueprint->kernels,
        .n_chunk = choice->n_chunk,
        .n_ctx = choice->n_ctx,
        .n_thread = choice->n_thread,
        .predictor = choice->predictor,
    };
    struct weir_state_layer state_layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config state_config;
    struct weir_batch batch;
    weir_state *state = NULL;
    weir_forward *forward = NULL;
    weir_device *device = NULL;
    *gpu_mem = (struct weir_gpu_mem){0};
    weir_mem_init(mem);
    weir_timeline_layout(mem, choice->timeline_events);
    weir_mem_alloc(mem, WEIR_MEM_IO, weir_staging_bytes(blueprint->model), WEIR_IO_ALIGN);
    if (choice->measures_inputs)
        weir_importance_layout(blueprint->model, mem);
    weir_model_layout(blueprint->model, choice->tables_on_disk, mem);
    if (weir_choice_has_device(choice))
        WEIR_TRY(weir_device_create(&device, &device_config, gpu_mem, mem, err));
    weir_choice_state(blueprint, choice, state_layers, &state_config);
    WEIR_TRY(weir_state_create(&state, &state_config, mem, err));
    WEIR_TRY(weir_forward_create(&forward, &forward_config, mem, err));
    weir_batch_layout(&batch, choice, blueprint->model->shape.n_vocab, mem);
    if (choice->slot_total > 0)
        WEIR_TRY(layout_store(blueprint, choice, mem, err));
    return WEIR_OK;
}
