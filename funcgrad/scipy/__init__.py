"""The scipy names, as jax.scipy has them."""

from funcgrad.scipy import linalg as linalg
from funcgrad.scipy import special as special
from funcgrad.scipy import stats as stats
