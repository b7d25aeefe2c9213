"""The gamma function and what is built of it, each a row of its own where logarithms would lose digits.

Under scipy.special's gamma, loggamma, beta, binom and poch; gammaln and its derivatives are in `special.py`.
"""

from __future__ import annotations

from funcgrad.core.primitive import Primitive
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype, reals
from funcgrad.ops.special import digamma, typed

gamma: Primitive = elementwise(
    "gamma",
    lambda x: typed(scipy.gamma(x), x),
    [lambda g, ans, x: g * (ans * digamma(x))],
    reals(0.5, 3.0),
    dtype=float_dtype,
)


loggamma: Primitive = elementwise(
    "loggamma",
    lambda x: typed(scipy.loggamma(x), x),
    [lambda g, ans, x: g * digamma(x)],
    reals(0.5, 3.0),
    dtype=float_dtype,
)
"""The principal branch, for complex arguments too; nan for negative real ones."""

betaln: Primitive = elementwise(
    "betaln",
    lambda a, b: typed(scipy.betaln(a, b), a, b),
    [lambda g, ans, a, b: g * (digamma(a) - digamma(a + b)), lambda g, ans, a, b: g * (digamma(b) - digamma(a + b))],
    reals(0.5, 3.0, 2),
    dtype=float_dtype,
)

beta: Primitive = elementwise(
    "beta",
    lambda a, b: typed(scipy.beta(a, b), a, b),
    [
        lambda g, ans, a, b: g * (ans * (digamma(a) - digamma(a + b))),
        lambda g, ans, a, b: g * (ans * (digamma(b) - digamma(a + b))),
    ],
    reals(0.5, 3.0, 2),
    dtype=float_dtype,
)

binom: Primitive = elementwise(
    "binom",
    lambda n, k: typed(scipy.binom(n, k), n, k),
    [
        lambda g, ans, n, k: g * (ans * (digamma(n + 1.0) - digamma(n - k + 1.0))),
        lambda g, ans, n, k: g * (ans * (digamma(n - k + 1.0) - digamma(k + 1.0))),
    ],
    lambda rng: [((array(rng, (3,), 4.0, 6.0), array(rng, (3,), 0.5, 3.0)), {})],
    dtype=float_dtype,
)

poch: Primitive = elementwise(
    "poch",
    lambda z, m: typed(scipy.poch(z, m), z, m),
    [
        lambda g, ans, z, m: g * (ans * (digamma(z + m) - digamma(z))),
        lambda g, ans, z, m: g * (ans * digamma(z + m)),
    ],
    reals(0.5, 3.0, 2),
    dtype=float_dtype,
)
"""gamma(z + m) / gamma(z)."""
