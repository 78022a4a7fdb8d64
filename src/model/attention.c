/* attention.c - grouped-query attention of each run over its sequence's pages. */
#include "model/linear.h"

#include <string.h>

void weir_attention_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_forward_config *config = &forward->config;
    struct weir_attention_scratch *scratch = &forward->attention;
    uint64_t q_width = 0;
    uint64_t kv_width = 0;
    for (uint32_t layer = 0; layer < forward->shape->n_layer; layer++) {
        const struct weir_mixer *mixer = &config->model->layers[layer].mixer;
        if (mixer->kind != WEIR_MIXER_ATTENTION)
            continue;
        q_width = weir_max(q_width, (uint64_t)mixer->n_head * mixer->d_head);
        kv_width = weir_max(kv_width, (uint64_t)mixer->n_kv_head * mixer->d_head);
    }
    scratch->rope_table = weir_take_floats(mem, (uint64_t)config->n_ctx * forward->shape->n_rot);
    scratch->q = weir_take_floats(mem, config->n_chunk * q_width);
    scratch->k = weir_take_floats(mem, config->n_chunk * kv_width);
    scratch->v = weir_take_floats(mem, config->n_chunk * kv_width);
    scratch->attended = weir_take_floats(mem, config->n_chunk * q_width);
    const unsigned attended =
        weir_input_formats(config->model, forward->kernels, WEIR_INPUT_ATTENDED);
    weir_take_act(&scratch->attended_act, mem, attended, config->n_chunk, (size_t)q_width, false);
    scratch->attended_act.f32 = scratch->attended;
}

static size_t value_bytes(const struct weir_forward *forward)
{
    return forward->config.kv_f32 ? sizeof(float) : sizeof(uint16_t);
}

/* The running layer's K or V of a head: row 0 of page 0. */
static uint8_t *rows_of(const struct weir_forward *forward, bool is_v, uint32_t kv_head)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    const size_t before = ((size_t)is_v * mixer->n_kv_head + kv_head) * view.page_length;
    return view.base + view.at_bytes + before * mixer->d_head * value_bytes(forward);
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
    const size_t total = (size_t)n_head * forward->step.layer->mixer.d_head;
    for (size_t start = 0; start < total; start += width)
        forward->kernels->rmsnorm(x + start, norm->data, x + start, width,
                                  forward->shape->norm_epsilon);
}

static void rotate_heads(const struct weir_forward *forward, float *x, uint32_t n_head,
                         uint32_t position)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const float *angles = forward->attention.rope_table + (size_t)position * mixer->n_rot;
    for (uint32_t head = 0; head < n_head; head++)
        weir_rope(x + (size_t)head * mixer->d_head, angles, mixer->n_rot, mixer->is_interleaved);
}

/* One head of a row into its sequence's page. */
static void store_head(const struct weir_forward *forward, const struct weir_row *row, bool is_v,
                       uint32_t head, const float *x)
{
    const size_t d_head = forward->step.layer->mixer.d_head;
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    const uint32_t page = weir_sequence_pages(
        forward->step.runs[row->run].sequence)[row->position / view.page_length];
    uint8_t *place = rows_of(forward, is_v, head) + page * view.stride_bytes +
                     row->position % view.page_length * d_head * value_bytes(forward);
    if (forward->config.kv_f32)
        memcpy(place, x, d_head * sizeof(*x));
    else
        forward->kernels->to_f16(x, (uint16_t *)(void *)place, d_head);
}

