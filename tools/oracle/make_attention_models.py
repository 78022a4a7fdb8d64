#!/usr/bin/env python3
"""make_attention_models.py - tiny random models of families whose attention is not the plain one (windows, several ropes,
sinks, caps, gates, norms after the branches), as make_models.py makes those of the others.

usage: make_attention_models.py OUT [NAME ...]        needs: pip install torch transformers tokenizers gguf numpy

Windows, and contexts that a rope was first trained for, are shorter than the texts.
"""
import math

import numpy as np
import torch
import transformers
from transformers.models.step3p7.configuration_step3p7 import Step3p7TextConfig
from transformers.models.step3p7.modeling_step3p7 import Step3p7TextModel

import golden_models
from golden_models import LAYER_NAMES, TOP_NAMES, compute, interleave
from tiny_vocab import LLAMA, QWEN, Vocabulary

FAST = dict(max_position_embeddings=256)
SANDWICH = {"post_attention_layernorm.weight": "post_attention_norm.weight",
            "pre_feedforward_layernorm.weight": "ffn_norm.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight"}


def plain(theta):
    return dict(rope_type="default", rope_theta=theta)


def yarn(theta=10000.0, **more):
    return dict(rope_type="yarn", rope_theta=theta, original_max_position_embeddings=32, **more)


def halves(data):
    """gate and up of experts whose rows are the first half and the second."""
    width = data.shape[1] // 2
    return [("ffn_gate_exps.weight", data[:, :width]), ("ffn_up_exps.weight", data[:, width:])]


def turned_halves(data):
    return halves(data.swapaxes(1, 2))


def alternating(data):
    """The same, of gpt-oss: every second column of the transposed."""
    data = data.swapaxes(1, 2)
    return [("ffn_gate_exps.weight", data[:, ::2]), ("ffn_up_exps.weight", data[:, 1::2])]


def alternating_bias(data):
    return [("ffn_gate_exps.bias", data[:, ::2]), ("ffn_up_exps.bias", data[:, 1::2])]


def named(name):
    return lambda data: [(name, data)]


def transposed(name):
    return lambda data: [(name, data.swapaxes(1, 2))]


def kinds(pattern):
    """layer_types of a word: w a window, f full."""
    return ["sliding_attention" if letter == "w" else "full_attention" for letter in pattern]


# family, class of the judge, configuration, keys of the file beside those of all, and what is odd about it. "plus": norms are
# stored with 1 added. "turned": q and k are stored in interleaved order. "mistakes": what is left out or changed to see that
# the fixture shows it.
MODELS = {
    "gemma2": dict(
        family="gemma2", cls="Gemma2ForCausalLM", vocab=LLAMA | dict(bos=True), plus=True, names=SANDWICH,
        why="windows of 12 in even layers, capped scores and logits, norms after the branches",
        config=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                    intermediate_size=20, sliding_window=12, query_pre_attn_scalar=10, attn_logit_softcapping=2.0,
                    final_logit_softcapping=3.0, rms_norm_eps=1e-3, tie_word_embeddings=True,
                    hidden_activation="gelu_pytorch_tanh", rope_parameters=plain(10000.0)),
        keys=lambda c: {"attention.sliding_window": c.sliding_window,
                        "attn_logit_softcapping": c.attn_logit_softcapping,
                        "final_logit_softcapping": c.final_logit_softcapping},
        mistakes={"no cap of scores": dict(attn_logit_softcapping=1e6), "no cap of logits": dict(final_logit_softcapping=1e6),
                  "no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=13)}),
    "gemma3": dict(
        family="gemma3", cls="Gemma3ForCausalLM", vocab=LLAMA | dict(bos=True), plus=True, names=SANDWICH,
        why="five layers of six with windows and a rope of their own, the other one's scaled",
        config=dict(hidden_size=24, num_hidden_layers=7, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                    intermediate_size=20, sliding_window=9, query_pre_attn_scalar=10, rms_norm_eps=1e-3,
                    tie_word_embeddings=True, hidden_activation="gelu_pytorch_tanh",
                    rope_parameters={"full_attention": dict(rope_type="linear", rope_theta=50000.0, factor=4.0),
                                     "sliding_attention": plain(10000.0)}),
        keys=lambda c: {"attention.sliding_window": c.sliding_window, "rope.scaling.type": "linear",
                        "rope.scaling.factor": 4.0, "rope.freq_base_swa": 10000.0},
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "one rope": dict(rope_parameters={"full_attention": plain(10000.0), "sliding_attention": plain(10000.0)})}),
    "smollm3": dict(
        family="smollm3", cls="SmolLM3ForCausalLM", vocab=LLAMA, turned=True,
        why="no rope in every fourth layer, output tied",
        config=dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=32, rms_norm_eps=1e-3, tie_word_embeddings=True, rope_parameters=plain(5000.0)),
        keys=lambda c: {"rope.dimension_count": 6},
        mistakes={"rope everywhere": dict(no_rope_layers=[1] * 5)}),
    "mistral3": dict(
        family="mistral3", cls="Ministral3ForCausalLM", vocab=LLAMA, turned=True,
        why="YaRN whose magnitude is 1, from 32 positions; scores that get steeper every 32",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=1, head_dim=16,
                    intermediate_size=32, rms_norm_eps=1e-3, tie_word_embeddings=False,
                    rope_parameters=yarn(factor=8.0, beta_fast=4.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                                         llama_4_scaling_beta=0.4)),
        keys=lambda c: {"rope.dimension_count": 16, "rope.scaling.type": "yarn", "rope.scaling.factor": 8.0,
                        "rope.scaling.original_context_length": 32, "rope.scaling.yarn_beta_fast": 4.0,
                        "rope.scaling.yarn_beta_slow": 1.0, "rope.scaling.yarn_log_multiplier": 1.0,
                        "attention.temperature_scale": 0.4},
        mistakes={"no temperature": dict(rope_parameters=yarn(factor=8.0, beta_fast=4.0, beta_slow=1.0, mscale=1.0,
                                                              mscale_all_dim=1.0, llama_4_scaling_beta=0.0)),
                  "YaRN's usual magnitude": dict(rope_parameters=yarn(factor=8.0, beta_fast=4.0, beta_slow=1.0,
                                                                      llama_4_scaling_beta=0.4))}),
}

