/* experts.c - routed experts: whatever the store has ready, resident ones first while reads fly.
 *
 * Each (row, rank) has its own row of expert_out, so the order of arrival cannot reach the sum,
 * which is taken in expert-id order. */
#include "model/branch.h"
#include "model/copies.h"
#include "model/importance_taps.h"

#include <math.h>
#include <string.h>

enum { BATCH_STREAMED = 4 }; /* experts together, a few at a time: between them reads go out */

/* The experts of one place that are computed together, and their leases. */
struct batch {
    struct weir_together work;
    struct weir_feed_forward networks[WEIR_TOGETHER_MAX];
    const struct weir_network *network; /* whose matrices they are */
    struct weir_lease leases[WEIR_TOGETHER_MAX];
};

/* Experts of one store's layer: a step of its own. */
struct pass {
    const struct weir_network *network;
    uint32_t store_layer;
    uint32_t first, count; /* of distinct */
    bool is_first;         /* of its layer */
    bool norms;            /* the experts' input is made then */
    bool sums;             /* the outputs of all are there then, and are added up */
};

static bool has_shared(const struct weir_network *network)
{
    return network->shared_gate.cols != 0;
}

/* What follows the routed experts. */
static void prefetch_after_routed(const struct weir_forward *forward)
{
    const struct weir_network *network = &forward->step.layer->network;
    const struct weir_weight *const shared[] = {&network->shared_gate};
    if (has_shared(network))
        weir_linear_prefetch(forward, shared, 1);
    else
        weir_prefetch_next_layer(forward);
}

/* Down matrices as they land, the first of those missing waited for. */
static enum weir_status run_tails(struct batch *batch, struct weir_err *err)
{
    struct weir_together *work = &batch->work;
    weir_store *store = work->forward->config.store;
    for (work->down_first = 0; work->down_first < work->count; work->down_first = work->down_last) {
        work->down_last = work->down_first;
        do
            WEIR_TRY(weir_store_tail(store, &batch->leases[work->down_last++], err));
        while (work->down_last < work->count &&
               weir_store_tail_ready(store, &batch->leases[work->down_last]));
        if (work->add != NULL)
            prefetch_after_routed(work->forward);
        weir_together_down(work);
    }
    return WEIR_OK;
}

/* sigmoid(w . normed) (Qwen2-MoE, arXiv:2407.10671 section 2.2). */
static void weigh_shared(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    const float *w = forward->step.layer->network.shared_router.data;
    for (uint64_t row = begin; row < end; row++) {
        const float *normed = forward->stream.normed + row * d_model;
        double logit = 0.0;
        for (size_t index = 0; index < d_model; index++)
            logit += (double)w[index] * (double)normed[index];
        /* Times 0 a finite logit is nothing, and an infinite one what is not a number. */
        forward->routing.shared_weight[row] = (float)(1.0 / (1.0 + exp(-logit)) + 0.0 * logit);
    }
}

static void add_shared(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    const bool is_weighed = forward->step.layer->network.shared_router.tensor != NULL;
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        forward->kernels->axpy(forward->stream.sum + row * d_model + begin,
                               forward->stream.projected + row * d_model + begin,
                               is_weighed ? forward->routing.shared_weight[row] : 1.0f,
                               end - begin);
}

/* What the routed experts gave, normed where the layer has a norm for them alone. */
static void norm_routed(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const size_t d_model = forward->shape->d_model;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t row = begin; row < end; row++)
        weir_norm_row(forward, forward->step.layer->network.expert_post_norm.data,
                      forward->stream.sum + row * d_model, forward->stream.sum + row * d_model);
}

/* The same of the shared one, added. */
static void norm_shared(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_branch_add(forward, &forward->step.layer->network.shared_post_norm,
                    forward->stream.projected, 1.0f, forward->stream.sum, begin, end);
}

/* The network that all rows share, which may have norms of its own (Gemma 4). */
static void run_shared(struct weir_forward *forward)
{
    const struct weir_network *network = &forward->step.layer->network;
    const bool is_normed = network->shared_post_norm.tensor != NULL;
    if (network->expert_post_norm.tensor != NULL)
        weir_forward_by_row(forward, "norm experts", norm_routed);
    if (network->shared_norm.tensor != NULL)
        weir_norm_step(forward, &network->shared_norm);
    weir_network_whole(forward, &network->shared_gate, &network->shared_up, &network->shared_down,
                       is_normed ? NULL : add_shared);
    if (is_normed)
        weir_forward_by_row(forward, "norm shared", norm_shared);
}

static void route_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_route_rows(forward, begin, end);
    if (forward->step.layer->network.shared_router.tensor != NULL)
        weigh_shared(forward, begin, end);
}

