"""How good the pruned networks are: scores, structures, weights."""
