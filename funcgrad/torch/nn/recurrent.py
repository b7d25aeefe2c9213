"""Recurrent layers: RNN, LSTM, GRU, their cells, and packed sequences. A layer's loop over time is one scan."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad import nn as pure
from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn import init
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter
from funcgrad.torch.nn.utils import rnn as packing
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.creation import empty, zeros
from funcgrad.torch.ops.joining import cat, stack
from funcgrad.torch.tensor import Tensor

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _cell(mode: str, gates: Any, hidden: Any, carry: Any) -> tuple[Any, Any]:
    """(new carry, output) from the gates of the input and of the hidden state."""
    if mode == "LSTM":
        i, f, g, o = fnp.split(gates + hidden, 4, axis=-1)
        c = pure.sigmoid(f) * carry[1] + pure.sigmoid(i) * fnp.tanh(g)
        h = pure.sigmoid(o) * fnp.tanh(c)
        return (h, c), h
    if mode == "GRU":
        ir, iz, in_ = fnp.split(gates, 3, axis=-1)
        hr, hz, hn = fnp.split(hidden, 3, axis=-1)
        r, z = pure.sigmoid(ir + hr), pure.sigmoid(iz + hz)
        h = (1 - z) * fnp.tanh(in_ + r * hn) + z * carry[0]
        return (h,), h
    total = gates + hidden
    h = fnp.tanh(total) if mode == "RNN_TANH" else fnp.where(total > 0, total, 0)
    return (h,), h


@operation("RnnLayerBackward0", method=False)
def rnn_layer(
    input: Operand,
    h0: Operand,
    c0: Operand,
    w_ih: Operand,
    w_hh: Operand,
    b_ih: Operand,
    b_hh: Operand,
    w_hr: Operand,
    lengths: Operand,
    mode: str,
    reverse: bool,
) -> Any:
    """One direction of one layer: (T, N, in) gives outputs (T, N, H) and the last state(s).

    Beyond its length a sequence rests.
    """
    gates = fnp.matmul(input, w_ih.T)
    gates = gates if b_ih is None else gates + b_ih
    first = (h0,) if c0 is None else (h0, c0)

    def step(carry: Any, given: Any) -> Any:
        t, x = given
        hidden = fnp.matmul(carry[0], w_hh.T)
        hidden = hidden if b_hh is None else hidden + b_hh
        new, out = _cell(mode, x, hidden, carry)
        if w_hr is not None:
            out = fnp.matmul(out, w_hr.T)
            new = (out, *new[1:])
        if lengths is not None:
            live = (t < lengths)[:, None]
            new = tuple(fnp.where(live, a, b) for a, b in zip(new, carry, strict=True))
            out = fnp.where(live, out, 0)
        return new, out

    last, outs = lax.scan(step, first, (fnp.arange(input.shape[0]), gates), reverse=reverse)
    return (outs, *last)


class RNNBase(Module):
    """Base of RNN, LSTM and GRU: layers and directions, with PyTorch's names of weights."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        Module.__init__(self)
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        rows = GATES[mode] * hidden_size
        out = proj_size or hidden_size
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: 1 + bidirectional]:
                width = input_size if layer == 0 else out * (1 + bidirectional)
                name = f"l{layer}{suffix}"
                setattr(self, f"weight_ih_{name}", Parameter(empty(rows, width, dtype=dtype)))
                setattr(self, f"weight_hh_{name}", Parameter(empty(rows, out, dtype=dtype)))
                if bias:
                    setattr(self, f"bias_ih_{name}", Parameter(empty(rows, dtype=dtype)))
                    setattr(self, f"bias_hh_{name}", Parameter(empty(rows, dtype=dtype)))
                if proj_size:
                    setattr(self, f"weight_hr_{name}", Parameter(empty(proj_size, hidden_size, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begins anew: uniform by the hidden size."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: weights need no special place in memory here."""

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [f"proj_size={self.proj_size}"] if self.proj_size else []
        parts += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        parts += ["bias=False"] if not self.bias else []
        parts += ["batch_first=True"] if self.batch_first else []
        parts += [f"dropout={self.dropout}"] if self.dropout else []
        return ", ".join(parts + (["bidirectional=True"] if self.bidirectional else []))

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(outputs, last states). Inputs (T, N, in), (N, T, in) with batch_first, (T, in) without a batch, or packed."""
        packed = isinstance(input, packing.PackedSequence)
        lengths: Any = None
        order: Any = None
        if packed:
            x, lengths = packing.pad_packed_sequence(input)
            order = input
            batched = True
        else:
            x = input
            if x.ndim not in (2, 3):
                raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {x.ndim}D tensor instead")
            batched = x.ndim == 3
            x = x if batched else x.unsqueeze(1)
            x = x.transpose(0, 1) if self.batch_first and batched else x
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )
        states = self._first_states(x, hx, batched)
        out, last = self._layers(x, states, lengths)
        final = last if batched else tuple(s.squeeze(1) for s in last)
        if packed:
            out = packing.repack(out, order)
        else:
            out = out if batched else out.squeeze(1)
            out = out.transpose(0, 1) if self.batch_first and batched else out
        return out, (final if self.mode == "LSTM" else final[0])

    def _first_states(self, x: Any, hx: Any, batched: bool) -> tuple[Any, ...]:
        count = self.num_layers * (1 + self.bidirectional)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        if hx is None:
            return tuple(zeros(count, x.shape[1], n, dtype=x.dtype) for n in sizes)
        given = hx if isinstance(hx, (tuple, list)) else (hx,)
        found = tuple(h if batched else h.unsqueeze(1) for h in given)
        for h, n in zip(found, sizes, strict=True):
            if tuple(h.shape) != (count, x.shape[1], n):
                raise RuntimeError(f"Expected hidden size {(count, x.shape[1], n)}, got {list(h.shape)}")
        return found

    def _layers(self, x: Any, states: Any, lengths: Any) -> tuple[Any, tuple[Any, ...]]:
        finals: list[list[Any]] = [[] for _ in states]
        number = 0
        for layer in range(self.num_layers):
            outs = []
            for suffix in ("", "_reverse")[: 1 + self.bidirectional]:
                name = f"l{layer}{suffix}"
                weights = [
                    getattr(self, f"{k}_{name}", None)
                    for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                ]
                c0 = states[1][number] if len(states) == 2 else None
                out, *last = rnn_layer(x, states[0][number], c0, *weights, lengths, self.mode, bool(suffix))
                outs.append(out)
                for kept, s in zip(finals, last, strict=True):
                    kept.append(s)
                number += 1
            x = outs[0] if len(outs) == 1 else cat(outs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack(kept) for kept in finals)


class RNN(RNNBase):
    """Elman's network: h = tanh(W x + b + U h + b')."""

    def __init__(self, *args: Any, **kwargs: Any):
        nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if len(args) > 3:
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.__dict__["nonlinearity"] = nonlinearity
        RNNBase.__init__(self, "RNN_" + nonlinearity.upper(), *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997); gates in the order i, f, g, o."""

    def __init__(self, *args: Any, **kwargs: Any):
        RNNBase.__init__(self, "LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014); gates in the order r, z, n."""

    def __init__(self, *args: Any, **kwargs: Any):
        if kwargs.get("proj_size"):
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        RNNBase.__init__(self, "GRU", *args, **kwargs)


# ---- cells ----


@operation("RnnCellBackward0", method=False)
def cell_step(
    input: Operand, h: Operand, c: Operand, w_ih: Operand, w_hh: Operand, b_ih: Operand, b_hh: Operand, mode: str
) -> Any:
    """One step of a cell: the new state(s)."""
    gates, hidden = fnp.matmul(input, w_ih.T), fnp.matmul(h, w_hh.T)
    if b_ih is not None:
        gates, hidden = gates + b_ih, hidden + b_hh
    new, _ = _cell(mode, gates, hidden, (h,) if c is None else (h, c))
    return new


class RNNCellBase(Module):
    """Base of the cells; `mode` says which."""

    mode: str

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        Module.__init__(self)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = GATES[self.mode] * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype))
        self.register_parameter("bias_ih", Parameter(empty(rows, dtype=dtype)) if bias else None)
        self.register_parameter("bias_hh", Parameter(empty(rows, dtype=dtype)) if bias else None)
        bound = 1.0 / math.sqrt(hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _run(self, input: Any, h: Any, c: Any) -> tuple[Any, ...]:
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        given = [s if s is None or batched else s.unsqueeze(0) for s in (h, c)]
        zero = zeros(x.shape[0], self.hidden_size, dtype=x.dtype)
        first = zero if given[0] is None else given[0]
        second = None if self.mode != "LSTM" else zero if given[1] is None else given[1]
        found = cell_step(x, first, second, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.mode)
        return tuple(s if batched else s.squeeze(0) for s in found)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return self._run(input, hx, None)[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of an RNN."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
                 dtype: Any = None):  # fmt: skip
        self.__dict__["mode"] = "RNN_" + nonlinearity.upper()
        RNNCellBase.__init__(self, input_size, hidden_size, bias, device, dtype)
        self.__dict__["mode"] = "RNN_" + nonlinearity.upper()


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (h, c)."""

    mode = "LSTM"

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return self._run(input, *(hx if hx is not None else (None, None)))


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    mode = "GRU"


_ = np
