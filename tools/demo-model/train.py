"""train.py - train the demo model from scratch on any text, and write it as a stock GGUF file.

    python3 train.py --out FOLDER --seconds 480 TEXT...

TEXT: plain or .xz files, documents separated by <|endoftext|> lines. FOLDER gets the tokenizer and the token ids (reused
when there; prepare.py makes them alone), weir-demo.gguf, loss.tsv, routing.tsv and summary.json. Training ends at
--tokens or --seconds, whichever comes first; the learning rate follows the same clock. The last part of the
run rounds the weights to the file's formats in the forward pass, so that the model learns to live with them.
Needs torch, numpy, tokenizers and gguf; one GPU for the full size, a CPU for --tiny.
"""
import argparse
import dataclasses
import json
import math
import os
import time

import numpy as np
import torch

import evaluate
import export
import model
import text

WARMUP_STEPS = 100


class Batches:
    """Every token once a pass: a fresh offset each time, windows of length + 1 in random order."""

    def __init__(self, ids, length, batch, device, seed):
        self.ids = torch.from_numpy(ids.astype(np.int32)).to(device)
        self.length, self.batch = length, batch
        self.random = np.random.default_rng(seed)
        self.starts, self.place, self.passes = np.empty(0, dtype=np.int64), 0, 0

    def next(self):
        if self.place + self.batch > len(self.starts):
            offset = int(self.random.integers(self.length))
            count = (len(self.ids) - 1 - offset) // self.length
            self.starts = offset + self.length * self.random.permutation(count)
            self.place = 0
            self.passes += 1
        starts = torch.from_numpy(self.starts[self.place:self.place + self.batch]).to(self.ids.device)
        self.place += self.batch
        rows = self.ids[starts[:, None] + torch.arange(self.length + 1, device=self.ids.device)[None]].long()
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def make_optimizer(weights, options, device):
    decayed = [w for name, w in weights.items() if model.is_matrix(name)]
    plain = [w for name, w in weights.items() if not model.is_matrix(name)]
    groups = [{"params": decayed, "weight_decay": options.decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.95), eps=1e-10, fused=device == "cuda")


def rate_at(step, progress, top):
    return top * min(1.0, (step + 1) / WARMUP_STEPS) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


