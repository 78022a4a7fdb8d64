#!/usr/bin/env python3
"""serve_models.py - weir serve --models: models come when they are asked for, one at a time, and nobody waits for ever."""
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, WEIR, check, remove, scratch_folder
from serve import WAIT_S, Server
from serve_limits import Stream, text_of


def ask(server, model, prompt="The old man", **more):
    body = {"prompt": prompt, "max_tokens": 4, "temperature": 0, **more}
    return server.ask("POST", "/v1/completions", {**body, "model": model} if model else body)


def loaded(server):
    return [model["id"] for model in server.ask("GET", "/v1/models")[2]["data"] if model["loaded"]]


def wait_until(is_so, what):
    for _ in range(WAIT_S * 20):
        if is_so():
            return
        time.sleep(0.05)
    check(False, f"waited in vain for {what}")


def in_turn(server):
    listed = server.ask("GET", "/v1/models")[2]["data"]
    check([model["id"] for model in listed] == ["one", "other"] and not loaded(server), f"none is here at first: {listed}")
    check(server.ask("GET", "/health")[0] == 200, "it is ready all the same")
    check([server.ask("GET", path)[0] for path in ("/props", "/v1/watch", "/slots")] == [503] * 3, "what a model would have to tell")
    status, _, told = ask(server, "third")
    check(status == 404 and '"one", "other"' in told["error"]["message"], f"a model that is not there: {status} {told}")
    check(loaded(server) == [], "and none came to say so")
    texts = {}
    for model in ("other", "one", None):
        status, _, told = ask(server, model)
        check(status == 200 and told["model"] == (model or "one") and loaded(server) == [model or "one"], f"{model}: {status} {told}")
        texts[told["model"]] = told["choices"][0]["text"]
    check(texts["one"] == texts["other"], f"the same model under two names: {texts}")
    check(server.metric("model_loaded") == 1 and server.ask("GET", "/props")[2]["model"] == "one", "it tells of the one that is here")


def nobody_is_passed_by(server):
    """While a text of one is written, another model is asked for, and then the first one again: they answer in this order."""
    ask(server, "one")
    stream = Stream(server, model="one")
    server.wait_for("texts_running", lambda count: count == 1)
    done = []
    threads = []
    for number, model in enumerate(("other", "one", "other"), 1):
        thread = threading.Thread(target=lambda number=number, model=model: done.append((number, ask(server, model)[0], model)))
        thread.start()
        threads.append(thread)
        server.wait_for("requests_in_lobby", lambda count, number=number: count == number)
    left = Stream(server, model="other")
    server.wait_for("requests_in_lobby", lambda count: count == 4)
    left.close()
    server.wait_for("requests_in_lobby", lambda count: count == 3)
    check(not done and loaded(server) == ["one"], f"they wait for the text: {done}")
    check("[DONE]" in stream.read(), "which ends as if nobody waited")
    for thread in threads:
        thread.join()
    order = [number for number, _, _ in done]
    check(all(status == 200 for _, status, _ in done) and order[-1] == 2 and sorted(order) == [1, 2, 3], f"both of the other model's first: {done}")
    check(loaded(server) == ["one"], "and then the first one's again")


def the_next_ones_weights_are_read_meanwhile(server, folder):
    """While a text of one is written, the other one is begun: its file may even go then. A client that leaves takes that back."""
    wanted = ask(server, "other")[2]["choices"][0]["text"]
    ask(server, "one")
    stream = Stream(server, model="one")
    server.wait_for("texts_running", lambda count: count == 1)
    left = Stream(server, model="other")
    server.wait_for("next_model_begun", lambda is_begun: is_begun == 1)
    check(server.metric("lent_bytes") > 0 and loaded(server) == ["one"], f"one answers, and lends: {server.metric('lent_bytes')}")
    left.close()
    server.wait_for("lent_bytes", lambda count: count == 0)
    check(server.metric("next_model_begun") == 0, "nobody waits for it any more")
    done = []
    thread = threading.Thread(target=lambda: done.append(ask(server, "other")))
    thread.start()
    server.wait_for("next_model_begun", lambda is_begun: is_begun == 1)
    os.rename(os.path.join(folder, "other.gguf"), os.path.join(folder, "gone"))
    check("[DONE]" in stream.read(), "the text ends as if nobody waited")
    thread.join()
    os.rename(os.path.join(folder, "gone"), os.path.join(folder, "other.gguf"))
    status, _, told = done[0]
    check(status == 200 and told["choices"][0]["text"] == wanted, f"and the other one goes on from what is here: {status} {told}")
    check(server.metric("lent_bytes") == server.metric("next_model_begun") == 0, "it has all of the ceiling")


