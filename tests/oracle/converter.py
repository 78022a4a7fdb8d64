#!/usr/bin/env python3
"""converter.py - weir convert beside llama.cpp's convert_hf_to_gguf.py, key by key and tensor by tensor, on every golden directory that
the latter reads.

Both write F32, without a vocabulary. Only `./run-tests long` asks: the converter comes with the source package llama-cpp-python (70 MB),
and needs torch and transformers, which are not installed for it: ORACLE_PYTHON names a Python that has them, CONVERTER its folder.
"""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from gguf_edit import Gguf
from harness import LONG, ROOT, WEIR, alone, check, remove, scratch_folder, skip

DIRECTORIES = os.path.join(ROOT, "tests", "golden", "directories")
FOLDER = os.path.join(ROOT, "build", "oracle-converter")
PACKAGE = "llama-cpp-python==0.3.36"
PYTHON = os.environ.get("ORACLE_PYTHON", sys.executable)
WANTED = 40  # directories that it reads

# Runs by itself: a file for each directory that the converter reads.
ASK = """
import logging, os, sys
from pathlib import Path
converter_folder, directories, out = sys.argv[1:]
sys.path[:0] = [os.path.join(converter_folder, "gguf-py"), converter_folder]
import gguf, torch, convert_hf_to_gguf as converter
logging.disable(logging.WARNING)
def with_classes_below(cls):
    return [cls] + [found for below in cls.__subclasses__() for found in with_classes_below(below)]
for name in sorted(os.listdir(directories)):
    folder = Path(directories, name)
    try:
        with torch.inference_mode():
            hparams = converter.ModelBase.load_hparams(folder, False)
            cls = converter.get_model_class(converter.get_model_architecture(hparams, converter.ModelType.TEXT))
            for each in with_classes_below(sys.modules["conversion.base"].TextModel):
                each.set_vocab = lambda self: None
            cls.no_mtp = cls.supports_mtp_export
            cls(folder, gguf.LlamaFileType.ALL_F32, Path(out, name + ".gguf")).write()
    except (Exception, SystemExit) as problem:
        print(f"  {name}: no file: {type(problem).__name__}: {str(problem)[:100]}")
"""

# Keys that only one of them writes, behind the family: what a loader takes to be so where it is not said, what it does not read, and
# what weir reads beside it (its own windows, scales and normalisation; the others are the same for all).
OURS = {"vocab_size", "attention.sliding_window_pattern", "attention.sliding_window", "attention.scale", "attention.temperature_length",
        "attention.temperature_scale", "expert_weights_norm", "expert_gating_func", "rope.freq_base", "rope.scaling.type",
        "rope.scaling.attn_factor", "swiglu_clamp_exp"}
THEIRS = {"rope.dimension_count", "rope.scaling.type", "full_attention_interval", "nextn_predict_layers", "expert_shared_count",
          "expert_weights_scale", "attention.sliding_window", "rope.scaling.yarn_log_multiplier"}
# Of a model without experts llama.cpp cannot load a file that says how many a token uses; the converter writes it.
WITHOUT_EXPERTS = {"expert_used_count", "expert_group_count", "expert_group_used_count", "expert_weights_norm", "expert_weights_scale"}
# In which they differ: the converter leaves what scales experts of DeepSeek 1 out, and counts a layer that guesses.
DIFFERENT = {"deepseek": {"expert_weights_scale"}, "bailingmoe2": {"block_count"}}


