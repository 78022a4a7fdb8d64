#!/usr/bin/env python3
"""widths.py - formats chosen for all experts, for each projection, layer, tensor, expert or matrix: divergence of each at equal bytes.

    bench/widths.py MODEL --calibrate TEXT --judge TEXT [--folder DIR] [--chunks N] [--probe-chunks N] [--bits B,B,...] [--measure-each]

MODEL is in BF16. Its experts are written in each format and read back as BF16, so that a file of any mixture is made by copying experts'
bytes, and run as the model itself: no format for single experts is needed to learn what it would bring. A matrix costs slope * error: its
error is that of its values, squared by the importance of columns as often as its expert is used, and its tensor's slope is measured,
with the tensor alone in Q2_K. --measure-each: the slope of each expert too, one after the other. The choice is on the convex hull, by
the most loss saved for a byte, and only of experts; all else stays as it is. Wants numpy.
"""
import argparse
import json
import os
import shutil
import struct
import subprocess
import sys

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR = os.path.join(ROOT, "build", "release", "weir")
BITS = {"IQ2_XXS": 2.0625, "IQ2_S": 2.5625, "Q2_K": 2.625, "IQ3_XXS": 3.0625, "IQ3_S": 3.4375, "IQ4_XS": 4.25, "Q5_K": 5.5, "Q6_K": 6.5625}
PROBE = "Q2_K"
PROJECTIONS = ("gate", "up", "down")
SORTS = {"all experts": lambda m: 0, "each projection": lambda m: m[1], "each layer": lambda m: m[0], "each tensor": lambda m: m[:2],
         "each expert": lambda m: (m[0], m[2]), "each matrix": lambda m: m}


