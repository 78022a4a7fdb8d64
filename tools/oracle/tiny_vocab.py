"""tiny_vocab.py - a byte-level BPE vocabulary of some 270 tokens, for Hugging Face tokenizers and for GGUF alike."""
import gguf
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

# Pairs in order of their rank; both sides are written in the byte-level alphabet, where U+0120 is a space.
MERGES = [("h", "e"), ("t", "he"), ("\u0120", "the"), ("i", "n"), ("e", "r"), ("r", "e"), ("\u0120", "w"), ("o", "n"),
          ("a", "t"), ("\u0120w", "at"), ("\u00c3", "\u00a9")]

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")

# Arguments of Vocabulary, one for each pre-tokenizer.
QWEN = dict(pre="qwen2", specials=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
OLMO = dict(pre="olmo", specials=["<|padding|>", "<|endoftext|>"])
LLAMA = dict(pre="llama-bpe", specials=["<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>"])


def byte_alphabet():
    """The 256 characters that stand for bytes, in byte order of the printable ones first (as GPT-2 numbers them)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) for byte in kept] + [chr(256 + index) for index in range(len(moved))]


class Vocabulary:
    """pre: the GGUF name of the pre-tokenizer. bos: whether texts begin with the first special token."""

    def __init__(self, pre, specials, bos=False, unused=0):
        self.pre, self.specials, self.bos = pre, specials, bos
        ordinary = byte_alphabet() + [left + right for left, right in MERGES]
        self.tokens = ordinary + specials + [f"[unused{index}]" for index in range(unused)]
        self.types = ([gguf.TokenType.NORMAL] * len(ordinary) + [gguf.TokenType.CONTROL] * len(specials) +
                      [gguf.TokenType.UNUSED] * unused)
        self.bos_id, self.eos_id = len(ordinary), len(ordinary) + len(specials) - 1

    def __len__(self):
        return len(self.tokens)

    def judge(self):
        """The same vocabulary as a Hugging Face tokenizer."""
        by_token = {token: index for index, token in enumerate(self.tokens)}
        tokenizer = tokenizers.Tokenizer(models.BPE(vocab=by_token, merges=MERGES, ignore_merges=self.pre == "llama-bpe"))
        digits = r"\p{N}{1,3}" if self.pre == "llama-bpe" else r"\p{N}"
        if self.pre == "olmo":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
                pre_tokenizers.Split(Regex(CL100K.replace("DIGITS", digits)), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        if self.pre in ("qwen2", "olmo"):
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(self.specials)
        if self.bos:
            first = self.specials[0]
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, self.bos_id)])
        return tokenizer

    def write(self, writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types([int(kind) for kind in self.types])
        writer.add_token_merges([f"{left} {right}" for left, right in MERGES])
        if self.bos:
            writer.add_bos_token_id(self.bos_id)
        writer.add_eos_token_id(self.eos_id)
        writer.add_add_bos_token(self.bos)
