#!/usr/bin/env python3
"""make_blocks.py - blocks of every weight format as gguf-py decodes and encodes them.

usage: make_blocks.py OUT LIBGGML           needs: pip install gguf numpy, and llama.cpp's libggml-base.so (it may want to be
                                            loaded by its own ld.so: ld.so --library-path FOLDER python make_blocks.py ...)

  TYPE.bin, TYPE.f32         raw blocks of random bytes under chosen scales, and the values they mean
  inputs-block.f32           finite values in rows of 32, for the formats that gguf-py has an encoder for
  inputs-half.f32            values for F16 and BF16, with ties, infinities and NaN
  TYPE.encoded               the bytes gguf-py made of those inputs
  provenance.json            versions, seeds, counts

gguf-py is the judge, libggml of what gguf-py cannot decode; where both can, they must agree. Codebooks are gone through in
order, so that each entry is there.

Every file is little-endian and has no header. Scales run over ordinary ones, zero, the smallest and largest subnormal, the
largest finite and the negatives of all of them, so that a reader who drops a sign or flushes a subnormal is found out.
"""
import ctypes
import importlib.metadata
import json
import os
import platform
import sys

import gguf
import gguf.quants
import numpy as np

SEED = 4711
# Offsets of the f16 scales of a block.
SCALES_AT = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0], "MXFP4": [],
             "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0],
             "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
             "TQ1_0": [52], "TQ2_0": [64], "NVFP4": [], "Q1_0": [0], "Q2_0": [0]}
BLOCKS = {"Q8_0": 64, "Q4_0": 64, "Q4_1": 64, "Q5_0": 64, "Q5_1": 64, "IQ4_NL": 64, "MXFP4": 256,
          "Q2_K": 20, "Q3_K": 20, "Q4_K": 20, "Q5_K": 20, "Q6_K": 20, "IQ4_XS": 20,
          "IQ1_S": 64, "IQ1_M": 20, "IQ2_XXS": 20, "IQ2_XS": 20, "IQ2_S": 32, "IQ3_XXS": 20, "IQ3_S": 20,
          "TQ1_0": 20, "TQ2_0": 20, "NVFP4": 64, "Q1_0": 20, "Q2_0": 32}
# What gguf-py does not know: GGUF's number, values and bytes of a block.
NUMBERS = {"Q2_0": (42, 64, 18)}
# Entries of a codebook in a block, and how many it has. IQ1_M shares IQ1_S's.
ENTRIES = {"IQ1_S": (32, 2048), "IQ2_XXS": (32, 256), "IQ2_XS": (32, 512), "IQ2_S": (32, 1024), "IQ3_XXS": (64, 256), "IQ3_S": (64, 512)}
PLAIN = ["F32", "F16", "BF16"]
PLAIN_VALUES = 1024
# Bits of f16: zero, least and largest subnormal, least normal, one, largest finite.
EXTREME = [0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x7bff]


def draw_scales(draw, count):
    """f16 bits: each extreme with either sign first, then ordinary ones of both signs."""
    fixed = [bits | sign for bits in EXTREME for sign in (0, 0x8000)]
    ordinary = (draw.uniform(1e-4, 1.0, count) * draw.choice([-1.0, 1.0], count)).astype(np.float16).view(np.uint16)
    scales = np.concatenate([np.array(fixed, np.uint16), ordinary])[:count]
    return scales


def number_and_sizes(name):
    """GGUF's number of a type, values and bytes of a block."""
    if name in NUMBERS:
        return NUMBERS[name]
    kind = gguf.GGMLQuantizationType[name]
    return (kind.value, *gguf.GGML_QUANT_SIZES[kind])


