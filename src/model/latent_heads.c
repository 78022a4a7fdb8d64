/* latent_heads.c - what each head makes of the latent values of the positions that a row sees.
 *
 *   score of head h and position p = scale * (W_k,h^T q_plain . latent[p] + q_turned . turned[p])
 *   output of head h               = W_v,h * sum over p of softmax(score)[p] * latent[p]
 *
 * (arXiv:2405.04434, section 2.1.2: the matrices that make keys and values are absorbed.) All heads
 * see one row of d_latent + d_turned values for each position, and values lie inside keys.
 *
 * A thread takes a block of rows and a block of heads all the way, so that nothing between the
 * query and the head's output leaves its cache. */
#include "model/heads.h"
#include "model/importance_taps.h"

#include <string.h>

/* At most so many in a block; rows times heads are at most WEIR_LATENT_QUERIES. */
enum { ROWS_MAX = 32, HEADS_MAX = 16 };

struct blocks {
    uint32_t rows, heads; /* of a block */
    uint32_t row_blocks, head_blocks;
};

static uint32_t divide_up(uint32_t count, uint32_t by)
{
    return (count + by - 1) / by;
}

/* Few rows: as many heads together as leave every thread the same number of blocks. */
static struct blocks divide(uint32_t n_row, uint32_t n_head, uint32_t n_part)
{
    struct blocks blocks = {.rows = (uint32_t)weir_min(n_row, ROWS_MAX)};
    const uint32_t most = (uint32_t)weir_min(WEIR_LATENT_QUERIES / blocks.rows, HEADS_MAX);
    const uint32_t least = divide_up(n_head, most);
    blocks.row_blocks = divide_up(n_row, blocks.rows);
    blocks.heads = divide_up(n_head, (uint32_t)weir_align_up(least, n_part));
    blocks.head_blocks = divide_up(n_head, blocks.heads);
    return blocks;
}

/* What a thread works on: queries are [row][head] of the block, each with its place in the part's
 * scratch. */
struct block {
    struct weir_forward *forward;
    const struct weir_mixer *mixer;
    uint32_t first_row, n_row;   /* of the step */
    uint32_t first_head, n_head; /* of the mixer */
    size_t first_query;          /* of the part, in scratch */
};

static size_t row_width(const struct weir_mixer *mixer)
{
    return (size_t)mixer->latent.shape.d_latent + mixer->latent.shape.d_turned;
}

static size_t query_at(const struct block *block, uint32_t row, uint32_t head)
{
    return block->first_query + (size_t)row * block->n_head + head;
}

static float *absorbed_at(const struct block *block, uint32_t row, uint32_t head)
{
    return block->forward->latent.absorbed + query_at(block, row, head) * row_width(block->mixer);
}

static float *query_of(const struct block *block, uint32_t row, uint32_t head)
{
    const struct weir_mixer *mixer = block->mixer;
    return block->forward->latent.q +
           ((size_t)(block->first_row + row) * mixer->n_head + block->first_head + head) *
               mixer->d_head;
}

/* Queries' plain parts in the format that the matrices want; how many bytes are between rows of one
 * head, and where its first one is. */
struct input {
    const uint8_t *x;
    size_t row_bytes;
};

static struct input input_of(const struct block *block, const struct weir_weight *weight,
                             const struct weir_act_rows *act, uint32_t head)
{
    const enum weir_act format = weir_forward_act(block->forward, weight);
    const size_t bytes =
        format == WEIR_ACT_F32 ? act->cols * sizeof(float) : act->row_bytes[format];
    const uint8_t *rows = format == WEIR_ACT_F32 ? (const uint8_t *)act->f32 : act->rows[format];
    return (struct input){.x = rows + query_at(block, 0, head) * bytes,
                          .row_bytes = block->n_head * bytes};
}

