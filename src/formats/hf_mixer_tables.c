/* hf_mixer_tables.c - what Hugging Face directories call keys and tensors in families whose mixers
 * are their own. Sources: as hf_tables.c has them. */
#include "formats/hf_tables.h"

#define LAYER HF_LAYER
#define BLOCK HF_BLOCK

/* ---- gated delta nets: qwen3_next, qwen3_5 --------------------------------------------------- */

const struct hf_key weir_hf_delta_keys[] = {
    {.name = "linear_conv_kernel_dim", .carry = HF_COUNT, .key = "ssm.conv_kernel"},
    {.name = "linear_key_head_dim", .carry = HF_COUNT, .key = "ssm.state_size"},
    {.name = "linear_num_key_heads", .carry = HF_COUNT, .key = "ssm.group_count"},
    {.name = "linear_num_value_heads", .carry = HF_COUNT, .key = "ssm.time_step_rank"},
    {.name = "linear_value_head_dim",
     .carry = HF_PRODUCT,
     .other = "linear_num_value_heads",
     .key = "ssm.inner_size"},
    {.name = "full_attention_interval", .carry = HF_COUNT, .key = "full_attention_interval"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.recurrent_layers",
     .word = "linear_attention"},
    {.name = "norm_topk_prob", .carry = HF_FLAG, .key = "expert_weights_norm"},
    {.name = "attn_output_gate", .carry = HF_ON},
    {.name = "mamba_ssm_dtype"}, /* states are f32 */
    {.name = "mtp_num_hidden_layers"},
    {.name = "mtp_use_dedicated_embeddings"},
    {0},
};

/* Weights of norms are what 1 is added to, but those of what delta nets give. */
const struct hf_tensor weir_hf_delta_tensors[] = {
    {"model.norm.weight", "output_norm.weight", HF_PLUS_ONE},
    {LAYER "input_layernorm.weight", BLOCK "attn_norm.weight", HF_PLUS_ONE},
    {LAYER "post_attention_layernorm.weight", BLOCK "post_attention_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.q_norm.weight", BLOCK "attn_q_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.k_norm.weight", BLOCK "attn_k_norm.weight", HF_PLUS_ONE},
    {LAYER "linear_attn.in_proj_qkvz.weight", BLOCK "ssm_in.weight", HF_PLAIN},
    {LAYER "linear_attn.in_proj_ba.weight", BLOCK "ssm_ba.weight", HF_PLAIN},
    {LAYER "linear_attn.in_proj_qkv.weight", BLOCK "attn_qkv.weight", HF_PLAIN},
    {LAYER "linear_attn.in_proj_z.weight", BLOCK "attn_gate.weight", HF_PLAIN},
    {LAYER "linear_attn.in_proj_b.weight", BLOCK "ssm_beta.weight", HF_PLAIN},
    {LAYER "linear_attn.in_proj_a.weight", BLOCK "ssm_alpha.weight", HF_PLAIN},
    {LAYER "linear_attn.conv1d.weight", BLOCK "ssm_conv1d.weight", HF_SQUEEZE},
    {LAYER "linear_attn.A_log", BLOCK "ssm_a", HF_MINUS_EXP},
    {LAYER "linear_attn.dt_bias", BLOCK "ssm_dt.bias", HF_PLAIN},
    {LAYER "linear_attn.norm.weight", BLOCK "ssm_norm.weight", HF_PLAIN},
    {LAYER "linear_attn.out_proj.weight", BLOCK "ssm_out.weight", HF_PLAIN},
    {0},
};

/* ---- gemma ----------------------------------------------------------------------------------- */

const struct hf_key weir_hf_gemma_keys[] = {
    {.name = "hidden_activation", .carry = HF_WORD, .word = "gelu_pytorch_tanh"},
    {.name = "hidden_act", .carry = HF_WORD, .word = "gelu_pytorch_tanh"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "attn_logit_softcapping", .carry = HF_REAL, .key = "attn_logit_softcapping"},
    {.name = "final_logit_softcapping", .carry = HF_REAL, .key = "final_logit_softcapping"},
    {.name = "query_pre_attn_scalar", .carry = HF_RSQRT, .key = "attention.scale"},
    /* Of pictures, whose parts see each other. */
    {.name = "use_bidirectional_attention", .carry = HF_OFF, .word = "vision"},
    {.name = "cache_implementation"},
    {.name = "_sliding_window_pattern"}, /* layer_types has it, or it is the family's */
    {0},
};

