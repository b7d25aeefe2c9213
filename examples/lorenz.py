"""Fits the parameters of an ODE to noisy observations: gradients through two compiled solvers of the Lorenz system.

First Adam, through classic Runge-Kutta steps of fixed length (`lax.scan`), over a horizon that grows; then L-BFGS, through
Dormand and Prince's pair with error control (`lax.while_loop`, whose reverse mode `max_steps` bounds). Each fit is one compiled
call. Writes one picture with the data, the fit and the loss. Run after the README's first command.
"""

import argparse
import pathlib

import matplotlib
import numpy as np

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax, optim

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TRUTH = {"sigma": 10.0, "rho": 28.0, "beta": 8.0 / 3.0}
GUESS = {"sigma": 7.0, "rho": 22.0, "beta": 2.0}
START = np.array([-8.0, 7.0, 27.0])
NOISE = 1.0
TIMES = np.linspace(0.0, 2.0, 41)
STEPS_BETWEEN = 5
"""Runge-Kutta steps from one observation to the next: 0.01 each."""

# Dormand and Prince 1980: the stages, the solution of order 5 (the last stage's own row), and its difference from order 4.
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def lorenz(y, p):
    """The time derivative of the state y (3,)."""
    return jnp.stack([p["sigma"] * (y[1] - y[0]), y[0] * (p["rho"] - y[2]) - y[1], y[0] * y[1] - p["beta"] * y[2]])


def solve_fixed(p, y0, times):
    """The states at the times (T,), by Runge and Kutta's steps of fixed length: shape (T, 3)."""

    def step(y, h):
        k1 = lorenz(y, p)
        k2 = lorenz(y + h / 2 * k1, p)
        k3 = lorenz(y + h / 2 * k2, p)
        k4 = lorenz(y + h * k3, p)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    def to_next(y, span):
        y, _ = lax.scan(step, y, jnp.full(STEPS_BETWEEN, span / STEPS_BETWEEN))
        return y, y

    _, states = lax.scan(to_next, y0, jnp.diff(times))
    return jnp.concatenate([y0[None], states])


def solve_adaptive(p, y0, times, tolerance=1e-8, max_steps=12):
    """The states at the times (T,), with errors of a step below the tolerance: shape (T, 3), and how many steps were tried.

    `max_steps` from one time to the next; where they do not do, states are nan.
    """

    def attempt(y, k1, h):
        """A step of length h: the new state, the derivative there, and the error in units of what is allowed."""
        ks = [k1]
        for row in STAGES:
            last = y + h * sum(a * k for a, k in zip(row, ks, strict=True))
            ks.append(lorenz(last, p))
        error = h * sum(e * k for e, k in zip(ERROR, ks, strict=True))
        allowed = tolerance * (1 + jnp.maximum(jnp.abs(y), jnp.abs(last)))
        return last, ks[-1], jnp.sqrt(jnp.mean((error / allowed) ** 2))

    def to_next(carry, span):
        def step(state):
            left, y, k, h, tried = state
            now = jnp.minimum(h, left)
            new, k_new, error = attempt(y, k, now)
            good = error <= 1
            # The choice of the step is not differentiated: it changes the error only.
            factor = jnp.clip(0.9 * jnp.maximum(lax.stop_gradient(error), 1e-10) ** -0.2, 0.2, 5.0)
            following = jnp.where(good & (now < h), h, now * factor)  # a step cut short by the end says nothing
            left = jnp.where(good, jnp.where(now < left, left - now, 0.0), left)
            return left, jnp.where(good, new, y), jnp.where(good, k_new, k), following, tried + 1

        y, k, h, tried = carry
        begin = (span, y, k, h, tried)
        left, y, k, h, tried = lax.while_loop(lambda s: s[0] > 0, step, begin, max_steps=max_steps)
        y = jnp.where(left > 0, jnp.nan, y)
        return (y, k, h, tried), y

    begin = (y0, lorenz(y0, p), jnp.asarray(0.01), jnp.asarray(0))
    (*_, tried), states = lax.scan(to_next, begin, jnp.diff(times))
    return jnp.concatenate([y0[None], states]), tried


def observe(rng):
    """Noisy states of the true system at TIMES: shape (T, 3)."""
    states, _ = fg.jit(solve_adaptive)(TRUTH, START, TIMES)
    return np.asarray(states) + NOISE * rng.normal(size=states.shape)


def misfit(states, observed, weights=1.0):
    """The mean squared distance from the observations in units of the noise; its least is about 1."""
    return jnp.mean(weights * ((states - observed) / NOISE) ** 2)


