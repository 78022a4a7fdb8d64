/* sim_rows.c - all that is no product of weights, as the simulated device computes it. */
#include <math.h>
#include <string.h>

#include "gpu/sim_internal.h"
#include "kernels/choose.h"

/* Row `row` of rows that are stride values apart: count values of it. */
static float *row_at(const struct weir_sim *sim, weir_gpu_address at, uint64_t row, uint64_t stride,
                     uint64_t count)
{
    return weir_sim_at(sim, at + row * stride * sizeof(float), count * sizeof(float));
}

static void norm_piece(struct weir_sim *sim, const struct weir_gpu_norm *job, const float *x,
                       float *y, const float *weights)
{
    if (job->is_centered) { /* LayerNorm (arXiv:1607.06450 eq. 3) without a bias */
        double sum = 0.0;
        for (uint32_t index = 0; index < job->width; index++)
            sum += (double)x[index];
        const float mean = (float)(sum / (double)job->width);
        for (uint32_t index = 0; index < job->width; index++)
            y[index] = x[index] - mean;
        x = y;
    }
    const float factor = sim->kernels.rmsnorm(x, weights, y, job->width, job->epsilon);
    if (!(factor > 0.0f) && job->damage != 0)
        *(uint32_t *)weir_sim_at(sim, job->damage, sizeof(uint32_t)) = 1;
}

void weir_sim_norm(struct weir_sim *sim, const struct weir_gpu_norm *job)
{
    const uint32_t width = job->width;
    float *ones = weir_sim_scratch(sim, width * sizeof(float));
    for (uint32_t index = 0; ones != NULL && index < width; index++)
        ones[index] = 1.0f;
    for (uint32_t row = 0; row < job->n_row && ones != NULL; row++)
        for (uint32_t head = 0; head < job->n_head; head++) {
            const uint32_t own = job->each_head ? head : 0;
            const float *weights =
                job->weights == 0 ? ones : row_at(sim, job->weights, own, width, width);
            norm_piece(sim, job,
                       row_at(sim, job->x + (uint64_t)head * job->x_head_stride * sizeof(float),
                              row, job->x_stride, width),
                       row_at(sim, job->y + (uint64_t)head * job->y_head_stride * sizeof(float),
                              row, job->y_stride, width),
                       weights);
        }
}

void weir_sim_rope(struct weir_sim *sim, const struct weir_gpu_rope *job)
{
    for (uint32_t row = 0; row < job->n_row; row++)
        for (uint32_t head = 0; head < job->n_head; head++)
            weir_rope(row_at(sim, job->x + (uint64_t)head * job->head_stride * sizeof(float), row,
                             job->x_stride, job->n_rot),
                      row_at(sim, job->angles, row, job->n_rot, job->n_rot), job->n_rot,
                      job->is_interleaved);
}

/* ---- keys and values ------------------------------------------------------------------------ */

static uint32_t number_at(const struct weir_sim *sim, weir_gpu_address numbers, uint32_t row)
{
    return *(const uint32_t *)weir_sim_at(sim, numbers + row * sizeof(uint32_t), sizeof(uint32_t));
}

/* The page numbers of a row's sequence, as far as count positions reach. */
static const uint32_t *table_of(const struct weir_sim *sim, const struct weir_gpu_rows *rows,
                                uint32_t row, uint32_t page_length, uint32_t count)
{
    return weir_sim_at(
        sim, rows->pages + (uint64_t)number_at(sim, rows->table_at, row) * sizeof(uint32_t),
        ((uint64_t)count + page_length - 1) / page_length * sizeof(uint32_t));
}

/* One row's keys, or its values, to their page. */
static void remember_one(const struct weir_sim *sim, const struct weir_gpu_pages *pages,
                         weir_gpu_address start, uint64_t at, uint32_t width, const float *from)
{
    for (uint32_t head = 0; head < pages->n_kv_head; head++) {
        const uint64_t value = at + (uint64_t)head * pages->page_length * width;
        sim->kernels.to_f16(
            from + (size_t)head * width,
            weir_sim_at(sim, start + value * sizeof(uint16_t), width * sizeof(uint16_t)), width);
    }
}

void weir_sim_remember(struct weir_sim *sim, const struct weir_gpu_remember *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    for (uint32_t row = 0; row < job->rows.n_row; row++) {
        const uint32_t position = number_at(sim, job->rows.positions, row);
        const uint32_t *table = table_of(sim, &job->rows, row, pages->page_length, position + 1);
        const uint64_t page = table[position / pages->page_length] * pages->page_stride;
        const uint64_t in_page = position % pages->page_length;
        remember_one(
            sim, pages, pages->k, page + in_page * pages->d_head, pages->d_head,
            row_at(sim, job->k, row, job->k_stride, (uint64_t)pages->n_kv_head * pages->d_head));
        if (pages->v == pages->k) /* values lie inside keys */
            continue;
        remember_one(
            sim, pages, pages->v, page + in_page * pages->d_value, pages->d_value,
            row_at(sim, job->v, row, job->v_stride, (uint64_t)pages->n_kv_head * pages->d_value));
    }
}

