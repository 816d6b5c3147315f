"""Scripts and styles of the pages: ours, and Plotly's as the package `plotly` brings it."""

from __future__ import annotations

import base64
import gzip
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"


def folder_of(name: str) -> Path:
    """The folder that holds a file which pages ask for by name."""
    return Path(str(files("plotly"))) / "package_data" if name == PLOTLY else STATIC


@lru_cache(8)
def compressed(name: str) -> bytes:
    """A script, by gzip; Plotly's is a third of its 5 MB then."""
    return gzip.compress((folder_of(name) / name).read_bytes(), 6, mtime=0)


def in_letters(name: str) -> str:
    """The same for a page that must hold it: in base64."""
    return base64.b64encode(compressed(name)).decode()
