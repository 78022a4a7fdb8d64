#!/usr/bin/env python3
"""mixed_text.py - seeded text of many kinds that tokenizers stumble over, as valid UTF-8.

usage: mixed_text.py OUT [--bytes N] [--seed S] [--nfc]

English and code come from this repository's own files; scripts, marks, spaces and symbols from Unicode 3.2, whose tables Python
carries in every version, so that the same tree and seed give the same bytes everywhere. --nfc brings the text to normal form C.
"""
import argparse
import glob
import os
import random
import unicodedata
from unicodedata import ucd_3_2_0 as unicode32

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SCRIPTS = {"latin": (0x00c0, 0x024f), "greek": (0x0370, 0x03ff), "cyrillic": (0x0400, 0x052f), "hebrew": (0x05d0, 0x05ea),
           "arabic": (0x0621, 0x064a), "devanagari": (0x0900, 0x097f), "tamil": (0x0b80, 0x0bff), "thai": (0x0e00, 0x0e5b),
           "hiragana": (0x3041, 0x3094), "katakana": (0x30a1, 0x30fa), "han": (0x4e00, 0x9fa5), "hangul": (0xac00, 0xd7a3),
           "jamo": (0x1100, 0x11f9), "fullwidth": (0xff01, 0xff5e), "letterlike": (0x2100, 0x214b), "gothic": (0x10330, 0x1034a)}
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\n\n", " \n ", "\x0b", "\x0c", "\x85", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2009",
          "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\x1c", "\x1f", "\x00"]
EMOJI = ["\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f",
         "1\ufe0f\u20e3", "\u263a", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u200d", "\ufe0f"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "<|fim_middle|>", "<|im_start|>user\n",
            "<|im_start", "|im_end|>", "<|im_start|", "<|IM_END|>", "<<|im_end|>>", "<think >", "< think>", "<|im_end|><|im_end|>"]
ENDINGS = ["'s", "'S", "'t", "'RE", "'ve", "'Ll", "'d", "'m", "\u2019s", "'\u017f", "'x", "''s", "' s", "'sd"]
NUMBERS = ["0", "7", "42", "123", "1234", "3.14159", "1,000,000", "0xff", "1e-9", "\u00bd", "\u00b2", "\u2167", "\u0661\u0662\u0663",
           "\u0967\u0968", "\uff11\uff12", "\u3007", "\u2460", "v1.2", "a1b2"]


def own_files():
    """Words, prose and code of this repository."""
    found = []
    for pattern in ("LICENSE", "README.md", "docs/*.md", "src/*/*.[ch]", "tools/*/*.py", "cli/*.c"):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path, encoding="utf-8", newline="") as file:
                found.append(file.read())
    return found


class Mixer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.files = own_files()
        self.words = sorted({word for text in self.files for word in text.split() if len(word) < 20})
        assigned = [chr(code) for code in range(0x20, 0x2fa20) if not 0xd800 <= code <= 0xdfff and
                    unicode32.category(chr(code)) not in ("Cn", "Cs", "Co")]
        self.assigned = assigned
        self.marks = [character for character in assigned if unicode32.combining(character)]
        self.symbols = [character for character in assigned if unicode32.category(character)[0] in "PS"]
        self.scripts = [[character for character in assigned if low <= ord(character) <= high]
                        for low, high in SCRIPTS.values()]
        self.kinds = [self.prose, self.excerpt, self.foreign, self.foreign, self.marked, self.spaced, self.numbered, self.special,
                      self.ended, self.emoji, self.any_symbols, self.anything, self.repeated]

    def some(self, items, most):
        return [self.random.choice(items) for _ in range(self.random.randrange(1, most + 1))]

    def prose(self):
        return " ".join(self.some(self.words, 30)) + self.random.choice([". ", "? ", "!\n", "...\n\n", ", "])

    def excerpt(self):
        text = self.random.choice(self.files)
        start = self.random.randrange(len(text))
        return text[start:start + self.random.randrange(1, 600)]

    def foreign(self):
        script = self.random.choice(self.scripts)
        separator = self.random.choice(["", " ", " ", ", ", "\u3002", "-"])
        return separator.join("".join(self.some(script, 12)) for _ in range(self.random.randrange(1, 9))) + self.random.choice(["", " ", "\n"])

    def marked(self):
        bases = "aeiouAEnszc \u0915\u05d0\u0627\u1100\uac00.1"
        return "".join(self.random.choice(bases) + "".join(self.some(self.marks, 3)) for _ in range(self.random.randrange(1, 9)))

    def spaced(self):
        return "".join(self.random.choice(self.words) + "".join(self.some(SPACES, 4)) for _ in range(self.random.randrange(1, 6)))

    def numbered(self):
        return self.random.choice(["", " ", "-"]).join(self.some(NUMBERS, 8)) + self.random.choice(["", " ", "%", "th "])

    def special(self):
        return self.random.choice(["", " ", "\n", "x"]).join(self.some(SPECIALS, 3))

    def ended(self):
        return self.random.choice(["", " "]).join(word + self.random.choice(ENDINGS) for word in self.some(self.words, 6))

    def emoji(self):
        return "".join(self.some(EMOJI, 6)) + self.random.choice(["", " "])

    def any_symbols(self):
        return self.random.choice(["", " "]).join(self.some(self.symbols, 10)) + self.random.choice(["", "\n", "\r\n", "a"])

    def anything(self):
        return "".join(self.some(self.assigned, 40))

    def repeated(self):
        return self.random.choice([" ", "\n", "\t", "a", "=", "0", "\u4e2d", "\r\n", "ab ", "\u0301"]) * self.random.randrange(1, 200)


def make(size, seed, nfc=False):
    """At least size bytes of text; a string."""
    mixer = Mixer(seed)
    pieces, length = [], 0
    while length < size:
        pieces.append(mixer.random.choice(mixer.kinds)())
        length += len(pieces[-1].encode())
    text = "".join(pieces)
    return unicodedata.normalize("NFC", text) if nfc else text


def main():
    options = argparse.ArgumentParser(description="seeded text that tokenizers stumble over")
    options.add_argument("out")
    options.add_argument("--bytes", type=int, default=1 << 20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--nfc", action="store_true")
    given = options.parse_args()
    with open(given.out, "wb") as file:
        file.write(make(given.bytes, given.seed, given.nfc).encode())


if __name__ == "__main__":
    main()
