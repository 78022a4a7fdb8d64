#!/usr/bin/env python3
"""outputs.py - a file that weir writes is none that it reads, and what was there stays until the new one is whole."""
import json
import os
import shutil
import subprocess

from harness import DEMO, PATIENCE_S, ROOT, WEIR, check, remove, scratch_folder

IDS = "1 2 3 4 5 6 7 8"


def weir(folder, *args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([WEIR, *map(str, args)], cwd=folder, capture_output=True, timeout=PATIENCE_S, **keywords)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def names(folder):
    return sorted(os.listdir(folder))


def refused(folder, *args, **keywords):
    before = {name: read(os.path.join(folder, name)) for name in names(folder) if os.path.exists(os.path.join(folder, name))}
    done = weir(folder, *args, **keywords)
    check(done.returncode == 2 and b"a file of its own" in done.stderr, f"{args}: exit {done.returncode}: {done.stderr}")
    after = {name: read(os.path.join(folder, name)) for name in names(folder) if os.path.exists(os.path.join(folder, name))}
    check(before == after, f"{args}: files changed: {names(folder)}")


def one_file_for_two(folder):
    shutil.copy(DEMO, os.path.join(folder, "m.gguf"))
    shutil.copy(DEMO, os.path.join(folder, "p-00002-of-00002.gguf"))
    os.symlink("m.gguf", os.path.join(folder, "soft"))
    os.link(os.path.join(folder, "m.gguf"), os.path.join(folder, "hard"))
    os.symlink("nothing-yet", os.path.join(folder, "dangling"))
    write(os.path.join(folder, "ids"), IDS)
    write(os.path.join(folder, "text"), "The old man")
    run, evaluate = ["run", "m.gguf", "-p", "hi", "-n", 2], ["eval", "m.gguf", "--tokens", "ids"]
    for path in ("m.gguf", "./m.gguf", "soft", "hard"):
        for flag in ("--stats", "--trace"):
            refused(folder, *run, flag, path)
        refused(folder, "trace", "record", *run[1:], "-o", path)
        refused(folder, *evaluate, "--logits", path)
        refused(folder, "bench", "m.gguf", "--stats", path)
    for flag in ("--stats", "--trace", "--logits"):
        refused(folder, *evaluate, flag, "ids")
        refused(folder, "eval", "m.gguf", "--text", "text", flag, "text")
    refused(folder, "bench", "m.gguf", "--tokens", "ids", "--stats", "ids")
    refused(folder, "run", "p-00001-of-00002.gguf", "-p", "x", "--stats", "p-00002-of-00002.gguf")
    with open(os.path.join(folder, "text")) as text:
        refused(folder, "run", "m.gguf", "-n", 1, "--stats", "text", stdin=text)
    for one, other in (("x", "x"), ("x", "./x"), ("dangling", "nothing-yet")):
        refused(folder, *run, "--stats", one, "--trace", other)
        refused(folder, *evaluate, "--stats", one, "--logits", other)
        refused(folder, "trace", "record", *run[1:], "--stats", one, "-o", other)
    check(weir(folder, "trace", "record", *run[1:], "-o", "s").returncode == 0, "trace record")
    refused(folder, "trace", "show", "s", "-o", "s")
    check(weir(folder, *run, "--stats", "/dev/null", "--trace", "/dev/null").returncode == 0, "/dev/null twice")


def what_is_there_stays(folder):
    kept = os.path.join(folder, "kept")
    write(kept, "precious")
    write(os.path.join(folder, "ids"), IDS)
    damaged = os.path.join(folder, "damaged.gguf")
    with open(damaged, "wb") as file:
        file.write(read(DEMO)[:5000])
    before = names(folder)
    for args in (["run", "none.gguf", "-p", "x", "--stats", "kept"], ["run", damaged, "-p", "x", "--trace", "kept"],
                 ["run", DEMO, "-p", "x", "--mem", "1M", "--stats", "kept"],
                 ["eval", DEMO, "--tokens", "ids", "--mem", "1M", "--logits", "kept"],
                 ["bench", "none.gguf", "--stats", "kept"], ["trace", "show", "ids", "-o", "kept"],
                 ["trace", "record", DEMO, "-p", "x", "--mem", "1M", "-o", "kept"],
                 ["run", DEMO, "--ids", "4000000000", "--stats", "kept"]):
        done = weir(folder, *args)
        check(done.returncode == 1, f"{args}: exit {done.returncode}: {done.stderr}")
        check(read(kept) == b"precious" and names(folder) == before, f"{args}: {read(kept)}, {names(folder)}")
    # Whole, it takes the place of what was there, behind a link, with the same rights.
    os.chmod(kept, 0o640)
    os.symlink("kept", os.path.join(folder, "link"))
    done = weir(folder, "run", DEMO, "-p", "x", "-n", 1, "--stats", "link")
    check(done.returncode == 0 and json.loads(read(kept))["tokens"] == 1, f"a link: {done.stderr}")
    check(os.path.islink(os.path.join(folder, "link")) and os.stat(kept).st_mode & 0o777 == 0o640, "link or rights are lost")
    check(names(folder) == sorted([*before, "link"]), f"something is left: {names(folder)}")


def what_is_no_file(folder):
    """Devices, pipes and open descriptors are written in place."""
    run = ["run", DEMO, "-p", "x", "-n", 1, "--temp", 0]
    done = weir(folder, *run, "--stats", "/dev/stdout")
    check(done.returncode == 0 and b'"tokens": 1' in done.stdout, f"/dev/stdout: {done}")
    path = os.path.join(folder, "out")
    with open(path, "wb") as out:
        done = subprocess.run([WEIR, *map(str, run), "--stats", "/dev/stdout"], stdout=out, stderr=subprocess.PIPE)
    text = read(path)
    check(done.returncode == 0 and json.loads(text[text.index(b"{"):])["text"].encode() == text[:text.index(b"{")],
          f"/dev/stdout as a file: {text}")
    with open(path, "w+b") as out:
        done = weir(folder, *run, "--stats", f"/dev/fd/{out.fileno()}", pass_fds=[out.fileno()])
        check(done.returncode == 0 and json.loads(out.read())["tokens"] == 1, f"/dev/fd: {done.stderr}")
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    done = weir(folder, *run, "--stats", "fifo")
    check(json.loads(reader.communicate(timeout=PATIENCE_S)[0])["tokens"] == 1, f"fifo: {done.stderr}")
    done = weir(folder, *run, "--stats", "/dev/full")
    check(done.returncode == 1 and b"space" in done.stderr and os.path.exists("/dev/full"), f"/dev/full: {done.stderr}")
    for bad in (".", "no/such", "", "new/"):
        done = weir(folder, *run, "--stats", bad)
        check(done.returncode == 1 and b"cannot write" in done.stderr, f"{bad!r}: {done.stderr}")
    check(names(folder) == ["fifo", "out"], f"something is left: {names(folder)}")


def chunks_end(folder):
    """--chunks reads no further: standard input here has no end."""
    for kind, unit in (("--text", "The old man. "), ("--tokens", "1 2 3 ")):
        endless = subprocess.Popen(["yes", unit], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        done = weir(folder, "eval", DEMO, kind, "-", "--ctx", 32, "--chunks", 2, "--json", stdin=endless.stdout)
        endless.stdout.close()
        endless.wait(timeout=PATIENCE_S)
        found = json.loads(done.stdout)
        check(done.returncode == 0 and found["prompt_tokens"] == found["evaluated_tokens"] == 64, f"{kind}: {found}")
    ids = os.path.join(folder, "ids")
    write(ids, IDS)
    found = json.loads(weir(folder, "eval", DEMO, "--tokens", ids, "--ctx", 2, "--json").stdout)
    check(found["chunks"] == found["tokens"] == 4 and found["ppl"] > 0, f"chunks of two tokens: {found}")
    write(ids, "1")
    done = weir(folder, "eval", DEMO, "--tokens", ids)
    check(b"no perplexity" in done.stderr, f"nothing was scored, and it is not said: {done.stderr}")


def full_contexts(folder):
    model = os.path.join(ROOT, "tests/golden/llama-rope-linear/model.gguf")
    for ctx, word in ((256, b"trained for no more"), (255, b"--ctx asks for more")):
        done = weir(folder, "run", model, "--ids", "1 2 3", "-n", 400, "--ctx", ctx, "--ignore-eos")
        check(done.returncode == 0 and word in done.stderr, f"--ctx {ctx}: {done.stderr}")


def main():
    for test in (one_file_for_two, what_is_there_stays, what_is_no_file, chunks_end, full_contexts):
        folder = scratch_folder()
        try:
            test(folder)
        finally:
            remove(folder)
        print(f"  {test.__name__.replace('_', ' ')}")


main()
