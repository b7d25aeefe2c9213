"""Creation with bounds and numbers that do not fit their dtype, grids and masked writes, side by side with PyTorch."""

import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def outcome(library, run):
    """Shape, dtype and values of what `run` gives; or the type of its error."""
    try:
        found = run(library)
    except Exception as error:
        return type(error).__name__
    parts = found if isinstance(found, tuple) else (found,)
    return [(tuple(p.shape), str(p.dtype), p.tolist()) for p in parts]


def same(run):
    assert outcome(ours, run) == outcome(theirs, run)


INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "bounds",
    [(0.5, 3.5), (0, 2.5), (1.9, 5.1, 1.5), (5.5, 0.2, -1.5), (0, 5, 0.5), (0, 1, 0.3), (3, 3), (0, 5, -1), (0, -0.5)],
)
def test_arange_of_integers_with_float_bounds(bounds, dtype):
    same(lambda t: t.arange(*bounds, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", INTEGERS[1:])
def test_arange_of_signed_integers_from_below_zero(dtype):
    same(lambda t: t.arange(-2.5, 2.5, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "arguments", [(0, 10, 4), (0.5, 9.7, 5), (10, 0, 7), (0, 120, 11), (3, 3, 1), (2.7, 3, 1), (0, 1, 0)]
)
def test_linspace_of_integers(arguments, dtype):
    same(lambda t: t.linspace(*arguments, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", INTEGERS[1:])
def test_linspace_of_signed_integers(dtype):
    same(lambda t: t.linspace(-7.9, 7.9, 6, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool", "float16", "float32", "float64"])
@pytest.mark.parametrize("value", [300, -1, -255, -256, 256.5, -1.5, 2.7, True, 1e10, 1e40, float("inf")])
def test_full_with_numbers_out_of_range(value, dtype):
    same(lambda t: t.full((2,), value, dtype=getattr(t, dtype)))
    same(lambda t: t.full_like(t.zeros(2, dtype=getattr(t, dtype)), value))


@pytest.mark.parametrize("indexing", ["ij", "xy"])
@pytest.mark.parametrize(
    "shapes",
    [((), (2,)), ((2,), ()), ((), ()), ((),), ((3,), (2,)), ((3,), (2,), (4,)), ((), (2,), (3,)), ((0,), (2,))],
)
def test_grids(shapes, indexing):
    def grid(t):
        parts = [t.arange(10.0 * i, 10.0 * i + max(sum(s), s == ())).reshape(s) for i, s in enumerate(shapes)]
        return t.meshgrid(*parts, indexing=indexing)

    same(grid)


@pytest.mark.parametrize(
    ("shape", "mask", "count"),
    [
        ((3,), [[True, False, True], [True, True, True]], 6),
        ((2, 3), [True, False, True], 6),
        ((2, 3), [True, False, True], 3),
        ((), [True, False], 2),
        ((), True, 1),
        ((3,), True, 2),
        ((3,), False, 0),
        ((0,), [True], 0),
        ((1,), [True, False, True], 3),
    ],
)
def test_masked_scatter_broadcasts_and_counts(shape, mask, count):
    same(lambda t: t.masked_scatter(t.zeros(shape), t.tensor(mask), t.arange(float(count))))
    same(lambda t: t.zeros(shape).masked_scatter_(t.tensor(mask), t.arange(float(count))))


def test_masked_scatter_wants_one_dtype():
    same(lambda t: t.zeros(3).masked_scatter(t.tensor(True), t.arange(3)))
    same(lambda t: t.zeros(3).masked_scatter_(t.tensor(True), t.arange(3)))


def test_gradients_of_masked_scatter():
    def gradients(t):
        x, source = t.ones(3, requires_grad=True), t.arange(6.0, requires_grad=True)
        mask = t.tensor([[True, False, True], [False, True, True]])
        (t.masked_scatter(x, mask, source) * t.arange(1.0, 7.0).reshape(2, 3)).sum().backward()
        return x.grad, source.grad

    same(gradients)


@pytest.mark.parametrize("mask", [True, False, [True, False, True]])
def test_masked_select_of_a_number(mask):
    same(lambda t: t.masked_select(t.tensor(3.0), t.tensor(mask)))
