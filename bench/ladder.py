#!/usr/bin/env python3
"""ladder.py - what each piece is worth: load on demand first, then one piece more with each rung.

All rungs are `weir bench` with parts taken away (`--without`, `--policy`, `--lookahead`, `--io-depth`, `--buffered`,
`--chunk`), on the same file under the same ceiling in a memory cgroup of that size, the page cache dropped before each;
the rungs take turns, round by round, and medians are told. Rivals run in the same turns: plain load on demand, and what
Fate (arXiv:2502.12224) measures itself against, prefetching along activation paths.

    demo    the trained demo model, the ids of a real text, experts for a quarter: policies and predictions mean something
    olmoe   the OLMoE shape, Q8_0, 3 GiB, random tokens: large reads

    bench/ladder.py --rounds 5 --svg bench/ladder.svg       both
    bench/ladder.py --only demo
"""
import argparse
import html
import json
import os
import tempfile

from measure import DEMO, HELDOUT, WEIR, check, make_model, median, over, run_group, show, size, skip, weir_json

ONE_BY_ONE = ["--chunk", 1]
NO_LOOKAHEAD = ["--lookahead", "off", *ONE_BY_ONE]
SERIAL = ["--without", "hits-first,gate-up-first", *NO_LOOKAHEAD]
NO_CACHE = ["--without", "cache,hits-first,gate-up-first", *NO_LOOKAHEAD]
# Each rung has all that the rungs before it have.
RUNGS = [
    ("load on demand", [*NO_CACHE, "--io-depth", 1, "--buffered"]),
    ("many reads in flight", [*NO_CACHE, "--buffered"]),
    ("direct reads", NO_CACHE),
    ("cache: LRU", [*SERIAL, "--policy", "lru"]),
    ("cache: ARC", [*SERIAL, "--policy", "arc"]),
    ("cache: decayed counts", [*SERIAL, "--policy", "decayed"]),
    ("cache: learned score, pool", [*SERIAL, "--policy", "learned"]),
    ("hits first", ["--without", "gate-up-first", *NO_LOOKAHEAD]),
    ("gate and up first", NO_LOOKAHEAD),
    ("look-ahead into idle time", ["--lookahead", "on", *ONE_BY_ONE]),
    ("expert-major prefill", ["--lookahead", "on"]),
]
RIVALS = [
    ("rival: activation paths, LRU", ["--policy", "lru", "--lookahead", "on", "--lookahead-by", "path", "--without",
                                      "hits-first,gate-up-first", *ONE_BY_ONE]),
    ("rival: Fate's gate and cache", ["--policy", "fate", "--lookahead", "on", "--lookahead-by", "gate", "--without",
                                      "gate-up-first"]),
]
ON_DEMAND, PATHS, ALL = "direct reads", RIVALS[0][0], "expert-major prefill"
FATE = {"decode": (4.1, 2.2), "prefill": (4.5, 1.9)}  # over load on demand, over activation paths


class Demo:
    name = "demo"
    title = "the demo model, real text, slots for a quarter of the experts"

    def __init__(self, threads):
        with open(HELDOUT, encoding="utf-8") as file:
            text = file.read()[2000:6000]
        self.model = DEMO
        self.ids = tempfile.NamedTemporaryFile("w", prefix="weir-ladder-", suffix=".ids")
        self.ids.write(" ".join(map(str, weir_json("tokenize", DEMO, "-p", text)["ids"])))
        self.ids.flush()
        self.shape = ["--expert-share", 0.25, "--ctx", 512, "--threads", threads]
        # The longest chunk's scratch is in it, so that every rung has the same slots.
        self.limit = weir_json("plan", DEMO, *self.shape, "--chunk", 128)["min_bytes"]
        self.args = ["bench", DEMO, "--tokens", self.ids.name, "--prompt", 100, "--gen", 256, "--repeat", 1, *self.shape]


class Olmoe:
    name = "olmoe"
    title = "the OLMoE shape, Q8_0, random tokens, ceiling of 3 GiB"

    def __init__(self, threads):
        self.model = make_model("olmoe-q8_0", "--preset", "olmoe", "--type", "Q8_0")
        self.limit = 3 << 30
        self.args = ["bench", self.model, "--prompt", 16, "--gen", 24, "--repeat", 1, "--threads", threads]


