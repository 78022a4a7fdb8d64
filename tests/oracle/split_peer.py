#!/usr/bin/env python3
"""split_peer.py - the demo model, cut into parts by llama.cpp's own tool, gives the logits of the whole one bit for bit,
under a ceiling and all in memory."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import DEMO, HELDOUT, check, memory_folder, peer, remove, skip, weir_json

CUTS = {"few": ["--split-max-tensors", "60"], "bare": ["--split-max-tensors", "25", "--no-tensor-first-split"]}


def logits(folder, model, *options):
    path = os.path.join(folder, "logits.f32")
    weir_json("eval", model, "--text", HELDOUT, "--ctx", 64, "--chunks", 2, "--logits", path, *options)
    with open(path, "rb") as file:
        return file.read()


def main():
    judge = peer()
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    if subprocess.run([judge, "gguf-split", "--help"], capture_output=True).returncode != 0:
        skip("this llama.cpp has no gguf-split")
    folder = memory_folder(192 << 20)
    for name, cut in CUTS.items():
        stem = os.path.join(folder, name)
        done = subprocess.run([judge, "gguf-split", "--split", *cut, DEMO, stem], capture_output=True, text=True)
        check(done.returncode == 0, f"gguf-split: {done.stderr[-300:]}")
        parts = sorted(glob.glob(stem + "-*.gguf"))
        check(len(parts) > 1, f"gguf-split made {len(parts)} parts")
        check(weir_json("info", parts[0])["file_count"] == len(parts), "not all parts are seen")
        for options in [["--expert-share", "0.3"], []]:
            check(logits(folder, parts[0], *options) == logits(folder, DEMO, *options),
                  f"{name} {options}: other bits than the whole file's")
        status, words = weir_json("info", parts[1], ok=False)
        check(status != 0 and parts[0] in words, f"opened by its second part: {status}, {words}")
        print(f"  {name}: {len(parts)} parts, equal")
    remove(folder)


main()
