"""A search that goes through the database comes out the same, or is refused in one line."""

import pytest
import torch

import mendstore
from mendsearch import stages
from mendsearch.config import parse_spec
from mendsearch.errors import ModelError, UsageError
from mendsearch.fleet.code import check_allowed, check_versions, own_versions
from mendsearch.fleet.exchange import fetch
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
        registered = stages.create(spec, tmp_path / "out", storage, None, QUIET)
        database = mendstore.Database(storage)
        return database, mendstore.find(database, registered.name)

    return create


@pytest.mark.parametrize("score", ["agreement", "loss"])
def test_a_worker_scores_as_the_creator_does(created, tmp_path, score):
    database, registered = created(mend={"score": score})
    spec, search = fetch(database, registered, (), QUIET)
    assert spec.model.kwargs == {"width": 4, "num_classes": 10, "in_channels": 1}
    assert search.fingerprint() == registered.fingerprint
    _, again = fetch(database, registered, (), QUIET)
    assert again.scorer.score(search.uniform).value == search.scorer.score(search.uniform).value
    assert (search.images[2] is None) == (score == "agreement")
    database.close()


def test_a_search_that_comes_out_other_is_refused(created):
    database, registered = created()
    other = mendstore.Registered(**(vars(registered) | {"fingerprint": "other"}))
    with pytest.raises(UsageError, match="comes out other here"):
        fetch(database, other, (), QUIET)
    with pytest.raises(UsageError, match="was not made for other workers"):
        fetch(database, mendstore.Registered(**(vars(registered) | {"blobs": {}})), (), QUIET)
    database.close()


def test_the_spec_of_a_worker_holds_no_path_of_the_creator(created, tmp_path):
    database, registered = created(data={"name": "digits", "path": str(tmp_path)})
    assert str(tmp_path) not in str(registered.spec)
    database.close()


def test_other_versions_are_refused_by_name():
    ours = own_versions("digits-resnet")
    check_versions(ours, dict(ours))
    with pytest.raises(UsageError, match=r"created with torch 0\.1, this worker has 2\."):
        check_versions(ours | {"torch": "0.1"}, ours)
    with pytest.raises(UsageError, match="code of net abc, this worker has none"):
        check_versions(ours | {"code of net": "abc"}, ours)


@pytest.mark.parametrize(
    ("model", "allow", "allowed"),
    [
        ("digits-resnet", [], True),
        ("torchvision:resnet18", [], True),
        ("net:make", [], False),
        ("net:make", ["net"], True),
        ("net.deep:make", ["net"], True),
        ("network:make", ["net"], False),
        ("os:system", ["net"], False),
    ],
)
def test_only_what_the_worker_allows_is_imported(model, allow, allowed):
    if allowed:
        check_allowed(model, allow)
    else:
        with pytest.raises(ModelError, match="does not allow"):
            check_allowed(model, allow)


def test_code_is_told_apart_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freshnet.py").write_text("raise SystemExit('it was run')\n")
    before = own_versions("freshnet:make")
    (tmp_path / "freshnet.py").write_text("raise SystemExit('it was changed')\n")
    after = own_versions("freshnet:make")
    assert before.keys() == after.keys()
    assert {key for key in before if before[key] != after[key]} == {"code of freshnet"}
    assert torch.__version__.startswith(before["torch"])
