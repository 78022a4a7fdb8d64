#!/usr/bin/env python3
"""serve_limits.py - options of weir serve that end or refuse something, small ceilings, and one key's texts beside another's.

What has to last is a stream that nobody reads: it stops when what it has told fills the sockets, and goes on when it is
read. So nothing here goes by how fast the machine is.
"""
import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, WEIR, check, remove, scratch_folder, wait_for
from serve import WAIT_S, Server

KEYS = {"many": "the-key-of-many-texts", "few": "the-key-of-few-texts"}
LONG = 420  # tokens of a stream that does not end unread: some 370 bytes each, with logprobs; the sockets hold 100 KiB


class Stream:
    """A text whose client does not read it yet."""

    def __init__(self, server, prompt="The", key=None, path="/v1/completions", asked=None, **more):
        asked = asked or {"prompt": prompt, "max_tokens": LONG, "temperature": 0, "logprobs": 5, **more}
        body = json.dumps({**asked, "stream": True}).encode()
        self.peer = socket.socket()
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.peer.settimeout(WAIT_S)
        self.peer.connect(("127.0.0.1", server.port))
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.peer.sendall((head + (f"x-api-key: {key}\r\n" if key else "") + "Connection: close\r\n\r\n").encode() + body)

    def begins_with(self):
        """What is told so far, as far as it fits into a small buffer; it stays to be read."""
        is_there = select.select([self.peer], [], [], 0)[0]
        return self.peer.recv(4096, socket.MSG_PEEK).decode(errors="replace") if is_there else ""

    def read(self):
        """All that is told, to the end."""
        told = b""
        with self.peer:
            while more := self.peer.recv(65536):
                told += more
        return told.decode()

    def close(self):
        self.peer.close()


def text_of(told):
    return "".join(re.findall(r'"text":"(.*?)"', told))


def streams_that_wait_are_kept():
    """The only place has a text that nobody reads; who waits for it gets signs of life, in the way of each API."""
    with Server("--parallel", 1, "--beat-time", 1, "--request-time", 86400) as server:
        ahead = Stream(server)
        wait_for(lambda: "data: " in ahead.begins_with(), "the first text is written", server.process)
        for path, beat in (("/v1/completions", ": it goes on\n\n"), ("/v1/messages", 'event: ping\ndata: {"type":"ping"}\n\n')):
            hello = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            last = Stream(server, path=path, asked=hello if path == "/v1/messages" else None)
            wait_for(lambda: beat in last.begins_with(), f"{path}: a stream that waits is kept", server.process)
            check('"id"' not in last.begins_with(), f"{path}: it waits: {last.begins_with()}")
            last.close()
        check("it goes on" not in text_of(ahead.read()), "a comment is none of a text")


class Unread(Server):
    """One whose log is a small pipe that is read only where `said` stands."""

    def __init__(self, *args):
        self.reads, writes = os.pipe()
        self.text = b""
        fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 16384)
        os.set_blocking(self.reads, False)
        super().__init__(*args, log=os.fdopen(writes, "wb"))

    @property
    def said(self):
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.reads, 65536):
                self.text += more
        return self.text.decode()


def who_does_not_read_the_log_stops_nobody():
    """Its pipe is full: answers go on, and what could not be said is counted and told."""
    with Unread("--log-text") as server:
        for _ in range(200):
            check(server.ask("GET", "/health")[0] == 200, "an answer though nobody reads the log")
        check(" lines were dropped" not in server.said, "what is dropped is told behind it")
        status, _, _ = server.ask("POST", "/v1/completions", {"prompt": "A\x1b[2J\u202eB\u009b\n", "max_tokens": 2})
        said = server.stop()
        dropped = [int(count) for count in re.findall(r": (\d+) lines were dropped", said)]
        lines = said.count(" /health 200 ")
        check(status == 200 and len(dropped) == 1 and lines < 200 and lines + dropped[0] == 200, f"{lines} lines, {dropped} dropped: {said}")
        check(" prompt: A\\x1b[2J\\u202eB\\u009b\\n\n" in said and " answer: " in said, f"texts as a terminal may have them: {said}")


