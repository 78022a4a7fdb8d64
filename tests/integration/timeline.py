#!/usr/bin/env python3
"""timeline.py - what --trace writes is what happened: spans nest, reads end, their bytes are the run's."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, HELDOUT, ceilings, check, remove, scratch_folder, weir_json

N_LAYER = 12  # of the demo, all of them with experts
N_TOKEN = 12
RUN = ["run", DEMO, "-p", "The old man", "-n", N_TOKEN, "--temp", 0, "--ignore-eos", "--threads", 3]


class Timeline:
    """A parsed file. Times are whole nanoseconds, so that touching spans compare exactly."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.root = json.load(file, parse_float=lambda text: int(text.replace(".", "")))
        self.events = self.root["traceEvents"]
        self.threads = {event["tid"]: event["args"]["name"] for event in self.events if event["name"] == "thread_name"}
        self.spans = [event for event in self.events if event["ph"] == "X"]

    def named(self, name):
        return [span for span in self.spans if span["name"] == name]

    def reads(self, category):
        return [event for event in self.events if event["ph"] == "b" and event["cat"] == category]


def check_nesting(timeline):
    """On one thread two spans are apart, or one holds the other."""
    for tid, thread in timeline.threads.items():
        around = []
        spans = [span for span in timeline.spans if span["tid"] == tid]
        for span in sorted(spans, key=lambda span: (span["ts"], -span["dur"])):
            while around and around[-1]["ts"] + around[-1]["dur"] <= span["ts"]:
                around.pop()
            check(not around or span["ts"] + span["dur"] <= around[-1]["ts"] + around[-1]["dur"],
                  f"{thread}: {span} begins inside {around[-1] if around else None} and ends after it")
            around.append(span)


def check_reads(timeline, run):
    begun, ended = {}, {}
    for event in timeline.events:
        if event["ph"] in "be":
            of_phase = begun if event["ph"] == "b" else ended
            check((event["cat"], event["id"]) not in of_phase, f"two events {event}")
            of_phase[event["cat"], event["id"]] = event["ts"]
    check(begun.keys() == ended.keys(), f"reads without an end {begun.keys() ^ ended.keys()}")
    check(all(ended[key] >= begun[key] for key in begun), "a read ends before it begins")
    demand = [read for category in ("demand", "look-ahead", "promoted") for read in timeline.reads(category)]
    check(sum(read["args"]["bytes"] for read in demand) == run["bytes_read"],
          f"{sum(read['args']['bytes'] for read in demand)} bytes of reads, the run says {run['bytes_read']}")
    places = {(read["args"]["layer"], read["args"]["record"], read["args"]["slice"]) for read in demand}
    check({layer for layer, _, _ in places} == set(range(N_LAYER)), f"layers {sorted(places)}")
    check({part for _, _, part in places} == {0, 1, 2}, f"slices {sorted(places)}")


def check_steps(timeline, run):
    """Prompt and tokens: the last one generated is never computed."""
    steps = [(step["args"]["position"], step["args"]["tokens"]) for step in timeline.named("step")]
    computed = run["prompt_tokens"] + N_TOKEN - 1
    check(sum(count for _, count in steps) == computed, f"steps {steps}, {computed} tokens were computed")
    check([at for at, _ in steps] == [sum(count for _, count in steps[:index]) for index in range(len(steps))],
          f"positions of {steps}")
    for name in ("layer", "attention", "route", "experts"):
        layers = [span["args"]["layer"] for span in timeline.named(name)]
        check(layers == list(range(N_LAYER)) * len(steps), f"{name} of {len(steps)} steps: {layers}")
    check(len(timeline.named("logits")) == N_TOKEN, f"{len(timeline.named('logits'))} logits")
    check(len(timeline.named("load")) == 1, "one load")


def what_a_busy_machine_hides(timeline, run):
    """What is wrong, "" for nothing: a thread may find no processor as long as the run lasts, and time passes between two looks
    at the clock, so this need only be right once."""
    waited_ns = sum(span["dur"] for layer in timeline.named("experts") for span in timeline.named("wait")
                    if layer["ts"] <= span["ts"] < layer["ts"] + layer["dur"])
    if abs(waited_ns * 1e-9 - run["io_wait_s"]) > 0.01 + 0.1 * run["io_wait_s"]:
        return f"{waited_ns * 1e-9} s of waits inside experts, the run says {run['io_wait_s']} s"
    if not {"engine", "weir-cpu-1", "weir-cpu-2"} <= set(timeline.threads.values()):
        return f"tracks {timeline.threads}"
    readers = sorted(name for name in timeline.threads.values() if name.startswith("weir-io-"))
    if len(readers) != (4 if run["mode"]["io"] == "threads" else 0):
        return f"readers {readers} of {run['mode']}"
    return ""


