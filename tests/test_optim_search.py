"""L-BFGS with its line searches: minima, the conditions that steps meet, limits."""

import functools
import itertools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax, optim

RNG = np.random.default_rng(0)


def rosenbrock(x, scale=100.0):
    return fnp.sum(scale * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def minimize(optimizer, f, x, steps, jit=True, **extra):
    """The last point, and what the line search found at each step."""

    def step(x, state):
        value, grad = optim.value_and_grad_from_state(f)(x, state=state, **extra)
        updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=f, **extra)
        return optim.apply_updates(x, updates), state

    step = fg.jit(step) if jit else step
    state, found = optimizer.init(x), []
    for _ in range(steps):
        x, state = step(x, state)
        found.append(state[-1])
    return x, found


def test_lbfgs_minimizes():
    start = np.array([-1.2, 1.0, -0.5, 0.8])
    x, found = minimize(optim.lbfgs(), rosenbrock, start, 45)
    np.testing.assert_allclose(x, 1.0, rtol=1e-6)
    assert sum(int(s.evaluations) for s in found[:30]) < 50
    values = [float(rosenbrock(start)), *[float(s.value) for s in found]]
    assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(values))
    same, _ = minimize(optim.lbfgs(), rosenbrock, start, 4, jit=False)
    np.testing.assert_allclose(same, minimize(optim.lbfgs(), rosenbrock, start, 4)[0], rtol=1e-9)


def test_lbfgs_in_one_compiled_loop_batched_in_float32():
    optimizer = optim.lbfgs(memory_size=5)

    def solve(x):
        def step(carry):
            x, state = carry
            value, grad = optim.value_and_grad_from_state(rosenbrock)(x, state=state)
            updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=rosenbrock)
            return optim.apply_updates(x, updates), state

        return lax.while_loop(lambda c: c[1][0].count < 60, step, (x, optimizer.init(x)))[0]

    starts = np.array([[-1.2, 1.0], [0.5, -2.0]], np.float32)
    ends = fg.jit(fg.vmap(solve))(starts)
    assert ends.dtype == np.float32
    np.testing.assert_allclose(ends, 1.0, rtol=2e-3)


def test_lbfgs_ends_where_torchs_strong_wolfe_does():
    torch = pytest.importorskip("torch")
    matrix = RNG.normal(size=(30, 5))
    target = matrix @ np.arange(5.0) + RNG.normal(size=30)
    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-10)
    A, b = torch.tensor(matrix), torch.tensor(target)

    def closure():
        theirs.zero_grad()
        value = torch.nn.functional.softplus(A @ w - b).pow(2).sum()
        value.backward()
        return value

    theirs.step(closure)
    f = lambda x: fnp.sum(fnp.logaddexp(matrix @ x - target, 0.0) ** 2) + 0.0
    x, _ = minimize(optim.lbfgs(), f, np.zeros(5), 40)
    np.testing.assert_allclose(f(x), float(closure().detach()), rtol=1e-6, atol=1e-9)


FUNCTIONS = {
    "rosenbrock": (lambda m: lambda x: m.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), [-1.2, 1.0, 0.5]),
    "powell": (
        lambda m: lambda x: (x[0] + 10 * x[1]) ** 2 + 5 * (x[2] - x[3]) ** 2 + (x[1] - 2 * x[2]) ** 4
        + 10 * (x[0] - x[3]) ** 4, [3.0, -1.0, 0.0, 1.0],
    ),
    "wavy": (lambda m: lambda x: m.sum(0.1 * x**2 + m.sin(3 * x)), [2.0, -1.3, 0.4]),
    "flat": (lambda m: lambda x: m.sum(m.log(1 + x**2)), [30.0, -20.0]),
    "steep": (lambda m: lambda x: m.sum(m.exp(x) - 3 * x), [6.0, -2.0]),
}  # fmt: skip


