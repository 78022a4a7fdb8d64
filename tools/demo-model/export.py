"""export.py - write trained weights and their tokenizer as a stock GGUF file (architecture qwen3moe), and read one back."""
import json

import gguf
import numpy as np
import torch

import model
import text

SPECIAL, ORDINARY = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)


def write(path, weights, shape, tokenizer_path, name="weir demo", description=""):
    """weights: name to float32 tensor. Rounds as model.file_format says and writes every key that llama.cpp asks for."""
    writer = gguf.GGUFWriter(path, "qwen3moe")
    writer.add_name(name)
    writer.add_description(description)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{shape.expert_type}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(shape.n_layer)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.d_model)
    # There is no dense layer; the key must still be there and divides evenly over the experts in use.
    writer.add_feed_forward_length(shape.d_ffn * shape.n_expert_used)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_kv_head)
    writer.add_key_length(shape.d_head)
    writer.add_value_length(shape.d_head)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_expert_count(shape.n_expert)
    writer.add_expert_used_count(shape.n_expert_used)
    writer.add_expert_feed_forward_length(shape.d_ffn)
    add_tokenizer(writer, tokenizer_path, shape.n_vocab)
    for weight_name in model.weight_shapes(shape):
        data = weights[weight_name].detach().float().cpu().numpy()
        kind = gguf.GGMLQuantizationType[model.file_format(weight_name, shape)]
        if kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(weight_name, data)
        else:
            writer.add_tensor(weight_name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, tokenizer_path, n_vocab):
    with open(tokenizer_path, encoding="utf-8") as file:
        bpe = json.load(file)["model"]
    by_id = {index: token for token, index in bpe["vocab"].items()}
    # A small corpus may not fill the vocabulary; the ids that are left are named and never produced.
    tokens = [by_id.get(index, f"[unused{index}]") for index in range(n_vocab)]
    kinds = [int(gguf.TokenType.UNUSED) if index not in by_id else ORDINARY for index in range(n_vocab)]
    end = bpe["vocab"][text.END]
    kinds[end] = SPECIAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def read(path):
    """Shape and float32 weights of a file that write() made, decoded from the bytes in it."""
    reader = gguf.GGUFReader(path)
    get = {key: field.contents() for key, field in reader.fields.items()}
    prefix = "qwen3moe."
    shape = model.Shape(
        n_layer=get[prefix + "block_count"], d_model=get[prefix + "embedding_length"],
        n_head=get[prefix + "attention.head_count"], n_kv_head=get[prefix + "attention.head_count_kv"],
        d_head=get[prefix + "attention.key_length"], n_expert=get[prefix + "expert_count"],
        n_expert_used=get[prefix + "expert_used_count"], d_ffn=get[prefix + "expert_feed_forward_length"],
        n_vocab=len(get["tokenizer.ggml.tokens"]), n_ctx=get[prefix + "context_length"],
        rope_base=get[prefix + "rope.freq_base"], norm_eps=get[prefix + "attention.layer_norm_rms_epsilon"])
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[tensor.name] = torch.from_numpy(np.array(values, dtype=np.float32))
    return shape, weights
