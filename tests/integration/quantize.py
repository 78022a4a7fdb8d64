#!/usr/bin/env python3
"""quantize.py - weir quantize as people use it: files that run, what is said, ceilings, signals, full disks."""
import hashlib
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (DEMO, HELDOUT, PATIENCE_S, WEIR, MemoryGroup, check, memory_folder, remove, scratch_folder, wait_for,
                     weir_json)

LIMIT = 48 << 20


def quantize(*args, **more):
    return subprocess.run([WEIR, "quantize", *map(str, args)], capture_output=True, text=True, **more)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


def quality_follows_bits(floats, folder):
    """The demo model's blocks as floats lose nothing; fewer bits lose more."""
    text = ["--text", HELDOUT, "--ctx", 256, "--chunks", 2]
    before = weir_json("eval", DEMO, *text)["ppl"]
    found = []
    for kind in ("Q8_0", "Q5_K_M", "Q2_K"):
        out = os.path.join(folder, "out.gguf")
        result = weir_json("quantize", floats, out, "--type", kind)
        check(result["file_bytes"] == os.path.getsize(out) and result["bits_after"] < 32, f"{kind}: {result}")
        check(result["peak_bytes"] <= result["budget_bytes"], f"{kind}: peak {result['peak_bytes']} of {result['budget_bytes']}")
        check(not [tensor for tensor in result["tensors"] if "norm" in tensor["name"] and tensor["to"] != "F32"], f"{kind}: norms")
        found.append(weir_json("eval", out, *text)["ppl"])
    check(abs(found[0] / before - 1) < 0.005, f"Q8_0: perplexity {found[0]}, the original {before}")
    check(before * 0.99 < found[1] < before * 1.05 and found[1] < found[2], f"perplexities {before}, {found}")
    print(f"  perplexity {before:.3f}, then {', '.join(f'{ppl:.3f}' for ppl in found)}")


def what_is_said(folder):
    out = os.path.join(folder, "said.gguf")
    done = quantize(DEMO, out, "--type", "q4_k_m")
    for words in ("requantized from Q8_0, Q4_0", "no block of Q4_K fills: they are Q5_0", "bits a weight", "peak memory"):
        check(done.returncode == 0 and words in done.stderr, f"wanted {words!r}: {done.stderr}")
    check(done.stdout == "", f"on standard output: {done.stdout}")
    check(quantize(DEMO, out, "--type", "Q8_0", "-q").stderr.count("\n") == 1, "--quiet says more than that it was blocks before")
    dry = weir_json("quantize", DEMO, "--type", "Q8_0", "--dry-run")
    check(dry["file_bytes"] == os.path.getsize(out), f"a dry run says {dry['file_bytes']} bytes, the file has {os.path.getsize(out)}")
    twice = quantize(DEMO, "--type", "Q8_0", "--type", "Q4_0", "--dry-run")
    check("--type is given twice: Q4_0 counts" in twice.stderr and " 1 tensor  " in twice.stdout, f"{twice.stderr}{twice.stdout[-500:]}")
    foreign = os.path.join(folder, "foreign.gguf")
    check(subprocess.run([WEIR, "imatrix", DEMO, "--text", HELDOUT, "--chunks", "1", "-o", foreign, "-q"]).returncode == 0, "imatrix")
    with open(foreign, "rb") as file:
        other = file.read().replace(b".weight", b".weighs")
    with open(foreign, "wb") as file:
        file.write(other)
    refused = quantize(DEMO, out, "--type", "Q4_0", "--imatrix", foreign)
    check(refused.returncode == 2 and "another model" in refused.stderr, f"importance of another model: {refused.stderr}")
    dry = quantize(DEMO, "--type", "Q6_K", "--dry-run", "--tensor", "*attn_v*=Q8_0")
    check(dry.returncode == 0 and "blk.3.attn_v.weight" in dry.stdout and "Q6_K: 22.5 MiB to" in dry.stdout, f"{dry.stdout[-400:]}")
    for words, args in (("IN and OUT", [DEMO, "--type", "Q4_0"]), ("--type", [DEMO, out]), ("Q4_K_M", [DEMO, out, "--type", "Q4_K_XL"]),
                        ("which is IN too", [DEMO, DEMO, "--type", "Q4_0"]), ("after them", [DEMO, out, "x", "--type", "Q4_0"]),
                        ("weir imatrix", [DEMO, out, "--type", "IQ2_XS"]), ("PATTERN=FORMAT", [DEMO, out, "--type", "Q4_0", "--tensor", "x"]),
                        ("matches no tensor", [DEMO, out, "--type", "Q4_0", "--tensor", "ffn=Q8_0"])):
        refused = quantize(*args)
        check(refused.returncode == 2 and words in refused.stderr, f"{args}: exit {refused.returncode}, wanted {words!r}: {refused.stderr}")
    print("  what is said and refused")


