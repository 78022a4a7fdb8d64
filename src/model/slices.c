/* slices.c - what of an expert is read by itself: a slice of its record each.
 *
 * Codes are one, their scales another. Matrices whose rows take turns are one slice together.
 *
 * I1  Slices are in the order in which they are needed: gate's and up's before down's. */
#include "model/linear.h"

enum { MATRIX_COUNT = 3 };

static bool are_together(const struct weir_weight *one, const struct weir_weight *other)
{
    return one->tensor == other->tensor && one->offset == other->offset;
}

/* Keeps I1. */
void weir_slices_number(struct weir_network *network)
{
    struct weir_weight *const weights[MATRIX_COUNT] = {&network->expert_gate, &network->expert_up,
                                                       &network->expert_down};
    uint32_t next = 0;
    for (size_t index = 0; index < MATRIX_COUNT; index++) {
        struct weir_weight *weight = weights[index];
        const struct weir_weight *before = index == 0 ? NULL : weights[index - 1];
        const bool is_there = before != NULL && are_together(before, weight);
        weight->slice = is_there ? before->slice : next++;
        if (weight->scales.tensor != NULL)
            weight->scales.slice = is_there ? before->scales.slice : next++;
    }
}

static void put_slice(struct weir_store_layer *layer, uint32_t index,
                      const struct weir_slice *slice)
{
    layer->slice[index] = *slice;
    layer->slice_count = (uint32_t)weir_max(layer->slice_count, index + 1);
}

static void put_weight(struct weir_store_layer *layer, const struct weir_weight *weight)
{
    const struct weir_scale_stack *scales = &weight->scales;
    const struct weir_slice of_codes = {.offset = weight->offset,
                                        .stride_bytes = weight->stride_bytes,
                                        .bytes = (uint32_t)weight->matrix_bytes,
                                        .file = weight->file,
                                        .places = weight->places};
    const struct weir_slice of_scales = {.offset = scales->offset,
                                         .stride_bytes = scales->stride_bytes,
                                         .bytes = (uint32_t)scales->matrix_bytes,
                                         .file = scales->file,
                                         .places = scales->places};
    put_slice(layer, weight->slice, &of_codes);
    if (scales->tensor != NULL)
        put_slice(layer, scales->slice, &of_scales);
}

void weir_model_store_layer(const struct weir_model *model, uint32_t layer,
                            struct weir_store_layer *out)
{
    const struct weir_network *network = &model->layers[layer].network;
    *out = (struct weir_store_layer){0};
    if (!weir_layer_has_experts(&model->layers[layer]))
        return;
    out->record_count = model->shape.n_expert;
    out->head_count = network->expert_down.slice; /* makes hidden rows while the rest comes */
    put_weight(out, &network->expert_gate);
    put_weight(out, &network->expert_up);
    put_weight(out, &network->expert_down);
}

struct weir_matrix weir_expert_matrix(const struct weir_weight *weight,
                                      const struct weir_lease *lease)
{
    const struct weir_scale_stack *scales = &weight->scales;
    return (struct weir_matrix){
        .weight = weight,
        .data = lease->slice[weight->slice] + weight->lead_bytes,
        .scales = scales->tensor == NULL ? NULL : lease->slice[scales->slice] + scales->lead_bytes,
        .index = lease->record,
    };
}
