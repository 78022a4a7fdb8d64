#!/usr/bin/env python3
"""make_network_models.py - tiny random models of the families that differ in how experts are chosen, weighed and shared, with
the logits that Hugging Face transformers computes for them in float64.

usage: make_network_models.py OUT [NAME ...]        needs: what make_models.py needs

Folders as make_models.py writes them. Where transformers has no class of a family's own, the same arithmetic is put together
from the classes of another ("judge" says which).
"""
import math

import numpy as np
import torch
from torch import nn
from transformers.models.deepseek_v2.configuration_deepseek_v2 import DeepseekV2Config
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Moe, DeepseekV2TopkRouter
from transformers.models.dots1.modeling_dots1 import Dots1ForCausalLM
from transformers.models.ernie4_5_moe.modeling_ernie4_5_moe import Ernie4_5_MoeForCausalLM
from transformers.models.glm4_moe.modeling_glm4_moe import Glm4MoeForCausalLM
from transformers.models.granitemoeshared.modeling_granitemoeshared import GraniteMoeSharedForCausalLM
from transformers.models.hunyuan_v1_moe.modeling_hunyuan_v1_moe import HunYuanMoEV1ForCausalLM
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.minimax_m2.modeling_minimax_m2 import MiniMaxM2ForCausalLM
from transformers.models.mixtral.modeling_mixtral import MixtralForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeForCausalLM

import golden_models
from golden_models import LAYER_NAMES, TOP_NAMES, interleave
from tiny_vocab import LLAMA, QWEN, Vocabulary


class RenormalisingRouter(DeepseekV2TopkRouter):
    """The chosen weights made to sum 1, which the second generation leaves out."""

    def forward(self, hidden_states):
        logits, weights, chosen = super().forward(hidden_states)
        return logits, weights / weights.sum(-1, keepdim=True), chosen


class LlamaWithDeepseekNetworks(LlamaForCausalLM):
    """DeepSeekMoE's first generation: attention as in Llama, networks as in DeepSeek-V2."""

    def __init__(self, config):
        super().__init__(config)
        experts = DeepseekV2Config(
            hidden_size=config.hidden_size, num_attention_heads=config.num_attention_heads, num_key_value_heads=config.num_key_value_heads,
            moe_intermediate_size=config.moe_intermediate_size,
            n_routed_experts=config.n_routed_experts, num_experts_per_tok=config.num_experts_per_tok,
            n_shared_experts=config.n_shared_experts, routed_scaling_factor=config.routed_scaling_factor,
            norm_topk_prob=config.norm_topk_prob, topk_method="greedy", mlp_bias=False, hidden_act="silu",
            experts_implementation="eager", rope_parameters=config.rope_parameters)
        for layer in self.model.layers[config.first_k_dense_replace:]:
            layer.mlp = DeepseekV2Moe(experts)
            if config.norm_topk_prob:
                layer.mlp.gate = RenormalisingRouter(experts)


def rope(base, **more):
    return dict(rope_type="default", rope_theta=base, **more)


def deepseek_keys(c):
    return {"expert_count": c.n_routed_experts, "expert_used_count": c.num_experts_per_tok,
            "expert_feed_forward_length": c.moe_intermediate_size, "expert_shared_count": c.n_shared_experts,
            "expert_weights_scale": float(c.routed_scaling_factor), "expert_weights_norm": c.norm_topk_prob,
            "leading_dense_block_count": c.first_k_dense_replace}


def sigmoid_keys(c):
    return deepseek_keys(c) | {"expert_gating_func": 2, "expert_group_count": c.n_group, "expert_group_used_count": c.topk_group}


def mixtral_keys(c):
    return {"expert_count": c.num_local_experts, "expert_used_count": c.num_experts_per_tok}


def head_keys(c):
    return {"attention.key_length": c.head_dim, "attention.value_length": c.head_dim}


