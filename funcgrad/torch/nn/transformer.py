"""Attention and transformers as modules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn import init
from funcgrad.torch.nn.containers import ModuleList
from funcgrad.torch.nn.images import LayerNorm
from funcgrad.torch.nn.layers import Dropout, Linear
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter
from funcgrad.torch.ops.creation import empty, zeros
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.tensor import Tensor, make


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that PyTorch's attention prints."""


class MultiheadAttention(Module):
    """Attention with several heads (Vaswani et al., 2017)."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
                 add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
                 device: Any = None, dtype: Any = None):  # fmt: skip
        Module.__init__(self)
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.head_dim = embed_dim // num_heads
        assert self.head_dim * num_heads == embed_dim, "embed_dim must be divisible by num_heads"
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        for name, shape in {
            "in_proj_weight": (3 * embed_dim, embed_dim),
            "q_proj_weight": (embed_dim, embed_dim),
            "k_proj_weight": (embed_dim, self.kdim),
            "v_proj_weight": (embed_dim, self.vdim),
        }.items():
            needed = (name == "in_proj_weight") == self._qkv_same_embed_dim
            self.register_parameter(name, Parameter(empty(*shape, dtype=dtype)) if needed else None)
            if needed:
                init.xavier_uniform_(getattr(self, name))
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, dtype=dtype)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, dtype=dtype)
        if bias:
            init.zeros_(self.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None)
            if add_bias_kv:
                init.xavier_normal_(getattr(self, name))
        self.add_zero_attn = add_zero_attn

    def _projected(self, query: Any, key: Any, value: Any) -> list[Any]:
        bias = self.in_proj_bias
        parts = [None] * 3 if bias is None else bias.chunk(3)
        if self._qkv_same_embed_dim:
            if query is key and key is value:
                return list(F.linear(query, self.in_proj_weight, bias).chunk(3, -1))
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, parts, strict=True)]

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """(outputs, attention weights or None). Shapes (L, N, E), (N, L, E) with batch_first, (L, E) without a batch."""
        batched = query.ndim == 3
        same = query is key and key is value
        if not batched:
            query = query.unsqueeze(1)
            key, value = (query, query) if same else (key.unsqueeze(1), value.unsqueeze(1))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        # Learnt keys stand behind the sequence: they are for tensors that begin with it.
        first = batched and self.batch_first and self.bias_k is None
        if batched and self.batch_first and not first:
            query = query.transpose(0, 1)
            key, value = (query, query) if same else (key.transpose(0, 1), value.transpose(0, 1))
        if is_causal and attn_mask is None:
            raise RuntimeError("need attn_mask if specifying the is_causal hint.")
        batch, length = query.shape[:2] if first else query.shape[1::-1]
        q, k, v = self._projected(query, key, value)
        if self.bias_k is not None:
            k, v = cat([k, self.bias_k.repeat(1, batch, 1)]), cat([v, self.bias_v.repeat(1, batch, 1)])
        order = (0, 2, 1, 3) if first else (1, 2, 0, 3)
        heads = [x.reshape(*x.shape[:2], self.num_heads, self.head_dim).permute(order) for x in (q, k, v)]
        if self.add_zero_attn:
            nothing = zeros(batch, self.num_heads, 1, self.head_dim, dtype=query.dtype)
            heads = [heads[0], cat([heads[1], nothing], 2), cat([heads[2], nothing], 2)]
        mask = self._mask(attn_mask, key_padding_mask, heads, query.dtype)
        out, weights = self._attend(heads, mask, need_weights)
        shape = (batch, length, self.embed_dim) if first else (length, batch, self.embed_dim)
        out = self.out_proj(out.permute((0, 2, 1, 3) if first else (2, 0, 1, 3)).reshape(shape))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(1), None if weights is None else weights.squeeze(0)
        return (out.transpose(0, 1) if self.batch_first and not first else out), weights

    def _attend(self, heads: Any, mask: Any, need_weights: bool) -> tuple[Any, Any]:
        q, k, v = heads
        p = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, p), None
        scores = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
        weights = F.softmax(scores if mask is None else scores + mask, -1)
        return F.dropout(weights, p) @ v, weights

    def _mask(self, attn_mask: Any, padding: Any, heads: Any, kind: Any) -> Any:
        """Both masks as one that is added to the scores."""
        found = None
        extra = heads[1].shape[2]
        if attn_mask is not None:
            found = _added(attn_mask, kind)
            if found.ndim == 3:
                found = found.reshape(-1, self.num_heads, *found.shape[1:])
        if padding is not None:
            hidden = _added(padding, kind)[:, None, None, :]
            found = hidden if found is None else found + hidden
        if found is not None and found.shape[-1] < extra:
            found = F.pad(found, (0, extra - found.shape[-1]))
        return found


def _added(mask: Any, kind: Any) -> Any:
    if mask._array.dtype != np.bool_:
        return mask.to(kind)
    return zeros(*mask.shape, dtype=kind).masked_fill(mask, float("-inf"))  # type: ignore[attr-defined]


def _activation(activation: Any) -> Callable[[Any], Any]:
    if callable(activation):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


class TransformerEncoderLayer(Module):
    """Self-attention and two linear layers, each with a residual connection and a layer norm."""

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = "relu",
                 layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
                 device: Any = None, dtype: Any = None):  # fmt: skip
        Module.__init__(self)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        if self.norm_first:
            src = src + self._attended(self.norm1(src), src_mask, src_key_padding_mask)
            return src + self._fed(self.norm2(src))
        src = self.norm1(src + self._attended(src, src_mask, src_key_padding_mask))
        return self.norm2(src + self._fed(src))

    def _attended(self, x: Any, mask: Any, padding: Any) -> Any:
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask)[0])

    def _fed(self, x: Any) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, and two linear layers."""

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = "relu",
                 layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
                 device: Any = None, dtype: Any = None):  # fmt: skip
        Module.__init__(self)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(3)
        )
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        def own(x: Any) -> Any:
            return self.dropout1(self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask)[0])

        def other(x: Any) -> Any:
            return self.dropout2(self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask)[0])

        def fed(x: Any) -> Any:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            tgt = tgt + own(self.norm1(tgt))
            tgt = tgt + other(self.norm2(tgt))
            return tgt + fed(self.norm3(tgt))
        tgt = self.norm1(tgt + own(tgt))
        tgt = self.norm2(tgt + other(tgt))
        return self.norm3(tgt + fed(tgt))


class TransformerEncoder(Module):
    """A stack of copies of an encoder layer."""

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Any = None, enable_nested_tensor: bool = True,
                 mask_check: bool = True):  # fmt: skip
        Module.__init__(self)
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: Any = None) -> Any:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of copies of a decoder layer."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Any = None):
        Module.__init__(self)
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: Any = None,
        memory_is_causal: bool = False,
    ) -> Any:
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder (Vaswani et al., 2017)."""

    def __init__(self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
                 dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = "relu", custom_encoder: Any = None,
                 custom_decoder: Any = None, layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False,
                 bias: bool = True, device: Any = None, dtype: Any = None):  # fmt: skip
        Module.__init__(self)
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        final = lambda: LayerNorm(d_model, layer_norm_eps, bias=bias)  # noqa: E731
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings), num_encoder_layers, final()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings), num_decoder_layers, final()
        )
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
                src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
                src_is_causal: Any = None, tgt_is_causal: Any = None, memory_is_causal: bool = False) -> Any:  # fmt: skip
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """-inf above the diagonal, 0 elsewhere."""
        return make(np.triu(np.full((sz, sz), -np.inf, np.float32), 1))
