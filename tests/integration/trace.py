#!/usr/bin/env python3
"""trace.py - weir trace: what is recorded is what was used, three formats read alike, errors name their line."""
import json
import os
import random
import subprocess
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, HELDOUT, LONG, PATIENCE_S, ROOT, check, remove, scratch_folder, skip, weir_json

PROMPT = ["-p", "The old man", "--temp", "0", "--ignore-eos"]
N_LAYER, N_EXPERT, N_USED = 12, 32, 4  # of the demo
TRACES = os.path.join(ROOT, "..", "shared", "data", "traces")
# Hit rates in per cent of simulators apart from weir: file, share, then LRU, decayed counts, Belady. LRU moves by some
# tenths with the order of the experts of one token.
KNOWN = (
    ("qwen3-30b-a3b.route.csv", 0.1, 52.0, 57.4, 67.4), ("qwen3-30b-a3b.route.csv", 0.2, 74.7, 78.7, 87.1),
    ("qwen3-30b-a3b.route.csv", 0.3, 87.9, 89.3, 94.4), ("gpt-oss-120b.route.csv", 0.1, 64.1, 65.5, 78.6),
    ("gpt-oss-120b.route.csv", 0.2, 80.7, 80.3, 88.3), ("gpt-oss-120b.route.csv", 0.3, 86.2, 86.2, 91.7),
    ("olmoe-1b-7b.jsonl", 0.2, 53.4, 56.9, 64.9), ("olmoe-1b-7b.jsonl", 0.3, 66.2, 68.6, 79.4),
    ("olmoe-1b-7b.jsonl", 0.5, 81.7, 83.8, 91.8))

# The same in a pool: LRU, decayed counts, learned score, Belady. Rounding of slots and ties differ more here.
KNOWN_POOLS = (
    ("qwen3-30b-a3b.route.csv", 0.1, 49.8, 56.1, 58.4, 75.1), ("qwen3-30b-a3b.route.csv", 0.2, 74.6, 78.8, 79.6, 89.8),
    ("qwen3-30b-a3b.route.csv", 0.3, 89.1, 90.7, 90.8, 95.8), ("gpt-oss-120b.route.csv", 0.1, 64.2, 66.9, 67.5, 83.3),
    ("gpt-oss-120b.route.csv", 0.2, 81.8, 81.9, 81.5, 92.2), ("olmoe-1b-7b.jsonl", 0.2, 50.6, 53.8, 57.6, 73.4),
    ("olmoe-1b-7b.jsonl", 0.3, 65.5, 66.0, 68.5, 82.9))
POOL_TOLERANCE = 0.5
WORK_S = 30  # of the processor, for what takes a tenth of a second where it is not looked at all of


def weir(*args, **keywords):
    keywords.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([harness.WEIR, *map(str, args)], capture_output=True, text=True, timeout=PATIENCE_S, **keywords)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def record(folder, name, *args):
    path = os.path.join(folder, name)
    return path, weir_json("trace", "record", DEMO, *PROMPT, *args, "-o", path)


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_record_is_the_run(folder):
    path, found = record(folder, "run.trace", "-n", 20)
    run = weir_json("run", DEMO, *PROMPT, "-n", 20)
    check(found["ids"] == run["ids"] and found["text"] == run["text"], "record generates another text than run")
    head, *tokens = lines_of(path)
    check((head["weir_trace"], head["n_layer"], head["n_expert"], head["n_expert_used"]) ==
          (1, N_LAYER, N_EXPERT, N_USED), f"first line {head}")
    check(head["prompt_tokens"] == run["prompt_tokens"] and head["model"] == DEMO, f"first line {head}")
    # The last token generated is never computed.
    check(len(tokens) == found["trace_tokens"] == run["prompt_tokens"] + 19, f"{len(tokens)} lines")
    check([token["tok"] for token in tokens] == list(range(len(tokens))), "tokens out of order")
    for token in tokens:
        check(len(token["layers"]) == N_LAYER, f"token {token['tok']} has {len(token['layers'])} layers")
        for ids in token["layers"]:
            check(len(ids) == N_USED and ids == sorted(set(ids)) and 0 <= ids[0] and ids[-1] < N_EXPERT,
                  f"token {token['tok']} used {ids}")
    streamed = weir("trace", "record", DEMO, *PROMPT, "-n", 20, "-o", path)
    check(streamed.returncode == 0 and streamed.stdout == run["text"], f"streamed {streamed}")


