#!/usr/bin/env python3
"""make_yarn.py - the golden model llama with YaRN's keys, and the logits that llama.cpp computes for it.

usage: make_yarn.py OUT                 needs: pip install gguf numpy, and llama.cpp (WEIR_LLAMA_PEER, see check_peer.py)

OUT/llama-rope-yarn gets what make_models.py writes. llama.cpp gives logits of a text's last position only, so the text is grown
letter by letter, each of which is one more token.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import gguf
import numpy as np

from check_peer import PEER, ROOT, peer_row

SOURCE = os.path.join(ROOT, "tests/golden/llama/model.gguf")
NAME = "llama-rope-yarn"
# A base so small, and a context so short, that of four pairs one is kept, one scaled and two are in between.
KEYS = {"llama.rope.freq_base": 100.0, "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 8.0,
        "llama.rope.scaling.original_context_length": 64, "general.name": "weir golden " + NAME}
MISTAKES = {"no YaRN": {"llama.rope.scaling.type": "none"}, "linear": {"llama.rope.scaling.type": "linear"},
            "no original context": {"llama.rope.scaling.original_context_length": None}}
TOKENS = 48


TYPES = {str: gguf.GGUFValueType.STRING, float: gguf.GGUFValueType.FLOAT32, int: gguf.GGUFValueType.UINT32}


def write_model(path, changed):
    """The golden model llama with KEYS, some of which are changed; None: left out."""
    reader = gguf.GGUFReader(SOURCE)
    writer = gguf.GGUFWriter(path, "llama")
    keys = KEYS | changed
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in keys:
            continue
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if is_array else None)
    for name, value in keys.items():
        if value is not None:
            writer.add_key_value(name, value, TYPES[type(value)])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def grow_text(model):
    """A text of which each letter adds one token, its ids, and the logits after each."""
    draw = random.Random(7)
    text = ""
    ids, row = peer_row(model, b"")  # the token that begins a text
    rows = [row]
    while len(ids) < TOKENS:
        longer = text + draw.choice("abcdefghijklmnopqrstuvwxyz .,:()")
        found, row = peer_row(model, longer.encode())
        if found[:-1] == ids:
            text, ids = longer, found
            rows.append(row)
    return text, ids, np.stack(rows)


def find_mistakes(text, logits):
    """How far off the last logits are when a key is not obeyed."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")  # llama.cpp names its output after it
        for what, changed in MISTAKES.items():
            write_model(path, changed)
            found[what] = round(float(np.abs(peer_row(path, text.encode())[1] - logits[-1]).max()), 4)
    return found


def main():
    folder = os.path.join(sys.argv[1], NAME)
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(folder, "model.gguf")
    write_model(model, {})
    text, ids, logits = grow_text(model)
    with open(os.path.join(folder, "ids.txt"), "w") as file:
        file.write(" ".join(map(str, ids)) + "\n")
    logits.astype("<f4").tofile(os.path.join(folder, "logits.f32"))
    version = subprocess.run([PEER, "completion", "--version"], capture_output=True, text=True)
    facts = {"script": "tools/oracle/make_yarn.py", "model": NAME, "family": "llama", "why": "rope scaling YaRN",
             "judge": "llama.cpp, " + (version.stdout + version.stderr).strip().split("\n")[0],
             "dtype": "float32, keys and values too", "keys": KEYS, "tokens": len(ids), "n_vocab": logits.shape[1], "text": text,
             "smallest_routing_gap": None, "difference_after_a_mistake": find_mistakes(text, logits),
             "logits_std": float(logits.std()), "logits_max": float(np.abs(logits).max())}
    with open(os.path.join(folder, "provenance.json"), "w") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")


main()