static void norm_heads(struct weir_sim *sim, const struct weir_gpu_norm *norm)
{
    if (norm->width > 0)
        weir_sim_norm(sim, norm);
}

void weir_sim_heads(struct weir_sim *sim, const struct weir_gpu_heads *job)
{
    for (int turn = 0; turn < 2; turn++) {
        if (job->norms_late == (turn == 1)) {
            norm_heads(sim, &job->q_norm);
            norm_heads(sim, &job->k_norm);
        }
        if (turn == 0 && job->q_rope.n_rot > 0)
            weir_sim_rope(sim, &job->q_rope);
        if (turn == 0 && job->k_rope.n_rot > 0)
            weir_sim_rope(sim, &job->k_rope);
    }
    norm_heads(sim, &job->v_norm);
    if (job->remember.pages.k != 0)
        weir_sim_remember(sim, &job->remember);
}

/* The first position that a position sees. */
static uint32_t first_seen(const struct weir_gpu_attention *job, uint32_t position)
{
    if (job->window == 0)
        return 0;
    if (job->is_in_chunks)
        return position / job->window * job->window;
    return position < job->window ? 0 : position + 1 - job->window;
}

/* K or V of a head: the address of what row 0 of page 0 would be. That the pages which are looked
 * at are the device's is asserted for the last of them alone. */
static const void *head_of(const struct weir_sim *sim, const struct weir_gpu_pages *pages,
                           weir_gpu_address start, uint32_t kv_head, uint32_t width)
{
    const uint64_t values = (uint64_t)pages->page_length * width;
    return weir_sim_at(sim, start + kv_head * values * sizeof(uint16_t), values * sizeof(uint16_t));
}

static void attend_row(struct weir_sim *sim, const struct weir_gpu_attention *job, uint32_t row)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const uint32_t v_width = pages->v == pages->k ? pages->d_head : pages->d_value;
    const uint32_t position = number_at(sim, job->rows.positions, row);
    WEIR_ASSERT(position <= job->position_max && job->n_head % pages->n_kv_head == 0);
    struct weir_attention query = {
        .pages = table_of(sim, &job->rows, row, pages->page_length, position + 1),
        .k_row_bytes = pages->d_head * sizeof(uint16_t),
        .v_row_bytes = v_width * sizeof(uint16_t),
        .page_length = pages->page_length,
        .page_bytes = pages->page_stride * sizeof(uint16_t),
        .d_head = pages->d_head,
        .d_value = pages->d_value,
        .first = first_seen(job, position),
        .n_position = (size_t)position + 1,
        .scale = job->scale,
        .softcap = job->softcap,
    };
    for (uint32_t head = 0; head < job->n_head; head++) {
        const uint32_t kv_head = head / (job->n_head / pages->n_kv_head);
        query.q = row_at(sim, job->q + (uint64_t)head * job->q_head_stride * sizeof(float), row,
                         job->q_stride, pages->d_head);
        query.k = head_of(sim, pages, pages->k, kv_head, pages->d_head);
        query.v = head_of(sim, pages, pages->v, kv_head, v_width);
        query.out = row_at(sim, job->out + (uint64_t)head * pages->d_value * sizeof(float), row,
                           job->out_stride, pages->d_value);
        query.sink = job->sinks == 0 ? NULL : row_at(sim, job->sinks, head, 1, 1);
        sim->kernels.attention[WEIR_KV_F16](&query, 1);
    }
}

void weir_sim_attention(struct weir_sim *sim, const struct weir_gpu_attention *job)
{
    for (uint32_t row = 0; row < job->rows.n_row; row++)
        attend_row(sim, job, row);
}

/* ---- the values of a row -------------------------------------------------------------------- */

void weir_sim_glu(struct weir_sim *sim, const struct weir_gpu_glu *job)
{
    for (uint32_t row = 0; row < job->n_row; row++) {
        float *gate = row_at(sim, job->gate, row, job->stride, job->width);
        float *up = row_at(sim, job->up, row, job->stride, job->width);
        const float weight =
            job->input_weight == 0 ? 1.0f : *row_at(sim, job->input_weight, row, 1, 1);
        for (uint32_t index = 0; job->input_weight != 0 && index < job->width; index++) {
            gate[index] *= weight;
            up[index] *= weight;
        }
        sim->kernels.glu[job->glu](gate, up, job->width, job->limit);
    }
}

/* What is not finite stays so: times 0 a finite value is nothing. */
static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x)) + 0.0f * x;
}

