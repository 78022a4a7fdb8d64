/* latent_joint.c - older files' one matrix for keys and values of all heads, in two stacks.
 *
 * Its rows are, for each head, what makes d_plain values of a key and what makes d_value values,
 * from the latent ones. Values are used as they lie. Keys are absorbed into queries, which wants
 * the matrix turned round: a copy is made once, of floats, for the bytes of a format lie along
 * rows.
 *
 * Scales of codes may be for so many rows that one lies across heads (128 rows, where a head has
 * 192 and 256: GLM-4.7-Flash in FP8). Then each head gets a copy of its own, for as many rows as
 * divide all three numbers.
 */
#include <string.h>

#include "model/model_internal.h"

enum { COPY_ALIGN = 64, PIECE = 256 }; /* values decoded at once: a multiple of every block */

/* A float of 16 bits holds what the file's value is to 11 bits, but for the range of BF16, and for
 * codes times scales, which have more bits and any range. */
static enum weir_type copy_type(enum weir_type type)
{
    if (type == WEIR_TYPE_F32 || type >= WEIR_TYPE_BLOCK_COUNT)
        return WEIR_TYPE_F32;
    return type == WEIR_TYPE_BF16 ? type : WEIR_TYPE_F16;
}

/* Rows [first_row, first_row + rows) of each head in the joint matrix. */
static struct weir_weight stack_of(const struct weir_weight *joint, uint32_t n_head,
                                   uint64_t first_row, uint64_t rows)
{
    struct weir_weight stack = *joint;
    stack.count = n_head;
    stack.rows = rows;
    stack.matrix_bytes = rows * joint->row_bytes;
    stack.stride_bytes = joint->rows / n_head * joint->row_bytes;
    if (joint->data != NULL)
        stack.data = joint->data + first_row * joint->row_bytes;
    if (joint->scales.tensor == NULL)
        return stack;
    const struct weir_scale_stack *scales = &joint->scales;
    stack.scales.stride_bytes = joint->rows / n_head / scales->group_rows * scales->row_bytes;
    if (scales->data != NULL)
        stack.scales.data = scales->data + first_row / scales->group_rows * scales->row_bytes;
    return stack;
}

static uint32_t common_divisor(uint32_t one, uint32_t other)
{
    while (other != 0) {
        const uint32_t rest = one % other;
        one = other;
        other = rest;
    }
    return one;
}

/* Rows of a head that have one scale, wherever the head begins in the joint matrix. */
static uint32_t own_group_rows(const struct weir_latent *latent)
{
    const struct weir_latent_shape *shape = &latent->shape;
    return common_divisor(latent->kv_up.scales.group_rows,
                          common_divisor(shape->d_plain, shape->d_value));
}

static bool has_own_scales(const struct weir_latent *latent)
{
    return latent->kv_up.scales.tensor != NULL &&
           own_group_rows(latent) != latent->kv_up.scales.group_rows;
}

/* Room for scales of the values' rows of each head. */
static void lay_out_scales(struct weir_latent *latent, struct weir_mem *mem)
{
    struct weir_scale_stack *scales = &latent->expand.scales;
    scales->group_rows = own_group_rows(latent);
    scales->rows = latent->shape.d_value / scales->group_rows;
    scales->matrix_bytes = scales->rows * scales->row_bytes;
    scales->stride_bytes = scales->matrix_bytes;
    scales->data = weir_mem_alloc(mem, WEIR_MEM_TRUNK, latent->expand.count * scales->matrix_bytes,
                                  COPY_ALIGN);
}

static void lay_out_copy(struct weir_mixer *mixer, struct weir_mem *mem)
{
    const struct weir_latent_shape *shape = &mixer->latent.shape;
    const struct weir_weight *joint = &mixer->latent.kv_up;
    const enum weir_type type = copy_type(joint->type);
    struct weir_weight *absorb = &mixer->latent.absorb;
    *absorb = (struct weir_weight){
        .tensor = joint->tensor,
        .type = type,
        .cols = shape->d_plain,
        .rows = shape->d_latent,
        .row_bytes = weir_quant_row_bytes(type, shape->d_plain),
        .count = mixer->n_head,
    };
    absorb->matrix_bytes = absorb->rows * absorb->row_bytes;
    absorb->stride_bytes = absorb->matrix_bytes;
    absorb->data =
        weir_mem_alloc(mem, WEIR_MEM_TRUNK, absorb->count * absorb->matrix_bytes, COPY_ALIGN);
    mixer->latent.expand = stack_of(joint, mixer->n_head, shape->d_plain, shape->d_value);
    if (has_own_scales(&mixer->latent))
        lay_out_scales(&mixer->latent, mem);
}

