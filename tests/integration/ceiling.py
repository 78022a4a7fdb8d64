#!/usr/bin/env python3
"""ceiling.py - the ceiling holds: in a cgroup of the same size, from the smallest that the plan names.

For the demo model and for a synthetic model many times larger than its ceiling: no OOM kill, the
group's peak (page cache and kernel memory included) and weir's own peak at most the ceiling; one byte
less than the smallest ceiling, and one slot less, are refused before loading.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import LONG, DEMO, WEIR, MemoryGroup, ceilings, check, make_model, remove, scratch_folder, weir_json
import json

IDS = " ".join(str(17 + 31 * index % 200) for index in range(40))


def run_in_group(model, ceiling, args):
    """What weir says under a ceiling in a group of that size, and its statistics."""
    with MemoryGroup(ceiling) as group:
        done = group.run([WEIR, *args, "--mem", ceiling, "--json"])
        peak, kills = group.peak_bytes(), group.oom_kills()
    name = os.path.basename(model)
    check(done.returncode == 0 and kills == 0,
          f"{name} {args[0]} at {ceiling}: exit {done.returncode}, {kills} OOM kills: {done.stderr}")
    stats = json.loads(done.stdout)
    print(f"  {name:18} {args[0]:4} ceiling {ceiling:>10}, group peak {peak:>10}, weir peak {stats['peak_bytes']:>10}, "
          f"slots {stats['mode']['slots']:>2}  {' '.join(map(str, args[len(args) - 2:]))}")
    check(peak <= ceiling, f"group peak {peak} over the ceiling {ceiling}")
    check(stats["peak_bytes"] <= ceiling, f"weir's peak {stats['peak_bytes']} over the ceiling {ceiling}")
    check(stats["budget_bytes"] == ceiling, f"budget_bytes {stats['budget_bytes']} is not {ceiling}")
    return stats


def run_under(model, ceiling, extra):
    return run_in_group(model, ceiling, ["run", model, "--ids", IDS, "-n", 8, "--temp", 0, "--ignore-eos", *extra])["ids"]


def check_text(model, plan):
    """A text takes no more of the ceiling when it is long: it is cut into tokens as it is evaluated."""
    ceiling = plan["min_bytes"] + (1 << 20)
    folder = scratch_folder()
    path = os.path.join(folder, "text")
    words = "the water runs over the weir and on to the sea\n"
    with open(path, "w") as file:
        file.write(words * (ceiling // len(words)))
    run_in_group(model, ceiling, ["eval", model, "--text", path, "--ctx", 64, "--chunks", 2])
    remove(folder)


def check_refusals(model, plan):
    least = plan["min_bytes"]
    status, text = weir_json("run", model, "-p", "x", "-n", 1, "--mem", least - 1, ok=False)
    check(status == 1 and str(least) in text, f"a ceiling of {least - 1} must be refused naming {least}: {text}")
    used = weir_json("info", model)["n_expert_used"]
    status, text = weir_json("run", model, "-p", "x", "-n", 1, "--slots", used - 1, ok=False)
    check(status == 1 and str(used) in text, f"{used - 1} slots must be refused naming {used}: {text}")


def check_plan(model, ceiling):
    plan = weir_json("plan", model, "--mem", ceiling)
    total = sum(line["bytes"] for line in plan["lines"])
    check(total <= ceiling, f"the plan's lines add up to {total}, over the ceiling {ceiling}")


def check_model(model):
    plan = ceilings(model)
    least, resident = plan["min_bytes"], plan["resident_bytes"]
    eight = ceilings(model, "--threads", 8)
    ids = None
    ways = (["--io", "auto"], ["--io", "threads"], ["--threads", 8], ["--io-depth", 1], ["--buffered"])
    for at, ceiling in enumerate((least, least + 4096, int(least * 1.1), (least + resident) // 2, resident)):
        if LONG or at == 3:  # it measures for a second
            check_plan(model, ceiling)
        for extra in ways if LONG else ways[at % len(ways):][:1]:
            if extra[0] == "--threads" and ceiling < eight["min_bytes"]:
                continue
            found = run_under(model, ceiling, extra)
            ids = ids or found
            check(found == ids, f"other tokens at {ceiling} {extra}: {found}, wanted {ids}")
    run_under(model, eight["min_bytes"], ["--threads", 8])
    check_refusals(model, plan)
    check_text(model, plan)


def check_page_cache(model):
    """Large reads through the page cache, whose pages nobody can take back while they are read."""
    plan = ceilings(model)
    for ceiling in (plan["min_bytes"], (plan["min_bytes"] + plan["resident_bytes"]) // 2):
        ids = run_under(model, ceiling, ["--io", "auto"])
        found = run_under(model, ceiling, ["--buffered"])
        check(found == ids, f"other tokens at {ceiling} through the page cache: {found}, wanted {ids}")


def main():
    check(os.path.exists(DEMO), "models/demo/weir-demo.gguf is missing")
    check_model(DEMO)
    check_model(make_model("ceiling", "--family", "qwen3moe", "--layers", 8, "--d-model", 512, "--heads", 8,
                           "--kv-heads", 2, "--d-head", 64, "--experts", 64, "--experts-used", 4,
                           "--d-ffn-expert", 512, "--vocab", 4096, "--ctx", 1024, "--type", "Q4_K", "--seed", 5))
    check_page_cache(make_model("ceiling-large", "--family", "olmoe", "--layers", 4, "--d-model", 1024, "--heads", 8,
                                "--kv-heads", 8, "--d-head", 128, "--experts", 16, "--experts-used", 4,
                                "--d-ffn-expert", 2048, "--vocab", 4096, "--ctx", 1024, "--type", "Q8_0", "--seed", 6))


main()
