#!/usr/bin/env python3
"""server.py - weir serve under load: many clients, a light one beside a heavy one, idle ones, and beside llama.cpp's server.

Server and clients share the processors; the clients are one process that only keeps what comes and when, until it is whole
(clients.py). "Between tokens" is between two events of one stream; an answer's first token is counted from before its connection.

    bench/server.py load --minutes 5        64 clients of the demo model at half of its experts: answers, memory, times
    bench/server.py fair                    a client with short questions alone, and beside one with long texts, in turns
    bench/server.py idle                    what 64 connections cost that ask nothing
    bench/server.py peer                    the demo model and SmolLM2 in memory, 1, 4 and 16 clients, in turns with llama.cpp
    bench/server.py streamed                OLMoE's shape at a quarter: 8 clients beside one, and beside llama.cpp in such a group
    bench/server.py                         load (one minute), fair, idle, peer
    bench/server.py peer --model M.gguf --rounds 2 --quick
"""
import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time

from clients import ask, ask_patiently, percentile
from measure import DEMO, HELDOUT, WEIR, MemoryGroup, check, drop_cache, make_model, peer, show, size, skip, weir_json
from servers import Peer, Weir, smallest_bytes
from smollm2_model import find_model

IDLE, IDLE_S = 64, 10
LOAD = ["--parallel", 16, "--queue", 64, "--connections", 128, "--ctx", 1024, "--grammars", 4]


def ms(seconds):
    return "-" if seconds is None else f"{1000 * seconds:.1f} ms"


def times(answers):
    """P50 and P99 of the first token and between tokens, in words."""
    first = [answer.first_s for answer in answers if answer.first_s is not None]
    gaps = [gap for answer in answers for gap in answer.gaps()]
    return (f"first token P50 {ms(percentile(first, 0.5))}, P99 {ms(percentile(first, 0.99))}; between tokens P50 "
            f"{ms(percentile(gaps, 0.5))}, P99 {ms(percentile(gaps, 0.99))}")


class Prompts:
    """Texts that nobody has asked before: words of a book, each from another place on."""

    def __init__(self):
        with open(HELDOUT, encoding="utf-8") as file:
            self.words, self.at = file.read().split(), 0

    def next(self, words):
        self.at = (self.at + 61) % (len(self.words) - words)
        return " ".join(self.words[self.at:self.at + words])


# ---- many clients ----------------------------------------------------------------------------


def load_requests():
    """Greedy ones, with logprobs, drawn by a seed, held to a grammar: each has one right answer."""
    prompts, bodies = Prompts(), []
    for index in range(32):
        body = {"prompt": prompts.next(8 + 3 * index), "max_tokens": 16 + 2 * index, "temperature": 0, "stream": True}
        body.update([{}, {"logprobs": 0}, {"temperature": 0.8, "seed": index}, {"grammar": "root ::= [A-Za-z ,.]+"}][index % 4])
        bodies.append(body)
    return bodies


async def answers_alone(port, bodies):
    found = []
    for body in bodies:
        answer = await ask(port, body)
        check(answer.status == 200 and answer.is_whole, f"a client alone: {answer.status} {answer.error}")
        found.append((answer.text, answer.logprobs))
    return found


class Load:
    """Clients that ask one request after the other, until the time is over."""

    def __init__(self, server, bodies, wanted, end):
        self.server, self.bodies, self.wanted, self.end = server, bodies, wanted, end
        self.answers, self.full, self.memory = [], 0, []

    async def client(self, number):
        chance = random.Random(number)
        while time.perf_counter() < self.end:
            index = chance.randrange(len(self.bodies))
            answer, full = await ask_patiently(self.server.port, {**self.bodies[index], "stream_options": {"include_usage": True}})
            self.full += full
            check(answer.status == 200 and answer.is_whole and not answer.error, f"a client got {answer.status} whole: {answer.is_whole} {answer.error or answer.body} {answer.text}")
            check((answer.text, answer.logprobs) == self.wanted[index],
                  f"{self.bodies[index]}: alone {self.wanted[index]}, in company {answer.text!r} {answer.logprobs}")
            answer.body = answer.logprobs = None
            self.answers.append(answer)

    async def watch(self):
        while time.perf_counter() < self.end:
            self.memory.append(self.server.memory_bytes())
            await asyncio.sleep(1)

    async def run(self, clients):
        await asyncio.gather(self.watch(), *(self.client(number) for number in range(clients)))


