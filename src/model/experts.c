/* experts.c - feed-forward layers: dense, shared and routed experts.
 *
 * Routed experts are computed in batches: whatever the store has ready, resident ones first while
 * reads fly. Each (token, rank) has its own row of expert_out, so the order of arrival cannot reach
 * the sum, which is taken in expert-id order. */
#include "model/model_internal.h"

#include <math.h>
#include <string.h>

enum {
    BATCH_MAX = WEIR_TOP_K_MAX,
    BATCH_STREAMED = 4,         /* a few at a time: between them reads are submitted */
    QUANTIZE_ALONE = 16 * 1024, /* values: below this a hand-off costs more than it saves */
};

/* Three matrices and the rows of activations they are applied to. */
struct network {
    const struct weir_weight *gate, *up, *down;
    const uint8_t *gate_data, *up_data, *down_data;
    uint32_t n_row;        /* tokens */
    uint32_t input_first;  /* first row of the input activations */
    uint32_t hidden_first; /* first row of hidden_gate, hidden_up, hidden_act */
    float *out;            /* [n_row][d_model] */
};

/* Adds outputs to values [begin, end) of each token's residual stream. */
typedef void add_fn(struct weir_forward *forward, uint64_t begin, uint64_t end);

/* Networks that one sequence of fork-joins computes together. */
struct batch {
    struct weir_forward *forward;
    const struct weir_act_rows *input;
    add_fn *add; /* NULL: outputs are kept for a later batch to add */
    struct network networks[BATCH_MAX];
    struct weir_lease leases[BATCH_MAX];
    uint32_t count;
    uint32_t row_count;             /* rows of hidden_* in use */
    uint32_t down_first, down_last; /* networks whose down matrix is there */
    struct weir_deal rows;          /* of the running job */
};

/* hidden = silu(W_gate x) * (W_up x), rows [begin, end) (arXiv:2002.05202, eq. 6). */
static void gate_up_rows(const struct batch *batch, const struct network *network, uint64_t begin,
                         uint64_t end, const uint8_t *next)
{
    struct weir_forward *forward = batch->forward;
    const size_t width = network->gate->rows;
    float *gate = forward->hidden_gate + network->hidden_first * width;
    float *up = forward->hidden_up + network->hidden_first * width;
    weir_matmul_rows(forward, network->gate, network->gate_data, batch->input, network->input_first,
                     network->n_row, gate, begin, end,
                     network->up_data + begin * network->up->row_bytes);
    weir_matmul_rows(forward, network->up, network->up_data, batch->input, network->input_first,
                     network->n_row, up, begin, end, next);
    for (uint32_t row = 0; row < network->n_row; row++)
        forward->kernels->silu_mul(gate + row * width + begin, up + row * width + begin,
                                   end - begin);
}

/* The rows are those of all networks, one after the other. */
static void run_gate_up(void *user, uint32_t part, uint32_t n_part)
{
    struct batch *batch = user;
    const uint64_t width = batch->networks[0].gate->rows;
    struct weir_piece piece = weir_piece_first(&batch->rows, part);
    (void)n_part;
    for (; piece.begin < piece.end; piece = weir_piece_next(&batch->rows))
        for (uint32_t index = 0; index < batch->count; index++) {
            const uint64_t first = index * width;
            const bool goes_on = first + width < piece.end;
            uint64_t begin;
            uint64_t end;
            if (weir_piece_overlap(&piece, first, width, &begin, &end))
                gate_up_rows(batch, &batch->networks[index], begin, end,
                             goes_on ? batch->networks[index + 1].gate_data : NULL);
        }
}

static void run_quantize(void *user, uint32_t part, uint32_t n_part)
{
    const struct batch *batch = user;
    struct weir_forward *forward = batch->forward;
    uint64_t begin;
    uint64_t end;
    weir_part_range(batch->row_count, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->hidden_act, forward->hidden_gate, begin, end);
}

