#!/usr/bin/env python3
"""advice.py - how a model's file advises to choose tokens (general.sampling.*): run, chat and serve follow it where nobody says
otherwise, and say so."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve
from gguf_edit import Gguf
from harness import DEMO, PATIENCE_S, WEIR, check, remove, scratch_folder, weir_json


def advised(folder, name, **keys):
    model = Gguf(DEMO)
    for key, (kind, value) in keys.items():
        model.set(f"general.sampling.{key}", kind, value)
    return model.write(os.path.join(folder, f"{name}.gguf"))


def texts(model, *args):
    """What two runs of other seeds write, and what one of them says of advice."""
    told = [weir_json("run", model, "-p", "The old man", "-n", 12, "--seed", seed, *args) for seed in (1, 2)]
    return {one["text"] for one in told}, told[0]["mode"]["advice"]


def run_follows(folder):
    greedy = advised(folder, "greedy", temp=("f32", 0.0))
    wanted = weir_json("run", DEMO, "-p", "The old man", "-n", 12, "--temp", 0)["text"]
    check(texts(greedy) == ({wanted}, "temp 0"), f"advice to be greedy: {texts(greedy)}, wanted {wanted!r}")
    check(len(texts(greedy, "--plain-sampling")[0]) == 2 and texts(greedy, "--plain-sampling")[1] is None, "advice that is not wanted")
    check(len(texts(greedy, "--temp", 1)[0]) == 2 and texts(greedy, "--temp", 1)[1] is None, "what is given goes before advice")
    both = advised(folder, "both", temp=("f32", 0.6), top_k=("i32", 1), top_p=("f32", 0.95), mirostat=("i32", 0))
    found, words = texts(both)
    check(found == {wanted} and words == "temp 0.6, top-k 1, top-p 0.95", f"advice of several keys: {found} {words}")
    check(texts(both, "--top-k", 40)[1] == "temp 0.6, top-p 0.95", f"a key that is given: {texts(both, '--top-k', 40)}")
    check(texts(DEMO)[1] is None, "a model without advice")
    said = subprocess.run([WEIR, "run", both, "-p", "The", "-n", "1"], capture_output=True, text=True).stderr
    check("sampling as the file advises: temp 0.6, top-k 1, top-p 0.95" in said, f"the mode line: {said}")


def what_cannot_be_followed_is_said(folder):
    odd = advised(folder, "odd", temp=("f32", -1.0), top_k=("f32", 2.5), top_p=("u32", 7), mirostat=("i32", 2), sequence=("str", "temp;top_k"))
    done = subprocess.run([WEIR, "run", odd, "-p", "The", "-n", "1"], capture_output=True, text=True)
    for key in ("temp", "top_k", "top_p", "mirostat", "sequence"):
        check(re.search(rf"general\.sampling\.{key}:? .*ignored", done.stderr), f"{key}: {done.stderr}")
    check(done.returncode == 0 and "advises" not in done.stderr, f"odd advice: {done.stderr}")


def chat_follows(folder):
    model = advised(folder, "chat", temp=("f32", 0.0))

    def answers(*args):
        done = subprocess.run([WEIR, "chat", model, "--template", "chatml", "-n", "8", *args], input="The sea\n/reset\nThe sea\n",
                              capture_output=True, text=True, timeout=PATIENCE_S)
        check(done.returncode == 0, f"a chat: {done.stderr}")
        return done.stdout

    check(answers() == answers("--temp", "0"), "a chat follows advice")


def serve_follows(folder):
    model = advised(folder, "served", temp=("f32", 0.0), top_p=("f32", 0.5))
    asked = {"messages": [{"role": "user", "content": "The old man"}], "max_tokens": 8}

    def written(server, **more):
        return {server.ask("POST", "/v1/chat/completions", {**asked, "seed": seed, **more})[2]["choices"][0]["message"]["content"]
                for seed in (1, 2, 3)}

    def echo(server, **more):
        told = server.ask("POST", "/v1/responses", {"input": "Hi", "max_output_tokens": 1, **more})[2]
        return told["temperature"], told["top_p"]

    with serve.Server(model=(model, "--alias", "demo")) as server:
        check("as the model's file advises: temp 0, top-p 0.5" in server.said, f"what it says: {server.said}")
        check(len(written(server)) == 1 and len(written(server, temperature=1, top_p=1)) > 1, "a server follows advice")
        check(echo(server) == (0, 0.5) and echo(server, temperature=1) == (1, 0.5), f"what was used: {echo(server)}")
    with serve.Server("--plain-sampling", model=(model, "--alias", "demo")) as server:
        check("advises" not in server.said and echo(server) == (1, 1), f"without advice: {echo(server)} {server.said}")
    with serve.Server("--temp", 0, "--top-k", 3, "--typical", 0.9, "--presence-penalty", -1, "--default-tokens", 5, "--think-budget", 7,
                      "--reasoning-effort", "low", "--seed", 5, "--stop", "e", "--stop", "\n\n", model=(model, "--alias", "demo")) as server:
        told = server.ask("GET", "/props")[2]
        wanted = {"temperature": 0, "top_k": 3, "top_p": 0.5, "min_p": 0, "typical_p": 0.9, "repeat_penalty": 1, "frequency_penalty": 0,
                  "presence_penalty": -1, "max_tokens": 5, "reasoning_budget_tokens": 7, "reasoning_effort": "low", "seed": 5,
                  "stop": ["e", "\n\n"]}
        check(told["defaults"] == wanted and told["reasoning_efforts"] == [], f"the server's own, before the file's: {told}")
        check("--reasoning-effort: the chat template of demo has no way" in server.said, f"it says so: {server.said}")
        status, _, told = server.ask("POST", "/v1/chat/completions", {"messages": asked["messages"]})
        check(status == 200 and told["usage"]["completion_tokens"] <= 5, f"a usual length: {status} {told}")
        check(echo(server, top_p=1) == (0, 1), f"a request's own is before it: {echo(server, top_p=1)}")

        def text(**more):
            return server.ask("POST", "/v1/completions", {"prompt": "The old man", "max_tokens": 40, **more})[2]["choices"][0]["text"]
        whole = text(stop=[])
        check("e" in whole and text() == whole.split("e")[0], f"it ends where the server's own stop is: {whole!r}, {text()!r}")
        drawn = [text(stop=[], temperature=2, top_p=1, top_k=0, **more) for more in ({}, {}, {"seed": 5}, {"seed": 6})]
        check(len(set(drawn[:3])) == 1 and drawn[3] != drawn[0], f"and its own seed draws: {drawn}")
    done = subprocess.run([WEIR, "serve", model, "-n", "4", "--default-tokens", "5"], capture_output=True, text=True)
    check(done.returncode == 2 and "--default-tokens: wanted at most the 4 of -n" in done.stderr, f"more than may be: {done.stderr}")
    done = subprocess.run([WEIR, "serve", model, "--stop", ""], capture_output=True, text=True)
    check(done.returncode == 2 and "--stop: " in done.stderr, f"an empty stop string: {done.stderr}")


def main():
    folder = scratch_folder()
    try:
        run_follows(folder)
        what_cannot_be_followed_is_said(folder)
        chat_follows(folder)
        serve_follows(folder)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
