"""What is written elsewhere: into Optuna Dashboard, a terminal, a notebook, a file."""

import io
import re

import optuna
import pytest
from optuna_dashboard import get_note
from rich.console import Console

import mendstore
from bench.fleet.synthetic import make_search
from mendsearch import figures
from mendstore.queries.searches import find_search
from mendview import overview, terminal
from mendview.importance import importance
from mendview.pages import fleet_page, network_page
from mendview.publish import publish
from mendview.report import report_of


def see(reader, made):
    return reader.read(lambda snapshot: overview.overview(snapshot, find_search(snapshot, study_id=made.study_id)))


def text_of(renderable):
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_optuna_dashboard_gets_a_note_and_figures_and_the_same_again(storage, finished):
    study = optuna.load_study(study_name=finished.name, storage=storage)
    for _ in range(2):
        assert publish(study, storage)
    note = get_note(study)
    assert "Finished: mended, +1.40 ± 0.59 points over uniform, on 10,000 validation images." in note
    assert "| mended | 92.60% |" in note
    attributes = study._storage.get_study_system_attrs(study._study_id)
    keys = {key.split(":")[2] for key in attributes if key.startswith("dashboard:plot_data:")}
    assert keys == {"mend-score", "mend-channels", "mend-agreement", "mend-macs", "mend-front"}


def test_a_note_holds_names_as_text(storage, reader, name):
    study = optuna.create_study(storage=storage, study_name=name + "<script>`x`", direction="maximize")
    study.set_user_attr("structure", {"widths": {"<i>`a`": 8}, "floor": {"<i>`a`": 1}, "pre_pruned": {"<i>`a`": 2}})
    study.optimize(lambda trial: trial.set_user_attr("keep_counts", {"<i>`a`": 5}) or -1.0, n_trials=1)
    assert publish(study, storage)
    assert "<i>" not in get_note(study)
    assert "`&lt;i&gt;&#x27;a&#x27;`: 2 → 5 of 8 channels" in get_note(study)


def test_the_terminal_gives_the_same_answers(reader, made):
    text = text_of(terminal.at_a_glance(see(reader, made)))
    for answer in ("Going well", "pre-pruned −", "wider", "5 workers alive", "in about"):
        assert answer in text
    assert re.search(rf"{re.escape(made.name)}.*running", text_of(terminal.searches_table([see(reader, made)])))


def test_device_workers_are_shown_where_there_are_some(reader, database, made, tmp_path):
    def page():
        seen = see(reader, made)
        return reader.read(lambda snapshot: fleet_page(snapshot, seen.search, lambda *_: None)), seen

    before, seen = page()
    assert seen.devices is overview.summary(seen)["devices"] is None
    assert "device" not in text_of(terminal.at_a_glance(seen))
    assert "devices" not in [panel.key for panel in before.layout]
    setting = {"runtime": "onnxruntime", "device": "<b>a board", "threads": 2, "dtype": "float32", "versions": {}}
    device = mendstore.Device(database, made.name, setting, tmp_path)
    after, seen = page()
    assert "<b>a board, onnxruntime, 2 threads: alive" in text_of(terminal.at_a_glance(seen))
    assert "devices" in [panel.key for panel in after.layout]
    assert "&lt;b&gt;a board" in after.parts["devices"]
    assert ">alive<" in after.parts["devices"]
    assert "waiting for a measurement" in after.parts["devices"]
    assert overview.summary(seen)["devices"]["workers"][0]["threads"] == 2
    device.leave("stopped")
    assert ">ended<" in page()[0].parts["devices"]


def test_watching_ends_with_the_search_and_outlives_an_outage(reader, made, finished):
    answers = iter([see(reader, made), mendstore.StorageError("gone"), see(reader, finished)])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    console = Console(width=200, file=io.StringIO())
    terminal.watch(look, console, every_s=0)
    lines = console.file.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"{made.name}: 700 of 900 trials",
        "the database cannot be reached: gone",
        f"{finished.name}: 80 of 80 trials",
    ]


def test_a_notebook_gets_plotly_figures(storage, finished):
    for name in figures.__all__:
        made = getattr(figures, name)(finished.name, storage)
        assert type(made).__name__ == "Figure"
        assert len(made.data) > 0
    with pytest.raises(mendstore.StorageError, match="no search `nope`"):
        figures.channels("nope", storage)


def test_a_study_in_memory_has_its_history_too():
    study = optuna.create_study(direction="maximize")
    for value in (1.0, 3.0, 2.0):
        study.add_trial(optuna.trial.create_trial(value=value))
    best = figures.history(study).data[-1]
    assert (list(best.x), list(best.y)) == ([0, 1, 2], [1.0, 3.0, 3.0])


def test_importance_is_of_every_coupling_group(reader, made):
    values = reader.read(lambda snapshot: importance(snapshot, find_search(snapshot, study_id=made.study_id)))
    assert values.keys() == set(made.structure["groups"])
    assert sum(values.values()) == pytest.approx(1)


def test_a_report_of_a_running_search_is_one_small_file(reader, made):
    page = reader.read(lambda snapshot: report_of(snapshot, find_search(snapshot, study_id=made.study_id)))
    assert 1_000_000 < len(page) < 5_000_000
    assert not re.findall(r"""<(?:script|link|img|a)[^>]+(?:src|href)=""", page)
    assert made.name in page


@pytest.mark.parametrize(("known", "complete", "said"), [
    (None, 12, "Known once 20 trials are scored in full; there are 12."), ({}, 30, "hardly vary"),
])  # fmt: skip
def test_where_importance_cannot_be_known_the_page_says_why(server, reader, name, known, complete, said):
    small = make_search(
        server.start(), name, trials=complete, workers=2, lost=0, groups=3, finished=True, stopped_early=0
    )
    page = reader.read(
        lambda snapshot: network_page(snapshot, find_search(snapshot, study_id=small.study_id), lambda *_: known)
    )
    assert said in page.parts["no_importance"]
    assert "importance" not in [panel.key for panel in page.layout]