/* Bias, norm and rope of q and k; K and V into the pages. Rows of this part. */
static void place_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const size_t q_width = (size_t)mixer->n_head * mixer->d_head;
    const size_t kv_width = (size_t)mixer->n_kv_head * mixer->d_head;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t index = begin; index < end; index++) {
        const struct weir_row *row = &forward->step.rows[index];
        float *q = forward->attention.q + index * q_width;
        float *k = forward->attention.k + index * kv_width;
        float *v = forward->attention.v + index * kv_width;
        add_bias(q, &mixer->q_bias, q_width);
        add_bias(k, &mixer->k_bias, kv_width);
        add_bias(v, &mixer->v_bias, kv_width);
        norm_heads(forward, q, &mixer->q_norm, mixer->n_head);
        norm_heads(forward, k, &mixer->k_norm, mixer->n_kv_head);
        rotate_heads(forward, q, mixer->n_head, row->position);
        rotate_heads(forward, k, mixer->n_kv_head, row->position);
        for (uint32_t head = 0; head < mixer->n_kv_head; head++) {
            store_head(forward, row, false, head, k + (size_t)head * mixer->d_head);
            store_head(forward, row, true, head, v + (size_t)head * mixer->d_head);
        }
    }
}

/* One query: a head of a row. */
static struct weir_attention query_of(const struct weir_forward *forward, uint32_t row_index,
                                      uint32_t head)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_row *row = &forward->step.rows[row_index];
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    const size_t at = ((size_t)row_index * mixer->n_head + head) * mixer->d_head;
    const uint32_t kv_head = head / (mixer->n_head / mixer->n_kv_head);
    return (struct weir_attention){
        .q = forward->attention.q + at,
        .k = rows_of(forward, false, kv_head),
        .v = rows_of(forward, true, kv_head),
        .pages = weir_sequence_pages(forward->step.runs[row->run].sequence),
        .kv_stride = mixer->d_head,
        .page_length = view.page_length,
        .page_stride = (size_t)view.stride_bytes / value_bytes(forward),
        .d_head = mixer->d_head,
        .n_position = (size_t)row->position + 1,
        .scale = mixer->scale,
        .out = forward->attention.attended + at,
    };
}

/* Up to WEIR_ATTENTION_MAX queries over the same K and V: heads of one row that share a KV head, or
 * one head of rows that follow each other. */
struct queries {
    uint32_t row, head, count;
    bool is_one_row;
};

/* How the queries of a run are grouped: lines of those that share K and V, cut into groups. */
struct grouping {
    uint32_t line_count, line_length, group_count;
};

static struct grouping group_run(const struct weir_mixer *mixer, const struct weir_run *run)
{
    const bool is_one_row = run->n_row == 1;
    const uint32_t length = is_one_row ? mixer->n_head / mixer->n_kv_head : run->n_row;
    return (struct grouping){.line_count = is_one_row ? mixer->n_kv_head : mixer->n_head,
                             .line_length = length,
                             .group_count = (length + WEIR_ATTENTION_MAX - 1) / WEIR_ATTENTION_MAX};
}

/* The queries of the item-th group of all runs; count 0 past the last. */
static struct queries queries_at(const struct weir_forward *forward, uint64_t item)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    uint32_t first_row = 0;
    for (uint32_t index = 0; index < forward->step.n_run; index++) {
        const struct weir_run *run = &forward->step.runs[index];
        const struct grouping grouping = group_run(mixer, run);
        const uint64_t count = (uint64_t)grouping.line_count * grouping.group_count;
        if (item >= count) {
            item -= count;
            first_row += run->n_row;
            continue;
        }
        const uint32_t line = (uint32_t)(item % grouping.line_count);
        const uint32_t at = (uint32_t)(item / grouping.line_count) * WEIR_ATTENTION_MAX;
        const bool is_one_row = run->n_row == 1;
        return (struct queries){
            .row = is_one_row ? first_row : first_row + at,
            .head = is_one_row ? line * grouping.line_length + at : line,
            .count = (uint32_t)weir_min(grouping.line_length - at, WEIR_ATTENTION_MAX),
            .is_one_row = is_one_row,
        };
    }
    return (struct queries){0};
}

/* K of the first page that these queries read; NULL when there are none. */
static const void *first_keys(const struct weir_forward *forward, const struct queries *queries)
{
    if (queries->count == 0)
        return NULL;
    const struct weir_attention query = query_of(forward, queries->row, queries->head);
    return (const uint8_t *)query.k + query.pages[0] * query.page_stride * value_bytes(forward);
}

