#!/usr/bin/env python3
"""remote.py - weir plan and weir info of a model on a server read the heads of its files, and nothing more."""
import json
import os
import resource
import signal
import struct
import time

from gguf_edit import Gguf, string
from harness import DEMO, PATIENCE_S, ROOT, WEIR, check, skip, wait_for
from hub_server import Hub
from pull import TOKEN, demo, scene

# Bytes and values of a block, by GGUF's number of the type.
BLOCKS = {0: (4, 1), 2: (18, 32), 8: (34, 32)}
WIDER = 1000  # times the width of the demo model's experts: 16 GB
MIB = 1 << 20
DIRECTORY = "bailingmoe2"


class Sparse:
    """A file with a head and zeros behind it."""

    def __init__(self, head, length):
        self.head, self.length = head, length

    def __len__(self):
        return self.length

    def __getitem__(self, at):
        head = self.head[at.start:at.stop]
        return head + bytes(at.stop - at.start - len(head))


def tensors_of(model):
    """(name, dims, type) of each tensor of a Gguf."""
    at, found = 0, []
    while at < len(model.infos):
        length = struct.unpack_from("<Q", model.infos, at)[0]
        name = model.infos[at + 8:at + 8 + length].decode()
        at += 8 + length
        count = struct.unpack_from("<I", model.infos, at)[0]
        dims = struct.unpack_from(f"<{count}Q", model.infos, at + 4)
        found.append((name, list(dims), struct.unpack_from("<I", model.infos, at + 4 + 8 * count)[0]))
        at += 4 + 8 * count + 12
    return found