/* What the family's class has where a file says nothing. */
const struct hf_key weir_hf_gemma2_keys[] = {
    {.name = "attn_logit_softcapping",
     .carry = HF_REAL,
     .key = "attn_logit_softcapping",
     .has_fallback = true,
     .fallback = 50.0},
    {.name = "final_logit_softcapping",
     .carry = HF_REAL,
     .key = "final_logit_softcapping",
     .has_fallback = true,
     .fallback = 30.0},
    {0},
};

#define FALLBACK(name_, carry_, key_, value_)                                                      \
    {                                                                                              \
        .name = name_, .carry = carry_, .key = key_, .has_fallback = true, .fallback = value_      \
    }

/* The same: files of this family are known to say little. */
const struct hf_key weir_hf_gemma3_keys[] = {
    FALLBACK("num_attention_heads", HF_COUNT, "attention.head_count", 8),
    FALLBACK("num_key_value_heads", HF_COUNT, "attention.head_count_kv", 4),
    FALLBACK("head_dim", HF_COUNT, "attention.key_length", 256),
    FALLBACK("head_dim", HF_COUNT, "attention.value_length", 256),
    FALLBACK("max_position_embeddings", HF_COUNT, "context_length", 131072),
    FALLBACK("rms_norm_eps", HF_REAL, "attention.layer_norm_rms_epsilon", 1e-6),
    FALLBACK("query_pre_attn_scalar", HF_RSQRT, "attention.scale", 0.0625),
    FALLBACK("sliding_window", HF_COUNT, "attention.sliding_window", 4096),
    {.name = "sliding_window_pattern",
     .carry = HF_COUNT,
     .key = "attention.sliding_window_pattern",
     .when = "!layer_types"},
    {0},
};

const struct hf_key weir_hf_gemma4_keys[] = {
    {.name = "head_dim", .carry = HF_COUNT, .key = "attention.key_length_swa"},
    {.name = "head_dim", .carry = HF_COUNT, .key = "attention.value_length_swa"},
    {.name = "global_head_dim",
     .carry = HF_FULL,
     .other = "head_dim",
     .key = "attention.key_length",
     .has_fallback = true,
     .fallback = 512},
    {.name = "global_head_dim",
     .carry = HF_FULL,
     .other = "head_dim",
     .key = "attention.value_length",
     .has_fallback = true,
     .fallback = 512},
    {.name = "num_global_key_value_heads",
     .carry = HF_FULL_LAYERS,
     .other = "num_key_value_heads",
     .key = "attention.head_count_kv",
     .when = "attention_k_eq_v"},
    {.name = "num_key_value_heads"}, /* by the row above */
    {.name = "attention_k_eq_v"},    /* and by the tensors */
    FALLBACK("hidden_size_per_layer_input", HF_COUNT, "embedding_length_per_layer_input", 256),
    {.name = "num_kv_shared_layers", .carry = HF_COUNT, .key = "attention.shared_kv_layers"},
    {.name = "use_double_wide_mlp"}, /* by these: */
    {.name = "intermediate_size",
     .carry = HF_COUNT,
     .key = "feed_forward_length",
     .when = "!use_double_wide_mlp"},
    {.name = "intermediate_size",
     .carry = HF_TWICE_LAST,
     .other = "num_kv_shared_layers",
     .key = "feed_forward_length",
     .when = "use_double_wide_mlp"},
    {.name = "vocab_size_per_layer_input"},
    {.name = "enable_moe_block"},
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count", .when = "enable_moe_block"},
    {.name = "top_k_experts",
     .carry = HF_COUNT,
     .key = "expert_used_count",
     .when = "enable_moe_block"},
    {.name = "moe_intermediate_size",
     .carry = HF_COUNT,
     .key = "expert_feed_forward_length",
     .when = "enable_moe_block"},
    {.name = "expert_intermediate_size",
     .carry = HF_COUNT,
     .key = "expert_feed_forward_length",
     .when = "enable_moe_block"},
    {0},
};

