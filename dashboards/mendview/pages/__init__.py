"""The pages, one a file: HTML and figures of what the queries answer."""

from collections.abc import Callable

from mendstore import Snapshot
from mendstore.queries.searches import Search
from mendview.pages.base import Importances, Page, Panel, render, short
from mendview.pages.fleet import fleet_page
from mendview.pages.front import front_page
from mendview.pages.network import network_page
from mendview.pages.search import search_page
from mendview.pages.searches import searches_page
from mendview.pages.trial import trial_page

PAGES: dict[str, Callable[[Snapshot, Search, Importances, int | None], Page]] = {
    "search": search_page, "network": network_page, "front": front_page, "fleet": fleet_page, "trial": trial_page,
}  # fmt: skip

__all__ = [
    "PAGES", "Importances", "Page", "Panel", "fleet_page", "front_page", "network_page", "render",
    "search_page", "searches_page", "short", "trial_page",
]  # fmt: skip
