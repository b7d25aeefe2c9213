"""funcgrad: composable transformations of NumPy-style programs on CPUs."""
