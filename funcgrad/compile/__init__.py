"""The compiler: a Program becomes kernels and one native schedule."""