PRE_FFN = {"post_attention_layernorm.weight": "ffn_norm.weight"}
EXPERTS = {"mlp.experts.gate_up_proj": halves, "mlp.experts.down_proj": "ffn_down_exps.weight"}
SHARED = {f"mlp.shared_experts.{part}_proj.weight": f"ffn_{part}_shexp.weight" for part in ("gate", "up", "down")}
GEMMA4 = {"layer_scalar": "layer_output_scale.weight", "router.proj.weight": "ffn_gate_inp.weight",
          "router.scale": "ffn_gate_inp.scale", "router.per_expert_scale": "ffn_down_exps.scale",
          "experts.gate_up_proj": "ffn_gate_up_exps.weight", "experts.down_proj": "ffn_down_exps.weight",
          "pre_feedforward_layernorm_2.weight": "pre_ffw_norm_2.weight",
          "post_feedforward_layernorm_1.weight": "post_ffw_norm_1.weight",
          "post_feedforward_layernorm_2.weight": "post_ffw_norm_2.weight"}
GEMMA4_CONFIG = dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                     global_head_dim=16, intermediate_size=14, sliding_window=9, layer_types=kinds("wwfwf"),
                     final_logit_softcapping=3.0, hidden_size_per_layer_input=0, rms_norm_eps=1e-3, tie_word_embeddings=True,
                     rope_parameters={"full_attention": dict(rope_type="proportional", rope_theta=5000.0,
                                                             partial_rotary_factor=0.25),
                                      "sliding_attention": plain(10000.0)})


def gemma4_keys(config):
    return {"attention.sliding_window": 9,
            "attention.sliding_window_pattern": [kind == "sliding_attention" for kind in config.layer_types],
            "attention.shared_kv_layers": config.num_kv_shared_layers, "rope.freq_base_swa": 10000.0, "rope.dimension_count": 16,
            "rope.dimension_count_swa": 8, "attention.key_length": 16, "attention.value_length": 16,
            "attention.key_length_swa": 8, "attention.value_length_swa": 8, "embedding_length_per_layer_input": config.hidden_size_per_layer_input,
            "final_logit_softcapping": 3.0}


# Layers have an input of their own from the token, and the last ones read keys and values of the last one before them of their kind.
GEMMA4_TOP = {"model.embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
              "model.per_layer_model_projection.weight": "per_layer_model_proj.weight",
              "model.per_layer_projection_norm.weight": "per_layer_proj_norm.weight"}
GEMMA4_ASIDE = {"per_layer_input_gate.weight": "inp_gate.weight", "per_layer_projection.weight": "proj.weight",
                "post_per_layer_input_norm.weight": "post_norm.weight"}
