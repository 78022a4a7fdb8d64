#!/usr/bin/env python3
"""make_directories.py - Hugging Face directories of tiny models, written by Hugging Face transformers itself.

usage: make_directories.py OUT [NAME ...]        needs what make_models.py needs, and safetensors

Each is OUT/directories/NAME. One with the name of a model of make_models.py has the weights of that model's GGUF file: they are
drawn again from the seed in its provenance.json, and its logits are compared. One whose weights are stored otherwise also has
ids.txt, logits.f32 and provenance.json; its logits are of the stored weights, computed in float64.
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
import make_models
import make_network_models

# of: the model whose configuration and seed is taken. dtype: what weights are stored as. shard: the most bytes of a file, then
# there is an index. fused: experts as one tensor, as transformers keeps them in memory; else one tensor each, as it saves them.
DIRECTORIES = {
    "qwen3moe-narrow": dict(of="qwen3moe-narrow", shard="8KB", why="experts one by one, several files and an index"),
    "qwen2moe": dict(of="qwen2moe", why="a shared expert and its gate, biases"),
    "olmoe": dict(of="olmoe", fused=True, why="experts as one tensor"),
    "llama-rope-llama3": dict(of="llama-rope-llama3", why="rows of q and k as they were trained, divided frequencies"),
    "qwen3": dict(of="qwen3", why="output tied to the embedding"),
    "qwen3moe-bf16": dict(of="qwen3moe", dtype="bfloat16", shard="40KB", why="everything in BF16, several files"),
    "qwen3moe-fp8": dict(of="qwen3moe", block=(16, 8), shard="40KB", why="block FP8: codes and scales, blocks cut off at edges"),
    "qwen2moe-fp8-rows": dict(of="qwen2moe", block=(1, 0), why="compressed-tensors FP8: a scale in BF16 for each row"),
    "mixtral": dict(of="llama-mixtral", why="experts one by one under Mixtral's names"),
    "qwen2": dict(of="qwen2", why="biases on q, k and v"),
    "glm4moe": dict(of="glm4moe", why="dense layers before those with experts, a shared expert, a bias that chooses"),
    "minimax-m2": dict(of="minimax-m2", why="norms over all of q and of k, experts under Mixtral's names"),
    "qwen3moe-f16": dict(of="qwen3moe-many", dtype="float16", fused=True, why="everything in F16, experts as one tensor"),
}


def quantize(net, folder, block):
    """Rewrites the files of a directory: linear layers as FP8 under scales, one for block[0] rows by block[1] columns (0: all of
    them). The judge gets what they mean."""
    is_blocks = block[1] > 0
    suffix = "weight_scale_inv" if is_blocks else "weight_scale"
    whole = dict(net.named_parameters())
    weight_map = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        path = os.path.join(folder, file)
        tensors = {}
        for name, weight in safetensors.torch.load_file(path).items():
            if not name.endswith("_proj.weight"):
                tensors[name] = weight
                continue
            rows, cols = weight.shape
            high, wide = block[0], block[1] or cols
            counts = (-(-rows // high), -(-cols // wide))
            scales = torch.zeros(counts)
            for at in np.ndindex(counts):
                part = weight[at[0] * high:(at[0] + 1) * high, at[1] * wide:(at[1] + 1) * wide]
                scales[at] = part.abs().max() / 448
            scales = scales if is_blocks else scales.bfloat16()
            spread = scales.float().repeat_interleave(high, 0)[:rows].repeat_interleave(wide, 1)[:, :cols]
            tensors[name] = (weight / spread).clamp(-448, 448).to(torch.float8_e4m3fn)
            tensors[name.replace("weight", suffix)] = scales
            meant = tensors[name].double() * spread.double()
            parts = name.split(".")
            if "experts" in parts:  # the judge has all of a layer's in one tensor
                expert, which = int(parts[5]), parts[6]
                stack = whole[".".join(parts[:5]) + (".down_proj" if which == "down_proj" else ".gate_up_proj")].data[expert]
                half = stack.shape[0] // 2
                (stack if which == "down_proj" else stack[half:] if which == "up_proj" else stack[:half]).copy_(meant)
            else:
                whole[name].data = meant
        safetensors.torch.save_file(tensors, path, {"format": "pt"})
        weight_map |= {name: file for name in tensors}
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index, "w") as file:
            json.dump({"weight_map": weight_map}, file, indent=1)
    config = os.path.join(folder, "config.json")
    with open(config) as file:
        described = json.load(file)
    described["quantization_config"] = (
        {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": list(block)} if is_blocks
        else {"quant_method": "compressed-tensors", "format": "float-quantized"})
    with open(config, "w") as file:
        json.dump(described, file, indent=1)


def store(net, folder, row):
    """The directory; afterwards the judge computes with the values that it holds."""
    shutil.rmtree(folder, ignore_errors=True)
    dtype = getattr(torch, row.get("dtype", "float32"))
    stored = copy.deepcopy(net).to(dtype)
    stored.config.dtype = dtype
    stored.save_pretrained(folder, max_shard_size=row.get("shard", "1GB"))
    if row.get("fused"):
        tied = net.config.tie_word_embeddings
        tensors = {name: weight.contiguous() for name, weight in stored.state_dict().items()
                   if not (tied and name == "lm_head.weight")}
        safetensors.torch.save_file(tensors, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    if "block" in row:
        quantize(net, folder, row["block"])
        return
    kept = dict(stored.named_parameters())
    for name, weight in net.named_parameters():
        weight.data = kept[name].data.double()
    net.tie_weights()


def make(out, name, row):
    maker = make_models if row["of"] in make_models.MODELS else make_network_models
    model = maker.MODELS[row["of"]]
    twin = os.path.join(out, row["of"])
    with open(os.path.join(twin, "provenance.json")) as file:
        seed = json.load(file)["seed"]
    with open(os.path.join(twin, "ids.txt")) as file:
        ids = [int(index) for index in file.read().split()]
    folder = os.path.join(out, "directories", name)
    while True:
        net, vocab = maker.build(model, seed)
        store(net, folder, row)
        logits, gap = maker.run(net, ids)
        if name == row["of"] or gap is None or gap >= golden_models.GAP:
            break
        seed += 1  # what is stored has a near-tie in its routing that the drawn weights do not have
    vocab.judge().save(os.path.join(folder, "tokenizer.json"))
    if name == row["of"]:
        wanted = np.fromfile(os.path.join(twin, "logits.f32"), "<f4").reshape(logits.shape)
        assert np.abs(logits - wanted).max() < 1e-5, np.abs(logits - wanted).max()
    else:
        shutil.copy(os.path.join(twin, "ids.txt"), folder)
        dtype = row.get("dtype", "float8_e4m3fn" if "block" in row else "float32")
        drawn = golden_models.Drawn(seed, net, vocab, None, ids, logits, gap)
        golden_models.write_directory(folder, name, row["why"], drawn, f"weights {dtype}; computed in float64 from the stored weights",
                                      {"safetensors": safetensors.__version__})
    for entry in os.scandir(folder):
        os.chmod(entry, 0o644)
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    print(f"{name:20} {size / 1024:.0f} KiB  {' '.join(sorted(os.listdir(folder)))}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name, row in DIRECTORIES.items():
        if not sys.argv[2:] or name in sys.argv[2:]:
            make(sys.argv[1], name, row)


if __name__ == "__main__":
    main()
