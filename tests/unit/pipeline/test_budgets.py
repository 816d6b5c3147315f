from pathlib import Path

import pytest

from mendsearch.errors import SpecError
from mendsearch.files import write_json
from mendsearch.pipeline.budgets import chained, corrected, corrections, setting_of, specs_in, with_correction

SPEC = """
name = "mine"
model.name = "digits-resnet"
data.name = "digits"
budget.macs = {macs}
"""
TIMED = ('budget={latency_ms="50%", profile="first.json"}',)
DEVICES = (
    'budget={device=[{name="a", latency_ms=8, profile="a.json"}, {name="b", latency_ms="50%", profile="b.json"}]}',
)


@pytest.fixture
def write(tmp_path):
    def written(macs):
        path = tmp_path / "spec.toml"
        path.write_text(SPEC.format(macs=macs))
        return path

    return written


def test_a_single_budget_keeps_its_name(write):
    (spec,) = specs_in(write(0.4))
    assert (spec.name, spec.budget.macs) == ("mine", 0.4)


def test_a_list_gives_a_spec_for_each_entry_in_order(write):
    specs = specs_in(write([0.5, 0.3]))
    assert [(spec.name, spec.budget.macs) for spec in specs] == [("mine-macs-0.5", 0.5), ("mine-macs-0.3", 0.3)]


def test_lists_of_two_limits_are_read_together(write):
    specs = specs_in(write([0.5, 0.3]), ("budget.params=[0.6, 0.4]", "budget.size_bytes=50_000"))
    assert [spec.name for spec in specs] == ["mine-macs-0.5-params-0.6", "mine-macs-0.3-params-0.4"]
    assert [spec.budget.params for spec in specs] == [0.6, 0.4]
    assert [spec.budget.size_bytes for spec in specs] == [50_000, 50_000]


def test_the_folder_of_a_run_takes_a_list_too(write, tmp_path):
    (spec,) = specs_in(write(0.4))
    write_json(tmp_path / "run" / "spec.json", spec.model_dump(mode="json"))
    specs = specs_in(tmp_path / "run", ("budget.macs=[0.2, 0.1]",))
    assert [spec.name for spec in specs] == ["mine-macs-0.2", "mine-macs-0.1"]


def test_milliseconds_and_percentages_have_different_names(write, tmp_path):
    profile = f'budget.profile="{tmp_path / "latency.json"}"'
    specs = specs_in(write(0.9), ('budget.latency_ms=[50, "50%"]', profile))
    assert [spec.name for spec in specs] == ["mine-latency_ms-50", "mine-latency_ms-50-percent"]


@pytest.mark.parametrize(
    ("macs", "override", "said"),
    [
        ([0.5, 0.3], "budget.params=[0.5]", "got 2 of budget.macs, 1 of budget.params, expected lists of equal length"),
        ([], "seed=1", "got 0 of budget.macs"),
        ([0.5, 0.5], "seed=1", r"got budget.macs = \[0.5, 0.5\], expected each budget once"),
        ([0.5, 0], "seed=1", "budget.macs: got 0"),
        ([0.5, 0.3], "seed=-1", "seed: got -1"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(write, macs, override, said):
    with pytest.raises(SpecError, match=said):
        specs_in(write(macs), (override,))


def test_each_search_starts_from_the_one_before_unless_its_spec_names_another(write, tmp_path):
    runs = [(spec, tmp_path / spec.name) for spec in specs_in(write([0.5, 0.3, 0.1]))]
    assert [spec.mend.warm_start for spec, _ in chained(runs)] == [None, "mine-macs-0.5", "mine-macs-0.3"]
    runs = [(spec, tmp_path / spec.name) for spec in specs_in(write([0.5, 0.3]), ("mend.warm_start=old",))]
    assert [spec.mend.warm_start for spec, _ in chained(runs)] == ["old", "old"]


def test_a_name_that_only_looks_like_a_corrected_one_is_no_number(write, tmp_path):
    (spec,) = specs_in(write(0.4), (*TIMED, "name=mine-corrected-by-hand"))
    write_json(tmp_path / "latency.json", {})
    following = corrected(spec, tmp_path, True)
    assert following is not None
    assert following[0].name == "mine-corrected-by-hand-corrected"


def test_a_search_with_the_model_corrected_follows_as_long_as_it_is_too_slow(write, tmp_path):
    (spec,), folder, names = specs_in(write(0.4), TIMED), tmp_path / "mine", []
    assert corrected(spec, folder, True) is None, "nothing was corrected"
    following = (spec, folder)
    while following is not None:
        spec, folder = following
        names.append(spec.name)
        write_json(folder / "latency.json", {})
        assert corrected(spec, folder, False) is None
        following = corrected(spec, folder, True)
    assert names == ["mine", "mine-corrected", "mine-corrected-2", "mine-corrected-3"]
    assert (spec.mend.warm_start, spec.budget.profile) == (
        "mine-corrected-2",
        tmp_path / "mine-corrected-2" / "latency.json",
    )


def test_each_device_has_a_corrected_profile_of_its_own(write, tmp_path):
    (spec,) = specs_in(write(0.4), DEVICES)
    assert corrections(spec, tmp_path) == {}
    write_json(tmp_path / "latency-b.json", {})
    found = corrections(spec, tmp_path)
    assert found == {"latency_ms.b": tmp_path / "latency-b.json"}
    following = corrected(spec, tmp_path, True)
    assert following is not None
    profiles = {name: limit.profile for name, limit in following[0].budget.latencies.items()}
    assert profiles == {"latency_ms.a": Path("a.json"), "latency_ms.b": tmp_path / "latency-b.json"}
    (by_hand,) = specs_in(write(0.4), (*DEVICES, *setting_of(spec, found)))
    assert by_hand.budget == following[0].budget


def test_one_device_is_set_by_its_path(write):
    (spec,) = specs_in(write(0.4), TIMED)
    assert setting_of(spec, {"latency_ms": Path("x.json")}) == ["budget.profile=x.json"]


def test_a_correction_changes_the_profile_alone(write, tmp_path):
    (spec,) = specs_in(write(0.4), TIMED)
    assert with_correction(spec, tmp_path) is None
    write_json(tmp_path / "latency.json", {})
    again = with_correction(spec, tmp_path)
    assert again.budget.profile == tmp_path / "latency.json"
    assert again.model_copy(update={"budget": spec.budget}) == spec
