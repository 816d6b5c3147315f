"""Scripts and styles of the pages: ours, and Plotly's from the package `plotly`."""

from __future__ import annotations

import base64
import gzip
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"


def folder_of(name: str) -> Path:
    """The folder of a static file."""
    return Path(str(files("plotly"))) / "package_data" if name == PLOTLY else STATIC


@lru_cache(8)
def compressed(name: str) -> bytes:
    """A script compressed by gzip; Plotly's 5 MB become a third of that."""
    return gzip.compress((folder_of(name) / name).read_bytes(), 6, mtime=0)


def in_letters(name: str) -> str:
    """The same in base64, for a page that contains it."""
    return base64.b64encode(compressed(name)).decode()
