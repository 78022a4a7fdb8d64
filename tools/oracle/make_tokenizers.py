#!/usr/bin/env python3
"""make_tokenizers.py - small tokenizers of every kind that tokenizer.json can be, and the ids that Hugging Face tokenizers gives.

usage: make_tokenizers.py OUT               needs: pip install tokenizers

OUT/NAME.json: a tokenizer.json, trained on a few lines of text. OUT/NAME.jsonl: a first line {"about"}, then lines {"text", "ids"};
special tokens in the text are parsed. Now and then also "bos_ids": those with what the post-processor adds.
"""
import json
import os
import sys

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_splits import DIGIT, GPT2, cl100k, o200k
from make_texts import TEXTS

LINES = ["The weir holds back the water, and the water flows over the weir.", "the old man and the sea; the sea and the old man",
         "water the where there then other another there's don't", "def weir(water):\n    return water  # the flow\n",
         "caf\u00e9 na\u00efve \u4f60\u597d \u4e16\u754c \u0432\u043e\u0434\u0430", "12 123 1234   spaces    \n\n more\n\n\n"] * 4
MARK = "\u2581"
# Traps for what is special: runs of spaces, tokens next to words, a token of white space.
MORE = ["<s>the<|im_end|> weir<|im_end|>\n the", "a<think>b  <think>  c", "the water<|end|>   \n the weir", " <s>", "<s>", "the\u2581weir \u2581 a",
        "\ufb01ne \u2460 \uff21\uff9e \u00bd \u212b caf\u00e9 cafe\u0301 \u1e9b\u0323", "\u0130 I \u00df \u03a3\u03a3 \u01c5",
        "weir's \u2014 \u00abwater\u00bb (the) [old] $5 ^ ~ `", "\x00a\x01 b\x7f\u200b\ufffd c\u00a0d", "the" * 60 + " water"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(pattern, behavior, invert)


def byte_level(use_regex=False, space=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=use_regex)


def bpe(size=330, specials=("<s>", "<|im_end|>"), alphabet=True, **model):
    initial = pre_tokenizers.ByteLevel.alphabet() if alphabet else []
    return models.BPE(**model), trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=initial,
                                                    show_progress=False)


def byte_tokens():
    return ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]


def make(model, trainer, pre=None, normalizer=None, decoder=None, added=(), template=None):
    tokenizer = tokenizers.Tokenizer(model)
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens([token for token in added if isinstance(token, str)])
    tokenizer.add_tokens([token for token in added if not isinstance(token, str)])
    if template is not None:
        before, behind = template
        names = [name for name in (before, behind) if name]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(filter(None, [before, "$A", behind])),
            special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])
    return tokenizer


def fallback(pre, normalizer, **more):
    """Llama 2's and Gemma's kind: characters, and bytes where a character has no token."""
    return make(*bpe(size=340, specials=byte_tokens(), alphabet=False, byte_fallback=True, fuse_unk=True, unk_token="<unk>"), pre,
                normalizer, decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]), **more)


def without_bytes(pre, normalizer, fuse):
    return make(*bpe(size=120, specials=["<unk>", "<s>"], alphabet=False, unk_token="<unk>", fuse_unk=fuse), pre, normalizer)


def unigram(pre, normalizer=None, size=120, **more):
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    return make(models.Unigram(), trainer, pre, normalizer, decoders.Metaspace(), **more)


def wordpiece(normalizer, pre, **more):
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    return make(models.WordPiece(unk_token="[UNK]"), trainer, pre, normalizer, decoders.WordPiece(), template=("[CLS]", "[SEP]"), **more)


def added(text, **flags):
    return tokenizers.AddedToken(text, **flags)


def everything():
    sequence, norms = pre_tokenizers.Sequence, normalizers.Sequence
    metaspace = pre_tokenizers.Metaspace
    return {
        "cl100k": make(*bpe(), sequence([split(Regex(cl100k(r"\p{N}"))), byte_level()]), normalizers.NFC(), decoders.ByteLevel(),
                       added=["<|end|>", added("<think>", special=False)]),
        "o200k": make(*bpe(ignore_merges=True), sequence([split(Regex(o200k())), byte_level()]), None, decoders.ByteLevel(),
                      template=("<s>", None)),
        "digits": make(*bpe(), sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(use_regex=True)]), None,
                       decoders.ByteLevel(), added=[added("<think>", rstrip=True, special=True)], template=("<s>", "<|im_end|>")),
        "space": make(*bpe(), byte_level(use_regex=True, space=True), normalizers.NFKC(), decoders.ByteLevel()),
        "removed": make(*bpe(), sequence([split(Regex(cl100k(r"\p{N}{1,3}")), "removed", True), byte_level()]), None, decoders.ByteLevel()),
        "punctuation": make(*bpe(), sequence([pre_tokenizers.Punctuation("contiguous"), split("e", "merged_with_previous"),
                                              pre_tokenizers.Digits(), byte_level()]), normalizers.NFD(), decoders.ByteLevel()),
        "llama": fallback(None, norms([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]), template=("<s>", None)),
        "gemma": fallback(split(" ", "merged_with_previous"), normalizers.Replace(" ", MARK), added=[added("<think>", special=False)]),
        "lines": fallback(split(Regex(r"[^\n]+|[\n]+")), normalizers.Replace(" ", MARK), added=["<|end|>"]),
        "metaspace": fallback(metaspace(MARK, "first", split=False), None, template=("<s>", None)),
        "words": without_bytes(metaspace(MARK, "always"), norms([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]), True),
        "unfused": without_bytes(pre_tokenizers.WhitespaceSplit(), normalizers.Strip(), False),
        "unigram": unigram(metaspace(MARK, "always"), template=(None, "</s>")),
        "t5": unigram(sequence([pre_tokenizers.WhitespaceSplit(), metaspace(MARK, "always")]), normalizers.NFKC(), added=["<|end|>"]),
        "bert": wordpiece(normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
        "cased": wordpiece(normalizers.BertNormalizer(lowercase=False, strip_accents=False), pre_tokenizers.Whitespace()),
    }


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    for name, tokenizer in everything().items():
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as file:
            file.write(tokenizer.to_str(pretty=False))
        with open(os.path.join(out, name + ".jsonl"), "w", encoding="utf-8") as file:
            lines = [{"about": "ids by Hugging Face tokenizers", "script": "tools/oracle/make_tokenizers.py",
                      "tokenizers": tokenizers.__version__}]
            for index, text in enumerate(TEXTS + MORE):
                line = {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}
                lines.append(line | ({"bos_ids": tokenizer.encode(text).ids} if index % 16 == 0 else {}))
            file.writelines(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        print(f"{name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
