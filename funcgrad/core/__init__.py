"""The core room: types, Programs, primitives and tracing. Knows no primitive by name."""
