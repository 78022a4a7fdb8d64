#!/usr/bin/env python3
"""gpu_bound.py - the least time a token can take on a GPU, memory and disk of given speeds, and how near a measured speed is to it.

What a token needs passes once: what is on the GPU through its memory; an expert that is not there through the machine's memory, and where
it crosses through the link, too; one that is not in memory either from the disk. Each way's time is that of the slowest part, for all
parts may work at once:

    stay      missing experts are computed by the CPU    max(GPU bytes / --hbm, missing / --dram, read / --disk)
    cross     missing experts cross, as Fate has it      max(all bytes / --hbm, missing / --link, missing / --dram, read / --disk)
    either    each where it is sooner                    the same, with as many crossing as make the slowest part the fastest

The bytes are those of `weir plan` (--gpu sim where there is no GPU), for an empty context. Experts that are there are a share of those
that a token uses: that of the plan's experts, which is what random routing has, or --there, as `weir bench` has measured it.

    bench/gpu_bound.py build/models/qwen3-30b.gguf --gpu-mem 8G --hbm 4800 --link 53 --dram 200 --reached 121 --there 0.95
"""
import argparse
import subprocess
import sys

from measure import WEIR, check, weir_json


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--gpu", choices=["auto", "sim"], default="sim")
    parser.add_argument("--gpu-mem", required=True)
    parser.add_argument("--hbm", type=float, required=True, help="GB/s of the GPU's memory")
    parser.add_argument("--link", type=float, required=True, help="GB/s from locked memory, in copies of an expert's size")
    parser.add_argument("--dram", type=float, required=True, help="GB/s of the machine's memory")
    parser.add_argument("--disk", type=float, default=0, help="GB/s; 0: all experts are in memory")
    parser.add_argument("--in-memory", type=float, default=1.0, help="share of missing experts that memory has")
    parser.add_argument("--there", type=float, help="share of a token's experts that are on the GPU, as measured")
    parser.add_argument("--reached", type=float, help="tokens/s, as measured")
    return parser.parse_args()


def bounds(options, trunk, used, there):
    """Seconds of a token by the slowest part, for each way: (name, seconds, which part)."""
    missing = used * (1 - there)
    read = missing * (1 - options.in_memory)
    disk = read / options.disk / 1e9 if read else 0

    def slowest(crossing):
        parts = {
            "GPU memory": (trunk + used - missing + crossing) / options.hbm / 1e9,
            "link": crossing / options.link / 1e9,
            "memory": missing / options.dram / 1e9,
            "disk": disk,
        }
        part = max(parts, key=parts.get)
        return parts[part], part

    return [("stay", *slowest(0)), ("cross", *slowest(missing)),
            ("either", *min(slowest(missing * step / 100) for step in range(101)))]


def main():
    options = read_options()
    check(options.in_memory == 1 or options.disk > 0, "--in-memory below 1 wants --disk")
    plan = weir_json("plan", options.model, "--gpu", options.gpu, "--gpu-mem", options.gpu_mem)
    gpu = plan["gpu"]
    check(gpu["name"] is not None and gpu["output"], f"the trunk is not on the GPU as a whole: {gpu['why'] or 'more --gpu-mem'}")
    total = weir_json("plan", options.model, "--gpu", "off")["experts_total"]
    trunk, used = gpu["weight_bytes"], plan["token_bytes"]
    there = options.there if options.there is not None else gpu["experts"] / total
    print(f"{options.model}: a token passes {trunk / 2**20:.0f} MiB of weights and {used / 2**20:.0f} MiB of experts, {there:.3f} there")
    for name, seconds, part in bounds(options, trunk, used, there):
        reached = f"; {options.reached:g} is {100 * options.reached * seconds:.0f} % of that" if options.reached else ""
        print(f"{name:8} {1e3 * seconds:8.3f} ms  {1 / seconds:8.1f} tokens/s  ({part}){reached}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as failure:
        sys.exit(f"{WEIR}: {failure}")
