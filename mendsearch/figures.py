"""Figures of a search for a notebook, as Plotly figures: `from mendsearch import figures; figures.history("NAME")`.

They are those of the dashboard, of a search in a study database, and need no PyTorch. A search is named, with the URL
of its database or MENDSEARCH_STORAGE; without either it is of the embedded database of this folder. `history` also
takes a study that `mendsearch.mend` gave back, in memory or not.
"""

from __future__ import annotations

from mendview.notebook import agreement, channels, front, history, importance, macs, throughput

__all__ = ["agreement", "channels", "front", "history", "importance", "macs", "throughput"]
