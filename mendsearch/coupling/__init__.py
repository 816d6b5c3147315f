"""From a network to its coupling groups, and from keep counts to a network that has only those channels.

`graph` finds the coupling groups, `layout` says which channel each index of each tensor belongs to, `slicing` runs
a candidate without building it, `surgery` builds it, `probe` checks that the network bears it.
"""
