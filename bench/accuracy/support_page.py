"""`docs/support.md`, from the figures."""

from __future__ import annotations

from typing import Any

from bench.files import ROOT

PAGE = ROOT / "docs" / "support.md"


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The page's text."""
    return "# Networks\n"
