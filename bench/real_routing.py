#!/usr/bin/env python3
"""real_routing.py - what the routing of a real text does to cache and disk, at a real model's full size.

A model of random weights chooses experts at random, which no cache can do much about. Here it has the shape of the
model that a trace was recorded from, and uses the trace's experts in place of its router's (`weir bench --routing`), in
a memory cgroup of the ceiling's size, page cache dropped. Each position of the trace is used once, so nothing is found
because it came before in the same trace. What look-ahead would have guessed is not in a trace: it is off, or told a
share of what comes next (--recall), which is what it finds in a model whose router it asks (bench/recall measures it).

    bench/real_routing.py TRACE                            Qwen3-30B-A3B's shape, Q4_K_M, at 3, 5 and 8 GiB
    bench/real_routing.py TRACE --ceilings 4 --runs 5
    bench/real_routing.py TRACE --quick                    a small model of as many layers and experts: does it work?
"""
import argparse
import json
import os
import shutil

from measure import MKMODEL, MODELS, WEIR, check, make_model, median, over, run_group, show, size, skip, weir_json

GIB = 1 << 30
SHAPE = ["--preset", "qwen3-30b", "--type", "Q4_K_M"]
SMALL = ["--d-model", 256, "--heads", 4, "--kv-heads", 2, "--d-head", 64, "--d-ffn-expert", 256, "--vocab", 2048,
         "--ctx", 2048]
FILE_BYTES = 19 * GIB  # what the full shape takes, and some room


def read_shape(path):
    """Layers, experts, experts of a token, tokens of the prompt and all tokens: `weir trace replay` counts them."""
    found = weir_json("trace", "replay", path, "--policy", "lru", "--fraction", "0.5")
    return {name: found[name] for name in ("n_layer", "n_expert", "n_expert_used", "tokens", "prompt_tokens")}


def make(shape, quick):
    """The shape's file, if there is room for it."""
    counts = ["--layers", shape["n_layer"], "--experts", shape["n_expert"], "--experts-used", shape["n_expert_used"]]
    name = f"real-routing-{'small-' if quick else ''}{shape['n_layer']}x{shape['n_expert']}-{shape['n_expert_used']}"
    os.makedirs(MODELS, exist_ok=True)
    free = shutil.disk_usage(MODELS).free
    if not quick and not os.path.exists(os.path.join(MODELS, name + ".gguf")) and free < FILE_BYTES + 5 * GIB:
        skip(f"{MODELS}: wanted {size(FILE_BYTES + 5 * GIB)} free, found {size(free)}")
    return make_model(name, *SHAPE, *(SMALL if quick else []), *counts)


def run(model, limit, prompt, gen, threads, *more):
    args = [WEIR, "bench", model, "--mem", limit, "--prompt", prompt, "--gen", gen, "--repeat", 1, "--threads", threads,
            "--json", *more]
    done, read, peak, kills = run_group(limit, args, model)
    check(done.returncode == 0 and kills == 0, f"weir bench: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    check(peak <= limit, f"peak {peak} over the ceiling {limit}")
    found = json.loads(done.stdout)
    found["device_read"] = read
    return found


def measure(model, limit, shape, options):
    """Rows of medians: (what, decode, bytes a token, hit rate, prompt, bytes a prompt token)."""
    prompt, total = shape["prompt_tokens"], shape["tokens"]
    trace = ["--routing", options.trace]
    ways = [("the trace, look-ahead off", [*trace])]
    ways += [(f"the trace, {100 * recall:.0f} % guessed", [*trace, "--routing-recall", recall]) for recall in options.recall]
    ways += [("random routing, own look-ahead", [])]
    found = {what: ([], []) for what, _ in ways}
    for _ in range(options.runs):
        for what, more in ways:  # in turns: what the disk does in between, it does to all
            found[what][0].append(run(model, limit, max(prompt, 1), total - max(prompt, 1), options.threads, *more))
            found[what][1].append(run(model, limit, total, 0, options.threads, *more))
    rows = []
    for what, _ in ways:
        decodes, prompts = found[what]
        for row in prompts:
            row["prompt_bytes"] = over(row["bytes_read"], total)
        rows.append((what, show(median(decodes, "decode_tps")), size(median(decodes, "bytes_per_token")),
                     show(median(decodes, "hit_rate"), "{:.3f}"), show(median(prompts, "prefill_tps")),
                     size(median(prompts, "prompt_bytes"))))
    return rows


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trace", help="recorded routing: docs/formats/trace.md has the formats")
    parser.add_argument("--ceilings", default="3,5,8", help="GiB, apart by commas")
    parser.add_argument("--recall", default="0.8", help="shares that look-ahead is told, apart by commas; empty: none")
    parser.add_argument("--runs", type=int, default=3, help="of each; the median is told")
    parser.add_argument("--quick", action="store_true", help="a small model, one run, a third of its size")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    options.recall = [float(word) for word in options.recall.split(",") if word]
    return options


def main():
    options = read_options()
    if not os.access(WEIR, os.X_OK) or not os.access(MKMODEL, os.X_OK):
        skip("weir and tools/mkmodel are not built (make all tools)")
    shape = read_shape(options.trace)
    model = make(shape, options.quick)
    bytes_all = os.path.getsize(model)
    limits = [int(float(word) * GIB) for word in options.ceilings.split(",")]
    if options.quick:
        options.runs, limits = 1, [max(bytes_all // 2, 64 << 20)]
    print(f"{os.path.basename(model)}, {size(bytes_all)}; {os.path.basename(options.trace)}: {shape['tokens']} tokens, "
          f"{shape['n_expert_used']} of {shape['n_expert']} experts in {shape['n_layer']} layers; {options.threads} threads, "
          f"median of {options.runs}")
    print(f"decode: {shape['tokens'] - max(shape['prompt_tokens'], 1)} tokens after {max(shape['prompt_tokens'], 1)}, from a "
          f"cold cache; prompt: all {shape['tokens']} together")
    print("\n| ceiling | routing | decode, tokens/s | read a token | hit rate | prompt, tokens/s | read a prompt token |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for limit in limits:
        for row in measure(model, limit, shape, options):
            print(f"| {size(limit)} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
