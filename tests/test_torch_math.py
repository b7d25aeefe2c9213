"""The mathematical operations of funcgrad.torch beside PyTorch: dtypes, promotion, names of nodes, kinks, ties, empty and 0-d
tensors, and that function, method, in-place twin and out= agree. `test_torch_expressions.py` has values and gradients."""

import itertools
import warnings

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")
KINDS = ["bool", "uint8", "int32", "int64", "float32", "float64", "complex64", "complex128"]


def plain(tensor):
    tensor = tensor.detach()
    return (tensor.resolve_conj() if hasattr(tensor, "resolve_conj") else tensor).numpy(force=True)


def both(expression, **arrays):
    """The expression's value, or the error it raises, on both libraries; arrays become tensors of each."""
    found = []
    for torch in (theirs, ours):
        scope = {name: torch.tensor(np.array(a)) for name, a in arrays.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(eval(expression, {"torch": torch, "inf": np.inf, "nan": np.nan, **scope}))
            except (RuntimeError, TypeError, IndexError, ValueError) as error:
                found.append(error)
    return found


def same(want, have, what="", tolerance=1e-6):
    if isinstance(want, Exception):
        assert isinstance(have, Exception), f"{what}: PyTorch raises {want!r}"
        kinds = (RuntimeError, TypeError, IndexError, ValueError)
        assert any(isinstance(want, k) and isinstance(have, k) for k in kinds), f"{what}: {have!r} instead of {want!r}"
        return
    if isinstance(have, Exception):
        raise AssertionError(f"{what} raises {have!r}") from have
    if isinstance(want, (tuple, list)):
        assert len(want) == len(have), what
        for w, h in zip(want, have, strict=True):
            same(w, h, what, tolerance)
        return
    if not isinstance(want, theirs.Tensor):
        assert want == have, what
        return
    assert str(want.dtype) == str(have.dtype), f"{what}: {have.dtype} instead of {want.dtype}"
    assert tuple(want.shape) == tuple(have.shape), what
    np.testing.assert_allclose(plain(have), plain(want), rtol=tolerance, atol=tolerance, err_msg=what)


def sample(kind, shape=(2, 3), seed=0):
    rng = np.random.default_rng(seed)
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in ("uint8", "int32", "int64"):
        return rng.integers(1, 5, shape).astype(kind)
    made = rng.uniform(0.1, 0.9, shape)
    if kind.startswith("complex"):
        made = made + 1j * rng.uniform(0.1, 0.9, shape)
    return np.asarray(made, kind)


# ---- promotion ----

BINARY = [
    "a + b",
    "a - b",
    "a * b",
    "a / b",
    "a // b",
    "a % b",
    "a ** b",
    "a == b",
    "a < b",
    "torch.maximum(a, b)",
    "a & b",
    "torch.atan2(a, b)",
    "torch.where(a > b, a, b)",
    "torch.logical_and(a, b)",
    "a.div(b, rounding_mode='trunc')",
    "torch.fmod(a, b)",
    "torch.lerp(a, b, 0.5)",
    "torch.add(a, b, alpha=2)",
    "torch.xlogy(a, b)",
]


@pytest.mark.parametrize("expression", BINARY)
def test_promotion_of_tensors(expression):
    for first, second in itertools.product(KINDS, KINDS):
        a, b = sample(first), sample(second, seed=1)
        what = f"{expression} of {first} and {second}"
        if first == "bool" and second == "bool" and expression in ("a // b", "a % b", "torch.fmod(a, b)", "a ** b"):
            continue
        same(*both(expression, a=a, b=b), what, 1e-5)


@pytest.mark.parametrize("expression", ["a + b", "a * b", "a / b", "a - b", "torch.maximum(a, b)", "a == b"])
def test_promotion_of_zero_dimensional_tensors(expression):
    for first, second in itertools.product(KINDS, KINDS):
        same(
            *both(expression, a=sample(first), b=sample(second, ())), f"{expression} of {first} and 0-d {second}", 1e-5
        )


@pytest.mark.parametrize(
    "expression", ["a + {}", "a * {}", "{} - a", "a / {}", "{} / a", "a // {}", "a > {}", "a.clamp(min={})"]
)
def test_promotion_of_numbers(expression):
    for kind, number in itertools.product(KINDS, ["2", "2.5", "True", "(1+2j)"]):
        same(*both(expression.format(number), a=sample(kind)), f"{expression} of {kind} and {number}", 1e-5)


REDUCTIONS = [
    "sum()",
    "sum(0)",
    "prod()",
    "mean()",
    "max()",
    "argmax(1)",
    "all()",
    "any(1)",
    "cumsum(0)",
    "cumprod(1)",
    "norm()",
    "var()",
    "amax(1)",
    "count_nonzero()",
    "logsumexp(1)",
    "std(1)",
    "median()",
    "nansum()",
    "sum(dtype=torch.float64)",
    "cumsum(0, dtype=torch.float32)",
    "prod(1, dtype=torch.int32)",
    "softmax(1)",
]


@pytest.mark.parametrize("method", REDUCTIONS)
def test_dtypes_of_reductions(method):
    for kind in KINDS:
        same(*both(f"a.{method}", a=sample(kind)), f"{method} of {kind}", 1e-5)


@pytest.mark.parametrize("expression", ["a + -3", "a * 300", "a - 5", "-3 - a", "a == -1", "a.add_(-3)"])
@pytest.mark.parametrize("kind", ["uint8", "int8", "int16"])
def test_numbers_that_a_small_dtype_does_not_hold(expression, kind):
    same(*both(expression, a=np.array([1, 2], kind)), expression)


# ---- shapes ----

SHAPED = [
    "a.sum()",
    "a.sum(-1)",
    "a.prod()",
    "a.mean()",
    "a.max()",
    "a.amax()",
    "a.argmax()",
    "a.var()",
    "a.cumsum(0)",
    "a.norm()",
    "a.all()",
    "a.median()",
    "a.softmax(0)",
    "a.logsumexp(0)",
    "a + 1",
    "a.exp()",
    "a.abs()",
    "a.clamp(0, 1)",
    "a.max(0)",
    "a.min(0, keepdim=True)",
    "a.std()",
    "a.sum((0,))",
    "a.any(0)",
    "a.cummax(0)",
    "a.nansum()",
    "a.logcumsumexp(0)",
    "a.sum(3)",
    "a.mean(0, keepdim=True)",
    "a.count_nonzero()",
    "a.diff()",
    "a.aminmax()",
]


@pytest.mark.parametrize("expression", SHAPED)
def test_empty_and_zero_dimensional(expression):
    for shape in [(), (0,), (0, 3), (3, 0), (1,), (1, 1)]:
        same(*both(expression, a=sample("float64", shape)), f"{expression} of shape {shape}")


# ---- kinks and ties ----

KINKS = {
    "x.relu()": [0.0, -0.0, 1, -1],
    "x.abs()": [0.0, -0.0, 2],
    "x.sign()": [0.0, 2, -3],
    "x.sgn()": [0.0, 2, -3],
    "x.norm()": [0.0, 0.0],
    "x.clamp(0, 1)": [0.0, 1.0, 0.5, -1, 2],
    "x.clamp(min=0)": [0.0, 1, -1],
    "x.clamp_max(1)": [0.0, 1, 2],
    "torch.maximum(x, x.detach())": [1.0, 2.0],
    "torch.maximum(x, torch.tensor([1.0, 0.0]).double())": [1.0, 2.0],
    "torch.minimum(x, torch.tensor([1.0, 9.0]).double())": [1.0, 2.0],
    "torch.fmax(x, torch.tensor([1.0, 9.0]).double())": [1.0, 2.0],
    "x.max()": [1.0, 2.0, 2.0],
    "x.min()": [2.0, 2.0, 2.0],
    "x.amax(0)": [1.0, 2.0, 2.0],
    "x.amin(0)": [1.0, 1.0, 2.0],
    "x.max(0)[0]": [1.0, 2.0, 2.0],
    "x.min(0)[0]": [1.0, 1.0, 2.0],
    "x.median()": [1.0, 2.0, 2.0],
    "x.sort()[0]": [2.0, 1.0, 2.0],
    "x.sqrt()": [0.0, 4.0],
    "x.log()": [0.0, 1.0],
    "x.asin()": [1.0, 0.0],
    "x ** 0.5": [0.0, 4.0],
    "x ** 0": [0.0, 4.0],
    "x ** 1": [0.0, 4.0],
    "x ** 2": [0.0, 4.0],
    "x.std()": [1.0, 1.0],
    "x.prod()": [0.0, 2.0, 3.0],
    "x.cumprod(0)": [2.0, 0.0, 3.0],
    "torch.where(x > 0, x.log(), torch.zeros_like(x))": [0.0, 1.0],
    "x.round()": [0.5, 1.5, 2.0],
    "x.floor()": [0.5, 1.0],
    "x.frac()": [0.5, 1.0],
    "x.remainder(1)": [0.5, 1.0],
    "torch.hypot(x, x)": [3.0, 1.0],
    "torch.atan2(x, x)": [0.0, 1.0],
    "torch.xlogy(x, x.detach() + 1)": [0.0, 1.0],
    "torch.copysign(x, -x)": [0.0, 1.0],
    "x.cummax(0)[0]": [1.0, 1.0, 0.0],
    "x.logsumexp(0)": [-float("inf"), 1.0],
    "x.nan_to_num()": [float("nan"), float("inf"), 1.0],
    "x.reciprocal()": [0.0, 2.0],
    "x.sinc()": [0.0, 0.5],
    "torch.dist(x, x.detach())": [1.0, 2.0],
    "x.norm(1)": [0.0, 2.0],
    "x.norm(float('inf'))": [2.0, -2.0],
    "x.norm(3)": [0.0, 2.0],
}


@pytest.mark.parametrize("expression", KINKS)
def test_gradients_at_kinks(expression):
    found = []
    for torch in (theirs, ours):
        x = torch.tensor(np.array(KINKS[expression], float)).requires_grad_()
        out = eval(expression, {"torch": torch, "x": x, "float": float})
        found.append((out.detach(), torch.autograd.grad(out.sum(), x)[0]))
    same(found[0], found[1], expression)


# ---- names of nodes ----

NAMED = """x+y x-y x*y x/y -x 2-x 2/x x**2 x**y 2**x x@m x@v v@v v@m b@m x.t()@x x%2 x%y x.abs() x.exp() x.log() x.sqrt() x.tanh()
x.relu() x.sigmoid() x.sin() x.clamp(0,1) x.clamp(min=x) x.clamp_min(0) x.sum() x.sum(0) x.mean() x.mean(0) x.max() x.max(0)[0]
x.amax(0) x.prod() x.prod(0) x.var() x.std() x.norm() x.softmax(0) x.log_softmax(0) x.cumsum(0) x.logsumexp(0) x.pow(2) x.square()
torch.where(x>0,x,y) torch.maximum(x,y) torch.lerp(x,y,0.5) torch.lerp(x,y,y) torch.addcmul(x,x,y) torch.addcdiv(x,x,y)
torch.atan2(x,y) x.erf() x.lgamma() x.sign() x.round() x.floor() x.masked_fill(x>0,1.0) torch.addmm(s,x,m) torch.bmm(b,b.mT)
torch.baddbmm(s.expand(2,3,3),b,b.mT) torch.mm(x,m) torch.mv(x,v) torch.dot(v,v) torch.outer(v,v) x.median() x.median(0)[0]
torch.linalg.inv(s)
torch.linalg.det(s) torch.linalg.solve(s,s) torch.linalg.qr(s)[0] torch.linalg.svdvals(s) torch.linalg.norm(x)
torch.linalg.pinv(x) torch.linalg.slogdet(s)[1] torch.linalg.matrix_exp(s) x.std(0) x.cumprod(0) x.logcumsumexp(0) x.trunc()
x.div(2,rounding_mode='floor') x.fmod(2) x.fmod(y) torch.hypot(x,y) x.nan_to_num() x.log1p() x.deg2rad() x.xlogy(y) x.logit()
torch.cdist(x,y) torch.renorm(x,2,0,1.0) x.kthvalue(1)[0] x.mode()[0] x.cummax(0)[0]
x.aminmax()[0] x.nansum() s.trace() s.tril()""".split()


@pytest.mark.parametrize("expression", NAMED)
def test_names_of_nodes(expression):
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.uniform(0.1, 0.9, (3, 4)),
        "y": rng.uniform(0.1, 0.9, (3, 4)),
        "m": rng.normal(size=(4, 3)),
        "v": rng.normal(size=4),
        "b": rng.normal(size=(2, 3, 4)),
        "s": rng.normal(size=(3, 3)) + 3 * np.eye(3),
    }
    names = []
    for torch in (theirs, ours):
        scope = {n: torch.tensor(a).requires_grad_() for n, a in arrays.items()}
        names.append(eval(expression, {"torch": torch, **scope}).grad_fn.name())
    assert names[1] == names[0]


