#!/usr/bin/env python3
"""make_latent_models.py - tiny random models with latent attention as stock GGUF files, with the logits that Hugging Face
transformers computes for them in float64.

usage: make_latent_models.py OUT [NAME ...]      needs: pip install torch transformers tokenizers gguf numpy

Writes what make_models.py writes. Texts are longer than the context that YaRN starts from. One model is also written as older
files have it, with one matrix for keys and values of all heads: same weights, same logits.
"""
import math

import gguf
import numpy as np
import torch
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2ForCausalLM
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3ForCausalLM
from transformers.models.glm4_moe_lite.modeling_glm4_moe_lite import Glm4MoeLiteForCausalLM
from transformers.models.mistral4.modeling_mistral4 import Mistral4ForCausalLM

import golden_models
from golden_models import LAYER_NAMES, TOP_NAMES
from tiny_vocab import QWEN, Vocabulary

SOFTMAX, SIGMOID = gguf.ExpertGatingFuncType.SOFTMAX, gguf.ExpertGatingFuncType.SIGMOID
# Of four pairs one is kept, one scaled less than whole and two are scaled; original lengths are shorter than the texts.
YARN = dict(rope_type="yarn", rope_theta=100.0, factor=8.0, original_max_position_embeddings=24, beta_fast=32.0, beta_slow=1.0)
SHAPE = dict(hidden_size=24, num_attention_heads=3, num_key_value_heads=3, intermediate_size=36, moe_intermediate_size=10,
             kv_lora_rank=12, qk_nope_head_dim=6, qk_rope_head_dim=8, v_head_dim=5, rms_norm_eps=1e-6)

MODELS = {
    "deepseek2-dense": dict(
        family="deepseek2", judge=DeepseekV3ForCausalLM, older="deepseek2-joint", why="no experts, four heads, YaRN with a multiplier of 0.7",
        config=SHAPE | dict(num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=10,
                            first_k_dense_replace=3, rope_parameters=YARN | dict(mscale=0.7, mscale_all_dim=0.7))),
    "deepseek2-lite": dict(
        family="deepseek2", judge=DeepseekV2ForCausalLM, gating=SOFTMAX, older="deepseek2-lite-joint",
        why="queries by one matrix, YaRN with a multiplier of 0.707, two shared experts, weights left as softmax gave them",
        config=SHAPE | dict(num_hidden_layers=3, q_lora_rank=None, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
                            first_k_dense_replace=1, routed_scaling_factor=1.0, topk_method="greedy", norm_topk_prob=False,
                            n_group=None, topk_group=None,
                            rope_parameters=YARN | dict(mscale=0.707, mscale_all_dim=0.707))),
    "deepseek2-groups": dict(
        family="deepseek2", judge=DeepseekV2ForCausalLM, gating=SOFTMAX,
        why="groups scored by their largest expert (softmax), weights multiplied by 16, YaRN",
        config=SHAPE | dict(num_hidden_layers=2, q_lora_rank=10, n_routed_experts=12, num_experts_per_tok=3, n_shared_experts=1,
                            first_k_dense_replace=0, routed_scaling_factor=16.0, topk_method="group_limited_greedy", n_group=4,
                            topk_group=2, norm_topk_prob=False,
                            rope_parameters=YARN | dict(mscale=0.707, mscale_all_dim=0.707))),
    "deepseek2": dict(
        family="deepseek2", judge=DeepseekV3ForCausalLM, gating=SIGMOID,
        why="queries by two matrices, sigmoid, groups scored by their two largest experts, a bias for the choice, scale 2.5, YaRN",
        config=SHAPE | dict(num_hidden_layers=3, q_lora_rank=10, n_routed_experts=12, num_experts_per_tok=3, n_shared_experts=1,
                            first_k_dense_replace=1, routed_scaling_factor=2.5, norm_topk_prob=True, n_group=4, topk_group=2,
                            rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0))),
    "deepseek2-glm": dict(
        family="deepseek2", judge=Glm4MoeLiteForCausalLM, gating=SIGMOID,
        why="GLM-4.7-Flash: wider values than plain keys, no YaRN, no groups, sigmoid with a bias, scale 1.8",
        config=SHAPE | dict(num_hidden_layers=3, num_attention_heads=5, num_key_value_heads=5, q_lora_rank=10, v_head_dim=9,
                            n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, routed_scaling_factor=1.8,
                            norm_topk_prob=True, n_group=1, topk_group=1,
                            rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "mistral4": dict(
        family="mistral4", judge=Mistral4ForCausalLM, gating=SOFTMAX,
        why="softmax with weights made to sum 1, no dense layer, queries that grow with the position, YaRN",
        config=SHAPE | dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=10,
                            n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, first_k_dense_replace=0,
                            routed_scaling_factor=1.0, norm_topk_prob=True, n_group=1, topk_group=1,
                            rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5,
                                                        max_position_embeddings=256))),
}


