#!/usr/bin/env python3
"""quantize_peer.py - weir quantize beside llama.cpp's: the type of each tensor in each mixture, keys, and greedy tokens.

Types are compared in dry runs of models that have no weights: heads of files whose tensors are holes. `./run-tests long`: every
mixture of every model, and golden models too.
"""
import glob
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gguf_edit
from harness import DEMO, HELDOUT, JUDGE_THREADS, LONG, ROOT, WEIR, check, peer, peer_text, remove, scratch_folder, weir_json

NO_MIXTURE_THERE = {"MXFP4", "NVFP4"}
F16 = 1


def key(name, kind, value):
    number, data = gguf_edit.typed(kind, [value])
    return gguf_edit.string(name) + struct.pack("<I", number) + data


def write_head(path, family, keys, tensors):
    """A file of F16 tensors, name to shape, without their bytes."""
    head = [key("general.architecture", "str", family)]
    head += [key(f"{family}.{name}", "f32" if isinstance(value, float) else "u32", value) for name, value in keys.items()]
    infos, at = [], 0
    for name, shape in tensors.items():
        infos.append(gguf_edit.string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F16, at))
        size = 2
        for side in shape:
            size *= side
        at = -(-(at + size) // 32) * 32
    text = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(head)) + b"".join(head + infos)
    with open(path, "wb") as file:
        file.write(text)
        file.truncate(-(-len(text) // 32) * 32 + at)


def model(n_layer, n_head, n_kv_head, n_expert=0, d_model=512, d_ffn=512, tied=False, qkv=False, latent=False, shared=False,
          family="llama"):
    """Keys and tensors of a model whose matrices are as small as blocks allow."""
    keys = {"block_count": n_layer, "context_length": 512, "embedding_length": d_model, "feed_forward_length": d_ffn,
            "attention.head_count": n_head, "attention.head_count_kv": n_kv_head, "attention.layer_norm_rms_epsilon": 1e-5,
            "attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 32, "vocab_size": 512}
    if n_expert:
        keys |= {"expert_count": n_expert, "expert_used_count": 2, "expert_feed_forward_length": d_ffn}
    if latent:
        keys |= {"attention.q_lora_rank": 256, "attention.kv_lora_rank": 256, "attention.key_length": 64, "attention.value_length": 64,
                 "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0}
    tensors = {"token_embd.weight": (d_model, 512), "output_norm.weight": (d_model,)}
    if not tied:
        tensors["output.weight"] = (d_model, 512)
    for layer in range(n_layer):
        add = {"attn_norm.weight": (d_model,), "attn_output.weight": (d_model, d_model), "ffn_norm.weight": (d_model,)}
        if qkv:
            add |= {"attn_qkv.weight": (d_model, 3 * d_model)}
        elif latent:
            add |= {"attn_q_a.weight": (d_model, 256), "attn_q_b.weight": (256, d_model), "attn_kv_a_mqa.weight": (d_model, 288),
                    "attn_kv_b.weight": (256, d_model), "attn_k_b.weight": (256, 256, n_head)}
        else:
            add |= {f"attn_{letter}.weight": (d_model, d_model) for letter in "qkv"}
        stacks = n_expert and not (latent and layer == 0)
        for word in ("gate", "up", "down"):
            shape = (d_ffn, d_model) if word == "down" else (d_model, d_ffn)
            add |= {f"ffn_{word}_exps.weight": (*shape, n_expert)} if stacks else {f"ffn_{word}.weight": shape}
            if shared and stacks:
                add |= {f"ffn_{word}_shexp.weight": shape}
        if stacks:
            add |= {"ffn_gate_inp.weight": (d_model, n_expert)}
        tensors |= {f"blk.{layer}.{name}": shape for name, shape in add.items()}
    return family, keys, tensors


MODELS = {
    "dense": model(32, 16, 16),
    "grouped": model(33, 16, 4),
    "70b": model(80, 16, 2),
    "mixtral": model(32, 16, 4, n_expert=8),
    "few experts": model(17, 16, 16, n_expert=4),
    "many experts": model(24, 16, 2, n_expert=64, family="qwen3moe"),
    "tied": model(18, 16, 8, tied=True, family="qwen3"),
    "latent": model(20, 8, 8, n_expert=16, latent=True, shared=True, family="deepseek2"),
    "uneven": model(16, 16, 4, d_model=480, d_ffn=352, n_expert=32, family="qwen3moe"),
    "fused": model(16, 16, 16, qkv=True, family="phi3"),
    "falcon": model(16, 16, 1, qkv=True, family="falcon"),
}


def judge_types(judge, path, mixture, *more):
    """name to (type, type that was meant) of each tensor, by llama.cpp."""
    done = subprocess.run([judge, "quantize", "--dry-run", "--allow-requantize", *more, path, mixture], capture_output=True, text=True)
    text = done.stdout + done.stderr
    check(done.returncode == 0, f"llama.cpp quantize {path} {mixture}: {text[-400:]}")
    meant = {name: kind.upper() for name, kind in
             re.findall(r"warning: (\S+) +- ncols +\d+ not divisible by +\d+ \(required for type +(\w+)\)", text)}
    types = {}
    for name, old, new in re.findall(r"^\[ *\d+/ *\d+\] (\S+) .*?type = +(\w+),[^(\n]*(?:\((\w+)\))?", text, re.M):
        kind = (new or old).upper()
        types[name] = (kind, meant.get(name, kind))
    check(types, f"llama.cpp quantize said no types: {text[:300]}")
    return types


def compare_types(judge, what, path, mixtures, imatrix=None):
    for mixture in mixtures:
        more = ["--imatrix", imatrix] if imatrix else []
        found = weir_json("quantize", path, "--type", mixture, "--dry-run", "--allow-unweighted", *more)
        ours = {tensor["name"]: (tensor["to"], tensor["meant"]) for tensor in found["tensors"]}
        theirs = judge_types(judge, path, mixture, *more)
        check(ours.keys() == theirs.keys(), f"{what}, {mixture}: other tensors: {ours.keys() ^ theirs.keys()}")
        other = [f"{name}: {ours[name]}, llama.cpp {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        check(not other, f"{what}, {mixture}: {len(other)} tensors: {'; '.join(other[:6])}")


def mixture_names():
    text = subprocess.run([WEIR, "--complete", "quantize", "a", "b", "--type", ""], capture_output=True, text=True).stdout
    names = [line.split("\t")[0] for line in text.splitlines()]
    check(len(names) > 30, f"names of types: {names}")
    return [name for name in names if name not in NO_MIXTURE_THERE]


def same_types(judge, folder):
    names = mixture_names()
    for row, (what, head) in enumerate(MODELS.items()):
        path = os.path.join(folder, "head.gguf")
        write_head(path, *head)
        compare_types(judge, what, path, names if LONG else names[row % 4::4])
    if LONG:
        for path in sorted(glob.glob(os.path.join(ROOT, "tests", "golden", "*", "model.gguf"))):
            if subprocess.run([judge, "quantize", "--dry-run", path, "Q8_0"], capture_output=True).returncode == 0:
                compare_types(judge, path, path, names[::3])
    print(f"  types: {len(MODELS)} models, {len(names)} mixtures")


def same_types_with_importance(judge, folder):
    imatrix = os.path.join(folder, "demo.imatrix")
    done = subprocess.run([WEIR, "imatrix", DEMO, "--text", HELDOUT, "--chunks", "1", "-o", imatrix, "-q"], capture_output=True, text=True)
    check(done.returncode == 0, f"weir imatrix: {done.stderr}")
    compare_types(judge, "demo with importance", DEMO, ["Q4_0", "Q5_0", "IQ3_XXS", "IQ4_XS", "IQ2_XXS"], imatrix)
    print("  types with importance")


def same_tokens(judge, folder):
    """Files of ours are read by llama.cpp, and both go on alike; keys and sizes are those of its own file."""
    ours, theirs = os.path.join(folder, "ours.gguf"), os.path.join(folder, "theirs.gguf")
    for mixture in ("Q8_0", "Q4_K_M") if not LONG else ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "MXFP4_MOE"):
        weir_json("quantize", DEMO, ours, "--type", mixture)
        done = subprocess.run([judge, "quantize", "--allow-requantize", DEMO, theirs, mixture, JUDGE_THREADS], capture_output=True)
        check(done.returncode == 0, f"llama.cpp quantize: {done.stderr[-300:]}")
        one, other = gguf_edit.Gguf(ours), gguf_edit.Gguf(theirs)
        check(one.keys == other.keys, f"{mixture}: keys differ: {[k for k in one.keys | other.keys if one.keys.get(k) != other.keys.get(k)]}")
        check(len(one.data) == len(other.data), f"{mixture}: {len(one.data)} bytes of tensors, llama.cpp {len(other.data)}")
        text = weir_json("run", ours, "-p", "The old man", "-n", 24, "--temp", 0)["text"]
        said = peer_text(judge, ours, "The old man", 24, text)
        length = len(os.path.commonprefix([text, said]))
        check(length >= min(len(said), 20), f"{mixture}: weir goes on {text!r}, llama.cpp {said!r}")
        print(f"  {mixture}: {length} of {len(text)} letters alike")


def main():
    judge = peer()
    folder = scratch_folder()
    same_types(judge, folder)
    same_types_with_importance(judge, folder)
    same_tokens(judge, folder)
    remove(folder)


if __name__ == "__main__":
    main()
