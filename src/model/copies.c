/* copies.c - what may be read in the place of experts, and when.
 *
 * I1  The best expert of each row is read as it is, so a layer's own step is never empty. */
#include "model/copies.h"

#include <string.h>

#include "model/model_internal.h"

/* ---- another model's experts ----------------------------------------------------------------- */

static uint64_t record_bytes(const struct weir_model *model, uint32_t layer)
{
    struct weir_store_layer at;
    uint64_t bytes = 0;
    weir_model_store_layer(model, layer, &at);
    for (uint32_t slice = 0; slice < at.slice_count; slice++)
        bytes += at.slice[slice].bytes;
    return bytes;
}

static enum weir_status check_shape(const struct weir_model *model, const struct weir_model *copies,
                                    struct weir_err *err)
{
    const struct weir_shape *own = &model->shape;
    const struct weir_shape *other = &copies->shape;
    const struct {
        const char *what;
        uint32_t wanted, found;
    } rows[] = {
        {"layers", own->n_layer, other->n_layer},
        {"experts a layer", own->n_expert, other->n_expert},
        {"experts a token", own->n_expert_used, other->n_expert_used},
        {"values a position", own->d_model, other->d_model},
    };
    if (model->family != copies->family)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "wanted a model of family %s, found %s",
                         model->family->name, copies->family->name);
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (rows[row].wanted != rows[row].found)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "wanted the same model in fewer bits, with %u %s, found %u",
                             rows[row].wanted, rows[row].what, rows[row].found);
    if (own->n_expert == 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "the model has no experts to have copies of");
    if (2 * own->n_layer > WEIR_STORE_LAYER_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "copies of experts: wanted at most %d layers, found %u",
                         WEIR_STORE_LAYER_MAX / 2, own->n_layer);
    return WEIR_OK;
}

/* One of an expert's matrices, which is read from the files after the model's own. */
static enum weir_status take_weight(const struct weir_weight *own, struct weir_weight *other,
                                    uint32_t first_file, struct weir_err *err)
{
    if (own->rows != other->rows || own->cols != other->cols)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: wanted %llu x %llu, found %llu x %llu",
                         other->tensor->name, (unsigned long long)own->rows,
                         (unsigned long long)own->cols, (unsigned long long)other->rows,
                         (unsigned long long)other->cols);
    if (other->places != NULL || other->scales.tensor != NULL || other->zeros.tensor != NULL ||
        other->scale.tensor != NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s: copies of experts are read from stacks of a GGUF file that "
                         "have no scales beside them (weir quantize makes one)",
                         other->tensor->name);
    other->file += first_file;
    return WEIR_OK;
}

static enum weir_status take_layer(const struct weir_model *model, struct weir_model *copies,
                                   uint32_t layer, struct weir_err *err)
{
    const struct weir_network *own = &model->layers[layer].network;
    struct weir_network *other = &copies->layers[layer].network;
    const uint32_t first_file = weir_manifest_file_count(model->manifest);
    if (own->kind != other->kind)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "layer %u: only one of the two has experts", layer);
    if (own->kind != WEIR_NETWORK_EXPERTS)
        return WEIR_OK;
    const uint64_t most = record_bytes(model, layer);
    const uint64_t found = record_bytes(copies, layer);
    if (found >= most)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "layer %u: wanted experts of fewer bytes than the model's %llu, found "
                         "%llu: name a file in fewer bits",
                         layer, (unsigned long long)most, (unsigned long long)found);
    WEIR_TRY(take_weight(&own->expert_gate, &other->expert_gate, first_file, err));
    WEIR_TRY(take_weight(&own->expert_up, &other->expert_up, first_file, err));
    return take_weight(&own->expert_down, &other->expert_down, first_file, err);
}

enum weir_status weir_copies_lend(struct weir_model *model, struct weir_model *copies,
                                  struct weir_err *err)
{
    WEIR_TRY(check_shape(model, copies, err));
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        WEIR_TRY(take_layer(model, copies, layer, err));
    model->copies = copies;
    return WEIR_OK;
}

static void attach_weight(const struct weir_weight *own, struct weir_weight *other)
{
    other->bias = own->bias;
    other->scale = own->scale;
}

void weir_copies_attach(const struct weir_model *model, struct weir_model *copies)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_network *own = &model->layers[layer].network;
        struct weir_network *other = &copies->layers[layer].network;
        attach_weight(&own->expert_gate, &other->expert_gate);
        attach_weight(&own->expert_up, &other->expert_up);
        attach_weight(&own->expert_down, &other->expert_down);
    }
}

uint32_t weir_copies_store_layers(const struct weir_model *model)
{
    return model->shape.n_layer * (model->copies == NULL ? 1 : 2);
}

/* ---- of a running layer ---------------------------------------------------------------------- */

/* What a row uses of its experts, all but those left out; *best: the rank that weighs most. */
static float weigh_row(const struct weir_forward *forward, uint64_t first, uint32_t *best)
{
    const float *weights = forward->routing.chosen_weight + first;
    float total = 0.0f;
    *best = 0;
    for (uint32_t rank = 0; rank < forward->step.layer->network.n_expert_used; rank++) {
        if (weir_lossy_drops(forward, first + rank))
            continue;
        total += weights[rank];
        *best = weights[rank] > weights[*best] ? rank : *best;
    }
    return total;
}

static bool is_asked(const struct weir_forward *forward)
{
    return forward->config.copy_share > 0.0f && forward->lossy.is_marked;
}

void weir_copies_mark(struct weir_forward *forward)
{
    const struct weir_routing *routing = &forward->routing;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    bool *matters = forward->lossy.matters;
    if (!is_asked(forward))
        return;
    memset(matters, 0, forward->shape->n_expert * sizeof(*matters));
    for (uint64_t row = 0; row < forward->step.n_row; row++) {
        uint32_t best;
        const float total = weigh_row(forward, row * n_used, &best);
        for (uint32_t rank = 0; rank < n_used; rank++) {
            const uint64_t index = row * n_used + rank;
            matters[routing->chosen[index]] |=
                rank == best || !(routing->chosen_weight[index] < /* what is no number matters */
                                  forward->config.copy_share * total);
        }
    }
}

uint32_t weir_copies_split(struct weir_forward *forward)
{
    struct weir_routing *routing = &forward->routing;
    uint32_t copied[WEIR_RECORD_MAX];
    uint32_t rows[WEIR_RECORD_MAX];
    uint32_t n_copied = 0;
    uint32_t n_own = 0;
    if (!is_asked(forward))
        return 0;
    for (uint32_t index = 0; index < routing->n_distinct; index++) {
        const uint32_t expert = routing->distinct[index];
        const bool is_own = forward->lossy.matters[expert] || weir_lossy_is_here(forward, expert);
        uint32_t *at = is_own ? &routing->distinct[n_own] : &copied[n_copied];
        *(is_own ? &routing->distinct_rows[n_own++] : &rows[n_copied++]) =
            routing->distinct_rows[index];
        *at = expert;
    }
    memcpy(routing->distinct + n_own, copied, n_copied * sizeof(*copied));
    memcpy(routing->distinct_rows + n_own, rows, n_copied * sizeof(*rows));
    return n_copied;
}

const struct weir_network *weir_copies_network(const struct weir_forward *forward)
{
    return &forward->config.model->copies->layers[forward->step.layer_index].network;
}

uint32_t weir_copies_store_layer(const struct weir_forward *forward)
{
    return forward->shape->n_layer + forward->step.layer_index;
}