/* Rows of every network, and with the last of them their sums: they are in this CPU's cache. */
static void run_down(void *user, uint32_t part, uint32_t n_part)
{
    struct batch *batch = user;
    struct weir_forward *forward = batch->forward;
    struct weir_piece piece = weir_piece_first(&batch->rows, part);
    (void)n_part;
    for (; piece.begin < piece.end; piece = weir_piece_next(&batch->rows)) {
        for (uint32_t index = batch->down_first; index < batch->down_last; index++) {
            const struct network *network = &batch->networks[index];
            const uint8_t *next =
                index + 1 < batch->down_last
                    ? batch->networks[index + 1].down_data + piece.begin * network->down->row_bytes
                    : NULL;
            weir_matmul_rows(forward, network->down, network->down_data, &forward->hidden_act,
                             network->hidden_first, network->n_row, network->out, piece.begin,
                             piece.end, next);
        }
        if (batch->add != NULL && batch->down_last == batch->count)
            batch->add(forward, piece.begin, piece.end);
    }
}

/* What follows gate and up: the first network's down matrix. */
static void expect_down(const struct batch *batch)
{
    struct weir_weight down = *batch->networks[0].down;
    const struct weir_weight *const next[] = {&down};
    down.data = batch->networks[0].down_data;
    weir_linear_expect(batch->forward, next, 1);
}

/* What follows the layer: attention of the one after it, or the output matrix. */
static void expect_next(const struct weir_forward *forward)
{
    const struct weir_model *model = forward->config.model;
    const struct weir_layer *layer = forward->layer + 1;
    const struct weir_weight *const output[] = {&model->output};
    if (forward->layer_index + 1 == forward->shape->n_layer) {
        weir_linear_expect(forward, output, 1);
        return;
    }
    const struct weir_weight *const project[] = {&layer->mixer.q, &layer->mixer.k, &layer->mixer.v};
    weir_linear_expect(forward, project, 3);
}

/* What follows the routed experts. */
static void expect_after_routed(const struct weir_forward *forward)
{
    const struct weir_weight *const shared[] = {&forward->layer->network.shared_gate};
    if (forward->layer->network.shared_router.tensor != NULL)
        weir_linear_expect(forward, shared, 1);
    else
        expect_next(forward);
}

static void deal_rows(struct batch *batch, const char *name, weir_pool_fn *fn, uint64_t count)
{
    weir_pool *pool = batch->forward->config.pool;
    weir_deal_start(&batch->rows, count, batch->forward->n_token, weir_pool_thread_count(pool),
                    batch->count > 1);
    weir_pool_run(pool, name, fn, batch);
}

/* All networks of a batch have the same width; hidden_act is told which. */
static void run_hidden(struct batch *batch)
{
    struct weir_forward *forward = batch->forward;
    const size_t width = batch->networks[0].gate->rows;
    struct weir_act_rows *hidden = &forward->hidden_act;
    hidden->cols = width;
    hidden->f32 = forward->hidden_gate;
    for (int format = 0; format < WEIR_ACT_COUNT; format++)
        if (hidden->rows[format] != NULL)
            hidden->row_bytes[format] = weir_act_row_bytes((enum weir_act)format, width);
    expect_down(batch);
    deal_rows(batch, "gate up", run_gate_up, batch->count * width);
    if (batch->row_count * width <= QUANTIZE_ALONE)
        run_quantize(batch, 0, 1);
    else
        weir_pool_run(forward->config.pool, "quantize hidden", run_quantize, batch);
}

/* Down matrices as they land, the first of those missing waited for. */
static enum weir_status run_tails(struct batch *batch, struct weir_err *err)
{
    weir_store *store = batch->forward->config.store;
    for (batch->down_first = 0; batch->down_first < batch->count;
         batch->down_first = batch->down_last) {
        batch->down_last = batch->down_first;
        do
            WEIR_TRY(weir_store_tail(store, &batch->leases[batch->down_last++], err));
        while (batch->down_last < batch->count &&
               weir_store_tail_ready(store, &batch->leases[batch->down_last]));
        if (batch->add != NULL)
            expect_after_routed(batch->forward);
        deal_rows(batch, "down", run_down, batch->forward->shape->d_model);
    }
    return WEIR_OK;
}

