"""Searches that many workers run: one worker, and starting many."""
