"""A single-stage detector of one's own for `mendsearch run`, with a loss, and average precision as the score."""