void weir_sim_add(struct weir_sim *sim, const struct weir_gpu_add *job)
{
    for (uint32_t row = 0; row < job->n_row; row++) {
        float weight = job->weight == 0 ? 1.0f : *row_at(sim, job->weight, row, 1, 1);
        if (job->weight != 0 && job->weight_is_logit)
            weight = sigmoid(weight);
        sim->kernels.axpy(row_at(sim, job->y, row, job->y_stride, job->width),
                          row_at(sim, job->x, row, job->x_stride, job->width), job->scale * weight,
                          job->width);
    }
}

/* log(1 + exp(x)), without an overflow. */
static float softplus(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))) + 0.0f * x;
}

static void gate_head(const struct weir_sim *sim, const struct weir_gpu_gate *job, float *x,
                      const float *gate)
{
    if (!job->is_by_head && !job->is_softplus) {
        sim->kernels.sigmoid_mul(x, gate, job->head_width);
        return;
    }
    for (uint32_t index = 0; index < job->head_width; index++) {
        const float at = gate[job->is_by_head ? 0 : index];
        x[index] *= job->is_softplus ? softplus(at) : sigmoid(at);
    }
}

void weir_sim_gate(struct weir_sim *sim, const struct weir_gpu_gate *job)
{
    const uint32_t count = job->is_by_head ? 1 : job->head_width;
    for (uint32_t row = 0; row < job->n_row; row++) {
        float *x = row_at(sim, job->x, row, job->x_stride, job->width);
        for (uint32_t at = 0; at < job->width; at += job->head_width) {
            const uint64_t head = at / job->head_width;
            gate_head(sim, job, x + at,
                      row_at(sim, job->gate + head * job->gate_head_stride * sizeof(float), row,
                             job->gate_stride, count));
        }
    }
}

void weir_sim_scale(struct weir_sim *sim, const struct weir_gpu_scale *job)
{
    for (uint32_t row = 0; row < job->n_row; row++) {
        float *x = row_at(sim, job->x, row, job->stride, job->width);
        const float scale =
            job->scale * (job->weight == 0 ? 1.0f : *row_at(sim, job->weight, row, 1, 1));
        for (uint32_t index = 0; index < job->width && scale != 1.0f; index++)
            x[index] *= scale;
        if (job->cap != 0.0f)
            sim->kernels.softcap(x, job->width, job->cap);
    }
}

void weir_sim_route(struct weir_sim *sim, const struct weir_gpu_route *job)
{
    const struct weir_gating gating = {
        .kind = (enum weir_gating_kind)job->kind,
        .steepness = job->steepness,
        .renormalizes = job->renormalizes,
        .scale = job->scale,
        .n_group = job->n_group,
        .n_group_used = job->n_group_used,
        .n_group_best = job->n_group_best,
    };
    const uint32_t n_expert = job->n_expert;
    const float *bias = job->bias == 0 ? NULL : row_at(sim, job->bias, 0, 0, n_expert);
    const bool selects = bias != NULL || job->n_group > 0;
    float *selection = weir_sim_scratch(sim, n_expert * sizeof(float));
    for (uint32_t row = 0; row < job->n_row && selection != NULL; row++) {
        float *router = row_at(sim, job->router, row, n_expert, n_expert);
        float *by = selects ? selection : router;
        uint32_t *ids = weir_sim_at(sim, job->chosen + (uint64_t)row * job->n_used * sizeof(*ids),
                                    job->n_used * sizeof(*ids));
        weir_choose_select(&gating, bias, n_expert, router, by);
        const uint32_t found = weir_rank(by, n_expert, ids, job->n_used);
        WEIR_ASSERT(found == job->n_used);
        weir_choose_weigh(&gating, n_expert, router, by, job->n_used, ids,
                          row_at(sim, job->weights, row, job->n_used, job->n_used));
    }
}

void weir_sim_sum(struct weir_sim *sim, const struct weir_gpu_sum *job)
{
    for (uint32_t row = 0; row < job->n_row; row++)
        for (uint32_t rank = 0; rank < job->n_used; rank++) {
            const uint64_t at = (uint64_t)row * job->n_used + rank;
            const float weight = job->weights == 0 ? 1.0f : *row_at(sim, job->weights, at, 1, 1);
            sim->kernels.axpy(row_at(sim, job->y, row, job->y_stride, job->width),
                              row_at(sim, job->x, at, job->x_stride, job->width), weight,
                              job->width);
        }
}

void weir_sim_scatter(struct weir_sim *sim, const struct weir_gpu_scatter *job)
{
    for (uint32_t row = 0; row < job->n_row; row++)
        memcpy(row_at(sim, job->y, job->at == 0 ? row : number_at(sim, job->at, row), job->y_stride,
                      job->width),
               row_at(sim, job->x, row, job->x_stride, job->width), job->width * sizeof(float));
}
