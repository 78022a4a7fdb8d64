"""golden_models.py - what the makers of golden models share: texts, names, and how a folder of tests/golden is written.

Weights are drawn in float32, so that a file holds exactly what the judge computed with. A model whose routing has a near-tie is
drawn again from the next seed: the last chosen and the first unchosen expert differ by at least GAP.
"""
import json
import os
import platform
import sys
from dataclasses import dataclass

import gguf
import numpy as np
import tokenizers
import torch
import transformers

GAP = 2e-4

TEXTS = ["The weir holds back the water; at 3 it re-opens: 1234\n\tOn\u00e9 more?",
         "Behind the wall: what the river gave it. \u00c9t\u00e9, \u6c34\u529b, {x: [7]}",
         "for (row = 0; row < 80; row++)\n    water *= 2.5; // \U0001f30a we'll see",
         "She'd thrown it in; THE ripples ran on... \u00bfqu\u00e9? \u0412\u043e \u03c0 = 3.14"]

# Endings of the judge's names after "model.layers.N." and what the file calls them after "blk.N.".
LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_proj.bias": "attn_q.bias", "self_attn.k_proj.bias": "attn_k.bias", "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight", "mlp.experts.down_proj": "ffn_down_exps.weight",
    "mlp.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight", "mlp.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_expert.down_proj.weight": "ffn_down_shexp.weight", "mlp.shared_expert_gate.weight": "ffn_gate_inp_shexp.weight"}
TOP_NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}


def interleave(weight, n_head):
    """Rows of q or k from halves (first with n/2 + first) to neighbouring pairs, which is how family llama stores them."""
    rows, cols = weight.shape
    return weight.reshape(n_head, 2, rows // n_head // 2, cols).swapaxes(1, 2).reshape(rows, cols)


@dataclass
class Drawn:
    """A model of the judge with weights, and what it computes for a text."""
    seed: int
    net: torch.nn.Module
    vocab: object
    text: str
    ids: list
    logits: np.ndarray
    gap: float  # of routing; None: there is none


def draw(build, run, seed, number):
    """From the seed on, the first model without a near-tie. build(seed) gives a net and its vocabulary, run(net, ids) logits and the
    smallest distance between what routing chose and what it did not."""
    text = TEXTS[number % len(TEXTS)]
    while True:
        net, vocab = build(seed)
        ids = vocab.judge().encode(text).ids
        logits, gap = run(net, ids)
        assert 40 <= len(ids) <= 80, len(ids)
        if gap is None or gap >= GAP:
            return Drawn(seed, net, vocab, text, ids, logits, gap)
        seed += 1


def compute(net, ids):
    """Logits of every position."""
    with torch.no_grad():
        logits = net(torch.tensor([ids]), use_cache=False).logits[0]
    assert logits.dtype == torch.float64
    return logits.numpy()


def provenance(name, model, drawn, judge, config, found, inexact="norms, softmax and rope angles", **more):
    """What provenance.json says. found: how far off the logits are after each mistake; inexact: what the judge has in float32."""
    return {
        "script": f"tools/oracle/{os.path.basename(sys.argv[0])}", "model": name, "family": model["family"], "why": model["why"],
        "seed": drawn.seed, "judge": f"Hugging Face transformers {transformers.__version__}, {judge}",
        "dtype": f"weights float32; computed in float64 ({inexact} in float32, as transformers has them)",
        "packages": {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
                     "tokenizers": tokenizers.__version__, "numpy": np.__version__},
        "config": config, "tokens": len(drawn.ids), "n_vocab": drawn.logits.shape[1], "text": drawn.text, **more,
        "smallest_routing_gap": drawn.gap, "difference_after_a_mistake": found,
        "logits_std": float(drawn.logits.std()), "logits_max": float(np.abs(drawn.logits).max())}


def differences(found, least=5e-3):
    """Of each mistake, how far off a reader would be who made it: proof that the fixture shows it."""
    assert min(found.values()) > least, found
    return {what: round(difference, 4) for what, difference in found.items()}


def open_writer(path, name, family):
    writer = gguf.GGUFWriter(path, family)
    writer.add_type("model")
    writer.add_name(f"weir golden {name}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    return writer


def add_keys(writer, family, keys):
    """By the types of their values; None is no key."""
    adders = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string,
              list: writer.add_array}
    for suffix, value in keys.items():
        if value is not None:
            adders[type(value)](f"{family}.{suffix}", value)


def close_writer(writer, vocab, tensors):
    """tensors: (name, float32 array)."""
    vocab.write(writer)
    for name, data in tensors:
        writer.add_tensor(name, np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(out, name, drawn, facts, write_gguf):
    """write_gguf(path) writes the model."""
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    write_gguf(os.path.join(folder, "model.gguf"))
    with open(os.path.join(folder, "ids.txt"), "w") as file:
        file.write(" ".join(str(index) for index in drawn.ids) + "\n")
    drawn.logits.astype("<f4").tofile(os.path.join(folder, "logits.f32"))
    with open(os.path.join(folder, "provenance.json"), "w") as file:
        json.dump(facts, file, indent=1, ensure_ascii=True)
        file.write("\n")
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    print(f"{name:20} seed {drawn.seed}  {len(drawn.ids)} ids  n_vocab {drawn.logits.shape[1]}  {size / 1024:.0f} KiB  "
          f"logits std {drawn.logits.std():.2f}  gap {drawn.gap if drawn.gap is None else format(drawn.gap, '.1e')}")
    print("   ", facts["difference_after_a_mistake"])


def write_directory(folder, name, why, drawn, dtype, packages=None, **more):
    """What a Hugging Face directory of weights of its own has beside them: logits, and where they come from. dtype: what weights
    are stored as, and what was computed; packages: that took part beside those of all."""
    drawn.logits.astype("<f4").tofile(os.path.join(folder, "logits.f32"))
    facts = {"script": f"tools/oracle/{os.path.basename(sys.argv[0])}", "model": name, "why": why, "seed": drawn.seed,
             "judge": f"Hugging Face transformers {transformers.__version__}, {type(drawn.net).__name__}", "dtype": dtype,
             "packages": {"torch": torch.__version__, "transformers": transformers.__version__, **(packages or {}),
                          "numpy": np.__version__},
             **more, "tokens": len(drawn.ids), "n_vocab": drawn.logits.shape[1], "smallest_routing_gap": drawn.gap,
             "logits_std": float(drawn.logits.std()), "logits_max": float(np.abs(drawn.logits).max())}
    with open(os.path.join(folder, "provenance.json"), "w") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")


def main(usage, models, make):
    """make(out, name, model, number) for each model, or for those that the command line names."""
    if len(sys.argv) < 2:
        sys.exit(usage)
    for number, (name, model) in enumerate(models.items()):
        if not sys.argv[2:] or name in sys.argv[2:]:
            make(sys.argv[1], name, model, number)
