#!/usr/bin/env python3
"""lossy.py - what routing that loses something costs and saves: KL from the model's own text over bytes read a token.

usage: bench/lossy.py [MODEL] [--share F] [--chunks N] [--ctx N] [--text FILE] [--copies FILE]

One reference run, then each setting on the same text with the same slots, a token at a time as when a text is written. Look-ahead
is off, so that what is in memory does not depend on the device's moods. Prints a table, for docs/EVAL.md. With --copies, the same model
in fewer bits, settings are those of copies alone, beside --lossy skip and the file of copies as a model of its own in the same memory.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR = os.path.join(ROOT, "build", "release", "weir")
DEMO = os.path.join(ROOT, "models", "demo", "weir-demo.gguf")
HELDOUT = os.path.join(ROOT, "models", "demo", "heldout.txt")
SETTINGS = [None, "skip=0.05", "skip=0.1", "skip=0.15", "skip=0.2", "skip=0.25", "resident=0.05", "resident=0.1", "resident=0.2",
            "resident=0.3", "resident=0.5", "resident=0.7", "skip=0.1,resident=0.2", "skip=0.15,resident=0.3"]
WITH_COPIES = [None, "skip=0.1", "skip=0.2", "copies=0.1", "copies=0.15", "copies=0.2", "copies=0.25", "copies=0.3", "copies=1",
               "copies=0.25,skip=0.1"]


def weir_json(*args):
    done = subprocess.run([WEIR, *map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"weir {' '.join(map(str, args))}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", nargs="?", default=DEMO)
    words.add_argument("--share", type=float, default=0.25, help="of the experts that have a slot")
    words.add_argument("--chunks", type=int, default=8)
    words.add_argument("--ctx", type=int, default=256)
    words.add_argument("--text", default=HELDOUT)
    words.add_argument("--copies")
    asked = words.parse_args()
    runs = [(setting, asked.model, asked.share) for setting in (WITH_COPIES if asked.copies else SETTINGS)]
    if asked.copies:
        one, other = weir_json("info", asked.model), weir_json("info", asked.copies)
        ratio = other["expert_bytes"] / one["expert_bytes"]
        more = min(1.0, asked.share + one["n_expert_used"] / one["n_expert"] * ratio)
        runs += [("off, in the memory of copies too", asked.model, more), ("the copies alone, in that memory", asked.copies, min(1.0, more / ratio))]
    with tempfile.TemporaryDirectory() as folder:
        reference = os.path.join(folder, "reference")
        same = ["--chunk", 1, "--lookahead", "off", "--gpu", "off"]
        base = weir_json("eval", asked.model, "--text", asked.text, "--ctx", asked.ctx, "--chunks", asked.chunks, *same,
                         "--expert-share", asked.share, "--save-reference", reference)
        print(f"{os.path.basename(asked.model)}, {base['mode']['slots']} slots a layer, {base['evaluated_tokens']} tokens, "
              f"{base['tokens']} of them scored\n")
        print("| --lossy | memory MiB | KiB read a token | hit rate | KL | same top | perplexity |\n"
              "| --- | --- | --- | --- | --- | --- | --- |")
        for setting, model, share in runs:
            lossy = ["--lossy", setting] if setting and "=" in setting else []
            copies = ["--copies", asked.copies] if "copies=" in (setting or "") else []
            found = weir_json("eval", model, "--reference", reference, *same, "--expert-share", share, *lossy, *copies)
            print(f"| {setting or 'off'} | {found['planned_bytes'] / 2**20:.1f} | {found['bytes_read'] / found['evaluated_tokens'] / 1024:.0f} | "
                  f"{100 * found['hit_rate']:.1f} % | {found['kl']:.5f} ± {found['kl_err']:.5f} | {100 * found['top1']:.1f} % | "
                  f"{found['ppl']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
