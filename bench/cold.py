#!/usr/bin/env python3
"""cold.py - time to the first token from a cold file, beside the time that only reading the file takes.

A B A B: A is `dd` with direct reads, two halves of the file at once; B is `weir run -n 1` with room for
everything, from its start to its first byte of text, and to its end. The page cache is dropped before
each. One run of B goes before and is not counted: where a hypervisor hands out memory at first touch,
that is another machine's time.

    bench/cold.py                      the OLMoE shape in Q4_0, 5 pairs
    bench/cold.py --model M.gguf --pairs 3
"""
import argparse
import os
import subprocess
import time

from measure import MODELS, WEIR, check, drop_cache, make_model, median, show, size, skip

BLOCK_BYTES = 8 << 20
PROMPT = ["--ids", "1,2,3", "-n", "1", "--ignore-eos"]


def read_file(model):
    """Seconds that two direct readers take for the file."""
    blocks = -(-os.path.getsize(model) // BLOCK_BYTES)
    half = blocks // 2
    drop_cache(model)
    begin = time.monotonic()
    readers = [subprocess.Popen(["dd", f"if={model}", "of=/dev/null", "iflag=direct", f"bs={BLOCK_BYTES}", f"skip={skipped}",
                                 f"count={count}", "status=none"]) for skipped, count in ((0, half), (half, blocks - half))]
    codes = [reader.wait() for reader in readers]
    check(codes == [0, 0], f"dd: exit {codes}")
    return {"read": time.monotonic() - begin}


def first_token(model):
    drop_cache(model)
    begin = time.monotonic()
    run = subprocess.Popen([WEIR, "run", model, *PROMPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(run.stdout.read(1) != b"", f"weir run said nothing: {run.stderr.read()}")
    first = time.monotonic() - begin
    run.communicate()
    check(run.returncode == 0, f"weir run: exit {run.returncode}")
    return {"first": first, "whole": time.monotonic() - begin}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a GGUF file (default: the OLMoE shape, made once in build/models)")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    os.makedirs(MODELS, exist_ok=True)
    model = options.model or make_model("olmoe-q4_0", "--preset", "olmoe", "--type", "Q4_0")
    first_token(model)
    rows = []
    for pair in range(options.pairs):
        rows.append({**read_file(model), **first_token(model)})
        rows[-1]["ratio"] = rows[-1]["first"] / rows[-1]["read"]
        print(f"  pair {pair + 1}: file {rows[-1]['read']:.2f} s, first token {rows[-1]['first']:.2f} s, "
              f"{rows[-1]['ratio']:.2f}x", flush=True)
    file_bytes = os.path.getsize(model)
    print(f"\n{model}: {size(file_bytes)}, medians of {options.pairs} pairs")
    print(f"  direct read of the file  {show(median(rows, 'read'))} s, {file_bytes / median(rows, 'read') / 1e9:.2f} GB/s")
    print(f"  first token              {show(median(rows, 'first'))} s, {show(median(rows, 'ratio'))}x the read")
    print(f"  end of the process       {show(median(rows, 'whole'))} s")


main()
