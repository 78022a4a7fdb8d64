/* hf_tables.c - what Hugging Face directories call keys and tensors: one row each.
 *
 * A family is a row of tables. A new one of known parts needs its row, and tables for what no other
 * family has. Source: config.json and the safetensors index of each family's published models, and
 * the configuration classes of Hugging Face transformers 5 (fallbacks). */
#include "formats/hf_tables.h"

#include <stdio.h>
#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------ */

static const struct hf_key common_keys[] = {
    {.name = "num_hidden_layers", .carry = HF_COUNT, .key = "block_count"},
    {.name = "hidden_size", .carry = HF_COUNT, .key = "embedding_length"},
    {.name = "max_position_embeddings", .carry = HF_COUNT, .key = "context_length"},
    {.name = "num_attention_heads", .carry = HF_COUNT, .key = "attention.head_count"},
    {.name = "num_key_value_heads", .carry = HF_COUNT, .key = "attention.head_count_kv"},
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "feed_forward_length"},
    {.name = "rms_norm_eps", .carry = HF_REAL, .key = "attention.layer_norm_rms_epsilon"},
    {.name = "rope_theta", .carry = HF_REAL, .key = "rope.freq_base"},
    {.name = "vocab_size", .carry = HF_COUNT, .key = "vocab_size"},
    {.name = "hidden_act", .carry = HF_WORD, .word = "silu"},
    {.name = "layer_types", .carry = HF_WORD, .word = "full_attention"},
    /* The tensors say these: */
    {.name = "attention_bias"},
    {.name = "mlp_bias"},
    {.name = "qkv_bias"},
    /* Notes about how a model came to be, and how other programs run it: */
    {.name = "_name_or_path"},
    {.name = "_attn_implementation_autoset"},
    {.name = "architectures"},
    {.name = "attention_dropout"},
    {.name = "auto_map"},
    {.name = "bos_token_id"},
    {.name = "chunk_size_feed_forward"},
    {.name = "dtype"},
    {.name = "eos_token_id"},
    {.name = "id2label"},
    {.name = "initializer_range"},
    {.name = "is_encoder_decoder"},
    {.name = "label2id"},
    {.name = "model_type"},
    {.name = "output_attentions"},
    {.name = "output_hidden_states"},
    {.name = "pad_token_id"},
    {.name = "pretraining_tp"},
    {.name = "problem_type"},
    {.name = "return_dict"},
    {.name = "tie_word_embeddings"}, /* hf_config.c */
    {.name = "torch_dtype"},
    {.name = "transformers_version"},
    {.name = "use_cache"},
    {0},
};

static const struct hf_key head_keys[] = {
    {.name = "head_dim", .carry = HF_COUNT, .key = "attention.key_length"},
    {.name = "head_dim", .carry = HF_COUNT, .key = "attention.value_length"},
    {0},
};

/* Windows of a family that has them only where a flag says so. */
static const struct hf_key no_window_keys[] = {
    {.name = "use_sliding_window", .carry = HF_OFF},
    {.name = "sliding_window"},
    {.name = "max_window_layers"},
    {0},
};

static const struct hf_key window_keys[] = {
    {.name = "sliding_window", .carry = HF_COUNT, .key = "attention.sliding_window"},
    {0},
};

static const struct hf_key expert_keys[] = {
    {.name = "num_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_local_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_experts_per_tok", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "output_router_logits"}, /* of training */
    {.name = "router_aux_loss_coef"},
    {.name = "router_jitter_noise"},
    {0},
};

/* Whether the chosen experts' weights are made to sum 1: absent, they are not. */
static const struct hf_key norm_keys[] = {
    {.name = "norm_topk_prob",
     .carry = HF_FLAG,
     .key = "expert_weights_norm",
     .has_fallback = true},
    {0},
};

/* They do, whatever a file of Qwen3-VL says. */
static const struct hf_key vl_keys[] = {
    {.name = "norm_topk_prob", .carry = HF_ON},
    {0},
};