def texts_are_in_the_log_where_that_is_asked_for():
    asked = {"prompt": "The old \x1b[2J\u202e\"man\" \U000e0001" + "sea " * 200, "max_tokens": 40, "temperature": 0}
    for args, is_told in (("--log-text", "--log-json"), True), (("--log-json",), False):
        with Server(*args) as server:
            wanted = server.ask("POST", "/v1/completions", asked)[2]["choices"][0]["text"]
            lines = [json.loads(line) for line in server.stop().splitlines() if line.startswith("{")]
            told = {what: "".join(line.get(what, "") for line in lines) for what in ("prompt", "answer")}
            check(told == ({"prompt": asked["prompt"], "answer": wanted} if is_told else {"prompt": "", "answer": ""}), f"{args}: {lines}")
            check(not set("\x1b\u202e\U000e0001") & set(server.said), f"{args}: what a terminal would obey: {server.said}")


def an_answer_has_to_end():
    with Server("--answer-time", 1) as server:
        stream = Stream(server)
        # On a machine that is very busy its time is over before its first token.
        wait_for(lambda: server.metric("written_tokens_total") > 0 or '"error"' in stream.begins_with(), "its time begins", server.process)
        server.wait_for("texts_running", lambda count: count == 0)  # though nobody has read it, and it is not whole
        told = stream.read()
        check('"error"' in told and "too long" in told and "[DONE]" not in told, f"an answer that took too long: {told[-300:]}")
        # Of a machine that is busy an answer may take longer: then it is asked for again.
        check(any("[DONE]" in Stream(server, max_tokens=2).read() for _ in range(20)), "and the next one has its own time")


def a_stop_waits_for_answers():
    with Server("--drain-time", 86400) as server:
        stream = Stream(server)
        server.wait_for("texts_running", lambda count: count == 1)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping: " in server.said, "it says that it stops", server.process)
        check(server.process.poll() is None, "it waits for the answer")
        told = stream.read()
        check("[DONE]" in told and '"finish_reason":"length"' in told, f"the answer ends: {told[-300:]}")
        check(server.process.wait(WAIT_S) == 143 and "stopped" in server.said, f"and then the server: {server.said}")
    with Server("--drain-time", 0) as server:
        stream = Stream(server)
        server.wait_for("texts_running", lambda count: count == 1)
        server.stop()
        check("[DONE]" not in stream.read(), "without such a time the answer is cut")


def a_request_may_ask_for_so_much():
    with Server("-n", 5, "--grammars", 1, "--parallel", 1) as server:
        status, _, told = server.ask("POST", "/v1/completions", {"prompt": "The", "max_tokens": 6})
        check(status == 400 and told["error"]["param"] == "max_tokens", f"one more than -n: {status} {told}")
        for asked in ({}, {"max_tokens": 5}):
            usage = server.ask("POST", "/v1/completions", {"prompt": "The", "logit_bias": {}, "temperature": 0, **asked})[2]["usage"]
            check(usage["completion_tokens"] == 5, f"as many as -n: {usage}")


def schemas_are_used_up():
    with Server("--grammars", 1, "--parallel", 1) as server:
        plain = Stream(server)
        server.wait_for("texts_running", lambda count: count == 1)
        one = {"prompt": "The", "grammar": 'root ::= "one"'}
        waits = Stream(server, stream=True, **one)
        server.wait_for("texts_waiting", lambda count: count == 1)
        status, headers, told = server.ask("POST", "/v1/completions", {"prompt": "The", "grammar": 'root ::= "other"'})
        check(status == 429 and int(headers["Retry-After"]) > 0 and "--grammars" in told["error"]["message"], f"all are in use: {status} {told}")
        with contextlib.closing(Stream(server, stream=True, **one)):  # the same one is shared
            server.wait_for("texts_waiting", lambda count: count == 2)
        plain.close()
        check(text_of(waits.read()) == "one", "who waits has its grammar")
        status, _, told = server.ask("POST", "/v1/completions", {"prompt": "The", "grammar": 'root ::= "other"'})
        check(status == 200 and told["choices"][0]["text"] == "other", f"another one takes the place: {status} {told}")
    with Server("--grammars", 0) as server:
        status, _, told = server.ask("POST", "/v1/completions", one)
        check(status == 400 and "--grammars" in told["error"]["message"], f"there is none: {status} {told}")


