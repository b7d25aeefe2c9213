"""Gaussian process regression: Cholesky, `solve`, the log marginal likelihood and its gradient in the hyperparameters."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Fourteen noisy samples of a sine, squared-exponential kernel built by two `vmap`s; float64."""
    rng = np.random.RandomState(5)
    x = jnp.array(np.sort(rng.uniform(-3, 3, 14))[:, None])
    y = jnp.sin(x[:, 0]) + 0.1 * jnp.array(rng.randn(14))

    def softplus(x):
        return jnp.logaddexp(x, 0.0)

    def exp_quadratic(x1, x2):
        return jnp.exp(-jnp.sum((x1 - x2) ** 2))

    def cov_map(xs, xs2=None):
        if xs2 is None:
            xs2 = xs
        return jax.vmap(lambda x: jax.vmap(lambda y: exp_quadratic(x, y))(xs))(xs2).T

    def gp(params, x, y, xtest=None):
        noise = softplus(params["noise"])
        amp = softplus(params["amplitude"])
        ls = softplus(params["lengthscale"])
        ymean = jnp.mean(y)
        y = y - ymean
        x = x / ls
        train_cov = amp * cov_map(x) + jnp.eye(x.shape[0]) * (noise + 1e-6)
        chol = jnp.linalg.cholesky(train_cov)
        kinvy = jnp.linalg.solve(chol.T, jnp.linalg.solve(chol, y))
        if xtest is not None:
            xtest = xtest / ls
            cross_cov = amp * cov_map(x, xtest)
            mu = jnp.dot(cross_cov.T, kinvy) + ymean
            v = jnp.linalg.solve(chol, cross_cov)
            var = amp * cov_map(xtest) - jnp.dot(v.T, v)
            return mu, var
        log_det = jnp.sum(jnp.log(jnp.diag(chol)))
        return 0.5 * jnp.dot(y, kinvy) + log_det + 0.5 * x.shape[0] * jnp.log(2.0 * jnp.pi)

    params = {"amplitude": jnp.zeros(()), "noise": jnp.zeros(()) - 2.0, "lengthscale": jnp.zeros(())}
    likelihood, grad_fun = jax.jit(gp), jax.jit(jax.grad(gp))
    likelihoods = []
    for _ in range(8):
        likelihoods.append(likelihood(params, x, y))
        grads = grad_fun(params, x, y)
        params = {name: params[name] - 0.05 * grads[name] for name in params}
    mu, var = gp(params, x, y, jnp.linspace(-2.5, 2.5, 9)[:, None])
    curvature = jax.jit(jax.hessian(lambda ls: gp(params | {"lengthscale": ls}, x, y)))(params["lengthscale"])
    return {
        "likelihoods": jnp.stack(likelihoods),
        "params": jnp.stack([params["amplitude"], params["noise"], params["lengthscale"]]),
        "mean": mu,
        "std": jnp.sqrt(jnp.diag(var)),
        "curvature": curvature,
        "input_sensitivity": jax.grad(gp, argnums=1)(params, x, y),
    }
