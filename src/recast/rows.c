/* rows.c - rows of what is written, as floats, from bytes of the source. */
#include <math.h>
#include <string.h>

#include "quant/i4.h"
#include "recast/packed.h"
#include "recast/recast_internal.h"

uint64_t weir_recast_room(const struct weir_recast_tensor *tensor)
{
    return tensor->is_turned ? weir_quant_info(tensor->source->type)->block_len
                             : weir_recast_source(tensor).cols;
}

/* Where each part of a piece begins in what was read. */
struct places {
    const uint8_t *at[RECAST_PART_COUNT];
};

static struct places find_places(const struct recast_piece *piece, const uint8_t *in)
{
    struct places places;
    for (int kind = 0; kind < RECAST_PART_COUNT; kind++) {
        places.at[kind] = in;
        in += piece->parts[kind].bytes;
    }
    return places;
}

static float change(enum weir_change how, float value)
{
    switch (how) {
    case WEIR_CHANGE_PLUS_ONE:
        return value + 1.0f;
    case WEIR_CHANGE_MINUS_EXP:
        return -expf(value);
    case WEIR_CHANGE_INVERSE:
        return 1.0f / value;
    default:
        return value;
    }
}

static float find_factor(const struct weir_recast_tensor *tensor, const struct places *places)
{
    float value = 1.0f;
    if (tensor->factor == NULL)
        return value;
    weir_quant_decode_row(tensor->factor->type, places->at[RECAST_FACTOR], &value, 1);
    return change(tensor->factor->change, value);
}

/* What row `row` of the source's matrix has in column col beside its code. */
struct beside {
    const uint8_t *scales, *zeros; /* of the row; NULL: none */
    uint64_t group_cols;
    unsigned zero_shift;
    float factor;
};

static struct beside find_beside(const struct weir_recast_tensor *tensor,
                                 const struct recast_piece *piece, const struct places *places,
                                 uint64_t row)
{
    struct beside beside = {.factor = find_factor(tensor, places)};
    if (tensor->scales != NULL) {
        const uint64_t group_row = row / weir_recast_group_rows(tensor);
        beside.group_cols = weir_recast_group_cols(tensor);
        beside.scales = places->at[RECAST_SCALES] +
                        (group_row - piece->first_rows[RECAST_SCALES]) * tensor->scales->dims[0] *
                            weir_scale_bytes(tensor->scales->scale_type);
    }
    if (tensor->zeros != NULL) {
        const uint64_t word_row = row / WEIR_I4_ZERO_ROWS - piece->first_rows[RECAST_ZEROS];
        beside.zeros =
            places->at[RECAST_ZEROS] + word_row * tensor->zeros->dims[0] * WEIR_I4_ZERO_BYTES;
        beside.zero_shift = (unsigned)(row % WEIR_I4_ZERO_ROWS) * 4;
    }
    return beside;
}

/* How far codes are above what their zero point says, in place of WEIR_I4_ZERO. */
static float zero_of(const struct beside *beside, uint64_t group)
{
    uint32_t word;
    if (beside->zeros == NULL)
        return 0.0f;
    memcpy(&word, beside->zeros + group * WEIR_I4_ZERO_BYTES, sizeof(word));
    return (float)(WEIR_I4_ZERO - (int)(word >> beside->zero_shift & 15));
}

/* All of a row of the source's matrix. */
static void scale_row(const struct weir_recast_tensor *tensor, const struct beside *beside,
                      float *values, uint64_t cols)
{
    const enum weir_change how = tensor->source->change;
    for (uint64_t first = 0; beside->scales != NULL && first < cols; first += beside->group_cols) {
        const uint64_t group = first / beside->group_cols;
        const uint64_t end = weir_min(cols, first + beside->group_cols);
        const float scale =
            weir_scale_decode(tensor->scales->scale_type, beside->scales, (size_t)group);
        const float zero = zero_of(beside, group);
        for (uint64_t col = first; col < end; col++)
            values[col] = scale * (values[col] + zero);
    }
    for (uint64_t col = 0; beside->factor != 1.0f && col < cols; col++)
        values[col] *= beside->factor;
    for (uint64_t col = 0; how != WEIR_CHANGE_NONE && col < cols; col++)
        values[col] = change(how, values[col]);
}

