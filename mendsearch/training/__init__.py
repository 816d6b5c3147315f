"""Data sources, the training loop, and the measures taken on a trained network."""
