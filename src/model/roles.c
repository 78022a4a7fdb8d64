/* roles.c - the tensors of all families: names, shapes, what they are for. */
#include "model/roles.h"

#define IN_MODEL(field) offsetof(struct weir_model, field)
#define IN_LAYER(field) offsetof(struct weir_layer, field)
#define WEIGHT WEIR_ROLE_WEIGHT
#define VECTOR WEIR_ROLE_VECTOR
#define STACK WEIR_ROLE_EXPERTS
#define HEADS WEIR_ROLE_HEADS
#define NORMED WEIR_INPUT_NORMED
#define ATTENDED WEIR_INPUT_ATTENDED
#define LOW WEIR_INPUT_LOW_QUERY
#define PLAIN WEIR_INPUT_PLAIN
#define MIXED WEIR_INPUT_MIXED
#define HIDDEN WEIR_INPUT_HIDDEN
#define GATHERED (WEIR_INPUT_NORMED | WEIR_INPUT_GATHERED)
#define ROUTED (WEIR_INPUT_NORMED | WEIR_INPUT_ROUTER)
#define GATED WEIR_INPUT_DELTA
#define ASIDE WEIR_INPUT_ASIDE
#define DIM(name) WEIR_DIM_##name
#define LAYER_INPUT WEIR_PART_LAYER_INPUT

const struct weir_role weir_model_roles[] = {
    {"token_embd.weight", WEIGHT, 0, false, 0, DIM(MODEL), DIM(VOCAB), IN_MODEL(token_embedding)},
    {"output.weight", WEIGHT, WEIR_PART_UNTIED, false, NORMED, DIM(MODEL), DIM(VOCAB),
     IN_MODEL(output)},
    {"output.weight", WEIGHT, 0, true, NORMED, DIM(MODEL), DIM(VOCAB), IN_MODEL(output)},
    {"per_layer_token_embd.weight", WEIGHT, LAYER_INPUT, false, 0, DIM(LAYER_INPUTS), DIM(VOCAB),
     IN_MODEL(layer_embedding)},
    {"per_layer_model_proj.weight", WEIGHT, LAYER_INPUT, false, NORMED, DIM(MODEL),
     DIM(LAYER_INPUTS), IN_MODEL(layer_projection)},
    {"per_layer_proj_norm.weight", VECTOR, LAYER_INPUT, false, 0, DIM(LAYER_INPUT), DIM(NONE),
     IN_MODEL(layer_projection_norm)},
    {"output_norm.weight", VECTOR, 0, false, 0, DIM(MODEL), DIM(NONE), IN_MODEL(output_norm)},
    {"rope_freqs.weight", VECTOR, 0, true, 0, DIM(ROT_HALF), DIM(NONE), IN_MODEL(rope_factors)},
    {"rope_factors_long.weight", VECTOR, 0, true, 0, DIM(ROT_HALF), DIM(NONE), IN_MODEL(rope_long)},
    {"rope_factors_short.weight", VECTOR, 0, true, 0, DIM(ROT_HALF), DIM(NONE),
     IN_MODEL(rope_short)},
};

#define ATTENTION WEIR_PART_ATTENTION
#define LATENT WEIR_PART_LATENT
#define PLAIN_QUERY WEIR_PART_PLAIN_QUERY
#define LOW_QUERY WEIR_PART_LOW_QUERY
#define SPLIT WEIR_PART_SPLIT_HEADS
#define JOINT WEIR_PART_JOINT_HEADS
#define OWN_KEYS (WEIR_PART_ATTENTION | WEIR_PART_OWN_KEYS)
#define HEAD_NORM (WEIR_PART_ATTENTION | WEIR_PART_HEAD_NORM)
#define WIDE_NORM (WEIR_PART_ATTENTION | WEIR_PART_WIDE_NORM)
#define DELTA WEIR_PART_DELTA
#define DELTA_PLAIN WEIR_PART_DELTA_PLAIN
#define DELTA_PACKED WEIR_PART_DELTA_PACKED
#define TWO_GATES WEIR_PART_DELTA_TWO_GATES
#define ONE_GATE WEIR_PART_DELTA_ONE_GATE
#define SINKS WEIR_PART_SINKS
#define POST_NORM WEIR_PART_POST_NORM
#define HEAD_GATE WEIR_PART_HEAD_GATE
#define VALUE_GATE WEIR_PART_VALUE_GATE
#define DENSE WEIR_PART_DENSE
#define EXPERTS WEIR_PART_EXPERTS
#define SHARED (WEIR_PART_EXPERTS | WEIR_PART_SHARED)
#define SHARED_GATE (SHARED | WEIR_PART_SHARED_GATE)
#define BESIDE (SHARED | WEIR_PART_BESIDE)
#define SELECTION_BIAS (WEIR_PART_EXPERTS | WEIR_PART_SELECTION_BIAS)

