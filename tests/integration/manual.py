#!/usr/bin/env python3
"""manual.py - the manual pages: one a command, every option in them, and nothing that mandoc or groff warn of."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import PATIENCE_S, ROOT, check, remove, scratch_folder, skip


def run(*words, **more):
    return subprocess.run([*words], capture_output=True, text=True, timeout=PATIENCE_S, **more)


def commands():
    overview = run(harness.WEIR, "help").stdout.split("\nExamples")[0]
    return re.findall(r"^  weir ((?:(?:trace|eval) (?=[a-z]))?\w+)", overview, re.M)


def check_lint(paths):
    if shutil.which("mandoc"):
        done = run("mandoc", "-Tlint", "-W", "style", *paths)
        check(done.returncode == 0 and done.stdout == "", f"mandoc: {done.stdout[:600]}{done.stderr[:300]}")
    if shutil.which("groff"):
        done = run("groff", "-man", "-Tutf8", "-ww", *paths, env={**os.environ, "LC_ALL": "C.UTF-8"})
        check(done.returncode == 0 and done.stderr == "", f"groff: {done.stderr[:600]}")
    check(shutil.which("mandoc") or shutil.which("groff"), "neither mandoc nor groff is here to read the pages")


def shown(path):
    """What a reader sees, without the emphasis."""
    reader = ["mandoc", "-Tutf8"] if shutil.which("mandoc") else ["groff", "-man", "-Tutf8", "-P-c"]
    return re.sub(".\b", "", run(*reader, path).stdout)


def check_page(command, folder):
    page = "weir-" + command.replace(" ", "-")
    text = shown(os.path.join(folder, page + ".1"))
    flat = " ".join(text.split())
    every = run(harness.WEIR, "help", *command.split(), "all").stdout
    for names in re.findall(r"^  (-.*?)(?:  |$)", every.split("\nOptions")[1].split("\nExamples")[0], re.M):
        check(f"\n       {names}" in text, f"{page} lacks {names}")
    for example in every.split("\nExamples\n")[1].splitlines():
        check(" ".join(example.split()) in flat, f"{page} lacks the example {example}")
    check(text.startswith(page.upper() + "(1)") and f"weir {command}" in text, f"{page} begins {text[:200]}")
    return page


def check_environment(overview):
    """Each variable that the program reads, but those of every program."""
    read = set()
    for name in os.listdir(os.path.join(ROOT, "cli")):
        with open(os.path.join(ROOT, "cli", name), encoding="utf-8") as file:
            read.update(re.findall(r'"((?:WEIR|HF|XDG)_[A-Z_]+|NO_COLOR|TMPDIR)"', file.read()))
    missing = [name for name in read if not re.search(rf"\b{name}\b", overview)]
    check(len(read) > 8 and not missing, f"weir(1) lacks {missing}")


def main():
    if not os.path.exists(harness.WEIR):
        skip(f"{harness.WEIR} is not built")
    folder = scratch_folder()
    try:
        done = run(harness.WEIR, "--man", folder)
        check(done.returncode == 0 and done.stdout == done.stderr == "", f"--man: {done}")
        check(len(commands()) > 10, f"commands: {commands()}")
        pages = [check_page(command, folder) for command in commands()]
        check(sorted(os.listdir(folder)) == sorted(page + ".1" for page in ["weir", *pages]), f"pages: {os.listdir(folder)}")
        check_lint([os.path.join(folder, name) for name in sorted(os.listdir(folder))])
        overview = shown(os.path.join(folder, "weir.1"))
        check(all(page + "(1)" in overview for page in pages), f"weir(1) lacks a page: {overview}")
        check_environment(overview)
        with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
            version, day = re.search(r"^## ([0-9.]+) \((.*)\)$", file.read(), re.M).groups()
        check(f"weir {version}" in overview and day in overview, f"weir(1) is not of {version}, {day}: {overview[-200:]}")
        for words in (["--man"], ["--man", folder, folder]):
            check(run(harness.WEIR, *words).returncode == 2, f"{words}")
        missing = run(harness.WEIR, "--man", os.path.join(folder, "none"))
        check(missing.returncode == 1 and "none/" in missing.stderr, f"a folder that is not there: {missing}")
    finally:
        remove(folder)
    print(f"manual: {len(pages) + 1} pages")


main()
