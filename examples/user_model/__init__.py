"""A network and a data set of one's own, for `mendsearch run`."""
