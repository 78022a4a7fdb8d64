/* mixer.c - what lets positions see each other: one row for each kind of mixer. */
#include "model/linear.h"

static const struct mixer_kind {
    void (*layout)(struct weir_forward *forward, struct weir_mem *mem);
    void (*run)(struct weir_forward *forward);
    void (*prefetch)(const struct weir_forward *forward, const struct weir_mixer *mixer);
    /* of both parts, which are NONE before */
    void (*state)(const struct weir_mixer *mixer, enum weir_kv kv, struct weir_state_layer *out);
    /* why its keys and values cannot be kept so; NULL: they can */
    const char *(*kv_refusal)(const struct weir_mixer *mixer, enum weir_kv kv);
    /* NULL: it keeps no keys and values */
    float (*most_kept)(const struct weir_forward *forward, const struct weir_mixer *mixer);
    const char *remembers; /* what the state is, for reports */
    const char *name;      /* for messages */
} kinds[] = {
    [WEIR_MIXER_ATTENTION] = {weir_attention_layout, weir_attention_run, weir_attention_prefetch,
                              weir_attention_state, weir_attention_kv_refusal,
                              weir_attention_most_kept, "keys and values", "attention"},
    [WEIR_MIXER_LATENT] = {weir_latent_layout, weir_latent_run, weir_latent_prefetch,
                           weir_latent_state, weir_latent_kv_refusal, weir_latent_most_kept,
                           "latent values", "attention"},
    [WEIR_MIXER_DELTA] = {weir_delta_layout, weir_delta_run, weir_delta_prefetch, weir_delta_state,
                          NULL, NULL, "recurrent state", "the gated delta net"},
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

void weir_model_state_layer(const struct weir_model *model, uint32_t layer, enum weir_kv kv,
                            struct weir_state_layer out[WEIR_STATE_PARTS])
{
    const struct weir_mixer *mixer = &model->layers[layer].mixer;
    for (int part = 0; part < WEIR_STATE_PARTS; part++)
        out[part] = (struct weir_state_layer){.kind = WEIR_STATE_NONE};
    kinds[mixer->kind].state(mixer, kv, out);
}

const char *weir_model_state_name(const struct weir_model *model, uint32_t layer)
{
    return kinds[model->layers[layer].mixer.kind].remembers;
}

uint32_t weir_model_state_layers(const struct weir_model *model, enum weir_kv kv,
                                 struct weir_state_layer *out)
{
    const uint32_t n_layer = model->shape.n_layer;
    for (uint32_t layer = 0; layer < n_layer; layer++) {
        struct weir_state_layer parts[WEIR_STATE_PARTS];
        weir_model_state_layer(model, layer, kv, parts);
        for (uint32_t part = 0; part < WEIR_STATE_PARTS; part++)
            out[part * n_layer + layer] = parts[part];
    }
    return weir_kv_info(kv)->bits > 0 ? WEIR_STATE_PARTS * n_layer : n_layer;
}

enum weir_status weir_model_kv_check(const struct weir_model *model, enum weir_kv kv,
                                     struct weir_err *err)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_mixer *mixer = &model->layers[layer].mixer;
        const struct mixer_kind *kind = &kinds[mixer->kind];
        const char *why = kind->kv_refusal == NULL ? NULL : kind->kv_refusal(mixer, kv);
        if (why != NULL)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "layer %u: its %s cannot be kept as %s: %s; choose another --kv",
                             layer, kind->remembers, weir_kv_info(kv)->name, why);
    }
    return WEIR_OK;
}