def test_record_does_not_depend_on_how(folder):
    wanted = lines_of(record(folder, "plain.trace", "-n", 8)[0])
    for args in (["--chunk", 1], ["--chunk", 2, "--threads", 1], ["--expert-share", 0.2, "--lookahead", "off"]):
        check(lines_of(record(folder, "other.trace", "-n", 8, *args)[0]) == wanted, f"{args} changes the routing")


def toy(count=30, n_layer=3, n_expert=16, n_used=4):
    """Token lines of a seeded random routing."""
    draw = random.Random(7)
    return [[sorted(draw.sample(range(n_expert), n_used)) for _ in range(n_layer)] for _ in range(count)]


def own_text(tokens, prompt=0, n_expert=16, n_used=4):
    head = {"weir_trace": 1, "model": "toy", "n_layer": len(tokens[0]), "n_expert": n_expert, "n_expert_used": n_used,
            "prompt_tokens": prompt}
    rows = [{"tok": index, "layers": layers} for index, layers in enumerate(tokens)]
    return "".join(json.dumps(row) + "\n" for row in [head, *rows])


def bare_text(tokens, first=1):
    return "".join(json.dumps({"tok": first + index, "layers": layers}) + "\n" for index, layers in enumerate(tokens))


def csv_text(tokens, prompt=0, n_expert=16, n_used=4):
    """As engines write it: the prompt layer by layer, its last layer for the last token only."""
    rows = []
    for layer in range(len(tokens[0])):
        first = prompt - 1 if layer + 1 == len(tokens[0]) and prompt else 0
        rows += [(0, step, layer) for step in range(first, prompt)]
    rows += [(1, step, layer) for step in range(prompt, len(tokens)) for layer in range(len(tokens[0]))]
    text = f"# route_trace v1\n# model=toy n_layer={len(tokens[0])} n_expert={n_expert} n_expert_used={n_used}\n"
    text += "turn,phase,step,layer,slot,expert,weight\n"
    for phase, step, layer in rows:
        for slot, expert in enumerate(reversed(tokens[step][layer])):
            text += f"0,{phase},{step},{layer},{slot},{expert},0.25\n"
    return text


def test_replay_counts(folder):
    path, _ = record(folder, "counts.trace", "-n", 31)
    found = weir_json("trace", "replay", path)
    names = list(dict.fromkeys(row["policy"] for row in found["results"]))
    check({"lru", "decayed", "belady", "arc", "learned", "fate", "edgemoe"} <= set(names), f"policies {names}")
    check(len(found["results"]) == 4 * len(names), "a row for each policy and share")
    for row in found["results"]:
        check(row["slots"] == max(N_USED, int(row["fraction"] * N_EXPERT)), f"slots of {row}")
        # 30 tokens after the prompt, a third of them to warm the cache
        check(row["accesses"] == 20 * N_LAYER * N_USED, f"uses of {row}")
        check(abs(row["hit_rate"] - row["hits"] / row["accesses"]) < 1e-9, f"hit rate of {row}")
    table = weir("trace", "replay", path, "--policy", "lru", "--fraction", "0.25").stdout
    rate = weir_json("trace", "replay", path, "--policy", "lru", "--fraction", "0.25")["results"]
    check(len(rate) == 1 and f"{100 * rate[0]['hit_rate']:.1f}" in table and "decayed" not in table, table)
    # Three texts of ten tokens, three of which warm the cache; an expert that several use counts once.
    found = weir_json("trace", "replay", path, "--policy", "lru", "--fraction", "0.25", "--together", 3)
    check(found["accesses"] < 21 * N_LAYER * N_USED and
          abs(found["reads_per_token"] - (found["accesses"] - found["hits"]) / 21) < 1e-9, f"three texts together: {found}")
    done = weir("trace", "replay", path, "--together", 31)
    check(done.returncode == 1 and "30 tokens" in done.stderr and "31" in done.stderr, f"{done.returncode}: {done.stderr}")
    whole = weir_json("trace", "replay", path, "--fraction", 1, "--policy", "decayed")["results"][0]
    check(whole["slots"] == N_EXPERT and whole["hit_rate"] > 0.5, f"all experts resident: {whole}")


