#!/usr/bin/env python3
"""gpu_ladder.py - experts that come to a GPU and go: what each piece is worth, by the size of the GPU's memory.

All rungs are `weir bench --gpu-experts` on the same file with the same --gpu-mem, one after the other, round by round; medians are
told. The first rungs load experts when a step wants them, as Fate (arXiv:2502.12224) measures itself against; then come its rival,
Fate itself, and weir's ways. With a TRACE experts are those of a recorded text (`weir trace record`), the model has its shape, and a
guess by the next router is right as often as --recall says; without one they are what random weights choose, in which no cache finds
much. Each position of the trace is used once; a prompt of --prompt tokens is measured by itself, its experts by random weights, since it
wants nearly all of them anyway. Everything is in memory before it is measured.

    bench/gpu_ladder.py olmoe --trace TRACE --budgets 1,2            the OLMoE shape, Q4_0
    bench/gpu_ladder.py qwen3 --trace TRACE --budgets 3,8 --pace 12  Qwen3-30B's shape, and the GPU behind a link of 12 GB/s
    bench/gpu_ladder.py demo --gpu sim --rounds 1                    the demo model on a simulated GPU: does it work?
"""
import argparse
import json
import os
import subprocess

from measure import DEMO, WEIR, check, make_model, median, over, show, size, skip, weir_json

GIB = 1 << 30
# Name, words of --gpu-experts, what else.
RUNGS = [
    ("on demand, one by one, LRU", "demand,lru", ["--without", "gpu-overlap"]),
    ("on demand, LRU", "demand,lru", []),
    ("on demand, ARC", "demand,arc", []),
    ("rival: activation paths, LRU", "demand,lru,path", []),
    ("rival: Fate's gate, ARC, shallow first", "demand,fate,gate", []),
    ("on demand, learned score, pool", "demand", []),
    ("the same, and the gate", "demand,gate", []),
    ("experts stay", "stay", []),
    ("where it is sooner", "cheapest", []),
    ("as opening measures", None, []),
]
ON_DEMAND, PATHS, FATE, STAY, CHEAPEST = (RUNGS[at][0] for at in (0, 3, 4, 7, 8))
MODELS = {
    "olmoe": ["--preset", "olmoe", "--type", "Q4_0"],
    "qwen3": ["--preset", "qwen3-30b", "--type", "Q4_K_M"],
    # Fate's own two.
    "qwen1.5": ["tools/shapes/qwen1.5-moe-a2.7b.shape", "--type", "Q4_0"],
    "deepseekmoe": ["tools/shapes/deepseekmoe-16b.shape", "--type", "Q4_0"],
}
BUDGETS = {"demo": "0.02", "olmoe": "1,2", "qwen3": "3,8,12", "qwen1.5": "2,4,6", "deepseekmoe": "2,4,6"}


def read_shape(path):
    found = weir_json("trace", "replay", path, "--policy", "lru", "--fraction", "0.5")
    return {name: found[name] for name in ("n_layer", "n_expert", "n_expert_used", "tokens", "prompt_tokens")}


def make(options):
    """The model's file, in the trace's shape."""
    if options.model == "demo":
        return DEMO
    if options.file:
        return options.file
    more, name = [], options.model
    if options.trace and MODELS[options.model][0] == "--preset":  # the others have a shape that is not theirs to choose
        shape = options.shape
        more = ["--layers", shape["n_layer"], "--experts", shape["n_expert"], "--experts-used", shape["n_expert_used"]]
        name += f"-{shape['n_layer']}x{shape['n_expert']}-{shape['n_expert_used']}"
    return make_model(f"gpu-ladder-{name}", *MODELS[options.model], *more)


def run_bench(model, options, budget, words, more, trace, prompt, gen):
    """One run; None where it does not fit."""
    args = [WEIR, "bench", model, "--gpu", options.gpu, "--gpu-mem", budget, "--prompt", prompt, "--gen", gen,
            "--repeat", 1, "--threads", options.threads, "--buffered", "--json", *more]
    ways = [words] if words else []
    if options.pace:
        ways.append(f"{options.pace:g}GB/s")
    if ways:
        args += ["--gpu-experts", ",".join(ways)]
    if trace:
        args += ["--routing", trace]
        if words and "gate" in words:
            args += ["--routing-recall", options.recall]
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=590)
    if done.returncode != 0 and "--gpu-mem" in done.stderr:
        return None
    check(done.returncode == 0, f"{words}: exit {done.returncode}: {done.stderr[-600:]}")
    found = json.loads(done.stdout)
    check(found["gpu_moves"] is not None, f"nothing is on the GPU: {done.stderr[-300:]}")
    return found


