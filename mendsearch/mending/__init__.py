"""The search over restorations: its space, what proposes, what scores, and the loop of trials."""
