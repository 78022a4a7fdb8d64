#!/usr/bin/env python3
"""convert_peer.py - what weir convert makes of golden directories, judged by llama.cpp: it loads each file, and has weir's perplexity.

Random weights have next to no likeliest tokens, so that perplexity, in which each logit counts, says more than greedy texts do.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from gguf_edit import Gguf
from harness import HELDOUT, LONG, ROOT, WEIR, check, peer, peer_perplexity, remove, scratch_folder, weir_json

DIRECTORIES = os.path.join(ROOT, "tests", "golden", "directories")
CHUNKS, LENGTH = 4, 256
EXACT = 0.0005  # both sides differ in their order of additions alone
QUICK = ("mixtral", "gpt-oss-bf16", "gemma3", "deepseek2-glm", "qwen35moe")
# Where llama.cpp computes something else on purpose or by its own tables, both are asked about the file with other keys
# (families_peer.py says what).
CHANGES = {
    "llama4": [("llama4.attention.sliding_window", "u32", 8192), ("llama4.attention.temperature_length", "u32", 8192)],
    "gpt-oss": [("gpt-oss.rope.scaling.yarn_beta_fast", "f32", 32), ("gpt-oss.rope.freq_base", "f32", 76.7921)],
    "gpt-oss-bf16": [("gpt-oss.rope.scaling.yarn_beta_fast", "f32", 32), ("gpt-oss.rope.freq_base", "f32", 76.7921)],
    "deepseek2-groups": [("deepseek2.expert_group_count", "u32", 1), ("deepseek2.expert_group_used_count", "u32", 1)],
    "phi3": [("general.name", "str", "tiny")],
    "phi3-short": [("general.name", "str", "tiny"), ("phi3.attention.sliding_window", "u32", 256)],
}
# It takes these to have shapes that such small models have not, or does not know the family.
REFUSED = ("bailingmoe2", "deepseek2-lite", "ernie4_5-moe", "qwen35", "qwen3next-packed")


def compare(judge, name, folder):
    """Whether the two agree."""
    out = os.path.join(folder, name + ".gguf")
    done = subprocess.run([WEIR, "convert", os.path.join(DIRECTORIES, name), "-o", out, "--type", "F32"], capture_output=True, text=True)
    check(done.returncode == 0, f"{name}: {done.stderr}")
    if name in CHANGES:
        file = Gguf(out)
        for key, kind, value in CHANGES[name]:
            file.set(key, kind, value)
        file.write(out)
    theirs = peer_perplexity(judge, out, CHUNKS, LENGTH, name in REFUSED)
    if theirs is None:
        print(f"  {name:24} llama.cpp refuses it", flush=True)
        return True
    ours = weir_json("eval", out, "--text", HELDOUT, "--ctx", LENGTH, "--chunks", CHUNKS)["ppl"]
    print(f"  {name:24} weir {ours:.4f}, llama.cpp {theirs:.4f}, {100 * (ours / theirs - 1):+.4f} %", flush=True)
    return abs(ours / theirs - 1) <= EXACT


def main():
    judge = peer()
    folder = scratch_folder()
    differing = [name for name in (sorted(os.listdir(DIRECTORIES)) if LONG else QUICK) if not compare(judge, name, folder)]
    remove(folder)
    check(not differing, f"perplexities differ: {differing}")


main()
