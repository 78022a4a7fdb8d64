"""hf_folder.py - Hugging Face directories for tests: a safetensors file's tensors, read, changed and written; a large model."""
import json
import os
import struct


class Tensors:
    """The tensors of a safetensors file: name to [dtype, shape, bytes], in order."""

    def __init__(self, path=None):
        self.tensors = {}
        if path is None:
            return
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            head = json.loads(file.read(length))
            data = file.read()
        for name, row in head.items():
            if name != "__metadata__":
                begin, end = row["data_offsets"]
                self.tensors[name] = [row["dtype"], row["shape"], data[begin:end]]

    def widen(self, name, rows):
        """So many rows of a matrix: those that it has, again and again."""
        dtype, shape, data = self.tensors[name]
        row_bytes = len(data) // shape[0]
        times = -(-rows // shape[0])
        self.tensors[name] = [dtype, [rows, *shape[1:]], (data * times)[:rows * row_bytes]]

    def write(self, path):
        head, at = {}, 0
        for name, (dtype, shape, data) in self.tensors.items():
            head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(head).encode()
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in self.tensors.values():
                file.write(data)


def bf16_rows(rows, cols, seed):
    """A matrix of small values, few of which are the same."""
    row = b"".join(struct.pack("<H", 0x3c00 + (seed * 7919 + 31 * col) % 512 + 0x8000 * (col % 3 == 0)) for col in range(cols + 64))
    return b"".join(row[2 * (at % 64):2 * (at % 64 + cols)] for at in range(rows))


def write_large(folder, like, n_expert=64, d_model=512, d_ffn=512, n_layer=2):
    """A directory of family qwen3_moe in BF16, some 100 MB a layer, with the configuration and the tokenizer of another one."""
    os.makedirs(folder)
    for name in ("tokenizer.json", "generation_config.json"):
        with open(os.path.join(like, name), "rb") as source, open(os.path.join(folder, name), "wb") as out:
            out.write(source.read())
    with open(os.path.join(like, "config.json")) as file:
        config = json.load(file)
    config.update(hidden_size=d_model, moe_intermediate_size=d_ffn, intermediate_size=d_ffn, num_hidden_layers=n_layer, head_dim=64,
                  num_local_experts=n_expert, num_experts_per_tok=4, num_attention_heads=8, num_key_value_heads=2)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    weight_map, n_vocab = {}, config["vocab_size"]
    one = struct.pack("<H", 0x3f80)
    blocks = {shape: [bf16_rows(*shape, seed) for seed in (1, 2, 3)] for shape in
              ((d_ffn, d_model), (d_model, d_ffn), (512, d_model), (128, d_model), (d_model, 512), (n_vocab, d_model), (n_expert, d_model))}

    def add(tensors, name, rows, cols):
        tensors.tensors[name] = ["BF16", [rows, cols], blocks[rows, cols][len(tensors.tensors) % 3]]

    for layer in range(n_layer):
        tensors, file_name = Tensors(), f"model-{layer + 1:05}-of-{n_layer:05}.safetensors"
        if layer == 0:
            add(tensors, "model.embed_tokens.weight", n_vocab, d_model)
            add(tensors, "lm_head.weight", n_vocab, d_model)
            tensors.tensors["model.norm.weight"] = ["BF16", [d_model], one * d_model]
        at = f"model.layers.{layer}."
        for name, size in (("input_layernorm", d_model), ("post_attention_layernorm", d_model), ("self_attn.q_norm", 64),
                           ("self_attn.k_norm", 64)):
            tensors.tensors[f"{at}{name}.weight"] = ["BF16", [size], one * size]
        for name, rows, cols in (("q", 512, d_model), ("k", 128, d_model), ("v", 128, d_model), ("o", d_model, 512)):
            add(tensors, f"{at}self_attn.{name}_proj.weight", rows, cols)
        add(tensors, f"{at}mlp.gate.weight", n_expert, d_model)
        for expert in range(n_expert):
            for name, rows, cols in (("gate", d_ffn, d_model), ("up", d_ffn, d_model), ("down", d_model, d_ffn)):
                add(tensors, f"{at}mlp.experts.{expert}.{name}_proj.weight", rows, cols)
        tensors.write(os.path.join(folder, file_name))
        weight_map.update({name: file_name for name in tensors.tensors})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file)
