/* network.c - feed-forward networks: hidden rows, the activation, and the way down.
 *
 * Several networks of the same widths are computed together, so that one fork-join serves all of
 * them; a dense layer's and a shared expert's are one each. */
#include "model/importance_taps.h"

enum { QUANTIZE_ALONE = 16 * 1024 }; /* values: below this a hand-off costs more than it saves */

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

void weir_network_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    struct weir_hidden *hidden = &forward->hidden;
    const uint64_t d_hidden = widest_hidden(forward->config.model);
    hidden->row_count = (uint32_t)weir_max(forward->config.n_chunk, forward->shape->n_expert_used);
    hidden->gate = weir_take_floats(mem, hidden->row_count * d_hidden);
    hidden->up = weir_take_floats(mem, hidden->row_count * d_hidden);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_HIDDEN);
    weir_take_act(&hidden->act, mem, formats, hidden->row_count, (size_t)d_hidden, false);
}

static void scale_rows(const struct weir_feed_forward *network, float *rows, size_t width,
                       uint64_t begin, uint64_t end)
{
    for (uint32_t row = 0; row < network->n_row; row++)
        for (uint64_t at = begin; at < end; at++)
            rows[row * width + at] *= network->input_weight[row];
}

/* hidden = unit(W_gate x, W_up x), rows [begin, end). */
static void gate_up_rows(const struct weir_together *together,
                         const struct weir_feed_forward *network, uint64_t begin, uint64_t end,
                         const uint8_t *next)
{
    struct weir_forward *forward = together->forward;
    const size_t width = network->gate.weight->rows;
    float *gate = forward->hidden.gate + network->hidden_first * width;
    float *up = forward->hidden.up + network->hidden_first * width;
    weir_matmul_rows(forward, &network->gate, together->input, network->input_first, network->n_row,
                     gate, begin, end, network->up.data + begin * network->up.weight->row_bytes);
    weir_matmul_rows(forward, &network->up, together->input, network->input_first, network->n_row,
                     up, begin, end, next);
    if (network->input_weight != NULL) { /* W (w x) = w (W x) */
        scale_rows(network, gate, width, begin, end);
        scale_rows(network, up, width, begin, end);
    }
    for (uint32_t row = 0; row < network->n_row; row++)
        forward->kernels->glu[together->unit.glu](gate + row * width + begin,
                                                  up + row * width + begin, end - begin,
                                                  together->unit.limit);
}

/* The rows are those of all networks, one after the other. */
static void run_gate_up(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_together *together = user;
    const uint64_t width = together->networks[0].gate.weight->rows;
    struct weir_piece piece = weir_piece_first(&together->rows, part);
    (void)n_part;
    for (; piece.begin < piece.end; piece = weir_piece_next(&together->rows))
        for (uint32_t index = 0; index < together->count; index++) {
            const uint64_t first = index * width;
            const bool goes_on = first + width < piece.end;
            uint64_t begin;
            uint64_t end;
            if (weir_piece_overlap(&piece, first, width, &begin, &end))
                gate_up_rows(together, &together->networks[index], begin, end,
                             goes_on ? together->networks[index + 1].gate.data : NULL);
        }
}

static void run_quantize(void *user, uint32_t part, uint32_t n_part)
{
    const struct weir_together *together = user;
    struct weir_forward *forward = together->forward;
    uint64_t begin;
    uint64_t end;
    weir_part_range(together->row_count, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->hidden.act, forward->hidden.gate, begin, end);
}

/* Rows of every network, and with the last of them their sums: they are in this CPU's cache. */
static void run_down(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_together *together = user;
    struct weir_forward *forward = together->forward;
    struct weir_piece piece = weir_piece_first(&together->rows, part);
    (void)n_part;
    for (; piece.begin < piece.end; piece = weir_piece_next(&together->rows)) {
        for (uint32_t index = together->down_first; index < together->down_last; index++) {
            const struct weir_feed_forward *network = &together->networks[index];
            const uint8_t *next = index + 1 < together->down_last
                                      ? together->networks[index + 1].down.data +
                                            piece.begin * network->down.weight->row_bytes
                                      : NULL;
            weir_matmul_rows(forward, &network->down, &forward->hidden.act, network->hidden_first,
                             network->n_row, network->out, piece.begin, piece.end, next);
        }
        if (together->add != NULL && together->down_last == together->count)
            together->add(forward, piece.begin, piece.end);
    }
}

