/* hf_network_tables.c - what Hugging Face directories call keys and tensors in families whose
 * networks are their own. Sources: as hf_tables.c has them. */
#include "formats/hf_tables.h"

#define LAYER HF_LAYER
#define BLOCK HF_BLOCK
#define FALLBACK(name_, carry_, key_, value_)                                                      \
    {                                                                                              \
        .name = name_, .carry = carry_, .key = key_, .has_fallback = true, .fallback = value_      \
    }

/* ---- granite, granitemoe, granitemoeshared --------------------------------------------------- */

const struct hf_key weir_hf_granite_keys[] = {
    FALLBACK("embedding_multiplier", HF_REAL, "embedding_scale", 1.0),
    FALLBACK("attention_multiplier", HF_REAL, "attention.scale", 1.0),
    FALLBACK("residual_multiplier", HF_REAL, "residual_scale", 1.0),
    FALLBACK("logits_scaling", HF_REAL, "logit_scale", 1.0),
    {.name = "shared_intermediate_size",
     .carry = HF_COUNT,
     .key = "expert_shared_feed_forward_length"},
    {.name = "position_embedding_type", .carry = HF_WORD, .word = "rope"},
    {0},
};

const struct hf_tensor weir_hf_granite_tensors[] = {
    {LAYER "block_sparse_moe.router.layer.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "block_sparse_moe.input_linear.weight", BLOCK "ffn_gate_up_exps.weight", HF_PLAIN},
    {LAYER "block_sparse_moe.output_linear.weight", BLOCK "ffn_down_exps.weight", HF_PLAIN},
    {LAYER "shared_mlp.input_linear.weight", BLOCK "ffn_gate_up_shexp.weight", HF_PLAIN},
    {LAYER "shared_mlp.output_linear.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {0},
};

/* ---- ernie4_5_moe ---------------------------------------------------------------------------- */

const struct hf_key weir_hf_ernie_keys[] = {
    {.name = "moe_num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "moe_k", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "moe_intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "moe_num_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "moe_layer_start_index", .carry = HF_COUNT, .key = "leading_dense_block_count"},
    {.name = "moe_layer_interval", .carry = HF_COUNT, .key = "interleave_moe_layer_step"},
    {.name = "moe_layer_end_index"}, /* the tensors say which layers have experts */
    {.name = "moe_use_aux_free"},    /* and which have a bias that chooses */
    {.name = "use_bias"},
    {.name = "moe_norm_min"}, /* below any sum of what a softmax gives */
    {.name = "moe_capacity"}, /* of training */
    {.name = "output_router_logits"},
    {.name = "router_aux_loss_coef"},
    {.name = "num_nextn_predict_layers"},
    {0},
};

const struct hf_tensor weir_hf_ernie_tensors[] = {
    {LAYER "mlp.moe_statics.e_score_correction_bias", BLOCK "exp_probs_b.bias", HF_VECTOR},
    {"model.mtp_*", NULL, HF_SKIP}, /* guesses of further tokens */
    {0},
};

/* ---- dots1 ----------------------------------------------------------------------------------- */

const struct hf_key weir_hf_dots_keys[] = {
    {.name = "sliding_window", .carry = HF_OFF, .when = "!layer_types"},
    {.name = "max_window_layers"},
    {.name = "scoring_func",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    {.name = "topk_method", .carry = HF_WORD, .word = "noaux_tc"},
    {.name = "num_local_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "moe_layer_freq", .carry = HF_ON, .on = 1},
    {.name = "aux_loss_alpha"},
    {.name = "ep_size"},
    {.name = "seq_aux"},
    {0},
};

/* ---- hunyuan_v1_moe -------------------------------------------------------------------------- */

const struct hf_key weir_hf_hunyuan_keys[] = {
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_local_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "moe_topk", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "num_experts_per_tok", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "moe_intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "attention_head_dim", .carry = HF_COUNT, .key = "attention.key_length"},
    {.name = "attention_head_dim", .carry = HF_COUNT, .key = "attention.value_length"},
    {.name = "rope_theta"},        /* hf_rope.c, with an alpha */
    {.name = "num_shared_expert"}, /* the tensors say these */
    {.name = "use_mixed_mlp_moe"},
    {.name = "use_qk_norm"},
    {.name = "norm_type", .carry = HF_WORD, .word = "rms"},
    {.name = "use_rotary_pos_emb", .carry = HF_ON},
    {.name = "use_cla", .carry = HF_OFF},
    {.name = "cla_share_factor"},
    {.name = "position_embedding_xdrope", .carry = HF_OFF},
    {.name = "moe_layer_num_skipped", .carry = HF_OFF},
    {.name = "moe_drop_tokens", .carry = HF_OFF},
    {.name = "moe_random_routing_dropped_token", .carry = HF_OFF},
    {.name = "group_limited_greedy", .carry = HF_OFF},
    {.name = "output_router_logits"},
    {.name = "eod_token_id"},
    {.name = "sep_token_id"},
    {0},
};

const struct hf_tensor weir_hf_hunyuan_tensors[] = {
    {LAYER "mlp.gate.wg.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "mlp.shared_mlp.gate_proj.weight", BLOCK "ffn_gate_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_mlp.up_proj.weight", BLOCK "ffn_up_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_mlp.down_proj.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {LAYER "self_attn.query_layernorm.weight", BLOCK "attn_q_norm.weight", HF_PLAIN},
    {LAYER "self_attn.key_layernorm.weight", BLOCK "attn_k_norm.weight", HF_PLAIN},
    {0},
};

/* ---- exaone_moe ------------------------------------------------------------------------------ */

const struct hf_key weir_hf_exaone_keys[] = {
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "sliding_window_pattern",
     .carry = HF_WORD,
     .word = "LLLG",
     .on = 4,
     .when = "!layer_types"},
    {.name = "mlp_layer_types"}, /* the tensors say it */
    {.name = "scoring_func",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    FALLBACK("norm_topk_prob", HF_FLAG, "expert_weights_norm", 1),
    {.name = "is_moe_layer"},
    {0},
};

const struct hf_tensor weir_hf_exaone_tensors[] = {
    {LAYER "mlp.e_score_correction_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {0},
};

/* ---- bailing_moe, bailing_moe_v2 ------------------------------------------------------------- */

const struct hf_key weir_hf_bailing_keys[] = {
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "moe_shared_expert_intermediate_size",
     .carry = HF_COUNT,
     .key = "expert_shared_feed_forward_length"},
    {.name = "score_function",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    {.name = "moe_router_enable_expert_bias"}, /* the tensors say these */
    {.name = "use_bias"},
    {.name = "use_qkv_bias"},
    {.name = "rotary_dim"}, /* what partial_rotary_factor makes of a head */
    {.name = "use_rmsnorm", .carry = HF_ON},
    {.name = "norm_head", .carry = HF_OFF},
    {.name = "norm_softmax", .carry = HF_OFF},
    {.name = "moe_router_enable_shared_expert", .carry = HF_ON},
    {.name = "rope_interleave", .carry = HF_OFF},
    {.name = "use_sliding_window", .carry = HF_OFF},
    {.name = "sliding_window"},
    {.name = "max_window_layers"},
    {.name = "embedding_dropout"}, /* of training */
    {.name = "output_dropout"},
    {.name = "router_dtype"},
    {.name = "mtp_loss_scaling_factor"},
    {0},
};

const struct hf_tensor weir_hf_bailing_tensors[] = {
    {"model.word_embeddings.weight", "token_embd.weight", HF_PLAIN},
    {LAYER "post_attention_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLAIN},
    {LAYER "attention.query_key_value.weight", BLOCK "attn_qkv.weight", HF_PLAIN},
    {LAYER "attention.query_key_value.bias", BLOCK "attn_qkv.bias", HF_PLAIN},
    {LAYER "attention.dense.weight", BLOCK "attn_output.weight", HF_PLAIN},
    {LAYER "attention.dense.bias", BLOCK "attn_output.bias", HF_PLAIN},
    {LAYER "attention.query_layernorm.weight", BLOCK "attn_q_norm.weight", HF_PLAIN},
    {LAYER "attention.key_layernorm.weight", BLOCK "attn_k_norm.weight", HF_PLAIN},
    {LAYER "mlp.gate.expert_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {0},
};

/* ---- afmoe ----------------------------------------------------------------------------------- */

const struct hf_key weir_hf_afmoe_keys[] = {
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "num_dense_layers", .carry = HF_COUNT, .key = "leading_dense_block_count"},
    {.name = "route_scale", .carry = HF_REAL, .key = "expert_weights_scale"},
    FALLBACK("route_norm", HF_FLAG, "expert_weights_norm", 1),
    {.name = "score_func",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    {.name = "mup_enabled", .carry = HF_ON},
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "global_attn_every_n_layers",
     .carry = HF_COUNT,
     .key = "attention.sliding_window_pattern",
     .when = "!layer_types"},
    {.name = "num_expert_groups", .carry = HF_ON, .on = 1},
    {.name = "num_limited_groups", .carry = HF_ON, .on = 1},
    {.name = "n_group", .carry = HF_ON, .on = 1},
    {.name = "topk_group", .carry = HF_ON, .on = 1},
    {.name = "load_balance_coeff"}, /* of training */
    {.name = "use_grouped_mm"},
    {0},
};

const struct hf_tensor weir_hf_afmoe_tensors[] = {
    {LAYER "post_attention_layernorm.weight", BLOCK "post_attention_norm.weight", HF_PLAIN},
    {LAYER "pre_mlp_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLAIN},
    {LAYER "post_mlp_layernorm.weight", BLOCK "post_ffw_norm.weight", HF_PLAIN},
    {LAYER "self_attn.gate_proj.weight", BLOCK "attn_gate.weight", HF_PLAIN},
    {LAYER "mlp.router.gate.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "mlp.expert_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {0},
};

/* ---- cohere2_moe ----------------------------------------------------------------------------- */

/* The dense layers before those with experts have a width of their own. */
const struct hf_key weir_hf_cohere_keys[] = {
    {.name = "prefix_dense_intermediate_size", .carry = HF_COUNT, .key = "feed_forward_length"},
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "num_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "layer_norm_eps", .carry = HF_REAL, .key = "attention.layer_norm_epsilon"},
    {.name = "logit_scale", .carry = HF_REAL, .key = "logit_scale"},
    {.name = "expert_selection_fn",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    {.name = "shared_expert_combination_strategy", .carry = HF_WORD, .word = "average"},
    FALLBACK("norm_topk_prob", HF_FLAG, "expert_weights_norm", 1),
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "sliding_window_pattern", .carry = HF_OFF, .when = "!layer_types"},
    {.name = "prefix_dense_sliding_window_pattern"}, /* layer_types has it */
    {.name = "mlp_layer_types",
     .carry = HF_LEAD,
     .key = "leading_dense_block_count",
     .word = "dense"},
    {.name = "first_k_dense_replace",
     .carry = HF_COUNT,
     .key = "leading_dense_block_count",
     .when = "!mlp_layer_types"},
    {0},
};

/* ---- gpt_oss --------------------------------------------------------------------------------- */

const struct hf_key weir_hf_oss_keys[] = {
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "feed_forward_length"},
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "experts_per_token", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "swiglu_limit", .carry = HF_REAL, .key = "swiglu_clamp_exp"},
    {.name = "swiglu_alpha", .carry = HF_ON, .on = 1.702},
    {.name = "initial_context_length"}, /* rope_scaling has it too */
    {0},
};

const struct hf_tensor weir_hf_oss_tensors[] = {
    {LAYER "self_attn.sinks", BLOCK "attn_sinks.weight", HF_PLAIN},
    {LAYER "mlp.router.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "mlp.router.bias", BLOCK "ffn_gate_inp.bias", HF_PLAIN},
    {LAYER "mlp.experts.gate_up_proj_blocks", BLOCK "ffn_gate_up_exps.weight", HF_TURNS},
    {LAYER "mlp.experts.gate_up_proj_bias", BLOCK "ffn_gate_up_exps.bias", HF_TURNS},
    {LAYER "mlp.experts.down_proj_blocks", BLOCK "ffn_down_exps.weight", HF_PLAIN},
    {LAYER "mlp.experts.down_proj_bias", BLOCK "ffn_down_exps.bias", HF_PLAIN},
    {LAYER "mlp.experts.gate_up_proj", BLOCK "ffn_gate_up_exps.weight", HF_TURNED_TURNS},
    {LAYER "mlp.experts.down_proj", BLOCK "ffn_down_exps.weight", HF_TURNED},
    {0},
};

/* ---- llama4 ---------------------------------------------------------------------------------- */

const struct hf_key weir_hf_llama4_keys[] = {
    {.name = "intermediate_size_mlp", .carry = HF_COUNT, .key = "feed_forward_length"},
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "interleave_moe_layer_step", .carry = HF_COUNT, .key = "interleave_moe_layer_step"},
    {.name = "moe_layers"}, /* the tensors say it */
    {.name = "attention_chunk_size", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "chunked_attention"},
    {.name = "no_rope_layers", .carry = HF_EVERY, .on = 4, .when = "no_rope_layers"},
    {.name = "no_rope_layer_interval", .carry = HF_ON, .on = 4, .when = "!no_rope_layers"},
    {.name = "attn_temperature_tuning", .carry = HF_ON, .on = 4},
    {.name = "attn_scale", .carry = HF_ON, .on = 0.1},
    {.name = "floor_scale", .carry = HF_COUNT, .key = "attention.temperature_length"},
    /* What GGUF files mean by the number of experts: */
    {.name = "use_qk_norm", .carry = HF_ON, .when = "!num_local_experts=128"},
    {.name = "use_qk_norm", .carry = HF_OFF, .when = "num_local_experts=128"},
    {.name = "cache_implementation"},
    {.name = "for_llm_compressor"},
    {0},
};

const struct hf_tensor weir_hf_llama4_tensors[] = {
    {LAYER "feed_forward.router.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "feed_forward.experts.gate_up_proj", BLOCK "ffn_gate_up_exps.weight", HF_TURNED},
    {LAYER "feed_forward.experts.down_proj", BLOCK "ffn_down_exps.weight", HF_TURNED},
    {LAYER "feed_forward.shared_expert.gate_proj.weight", BLOCK "ffn_gate_shexp.weight", HF_PLAIN},
    {LAYER "feed_forward.shared_expert.up_proj.weight", BLOCK "ffn_up_shexp.weight", HF_PLAIN},
    {LAYER "feed_forward.shared_expert.down_proj.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {LAYER "feed_forward.gate_proj.weight", BLOCK "ffn_gate.weight", HF_PLAIN},
    {LAYER "feed_forward.up_proj.weight", BLOCK "ffn_up.weight", HF_PLAIN},
    {LAYER "feed_forward.down_proj.weight", BLOCK "ffn_down.weight", HF_PLAIN},
    {"vision_model.*", NULL, HF_SKIP},
    {0},
};

/* ---- step3p5 --------------------------------------------------------------------------------- */

#define OTHER "attention_other_setting" /* of layers with a window */

const struct hf_key weir_hf_step_keys[] = {
    {.name = "num_attention_heads",
     .carry = HF_WINDOWED,
     .other = OTHER ".num_attention_heads",
     .key = "attention.head_count"},
    {.name = "num_attention_groups",
     .carry = HF_WINDOWED,
     .other = OTHER ".num_attention_groups",
     .key = "attention.head_count_kv"},
    {.name = OTHER}, /* its members, which are read here: */
    {.name = OTHER ".attention_type", .carry = HF_WORD, .word = "sliding_attention"},
    {.name = OTHER ".head_dim", .carry = HF_COUNT, .key = "attention.key_length_swa"},
    {.name = OTHER ".head_dim", .carry = HF_COUNT, .key = "attention.value_length_swa"},
    {.name = OTHER ".true_head_dim", .carry = HF_COUNT, .key = "attention.key_length_swa"},
    {.name = "layer_types",
     .carry = HF_LAYERS,
     .key = "attention.sliding_window_pattern",
     .word = "sliding_attention"},
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {.name = "rope_theta"}, /* hf_rope.c, of each kind of layers */
    {.name = "partial_rotary_factors"},
    {.name = "yarn_only_types", .carry = HF_WORD, .word = "full_attention"},
    {.name = "use_rope_layers", .carry = HF_OFF},
    {.name = "att_impl_type", .carry = HF_WORD, .word = "GQA"},
    {.name = "use_mfa", .carry = HF_OFF},
    {.name = "sink", .carry = HF_OFF},
    {.name = "zero_centered", .carry = HF_ON},
    {.name = "use_head_wise_attn_gate"}, /* the tensors say these */
    {.name = "use_moe_router_bias"},
    {.name = "moe_layers_enum"},
    {.name = "moe_layer_offset"},
    {.name = "moe_every_n_layer"},
    {.name = "use_moe"},
    {.name = "max_seq_len"},
    {.name = "need_fp32_gate"}, /* routers are floats in any case */
    {.name = "moe_num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "moe_top_k", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "share_expert_dim", .carry = HF_COUNT, .key = "expert_shared_feed_forward_length"},
    {.name = "share_expert_dims", .carry = HF_COUNT, .key = "expert_shared_feed_forward_length"},
    {.name = "moe_router_scaling_factor", .carry = HF_REAL, .key = "expert_weights_scale"},
    {.name = "moe_router_activation",
     .carry = HF_CHOICE,
     .word = "softmax|sigmoid",
     .key = "expert_gating_func"},
    FALLBACK("norm_expert_weight", HF_FLAG, "expert_weights_norm", 1),
    {.name = "swiglu_limits", .carry = HF_REALS, .key = "swiglu_clamp_exp"},
    {.name = "swiglu_limits_shared", .carry = HF_REALS, .key = "swiglu_clamp_shexp"},
    {.name = "per_layer_config", .carry = HF_OFF},
    {0},
};

const struct hf_tensor weir_hf_step_tensors[] = {
    {"model.norm.weight", "output_norm.weight", HF_PLUS_ONE},
    {LAYER "input_layernorm.weight", BLOCK "attn_norm.weight", HF_PLUS_ONE},
    {LAYER "post_attention_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.q_norm.weight", BLOCK "attn_q_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.k_norm.weight", BLOCK "attn_k_norm.weight", HF_PLUS_ONE},
    {LAYER "self_attn.g_proj.weight", BLOCK "attn_gate.weight", HF_PLAIN},
    {LAYER "moe.gate.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "moe.router_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {LAYER "moe.gate_proj.weight", BLOCK "ffn_gate_exps.weight", HF_PLAIN},
    {LAYER "moe.up_proj.weight", BLOCK "ffn_up_exps.weight", HF_PLAIN},
    {LAYER "moe.down_proj.weight", BLOCK "ffn_down_exps.weight", HF_PLAIN},
    {LAYER "share_expert.gate_proj.weight", BLOCK "ffn_gate_shexp.weight", HF_PLAIN},
    {LAYER "share_expert.up_proj.weight", BLOCK "ffn_up_shexp.weight", HF_PLAIN},
    {LAYER "share_expert.down_proj.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {"vision_model.*", NULL, HF_SKIP},
    {"vit_large_projector.*", NULL, HF_SKIP},
    {0},
};
