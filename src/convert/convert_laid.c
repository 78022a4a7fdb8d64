/* convert_laid.c - a tensor of the file from one of the directory: its orders and its type. */
#include "convert/laying.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "recast/packed.h"

bool weir_is_codes(const struct weir_tensor *tensor)
{
    return tensor->known && tensor->type >= WEIR_TYPE_BLOCK_COUNT;
}

bool weir_ends_with(const char *name, const char *suffix)
{
    const size_t length = strlen(name);
    return length >= strlen(suffix) && strcmp(name + length - strlen(suffix), suffix) == 0;
}

/* ---- orders ---------------------------------------------------------------------------------- */

static uint64_t order_at(const struct weir_order *order, uint64_t at)
{
    const uint64_t rest = at / order->inner;
    return order->first + rest / order->middle * order->outer_step +
           rest % order->middle * order->middle_step + at % order->inner * order->inner_step;
}

/* An order of the layout's that is the same; else it becomes one, and the layout owns it. */
static enum weir_status share_order(struct weir_maker *maker, struct weir_layout_order made,
                                    const uint32_t **at)
{
    struct weir_layout *layout = maker->layout;
    for (uint32_t index = 0; index < layout->order_count; index++) {
        const struct weir_layout_order *order = &layout->orders[index];
        if (order->count != made.count ||
            memcmp(order->at, made.at, made.count * sizeof(*made.at)) != 0)
            continue;
        weir_heap_free(made.at);
        *at = order->at;
        return WEIR_OK;
    }
    if (layout->order_count == layout->order_capacity) {
        const uint32_t capacity = 2 * layout->order_capacity + 8;
        struct weir_layout_order *grown =
            weir_heap_grow(layout->orders, capacity * sizeof(*layout->orders));
        if (grown == NULL) {
            weir_heap_free(made.at);
            return WEIR_FAIL(maker->err, WEIR_ERR_NOMEM, "no memory for %u orders of rows",
                             capacity);
        }
        layout->orders = grown;
        layout->order_capacity = capacity;
    }
    layout->orders[layout->order_count++] = made;
    *at = made.at;
    return WEIR_OK;
}

static enum weir_status make_order(struct weir_maker *maker, const struct weir_run *runs,
                                   uint32_t run_count, uint64_t count, const uint32_t **at)
{
    struct weir_layout_order made = {.at = weir_heap_array(count, sizeof(*made.at))};
    if (made.at == NULL)
        return WEIR_FAIL(maker->err, WEIR_ERR_NOMEM, "no memory for the order of %llu rows",
                         (unsigned long long)count);
    for (uint32_t run = 0; run < run_count; run++)
        for (uint64_t row = 0; row < runs[run].count && made.count < count; row++)
            made.at[made.count++] = (uint32_t)order_at(&runs[run].order, row);
    return share_order(maker, made, at);
}

enum weir_status weir_laid_rows(struct weir_maker *maker, struct weir_recast_tensor *laid,
                                const struct weir_run *runs, uint32_t count)
{
    return make_order(maker, runs, count, laid->dims[1], &laid->row_order);
}

enum weir_status weir_laid_cols(struct weir_maker *maker, struct weir_recast_tensor *laid,
                                const struct weir_run *runs, uint32_t count)
{
    return make_order(maker, runs, count, laid->dims[0], &laid->col_order);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* What llama.cpp takes as F32 alone. */
static bool must_be_float(const struct weir_recast_tensor *laid)
{
    static const char *const names[] = {
        "_norm.weight",
        ".ffn_gate_inp.weight",
        ".ffn_gate_inp_shexp.weight",
        ".ssm_conv1d.weight",
    };
    for (size_t row = 0; row < WEIR_COUNT(names); row++)
        if (weir_ends_with(laid->name, names[row]))
            return true;
    return laid->n_dim == 1 || !weir_ends_with(laid->name, ".weight");
}

static char *next_name(struct weir_maker *maker)
{
    WEIR_ASSERT(maker->layout->list.count < maker->capacity);
    return maker->layout->names + (size_t)maker->layout->list.count * WEIR_LAYOUT_NAME_BYTES;
}

enum weir_status weir_laid_add(struct weir_maker *maker, const char *word, uint64_t rows,
                               struct weir_recast_tensor **laid)
{
    struct weir_recast_list *list = &maker->layout->list;
    struct weir_recast_tensor *added = &list->tensors[list->count];
    char *name = next_name(maker);
    WEIR_TRY(weir_recast_tensor_make(added, maker->manifest, maker->source, maker->err));
    if (maker->word == maker->source->name)
        snprintf(name, WEIR_LAYOUT_NAME_BYTES, "%s", word);
    else
        snprintf(name, WEIR_LAYOUT_NAME_BYTES, "blk.%u.%s", maker->layer, word);
    added->name = name;
    added->dims[1] = rows;
    list->count++;
    *laid = added;
    return WEIR_OK;
}

/* Factors of codes that stay codes go into the file beside them; others are multiplied. */
static enum weir_status add_factors(struct weir_maker *maker, struct weir_recast_tensor *of)
{
    struct weir_recast_list *list = &maker->layout->list;
    struct weir_recast_tensor *added = &list->tensors[list->count];
    char *name = next_name(maker);
    const int length = (int)(strlen(of->name) - strlen(".weight"));
    const struct weir_tensor *source = NULL;
    WEIR_TRY(weir_factors_read(maker, of->factor, of->dims[2], &source));
    WEIR_TRY(weir_recast_tensor_make(added, maker->manifest, source, maker->err));
    snprintf(name, WEIR_LAYOUT_NAME_BYTES, "%.*s.scale", length, of->name);
    added->name = name;
    list->count++;
    of->factor = NULL;
    return WEIR_OK;
}

enum weir_status weir_laid_finish(struct weir_maker *maker, struct weir_recast_tensor *laid)
{
    if (must_be_float(laid)) {
        laid->type = WEIR_TYPE_F32;
        return WEIR_OK;
    }
    if (!weir_is_codes(laid->source))
        return WEIR_OK;
    laid->type = weir_packed_type(laid);
    if (laid->type == WEIR_TYPE_MXFP4 || laid->type == WEIR_TYPE_NVFP4)
        maker->layout->kept_count++;
    else
        maker->layout->near_count++;
    if (laid->factor != NULL && laid->type == WEIR_TYPE_NVFP4)
        return add_factors(maker, laid);
    return WEIR_OK;
}
