/* latent.c - latent attention of the step's rows: down to few values, and what is remembered.
 *
 * A position leaves d_latent values behind, which are normed, and d_turned that turn (DeepSeek-V2,
 * arXiv:2405.04434, eq. 9 to 19): nothing for each head. Heads work on them as they are: what would
 * make a head's keys from them is applied to its query instead, and what would make its values to
 * its output (latent_heads.c), for prompts as for single tokens:
 * docs/decisions/0020-latent-attention.md. */
#include "model/heads.h"
#include "model/importance_taps.h"

#include <string.h>

void weir_latent_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_forward_config *config = &forward->config;
    const struct weir_shape *shape = forward->shape;
    const struct weir_latent_shape *latent = &shape->latent;
    struct weir_latent_scratch *scratch = &forward->latent;
    const uint64_t n_chunk = config->n_chunk;
    const uint64_t n_query = (uint64_t)config->n_thread * WEIR_LATENT_QUERIES;
    const uint64_t d_attended = (uint64_t)shape->n_head * latent->d_value;
    const uint64_t d_row = (uint64_t)latent->d_latent + latent->d_turned;
    scratch->low_query = weir_take_floats(mem, n_chunk * latent->d_query);
    scratch->q = weir_take_floats(mem, n_chunk * shape->n_head * shape->d_head);
    scratch->latent = weir_take_floats(mem, n_chunk * d_row);
    scratch->attended = weir_take_floats(mem, n_chunk * d_attended);
    scratch->absorbed = weir_take_floats(mem, n_query * d_row);
    scratch->mixed = weir_take_floats(mem, n_query * latent->d_latent);
    const struct {
        struct weir_act_rows *act;
        enum weir_input input;
        uint64_t row_count, cols;
    } inputs[] = {
        {&scratch->low_query_act, WEIR_INPUT_LOW_QUERY, n_chunk, latent->d_query},
        {&scratch->plain_act, WEIR_INPUT_PLAIN, n_query, latent->d_plain},
        {&scratch->mixed_act, WEIR_INPUT_MIXED, n_query, latent->d_latent},
        {&scratch->attended_act, WEIR_INPUT_ATTENDED, n_chunk, d_attended},
    };
    for (size_t index = 0; index < WEIR_COUNT(inputs); index++)
        weir_take_act(inputs[index].act, mem,
                      weir_input_formats(config->model, forward->kernels, inputs[index].input),
                      inputs[index].row_count, (size_t)inputs[index].cols, false);
    scratch->low_query_act.f32 = scratch->low_query;
    scratch->mixed_act.f32 = scratch->mixed;
    scratch->attended_act.f32 = scratch->attended;
}

/* What the row leaves behind, into its sequence's page. */
static void remember(const struct weir_forward *forward, const struct weir_row *row, const float *x)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const size_t d_row = (size_t)mixer->latent.shape.d_latent + mixer->latent.shape.d_turned;
    const struct weir_state_view view =
        weir_state_view_get(forward->config.state, forward->step.layer_index);
    const uint32_t page = weir_sequence_pages(
        forward->step.runs[row->run].sequence)[row->position / view.page_length];
    uint8_t *place =
        view.base + view.at_bytes + page * view.stride_bytes +
        row->position % view.page_length * weir_kv_row_bytes(forward->config.kv, d_row);
    weir_kv_store(forward, forward->config.kv, x, place, d_row);
}

/* Norms, rope of what all heads share, and the pages. Rows of this part. */
static void place_latents(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_latent_shape *shape = &mixer->latent.shape;
    const float epsilon = forward->shape->norm_epsilon;
    struct weir_latent_scratch *scratch = &forward->latent;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t index = begin; index < end; index++) {
        const struct weir_row *row = &forward->step.rows[index];
        float *latent = scratch->latent + index * (shape->d_latent + shape->d_turned);
        float *low_query = scratch->low_query + index * shape->d_query;
        forward->kernels->rmsnorm(latent, mixer->latent.norm.data, latent, shape->d_latent,
                                  epsilon);
        weir_rope(latent + shape->d_latent, weir_rope_angles(forward, mixer->rope, index),
                  shape->d_turned, mixer->is_interleaved);
        remember(forward, row, latent);
        if (shape->d_query > 0)
            forward->kernels->rmsnorm(low_query, mixer->latent.q_norm.data, low_query,
                                      shape->d_query, epsilon);
    }
    if (shape->d_query > 0)
        weir_act_fill(forward, &scratch->low_query_act, scratch->low_query, begin, end);
}

