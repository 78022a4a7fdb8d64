/* damage.c - which weights made a value that is not a finite number.
 *
 * Kernels keep what is not finite, and every norm of the residual stream notices it; so nothing is
 * looked for while all is well. Then the weights of half a layer are decoded one after another,
 * until one of them is not finite. */
#include "model/copies.h"
#include "model/device_internal.h"
#include "model/linear.h"
#include "model/roles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DAMAGED "is not finite: the model file is damaged (fetch it again)"

enum { PIECE = 256 }; /* values decoded at once: a multiple of every block */

/* What is looked for in some weights: one that is not finite, and the largest one. */
struct search {
    const struct weir_tensor *found; /* NULL: all were finite */
    const char *what;                /* its matrix, of a stack: an expert's or a head's */
    uint32_t matrix;
    uint64_t row, col;
    const struct weir_tensor *largest_in;
    float largest;
    bool is_copy; /* of what is read in the place of experts (copies.h) */
};

/* Values [first, first + count) of a row; true when one is not finite. */
static bool search_values(struct search *search, const struct weir_tensor *tensor,
                          const float *values, uint64_t first, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (!isfinite(values[index])) {
            search->found = tensor;
            search->col = first + index;
            return true;
        }
        if (search->largest_in == NULL || fabsf(values[index]) > search->largest) {
            search->largest = fabsf(values[index]);
            search->largest_in = tensor;
        }
    }
    return false;
}

/* Where values are column by column. */
static bool search_turned(struct search *search, const struct weir_vector *vector)
{
    for (uint64_t at = 0; at < vector->rows * vector->cols; at++)
        if (search_values(search, vector->tensor, vector->data + at, at / vector->rows, 1)) {
            search->row = at % vector->rows;
            return true;
        }
    return false;
}

static bool search_vector(struct search *search, const struct weir_vector *vector)
{
    if (vector->is_turned)
        return search_turned(search, vector);
    for (uint64_t row = 0; row < vector->rows; row++)
        if (search_values(search, vector->tensor, vector->data + row * vector->cols, vector->first,
                          (size_t)vector->cols)) {
            search->row = row;
            return true;
        }
    return false;
}

static bool search_vectors(struct search *search, const struct weir_vector *const *vectors,
                           size_t count)
{
    for (size_t index = 0; index < count; index++)
        if (vectors[index]->tensor != NULL && search_vector(search, vectors[index]))
            return true;
    return false;
}

/* A row of a matrix that lies column by column. */
static bool search_across(struct search *search, const struct weir_weight *weight,
                          const uint8_t *row)
{
    for (uint64_t col = 0; col < weight->cols; col++) {
        float value;
        weir_quant_decode_row(weight->type, row + col * weight->col_bytes, &value, 1);
        if (search_values(search, weight->tensor, &value, col, 1))
            return true;
    }
    return false;
}

static bool search_row(struct search *search, const struct weir_weight *weight, const uint8_t *row)
{
    const struct weir_type_info *info = weir_quant_info(weight->type);
    if (weight->col_bytes > 0)
        return search_across(search, weight, row);
    for (uint64_t first = 0; first < weight->cols; first += PIECE) {
        float values[PIECE];
        const size_t count = (size_t)weir_min(PIECE, weight->cols - first);
        weir_quant_decode_row(weight->type, row + first / info->block_len * info->block_bytes,
                              values, count);
        if (search_values(search, weight->tensor, values, first, count))
            return true;
    }
    return false;
}

static bool search_scales(struct search *search, const struct weir_matrix *matrix)
{
    const struct weir_scale_stack *scales = &matrix->weight->scales;
    for (uint64_t row = 0; row < scales->rows; row++)
        for (uint64_t col = 0; col < scales->cols; col++) {
            const float value = weir_scale_decode(
                scales->type, matrix->scales + row * scales->row_bytes, (size_t)col);
            if (search_values(search, scales->tensor, &value, col, 1)) {
                search->row = row;
                return true;
            }
        }
    return false;
}

/* True, and search knows where, when the matrix has a value that is not finite. */
static bool search_matrix(struct search *search, const struct weir_matrix *matrix)
{
    const struct weir_weight *weight = matrix->weight;
    search->matrix = matrix->index;
    if (search_scales(search, matrix))
        return true;
    for (uint64_t row = 0; row < weight->rows && weight->cols != 0; row++)
        if (search_row(search, weight, matrix->data + row * weight->row_bytes)) {
            search->row = row;
            return true;
        }
    return false;
}

/* Half of a layer, its mixer or its network, without its experts. */
struct half {
    struct search *search;
    const struct weir_layer *layer;
    bool is_network, is_found;
};

