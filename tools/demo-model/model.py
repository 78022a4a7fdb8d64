"""model.py - the demo model in PyTorch: a Qwen3-MoE shaped transformer over a plain dictionary of weights.

Job: hold the shape, make the first weights, run the forward pass, and round weights the way the shipped file will.
Weights are named and laid out as in the GGUF file (rows are outputs, the last axis is the input), so that
export and evaluation need no table of names. Master weights are float32; the forward pass casts them to the compute type.
"""
import dataclasses
import math

import torch
import torch.nn.functional as F


@dataclasses.dataclass
class Shape:
    n_layer: int = 12
    d_model: int = 256
    n_head: int = 8
    n_kv_head: int = 4
    d_head: int = 64
    n_expert: int = 32
    n_expert_used: int = 4
    d_ffn: int = 96
    n_vocab: int = 8192
    n_ctx: int = 1024
    rope_base: float = 10000.0
    norm_eps: float = 1e-6
    expert_type: str = "Q4_0"  # of the file
    matrix_type: str = "Q8_0"


# For tables of what fewer bits cost: unrounded, every row a whole number of blocks of 256, twice the context.
LARGER = Shape(d_model=512, n_expert=24, d_ffn=256, n_ctx=2048, expert_type="BF16", matrix_type="BF16")
TINY = Shape(n_layer=2, d_model=64, n_head=2, n_kv_head=1, d_head=32, n_expert=8, n_expert_used=2, d_ffn=32, n_ctx=64)


LAYER_WEIGHTS = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_q_norm", "attn_k_norm", "attn_output",
                 "ffn_norm", "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")


def weight_shapes(shape):
    """Every weight's name and dimensions, in the order in which the file holds them."""
    q_width, kv_width = shape.n_head * shape.d_head, shape.n_kv_head * shape.d_head
    per_layer = {
        "attn_norm": (shape.d_model,),
        "attn_q": (q_width, shape.d_model),
        "attn_k": (kv_width, shape.d_model),
        "attn_v": (kv_width, shape.d_model),
        "attn_q_norm": (shape.d_head,),
        "attn_k_norm": (shape.d_head,),
        "attn_output": (shape.d_model, q_width),
        "ffn_norm": (shape.d_model,),
        "ffn_gate_inp": (shape.n_expert, shape.d_model),
        "ffn_gate_exps": (shape.n_expert, shape.d_ffn, shape.d_model),
        "ffn_up_exps": (shape.n_expert, shape.d_ffn, shape.d_model),
        "ffn_down_exps": (shape.n_expert, shape.d_model, shape.d_ffn),
    }
    names = {"token_embd.weight": (shape.n_vocab, shape.d_model)}
    for layer in range(shape.n_layer):
        for name in LAYER_WEIGHTS:
            names[f"blk.{layer}.{name}.weight"] = per_layer[name]
    names["output_norm.weight"] = (shape.d_model,)
    return names


def is_matrix(name):
    """True for the weights that decay and that the shipped file rounds; norms and routers stay float32."""
    return not ("norm" in name or "ffn_gate_inp" in name)


def file_format(name, shape):
    """The number format of one weight in the shipped file."""
    if not is_matrix(name):
        return "F32"
    return shape.expert_type if "_exps" in name else shape.matrix_type


def first_weights(shape, device, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, dims in weight_shapes(shape).items():
        if "norm" in name:
            value = torch.ones(dims)
        else:
            value = torch.randn(dims, generator=generator) * 0.02
            if "attn_output" in name or "ffn_down_exps" in name:
                value /= math.sqrt(2 * shape.n_layer)
        weights[name] = value.to(device).requires_grad_()
    return weights


def round_to_file(weight, kind):
    """What the shipped file will hold for this weight, as float32. Blocks of 32 along the row, scale in float16."""
    if kind == "BF16":
        return weight.bfloat16().float()
    blocks = weight.reshape(-1, 32)
    if kind == "Q4_0":
        extreme = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = extreme / -8
        low, high, offset = 0, 15, 8
    else:
        scale = blocks.abs().amax(1, keepdim=True) / 127
        low, high, offset = -127, 127, 0
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    steps = torch.floor(blocks * inverse + offset + 0.5).clamp(low, high) - offset
    return (steps * scale.half().float()).reshape(weight.shape)


def cast_weights(weights, dtype, rounded, shape):
    """The weights that the forward pass uses. With rounded, gradients pass straight through the rounding."""
    used = {}
    for name, weight in weights.items():
        kind = file_format(name, shape)
        if rounded and kind != "F32":
            weight = weight + (round_to_file(weight.detach(), kind) - weight).detach()
        used[name] = weight if kind == "F32" else weight.to(dtype)
    return used


def rope_tables(shape, length, device):
    inverse = shape.rope_base ** (-torch.arange(0, shape.d_head, 2, device=device, dtype=torch.float64) / shape.d_head)
    angle = torch.arange(length, device=device, dtype=torch.float64)[:, None] * inverse[None]
    return angle.cos().float(), angle.sin().float()


def rms_norm(x, weight, eps):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rotate(x, cos, sin):
    """Rotary position, halves paired: dimension i turns with dimension i + d_head / 2. x is batch, length, head, d_head."""
    first, second = x.float().chunk(2, -1)
    cos, sin = cos[None, :, None], sin[None, :, None]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


class _Spread(torch.autograd.Function):
    """Row t of x goes to its k places in expert order; the gradient is gathered back, never scattered."""

    @staticmethod
    def forward(ctx, x, order, inverse, n_used):
        ctx.save_for_backward(inverse)
        ctx.n_used = n_used
        return x[order // n_used]

    @staticmethod
    def backward(ctx, gradient):
        (inverse,) = ctx.saved_tensors
        back = gradient[inverse].view(-1, ctx.n_used, gradient.shape[-1])
        return back.float().sum(1).to(gradient.dtype), None, None, None


class _Unsort(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, order, inverse):
        ctx.save_for_backward(order)
        return y[inverse]

    @staticmethod
    def backward(ctx, gradient):
        (order,) = ctx.saved_tensors
        return gradient[order], None, None


def grouped(x, weight, ends):
    """Rows of x, sorted by expert, times each expert's own matrix (weight is expert, out, in)."""
    if x.is_cuda and x.dtype == torch.bfloat16:
        return torch._grouped_mm(x, weight.transpose(1, 2), offs=ends)
    parts, start = [], 0
    for expert, end in enumerate(ends.tolist()):
        parts.append(x[start:end] @ weight[expert].T)
        start = end
    return torch.cat(parts)


def experts(x, router, gate_up, down, n_used):
    """x is tokens, d_model. Returns the mixture, the balance loss and the chosen experts."""
    n_expert = router.shape[0]
    share = F.softmax(F.linear(x.float(), router), -1)
    top, chosen = share.topk(n_used, -1)
    top = top / top.sum(-1, keepdim=True)

    flat = chosen.reshape(-1)
    order = torch.sort(flat, stable=True).indices
    inverse = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))
    count = (flat[:, None] == torch.arange(n_expert, device=flat.device)[None]).sum(0)
    ends = count.cumsum(0).to(torch.int32)

    sorted_x = _Spread.apply(x, order, inverse, n_used)
    gate, up = grouped(sorted_x, gate_up, ends).chunk(2, -1)
    y = _Unsort.apply(grouped(F.silu(gate) * up, down, ends), order, inverse)
    y = (y.view(-1, n_used, y.shape[-1]).float() * top[..., None]).sum(1).to(x.dtype)

    used = count.float() / flat.numel()
    balance = n_expert * (used * share.mean(0)).sum()
    return y, balance, chosen