# ---- function = method = in-place = out ----

FORMS = [
    ("add", (2.5,)),
    ("sub", (2.5,)),
    ("mul", (2.5,)),
    ("div", (2.5,)),
    ("pow", (2,)),
    ("remainder", (0.3,)),
    ("fmod", (0.3,)),
    ("clamp", (0.2, 0.6)),
    ("abs", ()),
    ("exp", ()),
    ("log", ()),
    ("sqrt", ()),
    ("rsqrt", ()),
    ("tanh", ()),
    ("sigmoid", ()),
    ("sin", ()),
    ("cos", ()),
    ("neg", ()),
    ("reciprocal", ()),
    ("floor", ()),
    ("ceil", ()),
    ("round", ()),
    ("trunc", ()),
    ("frac", ()),
    ("sign", ()),
    ("square", ()),
    ("erf", ()),
    ("erfinv", ()),
    ("lgamma", ()),
    ("digamma", ()),
    ("logit", ()),
    ("expm1", ()),
    ("log1p", ()),
    ("log2", ()),
    ("log10", ()),
    ("exp2", ()),
    ("asin", ()),
    ("acos", ()),
    ("atan", ()),
    ("sinh", ()),
    ("cosh", ()),
    ("asinh", ()),
    ("atanh", ()),
    ("deg2rad", ()),
    ("nan_to_num", ()),
    ("sinc", ()),
    ("cumsum", (0,)),
    ("cumprod", (1,)),
    ("tril", ()),
    ("triu", ()),
    ("float_power", (2.0,)),
    ("true_divide", (3.0,)),
    ("floor_divide", (0.2,)),
    ("i0", ()),
]