static void quantize_attended(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    struct weir_latent_scratch *scratch = &forward->latent;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_act_fill(forward, &scratch->attended_act, scratch->attended, begin, end);
}

/* The matrices that the layer's input passes first. */
static void first_weights(const struct weir_mixer *mixer, const struct weir_weight *out[2])
{
    out[0] = mixer->latent.shape.d_query > 0 ? &mixer->latent.q_down : &mixer->q;
    out[1] = &mixer->latent.down;
}

static void project(struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    struct weir_latent_scratch *scratch = &forward->latent;
    const bool is_low = mixer->latent.shape.d_query > 0;
    struct weir_linear down = {
        .name = "q and latent",
        .forward = forward,
        .act = &forward->stream.normed_act,
        .y = {is_low ? scratch->low_query : scratch->q, scratch->latent},
        .count = 2,
        .n_row = forward->step.n_row,
        .counts_uses = true,
    };
    first_weights(mixer, down.weight);
    if (is_low) {
        const struct weir_weight *const next[] = {&mixer->latent.q_up};
        weir_linear_prefetch(forward, next, 1);
    }
    weir_linear_run(&down);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "place latents", place_latents);
    if (!is_low)
        return;
    struct weir_linear up = {
        .name = "q",
        .forward = forward,
        .act = &scratch->low_query_act,
        .weight = {&mixer->latent.q_up},
        .y = {scratch->q},
        .count = 1,
        .n_row = forward->step.n_row,
    };
    weir_linear_run(&up);
}

void weir_latent_run(struct weir_forward *forward)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_weight *const output[] = {&mixer->out};
    weir_act_narrow(&forward->latent.attended_act, (size_t)mixer->n_head * mixer->d_value);
    project(forward);
    weir_linear_prefetch(forward, output, 1);
    weir_latent_attend(forward);
    if (weir_is_measured(&mixer->out))
        weir_importance_latent(forward);
    weir_lookahead_pause(forward, false);
    weir_forward_by_row(forward, "quantize attended", quantize_attended);
    struct weir_linear gather = {
        .name = "attention output",
        .forward = forward,
        .act = &forward->latent.attended_act,
        .weight = {&mixer->out},
        .y = {forward->stream.projected},
        .count = 1,
        .n_row = forward->step.n_row,
    };
    weir_prefetch_network(forward);
    weir_linear_run(&gather);
}

void weir_latent_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const struct weir_weight *first[2];
    first_weights(mixer, first);
    weir_linear_prefetch(forward, first, WEIR_COUNT(first));
}

float weir_latent_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    return weir_most_of(forward->latent.latent,
                        (size_t)forward->step.n_row *
                            (mixer->latent.shape.d_latent + mixer->latent.shape.d_turned));
}

void weir_latent_state(const struct weir_mixer *mixer, enum weir_kv kv,
                       struct weir_state_layer *out)
{
    const size_t width = (size_t)mixer->latent.shape.d_latent + mixer->latent.shape.d_turned;
    *out = (struct weir_state_layer){.kind = WEIR_STATE_POSITIONS,
                                     .bytes = weir_kv_row_bytes(kv, width)};
}

/* Every head's keys and values come from the few numbers that are kept, so they are kept well. */
const char *weir_latent_kv_refusal(const struct weir_mixer *mixer, enum weir_kv kv)
{
    const struct weir_latent_shape *shape = &mixer->latent.shape;
    if (kv == WEIR_KV_Q4_0 || weir_kv_info(kv)->bits > 0)
        return "latent values take f16, f32, bf16 or q8_0";
    return weir_kv_width_refusal(kv, shape->d_latent, (uint64_t)shape->d_latent + shape->d_turned);
}
