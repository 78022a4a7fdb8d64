#!/usr/bin/env python3
"""second_turn.py - a chat's second question behind 2,000 tokens: its first token beside that of as many tokens alone.

    bench/second_turn.py MODEL [ROUNDS]

Each round is a chat of a long message and a short question, and one of the short question alone. Only the new tokens are
computed; what remains between the two is attention to what was said before, which weighs most in small models.
"""
import os
import re
import statistics
import subprocess
import sys

WEIR = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build", "release", "weir")
SENTENCE = "The old man and the sea, and a boat that nobody owned. "
HISTORY = 2000  # tokens of the long message
SHORT = "Which of the two was there first, and what did it do to the other one in the end, if it did anything at all?"


def figures(model, lines):
    """(new tokens of the prompt, seconds to the first token of the answer) of each turn."""
    done = subprocess.run([WEIR, "chat", model, "-n", "2", "--temp", "0"], input="\n".join(lines), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return [(int(count), float(seconds)) for count, seconds in re.findall(r"(\d+) new of the prompt: ([0-9.]+) s", done.stderr)]


def long_message(model):
    done = subprocess.run([WEIR, "tokenize", model, "-p", SENTENCE * 10], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return SENTENCE * (10 * HISTORY // len(done.stdout.splitlines()))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    message, ratios = long_message(sys.argv[1]), []
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 5):
        (history, long_s), (new, second_s) = figures(sys.argv[1], [message, SHORT])
        (alone, alone_s), = figures(sys.argv[1], [SHORT])
        per_token = (second_s / new) / (alone_s / alone)
        ratios.append(per_token)
        print(f"{history} tokens: {long_s:.2f} s; then {new} new ones: {second_s:.3f} s; {alone} alone: {alone_s:.3f} s; "
              f"a new token takes {per_token:.2f} times as long")
    print(f"median {statistics.median(ratios):.2f}")


main()