GEMMA4_DIVISORS = ("rope_freqs.weight", np.array([1.0] * 2 + [1e30] * 6, np.float32))


def left_over(config):
    """Keys and values of the layers that borrow them, which files hold and nobody uses."""
    found = []
    for layer in range(config.num_hidden_layers - config.num_kv_shared_layers, config.num_hidden_layers):
        width = 8 if config.layer_types[layer] == "sliding_attention" else 16
        found += [(f"blk.{layer}.attn_{part}.weight", np.full((2 * width, config.hidden_size), 0.5, np.float32)) for part in "kv"]
        found.append((f"blk.{layer}.attn_k_norm.weight", np.ones(width, np.float32)))
    return found


def without(ending):
    """A change of the judge's model: weights of this name are 0, those of norms 1."""
    def change(net):
        hit = [weight for name, weight in net.named_parameters() if name.endswith(ending)]
        assert hit, ending
        for weight in hit:
            weight.data.fill_(1.0 if "norm" in ending else 0.0)
    return change


def lent_by(layer, instead):
    """A change of the judge's model: the keys and values that are lent are another layer's."""
    def change(net):
        assert net.model.layers[layer].self_attn.store_full_length_kv
        net.model.layers[layer].self_attn.store_full_length_kv = False
        net.model.layers[instead].self_attn.store_full_length_kv = True
    return change


NO_ASIDE = {"no inputs of layers": without("per_layer_projection.weight"),
            "inputs without the token's row": without("embed_tokens_per_layer.weight"),
            "inputs without the projection": without("per_layer_model_projection.weight"),
            "inputs without their norm": without("per_layer_projection_norm.weight"),
            "no norm of what they add": without("post_per_layer_input_norm.weight")}


def step_divisors(config):
    """What llama3 scaling divides the frequencies of full layers by, as long as the widest rope."""
    rope = config.rope_parameters["full_attention"]
    wave = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, 4, 2) / 4)
    context, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    blend = (context / wave - low) / (high - low)
    middle = 1 / ((1 - blend) / rope["factor"] + blend)
    divisors = np.where(wave < context / high, 1.0, np.where(wave > context / low, rope["factor"], middle))
    return np.concatenate([divisors, np.ones(2)]).astype(np.float32)


class Step3p7Text(torch.nn.Module):
    """The text model of the judge's multimodal one, with a head."""

    config_class = Step3p7TextConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Step3p7TextModel(config)
        self.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def tie_weights(self):
        pass

    def forward(self, ids, use_cache):
        hidden = self.model(ids, use_cache=use_cache).last_hidden_state
        return transformers.modeling_outputs.CausalLMOutput(logits=self.lm_head(hidden))


