"""Hooks of MkDocs: the README is the home page, and links that leave `docs/` become names of files.

The same Markdown is read in the repository, where `../storage/postgres` is a link that works. A site has no such
file, so the link gives way to the path. A path that does not exist fails the build, as any broken link does.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the README as the home page."""
    files.append(File.generated(config, "index.md", content=home((ROOT / "README.md").read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links that leave `docs/`; `[a][0]` in a message is no reference."""
    return inside(markdown, posixpath.dirname(page.file.src_uri)).replace("][", "]\\[")


def home(readme: str) -> str:
    """The README with links as they are in `docs/`: `docs/x.md` is `x.md`, and `examples` is `../examples`."""
    moved = LINK.sub(lambda link: f"[{link['text']}]({_moved(link['target'])}{link['anchor'] or ''})", readme)
    return re.sub(r"!\[([^\]]*)\]\(docs/", r"![\1](", moved).replace('src="docs/', 'src="')


def inside(markdown: str, folder: str) -> str:
    """Markdown of a page, without links that leave `docs/`.

    Args:
        markdown: the page.
        folder: its folder below `docs/`.

    Raises:
        PluginError: a link leads to no file of the repository.
    """

    def replaced(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if path.startswith("docs/"):
            return link[0]
        if not (ROOT / path).exists():
            raise PluginError(f"broken link: got {link['target']}, expected a file of the repository")
        return f"`{path}`" if path.endswith(link["text"]) else f"{link['text']} (`{path}`)"

    return LINK.sub(replaced, markdown)


def _moved(target: str) -> str:
    return target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
