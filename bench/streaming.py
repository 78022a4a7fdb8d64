#!/usr/bin/env python3
"""streaming.py - decode and prefill far below the model's size, beside llama.cpp's mmap and what the disk allows.

For each scenario A B A B ...: A is `weir bench`, B is `llama-bench` on the same file, both in a memory cgroup of
the ceiling's size, the page cache dropped before each, seeded random tokens, so that routing has no habits to
exploit. The disk's own ceiling is measured before and after each of weir's runs by `weir calibrate`: direct reads of
the model's slices with as many bytes in flight as weir keeps; a pair is judged by the mean of the two. Bytes are
weir's and, beside them, /proc/diskstats'.

    bench/streaming.py                           OLMoE Q8_0 and the Qwen3-30B shape Q4_K_M at 3 GiB, Qwen3.6's at 8
    bench/streaming.py --only olmoe --pairs 5
    bench/streaming.py --only qwen3.6            Qwen3.6-35B-A3B's shape, whole, at 8 GiB
    bench/streaming.py --no-peer                 weir and the ceilings alone
    bench/streaming.py --quick                   a small model, one pair: does the scenario work?
"""
import argparse
import json
import os

from measure import (MKMODEL, ROOT, WEIR, active_bytes, check, drop_cache, last_words, make_model, measured_by, median, over,
                     peer, run_group, show, size, skip, weir_json)

QUICK = ["--family", "olmoe", "--layers", 6, "--d-model", 512, "--heads", 8, "--kv-heads", 8, "--d-head", 64,
         "--experts", 32, "--experts-used", 4, "--d-ffn-expert", 512, "--vocab", 2048, "--ctx", 1024, "--type", "Q8_0"]
GIB = 1 << 30
# name, maker's options, ceiling, tokens of weir and of llama.cpp (which takes minutes for few)
SCENARIOS = {
    "olmoe": ("olmoe-q8_0", ["--preset", "olmoe", "--type", "Q8_0"], 3 * GIB, 256, 32),
    "qwen3": ("qwen3-30b-q4_k_m", ["--preset", "qwen3-30b", "--type", "Q4_K_M"], 3 * GIB, 256, 8),
    "qwen3.6": ("qwen3.6-35b-a3b-q4_k_m", [os.path.join(ROOT, "tools", "shapes", "qwen3.6-35b-a3b.shape"), "--type", "Q4_K_M"],
                8 * GIB, 128, 8),
}
QUICK_SCENARIOS = {"quick": ("streaming-quick", QUICK, None, 16, 8)}


def calibrate(model):
    """Bytes a second of direct reads of the model's slices, with weir's bytes in flight."""
    found = weir_json("calibrate", model)["results"][0]
    cells = {cell["in_flight_bytes"]: cell["bytes_per_s"] for cell in found["cells"]}
    return cells[found["io_budget_bytes"]], found


