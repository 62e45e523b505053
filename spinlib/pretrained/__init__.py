"""Weights that come with the package: those that the explorer of study 4 starts from, made by
notebook 04 (see `spinlib.widgets`), and study 2's ResNet18, by notebook 02 (`spinlib.regression`).
"""
