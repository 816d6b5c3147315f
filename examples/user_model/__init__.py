"""A custom network and data set for `mendsearch run`."""
