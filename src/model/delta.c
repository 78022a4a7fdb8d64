/* delta.c - a gated delta net (arXiv:2412.06464): a short convolution, and for each value head a
 * state that every position changes.
 *
 * Heads are dealt to threads, a key head together with the value heads that share it; positions are
 * not: docs/decisions/0023-delta-in-order.md says why that is fast enough.
 *
 * I1  A head takes a run's positions one after the other, each by the same operations, however many
 *     there are in the step or in a kernel's call. */
#include "model/linear.h"

#include <math.h>
#include <string.h>

/* Positions that a head takes together: what it touches of them stays in the second-level cache. */
enum { PIECE_POSITIONS = 16 };

/* What keeps the length of a vector of zeros from being divided by (the judge's constant). */
static const float length_epsilon = 1e-6f;

static size_t key_width(const struct weir_delta_shape *shape)
{
    return (size_t)shape->n_key_head * shape->d_key;
}

static size_t value_width(const struct weir_delta_shape *shape)
{
    return (size_t)shape->n_value_head * shape->d_value;
}

static size_t mixed_width(const struct weir_delta_shape *shape)
{
    return 2 * key_width(shape) + value_width(shape);
}

/* Values of a sequence's block: inputs of the convolution, then the states. */
static size_t past_count(const struct weir_delta_shape *shape)
{
    return (shape->n_tap - 1) * mixed_width(shape);
}

/* q and k get the length 1 by the kernel of RMSNorm: x / sqrt(sum x^2 + epsilon) is
 * x w / sqrt(mean x^2 + epsilon / d) with w = 1 / sqrt(d); q is divided by sqrt(d) once more. */
static void fill_lengths(struct weir_delta_scratch *scratch, size_t d_key)
{
    for (size_t i = 0; i < d_key; i++) {
        scratch->q_length[i] = 1.0f / (float)d_key;
        scratch->k_length[i] = 1.0f / sqrtf((float)d_key);
    }
}

/* Values of a row of layers whose q, k, v and gate come from one matrix; 0: there is none. */
static size_t packed_width(const struct weir_model *model)
{
    size_t width = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        width = (size_t)weir_max(width, model->layers[layer].mixer.delta.packed.rows);
    return width;
}

void weir_delta_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const uint64_t n_chunk = forward->config.n_chunk;
    const struct weir_delta_shape *shape = &forward->shape->delta;
    struct weir_delta_scratch *scratch = &forward->delta;
    scratch->mixed = weir_take_floats(mem, n_chunk * mixed_width(shape));
    scratch->gated = weir_take_floats(mem, n_chunk * value_width(shape));
    scratch->packed = weir_take_floats(mem, n_chunk * packed_width(forward->config.model));
    scratch->beta = weir_take_floats(mem, n_chunk * 2 * shape->n_value_head);
    scratch->alpha = weir_take_floats(mem, n_chunk * shape->n_value_head);
    scratch->gates =
        weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                       n_chunk * shape->n_value_head * sizeof(*scratch->gates), sizeof(uint64_t));
    scratch->q_length = weir_take_floats(mem, shape->d_key);
    scratch->k_length = weir_take_floats(mem, shape->d_key);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_DELTA);
    weir_take_act(&scratch->gated_act, mem, formats, n_chunk, value_width(shape), false);
    scratch->gated_act.f32 = scratch->gated;
    if (mem->phase != WEIR_MEM_PLANNING)
        fill_lengths(scratch, shape->d_key);
}

/* ---- a key head, and the value heads that share it ------------------------------------------- */

/* Positions [first, first + n_row) of the step's rows, all of one run, for one key head. */
struct piece {
    struct weir_forward *forward;
    const struct weir_delta_net *net;
    float *block; /* of the run's sequence */
    size_t key_head;
    size_t first, n_row;
};

static float *mixed_at(const struct piece *piece, size_t row, size_t channel)
{
    return piece->forward->delta.mixed + (piece->first + row) * mixed_width(&piece->net->shape) +
           channel;
}

