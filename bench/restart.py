#!/usr/bin/env python3
"""restart.py - a conversation's second turn after a restart of the server: its first token beside what it has to cost.

    bench/restart.py [MODEL] [--ctx 1024] [--mem SIZE] [--rounds 5]

A round: a server reads a long text, answers, writes what it remembers to a folder, and ends. A new one is asked the second
turn: the first token's time. It has to read the pages, which is timed from the same file with direct reads of 4 MiB, several
at once; and to compute the new tokens, which another new server does that has the text in memory already, and as many other
tokens behind it. The bar is 1.15 of both together. The machine has to be idle: readers and threads wait for each other.
"""
import argparse
import asyncio
import concurrent.futures
import glob
import mmap
import os
import statistics
import tempfile
import time

from clients import ask
from measure import DEMO, HELDOUT, ROOT, check, size
from servers import Weir

PIECE, READERS, BAR = 4 << 20, 4, 1.15
NEW = ("\nAnd what, if anything, did the two of them say to each other in the evening, when the boat was back?",
       "\nBut who, if anybody, of the three of them went to the other house in the morning, when the train was gone?")


def first_token_s(server, prompt, tokens=1):
    answer = asyncio.run(ask(server.port, {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}))
    check(answer.status == 200 and answer.is_whole and answer.first_s is not None, f"the server said {answer.status} {answer.error}")
    return answer.first_s, answer.text


class Ask:
    """One request for a first token: its time, the answer, and what the server read and computed for it."""

    def __init__(self, server, prompt, tokens=1):
        read, cpu = server.metric("read_bytes_total"), server.cpu_s()
        self.s, self.text = first_token_s(server, prompt, tokens)
        time.sleep(0.2)  # metrics are told behind a step
        self.read, self.cpu_s = server.metric("read_bytes_total") - read, server.cpu_s() - cpu

    def __str__(self):
        return f"{1000 * self.s:.1f} ms ({size(self.read)} of experts, {self.cpu_s:.2f} s of processors)"


def wait_for_writes(server):
    while server.metric("saved_pages_on_their_way") > 0:
        time.sleep(0.05)


def read_piece(fd, offset, count):
    with mmap.mmap(-1, PIECE) as room:
        return os.preadv(fd, [memoryview(room)[:count]], offset)


def read_s(path, count):
    """Seconds in which the disk gives so many bytes of the file."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    count = min(-(-count // 4096) * 4096, os.fstat(fd).st_size)
    pieces = [(at, min(PIECE, count - at)) for at in range(0, count, PIECE)]
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda _: None, range(READERS)))
        begun = time.perf_counter()
        list(pool.map(lambda piece: read_piece(fd, *piece), pieces))
        took = time.perf_counter() - begun
    os.close(fd)
    return took


def run_round(options, args, number, folder):
    with open(HELDOUT, encoding="utf-8") as file:
        words = file.read().split()
    text = " ".join(words[200 * number:200 * number + options.words])
    kept = [*args, "--prefix-cache", folder]
    with Weir(options.model, *kept) as server:
        _, answer = first_token_s(server, text, 8)
        wait_for_writes(server)
    with Weir(options.model, *kept) as server:
        second = Ask(server, text + answer + NEW[0])
        read, tokens = server.metric("saved_read_bytes_total"), server.metric("recalled_tokens_total")
    check(tokens > 0, "nothing came back from the disk")
    with Weir(options.model, *kept) as server:
        first_token_s(server, text + answer)
        own = Ask(server, text + answer + NEW[1])
    with Weir(options.model, *args) as server:
        new = Ask(server, NEW[1])
    (path,) = glob.glob(os.path.join(folder, "weir-*.prefixes"))
    return second, own, new, min(read_s(path, int(read)) for _ in range(3)), read, tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEMO)
    parser.add_argument("--ctx", type=int, default=1024)
    parser.add_argument("--words", type=int, default=500, help="of the text before the second turn")
    parser.add_argument("--mem")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    # Experts are as cold for both: what the device reads beside a text is no part of this.
    args = ["--ctx", options.ctx, "--no-warm-up", *(["--mem", options.mem] if options.mem else [])]
    ratios = []
    for number in range(options.rounds):
        os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "build")) as folder:
            second, own, new, disk_s, read, tokens = run_round(options, args, number, folder)
        ratios.append((second.s / (own.s + disk_s), second.s / (new.s + disk_s)))
        print(f"second turn after a restart {second}: {tokens:.0f} tokens in {size(read)}, which the disk reads in {1000 * disk_s:.1f} ms; "
              f"the new ones take {own}, in a new server {new}; {ratios[-1][0]:.2f} and {ratios[-1][1]:.2f} of both", flush=True)
    warm, cold = (statistics.median(column) for column in zip(*ratios))
    print(f"median {warm:.2f}, with empty slots for both {cold:.2f}, wanted at most {BAR}")


if __name__ == "__main__":
    main()
