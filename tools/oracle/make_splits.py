#!/usr/bin/env python3
"""make_splits.py - where pre-tokenizers cut tricky texts, and which ids the tiny vocabularies give, by Hugging Face tokenizers.

usage: make_splits.py OUT                   needs: pip install tokenizers regex gguf

OUT/split-<pre>.jsonl: lines {"pre", "text", "pieces"}; the rules are those of each model family's published tokenizer.json, run by
the judge's own engine. Python's regex package cuts by the same patterns as a second opinion; a text on which the two differ is left
out and counted in the first line, {"about"}. OUT/ids-<folder>.jsonl: lines {"model", "text", "ids", "bos_ids"}, where model is a
folder of tests/golden and bos_ids are those with the special tokens that the vocabulary adds.
"""
import json
import os
import sys

import regex
import tokenizers
from tokenizers import Regex, pre_tokenizers

from make_texts import TEXTS
from tiny_vocab import CL100K, LLAMA, OLMO, QWEN, Vocabulary

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DIGIT = r"\p{N}"
# Cased letters, written out as ranges of hexadecimal code points.
DEEPSEEK_LETTERS = """41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c
    38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a
    1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc
    1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139
    213c-213f 2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e
    ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df
    1e900-1e943"""
DEEPSEEK_MARKS = "21-2f 3a-7e ff01-ff0f ff1a-ff5e 2018-201f 3000-3002"
DEEPSEEK_CJK = "4e00-9fa5 800-4e00 ac00-d7ff"


def ranges(text):
    """A character class of ranges of code points, every character as itself or with a backslash."""
    def one(code):
        character = chr(int(code, 16))
        return "\\" + character if character.isascii() and not character.isalnum() else character
    return "[" + "".join("-".join(one(end) for end in part.split("-")) for part in text.split()) + "]+"


CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
MARKED = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
HAN_KANA = ranges("4e00-9fa5 3040-309f 30a0-30ff")
BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
WHOLE_NUMBER = r"\d{1,3}(?=(?:\d{3})*\b)"
LINES = r"[^\n]+|[\n]+"


def cl100k(digits):
    return CL100K.replace("DIGITS", digits)


def o200k(contraction=CONTRACTION + "?", digits=r"\p{N}{1,3}", ends=r"[\r\n/]*", but=""):
    upper, lower = f"[{UPPER}{but}]", f"[{LOWER}{but}]"
    return (r"[^\r\n\p{L}\p{N}]?" + upper + "*" + lower + "+" + contraction + r"|[^\r\n\p{L}\p{N}]?" + upper + "+" + lower + "*" +
            contraction + "|" + digits + r"| ?[^\s\p{L}\p{N}]+" + ends + "|" + SPACES)


