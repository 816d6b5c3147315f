"""Data sources, splits, the training loop, and accuracy."""
