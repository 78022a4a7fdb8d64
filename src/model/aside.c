/* aside.c - inputs of layers that come from the token itself, beside the residual stream.
 *
 * A second table has a row of every layer's values for each token; with what a projection makes of
 * the token's embedding they are the layers' inputs. After its network a layer lets the stream
 * gate its input, and adds what a matrix makes of that (Gemma 3n and Gemma 4, "per-layer
 * embeddings"; transformers' Gemma4TextModel has the equations). */
#include <math.h>
#include <string.h>

#include "model/branch.h"
#include "model/embedding.h"

static size_t inputs_width(const struct weir_forward *forward)
{
    return (size_t)forward->shape->n_layer * forward->shape->d_layer_input;
}

void weir_aside_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    struct weir_aside_scratch *scratch = &forward->aside;
    const uint64_t n_chunk = forward->config.n_chunk;
    const uint32_t width = forward->shape->d_layer_input;
    if (width == 0)
        return;
    scratch->inputs = weir_take_floats(mem, n_chunk * inputs_width(forward));
    scratch->row = weir_take_floats(mem, inputs_width(forward));
    scratch->gate = weir_take_floats(mem, n_chunk * width);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_ASIDE);
    weir_take_act(&scratch->gate_act, mem, formats, n_chunk, width, false);
    scratch->gate_act.f32 = scratch->gate;
}

/* The stream as it is, in every form: what else stands there is normed. */
static void copy_stream(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    struct weir_stream *stream = &forward->stream;
    const size_t d_model = forward->shape->d_model;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    memcpy(stream->normed + begin * d_model, stream->residual + begin * d_model,
           (end - begin) * d_model * sizeof(float));
    weir_act_fill(forward, &stream->normed_act, stream->normed, begin, end);
}

static void apply(struct weir_forward *forward, const char *name, const struct weir_weight *weight,
                  const struct weir_act_rows *act, float *y)
{
    struct weir_linear linear = {.name = name,
                                 .forward = forward,
                                 .act = act,
                                 .weight = {weight},
                                 .y = {y},
                                 .count = 1,
                                 .n_row = forward->step.n_row};
    weir_linear_run(&linear);
}

/* inputs = norm(projection / sqrt(d_model)), each layer's by itself. */
static void norm_inputs(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_shape *shape = forward->shape;
    const size_t width = shape->d_layer_input;
    const float scale = 1.0f / sqrtf((float)shape->d_model);
    const float *weights = forward->config.model->layer_projection_norm.data;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t at = begin * shape->n_layer; at < end * shape->n_layer; at++) {
        float *input = forward->aside.inputs + at * width;
        for (size_t index = 0; index < width; index++)
            input[index] *= scale;
        forward->kernels->rmsnorm(input, weights, input, width, shape->norm_epsilon);
    }
}

/* inputs = (inputs + sqrt(d_layer_input) * the token's row) / sqrt(2). */
static void add_row(struct weir_forward *forward, uint32_t token, const uint8_t *row)
{
    const size_t width = inputs_width(forward);
    const float scale = sqrtf((float)forward->shape->d_layer_input);
    const float *values = forward->aside.row;
    float *inputs = forward->aside.inputs + token * width;
    weir_quant_decode_row(forward->config.model->layer_embedding.type, row, forward->aside.row,
                          width);
    for (size_t index = 0; index < width; index++)
        inputs[index] = (inputs[index] + scale * values[index]) * 0.70710678f;
}

enum weir_status weir_aside_begin(struct weir_forward *forward, struct weir_err *err)
{
    if (forward->shape->d_layer_input == 0)
        return WEIR_OK;
    weir_forward_by_row(forward, "copy stream", copy_stream);
    apply(forward, "layer inputs", &forward->config.model->layer_projection,
          &forward->stream.normed_act, forward->aside.inputs);
    weir_forward_by_row(forward, "norm inputs", norm_inputs);
    WEIR_TRY(weir_table_read(forward, WEIR_TABLE_LAYERS, add_row, err));
    return weir_damage_check_inputs(forward, err);
}

static void gate_input(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    const struct weir_unit *unit = &forward->step.layer->network.unit;
    const size_t width = forward->shape->d_layer_input;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t row = begin; row < end; row++)
        forward->kernels->glu[unit->glu](forward->aside.gate + row * width,
                                         forward->aside.inputs + row * inputs_width(forward) +
                                             forward->step.layer_index * width,
                                         width, unit->limit);
    weir_act_fill(forward, &forward->aside.gate_act, forward->aside.gate, begin, end);
}

static void add_aside(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_branch_add(forward, &forward->step.layer->aside.norm, forward->stream.projected,
                    forward->shape->branch_scale, forward->stream.residual, begin, end);
    weir_branch_scale(forward, begin, end);
}

void weir_aside_run(struct weir_forward *forward)
{
    const struct weir_aside *aside = &forward->step.layer->aside;
    const uint64_t begin_ns = weir_timeline_now(forward->config.timeline);
    weir_forward_by_row(forward, "copy stream", copy_stream);
    apply(forward, "layer gate", &aside->gate, &forward->stream.normed_act, forward->aside.gate);
    weir_forward_by_row(forward, "gate input", gate_input);
    apply(forward, "layer output", &aside->out, &forward->aside.gate_act,
          forward->stream.projected);
    weir_forward_by_row(forward, "add layer output", add_aside);
    weir_forward_tell(forward, "aside", begin_ns);
}
