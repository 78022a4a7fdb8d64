"""evaluate.py - held-out loss and expert use of the demo model; alone, it judges a GGUF file on the CPU in float32.

    python3 evaluate.py MODEL.gguf FOLDER TEXT [--chunks 20] [--length 512]

FOLDER holds tokenizer.json. The text is cut into chunks without overlap and only each chunk's second half is scored,
from position length/2 on: the way llama.cpp's perplexity tool does it, so that the two figures can be compared.
"""
import argparse
import math
import os

import numpy as np
import torch

import model


def windows(ids, length, most, device):
    """Whole windows of length + 1 tokens, evenly spread over ids."""
    count = (len(ids) - 1) // length
    starts = np.linspace(0, count - 1, min(most, count)).astype(np.int64) * length
    picked = np.stack([ids[start:start + length + 1] for start in starts]).astype(np.int64)
    return torch.from_numpy(picked).to(device)


@torch.no_grad()
def held_loss(runner, used, data, batch):
    total, count = 0.0, 0
    for start in range(0, len(data) - len(data) % batch, batch):
        part = data[start:start + batch]
        loss, _, _ = runner.losses(used, part[:, :-1].contiguous(), part[:, 1:].contiguous())
        total += loss.double().sum().item()
        count += loss.numel()
    return total / count


@torch.no_grad()
def routing(runner, used, data, batch):
    """Per layer: entropy of expert use in bits, largest and smallest share, share of experts kept from the last token."""
    shape = runner.shape
    counts = torch.zeros(shape.n_layer, shape.n_expert, dtype=torch.float64)
    kept = torch.zeros(shape.n_layer, dtype=torch.float64)
    rounds = 0
    for start in range(0, len(data) - len(data) % batch, batch):
        tokens = data[start:start + batch, :-1].contiguous()
        _, _, chosen = runner.layers(used, tokens)
        for layer, picks in enumerate(chosen):
            counts[layer] += torch.bincount(picks.flatten(), minlength=shape.n_expert).cpu()
            picks = picks.view(*tokens.shape, -1)
            again = (picks[:, 1:, :, None] == picks[:, :-1, None, :]).any(-1)
            kept[layer] += again.double().mean().item()
        rounds += 1
    share = counts / counts.sum(1, keepdim=True)
    entropy = -(share * share.clamp_min(1e-12).log2()).sum(1)
    return [(layer, entropy[layer].item(), share[layer].max().item(), share[layer].min().item(),
             (kept[layer] / rounds).item()) for layer in range(shape.n_layer)]


def write_routing(path, rows):
    with open(path, "w") as file:
        file.write("layer\tentropy_bits\tlargest_share\tsmallest_share\tkept_from_last_token\n")
        for row in rows:
            file.write("%d\t%.4f\t%.4f\t%.4f\t%.4f\n" % row)


@torch.no_grad()
def judge(path, folder, text_path, chunks, length):
    import tokenizers

    import export
    shape, weights = export.read(path)
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    with open(text_path, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    chunks = min(chunks, len(ids) // length)
    data = torch.tensor(ids[:chunks * length]).view(chunks, length)
    runner = model.Runner(shape, "cpu", length=length)
    losses = []
    for chunk in data:
        loss, _, _ = runner.losses(weights, chunk[None, :-1], chunk[None, 1:])
        losses.append(loss[0, length // 2:].double())
    mean = torch.cat(losses).mean().item()
    print(f"{len(ids)} tokens, {chunks} chunks of {length}: {mean:.5f} nats a token, perplexity {math.exp(mean):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("text")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--length", type=int, default=512)
    options = parser.parse_args()
    judge(options.model, options.folder, options.text, options.chunks, options.length)


if __name__ == "__main__":
    main()
