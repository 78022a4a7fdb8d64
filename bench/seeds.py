#!/usr/bin/env python3
"""seeds.py - published quantizers without a GGUF type beside our own formats: divergence of each at its bits a weight.

    bench/seeds.py MODEL --calibrate TEXT --judge TEXT [--folder DIR] [--layers N] [--chunks N] [--only WORD,...]

MODEL is a qwen3moe file in BF16. Its experts, or those of the first N layers, are written by each method, decoded, and put back as BF16, so that each result is run by
the same kernels; all else stays as it is. Methods that want more than the diagonal have H = sum of x x^T of every expert over TEXT, from a
forward pass of our own in numpy; its perplexity is printed beside weir's. bits counts scales and zeros as f16.

- decoupleQ (arXiv 2404.12759), 2 bits: integers by a GPTQ sweep and coordinate descent under H, then each row's scales and zeros by least
  squares, in turns. Left out: its second stage, which trains scales and norms of a block on its outputs.
- the same integers on the grid that our encoder chose for Q2_K, Q3_K and Q4_0: what fits into types that exist.
- OliVe (arXiv 2304.07493), 4 bits: of a pair with an outlier the other is 0; normals int4 or flint4, outliers abfloat E2M1; the scale by search.
- signs alone (BiBench, arXiv 2301.11233), a scale for a row or for 128 values, which is Q1_0.
- Fate (arXiv 2502.12224): from minimum to maximum, INT4 in groups of 64, INT2 of 32, and both by how often a layer's experts are used.

Wants numpy.
"""
import argparse
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys

import numpy

import widths
from widths import PROJECTIONS, WEIR, tensors_of, weir

OURS = {"Q2_K": 2.625, "IQ2_S": 2.5625, "IQ2_XS": 2.3125, "IQ2_XXS": 2.0625, "IQ1_M": 1.75, "TQ1_0": 1.6875, "IQ1_S": 1.5625,
        "Q1_0": 1.125, "Q4_0": 4.5, "IQ4_XS": 4.25, "Q3_K": 3.4375, "IQ3_XXS": 3.0625, "Q4_K": 4.5}
TURNS, SWEEPS, WINDOW = 2, 1, 512


def ask(*args):
    """What only looks at a model has no --quiet."""
    return json.loads(subprocess.run([WEIR, *map(str, args), "--json"], capture_output=True, text=True, check=True).stdout)


# ---- the text through the model --------------------------------------------------------------

def norm(x, weight, eps):
    return x / numpy.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


