/* importance_taps.c - what a step's weights are applied to, added up. */
#include "model/importance_taps.h"

#include "model/branch.h"

/* ---- adding up ----------------------------------------------------------------------------- */

/* Columns [begin, end) of one row, weighed; keeps I1. */
static void add_squares(double *sums, const float *x, uint64_t begin, uint64_t end, double weight)
{
    for (uint64_t col = begin; col < end; col++)
        sums[col] += weight * ((double)x[col] * (double)x[col]);
}

static double *sums_of(const struct weir_weight *weight, uint64_t matrix)
{
    return weight->inputs.sums + matrix * weight->cols;
}

static void add_rows(const struct weir_measured_rows *rows, uint64_t begin, uint64_t end)
{
    double *sums = sums_of(rows->weight, rows->matrix);
    for (uint32_t row = 0; row < rows->n_row; row++)
        add_squares(sums, rows->x + row * rows->stride, begin, end, 1.0);
}

void weir_importance_add(const struct weir_measured_rows *rows)
{
    add_rows(rows, 0, rows->weight->cols);
    rows->weight->inputs.counts[rows->matrix] += rows->n_row;
}

struct job {
    const struct weir_measured_rows *rows;
    uint32_t count;
};

/* Each part has columns of its own. */
static void add_part(void *user, uint32_t part, uint32_t n_part)
{
    const struct job *job = user;
    for (uint32_t index = 0; index < job->count; index++) {
        uint64_t begin;
        uint64_t end;
        weir_part_range(job->rows[index].weight->cols, part, n_part, &begin, &end);
        add_rows(&job->rows[index], begin, end);
    }
}

void weir_importance_rows(const struct weir_forward *forward, const struct weir_measured_rows *rows,
                          uint32_t count)
{
    struct job job = {.rows = rows, .count = count};
    if (count == 0)
        return;
    weir_pool_run(forward->config.pool, "importance", add_part, &job);
    for (uint32_t index = 0; index < count; index++)
        rows[index].weight->inputs.counts[rows[index].matrix] += rows[index].n_row;
}

/* ---- taps ---------------------------------------------------------------------------------- */

void weir_importance_linear(const struct weir_linear *linear)
{
    struct weir_measured_rows rows[WEIR_LINEAR_MAX];
    uint32_t count = 0;
    for (uint32_t index = 0; index < linear->count; index++)
        if (weir_is_measured(linear->weight[index]))
            rows[count++] = (struct weir_measured_rows){.weight = linear->weight[index],
                                                        .x = linear->act->f32,
                                                        .stride = linear->act->cols,
                                                        .n_row = linear->n_row};
    weir_importance_rows(linear->forward, rows, count);
}

/* The rows of every distinct expert, where they are before they are gathered. */
static void add_gathered(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_routing *routing = &forward->routing;
    const struct weir_network *network = &forward->step.layer->network;
    const size_t d_model = forward->shape->d_model;
    uint64_t begin;
    uint64_t end;
    weir_part_range(d_model, part, n_part, &begin, &end);
    for (uint32_t index = 0; index < routing->n_distinct; index++) {
        const uint32_t expert = routing->distinct[index];
        double *sums = sums_of(&network->expert_gate, expert);
        for (uint32_t row = routing->expert_first[expert]; row < routing->expert_first[expert + 1];
             row++) {
            const double weight =
                network->gating.weighs_input ? (double)routing->input_weight[row] : 1.0;
            add_squares(sums, forward->stream.normed + routing->token_at[row] * d_model, begin, end,
                        weight * weight);
        }
    }
}

void weir_importance_experts(struct weir_forward *forward)
{
    const struct weir_routing *routing = &forward->routing;
    const struct weir_input_sums *inputs = &forward->step.layer->network.expert_gate.inputs;
    weir_pool_run(forward->config.pool, "importance", add_gathered, forward);
    for (uint32_t index = 0; index < routing->n_distinct; index++) {
        const uint32_t expert = routing->distinct[index];
        inputs->counts[expert] += routing->expert_first[expert + 1] - routing->expert_first[expert];
    }
}

void weir_importance_down(const struct weir_together *together)
{
    struct weir_measured_rows rows[WEIR_TOGETHER_MAX];
    uint32_t count = 0;
    for (uint32_t index = together->down_first; index < together->down_last; index++) {
        const struct weir_feed_forward *network = &together->networks[index];
        const size_t width = network->down.weight->cols;
        rows[count++] = (struct weir_measured_rows){.weight = network->down.weight,
                                                    .matrix = network->down.index,
                                                    .x = together->forward->hidden.gate +
                                                         network->hidden_first * width,
                                                    .stride = width,
                                                    .n_row = network->n_row};
    }
    weir_importance_rows(together->forward, rows, count);
}

/* Plain parts of queries, as the heads have left them; and the latent values, for the matrix that
 * would make keys and values of them. What heads make of latent values, latent_heads.c adds. */
static void add_latent(void *user, uint32_t part, uint32_t n_part)
{
    const struct weir_forward *forward = user;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_latent *latent = &mixer->latent;
    uint64_t begin;
    uint64_t end;
    weir_part_range(mixer->n_head, part, n_part, &begin, &end);
    for (uint64_t head = begin; head < end && weir_is_measured(&latent->k_up); head++)
        weir_importance_add(
            &(struct weir_measured_rows){.weight = &latent->k_up,
                                         .matrix = (uint32_t)head,
                                         .x = forward->latent.q + head * mixer->d_head,
                                         .stride = (size_t)mixer->n_head * mixer->d_head,
                                         .n_row = forward->step.n_row});
    if (part == 0 && weir_is_measured(&latent->kv_up))
        weir_importance_add(&(struct weir_measured_rows){.weight = &latent->kv_up,
                                                         .x = forward->latent.latent,
                                                         .stride = (size_t)latent->shape.d_latent +
                                                                   latent->shape.d_turned,
                                                         .n_row = forward->step.n_row});
}

void weir_importance_latent(struct weir_forward *forward)
{
    weir_pool_run(forward->config.pool, "importance", add_latent, forward);
}

static void norm_output(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t row = begin; row < end; row++)
        weir_norm_residual(forward, &forward->config.model->output_norm, row, row);
}

void weir_importance_output(struct weir_forward *forward)
{
    const struct weir_measured_rows rows = {.weight = &forward->config.model->output,
                                            .x = forward->stream.normed,
                                            .stride = forward->shape->d_model,
                                            .n_row = forward->step.n_row};
    weir_pool_run(forward->config.pool, "output norm", norm_output, forward);
    weir_importance_rows(forward, &rows, 1);
}
