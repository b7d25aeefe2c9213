"""`torch.distributions`: distributions with samples, densities, entropies and divergences."""

from funcgrad.torch.distributions.continuous import Beta as Beta
from funcgrad.torch.distributions.continuous import Exponential as Exponential
from funcgrad.torch.distributions.continuous import Gamma as Gamma
from funcgrad.torch.distributions.continuous import Laplace as Laplace
from funcgrad.torch.distributions.continuous import LogNormal as LogNormal
from funcgrad.torch.distributions.continuous import Normal as Normal
from funcgrad.torch.distributions.continuous import Uniform as Uniform
from funcgrad.torch.distributions.discrete import Bernoulli as Bernoulli
from funcgrad.torch.distributions.discrete import Categorical as Categorical
from funcgrad.torch.distributions.discrete import Geometric as Geometric
from funcgrad.torch.distributions.discrete import Poisson as Poisson
from funcgrad.torch.distributions.distribution import Distribution as Distribution
from funcgrad.torch.distributions.kl import kl_divergence as kl_divergence
from funcgrad.torch.distributions.kl import register_kl as register_kl
from funcgrad.torch.distributions.multivariate import Dirichlet as Dirichlet
from funcgrad.torch.distributions.multivariate import Independent as Independent
from funcgrad.torch.distributions.multivariate import MultivariateNormal as MultivariateNormal
