/* slices.c - what of an expert is read by itself: a slice of its record each.
 *
 * Codes are one, their scales another, their zero points a third. Matrices whose rows take turns
 * are one slice together.
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
        if (weight->zeros.tensor != NULL)
            weight->zeros.slice = is_there ? before->zeros.slice : next++;
    }
}

static void put_slice(struct weir_store_layer *layer, uint32_t index,
                      const struct weir_slice *slice)
{
    layer->slice[index] = *slice;
    layer->slice_count = (uint32_t)weir_max(layer->slice_count, index + 1);
}

static void put_beside(struct weir_store_layer *layer, const struct weir_scale_stack *stack)
{
    const struct weir_slice slice = {.offset = stack->offset,
                                     .stride_bytes = stack->stride_bytes,
                                     .bytes = (uint32_t)stack->matrix_bytes,
                                     .file = stack->file,
                                     .places = stack->places};
    if (stack->tensor != NULL)
        put_slice(layer, stack->slice, &slice);
}

static void put_weight(struct weir_store_layer *layer, const struct weir_weight *weight)
{
    const struct weir_slice of_codes = {.offset = weight->offset,
                                        .stride_bytes = weight->stride_bytes,
                                        .bytes = (uint32_t)weight->matrix_bytes,
                                        .file = weight->file,
                                        .places = weight->places};
    put_slice(layer, weight->slice, &of_codes);
    put_beside(layer, &weight->scales);
    put_beside(layer, &weight->zeros);
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

/* Row 0 of one that goes with codes; NULL: there is none. */
static const uint8_t *beside(const struct weir_scale_stack *stack, const struct weir_lease *lease)
{
    return stack->tensor == NULL ? NULL : lease->slice[stack->slice] + stack->lead_bytes;
}

struct weir_matrix weir_expert_matrix(const struct weir_weight *weight,
                                      const struct weir_lease *lease)
{
    return (struct weir_matrix){
        .weight = weight,
        .data = lease->slice[weight->slice] + weight->lead_bytes,
        .scales = beside(&weight->scales, lease),
        .zeros = beside(&weight->zeros, lease),
        .index = lease->record,
    };
}
