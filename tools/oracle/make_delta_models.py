#!/usr/bin/env python3
"""make_delta_models.py - tiny random models with gated delta nets as stock GGUF files, with the logits that Hugging Face
transformers computes for them.

usage: make_delta_models.py OUT [NAME ...]        needs: pip install torch transformers tokenizers gguf numpy

One folder for each model, as make_models.py writes them. Everything is computed in float64 but the judge's delta rule itself,
which it has in float32. Both of its ways to compute it, chunks and one position after the other, must agree.
"""
import importlib
import math

import numpy as np
import torch
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5ForCausalLM
from transformers.models.qwen3_5_moe.modeling_qwen3_5_moe import Qwen3_5MoeForCausalLM
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextForCausalLM

import golden_models
from golden_models import LAYER_NAMES, TOP_NAMES
from make_models import run
from tiny_vocab import QWEN, Vocabulary

MODELS = {
    "qwen35moe": dict(
        family="qwen35moe", vocab=QWEN, why="three value heads share a key head, an output gate, a quarter of a head turns",
        config=dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                    moe_intermediate_size=10, shared_expert_intermediate_size=14, num_experts=8, num_experts_per_tok=3,
                    linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=12, linear_value_head_dim=12,
                    linear_conv_kernel_dim=4, rms_norm_eps=1e-3, full_attention_interval=4,
                    rope_parameters=dict(rope_type="default", rope_theta=200.0, partial_rotary_factor=0.25,
                                         mrope_section=[1, 1, 0], mrope_interleaved=True))),
    "qwen35": dict(
        family="qwen35", vocab=QWEN, why="dense, three taps, states of 36 columns, output tied to the embedding",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=10,
                    intermediate_size=36, linear_num_key_heads=1, linear_num_value_heads=3, linear_key_head_dim=9,
                    linear_value_head_dim=36, linear_conv_kernel_dim=3, rms_norm_eps=1e-3, full_attention_interval=2,
                    tie_word_embeddings=True,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.4,
                                         mrope_section=[1, 1, 0], mrope_interleaved=True))),
    "qwen3next": dict(
        family="qwen3next", vocab=QWEN, why="value heads in groups, both gates in one matrix, top-2 of 10",
        config=dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                    intermediate_size=36, moe_intermediate_size=10, shared_expert_intermediate_size=16, num_experts=10,
                    num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
                    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16,
                    linear_conv_kernel_dim=4, rms_norm_eps=1e-3, full_attention_interval=2,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "qwen3next-packed": dict(
        family="qwen3next", vocab=QWEN, packed=True, why="q, k, v and z of each key head in one matrix, as the first files had it",
        config=dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
                    intermediate_size=36, moe_intermediate_size=8, shared_expert_intermediate_size=12, num_experts=5,
                    num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
                    linear_num_key_heads=3, linear_num_value_heads=6, linear_key_head_dim=5, linear_value_head_dim=7,
                    linear_conv_kernel_dim=4, rms_norm_eps=1e-3, full_attention_interval=2,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
}
CLASSES = {"qwen35moe": Qwen3_5MoeForCausalLM, "qwen35": Qwen3_5ForCausalLM, "qwen3next": Qwen3NextForCausalLM}

DELTA_NAMES = {
    "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "post_attention_norm.weight",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight", "linear_attn.in_proj_z.weight": "attn_gate.weight",
    "linear_attn.in_proj_b.weight": "ssm_beta.weight", "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
    "linear_attn.in_proj_ba.weight": "ssm_ba.weight", "linear_attn.conv1d.weight": "ssm_conv1d.weight",
    "linear_attn.dt_bias": "ssm_dt.bias", "linear_attn.A_log": "ssm_a", "linear_attn.norm.weight": "ssm_norm.weight",
    "linear_attn.out_proj.weight": "ssm_out.weight"}


def build(model, seed, change=None, **changed):
    """The judge's model with seeded weights; change(name, values) may spoil them."""
    cls = CLASSES[model["family"]]
    vocab = Vocabulary(**model["vocab"])
    made = cls.config_class(vocab_size=len(vocab), max_position_embeddings=256, attn_implementation="eager",
                            experts_implementation="eager", bos_token_id=vocab.bos_id, eos_token_id=vocab.eos_id,
                            pad_token_id=None, **(model["config"] | changed))
    net = cls(made).double().eval()
    draw = np.random.default_rng(seed)
    for name, weight in net.named_parameters():
        shape = tuple(weight.shape)
        if name.endswith("linear_attn.norm.weight"):
            values = draw.uniform(0.4, 1.6, shape)
        elif name.endswith("norm.weight"):
            values = draw.uniform(-0.6, 0.6, shape)  # the judge adds 1
        elif name.endswith("A_log"):
            values = np.log(draw.uniform(0.02, 1.5, shape))
        elif name.endswith("dt_bias"):
            values = draw.normal(-1.0, 1.0, shape)
        elif name.endswith("conv1d.weight"):
            values = draw.normal(0, 0.8, shape)
        elif name.endswith("embed_tokens.weight"):
            values = draw.normal(0, 0.4 if net.config.tie_word_embeddings else 1.0, shape)
        elif name.endswith("mlp.gate.weight"):
            values = draw.normal(0, 1.5 / math.sqrt(shape[-1]), shape)
        else:
            values = draw.normal(0, 1.2 / math.sqrt(shape[-1]), shape)
        values = values.astype(np.float32)
        if change is not None:
            values = change(name, values)
        weight.data = torch.from_numpy(np.ascontiguousarray(values)).double()
    net.tie_weights()
    return net, vocab


def steps_agree(net, ids, logits):
    """The judge's other way: each delta layer position by position."""
    module = importlib.import_module(type(net).__module__)
    kept = module.torch_chunk_gated_delta_rule
    module.torch_chunk_gated_delta_rule = module.torch_recurrent_gated_delta_rule
    other = run(net, ids)[0]
    module.torch_chunk_gated_delta_rule = kept
    difference = float(np.abs(other - logits).max())
    assert difference < 3e-5, difference
    return difference


def spoilers(config):
    """Weights changed as by a reader who made one mistake."""
    key, value = config.linear_num_key_heads, config.linear_num_value_heads
    share = value // key
    width = config.head_dim

    def ending(suffix, to):
        return lambda name, values: to(values) if name.endswith(suffix) else values

    def swap_heads(values):  # A_log of heads paired the other way: shows whether order matters
        return values.reshape(key, share).T.reshape(-1)

    def close_gates(values):
        rows = values.reshape(-1, 2 * width, values.shape[-1]).copy()
        rows[:, width:] = 0
        return rows.reshape(values.shape)

    def last_tap(values):
        kept = np.zeros_like(values)
        kept[..., -1] = 1
        return kept

    found = {"no decay": ending("A_log", lambda values: values - 30),
             "no dt bias": ending("dt_bias", np.zeros_like),
             "no convolution": ending("conv1d.weight", last_tap),
             "output gate always half open": ending("q_proj.weight", close_gates),
             "delta's norm without weights": ending("linear_attn.norm.weight", np.ones_like),
             "no q norm weights": ending("q_norm.weight", np.zeros_like)}
    if key > 1:
        found["heads paired the other way"] = ending("A_log", swap_heads)
    return found


def mistakes(model, seed, ids, logits, config):
    rope = model["config"]["rope_parameters"]
    changed = {"rope base halved": dict(rope_parameters=rope | {"rope_theta": rope["rope_theta"] / 2}),
               "epsilon 1e-5": dict(rms_norm_eps=1e-5)}
    nets = {what: build(model, seed, **parts)[0] for what, parts in changed.items()}
    nets |= {what: build(model, seed, change)[0] for what, change in spoilers(config).items()}
    return golden_models.differences({what: float(np.abs(run(net, ids)[0] - logits).max()) for what, net in nets.items()}, 4e-3)


def tile(data, config):
    """Value heads (the first dimension, of n_value_head * width rows) from groups of a key head to turns of all key heads."""
    key, value = config.linear_num_key_heads, config.linear_num_value_heads
    width = data.shape[0] // value
    rest = data.shape[1:]
    return data.reshape(key, value // key, width, *rest).swapaxes(0, 1).reshape(value * width, *rest)


def unpack(data, config):
    """q, k, v of all heads, and z of all heads, from rows packed for each key head."""
    key = config.linear_num_key_heads
    d_key = config.linear_key_head_dim
    d_value = config.linear_value_head_dim * config.linear_num_value_heads // key
    packed = data.reshape(key, 2 * d_key + 2 * d_value, data.shape[-1])
    parts = np.split(packed, [d_key, 2 * d_key, 2 * d_key + d_value], axis=1)
    q, k, v, z = (part.reshape(-1, data.shape[-1]) for part in parts)
    return np.concatenate([q, k, v]), z


def delta_tensors(ending, data, config, model):
    """(name, data) of a tensor of a gated delta net."""
    tiled = model["family"] != "qwen3next"
    n_key = 2 * config.linear_num_key_heads * config.linear_key_head_dim
    name = DELTA_NAMES.get(ending)
    if ending.endswith("in_proj_qkvz.weight"):
        if model.get("packed"):
            yield "ssm_in.weight", data
            return
        mixed, z = unpack(data, config)
        yield "attn_qkv.weight", mixed
        yield "attn_gate.weight", z
        return
    if ending.endswith("A_log"):
        data = -np.exp(data)
    if ending.endswith("conv1d.weight"):
        data = data.squeeze(1)
    if tiled and ending.endswith(("in_proj_qkv.weight", "conv1d.weight")):
        data = np.concatenate([data[:n_key], tile(data[n_key:], config)])
    elif tiled and ending.endswith(("in_proj_z.weight", "in_proj_b.weight", "in_proj_a.weight", "A_log", "dt_bias")):
        data = tile(data, config)
    elif tiled and ending.endswith("out_proj.weight"):
        data = tile(data.T, config).T
    yield name, data


def file_tensors(net, model):
    config = net.config
    for name, weight in net.state_dict().items():
        data = weight.numpy().astype(np.float32)
        if name.endswith("norm.weight") and not name.endswith("linear_attn.norm.weight"):
            data = data + np.float32(1)
        if name in TOP_NAMES:
            if not (config.tie_word_embeddings and name == "lm_head.weight"):
                yield TOP_NAMES[name], data
            continue
        _, _, layer, ending = name.split(".", 3)
        if ending.startswith("linear_attn."):
            for tensor, values in delta_tensors(ending, data, config, model):
                yield f"blk.{layer}.{tensor}", values
        elif ending == "mlp.experts.gate_up_proj":
            width = data.shape[1] // 2
            yield f"blk.{layer}.ffn_gate_exps.weight", data[:, :width]
            yield f"blk.{layer}.ffn_up_exps.weight", data[:, width:]
        elif ending == "mlp.shared_expert_gate.weight":
            yield f"blk.{layer}.{LAYER_NAMES[ending]}", data.reshape(-1)
        else:
            yield f"blk.{layer}.{DELTA_NAMES.get(ending) or LAYER_NAMES[ending]}", data


def write_gguf(path, name, net, vocab, model):
    config, family = net.config, model["family"]
    rope = config.rope_parameters
    writer = golden_models.open_writer(path, name, family)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    if hasattr(config, "intermediate_size"):
        writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
    if "mrope_section" in rope:
        writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    if getattr(config, "num_experts", None):
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(config.linear_value_head_dim * config.linear_num_value_heads)
    writer.add_full_attention_interval(model["config"]["full_attention_interval"])
    golden_models.close_writer(writer, vocab, file_tensors(net, model))


def make(out, name, model, number):
    drawn = golden_models.draw(lambda seed: build(model, seed), run, 7000 + 1000 * number, number)
    golden_models.write_folder(
        out, name, drawn,
        golden_models.provenance(name, model, drawn, CLASSES[model["family"]].__name__, model["config"],
                                 mistakes(model, drawn.seed, drawn.ids, drawn.logits, drawn.net.config),
                                 "the delta rule, norms, softmax and rope angles",
                                 chunks_and_steps_differ_by=steps_agree(drawn.net, drawn.ids, drawn.logits)),
        lambda path: write_gguf(path, name, drawn.net, drawn.vocab, model))


if __name__ == "__main__":
    golden_models.main(__doc__, MODELS, make)
