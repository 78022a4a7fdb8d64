#!/usr/bin/env python3
"""gpu_moves.py - experts that come to a simulated GPU and go: one result whatever was there when; words that are none are refused."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, PATIENCE_S, WEIR, check, weir_json

BENCH = ["bench", DEMO, "--gpu", "sim", "--prompt", 5, "--gen", 4, "--repeat", 1, "--threads", 1, "--ctx", 64]
LESS = ["--gpu-mem", "22M"]  # of the GPU's memory: for less than half of the experts


def run(*more):
    found = weir_json(*BENCH, *more)
    return found["logits_hash"], found["gpu_moves"]["decode"], found["gpu_moves"]["prefill"]


def main():
    wanted, decode, _ = run("--gpu-mem", "256M")
    check(decode["wanted"] == 0 and decode["uses"] == decode["uses_there"] > 0, f"all is there, and nothing moves: {decode}")
    for words in ("demand", "demand,lru,path,0.5GB/s", "demand,fate,gate"):
        bits, decode, prefill = run(*LESS, "--gpu-experts", words)
        check(bits == wanted, f"{words}: the bits of all there are {wanted}, found {bits}")
        check(prefill["copied"] > 0 and prefill["copied_bytes"] > 0, f"{words}: a prompt's experts cross: {prefill}")
        check(decode["wanted"] > decode["hits"] > 0, f"{words}: some are there and some are not: {decode}")
        check(decode["uses"] == decode["uses_there"], f"{words}: all is computed on the GPU: {decode}")
    one, stays, _ = run(*LESS)
    check(stays["copied"] == 0 and 0 < stays["uses_there"] < stays["uses"], f"experts that stay: {stays}")
    check(one != wanted, "what the CPU computes has bits of its own: if not, this test says nothing")
    together = weir_json("bench", DEMO, "--gpu", "sim", "--batch", 16, "--prompt", 2, "--gen", 2, "--repeat", 1)
    check(together["gpu_moves"]["decode"]["uses_there"] > 0, f"sixteen short texts have room there: {together}")
    asked = weir_json("run", DEMO, "-p", "The old man", "-n", 3, "--gpu", "sim", "--ctx", 64, *LESS, "--gpu-moves")
    check(asked["tokens"] == 3 and asked["mode"]["gpu"]["moves_by_time"], f"--gpu-moves: {asked['mode']['gpu']}")
    planned = weir_json("plan", DEMO, "--gpu", "sim", "--ctx", 64, *LESS)["gpu"]
    check(planned["moves"] is False and "simulated" in planned["moves_why"], f"nothing moves where no speed is known: {planned}")
    for words, says in (("demand,nothing", "nothing"), ("demand,0GB/s", "0GB/s"), ("5", "5"), ("demand,fate,pool", "pool")):
        done = subprocess.run([WEIR, *map(str, BENCH), "--gpu-experts", words], capture_output=True, text=True, timeout=PATIENCE_S)
        check(done.returncode == 2 and "--gpu-experts" in done.stderr and says in done.stderr, f"{words}: {done.stderr}")


main()