static size_t q_channel(const struct piece *piece)
{
    return piece->key_head * piece->net->shape.d_key;
}

static size_t k_channel(const struct piece *piece)
{
    return key_width(&piece->net->shape) + q_channel(piece);
}

static size_t v_channel(const struct piece *piece, size_t value_head)
{
    return 2 * key_width(&piece->net->shape) + value_head * piece->net->shape.d_value;
}

static void convolve(const struct piece *piece, size_t channel, size_t count)
{
    const size_t width = mixed_width(&piece->net->shape);
    const struct weir_conv job = {
        .x = mixed_at(piece, 0, channel),
        .past = piece->block + channel,
        .taps = piece->net->taps.data + channel,
        .x_stride = width,
        .tap_stride = width,
        .n_tap = piece->net->shape.n_tap,
        .n_channel = count,
        .n_position = piece->n_row,
    };
    piece->forward->kernels->conv(&job);
}

static float dot(const struct piece *piece, const float *a, const float *b, size_t count)
{
    float sum = 0.0f;
    const struct weir_matmul job = {
        .w = a, .x = b, .y = &sum, .y_stride = 1, .cols = count, .row_end = 1, .n_token = 1};
    piece->forward->kernels->matmul[WEIR_TYPE_F32](&job);
    return sum;
}

/* The value head with this place among those of the key head. */
static size_t value_head_at(const struct piece *piece, size_t place)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    return shape->is_tiled ? place * shape->n_key_head + piece->key_head
                           : piece->key_head * (shape->n_value_head / shape->n_key_head) + place;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double softplus(double x)
{
    return x > 20.0 ? x : log1p(exp(x));
}

/* beta = sigmoid(logit); decay = exp(a softplus(logit + bias)), a < 0 (arXiv:2412.06464, section
 * 3.4; Mamba-2, arXiv:2405.21060, has the decay). */
static void fill_gate(const struct piece *piece, size_t row, size_t place, float overlap)
{
    const struct weir_delta_net *net = piece->net;
    const struct weir_delta_scratch *scratch = &piece->forward->delta;
    const size_t n_head = net->shape.n_value_head;
    const size_t head = value_head_at(piece, place);
    const size_t at = piece->first + row;
    const float *beta = scratch->beta + at * n_head + head;
    const float *alpha = scratch->alpha + at * n_head + head;
    if (net->alpha.cols ==
        0) { /* of each key head's value heads, beta of all before alpha of all */
        const size_t share = n_head / net->shape.n_key_head;
        beta = scratch->beta + at * 2 * n_head + piece->key_head * 2 * share + place;
        alpha = beta + share;
    }
    const double logit = (double)*alpha + (double)net->dt_bias.data[head];
    const double decay = (double)net->decay.data[head] * softplus(logit);
    /* Times 0 a finite value is nothing, and an infinity what is not a number. */
    scratch->gates[at * n_head + head] = (struct weir_delta_gate){
        .decay = (float)(exp(decay) + 0.0 * (logit + decay)),
        .beta = (float)(sigmoid((double)*beta) + 0.0 * (double)*beta),
        .overlap = overlap,
    };
}

/* q and k of each row, and what they and the row's own logits make of the value heads' gates. */
static void prepare_keys(const struct piece *piece)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    const struct weir_delta_scratch *scratch = &piece->forward->delta;
    const float epsilon = length_epsilon / (float)shape->d_key;
    convolve(piece, q_channel(piece), shape->d_key);
    convolve(piece, k_channel(piece), shape->d_key);
    for (size_t row = 0; row < piece->n_row; row++) {
        float *q = mixed_at(piece, row, q_channel(piece));
        float *k = mixed_at(piece, row, k_channel(piece));
        piece->forward->kernels->rmsnorm(q, scratch->q_length, q, shape->d_key, epsilon);
        piece->forward->kernels->rmsnorm(k, scratch->k_length, k, shape->d_key, epsilon);
        const float overlap = dot(piece, q, k, shape->d_key);
        for (size_t place = 0; place < shape->n_value_head / shape->n_key_head; place++)
            fill_gate(piece, row, place, overlap);
    }
}

