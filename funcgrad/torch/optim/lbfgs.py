"""LBFGS around a closure: the direction and the line search are the pure ones of `funcgrad.optim`, driven by a Python loop.

State is PyTorch's: the last direction and step, and the pairs of differences as lists, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import optim as rules
from funcgrad.api.jit import jit
from funcgrad.torch.inplace import store
from funcgrad.torch.modes import enable_grad, no_grad
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.optim.optimizer import Optimizer, check_lr
from funcgrad.torch.tensor import Tensor, concrete, make

_begin = jit(rules.begin_wolfe)
_advance = jit(rules.advance_wolfe)


@operation("LBFGSDirection", method=False, name="lbfgs_direction")
def _direction(gradient: Operand, previous: Operand, step: Operand, steps: Operand, changes: Operand, weights: Operand,
               gamma: Operand, pairs: Operand) -> Any:  # fmt: skip
    """The direction of descent, then the change of the gradient, its weight, the new gamma and the new number of pairs."""
    # The rule takes differences of parameters; they are `step` from an origin of 0.
    count, origin = pairs * 0 + 1, step * 0
    known = rules.ScaleByLBFGSState(count, pairs, origin, previous, steps, changes, weights, gamma)
    rule = rules.scale_by_lbfgs(steps.shape[0], first_norm=1)
    updates, new = rule.update(gradient, known, step)
    return -updates, gradient - previous, new.weights[pairs % steps.shape[0]], new.gamma, new.pairs


class LBFGS(Optimizer):
    """Limited-memory BFGS (Liu & Nocedal, 1989): `step(closure)` makes up to `max_iter` iterations.

    The closure clears the gradients, computes the loss, calls `backward` and returns the loss. line_search_fn: None for steps
    of length lr, or "strong_wolfe". max_eval: evaluations of the closure in one step (None: max_iter * 5 // 4).
    """

    def __init__(self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7,
                 tolerance_change: float = 1e-9, history_size: int = 100, line_search_fn: str | None = None):  # fmt: skip
        if isinstance(lr, Tensor) and lr.numel() != 1:  # type: ignore[attr-defined]
            raise ValueError("Tensor lr must be 1-element")
        check_lr(lr)
        Optimizer.__init__(self, params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        })  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over state and settings. Raises ValueError where groups or their sizes differ."""
        Optimizer.load_state_dict(self, state_dict)
        self._params = self.param_groups[0]["params"]

    # ---- parameters and gradients as one real vector ----

    def _gradient(self) -> np.ndarray:
        flat = []
        for p in self._params:
            array = np.zeros_like(p._array) if p.grad is None else concrete(p.grad, "LBFGS.step")
            flat.append(_as_real(array))
        return np.concatenate(flat)

    def _moved(self, origin: list[np.ndarray], vector: np.ndarray) -> None:
        """Sets the parameters to `origin` plus a vector."""
        at = 0
        for p, start in zip(self._params, origin, strict=True):
            n = start.size
            moved = (start + vector[at : at + n]).astype(start.dtype, copy=False)
            store(p, moved.view(p._array.dtype).reshape(p._array.shape))
            at += n

    # ---- the step ----

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimises by up to `max_iter` iterations; gives the loss before the first."""
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        if self.param_groups[0]["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        for hook in list(self._step_pre_hooks.values()):
            hook(self, (closure,), {})

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        with no_grad():
            loss = evaluate()
            known = self.state[self._params[0]]
            known["func_evals"] = known.get("func_evals", 0) + 1
            known.setdefault("n_iter", 0)
            gradient = self._gradient()
            if not _largest(gradient) <= self.param_groups[0]["tolerance_grad"]:
                self._iterate(known, evaluate, float(loss), gradient)
        for hook in list(self._step_post_hooks.values()):
            hook(self, (closure,), {})
        return loss

    def _iterate(self, known: dict[str, Any], evaluate: Callable[[], Any], loss: float, gradient: np.ndarray) -> None:
        group = self.param_groups[0]
        change, evaluations = group["tolerance_change"], 1
        for iteration in range(1, group["max_iter"] + 1):
            known["n_iter"] += 1
            direction = self._next_direction(known, gradient)
            known["prev_flat_grad"], known["prev_loss"] = make(gradient), loss
            before, t = loss, float(group["lr"])
            if known["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(np.abs(gradient).sum()))
            known["d"], known["t"] = make(direction), t
            slope = float(gradient @ direction)
            if slope > -change:
                return
            origin = [_as_real(np.array(concrete(p, "LBFGS.step"))) for p in self._params]
            last, count = iteration == group["max_iter"], 0
            if group["line_search_fn"] is not None:
                start = (loss, gradient, slope)
                t, loss, gradient, count = self._search(
                    evaluate, origin, direction, t, start, group["max_eval"] - evaluations
                )
                known["t"] = t
            self._moved(origin, direction * direction.dtype.type(t))
            if group["line_search_fn"] is None and not last:
                loss, count = float(evaluate()), 1
                gradient = self._gradient()
            evaluations += count
            known["func_evals"] += count
            if last or evaluations >= group["max_eval"] or _largest(gradient) <= group["tolerance_grad"]:
                return
            if _largest(direction * t) <= change or abs(loss - before) < change:
                return

    def _next_direction(self, known: dict[str, Any], gradient: np.ndarray) -> np.ndarray:
        """The direction of descent; remembers the last step and the change of the gradient along it."""
        if known["n_iter"] == 1:
            known.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -gradient
        kept, limit, kind = len(known["old_dirs"]), self.param_groups[0]["history_size"], gradient.dtype
        rows = min(limit, 1 << kept.bit_length())  # few sizes, so that few Programs are made
        memory = [_filled(known[name], rows, gradient.shape, kind) for name in ("old_stps", "old_dirs")]
        weights = _filled(known["ro"], rows, (), kind)
        step = concrete(known["d"], "LBFGS.step") * kind.type(known["t"])
        gamma = np.asarray(float(known["H_diag"]), kind)
        found = _direction(make(gradient), known["prev_flat_grad"], make(step), *map(make, memory), make(weights), make(gamma),
                           make(np.asarray(kept, np.int32)))  # fmt: skip
        direction, change, weight, new_gamma, pairs = found
        if int(pairs) > kept:
            for name, new in (("old_stps", make(step)), ("old_dirs", change), ("ro", weight)):
                known[name] = [*known[name], new][-limit:]
            known["H_diag"] = new_gamma
        return np.array(concrete(direction, "LBFGS.step"))

    def _search(self, evaluate: Callable[[], Any], origin: list[np.ndarray], direction: np.ndarray, t: float,
                start: tuple[float, np.ndarray, float], max_rounds: int) -> tuple[float, float, np.ndarray, int]:  # fmt: skip
        """A step by the strong Wolfe conditions: (its length, the loss and the gradient there, evaluations)."""
        loss, gradient, slope = start
        number = np.float64
        conditions = rules.Conditions(
            rules.Point(number(0.0), number(loss), number(slope)), gradient, number(_largest(direction)), number(1e-4),
            number(0.9), number(1e-9), np.int32(max_rounds),
        )  # fmt: skip
        search = _begin(conditions, number(t))
        while not bool(search.done):
            self._moved(origin, direction * direction.dtype.type(float(search.next)))
            value = number(evaluate())
            found = self._gradient()
            search = _advance(conditions, search, value, number(found @ direction), found)
        return float(search.low.t), float(search.low.value), np.array(search.grad), int(search.evaluations)


def _as_real(array: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _largest(vector: np.ndarray) -> float:
    return float(np.abs(vector).max(initial=0))


def _filled(rows: list[Any], count: int, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Tensors as the rows of an array, zeros after the last."""
    found = np.zeros((count, *shape), kind)
    for i, row in enumerate(rows[-count:]):
        found[i] = concrete(row, "LBFGS.step") if isinstance(row, Tensor) else row
    return found