@pytest.mark.parametrize("rate", [1.0, 0.05, 20.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_wolfe_steps_are_those_of_torch(name, rate):
    torch = pytest.importorskip("torch")
    make, start = FUNCTIONS[name]
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([x], rate, 1, 26, 0, 0, line_search_fn="strong_wolfe")
    f, points = make(fnp), []

    def closure():
        theirs.zero_grad()
        value = make(torch)(x)
        value.backward()
        return value

    for _ in range(12):
        theirs.step(closure)
        points.append(x.detach().numpy().copy())
    ours = optim.lbfgs(rate, 100, linesearch=optim.scale_by_wolfe_linesearch(), first_norm=1)
    at, state = np.array(start), ours.init(np.array(start))
    update = fg.jit(lambda x, state: ours.update(fg.grad(f)(x), state, x, value=f(x), grad=fg.grad(f)(x), value_fn=f))
    for point in points:
        if not np.isfinite(point).all():
            break  # torch's own search ran into an overflow; ours is further down, as checked below
        if np.abs(fg.grad(f)(at)).max() < 1e-7:
            break  # there values differ by rounding only, which is what decides then
        updates, state = update(at, state)
        at = optim.apply_updates(at, updates)
        np.testing.assert_allclose(at, point, rtol=1e-5, atol=1e-7)
    assert f(at) < f(np.array(start))


def test_wolfe_driven_by_python():
    f = fg.value_and_grad(rosenbrock)
    x = np.array([-1.2, 1.0])
    value, grad = f(x)
    d = -grad
    rules = optim.Conditions(optim.Point(0.0, value, fnp.vdot(d, grad)), grad, np.abs(d).max())
    search, calls = optim.begin_wolfe(rules, np.float64(1.0)), 0
    while not search.done:
        new, slope = f(x + search.next * d)
        search = optim.advance_wolfe(rules, search, new, fnp.vdot(d, slope), slope)
        calls += 1
    part = optim.scale_by_wolfe_linesearch()
    updates, state = part.update(d, part.init(x), x, value=value, grad=grad, value_fn=rosenbrock)
    np.testing.assert_allclose(search.low.t * d, updates)
    np.testing.assert_allclose(search.grad, state.grad)
    assert calls == int(state.evaluations) == int(search.evaluations) and bool(state.success)


def test_wolfe_gives_up_in_time():
    falling = lambda x: -fnp.sum(x)
    x, g = np.ones(2), -np.ones(2)
    part = optim.scale_by_wolfe_linesearch(4)
    updates, state = part.update(-g, part.init(x), x, value=-2.0, grad=g, value_fn=falling)
    assert not state.success and int(state.evaluations) == 5 and updates[0] == 10_000


@pytest.mark.parametrize("guess", ["one", "keep"])
@pytest.mark.parametrize("length", [1e-3, 0.1, 1.0, 50.0])
def test_zoom_meets_the_strong_wolfe_conditions(guess, length):
    f = lambda x: fnp.sum(fnp.cosh(x)) + 0.1 * x[0] * x[1] - x[2]
    x = fnp.array([1.0, -2.0, 0.5])
    value, grad = fg.value_and_grad(f)(x)
    search = optim.scale_by_zoom_linesearch(30, curv_rtol=0.3, approx_dec_rtol=None, initial_guess_strategy=guess)
    updates, state = search.update(-length * grad, search.init(x), x, value=value, grad=grad, value_fn=f)
    t, d = float(state.learning_rate), -length * grad
    after, grad_after = fg.value_and_grad(f)(x + t * d)
    assert bool(state.success) and int(state.evaluations) <= 12
    assert after <= value + 1e-4 * t * fnp.vdot(grad, d) and abs(fnp.vdot(grad_after, d)) <= -0.3 * fnp.vdot(grad, d)
    np.testing.assert_allclose(updates, t * d)
    np.testing.assert_allclose(state.value, after)
    np.testing.assert_allclose(state.grad, grad_after)


def test_zoom_at_its_limits():
    f = lambda x: -fnp.sum(x)
    x, g = np.ones(2), -np.ones(2)
    given = {"value": -2.0, "grad": g, "value_fn": f}
    search = optim.scale_by_zoom_linesearch(10, max_learning_rate=8.0)
    updates, state = search.update(-g, search.init(x), x, **given)
    assert updates.tolist() == [8, 8] and not state.success and int(state.evaluations) == 4
    uphill, state = search.update(g, search.init(x), x, **given)
    assert uphill.tolist() == [0, 0] and int(state.evaluations) == 0 and float(state.value) == -2
    walled = lambda x: fnp.where(x[0] > 1.5, fnp.nan, -fnp.log(x[0]) + x[0] ** 2)
    one = np.ones(1) * 0.1
    value, grad = fg.value_and_grad(walled)(one)
    updates, state = search.update(-grad, search.init(one), one, value=value, grad=grad, value_fn=walled)
    assert bool(state.success) and float(state.value) < value


def test_backtracking_is_optaxs():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    settings = {"max_backtracking_steps": 40, "decrease_factor": 0.6, "increase_factor": 2.0, "store_grad": True}
    make = lambda o: o.chain(o.sgd(0.05), o.scale_by_backtracking_linesearch(**settings))
    ours, found = minimize(make(optim), rosenbrock, np.array([-1.2, 1.0]), 25)
    with jax.enable_x64(True):
        f = lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        solver, x = make(optax), jax.numpy.array([-1.2, 1.0])
        state = solver.init(x)
        for s in found:
            value, grad = jax.value_and_grad(f)(x)
            updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=f)
            x = optax.apply_updates(x, updates)
            np.testing.assert_allclose(s.learning_rate, float(state[-1].learning_rate), rtol=1e-6)
        np.testing.assert_allclose(ours, np.asarray(x), rtol=1e-6)


def test_backtracking_that_finds_nothing_stays():
    search = optim.scale_by_backtracking_linesearch(3)
    x = np.ones(2)
    updates, state = search.update(x, search.init(x), x, value=2.0, grad=x, value_fn=fnp.sum)
    assert updates.tolist() == [0, 0] and not state.success and int(state.evaluations) == 4 and float(state.value) == 2
    assert state.grad is None


ALL_KINDS = [
    rosenbrock,
    fg.jit(rosenbrock),
    functools.partial(rosenbrock),
    lambda x, **given: rosenbrock(x, given["scale"]),
]


@pytest.mark.parametrize("f", ALL_KINDS)
def test_value_fn_gets_the_arguments_it_names(f):
    def halve(updates, state, params=None, *, factor, **extra):
        return factor * updates, state

    part = optim.GradientTransformationExtraArgs(lambda params: optim.EmptyState(), halve)
    search = optim.chain(optim.scale(-1.0), part, optim.scale_by_backtracking_linesearch(30, increase_factor=np.inf))
    x = np.array([-1.2, 1.0])
    value, grad = fg.value_and_grad(rosenbrock)(x, scale=10.0)
    updates, state = search.update(grad, search.init(x), x, value=value, grad=grad, value_fn=f, scale=10.0, factor=0.5)
    np.testing.assert_allclose(state[-1].value, rosenbrock(x + updates, 10.0))
    assert state[-1].value < value


def test_minimize_with_an_argument():
    x, _ = minimize(optim.lbfgs(), lambda x, scale: rosenbrock(x, scale), np.array([-1.2, 1.0]), 30, scale=10.0)
    np.testing.assert_allclose(x, 1.0, rtol=1e-5)


def test_what_the_search_knows_is_not_computed_again():
    x = np.array([0.5, 2.0])
    state = (optim.LinesearchState(fnp.array(1.0), fnp.array(7.0), fnp.array([8.0, 9.0]), 1, True),)
    value, grad = optim.value_and_grad_from_state(rosenbrock)(x, state=state)
    assert value == 7 and grad.tolist() == [8, 9]
    fresh = optim.value_and_grad_from_state(rosenbrock)(x, state=optim.lbfgs().init(x))
    np.testing.assert_allclose(fresh[1], fg.grad(rosenbrock)(x))