def streams_that_wait_for_a_model_are_kept(folder):
    """One answers; who waits for the other one has signs of life in the way of its API, and then the answer, or what is wrong."""
    hello = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "model": "other"}
    comment, ping = ": it goes on\n\n", 'event: ping\ndata: {"type":"ping"}\n\n'
    ways = (("/v1/completions", {"prompt": "The", "max_tokens": 2, "model": "other"}, comment, "[DONE]"),
            ("/v1/responses", {"input": "Hi", "max_output_tokens": 2, "model": "other"}, comment, "event: response.incomplete"),
            ("/v1/messages", hello, ping, "event: message_stop"),
            ("/v1/chat/completions", {**hello, "xyzzy": 1}, comment, '\ndata: {"error":{"message":"\\"xyzzy\\"'),
            ("/v1/messages", {**hello, "xyzzy": 1}, ping, 'event: error\ndata: {"type":"error","error":{"type":"invalid_request_error"'))
    with Server("--models", folder, "--beat-time", 1, "--request-time", 86400, model=()) as server:
        ask(server, "one")
        first = Stream(server, model="one")
        server.wait_for("texts_running", lambda count: count == 1)
        waiting = [Stream(server, path=path, asked=asked) for path, asked, _, _ in ways]
        for (path, _, beat, _), stream in zip(ways, waiting):
            wait_until(lambda: beat in stream.begins_with(), f"a sign of life at {path}")
        check(loaded(server) == ["one"], "the other one is not here yet")
        first.close()
        for (path, _, _, end), stream in zip(ways, waiting):
            told = stream.read()
            check(told.startswith("HTTP/1.1 200") and end in told, f"{path}: wanted {end!r}, found {told}")
        server.stop()


def what_cannot_be_loaded(server, folder):
    ask(server, "one")
    os.rename(os.path.join(folder, "other.gguf"), os.path.join(folder, "gone"))
    status, _, told = ask(server, "other")
    check(status == 503 and "cannot be loaded" in told["error"]["message"], f"it is gone: {status} {told}")
    check(ask(server, "one")[0] == 200, "the one that is there answers")
    os.rename(os.path.join(folder, "gone"), os.path.join(folder, "other.gguf"))
    while (answer := ask(server, "other"))[0] == 503:  # it is not tried at once: the one that is there would go for it
        check(int(answer[1]["Retry-After"]) > 0 and loaded(server) == ["one"], f"it is refused, and the other one stays: {answer}")
        time.sleep(0.2)
    check(answer[0] == 200, f"and so does the other one, once it is there again: {answer}")


def a_stop_brings_no_model(folder):
    """A text of one is written, another model is asked for, and the server is told to stop: only the text comes to its end."""
    with Server("--models", folder, "--drain-time", 86400, model=()) as server:
        ask(server, "one")
        stream = Stream(server, model="one")
        server.wait_for("texts_running", lambda count: count == 1)
        done = []
        thread = threading.Thread(target=lambda: done.append(ask(server, "other")))
        thread.start()
        server.wait_for("requests_in_lobby", lambda count: count == 1)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        status, _, told = done[0]
        check(status == 503 and told["error"]["code"] == "stopping", f"who waits is told: {status} {told}")
        check("[DONE]" in stream.read(), "the text ends")
        check(server.process.wait(WAIT_S) == 143 and "other is wanted" not in server.said, f"and then the server: {server.said}")


def several_that_are_named(folder):
    one, other = (os.path.join(folder, name) for name in ("one.gguf", "other.gguf"))
    with Server(model=(one, other)) as server:
        check([model["id"] for model in server.ask("GET", "/v1/models")[2]["data"]] == ["one", "other"], "both, and no third one")
        check([ask(server, model)[0] for model in ("other", "one")] == [200, 200], "each answers")
        server.stop()
    for wrong, status, why in (((one, one), 1, "another model is called one too"), ((one, other, "--alias", "both"), 2, "--alias"),
                               ((one, "nothing"), 1, "nothing")):
        done = subprocess.run([WEIR, "serve", *wrong, "--port", "0"], capture_output=True, text=True)
        check(done.returncode == status and why in done.stderr, f"{wrong}: {done.returncode} {done.stderr}")


def main():
    folder = scratch_folder()
    try:
        for name in ("one.gguf", "other.gguf"):
            shutil.copyfile(DEMO, os.path.join(folder, name))
        with open(os.path.join(folder, "third.gguf"), "wb") as file:
            file.write(b"GGUF, but nothing else")
        with Server("--models", folder, model=()) as server:
            check("2 models" in server.said and "third.gguf" in server.said, f"what it has: {server.said}")
            in_turn(server)
            nobody_is_passed_by(server)
            the_next_ones_weights_are_read_meanwhile(server, folder)
            what_cannot_be_loaded(server, folder)
            server.stop()
        a_stop_brings_no_model(folder)
        streams_that_wait_for_a_model_are_kept(folder)
        several_that_are_named(folder)
        with Server("--models", folder, "--idle-time", 1, model=("one",)) as server:
            first = ask(server, None)[2]["choices"][0]["text"]
            wait_until(lambda: not loaded(server), "a model that nobody asks for to go")
            check(ask(server, "one")[2]["choices"][0]["text"] == first, "it comes again, and writes the same")
    finally:
        remove(folder)
    print("serve_models: models come and go, in the order in which they are asked for")


if __name__ == "__main__":
    main()