MODELS |= {
    "gpt-oss": dict(
        family="gpt-oss", cls="GptOssForCausalLM", vocab=QWEN,
        names={"post_attention_layernorm.weight": "post_attention_norm.weight", "self_attn.sinks": "attn_sinks.weight",
               "self_attn.o_proj.bias": "attn_output.bias", "mlp.router.weight": "ffn_gate_inp.weight",
               "mlp.router.bias": "ffn_gate_inp.bias", "mlp.experts.gate_up_proj": alternating,
               "mlp.experts.gate_up_proj_bias": alternating_bias,
               "mlp.experts.down_proj": transposed("ffn_down_exps.weight"),
               "mlp.experts.down_proj_bias": "ffn_down_exps.bias"},
        why="sinks, windows of 9 in even layers, YaRN whose corners are not rounded, biases everywhere, clamped SwiGLU",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                    intermediate_size=14, num_local_experts=6, num_experts_per_tok=3, sliding_window=9, rms_norm_eps=1e-3,
                    swiglu_limit=7.0, rope_parameters=yarn(theta=100.0, factor=8.0, beta_fast=4.0, beta_slow=1.0, truncate=False)),
        keys=lambda c: {"expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 14,
                        "attention.sliding_window": 9, "rope.scaling.type": "yarn", "rope.scaling.factor": 8.0,
                        "rope.scaling.original_context_length": 32, "rope.scaling.yarn_beta_fast": 4.0,
                        "rope.scaling.yarn_beta_slow": 1.0},
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "rounded corners": dict(rope_parameters=yarn(theta=100.0, factor=8.0, beta_fast=4.0, beta_slow=1.0, truncate=True)),
                  "no YaRN": dict(rope_parameters=plain(100.0)), "one expert fewer": dict(num_experts_per_tok=2)}),
    "exaone-moe": dict(
        family="exaone-moe", cls="ExaoneMoeForCausalLM", vocab=QWEN,
        names=PRE_FFN | EXPERTS | SHARED | {"mlp.gate.e_score_correction_bias": "exp_probs_b.bias"},
        why="rope in three layers of four, which see windows of 9; a dense layer first, a selection bias, a shared expert",
        config=dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=16, moe_intermediate_size=6, num_experts=6, num_experts_per_tok=3,
                    num_shared_experts=2, sliding_window=9, rms_norm_eps=1e-3, tie_word_embeddings=False,
                    rope_parameters=plain(10000.0)),
        keys=lambda c: {"attention.sliding_window": 9, "attention.sliding_window_pattern": [True] * 3 + [False, True],
                        "expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 6,
                        "expert_shared_feed_forward_length": 12, "expert_shared_count": 2, "expert_weights_scale": 2.5,
                        "expert_weights_norm": True, "expert_gating_func": 2, "leading_dense_block_count": 1,
                        "rope.dimension_count": 6},
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "full everywhere": dict(layer_types=kinds("fffff")), "one expert fewer": dict(num_experts_per_tok=2)}),
    "afmoe": dict(
        family="afmoe", cls="AfmoeForCausalLM", vocab=QWEN,
        names=EXPERTS | SHARED | {"post_attention_layernorm.weight": "post_attention_norm.weight",
                                  "pre_mlp_layernorm.weight": "ffn_norm.weight",
                                  "post_mlp_layernorm.weight": "post_ffw_norm.weight",
                                  "self_attn.gate_proj.weight": "attn_gate.weight",
                                  "mlp.router.gate.weight": "ffn_gate_inp.weight",
                                  "mlp.expert_bias": "exp_probs_b.bias"},
        why="a gate on each value that attention gives, norms after the branches of experts too, scaled embeddings",
        config=dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=20, moe_intermediate_size=6, num_experts=6, num_experts_per_tok=3,
                    num_shared_experts=1, num_dense_layers=1, route_scale=2.826, mup_enabled=True, sliding_window=9,
                    rms_norm_eps=1e-3, rope_parameters=plain(10000.0)),
        keys=lambda c: {"attention.sliding_window": 9, "expert_count": 6, "expert_used_count": 3,
                        "expert_feed_forward_length": 6, "expert_shared_count": 1, "expert_weights_scale": 2.826,
                        "expert_weights_norm": True, "expert_gating_func": 2, "leading_dense_block_count": 1},
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "embeddings not scaled": dict(mup_enabled=False), "one expert fewer": dict(num_experts_per_tok=2)}),
    "cohere2moe": dict(
        family="cohere2moe", cls="Cohere2MoeForCausalLM", vocab=QWEN,
        names=EXPERTS | SHARED | {"input_layernorm.weight": "attn_norm.weight"},
        why="LayerNorm, mixer and network side by side, half of experts and shared expert, windows after a full layer",
        config=dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=6, num_experts=6, num_experts_per_tok=3, num_shared_experts=2,
                    expert_selection_fn="sigmoid", logit_scale=0.25, sliding_window=9, layer_norm_eps=1e-3,
                    mlp_layer_types=["dense"] + ["sparse"] * 4, layer_types=kinds("fwwwf"),
                    prefix_dense_intermediate_size=20, tie_word_embeddings=True, rope_parameters=plain(10000.0)),
        keys=lambda c: {"attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-3,
                        "feed_forward_length": 20, "attention.sliding_window": 9,
                        "attention.sliding_window_pattern": [False, True, True, True, False],
                        "logit_scale": 0.25, "expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 6,
                        "expert_shared_count": 2, "expert_shared_feed_forward_length": 12, "expert_weights_norm": True,
                        "expert_gating_func": 2, "leading_dense_block_count": 1, "rope.dimension_count": 8},
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "epsilon 1e-5": dict(layer_norm_eps=1e-5), "logits not scaled": dict(logit_scale=1.0),
                  "a sum": dict(shared_expert_combination_strategy="sum"),
                  "one expert fewer": dict(num_experts_per_tok=2)}),
    "llama4": dict(
        family="llama4", cls="Llama4ForCausalLM", vocab=LLAMA,
        names=PRE_FFN | {"feed_forward.experts.gate_up_proj": turned_halves,
                         "feed_forward.experts.down_proj": transposed("ffn_down_exps.weight"),
                         "feed_forward.router.weight": "ffn_gate_inp.weight",
                         **{f"feed_forward.shared_expert.{part}_proj.weight": f"ffn_{part}_shexp.weight"
                            for part in ("gate", "up", "down")},
                         **{f"feed_forward.{part}_proj.weight": f"ffn_{part}.weight" for part in ("gate", "up", "down")}},
        why="windows in chunks of 16, no rope and steeper scores in every fourth layer, bare norms after rope, top-1 of 4 by sigmoid",
        config=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=12, intermediate_size_mlp=20, num_local_experts=4, num_experts_per_tok=1,
                    interleave_moe_layer_step=2, attention_chunk_size=16, floor_scale=8, attn_scale=0.1, rms_norm_eps=1e-3,
                    rope_parameters=plain(10000.0)),
        keys=lambda c: {"attention.sliding_window": 16, "attention.temperature_length": 8, "feed_forward_length": 20,
                        "interleave_moe_layer_step": 2, "expert_count": 4, "expert_used_count": 1,
                        "expert_feed_forward_length": 12, "rope.dimension_count": 8},
        mistakes={"chunks one longer": dict(attention_chunk_size=17), "no temperature": dict(attn_temperature_tuning=False),
                  "no bare norms": dict(use_qk_norm=False), "rope everywhere": dict(no_rope_layers=[1] * 4)}),
    "phi3": dict(
        family="phi3", cls="Phi3ForCausalLM", vocab=LLAMA,
        names=PRE_FFN | {"self_attn.qkv_proj.weight": "attn_qkv.weight", "mlp.gate_up_proj.weight": "ffn_up.weight"},
        why="longrope in a context beyond the original: the long factors; fused q k v, fused gate and up; half of a head turned",
        config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28,
                    rms_norm_eps=1e-3, original_max_position_embeddings=32,
                    rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5,
                                         short_factor=[1.0, 1.5], long_factor=[2.0, 6.0])),
        keys=lambda c: {"rope.dimension_count": 4, "rope.scaling.type": "longrope",
                        "rope.scaling.original_context_length": 32,
                        "rope.scaling.attn_factor": math.sqrt(1 + math.log(256 / 32) / math.log(32))},
        tensors=lambda c: [("rope_factors_long.weight", np.array(c.rope_parameters["long_factor"], np.float32)),
                           ("rope_factors_short.weight", np.array(c.rope_parameters["short_factor"], np.float32))],
        mistakes={"short factors": dict(rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5,
                                                             short_factor=[1.0, 1.5], long_factor=[1.0, 1.5]))}),
    "phi3-short": dict(
        family="phi3", cls="Phi3ForCausalLM", vocab=LLAMA,
        names=PRE_FFN | {"self_attn.qkv_proj.weight": "attn_qkv.weight", "mlp.gate_up_proj.weight": "ffn_up.weight"},
        why="longrope in a context that is the original: the short factors; windows of 11 everywhere",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=28,
                    rms_norm_eps=1e-3, original_max_position_embeddings=256, sliding_window=11,
                    rope_parameters=dict(rope_type="longrope", rope_theta=10000.0,
                                         short_factor=[1.0, 1.5, 2.0], long_factor=[2.0, 6.0, 9.0])),
        keys=lambda c: {"rope.dimension_count": 6, "rope.scaling.type": "longrope", "attention.sliding_window": 11,
                        "rope.scaling.original_context_length": 256, "rope.scaling.attn_factor": 1.0},
        tensors=lambda c: [("rope_factors_long.weight", np.array(c.rope_parameters["long_factor"], np.float32)),
                           ("rope_factors_short.weight", np.array(c.rope_parameters["short_factor"], np.float32))],
        mistakes={"no windows": dict(sliding_window=None), "a window one longer": dict(sliding_window=12),
                  "no factors": dict(rope_parameters=plain(10000.0))}),
    "granitemoe": dict(
        family="granitemoe", cls="GraniteMoeForCausalLM", vocab=QWEN, turned=True,
        names=PRE_FFN | {"block_sparse_moe.router.weight": "ffn_gate_inp.weight",
                         "block_sparse_moe.experts.gate_up_proj": halves,
                         "block_sparse_moe.experts.down_proj": "ffn_down_exps.weight"},
        why="four multipliers: of embeddings, scores, branches and logits; top-3 of 8",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=12,
                    num_local_experts=8, num_experts_per_tok=3, rms_norm_eps=1e-3, tie_word_embeddings=True,
                    embedding_multiplier=6.0, logits_scaling=3.0, residual_multiplier=0.4, attention_multiplier=0.3,
                    rope_parameters=plain(10000.0)),
        keys=lambda c: {"embedding_scale": 6.0, "logit_scale": 3.0, "residual_scale": 0.4, "attention.scale": 0.3,
                        "expert_count": 8, "expert_used_count": 3, "rope.dimension_count": 6},
        mistakes={"embeddings not scaled": dict(embedding_multiplier=1.0), "logits not scaled": dict(logits_scaling=1.0),
                  "branches not scaled": dict(residual_multiplier=1.0), "the usual scores": dict(attention_multiplier=6 ** -0.5),
                  "one expert fewer": dict(num_experts_per_tok=2)}),
    "granite": dict(
        family="granite", cls="GraniteForCausalLM", vocab=QWEN, turned=True, names=PRE_FFN,
        why="the four multipliers in a dense model",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28,
                    rms_norm_eps=1e-3, tie_word_embeddings=True, embedding_multiplier=6.0, logits_scaling=3.0,
                    residual_multiplier=0.4, attention_multiplier=0.3, rope_parameters=plain(10000.0)),
        keys=lambda c: {"embedding_scale": 6.0, "logit_scale": 3.0, "residual_scale": 0.4, "attention.scale": 0.3,
                        "rope.dimension_count": 6},
        mistakes={"embeddings not scaled": dict(embedding_multiplier=1.0), "logits not scaled": dict(logits_scaling=1.0),
                  "branches not scaled": dict(residual_multiplier=1.0), "the usual scores": dict(attention_multiplier=6 ** -0.5)}),
    "step35": dict(
        family="step35", cls="Step3p7Text", vocab=QWEN, plus=True, pad=1,
        names=PRE_FFN | EXPERTS | SHARED | {"self_attn.g_proj.weight": "attn_gate.weight",
                                            "mlp.gate.e_score_correction_bias": "exp_probs_b.bias"},
        why="a gate on each head, more heads in windows of 9, half of a full layer's head turned and its rope scaled, clamps",
        config=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=4, num_sliding_attention_heads=6,
                    num_key_value_heads=2, head_dim=8, intermediate_size=16, moe_intermediate_size=6, share_expert_dim=10,
                    moe_num_experts=6, moe_top_k=2, moe_router_scaling_factor=3.0, gating=True,
                    mlp_layer_types=["dense"] + ["sparse"] * 3, layer_types=kinds("fwwf"), sliding_window=9,
                    swiglu_limits=[0.0, 0.0, 0.4, 0.5], swiglu_limits_shared=[0.0, 0.3, 0.0, 0.6], rms_norm_eps=1e-3,
                    rope_parameters={"full_attention": dict(rope_type="llama3", rope_theta=200.0, partial_rotary_factor=0.5,
                                                            factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                            original_max_position_embeddings=24),
                                     "sliding_attention": plain(10000.0)}),
        keys=lambda c: {"attention.head_count": [4, 6, 6, 4], "attention.head_count_kv": [2, 2, 2, 2],
                        "attention.sliding_window": 9, "attention.sliding_window_pattern": [False, True, True, False],
                        "rope.dimension_count": 8, "rope.freq_base_swa": 10000.0, "expert_count": 6, "expert_used_count": 2,
                        "expert_feed_forward_length": 6, "expert_shared_feed_forward_length": 10,
                        "expert_weights_scale": 3.0, "expert_weights_norm": True, "expert_gating_func": 2,
                        "swiglu_clamp_exp": [0.0, 0.0, 0.4, 0.5], "swiglu_clamp_shexp": [0.0, 0.3, 0.0, 0.6]},
        tensors=lambda c: [("rope_freqs.weight", step_divisors(c))],
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "no clamps": dict(swiglu_limits=None, swiglu_limits_shared=None),
                  "one expert fewer": dict(moe_top_k=1)}),
    "gemma4": dict(
        family="gemma4", cls="Gemma4ForCausalLM", vocab=LLAMA | dict(bos=True), names=SANDWICH | GEMMA4,
        why="experts beside a dense network, each with norms of its own; full layers have wider heads, a quarter of them turned,"
            " one KV head, and values that are the keys as they were; windows of 9",
        config=GEMMA4_CONFIG | dict(enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=6,
                                    attention_k_eq_v=True, num_global_key_value_heads=1),
        keys=lambda c: gemma4_keys(c) | {"expert_count": 6, "expert_used_count": 2, "expert_feed_forward_length": 6,
                                         "attention.head_count_kv": [2, 2, 1, 2, 1]},
        tensors=lambda c: [("rope_freqs.weight", np.array([1.0] * 2 + [1e30] * 6, np.float32))],
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10),
                  "no cap of logits": dict(final_logit_softcapping=None), "one expert fewer": dict(top_k_experts=1)}),
    "gemma4-dense": dict(
        family="gemma4", cls="Gemma4ForCausalLM", vocab=LLAMA | dict(bos=True), names=SANDWICH | GEMMA4,
        why="the same without experts, with values of their own",
        config=GEMMA4_CONFIG, keys=lambda c: gemma4_keys(c),
        tensors=lambda c: [("rope_freqs.weight", np.array([1.0] * 2 + [1e30] * 6, np.float32))],
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10)}),
    "gemma4-e2b": dict(
        family="gemma4", cls="Gemma4ForCausalLM", vocab=LLAMA | dict(bos=True), names=SANDWICH | GEMMA4 | GEMMA4_ASIDE, top=GEMMA4_TOP,
        aside=True, why="an input of each layer from the token, the last three layers read keys and values of earlier ones and have"
                        " wider networks; the file has tensors that they do not use",
        config=GEMMA4_CONFIG | dict(num_hidden_layers=5, layer_types=kinds("wfwwf"), num_kv_shared_layers=3,
                                    hidden_size_per_layer_input=6, use_double_wide_mlp=True),
        keys=lambda c: gemma4_keys(c) | {"feed_forward_length": [14] * 2 + [28] * 3},
        tensors=lambda c: [GEMMA4_DIVISORS, *left_over(c)],
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10)},
        changes=NO_ASIDE),
    "gemma4-e4b": dict(
        family="gemma4", cls="Gemma4ForCausalLM", vocab=LLAMA | dict(bos=True), names=SANDWICH | GEMMA4 | GEMMA4_ASIDE, top=GEMMA4_TOP,
        aside=True, why="the same with one KV head, networks of one width, and no tensor that is not used",
        config=GEMMA4_CONFIG | dict(num_hidden_layers=6, num_key_value_heads=1, layer_types=kinds("wfwfwf"), num_kv_shared_layers=2,
                                    hidden_size_per_layer_input=5),
        keys=lambda c: gemma4_keys(c), tensors=lambda c: [GEMMA4_DIVISORS],
        mistakes={"no windows": dict(sliding_window=4096), "a window one longer": dict(sliding_window=10)},
        changes=NO_ASIDE | {"windows lent by the first": lent_by(2, 0), "full keys lent by the first": lent_by(3, 1)}),
}


