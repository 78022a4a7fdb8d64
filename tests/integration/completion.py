#!/usr/bin/env python3
"""completion.py - what Tab brings: commands, options, their values, models and files, in bash, zsh and fish."""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, ROOT, check, remove, scratch_folder, skip

SCRIPTS = os.path.join(ROOT, "tools", "completion")
FILES, FOLDERS = ":files", ":folders"


def candidates(*words, **environment):
    done = subprocess.run([harness.WEIR, "--complete", *words], capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **environment})
    check(done.returncode == 0 and done.stderr == "", f"--complete {words}: {done}")
    lines = done.stdout.splitlines()
    check(all("\t" in line or line in (FILES, FOLDERS) for line in lines), f"--complete {words}: no tab in {lines}")
    return [line.split("\t")[0] for line in lines]


def test_commands():
    overview = subprocess.run([harness.WEIR, "help"], capture_output=True, text=True).stdout
    commands = list(dict.fromkeys(re.findall(r"^  weir (\w+)", overview.split("Examples")[0], re.M)))
    check(candidates("") == [*commands, "help", "--help", "--version"], f"commands {candidates('')}, help has {commands}")
    check(candidates("t") == ["tokenize", "template", "trace"], f"t: {candidates('t')}")
    check(candidates("help", "ru") == ["run"] and candidates("help", "run", "") == ["all"], "help COMMAND all")
    for words in (["trace", ""], ["help", "trace", ""]):
        check(candidates(*words) == ["record", "replay", "show"], f"{words}: {candidates(*words)}")
    check(candidates("nothing", "") == [] and candidates("nothing", "--") == [] and candidates() == [], "words of no command")


def test_options():
    """All that help lists, and each only once and where it may stand."""
    for command in ("run", "bench", "trace show"):
        text = subprocess.run([harness.WEIR, "help", *command.split(), "all"], capture_output=True, text=True).stdout
        lines = re.findall(r"^  (-.*)", text.split("\nOptions")[1].split("\nExamples")[0], re.M)
        listed = {name for line in lines for name in re.match(r"(--?[a-z][a-z-]*(, )?)+", line, re.I).group(0).split(", ")}
        found = candidates(*command.split(), "-")
        check(found and len(set(found)) == len(found) and set(found) <= listed, f"{command}: {set(found) - listed} are not in {listed}")
        for name in listed:
            check(name in candidates(*command.split(), name), f"{command} {name} is not completed: {candidates(*command.split(), name)}")
    check(candidates("run", "--te") == ["--text", "--template", "--temp"], f"--te: {candidates('run', '--te')}")
    check(candidates("run", "--ctx-s") == ["--ctx-size"], "a name that others use")
    about = subprocess.run([harness.WEIR, "--complete", "run", "--ctx"], capture_output=True, text=True).stdout
    check(about.startswith("--ctx\tpositions of the context (") and about.endswith(")\n"), f"cut within parentheses: {about}")
    check(candidates("run", "--fake") == [], "an option for tests")
    check("--temp" not in candidates("run", "--temp", "1", "-") and "--stop" in candidates("run", "--stop", "x", "-"), "given once, or more than once")
    check("--json-schema" not in candidates("run", "--grammar", "g", "--js"), "what may not stand beside another")
    check(candidates("run", "--", "-") == [FILES], "behind -- there are no options")


def test_values():
    check(candidates("run", "m", "--io", "") == ["auto", "uring", "threads"], "choices")
    check(candidates("run", "m", "--io", "t") == ["threads"] and candidates("run", "m", "--io=t") == ["--io=threads"], "choices that begin so")
    check(candidates("run", "--text", "") == [FILES] and candidates("run", "-f", "") == [FILES] and candidates("run", "--models=") == [FOLDERS], "files and folders")
    check("learned" in candidates("bench", "--policy", "") and "all" in candidates("trace", "replay", "--policy", ""), "policies")
    check({"chatml", FILES} <= set(candidates("chat", "--template", "")), "formats, or a file")
    check(candidates("run", "m", "--mem", "") == [] and candidates("run", "--json=") == [], "what has no list")
    check(candidates("run", "m", "-n", "4", "") == [] and candidates("trace", "replay", "") == [FILES], "arguments")


def make_library(folder):
    for name in ("acme/Tiny-MoE-GGUF/Tiny-MoE-Q4_0.gguf", "acme/Tiny-MoE-GGUF/Tiny-MoE-Q8_0.gguf", "acme/Other/other.gguf.part"):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()


