"""The text of tensors, as PyTorch prints them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.torch import dtypes
from funcgrad.torch.tensor import Tensor


class _Options:
    precision = 4
    threshold = 1000.0
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


options = _Options()
_PROFILES = {
    "default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80),
}  # fmt: skip


def set_printoptions(precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
                     linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None) -> None:  # fmt: skip
    """Sets how tensors print; profile "default", "short" or "full" sets all at once."""
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"profile must be one of {sorted(_PROFILES)}, got {profile!r}")
        options.precision, options.threshold, options.edgeitems, options.linewidth = _PROFILES[profile]
    for name, value in {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }.items():
        if value is not None:
            setattr(options, name, value)
    options.sci_mode = sci_mode


class _Formatter:
    """How the elements of one tensor print: width, and whether as integers or with exponents."""

    def __init__(self, values: np.ndarray):
        self.floating = values.dtype.kind == "f"
        self.whole, self.scientific, self.width = True, False, 1
        if not self.floating:
            self.width = max([len(str(v)) for v in _spelled(values)] or [1])
            return
        shown = values[np.isfinite(values) & (values != 0)].astype(np.float64)
        if not shown.size:
            return
        size = np.abs(shown)
        top, low = size.max(), size.min()
        self.whole = bool((shown == np.ceil(shown)).all())
        digits = options.precision
        wild = top / low > 1000.0 or top > 1.0e8
        if self.whole:
            self.scientific = wild if options.sci_mode is None else options.sci_mode
            self.scientific = (
                self.scientific if options.sci_mode is not None else bool(top / low > 1000.0 or top > 1.0e8)
            )
            texts = [f"{v:.{digits}e}" if self.scientific else f"{v:.0f}" for v in shown]
            self.width = max(len(t) for t in texts) + (0 if self.scientific else 1)
        else:
            auto = wild or low < 1.0e-4
            self.scientific = bool(auto) if options.sci_mode is None else options.sci_mode
            texts = [f"{v:.{digits}e}" if self.scientific else f"{v:.{digits}f}" for v in shown]
            self.width = max(len(t) for t in texts)

    def plain(self, value: Any) -> str:
        """The text of one element, without padding."""
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{options.precision}e}"
        if self.whole:
            text = f"{value:.0f}"
            return text + "." if math.isfinite(value) else text
        return f"{value:.{options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self.plain(value).rjust(self.width)


def _spelled(values: np.ndarray) -> list[Any]:
    return values.reshape(-1).tolist()


def _vector(x: np.ndarray, indent: int, summarize: bool, format: Any, width: int) -> str:
    per_line = max(1, math.floor((options.linewidth - indent) / (width + 2)))
    values = x.tolist()
    if summarize and not options.edgeitems:
        texts = ["..."]
    elif summarize and len(values) > 2 * options.edgeitems:
        texts = (
            [format(v) for v in values[: options.edgeitems]]
            + [" ..."]
            + [format(v) for v in values[-options.edgeitems :]]
        )
    else:
        texts = [format(v) for v in values]
    lines = [texts[i : i + per_line] for i in range(0, len(texts), per_line)]
    return "[" + ("," + "\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _nested(x: np.ndarray, indent: int, summarize: bool, format: Any, width: int) -> str:
    if x.ndim == 0:
        return format(x.item())
    if x.ndim == 1:
        return _vector(x, indent, summarize, format, width)
    if summarize and len(x) > 2 * options.edgeitems:
        e = options.edgeitems
        parts = [_nested(x[i], indent + 1, summarize, format, width) for i in range(e)] + ["..."]
        parts += [_nested(x[i], indent + 1, summarize, format, width) for i in range(len(x) - e, len(x))]
    else:
        parts = [_nested(row, indent + 1, summarize, format, width) for row in x]
    return "[" + ("," + "\n" * (x.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _edges(x: np.ndarray) -> np.ndarray:
    """The elements that are shown of a summarized tensor."""
    e = options.edgeitems
    if x.ndim == 0:
        return x
    if len(x) > 2 * e:
        rows = [_edges(r) for r in (*x[:e], *x[-e:])] if x.ndim > 1 else [np.concatenate([x[:e], x[-e:]])]
    else:
        rows = [_edges(r) for r in x] if x.ndim > 1 else [x]
    return np.concatenate([np.ravel(r) for r in rows]) if rows else x


def _complex_format(x: np.ndarray) -> tuple[Any, int]:
    real, imag = _Formatter(np.real(x).reshape(-1)), _Formatter(np.imag(x).reshape(-1))

    def format(value: complex) -> str:
        a, b = real(value.real), imag.plain(value.imag)
        b = b.rjust(imag.width)
        sign = "" if b.strip().startswith("-") else "+"
        return f"{a}{sign}{b.lstrip() if sign else b.strip()}j"

    return format, real.width + imag.width + 1


def contents(x: np.ndarray, indent: int) -> str:
    """The nested lists of a tensor's text."""
    summarize = x.size > options.threshold
    shown = _edges(x).reshape(-1) if summarize else x.reshape(-1)
    if x.dtype.kind == "c":
        format, width = _complex_format(shown)
    else:
        formatter = _Formatter(shown)
        format, width = formatter, formatter.width
    return _nested(x, indent, summarize, format, width)


def text(tensor: Tensor) -> str:
    """The text of a tensor: values, dtype where it is not the default, and its place in the graph."""
    array = tensor._array
    suffixes = []
    prefix = "tensor("
    kind = tensor.dtype
    usual = kind in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_) or kind is dtypes.default_complex()
    if type(array) is Tracer:
        body = f"<traced {array.type}>"
    elif array.size == 0:
        body = "[]"
        if array.ndim != 1:
            suffixes.append(f"size={tuple(array.shape)}")
        usual = kind is dtypes.get_default_dtype()
    else:
        body = contents(array, len(prefix))
    if not usual:
        suffixes.append(f"dtype={kind}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.title}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + body, suffixes, len(prefix))


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    last = len(text) - text.rfind("\n") + 1
    found = text
    for suffix in suffixes:
        if last + len(suffix) + 2 > options.linewidth:
            found += ",\n" + " " * indent + suffix
            last = indent + len(suffix)
        else:
            found += ", " + suffix
            last += len(suffix) + 2
    return found + ")"


def _format(self: Tensor, spec: str) -> str:
    return format(self.item(), spec) if self.ndim == 0 and type(self) is Tensor else object.__format__(self, spec)


setattr(Tensor, "__repr__", text)  # noqa: B010
setattr(Tensor, "__format__", _format)  # noqa: B010
