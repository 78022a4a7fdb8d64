#!/usr/bin/env python3
"""templates.py - chat templates: weir renders them byte for byte as Python's jinja2, set up as transformers does, or refuses as it does.

Small templates of every construct (tests/oracle/templates.txt), and where they lie beside the checkout real ones
($WEIR_SHARED_DATA/templates, else ../shared/data/templates), over conversations of every kind. The judge is a Python package
that is put below build/.
"""
import datetime
import glob
import itertools
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import LONG, ROOT, memory_folder, remove, use_package

use_package("jinja2==3.1.6")
import jinja2
import jinja2.ext
import jinja2.sandbox
import jinja2.utils

RENDER = os.path.join(ROOT, "build", "release", "tools", "render")
SHARED = os.environ.get("WEIR_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
SMALL = os.path.join(ROOT, "tests", "oracle", "templates.txt")
NOW = datetime.datetime(2026, 7, 4, 12, 30, 5)


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


class Generation(jinja2.ext.Extension):
    """The tag {% generation %}, whose content is what is in it."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """One that takes no name with an underscore in front."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def make_judge():
    judge = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                         extensions=[Generation, jinja2.ext.loopcontrols])
    judge.filters["tojson"] = tojson
    judge.globals.update(raise_exception=raise_exception, namespace=Namespace, strftime_now=NOW.strftime)
    return judge


def ask_judge(judge, source, cases):
    """(True, text) or (False, why not), for each case."""
    answers = []
    try:
        template = judge.from_string(source)
    except Exception as why:  # whatever Python says no with
        return [(False, f"{type(why).__name__}: {why}")] * len(cases)
    for variables in cases:
        try:
            answers.append((True, template.render(**variables)))
        except Exception as why:
            answers.append((False, f"{type(why).__name__}: {why}"))
    return answers


class Cases:
    """Variables to render with, and the files of them."""

    def __init__(self, folder, variables):
        self.variables, self.names = variables, []
        for index, one in enumerate(variables):
            self.names.append(os.path.join(folder, f"{id(self)}-{index}.json"))
            with open(self.names[-1], "w", encoding="utf-8") as file:
                json.dump(one, file, ensure_ascii=index % 2 == 0)


def ask_weir(folder, source, cases):
    """The same for each case."""
    path = os.path.join(folder, "template")
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(source)
    found = []
    # local time is what strftime_now tells
    done = subprocess.run([RENDER, str(int(NOW.timestamp())), path, *cases.names], capture_output=True)
    if done.returncode != 0:
        fail(f"render: exit {done.returncode}: {done.stderr.decode()[-2000:]}")
    rest = done.stdout
    for _ in cases.names:
        head, _, rest = rest.partition(b"\n")
        word, length = head.split()
        found.append((word == b"ok", rest[:int(length)].decode()))
        rest = rest[int(length):]
    return found


# ---- conversations ---------------------------------------------------------------------------

PARAMETERS = {"type": "object", "properties": {
    "city": {"type": "string", "description": "Where: \"town\" or 'place' <é>", "enum": ["Bern", "Zürich"]},
    "days": {"type": "integer", "description": "How many", "default": 3},
    "detail": {"type": "object", "properties": {"wind": {"type": "boolean", "description": "And wind"}}, "required": ["wind"]},
    "hours": {"type": "array", "items": {"type": "number"}, "description": "Which hours"},
    "unit": {"type": ["string", "null"], "description": "C or F"}}, "required": ["city", "days"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather & more\nin a city", "parameters": PARAMETERS,
                                           "return": {"type": "string"}}},
         {"type": "function", "function": {"name": "add", "description": "a + b", "parameters": {
             "type": "object", "properties": {"a": {"type": "number", "description": "one"}, "b": {"type": "number", "description": "two"}},
             "required": ["a", "b"]}}}]
SYSTEM = {"role": "system", "content": "You are terse.\n"}
USER = {"role": "user", "content": " What is the weather in Zürich? <b>&\"'</b> "}
ANSWER = {"role": "assistant", "content": "It rains.\n"}
THOUGHT = {"role": "assistant", "content": "<think>\nLet me see.\n</think>\n\nIt rains."}
REASONED = {"role": "assistant", "content": "It snows.", "reasoning_content": "Let me see.\nYes."}
ARGUMENTS = {"city": "Zürich", "days": 2, "detail": {"wind": True}, "hours": [1, 2.5, -3e-7], "unit": None}


def call(arguments, number="123456789", **more):
    return {"role": "assistant", "tool_calls": [{"id": number, "type": "function", "function": {"name": "weather", "arguments": arguments}}]} | more


RESULT = {"role": "tool", "name": "weather", "tool_call_id": "123456789", "content": "{\"rain\": true}"}
AGAIN = {"role": "user", "content": "And then?\n\n/no_think"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "See "}, {"type": "text", "text": "this."}]}
IMAGE = {"role": "user", "content": [{"type": "text", "text": "See "}, {"type": "image"}]}
CONVERSATIONS = [
    [USER], [SYSTEM, USER], [USER, ANSWER, AGAIN], [SYSTEM, USER, ANSWER, AGAIN, ANSWER, USER], [USER, THOUGHT, AGAIN], [USER, REASONED],
    [SYSTEM, USER, REASONED, AGAIN], [PARTS], [SYSTEM, IMAGE], [USER, ANSWER], [SYSTEM],
    [SYSTEM, USER, call(ARGUMENTS, content=""), RESULT], [USER, call(ARGUMENTS), RESULT, ANSWER, AGAIN],
    [USER, call(json.dumps(ARGUMENTS), content=None), RESULT], [USER, call(ARGUMENTS, content="I look.", reasoning_content="A tool."), RESULT],
    [USER, call(ARGUMENTS, content=""), RESULT, RESULT, AGAIN], [USER, call({}, "a", content=""), RESULT | {"tool_call_id": "a"}],
    [SYSTEM, USER, call(ARGUMENTS, content="") | {"tool_calls": call(ARGUMENTS)["tool_calls"] * 2}, RESULT, RESULT, ANSWER, AGAIN],
    [{"role": "developer", "content": "Be kind."}, USER], [USER, USER], [{"role": "wizard", "content": "Hm."}], [],
    list(itertools.chain.from_iterable([[USER, ANSWER]] * 20)) + [AGAIN],
]