def put_entries(raw, name):
    """Entry after entry of the format's codebook, bits around them as they were."""
    each, count = ENTRIES[name]
    index = (np.arange(len(raw) * each) % count).reshape(len(raw), each)
    low = (index & 255).astype(np.uint8)
    if name == "IQ2_XXS":
        raw[:, 2:66].reshape(len(raw), 8, 8)[:, :, :4] = low.reshape(len(raw), 8, 4)
    elif name == "IQ2_XS":
        words = raw[:, 2:66].copy().view("<u2")
        raw[:, 2:66] = ((words & 0xfe00) | index.astype(np.uint16)).view(np.uint8)
    else:
        raw[:, 2:2 + each] = low
    if name == "IQ1_S":
        high = raw[:, 34:50].copy().view("<u2") & 0xf000
        high |= ((index >> 8).reshape(-1, 8, 4) << np.array([0, 3, 6, 9])).sum(axis=-1).astype(np.uint16)
        raw[:, 34:50] = high.view(np.uint8)
    elif name == "IQ2_S":
        raw[:, 66:74] = ((index >> 8).reshape(-1, 8, 4) << np.array([0, 2, 4, 6])).sum(axis=-1)
    elif name == "IQ3_S":
        raw[:, 66:74] = ((index >> 8).reshape(-1, 8, 8) << np.arange(8)).sum(axis=-1)


def raw_blocks(draw, name):
    _, _, block_bytes = number_and_sizes(name)
    count = BLOCKS[name]
    raw = draw.integers(0, 256, (count, block_bytes), np.uint8)
    for number, at in enumerate(SCALES_AT[name]):
        # The second scale is turned round, so that an extreme one meets ordinary ones.
        scales = np.roll(draw_scales(draw, count), number * 7)
        raw[:, at:at + 2] = scales.astype("<u2").view(np.uint8).reshape(count, 2)
    if name == "MXFP4":
        raw[:, 0] = np.arange(count)  # every power of two
    if name == "NVFP4":
        raw[:, :4] = np.arange(4 * count).reshape(count, 4)  # every scale
    if name in ENTRIES:
        put_entries(raw, name)
    raw[-1, [at for at in range(block_bytes) if at not in SCALES_AT[name] and at - 1 not in SCALES_AT[name]]] = 0xff
    if name == "IQ1_M":  # a nibble of the scale in each of four numbers
        words = raw[:, 48:].copy().view("<u2") & 0x0fff
        words |= (draw_scales(draw, count)[:, None] >> np.array([0, 4, 8, 12], np.uint16) & 15) << np.uint16(12)
        raw[:, 48:] = words.astype("<u2").view(np.uint8)
    if name == "NVFP4":
        raw[-1, :4] = [0x7c, 0x7d, 0x7e, 0x7f]
    return raw


def decode(raw, name, library):
    """As gguf-py says, or libggml where it does not know; both must agree."""
    _, block_len, _ = number_and_sizes(name)
    theirs = np.empty(len(raw) * block_len, np.float32)
    decoder = getattr(library, f"dequantize_row_{name.lower()}", None) or getattr(library, f"dequantize_row_{name[:2].lower() + name[2:]}", None)
    if decoder:
        decoder(np.ascontiguousarray(raw).ctypes.data_as(ctypes.c_void_p), theirs.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int64(theirs.size))
    try:
        ours = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name]).reshape(-1)
    except (KeyError, NotImplementedError):
        return theirs, "libggml"
    assert decoder is None or np.array_equal(ours.view(np.uint32), theirs.view(np.uint32)), name
    return ours, "gguf-py"


def raw_plain(draw, name):
    """Random bits, edges first; no NaN, whose payload no format promises."""
    if name == "F32":
        bits = draw.integers(0, 1 << 32, PLAIN_VALUES, np.uint32)
        bits[:8] = [0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x7f7fffff, 0x7f800000, 0xff800000]
        bits = bits[(bits & 0x7fffffff) <= 0x7f800000]
        return bits.astype("<u4").view(np.uint8)
    top = 0x7c00 if name == "F16" else 0x7f80
    bits = draw.integers(0, 1 << 16, PLAIN_VALUES, np.uint16)
    bits[:8] = [0, 0x8000, 1, 0x8001, top - 1, top, top | 0x8000, (top - 1) | 0x8000]
    bits = bits[(bits & 0x7fff) <= top]
    return bits.astype("<u2").view(np.uint8)