def build(model, seed, **changed):
    """The judge's model with seeded weights whose spread keeps logits, routing and every branch apart."""
    cls = globals().get(model["cls"]) or getattr(transformers, model["cls"])
    vocab = Vocabulary(**model["vocab"])
    special = dict(bos_token_id=vocab.bos_id, eos_token_id=vocab.eos_id, pad_token_id=model.get("pad"))
    if model.get("aside"):
        special["vocab_size_per_layer_input"] = len(vocab)
    made = cls.config_class(vocab_size=len(vocab), attn_implementation="eager", experts_implementation="eager",
                            **(FAST | special | model["config"] | changed))
    net = cls(made).double().eval()
    draw = np.random.default_rng(seed)
    for name, weight in net.named_parameters():
        shape = tuple(weight.shape)
        if "norm" in name:
            values = draw.uniform(0.4, 1.6, shape) - (1 if model.get("plus") else 0)
        elif name.endswith("bias"):
            values = draw.normal(0, 0.5, shape)
        elif name.endswith(("router.scale", "per_expert_scale")):
            values = draw.uniform(0.4, 1.6, shape)
        elif name.endswith("sinks"):
            values = draw.normal(0.5, 1.0, shape)
        elif name.endswith("embed_tokens.weight"):
            values = draw.normal(0, 0.4 if net.config.tie_word_embeddings else 1.0, shape)
        elif name.endswith(("mlp.gate.weight", "router.weight")):
            values = draw.normal(0, 1.5 / math.sqrt(shape[-1]), shape)  # routers: chosen weights far from uniform
        else:
            values = draw.normal(0, 1.2 / math.sqrt(shape[-1]), shape)
        weight.data = torch.from_numpy(values.astype(np.float32)).double()
    for name, buffer in net.named_buffers():
        if name.endswith("correction_bias"):
            buffer.copy_(torch.from_numpy(draw.normal(0, 0.2, tuple(buffer.shape)).astype(np.float32)))
        if name.endswith("layer_scalar"):
            buffer.copy_(torch.from_numpy(draw.uniform(0.5, 1.5, (1,)).astype(np.float32)))
    net.tie_weights()
    return net, vocab