static uint64_t row_of(const struct weir_recast_tensor *tensor, uint64_t row)
{
    return tensor->first_row +
           (tensor->row_order != NULL ? tensor->row_order[row] : row * tensor->row_step);
}

static uint64_t col_of(const struct weir_recast_tensor *tensor, uint64_t col)
{
    return tensor->first_col + (tensor->col_order != NULL ? tensor->col_order[col] : col);
}

static void decode_straight(const struct weir_recast_tensor *tensor,
                            const struct recast_piece *piece, const struct places *places,
                            uint64_t row, float *values, float *room)
{
    const struct recast_source lies = weir_recast_source(tensor);
    const bool is_whole =
        tensor->col_order == NULL && tensor->first_col == 0 && tensor->dims[0] == lies.cols;
    const uint64_t from =
        weir_recast_lead(tensor, piece->matrix) + row_of(tensor, piece->row + row);
    const struct beside beside = find_beside(tensor, piece, places, from);
    float *decoded = is_whole ? values : room;
    weir_quant_decode_row(tensor->source->type,
                          places->at[RECAST_CODES] +
                              (from - piece->first_rows[RECAST_CODES]) * lies.row_bytes,
                          decoded, (size_t)lies.cols);
    scale_row(tensor, &beside, decoded, lies.cols);
    for (uint64_t col = 0; !is_whole && col < tensor->dims[0]; col++)
        values[col] = decoded[col_of(tensor, col)];
}

/* Each value is in another row of the source: its block alone is decoded. */
static void decode_turned(const struct weir_recast_tensor *tensor, const struct recast_piece *piece,
                          const struct places *places, uint64_t row, float *values, float *room)
{
    const struct weir_type_info *info = weir_quant_info(tensor->source->type);
    const struct recast_source lies = weir_recast_source(tensor);
    const uint64_t across = row_of(tensor, piece->row + row);
    const uint64_t block = across / info->block_len;
    const uint64_t lead = weir_recast_lead(tensor, piece->matrix);
    for (uint64_t col = 0; col < tensor->dims[0]; col++) {
        const uint64_t from = lead + col_of(tensor, col);
        const uint8_t *at = places->at[RECAST_CODES] +
                            (from - piece->first_rows[RECAST_CODES]) * lies.row_bytes +
                            block * info->block_bytes;
        weir_quant_decode_row(tensor->source->type, at, room, info->block_len);
        float value = room[across % info->block_len];
        const struct beside beside = find_beside(tensor, piece, places, from);
        if (beside.scales != NULL)
            value = (value + zero_of(&beside, across / beside.group_cols)) *
                    weir_scale_decode(tensor->scales->scale_type, beside.scales,
                                      (size_t)(across / beside.group_cols));
        values[col] = change(tensor->source->change, beside.factor * value);
    }
}

void weir_recast_decode(const struct weir_recast_tensor *tensor, const struct recast_piece *piece,
                        const uint8_t *in, uint64_t row, float *values, float *room)
{
    const struct places places = find_places(piece, in);
    if (tensor->source->values != NULL)
        for (uint64_t col = 0; col < tensor->dims[0]; col++)
            values[col] =
                change(tensor->source->change, tensor->source->values[col_of(tensor, col)]);
    else if (tensor->is_turned)
        decode_turned(tensor, piece, &places, row, values, room);
    else
        decode_straight(tensor, piece, &places, row, values, room);
}

void weir_recast_keep(const struct weir_recast_tensor *tensor, const struct recast_piece *piece,
                      const uint8_t *in, uint64_t row, uint8_t *out)
{
    const struct places places = find_places(piece, in);
    const struct recast_source lies = weir_recast_source(tensor);
    const uint64_t from =
        weir_recast_lead(tensor, piece->matrix) + row_of(tensor, piece->row + row);
    const struct beside beside = find_beside(tensor, piece, &places, from);
    const struct weir_packed packed = {
        .type = tensor->source->type,
        .codes =
            places.at[RECAST_CODES] + (from - piece->first_rows[RECAST_CODES]) * lies.row_bytes,
        .cols = lies.cols,
        .scale_type = tensor->scales->scale_type,
        .scales = beside.scales,
        .group_cols = beside.group_cols,
        .zeros = beside.zeros,
        .zero_row = (uint32_t)(from % WEIR_I4_ZERO_ROWS)};
    weir_packed_put(&packed, tensor->type, out);
}