def run_rung(load, options):
    done, read, peak, kills = run_group(load.limit, [WEIR, *load.args, "--mem", load.limit, *options, "--json"], load.model)
    check(done.returncode == 0 and kills == 0, f"{options}: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    found = json.loads(done.stdout)
    check(not found["guard"]["shrinks"], f"memory ran short while measuring: {found['guard']['reason']}")
    decode = found["device"]["decode"]
    return {"decode": found["decode_tps"], "prefill": found["prefill_tps"], "bytes": found["bytes_per_token"],
            "hit": found["hit_rate"], "stall": 1e3 * decode["wait_s"] / (found["tokens"] or 1), "device": read, "peak": peak}


def climb(load, rounds):
    """{rung: [a run of each round]}, the rungs taking turns."""
    runs = {name: [] for name, _ in RUNGS + RIVALS}
    for turn in range(rounds):
        for name, options in RUNGS + RIVALS:
            runs[name].append(run_rung(load, options))
        print(f"  {load.name}: round {turn + 1} of {rounds}", flush=True)
    return runs


def print_table(load, runs):
    print(f"\n{load.title} ({size(load.limit)}); medians of {len(runs[ALL])} interleaved rounds\n")
    print("| rung | decode, tokens/s | prefill, tokens/s | bytes a token | stall, ms a token | hit rate |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, rung in runs.items():
        print(f"| {name} | {show(median(rung, 'decode'))} | {show(median(rung, 'prefill'))} | {size(median(rung, 'bytes'))} "
              f"| {show(median(rung, 'stall'))} | {show(median(rung, 'hit'), '{:.3f}')} |")
    print()
    for what, (on_demand, paths) in FATE.items():
        mine = median(runs[ALL], what)
        print(f"{what}: {show(over(mine, median(runs[ON_DEMAND], what)), '{:.1f}')}x load on demand (Fate reports {on_demand}x), "
              f"{show(over(mine, median(runs[PATHS], what)), '{:.1f}')}x activation paths (Fate reports {paths}x)")
    print(flush=True)


# ---- the picture -------------------------------------------------------------------------------

ROW, LEFT, BAR, TOP, WIDTH = 24, 230, 420, 64, 1010


def draw(loads):
    """One SVG: a bar a rung, as long as its decode speed; the rest in words beside it."""
    rows = sum(len(runs) + 3 for _, runs in loads)
    height = TOP + rows * ROW
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
           "<style>text{font:13px sans-serif;fill:#222}.t{font-size:17px}.n{fill:#666}</style>",
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
           '<text x="16" y="32" class="t">What each piece is worth: decode, tokens per second</text>']
    y = TOP
    for load, runs in loads:
        most = max(median(rung, "decode") for rung in runs.values())
        out.append(f'<text x="16" y="{y + 14}">{html.escape(load.title)}</text>')
        y += ROW + 4
        for name, rung in runs.items():
            speed = median(rung, "decode")
            low, high = min(run["decode"] for run in rung), max(run["decode"] for run in rung)
            color = "#b8b8b8" if name.startswith("rival") else "#2a78d6"
            scale = BAR / most
            out.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>')
            out.append(f'<rect x="{LEFT}" y="{y + 2}" width="{max(speed * scale, 1):.1f}" height="{ROW - 8}" fill="{color}">'
                       f"<title>{html.escape(name)}: {low:.2f} to {high:.2f} tokens/s</title></rect>")
            out.append(f'<path d="M{LEFT + low * scale:.1f} {y + 10}H{min(LEFT + high * scale, LEFT + BAR):.1f}" stroke="#222"/>')
            out.append(f'<text x="{LEFT + BAR + 12}" y="{y + 13}" class="n">{speed:.2f} tokens/s, {size(median(rung, "bytes"))} '
                       f'a token, {median(rung, "stall"):.2f} ms stall, {100 * median(rung, "hit"):.0f} % hits</text>')
            y += ROW
        y += 2 * ROW - 4
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=["demo", "olmoe"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--svg", help="draw the ladder into this file")
    options = parser.parse_args()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    loads = []
    for kind in (Demo, Olmoe):
        if options.only in (None, kind.name):
            load = kind(options.threads)
            loads.append((load, climb(load, options.rounds)))
            print_table(*loads[-1])
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(draw(loads))


main()
