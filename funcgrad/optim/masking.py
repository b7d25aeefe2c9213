"""Transformations of a part of the parameters: `masked`, and `multi_transform` with one for each label."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    with_extra_args_support,
)


class MaskedNode(NamedTuple):
    """Stands, as a node without leaves, where a parameter is masked out."""


class MaskedState(NamedTuple):
    """The state of the inner transformation, over the chosen parameters."""

    inner_state: Any


class PartitionState(NamedTuple):
    """The states of all inner transformations, by label."""

    inner_states: OrderedDict[Hashable, MaskedState]


def masked(inner: GradientTransformation, mask: Any) -> GradientTransformationExtraArgs:
    """Applies `inner` where the mask is true and leaves other updates as they are.

    mask: a tree of Python booleans that is a prefix of the parameters', or a function that makes one of a tree like the
    parameters. Raises TypeError for a mask with other leaves.
    """
    part = with_extra_args_support(inner)

    def mask_of(values: Any) -> Any:
        found = mask(values) if callable(mask) else mask
        for path, leaf in tree.leaves_with_path(found):
            if not isinstance(leaf, bool):
                raise TypeError(f"masked: the mask must have Python booleans as leaves, got {leaf!r} at "
                                f"{tree.keystr(path) or 'the root'}.")  # fmt: skip
        return found

    def chosen(mask: Any, values: Any) -> Any:
        return None if values is None else tree.map(lambda m, v: v if m else MaskedNode(), mask, values)

    def init(params: Any) -> MaskedState:
        return MaskedState(part.init(chosen(mask_of(params), params)))

    def update(updates: Any, state: MaskedState, params: Any = None, **extra: Any) -> tuple[Any, MaskedState]:
        where = mask_of(updates)
        new, inner_state = part.update(chosen(where, updates), state.inner_state, chosen(where, params), **extra)
        return tree.map(lambda m, n, u: n if m else u, where, new, updates), MaskedState(inner_state)

    return GradientTransformationExtraArgs(init, update)


def multi_transform(
    transforms: Mapping[Hashable, GradientTransformation], param_labels: Any
) -> GradientTransformationExtraArgs:
    """Applies to each parameter the transformation of its label.

    param_labels: a tree of labels that is a prefix of the parameters', or a function that makes one of a tree like the
    parameters. Raises ValueError for a label without a transformation.
    """

    def labels_of(values: Any) -> Any:
        found = param_labels(values) if callable(param_labels) else param_labels
        for path, label in tree.leaves_with_path(found):
            if label not in transforms:
                raise ValueError(
                    f"multi_transform: no transformation for the label {label!r} at {tree.keystr(path) or 'the root'}; "
                    f"there are {', '.join(map(repr, transforms))}."
                )
        return found

    def part(label: Hashable, labels: Any) -> GradientTransformationExtraArgs:
        return masked(transforms[label], tree.map(lambda found: found == label, labels))

    def init(params: Any) -> PartitionState:
        labels = labels_of(params)
        # an ordered dict, whose keys need not compare with each other to be a tree
        return PartitionState(OrderedDict((label, part(label, labels).init(params)) for label in transforms))

    def update(updates: Any, state: PartitionState, params: Any = None, **extra: Any) -> tuple[Any, PartitionState]:
        labels, states = labels_of(updates), OrderedDict()
        for label in transforms:
            updates, states[label] = part(label, labels).update(updates, state.inner_states[label], params, **extra)
        return updates, PartitionState(states)

    return GradientTransformationExtraArgs(init, update)