def test_models(folder):
    library = os.path.join(folder, "models")
    make_library(library)
    both = ["Tiny-MoE-Q4_0", "Tiny-MoE-Q8_0"]
    check(candidates("run", "", WEIR_MODELS=library) == [*both, FILES], f"{candidates('run', '', WEIR_MODELS=library)}")
    check(candidates("run", "-m", "Tiny-MoE-Q8", WEIR_MODELS=library) == [both[1], FILES], "the value of -m")
    check(candidates("plan", "--models", library, "") == [*both, FILES] and candidates("models", "--models=" + library, "T") == both, "--models")
    check(candidates("chat", "acme/", WEIR_MODELS=library)[0] == "acme/Tiny-MoE-GGUF/Tiny-MoE-Q4_0", "the whole name")
    check(candidates("run", DEMO, "", WEIR_MODELS=library) == [], "there is one model already")


# ---- the shells ------------------------------------------------------------------------------


class Shell:
    """A shell on a terminal of its own."""

    def __init__(self, words, environment, begin):
        child, self.fd = pty.fork()
        if child == 0:
            os.execvpe(words[0], words, environment)
        self.child = child
        self.keys(begin + "; stty cols 200 -echo; echo rea''dy\n", "ready")

    def keys(self, text, until):
        """What it prints from then on, up to what is waited for."""
        os.write(self.fd, text.encode())
        shown, end = "", time.monotonic() + PATIENCE_S
        while until not in shown and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                shown += os.read(self.fd, 65536).decode("utf-8", "replace")
        check(until in shown, f"{text!r}: wanted {until!r}, found {shown!r}")
        return shown

    def close(self):
        os.close(self.fd)
        os.waitpid(self.child, 0)


def complete_lines(shell, folder):
    """Lines that Tab makes whole: `echo` shows the words that came out."""
    for typed, wanted in (("weir tok", "weir tokenize"), ("weir run --io th", "weir run --io threads"), ("weir run --io=th", "weir run --io=threads"),
                          ("weir trace rep", "weir trace replay"), ("weir plan Tiny-MoE-Q8", "weir plan Tiny-MoE-Q8_0"), ("weir run --ctx-s", "weir run --ctx-size"),
                          ("weir run --text a\\ fi", "weir run --text 'a file'"), ("weir run --text=a\\ fi", "weir run '--text=a file'")):
        words = "".join(f"<{word}>" for found in re.findall(r"'(.*?)'|(\S+)", wanted) for word in found if word)
        shell.keys(f"{typed}\t\x01printf '<%s>' \n", words)


def in_terminal(name, words, begin, folder):
    if shutil.which(name) is None:
        print(f"  no {name}: its completion is not tested")
        return
    home = os.path.join(folder, "home")
    os.makedirs(os.path.join(folder, "bin"), exist_ok=True)
    os.makedirs(home, exist_ok=True)
    if not os.path.lexists(os.path.join(folder, "bin", "weir")):
        os.symlink(harness.WEIR, os.path.join(folder, "bin", "weir"))
        open(os.path.join(home, "a file"), "w").close()
        make_library(os.path.join(folder, "models"))
    environment = {**os.environ, "PATH": os.path.join(folder, "bin") + ":" + os.environ["PATH"], "TERM": "dumb", "HOME": home, "ZDOTDIR": home,
                   "WEIR_MODELS": os.path.join(folder, "models"), "PS1": "$ ", "LC_ALL": "C.UTF-8"}
    if name == "fish":
        return in_fish(environment, home)
    shell = Shell(words, environment, f"cd '{home}'; {begin}")
    try:
        complete_lines(shell, folder)
    finally:
        shell.close()
    print(f"  in {name}")


def in_fish(environment, home):
    for typed, wanted in (("weir tok", ["tokenize"]), ("weir run --io th", ["threads"]), ("weir run --io=th", ["--io=threads"]),
                          ("weir trace ", ["record", "replay", "show"]), ("weir plan Tiny-MoE-Q8", ["Tiny-MoE-Q8_0"]), ("weir run --text a", ["a file"])):
        done = subprocess.run(["fish", "--no-config", "-c", f"source '{SCRIPTS}/weir.fish'; complete -C '{typed}'"], cwd=home, env=environment,
                              capture_output=True, text=True, timeout=PATIENCE_S)
        found = [line.split("\t")[0].replace("\\ ", " ") for line in done.stdout.splitlines()]
        check(found == wanted, f"fish, {typed!r}: {found}, wanted {wanted}; {done.stderr}")
    print("  in fish")


def test_shells(folder):
    in_terminal("bash", ["bash", "--norc", "--noprofile"], f"bind 'set bell-style none'; . '{SCRIPTS}/weir.bash'", folder)
    in_terminal("zsh", ["zsh", "-f"], f"unsetopt zle_bracketed_paste; setopt interactivecomments; fpath=('{SCRIPTS}' $fpath); autoload -Uz compinit; compinit -D -u; bindkey -e", folder)
    in_terminal("fish", [], "", folder)


def main():
    if not os.path.exists(harness.WEIR):
        skip(f"{harness.WEIR} is not built")
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
                test(*([folder] if test.__code__.co_argcount else []))
    finally:
        remove(folder)
    print("completion: commands, options, values, models and files")


main()
