#!/usr/bin/env python3
"""plan.py - weir calibrate, the forecast of weir plan, and whether runs say that it held.

Calibrations that are written here say what speeds there are, so what is forecast from them is known.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, LONG, WEIR, check, make_model, remove, scratch_folder, weir_json

FIGURES = ("hit_rate", "decode_tps", "prefill_tps")
BANDS = ("hit_rate_band", "decode_tps", "prefill_tps")
SHARE = ["--expert-share", 0.3]
# Of a machine that nothing disturbs.
STEADY = {"read_low_bytes_per_s": 5e8, "read_high_bytes_per_s": 1.5e9, "burst_low_bytes_per_s": 4e8, "burst_high_bytes_per_s": 1.2e9,
          "dram_bytes_per_s": 1e10, "both_read_bytes_per_s": 5e8, "both_dram_bytes_per_s": 5e9, "decode_bytes_per_s": 3e9,
          "prefill_ops_per_s": 5e10}


def weir(*args, ok=0):
    done = subprocess.run([WEIR, *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    check(done.returncode == ok, f"weir {args}: exit {done.returncode}, wanted {ok}: {done.stderr}")
    return done


def plan_json(*args, model=DEMO):
    done = weir("plan", model, *args, "--json")
    return json.loads(done.stdout), done.stderr


def cache_files(cache):
    folder = os.path.join(cache, "weir")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []


def in_cache(cache):
    os.environ["XDG_CACHE_HOME"] = cache


def check_band(what, band):
    check(isinstance(band, list) and len(band) == 2 and 0 < band[0] <= band[1], f"{what} is no band: {band}")


def calibrate(cache):
    """A calibration of the demo model; its only file."""
    in_cache(cache)
    found = json.loads(weir("calibrate", DEMO, "--json").stdout)
    check(found["path"] == DEMO and len(found["results"]) == 1, f"calibrate says {found}")
    result = found["results"][0]
    files = cache_files(cache)
    check(files == [result["kept"]], f"kept in {result['kept']}, but the folder holds {files}")
    check(result["slice_bytes"] == 13824 and result["type"] == "Q4_0", f"slices and type: {result}")
    in_flight = [cell["in_flight_bytes"] for cell in result["cells"]]
    check(result["io_budget_bytes"] in in_flight, f"budget {result['io_budget_bytes']} is none of {in_flight}")
    whole = [cell for cell in result["cells"] if cell["in_flight_bytes"] >= result["burst_bytes"]]
    best = max(cell["bytes_per_s"] for cell in whole)
    least = min(cell["in_flight_bytes"] for cell in whole if cell["bytes_per_s"] >= 0.95 * best)
    check(result["io_budget_bytes"] == least, f"budget {result['io_budget_bytes']}, 95 % are reached at {least}")
    for name in ("read", "burst"):
        check(0 < result[f"{name}_low_bytes_per_s"] <= result[f"{name}_high_bytes_per_s"], f"{name}: {result}")
    kept = json.load(open(files[0]))
    check(all(kept[name] == result[name] for name in result if name != "kept"), "the file is not what was said")
    if LONG:
        table = weir("calibrate", DEMO).stdout
        check(files[0] in table, f"the table says {table}")
        check(cache_files(cache) == files, "a second calibration must replace the first")
    return files[0]


def write(path, found):
    with open(path, "w") as file:
        json.dump(found, file)


def check_plan(path):
    """A plan uses what was kept, its bands rise with the slots, and at full residency all is hit."""
    kept = json.load(open(path))
    before = None
    for share in (0.2, 0.4, 0.8, 1.0):
        plan, said = plan_json("--expert-share", share)
        check(said == "", f"a plan with a calibration says {said}")
        check(plan["calibration"] == {"path": path, "date": kept["date"], "io_budget_bytes": kept["io_budget_bytes"]},
              f"the plan's calibration: {plan['calibration']}")
        check(plan["io_budget_bytes"] == kept["io_budget_bytes"], f"the plan's budget: {plan['io_budget_bytes']}")
        expected = plan["expected"]
        for name in BANDS:
            check_band(name, expected[name])
            check(before is None or expected[name] >= before[name] or name == "decode_tps" and
                  expected[name][0] >= before[name][0], f"{name} falls from {before and before[name]} to {expected[name]}")
        check(expected["hit_rate_band"][0] <= expected["hit_rate"] <= expected["hit_rate_band"][1], f"{expected}")
        before = expected
    check(before["hit_rate_band"] == [1, 1] and before["decode_bytes_per_token"] == [0, 0], f"resident: {before}")
    text = weir("plan", DEMO, *SHARE).stdout
    for word in ("hit rate", "decode", "prefill", "GB/s", kept["date"][:10], "one token works with"):
        check(word in text, f"the plan lacks {word!r}: {text}")


def check_run(path, cache):
    """Runs compare; a forecast that cannot hold is said to have failed, one of all speeds holds."""
    kept = json.load(open(path))
    run = ["run", DEMO, "-p", "The old man " * 20, "-n", 100, "--ignore-eos", "--temp", 0, *SHARE]
    wide = dict(kept, read_low_bytes_per_s=1e3, burst_low_bytes_per_s=1e3, read_high_bytes_per_s=1e14)
    write(path, dict(wide, decode_bytes_per_s=1e14, prefill_ops_per_s=1e17))
    done = weir_json(*run)
    expected, held = done["expected"], done["expected"]["held"]
    check(done["mode"]["calibration"]["path"] == path, f"the mode's calibration: {done['mode']}")
    for name in FIGURES:
        band = expected["hit_rate_band" if name == "hit_rate" else name]
        check(held[name] == (band[0] <= done[name] <= band[1]), f"{name} {done[name]}, {band}, held {held[name]}")
    check(held["decode_tps"] and held["prefill_tps"], f"a band of all speeds does not hold: {expected}, {done}")

    slow = dict(kept, read_low_bytes_per_s=1, read_high_bytes_per_s=1, burst_low_bytes_per_s=1, burst_high_bytes_per_s=1)
    write(path, slow)
    done = weir_json(*run)
    check(done["expected"]["held"]["decode_tps"] is False, f"a disk of 1 byte a second must not hold: {done['expected']}")
    said = weir(*run).stderr
    check("\nforecast " in said and "decode" in said.split("\nforecast ")[1] and " and was " in said and "calibrated " + kept["date"][:10] in said,
          f"what did not hold must be said: {said}")
    bench = weir_json("bench", DEMO, "--prompt", 64, "--gen", 40, "--repeat", 1, *SHARE)
    check(bench["expected"]["held"]["decode_tps"] is False, f"bench: {bench['expected']}")
    few = weir_json("run", DEMO, "-p", "The", "-n", 4, "--temp", 0, *SHARE)["expected"]["held"]
    check(few == dict.fromkeys(FIGURES), f"a few tokens prove nothing: {few}")
    write(path, kept)
    other = weir_json(*run, "--threads", 1 if kept["threads"] != 1 else 2)["expected"]
    check(other["decode_tps"] is None and other["held"]["decode_tps"] is None and other["hit_rate"] is not None,
          f"other threads than were measured: {other}")
    in_cache(os.path.join(cache, "nothing"))
    none = weir_json(*run)
    check(none["expected"]["prefill_tps"] is None and none["mode"]["calibration"] is None, f"nothing kept: {none}")
    in_cache(cache)


def check_past(path, cache):
    """What earlier runs of the model measured narrows the forecast to about their speed; other threads' runs do not."""
    with open(path) as file:
        kept = json.load(file)
    check(set(STEADY) <= set(kept), f"other speeds than {list(STEADY)}: {kept}")
    write(path, dict(kept, **STEADY))
    name = next(name for name in cache_files(cache) if "/runs-" in name)
    with open(name) as file:
        title, *lines = file.read().splitlines(keepends=True)
    threads, isa = lines[0].split()[1:3]
    plan, _ = plan_json(*SHARE)
    wide = plan["expected"]["decode_tps"]
    tps = wide[1] * 0.9  # not the middle

    def likely(*speeds, threads=threads, share=SHARE):
        with open(name, "w") as file:
            file.write(title + "".join(f"{plan['slots_total']} {threads} {isa} {speed}\n" for speed in speeds))
        return plan_json(*share)[0]["expected"]["decode_likely"]

    alone, four, spread = likely(tps), likely(*[tps] * 4), likely(tps, tps, tps / 2, tps * 2)
    width = lambda found: found["band"][1] / found["tps"]
    check(four["runs"] == 4 and abs(four["tps"] / tps - 1) < 0.01 and width(four) < 1.1, f"{four}, wanted about {tps}")
    check(width(four) < width(alone) < wide[1] / alone["tps"] * 1.01 or width(alone) < 1.2, f"{alone}, {four}, {wide}")
    check(width(spread) > width(four), f"runs that differ say less: {spread}, {four}")
    words = weir("plan", DEMO, *SHARE).stdout.splitlines()
    check("4 earlier runs were measured here" in words[1] and f"about {four['tps']:.0f} " in "".join(words[0]) or tps < 3, f"{words[:2]}")
    far = likely(*[tps] * 4, share=["--expert-share", 0.9])
    check(far["runs"] == 0 or width(far) > width(four), f"slots far from those of the runs: {far}")
    other = likely(*[tps] * 4, threads=int(threads) + 1)
    check(other["runs"] == 0, f"runs with other threads: {other}")
    for broken in ("", "x\n", title + "1 2\n", title + f"3 {threads} {isa} nan\n", title + "9" * 500):
        with open(name, "w") as file:
            file.write(broken)
        check(plan_json(*SHARE)[0]["expected"]["decode_likely"]["runs"] == 0, f"of {broken!r}")
    likely(*[tps] * 16)
    run = ["run", DEMO, "-p", "The", "-n", 40, "--ignore-eos", "--temp", 0, *SHARE]
    weir(*run, "--no-warm-up")
    check(open(name).read().count(f" {tps}") == 16, "--no-warm-up keeps nothing")
    weir(*run)
    lines = open(name).read().splitlines()
    check(len(lines) == 17 and str(tps) not in lines[-1], f"the oldest run makes room: {lines}")
    os.remove(name)
    write(path, kept)