/* One network of the trunk over all tokens of the step, into projected and from there added. */
static void run_whole(struct weir_forward *forward, const struct weir_weight *gate,
                      const struct weir_weight *up, const struct weir_weight *down, add_fn *add)
{
    struct batch batch = {
        .forward = forward, .input = &forward->normed_act, .add = add, .count = 1};
    batch.row_count = forward->n_token;
    batch.networks[0] = (struct network){
        .gate = gate,
        .up = up,
        .down = down,
        .gate_data = gate->data,
        .up_data = up->data,
        .down_data = down->data,
        .n_row = forward->n_token,
        .out = forward->projected,
    };
    run_hidden(&batch);
    batch.down_last = 1;
    expect_next(forward);
    deal_rows(&batch, "down", run_down, forward->shape->d_model);
}

static void add_projected(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    for (uint32_t token = 0; token < forward->n_token; token++)
        forward->kernels->axpy(forward->residual + token * d_model + begin,
                               forward->projected + token * d_model + begin, 1.0f, end - begin);
}

void weir_dense_layer(struct weir_forward *forward)
{
    const struct weir_layer *layer = forward->layer;
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    run_whole(forward, &layer->network.gate, &layer->network.up, &layer->network.down,
              add_projected);
    weir_forward_tell(forward, "dense", begin_ns);
}

/* sigmoid(w . normed) (Qwen2-MoE, arXiv:2407.10671 section 2.2). */
static void weigh_shared(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    const float *w = forward->layer->network.shared_router.data;
    for (uint64_t token = begin; token < end; token++) {
        const float *normed = forward->normed + token * d_model;
        double logit = 0.0;
        for (size_t index = 0; index < d_model; index++)
            logit += (double)w[index] * (double)normed[index];
        /* Times 0 a finite logit is nothing, and an infinite one what is not a number. */
        forward->shared_weight[token] = (float)(1.0 / (1.0 + exp(-logit)) + 0.0 * logit);
    }
}

static void add_shared(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    for (uint32_t token = 0; token < forward->n_token; token++)
        forward->kernels->axpy(forward->residual + token * d_model + begin,
                               forward->projected + token * d_model + begin,
                               forward->shared_weight[token], end - begin);
}

static void route_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->n_token, part, n_part, &begin, &end);
    weir_route_tokens(forward, begin, end);
    if (forward->layer->network.shared_router.tensor != NULL)
        weigh_shared(forward, begin, end);
}

/* The tokens' activations of one lease's expert, side by side after those already gathered. */
static void gather_rows(struct batch *batch, uint32_t expert)
{
    struct weir_forward *forward = batch->forward;
    struct weir_act_rows *to = &forward->gathered_act;
    const struct weir_act_rows *from = &forward->normed_act;
    const uint32_t begin = forward->expert_first[expert];
    const uint32_t end = forward->expert_first[expert + 1];
    for (uint32_t row = begin; row < end; row++) {
        const size_t at = batch->row_count + (row - begin);
        const size_t token = forward->token_at[row];
        for (int format = 0; format < WEIR_ACT_COUNT; format++)
            if (to->rows[format] != NULL)
                memcpy(to->rows[format] + at * to->row_bytes[format],
                       (format == WEIR_ACT_F32 ? (const uint8_t *)from->f32 : from->rows[format]) +
                           token * to->row_bytes[format],
                       to->row_bytes[format]);
    }
}

static void add_expert(struct batch *batch, const struct weir_lease *lease)
{
    struct weir_forward *forward = batch->forward;
    const struct weir_layer *layer = forward->layer;
    const uint32_t first = forward->expert_first[lease->record];
    const uint32_t n_row = forward->expert_first[lease->record + 1] - first;
    const bool is_gathered = batch->input == &forward->gathered_act;
    if (is_gathered)
        gather_rows(batch, lease->record);
    batch->leases[batch->count] = *lease;
    batch->networks[batch->count] = (struct network){
        .gate = &layer->network.expert_gate,
        .up = &layer->network.expert_up,
        .down = &layer->network.expert_down,
        .gate_data = lease->slice[0],
        .up_data = lease->slice[1],
        .down_data = lease->slice[2],
        .n_row = n_row,
        .input_first = is_gathered ? batch->row_count : 0,
        .hidden_first = batch->row_count,
        .out = forward->expert_out + (size_t)first * forward->shape->d_model,
    };
    batch->count++;
    batch->row_count += n_row;
}

static void release_batch(struct batch *batch)
{
    for (uint32_t index = 0; index < batch->count; index++)
        weir_store_release(batch->forward->config.store, &batch->leases[index]);
    batch->count = 0;
    batch->row_count = 0;
}

