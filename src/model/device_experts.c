/* device_experts.c - experts of a layer on the device: those that are there and those that are not.
 *
 * The device computes its own while the CPU computes the others from the store's slots; then these
 * take their places among the outputs, and all are summed there in expert-id order. Where experts
 * move, others go there meanwhile. */
#include "gpu/gpu_joint.h"
#include "model/device_internal.h"
#include "model/network.h"

/* Whether somebody wants to know which experts are chosen, and whether a text says which. */
static bool is_watched(const struct weir_step_view *step)
{
    for (uint32_t run = 0; run < step->n_run; run++)
        if (step->runs[run].watch != NULL)
            return true;
    return false;
}

static bool is_prescribed(const struct weir_step_view *step)
{
    for (uint32_t run = 0; run < step->n_run; run++)
        if (step->runs[run].prescription != NULL)
            return true;
    return false;
}

static uint64_t assignment_count(const struct weir_forward *forward)
{
    return (uint64_t)forward->step.n_row * forward->step.layer->network.n_expert_used;
}

static void bring(const weir_device *device, void *to, weir_gpu_address from, uint64_t values)
{
    weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, to, from, values * sizeof(float));
}

static void send(const weir_device *device, weir_gpu_address to, const void *from, uint64_t values)
{
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE, to, from, values * sizeof(float));
}

static void route_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_route_rows(forward, begin, end);
}

static enum weir_status await_choice(struct weir_device *device, struct weir_err *err)
{
    const uint64_t began_ns = weir_now_ns();
    WEIR_TRY(weir_gpu_await(device->gpu, WEIR_DEVICE_EVENT, err));
    weir_device_count_wait(device, began_ns);
    return WEIR_OK;
}

/* Experts of a recorded text: chosen here, by the outputs of the device's router. */
static enum weir_status route_here(struct weir_forward *forward, struct weir_err *err)
{
    const weir_device *device = forward->config.device;
    const struct weir_routing *routing = &forward->routing;
    const uint64_t n_assignment = assignment_count(forward);
    bring(device, routing->router, device->scratch.router,
          (uint64_t)forward->step.n_row * forward->shape->n_expert);
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, WEIR_DEVICE_EVENT);
    if (device->layers[forward->step.layer_index].moves)
        weir_device_make_moves(forward);
    WEIR_TRY(await_choice(forward->config.device, err));
    weir_forward_by_row(forward, "top k", route_part);
    send(device, device->scratch.chosen, routing->chosen, n_assignment);
    send(device, device->scratch.weights, routing->chosen_weight, n_assignment);
    return WEIR_OK;
}

static enum weir_status route(struct weir_forward *forward, const struct weir_device_layer *layer,
                              struct weir_err *err)
{
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const struct weir_gating *gating = &forward->step.layer->network.gating;
    struct weir_device_product product = {.w = &layer->router,
                                          .x = scratch->normed,
                                          .x_stride = forward->shape->d_model,
                                          .y = scratch->router,
                                          .y_stride = forward->shape->n_expert};
    weir_device_multiply(forward, &product);
    if (layer->shared_router.data != 0) {
        product.w = &layer->shared_router;
        product.y = scratch->shared_logit;
        product.y_stride = 1;
        weir_device_multiply(forward, &product);
    }
    if (layer->moves)
        weir_device_ask_ahead(forward);
    if (is_prescribed(&forward->step))
        return route_here(forward, err);
    weir_gpu_route(device->gpu,
                   &(struct weir_gpu_route){.router = scratch->router,
                                            .bias = layer->selection_bias,
                                            .kind = gating->kind,
                                            .steepness = gating->steepness,
                                            .scale = gating->scale,
                                            .renormalizes = gating->renormalizes,
                                            .n_group = gating->n_group,
                                            .n_group_used = gating->n_group_used,
                                            .n_group_best = gating->n_group_best,
                                            .n_row = forward->step.n_row,
                                            .n_expert = forward->shape->n_expert,
                                            .n_used = forward->step.layer->network.n_expert_used,
                                            .chosen = scratch->chosen,
                                            .weights = scratch->weights});
    return WEIR_OK;
}

