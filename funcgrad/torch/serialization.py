"""`torch.save` and `torch.load`: PyTorch's zip files, written and read without PyTorch; and safetensors files.

Reading runs no code: the unpickler knows tensors, containers, numbers, strings and a few types of PyTorch's, and refuses
everything else by name, as PyTorch does with weights_only=True.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from funcgrad.ops.families import LazyModule
from funcgrad.torch import dtypes
from funcgrad.torch.nn.parameter import Parameter
from funcgrad.torch.tensor import Tensor, concrete, make, memory_of

safetensors: Any = LazyModule("safetensors.numpy")

_STORAGES = {d.title + "Storage": d.numpy for d in dtypes.ALL}
_STORAGES["BFloat16Storage"] = np.dtype(np.uint16)
File = str | os.PathLike[str] | BinaryIO


# ---- writing ----


class _Global:
    """A name in a module of PyTorch's, written without importing it."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> Any:
        raise AssertionError(f"{self.module}.{self.name} is called by the reader of the file")


class _Storage:
    """The memory of a tensor, as a file of the archive."""

    def __init__(self, key: str, kind: np.dtype, size: int):
        self.key, self.kind, self.size = key, kind, size


class _Call:
    """A call that the reader makes: function, arguments."""

    def __init__(self, function: _Global, arguments: tuple[Any, ...]):
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


class _Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Python's pickler (the C one cannot write names of modules that are not there) with tensors as PyTorch writes them."""

    def __init__(self, file: BinaryIO):
        pickle._Pickler.__init__(self, file, 2)  # type: ignore[attr-defined]
        self.arrays: dict[str, np.ndarray] = {}
        self.known: dict[int, tuple[_Storage, np.ndarray]] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        """Writes one object."""
        if isinstance(obj, _Global):
            return self.write(  # type: ignore[attr-defined]
                b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n"
            )
        if isinstance(obj, Tensor):
            obj = self._tensor(obj)
        elif isinstance(obj, dtypes.dtype):
            return self.write(b"ctorch\n" + obj.name.encode() + b"\n")  # type: ignore[attr-defined]
        elif isinstance(obj, dtypes.Size):
            obj = _Call(_Global("torch", "Size"), (tuple(obj),))
        elif isinstance(obj, dtypes.device):
            obj = _Call(_Global("torch", "device"), (str(obj),))
        return pickle._Pickler.save(self, obj, save_persistent_id)  # type: ignore[attr-defined]

    def persistent_id(self, obj: Any) -> Any:
        """How a storage is referred to."""
        if isinstance(obj, _Storage):
            title = dtypes.from_numpy_dtype(obj.kind).title
            return ("storage", _Global("torch", title + "Storage"), obj.key, "cpu", obj.size)
        return None

    def _tensor(self, t: Tensor) -> _Call:
        array = concrete(t, "torch.save")
        owner = memory_of(array)
        if owner.dtype != array.dtype or not owner.flags.c_contiguous:
            owner = array = np.ascontiguousarray(array)
        storage = self._storage(owner)
        offset = (array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // max(array.itemsize, 1)
        strides = tuple(s // array.itemsize for s in array.strides)
        requires = bool(t.requires_grad)
        made = _Call(
            _Global("torch._utils", "_rebuild_tensor_v2"),
            (storage, int(offset) if array.size else 0, tuple(array.shape), strides, requires, OrderedDict()),
        )
        if isinstance(t, Parameter):
            plain = _Call(made.function, (*made.arguments[:4], False, OrderedDict()))
            return _Call(_Global("torch._utils", "_rebuild_parameter"), (plain, requires, OrderedDict()))
        return made

    def _storage(self, owner: np.ndarray) -> _Storage:
        found = self.known.get(id(owner))
        if found is None:
            key = str(len(self.arrays))
            self.arrays[key] = owner
            found = self.known[id(owner)] = (_Storage(key, owner.dtype, owner.size), owner)
        return found[0]


def save(
    obj: Any, f: File, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True
) -> None:
    """Writes tensors, modules' state dicts and containers of them to a file that PyTorch reads too.

    Tensors over one memory share it in the file. Raises PicklingError for objects that the reader would refuse.
    """
    if hasattr(f, "write"):
        return _write(obj, f)  # type: ignore[arg-type]
    temporary = f"{os.fspath(f)}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            _write(obj, file)
        os.replace(temporary, f)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return None


def _write(obj: Any, file: BinaryIO) -> None:
    body = io.BytesIO()
    pickler = _Pickler(body)
    pickler.dump(obj)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", body.getvalue())
        archive.writestr("archive/byteorder", sys.byteorder)
        for key, array in pickler.arrays.items():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", "3\n")


# ---- reading ----


def _rebuild_tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], requires_grad: bool = False,
                    hooks: Any = None, metadata: Any = None) -> Tensor:  # fmt: skip
    need = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1 if 0 not in size else 0
    if need > storage.size or offset < 0 or any(s < 0 for s in stride):
        raise pickle.UnpicklingError(
            f"a tensor of size {list(size)} with strides {list(stride)} does not lie within its storage of "
            f"{storage.size} elements"
        )
    item = storage.itemsize
    array = np.ndarray(size, storage.dtype, storage, offset * item if storage.size else 0, [s * item for s in stride])
    made = make(array)
    made._requires_grad = bool(requires_grad) and array.dtype.kind in "fc"
    return made


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any = None, *more: Any) -> Parameter:
    return Parameter(data, requires_grad)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): Parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("torch", "Size"): dtypes.Size,
    ("torch", "device"): dtypes.device,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "bytearray"): bytearray,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    **{("torch", d.name): d for d in dtypes.ALL},
    ("torch", "bfloat16"): dtypes.float32,
}
_safe: dict[tuple[str, str], Any] = {}


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Allows these classes or functions in files that are loaded."""
    for entry in safe_globals:
        item, name = entry if isinstance(entry, tuple) else (entry, f"{entry.__module__}.{entry.__qualname__}")
        module, _, last = name.rpartition(".")
        _safe[module, last] = item


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Knows what `_ALLOWED` names, and nothing else.

    It is Python's own: in C nothing could be said of the instruction that sets attributes, by which a file could change
    functions and classes of ours.
    """

    def __init__(self, file: BinaryIO, storages: Callable[[np.dtype, str, int, bool], np.ndarray]):
        pickle._Unpickler.__init__(self, file, encoding="utf-8")  # type: ignore[attr-defined]
        self.storages = storages

    def load_build(self) -> None:
        """Sets attributes: of the order of keys that state dicts have, and of what the user allows."""
        target = self.stack[-2]  # type: ignore[attr-defined]
        if type(target) is not OrderedDict and not any(type(target) is item for item in _safe.values()):
            shown = getattr(target, "__name__", type(target).__name__)
            raise pickle.UnpicklingError(
                f"Weights only load failed. The file sets attributes of {shown!r}, which is only done for OrderedDict and for "
                "classes that torch.serialization.add_safe_globals([...]) allows."
            )
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]

    def find_class(self, module: str, name: str) -> Any:
        """The object with this name, if it is allowed."""
        if module == "torch" and name in _STORAGES:
            return name
        if module == "torch.storage" and name in ("UntypedStorage", "TypedStorage"):
            return name
        found = _ALLOWED.get((module, name), _safe.get((module, name)))
        if found is None:
            raise pickle.UnpicklingError(
                f"Weights only load failed. Unsupported global: GLOBAL {module}.{name} was not an allowed "
                f"global by default. Nothing of "
                "the file was run. If you trust it, allow this one by torch.serialization.add_safe_globals([...])."
            )
        return found

    def persistent_load(self, saved_id: Any) -> Any:
        """A storage of the archive."""
        if not isinstance(saved_id, tuple) or len(saved_id) < 5 or saved_id[0] != "storage":
            raise pickle.UnpicklingError(f"Unknown persistent id: {saved_id!r:.200}")
        _, kind, key, _, size = saved_id[:5]
        if kind not in _STORAGES:
            raise pickle.UnpicklingError(f"a storage of type {kind!r:.100} is not supported")
        return self.storages(_STORAGES[kind], str(key), int(size), kind == "BFloat16Storage")


