#!/usr/bin/env python3
"""pull.py - models come whole from a server that is slow, lies, breaks off or sends us elsewhere, and have names here."""
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time

from harness import DEMO, PATIENCE_S, WEIR, check, remove, scratch_folder, skip, wait_for
from hub_server import Hub

TOKEN = "hf_SecretOfTheTest"
BIG = random.Random(1).randbytes(3 << 20)


def demo():
    with open(DEMO, "rb") as file:
        return file.read()


class Scene:
    """A hub, a folder for models, and weir between them."""

    def __init__(self, folder, **files):
        self.hub = Hub()
        self.folder = os.path.join(folder, "models")
        self.home = os.path.join(folder, "home")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.home, exist_ok=True)
        self.hub.files = {"org/repo": dict(files) or {"m.gguf": BIG}}
        self.environment = {**os.environ, "HF_ENDPOINT": self.hub.url, "WEIR_MODELS": self.folder, "HOME": self.home,
                            "no_proxy": "127.0.0.1"}
        for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME"):
            self.environment.pop(name, None)

    def start(self, *args, **keywords):
        environment = {**self.environment, **keywords.pop("env", {})}
        return subprocess.Popen([WEIR, *map(str, args)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **keywords)

    def weir(self, *args, **keywords):
        process = self.start(*args, **keywords)
        process.said, process.told = process.communicate(timeout=PATIENCE_S)
        return process

    def fails(self, words, *args, code=1, **keywords):
        done = self.weir(*args, **keywords)
        check(done.returncode == code, f"{args}: wanted exit {code}, found {done.returncode}: {done.told}")
        for word in words if isinstance(words, (list, tuple)) else [words]:
            check(word in done.told, f"{args}: wanted \"{word}\" in: {done.told}")
        return done

    def pulls(self, *args, words=(), **keywords):
        """The models here are random bytes, so pull says that they are none: whole they are all the same."""
        done = self.weir("pull", *args, **keywords)
        check("is no model that weir can open" in done.told or done.returncode == 0, f"{args}: {done.told}")
        for word in words:
            check(word in done.told, f"{args}: wanted \"{word}\" in: {done.told}")
        return done

    def path(self, name="m.gguf"):
        return os.path.join(self.folder, "org", "repo", name)

    def has(self, data, name="m.gguf"):
        with open(self.path(name), "rb") as file:
            check(file.read() == data, f"{name} is not what the server has")
        left = [path for path in os.listdir(os.path.dirname(self.path(name))) if ".part" in path]
        check(not left, f"left over: {left}")

    def has_not(self, name="m.gguf"):
        check(not os.path.exists(self.path(name)), f"{name} is there, and should not be")

    def begins(self, bytes_there=1 << 20):
        """A download that ends early, because no file may be longer."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_there, bytes_there))
        done = self.fails(["cannot write", "the same command goes on"], "pull", "hf:org/repo", preexec_fn=limit)
        check(self.part_bytes() == bytes_there, f"what fits is kept: {self.part_bytes()}: {done.told}")

    def part_bytes(self, name="m.gguf"):
        path = self.path(name) + ".part"
        return os.path.getsize(path) if os.path.exists(path) else None


@contextlib.contextmanager
def scene(**files):
    folder = scratch_folder()
    made = Scene(folder, **files)
    try:
        yield made
    finally:
        made.hub.close()
        remove(folder)


def whole_and_named():
    with scene(**{"weir-demo.gguf": demo(), "README.md": b"x"}) as at:
        done = at.weir("pull", "hf:org/repo", "--json")
        check(done.returncode == 0, f"pull: {done.told}")
        file = json.loads(done.said)["files"][0]
        check(file["checked"] and file["bytes"] == len(demo()) and file["resumed_bytes"] == 0, f"{file}")
        at.has(demo(), "weir-demo.gguf")
        check("next: weir run weir-demo" in done.told, done.told)
        check("there already" in at.weir("pull", "hf:org/repo").told, "a second pull says that it is there")
        for name in ("weir-demo", "WEIR-demo.gguf", "org/repo/weir-demo", "repo", "hf:org/repo", "hf:org/repo/weir-demo.gguf"):
            done = at.weir("run", name, "-p", "The", "-n", "2", "--temp", "0", "--json")
            check(done.returncode == 0 and json.loads(done.said)["tokens"] == 2, f"run {name}: {done.told}")
        listed = json.loads(at.weir("models", "--json").said)["models"]
        check([(model["name"], model["whole"], model["runs"], model["bytes"]) for model in listed] ==
              [("weir-demo", True, True, len(demo()))], f"models: {listed}")
        check("weir-demo" in at.weir("models").said and at.weir("models", "other").said == "", "models lists names")
        at.fails("did you mean weir-demo?", "run", "weir-dmo", "-p", "x")
        at.fails(["neither a file nor the name", "weir models", "weir pull"], "run", "qwen3:30b", "-p", "x")
        at.fails(["bring it first", "  weir pull hf:org/other/m.gguf\n"], "run", "-m", "hf:org/other/m.gguf", "-p", "x")
        at.fails(["bring it first", f"  weir pull {at.hub.url}/m.gguf\n"], "chat", f"{at.hub.url}/m.gguf")
        shutil.copytree(os.path.join(at.folder, "org"), os.path.join(at.folder, "two"))
        at.fails(["several models", "org/repo/weir-demo", "two/repo/weir-demo"], "run", "weir-demo", "-p", "x")
        check(at.weir("info", "two/repo/weir-demo").returncode == 0, "a longer name is of one model")


def which_of_several():
    with scene(**{"a-Q4_K_M.gguf": BIG, "a-Q8_0.gguf": BIG, "mmproj-a.gguf": BIG}) as at:
        at.pulls("hf:org/repo", words=["taking a-Q4_K_M.gguf", "3.00 MiB  a-Q8_0.gguf"])
        at.has(BIG, "a-Q4_K_M.gguf")
        at.pulls("hf:org/repo:q8_0", words=["taking a-Q8_0.gguf"])
        at.has(BIG, "a-Q8_0.gguf")
        at.fails(["no file a-Q5.gguf", "a-Q4_K_M.gguf"], "pull", "hf:org/repo/a-Q5.gguf")
        at.hub.files["org/repo"].pop("a-Q4_K_M.gguf")
        at.hub.files["org/repo"]["a-Q6_K.gguf"] = BIG
        at.fails(["none of them is the one Q4_K_M", "Name one: weir pull hf:org/repo/a-Q"], "pull", "hf:org/repo")
        at.fails("wanted hf:ORG/REPO", "pull", "hf:org")
        at.fails("wanted hf:ORG/REPO", "pull", "org/repo", code=2)
        at.fails("begins with https://", "pull", "ftp://example.org/m.gguf")


def parts_and_folders():
    parts = {f"Q4/m-0000{part}-of-00003.gguf": BIG[part:] for part in (1, 2, 3)}
    with scene(**parts) as at:
        at.pulls("hf:org/repo/Q4/m-00002-of-00003.gguf")
        for name, data in parts.items():
            at.has(data, name)
        os.remove(at.path("Q4/m-00002-of-00003.gguf"))
        listed = json.loads(at.weir("models", "--json").said)["models"]
        check(len(listed) == 1 and not listed[0]["whole"] and listed[0]["part_count"] == 3, f"{listed}")
        check("2 of 3 parts" in at.weir("models").said, "models says how many parts are here")
        at.pulls(f"{at.hub.url}/bytes/org/repo/Q4/m-00001-of-00003.gguf", "-o", at.folder + "/by-url/")
        check(sorted(os.listdir(at.folder + "/by-url")) == [name[3:] for name in parts], "all parts of a URL come")
        at.hub.files["org/repo"].pop("Q4/m-00003-of-00003.gguf")
        at.fails("wanted 3 parts, the repository has 2", "pull", "hf:org/repo")
    with scene(**{"config.json": b"{}", "model.safetensors": BIG, "tokenizer.json": b"{}", "pytorch_model.bin": BIG,
                  "consolidated.safetensors": BIG}) as at:
        at.pulls("hf:org/repo")
        check(sorted(os.listdir(at.path(""))) == ["config.json", "model.safetensors", "tokenizer.json"],
              f"a directory: {os.listdir(at.path(''))}")
        check(json.loads(at.weir("models", "--json").said)["models"][0]["path"] == at.path("")[:-1], "it is one model")
    with scene(**{"../../evil.gguf": BIG, "/evil.gguf": BIG, "a/../evil.gguf": BIG, "good.gguf": BIG}) as at:
        at.pulls("hf:org/repo")
        check(os.listdir(at.path("")) == ["good.gguf"], "a name leads nowhere else")
    with scene(**{"README.md": b"x"}) as at:
        at.fails("wanted GGUF files", "pull", "hf:org/repo")


def breaks_off():
    with scene() as at:
        at.hub.break_after = {"m.gguf": [1 << 20, 1 << 20]}
        done = at.pulls("hf:org/repo", words=["trying again"])
        at.has(BIG)
        ranges = [headers.get("Range") for headers in at.hub.asked("m.gguf")]
        check(ranges[0] is None and ranges[1] == f"bytes={1 << 20}-" and len(ranges) == 3, f"{ranges}: {done.told}")
        check(all(headers.get("If-Range") for headers in at.hub.asked("m.gguf")[1:]), "a range is of one ETag only")
    with scene() as at:  # for good, and the next command goes on
        at.hub.break_after = {"m.gguf": [1 << 20, 0, 0, 0, 0, 0, 0]}
        at.fails("the same command goes on", "pull", "hf:org/repo")
        at.has_not()
        check(at.part_bytes() == 1 << 20, f"the part: {at.part_bytes()}")
        listed = json.loads(at.weir("models", "--json").said)["models"]
        check(not listed[0]["whole"] and not listed[0]["runs"], "what is not finished is listed as that")
        at.fails("not all here yet", "run", "m", "-p", "x")
        at.hub.break_after = {}
        at.pulls("hf:org/repo", words=["going on with"])
        at.has(BIG)
        check(at.hub.asked("m.gguf")[-1].get("Range") == f"bytes={1 << 20}-", "it goes on where it ended")


def changed_meanwhile():
    with scene() as at:
        at.hub.lfs = False  # so that only the ETag tells
        at.begins()
        other = BIG[::-1]
        at.hub.files["org/repo"]["m.gguf"] = other
        at.pulls("hf:org/repo", words=["has changed on the server", "it starts again"])
        at.has(other)
    with scene() as at:  # the list's checksum tells before a byte is asked for
        at.begins()
        at.hub.files["org/repo"]["m.gguf"] = BIG[::-1]
        at.pulls("hf:org/repo", words=["not known to be the beginning"])
        at.has(BIG[::-1])
    with scene() as at:  # a server that cannot go on
        at.hub.no_ranges = True
        at.hub.break_after = {"m.gguf": [1 << 20]}
        at.pulls("hf:org/repo", words=["cannot go on in the middle"])
        at.has(BIG)
    with scene() as at:  # a part of unknown origin
        os.makedirs(at.path(""))
        with open(at.path() + ".part", "wb") as file:
            file.write(b"x" * 1000)
        at.pulls("hf:org/repo", words=["not known to be the beginning"])
        at.has(BIG)


def lies():
    with scene() as at:
        at.hub.lie_bytes = {"m.gguf": len(BIG) + 5}
        at.fails(f"wanted {len(BIG) + 5} bytes, as the list of files says; the server has {len(BIG)}", "pull", "hf:org/repo")
        at.has_not()
        at.hub.lie_bytes = {}
        at.hub.lie_length = {"m.gguf": len(BIG) - 7}
        at.fails("the server has", "pull", "hf:org/repo")
        at.has_not()
        at.hub.lie_length = {"m.gguf": len(BIG) + 7}
        at.fails("the server has", "pull", "hf:org/repo")
        at.has_not()
        at.hub.lie_length = {}
        at.hub.sends = {"m.gguf": BIG[::-1]}
        at.fails(["wanted SHA-256", "is removed"], "pull", "hf:org/repo")
        at.has_not()
        check(at.part_bytes() is None, "what is wrong is not gone on with")
        at.hub.sends = {}
        at.hub.no_length = {"m.gguf"}
        at.pulls("hf:org/repo", words=["SHA-256 as the hub has it"])
        at.has(BIG)
    with scene() as at:  # longer than the list says, and no length
        at.hub.no_length = {"m.gguf"}
        at.hub.sends = {"m.gguf": BIG + b"more"}
        at.fails("the server sends more", "pull", "hf:org/repo")
        at.has_not()
    with scene() as at:  # a URL about which nobody says anything
        at.hub.no_length = {"m.gguf"}
        at.hub.no_etag = True
        path = os.path.join(at.folder, "named.gguf")
        at.pulls(f"{at.hub.url}/bytes/org/repo/m.gguf", "-o", path, words=["which nobody names"])
        with open(path, "rb") as file:
            check(file.read() == BIG, "a URL without a length comes")


def sent_elsewhere():
    with scene() as at:
        other = Hub()
        other.files = at.hub.files
        at.hub.elsewhere = other.url
        at.hub.lfs = False  # what the redirect says of the file counts
        at.pulls("hf:org/repo", words=["SHA-256 as the hub has it"], env={"HF_TOKEN": TOKEN})
        at.has(BIG)
        check(all(headers.get("Authorization") == f"Bearer {TOKEN}" for _, headers in at.hub.seen), "the hub has the token")
        check(len(other.seen) == 1 and TOKEN not in str(other.seen), f"another server has the token: {other.seen}")
        remove(at.folder)
        other.sends = {"m.gguf": BIG[::-1]}
        at.fails("wanted SHA-256", "pull", "hf:org/repo")
        at.hub.elsewhere = at.hub.url
        at.hub.status = {"/m.gguf": [(302, {"Location": "/org/repo/resolve/main/m.gguf"})] * 20}
        at.fails("sent elsewhere more than 10 times", "pull", "hf:org/repo")
        other.close()


def tokens():
    with scene() as at:
        at.pulls("hf:org/repo")
        check("Authorization" not in str(at.hub.seen), "without a token none is sent")
        folder = os.path.join(at.home, ".cache", "huggingface")
        os.makedirs(folder)
        with open(os.path.join(folder, "token"), "w") as file:
            file.write(TOKEN + "\n")
        environment = {"XDG_CACHE_HOME": ""}
        done = at.weir("pull", "hf:org/repo", "--json", env=environment)
        check(f"Bearer {TOKEN}" in str(at.hub.seen), "the usual file has the token")
        at.hub.status = {"org/repo": [(401, {}), (403, {"X-Error-Message": "gated"})]}
        refused = at.fails(["401", "the token that was sent is not enough"], "pull", "hf:org/repo", env=environment)
        at.fails(["403", "gated"], "pull", "hf:org/repo", env=environment)
        check(TOKEN not in done.told + done.said + refused.told, "the token is never printed")
        at.fails("a character that no token has", "pull", "hf:org/repo", env={"HF_TOKEN": "a\nX-Evil: 1"})
        elsewhere = at.hub.url.replace("127.0.0.1", "localhost")
        before = len(at.hub.seen)
        at.pulls(f"{elsewhere}/bytes/org/repo/m.gguf", env={"HF_TOKEN": TOKEN})
        check(TOKEN not in str(at.hub.seen[before:]), "a URL of another host gets no token")


def refused():
    with scene() as at:
        for answer, words in (((404, {}), ["is not there", "404"]), ((401, {}), ["401", "HF_TOKEN"]),
                              ((429, {"Retry-After": "17"}), ["too many requests (429)", "17 s"]),
                              ((418, {}), ["418"])):
            at.hub.status = {"org/repo": [answer]}
            at.fails(words, "pull", "hf:org/repo")
            at.hub.status = {"m.gguf": [answer]}
            at.fails(words, "pull", "hf:org/repo")
        at.hub.status = {"m.gguf": [(503, {})]}  # a moment later it answers
        at.pulls("hf:org/repo")
        at.has(BIG)
        at.fails("Repository not found", "pull", "hf:org/nothing")
        at.hub.status = {"org/other": [(200, {})]}
        at.fails("in JSON", "pull", "hf:org/other")
        at.hub.close()
        at.fails("cannot be had", "pull", "hf:org/other")


def no_room():
    with scene() as at:
        at.hub.lie_bytes = {"m.gguf": 1 << 50}
        at.fails(["of free disk", "--models DIR"], "pull", "hf:org/repo")
        at.has_not()
        check(len(at.hub.asked("m.gguf")) == 0, "the room is looked at before a byte is asked for")
        at.hub.lie_bytes = {}
        at.begins()
        at.pulls("hf:org/repo", words=["going on with"])
        at.has(BIG)


def stopped():
    with scene() as at:
        at.hub.hold_after = {"m.gguf": 2 << 20}
        process = at.start("pull", "hf:org/repo")
        wait_for(at.part_bytes, "a part is written", process)
        at.fails("by another weir pull", "pull", "hf:org/repo")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_S)
        check(process.returncode in (1, 130) and "the same command goes on from there" in told,
              f"Ctrl-C: exit {process.returncode}: {told}")
        at.has_not()
        kept = at.part_bytes()
        check(0 < kept < len(BIG), f"the part has {kept}")
        at.hub.release()
        at.pulls("hf:org/repo", words=["going on with"])
        at.has(BIG)
        check(at.hub.asked("m.gguf")[-1]["Range"] == f"bytes={kept}-", "it goes on where it stopped")


def main():
    if not os.path.exists(WEIR):
        skip("build/release/weir is not built")
    for scenario in (whole_and_named, which_of_several, parts_and_folders, breaks_off, changed_meanwhile, lies,
                     sent_elsewhere, tokens, refused, no_room, stopped):
        begin = time.monotonic()
        scenario()
        print(f"{scenario.__name__}: {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    main()