def mistakes(model, seed, ids, logits):
    """How far off a reader would be who made one mistake: proof that the fixture shows it."""
    nets = {what: build(model, seed, **changed)[0] for what, changed in model["mistakes"].items()}
    for what, change in model.get("changes", {}).items():
        nets[what] = build(model, seed)[0]
        change(nets[what])
    return golden_models.differences({what: float(np.abs(compute(net, ids) - logits).max()) for what, net in nets.items()})


def file_tensors(net, model):
    """(name, float32 array) as the file holds them."""
    config = net.config
    names, top = LAYER_NAMES | model.get("names", {}), TOP_NAMES | model.get("top", {})
    for name, weight in net.state_dict().items():
        data = weight.numpy().astype(np.float32)
        if model.get("plus") and name.endswith("norm.weight"):
            data = data + 1
        if name in top:
            if not (config.tie_word_embeddings and name == "lm_head.weight"):
                yield top[name], data
            continue
        _, _, layer, ending = name.split(".", 3)
        if model.get("turned") and ending in ("self_attn.q_proj.weight", "self_attn.k_proj.weight"):
            data = interleave(data, config.num_attention_heads if "q_proj" in ending else config.num_key_value_heads)
        place = names[ending]
        for file_name, values in place(data) if callable(place) else [(place, data)]:
            yield f"blk.{layer}.{file_name}", values
    if "tensors" in model:
        yield from model["tensors"](config)