def half_of(model, *args):
    """A ceiling with room for half of the experts beside a server, and the smallest one."""
    least = smallest_bytes(model, *args)
    plan = weir_json("plan", model, "--ctx", 1024)
    return least + (plan["resident_bytes"] - plan["min_bytes"]) // 2, least


def load(options):
    model = options.model or DEMO
    ceiling, least = half_of(model, *LOAD)
    bodies = load_requests()
    with Weir(model, *LOAD[:1], 1, *LOAD[2:], "--mem", ceiling) as server:
        wanted = asyncio.run(answers_alone(server.port, bodies))
    with Weir(model, *LOAD, "--mem", ceiling) as server:
        begun = time.perf_counter()
        found = Load(server, bodies, wanted, begun + 60 * options.minutes)
        asyncio.run(found.run(options.clients))
        seconds, cpu = time.perf_counter() - begun, server.cpu_s()
        hits, uses = server.metric("expert_hits_total"), server.metric("expert_uses_total")
        read, preempted, peak = (server.metric(name) for name in ("read_bytes_total", "preempted_total", "peak_bytes"))
    quarter = len(found.memory) // 4
    warm = found.memory[quarter:]
    early, late = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    tokens = sum(answer.tokens for answer in found.answers)
    print(f"load: {os.path.basename(model)} ({size(os.path.getsize(model))}), {options.clients} clients for {seconds:.0f} s at a ceiling of "
          f"{size(ceiling)} (smallest {size(least)}), --parallel 16")
    print(f"  {len(found.answers)} answers, each as alone; {tokens} tokens, {tokens / seconds:.0f} a second; {found.full} times 429; nothing else")
    print(f"  {times(found.answers)}")
    print(f"  memory behind the first quarter: {size(min(warm))} to {size(max(warm))} ({100 * (max(warm) - min(warm)) / ceiling:.2f} % of "
          f"the ceiling); the last quarter's median {100 * (late / early - 1):+.2f} % from the second's; peak {size(peak)}; "
          f"{preempted:.0f} texts began again")
    print(f"  hit rate {hits / uses:.3f}, {size(read)} read; the server took {cpu / seconds:.2f} processors, the clients "
          f"{time.process_time() / seconds:.2f}", flush=True)
    check(peak <= ceiling, "the ceiling was broken")


# ---- a light client and a heavy one ----------------------------------------------------------


async def be_light(port, prompts, count, key):
    answers = []
    for _ in range(count):
        answer, _ = await ask_patiently(port, {"prompt": prompts.next(12), "max_tokens": 16, "temperature": 0, "stream": True}, key)
        answers.append(answer)
        await asyncio.sleep(0.1)
    return answers


async def be_heavy(port, prompts, key, end):
    async def one():
        while not end.is_set():
            await ask_patiently(port, {"prompt": prompts.next(500), "max_tokens": 200, "temperature": 0, "stream": True}, key)
    await asyncio.gather(*(one() for _ in range(8)))


async def be_both(port, prompts, count, keys):
    end = asyncio.Event()
    heavy = asyncio.create_task(be_heavy(port, prompts, keys[1], end))
    await asyncio.sleep(2)
    answers = await be_light(port, prompts, count, keys[0])
    end.set()
    await heavy
    return answers