const struct weir_role weir_layer_roles[] = {
    {"attn_norm.weight", VECTOR, 0, false, 0, DIM(MODEL), DIM(NONE), IN_LAYER(mixer.norm)},
    {"attn_q.weight", WEIGHT, ATTENTION, false, NORMED, DIM(MODEL), DIM(Q), IN_LAYER(mixer.q)},
    {"attn_k.weight", WEIGHT, OWN_KEYS, false, NORMED, DIM(MODEL), DIM(K), IN_LAYER(mixer.k)},
    {"attn_v.weight", WEIGHT, OWN_KEYS, false, NORMED, DIM(MODEL), DIM(V), IN_LAYER(mixer.v)},
    {"attn_q.weight", WEIGHT, PLAIN_QUERY, false, NORMED, DIM(MODEL), DIM(Q), IN_LAYER(mixer.q)},
    {"attn_q_a.weight", WEIGHT, LOW_QUERY, false, NORMED, DIM(MODEL), DIM(LOW_QUERY),
     IN_LAYER(mixer.latent.q_down)},
    {"attn_q_a_norm.weight", VECTOR, LOW_QUERY, false, 0, DIM(LOW_QUERY), DIM(NONE),
     IN_LAYER(mixer.latent.q_norm)},
    {"attn_q_b.weight", WEIGHT, LOW_QUERY, false, LOW, DIM(LOW_QUERY), DIM(Q),
     IN_LAYER(mixer.latent.q_up)},
    {"attn_kv_a_mqa.weight", WEIGHT, LATENT, false, NORMED, DIM(MODEL), DIM(LATENT_ROW),
     IN_LAYER(mixer.latent.down)},
    {"attn_kv_a_norm.weight", VECTOR, LATENT, false, 0, DIM(LATENT), DIM(NONE),
     IN_LAYER(mixer.latent.norm)},
    {"attn_k_b.weight", HEADS, SPLIT, false, PLAIN, DIM(PLAIN), DIM(LATENT),
     IN_LAYER(mixer.latent.k_up)},
    {"attn_v_b.weight", HEADS, SPLIT, false, MIXED, DIM(LATENT), DIM(VALUE),
     IN_LAYER(mixer.latent.v_up)},
    {"attn_kv_b.weight", WEIGHT, JOINT, false, MIXED, DIM(LATENT), DIM(JOINT),
     IN_LAYER(mixer.latent.kv_up)},
    {"attn_output.weight", WEIGHT, ATTENTION, false, ATTENDED, DIM(ATTENDED), DIM(MODEL),
     IN_LAYER(mixer.out)},
    {"attn_output.weight", WEIGHT, LATENT, false, ATTENDED, DIM(ATTENDED), DIM(MODEL),
     IN_LAYER(mixer.out)},
    {"attn_qkv.weight", WEIGHT, DELTA_PLAIN, false, NORMED, DIM(MODEL), DIM(DELTA_KEY_VALUE),
     IN_LAYER(mixer.delta.mixed)},
    {"attn_gate.weight", WEIGHT, DELTA_PLAIN, false, NORMED, DIM(MODEL), DIM(DELTA_VALUE),
     IN_LAYER(mixer.delta.gate)},
    {"ssm_in.weight", WEIGHT, DELTA_PACKED, false, NORMED, DIM(MODEL), DIM(DELTA_PACKED),
     IN_LAYER(mixer.delta.packed)},
    {"ssm_beta.weight", WEIGHT, TWO_GATES, false, NORMED, DIM(MODEL), DIM(DELTA_HEADS),
     IN_LAYER(mixer.delta.beta)},
    {"ssm_alpha.weight", WEIGHT, TWO_GATES, false, NORMED, DIM(MODEL), DIM(DELTA_HEADS),
     IN_LAYER(mixer.delta.alpha)},
    {"ssm_ba.weight", WEIGHT, ONE_GATE, false, NORMED, DIM(MODEL), DIM(DELTA_HEADS_TWICE),
     IN_LAYER(mixer.delta.beta)},
    {"ssm_conv1d.weight", VECTOR, DELTA, false, 0, DIM(DELTA_TAPS), DIM(DELTA_KEY_VALUE),
     IN_LAYER(mixer.delta.taps)},
    {"ssm_a", VECTOR, DELTA, false, 0, DIM(DELTA_HEADS), DIM(NONE), IN_LAYER(mixer.delta.decay)},
    {"ssm_dt.bias", VECTOR, DELTA, false, 0, DIM(DELTA_HEADS), DIM(NONE),
     IN_LAYER(mixer.delta.dt_bias)},
    {"ssm_norm.weight", VECTOR, DELTA, false, 0, DIM(DELTA_HEAD), DIM(NONE),
     IN_LAYER(mixer.delta.norm)},
    {"ssm_out.weight", WEIGHT, DELTA, false, GATED, DIM(DELTA_VALUE), DIM(MODEL),
     IN_LAYER(mixer.delta.out)},
    {"attn_q_norm.weight", VECTOR, HEAD_NORM, false, 0, DIM(HEAD), DIM(NONE),
     IN_LAYER(mixer.q_norm)},
    {"attn_k_norm.weight", VECTOR, OWN_KEYS | HEAD_NORM, false, 0, DIM(HEAD), DIM(NONE),
     IN_LAYER(mixer.k_norm)},
    {"attn_q_norm.weight", VECTOR, WIDE_NORM, false, 0, DIM(Q), DIM(NONE), IN_LAYER(mixer.q_norm)},
    {"attn_k_norm.weight", VECTOR, WIDE_NORM, false, 0, DIM(K), DIM(NONE), IN_LAYER(mixer.k_norm)},
    {"attn_sinks.weight", VECTOR, SINKS, false, 0, DIM(HEADS), DIM(NONE), IN_LAYER(mixer.sinks)},
    {"attn_gate.weight", WEIGHT, HEAD_GATE, false, NORMED, DIM(MODEL), DIM(HEADS),
     IN_LAYER(mixer.gate)},
    {"attn_gate.weight", WEIGHT, VALUE_GATE, false, NORMED, DIM(MODEL), DIM(ATTENDED),
     IN_LAYER(mixer.gate)},
    {"post_attention_norm.weight", VECTOR, POST_NORM, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(mixer.post_norm)},
    {"post_ffw_norm.weight", VECTOR, POST_NORM, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.post_norm)},
    /* Before the network's norm, whose name is the dense network's where experts are beside it. */
    {"ffn_gate_inp.scale", VECTOR, BESIDE, false, 0, DIM(MODEL), DIM(NONE), IN_LAYER(network.norm)},
    {"pre_ffw_norm_2.weight", VECTOR, BESIDE, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.expert_norm)},
    {"ffn_norm.weight", VECTOR, BESIDE, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.shared_norm)},
    {"post_ffw_norm_1.weight", VECTOR, BESIDE, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.shared_post_norm)},
    {"post_ffw_norm_2.weight", VECTOR, BESIDE, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.expert_post_norm)},
    {"inp_gate.weight", WEIGHT, LAYER_INPUT, false, NORMED, DIM(MODEL), DIM(LAYER_INPUT),
     IN_LAYER(aside.gate)},
    {"proj.weight", WEIGHT, LAYER_INPUT, false, ASIDE, DIM(LAYER_INPUT), DIM(MODEL),
     IN_LAYER(aside.out)},
    {"post_norm.weight", VECTOR, LAYER_INPUT, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(aside.norm)},
    {"layer_output_scale.weight", VECTOR, 0, true, 0, DIM(NONE), DIM(NONE), IN_LAYER(output_scale)},
    {"ffn_norm.weight", VECTOR, 0, false, 0, DIM(MODEL), DIM(NONE), IN_LAYER(network.norm)},
    {"ffn_gate.weight", WEIGHT, DENSE, false, NORMED, DIM(MODEL), DIM(FFN), IN_LAYER(network.gate)},
    {"ffn_up.weight", WEIGHT, DENSE, false, NORMED, DIM(MODEL), DIM(FFN), IN_LAYER(network.up)},
    {"ffn_down.weight", WEIGHT, DENSE, false, HIDDEN, DIM(FFN), DIM(MODEL), IN_LAYER(network.down)},
    {"ffn_gate_inp.weight", WEIGHT, EXPERTS, false, ROUTED, DIM(MODEL), DIM(EXPERTS),
     IN_LAYER(network.router)},
    {"exp_probs_b.bias", VECTOR, SELECTION_BIAS, false, 0, DIM(EXPERTS), DIM(NONE),
     IN_LAYER(network.selection_bias)},
    {"ffn_gate_exps.weight", STACK, EXPERTS, false, GATHERED, DIM(MODEL), DIM(FFN_EXPERT),
     IN_LAYER(network.expert_gate)},
    {"ffn_up_exps.weight", STACK, EXPERTS, false, GATHERED, DIM(MODEL), DIM(FFN_EXPERT),
     IN_LAYER(network.expert_up)},
    {"ffn_down_exps.weight", STACK, EXPERTS, false, HIDDEN, DIM(FFN_EXPERT), DIM(MODEL),
     IN_LAYER(network.expert_down)},
    {"ffn_gate_inp_shexp.weight", VECTOR, SHARED_GATE, false, 0, DIM(MODEL), DIM(NONE),
     IN_LAYER(network.shared_router)},
    {"ffn_gate_shexp.weight", WEIGHT, SHARED, false, NORMED, DIM(MODEL), DIM(FFN_SHARED),
     IN_LAYER(network.shared_gate)},
    {"ffn_up_shexp.weight", WEIGHT, SHARED, false, NORMED, DIM(MODEL), DIM(FFN_SHARED),
     IN_LAYER(network.shared_up)},
    {"ffn_down_shexp.weight", WEIGHT, SHARED, false, HIDDEN, DIM(FFN_SHARED), DIM(MODEL),
     IN_LAYER(network.shared_down)},
};

