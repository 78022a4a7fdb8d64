#!/usr/bin/env python3
"""imatrix.py - weir imatrix: the same bytes however it is computed, under a ceiling, stopped by a signal, and never half a file."""
import fcntl
import glob
import json
import os
import signal
import struct
import subprocess
import time

from harness import DEMO, HELDOUT, PATIENCE_S, WEIR, ceilings, check, remove, scratch_folder, weir_json


def imatrix(folder, *args, **keywords):
    return subprocess.run([WEIR, "imatrix", *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, **keywords)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def same_bytes(folder):
    whole, tight, old = (os.path.join(folder, name) for name in ("whole", "tight", "old"))
    text = ["--text", HELDOUT, "--ctx", 128, "--chunks", 3]
    found = weir_json("imatrix", DEMO, *text, "-o", whole)
    check(found["tokens"] == 384 and found["chunks"] == 3 and found["chunk_tokens"] == 128, f"{found}")
    check(found["tensors"] == 97 and found["experts"] == 384 and found["experts_unreached"] == 0, f"{found}")
    readable = any(os.access(path, os.R_OK) for path in glob.glob("/sys/class/powercap/intel-rapl:*/energy_uj"))
    check(readable or found["energy"]["prefill_j"] is None, f"energy that nobody measured: {found['energy']}")
    check(found["mode"]["gpu"]["name"] is None and not found["stopped"], f"{found}")
    how = ["--threads", 3, "--chunk", 19]
    plain = ceilings(DEMO, "--ctx", 128, *how)["min_bytes"]
    refused, said = weir_json("imatrix", DEMO, *text, *how, "-o", tight, "--mem", plain, ok=False)
    check(refused == 1 and "the smallest that does is" in said, f"no room for sums: {refused}: {said}")
    least = int(said.split("--mem ")[1].split(")")[0])
    check(least > plain, f"sums are in no plan: {least}, {plain}")
    found = weir_json("imatrix", DEMO, *text, "-o", tight, "--mem", least, *how)
    check(found["peak_bytes"] <= found["budget_bytes"] == least, f"{found['peak_bytes']} bytes of {least}")
    check(found["mode"]["slots"] < 32 and found["expert_reads"] > 0, f"not streamed: {found['mode']}")
    check(read(whole) == read(tight), "other sums with few slots, three threads and short steps")
    done = imatrix(folder, DEMO, *text, "-o", old, "--dat", "-q")
    check(done.returncode == 0 and done.stderr == "", f"{done.returncode}: {done.stderr}")
    check(struct.unpack("<i", read(old)[:4]) == (97,) and read(whole)[:4] == b"GGUF", "the forms")


def short_texts(folder):
    out = os.path.join(folder, "short")
    done = imatrix(folder, DEMO, "--text", "-", "-o", out, "--json", input="The old man")
    check(done.returncode == 0 and json.loads(done.stdout)["chunks"] == 1, f"{done.returncode}: {done.stderr}")
    unreached = json.loads(done.stdout)["experts_unreached"]
    check(200 < unreached < 384, f"{unreached} of 384 experts are not reached by a few words")
    done = imatrix(folder, DEMO, "--text", "-", "-o", out, "-q", input="The old man")
    check(f"{unreached} of 384 experts were never reached" in done.stderr, f"{done.returncode}: {done.stderr}")
    before = read(out)
    for args, wanted in ((["--text", "-"], "holds no tokens"), (["--tokens", "-"], "holds no tokens")):
        done = imatrix(folder, DEMO, *args, "-o", out, input="")
        check(done.returncode == 1 and wanted in done.stderr and read(out) == before, f"{args}: {done.returncode}: {done.stderr}")
    for args, wanted in ((["-o", out], "--text or --tokens"), (["--text", HELDOUT], "-o FILE"),
                         (["--text", HELDOUT, "-o", out, "--gpu", "off"], "--gpu"),
                         (["--text", HELDOUT, "-o", HELDOUT], "a file of its own"),
                         (["--text", HELDOUT, "-o", out, "--ctx", 5000], "trained for")):
        done = imatrix(folder, DEMO, *args)
        check(done.returncode in (1, 2) and wanted in done.stderr, f"{args}: {done.returncode}: {done.stderr}")
    done = imatrix(folder, DEMO, "--text", "-", "-o", "/dev/full", input="The old man")
    check(done.returncode == 1 and "No space left" in done.stderr, f"full: {done.returncode}: {done.stderr}")


def stopped(folder):
    """The text has no end: what was measured when the signal comes is written."""
    out = os.path.join(folder, "stopped")
    run = subprocess.Popen([WEIR, "imatrix", DEMO, "--tokens", "-", "--ctx", "32", "-o", out, "--json"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(run.stdin, fcntl.F_SETPIPE_SZ, 4096)
    for number in range(1024):  # more than the pipe and what is read at once hold: some of it was computed
        run.stdin.write(b"%-63d\n" % (number % 40))
    run.stdin.flush()
    run.send_signal(signal.SIGINT)
    stdout, stderr = run.communicate(timeout=PATIENCE_S)
    check(run.returncode == 130, f"exit {run.returncode}: {stderr}")
    found = json.loads(stdout)
    check(found["stopped"] and found["tokens"] >= 32 and found["chunks"] >= 1, f"{found}")
    check(read(out)[:4] == b"GGUF" and not [name for name in os.listdir(folder) if name.endswith(".tmp")], "the file")


def main():
    start = time.monotonic()
    folder = scratch_folder()
    try:
        same_bytes(folder)
        short_texts(folder)
        stopped(folder)
    finally:
        remove(folder)
    print(f"imatrix: {time.monotonic() - start:.1f} s")


main()
