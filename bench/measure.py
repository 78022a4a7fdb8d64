"""measure.py - what the benchmarks share: cold files, device counters, ceilings, memory groups, medians."""
import os
import re
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
from harness import (BUILD, DEMO, HELDOUT, MKMODEL, MODELS, WEIR, MemoryGroup, check, make_model, peer, skip,  # noqa: F401
                     weir_json)

os.environ["XDG_CACHE_HOME"] = os.path.join(ROOT, "build", "bench-cache")  # `weir calibrate` keeps what it finds


# ---- the page cache and the device -----------------------------------------------------------


def drop_cache(path):
    """Make the next reader find nothing in memory. Says how, once."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    how = "posix_fadvise"
    try:
        with open("/proc/sys/vm/drop_caches", "w") as knob:
            knob.write("1")
        how = "drop_caches"
    except OSError:
        pass
    return how


def device_bytes(path):
    """Bytes read so far from the device under path; None when it is not in /proc/diskstats."""
    number = os.stat(path).st_dev
    with open("/proc/diskstats") as file:
        for line in file:
            words = line.split()
            if int(words[0]) == os.major(number) and int(words[1]) == os.minor(number):
                return int(words[5]) * 512
    return None


def measured_by(program, *args):
    """The bytes_per_s, or ops_per_s, that a measuring program prints as JSON; None without it."""
    path = os.path.join(BUILD, "bench", program)
    if not os.access(path, os.X_OK):
        return None
    done = subprocess.run([path, *map(str, args)], capture_output=True, text=True)
    found = re.findall(r'"(?:bytes|ops)_per_s"\s*:\s*([0-9.eE+]+)', done.stdout)
    return max(map(float, found)) if done.returncode == 0 and found else None


def measure_ceilings(model, threads):
    doctor = weir_json("doctor", model)
    dram = measured_by("dram", threads) or doctor["dram_bytes_per_s"]
    drop_cache(model)
    disk = measured_by("disk", model) or doctor["read_bytes_per_s"]
    return dram, disk


# ---- runs under a limit ----------------------------------------------------------------------


def run_group(limit, args, model):
    """Run in a memory group of that size; (result, bytes the device read, the group's peak)."""
    drop_cache(model)
    before = device_bytes(model)
    with MemoryGroup(limit) as group:
        done = group.run(args)
        peak, kills = group.peak_bytes(), group.oom_kills()
    after = device_bytes(model)
    read = None if before is None else after - before
    return done, read, peak, kills


def last_words(text):
    """The end of what a program said, without its notes about back ends."""
    lines = [line for line in text.splitlines() if "backend" not in line]
    return " ".join(lines)[-200:] or "said nothing"


# ---- telling ---------------------------------------------------------------------------------


def median(rows, name):
    values = [row[name] for row in rows if row is not None and row.get(name) is not None]
    return statistics.median(values) if values else None


def show(value, form="{:.2f}"):
    return "-" if value is None else form.format(value)


def size(value):
    if value is None:
        return "-"
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"


def over(above, below):
    return above / below if above is not None and below else None


def active_bytes(model):
    """Bytes of weights that one token reads: its experts and the trunk without the embedding table."""
    info = weir_json("info", model, "--verbose")
    plan = weir_json("plan", model)
    tensors = {name: int(re.search(r"(\d+) bytes", value).group(1)) for name, value in info["tensors"].items()}
    table = tensors.get("token_embd.weight", 0) if "output.weight" in tensors else 0
    return (plan["token_bytes"] or 0) + info["trunk_bytes"] - table
