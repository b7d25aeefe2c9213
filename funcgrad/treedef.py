"""The structure of pytrees: `PyTreeDef`, a tree of node types with a star for each leaf, and how two trees differ.

Base room, between `treekind.py` (the node types) and `tree.py` (the functions that people call).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from funcgrad.treekind import (
    DEFAULT,
    DEQUE,
    DICT,
    LIST,
    NAMED,
    NONE,
    ORDERED,
    TUPLE,
    KeyEntry,
    KeyPath,
    NodeKind,
    keystr,
    kind_of_type,
    listed,
)


class PyTreeDef:
    """The structure of a pytree without its leaves: immutable, hashable, comparable, printable, picklable.

    Made by `tree.structure` and `tree.flatten`; prints like `PyTreeDef({'a': *, 'b': (*, *)})`.
    Final, with plain slots rather than a frozen dataclass: one is made for each node on the way of every call.
    """

    __slots__ = ("_aux", "_children", "_hash", "_kind", "_leafy", "num_leaves")

    def __init__(self, kind: NodeKind | None, aux: Any, children: tuple["PyTreeDef", ...]) -> None:
        self._kind = kind
        self._aux = aux
        self._children = children
        self._hash: int | None = None
        self._leafy = all(child is LEAF for child in children)
        self.num_leaves: int = 1 if kind is None else sum(child.num_leaves for child in children)

    @property
    def num_nodes(self) -> int:
        """How many nodes the tree has, leaves included."""
        return 1 + sum(child.num_nodes for child in self._children)

    def children(self) -> list["PyTreeDef"]:
        """The structures of the children; an empty list for a leaf."""
        return list(self._children)

    def node_data(self) -> tuple[type, Any] | None:
        """The type of the root and its static data (a dict's keys, a registered node's aux); None for a leaf."""
        if self._kind is None:
            return None
        if self._kind is NAMED:
            return self._aux, None
        return self._kind.node_type, list(self._aux) if self._kind is DICT else self._aux

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with `leaves`, in order; ValueError where they are too few or too many."""
        values = leaves if type(leaves) is list else list(leaves)
        if len(values) != self.num_leaves:
            raise ValueError(_count_text(self, len(values)))
        return _build(self, values, 0)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` at the leaves of this structure; ValueError that names the path where they differ."""
        return flatten_up_to(self, tree)

    def compose(self, inner: "PyTreeDef") -> "PyTreeDef":
        """This structure with `inner` in the place of every leaf."""
        if self._kind is None:
            return inner
        return PyTreeDef(self._kind, self._aux, tuple(child.compose(inner) for child in self._children))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, PyTreeDef):
            return NotImplemented
        return (
            self._kind is other._kind
            and self.num_leaves == other.num_leaves
            and len(self._children) == len(other._children)
            and self._kind is not None
            and same_aux(self._kind, self._aux, other._aux)
            and self._children == other._children
        )

    def __hash__(self) -> int:
        if self._hash is None:
            below: Any = self.num_leaves if self._leafy else self._children
            try:
                self._hash = hash((self._kind, self._aux, below))
            except TypeError as fault:
                raise TypeError(
                    f"the static data of {_describe(self._kind, self._aux, len(self._children))} or of a node below it "
                    f"is not hashable ({fault}); make it hashable, or make it a child (a data field)."
                ) from None
        return self._hash

    def __repr__(self) -> str:
        return f"PyTreeDef({_show(self)})"

    def __copy__(self) -> "PyTreeDef":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "PyTreeDef":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return make_treedef, (self.node_data(), self._children)


LEAF = PyTreeDef(None, None, ())


def make_treedef(node_data: tuple[type, Any] | None, children: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of that root (as `node_data` gives it) and those children; TypeError for a type that is no node."""
    if node_data is None:
        return LEAF
    cls, aux = node_data
    kind = kind_of_type(cls)
    if kind is None:
        raise TypeError(f"{cls} is not a pytree node; register it first (tree_util.register_pytree_node).")
    if kind is NAMED:
        aux = cls
    elif kind is DICT:
        aux = tuple(aux)
    return PyTreeDef(kind, aux, tuple(children))


def _build(treedef: PyTreeDef, values: list[Any], start: int) -> Any:
    kind = treedef._kind
    if kind is None:
        return values[start]
    if treedef._leafy:
        return kind.unflatten(treedef._aux, values[start : start + treedef.num_leaves])
    children = []
    for child in treedef._children:
        children.append(_build(child, values, start))
        start += child.num_leaves
    return kind.unflatten(treedef._aux, children)


class _MismatchError(Exception):
    """Two trees differ: a text, and the keys that lead there, gathered on the way up, innermost first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.keys: list[KeyEntry] = []


def flatten_up_to(treedef: PyTreeDef, tree: Any, caller: str = "", number: int = 0) -> list[Any]:
    """`treedef.flatten_up_to(tree)`; with a `caller` a mismatch says that `tree` is its tree `number`."""
    found: list[Any] = []
    try:
        _up_to(treedef, tree, found)
    except _MismatchError as fault:
        where = f" (tree {number} of {caller})" if caller else ""
        raise ValueError(f"tree mismatch at {path_text(fault.keys[::-1])}: {fault.text}{where}") from None
    return found


def path_text(keys: Iterable[KeyEntry]) -> str:
    """The key path as an error names it."""
    return keystr(tuple(keys)) or "the root"


def _up_to(treedef: PyTreeDef, tree: Any, found: list[Any]) -> None:
    if treedef._kind is None:
        found.append(tree)
        return
    children = _children_of(treedef, tree)
    if treedef._leafy:
        found.extend(children)
        return
    for i, (below, child) in enumerate(zip(treedef._children, children, strict=True)):
        try:
            _up_to(below, child, found)
        except _MismatchError as fault:
            fault.keys.append(treedef._kind.keys(treedef._aux, len(children), tree)[i])
            raise


def _children_of(treedef: PyTreeDef, tree: Any) -> Sequence[Any]:
    """The children of `tree`, whose root must be that of `treedef`; `_MismatchError` where it is not."""
    kind = kind_of_type(type(tree))
    if kind is not None and kind is treedef._kind:
        children, aux = kind.flatten(tree)
        if len(children) == len(treedef._children) and same_aux(kind, treedef._aux, aux):
            return children
    raise _MismatchError(f"expected {describe_def(treedef)}, got {describe(tree)}{_difference(treedef, tree)}")


def same_aux(kind: NodeKind, ours: Any, theirs: Any) -> bool:
    """Whether the static data of two nodes are equal; ValueError where they cannot be compared (arrays)."""
    try:
        return ours is theirs or bool(ours == theirs)
    except (ValueError, TypeError) as fault:
        raise ValueError(
            f"the static data of {kind.node_type.__name__} nodes cannot be compared ({fault}): {ours!r}, {theirs!r}; "
            "arrays belong in children (data fields), not in static data."
        ) from None


def describe(tree: Any) -> str:
    """The root of a tree in words: "a tuple of 2", "a dict with keys 'a', 'b'", "a leaf of type float"."""
    kind = kind_of_type(type(tree))
    if kind is None:
        return f"a leaf of type {type(tree).__name__}"
    children, aux = kind.flatten(tree)
    return _describe(kind, aux, len(children))


def describe_def(treedef: PyTreeDef) -> str:
    """The root of a structure in words, as `describe` has them."""
    return _describe(treedef._kind, treedef._aux, len(treedef._children))


def _describe(kind: NodeKind | None, aux: Any, count: int) -> str:
    if kind is None:
        return "a leaf"
    if kind is NONE:
        return "None (an empty node)"
    keys = _key_tuple(kind, aux)
    if keys is not None:
        name = f"a {kind.node_type.__name__}"
        factory = f"({aux[0]!r})" if kind is DEFAULT else ""
        return f"{name}{factory} with keys {listed(keys)}" if keys else f"an empty {kind.node_type.__name__}{factory}"
    if kind is NAMED:
        return f"a named tuple {aux.__name__} of {count}"
    if kind is DEQUE and aux is not None:
        return f"a deque of {count} (maxlen {aux})"
    data = "" if kind.plain or aux is None or aux == () else f" with static data {aux!r}"
    return f"a {kind.node_type.__name__} of {count}{data}"


def _key_tuple(kind: NodeKind | None, aux: Any) -> tuple[Any, ...] | None:
    if kind is DICT or kind is ORDERED:
        return tuple(aux)
    return tuple(aux[1]) if kind is DEFAULT else None


def _difference(treedef: PyTreeDef, tree: Any) -> str:
    """What to look at when two roots differ: the keys that only one has, or how to treat None."""
    kind = kind_of_type(type(tree))
    if (kind is NONE) != (treedef._kind is NONE):
        return "; pass is_leaf=lambda x: x is None to treat None as a leaf"
    if kind is not treedef._kind or kind is None:
        return ""
    ours, theirs = _key_tuple(kind, treedef._aux), _key_tuple(kind, kind.flatten(tree)[1])
    if ours is None or theirs is None:
        return ""
    missing, extra = [k for k in ours if k not in theirs], [k for k in theirs if k not in ours]
    texts = [f"missing {listed(missing)}"] * bool(missing) + [f"unexpected {listed(extra)}"] * bool(extra)
    if not texts and ours != theirs:
        texts = ["the same keys in another order"]
    return "".join(f"; {text}" for text in texts)


def leaf_paths(treedef: PyTreeDef) -> list[KeyPath]:
    """The key path of each leaf, as far as the structure alone knows the keys."""
    if treedef._kind is None:
        return [()]
    keys = treedef._kind.keys(treedef._aux, len(treedef._children), None)
    pairs = zip(keys, treedef._children, strict=True)
    return [(key, *path) for key, child in pairs for path in leaf_paths(child)]


def _count_text(treedef: PyTreeDef, count: int) -> str:
    text = f"unflatten: expected {treedef.num_leaves} leaves for {_shortened(repr(treedef))}, got {count}"
    if count < treedef.num_leaves:
        return f"{text}; the first without a value is at {path_text(leaf_paths(treedef)[count])}"
    return text


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most] + "..."


def _show(treedef: PyTreeDef) -> str:
    kind, aux = treedef._kind, treedef._aux
    if kind is None:
        return "*"
    if kind is NONE:
        return "None"
    texts = [_show(child) for child in treedef._children]
    if kind is TUPLE:
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
    row = f"[{', '.join(texts)}]"
    if kind is LIST:
        return row
    if kind is DICT:
        return "{" + ", ".join(f"{key!r}: {text}" for key, text in zip(aux, texts, strict=True)) + "}"
    data = f"namedtuple[{aux.__name__}]" if kind is NAMED else f"{kind.node_type.__name__}[{aux}]"
    return f"CustomNode({data}, {row})"