def what_no_block_reaches(floats, folder):
    """A value in the middle of a matrix that blocks of halves would make smaller."""
    wide, out = os.path.join(folder, "wide.gguf"), os.path.join(folder, "out.gguf")
    shutil.copyfile(floats, wide)
    with open(wide, "r+b") as file:
        file.seek(os.path.getsize(wide) // 8 * 4)
        file.write(struct.pack("<f", -3e38))
    for kind in ("Q8_0", "Q4_K", "IQ4_NL"):
        done = quantize(wide, out, "--type", kind, "--pure")
        check(done.returncode == 1 and "-3e+38 in column" in done.stderr and f"too large for {kind}" in done.stderr, done.stderr)
    os.unlink(wide)


def a_ceiling_holds(floats, folder):
    """A model three times the size of a memory group goes through it, to the same bytes."""
    free, held = os.path.join(folder, "free.gguf"), os.path.join(folder, "held.gguf")
    check(os.path.getsize(floats) > 2.5 * LIMIT, "the model is not larger than the ceiling")
    check(quantize(floats, free, "--type", "Q4_0", "--threads", 1).returncode == 0, "quantize")
    low = quantize(floats, held, "--type", "Q4_0", "--mem", "1M")
    check(low.returncode == 1 and "wanted at least" in low.stderr and not os.path.exists(held), f"--mem 1M: {low.stderr}")
    with MemoryGroup(LIMIT) as group:
        done = group.run([WEIR, "quantize", floats, held, "--type", "Q4_0", "--mem", LIMIT, "--threads", 2, "-q"])
        peak, kills = group.peak_bytes(), group.oom_kills()
    check(done.returncode == 0 and kills == 0, f"in a group of {LIMIT}: exit {done.returncode}, {kills} killed: {done.stderr}")
    check(peak <= LIMIT, f"peak {peak} of {LIMIT}")
    check(digest(free) == digest(held), "other bytes under a ceiling")
    print(f"  {os.path.getsize(floats) >> 20} MiB in a group of {LIMIT >> 20}: peak {peak / 2**20:.1f} MiB")
    os.unlink(free)
    os.unlink(held)


def signals_leave_nothing(floats, folder):
    """What was there stays, and nothing beside it. A run that was faster than the signal is tried again with a slower format."""
    out = os.path.join(folder, "kept.gguf")
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        for kind in ("Q6_K", "IQ3_S", "IQ2_XXS", "IQ1_S"):
            with open(out, "w") as file:
                file.write("what was there")
            process = subprocess.Popen([WEIR, "quantize", floats, out, "--type", kind, "--allow-unweighted", "--threads", "1"],
                                       stderr=subprocess.PIPE, text=True)
            wait_for(lambda: os.path.exists(out + ".unfinished") or process.poll() is not None, "a file that is begun")
            process.send_signal(number)
            text = process.communicate(timeout=PATIENCE_S)[1]
            if process.returncode != 0:
                break
        check(process.returncode == status, f"signal {number}: exit {process.returncode}: {text}")
        check(os.listdir(folder) == ["kept.gguf"], f"left behind: {os.listdir(folder)}")
        with open(out) as file:
            check(file.read() == "what was there", "the old file is not as it was")
    os.unlink(out)
    print("  signals")


def full_disks_are_said(floats, folder):
    out = os.path.join(folder, "full.gguf")

    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))

    done = quantize(floats, out, "--type", "Q8_0", preexec_fn=little)
    check(done.returncode == 1 and "too large" in done.stderr and "wanted" in done.stderr, f"no room: {done.returncode}: {done.stderr}")
    script = f'mount -t tmpfs -o size=4m none "{folder}" && "{WEIR}" quantize "{floats}" "{out}" --type Q8_0; s=$?; ls "{folder}"; exit $s'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        print("  no right to mount a small disk: only limits of files are tested")
    else:
        check(done.returncode == 1 and "No space left" in done.stderr and "free" in done.stderr, f"full disk: {done.stderr}")
        check(done.stdout == "", f"left behind: {done.stdout}")
    check(os.listdir(folder) == [], f"left behind: {os.listdir(folder)}")
    print("  full disks")


def main():
    folder = scratch_folder()
    floats = os.path.join(folder, "floats.gguf")
    done = quantize(DEMO, floats, "--type", "F32", "-q")
    check(done.returncode == 0, done.stderr)
    empty = memory_folder()
    quality_follows_bits(floats, folder)
    what_is_said(folder)
    what_no_block_reaches(floats, folder)
    signals_leave_nothing(floats, empty)
    full_disks_are_said(floats, empty)
    a_ceiling_holds(floats, folder)
    remove(folder)
    remove(empty)


if __name__ == "__main__":
    main()
