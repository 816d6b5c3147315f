"""Benchmarks: every figure in `docs/results/` comes from one of these commands. `python -m bench` lists them."""