/* v becomes what the head gives, column by column of its state. */
static void step_state(const struct piece *piece, size_t head)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    const size_t width = mixed_width(shape);
    float *state = piece->block + past_count(shape) + head * shape->d_key * shape->d_value;
    for (size_t first = 0; first < shape->d_value; first += WEIR_DELTA_COL_MAX) {
        float *v = mixed_at(piece, 0, v_channel(piece, head) + first);
        const struct weir_delta job = {
            .state = state + first * shape->d_key,
            .q = mixed_at(piece, 0, q_channel(piece)),
            .k = mixed_at(piece, 0, k_channel(piece)),
            .v = v,
            .out = v,
            .gate = piece->forward->delta.gates + piece->first * shape->n_value_head + head,
            .key_stride = width,
            .v_stride = width,
            .gate_stride = shape->n_value_head,
            .d_key = shape->d_key,
            .n_col = weir_min(shape->d_value - first, WEIR_DELTA_COL_MAX),
            .n_position = piece->n_row,
        };
        piece->forward->kernels->delta(&job);
    }
}

/* gated = silu(gated) * RMSNorm(v). */
static void gate_rows(const struct piece *piece, size_t head)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    const struct weir_kernels *kernels = piece->forward->kernels;
    for (size_t row = 0; row < piece->n_row; row++) {
        float *v = mixed_at(piece, row, v_channel(piece, head));
        float *gated = piece->forward->delta.gated + (piece->first + row) * value_width(shape) +
                       head * shape->d_value;
        kernels->rmsnorm(v, piece->net->norm.data, v, shape->d_value,
                         piece->forward->shape->norm_epsilon);
        kernels->glu[WEIR_GLU_SILU](gated, v, shape->d_value, 0.0f);
    }
}

/* From one row with q, k, v and gate of each key head to their places. */
static void unpack(const struct piece *piece)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    const struct weir_delta_scratch *scratch = &piece->forward->delta;
    const size_t share = shape->n_value_head / shape->n_key_head;
    const size_t width = 2 * shape->d_key + 2 * share * shape->d_value;
    for (size_t row = 0; row < piece->n_row; row++) {
        const size_t at = piece->first + row;
        const float *q = scratch->packed + at * piece->net->packed.rows + piece->key_head * width;
        const float *v = q + 2 * (size_t)shape->d_key;
        memcpy(mixed_at(piece, row, q_channel(piece)), q, shape->d_key * sizeof(*q));
        memcpy(mixed_at(piece, row, k_channel(piece)), q + shape->d_key, shape->d_key * sizeof(*q));
        for (size_t place = 0; place < share; place++, v += shape->d_value) {
            const size_t head = value_head_at(piece, place);
            memcpy(mixed_at(piece, row, v_channel(piece, head)), v, shape->d_value * sizeof(*v));
            memcpy(scratch->gated + at * value_width(shape) + head * shape->d_value,
                   v + share * shape->d_value, shape->d_value * sizeof(*v));
        }
    }
}

static void run_piece(const struct piece *piece)
{
    const struct weir_delta_shape *shape = &piece->net->shape;
    if (piece->net->packed.cols != 0)
        unpack(piece);
    prepare_keys(piece);
    for (size_t place = 0; place < shape->n_value_head / shape->n_key_head; place++) {
        const size_t head = value_head_at(piece, place);
        convolve(piece, v_channel(piece, head), shape->d_value);
        step_state(piece, head);
        gate_rows(piece, head);
    }
}

/* ---- the step -------------------------------------------------------------------------------- */

static float *block_of(const struct weir_forward *forward, const struct weir_run *run)
{
    return weir_sequence_block(run->sequence, forward->step.layer_index);
}

