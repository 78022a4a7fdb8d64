#!/usr/bin/env python3
"""schemas.py - random JSON schemas: all that the demo model writes under one is valid, says Python's jsonschema.

20 schemas, with `./run-tests long` 1,000. SEED names other ones; COUNT another number; WEIR another program than
build/release/weir. The judge is a Python package that is put below build/.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from harness import DEMO, ROOT, use_package

WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "release", "weir"))
COUNT = int(os.environ.get("COUNT", "1000" if os.environ.get("WEIR_TESTS") == "long" else "20"))
TOKENS = 300

KEYS = ["name", "id", "a", "b c", "größe", 'say "x"', "back\\slash", "line\nbreak", "$odd/~key", "k1", "k2", "k3"]
PATTERNS = ["^[a-z]{2,6}$", "^(yes|no)$", "[0-9]{3}", "^\\d{2}-\\w+$", "^[^a-z\"]{1,4}$", "^a.c?$", "x|yz*", "^\\S+ \\S+$",
            "^(?:[A-F0-9]{2}:){2}[A-F0-9]{2}$", "^\\$[1-9]\\d{0,3}(\\.\\d\\d)?$", "\\\\", "^[\\u00e4\\u00f6]{2}$", "^\\W{2}$", "^$",
            "^.{0,5}$", "^[\\w.-]+@[\\w-]+\\.[a-z]{2,3}$", "\"$", "^[\\t\\n]{1,2}z"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "hostname"]


def fail(sentence):
    print(f"FAILED: {sentence}")
    sys.exit(1)


class Maker:
    """Schemas of what is built (docs/formats/grammars.md), a few levels deep."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = []

    def chance(self, share):
        return self.random.random() < share

    def whole(self):
        self.names = [f"d{index}" for index in range(self.random.randint(0, 2))]
        schema = self.schema(3)
        if schema is True or "$ref" in schema:
            schema = self.object(3)
        if self.names:
            # A definition may only be used below its own, or in what may be left out: every value must be finite.
            schema["$defs"] = {name: self.definition(name) for name in self.names}
        return schema

    def definition(self, name):
        node = {"type": "object", "properties": {"value": self.scalar()}, "required": ["value"], "additionalProperties": False}
        if self.chance(0.6):
            node["properties"]["next"] = {"$ref": f"#/$defs/{name}"}
        return node

    def schema(self, depth):
        kinds = [self.scalar] * 4
        if depth > 0:
            kinds += [lambda: self.object(depth)] * 4 + [lambda: self.array(depth)] * 3
            kinds += [lambda: self.any_of(depth), lambda: self.one_of(depth), lambda: {"allOf": [self.schema(depth - 1)]}]
        if self.names and depth < 3:
            kinds += [lambda: {"$ref": f"#/$defs/{self.random.choice(self.names)}"}] * 2
        made = self.random.choice(kinds)()
        if isinstance(made, dict) and self.chance(0.2):
            made.update({"title": "A title", "description": "What it is", "default": None})
        return made

    def scalar(self):
        return self.random.choice([self.text, self.text, self.integer, self.integer, self.number, self.values, self.values,
                                   lambda: {"type": "boolean"}, lambda: {"type": "null"}, lambda: {"type": ["null", "integer"]},
                                   lambda: {"const": self.value()}])()

    def text(self):
        made = {"type": "string"}
        kind = self.random.randrange(4)
        if kind == 0:
            made["pattern"] = self.random.choice(PATTERNS)
        elif kind == 1:
            made["format"] = self.random.choice(FORMATS)
        if kind > 1 or made.get("format") == "hostname":
            least = self.random.randint(0, 5)
            made["maxLength"] = least + self.random.randint(0, 12)
            if self.chance(0.5):
                made["minLength"] = least
        return made

    def bounds(self):
        low = self.random.choice([0, 1, -1, 7, -12, 99, 100, -1000, 12345, -99999, self.random.randint(-10**6, 10**6), 10**12])
        high = low + self.random.choice([0, 1, 2, 9, 10, 55, 900, 12345, 10**7, 10**13])
        return low, high

    def integer(self):
        made = {"type": "integer"}
        if self.chance(0.6):
            low, high = self.bounds()
            made.update(self.random.choice([{"minimum": low}, {"maximum": high}, {"minimum": low, "maximum": high},
                                            {"exclusiveMinimum": low - 1, "maximum": high}, {"minimum": low, "exclusiveMaximum": high + 1},
                                            {"minimum": low - 0.5, "maximum": high + 0.25}]))
        return made

    def number(self):
        made = self.integer()
        made["type"] = "number"
        return made

    def value(self, depth=1):
        kinds = [lambda: self.random.choice(["red", "Grün", 'q"\\', "", "tab\t"]), lambda: self.random.choice([0, 1, -3, 2.5, 1e3]),
                 lambda: self.random.choice([True, False, None])]
        if depth > 0:
            kinds += [lambda: [self.value(0) for _ in range(self.random.randint(0, 2))],
                      lambda: {key: self.value(0) for key in self.random.sample(KEYS, self.random.randint(0, 2))}]
        return self.random.choice(kinds)()

    def values(self):
        made = {"enum": [self.value() for _ in range(self.random.randint(1, 4))]}
        if self.chance(0.3) and any(isinstance(value, str) for value in made["enum"]):
            made["type"] = "string"
        return made

    def object(self, depth):
        made = {"type": "object"} if self.chance(0.8) else {}
        keys = self.random.sample(KEYS, self.random.randint(0, 4))
        if keys:
            made["properties"] = {key: self.schema(depth - 1) for key in keys}
            made["required"] = [key for key in keys if self.chance(0.6)]
        if self.chance(0.1):
            made.setdefault("required", []).append("only required")
        if self.chance(0.5):
            made["additionalProperties"] = self.random.choice([False, True, self.scalar()])
        if made.get("additionalProperties") is False and "only required" in made.get("required", []):
            del made["additionalProperties"]
        if not made:
            made["type"] = "object"
        return made

    def array(self, depth):
        made = {"type": "array"}
        if self.chance(0.3):
            made["prefixItems"] = [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]
        if self.chance(0.9):
            made["items"] = self.schema(depth - 1)
        least = self.random.randint(0, 3)
        made["maxItems"] = least + self.random.randint(0, 3)
        if self.chance(0.6):
            made["minItems"] = least
        if "prefixItems" in made and "minItems" not in made and self.chance(0.3):
            made["items"] = False
        return made

    def any_of(self, depth):
        return {"anyOf": [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def one_of(self, depth):
        if self.chance(0.5):
            return {"oneOf": [self.text(), self.random.choice([self.integer, self.number])(), {"type": "null"}]}
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "v": self.schema(depth - 1)},
                           "required": ["kind", "v"]} for kind in ("one", "two", "three")]}


