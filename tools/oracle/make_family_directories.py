#!/usr/bin/env python3
"""make_family_directories.py - Hugging Face directories of the tiny models of more families, written by Hugging Face transformers.

usage: make_family_directories.py OUT [NAME ...]        needs what make_models.py needs, and safetensors

Each is OUT/directories/NAME and has the weights of the GGUF file in OUT/NAME, drawn again from the seed in its provenance.json, so
that its ids and logits hold for both; one of other weights has logits of its own. What published models have otherwise than transformers saves it is written that way: parts
about pictures, tables of rope in their older form, names of families that transformers has no class for.
"""
import copy
import json
import os
import shutil
import sys

import numpy as np
import safetensors.torch
import torch

import golden_models
import make_attention_models
import make_delta_models
import make_directories
import make_latent_models
import make_network_models

MAKERS = (make_attention_models, make_delta_models, make_latent_models, make_network_models)


def put(**members):
    """config.json with these members; None: without."""
    def change(config):
        for name, value in members.items():
            config.pop(name, None)
            if value is not None:
                config[name] = value
        return config
    return change


def older_rope(config):
    """rope_theta and rope_scaling, as before transformers 5."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    share = rope.pop("partial_rotary_factor", None)
    if share is not None:
        config["partial_rotary_factor"] = share
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else rope | {"type": kind}
    return config


def gemma3_older(config):
    """As the published multimodal ones: what is as usual is left out."""
    rope = config.pop("rope_parameters")
    full = rope["full_attention"]
    config |= {"rope_theta": full["rope_theta"], "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
               "rope_scaling": {"rope_type": full["rope_type"], "factor": full["factor"]}, "sliding_window_pattern": 6}
    for name in ("layer_types", "_sliding_window_pattern", "use_bidirectional_attention", "attn_logit_softcapping"):
        config.pop(name, None)
    return {"model_type": "gemma3", "text_config": config, "vision_config": {"hidden_size": 8}, "image_token_index": 3}


def gemma4_published(config):
    """With members of its own for layers of full attention."""
    own = config.pop("per_layer_config", {})
    full = next(iter(own.values()), {})
    config["global_head_dim"] = full.get("head_dim", 16)
    config["num_global_key_value_heads"] = full.get("num_key_value_heads")
    return {"model_type": "gemma4", "text_config": config, "vision_config": {"hidden_size": 8}, "tie_word_embeddings": True}


def with_pictures(outer, architecture):
    def change(config):
        config.pop("architectures")
        return {"architectures": [architecture], "model_type": outer, "text_config": config, "vision_config": {"depth": 1},
                "image_token_id": 3}
    return change


def chain(*changes):
    def change(config):
        for one in changes:
            config = one(config)
        return config
    return change


def behind_language_model(tensors):
    """Names of a model that sees, with a tensor of what it sees by and one of a block that guesses."""
    renamed = {name.replace("model.", "model.language_model.", 1): value for name, value in tensors.items()}
    return renamed | {"model.visual.patch_embed.proj.weight": torch.zeros(2, 3), "mtp.fc.weight": torch.zeros(2, 4)}


def behind_older_language_model(tensors):
    return {f"language_model.{name}": value for name, value in tensors.items()} | {
        "vision_tower.embeddings.weight": torch.zeros(2, 3), "multi_modal_projector.linear.weight": torch.zeros(2, 2)}


def guessing(layer):
    """With a block that guesses behind the last layer."""
    def change(tensors):
        return tensors | {f"model.layers.{layer}.eh_proj.weight": torch.zeros(2, 4),
                          f"model.layers.{layer}.self_attn.o_proj.weight": torch.zeros(2, 2)}
    return change


def one_by_one(tensors):
    """Experts as published models have them, where transformers did not undo their being one tensor."""
    found = {}
    for name, value in tensors.items():
        if not name.endswith(("mlp.experts.gate_up_proj", "mlp.experts.down_proj")):
            found[name] = value
            continue
        stem = name[:name.rindex(".")]
        for expert, matrix in enumerate(value):
            parts = {"down": matrix} if name.endswith("down_proj") else dict(zip(("gate", "up"), matrix.chunk(2)))
            for part, rows in parts.items():
                found[f"{stem}.{expert}.{part}_proj.weight"] = rows.clone()
    return found


def bailing_names(tensors):
    """What the published models of this family call the same."""
    found = {}
    for name, value in tensors.items():
        for ours, theirs in (("embed_tokens", "word_embeddings"), ("self_attn.o_proj", "attention.dense"),
                             ("self_attn.q_norm", "attention.query_layernorm"), ("self_attn.k_norm", "attention.key_layernorm"),
                             ("gate.e_score_correction_bias", "gate.expert_bias")):
            name = name.replace(ours, theirs)
        found[name] = value
    for name in [name for name in found if name.endswith("q_proj.weight")]:
        stem = name[:-len("self_attn.q_proj.weight")]
        found[f"{stem}attention.query_key_value.weight"] = torch.cat(
            [found.pop(f"{stem}self_attn.{part}_proj.weight") for part in "qkv"])
    return found


def bailing_config(config):
    kept = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
            "moe_intermediate_size", "num_experts_per_tok", "routed_scaling_factor", "norm_topk_prob", "first_k_dense_replace",
            "n_group", "topk_group", "rms_norm_eps", "vocab_size", "max_position_embeddings", "tie_word_embeddings", "hidden_act")
    return {name: config[name] for name in kept} | {
        "model_type": "bailing_moe", "architectures": ["BailingMoeV2ForCausalLM"], "num_experts": config["n_routed_experts"],
        "num_shared_experts": config["n_shared_experts"], "moe_shared_expert_intermediate_size": config["moe_intermediate_size"],
        "moe_router_enable_expert_bias": True, "score_function": "sigmoid", "use_qk_norm": True, "use_bias": False,
        "use_qkv_bias": False, "use_rmsnorm": True, "rope_theta": config["rope_parameters"]["rope_theta"],
        "partial_rotary_factor": 0.5, "rope_scaling": None, "num_nextn_predict_layers": 1}


def older_bailing_config(config):
    """The first generation's, which the second's has more members than."""
    kept = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
            "moe_intermediate_size", "num_experts_per_tok", "norm_topk_prob", "first_k_dense_replace", "rms_norm_eps", "vocab_size",
            "max_position_embeddings", "tie_word_embeddings", "hidden_act")
    return {name: config[name] for name in kept} | {
        "model_type": "bailing_moe", "architectures": ["BailingMoeForCausalLM"], "num_experts": config["n_routed_experts"],
        "num_shared_experts": config["n_shared_experts"], "rope_theta": config["rope_parameters"]["rope_theta"],
        "rope_scaling": None, "norm_head": False, "norm_softmax": False, "use_bias": False, "use_qkv_bias": False}


def step_config(config):
    """As the published ones: a number for each layer where layers differ, those of the block that guesses behind them."""
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim", "moe_intermediate_size",
            "share_expert_dim", "moe_router_scaling_factor", "rms_norm_eps", "vocab_size", "max_position_embeddings",
            "sliding_window", "swiglu_limits", "swiglu_limits_shared")
    rope = config["rope_parameters"]
    full = rope["full_attention"]
    kinds = config["layer_types"] + ["sliding_attention"]
    found = {name: config[name] for name in kept} | {
        "model_type": "step3p5", "architectures": ["Step3p5ForCausalLM"], "num_attention_groups": config["num_key_value_heads"],
        "attention_other_setting": {"attention_type": "sliding_attention", "num_attention_heads": config["num_sliding_attention_heads"],
                                    "num_attention_groups": config["num_key_value_heads"], "head_dim": config["head_dim"],
                                    "true_head_dim": config["head_dim"]},
        "moe_num_experts": config["n_routed_experts"], "moe_top_k": config["num_experts_per_tok"], "moe_layers_enum": "1,2,3",
        "moe_router_activation": "sigmoid", "norm_expert_weight": True, "use_moe_router_bias": True, "need_fp32_gate": True,
        "use_head_wise_attn_gate": True, "use_qk_norm": True, "zero_centered": True, "att_impl_type": "GQA", "use_mfa": False,
        "sink": False, "use_moe": True, "use_rope_layers": [], "num_nextn_predict_layers": 1, "layer_types": kinds,
        "rope_theta": [rope[kind]["rope_theta"] for kind in kinds],
        "partial_rotary_factors": [rope[kind].get("partial_rotary_factor", 1.0) for kind in kinds],
        "yarn_only_types": ["full_attention"], "tie_word_embeddings": False,
        "rope_scaling": {name: value for name, value in full.items() if name not in ("rope_theta", "partial_rotary_factor")}}
    for name in ("swiglu_limits", "swiglu_limits_shared"):
        found[name] = found[name] + [None]
    return found


def step_names(tensors):
    """What the published model calls them, by transformers' conversion_mapping.py."""
    found = {}
    for name, value in tensors.items():
        for ours, theirs in (("mlp.gate.weight", "moe.gate.weight"), ("mlp.gate.e_score_correction_bias", "moe.router_bias"),
                             ("mlp.experts.down_proj", "moe.down_proj.weight"), ("mlp.shared_experts.", "share_expert.")):
            name = name.replace(ours, theirs)
        if not name.endswith("mlp.experts.gate_up_proj"):
            found[name] = value
            continue
        stem = name[:-len("mlp.experts.gate_up_proj")]
        for part, rows in zip(("gate", "up"), value.chunk(2, 1)):
            found[f"{stem}moe.{part}_proj.weight"] = rows.contiguous()
    return found


