#!/usr/bin/env python3
"""saved.py - texts on the disk: a conversation goes on after a restart, and after a server was killed while it wrote; torn
files, a full disk, one that fails, a file in use are told, and the answers are those of a server without any of it.
"""
import concurrent.futures
import glob
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, LONG, WEIR, check, remove, scratch_folder
from serve import Server

QUESTION = "Tell me about the old man who lived by the sea and had a small boat, and a dog that could not swim. "
TOPICS = ["boat", "dog", "sea", "storm", "letter", "lamp"]


def answer(server, messages, tokens=12):
    status, _, body = server.ask("POST", "/v1/chat/completions",
                                 {"messages": messages, "max_tokens": tokens, "temperature": 0})
    check(status == 200, f"a chat: wanted 200, found {status}: {body}")
    usage = body["usage"]
    return body["choices"][0]["message"]["content"], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def user(text):
    return {"role": "user", "content": text}


def talk_about(topic):
    return [user(QUESTION * 3 + f"Mind the {topic}.")]


def turns_without(topics):
    """Two turns about each, and the prompt of a third, by a server that keeps nothing."""
    found = {}
    with Server() as server:
        for topic in topics:
            messages = talk_about(topic)
            for more in ("And then?", "What happened next?"):
                text, _, _ = answer(server, messages)
                messages = messages + [{"role": "assistant", "content": text}, user(more)]
            found[topic] = (messages, answer(server, messages)[0])
    return found


def a_conversation_goes_on_after_a_restart(folder, known):
    messages, wanted = known["boat"]
    with Server("--prefix-cache", folder) as server:
        first, _, cached = answer(server, messages[:1])
        check(cached == 0, f"a first turn has {cached} tokens from nowhere")
        check(first == messages[1]["content"], "another answer with --prefix-cache")
        _, second, cached = answer(server, messages[:3])
        check(cached > 60, f"a second turn: {cached} tokens were cached")
        server.stop()
    with Server("--prefix-cache", folder) as server:
        text, prompt, cached = answer(server, messages)
        check(text == wanted, f"behind a text from the disk: wanted {wanted!r}, found {text!r}")
        check(second <= cached < prompt, f"after a restart {cached} of {prompt} tokens were cached, the turn before had {second}")
        check(server.metric("recalled_texts_total") == 1, "no text came from the disk")
        check(server.metric("recalled_tokens_total") == cached, "cached_tokens and the metric differ")
        # A short prompt that was there already counts too.
        short = [user("Hi")]
        _, prompt, _ = answer(server, short, 2)
        _, _, cached = answer(server, short, 2)
        check(cached == prompt - 1, f"a prompt of {prompt} tokens again: {cached} were cached")
        said = subprocess.run([WEIR, "chat", DEMO, "--template", "chatml", "--prefix-cache", folder, "--mem", "192M"],
                              input="Hi\n", capture_output=True, text=True)
        server.stop()
    # Another context has a file of its own; the same one is in use.
    check(said.returncode in (0, 1), f"weir chat ended with {said.returncode}")


def a_file_belongs_to_one_process(folder):
    with Server("--prefix-cache", folder) as server:
        second = subprocess.run([WEIR, "serve", DEMO, "--port", "0", "--template", "chatml", "--mem", "192M", "--prefix-cache",
                                 folder], capture_output=True, text=True)
        check(second.returncode == 1 and "another weir" in second.stderr,
              f"a second server of one file: {second.returncode}, {second.stderr}")
        server.stop()