def check_broken(path):
    """Whatever the file holds: a warning that names it, and a plan that measures for itself."""
    with open(path) as file:
        good = file.read()
    kept = json.loads(good)
    broken = {
        "nothing": "", "no JSON": "weir", "cut": good[:200], "a list": "[1, 2]", "a number": "3", "NUL": "\0" * 100,
        "deep": "[" * 60000, "long": " " * 70000 + good, "twice": '{"format": 1, ' + good[1:], "other": '{"version": 1}',
        "not UTF-8": good.replace("ext4", "\udcff") if "ext4" in good else "\udcff",
        "version": json.dumps(dict(kept, version=2)),
    }
    for name, value in {"device_id": kept["device_id"] + 1, "slice_bytes": 1, "threads": -2, "isa": "x" * 40, "io": 5,
                        "read_low_bytes_per_s": kept["read_high_bytes_per_s"] * 2, "burst_low_bytes_per_s": -1.0,
                        "dram_bytes_per_s": "fast", "io_budget_bytes": 1 << 40, "decode_bytes_per_s": 0, "direct": 1,
                        "cells": [{}] * 9, "measured_s": None, "date": "d" * 60}.items():
        broken[name] = json.dumps(dict(kept, **{name: value}))
    missing = dict(kept)
    del missing["both_read_bytes_per_s"]
    broken["missing"] = json.dumps(missing)
    for name, text in broken.items():
        with open(path, "w", errors="surrogateescape") as file:
            file.write(text)
        done = weir("run", DEMO, "-p", "The", "-n", 2, "--temp", 0, "--json")
        check(path in done.stderr and "left out" in done.stderr, f"{name}: no warning that names the file: {done.stderr!r}")
        check(json.loads(done.stdout)["mode"]["calibration"] is None, f"{name}: it was used")
    os.unlink(path)
    os.mkdir(path)
    check(path in weir("run", DEMO, "-p", "The", "-n", 2, "--temp", 0, "--json").stderr, "a folder is no calibration")
    plan, said = plan_json(*SHARE)
    check(path in said and plan["calibration"]["path"] is None, f"a plan beside a broken file: {said} {plan['calibration']}")
    check_band("decode_tps", plan["expected"]["decode_tps"])
    os.rmdir(path)
    with open(path, "w") as file:
        file.write(good)