def one_key_lets_another_by(folder):
    """Two texts of one key have all places, and end when they are read; another key's is answered all the same."""
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{KEYS['many']} weight=3\n{KEYS['few']}\n")
    with Server("--parallel", 2, "--api-key-file", path) as server:
        def look(route):
            return server.ask("GET", route, Authorization="Bearer " + KEYS["few"])[2]

        def wait_for(states):
            for _ in range(WAIT_S * 20):
                found = sorted(text["state"] for text in look("/slots")["texts"])
                if found == states:
                    return
                time.sleep(0.05)
            check(False, f"wanted texts that are {states}: {look('/slots')}")

        streams = [Stream(server, prompt, KEYS["many"]) for prompt in ("The old man", "Once upon a time", "She opened the door")]
        wait_for(["waiting", "writing", "writing"])
        status, _, told = server.ask("POST", "/v1/completions", {"prompt": "A house", "max_tokens": 3}, x_api_key=KEYS["few"])
        check(status == 200 and told["usage"]["completion_tokens"] == 3, f"the other key: {status} {told}")
        check(float(re.search(r"^weir_set_aside_total (\S+)$", look("/metrics"), re.M).group(1)) >= 1, "one was set aside")
        told = [None] * 3
        readers = [threading.Thread(target=lambda at=at: told.__setitem__(at, streams[at].read())) for at in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        check(all("[DONE]" in one for one in told), "all of the first key's end")
        alone = Stream(server, "Once upon a time", KEYS["many"]).read()
        check("[DONE]" in alone and text_of(told[1]) == text_of(alone), "who was set aside writes the same")


def a_small_ceiling_has_small_limits():
    least = subprocess.run([WEIR, "serve", DEMO, "--port", "0", "--mem", "1M"], capture_output=True, text=True, timeout=WAIT_S)
    advice = re.search(r"(\S+ \S+) of that are the server's own", least.stderr)
    check(least.returncode == 1 and "--mem" in least.stderr and advice, f"1 MiB: {least.returncode} {least.stderr}")
    wanted = subprocess.run([WEIR, "serve", DEMO, "--port", "0", "--mem", "1M", "--queue", "32", "--connections", "128", "--grammars", "2"],
                            capture_output=True, text=True, timeout=WAIT_S)
    check("--queue 4 --connections 16 --grammars 0" in wanted.stderr, f"what would help: {wanted.stderr}")
    smallest = int(re.search(r"--mem (\d+)\)", least.stderr).group(1))
    with Server("--mem", smallest, "--parallel", 1) as server:
        check("under this ceiling" in server.said and "--connections" in server.said, f"it says what there is: {server.said}")
        props = server.ask("GET", "/props")[2]
        check(props["queue"] < 32 and props["connections"] < 128, f"less than usual: {props}")
        check(server.ask("POST", "/v1/completions", {"prompt": "The", "max_tokens": 2})[0] == 200, "and it answers")
    with Server("--mem", "1G") as server:
        props = server.ask("GET", "/props")[2]
        check("under this ceiling" not in server.said and props["queue"] == 32 and props["connections"] == 128, f"the usual: {props} {server.said}")


def main():
    folder = scratch_folder()
    try:
        one_key_lets_another_by(folder)
    finally:
        remove(folder)
    a_small_ceiling_has_small_limits()
    an_answer_has_to_end()
    streams_that_wait_are_kept()
    who_does_not_read_the_log_stops_nobody()
    texts_are_in_the_log_where_that_is_asked_for()
    a_stop_waits_for_answers()
    a_request_may_ask_for_so_much()
    schemas_are_used_up()
    print("serve_limits: time, tokens, schemas and memory end where the options say; the log waits for nobody")


if __name__ == "__main__":
    main()
