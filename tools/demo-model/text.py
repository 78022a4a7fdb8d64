"""text.py - from text files to token ids: reads plain or .xz text, trains the tokenizer, holds out whole documents.

Documents are separated by a line holding <|endoftext|>. Every hold_every-th document is held out: the tokenizer and
the model never see it. No Unicode normalisation is done (llama.cpp does none for this pre-tokenizer), so what the
tokenizer was trained on is what every reader of the GGUF file will see.
"""
import json
import lzma
import os

import numpy as np
import tokenizers

END = "<|endoftext|>"
QWEN2_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                 r"|\s*[\r\n]+|\s+(?!\S)|\s+")
EXCERPT_BYTES = 5000


def read_documents(paths):
    documents = []
    for path in paths:
        with (lzma.open(path, "rb") if path.endswith(".xz") else open(path, "rb")) as file:
            text = file.read().decode("utf-8")
        documents += [part.strip("\n") for part in text.split(f"\n{END}\n")]
    return [document for document in documents if document]


def train_tokenizer(documents, n_vocab):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(QWEN2_PATTERN), "isolated"),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=n_vocab, special_tokens=[END], show_progress=False, max_token_length=24,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def encode(tokenizer, documents):
    """One array: each document's tokens, then the end token."""
    end = tokenizer.token_to_id(END)
    parts = []
    for start in range(0, len(documents), 8):
        for coded in tokenizer.encode_batch_fast(documents[start:start + 8], add_special_tokens=False):
            parts += [np.array(coded.ids, dtype=np.uint16), np.array([end], dtype=np.uint16)]
    return np.concatenate(parts)


def excerpts(documents):
    """Two passages of each held-out document, in turn, so that the first chunks already cover every document."""
    rounds = []
    for part in (1, 2):
        for document in documents:
            start = document.find("\n\n", len(document) * part // 3) + 2
            stop = document.find("\n\n", start + EXCERPT_BYTES)
            rounds.append(document[start:stop if stop > 0 else start + EXCERPT_BYTES])
    return "\n\n".join(rounds) + "\n"


def prepare(paths, folder, n_vocab, hold_every):
    """Writes tokenizer.json, train.u16, held.u16, heldout.txt and prepared.json into folder; reuses them when there."""
    done = os.path.join(folder, "prepared.json")
    if not os.path.exists(done):
        os.makedirs(folder, exist_ok=True)
        documents = read_documents(paths)
        held = documents[hold_every - 1::hold_every]
        kept = [document for index, document in enumerate(documents) if index % hold_every != hold_every - 1]
        tokenizer = train_tokenizer(kept, n_vocab)
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
        with open(os.path.join(folder, "heldout.txt"), "w", encoding="utf-8") as file:
            file.write(excerpts(held))
        counts = {}
        for name, part in (("train", kept), ("held", held)):
            ids = encode(tokenizer, part)
            ids.tofile(os.path.join(folder, f"{name}.u16"))
            counts[name] = {"documents": len(part), "bytes": sum(len(d.encode()) for d in part), "tokens": len(ids)}
        counts["held"]["first_lines"] = [document.split("\n", 1)[0] for document in held]
        with open(done, "w") as file:
            json.dump(counts, file, indent=1)
    with open(done) as file:
        return json.load(file)


def load(folder):
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    ids = [np.fromfile(os.path.join(folder, f"{name}.u16"), dtype=np.uint16) for name in ("train", "held")]
    return tokenizer, ids[0], ids[1]
