#!/usr/bin/env python3
"""convert.py - weir convert: every golden directory as a GGUF file has the directory's logits, tokens and template; other types in one go;
what broke off goes on; a ceiling below the model's size; what cannot be said is refused by name."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE_S, ROOT, WEIR, MemoryGroup, check, memory_folder, proc_file, remove, wait_for
from hf_folder import Tensors, write_large

GOLDEN = os.path.join(ROOT, "tests", "golden")
DIRECTORIES = os.path.join(GOLDEN, "directories")
# Rope turns neighbouring rows of the file, or matrices lie the other way round: sums are taken in another order.
OTHER_ORDER = {"bailingmoe", "deepseek", "gpt-oss-bf16", "granite", "granitemoe", "granitemoe-shared", "llama-rope-llama3", "llama4", "mistral3",
               "mixtral", "qwen35moe", "qwen3vlmoe-f16", "smollm3"}
# Codes meet other activations as blocks, or BF16 rounds them: as F32 they have the directory's values.
CODES = {"deepseek2-fp8", "deepseek2-glm-fp8", "gpt-oss", "qwen2moe-fp8-rows", "qwen3moe-fp8", "qwen3moe-int4", "qwen3moe-int4-rows",
         "qwen3moe-int4-zeros", "qwen3moe-modelopt", "qwen3moe-mxfp4", "qwen3moe-nvfp4"}
TEXT = "The weir holds back the water; at 3 it re-opens:\n\n  1234567. Où est-il? 水 🌊 I'll see, they'RE late\t\t!!"


def weir(*args, code=0, **more):
    done = subprocess.run([WEIR, *map(str, args)], capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL, **more)
    check(done.returncode == code, f"{args}: exit {done.returncode}, wanted {code}: {done.stderr.decode()}")
    return done


def convert(directory, out, *more, code=0):
    return weir("convert", directory, "-o", out, *more, code=code).stderr.decode()


def logits(model, ids, folder):
    out = os.path.join(folder, "logits")
    weir("eval", model, "--tokens", ids, "--logits", out, "-q")
    with open(out, "rb") as file:
        return file.read()


def distance(one, other):
    """The largest difference of two files of floats, over the largest value."""
    check(len(one) == len(other), f"{len(one)} bytes of logits, and {len(other)}")
    pairs = list(zip(struct.unpack(f"<{len(one) // 4}f", one), struct.unpack(f"<{len(other) // 4}f", other)))
    return max(abs(a - b) for a, b in pairs) / max(abs(a) for a, _ in pairs)


def ids_of(name):
    for folder in (os.path.join(DIRECTORIES, name), os.path.join(GOLDEN, name), os.path.join(DIRECTORIES, "qwen3moe-bf16")):
        if os.path.exists(os.path.join(folder, "ids.txt")):
            return os.path.join(folder, "ids.txt")


def test_logits(name, folder):
    directory, out = os.path.join(DIRECTORIES, name), os.path.join(folder, name + ".gguf")
    convert(directory, out, *(["--type", "F32"] if name in CODES else []))
    wanted, found = logits(directory, ids_of(name), folder), logits(out, ids_of(name), folder)
    if name in OTHER_ORDER | CODES:
        far = distance(wanted, found)
        check(far <= 2e-4, f"{name}: logits are {far} off")
    else:
        check(wanted == found, f"{name}: the file has other logits than the directory ({distance(wanted, found)})")
    os.remove(out)


def test_blocks(folder):
    """MXFP4 is kept code by code: its values are the directory's, to the bit."""
    for name in ("qwen3moe-mxfp4", "gpt-oss"):
        paths = [os.path.join(folder, f"{name}-{at}.gguf") for at in range(3)]
        convert(os.path.join(DIRECTORIES, name), paths[0])
        convert(os.path.join(DIRECTORIES, name), paths[1], "--type", "F32")
        check("MXFP4" in weir("info", paths[0], "--verbose").stdout.decode(), f"{name}: no tensor is MXFP4")
        ids = ids_of(name)
        # BF16 is exact in F32, and so is MXFP4: the same floats, the same logits.
        weir("quantize", paths[0], paths[2], "--type", "F32")
        check(logits(paths[1], ids, folder) == logits(paths[2], ids, folder), f"{name}: blocks have other values than codes")