def test_formats_agree(folder):
    tokens = toy()
    tokens[20][0] = [0, 1, 2, 15]  # so that bare lines tell the largest expert
    texts = {"own": own_text(tokens), "jsonl": bare_text(tokens), "csv": csv_text(tokens)}
    results = {name: weir_json("trace", "replay", write(os.path.join(folder, name), text))["results"]
               for name, text in texts.items()}
    check(results["own"] == results["jsonl"] == results["csv"], "the same routing in three formats differs")
    for prompt in (1, 9):
        found = weir_json("trace", "replay", write(os.path.join(folder, "p"), csv_text(tokens, prompt)))
        check(found["prompt_tokens"] == prompt and found["tokens"] == 30 and found["format"] == "csv", f"{found}")
    piped = subprocess.run([harness.WEIR, "trace", "replay", "-", "--json"], input=texts["own"].replace("\n", "\r\n"),
                           capture_output=True, text=True)
    check(json.loads(piped.stdout)["results"] == results["own"], f"standard input: {piped.stderr}")


def replaced(text, line, old, new):
    lines = text.splitlines(keepends=True)
    check(old in lines[line - 1], f"{old!r} is not in {lines[line - 1]!r}")
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "".join(lines)


def test_errors_name_the_line(folder):
    tokens = [[[1, 2, 3, 5], [4, 6, 7, 8]] for _ in range(6)]
    own, bare, csv = own_text(tokens, 2), bare_text(tokens), csv_text(tokens, 2)
    cases = (
        ("", 1, ["routing trace"]), ("\x7fELF\x1b[31m", 1, ["routing trace"]), ("tok,layers\n1,2\n", 1, ["tok,layers"]),
        ("{\n", 1, ["JSON object"]), ("{}\n", 1, ["tok"]), ('{"tok":1,"layers":[]}\n', 1, ["1 to 4096", "0"]),
        (replaced(own, 1, '"weir_trace": 1', '"weir_trace": 2'), 1, ["weir_trace", "1 to 1", "2"]),
        (replaced(own, 1, '"n_layer": 2', '"n_layer": 0'), 1, ["n_layer", "0"]),
        (replaced(own, 1, '"n_layer": 2', '"n_layer": 4097'), 1, ["n_layer", "4097"]),
        (replaced(own, 1, '"n_expert": 16', '"n_expert": 65535'), 1, ["n_expert", "65534", "65535"]),
        (replaced(own, 1, '"n_expert": 16', '"n_expert": 3'), 1, ["at most n_expert 3", "found 4"]),
        (replaced(own, 1, '"n_expert": 16', '"n_expert": 1e3'), 1, ["n_expert", "whole number"]),
        (replaced(own, 1, '"n_layer": 2, "n_expert": 16', '"n_layer": 4096, "n_expert": 65534'), 1, ["4194304"]),
        (replaced(own, 1, '"prompt_tokens": 2', '"prompt_tokens": -1'), 1, ["prompt_tokens", "-1"]),
        (replaced(own, 1, ', "prompt_tokens": 2', ""), 1, ["prompt_tokens", "no such"]),
        (replaced(own, 1, '"prompt_tokens": 2', '"prompt_tokens": 6'), 8, ["after the 6", "6 tokens in all"]),
        (replaced(own, 4, "8]", "16]"), 4, ["layer 1", "0 to 15", "16"]),
        (replaced(own, 4, "8]", "-1]"), 4, ["layer 1", "-1"]), (replaced(own, 4, "8]", "7]"), 4, ["layer 1", "7 twice"]),
        (replaced(own, 4, "8]", "8, 9]"), 4, ["1 to 4", "5"]), (replaced(own, 4, "[4, 6, 7, 8]", "[]"), 4, ["found 0"]),
        (replaced(own, 4, "[4, 6, 7, 8]", "4"), 4, ["array"]), (replaced(own, 4, ", [4, 6, 7, 8]", ""), 4, ["2 layers", "1"]),
        (replaced(own, 4, '"tok": 2', '"tok": 3'), 4, ["token 2", "token 3"]), (own[:-9], 7, ["JSON object"]),
        (replaced(bare, 3, "8]", "65534]"), 3, ["65534"]), (replaced(bare, 5, "8]", '"8"]'), 5, ["whole numbers"]),
        (bare.replace("\n", " " * (1 << 21) + "\n"), 1, ["1048576"]),
        (replaced(csv, 2, "n_layer=2", "n_layer=two"), 2, ["n_layer", "two"]),
        (replaced(csv, 2, " n_expert_used=4", ""), 3, ["n_expert_used"]), (replaced(csv, 3, "turn", "torn"), 3, ["torn"]),
        (replaced(csv, 5, "0,0,0,0,1,3,", "0,0,0,0,1,16,"), 5, ["expert", "0 to 15", "16"]),
        (replaced(csv, 5, "0,0,0,0,1,3,", "0,0,0,0,0,3,"), 5, ["slot 0", "second"]),
        (replaced(csv, 5, "0,0,0,0,1,3,", "0,0,0,0,1,x,"), 5, ["expert", "x"]),
        (replaced(csv, 5, "0,0,0,0,1,3,", "0,0,0,0,1\n"), 5, ["slot"]), (replaced(csv, 5, "0,0,0,0", "1,0,0,0"), 5, ["turn"]),
        (replaced(csv, 5, "0,0,0,0", "0,1,0,0"), 5, ["phase"]), (replaced(csv, 4, "0,0,0,0", "0,0,7,0"), 4, ["step", "7"]),
        (replaced(csv, 5, "0,0,0,0", "0,0,0,2"), 5, ["layer", "0 to 1", "2"]),
        (replaced(csv, 5, "0,0,0,0,1,3,", "0,0,0,0,1,5,"), csv.count("\n") + 1, ["5 twice"]),
        (csv[:csv.rindex("0,1,5,1,3")], csv.count("\n"), ["step 5, layer 1", "4", "3"]),
    )
    for text, line, words in cases:
        path = write(os.path.join(folder, "bad"), text)
        for verb in (["replay", path], ["show", path, "-o", os.path.join(folder, "bad.svg")]):
            done = weir("trace", *verb)
            check(done.returncode == 1 and done.stdout == "", f"{text[:60]!r}: exit {done.returncode}")
            for word in (f"{path}:{line}: ", *words):
                check(word in done.stderr, f"{text[-120:]!r}: the message lacks {word!r}: {done.stderr}")
            check("\x1b" not in done.stderr, "the file's control characters reach the terminal")
    check(not os.path.exists(os.path.join(folder, "bad.svg")), "a picture of nothing")


