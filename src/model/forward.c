/* forward.c - one step: rows of several sequences through all layers. */
#include "model/branch.h"
#include "model/device_internal.h"
#include "model/embedding.h"
#include "model/importance_taps.h"

#include <string.h>

#include "base/heap.h"

static void layout_stream(struct weir_forward *forward, struct weir_mem *mem)
{
    const size_t d_model = forward->shape->d_model;
    const uint64_t n_chunk = forward->config.n_chunk;
    struct weir_stream *stream = &forward->stream;
    stream->residual = weir_take_floats(mem, n_chunk * d_model);
    stream->normed = weir_take_floats(mem, n_chunk * d_model);
    stream->projected = weir_take_floats(mem, n_chunk * d_model);
    if (weir_model_has_branches(forward->config.model))
        stream->branch = weir_take_floats(mem, n_chunk * d_model);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_NORMED);
    weir_take_act(&stream->normed_act, mem, formats, n_chunk, d_model, false);
    stream->normed_act.f32 = stream->normed;
    /* A gathered F32 row is copied from the f32 view, which has no rows of its own. */
    stream->normed_act.row_bytes[WEIR_ACT_F32] = d_model * sizeof(float);
}

static enum weir_status layout(struct weir_forward *forward, struct weir_mem *mem,
                               struct weir_err *err)
{
    forward->step.rows = weir_mem_alloc(
        mem, WEIR_MEM_SCRATCH, forward->config.n_chunk * sizeof(struct weir_row), sizeof(uint64_t));
    layout_stream(forward, mem);
    weir_embedding_layout(forward, mem);
    weir_aside_layout(forward, mem);
    weir_rope_layout(forward, mem);
    weir_mixer_layout(forward, mem);
    weir_network_layout(forward, mem);
    weir_routing_layout(forward, mem);
    return weir_lookahead_create(forward, mem, err);
}

