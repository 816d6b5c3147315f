from hypothesis import given
from hypothesis import strategies as st

from bench.fleet.synthetic import structure_of
from mendview.structure import read_counts, read_results, read_structure

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    "groups",
    "widths",
    "floor",
    "pre_pruned",
    "uniform",
    "dense_score",
    "budget",
    "dense",
    "layers",
    "error_curves",
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_stands_in_the_database_is_read_or_left_out(value):
    structure = read_structure(value)
    assert all(isinstance(width, int) and width > 0 for width in structure.widths.values())
    assert set(structure.floor) <= set(structure.widths)
    assert all(0 <= structure.share(layer, structure.floor) <= 1 for layer in structure.layers)


@given(JSON)
def test_results_and_counts_too(value):
    assert all("macs" in row for row in read_results(value).values())
    assert all(count >= 0 for count in read_counts(value).values())


def test_macs_of_a_layer_shrink_with_what_it_reads_and_writes():
    given = structure_of(4) | {"layers": None}
    first, second = given["groups"][:2]
    given["layers"] = [
        {"name": "both", "group_in": first, "group_out": second, "macs": 100},
        {"name": "depthwise", "group_in": first, "group_out": first, "conv_groups": 16, "macs": 100},
        {"name": "concatenated", "group_in": [first, second], "group_out": None, "macs": 100},
    ]
    structure = read_structure(given)
    half = {first: structure.widths[first] // 2, second: structure.widths[second] // 4}
    assert [structure.share(layer, half) for layer in structure.layers] == [
        1 / 8,
        1 / 2,
        sum(half.values()) / (structure.widths[first] + structure.widths[second]),
    ]
