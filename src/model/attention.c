/* attention.c - grouped-query attention over the KV cache. */
#include "model/model_internal.h"

#include <math.h>
#include <string.h>

/* Where the rows of this layer's K or V of a head begin in the first page, as a value index. */
static size_t kv_start(const struct weir_forward *forward, bool is_v, uint32_t head)
{
    const struct weir_shape *shape = forward->shape;
    return (((size_t)forward->layer_index * 2 + is_v) * shape->n_kv_head + head) *
           forward->kv->page_length * shape->d_head;
}

static void add_bias(float *x, const struct weir_vector *bias, size_t count)
{
    if (bias->tensor == NULL)
        return;
    for (size_t index = 0; index < count; index++)
        x[index] += bias->data[index];
}

/* RMSNorm of each head (Qwen3, arXiv:2505.09388 section 2) or of all of them at once (OLMoE,
 * arXiv:2409.02060 section 2), as the family says; nothing without the weight. */
static void norm_heads(const struct weir_forward *forward, float *x, const struct weir_vector *norm,
                       uint32_t n_head)
{
    if (norm->tensor == NULL)
        return;
    const size_t width = (size_t)norm->tensor->dims[0];
    const size_t total = (size_t)n_head * forward->shape->d_head;
    for (size_t start = 0; start < total; start += width)
        forward->kernels->rmsnorm(x + start, norm->data, x + start, width,
                                  forward->shape->norm_epsilon);
}

static void rotate_heads(const struct weir_forward *forward, float *x, uint32_t n_head,
                         uint32_t position)
{
    const struct weir_mixer *mixer = &forward->layer->mixer;
    const float *angles = forward->rope_table + (size_t)position * mixer->n_rot;
    for (uint32_t head = 0; head < n_head; head++)
        weir_rope(x + (size_t)head * mixer->d_head, angles, mixer->n_rot, mixer->is_interleaved);
}

/* One head of a token into the cache. */
static void store_head(const struct weir_forward *forward, bool is_v, uint32_t head,
                       uint32_t position, const float *x)
{
    const struct weir_kv *kv = forward->kv;
    const size_t d_head = forward->shape->d_head;
    const size_t at = kv_start(forward, is_v, head) +
                      weir_attention_row(position, kv->page_length, kv->page_stride, d_head);
    if (kv->is_f32)
        memcpy((float *)kv->values + at, x, d_head * sizeof(*x));
    else
        forward->kernels->to_f16(x, (uint16_t *)kv->values + at, d_head);
}

/* Bias, norm and rope of q and k; K and V into the cache. Tokens of this part. */
static void place_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_shape *shape = forward->shape;
    const struct weir_layer *layer = forward->layer;
    const size_t q_width = (size_t)shape->n_head * shape->d_head;
    const size_t kv_width = (size_t)shape->n_kv_head * shape->d_head;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->n_token, part, n_part, &begin, &end);
    for (uint64_t token = begin; token < end; token++) {
        float *q = forward->q + token * q_width;
        float *k = forward->k + token * kv_width;
        float *v = forward->v + token * kv_width;
        const uint32_t position = forward->position + (uint32_t)token;
        add_bias(q, &layer->mixer.q_bias, q_width);
        add_bias(k, &layer->mixer.k_bias, kv_width);
        add_bias(v, &layer->mixer.v_bias, kv_width);
        norm_heads(forward, q, &layer->mixer.q_norm, shape->n_head);
        norm_heads(forward, k, &layer->mixer.k_norm, shape->n_kv_head);
        rotate_heads(forward, q, shape->n_head, position);
        rotate_heads(forward, k, shape->n_kv_head, position);
        for (uint32_t head = 0; head < shape->n_kv_head; head++) {
            store_head(forward, false, head, position, k + (size_t)head * shape->d_head);
            store_head(forward, true, head, position, v + (size_t)head * shape->d_head);
        }
    }
}

/* K's or V's first row of a head of the running layer. */
static const uint8_t *rows_of(const struct weir_forward *forward, bool is_v, uint32_t kv_head)
{
    const struct weir_kv *kv = forward->kv;
    return (const uint8_t *)kv->values + kv_start(forward, is_v, kv_head) * weir_kv_value_bytes(kv);
}