# family: in the file. pairs: rope turns neighbouring pairs and the file's q and k are reordered for it. keys: beside those that
# all have. wrong: mistakes of a reader, as changes of the configuration; zero: tensors that a reader may forget.
MODELS = {
    "llama-mixtral": dict(
        family="llama", cls=MixtralForCausalLM, vocab=LLAMA, pairs=True, scales={"ffn_gate_exps": 6, "ffn_down_exps": 6, "ffn_up_exps": 1,
                                                                                  "attn_q": 1, "output": 1},
        why="experts instead of the dense network, top-2 renormalised, scales beside matrices",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
                    intermediate_size=14, num_local_experts=6, num_experts_per_tok=2, sliding_window=None, rms_norm_eps=1e-3,
                    rope_parameters=rope(1e6)),
        keys=lambda c: mixtral_keys(c) | {"rope.dimension_count": c.head_dim, "vocab_size": c.vocab_size},
        wrong={"one expert fewer": dict(num_experts_per_tok=1)}),
    "qwen2": dict(
        family="qwen2", cls=Qwen2ForCausalLM, vocab=QWEN, why="biases on q, k and v, output tied",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, intermediate_size=32,
                    tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=rope(1e6)),
        keys=lambda c: {}, wrong={}, zero={"no biases": ".bias"}),
    "deepseek": dict(
        family="deepseek", cls=LlamaWithDeepseekNetworks, vocab=QWEN, pairs=True,
        why="the first layer dense, two shared experts without a gate, weights not renormalised but scaled",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, head_dim=6,
                    intermediate_size=30, moe_intermediate_size=7, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
                    routed_scaling_factor=1.5, norm_topk_prob=False, first_k_dense_replace=1, rms_norm_eps=1e-3,
                    rope_parameters=rope(1e4)),
        keys=lambda c: deepseek_keys(c) | {"rope.dimension_count": c.head_dim, "vocab_size": c.vocab_size},
        wrong={"renormalised": dict(norm_topk_prob=True), "no scale": dict(routed_scaling_factor=1.0)},
        zero={"no shared experts": "shared_experts.down_proj.weight"}),
    "glm4moe": dict(
        family="glm4moe", cls=Glm4MoeForCausalLM, vocab=QWEN, blocks_that_guess=1,
        why="sigmoid, a bias that chooses, biases on q, k and v, q and k norms, half of each head turned, a block that guesses",
        names={"post_attention_layernorm.weight": "post_attention_norm.weight"},
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=30, moe_intermediate_size=7, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
                    routed_scaling_factor=1.8, norm_topk_prob=True, first_k_dense_replace=1, n_group=1, topk_group=1,
                    use_qk_norm=True, attention_bias=True, rms_norm_eps=1e-3, num_mtp_layers=0,
                    rope_parameters=rope(1e4, partial_rotary_factor=0.5)),
        keys=lambda c: sigmoid_keys(c) | head_keys(c) | {"rope.dimension_count": c.head_dim // 2},
        wrong={"not renormalised": dict(norm_topk_prob=False), "no scale": dict(routed_scaling_factor=1.0),
               "whole heads turned": dict(rope_parameters=rope(1e4, partial_rotary_factor=1.0))},
        zero={"no bias that chooses": "e_score_correction_bias", "no biases": "_proj.bias"}),
    "glm4moe-groups": dict(
        family="glm4moe", cls=Glm4MoeForCausalLM, vocab=QWEN, fused=True,
        why="experts in four groups of which two are chosen from, two leading dense layers, q, k and v in one tensor, no q and k norms",
        names={"post_attention_layernorm.weight": "post_attention_norm.weight"},
        config=dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=20, moe_intermediate_size=5, n_routed_experts=16, num_experts_per_tok=4, n_shared_experts=2,
                    routed_scaling_factor=1.0, norm_topk_prob=True, first_k_dense_replace=2, n_group=4, topk_group=2,
                    use_qk_norm=False, attention_bias=True, rms_norm_eps=1e-3, num_mtp_layers=0,
                    rope_parameters=rope(1e4, partial_rotary_factor=0.5)),
        keys=lambda c: sigmoid_keys(c) | head_keys(c) | {"rope.dimension_count": c.head_dim // 2},
        wrong={"no groups": dict(n_group=1, topk_group=1)}, zero={"no bias that chooses": "e_score_correction_bias"}),
    "minimax-m2": dict(
        family="minimax-m2", cls=MiniMaxM2ForCausalLM, vocab=QWEN,
        why="norms over all of q and of k, half of each head turned, sigmoid, a bias that chooses",
        names={"mlp.e_score_correction_bias": "exp_probs_b.bias"},
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=9, num_local_experts=8, num_experts_per_tok=3, rms_norm_eps=1e-3,
                    rope_parameters=rope(5e6, partial_rotary_factor=0.5)),
        keys=lambda c: mixtral_keys(c) | head_keys(c) | {
            "rope.dimension_count": c.head_dim // 2, "expert_feed_forward_length": c.intermediate_size, "expert_gating_func": 2},
        wrong={"whole heads turned": dict(rope_parameters=rope(5e6, partial_rotary_factor=1.0))},
        zero={"no bias that chooses": "e_score_correction_bias"}),
    "granitemoe-shared": dict(
        family="granitemoe", cls=GraniteMoeSharedForCausalLM, vocab=QWEN, pairs=True,
        why="four multipliers, a shared expert of its own width, output tied",
        names={"block_sparse_moe.router.weight": "ffn_gate_inp.weight", "block_sparse_moe.experts.down_proj": "ffn_down_exps.weight",
               "shared_mlp.output_linear.weight": "ffn_down_shexp.weight"},
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=9,
                    num_local_experts=8, num_experts_per_tok=3, shared_intermediate_size=11, embedding_multiplier=6.0,
                    attention_multiplier=0.3, residual_multiplier=0.4, logits_scaling=1.7, tie_word_embeddings=True,
                    rms_norm_eps=5e-2, rope_parameters=rope(1e4)),
        keys=lambda c: mixtral_keys(c) | {
            "embedding_scale": c.embedding_multiplier, "attention.scale": c.attention_multiplier,
            "residual_scale": c.residual_multiplier, "logit_scale": c.logits_scaling, "vocab_size": c.vocab_size,
            "rope.dimension_count": c.hidden_size // c.num_attention_heads,
            "expert_shared_feed_forward_length": c.shared_intermediate_size},
        wrong={"no embedding scale": dict(embedding_multiplier=1.0), "no residual scale": dict(residual_multiplier=1.0),
               "usual attention scale": dict(attention_multiplier=6 ** -0.5), "logits not divided": dict(logits_scaling=1.0)},
        zero={"no shared expert": "shared_mlp.output_linear.weight"}),
    "dots1": dict(
        family="dots1", cls=Dots1ForCausalLM, vocab=QWEN, why="norms of q and k heads, sigmoid, the first layer dense, shared experts",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
                    intermediate_size=30, moe_intermediate_size=7, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
                    routed_scaling_factor=2.5, norm_topk_prob=True, first_k_dense_replace=1, n_group=1, topk_group=1,
                    sliding_window=None, rms_norm_eps=1e-3, rope_parameters=rope(1e6)),
        keys=lambda c: sigmoid_keys(c) | head_keys(c),
        wrong={"not renormalised": dict(norm_topk_prob=False), "no scale": dict(routed_scaling_factor=1.0)},
        zero={"no bias that chooses": "e_score_correction_bias"}),
    "hunyuan-moe": dict(
        family="hunyuan-moe", cls=HunYuanMoEV1ForCausalLM, vocab=QWEN, why="norms of q and k after rope, one shared expert",
        names={"self_attn.query_layernorm.weight": "attn_q_norm.weight", "self_attn.key_layernorm.weight": "attn_k_norm.weight",
               "mlp.gate.wg.weight": "ffn_gate_inp.weight", "mlp.shared_mlp.gate_proj.weight": "ffn_gate_shexp.weight",
               "mlp.shared_mlp.up_proj.weight": "ffn_up_shexp.weight", "mlp.shared_mlp.down_proj.weight": "ffn_down_shexp.weight"},
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=9, num_experts=8, moe_topk=3, rms_norm_eps=1e-3, rope_parameters=rope(11158.0)),
        keys=lambda c: head_keys(c) | {
            "expert_count": c.num_experts, "expert_used_count": c.moe_topk,
            "expert_shared_feed_forward_length": c.intermediate_size, "expert_feed_forward_length": c.intermediate_size},
        wrong={"one expert fewer": dict(moe_topk=2)}, zero={"no shared expert": "shared_mlp.down_proj.weight"}),
    "ernie4_5-moe": dict(
        family="ernie4_5-moe", cls=Ernie4_5_MoeForCausalLM, vocab=QWEN,
        why="experts in every second layer from the second on, softmax with a bias that chooses, two shared experts, output tied",
        names={"mlp.gate.moe_statics.e_score_correction_bias": "exp_probs_b.bias"},
        config=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28,
                    moe_intermediate_size=7, moe_num_experts=8, moe_k=3, moe_num_shared_experts=2, moe_layer_start_index=1,
                    moe_layer_interval=2, tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=rope(500000.0)),
        keys=lambda c: {
            "expert_count": c.moe_num_experts, "expert_used_count": c.moe_k, "expert_feed_forward_length": c.moe_intermediate_size,
            "interleave_moe_layer_step": c.moe_layer_interval, "leading_dense_block_count": c.moe_layer_start_index,
            "expert_shared_count": c.moe_num_shared_experts,
            "expert_shared_feed_forward_length": c.intermediate_size // c.num_key_value_heads},
        wrong={"one expert fewer": dict(moe_k=2)},
        zero={"no bias that chooses": "e_score_correction_bias", "no shared experts": "shared_experts.down_proj.weight"}),
    "bailingmoe": dict(
        family="bailingmoe", cls=LlamaWithDeepseekNetworks, vocab=QWEN, pairs=True, why="softmax renormalised, two shared experts",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=30, moe_intermediate_size=7, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
                    routed_scaling_factor=1.0, norm_topk_prob=True, first_k_dense_replace=0, rms_norm_eps=1e-3,
                    rope_parameters=rope(600000.0)),
        keys=lambda c: deepseek_keys(c) | {"rope.dimension_count": c.head_dim, "attention.key_length": c.head_dim,
                                           "attention.value_length": c.head_dim},
        wrong={"not renormalised": dict(norm_topk_prob=False)}, zero={"no shared experts": "shared_experts.down_proj.weight"}),
    "bailingmoe2": dict(
        family="bailingmoe2", cls=Glm4MoeForCausalLM, vocab=QWEN, fused=True, blocks_that_guess=1,
        why="q, k and v in one tensor, norms of q and k heads, half of each head turned, groups, a block that guesses",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=30, moe_intermediate_size=7, n_routed_experts=12, num_experts_per_tok=3, n_shared_experts=1,
                    routed_scaling_factor=2.5, norm_topk_prob=True, first_k_dense_replace=1, n_group=4, topk_group=2,
                    use_qk_norm=True, attention_bias=False, rms_norm_eps=1e-3, num_mtp_layers=0,
                    rope_parameters=rope(600000.0, partial_rotary_factor=0.5)),
        keys=lambda c: sigmoid_keys(c) | head_keys(c) | {
            "rope.dimension_count": c.head_dim // 2, "expert_shared_feed_forward_length": c.moe_intermediate_size},
        wrong={"no groups": dict(n_group=1, topk_group=1)}, zero={"no bias that chooses": "e_score_correction_bias"}),
    "qwen3vlmoe": dict(
        family="qwen3vlmoe", cls=Qwen3MoeForCausalLM, vocab=QWEN,
        why="of text alone, whose positions are the same in all sections: what qwen3moe computes, with the keys of pictures",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    intermediate_size=36, moe_intermediate_size=10, num_experts=6, num_experts_per_tok=2, norm_topk_prob=True,
                    rms_norm_eps=1e-2, rope_parameters=rope(5e6)),
        keys=lambda c: head_keys(c) | {
            "expert_count": c.num_experts, "expert_used_count": c.num_experts_per_tok,
            "expert_feed_forward_length": c.moe_intermediate_size, "rope.dimension_sections": [2, 1, 1, 0],
            "n_deepstack_layers": 3},
        wrong={"one expert fewer": dict(num_experts_per_tok=1)}),
}