def fair(options):
    model = options.model or DEMO
    keys, prompts = ["light-light-light", "heavy-heavy-heavy"], Prompts()
    alone, beside = [], []
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join(keys))
        file.flush()
        with Weir(model, "--parallel", 4, "--queue", 32, "--ctx", 1024, "--mem", "1G", "--api-key-file", file.name) as server:
            for _ in range(options.rounds):
                alone += asyncio.run(be_light(server.port, prompts, 20, keys[0]))
                beside += asyncio.run(be_both(server.port, prompts, 20, keys))
    ratio = percentile([one.first_s for one in beside], 0.99) / percentile([one.first_s for one in alone], 0.99)
    print(f"fair: {os.path.basename(model)}, --parallel 4; a client of short questions, and another with 8 long texts at once, "
          f"{options.rounds} turns")
    print(f"  alone:  {times(alone)}\n  beside: {times(beside)}\n  P99 of the first token beside / alone: {ratio:.2f}", flush=True)


# ---- idle connections ------------------------------------------------------------------------


def idle(options):
    async def hold(port, server):
        before = server.memory_bytes()
        peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(IDLE)]
        await asyncio.sleep(1)
        cpu, begun = server.cpu_s(), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        cost = (server.cpu_s() - cpu) / (time.perf_counter() - begun), server.memory_bytes() - before
        for _, writer in peers:
            writer.close()
        return cost

    with Weir(options.model or DEMO, "--mem", "1G") as server:
        asyncio.run(ask(server.port, {"prompt": "The", "max_tokens": 8}))
        time.sleep(2)
        cpu = server.cpu_s()
        time.sleep(IDLE_S)
        without = (server.cpu_s() - cpu) / IDLE_S
        share, memory = asyncio.run(hold(server.port, server))
    print(f"idle: {IDLE} connections for {IDLE_S} s: {1000 * share:.1f} ms of processor a second, without them {1000 * without:.1f}; "
          f"{size(max(memory, 0))} more memory, {max(memory, 0) / IDLE / 1024:.1f} KiB each", flush=True)


# ---- beside llama.cpp ------------------------------------------------------------------------


async def ask_all(port, clients, bodies):
    """All bodies, by so many clients; (answers, seconds)."""
    left, answers = list(reversed(bodies)), []

    async def client():
        while left:
            answer, _ = await ask_patiently(port, left.pop())
            check(answer.status == 200 and not answer.error, f"port {port}: {answer.status} {answer.error}")
            answers.append(answer)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return answers, time.perf_counter() - begun


def run_round(server, clients, bodies, found):
    cpu = server.cpu_s()
    answers, seconds = asyncio.run(ask_all(server.port, clients, bodies))
    tokens = sum(answer.tokens for answer in answers)
    check(tokens > 0, f"{server.name} wrote nothing")
    found.setdefault((server.name, clients), []).append((tokens / seconds, answers, (server.cpu_s() - cpu) / seconds))


