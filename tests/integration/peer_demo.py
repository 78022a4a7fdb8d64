#!/usr/bin/env python3
"""peer_demo.py - the demo model judged by llama.cpp: perplexity and greedy tokens.

Perplexity on 5 chunks of 512 tokens (`./run-tests long`: 20) within 0.5 %. Greedy tokens equal up to the first near-tie:
where the two part, the gap between the two choices in our logits is shown and must be small.
"""
import array
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, HELDOUT, LONG, check, peer, peer_perplexity, peer_text, remove, scratch_folder, skip, weir_json

PROMPTS = ["The old man", "It was a dark and stormy night, and", "\"My dear Watson,\" said", "In the year 1815 the",
           "She looked at the"]
TOKENS = 48
CHUNKS = 20 if LONG else 5
NEAR_TIE = 0.15  # logits; both sides round activations to 8 bits, in different blocks


def compare_perplexity(judge):
    ours = weir_json("eval", DEMO, "--text", HELDOUT, "--ctx", 512, "--chunks", CHUNKS)["ppl"]
    theirs = peer_perplexity(judge, DEMO, CHUNKS)
    print(f"  perplexity: weir {ours:.4f}, llama.cpp {theirs:.4f}, {100 * (ours / theirs - 1):+.3f} %")
    check(abs(ours / theirs - 1) <= 0.005, "perplexities differ by more than 0.5 %")


def logits_after(ids):
    folder = scratch_folder()
    tokens, rows = os.path.join(folder, "ids"), os.path.join(folder, "logits")
    with open(tokens, "w") as file:
        file.write(" ".join(map(str, ids)))
    weir_json("eval", DEMO, "--tokens", tokens, "--ctx", len(ids), "--logits", rows)
    values = array.array("f")
    with open(rows, "rb") as file:
        values.frombytes(file.read())
    remove(folder)
    return values[-(len(values) // len(ids)):]


def show_tie(prompt, result, theirs):
    """Where ours and theirs part, the gap in our logits between the two tokens."""
    pieces = [weir_json("tokenize", DEMO, "--decode", token)["text"] for token in result["ids"]]
    length = 0
    for index, piece in enumerate(pieces):
        if not theirs.startswith(piece, length):
            break
        length += len(piece)
    else:
        return
    logits = logits_after(weir_json("tokenize", DEMO, "-p", prompt)["ids"] + result["ids"][:index])
    order = sorted(range(len(logits)), key=lambda token: -logits[token])[:8]
    check(order[0] == result["ids"][index], "the greedy token is not the largest logit")
    for token in order[1:]:
        text = weir_json("tokenize", DEMO, "--decode", token)["text"]
        if text and theirs.startswith(text, length):
            gap = logits[order[0]] - logits[token]
            print(f"  {prompt!r}: part at token {index}: {pieces[index]!r} or {text!r}, gap {gap:.4f}")
            check(gap <= NEAR_TIE, f"not a near-tie: {gap}")
            return
    check(False, f"{prompt!r}: at token {index} llama.cpp goes on {theirs[length:length + 20]!r}, none of our best 8")


def compare_greedy(judge):
    for prompt in PROMPTS if LONG else PROMPTS[:2]:
        result = weir_json("run", DEMO, "-p", prompt, "-n", TOKENS, "--temp", 0)
        check(result["text"] != "", "no text")
        theirs = peer_text(judge, DEMO, prompt, TOKENS, result["text"])
        if theirs == result["text"].rstrip():
            print(f"  {prompt!r}: all {TOKENS} tokens equal")
        else:
            show_tie(prompt, result, theirs)


def main():
    judge = peer()
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    compare_perplexity(judge)
    compare_greedy(judge)


main()