def find_converter():
    if "CONVERTER" in os.environ:
        return os.environ["CONVERTER"]
    if not LONG:
        skip("70 MB to fetch: only ./run-tests long does")
    with alone(FOLDER):
        if not glob.glob(os.path.join(FOLDER, "*", "vendor", "llama.cpp", "conversion")):
            pip = [sys.executable, "-m", "pip"]
            tools = os.path.join(FOLDER, "tools")
            for command in ([*pip, "install", "-q", "--target", tools, "scikit-build-core", "cmake", "ninja"],
                            [*pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", FOLDER, PACKAGE]):
                done = subprocess.run(command, env=os.environ | {"PYTHONPATH": tools}, capture_output=True, text=True)
                if done.returncode != 0:
                    skip(f"{PACKAGE} cannot be had: {done.stderr.strip()[-200:]}")
            subprocess.run(["tar", "-xzf", glob.glob(os.path.join(FOLDER, "*.tar.gz"))[0], "-C", FOLDER], check=True)
    return glob.glob(os.path.join(FOLDER, "*", "vendor", "llama.cpp"))[0]


def tensors_of(file):
    """Name to (type, dimensions without ones at the end, bytes)."""
    found, at = {}, 0

    def take(size):
        nonlocal at
        at += size
        return file.infos[at - size:at]

    rows = []
    while at < len(file.infos):
        name = take(int.from_bytes(take(8), "little")).decode()
        dims = [int.from_bytes(take(8), "little") for _ in range(int.from_bytes(take(4), "little"))]
        rows.append((name, dims, int.from_bytes(take(4), "little"), int.from_bytes(take(8), "little")))
    for name, dims, kind, offset in rows:
        count = 4
        for dim in dims:
            count *= dim
        while len(dims) > 1 and dims[-1] == 1:
            dims.pop()
        found[name] = (kind, dims, file.data[offset:offset + count])
    return found


def normal(value):
    """A number, or numbers, whatever their width."""
    kind, data = value
    signed = {4: "u", 5: "u", 10: "u", 11: "u"}
    if kind == 9 and int.from_bytes(data[:4], "little") in signed:
        return ("numbers", data[12:])
    return (signed.get(kind, kind), data)


def compare(name, theirs, ours):
    family = ours.keys["general.architecture"][1][8:].decode()
    problems = []
    for key in sorted(set(theirs.keys) | set(ours.keys)):
        suffix = key.removeprefix(family + ".")
        if key.startswith("general.") and key not in ("general.architecture", "general.type", "general.size_label", "general.file_type"):
            continue
        if key not in theirs.keys and suffix not in OURS:
            problems.append(f"key {key} is weir's alone")
        elif key not in ours.keys and suffix in WITHOUT_EXPERTS and f"{family}.expert_count" not in ours.keys:
            continue
        elif key not in ours.keys and suffix not in THEIRS:
            problems.append(f"key {key} is missing")
        elif key in theirs.keys and key in ours.keys and suffix not in DIFFERENT.get(family, ()):
            if normal(theirs.keys[key]) != normal(ours.keys[key]):
                problems.append(f"key {key}: {theirs.keys[key]}, weir {ours.keys[key]}")
    wanted, found = tensors_of(theirs), tensors_of(ours)
    for tensor in sorted(set(wanted) | set(found)):
        if re.search(r"ffn_(gate|up|gate_up)_exps", tensor) and family == "mistral4":
            continue  # gate and up in one, which loaders read too
        if tensor in wanted and re.search(r"\.nextn\.|^blk\.2\.attn_output", tensor) and family == "bailingmoe2":
            continue  # of the layer that guesses
        if wanted.get(tensor) != found.get(tensor):
            problems.append(f"tensor {tensor}: {(wanted.get(tensor) or ('none',))[:2]}, weir {(found.get(tensor) or ('none',))[:2]}")
    for problem in problems:
        print(f"  {name}: {problem}")
    return not problems


def main():
    converter = find_converter()
    if subprocess.run([PYTHON, "-c", "import torch, transformers"], capture_output=True).returncode != 0:
        skip("no torch and transformers for the converter (ORACLE_PYTHON names a Python that has them)")
    folder = scratch_folder()
    theirs = os.path.join(folder, "theirs")
    os.makedirs(theirs)
    done = subprocess.run([PYTHON, "-c", ASK, converter, DIRECTORIES, theirs], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr[-500:])
    print(done.stdout, end="")
    good = True
    for file in sorted(os.listdir(theirs)):
        name = file.removesuffix(".gguf")
        out = os.path.join(folder, file)
        done = subprocess.run([WEIR, "convert", os.path.join(DIRECTORIES, name), "-o", out, "--type", "F32", "--no-vocab"],
                              capture_output=True, text=True)
        check(done.returncode == 0, f"{name}: {done.stderr}")
        good = compare(name, Gguf(os.path.join(theirs, file)), Gguf(out)) and good
    count = len(os.listdir(theirs))
    remove(folder)
    check(count >= WANTED, f"the converter read {count} directories, wanted {WANTED}")
    check(good, "weir writes something else than the converter")
    print(f"  {count} files alike")


main()
