#!/usr/bin/env python3
"""serve_ceiling.py - weir serve in a control group: the plan keeps to its limit, nobody is killed, and when the limit is
lowered while texts are written, slots are given back, which the log tells, and the texts stay what they are.

What has to happen meanwhile is paced by the server's own processor time, as in guard.py.
"""
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, WEIR, MemoryGroup, check
from serve import Server

MIB = 1 << 20
LIMIT = 112 * MIB
STEP = 4 * MIB
PATIENCE_S = 300
PROMPTS = ["The old man", "Once upon a time", "She opened the door", "In the morning"]


class Grouped(Server):
    """A server in a group, whose ceiling is what the group leaves; a thread reads its log."""

    def __init__(self, group, *args):
        self.group = group
        self.process = group.start([WEIR, "serve", DEMO, "--port", "0", "--alias", "demo", "--template", "chatml", *args])
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self.reader.start()
        self.wait_so(lambda: "/v1" in self.log(), "it listens")
        self.port = int(re.search(r":(\d+)/v1", self.log()).group(1))

    def log(self):
        return "".join(list(self.lines))

    def wait_so(self, is_so, what):
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            check(self.process.poll() is None, f"weir ended before {what}: {self.group.oom_kills()} OOM kills: {self.log()}")
            check(time.monotonic() < end, f"waited {PATIENCE_S} s in vain: {what}; {self.group.usage_bytes() / MIB:.1f} MiB are used; {self.log()}")
            time.sleep(0.01)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def worked_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def text(self, prompt):
        status, _, told = self.ask("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 32, "temperature": 0, "logit_bias": {}})
        check(status == 200, f"{prompt}: {status} {told} {self.log()}")
        return told["choices"][0]["text"]


def write_texts(server, texts, stop):
    while not stop.is_set():
        for prompt in PROMPTS:
            texts.append((prompt, server.text(prompt)))


def main():
    with MemoryGroup(LIMIT) as group, Grouped(group, "--parallel", "2") as server:
        plan = server.ask("GET", "/props")[2]
        check(plan["planned_bytes"] <= plan["budget_bytes"] <= LIMIT, f"the plan knows the group's limit: {plan}")
        alone = {prompt: server.text(prompt) for prompt in PROMPTS}
        texts, stop = [], threading.Event()
        writers = [threading.Thread(target=write_texts, args=(server, texts, stop)) for _ in range(3)]
        for writer in writers:
            writer.start()
        server.wait_so(lambda: len(texts) >= 8, "texts are written")
        now = server.ask("GET", "/v1/watch")[2]
        check(0 < now["memory_bytes"] <= now["memory_bytes_peak"] <= LIMIT, f"memory now and at most: {now}")
        check(group.peak_bytes() <= LIMIT and group.oom_kills() == 0, f"{group.peak_bytes()} bytes of {LIMIT}")
        limit = LIMIT
        while "given back for good" not in server.log():
            limit -= STEP
            check(limit > LIMIT / 4, f"the limit is {limit / MIB:.0f} MiB, and nothing was given back: {server.log()}")
            server.wait_so(lambda: group.set_limit(limit), f"the limit could be {limit}")
            end = server.worked_s() + 0.3
            server.wait_so(lambda: server.worked_s() >= end, "it has worked under this limit")
        count = len(texts)
        server.wait_so(lambda: len(texts) >= count + 8, "texts are written on")
        stop.set()
        for writer in writers:
            writer.join()
        check(all(text == alone[prompt] for prompt, text in texts), "every text is what it was alone")
        server.process.send_signal(signal.SIGTERM)
        check(server.process.wait(PATIENCE_S) == 143 and group.oom_kills() == 0, f"it ends as it should: {server.log()[-500:]}")
        print(f"serve_ceiling: {len(texts)} texts, the limit went from {LIMIT // MIB} to {limit // MIB} MiB; "
              + re.search(r".*given back for good.*", server.log()).group(0))


if __name__ == "__main__":
    main()
