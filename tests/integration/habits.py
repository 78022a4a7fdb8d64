#!/usr/bin/env python3
"""habits.py - names that people bring along, help on a screen, suggestions, escapes, and where options come from."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, ceilings, check, let_work, remove, scratch_folder, skip, wait_until_caught, weir_json

COMMANDS = ["run", "eval", "bench", "plan", "calibrate", "info", "tokenize", "doctor", "trace record", "trace replay", "trace show"]
GREEDY = ["--temp", "0", "-n", "6"]


def weir(*args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([harness.WEIR, *map(str, args)], capture_output=True, text=True, timeout=PATIENCE_S, **keywords)


def test_names_of_llama_cpp_mean_what_they_mean_there(folder):
    wanted = weir_json("run", DEMO, "-p", "The old man", *GREEDY, "--threads", 1, "--ctx", 64)
    prompt = os.path.join(folder, "prompt")
    with open(prompt, "w") as file:
        file.write("The old man")
    for args in (["-m", DEMO, "-p", "The old man", "-n", 6, "--temp", 0, "-t", 1, "-c", 64],
                 ["--model", DEMO, "--prompt", "The old man", "--n-predict", 6, "--temperature", 0, "--threads", 1, "--ctx-size=64"],
                 [DEMO, "-f", prompt, "--predict", 6, "--temp", 0, "-t", 1, "-c", 64], [DEMO, "--text", prompt, *GREEDY, "-t", 1, "-c", 64]):
        found = weir_json("run", *args)
        check(found["ids"] == wanted["ids"] and found["threads"] == 1 and found["n_ctx"] == 64, f"weir run {args}: {found['ids']}")
    bench = weir_json("bench", "-m", DEMO, "-p", 8, "-n", 4, "-r", 2, "-s", 5)
    check(bench["prompt_tokens"] == 8 and bench["tokens"] == 4 and bench["repeat"] == 2 and bench["seed"] == 5, f"bench: {bench}")
    both = weir("run", DEMO, "-m", DEMO, "-p", "x")
    check(both.returncode == 2 and "one MODEL" in both.stderr, f"MODEL twice: {both.returncode} {both.stderr}")


def test_escapes():
    plain = weir_json("tokenize", DEMO, "-p", 'a\n\tb"\\é')["ids"]
    check(weir_json("tokenize", DEMO, "-e", "-p", r'a\n\tb\"\\\xc3\xa9')["ids"] == plain, "-e reads other text")
    check(weir_json("tokenize", DEMO, "-p", r"a\n")["ids"] != weir_json("tokenize", DEMO, "-p", "a\n")["ids"], "without -e \\n is two letters")
    for text in ("\\", "a\\q", "\\x", "\\x1", "\\xg1", "\\x00"):
        done = weir("run", DEMO, "-e", "-p", text)
        check(done.returncode == 2 and "-e" in done.stderr, f"-e -p {text!r}: {done.returncode} {done.stderr}")


def test_version_everywhere():
    wanted = weir("--version").stdout
    check(re.fullmatch(r"weir \d+\.\d+\.\d+\n", wanted), f"--version: {wanted!r}")
    for args in (["-V"], ["version"], *([*command.split(), flag] for command in COMMANDS for flag in ("-V", "--version"))):
        done = weir(*args)
        check(done.returncode == 0 and done.stdout == wanted, f"weir {args}: {done.returncode} {done.stdout!r}")


def test_help_fits_a_screen():
    for args in (["help"], ["help", "trace"], *(["help", *command.split(), *more] for command in COMMANDS for more in ([], ["all"]))):
        text = weir(*args).stdout
        long = [line for line in text.splitlines() if len(line) > 80]
        check(text and not long, f"weir {args}: wider than 80 columns: {long}")
    common, every = weir("help", "run").stdout, weir("help", "run", "all").stdout
    check("--mem" in common and "--dry-base" not in common and "help run all" in common, f"common options: {common}")
    check("--dry-base" in every and "--ctx-size" in every and len(common.splitlines()) < 60, f"all options: {every}")
    check(weir("run", "--help", "all").stdout == every and weir("run", "-h").stdout == common, "--help all and help run all differ")


def test_a_plan_begins_with_words():
    sizes = ceilings(DEMO)
    small = weir("plan", DEMO, "--mem", sizes["min_bytes"]).stdout
    first, second, third = small.splitlines()[:3]
    check(re.fullmatch(r"Fits: a [0-9.]+ MiB model, ceiling \d+M, about [0-9.]+ tokens/s, first word after about [0-9.]+ s", first), f"{first}")
    check(re.fullmatch(r"The speed may be up to [0-9.]+ times more or less", second), f"{second}")
    whole = re.fullmatch(r"With more memory: all in memory with (\d+M), about [0-9.]+", third)
    check(whole, f"larger ceilings: {third}")
    all_in = weir_json("plan", DEMO, "--mem", whole.group(1))
    check(all_in["slots_total"] == all_in["experts_total"], f"what is called all in memory is not: {all_in['slots_total']}")
    large = weir("plan", DEMO, "--mem", "1G").stdout
    check("Fits:" in large and "With more memory" not in large, f"nothing more is to be had: {large.splitlines()[:3]}")


def test_what_was_meant():
    for args, words in ((["run", DEMO, "--tmep", "0"], "did you mean --temp?"), (["run", DEMO, "-ngl", "9"], "--gpu-mem SIZE"),
                        (["run", DEMO, "--batch-size=9"], "called --chunk"), (["run", DEMO, "--max-tokens", "9"], "called -n"),
                        (["bench", DEMO, "-b", "9"], "called --chunk"), (["ppl", DEMO], "called eval"), (["rnu", DEMO], "mean run?"),
                        (["trace", "recrod"], "mean record?")):
        done = weir(*args)
        check(done.returncode == 2 and words in done.stderr, f"weir {args}: {done.returncode} {done.stderr}")
    for flag in ("-x", "-y", "-z", "-w", "-q1"):
        said = weir("run", DEMO, flag).stderr
        check("did you mean" not in said, f"{flag} is near to nothing: {said}")


def test_words_then_environment_then_file(folder):
    os.makedirs(os.path.join(folder, "weir"))
    path = os.path.join(folder, "weir", "config")
    with open(path, "w") as file:
        file.write(f"# mine\n\n  model = {DEMO}\nthreads=1\nctx = 64\nmem = 1G\nrepeat = 4\nverbose = off\nslots = 16\nxtc-threshold = 0.2\n")
    home = {**os.environ, "XDG_CONFIG_HOME": folder}

    def found(*args, **more):
        done = weir("plan", *args, "--json", env={**home, **more})
        check(done.returncode == 0, f"plan {args} {more}: {done.stderr}")
        plan = json.loads(done.stdout)
        return plan["threads"], plan["n_ctx"], plan["budget_bytes"] >> 20, plan["slots"]

    check(found() == (1, 64, 1024, 16), f"the file: {found()}")
    check(found(WEIR_MEM="512M") == (1, 64, 512, 16), "the environment before the file")
    check(found("--mem", "256M", "-t", 2, WEIR_MEM="512M", WEIR_THREADS="1")[:3] == (2, 64, 256), "words before the environment")
    check(found("--expert-share", 1)[3] > 16, "a word that contradicts the file wins")
    check(found("--config", "/dev/null", "-m", DEMO)[1] != 64, "--config takes the place of the user's file")
    for text, words in (("threads = 1\nthraeds = 2\n", (":2: ", "thraeds", "mean threads?")), ("mem = 3X\n", (":1: ", "3X")), ("\nmem\n", (":2: ", "key = value")),
                        ("json = maybe\n", (":1: ", "on or off")), ("top-p = 7\n", (":1: ", "7")), ("help = on\n", (":1: ", "help")), ("x" * 70000, ("65536",))):
        with open(path, "w") as file:
            file.write(text)
        for args in (["plan", DEMO], ["plan", DEMO, "--config", path], ["doctor"]):
            done = weir(*args, env=home)
            check(done.returncode == 2 and all(word in done.stderr for word in (path, *words)), f"{text[:40]!r}: {done.returncode} {done.stderr}")
        check(weir("plan", "--help", env=home).returncode == 0, "help reads no settings")
    done = weir("plan", DEMO, "--config", path + "-none")
    check(done.returncode == 2 and "-none" in done.stderr, f"no file for --config: {done.stderr}")
    done = weir("plan", DEMO, env={**os.environ, "WEIR_THREADS": "many"})
    check(done.returncode == 2 and "WEIR_THREADS" in done.stderr, f"WEIR_THREADS: {done.stderr}")


def stopped(number, word, *args):
    """What a command says that gets a signal after some work: (exit status, standard output, standard error). It may have measured
    nothing yet, and does not say the word; then it gets to work for longer."""
    for work_s in (0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32):
        process = subprocess.Popen([harness.WEIR, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        wait_until_caught(process, number)
        let_work(process, work_s)
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)
        if word in said[0]:
            break
    return process.returncode, *said


def test_what_was_measured_until_a_signal_is_told():
    text = harness.HELDOUT
    for number in (signal.SIGINT, signal.SIGTERM):
        code, out, said = stopped(number, "decode", "bench", DEMO, "--repeat", 1000, "--prompt", 1, "--gen", 64)
        check(code == 128 + number and "decode" in out and "stopped" in said, f"bench: {code} {out} {said}")
    code, out, said = stopped(signal.SIGINT, "decode_tps", "bench", DEMO, "--repeat", 1, "--prompt", 1, "--gen", 900, "--threads", 1, "--isa", "ref", "--json")
    found = json.loads(out)
    check(code == 130 and found["stopped"] and found["decode_tps"] > 0 and found["repeat"] == 1, f"half a round: {code} {out} {said}")
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept")
        code, out, said = stopped(signal.SIGINT, "perplexity", "eval", DEMO, "--text", text, "--ctx", 16, "--save-reference", kept)
        check(code == 130 and "perplexity" in out and "stopped" in said, f"eval: {code} {out} {said}")
        check(f"{kept} was not kept: the run was stopped" in said and os.listdir(folder) == [], f"eval: {said}, {os.listdir(folder)}")


def test_quiet_leaves_the_result():
    text = weir("run", DEMO, "-p", "The old man", *GREEDY).stdout
    quiet = weir("run", DEMO, "-p", "The old man", *GREEDY, "-q")
    check(quiet.stdout == text and quiet.stderr == "", f"run --quiet: {quiet}")
    quiet = weir("bench", DEMO, "-p", 2, "-n", 2, "-r", 1, "--quiet")
    check("decode" in quiet.stdout and quiet.stderr == "", f"bench --quiet: {quiet}")
    check(weir("run", DEMO, "-p", "x", "-q", "-v").returncode == 2, "--quiet and --verbose")


def on_terminal(columns, *args, **more):
    """What a terminal of so many columns gets: its bytes, which script(1) takes down."""
    if not shutil.which("script"):
        skip("no script(1) to take down a terminal")
    command = f"stty cols {columns} rows 24; exec " + shlex.join([harness.WEIR, *map(str, args)])
    done = subprocess.run(["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S,
                          env={**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm", **more})
    return done.stdout.decode().replace("\r\n", "\n")


def settled(shown):
    """Without what was shown for a while only: how far a load is, which a slow machine takes time for."""
    return re.sub("(weights every token needs|experts|memory|prompt) +[0-9]+ %[^\r\n]*\r(\033\\[A)*\033\\[J", "", shown)


def test_a_terminal_shows_the_prompt_dim():
    shown = on_terminal(80, "run", DEMO, "-p", "The old man", *GREEDY)
    check("\033[2mThe\033[0m" in shown and "ended" in shown and "first token after" in shown, f"the prompt is dim: {shown!r}")
    plain = settled(on_terminal(80, "run", DEMO, "-p", "The old man", *GREEDY, NO_COLOR="1"))
    check(plain.startswith("The old man") and "\033[" not in plain, f"NO_COLOR: {plain!r}")
    quiet = on_terminal(80, "run", DEMO, "-p", "The old man", *GREEDY, "-q")
    check("The old man" not in quiet and "mode" not in quiet, f"--quiet: {quiet!r}")


def test_progress_takes_no_line_of_the_prompt():
    args = ["-n", 4, "--temp", 0, "--isa", "ref", "--threads", 1]
    for columns in (80, 40):
        for count in (10, 40, 160):  # it says nothing of a prompt that takes but a moment
            text = "First line.\nSecond line.\n" + "and so it went on " * count + "to the end"
            shown = on_terminal(columns, "run", DEMO, "-p", text, *args, NO_COLOR="1")
            if re.search("prompt +[0-9]+ %", shown):
                break
        check(re.search("prompt +[0-9]+ %", shown), f"{columns} columns, no progress: {shown!r}")
        wanted = text + weir("run", DEMO, "-p", text, *args).stdout
        check(settled(shown).startswith(wanted), f"{columns} columns: wanted {wanted!r}, found {shown!r}")


def test_help_folds_on_a_narrow_terminal():
    columns = 42  # the words of a choice are not folded, and --kv's take that many with their indent
    shown = on_terminal(columns, "help", "run").split("Examples")[0]
    check(all(len(line) <= columns for line in shown.splitlines()), f"{columns} columns: {shown}")


def test_progress_is_cut_to_the_terminal():
    for columns in (80, 40):
        for count in (100, 400, 1600):  # it says nothing of a prompt that takes but a moment
            shown = on_terminal(columns, "bench", DEMO, "--prompt", count, "--gen", 0, "--repeat", 1, "--isa", "ref", "--threads", 1)
            lines = [line for line in re.sub("\033\\[[0-9]*[A-Z]", "", shown).splitlines() if "prompt" in line and "%," in line]
            if lines:
                break
        check(lines and all(len(line) < columns for line in lines), f"{columns} columns: {lines} {shown[-300:]!r}")


def main():
    if not os.path.exists(harness.WEIR):
        skip(f"{harness.WEIR} is not built")
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(*([folder] if test.__code__.co_argcount else []))
    finally:
        remove(folder)


main()
