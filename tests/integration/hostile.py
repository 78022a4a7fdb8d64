#!/usr/bin/env python3
"""hostile.py - directories and tokenizers made to harm: each is refused in words that name the thing, in little time and a few
hundred MB, whatever it claims.

What one wrong value does is tests/unit/hf_sweep_test.c; this is what is large, deep, or no file at all.
"""
import json
import os
import shutil
import struct
import sys

from harness import ROOT, WEIR, check, memory_folder, remove

SECONDS = 5.0  # of processor time: a tenth of one on a machine that is not busy
PEAK_KIB = 320 << 10
GOLDEN = os.path.join(ROOT, "tests", "golden")
ONE = os.path.join(GOLDEN, "directories", "qwen3")  # in one file of weights
MANY = os.path.join(GOLDEN, "directories", "qwen3moe-bf16")  # in three, and an index
INDEX = "model.safetensors.index.json"
SHARD = "model-00002-of-00003.safetensors"
DEEP = 10000
BIG = 95 << 20  # below every limit of a file, so that all of it is read


def run(folder, *arguments):
    """Status, messages, seconds of processor time and the peak of memory."""
    errors = os.path.join(folder, "errors")
    out = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    child = os.posix_spawn(WEIR, [WEIR, *arguments], os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, out, 2)])
    os.close(out)
    _, status, used = os.wait4(child, 0)
    with open(errors, "rb") as file:
        words = file.read().decode("utf-8", "replace")
    return os.waitstatus_to_exitcode(status), words, used.ru_utime + used.ru_stime, used.ru_maxrss


class Directory:
    """A copy of a golden directory that is then spoiled."""

    def __init__(self, scratch, name, source):
        self.scratch, self.name = scratch, name
        self.path = os.path.join(scratch, "model")
        remove(self.path)
        shutil.copytree(source, self.path)

    def file(self, name):
        return os.path.join(self.path, name)

    def write(self, name, data):
        """data: bytes, or what makes them. A child does it: the kernel counts our own peak as that of whom we start."""
        child = os.fork()
        if child == 0:
            with open(self.file(name), "wb") as file:
                file.write(data() if callable(data) else data)
            os._exit(0)
        check(os.waitpid(child, 0)[1] == 0, f"{name} cannot be written")

    def replace(self, name):
        """Nothing of that name is there any more; where it was."""
        os.remove(self.file(name))
        return self.file(name)

    def config(self, **members):
        with open(self.file("config.json")) as file:
            old = json.load(file)
        self.write("config.json", json.dumps(old | members).encode())

    def tensors(self, name, header, claimed=None):
        def make():
            text = header() if callable(header) else header
            return struct.pack("<Q", len(text) if claimed is None else claimed) + text
        self.write(name, make)

    def refused(self, *words, command=("plan",)):
        target = self.path
        status, errors, seconds, peak = run(self.scratch, command[0], target, *command[1:])
        what = f"{self.name}: exit {status}, {seconds:.2f} s, {peak} KiB: {errors[:400]}"
        check(status == 1 and errors.count("\n") <= 3, what)
        for word in words:
            check(word in errors, f"wanted \"{word}\": {what}")
        check(seconds <= SECONDS and peak <= PEAK_KIB, what)
        print(f"  {self.name}: {seconds:.2f} s, {peak >> 10} MiB: {errors.strip()[:150]}")


def no_files(scratch):
    """Where a file is wanted and something else is there."""
    for name in ("config.json", "model.safetensors"):
        spoiled = Directory(scratch, f"{name} is a folder", ONE)
        os.mkdir(spoiled.replace(name))
        spoiled.refused(name)
        spoiled = Directory(scratch, f"{name} is a pipe", ONE)
        os.mkfifo(spoiled.replace(name))
        spoiled.refused(name)
        spoiled = Directory(scratch, f"{name} never ends", ONE)
        os.symlink("/dev/zero", spoiled.replace(name))
        spoiled.refused(name)
        spoiled = Directory(scratch, f"{name} leads to itself", ONE)
        os.symlink(name, spoiled.replace(name))
        spoiled.refused(name)
        spoiled = Directory(scratch, f"{name} is empty", ONE)
        spoiled.write(name, b"")
        spoiled.refused(name, "empty")


def headers(scratch):
    for claimed in (1 << 30, 1 << 62, (1 << 64) - 1, 99_000_000):
        spoiled = Directory(scratch, f"a header that claims {claimed} bytes", MANY)
        spoiled.tensors(SHARD, b"{}", claimed=claimed)
        spoiled.refused(SHARD, "header", str(claimed) if claimed > 100_000_000 else str(claimed + 8))
    for mark in (b"[", b'{"a":'):
        spoiled = Directory(scratch, f"a header {DEEP} deep of {mark.decode()}", MANY)
        spoiled.tensors(SHARD, mark * DEEP)
        spoiled.refused(SHARD)
    spoiled = Directory(scratch, "a header of blanks", ONE)
    spoiled.tensors("model.safetensors", lambda: b" " * BIG)
    spoiled.refused("model.safetensors")
    spoiled = Directory(scratch, "300000 tensors of nothing", ONE)
    row = b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    spoiled.tensors("model.safetensors", lambda: b"{" + b",".join(row % index for index in range(300_000)) + b"}")
    spoiled.refused("model.safetensors")
    spoiled = Directory(scratch, "a file of two TB, nearly all of it a hole", ONE)
    with open(spoiled.file("model.safetensors"), "r+b") as file:
        file.truncate(1 << 41)
    spoiled.refused("model.safetensors", "belong to no tensor")