NAMES = LAYER_NAMES | {
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias", "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight", "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight"}
# What the judge keeps in one and files in two: rows of the gate, then of up.
HALVES = {"mlp.experts.gate_up_proj": "exps", "block_sparse_moe.experts.gate_up_proj": "exps", "shared_mlp.input_linear.weight": "shexp"}


def build(model, seed, **changed):
    """The judge's model with seeded weights whose spread keeps logits, routing and every branch apart."""
    cls, vocab = model["cls"], Vocabulary(**model["vocab"])
    config = dict(experts_implementation="eager", pad_token_id=None) | model["config"] | changed
    made = cls.config_class(vocab_size=len(vocab), max_position_embeddings=256, attn_implementation="eager",
                            bos_token_id=vocab.bos_id, eos_token_id=vocab.eos_id, **config)
    net = cls(made).double().eval()
    draw = np.random.default_rng(seed)
    for name, weight in sorted(net.state_dict().items()):
        shape = tuple(weight.shape)
        if name.endswith(("norm.weight", "layernorm.weight")):
            values = draw.uniform(0.4, 1.6, shape)
        elif name.endswith("e_score_correction_bias"):
            values = draw.uniform(-0.3, 0.3, shape)
        elif name.endswith(".bias"):
            values = draw.normal(0, 0.5, shape)
        elif name.endswith("embed_tokens.weight"):
            values = draw.normal(0, 0.4 if made.tie_word_embeddings else 1.0, shape)
        elif name.endswith(("gate.weight", "router.weight", "wg.weight")):
            values = draw.normal(0, 1.5 / math.sqrt(shape[-1]), shape)  # routers: chosen weights far from uniform
        else:
            values = draw.normal(0, 1.2 / math.sqrt(shape[-1]), shape)
        weight.copy_(torch.from_numpy(values.astype(np.float32)).double())
    net.tie_weights()
    return net, vocab


def is_router(module):
    return type(module).__name__.endswith(("Router", "Gate")) and not isinstance(module, nn.Linear)


def score(module, logits, bias):
    """What experts are chosen by, and the smallest distance between a group that is chosen from and one that is not."""
    if type(module).__name__.startswith(("Glm4", "Dots1", "MiniMaxM2")):
        scores = torch.sigmoid(logits) + bias
    else:
        scores = torch.softmax(logits, -1) + bias
    groups, used = getattr(module, "num_group", 1), getattr(module, "topk_group", 1)
    if groups == used:
        return scores, math.inf
    ranked = scores.view(len(scores), groups, -1).topk(2, -1).values.sum(-1).sort(-1, descending=True)
    mask = torch.zeros_like(ranked.values).scatter_(1, ranked.indices[:, :used], 1.0)
    gap = (ranked.values[:, used - 1] - ranked.values[:, used]).min().item()
    return scores.masked_fill(mask.repeat_interleave(scores.shape[1] // groups, 1) == 0, -math.inf), gap


def bias_of(module):
    for owner in (module, getattr(module, "moe_statics", None)):
        if hasattr(owner, "e_score_correction_bias"):
            return owner.e_score_correction_bias.reshape(-1)
    return 0.0


def run(net, ids):
    """Logits of every position, and the smallest distance between a chosen and an unchosen expert."""
    gaps, hooks = [], []

    def note(module, inputs, output):
        bias = inputs[1] if len(inputs) > 1 else bias_of(module)  # MiniMax hands it over
        scores, gap = score(module, output[0].double(), bias)
        ranked = scores.sort(-1, descending=True).values
        gaps.extend([gap, (ranked[:, module.top_k - 1] - ranked[:, module.top_k]).min().item()])

    for module in net.modules():
        if is_router(module):
            hooks.append(module.register_forward_hook(note))
    logits = golden_models.compute(net, ids)
    for hook in hooks:
        hook.remove()
    return logits, min(gaps, default=None)


def mistakes(model, seed, ids, logits):
    """How far off a reader would be who made one mistake: proof that the fixture shows it."""
    config = model["config"]
    turn = config["rope_parameters"]
    changes = {"rope base halved": dict(rope_parameters=turn | {"rope_theta": turn["rope_theta"] / 2}),
               "epsilon 1e-5": dict(rms_norm_eps=1e-5)} | model["wrong"]
    nets = {what: build(model, seed, **changed)[0] for what, changed in changes.items()}
    for what, ending in ({"no norm weights": "norm.weight"} | model.get("zero", {})).items():
        net = build(model, seed)[0]
        hit = [weight for name, weight in net.state_dict().items() if name.endswith(ending)]
        assert hit, what
        for weight in hit:
            weight.copy_(torch.ones_like(weight) if "norm" in ending else torch.zeros_like(weight))
        nets[what] = net
    return golden_models.differences({what: float(np.abs(run(net, ids)[0] - logits).max()) for what, net in nets.items()})


def layer_tensors(model, config, ending, data):
    """(name in the layer, float32 array) of one of the judge's."""
    names = NAMES | model.get("names", {})
    if ending in HALVES:
        half = data.shape[-2] // 2
        yield f"ffn_gate_{HALVES[ending]}.weight", data[..., :half, :]
        yield f"ffn_up_{HALVES[ending]}.weight", data[..., half:, :]
        return
    if model.get("pairs") and ending in ("self_attn.q_proj.weight", "self_attn.k_proj.weight"):
        data = interleave(data, config.num_attention_heads if "q_proj" in ending else config.num_key_value_heads)
    yield names[ending], data.reshape(-1) if names[ending] == "exp_probs_b.bias" else data


def fuse(found):
    """q, k and v of each layer in one tensor, weights and biases."""
    for kind in ("weight", "bias"):
        for name in [name for name in found if name.endswith(f"attn_q.{kind}")]:
            stem = name[:-len(f"q.{kind}")]
            found[f"{stem}qkv.{kind}"] = np.concatenate([found.pop(f"{stem}{part}.{kind}") for part in "qkv"])


def file_tensors(model, net):
    config = net.config
    found = {}
    for name, weight in net.state_dict().items():
        data = weight.numpy().astype(np.float32)
        if name in TOP_NAMES:
            if not (config.tie_word_embeddings and name == "lm_head.weight"):
                found[TOP_NAMES[name]] = data
            continue
        _, _, layer, ending = name.split(".", 3)
        for tensor, part in layer_tensors(model, config, ending, data):
            found[f"blk.{layer}.{tensor}"] = part
    if model.get("fused"):
        fuse(found)
    add_scales(model, found)
    for block in range(model.get("blocks_that_guess", 0)):  # not run: what is in it is of no account
        layer, copied = config.num_hidden_layers + block, f"blk.{config.num_hidden_layers - 1}."
        d_model = config.hidden_size
        for name in [name for name in found if name.startswith(copied)]:
            found[f"blk.{layer}.{name[len(copied):]}"] = np.zeros_like(found[name])
        found[f"blk.{layer}.nextn.eh_proj.weight"] = np.zeros((d_model, 2 * d_model), np.float32)
        for norm in ("enorm", "hnorm", "shared_head_norm"):
            found[f"blk.{layer}.nextn.{norm}.weight"] = np.ones(d_model, np.float32)
    return found


def add_scales(model, found):
    """Beside a matrix, or each of a stack, what its outputs are multiplied by: powers of 2, so that nothing is rounded."""
    draw = np.random.default_rng(7)
    for stem, count in model.get("scales", {}).items():
        for name in [name for name in found if name.endswith(f".{stem}.weight") or name == f"{stem}.weight"]:
            scale = (2.0 ** draw.integers(-2, 3, count)).astype(np.float32)
            found[name] = found[name] / (scale.reshape(-1, 1, 1) if count > 1 else scale[0])
            found[name[:-len("weight")] + "scale"] = scale
            found[name[:-len("weight")] + "input_scale"] = np.ones(count, np.float32)


def write_gguf(path, name, model, net, vocab):
    config, family, guesses = net.config, model["family"], model.get("blocks_that_guess", 0)
    writer = golden_models.open_writer(path, name, family)
    writer.add_block_count(config.num_hidden_layers + guesses)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    golden_models.add_keys(writer, family, model["keys"](config) | ({"nextn_predict_layers": guesses} if guesses else {}))
    golden_models.close_writer(writer, vocab, file_tensors(model, net).items())


def make(out, name, model, number):
    drawn = golden_models.draw(lambda seed: build(model, seed), run, 100000 + 1000 * (number + 1), number)
    golden_models.write_folder(
        out, name, drawn,
        golden_models.provenance(name, model, drawn, model["cls"].__name__,
                                 model["config"] | {"vocab_size": drawn.net.config.vocab_size},
                                 mistakes(model, drawn.seed, drawn.ids, drawn.logits), "norms, routing and rope angles"),
        lambda path: write_gguf(path, name, model, drawn.net, drawn.vocab))


if __name__ == "__main__":
    golden_models.main(__doc__, MODELS, make)
