"""Pytrees: round trips of random trees, structures, error texts, registration; the same answers as jax.tree_util."""

import copy
import dataclasses
import functools
import pickle
import threading
from collections import OrderedDict, defaultdict, deque
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcgrad import tree, tree_util


class Point(NamedTuple):
    """A named tuple node."""

    x: Any
    y: Any


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    """A dataclass node with a static field."""

    w: Any
    b: Any
    name: Any = tree.static(default="layer")  # noqa: RUF009


@tree_util.register_pytree_node_class
class Pair:
    """A registered class node, its aux not a pair."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def tree_flatten(self) -> tuple[tuple[Any, ...], str]:
        return self.parts, "aux"

    @classmethod
    def tree_unflatten(cls, aux: str, children: tuple[Any, ...]) -> "Pair":
        return cls(*children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair) and self.parts == other.parts


@tree_util.register_pytree_with_keys_class
class Keyed:
    """A registered class node that names its children."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], None]:
        return [(tree_util.GetAttrKey("left"), self.left), (tree_util.DictKey("right"), self.right)], None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple[Any, Any]) -> "Keyed":
        return cls(*children)


def containers(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Every node type, around `child`."""
    rows = st.lists(child, max_size=4)
    named = st.dictionaries(st.text(max_size=3), child, max_size=4)
    return st.one_of(
        rows,
        rows.map(tuple),
        rows.map(deque),
        named,
        named.map(OrderedDict),
        named.map(lambda d: defaultdict(int, d)),
        st.dictionaries(st.integers(0, 9), child, max_size=3),
        st.builds(Point, child, child),
        st.builds(Layer, child, child, st.sampled_from(["a", 1, True, (1.0,)])),
        rows.map(lambda parts: Pair(*parts)),
    )


TREES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3), containers, max_leaves=20
)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_round_trip(value: Any) -> None:
    leaves, treedef = tree.flatten(value)
    again = tree.unflatten(treedef, leaves)
    assert again == value
    assert repr(tree.structure(again)) == repr(treedef)
    assert treedef.num_leaves == len(leaves) == len(treedef.flatten_up_to(value))
    assert tree.structure(value) == treedef and hash(tree.structure(value)) == hash(treedef)
    assert tree.structure(value, is_leaf=lambda x: False) == treedef
    assert treedef.flatten_up_to(value) == leaves
    assert tree.map(lambda a, b: (a, b), value, value) == treedef.unflatten([(x, x) for x in leaves])
    assert pickle.loads(pickle.dumps(treedef)) == treedef == copy.deepcopy(treedef)
    assert tree.broadcast_prefix(7, treedef) == [7] * len(leaves)
    assert tree.broadcast_prefix(value, treedef) == leaves
    doubled = treedef.compose(tree.structure((0, 0)))
    assert doubled.num_leaves == 2 * len(leaves)
    assert doubled == tree.structure(tree.map(lambda x: (x, x), value))


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_paths_lead_to_the_leaves(value: Any) -> None:
    pairs, treedef = tree.flatten_with_path(value)
    assert treedef == tree.structure(value)
    assert [leaf for _, leaf in pairs] == tree.leaves(value)
    assert len({path for path, _ in pairs}) == len(pairs)
    for path, leaf in pairs:
        node = value
        for key in path:
            match key:
                case tree_util.GetAttrKey(name):
                    node = getattr(node, name)
                case tree_util.FlattenedIndexKey(i):
                    node = node.parts[i]
                case tree_util.DictKey(k) | tree_util.SequenceKey(k):
                    node = node[k]
        assert node is leaf


@pytest.mark.parametrize(
    "value", [{1: "a"}, {True: "a"}, {1.0: "a"}, Layer(0, 0, 1), Layer(0, 0, True), Layer(0, 0, 1.0)]
)
def test_equal_static_data_of_another_type_is_not_mixed_up(value: Any) -> None:
    leaves, treedef = tree.flatten(value)
    assert repr(tree.unflatten(treedef, leaves)) == repr(value)


REPRS = {
    "*": 1,
    "None": None,
    "()": (),
    "(*,)": (1,),
    "{'a': *, 'b': (*, [*])}": {"b": (1, [2]), "a": 0},
    "CustomNode(OrderedDict[('b', 'a')], [*, *])": OrderedDict(b=1, a=2),
    "CustomNode(defaultdict[(<class 'int'>, ('a', 'b'))], [*, *])": defaultdict(int, b=1, a=2),
    "CustomNode(namedtuple[Point], [*, None])": Point(1, None),
    "CustomNode(Layer[('layer',)], [*, *])": Layer(1, 2),
    "CustomNode(Pair[aux], [*])": Pair(1),
    "CustomNode(deque[3], [*])": deque([1], 3),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr(text: str) -> None:
    assert repr(tree.structure(REPRS[text])) == f"PyTreeDef({text})"


def test_structure_is_shared_between_calls() -> None:
    value = {"a": (1.0, 2.0), "b": [Point(1, {"c": 2})]}
    assert tree.structure(value) is tree.structure(copy.deepcopy(value))
    assert tree.structure({1: 2}) == tree.structure({1: 3})


def test_treedef_methods() -> None:
    treedef = tree.structure({"b": 1, "a": (2, None)})
    assert treedef.node_data() == (dict, ["a", "b"])
    assert treedef.children() == [tree.structure((0, None)), tree.structure(0)] == tree_util.treedef_children(treedef)
    assert (treedef.num_leaves, treedef.num_nodes) == (2, 5)
    assert tree.structure(0).node_data() is None and tree.structure(Point(0, 0)).node_data() == (Point, None)
    assert tree_util.treedef_tuple([treedef, tree.structure(1)]) == tree.structure(({"a": (0, None), "b": 0}, 0))
    assert tree_util.treedef_is_leaf(tree.structure(None)) and not tree_util.treedef_is_leaf(treedef)
    assert tree_util.build_tree(treedef, [[1, []], 2]) == {"a": (1, None), "b": 2}
    different = [(1, 2), [1, 2], (1, (2,)), (1, None, 2), {"a": 1, "b": 2}, {"a": 1, "c": 2}, Point(1, 2), Layer(1, 2)]
    assert len({tree.structure(x) for x in different}) == len(different)
    assert tree.structure((1, 2)) != (1, 2)


def test_none_is_leaf_and_other_stops() -> None:
    assert tree.leaves((1, None)) == [1]
    assert tree.leaves((1, None), is_leaf=lambda x: x is None) == [1, None]
    assert tree.map(lambda x: x, (1, [2]), is_leaf=lambda x: isinstance(x, list)) == (1, [2])
    pairs = tree.leaves_with_path((1, {"a": (2,)}), lambda path, x: len(path) == 2, is_leaf_takes_path=True)
    assert [(tree.keystr(p), x) for p, x in pairs] == [("[0]", 1), ("[1]['a']", (2,))]


def test_keystr() -> None:
    path = tree.leaves_with_path({"p": [Layer(Pair(1), None)]})[0][0]
    assert tree.keystr(path) == "['p'][0].w[<flat index 0>]"
    assert tree.keystr(path, simple=True, separator="/") == "p/0/w/0"
    assert [tree.keystr(p) for p, _ in tree.leaves_with_path(Keyed(1, [2]))] == [".left", "['right'][0]"]


def test_reductions_and_transpose() -> None:
    assert tree.all({"a": 1, "b": [True]}) and not tree.all((1, 0)) and tree.all(())
    assert tree.reduce(lambda a, b: a - b, (10, [3, 2])) == 5 and tree.reduce(lambda a, b: a + b, [], None) is None
    assert tree.reduce_associative(lambda a, b: f"({a}{b})", list("abcde")) == "((ab)(c(de)))"
    assert tree.reduce_associative(max, [], identity=0) == 0
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0, "b": 0})
    assert tree.transpose(outer, inner, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == {"a": [1, 3], "b": [2, 4]}
    assert tree.transpose(outer, None, [(1, 2), (3, 4)]) == ([1, 3], [2, 4])


def test_broadcast() -> None:
    full = tree.structure(({"a": 1, "b": 2}, [3, None]))
    assert tree.broadcast_prefix((None, 0), full, is_leaf=lambda x: x is None) == [None, None, 0]
    assert tree.broadcast_prefix(({"a": 5, "b": 6}, 0), full) == [5, 6, 0]
    assert tree.broadcast((1, 2), ((0, 0), [0, {"k": 0}])) == ((1, 1), [2, {"k": 2}])


def test_partial() -> None:
    partial = tree_util.Partial(pow, 2, mod=5)
    assert tree.leaves(partial) == [2, 5] and tree.map(lambda x: x + 1, partial)(4) == pow(3, 4, 6)
    inner = tree_util.Partial(functools.partial(pow, 2), 5)
    assert tree.leaves(inner) == [5] and inner() == 32


def test_registration() -> None:
    class Late:
        """A leaf until it is registered."""

    late = Late()
    assert tree.leaves([late]) == [late] and not tree_util.is_tree_node(Late)
    tree_util.register_pytree_node(Late, lambda node: ((1, 2), None), lambda aux, children: ("made", children))
    assert tree.leaves([late]) == [1, 2] and tree.map(lambda x: -x, late) == ("made", (-1, -2))
    assert tree_util.is_tree_node(Late) and not tree_util.all_leaves([late]) and tree_util.all_leaves([1, "a"])

    @tree_util.register_static
    @dataclasses.dataclass(frozen=True)
    class Static:
        n: int

    assert tree.leaves(Static(1)) == [] and tree.structure(Static(1)) == tree.structure(Static(1))
    assert tree.structure(Static(1)) != tree.structure(Static(2))
    assert tree_util.flatten_one_level(Point(1, 2)) == ((1, 2), Point)
    assert tree_util.flatten_one_level_with_keys({"a": 1})[0] == ((tree_util.DictKey("a"), 1),)


def test_registry_is_thread_safe() -> None:
    classes = [type(f"C{i}", (), {}) for i in range(40)]
    refused: list[type] = []

    def register() -> None:
        for cls in classes:
            tree.leaves((cls(), 1))
            try:
                tree_util.register_pytree_node(cls, lambda node: ((7,), None), lambda aux, children: None)
            except ValueError:
                refused.append(cls)

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3 * len(classes)
    assert all(tree.leaves((cls(),)) == [7] for cls in classes)


MISMATCHES: list[tuple[Any, Any, str]] = [
    (
        {"params": [(1, 2)]},
        {"params": [(1, 2, 3)]},
        "tree mismatch at ['params'][0]: expected a tuple of 2, got a tuple of 3 (tree 2 of tree.map)",
    ),
    ((1, 2), [1, 2], "tree mismatch at the root: expected a tuple of 2, got a list of 2"),
    (
        {"a": {"b": 1, "c": 2}},
        {"a": {"b": 1, "d": 2}},
        "at ['a']: expected a dict with keys 'b', 'c', got a dict with keys 'b', 'd'; missing 'c'; unexpected 'd'",
    ),
    (OrderedDict(a=1, b=2), OrderedDict(b=1, a=2), "; the same keys in another order"),
    (defaultdict(int, a=1), defaultdict(list, a=1), "expected a defaultdict(<class 'int'>) with keys 'a'"),
    (
        (1, None),
        (1, 2),
        "at [1]: expected None (an empty node), got a leaf of type int; pass is_leaf=lambda x: x is None",
    ),
    (((),), (1,), "at [0]: expected a tuple of 0, got a leaf of type int"),
    (Point(1, (2,)), Point(1, 2), "at .y: expected a tuple of 1, got a leaf of type int"),
    (Layer((1,), 2), Layer(3, 2), "at .w: expected a tuple of 1, got a leaf of type int"),
    (
        Layer(1, 2, "p"),
        Layer(1, 2, "q"),
        "a Layer of 2 with static data ('p',), got a Layer of 2 with static data ('q',)",
    ),
    (Keyed(1, (2,)), Keyed(1, 2), "at ['right']: expected"),
]


@pytest.mark.parametrize(("first", "second", "text"), MISMATCHES)
def test_mismatch_names_the_path(first: Any, second: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        tree.map(lambda a, b: a, first, second)
    assert text in str(caught.value)
    with pytest.raises(ValueError, match="tree mismatch at "):
        tree.structure(first).flatten_up_to(second)


def raised(kind: type[Exception], function: Any, *args: Any) -> str:
    """The text of the error that `function(*args)` raises."""
    with pytest.raises(kind) as caught:
        function(*args)
    return str(caught.value)


def test_other_error_texts() -> None:
    treedef = tree.structure({"a": 1, "b": [2]})
    few = raised(ValueError, tree.unflatten, treedef, [1])
    assert few.startswith("unflatten: expected 2 leaves for PyTreeDef({'a': *, 'b': [*]}), got 1; ")
    assert few.endswith("the first without a value is at ['b'][0]")
    assert raised(ValueError, tree.unflatten, treedef, [1, 2, 3]).endswith("got 3")
    unsortable = raised(ValueError, tree.flatten, {1: 2, "a": 3})
    assert "must be sortable, got 1, 'a'" in unsortable and "OrderedDict" in unsortable
    prefix = raised(ValueError, tree.broadcast_prefix, (0, [(1, 2)]), tree.structure((0, [0])))
    assert "prefix mismatch at [1][0]: the prefix has a tuple of 2, the full tree has a leaf" in prefix
    assert "flatten function of" in raised(TypeError, tree.flatten, _bad_node())
    assert "is registered as a pytree node already" in raised(ValueError, tree_util.register_dataclass, Layer)
    assert "expected a PyTreeDef" in raised(TypeError, tree.unflatten, [1], [1])
    assert "2 x 2 leaves" in raised(
        TypeError, tree.transpose, tree.structure([0, 0]), tree.structure((0, 0)), [(1, 2, 3)] * 2
    )
    assert "is not hashable" in raised(TypeError, hash, tree.structure(Layer(1, 2, [])))
    assert "without leaves" in raised(TypeError, tree.reduce, max, [])
    assert "without leaves" in raised(TypeError, tree.reduce_associative, max, [])


def _bad_node() -> Any:
    cls = type("Bad", (), {})
    tree_util.register_pytree_node(cls, lambda node: [1, 2], lambda aux, children: None)  # type: ignore[arg-type,return-value]
    return cls()


def test_register_dataclass_texts() -> None:
    @dataclasses.dataclass
    class Two:
        a: Any
        b: Any = 0

    assert "the fields ['b'] are in neither" in raised(ValueError, tree_util.register_dataclass, Two, ["a"], [])
    assert "['c'] are no fields" in raised(ValueError, tree_util.register_dataclass, Two, ["a", "b", "c"], [])
    assert "give both data_fields and meta_fields" in raised(TypeError, tree_util.register_dataclass, Two, ["a"])
    assert "is no dataclass" in raised(TypeError, tree_util.register_dataclass, type("Plain", (), {}))
    tree_util.register_dataclass(Two, ["a"], [], drop_fields=["b"])
    assert tree.map(lambda x: x + 1, Two(1, 5)) == Two(2, 0)


def standard(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The node types that JAX knows without registration."""
    rows, named = st.lists(child, max_size=3), st.dictionaries(st.text(max_size=2), child, max_size=3)
    dicts = st.one_of(named, named.map(OrderedDict), named.map(lambda d: defaultdict(int, d)))
    return st.one_of(rows, rows.map(tuple), dicts, st.builds(Point, child, child))


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.none() | st.integers(), standard, max_leaves=12))
def test_same_as_jax(value: Any) -> None:
    theirs = pytest.importorskip("jax.tree_util")
    for is_leaf in (None, lambda x: x is None, lambda x: isinstance(x, list)):
        leaves, treedef = tree.flatten(value, is_leaf)
        their_leaves, their_treedef = theirs.tree_flatten(value, is_leaf)
        assert leaves == their_leaves and repr(treedef) == repr(their_treedef)
        assert (treedef.num_leaves, treedef.num_nodes) == (their_treedef.num_leaves, their_treedef.num_nodes)
        assert treedef.node_data() == their_treedef.node_data()
        pairs = tree.leaves_with_path(value, is_leaf)
        paths = [(str(p), tree.keystr(p), tree.keystr(p, simple=True, separator=".")) for p, _ in pairs]
        assert paths == [
            (str(p), theirs.keystr(p), theirs.keystr(p, simple=True, separator="."))
            for p, _ in theirs.tree_leaves_with_path(value, is_leaf)
        ]


@settings(max_examples=150, deadline=None)
@given(*[st.recursive(st.none() | st.integers(), standard, max_leaves=4)] * 2)
def test_mismatches_are_those_of_jax(first: Any, second: Any) -> None:
    theirs = pytest.importorskip("jax.tree_util")

    def outcome(tree_map: Any, broadcast: Any) -> list[Any]:
        answers: list[Any] = []
        for function, *args in ((tree_map, lambda a, b: (a, b), first, second), (broadcast, first, second)):
            try:
                answers.append(function(*args))
            except ValueError:
                answers.append("refused")
        return answers

    ours = outcome(tree.map, tree.broadcast)
    assert ours == outcome(theirs.tree_map, theirs.tree_broadcast)


def test_names_of_jax() -> None:
    jax = pytest.importorskip("jax")
    left_out = {"default_registry"}
    names = {n for n in dir(jax.tree_util) if not n.startswith("_")} - left_out
    assert not [n for n in sorted(names) if getattr(tree_util, n, None) is None]
    assert not [n for n in dir(jax.tree) if not n.startswith("_") and getattr(tree, n, None) is None]