static void attend(const struct weir_forward *forward, const struct queries *queries,
                   const void *next_k)
{
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    for (uint32_t at = 0; at < queries->count; at++)
        jobs[at] = queries->is_one_row ? query_of(forward, queries->row, queries->head + at)
                                       : query_of(forward, queries->row + at, queries->head);
    jobs[queries->count - 1].next_k = next_k;
    if (forward->config.kv_f32)
        weir_attention_f32(jobs, queries->count);
    else
        forward->kernels->attention(jobs, queries->count);
}

/* Every n_part-th group of queries: later rows see more positions, so neighbours are dealt to
 * different threads. */
static void attend_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    struct queries queries = queries_at(forward, part);
    for (uint64_t item = part; queries.count > 0; item += n_part) {
        const struct queries next = queries_at(forward, item + n_part);
        attend(forward, &queries, first_keys(forward, &next));
        queries = next;
    }
}

/* Threads that wait for their first heads fetch K of one page. */
static void prefetch_keys(const struct weir_forward *forward)
{
    weir_pool *pool = forward->config.pool;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const uint32_t position = forward->step.rows[0].position;
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    if (forward->step.n_row > 1 || position == 0)
        return;
    const uint64_t bytes =
        weir_min(position, view.page_length) * mixer->d_head * value_bytes(forward);
    const uint32_t page = weir_sequence_pages(forward->step.runs[0].sequence)[0];
    for (uint32_t part = 0; part < weir_pool_thread_count(pool); part++)
        weir_pool_prefetch(
            pool, part, rows_of(forward, false, part % mixer->n_kv_head) + page * view.stride_bytes,
            bytes);
}

static void quantize_attended(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_act_fill(forward, &forward->attention.attended_act, forward->attention.attended, begin,
                  end);
}

/* The network's first matrix comes after the mixer's last. */
static void prefetch_network(const struct weir_forward *forward)
{
    const struct weir_network *network = &forward->step.layer->network;
    const struct weir_weight *const first[] = {
        weir_layer_has_experts(forward->step.layer) ? &network->router : &network->gate};
    weir_linear_prefetch(forward, first, 1);
}

void weir_attention_run(struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    struct weir_attention_scratch *scratch = &forward->attention;
    struct weir_linear project = {
        .name = "q k v",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .weight = {&mixer->q, &mixer->k, &mixer->v},
        .y = {scratch->q, scratch->k, scratch->v},
        .count = 3,
        .n_row = forward->step.n_row,
        .counts_uses = true,
    };
    const struct weir_weight *const output[] = {&mixer->out};
    weir_act_narrow(&scratch->attended_act, (size_t)mixer->n_head * mixer->d_head);
    prefetch_keys(forward);
    weir_linear_run(&project);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "place heads", place_heads);
    weir_linear_prefetch(forward, output, 1);
    weir_pool_run(forward->config.pool, "attend", attend_heads, forward);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "quantize attended", quantize_attended);
    struct weir_linear gather = {
        .name = "attention output",
        .forward = forward,
        .act = &scratch->attended_act,
        .weight = {&mixer->out},
        .y = {forward->stream.projected},
        .count = 1,
        .n_row = forward->step.n_row,
    };
    prefetch_network(forward);
    weir_linear_run(&gather);
}

void weir_attention_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const struct weir_weight *const project[] = {&mixer->q, &mixer->k, &mixer->v};
    weir_linear_prefetch(forward, project, WEIR_COUNT(project));
}

void weir_attention_state(const struct weir_mixer *mixer, uint64_t value_bytes,
                          struct weir_state_layer *out)
{
    *out =
        (struct weir_state_layer){.kind = WEIR_STATE_POSITIONS,
                                  .bytes = 2ull * mixer->n_kv_head * mixer->d_head * value_bytes};
}
