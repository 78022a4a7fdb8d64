#!/usr/bin/env python3
"""lossy.py - what routing that loses something costs and saves: KL from the model's own text over bytes read a token.

usage: bench/lossy.py [MODEL] [--share F] [--chunks N] [--ctx N] [--text FILE]

One reference run, then each setting on the same text with the same slots, a token at a time as when a text is written. Look-ahead
is off, so that what is in memory does not depend on the device's moods. Prints a table, for docs/EVAL.md.
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


def weir_json(*args):
    done = subprocess.run([WEIR, *map(str, args), "--json", "--quiet"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"weir {' '.join(map(str, args))}: exit {done.returncode}")
    return json.loads(done.stdout)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", nargs="?", default=DEMO)
    words.add_argument("--share", type=float, default=0.25, help="of the experts that have a slot")
    words.add_argument("--chunks", type=int, default=8)
    words.add_argument("--ctx", type=int, default=256)
    words.add_argument("--text", default=HELDOUT)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reference = os.path.join(folder, "reference")
        same = ["--chunk", 1, "--lookahead", "off", "--gpu", "off", "--expert-share", asked.share]
        base = weir_json("eval", asked.model, "--text", asked.text, "--ctx", asked.ctx, "--chunks", asked.chunks, *same,
                         "--save-reference", reference)
        print(f"{os.path.basename(asked.model)}, {base['mode']['slots']} slots a layer, {base['evaluated_tokens']} tokens, "
              f"{base['tokens']} of them scored\n")
        print("| --lossy | KiB read a token | hit rate | KL | same top | perplexity |\n| --- | --- | --- | --- | --- | --- |")
        for setting in SETTINGS:
            found = weir_json("eval", asked.model, "--reference", reference, *same, *(["--lossy", setting] if setting else []))
            print(f"| {setting or 'off'} | {found['bytes_read'] / found['evaluated_tokens'] / 1024:.0f} | "
                  f"{100 * found['hit_rate']:.1f} % | {found['kl']:.5f} ± {found['kl_err']:.5f} | {100 * found['top1']:.1f} % | "
                  f"{found['ppl']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
