#!/usr/bin/env python3
"""make_packed_directories.py - Hugging Face directories of tiny models whose weights are codes of 4 bits and scales.

usage: make_packed_directories.py OUT [NAME ...]        needs what make_directories.py needs, and: pip install compressed-tensors

Each is OUT/directories/NAME, as make_directories.py makes those whose weights are whole or of 8 bits. compressed-tensors packs the
weights and says what they mean, or transformers' own reader of gpt-oss does; the judge computes with that in float64. twin.gguf
(of most) is a GGUF file of the same values in F16, which rounds the products of codes and scales.
"""
import json
import os
import sys

import numpy as np
import safetensors
import safetensors.torch
import torch
import compressed_tensors
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

import golden_models
import make_attention_models
import make_models
from tiny_vocab import QWEN

QWEN_MOE = dict(
    family="qwen3moe", vocab=QWEN,
    config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                intermediate_size=32, moe_intermediate_size=16, num_experts=5, num_experts_per_tok=2, rms_norm_eps=1e-3,
                rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
# Keys and values of 12 rows: the last words of zero points are not full.
ODD_MOE = QWEN_MOE | dict(config=QWEN_MOE["config"] | dict(head_dim=6))
WIDE_MOE = QWEN_MOE | dict(config=QWEN_MOE["config"] | dict(moe_intermediate_size=64, num_experts=3))
OSS = make_attention_models.MODELS["gpt-oss"]
OSS = OSS | dict(
    config=OSS["config"] | dict(hidden_size=32, num_hidden_layers=2, intermediate_size=64, num_local_experts=3,
                                num_experts_per_tok=2),
    keys=lambda c: make_attention_models.MODELS["gpt-oss"]["keys"](c) | {
        "expert_count": 3, "expert_used_count": 2, "expert_feed_forward_length": 64})

# pack: how the library calls it, and what config.json says. shard: the most bytes of a file, then there is an index.
DIRECTORIES = {
    "qwen3moe-int4": dict(
        model=QWEN_MOE, pack="pack-quantized", shard="40KB", args=dict(num_bits=4, type="int", strategy="group", group_size=8),
        why="compressed-tensors int4, a scale in BF16 for 8 columns; several files"),
    "qwen3moe-int4-rows": dict(
        model=QWEN_MOE, pack="pack-quantized", args=dict(num_bits=4, type="int", strategy="channel"), only_experts=True,
        why="compressed-tensors int4 of experts alone, a scale for each row"),
    "qwen3moe-nvfp4": dict(
        model=QWEN_MOE, pack="nvfp4-pack-quantized", shard="40KB",
        args=dict(num_bits=4, type="float", strategy="tensor_group", group_size=16),
        why="NVFP4: scales of 8 bits for 16 columns, one divisor for each matrix; several files"),
    "qwen3moe-modelopt": dict(
        model=QWEN_MOE, pack="nvfp4-pack-quantized", modelopt=True,
        args=dict(num_bits=4, type="float", strategy="tensor_group", group_size=16),
        why="NVFP4 as ModelOpt names it: codes under the name of the weight, a factor in place of the divisor"),
    "qwen3moe-mxfp4": dict(
        model=WIDE_MOE, pack="mxfp4-pack-quantized", args=dict(num_bits=4, type="float", strategy="group", group_size=32),
        twin=False, why="compressed-tensors MXFP4: powers of two for 32 columns"),
    "gpt-oss": dict(
        model=OSS, pack="mxfp4", shard="90KB",
        why="gpt-oss: experts of a layer in one tensor, rows of gate and up in turn, sinks, windows, exact YaRN, biases"),
    "qwen3moe-int4-zeros": dict(
        model=ODD_MOE, pack="pack-quantized",
        args=dict(num_bits=4, type="int", strategy="group", group_size=8, symmetric=False),
        why="compressed-tensors int4 with zero points, eight rows' in a word, as llm-compressor writes AWQ"),
}
STEPS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.float64)


