"""The operations, a file per kind. Bodies are pure functions of the NumPy room; no derivative is written here."""