static void search_role(void *user, const struct weir_role *role)
{
    struct half *half = user;
    const void *place = (const char *)half->layer + role->place;
    const bool is_network = role->place >= offsetof(struct weir_layer, network);
    if (half->is_found || is_network != half->is_network)
        return;
    if (role->kind == WEIR_ROLE_VECTOR) {
        const struct weir_vector *const vector[] = {place};
        half->is_found = search_vectors(half->search, vector, 1);
        return;
    }
    const struct weir_weight *weight = place;
    const struct weir_vector *const beside[] = {&weight->bias, &weight->scale};
    half->is_found = search_vectors(half->search, beside, WEIR_COUNT(beside));
    const uint64_t count = role->kind == WEIR_ROLE_EXPERTS ? 0 : weight->count;
    for (uint32_t index = 0; index < count && !half->is_found; index++) {
        struct weir_matrix matrix = weir_trunk_matrix(weight);
        matrix.data += index * weight->stride_bytes;
        matrix.index = index;
        half->is_found = search_matrix(half->search, &matrix);
    }
}

static bool search_half(struct search *search, const struct weir_layer *layer, bool is_network)
{
    search->what = "head";
    struct half half = {.search = search, .layer = layer, .is_network = is_network};
    weir_roles_visit_layer(layer, search_role, &half);
    return half.is_found;
}

static bool search_lease(struct search *search, const struct weir_network *network,
                         const struct weir_lease *lease)
{
    const struct weir_weight *const weights[] = {&network->expert_gate, &network->expert_up,
                                                 &network->expert_down};
    bool is_found = false;
    search->what = "expert";
    for (size_t index = 0; index < WEIR_COUNT(weights) && !is_found; index++) {
        const struct weir_matrix matrix = weir_expert_matrix(weights[index], lease);
        is_found = search_matrix(search, &matrix);
    }
    return is_found;
}

/* One expert, from its slot or read again; one that cannot be read is passed over. */
static bool search_expert(struct search *search, weir_store *store, uint32_t layer_index,
                          const struct weir_network *network, uint32_t expert)
{
    struct weir_lease lease = {0};
    bool more = false;
    bool is_found = false;
    weir_store_begin(store, layer_index, &(struct weir_uses){.records = &expert, .count = 1});
    if (weir_store_next(store, &lease, &more, NULL) == WEIR_OK && more) {
        is_found = weir_store_tail(store, &lease, NULL) == WEIR_OK &&
                   search_lease(search, network, &lease);
        weir_store_release(store, &lease);
    }
    weir_store_end(store);
    return is_found;
}

/* Experts of a layer on the device, chosen there: any of them. */
static bool search_there(struct search *search, const struct weir_forward *forward,
                         uint32_t layer_index)
{
    weir_device *device = forward->config.device;
    const struct weir_network *network = &forward->config.model->layers[layer_index].network;
    for (uint32_t expert = 0; expert < forward->shape->n_expert; expert++) {
        struct weir_lease lease;
        if (!weir_device_has_expert(&device->layers[layer_index], expert)) {
            if (search_expert(search, forward->config.store, layer_index, network, expert))
                return true;
        } else if (weir_device_lend(device, layer_index, expert, &lease, NULL) == WEIR_OK &&
                   search_lease(search, network, &lease)) {
            return true;
        }
    }
    return false;
}

/* The running layer's experts in fewer bits, where they may stand in for what was not in memory. */
static bool search_copies(struct search *search, const struct weir_forward *forward)
{
    search->is_copy = forward->config.model->copies != NULL;
    for (uint32_t index = 0; search->is_copy && index < forward->routing.n_distinct; index++)
        if (search_expert(search, forward->config.store, weir_copies_store_layer(forward),
                          weir_copies_network(forward), forward->routing.distinct[index]))
            return true;
    return false;
}

static bool search_network(struct search *search, const struct weir_forward *forward,
                           uint32_t layer_index)
{
    const struct weir_layer *layer = &forward->config.model->layers[layer_index];
    const struct weir_network *network = &layer->network;
    if (search_half(search, layer, true))
        return true;
    if (network->kind != WEIR_NETWORK_EXPERTS)
        return false;
    if (weir_device_has_layer(forward->config.device, layer_index))
        return search_there(search, forward, layer_index);
    for (uint32_t index = 0; index < forward->routing.n_distinct; index++)
        if (search_expert(search, forward->config.store, layer_index, network,
                          forward->routing.distinct[index]))
            return true;
    return search_copies(search, forward);
}

static enum weir_status name_found(const struct search *search, struct weir_err *err)
{
    char matrix[32] = "";
    char row[32] = "";
    if (search->found->dims[2] > 1)
        snprintf(matrix, sizeof(matrix), ", %s %u", search->what, search->matrix);
    if (search->found->dims[1] > 1)
        snprintf(row, sizeof(row), " of row %llu", (unsigned long long)search->row);
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s%s%s: value %llu%s " DAMAGED,
                     search->found->name, search->is_copy ? " of the copies of experts" : "",
                     matrix, (unsigned long long)search->col, row);
}