def draw_weights(net, seed):
    """Weights and biases for the choice, as float32 holds them."""
    draw = np.random.default_rng(seed)
    for name, weight in [*net.named_parameters(), *net.named_buffers()]:
        shape = tuple(weight.shape)
        if name.endswith("norm.weight"):
            values = draw.uniform(0.4, 1.6, shape)
        elif name.endswith("e_score_correction_bias"):
            values = draw.normal(0, 0.15, shape)
        elif name.endswith("embed_tokens.weight"):
            values = draw.normal(0, 1.0, shape)
        elif name.endswith("mlp.gate.weight"):
            values = draw.normal(0, 1.5 / math.sqrt(shape[-1]), shape)
        elif name.endswith("inv_freq"):
            continue
        else:
            values = draw.normal(0, 1.2 / math.sqrt(shape[-1]), shape)
        weight.data = torch.from_numpy(values.astype(np.float32)).double()


def build(model, seed, **changed):
    vocab = Vocabulary(**QWEN)
    config = model["config"] | changed
    made = model["judge"].config_class(
        vocab_size=len(vocab), max_position_embeddings=256, attn_implementation="eager", experts_implementation="eager",
        bos_token_id=vocab.bos_id, eos_token_id=vocab.eos_id, pad_token_id=None, tie_word_embeddings=False, **config)
    net = model["judge"](made).double().eval()
    draw_weights(net, seed)
    return net, vocab


def smallest_gap(model, scores, chosen_by):
    """Between chosen and unchosen experts, and between groups."""
    config = model["config"]
    n_group, top_k = config.get("n_group") or 1, config["num_experts_per_tok"]
    found = []
    if n_group > 1:
        groups = chosen_by.view(len(scores), n_group, -1)
        by_max = config.get("topk_method") == "group_limited_greedy"
        worth = groups.max(-1).values if by_max else groups.topk(2, -1).values.sum(-1)
        ranked = worth.sort(-1, descending=True).values
        found.append((ranked[:, config["topk_group"] - 1] - ranked[:, config["topk_group"]]).min().item())
        kept = worth.topk(config["topk_group"], -1).indices
        mask = torch.zeros_like(worth).scatter(1, kept, 1).bool()
        chosen_by = groups.masked_fill(~mask.unsqueeze(-1), -1e9).view(len(scores), -1)
    ranked = chosen_by.sort(-1, descending=True).values
    found.append((ranked[:, top_k - 1] - ranked[:, top_k]).min().item())
    return min(found)


def run(model, net, ids):
    """Logits of every position, and the smallest distance between a chosen and an unchosen expert or group."""
    gaps, hooks = [], []

    def note(module, inputs, output):
        logits = torch.nn.functional.linear(inputs[0].reshape(-1, module.hidden_dim), module.weight)
        scores = logits.sigmoid() if model["gating"] == SIGMOID else logits.softmax(-1)
        bias = getattr(module, "e_score_correction_bias", 0)
        gaps.append(smallest_gap(model, scores, scores + bias))

    for module in net.modules():
        if type(module).__name__.lower().endswith("topkrouter"):
            hooks.append(module.register_forward_hook(note))
    logits = golden_models.compute(net, ids)
    for hook in hooks:
        hook.remove()
    return logits, min(gaps, default=None)


def mistakes(model, seed, ids, logits):
    """How far off a reader would be who made one mistake."""
    rope, config = model["config"]["rope_parameters"], model["config"]
    variants = {"rope base halved": dict(rope_parameters=rope | {"rope_theta": rope["rope_theta"] / 2})}
    if config.get("routed_scaling_factor", 1.0) != 1.0:
        variants["scale 1"] = dict(routed_scaling_factor=1.0)
    if "num_experts_per_tok" in config:
        variants["one expert fewer"] = dict(num_experts_per_tok=config["num_experts_per_tok"] - 1)
    if "mscale" in rope:
        plain = {key: value for key, value in rope.items() if key not in ("mscale", "mscale_all_dim")}
        variants["cos and sin stretched, not scores"] = dict(rope_parameters=plain)
        variants["no YaRN"] = dict(rope_parameters=plain | {"rope_type": "linear", "factor": 1.0})
    if "llama_4_scaling_beta" in rope:
        variants["no growth of queries"] = dict(rope_parameters=rope | {"llama_4_scaling_beta": 0.0})
    if (config.get("n_group") or 1) > 1:
        variants["no groups"] = dict(topk_group=config["n_group"])
    found = {}
    for what, changed in variants.items():
        found[what] = float(np.abs(run(model, build(model, seed, **changed)[0], ids)[0] - logits).max())
    for what, ending in (("no bias for the choice", "e_score_correction_bias"), ("no shared experts", "shared_experts.down_proj.weight"),
                         ("no norm of latents", "kv_a_layernorm.weight")):
        net = build(model, seed)[0]
        hit = [weight for name, weight in [*net.named_parameters(), *net.named_buffers()] if name.endswith(ending)]
        for weight in hit:
            weight.data = torch.ones_like(weight) if "norm" in ending else torch.zeros_like(weight)
        if hit:
            found[what] = float(np.abs(run(model, net, ids)[0] - logits).max())
    return golden_models.differences(found)


