"""The names of `jax.tree_util`: the functions of `tree` as `tree_map` and so on, and the registration of node types.

Base room. A type is registered once, before its values are used in a tree; registering is thread-safe.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from funcgrad import tree
from funcgrad.treedef import PyTreeDef as PyTreeDef
from funcgrad.treedef import make_treedef
from funcgrad.treekind import DictKey as DictKey
from funcgrad.treekind import FlattenedIndexKey as FlattenedIndexKey
from funcgrad.treekind import GetAttrKey as GetAttrKey
from funcgrad.treekind import KeyEntry as KeyEntry
from funcgrad.treekind import KeyPath as KeyPath
from funcgrad.treekind import NodeKind, index_keys, kind_of_type, register_kind
from funcgrad.treekind import SequenceKey as SequenceKey
from funcgrad.treekind import keystr as keystr

tree_all = tree.all
tree_broadcast = tree.broadcast
tree_flatten = tree.flatten
tree_flatten_with_path = tree.flatten_with_path
tree_leaves = tree.leaves
tree_leaves_with_path = tree.leaves_with_path
tree_map = tree.map
tree_map_with_path = tree.map_with_path
tree_reduce = tree.reduce
tree_reduce_associative = tree.reduce_associative
tree_structure = tree.structure
tree_transpose = tree.transpose
tree_unflatten = tree.unflatten

T = TypeVar("T", bound=type)
Flatten = Callable[[Any], tuple[Iterable[Any], Any]]
Unflatten = Callable[[Any, Any], Any]


def _taken_apart(flatten_func: Flatten, node: Any) -> tuple[tuple[Any, ...], Any]:
    """`flatten_func(node)` as (tuple of children, aux); TypeError where it is no such pair."""
    pair = flatten_func(node)
    if type(pair) is not tuple or len(pair) != 2:
        raise TypeError(
            f"the flatten function of {type(node).__name__} must return a pair (children, aux_data), got {pair!r:.200}."
        )
    children, aux = pair
    return tuple(children), aux


def register_pytree_node(
    nodetype: type,
    flatten_func: Flatten,
    unflatten_func: Unflatten,
    flatten_with_keys_func: Flatten | None = None,
) -> None:
    """Make `nodetype` a container of pytrees; subclasses of it are not registered with it.

    `flatten_func(node)` gives (children, aux): an iterable of subtrees, and hashable static data.
    `unflatten_func(aux, children)` makes the node again from a tuple of children. `flatten_with_keys_func(node)` gives
    ((key, child) pairs, aux) and names the children in key paths. ValueError for a type that is registered already.
    """
    named = (("flatten_func", flatten_func), ("unflatten_func", unflatten_func))
    for name, value in (*named, ("flatten_with_keys_func", flatten_with_keys_func or flatten_func)):
        if not callable(value):
            raise TypeError(f"register_pytree_node: {name} must be a function, got {value!r}.")
    if not isinstance(nodetype, type):
        raise TypeError(f"register_pytree_node: nodetype must be a class, got {nodetype!r}.")

    def keys(aux: Any, count: int, node: Any) -> Sequence[KeyEntry]:
        if node is None or flatten_with_keys_func is None:
            return index_keys(aux, count, node)
        return [key for key, _ in _taken_apart(flatten_with_keys_func, node)[0]]

    register_kind(
        NodeKind(
            nodetype,
            lambda node: _taken_apart(flatten_func, node),
            lambda aux, children: unflatten_func(aux, tuple(children)),
            keys,
        )
    )


def register_pytree_with_keys(
    nodetype: type, flatten_with_keys: Flatten, unflatten_func: Unflatten, flatten_func: Flatten | None = None
) -> None:
    """As `register_pytree_node`, from a function that gives ((key, child) pairs, aux).

    `flatten_func`, when given, must give the same children in the same order, without the keys; it is only for speed.
    """

    def without_keys(node: Any) -> tuple[list[Any], Any]:
        pairs, aux = _taken_apart(flatten_with_keys, node)
        return [child for _, child in pairs], aux

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_node_class(cls: T) -> T:
    """A class decorator: registers by the methods `tree_flatten(self)` and (class) `tree_unflatten(aux, children)`."""
    register_pytree_node(cls, lambda node: node.tree_flatten(), _method(cls, "tree_unflatten"))
    return cls


def register_pytree_with_keys_class(cls: T) -> T:
    """As `register_pytree_node_class`, by `tree_flatten_with_keys(self)` (and `tree_flatten`, when there is one)."""
    flatten = getattr(cls, "tree_flatten", None)
    _method(cls, "tree_flatten_with_keys")
    register_pytree_with_keys(cls, lambda node: node.tree_flatten_with_keys(), _method(cls, "tree_unflatten"), flatten)
    return cls


def _method(cls: Any, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] | None = getattr(cls, name, None)
    if method is None:
        raise TypeError(f"{cls.__name__} has no method {name}, by which it is registered as a pytree node; define it.")
    return method


def register_dataclass(
    nodetype: T,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> T:
    """Make a dataclass a container of pytrees; usable as a decorator. Returns `nodetype`.

    Its fields are children, but for those of `meta_fields` (or marked `tree.static()`), which are static data: hashable
    and compared. Fields in `drop_fields` are left out, and take their defaults. For a class that is no dataclass both
    lists are needed, and its constructor must take them as keywords. ValueError where fields are missing or unknown.
    """
    name = nodetype.__name__
    if (data_fields is None) != (meta_fields is None):
        raise TypeError(
            f"register_dataclass({name}): give both data_fields and meta_fields or neither, "
            f"got data_fields={data_fields!r}, meta_fields={meta_fields!r}."
        )
    if dataclasses.is_dataclass(nodetype):
        fields = [f for f in dataclasses.fields(nodetype) if f.init and f.name not in drop_fields]
        if data_fields is None or meta_fields is None:
            data_fields = [f.name for f in fields if not f.metadata.get("static", False)]
            meta_fields = [f.name for f in fields if f.metadata.get("static", False)]
        _check_fields(name, {f.name for f in fields}, {*data_fields, *meta_fields})
    elif data_fields is None or meta_fields is None:
        raise TypeError(f"register_dataclass: {name} is no dataclass; give data_fields and meta_fields.")
    register_kind(_dataclass_kind(nodetype, tuple(data_fields), tuple(meta_fields)))
    return nodetype


def _check_fields(name: str, wanted: set[str], given: set[str]) -> None:
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    if missing:
        raise ValueError(
            f"register_dataclass({name}): the fields {missing} are in neither data_fields nor meta_fields; "
            "add them to one, or to drop_fields."
        )
    if unknown:
        raise ValueError(f"register_dataclass({name}): {unknown} are no fields of its __init__, or in drop_fields too.")


def _dataclass_kind(cls: type, data: tuple[str, ...], meta: tuple[str, ...]) -> NodeKind:
    keys = [GetAttrKey(name) for name in data]
    names = data + meta
    return NodeKind(
        cls,
        lambda node: ([getattr(node, name) for name in data], tuple([getattr(node, name) for name in meta])),
        lambda aux, children: cls(**dict(zip(names, (*children, *aux), strict=True))),
        lambda aux, count, node: keys,
    )


def register_static(cls: T) -> T:
    """A class decorator: values of `cls` (hashable, comparable) are static data, a node without children."""
    register_pytree_node(cls, lambda node: ((), node), lambda node, children: node)
    return cls


def is_tree_node(typ: type) -> bool:
    """Whether values of that type are containers of pytrees."""
    return kind_of_type(typ) is not None


def all_leaves(iterable: Iterable[Any], is_leaf: tree.IsLeaf = None) -> bool:
    """Whether every element of `iterable` is a leaf (None is not, unless `is_leaf` says so)."""
    return all((is_leaf is not None and is_leaf(x)) or kind_of_type(type(x)) is None for x in iterable)


def flatten_one_level(tree: Any) -> tuple[Iterable[Any], Hashable]:
    """(children, aux) of the root; ValueError for a leaf. The aux of a named tuple is its class."""
    kind = kind_of_type(type(tree))
    if kind is None:
        raise ValueError(f"flatten_one_level: expected a pytree node, got a leaf of type {type(tree).__name__}.")
    children, aux = kind.flatten(tree)
    return tuple(children), aux


def flatten_one_level_with_keys(tree: Any) -> tuple[Iterable[tuple[KeyEntry, Any]], Hashable]:
    """((key, child) pairs, aux) of the root; ValueError for a leaf."""
    children, aux = flatten_one_level(tree)
    kind, children = kind_of_type(type(tree)), tuple(children)
    keys = () if kind is None else kind.keys(aux, len(children), tree)
    return tuple(zip(keys, children, strict=True)), aux


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether the structure is one node: a leaf, None, or an empty container."""
    return treedef.num_nodes == 1


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures of the children of the root."""
    return treedef.children()


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple of trees of those structures; TypeError for anything else."""
    children = tuple(treedefs)
    for i, child in enumerate(children):
        if type(child) is not PyTreeDef:
            raise TypeError(f"treedef_tuple: element {i} must be a PyTreeDef, got {type(child).__name__}.")
    return make_treedef((tuple, None), children)


