"""Black-Scholes prices and greeks: first and second derivatives by `vmap(grad)`, implied volatility by Newton's method."""

from typing import Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """A strip of nine strikes, and a Monte Carlo estimate with pathwise derivatives; float64, one strip in float32."""

    def price(spot, strike, vol, rate, expiry):
        total = vol * jnp.sqrt(expiry)
        d1 = (jnp.log(spot / strike) + (rate + vol**2 / 2) * expiry) / total
        ndtr = jax.scipy.special.ndtr
        return spot * ndtr(d1) - strike * jnp.exp(-rate * expiry) * ndtr(d1 - total)

    strikes = jnp.linspace(80.0, 120.0, 9)
    over_strikes = (None, 0, None, None, None)
    market = (100.0, strikes, 0.2, 0.03, 0.5)
    delta = jax.vmap(jax.grad(price), over_strikes)
    gamma = jax.vmap(jax.grad(jax.grad(price)), over_strikes)
    vega = jax.vmap(jax.grad(price, argnums=2), over_strikes)
    vanna = jax.jit(jax.vmap(jax.grad(jax.grad(price, argnums=0), argnums=2), over_strikes))

    def implied_vol(target, spot, strike, rate, expiry):
        vol = 0.35
        for _ in range(6):
            value, slope = jax.value_and_grad(price, argnums=2)(spot, strike, vol, rate, expiry)
            vol = vol - (value - target) / slope
        return vol

    def monte_carlo(spot, vol, key):
        noise = jax.random.normal(key, (64,))
        terminal = spot * jnp.exp((0.03 - vol**2 / 2) * 0.5 + vol * jnp.sqrt(0.5) * noise)
        return jnp.exp(-0.03 * 0.5) * jnp.mean(jax.nn.relu(terminal - 101.0))

    prices = jax.vmap(price, over_strikes)(*market)
    single = tuple(jnp.asarray(a, dtype=jnp.float32) for a in market)
    return {
        "prices": prices,
        "delta": delta(*market),
        "gamma": gamma(*market),
        "vega": vega(*market),
        "vanna": vanna(*market),
        "theta": -jax.jacfwd(lambda t: price(100.0, strikes, 0.2, 0.03, t))(0.5),
        "implied": jax.jit(jax.vmap(implied_vol, (0, None, 0, None, None)))(prices, 100.0, strikes, 0.03, 0.5),
        "pathwise": jnp.stack(jax.grad(monte_carlo, argnums=(0, 1))(100.0, 0.2, jax.random.PRNGKey(11))),
        "single_delta": delta(*single),
    }
