"""Order statistics and covariance: median, percentile, quantile and their nan forms, cov, corrcoef.

A quantile is a mix of two order statistics; each of these passes its derivative in even shares to the values equal to
it (PyTorch's rule for ties).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.shaping import floats, refuse
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_in_dim, conj, convert, imag, real, reduce_sum, reshape, transpose
from funcgrad.ops.dot import dot_general
from funcgrad.ops.shape import concatenate
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.ops.statistics import QUANTILE_METHODS, quantile_parts

Axis = int | tuple[int, ...] | None


def _attach(value: Any, x: Any) -> Any:
    """Order statistics (..., m) of x (..., n) with their derivative: shared evenly by the equal values of x."""
    shape = (*type_of(value).shape, type_of(x).shape[-1])
    lead = len(shape) - 2
    wide = broadcast_in_dim(x, shape=shape, dims=(*range(lead), lead + 1))
    still = stop_gradient_op(wide)
    hit = e.eq(still, broadcast_in_dim(value, shape=shape, dims=tuple(range(lead + 1))))
    moved = reduce_sum(e.select(hit & e.is_finite(still), wide - still, 0.0), axes=(lead + 1,))
    count = reduce_sum(convert(hit, type_of(x).dtype), axes=(lead + 1,))
    return value + moved / e.maximum(count, 1)


def _quantile(name: str, a: Any, q: Any, axis: Axis, method: str, keepdims: bool, ignore_nan: bool) -> Any:
    if type(q) is Tracer:
        raise TypeError(f"funcgrad.numpy.{name} needs levels that are known when it is traced; mark q static in jit.")
    if method not in QUANTILE_METHODS:
        raise ValueError(f"funcgrad.numpy.{name} of a traced array has methods {QUANTILE_METHODS}, got {method!r}.")
    a = array_operand(a)
    kind = type_of(a)
    level = np.asarray(q)
    if level.size and not (level.min() >= 0 and level.max() <= 1):
        raise ValueError(
            f"funcgrad.numpy.{name} takes levels between 0 and {100 if 'percent' in name else 1}, got {q}."
        )
    axes = tuple(range(kind.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, kind.ndim)
    kept = tuple(i for i in range(kind.ndim) if i not in axes)
    lead = tuple(kind.shape[i] for i in kept)
    n = int(np.prod([kind.shape[i] for i in axes], dtype=int))
    if n == 0:
        raise ValueError(f"funcgrad.numpy.{name} was asked of {kind}, which has no values along axis {axis}.")
    line = reshape(transpose(a, permutation=(*kept, *axes)), shape=(*lead, n))
    levels = tuple(float(v) for v in level.ravel())
    low, high, share = quantile_parts(stop_gradient_op(line), levels=levels, method=method, ignore_nan=ignore_nan)
    out = _mix(low, high, share, line, method, kind.dtype if np.isscalar(q) else np.result_type(kind.dtype, level))
    front = len(lead)
    out = transpose(out, permutation=(front, *range(front)))
    ends = tuple(1 if i in axes else m for i, m in enumerate(kind.shape)) if keepdims else lead
    return reshape(out, shape=(*level.shape, *ends))


def _mix(low: Any, high: Any, share: Any, line: Any, method: str, wanted: np.dtype) -> Any:
    real = type_of(line).dtype.kind == "f"
    if method in ("lower", "higher", "nearest", "inverted_cdf"):
        value = high if method == "inverted_cdf" else low
        if method == "inverted_cdf":
            value = e.select(share > 0, high, low)
        return _attach(value, line) if real else value
    dtype = wanted if wanted.kind == "f" else np.dtype(float)
    low, high = (convert(_attach(v, line) if real else v, dtype) for v in (low, high))
    share = convert(share, dtype)
    step = high - low
    # NumPy's own order of rounding; equal infinities have no difference.
    mixed = e.select(share >= 0.5, high - step * (1 - share), low + step * share)
    return e.select(e.eq(low, high), low, mixed)


def _check(name: str, out: Any, weights: Any = None) -> None:
    refuse(name, out=out, weights=weights)


@implements(np.quantile)
def quantile(a: Any, q: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
             keepdims: bool = False, *, weights: Any = None) -> Any:  # fmt: skip
    """Quantiles of `a` at levels q in [0, 1] along axes, of shape (*q.shape, *rest); NumPy's methods.

    Traced: q must be known, `method` not "closest_observation", no out= or weights=; else TypeError or ValueError.
    """
    _check("quantile", out, weights)
    return _quantile("quantile", a, q, axis, method, keepdims, False)


@implements(np.nanquantile)
def nanquantile(a: Any, q: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False,
                method: str = "linear", keepdims: bool = False, *, weights: Any = None) -> Any:  # fmt: skip
    """As `quantile`, of the values that are not nan; nan where there are none."""
    _check("nanquantile", out, weights)
    return _quantile("nanquantile", a, q, axis, method, keepdims, True)


def _percent(name: str, q: Any) -> Any:
    if type(q) is Tracer:
        raise TypeError(f"funcgrad.numpy.{name} needs levels that are known when it is traced; mark q static in jit.")
    return np.true_divide(q, 100)


@implements(np.percentile)
def percentile(a: Any, q: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False,
               method: str = "linear", keepdims: bool = False, *, weights: Any = None) -> Any:  # fmt: skip
    """As `quantile`, with levels in [0, 100]."""
    _check("percentile", out, weights)
    return _quantile("percentile", a, _percent("percentile", q), axis, method, keepdims, False)


@implements(np.nanpercentile)
def nanpercentile(a: Any, q: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False,
                  method: str = "linear", keepdims: bool = False, *, weights: Any = None) -> Any:  # fmt: skip
    """As `nanquantile`, with levels in [0, 100]."""
    _check("nanpercentile", out, weights)
    return _quantile("nanpercentile", a, _percent("nanpercentile", q), axis, method, keepdims, True)


@implements(np.median)
def median(a: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The median along axes (the mean of the two middle values of an even number); nan if any value is nan."""
    _check("median", out)
    return _quantile("median", a, 0.5, axis, "linear", keepdims, False)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The median of the values that are not nan; nan where there are none."""
    _check("nanmedian", out)
    return _quantile("nanmedian", a, 0.5, axis, "linear", bool(keepdims), True)


# ---- covariance ----


def _rows(m: Any, rowvar: bool) -> Any:
    m = floats(m)
    kind = type_of(m)
    if kind.ndim > 2:
        raise ValueError(f"funcgrad.numpy.cov takes arrays of at most 2 axes, got {kind}.")
    if kind.ndim < 2:
        return reshape(m, shape=(1, kind.size))
    return m if rowvar or kind.shape[0] == 1 else transpose(m, permutation=(1, 0))


@implements(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:  # fmt: skip
    """The covariance matrix of variables in rows (columns if not rowvar); 0-d for one variable.

    fweights (integers) and aweights weigh the observations. Raises ValueError for more than 2 axes.
    """
    x = _rows(m, rowvar)
    if y is not None:
        x = concatenate(x, _rows(y, rowvar), axis=0)
    x = x if dtype is None else convert(x, dtype)
    kind = type_of(x)
    weights = [floats(w) for w in (fweights, aweights) if w is not None]
    ddof = (0 if bias else 1) if ddof is None else ddof
    w = np.ones(kind.shape[1]) if not weights else weights[0] if len(weights) == 1 else weights[0] * weights[1]
    total = reduce_sum(w, axes=(0,))
    used = total
    if aweights is not None and ddof:
        used = reduce_sum(w * floats(aweights), axes=(0,)) / total
    norm = total - ddof * (used if aweights is not None else 1)
    row = convert(w, kind.dtype)
    mean = reduce_sum(x * row, axes=(1,)) / convert(total, kind.dtype)
    centred = x - reshape(mean, shape=(kind.shape[0], 1))
    other = conj(centred) if kind.dtype.kind == "c" else centred
    out = dot_general(centred * row, other, dims=(((1,), (1,)), ((), ()))) / convert(norm, kind.dtype)
    return reshape(out, shape=()) if kind.shape[0] == 1 else out


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The matrix of correlation coefficients of variables in rows (columns if not rowvar); 1.0 for one variable."""
    c = cov(x, y, rowvar, dtype=dtype)
    n = type_of(c).shape[0] if type_of(c).ndim else 1
    square = reshape(c, shape=(n, n))
    deviation = e.sqrt(real(reduce_sum(square * np.eye(n), axes=(1,))))
    out = square / reshape(deviation, shape=(n, 1)) / reshape(deviation, shape=(1, n))
    if type_of(out).dtype.kind == "c":
        out = e.make_complex(e.clamp(real(out), -1.0, 1.0), e.clamp(imag(out), -1.0, 1.0))
    else:
        out = e.clamp(out, -1.0, 1.0)
    return reshape(out, shape=()) if n == 1 else out