def turned(tensors):
    """Experts column by column, as their authors have them; transformers turns them when it reads them."""
    return {name: value.swapaxes(1, 2).contiguous() if ".mlp.experts." in name else value for name, value in tensors.items()}


# config: what is done to config.json. tensors: what is done to the tensors. shard, dtype, fused, block: as in make_directories.py. of: the
# model whose configuration is taken, for weights of its own; changed: what its configuration has otherwise.
DIRECTORIES = {
    "qwen35moe": dict(config=with_pictures("qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration"), tensors=behind_language_model, why="delta nets in a model that sees"),
    "qwen35": dict(why="dense, of text alone, output tied"),
    "qwen3next": dict(why="q, k, v and z of each key head in one matrix", shard="40KB"),
    "qwen3next-packed": dict(why="the same of other widths"),
    "gemma2": dict(why="norms to which 1 is added, caps, windows in even layers"),
    "gemma3": dict(config=gemma3_older, tensors=behind_older_language_model, why="two ropes as older files have them"),
    "gemma4": dict(why="layers of full attention by per_layer_config"),
    "gemma4-dense": dict(config=gemma4_published, why="the same by members of their own"),
    "gemma4-e2b": dict(config=gemma4_published, why="inputs of each layer from the token, keys and values lent, wider networks there"),
    "gemma4-e4b": dict(why="the same without wider networks"),
    "deepseek2-lite": dict(why="deepseek_v2: queries by one matrix, greedy"),
    "deepseek2-groups": dict(config=older_rope, why="deepseek_v2: groups by their best expert"),
    "deepseek2": dict(config=chain(older_rope, put(scoring_func="sigmoid", topk_method="noaux_tc", num_nextn_predict_layers=1)),
                      tensors=guessing(3), why="deepseek_v3: groups, a bias that chooses, a block that guesses"),
    "deepseek2-fp8": dict(of="deepseek2", block=(8, 8), changed=dict(qk_nope_head_dim=8, v_head_dim=8),
                          config=put(scoring_func="sigmoid", topk_method="noaux_tc"), why="deepseek_v3 as it is published: block FP8"),
    "deepseek2-glm-fp8": dict(of="deepseek2-glm", block=(8, 8), changed=dict(qk_nope_head_dim=12, v_head_dim=16),
                              config=put(first_k_dense_replace=1), why="glm4_moe_lite in block FP8, whose blocks lie across heads"),
    "deepseek2-dense": dict(config=put(model_type="kimi_k2", n_routed_experts=None), why="kimi_k2, without experts"),
    "deepseek2-glm": dict(config=put(first_k_dense_replace=1), why="glm4_moe_lite"),
    "mistral4": dict(config=with_pictures("mistral3", "Mistral3ForConditionalGeneration"), tensors=behind_older_language_model, why="queries that grow with the position"),
    "granitemoe": dict(why="four multipliers, experts as one tensor"),
    "granitemoe-shared": dict(why="gate and up of the shared expert as one tensor"),
    "granite": dict(why="the same, dense"),
    "phi3": dict(config=older_rope, why="longrope, q k v and gate up as one tensor each"),
    "phi3-short": dict(why="windows in all layers"),
    "mistral3": dict(why="ministral3: YaRN, scores that get steeper"),
    "smollm3": dict(why="no rope in every fourth layer"),
    "ernie4_5-moe": dict(why="experts in every second layer"),
    "dots1": dict(why="norms of q and k heads, sigmoid, the first layer dense"),
    "hunyuan-moe": dict(config=put(moe_intermediate_size=[9, 9], num_shared_expert=[1, 1], moe_topk=[3, 3]), why="norms of q and k after rope"),
    "exaone-moe": dict(why="rope in windows alone"),
    "bailingmoe": dict(config=older_bailing_config, tensors=chain(one_by_one, bailing_names), why="its first generation: rows as trained"),
    "bailingmoe2": dict(config=bailing_config, tensors=chain(bailing_names, guessing(2)), why="q, k and v in one tensor, groups"),
    "deepseek": dict(config=put(model_type="deepseek", architectures=["DeepseekForCausalLM"]), tensors=one_by_one, why="its first generation"),
    "afmoe": dict(config=put(route_norm=True, score_func="sigmoid"), why="a gate on each attended value"),
    "cohere2moe": dict(why="LayerNorm, networks beside mixers"),
    "qwen3vlmoe": dict(config=chain(older_rope, put(model_type="qwen3_vl_moe_text", rope_scaling={
        "mrope_interleaved": True, "mrope_section": [2, 1, 1], "rope_type": "default"}),
                                    with_pictures("qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration")),
                       tensors=chain(one_by_one, behind_language_model), why="qwen3_vl_moe with a tensor for each expert"),
    "llama4": dict(config=with_pictures("llama4", "Llama4ForConditionalGeneration"), tensors=behind_older_language_model,
                   why="experts column by column, windows in chunks"),
    "gpt-oss-bf16": dict(of="gpt-oss", dtype="bfloat16", why="whole experts column by column, columns of gate and up in turn"),
    "qwen3vlmoe-f16": dict(of="qwen3vlmoe", dtype="float16", fused=True, config=put(model_type="qwen3_vl_moe"), tensors=chain(turned, behind_language_model),
                           why="qwen3_vl_moe with the experts of a layer as one tensor, column by column"),
    "step35": dict(config=step_config, tensors=chain(step_names, guessing(4)), why="step3p5: what layers differ in, said for each of them"),
}


