"""A U-Net of one's own for `mendsearch run`, with data, and a metric as the score."""