def write_gguf(path, name, net, vocab, model):
    config, family = net.config, model["family"]
    config.allow_global_per_layer_attribute_access = True  # keys that differ between layers are in model["keys"]
    writer = golden_models.open_writer(path, name, family)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    keys = {"block_count": config.num_hidden_layers, "context_length": config.max_position_embeddings,
            "embedding_length": config.hidden_size, "feed_forward_length": config.intermediate_size,
            "attention.head_count": config.num_attention_heads, "attention.head_count_kv": config.num_key_value_heads,
            "attention.layer_norm_rms_epsilon": getattr(config, "rms_norm_eps", None), "attention.key_length": head,
            "attention.value_length": head, "rope.freq_base": rope.get("full_attention", rope)["rope_theta"]}
    golden_models.add_keys(writer, family, keys | model["keys"](config))
    golden_models.close_writer(writer, vocab, file_tensors(net, model))


def run(net, ids):
    """Logits of every position, and the smallest distance between a chosen and an unchosen expert's score, of routers that say both."""
    gaps, hooks = [], []

    def note(module, inputs, output):
        weight = (getattr(module, "gate", None) or getattr(module, "proj", None) or module).weight
        scores = torch.nn.functional.linear(inputs[0].reshape(-1, inputs[0].shape[-1]), weight)
        if getattr(module, "bias", None) is not None:
            scores = scores + module.bias
        selection = inputs[1] if len(inputs) > 1 else getattr(module, "e_score_correction_bias", 0.0)
        if hasattr(module, "per_expert_scale"):
            return
        ranked = (torch.sigmoid(scores) + selection).sort(-1, descending=True).values
        gaps.append((ranked[:, module.top_k - 1] - ranked[:, module.top_k]).min().item())

    for module in net.modules():
        if type(module).__name__.endswith("Router"):
            hooks.append(module.register_forward_hook(note))
    logits = compute(net, ids)
    for hook in hooks:
        hook.remove()
    return logits, min(gaps, default=None)


def make(out, name, model, number):
    drawn = golden_models.draw(lambda seed: build(model, seed), run, 50000 + 1000 * number, number)
    golden_models.write_folder(
        out, name, drawn,
        golden_models.provenance(name, model, drawn, model["cls"], FAST | model["config"],
                                 mistakes(model, drawn.seed, drawn.ids, drawn.logits)),
        lambda path: write_gguf(path, name, drawn.net, drawn.vocab, model))


if __name__ == "__main__":
    golden_models.main(__doc__, MODELS, make)
