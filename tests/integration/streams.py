#!/usr/bin/env python3
"""streams.py - standard streams that are closed, full, or made non-blocking by somebody else."""
import array
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, WEIR, check, remove, rests, scratch_folder, wait_for, wait_until_caught

RUN = ["run", DEMO, "-p", "The old man", "--temp", "0"]
F_SETPIPE_SZ = 1031
A_MOMENT_S = 0.3  # what happens in it makes a test stronger; nothing fails when it has not


def quietly(*args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([WEIR, *map(str, args)], timeout=PATIENCE_S, **keywords)


def with_closed(fd, *args, **keywords):
    """weir with descriptor fd closed when it starts."""
    return subprocess.run([WEIR, *map(str, args)], timeout=PATIENCE_S, preexec_fn=lambda: os.close(fd), **keywords)


def printing_commands(folder):
    trace = os.path.join(folder, "story.trace")
    if not os.path.exists(trace):
        done = quietly("trace", "record", DEMO, "-p", "The old man", "-n", 20, "-o", trace, capture_output=True)
        check(done.returncode == 0, f"trace record: {done.stderr}")
    return [[*RUN, "-n", "8"], [*RUN, "-n", "8", "--json"], ["info", DEMO, "--verbose"], ["info", DEMO, "--json"],
            ["plan", DEMO], ["tokenize", DEMO, "-p", "The old man"],
            ["tokenize", DEMO, "--decode", "40 41 42"], ["doctor"],
            ["bench", DEMO, "--prompt", "8", "--gen", "4", "--repeat", "1", "--json"],
            ["eval", DEMO, "--text", harness.HELDOUT, "--chunks", "1", "--ctx", "32"],
            ["trace", "replay", trace], ["trace", "show", trace, "-o", os.path.join(folder, "story.svg"), "--json"],
            ["help"], ["help", "run"], ["trace", "--help"], ["--version"]]


def test_output_that_cannot_be_written_is_said(folder):
    for args in printing_commands(folder):
        closed = with_closed(1, *args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        check(closed.returncode == 1 and b"standard output: it is closed" in closed.stderr,
              f"{args} with standard output closed: exit {closed.returncode}, {closed.stderr}")
        with open("/dev/full", "wb") as full:
            done = quietly(*args, stdout=full, stderr=subprocess.PIPE)
        check(done.returncode == 1 and b"standard output: No space left" in done.stderr,
              f"{args} on a full device: exit {done.returncode}, {done.stderr}")
        check(done.stderr.count(b"standard output") == 1, f"{args}: said more than once: {done.stderr}")


def test_files_hold_only_what_is_theirs(folder):
    paths = [os.path.join(folder, name) for name in ("stats.json", "timeline.json", "text.trace")]
    stats, timeline, trace = paths
    for fd in (0, 1, 2):
        others = {name: subprocess.DEVNULL for number, name in enumerate(("stdin", "stdout", "stderr")) if number != fd}
        for args in ([*RUN, "--trace", timeline], ["trace", "record", *RUN[1:], "-o", trace]):
            done = with_closed(fd, *args, "-n", 8, "--stats", stats, **others)
            check(done.returncode == (1 if fd == 1 else 0), f"descriptor {fd} closed, {args[0]}: exit {done.returncode}")
            for path in (stats, args[-1]):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                for part in text.splitlines() if path == trace else [text]:
                    json.loads(part)


def test_a_closed_standard_input_is_said():
    for args in (["run", DEMO, "-n", "2"], ["eval", DEMO, "--text", "-"], ["trace", "replay", "-"]):
        done = with_closed(0, *args, capture_output=True)
        check(done.returncode == 1 and b"it is closed" in done.stderr, f"{args}: {done.returncode}, {done.stderr}")


def nonblocking_pipe(bytes_of_room=4096):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, bytes_of_room)
    return reader, writer


def bytes_in(reader):
    """Of a pipe, those that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(reader, termios.FIONREAD, count)
    return count[0]


def make_nonblocking(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def read_slowly(reader):
    got = b""
    while chunk := os.read(reader, 1000):
        got += chunk
        time.sleep(0.002)
    os.close(reader)
    return got


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything():
    long_text = " ".join(["It is a truth universally acknowledged"] * 500)
    for args in ([*RUN, "-n", "300", "--ignore-eos"], ["info", DEMO, "--verbose"], ["info", DEMO, "--verbose", "--json"],
                 ["tokenize", DEMO, "-p", long_text], ["tokenize", DEMO, "-p", long_text, "--json"],
                 ["help", "run"]):
        wanted = quietly(*args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        reader, writer = nonblocking_pipe()
        os.write(writer, b"x" * 4000)
        make_nonblocking(writer)
        process = subprocess.Popen([WEIR, *args], stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        time.sleep(A_MOMENT_S)
        got = read_slowly(reader)[4000:]
        said = process.stderr.read()
        process.stderr.close()
        check(process.wait() == 0 and got == wanted, f"{args[:1]}: {len(got)} bytes of {len(wanted)}, {said}")


def test_messages_wait_for_their_reader_too():
    reader, writer = nonblocking_pipe()
    os.write(writer, b"x" * 4096)
    make_nonblocking(writer)
    process = subprocess.Popen([WEIR, *RUN, "-n", "4"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    time.sleep(A_MOMENT_S)
    got = read_slowly(reader)[4096:]
    check(process.wait() == 0 and b"decode" in got and b"memory" in got, f"messages: {got}")


def test_a_prompt_that_comes_late_is_waited_for():
    wanted = quietly(*RUN, "-n", 4, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for pieces in ([b"The old man"], [b"The", b" old", b" man\n"]):
        reader, writer = os.pipe()
        make_nonblocking(reader)
        process = subprocess.Popen([WEIR, "run", DEMO, "-n", "4", "--temp", "0"], stdin=reader, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        os.close(reader)
        for piece in pieces:
            time.sleep(A_MOMENT_S)
            os.write(writer, piece)
        os.close(writer)
        out, err = process.communicate()
        check(process.returncode == 0 and out == wanted, f"{pieces}: {process.returncode}, {out}, {err}")


def stop(process, number):
    """What it says when it is told to stop, and ends."""
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[1]
    check(process.returncode == 128 + number, f"signal {number}: exit {process.returncode}: {said}")
    return said


def test_a_stop_ends_every_wait_for_a_stream():
    for is_blocking in (True, False):
        reader, writer = os.pipe()
        if not is_blocking:
            make_nonblocking(reader)
        process = subprocess.Popen([WEIR, "run", DEMO, "-n", "4"], stdin=reader, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        wait_until_caught(process, signal.SIGTERM)
        time.sleep(A_MOMENT_S)
        said = stop(process, signal.SIGTERM)
        check(b"stopped" in said, f"waiting for a prompt: {said}")
        os.close(reader)
        os.close(writer)
        reader, writer = nonblocking_pipe()
        if not is_blocking:
            make_nonblocking(writer)
        process = subprocess.Popen([WEIR, *RUN, "-n", "4000", "--ignore-eos"], stdin=subprocess.DEVNULL, stdout=writer,
                                   stderr=subprocess.PIPE)
        wait_for(lambda: bytes_in(reader) > 0 and rests(process), "it waits for a reader of the text", process)
        stop(process, signal.SIGTERM)
        os.close(reader)
        os.close(writer)


def report_at(columns):
    """The report of a run on a terminal so wide, and on none (0)."""
    master, slave = pty.openpty() if columns else (None, None)
    if columns:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([WEIR, "run", DEMO, "-p", "The", "-n", "2", "--mem", "40M", "--seed", "1"], stdout=subprocess.DEVNULL,
                               stderr=slave if columns else subprocess.PIPE)
    told = b""
    if columns:
        os.close(slave)
        try:
            while part := os.read(master, 65536):
                told += part
        except OSError:  # the other side is closed
            pass
        os.close(master)
    else:
        told = process.stderr.read()
    process.wait()
    said = told.decode().replace("\r\n", "\n")
    return said[said.index("mode "):].splitlines()


def test_a_report_folds_at_words_on_a_narrow_terminal():
    whole, narrow = report_at(0), report_at(40)
    check(max(map(len, whole)) > 40 and max(map(len, narrow)) <= 40, f"wanted lines of 40 columns, found {narrow}")
    heads = [line.split()[0] for line in narrow if line[0] != " "]
    check({"mode", "load", "memory"} <= set(heads), f"wanted what a line is about in front of it: {narrow}")
    check(all(line.startswith(" " * 9) and line[9] != " " for line in narrow if line[0] == " "), f"wanted what goes on below: {narrow}")
    end = next(at for at, line in enumerate(narrow) if line.startswith("load"))
    check(" ".join(narrow[:end]).split() == whole[0].split(), f"wanted the words of {whole[0]!r}, found {narrow[:end]}")


def main():
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if not name.startswith("test_"):
                continue
            if test.__code__.co_argcount == 1:
                test(folder)
            else:
                test()
            print(f"ok  {name[5:].replace('_', ' ')}")
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
