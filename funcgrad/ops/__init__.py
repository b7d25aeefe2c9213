"""The ops room: one row per primitive, with every rule of that primitive in the row."""