const struct weir_alias weir_aliases[] = {
    {OWN_KEYS, "attn_qkv.weight", {"attn_q.weight", "attn_k.weight", "attn_v.weight"}},
    {EXPERTS, "ffn_gate_up_exps.weight", {"ffn_gate_exps.weight", "ffn_up_exps.weight"}},
    {SHARED, "ffn_gate_up_shexp.weight", {"ffn_gate_shexp.weight", "ffn_up_shexp.weight"}},
    {EXPERTS, "exp_probs_b", {"exp_probs_b.bias"}},
    {BESIDE, "ffn_gate.weight", {"ffn_gate_shexp.weight"}},
    {BESIDE, "ffn_up.weight", {"ffn_up_shexp.weight"}},
    {BESIDE, "ffn_down.weight", {"ffn_down_shexp.weight"}},
    {WEIR_PART_DENSE | WEIR_PART_FUSED_UP, "ffn_up.weight", {"ffn_gate.weight", "ffn_up.weight"}},
    {WEIR_PART_LATE_NORM, "post_attention_norm.weight", {"ffn_norm.weight"}},
};

const struct weir_biased weir_biased[] = {
    {WEIR_PART_QKV_BIAS, "attn_q.weight"},        {WEIR_PART_QKV_BIAS, "attn_k.weight"},
    {WEIR_PART_QKV_BIAS, "attn_v.weight"},        {WEIR_PART_FULL_BIAS, "attn_output.weight"},
    {WEIR_PART_FULL_BIAS, "ffn_gate_inp.weight"}, {WEIR_PART_FULL_BIAS, "ffn_gate_exps.weight"},
    {WEIR_PART_FULL_BIAS, "ffn_up_exps.weight"},  {WEIR_PART_FULL_BIAS, "ffn_down_exps.weight"},
};

