"""Latency: networks run and timed on this machine, and the profile that comes of it."""
