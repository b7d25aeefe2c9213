"""Twins of the views that copy: `view_copy`, `permute_copy`, ...; and splits whose parts may be written in place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.torch.ops import shapes, views
from funcgrad.torch.tensor import Tensor

Function = Callable[..., Any]


def _copied(view: Function, name: str) -> Function:
    """A function that copies what a view shows."""

    @functools.wraps(view)
    def function(*args: Any, **kwargs: Any) -> Any:
        found = view(*args, **kwargs)
        return [t.clone() for t in found] if isinstance(found, (tuple, list)) else found.clone()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `{name.removesuffix('_copy').removeprefix('unsafe_')}`, but a copy."
    return function


alias_copy = _copied(views.detach, "alias_copy")
as_strided_copy = _copied(shapes.as_strided, "as_strided_copy")
detach_copy = _copied(views.detach, "detach_copy")
diagonal_copy = _copied(shapes.diagonal, "diagonal_copy")
expand_copy = _copied(views.expand, "expand_copy")
narrow_copy = _copied(shapes.narrow, "narrow_copy")
permute_copy = _copied(shapes.permute, "permute_copy")
select_copy = _copied(shapes.select, "select_copy")
split_copy = _copied(shapes.split, "split_copy")
split_with_sizes_copy = _copied(shapes.split, "split_with_sizes_copy")
squeeze_copy = _copied(shapes.squeeze, "squeeze_copy")
t_copy = _copied(shapes.t, "t_copy")
transpose_copy = _copied(views.transpose, "transpose_copy")
unbind_copy = _copied(shapes.unbind, "unbind_copy")
unfold_copy = _copied(shapes.unfold, "unfold_copy")
unsafe_chunk = _copied(shapes.chunk, "unsafe_chunk")
unsafe_split = _copied(shapes.split, "unsafe_split")
unsafe_split_with_sizes = _copied(shapes.split, "unsafe_split_with_sizes")
unsqueeze_copy = _copied(shapes.unsqueeze, "unsqueeze_copy")
view_as_complex_copy = _copied(shapes.view_as_complex, "view_as_complex_copy")
view_as_real_copy = _copied(shapes.view_as_real, "view_as_real_copy")
view_copy = _copied(views.view, "view_copy")


def slice_copy(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    """A copy of `input[start:end:step]` along a dimension."""
    d = views.wrap_dim(dim, input.ndim)
    return input[(slice(None),) * d + (slice(start, end, step),)].clone()


for _function in (narrow_copy, unsafe_split, unsafe_chunk, unsafe_split_with_sizes):
    setattr(Tensor, _function.__name__, _function)
