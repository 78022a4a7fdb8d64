/* mixer.c - what lets positions see each other: one row for each kind of mixer. */
#include "model/linear.h"

static const struct mixer_kind {
    void (*layout)(struct weir_forward *forward, struct weir_mem *mem);
    void (*run)(struct weir_forward *forward);
    void (*prefetch)(const struct weir_forward *forward, const struct weir_mixer *mixer);
    void (*state)(const struct weir_mixer *mixer, uint64_t value_bytes,
                  struct weir_state_layer *out);
    /* NULL: it keeps nothing as f16 */
    float (*most_kept)(const struct weir_forward *forward, const struct weir_mixer *mixer);
    const char *remembers; /* what the state is, for reports */
    const char *name;      /* for messages */
} kinds[] = {
    [WEIR_MIXER_ATTENTION] = {weir_attention_layout, weir_attention_run, weir_attention_prefetch,
                              weir_attention_state, weir_attention_most_kept, "keys and values",
                              "attention"},
    [WEIR_MIXER_LATENT] = {weir_latent_layout, weir_latent_run, weir_latent_prefetch,
                           weir_latent_state, weir_latent_most_kept, "latent values", "attention"},
    [WEIR_MIXER_DELTA] = {weir_delta_layout, weir_delta_run, weir_delta_prefetch, weir_delta_state,
                          NULL, "recurrent state", "the gated delta net"},
};

static bool has_kind(const struct weir_model *model, enum weir_mixer_kind kind)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        if (model->layers[layer].mixer.kind == kind)
            return true;
    return false;
}

void weir_mixer_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    for (size_t kind = 0; kind < WEIR_COUNT(kinds); kind++)
        if (has_kind(forward->config.model, (enum weir_mixer_kind)kind))
            kinds[kind].layout(forward, mem);
}

void weir_mixer_run(struct weir_forward *forward)
{
    kinds[forward->step.layer->mixer.kind].run(forward);
}

void weir_mixer_prefetch(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    kinds[mixer->kind].prefetch(forward, mixer);
}

void weir_prefetch_network(const struct weir_forward *forward)
{
    const struct weir_network *network = &forward->step.layer->network;
    const struct weir_weight *const first[] = {
        weir_layer_has_experts(forward->step.layer) ? &network->router : &network->gate};
    weir_linear_prefetch(forward, first, 1);
}

float weir_mixer_most_kept(const struct weir_forward *forward, const struct weir_mixer *mixer)
{
    const struct mixer_kind *kind = &kinds[mixer->kind];
    return kind->most_kept == NULL ? 0.0f : kind->most_kept(forward, mixer);
}

const char *weir_mixer_name(const struct weir_mixer *mixer)
{
    return kinds[mixer->kind].name;
}

void weir_model_state_layer(const struct weir_model *model, uint32_t layer, bool kv_f32,
                            struct weir_state_layer *out)
{
    const struct weir_mixer *mixer = &model->layers[layer].mixer;
    kinds[mixer->kind].state(mixer, kv_f32 ? sizeof(float) : sizeof(uint16_t), out);
}

const char *weir_model_state_name(const struct weir_model *model, uint32_t layer)
{
    return kinds[model->layers[layer].mixer.kind].remembers;
}

void weir_model_state_layers(const struct weir_model *model, bool kv_f32,
                             struct weir_state_layer *out)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        weir_model_state_layer(model, layer, kv_f32, &out[layer]);
}
