#!/usr/bin/env python3
"""invariance.py - streamed output equals resident output bit for bit, for every type of weights.

Logits of a text longer than the longest chunk, as bytes, with other slots, threads, I/O and chunks than
the resident run: the demo model at each vector level that this CPU has, and a small model of random
weights for each type at the best one, or at the reference. `./run-tests long` has a longer text, more variants,
and the demo model at the reference.
"""
import hashlib
import itertools
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, HELDOUT, LONG, WEIR, check, make_model, memory_folder, remove, weir_json

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "MXFP4", "Q2_K", "Q3_K",
         "Q4_K", "Q5_K", "Q6_K", "IQ4_XS", "Q4_K_M"]
THREADS = [1, 2, 3, 8]
CHUNKS = [1, 7, 64, 512 if LONG else 128]
ENGINES = [["--io", "auto"], ["--io", "threads"], ["--fake-io", "11"], ["--fake-io", "12:1"], ["--buffered"]]
TOKENS = 530 if LONG else 140


def logits(model, ids, folder, *options):
    """Digest of the logits of every position."""
    path = os.path.join(folder, "logits")
    done = subprocess.run([WEIR, "eval", model, "--tokens", ids, "--ctx", str(TOKENS), "--logits", path,
                           *map(str, options)], capture_output=True, text=True)
    check(done.returncode == 0, f"weir eval {model} {options}: exit {done.returncode}: {done.stderr}")
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def levels():
    """Instruction sets of this CPU, all of which must keep the promise; they differ from each other."""
    found = []
    for name in ("ref", "avx2", "avx512", "avx512-vnni", "neon-dotprod"):
        done = subprocess.run([WEIR, "run", DEMO, "--ids", "1", "-n", "0", "--isa", name], capture_output=True)
        if done.returncode == 0:
            found.append(name)
    return found


def compare(model, ids, folder, isas, count):
    """count variants for each instruction set; every choice of each kind is met, in other company each time."""
    info = weir_json("info", model)
    used, experts = info["n_expert_used"], info["n_expert"]
    slots = [used, used + 1, (used + experts) // 2, experts]
    variants = list(itertools.product(slots, THREADS, CHUNKS, ENGINES))
    step = 101  # divides none of the counts
    at = 0
    for isa in isas:
        resident = logits(model, ids, folder, "--isa", isa, "--threads", 1)
        for _ in range(count):
            slot, threads, chunk, engine = variants[at % len(variants)]
            at += step
            found = logits(model, ids, folder, "--isa", isa, "--slots", slot, "--threads", threads, "--chunk", chunk,
                           *engine)
            check(found == resident, f"{os.path.basename(model)}: other bits with {isa}, {slot} slots, {threads} threads, "
                                     f"chunk {chunk}, {' '.join(engine)}")
    print(f"  {os.path.basename(model):28} {at // step} variants equal, {', '.join(isas)}")


def main():
    folder = memory_folder()
    isas = levels()
    try:
        with open(HELDOUT, encoding="utf-8") as file:
            words = file.read()[:40000]
        demo_ids = os.path.join(folder, "demo-ids")
        text = os.path.join(folder, "text")
        with open(text, "w", encoding="utf-8") as file:
            file.write(words)
        found = weir_json("tokenize", DEMO, "--text", text)["ids"][:TOKENS]
        check(len(found) == TOKENS, f"wanted {TOKENS} tokens of text, found {len(found)}")
        with open(demo_ids, "w") as file:
            file.write(" ".join(map(str, found)))
        if LONG:  # the reference takes its time
            compare(DEMO, demo_ids, folder, isas[:1], 1)
        compare(DEMO, demo_ids, folder, isas[1:], 3 if LONG else 2)
        ids = os.path.join(folder, "ids")
        with open(ids, "w") as file:
            file.write(" ".join(str((index * index * 7 + 3 * index) % 512) for index in range(TOKENS)))
        for at, name in enumerate(TYPES):
            levels_of = isas[-1:] if LONG or at % 4 > 0 else isas[:1]
            model = make_model("tiny-" + name, "--preset", "tiny", "--layers", 2, "--experts", 8, "--vocab", 512, "--type", name)
            compare(model, ids, folder, levels_of, 2 if LONG else 1)
        compare(make_model("tiny-shared", "--preset", "tiny", "--family", "qwen2moe", "--type", "Q4_K", "--trunk-type",
                           "Q6_K"), ids, folder, isas[-1:], 2)
    finally:
        remove(folder)


main()