float weir_most_of(const float *x, size_t count)
{
    float most = 0.0f;
    for (size_t index = 0; index < count; index++)
        most = fmaxf(most, fabsf(x[index]));
    return most;
}

/* The largest magnitude of what the step has computed to be remembered, or 0 if it fits, or was
 * computed on the device. */
static float keys_too_large(const struct weir_forward *forward, uint32_t layer)
{
    if (weir_device_has_layer(forward->config.device, layer))
        return 0.0f;
    const float most = weir_mixer_most_kept(forward, &forward->config.model->layers[layer].mixer);
    return most <= weir_kv_info(forward->config.kv)->most ? 0.0f : most;
}

enum weir_status weir_damage_name(struct weir_forward *forward, uint32_t layer_index,
                                  bool is_network, struct weir_err *err)
{
    const struct weir_layer *layer = &forward->config.model->layers[layer_index];
    struct search search = {0};
    char keys[96] = "";
    WEIR_ASSERT(layer_index < forward->shape->n_layer);
    if (is_network ? search_network(&search, forward, layer_index)
                   : search_half(&search, layer, false))
        return name_found(&search, err);
    const float most = is_network ? 0.0f : keys_too_large(forward, layer_index);
    if (most > 0.0f)
        snprintf(keys, sizeof(keys), "; keys and values reach %.3g, and %s ends at %.6g",
                 (double)most, weir_kv_info(forward->config.kv)->name,
                 (double)weir_kv_info(forward->config.kv)->most);
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "layer %u: %s gives values that are not finite, though its weights are: they "
                     "are too large (up to %.3g, in tensor %s)%s",
                     layer_index,
                     is_network ? "the feed-forward network" : weir_mixer_name(&layer->mixer),
                     (double)search.largest, search.largest_in->name, keys);
}

enum weir_status weir_damage_check_embedding(const struct weir_forward *forward,
                                             struct weir_err *err)
{
    const size_t d_model = forward->shape->d_model;
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        if (!weir_all_finite(forward->stream.residual + row * d_model, d_model))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: a value of token %u's row " DAMAGED,
                             forward->config.model->token_embedding.tensor->name,
                             forward->step.rows[row].id);
    return WEIR_OK;
}

enum weir_status weir_damage_check_inputs(const struct weir_forward *forward, struct weir_err *err)
{
    const struct weir_model *model = forward->config.model;
    const size_t width = (size_t)forward->shape->n_layer * forward->shape->d_layer_input;
    const struct weir_vector *const vectors[] = {&model->layer_projection_norm};
    const struct weir_matrix projection = weir_trunk_matrix(&model->layer_projection);
    struct search search = {0};
    uint32_t row = 0;
    while (row < forward->step.n_row && weir_all_finite(forward->aside.inputs + row * width, width))
        row++;
    if (row == forward->step.n_row)
        return WEIR_OK;
    if (search_vectors(&search, vectors, 1) || search_matrix(&search, &projection))
        return name_found(&search, err);
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: a value of token %u's row " DAMAGED,
                     model->layer_embedding.tensor->name, forward->step.rows[row].id);
}

enum weir_status weir_damage_check_vector(const struct weir_vector *vector, struct weir_err *err)
{
    struct search search = {0};
    return search_vectors(&search, &vector, 1) ? name_found(&search, err) : WEIR_OK;
}

enum weir_status weir_damage_check_divisors(const struct weir_vector *vector, struct weir_err *err)
{
    WEIR_TRY(weir_damage_check_vector(vector, err));
    for (uint64_t index = 0; vector->tensor != NULL && index < vector->cols; index++)
        if (vector->data[index] == 0.0f)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "tensor %s: value %llu divides an angle: wanted another number than "
                             "0, found 0",
                             vector->tensor->name, (unsigned long long)index);
    return WEIR_OK;
}

enum weir_status weir_logits_check(const struct weir_model *model, const float *logits,
                                   uint32_t position, struct weir_err *err)
{
    const uint32_t n_vocab = model->shape.n_vocab;
    uint32_t bad_count = 0;
    const struct weir_vector *const vectors[] = {&model->output_norm};
    const struct weir_matrix output = weir_trunk_matrix(&model->output);
    struct search search = {0};
    if (weir_all_finite(logits, n_vocab))
        return WEIR_OK;
    if (search_vectors(&search, vectors, 1) || search_scales(&search, &output))
        return name_found(&search, err);
    for (uint32_t id = 0; id < n_vocab; id++) {
        if (isfinite(logits[id]))
            continue;
        search.row = id;
        if (search_row(&search, &model->output, model->output.data + id * model->output.row_bytes))
            return name_found(&search, err);
        bad_count++;
    }
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "position %u: %u of %u logits are not finite, though their weights are: they "
                     "are too large (up to %.3g, in tensor %s)",
                     position, bad_count, n_vocab, (double)search.largest, search.largest_in->name);
}