/* y[row] = W x[row] of one head, y_stride values apart. */
static void apply_head(const struct block *block, const struct weir_weight *weight, uint32_t head,
                       struct input input, float *y, size_t y_stride)
{
    const uint64_t index = block->first_head + head;
    const uint8_t *matrix = weight->data + index * weight->stride_bytes;
    const bool is_codes = weight->scales.tensor != NULL;
    const struct weir_scales scales = weir_scales_of(
        weight, is_codes ? weight->scales.data + index * weight->scales.stride_bytes : NULL, NULL);
    const struct weir_matmul job = {
        .w = matrix,
        .w_row_bytes = weight->row_bytes,
        .x = input.x,
        .x_row_bytes = input.row_bytes,
        .y = y,
        .y_stride = y_stride,
        .cols = weight->cols,
        .row_end = weight->rows,
        .n_token = block->n_row,
        .next = head + 1 < block->n_head ? matrix + weight->stride_bytes : NULL,
        .scales = is_codes ? &scales : NULL,
    };
    block->forward->kernels->matmul[weight->type](&job);
}

/* The 8-bit forms of x, of one query. */
static void quantize_query(const struct block *block, struct weir_act_rows *act, size_t query,
                           const float *x)
{
    for (int format = 0; format < WEIR_ACT_COUNT; format++)
        if (act->rows[format] != NULL)
            block->forward->kernels->quantize[format](
                x, act->rows[format] + query * act->row_bytes[format], act->cols);
}

/* The part that turns, and growth with the position; then the plain part's 8-bit forms. */
static void turn_query(const struct block *block, uint32_t row, uint32_t head)
{
    const struct weir_mixer *mixer = block->mixer;
    const struct weir_latent_shape *shape = &mixer->latent.shape;
    const uint32_t step_row = block->first_row + row;
    const float heat = weir_heat(&mixer->temperature, block->forward->step.rows[step_row].position);
    float *q = query_of(block, row, head);
    weir_rope(q + shape->d_plain, weir_rope_angles(block->forward, mixer->rope, step_row),
              shape->d_turned, mixer->is_interleaved);
    for (uint32_t index = 0; index < mixer->d_head && heat != 1.0f; index++)
        q[index] *= heat;
    memcpy(absorbed_at(block, row, head) + shape->d_latent, q + shape->d_plain,
           shape->d_turned * sizeof(*q));
    quantize_query(block, &block->forward->latent.plain_act, query_at(block, row, head), q);
}

/* absorbed = W_k^T q of every query of the block. */
static void absorb(const struct block *block)
{
    const struct weir_mixer *mixer = block->mixer;
    const struct weir_weight *weight = &mixer->latent.absorb;
    const bool is_f32 = weir_forward_act(block->forward, weight) == WEIR_ACT_F32;
    const size_t stride = block->n_head * row_width(mixer);
    for (uint32_t head = 0; head < block->n_head; head++) {
        for (uint32_t row = 0; row < block->n_row; row++)
            turn_query(block, row, head);
        /* Floats are read where they are. */
        const struct input input =
            is_f32
                ? (struct input){.x = (const uint8_t *)query_of(block, 0, head),
                                 .row_bytes = (size_t)mixer->n_head * mixer->d_head * sizeof(float)}
                : input_of(block, weight, &block->forward->latent.plain_act, head);
        apply_head(block, weight, head, input, absorbed_at(block, 0, head), stride);
    }
}

static struct weir_attention attention_of(const struct block *block, uint32_t row, uint32_t head)
{
    const struct weir_forward *forward = block->forward;
    const struct weir_mixer *mixer = block->mixer;
    const struct weir_row *at = &forward->step.rows[block->first_row + row];
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    return (struct weir_attention){
        .q = absorbed_at(block, row, head),
        .k = view.base + view.at_bytes,
        .v = view.base + view.at_bytes,
        .pages = weir_sequence_pages(forward->step.runs[at->run].sequence),
        .k_row_bytes = weir_kv_row_bytes(forward->config.kv, row_width(mixer)),
        .v_row_bytes = weir_kv_row_bytes(forward->config.kv, row_width(mixer)),
        .page_length = view.page_length,
        .page_bytes = view.stride_bytes,
        .d_head = row_width(mixer),
        .d_value = mixer->latent.shape.d_latent,
        .n_position = (size_t)at->position + 1,
        .scale = mixer->scale,
        .out = forward->latent.mixed + query_at(block, row, head) * mixer->latent.shape.d_latent,
    };
}

/* Rows [first, end) of the block are one sequence's: all heads of a row see the same positions; of
 * several rows, each head's. */
