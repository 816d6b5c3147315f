"""What pruning takes, and what it gives in time: seconds of a trial, of a search, of the pruned network."""
