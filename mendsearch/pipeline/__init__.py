"""A run of the full pipeline: one spec in one folder, from the dense network to the exported one.

`stages` runs them in order; `preparation`, `finetuning` and `export` are the stages, each given the same `Run`.
`inputs` turns a spec into data, network and budget; `folder` records what is done.
"""
