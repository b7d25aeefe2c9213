"""Checkpoints that are damaged or malicious: refused by name, and nothing of them is run."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")

REFUSED = (pickle.UnpicklingError, RuntimeError)


def checkpoint(torch):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "epoch": 3, "names": ["a", "b"], "rate": 0.5}, file)
    return file.getvalue()


def with_pickle(data, whole):
    """The archive with another data.pkl."""
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(found, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("data.pkl") else old.read(name))
    return io.BytesIO(found.getvalue())


def pickled(whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
        return archive.read(name)


@pytest.mark.parametrize("torch", [theirs, ours])
def test_a_truncated_file_is_refused(torch):
    whole = checkpoint(torch)
    assert ours.load(io.BytesIO(whole))["epoch"] == 3
    for length in (0, 1, 3, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        with pytest.raises(REFUSED):
            ours.load(io.BytesIO(whole[:length]))


@pytest.mark.parametrize("torch", [theirs, ours])
def test_altered_bytes_are_refused_or_change_values_only(torch):
    whole, rng = checkpoint(torch), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        altered = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            altered[at] ^= 1 << rng.integers(8)
        try:
            ours.load(io.BytesIO(bytes(altered)))
        except REFUSED:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("torch", [theirs, ours])
def test_an_altered_pickle_is_refused_or_read_without_a_trace(torch):
    whole, rng = checkpoint(torch), np.random.default_rng(1)
    data = pickled(whole)
    refused = 0
    for _ in range(300):
        altered = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            altered[at] = rng.integers(256)
        try:
            ours.load(with_pickle(bytes(altered), whole))
        except REFUSED:
            refused += 1
    assert refused > 50


class Command:
    """What a malicious file would like to have run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_command_is_refused_by_name_wherever_it_hides(tmp_path):
    path = str(tmp_path / "made")
    whole = checkpoint(ours)
    for hidden in (
        Command(path),
        {"model": [1, (2, Command(path))]},
        OrderedDict(a=Command(path)),
        {Command(path).__reduce__()[1]: Command(path)},
    ):
        for protocol in (0, 2, 4):
            with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL (posix|nt|os)\.mkdir was not an allowed"):
                ours.load(with_pickle(pickle.dumps(hidden, protocol), whole))
    assert not os.path.exists(path)


NAMES = [
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("__builtin__", "exec"),
    ("os", "system"),
    ("numpy", "load"),
    ("torch", "load"),
    ("torch.nn.modules.linear", "Linear"),
    ("funcgrad.torch.serialization", "add_safe_globals"),
    ("collections", "OrderedDict.fromkeys"),
]


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_refused_whether_called_or_not(name):
    whole = checkpoint(ours)
    for data in (
        b"\x80\x02c%s\n%s\n." % (name[0].encode(), name[1].encode()),
        b"c%s\n%s\n(S'1+1'\ntR." % (name[0].encode(), name[1].encode()),
        b"(S'1+1'\ni%s\n%s\n." % (name[0].encode(), name[1].encode()),
    ):
        with pytest.raises(pickle.UnpicklingError, match=f"GLOBAL {name[0]}.{name[1]} was not an allowed"):
            ours.load(with_pickle(data, whole))


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"ctorch\nfloat32\n", "dtype"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n", "_rebuild_tensor"),
        (b"ctorch.nn.parameter\nParameter\n", "Parameter"),
        (b"ctorch\nSize\n", "Size"),
    ],
)
def test_attributes_of_our_functions_and_classes_cannot_be_set(target, shown):
    whole = checkpoint(ours)
    before = {name: getattr(ours.nn.Parameter, name) for name in ("numpy", "__repr__")}
    for state in (b"(dS'numpy'\nI1\ns", b"(N(dS'numpy'\nI1\nst", b"(N(dS'__defaults__'\n(I1\nI2\ntst"):
        with pytest.raises(pickle.UnpicklingError, match=f"sets attributes of '{shown}"):
            ours.load(with_pickle(target + state + b"b.", whole))
    assert before == {name: getattr(ours.nn.Parameter, name) for name in before}
    assert ours.float32.numpy == np.float32
    assert ours.load(io.BytesIO(whole))["rate"] == 0.5


def tensor_file(size, stride, offset=0, elements=4, storage="FloatStorage", key="0"):
    """An archive with one tensor of these measures over 16 bytes."""
    data = b"".join([
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\n", storage.encode(), b"\nS'", key.encode(), b"'\nS'cpu'\nI",
        str(elements).encode(), b"\ntQI", str(offset).encode(), b"\n", pickle.dumps(size, 0)[:-1], pickle.dumps(stride, 0)[:-1],
        b"I00\nccollections\nOrderedDict\n(tRtR.",
    ])  # fmt: skip
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", np.arange(4, dtype=np.float32).tobytes())
    return io.BytesIO(found.getvalue())


def test_tensors_must_lie_within_their_memory():
    np.testing.assert_array_equal(ours.load(tensor_file((2, 2), (2, 1))).numpy(), [[0, 1], [2, 3]])
    for bad in (
        {"size": (5,), "stride": (1,)},
        {"size": (2, 2), "stride": (3, 1)},
        {"size": (2,), "stride": (1,), "offset": 3},
        {"size": (2,), "stride": (1,), "offset": -1},
        {"size": (2,), "stride": (-1,), "offset": 2},
        {"size": (-2,), "stride": (1,)},
        {"size": (2,), "stride": (1, 1)},
        {"size": (2,), "stride": (10**30,)},
        {"size": (4,), "stride": (1,), "elements": 5},
        {"size": (4,), "stride": (1,), "elements": 10**18},
        {"size": (4,), "stride": (1,), "key": "1"},
        {"size": (4,), "stride": (1,), "key": "../../etc/passwd"},
        {"size": (2,), "stride": (1,), "storage": "DoubleStorages"},
    ):
        with pytest.raises(pickle.UnpicklingError):
            ours.load(tensor_file(**bad))


class Own:
    """A class of the user's."""

    def __init__(self, a):
        self.a = a


def test_a_class_that_the_user_allows_is_read_with_its_attributes():
    whole = checkpoint(ours)
    data = pickle.dumps({"own": Own(3)}, 2)
    with pytest.raises(pickle.UnpicklingError, match="GLOBAL .*Own was not an allowed"):
        ours.load(with_pickle(data, whole))
    ours.serialization.add_safe_globals([Own])
    assert ours.load(with_pickle(data, whole))["own"].a == 3


def test_state_dicts_keep_their_metadata():
    state = theirs.nn.BatchNorm1d(2).state_dict()
    file = io.BytesIO()
    theirs.save(state, file)
    file.seek(0)
    assert ours.load(file)._metadata == state._metadata


@pytest.mark.parametrize("length", [0, 7, 9, 40, 200])
def test_a_damaged_safetensors_file_is_refused(tmp_path, length):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    ours.serialization.save_file({"a": ours.ones(4, 5), "b": ours.arange(3)}, path)
    whole = path.read_bytes()
    assert ours.load(path)["b"].tolist() == [0, 1, 2]
    path.write_bytes(whole[:length])
    with pytest.raises(REFUSED, match="damaged"):
        ours.load(path)
