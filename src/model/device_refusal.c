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

/* Why a net has no kernels there. */
static const char *refuse_delta(const struct weir_delta_shape *shape, enum weir_gpu_kind kind)
{
    const uint64_t width = 2 * (uint64_t)shape->n_key_head * shape->d_key +
                           (uint64_t)shape->n_value_head * shape->d_value;
    if (shape->d_key > WEIR_GPU_DELTA_KEY_MAX || shape->n_tap > WEIR_GPU_TAPS_MAX)
        return "gated delta nets with keys of more than 128 values, or more than 8 taps, are "
               "computed on the CPU";
    return kind == WEIR_GPU_CUDA && (shape->d_key % 4 != 0 || width % 4 != 0)
               ? "gated delta nets whose widths are no whole fours are computed on the CPU"
               : NULL;
}

/* The same of latent attention, whose heads pass matrices of their own. */
static const char *refuse_latent(const struct weir_model *model, const struct weir_mixer *mixer,
                                 enum weir_gpu_kind kind)
{
    const struct weir_latent_shape *shape = &mixer->latent.shape;
    if (mixer->n_head != model->shape.n_head || mixer->n_head > WEIR_GPU_EXPERT_MAX)
        return "latent attention of more than 1024 heads is computed on the CPU";
    if (kind == WEIR_GPU_CUDA && (shape->d_plain % 8 != 0 || shape->d_latent % 8 != 0 ||
                                  shape->d_turned % 4 != 0 || mixer->d_value % 4 != 0))
        return "latent attention whose widths are no whole eights is computed on the CPU";
    return shape->d_latent + shape->d_turned > WEIR_GPU_HEAD_MAX ||
                   shape->d_latent > WEIR_GPU_VALUE_MAX
               ? "latent values of more than 512, or keys of more than 576, are computed with on "
                 "the CPU"
               : NULL;
}

const char *weir_device_refusal(const struct weir_model *model, uint32_t layer,
                                enum weir_gpu_kind kind, enum weir_kv kv)
{
    const struct weir_layer *at = &model->layers[layer];
    const struct weir_mixer *mixer = &at->mixer;
    struct look look = {.layer = at};
    const char *why = mixer->kind == WEIR_MIXER_LATENT  ? refuse_latent(model, mixer, kind)
                      : mixer->kind == WEIR_MIXER_DELTA ? refuse_delta(&mixer->delta.shape, kind)
                                                        : NULL;
    if (why != NULL)
        return why;
    if (mixer->kind != WEIR_MIXER_DELTA && kv != WEIR_KV_F16 && kv != WEIR_KV_Q8_0 &&
        kv != WEIR_KV_Q4_0)
        return "keys and values (--kv) that are neither f16 nor q8_0 nor q4_0 are computed with on "
               "the CPU";
    if (mixer->kind == WEIR_MIXER_ATTENTION &&
        (mixer->d_head > WEIR_GPU_HEAD_MAX || mixer->d_value > WEIR_GPU_VALUE_MAX))
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
