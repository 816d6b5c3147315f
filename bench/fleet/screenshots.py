"""Pictures of a real search for the documents, drawn in Chromium: `python -m bench.fleet.screenshots URL NAME`.

Those in the documents are of the tutorial's search, docs/tutorial.md, in the database that its run printed.
"""

from __future__ import annotations

import argparse
import shutil

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import mendstore
from bench.files import ROOT
from bench.fleet.dashboard import KINDS, OURS, serving

TAKES = "a minute"
FOLDER = ROOT / "docs" / "screenshots"
SHOTS = (
    ("search", 1440, "light"),
    ("network", 1440, "light"),
    ("network", 1440, "dark"),
    ("fleet", 1440, "light"),
    ("trial", 1440, "light"),
    ("front", 1440, "dark"),
    ("search", 390, "dark"),
    ("network", 390, "light"),
    ("fleet", 390, "dark"),
)
"""Pages, width in pixels and colours."""

FIRST_HEIGHT = 1000
"""Pixels of each half of the README's picture, before it is made smaller."""


def draw(browser: Browser, address: str, study: int, kind: str, width: int, scheme: str) -> None:
    """Draw one page, as high as it is."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{address}mend/{study}/{KINDS[kind]}")
    page.wait_for_selector(".main-svg", timeout=120_000)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(4000, height)})
    page.wait_for_timeout(5000)
    page.screenshot(path=FOLDER / f"{kind}-{width}-{scheme}.png", full_page=True)
    context.close()


def first() -> None:
    """The README's picture: the search beside its network before and after."""
    halves = [Image.open(FOLDER / f"{kind}-1440-light.png").convert("RGB") for kind in ("search", "network")]
    both = Image.new("RGB", (2 * 1440, FIRST_HEIGHT), "white")
    for place, half in enumerate(halves):
        both.paste(half.crop((0, 0, 1440, FIRST_HEIGHT)), (place * 1440, 0))
    both.resize((1440, FIRST_HEIGHT // 2), Image.Resampling.LANCZOS).quantize(128).save(
        FOLDER / "first.png", optimize=True
    )


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="URL of the study database")
    parser.add_argument("name", help="name of the search")
    given = parser.parse_args()
    database = mendstore.Database(given.url)
    study = mendstore.find(database, given.name).study_id
    database.close()
    with sync_playwright() as playwright, serving(*OURS, given.url, "--no-open") as (address, _):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for kind, width, scheme in SHOTS:
            draw(browser, address, study, kind, width, scheme)
        browser.close()
    first()


if __name__ == "__main__":
    main()