def with_tokenizer(name, folder, changed=lambda vocabulary: None):
    """A small directory with another tokenizer."""
    directory = os.path.join(folder, "directory-" + name)
    shutil.copytree(os.path.join(DIRECTORIES, "olmoe"), directory)
    with open(os.path.join(GOLDEN, "tokenizers", name + ".json")) as file:
        vocabulary = json.load(file)
    changed(vocabulary)
    with open(os.path.join(directory, "tokenizer.json"), "w") as file:
        json.dump(vocabulary, file)
    count = 1 + max([*vocabulary["model"]["vocab"].values(), *(token["id"] for token in vocabulary["added_tokens"])])
    path = os.path.join(directory, "model.safetensors")
    tensors = Tensors(path)
    for matrix in ("model.embed_tokens.weight", "lm_head.weight"):
        if matrix in tensors.tensors:
            tensors.widen(matrix, count + 5)
    tensors.write(path)
    with open(os.path.join(directory, "config.json")) as file:
        config = json.load(file)
    config.update(vocab_size=count + 5, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(config, file)
    os.remove(os.path.join(directory, "generation_config.json"))
    with open(os.path.join(directory, "tokenizer_config.json"), "w") as file:
        json.dump({"chat_template": [{"name": "default", "template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"},
                                     {"name": "tool_use", "template": "{{ tools | length }}"}]}, file)
    return directory


def plain(vocabulary):
    """Added tokens as GGUF files have them."""
    for token in vocabulary["added_tokens"]:
        token.update(lstrip=False, rstrip=False, single_word=False)


def tokens(model, text):
    return json.loads(weir("tokenize", model, "--text", text, "--json").stdout)["ids"]


def test_tokenizers(folder):
    """The tokens and the template of the directory, padded up to the rows of its embedding."""
    text, messages = os.path.join(folder, "text"), os.path.join(folder, "messages.json")
    with open(text, "w") as file:
        file.write(TEXT)
    with open(messages, "w") as file:
        json.dump([{"role": "user", "content": "Où?"}], file)
    for name, pre in (("cl100k", "qwen2"), ("digits", None), ("o200k", None), ("llama", "default"), ("gemma", "default"), ("lines", None)):
        directory, out = with_tokenizer(name, folder, plain), os.path.join(folder, name + ".gguf")
        print("  ", name, convert(directory, out).strip().replace("\n", "; "))
        check(tokens(directory, text) == tokens(out, text), f"{name}: other tokens")
        shown = weir("info", out, "--verbose").stdout.decode()
        if pre is not None:
            check(any("tokenizer.ggml.pre" in line and pre in line for line in shown.splitlines()), f"{name}: not {pre}")
        rendered = [weir("template", model, "--messages", messages).stdout for model in (directory, out)]
        check(rendered[0] == rendered[1] == "<user>Où?".encode(), f"{name}: {rendered}")
        check("tokenizer.chat_template.tool_use" in shown, f"{name}: the second template is lost")


def test_refusals(folder):
    def lose_merges(vocabulary):
        vocabulary["model"]["merges"] = vocabulary["model"]["merges"][:-1]

    out, small = os.path.join(folder, "refused.gguf"), os.path.join(DIRECTORIES, "qwen3moe-bf16")
    # A tokenizer that no file can say.
    odd = with_tokenizer("llama", os.path.join(folder, "odd"), lose_merges)
    said = convert(odd, out, code=1)
    check("tokenizer.json" in said and "--no-vocab" in said and not os.path.exists(out), said)
    convert(odd, out, "--no-vocab")
    check("tokenizer.ggml" not in weir("info", out, "--verbose").stdout.decode(), "a vocabulary that was to be left out")
    os.remove(out)
    broken = os.path.join(folder, "broken")
    shutil.copytree(small, broken)
    os.remove(os.path.join(broken, "model-00002-of-00003.safetensors"))
    check("model-00002-of-00003.safetensors" in convert(broken, out, code=1), "a file that is missing is not named")
    check("Q4_X" in convert(small, out, "--type", "Q4_X", code=2), "a type that is none is not named")
    check("no block of Q4_0 fills" in convert(small, out, "--type", "Q4_0"), "rows that fill no block become F16 without a word")
    os.remove(out)
    said = convert(small, out, "--mem", 1 << 20, code=1)
    check("at least" in said, said)
    check("GGUF" in convert(os.path.join(GOLDEN, "qwen3moe", "model.gguf"), out, code=2), "a file is no directory")
    # No file of the directory is replaced, whatever it is called.
    source = os.path.join(folder, "source")
    shutil.copytree(small, source)
    os.link(os.path.join(source, "config.json"), os.path.join(folder, "linked"))
    os.symlink(os.path.join(source, "tokenizer.json"), os.path.join(folder, "pointed"))
    shards = [name for name in os.listdir(source) if name.endswith(".safetensors")]
    for path in [*(os.path.join(source, name) for name in ("config.json", "tokenizer.json", *shards)),
                 os.path.join(folder, "linked"), os.path.join(folder, "pointed")]:
        with open(path, "rb") as file:
            before = file.read()
        check("no GGUF file" in convert(source, path, code=2), f"{path} is not refused")
        with open(path, "rb") as file:
            check(file.read() == before, f"{path} is another file")
    inside = os.path.join(source, "model.gguf")
    open(inside, "w").close()
    for _ in range(2):  # over an empty file, and over a GGUF file
        convert(source, inside)
        check(os.path.getsize(inside) > 1000, "no file is written over one that may be replaced")
    # What F16 cannot hold becomes no infinity.
    wide = os.path.join(folder, "wide")
    shutil.copytree(os.path.join(DIRECTORIES, "olmoe"), wide)
    tensors = Tensors(os.path.join(wide, "model.safetensors"))
    row = tensors.tensors["model.embed_tokens.weight"]
    check(row[0] in ("BF16", "F32"), row[0])
    # What is only copied is looked at too.
    for value, kind, words in ((float("nan"), row[0], ("nan", "finite")),
                               (131072.0, "F16", ("131072 in column 0", "too large for F16", "BF16"))):
        number = struct.pack("<f", value)
        row[2] = (number[2:] if row[0] == "BF16" else number) + row[2][2 if row[0] == "BF16" else 4:]
        tensors.write(os.path.join(wide, "model.safetensors"))
        said = convert(wide, out, "--type", kind, code=1)
        check("token_embd" in said and all(word in said for word in words) and not os.path.exists(out), f"{value} as {kind}: {said}")
    convert(wide, out, "--type", "F32")
    os.remove(out)
    check("-o" in weir("convert", small, code=2).stderr.decode(), "without -o")
    check(not os.path.exists(out) and not os.path.exists(out + ".unfinished"), "something was left behind")


def test_types(large, folder):
    """Any type in one go: the tensors that quantize makes of the converted file."""
    whole, both, once = (os.path.join(folder, name) for name in ("whole.gguf", "both.gguf", "once.gguf"))
    convert(large, whole)
    weir("quantize", whole, both, "--type", "Q4_K_M")
    convert(large, once, "--type", "Q4_K_M")
    with open(both, "rb") as one, open(once, "rb") as other:
        one.seek(-(20 << 20), os.SEEK_END), other.seek(-(20 << 20), os.SEEK_END)
        check(one.read() == other.read(), "Q4_K_M in one go has other bytes than in two")
    os.remove(whole)
    os.remove(both)
    return once


def is_begun(process, wanted_bytes):
    """It has a handler for signals, and has written so much."""
    caught = int(re.search(r"SigCgt:\s*(\w+)", proc_file(process.pid, "status")).group(1), 16)
    written = int(re.search(r"wchar: (\d+)", proc_file(process.pid, "io")).group(1))
    return caught >> (signal.SIGINT - 1) & 1 and written >= wanted_bytes


def break_off(large, out, number, wanted_bytes):
    """Convert until so much is written; then comes the signal."""
    process = subprocess.Popen([WEIR, "convert", large, "-o", out, "--type", "Q4_K_M", "--threads", "1"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: is_begun(process, wanted_bytes), "it writes", process)
    process.send_signal(number)
    said = process.communicate()[1]
    code = 130 if number == signal.SIGINT else -number
    check(process.returncode == code and not os.path.exists(out), f"exit {process.returncode}: {said}")
    return said


def test_resume(large, whole, folder):
    """Stopped or killed in the middle, it goes on with the tensors that are there, and the file is the same."""
    out = os.path.join(folder, "resumed.gguf")
    check("same command" in break_off(large, out, signal.SIGINT, 6 << 20), "Ctrl-C does not say how to go on")
    check(os.path.exists(out + ".unfinished"), "nothing is left to go on with")
    break_off(large, out, signal.SIGKILL, 1 << 20)
    done = json.loads(weir("convert", large, "-o", out, "--type", "Q4_K_M", "--json").stdout)
    print(f"  went on behind {done['tensors_done_before']} of {done['tensors']} tensors")
    check(0 < done["tensors_done_before"] < done["tensors"], f"went on behind {done['tensors_done_before']} tensors")
    with open(whole, "rb") as one, open(out, "rb") as other:
        check(one.read() == other.read(), "what was gone on with is another file")
    check(not os.path.exists(out + ".unfinished"), "the unfinished file is still there")
    # Of a directory that has changed nothing is taken over.
    os.remove(out)
    break_off(large, out, signal.SIGINT, 6 << 20)
    os.utime(os.path.join(large, "model-00001-of-00001.safetensors"))
    done = json.loads(weir("convert", large, "-o", out, "--type", "Q4_K_M", "--json").stdout)
    check(done["tensors_done_before"] == 0, "tensors of a directory that has changed were taken over")


def test_ceiling(large, folder):
    """Far below the directory's size, the group's page cache included."""
    out, ceiling = os.path.join(folder, "ceiling.gguf"), 64 << 20
    with MemoryGroup(ceiling) as group:
        done = group.run([WEIR, "convert", large, "-o", out, "--type", "Q8_0", "--mem", ceiling, "--json"])
        peak, kills = group.peak_bytes(), group.oom_kills()
    check(done.returncode == 0 and kills == 0, f"exit {done.returncode}, {kills} kills: {done.stderr}")
    found = json.loads(done.stdout)
    print(f"  ceiling {ceiling}, group peak {peak}, weir peak {found['peak_bytes']}, of {found['bytes_before']} bytes")
    check(found["peak_bytes"] <= ceiling and peak <= ceiling, f"peak {peak}, {found['peak_bytes']} over {ceiling}")


def main():
    folder = memory_folder(700 << 20)
    for name in sorted(os.listdir(DIRECTORIES)):
        test_logits(name, folder)
    test_blocks(folder)
    test_tokenizers(folder)
    test_refusals(folder)
    large = os.path.join(folder, "large")
    write_large(large, os.path.join(DIRECTORIES, "qwen3moe-bf16"), n_layer=1, n_expert=48)
    test_resume(large, test_types(large, folder), folder)
    test_ceiling(large, folder)
    remove(folder)


if __name__ == "__main__":
    main()
