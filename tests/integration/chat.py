#!/usr/bin/env python3
"""chat.py - weir chat at a terminal and from a pipe, weir run --chat and weir template, on the demo model.

A tmux session plays ten turns with a paste, history, an interrupt, saving and loading, at 80 and at 40 columns; what the
screen then shows is compared with tests/golden/chat (`chat.py --update` writes it anew). Figures that differ from run to run
are numbers in it, which are left out. The model is computed by the reference kernels, whose words are the same everywhere.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, PATIENCE_S, ROOT, WEIR, check, memory_folder, remove, scratch_folder, skip

GOLDEN = os.path.join(ROOT, "tests", "golden", "chat")
OPTIONS = ["--template", "chatml", "--temp", "0", "--mem", "64M"]
SAME_EVERYWHERE = ["--template", "plain", "--temp", "0", "--mem", "64M", "--isa", "ref"]


def weir(*args, text=None, status=0):
    done = subprocess.run([WEIR, *map(str, args)], input=text, capture_output=True, text=True)
    check(done.returncode == status, f"weir {' '.join(map(str, args))}: wanted status {status}, found {done.returncode}: {done.stderr}")
    return done


# ---- without a terminal ----------------------------------------------------------------------


def template_writes_the_rendering_alone(folder):
    path = os.path.join(folder, "messages.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{"role": "user", "content": "Grüße <|im_end|>", "name": None}], file)
    wanted = "<|im_start|>user\nGrüße <|im_end|><|im_end|>\n"
    found = weir("template", "--template", "chatml", "--messages", path, "--no-generation-prompt")
    check(found.stdout == wanted and found.stderr == "", f"template: wanted {wanted!r}, found {found.stdout!r} {found.stderr!r}")
    source = os.path.join(folder, "own.jinja")
    with open(source, "w", encoding="utf-8") as file:
        file.write("{{ messages | tojson }}{{ tools }}{{ add_generation_prompt }}{{ more }}")
    variables = os.path.join(folder, "vars.json")
    with open(variables, "w", encoding="utf-8") as file:
        file.write('{"more": [1, null]}')
    found = weir("template", "--template", source, "--messages", "-", "--vars", variables, text='[{"role": "tool", "content": null}]')
    check(found.stdout == '[{"role": "tool"}]NoneTrue[1, None]', f"template: found {found.stdout!r}")
    found = weir("template", DEMO, "--messages", path)
    check(found.stdout == "Grüße <|im_end|>" and "no chat template" in found.stderr, f"template: {found.stdout!r} {found.stderr!r}")
    for args, status, words in ((["--messages", path], 2, "wanted MODEL or --template"), (["--template", "chatml"], 2, "wanted --messages"),
                                (["--template", "chatlm", "--messages", path], 1, "wanted a file or one of chatml"),
                                (["--template", "chatml", "--messages", source], 1, "messages: byte 1"),
                                (["--template", path, "--messages", "/nowhere"], 1, "cannot be read")):
        said = weir("template", *args, status=status).stderr
        check(words in said, f"template {args}: wanted \"{words}\", found {said!r}")


def run_answers_one_question():
    asked = weir("run", DEMO, "--chat", "-p", "The old man", "-n", 8, *OPTIONS, "--json")
    answer = json.loads(asked.stdout)
    check(answer["prompt_tokens"] > 4 and answer["tokens"] == 8 and answer["reasoning"] == "", f"run --chat: {answer}")
    plain = weir("run", DEMO, "-p", "<|im_start|>user\nThe old man<|im_end|>\n<|im_start|>assistant\n", "-n", 8, *OPTIONS[2:], "--json")
    check(json.loads(plain.stdout)["ids"] == answer["ids"], "run --chat: the prompt is not that of the template")
    said = weir("run", DEMO, "--chat", "-p", "x", "--think", "off", *OPTIONS, status=1).stderr
    check("no way to ask for it" in said, f"--think off: {said!r}")
    said = weir("run", DEMO, "-p", "x", "--system", "y", status=2).stderr
    check("wanted --chat with it" in said, f"--system alone: {said!r}")


def reasoning_has_a_budget(folder):
    """A template that begins reasoning, which the demo model never ends."""
    path = os.path.join(folder, "think.jinja")
    with open(path, "w", encoding="ascii") as file:
        file.write("{% for m in messages %}{{ m.content }}{% endfor %}<think>\n")
    options = ["--template", path, "--temp", "0", "--mem", "64M", "-n", 40]
    free = json.loads(weir("run", DEMO, "--chat", "-p", "The old man", *options, "--json").stdout)
    check(free["text"] == "" and free["reasoning"], f"a model that only reasons: {free}")
    for budget in (0, 6):
        told = json.loads(weir("run", DEMO, "--chat", "-p", "The old man", "--think-budget", budget, *options, "--json").stdout)
        check(told["text"] and "</think" not in told["text"], f"a budget of {budget}: {told}")
        check(free["reasoning"].startswith(told["reasoning"].strip()) and bool(told["reasoning"]) == (budget > 0), f"a budget of {budget}: {told}")
    talked = weir("chat", DEMO, "--think-budget", 6, *options, text="The old man\n").stdout
    check(talked.strip() == told["text"].strip(), f"a chat with a budget: wanted {told['text']!r}, found {talked!r}")
    for wrong, words in ((["-p", "x"], "wanted --chat"), (["--chat", "-p", "x", "--grammar", path], "found both")):
        said = weir("run", DEMO, "--think-budget", 3, *wrong, status=2).stderr
        check(words in said, f"--think-budget {wrong}: {said!r}")


def a_pipe_is_a_script(folder):
    path = os.path.join(folder, "saved.json")
    lines = [f"/load {path}", "The old man", "and\\", "the sea", "/tokens", "/retry", "/undo", f"/save {path}", "//slash", "/nosuch", "/set temp x"]
    done = weir("chat", DEMO, "-n", 6, "--system", "Terse.", *OPTIONS, text="\n".join(lines), status=1)
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    answers = done.stdout.split("\n")
    check([message["role"] for message in saved] == ["system", "user", "assistant"] and saved[1]["content"] == "The old man",
          f"/save: {saved}")
    check(done.stdout.startswith(saved[2]["content"] + "\n"), f"wanted {saved[2]['content']!r} first, found {answers}")
    for words in ("cannot be read", "/tokens" and "positions are in use by 5 messages", "the last turn is taken back", "3 messages are in",
                  "there is no command /nosuch", "/set temp: wanted a number"):
        check(words in done.stderr, f"script: wanted \"{words}\", found {done.stderr!r}")
    again = weir("chat", DEMO, "-n", 6, *OPTIONS, text=f"/load {path}\n/retry\n/stats\n/bye\nThe sea\n")
    check(again.stdout == saved[2]["content"] + "\n", f"/load, /retry, /bye: wanted {saved[2]['content']!r}, found {again.stdout!r}")
    check("hit rate" in again.stderr and "J a token" not in again.stderr, f"/stats tells what nobody measured: {again.stderr!r}")
    for wrong, words in (("[1]", "message 1: wanted an object with a role"), ("{", "wanted JSON, found in line 1"), ("{}", "wanted a JSON array"),
                         ('[{"role": "user"}]', "wanted an object with a content")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(wrong)
        said = weir("chat", DEMO, *OPTIONS, text=f"/load {path}\n", status=1).stderr
        check(words in said, f"/load of {wrong}: wanted \"{words}\", found {said!r}")


def the_oldest_turns_leave_with_a_word():
    lines = [f"This is question {number} about the sea, and it is a long one." for number in range(6)]
    done = weir("chat", DEMO, "-n", 8, "--ctx", 128, *OPTIONS, text="\n".join([*lines, "/tokens"]))
    check("have left the context of 128 positions" in done.stderr, f"a short context: {done.stderr!r}")
    check(done.stdout.count("\n") >= 6, f"a short context: {done.stdout!r}")
    said = weir("chat", DEMO, "--ctx", 64, *OPTIONS, text="word " * 100, status=1).stderr
    check("tokens in the chat template, the context holds 64" in said, f"a long question: {said!r}")


def what_ends_an_answer_is_told_behind_it():
    """Both streams in one, as on a terminal: the notice has a line of its own."""
    done = subprocess.run([WEIR, "chat", DEMO, "--ctx", "64", "--mem", "64M", "--ignore-eos"], input="The sea\n", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    check("\nweir: the context is full: the answer ends here\n" in done.stdout, f"a full context: {done.stdout!r}")


def what_is_known_is_not_computed_again():
    """The figures of the second turn tell how many tokens of its prompt were new."""
    text = "The old man and the sea. " * 12
    done = weir("chat", DEMO, "-n", 4, *OPTIONS, text=f"{text}\nAnd then?\n")
    counts = [int(found) for found in re.findall(r"(\d+) new of the prompt", done.stderr)]
    check(len(counts) == 2 and counts[0] > 100 and counts[1] < 60, f"new tokens of two prompts: {counts}")


# ---- at a terminal ---------------------------------------------------------------------------


PROMPT = r"^>\s*\Z"  # waits at the end of the screen


class Terminal:
    def __init__(self, folder, columns):
        self.socket = os.path.join(folder, "tmux")
        env = os.environ | {"XDG_STATE_HOME": os.path.join(folder, "state"), "TERM": "screen", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        env.pop("TMUX", None)
        command = " ".join([WEIR, "chat", DEMO, "-n", "6", *SAME_EVERYWHERE])
        self.env = env
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", "60", f"cd {folder}; {command}; echo ended $?; sleep 600")

    def tmux(self, *args, text=None):
        done = subprocess.run(["tmux", "-S", self.socket, *args], capture_output=True, text=True, env=self.env, input=text)
        check(done.returncode == 0, f"tmux {args}: {done.stderr}")
        return done.stdout

    def screen(self, *flags):
        return self.tmux("capture-pane", "-p", "-S", "-500", *flags)

    def wait(self, pattern, count=1):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if len(re.findall(pattern, self.screen("-J"), re.M)) >= count:  # with its lines as they were written
                return
            time.sleep(0.05)
        check(False, f"the screen does not show {pattern!r} {count} times:\n{self.screen()}")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def line(self, text):
        self.tmux("send-keys", "-l", text)
        self.keys("Enter")

    def paste(self, text):
        self.tmux("load-buffer", "-", text=text)
        self.tmux("paste-buffer", "-p", "-d")

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, env=self.env)


def play(folder, columns):
    """Ten turns; returns the screen."""
    terminal = Terminal(folder, columns)
    turns = 0

    def ask(text=None):
        nonlocal turns
        if text is not None:
            terminal.line(text)
        turns += 1
        terminal.wait("new of the prompt:", turns)
        terminal.wait(PROMPT)

    try:
        terminal.wait(r"/help lists the")
        ask("The old man")
        ask("and the sea")
        terminal.paste("two lines\nin one paste")  # one message
        terminal.wait("in one paste")
        terminal.keys("Enter")
        ask()
        terminal.keys("Up", "Up")  # "and the sea"
        terminal.keys("Enter")
        ask()
        terminal.keys("C-c")
        terminal.wait("ends the chat")
        terminal.line("/set n 100000")
        terminal.line("Go on and on.")
        terminal.wait(r"Go on and on\.\s+(?!prompt +\d)[^\s>]+ ")  # how far the prompt is, is no answer
        terminal.keys("C-c")  # ends the answer
        turns += 1
        terminal.wait("^weir: stopped")
        terminal.wait(PROMPT)
        terminal.line("/undo")
        terminal.line("/set n 6")
        terminal.line("/save talk.json")
        terminal.wait("messages are in")
        terminal.line("/reset")
        ask("Anew")
        terminal.line("/load talk.json")
        terminal.wait("are loaded from")
        ask("/retry")
        ask("the harbour")
        ask("a boat with a long name that goes across the edge of a narrow screen")
        ask("the end")
        terminal.line("/tokens")
        terminal.wait("left")
        terminal.keys("C-d")
        terminal.wait("ended 0")
        return terminal.screen()
    finally:
        terminal.close()


def normal(screen):
    """Without what differs from run to run: figures, and the stopped answer."""
    screen = re.sub(r"(> Go on and on\.\n).*?(?=^> /undo)", r"\1...\n", screen, flags=re.S | re.M)
    screen = re.sub(r"loaded in\s+[\d.]+\s+s$", "loaded", screen, flags=re.M)
    # a turn's figures, however they are broken into lines
    screen = re.sub(r"^\d+ tokens, [^>]*? s$", "FIGURES", screen, flags=re.M)
    return "\n".join(line.rstrip() for line in screen.rstrip().split("\n")) + "\n"


def screens_are_as_kept(update):
    if shutil.which("tmux") is None:
        skip("no tmux")
    for columns in (80, 40):
        folder = memory_folder()  # whose path is short, as that of a socket must be
        try:
            found = normal(play(folder, columns))
            saved = json.load(open(os.path.join(folder, "talk.json"), encoding="utf-8"))
        finally:
            remove(folder)
        check([m["content"] for m in saved][4] == "two lines\nin one paste", f"the paste became {saved}")
        path = os.path.join(GOLDEN, f"{columns}.txt")
        if update:
            os.makedirs(GOLDEN, exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(found)
            continue
        with open(path, encoding="utf-8") as file:
            wanted = file.read()
        check(found == wanted, f"the screen of {columns} columns: wanted\n{wanted}\nfound\n{found}")


def main():
    folder = scratch_folder()
    try:
        template_writes_the_rendering_alone(folder)
        run_answers_one_question()
        reasoning_has_a_budget(folder)
        a_pipe_is_a_script(folder)
        the_oldest_turns_leave_with_a_word()
        what_ends_an_answer_is_told_behind_it()
        what_is_known_is_not_computed_again()
    finally:
        remove(folder)
    screens_are_as_kept("--update" in sys.argv)


main()
