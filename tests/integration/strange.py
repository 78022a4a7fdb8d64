#!/usr/bin/env python3
"""strange.py - what is no model of ours is called by its name, with what to get instead; what the machine does not have is told."""
import io
import json
import os
import pickle
import struct
import subprocess
import zipfile

from harness import DEMO, WEIR, check, remove, scratch_folder, skip


def zipped():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))
    return made.getvalue()


HEAD = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
SAFETENSORS = struct.pack("<Q", len(HEAD)) + HEAD + bytes(4)
INSTEAD = "weir reads GGUF files and directories of safetensors"
FILES = {
    "pytorch_model.bin": (zipped(), ["zip archive", "PyTorch", INSTEAD]),
    "old.pth": (pickle.dumps({"a": 1}, protocol=2), ["a pickle", "PyTorch", INSTEAD]),
    "m.onnx": (b"\x08\x07\x12\x07pytorch", ["ONNX", INSTEAD]),
    "m.safetensors": (SAFETENSORS, ["safetensors", "the directory that it lies in"]),
    "m.h5": (b"\x89HDF\r\n\x1a\n", ["HDF5", INSTEAD]),
    "ggml.bin": (struct.pack("<I", 0x67676A74) + bytes(9), ["before GGUF", INSTEAD]),
    "page.gguf": (b"<!DOCTYPE html>", ["a web page", "weir pull"]),
    "pointer.gguf": (b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS pointer", "git lfs pull"]),
    "config.json": (b"{\"a\": 1}", ["JSON", "the directory"]),
    "m.gguf.gz": (b"\x1f\x8b\x08\0", ["gzip", "unpack"]),
    "noise": (bytes(64), [INSTEAD]),
}
FOLDERS = {
    "torch": ({"config.json": b'{"model_type": "qwen3_moe"}', "pytorch_model.bin": zipped()}, ["pickles of PyTorch", "safetensors, or a GGUF"]),
    "mlx": ({"config.json": b'{"model_type": "qwen3_moe", "quantization": {"group_size": 64, "bits": 4}}', "model.safetensors": SAFETENSORS},
            ["MLX", "a GGUF file of the model"]),
    "exl2": ({"config.json": b'{"model_type": "qwen3_moe", "quantization_config": {"quant_method": "exl2"}}',
              "model.safetensors": SAFETENSORS}, ["exl2", "a GGUF file of the model"]),
    "family": ({"config.json": b'{"model_type": "qwen3_mo"}', "model.safetensors": SAFETENSORS},
               ['"qwen3_mo" is not built in', "qwen3_moe", "docs/FAMILIES.md"]),
    "ggufs": ({"m.gguf": b"GGUF"}, ["name the file, not its directory"]),
}


def weir(*args, code=0, **keywords):
    done = subprocess.run([WEIR, *map(str, args)], capture_output=True, text=True, **keywords)
    check(done.returncode == code, f"{args}: wanted exit {code}, found {done.returncode}: {done.stderr}")
    return done


def is_called(path, words):
    told = weir("info", path, code=1).stderr
    for word in [os.path.basename(path), *words]:
        check(word in told, f"{path}: wanted \"{word}\" in: {told}")
    check(told.count("\n") == 1, f"one message: {told}")


def files_and_folders(folder):
    for name, (data, words) in FILES.items():
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        is_called(path, words)
        for length in range(1, min(len(data), 12)):  # whatever is cut off is a file of another kind, or none
            with open(path, "wb") as file:
                file.write(data[:length])
            check(weir("info", path, code=1).stderr.startswith("weir: "), f"the first {length} bytes of {name}")
    for name, (files, words) in FOLDERS.items():
        os.mkdir(os.path.join(folder, name))
        for inner, data in files.items():
            with open(os.path.join(folder, name, inner), "wb") as file:
                file.write(data)
        is_called(os.path.join(folder, name), words)


def beyond_the_machine():
    run = ["run", DEMO, "-p", "The", "-n", 2, "--temp", 0, "--quiet"]
    told = weir(*run, "--mem", "900G", "--threads", 250).stderr.splitlines()
    check(len(told) == 2 and "the ceiling of 900.0 GiB is more memory than" in told[0] and "250 threads are more than the" in told[1],
          f"both are told, and once: {told}")
    check(weir(*run, "--mem", "100M", "--threads", 1).stderr == "", "what is there is no reason for words")
    plan = weir("plan", DEMO, "--mem", "900G", "--json")
    check(plan.stderr.count("more memory than") == 1 and json.loads(plan.stdout)["fits"], f"a plan tells it too: {plan.stderr}")


def standard_input_is_read_once():
    for args in (("template", DEMO, "--template", "-", "--messages", "-"), ("template", DEMO, "--messages", "-", "--vars", "-"),
                 ("run", DEMO, "-p", "-", "--grammar", "-")):
        told = weir(*args, code=2, input="[]").stderr
        check("standard input (-) for one thing" in told and args[-2] in told, f"{args}: {told}")
    weir("template", DEMO, "--template", "chatml", "--messages", "-", input='[{"role": "user", "content": "x"}]')


def main():
    if not os.path.exists(WEIR):
        skip("build/release/weir is not built")
    folder = scratch_folder()
    try:
        files_and_folders(folder)
        beyond_the_machine()
        standard_input_is_read_once()
    finally:
        remove(folder)
    print(f"{len(FILES)} files and {len(FOLDERS)} folders that are no models of ours, and what the machine does not have")


main()