/* The job's part that is for these rows. */
static struct weir_gpu_experts cut_rows(struct weir_gpu_experts job,
                                        const struct weir_device_rows *rows)
{
    const uint64_t first = (uint64_t)rows->first * job.n_used;
    job.chosen = weir_device_at(job.chosen, first);
    job.x = weir_device_at(job.x, (job.x_is_by_row ? rows->first : first) * job.x_stride);
    job.y = weir_device_at(job.y, first * job.y_stride);
    job.n_row = rows->count;
    job.way = rows->way;
    if (job.unit.width > 0) {
        job.unit.gate = job.x;
        job.unit.up = weir_device_at(job.unit.up, first * job.unit.stride);
        job.unit.n_row = rows->count * job.n_used;
        if (job.unit.input_weight != 0)
            job.unit.input_weight = weir_device_at(job.unit.input_weight, first);
    }
    return job;
}

static struct weir_gpu_experts job_of(const struct weir_forward *forward,
                                      const struct weir_device_stack *stack, weir_gpu_address table)
{
    return (struct weir_gpu_experts){
        .form = stack->form,
        .table = table,
        .chosen = forward->config.device->scratch.chosen,
        .bias = stack->bias,
        .scale = stack->scale,
        .x_stride = stack->form.cols,
        .y_stride = stack->form.rows,
        .n_used = forward->step.layer->network.n_expert_used,
        .n_expert = forward->shape->n_expert,
    };
}

void weir_device_compute(const struct weir_forward *forward, const struct weir_device_layer *layer,
                         const weir_gpu_address *tables, bool prompts_only)
{
    const struct weir_device_scratch *scratch = &forward->config.device->scratch;
    const struct weir_network *network = &forward->step.layer->network;
    const uint32_t width = layer->experts[WEIR_DEVICE_GATE].form.rows;
    struct weir_gpu_experts jobs[WEIR_DEVICE_STACKS];
    struct weir_device_rows rows = {0};
    for (int stack = 0; stack < WEIR_DEVICE_STACKS; stack++) {
        jobs[stack] = job_of(forward, &layer->experts[stack], tables[stack]);
        jobs[stack].x_is_by_row = stack != WEIR_DEVICE_DOWN;
        jobs[stack].x = scratch->normed;
    }
    jobs[WEIR_DEVICE_GATE].y = scratch->hidden_gate;
    jobs[WEIR_DEVICE_UP].y = scratch->hidden_up;
    jobs[WEIR_DEVICE_DOWN].x = scratch->hidden_gate;
    jobs[WEIR_DEVICE_DOWN].y = scratch->expert_out;
    jobs[WEIR_DEVICE_DOWN].unit =
        (struct weir_gpu_glu){.up = scratch->hidden_up,
                              .input_weight = network->gating.weighs_input ? scratch->weights : 0,
                              .width = width,
                              .stride = width,
                              .glu = network->expert_unit.glu,
                              .limit = network->expert_unit.limit};
    while (weir_device_rows_next(forward, &rows)) {
        if (prompts_only && rows.way != WEIR_GPU_PROMPT)
            continue;
        const struct weir_gpu_pair pair = {
            {cut_rows(jobs[WEIR_DEVICE_GATE], &rows), cut_rows(jobs[WEIR_DEVICE_UP], &rows)}};
        const struct weir_gpu_experts down = cut_rows(jobs[WEIR_DEVICE_DOWN], &rows);
        weir_gpu_pair(forward->config.device->gpu, &pair);
        weir_gpu_experts(forward->config.device->gpu, &down);
    }
}

