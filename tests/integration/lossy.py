#!/usr/bin/env python3
"""lossy.py - routing that loses something: off by default, named where it is on, and what of the invariants then holds."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, HELDOUT, WEIR, check, remove, scratch_folder, weir_json

# A token at a time, as when a text is written: then each reads its own experts.
TEXT = ["--ctx", 48, "--chunks", 2, "--chunk", 1, "--lookahead", "off"]
FEW = ["--slots", 8]


def evaluate(reference, *args):
    return weir_json("eval", DEMO, "--reference", reference, *TEXT, *args)


def test_skip(reference, plain):
    """Experts that weigh little are left out: that goes by the row alone, so slots and chunks make no difference."""
    found = evaluate(reference, *FEW, "--lossy", "skip=0.15")
    check(found["mode"]["lossy"] == ["skip 0.15"] and found["mode"]["gpu"]["name"] is None, f"{found['mode']}")
    check(found["kl"] > 1e-4 and found["bytes_read"] < 0.95 * plain["bytes_read"], f"{found['kl']}, {found['bytes_read']}")
    resident = evaluate(reference, "--lossy", "skip=0.15")
    check(resident["kl"] == found["kl"] and resident["nll"] == found["nll"], "streamed and resident differ")
    prompt = weir_json("eval", DEMO, "--reference", reference, "--lossy", "skip=0.15", "--chunk", 16)
    check(prompt["nll"] == found["nll"], "in other chunks it differs")
    more = evaluate(reference, *FEW, "--lossy", "skip=0.25")
    check(more["kl"] > found["kl"] and more["bytes_read"] < found["bytes_read"], f"more: {more['kl']}")
    none = evaluate(reference, *FEW, "--lossy", "skip=0.000001")
    check(none["nll"] == plain["nll"], "where nothing is left out the text is the same")


def test_resident(reference, plain):
    """Experts in memory are preferred: fewer reads, and where all are in memory nothing changes."""
    found = evaluate(reference, *FEW, "--lossy", "resident=0.5")
    check(found["mode"]["lossy"] == ["resident 0.5"], f"{found['mode']}")
    check(found["kl"] > 1e-4 and found["bytes_read"] < 0.9 * plain["bytes_read"], f"{found['kl']}, {found['bytes_read']}")
    again = evaluate(reference, *FEW, "--lossy", "resident=0.5")
    check(again["kl"] == found["kl"], f"twice the same: {again['kl']}, {found['kl']}")
    less = evaluate(reference, *FEW, "--lossy", "resident=0.1")
    check(0 < less["kl"] < found["kl"] and less["bytes_read"] > found["bytes_read"], f"less: {less['kl']}")
    whole = evaluate(reference, "--lossy", "resident=0.5")
    check(whole["nll"] == plain["nll"], "all in memory: nothing has to be read, nothing gives way")
    both = evaluate(reference, *FEW, "--lossy", "resident=0.3,skip=0.1")
    check(both["mode"]["lossy"] == ["skip 0.1", "resident 0.3"], f"{both['mode']}")


def test_copies(folder, reference, plain):
    """What is not in memory and weighs little is read in fewer bits: fewer bytes, nearer than without it; where nothing is, the same."""
    copies = os.path.join(folder, "copies.gguf")
    weir_json("quantize", DEMO, copies, "--type", "Q2_K")
    few = [*FEW, "--copies", copies, "--lossy"]
    found = evaluate(reference, *few, "copies=1")
    check(found["mode"]["lossy"] == ["copies 1"] and found["mode"]["gpu"]["name"] is None, f"{found['mode']}")
    check(1e-4 < found["kl"] < 0.02 and found["bytes_read"] < 0.85 * plain["bytes_read"], f"{found['kl']}, {found['bytes_read']}")
    check(evaluate(reference, *few, "copies=1", "--threads", 2)["kl"] == found["kl"], "threads make a difference")
    less = evaluate(reference, *few, "copies=0.1")
    check(0 < less["kl"] < found["kl"] and found["bytes_read"] < less["bytes_read"] < plain["bytes_read"], f"less: {less['kl']}")
    none = evaluate(reference, *few, "copies=0.000001")
    check(none["nll"] == plain["nll"] and none["bytes_read"] == plain["bytes_read"], "without a copy the text is the same")
    whole = evaluate(reference, "--copies", copies, "--lossy", "copies=1")
    check(whole["nll"] == plain["nll"], "all in memory: nothing has to be read, nothing gives way")
    skips = evaluate(reference, *few, "skip=0.1,copies=0.3")
    check(skips["mode"]["lossy"] == ["skip 0.1", "copies 0.3"] and skips["bytes_read"] < less["bytes_read"], f"{skips['mode']}")
    for more, status, words in ((["--copies", copies], 1, "--lossy copies=S"), (["--lossy", "copies=1"], 1, "--copies FILE"),
                                (["--lossy", "copies=1", "--copies", DEMO], 1, "fewer bytes"),
                                (["--lossy", "copies=1", "--copies", copies + "x"], 1, copies + "x"),
                                (["--lossy", "copies=1", "--copies", reference], 1, "copies of experts")):
        done = subprocess.run([WEIR, "run", DEMO, "-p", "x", *more], capture_output=True, text=True)
        check(done.returncode == status and words in done.stderr, f"{more}: {done.returncode} {done.stderr}")
    damaged = os.path.join(folder, "short.gguf")
    with open(copies, "rb") as file, open(damaged, "wb") as short:
        short.write(file.read()[:-4096])
    done = subprocess.run([WEIR, "run", DEMO, "-p", "x", "--lossy", "copies=1", "--copies", damaged], capture_output=True, text=True)
    check(done.returncode == 1 and damaged in done.stderr, f"a short file: {done.stderr}")
    with open(copies, "rb") as file, open(damaged, "wb") as spoilt:
        begin = file.read()
        spoilt.write(begin[:3_000_000] + b"\xff" * (len(begin) - 3_000_000))
    done = subprocess.run([WEIR, "run", DEMO, "-p", "The old man", "-n", "30", "--temp", "0", "--slots", "8", "--no-warm-up", "--lossy", "copies=1", "--copies",
                           damaged], capture_output=True, text=True)
    check(done.returncode == 1 and "of the copies of experts" in done.stderr and "is not finite" in done.stderr, f"a damaged copy: {done.stderr}")
    planned = weir_json("plan", DEMO, "--copies", copies, "--lossy", "copies=1")
    check(planned["min_bytes"] > weir_json("plan", DEMO)["min_bytes"], f"a plan counts copies: {planned['min_bytes']}")


def test_words(reference):
    for text in ("skip", "skip=", "skip=0", "skip=1", "skip=nan", "skip=0.1,", "skip=0.1,skip=0.2", "keep=0.1", "resident=-1", "copies=1.1", ""):
        done = subprocess.run([WEIR, "run", DEMO, "-p", "x", "--lossy", text], capture_output=True, text=True)
        check(done.returncode == 2 and "--lossy" in done.stderr, f"--lossy {text!r}: {done.returncode} {done.stderr}")
    done = subprocess.run([WEIR, "run", DEMO, "-p", "The old man", "-n", "2", "--gpu", "sim", "--lossy", "skip=0.1"],
                          capture_output=True, text=True)
    check(done.returncode == 1 and "--gpu off" in done.stderr, f"on a GPU: {done.returncode} {done.stderr}")
    done = subprocess.run([WEIR, "run", DEMO, "-p", "The old man", "-n", "2", "--lossy", "skip=0.1"], capture_output=True, text=True)
    check(done.returncode == 0 and "LOSSY" in done.stderr and "not what the model would say" in done.stderr, done.stderr)
    check(weir_json("run", DEMO, "-p", "The old man", "-n", 2)["mode"]["lossy"] == [], "lossy without a word")


def main():
    folder = scratch_folder()
    try:
        reference = os.path.join(folder, "ref")
        weir_json("eval", DEMO, "--text", HELDOUT, *TEXT, "--save-reference", reference)
        plain = evaluate(reference, *FEW)
        test_skip(reference, plain)
        test_resident(reference, plain)
        test_copies(folder, reference, plain)
        test_words(reference)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
