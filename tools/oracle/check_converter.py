#!/usr/bin/env python3
"""check_converter.py - llama.cpp's converter as a judge of the golden directories: the file that it makes of each must have the
logits that the directory has.

usage: check_converter.py FOLDER_OF_CONVERTER [NAME ...]     needs what make_family_directories.py needs, and `make tests`

FOLDER_OF_CONVERTER has convert_hf_to_gguf.py. The vocabulary of the tiny models is none that it knows: the golden file's is put in
its place. The golden test then reads the files in place of the golden ones. Exit status 0: all agree; 1: some do not.
"""
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [path for folder in sys.argv[1:2] for path in (os.path.join(folder, "gguf-py"), folder)]  # its gguf, not ours

import make_family_directories as directories
from tiny_vocab import QWEN, Vocabulary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests/golden")
TEST = os.path.join(ROOT, "build/release/tests/model_golden_test")
# Of which it is no judge.
LEFT_OUT = {"deepseek": "it leaves routed_scaling_factor out", "mistral4": "it leaves llama_4_scaling_beta out"}


def with_classes_below(cls):
    return [cls] + [found for below in cls.__subclasses__() for found in with_classes_below(below)]


def convert(name, out):
    import gguf
    import torch
    import convert_hf_to_gguf as converter
    maker = next(maker for maker in directories.MAKERS if name in maker.MODELS)
    folder = Path(GOLDEN, "directories", name)
    with torch.inference_mode():
        hparams = converter.ModelBase.load_hparams(folder, False)
        cls = converter.get_model_class(converter.get_model_architecture(hparams, converter.ModelType.TEXT))
        for each in with_classes_below(sys.modules["conversion.base"].TextModel):
            each.set_vocab = lambda self: Vocabulary(**maker.MODELS[name].get("vocab", QWEN)).write(self.gguf_writer)
        cls.no_mtp = cls.supports_mtp_export
        cls(folder, gguf.LlamaFileType.ALL_F32, Path(out)).write()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    logging.disable(logging.WARNING)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        for name in sys.argv[2:] or [name for name, row in directories.DIRECTORIES.items() if "block" not in row]:
            if name in LEFT_OUT:
                print(f"no file of {name}: {LEFT_OUT[name]}")
                continue
            folder = os.path.join(scratch, "tests/golden", name)
            os.makedirs(folder)
            for file in ("ids.txt", "logits.f32", "provenance.json"):
                shutil.copy(os.path.join(GOLDEN, name, file), folder)
            try:
                convert(name, os.path.join(folder, "model.gguf"))
            except (Exception, SystemExit) as problem:
                print(f"no file of {name}: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
                shutil.rmtree(folder)
                failed = True
        failed |= subprocess.run([TEST], cwd=scratch).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
