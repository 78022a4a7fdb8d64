#!/usr/bin/env python3
"""formats_peer.py - the demo model in each number format that llama.cpp can give it, judged by llama.cpp's perplexity.

llama.cpp makes the files, so layouts are its own; on 3 chunks of 512 tokens ours and its perplexity are within 0.5 %.
Both round activations to 8 bits, in different blocks.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import DEMO, HELDOUT, LONG, check, memory_folder, peer, peer_perplexity, remove, skip, weir_json

# A quantizer's recipe, and the format that must make up half of its file at least: rows that are no whole
# super-block take another one. Other models are in Q8_0, Q4_0 (peer_demo.py) and Q4_1 (smollm2.py).
RECIPES = {"Q5_0": "Q5_0", "Q5_1": "Q5_1", "IQ4_NL": "IQ4_NL", "MXFP4_MOE": "MXFP4", "Q2_K": "Q2_K", "Q3_K_S": "Q3_K",
           "Q4_K_S": "Q4_K", "Q5_K_S": "Q5_K", "Q6_K": "Q6_K", "IQ4_XS": "IQ4_XS", "IQ3_XXS": "IQ3_XXS", "IQ3_S": "IQ3_S"}
# Of so few bits a model that was not trained for them says nothing: these are the experts' gate and up matrices of
# so many layers, beside Q8_0, and at least 1.5 % of the file.
LAYERS = {"IQ1_S": 12, "IQ1_M": 12, "IQ2_XXS": 12, "IQ2_XS": 12, "IQ2_S": 12, "NVFP4": 12, "TQ1_0": 3, "TQ2_0": 3, "Q1_0": 3,
          "Q2_0": 3}
QUICK = ("Q3_K_S",)  # which is made in a second; the others wait for `./run-tests long`


def weigh(judge, folder):
    """Which weights matter, by the held-out text: what the smallest formats are made with."""
    matrix = os.path.join(folder, "matrix.gguf")
    done = subprocess.run([judge, "imatrix", "-m", DEMO, "-f", HELDOUT, "-o", matrix, "-c", "512", "--chunks", "3", "-t", "2"],
                          capture_output=True, text=True)
    check(os.path.exists(matrix), f"llama.cpp gave no importance matrix: {done.stderr[-300:]}")
    return matrix


def compare(judge, name, share, folder, *options):
    """A file of llama.cpp's quantizer, most of it or at least that share of it in the format."""
    model = os.path.join(folder, name + ".gguf")
    done = subprocess.run([judge, "quantize", "--allow-requantize", "--pure", *options[:-1], DEMO, model, options[-1], "2"],
                          capture_output=True, text=True)
    check(done.returncode == 0, f"llama.cpp cannot make {name}: {done.stderr[-300:]}")
    types = weir_json("info", model)["types"]
    found = re.search(rf"\b{name} ([0-9.]+) %", types)
    check(found and float(found.group(1)) >= share, f"{name}: wanted {share} % at least, found {types}")
    ours = weir_json("eval", model, "--text", HELDOUT, "--ctx", 512, "--chunks", 3)["ppl"]
    theirs = peer_perplexity(judge, model, 3)
    print(f"  {name:10} weir {ours:.4f}, llama.cpp {theirs:.4f}, {100 * (ours / theirs - 1):+.3f} %  ({types})", flush=True)
    check(abs(ours / theirs - 1) <= 0.005, f"{name}: perplexities differ by more than 0.5 %")
    os.remove(model)


def main():
    judge = peer()
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    folder = memory_folder(192 << 20)
    try:
        weights = ["--imatrix", weigh(judge, folder)] if LONG else []
        for recipe, name in RECIPES.items():
            if LONG or recipe in QUICK:
                compare(judge, name, 50.0, folder, *weights, recipe)
        for name, count in LAYERS.items():
            if LONG or name in QUICK:
                layers = "|".join(map(str, range(count)))
                compare(judge, name, 1.5, folder, *weights, "--tensor-type",
                        rf"blk\.({layers})\.ffn_(gate|up)_exps={name.lower()}", "Q8_0")
    finally:
        remove(folder)


main()
