"""Pytrees: the functions of `jax.tree`, under its names (`tree.map`, `tree.flatten`, ...). Base room.

A pytree is a nest of containers (tuple, list, dict, OrderedDict, defaultdict, deque, named tuple, None, and every type
registered through `tree_util`) with anything else as a leaf. Dicts are taken in the order of their sorted keys.
How it works: one walk gathers the leaves and a flat *signature* of the structure, and the `PyTreeDef` of a signature is
kept, so that a warm call makes none, and its hash and its comparison with an earlier one cost nothing.
"""

import builtins
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.treedef import LEAF, describe, describe_def, flatten_up_to, path_text, same_aux
from funcgrad.treedef import PyTreeDef as PyTreeDef
from funcgrad.treekind import LEAF_TYPES, KeyPath, NodeKind, kind_of_type
from funcgrad.treekind import keystr as keystr

IsLeaf = Callable[[Any], bool] | None

_all_strings = frozenset({str}).issuperset
_all_leaves = LEAF_TYPES.issuperset
_kept: dict[tuple[Any, ...], PyTreeDef] = {}
_MOST_KEPT = 4096
_MISSING: Any = object()


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], PyTreeDef]:
    """The leaves of `tree`, in order, and its structure. `is_leaf(node) -> bool` stops the walk at a node."""
    if is_leaf is None and type(tree) in LEAF_TYPES:
        return [tree], LEAF
    leaves: list[Any] = []
    signature: list[Any] = []
    if is_leaf is not None:
        _walk_until(tree, is_leaf, leaves, signature)
        return leaves, _treedef(signature)
    kind = kind_of_type(type(tree))
    if kind is None:
        return [tree], LEAF
    _walk(kind, tree, leaves, signature)
    return leaves, _treedef(signature)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of `tree`, in order."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeDef:
    """The structure of `tree`."""
    return flatten(tree, is_leaf)[1]


def unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of structure `treedef` with `leaves`; ValueError where they are too few or too many."""
    return _checked(treedef, "unflatten").unflatten(leaves)


def _head(kind: NodeKind, aux: Any, count: int, signature: list[Any]) -> None:
    # Only data of which equal means identical may be kept (1 == True, but they are not the same key); any other goes
    # into a list, which makes the signature unhashable, so that its structure is built anew.
    same = kind.plain or (type(aux) is tuple and _all_strings(builtins.map(type, aux)))
    signature += (kind, aux if same else [aux], count)


def _walk(kind: NodeKind, node: Any, leaves: list[Any], signature: list[Any]) -> None:
    """Append the leaves of a node, and to the signature its row, its aux, and its count (or ~count and no more, if
    all children are leaves), and then for each child None (a leaf) or its own signature.
    """
    children, aux = kind.flatten(node)
    if _all_leaves(builtins.map(type, children)):
        _head(kind, aux, ~len(children), signature)
        leaves += children
        return
    _head(kind, aux, len(children), signature)
    for child in children:
        below = kind_of_type(type(child))
        if below is None:
            leaves.append(child)
            signature.append(None)
        else:
            _walk(below, child, leaves, signature)


def _walk_until(node: Any, is_leaf: Callable[[Any], bool], leaves: list[Any], signature: list[Any]) -> None:
    kind = kind_of_type(type(node))
    if is_leaf(node) or kind is None:
        leaves.append(node)
        signature.append(None)
        return
    children, aux = kind.flatten(node)
    _head(kind, aux, len(children), signature)
    for child in children:
        _walk_until(child, is_leaf, leaves, signature)


def _walk_paths(
    node: Any, path: KeyPath, stop: Callable[[KeyPath, Any], bool], found: list[Any], signature: list[Any]
) -> None:
    kind = kind_of_type(type(node))
    if stop(path, node) or kind is None:
        found.append((path, node))
        signature.append(None)
        return
    children, aux = kind.flatten(node)
    _head(kind, aux, len(children), signature)
    for key, child in zip(kind.keys(aux, len(children), node), children, strict=True):
        _walk_paths(child, (*path, key), stop, found, signature)


def _treedef(signature: list[Any]) -> PyTreeDef:
    """The structure that a signature spells, the same object for the same signature where it may be kept."""
    key = tuple(signature)
    try:
        treedef = _kept.get(key)
    except TypeError:
        return _spelled(key, 0)[0]
    if treedef is None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        treedef = _kept[key] = _spelled(key, 0)[0]
    return treedef


def _spelled(signature: tuple[Any, ...], at: int) -> tuple[PyTreeDef, int]:
    kind = signature[at]
    if kind is None:
        return LEAF, at + 1
    aux, count = signature[at + 1], signature[at + 2]
    at += 3
    if type(aux) is list:
        aux = aux[0]
    if count < 0:
        return PyTreeDef(kind, aux, (LEAF,) * ~count), at
    children = []
    for _ in range(count):
        child, at = _spelled(signature, at)
        children.append(child)
    return PyTreeDef(kind, aux, tuple(children)), at


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree of `f(leaf, *parts)` for each leaf of `tree` and the parts of the `rest` at the same place.

    Each of `rest` has the structure of `tree` or goes deeper; ValueError that names the path where one does not.
    """
    values, treedef = flatten(tree, is_leaf)
    if not rest:
        return treedef.unflatten([f(value) for value in values])
    columns = [flatten_up_to(treedef, other, "tree.map", i) for i, other in enumerate(rest, 2)]
    return treedef.unflatten([f(*row) for row in zip(values, *columns, strict=True)])


