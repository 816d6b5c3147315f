import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fleet.synthetic import structure_of
from mendstore.records import RecordError, Structure

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
KEYS = [*Structure.model_fields, "yardstick", "unknown"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_stands_in_the_database_is_read_or_refused(value):
    try:
        structure = Structure.read(value)
    except RecordError:
        return
    assert all(isinstance(width, int) and width > 0 for width in structure.widths.values())
    assert set(structure.floor) <= set(structure.widths)
    assert all(0 <= structure.share(layer, structure.floor) <= 1 for layer in structure.layers)


@given(JSON | st.just({"widths": {"a": 10**400}, "dense_score": 10**400}))
def test_a_value_of_any_kind_is_read_or_refused(value):
    if isinstance(value, dict) and not value.keys() & set(KEYS):
        assert Structure.read(value) == Structure()
    else:
        with pytest.raises(RecordError):
            Structure.read(value)


def test_what_is_written_is_read_back():
    given = structure_of(4)
    structure = Structure.read(given)
    made = Structure(
        **{name: getattr(structure, name) for name in Structure.model_fields if name != "layers"},
        layers=[layer.model_copy(update={"conv_groups": 1}) for layer in structure.layers],
    )
    assert Structure.read(made.written()) == structure
    assert made.written()["yardstick"] == "dense"


def test_a_newer_version_may_write_more():
    given = structure_of(3)
    more = given | {"speed": 1, "layers": [layer | {"kernel": 3} for layer in given["layers"]]}
    assert Structure.read(more) == Structure.read(given)


def test_the_writer_gives_every_field_and_no_other():
    with pytest.raises(ValueError, match=r"Structure lacks .*budget"):
        Structure(groups=["a"], widths={"a": 4}).written()
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Structure(groups=["a"], widths={"a": 4}, speed=1)
    with pytest.raises(ValueError, match="finite number"):
        Structure(groups=["a"], widths={"a": 4}, dense_score=float("nan"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"groups": ["b"]}, "different coupling groups"),
        ({"widths": {"a": 0}}, "has no channels"),
        ({"uniform": {"a": 5}}, "`uniform` has more channels"),
        ({"floor": {"b": 1}}, "`floor` has more channels"),
        ({"error_curves": {"a": []}}, "empty curve"),
        ({"controls": {"best": 1.0}}, "no control"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(changed, reason):
    with pytest.raises(RecordError, match=reason):
        Structure.read({"groups": ["a"], "widths": {"a": 4}, "floor": {"a": 1}} | changed)


def test_early_searches_named_their_groups_in_the_widths_alone():
    structure = Structure.read({"widths": {"b": 4, "a": 2}, "yardstick": "labels"})
    assert structure.groups == ["b", "a"]
    assert structure.reference_name == "the labels"


def test_macs_of_a_layer_shrink_with_what_it_reads_and_writes():
    given = structure_of(4)
    first, second = given["groups"][:2]
    given["layers"] = [
        {"name": "both", "group_in": first, "group_out": second, "macs": 100},
        {"name": "depthwise", "group_in": first, "group_out": first, "conv_groups": 16, "macs": 100},
        {"name": "concatenated", "group_in": [first, second], "group_out": None, "macs": 100},
    ]
    structure = Structure.read(given)
    half = {first: structure.widths[first] // 2, second: structure.widths[second] // 4}
    assert [structure.share(layer, half) for layer in structure.layers] == [
        1 / 8,
        1 / 2,
        sum(half.values()) / (structure.widths[first] + structure.widths[second]),
    ]