def test_outputs_are_whole_or_not_there(folder):
    nowhere = os.path.join(folder, "no", "such", "folder")
    path, _ = record(folder, "whole.trace", "-n", 6)
    for args in (["record", DEMO, *PROMPT, "-n", 2], ["show", path]):
        done = weir("trace", *args, "-o", nowhere)
        check(done.returncode == 1 and nowhere in done.stderr and done.stdout == "", f"{args}: {done}")
        if os.path.exists("/dev/full"):
            done = weir("trace", *args, "-o", "/dev/full")
            check(done.returncode == 1 and "/dev/full" in done.stderr and "space" in done.stderr, f"{args}: {done}")
    half = os.path.join(folder, "half.trace")
    done = weir("trace", "record", DEMO, "--ids", "1 4000000000", "-o", half)
    check(done.returncode == 1 and not os.path.exists(half), f"half a prompt: {done}")
    done = weir("trace", "replay", nowhere)
    check(done.returncode == 1 and nowhere in done.stderr, f"no such file: {done}")


def test_usage_errors():
    for args, words in (
            (["trace"], ["verb"]), (["trace", "rpelay", "x"], ["rpelay", "replay"]), (["trace", "replay"], ["FILE"]),
            (["trace", "record", DEMO, "-p", "x"], ["-o"]), (["trace", "show", "x"], ["-o"]),
            (["trace", "replay", "x", "--policy", "nope"], ["nope", "lru", "belady"]),
            (["trace", "show", "x", "-o", "y", "--policy", "all"], ["one policy"]),
            (["trace", "replay", "x", "--fraction", "0.1,2"], ["--fraction", "2"]),
            (["trace", "replay", "x", "--fraction", ","], ["--fraction"]),
            (["trace", "replay", "x", "--fraction", ",".join(["0.1"] * 17)], ["16"]),
            (["trace", "record", DEMO, "-o", "x", "-p", "x", "--ids", "1"], ["-p", "--ids", "help trace record"])):
        done = weir(*args)
        check(done.returncode == 2 and done.stdout == "", f"weir {args}: exit {done.returncode}: {done.stderr}")
        for word in words:
            check(word in done.stderr, f"weir {args}: the message lacks {word!r}: {done.stderr}")
    check("prompt" in weir("help", "trace", "record").stdout, "help trace record")
    for verb in ("record", "replay", "show"):
        check(f"trace {verb}" in weir("help").stdout and f"trace {verb}" in weir("help", "trace").stdout, f"help: {verb}")
        text = weir("help", "trace", verb, "all").stdout
        check("Examples" in text and ("belady" in text) == (verb != "record") and text == weir("trace", verb, "--help", "all").stdout, text)


