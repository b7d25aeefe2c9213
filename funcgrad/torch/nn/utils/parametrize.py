"""`torch.nn.utils.parametrize`: parameters computed from other tensors each time they are read.

The module gets a subclass of its own class with a property for each parametrized name; the tensors it is computed from live in
`module.parametrizations[name]`. Classes are shared by all modules with the same names, so copies do not disturb each other.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn.containers import ModuleDict, ModuleList
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter
from funcgrad.torch.tensor import Tensor

_cache: dict[tuple[int, str], Any] = {}
_depth = [0]
"""How many `cached` blocks are open."""


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Within the block each parametrized tensor is computed once, when it is read first."""
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in turn, and what they begin with.

    That is `original`, or `original0`, `original1`, ... where the first parametrization takes several tensors. unsafe: whether
    dtype and shape may change.
    """

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False):
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        ModuleList.__init__(self, modules)
        self.unsafe = unsafe
        shape, kind = original.shape, original.dtype
        with no_grad():
            new: Any = original
            for module in reversed(list(self)):
                new = _inverted(module, new, True)
        self.is_tensor = isinstance(new, Tensor)
        if self.is_tensor:
            self.ntensors = 1
            if new.dtype is not kind:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {kind}\nright_inverse(original).dtype: {new.dtype}"
                )
            # The same object stays a parameter, so that an optimiser need not be told.
            if new is not original:
                original.data = new.detach()
            _register(self, "original", original)
        else:
            self.ntensors = self._register_all(new, original)
        if not unsafe:
            _check_same("unparametrized", "parametrized", (kind, shape), self())

    def _register_all(self, new: Any, original: Tensor) -> int:
        if not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        for i, t in enumerate(new):
            if not isinstance(t, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                    f"{i} of the sequence with type {type(t).__name__}."
                )
            is_parameter = isinstance(original, Parameter)
            _register(self, f"original{i}", Parameter(t.detach(), original.requires_grad) if is_parameter else t)  # type: ignore[attr-defined]
        return len(new)

    def _originals(self) -> list[Any]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Sets the original tensors so that the parametrized one becomes `value`: what an assignment does.

        Raises RuntimeError where a parametrization has no `right_inverse`, ValueError where its results do not fit.
        """
        with no_grad():
            new: Any = value
            for module in reversed(list(self)):
                new = _inverted(module, new, False)
            if self.is_tensor and not isinstance(new, Tensor):
                raise ValueError(f"`right_inverse` should return a tensor. Got {type(new).__name__}")
            if not self.is_tensor and (not isinstance(new, Sequence) or len(new) != self.ntensors):
                got = f"a sequence of length {len(new)}" if isinstance(new, Sequence) else type(new).__name__
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got {got}."
                )
            for own, t in zip(self._originals(), [new] if self.is_tensor else new, strict=True):
                if own.dtype is not t.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {t.dtype} while `original` has dtype {own.dtype}"
                    )
                own.data = t.detach()

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        first, *rest = list(self)
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _inverted(module: Module, value: Any, lenient: bool) -> Any:
    """What a parametrization's `right_inverse` gives; without one the value itself, if that will do."""
    inverse = getattr(module, "right_inverse", None)
    if inverse is None:
        if lenient:
            return value
        raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
    try:
        return inverse(value)
    except NotImplementedError:
        if lenient:
            return value
        raise


def _check_same(before: str, after: str, want: tuple[Any, Any], found: Any) -> None:
    if not isinstance(found, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(found).__name__}.")
    for what, a, b in zip(("dtype", "shape"), want, (found.dtype, found.shape), strict=True):
        if a != b:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is enabled.\n"
                f"{before} {what}: {a}\n{after} {what}: {b}"
            )


def _register(module: Module, name: str, value: Any) -> None:
    (module.register_parameter if isinstance(value, Parameter) else module.register_buffer)(name, value)


# ---- the class of a parametrized module ----


def _refuse_state(self: Any) -> Any:
    raise RuntimeError("Serialization of parametrized modules is only supported through state_dict().")


def _deep_copy(self: Any, memo: dict[int, Any]) -> Any:
    made = memo[id(self)] = object.__new__(type(self))
    made.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return made


def _property(name: str) -> property:
    def read(self: Any) -> Tensor:
        if not _depth[0]:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


@functools.cache
def _parametrized_class(base: type, names: tuple[str, ...]) -> type:
    members: dict[str, Any] = {name: _property(name) for name in names}
    members |= {"__getstate__": _refuse_state, "__module__": base.__module__, "__doc__": base.__doc__}
    if getattr(base, "__deepcopy__", None) is None:
        members["__deepcopy__"] = _deep_copy
    return type(f"Parametrized{base.__name__}", (base,), members)


def _set_class(module: Module, base: type) -> None:
    names = tuple(module.parametrizations)
    module.__class__ = _parametrized_class(base, names) if names else base


# ---- what is called ----


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or (None) any of them, is parametrized."""
    known = module._modules.get("parametrizations")
    if not isinstance(known, ModuleDict):
        return False
    return len(known) > 0 if tensor_name is None else tensor_name in known


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before any of its tensors was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Lets `module.<tensor_name>` be `parametrization(original)` from now on; a second one applies to the first one's result.

    If the parametrization has a `right_inverse`, that gives the original tensor or tensors, and the name can be assigned to.
    unsafe: dtype and shape may change, and are not checked. Raises ValueError for names of no tensor and for results that do
    not fit.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_second(getattr(module, tensor_name), parametrization)
        known = module.parametrizations[tensor_name]
        known.append(parametrization)
        known.unsafe = known.unsafe or unsafe
    elif tensor_name in module._parameters or tensor_name in module._buffers:
        base = type_before_parametrizations(module)
        made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
        module.parametrizations[tensor_name] = made
        _set_class(module, base)
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def _check_second(now: Tensor, parametrization: Module) -> None:
    """Raises ValueError unless a parametrization and its inverse keep dtype and shape."""
    want = (now.dtype, now.shape)
    after = parametrization(now)
    _check_same("present", "new", want, after)
    back = _inverted(parametrization, after, True)
    if not isinstance(back, Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
    for what, a, b in zip(("dtype", "shape"), want, (back.dtype, back.shape), strict=True):
        if a != b:
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {what} as the tensor, unless the "
                f"`unsafe` flag is enabled.\npresent {what}: {a}\nreturned {what}: {b}"
            )


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes a parametrized tensor a plain one again: with its present value, or else with the original one.

    Raises ValueError for a tensor that is not parametrized, and for several originals without leave_parametrized.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    known = module.parametrizations[tensor_name]
    if known.is_tensor:
        original = known.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence of "
            "tensors."
        )
    base = type_before_parametrizations(module)
    del module.parametrizations[tensor_name]
    _set_class(module, base)
    if not is_parametrized(module):
        del module.parametrizations
    _register(module, tensor_name, original)
    return module


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives `to_module` the parametrizations of `from_module`, or those of one name, with the same original tensors."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        known = from_module.parametrizations[name]
        if name not in to_module._parameters and not is_parametrized(to_module, name):
            to_module.register_parameter(name, Parameter(getattr(from_module, name).detach()))
        for parametrization in known:
            register_parametrization(to_module, name, parametrization)
        for key, value in [*known._parameters.items(), *known._buffers.items()]:
            setattr(to_module.parametrizations[name], key, value)
    return to_module
