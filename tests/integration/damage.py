#!/usr/bin/env python3
"""damage.py - one weight that is not finite is an error that names its tensor, never words.

One block scale, or one float, of a small model becomes not a number or an infinity: in each tensor of a layer, for
each type of weights, at each instruction set of this CPU. So do weights so large that what is computed from them
overflows, and here the layer is named.
"""
import itertools
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import LONG, WEIR, check, make_model, memory_folder, remove

# By GGUF's number: values and bytes of a block, and where its halves are; none for floats.
BLOCKS = {0: (1, 4, []), 1: (1, 2, [0]), 30: (1, 2, []), 8: (32, 34, [0]), 2: (32, 18, [0]), 3: (32, 20, [0, 2]),
          6: (32, 22, [0]), 7: (32, 24, [0, 2]), 20: (32, 18, [0]), 10: (256, 84, [80, 82]), 11: (256, 110, [108]),
          39: (32, 17, [0]), 12: (256, 144, [0, 2]), 13: (256, 176, [0, 2]), 14: (256, 210, [208]), 23: (256, 136, [0]),
          16: (256, 66, [0]), 21: (256, 110, [0]), 34: (256, 54, [52]), 40: (64, 36, []), 42: (64, 18, [0])}
F32, BF16, MXFP4, NVFP4 = 0, 30, 39, 40
SHAPE = "tools/shapes/tiny-deepseek2.shape"
DELTA = "tools/shapes/tiny-delta.shape"
# Not a number, an infinity, minus an infinity.
HALVES = [b"\x00\x7e", b"\x00\x7c", b"\x00\xfc"]
BRAIN = [b"\xc0\x7f", b"\x80\x7f", b"\x80\xff"]
FLOATS = [struct.pack("<f", value) for value in (float("nan"), float("inf"), -float("inf"))]

IDS = [str(3 + at * 37 % 900) for at in range(48)]
TIMES = 2 if LONG else 1  # each tensor is damaged
LAYER = "blk.1."
WAYS = [[], ["--slots", "4", "--lookahead", "on"], ["--chunk", "7", "--threads", "1"], ["--slots", "5", "--chunk", "1"],
        ["--slots", "6", "--threads", "1"]]
# Of the types that are not among the first, what stands for the others.
FEW = ["token_embd.weight", LAYER + "attn_k.weight", LAYER + "ffn_down_exps.weight", "output.weight"]


class Gguf:
    """Where each tensor of a file is: type, dimensions, offset."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.at = 4
        _, tensor_count, key_count = self.take("<IQQ")
        for _ in range(key_count):
            self.text()
            self.skip_value(self.take("<I")[0])
        self.tensors = {}
        for _ in range(tensor_count):
            name = self.text()
            dims = list(self.take("<%dQ" % self.take("<I")[0]))
            self.tensors[name] = (dims, *self.take("<IQ"))
        self.base = -(-self.at // 32) * 32

    def take(self, form):
        values = struct.unpack_from(form, self.bytes, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self):
        length = self.take("<Q")[0]
        self.at += length
        return self.bytes[self.at - length:self.at].decode("utf-8", "replace")

    def skip_value(self, kind):
        sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            self.text()
        elif kind == 9:
            item, count = self.take("<IQ")
            for _ in range(count):
                self.skip_value(item)
        else:
            self.at += sizes[kind]

    def row_at(self, name, row):
        dims, kind, offset = self.tensors[name]
        values, size, _ = BLOCKS[kind]
        return self.base + offset + row * (dims[0] // values * size)

    def block_count(self, name):
        dims, kind, _ = self.tensors[name]
        count = 1
        for dim in dims:
            count *= dim
        return count // BLOCKS[kind][0]

    def damage(self, name, row, which, half):
        """What damages the first block of a row: where in the file, and the bytes."""
        kind = self.tensors[name][1]
        at = self.row_at(name, row)
        if kind == F32:
            bad = FLOATS[which]
        elif kind == BF16:
            bad = BRAIN[which]
        elif kind == MXFP4:
            bad = b"\xff"
        elif kind == NVFP4:
            bad = b"\x7f"
        else:
            bad, halves = HALVES[which], BLOCKS[kind][2]
            at += halves[half % len(halves)]
        return at, bad

    def enlarged(self, name, value):
        """The bytes with all floats, or all scales, as large as this."""
        _, kind, _ = self.tensors[name]
        _, size, halves = BLOCKS[kind]
        bad = struct.pack("<f" if kind == F32 else "<e", value)
        at = self.row_at(name, 0) + (halves[0] if halves else 0)
        changed = bytearray(self.bytes)
        for _ in range(self.block_count(name)):
            changed[at:at + len(bad)] = bad
            at += size
        return bytes(changed)


def levels(model):
    found = []
    for name in ("ref", "avx2", "avx512", "avx512-vnni", "neon-dotprod"):
        done = subprocess.run([WEIR, "run", model, "--ids", "1", "-n", "0", "--isa", name], capture_output=True)
        if done.returncode == 0:
            found.append(name)
    return found


def refused(path, ids, is_eval, options):
    """What weir says of a damaged model."""
    if is_eval:
        command = [WEIR, "eval", path, "--tokens", ids, "--ctx", str(len(IDS))]
    else:
        command = [WEIR, "run", path, "--ids", ",".join(IDS), "-n", "2", "--temp", "0"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    check(done.returncode == 1, f"{options}: exit {done.returncode}, wanted 1: {done.stdout!r} {done.stderr!r}")
    check(done.stdout == "", f"{options}: {done.stdout!r} came of a damaged model")
    return done.stderr


def roles(gguf):
    """The tensors of one layer, and those of the model."""
    return [name for name in gguf.tensors if name.startswith(LAYER) or not name.startswith("blk.")]


def row_of(gguf, name, variant):
    """A row that the text uses, and the expert it is of."""
    dims = gguf.tensors[name][0]
    if name == "token_embd.weight":
        return int(IDS[variant % len(IDS)]), None
    if len(dims) == 3:
        expert = variant * 5 % dims[2]
        return expert * dims[1] + variant * 11 % dims[1], expert
    return (variant * 11 % dims[1] if len(dims) == 2 else 0), None


def put(path, at, part):
    """Some bytes of a file, which is large."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(part)


