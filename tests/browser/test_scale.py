"""10,000 trials of 64 workers: what is sent does not grow with them."""

import urllib.request

import pytest
from playwright.sync_api import expect

from bench.fleet.synthetic import make_search
from tests.browser.conftest import dashboard, new_database

KINDS = ("search", "network", "front", "fleet", "trial")


@pytest.mark.timeout(240)
def test_ten_thousand_trials_are_shown_in_small_updates(server, visit):
    url = new_database(server)
    made = make_search(
        url, "large", trials=12_000, done=10_000, workers=64, groups=37, lost=3, seconds=60, lease_s=7200
    )
    with dashboard(url) as opened:
        page = visit(opened.address)
        expect(page.locator("#done")).to_have_text("10,000 of 12,000 trials")
        expect(page.locator("#history .main-svg").first).to_be_visible()
        expect(page.locator(".cards")).to_contain_text("61 alive")
        page.goto(f"{opened.address}mend/{made.study_id}/fleet")
        expect(page.locator("#workers tbody tr")).to_have_count(64)
        for kind in KINDS:
            with urllib.request.urlopen(f"{opened.address}mend/api/{made.study_id}/{kind}", timeout=60) as answer:
                assert len(answer.read()) < 200_000
        page.close()  # it would ask again while the server ends
