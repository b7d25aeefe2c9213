"""The api room: JAX's transforms by their names, pytrees at the border and flat lists inside."""