static const struct hf_key olmoe_keys[] = {
    {.name = "clip_qkv", .carry = HF_REAL, .key = "attention.clamp_kqv"},
    {0},
};

static const struct hf_key qwen_moe_keys[] = {
    {.name = "moe_intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "shared_expert_intermediate_size",
     .carry = HF_COUNT,
     .key = "expert_shared_feed_forward_length"},
    {.name = "decoder_sparse_step"}, /* the tensors say which layers are dense */
    {.name = "mlp_only_layers"},
    {0},
};

/* DeepSeek's words for experts, which other families took over. */
static const struct hf_key routed_keys[] = {
    {.name = "n_routed_experts", .carry = HF_COUNT, .key = "expert_count"},
    {.name = "num_experts_per_tok", .carry = HF_COUNT, .key = "expert_used_count"},
    {.name = "n_shared_experts", .carry = HF_COUNT, .key = "expert_shared_count"},
    {.name = "moe_intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "first_k_dense_replace", .carry = HF_COUNT, .key = "leading_dense_block_count"},
    {.name = "n_group", .carry = HF_COUNT, .key = "expert_group_count"},
    {.name = "topk_group", .carry = HF_COUNT, .key = "expert_group_used_count"},
    {.name = "routed_scaling_factor", .carry = HF_REAL, .key = "expert_weights_scale"},
    {.name = "norm_topk_prob", .carry = HF_FLAG, .key = "expert_weights_norm"},
    {.name = "output_router_logits"},
    {.name = "router_aux_loss_coef"},
    {.name = "num_nextn_predict_layers"}, /* their tensors are left out */
    {.name = "num_mtp_layers"},
    {.name = "use_qk_norm"}, /* the tensors say it */
    {0},
};

static const struct hf_key minimax_keys[] = {
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "feed_forward_length"},
    {.name = "intermediate_size", .carry = HF_COUNT, .key = "expert_feed_forward_length"},
    {.name = "rotary_dim", .carry = HF_COUNT, .key = "rope.dimension_count"},
    {.name = "scoring_func", .carry = HF_WORD, .word = "sigmoid"},
    {.name = "qk_norm_type", .carry = HF_WORD, .word = "per_layer"},
    {.name = "shared_intermediate_size", .carry = HF_OFF},
    {.name = "use_qk_norm"},
    {.name = "use_routing_bias"},
    {.name = "use_mtp"},
    {.name = "num_mtp_modules"},
    {.name = "mtp_transformer_layers"},
    {0},
};

/* ---- tensors --------------------------------------------------------------------------------- */

#define LAYER HF_LAYER
#define BLOCK HF_BLOCK