def test_rivals_are_for_bench(folder):
    """What measures weir against others changes a bench, and the other commands do not take it."""
    ids = write(os.path.join(folder, "ids"), " ".join(map(str, weir_json("tokenize", DEMO, "--text", HELDOUT)["ids"][:80])))
    bench = ["bench", DEMO, "--tokens", ids, "--prompt", 8, "--gen", 64, "--repeat", 1, "--expert-share", 0.2,
             "--lookahead", "off"]
    rates = {policy: weir_json(*bench, "--policy", policy)["hit_rate"] for policy in ("lru", "decayed")}
    check(rates["lru"] != rates["decayed"], f"--policy changes nothing: {rates}")
    own, pooled = (weir_json(*bench, "--policy", "decayed", *pool) for pool in ([], ["--pool"]))
    check((own["mode"]["policy"], own["mode"]["pool"]) == ("decayed", False), f"{own['mode']}")
    check((pooled["mode"]["policy"], pooled["mode"]["pool"]) == ("decayed", True), f"{pooled['mode']}")
    check(own["hit_rate"] != pooled["hit_rate"], "--pool changes nothing")
    forgets = weir_json(*bench, "--without", "cache")
    check(forgets["hit_rate"] == 0 and forgets["seed"] is None, f"--without cache: {forgets}")
    done = weir(*bench, "--policy", "fate", "--pool")
    check(done.returncode == 2 and "fate" in done.stderr, f"fate in a pool: {done.stderr}")
    for option in (["--policy", "lru"], ["--pool"], ["--without", "cache"], ["--lookahead-by", "path"],
                   ["--lookahead-experts", 4]):
        check(option[0] in weir("help", "bench", "all").stdout, f"weir bench has no {option[0]}")
        for command in (["run", DEMO, "-p", "x"], ["eval", DEMO, "--tokens", ids], ["plan", DEMO],
                        ["trace", "record", DEMO, "-p", "x", "-o", os.path.join(folder, "never")]):
            done = weir(*command, *option)
            check(done.returncode == 2 and option[0] in done.stderr, f"{command} takes {option}: {done}")
    for policy, word in (("nope", "lru"), ("belady", "future")):
        done = weir(*bench, "--policy", policy)
        check(done.returncode == 2 and policy in done.stderr and word in done.stderr, f"{policy}: {done.stderr}")


def test_bench_feeds_the_ids_of_a_file(folder):
    ids = write(os.path.join(folder, "few"), "5 6 7, 8")
    bench = ["bench", DEMO, "--tokens", ids, "--repeat", 1]
    found = weir_json(*bench, "--prompt", 2, "--gen", 2)
    check((found["prompt_tokens"], found["tokens"]) == (2, 2), f"{found}")
    for more, code, words in ((["--prompt", 3, "--gen", 2], 1, [ids, "wanted 5", "found 4"]),
                              (["--prompt", 2, "--gen", 2, "--seed", 1], 2, ["--tokens", "--seed"])):
        done = weir(*bench, *more)
        check(done.returncode == code and done.stdout == "", f"{more}: {done}")
        for word in words:
            check(word in done.stderr, f"{more}: the message lacks {word!r}: {done.stderr}")


def test_show_draws(folder):
    path, _ = record(folder, "a<b>&\"c\" é.trace", "-n", 40)
    picture = os.path.join(folder, "picture.svg")
    found = weir_json("trace", "show", path, "-o", picture, "--policy", "lru", "--fraction", 0.2)
    replay = weir_json("trace", "replay", path, "--policy", "lru", "--fraction", 0.2)["results"][0]
    check(found["hits"] == replay["hits"] and found["accesses"] == replay["accesses"], f"show {found}, replay {replay}")
    root = xml.etree.ElementTree.parse(picture).getroot()
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("a<b>&\"c\" é.trace", "replayed with policy lru, 6 slots a layer: hit rate %.1f %%" % (100 * replay["hit_rate"]), "layer",
                 "expert", "token", "misses a token"):
        check(word in words, f"the picture does not say {word!r}: {words}")
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    for unit, wanted in (("uses", replay["accesses"]), ("misses", replay["accesses"] - replay["hits"])):
        total = sum(int(title.split()[-2]) for title in titles if title.endswith(" " + unit))
        check(total == wanted, f"the cells hold {total} {unit}, wanted {wanted}")
    text = open(picture, encoding="utf-8").read()
    check("href" not in text and "script" not in text and "url(" not in text, "the picture needs something beside it")