/* One query: a head of one token. */
static struct weir_attention query_of(const struct weir_forward *forward, uint32_t token,
                                      uint32_t head)
{
    const struct weir_shape *shape = forward->shape;
    const struct weir_kv *kv = forward->kv;
    const size_t at = ((size_t)token * shape->n_head + head) * shape->d_head;
    const uint32_t kv_head = head / (shape->n_head / shape->n_kv_head);
    return (struct weir_attention){
        .q = forward->q + at,
        .k = rows_of(forward, false, kv_head),
        .v = rows_of(forward, true, kv_head),
        .kv_stride = shape->d_head,
        .page_length = kv->page_length,
        .page_stride = kv->page_stride,
        .d_head = shape->d_head,
        .n_position = forward->position + (size_t)token + 1,
        .scale = forward->layer->mixer.scale,
        .out = forward->attended + at,
    };
}

/* Up to WEIR_ATTENTION_MAX queries over the same K and V, the first by token and head: heads of one
 * token that share a KV head, or the same head of tokens that follow each other. next_k as in
 * struct weir_attention. */
static void attend(const struct weir_forward *forward, uint32_t token, uint32_t head,
                   uint32_t count, const void *next_k)
{
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    const bool is_token = forward->n_token == 1;
    for (uint32_t at = 0; at < count; at++)
        jobs[at] =
            is_token ? query_of(forward, token, head + at) : query_of(forward, token + at, head);
    jobs[count - 1].next_k = next_k;
    if (forward->kv->is_f32)
        weir_attention_f32(jobs, count);
    else
        forward->kernels->attention(jobs, count);
}

/* Every n_part-th group of queries: later tokens see more positions, so neighbours are dealt to
 * different threads. */
static void attend_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_shape *shape = forward->shape;
    const bool is_token = forward->n_token == 1;
    const uint32_t shared = shape->n_head / shape->n_kv_head;
    const uint32_t row_count = is_token ? shape->n_kv_head : shape->n_head;
    const uint32_t row_length = is_token ? shared : forward->n_token;
    const uint32_t group_count = (row_length + WEIR_ATTENTION_MAX - 1) / WEIR_ATTENTION_MAX;
    const uint64_t item_count = (uint64_t)row_count * group_count;
    for (uint64_t item = part; item < item_count; item += n_part) {
        const uint32_t row = (uint32_t)(item % row_count);
        const uint32_t first = (uint32_t)(item / row_count) * WEIR_ATTENTION_MAX;
        const uint32_t count = (uint32_t)weir_min(row_length - first, WEIR_ATTENTION_MAX);
        const uint32_t next_row = (uint32_t)((item + n_part) % row_count);
        const uint32_t next = is_token ? next_row : next_row / shared; /* a head of K */
        const void *next_k = item + n_part < item_count ? rows_of(forward, false, next) : NULL;
        if (is_token)
            attend(forward, 0, row * shared + first, count, next_k);
        else
            attend(forward, first, row, count, next_k);
    }
}

/* Threads that wait for their first heads ask for K of one page. */
static void expect_keys(const struct weir_forward *forward)
{
    weir_pool *pool = forward->config.pool;
    const struct weir_kv *kv = forward->kv;
    const uint64_t rows = weir_min(forward->position, kv->page_length);
    if (forward->n_token > 1)
        return;
    for (uint32_t part = 0; part < weir_pool_thread_count(pool); part++)
        weir_pool_expect(pool, part, rows_of(forward, false, part % forward->shape->n_kv_head),
                         rows * forward->shape->d_head * weir_kv_value_bytes(kv));
}

static void quantize_attended(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->n_token, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->attended_act, forward->attended, begin, end);
}

void weir_attention_layer(struct weir_forward *forward)
{
    const struct weir_layer *layer = forward->layer;
    struct weir_linear project = {
        .name = "q k v",
        .forward = forward,
        .act = &forward->normed_act,
        .weight = {&layer->mixer.q, &layer->mixer.k, &layer->mixer.v},
        .y = {forward->q, forward->k, forward->v},
        .count = 3,
        .n_token = forward->n_token,
        .counts_uses = true,
    };
    const struct weir_weight *const output[] = {&layer->mixer.out};
    expect_keys(forward);
    weir_linear_run(&project);
    weir_lookahead_poll(forward);
    weir_forward_by_token(forward, "place heads", place_heads);
    weir_linear_expect(forward, output, 1);
    weir_pool_run(forward->config.pool, "attend", attend_heads, forward);
    weir_lookahead_poll(forward);
    weir_forward_by_token(forward, "quantize attended", quantize_attended);
    struct weir_linear gather = {
        .name = "attention output",
        .forward = forward,
        .act = &forward->attended_act,
        .weight = {&layer->mixer.out},
        .y = {forward->projected},
        .count = 1,
        .n_token = forward->n_token,
    };
    const struct weir_weight *const network[] = {&layer->network.gate, &layer->network.router};
    weir_linear_expect(forward, weir_layer_has_experts(layer) ? network + 1 : network, 1);
    weir_linear_run(&gather);
}
