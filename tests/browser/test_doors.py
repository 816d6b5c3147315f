"""Access, edits, and pages while the database cannot be reached or holds nothing."""

import re

import optuna
import pytest
from playwright.sync_api import expect

import mendstore
from bench.fleet.synthetic import make_search
from tests.browser.conftest import dashboard, new_database

TOKEN = "a-token-of-some-length"


def test_edits_are_refused_and_the_study_stays(searches, visit):
    page = visit(f"{searches.address}dashboard", quiet=False)
    study = searches.finished.study_id
    ended = page.evaluate(
        f"fetch('/api/studies/{study}', {{method: 'DELETE', headers: {{'Content-Type': 'application/json'}}, body: '{{}}'}})"
        ".then(async (answer) => [answer.status, await answer.text()])"
    )
    assert ended[0] == 403
    assert "--allow-edits" in ended[1]
    assert "finished" in optuna.get_all_study_names(searches.url)


def test_with_edits_allowed_a_study_can_be_deleted(server, visit):
    url = new_database(server)
    made = make_search(url, "to be deleted", trials=20, done=10, groups=4, workers=2)
    with dashboard(url, "--allow-edits") as opened:
        page = visit(f"{opened.address}dashboard")
        status = page.evaluate(
            f"fetch('/api/studies/{made.study_id}', {{method: 'DELETE', headers: {{'Content-Type': 'application/json'}},"
            " body: '{}'}).then((answer) => answer.status)"
        )
    assert status == 204
    assert optuna.get_all_study_names(url) == []


def test_a_token_is_needed_where_others_can_reach_and_is_in_no_address(searches, visit):
    with dashboard(searches.url, "--host", "0.0.0.0") as opened:
        token = re.fullmatch(r"token, printed this once: (\S{24,})\n", opened.said[0])[1]
        page = visit(f"{opened.address}mend/{searches.finished.study_id}/fleet", quiet=False)
        expect(page.get_by_label("Token")).to_be_visible()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_have_text("This is not the token.")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Open").click()
        expect(page.locator("h1")).to_have_text("finished")
        assert page.url == f"{opened.address}mend/{searches.finished.study_id}/fleet"
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
        assert token not in cookie["value"]
        assert token not in page.content()
        page.goto(f"{opened.address}dashboard")
        expect(page.locator("#mendview")).to_be_visible()


def test_an_empty_database_says_so_and_shows_a_search_when_there_is_one(server, visit):
    url = new_database(server)
    with dashboard(url) as opened:
        page = visit(opened.address)
        expect(page.locator("h1")).to_have_text("No search yet")
        make_search(url, "the first", trials=20, done=10, groups=4, workers=2)
        expect(page.get_by_role("link", name="the first")).to_be_visible(timeout=15_000)


@pytest.mark.timeout(120)
def test_pages_say_that_the_database_cannot_be_reached_and_recover(tmp_path, visit):
    server = mendstore.EmbeddedServer(tmp_path / ".mendsearch")
    url = server.start()
    make_search(url, "steady", trials=40, done=20, groups=4, workers=2)
    with dashboard(url) as opened:
        try:
            page = visit(opened.address, quiet=False)
            expect(page.locator("#done")).to_have_text("20 of 40 trials")
            page.evaluate("window.untouched = true")
            server.stop()
            expect(page.locator("#unreachable")).to_contain_text("The study database cannot be reached", timeout=15_000)
            expect(page.locator("#done")).to_have_text("20 of 40 trials")
            late = visit(opened.address, quiet=False)
            expect(late.locator("#unreachable")).to_contain_text("The study database cannot be reached")
            server.start()
            expect(page.locator("#unreachable")).to_be_hidden(timeout=30_000)
            assert page.evaluate("window.untouched") is True
            expect(late.locator("h1")).to_have_text("steady", timeout=30_000)
        finally:
            server.start()
            server.stop()
