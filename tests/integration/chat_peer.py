#!/usr/bin/env python3
"""chat_peer.py - SmolLM2-135M-Instruct in weir chat: greedy answers of several turns are llama.cpp's, under the model's own template.

llama.cpp's server renders the same messages with the same template. Both sides round activations to 8 bits, each in its own
way, which moves logits by 0.2; so where two tokens are nearer than NEAR (as the server's own probabilities tell), either may
be chosen, and what follows is no longer compared. Such places are shown.
"""
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import JUDGE_THREADS, LONG, PATIENCE_S, WEIR, check, peer, remove, scratch_folder
from smollm2_model import find_model

CONVERSATIONS = [
    ["What is the capital of France?", "And what is the capital of Italy?", "Thank you. Which of the two is larger?"],
    ["Write one sentence about the sea.", "Now one about the moon.", "Which one is shorter?"],
    ["What is 2 + 2?", "Add 3 to that.", "And the double of it?"],
    ["Name three colors.", "Name three animals.", "Say goodbye."],
    ["Translate \"good morning\" into Spanish.", "And \"good night\"?", "What language was that?"],
]
TOKENS, NEAR = 24, 0.5


def ask_weir(model, turns):
    """The messages of a chat with these questions."""
    folder = scratch_folder()
    path = os.path.join(folder, "talk.json")
    try:
        script = "\n".join([*turns, f"/save {path}"])
        done = subprocess.run([WEIR, "chat", model, "-n", str(TOKENS), "--temp", "0"], input=script, capture_output=True, text=True)
        check(done.returncode == 0, f"weir chat: exit {done.returncode}: {done.stderr}")
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    finally:
        remove(folder)


class Server:
    def __init__(self, judge, model):
        self.command = [judge, "server", "-m", model, "-t", JUDGE_THREADS, "-c", "2048", "-np", "1", "--no-webui", "--port"]

    def __enter__(self):
        for _ in range(5):  # another program may take the port before the server does
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.process = subprocess.Popen([*self.command, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.is_healthy():
                return self
        check(False, "llama.cpp's server ended before it answered, five times")

    def is_healthy(self):
        """Whether it answers; it may also have ended."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return True
            except OSError:
                check(time.monotonic() < end, f"llama.cpp's server does not answer within {PATIENCE_S} s")
            time.sleep(0.1)
        return False

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()

    def ask(self, messages):
        """The answer's tokens: (text, how far the second-best is away)."""
        body = json.dumps({"messages": messages, "max_tokens": TOKENS, "temperature": 0, "top_k": 1, "logprobs": True, "top_logprobs": 2,
                           "cache_prompt": False}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            choice = json.load(answer)["choices"][0]
        tokens = []
        for token in choice["logprobs"]["content"]:
            best = sorted((top["logprob"] for top in token["top_logprobs"]), reverse=True)
            tokens.append((token["token"], best[0] - best[1] if len(best) > 1 else math.inf))
        return choice["message"]["content"], tokens


def compare(turn, ours, theirs, tokens):
    """Equal, or parted at a near-tie."""
    if ours.strip() == theirs.strip():
        print(f"  {turn!r}: {ours!r}")
        return
    common = os.path.commonprefix([ours, theirs])
    begun = ""
    for text, distance in tokens:
        if len(begun) + len(text) > len(common):
            break
        begun += text
    else:
        text, distance = "(the end)", math.inf
    print(f"  {turn!r}: the same up to {common!r}; there {text!r} leads by {distance:.2f}; then {ours[len(common):]!r} and {theirs[len(common):]!r}")
    check(distance < NEAR, f"{turn!r}: wanted {theirs!r}, found {ours!r}")


def main():
    judge = peer()
    model = find_model()
    with Server(judge, model) as server:
        for turns in CONVERSATIONS if LONG else [CONVERSATIONS[0][:2]]:
            messages = ask_weir(model, turns)
            for index in range(1, len(messages), 2):
                theirs, tokens = server.ask(messages[:index])
                compare(messages[index - 1]["content"], messages[index]["content"], theirs, tokens)


main()
