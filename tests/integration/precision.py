#!/usr/bin/env python3
"""precision.py - weir quantize by budget on the command line: what it wants, what it tells, and slopes that were kept."""
import os
import subprocess

from harness import DEMO, HELDOUT, PATIENCE_S, WEIR, check, memory_folder, remove, weir_json


def quantize(*args):
    return subprocess.run([WEIR, "quantize", *map(str, args)], capture_output=True, text=True, timeout=PATIENCE_S)


def refused(out):
    for args, wanted in (([DEMO, out, "--bpw", 4], "wants --text"), ([DEMO, "--bpw", 4, "--text", HELDOUT, "--dry-run"], "wants IN and OUT"),
                         ([DEMO, out, "--bpw", 4, "--bytes", "9M", "--text", HELDOUT], "found more than one"),
                         ([DEMO, out, "--bpw", 4, "--type", "Q4_0", "--text", HELDOUT], "found more than one"),
                         ([DEMO, out, "--type", "Q4_0", "--text", HELDOUT], "--text is for --bytes or --bpw"),
                         ([DEMO, out, "--type", "Q4_0", "--probes", 3], "--probes is for"), ([DEMO, out], "--bytes SIZE or --bpw B")):
        done = quantize(*args)
        check(done.returncode == 2 and wanted in done.stderr, f"{args}: exit {done.returncode}: {done.stderr}")


def by_kept_slopes(folder, out):
    """Where one tensor's errors cost a thousand times more, it gets the better format; nothing is written but OUT, and not even that."""
    slopes = os.path.join(folder, "slopes")
    names = [tensor["name"] for tensor in weir_json("quantize", DEMO, "--type", "Q3_K_M", "--dry-run")["tensors"] if ".weight" in tensor["name"]]
    dear = "blk.5.ffn_up_exps.weight"
    how = [DEMO, out, "--bpw", 3.6, "--text", HELDOUT, "--chunks", 1, "--ctx", 32, "--slopes", slopes, "--dry-run"]
    made = weir_json("quantize", *how, "--probes", 1)
    check(made["probes"] > 0, f"{made['probes']}")
    with open(slopes) as file:
        head = [line for line in file if line.startswith("#")]
    with open(slopes, "w") as file:
        file.writelines(head)
        for name in names:
            file.write(f"{1000 if name == dear else 1} {name}\n")
    said = quantize(*how)
    check("by slopes that were kept" in said.stdout + said.stderr, f"{said}")
    done = quantize(*how, "--ctx", 48)
    check(done.returncode == 1 and "in pieces of 48" in done.stderr and "in pieces of 32" in done.stderr, f"{done}")
    made = weir_json("quantize", *how)
    bits = {tensor["name"]: 1.0 * tensor["bytes_after"] / tensor["bytes_before"] for tensor in made["tensors"]}
    check(made["bits_after"] <= 3.6 and made["type"] == "budget" and made["probes"] == 0, f"{made['bits_after']}, {made['type']}")
    check(made["divergence_expected"] > 0 and made["divergence"] is None, f"{made['divergence_expected']}, {made['divergence']}")
    check(bits[dear] > bits["blk.6.ffn_up_exps.weight"], f"{dear}: {bits[dear]} of its bytes, its neighbour {bits['blk.6.ffn_up_exps.weight']}")
    check(os.listdir(folder) == ["slopes"], f"{os.listdir(folder)}")


def main():
    folder = memory_folder(64 << 20)
    out = os.path.join(folder, "out.gguf")
    try:
        refused(out)
        by_kept_slopes(folder, out)
    finally:
        remove(folder)
    print("precision: budgets of bytes and of bits a weight")


main()