/* Every n_part-th key head of all runs; keeps I1. */
static void run_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_delta_net *net = &forward->step.layer->mixer.delta;
    size_t first = 0;
    size_t key_head = part;
    for (uint32_t index = 0; index < forward->step.n_run; index++) {
        const struct weir_run *run = &forward->step.runs[index];
        for (; key_head < net->shape.n_key_head; key_head += n_part)
            for (size_t done = 0; done < run->n_row; done += PIECE_POSITIONS) {
                const struct piece piece = {
                    .forward = forward,
                    .net = net,
                    .block = block_of(forward, run),
                    .key_head = key_head,
                    .first = first + done,
                    .n_row = weir_min(run->n_row - done, PIECE_POSITIONS),
                };
                run_piece(&piece);
            }
        key_head -= net->shape.n_key_head;
        first += run->n_row;
    }
}

/* Threads that wait for their first head fetch its states. */
static void prefetch_states(const struct weir_forward *forward)
{
    weir_pool *pool = forward->config.pool;
    const struct weir_delta_shape *shape = &forward->step.layer->mixer.delta.shape;
    const size_t head_bytes = (size_t)shape->d_key * shape->d_value * sizeof(float);
    if (forward->step.n_row > 1)
        return;
    const float *states = block_of(forward, &forward->step.runs[0]) + past_count(shape);
    for (uint32_t part = 0; part < weir_pool_thread_count(pool); part++)
        weir_pool_prefetch(pool, part,
                           (const uint8_t *)states + part % shape->n_key_head * head_bytes,
                           head_bytes);
}

static void quantize_gated(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->delta.gated_act, forward->delta.gated, begin, end);
}

/* Nothing where the layer has no such matrix. */
static void add_weight(struct weir_linear *linear, const struct weir_weight *weight, float *y)
{
    if (weight->cols == 0)
        return;
    linear->weight[linear->count] = weight;
    linear->y[linear->count++] = y;
}

static void project(struct weir_forward *forward)
{
    const struct weir_delta_net *net = &forward->step.layer->mixer.delta;
    const struct weir_delta_scratch *scratch = &forward->delta;
    struct weir_linear linear = {
        .name = "delta q k v",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .n_row = forward->step.n_row,
        .counts_uses = true,
    };
    add_weight(&linear, &net->packed, scratch->packed);
    add_weight(&linear, &net->mixed, scratch->mixed);
    add_weight(&linear, &net->gate, scratch->gated);
    add_weight(&linear, &net->beta, scratch->beta);
    add_weight(&linear, &net->alpha, scratch->alpha);
    weir_linear_run(&linear);
}

void weir_delta_run(struct weir_forward *forward)
{
    const struct weir_delta_net *net = &forward->step.layer->mixer.delta;
    struct weir_delta_scratch *scratch = &forward->delta;
    const struct weir_weight *const output[] = {&net->out};
    prefetch_states(forward);
    project(forward);
    weir_lookahead_pause(forward, false);
    weir_linear_prefetch(forward, output, 1);
    weir_pool_run(forward->config.pool, "delta heads", run_heads, forward);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "quantize gated", quantize_gated);
    struct weir_linear gather = {
        .name = "delta output",
        .forward = forward,
        .act = &scratch->gated_act,
        .weight = {&net->out},
        .y = {forward->stream.projected},
        .count = 1,
        .n_row = forward->step.n_row,
    };
    weir_prefetch_network(forward);
    weir_linear_run(&gather);
}

void weir_delta_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const struct weir_delta_net *net = &mixer->delta;
    const struct weir_weight *const first[] = {net->packed.cols != 0 ? &net->packed : &net->mixed,
                                               &net->gate};
    weir_linear_prefetch(forward, first, net->packed.cols != 0 ? 1 : 2);
}

void weir_delta_state(const struct weir_mixer *mixer, enum weir_kv kv, struct weir_state_layer *out)
{
    const struct weir_delta_shape *shape = &mixer->delta.shape;
    (void)kv; /* of keys and values: sums that go on for a whole text want all of f32 */
    *out = (struct weir_state_layer){
        .kind = WEIR_STATE_RECURRENT,
        .bytes = (past_count(shape) + (uint64_t)shape->d_key * value_width(shape)) * sizeof(float),
    };
}