def pack_linear(weight, row):
    """A matrix as the pieces that compressed-tensors makes of it, and what they mean."""
    args = QuantizationArgs(**row["args"])
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    library = BaseCompressor.get_value_from_registry(row["pack"])
    rows, cols = weight.shape
    size = args.group_size or cols
    most = weight.float().reshape(rows, cols // size, size).abs().amax(-1)
    state = {"weight": weight.float()}
    if not args.symmetric:
        groups = weight.float().reshape(rows, cols // size, size)
        low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
        state["weight_scale"] = ((high - low) / 15).bfloat16()
        state["weight_zero_point"] = torch.round(-8 - low / state["weight_scale"].float()).clamp(-8, 7).to(torch.int8)
    elif args.type == "int":
        state["weight_scale"] = (most / 7.5).bfloat16()
    elif size == 32:
        state["weight_scale"] = 2.0 ** torch.round(torch.log2(most / 6))
    else:
        state["weight_global_scale"] = (448 * 6 / most.max()).reshape(1)
        state["weight_scale"] = (state["weight_global_scale"] * most / 6).to(torch.float8_e4m3fn).float()
    pieces = library.compress(state, scheme)
    if args.type == "int":
        meant = library.decompress(pieces | {"weight_scale": pieces["weight_scale"].double()}, scheme)["weight"]
    else:
        codes = unpack_fp4_from_uint8(pieces["weight_packed"], rows, cols, torch.float64)
        scale = library._decompress_scale(pieces["weight_scale"], torch.float64)
        divisor = pieces.get("weight_global_scale")
        meant = dequantize(codes, scale, args=args, dtype=torch.float64, global_scale=None if divisor is None else divisor.double())
    assert meant.dtype == torch.float64
    if not args.symmetric:
        check_zeros(pieces, meant, size)
    if row.get("modelopt"):
        pieces = {"weight": pieces["weight_packed"], "weight_scale": pieces["weight_scale"],
                  "weight_scale_2": 1 / pieces["weight_global_scale"], "input_scale": torch.ones(1)}
        meant = codes * scale.repeat_interleave(size, 1) * pieces["weight_scale_2"].double()
    elif "weight_global_scale" in pieces:
        pieces["input_global_scale"] = torch.ones(1)
    return pieces, meant


def check_zeros(pieces, meant, size):
    """A second judge: what the format's description says of the bytes, in numpy. Nibbles of a word are eight columns of codes, or
    eight rows of zero points, the first in the lowest bits."""
    rows, cols = meant.shape
    shifts = np.arange(0, 32, 4)
    codes = (pieces["weight_packed"].numpy()[:, :, None] >> shifts & 15).reshape(rows, -1)[:, :cols]
    zeros = (pieces["weight_zero_point"].numpy()[:, None, :] >> shifts[:, None] & 15).reshape(-1, cols // size)[:rows]
    scales = pieces["weight_scale"].double().numpy()
    assert (((codes - zeros.repeat(size, 1)) * scales.repeat(size, 1)) == meant.numpy()).all()
    assert len(np.unique(zeros)) > 3


def pack_qwen(net, row):
    """All tensors of the directory, as the judge saves them; the judge gets what the packed ones mean."""
    tensors = {}
    for name, weight in net.state_dict().items():
        if ".experts." not in name:
            linear = name.endswith("_proj.weight") and not row.get("only_experts")
            if not linear:
                tensors[name] = weight.to(torch.bfloat16)
                weight.copy_(tensors[name].double())
                continue
            pieces, meant = pack_linear(weight, row)
            weight.copy_(meant)
            tensors |= {name.removesuffix("weight") + piece: data for piece, data in pieces.items()}
            continue
        stem, which = name.rsplit(".", 1)
        for expert, stack in enumerate(weight):
            half = stack.shape[0] // 2
            parts = {"down_proj": stack} if which == "down_proj" else {"gate_proj": stack[:half], "up_proj": stack[half:]}
            for part, matrix in parts.items():
                pieces, meant = pack_linear(matrix, row)
                matrix.copy_(meant)
                tensors |= {f"{stem}.{expert}.{part}.{piece}": data for piece, data in pieces.items()}
    return tensors


def pack_rows(matrices, size=32):
    """[expert, rows, cols] as blocks [expert, rows, groups, 16] and scales [expert, rows, groups]."""
    groups = matrices.reshape(*matrices.shape[:2], -1, size)
    power = torch.round(torch.log2(groups.abs().amax(-1) / 6))
    nearest = (groups / 2 ** power[..., None])[..., None].sub(STEPS).abs().argmin(-1).to(torch.uint8)
    return nearest[..., 0::2] | nearest[..., 1::2] << 4, (power + 127).to(torch.uint8)


def pack_oss(net):
    """The same of gpt-oss, whose judge has matrices turned: [expert, cols, rows]."""
    tensors = {}
    for name, weight in net.state_dict().items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            tensors[name] = weight.to(torch.bfloat16)
            weight.copy_(tensors[name].double())
            continue
        blocks, scales = pack_rows(weight.transpose(1, 2))
        tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
        meant = convert_moe_packed_tensors(blocks, scales, dtype=torch.float64)
        assert meant.shape == weight.shape and meant.dtype == torch.float64
        assert (meant - weight).abs().max() < 0.5
        weight.copy_(meant)
    return tensors


def save(net, tensors, folder, row):
    """config.json as the judge writes it, and files of at most so many bytes."""
    os.makedirs(folder, exist_ok=True)
    for entry in os.scandir(folder):
        os.remove(entry)
    net.config.dtype = torch.bfloat16
    net.config.save_pretrained(folder)
    if getattr(net, "generation_config", None) is not None:
        net.generation_config.save_pretrained(folder)
    most = int(row.get("shard", "1000KB").removesuffix("KB")) * 1000
    files, filled = [{}], 0
    for name, data in sorted(tensors.items()):
        if files[-1] and filled + data.nbytes > most:
            files.append({})
            filled = 0
        files[-1][name] = data.contiguous()
        filled += data.nbytes
    names = ["model.safetensors"] if len(files) == 1 else [
        f"model-{number:05}-of-{len(files):05}.safetensors" for number in range(1, len(files) + 1)]
    for name, part in zip(names, files):
        safetensors.torch.save_file(part, os.path.join(folder, name), {"format": "pt"})
    if len(files) > 1:
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
            json.dump({"metadata": {"total_size": sum(data.nbytes for data in tensors.values())},
                       "weight_map": {tensor: name for name, part in zip(names, files) for tensor in part}}, file, indent=1)
    config = os.path.join(folder, "config.json")
    with open(config) as file:
        described = json.load(file)
    described["quantization_config"] = describe(row)
    with open(config, "w") as file:
        json.dump(described, file, indent=1)


def describe(row):
    if row["pack"] == "mxfp4":
        return {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                                                    "model.embed_tokens", "lm_head"]}
    args = QuantizationArgs(**row["args"]).model_dump()
    if row.get("modelopt"):
        return {"quant_method": "modelopt", "quant_algo": "NVFP4", "producer": {"name": "modelopt", "version": "0.33.0"},
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}, "targets": ["Linear"]}},
                "ignore": ["lm_head"]}
    return {"quant_method": "compressed-tensors", "format": row["pack"], "quantization_status": "compressed",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": args, "input_activations": None,
                                          "output_activations": None, "format": row["pack"]}},
            "ignore": ["lm_head"], "kv_cache_scheme": None, "global_compression_ratio": None}


