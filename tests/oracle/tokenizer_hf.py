#!/usr/bin/env python3
"""tokenizer_hf.py - mixed text through Qwen3's real tokenizer as a GGUF file has it: weir's ids are those of Hugging Face tokenizers.

The tokenizer is not in this repository: $WEIR_SHARED_DATA/tokenizers, else ../shared/data/tokenizers. The judge is a Python package
that is put below build/. WEIR names another program than build/release/weir; SEED another text than the first. A quarter of a megabyte
(`./run-tests long`: a whole one) of two kinds of text: tokenizer_json.py has the same vocabulary read more.
"""
import json
import os
import subprocess
import sys
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import LONG, ROOT, skip, use_tokenizers

WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "release", "weir"))
SHARED = os.environ.get("WEIR_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
TOKENIZER = os.path.join(SHARED, "tokenizers", "qwen3.tokenizer.json.xz")
FOLDER = os.path.join(ROOT, "build", "oracle-text")
BYTES = 1 << (20 if LONG else 18)

# Runs by itself: tokenizer.json and a text in, ids on standard output.
ASK = """
import json, lzma, sys, tokenizers
with lzma.open(sys.argv[1], "rt", encoding="utf-8") as file:
    judge = tokenizers.Tokenizer.from_str(file.read())
with open(sys.argv[2], "rb") as file:
    text = file.read().decode()
print(json.dumps(judge.encode(text, add_special_tokens=False).ids))
"""


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


def tool(name, *args):
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "oracle", name), *args], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{name}: {done.stderr}")


def weir_ids(model, path, text):
    """weir's ids. Its own check that the ids decode to the text can hold only where NFC changes nothing."""
    done = subprocess.run([WEIR, "tokenize", model, "--text", path, "--json"], capture_output=True)
    settled = unicodedata.is_normalized("NFC", text)
    if done.returncode != 0 and (settled or done.returncode != 1 or not done.stdout):
        fail(f"weir tokenize: exit {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    answer = json.loads(done.stdout)
    if len(answer["pieces"]) != len(answer["ids"]):
        fail(f"weir tokenize: {len(answer['ids'])} ids, {len(answer['pieces'])} pieces")
    return answer["ids"], answer["pieces"]


def compare(name, model, seed, *more):
    path = os.path.join(FOLDER, name + ".txt")
    tool("mixed_text.py", path, "--bytes", str(BYTES), "--seed", str(seed), *more)
    with open(path, "rb") as file:
        text = file.read().decode()
    done = subprocess.run([sys.executable, "-c", ASK, TOKENIZER, path], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"the judge: {done.stderr[-300:]}")
    wanted = json.loads(done.stdout)
    found, pieces = weir_ids(model, path, text)
    if found != wanted:
        shorter = min(len(found), len(wanted))
        at = next((index for index in range(shorter) if found[index] != wanted[index]), shorter)
        fail(f"{name}: {len(wanted)} ids wanted, {len(found)} found; they part at {at}, after {pieces[max(0, at - 8):at]}: "
             f"wanted {wanted[at:at + 8]}, found {found[at:at + 8]} {pieces[at:at + 8]}")
    print(f"{name}: {len(text.encode())} bytes, {len(found)} ids, {len(set(found))} different: all equal")


def main():
    if not os.path.exists(TOKENIZER):
        skip(f"no {TOKENIZER} (set WEIR_SHARED_DATA)")
    if not os.access(WEIR, os.X_OK):
        fail(f"no program {WEIR}: run make")
    use_tokenizers()
    os.makedirs(FOLDER, exist_ok=True)
    model = os.path.join(FOLDER, "qwen3.gguf")
    tool("tokenizer_to_gguf.py", TOKENIZER, model, "--pre", "qwen2")
    seed = int(os.environ.get("SEED", "1"))
    compare("mixed", model, seed)
    compare("mixed-nfc", model, seed + 1000, "--nfc")


main()
