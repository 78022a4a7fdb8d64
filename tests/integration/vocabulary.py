#!/usr/bin/env python3
"""vocabulary.py - vocabularies that are not there, not whole or not ours: a command refuses only what it needs."""
import json
import os
import subprocess
import sys

from gguf_edit import Gguf
from harness import DEMO, PATIENCE_S, WEIR, check, memory_folder, remove

KEY = "tokenizer.ggml."
PROMPT = "The old man looked at the sea, and"


def weir(*arguments):
    done = subprocess.run([WEIR, *arguments], capture_output=True, timeout=PATIENCE_S)
    check(done.returncode in (0, 1), f"{arguments}: exit {done.returncode}: {done.stderr[-300:]}")
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def ids_work(model, words=()):
    """What needs no text; the notices hold the words."""
    code, out, errors = weir("run", model, "--ids", "1 2 3", "-n", "4", "--temp", "0", "--json")
    check(code == 0 and json.loads(out)["tokens"] == 4, f"{model}: run --ids: {errors}")
    for word in words:
        check(word in errors, f"{model}: \"{word}\" is not in {errors}")
    # A plan that does not fit measures no speeds, and says as much of the vocabulary.
    for command in (("bench", model, "--prompt", "4", "--gen", "2", "--repeat", "1"), ("info", model), ("plan", model, "--mem", "1")):
        code, _, errors = weir(*command)
        check(code == 0 or "--mem" in command and "smallest that does" in errors, f"{command}: {errors}")
        for word in words:
            check(word in errors, f"{command}: \"{word}\" is not in {errors}")


def text_is_refused(model, word):
    commands = [("run", model, "-p", PROMPT, "-n", "1"), ("tokenize", model, "-p", PROMPT),
                ("eval", model, "--text", __file__, "--ctx", "8", "--chunks", "1")]
    for command in commands:
        code, out, errors = weir(*command)
        check(code == 1 and out == "" and word in errors, f"{command}: exit {code}, {errors}")
        check(sum(word in line for line in errors.splitlines()) == 1, f"{command}: \"{word}\" is not said once: {errors}")


def text_works(model, *words):
    code, out, errors = weir("run", model, "-p", PROMPT, "-n", "16", "--temp", "0", "--json")
    check(code == 0, f"{model}: {errors}")
    for word in words:
        check(errors.count(word) == 1, f"{model}: \"{word}\" is not once in {errors}")
    return json.loads(out)


def rename(file, name, kind):
    """A token that the text above comes to, under another name; merges that name it go."""
    old = "Ġglad".encode()
    tokens, types = file.strings(KEY + "tokens"), file.numbers(KEY + "token_type")
    at = tokens.index(old)
    tokens[at], types[at] = name.encode(), kind
    merges = [one for one in file.strings(KEY + "merges")
              if one.replace(b" ", b"") != old and old not in one.split(b" ")]
    file.set_array(KEY + "tokens", "str", tokens)
    file.set_array(KEY + "token_type", "i32", types)
    file.set_array(KEY + "merges", "str", merges)
    return at


def no_vocabulary(path):
    for model in (None, "none", "no_vocab"):
        file = Gguf(DEMO)
        for name in [name for name in file.keys if name.startswith("tokenizer.")]:
            del file.keys[name]
        if model is not None:
            file.set(KEY + "model", "str", model)
        file.write(path)
        ids_work(path)
        text_is_refused(path, "has no vocabulary")


def unusable_vocabularies(path):
    def without_merges(file):
        del file.keys[KEY + "merges"]
    cases = [(lambda file: file.set(KEY + "pre", "str", "klingon"), "klingon"),
             (lambda file: file.set(KEY + "model", "str", "t5"), "t5"),
             (lambda file: file.set_array(KEY + "token_type", "i32", [1, 1]), "token_type"),
             (without_merges, "merges")]
    for change, word in cases:
        file = Gguf(DEMO)
        change(file)
        file.write(path)
        ids_work(path, [word])
        text_is_refused(path, word)
    file = Gguf(DEMO)
    file.set(KEY + "pre", "str", "klingon")
    code, out, _ = weir("run", file.write(path), "--ids", "1 2 3", "-n", "4", "--temp", "0", "--json")
    check(code == 0 and json.loads(out)["text"] != "", "an unknown pre-tokenizer keeps ids from having text")


