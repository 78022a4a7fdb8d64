#!/usr/bin/env python3
"""habits.py - names that people bring along, help on a screen, suggestions, escapes, and where options come from."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, check, remove, scratch_folder, skip, weir_json

COMMANDS = ["run", "eval", "bench", "plan", "calibrate", "info", "tokenize", "doctor", "trace record", "trace replay", "trace show"]
GREEDY = ["--temp", "0", "-n", "6"]


def weir(*args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([harness.WEIR, *map(str, args)], capture_output=True, text=True, timeout=120, **keywords)


def test_names_of_llama_cpp_mean_what_they_mean_there(folder):
    wanted = weir_json("run", DEMO, "-p", "The old man", *GREEDY, "--threads", 1, "--ctx", 64)
    prompt = os.path.join(folder, "prompt")
    with open(prompt, "w") as file:
        file.write("The old man")
    for args in (["-m", DEMO, "-p", "The old man", "-n", 6, "--temp", 0, "-t", 1, "-c", 64],
                 ["--model", DEMO, "--prompt", "The old man", "--n-predict", 6, "--temperature", 0, "--threads", 1, "--ctx-size=64"],
                 [DEMO, "-f", prompt, "--predict", 6, "--temp", 0, "-t", 1, "-c", 64], [DEMO, "--text", prompt, *GREEDY, "-t", 1, "-c", 64]):
        found = weir_json("run", *args)
        check(found["ids"] == wanted["ids"] and found["threads"] == 1 and found["n_ctx"] == 64, f"weir run {args}: {found['ids']}")
    bench = weir_json("bench", "-m", DEMO, "-p", 8, "-n", 4, "-r", 2, "-s", 5)
    check(bench["prompt_tokens"] == 8 and bench["tokens"] == 4 and bench["repeat"] == 2 and bench["seed"] == 5, f"bench: {bench}")
    both = weir("run", DEMO, "-m", DEMO, "-p", "x")
    check(both.returncode == 2 and "one MODEL" in both.stderr, f"MODEL twice: {both.returncode} {both.stderr}")


def test_escapes():
    plain = weir_json("tokenize", DEMO, "-p", 'a\n\tb"\\é')["ids"]
    check(weir_json("tokenize", DEMO, "-e", "-p", r'a\n\tb\"\\\xc3\xa9')["ids"] == plain, "-e reads other text")
    check(weir_json("tokenize", DEMO, "-p", r"a\n")["ids"] != weir_json("tokenize", DEMO, "-p", "a\n")["ids"], "without -e \\n is two letters")
    for text in ("\\", "a\\q", "\\x", "\\x1", "\\xg1", "\\x00"):
        done = weir("run", DEMO, "-e", "-p", text)
        check(done.returncode == 2 and "-e" in done.stderr, f"-e -p {text!r}: {done.returncode} {done.stderr}")


def test_version_everywhere():
    wanted = weir("--version").stdout
    check(re.fullmatch(r"weir \d+\.\d+\.\d+\n", wanted), f"--version: {wanted!r}")
    for args in (["-V"], ["version"], *([*command.split(), flag] for command in COMMANDS for flag in ("-V", "--version"))):
        done = weir(*args)
        check(done.returncode == 0 and done.stdout == wanted, f"weir {args}: {done.returncode} {done.stdout!r}")


def test_help_fits_a_screen():
    for args in (["help"], ["help", "trace"], *(["help", *command.split(), *more] for command in COMMANDS for more in ([], ["all"]))):
        text = weir(*args).stdout
        long = [line for line in text.splitlines() if len(line) > 80]
        check(text and not long, f"weir {args}: wider than 80 columns: {long}")
    common, every = weir("help", "run").stdout, weir("help", "run", "all").stdout
    check("--mem" in common and "--dry-base" not in common and "help run all" in common, f"common options: {common}")
    check("--dry-base" in every and "--ctx-size" in every and len(common.splitlines()) < 50, f"all options: {every}")
    check(weir("run", "--help", "all").stdout == every and weir("run", "-h").stdout == common, "--help all and help run all differ")


def test_what_was_meant():
    for args, words in ((["run", DEMO, "--tmep", "0"], "did you mean --temp?"), (["run", DEMO, "-ngl", "9"], "--mem SIZE"),
                        (["run", DEMO, "--batch-size=9"], "called --chunk"), (["run", DEMO, "--max-tokens", "9"], "called -n"),
                        (["bench", DEMO, "-b", "9"], "called --chunk"), (["ppl", DEMO], "called eval"), (["rnu", DEMO], "mean run?"),
                        (["trace", "recrod"], "mean record?")):
        done = weir(*args)
        check(done.returncode == 2 and words in done.stderr, f"weir {args}: {done.returncode} {done.stderr}")
    for flag in ("-x", "-y", "-z", "-w", "-q1"):
        said = weir("run", DEMO, flag).stderr
        check("did you mean" not in said, f"{flag} is near to nothing: {said}")


def main():
    if not os.path.exists(harness.WEIR):
        skip(f"{harness.WEIR} is not built")
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(*([folder] if test.__code__.co_argcount else []))
    finally:
        remove(folder)


main()
