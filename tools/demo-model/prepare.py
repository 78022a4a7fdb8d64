"""prepare.py - the CPU part of training the demo model: tokenizer, token ids and held-out text from any text files.

    python3 prepare.py --out FOLDER TEXT...      (TEXT: plain or .xz, documents separated by <|endoftext|> lines)
"""
import argparse

import text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--hold-every", type=int, default=30, help="hold out every Nth document (default 30)")
    options = parser.parse_args()
    print(text.prepare(options.texts, options.out, options.vocab, options.hold_every))


if __name__ == "__main__":
    main()