/* What follows gate and up: the first network's down matrix. */
static void prefetch_down(const struct weir_together *together)
{
    struct weir_weight down = *together->networks[0].down.weight;
    const struct weir_weight *const next[] = {&down};
    down.data = together->networks[0].down.data;
    weir_linear_prefetch(together->forward, next, 1);
}

void weir_prefetch_next_layer(const struct weir_forward *forward)
{
    const struct weir_model *model = forward->config.model;
    const struct weir_weight *const output[] = {&model->output};
    if (forward->step.layer_index + 1 == forward->shape->n_layer) {
        weir_linear_prefetch(forward, output, 1);
        return;
    }
    weir_mixer_prefetch(forward, &forward->step.layer[1].mixer);
}

static void deal_rows(struct weir_together *together, const char *name, weir_pool_fn *fn,
                      uint64_t count)
{
    weir_pool *pool = together->forward->config.pool;
    weir_deal_start(&together->rows, count, together->forward->step.n_row,
                    weir_pool_thread_count(pool), together->count > 1);
    weir_pool_run(pool, name, fn, together);
}

void weir_together_hidden(struct weir_together *together)
{
    struct weir_hidden *hidden = &together->forward->hidden;
    const size_t width = together->networks[0].gate.weight->rows;
    weir_act_narrow(&hidden->act, width);
    hidden->act.f32 = hidden->gate;
    prefetch_down(together);
    deal_rows(together, "gate up", run_gate_up, together->count * width);
    if (together->row_count * width <= QUANTIZE_ALONE)
        run_quantize(together, 0, 1);
    else
        weir_pool_run(together->forward->config.pool, "quantize hidden", run_quantize, together);
}

void weir_together_down(struct weir_together *together)
{
    if (weir_is_measured(together->networks[0].down.weight))
        weir_importance_down(together);
    deal_rows(together, "down", run_down, together->forward->shape->d_model);
}

/* Of a network that all rows pass. */
static void measure_inputs(const struct weir_together *together)
{
    const struct weir_feed_forward *network = &together->networks[0];
    const struct weir_weight *const weights[] = {network->gate.weight, network->up.weight};
    struct weir_measured_rows rows[WEIR_COUNT(weights)];
    for (uint32_t index = 0; index < WEIR_COUNT(weights); index++)
        rows[index] = (struct weir_measured_rows){.weight = weights[index],
                                                  .x = together->input->f32,
                                                  .stride = together->input->cols,
                                                  .n_row = network->n_row};
    weir_importance_rows(together->forward, rows, WEIR_COUNT(weights));
}

void weir_network_whole(struct weir_forward *forward, const struct weir_weight *gate,
                        const struct weir_weight *up, const struct weir_weight *down,
                        weir_add_fn *add)
{
    struct weir_feed_forward network = {
        .gate = weir_trunk_matrix(gate),
        .up = weir_trunk_matrix(up),
        .down = weir_trunk_matrix(down),
        .n_row = forward->step.n_row,
        .out = forward->stream.projected,
    };
    struct weir_together together = {.forward = forward,
                                     .input = &forward->stream.normed_act,
                                     .unit = forward->step.layer->network.unit,
                                     .add = add,
                                     .networks = &network,
                                     .count = 1,
                                     .row_count = forward->step.n_row,
                                     .down_last = 1};
    if (weir_is_measured(gate))
        measure_inputs(&together);
    weir_together_hidden(&together);
    weir_prefetch_next_layer(forward);
    weir_together_down(&together);
}

static void add_projected(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        forward->kernels->axpy(forward->stream.sum + row * d_model + begin,
                               forward->stream.projected + row * d_model + begin, 1.0f,
                               end - begin);
}

void weir_dense_run(struct weir_forward *forward)
{
    const struct weir_network *network = &forward->step.layer->network;
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    weir_network_whole(forward, &network->gate, &network->up, &network->down, add_projected);
    weir_forward_tell(forward, "dense", begin_ns);
}
