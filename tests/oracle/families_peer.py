#!/usr/bin/env python3
"""families_peer.py - a model of each family judged by llama.cpp's perplexity.

The golden models have random weights in f32 and a vocabulary of bytes, so that any text is many tokens: chunks of 256, past all of
their windows and the lengths that their ropes were made for. `./run-tests long` also has wider ones with quantized weights.
"""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from gguf_edit import Gguf
from harness import HELDOUT, LONG, ROOT, check, make_model, peer, peer_perplexity, remove, scratch_folder, weir_json

CHUNKS, LENGTH = 4, 256
EXACT = 0.0005  # of weights and activations in f32, so that both sides differ in their order of additions alone
QUANTIZED = 0.005
# One for each mixer, kind of rope and kind of network; the others wait for `./run-tests long`.
QUICK = ("qwen3moe", "gemma4", "gpt-oss", "llama4", "deepseek2", "deepseek2-glm", "qwen35moe", "phi3", "glm4moe")


# Where llama.cpp computes something else on purpose or by its own tables, both are asked about the file with other keys. It
# - has chunks and temperatures of Llama 4 by 8192 positions, whatever the keys say;
# - knows one pair of betas of YaRN and rounds the corners that follow: those of gpt-oss are made whole numbers;
# - judges a group of experts by the sum of its two best, where DeepSeek-V2 does so by the best: all groups are used;
# - takes pictures to be there where there are layers for them; knows no scale that all experts share;
# - wants certain tokens of a model that is called phi3, and leaves out the windows of one.
CHANGES = {
    "llama4": [("llama4.attention.sliding_window", "u32", 8192), ("llama4.attention.temperature_length", "u32", 8192)],
    "gpt-oss": [("gpt-oss.rope.scaling.yarn_beta_fast", "f32", 32), ("gpt-oss.rope.freq_base", "f32", 76.7921)],
    "deepseek2-groups": [("deepseek2.expert_group_count", "u32", 1), ("deepseek2.expert_group_used_count", "u32", 1)],
    "qwen3vlmoe": [("qwen3vlmoe.n_deepstack_layers", "u32", 0)],
    "phi3": [("general.name", "str", "tiny")],
    "phi3-short": [("general.name", "str", "tiny"), ("phi3.attention.sliding_window", "u32", 256)],
}
UNSCALED = ("llama-mixtral",)  # without what ends in scale
# It takes these to have shapes that the golden models have not. Latent attention and delta nets are judged by the shapes below,
# those of bailingmoe2, ernie4_5-moe and of layers that use unequal numbers of experts by transformers alone (tests/golden).
REFUSED = ("bailingmoe2", "deepseek2-lite", "deepseek2-lite-joint", "ernie4_5-moe", "qwen35", "qwen3moe-uneven", "qwen3next-packed")
SHAPES = ("tiny-delta", "tiny-deepseek2")


def golden_models():
    return [os.path.basename(os.path.dirname(path)) for path in sorted(glob.glob(os.path.join(ROOT, "tests", "golden", "*", "model.gguf")))]


def changed(name, folder):
    """The golden model, or what of it the judge understands as it was meant."""
    path = os.path.join(ROOT, "tests", "golden", name, "model.gguf")
    if name not in CHANGES and name not in UNSCALED:
        return path
    file = Gguf(path)
    for key, kind, value in CHANGES.get(name, []):
        file.set(key, kind, value)
    if name in UNSCALED:
        file.drop_tensors("scale")
    return file.write(os.path.join(folder, name + ".gguf"))


def compare(judge, name, model, most, may_refuse):
    """Whether the two agree."""
    theirs = peer_perplexity(judge, model, CHUNKS, LENGTH, may_refuse)
    if theirs is None:
        print(f"  {name:24} llama.cpp refuses it", flush=True)
        return True
    ours = weir_json("eval", model, "--text", HELDOUT, "--ctx", LENGTH, "--chunks", CHUNKS)["ppl"]
    print(f"  {name:24} weir {ours:.4f}, llama.cpp {theirs:.4f}, {100 * (ours / theirs - 1):+.4f} %", flush=True)
    return abs(ours / theirs - 1) <= most


def main():
    judge = peer()
    folder = scratch_folder()
    differing = []
    for name in golden_models():
        if LONG or name in QUICK:
            if not compare(judge, name, changed(name, folder), EXACT, name in REFUSED):
                differing.append(name)
    for name in SHAPES if LONG else ():
        model = make_model(f"peer-{name}", os.path.join(ROOT, "tools", "shapes", name + ".shape"), "--type", "Q8_0")
        if not compare(judge, name, model, QUANTIZED, False):
            differing.append(name)
    remove(folder)
    check(not differing, f"perplexities differ: {differing}")


main()