/* The activations of one lease's rows, side by side after those already gathered. */
static void gather_rows(struct batch *batch, uint32_t expert)
{
    struct weir_forward *forward = batch->work.forward;
    struct weir_act_rows *to = &forward->routing.gathered_act;
    const struct weir_act_rows *from = &forward->stream.normed_act;
    const uint32_t begin = forward->routing.expert_first[expert];
    const uint32_t end = forward->routing.expert_first[expert + 1];
    for (uint32_t row = begin; row < end; row++) {
        const size_t at = batch->work.row_count + (row - begin);
        const size_t source = forward->routing.token_at[row];
        for (int format = 0; format < WEIR_ACT_COUNT; format++)
            if (to->rows[format] != NULL)
                memcpy(to->rows[format] + at * to->row_bytes[format],
                       (format == WEIR_ACT_F32 ? (const uint8_t *)from->f32 : from->rows[format]) +
                           source * to->row_bytes[format],
                       to->row_bytes[format]);
    }
}

static uint32_t rows_of(const struct weir_forward *forward, uint32_t expert)
{
    return forward->routing.expert_first[expert + 1] - forward->routing.expert_first[expert];
}

static void add_expert(struct batch *batch, const struct weir_lease *lease)
{
    struct weir_together *work = &batch->work;
    struct weir_forward *forward = work->forward;
    const struct weir_network *network = batch->network;
    const uint32_t first = forward->routing.expert_first[lease->record];
    const uint32_t n_row = rows_of(forward, lease->record);
    const bool is_gathered = work->input == &forward->routing.gathered_act;
    if (is_gathered)
        gather_rows(batch, lease->record);
    batch->leases[work->count] = *lease;
    work->networks[work->count] = (struct weir_feed_forward){
        .gate = weir_expert_matrix(&network->expert_gate, lease),
        .up = weir_expert_matrix(&network->expert_up, lease),
        .down = weir_expert_matrix(&network->expert_down, lease),
        .input_weight = forward->step.layer->network.gating.weighs_input
                            ? forward->routing.input_weight + first
                            : NULL,
        .n_row = n_row,
        .input_first = is_gathered ? work->row_count : 0,
        .hidden_first = work->row_count,
        .out = forward->routing.expert_out + (size_t)first * forward->shape->d_model,
    };
    work->count++;
    work->row_count += n_row;
}

static void release_batch(struct batch *batch)
{
    for (uint32_t index = 0; index < batch->work.count; index++)
        weir_store_release(batch->work.forward->config.store, &batch->leases[index]);
    batch->work.count = 0;
    batch->work.row_count = 0;
}

static enum weir_status finish_batch(struct batch *batch, struct weir_err *err)
{
    struct weir_together *work = &batch->work;
    struct weir_routing *routing = &work->forward->routing;
    if (work->count == 0)
        return WEIR_OK;
    weir_lookahead_pause(work->forward, false);
    weir_together_hidden(work);
    const enum weir_status status = run_tails(batch, err);
    for (uint32_t index = 0; index < work->count; index++)
        routing->is_computed[batch->leases[index].record] = true;
    routing->n_computed += work->count;
    release_batch(batch);
    return status;
}

/* sum += sum over the row's experts, ascending by id, of weight * output. */
static void add_experts(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    const size_t d_model = forward->shape->d_model;
    const struct weir_routing *routing = &forward->routing;
    for (uint64_t row = 0; row < forward->step.n_row; row++)
        for (uint32_t rank = 0; rank < n_used; rank++) {
            const uint64_t index = row * n_used + rank;
            if (weir_lossy_drops(forward, index))
                continue;
            const size_t out = routing->assignment_at[index];
            forward->kernels->axpy(forward->stream.sum + row * d_model + begin,
                                   routing->expert_out + out * d_model + begin,
                                   routing->chosen_weight[index], end - begin);
        }
}

/* Compute what all places hold. With `sums` their outputs are joined: the sums, which read all of
 * them, are taken with the last place's. */
static enum weir_status finish_all(struct batch *batches, bool sums, struct weir_err *err)
{
    for (int place = 0; place < WEIR_PLACE_COUNT; place++) {
        batches[place].work.add = sums && place == WEIR_PLACE_COUNT - 1 ? add_experts : NULL;
        WEIR_TRY(finish_batch(&batches[place], err));
    }
    return WEIR_OK;
}

static void release_all(struct batch *batches)
{
    for (int place = 0; place < WEIR_PLACE_COUNT; place++)
        release_batch(&batches[place]);
}

static bool holds_any(const struct batch *batches)
{
    uint32_t count = 0;
    for (int place = 0; place < WEIR_PLACE_COUNT; place++)
        count += batches[place].work.count;
    return count > 0;
}

/* Lease, compute and release every expert of the pass, each with those of its place. */
static enum weir_status run_leases(struct weir_forward *forward, struct batch *batches,
                                   const struct pass *pass, struct weir_err *err)
{
    weir_store *store = forward->config.store;
    const uint32_t most = weir_lookahead_is_on(forward) ? BATCH_STREAMED : WEIR_TOGETHER_MAX;
    for (uint32_t left = pass->count; left > 0; left--) {
        struct weir_lease lease = {0};
        bool more = false;
        /* Compute what we hold rather than wait for what we do not. */
        if (holds_any(batches) && !weir_store_ready(store))
            WEIR_TRY(finish_all(batches, false, err));
        WEIR_TRY(weir_store_next(store, &lease, &more, err));
        WEIR_ASSERT(more);
        struct batch *batch = &batches[lease.place];
        const uint32_t n_row = rows_of(forward, lease.record);
        if (batch->work.count == most ||
            batch->work.row_count + n_row > forward->hidden.row_count) {
            const enum weir_status finished = finish_batch(batch, err);
            if (finished != WEIR_OK) {
                weir_store_release(store, &lease);
                return finished;
            }
        }
        add_expert(batch, &lease);
    }
    return finish_all(batches, pass->sums, err);
}

