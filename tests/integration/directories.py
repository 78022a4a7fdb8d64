#!/usr/bin/env python3
"""directories.py - every command on Hugging Face directories, whole weights and codes: logits, streamed as resident; calibrate,
plan, run, bench."""
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE_S, ROOT, WEIR, ceilings, check, remove, scratch_folder

GOLDEN = os.path.join(ROOT, "tests", "golden", "directories")
NAMES = ["qwen3moe-bf16", "qwen3moe-fp8", "qwen3moe-int4", "qwen3moe-nvfp4", "qwen3moe-mxfp4", "gpt-oss"]


def weir(*args):
    done = subprocess.run([WEIR, *map(str, args)], capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
    check(done.returncode == 0, f"{args}: exit {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def the_object(*args):
    return json.loads(weir(*args, "--json"))


def floats(path):
    with open(path, "rb") as file:
        data = file.read()
    return struct.unpack(f"<{len(data) // 4}f", data)


def eval_logits(model, folder, *more):
    out = os.path.join(folder, "logits")
    found = the_object("eval", model, "--tokens", os.path.join(model, "ids.txt"), "--logits", out, *more)
    with open(out, "rb") as file:
        return found, file.read()


def test_eval(model, folder):
    found, resident = eval_logits(model, folder)
    wanted = floats(os.path.join(model, "logits.f32"))
    ours = struct.unpack(f"<{len(resident) // 4}f", resident)
    # Keys and values in f16.
    worst = max(abs(one - other) for one, other in zip(ours, wanted))
    check(len(ours) == len(wanted) and worst <= 1e-3 * max(map(abs, wanted)), f"{model}: {len(ours)} logits, {worst} off")
    streamed, logits = eval_logits(model, folder, "--slots", 3, "--chunk", 7)
    check(logits == resident and streamed["nll"] == found["nll"], f"{model}: streamed is not resident")
    # A ceiling under which no more than a few experts fit.
    _, logits = eval_logits(model, folder, "--mem", ceilings(model)["min_bytes"])
    check(logits == resident, f"{model}: other logits at the smallest ceiling")


def test_text(model, folder):
    path = os.path.join(folder, "text")
    with open(path, "w") as file:
        file.write("The weir holds back the water; at 3 it re-opens: 1234. " * 4)
    found = the_object("eval", model, "--text", path, "--ctx", 64)
    check(found["ppl"] > 1 and found["chunks"] >= 1, f"{model}: {found}")
    ids = [the_object("run", model, "-p", "The weir", "-n", 5, "--temp", 0, "--ignore-eos", *more)["ids"] for more in ([], ["--slots", 3])]
    check(ids[0] == ids[1] and len(ids[0]) == 5, f"{model}: {ids}")


def test_calibrate(model, folder):
    nowhere = os.environ["XDG_CACHE_HOME"]
    os.environ["XDG_CACHE_HOME"] = folder  # a calibration is kept
    found = the_object("calibrate", model)["results"][0]
    os.environ["XDG_CACHE_HOME"] = nowhere
    check(found["read_low_bytes_per_s"] > 0 and found["decode_bytes_per_s"] > 0, f"{model}: {found}")
    check(found["type"] == "F4_E2M1", f"{model}: the kernel of {found['type']}")


def test_bench(model):
    found = the_object("bench", model, "--prompt", 16, "--gen", 4, "--repeat", 1, "--slots", 3)
    check(found["bytes_per_token"] > 0, f"{model}: {found}")


def main():
    folder = scratch_folder()
    for name in NAMES:
        test_eval(os.path.join(GOLDEN, name), folder)
        test_text(os.path.join(GOLDEN, name), folder)
    check(the_object("plan", os.path.join(GOLDEN, "qwen3moe-fp8"))["fits"], "a plan of a directory")
    test_bench(os.path.join(GOLDEN, "qwen3moe-int4"))
    test_calibrate(os.path.join(GOLDEN, "qwen3moe-nvfp4"), folder)
    remove(folder)


if __name__ == "__main__":
    main()
