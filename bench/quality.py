#!/usr/bin/env python3
"""quality.py - what each format costs a trained model, beside llama.cpp's bytes of the same format.

The reference is the model itself. Each type is made by weir quantize and by llama.cpp's, both files are read by weir eval, over
the same text: KL divergence, perplexity, and how far the perplexities are apart, with the standard error of the chunks'
differences. Without importance the bar is llama.cpp's perplexity and 0.1 %, with importance its divergence.

    bench/quality.py --model BF16.gguf                                  every type that both make, no importance
    bench/quality.py --model BF16.gguf --importance TRAIN.txt           the same with importance that weir measures on a text
    bench/quality.py --model BF16.gguf --types Q3_K_M Q4_0 --text book.txt --chunks 20
"""
import argparse
import json
import math
import os
import subprocess

from measure import MODELS, WEIR, check, peer, skip

TYPES = ["Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_1", "Q4_K_M", "Q4_K_S", "IQ4_NL", "IQ4_XS", "Q4_0", "Q3_K_L", "Q3_K_M",
         "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "Q2_K"]
LOW = ["IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"]  # they want importance
BAR = 1.001


def call(*args):
    done = subprocess.run([*map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, f"{' '.join(map(str, args))}: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


def evaluate(path, reference, threads):
    return json.loads(call(WEIR, "eval", path, "--reference", reference, "--threads", threads, "--json"))


def apart(ours, theirs):
    """The quotient of perplexities, and its standard error, from the chunks' differences."""
    sums = [ours["per_chunk"], theirs["per_chunk"]]
    tokens = sums[0]["tokens"]
    each = [(a - b) / n for a, b, n in zip(sums[0]["nll"], sums[1]["nll"], tokens)]
    mean = sum(a - b for a, b in zip(sums[0]["nll"], sums[1]["nll"])) / sum(tokens)
    spread = math.sqrt(sum((x - mean) ** 2 for x in each) / max(1, len(each) - 1) / len(each))
    return math.exp(mean), spread


def measure(kind, options, judge, reference, importance):
    out = os.path.join(MODELS, f"quality-{os.getpid()}.gguf")
    weights = ["--imatrix", importance] if importance else []
    try:
        ours = json.loads(call(WEIR, "quantize", options.model, out, "--type", kind, "--threads", options.threads, *weights, "--json"))
        found = [(ours["file_bytes"], evaluate(out, reference, options.threads))]
        call(judge, "quantize", "--allow-requantize", *weights, options.model, out, kind, options.threads)
        found.append((os.path.getsize(out), evaluate(out, reference, options.threads)))
    finally:
        if os.path.exists(out):
            os.unlink(out)
    return ours["bits_after"], found


def tell(kind, bits, found, weighs):
    (our_bytes, ours), (their_bytes, theirs) = found
    ratio, error = apart(ours, theirs)
    holds = ours["kl"] <= theirs["kl"] if weighs else ratio <= BAR
    print(f"| {kind} | {bits:.2f} | {our_bytes / their_bytes:.4f} | {ours['kl']:.5f} | {theirs['kl']:.5f} | {ours['ppl']:.3f} | "
          f"{theirs['ppl']:.3f} | {100 * (ratio - 1):+.2f} ± {100 * error:.2f} | {'' if holds else 'over'} |", flush=True)
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a GGUF file of floats of a trained model")
    parser.add_argument("--text", default="models/demo/heldout.txt")
    parser.add_argument("--importance", help="a text that importance is measured on, another one than --text")
    parser.add_argument("--types", nargs="+")
    parser.add_argument("--chunks", type=int, default=0, help="of 512 tokens (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    judge = peer()
    os.makedirs(MODELS, exist_ok=True)
    reference = os.path.join(MODELS, f"quality-{os.getpid()}.ref")
    importance = os.path.join(MODELS, f"quality-{os.getpid()}-imatrix.gguf") if options.importance else None
    chunks = ["--chunks", options.chunks] if options.chunks else []
    try:
        if importance:
            call(WEIR, "imatrix", options.model, "--text", options.importance, "-o", importance, "--threads", options.threads)
        base = json.loads(call(WEIR, "eval", options.model, "--text", options.text, "--save-reference", reference, *chunks, "--threads",
                               options.threads, "--json"))
        print(f"perplexity {base['ppl']:.3f} over {base['tokens']} tokens of {options.text}, {base['chunks']} chunks"
              f"{', importance of ' + options.importance if importance else ''}\n")
        print("| type | bits a weight | bytes | KL | llama.cpp's | perplexity | llama.cpp's | apart, % | |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        types = options.types or TYPES + (LOW if importance else [])
        rows = [tell(kind, *measure(kind, options, judge, reference, importance), importance is not None) for kind in types]
    finally:
        for path in (reference, importance):
            if path and os.path.exists(path):
                os.unlink(path)
    print("\nholds" if all(rows) else f"\ndoes not hold of {rows.count(False)} of {len(rows)}")


if __name__ == "__main__":
    main()
