#!/usr/bin/env python3
"""peer.py - weir beside llama.cpp on one file, interleaved, under the same memory limit.

An OLMoE-shaped synthetic Q4_0 model (or any file) is run A B A B: A is `weir bench`, B is
`llama-bench`, each in a memory cgroup of the same size, the page cache dropped before each. Once
with room for everything, once with a ceiling of a quarter of the file. Printed are medians, ratios,
bytes read by the device (by whoever: keep the machine quiet), and the measured DRAM and disk
ceilings that the speeds are to be read against. llama-bench runs once to warm up before it measures;
weir's cache of experts is warm from its prompt. With room for everything llama.cpp repacks the weights
for its kernels, as it does when nobody says otherwise, and the room holds file and repacked copy;
under the ceiling that copy would be killed, so it runs from the mapped file (--repack 0).

    bench/peer.py                      the OLMoE shape, 3 pairs
    bench/peer.py --quick              a small model, 1 pair: does the scenario work?
    bench/peer.py --model M.gguf --pairs 5 --share 0.25
"""
import argparse
import json
import os
import shutil

from measure import (MKMODEL, MODELS, WEIR, active_bytes, check, drop_cache, last_words, make_model, measure_ceilings, median,
                     over, peer, run_group, show, size, skip, weir_json)

OLMOE_BYTES = 5 << 30  # room wanted for the model; the file is smaller
LLAMA_SPARE_BYTES = 1 << 30  # what llama.cpp needs beside the file and its repacked copy
QUICK = ["--family", "olmoe", "--layers", 4, "--d-model", 512, "--heads", 8, "--kv-heads", 8, "--d-head", 64,
         "--experts", 32, "--experts-used", 4, "--d-ffn-expert", 256, "--vocab", 2048, "--ctx", 1024, "--type", "Q4_0"]


def find_model(options):
    if options.model:
        return options.model
    if not os.access(MKMODEL, os.X_OK):
        skip(f"{MKMODEL} is not built (make tools)")
    if options.quick:
        return make_model("peer-quick", *QUICK)
    os.makedirs(MODELS, exist_ok=True)
    path = os.path.join(MODELS, "olmoe-q4_0.gguf")
    if not os.path.exists(path) and shutil.disk_usage(MODELS).free < OLMOE_BYTES:
        skip(f"{MODELS} has less than {OLMOE_BYTES} bytes free for the model")
    return make_model("olmoe-q4_0", "--preset", "olmoe", "--type", "Q4_0")


# ---- one run of each -------------------------------------------------------------------------


