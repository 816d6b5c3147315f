"""All searches of the database."""

from __future__ import annotations

import shlex

from mendstore import Snapshot, without_password
from mendstore.queries.searches import list_searches
from mendview.pages.base import Page, Panel, render


def searches_page(snapshot: Snapshot) -> Page:
    """All searches of the database."""
    found = list_searches(snapshot)
    page = Page("searches", "Searches")
    page.parts["searches"] = render(
        "searches", searches=found, optuna=snapshot.optuna, url=shlex.quote(without_password(snapshot.url))
    )
    page.layout = [Panel("searches")]
    return page
