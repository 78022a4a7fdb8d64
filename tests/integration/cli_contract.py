#!/usr/bin/env python3
"""cli_contract.py - the command line keeps its contract: fields, exit codes, streams, help, stops."""
import fcntl
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, check, remove, scratch_folder, skip

NUMBER = (int, float)
NONE = type(None)
COMMON = {
    "model": str, "family": str, "threads": int, "mode": dict, "prompt_tokens": int, "prefill_s": NUMBER,
    "prefill_tps": NUMBER, "hit_rate": NUMBER, "expert_reads": int, "bytes_read": int, "io_wait_s": NUMBER,
    "device_busy": NUMBER, "load_s": NUMBER, "lookahead": dict, "guard": dict, "budget_bytes": int, "peak_bytes": int, "tokens": int,
}
COMMANDS = ["run", "eval", "bench", "plan", "calibrate", "info", "tokenize", "doctor"]
PROMPT = ["-p", "The old man", "--temp", "0"]
F_SETPIPE_SZ = 1031


def weir(*args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([harness.WEIR, *map(str, args)], capture_output=True, timeout=PATIENCE_S, **keywords)


def the_object(*args):
    """What --json printed, which must be one object and one line end, and nothing beside it."""
    done = weir(*args, "--json")
    check(done.returncode == 0, f"weir {args}: exit {done.returncode}: {done.stderr.decode()}")
    check(done.stdout.endswith(b"}\n"), f"weir {args} --json does not end in one line end")
    return json.loads(done.stdout.decode("utf-8", "strict"))


def check_fields(what, found, wanted):
    for name, kind in wanted.items():
        check(name in found, f"{what}: no field {name}")
        kinds = kind if isinstance(kind, tuple) else (kind,)
        fits = isinstance(found[name], kinds) and not (isinstance(found[name], bool) and bool not in kinds)
        check(fits, f"{what}: {name} is {found[name]!r}, wanted {kinds}")


def test_run_object():
    found = the_object("run", DEMO, *PROMPT, "-n", 12, "--threads", 2)
    check_fields("run", found, {**COMMON, "ids": list, "text": str, "decode_s": NUMBER, "decode_tps": NUMBER,
                                "bytes_per_token": NUMBER, "seed": NONE, "stop": str, "first_token_s": NUMBER,
                                "whole": NONE})
    check_fields("run mode", found["mode"], {"io": str, "direct": bool, "isa": str, "slots": int, "lossy": list})
    for name in ("recall", "reads", "useful", "wasted_bytes"):
        check(found["lookahead"][name] is None, f"lookahead.{name} is invented: {found['lookahead'][name]}")
    check_fields("run guard", found["guard"], {"samples": int, "shrinks": int, "retired_slots": int, "shrunk_bytes": int})
    check(found["threads"] == 2 and found["mode"]["lossy"] == [], "threads or lossy are wrong")
    check(found["tokens"] == len(found["ids"]) == 12, f"tokens {found['tokens']}, ids {found['ids']}, wanted 12")
    check(all(isinstance(token, int) for token in found["ids"]), "ids are not whole numbers")
    check(0.0 <= found["hit_rate"] <= 1.0, f"hit rate {found['hit_rate']}")
    check(found["peak_bytes"] > 0 and found["budget_bytes"] > 0, "peak or budget is 0")
    again = the_object("run", DEMO, *PROMPT, "-n", 12, "--threads", 1)
    check(again["ids"] == found["ids"], "greedy tokens differ between two runs")
    streamed = weir("run", DEMO, *PROMPT, "-n", 12)
    check(streamed.stdout.decode() == found["text"], f"streamed {streamed.stdout}, JSON says {found['text']!r}")


def test_run_one_token_has_no_decode():
    found = the_object("run", DEMO, *PROMPT, "-n", 1)
    check_fields("run -n 1", found, {"decode_s": NONE, "decode_tps": NONE, "bytes_per_token": NONE})
    check(the_object("run", DEMO, *PROMPT, "-n", 0)["text"] == "", "-n 0 must generate nothing")


def test_seed_repeats_a_sample():
    first = the_object("run", DEMO, "-p", "The old man", "-n", 16)
    again = the_object("run", DEMO, "-p", "The old man", "-n", 16, "--seed", first["seed"])
    check(again["ids"] == first["ids"], f"seed {first['seed']} gave other tokens")
    other = the_object("run", DEMO, "-p", "The old man", "-n", 16, "--seed", first["seed"] + 1, "--temp", 2)
    check(other["ids"] != first["ids"], "another seed gave the same tokens")


def test_prompt_from_standard_input():
    wanted = the_object("run", DEMO, *PROMPT, "-n", 4)["text"].encode()
    for args in (["-p", "-"], []):
        done = subprocess.run([harness.WEIR, "run", DEMO, *args, "-n", "4", "--temp", "0"], input=b"The old man\n",
                              capture_output=True)
        check(done.stdout == wanted, f"standard input with {args}: {done.stdout}, wanted {wanted}")


def test_prompt_as_ids():
    tokens = the_object("tokenize", DEMO, "-p", "The old man", "--bos")["ids"]
    found = the_object("run", DEMO, "--ids", " ".join(map(str, tokens)), "--temp", 0, "-n", 6)
    check(found["ids"] == the_object("run", DEMO, *PROMPT, "-n", 6)["ids"], "--ids and -p differ")


def test_context_full_is_said():
    done = weir("run", DEMO, *PROMPT, "-n", 100, "--ctx", 24, "--ignore-eos")
    check(done.returncode == 0 and b"context" in done.stderr, f"full context: {done.returncode} {done.stderr}")


def test_plan_adds_up():
    found = the_object("plan", DEMO)
    check_fields("plan", found, {"min_bytes": int, "useful_bytes": int, "resident_bytes": int, "slots": int,
                                 "lines": list, "expected": dict})
    for line in found["lines"]:
        check_fields("plan line", line, {"what": str, "bytes": int})
    check(sum(line["bytes"] for line in found["lines"]) == found["planned_bytes"] <= found["budget_bytes"],
          "the plan does not add up")
    check(found["min_bytes"] <= found["useful_bytes"] <= found["resident_bytes"], "ceilings out of order")
    check(found["expected"]["hit_rate"] == 1.0, "all experts fit, but a miss is expected")
    small = weir("plan", DEMO, "--mem", found["min_bytes"] - 1, "--json")
    check(small.returncode == 1 and str(found["min_bytes"]).encode() in small.stderr, f"refusal: {small.stderr}")
    check(json.loads(small.stdout)["min_bytes"] == found["min_bytes"], "a refused plan must still name the smallest")
    text = weir("plan", DEMO).stdout.decode()
    check(all(line["what"] in text for line in found["lines"]), "the table lacks a line")


def test_info_and_doctor():
    found = the_object("info", DEMO)
    check_fields("info", found, {"family": str, "n_layer": int, "n_expert": int, "n_vocab": int, "file_bytes": int,
                                 "parameters": int})
    check(found["file_bytes"] == os.path.getsize(DEMO), f"file_bytes {found['file_bytes']}")
    every = the_object("info", DEMO, "--verbose")
    check(len(every["keys"]) == found["key_count"] and len(every["tensors"]) == found["tensor_count"],
          "--verbose does not list all")
    found = the_object("doctor", DEMO)
    check_fields("doctor", found, {"checks": list, "n_cpu": int, "uring": bool, "direct": bool,
                                 "guard_sees": str, "guard_misses": str})
    for entry in found["checks"]:
        check(entry["ok"] or entry["advice"], f"a warning without advice: {entry}")


def test_tokenize_round_trip(folder):
    text = "Déjà vu: 東京 \U0001f600 don't\n\n  tab\there 12345 <|x|>\x7f end "
    path = os.path.join(folder, "text")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    found = the_object("tokenize", DEMO, "--text", path)
    check_fields("tokenize", found, {"ids": list, "pieces": list, "same": bool})
    check(found["same"] and len(found["ids"]) == len(found["pieces"]), "tokens do not decode to the text")
    back = weir("tokenize", DEMO, "--decode", " ".join(map(str, found["ids"])))
    check(back.stdout.decode("utf-8").lstrip(" ") == text.lstrip(" "), f"decoded {back.stdout!r}")
    check(the_object("tokenize", DEMO, "-p", text)["ids"] == found["ids"], "-p and --text differ")


def test_eval_object_and_logits(folder):
    ids, rows = os.path.join(folder, "ids"), os.path.join(folder, "rows")
    with open(ids, "w") as file:
        file.write(" ".join(str(index * 37 % 500) for index in range(100)) + "\n")
    found = the_object("eval", DEMO, "--tokens", ids, "--ctx", 32, "--logits", rows)
    check_fields("eval", found, {**COMMON, "ppl": NUMBER, "nll": NUMBER, "ids": NONE, "text": NONE,
                                 "decode_s": NONE, "decode_tps": NONE, "bytes_per_token": NONE})
    # A model that was trained for fewer positions than the usual chunk: 256.
    small = os.path.join(harness.ROOT, "tests/golden/llama-rope-linear/model.gguf")
    many = os.path.join(folder, "many")
    with open(many, "w") as file:
        file.write(" ".join(str(index * 37 % 200) for index in range(300)) + "\n")
    short = the_object("eval", small, "--tokens", many)
    check(short["chunks"] == 1 and short["tokens"] == 127, f"{short['chunks']} chunks, scored {short['tokens']}")
    done = weir("eval", small, "--tokens", many, "--ctx", 300)
    check(done.returncode == 1 and b"256" in done.stderr and b"300" in done.stderr, f"longer than trained for: {done.stderr}")
    # 3 chunks of 32; of each, positions 16 to 30 are scored.
    check(found["chunks"] == 3 and found["tokens"] == 3 * 15, f"chunks {found['chunks']}, scored {found['tokens']}")
    n_vocab = the_object("info", DEMO)["n_vocab"]
    check(os.path.getsize(rows) == 96 * n_vocab * 4, f"logits: {os.path.getsize(rows)} bytes")
    fewer = the_object("eval", DEMO, "--tokens", ids, "--ctx", 32)
    check(fewer["nll"] == found["nll"], f"perplexity depends on --logits: {fewer['nll']}, {found['nll']}")
    check(the_object("eval", DEMO, "--tokens", ids, "--ctx", 32, "--chunks", 1)["chunks"] == 1, "--chunks")
    short = the_object("eval", DEMO, "--tokens", ids)
    check(short["tokens"] == 99, f"a short text is scored from its first token: {short['tokens']}, wanted 99")


def test_bench_object():
    found = the_object("bench", DEMO, "--prompt", 20, "--gen", 6, "--repeat", 3, "--seed", 7)
    check_fields("bench", found, {**COMMON, "ids": NONE, "text": NONE, "decode_tps": NUMBER, "decode_s": NUMBER,
                                  "bytes_per_token": NUMBER, "seed": int})
    check(found["seed"] == 7 and len(found["rounds"]) == 3, "seed or rounds")
    spread = found["decode"]
    check(spread["min"] <= spread["median"] <= spread["max"], f"spread {spread}")
    check(found["reads_per_expert_max"] <= 1, f"an expert was read {found['reads_per_expert_max']} times in a step")


def test_usage_errors():
    for args, words in (
            ([], ["weir run"]), (["rnu", DEMO], ["rnu", "run"]), (["run"], ["MODEL"]),
            (["run", DEMO, "--tmep", "0"], ["--tmep", "--temp"]), (["run", DEMO, "-n"], ["-n", "nothing"]),
            (["run", DEMO, "--threads", "0"], ["--threads", "256", "0"]),
            (["run", DEMO, "--threads", "two"], ["--threads", "two"]),
            (["run", DEMO, "--mem", "3X"], ["--mem", "3X"]), (["run", DEMO, "--top-p", "1.5"], ["--top-p", "1.5"]),
            (["run", DEMO, "--temp", "nan"], ["--temp", "nan"]), (["run", DEMO, "--io", "magic"], ["--io", "magic"]),
            (["run", DEMO, "--seed", "-1"], ["--seed", "-1"]), (["run", DEMO, "--json=yes"], ["--json", "yes"]),
            (["run", DEMO, DEMO, "-p", "x"], [DEMO]), (["run", DEMO, "-p", "x", "--ids", "1"], ["-p", "--ids"]),
            (["run", DEMO, "--ids", "1 x"], ["--ids", "x"]), (["eval", DEMO], ["--text", "--tokens"]),
            (["bench", DEMO, "--prompt", "0", "--gen", "0"], ["--prompt", "--gen"]),
            (["tokenize", DEMO], ["-p", "--text"]), (["plan", DEMO, "--temp", "1"], ["--temp"]),
            (["run", DEMO, "--slots", "9", "--expert-share", "0.5"], ["--slots", "--expert-share"])):
        done = weir(*args)
        said = done.stderr.decode()
        check(done.returncode == 2, f"weir {args}: exit {done.returncode}, wanted 2: {said}")
        check(done.stdout == b"", f"weir {args}: a usage error on standard output: {done.stdout}")
        for word in words:
            check(word in said, f"weir {args}: the message lacks {word!r}: {said}")


def test_options_are_checked_before_anything_opens(folder):
    """A value, or two options together, that cannot be: said before the model, which is not there, is missed."""
    run, evaluate, bench = ["run", "-p", "x"], ["eval", "--tokens", "-"], ["bench"]
    plan, record = ["plan"], ["trace", "record", "-p", "x", "-o", os.path.join(folder, "never")]
    replay, show = ["trace", "replay"], ["trace", "show", "-o", os.path.join(folder, "never")]
    cases = [([command], "--threads", value) for command in (run, evaluate, bench, plan, record, ["calibrate"])
             for value in ("0", "257", "-1", "2.5", "", "two")]
    for commands, flag, values in (
            ((run, record), "--temp", ("-0.1", "100.1", "nan", "inf", "warm")), ((run, record), "--top-p", ("-0.1", "1.01", "nan")),
            ((run, record), "--min-p", ("-1", "1.5")), ((run, record), "--top-k", ("-1", "1e3", "1000000001")),
            ((run, record), "--repeat-penalty", ("0", "101", "nan")), ((run, record), "--repeat-last", ("0", "65537")),
            ((run, record), "--typical", ("-1", "1.5")), ((run, record), "--xtc-probability", ("-1", "1.5")),
            ((run, record), "--xtc-threshold", ("-1", "0.6")), ((run, record), "--dry-multiplier", ("-1", "101")),
            ((run, record), "--frequency-penalty", ("-101", "101")), ((run, record), "--presence-penalty", ("-101", "101", "x")),
            ((run, record), "--dry-base", ("0.5", "101")), ((run, record), "--dry-allowed-length", ("0", "65537")),
            ((run, record), "--dry-last", ("0", "65537")), ((run, record), "--stop", ("", "x" * 1025)),
            ((run, record), "--logit-bias", ("", "5", "+1", "5+", "5*2", "5+nan", "5+inf", "5+1e99", "5-1x", "-5+1", "4294967295+1")),
            ((run, record), "--seed", ("-1", "9007199254740993")), ((run, record), "-n", ("-1", "1000000001")),
            ((run, record, bench, plan), "--ctx", ("0", "16777217")), ((evaluate,), "--ctx", ("0", "1", "16777217")),
            ((run, evaluate, bench, plan), "--mem", ("0", "3X", "-3G", "1e3", "")),
            ((run, evaluate, bench, plan), "--chunk", ("0", "65537")), ((run, evaluate, bench, plan), "--slots", ("0", "65537")),
            ((run, evaluate, bench, plan), "--expert-share", ("0", "1.5", "nan")),
            ((run, evaluate, bench), "--io", ("", "auto|uring", "magic")), ((run, evaluate, bench), "--io-depth", ("0", "1025")),
            ((run, evaluate, bench), "--lookahead", ("maybe",)), ((run, evaluate, bench, plan), "--isa", ("avx1024",)),
            ((run, evaluate, bench), "--fake-io", ("0", "1:6", "x")), ((evaluate,), "--chunks", ("0",)),
            ((bench,), "--repeat", ("0", "1001")), ((bench,), "--policy", ("nope", "belady")), ((bench,), "--without", ("all",)),
            ((bench,), "--lookahead-by", ("luck",)), ((bench,), "--lookahead-experts", ("0", "4097")),
            ((replay,), "--policy", ("nope",)), ((show,), "--policy", ("nope", "all")), ((replay, show), "--slots", ("0", "65537")),
            ((replay, show), "--fraction", ("0", "1.5", "nan"))):
        cases += [([command], flag, value) for command in commands for value in values]
    for (command,), flag, value in cases:
        expect_usage([*command, "no-such.gguf", flag, value], [flag])
    for args, words in (
            (["run", "-p", "x", "--ids", "1"], ["-p", "--ids"]), (["run", "--ids", "1 x"], ["--ids", "x"]),
            ([*run, "--dry-base", "2"], ["--dry-base", "--dry-multiplier"]), ([*run, *["--stop", "y"] * 65], ["--stop", "at most 64 times"]),
            ([*run, "--grammar", "x", "--json-schema", "y"], ["--grammar", "--json-schema"]),
            ([*run, "--whole"], ["--whole", "--grammar", "--json-schema"]),
            ([*run, "--grammar", "x", "--ignore-eos"], ["--grammar", "--ignore-eos"]),
            ([*run, "--dry-breaker", "x"], ["--dry-breaker", "--dry-multiplier"]),
            ([*run, "--xtc-threshold", "0.2"], ["--xtc-threshold", "--xtc-probability"]), (["run", "--ids", ""], ["--ids"]), (["run", "-p", "x", "--trace-events", "9"], ["--trace-events", "--trace"]),
            (["eval"], ["--text", "--tokens"]), (["eval", "--text", "a", "--tokens", "b"], ["--text", "--tokens"]),
            ([*run, "--slots", "9", "--expert-share", "0.5"], ["--slots", "--expert-share"]),
            (["bench", "--prompt", "0", "--gen", "0"], ["--prompt", "--gen"]), (["bench", "--ctx", "9"], ["--ctx", "192", "9"]),
            (["bench", "--tokens", "a", "--seed", "1"], ["--tokens", "--seed"]),
            (["bench", "--policy", "fate", "--pool"], ["--policy", "fate", "pool"]),
            (["tokenize"], ["-p", "--text", "--decode"]), (["tokenize", "-p", "x", "--decode", "1"], ["-p", "--decode"]),
            (["tokenize", "--text", "x", "--decode", "1"], ["--text", "--decode"]), (["tokenize", "--decode", "1 x"], ["--decode", "x"]),
            (["tokenize", "--decode", "1", "--bos"], ["--decode", "--bos"]),
            (["tokenize", "--decode", "1", "--plain"], ["--decode", "--plain"]), (["trace", "record", "-p", "x"], ["-o"]),
            (["trace", "show"], ["-o"]), ([*show, "--policy", "fate", "--pool"], ["--policy", "fate", "pool"]),
            ([*replay, "--policy", "fate", "--pool"], ["--policy", "fate", "pool"]),
            ([*replay, "--slots", "3", "--fraction", "0.1"], ["--slots", "--fraction"]),
            ([*show, "--slots", "3", "--fraction", "0.1"], ["--slots", "--fraction"])):
        expect_usage([*args, "no-such.gguf"], words)
    check(not os.path.exists(os.path.join(folder, "never")), "an output of a command that was refused")


def expect_usage(args, words):
    done = weir(*args)
    said = done.stderr.decode()
    check(done.returncode == 2, f"weir {args}: exit {done.returncode}, wanted 2: {said}")
    check(done.stdout == b"" and "no-such.gguf:" not in said and "open" not in said, f"weir {args}: {done.stdout} {said}")
    for word in words:
        check(word in said, f"weir {args}: the message lacks {word!r}: {said}")


def test_the_smallest_share_is_the_likeliest_token():
    greedy = the_object("run", DEMO, "-p", "The old man", "-n", 24, "--temp", 0)["ids"]
    for share in (0, "0.0", "1e-300", 1e-9):
        found = the_object("run", DEMO, "-p", "The old man", "-n", 24, "--temp", 1.5, "--min-p", 0, "--top-k", 0,
                           "--top-p", share)["ids"]
        check(found == greedy, f"--top-p {share}: {found}, wanted {greedy}")
    drawn = the_object("run", DEMO, "-p", "The old man", "-n", 24, "--temp", 1.5, "--min-p", 0, "--top-k", 0, "--top-p", 1,
                       "--seed", 1)["ids"]
    check(drawn != greedy, "--top-p 1 leaves only the likeliest")


def test_a_stop_string_ends_the_text_before_it():
    """Strings that begin and end within tokens, at every place of a text; with --json and as it comes."""
    greedy = the_object("run", DEMO, *PROMPT, "-n", 24)
    text = greedy["text"]
    for at in range(0, len(text) - 8, 3):
        string = text[at:at + 8]
        wanted = text[:text.find(string)]
        found = the_object("run", DEMO, *PROMPT, "-n", 24, "--stop", "no such words", "--stop", string)
        check(found["text"] == wanted and found["stop"] == "string", f"--stop {string!r}: {found['text']!r}, {found['stop']}")
        check(found["ids"] == greedy["ids"][:len(found["ids"])], f"--stop {string!r}: other tokens")
    streamed = weir("run", DEMO, *PROMPT, "-n", 24, "--stop", string).stdout.decode()
    check(streamed == wanted, f"streamed {streamed!r}, wanted {wanted!r}")
    beginning = text[-5:] + "#"
    found = the_object("run", DEMO, *PROMPT, "-n", 24, "--stop", beginning)
    check(found["text"] == text and found["stop"] == "length", f"what only begins {beginning!r} is lost: {found['text']!r}")


def test_biases_and_penalties_reach_the_sampler():
    greedy = the_object("run", DEMO, *PROMPT, "-n", 40)["ids"]
    forbidden = the_object("run", DEMO, *PROMPT, "-n", 40, "--logit-bias", f"{greedy[0]}-inf", "--logit-bias",
                           f"{greedy[1]}-inf")["ids"]
    check(greedy[0] not in forbidden and greedy[1] not in forbidden, f"{greedy[:2]} were forbidden, found {forbidden}")
    wanted = the_object("run", DEMO, *PROMPT, "-n", 9, "--logit-bias", "300+1e6")["ids"]
    check(wanted == [300] * 9, f"token 300 was wished for, found {wanted}")
    done = weir("run", DEMO, *PROMPT, "--logit-bias", "4000000000+1")
    check(done.returncode == 1 and b"4000000000" in done.stderr, f"a bias of no id: {done.returncode} {done.stderr}")
    phrases = [ids for ids in zip(greedy, greedy[1:], greedy[2:])]
    check(len(set(phrases)) < len(phrases), "the text repeats no phrase: another prompt is wanted")
    for extra in (["--dry-multiplier", 100, "--dry-breaker", ""], ["--frequency-penalty", 50], ["--presence-penalty", 50]):
        found = the_object("run", DEMO, *PROMPT, "-n", 40, *extra)["ids"]
        phrases = [ids for ids in zip(found, found[1:], found[2:])]
        check(len(set(phrases)) == len(phrases), f"{extra}: phrases repeat in {found}")
    for extra in (["--typical", 0.3], ["--xtc-probability", 1, "--xtc-threshold", 0.02]):
        found = the_object("run", DEMO, *PROMPT, "-n", 40, *extra)["ids"]
        check(found != greedy, f"{extra} changes nothing")


def test_a_grammar_is_kept(folder):
    path = os.path.join(folder, "g.gbnf")
    with open(path, "w") as file:
        file.write('root ::= "Mr. " [A-Z] [a-z]{2,5} (" " [a-z]{1,8}){3} "."')
    for seed in range(3):
        found = the_object("run", DEMO, "-p", "The old man", "--temp", 1, "--seed", seed, "--grammar", path)
        check(re.fullmatch(r"Mr\. [A-Z][a-z]{2,5}( [a-z]{1,8}){3}\.", found["text"]) and found["stop"] == "end",
              f"{found['text']!r}, {found['stop']}")
    for extra, is_whole in (["-n", 6], False), (["-n", 6, "--whole"], False), (["-n", 14, "--whole"], True):
        done = weir("run", DEMO, "-p", "The old man", "--grammar", path, "--json", *extra)
        found = json.loads(done.stdout)
        check(found["whole"] == is_whole and (b"the text is cut: the grammar does not allow" in done.stderr) != is_whole,
              f"{extra}: {found['text']!r}, {done.stderr}")
    with open(path, "w") as file:
        file.write("root ::= root\n")
    for extra in [], ["--slots", 1]:  # one slot is too few, which loading would say
        done = weir("run", DEMO, *PROMPT, "--grammar", path, *extra)
        check(done.returncode == 1 and b"g.gbnf: line 1, column 1: rule root begins with itself" in done.stderr, f"{done.stderr}")
    with open(path, "w") as file:
        file.write('{"type": "object",\n "patternProperties": {}}')
    done = weir("run", DEMO, *PROMPT, "--json-schema", path)
    check(done.returncode == 1 and b'line 2, column 2: "patternProperties" is not built' in done.stderr, f"{done.stderr}")
    done = weir("run", DEMO, *PROMPT, "--grammar", "no-such-file")
    check(done.returncode == 1 and b"no-such-file: No such file" in done.stderr, f"{done.stderr}")
    done = weir("run", DEMO, *PROMPT, "--grammar", path, "--stats", path)
    check(done.returncode == 2 and b"--stats" in done.stderr, f"an output that is the grammar: {done.stderr}")


def test_ids_are_checked_before_the_load(folder):
    ids = os.path.join(folder, "far-ids")
    with open(ids, "w") as file:
        file.write("1 2 4000000000 3")
    n_vocab = the_object("info", DEMO)["n_vocab"]
    for args in (["run", DEMO, "--ids", "1 2 4000000000"], ["eval", DEMO, "--tokens", ids],
                 ["bench", DEMO, "--tokens", ids, "--prompt", 4, "--gen", 0]):
        done = weir(*args)
        said = done.stderr.decode()
        check(done.returncode == 1 and f"0 to {n_vocab - 1}, found 4000000000 as number 3" in said, f"{args}: {said}")
    last = weir("run", DEMO, "--ids", n_vocab - 1, "-n", 0)
    check(last.returncode == 0, f"the last id of the vocabulary: {last.stderr}")


def test_failures_exit_1():
    for args in (["run", "no-such.gguf", "-p", "x"], ["info", "no-such.gguf"], ["plan", __file__],
                 ["eval", DEMO, "--tokens", "no-such.ids"], ["run", DEMO, "--ids", "4000000000"],
                 ["run", "/dev/zero", "-p", "x"]):
        done = weir(*args)
        check(done.returncode == 1, f"weir {args}: exit {done.returncode}, wanted 1: {done.stderr}")
        check(done.stdout == b"" and done.stderr.startswith(b"weir: "), f"weir {args}: {done.stdout} {done.stderr}")


def test_doctor_of_a_path_that_is_not_there():
    done = weir("doctor", "no-such-folder", "--json")
    check(done.returncode == 1 and b"no-such-folder: No such file" in done.stderr, f"{done.returncode} {done.stderr}")
    check(json.loads(done.stdout)["n_cpu"] > 0, "the machine is described all the same")


def test_help():
    version = weir("--version")
    check(re.fullmatch(rb"weir \d+\.\d+\.\d+\n", version.stdout) and version.returncode == 0, f"{version.stdout}")
    overview = weir("help").stdout.decode()
    check(weir("--help").stdout.decode() == overview, "--help and help differ")
    for command in COMMANDS:
        check(f"weir {command}" in overview, f"weir help lacks {command}")
        done = weir("help", command)
        check(done.returncode == 0 and done.stderr == b"", f"weir help {command}: {done.stderr}")
        text = done.stdout.decode()
        check("Examples" in text and "--json" in text and "fake-io" not in text, f"weir help {command}: {text}")
        check(weir(command, "--help").stdout.decode() == text, f"weir {command} --help differs")


def test_streams_are_pure():
    done = weir("run", DEMO, *PROMPT, "-n", 6, "--verbose")
    check(b"decode" in done.stderr and b"peak" in done.stderr and b"mode" in done.stderr, f"summary: {done.stderr}")
    check(not any(word in done.stdout for word in (b"decode", b"peak", b"planned")), f"text: {done.stdout}")


def test_interrupt_keeps_the_text(folder):
    stats = os.path.join(folder, "stats.json")
    args = [harness.WEIR, "run", DEMO, *PROMPT, "-n", "100000", "--ignore-eos", "--isa", "ref", "--threads", "1",
            "--stats", stats]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   bufsize=0)  # or the bytes behind the first one are lost to communicate
        first = process.stdout.read(1)
        process.send_signal(number)
        rest, said = process.communicate(timeout=PATIENCE_S)
        check(process.returncode == 128 + number and b"stopped" in said, f"exit {process.returncode}: {said}")
        found = json.load(open(stats))
        check(found["stop"] == "asked", f"stop is {found['stop']}")
        check((first + rest).decode("utf-8", "replace") == found["text"] != "", "the partial text is lost")