NAMES = LAYER_NAMES | {
    "self_attn.q_a_proj.weight": "attn_q_a.weight", "self_attn.q_a_layernorm.weight": "attn_q_a_norm.weight",
    "self_attn.q_b_proj.weight": "attn_q_b.weight", "self_attn.kv_a_proj_with_mqa.weight": "attn_kv_a_mqa.weight",
    "self_attn.kv_a_layernorm.weight": "attn_kv_a_norm.weight", "self_attn.kv_b_proj.weight": "attn_kv_b.weight",
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias", "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight", "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight"}


def file_tensors(net, is_older):
    """(name, float32 array) as the file holds them."""
    config = net.config
    for name, weight in net.state_dict().items():
        data = weight.numpy().astype(np.float32)
        if name in TOP_NAMES:
            yield TOP_NAMES[name], data
            continue
        _, _, layer, ending = name.split(".", 3)
        if ending == "mlp.experts.gate_up_proj":
            width = data.shape[1] // 2
            yield f"blk.{layer}.ffn_gate_exps.weight", data[:, :width]
            yield f"blk.{layer}.ffn_up_exps.weight", data[:, width:]
        elif ending == "self_attn.kv_b_proj.weight" and not is_older:
            heads = data.reshape(config.num_attention_heads, config.qk_nope_head_dim + config.v_head_dim, -1)
            yield f"blk.{layer}.attn_k_b.weight", heads[:, :config.qk_nope_head_dim].swapaxes(1, 2)
            yield f"blk.{layer}.attn_v_b.weight", heads[:, config.qk_nope_head_dim:]
        else:
            yield f"blk.{layer}.{NAMES[ending]}", data


def add_expert_keys(writer, model, is_older):
    facts = model["config"]
    writer.add_expert_shared_count(facts.get("n_shared_experts", 0))
    if "n_routed_experts" not in facts:
        writer.add_expert_feed_forward_length(facts["intermediate_size"])
        return
    writer.add_expert_feed_forward_length(facts["moe_intermediate_size"])
    writer.add_expert_count(facts["n_routed_experts"])
    writer.add_expert_used_count(facts["num_experts_per_tok"])
    writer.add_expert_weights_scale(facts["routed_scaling_factor"])
    if facts["norm_topk_prob"]:
        writer.add_expert_weights_norm(True)
    if not is_older:  # the oldest ones have no such key: softmax is meant
        writer.add_expert_gating_func(model["gating"])
    if facts["n_group"]:
        writer.add_expert_group_count(facts["n_group"])
        writer.add_expert_group_used_count(facts["topk_group"])


def add_rope_keys(writer, rope):
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
    if "llama_4_scaling_beta" in rope:
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
        writer.add_attn_temperature_length(rope["original_max_position_embeddings"])


def write_gguf(path, name, model, net, vocab, is_older):
    config, facts = net.config, model["config"]
    writer = golden_models.open_writer(path, name, model["family"])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_attention_heads if is_older else 1)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_leading_dense_block_count(facts.get("first_k_dense_replace", 1))
    if config.q_lora_rank is not None:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    d_head = config.qk_nope_head_dim + config.qk_rope_head_dim
    writer.add_key_length(d_head if is_older else config.kv_lora_rank + config.qk_rope_head_dim)
    writer.add_value_length(config.v_head_dim if is_older else config.kv_lora_rank)
    if not is_older:
        writer.add_key_length_mla(d_head)
        writer.add_value_length_mla(config.v_head_dim)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    add_expert_keys(writer, model, is_older)
    add_rope_keys(writer, facts["rope_parameters"])
    golden_models.close_writer(writer, vocab, file_tensors(net, is_older))


def make(out, name, model, number):
    drawn = golden_models.draw(lambda seed: build(model, seed), lambda net, ids: run(model, net, ids), 1000 * (number + 41), number)
    facts = golden_models.provenance(name, model, drawn, model["judge"].__name__, model["config"],
                                     mistakes(model, drawn.seed, drawn.ids, drawn.logits),
                                     "norms, softmax, routers and rope angles")
    names = [(name, model["why"], False)]
    if "older" in model:
        why = "as older files have it: one matrix for keys and values of all heads; weights and logits are those of " + name
        names.append((model["older"], why, True))
    for named, why, is_older in names:
        golden_models.write_folder(
            out, named, drawn, facts | {"model": named, "why": why},
            lambda path: write_gguf(path, named, model, drawn.net, drawn.vocab, is_older))


if __name__ == "__main__":
    golden_models.main(__doc__, MODELS, make)
