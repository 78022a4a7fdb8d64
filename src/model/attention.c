/* attention.c - grouped-query attention of each run over its sequence's pages. */
#include "model/heads.h"

#include <math.h>

/* The most that a layer has of each. */
struct widths {
    uint64_t q, k, v, gate, attended, head;
};

static void widen(struct widths *widths, const struct weir_mixer *mixer)
{
    widths->q = weir_max(widths->q, (uint64_t)mixer->n_head * weir_attention_q_stride(mixer));
    widths->k = weir_max(widths->k, (uint64_t)mixer->n_kv_head * mixer->d_head);
    widths->v = weir_max(widths->v, (uint64_t)mixer->n_kv_head * mixer->d_value);
    widths->gate = weir_max(widths->gate, mixer->gate.rows);
    widths->attended = weir_max(widths->attended, (uint64_t)mixer->n_head * mixer->d_value);
    widths->head = weir_max(widths->head, weir_max(mixer->d_head, mixer->d_value));
}

void weir_attention_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_forward_config *config = &forward->config;
    struct weir_attention_scratch *scratch = &forward->attention;
    struct widths widths = {0};
    for (uint32_t layer = 0; layer < forward->shape->n_layer; layer++)
        if (config->model->layers[layer].mixer.kind == WEIR_MIXER_ATTENTION)
            widen(&widths, &config->model->layers[layer].mixer);
    scratch->q = weir_take_floats(mem, config->n_chunk * widths.q);
    scratch->k = weir_take_floats(mem, config->n_chunk * widths.k);
    scratch->v = weir_take_floats(mem, config->n_chunk * widths.v);
    scratch->gate = weir_take_floats(mem, config->n_chunk * widths.gate);
    scratch->attended = weir_take_floats(mem, config->n_chunk * widths.attended);
    scratch->ones = weir_take_floats(mem, widths.head);
    if (mem->phase == WEIR_MEM_OPENING)
        for (uint64_t index = 0; index < widths.head; index++)
            scratch->ones[index] = 1.0f;
    const unsigned attended =
        weir_input_formats(config->model, forward->kernels, WEIR_INPUT_ATTENDED);
    weir_take_act(&scratch->attended_act, mem, attended, config->n_chunk, (size_t)widths.attended,
                  false);
    scratch->attended_act.f32 = scratch->attended;
}

/* The first position that a position sees. */
static uint32_t first_seen(const struct weir_mixer *mixer, uint32_t position)
{
    if (mixer->window == 0)
        return 0;
    if (mixer->is_in_chunks)
        return position / mixer->window * mixer->window;
    return position < mixer->window ? 0 : position + 1 - mixer->window;
}

/* The tiles of what a query sees packed. */
static void add_tiles(const struct weir_forward *forward, uint32_t kv_head, uint32_t position,
                      struct weir_attention *query)
{
    if (!weir_attention_is_packed(forward))
        return;
    const struct weir_kept tiles = weir_attention_tiles(forward);
    query->packed_k = weir_kept_head(forward, &tiles, false, kv_head);
    query->packed_v = weir_kept_head(forward, &tiles, true, kv_head);
    query->packed_page_bytes = tiles.view.stride_bytes;
    query->packed_end = weir_kv_packed_end(tiles.kv, position);
}

/* One query: a head of a row. */
static struct weir_attention query_of(const struct weir_forward *forward,
                                      const struct weir_kept *rows, uint32_t row_index,
                                      uint32_t head)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_row *row = &forward->step.rows[row_index];
    const size_t at = (size_t)row_index * mixer->n_head + head;
    const uint32_t kv_head = head / (mixer->n_head / mixer->n_kv_head);
    struct weir_attention query = {
        .q = forward->attention.q + at * weir_attention_q_stride(mixer),
        .k = weir_kept_head(forward, rows, false, kv_head),
        .v = weir_kept_head(forward, rows, true, kv_head),
        .pages = weir_sequence_pages(forward->step.runs[row->run].sequence),
        .sink = mixer->sinks.tensor == NULL ? NULL : mixer->sinks.data + head,
        .k_row_bytes = weir_kv_row_bytes(rows->kv, mixer->d_head),
        .v_row_bytes = weir_kv_row_bytes(rows->kv, mixer->d_value),
        .page_length = rows->view.page_length,
        .page_bytes = rows->view.stride_bytes,
        .d_head = mixer->d_head,
        .d_value = mixer->d_value,
        .first = first_seen(mixer, row->position),
        .n_position = (size_t)row->position + 1,
        .scale = mixer->scale,
        .softcap = mixer->softcap,
        .out = forward->attention.attended + at * mixer->d_value,
    };
    add_tiles(forward, kv_head, row->position, &query);
    return query;
}