def bodies_for(prompts, count, tokens, words):
    return [{"prompt": prompts.next(words), "max_tokens": tokens, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
            for _ in range(count)]


def report(clients, found, names):
    rates = {name: [rate for rate, _, _ in found[name, clients]] for name in names}
    for name in names:
        answers = [answer for _, some, _ in found[name, clients] for answer in some]
        cpu = statistics.median(cpu for _, _, cpu in found[name, clients])
        print(f"  {clients:2} clients, {name:9} {statistics.median(rates[name]):8.1f} tokens/s; {times(answers)}; {cpu:.2f} processors")
    ratios = [ours / theirs for ours, theirs in zip(*(rates[name] for name in names))]
    print(f"  {clients:2} clients, ratio of tokens/s {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def side_by_side(options):
    judge = os.path.abspath(peer())
    for model in [options.model] if options.model else [DEMO, find_model()]:
        prompts, found = Prompts(), {}
        print(f"peer: {os.path.basename(model)} in memory, prompts of {options.words} words, {options.tokens} tokens, {options.rounds} rounds "
              f"in turns, {options.threads} threads", flush=True)
        with Weir(model, "--parallel", 16, "--queue", 16, "--ctx", 1024, "--threads", options.threads, "--mem", "4G") as ours, \
                Peer(judge, model, 16, 1024, options.threads) as theirs:
            for turn in range(options.rounds):
                for clients in (1, 4, 16):
                    bodies = bodies_for(prompts, 4 * clients, options.tokens, options.words)
                    for server in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
                        run_round(server, clients, bodies, found)
        for clients in (1, 4, 16):
            report(clients, found, ("weir", "llama.cpp"))


# ---- far below the model's size --------------------------------------------------------------


def ids_for(chance, count, tokens, length):
    return [{"prompt": [chance.randrange(300, 20000) for _ in range(length)], "max_tokens": tokens, "temperature": 0, "stream": True,
             "stream_options": {"include_usage": True}} for _ in range(count)]


def streamed_once(make, group, model, clients, bodies, found):
    """A server of its own in the group, the file cold; nothing of another round is in memory."""
    drop_cache(model)
    with make(group) as server:
        run_round(server, clients, bodies, found)
        if isinstance(server, Weir):
            found.setdefault(("read", clients), []).append(server.metric("read_bytes_total") / server.metric("written_tokens_total"))


def streamed(options):
    model = options.model or make_model("olmoe-q4_0", "--preset", "olmoe", "--type", "Q4_0")
    args = ["--parallel", 8, "--queue", 8, "--ctx", 256, "--connections", 16, "--grammars", 0, "--threads", options.threads]
    limit = max(os.path.getsize(model) // 4, smallest_bytes(model, *args))
    judge = None if options.no_peer else os.path.abspath(peer())
    chance, found = random.Random(22), {}
    print(f"streamed: {os.path.basename(model)}, {size(os.path.getsize(model))}, groups of {size(limit)}, prompts of 16 ids, "
          f"{options.tokens} tokens (llama.cpp {options.peer_tokens})", flush=True)
    with MemoryGroup(limit) as group:
        for turn in range(options.rounds):
            for clients in (1, 8) if turn % 2 == 0 else (8, 1):
                streamed_once(lambda in_group: Weir(model, *args, "--mem", limit, group=in_group), group, model, clients,
                              ids_for(chance, clients, options.tokens, 16), found)
            if judge and turn < options.peer_rounds:
                streamed_once(lambda in_group: Peer(judge, model, 8, 256, options.threads, "--no-repack", group=in_group), group, model, 8,
                              ids_for(chance, 8, options.peer_tokens, 16), found)
        check(group.oom_kills() == 0 and group.peak_bytes() <= limit, f"peak {group.peak_bytes()} of {limit}")
    one, eight = ([rate for rate, _, _ in found["weir", clients]] for clients in (1, 8))
    for clients in (1, 8):
        answers = [answer for _, some, _ in found["weir", clients] for answer in some]
        print(f"  {clients} clients: {statistics.median(rate for rate, _, _ in found['weir', clients]):.2f} tokens/s, "
              f"{size(statistics.median(found['read', clients]))} read a token; {times(answers)}")
    print(f"  8 clients / 1: {statistics.median(many / few for many, few in zip(eight, one)):.2f} times the tokens/s")
    if judge:
        theirs = statistics.median(rate for rate, _, _ in found["llama.cpp", 8])
        print(f"  llama.cpp's server, 8 clients: {theirs:.3f} tokens/s; weir has {statistics.median(eight) / theirs:.1f} times as many",
              flush=True)


# ---- all -------------------------------------------------------------------------------------


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help=", ".join(SCENARIOS))
    parser.add_argument("--model", help="a GGUF file instead of those named above")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=1, help="of llama.cpp at a quarter, which take minutes")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--peer-tokens", type=int, default=4, help="of llama.cpp at a quarter")
    parser.add_argument("--words", type=int, default=40, help="of a prompt beside llama.cpp")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a few seconds of each: does the scenario work?")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.rounds, options.tokens = 0.1, 1, 16
    return options


SCENARIOS = {"load": load, "fair": fair, "idle": idle, "peer": side_by_side, "streamed": streamed}


def main():
    options = read_options()
    if not os.access(WEIR, os.X_OK):
        skip(f"{WEIR} is not built (make)")
    for name in options.scenarios or ["load", "fair", "idle", "peer"]:
        SCENARIOS[name](options)


main()