def run(maker, model, net, ids):
    """Logits, and how near a choice of experts was to another; None where that is not known."""
    found = maker.run(model, net, ids) if maker is make_latent_models else maker.run(net, ids)
    return (found, None) if isinstance(found, np.ndarray) else found[:2]


def make_own(out, name, row):
    """One of other weights than a golden file's: codes and scales, or rounded."""
    maker = next(maker for maker in MAKERS if row["of"] in maker.MODELS)
    model = maker.MODELS[row["of"]]
    folder = os.path.join(out, "directories", name)
    twin = os.path.join(out, row["of"])
    with open(os.path.join(twin, "provenance.json")) as file:
        seed = json.load(file)["seed"]
    with open(os.path.join(twin, "ids.txt")) as file:
        ids = [int(index) for index in file.read().split()]
    while True:
        net, vocab = maker.build(model, seed, **row.get("changed", {}))
        make_directories.store(net, folder, row)
        logits, gap = run(maker, model, net, ids)
        if gap is None or gap >= golden_models.GAP:
            break
        seed += 1
    rewrite(folder, row)
    shutil.copy(os.path.join(twin, "ids.txt"), folder)
    vocab.judge().save(os.path.join(folder, "tokenizer.json"))
    drawn = golden_models.Drawn(seed, net, vocab, None, ids, logits, gap)
    golden_models.write_directory(folder, name, row["why"], drawn,
                                  f"weights {row.get('dtype', 'float8_e4m3fn')}; computed in float64 from what they mean",
                                  {"safetensors": safetensors.__version__}, changed=row.get("changed", {}))
    finish(folder, name)


