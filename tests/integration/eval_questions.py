#!/usr/bin/env python3
"""eval_questions.py - weir eval --mc beside sums made of the logits of each choice alone; what is refused; energy."""
import array
import json
import math
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, WEIR, check, remove, scratch_folder, weir_json

QUESTIONS = [
    {"prompt": "The old man looked at the", "choices": ["sea", "of of of", "door, and said nothing"], "answer": 0},
    {"question": "\"My dear Watson,\" said Sherlock", "choices": [" Holmes", "potato"], "answer": "A", "id": "x"},
    {"prompt": "It was a dark and stormy", "choices": ["night", "night, and the", "spoon", "the"], "answer": 2},
]


def write(path, questions):
    with open(path, "w") as file:
        for question in questions:
            file.write(json.dumps(question) + "\n\n")
    return path


def sums_of(folder, prompt, choice):
    """The log-probability of a choice's tokens, evaluated with its prompt and nothing else."""
    whole = prompt + ("" if choice[0] == " " else " ") + choice
    ids = weir_json("tokenize", DEMO, "-p", whole, "--bos")["ids"]
    before = weir_json("tokenize", DEMO, "-p", prompt, "--bos")["ids"]
    first = next((at for at, pair in enumerate(zip(ids, before)) if pair[0] != pair[1]), len(before))
    tokens, rows = os.path.join(folder, "ids"), os.path.join(folder, "rows")
    with open(tokens, "w") as file:
        file.write(" ".join(map(str, ids)))
    weir_json("eval", DEMO, "--tokens", tokens, "--ctx", len(ids), "--logits", rows)
    values = array.array("f")
    with open(rows, "rb") as file:
        values.frombytes(file.read())
    width = len(values) // len(ids)
    total = 0.0
    for at in range(first, len(ids)):
        row = values[(at - 1) * width:at * width]
        most = max(row)
        total += row[ids[at]] - most - math.log(sum(math.exp(value - most) for value in row))
    return total, len(ids) - first


def test_beside_logits(folder, path):
    found = weir_json("eval", DEMO, "--mc", path)
    result = found["multiple_choice"]
    right = by_length = 0
    for question, item in zip(QUESTIONS, result["items"]):
        prompt = question.get("prompt") or question["question"]
        wanted = [sums_of(folder, prompt, choice) for choice in question["choices"]]
        check(item["tokens"] == [count for _, count in wanted], f"tokens: {item}, wanted {wanted}")
        check(all(abs(one - other) < 1e-3 for one, (other, _) in zip(item["sums"], wanted)), f"{item}, wanted {wanted}")
        means = [total / len(choice.encode()) for (total, _), choice in zip(wanted, question["choices"])]
        best = max(range(len(wanted)), key=lambda at: wanted[at][0])
        longest = max(range(len(wanted)), key=lambda at: means[at])
        check(item["picked"] == best and item["picked_by_length"] == longest, f"{item}, wanted {best} and {longest}")
        answer = question["answer"] if isinstance(question["answer"], int) else ord(question["answer"]) - ord("A")
        check(item["answer"] == answer, f"{item}")
        right, by_length = right + (best == answer), by_length + (longest == answer)
    check(len(result["items"]) == result["questions"] == 3, f"{result['questions']} questions")
    check([item["line"] for item in result["items"]] == [1, 3, 5], "lines")
    check(abs(result["accuracy"] - right / 3) < 1e-9 and abs(result["accuracy_by_length"] - by_length / 3) < 1e-9, f"{result}")
    check(result["accuracy_low"] < result["accuracy"] < result["accuracy_high"] <= 1 or right in (0, 3), f"{result}")
    # The prompt is computed once: each position but the last of each choice's own.
    own = sum(sum(item["tokens"]) for item in result["items"])
    check(found["prompt_tokens"] < own + 3 * 20, f"{found['prompt_tokens']} positions were computed")
    streamed = weir_json("eval", DEMO, "--mc", path, "--slots", 6, "--chunk", 3)
    check(streamed["multiple_choice"] == result, "streamed, in other chunks, it differs")
    return found


def test_compared(folder, path, found):
    other = json.loads(json.dumps(found))
    other["per_chunk"]["right"] = [1 - value for value in found["per_chunk"]["right"]]
    names = [os.path.join(folder, name) for name in ("one.json", "other.json")]
    for name, value in zip(names, (found, other)):
        with open(name, "w") as file:
            json.dump(value, file)
    compared = weir_json("eval", "compare", *names, "-o", os.path.join(folder, "mc.svg"))
    wanted = 1 - 2 * found["multiple_choice"]["accuracy"]
    check(abs(compared["results"][1]["beside_first"]["accuracy"]["value"] - wanted) < 1e-9, f"{compared}")


def refused(words, *args, code=1):
    done = subprocess.run([WEIR, "eval", DEMO, *map(str, args)], capture_output=True, text=True)
    check(done.returncode == code and all(word in done.stderr for word in words), f"{args}: {done.returncode} {done.stderr}")


def test_refusals(folder):
    bad = os.path.join(folder, "bad")
    for text, words in (('{"prompt": "a", "choices": ["b", "c"], "answer": 0}\n{"prompt": 1}\n', ["line 2", "prompt"]),
                        ("\n\n", ["no questions"]), ("[1]\n", ["line 1", "object"]),
                        (json.dumps({"prompt": "word " * 300, "choices": ["b", "c"], "answer": 0}), ["line 1", "64"])):
        with open(bad, "w") as file:
            file.write(text)
        refused(words, "--mc", bad, "--ctx", 64)
    refused(["no-such"], "--mc", os.path.join(folder, "no-such"))
    refused(["--mc", "--text"], "--mc", bad, "--text", bad, code=2)
    with open(bad, "w") as file:
        file.write('{"prompt": "' + "a" * (1 << 20) + '"}')
    refused(["line 1", "1 MiB"], "--mc", bad)


def test_energy(found):
    """Joules are there where the kernel lets us read them, and null elsewhere."""
    root = "/sys/class/powercap"
    names = os.listdir(root) if os.path.isdir(root) else []
    readable = any(os.access(os.path.join(root, name, "energy_uj"), os.R_OK) for name in names if name.startswith("intel-rapl:"))
    energy = found["energy"]
    check(set(energy) == {"prefill_j", "decode_j", "prefill_j_per_token", "decode_j_per_token"}, f"{energy}")
    check(energy["decode_j"] is None and (readable or energy["prefill_j"] is None), f"{energy}")


def main():
    folder = scratch_folder()
    try:
        path = write(os.path.join(folder, "questions.jsonl"), QUESTIONS)
        found = test_beside_logits(folder, path)
        test_compared(folder, path, found)
        test_refusals(folder)
        test_energy(found)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