def weir(*args):
    done = subprocess.run([WEIR, *map(str, args), "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"weir {' '.join(map(str, args))}: {done.stderr}")
    return json.loads(done.stdout)


def tensors_of(path):
    """name to (dims, offset in the file)."""
    with open(path, "rb") as file:
        data = file.read(32 << 20)
    at = 24
    count, keys = struct.unpack_from("<QQ", data, 8)

    def skip_text(at):
        return at + 8 + struct.unpack_from("<Q", data, at)[0]

    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    align = 32
    for _ in range(keys):
        name = data[at + 8:skip_text(at)]
        at = skip_text(at)
        kind = struct.unpack_from("<I", data, at)[0]
        at += 4
        if name == b"general.alignment":
            align = struct.unpack_from("<I", data, at)[0]
        if kind == 8:
            at = skip_text(at)
        elif kind == 9:
            element, length = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(length if element == 8 else 0):
                at = skip_text(at)
            at += 0 if element == 8 else sizes[element] * length
        else:
            at += sizes[kind]
    found = {}
    for _ in range(count):
        name = data[at + 8:skip_text(at)].decode()
        at = skip_text(at)
        n_dim = struct.unpack_from("<I", data, at)[0]
        dims = struct.unpack_from(f"<{n_dim}Q", data, at + 4)
        at += 4 + 8 * n_dim + 4
        found[name] = (dims, struct.unpack_from("<Q", data, at)[0])
        at += 8
    base = -(-at // align) * align
    return {name: (dims, base + offset) for name, (dims, offset) in found.items()}


def values(path, place, expert):
    """An expert's matrix as float32."""
    (cols, rows, _), offset = place
    raw = numpy.fromfile(path, dtype="<u2", count=cols * rows, offset=offset + expert * cols * rows * 2)
    return (raw.astype("<u4") << 16).view("<f4").reshape(rows, cols)


class Trial:
    """The model with some experts in other formats."""

    def __init__(self, options):
        self.options = options
        self.tensors = tensors_of(options.model)
        self.layers = 1 + max(int(name.split(".")[1]) for name in self.tensors if name.startswith("blk."))
        self.experts = self.tensors["blk.0.ffn_gate_exps.weight"][0][2]
        self.matrices = [(layer, projection, expert) for layer in range(self.layers) for projection in range(3)
                         for expert in range(self.experts)]
        self.path = os.path.join(options.folder, "trial.gguf")
        self.changed = set()
        if not os.path.exists(self.path):
            shutil.copyfile(options.model, self.path)
        else:
            self.changed = set(self.matrices)

    def place(self, matrix):
        return self.tensors[f"blk.{matrix[0]}.ffn_{PROJECTIONS[matrix[1]]}_exps.weight"]

    def source(self, kind):
        return os.path.join(self.options.folder, f"{kind}.b16")

    def make_sources(self, importance):
        for kind in BITS:
            if os.path.exists(self.source(kind)):
                continue
            coded = self.source(kind) + ".coded"
            weir("quantize", self.options.model, coded, "--tensor", f"*_exps*={kind}", "--type", "BF16", "--imatrix", importance,
                 "--allow-unweighted")
            weir("quantize", coded, self.source(kind), "--type", "BF16")
            os.remove(coded)
        for kind in BITS:
            if tensors_of(self.source(kind)) != self.tensors:
                sys.exit(f"{self.source(kind)}: its tensors do not lie as the model's do")

    def measure_errors(self, importance):
        kept = os.path.join(self.options.folder, "errors.npy")
        if os.path.exists(kept):
            return numpy.load(kept, allow_pickle=True).item()
        sums = tensors_of(importance)
        errors = {}
        for matrix in self.matrices:
            name = f"blk.{matrix[0]}.ffn_{PROJECTIONS[matrix[1]]}_exps.weight"
            place = self.tensors[name]
            cols = place[0][0]
            weights = numpy.fromfile(importance, dtype="<f4", count=cols, offset=sums[name + ".in_sum2"][1] + matrix[2] * cols * 4)
            own = values(self.options.model, place, matrix[2])
            errors[matrix] = {kind: float((((values(self.source(kind), place, matrix[2]) - own) ** 2).sum(axis=0) * weights).sum())
                              for kind in BITS}
        numpy.save(kept, errors, allow_pickle=True)
        return errors

    def write(self, choice):
        """choice: matrix to format; what is not in it is the model's own."""
        with open(self.path, "r+b") as out:
            for matrix in sorted(self.changed | set(choice)):
                (cols, rows, _), offset = self.place(matrix)
                size = cols * rows * 2
                source = self.source(choice[matrix]) if matrix in choice else self.options.model
                with open(source, "rb") as file:
                    file.seek(offset + matrix[2] * size)
                    data = file.read(size)
                out.seek(offset + matrix[2] * size)
                out.write(data)
        self.changed = set(choice)

    def judge(self, choice, reference, chunks):
        self.write(choice)
        return weir("eval", self.path, "--reference", reference, "--chunks", chunks)


def choose(groups, costs, budget, weights=None):
    """groups: name to matrices. The most loss saved for a byte along each group's hull, while it fits; the best of what is left.
    weights: how much a matrix's bytes count; None: all the same."""
    def loss(group, kind):
        return sum(costs[matrix][kind] for matrix in groups[group])

    at, steps, used = {}, [], 0.0
    for group, matrices in groups.items():
        size = sum(1.0 if weights is None else weights[matrix] for matrix in matrices)
        points = sorted((BITS[kind] * size, loss(group, kind), kind) for kind in BITS)
        hull = []
        for point in points:
            if hull and point[1] >= hull[-1][1]:
                continue
            while len(hull) > 1 and ((hull[-2][1] - hull[-1][1]) * (point[0] - hull[-1][0]) <=
                                     (hull[-1][1] - point[1]) * (hull[-1][0] - hull[-2][0])):
                hull.pop()
            hull.append(point)
        at[group] = hull[0]
        used += hull[0][0]
        steps += [((one[1] - two[1]) / (two[0] - one[0]), group, one, two) for one, two in zip(hull, hull[1:])]
    for _, group, one, two in sorted(steps, key=lambda step: -step[0]):
        if at[group] == one and used + two[0] - one[0] <= budget:
            used += two[0] - one[0]
            at[group] = two
    return {matrix: at[group][2] for group, matrices in groups.items() for matrix in matrices}


def read_counts(trial, importance):
    """matrix to how often a text used its expert."""
    places = tensors_of(importance)
    counts = {}
    for layer in range(trial.layers):
        for projection in range(3):
            name = f"blk.{layer}.ffn_{PROJECTIONS[projection]}_exps.weight.counts"
            found = numpy.fromfile(importance, dtype="<f4", count=trial.experts, offset=places[name][1])
            counts.update({(layer, projection, expert): float(found[expert]) for expert in range(trial.experts)})
    return counts


def popular(trial, counts, bits):
    """Fate's fixed rule: of each layer the experts that are used most in 4 bits, all others in 2, as many as fit."""
    high, low = "IQ4_XS", "IQ2_XXS"
    many = int((bits - BITS[low]) / (BITS[high] - BITS[low]) * trial.experts + 1e-9)
    choice = {}
    for layer in range(trial.layers):
        order = sorted(range(trial.experts), key=lambda expert: -counts[layer, 0, expert])
        for rank, expert in enumerate(order):
            choice.update({(layer, projection, expert): high if rank < many else low for projection in range(3)})
    return choice


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--folder", default="build/widths")
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--probe-chunks", type=int, default=2)
    parser.add_argument("--bits", default="2.5625,3.0625,4.25")
    parser.add_argument("--measure-each", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    importance, reference, own = (os.path.join(options.folder, name) for name in ("matrix.gguf", "reference", "reference-own"))
    if not os.path.exists(importance):
        weir("imatrix", options.model, "--text", options.calibrate, "-o", importance)
    weir("eval", options.model, "--text", options.judge, "--chunks", options.chunks, "--save-reference", reference)
    weir("eval", options.model, "--text", options.calibrate, "--chunks", options.probe_chunks, "--save-reference", own)
    trial = Trial(options)
    trial.make_sources(importance)
    errors = trial.measure_errors(importance)
    kept = os.path.join(options.folder, "probes.json")
    probes = json.load(open(kept)) if os.path.exists(kept) else {}

    def probe(name, matrices):
        if name not in probes:
            probes[name] = trial.judge({matrix: PROBE for matrix in matrices}, own, options.probe_chunks)["kl"]
            with open(kept, "w") as file:
                json.dump(probes, file)
        return max(probes[name], 0.0)

    costs = {}
    for layer in range(trial.layers):
        for projection in range(3):
            matrices = [(layer, projection, expert) for expert in range(trial.experts)]
            slope = probe(f"{layer} {projection}", matrices) / sum(errors[matrix][PROBE] for matrix in matrices)
            for matrix in matrices:
                costs[matrix] = {kind: slope * errors[matrix][kind] for kind in BITS}
    tables = {"by errors": costs}
    if options.measure_each:
        each = {}
        for layer in range(trial.layers):
            for expert in range(trial.experts):
                matrices = [(layer, projection, expert) for projection in range(3)]
                found = probe(f"{layer} expert {expert}", matrices)
                expected = sum(costs[matrix][PROBE] for matrix in matrices)
                for matrix in matrices:
                    each[matrix] = {kind: costs[matrix][kind] * found / expected for kind in BITS}
        tables["each expert measured"] = each
        one = [sum(costs[layer, p, e][PROBE] for p in range(3)) for layer in range(trial.layers) for e in range(trial.experts)]
        two = [sum(each[layer, p, e][PROBE] for p in range(3)) for layer in range(trial.layers) for e in range(trial.experts)]
        print(f"single experts in {PROBE}: divergence measured {min(two):.2g} to {max(two):.2g}, in all {sum(two):.4f}; by errors "
              f"{min(one):.2g} to {max(one):.2g}, in all {sum(one):.4f}; correlation {numpy.corrcoef(one, two)[0, 1]:.2f}\n")
    counts = read_counts(trial, importance)
    mean = sum(counts.values()) / len(counts)
    uses = {matrix: count / mean for matrix, count in counts.items()}
    print("| bits an expert's weight | bits of one that is used | one format for | costs | by the sum | divergence | same top |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")

    def row(choice, sort, table, of):
        found = trial.judge(choice, reference, options.chunks)
        used = sum(counts[matrix] * BITS[kind] for matrix, kind in choice.items()) / sum(counts[matrix] for matrix in choice)
        print(f"| {sum(BITS[kind] for kind in choice.values()) / len(choice):.3f} | {used:.3f} | {sort} | {table} | "
              f"{sum(of[matrix][choice[matrix]] for matrix in choice):.4f} | {found['kl']:.5f} ± {found['kl_err']:.5f} | "
              f"{100 * found['top1']:.1f} % |", flush=True)

    for bits in map(float, options.bits.split(",")):
        for sort, name_of in SORTS.items():
            for table, of in tables.items():
                if table != "by errors" and sort not in ("each expert", "each matrix"):
                    continue
                groups = {}
                for matrix in trial.matrices:
                    groups.setdefault(name_of(matrix), []).append(matrix)
                row(choose(groups, of, bits * len(trial.matrices) + 1e-6), sort, table, of)
                if sort in ("each expert", "each matrix"):
                    row(choose(groups, of, bits * len(trial.matrices) + 1e-6, uses), sort + ", as many bits used", table, of)
        row(popular(trial, counts, bits), "each expert, by how often it is used", "none", costs)


if __name__ == "__main__":
    main()
