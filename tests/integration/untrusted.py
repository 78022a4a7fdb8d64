#!/usr/bin/env python3
"""untrusted.py - names and texts from files and from the command line reach no terminal as they are."""
import json
import os
import pty
import re
import subprocess
import sys

from gguf_edit import Gguf
from harness import DEMO, PATIENCE_S, WEIR, check, memory_folder, remove

EVIL = b"x\x1b[2J\x1b]0;owned\x07\n\r\x7f\xc2\x9b31m\x9b32m\xe2\x80\xaefdp\xe2\x81\xa6\xff\xf3\xa0\x81\x81"
NAME = b"m\x1b[2J\n\xc2\x9b\x9b\xe2\x80\xae.gguf"
KEY = "tokenizer.ggml."
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def obeyed(data):
    """What a terminal would not show but do."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"bytes that are not UTF-8: {error}"
    at = HIDDEN.search(text)
    return at and repr(text[max(0, at.start() - 40):][:120])


def weir(*arguments, folder, codes=(0, 1)):
    done = subprocess.run([WEIR, *arguments], capture_output=True, timeout=PATIENCE_S, cwd=folder)
    check(done.returncode in codes, f"{arguments}: exit {done.returncode}: {done.stderr[-300:]}")
    for stream, data in (("output", done.stdout), ("messages", done.stderr)):
        check(not obeyed(data), f"{arguments}: {stream} hold {obeyed(data)}")
    return done


def evil_model(path):
    """Everything that a file may call as it likes, and a token that the text comes to."""
    file = Gguf(DEMO)
    file.set("general.name", "str", EVIL)
    file.set("evil", "str", EVIL)
    file.set("c1.\u009b31m\u202e", "u32", 1)
    file.set(KEY + "pre", "str", EVIL)
    file.write(path)


def on_a_terminal(arguments, folder):
    """Standard output as a terminal gets it."""
    master, slave = pty.openpty()
    child = subprocess.Popen([WEIR, *arguments], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL,
                             cwd=folder)
    os.close(slave)
    data = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        data += part
    child.wait()
    os.close(master)
    return data


def written_text(folder):
    """A model that writes what a terminal would obey: a pipe gets it, a terminal does not."""
    file = Gguf(DEMO)
    tokens, types = file.strings(KEY + "tokens"), file.numbers(KEY + "token_type")
    old = "Ġglad".encode()
    at = tokens.index(old)
    tokens[at], types[at] = b"\x1b[2J\xc2\x9b", 4
    file.set_array(KEY + "tokens", "str", tokens)
    file.set_array(KEY + "token_type", "i32", types)
    file.set_array(KEY + "merges", "str", [one for one in file.strings(KEY + "merges")
                                           if one.replace(b" ", b"") != old and old not in one.split(b" ")])
    path = file.write(os.path.join(folder, "writes.gguf"))
    command = ["run", path, "-p", "The old man looked at the sea, and", "-n", "16", "--temp", "0"]
    piped = subprocess.run([WEIR, *command], capture_output=True, timeout=PATIENCE_S).stdout
    check(b"\x1b[2J\xc2\x9b" in piped, f"a pipe does not get the bytes: {piped}")
    shown = on_a_terminal(command, folder).replace(b"\x1b[2m", b"").replace(b"\x1b[0m", b"")  # the prompt is dim
    check(b"\\x1b[2J\\u009b" in shown and b"\x1b" not in shown, f"a terminal gets {shown}")
    shown = on_a_terminal(["tokenize", path, "--decode", str(at)], folder)
    check(shown == b"\\x1b[2J\\u009b", f"decode: a terminal gets {shown}")
    listed = weir("tokenize", path, "-p", "a\x1b\\\n", folder=folder).stdout
    check([line.split(b"\t")[1] for line in listed.splitlines()] == [b"a", b"\\x1b", b"\\\\", b"\\n"], f"tokens: {listed}")
    told = json.loads(weir(*command, "--json", folder=folder).stdout)["text"]
    check("\x1b[2J\u009b" in told, f"JSON holds {told!r}")


def main():
    folder = memory_folder(128 << 20)
    try:
        evil_model(os.path.join(folder.encode(), NAME))
        for command in (["info"], ["info", "--verbose"], ["info", "--json", "--verbose"], ["plan"], ["plan", "--json", "--mem", "1M"],
                        ["plan", "--mem", "1M"], ["doctor"], ["doctor", "--json"], ["tokenize", "-p", "a"],
                        ["run", "-p", "a", "-n", "1"], ["run", "--ids", "1 2", "-n", "4"],
                        ["bench", "--prompt", "2", "--gen", "2", "--repeat", "1", "--json"],
                        ["eval", "--text", NAME]):
            weir(command[0], NAME, *command[1:], folder=folder)
        info = json.loads(weir("info", NAME, "--json", folder=folder).stdout)
        check(info["name"].startswith("x\x1b[2J\x1b]0;owned\x07\n\r\x7f\u009b31m"), f"JSON changes {info['name']!r}")
        weir("trace", "record", DEMO, "-p", "The", "-n", "4", "-o", NAME + b".trace", folder=folder)
        weir("trace", "replay", NAME + b".trace", folder=folder)
        weir("trace", "show", NAME + b".trace", "-o", NAME + b".svg", folder=folder)
        with open(os.path.join(folder.encode(), NAME + b".svg"), "rb") as picture:
            check(not obeyed(picture.read()), "the picture holds what a terminal obeys")
        for command in ([EVIL[:20]], ["run", DEMO, b"--no\x1b[2J\xc2\x9b"], ["run", DEMO, "--mem", b"\x1b[2J"],
                        ["run", b"\xe2\x80\xaeno", "-p", "a"], ["run", DEMO, "--ids", b"\x1b[2J"],
                        ["trace", b"\x9b"], ["help", b"\x9b"], ["bench", DEMO, "--policy", b"\x9b"]):
            weir(*command, folder=folder, codes=(1, 2))
        written_text(folder)
    finally:
        remove(folder)
    print("what a terminal would obey is shown")


if __name__ == "__main__":
    sys.exit(main())
