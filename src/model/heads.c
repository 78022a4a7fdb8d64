/* heads.c - the heads of a row: what is done to q, k and v before positions meet, and to what they
 * give after it. */
#include "model/heads.h"

#include <math.h>
#include <string.h>

/* Heads of a row that lie side by side, or with something between them. */
struct heads {
    float *x;
    uint32_t count, width, stride;
};

/* RMSNorm of each head (Qwen3, arXiv:2505.09388 section 2) or of all of them at once (OLMoE,
 * arXiv:2409.02060 section 2), as the family says; or by no weights; or none. */
static void norm_heads(const struct weir_forward *forward, const struct heads *heads,
                       const struct weir_vector *norm, bool is_bare)
{
    const float epsilon = forward->shape->norm_epsilon;
    if (norm->tensor == NULL && !is_bare)
        return;
    const float *weights = norm->tensor == NULL ? forward->attention.ones : norm->data;
    const size_t width = norm->tensor == NULL ? heads->width : (size_t)norm->tensor->dims[0];
    if (width > heads->width) {
        forward->kernels->rmsnorm(heads->x, weights, heads->x, width, epsilon);
        return;
    }
    for (uint32_t head = 0; head < heads->count; head++) {
        float *x = heads->x + (size_t)head * heads->stride;
        forward->kernels->rmsnorm(x, weights, x, width, epsilon);
    }
}

static void turn_heads(const struct weir_forward *forward, const struct heads *heads, uint64_t row)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    if (mixer->rope == WEIR_ROPE_NONE)
        return;
    const float *angles = weir_rope_angles(forward, mixer->rope, row);
    for (uint32_t head = 0; head < heads->count; head++)
        weir_rope(heads->x + (size_t)head * heads->stride, angles,
                  forward->shape->rope[mixer->rope].n_rot, mixer->is_interleaved);
}

/* Norm and rope, in the layer's order. */
static void prepare_heads(const struct weir_forward *forward, const struct heads *heads,
                          const struct weir_vector *norm, uint64_t row)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    if (!mixer->norms_late)
        norm_heads(forward, heads, norm, mixer->norms_bare);
    turn_heads(forward, heads, row);
    if (mixer->norms_late)
        norm_heads(forward, heads, norm, mixer->norms_bare);
}

float weir_heat(const struct weir_temperature *temperature, uint32_t position)
{
    if (temperature->scale == 0.0f)
        return 1.0f;
    const double steps =
        floor(((double)position + (double)temperature->offset) / (double)temperature->length);
    return (float)(1.0 + (double)temperature->scale * log(steps + 1.0));
}

static void heat_heads(const struct heads *heads, const struct weir_temperature *temperature,
                       uint32_t position)
{
    const float heat = weir_heat(temperature, position);
    if (heat == 1.0f)
        return;
    for (uint32_t head = 0; head < heads->count; head++)
        for (uint32_t i = 0; i < heads->width; i++)
            heads->x[(size_t)head * heads->stride + i] *= heat;
}

/* One head of a row into its sequence's page. */
static void store_head(const struct weir_forward *forward, const struct weir_row *row, bool is_v,
                       uint32_t head, const float *x, size_t width)
{
    const struct weir_kept rows = weir_attention_rows(forward);
    const uint32_t page = weir_sequence_pages(
        forward->step.runs[row->run].sequence)[row->position / rows.view.page_length];
    uint8_t *place = weir_kept_head(forward, &rows, is_v, head) + page * rows.view.stride_bytes +
                     row->position % rows.view.page_length * weir_kv_row_bytes(rows.kv, width);
    weir_kv_store(forward, rows.kv, x, place, width);
}

static void store_heads(const struct weir_forward *forward, const struct weir_row *row, bool is_v,
                        const struct heads *heads)
{
    for (uint32_t head = 0; head < heads->count; head++)
        store_head(forward, row, is_v, head, heads->x + (size_t)head * heads->stride, heads->width);
}

static void place_row(const struct weir_forward *forward, uint64_t index)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_row *row = &forward->step.rows[index];
    const uint32_t q_stride = weir_attention_q_stride(mixer);
    const struct heads q = {forward->attention.q + index * mixer->n_head * q_stride, mixer->n_head,
                            mixer->d_head, q_stride};
    const struct heads k = {forward->attention.k + index * mixer->n_kv_head * mixer->d_head,
                            mixer->n_kv_head, mixer->d_head, mixer->d_head};
    const struct heads v = {forward->attention.v + index * mixer->n_kv_head * mixer->d_value,
                            mixer->n_kv_head, mixer->d_value, mixer->d_value};
    prepare_heads(forward, &q, &mixer->q_norm, index);
    heat_heads(&q, &mixer->temperature, row->position);
    if (mixer->borrows)
        return;
    if (mixer->v.cols == 0)
        memcpy(v.x, k.x, (size_t)v.count * v.width * sizeof(*v.x));
    prepare_heads(forward, &k, &mixer->k_norm, index);
    if (mixer->norms_values)
        norm_heads(forward, &v, &(struct weir_vector){0}, true);
    store_heads(forward, row, false, &k);
    store_heads(forward, row, true, &v);
}

void weir_heads_place(void *user, uint32_t part, uint32_t n_part)
{
    const struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t index = begin; index < end; index++)
        place_row(forward, index);
}

/* x *= gate(g): one g for each of count values, or for all of them. */
static void gate_values(const struct weir_forward *forward, enum weir_output_gate kind, float *x,
                        const float *g, bool is_one, size_t count)
{
    if (kind == WEIR_GATE_SIGMOID && !is_one) {
        forward->kernels->sigmoid_mul(x, g, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const float at = is_one ? g[0] : g[i];
        /* Times 0 a finite value is nothing, and an infinity what is not a number. */
        x[i] *= (kind == WEIR_GATE_SIGMOID ? 1.0f / (1.0f + expf(-at))
                                           : fmaxf(at, 0.0f) + log1pf(expf(-fabsf(at)))) +
                0.0f * at;
    }
}

/* Gates of what attention gives (arXiv:2505.06708): sigmoid or softplus, of each value or of each
 * head. */
static void gate_row(const struct weir_forward *forward, uint64_t row)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const uint32_t q_stride = weir_attention_q_stride(mixer);
    const bool is_one = !mixer->gate_is_in_q && mixer->gate.rows == mixer->n_head;
    const size_t width = is_one ? 1 : mixer->d_value;
    for (uint32_t head = 0; head < mixer->n_head; head++) {
        const size_t at = row * mixer->n_head + head;
        const float *g = mixer->gate_is_in_q ? forward->attention.q + at * q_stride + mixer->d_head
                                             : forward->attention.gate + at * width;
        gate_values(forward, mixer->output_gate, forward->attention.attended + at * mixer->d_value,
                    g, is_one, mixer->d_value);
    }
}

void weir_heads_finish(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t row = begin; row < end && weir_attention_has_gate(forward); row++)
        gate_row(forward, row);
    weir_act_fill(forward, &forward->attention.attended_act, forward->attention.attended, begin,
                  end);
}
