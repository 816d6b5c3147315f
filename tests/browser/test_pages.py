"""What a person sees: the five answers, numbers that change by themselves, nothing that a hostile name can do."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from pypdf import PdfReader

from bench.fleet.synthetic import finish_more
from tests.browser.conftest import HOSTILE

KINDS = ("", "network", "front", "fleet", "trial")


def drawn(page, key):
    """Wait until a figure is drawn."""
    page.locator(f"#{key}").scroll_into_view_if_needed()
    expect(page.locator(f"#{key} .main-svg").first).to_be_visible()


def test_the_first_screen_answers_the_five_questions_given_nothing_but_the_address(searches, visit):
    page = visit(searches.address)
    expect(page.locator("h1")).to_have_text("running")
    expect(page.locator(".verdict p")).to_contain_text("Going well")
    best = searches.running.scores[searches.running.best]
    expect(page.locator("#best")).to_have_text(f"{best:.4f}".replace("-", "−"))
    expect(page.locator(".card.moved .big")).to_contain_text("wider")
    expect(page.locator(".cards")).to_contain_text("7 alive")
    expect(page.locator(".cards")).to_contain_text("at about")
    for answer in page.locator(".verdict, .card").all():
        box = answer.bounding_box()
        assert box["y"] + box["height"] < 900


def test_numbers_and_figures_change_without_reloading(searches, visit):
    page = visit(searches.address)
    drawn(page, "history")
    page.evaluate("window.untouched = true")
    points = "document.getElementById('history').data.reduce((sum, trace) => sum + trace.x.length, 0)"
    before = page.evaluate(points)
    expect(page.locator("#done")).to_have_text("200 of 400 trials")
    finish_more(searches.url, searches.running, 3, score=-0.0123)
    expect(page.locator("#done")).to_have_text("203 of 400 trials", timeout=15_000)
    expect(page.locator("#best")).to_have_text("−0.0123")
    page.wait_for_function(f"{points} > {before}")
    assert page.evaluate("window.untouched") is True


def test_a_finished_search_says_what_it_gained_and_asks_seldom(searches, visit):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    expect(page.locator(".verdict p")).to_contain_text("Finished: mended, +1.40 ± 0.59 points over uniform")
    expect(page.locator("#best")).to_have_text("92.60%")
    drawn(page, "fidelity")
    page.goto(f"{searches.address}mend/{searches.finished.study_id}/front")
    drawn(page, "front_macs")
    names = page.evaluate("document.getElementById('front_macs').data.map((trace) => trace.name)")
    assert names == ["exported", "dense", "uniform", "pre-pruned", "random"]  # the largest mark below the others


def test_every_coupling_group_is_shown_in_network_order_with_what_is_restored(searches, visit):
    made = searches.finished
    page = visit(f"{searches.address}mend/{made.study_id}/network")
    drawn(page, "channels")
    assert page.evaluate("document.getElementById('channels').data[0].x") == made.structure["groups"]
    page.locator("#groups summary").click()
    first = page.locator("#groups tbody tr").first.locator("td")
    name = made.structure["groups"][0]
    kept, floor = made.counts[made.best][name], made.structure["floor"][name]
    assert first.nth(4).inner_text() == str(kept)
    assert first.nth(5).inner_text() == f"+{kept - floor}"
    drawn(page, "importance")  # computed aside, then shown without a reload


def test_a_point_of_the_history_leads_to_its_trial_and_a_failed_one_shows_its_log(searches, visit):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    page.locator("#top tbody a").first.click()
    expect(page.locator("#trial")).to_contain_text("the best")
    drawn(page, "channels")
    failed = searches.finished.states.index("FAIL")
    page.locator("input[name=number]").fill(str(failed))
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(f"{searches.address}mend/{searches.finished.study_id}/trial/{failed}")
    expect(page.locator("pre")).to_contain_text("CUDA out of memory")


def test_time_takes_the_place_of_trials_on_the_axis(searches, visit):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    drawn(page, "history")
    page.locator("button[data-axis=time][data-of=history]").click()
    assert page.evaluate("document.getElementById('history').layout.xaxis.type") == "date"
    page.locator("button[data-axis=trial][data-of=history]").click()
    assert page.evaluate("document.getElementById('history')._fullLayout.xaxis.type") == "linear"


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_and_logs_are_shown_and_do_nothing(searches, visit, kind):
    page = visit(f"{searches.address}mend/{searches.hostile.study_id}/{kind}")
    expect(page.locator("h1")).to_have_text(HOSTILE)
    page.wait_for_timeout(300)
    assert page.title() != "taken"
    assert page.locator("img").count() == 0
    if kind == "fleet":
        page.locator("#aside summary").first.click()
        expect(page.locator("#aside pre").first).to_contain_text("onerror")
    page.goto(f"{searches.address}mend/searches")
    assert page.title() != "taken"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_fit_and_are_accessible(searches, visit, kind, width, scheme):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/{kind}", width, scheme)
    for chart in page.locator(".chart").all()[:1]:  # on a phone it is drawn once it is near
        drawn(page, chart.get_attribute("id"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [
        f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found if item["impact"] in ("serious", "critical")
    ] == []


def test_light_and_dark_change_every_colour_by_a_button(searches, visit):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    drawn(page, "history")
    line = "document.getElementById('history').data.find((trace) => trace.name === 'best so far').line.color"
    assert page.evaluate(line) == "#0072b2"
    page.locator("#theme").click()
    page.wait_for_function(f"{line} === '#56b4e9'")


def test_our_pages_and_optuna_dashboard_are_linked_both_ways(searches, visit):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    page.get_by_role("link", name="Optuna Dashboard").click()
    expect(page.get_by_text("Hyperparameter Importance").first).to_be_visible(timeout=20_000)
    page.locator("#mendview").click()
    expect(page.locator("h1")).to_have_text("finished")


def test_the_report_opens_offline(searches, visit, tmp_path, browser):
    path = tmp_path / "report.html"
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Report").click()
    download.value.save_as(path)
    assert path.stat().st_size < 5_000_000
    opened = visit(path.as_uri(), offline=True)
    drawn(opened, "channels")
    drawn(opened, "history")
    assert opened.locator("a").count() == 0


def test_the_report_prints_with_every_figure_inside_the_paper(searches, visit, tmp_path):
    page = visit(f"{searches.address}mend/{searches.finished.study_id}/")
    path = tmp_path / "report.html"
    with page.expect_download() as download:
        page.get_by_role("link", name="Report").click()
    download.value.save_as(path)
    opened = visit(path.as_uri(), offline=True)
    drawn(opened, "history")
    opened.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    text = "\n".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    assert "Drawing" not in text
    assert text.count("of the dense width") == 2
    assert "Importance" in text