def fit_adam(observed, steps):
    """Parameters and starting state by Adam through the fixed solver, and the misfit at each step, in one compiled call."""
    optimizer = optim.adam(optim.cosine_decay_schedule(0.2, steps, 0.02), b2=0.99)
    share = np.arange(len(TIMES))[:, None] / len(TIMES)

    def loss(unknown, weights):
        states = solve_fixed(unknown["p"], unknown["y0"], TIMES)
        return misfit(states, observed, weights), misfit(states, observed)

    @fg.jit
    def train(unknown):
        def step(i, carry):
            unknown, state, losses = carry
            # The horizon grows: far states depend on parameters too steeply until near ones fit.
            weights = 1 / (1 + jnp.exp(30 * (share - 1.3 * i / steps - 0.1)))
            (_, whole), slope = fg.value_and_grad(loss, has_aux=True)(unknown, weights / jnp.mean(weights))
            updates, state = optimizer.update(slope, state, unknown)
            return optim.apply_updates(unknown, updates), state, losses.at[i].set(whole)

        return fg.progress(lax.fori_loop, "Adam")(0, steps, step, (unknown, optimizer.init(unknown), jnp.zeros(steps)))

    unknown, _, losses = train({"p": GUESS, "y0": observed[0]})
    return unknown, np.asarray(losses)


def fit_lbfgs(unknown, observed, steps):
    """The same by L-BFGS through the adaptive solver."""
    optimizer = optim.lbfgs()

    def loss(unknown):
        return misfit(solve_adaptive(unknown["p"], unknown["y0"], TIMES)[0], observed)

    @fg.jit
    def train(unknown):
        def step(carry, _):
            unknown, state = carry
            value, slope = optim.value_and_grad_from_state(loss)(unknown, state=state)
            updates, state = optimizer.update(slope, state, unknown, value=value, grad=slope, value_fn=loss)
            return (optim.apply_updates(unknown, updates), state), value

        return fg.progress(lax.scan, "L-BFGS")(step, (unknown, optimizer.init(unknown)), None, steps)

    (unknown, _), losses = train(unknown)
    return unknown, np.asarray(losses)


def draw(observed, unknown, losses, path):
    """Writes the picture: each coordinate's data, truth and fit on the left, the loss on the right."""
    fine = np.linspace(0, TIMES[-1], 401)
    dense = fg.jit(lambda p, y0: solve_adaptive(p, y0, fine)[0])
    fit, truth, guess = dense(unknown["p"], unknown["y0"]), dense(TRUTH, START), dense(GUESS, observed[0])
    fig = plt.figure(figsize=(11, 6), layout="constrained")
    axes = fig.subplot_mosaic([["x", "loss"], ["y", "loss"], ["z", "loss"]], width_ratios=(2, 1))
    for i, name in enumerate("xyz"):
        axis = axes[name]
        axis.plot(fine, guess[:, i], color="0.75", label="first guess")
        axis.plot(fine, truth[:, i], color="black", linewidth=3, alpha=0.3, label="truth")
        axis.plot(fine, fit[:, i], color="tab:blue", label="fit")
        axis.plot(TIMES, observed[:, i], ".", color="tab:orange", label=f"observed, noise {NOISE:g}")
        axis.set(ylabel=name, xlim=(0, TIMES[-1]))
        if name != "z":
            axis.tick_params(labelbottom=False)
    axes["z"].set_xlabel("time")
    axes["x"].legend(ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    draw_losses(axes["loss"], *losses)
    fig.savefig(path, dpi=120)
    plt.close(fig)


def draw_losses(axis, adam, lbfgs):
    """The losses of both fits, one after the other, on a logarithmic scale."""
    axis.semilogy(adam, color="tab:green", label="Adam, fixed steps")
    axis.semilogy(len(adam) + np.arange(len(lbfgs)), lbfgs, color="tab:red", label="L-BFGS, adaptive steps")
    axis.axhline(1, color="0.6", linestyle="--", linewidth=1)
    axis.annotate("the noise", (0, 1), xytext=(0, -12), textcoords="offset points", color="0.4", fontsize=9)
    axis.set(xlabel="step", ylabel="mean squared misfit in units of the noise")
    axis.legend(fontsize=8, frameon=False)


def positive(text):
    """An integer of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 step is needed, got {value}")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=positive, default=100, help="steps of Adam (default: %(default)s)")
    parser.add_argument("--polish", type=positive, default=25, help="steps of L-BFGS after it (default: %(default)s)")
    parser.add_argument(
        "--out", type=pathlib.Path, default="lorenz.png", help="the picture to write (default: %(default)s)"
    )
    options = parser.parse_args()
    observed = observe(np.random.default_rng(0))
    unknown, adam = fit_adam(observed, options.steps)
    unknown, lbfgs = fit_lbfgs(unknown, observed, options.polish)
    _, tried = fg.jit(solve_adaptive)(unknown["p"], unknown["y0"], TIMES)
    print(
        f"Adam through {(len(TIMES) - 1) * STEPS_BETWEEN} fixed steps: misfit {lbfgs[0]:.3f} after {options.steps} steps"
    )
    print(f"L-BFGS through {int(tried)} adaptive steps: misfit {lbfgs[-1]:.3f}, where the noise alone makes about 1")
    for name, value in TRUTH.items():
        print(f"{name:5} = {float(unknown['p'][name]):7.4f}, is {value:.4f}, was guessed {GUESS[name]:g}")
    draw(observed, unknown, (adam, lbfgs), options.out)
    print(f"data, fit and loss: {options.out}")


if __name__ == "__main__":
    main()
