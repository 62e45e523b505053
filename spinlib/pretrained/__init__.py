"""Weights that the explorer of study 4 starts from, made by notebook 04 (see `spinlib.widgets`)."""
