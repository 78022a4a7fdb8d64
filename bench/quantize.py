#!/usr/bin/env python3
"""quantize.py - how long weir quantize takes beside llama.cpp's, in turns, and what it moves and holds.

A B A B, the page cache dropped before each: a model of the OLMoE shape with few layers in BF16, to Q4_K (the mixture Q4_K_M) and
to Q4_0. Seconds are those of the whole command, its file on the disk. The bar is 1.5 times llama.cpp.

    bench/quantize.py                       2 threads, 3 pairs of each type
    bench/quantize.py --model M.gguf --types Q4_K_M Q6_K --pairs 5 --mem 2G
"""
import argparse
import json
import os
import re
import subprocess
import time

from measure import MODELS, WEIR, check, device_bytes, drop_cache, make_model, median, over, peer, show, size, skip

BAR = 1.5


def run(args, model, out):
    """Seconds, the CPU's seconds, peak memory and bytes read of a command that writes out."""
    if os.path.exists(out):
        os.unlink(out)
    drop_cache(model)
    before = device_bytes(model)
    begin = time.monotonic()
    process = subprocess.Popen([*map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    check(status == 0, f"{' '.join(map(str, args))}: {text[-300:]}")
    after = device_bytes(model)
    return text, {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024,
                  "read": None if before is None else after - before, "written": os.path.getsize(out)}


def pair(judge, options, model, kind, out):
    more = ["--mem", options.mem] if options.mem else []
    text, ours = run([WEIR, "quantize", model, out, "--type", kind, "--threads", options.threads, "--json", *more], model, out)
    found = json.loads(re.search(r"^\{.*\}$", text, re.M).group(0))
    ours["asked"] = found["bytes_read"]
    _, theirs = run([judge, "quantize", "--allow-requantize", model, out, kind, options.threads], model, out)
    check(ours["written"] == theirs["written"], f"{kind}: {ours['written']} bytes, llama.cpp {theirs['written']}")
    return {**{f"weir {name}": value for name, value in ours.items()}, **{f"peer {name}": value for name, value in theirs.items()},
            "ratio": over(theirs["seconds"], ours["seconds"]), "cpu ratio": over(theirs["cpu"], ours["cpu"])}


def tell(kind, rows):
    print(f"{kind}: weir {show(median(rows, 'weir seconds'))} s, llama.cpp {show(median(rows, 'peer seconds'))} s: "
          f"{show(median(rows, 'ratio'))} times as fast (processors' time {show(median(rows, 'cpu ratio'))}); "
          f"peak memory {size(median(rows, 'weir peak'))} and {size(median(rows, 'peer peak'))}; "
          f"read {size(median(rows, 'weir asked'))} of the device, written {size(median(rows, 'weir written'))}")
    return median(rows, "ratio") >= BAR


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a GGUF file of floats (default: made once in build/models)")
    parser.add_argument("--types", nargs="+", default=["Q4_K_M", "Q4_0"])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mem", help="ceiling for weir")
    options = parser.parse_args()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    judge = peer()
    os.makedirs(MODELS, exist_ok=True)
    model = options.model or make_model("olmoe-bf16-1", "--preset", "olmoe", "--layers", 1, "--vocab", 8192, "--type", "BF16")
    out = os.path.join(MODELS, "quantize-out.gguf")
    holds = True
    for kind in options.types:
        rows = [pair(judge, options, model, kind, out) for _ in range(options.pairs)]
        holds = tell(kind, rows) and holds
    os.unlink(out)
    print("holds" if holds else f"does not hold: the bar is {BAR} times llama.cpp")


if __name__ == "__main__":
    main()