@pytest.mark.parametrize(("name", "extra"), FORMS, ids=[n for n, _ in FORMS])
@pytest.mark.parametrize("layout", ["dense", "strided"])
def test_function_method_inplace_and_out_agree(name, extra, layout):
    base = np.random.default_rng(3).uniform(0.1, 0.9, (3, 4))
    want = plain(getattr(theirs, name)(theirs.tensor(base), *extra))

    def fresh():
        x = ours.tensor(base)
        if layout == "dense":
            return x
        wide = ours.zeros(3, 8, dtype=ours.float64)
        wide[:, ::2] = x
        return wide[:, ::2]

    for made in (getattr(ours, name)(fresh(), *extra), getattr(fresh(), name)(*extra)):
        np.testing.assert_allclose(plain(made), want, rtol=1e-9)
    target = fresh()
    version = target._version
    assert getattr(target, name + "_")(*extra) is target
    assert target._version == version + 1
    np.testing.assert_allclose(plain(target), want, rtol=1e-9)
    room = ours.empty(3, 4, dtype=ours.float64)
    assert getattr(ours, name)(fresh(), *extra, out=room) is room
    np.testing.assert_allclose(plain(room), want, rtol=1e-9)


@pytest.mark.parametrize(
    "expression", ["a.add_(1.5)", "a.div_(2)", "a.sqrt_()", "a.copy_(b.double()).mul_(b)", "a.pow_(0.5)"]
)
def test_results_that_do_not_fit_in_place(expression):
    same(*both(expression, a=np.array([1, 4]), b=np.array([2, 3])), expression)


