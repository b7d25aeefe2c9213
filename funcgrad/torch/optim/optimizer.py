"""Optimizer: parameter groups and state around the pure rules of `funcgrad.optim`.

A step is one operation over all parameters of a group: its body runs the rule, traced with the learning rate and the state as
inputs. State is kept as PyTorch keeps it, by parameter and name, so state dicts go both ways.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import optim as rules
from funcgrad import tree
from funcgrad.torch.inplace import store
from funcgrad.torch.modes import enable_grad, state
from funcgrad.torch.nn.module import clear_gradients
from funcgrad.torch.node import HookDict, RemovableHandle
from funcgrad.torch.operation import Operand, Operands, operation
from funcgrad.torch.tensor import Tensor, concrete, make

required = object()
Rule = Callable[[Any], rules.GradientTransformationExtraArgs]
"""A rule of `funcgrad.optim` with its settings, waiting for the learning rate."""


@functools.lru_cache(maxsize=512)
def _structure(rule_key: Any, shape: tuple[int, ...], kind: np.dtype) -> tuple[Any, list[np.ndarray]]:
    """The tree and the first values of a rule's state for one parameter."""
    make_rule, settings = rule_key
    first = make_rule(1e-3, **dict(settings)).init(np.zeros(shape, kind))
    leaves, treedef = tree.flatten(first)
    return treedef, [np.array(leaf) for leaf in leaves]


@operation("OptimizerStep", method=False, name="optimizer_step")
def _step(parameters: Operands, gradients: Operands, states: Operands, lr: Operand, rule_key: Any) -> Any:
    """New parameters, then the new state's leaves of each, for one rule."""
    make_rule, settings = rule_key
    rule = make_rule(lr, **dict(settings))
    width = len(states) // len(parameters) if parameters else 0
    updated: list[Any] = []
    kept: list[Any] = []
    for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        treedef, first = _structure(rule_key, tuple(p.shape), np.dtype(p.dtype))
        mine = states[i * width : (i + 1) * width]
        # A count is kept in float32, as PyTorch's state dicts have it, and is an integer to the rule.
        before = tree.unflatten(treedef, [s.astype(f.dtype) for s, f in zip(mine, first, strict=True)])
        updates, after = rule.update(g, before, p)
        updated.append((p + updates).astype(p.dtype))
        kept += [
            a.astype(b.dtype) for a, b in zip(tree.leaves(after), states[i * width : (i + 1) * width], strict=True)
        ]
    return updated + kept


class Optimizer:
    """Base of all optimisers: `step()` updates the parameters by their `.grad`."""

    _names: Sequence[str] = ()
    """The names of the rule's state, in the order of its leaves, as PyTorch has them."""

    _counts = False
    """Whether PyTorch's state has a `step` that the rule does not need."""

    def __init__(self, params: Any, defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got {params.type()}"
            )  # type: ignore[attr-defined]
        self.defaults = defaults
        self.state: Any = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_pre_hooks, self._step_post_hooks = HookDict(), HookDict()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with settings of their own; missing settings are the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        listed = param_group["params"]
        if isinstance(listed, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets will "
                "change between runs. Please use a list instead."
            )
        found: list[Any] = [listed] if isinstance(listed, Tensor) else list(listed)
        if found and isinstance(found[0], tuple):
            param_group["param_names"] = [n for n, _ in found]
            found = [p for _, p in found]
        for p in found:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf and not p.retains_grad:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len({id(p) for p in found}) < len(found):
            raise ValueError("optimizer contains a parameter group with duplicate parameters")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if any(id(p) in known for p in found):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(
            {**param_group, "params": found, **{k: v for k, v in self.defaults.items() if k not in param_group}}
        )

    # ---- the step ----

    def rule(self, group: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The rule of `funcgrad.optim` for a group and its settings (without the learning rate)."""
        raise NotImplementedError

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        """The names of the state for a group."""
        return self._names

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates the parameters that have a gradient; `closure`, if given, computes the loss again first and is returned."""
        for hook in list(self._step_pre_hooks.values()):
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        before, state.grad = state.grad, False
        try:
            for group in self.param_groups:
                self._update(group)
        finally:
            state.grad = before
        for hook in list(self._step_post_hooks.values()):
            hook(self, (closure,), {})
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        pairs = [(p, g) for p in group["params"] if (g := p.grad) is not None]
        if not pairs:
            return
        make_rule, settings = self.rule(group)
        key = (make_rule, tuple(sorted(settings.items())))
        states = [s for p, _ in pairs for s in self._state_of(p, group, key)]
        lr = group["lr"]
        if state.recorder is not None and not isinstance(lr, Tensor):
            lr = state.recorder.number(group, "lr")
        found = _step([p for p, _ in pairs], [g for _, g in pairs], states, lr, key)
        for target, value in zip([*[p for p, _ in pairs], *states], found, strict=True):
            store(target, value._array)
        if self._counts:
            for p, _ in pairs:
                known = self.state[p]
                if "step" not in known:
                    known["step"] = make(np.zeros((), np.float32))
                known["step"].add_(1)

    def _state_of(self, p: Tensor, group: dict[str, Any], key: Any) -> list[Tensor]:
        known = self.state[p]
        names = self.names(group)
        if any(n not in known for n in names):
            _, first = _structure(key, p._array.shape, np.dtype(p._array.dtype))
            for name, value in zip(names, first, strict=True):
                known[name] = make(self.first(name, value, group))
        return [known[n] for n in names]

    def first(self, name: str, value: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        """The first value of a state; `step` counts in float32 as PyTorch's does."""
        return value.astype(np.float32) if name == "step" else np.array(value)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Sets all gradients to None, or fills them with zeros."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def register_step_pre_hook(self, hook: Any) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) before each step."""
        return RemovableHandle(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Any) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) after each step."""
        return RemovableHandle(self._step_post_hooks, hook)

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """State by number of the parameter, and the settings of the groups, as PyTorch gives them."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            groups.append(
                {
                    **{k: v for k, v in group.items() if k != "params"},
                    "params": [numbers[id(p)] for p in group["params"]],
                }
            )
        return {"state": {numbers[id(p)]: dict(s) for p, s in self.state.items() if s}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over state and settings. Raises ValueError where groups or their sizes differ."""
        groups, saved = self.param_groups, copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(groups, saved, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        owners = {
            n: p for a, b in zip(groups, saved, strict=True) for n, p in zip(b["params"], a["params"], strict=True)
        }
        self.state = defaultdict(dict)
        for number, known in state_dict["state"].items():
            p = owners[number]
            self.state[p] = {k: self._taken(k, v, p) for k, v in known.items()}
        self.param_groups = [{**b, "params": a["params"]} for a, b in zip(groups, saved, strict=True)]

    def _taken(self, name: str, value: Any, p: Tensor) -> Any:
        if not isinstance(value, Tensor):
            return make(np.float32(value).reshape(())) if name == "step" else value
        array = np.array(concrete(value, "load_state_dict"))
        return make(array if name == "step" or array.dtype.kind not in "fc" else array.astype(p._array.dtype))

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def check_lr(lr: Any) -> None:
    """Raises ValueError for a negative learning rate."""
    if not isinstance(lr, Tensor) and not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_at_least_zero(**settings: float) -> None:
    """Raises ValueError for negative settings."""
    for name, value in settings.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: Any) -> None:
    """Raises ValueError for decay rates outside of [0, 1)."""
    for i, b in enumerate(betas):
        if not 0.0 <= b < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {b}")


_ = OrderedDict
