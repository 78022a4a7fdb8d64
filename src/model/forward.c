/* forward.c - one step: a chunk of tokens through all layers. */
#include "model/model_internal.h"

#include <string.h>

#include "base/heap.h"

enum { SCRATCH_ALIGN = 64 };

static float *take_floats(struct weir_mem *mem, uint64_t count)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * sizeof(float), SCRATCH_ALIGN);
}

static uint32_t *take_indices(struct weir_mem *mem, uint64_t count)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * sizeof(uint32_t), SCRATCH_ALIGN);
}

/* Room for row_count rows of width cols in every 8-bit format of the mask; F32 too when the rows
 * are copies rather than a view of floats that exist anyway. */
static void take_act(struct weir_act_rows *act, struct weir_mem *mem, unsigned formats,
                     uint64_t row_count, size_t cols, bool copies_f32)
{
    *act = (struct weir_act_rows){.cols = cols};
    for (int format = 0; format < WEIR_ACT_COUNT; format++) {
        const bool wanted = (formats & (1u << format)) != 0;
        if (!wanted || (format == WEIR_ACT_F32 && !copies_f32))
            continue;
        act->row_bytes[format] = weir_act_row_bytes((enum weir_act)format, cols);
        act->rows[format] = weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                                           row_count * act->row_bytes[format], SCRATCH_ALIGN);
    }
}

/* The activation formats that a set of weights asks for, as a mask. */
static unsigned act_mask(const struct weir_kernels *kernels,
                         const struct weir_weight *const *weights, size_t count)
{
    unsigned mask = 0;
    for (size_t index = 0; index < count; index++)
        if (weights[index]->cols != 0)
            mask |= 1u << kernels->act[weights[index]->type];
    return mask;
}

/* The widest hidden row of any network that the model has. */
static uint64_t widest_hidden(const struct weir_model *model)
{
    uint64_t widest = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_network *network = &model->layers[layer].network;
        widest = weir_max(widest, weir_max(weir_max(network->gate.rows, network->expert_gate.rows),
                                           network->shared_gate.rows));
    }
    return widest;
}

struct act_masks {
    unsigned normed, attended, hidden, gathered;
};

static struct act_masks find_masks(const struct weir_model *model,
                                   const struct weir_kernels *kernels)
{
    const struct weir_weight *const head[] = {&model->output};
    struct act_masks masks = {.normed = act_mask(kernels, head, 1)};
    for (uint32_t index = 0; index < model->shape.n_layer; index++) {
        const struct weir_layer *layer = &model->layers[index];
        const struct weir_weight *const normed[] = {&layer->mixer.q,
                                                    &layer->mixer.k,
                                                    &layer->mixer.v,
                                                    &layer->network.gate,
                                                    &layer->network.up,
                                                    &layer->network.router,
                                                    &layer->network.expert_gate,
                                                    &layer->network.expert_up,
                                                    &layer->network.shared_gate,
                                                    &layer->network.shared_up};
        const struct weir_weight *const attended[] = {&layer->mixer.out};
        const struct weir_weight *const hidden[] = {
            &layer->network.down, &layer->network.expert_down, &layer->network.shared_down};
        const struct weir_weight *const gathered[] = {&layer->network.expert_gate,
                                                      &layer->network.expert_up};
        masks.normed |= act_mask(kernels, normed, WEIR_COUNT(normed));
        masks.attended |= act_mask(kernels, attended, WEIR_COUNT(attended));
        masks.hidden |= act_mask(kernels, hidden, WEIR_COUNT(hidden));
        masks.gathered |= act_mask(kernels, gathered, WEIR_COUNT(gathered));
    }
    return masks;
}

static void take_routing(struct weir_forward *forward, struct weir_mem *mem, unsigned gathered)
{
    const struct weir_shape *shape = forward->shape;
    const uint64_t n_chunk = forward->config.n_chunk;
    const uint64_t n_assignment = n_chunk * shape->n_expert_used;
    if (shape->n_expert == 0)
        return;
    forward->router = take_floats(mem, n_chunk * shape->n_expert);
    forward->chosen = take_indices(mem, n_assignment);
    forward->chosen_weight = take_floats(mem, n_assignment);
    forward->shared_weight = take_floats(mem, n_chunk);
    forward->assignment_at = take_indices(mem, n_assignment);
    forward->token_at = take_indices(mem, n_assignment);
    forward->expert_first = take_indices(mem, (uint64_t)shape->n_expert + 1);
    forward->distinct = take_indices(mem, shape->n_expert);
    forward->expert_out = take_floats(mem, n_assignment * shape->d_model);
    weir_lookahead_layout(forward, mem);
    take_act(&forward->gathered_act, mem, gathered, forward->hidden_rows, shape->d_model, true);
    forward->gathered_act.f32 =
        (const float *)(const void *)forward->gathered_act.rows[WEIR_ACT_F32];
}

