"""Module: a tree of parameters, buffers and submodules with a `forward`, under PyTorch's rules of registration."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from funcgrad.torch import dtypes
from funcgrad.torch.modes import state
from funcgrad.torch.nn.parameter import Buffer, Parameter, is_lazy
from funcgrad.torch.node import HookDict, RemovableHandle
from funcgrad.torch.ops.copies import copy_, to_copy
from funcgrad.torch.ops.views import detach
from funcgrad.torch.tensor import Tensor, make

_STORES = ("_parameters", "_buffers", "_modules")
structure = itertools.count()
"""Counts changes of the structure of any module."""
current_structure = [0]


class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` found to differ."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _changed() -> None:
    current_structure[0] = next(structure) + 1


class Module:
    """Base of all networks. Subclasses write `__init__` (calling this one first) and `forward`."""

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    dump_patches = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        d = self.__dict__
        d["training"] = True
        d["_parameters"], d["_buffers"], d["_modules"] = {}, {}, {}
        d["_non_persistent"] = set()
        for name in ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks",
                     "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"):  # fmt: skip
            d[name] = HookDict()
        d["_hook_options"] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass has its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # ---- calling ----

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None:
            state.recorder.guard(lambda: self.training)
            state.recorder.guard(lambda: current_structure[0])
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: Any, kwargs: Any) -> Any:
        options = self._hook_options
        for key, hook in list(self._forward_pre_hooks.items()):
            if options.get(key):
                answer = hook(self, args, kwargs)
                if answer is not None:
                    args, kwargs = answer
            else:
                answer = hook(self, args)
                if answer is not None:
                    args = answer if isinstance(answer, tuple) else (answer,)
        watch = _BackwardWatch(self) if self._backward_hooks or self._backward_pre_hooks else None
        if watch is not None:
            args = watch.inputs(args)
        result = self.forward(*args, **kwargs)
        for key, hook in list(self._forward_hooks.items()):
            answer = hook(self, args, kwargs, result) if options.get(key) else hook(self, args, result)
            if answer is not None:
                result = answer
        return result if watch is None else watch.outputs(result)

    # ---- attributes ----

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in d:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in d:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            d["_modules"][name] = value
            _changed()
        elif "_parameters" in d and name in d["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif "_modules" in d and name in d["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            d["_modules"][name] = value
            _changed()
        elif isinstance(value, Buffer) or ("_buffers" in d and name in d["_buffers"]):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)"
                )
            d["_buffers"][name] = value
            _changed()
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: str) -> None:
        self.__dict__.pop(name, None)
        for store in _STORES:
            if store != keep:
                self.__dict__[store].pop(name, None)

    def __getattr__(self, name: str) -> Any:
        for store in _STORES:
            found = self.__dict__.get(store)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for store in _STORES:
            if name in self.__dict__[store]:
                del self.__dict__[store][name]
                self._non_persistent.discard(name)
                _changed()
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._buffers, *self._modules})

    def _check_name(self, name: str, kind: str, store: str) -> None:
        if store not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got {name!r}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[store] and (name in self.__dict__ or hasattr(type(self), name)):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Any) -> None:
        """Adds a parameter, or None in the place of one."""
        self._check_name(name, "parameter", "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                f"explicitly. To express '{name}' "
                "as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param
        _changed()

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Adds a tensor that is state but no parameter; one that is not persistent stays out of `state_dict`."""
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)
        _changed()

    def add_module(self, name: str, module: Any) -> None:
        """Adds a child module."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{module!r} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._modules[name] = module
        _changed()

    register_module = add_module

    # ---- the tree ----

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        return (m for _, m in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of those directly below, each once."""
        seen: set[int] = set()
        for name, m in self._modules.items():
            if m is not None and id(m) not in seen:
                seen.add(id(m))
                yield name, m

    def modules(self) -> Iterator[Module]:
        """This module and all below, each once."""
        return (m for _, m in self.named_modules())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, module) of this module and all below."""
        seen = set() if memo is None else memo
        if self in seen:
            return
        if remove_duplicate:
            seen.add(self)
        yield prefix, self
        for name, m in self._modules.items():
            if m is not None:
                yield from m.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named(self, store: str, prefix: str, recurse: bool, unique: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=unique) if recurse else [(prefix, self)]
        for path, module in owners:
            for name, value in module.__dict__[store].items():
                if value is None or (unique and id(value) in seen):
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, parameter), each once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, buffer), each once."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name. Raises AttributeError if there is none."""
        module: Module = self
        for part in target.split(".") if target else ():
            if part not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no attribute `{part}`")
            module = module._modules[part]
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._parameters:
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        return owner._parameters[name]

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        return owner._buffers[name]

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Calls fn on every module below, then on this one."""
        for m in self.children():
            m.apply(fn)
        fn(self)
        return self

    # ---- modes and conversion ----

    def train(self, mode: bool = True) -> Any:
        """Sets training mode here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for m in self.modules():
            m.__dict__["training"] = mode
        return self

    def eval(self) -> Any:
        """Sets evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Sets requires_grad of all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Sets all gradients to None, or fills them with zeros."""
        clear_gradients(self.parameters(), set_to_none)

    def _converted(self, fn: Callable[[Tensor], Tensor]) -> Any:
        for m in self.modules():
            for p in m._parameters.values():
                if p is not None:
                    p.data = fn(p.data)
                    if p._grad is not None:
                        p._grad = fn(p._grad.data)
            for name, b in m._buffers.items():
                if is_lazy(b):
                    b.data = fn(b.data)  # type: ignore[union-attr]
                elif b is not None:
                    m._buffers[name] = fn(b)
        _changed()
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Moves to a dtype; devices other than the CPU raise RuntimeError."""
        kind = kwargs.get("dtype")
        for a in (*args, kwargs.get("device"), kwargs.get("tensor")):
            if isinstance(a, dtypes.dtype):
                kind = a
            elif isinstance(a, Tensor):
                kind = a.dtype
            elif isinstance(a, (str, dtypes.device)):
                dtypes.device(a)
        if kind is None:
            return self
        return self._converted(lambda t: to_copy(t, kind) if t._array.dtype.kind in "fc" and t.dtype is not kind else t)

    def float(self) -> Any:
        """Floating parameters and buffers as float32."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """Floating parameters and buffers as float64."""
        return self.to(dtypes.float64)

    def half(self) -> Any:
        """Floating parameters and buffers as float16."""
        return self.to(dtypes.float16)

    def type(self, dst_type: Any) -> Any:
        """All parameters and buffers in a dtype."""
        return self._converted(lambda t: to_copy(t, dst_type) if t.dtype is not dst_type else t)

    def cpu(self) -> Any:
        """The module itself."""
        return self

    def cuda(self, device: Any = None) -> Any:
        """Raises RuntimeError: there is no GPU here."""
        dtypes.device("cuda")

    def share_memory(self) -> Any:
        """The module itself: memory is shared between threads anyway."""
        return self

    # ---- state ----

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Parameters and persistent buffers by dotted name: tensors over the same memory, without history."""
        found: Any = OrderedDict() if destination is None else destination
        if not hasattr(found, "_metadata") and isinstance(found, OrderedDict):
            found._metadata = OrderedDict()  # type: ignore[attr-defined]
        for name, p in self._parameters.items():
            if p is not None:
                found[prefix + name] = p if keep_vars or is_lazy(p) else detach(p)
        for name, b in self._buffers.items():
            if b is not None and name not in self._non_persistent:
                found[prefix + name] = b if keep_vars or is_lazy(b) else detach(b)
        extra = type(self).get_extra_state
        if extra is not Module.get_extra_state:
            found[prefix + "_extra_state"] = self.get_extra_state()
        for name, m in self._modules.items():
            if m is not None:
                m.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            answer = hook(self, found, prefix, {})
            found = found if answer is None else answer
        return found

    def get_extra_state(self) -> Any:
        """What a module wants to keep beside tensors; overridden by those that do."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Takes back what `get_extra_state` gave."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
                              unexpected_keys: list[str], error_msgs: list[str], assign: bool = False) -> None:  # fmt: skip
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        kept = {n: b for n, b in self._buffers.items() if n not in self._non_persistent}
        for name, own in [*self._parameters.items(), *kept.items()]:
            if own is None:
                continue
            key = prefix + name
            given = state_dict.get(key)
            if given is None:
                missing_keys.append(key)
            elif not isinstance(given, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
                    f"but received {given.__class__}"
                )
            elif is_lazy(own) and is_lazy(given):
                continue
            elif is_lazy(given):
                error_msgs.append(
                    f'While copying the parameter named "{key}", an uninitialized parameter came; initialize it first.'
                )
            elif given._array.shape != own._array.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the "
                    f"shape in current model is "
                    f"{own.shape}."
                )
            elif assign:
                self.__dict__["_parameters" if name in self._parameters else "_buffers"][name] = (
                    Parameter(given, own.requires_grad) if isinstance(own, Parameter) else given
                )
            else:
                before, state.grad = state.grad, False
                try:
                    copy_(own, given)
                finally:
                    state.grad = before
        if prefix + "_extra_state" in state_dict and type(self).set_extra_state is not Module.set_extra_state:
            self.set_extra_state(state_dict[prefix + "_extra_state"])

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies tensors into parameters and buffers of the same names.

        Raises RuntimeError that lists every missing, unexpected (strict) and mis-shaped key; then nothing was loaded of these.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        state_dict = OrderedDict(state_dict)  # hooks may rename keys in it
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        known: set[str] = set()
        for path, m in self.named_modules(remove_duplicate=False):
            prefix = path + "." if path else ""
            m._load_from_state_dict(state_dict, prefix, {}, strict, missing, unexpected, errors, assign)
            known |= {prefix + n for n in (*m._parameters, *m._buffers, "_extra_state") if n not in m._non_persistent}
        unexpected += [k for k in state_dict if k not in known]
        found = IncompatibleKeys(missing, unexpected)
        for m in self.modules():
            for hook in list(m._load_state_dict_post_hooks.values()):
                hook(m, found)
        if strict and unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
        if strict and missing:
            errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        return found

    # ---- hooks ----

    def _hooked(self, store: Any, hook: Any, with_kwargs: bool = False, prepend: bool = False) -> RemovableHandle:
        handle = RemovableHandle(store, hook)
        if with_kwargs:
            self._hook_options[handle.id] = True
        if prepend:
            items = list(store.items())
            store.clear()
            store.update([items[-1], *items[:-1]])
        return handle

    def register_forward_pre_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args) before forward; what it returns replaces the arguments."""
        return self._hooked(self._forward_pre_hooks, hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args, output) after forward; what it returns replaces the output."""
        return self._hooked(self._forward_hooks, hook, with_kwargs, prepend)

    def register_full_backward_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Calls hook(module, grad_input, grad_output) when the gradients of the inputs are known."""
        return self._hooked(self._backward_hooks, hook, prepend=prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Calls hook(module, grad_output) before the gradients of the inputs are computed."""
        return self._hooked(self._backward_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, metadata) at the end of `state_dict`."""
        return self._hooked(self._state_dict_hooks, hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Any) -> RemovableHandle:
        """Calls hook(module, state_dict, ...) before `load_state_dict` looks at this module."""
        return self._hooked(self._load_state_dict_pre_hooks, functools.partial(hook, self))

    def register_load_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Calls hook(module, incompatible_keys) after `load_state_dict`."""
        return self._hooked(self._load_state_dict_post_hooks, hook)

    # ---- text ----

    def extra_repr(self) -> str:
        """What stands between the parentheses of the module's line."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        head = extra.split("\n") if extra else []
        lines = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        both = head + lines
        if not both:
            return self._get_name() + "()"
        if len(head) == 1 and not lines:
            return f"{self._get_name()}({head[0]})"
        return f"{self._get_name()}(\n  " + "\n  ".join(both) + "\n)"

    def __setstate__(self, found: dict[str, Any]) -> None:
        self.__dict__.update(found)


class _BackwardWatch:
    """Calls a module's backward hooks: identities around its inputs and outputs carry them."""

    def __init__(self, module: Module):
        self.module = module
        self.grad_output: list[Any] = []
        self.grad_input: list[Any] = []
        self.count = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, with hooks that collect their gradients."""
        found = []
        self.grad_input = [None] * len(args)
        for i, a in enumerate(args):
            if isinstance(a, Tensor) and a.requires_grad:
                a = a.view(a._array.shape)  # type: ignore[attr-defined]
                a.register_hook(functools.partial(self._on_input, i))
                self.count += 1
            found.append(a)
        return tuple(found)

    def _on_input(self, number: int, grad: Tensor) -> Any:
        self.grad_input[number] = grad
        self.count -= 1
        if self.count > 0:
            return None
        given = tuple(self.grad_input)
        for hook in list(self.module._backward_hooks.values()):
            answer = hook(self.module, given, tuple(self.grad_output))
            if answer is not None:
                given = answer if isinstance(answer, tuple) else (answer,)
        return given[number]

    def outputs(self, result: Any) -> Any:
        """The outputs, with hooks that keep their gradients."""
        single = not isinstance(result, tuple)
        listed = [result] if single else list(result)
        self.grad_output = [None] * len(listed)
        for i, t in enumerate(listed):
            if isinstance(t, Tensor) and t.requires_grad:
                listed[i] = t = t.view(t._array.shape)  # type: ignore[attr-defined]
                t.register_hook(functools.partial(self._on_output, i))
        return listed[0] if single else tuple(listed)

    def _on_output(self, number: int, grad: Tensor) -> Any:
        self.grad_output[number] = grad
        for hook in list(self.module._backward_pre_hooks.values()):
            answer = hook(self.module, tuple(self.grad_output))
            if answer is not None:
                self.grad_output = list(answer) if isinstance(answer, tuple) else [answer]
        if self.count == 0:
            for hook in list(self.module._backward_hooks.values()):
                hook(self.module, tuple(self.grad_input), tuple(self.grad_output))
        return self.grad_output[number]


def clear_gradients(parameters: Any, set_to_none: bool) -> None:
    """Sets gradients to None, or fills them with zeros; None stays None."""
    for p in parameters:
        if set_to_none:
            if state.recorder is not None:
                state.recorder.note_grad(p, True)
            p._grad = None
        elif p.grad is not None:
            g = p.grad
            if g.grad_fn is not None:
                g.detach_()
            else:
                g.requires_grad_(False)
            g.zero_()


_ = np, make