enum weir_status weir_forward_create(weir_forward **out, const struct weir_forward_config *config,
                                     struct weir_mem *mem, struct weir_err *err)
{
    struct weir_forward plan = {
        .config = *config, .shape = &config->model->shape, .kernels = config->kernels};
    WEIR_ASSERT(config->n_chunk > 0 && config->n_ctx > 0);
    if (mem->phase == WEIR_MEM_PLANNING)
        return layout(&plan, mem, err);
    weir_forward *forward = weir_heap_alloc(sizeof(*forward));
    if (forward == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the forward pass");
    *forward = plan;
    const enum weir_status status = layout(forward, mem, err);
    if (status != WEIR_OK) {
        weir_heap_free(forward);
        return status;
    }
    weir_rope_open(forward);
    *out = forward;
    return WEIR_OK;
}

void weir_forward_destroy(weir_forward **forward)
{
    if (*forward == NULL)
        return;
    weir_lookahead_destroy(*forward);
    weir_heap_free(*forward);
    *forward = NULL;
}

/* A network beside the mixer has the same input; so nothing looks at what the mixer gave. */
static void look_at_rows(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    if (!weir_all_finite(forward->stream.residual + begin * d_model, (end - begin) * d_model))
        atomic_store_explicit(&forward->is_damaged, true, memory_order_relaxed);
}

/* The mixer's output is added; then the norm before the network. */
static void add_and_norm(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const size_t d_model = forward->shape->d_model;
    struct weir_stream *stream = &forward->stream;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_branch_add(forward, &forward->step.layer->mixer.post_norm, stream->projected,
                    forward->shape->branch_scale, stream->residual, begin, end);
    if ((forward->config.model->family->parts & WEIR_PART_PARALLEL) != 0)
        look_at_rows(forward, begin, end);
    else
        weir_norm_rows(forward, &forward->step.layer->network.norm, begin, end);
    if (stream->sum == stream->branch)
        memset(stream->branch + begin * d_model, 0, (end - begin) * d_model * sizeof(float));
}

void weir_forward_tell(const struct weir_forward *forward, const char *name, uint64_t begin_ns)
{
    weir_timeline_add(forward->config.timeline,
                      (struct weir_event){.name = name,
                                          .kind = WEIR_EVENT_LAYER,
                                          .begin_ns = begin_ns,
                                          .arg = {forward->step.layer_index}});
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
    forward->step.layer_index = index;
    forward->step.layer = &forward->config.model->layers[index];
    if (weir_device_has_layer(forward->config.device, index))
        return weir_device_run_layer(forward, err);
    WEIR_TRY(weir_device_fetch(forward, err));
    const bool has_branch = weir_layer_is_branch(forward->config.model, forward->step.layer);
    forward->stream.sum = has_branch ? forward->stream.branch : forward->stream.residual;
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    weir_norm_step(forward, &forward->step.layer->mixer.norm);
    if (is_damaged(forward))
        return weir_damage_name(forward, index - 1, true, err);
    weir_mixer_run(forward);
    weir_forward_by_row(forward, "add and norm", add_and_norm);
    if (is_damaged(forward))
        return weir_damage_name(forward, index, false, err);
    weir_lookahead_pause(forward, false);
    weir_forward_tell(forward, "attention", begin_ns);
    if (weir_layer_has_experts(forward->step.layer))
        WEIR_TRY(weir_experts_run(forward, err));
    else
        weir_dense_run(forward);
    if (has_branch)
        weir_forward_by_row(forward, "add branch", weir_branch_finish);
    if (forward->step.layer->aside.gate.cols != 0)
        weir_aside_run(forward);
    return WEIR_OK;
}

/* The rows of all runs, one after the other. */
static void list_rows(struct weir_forward *forward, const struct weir_run *runs, uint32_t n_run)
{
    struct weir_step_view *step = &forward->step;
    step->runs = runs;
    step->n_run = n_run;
    step->n_row = 0;
    step->has_prompt = false;
    for (uint32_t run = 0; run < n_run; run++) {
        WEIR_ASSERT(runs[run].n_row <= forward->config.n_chunk - step->n_row);
        WEIR_ASSERT((uint64_t)runs[run].position + runs[run].n_row <= forward->config.n_ctx);
        step->has_prompt |= runs[run].phase == WEIR_PROMPT;
        for (uint32_t row = 0; row < runs[run].n_row; row++)
            step->rows[step->n_row++] = (struct weir_row){
                .id = runs[run].ids[row], .run = run, .position = runs[run].position + row};
    }
    WEIR_ASSERT(step->n_row > 0);
}

/* Nobody wants the step any more. */
static bool is_cancelled(const struct weir_step_view *step)
{
    /* Relaxed: the flags publish nothing but themselves. */
    for (uint32_t run = 0; run < step->n_run; run++)
        if (step->runs[run].cancel == NULL ||
            !atomic_load_explicit(step->runs[run].cancel, memory_order_relaxed))
            return false;
    return true;
}

/* All layers, one after the other, and the residual stream is here. */
static enum weir_status run_layers(weir_forward *forward, struct weir_err *err)
{
    if (weir_device_can_repeat(forward)) {
        if (forward->config.before_layer != NULL)
            forward->config.before_layer(forward->config.before_layer_user);
        return weir_device_repeat(forward, err);
    }
    weir_device_begin(forward);
    weir_lookahead_begin(forward);
    for (uint32_t layer = 0; layer < forward->shape->n_layer; layer++) {
        if (is_cancelled(&forward->step))
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
    return weir_device_fetch(forward, err);
}

enum weir_status weir_forward_step(weir_forward *forward, const struct weir_run *runs,
                                   uint32_t n_run, struct weir_err *err)
{
    list_rows(forward, runs, n_run);
    atomic_store_explicit(&forward->is_damaged, false, memory_order_relaxed); /* before any job */
    WEIR_TRY(weir_embed(forward, err));
    WEIR_TRY(weir_aside_begin(forward, err));
    weir_rope_begin(forward);
    const enum weir_status status = run_layers(forward, err);
    if (status != WEIR_OK) {
        weir_device_settle(forward); /* it may still read what the next step writes */
        return status;
    }
    /* No norm sees what the last layer made of rows whose logits nobody asks for. */
    if (!weir_all_finite(forward->stream.residual,
                         (size_t)forward->step.n_row * forward->shape->d_model))
        return weir_damage_name(forward, forward->shape->n_layer - 1, true, err);
    if (weir_is_measured(&forward->config.model->output))
        weir_importance_output(forward);
    return WEIR_OK;
}

/* Logits that more is done to. */
struct logits {
    const struct weir_shape *shape;
    const struct weir_kernels *kernels;
    float *values;
    uint64_t count;
};

static void scale_logits(void *user, uint32_t part, uint32_t n_part)
{
    const struct logits *logits = user;
    const struct weir_shape *shape = logits->shape;
    uint64_t begin;
    uint64_t end;
    weir_part_range(logits->count, part, n_part, &begin, &end);
    for (uint64_t index = begin; index < end && shape->logit_scale != 1.0f; index++)
        logits->values[index] *= shape->logit_scale;
    if (shape->logit_softcap != 0.0f)
        logits->kernels->softcap(logits->values + begin, end - begin, shape->logit_softcap);
}

static void finish_logits(const struct weir_forward *forward, float *values, uint32_t count)
{
    const struct weir_shape *shape = forward->shape;
    struct logits logits = {.shape = shape,
                            .kernels = forward->kernels,
                            .values = values,
                            .count = (uint64_t)count * shape->n_vocab};
    if (shape->logit_scale != 1.0f || shape->logit_softcap != 0.0f)
        weir_pool_run(forward->config.pool, "logits", scale_logits, &logits);
}

/* Norm and output matrix on the CPU. */
static void compute_logits(weir_forward *forward, const uint32_t *rows, uint32_t count, float *out)
{
    const struct weir_model *model = forward->config.model;
    for (uint32_t index = 0; index < count; index++)
        weir_norm_residual(forward, &model->output_norm, rows[index], index);
    weir_act_fill(forward, &forward->stream.normed_act, forward->stream.normed, 0, count);
    struct weir_linear head = {
        .name = "output matrix",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .weight = {&model->output},
        .y = {out},
        .count = 1,
        .n_row = count,
        .is_unmeasured = true,
        .counts_uses = true,
    };
    weir_linear_run(&head);
    finish_logits(forward, out, count);
}

enum weir_status weir_forward_logits(weir_forward *forward, const uint32_t *rows, uint32_t count,
                                     float *out, struct weir_err *err)
{
    WEIR_ASSERT(count > 0 && count <= WEIR_LOGIT_ROWS_MAX && count <= forward->config.n_chunk);
    weir_timeline *timeline = forward->config.timeline;
    const uint64_t begin_ns = weir_timeline_now(timeline);
    enum weir_status status = WEIR_OK;
    if (weir_device_has_output(forward->config.device))
        status = weir_device_logits(forward, rows, count, out, err);
    else
        compute_logits(forward, rows, count, out);
    weir_timeline_add(timeline,
                      (struct weir_event){.name = "logits",
                                          .kind = WEIR_EVENT_STEP,
                                          .begin_ns = begin_ns,
                                          .arg = {count, forward->step.rows[rows[0]].position}});
    return status;
}

const float *weir_forward_state(weir_forward *forward, uint32_t row)
{
    WEIR_ASSERT(row < forward->step.n_row);
    weir_norm_residual(forward, &forward->config.model->output_norm, row, 0);
    return forward->stream.normed;
}
