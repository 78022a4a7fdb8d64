#!/usr/bin/env python3
"""warm_up.py - a run begins with the experts that the last one of the same model kept, and how often it used them; its text stays
the same. So does a server, and a model that a server brings back."""
import glob
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, check, remove, scratch_folder, wait_for, weir_json
from serve import Server

ASK = ["run", DEMO, "--mem", "40M", "--temp", "0", "-p", "The old man", "-n", "60"]


SMALL = ("--ctx", 512, "--parallel", 1)  # a quarter of the experts have slots


def shares(path):
    """The file's experts, each with the share of tokens that used it."""
    lines = open(path).read().splitlines()
    check(lines[0] == "weir kept experts, version 2: layer, expert, share of tokens", f"the first line: {lines[0]}")
    return {(int(layer), int(expert)): float(share) for layer, expert, share in map(str.split, lines[1:])}


def ask(server, model):
    status, _, told = server.ask("POST", "/v1/completions", {"model": model, "prompt": "The old man", "max_tokens": 40, "temperature": 0})
    check(status == 200, f"{status} {told}")
    return told["choices"][0]["text"]


def a_server_goes_on_where_it_stopped(cache):
    for path in glob.glob(os.path.join(cache, "weir", "experts-*")):
        os.unlink(path)
    with Server(*SMALL, mem="56M") as server:
        first = ask(server, "demo")
        check(server.metric("warm_up_reads_total") == 0, "the first server knows nothing")
        server.stop()
    (path,) = glob.glob(os.path.join(cache, "weir", "experts-*"))
    check(max(shares(path).values()) > 0.1, "how often experts were used is kept")
    with Server(*SMALL, mem="56M") as server:
        check(ask(server, "demo") == first, "the next server writes the same")
        server.wait_for("warm_up_reads_total", lambda count: count > 0)
        server.stop()


def a_server_that_is_killed_has_kept_it(cache):
    for path in glob.glob(os.path.join(cache, "weir", "experts-*")):
        os.unlink(path)

    def files():
        return glob.glob(os.path.join(cache, "weir", "experts-*"))

    with Server(*SMALL, mem="56M") as server:
        ask(server, "demo")
        wait_for(files, "the list of experts is written while the server runs", server.process)
        server.process.kill()
    check(max(shares(files()[0]).values()) > 0.1, "a list that is whole")
    with Server(*SMALL, mem="56M") as server:
        ask(server, "demo")
        server.wait_for("warm_up_reads_total", lambda count: count > 0)


def a_list_holds_more_experts_than_it_did(cache):
    """A file with 6144 experts is read to its end."""
    (path,) = glob.glob(os.path.join(cache, "weir", "experts-*"))
    first, *lines = open(path).read().splitlines()
    with open(path, "w") as file:  # those of other layers are passed over
        file.write("\n".join([first, *(f"{1000 + at} 0 0.5" for at in range(6144 - len(lines))), *lines]) + "\n")
    check(weir_json(*ASK)["warm_up_reads"] > 0, "experts behind many others are read")


def a_model_that_comes_back_does_so_too():
    folder = scratch_folder()
    try:
        for name in ("one.gguf", "other.gguf"):
            shutil.copyfile(DEMO, os.path.join(folder, name))
        with Server("--models", folder, *SMALL, model=(), mem="56M") as server:
            first = ask(server, "one")
            ask(server, "other")
            check(ask(server, "one") == first, "it writes the same")
            server.wait_for("warm_up_reads_total", lambda count: count > 0)
            server.stop()
    finally:
        remove(folder)


def main():
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        first = weir_json(*ASK)
        check(first["warm_up_reads"] == 0, f"the first run knows nothing: {first['warm_up_reads']} experts read")
        files = glob.glob(os.path.join(cache, "weir", "experts-*"))
        check(len(files) == 1, f"one file is kept, found {files}")
        second = weir_json(*ASK)
        check(second["warm_up_reads"] > 0, "the second run fills empty slots")
        check(second["ids"] == first["ids"], "the text is the same")
        check(second["peak_bytes"] <= second["budget_bytes"], f"peak {second['peak_bytes']} of {second['budget_bytes']}")
        told = shares(files[0])
        check(max(told.values()) > 0.1 and all(0 <= share <= 1 for share in told.values()), f"how often each was used: {told}")
        kept = open(files[0]).read()
        cold = weir_json(*ASK, "--no-warm-up")
        check(cold["warm_up_reads"] == 0, "--no-warm-up reads nothing early")
        check(open(files[0]).read() == kept, "--no-warm-up keeps nothing")
        for wrong in ("", "something else\n", kept.splitlines()[0] + "\n4294967295 4294967295 0.5\n7 -1 nan\n1 x\n"):
            with open(files[0], "w") as file:
                file.write(wrong)
            found = weir_json(*ASK)
            check(found["warm_up_reads"] == 0 and found["ids"] == first["ids"], f"{wrong!r} is passed over")
        measured = weir_json("bench", DEMO, "--mem", "40M", "--prompt", "8", "--gen", "8", "--repeat", "1")
        check(measured["warm_up_reads"] == 0, "what is measured begins anew")
        a_server_goes_on_where_it_stopped(cache)
        a_server_that_is_killed_has_kept_it(cache)
        a_list_holds_more_experts_than_it_did(cache)
        a_model_that_comes_back_does_so_too()


main()