void weir_latent_heads_layout(struct weir_model *model, struct weir_mem *mem)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        struct weir_mixer *mixer = &model->layers[layer].mixer;
        struct weir_latent *latent = &mixer->latent;
        if (mixer->kind != WEIR_MIXER_LATENT)
            continue;
        if (latent->shape.is_joint) {
            lay_out_copy(mixer, mem);
            continue;
        }
        latent->absorb = latent->k_up;
        latent->expand = latent->v_up;
    }
}

/* Times their scales, where they are codes. */
static void decode(const struct weir_weight *weight, uint64_t row, uint64_t first, float *values,
                   size_t count)
{
    const struct weir_type_info *info = weir_quant_info(weight->type);
    const struct weir_scale_stack *scales = &weight->scales;
    weir_quant_decode_row(weight->type,
                          weight->data + row * weight->row_bytes +
                              first / info->block_len * info->block_bytes,
                          values, count);
    for (size_t index = 0; scales->tensor != NULL && index < count; index++)
        values[index] *= weir_scale_decode(
            scales->type, scales->data + row / scales->group_rows * scales->row_bytes,
            (size_t)((first + index) / scales->group_cols));
}

static void put_value(enum weir_type type, uint8_t *at, float value)
{
    const uint16_t half = type == WEIR_TYPE_BF16 ? weir_f32_to_bf16(value) : weir_f32_to_f16(value);
    if (type == WEIR_TYPE_F32)
        *(float *)(void *)at = value;
    else
        *(uint16_t *)(void *)at = half;
}

/* One head's rows for keys become columns of the copy. */
static void turn_head(const struct weir_latent *latent, uint32_t head)
{
    const struct weir_weight *joint = &latent->kv_up;
    const struct weir_weight *copy = &latent->absorb;
    const uint64_t value_bytes = weir_quant_row_bytes(copy->type, 1);
    const uint64_t head_rows = latent->shape.d_plain + latent->shape.d_value;
    uint8_t *to = (uint8_t *)(uintptr_t)copy->data + head * copy->stride_bytes;
    for (uint64_t row = 0; row < latent->shape.d_plain; row++) {
        for (uint64_t first = 0; first < joint->cols; first += PIECE) {
            float values[PIECE];
            const size_t count = (size_t)weir_min(PIECE, joint->cols - first);
            decode(joint, head * head_rows + row, first, values, count);
            for (size_t index = 0; index < count; index++)
                put_value(copy->type, to + (first + index) * copy->row_bytes + row * value_bytes,
                          values[index]);
        }
    }
}

static void copy_scales(const struct weir_latent *latent, uint32_t head)
{
    const struct weir_scale_stack *from = &latent->kv_up.scales;
    const struct weir_scale_stack *own = &latent->expand.scales;
    const uint64_t first =
        head * ((uint64_t)latent->shape.d_plain + latent->shape.d_value) + latent->shape.d_plain;
    uint8_t *to = (uint8_t *)(uintptr_t)own->data + head * own->stride_bytes;
    for (uint64_t row = 0; row < own->rows; row++)
        memcpy(to + row * own->row_bytes,
               from->data + (first + row * own->group_rows) / from->group_rows * from->row_bytes,
               own->row_bytes);
}

void weir_latent_heads_load(struct weir_model *model)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_mixer *mixer = &model->layers[layer].mixer;
        if (mixer->kind != WEIR_MIXER_LATENT || !mixer->latent.shape.is_joint)
            continue;
        for (uint32_t head = 0; head < mixer->n_head; head++) {
            turn_head(&mixer->latent, head);
            if (has_own_scales(&mixer->latent))
                copy_scales(&mixer->latent, head);
        }
    }
}
