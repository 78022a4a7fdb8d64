#!/usr/bin/env python3
"""no_proc.py - a machine that tells nothing of itself: parts of /proc and /sys are not there."""
import errno
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, WEIR, check, skip
from refused import SYSINFO, refuse

RUN = ["run", DEMO, "-p", "The old man", "--temp", "0", "-n", "6"]
NO_MEMINFO = "mount -t proc -o subset=pid proc /proc"
NO_PROC = "mount -t tmpfs none /proc"
NOTHING = NO_PROC + " && mount -t tmpfs none /sys"


def lacking(setup, *args, **keywords):
    """weir in a mount namespace of its own, which setup has made poorer."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    done = subprocess.run([*unshare, "sh", "-c", f'({setup}) 2>/dev/null || exit 77; exec "$0" "$@"', WEIR, *map(str, args)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, **keywords)
    if done.returncode == 77 or b"unshare" in done.stderr:
        skip(f"no right to make a mount namespace and {setup}")
    return done


def test_a_run_without_a_ceiling_has_another_source():
    wanted = subprocess.run([WEIR, *RUN], stdin=subprocess.DEVNULL, capture_output=True).stdout
    for setup in (NO_MEMINFO, NO_PROC, NOTHING):
        done = lacking(setup, *RUN)
        check(done.returncode == 0 and done.stdout == wanted, f"{setup}: exit {done.returncode}, {done.stderr}")
        check(b"/proc/meminfo cannot be read" in done.stderr, f"{setup}: not said: {done.stderr}")
        found = json.loads(lacking(setup, *RUN, "--json").stdout)
        check(found["peak_bytes"] > 1 << 20 and found["budget_bytes"] > 1 << 25, f"{setup}: {found['peak_bytes']} bytes at most")
        done = lacking(setup, *RUN, "--mem", "40M")
        check(done.returncode == 0 and done.stdout == wanted, f"{setup}, --mem 40M: {done.stderr}")
        check(b"meminfo" not in done.stderr, f"{setup}, --mem 40M: {done.stderr}")


def test_doctor_says_what_does_not_tell():
    for setup, group in ((NO_MEMINFO, None), (NO_PROC, "/proc/self/cgroup cannot be read"),
                         (NOTHING, "/proc/self/cgroup cannot be read")):
        done = lacking(setup, "doctor", "--json")
        check(done.returncode == 0, f"{setup}: {done.stderr}")
        found = json.loads(done.stdout)
        lines = {line["what"]: line for line in found["checks"]}
        check("sysinfo(2)" in lines["memory"]["found"], f"{setup}: {lines['memory']}")
        check("/proc/meminfo cannot be read" in lines["ceiling"]["found"], f"{setup}: {lines['ceiling']}")
        check(found["default_mem_bytes"] > 0 and found["n_cpu"] > 0, f"{setup}: {found}")
        if group is not None:
            line = lines["control group"]
            check(not line["ok"] and group in line["found"] and line["advice"], f"{setup}: {line}")
            check(not lines["memory guard"]["ok"], f"{setup}: the guard sees {lines['memory guard']}")


def test_a_ceiling_that_nobody_tells_is_an_error_that_names_who_did_not():
    if SYSINFO is None:
        return
    for args in (RUN, ["plan", DEMO]):
        done = lacking(NOTHING, *args, preexec_fn=lambda: refuse([SYSINFO], errno.EPERM))
        for word in (b"nobody tells", b"/proc/meminfo", b"sysinfo(2)", b"--mem"):
            check(done.returncode == 1 and word in done.stderr, f"{args}: exit {done.returncode}, no {word}: {done.stderr}")
    done = lacking(NOTHING, *RUN, "--mem", "40M", preexec_fn=lambda: refuse([SYSINFO], errno.EPERM))
    check(done.returncode == 0, f"--mem 40M: {done.stderr}")


def test_every_command_works_without_proc():
    for args in (["info", DEMO], ["plan", DEMO], ["tokenize", DEMO, "-p", "a text"], ["--version"],
                 ["bench", DEMO, "--prompt", "4", "--gen", "2", "--repeat", "1"]):
        done = lacking(NOTHING, *args)
        check(done.returncode == 0 and done.stdout, f"{args}: exit {done.returncode}, {done.stderr}")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
            test()
            print(f"ok  {name[5:].replace('_', ' ')}")


if __name__ == "__main__":
    main()