def in_f16(tensors):
    """A maker's tensors of a GGUF file, matrices in F16."""
    def all_of(net, model):
        for name, data in tensors(net, model):
            yield name, data.astype(np.float16) if data.ndim > 1 and not name.endswith(".bias") else data
    return all_of


def make(out, name, row, seed):
    maker = make_attention_models if row["pack"] == "mxfp4" else make_models
    model = row["model"]
    folder = os.path.join(out, "directories", name)
    text = golden_models.TEXTS[len(name) % len(golden_models.TEXTS)]
    while True:
        net, vocab = maker.build(model, seed)
        tensors = pack_oss(net) if row["pack"] == "mxfp4" else pack_qwen(net, row)
        ids = vocab.judge().encode(text).ids
        logits, gap = maker.run(net, ids)
        if gap >= golden_models.GAP:
            break
        seed += 1
    save(net, tensors, folder, row)
    vocab.judge().save(os.path.join(folder, "tokenizer.json"))
    if row.get("twin", True):
        plain = maker.file_tensors
        maker.file_tensors = in_f16(plain)
        maker.write_gguf(os.path.join(folder, "twin.gguf"), name, net, vocab, model["family"] if maker is make_models else model)
        maker.file_tensors = plain
    with open(os.path.join(folder, "ids.txt"), "w") as file:
        file.write(" ".join(str(index) for index in ids) + "\n")
    drawn = golden_models.Drawn(seed, net, vocab, text, ids, logits, gap)
    golden_models.write_directory(folder, name, row["why"], drawn, "computed in float64 from what the stored codes and scales mean",
                                  {"compressed-tensors": compressed_tensors.__version__, "safetensors": safetensors.__version__})
    for entry in os.scandir(folder):
        os.chmod(entry, 0o644)
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    print(f"{name:20} {size / 1024:.0f} KiB  gap {gap:.1e}  logits std {logits.std():.2f}  {' '.join(sorted(os.listdir(folder)))}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for number, (name, row) in enumerate(DIRECTORIES.items()):
        if not sys.argv[2:] or name in sys.argv[2:]:
            make(sys.argv[1], name, row, 90000 + 1000 * number)


if __name__ == "__main__":
    main()
