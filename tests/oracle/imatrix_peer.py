#!/usr/bin/env python3
"""imatrix_peer.py - importance of the demo model's columns, judged by llama.cpp's.

On 2 chunks of 512 tokens every sum is compared: those of a matrix of the trunk differ by 1 % at most, those of a stack of experts by
5 %, together (both round activations to 8 bits, in different blocks; near ties of a router fall differently). Then llama.cpp's
quantizer takes our files of both forms, and uses every entry.
"""
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from gguf_edit import Gguf
from harness import DEMO, HELDOUT, WEIR, check, memory_folder, peer, remove, skip

CHUNKS = 2


def tensors(path):
    """The f32 values of each tensor of a file."""
    file = Gguf(path)
    found, at = {}, 0
    data = file.data
    infos = file.infos
    while at < len(infos):
        length = struct.unpack_from("<Q", infos, at)[0]
        name = infos[at + 8:at + 8 + length].decode()
        at += 8 + length
        count = struct.unpack_from("<I", infos, at)[0]
        dims = struct.unpack_from(f"<{count}Q", infos, at + 4)
        kind, offset = struct.unpack_from("<IQ", infos, at + 4 + 8 * count)
        at += 16 + 8 * count
        size = 1
        for dim in dims:
            size *= dim
        if kind == 0:
            found[name] = struct.unpack_from(f"<{size}f", data, offset)
    return found


def distance(one, other):
    return sum(abs(a - b) for a, b in zip(one, other)) / sum(other)


def compare(ours, theirs):
    names = [name[:-len(".in_sum2")] for name in theirs if name.endswith(".in_sum2")]
    check(len(names) == 96, f"llama.cpp measures {len(names)} tensors of the demo model")
    worst = {"trunk": 0.0, "experts": 0.0, "counts": 0.0}
    for name in names:
        sums, counts = ours[name + ".in_sum2"], ours[name + ".counts"]
        their_sums, their_counts = theirs[name + ".in_sum2"], theirs[name + ".counts"]
        check(len(sums) == len(their_sums) and len(counts) == len(their_counts), f"{name}: other sizes")
        check(sum(counts) == sum(their_counts), f"{name}: {sum(counts)} rows, and {sum(their_counts)}")
        kind = "trunk" if len(counts) == 1 else "experts"
        worst[kind] = max(worst[kind], distance(sums, their_sums))
        worst["counts"] = max(worst["counts"], distance(counts, their_counts))
    print("  the most that a tensor differs from llama.cpp's: " + ", ".join(f"{kind} {100 * most:.2f} %" for kind, most in worst.items()))
    check(worst["trunk"] <= 0.01 and worst["experts"] <= 0.05 and worst["counts"] <= 0.05, "sums differ from llama.cpp's")


def use(judge, matrix, folder):
    model = os.path.join(folder, "model.gguf")
    done = subprocess.run([judge, "quantize", "--allow-requantize", "--imatrix", matrix, DEMO, model, "Q4_0", "2"], capture_output=True,
                          text=True)
    found = re.search(r"loaded (\d+) importance matrix entries", done.stdout + done.stderr)
    check(done.returncode == 0 and found and found.group(1) == "97", f"llama.cpp does not take {matrix}: {done.stderr[-300:]}")
    check("did not find weights" not in done.stdout + done.stderr, "llama.cpp misses an entry")


def main():
    judge = peer()
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    folder = memory_folder(64 << 20)
    ours, old, theirs = (os.path.join(folder, name) for name in ("ours.gguf", "ours.dat", "theirs.gguf"))
    try:
        for path, more in ((ours, []), (old, ["--dat"])):
            subprocess.run([WEIR, "imatrix", DEMO, "--text", HELDOUT, "--chunks", str(CHUNKS), "-q", "-o", path, *more], check=True)
        done = subprocess.run([judge, "imatrix", "-m", DEMO, "-f", HELDOUT, "-o", theirs, "-c", "512", "--chunks", str(CHUNKS), "-t", "2",
                               "--no-ppl"], capture_output=True, text=True)
        check(os.path.exists(theirs), f"llama.cpp gave no importance matrix: {done.stderr[-300:]}")
        compare(tensors(ours), tensors(theirs))
        for path in (ours, old):
            use(judge, path, folder)
    finally:
        remove(folder)


main()
