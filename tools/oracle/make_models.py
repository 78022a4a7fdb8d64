#!/usr/bin/env python3
"""make_models.py - tiny random models of every family as stock GGUF files, with the logits that Hugging Face
transformers computes for them in float64.

usage: make_models.py OUT [NAME ...]        needs: pip install torch transformers tokenizers gguf numpy

One folder for each model: model.gguf, ids.txt, logits.f32, provenance.json (tests/golden/README.md says what is in them).
"""
import math

import gguf
import numpy as np
import torch
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.olmoe.modeling_olmoe import OlmoeForCausalLM
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeForCausalLM
from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeForCausalLM

import golden_models
from golden_models import LAYER_NAMES, TOP_NAMES, interleave
from tiny_vocab import LLAMA, OLMO, QWEN, Vocabulary

# What is odd about each one is the reason why it is there; "why" goes into its provenance.json. Some norms have an epsilon far
# above any that is in use, so that a reader who forgets the key is found out.
MODELS = {
    "qwen3moe": dict(
        family="qwen3moe", vocab=QWEN, why="grouped queries, d_head is not d_model / n_head, top-3 of 8",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                    intermediate_size=36, moe_intermediate_size=12, num_experts=8, num_experts_per_tok=3,
                    rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen3moe-narrow": dict(
        family="qwen3moe", vocab=QWEN | dict(unused=5), why="8-wide rows, 5-wide experts, 5 experts, an odd vocabulary",
        config=dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=6,
                    intermediate_size=10, moe_intermediate_size=5, num_experts=5, num_experts_per_tok=2,
                    rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "qwen3moe-many": dict(
        family="qwen3moe", vocab=QWEN, why="top-8 of 40 experts, one KV head, output tied to the embedding",
        config=dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=8,
                    intermediate_size=48, moe_intermediate_size=6, num_experts=40, num_experts_per_tok=8,
                    rms_norm_eps=1e-2, tie_word_embeddings=True,
                    rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "olmoe": dict(
        family="olmoe", vocab=OLMO, why="norms over all heads of q and k, chosen weights not renormalised, no clip_qkv",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                    intermediate_size=12, num_experts=8, num_experts_per_tok=3, norm_topk_prob=False, clip_qkv=None,
                    rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "qwen2moe": dict(
        family="qwen2moe", vocab=QWEN, why="a shared expert behind a gate, biases on q, k and v, grouped queries",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
                    intermediate_size=40, moe_intermediate_size=10, shared_expert_intermediate_size=22, num_experts=6,
                    num_experts_per_tok=2, norm_topk_prob=False, qkv_bias=True, rms_norm_eps=2e-3,
                    rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "llama": dict(
        family="llama", vocab=LLAMA | dict(bos=True), why="grouped queries, texts begin with BOS",
        config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=44, rms_norm_eps=1e-3,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "llama-rope-llama3": dict(
        family="llama", vocab=LLAMA | dict(bos=True), why="rope scaling llama3: kept, blended and divided frequencies",
        config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                    intermediate_size=40, rms_norm_eps=1e-5,
                    rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
                                         high_freq_factor=4.0, original_max_position_embeddings=64))),
    "llama-rope-linear": dict(
        family="llama", vocab=LLAMA, why="rope scaling linear, d_head is not d_model / n_head",
        config=dict(hidden_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
                    intermediate_size=28, rms_norm_eps=1e-5,
                    rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "llama-tied": dict(
        family="llama", vocab=LLAMA, why="output tied to the embedding, every head has its own keys",
        config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                    intermediate_size=36, rms_norm_eps=1e-2, tie_word_embeddings=True,
                    rope_parameters=dict(rope_type="default", rope_theta=100000.0))),
    "qwen3": dict(
        family="qwen3", vocab=QWEN, why="output tied to the embedding, d_head is not d_model / n_head",
        config=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                    intermediate_size=30, rms_norm_eps=2e-3, tie_word_embeddings=True,
                    rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen3moe-uneven": dict(
        family="qwen3moe", vocab=QWEN, used=[4, 1, 2], why="layers whose tokens use 4, 1 and 2 of 8 experts",
        config=dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=12,
                    intermediate_size=40, moe_intermediate_size=10, num_experts=8, num_experts_per_tok=4,
                    rms_norm_eps=1e-3, rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
}
CLASSES = {"qwen3moe": Qwen3MoeForCausalLM, "olmoe": OlmoeForCausalLM, "qwen2moe": Qwen2MoeForCausalLM,
           "llama": LlamaForCausalLM, "qwen3": Qwen3ForCausalLM}


def build(model, seed, **changed):
    """The judge's model with seeded weights whose spread keeps logits, routing and every branch apart."""
    config = model["config"] | {key: value for key, value in changed.items() if key != "used"}
    cls = CLASSES[model["family"]]
    vocab = Vocabulary(**model["vocab"])
    if model["family"] == "qwen3moe":
        config.setdefault("norm_topk_prob", True)  # the file format has no way to say false for this family
    made = cls.config_class(vocab_size=len(vocab), max_position_embeddings=256, attn_implementation="eager",
                            experts_implementation="eager", bos_token_id=vocab.bos_id, eos_token_id=vocab.eos_id,
                            pad_token_id=None, **config)
    net = cls(made).double().eval()
    draw = np.random.default_rng(seed)
    for name, weight in net.named_parameters():
        shape = tuple(weight.shape)
        if name.endswith("norm.weight"):
            values = draw.uniform(0.4, 1.6, shape)
        elif name.endswith(".bias"):
            values = draw.normal(0, 0.5, shape)
        elif name.endswith("embed_tokens.weight"):
            values = draw.normal(0, 0.4 if net.config.tie_word_embeddings else 1.0, shape)
        elif name.endswith("mlp.gate.weight"):
            values = draw.normal(0, 1.5 / math.sqrt(shape[-1]), shape)  # routers: chosen weights far from uniform
        else:
            values = draw.normal(0, 1.2 / math.sqrt(shape[-1]), shape)
        weight.data = torch.from_numpy(values.astype(np.float32)).double()
    net.tie_weights()
    for layer, used in enumerate(changed.get("used") or model.get("used", [])):
        net.model.layers[layer].mlp.gate.top_k = used
    return net, vocab


def run(net, ids):
    """Logits of every position, and the smallest distance between a chosen and an unchosen expert."""
    gaps, hooks = [], []

    def note(module, inputs, output):
        odds = torch.softmax(torch.nn.functional.linear(inputs[0].reshape(-1, module.hidden_dim), module.weight), -1)
        ranked = odds.sort(-1, descending=True).values
        gaps.append((ranked[:, module.top_k - 1] - ranked[:, module.top_k]).min().item())

    for module in net.modules():
        if type(module).__name__.endswith("TopKRouter"):
            hooks.append(module.register_forward_hook(note))
    logits = golden_models.compute(net, ids)
    for hook in hooks:
        hook.remove()
    return logits, min(gaps, default=None)


def mistakes(model, seed, ids, logits):
    """How far off a reader would be who made one mistake: proof that the fixture shows it."""
    config = model["config"]
    rope = config["rope_parameters"]
    plain = {"rope_type": "default", "rope_theta": rope["rope_theta"]}
    variants = {"rope base halved": dict(rope_parameters=rope | {"rope_theta": rope["rope_theta"] / 2})}
    if config["rms_norm_eps"] > 1e-4:
        variants["epsilon 1e-5"] = dict(rms_norm_eps=1e-5)
    if rope["rope_type"] != "default":
        variants["no rope scaling"] = dict(rope_parameters=plain)
    if "used" in model:
        most = max(model["used"])
        variants["the most in each layer"] = dict(used=[most] * len(model["used"]))
        variants["those of the layer before"] = dict(used=model["used"][-1:] + model["used"][:-1])
    elif "num_experts" in config:
        variants["one expert fewer"] = dict(num_experts_per_tok=config["num_experts_per_tok"] - 1)
    if "num_experts" in config:
        variants["renormalised the other way"] = dict(norm_topk_prob=model["family"] != "qwen3moe")
    nets = {what: build(model, seed, **changed)[0] for what, changed in variants.items()}
    for what, ending in (("no biases", ".bias"), ("no norm weights", "norm.weight"), ("no q norm", "q_norm.weight"),
                         ("no shared expert", "shared_expert.down_proj.weight"),
                         ("shared expert's gate always half open", "shared_expert_gate.weight")):
        net = build(model, seed)[0]
        hit = [weight for name, weight in net.named_parameters() if name.endswith(ending)]
        for weight in hit:
            weight.data = torch.ones_like(weight) if "norm" in ending else torch.zeros_like(weight)
        if hit:
            nets[what] = net
    return golden_models.differences({what: float(np.abs(run(net, ids)[0] - logits).max()) for what, net in nets.items()})


def file_tensors(net, family):
    """(name, float32 array) as the file holds them; shapes are [rows, cols], experts [expert, rows, cols]."""
    config = net.config
    tied = config.tie_word_embeddings
    for name, weight in net.state_dict().items():
        data = weight.numpy().astype(np.float32)
        if name in TOP_NAMES:
            if not (tied and name == "lm_head.weight"):
                yield TOP_NAMES[name], data
            continue
        _, _, layer, ending = name.split(".", 3)
        if family == "llama" and ending in ("self_attn.q_proj.weight", "self_attn.k_proj.weight"):
            data = interleave(data, config.num_attention_heads if "q_proj" in ending else config.num_key_value_heads)
        if ending == "mlp.experts.gate_up_proj":
            width = data.shape[1] // 2
            yield f"blk.{layer}.ffn_gate_exps.weight", data[:, :width]
            yield f"blk.{layer}.ffn_up_exps.weight", data[:, width:]
        elif ending == "mlp.shared_expert_gate.weight":
            yield f"blk.{layer}.{LAYER_NAMES[ending]}", data.reshape(-1)  # a vector, not a matrix of one row
        else:
            yield f"blk.{layer}.{LAYER_NAMES[ending]}", data
    if config.rope_parameters["rope_type"] == "llama3":
        yield "rope_freqs.weight", llama3_divisors(config)


def llama3_divisors(config):
    """What each pair's frequency is divided by: 1 for short waves, factor for long ones, a blend between."""
    rope = config.rope_parameters
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    context = rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    wave = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, head, 2) / head)
    blend = (context / wave - low) / (high - low)
    middle = 1 / ((1 - blend) / rope["factor"] + blend)
    divisors = np.where(wave < context / high, 1.0, np.where(wave > context / low, rope["factor"], middle))
    assert len({1.0, rope["factor"]} & set(divisors)) == 2 and ((divisors > 1) & (divisors < rope["factor"])).any()
    return divisors.astype(np.float32)


def write_gguf(path, name, net, vocab, family, used=None):
    config = net.config
    writer = golden_models.open_writer(path, name, family)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head = getattr(config, "head_dim", None)
    if head is not None:
        writer.add_key_length(head)
        writer.add_value_length(head)
    if family == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head or config.hidden_size // config.num_attention_heads)
        if config.rope_parameters["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(config.rope_parameters["factor"])
    if getattr(config, "num_experts", None):
        writer.add_expert_count(config.num_experts)
        if used is None:
            writer.add_expert_used_count(config.num_experts_per_tok)
        else:
            writer.add_array(f"{family}.expert_used_count", used)
    if getattr(config, "moe_intermediate_size", None):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if getattr(config, "shared_expert_intermediate_size", None):
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    golden_models.close_writer(writer, vocab, file_tensors(net, family))


def make(out, name, model, number):
    drawn = golden_models.draw(lambda seed: build(model, seed), run, 1000 * (number + 1), number)
    facts = drawn.net.config.to_dict()
    described = model["config"] | {key: facts[key] for key in (
        "model_type", "vocab_size", "max_position_embeddings", "tie_word_embeddings", "hidden_act", "norm_topk_prob",
        "attention_bias", "mlp_bias", "qkv_bias") if key in facts}
    golden_models.write_folder(
        out, name, drawn,
        golden_models.provenance(name, model, drawn, CLASSES[model["family"]].__name__, described,
                                 mistakes(model, drawn.seed, drawn.ids, drawn.logits)),
        lambda path: write_gguf(path, name, drawn.net, drawn.vocab, model["family"], model.get("used")))


if __name__ == "__main__":
    golden_models.main(__doc__, MODELS, make)
