#!/usr/bin/env python3
"""info.py - weir info describes every GGUF, also one that cannot run, and says which part is missing."""
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from gguf_edit import Gguf, string, typed
from harness import PATIENCE_S, ROOT, check, remove, scratch_folder

GOLDEN = os.path.join(ROOT, "tests", "golden", "qwen3moe", "model.gguf")


def info(path, code=0):
    """The object and the text that weir info prints."""
    done = [subprocess.run([harness.WEIR, "info", path, *more], capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
            for more in (["--json"], [])]
    for one in done:
        check(one.returncode == code, f"{path}: exit {one.returncode}, wanted {code}: {one.stderr.decode()}")
    return json.loads(done[0].stdout), done[1].stdout.decode(), done[1].stderr.decode()


def as_architecture(name):
    """The golden model under another architecture's name."""
    model = Gguf(GOLDEN)
    model.keys = {key.replace("qwen3moe.", name + ".", 1): value for key, value in model.keys.items()}
    model.set("general.architecture", "str", name)
    return model


def test_what_runs():
    found, text, _ = info(GOLDEN)
    check(found["runs"] is True and found["missing"] == [], f"{found['runs']} {found['missing']}")
    check("runs here          yes" in text, text)


def test_an_architecture_that_nobody_knows(folder):
    whole = info(GOLDEN)[0]
    path = as_architecture("frobnicator").write(os.path.join(folder, "frobnicator.gguf"))
    found, text, _ = info(path)
    check(found["runs"] is False and found["family"] == "frobnicator", f"{found}")
    check('architecture "frobnicator"' in found["missing"][0], f"{found['missing']}")
    for name in ("n_layer", "n_moe_layer", "n_head", "n_kv_head", "n_expert", "n_expert_used", "d_model", "d_head", "n_ctx_train",
                 "n_vocab", "parameters", "active_parameters", "expert_bytes", "trunk_bytes", "types",
                 "tensor_count"):
        check(found[name] == whole[name], f"{name}: wanted {whole[name]}, found {found[name]}")
    check("runs here          no" in text and "because            architecture" in text, text)
    for word in (f"{whole['n_expert']} a layer", f"{whole['d_model']} wide", "tokens", "positions"):
        check(word in text, f"no {word!r} in {text}")
    run = subprocess.run([harness.WEIR, "plan", path], capture_output=True, text=True)
    check(run.returncode == 1 and found["missing"][0] in run.stderr, f"plan says {run.stderr}")


def test_keys_that_are_not_there_are_null(folder):
    model = as_architecture("frobnicator")
    for key in ("block_count", "attention.head_count", "expert_count", "context_length", "embedding_length"):
        model.keys.pop("frobnicator." + key, None)
    found, text, _ = info(model.write(os.path.join(folder, "few-keys.gguf")))
    for name in ("n_layer", "n_head", "n_expert", "n_ctx_train", "d_model"):
        check(found[name] is None, f"{name}: {found[name]}")
    check("layers" not in text and "trained context" not in text, text)


def test_a_key_or_a_tensor_that_is_not_built_in(folder):
    model = Gguf(GOLDEN)
    model.set("qwen3moe.attention.max_alibi_bias", "f32", 8.0)
    found, _, _ = info(model.write(os.path.join(folder, "alibi.gguf")))
    check(found["runs"] is False and "max_alibi_bias" in found["missing"][0], f"{found['missing']}")
    for key, value in (("general.type", "adapter"), ("general.endianness", "big")):
        model = Gguf(GOLDEN)
        model.set(key, "str", value)
        found, _, _ = info(model.write(os.path.join(folder, "general.gguf")))
        check(found["runs"] is False and key in found["missing"][0] and value in found["missing"][0], f"{found['missing']}")


def test_number_formats_and_vocabularies_that_are_not_built_in(folder):
    keys = {"general.architecture": typed("str", ["frobnicator"]), "frobnicator.block_count": typed("u32", [7]),
            "tokenizer.ggml.model": typed("str", ["runes"])}
    tensors = b"".join(string(f"blk.{layer}.ffn_down_exps.weight") + struct.pack("<IQQQIQ", 3, 32, 2, 4, kind, 0)
                       for layer, kind in ((0, 201), (1, 201), (2, 202)))
    head = b"GGUF" + struct.pack("<IQQ", 3, 3, len(keys))
    head += b"".join(string(name) + struct.pack("<I", kind) + data for name, (kind, data) in keys.items()) + tensors
    path = os.path.join(folder, "strange.gguf")
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32 + 4096))
    found, text, _ = info(path)
    said = " / ".join(found["missing"])
    check("type 201 (2 tensors), type 202 (1)" in said, said)
    check("tokenizer" in said, said)
    check(found["n_layer"] == 7 and found["parameters"] == 3 * 32 * 2 * 4 and found["n_moe_layer"] == 3, f"{found}")
    check(found["n_vocab"] is None and "vocabulary" not in text.split("missing")[0].split("and ")[0], text)


def test_what_contradicts_itself_is_described_and_fails(folder):
    model = Gguf(GOLDEN)
    model.set("qwen3moe.expert_used_count", "u32", 1000)
    found, text, error = info(model.write(os.path.join(folder, "wrong.gguf")), code=1)
    check(found["runs"] is False and "expert_used_count" in found["missing"][0], f"{found['missing']}")
    check("because" in text and "expert_used_count" in error, text + error)


def test_a_count_that_is_said_twice(folder):
    model = Gguf(GOLDEN)
    model.set("qwen3moe.vocab_size", "u32", 77)
    found, _, error = info(model.write(os.path.join(folder, "vocab.gguf")))
    check(any("vocab_size says 77" in text for text in found["warnings"]) and "vocab_size says 77" in error, f"{error}")


def main():
    folder = scratch_folder()
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
                test(*([folder] if test.__code__.co_argcount else []))
                print(f"  {name[5:].replace('_', ' ')}")
    finally:
        remove(folder)


main()
