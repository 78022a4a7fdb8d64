#!/usr/bin/env python3
"""tiny_ids.py - the tiny models' vocabularies: weir's ids are those that Hugging Face tokenizers gave (tests/golden/text).

WEIR names another program than build/release/weir.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "release", "weir"))


def weir_ids(model, text, *more):
    """The ids, or None; weir's own check that they decode to the text can hold only where NFC changes nothing."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        done = subprocess.run([WEIR, "tokenize", model, "--text", file.name, "--json", *more], capture_output=True)
    if not done.stdout:
        print(f"weir tokenize: exit {done.returncode}: {done.stderr.decode(errors='replace')}")
        return None
    return json.loads(done.stdout)["ids"]


def main():
    if not os.access(WEIR, os.X_OK):
        print(f"FAILED: no program {WEIR}: run make")
        sys.exit(1)
    checked = wrong = 0
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "golden", "text", "ids-*.jsonl"))):
        with open(path, encoding="utf-8") as file:
            cases = [json.loads(line) for line in file][1:]  # the first line is about the file
        for case in cases:
            model = os.path.join(ROOT, "tests", "golden", case["model"], "model.gguf")
            for wanted, more in ((case["ids"], []), (case["bos_ids"], ["--bos"])):
                found = weir_ids(model, case["text"], *more)
                checked += 1
                if found != wanted:
                    wrong += 1
                    print(f"{case['model']} {more} {case['text']!r}: wanted {wanted}, found {found}")
    print(f"{checked} texts compared, {wrong} differ")
    sys.exit(1 if wrong or checked < 200 else 0)


main()