static void attend_rows(const struct block *block, uint32_t first, uint32_t end)
{
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    size_t count = 0;
    for (uint32_t head = 0; head < block->n_head; head++)
        for (uint32_t row = first; row < end; row++) {
            jobs[count++] = attention_of(block, row, head);
            const bool is_last_row = row + 1 == end;
            const bool is_last = is_last_row && (end - first > 1 || head + 1 == block->n_head);
            if (count < WEIR_ATTENTION_MAX && !is_last)
                continue;
            block->forward->kernels->attention[block->forward->config.kv](jobs, count);
            count = 0;
        }
}

static void attend_block(const struct block *block)
{
    const struct weir_row *rows = block->forward->step.rows + block->first_row;
    uint32_t first = 0;
    for (uint32_t row = 1; row <= block->n_row; row++)
        if (row == block->n_row || rows[row].run != rows[first].run) {
            attend_rows(block, first, row);
            first = row;
        }
}

/* What W_v of a head is applied to; the part has all of the head's rows, in their order. */
static void measure_head(const struct block *block, uint32_t head)
{
    const struct weir_latent *latent = &block->mixer->latent;
    const size_t width = latent->shape.d_latent;
    if (weir_is_measured(&latent->v_up))
        weir_importance_add(&(struct weir_measured_rows){.weight = &latent->v_up,
                                                         .matrix = block->first_head + head,
                                                         .x = block->forward->latent.mixed +
                                                              query_at(block, 0, head) * width,
                                                         .stride = block->n_head * width,
                                                         .n_row = block->n_row});
}

/* attended = W_v mixed of every query of the block. */
static void expand(const struct block *block)
{
    const struct weir_mixer *mixer = block->mixer;
    const struct weir_weight *weight = &mixer->latent.expand;
    struct weir_latent_scratch *scratch = &block->forward->latent;
    const size_t stride = (size_t)mixer->n_head * mixer->d_value;
    for (uint32_t head = 0; head < block->n_head; head++) {
        for (uint32_t row = 0; row < block->n_row; row++)
            quantize_query(block, &scratch->mixed_act, query_at(block, row, head),
                           scratch->mixed +
                               query_at(block, row, head) * mixer->latent.shape.d_latent);
        measure_head(block, head);
        apply_head(block, weight, head, input_of(block, weight, &scratch->mixed_act, head),
                   scratch->attended + block->first_row * stride +
                       (size_t)(block->first_head + head) * mixer->d_value,
                   stride);
    }
}

static void attend_all(struct weir_forward *forward, const struct blocks *blocks, uint32_t part,
                       uint32_t row_block, uint32_t head_block)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const uint32_t first_row = row_block * blocks->rows;
    const uint32_t first_head = head_block * blocks->heads;
    const struct block block = {
        .forward = forward,
        .mixer = mixer,
        .first_row = first_row,
        .n_row = (uint32_t)weir_min(forward->step.n_row - first_row, blocks->rows),
        .first_head = first_head,
        .n_head = (uint32_t)weir_min(mixer->n_head - first_head, blocks->heads),
        .first_query = (size_t)part * WEIR_LATENT_QUERIES,
    };
    absorb(&block);
    attend_block(&block);
    expand(&block);
}

/* Every n_part-th block: later rows see more positions, so neighbours are dealt to different
 * threads. Where heads are measured, each has one thread, and its rows in their order. */
static void attend_blocks(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct blocks blocks = divide(forward->step.n_row, mixer->n_head, n_part);
    const uint64_t count = (uint64_t)blocks.row_blocks * blocks.head_blocks;
    if (!weir_is_measured(&mixer->latent.v_up)) {
        for (uint64_t item = part; item < count; item += n_part)
            attend_all(forward, &blocks, part, (uint32_t)(item / blocks.head_blocks),
                       (uint32_t)(item % blocks.head_blocks));
        return;
    }
    for (uint32_t head_block = part; head_block < blocks.head_blocks; head_block += n_part)
        for (uint32_t row_block = 0; row_block < blocks.row_blocks; row_block++)
            attend_all(forward, &blocks, part, row_block, head_block);
}

void weir_latent_attend(struct weir_forward *forward)
{
    weir_pool_run(forward->config.pool, "latent heads", attend_blocks, forward);
}
