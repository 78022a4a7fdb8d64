#!/usr/bin/env python3
"""container.py - the Containerfile: what it copies, installs and makes is there; its commands run, in bare roots of Debian.

By default it is only read. `./run-tests long` makes a root for each of its stages with debootstrap, and plays it there:
the release tarball is what is copied, ./run-demo is run in it first, and the package that comes out is used and removed.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, DEMO, LONG, ROOT, alone, check, remove, scratch_folder, skip

KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT"}
IMAGE = "docker.io/library/debian:12-slim"


def read_stages():
    """[(name, [(instruction, words)])] of each stage."""
    with open(os.path.join(ROOT, "Containerfile"), encoding="utf-8") as file:
        text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", file.read(), flags=re.M))
    stages = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        check(instruction in KNOWN, f"this test does not know {line}")
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            check(image == IMAGE, f"a stage from {image}, wanted {IMAGE}")
            stages.append((name, []))
        else:
            stages[-1][1].append((instruction, rest))
    return stages


def known_packages():
    """Those that packages.sh names."""
    done = subprocess.run(["sh", "-c", ". tools/packages.sh; echo $weir_build_packages"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def make_goals():
    return set(re.findall(r"^(\S+) ", subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout, re.M))


def check_command(command, copied):
    check(subprocess.run(["sh", "-n", "-c", command]).returncode == 0, f"no shell reads {command}")
    for part in command.split("&&"):
        words = shlex.split(part)
        if words[:2] == ["apt-get", "install"]:
            named = [word for word in words[2:] if not word.startswith("-")]
            strange = [word for word in named if word not in known_packages() and os.path.basename(word) not in copied]
            check(named and not strange, f"{strange} are neither copied nor in tools/packages.sh: {part}")
        elif words[0] == "make":
            goals = [word for word in words[1:] if not word.startswith("-")]
            check(goals and set(goals) <= make_goals(), f"{goals} are no goals of make")
            with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
                check(all(f"`make {goal}`" in file.read() for goal in goals), f"README does not name make {goals}")
        elif words[0] == ".":
            check(os.path.exists(os.path.join(ROOT, words[1])), f"{words[1]} is not there")


def check_stages(stages):
    names = [name for name, _ in stages]
    for _, instructions in stages:
        copied = set()
        for instruction, rest in instructions:
            if instruction == "COPY" and rest.startswith("--from="):
                source, path = re.match(r"--from=(\w+) (\S+)", rest).groups()
                check(source in names, f"no stage {source}")
                copied.add(os.path.basename(path))
            elif instruction == "RUN":
                check_command(rest, copied)
    with open(os.path.join(ROOT, ".dockerignore"), encoding="utf-8") as file:
        check({".git", "build"} <= set(file.read().split()), ".dockerignore does not leave build and .git out")


# ---- roots -----------------------------------------------------------------------------------


def run(*words, **more):
    done = subprocess.run([*words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    check(done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout


def inside(root, command, folder="/"):
    """A shell's command with the root as all that there is, /proc with it."""
    kept = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    script = 'mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh -c "cd \\"\\$0\\" && eval \\"\\$1\\"" "$2" "$3"'
    return run("unshare", "--mount", "sh", "-c", script, "sh", root, folder, command, env={**kept, "DEMO_TOKENS": "40"})


def make_root(folder):
    for tool in ("debootstrap", "unshare", "chroot"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            skip(f"no {tool} to make a bare root")
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "mount", "-t", "proc", "proc", "/proc"], capture_output=True).returncode != 0:
        skip("no right to make a bare root")
    root = os.path.join(folder, "bare")
    done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"debootstrap cannot make a bare root: {done.stdout.strip().splitlines()[-1:]}")
    shutil.copy("/etc/resolv.conf", os.path.join(root, "etc", "resolv.conf"))
    for path in ("/etc/apt/apt.conf.d",):  # a proxy, if the machine needs one
        for name in os.listdir(path):
            if "proxy" in name:
                shutil.copy(os.path.join(path, name), root + path)
    return root


def play_build(root, instructions):
    place = "/"
    for instruction, rest in instructions:
        if instruction == "WORKDIR":
            place = rest
            os.makedirs(root + place, exist_ok=True)
        elif instruction == "COPY":
            with alone(os.path.join(ROOT, "build", "dist")):
                run("make", "dist", cwd=ROOT)
            packed = max((os.path.join(ROOT, "build", name) for name in os.listdir(os.path.join(ROOT, "build")) if name.endswith(".tar.gz")), key=os.path.getmtime)
            run("tar", "-xzf", packed, "--strip-components=1", "-C", root + place)
            said = inside(root, "./run-demo", place)
            check(re.search(r"same tokens +yes", said), f"run-demo in a bare root: {said[-1000:]}")
            print("  run-demo of the tarball works in a bare root")
        elif instruction == "RUN":
            inside(root, rest, place)


def play_last(root, before, instructions):
    for instruction, rest in instructions:
        if instruction == "COPY":
            source, target = re.match(r"--from=\w+ (\S+) (\S+)", rest).groups()
            run("sh", "-c", f"cp {shlex.quote(before)}{source} {shlex.quote(root)}{target}")
        elif instruction == "RUN":
            inside(root, rest)
    shutil.copy(DEMO, os.path.join(root, "tmp", "model.gguf"))
    wanted = run(os.path.join(BUILD, "weir"), "run", DEMO, "-p", "The old man", "-n", "8", "--temp", "0", "-q")
    text = inside(root, "weir run /tmp/model.gguf -p 'The old man' -n 8 --temp 0 -q")
    check(text == wanted, f"the installed program writes {text!r}, wanted {wanted!r}")
    said = inside(root, "weir pull http://localhost:1/x.gguf -o /tmp/x.gguf 2>&1 || true")
    check("libcurl" not in said, f"what a download needs is not there: {said}")
    inside(root, "apt-get purge -y weir && ! command -v weir && ! ls /usr/lib/libweir* /usr/share/doc/weir /usr/share/man/man1/weir*")
    print("  the package is installed, works, and is removed without a rest")


def main():
    stages = read_stages()
    check(len(stages) == 2, f"wanted two stages, found {len(stages)}")
    check_stages(stages)
    if LONG:
        folder = scratch_folder()
        try:
            with alone(os.path.join(ROOT, "build", "container")):
                first, second = make_root(folder), os.path.join(folder, "last")
                run("cp", "-a", first, second)
                play_build(first, stages[0][1])
                play_last(second, first, stages[1][1])
        finally:
            remove(folder)
    print("container: what the Containerfile names is there" + (", and its stages work" if LONG else ""))


main()