def who_is_killed_while_it_writes_loses_nothing_that_is_whole(folder, known):
    for round_number in range(3 if LONG else 2):
        with Server("--prefix-cache", folder, "--parallel", "4") as server:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                texts = [pool.submit(server.ask, "POST", "/v1/chat/completions",
                                     {"messages": known[topic][0][:3], "max_tokens": 30, "temperature": 0})
                         for topic in TOPICS[1:]]
                done, _ = concurrent.futures.wait(texts, 60, concurrent.futures.FIRST_COMPLETED)
                check(done, "no answer came in 60 s")
                time.sleep(random.Random(round_number).random() / 20)
                server.process.kill()
                concurrent.futures.wait(texts, 60)
        with Server("--prefix-cache", folder, "--parallel", "4") as server:
            for topic in TOPICS[1:]:
                text, _, _ = answer(server, known[topic][0])
                check(text == known[topic][1], f"after a kill, about the {topic}: wanted {known[topic][1]!r}, found {text!r}")
            server.stop()


def torn_pages_are_told_and_computed(folder, known):
    (path,) = glob.glob(f"{folder}/*.prefixes")
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        for offset in range(4096 + 300000, size, 400000):
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 0x20]) if byte else b"")
    with Server("--prefix-cache", folder) as server:
        for topic in TOPICS[:3]:
            text, _, _ = answer(server, known[topic][0])
            check(text == known[topic][1], f"behind torn pages: wanted {known[topic][1]!r}, found {text!r}")
        torn = server.metric("saved_torn_pages_total")
        said = server.stop()
    check(torn > 0 and "torn" in said and path in said, f"{torn} pages were torn, and the server said: {said}")


def a_full_disk_costs_no_answer(folder, known):
    remove(folder)
    with Server("--prefix-cache", folder) as server: # the file itself is there
        server.stop()
    with Server("--prefix-cache", folder, "--fake-io", "3:4") as server:
        messages, wanted = known["sea"]
        for _ in range(2):
            text, _, _ = answer(server, messages)
            check(text == wanted, f"with a full disk: wanted {wanted!r}, found {text!r}")
        said = server.stop()
    check("No space left" in said, f"a full disk is not told: {said}")
    remove(folder)
    with Server("--prefix-cache", folder, "--fake-io", "3:4") as server: # not even room for the file
        check("No space left" in server.said and "no texts are kept" in server.said, f"said {server.said}")
        text, _, _ = answer(server, messages)
        check(text == wanted, f"with a full disk: wanted {wanted!r}, found {text!r}")
        server.stop()


def a_disk_that_fails_costs_no_answer(folder, known):
    """Half of all reads and writes of kept texts are errors: of some seeds the file cannot even be opened."""
    remove(folder)
    with Server("--prefix-cache", folder) as server:
        for topic in TOPICS[:3]:
            answer(server, known[topic][0][:3])
        server.stop()
    opened = 0
    for seed in range(1, 7):
        with Server("--prefix-cache", folder, "--fake-io", f"{seed}:5") as server:
            for topic in TOPICS:
                messages, wanted = known[topic]
                text, _, _ = answer(server, messages)
                check(text == wanted, f"with a disk that fails: wanted {wanted!r}, found {text!r}")
            opened += "no texts are kept" not in server.said
            said = server.stop()
            check("Input/output error" in said, f"a disk that fails is not told: {said}")
    check(0 < opened, "of no seed it goes on with what the disk has")
    with Server("--prefix-cache", folder) as server: # it is well again
        for topic in TOPICS:
            check(answer(server, known[topic][0])[0] == known[topic][1], f"after a disk that failed, about the {topic}")
        server.stop()


def main():
    folder = scratch_folder() + "/texts"
    known = turns_without(TOPICS)
    a_conversation_goes_on_after_a_restart(folder, known)
    a_file_belongs_to_one_process(folder)
    who_is_killed_while_it_writes_loses_nothing_that_is_whole(folder, known)
    torn_pages_are_told_and_computed(folder, known)
    a_full_disk_costs_no_answer(folder, known)
    a_disk_that_fails_costs_no_answer(folder, known)
    remove(os.path.dirname(folder))
    print("saved: texts on the disk go on after a restart and a kill; damage, a full disk, one that fails and a second process are told")


if __name__ == "__main__":
    main()