/* Up to WEIR_ATTENTION_MAX queries over the same K and V: heads of one row that share a KV head,
 * or one head of rows that follow each other. */
struct queries {
    uint32_t row, head, count;
    bool is_one_row;
};

/* How the queries of a run are grouped: lines of those that share K and V, cut into groups. */
struct grouping {
    uint32_t line_count, line_length, group_length, group_count;
};

static void cut_lines(struct grouping *grouping, uint32_t group_length)
{
    grouping->group_length = group_length;
    grouping->group_count = (grouping->line_length + group_length - 1) / group_length;
}

/* K and V come from memory once a group, so of several rows groups are as long as leaves each
 * thread some of them. */
static struct grouping group_run(const struct weir_mixer *mixer, const struct weir_run *run,
                                 uint32_t n_part)
{
    enum { GROUPS_A_THREAD = 4 };
    const bool is_one_row = run->n_row == 1;
    struct grouping grouping = {.line_count = is_one_row ? mixer->n_kv_head : mixer->n_head,
                                .line_length =
                                    is_one_row ? mixer->n_head / mixer->n_kv_head : run->n_row};
    uint32_t length = is_one_row ? WEIR_ATTENTION_TURN : WEIR_ATTENTION_MAX;
    cut_lines(&grouping, length);
    while (length > WEIR_ATTENTION_TURN && (uint64_t)grouping.line_count * grouping.group_count <
                                               (uint64_t)GROUPS_A_THREAD * n_part) {
        length -= WEIR_ATTENTION_TURN;
        cut_lines(&grouping, length);
    }
    return grouping;
}

/* The queries of the item-th group of all runs; count 0 past the last. */
static struct queries queries_at(const struct weir_forward *forward, uint64_t item, uint32_t n_part)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    uint32_t first_row = 0;
    for (uint32_t index = 0; index < forward->step.n_run; index++) {
        const struct weir_run *run = &forward->step.runs[index];
        const struct grouping grouping = group_run(mixer, run, n_part);
        const uint64_t count = (uint64_t)grouping.line_count * grouping.group_count;
        if (item >= count) {
            item -= count;
            first_row += run->n_row;
            continue;
        }
        const uint32_t line = (uint32_t)(item % grouping.line_count);
        const uint32_t at = (uint32_t)(item / grouping.line_count) * grouping.group_length;
        const bool is_one_row = run->n_row == 1;
        return (struct queries){
            .row = is_one_row ? first_row : first_row + at,
            .head = is_one_row ? line * grouping.line_length + at : line,
            .count = (uint32_t)weir_min(grouping.line_length - at, grouping.group_length),
            .is_one_row = is_one_row,
        };
    }
    return (struct queries){0};
}

/* The first rows of K that these queries read; NULL when there are none, or tiles come first. */
static const void *first_keys(const struct weir_forward *forward, const struct weir_kept *rows,
                              const struct queries *queries)
{
    if (queries->count == 0)
        return NULL;
    const struct weir_attention query = query_of(forward, rows, queries->row, queries->head);
    if (query.packed_end > query.first)
        return NULL;
    return (const uint8_t *)query.k +
           query.pages[query.first / query.page_length] * query.page_bytes +
           query.first % query.page_length * query.k_row_bytes;
}

static void attend(const struct weir_forward *forward, const struct weir_kept *rows,
                   const struct queries *queries, const void *next_k)
{
    const enum weir_kv kv =
        weir_attention_is_packed(forward) ? forward->config.kv : weir_kv_rows(forward->config.kv);
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    for (uint32_t at = 0; at < queries->count; at++)
        jobs[at] = queries->is_one_row ? query_of(forward, rows, queries->row, queries->head + at)
                                       : query_of(forward, rows, queries->row + at, queries->head);
    jobs[queries->count - 1].next_k = next_k;
    forward->kernels->attention[kv](jobs, queries->count);
}

