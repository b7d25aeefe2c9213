"""What a pytree is made of: the steps of key paths, and one row (`NodeKind`) for each type of container.

Base room, the lowest of the tree files: a row says how to take a container apart and how to put it together.
`treedef.py` builds structures of these rows, `tree.py` has the functions that people call.
"""

import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DictKey:
    """The step of a key path into a dict: `['name']`."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """The step of a key path into a tuple, a list or a deque: `[0]`."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


@dataclass(frozen=True, slots=True)
class GetAttrKey:
    """The step of a key path into a named tuple or a dataclass: `.name`."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class FlattenedIndexKey:
    """The step of a key path into a registered node that names no keys: `[<flat index 0>]`."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyEntry = Any
KeyPath = tuple[KeyEntry, ...]


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """The text of a key path, e.g. `['params'][0].w`; with `simple=True, separator='/'` it is `params/0/w`."""
    return separator.join(_simple_text(key) if simple else str(key) for key in keys)


def _simple_text(key: KeyEntry) -> str:
    match key:
        case DictKey(text) | SequenceKey(text) | GetAttrKey(text) | FlattenedIndexKey(text):
            return str(text)
    return str(key)


@dataclass(frozen=True, slots=True, eq=False)
class NodeKind:
    """One node type: `flatten(node) -> (children, aux)` and `unflatten(aux, children) -> node`.

    `keys(aux, count, node)` gives one key per child; node is None where only the structure is known.
    `plain` says that equal aux means the same aux, so that a structure with it may be kept and shared.
    """

    node_type: type
    flatten: Callable[[Any], tuple[Sequence[Any], Any]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    keys: Callable[[Any, int, Any], Sequence[KeyEntry]]
    plain: bool = False


def listed(keys: Iterable[Any], most: int = 8) -> str:
    """The keys as an error lists them."""
    texts = [repr(key) for key in keys]
    more = f", ... ({len(texts)} in all)" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def sort_keys(node: dict[Any, Any]) -> tuple[Any, ...]:
    """The keys of a dict in the order of its children; ValueError that names them where they cannot be compared."""
    try:
        return tuple(sorted(node))
    except TypeError as fault:
        raise ValueError(
            f"the keys of a {type(node).__name__} in a tree must be sortable, got {listed(node)} ({fault}); "
            "use keys of one type, or a collections.OrderedDict, whose order is kept."
        ) from None


def _flatten_dict(node: dict[Any, Any]) -> tuple[list[Any], tuple[Any, ...]]:
    keys = sort_keys(node)
    return list(map(node.__getitem__, keys)), keys


def _flatten_defaultdict(node: defaultdict[Any, Any]) -> tuple[list[Any], Any]:
    keys = sort_keys(node)
    return [node[key] for key in keys], (node.default_factory, keys)


def _dict_keys(aux: Any, count: int, node: Any) -> list[KeyEntry]:
    return [DictKey(key) for key in aux]


def _sequence_keys(aux: Any, count: int, node: Any) -> list[KeyEntry]:
    return [SequenceKey(i) for i in range(count)]


def index_keys(aux: Any, count: int, node: Any) -> list[KeyEntry]:
    """The keys of a registered node that names none."""
    return [FlattenedIndexKey(i) for i in range(count)]


NONE = NodeKind(type(None), lambda x: ((), None), lambda aux, xs: None, _sequence_keys, plain=True)
TUPLE = NodeKind(tuple, lambda x: (x, None), lambda aux, xs: tuple(xs), _sequence_keys, plain=True)
LIST = NodeKind(list, lambda x: (x, None), lambda aux, xs: list(xs), _sequence_keys, plain=True)
DEQUE = NodeKind(deque, lambda x: (x, x.maxlen), lambda aux, xs: deque(xs, aux), _sequence_keys, plain=True)
DICT = NodeKind(dict, _flatten_dict, lambda aux, xs: dict(zip(aux, xs, strict=True)), _dict_keys)
ORDERED = NodeKind(
    OrderedDict,
    lambda x: (list(x.values()), tuple(x)),
    lambda aux, xs: OrderedDict(zip(aux, xs, strict=True)),
    _dict_keys,
)
DEFAULT = NodeKind(
    defaultdict,
    _flatten_defaultdict,
    lambda aux, xs: defaultdict(aux[0], zip(aux[1], xs, strict=True)),
    lambda aux, count, node: _dict_keys(aux[1], count, node),
)
# One row for every named tuple: its class is the aux.
NAMED = NodeKind(
    tuple,
    lambda x: (x, type(x)),
    lambda aux, xs: aux(*xs),
    lambda aux, count, node: [GetAttrKey(name) for name in aux._fields],
    plain=True,
)

_KINDS: dict[type, NodeKind] = {k.node_type: k for k in (NONE, TUPLE, LIST, DEQUE, DICT, ORDERED, DEFAULT)}
# Types seen as leaves, so that a row of leaves is told by one set operation. Bounded: a class must not live for it.
LEAF_TYPES: set[type] = {int, float, complex, bool, str}
_LEAF_TYPES_KEPT = 1024
_registry_lock = threading.Lock()


def register_kind(kind: NodeKind) -> None:
    """Add a node type; ValueError where the type is one already."""
    with _registry_lock:
        if kind.node_type in _KINDS:
            raise ValueError(f"{kind.node_type} is registered as a pytree node already; register a type once.")
        _KINDS[kind.node_type] = kind
        LEAF_TYPES.discard(kind.node_type)


def kind_of_type(cls: type) -> NodeKind | None:
    """The row of a type, or None for the type of a leaf."""
    kind = _KINDS.get(cls)
    if kind is not None or cls in LEAF_TYPES:
        return kind
    if issubclass(cls, tuple) and getattr(cls, "_fields", None) is not None:
        return NAMED
    with _registry_lock:
        if cls not in _KINDS and len(LEAF_TYPES) < _LEAF_TYPES_KEPT:
            LEAF_TYPES.add(cls)
        return _KINDS.get(cls)