def finish(folder, name):
    for entry in os.scandir(folder):
        os.chmod(entry, 0o644)
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    print(f"{name:20} {size / 1024:.0f} KiB  {' '.join(sorted(os.listdir(folder)))}")


def save(net, folder, row):
    """As the judge saves it, if it is a model of the judge's, and not one that is made of a part of one."""
    if hasattr(net, "save_pretrained"):
        net.save_pretrained(folder, max_shard_size=row.get("shard", "1GB"))
        return
    os.makedirs(folder)
    net.config.save_pretrained(folder)
    safetensors.torch.save_file(net.state_dict(), os.path.join(folder, "model.safetensors"), {"format": "pt"})


def rewrite(folder, row):
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    with open(path, "w") as file:
        json.dump(row.get("config", lambda same: same)(config), file, indent=1)
    if "tensors" in row:
        path = os.path.join(folder, "model.safetensors")
        tensors = row["tensors"](safetensors.torch.load_file(path))
        safetensors.torch.save_file(tensors, path, {"format": "pt"})


def make(out, name, row):
    maker = next(maker for maker in MAKERS if name in maker.MODELS)
    model = maker.MODELS[name]
    with open(os.path.join(out, name, "provenance.json")) as file:
        seed = json.load(file)["seed"]
    with open(os.path.join(out, name, "ids.txt")) as file:
        ids = [int(index) for index in file.read().split()]
    net, vocab = maker.build(model, seed)
    logits, _ = run(maker, model, net, ids)
    wanted = np.fromfile(os.path.join(out, name, "logits.f32"), "<f4").reshape(logits.shape)
    assert np.abs(logits - wanted).max() < 1e-5, np.abs(logits - wanted).max()
    folder = os.path.join(out, "directories", name)
    shutil.rmtree(folder, ignore_errors=True)
    save(copy.deepcopy(net).float(), folder, row)
    rewrite(folder, row)
    vocab.judge().save(os.path.join(folder, "tokenizer.json"))
    finish(folder, name)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name, row in DIRECTORIES.items():
        if not sys.argv[2:] or name in sys.argv[2:]:
            (make_own if "of" in row else make)(sys.argv[1], name, row)


if __name__ == "__main__":
    main()
