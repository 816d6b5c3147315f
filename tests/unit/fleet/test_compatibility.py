"""Which versions and code the workers of a search must share, and what they may import."""

import pytest
import torch

from mendsearch.errors import ModelError, UsageError
from mendsearch.fleet.compatibility import check_allowed, check_versions, imported_packages, own_versions


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


def test_the_metric_is_code_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freshmetric.py").write_text("score = None\n")
    assert own_versions("digits-resnet", "freshmetric:score").keys() - own_versions("digits-resnet").keys() == {
        "code of freshmetric"
    }
    assert imported_packages("a.b:make", "agreement", "c:score", "a:other", "torchvision:resnet18") == ["a", "c"]


def test_code_is_told_apart_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freshnet.py").write_text("raise SystemExit('it was run')\n")
    before = own_versions("freshnet:make")
    (tmp_path / "freshnet.py").write_text("raise SystemExit('it was changed')\n")
    after = own_versions("freshnet:make")
    assert before.keys() == after.keys()
    assert {key for key in before if before[key] != after[key]} == {"code of freshnet"}
    assert torch.__version__.startswith(before["torch"])