static void layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_shape *shape = forward->shape;
    const struct weir_forward_config *config = &forward->config;
    const struct act_masks masks = find_masks(config->model, config->kernels);
    const uint64_t n_chunk = config->n_chunk;
    const uint64_t q_width = (uint64_t)shape->n_head * shape->d_head;
    const uint64_t kv_width = (uint64_t)shape->n_kv_head * shape->d_head;
    const uint64_t d_hidden = widest_hidden(config->model);
    forward->hidden_rows = (uint32_t)weir_max(n_chunk, shape->n_expert_used);
    forward->logit_rows = (uint32_t)weir_min(n_chunk, WEIR_LOGIT_ROWS_MAX);
    forward->rope_table = take_floats(mem, (uint64_t)config->n_ctx * shape->n_rot);
    weir_embedding_layout(forward, mem);
    forward->residual = take_floats(mem, n_chunk * shape->d_model);
    forward->normed = take_floats(mem, n_chunk * shape->d_model);
    forward->projected = take_floats(mem, n_chunk * shape->d_model);
    forward->q = take_floats(mem, n_chunk * q_width);
    forward->k = take_floats(mem, n_chunk * kv_width);
    forward->v = take_floats(mem, n_chunk * kv_width);
    forward->attended = take_floats(mem, n_chunk * q_width);
    forward->hidden_gate = take_floats(mem, forward->hidden_rows * d_hidden);
    forward->hidden_up = take_floats(mem, forward->hidden_rows * d_hidden);
    forward->logits = take_floats(mem, (uint64_t)forward->logit_rows * shape->n_vocab);
    take_act(&forward->normed_act, mem, masks.normed, n_chunk, shape->d_model, false);
    take_act(&forward->attended_act, mem, masks.attended, n_chunk, (size_t)q_width, false);
    take_act(&forward->hidden_act, mem, masks.hidden, forward->hidden_rows, (size_t)d_hidden,
             false);
    forward->normed_act.f32 = forward->normed;
    forward->attended_act.f32 = forward->attended;
    take_routing(forward, mem, masks.gathered);
    /* A gathered F32 row is copied from the f32 view, which has no rows of its own. */
    forward->normed_act.row_bytes[WEIR_ACT_F32] = shape->d_model * sizeof(float);
}

enum weir_status weir_forward_create(weir_forward **out, const struct weir_forward_config *config,
                                     struct weir_mem *mem, struct weir_err *err)
{
    struct weir_forward plan = {
        .config = *config, .shape = &config->model->shape, .kernels = config->kernels};
    WEIR_ASSERT(config->n_chunk > 0 && config->n_ctx > 0);
    if (mem->phase == WEIR_MEM_PLANNING) {
        layout(&plan, mem);
        return WEIR_OK;
    }
    weir_forward *forward = weir_heap_alloc(sizeof(*forward));
    if (forward == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the forward pass");
    *forward = plan;
    layout(forward, mem);
    weir_rope_fill(forward->rope_table, forward->shape, config->model->rope_factors.data,
                   config->n_ctx);
    *out = forward;
    return WEIR_OK;
}

void weir_forward_destroy(weir_forward **forward)
{
    weir_heap_free(*forward);
    *forward = NULL;
}

/* normed = RMSNorm(rows of residual from first on) and its 8-bit forms; tokens [begin, end).
 * Notices a row that is not finite. */
static void norm_rows(struct weir_forward *forward, const struct weir_vector *norm, uint64_t first,
                      uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    for (uint64_t token = begin; token < end; token++) {
        const float factor = forward->kernels->rmsnorm(
            forward->residual + (first + token) * d_model, norm->data,
            forward->normed + token * d_model, d_model, forward->shape->norm_epsilon);
        if (!(factor > 0.0f)) /* relaxed: the end of the job publishes it */
            atomic_store_explicit(&forward->is_damaged, true, memory_order_relaxed);
    }
    weir_act_fill(forward, &forward->normed_act, forward->normed, begin, end);
}

static void norm_before_attention(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->n_token, part, n_part, &begin, &end);
    norm_rows(forward, &forward->layer->mixer.norm, 0, begin, end);
}