def trace_a_streamed_run(path, plain, io, least):
    ceiling = least + 131072 * 48 + (1 << 20)
    run = weir_json(*RUN, "--mem", ceiling, "--io", io, "--trace", path)
    check(run["mode"]["slots"] < 32, f"a ceiling of {ceiling} must stream: {run['mode']}")
    check(run["ids"] == plain["ids"], f"--trace changes the text: {run['ids']}, wanted {plain['ids']}")
    check(run["peak_bytes"] <= ceiling, f"peak {run['peak_bytes']} over the ceiling {ceiling}")
    timeline = Timeline(path)
    check(timeline.root["otherData"]["dropped_events"] == 0, f"dropped {timeline.root['otherData']}")
    check_nesting(timeline)
    check_reads(timeline, run)
    check_steps(timeline, run)
    return what_a_busy_machine_hides(timeline, run)


def test_trace_of_a_streamed_run(folder):
    path = os.path.join(folder, "run.json")
    plain = weir_json(*RUN)
    least = ceilings(DEMO, "--threads", 3)["min_bytes"]
    for io in ("auto", "threads"):
        for _ in range(20):
            wrong = trace_a_streamed_run(path, plain, io, least)
            if not wrong:
                break
        check(not wrong, f"20 times of 20: {wrong}")


def test_resident_run_fills(folder):
    path = os.path.join(folder, "resident.json")
    run = weir_json(*RUN, "--trace", path)
    timeline = Timeline(path)
    check(run["bytes_read"] == 0 and not timeline.reads("demand"), "a resident run reads nothing on demand")
    check(len(timeline.reads("fill")) == 3 * run["mode"]["slots"] * N_LAYER, f"{len(timeline.reads('fill'))} fills")


def test_room_is_planned(folder):
    """The ceiling counts the timeline; without room for all events the first ones are kept."""
    path = os.path.join(folder, "full.json")
    least = ceilings(DEMO)["min_bytes"]
    status, text = weir_json(*RUN, "--mem", least, "--trace", path, ok=False)
    check(status == 1 and "smallest that does" in text, f"{least} bytes with a timeline: {status} {text}")
    check(not os.path.exists(path), "a refused run leaves no file")
    done = subprocess.run([harness.WEIR, *map(str, RUN), "--trace", path, "--trace-events", "1000"], capture_output=True)
    check(done.returncode == 0 and b"--trace-events" in done.stderr, f"a full timeline: {done}")
    timeline = Timeline(path)
    other = timeline.root["otherData"]
    check(other["events"] == 1000 and other["dropped_events"] > 0, f"a full timeline says {other}")
    check(f"last {other['dropped_events']} events".encode() in done.stderr, f"stderr {done.stderr}")
    check(len(timeline.spans) + sum(event["ph"] == "b" for event in timeline.events) == 1000, "events and their count")


def test_other_commands(folder):
    path = os.path.join(folder, "other.json")
    weir_json("bench", DEMO, "--prompt", 4, "--gen", 3, "--repeat", 2, "--expert-share", 0.3, "--trace", path)
    check(sum(step["args"]["tokens"] for step in Timeline(path).named("step")) == 14, "steps of bench")
    weir_json("eval", DEMO, "--text", HELDOUT, "--ctx", 32, "--chunks", 2, "--trace", path)
    check(sum(step["args"]["tokens"] for step in Timeline(path).named("step")) == 64, "steps of eval")


def test_files_that_cannot_be_written(folder):
    path = os.path.join(folder, "no", "such", "folder.json")
    status, text = weir_json(*RUN, "--trace", path, "--mem", 1, ok=False)
    check(status == 1 and path in text and "ceiling" not in text, f"said before anything is planned: {status} {text}")
    status, text = weir_json(*RUN, "--trace", "/dev/full", ok=False)
    check(status == 1 and "/dev/full" in text and "No space left" in text, f"a full disk: {status} {text}")


def main():
    folder = scratch_folder()
    for name, test in sorted(globals().items()):
        if name.startswith("test_"):
            test(folder)
    remove(folder)


main()