# ---- errors ----

ERRORS = [
    "torch.mm(x, x)",
    "torch.mm(x, v)",
    "x @ x",
    "torch.dot(v, x)",
    "torch.bmm(x, x)",
    "x.sum(5)",
    "x.sum((0, 0))",
    "~x",
    "x & x",
    "-(x > 0)",
    "(x > 0) - (x > 0)",
    "torch.linalg.inv(x)",
    "torch.linalg.inv(x[:, :3] * 0)",
    "x + x.T",
    "x.clamp()",
    "torch.linalg.cholesky(-torch.eye(2))",
    "torch.linalg.solve(torch.zeros(2, 2), torch.ones(2))",
    "x.long().mean()",
    "x.max(7)",
    "x.long() ** -1",
    "torch.cross(x[:, 0], v)",
    "x.div(2, rounding_mode='up')",
    "torch.einsum('ij,jk->ik', x, x)",
    "torch.tensordot(x, x, 1)",
    "torch.add(x.long(), x.long(), alpha=0.5)",
    "x.masked_fill(x, 1)",
    "torch.trace(v)",
    "torch.sin('a')",
    "torch.add(x)",
    "x.add(x, beta=1)",
    "torch.matmul(x, 2)",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_types_of_errors(expression):
    rng = np.random.default_rng(0)
    want, have = both(expression, x=rng.normal(size=(3, 4)), v=rng.normal(size=4))
    assert isinstance(want, Exception), "PyTorch takes it"
    same(want, have, expression)