def write(path, seed):
    """What the model writes, and whether it came to its end: --whole sees to that before the last token."""
    done = subprocess.run([WEIR, "run", DEMO, "-p", "The old man wrote:", "--temp", "1", "--top-k", "0", "--seed", str(seed), "-n",
                           str(TOKENS), "--json-schema", path, "--whole", "--json", "--threads", "1"], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{path}: exit {done.returncode}: {done.stderr}")
    found = json.loads(done.stdout)
    return found["text"], found["whole"], found["stop"] == "length" or found["tokens"] > TOKENS * 9 // 10


def main():
    use_package("jsonschema==4.26.0")
    import jsonschema
    first = int(os.environ.get("SEED", "1"))
    steered = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "schema.json")
        for seed in range(first, first + COUNT):
            schema = Maker(seed).whole()
            with open(path, "w") as file:
                json.dump(schema, file, ensure_ascii=seed % 2 == 0, indent=seed % 3 or None)
            judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            judge.check_schema(schema)
            text, is_whole, is_long = write(path, seed)
            if not is_whole:
                fail(f"seed {seed} is cut: {json.dumps(schema)}\n{text}")
            steered += is_long
            try:
                wrong = next(iter(judge.iter_errors(json.loads(text))), None)
            except ValueError as error:
                wrong = error
            if wrong is not None:
                fail(f"seed {seed}: {json.dumps(schema)}\n{text}\n{wrong}")
    print(f"{COUNT} texts by as many schemas are whole and valid; {steered} of them were near their last token")


if __name__ == "__main__":
    main()