def maybe_drop(x, drop):
    return F.dropout(x, drop) if drop > 0 else x


def block(x, cos, sin, eps, n_used, drop, attn_norm, q, k, v, q_norm, k_norm, o, ffn_norm, router, gate_up, down):
    """One layer. A free function over tensors, so that one compiled graph serves every layer."""
    batch, length, d_model = x.shape
    d_head = q_norm.shape[0]
    h = rms_norm(x, attn_norm, eps)
    heads = [F.linear(h, w).view(batch, length, -1, d_head) for w in (q, k, v)]
    query = rotate(rms_norm(heads[0], q_norm, eps), cos, sin).transpose(1, 2)
    key = rotate(rms_norm(heads[1], k_norm, eps), cos, sin).transpose(1, 2)
    mixed = F.scaled_dot_product_attention(query, key, heads[2].transpose(1, 2), is_causal=True, enable_gqa=True)
    x = x + maybe_drop(F.linear(mixed.transpose(1, 2).reshape(batch, length, -1), o), drop)
    h = rms_norm(x, ffn_norm, eps).view(batch * length, d_model)
    y, balance, chosen = experts(h, router, gate_up, down, n_used)
    return x + maybe_drop(y.view(batch, length, d_model), drop), balance, chosen


def head_loss(x, norm, embedding, targets, eps):
    logits = F.linear(rms_norm(x, norm, eps), embedding).float()
    return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1), reduction="none").view(targets.shape)


class Runner:
    """The forward pass over one shape; block and head are compiled when asked."""

    def __init__(self, shape, device, compiled=False, length=0):
        self.shape = shape
        self.cos, self.sin = rope_tables(shape, max(length, shape.n_ctx), device)
        self.block = torch.compile(block, dynamic=False) if compiled else block
        self.head = torch.compile(head_loss, dynamic=False) if compiled else head_loss

    def layers(self, used, tokens, drop=0.0):
        """Hidden state after the last layer, mean balance loss, experts chosen per layer."""
        shape = self.shape
        length = tokens.shape[1]
        x = F.embedding(tokens, used["token_embd.weight"])
        x = maybe_drop(x, drop)
        balances, chosen = [], []
        for layer in range(shape.n_layer):
            w = {name: used[f"blk.{layer}.{name}.weight"] for name in LAYER_WEIGHTS}
            gate_up = torch.cat((w["ffn_gate_exps"], w["ffn_up_exps"]), 1)
            x, balance, picks = self.block(
                x, self.cos[:length], self.sin[:length], shape.norm_eps, shape.n_expert_used, drop, w["attn_norm"],
                w["attn_q"], w["attn_k"], w["attn_v"], w["attn_q_norm"], w["attn_k_norm"], w["attn_output"],
                w["ffn_norm"], w["ffn_gate_inp"], gate_up, w["ffn_down_exps"])
            balances.append(balance)
            chosen.append(picks)
        return x, torch.stack(balances).mean(), chosen

    def losses(self, used, tokens, targets, drop=0.0):
        """Loss of each position in nats, mean balance loss, experts chosen per layer."""
        x, balance, chosen = self.layers(used, tokens, drop)
        loss = self.head(x, used["output_norm.weight"], used["token_embd.weight"], targets, self.shape.norm_eps)
        return loss, balance, chosen