def indexes(scratch):
    def index(name, weight_map):
        spoiled = Directory(scratch, name, MANY)
        spoiled.write(INDEX, lambda: json.dumps({"weight_map": weight_map() if callable(weight_map) else weight_map}).encode())
        return spoiled

    with open(os.path.join(MANY, INDEX)) as file:
        whole = json.load(file)["weight_map"]
    some = next(iter(whole))
    index("an index of a file that is not there", whole | {some: "model-9.safetensors"}).refused("model-9.safetensors")
    for name in ("../" + SHARD, "/etc/passwd", ".", "..", "", "a/b", "x" * 300, "a\0b"):
        index(f"an index that leads to {name[:20]!r}", whole | {some: name}).refused(INDEX)
    index("an index of 600 files", {f"t{number}": f"{number}.safetensors" for number in range(600)}).refused(INDEX, "512")
    index("an index with a tensor too many", whole | {"model.extra": SHARD}).refused(INDEX, "model.extra")
    index("an index without a tensor", {name: file for name, file in whole.items() if name != some}).refused(INDEX, some)
    index("an index of too many lines", lambda: {str(number): SHARD for number in range(1_100_000)}).refused(INDEX, "1100000")
    spoiled = Directory(scratch, "an index with a tensor twice", MANY)
    again = f'{{"{some}": "{whole[some]}", '.encode()
    spoiled.write(INDEX, b'{"weight_map": ' + again + json.dumps(whole).encode()[1:] + b"}")
    spoiled.refused(INDEX, some, "twice")
    spoiled = Directory(scratch, "two files with the same tensors", MANY)
    shutil.copyfile(spoiled.file(SHARD), spoiled.file("model-00001-of-00003.safetensors"))
    spoiled.refused("twice")


def configs(scratch):
    spoiled = Directory(scratch, "a configuration of 2 MB", ONE)
    spoiled.config(more="x" * (2 << 20))
    spoiled.refused("config.json", "at most")
    for mark, end in ((b"[", b"]"), (b'{"model_type":', b"1" + b"}")):
        spoiled = Directory(scratch, f"a configuration {DEEP} deep of {mark.decode()}", ONE)
        spoiled.write("config.json", mark * DEEP + end * DEEP)
        spoiled.refused("config.json")
    for name, number in (("num_hidden_layers", 4_000_000_000), ("num_attention_heads", 4_000_000_000),
                         ("head_dim", 2_000_000_000), ("hidden_size", 4_000_000_000), ("intermediate_size", -1)):
        spoiled = Directory(scratch, f"{name} {number}", ONE)
        spoiled.config(**{name: number})
        spoiled.refused()


def tokenizers(scratch):
    def spoil(name, data):
        spoiled = Directory(scratch, name, ONE)
        spoiled.write("tokenizer.json", data)
        return spoiled

    ask = ("tokenize", "-p", "a")
    with open(os.path.join(ONE, "tokenizer.json")) as file:
        whole = json.load(file)
    spoil("a tokenizer of blanks", lambda: b" " * BIG).refused("tokenizer.json", command=ask)
    spoil(f"a tokenizer {DEEP} deep", b"[" * DEEP).refused("tokenizer.json", "64 deep", command=ask)
    spoil("a tokenizer of 101 MB", lambda: b" " * 101_000_000).refused("tokenizer.json", "at most", command=ask)

    def nested():
        steps = {"type": "Replace", "pattern": {"String": "a" * (10 << 20)}, "content": "b"}
        for _ in range(28):
            steps = {"type": "Sequence", "normalizers": [steps]}
        return json.dumps(whole | {"normalizer": steps | {"x": 1}}).encode()

    spoil("normalizers in normalizers around 10 MB", nested).refused("tokenizer.json", command=ask)
    splits = [{"type": "Split", "pattern": {"Regex": "a" * 511}, "behavior": "Contiguous", "invert": False}] * 20
    spoil("many long patterns", json.dumps(whole | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": splits}}).encode()).refused(
        "tokenizer.json", command=ask)
    wide = {"id": 4_000_000_000, "content": "x", "special": True}
    spoil("a token with a large number", json.dumps(whole | {"added_tokens": [wide]}).encode()).refused(
        "tokenizer.json", "4000000000", command=ask)


def main():
    scratch = memory_folder(256 << 20)
    try:
        for deed in (no_files, headers, indexes, configs, tokenizers):
            deed(scratch)
    finally:
        remove(scratch)


main()