/* By the experts that are there. */
static void compute_there(const struct weir_forward *forward, const struct weir_device_layer *layer)
{
    weir_gpu_address tables[WEIR_DEVICE_STACKS];
    for (int stack = 0; stack < WEIR_DEVICE_STACKS; stack++)
        tables[stack] = layer->experts[stack].table;
    weir_device_compute(forward, layer, tables, false);
}

static void quantize_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->stream.normed_act, forward->stream.normed, begin, end);
}

/* Outputs that were computed here take their places. */
static void place_outputs(struct weir_forward *forward, uint32_t count)
{
    const weir_device *device = forward->config.device;
    const struct weir_routing *routing = &forward->routing;
    const uint32_t d_model = forward->shape->d_model;
    for (uint32_t index = 0; index < assignment_count(forward); index++)
        if (!device->skips[index])
            device->returns.at[routing->assignment_at[index]] = index;
    send(device, device->scratch.scattered_at, device->returns.at, count);
    send(device, device->scratch.arrived, routing->expert_out, (uint64_t)count * d_model);
    weir_gpu_scatter(device->gpu, &(struct weir_gpu_scatter){.x = device->scratch.arrived,
                                                             .y = device->scratch.expert_out,
                                                             .at = device->scratch.scattered_at,
                                                             .width = d_model,
                                                             .x_stride = d_model,
                                                             .y_stride = d_model,
                                                             .n_row = count});
}

/* Which assignments are not computed here. */
static void mark_skipped(const struct weir_forward *forward, const struct weir_device_layer *layer,
                         bool copies)
{
    const weir_device *device = forward->config.device;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    for (uint32_t index = 0; index < assignment_count(forward); index++)
        device->skips[index] = weir_device_has_expert(layer, forward->routing.chosen[index]) ||
                               (copies && weir_device_is_prompt(forward, index / n_used));
}

/* From the store's slots: the chosen ones that are not there, but those that went there. */
static enum weir_status compute_here(struct weir_forward *forward,
                                     const struct weir_device_layer *layer, bool copies,
                                     struct weir_err *err)
{
    weir_device *device = forward->config.device;
    struct weir_routing *routing = &forward->routing;
    mark_skipped(forward, layer, copies);
    routing->skips = device->skips;
    weir_route_group(forward);
    routing->skips = NULL;
    const uint32_t count = routing->expert_first[forward->shape->n_expert];
    device->stats.uses_there -= count;
    if (count == 0)
        return WEIR_OK;
    const uint64_t began_ns = weir_now_ns();
    weir_forward_by_row(forward, "quantize normed", quantize_part);
    WEIR_TRY(weir_experts_compute(forward, false, err));
    if (!forward->step.has_prompt)
        weir_device_count_here(device, routing->n_distinct, weir_now_ns() - began_ns);
    place_outputs(forward, count);
    return WEIR_OK;
}

/* The others of a layer whose experts stay: those of prompts may go there, and are overwritten. */
static enum weir_status compute_others(struct weir_forward *forward,
                                       struct weir_device_layer *layer, struct weir_err *err)
{
    const bool copies = weir_device_copies(forward);
    if (copies)
        WEIR_TRY(weir_device_run_transit(forward, layer, true, err));
    return compute_here(forward, layer, copies, err);
}

/* The same where experts move. */
static enum weir_status compute_moving(struct weir_forward *forward,
                                       struct weir_device_layer *layer, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    enum weir_status status;
    weir_device_cache_begin(forward, layer);
    if (device->plan.moves == WEIR_DEVICE_DEMAND) {
        status = weir_device_run_transit(forward, layer, false, err);
        weir_device_compute_late(forward, layer);
    } else {
        if (!forward->step.has_prompt)
            weir_device_move_cheapest(forward, layer);
        weir_device_compute_late(forward, layer);
        status = compute_others(forward, layer, err);
    }
    weir_device_cache_end(forward);
    if (status == WEIR_OK)
        weir_device_guess(forward);
    return status;
}

