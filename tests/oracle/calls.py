#!/usr/bin/env python3
"""calls.py - what a chat template writes for calls of tools, weir's reader of replies reads back.

Small templates, one for each way to write calls (tests/oracle/calls.txt), and where they lie beside the checkout real ones
($WEIR_SHARED_DATA/templates, else ../shared/data/templates). Each turn is read byte by byte. That weir renders templates as Python
does is templates.py's to show.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REPLY = os.path.join(ROOT, "build", "release", "tools", "reply")
SHARED = os.environ.get("WEIR_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
SMALL = os.path.join(ROOT, "tests", "oracle", "calls.txt")
# Real templates that write no calls: they leave them to whoever makes the message's text, or do what Jinja's sandbox refuses.
SILENT = {"ibm-granite-granite-3.3-2B-Instruct", "LFM2-8B-A1B", "Kimi-K2-Instruct", "llama-cpp-deepseek-r1",
          "deepseek-ai-DeepSeek-R1-Distill-Llama-8B"}
# They write the first one only.
SINGLE = {"GigaChat3.1-10B-A1.8B"}
# Begins reasoning before the words of a last turn and never ends it.
UNENDED = {"NVIDIA-Nemotron-Nano-v2"}
# What ends a turn is a control token to a reader of tokens; here it is text.
ENDS = re.compile(r"(<\|im_end\|>|</s>|<\|eot_id\|>|<\|eom_id\|>|<｜end▁of▁sentence｜>|<turn\|>|<seed:eos>|<\|END_OF_TURN_TOKEN\|>|\[e~\[|"
                  r"<SPECIAL_12>|<\|message_sep\|>|<sep>|<\|end_of_text\|>|<\|end\|>|<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>"
                  r"(<\|START_THINKING\|><\|END_THINKING\|>)?|<\|start_header_id\|>assistant<\|end_header_id\|>|\s)*$")

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": {
    "type": "object", "properties": {
        "city": {"type": "string", "description": "Where"}, "days": {"type": "integer", "description": "How many"},
        "detail": {"type": "object", "description": "How", "properties": {"wind": {"type": "boolean", "description": "And wind"}}},
        "hours": {"type": "array", "items": {"type": "number"}, "description": "Which hours"},
        "sure": {"type": "boolean", "description": "Whether"}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "add_2", "description": "a + b", "parameters": {
             "type": "object", "properties": {"a": {"type": "number", "description": "one"}}, "required": ["a"]}}}]
USER = {"role": "user", "content": "What is the weather?"}
CALLS = [
    [("weather", {"city": "Bern"})],
    [("weather", {"city": "Zürich \"x\" 'y' \\ z", "days": 3, "sure": True})],
    [("weather", {"city": "two\nlines\n\nand < more </par </tool", "detail": {"wind": False}, "hours": [1, 2.5, -3e-7]})],
    [("weather", {"city": "3", "days": -1}), ("add_2", {"a": 2.5})],
    [("add_2", {"a": 1}), ("add_2", {"a": 2}), ("weather", {"city": ""})],
    [("weather", {})],
]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def chats():
    for number, calls in enumerate(CALLS):
        for more in ({"content": ""}, {"content": "I look."}, {"content": "", "reasoning_content": "A tool helps."}):
            turn = {"role": "assistant", "tool_calls": [
                {"id": f"abcdefg{number}{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for index, (name, arguments) in enumerate(calls)]} | more
            yield calls, turn


def read(folder, template, turns):
    names = []
    for index, turn in enumerate(turns):
        names.append(os.path.join(folder, f"{index}.json"))
        with open(names[-1], "w", encoding="utf-8") as file:
            json.dump([USER, turn], file, ensure_ascii=index % 2 == 0)
    tools = os.path.join(folder, "tools.json")
    with open(tools, "w", encoding="utf-8") as file:
        json.dump(TOOLS, file)
    done = subprocess.run([REPLY, template, tools, *names], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"FAILED: {template}: {done.stderr[-1000:]}")
        sys.exit(1)
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(name, calls, turn, found):
    """What is wrong; None: nothing."""
    if "error" in found or (name in UNENDED and turn["content"]):
        return None
    got = [(call["name"], None if "broken" in call else json.loads(call["arguments"])) for call in found["calls"]]
    calls = calls[:1] if name in SINGLE else calls
    if got != calls:
        return f"calls: wanted {calls}, found {got}"
    if any(not re.fullmatch(r"call_\w{24}|\w{9}|functions\.\w+:\d+", call["id"]) for call in found["calls"]):
        return f"ids: found {[call['id'] for call in found['calls']]}"
    answer = ENDS.sub("", found["answer"])
    if answer not in ("", turn["content"]) or (answer == "" and turn["content"] in found["turn"] and turn["content"]):
        return f"answer: wanted {turn['content']!r}, found {found['answer']!r}"
    wanted = turn.get("reasoning_content", "")
    if wanted and wanted in found["turn"] and found["reasoning"].strip() != wanted:
        return f"reasoning: wanted {wanted!r}, found {found['reasoning']!r}"
    return None


def main():
    failed = read_count = 0
    with tempfile.TemporaryDirectory() as folder:
        templates = []
        with open(SMALL, encoding="utf-8") as file:
            for part in ("\n" + file.read()).split("\n== ")[1:]:
                name, _, source = part.partition("\n")
                templates.append((os.path.join(folder, f"{name}.jinja"), name))
                with open(templates[-1][0], "w", encoding="utf-8") as out:
                    out.write(source.rstrip("\n"))
        real = sorted(glob.glob(os.path.join(SHARED, "templates", "*.jinja")))
        for path, row in templates + [(path, None) for path in real]:
            name = os.path.splitext(os.path.basename(path))[0]
            cases = list(chats())
            turns = read(folder, path, [turn for _, turn in cases])
            good = sum("error" not in found for found in turns)
            wrong = [why for (calls, turn), found in zip(cases, turns) if (why := judge(name, calls, turn, found))]
            if name in SILENT:
                print(f"{name}: {turns[0]['format']}, writes no calls")
                continue
            if good == 0:
                wrong.append(f"nothing was rendered: {turns[0]['error']}")
            if row is not None and turns[0]["format"] != row:
                wrong.append(f"format: wanted {row}, found {turns[0]['format']!r}")
            read_count += good
            print(f"{name}: {turns[0]['format']}, {good} turns" + "".join(f"\n  FAILED {why}" for why in wrong[:4]))
            failed += len(wrong)
        if failed:
            print(f"FAILED: {failed} turns are not read back")
            sys.exit(1)
        print(f"{read_count} turns of {len(templates) + len(real)} templates are read back")
        if not real:
            print("(no real templates beside the checkout)")


main()
