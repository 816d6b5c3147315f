"""Hooks of MkDocs: READMEs are pages of the site, and links that leave it become names of files.

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
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


PAGES = {"README.md": "index.md", "storage/postgres/README.md": "postgres.md"}
"""Pages of the site that lie elsewhere in the repository."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie elsewhere."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=moved(text, posixpath.dirname(source))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links that leave `docs/`; `[a][0]` in a message is no reference."""
    return inside(markdown, posixpath.dirname(page.file.src_uri)).replace("][", "]\\[")


def moved(markdown: str, folder: str) -> str:
    """Markdown with links as they are in `docs/`: `docs/x.md` is `x.md`, and `examples` is `../examples`.

    Args:
        markdown: a page that lies elsewhere.
        folder: its folder in the repository.
    """

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.relpath(posixpath.join(folder, link["target"]), "docs")
        return f"{link['image']}[{link['text']}]({target}{link['anchor'] or ''})"

    return LINK.sub(replaced, markdown)


def inside(markdown: str, folder: str) -> str:
    """Markdown of a page, without links that leave the site.

    Args:
        markdown: the page.
        folder: its folder below `docs/`.

    Raises:
        PluginError: a link leads to no file of the repository.
    """

    def replaced(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        page = PAGES.get(path) or PAGES.get(f"{path}/README.md")
        if page:
            return f"[{link['text']}]({posixpath.relpath(page, folder or '.')}{link['anchor'] or ''})"
        if path.startswith("docs/"):
            return link[0]
        if not (ROOT / path).exists():
            raise PluginError(f"broken link: got {link['target']}, expected a file of the repository")
        return f"`{path}`" if path.endswith(link["text"]) else f"{link['text']} (`{path}`)"

    return LINK.sub(replaced, markdown)
