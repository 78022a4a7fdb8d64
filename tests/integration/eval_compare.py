#!/usr/bin/env python3
"""eval_compare.py - weir eval compare: figures and paired intervals beside our own, what is refused, the picture."""
import json
import math
import os
import random
import subprocess
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, HELDOUT, WEIR, check, remove, scratch_folder, weir_json

TEXT = ["--text", HELDOUT, "--ctx", 32]


def write(path, value):
    with open(path, "w") as file:
        json.dump(value, file)
    return path


def weir(*args):
    return subprocess.run([WEIR, *map(str, args)], capture_output=True, text=True)


def worse(result, seed, nll, kl):
    """The same result of a file that loses so much a token, more or less."""
    draw = random.Random(seed)
    changed = json.loads(json.dumps(result))
    chunks = changed["per_chunk"]
    chunks["nll"] = [value + count * (nll + draw.gauss(0, nll / 2)) for value, count in zip(chunks["nll"], chunks["tokens"])]
    chunks["kl"] = [value + count * kl * draw.uniform(0.5, 1.5) for value, count in zip(chunks["kl"], chunks["tokens"])]
    chunks["top1"] = [max(0, value - draw.randrange(3)) for value in chunks["top1"]]
    changed["model"] = f"models/<{seed}> & co.gguf"
    changed["file_bytes"] //= 1 + seed
    changed["prefill_tps"] = 100.0 * seed
    return changed


def interval(differences, counts):
    """As the tool does it, by another generator."""
    draw, count = random.Random(5), len(counts)
    ratios = []
    for _ in range(2000):
        picks = [draw.randrange(count) for _ in range(count)]
        ratios.append(sum(differences[at] for at in picks) / sum(counts[at] for at in picks))
    ratios.sort()
    return ratios[49], ratios[1949]


def test_figures(folder, base, first):
    results = [base] + [worse(base, seed, 0.02 * seed, 0.01 * seed) for seed in (1, 2, 3)]
    paths = [first] + [write(os.path.join(folder, f"{at}.json"), results[at]) for at in (1, 2, 3)]
    picture = os.path.join(folder, "quality.svg")
    found = weir_json("eval", "compare", *paths, "-o", picture)
    check(found["chunks"] == 12 and found["tokens"] == base["tokens"], f"common: {found['chunks']}, {found['tokens']}")
    check(found["results"][0]["beside_first"] is None, "the first is beside itself")
    again = weir_json("eval", "compare", *paths)
    check(again == found, "the draws are seeded")
    for entry, result in zip(found["results"], results):
        chunks, counts = result["per_chunk"], result["per_chunk"]["tokens"]
        check(abs(entry["ppl"] - math.exp(sum(chunks["nll"]) / sum(counts))) < 1e-6, f"ppl: {entry}")
        check(entry["file_bytes"] == result["file_bytes"], f"bytes: {entry}")
        if entry["beside_first"] is None:
            continue
        for name in ("nll", "kl", "top1"):
            differences = [one - other for one, other in zip(chunks[name], base["per_chunk"][name])]
            low, high = interval(differences, counts)
            ours = entry["beside_first"][name]
            check(abs(ours["value"] - sum(differences) / sum(counts)) < 1e-9, f"{name}: {ours}")
            check(ours["low"] < ours["value"] < ours["high"], f"{name}: {ours}")
            room = 0.15 * (high - low)
            check(abs(ours["low"] - low) < room and abs(ours["high"] - high) < room, f"{name}: {ours}, wanted {low}, {high}")
    root = xml.etree.ElementTree.parse(picture).getroot()
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    check(any("<2> & co.gguf" in word for word in words) and "Over speed" in words, f"picture: {words}")
    check(len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 8, "four points in each half")
    table = weir("eval", "compare", *paths)
    check(table.returncode == 0 and "12 chunks" in table.stdout and "nats a token +0.0" in table.stdout, table.stdout)


def test_fewer_chunks(folder, base, first):
    """What is compared is what both have."""
    short = json.loads(json.dumps(base))
    for name, values in short["per_chunk"].items():
        short["per_chunk"][name] = values[:5] if isinstance(values, list) else values
    found = weir_json("eval", "compare", first, write(os.path.join(folder, "short.json"), short))
    check(found["chunks"] == 5 and found["results"][1]["beside_first"]["nll"] == {"value": 0, "low": None, "high": None}, f"{found}")
    table = weir("eval", "compare", first, os.path.join(folder, "short.json")).stdout
    check("too few chunks for an interval: 5, wanted 10" in table and "95 %" not in table and "[" not in table, table)


def refused(words, *paths, code=1):
    done = weir("eval", "compare", *paths)
    check(done.returncode == code and all(word in done.stderr for word in words), f"{paths}: {done.returncode} {done.stderr}")


def test_refusals(folder, base, first):
    def changed(name, change):
        result = json.loads(json.dumps(base))
        change(result)
        return write(os.path.join(folder, name), result)

    refused(["two or more"], first, code=2)
    refused(["different texts"], first, changed("text", lambda one: one["per_chunk"]["ids"].__setitem__(0, 5)))
    refused(["chunks of 32", "of 64"], first, changed("ctx", lambda one: one.__setitem__("chunk_tokens", 64)))
    refused(["per_chunk"], first, changed("none", lambda one: one.pop("per_chunk")))
    refused(["per_chunk.nll"], first, changed("nll", lambda one: one["per_chunk"]["nll"].pop()))
    refused(["per_chunk.tokens"], first, changed("tokens", lambda one: one["per_chunk"]["tokens"].__setitem__(1, -4)))
    refused(["another one"], first, write(os.path.join(folder, "list"), [1, 2]))
    with open(os.path.join(folder, "no.json"), "w") as file:
        file.write("{")
    refused(["no JSON"], first, os.path.join(folder, "no.json"))
    refused(["no-such"], first, os.path.join(folder, "no-such"))
    refused(["wanted a file of its own"], first, first, "-o", first, code=2)
    refused(["/dev/full"], first, first, "-o", "/dev/full")
    # A model of that name is a path, and eval's own help is still eval's.
    done = weir("eval", "./compare", "--text", HELDOUT)
    check(done.returncode == 1 and "./compare" in done.stderr, f"a model called compare: {done.stderr}")
    for words, wanted in ((["help", "eval"], "--save-reference"), (["eval", "--help"], "--save-reference"),
                          (["help", "eval", "compare"], "side by side"), (["eval", "compare", "--help"], "side by side")):
        check(wanted in weir(*words).stdout, f"{words}: {weir(*words).stdout[:200]}")
    offered = weir("--complete", "eval", "").stdout
    check("compare\t" in offered and ":files" in offered, f"completion: {offered}")
    check(weir("--complete", "ev").stdout.count("eval\t") == 1, "completion: eval once")


def main():
    folder = scratch_folder()
    try:
        reference = os.path.join(folder, "ref")
        weir_json("eval", DEMO, *TEXT, "--chunks", 12, "--save-reference", reference)
        base = weir_json("eval", DEMO, "--reference", reference)
        first = write(os.path.join(folder, "first.json"), base)
        test_figures(folder, base, first)
        test_fewer_chunks(folder, base, first)
        test_refusals(folder, base, first)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