def run_weir(model, limit, options):
    args = [WEIR, "bench", model, "--mem", limit, "--prompt", options.prompt, "--gen", options.gen, "--repeat", 1,
            "--threads", options.threads, "--json"]
    done, read, peak, kills = run_group(limit, args, model)
    check(done.returncode == 0 and kills == 0, f"weir bench: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    found = json.loads(done.stdout)
    return {"decode": found["decode_tps"], "prefill": found["prefill_tps"], "read": read, "peak": peak,
            "token_bytes": found["bytes_per_token"], "hit_rate": found["hit_rate"], "mode": found["mode"]}


def run_llama(judge, model, limit, repack, options):
    args = [judge, "bench", "-m", model, "-p", options.prompt, "-n", options.gen, "-r", 1, "-t", options.threads,
            "--repack", repack, "-o", "json"]
    done, read, peak, kills = run_group(limit, args, model)
    if done.returncode != 0 or kills > 0:
        print(f"  llama-bench failed under {limit} bytes: exit {done.returncode}, {kills} OOM kills, "
              f"{last_words(done.stderr)}")
        return None
    speeds = {}
    for test in json.loads(done.stdout[done.stdout.index("["):]):
        speeds["decode" if test["n_gen"] > 0 else "prefill"] = test["avg_ts"]
    return {"decode": speeds["decode"], "prefill": speeds.get("prefill"), "read": read, "peak": peak}


def run_pairs(judge, model, limit, repack, options):
    pairs = []
    for index in range(options.pairs):
        ours = run_weir(model, limit, options)
        theirs = run_llama(judge, model, limit, repack, options)
        pairs.append((ours, theirs))
        shown = "failed" if theirs is None else f"{theirs['decode']:8.2f}"
        print(f"  pair {index + 1}: weir {ours['decode']:8.2f} tokens/s, llama.cpp {shown}", flush=True)
    return pairs


def report(name, limit, pairs, ceiling_tps):
    """One table; the medians of it."""
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    print(f"\n{name}, limit {size(limit)}, medians of {len(pairs)} pairs")
    print(f"  {'':24}{'weir':>12}{'llama.cpp':>12}{'ratio':>9}")
    for what in ("decode", "prefill"):
        mine, other = median(ours, what), median(theirs, what)
        print(f"  {what + ' tokens/s':24}{show(mine):>12}{show(other):>12}{show(over(mine, other)):>9}")
    for what, label in (("read", "device read, whole run"), ("peak", "peak of the group")):
        print(f"  {label:24}{size(median(ours, what)):>12}{size(median(theirs, what)):>12}")
    token_bytes, hit_rate = median(ours, "token_bytes"), median(ours, "hit_rate")
    mode = ours[0]["mode"]
    print(f"  weir: hit rate {show(hit_rate, '{:.3f}')}, {show(token_bytes, '{:.0f}')} bytes read a token, "
          f"{mode['io']} {'direct' if mode['direct'] else 'buffered'}, {mode['isa']}, {mode['slots']} slots a layer")
    ceiling = ceiling_tps(token_bytes)
    if ceiling:
        print(f"  ceiling: {ceiling:.2f} tokens/s; weir is at {100 * median(ours, 'decode') / ceiling:.0f} % of it")
    return {"weir": median(ours, "decode"), "peer": median(theirs, "decode"), "hit_rate": hit_rate,
            "token_bytes": token_bytes, "ceiling": ceiling}


def print_row(model, resident, streamed, dram, disk):
    def cell(found):
        return (f"{show(found['weir'])} ({show(over(found['weir'], found['peer']))}x llama.cpp, "
                f"{show(over(found['weir'], found['ceiling']) and 100 * found['weir'] / found['ceiling'], '{:.0f}')} "
                f"% of the ceiling)")
    print("\n| model | resident, tokens/s | 25 % ceiling, tokens/s | bytes a token | DRAM | disk |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| {os.path.basename(model)} | {cell(resident)} | {cell(streamed)} | {show(streamed['token_bytes'], '{:.3g}')} "
          f"| {show(dram and dram / 1e9)} GB/s | {show(disk and disk / 1e9)} GB/s |")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a GGUF file (default: the OLMoE shape, made once in build/models)")
    parser.add_argument("--quick", action="store_true", help="a small model and one pair")
    parser.add_argument("--pairs", type=int, help="A B pairs of each kind (3; quick: 1)")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--gen", type=int, default=24)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--share", type=float, default=0.25, help="the ceiling as a share of the file")
    options = parser.parse_args()
    options.pairs = options.pairs or (1 if options.quick else 3)
    return options


def main():
    options = read_options()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    judge = os.path.abspath(peer())
    model = find_model(options)
    file_bytes = os.path.getsize(model)
    plan = weir_json("plan", model, "--ctx", options.prompt + options.gen)
    print(f"{model}: {size(file_bytes)}; {options.threads} threads; page cache dropped by {drop_cache(model)}")
    dram, disk = measure_ceilings(model, options.threads)
    active = active_bytes(model)
    print(f"DRAM {show(dram and dram / 1e9)} GB/s, disk {show(disk and disk / 1e9)} GB/s, "
          f"{active / 1e6:.0f} MB of weights a token")

    room = max(plan["resident_bytes"], 2 * file_bytes + LLAMA_SPARE_BYTES)
    print("resident")
    pairs = run_pairs(judge, model, room, 1, options)
    resident = report("Resident", room, pairs, lambda unused: over(dram, active))

    limit = max(int(file_bytes * options.share), plan["min_bytes"])
    if limit == plan["min_bytes"]:
        print(f"{options.share:.0%} of the file is below weir's smallest ceiling; that one is used")
    print(f"\nstreamed from a ceiling of {100 * limit / file_bytes:.0f} % of the file")
    pairs = run_pairs(judge, model, limit, 0, options)
    streamed = report("Streamed", limit, pairs, lambda token_bytes: over(disk, token_bytes))
    print_row(model, resident, streamed, dram, disk)


main()
