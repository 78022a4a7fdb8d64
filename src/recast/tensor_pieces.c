/* tensor_pieces.c - tensors cut into pieces: which bytes of which files each of them needs. */
#include <string.h>

#include "quant/i4.h"
#include "recast/recast_internal.h"

struct recast_source weir_recast_source(const struct weir_recast_tensor *tensor)
{
    const struct weir_tensor *source = tensor->source;
    const uint32_t across = source->is_turned ? 1 : 0;
    struct recast_source found = {.cols = source->dims[across], .rows = source->dims[1 - across]};
    found.row_bytes = weir_quant_row_bytes(source->type, (size_t)found.cols);
    return found;
}

static uint64_t group_of(uint32_t said, uint64_t side, uint64_t scale_count)
{
    return said != 0 ? said : (side + scale_count - 1) / scale_count;
}

uint64_t weir_recast_group_rows(const struct weir_recast_tensor *tensor)
{
    return group_of(tensor->scales->group_rows, tensor->source->dims[1], tensor->scales->dims[1]);
}

uint64_t weir_recast_group_cols(const struct weir_recast_tensor *tensor)
{
    return group_of(tensor->scales->group_cols, tensor->source->dims[0], tensor->scales->dims[0]);
}

/* The first row of a matrix of what is written, where the source is one matrix for all of them. */
uint64_t weir_recast_lead(const struct weir_recast_tensor *tensor, uint64_t matrix)
{
    const struct weir_tensor *source = tensor->source;
    return source->dims[2] * source->dims[3] == 1 ? matrix * tensor->stride_rows : 0;
}

/* The least and the greatest of first + order[from ... to - 1], or of a row of numbers. */
static void find_span(const uint32_t *order, uint64_t first, uint64_t step, uint64_t from,
                      uint64_t to, uint64_t *low, uint64_t *high)
{
    *low = first + from * step;
    *high = first + (to - 1) * step;
    if (order == NULL)
        return;
    *low = UINT64_MAX;
    *high = 0;
    for (uint64_t at = from; at < to; at++) {
        *low = weir_min(*low, first + order[at]);
        *high = weir_max(*high, first + order[at]);
    }
}

/* Rows of the source's matrix, as it lies in its file, that rows [from, to) come from. */
static void find_rows(const struct weir_recast_tensor *tensor, uint64_t from, uint64_t to,
                      uint64_t *low, uint64_t *high)
{
    if (tensor->is_turned)
        find_span(tensor->col_order, tensor->first_col, 1, 0, tensor->dims[0], low, high);
    else
        find_span(tensor->row_order, tensor->first_row, tensor->row_step, from, to, low, high);
}

/* How many rows from `row` on make a piece: one at least. */
static uint64_t count_rows(const struct weir_recast_tensor *tensor, uint64_t row,
                           uint64_t target_bytes)
{
    const uint64_t left = tensor->dims[1] - row;
    const uint64_t row_bytes = weir_recast_source(tensor).row_bytes;
    const uint64_t out_bytes = weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    uint64_t count = weir_max(1, weir_min(left, target_bytes / out_bytes));
    if (tensor->is_turned)
        return left; /* every row wants all that is read for any of them */
    if (tensor->row_order == NULL)
        return weir_max(1, weir_min(count, target_bytes / (row_bytes * tensor->row_step)));
    uint64_t low = tensor->row_order[row];
    uint64_t high = low;
    for (uint64_t at = 1; at < count; at++) {
        low = weir_min(low, tensor->row_order[row + at]);
        high = weir_max(high, tensor->row_order[row + at]);
        if ((high - low + 1) * row_bytes > target_bytes)
            return at;
    }
    return count;
}

/* Rows [low, high] of a matrix of a tensor whose rows have row_bytes; one has all matrices. */
static void place_part(struct recast_piece *piece, enum recast_part kind,
                       const struct weir_tensor *source, uint64_t stride_bytes, uint64_t row_bytes,
                       uint64_t low, uint64_t high)
{
    struct weir_io_part *part = &piece->parts[kind];
    const uint64_t matrix =
        source->dims[2] * source->dims[3] == 1 && kind != RECAST_FACTOR ? 0 : piece->matrix;
    *part = (struct weir_io_part){.offset = source->offset + matrix * stride_bytes,
                                  .file = source->file};
    if (source->places != NULL)
        *part = (struct weir_io_part){.offset = source->places[matrix].offset,
                                      .file = source->places[matrix].file};
    part->offset += low * row_bytes;
    part->bytes = (high - low + 1) * row_bytes;
    piece->first_rows[kind] = low;
    piece->in_bytes += part->bytes;
}

/* One value for all, one in a vector for each matrix, or matrices of one value each. */
static void place_factor(struct recast_piece *piece, const struct weir_tensor *factor)
{
    const uint64_t bytes = weir_quant_row_bytes(factor->type, 1);
    const bool is_one = factor->dims[0] == 1 && factor->dims[2] == 1 && factor->places == NULL;
    place_part(piece, RECAST_FACTOR, factor, is_one ? 0 : bytes, bytes, 0, 0);
}

static void place_parts(const struct weir_recast_tensor *tensor, struct recast_piece *piece)
{
    const struct weir_tensor *source = tensor->source;
    const struct weir_tensor *scales = tensor->scales;
    const struct recast_source lies = weir_recast_source(tensor);
    uint64_t low = 0;
    uint64_t high = 0;
    if (source->values != NULL)
        return;
    find_rows(tensor, piece->row, piece->row + piece->row_count, &low, &high);
    low += weir_recast_lead(tensor, piece->matrix);
    high += weir_recast_lead(tensor, piece->matrix);
    place_part(piece, RECAST_CODES, source, lies.rows * lies.row_bytes, lies.row_bytes, low, high);
    if (scales != NULL) {
        const uint64_t group = weir_recast_group_rows(tensor);
        const uint64_t bytes = scales->dims[0] * weir_scale_bytes(scales->scale_type);
        place_part(piece, RECAST_SCALES, scales, scales->dims[1] * bytes, bytes, low / group,
                   high / group);
    }
    if (tensor->zeros != NULL) {
        const uint64_t bytes = tensor->zeros->dims[0] * WEIR_I4_ZERO_BYTES;
        place_part(piece, RECAST_ZEROS, tensor->zeros, tensor->zeros->dims[1] * bytes, bytes,
                   low / WEIR_I4_ZERO_ROWS, high / WEIR_I4_ZERO_ROWS);
    }
    if (tensor->factor != NULL)
        place_factor(piece, tensor->factor);
}

bool weir_recast_cut(struct recast_cutter *cutter, struct recast_piece *piece)
{
    if (cutter->tensor == cutter->list->count)
        return false;
    const struct weir_recast_tensor *tensor = &cutter->list->tensors[cutter->tensor];
    *piece = (struct recast_piece){
        .tensor = cutter->tensor, .matrix = cutter->matrix, .row = cutter->row};
    piece->row_count = count_rows(tensor, cutter->row, cutter->target_bytes);
    piece->out_bytes =
        piece->row_count * weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    place_parts(tensor, piece);
    cutter->row += piece->row_count;
    if (cutter->row < tensor->dims[1])
        return true;
    cutter->row = 0;
    if (++cutter->matrix < tensor->dims[2] * tensor->dims[3])
        return true;
    cutter->matrix = 0;
    cutter->tensor++;
    return true;
}
