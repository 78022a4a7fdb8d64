#!/usr/bin/env python3
"""first_word.py - seconds from the start of `weir run` to the first byte of its answer, on a cold file.

Before the first word stand the trunk (weights that every token needs) and the experts of the prompt; what else an
engine does first is its own doing. So the time stands beside a bound of bytes: those of the trunk and of the prompt's
distinct experts at the disk's speed, measured right before and after; and the prompt's own compute where that is longer
than the reads of its experts. Random tokens, at several ceilings, each in a memory group of that size and outside one.
Before each run as much memory as the ceiling is touched and given back: a virtual machine gets memory that it never used
from its host at a tenth of the speed.

    bench/first_word.py MODEL.gguf                        prompts of 7 and 512 at 3, 8 and 16 GiB, three runs each
    bench/first_word.py MODEL.gguf --ceilings 8 --prompts 7 --runs 5 --weir build/other/weir
"""
import argparse
import json
import mmap
import os
import random
import subprocess
import tempfile
import time

from measure import WEIR, MemoryGroup, check, drop_cache, median, over, show, weir_json

GIB = 1 << 30
SLACK_S = 0.3
POPULATE_WRITE = 23  # of madvise(2)


def touch(bytes_):
    with mmap.mmap(-1, bytes_, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        memory.madvise(POPULATE_WRITE)


def disk_speed(model):
    found = weir_json("calibrate", model)["results"][0]
    cells = {cell["in_flight_bytes"]: cell["bytes_per_s"] for cell in found["cells"]}
    return cells[found["io_budget_bytes"]]


def time_first_byte(start):
    """Seconds until what start() starts writes its first byte."""
    begin = time.monotonic()
    process = start()
    process.stdout.read(1)
    took = time.monotonic() - begin
    _, words = process.communicate()
    check(process.returncode == 0, f"weir run: exit {process.returncode}: {words}")
    return took


def run_once(program, model, limit, prompt, is_grouped, threads):
    ids = ",".join(str(random.Random(prompt).randrange(100, 2000) + 7 * index) for index in range(prompt))
    cache = os.environ["XDG_CACHE_HOME"]
    before = disk_speed(model)
    with tempfile.NamedTemporaryFile(suffix=".json") as stats:
        args = [program, "run", model, "--mem", str(limit), "--threads", str(threads), "--ids", ids, "-n", "1", "--stats",
                stats.name]
        drop_cache(model)
        touch(limit)
        os.environ["XDG_CACHE_HOME"] = "/dev/null"  # what an earlier run kept does not count
        if is_grouped:
            with MemoryGroup(limit) as group:
                took = time_first_byte(lambda: group.start(args))
        else:
            took = time_first_byte(lambda: subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        found = json.load(open(stats.name))
    os.environ["XDG_CACHE_HOME"] = cache
    disk = (before + disk_speed(model)) / 2
    trunk_s = weir_json("info", model)["trunk_bytes"] / disk
    experts_s = found["bytes_read"] / disk
    compute_s = found["prefill_s"] - found["io_wait_s"]
    bound_s = 1.15 * (trunk_s + experts_s) + max(0.0, compute_s - experts_s) + SLACK_S
    return {"took": took, "bound": bound_s, "trunk": trunk_s, "experts": experts_s, "prompt": found["prefill_s"],
            "compute": compute_s, "load": took - found["prefill_s"], "disk": disk / 1e9}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--ceilings", default="3,8,16", help="GiB, apart by commas")
    parser.add_argument("--prompts", default="7,512", help="tokens, apart by commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-groups", action="store_true", help="outside memory groups only")
    parser.add_argument("--weir", default=WEIR, help="another build")
    options = parser.parse_args()
    print("medians, seconds; the bound is 1.15 x (trunk + experts at the disk's speed) + compute beyond that of the experts "
          f"+ {SLACK_S}\n")
    print("| ceiling | prompt | in a group | first word | bound | share | before the prompt | prompt | its compute | trunk at the "
          "disk's speed | experts | disk, GB/s |\n" + "| --- " * 12 + "|")
    for ceiling in map(float, options.ceilings.split(",")):
        for prompt in map(int, options.prompts.split(",")):
            for is_grouped in (False,) if options.no_groups else (False, True):
                runs = [run_once(options.weir, options.model, int(ceiling * GIB), prompt, is_grouped, options.threads)
                        for _ in range(options.runs)]
                cells = [f"{ceiling:g} GiB", str(prompt), "yes" if is_grouped else "no"]
                cells += [show(median(runs, "took")), show(median(runs, "bound")),
                          show(median([{"share": over(run["took"], run["bound"])} for run in runs], "share"))]
                cells += [show(median(runs, name)) for name in ("load", "prompt", "compute", "trunk", "experts", "disk")]
                print("| " + " | ".join(cells) + " |", flush=True)


main()