def _stop(is_leaf: Callable[..., bool] | None, takes_path: bool) -> Callable[[KeyPath, Any], bool]:
    if is_leaf is None:
        return lambda path, node: False
    return is_leaf if takes_path else lambda path, node: is_leaf(node)


def flatten_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], PyTreeDef]:
    """The pairs (key path, leaf) of `tree`, and its structure; `is_leaf` may take (path, node)."""
    found: list[tuple[KeyPath, Any]] = []
    signature: list[Any] = []
    _walk_paths(tree, (), _stop(is_leaf, is_leaf_takes_path), found, signature)
    return found, _treedef(signature)


def leaves_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """The pairs (key path, leaf) of `tree`."""
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[..., bool] | None = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """As `map`, with `f(path, leaf, *parts)`."""
    pairs, treedef = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    columns = [flatten_up_to(treedef, other, "tree.map_with_path", i) for i, other in enumerate(rest, 2)]
    return treedef.unflatten([f(*pair, *row) for pair, *row in zip(pairs, *columns, strict=True)])


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether every leaf is true; True of a tree without leaves."""
    return builtins.all(leaves(tree, is_leaf))


def reduce(function: Callable[[Any, Any], Any], tree: Any, initializer: Any = _MISSING, is_leaf: IsLeaf = None) -> Any:
    """`functools.reduce` over the leaves; TypeError for no leaves and no initializer."""
    values = leaves(tree, is_leaf)
    if initializer is not _MISSING:
        return functools.reduce(function, values, initializer)
    if not values:
        raise TypeError("tree.reduce of a tree without leaves; give it an initializer.")
    return functools.reduce(function, values)


def reduce_associative(
    operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = _MISSING, is_leaf: IsLeaf = None
) -> Any:
    """The leaves combined pairwise in a balanced tree; `identity` is the answer for no leaves (else TypeError)."""
    values = leaves(tree, is_leaf)
    if values:
        return _balanced(operation, values)
    if identity is _MISSING:
        raise TypeError("tree.reduce_associative of a tree without leaves; give it an identity.")
    return identity


def _balanced(operation: Callable[[Any, Any], Any], values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return operation(_balanced(operation, values[:middle]), _balanced(operation, values[middle:]))


def transpose(outer_treedef: PyTreeDef, inner_treedef: PyTreeDef | None, pytree_to_transpose: Any) -> Any:
    """From an `outer` tree of `inner` trees to an `inner` tree of `outer` trees.

    `inner_treedef=None` takes it from the first inner tree. TypeError where the numbers of leaves do not fit.
    """
    _checked(outer_treedef, "transpose")
    values, treedef = flatten(pytree_to_transpose)
    if inner_treedef is None:
        parts = outer_treedef.flatten_up_to(pytree_to_transpose)
        if not parts:
            raise TypeError(
                "tree.transpose: the outer tree has no leaves to take inner_treedef from; give inner_treedef."
            )
        inner_treedef = structure(parts[0])
    rows, columns = outer_treedef.num_leaves, _checked(inner_treedef, "transpose").num_leaves
    if treedef.num_leaves != rows * columns:
        raise TypeError(
            f"tree.transpose: expected a tree of {rows} x {columns} leaves, {outer_treedef.compose(inner_treedef)}, "
            f"got one of {treedef.num_leaves}, {treedef}."
        )
    return inner_treedef.unflatten([outer_treedef.unflatten(values[i::columns]) for i in range(columns)])


def broadcast_prefix(prefix_tree: Any, full_treedef: PyTreeDef, is_leaf: IsLeaf = None) -> list[Any]:
    """One value for each leaf of `full_treedef`: each leaf of `prefix_tree` repeated for all leaves below its place.

    None in the prefix is an empty node, unless `is_leaf` says it is a leaf. ValueError that names the path where
    the prefix has a node that the full tree has not.
    """
    found: list[Any] = []
    _spread(prefix_tree, _checked(full_treedef, "broadcast_prefix"), (), is_leaf, found)
    return found


def _spread(prefix: Any, full: PyTreeDef, path: KeyPath, is_leaf: IsLeaf, found: list[Any]) -> None:
    kind = kind_of_type(type(prefix))
    if kind is None or (is_leaf is not None and is_leaf(prefix)):
        found.extend([prefix] * full.num_leaves)
        return
    children, aux = kind.flatten(prefix)
    below = full._children
    if kind is not full._kind or len(children) != len(below) or not same_aux(kind, aux, full._aux):
        raise ValueError(
            f"tree prefix mismatch at {path_text(path)}: the prefix has {describe(prefix)}, "
            f"the full tree has {describe_def(full)}; a prefix may end earlier than the full tree, but not differ."
        )
    for key, child, sub in zip(kind.keys(aux, len(children), prefix), children, below, strict=True):
        _spread(child, sub, (*path, key), is_leaf, found)


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree of `full_tree`'s structure with the leaves of its prefix `prefix_tree` repeated below their places."""
    treedef = structure(full_tree, is_leaf)
    return treedef.unflatten(broadcast_prefix(prefix_tree, treedef, is_leaf))


def static(**kwargs: Any) -> Any:
    """`dataclasses.field(**kwargs)` for a field that `tree_util.register_dataclass` takes as static data."""
    return dataclasses.field(**{**kwargs, "metadata": {**(kwargs.get("metadata") or {}), "static": True}})


def _checked(treedef: PyTreeDef, who: str) -> PyTreeDef:
    if type(treedef) is not PyTreeDef:
        raise TypeError(f"tree.{who}: expected a PyTreeDef (from tree.structure), got {type(treedef).__name__}.")
    return treedef
