/* device_refusal.c - why a layer is none for a device: what has no operation there. */
#include "model/device_internal.h"
#include "model/roles.h"

/* Whether a layer has a matrix that lies column by column, or one that CUDA has no kernel for. */
struct look {
    const struct weir_layer *layer;
    bool is_turned, is_strange;
};

static bool is_strange(const struct weir_weight *weight)
{
    const struct weir_gpu_form form = weir_device_form(weight);
    return !weir_gpu_has_form(&form);
}

static void look_at(void *user, const struct weir_role *role)
{
    struct look *look = user;
    const struct weir_weight *weight = (const void *)((const char *)look->layer + role->place);
    if (role->kind == WEIR_ROLE_VECTOR || weight->cols == 0)
        return;
    look->is_turned |= weight->col_bytes > 0;
    look->is_strange |= is_strange(weight);
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

const char *weir_device_refusal(const struct weir_model *model, uint32_t layer,
                                enum weir_gpu_kind kind, enum weir_kv kv)
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
    if (kv != WEIR_KV_F16)
        return "keys and values that are not f16 (--kv) are computed with on the CPU";
    if (mixer->d_head > WEIR_GPU_HEAD_MAX || mixer->d_value > WEIR_GPU_VALUE_MAX)
        return "heads of more than 576 values, or values of more than 512, are computed on the CPU";
    if (weir_layer_has_experts(at) && model->shape.n_expert > WEIR_GPU_EXPERT_MAX)
        return "layers of more than 1024 experts are computed on the CPU";
    weir_roles_visit_layer(at, look_at, &look);
    if (look.is_strange && kind == WEIR_GPU_CUDA)
        return "matrices of more than 32768 columns, or not of whole eights, are computed with on "
               "the CPU";
    return look.is_turned ? "matrices that lie column by column are computed with on the CPU"
                          : NULL;
}

const char *weir_device_output_refusal(const struct weir_model *model, enum weir_gpu_kind kind)
{
    if (kind == WEIR_GPU_CUDA && is_strange(&model->output))
        return "an output matrix of more than 32768 columns, or not of whole eights, is computed "
               "with on the CPU";
    return model->output.col_bytes > 0
               ? "an output matrix that lies column by column is computed with on the CPU"
               : NULL;
}
