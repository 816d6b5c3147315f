import re

from bench.fleet.synthetic import make_search
from mendstore.queries.searches import find_search
from mendview.report import report_of, save


def test_the_report_opens_offline_with_everything_once(reader, finished, tmp_path):
    path = tmp_path / "report.html"
    save(path, reader.read(lambda snapshot: report_of(snapshot, find_search(snapshot, study_id=finished.study_id))))
    page = path.read_text(encoding="utf-8")
    assert not re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']?http""", page)
    assert page.count("<h2>Networks</h2>") == 1
    assert "92.60%" in page
    assert page.count('class="packed"') == 2
    assert page.count("<h2>What the score is made of</h2>") == 1
    assert page.count("Mean divergence from the dense network, by output") == 1
    assert len(page) < 5_000_000
    assert 'href="/' not in page


def test_a_hostile_name_is_escaped(reader, server):
    made = make_search(server.start(), "<script>alert(1)</script>", trials=12, workers=1, lost=0, groups=3, set_aside=0)
    page = reader.read(lambda snapshot: report_of(snapshot, find_search(snapshot, study_id=made.study_id)))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
