#!/usr/bin/env python3
"""vocabularies.py - the real vocabularies that llama.cpp's source brings along (Gemma 4, Qwen, Llama 3, DeepSeek, Falcon, Phi 3, BERT
and others), with texts and the ids that their makers took from Hugging Face: weir's ids are the same.

They come with the source package llama-cpp-python of the Python registry (70 MB), so only `./run-tests long` asks for it. FOLDER names
one with ggml-vocab-*.gguf files instead.
"""
import glob
import os
import shutil
import subprocess
import sys
import tarfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST = os.path.join(ROOT, "build", "release", "tests", "text_golden_test")
FOLDER = os.environ.get("FOLDER", os.path.join(ROOT, "build", "oracle-vocab", "vocab"))
PACKAGE = "llama-cpp-python==0.3.36"
WANTED = 15


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def fetch():
    """Into FOLDER, from the source package; to download one, pip asks it for its metadata, and it asks for what builds it."""
    tools = os.path.join(FOLDER, "tools")
    pip = [sys.executable, "-m", "pip"]
    os.makedirs(FOLDER, exist_ok=True)
    for command in ([*pip, "install", "-q", "--target", tools, "scikit-build-core", "cmake", "ninja"],
                    [*pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", FOLDER, PACKAGE]):
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": tools}, capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"{PACKAGE} cannot be had: {done.stderr.strip()[-200:]}")
    packed = glob.glob(os.path.join(FOLDER, "*.tar.gz"))[0]
    with tarfile.open(packed) as archive:
        for member in archive:
            name = os.path.basename(member.name)
            if name.startswith("ggml-vocab-") and member.isfile():
                with open(os.path.join(FOLDER, name), "wb") as file:
                    file.write(archive.extractfile(member).read())
    os.remove(packed)
    shutil.rmtree(tools)


def main():
    if not os.access(TEST, os.X_OK):
        print(f"FAILED: no program {TEST}: run make tests")
        sys.exit(1)
    if not glob.glob(os.path.join(FOLDER, "*.inp")):
        if "FOLDER" not in os.environ and os.environ.get("WEIR_TESTS") != "long":
            skip("70 MB to fetch: only ./run-tests long does")
        fetch()
    done = subprocess.run([TEST], cwd=ROOT, env=os.environ | {"WEIR_SHARED_DATA": os.path.dirname(FOLDER)}, capture_output=True, text=True,
                          errors="replace")
    print(done.stdout, done.stderr)
    count = sum(": " in line and " of " in line for line in done.stdout.splitlines())
    if done.returncode != 0 or count < WANTED:
        print(f"FAILED: status {done.returncode}, {count} vocabularies, wanted {WANTED}")
        sys.exit(1)


main()
