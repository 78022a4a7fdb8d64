#!/usr/bin/env python3
"""random_text.py - seeded characters without any sense, as valid UTF-8.

usage: random_text.py OUT [--bytes N] [--seed S]

Every character that Unicode 3.2 has assigned (Python carries its tables in every version) is as likely as any other, so that nearly
all are of other scripts than their neighbours; between them ASCII, runs of one character and white space.
"""
import argparse
import random
from unicodedata import ucd_3_2_0 as unicode32


def make(count, seed):
    dice = random.Random(seed)
    assigned = [chr(code) for code in range(0x110000) if not 0xd800 <= code <= 0xdfff and unicode32.category(chr(code)) != "Cn"]
    ascii_characters = [chr(code) for code in range(0x80)]
    parts, filled = [], 0
    while filled < count:
        kind = dice.randrange(8)
        if kind < 5:
            part = "".join(dice.choices(assigned, k=64))
        elif kind < 7:
            part = "".join(dice.choices(ascii_characters, k=64))
        else:
            part = dice.choice(dice.choice([assigned, ascii_characters])) * dice.randrange(1, 64)
        parts.append(part)
        filled += len(part.encode())
    return "".join(parts)


def main():
    options = argparse.ArgumentParser(description="characters without any sense")
    options.add_argument("out")
    options.add_argument("--bytes", type=int, default=1 << 20)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with open(given.out, "w", encoding="utf-8", newline="") as file:
        file.write(make(given.bytes, given.seed))


if __name__ == "__main__":
    main()
