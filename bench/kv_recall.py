#!/usr/bin/env python3
"""kv_recall.py - a number hidden in a long text: how often each format of keys and values finds it again.

    bench/kv_recall.py MODEL [--words N] [--texts N] [--kv f16,q8_0,q4_0,kivi4,kivi2]

Each text is prose of models/demo/heldout.txt with a pass key of five digits somewhere in it, and ends with the beginning of
the sentence that names it; the likeliest tokens that follow are read. All formats get the same texts, in turns. Prints a
line of JSON for each format: texts, found, and how many answers are those of the first format, word for word.
"""
import argparse
import json
import random
import subprocess
import sys

WEIR = "build/release/weir"


def text_of(words, count, seed):
    chance = random.Random(seed)
    key = chance.randrange(10000, 100000)
    begin = chance.randrange(len(words) - count)
    prose = words[begin:begin + count]
    # Neither in the positions that every format keeps as they are, nor in the very first.
    at = chance.randrange(count // 20, count * 4 // 5)
    needle = f"The pass key is {key}. Remember it. {key} is the pass key."
    return key, " ".join(prose[:at] + [needle] + prose[at:]) + "\n\nWhat is the pass key? The pass key is"


def answer(model, kv, text):
    command = [WEIR, "run", model, "--kv", kv, "--temp", "0", "-n", "8", "-q", "--text", "-"]
    run = subprocess.run(command, input=text, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"kv_recall: {' '.join(command)}: {run.stderr.strip()}")
    return run.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--words", type=int, default=1200)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--kv", default="f16,q8_0,q4_0,kivi4,kivi2")
    options = parser.parse_args()
    formats = options.kv.split(",")
    with open("models/demo/heldout.txt", encoding="utf-8") as file:
        words = file.read().split()
    found = {kv: 0 for kv in formats}
    same = {kv: 0 for kv in formats}
    for seed in range(options.texts):
        key, text = text_of(words, options.words, seed)
        answers = {kv: answer(options.model, kv, text) for kv in formats}
        for kv in formats:
            found[kv] += str(key) in answers[kv]
            same[kv] += answers[kv] == answers[formats[0]]
    for kv in formats:
        print(json.dumps({"kv": kv, "texts": options.texts, "words": options.words, "found": found[kv], "same": same[kv]}))


if __name__ == "__main__":
    main()