def test_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)  # much less than the text, so that it is not written before the pipe is closed
    process = subprocess.Popen([harness.WEIR, "run", DEMO, *PROMPT, "-n", "4000", "--ignore-eos"],
                               stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    said = process.communicate(timeout=PATIENCE_S)[1]
    code = process.returncode
    check(code == 1 and said == b"", f"closed pipe: exit {code}, said {said}")


def test_full_disk_is_named(folder):
    if not os.path.exists("/dev/full"):
        print("  no /dev/full: full disks are not tested")
        return
    ids = os.path.join(folder, "full-ids")
    with open(ids, "w") as file:
        file.write("1 2 3 4")
    for args in (["eval", DEMO, "--tokens", ids, "--logits", "/dev/full"],
                 ["run", DEMO, *PROMPT, "-n", 2, "--stats", "/dev/full"]):
        done = weir(*args)
        check(done.returncode == 1 and b"/dev/full" in done.stderr and b"space" in done.stderr,
              f"weir {args}: exit {done.returncode}: {done.stderr}")
    check(os.path.exists("/dev/full"), "/dev/full was removed")
    with open("/dev/full", "w") as full:
        for args in (["run", DEMO, *PROMPT, "-n", 2], ["info", DEMO], ["info", DEMO, "--json"]):
            done = subprocess.run([harness.WEIR, *map(str, args)], stdout=full, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL)
            check(done.returncode == 1 and b"space" in done.stderr, f"weir {args} > /dev/full: {done}")
    path = os.path.join(folder, "no-stats")
    weir("run", DEMO, "--ids", "4000000000", "--stats", path)
    check(not os.path.exists(path), "a failed run leaves an empty --stats file")


def test_gpu():
    """What is on a GPU is planned, said, and within its ceiling; the simulated one is everywhere."""
    whole = the_object("run", DEMO, *PROMPT, "-n", 3, "--gpu", "sim", "--ctx", 256)["mode"]["gpu"]
    check(whole["layers"] == 12 and whole["experts"] == 384 and whole["output"] and whole["why"] is None, f"all: {whole}")
    ceiling = 24 << 20
    part = the_object("run", DEMO, *PROMPT, "-n", 3, "--gpu", "sim", "--ctx", 256, "--gpu-mem", ceiling)
    found = part["mode"]["gpu"]
    check(found["budget_bytes"] == ceiling and found["planned_bytes"] <= ceiling, f"ceiling {ceiling}: {found}")
    check(found["layers"] == 12 and 0 < found["experts"] < 384, f"some of the experts: {found}")
    check(found["planned_bytes"] == sum(found[name] for name in ("weight_bytes", "kv_bytes", "scratch_bytes", "expert_bytes")),
          f"the parts are not the whole: {found}")
    check(part["tokens"] == 3, f"tokens: {part['tokens']}")
    planned = the_object("plan", DEMO, "--gpu", "sim", "--ctx", 256, "--gpu-mem", ceiling)["gpu"]
    check(planned == found, f"planned {planned}, found {found}")
    none = the_object("run", DEMO, *PROMPT, "-n", 1, "--gpu", "off")["mode"]["gpu"]
    check(none["name"] is None and none["layers"] is None and none["why"] is None, f"--gpu off: {none}")
    check(weir("run", DEMO, *PROMPT, "--gpu", "on").returncode == 2, "--gpu on is not refused")


def main():
    if not os.path.exists(harness.WEIR):
        skip(f"{harness.WEIR} is not built")
    if not os.path.exists(DEMO):
        skip("models/demo/weir-demo.gguf is not there")
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
                test(*([folder] if test.__code__.co_argcount else []))
                print(f"  {name[5:].replace('_', ' ')}")
    finally:
        remove(folder)


main()
