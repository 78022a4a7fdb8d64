#!/usr/bin/env python3
"""check_peer.py - llama.cpp as the second judge of the golden models: its ids and its logits against the committed ones.

usage: check_peer.py [--every N] [FOLDER ...]       default: all of tests/golden; needs numpy alone

llama.cpp's debug tool gives the logits of a text's last position, so it is run on the text of each folder and on its beginnings
(every N-th position; 1 is all). Keys and values are f32. Exit status 0: all agree; 1: some do not; 77: no llama.cpp.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEER = os.environ.get("WEIR_LLAMA_PEER", os.path.join(ROOT, "../shared/tools/llama-peer"))
WORST = 1e-4


def peer_row(model, text):
    """llama.cpp's ids of text and the logits after the last of them."""
    with tempfile.TemporaryDirectory() as folder:
        prompt = os.path.join(folder, "prompt")
        with open(prompt, "wb") as file:
            file.write(text)
        command = [PEER, "debug", "-m", model, "-bf", prompt, "-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "1", "--no-escape",
                   "--no-warmup", "--save-logits", "--logits-output-dir", folder]
        done = subprocess.run(command, capture_output=True, env=os.environ | {"GGML_NO_BACKTRACE": "1"})
        if done.returncode == 77:
            print("skipped: llama.cpp cannot be had:", done.stderr.decode(errors="replace").strip()[-200:])
            sys.exit(77)
        if done.returncode != 0:
            raise RuntimeError((done.stdout + done.stderr).decode(errors="replace").strip()[-600:])
        ids = np.fromfile(os.path.join(folder, "llamacpp-model-tokens.bin"), "<i4")
        return ids.tolist(), np.fromfile(os.path.join(folder, "llamacpp-model.bin"), "<f4")


def beginnings(text):
    """Every beginning of text that is whole characters, the whole text last."""
    return [text[:length].encode() for length in range(1, len(text) + 1)]


def check(folder, every):
    """True when llama.cpp gives the folder's ids, and its logits at every position that was asked for."""
    with open(os.path.join(folder, "provenance.json")) as file:
        facts = json.load(file)
    with open(os.path.join(folder, "ids.txt")) as file:
        ids = [int(word) for word in file.read().split()]
    logits = np.fromfile(os.path.join(folder, "logits.f32"), "<f4").reshape(len(ids), facts["n_vocab"])
    texts = beginnings(facts["text"])
    asked = [*texts[every - 1:-1:every], texts[-1]]
    worst, seen, same = 0.0, 0, True
    for text in asked:
        try:
            found, row = peer_row(os.path.join(folder, "model.gguf"), text)
        except RuntimeError as problem:
            print(f"{facts['model']}: llama.cpp refuses the model:\n{problem}")
            return False
        if found != ids[:len(found)]:
            if text is texts[-1]:
                print(f"{facts['model']}: ids differ: wanted {ids}, found {found}")
                return False
            continue  # a beginning that ends inside a merge has other ids
        worst = max(worst, float(np.abs(row - logits[len(found) - 1]).max()))
        seen += 1
        same = same and worst <= WORST
    print(f"{'agrees' if same else 'DIFFERS':8} {facts['model']:20} {seen:3} of {len(ids)} positions, worst difference {worst:.1e}"
          f" (logits std {facts['logits_std']:.2f})", flush=True)
    return same


def main():
    options = argparse.ArgumentParser(description="llama.cpp against the golden models")
    options.add_argument("--every", type=int, default=7)
    options.add_argument("folders", nargs="*")
    given = options.parse_args()
    if not os.access(PEER, os.X_OK):
        print(f"skipped: no llama.cpp at {PEER} (set WEIR_LLAMA_PEER)")
        sys.exit(77)
    folders = given.folders or sorted(os.path.dirname(path) for path in glob.glob(os.path.join(ROOT, "tests/golden/*/model.gguf")))
    results = [check(folder, given.every) for folder in folders]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
