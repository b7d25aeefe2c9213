"""Tensors to and from NumPy, PyTorch, JAX, pickles and files; and their texts, compared with PyTorch's letter for letter."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


@pytest.fixture(params=["ours", "theirs"])
def torch(request):
    return ours if request.param == "ours" else theirs


# ---- memory that is shared ----


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_memory_is_shared_with_numpy(torch):
    a = np.arange(6.0).reshape(2, 3)
    t = torch.from_numpy(a)
    a[0, 0] = 7
    assert t[0, 0] == 7
    t.mul_(2)
    assert a[1, 2] == 10 and t.numpy().base is not None
    v = torch.from_numpy(a[:, ::2].T)
    assert v.stride() == (2, 3) and v.is_contiguous() is False
    v[0] = -1
    assert (a[:, 0] == -1).all()
    n = torch.ones(3).numpy()
    assert n.dtype == np.float32 and np.shares_memory(n, n[1:])
    zero = np.array(5, dtype=np.int16)
    assert torch.from_numpy(zero).shape == () and torch.from_numpy(zero).dtype == torch.int16
    assert np.asarray(torch.ones(2)).dtype == np.float32 and np.array(torch.ones(2), dtype="d").dtype == np.float64
    kept = torch.tensor(a)
    a[:] = 0
    assert kept.sum() != 0


def test_what_numpy_cannot_lend(torch):
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(np.arange(3.0)[::-1])
    with pytest.raises(TypeError):
        torch.from_numpy([1.0])
    with pytest.raises(TypeError):
        torch.from_numpy(np.array(["a"]))
    with pytest.raises(RuntimeError, match="requires grad"):
        torch.ones(2, requires_grad=True).numpy()
    x = torch.ones(2, requires_grad=True)
    assert x.detach().numpy().tolist() == [1, 1] and (x * 2).numpy(force=True).tolist() == [2, 2]


def test_arrays_that_numpy_keeps_to_itself(torch):
    frozen = np.ones(3)
    frozen.flags.writeable = False
    if torch is ours:
        # PyTorch warns once in a process, and lets writes through.
        with pytest.warns(UserWarning, match="NumPy array is not writable"):
            x = torch.from_numpy(frozen)
        with pytest.raises(ValueError, match="read-only"):
            x.add_(1)
        assert x.tolist() == frozen.tolist() == [1, 1, 1]
    x = torch.tensor(frozen)
    x.add_(1)
    assert frozen.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="byte order"):
        torch.from_numpy(np.ones(2, dtype=">f4"))
    with pytest.raises(ValueError, match="multiple of the element byte size"):
        torch.from_numpy(np.zeros(2, dtype=[("a", "i1"), ("b", "f4")])["b"])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "uint8", "bool", "complex64", "float16"])
def test_dlpack_both_ways_with_numpy(torch, dtype):
    x = torch.tensor([[1, 0, 3], [4, 5, 6]]).to(getattr(torch, dtype))
    a = np.from_dlpack(x.t())
    assert a.shape == (3, 2) and a.dtype == np.dtype(dtype)
    assert a.tolist() == x.t().tolist()
    back = torch.from_dlpack(a)
    assert back.dtype == x.dtype and back.data_ptr() == x.data_ptr() and back.stride() == x.t().stride()


@pytest.mark.parametrize("dtype", ["float32", "int32", "complex128"])
def test_dlpack_between_the_libraries(dtype):
    x = ours.arange(6).reshape(2, 3).to(getattr(ours, dtype))
    t = theirs.from_dlpack(x)
    assert t.data_ptr() == x.data_ptr() and t.tolist() == x.tolist()
    t[0, 1] = 50
    assert x[0, 1] == 50
    back = ours.from_dlpack(t[:, 1:])
    assert back.tolist() == t[:, 1:].tolist() and back.stride() == (3, 1)
    back.zero_()
    assert t[:, 1:].abs().sum() == 0
    assert theirs.from_numpy(x.numpy()).data_ptr() == x.data_ptr()
    assert ours.from_numpy(t.numpy()).data_ptr() == x.data_ptr()
    jax = pytest.importorskip("jax")
    if dtype != "complex128":
        j = jax.dlpack.from_dlpack(x)
        assert np.asarray(j).tolist() == x.tolist()
        assert ours.from_dlpack(j).tolist() == x.tolist()


def test_dlpack_of_what_has_history(torch):
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(torch.ones(2, requires_grad=True))


def test_capsules_and_copies_by_dlpack(torch):
    x = torch.arange(3.0)
    capsule = x.__dlpack__()
    y = torch.from_dlpack(capsule)
    assert y.data_ptr() == x.data_ptr() and y.tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="invalid capsule"):
        torch.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="invalid capsule"):
        torch.from_dlpack([1.0])
    assert torch.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert torch.from_dlpack(x.numpy(), copy=False, device="cpu").data_ptr() == x.data_ptr()
    assert torch.from_dlpack(torch.ones(())).shape == () and torch.from_dlpack(torch.ones(0, 3)).shape == (0, 3)


# ---- copies, pickles, files ----


def test_copies(torch):
    x = torch.ones(2, requires_grad=True)
    assert copy.copy(x) is not x and copy.deepcopy(x).is_leaf and copy.deepcopy(x).requires_grad
    x.grad = torch.full((2,), 3.0)
    twin = copy.deepcopy(x)
    assert twin.grad.tolist() == [3, 3] and twin.grad is not x.grad
    base = torch.arange(4.0)
    a, b = copy.deepcopy((base, base[1:]))
    a[1] = 9
    assert b[0] == 9 and base[1] == 1
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)
    p = torch.nn.Parameter(torch.ones(2))
    assert isinstance(copy.deepcopy(p), torch.nn.Parameter)


def test_pickles_keep_values_and_flags(torch):
    base = torch.arange(6.0)
    a, b, p = pickle.loads(pickle.dumps((base, base[2:4], torch.nn.Parameter(torch.ones(2), requires_grad=False))))
    assert a.tolist() == base.tolist() and b.tolist() == [2, 3]
    assert isinstance(p, torch.nn.Parameter) and not p.requires_grad
    x = torch.ones(2, requires_grad=True)
    assert pickle.loads(pickle.dumps(x)).requires_grad
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    again = pickle.loads(pickle.dumps(net))
    assert all((u == v).all() for u, v in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_attributes_and_gradients_of_copies(torch):
    x = torch.ones(2, requires_grad=True)
    x.note, x.grad = [3], torch.ones(2)
    twin, again = copy.deepcopy(x), pickle.loads(pickle.dumps(x))
    assert twin.note == again.note == copy.copy(x).note == [3] and twin.note is not x.note
    assert twin.grad.tolist() == [1, 1] and again.grad is None
    net = torch.nn.Linear(2, 1)
    net.weight.note, net.weight.grad = 3, torch.ones(1, 2)
    weight = copy.deepcopy(net).weight
    assert weight.grad is None and weight.requires_grad and getattr(weight, "note", None) is None
    assert pickle.loads(pickle.dumps(net)).weight.note == 3 and net.weight.grad is not None
    x.register_hook(lambda g: g * 5)
    with pytest.warns(UserWarning, match="will not be serialized"):
        plain = pickle.loads(pickle.dumps(x))
    plain.sum().backward()
    assert plain.grad.tolist() == [1, 1]


def test_files_go_to_the_other_library(tmp_path):
    base = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    for writer, reader in ((ours, theirs), (theirs, ours)):
        t = writer.tensor(base)
        what = {"a": t, "view": t[1:, ::2], "list": [writer.tensor(3), True, "text", None, 1.5], "half": t.half()}
        for target in (tmp_path / "x.pt", io.BytesIO()):
            writer.save(what, target)
            if isinstance(target, io.BytesIO):
                target.seek(0)
            found = reader.load(target, weights_only=True)
            assert found["a"].tolist() == base.tolist() and found["view"].stride() == (4, 2)
            assert found["view"].untyped_storage().data_ptr() == found["a"].untyped_storage().data_ptr()
            assert found["list"][1:] == [True, "text", None, 1.5] and found["half"].dtype == reader.float16


def test_storages(torch):
    x = torch.arange(6, dtype=torch.float32)
    y = x[2:]
    assert x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() == x.data_ptr()
    assert x.untyped_storage().nbytes() == 24 == len(y.untyped_storage())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert y.storage().tolist() == x.tolist() and y.storage().size() == 6
        y.storage()[0] = 42.0
    assert x[0] == 42
    assert x.is_set_to(x[:]) and not x.is_set_to(y)


# ---- texts ----

NUMBERS = st.one_of(
    st.integers(-5, 5).map(float), st.floats(-1e4, 1e4, width=32), st.floats(width=32),
    st.sampled_from([0.0, 1e-8, 1e8, float("nan"), float("inf"), -float("inf"), 0.5, 1e5, 123456.0]),
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(NUMBERS, min_size=1, max_size=12),
    st.sampled_from([(-1,), (1, -1), (-1, 1), ()]),
    st.sampled_from(["float32", "float64", "int64", "bool", "complex64", "float16", "uint8"]),
    st.booleans(),
)
def test_texts_of_random_tensors(values, shape, dtype, tracked):
    found = []
    for torch in (ours, theirs):
        array = np.array(values if shape else values[:1], dtype=np.float32)
        array = np.nan_to_num(array, posinf=7, neginf=-7).clip(0, 100) if dtype in ("int64", "uint8") else array
        with np.errstate(all="ignore"):
            array = (array + 1j * array[::-1] if dtype == "complex64" else array).astype(dtype)
        x = torch.tensor(array).reshape(shape)
        if tracked and x.is_floating_point():
            x.requires_grad_()
            x = x * 1 if len(values) % 2 else x
        found.append(repr(x))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "shape", [(0,), (0, 3), (2, 0), (1100,), (40, 50), (3, 4, 5), (2, 1, 1, 3), (1, 2000), (30, 2, 30)]
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_texts_of_shapes(shape, dtype):
    array = (np.arange(np.prod(shape)).reshape(shape) * 1.37 % 100).astype(dtype)
    assert repr(ours.tensor(array)) == repr(theirs.tensor(array))
    assert str(ours.tensor(array).T if array.ndim == 2 else 0) == str(theirs.tensor(array).T if array.ndim == 2 else 0)


@pytest.mark.parametrize(
    "options",
    [{"precision": 2}, {"threshold": 5}, {"edgeitems": 1, "threshold": 3}, {"linewidth": 40}, {"sci_mode": True},
     {"sci_mode": False}, {"profile": "short"}, {"profile": "full"}, {"profile": "default"}],
)  # fmt: skip
def test_print_options(options):
    values = np.array([[0.001234, 123456.789, -1.0], [1e-7, 2.0, 3.5]])
    texts = []
    for torch in (ours, theirs):
        torch.set_printoptions(**options)
        try:
            texts.append(repr(torch.tensor(values)) + repr(torch.arange(20.0)) + f"{torch.tensor(1.23456):.2f}")
        finally:
            torch.set_printoptions(profile="default", sci_mode=None)
    assert texts[0] == texts[1]


def test_formats(torch):
    assert f"{torch.tensor(2.5):.3f}" == "2.500" and f"{torch.tensor(3)}" == "3"
    tracked = torch.nn.Parameter(torch.tensor(1.0))
    assert f"{tracked}" == repr(tracked) and f"{torch.ones(2)}" == "tensor([1., 1.])"
    for refused in (torch.ones(2), tracked):
        with pytest.raises(TypeError, match="unsupported format string"):
            format(refused, ".2f")
