/* device_refusal.c - why a layer is none for a device: what has no operation there. */
#include "model/device_internal.h"
#include "model/roles.h"

/* Whether a layer has a matrix that lies column by column. */
struct look {
    const struct weir_layer *layer;
    bool is_turned;
};

static void look_at(void *user, const struct weir_role *role)
{
    struct look *look = user;
    const struct weir_weight *weight = (const void *)((const char *)look->layer + role->place);
    look->is_turned |= role->kind != WEIR_ROLE_VECTOR && weight->cols != 0 && weight->col_bytes > 0;
}

static bool has_gate(const struct weir_mixer *mixer)
{
    return mixer->gate_is_in_q || mixer->gate.cols != 0;
}

static bool is_lent(const struct weir_model *model, uint32_t layer)
{
    for (uint32_t other = 0; other < model->shape.n_layer; other++)
        if (model->layers[other].mixer.borrows && model->layers[other].mixer.keys_layer == layer)
            return true;
    return false;
}

const char *weir_device_refusal(const struct weir_model *model, uint32_t layer, bool kv_f32)
{
    const struct weir_layer *at = &model->layers[layer];
    const struct weir_mixer *mixer = &at->mixer;
    struct look look = {.layer = at};
    if (mixer->kind == WEIR_MIXER_LATENT)
        return "latent attention is computed on the CPU";
    if (mixer->kind == WEIR_MIXER_DELTA)
        return "gated delta nets are computed on the CPU";
    if (mixer->borrows || is_lent(model, layer))
        return "layers that share keys and values are computed on the CPU";
    if (mixer->temperature.scale != 0.0f)
        return "attention whose scores grow with the position is computed on the CPU";
    if (mixer->output_gate == WEIR_GATE_SOFTPLUS && has_gate(mixer))
        return "softplus gates are computed on the CPU";
    if (at->aside.gate.cols != 0)
        return "layers with inputs of their own are computed on the CPU";
    if (kv_f32)
        return "keys and values as f32 are computed with on the CPU";
    weir_roles_visit_layer(at, look_at, &look);
    return look.is_turned ? "matrices that lie column by column are computed with on the CPU"
                          : NULL;
}

const char *weir_device_output_refusal(const struct weir_model *model)
{
    return model->output.col_bytes > 0
               ? "an output matrix that lies column by column is computed with on the CPU"
               : NULL;
}