def run_weir(model, limit, prompt, gen, threads, *more):
    before, _ = calibrate(model)
    args = [WEIR, "bench", model, "--mem", limit, "--prompt", prompt, "--gen", gen, "--repeat", 1, "--threads", threads,
            "--json", *more]
    done, read, peak, kills = run_group(limit, args, model)
    check(done.returncode == 0 and kills == 0, f"weir bench: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    after, _ = calibrate(model)
    found = json.loads(done.stdout)
    check(peak <= limit and found["peak_bytes"] <= limit, f"peak {peak} over the ceiling {limit}")
    found.update(disk=(before + after) / 2, device_read=read, group_peak=peak)
    return found


def run_llama(judge, model, limit, prompt, gen, threads):
    args = [judge, "bench", "-m", model, "-p", prompt, "-n", gen, "-r", 1, "-t", threads, "--repack", 0, "--no-warmup",
            "-o", "json"]
    done, read, peak, kills = run_group(limit, args, model)
    if done.returncode != 0 or kills > 0:
        print(f"  llama-bench: exit {done.returncode}, {kills} OOM kills, {last_words(done.stderr)}")
        return None
    return {"tps": json.loads(done.stdout[done.stdout.index("["):])[0]["avg_ts"], "read": read, "peak": peak}


def judge_decode(run, active, dram):
    """One run of weir against its own ceilings."""
    decode = run["device"]["decode"]
    token_s = 1 / run["decode_tps"]
    io_s = run["bytes_per_token"] / run["disk"]
    floor_s = max(io_s, active / dram)
    wasted = (run["lookahead"]["wasted_bytes"] or 0) / (run["decode_tps"] * run["decode_s"])
    missed = run["bytes_per_token"] - wasted
    pending_rate = over(decode["pending_bytes"], decode["pending_s"])
    return {"tps": run["decode_tps"], "token_bytes": run["bytes_per_token"], "hit_rate": run["hit_rate"],
            "disk": run["disk"], "bound_tps": 1 / io_s, "of_bound": io_s / token_s, "over_floor": token_s / floor_s,
            "missed": missed, "over_missed": token_s / max(missed / run["disk"], active / dram),
            "pending": over(pending_rate, run["disk"]), "idle": 1 - decode["busy_s"] / decode["seconds"],
            "read": run["device_read"], "peak": run["group_peak"], "held": (run["expected"]["held"] or {}).get("decode_tps")}


def decode_scenario(judge, model, limit, gen, peer_gen, options, dram):
    active = active_bytes(model)
    ours, theirs = [], []
    for index in range(options.pairs):
        ours.append(judge_decode(run_weir(model, limit, 16, gen, options.threads, *options.weir), active, dram))
        line = f"  pair {index + 1}: weir {ours[-1]['tps']:.2f} tokens/s, {100 * ours[-1]['of_bound']:.0f} % of the disk's bound"
        if judge is not None and index < options.peer_pairs:
            theirs.append(run_llama(judge, model, limit, 0, peer_gen, options.threads))
            line += f", llama.cpp {show(theirs[-1] and theirs[-1]['tps'], '{:.3f}')}"
        print(line, flush=True)
    mine, other = median(ours, "tps"), median(theirs, "tps")
    rows = [
        ("decode, tokens/s", show(mine)), ("llama.cpp with mmap, tokens/s", show(other, "{:.3f}")),
        ("ratio", show(over(mine, other), "{:.1f}x")),
        ("bytes read a token, of them for misses", f"{size(median(ours, 'token_bytes'))}, {size(median(ours, 'missed'))}"),
        ("hit rate", show(median(ours, "hit_rate"), "{:.3f}")),
        ("disk at the same sizes and depth", show(over(median(ours, "disk"), 1e9), "{:.2f} GB/s")),
        ("bound: disk / bytes read, tokens/s", show(median(ours, "bound_tps"))),
        ("share of the bound", show(median(ours, "of_bound"))),
        ("time over max(disk, DRAM) time", show(median(ours, "over_floor"))),
        ("the same, without bytes guessed wrongly", show(median(ours, "over_missed"))),
        ("rate while a demand is pending / disk", show(median(ours, "pending"))),
        ("device idle", show(median(ours, "idle"), "{:.3f}")),
        ("device read, whole run: weir, llama.cpp", f"{size(median(ours, 'read'))}, {size(median(theirs, 'read'))}"),
        ("peak of the group / ceiling", f"{size(max(run['peak'] for run in ours))} / {size(limit)}"),
        ("forecast held", f"{sum(run['held'] is True for run in ours)} of {len(ours)}"),
    ]
    return rows


def prefill_scenario(model, limit, options, dram):
    """512 tokens; resident compute is measured where the model fits into memory."""
    streamed, resident = [], []
    with open("/proc/meminfo") as file:
        room = int(file.read().split("MemAvailable:")[1].split()[0]) * 1024
    fits = weir_json("plan", model, "--ctx", 512)["resident_bytes"] < room - (1 << 30)
    for index in range(options.prefill_pairs):
        streamed.append(run_weir(model, limit, 512, 0, options.threads, *options.weir))
        if fits:
            drop_cache(model)
            resident.append(weir_json("bench", model, "--prompt", 512, "--gen", 0, "--repeat", 1, "--threads", options.threads))
        print(f"  prefill {index + 1}: {streamed[-1]['prefill_s']:.2f} s streamed, "
              f"{show(resident[-1]['prefill_s'] if fits else None)} s resident", flush=True)
    time_s = median(streamed, "prefill_s")
    disk_s = median([{"s": run["device"]["prefill"]["read_bytes"] / run["disk"]} for run in streamed], "s")
    compute_s = median(resident, "prefill_s")
    return [
        ("prefill of 512, seconds", show(time_s)), ("tokens/s", show(over(512, time_s), "{:.1f}")),
        ("reads of an expert a chunk, most", str(max(run["reads_per_expert_max"] for run in streamed))),
        ("bytes read / disk, seconds", show(disk_s)), ("the resident engine's own, seconds", show(compute_s)),
        ("time over the longer of the two", show(time_s / max(disk_s, compute_s or 0.0))),
    ]


def print_rows(title, rows):
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:44}{value:>22}")
    print("\n| figure | measured |\n| --- | --- |")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print(flush=True)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help=f"one scenario: {', '.join(SCENARIOS)}")
    parser.add_argument("--pairs", type=int, default=5, help="runs of weir a scenario")
    parser.add_argument("--peer-pairs", type=int, help="runs of llama.cpp a scenario (as many)")
    parser.add_argument("--prefill-pairs", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--no-prefill", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a small model and one pair")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--weir", nargs=argparse.REMAINDER, default=[], help="the rest: more options for weir")
    options = parser.parse_args()
    if options.quick:
        options.pairs = options.prefill_pairs = 1
    options.peer_pairs = options.pairs if options.peer_pairs is None else options.peer_pairs
    return options


def main():
    options = read_options()
    if not os.access(WEIR, os.X_OK) or not os.access(MKMODEL, os.X_OK):
        skip("weir and tools/mkmodel are not built (make all tools)")
    judge = None if options.no_peer else os.path.abspath(peer())
    scenarios = QUICK_SCENARIOS if options.quick else SCENARIOS
    check(options.only is None or options.only in scenarios, f"--only: wanted one of {', '.join(scenarios)}")
    for key, (name, maker, limit, gen, peer_gen) in scenarios.items():
        if options.only not in (None, key):
            continue
        model = make_model(name, *maker)
        limit = limit or max(os.path.getsize(model) // 3, weir_json("plan", model, "--ctx", 512)["min_bytes"])
        dram = measured_by("dram", options.threads) or weir_json("doctor", model)["dram_bytes_per_s"]
        print(f"{os.path.basename(model)}, {size(os.path.getsize(model))}, ceiling {size(limit)}, {options.threads} threads, "
              f"DRAM {dram / 1e9:.1f} GB/s")
        rows = decode_scenario(judge, model, limit, gen, peer_gen, options, dram)
        print_rows(f"{key}: decode", rows)
        if not options.no_prefill and key != "olmoe":
            print_rows(f"{key}: prefill", prefill_scenario(model, limit, options, dram))


main()
