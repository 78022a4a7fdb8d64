#!/usr/bin/env python3
"""make_means.py - the mean of a text's states behind the final norm, of length 1, by Hugging Face transformers in float64.

usage: make_means.py GOLDEN [NAME ...]        needs torch, transformers, numpy

GOLDEN/directories/NAME gets mean.f32: little-endian f32, [d_model], of the ids in its ids.txt.
"""
import os
import sys

import numpy as np
import torch
import transformers

NAMES = ("qwen3moe-bf16", "gpt-oss")


def mean_of(folder):
    net = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager",
                                                  experts_implementation="eager")
    with open(os.path.join(folder, "ids.txt"), encoding="ascii") as file:
        ids = [int(word) for word in file.read().split()]
    with torch.no_grad():
        states = net(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
    assert states.dtype == torch.float64
    mean = states.mean(dim=0)
    return (mean / mean.norm()).numpy()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or NAMES:
        folder = os.path.join(sys.argv[1], "directories", name)
        mean = mean_of(folder)
        mean.astype("<f4").tofile(os.path.join(folder, "mean.f32"))
        print(f"{name:20} d_model {len(mean)}  largest {np.abs(mean).max():.3f}")


if __name__ == "__main__":
    main()
