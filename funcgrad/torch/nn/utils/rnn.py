"""Packed sequences: a batch of sequences of different lengths without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.torch.ops.creation import full
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.tensor import Tensor, concrete, make


class PackedSequence(NamedTuple):
    """data: the elements time by time; batch_sizes: how many sequences are alive at each time; the order by length."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def _lengths(lengths: Any) -> np.ndarray:
    return concrete(lengths, "pack") if isinstance(lengths, Tensor) else np.asarray(lengths, np.int64)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs (T, N, ...) (or (N, T, ...)) with these lengths; they must fall unless enforce_sorted is False."""
    sizes = _lengths(lengths)
    x = input.transpose(0, 1) if batch_first else input
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
                "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement."
            )
        order = None
    else:
        order = np.argsort(-sizes, kind="stable")
        x, sizes = x.index_select(1, make(order)), sizes[order]
    if sizes.min() <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    alive = np.array([(sizes > t).sum() for t in range(int(sizes.max()))], np.int64)
    data = cat([x[t, : int(n)] for t, n in enumerate(alive)], 0)
    if order is None:
        return PackedSequence(data, make(alive))
    return PackedSequence(data, make(alive), make(order), make(np.argsort(order, kind="stable")))


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Any, Any]:  # fmt: skip
    """(padded sequences, lengths): the inverse of packing."""
    alive = concrete(sequence.batch_sizes, "pad_packed_sequence")
    steps, count = len(alive), int(alive[0])
    longest = steps if total_length is None else total_length
    if longest < steps:
        raise ValueError(
            f"Expected total_length to be at least the length of the longest sequence in input, but got total_length={longest} "
            f"and max sequence length being {steps}"
        )
    starts = np.cumsum([0, *alive[:-1]])
    at = np.full((longest, count), len(sequence.data), np.int64)
    for t, n in enumerate(alive):
        at[t, :n] = starts[t] + np.arange(n)
    lengths = np.array([(alive > i).sum() for i in range(count)], np.int64)
    if sequence.unsorted_indices is not None:
        back = concrete(sequence.unsorted_indices, "pad_packed_sequence")
        at, lengths = at[:, back], lengths[back]
    rest = tuple(sequence.data.shape[1:])
    source = cat([sequence.data, full((1, *rest), padding_value, dtype=sequence.data.dtype)], 0)
    padded = source[make(at)]  # type: ignore[index]
    return (padded.transpose(0, 1) if batch_first else padded), make(lengths)


def repack(padded: Any, like: PackedSequence) -> PackedSequence:
    """Outputs (T, N, ...) packed as another packed sequence is."""
    alive = concrete(like.batch_sizes, "pack")
    x = padded if like.sorted_indices is None else padded.index_select(1, like.sorted_indices)
    return PackedSequence(cat([x[t, : int(n)] for t, n in enumerate(alive)], 0), *like[1:])


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences of different lengths as one tensor, (T, N, ...) or (N, T, ...)."""
    longest = max(len(s) for s in sequences)
    rows = []
    for s in sequences:
        fill = full((longest - len(s), *s.shape[1:]), padding_value, dtype=s.dtype)
        rows.append(cat([s, fill] if padding_side == "right" else [fill, s], 0).unsqueeze(0))  # type: ignore[attr-defined]
    found = cat(rows, 0)
    return found if batch_first else found.transpose(0, 1)  # type: ignore[attr-defined]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(x, _lengths(lengths), strict=True)]