# Each pattern is applied to the pieces that the ones before it left. DIGIT is the judge's own digit splitter, which is no pattern.
RULES = {
    "gpt-2": [GPT2],
    "smollm": [DIGIT, GPT2],
    "qwen2": [cl100k(r"\p{N}")],
    "qwen35": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES],
    "llama-bpe": [cl100k(r"\p{N}{1,3}")],
    "jais-2": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" +
               "|".join(rf"\s{{{count}}}(?!\S)" for count in (512, 256, 128, 64, 32, 16, 8, 4)) + r"|\s{1,2}(?!\S)|\s{1}"],
    "deepseek-llm": [r"[\r\n]", r"\s?" + ranges(DEEPSEEK_LETTERS), r"\s?" + ranges(DEEPSEEK_MARKS), r"\s+$", ranges(DEEPSEEK_CJK),
                     DIGIT],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", ranges(DEEPSEEK_CJK), DIGIT],
    "deepseek-v3": [r"\p{N}{1,3}", HAN_KANA, MARKED + r"[\r\n]*|" + SPACES],
    "spark2_5": [r"\p{N}{1,3}", HAN_KANA, MARKED + r"|[\r\n]|\s+(?!\S)|\s+", DIGIT],
    "youtu": [ranges("ac00-d7a3 3131-318e") + "|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|" +
              ranges("3105-312f") + "|" + HAN_KANA, o200k(digits=r"\p{N}")],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "bloom": [BLOOM],
    "viking": [BLOOM, DIGIT],
    "tekken": [o200k(contraction="", digits=r"\p{N}")],
    "gpt-4o": [o200k()],
    "cohere2moe": [WHOLE_NUMBER, o200k()],
    "kimi-k2": [r"[\p{Han}]+|" + o200k(ends=r"[\r\n]*", but=r"&&[^\p{Han}]")],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "bailingmoe2": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + SPACES],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES],
    "afmoe": [WHOLE_NUMBER, ranges("4e00-9fff 3400-4dbf f900-faff 3040-309f 30a0-30ff ff65-ff9f 2f00-2fdf e40-e7f e80-eff 1780-17ff "
                                   "1000-109f aa60-aa7f a9e0-a9ff ac00-d7af 1100-11ff"), MARKED + r"[\r\n]*|" + SPACES],
    "laguna": [LINES, cl100k(r"\p{N}")],
    "exaone-moe": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?"
                   r"|\s*[\r\n]|\s+(?!\S)|\s+"],
    "gemma4": [LINES],
    "minicpm5": [r"\p{N}{1,3}", cl100k(r"\p{N}+")],
    "whitespace": [r"\S+"],
    "chameleon": [r"<sentinel:[0-9]+>", r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", DIGIT,
                  r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
}


def judge_splitter(patterns):
    parts = []
    for pattern in patterns:
        if pattern is GPT2 and pattern is patterns[-1]:  # what follows it would see the alphabet of bytes
            parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
        elif pattern is DIGIT:
            parts.append(pre_tokenizers.Digits(individual_digits=True))
        else:
            parts.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    return pre_tokenizers.Sequence(parts)


def judge_pieces(splitter, text):
    spans = [span for _, span in splitter.pre_tokenize_str(text)]
    pieces = [text[start:end] for start, end in spans]
    assert "".join(pieces) == text, (text, pieces)
    return pieces


def regex_pieces(patterns, text):
    pieces = [text]
    for pattern in patterns:
        # Python's own \s also holds U+001C to U+001F, which Unicode does not count as white space.
        plain = pattern.replace(r"[^\s", r"[^\p{White_Space}").replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")
        if "&&" in plain:  # an intersection, which the package knows in its second version only
            plain = "(?V1)" + plain
        cut = []
        for piece in pieces:
            end = 0
            for found in regex.finditer(plain, piece):
                cut += [piece[end:found.start()], found.group()]
                end = found.end()
            cut.append(piece[end:])
        pieces = [piece for piece in cut if piece]
    return pieces


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def about(what, left_out=None):
    line = {"about": what, "script": "tools/oracle/make_splits.py", "tokenizers": tokenizers.__version__}
    return line if left_out is None else line | {"regex": regex.__version__, "left_out": left_out}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for pre, patterns in RULES.items():
        splitter = judge_splitter(patterns)
        lines, left_out = [], 0
        for text in TEXTS:
            pieces = judge_pieces(splitter, text)
            second = regex_pieces(patterns, text)
            if pieces == second:
                lines.append({"pre": pre, "text": text, "pieces": pieces})
            else:
                left_out += 1
                print(f"{pre}: the judges differ on {text!r}: {pieces} and {second}")
        write_lines(os.path.join(out, f"split-{pre}.jsonl"), [about("where the pre-tokenizer cuts", left_out), *lines])
        print(f"{pre}: {len(lines)} texts, {left_out} left out")
    for model, described in (("qwen3moe", QWEN), ("olmoe", OLMO), ("llama", LLAMA | {"bos": True})):
        judge = Vocabulary(**described).judge()
        lines = [{"model": model, "text": text, "ids": judge.encode(text, add_special_tokens=False).ids,
                  "bos_ids": judge.encode(text).ids} for text in TEXTS]
        write_lines(os.path.join(out, f"ids-{model}.jsonl"), [about("ids of the tiny vocabulary"), *lines])


if __name__ == "__main__":
    main()
