#!/usr/bin/env python3
"""long_texts.py - what is read and cut into tokens stays under the ceiling, however long it is."""
import json
import os
import subprocess
import sys
import tempfile

from harness import DEMO, HELDOUT, PATIENCE_S, WEIR, check, weir_json

MB = 1000 * 1000
KINDS = {"letters": b"a", "spaces": b" ", "line breaks": b"\n", "marks": b"-=", "raw bytes": b"\xff", "Chinese": "\u4f60\u597d".encode(),
         "columns": b"12, 34\t", "special tokens": b"<|endoftext|>"}


# Linux counts what a process was before exec into its peak, so that a small one must start weir, not this one.
STARTER = """import os, sys
child = os.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
status, usage = os.wait4(child, 0)[1:]
with open(sys.argv[1], "w") as told:
    told.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss * 1024}")
"""


def measure(arguments, text=b"", out=subprocess.DEVNULL):
    """(exit, peak bytes, messages) with text on standard input."""
    with tempfile.TemporaryFile() as given, tempfile.NamedTemporaryFile() as told:
        given.write(text)
        given.seek(0)
        done = subprocess.run([sys.executable, "-I", "-S", "-c", STARTER, told.name, WEIR, *arguments], stdin=given, stdout=out,
                              stderr=subprocess.PIPE, timeout=PATIENCE_S)
        code, peak = told.read().split()
        return int(code), int(peak), done.stderr.decode("utf-8", "replace")


def repeat(unit, length):
    return (unit * (length // len(unit) + 1))[:length // len(unit) * len(unit)]


def prompts(least, n_ctx):
    """A prompt that cannot fit the context is read no further, and both numbers are said."""
    for name, unit in KINDS.items():
        code, peak, words = measure(["run", DEMO, "--mem", str(least), "-n", "2"], repeat(unit, 3 * MB))
        check(peak <= least, f"run, {name}: peak {peak} of {least}")
        check(code == 1 and "longer than the context" in words and f"holds {n_ctx} " in words, f"run, {name}: {words}")
    # One that fits to the last position is taken; one token more is not.
    ids = weir_json("tokenize", DEMO, "--text", HELDOUT)["ids"]
    text = subprocess.run([WEIR, "tokenize", DEMO, "--decode", " ".join(map(str, ids[:64]))], capture_output=True).stdout
    code, _, words = measure(["run", DEMO, "--ctx", "64", "-n", "0"], text)
    check(code == 0, f"a prompt of 64 in a context of 64: {words}")
    code, _, words = measure(["run", DEMO, "--ctx", "63", "-n", "0"], text)
    check(code == 1 and "64 tokens at least" in words and "holds 63 " in words, f"one token more: {words}")
    # What comes on standard input is what -p gives, but for one line break at the end.
    given = [weir_json("run", DEMO, "-p", "The old man\n", "-n", "4", "--temp", "0")]
    given.append(json.loads(subprocess.run([WEIR, "run", DEMO, "-n", "4", "--temp", "0", "--json"], input=b"The old man\n\n",
                                           capture_output=True).stdout))
    check(given[0]["ids"] == given[1]["ids"] and given[0]["prompt_tokens"] == given[1]["prompt_tokens"], f"{given}")


def evaluations(folder):
    """A text is evaluated as it is read: the ceiling holds, and the numbers are those of its beginning alone."""
    with open(HELDOUT, "rb") as file:
        prose = file.read()
    path, short = os.path.join(folder, "long.txt"), os.path.join(folder, "short.txt")
    for name, text in (("prose", repeat(prose, 3 * MB)), ("letters", repeat(b"a", 3 * MB)), ("spaces", repeat(b" ", 3 * MB))):
        with open(path, "wb") as file:
            file.write(text)
        command = ["eval", DEMO, "--text", path, "--ctx", "64", "--chunks", "2"]
        code, _, words = measure([*command, "--mem", "1M"])
        least = int(words.split("(--mem ")[1].split(")")[0])
        with open(os.path.join(folder, "told"), "w+b") as told:
            code, peak, words = measure([*command, "--mem", str(least), "--json"], out=told)
            told.seek(0)
            found = json.load(told)
        check(code == 0 and peak <= least, f"eval, {name}: exit {code}, peak {peak} of {least}: {words}")
        check(found["evaluated_tokens"] == 128 and found["chunks"] == 2, f"eval, {name}: {found}")
        if name == "prose":
            with open(short, "wb") as file:
                file.write(text[:2000])
            same = weir_json("eval", DEMO, "--text", short, "--ctx", "64", "--chunks", "2")
            check(same["ppl"] == found["ppl"], f"other perplexities: {same['ppl']}, {found['ppl']}")
            # What is behind the last chunk is not read to count it: a pipe may have no end.
            check(found["prompt_tokens"] == 128, f"more was read than the chunks: {found['prompt_tokens']}")


def tokens(folder):
    """Neither ids nor JSON grow with the text."""
    path = os.path.join(folder, "long.txt")
    for name, unit in KINDS.items():
        for form in ([], ["--json"]) if name in ("letters", "Chinese", "spaces") else ([],):
            peaks = []
            for length in (MB // 4, MB):
                with open(path, "wb") as file:
                    file.write(repeat(unit, length))
                code, peak, words = measure(["tokenize", DEMO, "--text", path, *form])
                check(code == 0, f"tokenize, {name}: {words}")
                peaks.append(peak)
            check(peaks[1] < 14 * MB and peaks[1] < peaks[0] + MB, f"tokenize, {name}: peaks {peaks}")
    with open(HELDOUT, "rb") as file:
        text = file.read()
    found = weir_json("tokenize", DEMO, "--text", HELDOUT)
    check(found["same"] and found["text"].encode() == text and found["bytes"] == len(text), "JSON tells another text")
    check("".join(found["pieces"]).encode() == text and found["tokens"] == len(found["ids"]), "JSON tells other pieces")
    listed = subprocess.run([WEIR, "tokenize", DEMO, "--text", "-"], input=text, capture_output=True).stdout
    check([int(line.split(b"\t")[0]) for line in listed.splitlines()] == found["ids"], "a list tells other ids")


def main():
    plan = weir_json("plan", DEMO)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(WEIR)) as folder:
        prompts(plan["min_bytes"], plan["n_ctx"])
        evaluations(folder)
        tokens(folder)
    print("the ceiling holds from the first byte")


if __name__ == "__main__":
    sys.exit(main())
