"""The compiler room: from Programs to machine code."""