def head_of(keys, tensors):
    """A file of these keys and tensors that has no data."""
    infos, offset = b"", 0
    for name, dims, kind in tensors:
        infos += string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        infos += struct.pack("<IQ", kind, offset)
        block_bytes, block_values = BLOCKS[kind]
        values = 1
        for dim in dims:
            values *= dim
        offset += -(-(values // block_values * block_bytes) // 32) * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, (kind, data) in keys.items():
        head += string(name) + struct.pack("<I", kind) + data
    head += infos
    head += bytes(-len(head) % 32)
    return Sparse(head, len(head) + offset)


def large(part_count):
    """Files of a model of 16 GB, as the demo model but for the width of its experts."""
    model = Gguf(DEMO)
    tensors = tensors_of(model)
    for name, dims, _ in tensors:
        if "_exps" in name:
            dims[0 if "_down_" in name else 1] *= WIDER
    width = model.keys["qwen3moe.expert_feed_forward_length"]
    model.keys["qwen3moe.expert_feed_forward_length"] = (width[0], struct.pack("<I", struct.unpack("<I", width[1])[0] * WIDER))
    files = {}
    for part in range(part_count):
        keys = dict(model.keys) if part == 0 else {}
        own = Gguf.__new__(Gguf)
        own.keys = keys
        own.set("split.no", "u16", part)
        own.set("split.count", "u16", part_count)
        own.set("split.tensors.count", "i32", len(tensors))
        files[f"Q4/m-0000{part + 1}-of-0000{part_count}.gguf"] = head_of(keys, tensors[part::part_count])
    return files


def long_head(length=3 * MIB):
    """The demo model with a head of a few MiB."""
    model = Gguf(DEMO)
    model.set("general.description", "str", "x" * length)
    path = os.path.join(ROOT, "build", f"long-head-{os.getpid()}.gguf")
    with open(model.write(path), "rb") as file:
        data = file.read()
    os.remove(path)
    return data


def left_over(at):
    """Folders of heads that are still there."""
    return [name for folder in (at.home, at.folder, os.path.dirname(at.home)) if os.path.isdir(folder)
            for name in os.listdir(folder) if name.startswith(".weir-head-")]


def has_left_nothing(at):
    check(not left_over(at) and not os.path.exists(at.folder), f"left over: {left_over(at)}")


def tells(at, *args, **keywords):
    done = at.weir(*args, "--json", **keywords)
    check(done.returncode == 0, f"{args}: exit {done.returncode}: {done.told}")
    has_left_nothing(at)
    return json.loads(done.said)


def before_it_is_here():
    with scene() as at:
        files = large(2)
        at.hub.lfs = False
        at.hub.files = {"org/repo": files}
        at.hub.etags = {name: f'"{name}"' for name in files}
        plan = tells(at, "plan", "hf:org/repo", "--mem", "3G")
        check(plan["fits"] and plan["model"] == "hf:org/repo" and plan["resident_bytes"] > 15 << 30, f"{plan}")
        check(plan["slots_total"] < plan["experts_total"] and plan["expected"]["decode_tps"][0] > 0, f"{plan['expected']}")
        check(all(headers["Range"].startswith("bytes=") for headers in at.hub.asked(".gguf")), "only ranges are asked for")
        check(at.hub.sent_bytes <= 2 * MIB, f"{at.hub.sent_bytes} bytes were sent for a plan")
        info = tells(at, "info", "hf:org/repo:Q4/m")
        check(info["runs"] and info["file_count"] == 2 and info["file_bytes"] == sum(map(len, files.values())), f"{info}")
        words = at.weir("plan", f"{at.hub.url}/bytes/org/repo/Q4/m-00002-of-00002.gguf", "--mem", "3G")
        check(words.said.startswith("Fits: a 14.") and "tokens/s" in words.said, words.said + words.told)
        at.fails("the smallest that does is", "plan", "hf:org/repo", "--mem", "10M")
        has_left_nothing(at)
        files["Q4/m-00002-of-00002.gguf"] = files["Q4/m-00001-of-00002.gguf"]
        told = at.fails("m-00002-of-00002.gguf: key split.no", "info", "hf:org/repo").told
        check("/Q4" not in told and ".weir-head" not in told, f"messages name the file and not where its head is: {told}")
        has_left_nothing(at)


def as_when_it_is_here():
    with scene(**{"weir-demo.gguf": demo()}) as at:
        here = json.loads(at.weir("info", DEMO, "--json").said)
        there = tells(at, "info", "hf:org/repo")
        check({**here, "model": there["model"]} == there, f"info: {here} and {there}")
        # Below the smallest ceiling nothing is measured. The path is in memory too, and has another length.
        here = json.loads(at.weir("plan", DEMO, "--mem", "9M", "--json").said)
        there = json.loads(at.weir("plan", "hf:org/repo", "--mem", "9M", "--json").said)
        check(here["state"] == there["state"] and here["token_bytes"] == there["token_bytes"], f"{here} and {there}")
        check(abs(here["min_bytes"] - there["min_bytes"]) < 1000, f"{here['min_bytes']} and {there['min_bytes']}")
        lines = at.weir("info", "hf:org/repo", "--verbose").said
        check("blk.11.ffn_down_exps.weight" in lines and "general.architecture" in lines, "all keys and tensors are listed")
    folder = os.path.join(ROOT, "tests", "golden", "directories", DIRECTORY)
    files = {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)}
    with scene(**files) as at:
        here = json.loads(at.weir("info", folder, "--json").said)
        there = tells(at, "info", "hf:org/repo")
        check(there["name"] == "repo" and there["model"] == "hf:org/repo", f"{there}")
        for key in ("model", "name", "warnings"):
            here.pop(key), there.pop(key)
        check(here == there, f"a directory: {here} and {there}")


def a_long_head():
    with scene(**{"m.gguf": long_head()}) as at:
        tells(at, "info", "hf:org/repo")
        ranges = [headers["Range"][6:].split("-") for headers in at.hub.asked("m.gguf")]
        check(len(ranges) == 3 and all(int(one[1]) + 1 == int(next[0]) for one, next in zip(ranges, ranges[1:])),
              f"no byte is asked for twice: {ranges}")
        at.hub.no_ranges = True
        at.fails(["sends only whole files", "weir pull"], "info", "hf:org/repo")
        at.hub.files["org/repo"]["m.gguf"] = demo()
        at.hub.hold_after = {"m.gguf": 8 * MIB}  # what is not wanted is not waited for: it never comes
        tells(at, "info", "hf:org/repo")  # what is at the beginning is there without ranges too
        at.hub.release()


def breaks_off_and_lies():
    with scene(**{"m.gguf": long_head()}) as at:
        at.hub.break_after = {"m.gguf": [300000]}
        tells(at, "info", "hf:org/repo")
        check(at.hub.asked("m.gguf")[1]["Range"].startswith("bytes=300000-"), "it goes on where it ended")
        at.hub.break_after = {"m.gguf": [0] * 4}
        at.fails("cannot be had", "info", "hf:org/repo")
        at.hub.break_after = {}
        at.hub.status = {"m.gguf": [(503, {})]}
        tells(at, "info", "hf:org/repo")
        for name, value, words in (("lie_bytes", {"m.gguf": 5}, "as the list of files says; the server has"),
                                   ("lie_first", {"m.gguf": 7}, "from 0 on, the server sends those from 7"),
                                   ("sends", {"m.gguf": b"<html>" * 99}, "the server has 594"),
                                   ("status", {"m.gguf": [(404, {})]}, "is not there")):
            before = getattr(at.hub, name)
            setattr(at.hub, name, value)
            at.fails(words, "info", "hf:org/repo")
            setattr(at.hub, name, before)
            has_left_nothing(at)
        url = f"{at.hub.url}/bytes/org/repo/m.gguf"
        at.hub.no_ranges, at.hub.no_length = True, {"m.gguf"}
        at.fails("does not say how long", "info", url)
        at.hub.no_ranges, at.hub.no_length = False, set()
        at.hub.files["org/repo"]["m.gguf"] = b"<html>" * 99
        at.fails("m.gguf is not a GGUF file", "info", url)
        at.hub.files["org/repo"]["m.gguf"] = demo()[:5000]
        at.fails("cut off in", "info", url)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        at.fails("cannot write", "plan", url, preexec_fn=limit)
        has_left_nothing(at)


def another_file_meanwhile():
    with scene(**{"m.gguf": long_head()}) as at:
        at.hub.lfs = False
        at.hub.hold_after = {"m.gguf": 1 << 19}
        process = at.start("info", "hf:org/repo")
        wait_for(lambda: at.hub.sent_bytes == 1 << 19, "the beginning of the old file is sent", process)
        at.hub.files["org/repo"]["m.gguf"] = long_head()[:-1] + b"!"
        at.hub.release()
        _, told = process.communicate(timeout=PATIENCE_S)
        check(process.returncode == 1 and "has changed on the server" in told, f"{process.returncode}: {told}")
        has_left_nothing(at)


def sent_elsewhere():
    with scene(**{"m.gguf": demo()}) as at:
        other = Hub()
        other.files = at.hub.files
        at.hub.elsewhere = other.url
        tells(at, "info", "hf:org/repo", env={"HF_TOKEN": TOKEN})
        check(TOKEN in str(at.hub.seen) and TOKEN not in str(other.seen), "only the hub has the token")
        check(other.asked("m.gguf")[0]["Range"] == f"bytes=0-{MIB - 1}", "a range is asked for behind a redirect too")
        other.close()


def stopped():
    with scene(**{"m.gguf": long_head()}) as at:
        at.hub.hold_after = {"m.gguf": 1 << 19}
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            asked = len(at.hub.asked("m.gguf"))
            process = at.start("plan", "hf:org/repo")
            wait_for(lambda: len(at.hub.asked("m.gguf")) > asked, "the head is asked for", process)
            process.send_signal(number)
            process.communicate(timeout=PATIENCE_S)
            check(process.returncode == code, f"signal {number}: exit {process.returncode}")
            check(len(left_over(at)) == (code == -9), f"signal {number}: {left_over(at)}")
        at.hub.release()
        tells(at, "info", "hf:org/repo")  # what a killed one left goes with the next


def main():
    if not os.path.exists(WEIR):
        skip("build/release/weir is not built")
    for scenario in (before_it_is_here, as_when_it_is_here, a_long_head, breaks_off_and_lies, another_file_meanwhile,
                     sent_elsewhere, stopped):
        begin = time.monotonic()
        scenario()
        print(f"{scenario.__name__}: {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    main()