def check_unwritable(folder):
    """A folder that cannot be: a sentence, the measurement, and exit 1."""
    blocked = os.path.join(folder, "file")
    open(blocked, "w").close()
    in_cache(blocked)
    done = weir("calibrate", DEMO, ok=1)
    check(blocked in done.stderr and "not kept" in done.stderr, f"an unwritable folder: {done.stderr}")
    check("in flight" in done.stdout and "GB/s" in done.stdout, f"the table says {done.stdout}")
    if LONG:
        done = weir("calibrate", DEMO, "--json", ok=1)
        check(json.loads(done.stdout)["results"][0]["kept"] is None, "kept nowhere, but a name is given")
    plan, said = plan_json(*SHARE)
    check_band("decode_tps", plan["expected"]["decode_tps"])
    check(plan["calibration"]["path"] is None and plan["calibration"]["date"] is None, f"{plan['calibration']}")
    check(os.path.getsize(blocked) == 0, "a plan must write nothing")
    check("measuring" in weir("plan", DEMO).stdout, "a plan must say that it measured")


def check_other_files(folder, cache):
    """A file that is no model has two sizes; one that is too small, or missing, is refused in words."""
    in_cache(cache)
    path = os.path.join(folder, "plain")
    with open(path, "wb") as file:
        for _ in range(20):
            file.write(os.urandom(1 << 20))
    found = json.loads(weir("calibrate", path, "--json").stdout)["results"]
    check([result["slice_bytes"] for result in found] == [128 << 10, 1 << 20], f"sizes: {found}")
    check(all(result["type"] is None and result["decode_bytes_per_s"] is None for result in found), f"no model: {found}")
    os.truncate(path, 1 << 20)
    said = weir("calibrate", path, ok=1).stderr
    check(str(1 << 20) in said and path in said, f"a small file: {said}")
    check("none" in weir("calibrate", os.path.join(folder, "none"), ok=1).stderr, "a missing file must be named")