/* What is wanted here of the choice, while the device goes on with its own experts. */
static void bring_choice(struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const struct weir_routing *routing = &forward->routing;
    const uint64_t n_assignment = assignment_count(forward);
    bring(device, routing->chosen, scratch->chosen, n_assignment);
    bring(device, routing->chosen_weight, scratch->weights, n_assignment);
    bring(device, forward->stream.normed, scratch->normed,
          (uint64_t)forward->step.n_row * forward->shape->d_model);
    weir_device_bring_guess(forward);
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, WEIR_DEVICE_EVENT);
}

static enum weir_status join(struct weir_forward *forward, struct weir_device_layer *layer,
                             struct weir_err *err)
{
    WEIR_TRY(await_choice(forward->config.device, err));
    weir_routing_tell(forward);
    if (layer->moves)
        return compute_moving(forward, layer, err);
    return layer->expert_count < forward->shape->n_expert ? compute_others(forward, layer, err)
                                                          : WEIR_OK;
}

static void sum_routed(const struct weir_forward *forward, weir_gpu_address sum)
{
    const weir_device *device = forward->config.device;
    const struct weir_network *network = &forward->step.layer->network;
    const uint32_t d_model = forward->shape->d_model;
    weir_gpu_sum(device->gpu, &(struct weir_gpu_sum){.x = device->scratch.expert_out,
                                                     .weights = network->gating.weighs_input
                                                                    ? 0
                                                                    : device->scratch.weights,
                                                     .y = sum,
                                                     .width = d_model,
                                                     .x_stride = d_model,
                                                     .y_stride = d_model,
                                                     .n_row = forward->step.n_row,
                                                     .n_used = network->n_expert_used});
}

/* The network that all rows share, which may have norms of its own (Gemma 4). */
static void add_shared(struct weir_forward *forward, const struct weir_device_layer *layer,
                       weir_gpu_address sum)
{
    const weir_device *device = forward->config.device;
    const uint32_t d_model = forward->shape->d_model;
    weir_device_norm_own(forward, layer->expert_post_norm, sum);
    if (layer->shared_norm != 0)
        weir_device_norm(forward, layer->shared_norm, 2 * forward->step.layer_index + 1);
    weir_device_network(forward, layer->shared, &forward->step.layer->network.unit);
    weir_device_norm_own(forward, layer->shared_post_norm, device->scratch.projected);
    weir_gpu_add(device->gpu,
                 &(struct weir_gpu_add){
                     .x = device->scratch.projected,
                     .y = sum,
                     .weight = layer->shared_router.data != 0 ? device->scratch.shared_logit : 0,
                     .width = d_model,
                     .x_stride = d_model,
                     .y_stride = d_model,
                     .n_row = forward->step.n_row,
                     .scale = 1.0f,
                     .weight_is_logit = layer->shared_router.data != 0});
}

enum weir_status weir_device_experts(struct weir_forward *forward, struct weir_device_layer *layer,
                                     weir_gpu_address sum, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    const bool is_whole = layer->expert_count == forward->shape->n_expert;
    const bool asks = !is_whole || is_watched(&forward->step);
    WEIR_TRY(route(forward, layer, err));
    if (layer->expert_norm != 0)
        weir_device_norm(forward, layer->expert_norm, 2 * forward->step.layer_index + 1);
    if (asks)
        bring_choice(forward);
    if (layer->moves) {
        weir_device_make_moves(forward);
        weir_device_cache_publish(device, forward->step.layer_index);
    }
    if (layer->expert_count > 0 || layer->moves)
        compute_there(forward, layer);
    if (device->reach == 0) { /* what is repeated is counted each time */
        device->stats.uses += assignment_count(forward);
        device->stats.uses_there += assignment_count(forward);
    }
    if (asks)
        WEIR_TRY(join(forward, layer, err));
    sum_routed(forward, sum);
    if (layer->shared[WEIR_DEVICE_GATE].form.cols != 0)
        add_shared(forward, layer, sum);
    return WEIR_OK;
}