class Curve:
    """loss.tsv: one line a measurement, written as it comes."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.file.write("step\ttokens\tseconds\ttrain_nats\theld_nats\tbalance\trounded\n")

    def add(self, step, tokens, seconds, train, held, balance, rounded):
        self.file.write(f"{step}\t{tokens}\t{seconds:.1f}\t{train:.4f}\t{held:.4f}\t{balance:.4f}\t{int(rounded)}\n")
        self.file.flush()
        print(f"step {step} {tokens / 1e6:.1f}M tokens {seconds:.0f} s train {train:.4f} held {held:.4f} "
              f"balance {balance:.3f} {'rounded' if rounded else ''}", flush=True)


def train(options, shape, device, dtype, train_ids, held):
    torch.manual_seed(options.seed)
    weights = model.first_weights(shape, device, options.seed)
    runner = model.Runner(shape, device, options.compile)
    optimizer = make_optimizer(weights, options, device)
    batches = Batches(train_ids, shape.n_ctx, options.batch, device, options.seed)
    curve = Curve(os.path.join(options.out, "loss.tsv"))
    step_tokens = options.batch * shape.n_ctx
    begun, step, progress, sums, rounded = time.time(), 0, 0.0, [], False
    while progress < 1.0:
        rounded = rounded or progress >= 1.0 - options.rounded_part
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, progress, options.rate)
        tokens, targets = batches.next()
        loss, balance, _ = runner.losses(model.cast_weights(weights, dtype, rounded, shape), tokens, targets,
                                          options.drop)
        mean = loss.mean()
        (mean + options.balance * balance).backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        sums.append(torch.stack((mean.detach(), balance.detach())))
        step += 1
        if step == options.skip_clock:
            sums[-1].cpu()
            begun = time.time()
        if step % 10 == 0:
            sums[-1].cpu()
            progress = max(step * step_tokens / options.tokens, (time.time() - begun) / options.seconds)
        if step % options.measure_every == 0 or progress >= 1.0:
            train_mean, balance_mean = torch.stack(sums).mean(0).tolist()
            with torch.no_grad():
                part = held[::max(1, len(held) // options.batch)][:options.batch]
                held_mean = evaluate.held_loss(runner, model.cast_weights(weights, dtype, rounded, shape), part, len(part))
            curve.add(step, step * step_tokens, time.time() - begun, train_mean, held_mean, balance_mean, rounded)
            sums = []
    seconds = time.time() - begun
    return weights, runner, {"steps": step, "tokens": step * step_tokens, "seconds": round(seconds, 1),
                             "tokens_per_second": round((step - max(options.skip_clock, 0)) * step_tokens / seconds),
                             "passes": round(step * step_tokens / len(train_ids), 2)}


@torch.no_grad()
def finish(options, shape, device, dtype, weights, runner, held, facts):
    """Held-out losses of the plain and the rounded weights, expert use, the GGUF file and the summary."""
    facts["held_windows"] = len(held) - len(held) % options.batch
    plain = model.cast_weights(weights, dtype, False, shape)
    rounded = model.cast_weights(weights, dtype, True, shape)
    facts["held_nats_plain"] = evaluate.held_loss(runner, plain, held, options.batch)
    facts["held_nats_rounded"] = evaluate.held_loss(runner, rounded, held, options.batch)
    rows = evaluate.routing(runner, rounded, held[::4], options.batch if len(held[::4]) >= options.batch else 1)
    evaluate.write_routing(os.path.join(options.out, "routing.tsv"), rows)
    path = os.path.join(options.out, "weir-demo.gguf")
    export.write(path, weights, shape, os.path.join(options.out, "tokenizer.json"), options.name, options.description)
    facts["file_bytes"] = os.path.getsize(path)
    _, from_file = export.read(path)
    shipped = {name: w.to(device) if model.file_format(name, shape) == "F32" else w.to(device, dtype)
               for name, w in from_file.items()}
    facts["held_nats_file"] = evaluate.held_loss(runner, shipped, held, options.batch)
    facts["weights"] = sum(w.numel() for w in weights.values())
    with open(os.path.join(options.out, "summary.json"), "w") as file:
        json.dump(facts, file, indent=1)
    for row in rows:
        print("layer %d entropy %.3f bits, shares %.4f to %.4f, kept %.3f" % row)
    print(json.dumps(facts, indent=1))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokens", type=float, default=1e12)
    parser.add_argument("--seconds", type=float, default=1e12)
    parser.add_argument("--batch", type=int, default=64, help="windows of the whole context a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.3)
    parser.add_argument("--drop", type=float, default=0.1, help="dropout on the embedding and each sublayer's output")
    parser.add_argument("--balance", type=float, default=0.003, help="weight of the mean load-balancing loss")
    parser.add_argument("--rounded-part", type=float, default=0.15, help="last share of the run with rounded weights")
    parser.add_argument("--measure-every", type=int, default=100)
    parser.add_argument("--skip-clock", type=int, default=0, help="start the clock after this many steps (compilation)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--hold-every", type=int, default=30)
    parser.add_argument("--name", default="weir demo")
    parser.add_argument("--description", default="")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--larger", action="store_true", help="the larger model in BF16, for tables of formats")
    parser.add_argument("--tiny", action="store_true", help="two layers and 64-token windows: checks the script on a CPU")
    options = parser.parse_args()
    if options.tokens > 1e11 and options.seconds > 1e11:
        parser.error("give --tokens or --seconds")
    return options


def main():
    options = parse()
    text.prepare(options.texts, options.out, options.vocab, options.hold_every)
    _, train_ids, held_ids = text.load(options.out)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    shape = model.LARGER if options.larger else model.TINY if options.tiny else model.Shape()
    shape = dataclasses.replace(shape, n_vocab=options.vocab)
    torch.set_float32_matmul_precision("high")
    held = evaluate.windows(held_ids, shape.n_ctx, 64 * options.batch, device)
    weights, runner, facts = train(options, shape, device, dtype, train_ids, held)
    finish(options, shape, device, dtype, weights, runner, held, facts)


if __name__ == "__main__":
    main()
