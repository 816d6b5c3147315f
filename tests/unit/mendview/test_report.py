import re

from rich.console import Console

from bench.fleet.synthetic import make_search
from mendview.figures import channels, plotly_figure
from mendview.report import report_of, save
from mendview.searches import find_search
from mendview.structure import read_structure
from mendview.tables import result_rows, result_table

WIDTHS, FLOOR = {"conv1": 16, "layer1.0.conv1": 32}, {"conv1": 3, "layer1.0.conv1": 5}


def result(search="demo"):
    row = {"accuracy": 0.975, "macs": 2000, "params": 300, "latency_ms": 0.25}
    kept = {"accuracy_before": 0.95, "keep_counts": {"conv1": 7, "layer1.0.conv1": 9}, "score": -0.4321}
    return {
        "search": search,
        "model": {"name": "digits-resnet", "kwargs": {}},
        "budget": {"given": {"macs": 0.2}, "absolute": {"macs": 2000.0}},
        "dense": row | {"macs": 10000},
        **dict.fromkeys(("uniform", "pre_pruned", "mended"), row | kept),
        "trials": {"complete": 60, "stopped_early": 0, "failed": 1},
        "seconds": {"mend": 3.0},
        "seed": 0,
        "versions": {},
    }


def test_the_table_has_every_row_and_figure():
    rows = result_rows(result(), -0.1)
    assert [row[0] for row in rows] == ["dense", "uniform", "pre-pruned", "mended"]
    assert rows[0] == ("dense", "97.50%", "", "−0.1000", "10,000 (100.0%)", "300", "0.25 ms")
    assert rows[3] == ("mended", "97.50%", "95.00%", "−0.4321", "2,000 (20.0%)", "300", "0.25 ms")
    console = Console(width=140, record=True)
    console.print(result_table(result(), -0.1))
    assert "pre-pruned" in console.export_text()


def test_the_figure_shows_every_structure_in_network_order():
    row = result()["mended"]["keep_counts"]
    structure = read_structure({"widths": WIDTHS, "floor": FLOOR, "pre_pruned": row, "uniform": row})
    figure = plotly_figure(channels(structure, row))
    names = ["dense", "mended: at the floor", "mended: restored", "pre-pruned", "uniform"]
    assert [trace.name for trace in figure.data] == names
    assert list(figure.data[1].x) == ["conv1", "layer1.0.conv1"]
    assert [counts[0] for counts in figure.data[1].customdata] == [3, 5]
    assert [counts[0] for counts in figure.data[2].customdata] == [4, 4]


def test_the_report_opens_offline_with_everything_once(reader, finished, tmp_path):
    path = tmp_path / "report.html"
    save(path, reader.look(lambda look: report_of(look, find_search(look, study_id=finished.study_id))))
    page = path.read_text(encoding="utf-8")
    assert not re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']?http""", page)
    assert page.count("<h2>Networks</h2>") == 1
    assert "92.60%" in page
    assert page.count('class="packed"') == 2
    assert len(page) < 5_000_000
    assert 'href="/' not in page


def test_a_hostile_name_is_escaped(reader, server):
    made = make_search(server.start(), "<script>alert(1)</script>", trials=12, workers=1, lost=0, groups=3, set_aside=0)
    page = reader.look(lambda look: report_of(look, find_search(look, study_id=made.study_id)))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
