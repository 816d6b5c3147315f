"""All searches of the database."""

from __future__ import annotations

from mendview.pages.base import Page, Panel, render
from mendview.reading import Look
from mendview.searches import list_searches


def searches_page(look: Look) -> Page:
    """All searches of the database."""
    found = list_searches(look)
    page = Page("searches", "Searches")
    page.parts["searches"] = render("searches", searches=found, optuna=look.optuna)
    page.layout = [Panel("searches")]
    return page
