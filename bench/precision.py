#!/usr/bin/env python3
"""precision.py - formats by budget beside the standard mixtures at equal bytes: divergence and perplexity of each.

    bench/precision.py MODEL --calibrate TEXT --judge TEXT [--chunks N] [--probe-chunks N] [--folder DIR] [--mixtures A,B,...]

For each mixture a file is made of it and one with a budget of as many bytes; both with the importance that the first text gives, and
judged on the second, which nothing has seen: N chunks of 512 tokens, second halves. Slopes are measured once and kept in the folder.
"""
import argparse
import json
import os
import subprocess
import sys

WEIR = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build", "release", "weir")


def weir(*args):
    done = subprocess.run([WEIR, *map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"weir {' '.join(map(str, args))}: {done.stderr}")
    return json.loads(done.stdout)


def judge(path, options, reference):
    found = weir("eval", path, "--reference", reference, "--chunks", options.chunks)
    return found["kl"], found["ppl"]


def row(name, made, kl, ppl, kinds):
    print(f"| {name} | {made['bits_after']:.3f} | {made['file_bytes']} | {kl:.5f} | {ppl:.3f} | {kinds} |", flush=True)


def kinds_of(made):
    return ", ".join(f"{kind} {use['tensors']}" for kind, use in made["after"].items() if kind != "F32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--probe-chunks", type=int, default=2)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--mixtures", default="Q2_K,Q3_K_M,Q4_K_M,Q5_K_M")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    matrix, slopes, reference = (os.path.join(options.folder, name) for name in ("matrix.gguf", "slopes", "reference"))
    if not os.path.exists(matrix):
        weir("imatrix", options.model, "--text", options.calibrate, "-o", matrix)
    whole = weir("eval", options.model, "--text", options.judge, "--chunks", options.chunks, "--save-reference", reference)
    print(f"perplexity of {os.path.basename(options.model)}: {whole['ppl']:.3f}\n\n"
          "| formats | bits a weight | bytes | divergence | perplexity | tensors |\n| --- | --- | --- | --- | --- | --- |")
    for mixture in options.mixtures.split(","):
        out = os.path.join(options.folder, "out.gguf")
        made = weir("quantize", options.model, out, "--type", mixture, "--imatrix", matrix, "--allow-unweighted")
        usual, ppl = judge(out, options, reference)
        row(mixture, made, usual, ppl, kinds_of(made))
        made = weir("quantize", options.model, out, "--bytes", made["file_bytes"], "--imatrix", matrix, "--text", options.calibrate,
                    "--chunks", options.probe_chunks, "--slopes", slopes)
        ours, ppl = judge(out, options, reference)
        row(f"as many bytes, by budget ({usual / ours:.2f} times nearer)", made, ours, ppl, kinds_of(made))
        os.remove(out)


main()
