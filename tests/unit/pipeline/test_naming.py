"""A run of another spec gets its own folder and name, the same ones each time."""

import pytest

from mendsearch.config import parse_spec
from mendsearch.files import write_json
from mendsearch.pipeline.folder import different, locked
from mendsearch.pipeline.naming import beside

TABLE = {"name": "mine", "model": {"name": "digits-resnet"}, "data": {"name": "digits"}, "budget": {"macs": 0.4}}


def spec_with(**keys):
    table = TABLE | {key: value for key, value in keys.items() if "__" not in key}
    for key, value in keys.items():
        part, _, last = key.partition("__")
        if last:
            table[part] = {**table.get(part, {}), last: value}
    return parse_spec(table, "test")


def settled(spec, folder):
    write_json(folder / "spec.json", spec.model_dump(mode="json"))
    return folder


def test_the_first_run_has_the_name_that_it_was_given(tmp_path):
    assert beside(spec_with(), tmp_path / "mine") == (spec_with(), tmp_path / "mine", "")


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"budget__macs": 0.3}, "mine-macs-0.3"),
        ({"seed": 1}, "mine-seed-1"),
        ({"mend__sampler": "tpe"}, "mine-sampler-tpe"),
        ({"budget__macs": 0.3, "seed": 1}, "mine-macs-0.3-seed-1"),
        ({"prune__exclude": ["a", "b/c"], "train__epochs": 400, "finetune__epochs": 300}, "mine-2"),
        ({"data__path": "/very/long/path/to/some/folder/of/images"}, "mine-2"),
    ],
)
def test_another_spec_is_named_by_what_differs_and_the_same_one_resumes(tmp_path, keys, name):
    settled(spec_with(), tmp_path / "mine")
    for _ in range(2):
        spec, folder, said = beside(spec_with(**keys), tmp_path / "mine")
        assert (spec.name, folder) == (name, tmp_path / name)
        assert f"this one is `{name}`" in said
        settled(spec, folder)


def test_more_trials_are_the_same_run(tmp_path):
    settled(spec_with(), tmp_path / "mine")
    assert beside(spec_with(mend__trials=900, fleet__lease_s=5), tmp_path / "mine")[1] == tmp_path / "mine"


def test_a_name_that_is_taken_by_a_third_spec_is_numbered(tmp_path):
    settled(spec_with(), tmp_path / "mine")
    settled(spec_with(name="mine-macs-0.3", seed=7), tmp_path / "mine-macs-0.3")
    assert beside(spec_with(budget__macs=0.3), tmp_path / "mine")[1] == tmp_path / "mine-macs-0.3-2"


def test_a_key_that_an_earlier_version_did_not_have_is_no_difference():
    now = spec_with().model_dump(mode="json")
    earlier = {**now, "mend": {key: value for key, value in now["mend"].items() if key != "early_stopping"}}
    assert different(earlier, now) == {}


def test_a_folder_in_which_no_run_was_started_is_gone_again(tmp_path):
    with pytest.raises(ValueError, match="no"), locked(tmp_path / "runs" / "mine"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "runs" / "mine"):
        settled(spec_with(), tmp_path / "runs" / "mine")
    assert (tmp_path / "runs" / "mine" / "spec.json").is_file()