const struct weir_waived weir_waived[] = {
    {WEIR_PART_KEYS_AS_VALUES, "attn_v.weight"},
    {WEIR_PART_PARALLEL, "ffn_norm.weight"},
};

const size_t weir_model_role_count = WEIR_COUNT(weir_model_roles);
const size_t weir_layer_role_count = WEIR_COUNT(weir_layer_roles);
const size_t weir_alias_count = WEIR_COUNT(weir_aliases);
const size_t weir_biased_count = WEIR_COUNT(weir_biased);
const size_t weir_waived_count = WEIR_COUNT(weir_waived);

/* Two families may keep tensors of different shapes in one place. */
static bool is_twin(const struct weir_role *roles, size_t row)
{
    for (size_t before = 0; before < row; before++)
        if (roles[before].place == roles[row].place)
            return true;
    return false;
}

static void visit(const struct weir_role *roles, size_t count, const void *base, weir_role_fn *fn,
                  void *user)
{
    for (size_t row = 0; row < count; row++) {
        const void *place = (const char *)base + roles[row].place;
        const struct weir_weight *weight = place;
        const struct weir_vector *vector = place;
        const bool is_there =
            roles[row].kind == WEIR_ROLE_VECTOR ? vector->tensor != NULL : weight->cols != 0;
        if (is_there && !is_twin(roles, row))
            fn(user, &roles[row]);
    }
}

void weir_roles_visit_layer(const struct weir_layer *layer, weir_role_fn *fn, void *user)
{
    visit(weir_layer_roles, weir_layer_role_count, layer, fn, user);
}

void weir_roles_visit_model(const struct weir_model *model, weir_role_fn *fn, void *user)
{
    visit(weir_model_roles, weir_model_role_count, model, fn, user);
}