/* residual += attention's output; then the norm before the feed-forward network. */
static void add_and_norm(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const size_t d_model = forward->shape->d_model;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->n_token, part, n_part, &begin, &end);
    forward->kernels->axpy(forward->residual + begin * d_model,
                           forward->projected + begin * d_model, 1.0f, (end - begin) * d_model);
    norm_rows(forward, &forward->layer->network.norm, 0, begin, end);
}

void weir_forward_tell(const struct weir_forward *forward, const char *name, uint64_t begin_ns)
{
    weir_timeline_add(forward->config.timeline, (struct weir_event){.name = name,
                                                                    .kind = WEIR_EVENT_LAYER,
                                                                    .begin_ns = begin_ns,
                                                                    .arg = {forward->layer_index}});
}

/* Between jobs: whether a norm met a row that is not finite. The embedding is, so it is what a
 * layer gave. */
static bool is_damaged(const struct weir_forward *forward)
{
    return atomic_load_explicit(&forward->is_damaged, memory_order_relaxed);
}

static enum weir_status run_layer(struct weir_forward *forward, uint32_t index,
                                  struct weir_err *err)
{
    forward->layer_index = index;
    forward->layer = &forward->config.model->layers[index];
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    weir_forward_by_token(forward, "norm", norm_before_attention);
    if (is_damaged(forward))
        return weir_damage_name(forward, index - 1, true, err);
    weir_attention_layer(forward);
    weir_forward_by_token(forward, "add and norm", add_and_norm);
    if (is_damaged(forward))
        return weir_damage_name(forward, index, false, err);
    weir_lookahead_poll(forward);
    weir_forward_tell(forward, "attention", begin_ns);
    if (weir_layer_has_experts(forward->layer))
        return weir_expert_layer(forward, err);
    weir_dense_layer(forward);
    return WEIR_OK;
}

enum weir_status weir_forward_step(weir_forward *forward, struct weir_kv *kv, const uint32_t *ids,
                                   uint32_t n_token, uint32_t position, _Atomic bool *cancel,
                                   struct weir_err *err)
{
    WEIR_ASSERT(n_token > 0 && n_token <= forward->config.n_chunk);
    WEIR_ASSERT((uint64_t)position + n_token <= forward->config.n_ctx);
    forward->kv = kv;
    forward->n_token = n_token;
    forward->position = position;
    atomic_store_explicit(&forward->is_damaged, false, memory_order_relaxed); /* before any job */
    WEIR_TRY(weir_embed(forward, ids, err));
    if (forward->lookahead.m > 0) {
        norm_rows(forward, &forward->config.model->layers[0].network.norm, 0, 0, n_token);
        weir_lookahead_from(forward, 0);
    }
    for (uint32_t layer = 0; layer < forward->shape->n_layer; layer++) {
        /* Relaxed: the flag publishes nothing but itself. */
        if (cancel != NULL && atomic_load_explicit(cancel, memory_order_relaxed))
            return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "stopped at layer %u of %u", layer,
                             forward->shape->n_layer);
        if (forward->config.before_layer != NULL)
            forward->config.before_layer(forward->config.before_layer_user);
        const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
        const enum weir_status status = run_layer(forward, layer, err);
        weir_forward_tell(forward, "layer", begin_ns);
        if (status != WEIR_OK)
            return status;
    }
    /* No norm sees what the last layer made of tokens whose logits nobody asks for. */
    if (!weir_all_finite(forward->residual, (size_t)n_token * forward->shape->d_model))
        return weir_damage_name(forward, forward->shape->n_layer - 1, true, err);
    return WEIR_OK;
}

void weir_forward_watch(weir_forward *forward, weir_forward_watch_fn *watch, void *user)
{
    forward->watch = watch;
    forward->watch_user = user;
}

const float *weir_forward_logits(weir_forward *forward, uint32_t first, uint32_t count)
{
    WEIR_ASSERT(count > 0 && count <= forward->logit_rows && first + count <= forward->n_token);
    const struct weir_model *model = forward->config.model;
    weir_timeline *timeline = forward->config.timeline;
    const uint64_t begin_ns = weir_timeline_now(timeline);
    norm_rows(forward, &model->output_norm, first, 0, count);
    struct weir_linear head = {
        .name = "output matrix",
        .forward = forward,
        .act = &forward->normed_act,
        .weight = {&model->output},
        .y = {forward->logits},
        .count = 1,
        .n_token = count,
        .counts_uses = true,
    };
    weir_linear_run(&head);
    weir_timeline_add(timeline, (struct weir_event){.name = "logits",
                                                    .kind = WEIR_EVENT_STEP,
                                                    .begin_ns = begin_ns,
                                                    .arg = {count, forward->position + first}});
    return forward->logits;
}
