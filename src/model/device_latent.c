/* device_latent.c - latent attention of a layer on the device: as latent.c and latent_heads.c have
 * it.
 *
 * What makes a head's keys is applied to its query, and what makes its values to its output. Both
 * are products of each head with a matrix of its own, which is what experts are: a row uses all of
 * them, the head being the rank. */
#include "model/device_internal.h"

/* Queries that go through together: rows times heads. What they take is more than all else of a
 * row. */
#ifdef WEIR_HOSTILE
enum { QUERIES = 9 };
#else
enum { QUERIES = 8192 };
#endif

uint32_t weir_device_latent_rows(const struct weir_shape *shape, uint32_t n_chunk)
{
    const uint32_t most = (uint32_t)weir_max(QUERIES / shape->n_head, 1);
    return (uint32_t)weir_min(most, n_chunk);
}

/* Of what a position leaves behind. */
static uint32_t row_width(const struct weir_forward *forward)
{
    return forward->shape->latent.d_latent + forward->shape->latent.d_turned;
}

static struct weir_device_product product_of(const struct weir_gpu_matrix *w, weir_gpu_address x,
                                             weir_gpu_address y)
{
    return (struct weir_device_product){
        .w = w, .x = x, .x_stride = w->form.cols, .y = y, .y_stride = w->form.rows};
}

/* The first `width` values of rows. */
static void norm(const struct weir_forward *forward, weir_gpu_address weights, weir_gpu_address x,
                 uint32_t width, uint32_t stride)
{
    weir_gpu_norm(forward->config.device->gpu,
                  &(struct weir_gpu_norm){.x = x,
                                          .y = x,
                                          .weights = weights,
                                          .width = width,
                                          .n_head = 1,
                                          .x_head_stride = width,
                                          .x_stride = stride,
                                          .y_head_stride = width,
                                          .y_stride = stride,
                                          .n_row = forward->step.n_row,
                                          .epsilon = forward->shape->norm_epsilon});
}

static void turn(const struct weir_forward *forward, weir_gpu_address x, uint32_t n_head,
                 uint32_t head_stride)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    WEIR_ASSERT(forward->shape->rope[mixer->rope].n_rot == forward->shape->latent.d_turned);
    weir_gpu_rope(device->gpu, &(struct weir_gpu_rope){.x = x,
                                                       .angles = device->parcel.there +
                                                                 device->parcel.angles[mixer->rope],
                                                       .n_head = n_head,
                                                       .head_stride = head_stride,
                                                       .x_stride = n_head * head_stride,
                                                       .n_rot = forward->shape->latent.d_turned,
                                                       .n_row = forward->step.n_row,
                                                       .is_interleaved = mixer->is_interleaved});
}

/* What the input passes first: to queries, or what they are made from, and latent values. */
static void project(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_device_scratch *scratch = &forward->config.device->scratch;
    const bool is_low = forward->shape->latent.d_query > 0;
    const struct weir_device_product products[] = {
        product_of(is_low ? &layer->latent.q_down : &layer->q, scratch->normed,
                   is_low ? scratch->mixers.low_query : scratch->q),
        product_of(&layer->latent.down, scratch->normed, scratch->mixers.latent)};
    weir_device_multiply_all(forward, products, 2);
}

/* What the rows leave behind: latent values, and those that turn. */
static void place_latents(const struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const weir_gpu_address latent = forward->config.device->scratch.mixers.latent;
    const uint32_t width = row_width(forward);
    const uint32_t d_latent = forward->shape->latent.d_latent;
    norm(forward, layer->latent.norm, latent, d_latent, width);
    turn(forward, weir_device_at(latent, d_latent), 1, width);
    weir_device_remember(forward, layer, latent, width, 0, 0);
}