static const struct hf_tensor common_tensors[] = {
    {"model.embed_tokens.weight", "token_embd.weight", HF_PLAIN},
    {"model.norm.weight", "output_norm.weight", HF_PLAIN},
    {"lm_head.weight", "output.weight", HF_OUTPUT},
    {LAYER "input_layernorm.weight", BLOCK "attn_norm.weight", HF_PLAIN},
    {LAYER "post_attention_layernorm.weight", BLOCK "ffn_norm.weight", HF_PLAIN},
    {LAYER "self_attn.q_proj.weight", BLOCK "attn_q.weight", HF_PLAIN},
    {LAYER "self_attn.k_proj.weight", BLOCK "attn_k.weight", HF_PLAIN},
    {LAYER "self_attn.v_proj.weight", BLOCK "attn_v.weight", HF_PLAIN},
    {LAYER "self_attn.o_proj.weight", BLOCK "attn_output.weight", HF_PLAIN},
    {LAYER "self_attn.q_proj.bias", BLOCK "attn_q.bias", HF_PLAIN},
    {LAYER "self_attn.k_proj.bias", BLOCK "attn_k.bias", HF_PLAIN},
    {LAYER "self_attn.v_proj.bias", BLOCK "attn_v.bias", HF_PLAIN},
    {LAYER "self_attn.o_proj.bias", BLOCK "attn_output.bias", HF_PLAIN},
    {LAYER "self_attn.q_norm.weight", BLOCK "attn_q_norm.weight", HF_PLAIN},
    {LAYER "self_attn.k_norm.weight", BLOCK "attn_k_norm.weight", HF_PLAIN},
    {LAYER "mlp.gate_proj.weight", BLOCK "ffn_gate.weight", HF_PLAIN},
    {LAYER "mlp.up_proj.weight", BLOCK "ffn_up.weight", HF_PLAIN},
    {LAYER "mlp.down_proj.weight", BLOCK "ffn_down.weight", HF_PLAIN},
    {LAYER "mlp.gate_proj.bias", BLOCK "ffn_gate.bias", HF_PLAIN},
    {LAYER "mlp.up_proj.bias", BLOCK "ffn_up.bias", HF_PLAIN},
    {LAYER "mlp.down_proj.bias", BLOCK "ffn_down.bias", HF_PLAIN},
    {LAYER "self_attn.rotary_emb.inv_freq", NULL, HF_SKIP}, /* config.json says it */
    /* Of models that see or hear, and of blocks that guess further tokens: no use for a text. */
    {"mtp.*", NULL, HF_SKIP},
    {"visual.*", NULL, HF_SKIP},
    {"model.visual.*", NULL, HF_SKIP},
    {"vision_tower.*", NULL, HF_SKIP},
    {"model.vision_tower.*", NULL, HF_SKIP},
    {"audio_tower.*", NULL, HF_SKIP},
    {"model.audio_tower.*", NULL, HF_SKIP},
    {"mm_projector.*", NULL, HF_SKIP},
    {"model.mm_projector.*", NULL, HF_SKIP},
    {"multi_modal_projector.*", NULL, HF_SKIP},
    {"model.multi_modal_projector.*", NULL, HF_SKIP},
    {"model.embed_vision.*", NULL, HF_SKIP},
    {"model.embed_audio.*", NULL, HF_SKIP},
    {0},
};