/* As above, weights of norms are what 1 is added to. */
const struct hf_tensor weir_hf_gemma_tensors[] = {
    {"model.norm.weight", "output_norm.weight", HF_PLUS_ONE},
    {LAYER "input_layernorm.weight", BLOCK "attn_norm.weight", HF_PLUS_ONE},
    {LAYER "post_attention_layernorm.weight", BLOCK "post_attention_norm.weight", HF_PLUS_ONE},
    {LAYER "pre_feedforward_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLUS_ONE},
    {LAYER "post_feedforward_layernorm.weight", BLOCK "post_ffw_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.q_norm.weight", BLOCK "attn_q_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.k_norm.weight", BLOCK "attn_k_norm.weight", HF_PLUS_ONE},
    {0},
};

const struct hf_tensor weir_hf_gemma4_tensors[] = {
    {LAYER "post_attention_layernorm.weight", BLOCK "post_attention_norm.weight", HF_PLAIN},
    {LAYER "pre_feedforward_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLAIN},
    {LAYER "post_feedforward_layernorm.weight", BLOCK "post_ffw_norm.weight", HF_PLAIN},
    {LAYER "pre_feedforward_layernorm_2.weight", BLOCK "pre_ffw_norm_2.weight", HF_PLAIN},
    {LAYER "post_feedforward_layernorm_1.weight", BLOCK "post_ffw_norm_1.weight", HF_PLAIN},
    {LAYER "post_feedforward_layernorm_2.weight", BLOCK "post_ffw_norm_2.weight", HF_PLAIN},
    {LAYER "router.proj.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "router.scale", BLOCK "ffn_gate_inp.scale", HF_PLAIN},
    {LAYER "router.per_expert_scale", BLOCK "ffn_down_exps.scale", HF_PLAIN},
    {LAYER "experts.gate_up_proj", BLOCK "ffn_gate_up_exps.weight", HF_PLAIN},
    {LAYER "experts.down_proj", BLOCK "ffn_down_exps.weight", HF_PLAIN},
    {LAYER "layer_scalar", BLOCK "layer_output_scale.weight", HF_PLAIN},
    {"model.embed_tokens_per_layer.weight", "per_layer_token_embd.weight", HF_PLAIN},
    {"model.per_layer_model_projection.weight", "per_layer_model_proj.weight", HF_PLAIN},
    {"model.per_layer_projection_norm.weight", "per_layer_proj_norm.weight", HF_PLAIN},
    {LAYER "per_layer_input_gate.weight", BLOCK "inp_gate.weight", HF_PLAIN},
    {LAYER "per_layer_projection.weight", BLOCK "proj.weight", HF_PLAIN},
    {LAYER "post_per_layer_input_norm.weight", BLOCK "post_norm.weight", HF_PLAIN},
    {0},
};

/* ---- latent attention ------------------------------------------------------------------------ */

/* As older GGUF files have them: the widths of a head, and one matrix for keys and values. */
const struct hf_key weir_hf_latent_keys[] = {
    {.name = "kv_lora_rank", .carry = HF_COUNT, .key = "attention.kv_lora_rank"},
    {.name = "q_lora_rank", .carry = HF_COUNT, .key = "attention.q_lora_rank"},
    {.name = "qk_nope_head_dim",
     .carry = HF_SUM,
     .other = "qk_rope_head_dim",
     .key = "attention.key_length"},
    {.name = "qk_rope_head_dim", .carry = HF_COUNT, .key = "rope.dimension_count"},
    {.name = "v_head_dim", .carry = HF_COUNT, .key = "attention.value_length"},
    {.name = "rope_interleave", .carry = HF_FLAG, .key = "rope.interleaved"},
    {.name = "head_dim"}, /* one or the other of those above */
    {.name = "qk_head_dim"},
    {.name = "mlp_layer_types"}, /* the tensors say it */
    {.name = "moe_layer_freq", .carry = HF_ON, .on = 1},
    {.name = "num_mtp_layers"},
    {.name = "num_local_experts", .carry = HF_COUNT, .key = "expert_count"},
    /* Of training, and of how experts are spread over machines: */
    {.name = "aux_loss_alpha"},
    {.name = "ep_size"},
    {.name = "seq_aux"},
    {0},
};

/* A group counts as much as its best expert; greedy: there are none. Weights are as softmax gave
 * them. */
const struct hf_key weir_hf_deepseek2_keys[] = {
    {.name = "topk_method", .carry = HF_CHOICE, .word = "greedy|group_limited_greedy"},
    {.name = "n_group",
     .carry = HF_COUNT,
     .key = "expert_group_count",
     .when = "topk_method=group_limited_greedy"},
    {.name = "topk_group",
     .carry = HF_COUNT,
     .key = "expert_group_used_count",
     .when = "topk_method=group_limited_greedy"},
    {.name = "norm_topk_prob", .carry = HF_OFF},
    {.name = "scoring_func", .carry = HF_WORD, .word = "softmax"},
    FALLBACK("routed_scaling_factor", HF_REAL, "expert_weights_scale", 1.0),
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {0},
};

const struct hf_key weir_hf_deepseek3_keys[] = {
    {.name = "topk_method", .carry = HF_WORD, .word = "noaux_tc"},
    {.name = "scoring_func",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func",
     .has_fallback = true,
     .fallback = 2},
    FALLBACK("norm_topk_prob", HF_FLAG, "expert_weights_norm", 1),
    {0},
};

const struct hf_key weir_hf_mistral4_keys[] = {
    FALLBACK("norm_topk_prob", HF_FLAG, "expert_weights_norm", 1),
    {.name = "first_k_dense_replace", .carry = HF_OFF},
    {0},
};

const struct hf_tensor weir_hf_latent_tensors[] = {
    {LAYER "self_attn.q_a_proj.weight", BLOCK "attn_q_a.weight", HF_PLAIN},
    {LAYER "self_attn.q_a_layernorm.weight", BLOCK "attn_q_a_norm.weight", HF_PLAIN},
    {LAYER "self_attn.q_b_proj.weight", BLOCK "attn_q_b.weight", HF_PLAIN},
    {LAYER "self_attn.kv_a_proj_with_mqa.weight", BLOCK "attn_kv_a_mqa.weight", HF_PLAIN},
    {LAYER "self_attn.kv_a_layernorm.weight", BLOCK "attn_kv_a_norm.weight", HF_PLAIN},
    {LAYER "self_attn.kv_b_proj.weight", BLOCK "attn_kv_b.weight", HF_PLAIN},
    {LAYER "self_attn.q_a_proj.bias", BLOCK "attn_q_a.bias", HF_PLAIN},
    {LAYER "self_attn.kv_a_proj_with_mqa.bias", BLOCK "attn_kv_a_mqa.bias", HF_PLAIN},
    {0},
};

/* ---- others ---------------------------------------------------------------------------------- */

const struct hf_key weir_hf_phi3_keys[] = {
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "original_max_position_embeddings"}, /* hf_rope.c */
    {.name = "embd_pdrop"},                       /* of training */
    {.name = "resid_pdrop"},
    {0},
};

const struct hf_tensor weir_hf_phi3_tensors[] = {
    {LAYER "self_attn.qkv_proj.weight", BLOCK "attn_qkv.weight", HF_PLAIN},
    {LAYER "mlp.gate_up_proj.weight", BLOCK "ffn_up.weight", HF_PLAIN},
    {0},
};

const struct hf_key weir_hf_smollm3_keys[] = {
    {.name = "no_rope_layers", .carry = HF_EVERY, .on = 4},
    {.name = "no_rope_layer_interval", .carry = HF_ON, .on = 4, .when = "!no_rope_layers"},
    {0},
};