def softmax(x):
    grown = numpy.exp(x - x.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


class Model:
    """The file's tensors as float32."""

    def __init__(self, path):
        self.path = path
        self.places = tensors_of(path)
        keys = ask("info", path, "-v")["keys"]
        if keys["general.architecture"] != "qwen3moe":
            sys.exit(f"{path}: seeds.py wants a qwen3moe model, not {keys['general.architecture']}")
        self.n_layer, self.n_head, self.n_kv, self.d_head, self.n_used = (
            int(keys[f"qwen3moe.{name}"]) for name in ("block_count", "attention.head_count", "attention.head_count_kv",
                                                       "attention.key_length", "expert_used_count"))
        self.eps, self.base = (float(keys[f"qwen3moe.{name}"]) for name in ("attention.layer_norm_rms_epsilon", "rope.freq_base"))

    def get(self, name):
        dims, offset = self.places[name]
        if "norm" in name or "gate_inp" in name:
            return numpy.fromfile(self.path, dtype="<f4", count=math.prod(dims), offset=offset).reshape(dims[::-1])
        raw = numpy.fromfile(self.path, dtype="<u2", count=math.prod(dims), offset=offset)
        return (raw.astype("<u4") << 16).view("<f4").reshape(dims[::-1])

    def attend(self, x, get):
        n = len(x)
        angle = numpy.arange(n)[:, None] * self.base ** (-numpy.arange(0, self.d_head, 2) / self.d_head)
        cos, sin = numpy.cos(angle)[:, None].astype("f4"), numpy.sin(angle)[:, None].astype("f4")

        def turned(name, count):
            rows = norm((x @ get(f"attn_{name}").T).reshape(n, count, self.d_head), get(f"attn_{name}_norm"), self.eps)
            one, two = numpy.split(rows, 2, axis=-1)
            return numpy.concatenate([one * cos - two * sin, two * cos + one * sin], axis=-1)

        q, k = turned("q", self.n_head), turned("k", self.n_kv)
        v = (x @ get("attn_v").T).reshape(n, self.n_kv, self.d_head)
        k, v = (numpy.repeat(part, self.n_head // self.n_kv, axis=1) for part in (k, v))
        scores = numpy.einsum("ihd,jhd->hij", q, k, optimize=True) / math.sqrt(self.d_head)
        scores[:, numpy.triu(numpy.ones((n, n), bool), 1)] = -numpy.inf
        return numpy.einsum("hij,jhd->ihd", softmax(scores), v, optimize=True).reshape(n, -1) @ get("attn_output").T

    def measure(self, ids, layers):
        """H of gate and up, and of down, for each layer and expert; how often each is used; nats a token."""
        windows = [ids[at:at + WINDOW] for at in range(0, len(ids) - WINDOW + 1, WINDOW)]
        table = self.get("token_embd.weight")
        streams = [table[window] for window in windows]
        inputs, inner, counts = {}, {}, {}
        for layer in range(layers):
            kept = {}

            def get(name):
                if name not in kept:
                    kept[name] = self.get(f"blk.{layer}.{name}.weight")
                return kept[name]

            streams = [x + self.attend(norm(x, get("attn_norm"), self.eps), get) for x in streams]
            x = norm(numpy.concatenate(streams), get("ffn_norm"), self.eps)
            share = softmax(x @ get("ffn_gate_inp").T)
            chosen = numpy.argsort(-share, axis=1)[:, :self.n_used]
            weight = numpy.take_along_axis(share, chosen, axis=1)
            weight /= weight.sum(axis=1, keepdims=True)
            out = numpy.zeros_like(x)
            for expert in range(share.shape[1]):
                rows, rank = numpy.nonzero(chosen == expert)
                own = x[rows]
                gate = own @ get("ffn_gate_exps")[expert].T
                middle = gate / (1 + numpy.exp(-gate)) * (own @ get("ffn_up_exps")[expert].T)
                out[rows] += weight[rows, rank][:, None] * (middle @ get("ffn_down_exps")[expert].T)
                inputs[layer, expert], inner[layer, expert] = own.T @ own, middle.T @ middle
                counts[layer, expert] = len(rows)
            streams = [a + b for a, b in zip(streams, numpy.split(out, len(streams)))]
        if layers < self.n_layer:
            return inputs, inner, counts, None
        head = self.get("output.weight" if "output.weight" in self.places else "token_embd.weight")
        lost, scored = 0.0, 0
        for window, x in zip(windows, streams):
            logits = norm(x, self.get("output_norm.weight"), self.eps) @ head.T
            logits -= logits.max(axis=1, keepdims=True)
            half = range(WINDOW // 2, WINDOW - 1)
            lost -= sum(float(logits[at, window[at + 1]] - numpy.log(numpy.exp(logits[at]).sum())) for at in half)
            scored += len(half)
        return inputs, inner, counts, lost / scored


# ---- methods: the matrix, H, and what our encoder made of it, to decoded values ---------------

def damped(h):
    """decoupleQ's: 1 % of the mean of the diagonal, which experts that few rows reach need."""
    return h + numpy.eye(len(h), dtype="f4") * (0.01 * numpy.trace(h) / len(h) + 1e-12)


def sweep(w, h, scale, zero, most):
    """GPTQ with the largest of the diagonal first: what a column loses is taken from those that come."""
    order = numpy.argsort(-numpy.diag(h))
    left, steps = w[:, order].T.copy(), numpy.empty((w.shape[1], w.shape[0]), "f4")
    upper = numpy.linalg.cholesky(numpy.linalg.inv(h[numpy.ix_(order, order)].astype("f8"))).T.astype("f4")
    for at, col in enumerate(order):
        steps[col] = numpy.clip(numpy.rint((left[at] - zero[col]) / scale[col]), 0, most)
        lost = (left[at] - steps[col] * scale[col] - zero[col]) / upper[at, at]
        left[at + 1:] -= upper[at, at + 1:, None] * lost
    return steps


def descend(w, h, steps, scale, zero, most):
    """Each column's best step while all others stay, one column after the other."""
    values = steps * scale + zero
    pull = h @ (values - w.T)
    for col in range(len(h)):
        best = values[col] - pull[col] / h[col, col]
        steps[col] = numpy.clip(numpy.rint((best - zero[col]) / scale[col]), 0, most)
        change = steps[col] * scale[col] + zero[col] - values[col]
        if change.any():
            pull += h[:, col, None] * change
            values[col] += change
    return steps


def spread(w, group, most, weights):
    """Scale and zero of each group, the best of a few shares of its range. Arrays are columns by rows from here on."""
    parts = w.reshape(w.shape[0], -1, group)
    heed = weights.reshape(1, -1, group)
    low, high = parts.min(axis=2, keepdims=True), parts.max(axis=2, keepdims=True)
    best = [numpy.full(low.shape, numpy.inf, "f4"), low, high]
    for share in (1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        scale = numpy.maximum((high - low) * share / most, 1e-9)
        zero = (high + low) / 2 - scale * most / 2
        error = (heed * (numpy.clip(numpy.rint((parts - zero) / scale), 0, most) * scale + zero - parts) ** 2).sum(axis=2, keepdims=True)
        take = error < best[0]
        best = [numpy.where(take, new, old) for new, old in zip((error, scale, zero), best)]
    return (numpy.repeat(part[:, :, 0], group, axis=1).T.copy() for part in best[1:])


def solve(w, h, steps, group):
    """Each row's scales and zeros at once, least squares under H with the steps as they are."""
    cols, rows = steps.shape
    count = cols // group
    basis = numpy.zeros((rows, cols, 2 * count), "f4")
    for at in range(count):
        piece = slice(at * group, (at + 1) * group)
        basis[:, piece, 2 * at] = steps[piece].T
        basis[:, piece, 2 * at + 1] = 1
    seen = numpy.matmul(h, basis)
    left = numpy.matmul(basis.transpose(0, 2, 1), seen).astype("f8")
    left += numpy.eye(2 * count) * (1e-7 * numpy.trace(left, axis1=1, axis2=2) / (2 * count) + 1e-20)[:, None, None]
    right = numpy.einsum("rck,rc->rk", seen, w).astype("f8")
    found = numpy.linalg.solve(left, right[:, :, None])[:, :, 0].astype("f4")
    return (numpy.repeat(found[:, part::2], group, axis=1).T for part in (0, 1))


def losses(w, h, values):
    apart = values - w.T
    return (apart * (h @ apart)).sum(axis=0)


def decouple(w, h, _, group=64, turns=TURNS):
    group, h, most = group or w.shape[1], damped(h), 3
    scale, zero = spread(w, group, most, numpy.diag(h))
    steps = sweep(w, h, scale, zero, most)
    for _ in range(turns):
        before = losses(w, h, steps * scale + zero)
        new_scale, new_zero = solve(w, h, steps, group)
        new_scale = numpy.where(numpy.abs(new_scale) < 1e-9, 1e-9, new_scale)
        new_steps = descend(w, h, steps.copy(), new_scale, new_zero, most)
        better = losses(w, h, new_steps * new_scale + new_zero) < before
        steps, scale, zero = (numpy.where(better, new, old) for new, old in ((new_steps, steps), (new_scale, scale), (new_zero, zero)))
    halves = (part.astype("f2").astype("f4") for part in (scale, zero))
    return (steps * next(halves) + next(halves)).T


def halves_of(blocks, at):
    return blocks[:, at:at + 2].copy().view("<f2").astype("f4")


def grid_q4_0(data):
    scale = numpy.repeat(halves_of(data.reshape(-1, 18), 0), 32, axis=1)
    return scale, -8 * scale, 15


def grid_q2_k(data):
    blocks = data.reshape(-1, 84)
    scale = halves_of(blocks, 80) * (blocks[:, :16] & 15)
    zero = -halves_of(blocks, 82) * (blocks[:, :16] >> 4)
    return numpy.repeat(scale, 16, axis=1), numpy.repeat(zero, 16, axis=1), 3


def grid_q3_k(data):
    blocks = data.reshape(-1, 110)
    packed = blocks[:, 96:108].astype("i4")
    each = [(packed[:, s % 8] >> 4 * (s // 8) & 15) + 16 * (packed[:, 8 + s % 4] >> 2 * (s // 4) & 3) - 32 for s in range(16)]
    scale = numpy.repeat(halves_of(blocks, 108) * numpy.stack(each, axis=1), 16, axis=1)
    return scale, -4 * scale, 7


GRIDS = {"Q4_0": grid_q4_0, "Q2_K": grid_q2_k, "Q3_K": grid_q3_k}


def on_grid(w, h, coded, kind):
    """The steps alone are new, so the result is a file of that type; a block whose scale is 0 keeps its zero."""
    scale, zero, most = GRIDS[kind](coded)
    scale, zero, h = scale.reshape(w.shape).T.copy(), zero.reshape(w.shape).T.copy(), damped(h)
    scale[scale == 0] = 1e-30
    steps = sweep(w, h, scale, zero, most)
    for _ in range(SWEEPS):
        steps = descend(w, h, steps, scale, zero, most)
    return (steps * scale + zero).T


NORMALS = {"int4": numpy.arange(8.0), "flint4": numpy.array([0, 1, 2, 3, 4, 6, 8, 16.0])}
OUTLIERS = {"int4": numpy.array([12, 16, 24, 32, 48, 64, 96.0]), "flint4": numpy.array([24, 32, 48, 64, 96, 128, 192.0])}


def nearest(x, levels):
    edges = (levels[1:] + levels[:-1]) / 2
    return numpy.sign(x) * levels[numpy.searchsorted(edges, numpy.abs(x))].astype("f4")


def olive(w, h, _, group=0, outliers=True):
    rows = w.reshape(-1, group or w.shape[1])
    heed = numpy.broadcast_to(numpy.diag(h), w.shape).reshape(rows.shape)
    top = numpy.abs(rows.mean(axis=1, keepdims=True)) + 3 * rows.std(axis=1, keepdims=True)
    best, found = numpy.full((len(rows), 1), numpy.inf, "f4"), numpy.zeros_like(rows)
    for kind, normals in NORMALS.items() if outliers else [("int4", NORMALS["int4"])]:
        for share in numpy.arange(0.5, 1.31, 0.05):
            scale = numpy.maximum(top * share / normals[-1], 1e-9).astype("f2").astype("f4")
            x = rows / scale
            values = nearest(x, normals)
            if outliers:
                far = numpy.abs(x) > (normals[-1] + OUTLIERS[kind][0]) / 2
                far[:, 1::2] &= ~far[:, ::2]
                victim = numpy.empty_like(far)
                victim[:, ::2], victim[:, 1::2] = far[:, 1::2], far[:, ::2]
                values = numpy.where(victim, 0, numpy.where(far, nearest(x, OUTLIERS[kind]), values))
            values = values * scale
            error = (heed * (values - rows) ** 2).sum(axis=1, keepdims=True)
            take = error < best
            best, found = numpy.where(take, error, best), numpy.where(take, values, found)
    return found.reshape(w.shape)


def signs(w, h, _, group=0):
    rows = w.reshape(-1, group or w.shape[1])
    heed = numpy.broadcast_to(numpy.diag(h), w.shape).reshape(rows.shape) + 1e-12
    scale = (heed * numpy.abs(rows)).sum(axis=1, keepdims=True) / heed.sum(axis=1, keepdims=True)
    return (numpy.where(rows >= 0, 1, -1) * scale.astype("f2")).astype("f4").reshape(w.shape)


def least_most(w, _, __, bits=2, group=32):
    rows = w.reshape(-1, group)
    low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
    scale = numpy.maximum((high - low) / (2 ** bits - 1), 1e-9)
    return (numpy.rint((rows - low) / scale) * scale + low).reshape(w.shape)


# name: bits a weight for rows of so many values, the method, and what it is told
METHODS = {
    "decoupleQ, groups of 64": (lambda cols: 2.5, decouple, {"group": 64}),
    "decoupleQ's integers in Q2_K": (lambda cols: 2.625, on_grid, {"kind": "Q2_K"}),
    "its first sweep alone (GPTQ), groups of 64": (lambda cols: 2.5, decouple, {"group": 64, "turns": 0}),
    "OliVe, a row": (lambda cols: 4 + 16 / cols, olive, {}),
    "int4 without outliers, a row": (lambda cols: 4 + 16 / cols, olive, {"outliers": False}),
    "signs, a row": (lambda cols: 1 + 16 / cols, signs, {}),
    "signs, groups of 128": (lambda cols: 1.125, signs, {"group": 128}),
    "decoupleQ's integers in Q4_0": (lambda cols: 4.5, on_grid, {"kind": "Q4_0"}),
    "Fate's INT2, groups of 32": (lambda cols: 3.0, least_most, {"bits": 2, "group": 32}),
    "Fate's INT4, groups of 64": (lambda cols: 4.5, least_most, {"bits": 4, "group": 64}),
    "OliVe, groups of 32": (lambda cols: 4.5, olive, {"group": 32}),
    "int4 without outliers, groups of 32": (lambda cols: 4.5, olive, {"group": 32, "outliers": False}),
    "decoupleQ's integers in Q3_K": (lambda cols: 3.4375, on_grid, {"kind": "Q3_K"}),
    "decoupleQ, a row": (lambda cols: 2 + 32 / cols, decouple, {"group": 0}),
    "decoupleQ, groups of 128": (lambda cols: 2.25, decouple, {"group": 128}),
}


# ---- files and the table ---------------------------------------------------------------------

def to_bf16(values):
    raw = numpy.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((raw + 0x7fff + (raw >> 16 & 1)) >> 16).astype("<u2")


STATE = {}


def matrix_of(task):
    """One expert's matrix by one method."""
    name, (layer, projection, expert) = task
    _, method, told = METHODS[name]
    model = STATE["model"]
    tensor = f"blk.{layer}.ffn_{PROJECTIONS[projection]}_exps.weight"
    place = model.places[tensor]
    cols, rows, _ = place[0]
    coded = None
    if "kind" in told:
        size = round(cols * rows * OURS[told["kind"]] / 8)
        path = os.path.join(STATE["folder"], f"{told['kind']}.coded")
        coded = numpy.fromfile(path, dtype="u1", count=size, offset=STATE["coded"][told["kind"]][tensor][1] + expert * size)
    h = (STATE["inner"] if projection == 2 else STATE["inputs"])[layer, expert]
    return to_bf16(method(widths.values(model.path, place, expert), h, coded, **told)).tobytes()


def make(name, out, matrices, pool, choice=None):
    """MODEL with its experts by a method, or by that of each (layer, expert) in choice."""
    model = STATE["model"]
    shutil.copyfile(model.path, out)
    tasks = [(choice[m[0], m[2]] if choice else name, m) for m in matrices]
    with open(out, "r+b") as file:
        for (_, (layer, projection, expert)), data in zip(tasks, pool.imap(matrix_of, tasks, chunksize=8)):
            file.seek(model.places[f"blk.{layer}.ffn_{PROJECTIONS[projection]}_exps.weight"][1] + expert * len(data))
            file.write(data)


def bits_of(name, matrices):
    sizes = [STATE["model"].places[f"blk.{m[0]}.ffn_{PROJECTIONS[m[1]]}_exps.weight"][0][0] for m in matrices]
    return sum(METHODS[name][0](cols) for cols in sizes) / len(sizes)


def make_coded(kind, options, importance):
    coded = os.path.join(options.folder, f"{kind}.coded")
    rules = [word for layer in range(options.layers) for word in ("--tensor", f"blk.{layer}.*_exps*={kind}")]
    weir("quantize", options.model, coded, *rules, "--type", "BF16", "--imatrix", importance, "--allow-unweighted")
    return coded


def prepare(options):
    """Importance, the reference, H, and the files whose grids are used."""
    folder = options.folder
    importance, reference = (os.path.join(folder, name) for name in ("matrix.gguf", "reference"))
    if not os.path.exists(importance):
        weir("imatrix", options.model, "--text", options.calibrate, "-o", importance)
    base = weir("eval", options.model, "--text", options.judge, "--chunks", options.chunks, "--save-reference", reference)
    model = Model(options.model)
    ids = ask("tokenize", options.model, "--text", options.calibrate)["ids"]
    options.layers = min(options.layers or model.n_layer, model.n_layer)
    inputs, inner, counts, nats = model.measure(numpy.array(ids), options.layers)
    told = f"{len(ids) // WINDOW * WINDOW} tokens of {options.calibrate}: an expert has {min(counts.values())} to {max(counts.values())} rows"
    if nats is not None:
        own = weir("eval", options.model, "--text", options.calibrate, "--chunks", len(ids) // WINDOW, "--ctx", WINDOW)
        told += f"; perplexity {math.exp(nats):.3f} here, {own['ppl']:.3f} by weir eval"
    print(f"{told}. {options.layers} layers judged on {base['tokens']} tokens of {options.judge}, perplexity {base['ppl']:.3f}.\n", flush=True)
    STATE.update(model=model, inputs=inputs, inner=inner, folder=folder, coded={})
    for kind in GRIDS:
        STATE["coded"][kind] = tensors_of(make_coded(kind, options, importance))
    return importance, reference, counts


def popular(counts, share):
    """Fate's: of each layer the experts that are used most in 4 bits."""
    choice = {}
    experts = 1 + max(expert for _, expert in counts)
    for layer in {layer for layer, _ in counts}:
        order = sorted(range(experts), key=lambda expert: -counts[layer, expert])
        choice.update({(layer, expert): "Fate's INT4, groups of 64" if rank < share * experts else "Fate's INT2, groups of 32"
                       for rank, expert in enumerate(order)})
    return choice


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--folder", default="build/seeds")
    parser.add_argument("--layers", type=int, help="the experts of the first N alone (default: all)")
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--only", default="", help="rows whose name has one of these words, with commas between")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    importance, reference, counts = prepare(options)
    words = options.only.split(",")
    places = STATE["model"].places
    experts = places["blk.0.ffn_gate_exps.weight"][0][2]
    matrices = [(layer, projection, expert) for layer in range(options.layers) for projection in range(3)
                for expert in range(experts)]
    print("| bits a weight | experts by | divergence | same top | perplexity |\n| --- | --- | --- | --- | --- |", flush=True)

    def row(bits, name, path):
        found = weir("eval", path, "--reference", reference, "--chunks", options.chunks)
        os.remove(path)
        print(f"| {bits:.3f} | {name} | {found['kl']:.4f} ± {found['kl_err']:.4f} | {100 * found['top1']:.1f} % | {found['ppl']:.3f} |", flush=True)

    out = os.path.join(options.folder, "trial.gguf")
    for kind, bits in OURS.items():
        if any(word in kind for word in words):
            coded = make_coded(kind, options, importance)
            weir("quantize", coded, out, "--type", "BF16")
            row(bits, kind, out)
            if kind not in GRIDS:
                os.remove(coded)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for name in METHODS:
            if any(word in name for word in words):
                make(name, out, matrices, pool)
                row(bits_of(name, matrices), name, out)
        for share in (0.25, 0.5):
            name = f"Fate's INT4 and INT2, {100 * share:.0f} % in INT4"
            if any(word in name for word in words):
                make(name, out, matrices, pool, popular(counts, share))
                row(3.0 + 1.5 * share, name, out)


if __name__ == "__main__":
    main()
