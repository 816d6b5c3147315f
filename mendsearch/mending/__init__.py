"""The algorithm of the search over restorations, without any study or database.

`search` puts a search together. `space` maps parameters to candidates. `sampler` proposes them, with the `history` of
the study, random `moves` and a `surrogate` of the score. `weights` compensates a candidate, and `scoring` scores it.
"""