static enum weir_status finish_batch(struct batch *batch, struct weir_err *err)
{
    if (batch->count == 0)
        return WEIR_OK;
    weir_lookahead_again(batch->forward, false);
    run_hidden(batch);
    const enum weir_status status = run_tails(batch, err);
    for (uint32_t index = 0; index < batch->count; index++)
        weir_lookahead_computed(batch->forward, batch->leases[index].record);
    release_batch(batch);
    return status;
}

/* residual += sum over the token's experts, ascending by id, of weight * output. */
static void add_experts(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const uint32_t n_used = forward->shape->n_expert_used;
    const size_t d_model = forward->shape->d_model;
    for (uint64_t token = 0; token < forward->n_token; token++)
        for (uint32_t rank = 0; rank < n_used; rank++) {
            const uint64_t index = token * n_used + rank;
            const size_t row = forward->assignment_at[index];
            forward->kernels->axpy(forward->residual + token * d_model + begin,
                                   forward->expert_out + row * d_model + begin,
                                   forward->chosen_weight[index], end - begin);
        }
}

/* Every distinct expert of the step once, in the order the store has them. */
static enum weir_status run_experts(struct batch *batch, struct weir_err *err)
{
    struct weir_forward *forward = batch->forward;
    weir_store *store = forward->config.store;
    const uint32_t most = forward->lookahead.m > 0 ? BATCH_STREAMED : BATCH_MAX;
    for (uint32_t left = forward->n_distinct; left > 0; left--) {
        struct weir_lease lease = {0};
        bool more = false;
        /* Compute what we hold rather than wait for what we do not. */
        if (batch->count > 0 && !weir_store_ready(store))
            WEIR_TRY(finish_batch(batch, err));
        const enum weir_status status = weir_store_next(store, &lease, &more, err);
        if (status != WEIR_OK) {
            release_batch(batch);
            return status;
        }
        WEIR_ASSERT(more);
        const uint32_t n_row =
            forward->expert_first[lease.record + 1] - forward->expert_first[lease.record];
        if (batch->count == most || batch->row_count + n_row > forward->hidden_rows) {
            const enum weir_status finished = finish_batch(batch, err);
            if (finished != WEIR_OK) {
                weir_store_release(store, &lease);
                return finished;
            }
        }
        add_expert(batch, &lease);
    }
    batch->add = add_experts;
    return finish_batch(batch, err);
}

/* chosen and distinct: who computes what. */
static void route(struct weir_forward *forward)
{
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    struct weir_linear router = {
        .name = "router",
        .forward = forward,
        .act = &forward->normed_act,
        .weight = {&forward->layer->network.router},
        .y = {forward->router},
        .count = 1,
        .n_token = forward->n_token,
    };
    weir_linear_run(&router);
    weir_forward_by_token(forward, "top k", route_part);
    if (forward->watch != NULL)
        forward->watch(forward->watch_user, forward->layer_index, forward->position,
                       forward->n_token, forward->chosen);
    weir_lookahead_judge(forward);
    weir_route_group(forward);
    weir_forward_tell(forward, "route", begin_ns);
}

static enum weir_status compute_experts(struct weir_forward *forward, struct weir_err *err)
{
    struct batch batch = {.forward = forward, .input = &forward->gathered_act};
    if (forward->n_token == 1) /* its one row is every expert's */
        batch.input = &forward->normed_act;
    weir_store_begin(forward->config.store, forward->layer_index, forward->distinct,
                     forward->n_distinct);
    weir_lookahead_from(forward, forward->layer_index + 1);
    const enum weir_status status = run_experts(&batch, err);
    weir_store_end(forward->config.store);
    if (status != WEIR_OK)
        return status;
    if (forward->layer->network.shared_router.tensor != NULL)
        run_whole(forward, &forward->layer->network.shared_gate, &forward->layer->network.shared_up,
                  &forward->layer->network.shared_down, add_shared);
    weir_lookahead_again(forward, true);
    return WEIR_OK;
}

enum weir_status weir_expert_layer(struct weir_forward *forward, struct weir_err *err)
{
    route(forward);
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    const enum weir_status status = compute_experts(forward, err);
    weir_forward_tell(forward, "experts", begin_ns);
    return status;
}
