#!/usr/bin/env python3
"""guard.py - weir gives memory back before the kernel would kill: a neighbour grows, a limit is lowered.

Each time weir runs in a control group that held it easily when it began, and is interrupted when the
shortage has been there a while, so that no machine is too fast for this. There was no OOM kill, the
ids are those of an undisturbed run, and the JSON says what was given back: what had to be, and not
much more, so what weir gives back does come back.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE_S, WEIR, MemoryGroup, check, make_model, weir_json, worked_s

MIB = 1 << 20
CEILING = 320 * MIB
LIMIT = 400 * MIB
STEP = 8 * MIB
PACE_S = 0.1  # of weir's processor time: so it has looked in between, however busy the machine is
RUN = ["--ids", "17 48 79 110", "--ctx", 4096, "--temp", 0, "--ignore-eos", "--mem", CEILING]
TOKEN_MAX = 4000
# What weir may give beyond need: the margin twice, and as much again for the growth it saw.
SLACK = 64 * MIB

HOG = f"""
import sys
held = []
print("ready", flush=True)
for line in sys.stdin:
    held.append(bytearray(b"x") * {STEP})
    print("held", flush=True)
"""


class Run:
    """weir in a group, up and generating."""

    def __init__(self, group, model):
        self.group = group
        self.model = model
        self.process = group.start([WEIR, "run", model, *RUN, "-n", TOKEN_MAX, "--json"])
        self.wait_for(lambda: group.usage_bytes() > 0.9 * CEILING, "weir has loaded")
        self.let_work(0.5)
        self.usage = group.usage_bytes()

    def wait_for(self, is_so, what):
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            self.check_runs(f"before {what}")
            check(time.monotonic() < end,
                  f"waited {PATIENCE_S} s in vain for {what}: {self.group.usage_bytes() / MIB:.1f} MiB are used")
            time.sleep(0.01)

    def let_work(self, seconds):
        """Until weir has used so many seconds of processors."""
        end = worked_s(self.process.pid) + seconds
        self.wait_for(lambda: worked_s(self.process.pid) >= end, f"weir has worked for {seconds} s")

    def check_runs(self, when):
        if self.process.poll() is not None:
            out, err = self.process.communicate()
            check(False, f"weir ended {when}: exit {self.process.returncode}, {self.group.oom_kills()} OOM kills: "
                         f"{out[-200:]}{err[-400:]}")

    def finish(self, name, needed):
        """The ids, and what it has given back, after so many bytes less were left to it than it had."""
        self.let_work(0.5)
        self.check_runs("before it was interrupted")
        less = self.usage - self.group.usage_bytes()
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate()
        kills = self.group.oom_kills()
        check(self.process.returncode == 128 + signal.SIGINT and kills == 0,
              f"{name}: exit {self.process.returncode}, {kills} OOM kills: {err[-400:]}")
        found = json.loads(out)
        guard = found["guard"]
        print(f"  {name:18} {needed / MIB:.0f} MiB had to go, {guard['shrunk_bytes'] / MIB:.0f} were given back, "
              f"{guard['retired_slots']} slots in {guard['shrinks']} steps, {guard['samples']} samples; {guard['reason']}")
        check(found["stop"] == "asked", f"{name}: {found['stop']}")
        check(needed <= guard["shrunk_bytes"] <= needed + SLACK,
              f"{name}: {guard['shrunk_bytes']} bytes were given back, wanted {needed} to {needed + SLACK}")
        check(guard["retired_slots"] > 0 and guard["shrinks"] > 0, f"{name}: {guard}")
        check(err.count("given back for good") == guard["shrinks"], f"{name}: said on stderr: {err}")
        check("left of" in guard["reason"], f"{name}: no reason: {guard}")
        return found["ids"], less, guard["shrunk_bytes"]


def test_a_neighbour_grows(model):
    with MemoryGroup(LIMIT) as group:
        run = Run(group, model)
        over = 80 * MIB
        hog = group.start([sys.executable, "-c", HOG], stdin=subprocess.PIPE)
        check(hog.stdout.readline() == "ready\n", "the neighbour does not start")
        start = group.usage_bytes()
        for _ in range((LIMIT - start + over) // STEP):
            hog.stdin.write("more\n")
            hog.stdin.flush()
            check(hog.stdout.readline() == "held\n", f"the neighbour was stopped: {group.oom_kills()} OOM kills")
            run.check_runs("while its neighbour grew")
            run.let_work(PACE_S)
        ids, _, _ = run.finish("a neighbour grows", over - STEP)
        hog.communicate()
        return ids


def test_the_limit_is_lowered(model):
    """In steps, as an administrator must: the kernel refuses (v1) or kills (v2) what is beneath the usage."""
    with MemoryGroup(LIMIT) as group:
        run = Run(group, model)
        lowest = run.usage - 100 * MIB
        limit = LIMIT
        while limit > lowest:
            limit -= STEP
            run.wait_for(lambda: group.set_limit(limit), f"the limit could be {limit}")
            run.check_runs("while the limit was lowered")
            run.let_work(PACE_S)
        ids, less, given = run.finish("the limit lowered", run.usage - limit)
        check(less >= given - STEP, f"{given} bytes were given back, and the group is charged only {less} less")
        return ids


def main():
    with MemoryGroup(LIMIT):
        pass  # skips where there is no right to make one
    model = make_model("guard", "--family", "qwen3moe", "--layers", 12, "--d-model", 512, "--heads", 8,
                       "--kv-heads", 2, "--d-head", 64, "--experts", 64, "--experts-used", 4,
                       "--d-ffn-expert", 512, "--vocab", 4096, "--ctx", 4096, "--type", "Q4_K", "--seed", 6)
    disturbed = [test_a_neighbour_grows(model), test_the_limit_is_lowered(model)]
    undisturbed = weir_json("run", model, *RUN, "-n", max(map(len, disturbed)))
    check(undisturbed["guard"]["shrinks"] == 0, f"undisturbed, and yet: {undisturbed['guard']}")
    for ids, what in zip(disturbed, ("a neighbour grew", "the limit was lowered"), strict=True):
        check(ids == undisturbed["ids"][:len(ids)], f"other ids than undisturbed when {what}")


main()
