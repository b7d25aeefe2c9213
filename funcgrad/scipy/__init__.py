"""The scipy names, as jax.scipy has them."""