def build_tree(treedef: PyTreeDef, xs: Any) -> Any:
    """The tree of structure `treedef` from nested iterables `xs`, one iterable of children for each node.

    ValueError where an iterable has not as many elements as its node has children.
    """
    data = treedef.node_data()
    if data is None:
        return xs
    below, parts = treedef.children(), list(xs)
    if len(parts) != len(below):
        raise ValueError(f"build_tree: expected {len(below)} children for {treedef}, got {len(parts)}.")
    children = [build_tree(child, part) for child, part in zip(below, parts, strict=True)]
    one_level = make_treedef(data, [tree.structure(0)] * len(below))
    return one_level.unflatten(children)


class _Whole:
    """A callable that `functools.partial` does not look into; equal and hashed as the function it holds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Whole) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)


class Partial(functools.partial):  # type: ignore[type-arg]
    """`functools.partial` as a pytree: its arguments are children, its function is static data.

    The function may itself be a partial; its arguments then stay static.
    """

    def __new__(cls, func: Callable[..., Any], /, *args: Any, **keywords: Any) -> "Partial":
        # functools.partial would take over the arguments of an inner partial, and they would become children.
        whole = _Whole(func) if isinstance(func, functools.partial) else func
        return functools.partial.__new__(cls, whole, *args, **keywords)


register_pytree_node(
    Partial,
    lambda p: ((p.args, p.keywords), p.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
)