def run_rung(model, options, budget, words, more):
    """What one rung gives; None where it does not fit."""
    prompt, gen = options.prompt, options.gen
    if options.trace:
        prompt = max(options.shape["prompt_tokens"], 1)
        gen = min(gen, options.shape["tokens"] - prompt)
    found = run_bench(model, options, budget, words, more, options.trace, prompt, gen)
    if found is None:
        return None
    alone = run_bench(model, options, budget, words, more, None, options.prompt, 0) if options.trace and options.prompt else found
    decode, prefill = found["gpu_moves"]["decode"], alone["gpu_moves"]["prefill"]
    return {"decode": found["decode_tps"], "prefill": alone["prefill_tps"], "bytes": decode["copied_bytes"] / gen,
            "prompt_bytes": prefill["copied_bytes"], "there": over(decode["hits"], decode["wanted"]),
            "coming": over(decode["hits"] + decode["late"], decode["wanted"]),
            "right": over(decode["ahead_used"], decode["ahead"]), "wait": 1e3 * decode["wait_s"] / gen,
            "on_gpu": over(decode["uses_there"], decode["uses"]), "hash": found["logits_hash"]}


def climb(model, options, budget):
    runs = {name: [] for name, _, _ in RUNGS}
    for turn in range(options.rounds):
        for name, words, more in RUNGS:
            if not options.only or any(word in name for word in options.only.split(",")):
                runs[name].append(run_rung(model, options, budget, words, more))
        print(f"  {size(budget)}: round {turn + 1} of {options.rounds}", flush=True)
    # What is computed on the GPU alone has one result, whatever was there when.
    bits = {run["hash"] for name, words, _ in RUNGS if words and "demand" in words for run in runs[name] if run}
    check(len(bits) <= 1, f"{size(budget)}: the rungs that load on demand have other bits: {bits}")
    return {name: rung for name, rung in runs.items() if any(rung)}


def print_table(options, model, budget, runs):
    link = f", experts cross at {options.pace:g} GB/s: emulated, each byte crosses several times" if options.pace else ""
    routing = f"{os.path.basename(options.trace)}, guesses {options.recall:.0%} right" if options.trace else "random routing"
    print(f"\n{os.path.basename(model)}, {size(os.path.getsize(model))}; --gpu-mem {size(budget)}; {routing}{link}; "
          f"{options.threads} threads; medians of {options.rounds}")
    print("\n| rung | decode, tokens/s | prompt, tokens/s | crossed a token | for the prompt | there | there or coming | guesses used "
          "| waited, ms a token | computed on the GPU |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, rung in runs.items():
        print(f"| {name} | {show(median(rung, 'decode'))} | {show(median(rung, 'prefill'), '{:.0f}')} | {size(median(rung, 'bytes'))} "
              f"| {size(median(rung, 'prompt_bytes'))} | {show(median(rung, 'there'), '{:.3f}')} "
              f"| {show(median(rung, 'coming'), '{:.3f}')} | {show(median(rung, 'right'), '{:.3f}')} "
              f"| {show(median(rung, 'wait'))} | {show(median(rung, 'on_gpu'), '{:.3f}')} |")
    for mine in (FATE, STAY, CHEAPEST):
        for what in ("decode", "prefill"):
            ratios = [f"{show(over(median(runs.get(mine, []), what), median(runs.get(other, []), what)))}x {other}"
                      for other in (ON_DEMAND, PATHS, FATE) if other != mine]
            print(f"{what}, {mine}: " + "; ".join(ratios))
    print(flush=True)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=["demo", *MODELS])
    parser.add_argument("--file", help="a model of that shape that is there already")
    parser.add_argument("--trace", help="recorded routing: docs/formats/trace.md has the formats")
    parser.add_argument("--budgets", default="", help="of the GPU's memory, GiB, apart by commas")
    parser.add_argument("--pace", type=float, default=0, help="GB/s that experts cross at; 0: as fast as they do")
    parser.add_argument("--recall", type=float, default=0.85, help="with --trace: share of guesses by the gate that are right")
    parser.add_argument("--only", help="rungs whose names have one of these words, apart by commas")
    parser.add_argument("--prompt", type=int, default=512, help="tokens; with --trace 0: no prompt by itself")
    parser.add_argument("--gen", type=int, default=128, help="tokens written, above 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu", choices=["auto", "sim"], default="auto")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if options.model == "demo":
        options.prompt, options.gen = min(options.prompt, 16), min(options.gen, 16)
    options.shape = read_shape(options.trace) if options.trace else None
    options.budgets = options.budgets or BUDGETS[options.model]
    return options


def main():
    options = read_options()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    if options.gpu == "auto" and not weir_json("doctor")["gpu"]["usable"]:
        skip("there is no GPU that can be used (weir doctor); --gpu sim tries the logic")
    model = make(options)
    for word in options.budgets.split(","):
        budget = int(float(word) * GIB)
        print_table(options, model, budget, climb(model, options, budget))


main()
