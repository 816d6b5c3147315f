"""A search that goes through the database comes out the same, or is refused in one line."""

import pytest

import mendstore
from mendsearch.config import parse_spec
from mendsearch.errors import UsageError
from mendsearch.fleet.bundle import download
from mendsearch.pipeline import stages
from mendsearch.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.fixture
def created(tmp_path, storage, name, monkeypatch):
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "cache"))

    def create(**changes):
        table = {
            "name": name, "model": {"name": "digits-resnet", "kwargs": {"width": 4}}, "data": {"name": "digits"},
            "budget": {"macs": 0.4}, "train": {"epochs": 0},
        }  # fmt: skip
        spec = parse_spec(table | changes, "test")
        registered = stages.create_search(spec, tmp_path / "out", storage, None, QUIET)
        database = mendstore.Database(storage)
        return database, mendstore.find(database, registered.name)

    return create


@pytest.mark.parametrize("score", ["agreement", "loss"])
def test_a_worker_scores_as_the_creator_does(created, tmp_path, score):
    database, registered = created(mend={"score": score})
    spec, search = download(database, registered, (), QUIET)
    assert spec.model.kwargs == {"width": 4, "num_classes": 10, "in_channels": 1}
    assert search.fingerprint() == registered.fingerprint
    _, again = download(database, registered, (), QUIET)
    assert again.scorer.score(search.uniform).value == search.scorer.score(search.uniform).value
    assert (search.data[2] is None) == (score == "agreement")
    database.close()


def test_a_worker_gets_inputs_by_position_and_by_keyword(created):
    """The network and its data are those of tests/cases; the worker needs neither data set nor function."""
    database, registered = created(
        model={"name": "tests.cases.inputs:Two"},
        data={"name": "tests.cases.inputs:two_inputs", "batch": "tests.cases.inputs:apart"},
        train={"epochs": 1, "batch_size": 16},
    )
    _, search = download(database, registered, ("tests",), QUIET)
    assert search.fingerprint() == registered.fingerprint
    calibration, validation, _ = search.data
    assert str(calibration) == str(validation) == "(3, 12, 12) float32 and notes=(7,) float32"
    assert search.scorer.score(search.uniform).value < 0
    database.close()


METRIC = """
def sureness(model, batch):
    images, labels = batch
    return model(images).softmax(1).gather(1, labels[:, None])[:, 0]
"""


def test_a_metric_is_imported_only_where_it_is_allowed(created, inside):
    (inside / "bundlemetric.py").write_text(METRIC)
    database, registered = created(mend={"score": "bundlemetric:sureness"})
    with pytest.raises(UsageError, match="asks to import `bundlemetric`, which this worker does not allow"):
        download(database, registered, (), QUIET)
    _, search = download(database, registered, ["bundlemetric"], QUIET)
    assert search.scorer.reference == "metric"
    assert 0 < search.scorer.score(search.uniform).value < 1
    (inside / "bundlemetric.py").write_text(METRIC + "\n# changed\n")
    with pytest.raises(UsageError, match="created with code of bundlemetric"):
        download(database, registered, ["bundlemetric"], QUIET)
    database.close()


def test_a_search_that_comes_out_other_is_refused(created):
    database, registered = created()
    other = mendstore.Registered(**(vars(registered) | {"fingerprint": "other"}))
    with pytest.raises(UsageError, match="comes out other here"):
        download(database, other, (), QUIET)
    with pytest.raises(UsageError, match="was made for one process"):
        download(database, mendstore.Registered(**(vars(registered) | {"blobs": {}})), (), QUIET)
    database.close()


def test_the_spec_of_a_worker_holds_no_path_of_the_creator(created, tmp_path):
    database, registered = created(data={"name": "digits", "path": str(tmp_path)})
    assert str(tmp_path) not in str(registered.spec)
    database.close()
