"""The NumPy room: NumPy's names on arrays and tracers."""
