#!/usr/bin/env python3
"""encode_peer.py - what the demo model loses in each number format: weir quantize beside llama.cpp's, both read by weir's own decoder.

Both make every tensor of one format; where a row is no whole block both fall back alike. Ours must not lose more. With importance
both look for the least weighted error, so that plain errors may be a little apart. One format by default, `./run-tests long`: all.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import BUILD, DEMO, HELDOUT, LONG, WEIR, check, memory_folder, peer, remove, skip

ENCODE_ERROR = os.path.join(BUILD, "tools", "encode_error")
# llama.cpp's recipe and the format. Q8_0 is the plain rule in both.
RECIPES = {"Q8_0": "Q8_0", "Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q5_0": "Q5_0", "Q5_1": "Q5_1", "IQ4_NL": "IQ4_NL", "Q2_K": "Q2_K",
           "Q3_K_S": "Q3_K", "Q4_K_S": "Q4_K", "Q5_K_S": "Q5_K", "Q6_K": "Q6_K", "IQ4_XS": "IQ4_XS", "IQ3_S": "IQ3_S",
           "MXFP4_MOE": "MXFP4", "TQ1_0": "TQ1_0", "TQ2_0": "TQ2_0"}
WEIGHED = ("Q4_0", "Q3_K_S", "Q4_K_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
QUICK = ("Q3_K_S",)


def processor_s(command, what):
    """Run it; the processors' seconds."""
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    check(done.returncode == 0, f"{what}: {(done.stderr or done.stdout)[-300:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def losses(path):
    """Format to (values, relative error)."""
    done = subprocess.run([ENCODE_ERROR, DEMO, path], capture_output=True, text=True)
    check(done.returncode == 0, f"encode_error: {done.stderr[-300:]}")
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: (int(values), float(error)) for name, values, error in rows}


def compare(judge, folder, recipe, weights=()):
    name = RECIPES.get(recipe, recipe)
    theirs, ours = os.path.join(folder, "theirs.gguf"), os.path.join(folder, "ours.gguf")
    theirs_s = processor_s([judge, "quantize", "--allow-requantize", "--pure", *weights, DEMO, theirs, recipe, "2"],
                           f"llama.cpp cannot make {recipe}")
    ours_s = processor_s([WEIR, "quantize", DEMO, ours, "--type", name, "--pure", *weights, "--quiet"], f"weir cannot make {name}")
    found, wanted = losses(ours), losses(theirs)
    os.remove(theirs)
    os.remove(ours)
    check(name in wanted and found.get(name, (0,))[0] == wanted[name][0],
          f"{recipe}: other tensors have the format: ours {found}, llama.cpp's {wanted}")
    a, b = found[name][1], wanted[name][1]
    print(f"  {name:8} {'importance' if weights else '':10} lost: ours {a:.5f}, llama.cpp's {b:.5f}, {a / b if b else 1:.4f}; "
          f"seconds: ours {ours_s:.2f}, llama.cpp's {theirs_s:.2f}", flush=True)
    check(a <= b * (1.05 if weights else 1.0001) + 1e-6, f"{name}: ours loses more than llama.cpp's")


def main():
    judge = peer()
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    folder = memory_folder(256 << 20)
    try:
        for recipe in RECIPES if LONG else QUICK:
            compare(judge, folder, recipe)
        if not LONG:
            return
        matrix = os.path.join(folder, "matrix.gguf")
        processor_s([WEIR, "imatrix", DEMO, "--text", HELDOUT, "--ctx", "512", "--chunks", "8", "-o", matrix, "--quiet"], "weir imatrix")
        for recipe in WEIGHED:
            compare(judge, folder, recipe, ("--imatrix", matrix))
    finally:
        remove(folder)


main()