def variables_of():
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "functions": json.dumps(TOOLS), "datetime": "now"}
    for messages in CONVERSATIONS:
        for tools in (None, TOOLS):
            for more in ({"add_generation_prompt": True}, {"add_generation_prompt": False},
                         {"add_generation_prompt": True, "enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
                         {"add_generation_prompt": True, "enable_thinking": False, "thinking": False, "date_string": "4 July 2026"}):
                yield {"messages": messages, "tools": tools} | tokens | more
        yield {"messages": messages, "documents": [{"title": "A", "text": "b"}], "add_generation_prompt": True} | tokens


SMALL_VARIABLES = {"text": "Grüße, Welt! 日本 \u00a0", "empty": "", "number": 7, "real": 2.5, "yes": True, "no": False, "nothing": None,
                   "list": [3, 1, 2], "words": ["b", "A", "c", "a"], "dict": {"b": 1, "A": [1, {"x": None}], "c": "it's \"q\"\n"},
                   "people": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25}, {"name": "Cy", "age": 30, "tags": []}],
                   "html": "<a href='x'>&\"</a>", "lines": "one\n  two\r\n\nthree\n", "nested": {"a": {"b": {"c": [10, 20, 30]}}},
                   "reals": [0.1, 1.0, 1e16, 123456789012345680.0, 1e-5, 0.0001, -0.0, 1e300, 5e-324, 1.7976931348623157e308, 3.14],
                   "messages": [USER, ANSWER], "controls": "\u0000\u0007\u007f\u0085\u200b\U0001f600\t"}


def read_small():
    """Each ends at a line of "====", and goes with its number of line."""
    line, lines = 1, []
    with open(SMALL, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if text == "====\n":
                yield f"templates.txt:{line}", "".join(lines)[:-1]
                line, lines = number + 1, []
            else:
                lines.append(text)


def compare(judge, folder, name, source, cases, refusals):
    """How many were rendered, and how many both refuse; what differs is printed and counted."""
    rendered = refused = differ = 0
    for (wanted_text, wanted), (is_text, found) in zip(ask_judge(judge, source, cases.variables), ask_weir(folder, source, cases)):
        if is_text and wanted_text and found == wanted:
            rendered += 1
        elif not is_text and not wanted_text:
            refused += 1
        elif not is_text and "is not built in" in found and refusals is not None:
            refusals.append(f"{name}: {found}")
        else:
            differ += 1
            if differ <= 3:
                print(f"{name}: wanted {wanted!r}\n    found {found!r}" if len(wanted) < 400 else
                      f"{name}: they part at {os.path.commonprefix([wanted, found])[-100:]!r}:\n    wanted "
                      f"{wanted[len(os.path.commonprefix([wanted, found])):][:100]!r}\n    found "
                      f"{found[len(os.path.commonprefix([wanted, found])):][:200]!r}")
    return rendered, refused, differ


def compare_all(folder):
    judge, totals = make_judge(), [0, 0, 0]
    small = Cases(folder, [SMALL_VARIABLES])
    for name, source in read_small():
        totals = [sum(pair) for pair in zip(totals, compare(judge, folder, name, source, small, None))]
    print(f"small templates: {totals[0]} equal, {totals[1]} refused by both, {totals[2]} differ")
    if totals[0] < 200 or totals[1] < 20:
        fail("too few of them")
    differ = totals[2]
    real = sorted(glob.glob(os.path.join(SHARED, "templates", "*.jinja")))
    chats = list(variables_of())
    parts = [Cases(folder, chats[at::4]) for at in range(4)]
    for at, path in enumerate(real):
        with open(path, encoding="utf-8", newline="") as file:
            source = file.read()
        refusals = []
        # By default each template meets a quarter of the conversations, and each conversation a quarter of the templates.
        counts = [sum(some) for some in zip(*(compare(judge, folder, os.path.basename(path), source, cases, refusals)
                                              for cases in (parts if LONG else parts[at % 4:at % 4 + 1])))]
        print(f"{os.path.basename(path)}: {counts[0]} equal, {counts[1]} refused by both, {counts[2]} differ, {len(refusals)} not built in"
              f"{refusals[:1] or ''}")
        differ += counts[2] + len(refusals)
        if counts[0] < (20 if LONG else 5):
            fail(f"{os.path.basename(path)}: only {counts[0]} are rendered")
    if differ:
        fail(f"{differ} differ")
    if not real:
        print("no real templates beside the checkout")


def main():
    if not os.access(RENDER, os.X_OK):
        fail(f"no program {RENDER}: run make tools")
    folder = memory_folder()
    try:
        compare_all(folder)
    finally:
        remove(folder)


main()
