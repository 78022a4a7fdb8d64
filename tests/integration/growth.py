#!/usr/bin/env python3
"""growth.py - the KV cache grows with the text and expert slots make room for it, under the ceiling all the way.

A model whose K and V of a full context are as large as a third of its experts, and whose embedding table is worth leaving on
the disk: in a group of the ceiling's size a text that fills the context is computed, token by token at its end; the group's
peak stays at most the ceiling, slots are fewer at the end than at the start, and the tokens are those of the run with
everything in memory. `./run-tests long` has three ceilings, and every way to read.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import LONG, WEIR, MemoryGroup, ceilings, check, make_model, weir_json
import json

CTX = 2048
IDS = " ".join(str(3 + (index * 7919) % 2000) for index in range(CTX - 40))


def run_in_group(ceiling, args):
    with MemoryGroup(ceiling) as group:
        done = group.run([WEIR, *map(str, args), "--mem", str(ceiling), "--json"])
        peak, kills = group.peak_bytes(), group.oom_kills()
    check(done.returncode == 0 and kills == 0, f"{args}: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    found = json.loads(done.stdout)
    check(found["guard"]["shrinks"] == 0, f"nobody else is in the group, and slots were given back: {done.stderr}")
    check(peak <= ceiling and found["peak_bytes"] <= ceiling,
          f"peak {peak}, weir's own {found['peak_bytes']}, over the ceiling {ceiling}")
    return found, peak


def main():
    model = make_model("growth", "--family", "olmoe", "--layers", 6, "--d-model", 512, "--heads", 8, "--kv-heads", 8,
                       "--d-head", 128, "--experts", 32, "--experts-used", 4, "--d-ffn-expert", 512, "--vocab", 32768,
                       "--ctx", CTX, "--type", "Q8_0", "--seed", 7)
    whole = ceilings(model, "--ctx", CTX)
    middle = (whole["min_bytes"] + whole["resident_bytes"]) // 2
    for ceiling in (whole["min_bytes"], middle, whole["resident_bytes"] - (40 << 20)) if LONG else (middle,):
        plan = weir_json("plan", model, "--ctx", CTX, "--mem", ceiling)
        check(sum(line["bytes"] for line in plan["lines"]) <= ceiling, "the plan's lines are over the ceiling")
        check(plan["slots_total"] > plan["slots_last"] and plan["kv_later_bytes"] > 0,
              f"slots at the start {plan['slots_total']}, at the end {plan['slots_last']}: wanted more at the start")
        check(plan["embedding_on_disk_bytes"] > 0, "the embedding table should stay on the disk")
        args = ["run", model, "--ctx", CTX, "--ids", IDS, "-n", 40, "--temp", 0, "--ignore-eos"]
        resident = weir_json(*args)
        check(resident["bytes_read"] == 0, f"the resident run read {resident['bytes_read']} bytes")
        for extra in ([], ["--io", "threads"], ["--buffered"]) if LONG else ([],):
            found, peak = run_in_group(ceiling, args + extra)
            print(f"  ceiling {ceiling}, peak {peak}, slots {plan['slots_total']} to {plan['slots_last']}, "
                  f"hit rate {found['hit_rate']:.3f} {' '.join(extra)}")
            check(len(found["ids"]) == 40 and found["ids"] == resident["ids"],
                  f"other tokens at {ceiling} {extra}: {found['ids']}, wanted {resident['ids']}")


main()