def damage_each(gguf, path, ids, isas, names, count):
    """count ways to damage each tensor; every choice of each kind is met, in other company each time."""
    ways = itertools.cycle(WAYS)
    isa = itertools.cycle(isas)
    sort = itertools.cycle(range(3))
    with open(path, "wb") as file:
        file.write(gguf.bytes)
    for name in names:
        for turn in range(count):
            variant = len(name) * 3 + turn * 7
            row, expert = row_of(gguf, name, variant)
            at, bad = gguf.damage(name, row, next(sort), variant)
            put(path, at, bad)
            options = ["--isa", next(isa), *next(ways)]
            said = refused(path, ids, variant % 2 == 0, options)
            put(path, at, gguf.bytes[at:at + len(bad)])
            part = "head" if name.startswith(LAYER + "attn_") else "expert"
            wanted = f"tensor {name}" + ("" if expert is None else f", {part} {expert}:")
            check(wanted in said, f"{os.path.basename(gguf.path)}, {name} row {row}, {options}: wanted {wanted!r}, "
                                  f"found {said!r}")


def overflow_each(gguf, path, ids, isas, cases):
    """Weights that are finite, and too large for what is computed from them."""
    pairs = itertools.product(cases, isas) if LONG else zip(cases, itertools.cycle(isas))
    for (name, value, word), isa in pairs:
        with open(path, "wb") as file:
            file.write(gguf.enlarged(name, value))
        said = refused(path, ids, False, ["--isa", isa])
        check(word in said and "too large" in said and name in said,
              f"{os.path.basename(gguf.path)}, {name} all {value}, {isa}: wanted {word!r}, found {said!r}")


def model_of(kind, family):
    return Gguf(make_model(f"damage-{family}-{kind}", "--preset", "tiny", "--family", family, "--layers", 2, "--experts", 8,
                           "--type", kind))


def main():
    folder = memory_folder()
    path = os.path.join(folder, "damaged.gguf")
    ids = os.path.join(folder, "ids")
    with open(ids, "w") as file:
        file.write(" ".join(IDS))
    try:
        first = model_of("Q4_0", "qwen3moe")
        isas = levels(first.path)
        for kind in ("Q4_0", "Q4_K", "Q8_0", "F32"):
            gguf = model_of(kind, "qwen3moe")
            damage_each(gguf, path, ids, isas, roles(gguf), TIMES)
        for at, kind in enumerate(("F16", "BF16", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "MXFP4", "Q2_K", "Q3_K", "Q5_K", "Q6_K",
                                   "IQ4_XS", "IQ2_XXS", "IQ3_S", "TQ1_0", "NVFP4", "Q2_0")):
            names = FEW if LONG else [FEW[at % len(FEW)]]
            damage_each(model_of(kind, "olmoe"), path, ids, isas[at % len(isas):], names, 1)
        shared = model_of("Q4_0", "qwen2moe")
        damage_each(shared, path, ids, isas, roles(shared), TIMES)
        latent = Gguf(make_model("damage-latent", SHAPE, "--type", "Q4_0"))
        damage_each(latent, path, ids, isas, roles(latent), TIMES)
        overflow_each(latent, path, ids, isas, [(LAYER + "attn_kv_a_norm.weight", 1e6, "f16 ends at 65504")])
        for kind in ("Q4_0", "F32"):
            delta = Gguf(make_model(f"damage-delta-{kind}", DELTA, "--type", kind))
            damage_each(delta, path, ids, isas, roles(delta), TIMES)
        overflow_each(delta, path, ids, isas, [(LAYER + "attn_qkv.weight", 1e38, "layer 1: the gated delta net")])
        dense = model_of("F32", "llama")
        damage_each(dense, path, ids, isas, roles(dense), TIMES)
        overflow_each(dense, path, ids, isas, [
            (LAYER + "attn_k.weight", 1e4, "f16 ends at 65504"), (LAYER + "attn_v.weight", 1e4, "f16 ends at 65504"),
            (LAYER + "attn_q.weight", 1e38, "layer 1: attention"), (LAYER + "ffn_up.weight", 1e38, "layer 1: the feed"),
            (LAYER + "ffn_norm.weight", 3e38, "layer 1: the feed"), ("output.weight", 3e38, "logits")])
        overflow_each(model_of("Q8_0", "olmoe"), path, ids, isas, [
            (LAYER + "attn_v.weight", 65504.0, "f16 ends at 65504")])
    finally:
        remove(folder)
    print(f"damage: every tensor is named, at {', '.join(isas)}")


if __name__ == "__main__":
    main()