def test_pictures_stay_small(folder):
    for n_layer, n_expert, n_used, count in ((48, 128, 8, 200), (300, 700, 2, 3), (1, 1, 1, 5000), (1, 2, 1, 1)):
        path = write(os.path.join(folder, "large"), own_text(toy(count, n_layer, n_expert, n_used), 0, n_expert, n_used))
        picture = os.path.join(folder, "large.svg")
        check(weir("trace", "show", path, "-o", picture).returncode == 0, f"{n_layer} x {n_expert}")
        xml.etree.ElementTree.parse(picture)
        check(os.path.getsize(picture) < 2 << 20, f"{n_layer} x {n_expert}: {os.path.getsize(picture)} bytes")


def measured(*args):
    """Exit code, seconds of CPU time and peak MiB of a command (never less than this program's), and what it says."""
    process = subprocess.Popen([harness.WEIR, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def test_memory_follows_what_occurs(folder):
    """Numbers that a head only claims cost nothing, and what is too much is refused at once with both numbers."""
    picture = os.path.join(folder, "claims.svg")
    for n_layer, n_expert, n_used in ((1, 2000, 1), (1, 20000, 1), (1, 65534, 1), (64, 65534, 1), (1, 65534, 1024), (128, 1024, 1024),
                                      (4096, 1024, 32)):
        tokens = [[[token] for _ in range(n_layer)] for token in (1, 2, 2)]
        path = write(os.path.join(folder, "claims"), own_text(tokens, 0, n_expert, n_used))
        for verb in (["replay", path], ["replay", path, "--slots", n_used], ["replay", path, "--fraction", 1],
                     ["show", path, "-o", picture]):
            code, seconds, peak, said = measured("trace", *verb)
            check(code == 0 and seconds < WORK_S and peak < 80, f"{n_layer} layers of {n_expert}: exit {code}, {seconds:.1f} s, "
                  f"{peak:.0f} MiB, {said[-200:]}")
    # What occurs may be too much as well: a count for each pair of 16,384 experts.
    many = [[list(range(first, first + 1024))] for first in range(0, 16384, 1024)]
    path = write(os.path.join(folder, "occurs"), own_text(many, 0, 20000, 1024))
    code, seconds, peak, said = measured("trace", "replay", path, "--policy", "learned")
    check(code == 1 and seconds < WORK_S and peak < 80 and "268435456" in said and "16384 experts" in said, f"{seconds} s, {peak}: {said}")
    check(measured("trace", "replay", path, "--policy", "lru")[0] == 0, "lru has no such counts")


def replay_rate(name, policy, share, *pool):
    found = weir_json("trace", "replay", os.path.join(TRACES, name), "--policy", policy, "--fraction", share, *pool)
    check(abs(found["hit_rate"] - found["hits"] / found["accesses"]) < 1e-9, f"{found}")
    return 100 * found["hit_rate"]


def test_known_hit_rates():
    if not os.path.isdir(TRACES):
        skip("no routing traces beside the checkout")
    for name, share, *wanted in KNOWN if LONG else KNOWN[1::3]:  # one share of each
        for policy, rate in zip(("lru", "decayed", "belady"), wanted):
            found = replay_rate(name, policy, share)
            check(abs(found - rate) <= 0.3, f"{name}, {policy} at {share}: {found:.1f} %, wanted {rate} within 0.3")
    for name, share, lru, decayed, learned, belady in KNOWN_POOLS if LONG else KNOWN_POOLS[::3]:
        for policy, rate in (("lru", lru), ("decayed", decayed), ("belady", belady)):
            found = replay_rate(name, policy, share, "--pool")
            check(abs(found - rate) <= POOL_TOLERANCE,
                  f"{name}, {policy} in a pool at {share}: {found:.1f} %, wanted {rate}")
        found = replay_rate(name, "learned", share)
        check(found == replay_rate(name, "learned", share, "--pool"), "learned is always in a pool")
        check(found >= learned - 0.5, f"{name}, learned at {share}: {found:.1f} %, wanted {learned} or more")


def test_bench_uses_the_experts_of_a_trace(folder):
    path, found = record(folder, "bench.trace", "-n", 21)
    head, *tokens = lines_of(path)
    prompt, total = head["prompt_tokens"], len(tokens)
    # Not the text's own ids, so that the router would choose others.
    ids = write(os.path.join(folder, "bench.ids"), " ".join(str(7 + 11 * at) for at in range(total)))
    sizes = ["--prompt", prompt, "--gen", total - prompt, "--repeat", 1, "--slots", 8, "--lookahead", "off"]
    own = weir_json("bench", DEMO, "--tokens", ids, *sizes)
    led = weir_json("bench", DEMO, "--tokens", ids, *sizes, "--routing", path)
    check(own["routing"] is None, f"routing without a trace: {own['routing']}")
    check(led["routing"] == {"trace": path, "tokens": total, "passes": 1.0, "lookahead_recall": None}, f"{led['routing']}")
    # Exactly the reads of the text that was recorded.
    text_ids = weir_json("tokenize", DEMO, "-p", "The old man", "--bos")["ids"] + found["ids"]
    same = write(os.path.join(folder, "same.ids"), " ".join(map(str, text_ids[:total])))
    told = weir_json("bench", DEMO, "--tokens", same, *sizes)
    for name in ("hit_rate", "expert_reads", "bytes_read"):
        check(led[name] == told[name], f"{name}: of the trace {led[name]}, of the text itself {told[name]}")
    check(led["expert_reads"] != own["expert_reads"], "other ids read as much as the trace: this shows nothing")
    ahead = weir_json("bench", DEMO, "--tokens", ids, *sizes[:-2], "--routing", path, "--routing-recall", 0.75)
    recall = ahead["lookahead"]["recall"]
    check(ahead["routing"]["lookahead_recall"] == 0.75 and 0.6 < recall < 0.9, f"recall {recall}")
    off = weir_json("bench", DEMO, "--tokens", ids, *sizes[:-2], "--routing", path)
    check(off["lookahead"]["reads"] in (0, None), f"look-ahead reads {off['lookahead']}")
    done = weir("bench", DEMO, "--prompt", 4, "--gen", 2 * total, "--repeat", 1, "--routing", path)
    check("times over" in done.stdout and "look-ahead off" in done.stdout, done.stdout)


def test_bench_refuses_a_trace_of_another_model(folder):
    tokens = [{"tok": at, "layers": [[0, 1, 2, 3]] * 11} for at in range(3)]
    head = {"weir_trace": 1, "n_layer": 11, "n_expert": 32, "n_expert_used": 4, "prompt_tokens": 1}
    path = write(os.path.join(folder, "other.trace"), "\n".join(map(json.dumps, [head, *tokens])) + "\n")
    done = weir("bench", DEMO, "--routing", path, "--prompt", 1, "--gen", 1)
    check(done.returncode == 1 and "wanted a trace of 12 layers with 4 of 32 experts, found 11" in done.stderr, done.stderr)
    for more, word in (["--routing-recall", 0.5], "wanted --routing"), \
            (["--routing", path, "--lookahead-by", "gate"], "--lookahead-by"), \
            (["--routing", path, "--routing-recall", 0.5, "--lookahead", "off"], "wanted look-ahead"):
        done = weir("bench", DEMO, *more)
        check(done.returncode == 2 and word in done.stderr, f"{more}: {done.returncode} {done.stderr}")


def main():
    folder = scratch_folder()
    try:
        test_record_is_the_run(folder)
        test_record_does_not_depend_on_how(folder)
        test_replay_counts(folder)
        test_formats_agree(folder)
        test_errors_name_the_line(folder)
        test_outputs_are_whole_or_not_there(folder)
        test_usage_errors()
        test_rivals_are_for_bench(folder)
        test_bench_feeds_the_ids_of_a_file(folder)
        test_bench_uses_the_experts_of_a_trace(folder)
        test_bench_refuses_a_trace_of_another_model(folder)
        test_show_draws(folder)
        test_pictures_stay_small(folder)
        test_memory_follows_what_occurs(folder)
        test_known_hit_rates()
    finally:
        remove(folder)
    print("trace: recorded, replayed and drawn")


main()