static void place_queries(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_device_scratch *scratch = &forward->config.device->scratch;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const uint32_t d_query = forward->shape->latent.d_query;
    if (d_query > 0) {
        norm(forward, layer->q_norm, scratch->mixers.low_query, d_query, d_query);
        const struct weir_device_product up =
            product_of(&layer->q, scratch->mixers.low_query, scratch->q);
        weir_device_multiply(forward, &up);
    }
    turn(forward, weir_device_at(scratch->q, forward->shape->latent.d_plain), mixer->n_head,
         mixer->d_head);
    weir_device_heat(forward, scratch->q, mixer->n_head * mixer->d_head);
}

/* y = W_h x of all heads of some rows, one after the other. */
static void apply_heads(const struct weir_forward *forward, const struct weir_device_stack *stack,
                        const struct weir_device_rows *rows, weir_gpu_address x, uint32_t x_stride,
                        weir_gpu_address y, uint32_t y_stride)
{
    const uint32_t n_head = forward->step.layer->mixer.n_head;
    const weir_device *device = forward->config.device;
    weir_gpu_experts(device->gpu,
                     &(struct weir_gpu_experts){.form = stack->form,
                                                .table = stack->table,
                                                .chosen = device->scratch.mixers.head_ids,
                                                .x = x,
                                                .y = y,
                                                .x_stride = x_stride,
                                                .y_stride = y_stride,
                                                .n_row = rows->count,
                                                .n_used = n_head,
                                                .n_expert = n_head,
                                                .way = rows->way});
}

static void attend(const struct weir_forward *forward, const struct weir_device_layer *layer,
                   const struct weir_device_rows *rows)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const uint32_t width = row_width(forward);
    weir_gpu_attention(
        device->gpu,
        &(struct weir_gpu_attention){.rows = weir_device_rows_of(device, rows),
                                     .pages = layer->pages,
                                     .q = device->scratch.mixers.absorbed,
                                     .out = device->scratch.mixers.mixed,
                                     .n_head = mixer->n_head,
                                     .q_head_stride = width,
                                     .q_stride = mixer->n_head * width,
                                     .out_stride = mixer->n_head * forward->shape->latent.d_latent,
                                     .scale = mixer->scale,
                                     .position_max = rows->position_max,
                                     .way = rows->way});
}

/* From queries to what heads give, of as many rows as there is room for. */
static void run_rows(const struct weir_forward *forward, const struct weir_device_layer *layer,
                     const struct weir_device_rows *rows)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_latent_shape *shape = &forward->shape->latent;
    const weir_device *device = forward->config.device;
    const struct weir_device_mixer_scratch *scratch = &device->scratch.mixers;
    const uint64_t first_query = (uint64_t)rows->first * mixer->n_head;
    const weir_gpu_address q = weir_device_at(device->scratch.q, first_query * mixer->d_head);
    const uint32_t width = row_width(forward);
    apply_heads(forward, &layer->latent.absorb, rows, q, mixer->d_head, scratch->absorbed, width);
    weir_gpu_scatter(device->gpu, &(struct weir_gpu_scatter){
                                      .x = weir_device_at(q, shape->d_plain),
                                      .y = weir_device_at(scratch->absorbed, shape->d_latent),
                                      .width = shape->d_turned,
                                      .x_stride = mixer->d_head,
                                      .y_stride = width,
                                      .n_row = rows->count * mixer->n_head});
    attend(forward, layer, rows);
    apply_heads(forward, &layer->latent.expand, rows, scratch->mixed, shape->d_latent,
                weir_device_at(device->scratch.attended, first_query * mixer->d_value),
                mixer->d_value);
}

void weir_device_run_latent(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const weir_device *device = forward->config.device;
    const uint32_t most = weir_device_latent_rows(forward->shape, device->config.n_chunk);
    struct weir_device_rows all = {0};
    project(forward, layer);
    place_latents(forward, layer);
    place_queries(forward, layer);
    while (weir_device_rows_next(forward, &all)) {
        const uint32_t end = all.first + all.count;
        for (struct weir_device_rows rows = all; rows.first < end; rows.first += most) {
            rows.count = (uint32_t)weir_min(end - rows.first, most);
            run_rows(forward, layer, &rows);
        }
    }
    weir_device_mix(forward, layer, device->scratch.attended);
}
