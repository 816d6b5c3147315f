"""Least squares that make up for inputs that are gone.

`channels` needs the dense network's statistics only, and costs a trial next to nothing; `sequence` fits layer after
layer in a forward pass over items, whose targets `targets` takes from the dense network. `patches` cuts what a layer
reads into rows of a regression; `branches` follows a forward pass.
"""
