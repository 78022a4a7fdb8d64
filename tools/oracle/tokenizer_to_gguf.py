#!/usr/bin/env python3
"""tokenizer_to_gguf.py - a Hugging Face tokenizer.json (plain or .xz) as a GGUF file that holds a vocabulary and no tensors.

usage: tokenizer_to_gguf.py TOKENIZER.json[.xz] OUT.gguf [--pre NAME] [--arch NAME]

Byte-level BPE only. Added tokens that are marked special become control tokens, the others user-defined; ids that nothing names
are filled with unused tokens. The pre-tokenizer's name cannot be read off the file, so it is given. Needs no package.
"""
import argparse
import json
import lzma
import struct

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
U32, I32, BOOL, STRING, ARRAY = 4, 5, 7, 8, 9
END_TOKENS = ("<|endoftext|>", "<|end_of_text|>", "</s>")
LAYOUT = {U32: "<I", I32: "<i", BOOL: "<?"}


def encode(kind, value):
    if kind == STRING:
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw
    return struct.pack(LAYOUT[kind], value)


def key(name, kind, value):
    if isinstance(value, list):
        body = struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(encode(kind, item) for item in value)
    else:
        body = struct.pack("<I", kind) + encode(kind, value)
    return encode(STRING, name) + body


def read_json(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def vocabulary(tokenizer):
    """Tokens and their types, in the order of ids."""
    model = tokenizer["model"]
    assert model["type"] == "BPE" and not model.get("byte_fallback"), "only byte-level BPE"
    named = {index: (token, NORMAL) for token, index in model["vocab"].items()}
    for added in tokenizer["added_tokens"]:
        named[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED)
    return [named.get(index, (f"[unused{index}]", UNUSED)) for index in range(max(named) + 1)]


def write(tokenizer, path, pre, arch):
    tokens = vocabulary(tokenizer)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    ends = [index for index, (token, kind) in enumerate(tokens) if kind == CONTROL and token in END_TOKENS]
    keys = [key("general.architecture", STRING, arch),
            key("general.type", STRING, "vocab"),
            key("tokenizer.ggml.model", STRING, "gpt2"),
            key("tokenizer.ggml.pre", STRING, pre),
            key("tokenizer.ggml.tokens", STRING, [token for token, _ in tokens]),
            key("tokenizer.ggml.token_type", I32, [kind for _, kind in tokens]),
            key("tokenizer.ggml.merges", STRING, merges),
            key("tokenizer.ggml.add_bos_token", BOOL, False)]
    keys += [key("tokenizer.ggml.eos_token_id", U32, index) for index in ends[:1]]
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))
        file.write(b"\0" * (-file.tell() % 32))


def main():
    options = argparse.ArgumentParser(description="a tokenizer.json as a GGUF file without tensors")
    options.add_argument("tokenizer")
    options.add_argument("out")
    options.add_argument("--pre", default="qwen2")
    options.add_argument("--arch", default="qwen3")
    given = options.parse_args()
    write(read_json(given.tokenizer), given.out, given.pre, given.arch)


if __name__ == "__main__":
    main()