def block_inputs(draw):
    """Rows of 32 that a weight matrix, or its odd corner, may hold; a whole number of 256 values in all."""
    rows = [draw.normal(0, 0.03, (26, 32)), draw.uniform(-1, 1, (16, 32)), draw.normal(0, 100, (8, 32)),
            draw.uniform(0.5, 1.5, (8, 32)), draw.uniform(-2.0, -1.0, (8, 32)), draw.normal(0, 1e-5, (8, 32))]
    outlier = draw.normal(0, 0.01, (8, 32))
    outlier[np.arange(8), draw.integers(0, 32, 8)] = draw.choice([-50.0, 50.0], 8)
    shifted = 1000.0 + draw.uniform(-0.01, 0.01, (4, 32))  # a minimum that f16 rounds by more than one step
    same = np.repeat([[0.0], [1.0], [-1.0], [0.1], [-3e-3], [6e4]], 32, axis=1)
    # Exactly on the grid of each format: scale 1/4, extremes present, so that nothing is rounded.
    grid8 = np.concatenate([[[127.0, -127.0]], draw.integers(-127, 128, (1, 30))], axis=1) / 4
    grid4 = np.concatenate([[[-8.0, 7.0]], draw.integers(-8, 8, (1, 30))], axis=1) / 4
    grid4up = np.concatenate([[[0.0, 15.0]], draw.integers(0, 16, (1, 30))], axis=1) / 4 - 2
    rows += [outlier, shifted, same, grid8, grid4, -grid4, grid4up]
    return np.concatenate(rows).astype(np.float32)


def half_inputs(draw):
    """Values around every kind of rounding that f16 and bf16 have."""
    halves = draw.integers(0, 0x7c00, 256, np.uint16)
    ties = (halves.view(np.float16).astype(np.float32) + (halves + 1).astype(np.uint16).view(np.float16).astype(np.float32)) / 2
    ties[~np.isfinite(ties)] = 65520.0
    short = (draw.integers(0, 0x7f7f, 256).astype(np.uint32) << 16 | 0x8000).view(np.float32)
    edges = np.array([0.0, -0.0, 1.0, -1.0, 65504.0, 65519.996, 65520.0, 65536.0, -65520.0, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25,
                      2.0**-14, 3.4028235e38, -3.4028235e38, 1e-45, np.inf, -np.inf, np.nan], np.float32)
    random = draw.integers(0, 1 << 32, 512, np.uint32).view(np.float32)
    random = random[~np.isnan(random)]
    near = np.concatenate([np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(0))])
    return np.concatenate([edges, ties, -ties, near, short, -short, random, draw.normal(0, 1, 256).astype(np.float32)])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out = sys.argv[1]
    library = ctypes.CDLL(sys.argv[2])
    os.makedirs(out, exist_ok=True)
    files = {}

    def save(name, data):
        data.tofile(os.path.join(out, name))
        files[name] = data.nbytes

    judges = {}
    np.seterr(all="ignore")
    for name in PLAIN + list(BLOCKS):
        draw = np.random.default_rng([SEED, number_and_sizes(name)[0]])
        raw = raw_plain(draw, name) if name in PLAIN else raw_blocks(draw, name)
        save(f"{name}.bin", raw)
        if name in PLAIN:
            values = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
        else:
            values, judge = decode(raw, name, library)
            judges.setdefault(judge, []).append(name)
        values = values.astype("<f4")
        assert not np.isnan(values).any(), name
        save(f"{name}.f32", values)
    draw = np.random.default_rng(SEED)
    inputs = {"block": block_inputs(draw), "half": half_inputs(draw)}
    for kind, values in inputs.items():
        save(f"inputs-{kind}.f32", values.astype("<f4"))
    without = []
    for name in PLAIN[1:] + [name for name in BLOCKS if not name.startswith("TQ")]:
        try:
            row = inputs["half" if name in PLAIN else "block"].reshape(-1)
            encoded = gguf.quants.quantize(row, gguf.GGMLQuantizationType[name])
        except (KeyError, NotImplementedError):
            without.append(name)
            continue
        save(f"{name}.encoded", encoded.view(np.uint8))
    about = {"script": "tools/oracle/make_blocks.py", "seed": SEED, "judge": "gguf-py, gguf.quants.dequantize and quantize",
             "packages": {"python": platform.python_version(), "gguf": gguf_version(), "numpy": np.__version__},
             "decoded_by": judges, "no_encoder_in_judge": without, "bytes": files}
    with open(os.path.join(out, "provenance.json"), "w") as file:
        json.dump(about, file, indent=1)
        file.write("\n")
    print(f"{len(files)} files, {sum(files.values())} bytes; the judge has no encoder for {' '.join(without)}")


def gguf_version():
    return importlib.metadata.version("gguf")


if __name__ == "__main__":
    main()