/* Every n_part-th group of queries: later rows see more positions, so neighbours are dealt to
 * different threads. */
static void attend_heads(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_kept rows = weir_attention_rows(forward);
    struct queries queries = queries_at(forward, part, n_part);
    for (uint64_t item = part; queries.count > 0; item += n_part) {
        const struct queries next = queries_at(forward, item + n_part, n_part);
        attend(forward, &rows, &queries, first_keys(forward, &rows, &next));
        queries = next;
    }
}

/* Threads that wait for their first heads fetch K of one page. */
static void prefetch_keys(const struct weir_forward *forward)
{
    weir_pool *pool = forward->config.pool;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const uint32_t position = forward->step.rows[0].position;
    const uint32_t first = first_seen(mixer, position);
    if (forward->step.n_row > 1 || position == first)
        return;
    const bool is_packed = weir_attention_is_packed(forward) &&
                           weir_kv_packed_end(forward->config.kv, position) > first;
    const struct weir_kept kept =
        is_packed ? weir_attention_tiles(forward) : weir_attention_rows(forward);
    const uint64_t row_bytes = weir_kv_row_bytes(kept.kv, mixer->d_head);
    const uint32_t at = first % kept.view.page_length;
    const uint64_t count = weir_min(position - first, kept.view.page_length - at);
    const uint32_t page =
        weir_sequence_pages(forward->step.runs[0].sequence)[first / kept.view.page_length];
    for (uint32_t part = 0; part < weir_pool_thread_count(pool); part++)
        weir_pool_prefetch(pool, part,
                           weir_kept_head(forward, &kept, false, part % mixer->n_kv_head) +
                               page * kept.view.stride_bytes + at * row_bytes,
                           count * row_bytes);
}

/* The matrices that are applied to the normed rows, and where their rows go. Returns how many. */
static uint32_t list_projections(const struct weir_mixer *mixer,
                                 const struct weir_weight *weights[WEIR_LINEAR_MAX])
{
    const struct weir_weight *const all[] = {&mixer->q, &mixer->k, &mixer->v, &mixer->gate};
    uint32_t count = 0;
    for (size_t index = 0; index < WEIR_COUNT(all); index++)
        if (all[index]->cols != 0)
            weights[count++] = all[index];
    return count;
}

static void project(struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_attention_scratch *scratch = &forward->attention;
    struct weir_linear linear = {
        .name = "q k v",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .n_row = forward->step.n_row,
        .counts_uses = true,
    };
    linear.count = list_projections(mixer, linear.weight);
    for (uint32_t index = 0; index < linear.count; index++)
        linear.y[index] = linear.weight[index] == &mixer->q   ? scratch->q
                          : linear.weight[index] == &mixer->k ? scratch->k
                          : linear.weight[index] == &mixer->v ? scratch->v
                                                              : scratch->gate;
    weir_linear_run(&linear);
}

void weir_attention_run(struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    struct weir_attention_scratch *scratch = &forward->attention;
    const struct weir_weight *const output[] = {&mixer->out};
    weir_act_narrow(&scratch->attended_act, (size_t)mixer->n_head * mixer->d_value);
    prefetch_keys(forward);
    project(forward);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "place heads", weir_heads_place);
    if (weir_heads_tile_count(forward) > 0)
        weir_pool_run(forward->config.pool, "pack heads", weir_heads_pack, forward);
    weir_linear_prefetch(forward, output, 1);
    weir_pool_run(forward->config.pool, "attend", attend_heads, forward);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "quantize attended", weir_heads_finish);
    struct weir_linear gather = {
        .name = "attention output",
        .forward = forward,
        .act = &scratch->attended_act,
        .weight = {&mixer->out},
        .y = {forward->stream.projected},
        .count = 1,
        .n_row = forward->step.n_row,
    };
    weir_prefetch_network(forward);
    weir_linear_run(&gather);
}

void weir_attention_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const struct weir_weight *weights[WEIR_LINEAR_MAX];
    weir_linear_prefetch(forward, weights, list_projections(mixer, weights));
}

float weir_attention_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const size_t count = (size_t)forward->step.n_row * mixer->n_kv_head;
    if (mixer->borrows)
        return 0.0f;
    return fmaxf(weir_most_of(forward->attention.k, count * mixer->d_head),
                 weir_most_of(forward->attention.v, count * mixer->d_value));
}
