#!/usr/bin/env python3
"""gpu_peer.py - weir beside llama.cpp on a machine with a GPU, in turns, at several sizes of device memory.

At each size weir gets --gpu-mem, and llama.cpp as many layers' experts on the GPU as fit beside all other weights (-ncmoe),
which is what its users set by hand. Both answer a prompt of random tokens and go on for as many; medians of the rounds.

    bench/gpu_peer.py MODEL.gguf --peer PROGRAM               PROGRAM bench ARGS runs llama-bench
    bench/gpu_peer.py MODEL.gguf --memory all 12 8 3          GiB of the device; all: whatever it takes
    bench/gpu_peer.py MODEL.gguf                              weir alone
"""
import argparse
import json
import math
import os
import subprocess

from measure import WEIR, check, median, over, show, weir_json

GIB = 1 << 30
PEER_SPARE_BYTES = 3 * GIB // 4  # of the device for llama.cpp's keys, values and scratch


def run_weir(options, memory):
    args = [WEIR, "bench", options.model, "--gpu", options.gpu, "--prompt", options.prompt, "--gen", options.gen, "--repeat", 1,
            "--threads", options.threads, "--json"]
    if memory is not None:
        args += ["--gpu-mem", int(memory * GIB)]
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True)
    check(done.returncode == 0, f"weir bench: exit {done.returncode}: {done.stderr}")
    found = json.loads(done.stdout)
    return {"decode": found["decode_tps"], "prompt": found["prefill_tps"], "hit_rate": found["hit_rate"]}


def peer_layers(options, memory):
    """How many layers must leave their experts to the CPU."""
    if memory is None:
        return 0
    info = weir_json("info", options.model)
    over_bytes = info["trunk_bytes"] + info["expert_bytes"] + PEER_SPARE_BYTES - memory * GIB
    return max(0, min(info["n_layer"], math.ceil(over_bytes / (info["expert_bytes"] / info["n_moe_layer"]))))


def run_peer(options, memory):
    layers = peer_layers(options, memory)
    args = [options.peer, "bench", "-m", options.model, "-ngl", 99, "-ncmoe", layers, "-p", options.prompt, "-n", options.gen,
            "-r", 1, "-t", options.threads, "-o", "json"]
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True)
    check(done.returncode == 0, f"llama-bench: exit {done.returncode}: {done.stderr[-500:]}")
    rows = json.loads(done.stdout)
    speeds = {"prompt" if row["n_prompt"] else "decode": row["avg_ts"] for row in rows}
    return {**speeds, "layers": layers}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--peer", help="program that runs llama.cpp's tools by name")
    parser.add_argument("--memory", nargs="*", default=["all", "12", "8", "3"], help="GiB of device memory (all 12 8 3)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--gpu", default="auto", help="as weir's option (auto)")
    options = parser.parse_args()
    print("| device memory | decode, tokens/s | llama.cpp | ratio | prompt, tokens/s | llama.cpp | ratio | its layers with experts on "
          "the CPU |\n| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for word in options.memory:
        memory = None if word == "all" else float(word)
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(run_weir(options, memory))
            if options.peer:
                theirs.append(run_peer(options, memory))
        cells = []
        for name in ("decode", "prompt"):
            mine, other = median(ours, name), median(theirs, name)
            cells += [show(mine, "{:.1f}"), show(other, "{:.1f}"), show(over(mine, other), "{:.2f}x")]
        layers = str(theirs[0]["layers"]) if theirs else "-"
        print(f"| {word if memory is None else word + ' GiB'} | " + " | ".join(cells) + f" | {layers} |", flush=True)


if __name__ == "__main__":
    main()
