"""The NumPy room: NumPy's names on arrays and tracers."""

from funcgrad.numpy import operators as operators