void weir_routing_tell(const struct weir_forward *forward)
{
    const struct weir_step_view *step = &forward->step;
    const uint32_t n_used = step->layer->network.n_expert_used;
    const uint32_t *chosen = forward->routing.chosen;
    for (uint32_t index = 0; index < step->n_run; index++) {
        const struct weir_run *run = &step->runs[index];
        if (run->watch != NULL)
            run->watch(run->watch_user, step->layer_index, run->position, run->n_row, n_used,
                       chosen);
        chosen += (size_t)run->n_row * n_used;
    }
}

/* chosen and distinct: who computes what. */
static void route(struct weir_forward *forward)
{
    const struct weir_step_view *step = &forward->step;
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    struct weir_linear router = {
        .name = "router",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .weight = {&step->layer->network.router},
        .y = {forward->routing.router},
        .count = 1,
        .n_row = step->n_row,
    };
    weir_linear_run(&router);
    weir_lossy_begin(forward);
    weir_forward_by_row(forward, "top k", route_part);
    weir_routing_tell(forward);
    weir_lookahead_judge(forward);
    weir_copies_mark(forward);
    weir_route_group(forward);
    weir_forward_tell(forward, "route", begin_ns);
}

/* What all passes need, while the first one's reads fly. */
static void prepare(struct weir_forward *forward, const struct pass *pass)
{
    const struct weir_network *network = &forward->step.layer->network;
    const struct weir_routing *routing = &forward->routing;
    const uint32_t end = pass->first + pass->count;
    if (end < routing->n_distinct)
        weir_store_hint(forward->config.store, weir_copies_store_layer(forward),
                        routing->distinct + end, routing->n_distinct - end, true);
    if (pass->norms && network->expert_norm.tensor != NULL)
        weir_norm_step(forward, &network->expert_norm);
    if (weir_is_measured(&network->expert_gate))
        weir_importance_experts(forward);
}

static enum weir_status run_pass(struct weir_forward *forward, const struct pass *pass,
                                 struct weir_err *err)
{
    struct weir_routing *routing = &forward->routing;
    struct batch batches[WEIR_PLACE_COUNT]; /* large: what is not in use is not cleared */
    /* The one row of a step is every expert's. */
    for (int place = 0; place < WEIR_PLACE_COUNT; place++) {
        batches[place].network = pass->network;
        batches[place].work = (struct weir_together){
            .forward = forward,
            .unit = forward->step.layer->network.expert_unit,
            .networks = batches[place].networks,
            .input =
                forward->step.n_row == 1 ? &forward->stream.normed_act : &routing->gathered_act,
        };
    }
    weir_store_begin(forward->config.store, pass->store_layer,
                     &(struct weir_uses){.records = routing->distinct + pass->first,
                                         .row_counts = routing->distinct_rows + pass->first,
                                         .count = pass->count,
                                         .n_row = forward->step.n_row,
                                         .is_prompt = forward->step.has_prompt});
    if (pass->is_first)
        prepare(forward, pass);
    weir_lookahead_pause(forward, false);
    const enum weir_status status = run_leases(forward, batches, pass, err);
    release_all(batches);
    weir_store_end(forward->config.store);
    return status;
}

enum weir_status weir_experts_compute(struct weir_forward *forward, bool sums, struct weir_err *err)
{
    struct weir_routing *routing = &forward->routing;
    const uint32_t n_copied = weir_copies_split(forward);
    const uint32_t n_own = routing->n_distinct - n_copied;
    struct pass pass = {.network = &forward->step.layer->network,
                        .store_layer = forward->step.layer_index,
                        .count = n_own,
                        .is_first = true,
                        .norms = sums,
                        .sums = sums && n_copied == 0};
    memset(routing->is_computed, 0, forward->shape->n_expert * sizeof(*routing->is_computed));
    routing->n_computed = 0;
    routing->is_pending = true;
    enum weir_status status = run_pass(forward, &pass, err);
    if (status == WEIR_OK && n_copied > 0) {
        pass = (struct pass){.network = weir_copies_network(forward),
                             .store_layer = weir_copies_store_layer(forward),
                             .first = n_own,
                             .count = n_copied,
                             .sums = sums};
        status = run_pass(forward, &pass, err);
    }
    routing->is_pending = false;
    return status;
}

enum weir_status weir_experts_run(struct weir_forward *forward, struct weir_err *err)
{
    route(forward);
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    const enum weir_status status = weir_experts_compute(forward, true, err);
    if (status == WEIR_OK && has_shared(&forward->step.layer->network))
        run_shared(forward);
    if (status == WEIR_OK)
        weir_lookahead_pause(forward, true);
    weir_forward_tell(forward, "experts", begin_ns);
    return status;
}