def check_routing(folder):
    """A trace of the model gives its own hit rate; a trace of another one is refused."""
    trace = os.path.join(folder, "trace")
    weir("trace", "record", DEMO, "-p", "The old man", "-n", 60, "--ignore-eos", "--temp", 0, "-o", trace)
    plan, _ = plan_json("--slots", 10, "--routing", trace)
    replay = weir_json("trace", "replay", trace, "--policy", "learned", "--fraction", 10.01 / 32)["results"][0]
    expected = plan["expected"]
    check(plan["slots"] == 10 and expected["hit_rate"] == replay["hit_rate"], f"{expected}, replay {replay}")
    check(expected["hit_rate_band"] == [replay["hit_rate"]] * 2, f"{expected['hit_rate_band']}")
    other = make_model("plan-other", "--preset", "tiny", "--seed", 3)
    said = weir("plan", other, "--routing", trace, ok=1).stderr
    check(trace in said and "12 layers" in said and "3 layers" in said, f"a trace of another model: {said}")


def check_nulls(folder):
    """What does not apply is null: no experts, no room."""
    in_cache(os.path.join(folder, "fresh"))
    dense = make_model("plan-dense", "--preset", "tiny", "--family", "qwen3", "--layers", 2, "--d-ffn", 512)
    plan, said = plan_json(model=dense)
    check(plan["expected"]["hit_rate"] is None and plan["expected"]["hit_rate_band"] is None, f"dense: {plan['expected']}")
    least, _ = plan_json()
    done = weir("plan", DEMO, "--mem", least["min_bytes"] - 1, "--json", ok=1)
    found = json.loads(done.stdout)
    check(found["calibration"] is None and all(found["expected"][name] is None for name in FIGURES + BANDS),
          f"a plan that does not fit forecasts {found['expected']}")
    held = weir_json("eval", DEMO, "--text", os.path.join(os.path.dirname(DEMO), "heldout.txt"), "--chunks", 1,
                     "--ctx", 64)["expected"]["held"]
    check(held == dict.fromkeys(FIGURES), f"eval computes more than a prompt: {held}")


def main():
    folder = scratch_folder()
    cache = os.path.join(folder, "a", "cache")
    try:
        path = calibrate(cache)
        check_plan(path)
        check_run(path, cache)
        check_past(path, cache)
        check_broken(path)
        check_routing(folder)
        check_other_files(folder, cache)
        check_unwritable(folder)
        check_nulls(folder)
    finally:
        remove(folder)
    print("calibrations, forecasts and what became of them")


main()
