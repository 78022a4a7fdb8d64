#!/usr/bin/env python3
"""tarball.py - the release tarball is all that a machine without git needs for both commands of the README."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, LONG, ROOT, alone, check, remove, scratch_folder, skip

BUILT = ["obj", "flags", "files", "libweir.a", "weir"]  # what a build leaves, so that the demo need not compile all anew
BUILT_WITH_CUDA = ["cuda", "cuda_flags", "cuda_says"]


def machine_without_git(folder):
    """An environment whose PATH has every program of this one but git."""
    os.makedirs(folder)
    for place in os.environ["PATH"].split(":"):
        if os.path.basename(place) == "ccache":  # its links look for the compiler in PATH, which has only them then
            continue
        for name in os.listdir(place) if os.path.isdir(place) else []:
            link = os.path.join(folder, name)
            if not name.startswith("git") and not os.path.lexists(link):
                os.symlink(os.path.join(place, name), link)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "WEIR_"))}
    return {**kept, "PATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}


def run(environment, folder, *words):
    done = subprocess.run([*words], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = done.stdout + done.stderr
    check(done.returncode == 0, f"in the tarball: {' '.join(words)}: exit {done.returncode}: {said[-2000:]}")
    return said


def make_tarball(environment, folder):
    with alone(os.path.join(folder, "build", "dist")):
        run(environment, folder, "make", "dist")
    made = [name for name in os.listdir(os.path.join(folder, "build")) if name.endswith(".tar.gz")]
    version = re.search(r'WEIR_VERSION "(.*)"', open(os.path.join(folder, "include", "weir.h")).read()).group(1)
    check(f"weir-{version}.tar.gz" in made, f"make dist made {made}")
    with open(os.path.join(folder, "build", f"weir-{version}.tar.gz"), "rb") as file:
        return f"weir-{version}", file.read()


def check_long(environment, tree):
    """Both commands as they are, with all that they build."""
    said = run(environment, tree, "./run-demo")
    check("same tokens" in said, f"run-demo: {said[-500:]}")
    said = run(environment, tree, "./run-tests")
    check(re.search(r"\d+ passed, 0 failed", said.splitlines()[-1]), f"run-tests: {said[-2000:]}")


def main():
    if "WEIR_IN_TARBALL" in os.environ:
        skip("this is the tarball")
    if not os.path.exists(os.path.join(BUILD, "weir")):
        skip("build/release/weir is not built")
    here = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    folder = scratch_folder()
    try:
        environment = machine_without_git(os.path.join(folder, "bin"))
        environment["WEIR_IN_TARBALL"] = "1"
        # So old that nothing that was built is older: the demo builds nothing anew.
        name, packed = make_tarball({**here, "SOURCE_DATE_EPOCH": "86400"}, ROOT)
        tree = os.path.join(folder, name)
        subprocess.run(["tar", "-xz", "-C", folder], input=packed, check=True)
        files = run(here, ROOT, "tools/tree_files.py")
        check(run(environment, tree, "tools/tree_files.py") == files, "the tarball has other files than the tree")
        if LONG:
            _, again = make_tarball(environment, tree)
            check(again == packed, "a tarball made of the tarball without git is another one")
            return check_long(environment, tree)
        os.makedirs(os.path.join(tree, "build", "release"))
        for part in BUILT + [part for part in BUILT_WITH_CUDA if os.path.exists(os.path.join(BUILD, part))]:
            run(here, ROOT, "cp", "-al", os.path.join(BUILD, part), os.path.join(tree, "build", "release"))
        said = run({**environment, "DEMO_TOKENS": "20"}, tree, "./run-demo")
        check(re.search(r"same tokens +yes", said), f"run-demo: {said[-500:]}")
        for step in ("tidy/tree", "tidy/self-test"):
            os.makedirs(os.path.join(tree, "build", "logs"), exist_ok=True)
            run(environment, tree, "./run-tests", "--step", step)
    finally:
        remove(folder)
    print("tarball: run-demo and the steps of run-tests that look at the tree work without git")


main()