def other_sizes(path):
    """900 tokens for 8192 rows, and 8200."""
    whole = text_works(DEMO)
    file = Gguf(DEMO)
    kept = set(file.strings(KEY + "tokens")[:900])
    types = file.numbers(KEY + "token_type")
    file.set_array(KEY + "merges", "str", [one for one in file.strings(KEY + "merges")
                                           if one.replace(b" ", b"") in kept and set(one.split(b" ")) <= kept])
    file.set_array(KEY + "tokens", "str", file.strings(KEY + "tokens")[:900])
    file.set_array(KEY + "token_type", "i32", types[:900])
    text_works(file.write(path), "900 tokens, the embedding 8192 rows")
    ids = " ".join(map(str, [8191, 900, 899]))
    code, _, errors = weir("run", path, "--ids", ids, "-n", "4", "--temp", "0")
    check(code == 0, f"ids without a name: {errors}")
    file = Gguf(DEMO)
    file.set_array(KEY + "tokens", "str", file.strings(KEY + "tokens") + [b"extra%d" % at for at in range(8)])
    file.set_array(KEY + "token_type", "i32", file.numbers(KEY + "token_type") + [4] * 8)
    check(text_works(file.write(path), "8200 tokens, the embedding 8192 rows")["ids"] == whole["ids"], "other ids")
    code, _, errors = weir("run", path, "-p", "an extra7", "-n", "4")
    check(code == 1 and "8199" in errors and "8192" in errors, f"a token without a row: {errors}")


def odd_ids(path):
    whole = text_works(DEMO)
    for kind, value in (("u32", 2**32 - 1), ("i32", -1), ("u32", 8192)):
        file = Gguf(DEMO)
        names = [f"{KEY}{name}_token_id" for name in ("bos", "eos", "unknown", "padding", "eot", "seperator", "mask")]
        for name in names:
            file.set(name, kind, value)
        told = text_works(file.write(path), *(f"{name}: token {value} of a vocabulary of 8192" for name in names))
        check(told["ids"] == whole["ids"], f"{value}: other ids")


def ends(path):
    whole = text_works(DEMO)
    check(whole["stop"] == "length", "the text ends by itself")
    for name in ("eot_token_id", "eom_token_id", "eos_token_ids", "fim_pad_token_id", "fim_rep_token_id"):
        file = Gguf(DEMO)
        at = rename(file, "<|turn_end|>", 3)
        if name.endswith("s"):
            file.set_array(KEY + name, "u32", [0, at])
        else:
            file.set(KEY + name, "u32", at)
        check(text_works(file.write(path))["stop"] == "end", f"{name} does not end a text")
    for name, kind in (("<|im_end|>", 1), ("<|eot_id|>", 3), ("<end_of_turn>", 4), ("[e~[", 1), ("</s>", 1)):
        file = Gguf(DEMO)
        rename(file, name, kind)
        check(text_works(file.write(path))["stop"] == "end", f"{name} of type {kind} does not end a text")


def useless_merge(path):
    whole = text_works(DEMO)
    file = Gguf(DEMO)
    file.set_array(KEY + "merges", "str", file.strings(KEY + "merges") + ["Ġsea Ġsea".encode()])
    check(text_works(file.write(path), "Ġsea Ġsea")["ids"] == whole["ids"], "a useless merge changes the ids")


def main():
    folder = memory_folder(128 << 20)
    try:
        path = os.path.join(folder, "model.gguf")
        for test in (no_vocabulary, unusable_vocabularies, other_sizes, odd_ids, ends, useless_merge):
            test(path)
    finally:
        remove(folder)
    print("commands refuse of a vocabulary only what they need")


if __name__ == "__main__":
    sys.exit(main())