_Unpickler.dispatch = {**_Unpickler.dispatch, pickle.BUILD[0]: _Unpickler.load_build}  # type: ignore[attr-defined, dict-item]


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Reads a file of `save`, PyTorch's or ours, or a `.safetensors` file (as a dict of tensors).

    weights_only: always in force, whatever is passed: only tensors, containers, numbers and strings are read. bfloat16 is
    read as float32. Raises UnpicklingError for anything else and for damaged files, RuntimeError for files of other kinds.
    """
    if map_location is not None and not callable(map_location) and not isinstance(map_location, dict):
        dtypes.device(map_location)
    if not hasattr(f, "read") and os.fspath(f).endswith(".safetensors"):  # type: ignore[arg-type]
        return load_file(f)  # type: ignore[arg-type]
    if hasattr(f, "read"):
        return _read(f)  # type: ignore[arg-type]
    with open(f, "rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> Any:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return _unpickled(archive)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # whatever altered bytes make of a pickle or of an archive
        raise pickle.UnpicklingError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from None
    raise RuntimeError(
        "the file is no zip archive of torch.save: it is damaged, or older than PyTorch 1.6 (load and save it once with a newer "
        "one)"
    )


def _unpickled(archive: zipfile.ZipFile) -> Any:
    names = {n.partition("/")[2]: n for n in archive.namelist()}
    order = archive.read(names["byteorder"]).decode().strip() if "byteorder" in names else "little"
    swapped = order != sys.byteorder
    known: dict[str, np.ndarray] = {}

    def storage(kind: np.dtype, key: str, size: int, brain: bool) -> np.ndarray:
        if key not in known:
            raw = bytearray(archive.read(names[f"data/{key}"]))
            if len(raw) < size * kind.itemsize:
                raise pickle.UnpicklingError(
                    f"storage {key} holds {len(raw)} bytes, {size * kind.itemsize} were expected"
                )
            array = np.frombuffer(raw, kind, size)
            array = array.byteswap() if swapped else array
            known[key] = (array.astype(np.uint32) << 16).view(np.float32) if brain else array
        return known[key]

    return _Unpickler(io.BytesIO(archive.read(names["data.pkl"])), storage).load()


# ---- safetensors ----


def load_file(filename: str | os.PathLike[str], device: str = "cpu") -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file by name. Needs the package safetensors.

    Raises UnpicklingError for a damaged file, OSError for one that cannot be read.
    """
    library = _library()
    try:
        arrays = library.load_file(os.fspath(filename))
    except OSError:
        raise
    except Exception as error:
        raise pickle.UnpicklingError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from None
    return {name: make(np.array(array)) for name, array in arrays.items()}


def save_file(
    tensors: dict[str, Tensor], filename: str | os.PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Writes tensors by name to a `.safetensors` file. Needs the package safetensors."""
    arrays = {name: np.ascontiguousarray(concrete(t, "save_file")) for name, t in tensors.items()}
    _library().save_file(arrays, os.fspath(filename), metadata)


def _library() -> Any:
    try:
        _ = safetensors.load_file
    except ImportError:
        raise ImportError(
            "safetensors files need the package safetensors: pip install 'funcgrad[checkpoints]'."
        ) from None
    return safetensors