/* Experts one by one, and as one tensor: [expert][rows of gate, rows of up][cols]. */
static const struct hf_tensor expert_tensors[] = {
    {LAYER "mlp.gate.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "mlp.experts.@.gate_proj.weight", BLOCK "ffn_gate_exps.weight", HF_EXPERT},
    {LAYER "mlp.experts.@.up_proj.weight", BLOCK "ffn_up_exps.weight", HF_EXPERT},
    {LAYER "mlp.experts.@.down_proj.weight", BLOCK "ffn_down_exps.weight", HF_EXPERT},
    {LAYER "mlp.experts.gate_up_proj", BLOCK "ffn_gate_up_exps.weight", HF_PLAIN},
    {LAYER "mlp.experts.down_proj", BLOCK "ffn_down_exps.weight", HF_PLAIN},
    {0},
};

/* Whole experts as one tensor, [expert][cols][rows]: of codes they are one by one. */
static const struct hf_tensor turned_tensors[] = {
    {LAYER "mlp.experts.gate_up_proj", BLOCK "ffn_gate_up_exps.weight", HF_TURNED},
    {LAYER "mlp.experts.down_proj", BLOCK "ffn_down_exps.weight", HF_TURNED},
    {0},
};

static const struct hf_tensor shared_tensors[] = {
    {LAYER "mlp.shared_expert.gate_proj.weight", BLOCK "ffn_gate_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_expert.up_proj.weight", BLOCK "ffn_up_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_expert.down_proj.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_expert_gate.weight", BLOCK "ffn_gate_inp_shexp.weight", HF_VECTOR},
    {0},
};

static const struct hf_tensor mixtral_tensors[] = {
    {LAYER "block_sparse_moe.gate.weight", BLOCK "ffn_gate_inp.weight", HF_PLAIN},
    {LAYER "block_sparse_moe.experts.@.w1.weight", BLOCK "ffn_gate_exps.weight", HF_EXPERT},
    {LAYER "block_sparse_moe.experts.@.w3.weight", BLOCK "ffn_up_exps.weight", HF_EXPERT},
    {LAYER "block_sparse_moe.experts.@.w2.weight", BLOCK "ffn_down_exps.weight", HF_EXPERT},
    {0},
};

/* Families whose GGUF files call the norm before the network by where it is. */
static const struct hf_tensor late_norm_tensors[] = {
    {LAYER "post_attention_layernorm.weight", BLOCK "post_attention_norm.weight", HF_PLAIN},
    {0},
};

static const struct hf_tensor routed_tensors[] = {
    {LAYER "mlp.gate.e_score_correction_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {LAYER "mlp.shared_experts.gate_proj.weight", BLOCK "ffn_gate_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_experts.up_proj.weight", BLOCK "ffn_up_shexp.weight", HF_PLAIN},
    {LAYER "mlp.shared_experts.down_proj.weight", BLOCK "ffn_down_shexp.weight", HF_PLAIN},
    {0},
};

static const struct hf_tensor minimax_tensors[] = {
    {LAYER "block_sparse_moe.e_score_correction_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {LAYER "mlp.e_score_correction_bias", BLOCK "exp_probs_b.bias", HF_PLAIN},
    {0},
};

/* ---- families -------------------------------------------------------------------------------- */

/* By model_type. */
static const struct hf_family families[] = {
    {.model_type = "afmoe",
     .architecture = "afmoe",
     .keys = {weir_hf_afmoe_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_afmoe_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "bailing_moe",
     .class_name = "BailingMoeForCausalLM",
     .architecture = "bailingmoe",
     .has_half_pairs = true,
     .keys = {weir_hf_bailing_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_bailing_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "bailing_moe",
     .class_name = "BailingMoeV2ForCausalLM",
     .architecture = "bailingmoe2",
     .rope_share = 0.5,
     .keys = {weir_hf_bailing_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_bailing_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "bailing_moe_v2",
     .architecture = "bailingmoe2",
     .rope_share = 0.5,
     .keys = {weir_hf_bailing_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_bailing_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "cohere2_moe",
     .architecture = "cohere2moe",
     .is_tied = true,
     .keys = {weir_hf_cohere_keys, common_keys, head_keys, expert_keys},
     .tensors = {common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "deepseek",
     .architecture = "deepseek",
     .has_half_pairs = true,
     .keys = {weir_hf_dots_keys, common_keys, head_keys, routed_keys},
     .tensors = {common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "deepseek_v2",
     .architecture = "deepseek2",
     .scales_scores = true,
     .keys = {weir_hf_deepseek2_keys, weir_hf_latent_keys, common_keys, routed_keys},
     .tensors = {weir_hf_latent_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "deepseek_v3",
     .architecture = "deepseek2",
     .scales_scores = true,
     .keys = {weir_hf_deepseek3_keys, weir_hf_latent_keys, common_keys, routed_keys},
     .tensors = {weir_hf_latent_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "dots1",
     .architecture = "dots1",
     .keys = {weir_hf_dots_keys, common_keys, head_keys, routed_keys},
     .tensors = {common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "ernie4_5_moe",
     .architecture = "ernie4_5-moe",
     .is_tied = true,
     .rope_base = 500000.0,
     .keys = {weir_hf_ernie_keys, common_keys, head_keys},
     .tensors = {weir_hf_ernie_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "exaone_moe",
     .architecture = "exaone-moe",
     .keys = {weir_hf_exaone_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_exaone_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "gemma2",
     .architecture = "gemma2",
     .is_tied = true,
     .keys = {weir_hf_gemma2_keys, weir_hf_gemma_keys, common_keys, head_keys},
     .tensors = {weir_hf_gemma_tensors, common_tensors}},
    {.model_type = "gemma3",
     .text_type = "gemma3_text",
     .architecture = "gemma3",
     .is_tied = true,
     .rope_base = 1000000.0,
     .keys = {weir_hf_gemma3_keys, weir_hf_gemma_keys, common_keys},
     .tensors = {weir_hf_gemma_tensors, common_tensors}},
    {.model_type = "gemma4",
     .text_type = "gemma4_text",
     .architecture = "gemma4",
     .is_tied = true,
     .keys = {weir_hf_gemma4_keys, weir_hf_gemma_keys, common_keys},
     .tensors = {weir_hf_gemma4_tensors, common_tensors}},
    {.model_type = "glm4_moe",
     .architecture = "glm4moe",
     .rope_share = 0.5,
     .keys = {common_keys, head_keys, routed_keys},
     .tensors = {late_norm_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "glm4_moe_lite",
     .architecture = "deepseek2",
     .scales_scores = true,
     .keys = {weir_hf_deepseek3_keys, weir_hf_latent_keys, common_keys, routed_keys},
     .tensors = {weir_hf_latent_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "gpt_oss",
     .architecture = "gpt-oss",
     .rope_base = 150000.0,
     .rope_is_exact = true,
     .keys = {weir_hf_oss_keys, common_keys, head_keys, window_keys, expert_keys},
     .tensors = {weir_hf_oss_tensors, late_norm_tensors, common_tensors}},
    {.model_type = "granite",
     .architecture = "granite",
     .has_half_pairs = true,
     .keys = {weir_hf_granite_keys, common_keys, head_keys},
     .tensors = {common_tensors}},
    {.model_type = "granitemoe",
     .architecture = "granitemoe",
     .has_half_pairs = true,
     .keys = {weir_hf_granite_keys, common_keys, head_keys, expert_keys},
     .tensors = {weir_hf_granite_tensors, common_tensors}},
    {.model_type = "granitemoeshared",
     .architecture = "granitemoe",
     .has_half_pairs = true,
     .keys = {weir_hf_granite_keys, common_keys, head_keys, expert_keys},
     .tensors = {weir_hf_granite_tensors, common_tensors}},
    {.model_type = "hunyuan_v1_moe",
     .architecture = "hunyuan-moe",
     .keys = {weir_hf_hunyuan_keys, common_keys, head_keys},
     .tensors = {weir_hf_hunyuan_tensors, common_tensors, expert_tensors}},
    {.model_type = "kimi_k2",
     .architecture = "deepseek2",
     .scales_scores = true,
     .keys = {weir_hf_deepseek3_keys, weir_hf_latent_keys, common_keys, routed_keys},
     .tensors = {weir_hf_latent_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "llama",
     .architecture = "llama",
     .has_half_pairs = true,
     .keys = {common_keys, head_keys},
     .tensors = {common_tensors}},
    {.model_type = "llama4",
     .text_type = "llama4_text",
     .architecture = "llama4",
     .rope_base = 500000.0,
     .keys = {weir_hf_llama4_keys, common_keys, head_keys, expert_keys},
     .tensors = {weir_hf_llama4_tensors, common_tensors}},
    {.model_type = "minimax_m2",
     .architecture = "minimax-m2",
     .rope_base = 5000000.0,
     .keys = {minimax_keys, common_keys, head_keys, expert_keys},
     .tensors = {common_tensors, mixtral_tensors, expert_tensors, minimax_tensors}},
    {.model_type = "mistral",
     .architecture = "llama",
     .has_half_pairs = true,
     .keys = {common_keys, head_keys, window_keys},
     .tensors = {common_tensors}},
    {.model_type = "mistral3",
     .text_type = "ministral3",
     .architecture = "mistral3",
     .has_half_pairs = true,
     .keys = {common_keys, head_keys, window_keys},
     .tensors = {common_tensors}},
    {.model_type = "mistral4",
     .architecture = "mistral4",
     .scales_scores = true,
     .keys = {weir_hf_mistral4_keys, weir_hf_latent_keys, common_keys, routed_keys},
     .tensors = {weir_hf_latent_tensors, common_tensors, expert_tensors, routed_tensors}},
    {.model_type = "mixtral",
     .architecture = "llama",
     .has_half_pairs = true,
     .rope_base = 1000000.0,
     .keys = {common_keys, head_keys, window_keys, expert_keys},
     .tensors = {common_tensors, mixtral_tensors, expert_tensors}},
    {.model_type = "olmoe",
     .architecture = "olmoe",
     .keys = {common_keys, expert_keys, norm_keys, olmoe_keys},
     .tensors = {common_tensors, expert_tensors}},
    {.model_type = "phi3",
     .architecture = "phi3",
     .keys = {weir_hf_phi3_keys, common_keys},
     .tensors = {weir_hf_phi3_tensors, common_tensors}},
    {.model_type = "qwen2",
     .architecture = "qwen2",
     .keys = {common_keys, head_keys, no_window_keys},
     .tensors = {common_tensors}},
    {.model_type = "qwen2_moe",
     .architecture = "qwen2moe",
     .keys = {common_keys, head_keys, no_window_keys, expert_keys, norm_keys, qwen_moe_keys},
     .tensors = {common_tensors, expert_tensors, shared_tensors}},
    {.model_type = "qwen3",
     .architecture = "qwen3",
     .keys = {common_keys, head_keys, no_window_keys},
     .tensors = {common_tensors}},
    {.model_type = "qwen3_5",
     .text_type = "qwen3_5_text",
     .architecture = "qwen35",
     .has_grouped_heads = true,
     .rope_share = 0.25,
     .keys = {weir_hf_delta_keys, common_keys, head_keys},
     .tensors = {weir_hf_delta_tensors, common_tensors}},
    {.model_type = "qwen3_5_moe",
     .text_type = "qwen3_5_moe_text",
     .architecture = "qwen35moe",
     .has_grouped_heads = true,
     .rope_share = 0.25,
     .keys = {weir_hf_delta_keys, common_keys, head_keys, expert_keys, qwen_moe_keys},
     .tensors = {weir_hf_delta_tensors, common_tensors, expert_tensors, shared_tensors}},
    {.model_type = "qwen3_moe",
     .architecture = "qwen3moe",
     .keys = {common_keys, head_keys, no_window_keys, expert_keys, norm_keys, qwen_moe_keys},
     .tensors = {common_tensors, expert_tensors}},
    {.model_type = "qwen3_next",
     .architecture = "qwen3next",
     .rope_share = 0.25,
     .keys = {weir_hf_delta_keys, common_keys, head_keys, expert_keys, qwen_moe_keys},
     .tensors = {weir_hf_delta_tensors, common_tensors, expert_tensors, shared_tensors}},
    {.model_type = "qwen3_vl_moe",
     .text_type = "qwen3_vl_moe_text",
     .architecture = "qwen3vlmoe",
     .keys = {vl_keys, common_keys, head_keys, no_window_keys, expert_keys, qwen_moe_keys},
     .tensors = {turned_tensors, common_tensors, expert_tensors}},
    {.model_type = "smollm3",
     .architecture = "smollm3",
     .is_tied = true,
     .has_half_pairs = true,
     .rope_base = 2000000.0,
     .keys = {weir_hf_smollm3_keys, common_keys, head_keys, no_window_keys},
     .tensors = {common_tensors}},
    {.model_type = "step3p5",
     .architecture = "step35",
     .rope_is_half = true,
     .keys = {weir_hf_step_keys, common_keys, head_keys, routed_keys},
     .tensors = {weir_hf_step_tensors, common_tensors}},
};

/* Models that see or hear whose text is one of several families, by the model_type of that part. */
static const char *const wrappers[] = {"kimi_k25", "mistral3"};

/* Known, and not built in: what is missing. */
static const struct {
    const char *model_type, *what;
} missing[] = {
    {"dbrx", "experts of all kinds in one matrix"},
    {"deepseek_v32", "sparse attention by an indexer"},
    {"deepseek_v4", "compressed attention and hyper-connections"},
    {"gemma3n", "embeddings of each layer"},
    {"glm_moe_dsa", "sparse attention by an indexer"},
    {"glm5_next", "Kimi delta attention and sparse attention by an indexer"},
    {"granitemoehybrid", "Mamba-2"},
    {"jamba", "Mamba"},
    {"kimi_linear", "Kimi delta attention"},
    {"lfm2_moe", "short convolutions"},
    {"minimax", "lightning attention"},
    {"minimax_m3", "attention to chosen blocks"},
    {"nemotron_h", "Mamba-2"},
    {"phimoe", "routing by a sparse mixer, and norms with biases"},
    {"qwen4_exp", "sparse attention by an indexer and hyper-connections"},
};

static bool has_class(struct weir_json root, const char *name)
{
    struct weir_json_walk walk = weir_json_walk(weir_json_member(root, "architectures"));
    while (weir_json_next(&walk))
        if (weir_json_is(walk.value, name))
            return true;
    return false;
}

static const struct hf_family *find_row(struct weir_json type, struct weir_json root)
{
    for (size_t row = 0; row < WEIR_COUNT(families); row++) {
        const struct hf_family *family = &families[row];
        if (family->class_name != NULL && !has_class(root, family->class_name))
            continue;
        if (weir_json_is(type, family->model_type) ||
            (family->text_type != NULL && weir_json_is(type, family->text_type)))
            return family;
    }
    return NULL;
}

static bool is_wrapper(struct weir_json type)
{
    for (size_t row = 0; row < WEIR_COUNT(wrappers); row++)
        if (weir_json_is(type, wrappers[row]))
            return true;
    return false;
}

/* Of the types that are built in, the one whose name is most like it. */
static const char *find_nearest(struct weir_json type)
{
    char name[64] = ""; /* stays so where the text is longer */
    const struct hf_family *nearest = &families[0];
    weir_json_text(type, name, sizeof(name) - 1);
    for (size_t row = 1; row < WEIR_COUNT(families); row++)
        if (weir_edit_distance(name, families[row].model_type) <
            weir_edit_distance(name, nearest->model_type))
            nearest = &families[row];
    return nearest->model_type;
}

static enum weir_status refuse_type(struct weir_json type, const char *path, struct weir_err *err)
{
    char text[64];
    for (size_t row = 0; row < WEIR_COUNT(missing); row++)
        if (weir_json_is(type, missing[row].model_type))
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "%s: model_type %s is not built in: %s would be needed", path,
                             weir_hf_show(type, text), missing[row].what);
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "%s: model_type %s is not built in; the nearest name that is: %s "
                     "(docs/FAMILIES.md has all)",
                     path, weir_hf_show(type, text), find_nearest(type));
}

enum weir_status weir_hf_family_find(const struct hf_family **family, struct weir_json root,
                                     const char *path, struct weir_err *err)
{
    const struct weir_json type = weir_json_member(root, "model_type");
    const struct weir_json part =
        weir_json_member(weir_json_member(root, "text_config"), "model_type");
    const struct hf_family *row = find_row(type, root);
    if (weir_json_kind(type) != WEIR_JSON_TEXT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model_type: wanted a text, found %s", path,
                         weir_json_kind_name(weir_json_kind(type)));
    if (row == NULL && !is_wrapper(type))
        return refuse_type(type, path, err);
    if (weir_json_kind(part) == WEIR_JSON_TEXT && find_row(part, root) != row) {
        row = find_row(part, root);
        if (row == NULL || !is_wrapper(type))
            return refuse_type(part, path, err);
    }
    if (row == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: text_config.model_type: wanted a text, found %s", path,
                         weir_json_kind_name(weir_json_kind(part)));
    *family = row;
    return WEIR_OK;
}

const struct hf_family *weir_hf_family_at(size_t row)
{
    return row < WEIR_COUNT(families) ? &families[row] : NULL;
}
